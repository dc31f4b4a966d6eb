"""Our short code against the libraries that people use: frozen results of theirs, made by scripts/make_fixtures.py."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from course_utils.compress import awq, gptq, nf4, packing, rounding
from course_utils.compress.calibration import output_error, stats_of

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = ("llmcompressor_gptq", "bitsandbytes", "compressed_tensors")


def frozen(name):
    return load_file(FIXTURES / f"{name}.safetensors")


@pytest.fixture(scope="module")
def gptq_frozen():
    return frozen("llmcompressor_gptq")


def agreement(ours, theirs):
    return (ours == theirs).float().mean().item()


@pytest.mark.parametrize("name", NAMES)
def test_each_fixture_says_which_versions_made_it_and_stays_small(name):
    record = json.loads((FIXTURES / f"{name}.json").read_text())
    assert record["made_by"] == "scripts/make_fixtures.py"
    assert all(record["versions"].values())
    assert record["versions"]["torch"]
    assert set(record["tensors"]) == set(frozen(name))
    assert (FIXTURES / f"{name}.safetensors").stat().st_size < 1e6


@pytest.mark.parametrize(
    ("variant", "scheme", "act_order"),
    [("sym", "symmetric", False), ("sym_ordered", "symmetric", True), ("asym", "zero_point", False)],
)
def test_gptq_codes_and_scales_are_those_of_llmcompressor(gptq_frozen, variant, scheme, act_order):
    stats = stats_of(gptq_frozen["inputs"].float())
    ours = gptq.quantize_gptq(gptq_frozen["weight"], stats, 4, 128, scheme, damping=0.01, act_order=act_order)
    assert torch.equal(ours.scale, gptq_frozen[f"{variant}.scale"])
    if ours.zero is not None:
        assert torch.equal(ours.zero, gptq_frozen[f"{variant}.zero"])
    assert agreement(ours.codes, gptq_frozen[f"{variant}.codes"]) == 1.0


def test_gptq_codes_differ_from_plain_rounding_so_that_agreement_means_something(gptq_frozen):
    rtn = rounding.quantize(gptq_frozen["weight"], 4, 128, "symmetric")
    assert agreement(rtn.codes, gptq_frozen["sym.codes"]) < 0.7


def test_on_the_frozen_layer_gptq_and_awq_lose_less_output_than_rounding(gptq_frozen):
    weight, stats = gptq_frozen["weight"].float(), stats_of(gptq_frozen["inputs"].float())
    rtn = output_error(weight, rounding.quantize(weight, 4, 128).dequantize(), stats)
    assert output_error(weight, gptq.quantize_gptq(weight, stats).dequantize(), stats) < rtn
    assert output_error(weight, awq.quantize_awq(weight, stats).dequantize(), stats) < rtn


def test_nf4_table_codes_scales_and_weights_are_exactly_those_of_bitsandbytes():
    theirs = frozen("bitsandbytes")
    ours = nf4.quantize_nf4(theirs["weight"], block=64)
    first_high = torch.stack((theirs["nf4.packed"] >> 4, theirs["nf4.packed"] & 15), dim=1).flatten()
    assert torch.equal(torch.tensor(nf4.NF4_VALUES), theirs["nf4.values"])
    assert torch.equal(ours.absmax, theirs["nf4.absmax"])
    assert torch.equal(ours.codes.flatten(), first_high)
    assert torch.equal(ours.dequantize(), theirs["nf4.dequantized"])


def test_absmax_int8_agrees_with_bitsandbytes_on_999_codes_of_1000_and_on_every_row_maximum():
    theirs = frozen("bitsandbytes")
    ours = rounding.quantize(theirs["weight"], 8, "channel", "absmax")
    assert torch.equal(ours.scale[:, 0], theirs["int8.row_max"] / 127)
    assert agreement(ours.codes, theirs["int8.codes"]) >= 0.999
    # Theirs multiplies float16 weights by 127 / max: where that lands beside a tie, codes are neighbours.
    assert (ours.codes.int() - theirs["int8.codes"].int()).abs().max() <= 1


@pytest.mark.parametrize("bits", [3, 4, 8])
@pytest.mark.parametrize("strategy", ["group", "channel", "tensor"])
@pytest.mark.parametrize(("kind", "scheme"), [("sym", "symmetric"), ("asym", "zero_point")])
def test_scales_zero_points_and_packed_codes_are_exactly_those_of_compressed_tensors(
    bits, strategy, kind, scheme
):
    theirs, name = frozen("compressed_tensors"), f"{strategy}.{bits}.{kind}"
    ours = rounding.quantize(theirs["weight"], bits, 128 if strategy == "group" else strategy, scheme)
    assert torch.equal(ours.scale.flatten(), theirs[f"{name}.scale"].flatten())
    if ours.zero is not None:
        assert torch.equal(ours.zero.flatten(), theirs[f"{name}.zero"].flatten())
    words = packing.pack(ours.codes, bits).view(torch.int32)  # our bytes, read as their words
    assert torch.equal(words, theirs[f"{name}.packed"].flatten())
