"""Cut parts out of a model: what is left is smaller, ordinary, and computes what the parts that stay compute."""

import copy
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_utils.compress import structured
from course_utils.compress.calibration import stats_of
from course_utils.compress.structured import Importance, cut, importance, worst_layers
from course_utils.measure.models import load_folder


@pytest.fixture
def scores(llama, token_batches):
    return importance(llama, token_batches, progress=False)


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits


def test_cutting_nothing_gives_the_same_model(llama, scores, token_batches):
    same = cut(llama, scores)
    assert same is not llama
    assert torch.equal(logits(same, token_batches[0]), logits(llama, token_batches[0]))


def test_the_config_says_what_is_left_and_the_original_stays(llama, scores):
    smaller = cut(llama, scores, intermediate=48, heads=2, drop_layers=[1])
    config = smaller.config
    assert (config.intermediate_size, config.num_attention_heads, config.num_key_value_heads) == (48, 2, 1)
    assert (config.num_hidden_layers, config.head_dim, config.hidden_size) == (1, 16, 64)
    assert smaller.model.layers[0].mlp.down_proj.weight.shape == (64, 48)
    assert smaller.model.layers[0].self_attn.o_proj.weight.shape == (64, 32)
    assert llama.config.intermediate_size == 128
    assert len(llama.model.layers) == 2


@given(st.integers(1, 128), st.sampled_from([2, 4]), st.sampled_from([(), (0,), (1,)]))
@settings(max_examples=15, deadline=None)
def test_parameters_that_go_are_those_of_the_parts_that_go(intermediate, heads, drop):
    model = tiny_llama()
    ones = Importance(torch.ones(2, 128), torch.ones(2, 2), torch.ones(2), 1)
    smaller = cut(model, ones, intermediate=intermediate, heads=heads, drop_layers=drop)
    layers = 2 - len(drop)
    per_layer = 3 * 64 * intermediate + 16 * heads * (64 + 1) + 2 * 16 * heads // 2 * (64 + 1)
    per_layer += 16 * heads * 64 + 64 + 2 * 64  # o_proj with its bias, two norms
    assert parameters(smaller) == 2 * 96 * 64 + 64 + layers * per_layer


def tiny_llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, attention_bias=True,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def test_channels_that_stay_compute_what_they_did(llama, scores, token_batches):
    """A model without the channels equals one whose down_proj has zeros in their columns."""
    smaller, masked = cut(llama, scores, intermediate=32), copy.deepcopy(llama)
    for layer, row in zip(masked.model.layers, scores.channels, strict=True):
        layer.mlp.down_proj.weight.data[:, row.argsort()[:96]] = 0
    assert torch.allclose(logits(smaller, token_batches[0]), logits(masked, token_batches[0]), atol=1e-4)


def test_groups_that_stay_compute_what_they_did(llama, scores, token_batches):
    """Two query heads of 16 share a key and value head: a group is 32 columns of o_proj."""
    smaller, masked = cut(llama, scores, heads=2), copy.deepcopy(llama)
    for layer, row in zip(masked.model.layers, scores.groups, strict=True):
        worst = int(row.argmin())
        layer.self_attn.o_proj.weight.data[:, 32 * worst : 32 * worst + 32] = 0
    assert torch.allclose(logits(smaller, token_batches[0]), logits(masked, token_batches[0]), atol=1e-4)


def test_a_model_without_a_layer_skips_it(llama, scores, token_batches):
    smaller, skipping = cut(llama, scores, drop_layers=[0]), copy.deepcopy(llama)
    skipping.model.layers = nn.ModuleList([skipping.model.layers[1]])
    skipping.model.layers[0].self_attn.layer_idx = 0
    skipping.config.num_hidden_layers = 1
    assert torch.allclose(logits(smaller, token_batches[0]), logits(skipping, token_batches[0]), atol=1e-5)


def test_it_saves_reloads_and_generates_as_any_model(llama, scores, token_batches, tmp_path):
    smaller = cut(llama, scores, intermediate=64, heads=2, drop_layers=[0])
    smaller.save_pretrained(tmp_path)
    from transformers import AutoModelForCausalLM

    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.allclose(logits(again, token_batches[0]), logits(smaller, token_batches[0]), atol=1e-5)
    prompt = token_batches[0][:1, :5]
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    assert torch.equal(again.generate(prompt, **options), smaller.generate(prompt, **options))
    assert again.generate(prompt, **options).shape == (1, 11)


