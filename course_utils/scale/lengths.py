"""How long prompts and answers are: a table of quantiles that keeps what a log-normal loses.

Real lengths have lumps (one application's fixed prompt), and answers that depend on the prompt without growing with
it: prompts of 1,000 tokens get the longest answers of Azure's conversations, longer ones the shortest. So prompts are
cut into bins by rank, and each bin has quantiles of its answers. `data/traffic_fits.csv` has the error of each fit.
Taught in: chapter 09.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise

import numpy as np

from course_utils.catalog.provenance import read_rows

# Edges of the bins by rank of the prompt's length: twentieths, and the tails finer.
_RANKS = np.unique(np.concatenate((np.arange(21) / 20, [0.01, 0.98, 0.99, 0.998])))
_SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True, kw_only=True)
class LengthBin:
    """A row of `data/traffic_lengths_by_rank.csv`: `share` of the requests, their shortest, middle and longest prompt,
    and the quantiles (at `_SHARES`) of their answers.
    """

    workload: str
    share: float
    input_from_tokens: int
    input_median_tokens: int
    input_to_tokens: int
    output_tokens: tuple[str, ...]
    source: str
    as_of: date


@dataclass(frozen=True, eq=False)
class Lengths:
    """share [bins] of the requests; input_tokens [bins, 3]: the shortest, middle and longest prompt; output_tokens
    [bins, 10]: the answers' quantiles at `_SHARES`.
    """

    share: np.ndarray
    input_tokens: np.ndarray
    output_tokens: np.ndarray

    def draw(self, requests: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Tokens in and out of so many requests, independent of each other: two arrays int64 [requests]."""
        bins = rng.choice(len(self.share), requests, p=self.share / self.share.sum())
        # The longest prompt of a bin is one of its lengths, so that the scale reaches one token further.
        upto = self.input_tokens + np.array([0, 0, 1])
        asked = np.floor(_between(upto, (0.0, 0.5, 1.0), bins, rng.random(requests)) + 1e-9)
        said = np.rint(_between(self.output_tokens, _SHARES, bins, rng.random(requests)))
        asked = np.minimum(asked, self.input_tokens[bins, -1])
        return asked.astype(np.int64), np.maximum(1, said).astype(np.int64)


def _between(
    quantiles: np.ndarray, shares: tuple[float, ...], bins: np.ndarray, ranks: np.ndarray
) -> np.ndarray:
    """Values of the bins' quantiles [bins, shares] at these ranks, interpolated on a log scale."""
    knot = np.searchsorted(shares, ranks, side="right") - 1
    part = (ranks - np.array(shares)[knot]) / np.diff(shares)[knot]
    logs = np.log(quantiles)
    return np.exp(logs[bins, knot] * (1 - part) + logs[bins, knot + 1] * part)


def fit_lengths(input_tokens: np.ndarray, output_tokens: np.ndarray) -> Lengths:
    """The table of a log's lengths, each array [requests] of 1 or more. ValueError for fewer than 200 requests."""
    inputs, outputs = np.asarray(input_tokens), np.asarray(output_tokens)
    if inputs.shape != outputs.shape or inputs.size < 200:
        raise ValueError(
            f"input_tokens has shape {inputs.shape}, output_tokens {outputs.shape}: at least 200 requests are needed"
        )
    if min(inputs.min(), outputs.min()) < 1:
        raise ValueError(f"the shortest are {inputs.min()} and {outputs.min()} tokens: 1 or more are needed")
    # Equal prompts in random order: one application's fixed prompt may fill several bins, alike in their answers.
    order = np.lexsort((np.random.default_rng(0).random(inputs.size), inputs))
    edges = np.unique(np.rint(_RANKS * inputs.size).astype(int))
    parts = [order[start:end] for start, end in pairwise(edges)]
    return Lengths(
        np.diff(edges) / inputs.size,
        np.array([inputs[part[[0, len(part) // 2, -1]]] for part in parts]),
        np.array([np.quantile(outputs[part], _SHARES) for part in parts]),
    )


@lru_cache(maxsize=8)
def published_lengths(workload: str) -> Lengths:
    """The fitted table of a published trace. ValueError lists those that there are."""
    rows = read_rows("traffic_lengths_by_rank.csv", LengthBin)
    mine = [row for row in rows if row.workload == workload]
    if not mine:
        there = ", ".join(dict.fromkeys(row.workload for row in rows))
        raise ValueError(f"workload={workload!r}: one of {there} is needed")
    return Lengths(
        np.array([row.share for row in mine]),
        np.array([(row.input_from_tokens, row.input_median_tokens, row.input_to_tokens) for row in mine]),
        np.array([row.output_tokens for row in mine], dtype=float),
    )
