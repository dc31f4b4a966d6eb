"""What an outcome's intervals promise: how often they hold a percentile that is known, and when there are none."""

import numpy as np
import pytest

from course_utils.scale.arrivals import poisson_arrivals
from course_utils.scale.fleet import servers
from course_utils.scale.outcome import FEWEST_BLOCKS
from course_utils.scale.queueing import mm1_time_quantile_s
from course_utils.scale.simulator import simulate
from course_utils.scale.traffic import Traffic

RUNS = 40


def one_server(rate_per_s, requests, seed):
    """M/M/1 with a mean service of 1 s, in ticks of a millisecond."""
    arrived_s = poisson_arrivals(rate_per_s, requests=requests, seed=seed)
    service_s = np.random.default_rng([seed, 5]).exponential(1.0, requests)
    ticks = np.maximum(1, np.rint(service_s / 1e-3)).astype(int)
    traffic = Traffic(arrived_s, ticks, np.ones(requests, int), "M/M/1", "made for a test")
    return simulate(traffic, servers(1, 1e-3))


@pytest.fixture(scope="module")
def at_half_load():
    return [one_server(0.5, 8_000, seed).e2e() for seed in range(RUNS)]


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_at_half_load_nine_intervals_in_ten_hold_the_percentile_of_the_formula(at_half_load, percent):
    exact_s = mm1_time_quantile_s(0.5, 1.0, percent / 100)
    intervals = [getattr(found, f"p{percent}_interval") for found in at_half_load]
    held = np.mean([low <= exact_s <= high for low, high in intervals])
    # 0.92 to 0.94 expected; 0.8 is three standard errors of 40 runs below.
    assert held >= 0.8


def test_requests_that_wait_for_each_other_make_the_interval_wider_than_as_many_that_do_not():
    found = one_server(0.8, 8_000, seed=1)
    low, high = found.e2e().p50_interval
    seconds = found.e2e_s
    rng = np.random.default_rng(0)
    alone = [np.median(rng.choice(seconds, seconds.size)) for _ in range(200)]
    assert high - low > 3 * np.subtract(*np.percentile(alone, [97.5, 2.5]))


def test_a_run_too_short_for_blocks_has_percentiles_and_no_intervals():
    some = one_server(0.5, FEWEST_BLOCKS - 1, seed=0).e2e()
    assert some.p50 > 0
    assert np.isnan([*some.p50_interval, *some.p95_interval, *some.p99_interval]).all()
