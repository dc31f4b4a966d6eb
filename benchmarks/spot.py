"""How fast a spot policy is simulated, and whether synthetic traces predict what it does on real ones.

    python benchmarks/spot.py [FOLDER]

FOLDER is a copy of https://github.com/skypilot-org/spot-traces; without it only the speed is shown. The accuracy is
in sample: each zone's process was fitted on the trace that it is held against.
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
from course_utils.scale.spot_fit import trace_paths

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


def accuracy(folder: Path) -> None:
    policies = (spot_only(8), spot_with_fallback(8), floor_and_spot(8, 4))
    published = {row.source.split()[1].split("@")[0]: row for row in spot_processes()}
    inside = {"cost": [], "availability": []}
    print(f"\nzone, chip: real trace against {SEEDS} synthetic ones (80 % of them lie in the brackets)")
    for name, path in trace_paths(folder).items():
        if name not in published:
            continue
        row = published[name]
        real = read_trace(path, capacity=row.instances).scaled(8)
        seen = simulate_policies(real, policies, SERVICE)
        runs = [
            simulate_policies(
                generate_trace(row, hours=real.hours, gap_s=real.gap_s, capacity=8, seed=seed),
                policies,
                SERVICE,
            )
            for seed in range(SEEDS)
        ]
        cells = []
        for index, outcome in enumerate(seen):
            drawn = np.array([(run[index].usd_per_hour, run[index].availability) for run in runs])
            low, middle, high = np.quantile(drawn, [0.1, 0.5, 0.9], axis=0)
            inside["cost"].append(low[0] <= outcome.usd_per_hour <= high[0])
            inside["availability"].append(low[1] <= outcome.availability <= high[1])
            cells.append(
                f"{outcome.usd_per_hour:5.2f} [{low[0]:5.2f}, {high[0]:5.2f}] USD/h "
                f"{outcome.availability:6.2%} [{low[1]:6.2%}, {high[1]:6.2%}]"
            )
        print(
            f"{row.zone:11} {row.chips_per_instance} x {row.chip:9} {row.instances:2}  " + "  |  ".join(cells)
        )
    for what, hits in inside.items():
        print(f"{what}: the real trace lies in the 80 % interval in {np.mean(hits):.0%} of {len(hits)}")


if __name__ == "__main__":
    speed()
    if len(sys.argv) > 1:
        accuracy(Path(sys.argv[1]))
