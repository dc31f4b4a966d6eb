"""Checkpoint and restart: Young, Daly and the exact optimum against a simulation, and laws they keep."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.scale import (
    BatchJob,
    Durations,
    Trace,
    daly_interval_s,
    exact_interval_s,
    expected_completion,
    expected_completion_on_notice,
    generate_trace,
    replay_job,
    simulate_job,
    spot_processes,
    young_interval_s,
)

HOUR = 3600.0
# Twenty hours of work, a minute to save, five to come back: a fine-tuning run on one spot instance.
JOB = BatchJob(work_s=20 * HOUR, checkpoint_s=60, restart_s=300)
checkpoints = st.floats(0.1, 600)
means = st.floats(0.2 * HOUR, 1000 * HOUR)


def test_young_by_hand():
    # sqrt(2 * 60 s * 7200 s) = 929.5 s
    assert young_interval_s(60, 7200) == pytest.approx(929.516, abs=0.001)


def test_daly_by_hand():
    # 929.516 * (1 + sqrt(60/14400)/3 + 60/14400/9) - 60 = 929.516 * 1.0219796 - 60
    assert daly_interval_s(60, 7200) == pytest.approx(889.947, abs=0.001)
    assert daly_interval_s(7200, 3000) == 3000


@settings(deadline=None)
@given(checkpoints, means)
def test_exact_interval_is_where_expected_time_per_work_is_least(checkpoint_s, mean_s):
    best = exact_interval_s(checkpoint_s, mean_s)

    def per_work(interval_s):
        return math.expm1((interval_s + checkpoint_s) / mean_s) / interval_s

    assert per_work(best) <= min(per_work(best * 0.98), per_work(best * 1.02))


@settings(deadline=None)
@given(checkpoints, means)
def test_daly_is_nearer_to_the_exact_optimum_than_young(checkpoint_s, mean_s):
    best = exact_interval_s(checkpoint_s, mean_s)
    daly, young = daly_interval_s(checkpoint_s, mean_s), young_interval_s(checkpoint_s, mean_s)
    assert abs(daly - best) <= abs(young - best) + 1e-6 * best
    assert daly == pytest.approx(best, rel=0.03)


@settings(deadline=None)
@given(checkpoints, means, st.floats(1.01, 10))
def test_intervals_grow_with_the_checkpoint_and_with_the_time_between_preemptions(checkpoint_s, mean_s, more):
    for interval in (young_interval_s, daly_interval_s, exact_interval_s):
        assert interval(checkpoint_s * more, mean_s) > interval(checkpoint_s, mean_s)
        assert interval(checkpoint_s, mean_s * more) > interval(checkpoint_s, mean_s)


@pytest.mark.parametrize("mean_h", [0.7, 2.0, 12.0])
@pytest.mark.parametrize("interval_s", [400, 900, 3600])
def test_closed_form_lies_in_the_simulations_interval(mean_h, interval_s):
    closed = expected_completion(JOB, interval_s, mean_h * HOUR, 1.2, mean_down_s=0.5 * HOUR)
    drawn = simulate_job(
        JOB,
        interval_s,
        Durations("exponential", mean_h),
        1.2,
        Durations("exponential", 0.5),
        runs=3000,
        seed=7,
    )
    low, high = drawn.billed_interval_s()
    assert low <= closed.billed_s <= high
    assert closed.cost_usd == pytest.approx(drawn.cost_usd, rel=0.02)
    assert closed.wall_s == pytest.approx(drawn.wall_s.mean(), rel=0.03)
    assert closed.preemptions == pytest.approx(drawn.preemptions.mean(), rel=0.05)


@pytest.mark.parametrize("mean_h", [0.7, 2.0, 12.0])
def test_formulas_cost_within_two_percent_of_the_simulated_optimum(mean_h):
    up = Durations("exponential", mean_h)

    def cost(interval_s):
        return simulate_job(JOB, interval_s, up, 1.0, runs=3000, seed=11).cost_usd

    best = min(cost(interval_s) for interval_s in np.geomspace(200, 8000, 15))
    for interval in (young_interval_s, daly_interval_s, exact_interval_s):
        assert cost(interval(60, mean_h * HOUR)) <= 1.02 * best


@pytest.mark.parametrize("row", spot_processes("V100")[:9], ids=lambda row: row.zone)
def test_dalys_interval_also_suits_spells_with_a_memory_though_the_cost_is_a_little_off(row):
    """Fitted spells are many short and a few long ones; the formulas know nothing of that, only the mean."""
    mean_s = row.up_mean_h * HOUR
    daly_s = daly_interval_s(60, mean_s)

    def cost(interval_s):
        return simulate_job(JOB, interval_s, row.up, 1.0, runs=2000, seed=2).cost_usd

    assert cost(daly_s) <= 1.02 * min(cost(daly_s * factor) for factor in (0.35, 0.5, 0.7, 1.4, 2, 3))
    assert expected_completion(JOB, daly_s, mean_s, 1.0).cost_usd == pytest.approx(cost(daly_s), rel=0.06)


@settings(deadline=None)
@given(means, st.floats(100, 20_000), st.floats(0, 20), st.floats(0, 10 * HOUR))
def test_waiting_costs_time_and_no_money(mean_s, interval_s, price, wait_s):
    free = expected_completion(JOB, interval_s, mean_s, price)
    waits = expected_completion(JOB, interval_s, mean_s, price, mean_down_s=wait_s)
    assert waits.billed_s == free.billed_s
    assert waits.cost_usd == free.cost_usd
    assert waits.wall_s >= free.wall_s == pytest.approx(free.billed_s)
    assert 0 <= free.waste_share < 1
    assert free.cost_usd == pytest.approx(free.billed_s / HOUR * price)


def test_without_preemptions_only_the_checkpoints_are_extra():
    calm = expected_completion(JOB, 900, 1e8, 1.0)
    assert calm.billed_s == pytest.approx(20 * HOUR + 80 * 60, rel=0.001)
    drawn = simulate_job(JOB, 900, Durations("exponential", 1e6), 1.0, runs=10)
    assert drawn.billed_s.mean() == pytest.approx(20 * HOUR + 80 * 60)


@settings(deadline=None)
@given(means)
def test_saving_on_notice_beats_saving_by_the_clock(mean_s):
    by_clock = expected_completion(JOB, exact_interval_s(60, mean_s), mean_s, 1.0)
    assert expected_completion_on_notice(JOB, 120, mean_s, 1.0).cost_usd < by_clock.cost_usd


def test_saving_on_notice_equals_a_walk_through_spells():
    rng = np.random.default_rng(9)
    spells_s = rng.exponential(2 * HOUR, 200_000)
    share = np.maximum(spells_s - 300 - 60, 0).sum() / spells_s.sum()
    assert expected_completion_on_notice(JOB, 120, 2 * HOUR, 1.0).billed_s == pytest.approx(
        20 * HOUR / share, rel=0.01
    )


def test_replay_by_hand():
    """Open for two hours, closed for one: an hour's job, saved every half hour, from four moments."""
    trace = Trace("zone", 1800, np.array([1, 1, 1, 1, 0, 0]), 1)
    job = BatchJob(work_s=HOUR, checkpoint_s=1, restart_s=100)
    done = replay_job(trace, job, HOUR / 2, 2.0, starts=4)
    # Moments 0:22:30, 1:07:30, 1:52:30 and 2:37:30. The first has time enough; the second saves half, waits an
    # hour, restarts; the third saves nothing in 7:30; the fourth waits 22:30.
    assert done.preemptions.tolist() == [0, 1, 1, 0]
    assert done.billed_s == pytest.approx([3602, 3150 + 100 + 1801, 450 + 100 + 3602, 3602])
    assert done.wall_s - done.billed_s == pytest.approx([0, 3600, 3600, 1350])
    assert done.cost_usd == pytest.approx(done.billed_s.mean() / HOUR * 2)


