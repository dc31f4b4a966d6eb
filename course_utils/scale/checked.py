"""Refuse a number that makes no sense, by name."""

import math


def refuse(name: str, value: float, low: float, high: float = math.inf, *, whole: bool = False) -> None:
    """ValueError unless `value` is a finite number from `low` to `high`, and a whole one where asked."""
    number = isinstance(value, (int, float)) or hasattr(value, "__index__") or hasattr(value, "__float__")
    if number and math.isfinite(value) and low <= value <= high and (not whole or value == int(value)):
        return
    kind = "a whole number" if whole else "a number"
    reach = f"of {low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
    raise ValueError(f"{name}={value!r}: {kind} {reach} is needed")
