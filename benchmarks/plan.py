"""How long a plan takes, and whether it is the right one: `python benchmarks/plan.py [TRACE]`.

Three things in one run, each beside what it is compared with: the closed-form screening against predicting every
candidate row by row, the whole plan against simulating every candidate (in a space small enough for that, where the
two must agree on the winner), and a plan over ten million requests against one over the trace itself.
"""

import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from course_utils.decide.plan import Requirements, Space, plan
from course_utils.decide.planning.candidates import candidates
from course_utils.decide.planning.confirming import Sized
from course_utils.decide.planning.demand import demand
from course_utils.decide.planning.search import screened
from course_utils.estimate.predict import predict
from course_utils.scale.published_traffic import azure_conversation
from course_utils.scale.traffic import Traffic
from course_utils.scale.traffic_files import read_traffic

ASKED = Requirements(ttft_p95_ms=1000, tpot_p95_ms=50)
SMALL = Space(
    precisions=("bf16", "int8"),
    kv_bits=(16,),
    chips=("L4", "L40S"),
    tps=(1, 2),
    batch_limits=(None, 64),
    routings=("least_outstanding",),
    supplies=("on demand", "reserved 1 year"),
    apis=(),
)


def timed(function, *arguments, **named):
    began = time.perf_counter()
    result = function(*arguments, **named)
    return result, time.perf_counter() - began


def screening(trace: Traffic) -> None:
    """Bounds of all candidates at once, against one prediction for each of its replicas."""
    asked, space = demand(trace), Space()
    found = candidates(asked, ASKED, space)
    screened(found, asked, ASKED, space)  # first use reads files
    _, seconds = timed(screened, found, asked, ASKED, space)
    some = found.replicas[:: max(1, len(found.replicas) // 50)]

    def one_by_one():
        for one in some:
            placed = one.deployment
            predict(
                placed.shape,
                placed.chip,
                gpus=placed.tp,
                precision_name=placed.recipe.name,
                isl=placed.isl,
                osl=placed.osl,
                load=f"rate={trace.rate_per_s}",
            )

    _, each = timed(one_by_one)
    alone = each / len(some) * len(found.replicas)
    print(
        f"screening: {len(found):,} candidates on {len(found.replicas):,} replicas in {seconds:.2f} s; "
        f"predicting each replica by itself, at one load: {alone / seconds:.1f} x"
    )


def whole_plan(trace: Traffic) -> None:
    """The default space over the whole trace."""
    plan(trace.first(10), ASKED, replace(SMALL, chips=("L40S",)))  # compiles, where nobody has
    found, seconds = timed(plan, trace, ASKED)
    print(f"plan: {found.counts} in {seconds:.1f} s")
    print(f"      {found.why}")


def against_exhaustive(trace: Traffic) -> None:
    """The same winner as simulating everything, for how much of its time."""
    part = trace.first(2000)
    found, seconds = timed(plan, part, ASKED, SMALL, top=1)
    fresh = plan(part, ASKED, SMALL, top=1).search
    fresh.trials._made.clear()

    def everything():
        sized = {at: fresh.size(at) for at in range(len(found.candidates))}
        return {
            at: found.candidates.supply_of(at).bill(one.trial.use).usd_per_month
            for at, one in sized.items()
            if isinstance(one, Sized)
        }

    usd, every = timed(everything)
    least = min(usd.values())
    agrees = abs(found.winner.usd_per_month.value - least) < 1e-6 * least
    print(
        f"exhaustive: {len(found.candidates)} candidates take {every / seconds:.1f} x as long; "
        f"the same winner: {agrees} ({least:,.0f} USD)"
    )


def ten_million(trace: Traffic) -> None:
    """Seconds and memory of a trace of ten million requests."""
    times = -(-10_000_000 // len(trace))
    step = trace.duration_s + 1
    arrived = (trace.arrived_s[None, :] + step * np.arange(times)[:, None]).ravel()
    long = Traffic(
        arrived, np.tile(trace.input_tokens, times), np.tile(trace.output_tokens, times), "long", "repeated"
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, seconds = timed(plan, long, ASKED, replace(SMALL, apis=None), top=1)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    size = sum(
        getattr(long, name).nbytes for name in ("arrived_s", "input_tokens", "output_tokens", "prefix_id")
    )
    print(
        f"{len(long):,} requests: {seconds:.1f} s, {more / 1024:,.0f} MB above the trace "
        f"(four of its seven arrays: {size / 2**20:,.0f} MB); {found.notes[0]}"
    )


def main() -> None:
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    trace = read_traffic(given) if given else azure_conversation()
    print(f"{trace.name}: {len(trace):,} requests, {trace.origin}")
    screening(trace)
    against_exhaustive(trace)
    whole_plan(trace)
    ten_million(trace)


if __name__ == "__main__":
    main()
