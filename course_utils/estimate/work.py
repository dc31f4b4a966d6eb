"""What a deployment asks of each of its chips, as arrays with one entry per row: bytes, FLOP, limits, load.

This is where model, chip and split meet; `step` turns it into seconds. All byte and FLOP figures are per chip.
"""

from dataclasses import dataclass, fields, make_dataclass
from functools import lru_cache

import numpy as np

from course_utils.estimate.deployment import Deployment
from course_utils.estimate.engine import CONSTANTS, chip_family, constants, is_geforce, link_class
from course_utils.estimate.memory import (
    INDEX_DIM,
    index_bytes_per_token,
    kv_share_per_chip,
    kv_values_per_token_per_layer,
    parts,
    state_bytes,
)
from course_utils.estimate.precision import compute_type

# One array per constant, with the constants' names: what `step` calls `c`.
Constants = make_dataclass("Constants", [(name, np.ndarray) for name in CONSTANTS])


@dataclass(frozen=True)
class Work:
    """Arrays over rows. Bytes and FLOP are per chip; `*_flop` of attention are per new token and context token."""

    bandwidth: np.ndarray  # bytes/s
    peak: np.ndarray  # FLOP/s of the matrix products
    peak_16bit: np.ndarray  # FLOP/s of attention
    link: np.ndarray  # bytes/s to the other chips, one direction
    tp: np.ndarray
    pp: np.ndarray
    attention_dp: np.ndarray
    replicas: np.ndarray
    gpus: np.ndarray
    dense_bytes: np.ndarray
    head_bytes: np.ndarray
    expert_bytes: np.ndarray
    experts: np.ndarray
    experts_per_token: np.ndarray
    dense_flop: np.ndarray  # per token
    expert_flop: np.ndarray  # per token
    layers: np.ndarray
    llama_layers: np.ndarray  # layers of a Llama that launch as many kernels, routed experts aside
    moe_layers: np.ndarray
    hidden: np.ndarray
    activation_values: np.ndarray  # numbers that all layers hand on, per token
    latent: np.ndarray  # 1 with multi-head latent attention, else 0
    kv_full_bytes: np.ndarray  # per context token
    kv_window_bytes: np.ndarray  # per context token within the window
    window: np.ndarray  # tokens
    state_bytes: np.ndarray  # per sequence
    decode_attention_flop: np.ndarray
    prefill_attention_flop: np.ndarray
    window_attention_flop: np.ndarray
    max_batch: np.ndarray  # sequences per replica that memory and engine allow
    step_tokens: np.ndarray  # prompt tokens per step at most
    isl: np.ndarray
    osl: np.ndarray
    load_value: np.ndarray
    prefix_hit: np.ndarray
    draft_tokens: np.ndarray
    acceptance: np.ndarray

    def take(self, index) -> "Work":
        """The rows that `index` (a mask or positions) picks."""
        return Work(*(getattr(self, field.name)[index] for field in fields(self)))


def work_of(deployments: list[Deployment]) -> Work:
    """One row of arrays per deployment."""
    table = np.array([_row(one) for one in deployments], dtype=float).reshape(len(deployments), -1)
    return Work(*table.T)


def constants_of(deployments: list[Deployment]) -> Constants:
    """Fitted constants of each deployment's engine, chip family, precision, link and kind, as arrays."""
    table = np.array([constants(*labels(one)) for one in deployments], dtype=float)
    return Constants(*table.reshape(len(deployments), -1).T)


def labels(one: Deployment) -> tuple[str, str, str, str, str]:
    """What a row's constants depend on: engine, chip family, precision, link, and kind (dense, moe, or mla)."""
    family, link = _chip_labels(one.chip)
    kind = "mla" if one.shape.kv_lora_rank else "moe" if one.shape.experts else "dense"
    return one.settings.name, family, _precision_label(one.chip, one.recipe), link, kind


@lru_cache(maxsize=4096)
def _precision_label(chip, recipe) -> str:
    """The recipe's family; `…_unpacked` where the chip must widen the weights before it multiplies."""
    native = compute_type(chip, recipe.compute) == recipe.compute or recipe.family in ("bf16", "gguf", "int4")
    return recipe.family if native else f"{recipe.family}_unpacked"


@lru_cache(maxsize=1024)
def _chip_labels(chip) -> tuple[str, str]:
    return chip_family(chip), link_class(chip)


@lru_cache(maxsize=4096)
def _chip_limits(chip, recipe, half_accumulation) -> tuple[float, float, float, float]:
    """Bandwidth, peak of the recipe's products, 16-bit peak, link. A chip without a link talks at 8 GB/s."""
    peak = chip.flop_per_s(compute_type(chip, recipe.compute))
    narrow = chip.flop_per_s(compute_type(chip, "bf16"))
    if half_accumulation and is_geforce(chip):
        peak, narrow = 2 * peak, 2 * narrow
    return chip.bandwidth_bytes_per_s, peak, narrow, chip.link_bytes_per_s or 8e9


