from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog.models import model, models

SHAPES = models()
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)


@every_shape
def test_the_shape_makes_the_published_number_of_parameters(shape):
    assert shape.parameters == pytest.approx(shape.published_params, rel=0.02)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("GPT-2", 124_439_808),
        ("SmolLM2-135M", 134_515_008),
        ("Llama-2-7B", 6_738_415_616),
        ("Llama-3.1-8B", 8_030_261_248),
        ("Llama-3.1-405B", 405_853_388_800),
        ("Qwen2.5-7B", 7_615_616_512),
        ("Qwen3-0.6B", 596_049_920),
        ("Mistral-7B-v0.3", 7_248_023_552),
        ("Gemma-2-9B", 9_241_705_984),
        ("Mixtral-8x7B", 46_702_792_704),
        ("Qwen3-30B-A3B", 30_532_122_624),
        ("DeepSeek-V2-Lite", 15_706_484_224),
        ("Jamba-v0.1", 51_570_323_328),
    ],
)
def test_famous_counts_come_out_exactly(name, parameters):
    assert model(name).parameters == parameters


# As stated by the makers; those of gpt-oss leave the embedding table out.
@pytest.mark.parametrize(
    ("name", "active_b"),
    [
        ("Mixtral-8x7B", 12.9),
        ("DeepSeek-V3", 37),
        ("Kimi-K2", 32.6),
        ("Qwen3-30B-A3B", 3.3),
        ("Qwen3-235B-A22B", 22),
        ("Llama-4-Scout", 17),
        ("gpt-oss-120b", 5.13 + 201088 * 2880 / 1e9),
    ],
)
def test_a_token_uses_as_many_parameters_as_published(name, active_b):
    assert model(name).active_parameters == pytest.approx(active_b * 1e9, rel=0.03)


def test_the_catalog_covers_the_kinds_of_model_that_the_course_talks_about():
    assert len(SHAPES) >= 25
    kinds = {
        "MHA": lambda shape: shape.kv_heads == shape.heads and not shape.kv_lora_rank,
        "GQA": lambda shape: shape.kv_heads < shape.heads,
        "MLA": lambda shape: shape.kv_lora_rank,
        "MoE": lambda shape: shape.experts,
        "sliding window everywhere": lambda shape: shape.sliding_window and shape.full_kv_layers == 0,
        "sliding window in some layers": lambda shape: 0 < shape.full_kv_layers < shape.kv_layers,
        "hybrid": lambda shape: shape.kv_layers < shape.layers,
    }
    for kind, has in kinds.items():
        assert sum(1 for shape in SHAPES if has(shape)) >= 2, kind


@every_shape
def test_a_shape_holds_together(shape):
    assert shape.active_parameters <= shape.parameters
    assert (shape.active_parameters < shape.parameters) == bool(shape.experts)
    assert shape.heads % shape.kv_heads == 0
    assert shape.source.startswith(("https://huggingface.co/", "transformers"))


def test_windows_and_hybrids_count_their_layers():
    assert [
        (model(name).kv_layers, model(name).full_kv_layers) for name in ("Gemma-3-27B", "Gemma-2-9B")
    ] == [
        (62, 10),
        (42, 21),
    ]
    assert (model("gpt-oss-120b").full_kv_layers, model("gpt-oss-120b").sliding_window) == (18, 128)
    assert (model("Jamba-v0.1").kv_layers, model("Qwen3-Next-80B-A3B").kv_layers) == (4, 12)


@pytest.mark.parametrize("said", ["llama-3.1-8b", "Llama 3.1 8B", "meta-llama/Llama-3.1-8B-Instruct"])
def test_a_model_answers_to_its_name_and_its_repository(said):
    assert model(said).name == "Llama-3.1-8B"


def test_an_unknown_model_offers_the_nearest():
    with pytest.raises(ValueError, match=r"name_or_config_path='lama-3.1-8b'.*nearest: Llama-3.1-8B"):
        model("lama-3.1-8b")


@given(st.sampled_from([shape for shape in SHAPES if shape.experts]), st.integers(2, 64))
def test_more_experts_weigh_more_but_cost_a_token_only_their_row_in_the_router(shape, more):
    bigger = replace(shape, experts=shape.experts + more)
    assert bigger.parameters > shape.parameters
    router_rows = more * (shape.hidden_size + shape.mlp_bias) * (shape.layers - shape.dense_layers)
    assert bigger.active_parameters - shape.active_parameters == router_rows


@given(st.sampled_from([shape for shape in SHAPES if not shape.experts and shape.kv_layers == shape.layers]))
def test_twice_the_layers_add_as_much_as_the_layers_hold(shape):
    one, two = (
        replace(shape, layers=count, full_attention_layers=None) for count in (shape.layers, 2 * shape.layers)
    )
    three = replace(one, layers=3 * shape.layers)
    assert two.parameters - one.parameters == three.parameters - two.parameters > 0


def test_a_gated_delta_net_hybrid_keeps_a_cache_in_its_attention_layers_only():
    shape = model("Qwen3.5-9B")
    assert shape.kv_layers == 8
    assert shape.state_values_per_layer == 32 * 128 * 128 + (2 * 16 * 128 + 32 * 128) * 4
