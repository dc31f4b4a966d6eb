"""AWQ: a few input channels carry large activations; give their weights a finer grid by scaling them up first.

Round(W · s) / s: a weight scaled up by s is rounded with a step s times smaller, and its neighbours pay only if
their group's largest weight grew. Which s? The channel's mean magnitude to some power, s = mean|x| ^ ratio,
and the ratio that loses least output energy on a grid from 0 to 1. Ratio 0 is plain rounding and is always on
the grid, so AWQ never loses to it: per layer, a candidate that makes any layer worse than plain rounding is out.

Source: Ji Lin et al., "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration", 2023,
section 3.2. Taught in: chapter 04.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from course_utils.compress.blocks import Reading
from course_utils.compress.calibration import (
    InputStats,
    LayerResult,
    checked_linear,
    checked_stats,
    output_energy,
    stats_of,
)
from course_utils.compress.folding import foldable, folded, rows_divided, source_of
from course_utils.compress.quantizing import Chosen, quantize_blocks
from course_utils.compress.rounding import (
    Quantized,
    checked_weight,
    extremes,
    grid,
    group_size,
    nearest_codes,
    quantize,
)

RATIOS = tuple(step / 20 for step in range(20))
# Shares of a group's range that clipping tries; 1.0, no clipping, is always among them.
SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)


@dataclass(frozen=True, eq=False)
class Scaled:
    """A layer whose columns were scaled before rounding.

    quantized: codes of W · scale. scale: [columns], what the layer's input has to be divided by. ratio: the
    power that was chosen, 0.0 where plain rounding was best.
    """

    quantized: Quantized
    scale: Tensor
    ratio: float

    def dequantize(self) -> Tensor:
        """The weights that the layer acts with, scale undone, float32 [rows, columns]."""
        return self.quantized.dequantize() / self.scale


def salient_channels(stats: InputStats, share: float = 0.01) -> Tensor:
    """Indices of the input channels with the largest mean magnitude, largest first: 1 % of them, at least one."""
    if not 0 < share <= 1:
        raise ValueError(f"share is {share!r}, expected above 0 and at most 1")
    return stats.mean_abs.argsort(descending=True)[: max(1, round(share * len(stats.mean_abs)))]


def channel_scale(stats: InputStats, ratio: float) -> Tensor:
    """mean|x| ^ ratio [columns], centred so that its extremes multiply to 1. Ratio 0 gives ones."""
    scale = stats.mean_abs.clamp(min=1e-4 * float(stats.mean_abs.max()) or 1.0) ** ratio
    return scale / (scale.max() * scale.min()).sqrt()


def quantize_awq(
    weight: Tensor,
    stats: InputStats,
    bits: int = 4,
    per: str | int = 128,
    scheme: str = "symmetric",
    *,
    ratios: tuple[float, ...] = RATIOS,
    clip: bool = False,
) -> Scaled:
    """Codes and channel scales of a weight [rows, columns]; output error at most that of plain rounding.

    clip: also search, per group, how far to shrink its range. ValueError as `gptq.quantize_gptq`.
    """
    weight = checked_weight(weight)
    checked_stats(stats, weight.shape[1])
    scale, ratio = search_scale([weight], stats, bits, per, scheme, ratios)
    quantized = _rounded(weight, scale, stats, bits, per, scheme, clip)
    return Scaled(quantized, scale, ratio)


def search_scale(
    weights: list[Tensor], stats: InputStats, bits, per, scheme, ratios=RATIOS, shape=lambda scale: scale
) -> tuple[Tensor, float]:
    """Scale [columns] and ratio that lose least output energy over layers that read the same input.

    shape: what turns a wished scale into one that can be folded. Candidates that make any of the layers worse
    than plain rounding are passed over.
    """
    plain = torch.stack([_lost(w, quantize(w, bits, per, scheme).dequantize(), stats) for w in weights])
    best, best_scale, best_ratio = plain.sum(), torch.ones_like(stats.mean_abs), 0.0
    for ratio in ratios:
        scale = shape(channel_scale(stats, ratio))
        lost = torch.stack(
            [_lost(w, quantize(w * scale, bits, per, scheme).dequantize() / scale, stats) for w in weights]
        )
        if bool((lost <= plain).all()) and lost.sum() < best:
            best, best_scale, best_ratio = lost.sum(), scale, ratio
    return best_scale, best_ratio


def clip_ranges(weight: Tensor, gram: Tensor, bits, per, scheme) -> tuple[Tensor, Tensor]:
    """Scale and zero per group after shrinking its range by what loses least of the group's own output.

    weight: [rows, columns]. gram: of the layer's inputs; only its blocks on the diagonal are used.
    """
    columns = weight.shape[1]
    size = group_size(per, columns)
    blocks = torch.stack([gram[i : i + size, i : i + size] for i in range(0, columns, size)])
    low, high = extremes(weight, per)
    best_scale, best_zero, best = None, None, None
    for shrink in SHRINKS:
        scale, zero = grid(low * shrink, high * shrink, bits, scheme)
        codes = nearest_codes(weight, scale, zero, bits, scheme)
        delta = weight - Quantized(codes, scale, zero, bits, scheme).dequantize()
        delta = delta.reshape(len(weight), -1, size).transpose(0, 1)  # [groups, rows, size]
        lost = ((delta @ blocks) * delta).sum(-1).T  # [rows, groups]
        if best is None:
            best_scale, best_zero, best = scale, zero, lost
            continue
        better = lost < best
        best, best_scale = torch.where(better, lost, best), torch.where(better, scale, best_scale)
        best_zero = None if zero is None else torch.where(better, zero, best_zero)
    return best_scale, best_zero


def quantize_layer(
    layer: nn.Linear, inputs: Tensor, bits: int = 4, per: str | int = 128, **options
) -> Scaled:
    """AWQ of one layer from inputs [..., columns] to it; the layer is left as it is. Options: quantize_awq's."""
    return quantize_awq(checked_linear(layer).weight, stats_of(inputs), bits, per, **options)


