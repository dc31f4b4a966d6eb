"""What must fit: weights, KV cache, activations; how it splits over chips; the largest batch that is left room for.

Sizes are bytes, `_gib` is 2**30 bytes. Every formula is per model replica unless its name says per chip.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from course_utils.catalog.accelerators import Accelerator, accelerator
from course_utils.catalog.models import ModelShape, model
from course_utils.estimate.precision import Precision, precision

GIB = 2**30


class DoesNotFit(ValueError):
    """A model, with one sequence of the asked length, is larger than the memory of its chips."""


@dataclass(frozen=True)
class Parts:
    """Weights of a model by how they are stored and read, counted (not bytes).

    `embedding` is looked up one row per token; `head` is the output matrix, multiplied at every step (the same
    weights when tied); `experts` are all routed experts; `other` is attention, dense MLPs, shared experts, norms.
    """

    embedding: int
    head: int
    experts: int
    attention: int
    other: int


@lru_cache(maxsize=4096)
def parts(shape: ModelShape) -> Parts:
    """Split `shape.parameters` into parts; the parts sum to it (plus the head again when embeddings are tied)."""
    matrix = shape.vocab_size * shape.hidden_size
    idle = shape.parameters - shape.active_parameters  # experts that one token isn't sent to
    experts = round(idle * shape.experts / (shape.experts - shape.experts_per_token)) if idle else 0
    if shape.experts and not idle:  # every expert is used by every token
        matrices = 3 if shape.gated_mlp else 2
        experts = (
            (shape.layers - shape.dense_layers)
            * shape.experts
            * matrices
            * shape.hidden_size
            * shape.moe_intermediate_size
        )
    body = shape.parameters - experts - matrix * (1 if shape.tied_embeddings else 2)
    matrices = 3 if shape.gated_mlp else 2
    moe_layers = shape.layers - shape.dense_layers if shape.experts else 0
    mlp = matrices * shape.hidden_size * (shape.layers - moe_layers) * shape.intermediate_size
    mlp += matrices * shape.hidden_size * moe_layers * shape.shared_experts * shape.moe_intermediate_size
    return Parts(matrix, matrix, experts, max(body - mlp, 0), min(mlp, body))


def weights_bytes(shape: ModelShape, recipe: Precision | str) -> float:
    """All weights in memory: quantized ones with their scales, embeddings and output matrix as the recipe says (16
    bits but for FP32 and GGUF).

    A mixture of experts under a recipe of 4 bits (GGUF aside) keeps attention and shared layers wide, as published
    checkpoints do.
    """
    recipe = precision(recipe) if isinstance(recipe, str) else recipe
    count = parts(shape)
    wide = recipe.moe_attention_bits if shape.experts else recipe.weight_bits
    embeddings = count.embedding if shape.tied_embeddings else count.embedding + count.head
    bits = embeddings * recipe.embedding_bits + count.experts * recipe.weight_bits
    return (bits + (count.attention + count.other) * wide) / 8


def kv_values_per_token_per_layer(shape: ModelShape) -> int:
    """Numbers that one attention layer caches per token: keys and values of the KV heads, or the MLA latent.

    GQA: 2 x kv_heads x head_dim (Ainslie et al. 2023), never the query heads. MLA: kv_lora_rank + qk_rope_head_dim
    (DeepSeek-V2, section 2.1.3).
    """
    if shape.kv_lora_rank:
        return shape.kv_lora_rank + shape.qk_rope_head_dim
    return 2 * shape.kv_heads * shape.head_dim


# A sparse index keeps one key of 128 values per token and layer, FP8 with an FP32 scale (DeepSeek-V3.2, section 2.1).
INDEX_DIM = 128
INDEX_BYTES = INDEX_DIM + 4


def index_bytes_per_token(shape: ModelShape) -> float:
    """Growth of a sparse index per token, bytes; 0 for attention to all tokens or to a window."""
    return float(shape.kv_layers * INDEX_BYTES) if shape.index_topk else 0.0


def kv_bytes_per_token(shape: ModelShape, kv_bits: float = 16) -> float:
    """Growth of the cache per token once every window is full, bytes: layers that see everything."""
    latents = shape.full_kv_layers * kv_values_per_token_per_layer(shape) * kv_bits / 8
    return latents + index_bytes_per_token(shape)


def kv_bytes(shape: ModelShape, context_tokens: float, kv_bits: float = 16) -> float:
    """KV cache of one sequence, bytes: full layers hold the context, windowed ones at most their window, layers
    without attention a state (in FP32) that doesn't grow."""
    _positive("context_tokens", context_tokens, allow_zero=True)
    per_layer = kv_values_per_token_per_layer(shape) * kv_bits / 8
    windowed = min(context_tokens, shape.sliding_window or context_tokens)
    window_layers = shape.kv_layers - shape.full_kv_layers
    tokens = shape.full_kv_layers * context_tokens + window_layers * windowed
    return per_layer * tokens + index_bytes_per_token(shape) * context_tokens + state_bytes(shape)


