"""Where an axis starts and ends and which ticks it carries: decided here once, so both libraries agree.

Limits are round numbers. In an explorer they are few: 1, 2, 3, 5, 10, so that the axis stands still while a slider
moves, and the eye follows the curve. A static chart takes a nearer one, and fills its frame.
"""

import math
from dataclasses import dataclass

import numpy as np

from course_utils.explore import dates, formats
from course_utils.explore.views import Chart, Points, View

_COARSE = (1.0, 2.0, 3.0, 5.0, 10.0)
_FINE = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0)
# Whole numbers are not divided; months are counted by the year's parts.
_WHOLE_STEPS = (1.0, 2.0, 5.0)
_MONTH_STEPS = (1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 36.0, 60.0, 120.0)
# A linear axis starts at zero, unless even the lowest value lies above this share of the highest. An explorer's
# axis gives zero up later: its data would else cross that line to and fro.
_ZERO_BELOW, _ZERO_BELOW_STEADY = 0.6, 0.9
_BAR_ROOM = 1.06
_POINT_ROOM = 0.03


@dataclass(frozen=True)
class Axis:
    """One planned axis: limits and ticks in data units, ticks with their texts."""

    low: float
    high: float
    ticks: tuple[float, ...]
    texts: tuple[str, ...]
    log: bool
    label: str
    dates: bool = False

    def share(self, values):
        """Position of `values` along the axis: 0 at its start, 1 at its end."""
        values = np.asarray(values, dtype=float)
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            return (np.log10(values) - low) / (high - low)
        return (values - self.low) / (self.high - self.low)

    def at(self, share):
        """Value at a position between 0 and 1: the inverse of `share`."""
        share = np.asarray(share, dtype=float)
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            return 10 ** (low + share * (high - low))
        return self.low + share * (self.high - self.low)


# 1, 2, 5, 15, 30 min, 1, 2, 6, 12 h, 1, 3, 10 d
_CLOCK_S = (60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0, 86400.0, 259200.0, 864000.0)


def round_up(value: float, steps: tuple[float, ...] = _FINE) -> float:
    """Smallest round number not below `value` > 0: one of `steps` times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return power * next(step for step in steps if step * power >= value * (1 - 1e-9))


def round_down(value: float, steps: tuple[float, ...] = _FINE) -> float:
    """Largest such round number not above `value` > 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return power * next(step for step in reversed(steps) if step * power <= value * (1 + 1e-9))


def linear_limits(low: float, high: float, steady: bool = False) -> tuple[float, float]:
    """Round limits around data from `low` to `high`; few of them if `steady`."""
    steps, zero_below = (_COARSE, _ZERO_BELOW_STEADY) if steady else (_FINE, _ZERO_BELOW)
    if low == high == 0:
        return 0.0, 1.0
    # Nothing to tell apart: a flat line, drawn against zero.
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = min(low, 0.0), max(high, 0.0)
    if low >= 0 and low <= zero_below * high:
        return 0.0, round_up(high, steps)
    if high <= 0 and high >= zero_below * low:
        return -round_up(-low, steps), 0.0
    step = round_up((high - low) / (2 if steady else 5), steps)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def log_limits(low: float, high: float, steady: bool = False) -> tuple[float, float]:
    """Round limits around data from `low` to `high`, both above 0, at least a decade apart; decades if `steady`."""
    steps = (1.0, 10.0) if steady else _FINE
    bottom, top = round_down(low, steps), round_up(high, steps)
    if top / bottom < 10 * (1 - 1e-9):
        middle = math.sqrt(low * high)
        bottom, top = min(bottom, round_down(middle / 3.1)), max(top, round_up(middle * 3.1))
    return bottom, top


