"""What API providers charge per million tokens, with the rules that price lists leave out.

Prices come from the `genai-prices` package: a dated snapshot inside the wheel, so no network is needed.
Rules on batches and caches come on top (`api_rules`). Text tokens only: audio, searches and the hourly
storage of a cache are not in here. Whoever has a contract builds an `ApiPrice` by hand.
"""

import re
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from functools import lru_cache
from importlib import metadata

from course_utils.catalog.api_rules import ApiRule, api_rule

_BATCH_CACHED_READ = ("stacks", "standard", "input")
_CACHING = ("automatic", "explicit", "none", "")


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Price of a million tokens of each kind, for requests whose whole input exceeds `above_input_tokens`.

    `cached_read` None: no discount is published, so a hit costs as much as input. `cache_write` None: writing
    costs no surcharge, so a written token costs as much as input.
    """

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_read_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    cache_write_1h_usd_per_mtok: float | None = None
    above_input_tokens: int = 0

    def __post_init__(self):
        for name in PRICE_FIELDS:
            usd = getattr(self, name)
            if usd is None and name in ("input_usd_per_mtok", "output_usd_per_mtok"):
                raise ValueError(f"{name}=None: a price is needed (0 where it is free)")
            if usd is not None and not 0 <= usd <= 1e4:
                raise ValueError(f"{name}={usd!r}: USD per million tokens, 0 to 10000, is needed")
        if self.above_input_tokens < 0:
            raise ValueError(f"above_input_tokens={self.above_input_tokens!r}: 0 or more is needed")

    def filled(self) -> "Rates":
        """The same with every None replaced by what those tokens are billed at in fact."""
        write = _first(self.cache_write_usd_per_mtok, self.input_usd_per_mtok)
        return replace(
            self,
            cached_read_usd_per_mtok=_first(self.cached_read_usd_per_mtok, self.input_usd_per_mtok),
            cache_write_usd_per_mtok=write,
            cache_write_1h_usd_per_mtok=_first(self.cache_write_1h_usd_per_mtok, write),
        )


PRICE_FIELDS = tuple(field.name for field in fields(Rates) if field.name.endswith("_usd_per_mtok"))


def _first(price: float | None, otherwise: float) -> float:
    return otherwise if price is None else price


@dataclass(frozen=True, kw_only=True)
class ApiPrice(Rates):
    """One model at one provider. Its own rates are those of a short request; `rates` gives any request's.

    `long_context`: tiers for long inputs. The length of the *whole* input, cached tokens included, picks the
    tier, and its price then holds for *every* token of the request, output too: a cliff, not a bracket.
    `batch_tiers`: batch prices, where the list publishes them. Else `batch_multiplier` times the price, and
    `batch_cached_read` says how batch and cache meet: "stacks" (both discounts), "standard" (a hit keeps its
    standard price, or the batch input price where that is lower), "input" (a hit costs what other batch input
    does). With neither there is no batch. `currency` holds for all prices, whatever the field names say.
    """

    model: str
    provider: str
    source: str
    as_of: date
    currency: str = "USD"
    long_context: tuple[Rates, ...] = ()
    batch_multiplier: float | None = None
    batch_cached_read: str = "stacks"
    batch_tiers: tuple[Rates, ...] = ()
    caching: str = ""
    cache_min_tokens: int | None = None
    context_tokens: int | None = None
    rules_source: str = ""
    note: str = ""

    def __post_init__(self):
        super().__post_init__()
        for name in ("input_usd_per_mtok", "output_usd_per_mtok"):
            # No listed model sells input below 0.01 USD a million: far below, somebody divided twice.
            if 0 < getattr(self, name) < 1e-3:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: USD per million tokens is needed, "
                    "which is a price per token times 1,000,000"
                )
        if not self.source.strip():
            raise ValueError("source='': say where the price is from (a price list, a contract)")
        if isinstance(self.as_of, str):
            object.__setattr__(self, "as_of", date.fromisoformat(self.as_of))
        if not isinstance(self.as_of, date):
            raise ValueError(f"as_of={self.as_of!r}: the day the price was stated, as a date, is needed")
        if self.batch_multiplier is not None and not 0 < self.batch_multiplier <= 1:
            raise ValueError(f"batch_multiplier={self.batch_multiplier!r}: above 0 and at most 1 is needed")
        for name, allowed in (("batch_cached_read", _BATCH_CACHED_READ), ("caching", _CACHING)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: one of {allowed} is needed")
        starts = [tier.above_input_tokens for tier in self.long_context]
        if starts != sorted(set(starts)) or 0 in starts:
            raise ValueError(f"long_context starts at {starts}: rising thresholds above 0 are needed")

    @property
    def has_batch(self) -> bool:
        return bool(self.batch_tiers) or self.batch_multiplier is not None

    def tiers(self, batch: bool = False) -> tuple[Rates, ...]:
        """Rates by input length, short first, no None left. ValueError where there is no batch price."""
        standard = Rates(**{name: getattr(self, name) for name in PRICE_FIELDS}), *self.long_context
        if not batch:
            return tuple(tier.filled() for tier in standard)
        if not self.has_batch:
            raise ValueError(f"batch=True: {self.model} at {self.provider} has no batch price")
        if self.batch_tiers:
            return tuple(tier.filled() for tier in self.batch_tiers)
        return tuple(self._in_batch(tier.filled()) for tier in standard)

    def rates(self, input_tokens: float, batch: bool = False) -> Rates:
        """What a request with this whole input (cached tokens included) pays per million tokens."""
        short, *long = self.tiers(batch)
        return [short, *(tier for tier in long if input_tokens > tier.above_input_tokens)][-1]

    def _in_batch(self, tier: Rates) -> Rates:
        usd = {name: getattr(tier, name) * self.batch_multiplier for name in PRICE_FIELDS}
        hit = {
            "stacks": usd["cached_read_usd_per_mtok"],
            "standard": min(tier.cached_read_usd_per_mtok, usd["input_usd_per_mtok"]),
            "input": usd["input_usd_per_mtok"],
        }
        usd["cached_read_usd_per_mtok"] = hit[self.batch_cached_read]
        return Rates(above_input_tokens=tier.above_input_tokens, **usd)


def api_price(model: str, provider: str | None = None, on: date | None = None) -> ApiPrice:
    """Price of `model`, at its maker or at `provider`, in force on a day (default: the price list's day).

    Names are matched as providers write them, dated versions too ("claude-haiku-4-5-20251001"). Where a price
    depends on the hour, this is the one at noon UTC. Whoever has run `genai_prices.UpdatePrices` gets those
    newer prices. ValueError, with the nearest names, for a model or provider that the list lacks.
    """
    snapshot = _snapshot()
    maker, slash, name = model.strip().partition("/")
    if provider is None and slash and maker in {seller.id for seller in snapshot.providers}:
        provider, model = maker, name  # as gateways write it: "anthropic/claude-opus-5"
    try:
        seller, listed = snapshot.find_provider_model(model.strip(), None, provider, None)
    except LookupError:
        raise ValueError(_unknown(model, provider, snapshot)) from None
    price = _price(seller, listed, on, _snapshot_date(snapshot))
    if price is None:
        raise ValueError(f"model={model!r}: {listed.id} is in the list, but not priced by text tokens")
    return price


def api_prices(provider: str | None = None, on: date | None = None) -> tuple[ApiPrice, ...]:
    """Every model that the list prices by text tokens (at one provider), by provider and name."""
    snapshot = _snapshot()
    sellers = [seller for seller in snapshot.providers if provider in (None, seller.id)]
    if not sellers:
        raise ValueError(_unknown("", provider, snapshot))
    as_of = _snapshot_date(snapshot)
    prices = (_price(seller, listed, on, as_of) for seller in sellers for listed in seller.models)
    return tuple(sorted(filter(None, prices), key=lambda price: (price.provider, price.model)))


# Reading the list.

_BATCH = {"processing": "batch"}
_LIST_KEYS = {
    "input_usd_per_mtok": "input_mtok",
    "output_usd_per_mtok": "output_mtok",
    "cached_read_usd_per_mtok": "cache_read_mtok",
    "cache_write_usd_per_mtok": "cache_write_mtok",
    "cache_write_1h_usd_per_mtok": "cache_write_1h_mtok",
}
_CHECKED = re.compile(r"(?:checked|verified|as of)(?: on)? (20\d\d-\d\d-\d\d)")


def _snapshot():
    from genai_prices import data_snapshot  # 0.2 s and pydantic: only once a price is asked for

    return data_snapshot.get_snapshot()


def _snapshot_date(snapshot) -> date:
    return snapshot.timestamp.date() if snapshot.from_auto_update else _bundled_date()


@lru_cache(maxsize=1)
def _bundled_date() -> date:
    """The newest day on which the list says it was checked. The package has no date; it is no older."""
    sellers = _snapshot().providers
    comments = [one.price_comments for seller in sellers for one in (seller, *seller.models)]
    today = date.today().isoformat()  # a comment may also announce a price of next month
    days = [day for comment in comments for day in _CHECKED.findall(comment or "") if day <= today]
    if not days:
        raise ValueError(f"{_list_name()} states no date; version 0.2.3 and later do")
    return date.fromisoformat(max(days))


@lru_cache(maxsize=1)
def _list_name() -> str:
    return f"genai-prices {metadata.version('genai-prices')}"


def _price(seller, listed, on: date | None, as_of: date) -> ApiPrice | None:
    """One model of the list. None where it is not priced by input tokens, or is free."""
    when = datetime.combine(on or as_of, time(12), UTC)
    rule = api_rule(seller.id, listed.id)
    standard = listed.get_prices(when)
    if not standard.input_mtok:
        return None
    short, *long_context = _tiers(standard, rule)
    # A cloud that resells a maker's model has the maker's entry here: its batch price is not the cloud's.
    resold = not any(listed is own for own in seller.models)
    batched = not resold and any(variant.when == _BATCH for variant in listed.price_variants or ())
    batch_tiers = _tiers(listed.get_prices(when, _BATCH), rule) if batched else ()
    multiplier = rule.batch_multiplier if rule else None
    if batch_tiers:
        multiplier = batch_tiers[0].input_usd_per_mtok / short.input_usd_per_mtok
    page = next(iter(seller.pricing_urls or ()), seller.id)
    return ApiPrice(
        model=listed.id,
        provider=seller.id,
        **{name: getattr(short, name) for name in PRICE_FIELDS},
        long_context=tuple(long_context),
        batch_tiers=batch_tiers,
        batch_multiplier=multiplier,
        batch_cached_read=rule.batch_cached_read if rule else "stacks",
        caching=rule.caching if rule else "",
        cache_min_tokens=rule.cache_min_tokens if rule else None,
        context_tokens=listed.context_window,
        source=f"{_list_name()}, {page}",
        as_of=as_of,
        rules_source=f"{rule.source} ({rule.as_of})" if rule else "",
        note="; ".join(filter(None, ("deprecated" * bool(listed.deprecated), rule.note if rule else ""))),
    )


def _tiers(prices, rule: ApiRule | None) -> tuple[Rates, ...]:
    """The list's tiers, short first. The list, too, fires a tier when the whole input *exceeds* its start."""
    listed = {name: getattr(prices, key) for name, key in _LIST_KEYS.items()}
    starts = {tier.start for price in listed.values() for tier in getattr(price, "tiers", ())}
    tiers = []
    for start in sorted({0, *starts}):
        usd = {name: _at(price, start) for name, price in listed.items()}
        usd["output_usd_per_mtok"] = usd["output_usd_per_mtok"] or 0.0  # an embedding has no output
        if rule and usd["cached_read_usd_per_mtok"] is not None:
            for kind in ("cache_write", "cache_write_1h"):
                multiplier = getattr(rule, f"{kind}_multiplier")
                if usd[f"{kind}_usd_per_mtok"] is None and multiplier:
                    usd[f"{kind}_usd_per_mtok"] = multiplier * usd["input_usd_per_mtok"]
        tiers.append(Rates(above_input_tokens=start, **usd))
    return tuple(tiers)


def _at(price, start: int) -> float | None:
    if price is None or not hasattr(price, "tiers"):
        return None if price is None else float(price)
    return float([price.base, *(tier.price for tier in price.tiers if tier.start <= start)][-1])


def _unknown(model: str, provider: str | None, snapshot) -> str:
    sellers = {seller.id: seller for seller in snapshot.providers}
    if provider is not None and provider not in sellers:
        near = get_close_matches(provider, sellers, n=5, cutoff=0.4)
        return f"provider={provider!r} is not in the price list; near: {', '.join(near) or 'nothing'}"
    # The list knows a maker by the family's name ("gpt-"), so that it doesn't find, say, OpenAI's embeddings.
    sold_by = [seller for seller, one in sellers.items() if model in {listed.id for listed in one.models}]
    if provider is None and sold_by:
        return f"model={model!r} is sold by {', '.join(sold_by)}: name the provider, as {sold_by[0]}/{model}"
    # Without a provider only a maker's models are found, so only they are offered.
    offered = [sellers[provider]] if provider else [one for one in sellers.values() if one.model_match]
    names = {listed.id for seller in offered for listed in seller.models}
    near = get_close_matches(model.lower(), names, n=20, cutoff=0.5)
    near = [name for name in near if _is_found(name, provider, snapshot)][:5]
    return f"model={model!r} is not in the price list; near: {', '.join(near) or 'nothing'}"


def _is_found(model: str, provider: str | None, snapshot) -> bool:
    """Whether `api_price` knows the name: the list finds some entries only by another name than their own."""
    try:
        seller, listed = snapshot.find_provider_model(model, None, provider, None)
    except LookupError:
        return False
    return _price(seller, listed, None, _snapshot_date(snapshot)) is not None
