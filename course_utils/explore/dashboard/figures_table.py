"""The page's figures as a table to take along: each with what it rests on, who says so, and as of which day."""

from datetime import date

import pandas as pd

from course_utils.estimate.engine import fitted
from course_utils.explore.dashboard.answers import Answer, Ranged

COLUMNS = ("figure", "value", "low", "high", "unit", "kind", "source", "as_of")


def figures_table(found: Answer) -> pd.DataFrame:
    """DataFrame with `COLUMNS`. `kind`: published, measured, predicted, derived or assumed.

    `low` and `high` are the ends of an 80 % interval, and the value itself where nothing is uncertain. `as_of`: the day
    of the price, of the fit of the engine's constants, or today for what the visitor set.
    """
    today, price = date.today(), found.price
    paid = ("assumed", "yours", today)
    if price is not None:
        paid = ("published", f"{price.provider}, {price.source}", price.as_of)
    hours = ("derived", "price x chips x 730 hours a month", paid[2])
    shared = ("derived", "cost a month over what is served in it", paid[2])
    constants = f"data/engines/{found.inputs.engine}.json"
    fit = fitted(found.inputs.engine)["as_of"]
    rate = ("predicted", f"closed form, constants of {constants}", fit)
    waits = ("predicted", f"simulation of {found.simulated} requests, constants of {constants}", fit)
    asked = ("measured" if found.traced else "assumed", found.traffic.origin, today)
    rows = [
        ("price", *_exact(found.usd_per_chip_hour), "USD/chip/hour", *paid),
        ("cost", *_exact(found.usd_per_month), "USD/month", *hours),
        ("cost", *_exact(found.usd_per_mtok_out), "USD/million output tokens", *shared),
        ("cost", *_exact(found.usd_per_1000_requests), "USD/1000 requests", *shared),
        ("traffic", *_exact(found.requests_per_day), "requests/day", *asked),
        ("capacity", *_ends(found.capacity_per_day), "requests/day", *rate),
        ("copies needed", *_ends(found.replicas_needed), "copies", *rate),
    ]
    rows += [
        (f"{name} p{percent}", *_ends(wait), "s", *waits)
        for name, levels in found.latency_s.items()
        for percent, wait in levels.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _exact(value: float) -> tuple[float, float, float]:
    return value, value, value


def _ends(found: Ranged) -> tuple[float, float, float]:
    return found.value, found.low, found.high
