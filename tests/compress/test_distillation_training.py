"""The training loop: seeded, killed and resumed bit for bit, stopped early, loud when it diverges, no pickle."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import LlamaConfig, LlamaForCausalLM

from course_utils.compress.distillation import Alone, Distill
from course_utils.compress.distillation_checkpoints import FILE, step_of
from course_utils.compress.distillation_losses import HiddenMatch
from course_utils.compress.distillation_training import Diverged, Plan, losses_on, train

VOCABULARY = 64
PLAN = Plan(steps=12, batch=2, length=16, seed=3, checkpoint_steps=5, evaluate_steps=4)


def model(hidden=16, layers=1, seed=0, vocabulary=VOCABULARY, dropout=0.0):
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=32,
            tie_word_embeddings=True,
            attention_dropout=dropout,
        )
    )


def text(count=2000):
    """A row of ids with something to learn: each is most often the last one plus one."""
    rng = np.random.default_rng(0)
    return ((np.arange(count) + rng.integers(0, 2, count)) % VOCABULARY).astype(np.uint16)


def trained(folder=None, plan=PLAN, student=None, objective=None, **more):
    student = student or model(dropout=0.2)
    run = train(student, objective or Alone(), text(), plan, folder=folder, progress=False, **more)
    return student, run


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_student_learns():
    student, run = trained(plan=replace(PLAN, steps=60, peak_lr=1e-2))
    assert np.mean(run.losses[-5:]) < 0.8 * np.mean(run.losses[:5])
    assert (run.step, run.stopped, len(run.losses)) == (60, "finished", 60)
    assert not student.training


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before():
    one, _ = trained()
    torch.rand(7)
    other, _ = trained()
    assert equal(one, other)
    assert not equal(one, trained(plan=replace(PLAN, seed=4))[0])


def test_training_leaves_the_global_seed_alone():
    student = model(dropout=0.2)
    before = torch.get_rng_state()
    trained(student=student)
    assert torch.equal(torch.get_rng_state(), before)


# --- interrupted --------------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


class StopsAt:
    """An objective that is interrupted in the middle of a step, once."""

    def __init__(self, objective, calls):
        self.objective, self.calls = objective, calls

    def loss(self, student, ids):
        self.calls -= 1
        if self.calls < 0:
            raise Interrupted
        return self.objective.loss(student, ids)

    def __getattr__(self, name):
        return getattr(self.objective, name)


def objectives(name):
    teacher = model(hidden=32, layers=2, seed=9)
    return {
        "alone": lambda: Alone(),
        "distilled": lambda: Distill(teacher, temperature=2.0, soft_share=0.5),
        "hidden states": lambda: Distill(teacher, hidden=HiddenMatch(model().config, teacher.config)),
    }[name]()


@pytest.mark.parametrize("name", ["alone", "distilled", "hidden states"])
def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, name):
    def evaluate(student):
        return losses_on(student, torch.arange(32)[None] % VOCABULARY)

    through, whole = trained(objective=objectives(name), evaluate=evaluate)
    with pytest.raises(Interrupted):
        trained(tmp_path, objective=StopsAt(objectives(name), 8), evaluate=evaluate)
    resumed, run = trained(tmp_path, objective=objectives(name), evaluate=evaluate)
    assert run.resumed_from == 5
    assert equal(through, resumed)
    assert run.losses == whole.losses
    assert run.evaluations == whole.evaluations


KILLED = """
    import sys, os, torch
    torch.set_num_threads(1)
    sys.path.insert(0, {here!r})
    import test_distillation_training as here
    from pathlib import Path

    class Says:
        def loss(self, student, ids):
            print("step", flush=True)
            return here.Alone().loss(student, ids)
        def __getattr__(self, name):
            return getattr(here.Alone(), name)

    here.trained(Path({folder!r}), plan=here.Plan(steps=4000, batch=2, length=16, checkpoint_steps=5), objective=Says())
