"""Next months' spend as a band: from a growth rate that you assume, or from the growth in your own history.

A single line is always wrong, and doesn't say by how much. Both bands say how far a steady growth rate can be
trusted; neither knows of a launch, a price cut or a new model: those are yours to assume.
"""

from dataclasses import dataclass
from math import inf, isfinite, log, log1p
from typing import TYPE_CHECKING

import numpy as np

from course_utils.estimate.cost import DAYS_PER_MONTH

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Forecast:
    """Spend of the coming months. `lo` and `hi` hold the truth `percent` times in a hundred, month by month.

    The total is that of all months together, with its own band. `months`: "+1", "+2", ... or "2026-12", ...
    """

    months: tuple[str, ...]
    median_usd: np.ndarray
    lo_usd: np.ndarray
    hi_usd: np.ndarray
    total_median_usd: float
    total_lo_usd: float
    total_hi_usd: float
    percent: int


def forecast_from_growth(
    monthly_usd: float, growth_per_month: float, growth_sd: float = 0.0, months: int = 12, percent: int = 80
) -> Forecast:
    """Spend of the next months if it grows by a constant rate, of which you are only so sure.

    growth_per_month: 0.05 is 5 % a month. growth_sd: standard deviation of your guess of it. Closed form: the
    log of the growth factor is normal, and the same in every month, so the band opens with time.
    """
    from scipy.special import ndtri

    _check(months, percent)
    if not isfinite(monthly_usd) or monthly_usd < 0:
        raise ValueError(f"monthly_usd={monthly_usd!r}: 0 or more is needed")
    if not -1 < growth_per_month < 10:
        raise ValueError(f"growth_per_month={growth_per_month!r}: a share above -1 and below 10 is needed")
    if not 0 <= growth_sd < 10:
        raise ValueError(f"growth_sd={growth_sd!r}: a share from 0 to 10 is needed")
    month = np.arange(1, months + 1)
    rate, rate_sd = log1p(growth_per_month), growth_sd / (1 + growth_per_month)
    z = ndtri(0.5 + percent / 200)
    bands = [monthly_usd * np.exp(month * (rate + side * rate_sd)) for side in (0, -z, z)]
    # One unknown rate moves all months together, so the total's quantiles are the sums of the months'.
    totals = (float(band.sum()) for band in bands)
    return Forecast(tuple(f"+{number}" for number in month), *bands, *totals, percent)


def months_to_reach(monthly_usd: float, target_usd: float, growth_per_month: float) -> float:
    """Months until a spend that grows by a constant rate reaches a target. Infinite where it never does."""
    for name, usd in (("monthly_usd", monthly_usd), ("target_usd", target_usd)):
        if not isfinite(usd) or usd <= 0:
            raise ValueError(f"{name}={usd!r}: above 0 is needed")
    if target_usd <= monthly_usd:
        return 0.0
    return log(target_usd / monthly_usd) / log1p(growth_per_month) if growth_per_month > 0 else inf


@dataclass(frozen=True)
class Growth:
    """What a history of daily spend says of its growth: a rate with an interval, and the shape of a week.

    `weekday_factors`: Monday first, spend over that of a mean day. `open_share`: of its days with any spend.
    `day_sd`: how far a day's log spend strays. `spread`: by how much correlated errors widen a variance.
    `coefficients`, `covariance`: level on the last day, trend per day, Monday to Saturday, all of log spend.
    """

    growth_per_month: float
    lo_per_month: float
    hi_per_month: float
    percent: int
    weekday_factors: np.ndarray
    open_share: np.ndarray
    day_sd: float
    spread: float
    days: int
    degrees_of_freedom: int
    coefficients: np.ndarray
    covariance: np.ndarray


def fit_growth(daily_usd: "pd.Series", percent: int = 80) -> Growth:
    """Growth of daily spend, by regression of its log on time and weekday. Index: dates, one value a day.

    Three weeks or more tell the weekdays apart, two give a trend, three days only a level. Days without spend
    are left out of the regression and count as days closed. Errors of consecutive days go together: variances
    are widened by (1 + r) / (1 - r), r being the correlation of neighbours.
    """
    from scipy.special import stdtrit

    _check(1, percent)
    days, usd = _daily(daily_usd)
    weekday, place = _calendar(days, days[-1])
    busy = usd > 0
    if busy.sum() < 3:
        raise ValueError(f"days with spend in daily_usd: {busy.sum()}, but 3 at least are needed")
    terms = np.arange(8 if busy.sum() >= 21 else 2 if busy.sum() >= 14 else 1)
    design = _design(place[busy], weekday[busy])[:, terms]
    logs = np.log(usd[busy])
    inverse = np.linalg.pinv(design.T @ design)
    fitted = inverse @ design.T @ logs
    residuals = logs - design @ fitted
    freedom = max(len(logs) - int(np.linalg.matrix_rank(design)), 1)
    variance = float(residuals @ residuals) / freedom
    spread = _correlation_spread(residuals)
    coefficients, covariance = np.zeros(8), np.zeros((8, 8))
    coefficients[terms] = fitted
    covariance[np.ix_(terms, terms)] = inverse * variance * spread

    reach = stdtrit(freedom, 0.5 + percent / 200) * covariance[1, 1] ** 0.5
    rates = (float(np.expm1(DAYS_PER_MONTH * (coefficients[1] + side * reach))) for side in (0, -1, 1))
    seen = [busy[weekday == day] for day in range(7)]
    open_share = np.array([of_day.mean() if len(of_day) else 1.0 for of_day in seen])
    factors = np.exp(np.append(coefficients[2:], 0.0)) * open_share
    return Growth(
        *rates,
        percent=percent,
        weekday_factors=factors / factors.mean(),
        open_share=open_share,
        day_sd=variance**0.5,
        spread=spread,
        days=len(days),
        degrees_of_freedom=freedom,
        coefficients=coefficients,
        covariance=covariance,
    )


