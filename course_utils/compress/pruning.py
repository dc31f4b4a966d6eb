"""Set weights of a whole model to zero: by magnitude, by Wanda, by SparseGPT; count zeros; find what is sensitive.

The model keeps its shape, its size in memory and its speed: a zero is multiplied like any other number. What it
saves, it saves on disk (`masks.Sparse`) or on hardware that has a kernel for the pattern. `structured` makes models
that are smaller for everybody.
Taught in: chapter 05.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_utils.compress.blocks import Reading, Solution, blocks, compress_blocks, linears
from course_utils.compress.calibration import LayerResult, output_error
from course_utils.compress.masks import Pattern, Sparse, kept, magnitude_scores, wanda_scores, wanted
from course_utils.compress.rounding import checked_weight, relative_error
from course_utils.compress.sparsegpt import repair_factor, sparsify

Scored = TypeVar("Scored")


@dataclass(frozen=True)
class Zeros:
    """Zeros among the weights of the blocks' linears, and how many parameters the model has in all.

    `of_linears` is what papers call sparsity. Embeddings, norms and biases are not pruned, so `of_model` is less.
    """

    zeros: int
    in_linears: int
    parameters: int

    @property
    def of_linears(self) -> float:
        return self.zeros / self.in_linears

    @property
    def of_model(self) -> float:
        return self.zeros / self.parameters

    def __str__(self) -> str:
        return f"{self.of_linears:.1%} of the blocks' linears, {self.of_model:.1%} of all parameters"


def zeros(model: nn.Module) -> Zeros:
    """Count them. Embeddings that serve as output matrix too are one matrix, and count once."""
    weights = [linear.weight for linear in all_linears(model).values()]
    return Zeros(
        sum(int((weight == 0).sum()) for weight in weights),
        sum(weight.numel() for weight in weights),
        sum(parameter.numel() for parameter in model.parameters()),
    )


def all_linears(model: nn.Module) -> dict[str, nn.Linear]:
    """The linears of the blocks by full name."""
    return {
        f"{where}.{name}": linear
        for where, block in blocks(model).items()
        for name, linear in linears(block, where).items()
    }


@torch.no_grad()
def prune_magnitude(
    model: nn.Module, sparsity: float | str = 0.5, within: str = "layer"
) -> dict[str, LayerResult]:
    """Zero the smallest weights of the blocks' linears, in place; no calibration. Results by full name.

    within: where weights compete: "row", "layer" (each linear loses the same share), or "model" (one threshold
    for all; layers with small weights lose more). A result's `error` is ‖W − Ŵ‖² / ‖W‖². ValueError for a
    sparsity outside [0, 1), or a pattern that doesn't divide; then nothing is changed.
    """
    found = check_prunable(model, sparsity)
    scores = {name: magnitude_scores(linear.weight) for name, linear in found.items()}
    if within == "model" and not isinstance(wanted(sparsity), Pattern):
        everything = torch.cat([score.flatten() for score in scores.values()])
        stay = kept(everything[None], sparsity).split([score.numel() for score in scores.values()], dim=1)
        keep = {name: part.reshape(scores[name].shape) for name, part in zip(scores, stay, strict=True)}
    else:
        keep = {
            name: kept(score, sparsity, "layer" if within == "model" else within)
            for name, score in scores.items()
        }
    results = {}
    for name, linear in found.items():
        sparse = Sparse.of(linear.weight.detach(), keep[name])
        results[name] = LayerResult(sparse, relative_error(linear.weight, sparse.dequantize()))
        linear.weight.mul_(keep[name])
    return results


def prune_wanda(
    model: nn.Module,
    batches: Iterable[Tensor | Mapping],
    sparsity: float | str = 0.5,
    *,
    progress: bool = True,
) -> dict[str, LayerResult]:
    """Wanda on every linear of the blocks, in place; results by full name, `error` as `calibration.output_error`.

    batches: calibration tokens, as `blocks.compress_blocks`. The worst scores of each row go. ValueError as
    `prune_magnitude`; then the model is as it was.
    """
    check_prunable(model, sparsity)

    def solve(_, readings: list[Reading]) -> Solution:
        return _solution(
            readings,
            lambda w, stats: Sparse.of(w, kept(wanda_scores(w, stats), sparsity)),
            lambda stats: stats,
        )

    return compress_blocks(model, batches, solve, title=f"Wanda, {_said(sparsity)}", progress=progress)


def prune_sparsegpt(
    model: nn.Module,
    batches: Iterable[Tensor | Mapping],
    sparsity: float | str = 0.5,
    *,
    damping: float = 0.01,
    progress: bool = True,
) -> dict[str, LayerResult]:
    """SparseGPT on every linear of the blocks, in place, one block at a time; otherwise as `prune_wanda`.

    Memory beside the model: the calibration tokens' hidden states, one block's statistics, and what stays of each
    block until all are done.
    """
    check_prunable(model, sparsity)

    def prepare(stats):
        return stats, repair_factor(stats, damping)

    def prune(weight, prepared):
        stats, factor = prepared
        return sparsify(weight.masked_fill(stats.gram.diagonal() == 0, 0.0), factor, sparsity)

    return compress_blocks(
        model,
        batches,
        lambda _, readings: _solution(readings, prune, prepare),
        title=f"SparseGPT, {_said(sparsity)}",
        progress=progress,
    )


def check_prunable(model: nn.Module, sparsity: float | str) -> dict[str, nn.Linear]:
    """The blocks' linears by full name; ValueError, naming one, for what would fail halfway through the model."""
    wanted(sparsity)
    found = all_linears(model)
    for name, linear in found.items():
        try:
            wanted(sparsity, linear.in_features)
            checked_weight(linear.weight)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return found


