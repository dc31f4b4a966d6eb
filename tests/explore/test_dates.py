"""Dates on an axis."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.explore import Chart, Line, View, dates, describe
from course_utils.explore.axes import plan_axes

DAYS = st.integers(-10_000, 40_000)


def day(text: str) -> float:
    return np.datetime64(text, "D").astype(float)


@pytest.mark.parametrize(
    "values",
    [
        [datetime.date(2026, 3, 1), datetime.date(2026, 3, 2)],
        [datetime.datetime(2026, 3, 1), datetime.datetime(2026, 3, 2)],
        np.array(["2026-03-01", "2026-03-02"], dtype="datetime64[D]"),
        np.array(["2026-03-01", "2026-03-02"], dtype="datetime64[ns]"),
    ],
)
def test_dates_of_every_make_become_days(values):
    assert dates.as_days(values).tolist() == [day("2026-03-01"), day("2026-03-02")]


def test_a_pandas_index_is_read_too():
    assert dates.as_days(pd.date_range("2026-03-01", periods=2)).tolist()[0] == day("2026-03-01")


@pytest.mark.parametrize("values", [[1, 2], ["a"], [1.5]])
def test_what_is_no_date_stays_what_it_is(values):
    assert dates.as_days(values) is None


def test_ticks_over_half_a_year_are_months_and_say_the_year_once():
    _, texts = dates.ticks(day("2026-01-05"), day("2026-06-20"))
    assert texts == ("Feb 2026", "Mar", "Apr", "May", "Jun")


def test_ticks_over_a_week_are_days():
    _, texts = dates.ticks(day("2026-03-01"), day("2026-03-05"))
    assert texts == ("1 Mar 2026", "2 Mar", "3 Mar", "4 Mar", "5 Mar")


def test_ticks_over_many_years_are_years():
    _, texts = dates.ticks(day("2019-06-01"), day("2026-03-05"))
    assert texts == ("2020", "2022", "2024", "2026")


@given(DAYS, st.integers(1, 20_000))
def test_ticks_lie_inside_in_order_and_are_few(first, length):
    places, texts = dates.ticks(first, first + length)
    assert len(places) == len(texts) <= 6
    assert all(first <= place <= first + length for place in places)
    assert list(places) == sorted(set(places))


def test_a_view_over_dates_is_described_with_dates():
    view = View(
        "Spend doubled", Line("search", [datetime.date(2026, 1, 1), datetime.date(2026, 7, 1)], [1, 2])
    )
    chart = Chart("", "Spend per day (USD)")
    assert plan_axes(view, chart)[0].dates
    assert "$1 at 1 Jan 2026 to $2 at 1 Jul 2026" in describe(view, chart)


def test_a_missing_date_names_the_series():
    with pytest.raises(ValueError, match="'search'"):
        Line("search", np.array(["2026-01-01", "NaT"], dtype="datetime64[D]"), [1, 2])


def test_dates_and_numbers_do_not_share_an_axis():
    with pytest.raises(ValueError, match="dates in some series and numbers in others"):
        View("t", (Line("a", [datetime.date(2026, 1, 1)], [1]), Line("b", [1], [1])))
