"""What a road must be, whatever it costs: where data may go, how good answers are, how fast you can leave.

A constraint that no road meets is not a result but a message: which limit binds, and by how much.
Taught in: chapter 11, section 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from course_utils.catalog.provenance import short_number
from course_utils.decide.cash_flow import CashFlow
from course_utils.decide.demand import Workload
from course_utils.decide.roads import Road


@dataclass(frozen=True)
class Limits:
    """None: no limit. regions: where the data may be processed, all of a road's regions must be among them.

    max_exit_months: to leave without paying on. min_quality_percent: on the test that you go by. max_month_usd:
    of the dearest month. max_first_month_usd: what has to be found before anything runs. burst: how many times the
    busiest hour's mean the busiest minute may be, against a road's limit of tokens a minute.
    """

    regions: tuple[str, ...] | None = None
    max_exit_months: float | None = None
    min_quality_percent: float | None = None
    max_month_usd: float | None = None
    max_first_month_usd: float | None = None
    burst: float = 2.0


@dataclass(frozen=True)
class Breach:
    """A limit that a road doesn't keep. `by`: how far it is off, in `unit`; None where that isn't a number."""

    road: str
    limit: str
    says: str
    by: float | None = None
    unit: str = ""


def breaches(road: Road, flow: CashFlow, workload: Workload, limits: Limits) -> tuple[Breach, ...]:
    """Every limit that a road breaks, with how far it is off."""
    return tuple(_found(road, flow, workload, limits))


def _found(road: Road, flow: CashFlow, workload: Workload, limits: Limits):
    facts, name = road.facts, road.name
    if limits.regions is not None:
        outside = [region for region in facts.regions if region not in limits.regions]
        allowed = ", ".join(limits.regions)
        if outside or not facts.regions:
            where = ", ".join(outside) or "nobody knows where"
            yield Breach(name, "regions", f"data is processed in {where}; allowed: {allowed}")
    yield from _above(
        name, "max_exit_months", facts.exit_months, limits.max_exit_months, "months", "to leave it takes"
    )
    if limits.min_quality_percent is not None:
        got = facts.quality_percent
        if got is None:
            yield Breach(name, "min_quality_percent", "its quality on this test is not known")
        elif got < limits.min_quality_percent:
            by = limits.min_quality_percent - got
            yield Breach(name, "min_quality_percent", f"{got:g} %, {by:.3g} points short", by, "points")
    dearest = float(flow.by_month_usd.max())
    yield from _above(name, "max_month_usd", dearest, limits.max_month_usd, "USD", "its dearest month costs")
    first = float(flow.by_month_usd[0])
    yield from _above(
        name, "max_first_month_usd", first, limits.max_first_month_usd, "USD", "its first month costs"
    )
    asked = peak_tokens_per_minute(workload, flow.months) * limits.burst
    most = facts.tokens_per_minute
    if most is None or asked > most:
        by = None if most is None else asked - most
        text = "its limit is not known" if most is None else f"its limit is {most:,.0f}"
        yield Breach(
            name, "tokens_per_minute", f"{asked:,.0f} tokens in the busiest minute; {text}", by, "tokens"
        )


def peak_tokens_per_minute(workload: Workload, months: int) -> float:
    """Input and output tokens of the busiest hour's mean minute, in the busiest month."""
    tokens = workload.usage.input_tokens + workload.usage.output_tokens
    live = workload.days(months).max() * workload.shape.max() * (1 - workload.batch_share)
    return float(live / 1440 * tokens)


def _above(road: str, limit: str, got: float | None, most: float | None, unit: str, words: str):
    if most is None:
        return
    if got is None:
        yield Breach(road, limit, f"{words} nobody knows how many {unit}")
    elif got > most:
        over = got - most
        says = f"{words} {short_number(got)} {unit}, {short_number(over)} too many"
        yield Breach(road, limit, says, over, unit)


def binding(found: Mapping[str, tuple[Breach, ...]]) -> str:
    """What stands in the way where no road is left: the nearest road, its breaches, and the limit that most break.

    ValueError where a road breaks none: then nothing binds.
    """
    free = [road for road, broken in found.items() if not broken]
    if free or not found:
        raise ValueError(f"found: {', '.join(free) or 'no road at all'}; nothing binds")
    counts: dict[str, int] = {}
    for broken in found.values():
        for limit in {one.limit for one in broken}:
            counts[limit] = counts.get(limit, 0) + 1
    most = max(counts, key=lambda limit: counts[limit])
    # A limit missed by a number can be met or moved; a country can't.
    nearest = min(found, key=lambda road: (any(one.by is None for one in found[road]), len(found[road])))
    why = "; ".join(f"{one.limit}: {one.says}" for one in found[nearest])
    return (
        f"No road keeps every limit. {most} stops {counts[most]} of {len(found)}. "
        f"Nearest is {nearest}, which breaks {len(found[nearest])}: {why}."
    )
