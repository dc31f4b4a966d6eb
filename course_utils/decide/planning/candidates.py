"""What is asked for, what may be chosen, and every combination of it that can exist: model, precision, chips, price.

A candidate is a replica (model, precision, KV bits, chip, split, prefix cache), a limit on its batch, a routing, and a
way to pay. Replicas that don't fit and ways without a price are kept too, with the reason: nothing drops out unseen.
Taught in: chapter 12.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from course_utils.catalog.accelerators import Accelerator, accelerator, accelerators
from course_utils.catalog.gpu_prices import gpu_prices
from course_utils.catalog.models import ModelShape, model
from course_utils.decide.planning.demand import Demand
from course_utils.decide.planning.supply import KINDS, Supply, supplies
from course_utils.decide.planning.variants import Quality, quality_of
from course_utils.estimate.deployment import Deployment, deployment
from course_utils.estimate.engine import engine
from course_utils.estimate.memory import kv_bytes
from course_utils.estimate.precision import precision
from course_utils.scale.routing import POLICIES
from course_utils.scale.step_times import kv_tokens


@dataclass(frozen=True)
class Requirements:
    """What a plan must hold. None: no limit.

    Milliseconds to the first token and per further token that 95 % of requests may take at most. `max_quality_loss`:
    share of quality lost against 16 bits (0.03 is 3 %, an assumption that is yours to change); what nobody has measured
    doesn't pass. `min_quality`: the least of the reader's own scores (`Space.scores`). `region`: only prices that
    are stated for it.
    """

    ttft_p95_ms: float | None = None
    tpot_p95_ms: float | None = None
    budget_usd_per_month: float | None = None
    max_quality_loss: float | None = 0.03
    min_quality: float | None = None
    region: str | None = None

    def __post_init__(self):
        for name in ("ttft_p95_ms", "tpot_p95_ms", "budget_usd_per_month"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}={value!r}: a finite number above 0 is needed, or None for no limit")
        loss = self.max_quality_loss
        if loss is not None and not 0 <= loss < 1:
            raise ValueError(
                f"max_quality_loss={loss!r}: a share from 0 to below 1 is needed (0.03 is 3 %), or None for no limit"
            )
        if self.min_quality is not None and not math.isfinite(self.min_quality):
            raise ValueError(f"min_quality={self.min_quality!r}: a finite number is needed")
        if self.region is not None:
            gpu_prices(region=self.region)  # a name that the catalog doesn't know is refused with the nearest

    @property
    def ttft_s(self) -> float:
        return math.inf if self.ttft_p95_ms is None else self.ttft_p95_ms / 1e3

    @property
    def tpot_s(self) -> float:
        return math.inf if self.tpot_p95_ms is None else self.tpot_p95_ms / 1e3


@dataclass(frozen=True)
class Space:
    """What may be combined. `chips` None: every GPU that has a price. `batch_limits`: sequences at once; None leaves it
    to memory and engine. `routings`: any of `scale.routing.POLICIES`; prefix affinity counts only where prompts share
    prefixes. `apis` None: whoever hosts one of `models`; () none; or names as `api_price` takes them, or
    `decide.planning.apis.Api` with the latency that you measured. `scores`: your own quality scores by "model",
    "model/precision" or "provider/model".
    """

    models: tuple[str | ModelShape, ...] = ("Llama-3.1-8B",)
    precisions: tuple[str, ...] = ("bf16", "fp8", "int8", "int4", "fp4")
    kv_bits: tuple[float, ...] = (16, 8)
    chips: tuple[str, ...] | None = None
    tps: tuple[int, ...] = (1, 2, 4, 8)
    engine: str = "vllm"
    batch_limits: tuple[int | None, ...] = (None, 256, 64, 16)
    routings: tuple[str, ...] = ("prefix_affinity", "least_outstanding")
    prefix_cache: tuple[bool, ...] = (False, True)
    supplies: tuple[str, ...] = tuple(KINDS)
    providers: tuple[str, ...] | None = None
    apis: tuple | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    most_replicas: int = 512

    def __post_init__(self):
        for name in ("models", "precisions", "kv_bits", "tps", "batch_limits", "routings", "prefix_cache"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: at least one is needed")
        for name, known in (("supplies", KINDS), ("routings", POLICIES)):
            if odd := [one for one in getattr(self, name) if one not in known]:
                raise ValueError(f"{name} has {odd[0]!r}: there are {', '.join(known)}")
        for limit in self.batch_limits:
            if limit is not None and (isinstance(limit, bool) or limit != int(limit) or limit < 1):
                raise ValueError(
                    f"batch_limits has {limit!r}: whole numbers of 1 or more, or None, are needed"
                )
        engine(self.engine)  # refused here, or every combination would seem not to fit
        if not self.most_replicas >= 1:
            raise ValueError(f"most_replicas={self.most_replicas!r}: at least 1 is needed")

    def score(self, *names: str) -> float | None:
        """The reader's own score under the first of these names that has one, in capitals or not."""
        given = {name.casefold(): score for name, score in self.scores.items()}
        return next((given[name.casefold()] for name in names if name.casefold() in given), None)


@dataclass(frozen=True)
class Replica:
    """One way to run the model on one group of chips."""

    deployment: Deployment
    quality: Quality
    prefix_cache: bool
    supplies: tuple[Supply, ...]

    @property
    def model(self) -> str:
        return self.deployment.shape.name

    @property
    def chip(self) -> str:
        return self.deployment.chip.name

    @property
    def name(self) -> str:
        one = self.deployment
        kv = f", KV in {one.kv_bits:g} bits" if one.kv_bits < 16 else ""
        cache = ", prefix cache" if self.prefix_cache else ""
        return f"{one.shape.name} in {one.recipe.name}{kv} on {one.tp} x {one.chip.name}{cache}"


