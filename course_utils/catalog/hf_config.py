"""A Hugging Face `config.json`, read as the fields of a `ModelShape`.

Makers name the same thing differently and leave out what their own code takes for granted; each rule here is
one such habit. What the rules don't cover is refused, with the key that would be needed: a guessed shape is
worse than none.
"""

import json
from datetime import date
from pathlib import Path

# Two-matrix MLP and LayerNorm with bias, where the rest have three matrices and RMSNorm.
_PLAIN_MLP = frozenset(
    {"gpt2", "gpt_neox", "gpt_bigcode", "opt", "bloom", "falcon", "phi", "starcoder2", "gptj", "mpt"}
)
# Families whose code ties the output matrix to the embeddings where the config says nothing.
_TIED = frozenset(
    {"gpt2", "gemma", "gemma2", "gemma3", "gemma3_text", "opt", "bloom", "falcon", "smollm3", "cohere"}
)
_FOUR_NORMS = frozenset({"gemma2", "gemma3", "gemma3_text"})
_QK_NORM = frozenset({"qwen3", "qwen3_moe", "gemma3", "gemma3_text", "qwen3_next"})
_QKV_BIAS = frozenset(
    {"qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen2_5_vl_text", "gpt2", "phi", "gpt_oss"}
)
# Layers whose state isn't a KV cache of keys and values: shapes that this catalog can't count.
_FOREIGN = (
    "hybrid_override_pattern",
    "ssm_state_size",
    "mamba_d_ssm",
    "linear_attn_config",
    "attn_type_list",
)
_FOREIGN += (
    "compress_rates",
    "hidden_size_per_layer_input",
    "num_kv_shared_layers",
    "block_configs",
    "mamba_n_heads",
)


def read_config(path: Path) -> dict:
    """Fields of a `ModelShape` from a `config.json`, or from the folder that holds one.

    ValueError for a file that isn't there or isn't JSON, for a key that is absent or holds nonsense, and for an
    architecture that these rules don't cover.
    """
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"name_or_config_path={str(path)!r}: there is no such file; a config.json is needed")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file.name} is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(
            f"{file.name} holds a {type(config).__name__}; an object with the model's settings is needed"
        )
    name = config.get("_name_or_path") or file.resolve().parent.name
    as_of = date.fromtimestamp(file.stat().st_mtime)
    try:
        fields = shape_fields(config)
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from None
    return fields | {
        "name": name,
        "repository": "",
        "source": f"{file.name} in {file.resolve().parent.name}",
        "as_of": as_of,
    }


def shape_fields(config: dict) -> dict:
    """Fields of a `ModelShape` from a config already loaded; multimodal ones are read from their `text_config`."""
    outer = config
    for key in ("text_config", "llm_config", "language_config"):
        if isinstance(config.get(key), dict):
            config = {"tie_word_embeddings": outer.get("tie_word_embeddings"), **config[key]}
    family = config.get("model_type", "")
    if config.get("is_encoder_decoder"):
        raise ValueError("is_encoder_decoder=true: only decoder-only models are covered")
    for key in _FOREIGN:
        if config.get(key):
            raise ValueError(
                f"{key}={config[key]!r}: this kind of layer (model_type={family!r}) is not covered"
            )

    layers = _whole(config, "num_hidden_layers", "n_layer", "n_layers")
    hidden = _whole(config, "hidden_size", "n_embd", "d_model")
    heads = _whole(config, "num_attention_heads", "n_head", "n_heads")
    head_dim = _whole(config, "head_dim", default=0)
    if not head_dim:
        if hidden % heads:
            raise ValueError(f"head_dim is missing, and hidden_size={hidden} is no multiple of {heads} heads")
        head_dim = hidden // heads
    if family == "falcon" and not config.get("new_decoder_architecture"):
        kv_heads = 1 if config.get("multi_query") else heads
    else:
        kv_heads = _whole(config, "num_key_value_heads", "num_kv_heads", default=heads)

    fields = {
        "layers": layers,
        "hidden_size": hidden,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": head_dim,
        "vocab_size": _whole(config, "vocab_size"),
        "max_context": _whole(config, "max_position_embeddings", "n_positions", "max_seq_len", "seq_length"),
        "tied_embeddings": _flag(config, "tie_word_embeddings", default=family in _TIED),
        "gated_mlp": family not in _PLAIN_MLP,
        "qk_norm": family in _QK_NORM,
        "norms_per_layer": 4 if family in _FOUR_NORMS else 1 if family in ("phi", "falcon") else 2,
        "norm_bias": family in _PLAIN_MLP,
        "qkv_bias": _flag(config, "attention_bias", default=family in _QKV_BIAS),
        "output_bias": _flag(config, "attention_bias", default=family in ("gpt2", "phi")),
        "mlp_bias": _flag(config, "mlp_bias", default=family in ("gpt2", "phi", "gpt_oss")),
        "learned_positions": _whole(config, "n_positions") if family == "gpt2" else 0,
    }
    fields |= _width(config, family, hidden, layers)
    fields |= _latent(config)
    fields |= _window(config, family, layers)
    return fields
