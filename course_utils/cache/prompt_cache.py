"""What a provider's prompt cache costs and saves: writes dearer than input, reads cheaper, and a clock that runs.

All prices are multiples of the input price of the same tokens: 1 is "no cache". A prefix is written once, then read
by whoever comes before its time to live is over; whoever comes later writes again.
Taught in: chapter 08.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from course_utils.catalog.api_prices import ApiPrice, api_price
from course_utils.catalog.provenance import read_rows


@dataclass(frozen=True)
class CacheTerm:
    """How long a provider keeps a prefix; a row of data/prompt_cache_terms.csv.

    ttl_s: seconds without use after which it is gone (from its writing on where hits don't refresh it). promised:
    the provider says so; otherwise it is typical. step_tokens: hits are counted in steps of so many.
    """

    provider: str
    option: str
    ttl_s: float
    refreshed_by_hits: bool
    promised: bool
    step_tokens: int | None
    storage_billed: bool
    source: str
    as_of: date
    note: str = ""


def cache_terms() -> tuple[CacheTerm, ...]:
    """All rows, as in the file."""
    return read_rows("prompt_cache_terms.csv", CacheTerm)


@dataclass(frozen=True, kw_only=True)
class PromptCache:
    """The rules of one cache. write, read: price of a token over its input price.

    caching: "automatic" (the provider finds prefixes) or "explicit" (you mark them). min_tokens: a shorter prefix
    isn't cached; None: no dated source states it.
    """

    write: float
    read: float
    ttl_s: float
    refreshed_by_hits: bool = True
    min_tokens: int | None = None
    step_tokens: int | None = None
    caching: str = ""
    source: str = ""
    as_of: date | None = None

    def __post_init__(self):
        if not (math.isfinite(self.write) and self.write >= 1):
            raise ValueError(f"write={self.write!r}: at least 1 is needed, a write is no cheaper than input")
        if not 0 <= self.read <= 1:
            raise ValueError(f"read={self.read!r}: from 0 to 1 is needed, a multiple of the input price")
        if not self.ttl_s > 0:
            raise ValueError(f"ttl_s={self.ttl_s!r}: above 0 is needed, in seconds")

    def cached_tokens(self, prefix_tokens: int) -> int:
        """Tokens of a shared prefix that can be hit: 0 below the minimum, else a whole number of steps."""
        if prefix_tokens < 0:
            raise ValueError(f"prefix_tokens={prefix_tokens!r}: 0 or more is needed")
        if self.min_tokens and prefix_tokens < self.min_tokens:
            return 0
        return prefix_tokens // self.step_tokens * self.step_tokens if self.step_tokens else prefix_tokens


def prompt_cache(model: str, option: str = "default") -> PromptCache:
    """Rules for a model of the price list: `prompt_cache("claude-sonnet-4-5", "1h")`.

    ValueError for a model without a price for cached reads, or an option whose lifetime no dated row states.
    """
    price: ApiPrice = api_price(model)
    rows = {row.option: row for row in cache_terms() if row.provider == price.provider}
    if option not in rows:
        there = ", ".join(rows) or "none"
        raise ValueError(f"option={option!r}: {price.provider} has {there} in data/prompt_cache_terms.csv")
    if price.cached_read_usd_per_mtok is None:
        raise ValueError(f"model={model!r}: {price.provider} publishes no price for cached reads")
    rates, term = price.filled(), rows[option]
    written = rates.cache_write_1h_usd_per_mtok if option == "1h" else rates.cache_write_usd_per_mtok
    return PromptCache(
        write=max(1.0, written / price.input_usd_per_mtok),
        read=rates.cached_read_usd_per_mtok / price.input_usd_per_mtok,
        ttl_s=term.ttl_s,
        refreshed_by_hits=term.refreshed_by_hits,
        min_tokens=price.cache_min_tokens,
        step_tokens=term.step_tokens,
        caching=price.caching,
        source=f"{price.source}; {term.source}",
        as_of=min(price.as_of, term.as_of),
    )


def break_even_reads(cache: PromptCache) -> float:
    """Reads per write from which on the cache is no dearer than none: (write − 1) / (1 − read).

    Without a cache, a write and n reads cost 1 + n; with one, write + n × read. Infinite where reads save nothing.
    """
    if cache.read == 1:
        return 0.0 if cache.write == 1 else math.inf
    return (cache.write - 1) / (1 - cache.read)


def break_even_hit_share(cache: PromptCache) -> float:
    """Share of requests that must be hits: (write − 1) / (write − read); each miss writes again."""
    return 0.0 if cache.write == 1 else (cache.write - 1) / (cache.write - cache.read)


def hit_share(cache: PromptCache, requests_per_s: float) -> float:
    """Share of hits when requests for one prefix come at random (Poisson) at this rate.

    With refreshing, a hit is a gap below the lifetime: 1 − e^(−λT). Without, a write is followed by λT hits.
    """
    _rate(requests_per_s)
    expected = requests_per_s * cache.ttl_s
    return -math.expm1(-expected) if cache.refreshed_by_hits else expected / (1 + expected)


def mean_price(cache: PromptCache, requests_per_s: float) -> float:
    """Mean price of the prefix's tokens over their input price, at random arrivals: below 1 the cache pays."""
    hits = hit_share(cache, requests_per_s)
    return hits * cache.read + (1 - hits) * cache.write


def break_even_rate_per_s(cache: PromptCache) -> float:
    """Requests per second and prefix from which on the cache pays, at random arrivals."""
    share = break_even_hit_share(cache)
    if share >= 1:
        return math.inf
    return -math.log1p(-share) / cache.ttl_s if cache.refreshed_by_hits else share / (1 - share) / cache.ttl_s


@dataclass(frozen=True)
class PrefixBill:
    """Uses of one prefix: writes and reads, and their price in uses at the input price (`cost` against `uses`)."""

    uses: int
    writes: int
    reads: int
    cost: float

    @property
    def saved_share(self) -> float:
        """Part of the prefix's cost that the cache saved; below 0 it cost more than none."""
        return 1 - self.cost / self.uses


def bill_of(cache: PromptCache, arrived_s: Sequence[float]) -> PrefixBill:
    """What the cache would have done for one prefix, from the times of its uses (seconds, any order).

    ValueError without a use, or for a time that isn't finite.
    """
    times = np.sort(np.asarray(arrived_s, dtype=float))
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise ValueError(f"arrived_s={arrived_s!r}: at least one finite time, in seconds, is needed")
    writes, fresh_until = 0, -math.inf
    for at in times.tolist():
        if at > fresh_until:
            writes += 1
            fresh_until = at + cache.ttl_s
        elif cache.refreshed_by_hits:
            fresh_until = at + cache.ttl_s
    reads = times.size - writes
    return PrefixBill(int(times.size), writes, reads, writes * cache.write + reads * cache.read)


def _rate(requests_per_s: float) -> None:
    if not (math.isfinite(requests_per_s) and requests_per_s >= 0):
        raise ValueError(f"requests_per_s={requests_per_s!r}: a finite number of 0 or more is needed")
