"""A ranked plan: every way to serve a trace that is in reach, what each costs, and why all but one of them lost.

    plan(read_traffic("trace.csv"), Requirements(ttft_p95_ms=1000, tpot_p95_ms=50), Space(models=("Llama-3.1-8B",)))

Thousands of candidates are screened by bounds in closed form; those that could win are simulated on the trace itself,
with the smallest fleet that holds the percentiles. APIs are priced to the token beside them.
Taught in: chapter 12.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches

from course_utils.catalog.models import ModelShape, model
from course_utils.decide.planning.apis import api_offers, priced
from course_utils.decide.planning.candidates import Candidates, Requirements, Space, candidates, unpriced
from course_utils.decide.planning.confirming import Trials
from course_utils.decide.planning.demand import Demand, demand
from course_utils.decide.planning.options import (
    FAILS,
    MEETS,
    UNPROVEN,
    Option,
    api_option,
    fleet_option,
    no_worse,
)
from course_utils.decide.planning.reasons import binding, losers, why_option
from course_utils.decide.planning.search import MOST_SIMULATIONS, Found, Screened, Search, screened
from course_utils.estimate.precision import precision
from course_utils.scale.traffic import Traffic

__all__ = ["Plan", "Requirements", "Space", "plan"]

_ORDER = (MEETS, UNPROVEN, FAILS)


@dataclass(frozen=True, eq=False)
class Plan:
    """What to do, what else could be done, and what that rests on.

    `options`: ways that were simulated or priced, the best first: those that meet all that is asked by their cost, then
    those about which something isn't known, then those that fail. `front`: options to which nothing is both cheaper and
    as good. `losers`: a table of every candidate but the winner, each with the reason.
    """

    asked: Demand
    requirements: Requirements
    space: Space
    options: tuple[Option, ...]
    candidates: Candidates
    screened: Screened
    search: Search = field(repr=False)
    notes: tuple[str, ...]
    seconds: float

    @property
    def winner(self) -> Option | None:
        """The cheapest option that is known to meet everything; None where there is none: `why` says what binds."""
        return self.options[0] if self.options and self.options[0].verdict == MEETS else None

    @property
    def front(self) -> tuple[Option, ...]:
        """Options that hold and that no other beats in everything: cost, TTFT, TPOT and quality."""
        held = [one for one in self.options if one.verdict == MEETS]
        return tuple(one for one in held if not any(no_worse(other, one) for other in held))

    @property
    def losers(self):
        """DataFrame: every candidate and combination that didn't win, with `why`."""
        return losers(self)

    @property
    def why(self) -> str:
        """In a few sentences: why the winner won, or which constraint leaves nothing and by how much."""
        return binding(self) if self.winner is None else _why_it_won(self)

    def table(self, top: int | None = None):
        """DataFrame of the options, best first: what they are, their figures with 80 % intervals, and why."""
        import pandas as pd

        rows = [_row(rank, one, self) for rank, one in enumerate(self.options[:top], start=1)]
        return pd.DataFrame(rows).set_index("rank") if rows else pd.DataFrame()

    @property
    def counts(self) -> dict[str, int]:
        """How many candidates there were, and what became of them."""
        return {
            "candidates": len(self.candidates) + sum(one.evidence == "price list" for one in self.options),
            "could not exist": len(self.candidates.refused),
            "failed a bound": int((self.screened.broken != 0).sum()),
            "simulated": len(self.search.found) + len(self.search.stopped),
            "simulations": self.search.trials.count,
        }


