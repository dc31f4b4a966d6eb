"""What an hour of a chip costs: provider, instance, region, term, with the day the price was read.

Prices are list prices in US dollars, before tax, and for the whole instance: a cloud that sells the host with
its chips (vCPUs, memory) has them in the price. A reserved price is spread over the hours of its term.
"""

from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import ClassVar

from course_utils.catalog.accelerators import accelerator as find_accelerator
from course_utils.catalog.provenance import check_range, read_rows

TERMS = ("on_demand", "spot", "reserved_1y", "reserved_3y")


@dataclass(frozen=True)
class GpuPrice:
    """One price. `usd_per_hour` is for the instance, `usd_per_accelerator_hour` for one of its chips."""

    provider: str
    instance: str
    accelerator: str
    accelerators_per_instance: int
    region: str
    term: str
    usd_per_hour: float
    usd_per_accelerator_hour: float
    source: str
    as_of: date
    note: str = ""

    KEY: ClassVar = ("provider", "instance", "region", "term")

    def __post_init__(self):
        if self.term not in TERMS:
            raise ValueError(f"term={self.term!r}: one of {', '.join(TERMS)} is needed")
        check_range("accelerators_per_instance", self.accelerators_per_instance, 1, 256)
        check_range("usd_per_accelerator_hour", self.usd_per_accelerator_hour, 0.02, 50)
        whole = self.usd_per_accelerator_hour * self.accelerators_per_instance
        if abs(whole - self.usd_per_hour) > 0.01 * self.usd_per_hour:
            raise ValueError(
                f"usd_per_hour={self.usd_per_hour!r}: {self.accelerators_per_instance} chips at "
                f"{self.usd_per_accelerator_hour!r} make {whole:.4f}"
            )


def gpu_prices(
    accelerator: str | None = None,
    provider: str | None = None,
    term: str | None = None,
    region: str | None = None,
) -> tuple[GpuPrice, ...]:
    """Rows of `data/gpu_prices.csv` that fit every filter given, cheapest per chip and hour first.

    `accelerator` is resolved like `accelerators.accelerator`. ValueError for an accelerator, provider, term
    or region that the catalog doesn't know; a combination that nobody sells is an empty tuple.
    """
    rows = read_rows("gpu_prices.csv", GpuPrice)
    if accelerator is not None:
        accelerator = find_accelerator(accelerator).name
    wanted = {
        "accelerator": accelerator,
        "provider": _known("provider", provider, {row.provider for row in rows}),
        "term": _known("term", term, set(TERMS)),
        "region": _known("region", region, {row.region for row in rows}),
    }
    kept = [
        row
        for row in rows
        if all(value is None or getattr(row, column) == value for column, value in wanted.items())
    ]
    return tuple(
        sorted(kept, key=lambda row: (row.usd_per_accelerator_hour, row.provider, row.instance, row.region))
    )


def cheapest(accelerator: str, term: str = "on_demand") -> GpuPrice:
    """The lowest price per chip and hour. ValueError where there is none, with the terms that there are."""
    if rows := gpu_prices(accelerator, term=term):
        return rows[0]
    has = [one for one in TERMS if gpu_prices(accelerator, term=one)]
    raise ValueError(
        f"term={term!r}: no {term} price for {find_accelerator(accelerator).name}; "
        f"there are {', '.join(has) or 'no prices at all'}"
    )


def _known(argument: str, value: str | None, names: set[str]) -> str | None:
    if value is None or value in names:
        return value
    same = {name.casefold(): name for name in names}
    if str(value).casefold() in same:
        return same[str(value).casefold()]
    near = get_close_matches(str(value).casefold(), same, n=3, cutoff=0.4)
    said = f"nearest: {', '.join(same[name] for name in near)}; " if near else ""
    # A seller's names may look nothing alike (Amazon, AWS): so all are said. The largest set, regions, has 18.
    said += f"there are {', '.join(sorted(names, key=str.casefold))}"
    raise ValueError(f"{argument}={value!r}: not in the catalog; {said}")
