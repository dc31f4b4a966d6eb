"""How sure is a median? Intervals from the order of the samples, whatever their distribution.

Timings are skewed: most samples lie close together and a few are late. A mean and a standard deviation
describe that badly. The number of samples that fall below the true median is binomial(n, 1/2) for every
continuous distribution, so two of the sorted samples enclose the median with a probability known in advance.

Source: Jean-Yves Le Boudec, "Performance Evaluation of Computer and Communication Systems" (EPFL Press,
2010), theorem 2.1. Medians with such intervals are rule 5 of Hoefler and Belli, "Scientific Benchmarking of
Parallel Computing Systems" (SC 2015).
Taught in: chapter 00.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median


@dataclass(frozen=True)
class MedianInterval:
    """The samples' median, and the two samples around it. All three have the samples' unit.

    confidence: probability that such an interval holds the true median. At least what was asked for, or
    less where there are too few samples for it: then `low` and `high` are the extremes.
    """

    median: float
    low: float
    high: float
    confidence: float
    samples: int


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> MedianInterval:
    """Median of `samples` with the narrowest symmetric order-statistics interval of that confidence.

    Assumes independent samples. Those of a busy machine are not quite: their interval is somewhat too narrow.
    ValueError for no samples, one that isn't finite, or a confidence outside (0, 1).
    """
    ordered = sorted(float(sample) for sample in samples)
    if not ordered:
        raise ValueError("samples is empty, expected at least one number")
    if bad := [sample for sample in ordered if not math.isfinite(sample)]:
        raise ValueError(f"samples hold {bad[0]}, expected finite numbers")
    check_confidence(confidence)
    count = len(ordered)
    rank, covered = _ranks(count, confidence)
    return MedianInterval(median(ordered), ordered[rank - 1], ordered[count - rank], covered, count)


def samples_for(confidence: float) -> int:
    """Fewest samples whose extremes enclose the median with `confidence`: 6 for 0.95, 8 for 0.99."""
    check_confidence(confidence)
    return next(count for count in range(1, 2000) if 1 - 0.5 ** (count - 1) >= confidence)


@lru_cache(maxsize=256)
def _ranks(count: int, confidence: float) -> tuple[int, float]:
    """The highest rank r so that [r-th smallest, r-th largest] reaches `confidence`, and what it reaches."""
    below = 0.0  # P(fewer than r of the samples lie below the median)
    best = (1, 1 - 0.5 ** (count - 1))
    for rank in range(1, (count + 1) // 2 + 1):
        below += math.exp(_log_choose(count, rank - 1) - count * math.log(2))
        if 1 - 2 * below < confidence:
            break
        best = (rank, 1 - 2 * below)
    return best


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def check_confidence(confidence: float) -> None:
    """ValueError unless 0 < confidence < 1: 95 % is 0.95."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}, expected between 0 and 1, such as 0.95")
