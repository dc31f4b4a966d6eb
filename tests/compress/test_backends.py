"""Converted layers compute what fp32 does, nearly, and the original stays as it was."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_utils.compress.backends import apply, backends, saved_bytes
from course_utils.compress.backends.fp8_linear import Fp8Linear
from course_utils.compress.rounding import quantize

# Relative error of the output at most, by bits: uniform weights, normal inputs.
BOUND = {32: 1e-6, 16: 0.01, 8: 0.03, 4: 0.15}
HERE = [one for one in backends() if one.available() and not one.whole_model]
every_backend = pytest.mark.parametrize("one", HERE, ids=lambda one: one.name)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def linear(inputs: int = 256, outputs: int = 128, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=bias)


def error(y: torch.Tensor, reference: torch.Tensor) -> float:
    y, reference = y.detach().float(), reference.detach().float()
    return float((y - reference).norm() / reference.norm())


@every_backend
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(256,), (1, 256), (2, 7, 256)])
def test_output_is_within_its_bits_bound_of_fp32(one, bias, shape):
    layer, x = linear(bias=bias), torch.randn(shape)
    y = apply(layer, one.name)(x)
    assert y.shape == (*shape[:-1], 128)
    assert error(y, layer(x)) < BOUND[one.weight_bits]


@every_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_output_has_the_dtype_of_the_input(one, dtype):
    x = torch.randn(3, 256)
    small = apply(linear(), one.name)
    assert small(x.to(dtype)).dtype == dtype
    assert error(small(x.to(dtype)), linear()(x)) < BOUND[one.weight_bits] + 0.01


@every_backend
def test_it_weighs_its_bits_and_little_more(one):
    layer = linear(1024, 512)
    share = saved_bytes(apply(layer, one.name)) / saved_bytes(layer)
    assert one.weight_bits / 32 <= share * 1.001
    assert share < one.weight_bits / 32 * 1.2


@every_backend
def test_the_original_is_untouched_and_the_copy_can_be_copied(one):
    layer, x = linear(), torch.randn(4, 256)
    before = copy.deepcopy(layer.state_dict())
    small = apply(layer, one.name)
    y = small(x)
    assert type(layer) is nn.Linear
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    with torch.no_grad():
        layer.weight.zero_()
    assert torch.equal(small(x), y)
    assert error(copy.deepcopy(small)(x), y) < 0.01


def test_fewer_bits_cost_more_error():
    layer, x = linear(), torch.randn(64, 256)
    errors = {one.name: error(apply(layer, one.name)(x), layer(x)) for one in HERE}
    by_bits = {bits: [errors[one.name] for one in HERE if one.weight_bits == bits] for bits in (16, 8, 4)}
    assert max(by_bits[16]) < min(by_bits[8])
    assert max(by_bits[8]) < min(by_bits[4])


def test_smaller_groups_of_int4_lose_less():
    layer, x = linear(512), torch.randn(64, 512)
    errors = [error(apply(layer, "int4", group_size=size)(x), layer(x)) for size in (32, 64, 128)]
    assert errors == sorted(errors)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["int4", "ort-int4"]),
    rows=st.integers(1, 6).map(lambda n: 16 * n),
    groups=st.integers(1, 5),
    size=st.sampled_from([32, 64, 128]),
    scheme=st.sampled_from(["absmax", "symmetric", "zero_point"]),
    tokens=st.integers(1, 9),
)
def test_the_kernel_computes_with_exactly_the_codes_it_is_given(name, rows, groups, size, scheme, tokens):
    layer = linear(groups * size, rows)
    codes = quantize(layer.weight, bits=4, per=size, scheme=scheme)
    x = torch.randn(tokens, groups * size)
    expected = x @ codes.dequantize().T + layer.bias
    # What is left is the rounding of inputs and scales: bf16, or int8 with a scale per token.
    assert error(apply(layer, name, quantized=codes)(x), expected) < 0.03


def test_codes_are_taken_by_layer_name():
    model = nn.Sequential(linear(128, 64), nn.ReLU(), linear(64, 32))
    chosen = {"2": quantize(torch.zeros(32, 64), bits=4, per=32)}
    small = apply(model, "int4", group_size=32, codes=chosen)
    x = torch.randn(3, 128)
    assert error(small(x), model[2].bias.expand(3, 32)) < 0.01
    with pytest.raises(ValueError, match=r"codes has '5', expected names of the model's linear layers"):
        apply(model, "int4", codes={"5": chosen["2"]})
    with pytest.raises(ValueError, match="bf16 rounds on its own: expected int4 or ort-int4"):
        apply(model, "bf16", codes=chosen)


@pytest.fixture(scope="module")
def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "vocab_size": 96}
    return LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=4, num_key_value_heads=2)).eval()


@every_backend
def test_a_transformers_model_keeps_its_logits_and_generates(one, llama):
    tokens = torch.arange(24)[None] % 96
    options = {"group_size": 64} if "group_size" in one.options else {}
    small = apply(llama, one.name, **options)
    with torch.inference_mode():
        assert error(small(tokens).logits, llama(tokens).logits) < 3 * BOUND[one.weight_bits]
        made = small.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=2, do_sample=False
        )
    assert made.shape == (1, 26)
    assert type(small.lm_head) is nn.Linear
    assert type(small.model.layers[0].mlp.up_proj) is not nn.Linear
    assert type(llama.model.layers[0].mlp.up_proj) is nn.Linear


def test_lm_head_is_converted_on_request(llama):
    assert type(apply(llama, "bf16", skip=()).lm_head) is not nn.Linear


def test_fp8_rounds_each_value_by_a_sixteenth_at_most():
    layer, x = linear(), torch.randn(8, 256)
    y = Fp8Linear.from_linear(layer)(x)  # torch's CPU has the operation too, only not the speed
    assert error(y, layer(x)) < 1 / 16


def test_nothing_is_warned_or_logged():
    code = """
