"""What has to be served, and ways to hold replicas for it on demand and on spot."""

from dataclasses import dataclass

import numpy as np

from course_utils.catalog.provenance import check_range

# Sixteen-bit counts make the simulation four times as fast; this bound keeps their sums in range.
MOST_REPLICAS = 1000


@dataclass(frozen=True)
class Service:
    """What has to be served, and at which prices. Prices are per replica and hour.

    `cold_start_s`: from asking for an instance to serving with it, model loaded. `grace_s`: notice that the
    provider gives (`spot_notice`). `requests_per_s` is the load of all replicas together, spread evenly
    over those required; `request_s` how long one request runs. A request is missed when its share of the
    replicas isn't there, or when its replica is taken before it ends.
    """

    required_replicas: int
    spot_usd_per_hour: float
    on_demand_usd_per_hour: float
    cold_start_s: float = 180.0
    grace_s: float = 120.0
    requests_per_s: float = 0.0
    request_s: float = 0.0
    usd_per_missed_request: float = 0.0

    def __post_init__(self):
        _check_count("required_replicas", self.required_replicas, 1)
        check_range("spot_usd_per_hour", self.spot_usd_per_hour, 0, 10_000)
        check_range("on_demand_usd_per_hour", self.on_demand_usd_per_hour, 0, 10_000)
        check_range("cold_start_s", self.cold_start_s, 0, 86_400)
        check_range("grace_s", self.grace_s, 0, 86_400)
        check_range("requests_per_s", self.requests_per_s, 0, 1e9)
        check_range("request_s", self.request_s, 0, 86_400)
        check_range("usd_per_missed_request", self.usd_per_missed_request, 0, 1e6)


@dataclass(frozen=True)
class Policy:
    """How many replicas to hold on demand, how many to ask for on spot, and whether to fall back.

    A fallback is an on-demand replica for each one missing, stopped once the spot replica is ready.
    """

    name: str
    floor_replicas: int
    spot_replicas: int
    falls_back: bool = False

    def __post_init__(self):
        _check_count("floor_replicas", self.floor_replicas, 0)
        _check_count("spot_replicas", self.spot_replicas, 0)


def spot_only(required_replicas: int, extra_replicas: int = 0) -> Policy:
    """All replicas on spot, with `extra_replicas` over what is required as a cushion."""
    return Policy("spot only", 0, required_replicas + extra_replicas)


def spot_with_fallback(required_replicas: int, extra_replicas: int = 0) -> Policy:
    """All replicas on spot; what is missing runs on demand until the spot replica is ready again."""
    return Policy("spot, on-demand fallback", 0, required_replicas + extra_replicas, falls_back=True)


def floor_and_spot(
    required_replicas: int, floor_replicas: int, extra_replicas: int = 0, falls_back: bool = False
) -> Policy:
    """`floor_replicas` on demand for good, the rest of what is required on spot."""
    _check_count("floor_replicas", floor_replicas, 0)
    spot = max(0, required_replicas - floor_replicas) + extra_replicas
    return Policy(f"floor of {floor_replicas} + spot", floor_replicas, spot, falls_back)


def on_demand_only(required_replicas: int) -> Policy:
    """No spot: what every other policy is compared with."""
    return Policy("on demand only", required_replicas, 0)


def _check_count(name: str, value: int, low: int) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or not low <= value <= MOST_REPLICAS
    ):
        raise ValueError(f"{name}={value!r}: a whole number from {low} to {MOST_REPLICAS} is needed")
