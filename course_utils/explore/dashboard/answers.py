"""What the page shows for its inputs: money, waiting times, capacity. One simulation and one formula.

Percentiles come from the simulator, fed with the uploaded trace or with requests whose bursts and lengths are those of
a published trace, brought to the asked means. What the engine's fitted constants leave open is the 80 % interval.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from course_utils.catalog.gpu_prices import GpuPrice, cheapest
from course_utils.catalog.models import ModelShape
from course_utils.catalog.provenance import assumed, published
from course_utils.estimate.cost import HOURS_PER_MONTH
from course_utils.estimate.deployment import Deployment, deployment
from course_utils.estimate.predict import predict
from course_utils.estimate.uncertainty import half_widths, interval
from course_utils.estimate.work import labels
from course_utils.explore.dashboard.inputs import Inputs
from course_utils.explore.views import Chart, Line, Points, View
from course_utils.scale.fleet import Fleet
from course_utils.scale.generated_traffic import generate_traffic
from course_utils.scale.routing import Routing
from course_utils.scale.simulator import simulate
from course_utils.scale.step_times import step_times
from course_utils.scale.traffic import Traffic

DAY_S = 86_400.0
LIKE = "azure_conversation"
# Of a long trace, as many as keep an answer within a blink; the curve has runs of its own.
SIMULATED, SIMULATED_A_POINT = 5_000, 600
_FACTORS = np.geomspace(0.1, 10.0, 9)  # now, 1, is among them
PERCENTS = (50, 95, 99)

CHART = Chart("Requests a day", "First token, 95th percentile (s)", x_scale="log", y_scale="log")


@dataclass(frozen=True)
class Ranged:
    """A figure with the ends of its 80 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Answer:
    """All figures of the page. Latencies in seconds by name ("TTFT", "TPOT", "E2E") and percent.

    `capacity_per_day`: requests that this fleet keeps up with. `replicas_needed`: for the traffic, at that capacity.
    `traced`: the traffic is an uploaded trace. `price`: the list price, None where the visitor set one.
    """

    inputs: Inputs
    traffic: Traffic
    model: str
    label: str
    traced: bool
    usd_per_chip_hour: float
    price: GpuPrice | None
    usd_per_month: float
    usd_per_mtok_out: float
    usd_per_1000_requests: float
    capacity_per_day: Ranged
    replicas_needed: Ranged
    latency_s: dict[str, dict[int, Ranged]]
    simulated: int
    view: View

    @property
    def load(self) -> float:
        """Traffic over capacity: above 1 the queue grows without end."""
        return self.requests_per_day / self.capacity_per_day.value

    @property
    def requests_per_day(self) -> float:
        return self.traffic.rate_per_s * DAY_S

    @property
    def price_source(self) -> str:
        """Who says what a chip costs, and as of when."""
        if self.price is None:
            return assumed()
        return published(f"{self.price.provider}, {self.price.source}", self.price.as_of)