@dataclass(frozen=True)
class Refused:
    """A combination that can't exist, and why: it doesn't fit, or (`sold` False) nobody states a price."""

    what: str
    why: str
    sold: bool = True


@dataclass(frozen=True, eq=False)
class Candidates:
    """All combinations. Arrays [candidates] index `replicas`, `batch_limits`, `routings` and a replica's `supplies`."""

    replicas: tuple[Replica, ...]
    batch_limits: tuple[int | None, ...]
    routings: tuple[str, ...]
    refused: tuple[Refused, ...]
    replica: np.ndarray
    batch_limit: np.ndarray
    routing: np.ndarray
    supply: np.ndarray

    def __len__(self) -> int:
        return len(self.replica)

    def supply_of(self, at: int) -> Supply:
        return self.replicas[self.replica[at]].supplies[self.supply[at]]


def candidates(demand: Demand, requirements: Requirements, space: Space) -> Candidates:
    """Every combination of `space` for this demand. ValueError for a name that the catalog doesn't know."""
    has_prefixes = demand.hit_tokens > 0
    caches = tuple(dict.fromkeys(on and has_prefixes for on in space.prefix_cache))
    routings = (
        tuple(one for one in space.routings if has_prefixes or one != "prefix_affinity") or space.routings[:1]
    )
    replicas, refused = _replicas(demand, requirements, space, caches)
    rows = [
        (at, limit, routing, supply)
        for at, one in enumerate(replicas)
        for limit, routing, supply in product(
            _limits(one, space.batch_limits), range(len(routings)), range(len(one.supplies))
        )
        # An autoscaler's target is a limit on what runs at once already.
        if not one.supplies[supply].scaled or limit == _widest(space.batch_limits)
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return Candidates(tuple(replicas), space.batch_limits, routings, tuple(refused), *table.T)


def _replicas(
    demand: Demand, requirements: Requirements, space: Space, caches
) -> tuple[list[Replica], list[Refused]]:
    chips = _chips(space)
    replicas, refused = [], []
    paid = {
        (chip.name, tp): _supplies(chip.name, tp, requirements, space) for chip in chips for tp in space.tps
    }
    for (chip, tp), (_, missing) in paid.items():
        refused += [Refused(f"{tp} x {chip}", why, sold=False) for why in missing]
    shapes = [one if isinstance(one, ModelShape) else model(one) for one in space.models]
    for shape, name, kv_bits, chip, tp in product(shapes, space.precisions, space.kv_bits, chips, space.tps):
        ways, _ = paid[chip.name, tp]
        if not ways:
            continue
        recipe = precision(name)
        what = f"{shape.name} in {recipe.name} on {tp} x {chip.name}"
        try:
            placed = _placed(shape, chip, tp, recipe.name, kv_bits, demand, space.engine)
        except ValueError as error:
            refused.append(Refused(what, str(error)))
            continue
        if problem := _too_long(placed, demand):
            refused.append(Refused(what, problem))
            continue
        quality = quality_of(shape, recipe, kv_bits)
        replicas += [Replica(placed, quality, cache, ways) for cache in caches]
    return replicas, refused


def _placed(shape, chip, tp, recipe_name, kv_bits, demand: Demand, engine: str) -> Deployment:
    return deployment(
        shape, chip, gpus=tp, tp=tp, precision_name=recipe_name, kv_bits=kv_bits, engine_name=engine,
        isl=max(demand.mean_input_tokens, 1), osl=max(demand.mean_output_tokens, 1),
    )  # fmt: skip


def _supplies(chip: str, tp: int, requirements: Requirements, space: Space):
    return supplies(chip, tp, requirements.region, space.supplies, space.providers)


def _too_long(placed: Deployment, demand: Demand) -> str:
    """Why the longest request can't be served, or nothing."""
    longest, shape = demand.longest_tokens, placed.shape
    if longest > shape.max_context:
        return f"the longest request has {longest:,} tokens, {shape.name} reads {shape.max_context:,} at most"
    room = kv_tokens(placed)
    if longest > room:
        missing = (longest - room) * kv_bytes(shape, longest, placed.kv_bits) / longest / 2**30
        return (
            f"the longest request has {longest:,} tokens, its KV cache holds {room:,}: "
            f"{missing:.1f} GiB are missing over {placed.tp} chip{'s' * (placed.tp > 1)}"
        )
    return ""


def _limits(one: Replica, limits: tuple[int | None, ...]) -> list[int]:
    """Limits that differ for this replica: one above what memory allows is none."""
    most = min(one.deployment.fit.max_batch, one.deployment.settings.max_batch)
    return [at for at, limit in enumerate(limits) if limit is None or limit < most] or [_widest(limits)]


def _widest(limits: tuple[int | None, ...]) -> int:
    return max(range(len(limits)), key=lambda at: math.inf if limits[at] is None else limits[at])


def unpriced(space: Space, region: str) -> list[str]:
    """Chips of the space without any price stated for the region."""
    return [one.name for one in _chips(space) if not gpu_prices(one.name, region=region)]


def _chips(space: Space) -> list[Accelerator]:
    if space.chips is not None:
        return list({one.name: one for one in map(accelerator, space.chips)}.values())
    sold = {row.accelerator for row in gpu_prices()}
    return [one for one in accelerators() if one.name in sold and one.kind == "gpu"]
