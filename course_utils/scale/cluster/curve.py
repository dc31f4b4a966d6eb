"""One load through the real cluster and through the simulator, at rising rates; then a replica is killed under load.

    run = cluster_run()          # starts the service, measures, shuts it down; or replays the recording, and says why
    run.points[0]["measured_e2e_s"], run.points[0]["simulated_e2e_s"], run.label

Replicas are paced: a step takes 20 ms at least, about a GPU's, so that two of them and a load generator fit on 2 cores.
Taught in: chapter 10.
"""

import os
import threading
from dataclasses import dataclass

import numpy as np

from course_utils.catalog.provenance import measured_here
from course_utils.measure.recorded import recording
from course_utils.scale.arrivals import poisson_arrivals
from course_utils.scale.cluster.engine import EngineSettings
from course_utils.scale.cluster.measured_steps import measured_step_times
from course_utils.scale.cluster.service import Service, serving
from course_utils.scale.fleet import Fleet, Retries
from course_utils.scale.load import Measured, open_loop
from course_utils.scale.routing import Routing
from course_utils.scale.simulator import simulate
from course_utils.scale.step_times import StepTimes
from course_utils.scale.traffic import Traffic

ENGINE = EngineSettings(max_running=4, step_tokens=128, step_at_least_s=0.02)
REPLICAS = 2
RATES_PER_S = (4.0, 8.0, 11.0, 14.0, 17.0)
LASTS_S = 4.0
# Ray Serve's own router draws two replicas and takes the one with fewer requests.
ROUTING = Routing("power_of_two")
# The client's patience while a dead replica is noticed and replaced.
RETRIES = Retries(limit=6, backoff_s=0.25)


@dataclass(frozen=True)
class ClusterRun:
    """points: a row per rate, measured and simulated seconds of each request that was answered. killed: the run in
    which a replica died. memory_mb: this process and all of Ray's, as PSS. label: where the figures come from."""

    points: list[dict]
    killed: dict
    memory_mb: float
    started_in_s: float
    label: str


def cluster_run(seed: int = 0) -> ClusterRun:
    """Measured here where Ray starts; else, or with COURSE_TIER=replay, the recording, and why in its label."""
    why = "COURSE_TIER is replay"
    if os.environ.get("COURSE_TIER", "").strip().lower() != "replay":
        try:
            return ClusterRun(**measure_cluster(seed), label=measured_here())
        except Exception as error:  # no Ray, no room in /dev/shm, a machine that is too busy to start it
            why = f"here: {type(error).__name__}, {str(error).splitlines()[0][:80]}"
    replayed = recording("cluster_curve")
    return ClusterRun(**_row(replayed.rows[0]), label=f"{replayed.label} ({why})")


def _row(row: dict) -> dict:
    return {name: value for name, value in row.items() if name != "key"}


def measure_cluster(seed: int = 0) -> dict:
    """The fields of a ClusterRun but its label, measured on this machine in about 40 s."""
    with serving(replicas=REPLICAS, engine=ENGINE) as service:
        times = measured_step_times(ENGINE, url=service.url)
        points = [compared(service, times, short_chats(rate, LASTS_S, seed)) for rate in RATES_PER_S]
        memory_mb = service.memory_mb()
        killed = replica_lost(service, short_chats(RATES_PER_S[1], LASTS_S, seed + 1))
        return {
            "points": points,
            "killed": killed,
            "memory_mb": memory_mb,
            "started_in_s": service.started_in_s,
        }


def short_chats(rate_per_s: float, lasts_s: float, seed: int) -> Traffic:
    """Poisson arrivals; prompts of 16 to 63 tokens, answers lognormal around 20. The same lengths at every rate."""
    count = round(rate_per_s * lasts_s)
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(3.0, 0.6, 200).astype(int), 4, 80), rng.integers(16, 64, 200)
    return Traffic(
        poisson_arrivals(rate_per_s, requests=count, seed=seed),
        lengths[1][:count],
        lengths[0][:count],
        "short chats",
        f"generated: Poisson, lengths assumed, seed {seed}",
    )


def compared(service: Service, times: StepTimes, traffic: Traffic) -> dict:
    """The same requests at the same times, through both."""
    real = open_loop(traffic, service.url, retries=RETRIES)
    model = simulate(traffic, Fleet(times, REPLICAS, routing=ROUTING))
    row = {"rate_per_s": len(traffic) / LASTS_S, "finished": real.share("finished")}
    for name, outcome in (("measured", real), ("simulated", model)):
        done = outcome.finished
        row |= {
            f"{name}_ttft_s": _rounded(outcome.ttft_s[done]),
            f"{name}_e2e_s": _rounded(outcome.e2e_s[done]),
        }
    return row | {"lag_s": float(real.lag_s.max())}


def replica_lost(service: Service, traffic: Traffic) -> dict:
    """One replica killed (SIGKILL) in the middle of the traffic: what became of every request."""
    at_s = traffic.arrived_s[-1] / 2
    killer = threading.Timer(at_s, service.kill_replica)
    killer.start()
    try:
        real: Measured = open_loop(traffic, service.url, retries=RETRIES)
    finally:
        killer.cancel()
        killer.join()
    return {
        "requests": len(traffic),
        "finished": int(real.finished.sum()),
        "asked_again": int((real.attempts > 1).sum()),
        "at_s": float(at_s),
        "arrived_s": _rounded(traffic.arrived_s[real.finished]),
        "e2e_s": _rounded(real.e2e_s[real.finished]),
    }


def _rounded(seconds: np.ndarray) -> list[float]:
    """To a tenth of a millisecond: a recording keeps every sample."""
    return [round(float(value), 4) for value in seconds]


def cases(seed: int) -> list:
    """For `course record cluster_curve`: one case, so that the service starts once."""
    return [("cluster", lambda: measure_cluster(seed))]
