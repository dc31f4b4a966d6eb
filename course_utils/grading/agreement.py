"""When two answers count as equal: within a ratio, whatever kind of number or sequence they come as."""

import math
from collections.abc import Mapping, Sequence, Set
from numbers import Number
from typing import Any


def plain(value: Any) -> Any:
    """The value in Python's own types.

    Numbers of any kind (numpy, Fraction, Decimal, int) become float, sequences and arrays lists, tables a
    dict of columns. What has no plain form comes back as it is.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):  # also numpy's, by str's own method: an answer's could be anything
        return str.__str__(value)
    if isinstance(value, float):
        return float(value)
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a table, without its index
        return {str(column): plain(value[column]) for column in value.columns}
    if hasattr(value, "tolist"):  # numpy scalars and arrays, pandas series
        value = value.tolist()
        if not isinstance(value, list | Number):
            return value
    if isinstance(value, bool):
        return value
    if isinstance(value, Number) and not isinstance(value, complex):
        return float(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    if isinstance(value, Set):
        return sorted((plain(item) for item in value), key=repr)
    return value


def agrees(returned: Any, expected: Any, close: float, near_zero: float = 0.0) -> bool:
    """True if `returned` is `expected`: numbers within a ratio `close` (or `near_zero`), the rest exactly.

    Both are `plain`. Sequences must have the same length, tables the same keys.
    """
    if isinstance(expected, bool) or isinstance(returned, bool):
        return isinstance(expected, bool) and isinstance(returned, bool) and expected == returned
    if isinstance(expected, float):
        return isinstance(returned, float) and math.isclose(
            returned, expected, rel_tol=close, abs_tol=near_zero
        )
    if isinstance(expected, list):
        return (
            isinstance(returned, list)
            and len(returned) == len(expected)
            and all(
                agrees(one, other, close, near_zero) for one, other in zip(returned, expected, strict=True)
            )
        )
    if isinstance(expected, dict):
        return (
            isinstance(returned, dict)
            and returned.keys() == expected.keys()
            and all(agrees(returned[key], item, close, near_zero) for key, item in expected.items())
        )
    return type(returned) is type(expected) and bool(returned == expected)


def largest(value: Any) -> float:
    """The largest magnitude among the finite numbers of a plain value; 0.0 without one."""
    if isinstance(value, float):
        return abs(value) if math.isfinite(value) else 0.0
    if isinstance(value, list):
        return max((largest(item) for item in value), default=0.0)
    if isinstance(value, dict):
        return max((largest(item) for item in value.values()), default=0.0)
    return 0.0
