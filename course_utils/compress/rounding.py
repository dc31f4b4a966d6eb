"""Fewer bits per weight: pick a scale, divide, round, clamp.

A weight w becomes the whole number q = round(w / scale) + zero, kept within what the bits can hold, and comes
back as (q − zero) × scale. What differs between schemes is the range that the codes span:

- "absmax": codes −7 … 7 at 4 bits, scale = max|w| / 7. The code −8 is never used.
- "symmetric": codes −8 … 7, scale = max|w| / 7.5. All 16 codes, and zero stays exactly zero.
- "zero_point": codes −8 … 7, scale = (max − min) / 15 and a whole number `zero` that stands for 0.0.

and how many weights share one scale: `per="tensor"`, `per="channel"` (a row, one output), or `per=64`
(64 neighbours in a row: a group).

Sources: Tim Dettmers et al., "LLM.int8()", 2022, section 2 (absmax, zero-point); the range of "symmetric" is
that of compressed-tensors, whose scales and codes these equal.
Taught in: chapter 03, chapter 04.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SCHEMES = ("absmax", "symmetric", "zero_point")


@dataclass(frozen=True, eq=False)
class Quantized:
    """A weight matrix in few bits.

    codes: int8 [rows, columns]. scale: float32 [rows or 1, groups]. zero: int8 like scale, None where the
    scheme has none. Group g of a row holds its columns g × columns/groups and following.
    """

    codes: Tensor
    scale: Tensor
    zero: Tensor | None
    bits: int
    scheme: str

    @property
    def group_size(self) -> int:
        """Columns that share a scale."""
        return self.codes.shape[1] // self.scale.shape[1]

    def dequantize(self) -> Tensor:
        """The weights that the codes stand for, float32 [rows, columns]."""
        codes = self.codes.float()
        if self.zero is not None:
            codes -= spread(self.zero, codes.shape[1]).float()
        return codes * spread(self.scale, codes.shape[1])

    def size_bytes(self, scale_bytes: int = 2) -> int:
        """Bytes to store it: codes of `bits` bits end to end, a scale per group, zero points of `bits` bits."""
        zeros = 0 if self.zero is None else _packed_bytes(self.zero.numel(), self.bits)
        return _packed_bytes(self.codes.numel(), self.bits) + scale_bytes * self.scale.numel() + zeros

    @property
    def bits_per_weight(self) -> float:
        """Bits per weight, scales (16 bits each) and zero points included: 4.125 for 4 bits, groups of 128."""
        return 8 * self.size_bytes() / self.codes.numel()


def quantize(
    weight: Tensor, bits: int = 4, per: str | int = "channel", scheme: str = "symmetric"
) -> Quantized:
    """Round a matrix to the nearest codes.

    weight: [rows, columns], finite. per: "tensor", "channel" or the group size.
    ValueError for a matrix that isn't one or isn't finite, bits outside 2–8, a group size that doesn't divide.
    """
    weight = checked_weight(weight)
    scale, zero = grid(*extremes(weight, per), bits, scheme)
    return Quantized(nearest_codes(weight, scale, zero, bits, scheme), scale, zero, bits, scheme)


def extremes(weight: Tensor, per: str | int = "channel") -> tuple[Tensor, Tensor]:
    """Smallest and largest weight that share a scale, each [rows or 1, groups]."""
    rows, columns = weight.shape
    low, high = weight.reshape(rows, -1, group_size(per, columns)).aminmax(dim=-1)
    return (low.amin(0, keepdim=True), high.amax(0, keepdim=True)) if per == "tensor" else (low, high)


def grid(low: Tensor, high: Tensor, bits: int, scheme: str) -> tuple[Tensor, Tensor | None]:
    """Scale and zero point (None for the schemes that have none) for weights from low to high."""
    lowest, highest = code_range(bits, scheme)
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)  # 0.0 must have a code: zeros stay zeros
    if scheme == "zero_point":
        scale = _above_zero((high - low) / (highest - lowest))
        return scale, (lowest - low / scale).clamp(lowest, highest).round().to(torch.int8)
    return _above_zero(torch.maximum(-low, high) / ((highest - lowest) / 2)), None


def nearest_codes(weight: Tensor, scale: Tensor, zero: Tensor | None, bits: int, scheme: str) -> Tensor:
    """int8 codes [rows, columns] of the grid points nearest to the weights; ties go to the even code."""
    lowest, highest = code_range(bits, scheme)
    scaled = weight / spread(scale, weight.shape[1])
    if zero is not None:
        scaled += spread(zero, weight.shape[1])
    return scaled.round_().clamp_(lowest, highest).to(torch.int8)


def code_range(bits: int, scheme: str) -> tuple[int, int]:
    """Lowest and highest code: (−8, 7) at 4 bits, (−7, 7) for "absmax"."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits!r}, expected a whole number from 2 to 8")
    if scheme not in SCHEMES:
        raise ValueError(f"scheme is {scheme!r}, expected one of {', '.join(SCHEMES)}")
    highest = 2 ** (bits - 1) - 1
    return (-highest if scheme == "absmax" else -highest - 1), highest


def group_size(per: str | int, columns: int) -> int:
    """Columns that share a scale; ValueError unless that divides the columns."""
    if per in ("tensor", "channel"):
        return columns
    if isinstance(per, bool) or not isinstance(per, int) or per < 1:
        raise ValueError(f'per is {per!r}, expected "tensor", "channel" or a group size of at least 1')
    if columns % per:
        fitting = [size for size in (256, 128, 64, 32, 16, 8) if columns % size == 0 and size < per]
        hint = f"; {fitting[0]} does" if fitting else ""
        raise ValueError(f"a group size of {per} does not divide the weight's {columns} columns{hint}")
    return per


def spread(values: Tensor, columns: int) -> Tensor:
    """[rows, groups] repeated to [rows, columns], one value per weight; a single group broadcasts as it is."""
    rows, groups = values.shape
    return (
        values if groups == 1 else values[:, :, None].expand(-1, -1, columns // groups).reshape(rows, columns)
    )


def relative_error(weight: Tensor, approximation: Tensor) -> float:
    """‖W − Ŵ‖² / ‖W‖²: the share of the weights' energy that rounding lost; 0 for a matrix of zeros kept so."""
    lost = (weight.double() - approximation.double()).square().sum().item()
    energy = weight.double().square().sum().item()
    return lost / energy if energy else (0.0 if lost == 0 else float("inf"))


def checked_weight(weight: Tensor) -> Tensor:
    """The weight as float32 [rows, columns]; ValueError unless it is a finite, non-empty matrix of floats."""
    if (
        not isinstance(weight, Tensor)
        or weight.ndim != 2
        or not weight.numel()
        or not weight.is_floating_point()
    ):
        shape = (
            f"{weight.dtype} {list(weight.shape)}" if isinstance(weight, Tensor) else type(weight).__name__
        )
        raise ValueError(f"weight is {shape}, expected a matrix of floats [rows, columns] that isn't empty")
    weight = weight.detach().float()
    if not weight.isfinite().all():
        bad = int((~weight.isfinite()).sum())
        raise ValueError(
            f"weight holds {bad} values that are not finite, expected none: check the checkpoint"
        )
    if not float(weight.max() - weight.min()) < torch.finfo(torch.float32).max:
        raise ValueError("weight spans more than float32 can hold, expected magnitudes below 1e38")
    return weight


def _above_zero(scale: Tensor) -> Tensor:
    # A group of zeros has no scale of its own: any will do, its codes are all zero.
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _packed_bytes(codes: int, bits: int) -> int:
    return -(-codes * bits // 8)