def answer(inputs: Inputs, trace: Traffic | None = None, shape: ModelShape | None = None) -> Answer:
    """All figures; an uploaded trace stands in for the traffic, an uploaded shape for the model of `inputs`.

    ValueError, DoesNotFit among them, where the inputs can't be served: it says what would be right.
    """
    traffic = traffic_like(inputs) if trace is None else trace
    sizes = {"isl": float(traffic.input_tokens.mean()), "osl": float(traffic.output_tokens.mean())}
    served = {"precision_name": inputs.precision, "engine_name": inputs.engine, **sizes}
    split = {"gpus": inputs.chips, "tp": inputs.chips}
    one = deployment(shape or inputs.model, inputs.chip, **split, **served)
    listed = None if inputs.own_price else cheapest(inputs.chip)
    price = inputs.usd_per_chip_hour if listed is None else listed.usd_per_accelerator_hour
    fleet = Fleet(step_times(one), replicas=inputs.replicas, routing=Routing("least_outstanding"))
    # At full load, one copy: what it keeps up with, times the copies.
    full = predict(one.shape, one.chip, usd_per_gpu_hour=price, **split, **served)
    a_copy = inputs.chips * DAY_S / sizes["osl"]
    rates = (full.out_tok_s_per_gpu, full.out_tok_s_per_gpu_lo, full.out_tok_s_per_gpu_hi)
    capacity = Ranged(*(rate * a_copy * inputs.replicas for rate in rates))
    per_day = traffic.rate_per_s * DAY_S
    needed = Ranged(*(math.ceil(per_day / (rate * a_copy)) for rate in (rates[0], rates[2], rates[1])))
    usd_per_month = price * inputs.chips * inputs.replicas * HOURS_PER_MONTH
    # What can't be served isn't paid by anybody's request.
    a_month = min(per_day, capacity.value) * HOURS_PER_MONTH / 24
    widths = _widths(one)
    played = traffic.first(min(len(traffic), SIMULATED))
    outcome = simulate(played, fleet)
    return Answer(
        inputs=inputs,
        traffic=traffic,
        model=one.shape.name,
        label=f"{inputs.replicas} x ({fleet.step_times.label})",
        traced=trace is not None,
        usd_per_chip_hour=price,
        price=listed,
        usd_per_month=usd_per_month,
        usd_per_mtok_out=usd_per_month / (a_month * sizes["osl"]) * 1e6,
        usd_per_1000_requests=usd_per_month / a_month * 1e3,
        capacity_per_day=capacity,
        replicas_needed=needed,
        latency_s={
            "TTFT": _levels(outcome.ttft_s, widths["ttft_s"]),
            "TPOT": _levels(outcome.tpot_s, widths["tpot_s"]),
            # A sum of both: it is off by no more than the worse of them.
            "E2E": _levels(outcome.e2e_s, max(widths["ttft_s"], widths["tpot_s"])),
        },
        simulated=len(played),
        view=_curve(traffic, fleet, capacity, widths["ttft_s"]),
    )


def traffic_like(inputs: Inputs) -> Traffic:
    """Requests as they come in a published trace, at the asked rate and of the asked mean lengths."""
    drawn = _drawn()
    means = {name: getattr(inputs, name) for name in ("input_tokens", "output_tokens")}
    lengths = {name: _with_mean(getattr(drawn, name), mean) for name, mean in means.items()}
    origin = f"{drawn.origin}; rate and mean lengths: yours"
    scaled = drawn.scaled(inputs.requests_per_day / DAY_S / drawn.rate_per_s)
    return replace(scaled, **lengths, origin=origin)


@lru_cache(maxsize=1)
def _drawn() -> Traffic:
    return generate_traffic(LIKE, requests=2_000, seed=0)


def _with_mean(tokens: np.ndarray, mean: float) -> np.ndarray:
    return np.maximum(1, np.rint(tokens * (mean / tokens.mean()))).astype(np.int64)


def _widths(one: Deployment) -> dict[str, float]:
    kind = "moe" if one.shape.experts else "dense"
    return half_widths(one.settings.name, kind, "rate", labels(one)[1])


def _levels(seconds: np.ndarray, width: float) -> dict[int, Ranged]:
    """Percentiles of the finished requests; none where no request has this figure (answers of one token)."""
    known = seconds[~np.isnan(seconds)]
    if not known.size:
        return {}
    values = np.percentile(known, PERCENTS)
    return {
        percent: Ranged(value, *interval(value, width))
        for percent, value in zip(PERCENTS, values.tolist(), strict=True)
    }


def _curve(traffic: Traffic, fleet: Fleet, capacity: Ranged, width: float) -> View:
    """The wait for a first token at a tenth to ten times this traffic, and where it stands now."""
    base = traffic.first(min(len(traffic), SIMULATED_A_POINT))
    waits = [float(np.nanpercentile(simulate(base.scaled(factor), fleet).ttft_s, 95)) for factor in _FACTORS]
    per_day = traffic.rate_per_s * DAY_S
    now = waits[len(_FACTORS) // 2]
    low, high = zip(*(interval(wait, width) for wait in waits), strict=True)
    load = per_day / capacity.value
    if load > 1:
        title = f"Too much by {load:.2g} times: the queue grows as long as it lasts"
    else:
        title = f"It keeps up: {load:.0%} of what this fleet can take"
    curve = Line("predicted", per_day * _FACTORS, waits, low, high)
    return View(
        title, (curve, Points("now", [per_day], [now], labels=["now"])), "Simulated; band: 80 % interval."
    )
