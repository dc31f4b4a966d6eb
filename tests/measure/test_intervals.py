import math
import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.measure.intervals import median_interval, samples_for

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
confidences = st.floats(0.5, 0.999)


def binomial_coverage(count: int, rank: int) -> float:
    """P(the r-th smallest ≤ median ≤ the r-th largest), counted in whole numbers."""
    return sum(math.comb(count, k) for k in range(rank, count - rank + 1)) / 2**count


@pytest.mark.parametrize(
    ("count", "rank", "confidence"),
    # Le Boudec (2010), table A.1: the 95 % interval of the median for n = 6, 10, 25, 50, 70.
    [(6, 1, 0.969), (10, 2, 0.979), (25, 8, 0.957), (50, 18, 0.967), (70, 27, 0.959)],
)
def test_ranks_are_those_of_the_published_table(count, rank, confidence):
    interval = median_interval(range(1, count + 1))
    assert (interval.low, interval.high) == (rank, count + 1 - rank)
    assert interval.confidence == pytest.approx(confidence, abs=6e-4)


@given(numbers, confidences)
def test_the_interval_contains_the_median(samples, confidence):
    interval = median_interval(samples, confidence)
    assert interval.low <= interval.median <= interval.high
    assert interval.median == median(samples)


@given(st.integers(1, 400), confidences)
def test_stated_confidence_is_the_binomial_one_and_no_narrower_interval_reaches_what_was_asked(count, asked):
    interval = median_interval(range(1, count + 1), asked)
    rank = int(interval.low)
    assert interval.confidence == pytest.approx(binomial_coverage(count, rank), abs=1e-9)
    if interval.confidence >= asked:
        narrower = binomial_coverage(count, rank + 1) if 2 * (rank + 1) <= count + 1 else 0.0
        assert narrower < asked
    else:
        assert rank == 1


@given(numbers, st.floats(0.01, 100), st.floats(-100, 100))
def test_scaling_and_shifting_the_samples_scales_and_shifts_the_interval(samples, scale, shift):
    before, after = median_interval(samples), median_interval([scale * s + shift for s in samples])
    assert after.low == pytest.approx(scale * before.low + shift, rel=1e-6, abs=1e-6)
    assert after.high == pytest.approx(scale * before.high + shift, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("count", [9, 15, 25, 51])
def test_95_percent_interval_of_skewed_samples_holds_the_true_median_93_to_99_times_in_a_hundred(count):
    draw = random.Random(count)
    held = 0
    for _ in range(3000):
        interval = median_interval([draw.lognormvariate(0.0, 1.0) for _ in range(count)])
        held += interval.low <= 1.0 <= interval.high  # the median of this lognormal is 1
    assert 0.93 <= held / 3000 <= 0.993


def test_too_few_samples_state_the_confidence_that_they_reach():
    interval = median_interval([3.0, 1.0, 2.0])
    assert (interval.low, interval.high, interval.confidence) == (1.0, 3.0, 0.75)
    assert median_interval([1.0]).confidence == 0.0


def test_samples_for_a_confidence_are_the_fewest_that_reach_it():
    assert (samples_for(0.95), samples_for(0.99)) == (6, 8)
    assert median_interval(range(6)).confidence >= 0.95 > median_interval(range(5)).confidence


def test_nonsense_is_refused_by_name():
    with pytest.raises(ValueError, match="samples is empty"):
        median_interval([])
    with pytest.raises(ValueError, match="samples hold nan"):
        median_interval([1.0, math.nan])
    for confidence in (0.0, 1.0, 95):
        with pytest.raises(ValueError, match="confidence"):
            median_interval([1.0], confidence)
