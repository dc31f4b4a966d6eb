"""A load generator for any OpenAI-compatible server: what a service does under traffic, measured from outside.

    measured = open_loop(traffic, service.url)
    measured.ttft().p95, measured.share("finished"), measured.goodput_per_s(ttft_slo_s=0.5)

Open loop: requests leave when the traffic says, however slow the answers. Closed loop: a fixed number of users, each
of whom waits for the answer before asking again; under overload it asks less, and so never sees the queue.
Latency counts from the time a request was *meant* to leave (Tene 2013, "How NOT to Measure Latency": coordinated
omission), so a generator that falls behind makes its figures worse, not better.
Taught in: chapter 09.
"""

import asyncio
import ipaddress
import json
import time
import uuid
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from course_utils.catalog.provenance import check_range
from course_utils.scale.fleet import Retries
from course_utils.scale.outcome import FAILED, FINISHED, SHED, STATUSES, TIMED_OUT, Outcome
from course_utils.scale.traffic import Traffic

# Prompts are drawn from token numbers that any model has; 0 is the end of a text in the tiny one.
PROMPT_TOKENS = range(1, 4096)
_REFUSALS = (429, 503)


@dataclass(frozen=True, eq=False)
class Measured:
    """One run against a real server, with the names of a simulation's Outcome. Arrays [requests] in order of arrival.

    traffic: as it was answered, so with the answers' own lengths; in a closed loop, arrivals are when users asked.
    status: index into outcome.STATUSES. first_token_s, ended_s: on the traffic's clock, whose 0 was at `began_at_s`
    (seconds since the epoch). sent_s: when the first try left. attempts: tries, the first one included; a request that
    was tried again keeps its id, and counts once. errors: what went wrong at the last try, "" for nothing.
    """

    traffic: Traffic
    status: np.ndarray = field(repr=False)
    first_token_s: np.ndarray = field(repr=False)
    ended_s: np.ndarray = field(repr=False)
    sent_s: np.ndarray = field(repr=False)
    attempts: np.ndarray = field(repr=False)
    errors: tuple[str, ...] = field(repr=False)
    began_at_s: float

    # The simulator's own definitions, so that both runs can stand in one chart.
    finished, ttft_s, e2e_s, tpot_s = Outcome.finished, Outcome.ttft_s, Outcome.e2e_s, Outcome.tpot_s
    ttft, e2e, tpot, _percentiles = Outcome.ttft, Outcome.e2e, Outcome.tpot, Outcome._percentiles
    share, within, goodput_per_s = Outcome.share, Outcome.within, Outcome.goodput_per_s
    duration_s, tokens_per_s = Outcome.duration_s, Outcome.tokens_per_s

    @property
    def lag_s(self) -> np.ndarray:
        """How much later than meant each first try left. Where this is no longer small beside the latencies, the
        generator's machine is what was measured."""
        return self.sent_s - self.traffic.arrived_s

    def __str__(self) -> str:
        ended = ", ".join(f"{self.share(name):.1%} {name}" for name in STATUSES)
        ttft, tpot = self.ttft(), self.tpot()
        return (
            f"{len(self.traffic)} requests in {self.duration_s:.1f} s: {ended}; "
            f"TTFT p50 {ttft.p50 * 1e3:.0f} ms, p95 {ttft.p95 * 1e3:.0f} ms; TPOT p50 {tpot.p50 * 1e3:.1f} ms; "
            "measured here"
        )


def open_loop(
    traffic: Traffic,
    url: str,
    *,
    timeout_s: float = 60.0,
    retries: Retries | None = None,
    seed: int = 0,
    allow_remote: bool = False,
) -> Measured:
    """Send each request of `traffic` at its time to the server at `url` ("http://127.0.0.1:8000"); wait for all.

    An answer that takes longer than `timeout_s`, is refused (429, 503), or breaks off is tried again as `retries`
    say (twice where None). `seed` draws the prompts. ValueError for a host that isn't this machine, unless
    `allow_remote`: load on somebody else's server is an attack. ValueError where nothing answers.
    """

    async def send(sender: _Sender) -> None:
        async def at_its_time(i: int) -> None:
            await asyncio.sleep(max(0.0, traffic.arrived_s[i] - sender.now()))
            await sender.request(i)

        await asyncio.gather(*(at_its_time(i) for i in range(len(traffic))))

    return _measure(traffic, url, send, timeout_s, retries, seed, allow_remote)


