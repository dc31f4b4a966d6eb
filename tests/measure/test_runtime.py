import subprocess
import sys

import pytest
import torch

from course_utils.measure.machine import usable_cores
from course_utils.measure.runtime import TIERS, device, fit_threads, tier

HAS_CUDA = torch.cuda.is_available()


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch):
    monkeypatch.delenv("COURSE_TIER", raising=False)


def test_the_tier_is_the_best_that_this_machine_can_do():
    assert tier() == ("gpu" if HAS_CUDA else "cpu")
    assert device() == ("cuda" if HAS_CUDA else "cpu")


def test_every_tier_says_what_it_means():
    assert list(TIERS) == ["gpu", "cpu", "replay"]
    assert all(TIERS.values())


@pytest.mark.parametrize("asked", ["cpu", "replay", " Replay "])
def test_a_lower_tier_can_be_asked_for(monkeypatch, asked):
    monkeypatch.setenv("COURSE_TIER", asked)
    assert tier() == asked.strip().lower()
    assert device() == "cpu"


def test_an_unknown_tier_is_refused_with_the_known_ones(monkeypatch):
    monkeypatch.setenv("COURSE_TIER", "tpu")
    with pytest.raises(ValueError, match="COURSE_TIER is 'tpu', expected one of gpu, cpu, replay"):
        tier()


def test_more_than_there_is_can_not_be_asked_for(monkeypatch):
    monkeypatch.setenv("COURSE_TIER", "gpu")
    if HAS_CUDA:
        assert tier() == "gpu"
    else:
        with pytest.raises(ValueError, match="torch sees no CUDA device; expected cpu or replay"):
            tier()


def test_without_torch_the_tier_is_replay():
    # None in sys.modules is Python's own way of saying that a module can't be imported.
    code = "import sys; sys.modules['torch'] = None; from course_utils.measure import tier; print(tier())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "replay"


def test_torch_gets_no_more_threads_than_this_process_has_cores():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(64)
        assert fit_threads() == torch.get_num_threads() == max(1, int(usable_cores()))
        torch.set_num_threads(1)
        assert fit_threads() == 1  # never more than before
    finally:
        torch.set_num_threads(before)