@pytest.mark.parametrize("alive", [[0, 1, 1, 0], [1, 0, 0, 1], [0, 1], [1, 0], [1]])
def test_replay_passes_through_all_of_a_trace_and_over_again(alive):
    trace = Trace("zone", 3600, np.array(alive), 1)
    done = replay_job(trace, BatchJob(work_s=100 * HOUR, checkpoint_s=1, restart_s=1), 600, 1.0, starts=10)
    assert np.mean(done.billed_s / done.wall_s) == pytest.approx(np.mean(alive), abs=0.02)


def test_replay_of_a_synthetic_trace_agrees_with_the_process_that_it_came_from():
    row = spot_processes("V100", "us-east-2")[0]
    trace = generate_trace(row, hours=40_000, gap_s=60, seed=4)
    replayed = replay_job(trace, JOB, 1500, 1.0, starts=2000)
    drawn = simulate_job(JOB, 1500, row.up, 1.0, row.down)
    # A replay begins anywhere in a spell, mostly in a long one; a draw begins with a fresh spell.
    assert replayed.billed_s.mean() == pytest.approx(drawn.billed_s.mean(), rel=0.06)


def test_a_trace_that_never_opens_is_refused():
    with pytest.raises(ValueError, match="never opens"):
        replay_job(Trace("shut", 300, np.zeros(5), 1), JOB, 900, 1.0)


def test_the_same_seed_gives_the_same_runs():
    one, two = (simulate_job(JOB, 900, Durations("lognormal", 2.0, 1.5), 1.0, runs=50, seed=3) for _ in "ab")
    assert np.array_equal(one.wall_s, two.wall_s)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: young_interval_s(0, 100), "checkpoint_s=0"),
        (lambda: daly_interval_s(60, -1), "mean_up_s=-1"),
        (lambda: exact_interval_s(float("nan"), 100), "checkpoint_s=nan"),
        (lambda: BatchJob(0, 60, 300), "work_s=0"),
        (lambda: BatchJob(100, 60, 300, instances=0), "instances=0"),
        (lambda: expected_completion(JOB, 0, 100, 1.0), "interval_s=0"),
        (lambda: expected_completion(JOB, 20 * HOUR, 60, 1.0), "never fits"),
        (lambda: expected_completion_on_notice(JOB, 30, HOUR, 1.0), "grace_s=30"),
        (
            lambda: simulate_job(JOB, 20 * HOUR, Durations("exponential", 0.1), 1.0, runs=2, most_spells=100),
            "a shorter interval is needed",
        ),
    ],
)
def test_nonsense_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
