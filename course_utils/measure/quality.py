"""How good is a language model still? Perplexity, bits per byte, nearness to a reference, a small task.

Each figure comes with an interval over blocks of text, and `paired` compares two models on the same blocks.
A perplexity means little without the lengths it was taken at (one model has 5.47 at 2048 tokens and 5.12 at 4096),
so each score states them. Bits per byte compare models with different vocabularies.
Taught in: chapter 03.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from course_utils.measure.choices import Choice, accuracy, cloze
from course_utils.measure.likelihood import (
    batches,
    check_context,
    identity,
    logits_of,
    losses_of,
    start_token,
    summed_losses,
    token_ids,
)
from course_utils.measure.scores import Difference, Score, paired, score

__all__ = [
    "Choice",
    "Difference",
    "Nearness",
    "Score",
    "accuracy",
    "bits_per_byte",
    "cloze",
    "nearness",
    "paired",
    "perplexity",
]


@dataclass(frozen=True)
class Nearness:
    """How near a model is to its reference: `kl` in nats per token, `top1` the share of equal first choices."""

    kl: Score
    top1: Score


def perplexity(
    model,
    tokenizer,
    text: str,
    sequence_tokens: int = 256,
    stride_tokens: int | None = None,
    *,
    windows: int | None = None,
    batch: int = 16,
    progress: bool = False,
    confidence: float = 0.95,
) -> Score:
    """exp of the mean loss per token over windows of `text`; lower is better.

    Each window shows the model `sequence_tokens` and scores the last `stride_tokens` of them (all but its very
    first token where the stride is the whole sequence, as published tables do). `windows` takes that many,
    evenly spread. ValueError for a text too short for two windows.
    """
    stride = sequence_tokens if stride_tokens is None else stride_tokens
    pieces = _windows(tokenizer, text, sequence_tokens, stride, windows)
    scored = min(stride, sequence_tokens - 1)
    per_window = []
    for rows in batches(pieces, sequence_tokens, model, batch, progress, "perplexity"):
        losses = losses_of(model, rows)[:, -scored:]
        per_window += losses.mean(dim=1).tolist()
    return score(
        "perplexity",
        "",
        "exponential",
        per_window,
        identity(pieces),
        _lengths(sequence_tokens, stride, len(pieces)),
        confidence,
    )


def nearness(
    reference,
    model,
    tokenizer,
    text: str,
    sequence_tokens: int = 256,
    *,
    windows: int | None = None,
    batch: int = 16,
    progress: bool = False,
    confidence: float = 0.95,
) -> Nearness:
    """How far `model`'s next-token probabilities are from `reference`'s: KL(reference ‖ model) and top-1 agreement.

    Both see the same windows of `text` and share the tokenizer. ValueError where their vocabularies differ.
    """
    import torch

    pieces = _windows(tokenizer, text, sequence_tokens, sequence_tokens, windows)
    divergences, agreements = [], []
    for rows in batches(pieces, sequence_tokens, reference, batch, progress, "nearness"):
        with torch.inference_mode():
            theirs = logits_of(reference, rows).log_softmax(-1)
            ours = logits_of(model, rows).log_softmax(-1).to(theirs.device)
        if ours.shape[-1] != theirs.shape[-1]:
            raise ValueError(
                f"model has {ours.shape[-1]} tokens and reference {theirs.shape[-1]}: one vocabulary is needed"
            )
        agreements += (theirs.argmax(-1) == ours.argmax(-1)).float().mean(1).tolist()
        divergences += (
            torch.nn.functional.kl_div(ours, theirs, reduction="none", log_target=True)
            .sum(-1)
            .mean(1)
            .tolist()
        )
    where = (identity(pieces), _lengths(sequence_tokens, sequence_tokens, len(pieces)), confidence)
    return Nearness(
        score("KL to the reference", "nats per token", "mean", divergences, *where),
        score("top-1 agreement", "of tokens", "mean", agreements, *where),
    )


def bits_per_byte(
    model,
    tokenizer,
    blocks: Sequence[str],
    *,
    batch: int = 16,
    progress: bool = False,
    confidence: float = 0.95,
) -> Score:
    """What the model needs to spell a byte of text, mean over `blocks`; lower is better, gzip needs 2 to 3.

    Each block is read on its own, after the token that starts a document, so that models of different
    vocabularies face the same task. ValueError for an empty block, or one longer than the model's context.
    """
    start = start_token(tokenizer)
    rows = []
    for number, block in enumerate(blocks):
        ids = token_ids(tokenizer, block)
        if not ids:
            raise ValueError(f"blocks: number {number} is empty")
        rows.append([start, *ids])
    check_context(model, max(map(len, rows), default=0), "blocks")
    nats = summed_losses(model, rows, [1] * len(rows), batch, progress, "bits per byte")
    bits = [n / math.log(2) / len(block.encode()) for n, block in zip(nats, blocks, strict=True)]
    lengths = f"{len(blocks)} blocks of up to {max(map(len, blocks))} characters, each without context"
    return score("bits per byte", "bits", "mean", bits, identity(blocks), lengths, confidence)


# --- text into rows -----------------------------------------------------------------------------------------


def _windows(tokenizer, text: str, sequence: int, stride: int, count: int | None) -> list[list[int]]:
    if sequence < 2:
        raise ValueError(f"sequence_tokens={sequence!r}: at least 2 are needed to score one")
    if not 1 <= stride <= sequence:
        raise ValueError(f"stride_tokens={stride!r}: between 1 and sequence_tokens={sequence} is needed")
    ids = token_ids(tokenizer, text)
    starts = range(0, len(ids) - sequence + 1, stride)
    if len(starts) < 2:
        raise ValueError(f"text has {len(ids)} tokens: too few for two windows of {sequence}")
    if count is not None:
        if not 2 <= count <= len(starts):
            raise ValueError(f"windows={count!r}: between 2 and {len(starts)} fit this text")
        starts = [starts[index * len(starts) // count] for index in range(count)]
    return [ids[at : at + sequence] for at in starts]


def _lengths(sequence: int, stride: int, windows: int) -> str:
    return f"sequence {sequence} tokens, stride {stride}, {windows} windows"
