"""`course simulate`: a trace through a fleet, from a shell: what users wait, what of it is in time, what it costs.

Taught in: chapters 09 and 10.
"""

import json
import math
import sys

from rich.console import Console
from rich.table import Table

from course_utils.catalog.provenance import predicted
from course_utils.estimate.deployment import Deployment
from course_utils.estimate.uncertainty import LEVEL, half_widths, interval
from course_utils.estimate.work import labels
from course_utils.scale.outcome import STATUSES, Percentiles
from course_utils.scale.simulation_plan import Plan, Simulated, carried_out

_LATENCIES = ("ttft", "tpot", "e2e")


def simulate_command(plan: Plan, as_json: bool = False) -> int:
    """Simulate and print a table for people, or one JSON document. 0; 2 with one sentence on stderr for bad input."""
    try:
        done = carried_out(plan)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps(document(done), indent=1))
    else:
        _print_tables(done)
    return 0


def document(done: Simulated) -> dict:
    """All figures under names that end in their unit; None where there is none."""
    plan, outcome, one = done.plan, done.outcome, done.one
    slo = plan.ttft_slo_ms / 1e3, plan.tpot_slo_ms / 1e3
    latencies = {}
    for name in _LATENCIES:
        found = getattr(outcome, name)()
        for key in ("mean", "p50", "p95", "p99"):
            latencies[f"{name}_{key}_ms"] = _plain(getattr(found, key) * 1e3)
        for key in ("p50", "p95", "p99"):
            low, high = getattr(found, f"{key}_interval")
            latencies[f"{name}_{key}_ms_interval"] = [_plain(low * 1e3), _plain(high * 1e3)]
    return {
        "trace": outcome.traffic.name,
        "origin": outcome.traffic.origin,
        "requests": len(outcome.traffic),
        "arrivals_per_s": _plain(outcome.traffic.rate_per_s),
        "replica": outcome.fleet.step_times.label,
        "replicas_at_start": outcome.fleet.replicas,
        "replicas_at_most": int(outcome.series["up"].max()),
        "routing": outcome.fleet.routing.policy,
        **latencies,
        **{f"{status.replace(' ', '_')}_share": outcome.share(status) for status in STATUSES},
        "ttft_slo_ms": plan.ttft_slo_ms,
        "tpot_slo_ms": plan.tpot_slo_ms,
        "goodput_per_s": outcome.goodput_per_s(*slo),
        "in_time_share": float(outcome.within(*slo).mean()),
        "tokens_per_s": outcome.tokens_per_s,
        "prefix_hit_share": outcome.hit_share,
        "preemptions": int(outcome.preemptions.sum()),
        "utilization": outcome.utilization,
        "replica_hours": outcome.replica_hours,
        "gpu_hours": outcome.replica_hours * one.tp * one.pp,
        "cost_usd": outcome.cost_usd,
        "usd_per_mtok_out": _plain(outcome.usd_per_mtok),
        "usd_per_gpu_hour": done.usd_per_gpu_hour,
        "price_source": done.price_source,
        "step_times_80_percent_factor": {name: math.exp(width) for name, width in _widths(one).items()},
        "seed": plan.seed,
        "simulation_s": done.seconds,
    }


def _widths(one: Deployment) -> dict[str, float]:
    """Log half-widths of the closed form's 80 % intervals: what the fitted constants leave open."""
    kind = "moe" if one.shape.experts else "dense"
    widths = half_widths(one.settings.name, kind, "rate", labels(one)[1])
    return {name: widths[name] for name in ("ttft_s", "tpot_s")}


def _plain(value: float) -> float | None:
    """JSON has neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else None


def _print_tables(done: Simulated) -> None:
    outcome, plan, one = done.outcome, done.plan, done.one
    latencies = Table("latency, ms", *(f"p{level} \\[95 %]" for level in (50, 95, 99)), "mean")
    for name in _LATENCIES:
        latencies.add_row(name.upper(), *_cells(getattr(outcome, name)()))
    facts = document(done)
    tpot = outcome.tpot()
    figures = Table("figure", "value", show_header=False)
    for row in (
        ("requests", f"{facts['requests']:,} at {outcome.traffic.rate_per_s:.3g}/s, {outcome.traffic.origin}"),
        ("fleet", f"{_replicas(facts)} x ({facts['replica']}), {facts['routing'].replace('_', ' ')}"),
        ("ended", ", ".join(f"{name} {outcome.share(name):.1%}" for name in STATUSES if outcome.share(name))),
        ("goodput", f"{facts['goodput_per_s']:.3g} requests/s ({facts['in_time_share']:.1%}) with TTFT up to "
                    f"{plan.ttft_slo_ms:g} ms and TPOT up to {plan.tpot_slo_ms:g} ms"),
        ("throughput", f"{facts['tokens_per_s']:,.0f} output tokens/s; busy {facts['utilization']:.0%} of the time"),
        ("prefix cache", f"{facts['prefix_hit_share']:.1%} of prompt tokens found" if plan.prefix_cache else "off"),
        ("preemptions", f"{facts['preemptions']:,}"),
        ("replica-hours", f"{facts['replica_hours']:.3g} ({facts['gpu_hours']:.3g} GPU-hours)"),
        ("cost", f"${facts['cost_usd']:,.2f}, ${outcome.usd_per_mtok:.3f} per million output tokens"),
        ("price", f"${done.usd_per_gpu_hour:.4g} per {one.chip.name} and hour, {done.price_source}"),
        ("simulated in", f"{done.seconds * 1e3:,.0f} ms, seed {plan.seed}"),
    ):  # fmt: skip
        figures.add_row(*row)
    console = _console()
    console.print(latencies)
    console.print(figures)
    if math.isfinite(tpot.p50):
        low, high = interval(tpot.p50 * 1e3, _widths(one)["tpot_s"])
        console.print(
            f"Brackets: what another hour of the same traffic may give. The engine itself is a model: TPOT p50 is "
            f"{predicted(low, high, 'ms', round(100 * LEVEL))}.",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip


def _replicas(facts: dict) -> str:
    start, most = facts["replicas_at_start"], facts["replicas_at_most"]
    return f"{start}" if most <= start else f"{start}, at most {most}"


def _cells(found: Percentiles) -> list[str]:
    """Milliseconds: three percentiles with their intervals, and the mean."""
    cells = []
    for key in ("p50", "p95", "p99"):
        low, high = (end * 1e3 for end in getattr(found, f"{key}_interval"))
        interval = f" \\[{low:,.4g} to {high:,.4g}]" if math.isfinite(low) else ""
        cells.append(f"{getattr(found, key) * 1e3:,.4g}{interval}")
    return [*cells, f"{found.mean * 1e3:,.4g}"]


def _console() -> Console:
    """Wide enough for a table where the output is a file or a log."""
    found = Console()
    return found if found.is_terminal else Console(width=120)