def closed_loop(
    traffic: Traffic,
    url: str,
    users: int,
    *,
    think_s: float = 0.0,
    timeout_s: float = 60.0,
    retries: Retries | None = None,
    seed: int = 0,
    allow_remote: bool = False,
) -> Measured:
    """The lengths of `traffic`, sent by `users` who each ask, wait for the answer, think for `think_s`, ask again.

    Arrivals in the result are when users asked. Otherwise like `open_loop`.
    """
    check_range("users", users, 1, 10_000)
    check_range("think_s", think_s, 0, 3600)

    async def send(sender: _Sender) -> None:
        todo = iter(range(len(traffic)))

        async def user() -> None:
            for i in todo:
                sender.arrived_s[i] = sender.now()  # sorted: the next in line goes to whom asks next
                await sender.request(i)
                await asyncio.sleep(think_s)

        await asyncio.gather(*(user() for _ in range(users)))

    return _measure(traffic, url, send, timeout_s, retries, seed, allow_remote)


def prompt_of(traffic: Traffic, i: int, seed: int = 0) -> list[int]:
    """Token numbers of request `i`'s prompt: those of its prefix, which it shares, and then its own."""
    shared = int(traffic.prefix_tokens[i])
    low, high = PROMPT_TOKENS.start, PROMPT_TOKENS.stop
    prefix = np.random.default_rng([seed, 0, int(traffic.prefix_id[i]) + 1]).integers(low, high, shared)
    own = np.random.default_rng([seed, 1, i]).integers(low, high, int(traffic.input_tokens[i]) - shared)
    return [*prefix.tolist(), *own.tolist()]


# --- sending ------------------------------------------------------------------------------------------------


class _Refused(Exception):
    """The server was there and said no, for now."""


class _Broken(Exception):
    """No answer, or one that ended in the middle."""


