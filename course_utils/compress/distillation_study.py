"""The study of chapter 06: one student, four ways to train it, at equal tokens and at equal compute, three seeds.

The teacher is the course's tiny model, the student has a quarter of its parameters. `alone` learns from the text,
`distilled` from the teacher's probabilities; both start from random weights. The two `pruned` ways start from the
teacher cut to the student's shape. All have the recipe that the teacher was trained with, none was tuned. A run is
a whole one: its learning rate ends with its budget, so that no curve is cut off in the middle.

`course record distillation` measures it again, in twenty minutes of one core; longer budgets are one line, STEPS.
The text is that which the teacher learned from, rebuilt from the installed documentation. `distillation_results`
reads what was recorded.
Taught in: chapter 06.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import torch

from course_utils.catalog.provenance import data_path
from course_utils.compress.distillation import Alone, Distill
from course_utils.compress.distillation_cost import (
    forward_flop_per_token,
    tokens_at_equal_flop,
    training_flop,
)
from course_utils.compress.distillation_lesson import QUARTER, Lesson, of_text
from course_utils.compress.distillation_start import from_scratch, pruned
from course_utils.compress.distillation_training import Plan, train
from course_utils.measure import corpus, load
from course_utils.measure.conversion import cache_folder

SEEDS = (1, 2, 3)
STEPS = (40, 400)  # budgets of those that have a teacher: 20 and 205 thousand tokens
WAYS = ("alone", "distilled", "pruned, alone", "pruned, distilled")
BATCH, LENGTH, HELD_OUT_ROWS = 4, 128, 32


@dataclass(frozen=True)
class Case:
    """A way to train, its seed and its steps. budget: the steps of the distilled run that it is held against."""

    way: str
    steps: int
    seed: int
    budget: int

    @property
    def key(self) -> str:
        return f"{self.way}/{self.steps} steps/seed {self.seed}"


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
            found += [Case(way, steps, seed + number, steps) for way in WAYS[1:]]
    return found


def steps_at_equal_compute(steps: int) -> int:
    """Steps of the student alone that cost what `steps` with the teacher do."""
    return round(tokens_at_equal_flop(steps, *flop_per_token()))


@cache
def flop_per_token() -> tuple[float, float]:
    """Forward FLOP per token of student and teacher, at the study's length."""
    teacher = load("tiny", device="cpu").model
    student = from_scratch(teacher, QUARTER)
    return forward_flop_per_token(student, LENGTH), forward_flop_per_token(teacher, LENGTH)


@cache
def material() -> Lesson:
    """The tiny model and all of the text that it learned from; reading the text takes half a minute."""
    text = corpus.documentation(progress=True).documents
    return of_text(load("tiny", device="cpu"), QUARTER, text, HELD_OUT_ROWS, LENGTH)


def measure(case: Case, lesson: Lesson | None = None) -> dict:
    """Train one case and return its losses, evaluations, FLOP and seconds; a killed run goes on where it stopped."""
    lesson = lesson or material()
    teacher, taught = lesson.teacher, case.way.endswith("distilled")
    plan = Plan(
        steps=case.steps,
        batch=BATCH,
        length=lesson.held_out.shape[1],
        seed=case.seed,
        evaluate_steps=max(10, case.steps // 4),
        precision="bfloat16",
    )
    read = 0  # tokens that the teacher reads for us to see what to cut: twice, for its parts and its channels
    if case.way.startswith("pruned"):
        rows = lesson.calibration(seed=case.seed)
        student, read = pruned(teacher, lesson.shape, rows, progress=False), 2 * sum(map(torch.numel, rows))
    else:
        student = from_scratch(teacher, lesson.shape, case.seed)
    folder = cache_folder() / "distillation" / case.key.replace("/", "-").replace(" ", "_").replace(",", "")
    before = lesson.score(student)
    objective = Distill(teacher) if taught else Alone()
    run = train(student, objective, lesson.tokens, plan, folder=folder, evaluate=lesson.score, label=case.key)
    shutil.rmtree(folder, ignore_errors=True)
    ours, theirs = (forward_flop_per_token(one, plan.length) for one in (student, teacher))
    return {
        "way": case.way,
        "steps": case.steps,
        "budget": case.budget,
        "seed": case.seed,
        "tokens": plan.tokens,
        "flop": training_flop(plan.tokens, ours, theirs if taught else 0.0) + read * theirs,
        "parameters": sum(p.numel() for p in student.parameters()),
        "held_out_before": round(before, 4),
        "held_out": round(run.evaluations[-1][1], 4),
        "evaluations": [[step, round(value, 4)] for step, value in run.evaluations],
        "losses": [round(value, 3) for value in run.losses[::5]],
        "seconds": round(run.seconds, 1),
    }


def measure_teacher(lesson: Lesson | None = None) -> dict:
    """The teacher on the same held-out rows, its parameters, and what it was trained with."""
    lesson = lesson or material()
    trained = json.loads((data_path("tiny_lm") / "record.json").read_text("utf-8"))
    tokens = trained["tokens_seen"]
    return {
        "way": "teacher",
        "held_out": round(lesson.score(lesson.teacher), 4),
        "parameters": sum(p.numel() for p in lesson.teacher.parameters()),
        "tokens": tokens,
        "trained_on": trained["as_of"],
        "flop": training_flop(tokens, forward_flop_per_token(lesson.teacher, LENGTH)),
    }
