"""The training of the tiny model: what decides it, and that a killed run loses next to nothing."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from course_utils.compress import distillation_checkpoints as checkpoints

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_tiny_lm.py"
spec = importlib.util.spec_from_file_location("train_tiny_lm", SCRIPT)
training = importlib.util.module_from_spec(spec)
sys.modules["train_tiny_lm"] = training  # dataclasses look their module up
spec.loader.exec_module(training)


@pytest.fixture
def work(tmp_path):
    """What `prepare` leaves, from a text of two words."""
    ids = np.tile(np.arange(1, 65, dtype=np.uint16), 256)
    np.save(tmp_path / "ids.npy", ids)
    (tmp_path / "text.json").write_text(json.dumps({"sha256": "of two words"}))
    return tmp_path


def arguments(checkpoint_s=1e9):
    return argparse.Namespace(checkpoint_s=checkpoint_s, compile=False)


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    settings = training.Settings(steps=200, warmup=20)
    rates = [training.learning_rate(step, settings) for step in range(201)]
    assert max(rates) == rates[19] == pytest.approx(settings.peak_lr)
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[200] == pytest.approx(settings.peak_lr / 20)


def test_each_epoch_reads_every_piece_once_in_an_order_of_its_own():
    settings = training.Settings(batch=4)
    steps = [training._rows(step, settings, 20) for step in range(10)]
    first, second = list(chain(*steps[:5])), list(chain(*steps[5:]))
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second


def test_the_same_seed_gives_the_same_weights():
    one, same, other = (training.new_model(seed, 256).state_dict() for seed in (1, 1, 2))
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


def test_each_width_is_a_multiple_of_128_and_the_size_as_promised():
    model = training.new_model(0, 256)
    assert 4e6 <= sum(p.numel() for p in model.parameters()) <= 8e6
    for name, parameter in model.named_parameters():
        assert all(size % 128 == 0 for size in parameter.shape), name


def test_training_lowers_the_loss_and_ends_in_a_checkpoint(work):
    settings = training.Settings(steps=6, batch=2, warmup=2)
    _, history = training.train(settings, {"sha256": "of two words"}, work, arguments())
    assert len(history.losses) == 6
    assert history.losses[-1] < history.losses[0]
    assert checkpoints.step_of(work) == 6


def test_a_killed_run_goes_on_from_its_last_checkpoint(work):
    command = [sys.executable, str(SCRIPT), "--steps", "5000", "--batch", "1", "--checkpoint-s", "0"]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(
        [*command, "--work", str(work), "--out", str(work / "out")],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 120
        while not (work / checkpoints.FILE).exists() and run.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        run.kill()
        run.wait()
    with safe_open(work / checkpoints.FILE, framework="pt") as file:
        state = json.loads(file.metadata()["run"])
    assert len(state["losses"]) == state["step"] >= 1
    assert not (work / "out").exists(), "nothing is published before the end"
    settings = training.Settings(steps=state["step"] + 1, batch=1)
    _, history = training.train(settings, {"sha256": "of two words"}, work, arguments())
    assert history.losses[:-1] == state["losses"]
    assert [run["from_step"] for run in history.runs] == [0, state["step"]]


def test_a_checkpoint_of_another_text_or_seed_is_not_gone_on_with(work):
    training.train(training.Settings(steps=1, batch=1), {"sha256": "of two words"}, work, arguments())
    for settings, text in (
        (training.Settings(batch=1, seed=1), "of two words"),
        (training.Settings(batch=1), "other"),
    ):
        with pytest.raises(SystemExit, match="--fresh"):
            training.train(settings, {"sha256": text}, work, arguments())


def test_nonsense_on_the_command_line_is_refused():
    done = subprocess.run([sys.executable, str(SCRIPT), "--steps", "0"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--steps is 0" in done.stderr
