"""What matters most, and what would have to be true for the other road to win.

`estimate.uncertainty.tornado` moves each input to the ends of its range; this finds the value at which a decision
turns, whether or not it lies within the range.
Taught in: chapter 11, section 5.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from course_utils.catalog.provenance import short_number
from course_utils.decide.break_even import bisected


@dataclass(frozen=True)
class Tipping:
    """The nearest value of one input, the others as they are, at which the result changes its sign.

    None: nowhere between the ends that were searched.
    """

    name: str
    base: float
    turns_at: float | None

    def __str__(self) -> str:
        name = self.name.replace("_", " ")
        if self.turns_at is None:
            return f"{name}: no value turns the decision"
        return f"{name}: turns at {short_number(self.turns_at)} (now {short_number(self.base)})"


def tipping_points(
    result: Callable[..., float],
    base: Mapping[str, float],
    ends: Mapping[str, tuple[float, float]],
    steps: int = 24,
) -> list[Tipping]:
    """For each input of `ends`: where `result(**base)` changes its sign as that input alone moves to either end.

    Nearest first, by the way from the base over the way to that end. Between two steps a result that turns twice
    goes unseen; an end that changes nothing isn't searched. ValueError where an end lies on the wrong side.
    """
    now = result(**base)
    wins, found = now >= 0, []
    for name, (low, high) in ends.items():
        if not low <= base[name] <= high:
            raise ValueError(f"ends[{name!r}]=({low!r}, {high!r}): the base {base[name]!r} must lie between")
        moves = [end for end in (low, high) if result(**{**base, name: end}) != now]
        turns = [_turn(result, base, name, end, wins, steps) for end in moves]
        near = [(share, at) for share, at in turns if at is not None]
        found.append(
            (min(near)[0] if near else np.inf, Tipping(name, base[name], min(near)[1] if near else None))
        )
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _turn(result, base, name: str, end: float, wins: bool, steps: int) -> tuple[float, float | None]:
    """(share of the way, value) at which the decision turns between the base and one end."""
    start = base[name]
    # Prices and traffic move by ratios; what is 0 or below moves by steps.
    path = np.geomspace(start, end, steps) if start > 0 and end > 0 else np.linspace(start, end, steps)

    def other_side(value: float) -> float:
        got = result(**{**base, name: value})
        return -got - 1e-300 if wins else got

    for number in range(1, steps):
        if other_side(float(path[number])) >= 0:
            share = _between(other_side, float(path[number - 1]), float(path[number]))
            return number / (steps - 1), share
    return np.inf, None


def _between(other_side: Callable[[float], float], before: float, after: float) -> float:
    if before < after:
        return bisected(other_side, before, after)
    # The same search on a mirrored axis: bisected wants its two ends in rising order.
    return -bisected(lambda mirrored: other_side(-mirrored), -before, -after)
