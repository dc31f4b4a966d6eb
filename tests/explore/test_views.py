"""Series, views and charts refuse nonsense, and describe themselves in words."""

import math

import numpy as np
import pytest

from course_utils.explore import Bars, Chart, Line, Points, View, describe
from course_utils.explore.views import check_scales


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["x", "y", "lo", "hi"])
def test_a_value_that_is_not_finite_names_series_field_and_place(field, value):
    fields = {"x": [0, 1], "y": [2, 3], "lo": [1, 2], "hi": [3, 4]}
    fields[field] = [fields[field][0], value]
    with pytest.raises(ValueError, match=rf"series 'forecast': {field}\[1\] is -?(nan|inf)"):
        Line("forecast", **fields)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Line("forecast", [0, 1, 2], [0, 1]),
        lambda: Line("forecast", [0, 1], [0, 1], [0], [2, 3]),
        lambda: Points("forecast", [0, 1], [0, 1], labels=["a"]),
        lambda: Bars("forecast", ["a"], [0, 1]),
    ],
)
def test_lengths_that_differ_name_the_series(make):
    with pytest.raises(
        ValueError, match=r"series 'forecast': .* must have as many|series 'forecast': y has 2"
    ):
        make()


def test_an_interval_needs_both_ends_in_order():
    with pytest.raises(ValueError, match="'forecast': give both lo and hi"):
        Line("forecast", [0], [1], lo=[0])
    with pytest.raises(ValueError, match=r"'forecast': lo\[1\] is 3.0, above hi\[1\] = 2.0"):
        Line("forecast", [0, 1], [1, 2], [0, 3], [2, 2])


@pytest.mark.parametrize(("x", "y"), [([], []), ([[1]], [[1]]), (["a"], [1])])
def test_x_and_y_are_rows_of_numbers(x, y):
    with pytest.raises(ValueError, match="series 'forecast'"):
        Line("forecast", x, y)


def test_bars_have_each_category_once():
    with pytest.raises(ValueError, match="category 'gpt' appears twice"):
        Bars("cost", ["gpt", "gpt"], [1, 2])


def test_a_view_has_a_title_and_series_of_one_kind_of_axis():
    line, bars = Line("a", [0], [1]), Bars("b", ["x"], [1])
    with pytest.raises(ValueError, match="title is empty"):
        View(" ", line)
    with pytest.raises(ValueError, match="got none"):
        View("t", ())
    with pytest.raises(ValueError, match=r"got \['str'\]"):
        View("t", ("nonsense",))
    with pytest.raises(ValueError, match="Bars can't share"):
        View("t", (line, bars))
    with pytest.raises(ValueError, match="'c': its categories differ"):
        View("t", (bars, Bars("c", ["y"], [1])))


def test_one_series_needs_no_tuple():
    line = Line("a", [0], [1])
    assert View("t", line).series == (line,)


def test_a_view_keeps_its_numbers():
    y = np.array([1.0, 2.0])
    line = Line("a", [0, 1], y)
    with pytest.raises(ValueError, match="read-only"):
        line.y[0] = 5


def test_a_log_axis_refuses_what_it_cannot_show():
    view = View("t", Line("spend", [1, 2], [0, 5]))
    check_scales(view, Chart("x", "y"))
    with pytest.raises(ValueError, match="'spend': y reaches 0, but the y axis is logarithmic"):
        check_scales(view, Chart("x", "y", y_scale="log"))
    with pytest.raises(ValueError, match="x_scale is 'logarithmic'"):
        Chart("x", "y", x_scale="logarithmic")
    with pytest.raises(ValueError, match="y_range is"):
        Chart("x", "y", y_scale="log", y_range=(0, 1))


def test_the_alt_text_is_the_chart_s_own_if_it_has_one():
    assert describe(View("t", Line("a", [0], [1])), Chart("x", "y", alt="A line.")) == "A line."


def test_the_alt_text_of_lines_says_where_they_start_and_end():
    view = View("The bill doubles.", Line("Forecast", [0, 12], [1000, 2000], [900, 1500], [1100, 2600]))
    assert describe(view, Chart("Months from now", "Cost per month (USD)")) == (
        "The bill doubles. Cost per month (USD) against Months from now. "
        "Forecast: from $1k at 0 to $2k at 12, where the interval is $1.5k to $2.6k."
    )


def test_the_alt_text_of_few_bars_says_each_and_of_many_their_range():
    few = describe(View("t", Bars("Cost", ["a", "b"], [1, 2])), Chart("Model", "Cost (USD)"))
    assert "Cost: a $1, b $2." in few
    many = Bars("Cost", [str(index) for index in range(30)], range(1, 31))
    assert "Cost: 30 values from $1 to $30." in describe(View("t", many), Chart("Model", "Cost (USD)"))


def test_the_alt_text_of_labelled_points_says_each():
    view = View("t", Points("Kernels", [1, 2], [1e12, 2e12], labels=["add", "matmul"]))
    assert "add 1 TFLOP/s, matmul 2 TFLOP/s" in describe(view, Chart("Intensity", "Speed (FLOP/s)"))
