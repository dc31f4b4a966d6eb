"""What chapter 05 rests on, as recorded: raw losses, and the order of the methods in paired intervals."""

import pytest
import torch

from course_utils.compress import pruning_runs
from course_utils.compress.pruning_runs import METHODS, calibration, quality_of
from course_utils.measure.models import load
from course_utils.measure.recorded import recording
from course_utils.measure.scores import paired


@pytest.fixture(scope="module")
def recorded():
    return recording("pruning")


def score(recorded, model, method, sparsity):
    return quality_of(recorded, f"{model} {method} {sparsity}")


each_model = pytest.mark.parametrize("model", ["smollm2", "tiny"])


@each_model
def test_at_a_half_magnitude_is_worse_than_wanda_and_wanda_no_better_than_sparsegpt(recorded, model):
    magnitude, wanda, sparsegpt = (score(recorded, model, method, 0.5) for method in METHODS)
    assert paired(magnitude, wanda).lo > 0
    assert paired(wanda, sparsegpt).hi > 0
    assert wanda.mean >= sparsegpt.mean


@each_model
@pytest.mark.parametrize("method", METHODS)
def test_two_of_four_is_worse_than_any_half(recorded, model, method):
    assert paired(score(recorded, model, method, "2:4"), score(recorded, model, method, 0.5)).lo > 0


@each_model
@pytest.mark.parametrize("method", METHODS)
def test_more_zeros_are_worse_and_every_row_counts_the_zeros_that_it_says(recorded, model, method):
    rows = {row["sparsity"]: row for row in recorded.rows if (row["model"], row["method"]) == (model, method)}
    shares = sorted(share for share in rows if not isinstance(share, str))
    means = [score(recorded, model, method, share).mean for share in shares]
    assert means == sorted(means)
    for share, row in rows.items():
        assert row["zeros_of_linears"] == pytest.approx(0.5 if share == "2:4" else share, abs=0.01)
        assert row["zeros_of_model"] < row["zeros_of_linears"]


@each_model
def test_rows_of_a_model_were_scored_on_the_same_windows(recorded, model):
    rows = [row for row in recorded.rows if row["model"] == model]
    assert len({(row["text_id"], row["setting"], len(row["losses"])) for row in rows}) == 1


def test_a_key_that_is_not_there_is_refused(recorded):
    with pytest.raises(ValueError, match=r"key is 'tiny wanda 0\.55', expected one of"):
        quality_of(recorded, "tiny wanda 0.55")


def test_the_keys_are_unique_and_those_of_the_recording(recorded):
    keys = [key for key, _ in pruning_runs.cases()]
    assert len(set(keys)) == len(keys)
    assert keys == [row["key"] for row in recorded.rows]


def test_calibration_is_drawn_with_its_seed_and_is_no_held_out_text():
    tokenizer = load("tiny", device="cpu").tokenizer
    one, again, other = (torch.cat(calibration(tokenizer, seed, sequences=16)) for seed in (0, 0, 1))
    assert one.shape == (16, 256)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    with pytest.raises(ValueError, match="sequences is 1000000, expected at most"):
        calibration(tokenizer, sequences=1_000_000)
