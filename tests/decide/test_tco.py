"""The comparison as a whole: inputs and their ranges, limits that bind, what matters, and the page at its end."""

from datetime import date
from functools import partial

import numpy as np
import pytest

from course_utils.catalog import api_price
from course_utils.decide import (
    Api,
    Facts,
    Inputs,
    Limits,
    bands,
    break_even_band,
    break_even_traffic,
    compare,
    memo_of,
    roads_of,
    saving_usd,
    tipping_points,
)
from course_utils.decide.constraints import binding, peak_tokens_per_minute
from course_utils.decide.inputs import COMMERCIAL, ENDPOINT, MACHINES, OPEN, draws, moved, ranges, search_ends
from course_utils.decide.tco import BreakEvenBand
from course_utils.estimate import tornado
from course_utils.estimate.predict import predict
from tests.decide.test_roads import PRICE, load

COMMERCIAL_PRICE = api_price("o4-mini")
OPEN_PRICE = api_price("openai/gpt-oss-120b", "together")
ROADS = partial(roads_of, commercial=COMMERCIAL_PRICE, open_api=OPEN_PRICE)


def compared(limits=None, **changed):
    inputs = Inputs(**changed)
    return compare(ROADS(inputs), inputs.workload(), inputs.months, inputs.discount_per_year, limits)


# --- inputs -------------------------------------------------------------------------------------------------


def test_every_uncertain_input_says_its_range_its_unit_and_who_says_so():
    table = Inputs().table()
    assert ((table.low <= table.value) & (table.value <= table.high)).all()
    assert table.unit.str.strip().all()
    assert table.says.str.match("assumed|published by|published: |predicted").all()
    for name, (low, high) in ranges().items():
        end_low, end_high = search_ends()[name]
        assert end_low <= low <= high <= end_high, name


def test_the_speed_is_what_the_course_predicts_today():
    found = predict("gpt-oss-120b", "H100 SXM", precision_name="mxfp4", isl=1155, osl=211, load="max")
    ends = found.out_tok_s_per_gpu_lo, found.out_tok_s_per_gpu_hi
    assert Inputs().output_tokens_per_s == pytest.approx(found.out_tok_s_per_gpu, rel=1e-3)
    assert ranges()["output_tokens_per_s"] == pytest.approx(ends, rel=1e-3)


def test_what_you_change_is_yours():
    table = Inputs(engineers=3).table()
    assert list(table.index[table.says == "yours"]) == ["engineers"]


def test_what_you_hold_is_not_drawn():
    held, free = draws(Inputs(engineers=2), 32, held=["engineers"]), draws(Inputs(engineers=2), 32)
    assert {one.engineers for one in held} == {2}
    assert [one.salary_usd_per_year for one in held] == [one.salary_usd_per_year for one in free]
    with pytest.raises(ValueError, match="held has 'spare'"):
        draws(Inputs(), held=["spare"])


def test_holding_inputs_narrows_the_band():
    drawn, _ = bands(Inputs(), COMMERCIAL_PRICE, OPEN_PRICE, 32)
    held, _ = bands(Inputs(), COMMERCIAL_PRICE, OPEN_PRICE, 32, held=["requests_per_day", "growth_per_month"])
    for name, band in drawn.items():
        assert held[name].hi_usd[-1] - held[name].lo_usd[-1] < band.hi_usd[-1] - band.lo_usd[-1]


def test_drawn_inputs_have_the_default_in_their_middle_and_the_ranges_at_their_ends():
    drawn = draws(Inputs(), 512)
    for name, (low, high) in ranges().items():
        values = np.array([getattr(one, name) for one in drawn])
        assert np.median(values) == pytest.approx(getattr(Inputs(), name), rel=0.02, abs=0.01)
        if low < getattr(Inputs(), name) < high:
            assert np.quantile(values, [0.1, 0.9]) == pytest.approx([low, high], rel=0.06, abs=0.02), name
    assert [vars(one) for one in draws(Inputs(), 8, seed=1)] == [
        vars(one) for one in draws(Inputs(), 8, seed=1)
    ]


def test_a_range_moves_along_with_your_own_value():
    values = [one.requests_per_day for one in draws(Inputs(requests_per_day=1000), 256)]
    assert np.quantile(values, [0.1, 0.5, 0.9]) == pytest.approx([500, 1000, 2000], rel=0.06)


@pytest.mark.parametrize(
    "changed",
    [
        {"api_change_per_year": -0.8, "growth_per_month": -0.05, "peak_to_mean": 1.0, "engineers": 0.0},
        {"api_change_per_year": 0.2, "growth_per_month": 0.2, "peak_to_mean": 8.0, "load_at_peak": 1.0},
        {"requests_per_day": 1.0, "cached_share": 1.0, "batch_share": 1.0},
    ],
)
def test_inputs_far_from_the_defaults_are_drawn_within_what_can_be(changed):
    found, wins = bands(Inputs(months=6, **changed), COMMERCIAL_PRICE, OPEN_PRICE, 16)
    assert sum(wins.values()) == pytest.approx(1)
    assert all(np.isfinite(band.hi_usd).all() for band in found.values())


