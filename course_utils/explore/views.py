"""What to draw, before anything draws it: series, a view of them, and the chart's axes.

A view is checked when it is made. A NaN, an infinity or two lengths that differ is a ValueError that names
the series, never a gap in a curve that a reader takes for a result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course_utils.explore import dates, formats

SCALES = ("linear", "log")


def _numbers(series: str, field: str, values) -> np.ndarray:
    """`values` as a float array, finite and one-dimensional."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"series {series!r}: {field} must be numbers, got {values!r}") from None
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"series {series!r}: {field} has shape {array.shape}, expected (n,) with n ≥ 1")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"series {series!r}: {field}[{bad[0]}] is {array[bad[0]]}, expected a finite number")
    array.flags.writeable = False
    return array


def _places(series: str, values) -> tuple[np.ndarray, bool]:
    """x as a float array, and whether it counts days since 1970, because dates were given."""
    days = dates.as_days(values)
    return _numbers(series, "x", values if days is None else days), days is not None


def _same_length(series: str, **fields) -> None:
    lengths = {name: len(values) for name, values in fields.items() if values is not None}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"series {series!r}: {text} values; all must have as many")


class _Series:
    """What the three kinds of series share. `dates`: whether x was given as dates, and now counts days."""

    dates = False

    def _set(self, **fields) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _check_interval(self) -> None:
        if (self.lo is None) != (self.hi is None):
            raise ValueError(f"series {self.name!r}: give both lo and hi, or neither")
        if self.lo is None:
            return
        self._set(lo=_numbers(self.name, "lo", self.lo), hi=_numbers(self.name, "hi", self.hi))
        _same_length(self.name, y=self.y, lo=self.lo, hi=self.hi)
        bad = np.flatnonzero(self.lo > self.hi)
        if bad.size:
            at = bad[0]
            raise ValueError(
                f"series {self.name!r}: lo[{at}] is {self.lo[at]}, above hi[{at}] = {self.hi[at]}"
            )

    @property
    def low(self) -> np.ndarray:
        """Smallest value drawn at each x: the interval's lower end, or y."""
        return self.y if self.lo is None else np.minimum(self.lo, self.y)

    @property
    def high(self) -> np.ndarray:
        """Largest value drawn at each x: the interval's upper end, or y."""
        return self.y if self.hi is None else np.maximum(self.hi, self.y)

    @property
    def spans(self) -> np.ndarray:
        """How far the interval reaches below and above y, shape (2, n); NaN where it has no width."""
        reach = np.array([self.y - self.low, self.high - self.y])
        return np.where(reach.sum(axis=0) > 0, reach, np.nan)


@dataclass(frozen=True, eq=False)
class Line(_Series):
    """A curve over numbers or dates. `lo` and `hi` (units of y) draw a band; `dash` marks a reference line."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    lo: Sequence[float] | None = None
    hi: Sequence[float] | None = None
    dash: bool = False

    def __post_init__(self):
        x, are_dates = _places(self.name, self.x)
        self._set(x=x, dates=are_dates, y=_numbers(self.name, "y", self.y))
        _same_length(self.name, x=self.x, y=self.y)
        self._check_interval()


@dataclass(frozen=True, eq=False)
class Points(_Series):
    """Separate measurements. `labels` names each; `lo` and `hi` (units of y) draw error bars."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    labels: Sequence[str] | None = None
    lo: Sequence[float] | None = None
    hi: Sequence[float] | None = None

    def __post_init__(self):
        x, are_dates = _places(self.name, self.x)
        self._set(x=x, dates=are_dates, y=_numbers(self.name, "y", self.y))
        if self.labels is not None:
            self._set(labels=tuple(str(label) for label in self.labels))
        _same_length(self.name, x=self.x, y=self.y, labels=self.labels)
        self._check_interval()


@dataclass(frozen=True, eq=False)
class Bars(_Series):
    """One bar per category. `x` holds the categories' names; `lo` and `hi` (units of y) draw error bars."""

    name: str
    x: Sequence[str]
    y: Sequence[float]
    lo: Sequence[float] | None = None
    hi: Sequence[float] | None = None

    def __post_init__(self):
        self._set(x=tuple(str(label) for label in self.x), y=_numbers(self.name, "y", self.y))
        _same_length(self.name, x=self.x, y=self.y)
        if len(set(self.x)) < len(self.x):
            twice = next(label for label in self.x if self.x.count(label) > 1)
            raise ValueError(f"series {self.name!r}: category {twice!r} appears twice, expected once each")
        self._check_interval()


