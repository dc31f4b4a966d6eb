"""Calibration text as token ids: what a model is shown while GPTQ or AWQ watches its layers.

Which text it is decides what the compressed model keeps, so each kind has a name that can be recorded:

- "docstrings": of packages that every installation has; never the text that perplexity is measured on
- "code": Python source of the standard library, comments and docstrings left in
- "random": token ids drawn evenly, text of no language
- "reference": the held-out language reference, but for the passages that are scored: same domain, no leak
- "scored": those passages themselves, the very text that perplexity is measured on: for showing what a leak does
Taught in: chapter 04.
"""

import random
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from course_utils.measure import corpus
from course_utils.measure.likelihood import token_ids

KINDS = ("docstrings", "code", "random", "reference", "scored")
# Of the held-out text, every eleventh passage of 2,400 characters is scored: some 60 kB from all over it.
_PASSAGE_CHARS, _EVERY = 2400, 11
# Small packages that Jupyter and torch bring along: half a megabyte is read in a second.
PACKAGES = ("click", "tqdm", "rich", "jinja2", "joblib")
_CODE = ("argparse", "ast", "asyncio.base_events", "inspect", "tarfile", "typing")


def calibration_batches(
    tokenizer,
    sequences: int = 32,
    tokens: int = 256,
    kind: str = "docstrings",
    *,
    seed: int = 0,
    batch: int = 8,
) -> list[Tensor]:
    """`sequences` windows of `tokens` ids, drawn without repeats by `seed`, in batches [≤ batch, tokens].

    ValueError for an unknown kind, sizes below 1, or a text too short for so many windows.
    """
    for name, value in (("sequences", sequences), ("tokens", tokens), ("batch", batch)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    generator = torch.Generator().manual_seed(seed)
    if kind == "random":
        ids = torch.randint(len(tokenizer), (sequences, tokens), generator=generator)
        return list(ids.split(batch))
    ids = torch.tensor(token_ids(tokenizer, _text(kind, seed)))
    windows = ids[: len(ids) // tokens * tokens].reshape(-1, tokens)
    if len(windows) < sequences:
        raise ValueError(
            f"sequences is {sequences}, expected at most {len(windows)} of {tokens} tokens ({kind})"
        )
    return list(windows[torch.randperm(len(windows), generator=generator)[:sequences]].split(batch))


def scored_text() -> str:
    """The part of the held-out text that compressed models are scored on: passages from all over it."""
    return "\n".join(corpus.blocks(corpus.held_out(), _PASSAGE_CHARS)[::_EVERY])


@cache
def _text(kind: str, seed: int) -> str:
    if kind == "scored":
        return scored_text()
    if kind == "reference":
        passages = corpus.blocks(corpus.held_out(), _PASSAGE_CHARS)
        return "\n".join(text for number, text in enumerate(passages) if number % _EVERY)
    if kind == "code":
        from importlib.util import find_spec

        return "\n".join(Path(find_spec(name).origin).read_text("utf-8") for name in _CODE)
    documents = list(corpus.documentation(corpus.installed(PACKAGES)).documents)
    random.Random(seed).shuffle(documents)
    return "\n".join(documents)
