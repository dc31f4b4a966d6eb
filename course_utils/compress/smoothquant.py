"""Eight bits for weights *and* activations: W8A8, and two ways around the activations' outliers.

An integer matmul needs both sides in integers, and activations are rounded while the model runs: one scale per
token. A few channels of theirs are a hundred times larger than the rest, and the scale serves them alone.

- SmoothQuant divides those channels by s and multiplies the weight's columns by s: what was hard for one side
  becomes bearable for both. s = max|x| ^ α / max|w| ^ (1 − α) per channel.
- LLM.int8 computes those channels apart, in floats, and the rest in int8.

Sources: Guangxuan Xiao et al., "SmoothQuant", 2022, equation 4; Tim Dettmers et al., "LLM.int8()", 2022,
section 3.2. Simulated: integers are held in floats, so the error is real and the speed is not.
Taught in: chapter 03.
"""

import torch
from torch import Tensor, nn

from course_utils.compress.blocks import Reading, Solution, check_model, compress_blocks
from course_utils.compress.calibration import LayerResult, checked_linear, output_error
from course_utils.compress.folding import foldable, folded, rows_divided, source_of
from course_utils.compress.rounding import Quantized, checked_weight, code_range, quantize


def round_activations(x: Tensor, bits: int = 8) -> Tensor:
    """Activations [..., channels] after rounding with one absmax scale per token: what the matmul then sees."""
    highest = code_range(bits, "absmax")[1]
    scale = x.abs().amax(-1, keepdim=True).float() / highest
    scale = torch.where(scale > 0, scale, 1.0)  # a token of zeros
    return ((x / scale).round_() * scale).to(x.dtype)


def smoothing_scale(weights: list[Tensor], abs_max: Tensor, alpha: float = 0.5) -> Tensor:
    """s [columns] = max|x| ^ α / max|w| ^ (1 − α) for layers that read the same input; above 0.

    abs_max: max |x| of each channel [columns]. alpha: 0 leaves the work to the activations, 1 to the weights.
    """
    _check_alpha(alpha)
    largest = torch.stack([checked_weight(weight).abs().amax(0) for weight in weights]).amax(0)
    return abs_max.clamp(min=1e-5) ** alpha / largest.clamp(min=1e-5) ** (1 - alpha)


class W8A8Linear(nn.Module):
    """A linear whose weight is int8, a scale per output, and whose input is rounded per token as it comes.

    layer: the linear that it stands for. quantized: its weight's codes, rounded here where left out.
    ValueError where the layer isn't linear or its weight isn't finite.
    """

    def __init__(self, layer: nn.Linear, quantized: Quantized | None = None):
        super().__init__()
        layer = checked_linear(layer)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.quantized = quantized or quantize(layer.weight, 8, "channel", "absmax")
        self.register_buffer("weight", self.quantized.dequantize().to(layer.weight.dtype))
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(round_activations(x), self.weight, self.bias)


def smooth_model(model: nn.Module, batches, alpha: float | None = 0.5, *, progress: bool = True):
    """Smooth the blocks of a Llama-like model and make their linears W8A8, in place; results by full name.

    batches: as `blocks.compress_blocks`. alpha None: no smoothing, W8A8 alone. A result's errors are those
    of the weights' rounding. ValueError as `blocks.check_model`, or for an alpha outside 0–1; then nothing
    is changed.
    """
    check_model(model, 8, "channel", "absmax")
    if alpha is not None:
        _check_alpha(alpha)

    def solve(block: nn.Module, readings: list[Reading]) -> Solution:
        scales, vectors, divisors, layers = {}, {}, {}, {}
        for reading in readings:
            source = None if alpha is None else source_of(block, reading.linears)
            scale = torch.ones_like(reading.stats.abs_max)
            if source is not None:
                weights = [linear.weight for linear in reading.linears.values()]
                scale = foldable(block, source, smoothing_scale(weights, reading.stats.abs_max, alpha))
                changed, divisors[source] = folded(block, source, scale)
                vectors |= changed
            scales |= dict.fromkeys(reading.linears, scale)
        for reading in readings:
            for name, linear in reading.linears.items():
                weight, scale = linear.weight.float(), scales[name]
                part = quantize(weight * scale, 8, "channel", "absmax")
                error = output_error(weight, part.dequantize() / scale, reading.stats)
                rtn = quantize(weight, 8, "channel", "absmax").dequantize()
                part = rows_divided(part, divisors.get(name))
                layers[name] = LayerResult(part, error, output_error(weight, rtn, reading.stats))
        return Solution(layers, vectors)

    results = compress_blocks(model, batches, solve, title="SmoothQuant", progress=progress)
    for name, result in results.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, W8A8Linear(model.get_submodule(name), result.quantized))
    return results


def outlier_channels(x: Tensor, threshold: float = 6.0) -> Tensor:
    """Indices of the channels of x [..., channels] where any magnitude reaches the threshold."""
    return (x.abs() >= threshold).reshape(-1, x.shape[-1]).any(0).nonzero().flatten()


def llm_int8_matmul(x: Tensor, weight: Tensor, threshold: float = 6.0) -> Tensor:
    """x [..., columns] · weightᵀ [columns, rows] with outlier channels in floats and the others in int8.

    The int8 part: x rounded per token, weight per row, both to −127 … 127.
    """
    outliers = outlier_channels(x, threshold)
    regular = torch.ones(x.shape[-1], dtype=torch.bool, device=x.device)
    regular[outliers] = False
    rounded = quantize(weight, 8, "channel", "absmax").dequantize().to(x.dtype)
    return round_activations(x * regular) @ rounded.T + x[..., outliers] @ weight[:, outliers].T


def _check_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha!r}, expected from 0 to 1, usually 0.5")
