"""Images by the providers' own examples; tool loops by hand."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog.api_prices import ApiPrice
from course_utils.estimate.cost import request_cost
from course_utils.estimate.prompt_size import image_rules, image_tokens, tool_loop

RULES = [rule.rule for rule in image_rules()]


@pytest.mark.parametrize(
    ("width", "height", "rule", "tokens"),
    [
        (1024, 1024, "openai-tiles", 765),  # OpenAI: scaled to 768 x 768, four tiles
        (2048, 4096, "openai-tiles", 1105),  # OpenAI: scaled to 768 x 1536, six tiles
        (512, 512, "openai-tiles", 255),
        (1024, 1024, "openai-patches", 1659),  # OpenAI: 1024 patches, times 1.62
        (1800, 2400, "openai-patches", 2353),  # OpenAI: shrunk to 33 x 44 = 1452 patches, times 1.62
        (200, 200, "anthropic-area", 54),  # Anthropic: about 54
        (1000, 1000, "anthropic-area", 1334),  # Anthropic: about 1334
        (1092, 1092, "anthropic-area", 1590),  # Anthropic: about 1590
        (384, 384, "google-tiles", 258),  # Google: one tile up to 384 x 384
        (960, 540, "google-tiles", 516),  # 768-pixel tiles: two across, one down
    ],
)
def test_image_costs_what_its_provider_says(width, height, rule, tokens):
    assert image_tokens(width, height, rule) == tokens


def test_a_photo_from_a_phone_is_scaled_down_before_it_is_counted():
    assert image_tokens(4032, 3024, "openai-tiles") == 765
    assert image_tokens(4032, 3024, "anthropic-area") == 1600


@given(st.integers(1, 6000), st.integers(1, 6000), st.sampled_from(RULES))
def test_an_image_costs_the_same_on_its_side_and_never_nothing(width, height, rule):
    assert image_tokens(width, height, rule) == image_tokens(height, width, rule) >= 1


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_rules_with_a_limit_keep_it(width, height):
    assert image_tokens(width, height, "anthropic-area") <= 1600
    assert image_tokens(width, height, "openai-patches") <= 1536 * 1.62 + 1


def test_unknown_rule_and_impossible_size_are_refused():
    with pytest.raises(ValueError, match="openai-tiles"):
        image_tokens(10, 10, "gpt")
    with pytest.raises(ValueError, match="height_px=0"):
        image_tokens(10, 0, "openai-tiles")


def test_every_turn_of_a_tool_loop_sends_schema_and_history_again():
    turns = tool_loop(
        prompt_tokens=500, schema_tokens=1500, calls=2, call_tokens=50, result_tokens=450, answer_tokens=200
    )
    assert [turn.input_tokens for turn in turns] == [2000, 2500, 3000]
    assert [turn.output_tokens for turn in turns] == [50, 50, 200]


def test_without_a_call_the_schema_is_paid_all_the_same():
    (turn,) = tool_loop(500, 1500, calls=0, call_tokens=50, result_tokens=450, answer_tokens=200)
    assert (turn.input_tokens, turn.output_tokens) == (2000, 200)


def test_a_cached_loop_writes_every_token_once_and_reads_the_rest():
    turns = tool_loop(500, 1500, 2, 50, 450, 200, cached=True)
    assert [turn.cache_write_tokens for turn in turns] == [2000, 500, 500]
    assert [turn.cached_read_tokens for turn in turns] == [0, 2000, 2500]
    assert all(turn.fresh_tokens == 0 for turn in turns)


@given(st.integers(0, 30), st.booleans())
def test_input_of_a_loop_grows_with_the_square_of_its_calls(calls, cached):
    turns = tool_loop(500, 1500, calls, 50, 450, 200, cached)
    whole = sum(turn.input_tokens for turn in turns)
    assert whole == (calls + 1) * 2000 + 500 * calls * (calls + 1) / 2


def test_caching_a_long_loop_pays_although_writing_costs_more():
    price = ApiPrice(
        model="m",
        provider="p",
        input_usd_per_mtok=2,
        cached_read_usd_per_mtok=0.2,
        cache_write_usd_per_mtok=2.5,
        output_usd_per_mtok=10,
        source="worked example",
        as_of=date(2026, 11, 1),
    )
    plain, cached = (
        sum(request_cost(price, turn) for turn in tool_loop(500, 1500, 10, 50, 450, 200, cached)).total_usd
        for cached in (False, True)
    )
    # plain: 49 500 in at 2, 700 out at 10; cached: 7 000 written at 2.5, 42 500 read at 0.2
    assert plain == pytest.approx((49_500 * 2 + 700 * 10) / 1e6)
    assert cached == pytest.approx((7_000 * 2.5 + 42_500 * 0.2 + 700 * 10) / 1e6)


def test_negative_tokens_and_calls_are_refused():
    with pytest.raises(ValueError, match="calls=-1"):
        tool_loop(1, 1, -1, 1, 1, 1)
    with pytest.raises(ValueError, match="result_tokens=-5"):
        tool_loop(1, 1, 1, 1, -5, 1)
