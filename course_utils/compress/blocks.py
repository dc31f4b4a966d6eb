"""A walk over a model, one block at a time.

`compress_blocks` holds one block's statistics and weights at a time. Each block is calibrated on the outputs of
the blocks before it *as compressed*. The model is written once, at the end: if anything fails on the way, it is
left as it was.
Taught in: chapter 04.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_utils.compress.calibration import InputStats, LayerResult, checked_stats
from course_utils.compress.nf4 import Nf4, quantize_nf4
from course_utils.compress.rounding import (
    Quantized,
    checked_weight,
    code_range,
    group_size,
    quantize,
    relative_error,
)


@dataclass(eq=False)
class Solution:
    """What becomes of a block: results by linear's name, and changed vectors (norm weights, biases) by theirs."""

    layers: dict[str, LayerResult]
    vectors: dict[str, Tensor] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """New values of the block's parameters, by name."""
        weights = {f"{name}.weight": result.quantized.dequantize() for name, result in self.layers.items()}
        return weights | self.vectors


@dataclass(frozen=True, eq=False)
class Reading:
    """Linears of a block that read the same input (q, k and v; gate and up), and its statistics."""

    linears: dict[str, nn.Linear]
    stats: InputStats


def blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The decoder blocks of a Llama-like model by full name. Embeddings and lm_head are not among them."""
    for path in ("model.layers", "layers"):
        found = model
        for part in path.split("."):
            found = getattr(found, part, None)
        if isinstance(found, nn.ModuleList) and len(found):
            return {f"{path}.{i}": block for i, block in enumerate(found)}
    raise ValueError(
        f"model is a {type(model).__name__} without blocks in model.layers, expected a Llama-like causal model"
    )


def linears(block: nn.Module, where: str = "block") -> dict[str, nn.Linear]:
    """The linears of a block by name; ValueError for another layer that holds a matrix, or no linear at all."""
    found = {}
    for name, module in block.named_modules():
        check_holds_vectors_or_linear(module, f"{where}.{name}".rstrip("."))
        if isinstance(module, nn.Linear):
            found[name] = module
    if not found:
        raise ValueError(f"{where} is a {type(block).__name__} without linear layers, expected at least one")
    return found


def check_holds_vectors_or_linear(module: nn.Module, where: str) -> None:
    """ValueError for a matrix outside torch.nn.Linear, or one that isn't floats any more."""
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.ndim >= 2 and not isinstance(module, nn.Linear):
            raise ValueError(f"{where} is a {type(module).__name__}, expected torch.nn.Linear for its {name}")
        if not parameter.is_floating_point():
            raise ValueError(
                f"{where}.{name} is {parameter.dtype}, expected floats: is the model compressed already?"
            )


def check_model(model: nn.Module, bits: int, per: str | int, scheme: str) -> None:
    """ValueError, before anything is computed, for what would fail halfway through the model."""
    code_range(bits, scheme)
    for where, block in blocks(model).items():
        for name, linear in linears(block, where).items():
            try:
                group_size(per, linear.in_features)
                checked_weight(linear.weight)
            except ValueError as error:
                raise ValueError(f"{where}.{name}: {error}") from None


def round_model(
    model: nn.Module, bits: int = 4, per: str | int = 128, scheme: str = "symmetric"
) -> dict[str, LayerResult]:
    """Round every linear of the blocks to nearest, in place; no calibration. Results by full name.

    Their `error` is that of the weights, ‖W − Ŵ‖² / ‖W‖². ValueError as `check_model`: then nothing is changed.
    """
    check_model(model, bits, per, scheme)
    return _each_rounded(model, lambda weight: quantize(weight, bits, per, scheme))


def round_model_nf4(model: nn.Module, block: int = 64) -> dict[str, LayerResult]:
    """Round every linear of the blocks to NF4, `block` weights to a scale, in place. Results as `round_model`."""
    check_model(model, 4, "channel", "symmetric")
    return _each_rounded(model, lambda weight: quantize_nf4(weight, block))


def _each_rounded(model: nn.Module, rounded: Callable[[Tensor], Quantized | Nf4]) -> dict[str, LayerResult]:
    solutions = {}
    for where, block in blocks(model).items():
        solutions[where] = Solution({})
        for name, linear in linears(block, where).items():
            codes = rounded(linear.weight)
            error = relative_error(linear.weight, codes.dequantize())
            solutions[where].layers[name] = LayerResult(codes, error)
    return _written(blocks(model), solutions)


