"""What must fit, and the mistakes that people make when they count it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog.accelerators import accelerator
from course_utils.catalog.models import model, models
from course_utils.estimate.memory import (
    GIB,
    DoesNotFit,
    fit,
    kv_bytes,
    kv_bytes_per_token,
    kv_share_per_chip,
    max_batch,
    parts,
    state_bytes,
    weights_bytes,
)
from course_utils.estimate.precision import compute_type, precision, precisions


@pytest.mark.parametrize("shape", models(), ids=lambda shape: shape.name)
def test_parts_sum_to_the_parameter_count(shape):
    count = parts(shape)
    head = 0 if shape.tied_embeddings else count.head
    assert count.embedding + head + count.experts + count.attention + count.other == shape.parameters
    assert min(count.experts, count.attention, count.other) >= 0


def test_weights_of_llama_3_1_8b_in_bf16_are_two_bytes_a_parameter():
    assert weights_bytes(model("Llama-3.1-8B"), "bf16") == 2 * model("Llama-3.1-8B").parameters


def test_fp8_leaves_embeddings_and_output_matrix_in_16_bits():
    shape = model("Llama-3.1-8B")
    matrices = 2 * shape.vocab_size * shape.hidden_size
    expected = matrices * 2 + (shape.parameters - matrices) * 8.002 / 8
    assert weights_bytes(shape, "fp8") == pytest.approx(expected)


def test_fp4_of_gpt_oss_quantizes_the_experts_only():
    # gpt-oss model card (OpenAI, 2025-08), checkpoint size: 60.8 GiB.
    assert weights_bytes(model("gpt-oss-120b"), "mxfp4") == pytest.approx(60.8 * GIB, rel=0.03)


def test_kv_cache_of_gqa_model_counts_only_kv_heads():
    # Llama-3.1-70B: 80 layers x 2 x 8 heads x 128 x 2 bytes = 320 KiB a token, not the 2.5 MiB of its 64 query heads.
    shape = model("Llama-3.1-70B")
    assert kv_bytes_per_token(shape) == 80 * 2 * 8 * 128 * 2
    assert kv_bytes_per_token(shape) * 8 == 80 * 2 * shape.heads * 128 * 2


def test_kv_cache_of_mla_is_one_latent_per_layer():
    # DeepSeek-V3: 61 layers x (512 + 64) x 2 bytes, about 1/57 of what 128 heads of keys and values would take.
    assert kv_bytes_per_token(model("DeepSeek-V3")) == 61 * 576 * 2


def test_kv_cache_of_windowed_layers_stops_at_their_window():
    shape = model("gpt-oss-120b")
    per_layer = 2 * shape.kv_heads * shape.head_dim * 2
    assert kv_bytes(shape, 8192) == per_layer * (18 * 8192 + 18 * 128)
    assert kv_bytes(shape, 8192) < 0.52 * per_layer * 36 * 8192


def test_kv_cache_of_hybrid_counts_attention_layers_and_a_fixed_state():
    shape = model("Qwen3-Next-80B-A3B")
    assert shape.kv_layers < shape.layers
    growth = kv_bytes(shape, 20_000) - kv_bytes(shape, 10_000)
    assert growth == shape.kv_layers * 2 * shape.kv_heads * shape.head_dim * 2 * 10_000
    assert kv_bytes(shape, 0) == state_bytes(shape) > 0


def test_a_sparse_index_adds_one_narrow_key_per_token_and_layer():
    # GLM-5: 78 layers x ((512 + 64) x 2 bytes of latent + 128 bytes of key + 4 of scale).
    assert kv_bytes_per_token(model("GLM-5")) == 78 * ((512 + 64) * 2 + 132)
    assert kv_bytes(model("GLM-5"), 1000) == 1000 * kv_bytes_per_token(model("GLM-5"))


def test_tensor_parallelism_beyond_the_kv_heads_copies_them():
    shape = model("Qwen3-235B-A22B")
    assert shape.kv_heads == 4
    assert kv_share_per_chip(shape, 2) == 1 / 2
    assert kv_share_per_chip(shape, 8) == 1 / 4


def test_tensor_parallelism_does_not_split_the_latent_of_mla():
    assert kv_share_per_chip(model("DeepSeek-R1"), 8) == 1.0


def test_memory_is_counted_in_bytes_not_in_advertised_gigabytes():
    # 72.9 GB of FP8 weights lie below "80 GB" and above 72 GiB's nine tenths: GB against GiB decides.
    chip = accelerator("H100 SXM")
    assert chip.memory_bytes > 80e9 > chip.memory_gib * 1e9
    assert fit("Llama-3.1-8B", chip, "bf16").usable_bytes_per_chip < 0.9 * chip.memory_bytes


def test_a_model_that_does_not_fit_says_what_is_missing_and_what_would_fit():
    with pytest.raises(DoesNotFit, match=r"lacks 6\d\.\d GiB per chip; would fit: 4 x H100 SXM") as caught:
        fit("Llama-3.1-70B", "H100 SXM", "bf16")
    assert "131.8 GiB" in str(caught.value) or "132" in str(caught.value)


@pytest.mark.parametrize("chip", ["RTX 3080", "T4", "V100 SXM2 16GB", "L4"])
@pytest.mark.parametrize("name", ["Llama-2-13B", "Qwen2.5-14B", "Llama-3.1-70B", "DeepSeek-V3"])
def test_what_is_advised_does_fit(name, chip):
    with pytest.raises(DoesNotFit) as caught:
        fit(name, chip, "bf16", context_tokens=1200)
    for way in str(caught.value).split("would fit: ")[1].split(" or "):
        if way.endswith(chip):
            fit(name, chip, "bf16", context_tokens=1200, tp=int(way.split(" x ")[0]))
        elif "weights" in way:
            fit(name, chip, way.split()[0], context_tokens=1200)


def test_a_70b_model_in_fp8_on_one_h100_leaves_room_for_few_sequences():
    assert 1 <= max_batch("Llama-3.1-70B", "H100 SXM", "fp8", memory_fraction=0.95, context_tokens=1024) < 64


@given(context=st.integers(1, 100_000), more=st.integers(1, 100_000), shape=st.sampled_from(models()))
def test_kv_cache_never_shrinks_with_context(context, more, shape):
    assert kv_bytes(shape, context + more) >= kv_bytes(shape, context) > 0


@given(context=st.integers(16, 30_000), tp=st.sampled_from([1, 2, 4, 8]))
def test_batch_shrinks_with_context_and_grows_with_chips(context, tp):
    small = max_batch("Llama-3.1-8B", "H100 SXM", tp=tp, context_tokens=context)
    assert max_batch("Llama-3.1-8B", "H100 SXM", tp=tp, context_tokens=2 * context) <= small
    assert max_batch("Llama-3.1-8B", "H100 SXM", tp=2 * tp, context_tokens=context) >= small


def test_pipeline_stages_share_weights_and_cache():
    one, two = fit("Llama-3.1-8B", "A100 SXM 80GB"), fit("Llama-3.1-8B", "A100 SXM 80GB", pp=2)
    assert two.weights_bytes_per_chip == one.weights_bytes_per_chip / 2
    assert two.kv_bytes_per_sequence_per_chip == one.kv_bytes_per_sequence_per_chip / 2


def test_attention_data_parallelism_copies_attention_and_splits_experts():
    split = fit("DeepSeek-V3", "B200", "fp8", tp=8)
    copied = fit("DeepSeek-V3", "B200", "fp8", tp=8, attention_dp=8)
    assert copied.weights_bytes_per_chip > split.weights_bytes_per_chip
    assert copied.kv_bytes_per_sequence_per_chip == split.kv_bytes_per_sequence_per_chip / 8


def test_any_config_json_can_be_placed(tmp_path):
    config = {
        "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 1000, "max_position_embeddings": 512,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    shape = model(tmp_path)
    assert kv_bytes_per_token(shape) == 2 * 2 * 2 * 16 * 2
    assert fit(shape, "L4", context_tokens=128).max_batch > 1000


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_context_that_is_no_length_is_refused(value):
    with pytest.raises(ValueError, match="context_tokens="):
        fit("Llama-3.1-8B", "H100 SXM", context_tokens=value)


def test_an_unknown_precision_offers_the_nearest():
    with pytest.raises(ValueError, match="nearest: fp8"):
        precision("fp88")


def test_a_chip_without_fp8_units_multiplies_in_bf16():
    assert compute_type(accelerator("A100 SXM 80GB"), "fp8") == "bf16"
    assert compute_type(accelerator("H100 SXM"), "fp8") == "fp8"
    assert compute_type(accelerator("B300"), "int8") == "bf16"


def test_narrower_precisions_take_less_memory():
    shape = model("Llama-3.1-70B")
    sizes = {one.name: weights_bytes(shape, one) / GIB for one in precisions()}
    assert sizes["fp32"] > sizes["bf16"] > sizes["q8_0"] > sizes["fp8"] > sizes["q4_k_m"]
