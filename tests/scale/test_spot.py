"""Policies on spot: an exact simulation, checked replica by replica, and laws that any bill has to keep."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import scale
from course_utils.scale import (
    Service,
    Trace,
    floor_and_spot,
    on_demand_only,
    simulate_policies,
    simulate_policy,
    spot_only,
    spot_with_fallback,
)
from course_utils.scale.policies import Policy
from course_utils.scale.spot import lost_work_s

counts = st.lists(st.integers(0, 6), min_size=1, max_size=40)
steps = st.integers(0, 25).map(lambda n: 10.0 * n)


def trace(alive, gap_s=60.0, capacity=6):
    return Trace("zone", gap_s, np.array(alive), capacity)


def service(required=4, **changed):
    return Service(required, **{"spot_usd_per_hour": 1.0, "on_demand_usd_per_hour": 3.0} | changed)


def replica_by_replica(alive, gap_s, policy, service, step_s=10.0):
    """The same story told one replica and ten seconds at a time, with a birth date for each."""
    spot, fallback = [], []
    lead_s = min(service.grace_s, service.cold_start_s)
    billed_spot_s = billed_fallback_s = ready_s = short_s = enough_s = 0.0
    preemptions = 0
    now = 0.0
    for available in alive:
        for _ in range(round(gap_s / step_s)):
            target = min(available, policy.spot_replicas)
            while len(spot) > target:
                spot.pop()
                preemptions += 1
            while len(spot) < target:
                spot.append(now if now else -math.inf)
            ready = policy.floor_replicas + sum(now - birth >= service.cold_start_s for birth in spot)
            need = max(0, service.required_replicas - ready) if policy.falls_back else 0
            while len(fallback) > need:
                fallback.pop()
            while len(fallback) < need:
                fallback.append(now - lead_s if now else -math.inf)
                billed_fallback_s += lead_s if now else 0
            ready += sum(now - birth >= service.cold_start_s for birth in fallback)
            billed_spot_s += step_s * len(spot)
            billed_fallback_s += step_s * len(fallback)
            ready_s += step_s * ready
            short_s += step_s * max(0, service.required_replicas - ready)
            enough_s += step_s * (ready >= service.required_replicas)
            now += step_s
    return (
        billed_spot_s / 3600,
        billed_fallback_s / 3600,
        ready_s / 3600,
        short_s / 3600,
        enough_s / now,
        preemptions,
    )


@settings(deadline=None, max_examples=300)
@given(counts, st.integers(0, 4), st.integers(0, 6), st.booleans(), steps, steps)
def test_simulation_equals_the_story_told_replica_by_replica(alive, floor, spot, falls_back, cold_s, grace_s):
    policy = Policy("any", floor, spot, falls_back)
    asked = service(cold_start_s=cold_s, grace_s=grace_s)
    done = simulate_policy(trace(alive), policy, asked)
    got = (
        done.spot_replica_hours,
        done.fallback_replica_hours,
        done.ready_replica_hours,
        done.short_replica_hours,
        done.availability,
        done.preemptions,
    )
    assert got == pytest.approx(replica_by_replica(alive, 60.0, policy, asked), abs=1e-9)


@settings(deadline=None)
@given(st.lists(counts, min_size=1, max_size=4), st.integers(0, 5), st.integers(0, 8), st.booleans(), steps)
def test_replica_hours_and_money_are_conserved(zones, floor, spot, falls_back, cold_s):
    asked = service(cold_start_s=cold_s, requests_per_s=2.0, request_s=150.0, usd_per_missed_request=0.01)
    done = simulate_policy(tuple(map(trace, zones)), Policy("any", floor, spot, falls_back), asked)
    billed = done.spot_replica_hours + done.floor_replica_hours + done.fallback_replica_hours
    assert done.ready_replica_hours + done.idle_replica_hours == pytest.approx(billed)
    assert done.ready_replica_hours + done.short_replica_hours >= 4 * done.hours - 1e-9
    assert done.idle_replica_hours >= -1e-9
    assert 0 <= done.availability <= 1
    assert 0 <= done.missed_share <= 1
    assert done.spot_usd == pytest.approx(done.spot_replica_hours * 1.0)
    assert done.on_demand_usd == pytest.approx((done.floor_replica_hours + done.fallback_replica_hours) * 3.0)
    assert done.missed_usd == pytest.approx(done.missed_requests * 0.01)
    assert done.total_usd == done.spot_usd + done.on_demand_usd + done.missed_usd


@settings(deadline=None)
@given(counts, st.booleans(), st.floats(0, 5), st.floats(0, 5))
def test_cost_never_falls_when_a_price_rises(alive, falls_back, price, more):
    policy = floor_and_spot(4, 1, falls_back=falls_back)
    for name in ("spot_usd_per_hour", "on_demand_usd_per_hour", "usd_per_missed_request"):
        low, high = (
            simulate_policy(trace(alive), policy, service(requests_per_s=1.0, **{name: one})).total_usd
            for one in (price, price + more)
        )
        assert low <= high + 1e-9


@settings(deadline=None)
@given(counts, st.integers(1, 6), st.integers(0, 3), steps)
def test_floor_that_covers_what_is_required_is_always_available(alive, required, more, cold_s):
    policy = floor_and_spot(required, required + more)
    done = simulate_policy(trace(alive), policy, service(required, cold_start_s=cold_s))
    assert done.availability == 1
    assert done.short_replica_hours == 0


@settings(deadline=None)
@given(st.integers(1, 200), st.floats(0, 50), st.integers(1, 6), steps)
def test_without_preemptions_spot_only_costs_price_times_hours(ticks, price, required, cold_s):
    asked = service(required, spot_usd_per_hour=price, cold_start_s=cold_s)
    done = simulate_policy(trace([6] * ticks), spot_only(required), asked)
    assert done.total_usd == pytest.approx(price * required * ticks / 60)
    assert (done.preemptions, done.availability) == (0, 1)


@settings(deadline=None)
@given(counts, steps)
def test_fallback_is_never_less_available_and_never_misses_more(alive, cold_s):
    asked = service(cold_start_s=cold_s, requests_per_s=1.0)
    plain, falls_back = simulate_policies(trace(alive), (spot_only(4), spot_with_fallback(4)), asked)
    assert falls_back.availability >= plain.availability
    assert falls_back.missed_requests <= plain.missed_requests + 1e-9


@settings(deadline=None)
@given(counts, st.integers(0, 6), steps)
def test_an_empty_second_zone_changes_nothing(alive, spot, cold_s):
    asked, policy = service(cold_start_s=cold_s), Policy("any", 0, spot, falls_back=True)
    alone = simulate_policy(trace(alive), policy, asked)
    beside = simulate_policy((trace([0] * len(alive)), trace(alive)), policy, asked)
    assert beside == alone


@settings(deadline=None)
@given(st.lists(counts, min_size=1, max_size=3), steps)
def test_several_policies_at_once_equal_each_alone(zones, cold_s):
    traces, asked = tuple(map(trace, zones)), service(cold_start_s=cold_s)
    policies = [floor_and_spot(4, floor, falls_back=back) for floor in range(5) for back in (False, True)]
    together = simulate_policies(traces, policies, asked)
    assert together == tuple(simulate_policy(traces, policy, asked) for policy in policies)


def test_hand_worked_hour_of_a_preempted_replica():
    """Two replicas, ticks of 300 s; one is lost for a tick and needs 180 s to start: 480 s short."""
    alive = [2, 2, 1] + [2] * 9
    asked = service(2, cold_start_s=180, grace_s=30, requests_per_s=10, usd_per_missed_request=0.001)
    plain, falls_back = simulate_policies(trace(alive, 300.0), (spot_only(2), spot_with_fallback(2)), asked)
    assert plain.spot_replica_hours == pytest.approx(2 - 300 / 3600)
    assert plain.availability == pytest.approx(1 - 480 / 3600)
    assert plain.missed_requests == pytest.approx(5 * 480)
    assert plain.total_usd == pytest.approx(2 - 300 / 3600 + 2.4)
    # The fallback starts 30 s ahead, serves 150 s after the loss, and stops when the spot replica is ready.
    assert falls_back.fallback_replica_hours == pytest.approx((30 + 300 + 180) / 3600)
    assert falls_back.availability == pytest.approx(1 - 150 / 3600)
    assert falls_back.missed_requests == pytest.approx(5 * 150)


def test_requests_longer_than_the_notice_are_cut_off_with_each_preemption():
    alive = [2, 2, 1] + [1] * 9
    asked = service(2, cold_start_s=0, grace_s=30, request_s=90, requests_per_s=10)
    done = simulate_policy(trace(alive, 300.0), spot_only(2, 1), asked)
    assert done.preemptions == 1
    assert done.missed_requests == pytest.approx(5 * 3000 + 5 * (90 - 30))
    assert done.lost_work_replica_hours == pytest.approx((90**2 - 30**2) / 180 / 3600)


def test_lost_work_equals_a_draw_of_requests():
    rng = np.random.default_rng(5)
    left_s = rng.uniform(0, 90, 200_000)
    assert lost_work_s(90, 30) == pytest.approx(np.mean(np.where(left_s > 30, 90 - left_s + 30, 0)), rel=0.01)
    assert lost_work_s(30, 30) == 0


def test_two_zones_that_close_in_turn_keep_the_service_up_with_a_cushion():
    """Four replicas in two zones, four extra: either zone alone has four warm ones when the other closes."""
    one, other = [6] * 10 + [0] * 10 + [6] * 20, [6] * 30 + [0] * 10
    zones = (trace(one, capacity=6), trace(other, capacity=6))
    asked = service(4, cold_start_s=120)
    assert simulate_policy(zones, spot_only(4, 4), asked).availability == 1
    assert simulate_policy(zones[0], spot_only(4, 4), asked).availability < 0.8
    tight = simulate_policy(zones, spot_only(4), asked)
    assert tight.availability == pytest.approx(1 - 2 * 120 / (40 * 60))
    assert tight.preemptions == 4


def test_moving_back_to_a_zone_costs_no_availability():
    """When the first zone reopens, its replicas start before those that stood in for them stop."""
    zones = (trace([6] * 10 + [0] * 10 + [6] * 10), trace([6] * 30))
    done = simulate_policy(zones, spot_only(4), service(4, cold_start_s=60))
    assert done.availability == pytest.approx(1 - 60 / 1800)
    # Two replicas run twice for the two ticks in which their successors start, and none is lost then.
    assert done.spot_replica_hours == pytest.approx((4 * 30 + 2 * 1) / 60)
    assert done.preemptions == 2


def test_on_demand_only_is_what_savings_are_measured_against():
    done = simulate_policy(trace([0, 3, 0]), on_demand_only(4), service(4))
    assert done.total_usd == done.on_demand_only_usd
    assert done.savings_share == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: service(0), "required_replicas=0"),
        (lambda: service(2.5), r"required_replicas=2\.5"),
        (lambda: service(spot_usd_per_hour=-1.0), r"spot_usd_per_hour=-1\.0"),
        (lambda: service(on_demand_usd_per_hour=float("nan")), "on_demand_usd_per_hour=nan"),
        (lambda: service(cold_start_s=1e9), "cold_start_s"),
        (lambda: service(grace_s=-1), "grace_s=-1"),
        (lambda: floor_and_spot(4, -1), "floor_replicas=-1"),
        (lambda: spot_only(2000), "spot_replicas=2000"),
        (lambda: simulate_policies(trace([1]), (), service()), "policies is empty"),
        (lambda: simulate_policy((), spot_only(1), service()), "traces holds 0"),
        (
            lambda: simulate_policy((trace([1]), trace([1], 30.0)), spot_only(1), service()),
            r"ticks of \[30\.0, 60\.0\] s",
        ),
    ],
)
def test_nonsense_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_every_public_name_loads_and_is_what_it_says():
    for name in scale.__all__:
        assert getattr(scale, name).__name__ == name
