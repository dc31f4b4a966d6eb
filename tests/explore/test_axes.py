"""Axes: round limits that hold the data, and ticks that a person would choose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.explore import Bars, Chart, Line, Points, View
from course_utils.explore.axes import (
    linear_limits,
    linear_ticks,
    log_limits,
    log_ticks,
    plan_axes,
    plan_axis,
    round_down,
    round_up,
)

SIZES = st.floats(1e-9, 1e15)
NUMBERS = st.floats(-1e12, 1e12).map(lambda value: 0.0 if abs(value) < 1e-6 else value)


@given(SIZES)
def test_a_rounded_limit_is_within_a_quarter_of_the_value(value):
    assert value * (1 - 1e-6) <= round_up(value) <= value * 1.26
    assert value / 1.26 <= round_down(value) <= value * (1 + 1e-6)


@given(NUMBERS, NUMBERS, st.booleans())
def test_linear_limits_hold_the_data(one, other, steady):
    low, high = sorted((one, other))
    bottom, top = linear_limits(low, high, steady)
    slack = 1e-6 * max(abs(low), abs(high), 1e-9)
    assert bottom - slack <= low
    assert high <= top + slack
    assert bottom < top


def test_an_axis_of_amounts_starts_at_zero():
    assert linear_limits(100, 950) == (0, 1000)


def test_an_axis_of_values_close_together_does_not():
    bottom, top = linear_limits(980, 1000)
    assert bottom > 900
    assert top <= 1010


@given(st.floats(1e-9, 1e12), st.floats(1, 1e6), st.booleans())
def test_log_limits_hold_the_data_and_span_a_decade(low, ratio, steady):
    bottom, top = log_limits(low, low * ratio, steady)
    assert bottom <= low * (1 + 1e-6)
    assert top >= low * ratio * (1 - 1e-6)
    assert top / bottom >= 9.5


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e12), st.integers(3, 8))
def test_linear_ticks_lie_inside_evenly_and_are_few(low, span, most):
    low *= span
    ticks = linear_ticks(low, low + span, most)
    assert 1 <= len(ticks) <= most
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    if len(ticks) > 2:
        steps = np.diff(ticks)
        assert np.allclose(steps, steps[0], rtol=1e-3)


@given(st.floats(1e-9, 1e9), st.floats(10, 1e9))
def test_log_ticks_lie_inside_and_are_few(low, ratio):
    ticks = log_ticks(low, low * ratio)
    assert 1 <= len(ticks) <= 8
    assert all(low * (1 - 1e-6) <= tick <= low * ratio * (1 + 1e-6) for tick in ticks)


def test_months_are_counted_by_the_year_s_parts():
    view = View("t", Line("a", range(25), range(25)))
    assert plan_axes(view, Chart("Month", "Cost (USD)"))[0].ticks == (0, 6, 12, 18, 24)


def test_whole_numbers_get_whole_ticks():
    x, _ = plan_axes(View("t", Line("a", [0, 1, 2, 3], [1, 2, 3, 4])), Chart("Repeat", "Time (s)"))
    assert x.ticks == (0, 1, 2, 3)


def test_a_curve_runs_from_edge_to_edge_and_points_keep_a_margin():
    chart = Chart("x", "y")
    curve, _ = plan_axes(View("t", Line("a", [0.3, 9.7], [1, 2])), chart)
    assert (curve.low, curve.high) == (0.3, 9.7)
    points, _ = plan_axes(View("t", Points("a", [0.3, 9.7], [1, 2])), chart)
    assert points.low < 0.3
    assert points.high > 9.7


def test_bars_start_at_zero_even_if_they_are_alike():
    _, y = plan_axes(View("t", Bars("a", ["x", "y"], [98, 100])), Chart("", "Cost (USD)"))
    assert y.low == 0
    assert y.high > 100


def test_the_band_belongs_to_the_data():
    _, y = plan_axes(View("t", Line("a", [0, 1], [1, 1], [0.5, 0.5], [9, 9])), Chart("x", "y"))
    assert y.high >= 9


def test_a_fixed_range_holds_the_axis_still():
    chart = Chart("x", "y", y_range=(0, 50))
    for top in (1, 10, 49):
        _, y = plan_axes(View("t", Line("a", [0, 1], [0, top])), chart)
        assert (y.low, y.high) == (0, 50)


def test_an_explorer_s_axis_stands_still_while_its_data_grow():
    assert {linear_limits(0, top, steady=True) for top in np.linspace(3100, 4900, 30)} == {(0, 5000)}
    assert {log_limits(1.1, top, steady=True) for top in np.linspace(110, 990, 30)} == {(1, 1000)}


@given(SIZES)
def test_an_explorer_s_data_fill_half_of_their_axis_or_more(top):
    assert linear_limits(0, top, steady=True)[1] <= top * 2 * (1 + 1e-6)


@given(st.floats(1, 1e6), st.floats(0, 1), st.booleans())
def test_a_share_of_an_axis_and_its_value_are_inverse(high, share, log):
    x, _ = plan_axes(
        View("t", Line("a", [1e-3, high], [1, 2])), Chart("x", "y", x_scale="log" if log else "linear")
    )
    assert float(x.share(x.at(share))) == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize(
    ("ends", "texts"),
    [
        ((5, 2000), ("10 s", "30 s", "1 min", "2 min", "5 min", "15 min", "30 min")),
        ((100, 9000), ("2 min", "5 min", "15 min", "30 min", "1 h", "2 h")),
        ((1, 100_000), ("1 s", "10 s", "1 min", "5 min", "30 min", "2 h", "12 h")),
    ],
)
def test_a_log_axis_in_seconds_has_the_clock_s_ticks_beyond_a_minute(ends, texts):
    assert plan_axis(*ends, "wait (s)", "log").texts == texts
