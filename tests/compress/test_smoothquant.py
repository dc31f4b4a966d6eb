"""Eight bits on both sides: outliers in the activations, and two ways around them."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_utils.compress.rounding import quantize
from course_utils.compress.smoothquant import (
    W8A8Linear,
    llm_int8_matmul,
    outlier_channels,
    round_activations,
    smooth_model,
    smoothing_scale,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def lost(outputs, reference):
    return ((outputs - reference).square().sum() / reference.square().sum()).item()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.floats(1e-6, 1e6))
def test_activations_are_rounded_as_rows_of_a_matrix_are_by_absmax(seed, magnitude):
    x = normal(3, 5, 16, seed=seed) * magnitude
    expected = quantize(x.reshape(15, 16), 8, "channel", "absmax").dequantize().reshape(3, 5, 16)
    assert torch.allclose(round_activations(x), expected, rtol=1e-5)


def test_each_token_has_its_own_scale_and_a_token_of_zeros_stays_zero():
    x = normal(4, 16)
    x[2] = 0.0
    x[3] *= 1e4
    rounded = round_activations(x)
    assert (rounded[2] == 0).all()
    assert torch.equal(rounded[:2], round_activations(x[:2]))
    assert round_activations(x.bfloat16()).dtype == torch.bfloat16


def test_alpha_moves_the_difficulty_from_activations_to_weights():
    weight, largest = normal(8, 16), torch.linspace(1, 50, 16)
    all_activations, all_weights = (
        smoothing_scale([weight], largest, 0.0),
        smoothing_scale([weight], largest, 1.0),
    )
    assert torch.allclose(all_weights, largest)
    assert torch.allclose((weight * all_activations).abs().amax(0), torch.ones(16))
    half = smoothing_scale([weight], largest, 0.5)
    assert torch.allclose(largest / half, (weight * half).abs().amax(0), rtol=1e-5)


def test_smoothing_saves_a_layer_whose_inputs_have_outliers():
    x, weight = normal(64, 128), 0.05 * normal(32, 128, seed=1)
    x[:, [5, 90]] *= 60
    reference = x @ weight.T
    scale = smoothing_scale([weight], x.abs().amax(0), 0.5)

    def w8a8(x, weight):
        return round_activations(x) @ quantize(weight, 8, "channel", "absmax").dequantize().T

    assert lost(w8a8(x / scale, weight * scale), reference) < lost(w8a8(x, weight), reference) / 2


def test_llm_int8_keeps_outlier_channels_in_floats_and_is_exact_when_all_are():
    x, weight = normal(64, 128), 0.05 * normal(32, 128, seed=1)
    x[:, [5, 90]] *= 60
    assert {5, 90} <= set(outlier_channels(x).tolist())
    reference = x @ weight.T
    naive = llm_int8_matmul(x, weight, threshold=float("inf"))
    assert lost(llm_int8_matmul(x, weight), reference) < lost(naive, reference) / 10
    assert torch.allclose(llm_int8_matmul(x, weight, threshold=0.0), reference, atol=1e-4)


def test_llm_int8_without_outliers_is_plain_w8a8():
    x, layer = normal(3, 7, 32).clamp(-3, 3), nn.Linear(32, 8, bias=False)
    assert torch.allclose(llm_int8_matmul(x, layer.weight), W8A8Linear(layer)(x), atol=1e-5)


def test_a_smoothed_model_stays_closer_to_the_original_than_w8a8_alone(llama, token_batches):
    before = llama(token_batches[0]).logits
    alone = deepcopy(llama)
    results = smooth_model(llama, token_batches, 0.5, progress=False)
    smooth_model(alone, token_batches, None, progress=False)
    assert len(results) == 14
    assert sum(isinstance(module, W8A8Linear) for module in llama.modules()) == 14
    assert type(llama.lm_head) is nn.Linear
    assert lost(llama(token_batches[0]).logits, before) < lost(alone(token_batches[0]).logits, before)
    assert lost(llama(token_batches[0]).logits, before) < 0.01


def test_a_linear_keeps_its_bias_and_dtype():
    layer = nn.Linear(32, 8).bfloat16()
    rounded = W8A8Linear(layer)
    x = normal(4, 32).bfloat16()
    assert rounded(x).dtype == torch.bfloat16
    assert lost(rounded(x).float(), layer(x).float()) < 0.01


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: smoothing_scale([torch.ones(2, 4)], torch.ones(4), 1.5),
            "alpha is 1.5, expected from 0 to 1",
        ),
        (lambda: W8A8Linear(nn.Embedding(4, 4)), "layer is a Embedding, expected torch.nn.Linear"),
        (lambda: round_activations(torch.ones(2, 4), bits=1), "bits is 1, expected"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_an_alpha_out_of_range_leaves_the_model_as_it_was(llama, token_batches):
    with pytest.raises(ValueError, match="alpha is -1, expected from 0 to 1"):
        smooth_model(llama, token_batches, -1, progress=False)
    assert not any(isinstance(module, W8A8Linear) for module in llama.modules())
