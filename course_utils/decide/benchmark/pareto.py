"""Who is beaten on all counts, and by whom? A point is on the front unless another is no worse in anything, and
better in something. All quantities here are better when they are smaller: seconds, bytes, dollars, lost quality.

A measured point is a cloud. One that is *shown* to be beaten lies above the other's interval in everything that was
sampled; what is beaten but not shown to be may be on the front after all, and more samples would tell.
Taught in: chapter 12, section 4.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd


def dominators(points: Mapping[str, Sequence[float]]) -> dict[str, tuple[str, ...]]:
    """For each point the names of those that beat it: no larger in anything, and smaller in something.

    points: by name, quantities in one order, smaller is better. ValueError for lengths that differ, or a NaN.
    """
    values = _checked(points)
    names = list(points)
    no_worse = (values[:, None, :] <= values[None, :, :]).all(axis=2)
    better = (values[:, None, :] < values[None, :, :]).any(axis=2)
    beats = no_worse & better
    return {name: tuple(names[row] for row in np.flatnonzero(beats[:, at])) for at, name in enumerate(names)}


def front(points: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    """Names that nobody beats, in the order given; of equal points both."""
    return tuple(name for name, by in dominators(points).items() if not by)


def shown_dominators(table: pd.DataFrame, quantities: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """As `dominators`, but a point counts as beaten only where no sample could have said otherwise.

    table: a summary, indexed by variant. Where it has a quantity's `_lo` and `_hi`, the other's upper end has to lie
    at or below this one's lower end; where it hasn't, the value itself.
    """
    low, high = (
        _checked({name: [row.get(f"{q}{end}", row[q]) for q in quantities] for name, row in table.iterrows()})
        for end in ("_lo", "_hi")
    )
    names = list(table.index)
    beats = (high[:, None, :] <= low[None, :, :]).all(axis=2) & (high[:, None, :] < low[None, :, :]).any(
        axis=2
    )
    return {name: tuple(names[row] for row in np.flatnonzero(beats[:, at])) for at, name in enumerate(names)}


def _checked(points: Mapping[str, Sequence[float]]) -> np.ndarray:
    if not points:
        raise ValueError("points is empty, expected at least one")
    lengths = {name: len(values) for name, values in points.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"points have {lengths} quantities; all must have as many, in one order")
    values = np.array([list(row) for row in points.values()], dtype=float)
    if np.isnan(values).any():
        bad = list(points)[int(np.flatnonzero(np.isnan(values).any(axis=1))[0])]
        raise ValueError(f"point {bad!r} holds a NaN, expected numbers")
    return values
