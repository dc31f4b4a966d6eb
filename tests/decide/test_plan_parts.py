"""The parts of a plan that need no simulation: what a trace asks for, how fleets are paid, what is known of quality."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.catalog import audit
from course_utils.catalog.api_prices import api_price
from course_utils.catalog.models import model
from course_utils.decide.planning import apis, variants
from course_utils.decide.planning.candidates import Requirements, Space
from course_utils.decide.planning.candidates import candidates as all_candidates
from course_utils.decide.planning.demand import MONTH_S, busiest, demand, prefix_hits
from course_utils.decide.planning.supply import Use, supplies
from course_utils.estimate.cost import HOURS_PER_MONTH
from course_utils.estimate.precision import precision
from course_utils.scale.traffic import Traffic


def traffic(arrived_s, input_tokens=100, output_tokens=10, **more) -> Traffic:
    count = len(arrived_s)
    lengths = [np.broadcast_to(one, count) for one in (input_tokens, output_tokens)]
    return Traffic(np.asarray(arrived_s, float), *lengths, name="test", origin="made up", **more)


# What a trace asks for.


def test_totals_by_hand():
    # Two requests a second apart: 3 and 5 tokens in, 2 and 4 out. A step decodes one token after the first one each.
    one = demand(traffic([0, 1], [3, 5], [2, 4]))
    assert (one.input_tokens, one.decode_tokens) == (8, 4)
    assert one.span_s == 2  # two gaps of a second: the trace goes on as it was
    assert one.pairs == 3 * 4 / 2 + 5 * 6 / 2
    # Context that the steps read: 3 + 1.5 once, and three times 5 + 1 + 1.5.
    assert one.context_tokens == pytest.approx(1 * (3 + 1 + 0.5) + 3 * (5 + 1 + 1.5))


def test_one_request_or_all_at_once_stand_for_a_month_and_say_so():
    for trace in (traffic([5.0]), traffic([5.0, 5.0, 5.0])):
        found = demand(trace)
        assert found.span_s == MONTH_S
        assert found.months == 1
        assert "no rate can be read" in found.notes[0]


def test_a_gap_is_named():
    found = demand(traffic([*range(60), *range(36_000, 36_060)]))
    assert "gap of 10.0 h" in found.notes[0]
    assert not demand(traffic(range(120))).notes


def test_long_traces_are_simulated_on_their_busiest_stretch():
    calm, rush = np.arange(0, 1000, 10.0), 1000 + np.arange(0, 10, 0.1)
    trace = traffic(np.concatenate([calm, rush, 1010 + calm]))
    part = busiest(trace, 50)
    assert len(part) == 50
    assert part.duration_s == pytest.approx(4.9)
    found = demand(trace, most_simulated=50)
    assert len(found.stretch) == 50
    assert found.requests == 300
    assert "busiest 50 of 300" in found.notes[-1]
    assert found.load_by_minutes.max() < 1  # ten minutes are never as busy as those five seconds


def test_prefix_hits_by_hand():
    trace = traffic(
        [0, 1, 2, 3, 500, 600],
        100,
        prefix_id=[7, 7, -1, 7, 8, 7],
        prefix_tokens=[40, 60, 0, 50, 30, 100],
    )
    # The second finds the 40 of the first; the fourth all its 50 of the second's 60; the last the 60 that are there.
    assert prefix_hits(trace).tolist() == [0, 40, 0, 50, 0, 60]
    # Kept for five minutes only, the last comes too late.
    assert prefix_hits(trace, ttl_s=300).tolist() == [0, 40, 0, 50, 0, 0]


def test_a_prompt_that_is_all_prefix_still_computes_its_last_token():
    trace = traffic([0, 1], 100, prefix_id=[0, 0], prefix_tokens=[100, 100])
    assert prefix_hits(trace).tolist() == [0, 99]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50)), min_size=1, max_size=40))
def test_prefix_hits_are_those_of_a_dictionary_that_forgets_nothing(uses):
    ids, lengths = zip(*uses, strict=True)
    trace = traffic(range(len(uses)), 60, prefix_id=ids, prefix_tokens=lengths)
    held, expected = {}, []
    for name, tokens in uses:
        expected.append(min(held.get(name, 0), tokens))
        held[name] = max(held.get(name, 0), tokens)
    assert prefix_hits(trace).tolist() == expected


# How fleets are paid.


def ways(chip="H100 SXM", tp=1, **more):
    found, missing = supplies(chip, tp, **more)
    return {one.kind: one for one in found}, missing


def test_a_cloud_that_sells_eights_is_paid_for_eights():
    found, _ = ways(tp=8, region="us-east-1")
    hour = found["on demand"].prices[0][0].usd_per_hour
    assert found["on demand"].bill(Use.fixed(1)).usd_per_month == pytest.approx(hour * HOURS_PER_MONTH)
    four, _ = ways(tp=4, region="us-east-1")
    by_two = [four["on demand"].bill(Use.fixed(n)).instances for n in (1, 2, 3)]
    assert by_two == [1, 1, 2]


@pytest.mark.parametrize("kind", ["on demand", "reserved 1 year", "spot + on demand", "half spot"])
def test_more_replicas_never_cost_less(kind):
    supply = ways()[0][kind]
    usd = [supply.bill(Use.fixed(n)).usd_per_month for n in (1, 2, 3, 5, 8, 13)]
    assert usd == sorted(usd)


def test_an_autoscaled_fleet_pays_for_what_it_had():
    supply = ways()[0]["autoscaled"]
    one, two = (supply.bill(Use.fixed(n)).usd_per_month for n in (1, 2))
    half_the_time = supply.bill(Use((0.0, 0.5, 0.5), 1)).usd_per_month
    assert half_the_time == pytest.approx((one + two) / 2)
    assert supply.bill(Use((0.75, 0.25), 0)).usd_per_month == pytest.approx(one / 4)


def test_a_reserved_floor_costs_what_its_parts_do():
    supply = ways()[0]["reserved floor, autoscaled"]
    bill = supply.bill(Use((0.0, 0.5, 0.5), 1))
    reserved, on_demand = next(choice for choice in supply.prices if choice[0] == bill.price)
    expected = (reserved.usd_per_hour + on_demand.usd_per_hour / 2) * HOURS_PER_MONTH
    assert bill.usd_per_month == pytest.approx(expected)


def test_spot_costs_between_all_spot_and_all_on_demand_plus_cold_starts():
    supply = ways()[0]["spot + on demand"]
    bill = supply.bill(Use.fixed(4))
    spot, on_demand = next(choice for choice in supply.prices if choice[0] == bill.price)
    hours = bill.instances * HOURS_PER_MONTH
    assert spot.usd_per_hour * hours * 0.5 < bill.usd_per_month < 1.1 * on_demand.usd_per_hour * hours
    assert bill.lo <= bill.usd_per_month <= bill.hi
    assert 0 < bill.short_share < 0.1


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 30))
def test_what_a_fleet_costs_at_least_is_no_more_than_any_fleet_that_keeps_as_many_busy(busy):
    for supply in ways()[0].values():
        needed = max(1, math.ceil(busy))
        assert supply.least_usd(np.array([busy]))[0] <= supply.bill(Use.fixed(needed)).usd_per_month * (
            1 + 1e-9
        )


def test_a_price_that_is_missing_in_a_region_is_named_with_one_elsewhere():
    found, missing = ways("L40S", region="europe-west4")
    assert not found
    assert all("L40S" in text and "europe-west4" in text for text in missing)
    assert any("USD per chip and hour" in text for text in missing)


# What is known of quality.


def test_losses_of_llama_8b_are_its_own_published_ones():
    found = variants.quality_of(model("Llama-3.1-8B"), precision("int4"))
    assert found.loss == pytest.approx(0.011)
    assert found.evidence == variants.PUBLISHED
    assert "OpenLLM v1" in found.basis[0]


def test_llama_2_has_a_published_perplexity():
    found = variants.quality_of(model("Llama-2-7B"), precision("int4"))
    assert found.loss == pytest.approx(5.60 / 5.47 - 1)


def test_a_model_without_a_figure_gets_the_worst_indirect_one_and_says_which():
    found = variants.quality_of(model("Qwen3-8B"), precision("int4"))
    assert found.evidence == variants.OTHER
    assert found.loss == pytest.approx(0.011)  # of Llama-3.1-8B: more than the 0.5 % of the tiny model
    int8 = variants.quality_of(model("Qwen3-8B"), precision("int8"))
    assert int8.evidence == variants.SMALL
    assert int8.lo < int8.loss < int8.hi
    assert "SmolLM2" in int8.basis[0]


def test_what_nobody_measured_is_unknown_and_stays_so_with_more_changes():
    shape = model("Qwen3-8B")
    assert variants.quality_of(shape, precision("q4_k_m")).loss is None
    assert variants.quality_of(shape, precision("q4_k_m"), 8).evidence == variants.UNKNOWN
    assert variants.quality_of(shape, precision("bf16"), 4).evidence == variants.UNKNOWN


def test_a_narrow_kv_cache_adds_its_loss():
    shape, recipe = model("Llama-3.1-8B"), precision("fp8")
    wide, narrow = variants.quality_of(shape, recipe), variants.quality_of(shape, recipe, 8)
    assert narrow.loss > wide.loss
    assert narrow.evidence == variants.SMALL
    assert variants.quality_of(shape, precision("bf16")).loss == 0


def test_every_published_recovery_belongs_to_a_model_and_a_precision_of_the_catalog():
    for row in variants.recoveries():
        model(row.model), precision(row.precision)
    assert not [one for one in audit() if one.is_error and one.file == "published_recovery.csv"]


# APIs.


def test_an_api_bill_by_hand():
    asked = demand(traffic([0, 1], [1_000_000, 3_000_000], [500_000, 500_000]))
    price = api_price("Llama-3.1-8B-Instruct", "ovhcloud")
    usd = apis._Costs(asked).usd(price, False)
    assert usd == pytest.approx(4 * price.input_usd_per_mtok + price.output_usd_per_mtok)


def test_long_requests_pay_the_long_tier_for_all_their_tokens():
    price = api_price("claude-sonnet-4-5", "anthropic")
    start = price.long_context[0].above_input_tokens
    asked = demand(traffic([0, 1], [start, start + 1], [1000, 1000]))
    short, long = price.tiers()
    expected = start * short.input_usd_per_mtok + (start + 1) * long.input_usd_per_mtok
    expected += 1000 * (short.output_usd_per_mtok + long.output_usd_per_mtok)
    assert apis._Costs(asked).usd(price, False) == pytest.approx(expected / 1e6)


def test_a_cached_prefix_is_written_once_and_read_after():
    price = api_price("claude-sonnet-4-5", "anthropic")
    asked = demand(traffic([0, 1, 2], 5000, 10, prefix_id=[1, 1, 1], prefix_tokens=[4000, 4000, 4000]))
    fresh = 3 * 1000 * price.input_usd_per_mtok + 3 * 10 * price.output_usd_per_mtok
    prefix = 4000 * price.cache_write_usd_per_mtok + 8000 * price.cached_read_usd_per_mtok
    assert apis._Costs(asked).usd(price, False) == pytest.approx((fresh + prefix) / 1e6)
    short = demand(traffic([0, 1, 2], 5000, 10, prefix_id=[1, 1, 1], prefix_tokens=[100, 100, 100]))
    assert apis._Costs(short).usd(price, False) == pytest.approx(
        (15_000 * price.input_usd_per_mtok + 30 * price.output_usd_per_mtok) / 1e6
    )


@pytest.mark.parametrize(
    ("listed", "same"),
    [
        ("meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo", True),
        ("@cf/meta/llama-3.1-8b-instruct-fp8", True),
        ("llama-3.1-8b-instant", True),
        ("meta-llama/llama-3.1-8b-instruct-bf16", True),
        ("NousResearch/Hermes-2-Pro-Llama-3-8B", False),
        ("meta-llama/llama-3-8b-instruct", False),
        ("meta-llama/Llama-3.1-70B-Instruct", False),
        ("deepseek-r1-distill-llama-8b", False),
    ],
)
def test_a_host_sells_the_model_only_under_its_own_name(listed, same):
    assert apis.is_model(listed, "Llama-3.1-8B") == same


# What may be asked.


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ttft_p95_ms": 0}, "ttft_p95_ms=0"),
        ({"tpot_p95_ms": -5}, "tpot_p95_ms=-5"),
        ({"budget_usd_per_month": math.nan}, "budget_usd_per_month=nan"),
        ({"max_quality_loss": 3}, "0.03 is 3 %"),
        ({"region": "us-esat-1"}, "nearest: us-east"),
    ],
)
def test_requirements_refuse_nonsense_by_name(wrong, said):
    with pytest.raises(ValueError, match=said):
        Requirements(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"models": ()}, "models is empty"),
        ({"supplies": ("barter",)}, "barter"),
        ({"routings": ("round robin",)}, "round_robin"),
        ({"batch_limits": (0,)}, "batch_limits has 0"),
        ({"most_replicas": 0}, "most_replicas=0"),
        ({"engine": "foo"}, "engine='foo'"),
    ],
)
def test_a_space_refuses_nonsense_by_name(wrong, said):
    with pytest.raises(ValueError, match=said):
        Space(**wrong)


def test_what_cannot_exist_is_kept_with_its_reason():
    asked = demand(traffic(range(100), 1000, 100))
    found = all_candidates(
        asked, Requirements(), Space(models=("Llama-3.1-70B",), chips=("T4", "H100 SXM"), tps=(1, 8))
    )
    reasons = {(one.what, one.why) for one in found.refused}
    assert any(what == "Llama-3.1-70B in bf16 on 1 x H100 SXM" and "lacks" in why for what, why in reasons)
    assert any(what == "8 x T4" and "no on demand price" in why for what, why in reasons)
    assert {one.chip for one in found.replicas} == {"H100 SXM"}


def test_a_request_longer_than_the_model_reads_is_named():
    asked = demand(traffic(range(10), 5000, 100))
    found = all_candidates(
        asked, Requirements(), Space(models=("Llama-2-7B",), chips=("H100 SXM",), tps=(1,))
    )
    assert not found.replicas
    assert any("5,100 tokens" in one.why and "4,096" in one.why for one in found.refused)