def quantize_model(
    model: nn.Module,
    batches,
    bits: int = 4,
    per: str | int = 128,
    scheme: str = "symmetric",
    *,
    ratios: tuple[float, ...] = RATIOS,
    clip: bool = False,
    progress: bool = True,
) -> dict[str, LayerResult]:
    """AWQ of every linear in the blocks of a Llama-like model, in place; results by full name.

    Scales are folded into the norm or linear before; a layer whose scale has nowhere to go is rounded plainly.
    Each result's `error` is at most its `rtn_error`. batches, bounds and errors: as `gptq.quantize_model`.
    """
    if per == "tensor":
        raise ValueError(
            'per is "tensor", expected "channel" or a group size: folding scales rows of other layers'
        )

    def choose(block: nn.Module, readings: list[Reading]):
        scales, vectors, divisors, chosen = {}, {}, {}, {}
        for reading in readings:
            source = source_of(block, reading.linears)
            scale = torch.ones_like(reading.stats.mean_abs)
            if source is not None:
                weights = [linear.weight.float() for linear in reading.linears.values()]
                shape = partial(foldable, block, source)
                scale, ratio = search_scale(weights, reading.stats, bits, per, scheme, ratios, shape)
                if ratio:
                    changed, divisors[source] = folded(block, source, scale)
                    vectors |= changed
            scales |= dict.fromkeys(reading.linears, scale)
        for reading in readings:
            for name, linear in reading.linears.items():
                part = _rounded(linear.weight.float(), scales[name], reading.stats, bits, per, scheme, clip)
                stored = rows_divided(part, divisors.get(name))
                chosen[name] = Chosen(stored, part.dequantize() / scales[name])
        return chosen, vectors

    title = f"AWQ, {bits} bits"
    return quantize_blocks(model, batches, bits, per, scheme, choose, title=title, progress=progress)


def _rounded(weight, scale, stats, bits, per, scheme, clip) -> Quantized:
    """weight · scale to the nearest codes, with clipped ranges where those lose less of the layer's output."""
    scaled = weight * scale
    plain = quantize(scaled, bits, per, scheme)
    if not clip or per == "tensor":
        return plain
    gram = stats.gram / (scale[:, None] * scale)
    step, zero = clip_ranges(scaled, gram, bits, per, scheme)
    clipped = Quantized(nearest_codes(scaled, step, zero, bits, scheme), step, zero, bits, scheme)
    kept = _lost(weight, plain.dequantize() / scale, stats)
    return clipped if _lost(weight, clipped.dequantize() / scale, stats) < kept else plain


def _lost(weight: Tensor, approximation: Tensor, stats: InputStats) -> Tensor:
    return output_energy(weight - approximation, stats.gram).sum()
