"""The loop that GPTQ and AWQ share: block by block, choose codes for its linears, and say what they lose.

Taught in: chapter 04.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from course_utils.compress.blocks import Reading, Solution, check_model, compress_blocks
from course_utils.compress.calibration import InputStats, LayerResult, output_energy
from course_utils.compress.rounding import Quantized, quantize


class Chosen(NamedTuple):
    """What a method chose for one linear: the codes to store, and the weight [rows, columns] they make it act with.

    The two differ where a scale was folded into the layer before (see `folding`).
    """

    quantized: Quantized
    acts: Tensor


Choose = Callable[[nn.Module, list[Reading]], tuple[dict[str, Chosen], dict[str, Tensor]]]


def quantize_blocks(
    model: nn.Module,
    batches,
    bits: int,
    per: str | int,
    scheme: str,
    choose: Choose,
    *,
    title: str,
    progress: bool,
) -> dict[str, LayerResult]:
    """Quantize every linear of the blocks in place; results by full name, each beside plain rounding's error.

    choose: from a block and what its linears read to a choice per linear, and changed vectors by name.
    batches, memory and errors: as `blocks.compress_blocks` and `blocks.check_model`.
    """
    check_model(model, bits, per, scheme)

    def solve(block: nn.Module, readings: list[Reading]) -> Solution:
        chosen, vectors = choose(block, readings)
        layers = {}
        for reading in readings:
            for name, linear in reading.linears.items():
                weight = linear.weight.float()
                plain = quantize(weight, bits, per, scheme).dequantize()
                errors = _output_errors(weight, (chosen[name].acts, plain), reading.stats)
                layers[name] = LayerResult(chosen[name].quantized, *errors)
        return Solution(layers, vectors)

    return compress_blocks(model, batches, solve, title=title, progress=progress)


def _output_errors(weight: Tensor, approximations: tuple[Tensor, ...], stats: InputStats) -> list[float]:
    """`calibration.output_error` of several; the layer's own output energy, as dear as an error, comes once."""
    energy = output_energy(weight, stats.gram).sum().item()
    lost = [output_energy(weight - other, stats.gram).sum().item() for other in approximations]
    return [one / energy if energy else (0.0 if one == 0 else float("inf")) for one in lost]