def state_bytes(shape: ModelShape) -> float:
    """Recurrent state of one sequence in a hybrid model, bytes (FP32), at any context length."""
    return 4.0 * (shape.layers - shape.kv_layers) * shape.state_values_per_layer


def kv_share_per_chip(shape: ModelShape, tp: int) -> float:
    """Part of a sequence's KV cache that each chip of a tensor-parallel group holds.

    Heads are split; when there are more chips than KV heads, each head is held by several. The latent of MLA
    belongs to all heads, so every chip holds all of it.
    """
    return 1.0 if shape.kv_lora_rank else 1.0 / min(tp, shape.kv_heads)


def activation_bytes(shape: ModelShape, tokens_per_step: float) -> float:
    """Largest intermediate results of a step, bytes per chip: a few hidden vectors, the MLP's inner one, and FP32
    logits for the sequences that sample (taken as 256 at most). A fused engine keeps about this much alive."""
    inner = max(shape.intermediate_size, shape.experts_per_token * shape.moe_intermediate_size)
    return 2.0 * tokens_per_step * (4 * shape.hidden_size + 2 * inner) + 4.0 * 256 * shape.vocab_size


@dataclass(frozen=True)
class Fit:
    """How a model lies on its chips. `max_batch` is for the whole replica (of tp x pp chips)."""

    weights_bytes_per_chip: float
    usable_bytes_per_chip: float
    kv_bytes_per_sequence_per_chip: float
    max_batch: int

    @property
    def kv_pool_bytes_per_chip(self) -> float:
        return self.usable_bytes_per_chip - self.weights_bytes_per_chip

    @property
    def has_margin(self) -> bool:
        """Whether a tenth is left beside the weights and one sequence: what is advised should not just fit."""
        taken = self.weights_bytes_per_chip + self.kv_bytes_per_sequence_per_chip
        return self.max_batch >= 1 and self.usable_bytes_per_chip >= 1.1 * taken


