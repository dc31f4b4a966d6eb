"""Two models for one job: by hand, at the limits, and against each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.decide import (
    Checker,
    break_even_escalation,
    cascade_right,
    cascade_usd,
    escalated_share,
    routed_usd,
)

shares, usd = st.floats(0, 1), st.floats(1e-6, 1)


def test_by_hand_ten_requests():
    # Small 1 cent, large 10: seven answered by the small one, three by both. 10 x 1 + 3 x 10 = 40 cents, not 37.
    assert cascade_usd(0.01, 0.10, 0.3) * 10 == pytest.approx(0.40)
    assert routed_usd(0.01, 0.10, 0.3) * 10 == pytest.approx(0.37)


def test_by_hand_a_checker_that_is_wrong_both_ways():
    # Of 100, 80 right: 10 % doubted are 8. Of 20 wrong, 75 % caught are 15. So 23 go on.
    checker = Checker(caught_share=0.75, false_alarm_share=0.10)
    assert escalated_share(0.8, checker) == pytest.approx(0.23)
    # 72 kept right, 8 doubted and right again, 15 hard ones of which the large model gets 60 %: 9.
    assert cascade_right(0.8, checker, large_right_on_hard=0.6) == pytest.approx(0.89)


@given(usd, usd, st.floats(0, 0.01))
def test_at_the_break_even_share_a_cascade_costs_what_the_large_model_does(small, large, check):
    share = break_even_escalation(small, large, check)
    if 0 <= share <= 1:
        assert cascade_usd(small, large, share, check) == pytest.approx(large)


@given(usd, usd, shares)
def test_a_free_router_that_knows_is_never_dearer_than_a_cascade(small, large, share):
    assert routed_usd(small, large, share) <= cascade_usd(small, large, share) * (1 + 1e-12)


@given(shares, shares, shares, shares)
def test_catching_more_never_makes_answers_worse(right, caught, more, hard):
    low, high = sorted((caught, more))
    worse, better = (cascade_right(right, Checker(one, 0.1), hard) for one in (low, high))
    assert worse <= better + 1e-12


@given(shares, shares)
def test_a_checker_that_passes_on_everything_leaves_the_large_model(right, hard):
    everything = Checker(1, 1)
    assert escalated_share(right, everything) == pytest.approx(1)
    assert cascade_right(right, everything, hard, 1.0) == pytest.approx(right + (1 - right) * hard)


def test_nonsense_is_refused_by_name():
    with pytest.raises(ValueError, match=r"escalated=1\.5"):
        cascade_usd(0.01, 0.1, 1.5)
    with pytest.raises(ValueError, match="large_usd=0"):
        break_even_escalation(0.01, 0)
