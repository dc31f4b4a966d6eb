"""What eight bits cost SmolLM2-135M in quality, by where they are used: recorded once, replayed in chapter 03.

Each way is a case of `course record int8_quality`: the model is loaded, made int8 in that way, and scored on the
same windows of held-out text, so that any two ways can be paired.
Taught in: chapter 03.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from functools import partial

from course_utils.measure.recorded import Case, Recording
from course_utils.measure.scores import Score

RECORDING = "int8_quality"
SEQUENCE_TOKENS = 128
WINDOWS = 64
# SmoothQuant looks at what flows through the layers on other text than it is scored on.
CALIBRATION_SEQUENCES = 8


def _unchanged(model, batches):
    return model


def _weights(model, batches):
    from course_utils.compress.blocks import round_model

    round_model(model, 8, "channel", "absmax")
    return model


def _per_token(model, batches, alpha: float | None = None):
    from course_utils.compress.smoothquant import smooth_model

    smooth_model(model, batches, alpha, progress=False)
    return model


def _kernel(name: str):
    def convert(model, batches):
        from course_utils.compress import backends

        return backends.apply(model, name)

    return convert


# What a reader sees → how the model is changed.
WAYS: dict[str, Callable] = {
    "fp32": _unchanged,
    "weights only": _weights,
    "LLM.int8": _kernel("bnb-int8"),
    "SmoothQuant 0.5": partial(_per_token, alpha=0.5),
    "SmoothQuant 0.8": partial(_per_token, alpha=0.8),
    "W8A8, a scale per token": _per_token,
    "W8A8, a scale per tensor": _kernel("dynamic-int8"),
}


def cases(seed: int) -> Iterator[Case]:
    """A case for each of `WAYS`; a row holds the fields of its `Score`, and which model it was."""
    for way, convert in WAYS.items():
        yield way, partial(_measure, convert, seed)


def scores(replayed: Recording) -> dict[str, Score]:
    """The recorded scores by way. ValueError where a row lacks a field."""
    names = [field.name for field in fields(Score)]
    found = {}
    for row in replayed.rows:
        if missing := [name for name in names if name not in row]:
            raise ValueError(
                f"recording {replayed.name!r}, row {row['key']!r} lacks {missing[0]!r}: "
                f"record it again with `course record {replayed.name}`"
            )
        found[row["key"]] = Score(**{name: row[name] for name in names})
    return found


def _measure(convert: Callable, seed: int) -> dict:
    from course_utils.measure import corpus, load, perplexity

    model, tokenizer, label = load("smollm2", device="cpu")
    changed = convert(model, _calibration(tokenizer, seed))
    score = perplexity(changed, tokenizer, corpus.held_out(), SEQUENCE_TOKENS, windows=WINDOWS)
    return {"model": label, **asdict(score)}


def _calibration(tokenizer, seed: int) -> list:
    """Token ids [1, SEQUENCE_TOKENS] from docstrings of the standard library."""
    import random

    import torch

    from course_utils.measure.corpus import documentation
    from course_utils.measure.likelihood import token_ids

    texts = [text for text in documentation(("stdlib",)).documents if len(text) > 8 * SEQUENCE_TOKENS]
    picked = random.Random(seed).sample(texts, CALIBRATION_SEQUENCES)
    return [torch.tensor([token_ids(tokenizer, text)[:SEQUENCE_TOKENS]]) for text in picked]
