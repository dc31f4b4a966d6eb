"""Why each loser lost, and, where nothing is left, which constraint binds and by how much.

Taught in: chapter 12.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from course_utils.decide.planning.confirming import Stopped
from course_utils.decide.planning.options import FAILS, MEETS, UNPROVEN, Option, no_worse, settings_of
from course_utils.decide.planning.search import OPEN, QUALITY, TPOT, TTFT, quality_problem
from course_utils.decide.planning.supply import Use

if TYPE_CHECKING:
    from course_utils.decide.plan import Plan


def why_option(one: Option, plan: "Plan") -> str:
    """Why this option stands where it stands."""
    first = plan.winner
    if one is first:
        return "the cheapest that holds everything asked for"
    if one.verdict == FAILS:
        return one.problem
    if one.verdict == UNPROVEN:
        return f"{_compared(one, first)}stated nowhere: {', '.join(one.open_questions)}"
    better = next((other for other in plan.options if other.verdict == MEETS and no_worse(other, one)), None)
    if better is not None:
        less = one.usd_per_month.value - better.usd_per_month.value
        rank = plan.options.index(better) + 1
        cost = f"{less:,.0f} USD less" if less >= 0.5 else "as much money"
        return f"dominated by #{rank}: {cost}, no slower, no worse"
    return f"{_compared(one, first)}in return {_advantages(one, first)}"


def _compared(one: Option, first: Option | None) -> str:
    if first is None:
        return ""
    more = one.usd_per_month.value - first.usd_per_month.value
    if abs(more) < 0.5:
        return "as dear as the winner; "
    share = more / first.usd_per_month.value
    return f"{abs(more):,.0f} USD a month ({abs(share):.0%}) {'dearer' if more >= 0 else 'cheaper'} than the winner; "


def _advantages(one: Option, first: Option) -> str:
    """What an option has over the winner, which is cheaper."""
    found = []
    for what, mine, theirs in (
        ("TTFT", one.ttft_p95_ms.value, first.ttft_p95_ms.value),
        ("TPOT", one.tpot_p95_ms.value, first.tpot_p95_ms.value),
    ):
        if mine < theirs:
            found.append(f"{what} {mine:,.0f} instead of {theirs:,.0f} ms")
    mine, theirs = one.quality.loss, first.quality.loss
    if mine is not None and theirs is not None and mine < theirs:
        found.append(f"{theirs - mine:.1%} less quality lost")
    return ", ".join(found) or "nothing that counts here"


def losers(plan: "Plan"):
    """DataFrame of everything that didn't win: name, settings, the least US dollars a month, and `why`."""
    import pandas as pd

    first = plan.winner
    rows = [
        {
            "name": one.name,
            **one.settings,
            "least_usd_per_month": one.usd_per_month.value,
            "why": why_option(one, plan),
        }
        for one in plan.options
        if one is not first
    ]
    shown = {one.at for one in plan.options}
    found = plan.candidates
    for at in range(len(found)):
        if at not in shown:
            rows.append(
                {
                    "name": found.replicas[found.replica[at]].name,
                    **settings_of(found, at),
                    "least_usd_per_month": _least_usd(plan, at),
                    "why": why_candidate(plan, at),
                }
            )
    rows += [{"name": one.what, "why": one.why} for one in found.refused]
    return pd.DataFrame(rows)


def _least_usd(plan: "Plan", at: int) -> float:
    if (held := plan.search.found.get(at)) is not None:
        return held.bill.usd_per_month
    stopped, supply = plan.search.stopped.get(at), plan.candidates.supply_of(at)
    if stopped is not None and stopped.kind == "dearer" and not supply.scaled:
        return supply.bill(Use.fixed(stopped.replicas)).lo
    return float(plan.screened.least_usd[at])


def why_candidate(plan: "Plan", at: int) -> str:
    """Why a candidate that is none of the options isn't."""
    broken = plan.screened.broken[at]
    one = plan.candidates.replicas[plan.candidates.replica[at]]
    if broken == QUALITY:
        return quality_problem(one, plan.requirements, plan.space)
    if broken in (TPOT, TTFT):
        return _too_slow(plan, at, broken)
    if (held := plan.search.found.get(at)) is not None:
        return f"holds at {held.bill.usd_per_month:,.0f} USD a month: another setting of the same is cheaper"
    stopped = plan.search.stopped.get(at)
    if stopped is not None and stopped.kind == "never":
        return _never(stopped, plan)
    if stopped is not None and stopped.kind == "nothing":
        return f"scaling saves nothing: a fleet of {stopped.replicas} that stays is as small"
    least = f"at least {_least_usd(plan, at):,.0f} USD a month"
    if stopped is not None:
        return f"needs {stopped.replicas} replicas or more: {least}{_cheaper(plan, at)}"
    return f"{least}, even if no step is wasted{_cheaper(plan, at)}"


