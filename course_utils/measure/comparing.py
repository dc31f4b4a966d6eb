"""Which is faster? Take turns, look at each pair's ratio, name a winner only if the samples show one.

Two runs one after the other differ because the machine does: it warms up, throttles, works for somebody
else. Functions that take turns share those conditions, so the ratio within a turn is steadier than either
time. The order within a turn is random, because going first can be an advantage.
Taught in: chapter 00.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from course_utils.measure.intervals import median_interval, samples_for
from course_utils.measure.timing import Clock, Runner, Timing, check_sampling, collector_off


@dataclass(frozen=True)
class Ratio:
    """`name` takes `median` times as long as `reference`: the median over the turns, with its interval."""

    name: str
    reference: str
    median: float
    lo: float
    hi: float
    confidence: float
    pairs: int

    @property
    def shown(self) -> bool:
        """Whether the samples show a difference: the interval lies on one side of 1."""
        return not self.lo <= 1 <= self.hi

    def inverse(self) -> "Ratio":
        return Ratio(
            self.reference,
            self.name,
            1 / self.median,
            1 / self.hi,
            1 / self.lo,
            self.confidence,
            self.pairs,
        )

    def __str__(self) -> str:
        digits = _digits(self.lo, self.hi)
        return (
            f"{self.name} takes {self.median:.{digits}f} times as long as {self.reference} "
            f"({self.confidence * 100:.0f} % interval {self.lo:.{digits}f} to {self.hi:.{digits}f}, "
            f"{self.pairs} pairs)"
        )


@dataclass(frozen=True)
class Comparison:
    """`winner` is a name, or None where the samples don't show one; `verdict` says it in a sentence.

    `timings` by name; `ratios` of every pair, the later name over the earlier.
    """

    timings: Mapping[str, Timing] = field(repr=False)
    ratios: tuple[Ratio, ...] = field(repr=False)
    winner: str | None
    verdict: str

    def ratio(self, name: str, reference: str) -> Ratio:
        """How many times as long `name` takes as `reference`. ValueError for a name that wasn't compared."""
        for one in self.ratios:
            if (one.name, one.reference) == (name, reference):
                return one
            if (one.reference, one.name) == (name, reference):
                return one.inverse()
        raise ValueError(f"{name!r} over {reference!r} was not compared; compared: {', '.join(self.timings)}")

    def __str__(self) -> str:
        width = max(map(len, self.timings))
        lines = [f"{name:{width}}  {timing}" for name, timing in self.timings.items()]
        return "\n".join([*lines, self.verdict])


def compare(
    fns: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 25,
    warmup: int | None = None,
    synchronize: Callable[[], object] | None = None,
    max_seconds: float = 20.0,
    confidence: float = 0.95,
    seed: int = 0,
    clock: Clock = time.perf_counter_ns,
) -> Comparison:
    """Time two or more functions in turns and name the fastest, if the samples show that it is.

    `repeats` is the number of turns; every function has its sample in each, in an order drawn from `seed`.
    The other arguments are those of `time_call`. ValueError for fewer than two functions.
    """
    check_sampling(repeats, warmup, max_seconds, confidence)
    _check_names(fns)
    with collector_off():
        runners = {
            name: Runner(fn, warmup, None, synchronize, max_seconds / len(fns), clock)
            for name, fn in fns.items()
        }
        order, names, samples = random.Random(seed), list(fns), {name: [] for name in fns}
        started, turns = clock(), 0
        while turns < repeats and (not turns or clock() - started < max_seconds * 1e9):
            for name in order.sample(names, len(names)):
                samples[name].append(runners[name].sample_s())
            turns += 1
    timings = {name: runners[name].timing(samples[name], confidence) for name in fns}
    return judge(timings, confidence)