@torch.no_grad()
def compress_blocks(
    model: nn.Module,
    batches: Iterable[Tensor | Mapping],
    solve: Callable[[nn.Module, list[Reading]], Solution],
    *,
    title: str,
    progress: bool = True,
) -> dict[str, LayerResult]:
    """Compress a model block by block, in place; results by the linear's full name.

    batches: token ids [sequences, tokens], or mappings with `input_ids` and perhaps `attention_mask` (masked
    tokens are not counted). solve: turns a block and what its linears read into a Solution.
    Memory: the hidden states of all batches, one block's statistics, and one byte a weight for the codes.
    """
    layers = blocks(model)
    was_training = model.training
    model.eval()
    try:
        calls = _calls_of_first_block(model, next(iter(layers.values())), batches)
        solutions: dict[str, Solution] = {}
        for where, block in tqdm(layers.items(), desc=title, unit="block", disable=not progress):
            readings = _readings(block, calls, where)
            solutions[where] = solve(block, readings)
            del readings
            if len(solutions) < len(layers):
                with _replaced(block, solutions[where].tensors()):
                    for call in calls:
                        call.hidden = call.run(block)
    finally:
        model.train(was_training)
    return _written(layers, solutions)


@dataclass(eq=False)
class _Call:
    """A batch on its way through the blocks: its hidden states, the rest of a block's arguments, its mask."""

    hidden: Tensor
    arguments: dict
    mask: Tensor | None

    def run(self, block: nn.Module) -> Tensor:
        out = block(self.hidden, **self.arguments)
        return out[0] if isinstance(out, tuple) else out

    def tokens(self, inputs: Tensor) -> Tensor:
        """The rows of a layer's input that are real tokens."""
        return inputs if self.mask is None else inputs[self.mask]


class _Caught(Exception):
    """Ends a forward pass once the first block's input is known."""


def _calls_of_first_block(model, first, batches) -> list[_Call]:
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    if len(kinds) > 1:
        raise ValueError(
            f"model mixes {' and '.join(sorted(kinds))}, expected one kind of attention in all blocks"
        )
    calls, mask = [], None

    def catch(_, args, kwargs):
        hidden = args[0] if args else kwargs["hidden_states"]
        rest = {key: value for key, value in kwargs.items() if key != "hidden_states"}
        calls.append(_Call(hidden, rest, mask))
        raise _Caught

    hook = first.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        for batch in batches:
            batch = dict(batch) if isinstance(batch, Mapping) else {"input_ids": batch}
            ids = batch["input_ids"]
            if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.is_floating_point():
                raise ValueError(
                    "batches holds something else than token ids, expected [sequences, tokens] whole"
                )
            mask = batch.get("attention_mask")
            mask = None if mask is None or bool(mask.all()) else mask.bool()
            if ids.numel() and (mask is None or bool(mask.any())):
                with suppress(_Caught):
                    model(**batch, use_cache=False)
    finally:
        hook.remove()
    if not calls:
        raise ValueError("batches holds no token, expected at least one sequence of calibration text")
    return calls


def _readings(block: nn.Module, calls: list[_Call], where: str) -> list[Reading]:
    """Run the block on all calls and gather what its linears read; a shared input is counted once."""
    found = linears(block, where)
    readers: dict[str, list[str]] = {}  # the first linear that reads an input → all that read it
    stats: dict[str, InputStats] = {}
    seen: list[tuple[Tensor, str]] = []  # inputs of the forward pass under way, kept so that ids stay unique
    call = calls[0]

    def look(name):
        def hook(module, args):
            owner = next((first for known, first in seen if known is args[0]), None)
            if owner is None:
                seen.append((args[0], owner := name))
                if owner not in stats:
                    stats[owner] = InputStats.empty(module.in_features, args[0].device)
                    readers[owner] = []
                stats[owner].add(call.tokens(args[0]))
            if name not in readers[owner]:
                readers[owner].append(name)

        return hook

    hooks = [linear.register_forward_pre_hook(look(name)) for name, linear in found.items()]
    try:
        for call in calls:
            call.run(block)
            seen.clear()
    finally:
        for hook in hooks:
            hook.remove()
    unread = set(found) - {name for names in readers.values() for name in names}
    if unread:
        raise ValueError(
            f"{where}.{min(unread)} saw no token, expected every linear to be used on each batch"
        )
    return [
        Reading(
            {name: found[name] for name in names},
            checked_stats(stats[owner], stats[owner].gram.shape[0], where),
        )
        for owner, names in readers.items()
    ]


@contextmanager
def _replaced(module: nn.Module, values: dict[str, Tensor]):
    """The module with other values in its parameters, for a while."""
    parameters = dict(module.named_parameters())
    originals = {name: parameters[name].data for name in values}
    try:
        for name, value in values.items():
            parameters[name].data = value.to(originals[name])
        yield
    finally:
        for name, original in originals.items():
            parameters[name].data = original


@torch.no_grad()
def _written(layers: dict[str, nn.Module], solutions: dict[str, Solution]) -> dict[str, LayerResult]:
    """All solutions written into their blocks; their results by full name."""
    results = {}
    for where, solution in solutions.items():
        parameters = dict(layers[where].named_parameters())
        for name, value in solution.tensors().items():
            parameters[name].copy_(value)
        results |= {f"{where}.{name}": result for name, result in solution.layers.items()}
    return results
