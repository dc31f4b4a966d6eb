"""Layers that carry a state of fixed size in place of a KV cache: Mamba, Mamba-2, gated DeltaNet.

Each function gives the weights of one such layer and how many numbers its state holds for one sequence,
whatever the sequence's length. Sizes follow the modules of Hugging Face transformers.
"""


def mixer_of(config: dict, family: str) -> dict:
    """`mixer_parameters` and `state_values_per_layer` of a hybrid. ValueError for one not covered."""
    kinds = {"jamba": _mamba, "granitemoehybrid": _mamba2}
    mixer = kinds.get(family) or (_delta_net if "linear_num_value_heads" in config else None)
    if mixer is None:
        raise ValueError(f"model_type={family!r}: its layers without attention are not covered")
    try:
        weights, state = mixer(config)
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is missing; a whole number is needed") from None
    return {"mixer_parameters": weights, "state_values_per_layer": state}


def _mamba(config: dict) -> tuple[int, int]:
    """Selective state space (Gu and Dao 2023, arXiv:2312.00752), with Jamba's three extra norms."""
    hidden, states = config["hidden_size"], config["mamba_d_state"]
    kernel, rank = config["mamba_d_conv"], config["mamba_dt_rank"]
    inner = config["mamba_expand"] * hidden
    projections = hidden * 2 * inner + inner * (rank + 2 * states) + rank * inner + inner + inner * hidden
    convolution = inner * (kernel + 1)
    return projections + convolution + inner * (states + 1) + rank + 2 * states, inner * (states + kernel)


def _mamba2(config: dict) -> tuple[int, int]:
    """State space duality (Dao and Gu 2024, arXiv:2405.21060)."""
    hidden, states, heads = config["hidden_size"], config["mamba_d_state"], config["mamba_n_heads"]
    inner, kernel = config["mamba_expand"] * hidden, config["mamba_d_conv"]
    convolved = inner + 2 * config["mamba_n_groups"] * states
    projections = hidden * (inner + convolved + heads) + inner * hidden
    return projections + convolved * (kernel + 1) + 3 * heads + inner, inner * states + convolved * kernel


def _delta_net(config: dict) -> tuple[int, int]:
    """Gated delta rule (Yang et al. 2024, arXiv:2412.06464), as in Qwen3-Next and Qwen3.5."""
    hidden, kernel = config["hidden_size"], config["linear_conv_kernel_dim"]
    heads, head_dim = config["linear_num_value_heads"], config["linear_value_head_dim"]
    keys, values = config["linear_num_key_heads"] * config["linear_key_head_dim"], heads * head_dim
    projections = hidden * (2 * keys + 2 * values + 2 * heads) + values * hidden
    convolved = 2 * keys + values
    state = heads * config["linear_key_head_dim"] * head_dim + convolved * kernel
    return projections + convolved * kernel + 2 * heads + head_dim, state
