"""Money: hand-worked bills, the mistakes that other calculators make, and what must hold for any price."""

from datetime import date
from math import isclose, nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from course_utils.catalog.api_prices import ApiPrice, Rates, api_price
from course_utils.estimate.cost import (
    DAYS_PER_MONTH,
    PARTS,
    Cost,
    Usage,
    break_even_mtok_per_month,
    break_even_utilization,
    cost_per_mtok,
    monthly_cost,
    request_cost,
    request_costs,
    self_hosted_usd_per_mtok,
)


def price(**changes) -> ApiPrice:
    """Round figures to work with by hand: 2 in, 0.2 read, 2.5 written, 4 written for an hour, 10 out."""
    given = {
        "model": "round",
        "provider": "acme",
        "input_usd_per_mtok": 2.0,
        "cached_read_usd_per_mtok": 0.2,
        "cache_write_usd_per_mtok": 2.5,
        "cache_write_1h_usd_per_mtok": 4.0,
        "output_usd_per_mtok": 10.0,
        "batch_multiplier": 0.5,
        "source": "worked example",
        "as_of": date(2026, 11, 1),
    }
    return ApiPrice(**given | changes)


LONG = Rates(
    input_usd_per_mtok=4.0,
    cached_read_usd_per_mtok=0.4,
    cache_write_usd_per_mtok=5.0,
    cache_write_1h_usd_per_mtok=8.0,
    output_usd_per_mtok=15.0,
    above_input_tokens=200_000,
)


# What providers report.


def test_openai_reports_cached_tokens_inside_the_prompt():
    """The example of OpenAI's announcement: 2006 prompt tokens, of which 1920 cached, and 300 out."""
    usage = Usage.from_openai(
        {
            "total_tokens": 2306,
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }
    )
    assert (usage.fresh_tokens, usage.cached_read_tokens) == (86, 1920)
    # 86 x 2.50 + 1920 x 1.25 + 300 x 10.00 = 215 + 2400 + 3000, per million
    assert request_cost(api_price("gpt-4o"), usage).total_usd == pytest.approx(0.005615, abs=1e-12)


def test_openai_responses_report_writes_and_reasoning():
    usage = Usage.from_openai(
        {
            "input_tokens": 5000,
            "input_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 1500},
            "output_tokens": 900,
            "output_tokens_details": {"reasoning_tokens": 640},
        }
    )
    assert usage == Usage(5000, 2000, 1500, output_tokens=900, reasoning_tokens=640)


def test_anthropic_reports_cached_tokens_beside_the_input():
    usage = Usage.from_anthropic(
        {
            "input_tokens": 21,
            "cache_creation_input_tokens": 3000,
            "cache_read_input_tokens": 188_086,
            "output_tokens": 393,
            "cache_creation": {"ephemeral_5m_input_tokens": 2000, "ephemeral_1h_input_tokens": 1000},
        }
    )
    assert usage.input_tokens == 21 + 3000 + 188_086
    assert (usage.fresh_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens) == (21, 2000, 1000)
    # Claude Sonnet 4.6: 21 x 3 + 188086 x 0.30 + 2000 x 3.75 + 1000 x 6 + 393 x 15, per million
    worked = (63 + 56_425.8 + 7_500 + 6_000 + 5_895) / 1e6
    assert request_cost(api_price("claude-sonnet-4-6"), usage).total_usd == pytest.approx(worked, abs=1e-12)


def test_gemini_reports_thoughts_beside_the_answer():
    usage = Usage.from_gemini(
        {
            "promptTokenCount": 1000,
            "cachedContentTokenCount": 600,
            "candidatesTokenCount": 200,
            "thoughtsTokenCount": 800,
        }
    )
    assert usage == Usage(1000, 600, output_tokens=1000, reasoning_tokens=800)