class _Sender:
    """One run's connection and records."""

    def __init__(
        self, http, url: str, model: str, traffic: Traffic, timeout_s: float, retries: Retries, seed: int
    ):
        self._http, self._url, self._model, self._traffic = http, url, model, traffic
        self._timeout_s, self._retries, self._seed = timeout_s, retries, seed
        self._run = uuid.uuid4().hex[:8]
        self._random = np.random.default_rng(seed)
        count = len(traffic)
        self.status = np.full(count, FAILED, np.int8)
        self.first_token_s, self.ended_s, self.sent_s = (np.full(count, np.nan) for _ in range(3))
        self.attempts = np.zeros(count, np.int64)
        self.output_tokens = np.array(traffic.output_tokens)
        self.arrived_s = np.array(traffic.arrived_s)
        self.errors = [""] * count
        self._zero, self.began_at_s = time.perf_counter(), time.time()

    def now(self) -> float:
        return time.perf_counter() - self._zero

    async def request(self, i: int) -> None:
        """Send request `i` until it is answered or the tries are used up."""
        body = {
            "model": self._model,
            "prompt": prompt_of(self._traffic, i, self._seed),
            "max_tokens": int(self._traffic.output_tokens[i]),
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        content = json.dumps(body).encode()
        self.sent_s[i] = self.now()
        while True:
            self.attempts[i] += 1
            try:
                async with asyncio.timeout(self._timeout_s):
                    first_s, tokens = await self._stream(content, f"{self._run}-{i}")
                self.status[i], self.errors[i] = FINISHED, ""
                self.first_token_s[i], self.output_tokens[i] = first_s, tokens
            except TimeoutError:
                self.status[i], self.errors[i] = TIMED_OUT, f"no answer in {self._timeout_s:g} s"
            except _Refused as refused:
                self.status[i], self.errors[i] = SHED, str(refused)
            except _Broken as broken:
                self.status[i], self.errors[i] = FAILED, str(broken)
            self.ended_s[i] = self.now()
            if self.status[i] == FINISHED or self.attempts[i] > self._retries.limit:
                return
            await asyncio.sleep(self._pause_s(int(self.attempts[i])))

    def _pause_s(self, attempt: int) -> float:
        r = self._retries
        return r.backoff_s * r.factor ** (attempt - 1) * (1 - r.jitter * self._random.random())

    async def _stream(self, content: bytes, request_id: str) -> tuple[float, int]:
        """When the first token came, and how many did. The same id at each try lets the server know it again."""
        import aiohttp

        headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
        first_s, parts, usage = None, 0, b""
        try:
            async with self._http.post(
                f"{self._url}/v1/completions", data=content, headers=headers
            ) as answer:
                if answer.status != 200:
                    text = f"{answer.status}: {(await answer.text())[:200]}"
                    raise (_Refused if answer.status in _REFUSALS else _Broken)(text)
                async for line in answer.content:
                    if line.startswith(b"data: [DONE]"):
                        return first_s, _completion_tokens(usage, parts)
                    if line.startswith(b"data:"):
                        first_s = first_s or self.now()
                        parts, usage = parts + 1, line
        except aiohttp.ClientError as error:
            raise _Broken(f"{type(error).__name__}: {error}") from None
        raise _Broken(f"the answer broke off after {parts} parts")


def _completion_tokens(last_line: bytes, parts: int) -> int:
    """As the usage says, which comes last; where a server tells none, a part counts as a token.

    _Broken where there were none: vLLM ends a stream that has failed with an error in its last part, and [DONE].
    """
    try:
        last = json.loads(last_line.removeprefix(b"data:") or b"{}")
    except ValueError:
        last = None
    if not isinstance(last, dict) or not parts or "error" in last:
        raise _Broken(f"the answer ended with {last_line.decode(errors='replace').strip()[:200]!r}")
    usage = last.get("usage")
    return max(1, int(usage["completion_tokens"])) if usage else parts


def _measure(traffic: Traffic, url: str, send, timeout_s, retries, seed, allow_remote) -> Measured:
    check_range("timeout_s", timeout_s, 0.001, 86_400)
    url = url.rstrip("/").removesuffix("/v1")
    if not allow_remote and not _is_loopback(url):
        raise ValueError(
            f"url={url!r}: not this machine; allow_remote=True where the server is yours to load"
        )
    return _in_own_loop(_run(traffic, url, send, timeout_s, retries or Retries(limit=2), seed))


async def _run(traffic: Traffic, url: str, send, timeout_s: float, retries: Retries, seed: int) -> Measured:
    import aiohttp

    # No bound on connections, and no timeout but ours: a generator that waits for itself is a closed loop.
    connector, unbounded = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=unbounded) as http:
        try:
            async with http.get(f"{url}/v1/models") as answer:
                model = (await answer.json(content_type=None))["data"][0]["id"]
        except (aiohttp.ClientError, KeyError, IndexError, ValueError) as error:
            raise ValueError(f"url={url!r}: no OpenAI-compatible server answers there ({error})") from None
        sender = _Sender(http, url, model, traffic, timeout_s, retries, seed)
        await send(sender)
    answered = replace(traffic, arrived_s=sender.arrived_s, output_tokens=sender.output_tokens)
    columns = ("status", "first_token_s", "ended_s", "sent_s", "attempts", "began_at_s")
    return Measured(
        answered, errors=tuple(sender.errors), **{name: getattr(sender, name) for name in columns}
    )


def _in_own_loop(work: Coroutine[Any, Any, Measured]) -> Measured:
    """Run `work` in a thread: a notebook's own loop is running already. An interrupt cancels it, and waits for that."""
    running = []

    async def main() -> Measured:
        running.append((asyncio.get_running_loop(), asyncio.current_task()))
        return await work

    with ThreadPoolExecutor(1, "load") as pool:
        future = pool.submit(asyncio.run, main())
        try:
            return future.result()
        except KeyboardInterrupt:
            for loop, task in running:
                loop.call_soon_threadsafe(task.cancel)
            raise


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
