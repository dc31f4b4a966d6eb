"""Traces of spot capacity, in the layout that SkyPilot publishes: instances alive, tick by tick.

Published traces: https://github.com/skypilot-org/spot-traces (Wu et al., "Can't Be Late", NSDI 2024).
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from course_utils.catalog.provenance import check_range


@dataclass(frozen=True, eq=False)
class Trace:
    """`alive[t]` instances live from `t * gap_s` to `(t + 1) * gap_s`, out of at most `capacity` asked
    for."""

    name: str
    gap_s: float
    alive: np.ndarray = field(repr=False)
    capacity: int

    def __post_init__(self):
        check_range("gap_s", self.gap_s, 1, 86_400)
        check_range("capacity", self.capacity, 1, 10_000)
        alive = np.ascontiguousarray(self.alive, dtype=np.int16)
        if alive.ndim != 1 or not len(alive):
            raise ValueError(f"alive has shape {alive.shape}: one row of at least one tick is needed")
        if alive.min() < 0 or alive.max() > self.capacity:
            raise ValueError(
                f"alive runs from {alive.min()} to {alive.max()}: "
                f"between 0 and capacity={self.capacity} is needed"
            )
        alive.flags.writeable = False
        object.__setattr__(self, "alive", alive)

    @property
    def hours(self) -> float:
        return len(self.alive) * self.gap_s / 3600

    def availability(self, instances: int = 1) -> float:
        """Share of time in which at least `instances` live."""
        return float(np.mean(self.alive >= instances))

    def scaled(self, capacity: int) -> "Trace":
        """The same zone asked for `capacity` instances: each tick gives the same share of them, rounded down.

        Most zones give all or nothing: of the time in which any of 16 instances lived, all 16 did for 73 % to
        94 % (AWS, 2023-08).
        """
        check_range("capacity", capacity, 1, 10_000)
        share = self.alive.astype(np.int64) * int(capacity) // self.capacity
        return replace(self, alive=share, capacity=int(capacity))

    def spells(self) -> tuple[np.ndarray, np.ndarray]:
        """Lengths in hours, and whether any instance lives, in order; the window cuts first and last off."""
        up = self.alive > 0
        edges = np.flatnonzero(np.diff(up)) + 1
        bounds = np.concatenate(([0], edges, [len(up)]))
        return np.diff(bounds) * self.gap_s / 3600, up[bounds[:-1]]


def read_trace(path: str | Path, capacity: int | None = None) -> Trace:
    """A trace from JSON: `{"metadata": {"gap_seconds": 300}, "data": [0, 4, 4, ...]}`; other keys are
    ignored.

    `capacity` is how many instances were asked for; without it, the most that ever lived. ValueError names
    file and key for anything else.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"path={str(path)!r}: can't be read ({error})") from None
    try:
        return _trace(json.loads(text), path.stem, capacity)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name}, line {error.lineno}: not JSON ({error.msg})") from None
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _trace(content, name: str, capacity: int | None) -> Trace:
    if not isinstance(content, dict) or not isinstance(content.get("metadata"), dict):
        raise ValueError("metadata is missing; an object with gap_seconds is needed")
    gap_s = content["metadata"].get("gap_seconds")
    if isinstance(gap_s, bool) or not isinstance(gap_s, int | float) or not 1 <= gap_s <= 86_400:
        raise ValueError(f"metadata.gap_seconds={gap_s!r}: seconds between ticks, 1 to 86400, are needed")
    data = content.get("data")
    if not isinstance(data, list) or not data:
        raise ValueError("data is missing or empty; a list with one count per tick is needed")
    for tick, count in enumerate(data):
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 10_000:
            raise ValueError(f"data[{tick}]={count!r}: a whole number of instances, 0 to 10000, is needed")
    return Trace(name, float(gap_s), np.array(data), max(1, max(data)) if capacity is None else capacity)


def write_trace(trace: Trace, path: str | Path) -> None:
    """Write the same layout, so that a synthetic trace can stand in for a real one anywhere."""
    gap_s = int(trace.gap_s) if trace.gap_s == int(trace.gap_s) else trace.gap_s
    content = {"metadata": {"gap_seconds": gap_s}, "data": trace.alive.tolist()}
    Path(path).write_text(json.dumps(content), encoding="utf-8")
