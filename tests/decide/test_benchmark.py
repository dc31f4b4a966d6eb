"""The benchmark lab: what can be measured, the run, its CSV. Real measurements, with the quickest variants."""

import json

import pytest

from course_utils.decide import benchmark
from course_utils.decide.benchmark import harness, measuring, results, variants
from course_utils.measure.recorded import terms_of

QUICK = ("rtn4", "rtn3")
SMALL = measuring.Shape(256, 1, 512, "float32")


@pytest.fixture(scope="module")
def small(module_monkeypatch):
    """Timed at widths that take no time, a few samples each: what is tested is the harness, not the seconds."""
    module_monkeypatch.setattr(measuring, "ON_CPU", SMALL)
    module_monkeypatch.setattr(measuring, "SECONDS", 0.02)
    module_monkeypatch.setattr(measuring, "WINDOWS", 4)


@pytest.fixture(scope="module")
def module_monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("benchmark") / "run.csv"


@pytest.fixture(scope="module")
def run(small, out):
    return harness.run(QUICK, out, seed=3, backend="sequential", progress=False)


# --- what can be measured -----------------------------------------------------------------------------------


def test_a_name_says_method_bits_and_group():
    one = benchmark.variant("gptq4-g128")
    assert (one.method, one.bits, one.group, one.backend) == ("gptq", 4, 128, "int4")
    assert benchmark.variant("rtn4").group == 64


@pytest.mark.parametrize("name", variants.names())
def test_every_name_is_a_variant_with_a_kernel_of_the_registry(name):
    from course_utils.compress.backends import backend

    one = benchmark.variant(name)
    assert set(one.options) <= set(backend(one.backend).options)
    assert one.what


def test_an_unknown_variant_is_told_the_nearest_names():
    with pytest.raises(ValueError, match=r"variant='gtpq4': no such variant; nearest: gptq4"):
        benchmark.run(["gtpq4"])


def test_a_word_is_not_a_list_of_variants():
    with pytest.raises(ValueError, match="a sequence of names"):
        variants.chosen("rtn4")


def test_bits_without_a_kernel_are_served_unpacked_and_share_its_timing():
    jobs = harness.jobs(variants.chosen(("rtn3", "gptq3", "bf16", "rtn4", "awq4")), seed=0)
    assert benchmark.variant("gptq3").unpacked
    assert not benchmark.variant("gptq4").unpacked
    assert [key for key, what, *_ in jobs if what == "speed"] == [
        "speed fp32",
        "speed bf16",
        "speed int4, groups of 64",
    ]


# --- the run ------------------------------------------------------------------------------------------------


def test_the_reference_is_always_measured_and_every_quantity_is_there(run):
    assert run.variants == ("fp32", *QUICK)
    for name in run.variants:
        assert len(run.values(name, "loss")) == 4
        assert all(
            seconds > 0
            for quantity in ("ttft_s", "tpot_s", "step_s")
            for seconds in run.values(name, quantity)
        )


def test_the_same_seed_gives_the_same_quality_figures(run, small, tmp_path):
    again = harness.run(QUICK[::-1], tmp_path / "again.csv", seed=3, backend="sequential", progress=False)
    for name in run.variants:
        assert again.values(name, "loss") == run.values(name, "loss")


def test_quality_is_that_of_chapter_04s_grid(run):
    """The recorded grid of chapter 04 has the same windows: fewer bits lose more, in both."""
    assert run.perplexity("fp32").mean < run.perplexity("rtn4").mean < run.perplexity("rtn3").mean
    assert run.change("fp32").mean == 0


def test_bits_count_the_scales(run):
    table = benchmark.summary(run)
    assert table.bits_per_weight.to_dict() == {"fp32": 32, "rtn4": 4 + 16 / 64, "rtn3": 3 + 16 / 64}


def test_a_file_that_is_read_is_the_run_that_was_written(run, out):
    again = benchmark.read(out)
    assert again.samples.equals(run.samples)
    assert again.seed == 3


