"""A fleet with a prefix cache in each replica, replayed on a trace: what is hit depends on who gets the request.

    replay(trace, capacity_blocks=10_000, replicas=4, route=affinity())

Requests take no time here: only what is in the caches matters. `scale` has the simulator in which they do.
Sources: Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018 (the bound on load);
Zheng et al., "SGLang", NeurIPS 2024, section 3 (routing by the longest cached prefix).
Taught in: chapter 08.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from course_utils.cache.conversations import Conversations
from course_utils.cache.prefix import PrefixCache

# (number of the request, its blocks, the caches, each replica's recent load in blocks) to a replica.
Route = Callable[[int, Sequence, Sequence[PrefixCache], np.ndarray], int]


@dataclass(frozen=True, eq=False)
class Replay:
    """What a replay served. Shares are of all prompt tokens; arrays have an entry per replica.

    `computed_tokens`: prompt tokens that were no hits. `look_ups`: blocks asked for, each looked up once or more.
    """

    hit_share: float
    requests: np.ndarray = field(repr=False)
    computed_tokens: np.ndarray = field(repr=False)
    evicted_blocks: int
    look_ups: int
    seconds: float

    @property
    def load_ratio(self) -> float:
        """Most over mean of the tokens that a replica computed: 1 is even."""
        mean = self.computed_tokens.mean()
        return float(self.computed_tokens.max() / mean) if mean else 1.0

    @property
    def request_ratio(self) -> float:
        """Most over mean of the requests that a replica got."""
        return float(self.requests.max() / self.requests.mean())


def round_robin() -> Route:
    """One after the other, whatever they hold."""
    return lambda number, names, caches, load: number % len(caches)


def least_loaded() -> Route:
    """Whoever has had least to compute lately."""
    return lambda number, names, caches, load: int(load.argmin())


def affinity(bound: float = 1.1, least_blocks: int = 2) -> Route:
    """Whoever holds the longest beginning of it, unless they are busier than the bound allows.

    bound: at most this many times the mean of the recent loads, and one usual request more. least_blocks: a shorter
    match doesn't count, because every replica has the system prompt. Otherwise the least loaded gets it.
    """
    if not bound >= 1:
        raise ValueError(f"bound={bound!r}: at least 1 is needed, a replica may have the mean load")

    def route(number: int, names: Sequence, caches: Sequence[PrefixCache], load: np.ndarray) -> int:
        matches = [cache.match(names) for cache in caches]
        longest = max(matches)
        if longest >= min(least_blocks, len(names)):
            best = min((load[at], at) for at, match in enumerate(matches) if match == longest)[1]
            if load[best] <= bound * load.mean() + len(names):
                return best
        return int(load.argmin())

    return route


def replay(
    trace: Conversations,
    capacity_blocks: float = math.inf,
    replicas: int = 1,
    route: Route | None = None,
    recent_s: float = 300.0,
) -> Replay:
    """Serve every request of the trace by the replica that `route` (default: affinity) names.

    capacity_blocks: of each replica. A router sees the loads of about the last `recent_s` seconds.
    ValueError for replicas below 1, or a time that isn't above 0.
    """
    if replicas < 1:
        raise ValueError(f"replicas={replicas!r}: at least 1 is needed")
    if not recent_s > 0:
        raise ValueError(f"recent_s={recent_s!r}: above 0 is needed")
    route = route or affinity()
    caches = [PrefixCache(capacity_blocks) for _ in range(replicas)]
    load, requests, computed = np.zeros(replicas), np.zeros(replicas, int), np.zeros(replicas)
    arrived, tokens, size = trace.arrived_s.tolist(), trace.input_tokens.tolist(), trace.block_tokens
    hit_tokens, before_s = 0, arrived[0]
    started = time.perf_counter()
    for number, names in enumerate(trace.blocks):
        load *= math.exp((before_s - arrived[number]) / recent_s)
        before_s = arrived[number]
        to = route(number, names, caches, load) if replicas > 1 else 0
        hits = caches[to].serve(names)
        found = min(hits * size, tokens[number])
        hit_tokens += found
        load[to] += len(names) - hits
        requests[to] += 1
        computed[to] += tokens[number] - found
    return Replay(
        hit_share=hit_tokens / sum(tokens),
        requests=requests,
        computed_tokens=computed,
        evicted_blocks=sum(cache.count.evicted_blocks for cache in caches),
        look_ups=trace.asked_blocks,
        seconds=time.perf_counter() - started,
    )
