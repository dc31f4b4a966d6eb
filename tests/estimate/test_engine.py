"""Engines, their constants, and the time of one step."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog.accelerators import accelerator, accelerators
from course_utils.catalog.models import model
from course_utils.estimate.deployment import deployment
from course_utils.estimate.engine import (
    CONSTANTS,
    FRACTIONS,
    chip_family,
    constants,
    engine,
    engines,
    fitted,
    is_geforce,
    link_class,
)
from course_utils.estimate.roofline import attainable_flop_per_s
from course_utils.estimate.step import (
    cache_read_s,
    communication_s,
    decode_step_s,
    multiply_s,
    overlapped,
    prefill_s,
    touched_experts,
    weights_read_s,
)
from course_utils.estimate.work import constants_of, llama_layers, work_of


def _row(model="Llama-3.1-8B", gpu="H100 SXM", **more):
    one = deployment(model, gpu, **more)
    return work_of([one]), constants_of([one])


def test_every_engine_has_constants_with_their_tables_command_error_and_date():
    for one in engines():
        content = fitted(one.name)
        assert set(content["constants"]) == set(CONSTANTS)
        assert content["command"].startswith("make fit")
        assert content["as_of"]
        assert all(table["source"] and table["rows"] for table in content["tables"])
        assert {"leave_model_out", "leave_gpu_out"} <= set(content["error"])
        assert all(entry["log_spread"] > 0 for entry in content["constants"].values())


def test_no_fraction_of_a_limit_reaches_one_on_any_chip():
    for one in engines():
        for chip in accelerators():
            for kind in ("dense", "moe", "mla"):
                values = constants(one.name, chip_family(chip), "fp8", link_class(chip), kind)
                named = dict(zip(CONSTANTS, values, strict=True))
                assert all(math.isfinite(value) and value > 0 for value in values)
                assert all(named[name] < 1 for name in FRACTIONS)


def test_an_engine_that_was_never_measured_gets_the_pooled_constants():
    assert engine("lmdeploy").name == "other"
    pooled = fitted("pooled")["constants"]["bandwidth"]["value"]
    assert fitted("other")["constants"]["bandwidth"]["value"] == pooled


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("TensorRT-LLM", "trtllm"),
        ("vLLM", "vllm"),
        ("llama.cpp", "llamacpp"),
        ("HF", "transformers"),
        ("ollama", "llamacpp"),
    ],
)
def test_engines_are_known_by_the_names_that_people_write(written, meant):
    assert engine(written).name == meant


def test_an_unknown_engine_offers_the_nearest():
    with pytest.raises(ValueError, match=r"engine='vlm': no such engine; nearest: .*vllm"):
        engine("vlm")


def test_gaming_cards_are_told_from_workstation_cards():
    assert is_geforce(accelerator("RTX 4090"))
    assert not is_geforce(accelerator("RTX 6000 Ada"))
    assert not is_geforce(accelerator("RTX A6000"))


def test_moe_decode_at_batch_one_reads_only_the_experts_of_one_token():
    # Mixtral-8x7B: 2 of 8 experts at batch 1, nearly all at batch 32. Charging all eight is the usual mistake.
    assert touched_experts(8, 2, 1) == pytest.approx(2 / 8)
    assert touched_experts(8, 2, 32) > 0.999
    work, c = _row("Mixtral-8x7B", gpus=2)
    assert weights_read_s(work, c, 1.0)[0] < 0.35 * weights_read_s(work, c, 1000.0)[0]


@pytest.mark.parametrize(
    ("name", "llamas"),
    [
        ("Llama-3.1-8B", 32),
        ("Qwen3-32B", 64 * 13 / 11),  # two norms more, of queries and keys
        ("Mixtral-8x7B", 32 * 8 / 11),  # seven kernels of attention and a norm; the rest are experts
        ("DeepSeek-V3", (61 * 14 + 3 * 4 + 58 * 5) / 11),
        ("GLM-5", (78 * 25 + 3 * 4 + 75 * 5) / 11),  # eleven more for its sparse index
    ],
)
def test_launches_are_counted_from_the_operations_of_a_layer(name, llamas):
    assert llama_layers(model(name)) == pytest.approx(llamas)


def test_sparse_attention_reads_no_more_than_its_index_picks():
    work, c = _row("GLM-5", gpu="B200", gpus=8, precision_name="fp8")
    growth = cache_read_s(work, c, 8.0, 20_000.0)[0] - cache_read_s(work, c, 8.0, 10_000.0)[0]
    first = cache_read_s(work, c, 8.0, 2_000.0)[0] - cache_read_s(work, c, 8.0, 1_000.0)[0]
    assert 0 < growth < 5 * first


@given(st.integers(1, 512), st.integers(1, 512), st.floats(1, 1e5))
def test_touched_experts_lie_between_those_of_one_token_and_all(experts, chosen, tokens):
    chosen = min(chosen, experts)
    part = touched_experts(experts, chosen, tokens)
    assert chosen / experts - 1e-12 <= part <= 1


@given(st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_overlap_lies_between_the_longer_and_the_sum(a, b):
    assert max(a, b) <= overlapped(a, b) * (1 + 1e-12) <= (a + b) * (1 + 1e-9)


def test_dense_flop_rates_are_used_not_the_sparse_ones_of_the_data_sheet():
    # H100 SXM: 989 TFLOP/s dense BF16; the data sheet prints 1979, with 2:4 sparsity.
    work, _ = _row()
    assert work.peak[0] == 989e12


def test_fp8_weights_on_a_chip_without_fp8_units_multiply_at_the_bf16_rate():
    work, _ = _row(gpu="A100 SXM 80GB", precision_name="fp8")
    assert work.peak[0] == 312e12


def test_decode_at_batch_one_takes_at_least_the_reading_of_the_weights():
    work, c = _row()
    ideal = (work.dense_bytes + work.head_bytes)[0] / 3350e9
    step = decode_step_s(work, c, 1.0, 1000.0)[0]
    assert ideal < step < 3 * ideal


def test_matrix_products_never_beat_the_roofline():
    work, c = _row(precision_name="fp8")
    for tokens in (1.0, 16.0, 256.0, 8192.0):
        flop = work.dense_flop[0] * tokens
        read = (work.dense_bytes + work.head_bytes)[0]
        best = flop / attainable_flop_per_s(flop / read, work.peak[0], work.bandwidth[0])
        assert overlapped(weights_read_s(work, c, tokens), multiply_s(work, c, tokens))[0] > best


def test_decode_is_bound_by_bandwidth_and_prefill_by_compute():
    work, c = _row()
    assert weights_read_s(work, c, 1.0)[0] > 20 * multiply_s(work, c, 1.0)[0]
    assert multiply_s(work, c, 8192.0)[0] > 5 * weights_read_s(work, c, 8192.0)[0]


@given(sequences=st.integers(1, 500), context=st.integers(1, 30_000))
def test_a_step_takes_longer_with_more_sequences_and_more_context(sequences, context):
    work, c = _row()
    step = decode_step_s(work, c, float(sequences), float(context))[0]
    assert decode_step_s(work, c, sequences + 1.0, float(context))[0] > step
    assert decode_step_s(work, c, float(sequences), context + 1.0)[0] > step


def test_one_chip_has_nobody_to_talk_to():
    work, c = _row()
    assert communication_s(work, c, 100.0)[0] == 0
    work, c = _row(gpus=8)
    assert communication_s(work, c, 100.0)[0] > 0


def test_all_reduce_over_pcie_costs_more_than_over_nvlink():
    fabric, pcie = _row(gpu="A100 SXM 80GB", gpus=4), _row(gpu="A100 PCIe 80GB", gpus=4)
    assert communication_s(*pcie, 64.0)[0] > 2 * communication_s(*fabric, 64.0)[0]


def test_tensor_parallelism_pays_less_than_it_promises():
    one, eight = _row("Llama-3.1-8B"), _row("Llama-3.1-8B", gpus=8)
    gain = decode_step_s(*one, 1.0, 1000.0)[0] / decode_step_s(*eight, 1.0, 1000.0)[0]
    assert 1 < gain < 8


def test_prefill_attention_grows_faster_than_the_prompt():
    work, c = _row()
    short, long = (prefill_s(work, c, n, 0.0, 1.0, n / 8192)[0] for n in (8192.0, 65536.0))
    assert long > 8 * short


def test_attention_in_a_window_grows_with_the_prompt_only():
    work, c = _row("gpt-oss-120b", precision_name="mxfp4")
    dense_like = prefill_s(work, c, 65536.0, 0.0, 1.0, 8.0)[0]
    no_window = np.full(1, 1e9)
    unbounded = prefill_s(type(work)(**{**vars(work), "window": no_window}), c, 65536.0, 0.0, 1.0, 8.0)[0]
    assert dense_like < unbounded
