"""Break-even by hand to the cent, on a staircase, and where there is none."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.decide import Api, Hosted, Rent, Replica, Team, break_even_traffic, cash_flow_of
from course_utils.decide.break_even import crossings
from course_utils.estimate import break_even_mtok_per_month
from course_utils.estimate.cost import DAYS_PER_MONTH
from tests.decide.test_roads import CHAT, PRICE, load

FAST = Replica(1, 1e7)


def cost_at(road, requests_per_day, months=1, **more):
    return cash_flow_of(road, load(requests_per_day, **more), months)


def test_by_hand_one_machine_against_an_api_to_the_cent():
    # 4 USD x 730.5 h = 2,922 USD a month; a request costs 0.003 USD, 1,000 a day 91.3125 a month: 32,000 a day.
    own, api = Hosted("own", FAST, Rent(4.0), spare=0), Api("api", PRICE)
    found = break_even_traffic(own, api, load(1), months=1)
    assert found.first_requests_per_day == pytest.approx(32_000, abs=1e-4)
    assert found.first_requests_per_day == found.last_requests_per_day
    bills = [cost_at(road, found.first_requests_per_day).total_usd for road in (own, api)]
    assert bills == pytest.approx([2922.00, 2922.00], abs=0.005)


def test_by_hand_with_an_engineer_and_a_spare_machine_to_the_cent():
    # Two machines 5,844; an engineer of 120,000 x 1.3 a year 13,000: 18,844 a month, 206,368.24 requests a day.
    own = Hosted("own", FAST, Rent(4.0), Team(engineers=1, salary_usd_per_year=120_000), spare=1)
    found = break_even_traffic(own, Api("api", PRICE), load(1), months=1)
    assert found.first_requests_per_day == pytest.approx(18_844 / (0.003 * DAYS_PER_MONTH), abs=1e-3)
    assert cost_at(Api("api", PRICE), found.first_requests_per_day).total_usd == pytest.approx(
        18_844.00, abs=0.005
    )


def test_growth_brings_the_break_even_of_the_first_month_down():
    # Over three months growing by half, 1 + 1.5 + 2.25 = 4.75 first months of tokens against 3 of rent.
    own, api = Hosted("own", FAST, Rent(4.0), spare=0), Api("api", PRICE)
    found = break_even_traffic(own, api, load(1, growth_per_month=0.5), months=3)
    assert found.first_requests_per_day == pytest.approx(32_000 * 3 / 4.75, rel=1e-9)


@given(st.floats(0.2, 50))
@settings(max_examples=8, deadline=None)
def test_agrees_with_the_closed_form_of_chapter_one(usd_per_hour):
    own, api = Hosted("own", FAST, Rent(usd_per_hour), spare=0), Api("api", PRICE)
    mtok_usd = 0.003 / (CHAT.input_tokens + CHAT.output_tokens) * 1e6
    mtok = break_even_mtok_per_month(usd_per_hour, mtok_usd)
    wanted = mtok * 1e6 / (CHAT.input_tokens + CHAT.output_tokens) / DAYS_PER_MONTH
    assert break_even_traffic(own, api, load(1), 1).first_requests_per_day == pytest.approx(wanted, rel=1e-9)


def test_a_machine_that_makes_tokens_dearer_than_they_are_sold_never_pays():
    slow = Hosted("own", Replica(1, 100), Rent(4.0), spare=0)  # 11 USD a million
    found = break_even_traffic(slow, Api("api", PRICE), load(1), 1)
    assert not found.happens
    assert found.first_requests_per_day == inf


def test_on_a_staircase_the_first_crossing_is_not_the_last():
    # A copy makes 600 tokens/s, 103,680 requests a day, for 2,922 x 3: at 96,000 it pays, a second one undoes it.
    own = Hosted("own", Replica(1, 600, 1.0), Rent(12.0), spare=0)
    found = break_even_traffic(own, Api("api", PRICE), load(1), 1)
    assert found.first_requests_per_day == pytest.approx(96_000, rel=1e-6)
    assert found.last_requests_per_day > 103_680
    for day, pays in (
        (95_000, False),
        (100_000, True),
        (110_000, False),
        (found.last_requests_per_day * 1.01, True),
    ):
        assert (cost_at(own, day).total_usd <= cost_at(Api("api", PRICE), day).total_usd) == pays


def test_what_always_pays_breaks_even_at_once():
    found = crossings(lambda day: day, 1, 1e6)
    assert (found.first_requests_per_day, found.last_requests_per_day) == (0, 0)
    with pytest.raises(ValueError, match="0 < low < high"):
        crossings(lambda day: day, 0, 1e6)
