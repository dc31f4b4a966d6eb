"""Total cost of ownership: several roads to the same answers, compared over the same months and under the same limits.

    inputs = Inputs(requests_per_day=30_000)
    found = compare(roads_of(inputs, api_price("o4-mini"), api_price("gpt-oss-120b", "together")), inputs.workload())
    print(found.table()); found.winner.name

Any object with a `name`, `facts` and `costs(workload, months)` is a road: your own contract, for example.
Taught in: chapter 11.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from course_utils.decide.break_even import crossings
from course_utils.decide.cash_flow import CashFlow, cash_flow_of
from course_utils.decide.constraints import Breach, Limits, binding, breaches
from course_utils.decide.demand import Workload
from course_utils.decide.inputs import Inputs, draws, moved, roads_of, search_ends
from course_utils.decide.roads import Road

if TYPE_CHECKING:
    import pandas as pd

    from course_utils.catalog.api_prices import ApiPrice


@dataclass(frozen=True, eq=False)
class Comparison:
    """Roads with their cash flows and what limits they break."""

    roads: Mapping[str, Road] = field(repr=False)
    flows: Mapping[str, CashFlow] = field(repr=False)
    broken: Mapping[str, tuple[Breach, ...]] = field(repr=False)
    workload: Workload = field(repr=False)
    limits: Limits
    discount_per_year: float

    def present_usd(self, name: str) -> float:
        return self.flows[name].present_usd(self.discount_per_year)

    @property
    def ranked(self) -> list[str]:
        """Roads that keep every limit, cheapest first."""
        return sorted((name for name in self.flows if not self.broken[name]), key=self.present_usd)

    @property
    def winner(self) -> CashFlow:
        """Cheapest road that keeps every limit. ValueError where none does: which limit binds, and by how much."""
        if not self.ranked:
            raise ValueError(binding(self.broken))
        return self.flows[self.ranked[0]]

    def table(self) -> "pd.DataFrame":
        """A row a road, cheapest first: first and last month, total, present cost, and what it breaks."""
        import pandas as pd

        rows = {}
        for name in sorted(self.flows, key=self.present_usd):
            flow = self.flows[name]
            rows[name] = {
                "first month": flow.by_month_usd[0],
                "last month": flow.by_month_usd[-1],
                "total": flow.total_usd,
                "present cost": self.present_usd(name),
                "breaks": "; ".join(one.limit for one in self.broken[name]),
            }
        return pd.DataFrame(rows).T

    def parts_table(self) -> "pd.DataFrame":
        """USD over all months: a row a part, a column a road; the columns' sums are the totals."""
        import pandas as pd

        return pd.DataFrame({name: flow.by_part_usd for name, flow in self.flows.items()}).fillna(0.0)


def compare(
    roads: Mapping[str, Road],
    workload: Workload,
    months: int = 36,
    discount_per_year: float = 0.0,
    limits: Limits | None = None,
) -> Comparison:
    """Cash flow of every road under the same workload, and the limits that each breaks."""
    if not roads:
        raise ValueError("roads={}: one at least is needed")
    limits = limits or Limits()
    flows = {name: cash_flow_of(road, workload, months) for name, road in roads.items()}
    broken = {name: breaches(road, flows[name], workload, limits) for name, road in roads.items()}
    return Comparison(roads, flows, broken, workload, limits, discount_per_year)


@dataclass(frozen=True, eq=False)
class Band:
    """[months] of a road's cumulative cost over drawn inputs, USD: the middle, and the ends of the 80 % interval."""

    median_usd: np.ndarray
    lo_usd: np.ndarray
    hi_usd: np.ndarray


