"""A graded lab: which questions count, when it is due, what a late day costs; and the packs that say so.

A pack is a folder that only instructors have: `pack.toml`, and a module `chNN.py` for each chapter that has
graded questions of its own. A chapter without one is graded by its practice questions, whose references
everybody can read, on inputs from the secret seed.
"""

import csv
import hashlib
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path
from typing import Any

from course_utils.grading.checks import PRACTICE_SEED, seeded_inputs
from course_utils.grading.questions import Question, questions_of

SHORTEST_SEED = 8
CAPSTONE_LAB, CAPSTONE_FILES, CAPSTONE_POINTS = "ch12", ("benchmark.csv", "capstone.csv"), 10.0
CAPSTONE_SEED = 54  # the chapter's own, for whom no other is given
LIBRARY_ABSENT = "is not there when marks are given"  # what a kernel says of a name of the course's library


@dataclass(frozen=True, kw_only=True)
class GradedQuestion(Question):
    """A question that earns marks: its reference and inputs are the instructor's alone.

    card:    what students read above the stub: a title and the task, as Markdown
    example: arguments that students may see, in the card and in their feedback
    """

    card: str
    example: tuple[Any, ...]

    def __post_init__(self):
        super().__post_init__()
        signature(self.reference).bind(*self.example)


@dataclass(frozen=True)
class WrittenQuestion:
    """A question that a person marks: a text cell, queued in nbgrader's formgrader."""

    id: str
    points: float
    card: str


@dataclass(frozen=True)
class LatePolicy:
    """Every day that has begun after `grace_minutes` costs `percent_per_day` of the points, up to `most_percent`."""

    grace_minutes: float = 15
    percent_per_day: float = 10
    most_percent: float = 50

    def __post_init__(self):
        if (
            self.grace_minutes < 0
            or not 0 <= self.percent_per_day <= 100
            or not 0 <= self.most_percent <= 100
        ):
            raise ValueError(f"{self}: minutes are 0 or more, percent between 0 and 100")

    def lost_share(self, due: datetime | None, submitted_at: datetime | None) -> float:
        """The share of the points that is lost, 0 to 1; none where a time isn't known."""
        if due is None or submitted_at is None or submitted_at <= due + timedelta(minutes=self.grace_minutes):
            return 0.0
        days = -(-(submitted_at - due) // timedelta(days=1))
        return min(days * self.percent_per_day, self.most_percent) / 100


@dataclass(frozen=True)
class Lab:
    """One graded lab. `fingerprint` changes whenever its questions do: what was marked before is marked again."""

    id: str
    questions: tuple[Question, ...]
    written: tuple[WrittenQuestion, ...] = ()
    due: datetime | None = None
    late: LatePolicy = LatePolicy()
    fingerprint: str = ""
    capstone_seed: int = CAPSTONE_SEED
    capstone_seeds: Mapping[str, int] = field(default_factory=dict)

    @property
    def capstone_id(self) -> str:
        """The mark for the files of chapter 12; empty for a lab without files."""
        return f"{CAPSTONE_LAB}.files" if self.id == CAPSTONE_LAB else ""

    @property
    def ids(self) -> tuple[str, ...]:
        """Everything that has points, in the order of the marks."""
        files = (self.capstone_id,) if self.capstone_id else ()
        return (*(one.id for one in self.questions), *files, *(one.id for one in self.written))

    @property
    def points(self) -> float:
        files = CAPSTONE_POINTS if self.capstone_id else 0.0
        return files + sum(asked.points for asked in (*self.questions, *self.written))


def example_of(asked: Question) -> tuple[Any, ...]:
    """Arguments that a student may see: the pack's, or for a practice question its public ones."""
    if isinstance(asked, GradedQuestion):
        return asked.example
    return seeded_inputs(asked, PRACTICE_SEED)[0]


@cache
def lab(lab_id: str, pack: Path | None = None) -> Lab:
    """The lab of a chapter (`ch01`), from a pack where one is given. Raises ValueError, FileNotFoundError."""
    settings = pack_settings(pack) if pack else {}
    unknown = set(settings) - {"late", "labs"}
    if unknown:
        raise ValueError(
            f"{pack}/pack.toml: {sorted(unknown)[0]!r} is unknown; it has [late] and [labs.chNN]"
        )
    own = settings.get("labs", {}).get(lab_id, {})
    known = {"due", "seed", "seeds"} if lab_id == CAPSTONE_LAB else {"due"}
    if set(own) - known:
        raise ValueError(
            f"{pack}/pack.toml: [labs.{lab_id}] knows {', '.join(sorted(known))}, not {min(set(own) - known)!r}"
        )
    due = own.get("due")
    if due is not None and (not isinstance(due, datetime) or due.tzinfo is None):
        raise ValueError(
            f"{pack}/pack.toml: due={due} of {lab_id} needs a time with its zone: 2026-12-14T23:59:00Z"
        )
    rules = {
        "due": due,
        "late": LatePolicy(**settings.get("late", {})),
        "capstone_seed": own.get("seed", CAPSTONE_SEED),
        "capstone_seeds": read_seeds(pack / own["seeds"]) if pack and "seeds" in own else {},
    }
    source = pack / f"{lab_id}.py" if pack else None
    if source is None or not source.is_file():
        questions = tuple(questions_of(lab_id).values())
        return Lab(lab_id, questions, fingerprint=digest("".join(map(source_of, questions))), **rules)
    module = load(source)
    questions, written = tuple(module.QUESTIONS), tuple(getattr(module, "WRITTEN", ()))
    ids = [asked.id for asked in (*questions, *written)]
    for asked in ids:
        if ids.count(asked) > 1 or not asked.startswith(f"{lab_id}."):
            raise ValueError(f"{source}: question id {asked!r} is repeated, or not one of {lab_id}")
    return Lab(lab_id, questions, written, fingerprint=digest(source.read_text("utf-8")), **rules)


def read_seeds(path: Path) -> dict[str, int]:
    """Everybody's own seed for the capstone, from a CSV with student_id and seed."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return {row["student_id"]: int(row["seed"]) for row in rows}
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} needs the columns student_id and seed, a whole number") from None


def pack_settings(pack: Path) -> dict[str, Any]:
    if not pack.is_dir():
        raise FileNotFoundError(f"no instructors' pack in {pack}")
    path = pack / "pack.toml"
    try:
        return tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None


def load(source: Path) -> Any:
    """A pack's module, by its path: it is no part of any package."""
    name = f"instructors_pack_{digest(str(source.resolve()))[:12]}"
    spec = spec_from_file_location(name, source)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def secret_seed() -> str:
    """COURSE_SEED, from the environment. Raises ValueError where it is missing or short."""
    seed = os.environ.get("COURSE_SEED", "")
    if len(seed) < SHORTEST_SEED:
        raise ValueError(
            f"COURSE_SEED must be set to a secret of yours, {SHORTEST_SEED} characters or more: students' "
            "answers are tried on inputs drawn from it, the same for the whole class"
        )
    return seed


def seed_of(secret: str, question_id: str) -> int:
    """A question's own seed: knowing the inputs of one says nothing about another's."""
    return int.from_bytes(hashlib.sha256(f"{secret}\0{question_id}".encode()).digest()[:8], "big")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def source_of(asked: Question) -> str:
    from inspect import getsource

    return asked.id + getsource(asked.reference) + getsource(asked.inputs)
