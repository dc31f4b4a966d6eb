"""GPTQ: rounding that moves its error to where it matters least."""

from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import nn

from course_utils.compress import awq, blocks, gptq, smoothquant
from course_utils.compress.awq import quantize_awq
from course_utils.compress.calibration import InputStats, output_error, stats_of
from course_utils.compress.gptq import quantize_gptq
from course_utils.compress.rounding import code_range, quantize


def loss(weight, stats, result):
    return output_error(weight, result.dequantize(), stats)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bits", [3, 4])
def test_with_correlated_inputs_and_outliers_rounding_loses_more_than_awq_and_awq_more_than_gptq(
    correlated_layer, bits
):
    weight, stats = correlated_layer
    rtn = loss(weight, stats, quantize(weight, bits, 128))
    awq = loss(weight, stats, quantize_awq(weight, stats, bits, 128))
    plain = loss(weight, stats, quantize_gptq(weight, stats, bits, 128))
    ordered = loss(weight, stats, quantize_gptq(weight, stats, bits, 128, act_order=True))
    assert rtn > awq > plain > ordered


def test_when_inputs_are_uncorrelated_there_is_nothing_to_move_and_gptq_is_plain_rounding():
    weight = normal(16, 64)
    alone = InputStats(torch.eye(64) * 100, torch.ones(64), torch.ones(64), tokens=100)
    for scheme in ("absmax", "symmetric", "zero_point"):
        assert torch.equal(
            quantize_gptq(weight, alone, 4, 32, scheme).codes, quantize(weight, 4, 32, scheme).codes
        )


