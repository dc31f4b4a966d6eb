"""Break-evens: one formula each, by hand and by law."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.scale import (
    Service,
    Trace,
    miss_price_break_even_usd,
    reserved_break_even_utilization,
    reserved_usd_per_used_hour,
    simulate_policies,
    spot_break_even_waste,
    spot_only,
    spot_usd_per_useful_hour,
    spot_with_fallback,
)

prices = st.floats(0.01, 1000)


def test_by_hand():
    # H100 SXM, GCP us-central1, 2026-07-30: 11.06125 on demand, 6.32619 spot, 7.67296 reserved for a year.
    assert spot_break_even_waste(6.32619, 11.06125) == pytest.approx(0.428, abs=0.001)
    assert reserved_break_even_utilization(7.67296, 11.06125) == pytest.approx(0.694, abs=0.001)
    assert spot_usd_per_useful_hour(6.0, 0.25) == 8.0
    assert reserved_usd_per_used_hour(6.0, 0.5) == 12.0


@settings(deadline=None)
@given(prices, prices)
def test_at_the_break_even_both_cost_the_same(cheap, dear):
    cheap, dear = sorted((cheap, dear))
    waste = spot_break_even_waste(cheap, dear)
    assert spot_usd_per_useful_hour(cheap, waste) == pytest.approx(dear)
    assert reserved_usd_per_used_hour(cheap, reserved_break_even_utilization(cheap, dear)) == pytest.approx(
        dear
    )


@settings(deadline=None)
@given(prices, prices)
def test_spot_above_on_demand_allows_no_waste_and_a_dear_reservation_never_pays(cheap, dear):
    cheap, dear = sorted((cheap, dear))
    assert spot_break_even_waste(dear, cheap) == 0
    assert reserved_break_even_utilization(dear, cheap) >= 1


@settings(deadline=None)
@given(prices, st.floats(0, 0.9), st.floats(0, 0.09))
def test_waste_makes_an_hour_dearer(price, waste, more):
    assert spot_usd_per_useful_hour(price, waste + more) >= spot_usd_per_useful_hour(price, waste) >= price


def test_at_the_break_even_price_of_a_miss_both_policies_cost_the_same():
    trace = Trace("zone", 300, np.array([4] * 20 + [0] * 5 + [4] * 20), 4)
    policies = (spot_only(4), spot_with_fallback(4))
    cheap, safe = simulate_policies(trace, policies, Service(4, 1.0, 3.0, requests_per_s=10))
    price = miss_price_break_even_usd(cheap, safe)
    again = simulate_policies(
        trace, policies, Service(4, 1.0, 3.0, requests_per_s=10, usd_per_missed_request=price)
    )
    assert again[0].total_usd == pytest.approx(again[1].total_usd)
    assert miss_price_break_even_usd(safe, safe) == 0
    assert miss_price_break_even_usd(safe, cheap) == math.inf


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: spot_usd_per_useful_hour(1.0, 1.0), "waste_share=1.0"),
        (lambda: spot_usd_per_useful_hour(-1.0, 0.5), "spot_usd_per_hour=-1.0"),
        (lambda: spot_break_even_waste(1.0, 0.0), "on_demand_usd_per_hour=0.0"),
        (lambda: reserved_break_even_utilization(float("nan"), 1.0), "reserved_usd_per_hour=nan"),
        (lambda: reserved_usd_per_used_hour(1.0, 0.0), "utilization=0.0"),
        (lambda: reserved_usd_per_used_hour(1.0, 70), "utilization=70"),
    ],
)
def test_nonsense_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
