"""What can be chosen in the end: a fleet that holds, or an API, each with its figures, intervals and open questions.

Taught in: chapter 12.
"""

import math
from dataclasses import dataclass, field

from course_utils.decide.planning.apis import ApiOffer
from course_utils.decide.planning.candidates import Candidates, Replica, Requirements
from course_utils.decide.planning.confirming import Sized
from course_utils.decide.planning.search import Found, Search
from course_utils.decide.planning.supply import SPOT_ASSUMED, Use
from course_utils.decide.planning.variants import OTHER, SMALL, Quality
from course_utils.estimate.uncertainty import half_width, half_widths, interval
from course_utils.estimate.work import labels

MEETS, UNPROVEN, FAILS = "meets", "unproven", "fails"
_BATCH_HOURS = 24


@dataclass(frozen=True)
class Figure:
    """A number with the ends of its 80 % interval; NaN where it isn't known, infinite where it has no bound."""

    value: float
    lo: float
    hi: float

    @classmethod
    def exact(cls, value: float) -> "Figure":
        return cls(value, value, value)


UNKNOWN_FIGURE = Figure.exact(math.nan)


@dataclass(frozen=True)
class Option:
    """One way to serve the trace for a month.

    verdict: MEETS all that is asked, FAILS, or UNPROVEN, where nobody states what `open_questions` name. `settings` are
    the columns of the plan's table; `binds` names the constraint that it fails.
    """

    name: str
    verdict: str
    usd_per_month: Figure
    ttft_p95_ms: Figure
    tpot_p95_ms: Figure
    quality: Quality
    evidence: str
    settings: dict = field(repr=False)
    binds: str = ""
    problem: str = ""
    open_questions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    at: int | None = None


def fleet_option(search: Search, found: Found, requirements: Requirements, with_interval: bool) -> Option:
    """A confirmed candidate with its figures. Its intervals cost a few more simulations."""
    candidates = search.candidates
    one = candidates.replicas[candidates.replica[found.at]]
    supply = candidates.supply_of(found.at)
    trial, bill, price = found.sized.trial, found.bill, found.bill.price
    usd = _usd_interval(search, found, one) if with_interval else Figure(bill.usd_per_month, bill.lo, bill.hi)
    widths = half_widths(*_group(one, "rate"))
    ttft, tpot = (
        Figure(1e3 * value, *(1e3 * end for end in interval(value, widths[name])))
        for value, name in ((trial.ttft_p95_s, "ttft_s"), (trial.tpot_p95_s, "tpot_s"))
    )
    over = _over_budget(bill.usd_per_month, requirements)
    notes = [SPOT_ASSUMED] if "spot" in supply.kind else []
    if bill.instances == 1:
        notes.append("a single instance: until a lost one is replaced, nobody answers")
    notes += _may_miss(ttft, requirements.ttft_p95_ms, "TTFT") + _may_miss(
        tpot, requirements.tpot_p95_ms, "TPOT"
    )
    if one.quality.evidence in (SMALL, OTHER):
        notes.append(f"quality is {one.quality.evidence}: measure it on this one before you switch")
    return Option(
        name=one.name,
        verdict=FAILS if over else MEETS,
        usd_per_month=usd,
        ttft_p95_ms=ttft,
        tpot_p95_ms=tpot,
        quality=one.quality,
        evidence="simulated",
        settings=settings_of(candidates, found.at)
        | {
            "replicas": trial.use.peak if found.sized.scaler is None else round(trial.use.mean, 2),
            "instances": bill.instances,
            "provider": price.provider,
            "instance": price.instance,
            "region": price.region,
            "price_as_of": str(price.as_of),
            "min_replicas": trial.use.floor,
            "max_replicas": trial.use.peak,
            "hit_share": round(trial.hit_share, 3),
        },
        binds="budget" if over else "",
        problem=over,
        notes=tuple(notes),
        at=found.at,
    )


def settings_of(candidates: Candidates, at: int) -> dict:
    """The settings of one candidate, by the names of the table's columns."""
    one = candidates.replicas[candidates.replica[at]]
    placed = one.deployment
    return {
        "model": one.model,
        "precision": placed.recipe.name,
        "kv_bits": placed.kv_bits,
        "chip": one.chip,
        "tp": placed.tp,
        "pay": candidates.supply_of(at).kind,
        "batch_limit": candidates.batch_limits[candidates.batch_limit[at]],
        "routing": candidates.routings[candidates.routing[at]],
        "prefix_cache": one.prefix_cache,
    }


def _group(one: Replica, load: str) -> tuple[str, str, str, str]:
    """Which calibrated interval holds: engine, dense or moe, load, family of the chip."""
    placed = one.deployment
    return placed.settings.name, "moe" if placed.shape.experts else "dense", load, labels(placed)[1]


