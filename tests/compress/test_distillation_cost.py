"""FLOP with the teacher's, money, and the day on which a student has earned its training."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from course_utils.compress.distillation_cost import (
    forward_flop_per_token,
    payback,
    tokens_at_equal_flop,
    training_flop,
    training_usd,
)

amounts = st.floats(1e-3, 1e12)


def model():
    config = LlamaConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        attn_implementation="eager",  # whose products torch counts on every machine
    )
    return LlamaForCausalLM(config)


def test_flop_of_a_token_by_hand():
    """q and o 32 × 32, k and v 16 × 32, three matrices 64 × 32, twice; a head of 100 × 32, though it is tied."""
    matrices = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32) + 100 * 32
    attention = 4 * 2 * 32 * 128 / 2  # 4 FLOP, 2 layers, 32 query values, half of 128 tokens
    assert forward_flop_per_token(model(), 128) == 2 * matrices + attention


def test_flop_are_those_that_torch_counts():
    """torch counts attention over the whole context, ours the half that a causal model looks at."""
    one, tokens = model(), 64
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        one(input_ids=torch.zeros(1, tokens, dtype=torch.long), use_cache=False)
    attention = forward_flop_per_token(one, tokens) - forward_flop_per_token(one, 0)
    assert counter.get_total_flops() == tokens * (forward_flop_per_token(one, tokens) + attention)


def test_a_teacher_four_times_the_student_more_than_doubles_the_bill_by_hand():
    assert training_flop(10, 2.0) == 60
    assert training_flop(10, 2.0, 8.0) == 140
    assert tokens_at_equal_flop(10, 2.0, 8.0) == pytest.approx(10 * 140 / 60)


@given(amounts, amounts, amounts)
def test_tokens_at_equal_flop_cost_the_same_and_are_more_than_with_a_teacher(tokens, student, teacher):
    alone = tokens_at_equal_flop(tokens, student, teacher)
    assert alone >= tokens
    assert training_flop(alone, student) == pytest.approx(training_flop(tokens, student, teacher))


def test_rent_of_a_training_by_hand():
    """10^21 FLOP at 40 % of 10^15 a second: 2.5 million seconds, 694 hours, at 2 USD."""
    assert training_usd(1e21, 1e15, 0.4, 2.0) == pytest.approx(1e21 / 4e14 / 3600 * 2)
    assert training_usd(1e21, 1e15, 0.4, 2.0) == pytest.approx(1388.9, rel=1e-4)


def test_break_even_by_hand():
    """600 USD, 3 USD saved a thousand requests: 200,000 requests, 20 days at 10,000 a day."""
    found = payback(600, 0.004, 0.001, 10_000)
    assert found.requests == pytest.approx(200_000)
    assert found.days == pytest.approx(20)


def test_a_student_that_saves_nothing_never_pays():
    assert payback(600, 0.001, 0.001, 10_000).days == math.inf
    assert payback(600, 0.001, 0.002, 10_000).requests == math.inf


@given(amounts, st.floats(0.01, 10), st.floats(0, 0.999), amounts)
def test_twice_the_traffic_pays_in_half_the_days(usd, teacher, share, requests):
    once, twice = (payback(usd, teacher, teacher * share, n) for n in (requests, 2 * requests))
    assert twice.days == pytest.approx(once.days / 2)
    assert twice.requests == once.requests


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: training_flop(-1, 1), "tokens"),
        (lambda: training_usd(1, 1e15, 1.5, 1), "mfu"),
        (lambda: training_usd(1, 1e15, 0.4, -1), "usd_per_hour"),
        (lambda: payback(1, 1, 0, 0), "requests_per_day"),
        (lambda: payback(math.nan, 1, 0, 1), "training_usd"),
        (lambda: tokens_at_equal_flop(1, 0, 1), "student_flop_per_token"),
    ],
)
def test_nonsense_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=name):
        call()
