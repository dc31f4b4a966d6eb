"""A Hugging Face `config.json`, read as the fields of a `ModelShape`.

Makers name the same thing differently and leave out what their own code takes for granted; each rule here is
one such habit. What the rules don't cover is refused with the key that stands in the way: a guessed shape is
worse than none.
"""

import json
from datetime import date
from pathlib import Path

from course_utils.catalog.mixers import mixer_of

# LayerNorm with bias and an MLP of two matrices; nearly all others have RMSNorm and three.
_LAYER_NORM = frozenset(
    {"gpt2", "gpt_bigcode", "gpt_neox", "opt", "bloom", "falcon", "phi", "starcoder2", "gptj"}
)
# Families whose code ties the output matrix to the embeddings where the config says nothing.
_TWO_MATRICES = _LAYER_NORM | {"nemotron", "arcee", "persimmon", "apertus"}
_TIED = frozenset(
    {"gpt2", "gemma", "gemma2", "gemma3", "gemma3_text", "opt", "bloom", "falcon", "smollm3", "cohere"}
)
_FOUR_NORMS = frozenset({"gemma2", "gemma3", "gemma3_text"})
_QK_NORM = frozenset({"qwen3", "qwen3_moe", "gemma3", "gemma3_text"})
_DELTA_NET = frozenset({"qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"})
_QKV_BIAS = frozenset({"qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen2_5_vl_text"})
_ALL_BIAS = _LAYER_NORM - {"falcon"}
# What a config of the family leaves to the code that reads it.
_UNSAID = {
    "gemma3_text": {
        "vocab_size": 262_208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
        "sliding_window_pattern": 6,
    },
    "gemma2": {"sliding_window_pattern": 2},
    "cohere2": {"sliding_window_pattern": 4},
    "llama4_text": {"no_rope_layer_interval": 4},
}
# Layers that keep something else than keys and values, or share them: this catalog can't count those.
_FOREIGN = (
    "hybrid_override_pattern",
    "mamba_d_ssm",
    "linear_attn_config",
    "compress_rates",
    "index_topk",
    "hidden_size_per_layer_input",
    "num_kv_shared_layers",
    "zero_expert_num",
    "conv_L_cache",
    "kv_channels",
    "block_configs",
    "attention_k_eq_v",
    "global_head_dim",
    "per_layer_config",
)
# Families that read text or pictures and write nothing: no prefill, no decode, no cache.
_WRITE_NOTHING = frozenset(
    {
        "albert",
        "bert",
        "clip",
        "deberta-v2",
        "distilbert",
        "electra",
        "modernbert",
        "mpnet",
        "roberta",
        "siglip",
        "vit",
    }
)
_FULL = frozenset({"full_attention", "attention"})
_WINDOWED = frozenset({"sliding_attention", "chunked_attention"})
_RECURRENT = frozenset({"linear_attention", "mamba"})


def read_config(path: Path) -> dict:
    """Fields of a `ModelShape` from a `config.json`, or from the folder that holds one.

    ValueError for a file that isn't there or isn't JSON, for a key that is absent or holds nonsense, and for
    an architecture that these rules don't cover. `as_of` is the day that the file was last changed.
    """
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"name_or_config_path={str(path)!r}: no such file; a config.json is needed")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError(
            f"{file.name} is not text: the config.json beside a model's weights is needed"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{file.name} is not valid JSON: {error}{_instead(file)}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{file.name} holds a {type(config).__name__}; an object with settings is needed")
    try:
        fields = shape_fields(config)
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}{_kind(config)}") from None
    folder = file.resolve().parent.name
    return fields | {
        "name": config.get("_name_or_path") or folder,
        "source": f"{file.name} in {folder}",
        "as_of": date.fromtimestamp(file.stat().st_mtime),
    }


def _instead(file: Path) -> str:
    """What stands in a file that should hold settings: the hub's refusal, or what Git LFS leaves."""
    start = " ".join(file.read_text(encoding="utf-8")[:80].split())
    if start.startswith("version https://git-lfs"):
        return ". It is a pointer of Git LFS: fetch the file itself with `git lfs pull`"
    if start.startswith("<") or start.casefold().startswith(("access to", "invalid", "entry not found")):
        return f". It is the hub's answer ({start[:50]!r}): accept the model's terms there, log in, download again"
    return ""


def _kind(config: dict) -> str:
    """What a refused config is of, so that a wrong file is told from a model that these rules don't cover."""
    if "peft_type" in config:
        base = config.get("base_model_name_or_path", "its base model")
        return f" (this is an adapter: the config.json of {base} is needed)"
    if "error" in config:
        return f" (this is the hub's answer, {str(config['error'])[:50]!r}: accept the model's terms there, log in)"
    family = config.get("model_type")
    return f" (model_type={family!r})" if family else " (no model_type: is this a language model's?)"


