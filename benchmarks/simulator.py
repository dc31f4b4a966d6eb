"""How fast is the fleet simulator? Seconds of the processor, which a busy machine stretches less than those of a clock.

    python benchmarks/simulator.py [TRACE.csv]      # Azure's conversations, or another trace

8 replicas of Llama-3.1-8B on H100s: bare (round robin), with everything on, each router, a million requests; starts of
a process with and without the compiled copy on disk; the plain-Python twin of the tests on the same trace; and servers
with one queue against Ciw and SimPy, where they are installed. Best of several runs.
"""

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from course_utils.estimate.deployment import deployment
from course_utils.scale import (
    Autoscaler,
    Failures,
    Fleet,
    Retries,
    Routing,
    Traffic,
    azure_conversation,
    read_traffic,
    servers,
    simulate,
)
from course_utils.scale.routing import POLICIES
from course_utils.scale.step_times import step_times

ROOT = Path(__file__).resolve().parents[1]
BOUNDS = {"bare": 0.060, "everything on": 0.060, "a million, bare": 3.0, "a million, everything on": 3.0}
START = """
import time; began = time.process_time()
import numpy as np
from course_utils.scale import Traffic, servers, simulate
simulate(Traffic(np.zeros(1), np.ones(1, int), np.ones(1, int), "one", "here"), servers(1, 1.0, 10))
print(time.process_time() - began)
"""
# What numba itself takes to load any compiled function from disk. It compiles sources in files only.
FLOOR = """
import time; began = time.process_time()
import numba
import numpy as np

@numba.njit(cache=True)
def total(row):
    return row.sum()

total(np.zeros(1))
print(time.process_time() - began)
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("trace", nargs="?", type=Path, help="a trace in any layout that read_traffic knows")
    path = options.parse_args().trace
    trace = read_traffic(path) if path else azure_conversation()
    print(f"{len(trace):,} requests, {trace.origin}")
    times = step_times(deployment("Llama-3.1-8B", "H100 SXM", isl=1155, osl=211))
    bare = Fleet(times, 8, 2.5)
    full = replace(
        bare,
        routing=Routing("prefix_affinity"),
        prefix_cache=True,
        queue_limit=200,
        longest_wait_s=30.0,
        timeout_s=120.0,
        retries=Retries(3),
        autoscaler=Autoscaler("concurrency", 16.0, 2, 8),
        cold_start_s=60.0,
        failures=Failures(mean_life_s=1800.0),
    )
    shared = with_prefixes(trace)
    base_s = row("bare", trace, bare)
    row("everything on", shared, full)
    for policy in POLICIES:
        row(f"  {policy}", shared, replace(bare, routing=Routing(policy), prefix_cache=True))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    million = repeated(trace, 1_000_000)
    row("a million, bare", million, bare, runs=2)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) * 1024 / len(million)
    print(f"{'  memory, its traffic and outcome included':44} {grown:9.0f} bytes a request")
    row("a million, everything on", with_prefixes(million), full, runs=2)
    starts()
    twin_s = seconds(lambda: twin().Twin(trace.first(1000), bare).run(), 1)
    ours_s = seconds(lambda: simulate(trace.first(1000), bare), 20)
    print(f"{'plain twin, first 1,000 requests':44} {twin_s:9.3f} s   {twin_s / ours_s:,.0f} times ours")
    print(f"{'a step of the bare run':44} {base_s / simulate(trace, bare).counters['steps'] * 1e9:9.1f} ns")
    queues()


def with_prefixes(traffic: Traffic) -> Traffic:
    """A few popular system prompts of 128 to 512 tokens, and three priorities."""
    rng = np.random.default_rng(0)
    prefix_id = rng.zipf(1.3, len(traffic)) % 500
    return replace(
        traffic,
        prefix_id=prefix_id,
        prefix_tokens=np.minimum(traffic.input_tokens, 128 * (1 + prefix_id % 4)),
        priority=rng.integers(0, 3, len(traffic)),
    )


def repeated(traffic: Traffic, requests: int) -> Traffic:
    times = -(-requests // len(traffic))
    starts_s = np.arange(times) * (traffic.arrived_s[-1] + 1 / traffic.rate_per_s)
    return Traffic(
        (starts_s[:, None] + traffic.arrived_s).ravel()[:requests],
        np.tile(traffic.input_tokens, times)[:requests],
        np.tile(traffic.output_tokens, times)[:requests],
        f"{traffic.name}, {times} times",
        traffic.origin,
    )


def seconds(run: Callable[[], object], runs: int) -> float:
    took = []
    for _ in range(runs):
        began = time.process_time()
        run()
        took.append(time.process_time() - began)
    return min(took)


def row(name: str, traffic: Traffic, fleet: Fleet, runs: int = 10) -> float:
    outcome = simulate(traffic, fleet)
    took_s = seconds(lambda: simulate(traffic, fleet), runs)
    bound_s = BOUNDS.get(name.strip())
    met = (
        ""
        if bound_s is None
        else f"  bound {bound_s * 1e3:.0f} ms: {'met' if took_s <= bound_s else 'MISSED'}"
    )
    print(
        f"{name:44} {took_s * 1e3:9.1f} ms  {outcome.counters['steps']:11,} steps, "
        f"TTFT p95 {outcome.ttft().p95:.3f} s, {outcome.share('finished'):.2%} finished{met}"
    )
    return took_s


def starts() -> None:
    """Of a process that simulates one request: compiling, and with the compiled copy on disk."""
    with tempfile.TemporaryDirectory() as folder:
        where = {"NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(ROOT)}
        start, floor = Path(folder) / "start.py", Path(folder) / "floor.py"
        start.write_text(START)
        floor.write_text(FLOOR)
        cold_s, _ = child(start, where), child(floor, where)
        cached_s, floor_s = (min(child(path, where) for _ in range(3)) for path in (start, floor))
    print(f"{'first use, compiling':44} {cold_s:9.2f} s   bound 10 s: {'met' if cold_s <= 10 else 'MISSED'}")
    print(
        f"{'first result of a later process':44} {cached_s:9.2f} s   bound 0.5 s: "
        f"{'met' if cached_s <= 0.5 else 'MISSED'}; a one-line numba function takes {floor_s:.2f} s"
    )


def child(script: Path, extra: dict[str, str]) -> float:
    found = subprocess.run(
        [sys.executable, script], env=os.environ | extra, capture_output=True, text=True, check=True
    )
    return float(found.stdout)


def twin():
    spec = importlib.util.spec_from_file_location("twin", ROOT / "tests" / "scale" / "twin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def queues(customers: int = 20_000) -> None:
    """M/M/2 at 80 %: customers a second, all in this run."""
    rng = np.random.default_rng(0)
    arrived_s = np.cumsum(rng.exponential(1 / 1.6, customers))
    tokens = np.maximum(np.rint(rng.exponential(1e5, customers)), 1).astype(int)
    traffic = Traffic(arrived_s, tokens, np.ones(customers, int), "M/M/2", "drawn")
    fleet = servers(2, 1e-5, int(tokens.max()))
    simulate(traffic, fleet)
    ours = customers / seconds(lambda: simulate(traffic, fleet), 5)
    print(f"{'M/M/2, ours':44} {ours:9,.0f} customers/s")
    for name, run in (("Ciw", ciw_queue), ("SimPy", simpy_queue)):
        if importlib.util.find_spec(name.lower()):
            theirs = customers / seconds(lambda run=run: run(customers), 2)
            print(f"{'M/M/2, ' + name:44} {theirs:9,.0f} customers/s   ours {ours / theirs:.0f} times")


def ciw_queue(customers: int) -> None:
    import ciw

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(1.6)],
        service_distributions=[ciw.dists.Exponential(1.0)],
        number_of_servers=[2],
    )
    ciw.seed(0)
    ciw.Simulation(network).simulate_until_max_customers(customers)


def simpy_queue(customers: int) -> None:
    import simpy

    rng = np.random.default_rng(0)
    gaps_s, services_s = rng.exponential(1 / 1.6, customers), rng.exponential(1.0, customers)
    world = simpy.Environment()
    counter = simpy.Resource(world, 2)

    def customer(service_s: float):
        with counter.request() as turn:
            yield turn
            yield world.timeout(service_s)

    def source():
        for gap_s, service_s in zip(gaps_s, services_s, strict=True):
            yield world.timeout(gap_s)
            world.process(customer(service_s))

    world.process(source())
    world.run()


if __name__ == "__main__":
    main()
