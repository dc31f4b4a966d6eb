"""How fast a spot policy is simulated, and whether synthetic traces predict what it does on real ones.

    python benchmarks/spot.py [FOLDER]

FOLDER is a copy of https://github.com/skypilot-org/spot-traces; without it only the speed is shown. Each zone's process
is fitted to the first half of its trace, and the policies are then run on the second half, which it has not seen, and
on synthetic traces of the same length. How far zones drift is taken from the other collections: a collection is what
was watched in the same weeks.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

from course_utils.scale import (
    Service,
    floor_and_spot,
    generate_trace,
    generate_zones,
    read_trace,
    region_shock,
    simulate_policies,
    spot_only,
    spot_process,
    spot_processes,
    spot_with_fallback,
)
from course_utils.scale.spot_fit import fit_drift, fit_process, halves, trace_paths

SERVICE = Service(8, 1.0, 3.0, cold_start_s=180, grace_s=120, requests_per_s=20, request_s=20)
BOUND_MS = 5
SEEDS = 60


def speed() -> None:
    rows = [row for row in spot_processes("V100", "us-west-2") if row.hours > 1000]
    one = generate_trace(spot_process("us-east-2a"), capacity=8, seed=1)
    three = generate_zones(rows, region_shock("us-west-2"), capacity=8, seed=1)
    floors = [floor_and_spot(8, floor) for floor in range(9)]
    both = floors + [floor_and_spot(8, floor, falls_back=True) for floor in range(9)]
    for zones, traces in (("1 zone", one), ("3 zones", three)):
        for policies in (floors[:1], floors, both):
            samples = []
            for _ in range(60):
                start = time.perf_counter()
                simulate_policies(traces, policies, SERVICE)
                samples.append((time.perf_counter() - start) * 1e3)
            median = statistics.median(samples)
            print(
                f"{zones:8} 720 h of 5-minute ticks, {len(policies):2} policies: {median:5.2f} ms "
                f"[{min(samples):.2f}, {max(samples):.2f}]  bound {BOUND_MS} ms: "
                f"{'met' if median <= BOUND_MS else 'MISSED'}"
            )


POLICIES = (spot_only(8), spot_with_fallback(8), floor_and_spot(8, 4))


def figures(trace) -> np.ndarray:
    """USD an hour and availability, by policy."""
    return np.array([(o.usd_per_hour, o.availability) for o in simulate_policies(trace, POLICIES, SERVICE)])


def accuracy(folder: Path) -> None:
    traces, rows = {}, {}
    for name, path in trace_paths(folder).items():
        trace = read_trace(path, capacity=int(name.split("/")[1].split("-")[0]))
        try:
            rows[name] = fit_process(halves(trace)[0], name)
            traces[name] = trace
        except ValueError as error:
            print(f"left out: {name}: {error}")
    print("\nSecond halves against synthetic ones that were fitted to the first, 80 % intervals")
    inside = {"steady": [], "drifting": []}
    errors = []
    for name, row in rows.items():
        collection = name.split("/")[2]
        drift = fit_drift(
            {other: trace for other, trace in traces.items() if collection not in other}
        ).log_odds
        unseen = halves(traces[name])[1]
        real = figures(unseen.scaled(8))
        asked = {"hours": unseen.hours, "gap_s": unseen.gap_s, "capacity": 8}
        cells = []
        for kind, log_odds in (("steady", 0.0), ("drifting", drift)):
            drawn = [
                figures(generate_trace(row, **asked, seed=n, drift_log_odds=log_odds)) for n in range(SEEDS)
            ]
            low, middle, high = np.quantile(drawn, [0.1, 0.5, 0.9], axis=0)
            inside[kind].append((low <= real) & (real <= high))
            cells.append(f"{kind} [{low[1, 0]:5.2f}, {high[1, 0]:5.2f}]")
        errors.append(np.abs(middle - real))
        print(
            f"{row.zone:11} {row.chips_per_instance} x {row.chip:9} {row.instances:2} instances, {POLICIES[1].name}: "
            f"{real[1, 0]:5.2f} USD/h, {', '.join(cells)}, drift {drift:.2f}"
        )
    for index, policy in enumerate(POLICIES):
        for column, what in enumerate(("USD/h", "availability")):
            hits = {kind: np.mean([hit[index, column] for hit in all_]) for kind, all_ in inside.items()}
            print(
                f"{policy.name:24} {what:12} held by the steady interval {hits['steady']:4.0%}, by the drifting one "
                f"{hits['drifting']:4.0%} of {len(rows)}; median error "
                f"{np.median([error[index, column] for error in errors]):.3f}"
            )


if __name__ == "__main__":
    speed()
    if len(sys.argv) > 1:
        accuracy(Path(sys.argv[1]))
