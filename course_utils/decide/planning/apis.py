"""What the same trace costs at an API: exact to the token, with the tiers, caches and batches that its rules allow.

A price list states no latency and seldom a precision, so an API is never confirmed here, only priced: what isn't known
about it is listed, and is yours to measure before you sign.
Taught in: chapter 12.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from course_utils.catalog.api_prices import ApiPrice, api_price, api_prices
from course_utils.catalog.model_names import spellings, words
from course_utils.catalog.models import ModelShape
from course_utils.decide.planning.demand import Demand, prefix_hits
from course_utils.decide.planning.variants import Quality, quality_of
from course_utils.estimate.cost import Usage, request_cost
from course_utils.estimate.precision import precision

# Seconds for which providers keep a prefix unless told otherwise: data/prompt_cache_terms.csv.
_KEPT_S = 300.0
# Words that hosts add to a model's name for a tier of service, and those that name a precision.
_SERVED = frozenset({"instant", "lite", "fast", "versatile"})
_STATED = {"fp8": "fp8", "bf16": "bf16", "awq": "int4", "fp4": "fp4", "int8": "int8"}
_GATEWAY = "huggingface_"
_PRECISION = re.compile(rf"[-_ ]({'|'.join(_STATED)})\b")


@dataclass(frozen=True)
class Api:
    """A model of the price list (as `api_price` takes it), with the latency that you measured, where you did."""

    name: str
    ttft_p95_ms: float | None = None
    tpot_p95_ms: float | None = None


@dataclass(frozen=True)
class ApiOffer:
    """One way to buy the trace's answers. `same_model`: it is said to be the model that is planned for."""

    api: Api
    price: ApiPrice
    batch: bool
    same_model: bool
    quality: Quality
    usd_per_month: float

    @property
    def name(self) -> str:
        return f"{self.price.provider}/{self.price.model}{' in batch' * self.batch}"


def api_offers(
    demand: Demand, shapes: Iterable[tuple[str, ModelShape]], apis: Iterable | None
) -> list[ApiOffer]:
    """Every API of `apis` (None: hosts of the models), at once and, where it has such a price, in batch.

    `shapes`: (name as asked for, shape). ValueError for a name that the price list lacks. Prices in another currency
    than the US dollar are left out, as are models that their seller withdraws.
    """
    shapes = list(shapes)
    costs, offers = _Costs(demand), []
    for api, price in priced([name for name, _ in shapes], apis):
        if price.currency != "USD":
            continue
        shape = next((shape for name, shape in shapes if is_model(price.model, name)), None)
        quality = _quality(price, shape)
        for batch in (False, True) if price.has_batch else (False,):
            usd = costs.usd(price, batch) / demand.months
            offers.append(ApiOffer(api, price, batch, shape is not None, quality, usd))
    return offers


def priced(names: Iterable[str], apis: Iterable | None) -> list[tuple[Api, ApiPrice]]:
    """Every API of `apis` with its price; for None, those of who hosts a model of `names`."""
    if apis is None:
        return [(Api(f"{price.provider}/{price.model}"), price) for name in names for price in hosts(name)]
    given = [one if isinstance(one, Api) else Api(one) for one in apis]
    return [(one, api_price(one.name)) for one in given]


@cache
def hosts(name: str) -> tuple[ApiPrice, ...]:
    """Prices of everyone who says to host the model called `name`, and doesn't withdraw it.

    A gateway's row is left out where its host has one of its own.
    """
    found = [
        price
        for price in api_prices()
        if is_model(price.model, name) and not price.note.startswith("deprecated")
    ]
    sellers = {price.provider for price in found}
    return tuple(
        price
        for price in found
        if not (price.provider.startswith(_GATEWAY) and price.provider.removeprefix(_GATEWAY) in sellers)
    )


def is_model(listed: str, name: str) -> bool:
    """Whether a seller's name means this model: the same words, but for tuning, packing and tiers of service."""
    return _bare(listed) == _bare(name)


@cache
def _bare(name: str) -> str:
    plain = _PRECISION.sub("", name.casefold().split(":")[0])
    kept = [word for word in words(plain) if word not in _SERVED]
    return spellings("-".join(kept))[-1] if kept else ""


def _quality(price: ApiPrice, shape: ModelShape | None) -> Quality:
    if shape is None:
        return Quality(None, None, None, "another model", ("another model, whose quality isn't this one's",))
    for word, recipe in _STATED.items():
        if word in price.model.casefold():
            return quality_of(shape, precision(recipe))
    return Quality(None, None, None, "not stated", ("the seller doesn't say in which precision it serves",))


class _Costs:
    """Prices of one demand. Costs are linear within a tier, so a tier's requests are billed as their mean, times them.

    Sums over tiers are kept: sixty sellers share three thresholds.
    """

    def __init__(self, demand: Demand):
        self.demand, self._hits, self._sums = demand, None, {}

    def usd(self, price: ApiPrice, batch: bool) -> float:
        """US dollars for the whole trace."""
        tiers = price.tiers(batch)
        starts = [tier.above_input_tokens for tier in tiers]
        total = 0.0
        for low, high in zip(starts, [*starts[1:], None], strict=True):
            count, given, read, written, output = self._tier(low, high, price)
            if count:
                usage = Usage(given / count, read / count, written / count, output / count)
                total += count * request_cost(price, usage, batch).total_usd
        return total

    def _tier(self, low: int, high: int | None, price: ApiPrice) -> tuple[float, ...]:
        """Requests whose input exceeds `low` and not `high`: how many, and their tokens in, read, written and out."""
        caches = self.demand.hit_tokens > 0 and price.caching in ("automatic", "explicit")
        key = (low, high, price.caching if caches else "", price.cache_min_tokens if caches else None)
        if key not in self._sums:
            self._sums[key] = self._sum(*key)
        return self._sums[key]

    def _sum(self, low, high, caching, least) -> tuple[float, ...]:
        traffic = self.demand.traffic
        given, output = traffic.input_tokens, traffic.output_tokens
        if not low and high is None and not caching:
            return len(traffic), float(given.sum()), 0.0, 0.0, float(output.sum())
        inside = given > low if high is None else (given > low) & (given <= high)
        read = written = 0.0
        if caching:
            if self._hits is None:
                self._hits = prefix_hits(traffic, _KEPT_S)
            marked = inside & (traffic.prefix_tokens >= (least or 1))
            read = float(np.minimum(self._hits, traffic.prefix_tokens)[marked].sum())
            if caching == "explicit":
                written = float(traffic.prefix_tokens[marked].sum()) - read
        return int(inside.sum()), float(given[inside].sum()), read, written, float(output[inside].sum())
