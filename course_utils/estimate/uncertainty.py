"""How wrong a prediction may be: intervals from errors on rows that the fit hadn't seen, and what moves a result most.

The 80 % interval is conformal (Vovk et al. 2005; Dunn et al. 2023 for groups): leave out a model, or a GPU, fit
the rest, and take the 80th percentile of the absolute log error on what was left out. It is a factor: a
half-width of 0.25 reads "between 1/1.28 and 1.28 times".
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from course_utils.estimate.engine import fitted

LEVEL = 0.80
METRICS = ("out_tok_s_per_gpu", "ttft_s", "tpot_s")


def conformal_half_width(log_errors, groups, level: float = LEVEL) -> float:
    """Half-width (log) that covers `level` of held-out errors, each group counting once however many rows it has.

    The level is raised by (n + 1)/n for n groups, the finite-sample correction of split conformal prediction.
    """
    errors, groups = np.abs(np.asarray(log_errors, float)), np.asarray(groups)
    if errors.size == 0 or errors.shape != groups.shape:
        raise ValueError(
            f"log_errors has {errors.size} values, groups {groups.size}: as many, and one at least"
        )
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}: above 0 and below 1 is needed")
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[inverse] / len(counts)
    order = np.argsort(errors, kind="stable")
    reached = np.cumsum(weight[order])
    wanted = min(level * (len(counts) + 1) / len(counts), 1.0)
    return float(errors[order][min(np.searchsorted(reached, wanted - 1e-12), errors.size - 1)])


def half_width(metric: str, engine_name: str, kind: str, load: str, family: str | None = None) -> float:
    """Calibrated log half-width of a metric: by engine, dense or moe, and load; the widest group that has enough
    held-out groups stands in for one that hasn't. An engine that was never measured gets leave-one-engine-out's.

    `family` is the chip's. On one that no table measured the interval is at least as wide as errors were on whole
    families left out, each counting once; on one measured under other engines only, as on such pairs left out.
    """
    table = fitted("intervals")
    width = look_up(table["half_width"][metric], engine_name, kind, load)
    if family is not None and family not in table["families"].get(engine_name, ()):
        known = any(family in measured for measured in table["families"].values())
        width = max(width, table["half_width"][metric]["new_pair" if known else "new_family"])
    return width


@lru_cache(maxsize=4096)
def half_widths(engine_name: str, kind: str, load: str, family: str) -> dict[str, float]:
    """`half_width` of every metric."""
    return {metric: half_width(metric, engine_name, kind, load, family) for metric in METRICS}


def look_up(table: Mapping[str, float], engine_name: str, kind: str, load: str) -> float:
    """The narrowest key of a table of half-widths that fits."""
    for key in (f"{engine_name}/{kind}/{load}", f"{engine_name}/{kind}", engine_name, kind):
        if key in table:
            return table[key]
    return table["any"]


def interval(value: float, half_width_log: float) -> tuple[float, float]:
    """(low, high) at a factor of exp(half-width) below and above."""
    if not (math.isfinite(half_width_log) and half_width_log >= 0):
        raise ValueError(f"half_width_log={half_width_log!r}: a finite number of at least 0 is needed")
    factor = math.exp(half_width_log)
    return value / factor, value * factor


def usd_per_mtok(usd_per_gpu_hour: float, out_tok_s_per_gpu: float) -> float:
    """US dollars per million output tokens: an hour's price over an hour's tokens, per chip."""
    return usd_per_gpu_hour / (out_tok_s_per_gpu * 3600.0) * 1e6


def usd_per_mtok_interval(usd_per_gpu_hour: float, low: float, high: float) -> tuple[float, float]:
    """Interval of the price per million tokens from that of the throughput: the fast end is the cheap one."""
    return usd_per_mtok(usd_per_gpu_hour, high), usd_per_mtok(usd_per_gpu_hour, low)


@dataclass(frozen=True)
class Bar:
    """One line of a tornado: the result with one input at its low and at its high end, the rest as they were."""

    name: str
    low_input: float
    high_input: float
    low_result: float
    high_result: float

    @property
    def swing(self) -> float:
        """How far apart the two results are."""
        return abs(self.high_result - self.low_result)


def tornado(
    result: Callable[..., float], base: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]
) -> list[Bar]:
    """What matters most: `result(**base)` with each input of `ranges` moved alone to both ends, widest swing first.

    ValueError for a range that isn't an input, or whose ends are in the wrong order.
    """
    bars = []
    for name, (low, high) in ranges.items():
        if name not in base:
            raise ValueError(f"ranges has {name!r}, which is no input; there are {', '.join(base)}")
        if not low <= high:
            raise ValueError(f"ranges[{name!r}]=({low!r}, {high!r}): low must not exceed high")
        ends = [float(result(**{**base, name: end})) for end in (low, high)]
        bars.append(Bar(name, low, high, *ends))
    return sorted(bars, key=lambda bar: -bar.swing)
