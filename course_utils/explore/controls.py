"""What a reader can move: a slider, a choice, a switch. Descriptions only; a front end makes the widgets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course_utils.explore import formats

# A log slider moves in steps of a twentieth of a decade, about 12 %.
LOG_STEPS_PER_DECADE = 20


@dataclass(frozen=True)
class Slider:
    """A number between `low` and `high`, in `unit`. `log` spaces it by ratios; then `step` is not used.

    All of value, low, high and step whole: `compute` gets an int. Otherwise a float. ValueError where the
    value lies outside, or a log slider starts at or below 0.
    """

    value: float
    low: float
    high: float
    step: float | None = None
    log: bool = False
    unit: str = ""
    label: str = ""

    def __post_init__(self):
        for name in ("value", "low", "high"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"slider's {name} is {getattr(self, name)}, expected a finite number")
        if not self.low < self.high:
            raise ValueError(f"slider's low is {self.low} and high {self.high}, expected low < high")
        if self.log and self.low <= 0:
            raise ValueError(f"slider's low is {self.low}, expected above 0 for a log slider")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(f"slider's step is {self.step}, expected in (0, {self.high - self.low}]")
        self.check(self.value)

    @property
    def whole(self) -> bool:
        """Whether its values are ints."""
        parts = [self.value, self.low, self.high, *([] if self.step is None else [self.step])]
        return all(isinstance(part, (int, np.integer)) and not isinstance(part, bool) for part in parts)

    @property
    def step_size(self) -> float:
        """Step of a linear slider: the one given, or 1 for whole numbers, or about a hundredth of the way."""
        if self.step is not None:
            return self.step
        if self.whole and self.high - self.low <= 1000:
            return 1
        power = 10.0 ** math.floor(math.log10((self.high - self.low) / 100))
        size = next(
            digit * power for digit in (1, 2, 5, 10) if digit * power >= (self.high - self.low) / 100.5
        )
        return max(1, round(size)) if self.whole else size

    def check(self, value) -> float:
        """`value` as this slider passes it on; ValueError if it lies outside."""
        slack = 1e-9 * (self.high - self.low)
        if not self.low - slack <= value <= self.high + slack:
            raise ValueError(f"value is {value}, expected {self.low} to {self.high}")
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else float(value)

    def snap(self, value: float) -> float:
        """The round number that a dragged handle stands for: two significant digits on a log slider."""
        if self.log and self.low < value < self.high:
            value = round(value, 1 - math.floor(math.log10(value)))
            value = min(max(value, self.low), self.high)
        return round(value) if self.whole else float(value)

    def same_stop(self, value: float, other: float) -> bool:
        """Whether a handle at `value` stands where `other` puts it: no further than half a step."""
        if self.log:
            return abs(math.log10(value / other)) <= 0.5001 / LOG_STEPS_PER_DECADE
        return abs(value - other) <= 0.5001 * self.step_size

    def stops(self, most: int) -> list:
        """At most `most` values from low to high, the default among them."""
        if self.log:
            values = [self.snap(value) for value in np.geomspace(self.low, self.high, most)]
        else:
            count = min(most, round((self.high - self.low) / self.step_size) + 1)
            places = np.round(np.linspace(0, (self.high - self.low) / self.step_size, count))
            values = [self.low + place * self.step_size for place in places]
            # 0.1 + 2 × 0.1 is 0.30000000000000004: keep the digits that the step has.
            values = [self.check(min(round(float(value), 12), self.high)) for value in values]
        # The default takes the place of its nearest neighbour; the ends stay.
        inner = range(1, len(values) - 1) or range(len(values))
        nearest = min(inner, key=lambda at: abs(values[at] - self.value))
        if self.value not in values:
            values[nearest] = self.check(self.value)
        return sorted(set(values))

    def text(self, value) -> str:
        """The readout: value and unit."""
        return formats.with_unit(float(value), self.unit)


@dataclass(frozen=True)
class Choice:
    """One of several. `options` is a list of values, or a dict from what is shown to the value passed on."""

    value: Any
    options: Sequence | Mapping[str, Any] = field(default=())
    label: str = ""

    def __post_init__(self):
        if not len(self.options):
            raise ValueError("choice's options are empty, expected at least one")
        self.check(self.value)

    @property
    def shown(self) -> dict[str, Any]:
        """What is shown, and the value that each stands for."""
        if isinstance(self.options, Mapping):
            return dict(self.options)
        return {str(option): option for option in self.options}

    def check(self, value):
        """`value` itself; ValueError listing the options if it is none of them."""
        if not any(value == option for option in self.shown.values()):
            raise ValueError(
                f"value is {value!r}, expected one of {', '.join(map(repr, self.shown.values()))}"
            )
        return value

    snap = check

    def stops(self, most: int) -> list:
        return list(self.shown.values())

    def text(self, value) -> str:
        return next(name for name, option in self.shown.items() if option == value)


@dataclass(frozen=True)
class Toggle:
    """Yes or no."""

    value: bool
    label: str = ""

    def __post_init__(self):
        self.check(self.value)

    def check(self, value) -> bool:
        """`value` as a bool; ValueError for anything else."""
        if not isinstance(value, (bool, np.bool_)):
            raise ValueError(f"value is {value!r}, expected True or False")
        return bool(value)

    snap = check

    def stops(self, most: int) -> list:
        return [False, True]

    def text(self, value) -> str:
        return "yes" if value else "no"


Control = Slider | Choice | Toggle


def label_of(name: str, control: Control) -> str:
    """What stands beside the control: its label, or its name with spaces."""
    return control.label or name.replace("_", " ").capitalize()
