"""What plotly is told to draw, the same as matplotlib draws."""

import numpy as np
import plotly.graph_objects as go
import pytest

from course_utils.explore import Bars, Chart, Line, Points, View, style
from course_utils.explore.figures import drawing, same

MONEY = Chart("Months from now", "Cost per month (USD)")


def test_a_band_lies_under_its_line_in_its_colour():
    traces = drawing(View("t", Line("a", [0, 1], [1, 2], [0, 1], [2, 3])), MONEY).traces
    assert list(traces) == ["band0", "line0", "labels"]
    assert traces["band0"]["y"].tolist() == [2, 3, 1, 0]
    assert traces["band0"]["fillcolor"] == style.rgba(style.PALETTE[0], style.BAND_OPACITY)


@pytest.mark.parametrize(
    "view",
    [
        View("t", Line("a", [0, 1], [1, 2], [0, 1], [2, 3], dash=True)),
        View("t", Points("a", [1, 2], [1, 2], ["x", "y"], [0, 1], [2, 3])),
        View("t", Bars("a", ["x", "y"], [1, 2], [0, 1], [2, 3])),
        View("t", Bars("a", [f"a long name {index}" for index in range(9)], range(9))),
        View("t", (Bars("a", ["x"], [-1]), Bars("b", ["x"], [2]))),
    ],
)
def test_plotly_accepts_every_kind_of_series(view):
    made = drawing(view, MONEY)
    figure = go.Figure(data=list(made.traces.values()), layout=made.layout)
    assert len(figure.data) == len(made.traces)


def test_ticks_and_range_are_those_of_the_static_chart():
    layout = drawing(View("t", Line("a", [0, 24], [0, 1900])), MONEY).layout
    assert layout["yaxis"]["ticktext"] == ["$0", "$500", "$1,000", "$1,500", "$2,000"]
    assert layout["yaxis"]["range"] == [0, 2000]
    assert layout["xaxis"]["tickvals"] == [0, 6, 12, 18, 24]


def test_a_log_axis_is_ranged_in_powers_of_ten():
    layout = drawing(View("t", Line("a", [1, 100], [1, 1000])), Chart("x", "y", "log", "log")).layout
    assert layout["xaxis"]["range"] == [0, 2]
    assert layout["yaxis"]["tickvals"][0] == 1


def test_the_names_of_the_axes_stand_outside_plotly():
    made = drawing(View("t", Line("a", [0, 1], [1, 2])), MONEY)
    assert (made.above, made.below) == ("Cost per month (USD)", "Months from now")
    flat = drawing(View("t", Bars("a", [f"a long name {i}" for i in range(9)], range(9))), MONEY)
    assert (flat.above, flat.below) == ("", "Cost per month (USD)")


def test_a_name_is_written_at_the_end_of_its_line():
    labels = drawing(View("t", (Line("a", [0, 8], [1, 2]), Line("b", [0, 9], [3, 9]))), MONEY).traces[
        "labels"
    ]
    assert labels["text"] == ["a", "b"]
    assert labels["x"].tolist() == [8, 9]
    assert labels["textfont"]["color"] == [style.TEXT_PALETTE[0], style.TEXT_PALETTE[1]]


def test_the_value_of_a_bar_stands_beyond_its_interval():
    labels = drawing(View("t", Bars("a", ["x"], [5], [4], [7])), MONEY).traces["labels"]
    assert labels["text"] == ["$5"]
    assert labels["y"].tolist() == [7]


def test_an_interval_of_no_width_is_not_drawn():
    trace = drawing(View("t", Bars("a", ["x", "y"], [5, 6], [5, 4], [5, 8])), MONEY).traces["bars0"]
    assert np.isnan(trace["error_y"]["array"]).tolist() == [True, False]


def test_a_change_of_numbers_keeps_the_slots():
    one, other = (drawing(View("t", Line("a", [0, 1], [1, top])), MONEY) for top in (2, 30))
    assert list(one.traces) == list(other.traces)
    assert not same(one.traces["line0"], other.traces["line0"])
    assert same(one.traces["line0"]["x"], other.traces["line0"]["x"])
