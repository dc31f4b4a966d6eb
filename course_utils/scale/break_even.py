"""When is the cheaper hour really cheaper? One formula each: spot, reserved, a missed request."""

import math

from course_utils.catalog.provenance import check_range
from course_utils.scale.spot import SpotOutcome


def spot_usd_per_useful_hour(spot_usd_per_hour: float, waste_share: float) -> float:
    """Price of an hour of work that counts: price / (1 - waste).

    `waste_share` of the billed hours goes to starting, restarting, checkpoints and lost work; in [0, 1).
    """
    check_range("spot_usd_per_hour", spot_usd_per_hour, 0, 10_000)
    if not 0 <= waste_share < 1:
        raise ValueError(f"waste_share={waste_share!r}: a share from 0 to below 1 is needed")
    return spot_usd_per_hour / (1 - waste_share)


def spot_break_even_waste(spot_usd_per_hour: float, on_demand_usd_per_hour: float) -> float:
    """Share of spot hours that may go to waste before on demand is cheaper: 1 - spot / on demand, or 0."""
    check_range("spot_usd_per_hour", spot_usd_per_hour, 0, 10_000)
    check_range("on_demand_usd_per_hour", on_demand_usd_per_hour, 1e-6, 10_000)
    return max(0.0, 1 - spot_usd_per_hour / on_demand_usd_per_hour)


def reserved_break_even_utilization(reserved_usd_per_hour: float, on_demand_usd_per_hour: float) -> float:
    """Share of hours in use from which a reservation beats on demand: reserved / on demand.

    A reservation is paid for every hour. Above 1 it never pays.
    """
    check_range("reserved_usd_per_hour", reserved_usd_per_hour, 0, 10_000)
    check_range("on_demand_usd_per_hour", on_demand_usd_per_hour, 1e-6, 10_000)
    return reserved_usd_per_hour / on_demand_usd_per_hour


def reserved_usd_per_used_hour(reserved_usd_per_hour: float, utilization: float) -> float:
    """What an hour in use costs when all hours are paid for: price / utilization, utilization in (0, 1]."""
    check_range("reserved_usd_per_hour", reserved_usd_per_hour, 0, 10_000)
    check_range("utilization", utilization, 1e-6, 1)
    return reserved_usd_per_hour / utilization


def miss_price_break_even_usd(cheap: SpotOutcome, safe: SpotOutcome) -> float:
    """Price of a miss from which the safe policy is the cheaper one: extra dollars per miss avoided.

    Both over the same trace and service. 0 where `safe` costs no more anyway; infinite where it avoids no
    miss.
    """
    if cheap.hours != safe.hours:
        raise ValueError(f"safe.hours={safe.hours!r}: the same {cheap.hours!r} h as cheap are needed")
    extra_usd = (safe.spot_usd + safe.on_demand_usd) - (cheap.spot_usd + cheap.on_demand_usd)
    avoided = cheap.missed_requests - safe.missed_requests
    if extra_usd <= 0 and avoided >= 0:
        return 0.0
    return extra_usd / avoided if avoided > 0 else math.inf
