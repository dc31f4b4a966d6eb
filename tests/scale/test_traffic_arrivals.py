"""Arrivals: their rate, their roughness, and how the two are fitted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.scale.arrivals import (
    DAY_S,
    Bursts,
    bursty_arrivals,
    diurnal_arrivals,
    fit_bursts,
    gamma_arrivals,
    index_of_dispersion,
    poisson_arrivals,
    varying_arrivals,
)

SEEDS = st.integers(0, 2**32)
BURSTS = Bursts(5.0, burst_factor=4, burst_share=0.1, burst_s=20)
KINDS = {
    "poisson": lambda **how: poisson_arrivals(5.0, **how),
    "gamma": lambda **how: gamma_arrivals(5.0, 2.0, **how),
    "bursty": lambda **how: bursty_arrivals(BURSTS, **how),
    "diurnal": lambda **how: diurnal_arrivals(5.0, **how),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, requests=st.integers(1, 2000))
def test_so_many_requests_in_order_and_the_same_for_the_same_seed(kind, seed, requests):
    arrived_s = KINDS[kind](requests=requests, seed=seed)
    assert arrived_s.shape == (requests,)
    assert arrived_s[0] >= 0
    assert (np.diff(arrived_s) >= 0).all()
    assert (arrived_s == KINDS[kind](requests=requests, seed=seed)).all()
    assert (arrived_s != KINDS[kind](requests=requests, seed=seed + 1)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_duration_cuts_the_same_stream_that_a_number_does(kind):
    for_a_while = KINDS[kind](duration_s=300, seed=1)
    assert for_a_while[-1] < 300
    assert (KINDS[kind](requests=len(for_a_while) + 1, seed=1)[:-1] == for_a_while).all()
    assert KINDS[kind](requests=len(for_a_while) + 1, seed=1)[-1] >= 300


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_rate_is_as_asked(kind):
    days = 4
    counts = [KINDS[kind](duration_s=days * DAY_S, seed=seed).size / (days * DAY_S) for seed in range(3)]
    assert np.mean(counts) == pytest.approx(5.0, rel=0.02)


@pytest.mark.parametrize("cv", [0.2, 1.0, 3.0])
def test_gaps_vary_as_asked_and_independently(cv):
    gaps = np.diff(gamma_arrivals(7.0, cv, requests=400_000, seed=2))
    assert gaps.mean() == pytest.approx(1 / 7, rel=0.02)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.02)
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 0.01


def test_dispersion_is_one_for_poisson_and_cv_squared_for_long_windows_of_independent_gaps():
    assert index_of_dispersion(poisson_arrivals(5, duration_s=200_000), 10) == pytest.approx(1, abs=0.05)
    assert index_of_dispersion(gamma_arrivals(5, 2.0, duration_s=200_000), 100) == pytest.approx(4, rel=0.1)


def test_dispersion_by_hand():
    # Whole windows of 2 s from 0 on hold 2, 0 and 1; what comes after the last whole one is left out.
    assert index_of_dispersion(np.array([0.0, 1.0, 5.0, 6.5]), 2) == pytest.approx((2 / 3) / 1)


@pytest.mark.parametrize("window_s", [1, 10, 60, 600])
def test_bursts_disperse_as_the_formula_says(window_s):
    seen = [
        index_of_dispersion(bursty_arrivals(BURSTS, duration_s=300_000, seed=one), window_s)
        for one in range(4)
    ]
    assert np.mean(seen) == pytest.approx(BURSTS.dispersion(window_s), rel=0.08)


@settings(deadline=None)
@given(st.floats(0.1, 100), st.floats(0.01, 0.9), st.floats(0.1, 1000), st.floats(0, 1))
def test_bursts_between_poisson_and_silence(rate, share, burst_s, part):
    bursts = Bursts(rate, 1 + part * (1 / share - 1), share, burst_s)
    mean = bursts.busy_per_s * share + bursts.calm_per_s * (1 - share)
    assert mean == pytest.approx(rate)
    assert bursts.calm_per_s >= 0
    short, long, longer = bursts.dispersion(np.array([1e-3, 1.0, 1e3]))
    assert 1 - 1e-6 <= short <= long + 1e-6 <= longer + 2e-6


def test_a_fit_finds_the_bursts_that_made_the_arrivals():
    found = fit_bursts(bursty_arrivals(BURSTS, duration_s=400_000, seed=5))
    assert found.rate_per_s == pytest.approx(5, rel=0.03)
    assert found.burst_factor == pytest.approx(4, rel=0.1)
    assert found.burst_share == pytest.approx(0.1, rel=0.15)
    assert found.burst_s == pytest.approx(20, rel=0.15)


def test_a_fit_refuses_what_is_too_short_or_too_smooth():
    with pytest.raises(ValueError, match="ten times the longest"):
        fit_bursts(np.arange(100.0))
    with pytest.raises(ValueError, match="use poisson_arrivals"):
        fit_bursts(np.arange(20_000) / 10)


def test_a_day_is_busiest_at_its_peak_and_quietest_twelve_hours_later():
    arrived_s = diurnal_arrivals(5, peak_to_mean=1.8, peak_hour=15, duration_s=10 * DAY_S)
    by_hour = np.bincount((arrived_s % DAY_S // 3600).astype(int), minlength=24) / (10 * 3600)
    hours = np.arange(24) + 0.5
    assert by_hour == pytest.approx(5 * (1 + 0.8 * np.cos(2 * np.pi * (hours - 15) / 24)), rel=0.1, abs=0.1)


def test_any_rate_by_thinning():
    arrived_s = varying_arrivals(lambda t: np.where(t < 100, 10.0, 1.0), 10.0, duration_s=1000, seed=4)
    assert (arrived_s < 100).sum() == pytest.approx(1000, abs=4 * 1000**0.5)
    assert (arrived_s >= 100).sum() == pytest.approx(900, abs=4 * 900**0.5)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: poisson_arrivals(0, requests=1), "rate_per_s=0"),
        (lambda: poisson_arrivals(float("nan"), requests=1), "rate_per_s=nan"),
        (lambda: poisson_arrivals(1), "duration_s=None, requests=None: one of the two"),
        (lambda: poisson_arrivals(1, duration_s=1, requests=1), "one of the two"),
        (lambda: poisson_arrivals(1, requests=0), "requests=0"),
        (lambda: poisson_arrivals(1, requests=1.5), "requests=1.5"),
        (lambda: poisson_arrivals(1, duration_s=-1), "duration_s=-1"),
        (lambda: gamma_arrivals(1, 0, requests=1), "cv=0"),
        (lambda: Bursts(1, 5, 0.5, 10), "burst_factor=5: 1 to 2 is needed"),
        (lambda: Bursts(1, 0.5, 0.5, 10), "burst_factor=0.5"),
        (lambda: Bursts(1, 2, 1, 10), "burst_share=1"),
        (lambda: Bursts(1, 2, 0.1, 0), "burst_s=0"),
        (lambda: diurnal_arrivals(1, peak_to_mean=2.5, requests=1), "peak_to_mean=2.5"),
        (lambda: diurnal_arrivals(1, peak_hour=24, requests=1), "peak_hour=24"),
        (lambda: varying_arrivals(lambda t: 2 + 0 * t, 1.0, requests=1), "rate_at"),
        (lambda: varying_arrivals(lambda t: -t, 1.0, requests=1), "rate_at"),
        (lambda: varying_arrivals(lambda t: 0 * t, 1.0, requests=1), "rate_at is 0 for so long"),
        (lambda: index_of_dispersion(np.array([0.0, 3.0]), 2), "cover 1 such windows"),
    ],
)
def test_nonsense_is_refused_by_name(asked, words):
    with pytest.raises(ValueError, match=words):
        asked()
