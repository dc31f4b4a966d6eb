"""Continuous batching in its smallest form: who is in the batch is decided anew at every step (Yu et al. 2022, Orca).

A step decodes one token for every sequence whose prompt is behind it, then fills what is left of its token budget
with prompts, the oldest first and the last one in part: chunked prefill (Agrawal et al. 2023, Sarathi).
Taught in: chapter 09.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from course_utils.catalog.provenance import check_range
from course_utils.scale.cluster.decoder import Decoder

# Finished sequences that a repeated request is answered from.
REMEMBERED = 256


class QueueFull(Exception):
    """The waiting line has reached its bound: the caller should come back later."""


@dataclass(frozen=True)
class EngineSettings:
    """max_running sequences in a batch, step_tokens of a step (decodes and prompt chunks together), max_waiting in
    line before new ones are refused. step_at_least_s stretches each step: the replica then stands for a slower
    device, and several of them fit on few cores."""

    max_running: int = 8
    step_tokens: int = 256
    max_waiting: int = 256
    step_at_least_s: float = 0.0

    def __post_init__(self):
        check_range("max_running", self.max_running, 1, 64)
        check_range("step_tokens", self.step_tokens, self.max_running + 1, 8192)
        check_range("max_waiting", self.max_waiting, 0, 100_000)
        check_range("step_at_least_s", self.step_at_least_s, 0, 10)


@dataclass(frozen=True)
class Sampling:
    """temperature 0 takes the likeliest token; above it, tokens are drawn, the same ones for the same seed."""

    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    ignore_end: bool = False


@dataclass(eq=False)
class Sequence:
    """A prompt on its way: `prompt` [tokens], what has been added in `tokens`, and why it ended."""

    prompt: np.ndarray
    sampling: Sampling
    tokens: list[int] = field(default_factory=list)
    finish_reason: str | None = None  # "stop", "length" or "cancelled"
    done_prompt: int = 0  # tokens of the prompt that are in the cache
    readers: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self):
        self._random = np.random.default_rng(self.sampling.seed)

    @property
    def cached_tokens(self) -> int:
        """The newest token isn't in the cache before it has been fed back."""
        return self.done_prompt + max(0, len(self.tokens) - 1)

    def add(self, logits: np.ndarray, end_token: int) -> None:
        self.tokens.append(self._pick(logits))
        if self.tokens[-1] == end_token and not self.sampling.ignore_end:
            self.finish_reason = "stop"
        elif len(self.tokens) >= self.sampling.max_tokens:
            self.finish_reason = "length"

    def _pick(self, logits: np.ndarray) -> int:
        if not self.sampling.temperature:
            return int(logits.argmax())
        # Gumbel's trick: the largest of logits + noise is a draw from their softmax.
        return int((logits / self.sampling.temperature + self._random.gumbel(size=logits.size)).argmax())


