"""What a layer sees on calibration text, in one matrix, and what rounding costs its output.

GPTQ and AWQ need no gradients and no labels, only what flows into each layer on some real text. All that they
ask about it fits in the Gram matrix XᵀX of the layer's inputs [columns, columns]: the inputs themselves are
never kept.
Taught in: chapter 04.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_utils.compress.nf4 import Nf4
from course_utils.compress.rounding import Quantized


@dataclass(eq=False)
class InputStats:
    """Sums over the tokens that a layer has seen, in float32.

    gram: Σ x xᵀ [columns, columns]. abs_sum: Σ |x| [columns]. abs_max: max |x| [columns]. tokens: how many.
    """

    gram: Tensor
    abs_sum: Tensor
    abs_max: Tensor
    tokens: int = 0

    @classmethod
    def empty(cls, columns: int, device=None) -> "InputStats":
        zeros = torch.zeros(columns, device=device)
        return cls(torch.zeros(columns, columns, device=device), zeros, zeros.clone())

    def add(self, inputs: Tensor) -> None:
        """inputs: [..., columns], one row a token."""
        x = inputs.detach().reshape(-1, inputs.shape[-1]).float()
        if not x.shape[0]:
            return
        self.gram.addmm_(x.T, x)
        magnitude = x.abs()
        self.abs_sum += magnitude.sum(0)
        self.abs_max = torch.maximum(self.abs_max, magnitude.amax(0))
        self.tokens += x.shape[0]

    @property
    def mean_abs(self) -> Tensor:
        """Mean |x| of each input channel [columns]: what AWQ calls its salience."""
        return self.abs_sum / max(1, self.tokens)


def stats_of(inputs: Tensor | Iterable[Tensor]) -> InputStats:
    """Statistics of a tensor [..., columns], or of several. ValueError where there is no token, or not finite."""
    stats = None
    for batch in [inputs] if isinstance(inputs, Tensor) else inputs:
        stats = stats or InputStats.empty(batch.shape[-1], batch.device)
        stats.add(batch)
    if stats is None:
        raise ValueError("inputs holds no batch, expected calibration inputs of at least one token")
    return checked_stats(stats, stats.gram.shape[0])


@torch.no_grad()
def layer_inputs(model: nn.Module, name: str, batches: Iterable[Tensor]) -> Tensor:
    """What the linear called `name` reads on batches of token ids [sequences, tokens]: [all tokens, columns].

    The model runs up to that layer only. ValueError where the layer isn't linear, or nothing reaches it.
    """
    try:
        layer = checked_linear(model.get_submodule(name))
    except AttributeError:
        raise ValueError(f"name is {name!r}, expected a linear layer of the {type(model).__name__}") from None
    found: list[Tensor] = []

    def catch(_, args):
        found.append(args[0].reshape(-1, args[0].shape[-1]))
        raise _Reached

    hook = layer.register_forward_pre_hook(catch)
    try:
        for ids in batches:
            with suppress(_Reached):
                model(input_ids=ids.to(layer.weight.device), use_cache=False)
    finally:
        hook.remove()
    if not found:
        raise ValueError(f"batches holds no token that reaches {name}, expected at least one sequence")
    return torch.cat(found)


class _Reached(Exception):
    """Ends a forward pass at the layer that was asked for."""


def output_error(weight: Tensor, approximation: Tensor, stats: InputStats) -> float:
    """‖X(W − Ŵ)ᵀ‖² / ‖XWᵀ‖²: the share of a layer's output energy that is lost on the calibration inputs.

    weight, approximation: [rows, columns]. Through the Gram matrix G it is tr(ΔGΔᵀ) / tr(WGWᵀ).
    """
    lost = output_energy(weight.float() - approximation.float(), stats.gram).sum().item()
    energy = output_energy(weight.float(), stats.gram).sum().item()
    return lost / energy if energy else (0.0 if lost == 0 else float("inf"))


def output_energy(weight: Tensor, gram: Tensor) -> Tensor:
    """‖X wᵀ‖² of each row w [rows]: the diagonal of W G Wᵀ."""
    return ((weight @ gram) * weight).sum(1)


@dataclass(frozen=True, eq=False)
class LayerResult:
    """One compressed layer: its codes, and the share of output energy lost (see `output_error`).

    rtn_error: the same for plain rounding to the same grid, `None` where no calibration was asked for.
    """

    quantized: Quantized | Nf4
    error: float
    rtn_error: float | None = None


def checked_stats(stats: InputStats, columns: int, where: str = "inputs") -> InputStats:
    """The statistics, if they fit a weight of so many columns, saw a token and are finite; else ValueError."""
    if not stats.tokens:
        raise ValueError(f"{where} holds no token, expected calibration inputs of at least one")
    if stats.gram.shape[0] != columns:
        raise ValueError(
            f"{where} has {stats.gram.shape[0]} channels, expected the weight's {columns} columns"
        )
    if not stats.gram.isfinite().all():
        raise ValueError(
            f"{where} holds values that are not finite, expected none: check the calibration text"
        )
    return stats


def checked_linear(layer: nn.Module) -> nn.Linear:
    """The layer, if it is a torch.nn.Linear; else ValueError."""
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"layer is a {type(layer).__name__}, expected torch.nn.Linear")
    return layer
