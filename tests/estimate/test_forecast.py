"""Forecasts: the closed form by hand, and bands that hold the truth as often as they say."""

from math import inf, isclose

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.estimate.forecast import (
    fit_growth,
    forecast_from_growth,
    forecast_from_history,
    months_to_reach,
)

WEEK = np.array([1.1, 1.2, 1.2, 1.15, 1.0, 0.4, 0.35])


def history(rng, days=90, growth_per_month=0.05, day_sd=0.15, start="2026-03-01") -> pd.Series:
    """Daily spend whose growth is known, with a working week and scatter."""
    index = pd.date_range(start, periods=days)
    trend = np.log1p(growth_per_month) / (365.25 / 12) * np.arange(days)
    scatter = day_sd * rng.standard_normal(days)
    return pd.Series(200 * WEEK[index.day_of_week] * np.exp(trend + scatter), index=index)


# Assumed growth.


def test_assumed_growth_compounds_by_hand():
    ahead = forecast_from_growth(1000, growth_per_month=0.10, months=3)
    assert list(ahead.median_usd) == pytest.approx([1100, 1210, 1331])
    assert ahead.total_median_usd == pytest.approx(3641)
    assert ahead.months == ("+1", "+2", "+3")


def test_without_doubt_about_growth_the_band_is_a_line():
    ahead = forecast_from_growth(1000, 0.1, growth_sd=0, months=6)
    assert list(ahead.lo_usd) == list(ahead.median_usd) == list(ahead.hi_usd)


def test_an_80_percent_band_is_1_28_standard_deviations_wide():
    """Log growth factor 0 +- 0.05 a month: after 4 months exp(+-1.2816 x 0.2)."""
    ahead = forecast_from_growth(1000, 0.0, growth_sd=0.05, months=4)
    assert ahead.hi_usd[3] == pytest.approx(1000 * np.exp(1.281552 * 0.2))
    assert ahead.lo_usd[3] == pytest.approx(1000 * np.exp(-1.281552 * 0.2))


def test_the_closed_form_is_what_drawing_growth_rates_gives():
    rng = np.random.default_rng(0)
    rates = np.exp(np.log1p(0.05) + 0.02 / 1.05 * rng.standard_normal(200_000))
    drawn = 1000 * rates[:, None] ** np.arange(1, 13)
    ahead = forecast_from_growth(1000, 0.05, 0.02, months=12, percent=90)
    assert ahead.lo_usd == pytest.approx(np.quantile(drawn, 0.05, axis=0), rel=0.01)
    assert ahead.hi_usd == pytest.approx(np.quantile(drawn, 0.95, axis=0), rel=0.01)
    assert ahead.total_hi_usd == pytest.approx(np.quantile(drawn.sum(axis=1), 0.95), rel=0.01)


@given(st.floats(1, 1e7), st.floats(-0.5, 1), st.floats(0, 0.3), st.integers(1, 36), st.integers(2, 98))
def test_the_band_holds_the_median_opens_with_time_and_with_certainty(usd, growth, sd, months, percent):
    narrow, wide = (forecast_from_growth(usd, growth, sd, months, p) for p in (percent, percent + 1))
    assert (narrow.lo_usd <= narrow.median_usd).all()
    assert (narrow.median_usd <= narrow.hi_usd).all()
    assert (wide.hi_usd >= narrow.hi_usd).all()
    assert (np.diff(narrow.hi_usd / narrow.median_usd) >= -1e-9).all()


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(0.001, 1))
def test_months_to_reach_a_target_undoes_the_growth(now, target, growth):
    months = months_to_reach(now, target, growth)
    assert isclose(now * (1 + growth) ** months, max(now, target), rel_tol=1e-9)


def test_a_shrinking_spend_never_reaches_a_higher_target():
    assert months_to_reach(100, 200, growth_per_month=-0.1) == inf
    assert months_to_reach(100, 50, growth_per_month=0) == 0


# Growth from a history.