def shape_fields(config: dict) -> dict:
    """Fields of a `ModelShape` from a loaded config; of a multimodal one, its language model's."""
    for key in ("text_config", "llm_config", "language_config"):
        if isinstance(config.get(key), dict):
            config = {"tie_word_embeddings": config.get("tie_word_embeddings")} | config[key]
    family = str(config.get("model_type", ""))
    config = _UNSAID.get(family, {}) | {key: value for key, value in config.items() if value is not None}
    if config.get("is_encoder_decoder") or family in ("t5", "mt5", "whisper", "bart"):
        raise ValueError("an encoder and a decoder: only decoder-only models are covered")
    if family in _WRITE_NOTHING:
        raise ValueError("such a model writes no tokens: only decoder-only models are covered")
    for key in _FOREIGN:
        if config.get(key):
            raise ValueError(f"{key}={config[key]!r}: such layers (model_type={family!r}) are not covered")

    layers = _whole(config, "num_hidden_layers", "n_layer", "num_layers")
    hidden = _whole(config, "hidden_size", "n_embd", "n_embed", "d_model")
    heads = _whole(config, "num_attention_heads", "n_head", "n_heads")
    attention_bias = _flag(config, "attention_bias", default=family in _ALL_BIAS - {"gptj"})
    return {
        "layers": layers,
        "hidden_size": hidden,
        "heads": heads,
        "kv_heads": _kv_heads(config, family, heads),
        "head_dim": _head_dim(config, hidden, heads),
        "vocab_size": _whole(config, "vocab_size"),
        "max_context": _whole(config, "max_position_embeddings", "n_positions", "max_seq_len", "seq_length"),
        "tied_embeddings": _flag(config, "tie_word_embeddings", default=family in _TIED),
        "gated_mlp": _gated(config, family),
        "qk_norm": family in _QK_NORM | _DELTA_NET
        or bool(config.get("use_qk_norm") and "llama4" not in family),
        "query_gate": family in _DELTA_NET,
        "norms_per_layer": _norms(config, family),
        "norm_bias": family in _LAYER_NORM,
        "qkv_bias": attention_bias or family in _QKV_BIAS,
        "output_bias": attention_bias and family not in ("glm4_moe",),
        "mlp_bias": _flag(config, "mlp_bias", default=family in _ALL_BIAS | {"gpt_oss"}),
        "learned_positions": _learned_positions(config, family),
        **_widths(config, family, hidden, layers),
        **_latents(config),
        **_reach(config, family, layers),
    }


def _norms(config: dict, family: str) -> int:
    one = family in ("phi", "gptj", "cohere") or (
        family == "falcon" and not config.get("new_decoder_architecture")
    )
    return 4 if family in _FOUR_NORMS else 1 if one else 2


def _kv_heads(config: dict, family: str, heads: int) -> int:
    if family in ("falcon", "gpt_bigcode") and not config.get("new_decoder_architecture"):
        return 1 if config.get("multi_query") else heads
    # Absent from configs of the time before grouped queries: one key-value head for each query head.
    return _whole(config, "num_key_value_heads", "num_kv_heads", default=heads)


def _head_dim(config: dict, hidden: int, heads: int) -> int:
    if config.get("kv_lora_rank"):
        return _whole(config, "qk_nope_head_dim") + _whole(config, "qk_rope_head_dim")
    if config.get("head_dim") is not None:
        return _whole(config, "head_dim")
    if hidden % heads:
        raise ValueError(f"head_dim is missing, and hidden_size={hidden} is no multiple of {heads} heads")
    return hidden // heads


def _gated(config: dict, family: str) -> bool:
    """Whether the MLP has a gate, a third matrix: with SiLU it has, with anything else the family decides."""
    if family in _TWO_MATRICES:
        return False
    activation = config.get("hidden_act") or config.get("hidden_activation") or "silu"
    if activation not in ("silu", "swish") and "gemma" not in family and family != "bitnet":
        raise ValueError(f"hidden_act={activation!r}: an MLP of model_type={family!r} is not covered")
    return True


def _learned_positions(config: dict, family: str) -> int:
    if family == "opt":
        return _whole(config, "max_position_embeddings") + 2
    return _whole(config, "n_positions") if family in ("gpt2", "gpt_bigcode") else 0