def _usd_interval(search: Search, found: Found, one: Replica) -> Figure:
    """The fleet sized anew with every step as slow, and as fast, as the 80 % interval of throughput has it."""
    engine, kind, load, family = _group(one, "max")
    factor = math.exp(half_width("out_tok_s_per_gpu", engine, kind, load, family))
    bill, supply = found.bill, search.candidates.supply_of(found.at)
    fast = search.size(found.at, bill.usd_per_month, 1 / factor)
    slow = search.size(found.at, factor=factor, at_least=found.sized.trial.use.floor or 1)
    lo = supply.bill(search.month_of(fast.trial)).lo if isinstance(fast, Sized) else bill.lo
    hi = math.inf
    if isinstance(slow, Sized):
        hi = supply.bill(search.month_of(slow.trial)).hi
    elif slow.kind == "nothing":
        hi = supply.bill(Use.fixed(slow.replicas)).hi
    return Figure(bill.usd_per_month, min(lo, bill.lo), max(hi, bill.hi))


def _over_budget(usd: float, requirements: Requirements) -> str:
    budget = requirements.budget_usd_per_month
    if budget is None or usd <= budget:
        return ""
    return f"budget: {usd:,.0f} USD a month, {usd - budget:,.0f} ({usd / budget - 1:.0%}) over {budget:,.0f}"


def _may_miss(figure: Figure, limit_ms: float | None, what: str) -> list[str]:
    if limit_ms is None or figure.hi <= limit_ms:
        return []
    return [f"{what} may miss: its 80 % interval reaches beyond {limit_ms:g} ms"]


def api_option(
    offer: ApiOffer, requirements: Requirements, longest_tokens: int, score: float | None = None
) -> Option:
    """An API, judged by what is known of it. `score`: the reader's own of it, where there is one."""
    failed, questions = "", []
    if (room := offer.price.context_tokens) and room < longest_tokens:
        failed = f"the longest request has {longest_tokens:,} tokens, it reads {room:,} at most"
    limits = (
        ("TTFT", requirements.ttft_p95_ms, offer.api.ttft_p95_ms),
        ("TPOT", requirements.tpot_p95_ms, offer.api.tpot_p95_ms),
    )
    binds = "context" if failed else ""
    for what, limit, known in limits:
        if limit is None or failed:
            continue
        if offer.batch:
            failed, binds = (
                f"{what}: a batch answers within {_BATCH_HOURS} h, {limit:g} ms are asked for",
                what,
            )
        elif known is None:
            questions.append(what)
        elif known > limit:
            failed, binds = (
                f"{what}: {known:g} ms as you measured, {known / limit - 1:.0%} over {limit:g}",
                what,
            )
    quality, allowed, least = offer.quality, requirements.max_quality_loss, requirements.min_quality
    if allowed is not None and quality.loss is None:
        questions.append("quality" if not offer.same_model else "precision, and so quality")
    elif allowed is not None and quality.hi > allowed and not failed:
        failed, binds = f"quality: loses {quality.hi:.1%}, {allowed:.1%} may be lost", "quality"
    if least is not None and score is None:
        questions.append("your score of it")
    elif least is not None and score < least and not failed:
        failed, binds = f"quality: scores {score:g}, {least - score:g} below {least:g}", "quality"
    if requirements.region is not None:
        questions.append(f"whether in {requirements.region}")
    if not failed and (over := _over_budget(offer.usd_per_month, requirements)):
        failed, binds = over, "budget"
    return Option(
        name=offer.name,
        verdict=FAILS if failed else UNPROVEN if questions else MEETS,
        usd_per_month=Figure.exact(offer.usd_per_month),
        ttft_p95_ms=_known(offer.api.ttft_p95_ms),
        tpot_p95_ms=_known(offer.api.tpot_p95_ms),
        quality=quality,
        evidence="price list",
        settings={
            "model": offer.price.model,
            "pay": "per token, in batch" if offer.batch else "per token",
            "provider": offer.price.provider,
            "price_as_of": str(offer.price.as_of),
        },
        binds=binds,
        problem=failed,
        open_questions=tuple(questions),
    )


def _known(value: float | None) -> Figure:
    return UNKNOWN_FIGURE if value is None else Figure.exact(value)


def no_worse(one: Option, other: Option) -> bool:
    """Whether `one` is as good as `other` in everything, cost included, and better in something."""
    mine, yours = _merits(one), _merits(other)
    return all(a <= b for a, b in zip(mine, yours, strict=True)) and mine != yours


def _merits(one: Option) -> tuple[float, ...]:
    """What there is to compare, the less the better; infinite where it isn't known."""
    figures = (one.usd_per_month.value, one.ttft_p95_ms.value, one.tpot_p95_ms.value, one.quality.loss)
    return tuple(math.inf if figure is None or math.isnan(figure) else figure for figure in figures)
