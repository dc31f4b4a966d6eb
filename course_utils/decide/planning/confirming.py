"""Does it hold under this traffic? The smallest fleet whose percentiles do, found by simulating the trace.

More replicas never make a percentile worse, so the smallest number that holds is found by doubling and halving. A
fleet that no number of replicas makes fast enough shows itself: doubling it changes nothing any more.
Taught in: chapter 12.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from course_utils.decide.planning.candidates import Replica, Requirements
from course_utils.decide.planning.demand import MAY_MISS, Demand
from course_utils.decide.planning.supply import Use
from course_utils.scale.autoscaling import Autoscaler
from course_utils.scale.fleet import Fleet
from course_utils.scale.outcome import Outcome
from course_utils.scale.routing import Routing
from course_utils.scale.simulator import simulate
from course_utils.scale.step_times import StepTimes, step_times

# From asking for a machine until it serves, weights loaded: assumed, yours to change.
COLD_START_S = 180.0
# A quarter of the requests is simulated first, where that is so many: if in all more than this share is late then, the
# rest can't help. The margin above what may miss is for a request's neighbours, which a part of the trace lacks.
_PROBE_REQUESTS = 500
_HOPELESS = MAY_MISS * 1.2
# Doubling the fleet must improve what is missed by so much, or more replicas are no help.
_HELPS = 0.01
# Shares of the concurrency at which the fixed fleet holds that an autoscaler aims for, until one holds.
_TARGETS = (1.0, 0.7, 0.5)


@dataclass(frozen=True)
class Trial:
    """One simulated fleet: 95th percentiles (infinite where too few were served), shares of requests in time."""

    use: Use
    ttft_p95_s: float
    tpot_p95_s: float
    ttft_in_time: float
    tpot_in_time: float
    hit_share: float
    concurrency: float
    most_at_once: int
    preempted: bool

    def holds(self, short_share: float = 0.0) -> bool:
        """Whether enough requests are in time, if those that come while instances are short are all late."""
        return self.in_time * (1 - short_share) >= 1 - MAY_MISS

    @property
    def is_late_first(self) -> bool:
        """Whether first tokens are late and later ones in time, though no request lost its place."""
        enough = 1 - MAY_MISS
        return self.ttft_in_time < enough <= self.tpot_in_time and not self.preempted

    @property
    def in_time(self) -> float:
        return min(self.ttft_in_time, self.tpot_in_time)


class Trials:
    """Simulations of one demand, each made once. `factor` slows every step down: 1.2 takes a fifth longer."""

    def __init__(self, demand: Demand, requirements: Requirements, seed: int = 0):
        self.demand, self.requirements, self.seed = demand, requirements, seed
        self.count = 0
        self._times: dict[int, StepTimes] = {}
        self._made: dict[tuple, Trial] = {}

    def fixed(
        self, one: Replica, limit: int | None, routing: str, replicas: int, factor: float = 1.0
    ) -> Trial:
        """`replicas` of them all the time."""
        return self._trial(one, limit, routing if replicas > 1 else "round_robin", factor, replicas, None)

    def scaled(
        self,
        one: Replica,
        limit: int | None,
        routing: str,
        scaler: Autoscaler,
        start: int,
        factor: float = 1.0,
    ) -> Trial:
        """Between the autoscaler's bounds, `start` of them warm at the beginning."""
        return self._trial(one, limit, routing, factor, start, scaler)

    def _trial(self, one, limit, routing, factor, replicas, scaler) -> Trial:
        free = self._made.get((id(one), None, routing, factor, replicas, scaler))
        if free is not None and limit is not None and (free.most_at_once <= limit or free.is_late_first):
            return free  # the limit is never reached, or would make those wait longer that wait too long
        key = (id(one), limit, routing, factor, replicas, scaler)
        if key not in self._made:
            self.count += 1
            fleet = Fleet(
                self._limited(one, limit, factor),
                replicas,
                routing=Routing(routing),
                prefix_cache=one.prefix_cache,
                autoscaler=scaler,
                cold_start_s=COLD_START_S if scaler else 0.0,
            )
            self._made[key] = self._simulated(fleet)
        return self._made[key]

    def _simulated(self, fleet: Fleet) -> Trial:
        """The whole stretch; or only its beginning, where so many are late there that the rest can't make up for it."""
        stretch = self.demand.stretch
        if len(stretch) >= 4 * _PROBE_REQUESTS:
            probe = stretch.first(len(stretch) // 4)
            trial = self._read(simulate(probe, fleet, seed=self.seed), len(stretch))
            if trial.in_time < 1 - _HOPELESS:
                return trial
        return self._read(simulate(stretch, fleet, seed=self.seed), len(stretch))

    def _limited(self, one: Replica, limit: int | None, factor: float) -> StepTimes:
        if id(one) not in self._times:
            self._times[id(one)] = step_times(one.deployment)
        times = self._times[id(one)]
        if limit is not None and limit < times.max_running:
            times = replace(times, max_running=limit)
        return times if factor == 1.0 else slowed(times, factor)

    def _read(self, outcome: Outcome, requests: int) -> Trial:
        """Percentiles of those simulated, served or not; shares as if all others of `requests` were in time."""
        served, asked = outcome.finished, self.requirements
        ttft = np.where(served, outcome.ttft_s, np.inf)
        # What has one token has no second figure to miss.
        tpot = np.where(served, np.nan_to_num(outcome.tpot_s), np.inf)
        in_flight = _in_flight(outcome.traffic.arrived_s[served], outcome.e2e_s[served])
        several = outcome.traffic.output_tokens > 1
        return Trial(
            use=_use(outcome),
            ttft_p95_s=_p95(ttft),
            tpot_p95_s=_p95(tpot[several]) if several.any() else 0.0,
            ttft_in_time=1 - float((ttft > asked.ttft_s).sum()) / requests,
            tpot_in_time=1 - float((tpot > asked.tpot_s).sum()) / requests,
            hit_share=outcome.hit_share,
            concurrency=_p95(in_flight) if len(in_flight) else 0.0,
            most_at_once=int(in_flight.max(initial=0)),
            preempted=bool(outcome.preemptions.any()),
        )


def slowed(times: StepTimes, factor: float) -> StepTimes:
    """Every part of a step takes `factor` times as long; what passes before a request is scheduled stays."""
    return replace(
        times,
        decode_s=times.decode_s * factor,
        mixed_s=times.mixed_s * factor,
        cache_s_per_token=times.cache_s_per_token * factor,
        sequence_s=times.sequence_s * factor,
        attention_s_per_pair=times.attention_s_per_pair * factor,
    )


def _p95(values: np.ndarray) -> float:
    return float(np.quantile(values, 1 - MAY_MISS, method="higher"))


def _in_flight(arrived_s: np.ndarray, e2e_s: np.ndarray) -> np.ndarray:
    """Requests that each arrival finds in flight, itself included."""
    ended = np.sort(arrived_s + e2e_s)
    return np.arange(1, len(arrived_s) + 1) - np.searchsorted(ended, arrived_s, side="right")


def _use(outcome: Outcome) -> Use:
    """Machines billed over the run, weighted by time."""
    scaler = outcome.fleet.autoscaler
    if scaler is None:
        return Use.fixed(outcome.fleet.replicas)
    # A machine's end takes one away, its launch adds one; both at once leave the count.
    times = np.concatenate((outcome.launched_s, outcome.machine_ended_s))
    change = np.repeat((1, -1), (len(outcome.launched_s), len(outcome.machine_ended_s)))
    order = np.argsort(times, kind="stable")
    billed = np.cumsum(change[order])[:-1]
    seconds = np.bincount(billed, np.diff(times[order]))
    return Use(tuple(seconds / seconds.sum()), scaler.min_replicas)


@dataclass(frozen=True)
class Sized:
    """A fleet that holds: what was simulated, and how it scales (None: a fixed number)."""

    trial: Trial
    scaler: Autoscaler | None = None


@dataclass(frozen=True)
class Stopped:
    """Why no fleet was sized. `kind`: "dearer" (not worth it from `replicas` on), "never" (no number helps), or
    "nothing" (an autoscaler would save nothing of so many)."""

    kind: str
    replicas: int
    trial: Trial | None = None


def smallest(
    trial_of: Callable[[int], Trial],
    holds: Callable[[Trial], bool],
    least: int,
    most: int,
    busy: float = 0.0,
) -> Sized | Stopped:
    """The smallest number of replicas from `least` to `most` that holds, by doubling the step, then halving.

    `busy`: replicas that are at work on average, whatever happens; far above it, more must help or nothing does.
    """
    failed, step, last = least - 1, 1, None
    replicas = least
    while not holds(trial := trial_of(replicas)):
        helped = last is None or trial.in_time >= last.in_time + _HELPS
        if replicas >= most or (replicas > 4 * busy + 2 and not helped):
            return Stopped("never", replicas, trial)
        failed, last = replicas, trial
        replicas, step = min(replicas + step, most), step * 2
    return _halved(trial_of, holds, failed, trial)


def smaller(
    trial_of: Callable[[int], Trial], holds: Callable[[Trial], bool], least: int, most: int
) -> Sized | Stopped:
    """The smallest number from `least` to `most`, where more isn't worth it: if `most` doesn't hold, fewer don't."""
    trial = trial_of(most)
    if not holds(trial):
        return Stopped("dearer", most + 1, trial)
    return _halved(trial_of, holds, least - 1, trial)


def _halved(trial_of, holds, failed: int, held: Trial) -> Sized:
    """Between a number that fails, or that can't hold, and one that holds."""
    while held.use.peak - failed > 1:
        middle = (failed + held.use.peak) // 2
        tried = trial_of(middle)
        if holds(tried):
            held = tried
        else:
            failed = middle
    return Sized(held)


def autoscaled(
    trial_of: Callable[[Autoscaler], Trial],
    holds: Callable[[Trial], bool],
    fixed: Trial,
    least: int,
) -> Sized | Stopped:
    """An autoscaler that holds where `fixed` is the smallest fixed fleet that does: on requests per replica, from the
    number at which the fixed fleet holds in its busy moments, downwards."""
    replicas = fixed.use.peak
    if replicas <= least:
        return Stopped("nothing", replicas, fixed)
    trial = None
    for share in _TARGETS:
        target = max(fixed.concurrency / replicas * share, 1.0)
        scaler = Autoscaler("concurrency", target, min_replicas=least, max_replicas=2 * replicas)
        trial = trial_of(scaler)
        if holds(trial):
            return Sized(trial, scaler)
    return Stopped("never", 2 * replicas, trial)
