"""What a road costs in each month, by part; the sum of it, and what that is worth today.

A month's bill is paid at its end: the first is a month away. At a discount rate of r a year, a dollar due in m
months is worth (1 + r)^(-m/12) now.
Taught in: chapter 11, section 3.
"""

from dataclasses import dataclass, field
from math import fsum

import numpy as np

from course_utils.catalog.provenance import check_range
from course_utils.decide.demand import Workload
from course_utils.decide.roads import Road


@dataclass(frozen=True, eq=False)
class CashFlow:
    """USD by part and month. Nothing is in the totals that is not in the parts."""

    name: str
    parts: dict[str, np.ndarray] = field(repr=False)
    months: int

    @property
    def by_month_usd(self) -> np.ndarray:
        """[months] the bill of each month."""
        return np.sum([*self.parts.values(), np.zeros(self.months)], axis=0)

    @property
    def cumulative_usd(self) -> np.ndarray:
        """[months] paid by the end of each month."""
        return np.cumsum(self.by_month_usd)

    @property
    def by_part_usd(self) -> dict[str, float]:
        """Each part's sum over all months, dearest first."""
        sums = {name: fsum(usd) for name, usd in self.parts.items()}
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    @property
    def total_usd(self) -> float:
        return fsum(self.by_part_usd.values())

    def present_usd(self, discount_per_year: float) -> float:
        """Net present cost: what you would have to put aside today to pay every bill."""
        check_range("discount_per_year", discount_per_year, 0, 1)
        due = np.arange(1, self.months + 1)
        return fsum(self.by_month_usd * (1 + discount_per_year) ** (-due / 12))


def cash_flow_of(road: Road, workload: Workload, months: int = 36) -> CashFlow:
    """A road's cost of each month, the first one first."""
    if not 1 <= months <= 120:
        raise ValueError(f"months={months!r}: 1 to 120 is needed")
    return CashFlow(road.name, road.costs(workload, months), months)


def month_of_crossing(ahead: CashFlow, behind: CashFlow) -> int | None:
    """First month at whose end `ahead` has cost no more in all than `behind`, and stays there. None: it doesn't."""
    if ahead.months != behind.months:
        raise ValueError(f"behind has {behind.months} months: the {ahead.months} of the other are needed")
    wins = ahead.cumulative_usd <= behind.cumulative_usd
    if not wins[-1]:
        return None
    return int(ahead.months - np.argmin(wins[::-1])) + 1 if not wins.all() else 1