def test_a_name_that_is_no_input_is_refused():
    with pytest.raises(ValueError, match="changes has 'engineer'"):
        moved(Inputs(), {"engineer": 2})


def band_of(held=(), mine=ENDPOINT, theirs=COMMERCIAL, count=16):
    return break_even_band(Inputs(), mine, theirs, COMMERCIAL_PRICE, OPEN_PRICE, count, held=held)


def test_where_everything_is_known_the_band_is_the_break_even():
    inputs = Inputs()
    roads = ROADS(inputs)
    exact = break_even_traffic(
        roads[ENDPOINT], roads[COMMERCIAL], inputs.workload(), inputs.months, inputs.discount_per_year
    )
    known = band_of(held=ranges(), count=2)
    assert known.lo == known.median == known.hi == pytest.approx(exact.last_requests_per_day, rel=0.01)


def test_what_you_know_narrows_the_break_even():
    free, known = band_of(), band_of(held=["growth_per_month", "api_change_per_year", "engineers"])
    assert free.lo < known.lo < known.median < known.hi < free.hi


def test_a_break_even_that_mostly_never_comes_says_so():
    band = BreakEvenBand("own machines", "open API", (5e4, *[np.inf] * 3))
    assert (band.never, band.lo, band.hi) == (0.75, 5e4, np.inf)
    assert str(band) == "own machines against open API: no break-even in 75% of the draws"
    mixed = BreakEvenBand("own machines", "open API", (5e4, 6e4, 7e4, np.inf))
    assert str(mixed).endswith("from 60,000 requests a day (80 % interval 50,000 to never)")


# --- comparing ----------------------------------------------------------------------------------------------


def test_without_traffic_an_api_wins_and_with_much_a_dear_one_loses():
    assert compared(requests_per_day=0).winner.name in (COMMERCIAL, OPEN)
    busy = compared(requests_per_day=5e6)
    assert busy.present_usd(ENDPOINT) < busy.present_usd(COMMERCIAL)
    assert busy.present_usd(MACHINES) < busy.present_usd(COMMERCIAL)


def test_the_tables_add_up():
    found = compared()
    parts = found.parts_table()
    for name, flow in found.flows.items():
        assert parts[name].sum() == pytest.approx(flow.total_usd)
        assert found.table().loc[name, "total"] == pytest.approx(flow.total_usd)


def test_the_band_holds_its_middle_and_somebody_always_wins():
    found, wins = bands(Inputs(months=12), COMMERCIAL_PRICE, OPEN_PRICE, 32)
    assert sum(wins.values()) == pytest.approx(1)
    _, of_two = bands(Inputs(months=12), COMMERCIAL_PRICE, OPEN_PRICE, 32, among=(COMMERCIAL, ENDPOINT))
    assert of_two[COMMERCIAL] + of_two[ENDPOINT] == pytest.approx(1)
    for band in found.values():
        assert (band.lo_usd <= band.median_usd).all()
        assert (band.median_usd <= band.hi_usd).all()
        assert (np.diff(band.median_usd) >= 0).all()


def test_savings_of_two_roads_are_each_others_losses_and_match_the_comparison():
    inputs = Inputs()
    one = saving_usd(inputs, ENDPOINT, COMMERCIAL, COMMERCIAL_PRICE, OPEN_PRICE)
    assert one == -saving_usd(inputs, COMMERCIAL, ENDPOINT, COMMERCIAL_PRICE, OPEN_PRICE)
    found = compared()
    assert one == pytest.approx(found.present_usd(COMMERCIAL) - found.present_usd(ENDPOINT))


# --- what matters -------------------------------------------------------------------------------------------


def test_the_tornado_takes_the_inputs_as_they_are():
    saving = partial(saving_usd, Inputs(), ENDPOINT, COMMERCIAL, COMMERCIAL_PRICE, OPEN_PRICE)
    bars = tornado(saving, Inputs().numbers(), ranges())
    swings = [bar.swing for bar in bars]
    assert swings == sorted(swings, reverse=True)
    assert {bar.name: bar.swing for bar in bars}[
        "usd_per_chip_hour"
    ] == 0  # an endpoint rents no chips of yours


def test_by_hand_where_a_decision_turns():
    found = tipping_points(lambda a, b: 10 - a - 2 * b, {"a": 4.0, "b": 1.0}, {"a": (1, 100), "b": (0, 20)})
    # Twice a turns it, three times b: a is nearer, on the way by ratios to a hundred and to twenty.
    assert [(one.name, pytest.approx(one.turns_at)) for one in found] == [("a", 8), ("b", 3)]