def sensitivity(
    model: nn.Module,
    parts: Mapping[str, Sequence[str]],
    score: Callable[[], Scored],
    sparsity: float | str = 0.5,
    *,
    progress: bool = True,
) -> dict[str, Scored]:
    """What `score()` gives when only one part of the model is pruned by magnitude, by the part's name.

    parts: names of linears (full names, as `all_linears` gives them) for each part, such as one block. The model
    is put back after each, whatever happens. ValueError for a linear that isn't there.
    """
    found = check_prunable(model, sparsity)
    for part, names in parts.items():
        for name in names:
            if name not in found:
                raise ValueError(f"parts[{part!r}] names {name!r}, expected one of {', '.join(found)}")
    results = {}
    for part, names in tqdm(parts.items(), desc="sensitivity", unit="part", disable=not progress):
        with pruned({name: found[name] for name in names}, sparsity):
            results[part] = score()
    return results


@contextmanager
def pruned(layers: Mapping[str, nn.Linear], sparsity: float | str) -> Iterator[None]:
    """These linears pruned by magnitude, each within itself, for a while."""
    originals = {name: linear.weight.data for name, linear in layers.items()}
    try:
        for linear in layers.values():
            weight = linear.weight.data
            linear.weight.data = weight * kept(magnitude_scores(weight), sparsity, "layer")
        yield
    finally:
        for name, linear in layers.items():
            linear.weight.data = originals[name]


def by_block(model: nn.Module) -> dict[str, list[str]]:
    """Parts for `sensitivity`: the linears of each block, "block 0", "block 1", …"""
    return {
        f"block {i}": [f"{where}.{name}" for name in linears(block, where)]
        for i, (where, block) in enumerate(blocks(model).items())
    }


def by_kind(model: nn.Module) -> dict[str, list[str]]:
    """Parts for `sensitivity`: all q_proj of the model, all down_proj, …"""
    parts: dict[str, list[str]] = {}
    for name in all_linears(model):
        parts.setdefault(name.rpartition(".")[2], []).append(name)
    return parts


def _solution(readings: list[Reading], prune: Callable, prepare: Callable) -> Solution:
    """Each linear of a block pruned; `prepare` works once for all that read the same input."""
    layers = {}
    for reading in readings:
        prepared = prepare(reading.stats)
        for name, linear in reading.linears.items():
            weight = linear.weight.detach().float()
            sparse = prune(weight, prepared)
            error = output_error(weight, sparse.dequantize(), reading.stats)
            narrow = Sparse(sparse.values.to(linear.weight.dtype), sparse.bits, sparse.rows, sparse.columns)
            layers[name] = LayerResult(narrow, error)
    return Solution(layers)


def _said(sparsity: float | str) -> str:
    return sparsity if isinstance(sparsity, str) else f"{sparsity:.0%}"
