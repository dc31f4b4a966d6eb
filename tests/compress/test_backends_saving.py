"""What was converted can be kept: saved, weighed, and loaded without converting again."""

import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from course_utils.compress.backends import apply, backend, backends, gptq_model, load, save, saved_bytes

HERE = [one for one in backends() if one.available() and not one.whole_model]
every_backend = pytest.mark.parametrize("one", HERE, ids=lambda one: one.name)


def model(seed: int = 0) -> nn.Module:
    """Weights of very different sizes, so that a scale in the wrong place would show."""
    torch.manual_seed(seed)
    layers = nn.Sequential(
        nn.Embedding(50, 128), nn.Linear(128, 256), nn.LayerNorm(256), nn.Linear(256, 64, bias=False)
    )
    with torch.no_grad():
        for layer in (layers[1], layers[3]):
            layer.weight *= torch.randn_like(layer.weight).exp()
    return layers


@every_backend
def test_a_reloaded_model_computes_the_same_though_like_has_other_weights(one, tmp_path):
    small, tokens = apply(model(), one.name), torch.arange(40)[None]
    save(small, tmp_path / "unused.safetensors")
    before = small(tokens)
    save(small, tmp_path / "used.safetensors")
    assert torch.equal(small(tokens), before)
    for name in ("unused.safetensors", "used.safetensors"):
        again = load(tmp_path / name, like=model(seed=1))
        assert torch.equal(again(tokens), before)
        assert [type(layer) for layer in again] == [type(layer) for layer in small]


@every_backend
def test_a_bare_layer_is_saved_and_reloaded(one, tmp_path):
    layer, x = nn.Linear(256, 64), torch.randn(2, 256)
    small = apply(layer, one.name)
    save(small, tmp_path / "layer.safetensors")
    again = load(tmp_path / "layer.safetensors", like=nn.Linear(256, 64))
    assert torch.equal(again(x), small(x))


@every_backend
def test_saved_bytes_is_the_size_of_the_file(one, tmp_path):
    small = apply(model(), one.name)
    promised = saved_bytes(small)
    written = save(small, tmp_path / "small.safetensors")
    assert written == (tmp_path / "small.safetensors").stat().st_size
    assert promised <= written <= promised + 2000  # the file's own header


def test_saved_bytes_of_fp32_is_four_bytes_a_weight():
    layer = nn.Linear(1000, 1000, bias=False)
    assert saved_bytes(layer) == 4_000_000


def test_a_tensor_under_two_names_is_weighed_and_written_once(tmp_path):
    layers = nn.ModuleDict({"embedding": nn.Embedding(50, 128), "first": nn.Linear(128, 50, bias=False)})
    layers["lm_head"] = nn.Linear(128, 50, bias=False)
    layers["lm_head"].weight = layers["embedding"].weight
    small = apply(layers, "bf16")
    assert saved_bytes(small) == 50 * 128 * (4 + 2)
    assert save(small, tmp_path / "x.safetensors") < saved_bytes(small) + 2000
    again = load(tmp_path / "x.safetensors", like=copy.deepcopy(layers))
    assert torch.equal(again["lm_head"].weight, layers["lm_head"].weight)


class Unsaveable(nn.Module):
    def get_extra_state(self):
        return lambda: None


def test_a_failed_save_leaves_the_old_file_and_nothing_half_written(tmp_path):
    path = tmp_path / "small.safetensors"
    path.write_bytes(b"old")
    small = apply(model(), "bf16")
    small.append(Unsaveable())
    with pytest.raises(ValueError, match=r"4\._extra_state holds a function, expected tensors"):
        save(small, path)
    assert [file.name for file in tmp_path.iterdir()] == ["small.safetensors"]
    assert path.read_bytes() == b"old"


def test_only_converted_models_are_saved(tmp_path):
    with pytest.raises(ValueError, match="a Sequential that no backend made, expected what apply returned"):
        save(model(), tmp_path / "x.safetensors")


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    for content in (b"", b"not a model"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.safetensors does not hold a converted model"):
            load(path, like=model())
    save_file({"weights": torch.ones(1)}, path)
    with pytest.raises(ValueError, match=r"x\.safetensors does not hold a converted model"):
        load(path, like=model())


def test_a_pickle_is_refused_unopened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"notes": Trap()}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="does not hold a converted model"):
        load(tmp_path / "x.safetensors", like=model())
    assert not (tmp_path / "sprung").exists()


def test_like_must_be_given_and_fit(tmp_path):
    save(apply(model(), "int4"), tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="like is None, expected a model of the same shapes"):
        load(tmp_path / "x.safetensors")
    with pytest.raises(
        ValueError, match=r"layer '0' is None there, \[inputs, outputs\], and \[4, 4\] in `like`"
    ):
        load(
            tmp_path / "x.safetensors",
            like=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)),
        )


def test_gptq_asks_for_what_it_needs_before_it_loads_anything():
    asked = {"bits": 4, "group_size": 64, "desc_act": False, "kernel": "auto"}
    with pytest.raises(ValueError, match="model is a Linear, expected a transformers model"):
        gptq_model.apply(nn.Linear(4, 4), tokenizer=None, dataset=None, **asked)


def test_gptq_runs_or_says_which_package_is_missing(tmp_path):
    gptq = backend("gptq")
    if not gptq.available():
        assert 'pip install "course-utils[gptq]"' in gptq.why_not()
        return
    llama, tokenizer, texts = tiny_language_model()
    small = apply(llama, "gptq", tokenizer=tokenizer, dataset=texts, group_size=64)
    tokens = tokenizer(texts[0], return_tensors="pt").input_ids[:, :32]
    with torch.inference_mode():
        expected, before = llama(tokens).logits, small(tokens).logits
    assert (before - expected).norm() < 0.4 * expected.norm()
    assert save(small, tmp_path / "small") == saved_bytes(small) < saved_bytes(llama) / 2
    with torch.inference_mode():
        assert torch.allclose(load(tmp_path / "small")(tokens).logits, before, atol=1e-3)


def tiny_language_model():
    """A random Llama, its tokenizer and calibration texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    texts = ["The price of a token is the price of an hour over the tokens of that hour. " * 20] * 4
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    pieces.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=["<end>"])
    )
    torch.manual_seed(0)
    shape = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "vocab_size": 320}
    llama = LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=4, num_key_value_heads=4)).eval()
    return (
        llama,
        PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token="<end>", pad_token="<end>"),
        texts,
    )