def test_at_the_tipping_point_the_two_roads_cost_the_same():
    saving = partial(saving_usd, Inputs(), ENDPOINT, COMMERCIAL, COMMERCIAL_PRICE, OPEN_PRICE)
    found = {one.name: one for one in tipping_points(saving, Inputs().numbers(), search_ends())}
    for name in ("salary_usd_per_year", "api_change_per_year", "engineers"):
        assert saving(**{name: found[name].turns_at}) == pytest.approx(0, abs=0.01)
    assert found["usd_per_chip_hour"].turns_at is None
    assert "no value turns" in str(found["usd_per_chip_hour"])


# --- limits -------------------------------------------------------------------------------------------------


def test_limits_exclude_a_road_and_say_by_how_much():
    limits = Limits(max_month_usd=20_000)
    found = compared(limits)
    assert found.winner.name == OPEN
    (breach,) = found.broken[ENDPOINT]
    assert breach.limit == "max_month_usd"
    assert breach.by == pytest.approx(found.flows[ENDPOINT].by_month_usd.max() - 20_000)


def test_impossible_limits_say_which_one_binds():
    limits = Limits(regions=("DE",), max_month_usd=1.0)
    with pytest.raises(ValueError, match=r"No road keeps every limit\. (regions|max_month_usd) stops 4 of 4"):
        _ = compared(limits).winner


def test_a_fact_that_nobody_knows_is_not_good_enough():
    facts = Facts(("FR",), exit_months=None, quality_percent=None, tokens_per_minute=None)
    limits = Limits(regions=("FR",), max_exit_months=3, min_quality_percent=60)
    found = compare({"api": Api("api", PRICE, facts=facts)}, load(1000), 12, limits=limits)
    assert {one.limit for one in found.broken["api"]} == {
        "max_exit_months", "min_quality_percent", "tokens_per_minute"
    }  # fmt: skip


def test_by_hand_the_busiest_minute_against_a_rate_limit():
    # 14,400 a day are 10 a minute of 1,500 tokens; twice that in a burst is 30,000.
    assert peak_tokens_per_minute(load(14_400), 1) == pytest.approx(15_000)
    facts = Facts(tokens_per_minute=25_000)
    found = compare({"api": Api("api", PRICE, facts=facts)}, load(14_400), 1)
    (breach,) = found.broken["api"]
    assert (breach.limit, breach.by) == ("tokens_per_minute", pytest.approx(5000))


def test_where_nothing_binds_nothing_is_said():
    with pytest.raises(ValueError, match="nothing binds"):
        binding({"api": ()})


# --- the page -----------------------------------------------------------------------------------------------


def page(limits=None):
    inputs = Inputs(engineers=2)
    found = compare(ROADS(inputs), inputs.workload(), inputs.months, inputs.discount_per_year, limits)
    saving = partial(saving_usd, inputs, ENDPOINT, OPEN, COMMERCIAL_PRICE, OPEN_PRICE)
    ends = {name: search_ends()[name] for name in ("requests_per_day", "api_change_per_year")}
    tipping = tipping_points(saving, inputs.numbers(), ends)
    return memo_of(found, inputs, {OPEN: 0.9, ENDPOINT: 0.1}, tipping, ENDPOINT, today=date(2026, 11, 30))


def test_the_memo_says_what_to_take_what_else_there_is_and_what_you_changed():
    text = page().markdown
    assert "Take the open model's API" in text
    assert "90%" in text
    assert all(name in text for name in (COMMERCIAL, OPEN, ENDPOINT, MACHINES))
    assert "engineers = 2 full time" in text
    assert "2026-11-30" in text
    assert "for the managed endpoint to win" in text
    assert len(text.splitlines()) < 60  # one page


def test_the_memo_can_say_how_sure_the_break_even_is():
    comparison, band = compared(), BreakEvenBand(ENDPOINT, OPEN, (5e4, 6e4, 7e4))
    page = memo_of(comparison, Inputs(), {}, [], ENDPOINT, today=date(2026, 11, 30), break_even=band)
    assert f"with every input drawn: {band}" in page.markdown
    assert "from 60,000 requests a day (80 % interval 50,000 to 70,000)" in page.html


def test_a_memo_without_a_road_says_what_binds():
    assert page(Limits(max_month_usd=1.0)).verdict.startswith(
        "No road keeps every limit. max_month_usd stops 4 of 4"
    )


def test_the_html_page_is_whole_and_escaped(tmp_path):
    path = page().write(tmp_path / "memo.html")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")
    assert "open model&#x27;s API" in text
    assert text.count("<tr>") == 5
    assert [one.name for one in tmp_path.iterdir()] == ["memo.html"]
    assert page().write(tmp_path / "memo.md").read_text(encoding="utf-8") == page().markdown
    with pytest.raises(ValueError, match=r"ends in \.html or \.md"):
        page().write(tmp_path / "memo.pdf")