def test_the_same_request_costs_the_same_whoever_reports_it():
    from_openai = Usage.from_openai(
        {"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 700}}
    )
    from_anthropic = Usage.from_anthropic(
        {"input_tokens": 300, "cache_read_input_tokens": 700, "output_tokens": 50}
    )
    assert from_openai == from_anthropic


def test_a_report_in_the_other_convention_is_refused():
    with pytest.raises(ValueError, match="from_anthropic"):
        Usage.from_openai({"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1})
    with pytest.raises(ValueError, match="from_openai"):
        Usage.from_anthropic({"prompt_tokens": 10, "completion_tokens": 1})
    with pytest.raises(ValueError, match="completion_tokens or output_tokens is needed"):
        Usage.from_openai({"prompt_tokens": 10})


# One request by hand.


def test_each_kind_of_token_pays_its_own_price():
    cost = request_cost(price(), Usage(10_000, 4000, 3000, 500, cache_write_1h_tokens=1000))
    assert cost.input_usd == pytest.approx(2000 * 2 / 1e6)
    assert cost.cached_read_usd == pytest.approx(4000 * 0.2 / 1e6)
    assert cost.cache_write_usd == pytest.approx((3000 * 2.5 + 1000 * 4) / 1e6)
    assert cost.output_usd == pytest.approx(500 * 10 / 1e6)
    assert cost.total_usd == pytest.approx(0.0213)


def test_reasoning_tokens_are_billed_as_output_and_not_twice():
    shown = request_cost(price(), Usage(1000, output_tokens=5000))
    thought = request_cost(price(), Usage(1000, output_tokens=5000, reasoning_tokens=4600))
    assert shown == thought


def test_a_batch_at_half_price_halves_every_part_where_discounts_stack():
    usage = Usage(10_000, 4000, 3000, 500)
    now, later = request_cost(price(), usage), request_cost(price(), usage, batch=True)
    assert all(getattr(later, part) == pytest.approx(getattr(now, part) / 2) for part in PARTS)


def test_currency_and_date_travel_with_the_money():
    cost = request_cost(price(currency="EUR"), Usage(1000, output_tokens=10))
    assert (cost.currency, cost.as_of) == ("EUR", date(2026, 11, 1))
    assert str(cost) == "0.002100 EUR (prices of 2026-11-01)"


# Mistakes of other calculators.


def test_cached_tokens_are_not_counted_twice():
    """litellm issue 6215: prompt_tokens already holds cached_tokens."""
    usage = Usage(2006, 1920, output_tokens=300)
    twice = (2006 * 2 + 1920 * 0.2 + 300 * 10) / 1e6
    once = (86 * 2 + 1920 * 0.2 + 300 * 10) / 1e6
    assert request_cost(price(), usage).total_usd == pytest.approx(once)
    assert once < twice


def test_a_long_prompt_that_is_nearly_all_cached_still_pays_the_long_price():
    """litellm issue 14849 counts these tokens twice; its own correction then forgets the tier above 200k."""
    usage = Usage(262_960, 257_955, output_tokens=1744)
    cost = request_cost(api_price("gemini-2.5-pro"), usage)
    # all of it above 200k: 5005 x 2.50 + 257955 x 0.25 + 1744 x 15, per million
    assert cost.total_usd == pytest.approx((12_512.5 + 64_488.75 + 26_160) / 1e6)


def test_cache_writes_are_not_dropped():
    """Anthropic's report without its cache_creation_input_tokens is a fraction of the bill."""
    usage = Usage.from_anthropic(
        {"input_tokens": 21, "cache_creation_input_tokens": 188_086, "output_tokens": 393}
    )
    cost = request_cost(api_price("claude-opus-4-1"), usage)
    assert cost.cache_write_usd == pytest.approx(188_086 * 18.75 / 1e6)
    assert cost.cache_write_usd / cost.total_usd > 0.99


def test_tokens_written_where_writing_is_free_of_surcharge_still_pay_as_input():
    cost = request_cost(price(cache_write_usd_per_mtok=None), Usage(1000, 0, 1000))
    assert cost.cache_write_usd == pytest.approx(1000 * 2 / 1e6)


def test_a_cached_token_in_a_batch_is_not_billed_as_fresh_batch_input():
    """litellm pull request 38341: every prompt token was billed at the flat batch rate."""
    usage = Usage(10_000, 9000, output_tokens=100)
    cost = request_cost(api_price("claude-sonnet-4-6"), usage, batch=True)
    assert cost.total_usd == pytest.approx((1000 * 1.5 + 9000 * 0.15 + 100 * 7.5) / 1e6)
    flat = (10_000 * 1.5 + 100 * 7.5) / 1e6
    assert flat > 4 * cost.total_usd


def test_a_batch_discount_is_not_stacked_on_a_cache_discount_where_the_provider_does_not():
    usage = Usage(10_000, 9000, output_tokens=100)
    cost = request_cost(api_price("gemini-2.5-flash"), usage, batch=True)
    assert cost.cached_read_usd == pytest.approx(9000 * 0.03 / 1e6)


def test_a_well_cached_request_can_be_dearer_in_a_batch_where_hits_lose_their_discount():
    usage = Usage(10_000, 9000, output_tokens=100)
    no_hits = price(batch_cached_read="input")
    now, later = (request_cost(no_hits, usage, batch).total_usd for batch in (False, True))
    assert now == pytest.approx((1000 * 2 + 9000 * 0.2 + 100 * 10) / 1e6)
    assert later == pytest.approx((10_000 * 1 + 100 * 5) / 1e6)
    assert later > 2 * now


def test_a_price_per_million_is_not_taken_for_a_price_per_thousand():
    assert request_cost(price(), Usage(1_000_000)).total_usd == 2.0


def test_the_throughput_of_all_gpus_belongs_to_the_rent_of_all_gpus():
    """Eight GPUs at 2.50 an hour that serve 8000 tokens/s: the same as one at 2.50 that serves 1000."""
    together = self_hosted_usd_per_mtok(usd_per_hour=20.0, tokens_per_s=8000)
    assert together == pytest.approx(self_hosted_usd_per_mtok(2.5, 1000)) == pytest.approx(0.6944, abs=1e-4)
    assert self_hosted_usd_per_mtok(20.0, 1000) == pytest.approx(8 * together)  # the mistake: eightfold


# Many requests.


def test_a_month_is_its_requests():
    usage = Usage(1000, output_tokens=200)
    month = monthly_cost(price(), usage, requests_per_day=10_000, days=30)
    assert month.total_usd == pytest.approx(300_000 * (1000 * 2 + 200 * 10) / 1e6) == pytest.approx(1200)
    assert DAYS_PER_MONTH == 30.4375


def test_the_share_that_can_wait_pays_the_batch_price():
    usage = Usage(1000, output_tokens=200)
    assert monthly_cost(price(), usage, 10_000, batch_share=0.4, days=30).total_usd == pytest.approx(
        1200 * 0.8
    )
    assert monthly_cost(price(batch_multiplier=None), usage, 10_000, days=30).total_usd == pytest.approx(1200)


def test_blended_price_lies_between_input_and_output():
    assert cost_per_mtok(price(), Usage(750, output_tokens=250)) == pytest.approx(0.75 * 2 + 0.25 * 10)


def test_costs_add_up_and_keep_the_oldest_date():
    old = Cost(1, 0, 0, 2, "USD", date(2026, 1, 1))
    new = Cost(0.5, 0.25, 0, 1, "USD", date(2026, 11, 1))
    assert sum([old, new]) == Cost(1.5, 0.25, 0, 3, "USD", date(2026, 1, 1))
    assert (3 * new).total_usd == 5.25


def test_two_currencies_do_not_add_up():
    dollars, euros = (Cost(1, 0, 0, 0, name, date(2026, 1, 1)) for name in ("USD", "EUR"))
    with pytest.raises(ValueError, match="currency='EUR' can't be added"):
        dollars + euros


def test_break_even_is_where_the_two_bills_meet():
    at = break_even_utilization(usd_per_hour=2.5, tokens_per_s=1000, api_usd_per_mtok=2.0)
    assert self_hosted_usd_per_mtok(2.5, 1000, utilization=at) == pytest.approx(2.0)
    # 2.5 an hour is 1826.25 a month, which buys 913.125 million tokens at 2 a million
    assert break_even_mtok_per_month(2.5, 2.0) == pytest.approx(913.125)


def test_above_one_no_utilization_beats_the_api():
    assert break_even_utilization(usd_per_hour=10, tokens_per_s=500, api_usd_per_mtok=2) > 1


# Nonsense.


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("input_tokens", {"input_tokens": -1}),
        ("output_tokens", {"input_tokens": 1, "output_tokens": nan}),
        ("input_tokens", {"input_tokens": 10, "cached_read_tokens": 6, "cache_write_tokens": 5}),
        ("reasoning_tokens", {"input_tokens": 10, "output_tokens": 5, "reasoning_tokens": 6}),
    ],
)
def test_impossible_usage_is_refused_by_name(name, tokens):
    with pytest.raises(ValueError, match=name):
        Usage(**tokens)


@pytest.mark.parametrize(
    "call",
    [
        lambda: monthly_cost(price(), Usage(1), requests_per_day=-1),
        lambda: monthly_cost(price(), Usage(1), 1, batch_share=1.5),
        lambda: self_hosted_usd_per_mtok(1, 1, utilization=80),
        lambda: self_hosted_usd_per_mtok(0, 1),
        lambda: break_even_utilization(1, 1, 0),
        lambda: cost_per_mtok(price(), Usage(0)),
        lambda: request_cost(price(batch_multiplier=None), Usage(1), batch=True),
    ],
)
def test_impossible_questions_are_refused(call):
    with pytest.raises(ValueError, match=r"needed|needs|no batch"):
        call()


# What must hold for any price and any request.

usd = st.floats(0.01, 200)
share = st.floats(0, 1)
count = st.integers(0, 500_000)


@st.composite
def any_price(draw):
    given = draw(usd)
    rates = {
        "input_usd_per_mtok": given,
        "cached_read_usd_per_mtok": max(given * draw(share), 1e-4),
        "cache_write_usd_per_mtok": given * draw(st.floats(1, 2)),
        "cache_write_1h_usd_per_mtok": given * 2,
        "output_usd_per_mtok": draw(usd),
    }
    dearer = draw(st.floats(1, 3))
    long = Rates(**{name: value * dearer for name, value in rates.items()}, above_input_tokens=200_000)
    return price(
        **rates,
        long_context=(long,) if draw(st.booleans()) else (),
        batch_multiplier=draw(st.floats(0.1, 1)),
        batch_cached_read=draw(st.sampled_from(["stacks", "standard", "input"])),
    )


@st.composite
def any_usage(draw):
    fresh, read, written, written_1h, out = (draw(count) for _ in range(5))
    return Usage(
        input_tokens=fresh + read + written + written_1h,
        cached_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=out,
        reasoning_tokens=draw(st.integers(0, out)),
        cache_write_1h_tokens=written_1h,
    )


@given(any_price(), any_usage(), st.booleans())
def test_parts_are_never_negative_and_sum_to_the_total(price, usage, batch):
    cost = request_cost(price, usage, batch)
    parts = [getattr(cost, part) for part in PARTS]
    assert min(parts) >= 0
    assert isclose(sum(parts), cost.total_usd, rel_tol=1e-12)


@given(any_price(), st.booleans())
def test_no_tokens_cost_nothing(price, batch):
    assert request_cost(price, Usage(0), batch).total_usd == 0


@given(any_price(), any_usage(), st.sampled_from(["fresh", "cached_read", "cache_write", "output"]), count)
def test_more_tokens_of_any_kind_never_cost_less(price, usage, kind, more):
    grown = {name: getattr(usage, name) for name in usage.__dataclass_fields__}
    if kind != "fresh":
        grown[f"{kind}_tokens"] += more
    if kind != "output":
        grown["input_tokens"] += more
    before, after = request_cost(price, usage).total_usd, request_cost(price, Usage(**grown)).total_usd
    assert after >= before * (1 - 1e-12)


@given(any_price(), any_usage(), st.floats(0, 1000))
def test_cost_is_linear_in_tokens_within_a_tier(price, usage, times):
    flat = price.__class__(**{**price.__dict__, "long_context": ()})
    scaled = Usage(**{name: getattr(usage, name) * times for name in usage.__dataclass_fields__})
    whole = request_cost(flat, scaled).total_usd
    assert isclose(whole, times * request_cost(flat, usage).total_usd, rel_tol=1e-9, abs_tol=1e-12)


@given(any_price(), any_usage())
def test_a_batch_is_never_dearer_unless_cache_hits_lose_their_discount_in_it(price, usage):
    assume(price.batch_cached_read != "input" or not usage.cached_read_tokens)
    now, later = (request_cost(price, usage, batch).total_usd for batch in (False, True))
    assert later <= now * (1 + 1e-12)


@given(any_price(), any_usage(), st.booleans())
def test_reading_from_a_cache_is_never_dearer_than_sending_afresh(price, usage, batch):
    fresh = Usage(usage.input_tokens, output_tokens=usage.output_tokens)
    read = Usage(usage.input_tokens, usage.input_tokens, output_tokens=usage.output_tokens)
    cached, sent = (request_cost(price, one, batch).total_usd for one in (read, fresh))
    assert cached <= sent * (1 + 1e-12)


@given(any_price(), any_usage())
def test_the_long_tier_is_never_cheaper(price, usage):
    flat = price.__class__(**{**price.__dict__, "long_context": ()})
    assert request_cost(price, usage).total_usd >= request_cost(flat, usage).total_usd * (1 - 1e-12)


def test_the_long_tier_starts_beyond_its_threshold():
    tiered = price(long_context=(LONG,))
    at, beyond = (request_cost(tiered, Usage(n, output_tokens=1000)).total_usd for n in (200_000, 200_001))
    assert at == pytest.approx(0.4 + 0.01)
    assert beyond == pytest.approx(0.800004 + 0.015)


@given(st.lists(st.tuples(any_usage(), st.booleans()), min_size=1, max_size=20), any_price())
def test_all_rows_at_once_cost_what_each_costs_alone(rows, price):
    table = pd.DataFrame([{**usage.__dict__, "batch": batch} for usage, batch in rows])
    together = request_costs(price, table)
    for (usage, batch), row in zip(rows, together.itertuples(index=False), strict=True):
        alone = request_cost(price, usage, batch)
        assert np.allclose(list(row), [getattr(alone, part) for part in PARTS], rtol=1e-12, atol=1e-15)


def test_a_table_needs_only_input_and_output():
    table = pd.DataFrame({"input_tokens": [1000, 0], "output_tokens": [100, 0]}, index=[7, 9])
    costs = request_costs(price(), table)
    assert list(costs.columns) == list(PARTS)
    assert list(costs.sum(axis=1)) == pytest.approx([0.003, 0.0])
    assert list(costs.index) == [7, 9]
