"""When requests arrive: at random, more or less evenly, in bursts, or with the day.

Each function takes either `duration_s` or `requests` and returns sorted seconds from 0 on. Same seed, same times.

Sources: Fischer, Meier-Hellstern, "The Markov-modulated Poisson process (MMPP) cookbook", Performance Evaluation 18
(1993), section 2 (two states, variance of counts); Lewis, Shedler, "Simulation of nonhomogeneous Poisson processes
by thinning", Naval Research Logistics 26 (1979).
Taught in: chapter 09.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

# Gaps drawn at once: enough for numpy to be quick, few enough (0.5 MB) for a short load to be quick as well.
_CHUNK = 65_536
DAY_S = 86_400.0
# Bursts are counted over about as long as a request is served: shorter ones, a queue doesn't feel.
_SERVED_S = 10.0


def poisson_arrivals(
    rate_per_s: float, *, duration_s: float | None = None, requests: int | None = None, seed: int = 0
) -> np.ndarray:
    """Independent users: gaps are exponential, and the next arrival doesn't depend on the last. Seconds [requests]."""
    return gamma_arrivals(rate_per_s, 1.0, duration_s=duration_s, requests=requests, seed=seed)


def gamma_arrivals(
    rate_per_s: float,
    cv: float,
    *,
    duration_s: float | None = None,
    requests: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Independent gaps with a coefficient of variation of `cv`: below 1 steadier than Poisson, above 1 rougher.

    Seconds [requests]. ValueError for a rate or cv that isn't above 0.
    """
    _refuse_unless_positive(rate_per_s=rate_per_s, cv=cv)
    rng = np.random.default_rng(seed)

    def chunks() -> Iterator[tuple[np.ndarray, float]]:
        at_s = 0.0
        while True:
            if cv == 1:
                gaps = rng.exponential(1 / rate_per_s, _CHUNK)
            else:
                gaps = rng.gamma(cv**-2, cv**2 / rate_per_s, _CHUNK)
            times = at_s + np.cumsum(gaps)
            at_s = float(times[-1])
            yield times, at_s

    return _taken(chunks(), duration_s, requests)


@dataclass(frozen=True)
class Bursts:
    """A load that jumps between a calm and a busy rate and stays in each for an exponential time (MMPP of two states).

    rate_per_s: mean over all time. burst_factor: the busy rate in units of the mean, 1 or more. burst_share: share of
    time that is busy, between 0 and 1. burst_s: mean length of a burst. The calm rate follows, and is 0 or more where
    burst_factor x burst_share is at most 1.
    """

    rate_per_s: float
    burst_factor: float
    burst_share: float
    burst_s: float

    def __post_init__(self):
        _refuse_unless_positive(rate_per_s=self.rate_per_s, burst_s=self.burst_s)
        if not 0 < self.burst_share < 1:
            raise ValueError(f"burst_share={self.burst_share!r}: a share of time between 0 and 1 is needed")
        if not 1 <= self.burst_factor <= (1 + 1e-9) / self.burst_share:
            raise ValueError(
                f"burst_factor={self.burst_factor!r}: 1 to {1 / self.burst_share:.4g} is needed, for at a burst_share "
                f"of {self.burst_share:g} the calm rate would be below 0"
            )

    @property
    def calm_per_s(self) -> float:
        calm_share = 1 - self.burst_share
        return max(0.0, self.rate_per_s * (1 - self.burst_factor * self.burst_share) / calm_share)

    @property
    def busy_per_s(self) -> float:
        return self.rate_per_s * self.burst_factor

    @property
    def calm_s(self) -> float:
        """Mean time between two bursts."""
        return self.burst_s * (1 - self.burst_share) / self.burst_share

    def dispersion(self, window_s):
        """Variance over mean of the arrivals in a window (scalar or array, seconds): 1 for Poisson, and for short ones.

        1 + 2 v / (m r) (1 - (1 - e^(-r t)) / (r t)), with v the variance of the rate, m its mean, and r the speed at
        which it forgets: 1 / burst_s + 1 / calm_s.
        """
        t = np.asarray(window_s, dtype=float)
        forget = 1 / self.burst_s + 1 / self.calm_s
        spread = self.burst_share * (1 - self.burst_share) * (self.busy_per_s - self.calm_per_s) ** 2
        return 1 + 2 * spread / (self.rate_per_s * forget) * (1 + np.expm1(-forget * t) / (forget * t))


def bursty_arrivals(
    bursts: Bursts, *, duration_s: float | None = None, requests: int | None = None, seed: int = 0
) -> np.ndarray:
    """Arrivals of a load that jumps between calm and busy, from a random moment of it on. Seconds [requests]."""
    rng = np.random.default_rng(seed)
    requests_a_turn = bursts.rate_per_s * (bursts.burst_s + bursts.calm_s)
    stays_drawn = 2 * math.ceil(_CHUNK / requests_a_turn)

    def chunks() -> Iterator[tuple[np.ndarray, float]]:
        at_s, busy_first = 0.0, rng.random() < bursts.burst_share
        while True:
            busy = (np.arange(stays_drawn) % 2 == 0) == busy_first
            stays = rng.exponential(np.where(busy, bursts.burst_s, bursts.calm_s))
            starts = at_s + np.concatenate(([0.0], np.cumsum(stays)))
            counts = rng.poisson(np.where(busy, bursts.busy_per_s, bursts.calm_per_s) * stays)
            places = np.repeat(starts[:-1], counts) + rng.random(counts.sum()) * np.repeat(stays, counts)
            at_s = float(starts[-1])
            yield np.sort(places), at_s

    return _taken(chunks(), duration_s, requests)


def fit_bursts(arrived_s: np.ndarray, windows_s: tuple[float, ...] = (1, 3, 10, 30, 60, 120)) -> Bursts:
    """Bursts of the same mean rate, and of nearly the same variance of counts in all the windows, as `arrived_s`.

    Least squares on ln(dispersion - 1) give the variance of the rate and how fast it forgets; the skewness of counts
    in 10 s says how much of the time is busy. ValueError where the arrivals are no rougher than Poisson, or cover fewer
    than ten of the longest windows.
    """
    arrived_s = np.asarray(arrived_s, dtype=float) - np.min(arrived_s)
    if arrived_s.max() < 10 * max(windows_s):
        raise ValueError(
            f"arrived_s covers {arrived_s.max():.4g} s: ten times the longest of windows_s={windows_s!r} is needed"
        )
    rate = (arrived_s.size - 1) / arrived_s.max()
    t = np.array(windows_s, dtype=float)
    excess = np.array([index_of_dispersion(arrived_s, window) for window in (*t, _SERVED_S)]) - 1
    if excess.min() <= 0:
        raise ValueError(
            f"arrived_s: a dispersion of {excess.min() + 1:.3g} is no burst; use poisson_arrivals"
        )

    def logs(forget: float) -> np.ndarray:
        return np.log(excess[:-1] / (2 / forget * (1 + np.expm1(-forget * t) / (forget * t))))

    # For each speed of forgetting the best variance is the mean of the logs, so that one dimension is left.
    forgets = np.geomspace(1e-4, 10, 2001)
    forget = min(forgets, key=lambda one: logs(one).var())
    spread = rate * float(np.exp(logs(forget).mean()))

    counts = np.bincount((arrived_s // _SERVED_S).astype(np.int64))[:-1].astype(float)
    centred = counts - counts.mean()
    # What is left of variance and third moment without Poisson's own, per second.
    variance = (np.mean(centred**2) - counts.mean()) / _SERVED_S**2
    third = (np.mean(centred**3) - 3 * np.mean(centred**2) + 2 * counts.mean()) / _SERVED_S**3
    skewness = third / variance**1.5
    # The calm rate is 0 or more up to the share where spread = rate² (1 - share) / share.
    share = min((1 - skewness / math.hypot(2, skewness)) / 2, rate**2 / (rate**2 + spread))
    factor = 1 + math.sqrt(spread * (1 - share) / share) / rate
    return Bursts(rate, factor, share, 1 / (forget * (1 - share)))


def diurnal_arrivals(
    rate_per_s: float,
    *,
    peak_to_mean: float = 1.8,
    peak_hour: float = 15.0,
    duration_s: float | None = None,
    requests: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Poisson arrivals whose rate swings with the day, from midnight on. Seconds [requests].

    rate_per_s: mean of a day. The rate is a cosine with its top at `peak_hour`; the shape is assumed. peak_to_mean
    from 1 (no swing) to 2 (nobody twelve hours after the peak).
    """
    _refuse_unless_positive(rate_per_s=rate_per_s)
    if not 1 <= peak_to_mean <= 2:
        raise ValueError(f"peak_to_mean={peak_to_mean!r}: 1 to 2 is needed; a cosine can't swing below 0")
    if not 0 <= peak_hour < 24:
        raise ValueError(f"peak_hour={peak_hour!r}: an hour of the day, 0 to below 24, is needed")

    def rate_at(t_s: np.ndarray) -> np.ndarray:
        day = 2 * np.pi * (t_s / DAY_S - peak_hour / 24)
        return rate_per_s * (1 + (peak_to_mean - 1) * np.cos(day))

    return varying_arrivals(
        rate_at, rate_per_s * peak_to_mean, duration_s=duration_s, requests=requests, seed=seed
    )


def varying_arrivals(
    rate_at: Callable[[np.ndarray], np.ndarray],
    most_per_s: float,
    *,
    duration_s: float | None = None,
    requests: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Poisson arrivals at the rate `rate_at(seconds)`, by thinning those of the rate `most_per_s`. Seconds [requests].

    ValueError where `rate_at` leaves the range from 0 to `most_per_s`, or stays at 0 while requests are still due.
    """
    _refuse_unless_positive(most_per_s=most_per_s)
    rng = np.random.default_rng(seed)

    def chunks() -> Iterator[tuple[np.ndarray, float]]:
        at_s, empty = 0.0, 0
        while True:
            times = at_s + np.cumsum(rng.exponential(1 / most_per_s, _CHUNK))
            rates = np.broadcast_to(np.asarray(rate_at(times), dtype=float), times.shape)
            bad = ~((rates >= 0) & (rates <= most_per_s * (1 + 1e-9)))
            if bad.any():
                place = int(np.argmax(bad))
                raise ValueError(
                    f"rate_at({times[place]:.6g})={rates[place]:.6g}: 0 to most_per_s={most_per_s:g} is needed"
                )
            kept = times[rng.random(_CHUNK) * most_per_s < rates]
            empty = 0 if kept.size else empty + 1
            if empty == 100 and requests is not None:
                raise ValueError(
                    f"rate_at is 0 for so long that requests={requests!r} aren't reached; give duration_s"
                )
            at_s = float(times[-1])
            yield kept, at_s

    return _taken(chunks(), duration_s, requests)


def index_of_dispersion(arrived_s: np.ndarray, window_s: float) -> float:
    """Variance over mean of the arrivals in whole windows of `window_s`, from 0 on: 1 for Poisson, more for bursts.

    ValueError for fewer than two whole windows.
    """
    _refuse_unless_positive(window_s=window_s)
    arrived_s = np.asarray(arrived_s, dtype=float)
    windows = int(arrived_s.max(initial=0.0) // window_s)
    if windows < 2:
        raise ValueError(f"window_s={window_s!r}: the arrivals cover {windows} such windows, 2 are needed")
    counts = np.bincount((arrived_s // window_s).astype(np.int64), minlength=windows)[:windows]
    return float(counts.var() / counts.mean())


def _taken(chunks: Iterator, duration_s: float | None, requests: int | None) -> np.ndarray:
    """Times from chunks (times, up to when they are complete), until the duration or the number is reached."""
    if (duration_s is None) == (requests is None):
        raise ValueError(f"duration_s={duration_s!r}, requests={requests!r}: one of the two is needed")
    if requests is not None and not (requests >= 1 and requests == int(requests)):
        raise ValueError(f"requests={requests!r}: a whole number, 1 or more, is needed")
    if duration_s is not None:
        _refuse_unless_positive(duration_s=duration_s)
    until_s, enough = (math.inf, int(requests)) if duration_s is None else (float(duration_s), math.inf)
    parts, count = [], 0
    for times, complete_s in chunks:
        parts.append(times)
        count += times.size
        if count >= enough or complete_s >= until_s:
            break
    arrived_s = np.concatenate(parts)
    return arrived_s[:enough] if requests is not None else arrived_s[: np.searchsorted(arrived_s, until_s)]


def _refuse_unless_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value!r}: a finite number above 0 is needed")
