"""A simulation in the words of a command line: a trace, a deployment, a fleet, a price.

    done = carried_out(Plan("azure-conversation", "Llama-3.1-8B", "H100 SXM", replicas=4))
    done.outcome.ttft().p95

Taught in: chapters 09 and 10.
"""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

from course_utils.catalog.gpu_prices import cheapest
from course_utils.catalog.provenance import assumed, published
from course_utils.estimate.deployment import Deployment, deployment
from course_utils.scale.autoscaling import Autoscaler
from course_utils.scale.fleet import Fleet
from course_utils.scale.outcome import Outcome
from course_utils.scale.published_traffic import azure_code, azure_conversation, mooncake_conversation
from course_utils.scale.routing import Routing
from course_utils.scale.simulator import simulate
from course_utils.scale.step_times import step_times
from course_utils.scale.traffic import Traffic
from course_utils.scale.traffic_files import read_traffic

GENERATORS = {
    "azure-conversation": azure_conversation,
    "azure-code": azure_code,
    "mooncake": mooncake_conversation,
}


@dataclass(frozen=True)
class Plan:
    """What to simulate, in the words of the command line; the defaults are the command's.

    `autoscale` is "MIN:MAX", or empty for a fleet that stays as it is; `usd_per_gpu_hour` None takes the catalog's
    cheapest on-demand price; `requests` None takes all of the trace.
    """

    trace: str
    model: str
    gpu: str
    replicas: int | None = None
    tp: int = 1
    pp: int = 1
    precision: str = "bf16"
    engine: str = "vllm"
    routing: str = "round_robin"
    prefix_cache: bool = False
    autoscale: str = ""
    autoscale_rule: str = "concurrency"
    autoscale_target: float = 16.0
    cold_start_s: float = 60.0
    ttft_slo_ms: float = 1000.0
    tpot_slo_ms: float = 50.0
    usd_per_gpu_hour: float | None = None
    rate_factor: float = 1.0
    requests: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Simulated:
    """A plan carried out. `price_source` says whose price per chip and hour `usd_per_gpu_hour` is."""

    plan: Plan
    one: Deployment
    outcome: Outcome
    usd_per_gpu_hour: float
    price_source: str
    seconds: float


def carried_out(plan: Plan) -> Simulated:
    """Traffic, step times and fleet of a plan, and the simulation. ValueError names the option and what is right."""
    for name in ("ttft_slo_ms", "tpot_slo_ms"):
        if not 0 < getattr(plan, name) < math.inf:
            raise ValueError(f"{name}={getattr(plan, name)!r}: a finite number above 0 is needed")
    traffic = traffic_of(plan)
    one = deployment(
        plan.model,
        plan.gpu,
        gpus=plan.tp * plan.pp,
        tp=plan.tp,
        pp=plan.pp,
        precision_name=plan.precision,
        engine_name=plan.engine,
        isl=float(traffic.input_tokens.mean()),
        osl=float(traffic.output_tokens.mean()),
    )
    price, source = _price(plan, one)
    scaler = _autoscaler(plan)
    replicas = plan.replicas
    if replicas is None:
        replicas = scaler.min_replicas if scaler else 1
    fleet = Fleet(
        step_times(one),
        replicas=replicas,
        usd_per_replica_hour=price * plan.tp * plan.pp,
        routing=Routing(plan.routing.replace("-", "_")),
        prefix_cache=plan.prefix_cache,
        autoscaler=scaler,
        cold_start_s=plan.cold_start_s if scaler else 0.0,
    )
    simulate(
        traffic.first(1), replace(fleet, autoscaler=None, replicas=1)
    )  # compiles, where nobody has before
    began = time.perf_counter()
    outcome = simulate(traffic, fleet, seed=plan.seed)
    return Simulated(plan, one, outcome, price, source, time.perf_counter() - began)


def traffic_of(plan: Plan) -> Traffic:
    """A file in any layout, or a published trace by name, at the asked rate and length."""
    if plan.requests is not None and plan.requests < 1:
        raise ValueError(f"requests={plan.requests!r}: at least 1 is needed")
    if plan.trace in GENERATORS:
        traffic = GENERATORS[plan.trace](seed=plan.seed, requests=plan.requests)
    elif Path(plan.trace).is_file():
        traffic = read_traffic(plan.trace)
    else:
        raise ValueError(
            f"trace={plan.trace!r}: neither a file nor one of the published traces {', '.join(GENERATORS)}"
        )
    traffic = traffic if plan.requests is None else traffic.first(plan.requests)
    return traffic.scaled(plan.rate_factor)


def _autoscaler(plan: Plan) -> Autoscaler | None:
    if not plan.autoscale:
        return None
    low, _, high = plan.autoscale.partition(":")
    if not (low.isdecimal() and high.isdecimal()):
        raise ValueError(f"autoscale={plan.autoscale!r}: two whole numbers are needed, such as 1:8")
    return Autoscaler(
        plan.autoscale_rule, plan.autoscale_target, min_replicas=int(low), max_replicas=int(high)
    )


def _price(plan: Plan, one: Deployment) -> tuple[float, str]:
    """US dollars per chip and hour, and where they come from."""
    if plan.usd_per_gpu_hour is not None:
        if not 0 <= plan.usd_per_gpu_hour < math.inf:
            raise ValueError(
                f"usd_per_gpu_hour={plan.usd_per_gpu_hour!r}: a finite number from 0 on is needed"
            )
        return plan.usd_per_gpu_hour, assumed()
    try:
        row = cheapest(one.chip.name)
    except ValueError as error:
        raise ValueError(f"{error}; --usd-per-gpu-hour says what it costs you") from None
    return row.usd_per_accelerator_hour, published(f"{row.provider}, {row.source}", row.as_of)