def test_growth_and_week_are_found_where_nothing_hides_them():
    growth = fit_growth(history(np.random.default_rng(0), day_sd=0))
    assert growth.growth_per_month == pytest.approx(0.05)
    assert growth.weekday_factors == pytest.approx(WEEK / WEEK.mean())
    assert (growth.lo_per_month, growth.hi_per_month) == pytest.approx((0.05, 0.05))


def test_a_longer_history_knows_its_growth_better():
    short, long = (fit_growth(history(np.random.default_rng(1), days=days)) for days in (30, 180))
    assert long.hi_per_month - long.lo_per_month < (short.hi_per_month - short.lo_per_month) / 3


def test_intervals_of_the_growth_rate_hold_the_known_one_as_often_as_they_say():
    held = 0
    for seed in range(300):
        growth = fit_growth(history(np.random.default_rng(seed), days=60))
        held += growth.lo_per_month <= 0.05 <= growth.hi_per_month
    assert 0.72 <= held / 300 <= 0.88


def test_bands_of_coming_months_hold_the_truth_as_often_as_they_say():
    """Known growth, different in every history; the band sees only the first 90 days of 200."""
    held, total_held = np.zeros(3), 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        whole = history(rng, days=200, growth_per_month=rng.normal(0.05, 0.05), day_sd=0.2)
        ahead = forecast_from_history(whole.iloc[:90], months=3, percent=80, seed=seed)
        truth = whole.groupby(whole.index.strftime("%Y-%m")).sum().loc[list(ahead.months)].to_numpy()
        held += (ahead.lo_usd <= truth) & (truth <= ahead.hi_usd)
        total_held += ahead.total_lo_usd <= truth.sum() <= ahead.total_hi_usd
    assert all(0.72 <= share <= 0.88 for share in held / 300)
    assert 0.72 <= total_held / 300 <= 0.88


def test_the_first_forecast_month_is_the_one_after_the_last_day():
    ahead = forecast_from_history(history(np.random.default_rng(0), days=60, start="2026-11-10"), months=2)
    assert ahead.months == ("2027-02", "2027-03")


def test_the_same_seed_gives_the_same_band_and_another_one_nearly_so():
    past = history(np.random.default_rng(5))
    one, again, other = (forecast_from_history(past, seed=seed) for seed in (0, 0, 1))
    assert list(one.hi_usd) == list(again.hi_usd)
    assert one.median_usd == pytest.approx(other.median_usd, rel=0.02)


def test_a_business_that_closes_on_weekends_is_not_forecast_to_open_on_them():
    past = history(np.random.default_rng(2), day_sd=0.05)
    past[past.index.day_of_week >= 5] = 0
    growth = fit_growth(past)
    assert growth.weekday_factors[5:] == pytest.approx([0, 0])
    assert growth.growth_per_month == pytest.approx(0.05, abs=0.03)
    june = forecast_from_history(past, months=1)
    weekdays = 22  # of June 2026, each near 200 x 1.13 x 1.05 ** 3.5
    assert june.median_usd[0] == pytest.approx(weekdays * 200 * 1.13 * 1.05**3.5, rel=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda past: past.iloc[:2], "3 at least"),
        (lambda past: past.iloc[:10], "14 at least"),
        (lambda past: -past, "negative or missing"),
        (lambda past: past.iloc[::-1], "out of order"),
        (lambda past: past.iloc[:0], "empty"),
        (lambda past: past * 0, "days with spend in daily_usd: 0"),
    ],
)
def test_a_history_that_cannot_be_read_says_why(change, message):
    with pytest.raises(ValueError, match=message):
        forecast_from_history(change(history(np.random.default_rng(0))))


@pytest.mark.parametrize(
    ("name", "value"),
    [("monthly_usd", -1), ("growth_per_month", -1), ("growth_sd", -0.1), ("months", 0), ("percent", 100)],
)
def test_nonsense_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        forecast_from_growth(**{"monthly_usd": 1, "growth_per_month": 0.1, name: value})
