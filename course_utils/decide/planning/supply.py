"""Ways to pay for replicas: on demand, reserved, spot with a fallback, autoscaled; each with the prices it rests on.

Clouds sell whole instances. A replica of `tp` chips needs an instance with as many, and an instance that holds eight
is paid for as eight. Of several instances a fleet takes those that cost it least.
Taught in: chapter 12.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from course_utils.catalog.gpu_prices import GpuPrice, gpu_prices
from course_utils.estimate.cost import HOURS_PER_MONTH
from course_utils.scale.policies import MOST_REPLICAS, Policy, Service, floor_and_spot, spot_with_fallback
from course_utils.scale.preemption import region_shock, spot_drift, spot_processes
from course_utils.scale.spot import simulate_policy
from course_utils.scale.spot_generator import generate_zones

# Kind -> the terms of the prices that it needs for one and the same instance.
FIXED = {
    "on demand": ("on_demand",),
    "reserved 1 year": ("reserved_1y",),
    "reserved 3 years": ("reserved_3y",),
    "spot + on demand": ("spot", "on_demand"),
    "half spot": ("spot", "on_demand"),
}
SCALED = {
    "autoscaled": ("on_demand",),
    "reserved floor, autoscaled": ("reserved_1y", "on_demand"),
}
KINDS = {**FIXED, **SCALED}
# The region whose spot traces stand for all: three zones of AWS's, whose 30 fitted traces are the only public ones.
_SPOT_REGION, _SPOT_CHIP = "us-west-2", "V100"
SPOT_ASSUMED = f"spot comes and goes as {_SPOT_CHIP}s did in AWS {_SPOT_REGION}, 2023: assumed for every chip"
_MONTHS = 6  # simulated months of spot; their spread is the interval
_MANY = 24  # instances beyond which shares no longer change


@dataclass(frozen=True)
class Use:
    """Replicas over time: share of it with r replicas [r], summing to 1, and those that are never given up."""

    shares: tuple[float, ...]
    floor: int

    @classmethod
    def fixed(cls, replicas: int) -> "Use":
        return cls((0.0,) * replicas + (1.0,), replicas)

    @property
    def peak(self) -> int:
        return len(self.shares) - 1

    @property
    def mean(self) -> float:
        return float(np.arange(len(self.shares)) @ np.asarray(self.shares))


@dataclass(frozen=True)
class Bill:
    """US dollars a month for a fleet, with an 80 % interval where the market moves (spot), and what it buys.

    `short_share`: part of the time in which fewer instances live than are needed.
    """

    usd_per_month: float
    lo: float
    hi: float
    price: GpuPrice
    instances: int
    short_share: float = 0.0


@dataclass(frozen=True)
class Supply:
    """One way to pay for replicas of `tp` chips. `prices` [choices][terms]: each choice is one instance's prices."""

    kind: str
    tp: int
    prices: tuple[tuple[GpuPrice, ...], ...]

    @property
    def scaled(self) -> bool:
        return self.kind in SCALED

    def bill(self, use: Use) -> Bill:
        """The cheapest of the choices for this use."""
        return min((_BILLS[self.kind](choice, use, self.tp) for choice in self.prices), key=_usd)

    def least_usd(self, replicas: np.ndarray) -> np.ndarray:
        """US dollars a month below which no fleet stays that keeps `replicas` busy (means, fractions allowed) [n]."""
        replicas = np.asarray(replicas, float)
        if self.scaled:
            per_replica = min(choice[0].usd_per_hour / (_chips(choice) // self.tp) for choice in self.prices)
            return replicas * per_replica * HOURS_PER_MONTH
        whole = np.maximum(np.ceil(replicas - 1e-9), 1).astype(int)
        usd = {count: self.bill(Use.fixed(int(count))).lo for count in np.unique(np.minimum(whole, _MOST))}
        return np.array([usd[min(count, _MOST)] * max(1.0, count / _MOST) for count in whole])


# A fleet of more replicas than this is priced in proportion.
_MOST = 4096


def _usd(bill: Bill) -> float:
    return bill.usd_per_month


def _chips(choice: tuple[GpuPrice, ...]) -> int:
    return choice[0].accelerators_per_instance


def _instances(replicas: int, choice, tp: int) -> int:
    return math.ceil(replicas / (_chips(choice) // tp))


def _flat(choice, use: Use, tp: int) -> Bill:
    """All replicas all month at one price."""
    instances = _instances(use.peak, choice, tp)
    usd = instances * choice[0].usd_per_hour * HOURS_PER_MONTH
    return Bill(usd, usd, usd, choice[0], instances)


def _mean_instances(choice, use: Use, tp: int, above: int = 0) -> float:
    counts = [max(_instances(replicas, choice, tp) - above, 0) for replicas in range(len(use.shares))]
    return float(np.dot(counts, use.shares))


def _autoscaled(choice, use: Use, tp: int) -> Bill:
    usd = _mean_instances(choice, use, tp) * choice[0].usd_per_hour * HOURS_PER_MONTH
    return Bill(usd, usd, usd, choice[0], _instances(use.peak, choice, tp))


def _reserved_floor(choice, use: Use, tp: int) -> Bill:
    """The floor reserved, what comes on top on demand."""
    reserved, on_demand = choice
    floor = _instances(use.floor, choice, tp)
    hourly = floor * reserved.usd_per_hour
    hourly += _mean_instances(choice, use, tp, above=floor) * on_demand.usd_per_hour
    usd = hourly * HOURS_PER_MONTH
    return Bill(usd, usd, usd, reserved, _instances(use.peak, choice, tp))


def _spot(choice, use: Use, tp: int) -> Bill:
    """All on spot, with a fallback on demand for each that is taken."""
    return _with_spot(choice, _instances(use.peak, choice, tp), 0)


def _half_spot(choice, use: Use, tp: int) -> Bill:
    """Half on demand for good (rounded up), the rest as `_spot`."""
    instances = _instances(use.peak, choice, tp)
    return _with_spot(choice, instances, math.ceil(instances / 2))


def _with_spot(choice, instances: int, floor: int) -> Bill:
    spot, on_demand = choice
    seen = min(instances, _MANY)
    months = spot_hours(seen, math.ceil(floor * seen / instances), 8 if _chips(choice) > 4 else 1)
    hourly = months[:, 0] * spot.usd_per_hour + months[:, 1] * on_demand.usd_per_hour
    usd = np.sort(hourly) * instances / seen * HOURS_PER_MONTH
    lo, hi = np.quantile(usd, (0.1, 0.9))
    mean = float(usd.mean())
    return Bill(mean, min(float(lo), mean), max(float(hi), mean), spot, instances, float(months[:, 2].mean()))


_BILLS = {
    "on demand": _flat,
    "reserved 1 year": _flat,
    "reserved 3 years": _flat,
    "spot + on demand": _spot,
    "half spot": _half_spot,
    "autoscaled": _autoscaled,
    "reserved floor, autoscaled": _reserved_floor,
}


@cache
def spot_hours(instances: int, floor: int, chips_per_instance: int) -> np.ndarray:
    """Simulated months [months, 3]: mean spot instances paid for, mean on-demand ones, share of time short.

    Required are `instances`, of which `floor` on demand; each that is taken has a fallback until it is back.
    """
    region = [
        row
        for row in spot_processes(_SPOT_CHIP, _SPOT_REGION)
        if row.chips_per_instance == chips_per_instance
    ]
    zones = tuple({row.zone: row for row in reversed(region) if row.instances == 1}.values())
    shock = region_shock(_SPOT_REGION, _SPOT_CHIP, chips_per_instance)
    policy: Policy = (
        floor_and_spot(instances, floor, falls_back=True) if floor else spot_with_fallback(instances)
    )
    service = Service(min(instances, MOST_REPLICAS), spot_usd_per_hour=0.0, on_demand_usd_per_hour=1.0)
    found = []
    for seed in range(_MONTHS):
        traces = generate_zones(
            zones, shock, capacity=max(instances, 1), seed=seed, drift_log_odds=spot_drift().log_odds
        )
        one = simulate_policy(traces, policy, service)
        on_demand_h = one.floor_replica_hours + one.fallback_replica_hours
        found.append((one.spot_replica_hours / one.hours, on_demand_h / one.hours, 1 - one.availability))
    return np.array(found)


def supplies(
    chip: str,
    tp: int,
    region: str | None = None,
    kinds: Sequence[str] = tuple(KINDS),
    providers: tuple[str, ...] | None = None,
) -> tuple[tuple[Supply, ...], tuple[str, ...]]:
    """The ways that the catalog has prices for, and a sentence for each that it lacks.

    With a `region` only prices stated for it count: one that holds "anywhere" doesn't say that it is sold there.
    `providers` None: all. ValueError for a name that the catalog doesn't know.
    """
    found, missing = [], []
    for kind in kinds:
        choices = _choices(chip, tp, region, KINDS[kind], providers)
        if choices:
            found.append(Supply(kind, tp, choices))
        else:
            missing.append(_missing(chip, tp, region, kind))
    return tuple(found), tuple(missing)


@cache
def _choices(chip: str, tp: int, region: str | None, terms: tuple[str, ...], providers) -> tuple:
    """For each size of instance the cheapest that has a price at every term."""
    by_term = [
        {
            _instance(row): row
            for provider in providers or (None,)
            for row in gpu_prices(chip, provider, term, region)
        }
        for term in terms
    ]
    cheapest: dict[int, tuple[GpuPrice, ...]] = {}
    for key, row in by_term[0].items():
        choice = tuple(rows[key] for rows in by_term if key in rows)
        size = row.accelerators_per_instance
        if len(choice) == len(terms) and size >= tp:
            held = cheapest.setdefault(size, choice)
            cheapest[size] = min(held, choice, key=lambda one: [row.usd_per_hour for row in one])
    return tuple(cheapest.values())


def _instance(row: GpuPrice) -> tuple[str, str, str]:
    return row.provider, row.instance, row.region


def _missing(chip: str, tp: int, region: str | None, kind: str) -> str:
    terms = " and ".join(term.replace("_", " ") for term in KINDS[kind])
    size = f" with {tp} of them or more" if tp > 1 else ""
    where = f" in {region}" if region else ""
    text = f"no {terms} price for an instance of {chip}{size}{where} in data/gpu_prices.csv"
    if region and (elsewhere := gpu_prices(chip, term=KINDS[kind][0])):
        row = elsewhere[0]
        text += f" ({row.region}: {row.usd_per_accelerator_hour:.2f} USD per chip and hour at {row.provider})"
    return text