@pytest.mark.parametrize("per", ["tensor", "channel", 32])
@pytest.mark.parametrize("scheme", ["absmax", "symmetric", "zero_point"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_every_grid_works_and_none_loses_more_than_plain_rounding(bits, scheme, per):
    inputs = normal(300, 8, seed=1) @ normal(8, 64, seed=2) + 0.3 * normal(300, 64, seed=3)
    weight, stats = normal(32, 64, seed=4), stats_of(inputs)
    result = quantize_gptq(weight, stats, bits, per, scheme)
    lowest, highest = code_range(bits, scheme)
    assert lowest <= int(result.codes.min())
    assert int(result.codes.max()) <= highest
    assert loss(weight, stats, result) < loss(weight, stats, quantize(weight, bits, per, scheme))


def test_the_size_of_the_update_blocks_changes_speed_and_not_the_codes():
    weight, stats = normal(24, 96), stats_of(normal(200, 96, seed=1))
    whole = quantize_gptq(weight, stats, 4, 32, block=96)
    for block in (1, 7, 32):
        assert (quantize_gptq(weight, stats, 4, 32, block=block).codes == whole.codes).float().mean() > 0.999


def test_rows_are_solved_each_for_itself():
    weight, stats = normal(24, 64), stats_of(normal(200, 64, seed=1))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    straight, shuffled = quantize_gptq(weight, stats, 4, 32), quantize_gptq(weight[order], stats, 4, 32)
    assert (straight.codes[order] == shuffled.codes).float().mean() > 0.999


def test_ordered_by_activation_it_does_not_matter_how_the_columns_came():
    inputs = normal(300, 64, seed=1) * torch.linspace(1, 4, 64)
    weight, order = normal(24, 64), torch.randperm(64, generator=torch.Generator().manual_seed(2))
    straight = quantize_gptq(weight, stats_of(inputs), 4, "channel", act_order=True)
    shuffled = quantize_gptq(weight[:, order], stats_of(inputs[:, order]), 4, "channel", act_order=True)
    assert (straight.codes[:, order] == shuffled.codes).float().mean() > 0.999


def test_weights_and_inputs_may_be_in_any_unit():
    weight, inputs = normal(24, 64), normal(200, 64, seed=1)
    plain = quantize_gptq(weight, stats_of(inputs), 4, 32)
    scaled = quantize_gptq(weight * 8, stats_of(inputs * 4), 4, 32)
    assert torch.equal(plain.codes, scaled.codes)
    assert torch.equal(plain.scale * 8, scaled.scale)


def test_a_channel_that_is_always_zero_gets_code_zero():
    inputs = normal(200, 64, seed=1)
    inputs[:, 5] = 0.0
    result = quantize_gptq(normal(24, 64), stats_of(inputs), 4, 32, "zero_point")
    assert (result.dequantize()[:, 5] == 0.0).all()


def test_statistics_of_batches_are_those_of_all_tokens_at_once():
    inputs = normal(6, 10, 16)
    together, apart = stats_of(inputs), stats_of(iter([inputs[:2], inputs[2:]]))
    assert torch.allclose(together.gram, apart.gram, rtol=1e-5, atol=1e-4)
    assert torch.allclose(together.mean_abs, inputs.abs().mean((0, 1)))
    assert (together.tokens, apart.tokens) == (60, 60)
    assert torch.equal(together.abs_max, inputs.abs().amax((0, 1)))


def test_output_error_through_the_gram_matrix_is_that_of_the_outputs():
    weight, other, inputs = normal(8, 16), normal(8, 16, seed=1), normal(50, 16, seed=2)
    expected = (inputs @ (weight - other).T).square().sum() / (inputs @ weight.T).square().sum()
    assert output_error(weight, other, stats_of(inputs)) == pytest.approx(expected.item(), rel=1e-4)


def test_a_model_is_quantized_in_its_blocks_only(llama, token_batches):
    before = {name: value.clone() for name, value in llama.state_dict().items()}
    logits = llama(token_batches[0]).logits
    results = gptq.quantize_model(llama, token_batches, 4, 32, progress=False)
    assert len(results) == 14
    for name, result in results.items():
        assert torch.equal(llama.get_submodule(name).weight, result.quantized.dequantize())
    kept = [name for name in before if not name.endswith("_proj.weight")]
    assert {"model.embed_tokens.weight", "lm_head.weight"} <= set(kept)
    assert all(torch.equal(llama.state_dict()[name], before[name]) for name in kept)
    assert not torch.equal(llama(token_batches[0]).logits, logits)
    assert not any(module._forward_pre_hooks for module in llama.modules())


def test_a_model_loses_less_by_gptq_than_by_rounding_in_nearly_every_layer_and_in_its_logits(
    llama, token_batches
):
    logits, rounded, solved = llama(token_batches[0]).logits, deepcopy(llama), deepcopy(llama)
    blocks.round_model(rounded, 3, 32)
    results = gptq.quantize_model(solved, token_batches, 3, 32, progress=False)
    assert sum(result.error < result.rtn_error for result in results.values()) >= 13
    lost = [(model(token_batches[0]).logits - logits).square().mean() for model in (rounded, solved)]
    assert lost[1] < lost[0]


def test_layers_that_read_the_same_input_get_the_codes_they_would_get_alone(llama, token_batches):
    captured = []
    hook = llama.model.layers[0].self_attn.k_proj.register_forward_pre_hook(
        lambda _, args: captured.append(args[0])
    )
    with torch.no_grad():
        for batch in token_batches:
            llama(batch)
    hook.remove()
    alone = gptq.quantize_layer(llama.model.layers[0].self_attn.k_proj, captured, 4, 32)
    together = gptq.quantize_model(llama, token_batches, 4, 32, progress=False)
    codes = together["model.layers.0.self_attn.k_proj"].quantized.codes
    assert (codes == alone.codes).float().mean() > 0.999


def test_masked_tokens_are_not_counted(llama, token_batches):
    ids = token_batches[0]
    padded = torch.cat([ids, torch.zeros(4, 6, dtype=ids.dtype)], dim=1)
    mask = (torch.arange(38) < 32).long().expand(4, 38)
    twin = deepcopy(llama)
    plain = gptq.quantize_model(llama, [ids], 4, 32, progress=False)
    masked = gptq.quantize_model(twin, [{"input_ids": padded, "attention_mask": mask}], 4, 32, progress=False)
    for name, result in plain.items():
        assert masked[name].error == pytest.approx(result.error, rel=0.05)
        assert (masked[name].quantized.codes == result.quantized.codes).float().mean() > 0.99


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"damping": -1.0}, "damping is -1.0, expected a finite share"),
        ({"per": 48}, "a group size of 48 does not divide the weight's 64 columns; 32 does"),
        ({"weight": torch.full((2, 64), float("inf"))}, "weight holds 128 values that are not finite"),
        (
            {"stats": InputStats.empty(64)},
            "inputs holds no token, expected calibration inputs of at least one",
        ),
        ({"stats": stats_of(torch.ones(3, 32))}, "inputs has 32 channels, expected the weight's 64 columns"),
    ],
)
def test_bad_input_to_a_layer_is_named_in_one_sentence(change, says):
    arguments = {"weight": torch.ones(2, 64), "stats": stats_of(torch.ones(4, 64)), "per": 32} | change
    with pytest.raises(ValueError, match=says):
        quantize_gptq(**arguments)