def test_an_interrupted_run_measures_the_rest_only(small, tmp_path, monkeypatch):
    out, measured = tmp_path / "run.csv", []

    def until_the_third(job, real=harness.measured):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(job[0])
        return real(job)

    monkeypatch.setattr(harness, "measured", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        harness.run(QUICK, out, seed=3, backend="sequential", progress=False)
    assert not out.exists()
    assert len((tmp_path / "run.csv.partial.jsonl").read_text("utf-8").splitlines()) == 1 + 2  # terms, rows
    before, measured[:] = list(measured), []
    monkeypatch.undo()
    monkeypatch.setattr(
        harness, "measured", lambda job, real=harness.measured: measured.append(job[0]) or real(job)
    )
    run = harness.run(QUICK, out, seed=3, backend="sequential", progress=False)
    assert set(measured).isdisjoint(before)
    assert len(before) + len(measured) == len(harness.jobs(variants.chosen(QUICK), 3))
    assert run.variants == ("fp32", *QUICK)
    assert not (tmp_path / "run.csv.partial.jsonl").exists()


def test_rows_of_another_machine_are_not_taken_over(small, tmp_path, monkeypatch):
    partial = tmp_path / "run.csv.partial.jsonl"
    elsewhere = {**terms_of(3), "hardware": "another one"}
    partial.write_text(f'{json.dumps(elsewhere)}\n{{"key": "quality fp32", "losses": [0, 0]}}\n', "utf-8")
    run = harness.run(["rtn4"], tmp_path / "run.csv", seed=3, backend="sequential", progress=False)
    assert min(run.values("fp32", "loss")) > 0


def test_a_kernel_that_is_not_here_is_left_out_and_says_why(small, tmp_path):
    run = harness.run(["fp8"], tmp_path / "run.csv", seed=3, backend="sequential", progress=False)
    assert run.variants == ("fp32",)
    assert "fp8 does not run here" in run.left_out["fp8"]


def test_an_unknown_backend_is_told_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="backend='dask': expected one of loky, ray, sequential"):
        harness.run(["rtn4"], tmp_path / "run.csv", backend="dask")


def test_where_nothing_can_be_measured_a_recorded_run_is_replayed(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_TIER", "replay")
    run = harness.run(["gptq4", "rtn2"], tmp_path / "run.csv")
    assert run.variants == ("fp32", "gptq4")
    assert run.left_out == {"rtn2": "it is not in the recorded run"}
    assert benchmark.read(tmp_path / "run.csv").samples.equals(run.samples)


# --- the file -----------------------------------------------------------------------------------------------


def changed(out, tmp_path, change):
    """The CSV with its table changed."""
    table = change(results.read(out).samples.copy())
    path = tmp_path / "changed.csv"
    table.to_csv(path, index=False)
    return path


def test_an_edited_row_is_noticed(run, out, tmp_path):
    def faster(table):
        table.loc[table.quantity == "tpot_s", "value"] /= 2
        return table

    with pytest.raises(ValueError, match="was edited"):
        benchmark.read(changed(out, tmp_path, faster))


def test_rows_that_were_left_out_are_noticed(run, out, tmp_path):
    with pytest.raises(ValueError, match="was edited"):
        benchmark.read(changed(out, tmp_path, lambda table: table.drop(index=5)))


def test_times_of_two_machines_are_not_one_run(run, out, tmp_path):
    def elsewhere(table):
        table.loc[table.variant == "rtn4", "environment"] = "another machine"
        return table

    with pytest.raises(ValueError, match=r"times of two machines.*another machine"):
        benchmark.read(changed(out, tmp_path, elsewhere))


def test_two_runs_in_one_file_are_not_one(run, out, tmp_path):
    def half(table):
        table.loc[table.variant == "rtn4", "seed"] = 4
        return table

    with pytest.raises(ValueError, match="seed is 3 and 4"):
        benchmark.read(changed(out, tmp_path, half))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table[table.quantity != "weights"], "has no weights of fp32"),
        (
            lambda table: table[(table.quantity != "loss") | (table["sample"] != 3)][:-1],
            "has no batch of rtn3",
        ),
        (lambda table: table.drop(index=0), "losses on different windows"),
        (
            lambda table: table.assign(value=table.value.where(table.quantity != "step_s", 0.0)),
            "expected above 0",
        ),
        (lambda table: table.assign(value=float("inf")), "expected above 0 and finite"),
        (lambda table: table.assign(seed="mine"), "expected a whole number"),
        (lambda table: table.assign(variant=table.variant.replace("rtn4", "rtn44")), "no such variant"),
    ],
)
def test_a_forger_who_computes_the_hash_anew_still_has_to_write_a_whole_run(run, out, tmp_path, change, says):
    def forged(table):
        table = change(table)
        return table.assign(run_id=results.run_id(results._parsed(table.to_csv(index=False))))

    with pytest.raises(ValueError, match=says):
        benchmark.read(changed(out, tmp_path, forged))


def test_what_is_no_benchmark_is_said_to_be_none(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        benchmark.read(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", "utf-8")
    with pytest.raises(ValueError, match="has no column 'variant'"):
        benchmark.read(tmp_path / "other.csv")


def test_price_and_energy_carry_the_interval_of_the_speed(run):
    table = benchmark.priced(benchmark.summary(run), usd_per_hour=0.36, utilization=0.5)
    by_hand = 0.36 / (table.tokens_per_s * 3600 * 0.5) * 1e6
    assert table.usd_per_mtok.tolist() == pytest.approx(by_hand.tolist())
    for what in ("usd_per_mtok", "kwh_per_mtok"):
        assert (table[f"{what}_lo"] <= table[what]).all()
        assert (table[what] <= table[f"{what}_hi"]).all()
