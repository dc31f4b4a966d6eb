"""Serve on spot instances: what a policy costs, and how often it has enough replicas.

The simulation is exact in time, though it is vectorised over ticks: a trace changes only between ticks, so
inside a tick a cold start ends at one known offset, and so does that of a fallback, which starts when
notice is given.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from course_utils.catalog.provenance import check_range
from course_utils.scale.policies import Policy, Service
from course_utils.scale.spot_traces import Trace

# Counts have sixteen bits, which a thousand replicas in each of so many zones fit.
MOST_ZONES = 30


@dataclass(frozen=True)
class SpotOutcome:
    """What a policy did over a trace. Money in US dollars; hours are billed ones unless they say otherwise.

    `availability`: share of time with the required replicas ready. `ready_` + `idle_replica_hours` = spot +
    floor + fallback hours (idle: starting, or on-demand standing by). `short_replica_hours`: required, not
    there. `lost_work_replica_hours`: work on requests that a preemption cut off, inside the ready hours.
    """

    policy: Policy
    hours: float
    availability: float
    spot_replica_hours: float
    floor_replica_hours: float
    fallback_replica_hours: float
    ready_replica_hours: float
    idle_replica_hours: float
    short_replica_hours: float
    lost_work_replica_hours: float
    preemptions: int
    missed_requests: float
    missed_share: float
    spot_usd: float
    on_demand_usd: float
    missed_usd: float
    on_demand_only_usd: float

    @property
    def total_usd(self) -> float:
        return self.spot_usd + self.on_demand_usd + self.missed_usd

    @property
    def usd_per_hour(self) -> float:
        return self.total_usd / self.hours

    @property
    def savings_share(self) -> float:
        """1 - total / what the required replicas cost on demand; negative where spot is the dearer way."""
        return 1 - self.total_usd / self.on_demand_only_usd if self.on_demand_only_usd else 0.0


def simulate_policy(traces: Trace | tuple[Trace, ...], policy: Policy, service: Service) -> SpotOutcome:
    """One policy on a trace, or on several zones' traces, cut to the shortest. See `simulate_policies`."""
    return simulate_policies(traces, (policy,), service)[0]


def simulate_policies(
    traces: Trace | tuple[Trace, ...], policies, service: Service
) -> tuple[SpotOutcome, ...]:
    """Several policies at once on the same traces, which costs little more than one.

    Asked of several zones, spot replicas are spread evenly over those that have room, and move back with a
    new one ready before the old one stops.

    The fleet is warm at the start: what lives in the first tick was ready before it. An on-demand replica
    can always be had. Instances go youngest first. ValueError where ticks differ, or nothing is given.
    """
    available, gap_s = _stacked(traces)
    policies = tuple(policies)
    if not policies:
        raise ValueError("policies is empty: at least one policy is needed")
    wanted = np.array([policy.spot_replicas for policy in policies], dtype=np.int16)
    floor = np.array([policy.floor_replicas for policy in policies], dtype=np.int16)[:, None]
    falls_back = np.array([policy.falls_back for policy in policies])[:, None]
    required = np.int16(service.required_replicas)

    # A fallback starts with the notice: `lead_s` ahead of the loss, and so billed for as much more.
    lead_s = min(service.grace_s, service.cold_start_s)
    cold_ticks, cold_rest_s = _ticks_and_rest(service.cold_start_s, gap_s)
    wait_ticks, wait_rest_s = _ticks_and_rest(service.cold_start_s - lead_s, gap_s)

    # Nothing moves once capacity has held still for as long as the windows below look back: a calm stretch
    # is cut to that many ticks, and its last one weighs as much as those left out.
    available, lengths = _runs(available)
    kept = np.minimum(lengths, 2 * cold_ticks + wait_ticks + 4)
    weights = np.ones(kept.sum())
    weights[np.cumsum(kept) - 1] += lengths - kept
    alive = np.repeat(_spread(available, wanted), kept, axis=-1)
    available = np.repeat(available, kept, axis=-1)
    if len(available) > 1:
        # Moving back: the old replica runs until the new one is ready, unless its zone takes it.
        alive = np.minimum(_running(np.maximum, alive, cold_ticks + (cold_rest_s > 0)), available)
    lost = np.maximum(alive[..., :-1] - available[:, 1:], 0).sum(axis=(1, 2), dtype=np.int64)

    # Ready spot replicas have lived through a cold start. In each tick, those that started `cold_ticks`
    # before become ready `cold_rest_s` into it: `early` until then, `late` after.
    late = _running(np.minimum, alive, cold_ticks).sum(axis=1, dtype=np.int16)
    early = _running(np.minimum, alive, cold_ticks + 1).sum(axis=1, dtype=np.int16) if cold_rest_s else late
    need_early, need_late = (
        np.where(falls_back, np.maximum(required - floor - ready, 0), np.int16(0)) for ready in (early, late)
    )
    launches = np.maximum(need_early[:, 1:] - need_late[:, :-1], 0).sum(axis=1, dtype=np.int64)

    ready_s, short_s, enough_s, fallback_s = np.zeros((4, len(policies)))
    for start_s, end_s in pairwise(sorted({0.0, cold_rest_s, wait_rest_s, gap_s})):
        seconds = (end_s - start_s) * weights
        ready, need = (early, need_early) if start_s < cold_rest_s else (late, need_late)
        standing = np.minimum(need, _before(need_late, wait_ticks + (start_s < wait_rest_s)))
        ready = floor + ready + standing
        missing = np.maximum(required - ready, 0)
        ready_s += ready @ seconds
        short_s += missing @ seconds
        enough_s += (missing == 0) @ seconds
        fallback_s += need @ seconds
    spot_s = alive.sum(axis=1, dtype=np.int16) @ weights * gap_s
    fallback_s += lead_s * launches
    total_s = float(lengths.sum()) * gap_s
    return tuple(
        _outcome(policy, service, total_s, *parts)
        for policy, *parts in zip(policies, spot_s, fallback_s, ready_s, short_s, enough_s, lost, strict=True)
    )


