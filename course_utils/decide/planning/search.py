"""From thousands of candidates to those worth simulating: by the least that each can cost, cheapest first.

A candidate is passed over only when the least that it can cost is no less than what a confirmed one does cost: of its
own way, so that it is a worse setting of the same, or of all that is wanted. Everything cheaper has been simulated by
then, which is why the winner is that of an exhaustive search.
Taught in: chapter 12.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from course_utils.decide.planning.candidates import Candidates, Replica, Requirements, Space
from course_utils.decide.planning.confirming import (
    Sized,
    Stopped,
    Trial,
    Trials,
    autoscaled,
    smaller,
    smallest,
)
from course_utils.decide.planning.demand import Demand, demand
from course_utils.decide.planning.screening import Floors, floors
from course_utils.decide.planning.supply import Bill, Supply, Use

# Simulations of one plan: 10 s or so for an hour of a busy chat. Then it stops, and says what it isn't sure of.
MOST_SIMULATIONS = 600
Way = tuple[str, str, str, str]

# Why a candidate isn't simulated.
OPEN, QUALITY, TPOT, TTFT = range(4)


@dataclass(frozen=True, eq=False)
class Screened:
    """Arrays over candidates: which constraint a floor breaks (OPEN: none), and the least US dollars a month."""

    floors: Floors
    broken: np.ndarray
    least_usd: np.ndarray


@dataclass(frozen=True)
class Found:
    """A candidate that holds: its fleet and what it costs."""

    at: int
    sized: Sized
    bill: Bill


def screened(found: Candidates, asked: Demand, requirements: Requirements, space: Space) -> Screened:
    """Floors of all candidates at once."""
    bounds = floors(found, asked, requirements)
    rush = bounds if asked.stretch is asked.traffic else floors(found, demand(asked.stretch), requirements)
    broken = np.full(len(found), OPEN)
    late_first = (bounds.ttft_p95_s > requirements.ttft_s)[found.replica]
    late_next = (bounds.tpot_p95_s > requirements.tpot_s)[found.replica]
    worse = np.array([bool(quality_problem(one, requirements, space)) for one in found.replicas], bool)
    broken[late_first] = TTFT
    broken[late_next] = TPOT
    broken[worse[found.replica]] = QUALITY
    return Screened(bounds, broken, _least_usd(found, bounds.busy_replicas, rush.busy_replicas, asked))


def _least_usd(found: Candidates, busy: np.ndarray, rush: np.ndarray, asked: Demand) -> np.ndarray:
    usd = np.empty(len(found))
    floor = least_scaled(asked)
    for one, replica in enumerate(found.replicas):
        mine = np.flatnonzero(found.replica == one)
        for way, supply in enumerate(replica.supplies):
            rows = mine[found.supply[mine] == way]
            limits = found.batch_limit[rows]
            needed = (
                np.maximum(busy[one, limits], floor) if supply.scaled else np.maximum(rush, busy)[one, limits]
            )
            usd[rows] = supply.least_usd(needed)
    return usd


def least_scaled(asked: Demand) -> int:
    """Replicas that an autoscaler never gives up: none where the trace has gaps in which nobody needs one."""
    return 0 if asked.gap_s else 1


def quality_problem(one: Replica, requirements: Requirements, space: Space) -> str:
    """Which limit on quality this replica misses, and by how much; nothing where it holds."""
    allowed, quality = requirements.max_quality_loss, one.quality
    if allowed is not None:
        if quality.loss is None:
            return f"quality unknown: {quality.basis[0]}, and {allowed:.1%} may be lost at most"
        if quality.hi > allowed:
            reach = (
                f"loses up to {quality.hi:.1%}" if quality.hi > quality.loss else f"loses {quality.loss:.1%}"
            )
            return f"quality: {reach} ({quality.evidence}), {allowed:.1%} may be lost: {quality.hi - allowed:.1%} over"
    if requirements.min_quality is not None:
        name = one.deployment.recipe.name
        score = space.score(f"{one.model}/{name}", one.model)
        if score is None:
            return f"quality: no score given for {one.model}/{name}, and {requirements.min_quality:g} is asked for"
        if score < requirements.min_quality:
            return f"quality: scores {score:g}, {requirements.min_quality - score:g} below {requirements.min_quality:g}"
    return ""


class Search:
    """Confirms candidates, cheapest bound first, until nothing cheaper can be left.

    `found` holds what was confirmed, `stopped` what was given up, by candidate; the others cost too much to look at.
    `best` holds the least US dollars a month by way. `unsure`: candidates that weren't simulated for want of
    simulations, though they might cost less than the winner.
    """

    def __init__(self, candidates: Candidates, bounds: Screened, asked: Demand, space: Space, trials: Trials):
        self.candidates, self.bounds, self.asked = candidates, bounds, asked
        self.space, self.trials = space, trials
        self.found: dict[int, Found] = {}
        self.stopped: dict[int, Stopped] = {}
        self.best: dict[Way, float] = {}
        self.unsure = 0
        self._best_of_class: dict[tuple[str, str], float] = {}
        self._settled: set[Way] = set()
        self._wanted_usd = math.inf
        self._hopeless: set[tuple[int, int]] = set()

    def run(
        self,
        top: int,
        most_simulations: int = MOST_SIMULATIONS,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Until the cheapest of each model and precision, and the `top` cheapest ways, are sure.

        First the most promising setting of every way, so that the others have something to beat; then all the rest, as
        long as simulations are left: `unsure` counts what might have been cheaper than the winner.
        """
        still_open = np.flatnonzero(self.bounds.broken == OPEN)
        order = still_open[np.argsort(self.bounds.least_usd[still_open], kind="stable")].tolist()
        firsts = list({self.way_of(at): at for at in reversed(order)}.values())[::-1]
        for done, at in enumerate([*firsts, *order]):
            if progress:
                progress(done, len(firsts) + len(order))
            worth = self._worth_usd(at)
            if at in self.found or self.bounds.least_usd[at] >= worth or self._is_hopeless(at):
                continue
            if self.trials.count < most_simulations or done < len(firsts):
                self._confirm(at, worth, top)
            else:
                self.unsure += bool(self.bounds.least_usd[at] < min(self.best.values(), default=math.inf))
        if progress:
            progress(len(firsts) + len(order), len(firsts) + len(order))

    def _worth_usd(self, at: int) -> float:
        """Below how many US dollars a month this candidate would change the result."""
        way = self.way_of(at)
        best_of_class = self._best_of_class.get(way[:2], math.inf)
        wanted = max(self._wanted_usd, best_of_class)
        return min(self.best.get(way, best_of_class), wanted) if way in self._settled else wanted

    def way_of(self, at: int) -> Way:
        """What people call another way to do it: model, precision, chip, and how it is paid."""
        one = self._replica(at)
        return one.model, one.deployment.recipe.name, one.chip, self.candidates.supply_of(at).kind

    def _replica(self, at: int) -> Replica:
        return self.candidates.replicas[self.candidates.replica[at]]

    def _is_hopeless(self, at: int) -> bool:
        """Whether this replica is too late with its first tokens without a limit: with one, requests wait longer."""
        return (int(self.candidates.replica[at]), int(self.candidates.routing[at])) in self._hopeless

    def _confirm(self, at: int, worth: float, top: int) -> None:
        supply, way = self.candidates.supply_of(at), self.way_of(at)
        result = self.size(at, worth)
        if isinstance(result, Sized) or supply.scaled:
            self._settled.add(way)
        if isinstance(result, Stopped):
            self.stopped[at] = result
            if result.kind == "never" and result.trial.is_late_first:
                self._hopeless.add((int(self.candidates.replica[at]), int(self.candidates.routing[at])))
            return
        bill = supply.bill(self.month_of(result.trial))
        self.found[at] = Found(at, result, bill)
        for best, key in ((self.best, way), (self._best_of_class, way[:2])):
            best[key] = min(best.get(key, math.inf), bill.usd_per_month)
        costs = sorted(self.best.values())
        self._wanted_usd = costs[top - 1] if len(costs) >= top else math.inf

    def size(
        self, at: int, worth_usd: float = math.inf, factor: float = 1.0, at_least: int = 1
    ) -> Sized | Stopped:
        """The smallest fleet of this candidate that holds and costs less than `worth_usd`, of `at_least` replicas.

        `factor`: every step takes so many times as long.
        """
        one, supply = self._replica(at), self.candidates.supply_of(at)
        limit = self.candidates.batch_limits[self.candidates.batch_limit[at]]
        routing = self.candidates.routings[self.candidates.routing[at]]
        place = self.candidates.replica[at], self.candidates.batch_limit[at]
        busy = float(self.bounds.floors.busy_replicas[place]) * min(factor, 1.0)
        most = self.space.most_replicas
        least = min(max(at_least, math.ceil(busy - 1e-9)), most)

        def trial_of(replicas: int) -> Trial:
            return self.trials.fixed(one, limit, routing, replicas, factor)

        if not supply.scaled:
            holds = partial(_holds_at, supply)
            if math.isinf(worth_usd):
                return smallest(trial_of, holds, least, most, busy)
            worth = _most_worth(supply, worth_usd, most)
            return smaller(trial_of, holds, least, worth) if worth >= least else Stopped("dearer", least)
        fixed = smallest(trial_of, Trial.holds, least, most, busy)
        if isinstance(fixed, Stopped):
            return fixed
        start, floor = fixed.trial.use.peak, least_scaled(self.asked)
        scaled = autoscaled(
            lambda scaler: self.trials.scaled(one, limit, routing, scaler, start, factor),
            Trial.holds,
            fixed.trial,
            floor,
        )
        if isinstance(scaled, Sized) and self.month_of(scaled.trial).mean >= start:
            return Stopped("nothing", start, scaled.trial)
        return scaled

    def month_of(self, trial: Trial) -> Use:
        """Replicas over the month: as simulated, or, where only the rush was, in proportion to each hour's load."""
        use = trial.use
        if self.asked.stretch is self.asked.traffic or use.floor == use.peak:
            return use
        load = self.asked.load_by_minutes
        replicas = np.clip(np.ceil(use.mean * load - 1e-9), use.floor, use.peak).astype(int)
        counts = np.bincount(replicas, minlength=use.peak + 1)
        return Use(tuple(counts / counts.sum()), use.floor)


def _holds_at(supply: Supply, trial: Trial) -> bool:
    """Whether a fleet of so many holds where instances may be taken away."""
    return trial.holds(supply.bill(trial.use).short_share)


def _most_worth(supply: Supply, worth_usd: float, most: int) -> int:
    """The most replicas that cost less than `worth_usd` a month; 0 where one costs as much."""
    low, high = 0, 1
    while high <= most and supply.bill(Use.fixed(high)).usd_per_month < worth_usd:
        low, high = high, high * 2
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if supply.bill(Use.fixed(middle)).usd_per_month < worth_usd:
            low = middle
        else:
            high = middle
    return low
