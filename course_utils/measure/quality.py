"""How good is a language model still? Perplexity, bits per byte, nearness to a reference, a small task.

Each figure comes with an interval over blocks of text, and `paired` compares two models on the same blocks.
A perplexity means little without the lengths it was taken at (one model has 5.47 at 2048 tokens and 5.12 at 4096),
so each score states them. Bits per byte compare models with different vocabularies.
Taught in: chapter 03.
"""

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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

# Logits of one batch: a vocabulary of 49 152 takes 50 MB for 256 tokens, and the loss copies them twice.
_LOGIT_BYTES = 100e6


@dataclass(frozen=True)
class Nearness:
    """How near a model is to its reference: `kl` in nats per token, `top1` the share of equal first choices."""

    kl: Score
    top1: Score


@dataclass(frozen=True)
class Choice:
    """Which of `endings` follows `context`? The one at index `answer`."""

    context: str
    endings: tuple[str, ...]
    answer: int


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
    for rows in _batches(pieces, sequence_tokens, model, batch, progress, "perplexity"):
        losses = _losses(model, rows)[:, -scored:]
        per_window += losses.mean(dim=1).tolist()
    return score(
        "perplexity",
        "",
        "exponential",
        per_window,
        _identity(pieces),
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
    for rows in _batches(pieces, sequence_tokens, reference, batch, progress, "nearness"):
        with torch.inference_mode():
            theirs = _logits(reference, rows).log_softmax(-1)
            ours = _logits(model, rows).log_softmax(-1).to(theirs.device)
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
    where = (_identity(pieces), _lengths(sequence_tokens, sequence_tokens, len(pieces)), confidence)
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
    start = _start(tokenizer)
    rows = []
    for number, block in enumerate(blocks):
        ids = _ids(tokenizer, block)
        if not ids:
            raise ValueError(f"blocks: number {number} is empty")
        rows.append([start, *ids])
    _check_context(model, max(map(len, rows), default=0), "blocks")
    nats = _summed_losses(model, rows, [1] * len(rows), batch, progress, "bits per byte")
    bits = [n / math.log(2) / len(block.encode()) for n, block in zip(nats, blocks, strict=True)]
    lengths = f"{len(blocks)} blocks of up to {max(map(len, blocks))} characters, each without context"
    return score("bits per byte", "bits", "mean", bits, _identity(blocks), lengths, confidence)


def cloze(
    text: str,
    questions: int = 100,
    *,
    endings: int = 4,
    context_chars: int = 300,
    ending_chars: int = 48,
    seed: int = 0,
) -> tuple[Choice, ...]:
    """Multiple choice made from `text`: a passage, how it really goes on, and passages from elsewhere.

    The same seed gives the same questions. ValueError where the text is too short for them.
    """
    if endings < 2:
        raise ValueError(f"endings={endings!r}: at least 2 are needed for a choice")
    if questions < 2:
        raise ValueError(f"questions={questions!r}: at least 2 are needed")
    span = context_chars + ending_chars
    places = len(text) // span
    if places < max(questions, endings):
        raise ValueError(
            f"questions={questions!r}: a text of {len(text)} characters holds {places} of {span}"
        )
    rng = random.Random(seed)

    def ending_of(place: int) -> str:
        return text[place * span + context_chars : (place + 1) * span]

    asked = []
    for place in rng.sample(range(places), questions):
        drawn = rng.sample(range(places), min(places, 3 * endings))
        options = list(dict.fromkeys([ending_of(place), *map(ending_of, drawn)]))[:endings]
        if len(options) < endings:
            raise ValueError(f"text repeats itself: no {endings} different endings for a question")
        right = options[0]
        rng.shuffle(options)
        context = text[place * span : place * span + context_chars]
        asked.append(Choice(context, tuple(options), options.index(right)))
    return tuple(asked)


def accuracy(
    model,
    tokenizer,
    questions: Sequence[Choice],
    *,
    batch: int = 16,
    progress: bool = False,
    confidence: float = 0.95,
) -> Score:
    """Share of `questions` where the model finds the right ending likeliest, per byte of ending."""
    start = _start(tokenizer)
    rows, firsts, sizes = [], [], []
    for question in questions:
        context = [start, *_ids(tokenizer, question.context)]
        for ending in question.endings:
            rows.append(context + _ids(tokenizer, ending))
            firsts.append(len(context))
            sizes.append(len(ending.encode()))
    _check_context(model, max(map(len, rows), default=0), "questions")
    nats = _summed_losses(model, rows, firsts, batch, progress, "accuracy")
    per_byte = iter([n / size for n, size in zip(nats, sizes, strict=True)])
    right = []
    for question in questions:
        costs = [next(per_byte) for _ in question.endings]
        right.append(float(costs.index(min(costs)) == question.answer))
    texts = [question.context + "\0".join(question.endings) for question in questions]
    chance = f"{len(questions)} questions, guessing gives {1 / len(questions[0].endings):.2g}"
    return score("accuracy", "of questions", "share", right, _identity(texts), chance, confidence)


# --- text into rows -----------------------------------------------------------------------------------------


def _windows(tokenizer, text: str, sequence: int, stride: int, count: int | None) -> list[list[int]]:
    if sequence < 2:
        raise ValueError(f"sequence_tokens={sequence!r}: at least 2 are needed to score one")
    if not 1 <= stride <= sequence:
        raise ValueError(f"stride_tokens={stride!r}: between 1 and sequence_tokens={sequence} is needed")
    ids = _ids(tokenizer, text)
    starts = range(0, len(ids) - sequence + 1, stride)
    if len(starts) < 2:
        raise ValueError(f"text has {len(ids)} tokens: too few for two windows of {sequence}")
    if count is not None:
        if not 2 <= count <= len(starts):
            raise ValueError(f"windows={count!r}: between 2 and {len(starts)} fit this text")
        starts = [starts[index * len(starts) // count] for index in range(count)]
    return [ids[at : at + sequence] for at in starts]


def _ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def _start(tokenizer) -> int:
    """The token between documents in training; SmolLM2's bos_token is another, which starts a chat's turn."""
    between = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    if between == tokenizer.unk_token_id and tokenizer.unk_token != "<|endoftext|>":
        between = None
    for token in (between, tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return token
    raise ValueError("tokenizer has no token that starts or ends a text")


def _check_context(model, tokens: int, argument: str) -> None:
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit and tokens > limit:
        raise ValueError(
            f"{argument}: the longest has {tokens} tokens, the model's context {limit}; cut them shorter"
        )


def _lengths(sequence: int, stride: int, windows: int) -> str:
    return f"sequence {sequence} tokens, stride {stride}, {windows} windows"


def _identity(parts: Sequence) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


# --- rows through the model -----------------------------------------------------------------------------------


def _batches(rows: Sequence, length: int, model, batch: int, progress: bool, label: str) -> Iterator:
    """Rows of one length as tensors, few enough at a time for their logits to fit."""
    import torch

    if batch < 1:
        raise ValueError(f"batch={batch!r}: at least 1 is needed")
    _check_context(model, length, "sequence_tokens")
    size = max(1, min(batch, int(_LOGIT_BYTES / (4 * length * model.config.vocab_size))))
    with _bar(len(rows), progress, label) as bar:
        for at in range(0, len(rows), size):
            yield torch.tensor(rows[at : at + size])
            bar.update(len(rows[at : at + size]))


def _summed_losses(
    model, rows: list, firsts: list[int], batch: int, progress: bool, label: str
) -> list[float]:
    """For each row the nats of its tokens from index `first` on. Rows of like length share a batch, padded."""
    import torch

    if batch < 1:
        raise ValueError(f"batch={batch!r}: at least 1 is needed")
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    sums = [0.0] * len(rows)
    with _bar(len(rows), progress, label) as bar:
        at = 0
        while at < len(order):
            longest = len(rows[order[min(at + batch, len(order)) - 1]])
            size = max(1, min(batch, int(_LOGIT_BYTES / (4 * longest * model.config.vocab_size))))
            part = order[at : at + size]
            width = max(len(rows[i]) for i in part)
            # Padding goes to the right: a causal model's tokens never look there, so no mask is needed.
            padded = torch.tensor([rows[i] + [rows[i][-1]] * (width - len(rows[i])) for i in part])
            losses = _losses(model, padded)
            for row, i in enumerate(part):
                sums[i] = losses[row, firsts[i] - 1 : len(rows[i]) - 1].sum().item()
            at += size
            bar.update(len(part))
    return sums


def _losses(model, rows):
    """Nats of each token but the first: shape (rows, tokens − 1)."""
    import torch

    with torch.inference_mode():
        logits = _logits(model, rows)
        return torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), rows[:, 1:].to(logits.device), reduction="none"
        ).double()


def _logits(model, rows):
    """What the model expects after each token but the last, in float32."""
    device = next(model.parameters()).device
    return model(input_ids=rows.to(device), use_cache=False).logits[:, :-1].float()


def _bar(total: int, progress: bool, label: str):
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=label, disable=not progress, leave=False)
