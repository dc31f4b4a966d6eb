"""How long one step takes: what it must read, what it must multiply, what it must say to its neighbours.

Every function is one formula over numbers or numpy arrays of rows: `work` holds what the model, chip and split
ask for per chip (see `work.Work`), `c` the engine's constants (see `engine.CONSTANTS`). Times are seconds.
"""

import numpy as np

# Reading and multiplying overlap, not perfectly: a norm between sum (1) and maximum (infinity). 1.5 and 2 fit
# held-out rows about equally well.
OVERLAP = 1.5


def touched_experts(experts, experts_per_token, tokens):
    """Part of the experts that `tokens` tokens reach: 1 - (1 - k/E)^tokens, for a router without favourites."""
    return 1.0 - np.power(1.0 - np.minimum(experts_per_token / experts, 1.0), tokens)


def overlapped(a, b):
    """Time of two activities that overlap: between their maximum and their sum."""
    return (a**OVERLAP + b**OVERLAP) ** (1 / OVERLAP)


def weights_read_s(work, c, tokens):
    """All dense weights and the experts that the step's tokens reach, once, at the chip's bandwidth."""
    reached = touched_experts(work.experts, work.experts_per_token, tokens)
    read = work.dense_bytes + work.head_bytes + work.expert_bytes * reached
    return read / (work.bandwidth * c.bandwidth)


def multiply_s(work, c, tokens):
    """2 FLOP per weight and token, dense weights and chosen experts, at the rate of the precision."""
    dense = work.dense_flop * tokens / work.attention_dp / c.gemm
    experts = work.expert_flop * tokens / (c.gemm * c.moe_gemm)
    return (dense + experts) / work.peak


def communication_s(work, c, tokens):
    """Two all-reduces of the hidden vectors per layer among tp chips, each in the faster of two ways.

    At once: every chip reads all others' vectors, one latency. In two shots (reduce-scatter, all-gather): two
    latencies, but only 2 (tp - 1)/tp of the vectors. Small messages go the first way, large ones the second.
    """
    vectors = tokens * work.hidden * 2.0 / (work.link * c.link)
    at_once = c.allreduce_s + vectors * (work.tp - 1.0)
    two_shots = 2.0 * c.allreduce_s + vectors * 2.0 * (work.tp - 1.0) / work.tp
    return np.where(work.tp > 1, 2.0 * work.layers * np.minimum(at_once, two_shots), 0.0)


def activations_s(work, c, tokens):
    """Intermediate vectors written and read between kernels, two bytes a number."""
    moved = c.activation_passes * work.activation_values * 2.0 * tokens / work.attention_dp
    return moved / (work.bandwidth * c.bandwidth)


def overhead_s(work, c, sequences, launched=1.0):
    """What the engine adds to a step whatever its size: per step, per layer, per sequence.

    Sorting tokens by expert takes longer the more experts a token goes to: about the square root, 8 being usual.
    """
    routing = work.moe_layers * np.sqrt(work.experts_per_token / 8.0)
    layers = work.llama_layers * c.layer_s + routing * c.moe_layer_s
    return c.step_s + layers * launched + sequences * c.sequence_s


def cache_read_s(work, c, sequences, context):
    """The KV cache of every sequence, once: full layers up to `context`, windowed ones up to their window.

    The products are counted too: with many query heads per cached one (GQA, MLA) they can take longer than reading.
    """
    per_sequence = (
        work.kv_full_bytes * context
        + work.kv_window_bytes * np.minimum(context, work.window)
        + work.state_bytes
    )
    share = sequences / work.attention_dp
    read = share * per_sequence / (work.bandwidth * c.kv)
    rate = work.peak_16bit * np.where(work.latent > 0, c.attention, c.decode_attention)
    products = share * context * work.decode_attention_flop / rate
    return overlapped(read, products)


def decode_step_s(work, c, sequences, context, tokens_each=1.0):
    """One new token for each of `sequences` (or `tokens_each`, when a draft is checked), at a mean `context`."""
    tokens = sequences * tokens_each
    return (
        overlapped(weights_read_s(work, c, tokens), multiply_s(work, c, tokens))
        + cache_read_s(work, c, sequences, context)
        + communication_s(work, c, tokens)
        + activations_s(work, c, tokens)
        + overhead_s(work, c, sequences)
    )


def prefill_attention_s(work, c, new, past):
    """Every new token attends to the past and to half of the new ones on average; windows cap that."""
    seen = past + new / 2.0
    flop = work.prefill_attention_flop * seen + work.window_attention_flop * np.minimum(seen, work.window)
    return new * flop / work.attention_dp / (work.peak_16bit * c.attention)


def prefill_s(work, c, new, past, sequences, passes):
    """`sequences` prompts of `new` tokens after `past` cached ones, in `passes` steps over the weights.

    A fraction of a pass is a prompt that shares its step with others.
    """
    tokens = sequences * new / passes
    once = (
        overlapped(weights_read_s(work, c, tokens), multiply_s(work, c, tokens))
        + communication_s(work, c, tokens)
        + activations_s(work, c, tokens)
        + overhead_s(work, c, np.minimum(sequences, sequences / passes), c.eager)
    )
    return passes * once + sequences * prefill_attention_s(work, c, new, past)
