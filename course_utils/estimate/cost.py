"""From token counts to money: one request, many requests, a month, and your own machine against an API.

The one thing to get right is which count includes which. Here `input_tokens` is *all* input, and the cached
and written tokens are parts of it; `output_tokens` is *all* output, and the reasoning tokens are part of it.
`Usage.from_openai`, `from_anthropic` and `from_gemini` convert what the providers report, each its own way.
"""

from dataclasses import dataclass, fields
from datetime import date
from math import fsum, isfinite
from typing import TYPE_CHECKING

import numpy as np

from course_utils.catalog.api_prices import ApiPrice

if TYPE_CHECKING:
    import pandas as pd

TOKENS_PER_MTOK = 1_000_000
DAYS_PER_MONTH = 365.25 / 12
HOURS_PER_MONTH = DAYS_PER_MONTH * 24

# The parts of a bill, in the order in which they are shown.
PARTS = ("input_usd", "cached_read_usd", "cache_write_usd", "output_usd")


@dataclass(frozen=True)
class Usage:
    """Tokens of one request (or the mean of many, so fractions are fine).

    input_tokens: the whole prompt, with the tokens read from a cache and those written to one.
    cached_read_tokens, cache_write_tokens (kept 5 minutes, or as long as the provider keeps it by default),
    cache_write_1h_tokens: parts of input_tokens, apart from each other.
    output_tokens: everything that was generated. reasoning_tokens: the part of it that nobody is shown.
    """

    input_tokens: float
    cached_read_tokens: float = 0
    cache_write_tokens: float = 0
    output_tokens: float = 0
    reasoning_tokens: float = 0
    cache_write_1h_tokens: float = 0

    def __post_init__(self):
        for field in fields(self):
            tokens = getattr(self, field.name)
            if not isfinite(tokens) or tokens < 0:
                raise ValueError(f"{field.name}={tokens!r}: a number of tokens, 0 or more, is needed")
        # Means of many requests are rounded: a millionth of a token too many is nobody's mistake.
        if self.fresh_tokens < -1e-6:
            raise ValueError(
                f"input_tokens={self.input_tokens!r}: it includes the cached and written tokens, so at least "
                f"{self.input_tokens - self.fresh_tokens} is needed"
            )
        if self.reasoning_tokens > self.output_tokens * (1 + 1e-12):
            raise ValueError(
                f"reasoning_tokens={self.reasoning_tokens!r}: they are part of output_tokens, "
                f"so at most {self.output_tokens!r}"
            )

    @property
    def fresh_tokens(self) -> float:
        """Input tokens billed at the plain input price: neither read from a cache nor written to one."""
        cached = self.cached_read_tokens + self.cache_write_tokens + self.cache_write_1h_tokens
        return self.input_tokens - cached

    @classmethod
    def from_openai(cls, usage: dict) -> "Usage":
        """From OpenAI's `usage` (Chat Completions or Responses): cached tokens are *inside* the prompt's."""
        if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:
            raise ValueError("usage has Anthropic's cache fields: use Usage.from_anthropic")
        prompt = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
        answer = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
        return cls(
            input_tokens=_count(usage, "prompt_tokens", "input_tokens"),
            cached_read_tokens=prompt.get("cached_tokens") or 0,
            cache_write_tokens=prompt.get("cache_write_tokens") or 0,
            output_tokens=_count(usage, "completion_tokens", "output_tokens"),
            reasoning_tokens=answer.get("reasoning_tokens") or 0,
        )

    @classmethod
    def from_anthropic(cls, usage: dict) -> "Usage":
        """From Anthropic's `usage`: input_tokens are the fresh ones, reads and writes lie *beside* them."""
        if "prompt_tokens" in usage or "input_tokens_details" in usage:
            raise ValueError("usage has OpenAI's fields: use Usage.from_openai")
        written = usage.get("cache_creation_input_tokens") or 0
        written_1h = (usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0
        read = usage.get("cache_read_input_tokens") or 0
        return cls(
            input_tokens=_count(usage, "input_tokens") + read + written,
            cached_read_tokens=read,
            cache_write_tokens=written - written_1h,
            output_tokens=_count(usage, "output_tokens"),
            cache_write_1h_tokens=written_1h,
        )

    @classmethod
    def from_gemini(cls, usage: dict) -> "Usage":
        """From Gemini's `usageMetadata`: cached tokens inside the prompt, thoughts *beside* the answer."""
        thoughts = usage.get("thoughtsTokenCount") or 0
        return cls(
            input_tokens=_count(usage, "promptTokenCount") + (usage.get("toolUsePromptTokenCount") or 0),
            cached_read_tokens=usage.get("cachedContentTokenCount") or 0,
            output_tokens=(usage.get("candidatesTokenCount") or 0) + thoughts,
            reasoning_tokens=thoughts,
        )


def _count(usage: dict, *names: str) -> float:
    for name in names:
        if usage.get(name) is not None:
            return usage[name]
    raise ValueError(f"usage={usage!r}: {' or '.join(names)} is needed")


@dataclass(frozen=True)
class Cost:
    """Money by part, in `currency`, as stated on `as_of` (of a sum: the oldest of its prices)."""

    input_usd: float
    cached_read_usd: float
    cache_write_usd: float
    output_usd: float
    currency: str
    as_of: date

    @property
    def total_usd(self) -> float:
        return fsum(getattr(self, part) for part in PARTS)

    def __add__(self, other: "Cost") -> "Cost":
        if not isinstance(other, Cost):
            return NotImplemented
        if self.currency != other.currency:
            raise ValueError(
                f"currency={other.currency!r} can't be added to {self.currency!r}: convert first"
            )
        parts = {part: getattr(self, part) + getattr(other, part) for part in PARTS}
        return Cost(**parts, currency=self.currency, as_of=min(self.as_of, other.as_of))

    def __radd__(self, other):
        return self if other == 0 else NotImplemented  # so that sum() works

    def __mul__(self, times: float) -> "Cost":
        parts = {part: getattr(self, part) * times for part in PARTS}
        return Cost(**parts, currency=self.currency, as_of=self.as_of)

    __rmul__ = __mul__

    def __str__(self) -> str:
        total = self.total_usd
        return f"{total:,.{2 if total >= 1 else 6}f} {self.currency} (prices of {self.as_of})"


def request_cost(price: ApiPrice, usage: Usage, batch: bool = False) -> Cost:
    """Cost of one request: tokens of each kind times their price per million, at the tier of the whole input.

    Reasoning tokens are billed as output. ValueError for batch=True where the model has no batch price.
    """
    rates = price.rates(usage.input_tokens, batch)
    written_usd = usage.cache_write_tokens * rates.cache_write_usd_per_mtok
    written_1h_usd = usage.cache_write_1h_tokens * rates.cache_write_1h_usd_per_mtok
    return Cost(
        input_usd=max(usage.fresh_tokens, 0) * rates.input_usd_per_mtok / TOKENS_PER_MTOK,
        cached_read_usd=usage.cached_read_tokens * rates.cached_read_usd_per_mtok / TOKENS_PER_MTOK,
        cache_write_usd=(written_usd + written_1h_usd) / TOKENS_PER_MTOK,
        output_usd=usage.output_tokens * rates.output_usd_per_mtok / TOKENS_PER_MTOK,
        currency=price.currency,
        as_of=price.as_of,
    )


def request_costs(price: ApiPrice, requests: "pd.DataFrame") -> "pd.DataFrame":
    """`request_cost` of every row at once: a column for each part.

    Columns are named as in Usage, plus `batch`; only input_tokens and output_tokens must be there.
    """
    import pandas as pd

    def column(name):
        return requests[name].to_numpy() if name in requests else 0

    read, written, written_1h = (
        column(name) for name in ("cached_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    )
    whole, output = column("input_tokens"), column("output_tokens")
    rate = _rates_by_row(price, whole, column("batch"))
    parts = (
        (whole - read - written - written_1h) * rate("input_usd_per_mtok"),
        read * rate("cached_read_usd_per_mtok"),
        written * rate("cache_write_usd_per_mtok") + written_1h * rate("cache_write_1h_usd_per_mtok"),
        output * rate("output_usd_per_mtok"),
    )
    scaled = {name: part / TOKENS_PER_MTOK for name, part in zip(PARTS, parts, strict=True)}
    return pd.DataFrame(scaled, index=requests.index)


def _rates_by_row(price: ApiPrice, whole: np.ndarray, batch):
    """A function from the name of a rate to its value for every row: a scalar where all rows share it."""
    batch = np.broadcast_to(np.asarray(batch, dtype=bool), whole.shape)
    lists = {False: price.tiers()} | ({True: price.tiers(batch=True)} if batch.any() else {})
    if len(lists) == 1 and len(lists[False]) == 1:
        return lambda name: getattr(lists[False][0], name)
    # searchsorted counts the thresholds below the length: "exceeds", as in `ApiPrice.rates`.
    starts = {key: [tier.above_input_tokens for tier in tiers[1:]] for key, tiers in lists.items()}
    place = {key: np.searchsorted(starts[key], whole) for key in lists}

    def by_row(name):
        usd = {key: np.array([getattr(tier, name) for tier in lists[key]])[place[key]] for key in lists}
        return np.where(batch, usd[True], usd[False]) if True in usd else usd[False]

    return by_row


def monthly_cost(
    price: ApiPrice,
    usage: Usage,
    requests_per_day: float,
    batch_share: float = 0.0,
    days: float = DAYS_PER_MONTH,
) -> Cost:
    """Cost of a month of requests that are all like `usage`; batch_share of them (0 to 1) can wait."""
    if not isfinite(requests_per_day) or requests_per_day < 0:
        raise ValueError(f"requests_per_day={requests_per_day!r}: 0 or more is needed")
    if not 0 <= batch_share <= 1:
        raise ValueError(f"batch_share={batch_share!r}: from 0 to 1 is needed")
    requests = requests_per_day * days
    now = request_cost(price, usage) * (requests * (1 - batch_share))
    return now + request_cost(price, usage, batch=True) * (requests * batch_share) if batch_share else now


def cost_per_mtok(price: ApiPrice, usage: Usage, batch: bool = False) -> float:
    """Blended USD per million tokens, input and output together, of requests like `usage`."""
    tokens = usage.input_tokens + usage.output_tokens
    if not tokens:
        raise ValueError("usage has no tokens: a blended price needs some")
    return request_cost(price, usage, batch).total_usd * TOKENS_PER_MTOK / tokens


def self_hosted_usd_per_mtok(usd_per_hour: float, tokens_per_s: float, utilization: float = 1.0) -> float:
    """USD per million tokens of a machine that you rent by the hour, busy or not.

    usd_per_hour and tokens_per_s belong to the *same* thing: all accelerators of the deployment, or one of
    them and its share. tokens_per_s: at full load. utilization: tokens served over tokens it could serve.
    """
    _positive(usd_per_hour=usd_per_hour, tokens_per_s=tokens_per_s)
    if not 0 < utilization <= 1:
        raise ValueError(f"utilization={utilization!r}: above 0 and at most 1 is needed")
    return usd_per_hour * TOKENS_PER_MTOK / (tokens_per_s * utilization * 3600)


def break_even_utilization(usd_per_hour: float, tokens_per_s: float, api_usd_per_mtok: float) -> float:
    """Utilization at which your own machine costs as much per token as an API. Above 1: it never does."""
    _positive(api_usd_per_mtok=api_usd_per_mtok)
    return self_hosted_usd_per_mtok(usd_per_hour, tokens_per_s) / api_usd_per_mtok


def break_even_mtok_per_month(usd_per_hour: float, api_usd_per_mtok: float) -> float:
    """Millions of tokens a month at which an API's bill equals the rent of a machine that is always on."""
    _positive(usd_per_hour=usd_per_hour, api_usd_per_mtok=api_usd_per_mtok)
    return usd_per_hour * HOURS_PER_MONTH / api_usd_per_mtok


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not isfinite(value) or value <= 0:
            raise ValueError(f"{name}={value!r}: above 0 is needed")
