"""API prices: what the list says, and the batch and cache rules on top."""

import subprocess
import sys
from datetime import UTC, date, datetime, time
from math import isclose

import pytest
from genai_prices import Usage, data_snapshot
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog.api_prices import PRICE_FIELDS, ApiPrice, Rates, api_price, api_prices
from course_utils.catalog.api_rules import api_rule, api_rules

MAKERS = ("anthropic", "openai", "google", "mistral", "x-ai", "groq", "deepseek")


def contract(**changes) -> ApiPrice:
    given = {
        "model": "house-model",
        "provider": "acme",
        "input_usd_per_mtok": 2.0,
        "output_usd_per_mtok": 8.0,
        "source": "contract 17",
        "as_of": date(2026, 11, 1),
    }
    return ApiPrice(**given | changes)


# The list.


def test_importing_the_catalog_loads_no_price_list():
    code = "import sys, course_utils.catalog.api_prices; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_listed_price_has_a_source_a_date_and_a_currency():
    for price in api_prices():
        assert price.source.startswith("genai-prices")
        assert date(2026, 1, 1) <= price.as_of <= date.today()
        assert price.currency == "USD"


def test_listed_price_is_what_the_price_list_itself_computes():
    """Both sides of every tier, standard and batch, of every maker's models, against the package's sum."""
    compared = 0
    for seller in data_snapshot.get_snapshot().providers:
        ours = {price.model: price for price in api_prices(seller.id)} if seller.id in MAKERS else {}
        for listed in seller.models:
            price = ours.get(listed.id)
            if price is None:
                continue
            noon = datetime.combine(price.as_of, time(12), UTC)
            edges = [tier.above_input_tokens for tier in price.long_context]
            for whole in (1000, *edges, *(edge + 2 for edge in edges)):
                for batch in {False, bool(price.batch_tiers)}:
                    half = whole // 2
                    theirs = listed.calc_price(
                        Usage(input_tokens=whole, cache_read_tokens=half, output_tokens=500),
                        seller,
                        genai_request_timestamp=noon,
                        price_context={"processing": "batch"} if batch else None,
                    )
                    rates = price.rates(whole, batch)
                    usd_per_mtok = (
                        (whole - half) * rates.input_usd_per_mtok
                        + half * rates.cached_read_usd_per_mtok
                        + 500 * rates.output_usd_per_mtok
                    )
                    assert isclose(usd_per_mtok / 1e6, float(theirs.total_price), rel_tol=1e-9), price.model
                    compared += 1
    assert compared > 300


def test_dated_names_gateway_names_and_case_find_the_same_model():
    assert api_price("claude-haiku-4-5-20251001").model == "claude-haiku-4-5"
    assert api_price("anthropic/claude-haiku-4-5") == api_price("Claude-Haiku-4-5")


def test_an_unknown_model_is_answered_with_the_nearest_names():
    with pytest.raises(ValueError, match=r"model='gpt-5-min' is not in the price list; near: gpt-5-mini"):
        api_price("gpt-5-min")


def test_a_listed_model_that_is_found_by_no_family_name_asks_for_the_provider():
    with pytest.raises(
        ValueError, match=r"is sold by .*openai.*: name the provider, as \w+/text-embedding-3"
    ):
        api_price("text-embedding-3-small")
    assert api_price("openai/text-embedding-3-small").provider == "openai"


def test_an_unknown_provider_is_answered_with_the_nearest_names():
    with pytest.raises(ValueError, match=r"provider='opnai'.*near: openai"):
        api_price("gpt-5", provider="opnai")
    with pytest.raises(ValueError, match="provider='opnai'"):
        api_prices("opnai")


def test_a_model_not_billed_by_text_tokens_says_so():
    with pytest.raises(ValueError, match="not priced by text tokens"):
        api_price("whisper-1")


def test_a_price_can_be_asked_for_another_day():
    """OpenAI cut this price by a fifth on 2026-07-30, says the list."""
    now, before = api_price("gpt-5.6-terra"), api_price("gpt-5.6-terra", on=date(2026, 7, 29))
    assert now.input_usd_per_mtok == pytest.approx(0.8 * before.input_usd_per_mtok)


# Long context: the whole input picks the tier, and the tier holds for every token.


def test_gemini_2_5_pro_above_200k_pays_the_higher_price_for_every_token():
    price = api_price("gemini-2.5-pro")
    assert price.rates(200_000).input_usd_per_mtok == 1.25
    beyond = price.rates(200_001)
    assert (beyond.input_usd_per_mtok, beyond.output_usd_per_mtok) == (2.5, 15.0)
    assert beyond.cached_read_usd_per_mtok == 0.25


def test_claude_sonnet_4_5_above_200k_doubles_one_hour_writes_too():
    price = api_price("claude-sonnet-4-5")
    assert price.rates(150_000).cache_write_1h_usd_per_mtok == 6.0
    assert price.rates(250_000).cache_write_1h_usd_per_mtok == 12.0


@pytest.mark.parametrize("maker", MAKERS)
def test_no_maker_makes_long_inputs_cheaper(maker):
    for price in api_prices(maker):
        for short, long in zip(price.tiers()[:-1], price.tiers()[1:], strict=True):
            assert all(getattr(short, name) <= getattr(long, name) for name in PRICE_FIELDS), price.model


