"""Traffic as real services have it, at any length: arrivals and lengths from fits to published traces.

    generate_traffic("azure_conversation", requests=100_000)            # its own bursts and lengths
    traffic_at(poisson_arrivals(8, requests=1000), "azure_code")        # its lengths at your arrivals

`data/traffic_fits.csv` says how far each fit is from its trace. What a fit doesn't have: lengths that change in the
course of the hour, and silences of minutes (Azure's code).
Taught in: chapter 09.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

import numpy as np

from course_utils.catalog.provenance import read_rows
from course_utils.scale.arrivals import Bursts, bursty_arrivals
from course_utils.scale.checked import refuse
from course_utils.scale.lengths import published_lengths
from course_utils.scale.traffic import Traffic


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A row of `data/traffic_fits.csv`: a published trace, the bursts fitted to it, and the error of the fit.

    requests, rate_per_s, input_mean_tokens, output_mean_tokens are the trace's own. `…_ks`: the largest gap between the
    cumulative shares of trace and fit; `…_mean_error`: the fit's mean over the trace's, less 1. `dispersion_60s` and
    `gap_cv` are the trace's, `fitted_…` what the fit has.
    """

    workload: str
    requests: int
    rate_per_s: float
    burst_factor: float
    burst_share: float
    burst_s: float
    input_mean_tokens: float
    output_mean_tokens: float
    input_ks: float
    output_ks: float
    input_mean_error: float
    output_mean_error: float
    dispersion_60s: float
    fitted_dispersion_60s: float
    gap_cv: float
    fitted_gap_cv: float
    note: str
    source: str
    as_of: date

    @property
    def bursts(self) -> Bursts:
        return Bursts(self.rate_per_s, self.burst_factor, self.burst_share, self.burst_s)


@lru_cache(maxsize=1)
def workloads() -> dict[str, Workload]:
    """The fitted workloads by name."""
    return {row.workload: row for row in read_rows("traffic_fits.csv", Workload)}


def workload(name: str) -> Workload:
    """ValueError lists those that there are."""
    if name not in workloads():
        raise ValueError(f"workload={name!r}: one of {', '.join(workloads())} is needed")
    return workloads()[name]


def generate_traffic(
    name: str, *, requests: int | None = None, duration_s: float | None = None, seed: int = 0
) -> Traffic:
    """Traffic of the workload `name`, with its bursts and its lengths. One of `requests` and `duration_s` is needed."""
    fit = workload(name)
    arrived_s = bursty_arrivals(fit.bursts, requests=requests, duration_s=duration_s, seed=seed)
    origin = f"generated: bursts and lengths fitted on {fit.source}, {fit.as_of}; seed {seed}"
    return replace(traffic_at(arrived_s, name, seed=seed), origin=origin)


def traffic_at(arrived_s: np.ndarray, name: str, *, seed: int = 0) -> Traffic:
    """Requests at these times (sorted, in seconds), with lengths of the workload `name`."""
    fit = workload(name)
    arrived_s = np.asarray(arrived_s, dtype=float)
    # A stream of its own: the same seed gave the arrivals, and lengths must not follow from gaps.
    lengths = published_lengths(name).draw(arrived_s.size, np.random.default_rng([seed, 1]))
    origin = f"generated: lengths fitted on {fit.source}, {fit.as_of}; arrivals as given; seed {seed}"
    return Traffic(arrived_s, *lengths, name, origin)


def with_system_prompts(traffic: Traffic, tokens: int | Mapping[str, int]) -> Traffic:
    """The same traffic with a system prompt before each prompt: one per tenant, of so many tokens, shared by all of it.

    tokens: for all tenants alike, or by name (0 or absent: none). A prefix that a request has already
    grows by the system prompt before it. ValueError for a name that is no tenant.
    """
    by_name = tokens if isinstance(tokens, Mapping) else dict.fromkeys(traffic.tenants, tokens)
    if strangers := sorted(set(by_name) - set(traffic.tenants)):
        raise ValueError(f"tokens: {strangers[0]!r} is no tenant; there are {', '.join(traffic.tenants)}")
    for name, value in by_name.items():
        refuse(f"tokens[{name!r}]", value, 0, whole=True)
    added = np.array([by_name.get(name, 0) for name in traffic.tenants], dtype=np.int64)[traffic.tenant]
    # Those without a prefix share the system prompt with their tenant; ids go on above those in use.
    alone = (traffic.prefix_id < 0) & (added > 0)
    return replace(
        traffic,
        input_tokens=traffic.input_tokens + added,
        prefix_id=np.where(alone, traffic.prefix_id.max() + 1 + traffic.tenant, traffic.prefix_id),
        prefix_tokens=np.where(traffic.prefix_id >= 0, traffic.prefix_tokens + added, added),
        origin=f"{traffic.origin}; system prompts of {', '.join(map(str, sorted(set(by_name.values()))))} tokens",
    )