def linear_ticks(low: float, high: float, most: int = 6, steps: tuple = ()) -> tuple[float, ...]:
    """At most `most` ticks, at multiples of 1, 2, 2.5 or 5 times a power of ten, or of the smallest of `steps`."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for size in steps or (power, 2 * power, 2.5 * power, 5 * power, 10 * power, 20 * power):
        first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
        if last - first + 1 <= most:
            break
    # Rounded at the step's own precision: 3 × 0.1 is a tick at 0.3, not at 0.30000000000000004.
    digits = max(0, 2 - math.floor(math.log10(size)))
    return tuple(round(index * size, digits) for index in range(first, last + 1))


def _steps_for(label: str, whole: bool, high: float) -> tuple[float, ...]:
    """Sizes of steps that suit what the axis counts; () for any."""
    if not whole:
        return ()
    if "month" in label.lower() and high <= 600:
        return _MONTH_STEPS
    return tuple(step * 10.0**power for power in range(13) for step in _WHOLE_STEPS)


def log_ticks(low: float, high: float, most: int = 7) -> tuple[float, ...]:
    """Powers of ten inside the limits, thinned to `most`; with 1-2-5 or 1-3 where they are few."""
    decades = range(math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [
            digit * 10.0**decade
            for decade in decades
            for digit in digits
            if low * (1 - 1e-9) <= digit * 10.0**decade <= high * (1 + 1e-9)
        ]
        if len(found) <= most:
            return tuple(found)
    # Counted from zero, so a thinned axis keeps 1, 1000, 1 million.
    every = math.ceil(len(found) / most)
    return tuple(value for value in found if round(math.log10(value)) % every == 0)


def clock_ticks(values: tuple[float, ...], low: float, high: float, most: int = 7) -> tuple[float, ...]:
    """`values` of a log axis in seconds that goes beyond a minute, with 5 min and 2 h in place of 5.556 and 2.778."""
    seconds = [value for value in values if value <= 30]
    for clock in (_CLOCK_S, _CLOCK_S[::2]):
        found = [*seconds, *(at for at in clock if low * (1 - 1e-9) <= at <= high * (1 + 1e-9))]
        if len(found) <= most:
            break
    return tuple(found)


def _padded(low: float, high: float, scale: str) -> tuple[float, float]:
    """Ends a little further out, where points would stand half outside; an amount stays above zero."""
    if scale == "log":
        factor = (high / low) ** _POINT_ROOM
        return low / factor, high * factor
    room = (high - low) * _POINT_ROOM
    return (max(low - room, 0.0) if low >= 0 else low - room), high + room


def plan_axis(
    low: float,
    high: float,
    label: str,
    scale: str,
    fixed: tuple[float, float] | None = None,
    *,
    tight: bool = False,
    whole: bool = False,
    steady: bool = False,
) -> Axis:
    """The axis for data from `low` to `high`.

    fixed: limits to use instead of round ones. tight: end where the data end. whole: ticks at whole numbers.
    steady: few limits, for data that move.
    """
    log = scale == "log"
    if fixed is not None:
        low, high = map(float, fixed)
    elif not tight or low == high:
        low, high = log_limits(low, high, steady) if log else linear_limits(low, high, steady)
    values = log_ticks(low, high) if log else linear_ticks(low, high, steps=_steps_for(label, whole, high))
    unit = formats.unit_of(label)
    if log and unit in ("s", "seconds") and high >= 60:
        values = clock_ticks(values, low, high)
    texts = formats.ticks(values, unit, log)
    return Axis(low, high, values, tuple(texts), log, label)


def _plan_dates(low: float, high: float, label: str, tight: bool) -> Axis:
    """The axis for days from `low` to `high`, with half a day around them where it is not `tight`."""
    if not tight or low == high:
        low, high = low - 0.5, high + 0.5
    places, texts = dates.ticks(low, high)
    return Axis(low, high, places, texts, False, label, dates=True)


def plan_axes(view: View, chart: Chart, steady: bool = False) -> tuple[Axis, Axis]:
    """The x and y axes of a view; `steady` for an explorer. Bars' x axis runs over categories: 0, 1, 2 …"""
    low = min(float(one.low.min()) for one in view.series)
    high = max(float(one.high.max()) for one in view.series)
    if view.bars:
        if chart.y_scale == "linear":
            # Bars start at zero, and leave room for the value above the highest.
            low, high = min(low, 0.0), max(high * _BAR_ROOM, 0.0)
        names = view.bars[0].x
        across = Axis(-0.5, len(names) - 0.5, tuple(map(float, range(len(names)))), names, False, chart.x)
        return across, plan_axis(low, high, chart.y, chart.y_scale, chart.y_range, steady=steady)
    points = any(isinstance(one, Points) for one in view.series)
    # Round limits leave room by themselves, but at a point that is round.
    if points and not steady:
        low, high = _padded(low, high, chart.y_scale)
    up = plan_axis(low, high, chart.y, chart.y_scale, chart.y_range, steady=steady)
    left = min(float(one.x.min()) for one in view.series)
    right = max(float(one.x.max()) for one in view.series)
    # Curves run edge to edge; where points move, the axis stands still for them.
    tight = left < right and not (points and steady)
    if view.series[0].dates:
        return _plan_dates(left, right, chart.x, tight and not points), up
    if points and not steady:
        left, right = _padded(left, right, chart.x_scale)
    whole = all(bool((one.x == one.x.round()).all()) for one in view.series)
    across = plan_axis(
        left, right, chart.x, chart.x_scale, chart.x_range, tight=tight, whole=whole, steady=steady
    )
    return across, up
