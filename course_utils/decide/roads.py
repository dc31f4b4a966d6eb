"""The roads that are paid by the token, or by the throughput: an API and its reserved units. `hosted` has the others.

Each road has a `name`, `facts` for the constraints and `costs(workload, months)`: USD of every month by part.
The sum of the parts is the cost; nothing else is added anywhere.
Taught in: chapter 11, sections 1 to 3.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Protocol

import numpy as np

from course_utils.catalog.api_prices import ApiPrice
from course_utils.catalog.provenance import check_range
from course_utils.decide.demand import Workload
from course_utils.decide.market import ProvisionedTerms
from course_utils.decide.team import Team
from course_utils.estimate.cost import HOURS_PER_MONTH, TOKENS_PER_MTOK, monthly_cost, request_cost


@dataclass(frozen=True)
class Facts:
    """What a road is, beside its cost. None: not known, which a constraint takes for not good enough.

    regions: where the data is processed. exit_months: to be gone without paying on. quality_percent: its model's
    score on the test that you go by. tokens_per_minute: the most it takes, infinite where more machines do.
    """

    regions: tuple[str, ...] = ()
    exit_months: float | None = 0.0
    quality_percent: float | None = None
    tokens_per_minute: float | None = inf


class Road(Protocol):
    """Anything that can be compared."""

    @property
    def name(self) -> str: ...

    @property
    def facts(self) -> Facts: ...

    def costs(self, workload: Workload, months: int) -> dict[str, np.ndarray]: ...


def price_path(change_per_year: float, months: int, held_months: int = 1) -> np.ndarray:
    """[months] price over today's. Under a contract it stands still until the term ends and a new one is signed."""
    check_range("change_per_year", change_per_year, -0.999, 10)
    if held_months < 1:
        raise ValueError(f"held_months={held_months!r}: a term of at least 1 month is needed")
    signed = np.arange(months) // held_months * held_months
    return (1 + change_per_year) ** (signed / 12)


@dataclass(frozen=True)
class Api:
    """Tokens by the million. `change_per_year`: of the price, as you move to newer models of the same quality.

    Requests that can wait go at the batch price where there is one, and at the plain price where there isn't.
    """

    name: str
    price: ApiPrice
    team: Team = field(default_factory=Team)
    change_per_year: float = 0.0
    facts: Facts = field(default_factory=Facts)

    def costs(self, workload: Workload, months: int) -> dict[str, np.ndarray]:
        batch_share = workload.batch_share if self.price.has_batch else 0.0
        one = monthly_cost(self.price, workload.usage, 1.0, batch_share)
        path = workload.days(months) * price_path(self.change_per_year, months)
        parts = {
            "fresh input": one.input_usd * path,
            "cached reads": one.cached_read_usd * path,
            "cache writes": one.cache_write_usd * path,
            "output": one.output_usd * path,
        }
        return told(parts) | self.team.costs(months)


@dataclass(frozen=True)
class Provisioned:
    """An API's throughput by the unit and hour. What exceeds the units spills over to its price by the token.

    units: reserved in every hour; None: as many as the busiest hour takes. Batches go by the token.
    """

    name: str
    terms: ProvisionedTerms
    price: ApiPrice
    units: int | None = None
    team: Team = field(default_factory=Team)
    facts: Facts = field(default_factory=Facts)

    def units_needed(self, workload: Workload, months: int) -> np.ndarray:
        """[months, hours] units that the load fills; not rounded."""
        usage, terms = workload.usage, self.terms
        counted = (
            usage.input_tokens
            - usage.cached_read_tokens * (1 - terms.cached_weight)
            + usage.output_tokens * terms.output_weight
        )
        per_minute = workload.days(months)[:, None] / 1440 * workload.shape * (1 - workload.batch_share)
        return per_minute * counted / terms.input_tokens_per_minute

    def sold(self, units: np.ndarray) -> np.ndarray:
        """Units as they are sold: at least the minimum, then in whole steps."""
        terms = self.terms
        steps = np.ceil((units - terms.minimum_units) / terms.increment_units - 1e-9)
        return terms.minimum_units + np.maximum(steps, 0) * terms.increment_units

    def costs(self, workload: Workload, months: int) -> dict[str, np.ndarray]:
        needed = self.units_needed(workload, months)
        wanted = needed.max(axis=1) if self.units is None else np.full(months, float(self.units))
        units = self.sold(wanted)
        load = needed.mean(axis=1)
        spilled = np.maximum(needed - units[:, None], 0).mean(axis=1)
        share = np.divide(spilled, load, out=np.zeros(months), where=load > 0)
        live = request_cost(self.price, workload.usage).total_usd
        requests = workload.requests(months)
        parts = {
            "units": units * self.terms.usd_per_unit_hour * HOURS_PER_MONTH,
            "spill-over": requests * (1 - workload.batch_share) * share * live,
        }
        if workload.batch_share:
            batch = request_cost(self.price, workload.usage, batch=self.price.has_batch).total_usd
            parts["batches"] = requests * workload.batch_share * batch
        return told(parts) | self.team.costs(months)


def usd_per_mtok(road: Road, workload: Workload, months: int = 1) -> float:
    """All of a road's cost over all of the workload's tokens, input and output together, per million."""
    tokens = workload.requests(months).sum() * (workload.usage.input_tokens + workload.usage.output_tokens)
    if not tokens:
        raise ValueError("the workload has no tokens: a price per token needs some")
    return sum(float(usd.sum()) for usd in road.costs(workload, months).values()) / tokens * TOKENS_PER_MTOK


def told(parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parts that cost anything: a bill has no lines of zero."""
    return {name: usd for name, usd in parts.items() if usd.any()}
