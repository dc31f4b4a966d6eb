"""Labelled pairs: two questions, and whether one answer is right for both."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from course_utils.catalog.provenance import data_path


@dataclass(frozen=True)
class Pair:
    """`cached` was asked before, `asked` now. `kind` says what differs; a `group` shares questions."""

    cached: str
    asked: str
    same_answer: bool
    kind: str = ""
    group: int = 0


def read_pairs(path: Path | None = None) -> tuple[Pair, ...]:
    """The pairs written for this course, `data/semantic_pairs.csv`, or yours: cached,asked,same_answer,kind.

    ValueError names the line whose same_answer is neither yes nor no, or whose question is empty.
    """
    path = path or data_path("semantic_pairs.csv")
    pairs = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            label, line = (row.get("same_answer") or "").strip().casefold(), len(pairs) + 2
            if label not in ("yes", "no"):
                raise ValueError(f"{path.name}, row {line}: same_answer={label!r}, yes or no is needed")
            if not (row.get("cached") or "").strip() or not (row.get("asked") or "").strip():
                raise ValueError(f"{path.name}, row {line}: cached and asked must hold a question each")
            pairs.append(Pair(row["cached"], row["asked"], label == "yes", row.get("kind") or ""))
    return grouped(pairs)


def fow_pairs() -> tuple[Pair, ...]:
    """The 600 pairs of fow-cache (Mabon ap Gwyn, 2026, CC BY 4.0). A pair whose label depends on the
    application counts as a trap, as there. ModuleNotFoundError where the wheel is missing.
    """
    try:
        from fow_cache.data import load_questions
    except ModuleNotFoundError:
        raise ModuleNotFoundError("the test set is not installed: pip install fow-cache") from None
    return grouped(
        Pair(row["a"], row["b"], bool(row["same_answer"] and not row.get("ambiguous")), row["category"])
        for row in load_questions()
    )


def grouped(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The pairs with `group` set: pairs that have a question in common, directly or through others, share it."""
    pairs = tuple(pairs)
    leader = list(range(len(pairs)))

    def find(one: int) -> int:
        while leader[one] != one:
            one = leader[one]
        return one

    first: dict[str, int] = {}
    for number, pair in enumerate(pairs):
        for text in (pair.cached, pair.asked):
            key = "".join(filter(str.isalnum, text.casefold()))
            leader[find(number)] = find(first.setdefault(key, number))
    return tuple(replace(pair, group=find(number)) for number, pair in enumerate(pairs))