def _too_slow(plan: "Plan", at: int, broken: int) -> str:
    floors, asked = plan.screened.floors, plan.requirements
    replica = plan.candidates.replica[at]
    if broken == TPOT:
        least, limit = floors.tpot_p95_s[replica] * 1e3, asked.tpot_p95_ms
        return f"TPOT: {least:.1f} ms for a sequence by itself, {least / limit - 1:.0%} over {limit:g}"
    least, limit = floors.ttft_p95_s[replica] * 1e3, asked.ttft_p95_ms
    return f"TTFT: {least:,.0f} ms without any queue, {least / limit - 1:.0%} over {limit:g}"


def _never(stopped: Stopped, plan: "Plan") -> str:
    trial, asked = stopped.trial, plan.requirements
    what, value, limit = max(
        (
            ("TTFT", trial.ttft_p95_s * 1e3, asked.ttft_p95_ms or math.inf),
            ("TPOT", trial.tpot_p95_s * 1e3, asked.tpot_p95_ms or math.inf),
        ),
        key=lambda one: one[1] / one[2],
    )
    return f"{what}: {value:,.0f} ms simulated with {stopped.replicas} replicas, {value / limit - 1:.0%} over {limit:g}"


def _cheaper(plan: "Plan", at: int) -> str:
    same = plan.search.best.get(plan.search.way_of(at))
    if same is not None:
        return f"; another setting of the same does it for {same:,.0f}"
    first = plan.winner
    return f"; the winner does it for {first.usd_per_month.value:,.0f}" if first else ""


def binding(plan: "Plan") -> str:
    """Why nothing is left: the constraint without which something would be, and by how much it is missed."""
    if not len(plan.candidates) and not plan.options:
        return f"Nothing can be bought: {_refused(plan) or 'the space is empty'}."
    found = [text for text in (_budget(plan), _latency(plan), _quality(plan)) if text]
    if not len(plan.candidates) and plan.candidates.refused:
        found.append(f"No machines: {_refused(plan)}.")
    unproven = [one for one in plan.options if one.verdict == UNPROVEN]
    if unproven:
        one = unproven[0]
        found.append(
            f"Not known to fail: {one.name} at {one.usd_per_month.value:,.0f} USD a month, but stated nowhere: "
            f"{', '.join(one.open_questions)}."
        )
    return "No plan meets everything. " + " ".join(found)


def _refused(plan: "Plan") -> str:
    """Why nothing can exist: what is missing in memory, and, where it was asked about or is all, the prices."""
    refused = plan.candidates.refused
    unfit = [one.why for one in refused if one.sold]
    unsold = [one.why for one in refused if not one.sold]
    reasons = unfit[-1:]  # the fewest bits on the most chips
    if not unfit or plan.requirements.region is not None:
        reasons += dict.fromkeys(unsold[:2])
    return "; ".join(reasons)


def _budget(plan: "Plan") -> str:
    over = [one for one in plan.options if one.binds == "budget" and one.evidence == "simulated"]
    if not over:
        return ""
    one = over[0]
    return f"The budget binds. {one.name} holds all else: {one.problem.removeprefix('budget: ')}."


def _latency(plan: "Plan") -> str:
    """The limit on time that is missed by least, where all else would hold."""
    screened, found, asked = plan.screened, plan.candidates, plan.requirements
    if any(
        one.verdict == MEETS or one.binds == "budget" for one in plan.options if one.evidence == "simulated"
    ):
        return ""
    good = screened.broken != QUALITY
    if not good.any():
        return ""
    texts = []
    floors = screened.floors
    for what, values, limit in (
        ("TTFT", floors.ttft_p95_s, asked.ttft_p95_ms),
        ("TPOT", floors.tpot_p95_s, asked.tpot_p95_ms),
    ):
        least = values[found.replica[good]] * 1e3
        if limit is not None and least.min() > limit:
            at = np.flatnonzero(good)[int(np.argmin(least))]
            name = found.replicas[found.replica[at]].name
            texts.append(
                f"{what} binds: {least.min():,.1f} ms at best ({name}, alone and unqueued), "
                f"{least.min() / limit - 1:.0%} over {limit:g}."
            )
    never = [one for one in plan.search.stopped.values() if one.kind == "never"]
    if not texts and never:
        nearest = max(never, key=lambda one: one.trial.in_time)
        share = nearest.trial.in_time
        texts.append(
            f"Latency binds: the nearest is in time for {share:.0%} of requests. {_never(nearest, plan)}."
        )
    if not texts and not (screened.broken == OPEN).any():
        texts.append("TTFT and TPOT bind together: what meets one misses the other.")
    return " ".join(texts)


def _quality(plan: "Plan") -> str:
    if not len(plan.candidates) or (plan.screened.broken != QUALITY).any():
        return ""
    problems = [quality_problem(one, plan.requirements, plan.space) for one in plan.candidates.replicas]
    known = [one for one in plan.candidates.replicas if one.quality.hi is not None]
    best = min(known, key=lambda one: one.quality.hi, default=None)
    text = quality_problem(best, plan.requirements, plan.space) if best else problems[0]
    return f"Quality binds: {text.removeprefix('quality: ')}."
