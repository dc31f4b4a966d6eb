"""Divergences of student and teacher: worked by hand, bounded, and equal to TRL's."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.testing import assert_close

from course_utils.compress.distillation_losses import (
    HiddenMatch,
    divergence,
    forward_kl,
    generalized_jsd,
    log_probabilities,
    reverse_kl,
    times_t_squared,
)

FIXTURES = Path(__file__).parent / "fixtures"
P, Q = (0.9, 0.1), (0.5, 0.5)  # teacher, student


def logits(*probabilities):
    return torch.tensor(probabilities).log()


@st.composite
def pairs(draw, most=6.0):
    width = draw(st.integers(2, 12))
    row = st.lists(st.floats(-most, most, width=32), min_size=width, max_size=width)
    return torch.tensor(draw(row)), torch.tensor(draw(row))


# --- TRL ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_generalized_jsd_is_that_of_trl_to_a_millionth(beta, temperature):
    frozen = load_file(FIXTURES / "trl_jsd.safetensors")
    ours = generalized_jsd(frozen["student"], frozen["teacher"], beta, temperature)
    theirs = frozen[f"jsd.{beta:g}.{temperature:g}"]
    assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_the_frozen_logits_tell_the_losses_apart():
    frozen = load_file(FIXTURES / "trl_jsd.safetensors")
    means = [frozen[f"jsd.{beta}.1"].mean().item() for beta in ("0", "0.1", "0.5", "0.9", "1")]
    assert len({round(mean, 2) for mean in means}) == 5


def test_the_fixture_says_which_versions_made_it():
    record = json.loads((FIXTURES / "trl_jsd.json").read_text("utf-8"))
    assert record["made_by"] == "scripts/make_distillation_fixtures.py"
    assert record["versions"]["trl"]
    assert set(record["tensors"]) == set(load_file(FIXTURES / "trl_jsd.safetensors"))


# --- by hand ------------------------------------------------------------------------------------------------


def test_forward_kl_of_a_coin_by_hand():
    expected = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert forward_kl(logits(*Q), logits(*P)).item() == pytest.approx(expected, rel=1e-6)


def test_reverse_kl_of_a_coin_by_hand():
    expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert reverse_kl(logits(*Q), logits(*P)).item() == pytest.approx(expected, rel=1e-6)


def test_jsd_of_a_coin_by_hand():
    m = (0.7, 0.3)
    from_teacher = 0.9 * math.log(0.9 / 0.7) + 0.1 * math.log(0.1 / 0.3)
    from_student = sum(q * math.log(q / one) for q, one in zip(Q, m, strict=True))
    got = generalized_jsd(logits(*Q), logits(*P), beta=0.5).item()
    assert got == pytest.approx((from_teacher + from_student) / 2, rel=1e-6)


def test_a_temperature_of_two_takes_the_square_root_of_the_odds():
    soft = log_probabilities(logits(0.9, 0.1), 2.0).exp()
    assert (soft[0] / soft[1]).item() == pytest.approx(3.0, rel=1e-5)


def test_probabilities_are_over_the_last_axis():
    rows = torch.randn(3, 4, 5)
    assert_close(log_probabilities(rows).exp().sum(-1), torch.ones(3, 4))


def test_t_squared_keeps_the_gradient_of_close_distributions_independent_of_the_temperature():
    """Without it the gradient at T = 4 is a sixteenth: with it, nearly the same."""
    teacher = 0.1 * torch.randn(64, generator=torch.Generator().manual_seed(0))

    def gradient(temperature, scaled):
        student = torch.zeros(64, requires_grad=True)
        loss = forward_kl(student, teacher, temperature)
        (times_t_squared(loss, temperature) if scaled else loss).backward()
        return student.grad.norm().item()

    assert gradient(4.0, scaled=True) == pytest.approx(gradient(1.0, scaled=True), rel=0.05)
    assert gradient(4.0, scaled=False) == pytest.approx(gradient(1.0, scaled=False) / 16, rel=0.05)


# --- properties ---------------------------------------------------------------------------------------------


@given(pairs(), st.floats(0, 1), st.floats(0.3, 8))
def test_no_divergence_is_negative_and_equal_distributions_have_none(pair, beta, temperature):
    student, teacher = pair
    assert generalized_jsd(student, teacher, beta, temperature) >= -1e-5
    assert (
        abs(generalized_jsd(teacher, teacher + 3.0, beta, temperature)) < 1e-5
    )  # a shift of logits is nothing


@given(pairs(), st.floats(0.01, 0.99))
def test_jsd_is_bounded_by_the_entropy_of_its_mixture(pair, beta):
    bound = -beta * math.log(beta) - (1 - beta) * math.log(1 - beta)
    assert generalized_jsd(*pair, beta) <= bound + 1e-5


@given(pairs(), st.floats(0.01, 0.99) | st.sampled_from([0.0, 1.0]))
def test_jsd_with_beta_is_jsd_the_other_way_round_with_the_rest(pair, beta):
    student, teacher = pair
    assert_close(
        generalized_jsd(student, teacher, beta),
        generalized_jsd(teacher, student, 1 - beta),
        atol=1e-5,
        rtol=1e-4,
    )


@given(pairs(most=3.0))
def test_near_its_ends_jsd_divided_by_beta_is_the_kl(pair):
    student, teacher = (one.double() for one in pair)
    near = generalized_jsd(student, teacher, 1e-3).item() / 1e-3
    assert near == pytest.approx(forward_kl(student, teacher).item(), rel=0.05, abs=1e-3)


@settings(max_examples=50)
@given(pairs())
def test_higher_temperatures_are_nearer_to_even(pair):
    logits_, _ = pair
    entropies = [
        -(p.exp() * p).sum().item() for p in (log_probabilities(logits_, t) for t in (0.5, 1.0, 2.0, 5.0))
    ]
    assert entropies == sorted(entropies) or max(entropies) - min(entropies) < 1e-5


def test_kinds_by_name():
    student, teacher = torch.randn(2, 5, 7)
    assert torch.equal(divergence("forward", student, teacher), forward_kl(student, teacher))
    assert torch.equal(divergence("reverse", student, teacher, 2.0), reverse_kl(student, teacher, 2.0))
    assert torch.equal(divergence("jsd", student, teacher, beta=0.3), generalized_jsd(student, teacher, 0.3))


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_a_temperature_that_softens_nothing_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature is"):
        forward_kl(torch.zeros(3), torch.zeros(3), temperature)


@pytest.mark.parametrize("beta", [-0.1, 1.1])
def test_beta_outside_0_to_1_is_refused(beta):
    with pytest.raises(ValueError, match="beta is"):
        generalized_jsd(torch.zeros(3), torch.zeros(3), beta)


def test_different_vocabularies_are_refused_with_both_sizes():
    with pytest.raises(ValueError, match="student has 5 tokens and the teacher 7"):
        forward_kl(torch.zeros(2, 5), torch.zeros(2, 7))


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="expected forward, reverse, jsd"):
        divergence("backward", torch.zeros(3), torch.zeros(3))


# --- hidden states ------------------------------------------------------------------------------------------


class Config:
    def __init__(self, layers, hidden):
        self.num_hidden_layers, self.hidden_size = layers, hidden


def states(layers, hidden):
    return [torch.randn(2, 3, hidden) for _ in range(layers + 1)]


def test_blocks_are_matched_evenly_and_both_end_at_the_last():
    assert HiddenMatch(Config(4, 8), Config(6, 16)).pairs == ((1, 2), (2, 3), (3, 4), (4, 6))
    assert HiddenMatch(Config(6, 8), Config(6, 8)).pairs[-1] == (6, 6)


def test_a_projection_that_hits_the_teacher_has_no_distance_and_zero_has_one():
    match = HiddenMatch(Config(2, 8), Config(2, 8))
    shared = states(2, 8)
    with torch.no_grad():
        for widen in match.widen:
            widen.weight.copy_(torch.eye(8))
    assert match(shared, shared).item() == pytest.approx(0, abs=1e-12)
    with torch.no_grad():
        for widen in match.widen:
            widen.weight.zero_()
    assert match(shared, shared).item() == pytest.approx(1, rel=1e-6)


def test_projections_are_seeded_and_leave_the_global_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, other = HiddenMatch(Config(2, 4), Config(2, 8), 3), HiddenMatch(Config(2, 4), Config(2, 8), 3)
    assert torch.equal(one.widen[0].weight, other.widen[0].weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_student_deeper_than_its_teacher_is_refused():
    with pytest.raises(ValueError, match="7 blocks, expected at most the teacher's 6"):
        HiddenMatch(Config(7, 8), Config(6, 8))
