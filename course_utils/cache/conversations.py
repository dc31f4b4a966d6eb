"""Traces of conversations whose prompts share beginnings: read as published, or generated from fitted parameters.

A conversation comes back turn after turn: its prompt is the one before, the answer, and something new. A prompt is
a row of block numbers; equal numbers mean equal text up to and with that block.

Source: Qin et al., "Mooncake: Trading More Storage for Less Computation", FAST 2025, section 4 (the layout of the
trace). The generator's parameters: data/conversation_traces.csv.
Taught in: chapter 08.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np

from course_utils.catalog.provenance import read_rows


@dataclass(frozen=True, eq=False)
class Conversations:
    """Requests in the order of their arrival.

    arrived_s, input_tokens, output_tokens: arrays [requests]. blocks: for each request the numbers of its blocks of
    `block_tokens` tokens, the last of which may be partly filled.
    """

    arrived_s: np.ndarray
    input_tokens: np.ndarray
    output_tokens: np.ndarray
    blocks: tuple[tuple[int, ...], ...]
    block_tokens: int
    name: str

    def __post_init__(self):
        sizes = {len(self.arrived_s), len(self.input_tokens), len(self.output_tokens), len(self.blocks)}
        if len(sizes) > 1 or not len(self.blocks):
            raise ValueError(
                f"a trace needs as many of everything, and at least one request; it has {sorted(sizes)}"
            )

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def asked_blocks(self) -> int:
        return sum(map(len, self.blocks))


def read_mooncake(path: Path | str, block_tokens: int = 512) -> Conversations:
    """A trace in Mooncake's layout: JSON lines of timestamp (ms), input_length, output_length, hash_ids.

    ValueError names the line that doesn't fit.
    """
    rows, path = [], Path(path)
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                one = json.loads(line)
                numbers = [float(one[name]) for name in ("timestamp", "input_length", "output_length")]
                if not (math.isfinite(numbers[0]) and numbers[1] >= 1 and 0 <= numbers[2] < math.inf):
                    raise ValueError(f"{numbers}: a time, 1 or more and 0 or more tokens are needed")
                rows.append((numbers[0], int(numbers[1]), int(numbers[2]), tuple(one["hash_ids"])))
            except (ValueError, KeyError, TypeError, OverflowError) as problem:
                raise ValueError(
                    f"{path.name}, line {number}: timestamp, input_length, output_length and hash_ids as JSON are "
                    f"needed ({problem!r})"
                ) from None
    if not rows:
        raise ValueError(f"{path.name} is empty: at least one request is needed")
    rows.sort(key=lambda row: row[0])
    times, inputs, outputs, blocks = zip(*rows, strict=True)
    as_arrays = np.array(times) / 1e3, np.array(inputs), np.array(outputs)
    return Conversations(*as_arrays, blocks, block_tokens, path.stem)


@dataclass(frozen=True, kw_only=True)
class ConversationProcess:
    """How conversations come, fitted to a published trace.

    requests_per_s: arrivals of all requests. continued_share: requests that continue an earlier one.
    first_log_mean, first_log_sd: ln of a first prompt's tokens; added_…: of what a turn adds beside the last answer;
    output_…: of an answer's tokens; gap_…: of the seconds from a request to the next turn.
    edited_share: turns that keep only a part of the earlier prompt, cut at a uniform place.
    shared_blocks: blocks that every prompt begins with (a system prompt).
    """

    trace: str
    requests_per_s: float
    continued_share: float
    first_log_mean: float
    first_log_sd: float
    added_log_mean: float
    added_log_sd: float
    output_log_mean: float
    output_log_sd: float
    gap_log_mean: float
    gap_log_sd: float
    edited_share: float
    shared_blocks: int
    block_tokens: int
    source: str
    as_of: date


@lru_cache(maxsize=1)
def conversation_processes() -> dict[str, ConversationProcess]:
    """The fitted processes, by the trace that each was fitted to."""
    return {row.trace: row for row in read_rows("conversation_traces.csv", ConversationProcess)}


def generate_conversations(
    requests: int,
    process: ConversationProcess | None = None,
    *,
    seed: int = 0,
    longest_tokens: int = 120_000,
) -> Conversations:
    """A trace of about the same statistics as the one that `process` (default: Mooncake's) was fitted to.

    Conversations start at random, and go on with a chance of `continued_share` after each turn.
    ValueError for requests below 1.
    """
    if requests < 1:
        raise ValueError(f"requests={requests!r}: at least 1 is needed")
    process = process or conversation_processes()["mooncake_conversation"]
    rng = np.random.default_rng(seed)
    # Starts over the whole trace, and some before it: otherwise its beginning had no later turns.
    length_s = requests / process.requests_per_s
    starts = np.sort(
        rng.uniform(-0.15 * length_s, length_s, int(1.15 * requests * (1 - process.continued_share)) + 1)
    )
    turns = [turn for start in starts for turn in _turns(float(start), process, longest_tokens, rng)]
    turns = sorted((one for one in turns if 0 <= one[0] <= length_s), key=lambda one: one[0])[:requests]
    if not turns:
        return generate_conversations(requests, process, seed=seed + 1, longest_tokens=longest_tokens)
    times, inputs, outputs, texts = zip(*turns, strict=True)
    return Conversations(
        np.array(times),
        np.array(inputs),
        np.array(outputs),
        tuple(_numbered(texts)),
        process.block_tokens,
        f"generated as {process.trace}, seed {seed}",
    )


def _turns(at_s: float, p: ConversationProcess, longest: int, rng) -> Iterator[tuple]:
    """(arrival, input tokens, output tokens, pieces of text by number and length) of one conversation's turns."""
    text = [(object(), int(np.clip(rng.lognormal(p.first_log_mean, p.first_log_sd), 16, longest)))]
    while True:
        tokens = p.shared_blocks * p.block_tokens + sum(size for _, size in text)
        output = int(np.clip(rng.lognormal(p.output_log_mean, p.output_log_sd), 1, 2000))
        yield at_s, tokens, output, (p.shared_blocks, p.block_tokens, tuple(text))
        if rng.random() >= p.continued_share or tokens > longest:
            return
        at_s += rng.lognormal(p.gap_log_mean, p.gap_log_sd)
        if rng.random() < p.edited_share:
            kept = rng.uniform(0, 1) * sum(size for _, size in text)
            text = _cut(text, int(kept))
        added = int(np.clip(rng.lognormal(p.added_log_mean, p.added_log_sd), 1, longest))
        text = [*text, (object(), output), (object(), added)]


def _cut(text: list, tokens: int) -> list:
    kept = []
    for piece, size in text:
        if tokens <= 0:
            break
        kept.append((piece, min(size, tokens)))
        tokens -= size
    return kept


def _numbered(texts) -> Iterator[tuple[int, ...]]:
    """Block numbers: the same for the same text up to the block's end, the last block's end being the prompt's."""
    numbers: dict = {}
    for shared, block, text in texts:
        ids = list(range(shared))
        # What stands in a block: the pieces it reaches into and how far, chained to the block before it.
        before, at, content = shared, 0, []
        for piece, size in text:
            start = 0
            while start < size:
                part = min(block - at, size - start)
                content.append((id(piece), start, part))
                at, start = at + part, start + part
                if at == block:
                    before = numbers.setdefault((before, tuple(content)), len(numbers) + shared + 1)
                    ids.append(before)
                    at, content = 0, []
        if content:
            ids.append(numbers.setdefault((before, tuple(content)), len(numbers) + shared + 1))
        yield tuple(ids)
