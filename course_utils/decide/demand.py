"""What has to be served: how much, of which tokens, at which hours, and how it grows.

A machine is bought for the busiest hour and paid for in all of them, so the shape of the day is an input of its
own. `shape` is an hour's load over the mean hour's, over a day or a week; its mean is 1.
Taught in: chapter 11, section 2.
"""

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from course_utils.catalog.provenance import check_range
from course_utils.estimate.cost import DAYS_PER_MONTH, Usage

if TYPE_CHECKING:
    from course_utils.estimate.request_log import RequestLog

HOURS_PER_WEEK = 168


@dataclass(frozen=True, eq=False)
class Workload:
    """Requests that are all like `usage`, so many on a day of the first month, growing by the month.

    shape: [hours] load of an hour over the mean. batch_share: of the requests, those that can wait for a quiet
    hour (0 to 1).
    """

    requests_per_day: float
    usage: Usage
    shape: np.ndarray
    growth_per_month: float = 0.0
    batch_share: float = 0.0

    def __post_init__(self):
        if not isfinite(self.requests_per_day) or self.requests_per_day < 0:
            raise ValueError(f"requests_per_day={self.requests_per_day!r}: 0 or more is needed")
        check_range("growth_per_month", self.growth_per_month, -0.9, 2)
        if not 0 <= self.batch_share <= 1:
            raise ValueError(f"batch_share={self.batch_share!r}: from 0 to 1 is needed")
        shape = np.asarray(self.shape, dtype=float)
        if shape.ndim != 1 or not shape.size or not np.isfinite(shape).all() or (shape < 0).any():
            raise ValueError(f"shape={self.shape!r}: the load of each hour, 0 or more, is needed")
        if shape.sum() == 0:
            raise ValueError("shape is 0 in every hour: at least one hour with load is needed")
        object.__setattr__(self, "shape", shape / shape.mean())

    @property
    def load(self) -> np.ndarray:
        """[hours] what runs in each hour over the mean: requests that can wait fill the valleys."""
        return fill_valleys(self.shape, self.batch_share)

    def days(self, months: int) -> np.ndarray:
        """[months] requests on a day of each month."""
        return self.requests_per_day * (1 + self.growth_per_month) ** np.arange(months)

    def requests(self, months: int) -> np.ndarray:
        """[months] requests in each month."""
        return self.days(months) * DAYS_PER_MONTH

    def per_second(self, months: int) -> np.ndarray:
        """[months, hours] requests per second in each hour of each month."""
        return self.days(months)[:, None] / 86_400 * self.load


def day_shape(peak_to_mean: float) -> np.ndarray:
    """[24] a smooth day whose busiest hour has so many times the mean hour's load: exp(k cos), normalized.

    Peak over mean of that curve is e^k / I0(k) (I0: modified Bessel function), which is solved for k.
    """
    from scipy.optimize import brentq
    from scipy.special import i0e

    check_range("peak_to_mean", peak_to_mean, 1, 12)
    k = brentq(lambda k: 1 / i0e(k) - peak_to_mean, 0, 1000) if peak_to_mean > 1 else 0.0
    load = np.exp(k * (np.cos(2 * np.pi * (np.arange(24) - 14) / 24) - 1))
    return load / load.mean()


def fill_valleys(shape: np.ndarray, batch_share: float) -> np.ndarray:
    """[hours] total load if `batch_share` of it may run at any hour: poured like water into the emptiest hours."""
    live = (1 - batch_share) * shape
    order = np.sort(live)
    # Water that fills the n emptiest hours to the brim of the next: where it ends tells how many take part.
    held = order * np.arange(order.size) - np.concatenate([[0], np.cumsum(order)[:-1]])
    water = batch_share * shape.sum()
    taking_part = int(np.searchsorted(held, water, side="right"))
    level = (water + order[:taking_part].sum()) / taking_part
    return np.maximum(live, level) if batch_share else live


def workload_of_log(log: "RequestLog", growth_per_month: float = 0.0) -> Workload:
    """Your own log as a workload: mean tokens, requests a day, the share in batches, and the shape of its hours.

    Requests that waited in a batch say nothing of the busy hour, so the shape is that of the others. A week or
    more gives a week's shape, less a day's. ValueError where the log spans less than a day.
    """
    rows = log.rows
    if rows.empty:
        raise ValueError(f"{log.name} has no sound row")
    hours = rows["arrived_at"].dt.tz_localize(None).to_numpy().astype("datetime64[h]").astype(np.int64)
    span = int(hours.max() - hours.min()) + 1
    if span < 24:
        raise ValueError(f"{log.name} spans {span} h: 24 h at least are needed to see the shape of a day")
    period = HOURS_PER_WEEK if span >= HOURS_PER_WEEK else 24
    live = hours[~rows["batch"].to_numpy(dtype=bool)]
    counted = live if live.size else hours
    # Each hour of the week as often as the log holds it: a log of ten days has three Mondays' hours, or two.
    seen = np.bincount((np.arange(span) + hours.min()) % period, minlength=period)
    shape = np.bincount(counted % period, minlength=period) / seen
    kinds = ("input", "cached_read", "cache_write", "output", "reasoning", "cache_write_1h")
    usage = Usage(**{f"{kind}_tokens": float(rows[f"{kind}_tokens"].mean()) for kind in kinds})
    return Workload(
        requests_per_day=len(rows) / span * 24,
        usage=usage,
        shape=shape,
        growth_per_month=growth_per_month,
        batch_share=float(rows["batch"].mean()),
    )