def forecast_from_history(
    daily_usd: "pd.Series", months: int = 6, percent: int = 80, seed: int = 0, draws: int = 1000
) -> Forecast:
    """Spend of the next whole calendar months, if the history's growth and week go on.

    Monte Carlo over what the history leaves open: level, trend, weekdays and the scatter of days. The same
    seed gives the same band. Two weeks of days at least.
    """
    _check(months, percent)
    growth = fit_growth(daily_usd, percent)
    if growth.days < 14:
        raise ValueError(f"daily_usd has {growth.days} days: 14 at least are needed to see a trend")
    last_day = _daily(daily_usd)[0][-1]
    firsts = last_day.astype("datetime64[M]") + 1 + np.arange(months + 1)
    starts = firsts.astype("datetime64[D]")
    mean, stray = daily_draws(growth, last_day, np.arange(starts[0], starts[-1]), seed, draws)
    at = (starts[:-1] - starts[0]).astype(int)
    by_month = np.add.reduceat(mean, at, axis=1)
    # The scatter of thirty days, summed, is near enough to normal; days that go together cancel less.
    scatter = stray * np.sqrt(growth.spread * np.add.reduceat(mean**2, at, axis=1))
    by_month += scatter * np.random.default_rng([seed, 1]).standard_normal(by_month.shape)
    np.maximum(by_month, 0, out=by_month)
    quantiles = (0.5, 0.5 - percent / 200, 0.5 + percent / 200)
    bands = np.quantile(by_month, quantiles, axis=0)
    totals = (float(usd) for usd in np.quantile(by_month.sum(axis=1), quantiles))
    return Forecast(tuple(str(month) for month in firsts[:-1]), *bands, *totals, percent)


def daily_draws(growth: Growth, last_day, ahead: np.ndarray, seed: int, draws: int):
    """Draws of the coming days: mean spend (draws, days), and how far a day strays, relative (draws, 1)."""
    rng = np.random.default_rng([seed, 0])
    weekday, place = _calendar(ahead, last_day)
    freedom = growth.degrees_of_freedom
    chi = np.sqrt(freedom / rng.chisquare(freedom, size=(draws, 1)))
    drawn = growth.coefficients + chi * (rng.standard_normal((draws, 8)) @ _root(growth.covariance).T)
    variance = np.minimum((growth.day_sd * chi) ** 2, 50)
    week = np.column_stack([drawn[:, 2:], np.zeros(draws)])
    logs = week[:, weekday] + drawn[:, 1:2] * place + (drawn[:, :1] + variance / 2)
    return np.exp(np.minimum(logs, 700)) * growth.open_share[weekday], np.sqrt(np.expm1(variance))


def _root(covariance: np.ndarray) -> np.ndarray:
    """A matrix whose square is the covariance, which may be singular: a short history has no weekdays."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))


def _check(months: int, percent: int) -> None:
    if not 1 <= months <= 120:
        raise ValueError(f"months={months!r}: 1 to 120 is needed")
    if not 1 <= percent <= 99:
        raise ValueError(f"percent={percent!r}: 1 to 99 is needed")


def _daily(daily_usd) -> tuple[np.ndarray, np.ndarray]:
    days = np.asarray(daily_usd.index, dtype="datetime64[D]")
    usd = np.asarray(daily_usd, dtype=float)
    if not len(days):
        raise ValueError("daily_usd is empty: 3 days at least are needed")
    if not np.isfinite(usd).all() or (usd < 0).any():
        raise ValueError("daily_usd has a negative or missing value: 0 or more is needed for every day")
    if (np.diff(days).astype(int) <= 0).any():
        raise ValueError("daily_usd has a day twice or out of order: one value a day, in order, is needed")
    return days, usd


def _calendar(days: np.ndarray, last_day) -> tuple[np.ndarray, np.ndarray]:
    """Weekday (Monday 0) of each day, and its place on an axis of days whose 0 is the history's last."""
    weekday = (days.astype(int) + 3) % 7  # 1970-01-01 was a Thursday
    return weekday, (days - last_day).astype(float)


def _design(place: np.ndarray, weekday: np.ndarray) -> np.ndarray:
    """Columns: level, trend, Monday to Saturday; a Sunday is the level itself."""
    columns = [np.ones_like(place), place, *(weekday == day for day in range(6))]
    return np.column_stack(columns).astype(float)


def _correlation_spread(residuals: np.ndarray) -> float:
    if len(residuals) < 14:
        return 1.0
    r = float(residuals[:-1] @ residuals[1:]) / max(float(residuals @ residuals), 1e-300)
    # Independent errors show an r of about 1 / sqrt(n) by chance: that much is no reason to widen anything.
    r = min(r, 0.8) if r > len(residuals) ** -0.5 else 0.0
    return (1 + r) / (1 - r)
