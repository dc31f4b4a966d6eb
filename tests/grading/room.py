"""A small graded lab, and notebooks handed in for it."""

import json
from dataclasses import dataclass
from pathlib import Path

from course_utils.grading.grader import Grader
from course_utils.grading.marks import Graded
from course_utils.grading.sandbox import Limits
from course_utils.grading.submissions import Place

PACK = """
from course_utils.grading.labs import GradedQuestion, WrittenQuestion
from course_utils.grading.questions import Misconception


def numbers(rng):
    yield 12.0, 4.0
    for _ in range(5):
        yield float(rng.integers(100, 10_000)), float(rng.integers(2, 90))


def ask(name, reference):
    return GradedQuestion(
        id=f"ch01.{name}", points=2, asks="a number", reference=reference, inputs=numbers, close=1e-6,
        example=(10.0, 5.0), card="### Task",
        misconceptions=(Misconception("sum", lambda a, b: a + b, "You add. What a share is, division says."),),
    )


def share(a, b):
    return a / b


def product(a, b):
    return a * b


def squares(a, b):
    return a**2 + b**2


QUESTIONS = (ask("g1", share), ask("g2", product), ask("g3", squares))
WRITTEN = (WrittenQuestion("ch01.w1", 3, "In your own words."),)
"""

HONEST = {
    "g1": "def share(a, b):\n    return a / b",
    "g2": "def product(a, b):\n    return a * b",
    "g3": "def squares(a, b):\n    return a**2 + b**2",
}
BLANK = "def f(a, b):\n    # YOUR CODE HERE\n    raise NotImplementedError()"


def code(source, name="", **more):
    metadata = {"nbgrader": {"grade_id": f"ch01-{name}", "solution": True}} if name else {}
    return {"cell_type": "code", "id": name, "metadata": metadata, "source": source, "outputs": [], **more}


def text(source, name):
    return {
        "cell_type": "markdown",
        "id": name,
        "source": source,
        "metadata": {"nbgrader": {"grade_id": f"ch01-{name}"}},
    }


def notebook(*cells, imports="import numpy as np\nfrom course_utils.grading import check"):
    first = [code(imports, id="imports")] if imports is not None else []
    return {"cells": [*first, *cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@dataclass
class Room:
    """A folder of submissions, and the pack that they are graded by."""

    folder: Path
    pack: Path
    limits: Limits

    @property
    def submitted(self) -> Path:
        return self.folder / "submitted"

    def grader(self, **more) -> Grader:
        return Grader("ch01", self.pack, "the seed of this room", self.limits, **more)

    def hand_in(self, student: str, *cells, **changed) -> Place:
        """A notebook: `cells` as they are, else honest answers, of which `changed` replaces some."""
        cells = cells or tuple(code(changed.get(name, source), name) for name, source in HONEST.items())
        return self.hand_in_bytes(student, json.dumps(notebook(*cells)).encode())

    def hand_in_bytes(self, student: str, data: bytes) -> Place:
        path = self.submitted / student / "lab.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return Place(student, self.submitted, (f"{student}/lab.ipynb",))

    def grade(self, student: str = "ada", *cells, **changed) -> Graded:
        return self.grader().grade(self.hand_in(student, *cells, **changed))


def make_room(folder: Path) -> Room:
    pack = folder / "pack"
    pack.mkdir()
    (pack / "ch01.py").write_text(PACK)
    return Room(folder, pack, Limits(cell_s=4, call_s=0.5, memory_mb=1024))


def points(graded: Graded) -> dict[str, float]:
    return {mark.question_id.removeprefix("ch01."): mark.points for mark in graded.marks}
