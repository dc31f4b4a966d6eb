"""Fronts, limits and the graded task, on tables small enough to be worked out by hand."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.decide import benchmark
from course_utils.decide.benchmark import capstone, choosing, pareto, results

points = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2), st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=8
)


# --- fronts -------------------------------------------------------------------------------------------------


def test_a_point_is_beaten_by_what_is_no_worse_in_anything_and_better_in_something():
    found = pareto.dominators({"fp32": (32, 0), "bf16": (16, 0), "gptq4": (4, 1), "rtn4": (4, 3)})
    assert found == {"fp32": ("bf16",), "bf16": (), "gptq4": (), "rtn4": ("gptq4",)}


def test_twins_are_both_on_the_front():
    assert pareto.front({"one": (1, 2), "two": (1, 2), "worse": (2, 2)}) == ("one", "two")


@given(points)
def test_the_front_is_never_empty_and_beats_all_the_rest(points):
    on = pareto.front(points)
    assert on
    for name, by in pareto.dominators(points).items():
        assert (name in on) == (not by)
        assert not by or set(by) & set(on)


@given(points)
def test_what_is_shown_to_be_beaten_is_beaten(points):
    table = pd.DataFrame.from_dict(points, orient="index", columns=["x", "y", "z"]).astype(float)
    table["x_lo"], table["x_hi"] = table.x - 1, table.x + 1
    shown, plain = pareto.shown_dominators(table, ["x", "y", "z"]), pareto.dominators(points)
    assert all(set(shown[name]) <= set(plain[name]) for name in points)


def test_overlapping_intervals_show_nothing():
    table = pd.DataFrame(
        {"x": [1.0, 2.0], "x_lo": [0.5, 1.2], "x_hi": [1.5, 2.5], "y": [1, 1]}, index=["a", "b"]
    )
    assert pareto.dominators({"a": (1, 1), "b": (2, 1)})["b"] == ("a",)
    assert pareto.shown_dominators(table, ["x", "y"])["b"] == ()


def test_a_nan_or_two_lengths_are_refused():
    with pytest.raises(ValueError, match="point 'b' holds a NaN"):
        pareto.front({"a": (1, 2), "b": (1, float("nan"))})
    with pytest.raises(ValueError, match="all must have as many"):
        pareto.front({"a": (1, 2), "b": (1,)})


# --- limits -------------------------------------------------------------------------------------------------

TABLE = pd.DataFrame(
    {
        "change": [0.0, 0.0, 0.004, 0.011, 0.018],
        "change_hi": [0.0, 0.0001, 0.007, 0.015, 0.026],
        "tpot_s": [0.040, 0.020, 0.012, 0.012, 0.010],
        "memory_bytes": [500e6, 330e6, 220e6, 220e6, 240e6],
        "tokens_per_s": [120.0, 110.0, 250.0, 250.0, 300.0],
        "usd_per_mtok": [2.5, 2.7, 1.2, 1.2, 1.0],
    },
    index=pd.Index(["fp32", "bf16", "gptq4", "rtn4", "int8"], name="variant"),
)


def test_the_cheapest_that_keeps_all_limits_and_why_the_others_lost():
    found = benchmark.recommend(TABLE, {"change_hi": 0.02, "tpot_s": 0.03, "memory_bytes": 350e6})
    assert found.variant == "gptq4"
    assert found.beaten == pytest.approx({"bf16": 2.7 / 1.2 - 1, "rtn4": 0.0})
    assert found.dropped == {"fp32": "memory_bytes", "int8": "change_hi"}


def test_quality_is_held_to_the_upper_end_of_its_interval():
    found = benchmark.recommend(TABLE, {"change_hi": 0.012})  # rtn4's middle is 0.011
    assert found.dropped["rtn4"] == "change_hi"


def test_a_value_exactly_at_the_limit_keeps_it():
    assert benchmark.recommend(TABLE, {"tpot_s": 0.010}).variant == "int8"


def test_impossible_limits_say_which_one_binds_and_by_how_much():
    with pytest.raises(
        benchmark.Impossible, match=r"bf16.*memory.*250 MB by 32%: 330 MB would let it in"
    ) as raised:
        benchmark.recommend(TABLE, {"change_hi": 0.005, "tpot_s": 0.030, "memory_bytes": 250e6})
    assert (raised.value.nearest, raised.value.binding) == ("bf16", "memory_bytes")
    assert raised.value.over == pytest.approx(330 / 250)


@given(st.floats(0.001, 0.05), st.floats(0.005, 0.05), st.floats(1e8, 6e8))
def test_relaxing_the_binding_limit_by_what_is_said_makes_it_possible(change, tpot_s, memory_bytes):
    limits = {"change_hi": change, "tpot_s": tpot_s, "memory_bytes": memory_bytes}
    found = choosing.verdicts(TABLE, limits)
    if (found.over <= 1).any():
        chosen = benchmark.recommend(TABLE, limits).variant
        assert all(TABLE.loc[chosen, name] <= limit for name, limit in limits.items())
        return
    with pytest.raises(benchmark.Impossible) as raised:
        benchmark.recommend(TABLE, limits)
    relaxed = {name: limit * raised.value.over * (1 + 1e-12) for name, limit in limits.items()}
    now = benchmark.recommend(TABLE, relaxed).variant  # the nearest one, or another just as near
    assert found.over[now] == pytest.approx(raised.value.over)


def test_a_limit_on_something_else_is_told_what_can_be_limited():
    with pytest.raises(
        ValueError, match=r"limits has 'colour'; this table can be limited in change_hi, tpot_s"
    ):
        choosing.verdicts(TABLE, {"colour": 1})
    with pytest.raises(ValueError, match="expected above 0"):
        choosing.verdicts(TABLE, {"tpot_s": 0})


# --- the task -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    """A replayed benchmark, as a student with the recording's seed has it."""
    folder = tmp_path_factory.mktemp("handed in")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_TIER", "replay")
        run = benchmark.run(out=folder / "benchmark.csv", progress=False)
    return run, folder