@dataclass(frozen=True, eq=False)
class View:
    """What one chart shows now. `title` states the conclusion; `note` says where the numbers come from."""

    title: str
    series: tuple[Line | Points | Bars, ...]
    note: str = ""

    def __post_init__(self):
        series = (self.series,) if isinstance(self.series, _Series) else tuple(self.series)
        object.__setattr__(self, "series", series)
        wrong = [type(one).__name__ for one in series if not isinstance(one, _Series)]
        if wrong or not series:
            raise ValueError(
                f"view {self.title!r}: series must be Line, Points or Bars, got {wrong or 'none'}"
            )
        if not self.title.strip():
            raise ValueError("view's title is empty, expected a sentence that states the conclusion")
        bars = self.bars
        for one in bars:
            if one.x != bars[0].x:
                raise ValueError(f"series {one.name!r}: its categories differ from those of {bars[0].name!r}")
        if len({one.dates for one in series}) > 1:
            raise ValueError(f"view {self.title!r}: x holds dates in some series and numbers in others")
        if bars and len(bars) < len(series):
            raise ValueError(f"view {self.title!r}: Bars can't share a chart with Line or Points")

    @property
    def bars(self) -> tuple[Bars, ...]:
        return tuple(one for one in self.series if isinstance(one, Bars))


@dataclass(frozen=True)
class Chart:
    """The axes: `x` and `y` say quantity and unit, `"Cost per month (USD)"`; scales are linear or log.

    `alt` describes the picture for those who can't see it; left empty, `describe` writes one from the view.
    `x_range` and `y_range` hold an axis still, for explorers in which the eye should follow the curve.
    """

    x: str
    y: str
    x_scale: str = "linear"
    y_scale: str = "linear"
    alt: str = ""
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None

    def __post_init__(self):
        for name in ("x_scale", "y_scale"):
            if getattr(self, name) not in SCALES:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(SCALES)}")
        for axis in ("x", "y"):
            limits = getattr(self, f"{axis}_range")
            if limits is None:
                continue
            low, high = limits
            if not low < high or (getattr(self, f"{axis}_scale") == "log" and low <= 0):
                raise ValueError(
                    f"{axis}_range is {limits}, expected (low, high), low < high, above 0 on a log scale"
                )


def check_scales(view: View, chart: Chart) -> None:
    """ValueError naming the series and the value that a log axis can't show."""
    for one in view.series:
        checks = [("y", chart.y_scale, one.low)]
        if not isinstance(one, Bars):
            checks.append(("x", chart.x_scale, one.x))
        for axis, scale, values in checks:
            if scale == "log" and values.min() <= 0:
                raise ValueError(
                    f"series {one.name!r}: {axis} reaches {values.min():g}, "
                    f"but the {axis} axis is logarithmic: expected numbers above 0"
                )


def describe(view: View, chart: Chart) -> str:
    """Alt text: the chart's own, or title, axes and what each series does from one end to the other."""
    if chart.alt:
        return chart.alt
    x_unit, y_unit = formats.unit_of(chart.x), formats.unit_of(chart.y)
    parts = [f"{view.title.rstrip('.')}.", f"{chart.y} against {chart.x}." if chart.x else f"{chart.y}."]
    for one in view.series:
        parts.append(f"{one.name or 'Series'}: {_summary(one, x_unit, y_unit)}.")
    return " ".join(parts)


def _summary(one: Line | Points | Bars, x_unit: str, y_unit: str) -> str:
    def y_text(value):
        return formats.with_unit(float(value), y_unit)

    def x_text(value):
        return dates.text(value) if one.dates else formats.with_unit(float(value), x_unit)

    labels = one.x if isinstance(one, Bars) else getattr(one, "labels", None)
    if labels is not None and len(labels) <= 8:
        return ", ".join(f"{label} {y_text(value)}" for label, value in zip(labels, one.y, strict=True))
    if labels is not None or isinstance(one, Points):
        return f"{len(one.y)} values from {y_text(one.y.min())} to {y_text(one.y.max())}"
    text = f"from {y_text(one.y[0])} at {x_text(one.x[0])} to {y_text(one.y[-1])} at {x_text(one.x[-1])}"
    if one.lo is not None:
        text += f", where the interval is {y_text(one.lo[-1])} to {y_text(one.hi[-1])}"
    return text
