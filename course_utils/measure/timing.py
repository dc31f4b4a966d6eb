"""How long does it take? Honestly: warmed up, synchronised, repeated, as a median with an interval.

    print(time_call(lambda: weights @ x))      # 4.21 ms (95 % interval 4.15 to 4.38 ms, 25 samples)

`compare` (written in `measure.comparing`, found here too) lets two or more functions take turns and says which is
faster, or that the samples don't show it.
Taught in: chapter 00.
"""

import contextlib
import gc
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import repeat

from course_utils.measure.intervals import check_confidence, median_interval

# A sample lasts at least this many ticks of the clock, so that reading it errs by 0.1 % at most.
MIN_TICKS = 1000
# Warm-up ends when a call is no longer a tenth faster than the fastest before it, or after this many.
MAX_WARMUP_CALLS = 10

Clock = Callable[[], int]  # nanoseconds, never backwards


@dataclass(frozen=True)
class Timing:
    """What one function took, in seconds per call.

    samples_s     one per sample, in the order taken; a sample is the mean of `calls` calls in a row
    lo_s, hi_s    interval of the median; `confidence` is what it reaches, less than asked with few samples
    warmup_s      the calls before the first sample, one by one: not part of anything else here
    """

    samples_s: tuple[float, ...] = field(repr=False)
    median_s: float
    lo_s: float
    hi_s: float
    confidence: float
    calls: int = 1
    warmup_s: tuple[float, ...] = field(default=(), repr=False)

    @property
    def fastest_s(self) -> float:
        """The sample that was disturbed least."""
        return min(self.samples_s)

    def __str__(self) -> str:
        count = len(self.samples_s)
        if count == 1:
            return f"{duration(self.median_s)} (1 sample, no interval)"
        scale, unit = _scale(self.median_s)
        each = f" of {self.calls} calls" if self.calls > 1 else ""
        return (
            f"{self.median_s / scale:.3g} {unit} ({self.confidence * 100:.0f} % interval "
            f"{self.lo_s / scale:.3g} to {self.hi_s / scale:.3g} {unit}, {count} samples{each})"
        )


def time_call(
    fn: Callable[[], object],
    *,
    repeats: int = 25,
    warmup: int | None = None,
    calls: int | None = None,
    synchronize: Callable[[], object] | None = None,
    max_seconds: float = 10.0,
    confidence: float = 0.95,
    clock: Clock = time.perf_counter_ns,
) -> Timing:
    """Time `fn()`; what it raises passes through.

    repeats      samples to take; fewer where `max_seconds` of sampling are over first, but never none
    warmup       calls to throw away first. None: until a call is no longer 10 % faster than the fastest
                 before it, at least 2 and at most 10
    calls        calls per sample. None: as many as make a sample last 1000 ticks of the clock (some 50 µs),
                 or 1 if `warmup` is 0, because finding out would warm up the function
    synchronize  called before the clock starts and again before it stops. None: torch.cuda.synchronize where
                 this process uses CUDA: a GPU call returns before its work is done
    clock        returns nanoseconds

    Calls within a sample are not synchronised one by one. The garbage collector is off during samples. A
    sample includes Python's own price of a call, some 50 ns. ValueError names a bad argument.
    """
    check_sampling(repeats, warmup, max_seconds, confidence)
    if calls is not None and calls < 1:
        raise ValueError(f"calls is {calls!r}, expected at least 1")
    with collector_off():
        runner = Runner(fn, warmup, calls, synchronize, max_seconds, clock)
        started, samples = clock(), []
        while len(samples) < repeats and (not samples or clock() - started < max_seconds * 1e9):
            samples.append(runner.sample_s())
    return runner.timing(samples, confidence)


class Runner:
    """One function, warmed up and with its calls per sample chosen: `sample_s()` takes the next sample."""

    def __init__(
        self,
        fn: Callable[[], object],
        warmup: int | None,
        calls: int | None,
        synchronize: Callable[[], object] | None,
        max_seconds: float,
        clock: Clock,
    ):
        self.fn, self.clock, self.calls = fn, clock, 1
        self._given = synchronize
        self.synchronize = synchronizer(synchronize)
        self.warmup_s = self._warm_up(warmup, max_seconds)
        self.synchronize = synchronizer(synchronize)  # the first call may have been the first to use CUDA
        self.calls = calls if calls is not None else self._enough_calls(warmup)

    def sample_s(self) -> float:
        """Seconds per call over `calls` calls."""
        fn, calls = self.fn, repeat(None, self.calls)
        self.synchronize()
        start = self.clock()
        for _ in calls:
            fn()
        self.synchronize()
        return (self.clock() - start) / self.calls / 1e9

    def timing(self, samples: list[float], confidence: float) -> Timing:
        mid = median_interval(samples, confidence)
        return Timing(
            tuple(samples), mid.median, mid.low, mid.high, mid.confidence, self.calls, tuple(self.warmup_s)
        )

    def _warm_up(self, warmup: int | None, max_seconds: float) -> list[float]:
        if warmup is not None:
            return [self.sample_s() for _ in range(warmup)]
        took = [self.sample_s()]
        # A fifth of the sampling time is enough for a function that takes seconds.
        while len(took) < MAX_WARMUP_CALLS and sum(took) < max_seconds / 5:
            took.append(self.sample_s())
            if took[-1] >= 0.9 * min(took[:-1]):
                break
        return took

    def _enough_calls(self, warmup: int | None) -> int:
        if warmup == 0:
            return 1
        enough_s = MIN_TICKS * clock_tick_ns(self.clock) / 1e9
        while True:
            took_s = self.sample_s() * self.calls
            if took_s >= enough_s or self.calls >= 10**7:
                return self.calls
            # At most ten times as many at once: one early sample may have been far too short.
            wanted = self.calls * enough_s / took_s if took_s > 0 else math.inf
            self.calls = math.ceil(min(self.calls * 10, wanted * 1.2))


def synchronizer(given: Callable[[], object] | None) -> Callable[[], object]:
    """What waits until the work is done: `given`, CUDA's where this process uses it, else nothing."""
    if given is not None:
        return given
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.synchronize
    return _nothing


def _nothing() -> None:
    pass


def clock_tick_ns(clock: Clock = time.perf_counter_ns) -> int:
    """The smallest step seen between two readings of the clock in a row; at least 1."""
    steps = []
    before = clock()
    for _ in range(200):
        now = clock()
        if now > before:
            steps.append(now - before)
        before = now
    return min(steps, default=1)


@contextlib.contextmanager
def collector_off():
    """Python's garbage collector doesn't run until the end, and is left as it was found."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def check_sampling(repeats: int, warmup: int | None, max_seconds: float, confidence: float) -> None:
    """ValueError that names the first of these that can't be."""
    if repeats < 1:
        raise ValueError(f"repeats is {repeats!r}, expected at least 1")
    if warmup is not None and warmup < 0:
        raise ValueError(f"warmup is {warmup!r}, expected at least 0, or None for automatic")
    if not max_seconds > 0:
        raise ValueError(f"max_seconds is {max_seconds!r}, expected above 0")
    check_confidence(confidence)


def duration(seconds: float) -> str:
    """`4.21 ms`: three significant digits in s, ms, µs or ns."""
    scale, unit = _scale(seconds)
    return f"{seconds / scale:.3g} {unit}"


def _scale(seconds: float) -> tuple[float, str]:
    units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
    return next((one for one in units if abs(seconds) >= one[0]), (1e-9, "ns"))


def __getattr__(name: str):
    if name in ("compare", "Comparison"):
        from course_utils.measure import comparing

        return getattr(comparing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
