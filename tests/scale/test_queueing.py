"""Queueing formulas: worked by hand, against each other, and at the edges."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from course_utils.scale.queueing import (
    erlang_b,
    erlang_c,
    ggc_wait_s,
    md1_wait_s,
    mg1_wait_s,
    mm1_time_quantile_s,
    mm1_wait_s,
    mmc_wait_quantile_s,
    mmc_wait_s,
    requests_in_system,
    servers_for,
    utilization,
)

SHARES = st.floats(0.0, 0.999)
UTILIZATIONS = st.floats(0.01, 0.999)
SERVICES = st.floats(0.01, 100)
SERVERS = st.integers(1, 60)


def test_worked_by_hand():
    # 8 requests/s of 0.1 s each on one server: 80 % busy, 0.1 x 0.8 / 0.2 = 0.4 s of waiting.
    assert utilization(8, 0.1) == pytest.approx(0.8)
    assert mm1_wait_s(8, 0.1) == pytest.approx(0.4)
    assert md1_wait_s(8, 0.1) == pytest.approx(0.2)
    # In the system 0.5 s each: 4 are there; half of them leave within 0.5 ln 2.
    assert requests_in_system(8, 0.5) == 4
    assert mm1_time_quantile_s(8, 0.1, 0.5) == pytest.approx(0.5 * math.log(2))
    # Two busy servers' worth on one, two, three servers, none of which can keep anybody waiting.
    assert erlang_b(2, [1, 2, 3]) == pytest.approx([2 / 3, 2 / 5, 4 / 19])
    # M/M/2 at 80 %: C = 2 u² / (1 + u) = 32/45, and the wait is C / (2 - 1.6) service times.
    assert erlang_c(1.6, 2) == pytest.approx(32 / 45)
    assert mmc_wait_s(1.6, 1, 2) == pytest.approx(32 / 45 / 0.4)


def test_erlang_b_as_in_the_tables_of_telephone_engineers():
    # Five lines at 2.2185 erlang lose 5 %; a hundred at 84.064 lose 1 %.
    assert erlang_b(2.2185, 5) == pytest.approx(0.05, rel=1e-4)
    assert erlang_b(84.064, 100) == pytest.approx(0.01, rel=1e-4)


@settings(deadline=None)
@given(st.floats(0.01, 30), SERVERS)
def test_erlang_b_is_the_last_term_of_a_truncated_poisson(load, servers):
    terms = [load**n / math.factorial(n) for n in range(servers + 1)]
    assert erlang_b(load, servers) == pytest.approx(terms[-1] / sum(terms), rel=1e-9)


@settings(deadline=None)
@given(UTILIZATIONS, SERVICES)
def test_one_server_is_the_special_case_of_many(busy, service_s):
    rate = busy / service_s
    assert erlang_c(busy, 1) == pytest.approx(busy, rel=1e-9)
    assert mmc_wait_s(rate, service_s, 1) == pytest.approx(mm1_wait_s(rate, service_s), rel=1e-6)
    assert ggc_wait_s(rate, service_s, 1, 1, 0.3) == pytest.approx(mg1_wait_s(rate, service_s, 0.3), rel=1e-6)


@settings(deadline=None)
@given(UTILIZATIONS, SERVICES, SERVERS)
def test_constant_service_waits_half_as_long_and_pooled_servers_less(busy, service_s, servers):
    rate = busy * servers / service_s
    assert md1_wait_s(busy / service_s, service_s) * 2 == pytest.approx(
        mm1_wait_s(busy / service_s, service_s)
    )
    assert ggc_wait_s(rate, service_s, servers, 1, 1) == pytest.approx(mmc_wait_s(rate, service_s, servers))
    assert mmc_wait_s(2 * rate, service_s, 2 * servers) <= mmc_wait_s(rate, service_s, servers)


@settings(deadline=None)
@given(UTILIZATIONS, SERVICES, SERVERS, st.floats(1.001, 1.5))
def test_more_load_waits_longer(busy, service_s, servers, factor):
    assume(busy * factor < 0.9999)
    rate = busy * servers / service_s
    assert mmc_wait_s(rate * factor, service_s, servers) >= mmc_wait_s(rate, service_s, servers)
    assert erlang_c(busy * servers * factor, servers) >= erlang_c(busy * servers, servers)


@settings(deadline=None)
@given(UTILIZATIONS, SERVICES, SERVERS, SHARES)
def test_so_many_wait_no_longer_than_the_quantile(busy, service_s, servers, share):
    load = busy * servers
    wait_s = mmc_wait_quantile_s(load / service_s, service_s, servers, share)
    late = erlang_c(load, servers) * math.exp(-(servers - load) * wait_s / service_s)
    assert late <= (1 - share) * (1 + 1e-6)
    assert wait_s == 0 or late == pytest.approx(1 - share, rel=1e-6)


def test_mean_wait_is_the_area_over_the_quantiles():
    shares = (np.arange(200_000) + 0.5) / 200_000
    waits = mmc_wait_quantile_s(7.2, 0.5, 4, shares)
    assert waits.mean() == pytest.approx(mmc_wait_s(7.2, 0.5, 4), rel=1e-4)


@settings(deadline=None)
@given(st.floats(0, 200), st.floats(0.01, 10), st.floats(0, 5), st.floats(0.5, 0.999))
def test_servers_for_is_the_fewest_that_do(rate, service_s, slo_s, share):
    assume(rate * service_s < 300)
    servers = servers_for(rate, service_s, slo_s, share)
    assert mmc_wait_quantile_s(rate, service_s, servers, share) <= slo_s * (1 + 1e-6) + 1e-9
    if servers - 1 > rate * service_s:
        assert mmc_wait_quantile_s(rate, service_s, servers - 1, share) > slo_s * (1 - 1e-6) - 1e-9


def test_stable_for_thousands_of_servers_and_close_to_full():
    loads = np.array([4000.0, 4900.0, 4999.0, 4999.999])
    waits = mmc_wait_s(loads, 1.0, 5000)
    assert np.isfinite(waits).all()
    assert (np.diff(waits) > 0).all()
    # Halfin-Whitt: with b = (servers - load) / sqrt(servers), 1 / C tends to 1 + b Φ(b) / φ(b).
    b = 100 / math.sqrt(5000)
    heavy = 1 / (
        1 + b * (1 + math.erf(b / math.sqrt(2))) / 2 / (math.exp(-b * b / 2) / math.sqrt(2 * math.pi))
    )
    assert erlang_c(4900.0, 5000) == pytest.approx(heavy, rel=0.02)
    # As a server fills up everybody waits, and the wait times (1 - u) tends to the service time.
    nearly = 1 - 1e-9
    assert erlang_c(7 * nearly, 7) == pytest.approx(1)
    assert mm1_wait_s(nearly, 1.0) * 1e-9 == pytest.approx(1, rel=1e-6)


def test_arrays_broadcast_and_numbers_stay_numbers():
    assert mmc_wait_s(np.array([[1.0], [1.5]]), 1.0, np.array([2, 3, 4])).shape == (2, 3)
    assert isinstance(mmc_wait_s(1, 1, 2), float)
    assert mmc_wait_s(0, 1, 2) == 0


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: mmc_wait_s(10, 0.5, 5), r"a load of 5 .* servers=5: .*, 6 would do"),
        (lambda: mm1_wait_s(2.5, 1), r"servers=1: .*, 3 would do"),
        (lambda: erlang_c([1, 7.5], [2, 6]), r"a load of 7\.5 .* servers=6: .*, 8 would do"),
        (lambda: erlang_b(1, 0), "servers=0"),
        (lambda: mmc_wait_s(1, 1, 2.5), "servers=2.5"),
        (lambda: mmc_wait_s(-1, 1, 2), "rate_per_s=-1"),
        (lambda: mmc_wait_s(1, 0, 2), "service_s=0"),
        (lambda: mg1_wait_s(0.5, 1, float("nan")), "service_cv=nan"),
        (lambda: ggc_wait_s(0.5, 1, 1, -1, 1), "arrival_cv=-1"),
        (lambda: mmc_wait_quantile_s(1, 1, 2, 1), "share=1"),
        (lambda: servers_for(1, 1, -0.1), "wait_slo_s=-0.1"),
        (lambda: servers_for(1, 0, 0.1), "service_s=0"),
    ],
)
def test_nonsense_is_refused_by_name(asked, words):
    with pytest.raises(ValueError, match=words):
        asked()
