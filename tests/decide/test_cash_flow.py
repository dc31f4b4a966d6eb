"""Sums, present values and the month in which one road overtakes another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.decide import CashFlow, month_of_crossing


def flow(*usd, name="road"):
    return CashFlow(name, {"all": np.array(usd, dtype=float)}, len(usd))


def test_by_hand_a_bill_a_year_from_now_at_ten_percent():
    twelve = flow(*[0.0] * 11, 1100.0)
    assert twelve.present_usd(0.10) == pytest.approx(1000.0)
    assert twelve.present_usd(0.0) == 1100.0


def test_by_hand_three_months_at_a_percent_a_month():
    monthly = 1.01**12 - 1
    assert flow(101, 102.01, 103.0301).present_usd(monthly) == pytest.approx(300.0)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=36), st.floats(0, 0.5), st.floats(0, 0.5))
def test_the_more_money_costs_the_less_a_later_bill_weighs(usd, one, other):
    low, high = sorted((one, other))
    assert (
        flow(*usd).present_usd(high)
        <= flow(*usd).present_usd(low) * (1 + 1e-12)
        <= (sum(usd) + 1e-6) * 1.0001
    )


def test_the_month_from_which_on_it_has_cost_no_more():
    build, rent = flow(100, 10, 10, 10), flow(40, 40, 40, 40)
    assert month_of_crossing(build, rent) == 3  # 120 against 120
    assert month_of_crossing(rent, build) is None
    assert month_of_crossing(rent, rent) == 1
    assert (
        month_of_crossing(flow(1, 50, 1), flow(2, 2, 60)) == 3
    )  # ahead, behind, ahead again: the last one counts


def test_roads_over_other_spans_are_not_compared():
    with pytest.raises(ValueError, match="behind has 2 months: the 3"):
        month_of_crossing(flow(1, 2, 3), flow(1, 2))
