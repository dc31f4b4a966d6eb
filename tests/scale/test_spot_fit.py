"""Fitting: spells drawn from a known process give it back, and a folder of traces gives the tables."""

import numpy as np
import pytest

from course_utils.catalog import read_rows
from course_utils.scale import Trace, generate_zones, region_shock, spot_process, write_trace
from course_utils.scale.durations import FAMILIES, Durations, fit_durations
from course_utils.scale.preemption import Drift, RegionShock, SpotProcess
from course_utils.scale.spot_fit import fit_drift, fit_folder, fit_shock, main

KNOWN = [Durations("exponential", 2.0), Durations("weibull", 4.0, 0.6), Durations("lognormal", 3.0, 1.5)]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.family)
def test_fit_gives_back_the_family_and_shape_that_spells_were_drawn_from(known):
    spells_h = known.draw(np.random.default_rng(3), 4000)
    probes = np.maximum(1, np.rint(spells_h / 0.05)) * 0.05
    fitted = fit_durations(probes, [], 0.05)
    assert fitted.durations.family == known.family
    assert fitted.durations.mean_h == pytest.approx(probes.mean())
    assert fitted.durations.shape == pytest.approx(known.shape, rel=0.1)
    assert fitted.ks < 0.03


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.family)
def test_survival_is_the_share_of_draws_that_last_longer(known):
    draws = known.draw(np.random.default_rng(4), 200_000)
    for hours in (0, 0.2, 1, 5, 20):
        assert known.survival(hours) == pytest.approx(np.mean(draws > hours), abs=0.005)
    assert draws.mean() == pytest.approx(known.mean_h, rel=0.05)
    assert known.with_mean(9).mean_h == 9


def test_spells_cut_off_by_the_window_raise_the_mean():
    ended = np.full(10, 2.0)
    assert fit_durations(ended, [5.0], 0.1, "exponential").durations.mean_h == pytest.approx(2.5)


def test_a_wrong_family_shows_in_its_error():
    spells_h = Durations("lognormal", 3.0, 1.8).draw(np.random.default_rng(5), 500)
    errors = {name: fit_durations(spells_h, [], 0.01, name).ks for name in FAMILIES}
    assert errors["exponential"] > 4 * errors["lognormal"]


def test_shock_is_read_back_off_zones_that_shared_it():
    rows = [spot_process(zone) for zone in ("us-east-1a", "us-east-1c", "us-east-1d", "us-east-1f")]
    known = region_shock("us-east-1")
    traces = generate_zones(rows, known, hours=20_000, gap_s=600, seed=2)
    found = fit_shock(
        {trace.name: trace for trace in traces},
        [],
        **{name: getattr(known, name) for name in ("provider", "region", "chip", "chips_per_instance")},
        source="synthetic",
        as_of=known.as_of,
    )
    assert found.availability == pytest.approx(known.availability, rel=0.05)
    assert found.up_mean_h == pytest.approx(known.up_mean_h, rel=0.25)
    assert found.phi_other_regions is None


def test_drift_is_none_for_halves_alike_and_the_change_in_log_odds_otherwise():
    name = "availability/1-node/aws-02-15-2023/{}"
    alike = Trace("a", 3600, np.tile([1, 0], 1000), 1)
    worse = Trace("b", 3600, np.concatenate([np.tile([1, 0], 500), np.tile([1, 0, 0, 0], 250)]), 1)
    assert fit_drift({name.format("a"): alike}).log_odds == 0
    assert fit_drift({name.format("b"): worse}).log_odds == pytest.approx(np.log(3) / 1.2816, abs=0.01)


def test_a_folder_in_the_published_layout_gives_tables_that_load(tmp_path, capsys):
    folder = tmp_path / "spot-traces" / "availability" / "1-node" / "aws-02-15-2023"
    folder.mkdir(parents=True)
    rows = [spot_process("us-west-2a"), spot_process("us-west-2c")]
    for trace in generate_zones(rows, region_shock("us-west-2"), hours=1000, gap_s=195, seed=1):
        write_trace(trace, folder / f"{trace.name}_v100_1.json")
    write_trace(Trace("quiet", 195, np.ones(1000), 1), folder / "us-west-2z_v100_1.json")
    main([str(tmp_path / "spot-traces"), "--write", str(tmp_path)])
    processes = read_rows(tmp_path / "spot_processes.csv", SpotProcess)
    shocks = read_rows(tmp_path / "spot_shocks.csv", RegionShock)
    assert [row.zone for row in processes] == ["us-west-2a", "us-west-2c"]
    assert processes[0].up_mean_h == pytest.approx(rows[0].up_mean_h, rel=0.4)
    assert (shocks[0].region, shocks[0].zones) == ("us-west-2", 2)
    assert read_rows(tmp_path / "spot_drift.csv", Drift)[0].traces == 2
    told = capsys.readouterr()
    assert "us-west-2a" in told.out
    assert "us-west-2z_v100_1.json: ended_h has 0 spells: at least 8" in told.err


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_durations([1.0] * 7, [], 0.1), "at least 8"),
        (lambda: fit_durations([1.0] * 9, [], 0), "probe_h=0"),
        (lambda: Durations("pareto", 1.0), "family='pareto'"),
        (lambda: Durations("exponential", -1.0), "mean_h=-1.0"),
        (lambda: Durations("exponential", 1.0, 2.0), "shape=2.0"),
        (lambda: Durations("weibull", 1.0, float("nan")), "shape=nan"),
    ],
)
def test_nonsense_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_folder_without_traces_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no availability/ or preemption/ traces"):
        fit_folder(tmp_path)
