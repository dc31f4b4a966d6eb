"""Traffic: seconds to read, write and generate it, and to ask the formulas of queues.

    python benchmarks/traffic.py                        # made-up traffic of the size of Azure's trace, and of a million
    python benchmarks/traffic.py AZURE.csv MOON.jsonl   # and copies of traces that you have

Best of three runs each.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from course_utils.scale import (
    diurnal_arrivals,
    generate_sessions,
    generate_traffic,
    mmc_wait_s,
    poisson_arrivals,
    read_traffic,
    servers_for,
    write_traffic,
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("traces", nargs="*", type=Path, help="traffic files to read")
    for path in options.parse_args().traces:
        _row(f"read {path.name}, {len(read_traffic(path)):,} requests", lambda path=path: read_traffic(path))
    with tempfile.TemporaryDirectory() as folder:
        for requests in (19_366, 1_000_000):
            traffic = generate_traffic("azure_conversation", requests=requests)
            path = Path(folder) / f"{requests}.csv"
            _row(
                f"write {requests:,} requests",
                lambda traffic=traffic, path=path: write_traffic(traffic, path),
            )
            _row(f"read {requests:,} requests", lambda path=path: read_traffic(path))
    million = 1_000_000
    _row("generate a million chats", lambda: generate_traffic("azure_conversation", requests=million))
    _row("generate 12,031 requests of conversations", lambda: generate_sessions(12_031))
    _row("a million Poisson arrivals", lambda: poisson_arrivals(100, requests=million))
    _row("a day at 10 requests/s, by thinning", lambda: diurnal_arrivals(10, duration_s=86_400))
    rates = np.linspace(100, 4_990, 200)
    _row("waits of 5,000 servers at 200 rates", lambda: mmc_wait_s(rates, 1.0, 5_000))
    _row("servers for 4,900 busy ones", lambda: servers_for(4_900, 1.0, 0.01))


def _row(what: str, run: Callable[[], object]) -> None:
    took = []
    for _ in range(3):
        started = time.perf_counter()
        run()
        took.append(time.perf_counter() - started)
    print(f"{what:58} {1000 * min(took):10,.1f} ms")


if __name__ == "__main__":
    main()
