"""What the market asks beside tokens and chip hours: endpoints run for you, reserved throughput, disks, traffic out.

Also what nobody bills: how many tokens a minute an account may send, what models score, how prices have moved.
Taught in: chapter 11.
"""

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from course_utils.catalog.accelerators import accelerator as find_accelerator
from course_utils.catalog.gpu_prices import GpuPrice, gpu_prices
from course_utils.catalog.provenance import check_range, read_rows


@dataclass(frozen=True)
class ManagedEndpoint:
    """A chip that a provider runs your model on. `billed`: "running" (busy or idle) or "busy" (scales to zero)."""

    provider: str
    product: str
    accelerator: str
    region: str
    billed: str
    usd_per_accelerator_hour: float
    source: str
    as_of: date
    note: str = ""

    KEY: ClassVar = ("provider", "product", "accelerator", "region")

    def __post_init__(self):
        check_range("usd_per_accelerator_hour", self.usd_per_accelerator_hour, 0.05, 100)
        if self.billed not in ("running", "busy"):
            raise ValueError(f"billed={self.billed!r}: running or busy is needed")


@dataclass(frozen=True)
class ProvisionedTerms:
    """Throughput of a model by the unit and hour, used or not.

    A unit takes `input_tokens_per_minute`; an output token counts as `output_weight` of them, one read from the
    cache as `cached_weight`. At least `minimum_units`, in steps of `increment_units`.
    """

    provider: str
    model: str
    unit: str
    deployment: str
    term: str
    usd_per_unit_hour: float
    input_tokens_per_minute: float
    output_weight: float
    cached_weight: float
    minimum_units: int
    increment_units: int
    source: str
    as_of: date
    note: str = ""

    KEY: ClassVar = ("provider", "model", "deployment", "term")


@dataclass(frozen=True)
class CloudCost:
    """USD for a GB: "egress" to the internet, or "disk" for a month."""

    provider: str
    item: str
    usd_per_gb: float
    source: str
    as_of: date
    note: str = ""

    KEY: ClassVar = ("provider", "item")


@dataclass(frozen=True)
class RateLimit:
    """Tokens a minute that an account may send once it has paid so much."""

    provider: str
    model: str
    tier: int
    tokens_per_minute: float
    paid_before_usd: float
    source: str
    as_of: date
    note: str = ""

    KEY: ClassVar = ("provider", "model", "tier")


@dataclass(frozen=True)
class PublishedQuality:
    """A model's score, as somebody states it: share of a benchmark's questions, in percent."""

    model: str
    open: bool
    benchmark: str
    questions: int
    percent_right: float
    source: str
    as_of: date
    note: str = ""

    KEY: ClassVar = ("model", "benchmark")

    @property
    def half_width(self) -> float:
        """Of the 95 % interval that so many questions leave, in percent (normal approximation)."""
        share = self.percent_right / 100
        return 100 * 1.96 * (share * (1 - share) / self.questions) ** 0.5


@dataclass(frozen=True)
class PriceTrend:
    """A price on two days. `change_per_year`: -0.5 is half each year."""

    what: str
    from_usd: float
    from_day: date
    to_usd: float
    to_day: date
    source: str
    as_of: date
    note: str = ""

    KEY: ClassVar = ("what",)

    @property
    def years(self) -> float:
        return (self.to_day - self.from_day).days / 365.25

    @property
    def change_per_year(self) -> float:
        return (self.to_usd / self.from_usd) ** (1 / self.years) - 1


def managed_endpoint(provider: str, accelerator: str, region: str | None = None) -> ManagedEndpoint:
    """The cheapest endpoint on this chip that is billed while it runs. ValueError says what there is instead."""
    chip = find_accelerator(accelerator).name
    rows = read_rows("managed_endpoints.csv", ManagedEndpoint)
    return _cheapest(
        [
            row
            for row in rows
            if row.accelerator == chip and row.provider == provider and row.billed == "running"
        ],
        region,
        f"endpoint at {provider} on {chip}",
        sorted({f"{row.provider} ({row.accelerator})" for row in rows}),
    )


def provisioned_terms(model: str, term: str, provider: str = "azure") -> ProvisionedTerms:
    """Terms of reserved throughput. ValueError names the models and terms that there are."""
    rows = read_rows("provisioned_throughput.csv", ProvisionedTerms)
    for row in rows:
        if (row.provider, row.model, row.term) == (provider, model, term):
            return row
    known = ", ".join(f"{row.model}/{row.term}" for row in rows if row.provider == provider) or "none"
    raise ValueError(f"model={model!r}, term={term!r}: {provider} has no such price here; there are {known}")


def chip_rent(
    accelerator: str, term: str, region: str | None = None, provider: str | None = None
) -> GpuPrice:
    """The lowest rent of a chip under a term, in a region and at a provider where they are given.

    A price that the catalog lacks is named and never guessed from another region's: ValueError says where and
    under which terms the chip has one.
    """
    rows = gpu_prices(accelerator, provider=provider)
    chip = find_accelerator(accelerator).name
    there = [f"{row.provider} {row.region} {row.term}" for row in rows if region in (None, row.region)]
    return _cheapest(
        [row for row in rows if row.term == term],
        region,
        f"{term} price of {chip}" + f" at {provider}" * (provider is not None),
        there or sorted({f"{row.provider} {row.region} {row.term}" for row in rows}),
    )


def _cheapest(rows: list, region: str | None, what: str, known: list[str]):
    fitting = [row for row in rows if region in (None, row.region)]
    if not fitting:
        where = f" in region={region!r}" * (region is not None)
        raise ValueError(f"no {what}{where}; known: {', '.join(dict.fromkeys(known)) or 'none at all'}")
    return min(fitting, key=lambda row: row.usd_per_accelerator_hour)


def usd_per_gb(item: str, provider: str) -> CloudCost:
    """Price of a GB of "egress" or "disk" at a provider. ValueError names who has one."""
    rows = read_rows("cloud_costs.csv", CloudCost)
    for row in rows:
        if (row.item, row.provider) == (item, provider):
            return row
    known = ", ".join(f"{row.provider} {row.item}" for row in rows)
    raise ValueError(f"item={item!r}, provider={provider!r}: no such price; there are {known}")


def rate_limits(model: str) -> tuple[RateLimit, ...]:
    """An API's limits by tier, lowest first; empty where none is recorded."""
    rows = [row for row in read_rows("rate_limits.csv", RateLimit) if row.model == model]
    return tuple(sorted(rows, key=lambda row: row.tokens_per_minute))


def published_quality(benchmark: str | None = None) -> tuple[PublishedQuality, ...]:
    """Published scores, best first."""
    rows = read_rows("published_quality.csv", PublishedQuality)
    return tuple(
        sorted(
            (row for row in rows if benchmark in (None, row.benchmark)), key=lambda row: -row.percent_right
        )
    )


def price_trends() -> tuple[PriceTrend, ...]:
    """How prices moved between two days, fastest fall first."""
    return tuple(sorted(read_rows("price_trends.csv", PriceTrend), key=lambda row: row.change_per_year))