def test_an_inverse_that_fails_says_so():
    with pytest.raises(ValueError, match=r"damping is 0, too small to invert XᵀX"):
        quantize_gptq(normal(4, 64), stats_of(normal(3, 64)), per=32, damping=0)


@pytest.mark.parametrize("inputs", [[], torch.zeros(0, 64), torch.full((2, 64), float("nan"))])
def test_empty_or_broken_calibration_inputs_are_refused(inputs):
    with pytest.raises(ValueError, match=r"inputs holds (no|values)"):
        gptq.quantize_layer(nn.Linear(64, 4), inputs)


def test_a_layer_that_is_not_linear_is_refused():
    with pytest.raises(ValueError, match=r"layer is a Embedding, expected torch.nn.Linear"):
        gptq.quantize_layer(nn.Embedding(4, 64), torch.ones(2, 64))


def spoil_nothing(model):
    return model


def spoil_weight(model):
    model.model.layers[1].mlp.down_proj.weight.data[0, 0] = float("nan")


def spoil_type(model):
    model.model.layers[1].mlp.act_fn = nn.Conv1d(1, 1, 1)


def spoil_blocks(model):
    model.model.layers = nn.ModuleList()


def spoil_late(model):
    # Passes every check of the weights; shows only once block 1 is calibrated, when block 0 is solved.
    model.model.layers[1].input_layernorm.weight.data[0] = float("inf")


@pytest.mark.parametrize(
    "compress",
    [
        partial(gptq.quantize_model, bits=4, per=32, progress=False),
        partial(awq.quantize_model, bits=4, per=32, progress=False),
        partial(smoothquant.smooth_model, progress=False),
    ],
    ids=["gptq", "awq", "smoothquant"],
)
@pytest.mark.parametrize(
    ("spoil", "batches", "says"),
    [
        (spoil_nothing, [], "batches holds no token, expected at least one sequence"),
        (spoil_nothing, [torch.zeros(1, 0, dtype=torch.long)], "batches holds no token"),
        (spoil_nothing, [torch.zeros(1, 4)], "batches holds something else than token ids"),
        (spoil_weight, None, r"layers.1.mlp.down_proj: weight holds 1 values that are not finite"),
        (spoil_type, None, r"layers.1.mlp.act_fn is a Conv1d, expected torch.nn.Linear for its weight"),
        (spoil_blocks, None, r"without blocks in model.layers"),
        (spoil_late, None, r"layers.1 holds values that are not finite"),
    ],
)
def test_bad_input_to_a_model_leaves_it_as_it_was(llama, token_batches, compress, spoil, batches, says):
    spoil(llama)
    before = {name: value.clone() for name, value in llama.state_dict().items()}
    with pytest.raises(ValueError, match=says):
        compress(llama, token_batches if batches is None else batches)
    after = llama.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name].nan_to_num(), after[name].nan_to_num()) for name in before)
    assert not any(module._forward_pre_hooks for module in llama.modules())


@pytest.mark.parametrize("quantize_model", [gptq.quantize_model, awq.quantize_model])
def test_a_group_size_that_does_not_divide_names_the_layer(llama, token_batches, quantize_model):
    with pytest.raises(ValueError, match=r"layers.0.self_attn.q_proj: a group size of 48 does not divide"):
        quantize_model(llama, token_batches, 4, 48, progress=False)


def test_a_model_that_is_compressed_already_says_so(llama, token_batches):
    layer = llama.model.layers[0].mlp.up_proj
    layer.weight = nn.Parameter(torch.zeros(128, 64, dtype=torch.int8), requires_grad=False)
    with pytest.raises(ValueError, match=r"up_proj.weight is torch.int8, expected floats"):
        gptq.quantize_model(llama, token_batches, 4, 32, progress=False)


def test_a_model_that_mixes_kinds_of_attention_is_refused(llama, token_batches):
    llama.config.layer_types = ["full_attention", "sliding_attention"]
    with pytest.raises(ValueError, match="model mixes full_attention and sliding_attention"):
        gptq.quantize_model(llama, token_batches, 4, 32, progress=False)


def test_training_mode_is_put_back(llama, token_batches):
    llama.train()
    gptq.quantize_model(llama, token_batches, 4, 32, progress=False)
    assert llama.training
