"""What a question is: a reference, seeded inputs, what counts as equal, the mistakes people really make."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any

from course_utils.grading import cases

_ID = re.compile(r"ch\d\d\.[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Misconception:
    """A plausible wrong answer and the hint that it deserves.

    `wrong` takes the reference's arguments. A student whose function answers like `wrong` on every input gets
    `hint` and no points.
    """

    name: str
    wrong: Callable[..., Any]
    hint: str


@dataclass(frozen=True)
class Property:
    """What must hold for any right answer, checked on each input beside (or instead of) the value.

    `holds(answer, *args)` calls `answer`, the student's function, as often as it needs and returns True or
    False. Numbers come back from `answer` as float, sequences as lists, whatever the student returns.
    `says` completes the sentence "it must hold that …", for example "twice the traffic costs twice as much".
    """

    says: str
    holds: Callable[..., bool]


@dataclass(frozen=True)
class Question:
    """One question of a chapter.

    id             `ch01.q1`: the chapter's number and a short name
    points         what full marks are worth
    asks           what the function has to return, with its unit: "the cost of one request, in USD"
    reference      the right function; its argument names are the student's
    inputs         `inputs(rng)` returns argument tuples, edge cases included; `rng`: numpy.random.Generator
    close          relative tolerance of the comparison with the reference; None: only properties count
    misconceptions, properties   as their classes say
    """

    id: str
    points: float
    asks: str
    reference: Callable[..., Any]
    inputs: Callable[[Any], Iterable[Sequence[Any]]]
    close: float | None = 0.01
    misconceptions: tuple[Misconception, ...] = ()
    properties: tuple[Property, ...] = ()

    def __post_init__(self):
        if not _ID.fullmatch(self.id):
            raise ValueError(f"id={self.id!r} must look like 'ch01.q1'")
        if not self.points > 0:
            raise ValueError(f"points={self.points!r} of {self.id} must be above 0")
        if self.close is None and not self.properties:
            raise ValueError(f"close=None of {self.id} needs at least one property to check instead")
        if self.close is not None and not 0 < self.close < 0.5:
            raise ValueError(
                f"close={self.close!r} of {self.id} must be a ratio between 0 and 0.5, such as 0.01"
            )


@cache
def questions_of(chapter: str) -> dict[str, Question]:
    """All questions of a chapter (`"ch01"`) by id, in their order.

    Raises ValueError for a chapter without questions, and for two questions with one id.
    """
    if chapter not in cases.chapters():
        raise ValueError(f"chapter={chapter!r} has no questions; these have: {', '.join(cases.chapters())}")
    found: dict[str, Question] = {}
    for question in import_module(f"{cases.__name__}.{chapter}").QUESTIONS:
        if question.id in found or not question.id.startswith(f"{chapter}."):
            raise ValueError(f"question id {question.id!r} is repeated, or not one of {chapter}")
        found[question.id] = question
    return found


def question(question_id: str) -> Question:
    """The question with this id. Raises ValueError that offers the nearest ones."""
    chapter, _, _ = str(question_id).partition(".")
    known = questions_of(chapter) if chapter in cases.chapters() else {}
    if question_id in known:
        return known[question_id]
    if not isinstance(question_id, str):
        raise ValueError(
            f'question_id={question_id!r} is not a question: write check("ch01.q1", your_function), the name first'
        )
    everything = [name for chapter in cases.chapters() for name in questions_of(chapter)]
    padded = re.sub(r"^(?:ch)?(\d)\.", r"ch0\1.", question_id)  # ch1.q1 is meant to be ch01.q1, not ch11.q1
    nearest = get_close_matches(padded, everything, n=3, cutoff=0.3) or everything[:3]
    raise ValueError(f"question_id={question_id!r} is not a question; the nearest are {', '.join(nearest)}")
