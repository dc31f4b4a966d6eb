"""AWQ: channels that carry much get a finer grid, and no layer is ever worse than plainly rounded."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_utils.compress import awq
from course_utils.compress.calibration import output_error, stats_of
from course_utils.compress.folding import folded
from course_utils.compress.rounding import SCHEMES, quantize


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 10**6),
    st.integers(2, 8),
    st.sampled_from(["channel", 8, 16]),
    st.sampled_from(SCHEMES),
    st.booleans(),
    st.floats(0.1, 100),
)
def test_awq_never_loses_more_than_plain_rounding(seed, bits, per, scheme, clip, outlier):
    weight, inputs = normal(12, 32, seed=seed), normal(60, 32, seed=seed + 1)
    inputs[:, seed % 32] *= outlier
    stats = stats_of(inputs)
    scaled = awq.quantize_awq(weight, stats, bits, per, scheme, clip=clip)
    rtn = quantize(weight, bits, per, scheme).dequantize()
    assert output_error(weight, scaled.dequantize(), stats) <= output_error(weight, rtn, stats)


def test_with_ratio_zero_alone_it_is_plain_rounding():
    weight, stats = normal(12, 32), stats_of(normal(60, 32, seed=1))
    scaled = awq.quantize_awq(weight, stats, 4, 16, ratios=(0.0,))
    assert scaled.ratio == 0.0
    assert torch.equal(scaled.dequantize(), quantize(weight, 4, 16).dequantize())


def test_salient_channels_are_those_with_large_inputs_and_get_the_finer_steps():
    inputs = normal(200, 128)
    inputs[:, [3, 70]] *= 30
    stats = stats_of(inputs)
    assert set(awq.salient_channels(stats, share=2 / 128).tolist()) == {3, 70}
    weight = normal(64, 128, seed=1)
    scaled = awq.quantize_awq(weight, stats, 4, "channel")
    moved = (weight - scaled.dequantize()).square().mean(0)
    rtn = (weight - quantize(weight, 4, "channel").dequantize()).square().mean(0)
    assert scaled.ratio > 0
    assert (moved[[3, 70]] < rtn[[3, 70]] / 1.5).all()


def test_clipping_helps_where_one_large_weight_stretches_the_grid(correlated_layer):
    weight, stats = correlated_layer
    plain = awq.quantize_awq(weight, stats, 3, 128)
    clipped = awq.quantize_awq(weight, stats, 3, 128, clip=True)
    assert output_error(weight, clipped.dequantize(), stats) < output_error(weight, plain.dequantize(), stats)


def test_scales_are_centred_so_that_their_extremes_multiply_to_one():
    scale = awq.channel_scale(stats_of(normal(50, 32) * torch.linspace(0.1, 9, 32)), 0.7)
    assert (scale.max() * scale.min()).item() == pytest.approx(1.0, rel=1e-5)
    assert torch.equal(awq.channel_scale(stats_of(normal(50, 32)), 0.0), torch.ones(32))


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("bits", [3, 4])
def test_no_layer_of_a_model_loses_more_than_plainly_rounded_and_the_logits_lose_less(
    llama, token_batches, bits, clip
):
    before = llama(token_batches[0]).logits
    rounded = deepcopy(llama)
    results = awq.quantize_model(llama, token_batches, bits, 32, clip=clip, progress=False)
    assert len(results) == 14
    assert all(result.error <= result.rtn_error for result in results.values())
    assert sum(result.error < result.rtn_error for result in results.values()) >= 8
    awq.quantize_model(rounded, token_batches, bits, 32, ratios=(0.0,), progress=False)
    lost = [(model(token_batches[0]).logits - before).square().mean() for model in (llama, rounded)]
    assert lost[0] < lost[1]


def test_scales_fold_into_what_comes_before_and_a_model_of_many_bits_says_the_same_as_before(
    llama, token_batches
):
    before = llama(token_batches[0]).logits
    norm = llama.model.layers[0].input_layernorm.weight.clone()
    results = awq.quantize_model(llama, token_batches, 8, 32, progress=False)
    assert not torch.equal(llama.model.layers[0].input_layernorm.weight, norm)
    for name, result in results.items():
        assert torch.equal(llama.get_submodule(name).weight, result.quantized.dequantize())
    assert (llama(token_batches[0]).logits - before).square().mean() < 1e-3 * before.var()


@pytest.mark.parametrize(
    ("source", "readers", "columns"),
    [
        ("input_layernorm", ("q_proj", "k_proj", "v_proj"), 64),
        ("post_attention_layernorm", ("gate_proj", "up_proj"), 64),
        ("self_attn.v_proj", ("o_proj",), 64),
        ("mlp.up_proj", ("down_proj",), 128),
    ],
)
def test_folding_a_scale_changes_no_output(llama, token_batches, source, readers, columns):
    from course_utils.compress.folding import foldable

    before, block = llama(token_batches[0]).logits, llama.model.layers[0]
    scale = foldable(block, source, torch.linspace(0.3, 3, columns))
    vectors, divisor = folded(block, source, scale)
    with torch.no_grad():
        for name, value in vectors.items():
            block.get_parameter(name).copy_(value)
        if divisor is not None:
            block.get_submodule(source).weight /= divisor[:, None]
        for name, module in block.named_modules():
            if name.endswith(readers):
                module.weight *= scale
    assert torch.allclose(llama(token_batches[0]).logits, before, atol=1e-4)


def test_a_norm_that_adds_one_to_its_weight_is_left_alone(llama, token_batches):
    class OnePlus(nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.weight = nn.Parameter(weight - 1)

        def forward(self, x):
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)

    layer = llama.model.layers[0]
    layer.input_layernorm = OnePlus(layer.input_layernorm.weight.detach())
    kept = layer.input_layernorm.weight.clone()
    results = awq.quantize_model(llama, token_batches, 4, 32, progress=False)
    assert torch.equal(layer.input_layernorm.weight, kept)
    result = results["model.layers.0.self_attn.q_proj"]
    assert result.error == result.rtn_error


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: awq.quantize_layer(nn.ReLU(), torch.ones(2, 4)),
            "layer is a ReLU, expected torch.nn.Linear",
        ),
        (lambda: awq.quantize_layer(nn.Linear(64, 4), [], per=32), "inputs holds no batch"),
        (lambda: awq.quantize_layer(nn.Linear(64, 4), torch.ones(2, 64), per=48), "48 does not divide"),
        (lambda: awq.salient_channels(stats_of(torch.ones(2, 4)), 0), "share is 0, expected above 0"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_model_needs_scales_by_row(llama, token_batches):
    with pytest.raises(ValueError, match='per is "tensor", expected "channel" or a group size'):
        awq.quantize_model(llama, token_batches, 4, "tensor", progress=False)
