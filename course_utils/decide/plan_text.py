"""A plan as people read it in a terminal, and as programs read it: a table, sentences, one JSON document.

Taught in: chapter 12.
"""

import math
from dataclasses import asdict

from course_utils.decide.plan import Plan
from course_utils.decide.planning.options import UNPROVEN, Figure, Option
from course_utils.decide.planning.reasons import why_option

COLUMNS = ("", "how", "pay", "USD a month", "TTFT p95 ms", "TPOT p95 ms", "quality", "verdict", "why")


_DOUBTFUL = 3  # of the options about which something isn't known, so many are shown besides the best


def shown(found: Plan, top: int) -> list[tuple[int, Option]]:
    """What people are shown: the first `top` options and the cheapest of the doubtful ones, each with its rank."""
    ranked = list(enumerate(found.options, start=1))
    doubtful = [one for one in ranked[top:] if one[1].verdict == UNPROVEN]
    return ranked[:top] + doubtful[:_DOUBTFUL]


def rows(found: Plan, top: int) -> list[tuple[str, ...]]:
    """One text for each of COLUMNS, for every option that is shown."""
    return [
        (
            str(rank),
            how(one),
            pay(one),
            text_of(one.usd_per_month, ",.0f"),
            text_of(one.ttft_p95_ms, ",.0f"),
            text_of(one.tpot_p95_ms, ".1f"),
            str(one.quality),
            "winner" if one is found.winner else one.verdict,
            why_option(one, found),
        )
        for rank, one in shown(found, top)
    ]


def text_of(figure: Figure, form: str) -> str:
    """The number with the ends of its 80 % interval, where they differ from it."""
    if math.isnan(figure.value):
        return "not stated"
    ends = [format(end, form) if math.isfinite(end) else "no bound" for end in (figure.lo, figure.hi)]
    text = format(figure.value, form)
    return text if ends == [text, text] else f"{text} [{ends[0]} to {ends[1]}]"


def how(one: Option) -> str:
    """What runs: model, chips, replicas."""
    settings = one.settings
    if "chip" not in settings:
        return one.name
    scaled = f"{settings['min_replicas']} to {settings['max_replicas']}, {settings['replicas']:g} on average"
    count = scaled if settings["min_replicas"] != settings["max_replicas"] else f"{settings['replicas']:g}"
    kv = f", KV {settings['kv_bits']:g} bits" if settings["kv_bits"] < 16 else ""
    limit = f", at most {settings['batch_limit']} at once" if settings["batch_limit"] else ""
    cache = ", prefix cache" if settings["prefix_cache"] else ""
    routing = f", {settings['routing'].replace('_', ' ')}" if settings["max_replicas"] > 1 else ""
    return (
        f"{settings['model']} {settings['precision']}{kv} on {settings['tp']} x {settings['chip']}; "
        f"replicas: {count}{routing}{limit}{cache}"
    )


def pay(one: Option) -> str:
    """How it is paid, and to whom."""
    settings = one.settings
    place = settings.get("region", "")
    where = "" if place in ("", "any", "not stated") else f", {place}"
    return f"{settings['pay']}; {settings['provider']} {settings.get('instance', '')}{where}".strip()


def summary(found: Plan) -> str:
    """What was looked at, in a line."""
    counts = found.counts
    return (
        f"{counts['candidates']:,} candidates and {counts['could not exist']:,} that can't exist; "
        f"{counts['failed a bound']:,} fail a bound in closed form, {counts['simulated']:,} were simulated "
        f"({counts['simulations']:,} runs of {len(found.asked.stretch):,} requests); {found.seconds:.1f} s"
    )


def document(found: Plan, top: int) -> dict:
    """One JSON document: what was asked, the ranking, and every loser with its reason. No NaN, no infinity."""
    table = found.losers
    return {
        "requirements": asdict(found.requirements),
        "trace": {
            "name": found.asked.traffic.name,
            "origin": found.asked.traffic.origin,
            "requests": found.asked.requests,
            "span_s": found.asked.span_s,
            "mean_input_tokens": found.asked.mean_input_tokens,
            "mean_output_tokens": found.asked.mean_output_tokens,
            "prefix_hit_share": found.asked.hit_share,
        },
        "winner": None if found.winner is None else _plain(_entry(found, found.winner)),
        "why": found.why,
        "options": [_plain(_entry(found, one)) for _, one in shown(found, top)],
        "front": [one.name for one in found.front],
        "notes": list(found.notes),
        "counts": found.counts,
        "losers": [_plain(row) for row in table.to_dict("records")],
        "seconds": round(found.seconds, 2),
    }


def _entry(found: Plan, one: Option) -> dict:
    return {
        "name": one.name,
        "verdict": one.verdict,
        **{name: asdict(getattr(one, name)) for name in ("usd_per_month", "ttft_p95_ms", "tpot_p95_ms")},
        "quality": asdict(one.quality),
        "evidence": one.evidence,
        **one.settings,
        "why": why_option(one, found),
        "notes": list(one.notes),
    }


def _plain(value):
    """JSON knows neither NaN nor infinity: null stands for both."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