def plan(
    traffic: Traffic,
    requirements: Requirements,
    space: Space = Space(),  # noqa: B008  frozen
    *,
    top: int = 10,
    seed: int = 0,
    most_simulations: int = MOST_SIMULATIONS,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """The cheapest ways to serve `traffic` as `requirements` want it, out of `space`.

    `top`: how many ways are made sure of, besides the best of each precision. After `most_simulations` it stops, and a
    note says what isn't sure. `progress(done, of)` is called as the
    search goes. ValueError for names that the catalog lacks; constraints that nothing meets are no error: see
    `Plan.why`.
    """
    if not top >= 1:
        raise ValueError(f"top={top!r}: at least 1 is needed")
    began = time.perf_counter()
    _refuse_unknown_scores(space)
    asked = demand(traffic)
    found = candidates(asked, requirements, space)
    bounds = screened(found, asked, requirements, space)
    search = Search(found, bounds, asked, space, Trials(asked, requirements, seed))
    search.run(top, most_simulations, progress)
    options = [*_fleets(search, requirements, top), *_apis(asked, requirements, space)]
    options.sort(key=lambda one: (_ORDER.index(one.verdict), one.usd_per_month.value, one.tpot_p95_ms.value))
    return Plan(
        asked=asked,
        requirements=requirements,
        space=space,
        options=tuple(options),
        candidates=found,
        screened=bounds,
        search=search,
        notes=_notes(asked, requirements, space, search),
        seconds=time.perf_counter() - began,
    )


def _fleets(search: Search, requirements: Requirements, top: int) -> list[Option]:
    """The best candidate of each way, the first `top` with intervals. An autoscaler is a setting of on demand."""
    best: dict[tuple, Found] = {}
    by_cost = sorted(
        search.found.values(), key=lambda one: (one.bill.usd_per_month, one.sized.trial.tpot_p95_s)
    )
    for one in by_cost:
        *what, kind = search.way_of(one.at)
        best.setdefault((*what, "on demand" if kind == "autoscaled" else kind), one)
    return [
        fleet_option(search, one, requirements, with_interval=place < top)
        for place, one in enumerate(best.values())
    ]


def _shapes(space: Space) -> list[tuple[str, ModelShape]]:
    """The models, each with the name that it was asked for by."""
    return [(one.name, one) if isinstance(one, ModelShape) else (one, model(one)) for one in space.models]


def _refuse_unknown_scores(space: Space) -> None:
    """A score under a name that nothing here has would be passed over, and the plan be another without a word."""
    if not space.scores:
        return
    shapes = _shapes(space)
    known = [shape.name for _, shape in shapes]
    known += [f"{shape.name}/{precision(one).name}" for _, shape in shapes for one in space.precisions]
    known += [
        f"{price.provider}/{price.model}" for _, price in priced([name for name, _ in shapes], space.apis)
    ]
    written = {name.casefold(): name for name in known}
    for name in space.scores:
        if name.casefold() not in written:
            near = get_close_matches(name.casefold(), written, n=3, cutoff=0.4) or list(written)[:3]
            raise ValueError(
                f"scores has {name!r}: no model, precision or API of this plan; "
                f"nearest: {', '.join(written[one] for one in near)}"
            )


def _apis(asked: Demand, requirements: Requirements, space: Space) -> list[Option]:
    offers = api_offers(asked, _shapes(space), space.apis)
    return [
        api_option(
            offer,
            requirements,
            asked.longest_tokens,
            space.score(f"{offer.price.provider}/{offer.price.model}"),
        )
        for offer in offers
    ]


def _notes(asked: Demand, requirements: Requirements, space: Space, search: Search) -> tuple[str, ...]:
    notes = [*asked.notes, f"the trace ({asked.traffic.origin}) stands for every hour of the month: assumed"]
    if requirements.max_quality_loss is not None:
        notes.append(f"a loss of {requirements.max_quality_loss:.1%} of quality is allowed: yours to change")
    if requirements.region is not None and (missing := unpriced(space, requirements.region)):
        notes.append(f"no price in {requirements.region}, and so left out: {', '.join(missing)}")
    if search.unsure:
        notes.append(
            f"stopped after {search.trials.count} simulations: {search.unsure:,} settings more might be cheaper than "
            "the winner; a smaller space, or more simulations, would tell"
        )
    return tuple(notes)


def _why_it_won(found: Plan) -> str:
    """What speaks for the winner, and what could still beat it."""
    first = found.winner
    usd, counts = first.usd_per_month, found.counts
    sentences = [
        f"{first.name} ({first.settings['pay']}, {first.settings['provider']}) is the cheapest of "
        f"{counts['candidates']:,} candidates that holds everything asked for: {usd.value:,.0f} USD a month"
        f"{f' (80 % interval {usd.lo:,.0f} to {usd.hi:,.0f})' if usd.lo < usd.hi else ''}."
    ]
    others = [one for one in found.options[1:] if one.verdict == MEETS]
    if others:
        sentences.append(
            f"Next is {others[0].name} ({others[0].settings['pay']}): {why_option(others[0], found)}."
        )
    cheaper = [
        one for one in found.options if one.verdict == UNPROVEN and one.usd_per_month.value < usd.value
    ]
    if cheaper:
        one = min(cheaper, key=lambda one: one.usd_per_month.value)
        sentences.append(
            f"Cheaper, if it holds: {one.name} at {one.usd_per_month.value:,.0f} USD a month"
            f"{f' (and {len(cheaper) - 1} more)' if len(cheaper) > 1 else ''}. "
            f"Stated nowhere and to be measured first: {', '.join(one.open_questions)}."
        )
    return " ".join([*sentences, *(f"{note[0].upper()}{note[1:]}." for note in first.notes)])


def _row(rank: int, one: Option, found: Plan) -> dict:
    """A row of the table, every figure with the ends of its interval."""
    row = {"rank": rank, "verdict": "winner" if one is found.winner else one.verdict, "name": one.name}
    for name in ("usd_per_month", "ttft_p95_ms", "tpot_p95_ms"):
        figure = getattr(one, name)
        row |= {name: figure.value, f"{name}_lo": figure.lo, f"{name}_hi": figure.hi}
    row |= {"quality_loss": one.quality.loss, "quality_evidence": one.quality.evidence}
    return row | {"evidence": one.evidence, **one.settings, "why": why_option(one, found)}
