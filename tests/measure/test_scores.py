import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from course_utils.measure.scores import paired, score

VALUES = st.lists(st.floats(-50, 50), min_size=2, max_size=40)


def a_score(values, kind="mean", **changes):
    given_ = {"name": "figure", "unit": "bits", "text_id": "t", "setting": "s", **changes}
    return score(kind=kind, per_block=values, **given_)


@given(VALUES)
def test_the_interval_holds_the_mean(values):
    one = a_score(values)
    assert one.lo <= one.mean <= one.hi


@given(VALUES.filter(lambda v: np.std(v) > 1e-3))
def test_the_interval_is_scipys_t_interval(values):
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert a_score(values).lo == pytest.approx(theirs.low, abs=1e-9)
    assert a_score(values).hi == pytest.approx(theirs.high, abs=1e-9)


@given(st.integers(2, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_share_is_scipys_wilson_interval(case):
    right, count = case
    ours = a_score([1.0] * right + [0.0] * (count - right), "share")
    theirs = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert (ours.lo, ours.hi) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_pairs_show_what_two_intervals_hide():
    blocks = np.random.default_rng(0).normal(3, 1, 30)
    a, b = a_score(blocks + 0.1 + 0.01 * np.sin(range(30))), a_score(blocks)
    assert a.lo < b.hi, "apart, their intervals overlap"
    assert paired(a, b).shown
    assert paired(a, b).mean == pytest.approx(0.1, abs=0.01)


def test_a_difference_turned_round_has_the_other_sign():
    a, b = a_score([1.0, 2.0, 4.0]), a_score([2.0, 2.5, 4.1])
    there, back = paired(a, b), paired(b, a)
    assert (there.mean, there.lo, there.hi) == pytest.approx((-back.mean, -back.hi, -back.lo))


def test_perplexities_differ_by_a_fraction():
    b = a_score([1.0, 2.0, 3.0], "exponential")
    a = a_score([1.1, 2.1, 3.1], "exponential")
    assert b.mean == pytest.approx(math.exp(2))
    assert paired(a, b).mean == pytest.approx(a.mean / b.mean - 1)
    assert "%" in str(paired(a, b))


def test_equal_answers_leave_doubt_that_more_questions_remove():
    few, many = ([1.0, 0.0] * n for n in (10, 500))
    for answers in (few, many):
        assert not paired(a_score(answers, "share"), a_score(answers, "share")).shown
    narrow = paired(a_score(many, "share"), a_score(many, "share"))
    wide = paired(a_score(few, "share"), a_score(few, "share"))
    assert wide.hi > 5 * narrow.hi > 0


def test_no_difference_shown_is_not_the_same_as_shown_to_be_none():
    noise = np.random.default_rng(1).normal(0, 0.3, 10)
    difference = paired(a_score(noise), a_score(np.zeros(10)))
    assert not difference.shown
    assert not difference.within(0.01)
    assert "no difference shown" in str(difference)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(2)
    zeros = a_score(np.zeros(16))
    held = sum(not paired(a_score(rng.normal(0, 1, 16)), zeros).shown for _ in range(600))
    assert 0.92 < held / 600 < 0.98


def test_intervals_of_matched_answers_hold_the_truth_too():
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(600):
        a, b = (rng.random((2, 60)) < 0.6).astype(float)
        held += not paired(a_score(a, "share"), a_score(b, "share")).shown
    assert held / 600 > 0.92


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: a_score([1.0]), "at least 2"),
        (lambda: a_score([1.0, math.inf]), "block 1 is inf"),
        (lambda: a_score([1.0, 2.0], "median"), "kind='median'"),
        (lambda: a_score([1.0, 2.0], confidence=95), "95"),
        (lambda: paired(a_score([1, 2]), a_score([1, 2], name="other")), "figure and b is other"),
        (lambda: paired(a_score([1, 2]), a_score([1, 2], text_id="u")), "different blocks"),
        (lambda: paired(a_score([1, 2]), a_score([1, 2])).within(0), "margin=0"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
