"""Synthetic traces from fitted processes: one zone, or several that a shock closes together. Seeded."""

import numpy as np

from course_utils.catalog.provenance import check_range
from course_utils.scale.durations import Durations
from course_utils.scale.preemption import RegionShock, SpotProcess
from course_utils.scale.spot_traces import Trace


def generate_trace(
    process: SpotProcess,
    *,
    hours: float = 720,
    gap_s: float = 300,
    capacity: int = 1,
    seed: int = 0,
    drift_log_odds: float = 0.0,
) -> Trace:
    """A synthetic trace of one zone. The same seed gives the same trace.

    A spell is rounded to whole ticks and lasts at least one, as a probe would see it. With `drift_log_odds`
    (`spot_drift().log_odds`) each seed is another month, calmer or worse than the one that was fitted; without it, all
    are months like that one, and an interval over seeds is too narrow for the next.
    """
    return generate_zones(
        (process,), hours=hours, gap_s=gap_s, capacity=capacity, seed=seed, drift_log_odds=drift_log_odds
    )[0]


def generate_zones(
    processes,
    shock: RegionShock | None = None,
    *,
    hours: float = 720,
    gap_s: float = 300,
    capacity: int = 1,
    seed: int = 0,
    drift_log_odds: float = 0.0,
) -> tuple[Trace, ...]:
    """Synthetic traces of several zones over the same hours; `shock` closes those of its region together.

    Each zone keeps its fitted availability and mean time to preemption: what the shock takes is taken off its own
    process. All drift together. ValueError where the shock closes a zone more often than the zone's own fit has it
    closed.
    """
    processes = tuple(processes)
    if not processes:
        raise ValueError("processes is empty: at least one zone is needed")
    check_range("drift_log_odds", drift_log_odds, 0, 10)
    ticks = _ticks(hours, gap_s)
    rng = _rng(seed)
    # Half of the change in log odds lengthens open spells, half shortens closed ones; what is not possible in
    # practice (spells of minutes or of years) is cut off at three deviations.
    better = float(np.exp(drift_log_odds * np.clip(rng.standard_normal(), -3, 3) / 2))

    def spells(up: Durations, down: Durations) -> np.ndarray:
        up, down = up.with_mean(up.mean_h * better), down.with_mean(down.mean_h / better)
        return _renewal(up, down, ticks, gap_s, rng)

    shared = np.ones(ticks, dtype=bool)
    if shock is not None:
        up = Durations("exponential", shock.up_mean_h)
        shared = spells(up, Durations("exponential", shock.down_mean_h))
    traces = []
    for process in processes:
        hit = shock is not None and process.region == shock.region
        open_ = spells(*(without_shock(process, shock) if hit else (process.up, process.down)))
        alive = _living(process, open_ & shared if hit else open_, capacity, gap_s, rng)
        traces.append(Trace(process.zone, gap_s, alive, capacity))
    return tuple(traces)


def without_shock(process: SpotProcess, shock: RegionShock) -> tuple[Durations, Durations]:
    """The zone's own open and closed spells, once the region's closures are taken off.

    Of two independent processes, open = both open: availabilities multiply, and rates of closing while open
    add.
    """
    share = process.up_mean_h / (process.up_mean_h + process.down_mean_h)
    own_share = share / shock.availability
    own_rate = 1 / process.up_mean_h - 1 / shock.up_mean_h
    if own_share >= 1 or own_rate <= 0:
        raise ValueError(
            f"shock.availability={shock.availability:.3g}, up_mean_h={shock.up_mean_h:.3g}: {process.zone} is open "
            f"{share:.3g} of the time, {process.up_mean_h:.3g} h a spell; more than that must be left"
        )
    up = process.up.with_mean(1 / own_rate)
    return up, process.down.with_mean(up.mean_h * (1 - own_share) / own_share)


def _rng(seed: int) -> np.random.Generator:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed={seed!r}: a whole number from 0 is needed")
    return np.random.default_rng(seed)


def _ticks(hours: float, gap_s: float) -> int:
    check_range("hours", hours, 0.1, 100_000)
    check_range("gap_s", gap_s, 1, 86_400)
    ticks = round(hours * 3600 / gap_s)
    if not 1 <= ticks <= 5_000_000:
        raise ValueError(
            f"hours={hours!r}, gap_s={gap_s!r} make {ticks} ticks: between 1 and 5000000 are needed"
        )
    return ticks


def _renewal(up: Durations, down: Durations, ticks: int, gap_s: float, rng) -> np.ndarray:
    """True per tick while open. It starts anywhere in a spell, as a trace of an old process does."""
    cycle_h = up.mean_h + down.mean_h
    starts_open = bool(rng.random() < up.mean_h / cycle_h)
    spells_h = [[(up if starts_open else down).draw_rest(rng)]]
    missing = ticks
    while missing > 0:
        pairs = int(missing * gap_s / 3600 / cycle_h * 1.2) + 16
        drawn = np.stack([up.draw(rng, pairs), down.draw(rng, pairs)], axis=1)
        spells_h.append(drawn[:, ::-1].ravel() if starts_open else drawn.ravel())
        missing = ticks - _whole_ticks(np.concatenate(spells_h), ticks, gap_s).sum()
    spells = _whole_ticks(np.concatenate(spells_h), ticks, gap_s)
    spells = spells[: np.searchsorted(np.cumsum(spells), ticks) + 1]
    return np.repeat((np.arange(len(spells)) % 2 == 0) == starts_open, spells)[:ticks]


def _whole_ticks(spells_h: np.ndarray, ticks: int, gap_s: float) -> np.ndarray:
    """At least one each; longer than the window is as good as endless, and fits an integer."""
    return np.clip(np.rint(spells_h * 3600 / gap_s), 1, ticks).astype(np.int64)


def _living(process: SpotProcess, open_: np.ndarray, capacity: int, gap_s: float, rng) -> np.ndarray:
    """Instances per tick: all while open, but in partial spells, which keep any number below that."""
    check_range("capacity", capacity, 1, 10_000)
    if capacity == 1 or process.partial_mean_h == 0:
        return open_ * capacity
    full_spells = Durations("exponential", process.full_mean_h)
    full = _renewal(full_spells, Durations("exponential", process.partial_mean_h), len(open_), gap_s, rng)
    # One level per partial spell: the ticks of a spell share its number.
    spell = np.cumsum(np.diff(full, prepend=full[:1]))
    levels = rng.integers(1, capacity, spell[-1] + 1)
    return open_ * np.where(full, capacity, levels[spell])
