"""NF4: sixteen values spaced as a normal distribution's weights are, closer together near zero.

Blocks of 64 weights in memory order share one scale, their largest magnitude. Codes, scales and the table are
those of bitsandbytes.

Source: Tim Dettmers et al., "QLoRA", 2023, section 3; the table is bitsandbytes' `get_4bit_type("nf4")`.
Taught in: chapter 04.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from course_utils.compress.rounding import checked_weight

# Quantiles of a normal distribution, eight above zero and seven below, scaled to −1 … 1, and zero itself.
NF4_VALUES = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Nf4:
    """codes: uint8 [rows, columns], 0 … 15. absmax: float32 [ceil(weights / block)], the scale of each block."""

    codes: Tensor
    absmax: Tensor
    block: int

    def dequantize(self) -> Tensor:
        """The weights that the codes stand for, float32 [rows, columns]."""
        values = torch.tensor(NF4_VALUES, device=self.codes.device)[self.codes.flatten().long()]
        scale = self.absmax.repeat_interleave(self.block)[: values.numel()]
        return (values * scale).reshape(self.codes.shape)

    def size_bytes(self, scale_bytes: int = 4) -> int:
        """Half a byte a weight, and `scale_bytes` a block (4 in bitsandbytes, about 1 with double quantization)."""
        return -(-self.codes.numel() // 2) + scale_bytes * self.absmax.numel()

    @property
    def bits_per_weight(self) -> float:
        """Bits per weight, scales of 4 bytes included: 4.5 for blocks of 64."""
        return 8 * self.size_bytes() / self.codes.numel()


def quantize_nf4(weight: Tensor, block: int = 64) -> Nf4:
    """Each weight to the nearest of the sixteen values times its block's largest magnitude.

    weight: [rows, columns], finite. ValueError for anything else, or a block below 1.
    """
    if isinstance(block, bool) or not isinstance(block, int) or block < 1:
        raise ValueError(f"block is {block!r}, expected a whole number of at least 1; bitsandbytes uses 64")
    weight = checked_weight(weight)
    blocks = torch.nn.functional.pad(weight.flatten(), (0, -weight.numel() % block)).reshape(-1, block)
    absmax = blocks.abs().amax(dim=1)
    unit = (blocks * (1.0 / absmax.clamp(min=1e-38))[:, None]).clamp(-1, 1)
    values = torch.tensor(NF4_VALUES, device=weight.device)
    codes = torch.bucketize(unit, (values[:-1] + values[1:]) / 2).to(torch.uint8)
    return Nf4(codes.flatten()[: weight.numel()].reshape(weight.shape), absmax, block)