@lru_cache(maxsize=4096)
def _model_sizes(shape, recipe, kv_bits) -> tuple[float, ...]:
    """Bytes and FLOP of the whole model: what `_row` divides among chips."""
    count = parts(shape)
    wide = (recipe.moe_attention_bits if shape.experts else recipe.weight_bits) / 8
    per_layer = kv_values_per_token_per_layer(shape) * kv_bits / 8
    if (
        shape.kv_lora_rank
    ):  # decode works on the latent, prefill on keys and values (DeepSeek-V2, section 2.1)
        decode = 2.0 * shape.heads * (2 * shape.kv_lora_rank + shape.qk_rope_head_dim)
        prefill = 2.0 * shape.heads * (shape.qk_nope_head_dim + shape.qk_rope_head_dim + shape.v_head_dim)
    else:
        decode = prefill = 4.0 * shape.heads * shape.head_dim
    full_layers, window_layers = shape.full_kv_layers, shape.kv_layers - shape.full_kv_layers
    window, index_flop = shape.sliding_window, 0.0
    if shape.index_topk:  # a window of picked tokens; the index itself sees all, with half as many heads
        full_layers, window_layers, window = 0, shape.kv_layers, shape.index_topk
        index_flop = shape.kv_layers * 2.0 * (shape.heads // 2) * INDEX_DIM
    moe_layers = shape.layers - shape.dense_layers if shape.experts else 0
    return (
        (count.attention + count.other) * wide,
        count.head * recipe.embedding_bits / 8,
        count.experts * recipe.weight_bits / 8,
        shape.experts or 1,
        shape.experts_per_token or 1,
        2.0 * (count.attention + count.other),
        2.0 * count.experts * shape.experts_per_token / (shape.experts or 1),
        shape.layers,
        llama_layers(shape),
        moe_layers,
        shape.hidden_size,
        # Split among chips: the MLP's inner vector, and a copy of the hidden one for each chosen expert.
        (shape.layers - moe_layers) * shape.intermediate_size
        + moe_layers * (shape.experts_per_token * (shape.hidden_size + shape.moe_intermediate_size)),
        float(bool(shape.kv_lora_rank)),
        full_layers * per_layer + index_bytes_per_token(shape),
        window_layers * per_layer,
        window or 1e9,
        state_bytes(shape),
        full_layers * decode + index_flop,
        full_layers * prefill + index_flop,
        window_layers * prefill,
    )


# Kernels that a decode step launches in one layer, counted from its operations: norm, projections, rotation and cache
# write, attention and its reduction, output; latent attention has two projections for one and absorbs two matrices
# (DeepSeek-V2, section 2.1); a sparse index projects, rotates, quantizes, scores and picks; a gated delta rule has a
# convolution, gates, the recurrence and a norm. Experts are left to `moe_layer_s`: their layers keep a norm and the
# shared expert.
_ATTENTION, _LATENT_ATTENTION, _INDEX, _RECURRENCE, _MLP = 7, 14, 11, 10, 4
_LLAMA_LAYER = _ATTENTION + _MLP


def llama_layers(shape) -> float:
    """Layers of a Llama that launch as many kernels as all layers of `shape` do, routed experts aside."""
    attention = _LATENT_ATTENTION if shape.kv_lora_rank else _ATTENTION
    attention += 2 * shape.qk_norm + 2 * shape.query_gate + (_INDEX if shape.index_topk else 0)
    moe_layers = shape.layers - shape.dense_layers if shape.experts else 0
    kernels = shape.kv_layers * attention + (shape.layers - shape.kv_layers) * _RECURRENCE
    kernels += (shape.layers - moe_layers) * _MLP
    kernels += moe_layers * (1 + (_MLP if shape.shared_experts else 0))
    return kernels / _LLAMA_LAYER


def _row(one: Deployment) -> tuple[float, ...]:
    """All fields of Work for one deployment, in their order."""
    dense, head, experts, count, chosen, dense_flop, expert_flop, *rest = _model_sizes(
        one.shape, one.recipe, one.kv_bits
    )
    layers, kernels, moe_layers, hidden, split_values, latent, *cache = rest
    kv_full, kv_window, window, state, decode_flop, prefill_flop, window_flop = cache
    attention_tp = one.tp // one.attention_dp
    share = kv_share_per_chip(one.shape, attention_tp)
    return (
        *_chip_limits(one.chip, one.recipe, one.settings.half_accumulation),
        one.tp,
        one.pp,
        one.attention_dp,
        one.replicas,
        one.gpus,
        dense / attention_tp,
        head / attention_tp,
        experts / one.tp,
        count,
        chosen,
        dense_flop / attention_tp,
        expert_flop / one.tp,
        layers,
        kernels,
        moe_layers,
        hidden,
        layers * hidden + split_values / one.tp,
        latent,
        kv_full * share,
        kv_window * share,
        window,
        state / attention_tp,
        decode_flop / attention_tp,
        prefill_flop / attention_tp,
        window_flop / attention_tp,
        min(one.fit.max_batch, one.settings.max_batch),
        one.settings.step_tokens,
        one.isl,
        one.osl,
        one.load_value,
        one.prefix_hit,
        one.draft_tokens,
        one.acceptance,
    )
