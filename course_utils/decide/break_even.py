"""From which traffic on is one road cheaper than another, and how sure is that?

Machines come in whole numbers, so the difference of two roads is a staircase: it may cross zero more than once.
`break_even_traffic` gives the first crossing and the one after which it stays, and between them it depends on the step.
Taught in: chapter 11, sections 1 and 2.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from course_utils.decide.cash_flow import cash_flow_of
from course_utils.decide.demand import Workload
from course_utils.decide.roads import Road

GRID_PER_DECADE, FINE_POINTS = 20, 200


@dataclass(frozen=True)
class BreakEven:
    """Requests a day of the first month. `first`: from there on the machines can be cheaper; `last`: they stay so.

    Infinite: not within what was searched. 0: cheaper from the first request on.
    """

    first_requests_per_day: float
    last_requests_per_day: float

    @property
    def happens(self) -> bool:
        return self.last_requests_per_day < inf


def break_even_traffic(
    road: Road,
    other: Road,
    workload: Workload,
    months: int = 36,
    discount_per_year: float = 0.0,
    most_requests_per_day: float = 1e8,
) -> BreakEven:
    """Traffic from which `road` costs no more than `other`, over all months, growth and price changes included.

    The same workload at other volumes, from 1 request a day to the most. Each crossing is found to a part in 10^12.
    """

    def saving(requests_per_day: float) -> float:
        there = replace(workload, requests_per_day=requests_per_day)
        mine, theirs = (
            cash_flow_of(one, there, months).present_usd(discount_per_year) for one in (road, other)
        )
        return theirs - mine

    return crossings(saving, 1.0, most_requests_per_day)


def crossings(
    saving: Callable[[float], float],
    low: float,
    high: float,
    per_decade: int = GRID_PER_DECADE,
    fine_points: int = FINE_POINTS,
    tolerance: float = 1e-12,
) -> BreakEven:
    """First and last crossing of a saving from below zero to zero or above: seen on a grid, then bisected."""
    if not 0 < low < high:
        raise ValueError(f"low={low!r}, high={high!r}: 0 < low < high is needed")
    coarse = np.geomspace(low, high, max(2, int(per_decade * np.log10(high / low)) + 1))
    pays = _pays(saving, coarse)
    if pays.all():
        return BreakEven(0.0, 0.0)
    turns = np.flatnonzero(pays[:-1] != pays[1:])
    if not turns.size:
        return BreakEven(inf, inf)
    # One stair may turn the decision back within a coarse step: look again, closely, where it turns at all.
    fine = np.geomspace(
        coarse[max(turns[0] - 1, 0)], coarse[min(turns[-1] + 2, coarse.size - 1)], fine_points
    )
    grid = np.unique(np.concatenate([coarse, fine]))
    pays = _pays(saving, grid)
    ups = np.flatnonzero(~pays[:-1] & pays[1:])
    first = bisected(saving, *grid[ups[0] : ups[0] + 2], tolerance) if ups.size else inf
    last = bisected(saving, *grid[ups[-1] : ups[-1] + 2], tolerance) if ups.size and pays[-1] else inf
    return BreakEven(0.0 if pays[0] else first, last)


def _pays(saving: Callable[[float], float], grid: np.ndarray) -> np.ndarray:
    return np.array([saving(float(at)) >= 0 for at in grid])


def bisected(saving: Callable[[float], float], below: float, above: float, tolerance: float = 1e-12) -> float:
    """Where the saving turns from negative (at `below`) to zero or more (at `above`), to `tolerance` of it."""
    below, above = float(below), float(above)
    while above - below > tolerance * above:
        middle = (below + above) / 2
        if not below < middle < above:
            break
        below, above = (below, middle) if saving(middle) >= 0 else (middle, above)
    return above
