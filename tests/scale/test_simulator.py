"""What holds for every run, hand-worked cases of each rule, and what is refused."""

import dataclasses

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from course_utils.scale.autoscaling import Autoscaler
from course_utils.scale.fleet import Failures, Fleet, Retries, servers
from course_utils.scale.outcome import FAILED, FINISHED, SHED, STATUSES, TIMED_OUT
from course_utils.scale.routing import POLICIES, Routing
from course_utils.scale.simulator import simulate
from course_utils.scale.spot_traces import Trace
from course_utils.scale.step_times import StepTimes
from course_utils.scale.traffic import Traffic

TOKENS = np.arange(1025.0)
# A second a decode step, and a hundredth per prompt token on top where a step has some.
ENGINE = StepTimes(
    decode_s=np.ones(1025),
    mixed_s=1 + TOKENS / 100,
    cache_s_per_token=0.0,
    sequence_s=0.0,
    attention_s_per_pair=0.0,
    request_s=0.0,
    kv_tokens=4096,
    block_tokens=16,
    max_running=8,
    step_tokens=1024,
    label="a second a step",
)


def traffic(arrived_s, input_tokens=100, output_tokens=1, **more):
    count = len(arrived_s)
    return Traffic(
        np.asarray(arrived_s, float),
        np.broadcast_to(input_tokens, count),
        np.broadcast_to(output_tokens, count),
        "by hand",
        "by hand",
        **more,
    )


def engine(**changes):
    return dataclasses.replace(ENGINE, **changes)


def random_traffic(count, seed, rate_per_s=1.0):
    rng = np.random.default_rng(seed)
    input_tokens = rng.integers(1, 400, count)
    prefix_id = rng.integers(-1, 6, count)
    return traffic(
        np.cumsum(rng.exponential(1 / rate_per_s, count)),
        input_tokens,
        rng.integers(1, 60, count),
        prefix_id=prefix_id,
        prefix_tokens=np.where(prefix_id < 0, 0, np.minimum(input_tokens, 64)),
        priority=rng.integers(0, 3, count),
    )


everything = st.fixed_dictionaries(
    {
        "replicas": st.integers(1, 4),
        "usd_per_replica_hour": st.floats(0, 100),
        "routing": st.builds(Routing, st.sampled_from(POLICIES)),
        "batching": st.sampled_from(("continuous", "static")),
        "prefix_cache": st.booleans(),
        "queue_limit": st.one_of(st.none(), st.integers(1, 20)),
        "longest_wait_s": st.one_of(st.none(), st.floats(0, 60)),
        "timeout_s": st.one_of(st.none(), st.floats(5, 200)),
        "retries": st.builds(Retries, st.integers(0, 3)),
        "autoscaler": st.one_of(st.none(), st.builds(Autoscaler, target=st.floats(0.5, 8))),
        "cold_start_s": st.floats(0, 60),
        "failures": st.builds(Failures, mean_life_s=st.one_of(st.none(), st.floats(20, 1000))),
    }
)


