"""Names keep clear of one another and stay near what they name."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.explore import Chart, Line, Points, View
from course_utils.explore.axes import plan_axes
from course_utils.explore.labels import line_labels, point_labels, spread

WIDTH_PX, HEIGHT_PX = 600, 300
PLACES = st.lists(st.floats(-50, 350), min_size=1, max_size=12)


@given(PLACES)
def test_spread_labels_keep_their_distance_and_their_order(wanted):
    placed = spread(wanted, 20, 0, HEIGHT_PX)
    assert len(placed) == len(wanted)
    order = np.argsort(wanted, kind="stable")
    gaps = np.diff(np.array(placed)[order])
    assert (gaps >= 20 - 1e-6).all()
    assert min(placed) >= -1e-6
    assert max(placed) <= HEIGHT_PX + 1e-6


def test_labels_with_room_stay_where_they_are():
    assert spread([10, 100, 250], 20, 0, HEIGHT_PX) == [10, 100, 250]


def test_labels_that_collide_part_evenly():
    assert spread([100, 100], 20, 0, HEIGHT_PX) == [90, 110]


def test_labels_without_room_share_the_space():
    placed = spread([50.0] * 31, 20, 0, HEIGHT_PX)
    assert np.allclose(sorted(placed), np.arange(31) * 10)


@given(PLACES)
def test_no_other_placement_of_free_labels_is_closer(wanted):
    free = [place * 100 for place in range(len(wanted))]
    assert spread([float(one) for one in free], 20, 0, 2000) == free


def axes_of(view, chart):
    return plan_axes(view, chart)


def test_each_line_is_named_at_its_end():
    view = View("t", (Line("low", [0, 1], [0, 1]), Line("high", [0, 1], [0, 9])))
    labels = line_labels(view, *axes_of(view, Chart("x", "y")), WIDTH_PX, HEIGHT_PX)
    assert [(label.text, label.series) for label in labels] == [("low", 0), ("high", 1)]
    assert all(label.x_px == WIDTH_PX for label in labels)
    assert labels[0].y_px < labels[1].y_px


def test_a_line_without_a_name_gets_no_label():
    view = View("t", Line("", [0, 1], [0, 1]))
    assert line_labels(view, *axes_of(view, Chart("x", "y")), WIDTH_PX, HEIGHT_PX) == []


@pytest.mark.parametrize("count", [2, 5, 8])
def test_names_of_points_do_not_cover_one_another(count):
    draw = np.random.default_rng(count)
    x, y = draw.uniform(0, 10, count), draw.uniform(0, 10, count)
    view = View("t", Points("a", x, y, labels=[f"kernel {index}" for index in range(count)]))
    labels = point_labels(view, *axes_of(view, Chart("x", "y")), WIDTH_PX, HEIGHT_PX)
    assert [label.text for label in labels] == [f"kernel {index}" for index in range(count)]
    for label, other in itertools.combinations(labels, 2):
        left, low, right, top = label.box_px
        other_left, other_low, other_right, other_top = other.box_px
        assert right <= other_left or other_right <= left or top <= other_low or other_top <= low


def test_the_name_of_a_point_on_a_line_stands_beside_the_line():
    view = View("t", (Line("roof", [0, 10], [5, 5]), Points("k", [5], [5], labels=["decode"])))
    (label,) = point_labels(view, *axes_of(view, Chart("x", "y")), WIDTH_PX, HEIGHT_PX)
    assert label.side in {"top", "bottom"}