def test_a_cut_model_loads_with_the_tokenizer_of_the_whole_one(tmp_path):
    from course_utils.measure.models import load

    tiny = load("tiny", device="cpu")
    ids = torch.tensor([tiny.tokenizer("Return the largest item of an iterable.")["input_ids"]])
    smaller = cut(tiny.model, importance(tiny.model, [ids], progress=False), intermediate=256, heads=2)
    smaller.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    again = load_folder(tmp_path, device="cpu")
    text = again.tokenizer.decode(again.model.generate(ids, max_new_tokens=4)[0])
    assert text.startswith("Return the largest item")


def test_importance_of_a_channel_is_the_output_energy_that_goes_with_it(llama, token_batches, scores):
    down, seen = llama.model.layers[0].mlp.down_proj, []
    hook = down.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(0, 1)))
    for ids in token_batches:
        logits(llama, ids)
    hook.remove()
    activations = torch.cat(seen)
    lost = activations[:, 7:8] @ down.weight.data[:, 7:8].T
    assert scores.channels[0, 7].item() == pytest.approx(lost.square().sum().item(), rel=1e-3)
    assert scores.tokens == len(activations)


def test_importance_of_a_group_is_the_output_energy_that_goes_with_it(llama, token_batches, scores):
    out, seen = llama.model.layers[1].self_attn.o_proj, []
    hook = out.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(0, 1)))
    for ids in token_batches:
        logits(llama, ids)
    hook.remove()
    lost = torch.cat(seen)[:, 32:64] @ out.weight.data[:, 32:64].T
    assert scores.groups[1, 1].item() == pytest.approx(lost.square().sum().item(), rel=1e-3)
    assert stats_of(seen).tokens == scores.tokens


def test_a_layer_that_changes_nothing_matters_least(llama, token_batches):
    with torch.no_grad():
        llama.model.layers[1].mlp.down_proj.weight.zero_()
        llama.model.layers[1].self_attn.o_proj.weight.zero_()
        llama.model.layers[1].self_attn.o_proj.bias.zero_()
    scores = importance(llama, token_batches, progress=False)
    assert scores.layers[1].item() == pytest.approx(0, abs=1e-5)
    assert scores.layers[0] > 0.01
    assert worst_layers(scores, 1) == (1,)


def test_padding_is_not_counted(llama, token_batches):
    ids = token_batches[0]
    mask = torch.ones_like(ids)
    mask[:, 20:] = 0
    masked = importance(llama, [{"input_ids": ids, "attention_mask": mask}], progress=False)
    short = importance(llama, [ids[:, :20]], progress=False)
    assert masked.tokens == short.tokens == 80
    assert torch.allclose(masked.channels, short.channels, rtol=1e-3)
    assert torch.allclose(masked.layers, short.layers, atol=1e-4)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"heads": 3}, r"heads is 3, but 2 query heads share .* expected a multiple of 2, at most 4"),
        ({"heads": 0}, "heads is 0, expected a whole number from 1 to the model's 4"),
        ({"heads": 6}, "heads is 6, expected a whole number from 1"),
        ({"intermediate": 129}, "intermediate is 129, expected a whole number from 1 to the model's 128"),
        ({"intermediate": 64.0}, "intermediate is 64.0, expected a whole number"),
        ({"drop_layers": [2]}, "drop_layers holds 2, expected layers from 0 to 1"),
        ({"drop_layers": [-1]}, "drop_layers holds -1, expected layers from 0 to 1"),
        ({"drop_layers": [0, 0]}, "expected each layer once"),
        ({"drop_layers": [0, 1]}, "drop_layers names all 2 layers, expected at least one to stay"),
    ],
)
def test_what_cannot_be_cut_is_named(llama, scores, asked, says):
    with pytest.raises(ValueError, match=says):
        cut(llama, scores, **asked)


def test_scores_of_another_model_a_model_of_another_kind_and_no_text_are_refused(llama, scores):
    other = Importance(scores.channels[:, :64], scores.groups, scores.layers, 1)
    with pytest.raises(ValueError, match=r"scores has channels \[2, 64\], expected \[2, 128\]"):
        cut(llama, other)
    with pytest.raises(ValueError, match="batches holds no token"):
        importance(llama, [], progress=False)
    with pytest.raises(ValueError, match="count is 2, expected 0 to 1"):
        worst_layers(scores, 2)
    llama.model.layers[1].mlp.gate_proj = nn.Identity()
    with pytest.raises(ValueError, match=r"model\.layers\.1\.mlp has no linear gate_proj"):
        structured.importance(llama, [])
    with pytest.raises(ValueError, match="without blocks"):
        structured.importance(nn.Module(), SimpleNamespace())


def test_mode_and_hooks_are_put_back(llama, token_batches):
    llama.train()
    importance(llama, token_batches, progress=False)
    assert llama.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in llama.modules())
