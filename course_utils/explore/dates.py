"""Dates on an axis: days since 1970 inside, `3 May` and `2026` outside."""

import numpy as np

# Steps of ticks, from fine to coarse: (count, numpy's unit).
_STEPS = (
    *((count, "D") for count in (1, 2, 5, 10)),
    *((count, "M") for count in (1, 2, 3, 6)),
    *((count, "Y") for count in (1, 2, 5, 10, 20, 50)),
)


def as_days(values) -> np.ndarray | None:
    """Days since 1970-01-01 as floats, where `values` are dates or times; None where they are anything else.

    Takes what numpy and pandas call datetime64, and `datetime.date` and `datetime.datetime` (as they stand,
    without time zones).
    """
    array = np.asarray(values)
    if array.dtype == object and array.size and all(hasattr(one, "isoformat") for one in array.flat):
        array = np.array([one.isoformat()[:19] for one in array.flat], dtype="datetime64[s]")
    if array.dtype.kind != "M":
        return None
    days = array.astype("datetime64[s]").astype(float) / 86_400
    days[np.isnat(array)] = np.nan
    return days


def text(days: float) -> str:
    """`12 Mar 2026`."""
    date = np.datetime64(int(np.floor(days)), "D").item()
    return f"{date.day} {date:%b %Y}"


def ticks(low: float, high: float, most: int = 6) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """At most `most` starts of days, months or years between two days, with their texts.

    The year stands at the first tick and wherever it changes.
    """
    first, last = np.datetime64(int(np.floor(low)), "D"), np.datetime64(int(np.floor(high)), "D")
    for count, unit in _STEPS:
        found = _starts(first, last, count, unit)
        places = found.astype("datetime64[D]").astype(float)
        found, places = found[(places >= low) & (places <= high)], places[(places >= low) & (places <= high)]
        if len(places) <= most:
            break
    texts, year = [], None
    for one in found.astype("datetime64[D]").tolist():
        part = {"D": f"{one.day} {one:%b}", "M": f"{one:%b}", "Y": ""}[unit]
        texts.append(" ".join(filter(None, [part, str(one.year) if one.year != year or unit == "Y" else ""])))
        year = one.year
    return tuple(places.tolist()), tuple(texts)


def _starts(first, last, count: int, unit: str) -> np.ndarray:
    """Every count-th day of a month, month of a year, or year, from `first` to `last`."""
    if unit == "D":
        days = np.arange(first, last + 1)
        if count == 1:
            return days
        of_month = (days - days.astype("datetime64[M]")).astype(int)
        # The 1st, 6th, 11th …, but not the 31st, a day before the next 1st.
        return days[(of_month % count == 0) & (of_month < 30 - count // 2)]
    steps = np.arange(first.astype(f"datetime64[{unit}]"), last.astype(f"datetime64[{unit}]") + 1)
    # Counted from 1970: quarters start in January, decades at their zero.
    return steps[steps.astype(int) % count == 0]
