"""A batch job run spell by spell: on spells drawn from any process, or on those of a real trace.

The closed forms of `checkpointing` hold for preemptions without memory; this is what they are held against.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from course_utils.catalog.provenance import check_range
from course_utils.scale.checkpointing import LONGEST_S, BatchJob
from course_utils.scale.durations import Durations
from course_utils.scale.spot_traces import Trace


@dataclass(frozen=True, eq=False)
class CompletionSample:
    """Runs of one job: arrays of wall and billed seconds and preemptions, and the mean cost."""

    wall_s: np.ndarray
    billed_s: np.ndarray
    preemptions: np.ndarray
    cost_usd: float

    def billed_interval_s(self, z: float = 3.0) -> tuple[float, float]:
        """Where the expected billed seconds lie: mean ± z standard errors. For independent runs only."""
        half = z * float(self.billed_s.std(ddof=1)) / math.sqrt(len(self.billed_s))
        mean = float(self.billed_s.mean())
        return mean - half, mean + half


def simulate_job(
    job: BatchJob,
    interval_s: float,
    up: Durations,
    usd_per_hour: float,
    down: Durations | None = None,
    *,
    runs: int = 2000,
    seed: int = 0,
    most_spells: int = 100_000,
) -> CompletionSample:
    """Independent runs under any `Durations`; each starts in a fresh spell, without a restart.

    ValueError where some run isn't done after `most_spells`.
    """
    check_range("runs", runs, 2, 1_000_000)
    rng = np.random.default_rng(seed)

    def next_spell(running: np.ndarray, number: int):
        wait_h = down.draw(rng, len(running)) if down is not None and number else np.zeros(len(running))
        return wait_h * 3600, up.draw(rng, len(running)) * 3600

    return _run(job, interval_s, next_spell, int(runs), usd_per_hour, most_spells)


def replay_job(
    trace: Trace, job: BatchJob, interval_s: float, usd_per_hour: float, *, starts: int = 200
) -> CompletionSample:
    """The job on a real trace, begun at `starts` moments spread evenly over it; past its end it starts over.

    A run that begins in a closed spell waits. The runs share their spells, so they aren't independent. ValueError
    where the trace never opens, or the job isn't done after a thousand passes through it.
    """
    check_range("starts", starts, 2, 100_000)
    lengths_h, is_up = trace.spells()
    if not is_up.any():
        raise ValueError(f"trace {trace.name!r} never opens: at least one tick with an instance is needed")
    if is_up[0]:
        lengths_h, is_up = np.insert(lengths_h, 0, 0.0), np.insert(is_up, 0, False)
    # Ends closed: as it starts over, that is one wait with the one before its first open spell.
    tail_h = 0.0 if is_up[-1] else lengths_h[-1]
    wait_s, up_s = lengths_h[~is_up][: is_up.sum()] * 3600, lengths_h[is_up] * 3600
    wait_s[0] += tail_h * 3600
    ends_s = np.cumsum(wait_s + up_s)
    begins_s = ((np.arange(starts) + 0.5) / starts * ends_s[-1] + tail_h * 3600) % ends_s[-1]
    first = np.searchsorted(ends_s, begins_s, side="right")
    left_s = ends_s[first] - begins_s

    def next_spell(running: np.ndarray, number: int):
        spell = (first[running] + number) % len(up_s)
        if number:
            return wait_s[spell], up_s[spell]
        return np.maximum(left_s - up_s[first], 0), np.minimum(left_s, up_s[first])

    return _run(job, interval_s, next_spell, int(starts), usd_per_hour, 1000 * len(up_s))


def _run(
    job: BatchJob, interval_s: float, next_spell: Callable, runs: int, usd_per_hour: float, most_spells: int
) -> CompletionSample:
    """All runs at once, one spell each per pass. `next_spell(running, number)` gives waits and open spells, s."""
    check_range("interval_s", interval_s, 1e-3, LONGEST_S)
    check_range("usd_per_hour", usd_per_hour, 0, 10_000)
    interval_s = min(interval_s, job.work_s)
    left_s = np.full(runs, float(job.work_s))
    wall_s, billed_s, preemptions = np.zeros(runs), np.zeros(runs), np.zeros(runs, dtype=np.int64)
    running = np.arange(runs)
    restart_s = 0.0
    for number in range(most_spells):
        wait_s, spell_s = next_spell(running, number)
        # To the end: all that is left, and a checkpoint for each interval begun (rounding must not begin one).
        segments = np.ceil(left_s[running] / interval_s * (1 - 1e-12))
        needs_s = restart_s + left_s[running] + segments * job.checkpoint_s
        done = needs_s <= spell_s
        saved = np.floor((spell_s - restart_s) / (interval_s + job.checkpoint_s))
        saved_s = np.clip(saved, 0, segments - 1) * interval_s
        used_s = np.where(done, needs_s, spell_s)
        left_s[running] -= np.where(done, left_s[running], saved_s)
        billed_s[running] += used_s
        wall_s[running] += wait_s + used_s
        running = running[~done]
        if not len(running):
            cost_usd = float(billed_s.mean()) / 3600 * usd_per_hour * job.instances
            return CompletionSample(wall_s, billed_s, preemptions, cost_usd)
        preemptions[running] += 1
        restart_s = job.restart_s
    raise ValueError(
        f"interval_s={interval_s!r}: {len(running)} of {runs} runs aren't done after {most_spells} spells; a shorter "
        f"interval is needed"
    )
