"""The study of chapter 06: one student, four ways to train it, at equal tokens and at equal compute, three seeds.

The teacher is the course's tiny model, the student has a quarter of its parameters. `alone` learns from the text,
`distilled` from the teacher's probabilities; both start from random weights. The two `pruned` ways start from the
teacher cut to the student's shape. All have the recipe that the teacher was trained with, none was tuned. A run is
a whole one: its learning rate ends with its budget, so that no curve is cut off in the middle.

`course record distillation` measures it again, in some half an hour of one core. The text is that which the
teacher learned from, rebuilt from the installed documentation.
Taught in: chapter 06.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from course_utils.catalog.provenance import data_path
from course_utils.compress.distillation import Alone, Distill
from course_utils.compress.distillation_cost import (
    forward_flop_per_token,
    tokens_at_equal_flop,
    training_flop,
)
from course_utils.compress.distillation_start import Shape, from_scratch, pruned
from course_utils.compress.distillation_training import Plan, losses_on, train
from course_utils.measure import corpus, load
from course_utils.measure.conversion import cache_folder

QUARTER = Shape(hidden=128, intermediate=256, layers=4, heads=2)
SEEDS = (1, 2, 3)
STEPS = (40, 160)  # budgets of those that have a teacher: 0.08 and 0.33 million tokens
WAYS = ("alone", "distilled", "pruned, alone", "pruned, distilled")
HELD_OUT_ROWS, CALIBRATION_ROWS = 32, 16


@dataclass(frozen=True)
class Case:
    """A way to train, its seed and its steps; `equal` says whom it can be held against: tokens, compute or both."""

    way: str
    steps: int
    seed: int
    budget: int

    @property
    def key(self) -> str:
        return f"{self.way}/{self.steps} steps/seed {self.seed}"


@dataclass(frozen=True)
class Material:
    """What every run of the study shares: teacher, token ids to learn from, rows of held-out ids, context tokens."""

    teacher: object
    tokenizer: object
    tokens: np.ndarray
    held_out: torch.Tensor
    length: int


def cases(seed: int) -> Iterator[tuple[str, Callable[[], dict]]]:
    """For `course record distillation`: runs that need no teacher first, then the teacher, then its students."""
    runs = plan_of_study(seed)
    alone = [case for case in runs if case.way == "alone"]
    taught = [case for case in runs if case.way != "alone"]
    yield from ((case.key, lambda case=case: measure(case)) for case in alone)
    yield "teacher", measure_teacher
    yield from ((case.key, lambda case=case: measure(case)) for case in taught)


def plan_of_study(seed: int) -> list[Case]:
    """All runs. The student alone also gets as many steps as cost what a distilled run costs, teacher included."""
    found = []
    for number in SEEDS:
        for steps in STEPS:
            found += [Case("alone", n, seed + number, steps) for n in (steps, steps_at_equal_compute(steps))]
    for number in SEEDS:
        for steps in STEPS:
            found += [Case(way, steps, seed + number, steps) for way in WAYS[1:]]
    return found


def steps_at_equal_compute(steps: int) -> int:
    student, teacher = flop_per_token()
    return round(tokens_at_equal_flop(steps, student, teacher))


@cache
def flop_per_token() -> tuple[float, float]:
    """Forward FLOP per token of student and teacher, at the study's length."""
    teacher = load("tiny", device="cpu").model
    student = from_scratch(teacher, QUARTER)
    length = Plan(steps=1).length
    return forward_flop_per_token(student, length), forward_flop_per_token(teacher, length)


def measure(case: Case, material: Material | None = None, plan: Plan | None = None) -> dict:
    """Train one case and return its losses, evaluations, FLOP and seconds; a killed run goes on where it stopped."""
    there = material or study_material()
    plan = plan or Plan(
        steps=case.steps,
        seed=case.seed,
        evaluate_steps=max(10, case.steps // 4),
        precision="bfloat16",
    )
    teacher = there.teacher
    if case.way.startswith("pruned"):
        rows = calibration(there, case.seed)
        student = pruned(teacher, QUARTER, rows, progress=False)
    else:
        student = from_scratch(teacher, QUARTER, case.seed)
    taught = case.way.endswith("distilled")
    folder = cache_folder() / "distillation" / case.key.replace("/", "-").replace(" ", "_").replace(",", "")
    before = losses_on(student, there.held_out)
    run = train(
        student,
        Distill(teacher) if taught else Alone(),
        there.tokens,
        plan,
        folder=folder,
        evaluate=lambda one: losses_on(one, there.held_out),
        label=case.key,
    )
    shutil.rmtree(folder, ignore_errors=True)
    ours, theirs = (forward_flop_per_token(one, plan.length) for one in (student, teacher))
    return {
        "way": case.way,
        "steps": case.steps,
        "budget": case.budget,
        "seed": case.seed,
        "tokens": plan.tokens,
        "flop": training_flop(plan.tokens, ours, theirs if taught else 0.0),
        "parameters": sum(p.numel() for p in student.parameters()),
        "held_out_before": round(before, 4),
        "held_out": round(run.evaluations[-1][1], 4),
        "evaluations": [[step, round(value, 4)] for step, value in run.evaluations],
        "losses": [round(value, 3) for value in run.losses[::5]],
        "seconds": round(run.seconds, 1),
    }


def measure_teacher() -> dict:
    """The teacher on the same held-out rows, its parameters, and what it was trained with."""
    there = study_material()
    trained = json.loads((data_path("tiny_lm") / "record.json").read_text("utf-8"))
    return {
        "way": "teacher",
        "held_out": round(losses_on(there.teacher, there.held_out), 4),
        "parameters": sum(p.numel() for p in there.teacher.parameters()),
        "tokens": trained["tokens_seen"],
        "trained_on": trained["as_of"],
        "flop": training_flop(trained["tokens_seen"], flop_per_token()[1]),
    }


def calibration(material: Material, seed: int) -> list[torch.Tensor]:
    """Rows of the text that say which parts of the teacher matter: other rows for every seed."""
    pieces = len(material.tokens) // material.length
    starts = (
        np.random.default_rng([seed, 6]).choice(pieces, CALIBRATION_ROWS, replace=False) * material.length
    )
    rows = np.stack([material.tokens[at : at + material.length] for at in starts]).astype(np.int64)
    return list(torch.from_numpy(rows).split(8))


@cache
def study_material() -> Material:
    """The tiny model and all of the text that it learned from; reading the text takes half a minute."""
    return material(corpus.documentation(progress=True).documents)


def material(documents, held_out_rows: int = HELD_OUT_ROWS, length: int = 256) -> Material:
    """Tokens of `documents`, each after the token that starts a text, in an order that is always the same.

    Held-out rows are evenly spread over the Python language reference, which is none of the documents.
    """
    model, tokenizer, _ = load("tiny", device="cpu")
    start = tokenizer.bos_token_id
    order = np.random.default_rng(0).permutation(len(documents))
    texts = [documents[at] for at in order]
    encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    ids = np.concatenate([np.array([start, *one], dtype=np.uint16) for one in encoded])
    unseen = tokenizer(corpus.held_out(), add_special_tokens=False, verbose=False)["input_ids"]
    starts = [at * (len(unseen) - length) // (held_out_rows - 1) for at in range(held_out_rows)]
    rows = torch.tensor([unseen[at : at + length] for at in starts])
    return Material(model, tokenizer, ids, rows, length)


def folder_of(name: str) -> Path:
    """Where the chapter's live run keeps its checkpoints."""
    return cache_folder() / "distillation" / name
