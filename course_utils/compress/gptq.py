"""GPTQ: round a column, then move the error it made into the columns not rounded yet.

Plain rounding treats each weight alone. A layer's output only sees sums, so what one column rounds up, columns
that carry a correlated input can take back. How much each should take follows from H = XᵀX of the layer's
inputs: with U the upper Cholesky factor of H⁻¹, rounding column i with error e changes the columns j > i by
−e / U[i, i] × U[i, j].

Source: Elias Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", 2022, algorithm 1. Scales come from the original weights, as in llmcompressor, whose codes these
equal.
Taught in: chapter 04.
"""

import torch
from torch import Tensor, nn

from course_utils.compress.blocks import Reading
from course_utils.compress.calibration import (
    InputStats,
    LayerResult,
    checked_linear,
    checked_stats,
    stats_of,
)
from course_utils.compress.quantizing import Chosen, quantize_blocks
from course_utils.compress.rounding import (
    Quantized,
    checked_weight,
    code_range,
    extremes,
    grid,
    spread,
)


def quantize_gptq(
    weight: Tensor,
    stats: InputStats,
    bits: int = 4,
    per: str | int = 128,
    scheme: str = "symmetric",
    *,
    damping: float = 0.01,
    block: int = 128,
    act_order: bool = False,
) -> Quantized:
    """Codes of a weight [rows, columns] that keep its output on the calibration inputs.

    damping: added to H's diagonal, as a share of its mean; steadies the inverse. block: columns whose updates
    are gathered before the rest of the matrix sees them, for speed only. act_order: round the columns with the
    largest inputs first, while there are still many left to correct them.
    ValueError as `rounding.quantize`, and for statistics without a token, not finite, or of other columns.
    """
    weight = checked_weight(weight)
    scale, zero = grid(*extremes(weight, per), bits, scheme)
    checked_stats(stats, weight.shape[1])
    order, factor = update_order(stats.gram, damping, act_order)
    dead = stats.gram.diagonal() == 0  # an input that is always zero: its weights never matter
    remaining = weight.masked_fill(dead, 0.0).T[order].contiguous()  # [columns, rows]: a column is contiguous
    codes = torch.empty_like(remaining)
    lowest, highest = code_range(bits, scheme)
    scales = spread(scale, weight.shape[1]).expand_as(weight).T[order].contiguous()
    zeros = (
        None
        if zero is None
        else spread(zero.float(), weight.shape[1]).expand_as(weight).T[order].contiguous()
    )

    for start in range(0, len(order), block):
        stop = min(start + block, len(order))
        errors = torch.empty_like(remaining[start:stop])
        for i in range(start, stop):
            column, row = remaining[i], factor[i]
            code = column / scales[i]
            if zeros is not None:
                code += zeros[i]
            codes[i] = code.round_().clamp_(lowest, highest)
            rounded = (codes[i] if zeros is None else codes[i] - zeros[i]) * scales[i]
            error = torch.div(column - rounded, row[i], out=errors[i - start])
            remaining[i + 1 : stop].addr_(row[i + 1 : stop], error, alpha=-1)
        remaining[stop:].addmm_(factor[start:stop, stop:].T, errors, alpha=-1)

    in_order = torch.empty_like(codes)
    in_order[order] = codes
    return Quantized(in_order.T.to(torch.int8).contiguous(), scale, zero, bits, scheme)


def update_order(gram: Tensor, damping: float, act_order: bool) -> tuple[Tensor, Tensor]:
    """Order of the columns [columns], and U with UᵀU = H⁻¹ [columns, columns] for the columns in that order.

    ValueError where H can't be inverted even damped.
    """
    if not 0 <= damping < float("inf"):
        raise ValueError(
            f"damping is {damping!r}, expected a finite share of H's mean diagonal, usually 0.01"
        )
    diagonal = gram.diagonal()
    order = torch.arange(len(gram), device=gram.device)
    hessian = gram.clone()
    if act_order:
        order = diagonal.argsort(descending=True)
        hessian = hessian[order][:, order]
    diagonal = hessian.diagonal()
    diagonal[diagonal == 0] = 1.0
    diagonal += damping * diagonal.mean()
    lower, failed = torch.linalg.cholesky_ex(hessian)
    if not failed:
        factor, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
    if failed:
        raise ValueError(
            f"damping is {damping!r}, too small to invert XᵀX; expected more, or more calibration tokens"
        )
    return order, factor


def quantize_layer(
    layer: nn.Linear, inputs: Tensor, bits: int = 4, per: str | int = 128, **options
) -> Quantized:
    """GPTQ of one layer from inputs [..., columns] to it; the layer is left as it is. Options: quantize_gptq's."""
    return quantize_gptq(checked_linear(layer).weight, stats_of(inputs), bits, per, **options)


def quantize_model(
    model: nn.Module,
    batches,
    bits: int = 4,
    per: str | int = 128,
    scheme: str = "symmetric",
    *,
    damping: float = 0.01,
    act_order: bool = False,
    progress: bool = True,
) -> dict[str, LayerResult]:
    """GPTQ of every linear in the blocks of a Llama-like model, in place; results by full name.

    batches: as `blocks.compress_blocks`. Embeddings and lm_head stay as they are. On any error so does the
    whole model.
    """
    options = {"damping": damping, "act_order": act_order}

    def choose(_, readings: list[Reading]):
        chosen = {}
        for reading in readings:
            weights = [linear.weight.float() for linear in reading.linears.values()]
            if per == "tensor":
                parts = [quantize_gptq(w, reading.stats, bits, per, scheme, **options) for w in weights]
            else:
                # Rows don't depend on each other: q, k and v, which read the same input, are solved in one go.
                whole = quantize_gptq(torch.cat(weights), reading.stats, bits, per, scheme, **options)
                parts = _rows(whole, [len(weight) for weight in weights])
            chosen |= {
                name: Chosen(part, part.dequantize())
                for name, part in zip(reading.linears, parts, strict=True)
            }
        return chosen, {}

    title = f"GPTQ, {bits} bits"
    return quantize_blocks(model, batches, bits, per, scheme, choose, title=title, progress=progress)


def _rows(whole: Quantized, counts: list[int]) -> list[Quantized]:
    codes, scales = whole.codes.split(counts), whole.scale.split(counts)
    zeros = [None] * len(counts) if whole.zero is None else whole.zero.split(counts)
    return [
        Quantized(code, scale, zero, whole.bits, whole.scheme)
        for code, scale, zero in zip(codes, scales, zeros, strict=True)
    ]
