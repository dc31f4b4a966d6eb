"""What a student reads after a check: one headline, then what to look at, as text or as HTML."""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from reprlib import Repr
from typing import Any

_EDGE = {"right": "#1a7f37", "not yet": "#b35900", "not attempted yet": "#6e7781"}

_short = Repr()
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 8
_short.maxlevel, _short.maxstring, _short.maxother, _short.maxlong = 4, 80, 120, 40


@dataclass(frozen=True)
class Feedback:
    """`state` is one of right, not yet, not attempted yet; `headline` and `sentences` are plain text."""

    state: str
    headline: str
    sentences: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join((self.headline, *self.sentences))

    def as_html(self) -> str:
        """The same as HTML. Everything a student's function returned, printed or raised is escaped."""
        rest = "".join(f"<p style='margin:0.3em 0 0'>{html.escape(line)}</p>" for line in self.sentences)
        return (
            f"<div role='status' style='border-left:5px solid {_EDGE[self.state]};padding:0.4em 0.8em;"
            "overflow-wrap:anywhere'>"
            f"<strong>{html.escape(self.headline)}</strong>{rest}</div>"
        )


def shown(value: Any) -> str:
    """A value on one line, cut where it is long; a number without digits that say nothing."""
    if hasattr(value, "columns") and hasattr(value, "shape"):
        return f"a table of {value.shape[0]} rows with {', '.join(map(str, value.columns))}"
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return number(value)
    try:
        return _short.repr(value)
    except Exception:
        return f"a {type(value).__name__}"


def number(value: float) -> str:
    """Six significant digits, thousands set apart: 0.0025, 1,200,000, 3.14159e+17."""
    if 1000 <= abs(value) < 1e15:
        return f"{float(f'{value:.6g}'):,.10g}"
    return f"{value:.6g}"


def counted(number_of: float, thing: str) -> str:
    """`1 point`, `2.5 points`."""
    return f"{number(number_of)} {thing}{'' if number_of == 1 else 's'}"


def kind_of(value: Any) -> str:
    """What a plain value is, in a word: `a number`, `a text`, `a list of 3`."""
    if isinstance(value, bool):
        return "True or False"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    kinds = {float: "a number", str: "a text", dict: "a dict"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def parameters_of(function: Callable[..., Any]) -> list[str]:
    """The names of what a function is called with by position."""
    return [
        name
        for name, parameter in signature(function).parameters.items()
        if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]


def call_with(reference: Callable[..., Any], args: Sequence[Any]) -> str:
    """How a question calls the function: `input_tokens=1000, usd_per_mtok=2.5`."""
    names = parameters_of(reference)
    named = [f"{name}={shown(arg)}" for name, arg in zip(names, args, strict=False)]
    return ", ".join([*named, *(shown(arg) for arg in args[len(names) :])])


def how_far(returned: Any, expected: Any) -> str:
    """The ratio of two plain numbers in words, empty where there is none: it gives unit mistakes away."""
    if not (isinstance(returned, float) and isinstance(expected, float)):
        return ""
    if not (math.isfinite(returned) and math.isfinite(expected)) or returned == 0 or expected == 0:
        return ""
    ratio = returned / expected
    if ratio < 0:
        return " (the sign is the other way round)"
    if 0.5 < ratio < 2:
        return f" ({abs(ratio - 1):.2%} too {'high' if ratio > 1 else 'low'})"
    return f" ({number(ratio)} times too large)" if ratio > 1 else f" ({number(1 / ratio)} times too small)"
