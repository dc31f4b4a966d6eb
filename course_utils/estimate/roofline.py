"""Compute or bandwidth: which of the two holds a kernel back, and how fast can it be at most?

A kernel that does I operations for each byte it moves can't do more than I × bandwidth of them in a second,
nor more than the chip's peak. Above the ridge, peak / bandwidth, the peak decides; below it the memory does.

Source: Samuel Williams, Andrew Waterman, David Patterson, "Roofline: An Insightful Visual Performance Model
for Multicore Architectures", Communications of the ACM 52(4), 2009. The formulas for a linear layer are our
own count, under "Linear layer" below.
Taught in: chapter 00, chapter 02.
"""

import math

import numpy as np

# Linear layer: y[tokens, outputs] = x[tokens, inputs] · W[inputs, outputs]. Each output takes `inputs`
# multiplications and as many additions. Weights are read once, x read once, y written once: what a kernel
# moves at least, when the caches hold nothing beforehand and everything during it.


def attainable_flop_per_s(intensity_flop_per_byte, peak_flop_per_s, bandwidth_bytes_per_s):
    """FLOP/s that a kernel can reach at most: min(peak, intensity × bandwidth).

    intensity_flop_per_byte: a number, or an array of them (then an array comes back).
    ValueError for anything not finite and above 0.
    """
    ridge_flop_per_byte(peak_flop_per_s, bandwidth_bytes_per_s)  # its checks
    intensity = np.asarray(intensity_flop_per_byte, dtype=float)
    if not (np.all(np.isfinite(intensity)) and np.all(intensity > 0)):
        raise ValueError(
            f"intensity_flop_per_byte is {intensity_flop_per_byte!r}, expected finite and above 0 everywhere"
        )
    attainable = np.minimum(float(peak_flop_per_s), intensity * float(bandwidth_bytes_per_s))
    return float(attainable) if attainable.ndim == 0 else attainable


def ridge_flop_per_byte(peak_flop_per_s: float, bandwidth_bytes_per_s: float) -> float:
    """FLOP per byte from which on the peak decides and no longer the memory: peak / bandwidth."""
    _above_zero("peak_flop_per_s", peak_flop_per_s)
    _above_zero("bandwidth_bytes_per_s", bandwidth_bytes_per_s)
    return peak_flop_per_s / bandwidth_bytes_per_s


def linear_flop(tokens: int, inputs: int, outputs: int) -> float:
    """FLOP of a linear layer: 2 × tokens × inputs × outputs."""
    _above_zero("tokens", tokens)
    _above_zero("inputs", inputs)
    _above_zero("outputs", outputs)
    return 2.0 * tokens * inputs * outputs


def linear_bytes(
    tokens: int, inputs: int, outputs: int, weight_bytes: float = 2.0, activation_bytes: float = 2.0
) -> float:
    """Bytes that a linear layer moves at least: weights once, inputs and outputs of each token once.

    weight_bytes, activation_bytes: bytes per value, 4 for fp32, 2 for bf16, 0.5 for 4-bit weights.
    """
    _above_zero("tokens", tokens)
    _above_zero("inputs", inputs)
    _above_zero("outputs", outputs)
    _above_zero("weight_bytes", weight_bytes)
    _above_zero("activation_bytes", activation_bytes)
    return weight_bytes * inputs * outputs + activation_bytes * tokens * (inputs + outputs)


def linear_intensity_flop_per_byte(
    tokens: int, inputs: int, outputs: int, weight_bytes: float = 2.0, activation_bytes: float = 2.0
) -> float:
    """Arithmetic intensity of a linear layer over `tokens` tokens at once, FLOP per byte.

    Decode has one token per sequence (a matrix times a vector, GEMV, at batch 1), prefill has all tokens of
    the prompts. For few tokens this is 2 tokens / weight_bytes: 1 for bf16 at batch 1. For many it tends to
    2 inputs outputs / (activation_bytes (inputs + outputs)).
    """
    return linear_flop(tokens, inputs, outputs) / linear_bytes(
        tokens, inputs, outputs, weight_bytes, activation_bytes
    )


def tokens_at_ridge(
    inputs: int,
    outputs: int,
    peak_flop_per_s: float,
    bandwidth_bytes_per_s: float,
    weight_bytes: float = 2.0,
    activation_bytes: float = 2.0,
) -> float:
    """Tokens at once from which on a linear layer is bound by compute; infinity for a layer too small for it.

    Solves linear_intensity_flop_per_byte(tokens) = ridge. For large layers: ridge × weight_bytes / 2.
    """
    ridge = ridge_flop_per_byte(peak_flop_per_s, bandwidth_bytes_per_s)
    linear_bytes(1, inputs, outputs, weight_bytes, activation_bytes)  # its checks
    # 2 T n m = ridge (w n m + a T (n + m)), solved for T.
    flop_left_per_token = linear_flop(1, inputs, outputs) - ridge * activation_bytes * (inputs + outputs)
    if flop_left_per_token <= 0:
        return math.inf
    return ridge * weight_bytes * inputs * outputs / flop_left_per_token


def decode_tokens_per_s(weights_bytes: float, bandwidth_bytes_per_s: float) -> float:
    """Most tokens/s of one sequence: each token reads every weight once, and waits for that.

    An upper bound at batch 1: KV cache, activations and the kernels' own overhead come on top.
    """
    _above_zero("weights_bytes", weights_bytes)
    _above_zero("bandwidth_bytes_per_s", bandwidth_bytes_per_s)
    return bandwidth_bytes_per_s / weights_bytes


def _above_zero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value!r}, expected a finite number above 0")