def bands(
    inputs: Inputs,
    commercial: "ApiPrice",
    open_api: "ApiPrice",
    count: int = 64,
    seed: int = 0,
    among: Collection[str] = (),
    held: Collection[str] = (),
) -> tuple[dict[str, Band], dict[str, float]]:
    """Cumulative cost of each road as a band, and in what share of the draws each is the cheapest in the end.

    among: roads that may win, where limits exclude the others; all of them if none is named.
    held: inputs that aren't drawn, because you know or move them.
    """
    sums: dict[str, list[np.ndarray]] = {}
    wins: dict[str, float] = {}
    for drawn in draws(inputs, count, seed, held):
        roads = roads_of(drawn, commercial, open_api)
        workload = drawn.workload()
        ends = {}
        for name, road in roads.items():
            flow = cash_flow_of(road, workload, inputs.months)
            sums.setdefault(name, []).append(flow.cumulative_usd)
            ends[name] = flow.present_usd(drawn.discount_per_year)
        cheapest = min(among or ends, key=lambda name: ends[name])
        wins[cheapest] = wins.get(cheapest, 0.0) + 1 / count
    found = {name: Band(*np.quantile(runs, (0.5, 0.1, 0.9), axis=0)) for name, runs in sums.items()}
    return found, {name: wins.get(name, 0.0) for name in sums}


def saving_usd(
    inputs: Inputs, mine: str, theirs: str, commercial: "ApiPrice", open_api: "ApiPrice", **changes: float
) -> float:
    """Present cost of `theirs` less that of `mine`: above 0, `mine` is cheaper. `changes`: inputs that move.

    What `estimate.uncertainty.tornado` and `sensitivity.tipping_points` ask for.
    """
    there = moved(inputs, changes)
    roads, workload = roads_of(there, commercial, open_api), there.workload()
    cost = {
        name: cash_flow_of(roads[name], workload, there.months).present_usd(there.discount_per_year)
        for name in (mine, theirs)
    }
    return cost[theirs] - cost[mine]


@dataclass(frozen=True)
class BreakEvenBand:
    """Requests a day from which `mine` stays cheaper than `theirs`: one break-even a draw, smallest first.

    Infinite: at no volume. 0: at every volume.
    """

    mine: str
    theirs: str
    requests_per_day: tuple[float, ...]

    @property
    def median(self) -> float:
        return self._quantile(0.5)

    @property
    def lo(self) -> float:
        return self._quantile(0.1)

    @property
    def hi(self) -> float:
        return self._quantile(0.9)

    @property
    def never(self) -> float:
        """Share of the draws without a break-even."""
        return self.requests_per_day.count(inf) / len(self.requests_per_day)

    def _quantile(self, share: float) -> float:
        return float(np.quantile(self.requests_per_day, share, method="inverted_cdf"))

    def __str__(self) -> str:
        if self.median == inf:
            return f"{self.mine} against {self.theirs}: no break-even in {self.never:.0%} of the draws"
        top = f"{self.hi:,.0f}" if self.hi < inf else "never"
        return (
            f"{self.mine} against {self.theirs}: from {self.median:,.0f} requests a day "
            f"(80 % interval {self.lo:,.0f} to {top})"
        )


def break_even_band(
    inputs: Inputs,
    mine: str,
    theirs: str,
    commercial: "ApiPrice",
    open_api: "ApiPrice",
    count: int = 32,
    seed: int = 0,
    held: Collection[str] = (),
) -> BreakEvenBand:
    """Break-even traffic under each of the drawn inputs: a band instead of one figure.

    Searched more coarsely than by `break_even_traffic`, as a band allows: to about 1 %, where stairs cross twice.
    """
    low, high = search_ends()["requests_per_day"]
    found = []
    for drawn in draws(inputs, count, seed, {*held, "requests_per_day"}):
        roads, workload = roads_of(drawn, commercial, open_api), drawn.workload()
        saving = partial(_saving_at, roads[mine], roads[theirs], workload, drawn)
        at = crossings(saving, low, high, per_decade=4, fine_points=2, tolerance=1e-3)
        found.append(at.last_requests_per_day)
    return BreakEvenBand(mine, theirs, tuple(sorted(found)))


def _saving_at(
    mine: Road, theirs: Road, workload: Workload, inputs: Inputs, requests_per_day: float
) -> float:
    there = replace(workload, requests_per_day=requests_per_day)
    costs = [
        cash_flow_of(road, there, inputs.months).present_usd(inputs.discount_per_year)
        for road in (theirs, mine)
    ]
    return costs[0] - costs[1]
