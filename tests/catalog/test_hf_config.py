"""Reading a Hugging Face `config.json` into a `ModelShape`."""

import json

import pytest

from course_utils.catalog.models import model

LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
OPTIONAL = ("model_type", "tie_word_embeddings", "num_key_value_heads")


def shape_of(folder, config=LLAMA, **changes):
    merged = {key: value for key, value in {**config, **changes}.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(merged), encoding="utf-8")
    return model(folder)


def test_a_config_is_read_from_its_file_or_its_folder(tmp_path):
    shape = shape_of(tmp_path)
    assert shape == model(tmp_path / "config.json") == model(str(tmp_path))
    assert shape.parameters == model("Llama-3.1-8B").parameters
    assert shape.name == tmp_path.name


def test_an_old_config_without_kv_heads_means_multi_head_attention(tmp_path):
    assert shape_of(tmp_path, num_key_value_heads=...).kv_heads == 32


def test_gpt2s_own_key_names_are_understood(tmp_path):
    gpt2 = {
        "model_type": "gpt2",
        "n_layer": 12,
        "n_embd": 768,
        "n_head": 12,
        "n_positions": 1024,
        "vocab_size": 50257,
    }
    assert shape_of(tmp_path, gpt2).parameters == 124_439_808


def test_a_multimodal_config_is_read_from_its_text_config(tmp_path):
    # As published for Gemma 3 4B: the rest is left to the code that reads it.
    inner = {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
        "sliding_window": 1024,
    }
    shape = shape_of(
        tmp_path, {"model_type": "gemma3", "text_config": inner, "vision_config": {"hidden_size": 1152}}
    )
    wanted = model("Gemma-3-4B")
    assert (shape.parameters, shape.full_kv_layers, shape.head_dim) == (wanted.parameters, 5, 256)


def test_layer_types_decide_which_layers_see_the_whole_context(tmp_path):
    types = ["sliding_attention", "full_attention"] * 16
    shape = shape_of(tmp_path, layer_types=types, sliding_window=128)
    assert (shape.full_kv_layers, shape.kv_layers, shape.sliding_window) == (16, 32, 128)


def test_a_window_as_long_as_the_context_is_none(tmp_path):
    assert shape_of(tmp_path, model_type="phi3", sliding_window=262_144).full_kv_layers == 32


def test_a_window_that_is_switched_off_is_none(tmp_path):
    shape = shape_of(tmp_path, model_type="qwen2", sliding_window=4096, use_sliding_window=False)
    assert shape.sliding_window is None
    assert shape.full_kv_layers == 32


def config_of(family, layers, hidden, heads, vocab, **rest):
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
    return {
        "model_type": family,
        "max_position_embeddings": 2048,
        **dict(zip(names, (layers, hidden, heads, vocab), strict=True)),
        **rest,
    }


FALCON = config_of("falcon", 32, 4544, 71, 65_024, multi_query=True)
OPT = config_of("opt", 12, 768, 12, 50_272, ffn_dim=3072)
STARCODER = config_of(
    "starcoder2",
    30,
    3072,
    24,
    49_152,
    intermediate_size=12_288,
    num_key_value_heads=2,
    tie_word_embeddings=True,
)
ARCEE = config_of("arcee", 32, 2560, 32, 32_000, intermediate_size=18_432, hidden_act="relu2")
GLM_LITE = config_of(
    "glm4_moe_lite",
    47,
    2048,
    20,
    154_880,
    intermediate_size=10_240,
    moe_intermediate_size=1536,
    n_routed_experts=64,
    n_shared_experts=1,
    num_experts_per_tok=4,
    kv_lora_rank=512,
    q_lora_rank=768,
    qk_rope_head_dim=64,
    qk_nope_head_dim=192,
    v_head_dim=256,
    mlp_layer_types=["dense"] + ["sparse"] * 46,
)


# Counted by building the modules of Hugging Face transformers 5.23 from the same configs.
@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (FALCON, 6_921_720_704),
        (OPT, 125_239_296),
        (STARCODER, 3_030_371_328),
        (ARCEE, 4_022_766_080),
        (GLM_LITE, 29_943_390_976),
    ],
    ids=["falcon", "opt", "starcoder2", "arcee", "glm4_moe_lite"],
)
def test_other_families_count_as_their_own_code_does(tmp_path, config, parameters):
    assert shape_of(tmp_path, config).parameters == parameters


