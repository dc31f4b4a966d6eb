"""Controls: what a reader can set, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.explore import Choice, Slider, Toggle


def test_a_slider_of_whole_numbers_passes_ints_on():
    slider = Slider(5, 0, 10)
    assert slider.whole
    assert slider.step_size == 1
    assert slider.check(7.0) == 7
    assert isinstance(slider.check(7.0), int)


def test_a_slider_with_a_fraction_passes_floats_on():
    assert isinstance(Slider(0.5, 0, 1).check(1), float)
    assert Slider(0.5, 0.0, 1.0).step_size == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Slider(11, 0, 10), "value is 11, expected 0 to 10"),
        (lambda: Slider(1, 2, 1), "expected low < high"),
        (lambda: Slider(1, 0, 10, log=True), "above 0 for a log slider"),
        (lambda: Slider(1, 0, 10, step=20), "step is 20"),
        (lambda: Slider(float("nan"), 0, 10), "finite"),
        (lambda: Choice("c", ["a", "b"]), "value is 'c', expected one of 'a', 'b'"),
        (lambda: Choice("c", []), "options are empty"),
        (lambda: Toggle(1), "value is 1, expected True or False"),
    ],
)
def test_nonsense_is_refused_with_what_would_be_right(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_a_dragged_log_slider_stands_on_round_numbers():
    slider = Slider(20_000, 1000, 1_000_000, log=True)
    assert slider.snap(12_589.25) == 13_000
    assert slider.snap(1000) == 1000
    assert Slider(0.5, 0.001, 1, log=True).snap(0.0314159) == 0.031


@given(st.floats(1e-6, 1e3), st.floats(2, 1e6), st.floats(0, 1), st.booleans())
def test_a_snapped_value_lies_within_the_slider(low, ratio, share, log):
    slider = Slider(low, low, low * ratio, log=log)
    value = low * ratio**share if log else low + share * (low * ratio - low)
    assert low <= slider.check(slider.snap(value)) <= low * ratio


@given(st.integers(2, 40), st.booleans())
def test_stops_run_from_low_to_high_and_hold_the_default(most, log):
    slider = Slider(1234.5, 10.0, 1e5, log=log)
    stops = slider.stops(most)
    assert len(stops) <= most
    assert stops == sorted(set(stops))
    assert 1234.5 in stops
    assert most == 2 or (stops[0] == 10 and stops[-1] == pytest.approx(1e5))


def test_stops_of_few_whole_numbers_are_all_of_them():
    assert Slider(2, 0, 5).stops(25) == [0, 1, 2, 3, 4, 5]
    assert Choice("b", ["a", "b"]).stops(25) == ["a", "b"]
    assert Toggle(True).stops(25) == [False, True]


def test_a_choice_may_show_other_words_than_it_passes_on():
    choice = Choice(0.5, {"half": 0.5, "all": 1.0})
    assert choice.text(1.0) == "all"


def test_a_readout_has_its_unit():
    assert Slider(20_000, 1000, 10**6, unit="requests/day").text(250_000) == "250k requests/day"


def test_a_handle_within_half_a_step_stands_at_the_same_stop():
    slider = Slider(1_234_567, 1000, 10**9, log=True)
    assert slider.same_stop(10**6.1, 1_234_567)
    assert not slider.same_stop(10**6.15, 1_234_567)
    assert not Slider(4, 0, 20).same_stop(5, 4)
