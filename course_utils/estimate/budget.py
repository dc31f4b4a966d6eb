"""When will this month's budget be used up? The day on which 50, 80 and 100 % are reached, as an interval."""

from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from course_utils.estimate.forecast import daily_draws, fit_growth

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Threshold:
    """A share of the budget, and the day on which spend reaches it: earliest, median and latest of the interval.

    None: not within this month. `reached`: it has happened, so the three days are one. `probability`: that it
    happens within the month.
    """

    percent: float
    day: date | None
    earliest: date | None
    latest: date | None
    probability: float
    reached: bool

    def __str__(self) -> str:
        if self.reached:
            return f"{self.percent:g} % reached on {self.day}"
        if self.probability == 0:
            return f"{self.percent:g} % not within this month"
        if self.day is None:
            return f"{self.percent:g} % perhaps within this month: {self.probability:.0%} likely"
        span = f"{self.earliest} to {self.latest or 'next month'}"
        return f"{self.percent:g} % on {self.day}" + f" ({span})" * (self.earliest != self.latest)


@dataclass(frozen=True)
class BudgetAlert:
    """Where a month stands: spent so far, its end as an interval, and each threshold's day."""

    month: str
    budget_usd: float
    spent_usd: float
    end_usd: float
    end_lo_usd: float
    end_hi_usd: float
    interval_percent: int
    thresholds: tuple[Threshold, ...]

    def __str__(self) -> str:
        head = (
            f"{self.month}: {self.spent_usd:,.2f} of {self.budget_usd:,.2f} spent; by its end {self.end_usd:,.0f} "
            f"({self.interval_percent} % interval {self.end_lo_usd:,.0f} to {self.end_hi_usd:,.0f})"
        )
        return "\n".join([head, *(str(one) for one in self.thresholds)])


def budget_alert(
    daily_usd: "pd.Series",
    monthly_budget_usd: float,
    percents: tuple[float, ...] = (50, 80, 100),
    interval_percent: int = 80,
    seed: int = 0,
    draws: int = 2000,
) -> BudgetAlert:
    """When the budget of the history's last month is used up. daily_usd: all days so far, earlier months too.

    Earlier months teach the growth, the week and the scatter of days (`fit_growth`), which draw the days to come.
    """
    if not isfinite(monthly_budget_usd) or monthly_budget_usd <= 0:
        raise ValueError(f"monthly_budget_usd={monthly_budget_usd!r}: above 0 is needed")
    if not percents or min(percents) <= 0:
        raise ValueError(f"percents={percents!r}: shares of the budget above 0 are needed")
    growth = fit_growth(daily_usd, interval_percent)
    days = np.asarray(daily_usd.index, dtype="datetime64[D]")
    month = days[-1].astype("datetime64[M]")
    this_month = days.astype("datetime64[M]") == month
    spent = np.cumsum(np.asarray(daily_usd, dtype=float)[this_month])
    ahead = np.arange(days[-1] + 1, (month + 1).astype("datetime64[D]"))

    mean, stray = daily_draws(growth, days[-1], ahead, seed, draws)
    # Days are log-normal around their mean: exp(s z - s^2 / 2) has mean 1 and the relative scatter `stray`.
    # Days that go together cancel less in a sum: as if each strayed further.
    s = np.sqrt(np.log1p(growth.spread * stray**2))
    z = np.random.default_rng([seed, 2]).standard_normal(mean.shape)
    paths = spent[-1] + np.cumsum(mean * np.exp(s * z - s**2 / 2), axis=1)
    ends = paths[:, -1] if len(ahead) else np.full(draws, spent[-1])
    tail = 0.5 - interval_percent / 200
    end = np.quantile(ends, (0.5, tail, 1 - tail))
    thresholds = tuple(
        _threshold(percent, monthly_budget_usd, (days[this_month], spent), (ahead, paths), tail)
        for percent in percents
    )
    usd = (float(one) for one in (spent[-1], *end))
    return BudgetAlert(str(month), monthly_budget_usd, *usd, interval_percent, thresholds)


def _threshold(percent: float, budget_usd: float, past, future, tail: float) -> Threshold:
    level = budget_usd * percent / 100 * (1 - 1e-9)  # sums of days miss a round figure by a hair
    days, spent = past
    if spent[-1] >= level:
        day = days[np.argmax(spent >= level)].item()
        return Threshold(percent, day, day, day, probability=1.0, reached=True)
    ahead, paths = future
    there = paths >= level
    # A path that doesn't get there this month does so on a day past the last one.
    place = np.where(there.any(axis=1), there.argmax(axis=1), len(ahead)) if len(ahead) else np.zeros(1)
    dates = [*(day.item() for day in ahead), None]
    at = np.quantile(place, (0.5, tail, 1 - tail), method="inverted_cdf").astype(int)
    day, earliest, latest = (dates[one] for one in at)
    return Threshold(percent, day, earliest, latest, float((place < len(ahead)).mean()), reached=False)
