"""A batch job on spot: how often to save, how long it then takes, and what it costs.

With preemptions that have no memory (mean time between them M), a checkpoint that costs d, a restart that
costs R and a wait W for new capacity, one segment of work s plus its checkpoint takes on average

    e^(R/M) (M + W) (e^((s + d)/M) - 1)

(Daly 2006, here with the wait). Billed hours leave the wait out. The best s is the same whatever R and W.

Young, J. W. (1974), A first order approximation to the optimum checkpoint interval, CACM 17(9), 530-531.
Daly, J. T. (2006), A higher order estimate of the optimum checkpoint interval for restart dumps, FGCS 22(3),
303-312.
"""

import math
from dataclasses import dataclass

from course_utils.catalog.provenance import check_range

LONGEST_S = 1e9


@dataclass(frozen=True)
class BatchJob:
    """A job of `work_s` seconds of useful work, on `instances` instances that are preempted together."""

    work_s: float
    checkpoint_s: float
    restart_s: float
    instances: int = 1

    def __post_init__(self):
        check_range("work_s", self.work_s, 1, LONGEST_S)
        check_range("checkpoint_s", self.checkpoint_s, 1e-6, 1e6)
        check_range("restart_s", self.restart_s, 0, 1e6)
        check_range("instances", self.instances, 1, 1e6)


@dataclass(frozen=True)
class Completion:
    """Expected seconds until the job is done, seconds that are billed, and money for all its instances."""

    wall_s: float
    billed_s: float
    cost_usd: float
    waste_share: float
    preemptions: float


def young_interval_s(checkpoint_s: float, mean_up_s: float) -> float:
    """Seconds of work between checkpoints: sqrt(2 d M) (Young 1974), for d well below M."""
    _check(checkpoint_s, mean_up_s)
    return math.sqrt(2 * checkpoint_s * mean_up_s)


def daly_interval_s(checkpoint_s: float, mean_up_s: float) -> float:
    """Daly's higher-order estimate (2006): sqrt(2dM) (1 + sqrt(d/2M)/3 + (d/2M)/9) - d; M where d >= 2M."""
    _check(checkpoint_s, mean_up_s)
    ratio = checkpoint_s / (2 * mean_up_s)
    if ratio >= 1:
        return mean_up_s
    return math.sqrt(2 * checkpoint_s * mean_up_s) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - checkpoint_s


def exact_interval_s(checkpoint_s: float, mean_up_s: float) -> float:
    """What both approximate, the least expected time per work: M (1 + W(-e^(-1 - d/M))), Lambert's W."""
    from scipy.special import lambertw

    _check(checkpoint_s, mean_up_s)
    return float(mean_up_s * (1 + lambertw(-math.exp(-1 - checkpoint_s / mean_up_s)).real))


def expected_completion(
    job: BatchJob, interval_s: float, mean_up_s: float, usd_per_hour: float, mean_down_s: float = 0.0
) -> Completion:
    """Closed form for preemptions without memory: a checkpoint every `interval_s` of work and at the end.

    `usd_per_hour` is per instance. ValueError where the job would never end: a segment that outlasts 200 M.
    """
    check_range("interval_s", interval_s, 1e-3, LONGEST_S)
    _check(job.checkpoint_s, mean_up_s)
    check_range("mean_down_s", mean_down_s, 0, LONGEST_S)
    check_range("usd_per_hour", usd_per_hour, 0, 10_000)
    interval_s = min(interval_s, job.work_s)
    if interval_s + job.checkpoint_s + job.restart_s > 200 * mean_up_s:
        raise ValueError(
            f"interval_s={interval_s!r}: with checkpoint ({job.checkpoint_s:g} s) and restart "
            f"({job.restart_s:g} s) it never fits into a mean spell of {mean_up_s:g} s; at most that is sane"
        )
    segments, rest_s = divmod(job.work_s, interval_s)
    tries = segments * math.expm1((interval_s + job.checkpoint_s) / mean_up_s)
    if rest_s > 1e-9 * job.work_s:
        tries += math.expm1((rest_s + job.checkpoint_s) / mean_up_s)
    preemptions = tries * math.exp(job.restart_s / mean_up_s)
    return _completion(
        job, preemptions * (mean_up_s + mean_down_s), preemptions * mean_up_s, preemptions, usd_per_hour
    )


def expected_completion_on_notice(
    job: BatchJob, grace_s: float, mean_up_s: float, usd_per_hour: float, mean_down_s: float = 0.0
) -> Completion:
    """The same job when it saves only on notice: nothing to redo, no checkpoint in between.

    A spell then yields what is left of it after the restart and the checkpoint: M e^(-(R + d)/M) on average
    (own derivation, for jobs of many spells). ValueError where the checkpoint takes longer than `grace_s`.
    """
    _check(job.checkpoint_s, mean_up_s)
    check_range("mean_down_s", mean_down_s, 0, LONGEST_S)
    check_range("usd_per_hour", usd_per_hour, 0, 10_000)
    if not job.checkpoint_s <= grace_s:
        raise ValueError(
            f"grace_s={grace_s!r}: at least the {job.checkpoint_s:g} s of a checkpoint are needed"
        )
    lost_s = job.restart_s + job.checkpoint_s
    if lost_s > 200 * mean_up_s:
        raise ValueError(
            f"mean_up_s={mean_up_s!r}: {lost_s:g} s of restart and checkpoint leave no time for work"
        )
    billed_s = job.work_s * math.exp(lost_s / mean_up_s)
    preemptions = billed_s / mean_up_s
    return _completion(job, billed_s + preemptions * mean_down_s, billed_s, preemptions, usd_per_hour)


def _completion(job, wall_s: float, billed_s: float, preemptions: float, usd_per_hour: float) -> Completion:
    return Completion(
        wall_s=wall_s,
        billed_s=billed_s,
        cost_usd=billed_s / 3600 * usd_per_hour * job.instances,
        waste_share=1 - job.work_s / billed_s,
        preemptions=preemptions,
    )


def _check(checkpoint_s: float, mean_up_s: float) -> None:
    check_range("checkpoint_s", checkpoint_s, 1e-6, 1e6)
    check_range("mean_up_s", mean_up_s, 1e-3, LONGEST_S)
