"""Whole models with zeros: order of methods, counts, sensitivity, and nothing half done."""

import copy

import pytest
import torch

from course_utils.compress import pruning
from course_utils.compress.calibration import stats_of
from course_utils.compress.masks import follows, kept, wanda_scores
from course_utils.compress.sparsegpt import prune_sparsegpt


def apply(method, model, batches, sparsity):
    if method == "magnitude":
        return pruning.prune_magnitude(model, sparsity)
    return getattr(pruning, f"prune_{method}")(model, batches, sparsity, progress=False)


METHODS = ("magnitude", "wanda", "sparsegpt")
each_method = pytest.mark.parametrize("method", METHODS)


@each_method
def test_half_of_every_linear_goes_and_embeddings_norms_and_biases_stay(llama, token_batches, method):
    before = copy.deepcopy(llama.state_dict())
    apply(method, llama, token_batches, 0.5)
    count = pruning.zeros(llama)
    assert count.of_linears == pytest.approx(0.5, abs=1e-3)
    for name, value in llama.state_dict().items():
        if "proj.weight" not in name:
            assert torch.equal(value, before[name]), name


@each_method
def test_two_of_four_holds_in_every_linear(llama, token_batches, method):
    apply(method, llama, token_batches, "2:4")
    assert all(follows(linear.weight, "2:4") for linear in pruning.all_linears(llama).values())


def test_a_layer_of_the_first_block_is_what_the_layer_alone_gives(llama, token_batches):
    seen = []
    hook = llama.model.layers[0].self_attn.q_proj.register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )
    with torch.no_grad():
        for ids in token_batches:
            llama(ids)
    hook.remove()
    weight, stats = llama.model.layers[0].self_attn.q_proj.weight.detach().clone(), stats_of(seen)
    name = "model.layers.0.self_attn.q_proj"
    wanda = pruning.prune_wanda(copy.deepcopy(llama), token_batches, 0.5, progress=False)[name]
    assert torch.equal(wanda.quantized.keep, kept(wanda_scores(weight, stats), 0.5))
    ours = pruning.prune_sparsegpt(llama, token_batches, 0.5, progress=False)[name]
    assert torch.allclose(
        ours.quantized.dequantize(), prune_sparsegpt(weight, stats, 0.5).dequantize(), atol=1e-6
    )


def test_sparsegpt_loses_least_of_what_each_layer_puts_out(llama, token_batches):
    wanda = pruning.prune_wanda(copy.deepcopy(llama), token_batches, 0.5, progress=False)
    sparsegpt = pruning.prune_sparsegpt(llama, token_batches, 0.5, progress=False)
    first = [name for name in wanda if name.startswith("model.layers.0")]
    assert sum(wanda[name].error for name in first) > sum(sparsegpt[name].error for name in first)


def test_a_model_in_bfloat16_keeps_its_type_and_its_zeros(llama, token_batches):
    llama.to(torch.bfloat16)
    results = pruning.prune_sparsegpt(llama, token_batches, 0.5, progress=False)
    assert {result.quantized.values.dtype for result in results.values()} == {torch.bfloat16}
    assert pruning.zeros(llama).of_linears == pytest.approx(0.5, abs=1e-3)


def test_one_threshold_for_the_model_takes_more_from_layers_with_small_weights(llama):
    with torch.no_grad():
        llama.model.layers[0].mlp.up_proj.weight.mul_(0.1)
    results = pruning.prune_magnitude(llama, 0.5, within="model")
    shares = {name: result.quantized.sparsity for name, result in results.items()}
    assert shares["model.layers.0.mlp.up_proj"] > 0.9
    assert shares["model.layers.1.mlp.up_proj"] < 0.5
    assert pruning.zeros(llama).of_linears == pytest.approx(0.5, abs=1e-3)


def test_sparsity_of_the_linears_is_not_that_of_the_model(llama):
    pruning.prune_magnitude(llama, 0.5)
    count = pruning.zeros(llama)
    # Two blocks of q and o (64 × 64), k and v (64 × 32), gate, up and down (64 × 128).
    assert count.in_linears == 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128)
    assert count.zeros * 2 == count.in_linears
    assert count.of_model < count.of_linears
    assert str(count) == f"50.0% of the blocks' linears, {count.of_model:.1%} of all parameters"


def test_a_scan_puts_the_model_back_and_names_each_part(llama, token_batches):
    ids, before = token_batches[0], copy.deepcopy(llama.state_dict())

    def score():
        with torch.no_grad():
            return llama(ids, labels=ids).loss.item()

    dense = score()
    found = pruning.sensitivity(llama, pruning.by_block(llama), score, 0.9, progress=False)
    assert list(found) == ["block 0", "block 1"]
    assert all(value != dense for value in found.values())
    assert score() == dense
    assert all(torch.equal(before[name], value) for name, value in llama.state_dict().items())


def test_a_scan_that_fails_puts_the_model_back_too(llama):
    before = copy.deepcopy(llama.state_dict())

    def fails():
        raise RuntimeError("no score")

    with pytest.raises(RuntimeError, match="no score"):
        pruning.sensitivity(llama, pruning.by_kind(llama), fails, progress=False)
    assert all(torch.equal(before[name], value) for name, value in llama.state_dict().items())


def test_parts_by_kind_hold_every_linear_once(llama):
    parts = pruning.by_kind(llama)
    assert list(parts) == ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert sorted(name for names in parts.values() for name in names) == sorted(pruning.all_linears(llama))


def test_a_part_that_is_not_there_is_named(llama):
    with pytest.raises(ValueError, match=r"parts\['mine'\] names 'layers.9'"):
        pruning.sensitivity(llama, {"mine": ["layers.9"]}, lambda: 0.0, progress=False)


@each_method
@pytest.mark.parametrize(
    ("sparsity", "says"),
    [
        (1.0, "sparsity is 1.0"),
        (-0.5, "sparsity is -0.5"),
        (50, "sparsity is 50"),
        ("3:5", "5 does not divide"),
    ],
)
def test_bad_sparsity_leaves_the_model_as_it_was(llama, token_batches, method, sparsity, says):
    before = copy.deepcopy(llama.state_dict())
    with pytest.raises(ValueError, match=says):
        apply(method, llama, token_batches, sparsity)
    assert all(torch.equal(before[name], value) for name, value in llama.state_dict().items())


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_without_a_token_of_calibration_nothing_is_pruned(llama, method):
    with pytest.raises(ValueError, match="batches holds no token"):
        apply(method, llama, [], 0.5)
    assert pruning.zeros(llama).zeros == 0