@settings(max_examples=150, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(everything, st.integers(1, 200), st.integers(0, 1000))
def test_whatever_happens_each_request_ends_once_and_the_books_balance(how, count, seed):
    arrivals = random_traffic(count, seed)
    outcome = simulate(arrivals, Fleet(engine(kv_tokens=800), **how), seed=seed)
    assert set(outcome.status) <= {FINISHED, SHED, TIMED_OUT, FAILED}
    assert sum(outcome.share(name) for name in STATUSES) == pytest.approx(1)
    assert (outcome.ended_s >= arrivals.arrived_s).all()
    done = outcome.finished
    assert (outcome.ttft_s[done] > 0).all()
    assert (outcome.ttft_s[done] <= outcome.e2e_s[done]).all()
    assert np.isnan(outcome.ttft_s[~done]).all()
    assert (outcome.machine[done] >= 0).all()
    assert (outcome.attempts >= 1).all()
    assert (outcome.attempts <= how["retries"].limit + 1).all()
    books = outcome.counters
    assert books["blocks_taken"] == books["blocks_returned"]
    assert books["blocks_held"] == 0
    assert books["preemptions"] == outcome.preemptions.sum()
    assert books["answer_tokens"] >= arrivals.output_tokens[done].sum()
    assert books["prompt_tokens"] + books["hit_tokens"] >= arrivals.input_tokens[done].sum()
    assert 0 <= outcome.hit_share <= 1
    assert 0 < outcome.kv_peak_share <= 1 or not done.any()
    assert (outcome.machine_ended_s >= outcome.launched_s).all()
    assert 0 <= outcome.utilization <= 1 + 1e-9
    assert outcome.replica_seconds == (outcome.machine_ended_s - outcome.launched_s).sum()
    assert outcome.cost_usd == outcome.replica_seconds * how["usd_per_replica_hour"] / 3600
    if how["autoscaler"] is None and how["failures"].mean_life_s is None:
        assert outcome.replica_seconds == pytest.approx(how["replicas"] * outcome.duration_s)


@given(everything, st.integers(0, 5))
@settings(max_examples=20, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_the_same_seed_gives_the_same_run(how, seed):
    arrivals, fleet = random_traffic(60, seed), Fleet(ENGINE, **how)
    first, second = (simulate(arrivals, fleet, seed=seed) for _ in range(2))
    np.testing.assert_array_equal(first.ended_s, second.ended_s)
    np.testing.assert_array_equal(first.machine, second.machine)


# Steps


def test_a_prompt_yields_the_first_token_and_each_step_after_it_one_more():
    outcome = simulate(traffic([0.0], 100, 4), Fleet(ENGINE))
    assert outcome.ttft_s[0] == pytest.approx(2.0)
    assert outcome.tpot_s[0] == pytest.approx(1.0)
    assert outcome.e2e_s[0] == pytest.approx(5.0)
    assert outcome.itl_s(50) == pytest.approx(1.0, rel=0.02)


def test_a_request_waits_for_the_step_under_way_and_then_joins_the_batch():
    outcome = simulate(traffic([0.0, 0.5], 100, 3), Fleet(ENGINE))
    # Steps: 0 to 2 the first prompt; 2 to 4 its second token and the other prompt (101 tokens); then decodes.
    assert outcome.first_token_s == pytest.approx([2.0, 4.01])
    assert outcome.ended_s == pytest.approx([5.01, 6.01])


def test_a_static_batch_makes_newcomers_wait_for_its_longest_answer():
    arrivals = traffic([0.0, 0.0, 0.5], 100, [2, 9, 2])
    continuous = simulate(arrivals, Fleet(ENGINE))
    static = simulate(arrivals, Fleet(ENGINE, batching="static"))
    assert static.first_token_s[2] == pytest.approx(static.ended_s[1] + 2.0)
    assert continuous.first_token_s[2] < static.first_token_s[2] - 5


def test_a_prompt_above_the_budget_is_computed_in_chunks_beside_the_decodes():
    outcome = simulate(traffic([0.0, 0.0], [10, 500], [20, 1]), Fleet(ENGINE, step_tokens=256))
    # 10 + 246, then 1 decode + 254 left of 255: two steps of 256 and 255 tokens.
    assert outcome.first_token_s == pytest.approx([1 + 2.56, 1 + 2.56 + 1 + 2.55])


def test_a_step_takes_the_seconds_that_the_formula_says():
    times = engine(cache_s_per_token=1e-3, sequence_s=0.1, attention_s_per_pair=1e-4)
    outcome = simulate(traffic([0.0], 100, 3), Fleet(times))
    prefill_s = 2.0 + 0.1 + 1e-4 * 100 * 50.5
    assert outcome.first_token_s[0] == pytest.approx(prefill_s)
    assert outcome.ended_s[0] == pytest.approx(prefill_s + 2 * 1.1 + 1e-3 * (101 + 102))


def test_the_time_before_a_request_can_be_scheduled_counts_and_holds_no_place():
    outcome = simulate(traffic([0.0, 0.0], 100), Fleet(engine(request_s=0.5, max_running=1)))
    assert outcome.ttft_s == pytest.approx([2.5, 4.5])


# Memory


def test_without_a_free_block_the_latest_one_in_is_computed_again():
    # Two of 32 + 20 tokens want 4 blocks each, and there are 6.
    outcome = simulate(traffic([0.0, 0.0], 32, 20), Fleet(engine(kv_tokens=96)))
    assert outcome.preemptions.tolist() == [0, 1]
    assert outcome.finished.all()
    assert outcome.ended_s[1] > outcome.ended_s[0]
    assert outcome.kv_peak_share == 1.0


def test_the_lowest_priority_is_preempted_first_and_the_highest_starts_first():
    urgent = simulate(traffic([0.0, 0.0], 32, 20, priority=np.array([0, 1])), Fleet(engine(kv_tokens=96)))
    assert urgent.preemptions.tolist() == [1, 0]
    queue = simulate(
        traffic([0.0, 0.1, 0.2], 100, 5, priority=np.array([0, 0, 7])), Fleet(engine(max_running=1))
    )
    assert queue.first_token_s[2] < queue.first_token_s[1]


def test_a_cached_prefix_is_not_computed_again():
    shared = traffic([0.0, 10.0], 101, prefix_id=np.array([3, 3]), prefix_tokens=np.array([96, 96]))
    with_cache = simulate(shared, Fleet(ENGINE, prefix_cache=True))
    assert with_cache.cached_tokens.tolist() == [0, 96]
    assert with_cache.ttft_s == pytest.approx([2.01, 1.05])
    assert with_cache.hit_share == pytest.approx(96 / 202)
    assert simulate(shared, Fleet(ENGINE)).ttft_s == pytest.approx([2.01, 2.01])


def test_the_prefix_used_longest_ago_gives_up_its_room():
    ids = np.array([0, 1, 2, 2, 1, 0])
    # Room for two prefixes of 4 blocks and a request's own one: the third evicts the first.
    outcome = simulate(
        traffic(np.arange(6) * 10.0, 65, prefix_id=ids, prefix_tokens=np.full(6, 64)),
        Fleet(engine(kv_tokens=9 * 16), prefix_cache=True),
    )
    assert outcome.cached_tokens[3] == 64
    assert outcome.cached_tokens[5] < 64


# Queues


def test_a_full_queue_sheds_and_a_client_that_retries_is_counted_once():
    crowd = traffic([0.0, 0.1, 0.2, 0.3])
    fleet = Fleet(engine(max_running=1), queue_limit=2)
    assert simulate(crowd, fleet).status.tolist() == [FINISHED, FINISHED, FINISHED, SHED]
    patient = dataclasses.replace(fleet, retries=Retries(3, backoff_s=4.0, jitter=0.0))
    again = simulate(crowd, patient)
    assert again.finished.all()
    assert again.attempts.tolist() == [1, 1, 1, 2]
    assert again.ttft_s[3] == pytest.approx(4.3 + 2.0 - 0.3 + (6.0 - 4.3))


def test_who_waits_too_long_is_shed_at_that_moment():
    outcome = simulate(traffic([0.0, 0.5]), Fleet(engine(max_running=1), longest_wait_s=1.0))
    assert outcome.status.tolist() == [FINISHED, SHED]
    assert outcome.ended_s[1] == pytest.approx(1.5)


def test_an_impatient_client_leaves_a_running_request_and_its_blocks_come_back():
    outcome = simulate(traffic([0.0], 100, 50), Fleet(ENGINE, timeout_s=10.0))
    assert outcome.status[0] == TIMED_OUT
    assert outcome.ended_s[0] == pytest.approx(10.0)
    assert outcome.counters["blocks_held"] == 0


def test_retries_without_limit_of_queue_melt_a_service_that_would_have_coped():
    # A burst of 40 at once, then a load of two thirds of what the engine can do.
    arrivals = traffic(np.concatenate([np.zeros(40), np.arange(0, 600, 4.0)]), 100, 8)
    fleet = Fleet(engine(max_running=4), timeout_s=20.0)
    once = simulate(arrivals, fleet)
    melted = simulate(arrivals, dataclasses.replace(fleet, retries=Retries(8, backoff_s=0.5, factor=1.0)))
    assert once.finished[100:].all()
    assert melted.attempts.sum() > 1.5 * len(arrivals)
    assert melted.ttft().p95 > 2 * once.ttft().p95


# Routing


def by_machine(policy, arrivals, **how):
    routing = Routing(policy, **{key: how.pop(key) for key in ("beta", "key") if key in how})
    return simulate(arrivals, Fleet(ENGINE, 4, routing=routing, **how)).machine


def test_round_robin_goes_round():
    assert by_machine("round_robin", traffic(np.arange(8) / 8)).tolist() == [0, 1, 2, 3] * 2


def test_least_outstanding_avoids_the_busy():
    arrivals = traffic([0, 0.1, 0.2, 0.3, 5.0, 5.1, 5.2], 100, [50, 1, 1, 1, 1, 1, 1])
    assert 0 not in by_machine("least_outstanding", arrivals)[4:]


def test_least_tokens_sees_the_length_of_prompts():
    arrivals = traffic([0, 0.1, 0.2, 0.3, 0.4, 0.5], [900, 10, 10, 900, 10, 10], 5)
    assert set(by_machine("least_tokens", arrivals)[4:]) <= {1, 2}


def test_equal_keys_share_a_replica():
    ids = np.arange(40) % 8
    arrivals = traffic(np.arange(40.0), 100, prefix_id=ids, prefix_tokens=np.full(40, 64))
    machines = by_machine("consistent_hash", arrivals)
    assert all(len(set(machines[ids == key])) == 1 for key in range(8))
    assert len(set(machines)) > 1


def test_affinity_follows_the_cache_and_a_penalty_spreads_the_load():
    arrivals = traffic(
        np.arange(40) / 2 + 5, 100, 20, prefix_id=np.zeros(40, int), prefix_tokens=np.full(40, 64)
    )
    arrivals = dataclasses.replace(arrivals, arrived_s=np.concatenate(([0.0], arrivals.arrived_s[1:])))
    assert set(by_machine("prefix_affinity", arrivals, beta=0.0, prefix_cache=True)) == {0}
    assert len(set(by_machine("prefix_affinity", arrivals, beta=1.0, prefix_cache=True))) == 4


def test_a_central_queue_binds_late():
    long_first = traffic([0.0, 0.0, 0.1, 0.2], 100, [50, 1, 1, 1])
    fleet = Fleet(engine(max_running=1), 2, routing=Routing("central"))
    assert simulate(long_first, fleet).ended_s[1:].max() < 10
    assert simulate(long_first, dataclasses.replace(fleet, routing=Routing())).ended_s[2] > 50


def test_plain_servers_serve_in_the_order_of_arrival():
    rng = np.random.default_rng(1)
    arrived_s, tokens = np.cumsum(rng.exponential(1.0, 500)), rng.integers(1, 20_000, 500)
    outcome = simulate(traffic(arrived_s, tokens), servers(2, 1e-4, 20_000))
    free_s = [0.0, 0.0]
    for i in range(500):
        start_s = max(arrived_s[i], min(free_s))
        free_s[free_s.index(min(free_s))] = start_s + tokens[i] * 1e-4
        assert outcome.ended_s[i] == pytest.approx(start_s + tokens[i] * 1e-4, rel=1e-12)


# Machines


def test_a_machine_is_billed_from_its_launch_and_serves_after_its_cold_start():
    scaler = Autoscaler(target=1.0, min_replicas=0, max_replicas=1, downscale_delay_s=20.0)
    outcome = simulate(traffic([5.0, 200.0]), Fleet(ENGINE, 0, 3600.0, autoscaler=scaler, cold_start_s=30.0))
    assert outcome.launched_s == pytest.approx([5.0, 200.0])
    assert outcome.ttft_s == pytest.approx([32.0, 32.0])
    # Done at 37; looks at 40, 50 and 60 find too many, and the third is 20 s after the first.
    assert outcome.machine_ended_s[0] == pytest.approx(60.0)
    assert outcome.cost_usd == pytest.approx(60 - 5 + 32)


def test_downscaling_waits_for_requests_and_loses_none():
    scaler = Autoscaler(target=2.0, min_replicas=1, max_replicas=4, interval_s=5.0, downscale_delay_s=0.0)
    outcome = simulate(random_traffic(300, 3, rate_per_s=0.5), Fleet(ENGINE, 1, autoscaler=scaler))
    assert outcome.finished.all()
    assert len(outcome.launched_s) >= 4
    assert outcome.machine_ended_s.min() < outcome.duration_s
    assert outcome.series["billed"].max() == 4


@pytest.mark.parametrize(
    ("rule", "target"), [("concurrency", 4.0), ("queue", 4.0), ("ttft", 6.0), ("predictive", 0.3)]
)
def test_each_rule_adds_replicas_under_load_and_takes_them_back(rule, target):
    busy = np.arange(0, 300, 0.5)
    arrivals = traffic(np.concatenate([busy, np.arange(300, 1500, 60.0)]), 200, 30)
    scaler = Autoscaler(rule, target, 1, 8, interval_s=5.0, downscale_delay_s=30.0)
    series = simulate(arrivals, Fleet(ENGINE, 1, autoscaler=scaler, cold_start_s=10.0)).series
    assert series["up"][series["at_s"] < 400].max() >= 3
    assert series["up"][series["at_s"] > 1300].max() <= 2


def test_a_longer_delay_stops_flapping():
    rng = np.random.default_rng(2)
    arrivals = traffic(np.cumsum(rng.exponential(0.7, 2000)), 100, 10)

    def launches(delay_s):
        scaler = Autoscaler(target=4.0, max_replicas=8, interval_s=5.0, downscale_delay_s=delay_s)
        return len(simulate(arrivals, Fleet(ENGINE, 1, autoscaler=scaler, cold_start_s=5.0)).launched_s)

    assert launches(120.0) < launches(0.0) / 3


def test_what_was_on_a_killed_machine_starts_over_and_is_counted_once():
    arrivals = traffic([0.0, 0.1, 0.2, 0.3], 100, 20)
    outcome = simulate(arrivals, Fleet(ENGINE, 2, failures=Failures(kills_s=(6.0,)), cold_start_s=60.0))
    assert outcome.finished.all()
    assert outcome.moves.sum() == 2
    assert outcome.attempts.tolist() == [1, 1, 1, 1]
    assert len(outcome.launched_s) == 3
    lost = simulate(arrivals, Fleet(ENGINE, 2, failures=Failures(kills_s=(6.0,), moves=0)))
    assert lost.share("failed") == 0.5


def test_a_spot_market_takes_and_gives_machines():
    arrivals = traffic(np.arange(100.0), 100, 5)
    market = Failures(capacity=((20.0, 1), (60.0, 3)))
    outcome = simulate(arrivals, Fleet(ENGINE, 3, failures=market, cold_start_s=5.0))
    assert outcome.finished.all()
    billed = outcome.series["billed"][(outcome.series["at_s"] > 25) & (outcome.series["at_s"] < 55)]
    assert set(billed) == {1}
    assert len(outcome.launched_s) == 5


def test_a_spot_trace_is_a_market():
    trace = Trace("by hand", 20.0, np.array([3, 1, 1, 3]), 3)
    assert Failures.on_spot(trace).capacity == ((0.0, 3), (20.0, 1), (60.0, 3))


def test_with_no_machine_to_come_requests_fail_and_the_run_ends():
    outcome = simulate(traffic([0.0, 50.0]), Fleet(ENGINE, failures=Failures(kills_s=(1.0,), replaced=False)))
    assert outcome.status.tolist() == [FAILED, FAILED]


# Percentiles


def test_intervals_hold_their_percentile_and_shrink_with_more_traffic():
    short, long = (simulate(random_traffic(n, 5, 0.3), Fleet(ENGINE, 4)).ttft() for n in (300, 10_000))
    for some in (short, long):
        for value, (low, high) in (
            (some.p50, some.p50_interval),
            (some.p95, some.p95_interval),
            (some.p99, some.p99_interval),
        ):
            assert low <= value * 1.01
            assert value <= high * 1.01
    assert np.diff(long.p95_interval) < np.diff(short.p95_interval)


def test_goodput_counts_who_met_both_targets():
    outcome = simulate(traffic([0.0, 0.5], 100, 3), Fleet(ENGINE))
    assert outcome.within(ttft_slo_s=3.0).tolist() == [True, False]
    assert outcome.within(tpot_slo_s=1.2).tolist() == [False, True]
    assert outcome.goodput_per_s(ttft_slo_s=3.0) == pytest.approx(1 / outcome.duration_s)


# Bad input


def test_a_request_larger_than_the_kv_cache_is_named():
    with pytest.raises(ValueError, match=r"request 1 .* 5000 \+ 1 tokens: at most 4096"):
        simulate(traffic([0.0, 1.0], [10, 5000]), Fleet(ENGINE))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replicas": 0}, "replicas=0: at least 1"),
        ({"replicas": -1}, "replicas=-1"),
        ({"replicas": 9, "autoscaler": Autoscaler()}, "replicas=9: from the autoscaler's min_replicas=1"),
        ({"cold_start_s": -1.0}, "cold_start_s=-1.0"),
        ({"queue_limit": 0}, "queue_limit=0"),
        ({"timeout_s": float("nan")}, "timeout_s=nan"),
        ({"longest_wait_s": -0.1}, "longest_wait_s=-0.1"),
        ({"step_tokens": 4}, "step_tokens=4: a whole number from 8 to 1024"),
        ({"batching": "dynamic"}, "batching='dynamic': one of continuous, static"),
        ({"usd_per_replica_hour": -2}, "usd_per_replica_hour=-2"),
    ],
)
def test_a_fleet_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Fleet(ENGINE, **changes)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Autoscaler(min_replicas=5, max_replicas=2), "min_replicas=5 is above max_replicas=2"),
        (lambda: Autoscaler(upscale_delay_s=-1), "upscale_delay_s=-1"),
        (lambda: Autoscaler(interval_s=0), "interval_s=0"),
        (lambda: Autoscaler("cpu"), "rule='cpu': one of concurrency"),
        (lambda: Routing("sticky"), "policy='sticky': one of round_robin"),
        (lambda: Routing(beta=-1), "beta=-1"),
        (lambda: Retries(-1), "limit=-1"),
        (lambda: Retries(jitter=2), "jitter=2"),
        (lambda: Failures(kills_s=(5.0, 1.0)), "times in order"),
        (lambda: Failures(capacity=((0.0, -1),)), "capacity=-1"),
        (lambda: Failures(mean_life_s=0), "mean_life_s=0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