@pytest.fixture(scope="module")
def right(handed_in):
    run, folder = handed_in
    capstone.right_table(run, capstone.task(run.seed)).to_csv(folder / "right.csv", index=False)
    return folder / "right.csv"


def assessed(handed_in, table, seed=None):
    run, folder = handed_in
    return capstone.assess(folder / "benchmark.csv", table, run.seed if seed is None else seed)


def altered(right, change):
    table = pd.read_csv(right)
    path = right.with_name("altered.csv")
    change(table).to_csv(path, index=False)
    return path


def test_a_seed_draws_the_same_task_and_seeds_draw_different_ones():
    assert capstone.task(7) == capstone.task(7)
    assert len({str(capstone.task(seed)) for seed in range(50)}) > 45
    with pytest.raises(ValueError, match="seed=-1"):
        capstone.task(-1)


def test_what_the_samples_give_gets_full_marks(handed_in, right):
    assert assessed(handed_in, right).points == 10


def test_the_reference_of_the_graded_question_gives_that_table(handed_in, tmp_path):
    from course_utils.grading.cases.ch12 import recommendation

    run, _ = handed_in
    for seed in range(40):
        asked, limits = capstone.task(seed), capstone.task(seed).limits(results.summary(run))
        rows = recommendation(capstone.rows_for(run), limits, asked.usd_per_hour, asked.utilization)
        table = capstone.write_table(tmp_path / "mine.csv", rows)
        expected = capstone.right_table(run, asked)
        assert table.verdict.tolist() == expected.verdict.tolist()
        assert table.usd_per_mtok.tolist() == pytest.approx(expected.usd_per_mtok.tolist())


def test_a_wrong_column_costs_its_own_points_only(handed_in, right):
    def double(table):
        return table.assign(usd_per_mtok=2 * table.usd_per_mtok)

    found = assessed(handed_in, altered(right, double))
    assert found.points == 8
    assert "usd_per_mtok: 0 of" in found.findings[0]


def test_one_wrong_cell_costs_its_share(handed_in, right):
    def first(table):
        table.loc[0, "over"] *= 1.02
        return table

    found = assessed(handed_in, altered(right, first))
    assert 9.5 < found.points < 10


def test_choosing_twice_is_no_choice(handed_in, right):
    found = assessed(handed_in, altered(right, lambda table: table.assign(verdict="chosen")))
    assert found.parts["choice"] == 0


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "variant,usd_per_mtok,over,verdict\nfp32,x,y,z\nfp32,1,2,3\n"]
)
def test_a_table_that_is_none_leaves_the_points_for_the_benchmark(handed_in, tmp_path, text):
    (tmp_path / "table.csv").write_text(text, "utf-8")
    assert assessed(handed_in, tmp_path / "table.csv").points == 2
    assert assessed(handed_in, tmp_path / "missing.csv").points == 2


def test_nonsense_in_a_cell_is_wrong_and_raises_nothing(handed_in, right):
    def nonsense(table):
        return table.assign(usd_per_mtok="cheap", over=float("nan"), verdict=None)

    assert assessed(handed_in, altered(right, nonsense)).points == 2


def test_somebody_elses_benchmark_or_an_edited_one_counts_nothing(handed_in, right, tmp_path):
    run, _ = handed_in
    found = assessed(handed_in, right, seed=run.seed + 1)
    assert found.points == 0
    assert f"measured with seed {run.seed}" in found.findings[0]
    edited = run.samples.assign(value=run.samples.value / 2)
    edited.to_csv(tmp_path / "benchmark.csv", index=False)
    assert "was edited" in capstone.assess(tmp_path / "benchmark.csv", right, run.seed).findings[0]


def test_a_blank_stub_writes_nothing(handed_in, tmp_path):
    def blank(*_):
        raise NotImplementedError

    run, _ = handed_in
    said = capstone.submit(blank, run, capstone.task(run.seed), tmp_path / "table.csv")
    assert said.startswith("Not attempted yet")
    assert not (tmp_path / "table.csv").exists()


def test_rows_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has 2 entries, expected variant, usd_per_mtok, over, verdict"):
        capstone.write_table(tmp_path / "table.csv", [["fp32", 1.0]])