def fit(
    shape: ModelShape | str,
    chip: Accelerator | str,
    recipe: Precision | str = "bf16",
    *,
    context_tokens: float = 2048,
    tp: int = 1,
    pp: int = 1,
    attention_dp: int = 1,
    kv_bits: float | None = None,
    memory_fraction: float = 0.9,
    of_free: bool = False,
    step_tokens: int = 8192,
    reserved_bytes: float = 2e9,
) -> Fit:
    """Place a replica on tp x pp chips and count the sequences of `context_tokens` that fit beside it.

    `memory_fraction` of each chip is the engine's to use (vLLM's default is 0.9); `of_free` takes it of what the
    weights leave instead (TensorRT-LLM). `reserved_bytes` of each chip are the runtime's; a step computes at most
    `step_tokens` prompt tokens. With `attention_dp` the tp chips split sequences instead of heads in attention, and
    share the experts. Experts take the same bytes per chip whether each is cut (tensor parallel) or they are dealt
    out whole (expert parallel). DoesNotFit says how much is missing, and the smallest power of two of the same
    chips, or the precision, that would do.
    """
    shape = model(shape) if isinstance(shape, str) else shape
    chip = accelerator(chip) if isinstance(chip, str) else chip
    recipe = precision(recipe) if isinstance(recipe, str) else recipe
    for name, value in (("tp", tp), ("pp", pp), ("attention_dp", attention_dp)):
        _positive(name, value)
    _positive("context_tokens", context_tokens)
    if not 0 < memory_fraction <= 1:
        raise ValueError(f"memory_fraction={memory_fraction!r}: above 0 and at most 1 is needed")
    kv_bits = recipe.kv_bits if kv_bits is None else kv_bits

    def place(recipe: Precision, tp: int) -> Fit:
        weights = weights_bytes_per_chip(shape, recipe, tp, pp, attention_dp)
        sequence = kv_bytes(shape, context_tokens, kv_bits) * kv_share_per_chip(shape, tp // attention_dp)
        sequence /= pp * attention_dp
        activations = activation_bytes(shape, min(context_tokens, step_tokens)) / tp
        usable = chip.memory_bytes - reserved_bytes - activations
        usable = (
            weights + memory_fraction * (usable - weights)
            if of_free
            else usable - (1 - memory_fraction) * chip.memory_bytes
        )
        batch = int((usable - weights) // sequence) if sequence else 1_000_000
        return Fit(weights, usable, sequence, batch)

    placed = place(recipe, tp)
    if placed.max_batch < 1:
        raise DoesNotFit(_advice(shape, chip, recipe, tp, pp, context_tokens, kv_bits, placed, place))
    return placed


def weights_bytes_per_chip(
    shape: ModelShape, recipe: Precision, tp: int = 1, pp: int = 1, attention_dp: int = 1
) -> float:
    """Weights on each of tp x pp chips, bytes. Attention data parallelism copies what isn't an expert."""
    experts = parts(shape).experts * recipe.weight_bits / 8
    rest = weights_bytes(shape, recipe) - experts
    return (experts / tp + rest * attention_dp / tp) / pp


def max_batch(shape, chip, recipe="bf16", **placement) -> int:
    """Sequences of `context_tokens` that fit at once on a replica; see `fit`."""
    return fit(shape, chip, recipe, **placement).max_batch


def _advice(shape, chip, recipe, tp, pp, context, kv_bits, placed, place) -> str:
    """One sentence: how much is missing, and what would fit, which `place` has tried."""
    need = weights_bytes(shape, recipe) + kv_bytes(shape, context, kv_bits)
    missing = placed.kv_bytes_per_sequence_per_chip - placed.kv_pool_bytes_per_chip
    chips, ways = tp * pp, []
    wider = (2**n for n in range(1, 7) if tp < 2**n and shape.heads % 2**n == 0 and 2**n * pp <= 64)
    for more in wider:
        if place(recipe, more).has_margin:
            ways.append(f"{more * pp} x {chip.name}")
            break
    for name in ("fp8", "int4"):
        other = precision(name)
        if other.weight_bits < recipe.weight_bits and place(other, tp).has_margin:
            ways.append(f"{name} weights on the same {'chip' if chips == 1 else 'chips'}")
            break
    return (
        f"{shape.name} in {recipe.name} needs {need / GIB:.1f} GiB with one sequence of {context:g} tokens; "
        f"{chips} x {chip.name} lacks {missing / GIB:.1f} GiB per chip; "
        f"would fit: {' or '.join(ways) or 'a larger chip'}"
    )


def _positive(name: str, value: float, allow_zero: bool = False) -> None:
    if not (
        isinstance(value, int | float) and math.isfinite(value) and (value > 0 or (allow_zero and value == 0))
    ):
        raise ValueError(
            f"{name}={value!r}: a finite number {'of at least' if allow_zero else 'above'} 0 is needed"
        )