def _outcome(policy, service, total_s, spot_s, fallback_s, ready_s, short_s, enough_s, lost) -> SpotOutcome:
    hours = total_s / 3600
    spot_h, fallback_h, floor_h = spot_s / 3600, fallback_s / 3600, policy.floor_replicas * hours
    per_replica = service.requests_per_s / service.required_replicas
    # Under notice, new requests go to the other replicas; running ones that outlast it are cut off.
    cut_off_s = max(0.0, service.request_s - service.grace_s)
    offered = service.requests_per_s * total_s
    missed = min(offered, per_replica * (short_s + lost * cut_off_s))
    return SpotOutcome(
        policy=policy,
        hours=hours,
        availability=float(enough_s / total_s),
        spot_replica_hours=float(spot_h),
        floor_replica_hours=float(floor_h),
        fallback_replica_hours=float(fallback_h),
        ready_replica_hours=float(ready_s / 3600),
        idle_replica_hours=float(spot_h + floor_h + fallback_h - ready_s / 3600),
        short_replica_hours=float(short_s / 3600),
        lost_work_replica_hours=float(lost) * lost_work_s(service.request_s, service.grace_s) / 3600,
        preemptions=int(lost),
        missed_requests=float(missed),
        missed_share=float(missed / offered) if offered else 0.0,
        spot_usd=float(spot_h * service.spot_usd_per_hour),
        on_demand_usd=float((floor_h + fallback_h) * service.on_demand_usd_per_hour),
        missed_usd=float(missed * service.usd_per_missed_request),
        on_demand_only_usd=service.required_replicas * hours * service.on_demand_usd_per_hour,
    )


def lost_work_s(request_s: float, grace_s: float) -> float:
    """Mean seconds of a busy replica's work that one preemption wastes: (d² - g²) / 2d, none where d <= g.

    A request of length d has u, uniform in (0, d), left to run when notice comes. It is lost where u > g,
    after d - u + g of work: the mean over u is (d - g)/d times (d + g)/2. Own derivation.
    """
    check_range("request_s", request_s, 0, 86_400)
    check_range("grace_s", grace_s, 0, 86_400)
    if request_s <= grace_s:
        return 0.0
    return (request_s**2 - grace_s**2) / (2 * request_s)


def _stacked(traces) -> tuple[np.ndarray, float]:
    """Instances that can be had, by zone and tick."""
    traces = (traces,) if isinstance(traces, Trace) else tuple(traces)
    if not 1 <= len(traces) <= MOST_ZONES:
        raise ValueError(f"traces holds {len(traces)} traces: 1 to {MOST_ZONES} are needed")
    gaps = {trace.gap_s for trace in traces}
    if len(gaps) > 1:
        raise ValueError(f"traces have ticks of {sorted(gaps)} s: equally long ticks are needed")
    ticks = min(len(trace.alive) for trace in traces)
    return np.stack([trace.alive[:ticks] for trace in traces]), gaps.pop()


def _ticks_and_rest(seconds: float, gap_s: float) -> tuple[int, float]:
    ticks, rest_s = divmod(seconds, gap_s)
    return int(ticks), rest_s


def _runs(available: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns without those that repeat the one before, and how many ticks each stands for."""
    starts = np.flatnonzero(np.any(available[:, 1:] != available[:, :-1], axis=0)) + 1
    bounds = np.concatenate(([0], starts, [available.shape[1]]))
    return available[:, bounds[:-1]], np.diff(bounds)


def _spread(available: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Spot replicas by policy, zone and column: `wanted`, evenly over the zones as far as they have room."""
    wanted = wanted[:, None]
    level, placed = np.zeros((2, len(wanted), available.shape[1]), dtype=np.int16)
    for height in range(1, int(min(available.max(), wanted.max())) + 1):
        total = np.minimum(available, np.int16(height)).sum(axis=0, dtype=np.int16)
        fits = total <= wanted
        level += fits
        placed = np.where(fits, total, placed)
    spread = np.minimum(available, level[:, None])
    # What doesn't divide evenly goes to the first zones that have room.
    left = wanted - placed
    for zone, room in enumerate(available):
        one_more = (room > level) & (left > 0)
        spread[:, zone] += one_more
        left = left - one_more
    return spread


def _running(pick, values: np.ndarray, back: int) -> np.ndarray:
    """`pick` (np.minimum or np.maximum) over this tick and the `back` before it, in log2(back) passes."""
    have, span = 1, min(back, values.shape[-1]) + 1
    while have < span:
        shift = min(have, span - have)
        longer = values.copy()
        pick(values[..., shift:], values[..., :-shift], out=longer[..., shift:])
        values, have = longer, have + shift
    return values


def _before(need: np.ndarray, ticks: int) -> np.ndarray:
    """Least `need` over the `ticks` before each one: what has been on long enough. No ticks: no limit."""
    if ticks == 0:
        return np.full_like(need, np.iinfo(need.dtype).max)
    least = _running(np.minimum, need, ticks - 1)
    return np.concatenate([need[:, :1], least[:, :-1]], axis=1)
