"""A plan: its winner is that of an exhaustive search, its bounds hold, and every loser knows why it lost."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from course_utils.decide.plan import Requirements, Space, plan
from course_utils.decide.plan_text import document, rows
from course_utils.decide.planning import confirming
from course_utils.decide.planning.apis import Api
from course_utils.decide.planning.candidates import candidates
from course_utils.decide.planning.confirming import Sized, Trials
from course_utils.decide.planning.demand import demand
from course_utils.decide.planning.search import Search, screened
from course_utils.decide.planning.supply import Use
from course_utils.scale.traffic import Traffic

SMALL = Space(
    precisions=("bf16", "int8"),
    kv_bits=(16,),
    chips=("L4", "L40S", "H100 SXM"),
    tps=(1, 2),
    batch_limits=(None, 16),
    routings=("least_outstanding", "round_robin"),
    supplies=("on demand", "reserved 1 year", "autoscaled"),
    apis=(),
)
ASKED = Requirements(ttft_p95_ms=1500, tpot_p95_ms=60)


def poisson(rate_per_s: float, requests: int = 300, seed: int = 0, **more) -> Traffic:
    rng = np.random.default_rng(seed)
    return Traffic(
        np.cumsum(rng.exponential(1 / rate_per_s, requests)),
        rng.integers(100, 2000, requests),
        rng.integers(1, 300, requests),
        name="poisson",
        origin="made up",
        **more,
    )


@pytest.fixture(scope="module")
def found():
    return plan(poisson(6), ASKED, SMALL, top=3)


# The winner.


@pytest.mark.parametrize(("rate_per_s", "tpot_ms"), [(2, 60), (12, 35)])
def test_the_winner_is_that_of_an_exhaustive_search(rate_per_s, tpot_ms):
    space = replace(SMALL, routings=("least_outstanding",), precisions=("bf16", "int8"), chips=("L4", "L40S"))
    found = plan(poisson(rate_per_s, 150), replace(ASKED, tpot_p95_ms=tpot_ms), space, top=1)
    search = found.search
    every = {}
    for at in np.flatnonzero(found.screened.broken != 1):  # all but those whose quality isn't allowed
        sized = search.size(int(at))
        if isinstance(sized, Sized):
            supply = found.candidates.supply_of(int(at))
            every[int(at)] = supply.bill(search.month_of(sized.trial)).usd_per_month
    assert found.winner.usd_per_month.value == pytest.approx(min(every.values()))
    assert every[found.winner.at] == found.winner.usd_per_month.value


def test_with_few_simulations_left_it_says_what_it_is_not_sure_of():
    space = replace(SMALL, chips=("L4", "L40S"))
    found = plan(poisson(12, 150), replace(ASKED, tpot_p95_ms=35), space, top=1, most_simulations=1)
    assert found.winner is not None
    assert any("might be cheaper" in note for note in found.notes) == bool(found.search.unsure)
    assert not plan(poisson(2, 150), ASKED, space, top=1).search.unsure


def test_no_fleet_beats_the_bounds(found):
    floors, search = found.screened.floors, found.search
    for at, one in search.found.items():
        replica, limit = found.candidates.replica[at], found.candidates.batch_limit[at]
        assert one.sized.trial.use.mean >= floors.busy_replicas[replica, limit]
        assert one.sized.trial.ttft_p95_s >= 0.999 * floors.ttft_p95_s[replica]
        assert one.sized.trial.tpot_p95_s >= 0.999 * floors.tpot_p95_s[replica]
        assert one.bill.usd_per_month >= found.screened.least_usd[at] * (1 - 1e-9)


def test_a_candidate_that_fails_a_bound_fails_when_simulated():
    asked, strict = demand(poisson(3)), Requirements(ttft_p95_ms=150, tpot_p95_ms=15)
    every = candidates(asked, strict, SMALL)
    bounds = screened(every, asked, strict, SMALL)
    failing = np.flatnonzero(bounds.broken > 1)
    assert len(failing) > 20
    trials = Trials(asked, strict)
    for at in failing[:: len(failing) // 12]:
        assert not trials.fixed(every.replicas[every.replica[at]], None, "round_robin", 8).holds()


def test_the_winners_fleet_holds_and_one_replica_less_does_not(found):
    search, first = found.search, found.winner
    one = found.candidates.replicas[found.candidates.replica[first.at]]
    sized = search.found[first.at].sized
    assert sized.trial.holds()
    assert sized.trial.ttft_p95_s * 1e3 <= ASKED.ttft_p95_ms
    assert sized.trial.tpot_p95_s * 1e3 <= ASKED.tpot_p95_ms
    replicas = sized.trial.use.peak
    if replicas > 1 and sized.scaler is None:
        limit = first.settings["batch_limit"]
        assert not search.trials.fixed(one, limit, first.settings["routing"], replicas - 1).holds()


def test_the_smallest_number_is_found_whatever_it_is():
    class Held:
        def __init__(self, replicas, needed):
            self.use = type("Use", (), {"peak": replicas})
            self.in_time = 1.0 if replicas >= needed else replicas / needed * 0.9

    for needed in (1, 2, 3, 7, 8, 9, 31, 100):
        found = confirming.smallest(lambda n, k=needed: Held(n, k), lambda one: one.in_time == 1, 1, 512)
        assert found.trial.use.peak == needed
        less = confirming.smaller(lambda n, k=needed: Held(n, k), lambda one: one.in_time == 1, 1, needed + 5)
        assert less.trial.use.peak == needed
        if needed > 1:
            none = confirming.smaller(
                lambda n, k=needed: Held(n, k), lambda one: one.in_time == 1, 1, needed - 1
            )
            assert none.kind == "dearer"


def test_the_same_seed_gives_the_same_plan(found):
    again = plan(poisson(6), ASKED, SMALL, top=3)
    assert again.table().drop(columns="why").equals(found.table().drop(columns="why"))


# What is said about it.


def test_every_option_has_its_interval_and_every_loser_its_reason(found):
    for one in found.options[:3]:
        assert one.usd_per_month.lo <= one.usd_per_month.value <= one.usd_per_month.hi
        assert one.ttft_p95_ms.lo < one.ttft_p95_ms.value < one.ttft_p95_ms.hi
    table = found.losers
    assert len(table) == len(found.candidates) - 1 + len(found.candidates.refused)
    assert table["why"].str.len().min() > 10
    assert (
        "16 bits" in str(found.table()["quality_evidence"].tolist()) or found.winner.quality.loss is not None
    )


def test_dominated_options_name_one_that_is_cheaper_and_no_worse(found):
    for row in found.table().itertuples():
        if "dominated by #" in row.why:
            better = found.options[int(row.why.split("#")[1].split(":")[0]) - 1]
            assert better.usd_per_month.value <= row.usd_per_month
            assert better.ttft_p95_ms.value <= row.ttft_p95_ms
            assert better.tpot_p95_ms.value <= row.tpot_p95_ms


def test_the_front_is_beaten_by_nothing(found):
    front = found.front
    assert found.winner in front
    usd = [one.usd_per_month.value for one in front]
    assert usd == sorted(usd)
    assert len({(one.usd_per_month.value, one.tpot_p95_ms.value) for one in front}) == len(front)


def test_the_document_is_json_without_nan(found):
    text = json.dumps(document(found, 3), allow_nan=False, default=str)
    assert json.loads(text)["winner"]["name"] == found.winner.name
    assert all(len(row) == 9 for row in rows(found, 3))


# Constraints.


def test_quality_keeps_out_what_loses_too_much_and_what_nobody_measured():
    space = replace(SMALL, precisions=("bf16", "int4", "q4_k_m"), chips=("L40S",), tps=(1,))
    found = plan(poisson(2), replace(ASKED, max_quality_loss=0.005), space, top=1)
    assert found.winner.settings["precision"] == "bf16"
    why = dict(zip(found.losers["precision"], found.losers["why"], strict=True))
    assert "loses 1.1%" in why["int4"]
    assert "unknown" in why["q4_k_m"]


def test_the_readers_own_scores_decide_where_they_are_given():
    space = replace(SMALL, chips=("L40S",), tps=(1,), scores={"Llama-3.1-8B/int8": 60, "Llama-3.1-8B": 70})
    found = plan(poisson(2), replace(ASKED, min_quality=65), space, top=1)
    assert found.winner.settings["precision"] == "bf16"
    assert any("scores 60, 5 below 65" in why for why in found.losers["why"])


def test_a_budget_that_is_too_small_binds_by_what_is_missing():
    found = plan(poisson(6), replace(ASKED, budget_usd_per_month=50), SMALL, top=1)
    assert found.winner is None
    cheapest = found.options[0].usd_per_month.value
    assert f"{cheapest - 50:,.0f} ({cheapest / 50 - 1:.0%}) over 50" in found.why
    assert "budget binds" in found.why


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Requirements(tpot_p95_ms=0.5), "TPOT binds"),
        (Requirements(ttft_p95_ms=1), "TTFT binds"),
        (Requirements(max_quality_loss=0.0, min_quality=3), "Quality binds"),
    ],
)
def test_impossible_constraints_say_which_one_binds_and_by_how_much(asked, said):
    found = plan(poisson(2), asked, replace(SMALL, precisions=("int8",)), top=1)
    assert found.winner is None
    assert said in found.why
    assert any(letter.isdigit() for letter in found.why)


def test_a_region_without_a_price_is_named_and_nothing_is_guessed():
    found = plan(poisson(2), replace(ASKED, region="eu-west-1"), replace(SMALL, chips=("H100 SXM",)), top=1)
    assert found.winner is None
    assert "eu-west-1" in found.why
    assert "H100 SXM" in found.why


def test_a_region_without_a_price_is_named_where_apis_or_other_chips_are_left_too():
    here = replace(ASKED, region="europe-west4")
    found = plan(poisson(2), here, replace(SMALL, chips=("RTX 4090",), apis=None), top=1)
    assert found.winner is None
    assert "No machines: no on demand price for an instance of RTX 4090 in europe-west4" in found.why
    found = plan(poisson(2), here, replace(SMALL, chips=("L4", "RTX 4090"), tps=(1,)), top=1)
    assert "no price in europe-west4, and so left out: RTX 4090" in found.notes


def test_a_model_that_fits_nowhere_is_said_to_beside_the_apis_that_host_it():
    space = replace(SMALL, models=("Llama-3.1-405B",), chips=("L4",), apis=None)
    found = plan(poisson(2), Requirements(), space, top=1)
    assert "No machines: Llama-3.1-405B" in found.why
    assert "GiB per chip" in found.why


# APIs.


def test_an_api_whose_latency_was_measured_can_win_and_one_without_is_unproven():
    name = "novita/meta-llama/llama-3.1-8b-instruct-bf16"
    for api, verdict in (
        (Api(name), "unproven"),
        (Api(name, 300, 20), "meets"),
        (Api(name, 9000, 20), "fails"),
    ):
        found = plan(poisson(0.5), ASKED, replace(SMALL, apis=(api,)), top=1)
        one = next(one for one in found.options if one.evidence == "price list")
        assert one.verdict == verdict
    assert "9000 ms as you measured" in one.problem


@pytest.mark.parametrize(
    ("scores", "verdict", "said"),
    [
        ({}, "unproven", "your score of it"),
        ({"Novita/meta-llama/llama-3.1-8b-instruct-bf16": 70}, "meets", ""),
        ({"novita/meta-llama/llama-3.1-8b-instruct-bf16": 60}, "fails", "scores 60, 5 below 65"),
    ],
)
def test_an_api_needs_a_score_of_its_own_where_scores_are_asked_for(scores, verdict, said):
    api = Api("novita/meta-llama/llama-3.1-8b-instruct-bf16", 300, 20)
    space = replace(SMALL, chips=("L40S",), tps=(1,), apis=(api,), scores=scores)
    found = plan(poisson(0.5), replace(ASKED, min_quality=65), space, top=1)
    one = next(one for one in found.options if one.evidence == "price list")
    assert one.verdict == verdict
    assert said in (one.problem or ", ".join(one.open_questions))


def test_what_is_no_limit_is_no_open_question():
    space = replace(SMALL, chips=("L40S",), tps=(1,), apis=("groq/llama-3.1-8b-instant",))
    found = plan(poisson(0.5), Requirements(max_quality_loss=None), space, top=1)
    one = next(one for one in found.options if one.evidence == "price list")
    assert (one.verdict, one.open_questions) == ("meets", ())


def test_another_model_is_never_taken_for_this_one():
    found = plan(poisson(2), ASKED, replace(SMALL, apis=("openai/gpt-4o-mini",)), top=1)
    mine = [one for one in found.options if one.evidence == "price list"]
    assert {one.verdict for one in mine} <= {"unproven", "fails"}
    assert any("quality" in one.open_questions for one in mine)
    assert any("within 24 h" in one.problem for one in mine)  # its batch price


# Traces.


def test_one_request_a_month_leaves_one_replica_or_an_api():
    trace = Traffic(np.array([7.0]), np.array([500]), np.array([100]), "one", "made up")
    found = plan(trace, ASKED, replace(SMALL, apis=None), top=2)
    assert found.winner.settings["max_replicas"] == 1
    assert any("no rate can be read" in note for note in found.notes)
    api = min(
        (one for one in found.options if one.evidence == "price list"),
        key=lambda one: one.usd_per_month.value,
    )
    assert api.usd_per_month.value < 0.01


def test_through_a_gap_an_autoscaled_fleet_may_go_to_nothing():
    busy = poisson(1, 400)
    late = busy.arrived_s + 20_000
    trace = Traffic(
        np.concatenate([busy.arrived_s, late]),
        np.tile(busy.input_tokens, 2),
        np.tile(busy.output_tokens, 2),
        "gap",
        "made up",
    )
    found = plan(trace, Requirements(), replace(SMALL, chips=("L40S",), tps=(1,)), top=2)
    assert any("gap" in note for note in found.notes)
    assert found.winner.settings["pay"] == "autoscaled"
    assert found.winner.settings["min_replicas"] == 0
    always = found.candidates.supply_of(found.winner.at).bill(Use.fixed(1))
    assert found.winner.usd_per_month.value < 0.2 * always.usd_per_month


def test_a_long_trace_is_simulated_on_its_rush_only(monkeypatch):
    monkeypatch.setattr("course_utils.decide.planning.demand.MOST_SIMULATED", 200)
    calm, rush = poisson(1, 1500), poisson(8, 500, seed=1)
    trace = Traffic(
        np.concatenate([calm.arrived_s, calm.arrived_s[-1] + rush.arrived_s]),
        np.concatenate([calm.input_tokens, rush.input_tokens]),
        np.concatenate([calm.output_tokens, rush.output_tokens]),
        "calm, then a rush",
        "made up",
    )
    asked = demand(trace, 200)
    assert asked.stretch.rate_per_s > 5
    trials = Trials(asked, ASKED)
    every = candidates(asked, ASKED, SMALL)
    search = Search(every, screened(every, asked, ASKED, SMALL), asked, SMALL, trials)
    search.run(1)
    assert search.found
    scaled = [one for one in search.found.values() if one.sized.scaler is not None]
    for one in scaled:  # calm hours are paid for as calm
        assert search.month_of(one.sized.trial).mean <= one.sized.trial.use.mean + 1e-9


def test_shared_prefixes_bring_the_prefix_cache_into_play():
    requests = 300
    ids = np.random.default_rng(2).integers(0, 3, requests)
    trace = poisson(6, requests)
    trace = Traffic(
        trace.arrived_s,
        trace.input_tokens + 3000,
        trace.output_tokens,
        "prefixes",
        "made up",
        prefix_id=ids,
        prefix_tokens=np.full(requests, 3000),
    )
    found = plan(trace, ASKED, replace(SMALL, chips=("L40S",), tps=(1,)), top=1)
    assert found.winner.settings["prefix_cache"]
    assert found.winner.settings["hit_share"] > 0.3
    without = plan(trace, ASKED, replace(SMALL, chips=("L40S",), tps=(1,), prefix_cache=(False,)), top=1)
    assert without.winner is None or without.winner.usd_per_month.value >= found.winner.usd_per_month.value


def test_top_below_one_is_refused():
    with pytest.raises(ValueError, match="top=0"):
        plan(poisson(2), ASKED, SMALL, top=0)
    assert math.isinf(Requirements().ttft_s)
