"""Which weights stay: a score for each, and a rule that keeps the best of a row, of a matrix, or of every four.

Magnitude scores a weight by its size. Wanda multiplies it by the norm of the input that it meets: a small weight
on a loud input moves the output more than a large one on a silent input.

Sources: Song Han et al., "Learning both Weights and Connections for Efficient Neural Networks", 2015 (magnitude);
Mingjie Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", 2023, section 3 (Wanda).
Taught in: chapter 05.
"""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from course_utils.compress.calibration import InputStats, checked_stats
from course_utils.compress.rounding import checked_weight

WITHIN = ("row", "layer")
_PATTERN = re.compile(r"(\d+):(\d+)")


@dataclass(frozen=True)
class Pattern:
    """`keep` of every `of` weights that lie side by side in a row stay: 2:4 keeps two of four."""

    keep: int
    of: int

    def __str__(self) -> str:
        return f"{self.keep}:{self.of}"


def wanted(sparsity: float | str, columns: int | None = None) -> float | Pattern:
    """A share of weights to remove, in [0, 1), or a pattern such as "2:4"; ValueError for anything else.

    columns: of the weight, which a pattern's second number has to divide.
    """
    if isinstance(sparsity, str):
        found = _PATTERN.fullmatch(sparsity.strip())
        keep, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= keep < of:
            raise ValueError(f'sparsity is {sparsity!r}, expected a pattern such as "2:4": keep 2 of every 4')
        if columns is not None and columns % of:
            raise ValueError(
                f"sparsity is {sparsity!r}, but {of} does not divide the weight's {columns} columns"
            )
        return Pattern(keep, of)
    if isinstance(sparsity, bool) or not isinstance(sparsity, (int, float)) or not 0 <= sparsity < 1:
        raise ValueError(
            f'sparsity is {sparsity!r}, expected a share in [0, 1) such as 0.5, or a pattern such as "2:4"'
        )
    return float(sparsity)


def magnitude_scores(weight: Tensor) -> Tensor:
    """|W| [rows, columns]."""
    return checked_weight(weight).abs()


def wanda_scores(weight: Tensor, stats: InputStats) -> Tensor:
    """|W| · ‖x‖ [rows, columns], the norm of each column's input over the calibration tokens."""
    weight = checked_weight(weight)
    checked_stats(stats, weight.shape[1])
    return weight.abs() * stats.gram.diagonal().sqrt()


def kept(scores: Tensor, sparsity: float | str, within: str = "row") -> Tensor:
    """True where a weight stays [rows, columns]: the best scores of each row, of the layer, or of each group.

    Removes exactly int(sparsity × count) of each row (or of the whole layer); a pattern ignores `within`. Of
    equal scores the first go.
    """
    want = wanted(sparsity, scores.shape[1])
    if within not in WITHIN:
        raise ValueError(f"within is {within!r}, expected one of {', '.join(WITHIN)}")
    if isinstance(want, Pattern):
        rivals, count = scores.reshape(-1, want.of), want.of - want.keep
    else:
        rivals = scores if within == "row" else scores.reshape(1, -1)
        count = int(rivals.shape[1] * want)
    worst = rivals.sort(dim=1, stable=True).indices[:, :count]
    return torch.ones_like(rivals, dtype=torch.bool).scatter_(1, worst, False).reshape(scores.shape)


def follows(weight: Tensor, pattern: str) -> bool:
    """Whether no group of the pattern holds more weights than it may, along the columns: what 2:4 kernels need."""
    want = wanted(pattern, weight.shape[1])
    if not isinstance(want, Pattern):
        raise ValueError(f'pattern is {pattern!r}, expected one such as "2:4"')
    return bool(((weight.reshape(-1, want.of) != 0).sum(1) <= want.keep).all())


@dataclass(frozen=True, eq=False)
class Sparse:
    """A weight without its zeros: one bit for each place says whether a value is there.

    values: those that stayed, row by row, in the weight's own type. bits: eight places a byte, first place
    highest. rows, columns: of the weight. It takes 1 / 8 byte a place and a value's bytes for each that stayed.
    """

    values: Tensor
    bits: Tensor
    rows: int
    columns: int

    @classmethod
    def of(cls, weight: Tensor, keep: Tensor) -> "Sparse":
        """weight, keep (bool): [rows, columns]."""
        places = torch.nn.functional.pad(keep.flatten(), (0, -keep.numel() % 8)).reshape(-1, 8)
        powers = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], device=keep.device)
        bits = (places * powers).sum(1).to(torch.uint8)
        return cls(weight[keep], bits, *weight.shape)

    @property
    def keep(self) -> Tensor:
        """True where a value is [rows, columns]."""
        shifts = torch.arange(7, -1, -1, device=self.bits.device)
        places = (self.bits[:, None] >> shifts & 1).bool().flatten()
        return places[: self.rows * self.columns].reshape(self.rows, self.columns)

    @property
    def sparsity(self) -> float:
        """Share of places without a value."""
        return 1 - self.values.numel() / (self.rows * self.columns)

    def size_bytes(self) -> int:
        """Bytes to store it: the values, and a bit a place."""
        return self.values.nbytes + self.bits.nbytes

    def dequantize(self) -> Tensor:
        """The weight with its zeros, float32 [rows, columns]; named as other compressed weights name it."""
        dense = torch.zeros(self.rows, self.columns, device=self.values.device)
        dense[self.keep] = self.values.float()
        return dense