def test_experts_may_stand_in_every_other_layer(tmp_path):
    shape = shape_of(
        tmp_path, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=64, decoder_sparse_step=2
    )
    assert shape.dense_layers == 16


@pytest.mark.parametrize("key", [key for key in LLAMA if key not in OPTIONAL])
def test_a_missing_key_is_named(tmp_path, key):
    with pytest.raises(ValueError, match=rf"^config.json: {key}.* is missing; a whole number of at least 1"):
        shape_of(tmp_path, **{key: ...})


@pytest.mark.parametrize("value", ["many", -1, 0, 3.5, True, [32]])
def test_a_wrong_value_is_named_with_what_would_be_right(tmp_path, value):
    with pytest.raises(
        ValueError, match=r"config.json: num_hidden_layers=.*: a whole number of at least 1 is needed"
    ):
        shape_of(tmp_path, num_hidden_layers=value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_key_value_heads": 7}, "kv_heads=7: a divisor of heads=32"),
        ({"hidden_size": 4097}, r"head_dim is missing, and hidden_size=4097 is no multiple of 32"),
        ({"num_experts": 8}, "num_experts_per_tok or .* is missing"),
        ({"kv_lora_rank": 512}, "qk_nope_head_dim is missing"),
        ({"layer_types": ["full_attention"]}, "layer_types names 1 layers; num_hidden_layers=32 are needed"),
        ({"layer_types": ["magic"] * 32}, "layer_types holds 'magic': such layers are not covered"),
        ({"hybrid_override_pattern": "M-M*"}, r"hybrid_override_pattern='M-M\*': such layers"),
        ({"mamba_d_state": 16}, "layer_types is missing"),
        ({"index_topk": 2048}, "index_topk=2048: such layers"),
        ({"hidden_act": "gelu"}, r"hidden_act='gelu': an MLP of model_type='llama' is not covered"),
        ({"is_encoder_decoder": True}, "only decoder-only models"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings='no': true or false"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(tmp_path, changes, says):
    with pytest.raises(ValueError, match=says):
        shape_of(tmp_path, **changes)


def test_a_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{'a': 1}")
    with pytest.raises(ValueError, match=r"config.json is not valid JSON"):
        model(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"holds a list; an object"):
        model(tmp_path)


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no such file; a config\.json is needed"):
        model(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (
            {"model_type": "gptj", "n_layer": 28, "n_embd": 4096, "n_head": 16, "n_inner": None, "n_positions": 2048}
            | {"activation_function": "gelu_new", "tie_word_embeddings": False, "vocab_size": 50400},
            model("GPT-J-6B").parameters,
        ),
        (
            {"model_type": "bloom", "n_embed": 14336, "n_layer": 70, "num_attention_heads": 112, "seq_length": 2048}
            | {"vocab_size": 250880},
            model("BLOOM-176B").parameters,
        ),
        (
            {"model_type": "falcon", "hidden_size": 14848, "num_hidden_layers": 80, "num_attention_heads": 232}
            | {"num_kv_heads": 8, "new_decoder_architecture": True, "multi_query": True, "vocab_size": 65024}
            | {"max_position_embeddings": 2048, "bias": False},
            model("Falcon-180B").parameters,
        ),
        (
            {"model_type": "cohere", "hidden_size": 8192, "num_hidden_layers": 40, "num_attention_heads": 64}
            | {"num_key_value_heads": 64, "intermediate_size": 22528, "vocab_size": 256000, "hidden_act": "silu"}
            | {"max_position_embeddings": 8192, "use_qk_norm": False},
            model("Command-R-35B").parameters,
        ),
    ],
    ids=["gptj", "bloom", "falcon", "cohere"],
)  # fmt: skip
def test_configs_of_older_families_make_the_catalogs_shapes(tmp_path, config, parameters):
    assert shape_of(tmp_path, config).parameters == parameters
