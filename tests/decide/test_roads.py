"""Each road's bill by hand, its limits, and that nothing is in it which its parts don't hold."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.catalog import ApiPrice
from course_utils.decide import (
    Api,
    Hosted,
    Owned,
    Provisioned,
    Rent,
    Replica,
    Team,
    Workload,
    cash_flow_of,
    day_shape,
    price_path,
    usd_per_mtok,
)
from course_utils.decide.market import ProvisionedTerms
from course_utils.estimate import Usage, self_hosted_usd_per_mtok
from course_utils.estimate.cost import DAYS_PER_MONTH, HOURS_PER_MONTH

PRICE = ApiPrice(
    model="m", provider="p", input_usd_per_mtok=1, output_usd_per_mtok=4, cached_read_usd_per_mtok=0.1,
    batch_multiplier=0.5, source="test", as_of=date(2026, 11, 1),
)  # fmt: skip
CHAT = Usage(input_tokens=1000, output_tokens=500)
FLAT = np.ones(24)


def load(requests_per_day, shape=FLAT, **more):
    return Workload(requests_per_day, CHAT, shape, **more)


def month(road, workload):
    return {name: float(usd[0]) for name, usd in road.costs(workload, 1).items()}


def test_by_hand_a_month_of_an_api():
    # 1,000 x 30.4375 requests of 1,000 tokens at 1 USD and 500 at 4 USD a million: 0.001 and 0.002 USD each.
    assert month(Api("api", PRICE), load(1000)) == pytest.approx({"fresh input": 30.4375, "output": 60.875})


def test_by_hand_cached_reads_and_batches_have_their_own_prices():
    usage = Usage(input_tokens=1000, cached_read_tokens=600, output_tokens=500)
    found = month(Api("api", PRICE), Workload(1000, usage, FLAT, batch_share=0.5))
    days = DAYS_PER_MONTH * 0.75  # half of the requests at half the price
    assert found == pytest.approx(
        {"fresh input": 0.4 * days, "cached reads": 0.06 * days, "output": 2.0 * days}
    )


def test_without_a_batch_price_what_can_wait_pays_the_plain_price():
    plain = ApiPrice(
        model="m",
        provider="p",
        input_usd_per_mtok=1,
        output_usd_per_mtok=4,
        source="t",
        as_of=date(2026, 11, 1),
    )
    assert month(Api("a", plain), load(1000, batch_share=0.4)) == pytest.approx(
        month(Api("a", plain), load(1000))
    )


def test_by_hand_machines_for_the_busiest_hour_and_one_to_spare():
    # 24,000 requests a day are 0.2778/s; 3 x that in the busiest hour, of 500 tokens: 417 tokens/s.
    # A copy of 2 chips sustains 200, and is planned to 0.7: 417 / 140 = 2.98, so 3 copies, and 1 to spare.
    road = Hosted("own", Replica(2, 200, 0.7), Rent(2.5))
    assert month(road, load(24_000, day_shape(3)))["chips held"] == pytest.approx(4 * 2 * 2.5 * 730.5)


def test_by_hand_two_copies_held_and_the_rest_by_the_hour():
    # Twelve hours at 2 a second's worth, twelve at 1: need 4 and 2 copies. Held 2; two more for half of the time.
    shape = np.repeat([4 / 3, 2 / 3], 12)
    workload = Workload(86_400 * 0.3, CHAT, shape)  # 0.4 and 0.2 requests/s: 200 and 100 tokens/s
    road = Hosted("own", Replica(1, 50, 1.0), Rent(2.0, 5.0), spare=0, held=2)
    assert month(road, workload) == pytest.approx(
        {"chips held": 2 * 2.0 * 730.5, "chips by the hour": 2 * 0.5 * 5.0 * 730.5}
    )


def test_held_chips_that_are_too_few_are_named():
    road = Hosted("own", Replica(1, 50, 1.0), Rent(2.0), spare=0, held=1)
    with pytest.raises(
        ValueError, match=r"held chips: 1, but 6 run in the busiest hour.*extra_usd_per_chip_hour"
    ):
        road.costs(load(86_400 * 0.6), 1)


def test_a_term_keeps_on_charging_for_a_peak_that_has_gone():
    shrinking = load(86_400, growth_per_month=-0.5)  # 10, 5, 2.5, ... copies needed
    monthly = Hosted("m", Replica(1, 50, 1.0), Rent(1.0), spare=0)
    yearly = Hosted("y", Replica(1, 50, 1.0), Rent(1.0, term_months=12), spare=0)
    held = [road.held_copies(road.copies(shrinking, 14)) for road in (monthly, yearly)]
    assert held[0][:4].tolist() == [10, 5, 3, 2]
    assert held[1].tolist() == [10] * 12 + [5, 3]


def test_by_hand_chips_that_are_bought():
    # 700 W x 0.7 x 1.5 x 1.2 = 882 W: 644.3 kWh a month.
    road = Hosted("own", Replica(1, 50, 1.0), Owned(30_000, 700, 0.10, 150), spare=1)
    flow = cash_flow_of(road, load(1), 36)
    assert flow.by_part_usd["chips bought"] == pytest.approx(2 * 30_000)
    assert flow.by_part_usd["electricity"] == pytest.approx(36 * 2 * 0.882 * 730.5 * 0.10)
    assert flow.by_part_usd["room"] == pytest.approx(36 * 2 * 0.882 * 150)
    assert flow.by_month_usd[0] > 60_000 > 400 > flow.by_month_usd[1]


def test_by_hand_disk_egress_platform_and_team():
    # 1,000 x 30.4375 x 500 tokens of 250 bytes are 3.80 GB.
    team = Team(engineers=0.5, build_engineer_months=2, on_call=3, salary_usd_per_year=120_000, overhead=1.5)
    road = Hosted(
        "own", Replica(1, 1e6), Rent(1.0), team, spare=0, disk_gb=100, disk_usd_per_gb_month=0.08,
        egress_usd_per_gb=0.09, platform_usd_per_month=400,
    )  # fmt: skip
    assert month(road, load(1000)) == pytest.approx(
        {
            "chips held": 730.5,
            "disk": 8.0,
            "egress": 0.0905 * 3.7836,
            "platform": 400.0,
            "build": 30_000.0,
            "engineers": 7_500.0,
            "on call": 2_400.0,
        },
        rel=1e-2,
    )


TERMS = ProvisionedTerms(
    provider="p", model="m", unit="unit", deployment="global", term="month", usd_per_unit_hour=0.5,
    input_tokens_per_minute=10_000, output_weight=8, cached_weight=0, minimum_units=15, increment_units=5,
    source="test", as_of=date(2026, 11, 1),
)  # fmt: skip


def test_by_hand_units_for_the_busiest_hour_as_they_are_sold():
    # 1,000 + 500 x 8 = 5,000 a request; 57,600 a day are 40 a minute: 200,000, that is 20 units.
    road = Provisioned("ptu", TERMS, PRICE)
    assert month(road, load(57_600)) == pytest.approx({"units": 20 * 0.5 * 730.5})
    assert month(road, load(60_000)) == pytest.approx({"units": 25 * 0.5 * 730.5})  # 20.8, in steps of 5
    assert month(road, load(1)) == pytest.approx({"units": 15 * 0.5 * 730.5})  # no less is sold


def test_by_hand_what_exceeds_the_units_is_paid_by_the_token():
    # 20 units carry 57,600 a day evenly; of 72,000 a fifth spills over, at 0.003 USD a request.
    found = month(Provisioned("ptu", TERMS, PRICE, units=20), load(72_000))
    assert found["spill-over"] == pytest.approx(14_400 * DAYS_PER_MONTH * 0.003)


def test_cached_tokens_take_no_units_where_the_terms_say_so():
    usage = Usage(input_tokens=1000, cached_read_tokens=1000, output_tokens=0.001)
    assert Provisioned("ptu", TERMS, PRICE).units_needed(Workload(1e6, usage, FLAT), 1).max() < 0.1


def test_a_price_under_contract_stands_still_until_the_term_ends():
    path = price_path(-0.5, 36, held_months=12)
    assert path.tolist() == pytest.approx([1.0] * 12 + [0.5] * 12 + [0.25] * 12)
    assert price_path(-0.5, 25)[24] == pytest.approx(0.25)


# --- limits -------------------------------------------------------------------------------------------------

traffic = st.floats(0, 1e7)
peaks = st.floats(1, 8)
replicas = st.builds(Replica, st.integers(1, 8), st.floats(10, 1e5), st.floats(0.2, 1))


@given(replicas, st.floats(0.1, 20), st.integers(0, 3), peaks)
@settings(deadline=None)
def test_without_traffic_the_api_wins(replica, usd_per_hour, spare, peak):
    nothing = load(0, day_shape(peak))
    api = cash_flow_of(Api("api", PRICE), nothing, 12)
    own = cash_flow_of(Hosted("own", replica, Rent(usd_per_hour), spare=spare), nothing, 12)
    assert api.total_usd == 0 < own.total_usd


@given(replicas, st.floats(0.1, 20))
def test_with_endless_traffic_at_full_use_a_token_costs_what_the_machine_makes_it_for(replica, usd_per_hour):
    full = Replica(replica.chips, replica.output_tokens_per_s, 1.0)
    workload = load(1e13)
    own = Hosted("own", full, Rent(usd_per_hour))
    output_share = CHAT.output_tokens / (CHAT.input_tokens + CHAT.output_tokens)
    floor = self_hosted_usd_per_mtok(usd_per_hour * full.chips, full.output_tokens_per_s) * output_share
    assert usd_per_mtok(own, workload) == pytest.approx(floor, rel=1e-4)
    api = usd_per_mtok(Api("api", PRICE), workload)
    cheapest = min((own, Api("api", PRICE)), key=lambda road: usd_per_mtok(road, workload))
    assert (cheapest.name == "own") == (floor < api) or floor == pytest.approx(api, rel=1e-4)


@given(replicas, traffic, peaks, st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_utilization_never_exceeds_what_was_planned_and_a_higher_peak_never_raises_it(
    replica, day, peak, batch
):
    road = Hosted("own", replica, Rent(1.0), spare=0)
    sharp, flat = (road.utilization(load(day, day_shape(one), batch_share=batch), 1)[0] for one in (peak, 1))
    assert sharp <= replica.load_at_peak * (1 + 1e-9)
    assert sharp <= flat * (1 + 1e-9)


@given(traffic, st.floats(-0.1, 0.2), peaks, st.floats(0, 1), st.floats(0, 3))
@settings(max_examples=60, deadline=None)
def test_totals_equal_the_sum_of_their_parts_on_every_road(day, growth, peak, batch, engineers):
    workload = load(day, day_shape(peak), growth_per_month=growth, batch_share=batch)
    team = Team(engineers=engineers, build_engineer_months=2, on_call=1)
    roads = (
        Api("api", PRICE, team, -0.3),
        Hosted("own", Replica(2, 900), Rent(3.0, change_per_year=-0.1), team, 1, None, 50, 0.1, 0.09),
        Provisioned("ptu", TERMS, PRICE, 20, team),
    )
    for road in roads:
        flow = cash_flow_of(road, workload, 24)
        assert flow.total_usd == pytest.approx(sum(usd.sum() for usd in flow.parts.values()))
        assert flow.total_usd == pytest.approx(flow.by_month_usd.sum())
        assert flow.cumulative_usd[-1] == pytest.approx(flow.total_usd)
        assert all((usd >= 0).all() for usd in flow.parts.values())


@given(traffic, peaks)
@settings(deadline=None)
def test_more_traffic_never_costs_less(day, peak):
    for road in (
        Api("api", PRICE),
        Hosted("own", Replica(1, 500), Rent(2)),
        Provisioned("ptu", TERMS, PRICE),
    ):
        less, more = (cash_flow_of(road, load(one, day_shape(peak)), 3).total_usd for one in (day, 1.5 * day))
        assert more >= less * (1 - 1e-12)


def test_an_hours_price_is_an_hours_price():
    assert pytest.approx(730.5) == HOURS_PER_MONTH