import torch
from course_utils.compress.backends import apply, backends
for one in backends():
    if one.available() and not one.whole_model:
        small = apply(torch.nn.Linear(128, 32), one.name)
        small(torch.randn(1, 128)), small(torch.randn(4, 128)), small.state_dict()
"""
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert (ran.stdout, ran.stderr) == ("", "")


@pytest.mark.parametrize(
    ("model", "name", "options", "sentence"),
    [
        (nn.Linear(576, 64), "int4", {}, "a group size of 128 does not divide the weight's 576 columns; 64 does"),
        (nn.Linear(576, 64), "ort-int4", {}, "a group size of 128 does not divide the weight's 576 columns"),
        (nn.Linear(100, 64), "bnb-nf4", {}, "a block size of 64 does not divide the layer's 100 inputs"),
        (nn.Linear(96, 64), "int4", {"group_size": 48}, "group_size is 48, expected one of 32, 64, 128, 256"),
        (nn.Linear(96, 64), "ort-int4", {"group_size": 48}, "group_size is 48, expected a power of two from 16"),
        (nn.Linear(96, 64), "bnb-nf4", {"block_size": 48}, "block_size is 48, expected one of 32, 64"),
        (nn.Linear(64, 63), "int4", {"group_size": 32}, "the layer has 63 outputs, expected a multiple of 16"),
        (nn.Linear(63, 63), "bnb-nf4", {}, "a block size of 64 does not divide the layer's 63 inputs"),
        (nn.Linear(64, 64), "bnb-int8", {"threshold": -1}, "threshold is -1, expected 0"),
        (nn.Linear(64, 64), "bf16", {"bits": 3}, "option 'bits' is not one of bf16's, expected no options"),
        (nn.Linear(64, 64), "int4", {"groups": 32}, "option 'groups' is not one of int4's, expected group_size"),
        (nn.Conv1d(4, 4, 1), "bf16", {}, "model is a Conv1d without nn.Linear layers"),
        (nn.Sequential(nn.ReLU()), "int4", {}, "model is a Sequential without nn.Linear layers"),
        (nn.Linear(64, 64, device="meta"), "int4", {}, "model is on meta, and int4 runs on cpu"),
    ],
)  # fmt: skip
def test_bad_input_is_answered_in_one_sentence(model, name, options, sentence):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        apply(model, name, **options)
    assert sentence in str(caught.value)


@every_backend
def test_weights_that_are_not_finite_are_refused_by_layer(one):
    model = nn.Sequential(linear(), nn.ReLU(), linear(128, 64))
    with torch.no_grad():
        model[2].weight[3, 5] = float("nan")
    with pytest.raises(ValueError, match="layer '2': its weight holds values that are not finite"):
        apply(model, one.name)


def test_codes_of_another_shape_or_width_are_refused():
    for wrong in (quantize(torch.ones(64, 32), 4), quantize(torch.ones(128, 256), 8)):
        with pytest.raises(ValueError, match=r"expected 4-bit codes \[128, 256\]"):
            apply(linear(), "int4", quantized=wrong)
