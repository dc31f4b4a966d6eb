"""The runs behind chapter 05's recording: SmolLM2 and the tiny model, pruned in every way, with raw losses.

`cases` is what `course record pruning` measures. Every model is scored on the same windows of held-out text, so
that any two rows can be paired, and calibrated on the same docstrings.
Taught in: chapter 05.
"""

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

from course_utils.compress import pruning, structured
from course_utils.measure.corpus import documentation, held_out, installed
from course_utils.measure.likelihood import token_ids
from course_utils.measure.models import Loaded, load
from course_utils.measure.quality import perplexity
from course_utils.measure.recorded import Case, Recording
from course_utils.measure.scores import Score, score

# Small packages that every environment of the course has; none of their text is in the held-out text.
CALIBRATION_PACKAGES = ("click", "jinja2", "joblib")
SEQUENCE_TOKENS = 256
CALIBRATION_SEQUENCES, BATCH = 32, 8
WINDOWS = {"tiny": 40, "smollm2": 32}
DTYPES = {"tiny": "float32", "smollm2": "bfloat16"}
METHODS, STRUCTURED = ("magnitude", "wanda", "sparsegpt"), ("mlp", "heads", "layers")
# What is measured of each model, the cells that everything rests on first. For the tiny one more of it: it is quick.
SPARSITIES = {
    "smollm2": (0.5, "2:4"),
    "tiny": (0.5, "2:4", 0.3, 0.7, 0.8, 0.9),
}
# Shares of the MLP channels, of the heads, of the layers that stay.
CUTS = {
    "smollm2": (("mlp", 0.75),),
    "tiny": (("mlp", 0.875), ("mlp", 0.75), ("mlp", 0.5), ("mlp", 0.25), ("heads", 0.5), ("layers", 5 / 6)),
}


def cases(seed: int = 0) -> Iterator[Case]:
    """Rows of the recording, the ones that everything rests on first. Nothing is drawn but the calibration text."""
    for model in ("smollm2", "tiny"):
        yield f"{model} dense", lambda model=model: measured(model, "dense", 0.0, seed)
        unstructured = [(method, sparsity) for sparsity in SPARSITIES[model] for method in METHODS]
        first = 2 * len(METHODS)
        for method, sparsity in (*unstructured[:first], *CUTS[model], *unstructured[first:]):
            key = (
                f"{model} {method} {sparsity:.3g}" if method in STRUCTURED else f"{model} {method} {sparsity}"
            )
            yield key, lambda m=model, how=method, s=sparsity: measured(m, how, s, seed)


def measured(model: str, method: str, sparsity: float | str, seed: int = 0) -> dict[str, Any]:
    """One row: what the method left, and the loss of every window (nats a token)."""
    dense = _loaded(model)
    smaller = _applied(dense.model, method, sparsity, _batches(model, seed))
    quality = perplexity(
        smaller, dense.tokenizer, held_out(), SEQUENCE_TOKENS, windows=WINDOWS[model], progress=True
    )
    count = pruning.zeros(smaller)
    return {
        "model": model,
        "label": dense.label,
        "method": method,
        "sparsity": sparsity,
        "zeros_of_linears": count.of_linears,
        "zeros_of_model": count.of_model,
        "parameters": count.parameters,
        "losses": list(quality.per_block),
        "text_id": quality.text_id,
        "setting": quality.setting,
    }


def quality_of(recorded: Recording, key: str) -> Score:
    """A row's perplexity, with its windows, so that two rows can be paired. ValueError for a key that isn't there."""
    rows = {row["key"]: row for row in recorded.rows}
    if key not in rows:
        raise ValueError(f"key is {key!r}, expected one of {', '.join(rows)}")
    row = rows[key]
    return score("perplexity", "", "exponential", row["losses"], row["text_id"], row["setting"])


def calibration(tokenizer, seed: int = 0, sequences: int = CALIBRATION_SEQUENCES) -> tuple[Tensor, ...]:
    """Batches of token ids [8, 256] of docstrings, drawn without repeats; not from the held-out text."""
    ids = torch.tensor(
        token_ids(tokenizer, "\n".join(documentation(installed(CALIBRATION_PACKAGES)).documents))
    )
    rows = ids[: len(ids) // SEQUENCE_TOKENS * SEQUENCE_TOKENS].reshape(-1, SEQUENCE_TOKENS)
    if sequences > len(rows):
        raise ValueError(f"sequences is {sequences!r}, expected at most {len(rows)}: the text has no more")
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:sequences]
    return rows[chosen].split(BATCH)


def _applied(model, method: str, sparsity, batches) -> Any:
    """A pruned copy."""
    unstructured: dict[str, Callable] = {
        "dense": lambda copied: None,
        "magnitude": lambda copied: pruning.prune_magnitude(copied, sparsity),
        "wanda": lambda copied: pruning.prune_wanda(copied, batches, sparsity),
        "sparsegpt": lambda copied: pruning.prune_sparsegpt(copied, batches, sparsity),
    }
    if method in unstructured:
        copied = copy.deepcopy(model)
        unstructured[method](copied)
        return copied
    config, scores = model.config, structured.importance(model, batches)
    if method == "mlp":
        return structured.cut(model, scores, intermediate=round(sparsity * config.intermediate_size))
    if method == "heads":
        groups = max(1, round(sparsity * config.num_key_value_heads))
        per_group = config.num_attention_heads // config.num_key_value_heads
        return structured.cut(model, scores, heads=groups * per_group)
    dropped = structured.worst_layers(scores, round((1 - sparsity) * config.num_hidden_layers))
    return structured.cut(model, scores, drop_layers=dropped)


@cache
def _loaded(model: str) -> Loaded:
    return load(model, DTYPES[model], device="cpu")


@cache
def _batches(model: str, seed: int) -> tuple[Tensor, ...]:
    return calibration(_loaded(model).tokenizer, seed)