class Engine:
    """One replica's loop over `decoder`. Submit from the event loop; steps run in a thread beside it."""

    def __init__(self, decoder: Decoder, settings: EngineSettings):
        self.decoder, self.settings = decoder, settings
        self.waiting: deque[Sequence] = deque()
        self.decoding: list[Sequence] = []  # in the cache's rows 0, 1, ...
        self.prefilling: Sequence | None = None  # in the row behind them
        self._known: OrderedDict[str, Sequence] = OrderedDict()
        self._work = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "engine")
        self.loop = asyncio.get_running_loop().create_task(self._run())

    def submit(self, request_id: str, prompt: np.ndarray, sampling: Sampling) -> Sequence:
        """Stand in line. The same request under an id that is here already joins it: a retry costs nothing and counts
        once. Another request under that id is a new one.

        QueueFull where max_waiting stand there already. Outside the event loop's thread nothing may call this.
        """
        self._forget()
        known = self._known.get(request_id)
        if known and known.sampling == sampling and np.array_equal(known.prompt, prompt):
            return known
        if len(self.waiting) >= self.settings.max_waiting and self._is_full():
            raise QueueFull(f"{len(self.waiting)} requests wait already")
        sequence = Sequence(prompt, sampling)
        self._known[request_id] = sequence
        self.waiting.append(sequence)
        self._work.set()
        return sequence

    async def stream(self, sequence: Sequence) -> AsyncIterator[list[int]]:
        """New tokens of `sequence`, as many as each step brings. When its last reader leaves, it is cancelled."""
        sequence.readers += 1
        seen = 0
        try:
            while True:
                if seen < len(sequence.tokens):
                    new, seen = sequence.tokens[seen:], len(sequence.tokens)
                    yield new
                elif sequence.finish_reason:
                    return
                else:
                    sequence.news.clear()
                    await sequence.news.wait()
        finally:
            sequence.readers -= 1
            if not sequence.readers and sequence.finish_reason is None:
                sequence.finish_reason = "cancelled"

    def close(self) -> None:
        self.loop.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    # --- the loop ---------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        here = asyncio.get_running_loop()
        while True:
            if not (self.waiting or self.decoding or self.prefilling):
                self._work.clear()
                await self._work.wait()
            began = time.perf_counter()
            for sequence in await here.run_in_executor(self._thread, self.step):
                sequence.news.set()
            rest = self.settings.step_at_least_s - (time.perf_counter() - began)
            await asyncio.sleep(max(0.0, rest))

    def step(self) -> list[Sequence]:
        """One step of all; the sequences that have news."""
        self._drop_ended()
        news = []
        budget = self.settings.step_tokens
        if self.decoding:
            tokens = np.array([[one.tokens[-1]] for one in self.decoding])
            past = np.array([one.cached_tokens for one in self.decoding])
            for one, logits in zip(self.decoding, self.decoder.step(0, tokens, past), strict=True):
                one.add(logits, self.decoder.end_token)
            news += self.decoding
            budget -= len(self.decoding)
        while budget > 0 and self._next_prompt():
            budget -= self._prefill(self.prefilling, budget, news)
        self._drop_ended()
        return news

    def _next_prompt(self) -> bool:
        """Whether a prompt is being filled in, after the next in line has been taken where a row is free."""
        while self.prefilling is None and self.waiting and len(self.decoding) < self.settings.max_running:
            one = self.waiting.popleft()
            if one.finish_reason is None:
                self.prefilling = one
        return self.prefilling is not None

    def _prefill(self, one: Sequence, budget: int, news: list[Sequence]) -> int:
        chunk = one.prompt[one.done_prompt : one.done_prompt + budget]
        logits = self.decoder.step(len(self.decoding), chunk[None], np.array([one.done_prompt]))
        one.done_prompt += len(chunk)
        if one.done_prompt == len(one.prompt):
            one.add(logits[0], self.decoder.end_token)
            self.prefilling = None
            self.decoding.append(one)
            news.append(one)
        return len(chunk)

    def _drop_ended(self) -> None:
        """Free the rows of those that have ended; the last running row moves into the gap."""
        for row in reversed(range(len(self.decoding))):
            if self.decoding[row].finish_reason is None:
                continue
            last = self.decoding.pop()
            if row < len(self.decoding):
                self.decoding[row] = last
                self.decoder.move(len(self.decoding), row, last.cached_tokens)
            if self.prefilling:
                self.decoder.move(len(self.decoding) + 1, len(self.decoding), self.prefilling.done_prompt)
        if self.prefilling and self.prefilling.finish_reason:
            self.prefilling = None

    def _is_full(self) -> bool:
        return len(self.decoding) + bool(self.prefilling) >= self.settings.max_running

    def _forget(self) -> None:
        """Keep the newest; a cancelled one is no answer to a retry, and a running one is never forgotten."""
        for name in [name for name, one in self._known.items() if one.finish_reason == "cancelled"]:
            del self._known[name]
        ended = [name for name, one in self._known.items() if one.finish_reason]
        for name in ended[: max(0, len(ended) - REMEMBERED)]:
            del self._known[name]