"""


def test_a_killed_process_loses_at_most_one_interval(tmp_path):
    """Really killed: SIGKILL, which no Python code can catch, in the middle of training."""
    code = textwrap.dedent(KILLED).format(here=os.path.dirname(__file__), folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for _ in range(23):
        assert process.stdout.readline().startswith("step")
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    begun = 23 + sum(line.startswith("step") for line in process.stdout)  # what it did until the signal came
    assert process.wait() != 0
    done = begun - 1  # it was in this step, or between two
    assert step_of(tmp_path) >= done - 5
    plan = Plan(steps=4000, batch=2, length=16, checkpoint_steps=5)
    through = StopsAt(Alone(), done + 3)
    with pytest.raises(Interrupted):
        trained(tmp_path, plan=plan, objective=StopsAt(Alone(), done + 3 - step_of(tmp_path)))
    with pytest.raises(Interrupted):
        trained(tmp_path / "never killed", plan=plan, objective=through)
    kept, fresh = (losses_of(folder) for folder in (tmp_path, tmp_path / "never killed"))
    assert kept == fresh


def losses_of(folder):
    with safe_open(folder / FILE, framework="pt") as file:
        return json.loads(file.metadata()["run"])["losses"]


def test_a_half_written_checkpoint_beside_a_whole_one_is_ignored(tmp_path):
    with pytest.raises(Interrupted):
        trained(tmp_path, objective=StopsAt(Alone(), 8))
    (tmp_path / f"{FILE}.part").write_bytes(b"cut off")
    assert trained(tmp_path)[1].resumed_from == 5


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, _ = trained(tmp_path)
    again, run = trained(tmp_path)
    assert equal(first, again)
    assert (run.resumed_from, run.step) == (12, 12)


def test_a_checkpoint_is_safetensors_with_json_and_holds_no_pickle(tmp_path):
    trained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    with safe_open(tmp_path / FILE, framework="pt") as file:
        assert json.loads(file.metadata()["run"])["step"] == 12
        names = list(file.keys())
    assert any(name.startswith("weights.student.") for name in names)
    assert any(name.startswith("optimizer.exp_avg_sq.student.") for name in names)
    assert not any("lm_head" in name for name in names)  # tied: stored once


def test_a_checkpoint_of_another_run_is_refused_saying_what_differs(tmp_path):
    trained(tmp_path)
    for what, arguments in {
        "plan": {"plan": replace(PLAN, peak_lr=1e-3)},
        "objective": {"objective": Distill(model(seed=8))},
        "shapes": {"student": model(hidden=32)},
    }.items():
        with pytest.raises(ValueError, match=f"another run: its {what} differs"):
            trained(tmp_path, **arguments)
    with pytest.raises(ValueError, match="tokens_sha256 differs"):
        train(model(), Alone(), text()[1:], PLAN, folder=tmp_path, progress=False)


def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path):
    (tmp_path / FILE).write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="is no checkpoint of a run"):
        trained(tmp_path)


# --- stopped ------------------------------------------------------------------------------------------------


def test_early_stop_ends_with_the_weights_of_the_best_evaluation(tmp_path):
    figures = iter([3.0, 1.0, 2.0, 2.5, 0.1])
    seen = []

    def evaluate(student):
        seen.append([p.clone() for p in student.parameters()])
        return next(figures)

    plan = replace(PLAN, steps=40, evaluate_steps=4, patience=2)
    student, run = trained(tmp_path, plan=plan, evaluate=evaluate)
    assert (run.stopped, run.step, run.best) == ("early", 16, (8, 1.0))
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), seen[1], strict=True))
    again, run = trained(tmp_path, plan=plan, evaluate=evaluate)
    assert run.stopped == "early"
    assert equal(student, again)


def test_a_diverging_loss_says_what_to_do_and_keeps_the_checkpoint(tmp_path):
    class Bad(Alone):
        def loss(self, student, ids):
            Bad.calls += 1
            return super().loss(student, ids) * (float("nan") if Bad.calls > 7 else 1)

    Bad.calls = 0
    with pytest.raises(Diverged, match=r"nan at step 7.*Lower peak_lr.*checkpoint of step 5 .* is kept"):
        trained(tmp_path, objective=Bad())
    assert step_of(tmp_path) == 5
    assert trained(tmp_path)[1].resumed_from == 5


def test_a_learning_rate_that_is_far_too_high_diverges():
    with pytest.raises(Diverged, match="no checkpoint was kept"):
        trained(plan=replace(PLAN, steps=200, peak_lr=30.0, warmup_steps=1, clip=1e9))


# --- plans and bad input ------------------------------------------------------------------------------------


def test_learning_rate_rises_to_its_peak_and_falls_to_a_twentieth():
    plan = Plan(steps=100, peak_lr=1.0, warmup_steps=10)
    rates = [plan.learning_rate(step) for step in range(100)]
    assert max(rates) == 1.0
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0.05 < rates[-1] < 0.06


def test_an_epoch_reads_every_piece_once():
    from course_utils.compress.distillation_training import _rows

    tokens = np.arange(320, dtype=np.uint16)
    plan = Plan(steps=10, batch=2, length=16)
    read = np.concatenate([_rows(tokens, plan, step) for step in range(10)])
    assert sorted(read.flatten()) == list(range(320))


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("length", 1), ("peak_lr", 0), ("patience", 0), ("precision", "int8"), ("batch", -1)],
)
def test_a_plan_that_makes_no_sense_names_the_field(field, value):
    with pytest.raises(ValueError, match=f"{field} is"):
        Plan(**{"steps": 1, field: value})


def test_too_few_tokens_and_patience_without_an_evaluation_are_refused():
    with pytest.raises(ValueError, match="at least length=16"):
        train(model(), Alone(), text(10), PLAN, progress=False)
    with pytest.raises(ValueError, match="patience is 3"):
        trained(plan=replace(PLAN, patience=3))
