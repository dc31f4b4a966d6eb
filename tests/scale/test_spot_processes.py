"""Fitted processes: the rows in `data/`, and synthetic traces that keep what was fitted."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.scale import (
    generate_trace,
    generate_zones,
    region_shock,
    spot_drift,
    spot_notice,
    spot_process,
    spot_processes,
)
from course_utils.scale.preemption import region_of
from course_utils.scale.spot_generator import without_shock

LONG = tuple(row for row in spot_processes() if row.hours > 600)
FEBRUARY = tuple(row for row in spot_processes("V100") if row.hours > 1000)


def phi(traces):
    """Mean correlation between the zones' open ticks."""
    matrix = np.corrcoef([trace.alive > 0 for trace in traces])
    return matrix[np.triu_indices(len(matrix), 1)].mean()


def test_every_fit_states_its_error_and_beats_a_process_without_memory():
    for row in spot_processes():
        assert row.up_ks <= row.exponential_up_ks
        assert row.source.startswith("skypilot-org/spot-traces ")
    long = sorted(row.up_ks for row in LONG)
    assert long[len(long) // 2] <= 0.06
    assert sorted(row.exponential_up_ks for row in LONG)[len(long) // 2] >= 0.2


def test_mean_spells_of_a_fit_give_the_availability_that_was_seen():
    for row in LONG:
        assert row.up_mean_h / (row.up_mean_h + row.down_mean_h) == pytest.approx(row.availability, abs=0.01)


@pytest.mark.parametrize("row", FEBRUARY, ids=lambda row: row.zone)
def test_synthetic_traces_keep_availability_and_number_of_preemptions(row):
    traces = [generate_trace(row, hours=row.hours, gap_s=195, seed=seed) for seed in range(40)]
    shares = [trace.availability() for trace in traces]
    losses = [np.sum((trace.alive[:-1] > 0) & (trace.alive[1:] == 0)) for trace in traces]
    assert np.mean(shares) == pytest.approx(row.availability, abs=3 * np.std(shares) / np.sqrt(40) + 0.01)
    assert np.mean(losses) == pytest.approx(row.losses, rel=0.12)


@pytest.mark.parametrize("region", ["us-east-1", "us-east-2", "us-west-2"])
def test_shared_shock_gives_the_correlation_that_was_seen_and_spares_availability(region):
    rows = [row for row in FEBRUARY if row.region == region]
    shock = region_shock(region)
    runs = [generate_zones(rows, shock, hours=1092, gap_s=195, seed=seed) for seed in range(20)]
    assert np.mean([phi(traces) for traces in runs]) == pytest.approx(shock.phi, abs=0.1)
    assert abs(np.mean([phi(generate_zones(rows, hours=1092, gap_s=195, seed=s)) for s in range(20)])) < 0.05
    shares = np.mean([[trace.availability() for trace in traces] for traces in runs], axis=0)
    assert shares == pytest.approx([row.availability for row in rows], abs=0.05)


def test_zones_of_one_region_close_together_more_than_zones_of_two():
    for region in ("us-east-1", "us-east-2", "us-west-2"):
        shock = region_shock(region)
        assert shock.phi > 2 * shock.phi_other_regions


def test_own_process_and_shock_multiply_back_to_the_fit():
    row, shock = spot_process("us-east-1c"), region_shock("us-east-1")
    up, down = without_shock(row, shock)
    own = up.mean_h / (up.mean_h + down.mean_h)
    seen = row.up_mean_h / (row.up_mean_h + row.down_mean_h)
    assert own * shock.availability == pytest.approx(seen)
    assert 1 / up.mean_h + 1 / shock.up_mean_h == pytest.approx(1 / row.up_mean_h)


def test_a_shock_that_closes_more_than_the_zone_did_is_refused():
    shock = dataclasses.replace(region_shock("us-west-2"), availability=0.5)
    with pytest.raises(ValueError, match=r"shock\.availability=0\.5"):
        generate_zones([spot_process("us-west-2b")], shock)


def test_several_instances_live_or_die_mostly_together():
    row = next(row for row in spot_processes() if row.instances == 16 and row.zone == "us-west-2a")
    traces = [generate_trace(row, hours=400, capacity=16, seed=seed) for seed in range(20)]
    # 0.418 of the time all sixteen lived, 0.446 of the time at least one (AWS us-west-2a, 2023-08).
    assert np.mean([trace.availability() for trace in traces]) == pytest.approx(0.446, abs=0.08)
    assert np.mean([trace.availability(16) for trace in traces]) == pytest.approx(0.418, abs=0.08)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(LONG), st.integers(0, 2**31), st.integers(1, 20), st.sampled_from([60, 300, 3600]))
def test_the_same_seed_gives_the_same_trace(row, seed, capacity, gap_s):
    one, two = (generate_trace(row, hours=100, gap_s=gap_s, capacity=capacity, seed=seed) for _ in "ab")
    assert np.array_equal(one.alive, two.alive)
    assert len(one.alive) == 100 * 3600 // gap_s
    assert one.alive.max() <= capacity


def test_drift_widens_the_spread_between_seeds_and_leaves_the_middle():
    row, drift = spot_process("us-east-1f"), spot_drift()
    steady, drifting = (
        np.quantile(
            [generate_trace(row, seed=seed, drift_log_odds=size).availability() for seed in range(100)],
            [0.1, 0.5, 0.9],
        )
        for size in (0, drift.log_odds)
    )
    assert drifting[2] - drifting[0] > 2 * (steady[2] - steady[0])
    assert drifting[1] == pytest.approx(steady[1], abs=0.1)


def test_notices_are_those_that_providers_state():
    assert spot_notice("aws").grace_s == 120
    assert spot_notice("GCP").grace_s == spot_notice("Azure").grace_s == 30


def test_region_is_the_zone_without_its_letter():
    assert region_of("us-east-1c") == "us-east-1"
    assert region_of("us-central1-a") == "us-central1"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: spot_process("us-east-1z"), "nearest: us-east-1"),
        (lambda: spot_processes("H100"), "chip='H100'.*V100 in us-east-1"),
        (lambda: region_shock("eu-west-1"), "region='eu-west-1'.*us-west-2"),
        (lambda: spot_notice("Acme"), "provider='Acme'.*AWS, GCP, Azure"),
        (lambda: generate_trace(FEBRUARY[0], seed=-1), "seed=-1"),
        (lambda: generate_trace(FEBRUARY[0], hours=0), "hours=0"),
        (lambda: generate_trace(FEBRUARY[0], gap_s=float("nan")), "gap_s=nan"),
        (lambda: generate_trace(FEBRUARY[0], hours=99_999, gap_s=1), "ticks"),
        (lambda: generate_trace(FEBRUARY[0], capacity=0), "capacity=0"),
        (lambda: generate_trace(FEBRUARY[0], drift_log_odds=-1), "drift_log_odds=-1"),
        (lambda: generate_zones([]), "processes is empty"),
    ],
)
def test_nonsense_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