@pytest.mark.parametrize("maker", MAKERS)
def test_no_maker_charges_more_for_a_cached_read_than_for_fresh_input(maker):
    for price in api_prices(maker):
        for batch in {False, price.has_batch}:
            for tier in price.tiers(batch):
                assert tier.cached_read_usd_per_mtok <= tier.input_usd_per_mtok, price.model


@pytest.mark.parametrize("maker", MAKERS)
def test_no_maker_charges_more_in_a_batch(maker):
    for price in api_prices(maker):
        if price.has_batch:
            for whole in (1, 150_000, 250_000, 1_000_000):
                now, later = price.rates(whole), price.rates(whole, batch=True)
                assert all(getattr(later, name) <= getattr(now, name) for name in PRICE_FIELDS), price.model


# Batch and cache rules.


def test_every_rule_names_a_provider_of_the_list_and_every_prefix_a_model():
    listed = {}
    for price in api_prices():
        listed.setdefault(price.provider, set()).add(price.model)
    for rule in api_rules():
        assert rule.provider in listed
        for prefix in rule.models:
            assert any(name.startswith(prefix) for name in listed[rule.provider]), (rule.provider, prefix)


def test_anthropic_rule_multipliers_are_those_of_the_price_list():
    """Two sources, one fact: writes at 1.25 and 2 times input, hits at a tenth for models before Opus 5.5."""
    price = api_price("claude-sonnet-4-6")
    rule = api_rule("anthropic", price.model)
    assert (price.cache_write_usd_per_mtok, price.cache_write_1h_usd_per_mtok) == (3.75, 6.0)
    assert (rule.cache_write_multiplier * 3, rule.cache_write_1h_multiplier * 3) == (3.75, 6.0)
    assert price.cached_read_usd_per_mtok == pytest.approx(0.1 * price.input_usd_per_mtok)
    assert price.rates(1, batch=True).input_usd_per_mtok == rule.batch_multiplier * price.input_usd_per_mtok


def test_batch_and_cache_stack_at_anthropic():
    rates = api_price("claude-sonnet-4-6").rates(1, batch=True)
    assert rates.cached_read_usd_per_mtok == pytest.approx(3 * 0.1 * 0.5)


def test_batch_and_cache_do_not_stack_on_gemini_2_5():
    price = api_price("gemini-2.5-flash")
    assert price.rates(1, batch=True).input_usd_per_mtok == price.input_usd_per_mtok / 2
    assert price.rates(1, batch=True).cached_read_usd_per_mtok == price.cached_read_usd_per_mtok


def test_a_cache_hit_in_a_batch_at_groq_costs_what_other_batch_input_does():
    rates = api_price("openai/gpt-oss-120b", provider="groq").rates(1, batch=True)
    assert rates.cached_read_usd_per_mtok == rates.input_usd_per_mtok == 0.075


@pytest.mark.parametrize(("meets", "hit_usd"), [("stacks", 0.1), ("standard", 0.2), ("input", 1.0)])
def test_a_contract_says_how_batch_and_cache_meet(meets, hit_usd):
    price = contract(cached_read_usd_per_mtok=0.2, batch_multiplier=0.5, batch_cached_read=meets)
    assert price.rates(1, batch=True).cached_read_usd_per_mtok == hit_usd


def test_the_longest_prefix_of_a_model_picks_its_rule():
    assert api_price("claude-opus-4-5").cache_min_tokens == 4096
    assert api_price("claude-opus-4-1").cache_min_tokens == 1024
    assert api_price("gpt-5-mini").cache_min_tokens == 1024
    assert api_price("gpt-5-mini").caching == "automatic"
    assert api_price("claude-opus-4-5").caching == "explicit"


def test_a_cloud_that_resells_a_model_does_not_inherit_the_makers_batch_price():
    assert api_price("gpt-5").has_batch
    assert not api_price("gpt-5", provider="azure").has_batch


def test_asking_for_a_batch_price_where_there_is_none_is_an_error():
    with pytest.raises(ValueError, match="house-model at acme has no batch price"):
        contract().rates(1, batch=True)


# By hand.


def test_a_contract_needs_a_source_and_a_date():
    with pytest.raises(ValueError, match="source=''"):
        contract(source=" ")
    with pytest.raises(TypeError, match="as_of"):
        ApiPrice(model="m", provider="p", input_usd_per_mtok=1, output_usd_per_mtok=1, source="contract")
    assert contract(as_of="2026-11-01").as_of == date(2026, 11, 1)


def test_a_price_per_token_is_refused_as_a_price_per_million():
    with pytest.raises(ValueError, match=r"input_usd_per_mtok=2e-06: USD per million.*times 1,000,000"):
        contract(input_usd_per_mtok=0.000002)


@pytest.mark.parametrize(
    "wrong",
    [
        {"output_usd_per_mtok": -1.0},
        {"input_usd_per_mtok": float("nan")},
        {"batch_multiplier": 0.0},
        {"batch_multiplier": 50},
        {"batch_cached_read": "half"},
        {"caching": "yes"},
        {"long_context": (Rates(input_usd_per_mtok=4, output_usd_per_mtok=8),)},
    ],
)
def test_nonsense_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        contract(**wrong)


@given(st.floats(0.01, 100), st.floats(0, 2_000_000), st.booleans())
def test_without_a_published_discount_cached_and_written_tokens_cost_what_input_does(usd, whole, batch):
    rates = contract(input_usd_per_mtok=usd, batch_multiplier=0.5).rates(whole, batch)
    assert rates.input_usd_per_mtok == rates.cached_read_usd_per_mtok == rates.cache_write_1h_usd_per_mtok