def judge(timings: Mapping[str, Timing], confidence: float = 0.95) -> Comparison:
    """The verdict on timings whose samples were taken in the same turns (the first of each in turn one, …).

    With more than two functions each pair's interval is wider (Bonferroni), so that all of them hold together
    with `confidence`. ValueError where the numbers of samples differ, or a sample is not above 0.
    """
    _check_names(timings)
    pairs = list(combinations(timings, 2))
    each = 1 - (1 - confidence) / len(pairs)
    ratios = tuple(
        _ratio(later, earlier, timings[later].samples_s, timings[earlier].samples_s, each)
        for earlier, later in pairs
    )
    if ratios[0].confidence < each:
        verdict = (
            f"No winner named: {ratios[0].pairs} pairs are too few for a {confidence * 100:g} % interval; "
            f"it takes {samples_for(each)}."
        )
        return Comparison(timings, ratios, None, verdict)
    # Judged by the ratios, not by each function's own median: that moves with the machine.
    compared = Comparison(timings, ratios, None, "")
    against = {name: [compared.ratio(other, name) for other in timings if other != name] for name in timings}
    best = max(timings, key=lambda name: min(one.lo for one in against[name]))
    closest = min(against[best], key=lambda one: one.lo)
    if closest.lo > 1:
        return Comparison(timings, ratios, best, f"{best} is faster: {closest}.")
    return Comparison(timings, ratios, None, _refusal(closest))


def pairs_needed(ratio: Ratio) -> int | None:
    """About how many pairs would show a difference as large as the one seen; None if none was seen.

    An interval narrows with the square root of the number of pairs, so that its half-width, in log, has to
    fall to the distance of the median from 1. Half of such runs would still show nothing.
    """
    distance = abs(math.log(ratio.median))
    if distance == 0:
        return None
    half_width = (math.log(ratio.hi) - math.log(ratio.lo)) / 2
    return max(ratio.pairs + 1, math.ceil(ratio.pairs * (half_width / distance) ** 2))


def _ratio(
    name: str, reference: str, top: Sequence[float], bottom: Sequence[float], confidence: float
) -> Ratio:
    if len(top) != len(bottom):
        raise ValueError(
            f"{name!r} has {len(top)} samples and {reference!r} {len(bottom)}; pairs need as many of each"
        )
    for one, samples in ((name, top), (reference, bottom)):
        if not min(samples) > 0:
            raise ValueError(f"a sample of {one!r} is {min(samples)} s, expected above 0")
    # In log, the interval of a/b is that of b/a turned over: neither name is favoured.
    logs = median_interval([math.log(a / b) for a, b in zip(top, bottom, strict=True)], confidence)
    median, low, high = (math.exp(value) for value in (logs.median, logs.low, logs.high))
    return Ratio(name, reference, median, low, high, logs.confidence, logs.samples)


def _refusal(ratio: Ratio) -> str:
    digits = _digits(ratio.lo, ratio.hi)
    opening = (
        f"No difference shown: {ratio.name} takes {ratio.lo:.{digits}f} to {ratio.hi:.{digits}f} times "
        f"as long as {ratio.reference} ({ratio.confidence * 100:.0f} % interval, {ratio.pairs} pairs)"
    )
    needed = pairs_needed(ratio)
    if needed is None:
        return f"{opening}, and the medians are equal."
    seen = f"{abs(ratio.median - 1) * 100:.2g} %"
    if needed > 10_000:
        return f"{opening}; the {seen} seen would need more than 10,000 pairs to show."
    rounded = math.ceil(needed / (step := 10 ** max(0, len(str(needed)) - 2))) * step
    return f"{opening}; a difference of the {seen} seen needs about {rounded:,} pairs to show."


def _digits(lo: float, hi: float) -> int:
    """Decimals that show an interval's width, and its distance from 1 where it has one: 2 to 5."""
    gaps = [hi - lo] if lo <= 1 <= hi else [hi - lo, abs(lo - 1), abs(hi - 1)]
    smallest = min((gap for gap in gaps if gap > 0), default=1.0)
    return min(5, max(2, math.ceil(-math.log10(smallest / 2))))


def _check_names(compared: Mapping) -> None:
    if len(compared) < 2:
        raise ValueError(f"fns has {len(compared)} functions, expected at least two to compare")