def _widths(config: dict, family: str, hidden: int, layers: int) -> dict:
    """Of the plain MLP and of the experts, and how many layers have which."""
    experts = _whole(
        config, "n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts", default=0, low=0
    )
    dense_key = ("intermediate_size_mlp", "intermediate_size", "n_inner", "ffn_dim")
    if experts < 2:
        if family == "granitemoehybrid":
            dense_key = ("shared_intermediate_size",)
        default = 4 * hidden if family in _LAYER_NORM else None
        return {"intermediate_size": _whole(config, *dense_key, default=default)}
    width = _whole(config, "moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")
    shared = _whole(
        config, "n_shared_experts", "moe_num_shared_experts", default=int(family == "llama4_text"), low=0
    )
    for key in ("shared_expert_intermediate_size", "shared_intermediate_size"):
        if config.get(key):
            shared, rest = divmod(_whole(config, key), width)
            if rest:
                raise ValueError(
                    f"{key}={config[key]!r}: a multiple of the experts' width, {width}, is needed"
                )
    dense_layers = _dense_layers(config, layers)
    return {
        "experts": experts,
        "experts_per_token": _whole(
            config, "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k"
        ),
        "shared_experts": shared,
        "moe_intermediate_size": width,
        "dense_layers": dense_layers,
        "intermediate_size": _whole(config, *dense_key) if dense_layers else 0,
    }


def _dense_layers(config: dict, layers: int) -> int:
    if isinstance(config.get("mlp_layer_types"), list):
        return config["mlp_layer_types"].count("dense")
    if "expert_layer_period" in config:
        period, offset = _whole(config, "expert_layer_period"), _whole(config, "expert_layer_offset", low=0)
        return sum(layer % period != offset for layer in range(layers))
    if "interleave_moe_layer_step" in config:
        return layers - layers // _whole(config, "interleave_moe_layer_step")
    if "decoder_sparse_step" in config or config.get("mlp_only_layers"):
        step, plain = _whole(config, "decoder_sparse_step", default=1), config.get("mlp_only_layers") or []
        return sum(layer in plain or (layer + 1) % step != 0 for layer in range(layers))
    first_dense = ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index")
    return _whole(config, *first_dense, default=0, low=0)


def _latents(config: dict) -> dict:
    if not config.get("kv_lora_rank"):
        return {}
    keys = ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
    latents = {key: _whole(config, key) for key in keys}
    return latents | {"q_lora_rank": _whole(config, "q_lora_rank", default=0) or None}


def _reach(config: dict, family: str, layers: int) -> dict:
    """Which layers see the whole context, which a window of it, which keep a state instead."""
    kinds = _layer_kinds(config, family, layers)
    if unknown := [kind for kind in kinds if kind not in _FULL | _WINDOWED | _RECURRENT]:
        raise ValueError(f"layer_types holds {unknown[0]!r}: such layers are not covered")
    full, windowed = (sum(kind in group for kind in kinds) for group in (_FULL, _WINDOWED))
    fields: dict = {}
    if windowed:
        fields |= {"sliding_window": _whole(config, "sliding_window", "attention_chunk_size")}
        fields |= {"full_attention_layers": full}
    if full + windowed < layers:
        fields |= {"attention_layers": full + windowed, **mixer_of(config, family)}
    return fields


def _layer_kinds(config: dict, family: str, layers: int) -> list[str]:
    for key in ("layer_types", "layers_block_type"):
        if isinstance(config.get(key), list):
            if len(config[key]) != layers:
                raise ValueError(
                    f"{key} names {len(config[key])} layers; num_hidden_layers={layers} are needed"
                )
            return config[key]
    numbers = range(1, layers + 1)
    if "attn_layer_period" in config:
        period, offset = _whole(config, "attn_layer_period"), _whole(config, "attn_layer_offset", low=0)
        return ["full_attention" if (number - 1) % period == offset else "mamba" for number in numbers]
    if family in _DELTA_NET:
        interval = _whole(config, "full_attention_interval", default=4)
        return ["linear_attention" if number % interval else "full_attention" for number in numbers]
    if "mamba_d_state" in config:
        raise ValueError(f"layer_types is missing; model_type={family!r} has layers without attention")
    if config.get("attention_chunk_size"):
        interval = _whole(config, "no_rope_layer_interval")
        return ["chunked_attention" if number % interval else "full_attention" for number in numbers]
    window = config.get("sliding_window")
    if not window or config.get("use_sliding_window") is False or window >= config["max_position_embeddings"]:
        return ["full_attention"] * layers
    if pattern := config.get("sliding_window_pattern"):
        return ["sliding_attention" if number % pattern else "full_attention" for number in numbers]
    if family.startswith("qwen"):
        if not config.get("use_sliding_window"):
            return ["full_attention"] * layers
        first = _whole(config, "max_window_layers", default=layers, low=0)
        return ["full_attention" if number <= first else "sliding_attention" for number in numbers]
    return ["sliding_attention"] * layers


def _whole(config: dict, *keys: str, default: int | None = None, low: int = 1) -> int:
    """The first of `keys` that is there, as a whole number of at least `low`."""
    for key in keys:
        if key in config and config[key] is not None:
            value = config[key]
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(f"{key}={value!r}: a whole number of at least {low} is needed")
            return value
    if default is None:
        raise ValueError(f"{' or '.join(keys)} is missing; a whole number of at least {low} is needed")
    return default


def _flag(config: dict, key: str, default: bool) -> bool:
    value = config.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f"{key}={value!r}: true or false is needed")
    return value
