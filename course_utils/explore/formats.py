"""Numbers as people read them: `$1.2M`, `40 G`, `25 ms`, `1,500`.

The unit decides the form. It is the text in the last brackets of an axis label: `"Cost per month (USD)"`.
"""

import math
import re
from collections.abc import Sequence

_CURRENCIES = {"USD": "$", "US$": "$", "$": "$", "EUR": "€", "€": "€", "GBP": "£", "£": "£"}
_SI_UNIT = re.compile(
    r"^(FLOP|FLOPS|OP|op|B|byte|bytes|bit|bits|W|J|Wh|Hz)(/s|/W|/J| per second)?$",
)
_SHORT = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_SI = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_TIME = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def unit_of(label: str) -> str:
    """Unit in the last brackets of an axis label; "" if it has none."""
    found = re.search(r"\(([^()]*)\)\s*$", label)
    return found.group(1).strip() if found else ""


def currency_of(unit: str) -> str:
    """Sign of the currency that a unit starts with (`"USD per month"` gives `"$"`); "" if it is no money."""
    return _CURRENCIES.get(re.split(r"[\s/]", unit.strip(), maxsplit=1)[0], "")


def kind_of(unit: str) -> str:
    """How a unit's numbers are written: money, si, time, percent, year or count."""
    if currency_of(unit):
        return "money"
    if _SI_UNIT.match(unit):
        return "si"
    if unit in {"s", "seconds"}:
        return "time"
    if unit == "%":
        return "percent"
    return "year" if unit == "year" else "count"


def _scale(kind: str, largest: float, start: float) -> tuple[float, str]:
    """Divisor and its suffix for numbers up to `largest`; below `start` they are written out."""
    if kind == "time":
        return next(((size, f" {name}") for size, name in _TIME if largest >= size), (1e-9, " ns"))
    if kind in {"percent", "year"}:
        return 1.0, ""
    for size, name in _SI if kind == "si" else _SHORT:
        if largest >= max(size, start):
            return size, f" {name}" if kind == "si" else name
    return 1.0, ""


def _write(number: float, decimals: int, suffix: str, unit: str, kind: str) -> str:
    sign = "−" if round(number, decimals) < 0 else ""
    digits = f"{abs(number):.{decimals}f}" if kind == "year" else f"{abs(number):,.{decimals}f}"
    if kind == "money":
        return f"{sign}{currency_of(unit)}{digits}{suffix}"
    return f"{sign}{digits}{suffix}{' %' if kind == 'percent' else ''}"


def _decimals(number: float, significant: int, most: int = 12) -> int:
    """Decimals that show `significant` digits of `number`, without trailing zeros."""
    if number == 0:
        return 0
    most = min(most, max(0, significant - 1 - math.floor(math.log10(abs(number)))))
    digits = f"{abs(number):.{most}f}"
    return len(digits.rstrip("0").partition(".")[2]) if "." in digits else 0


def number(value: float, unit: str = "", significant: int = 3) -> str:
    """One value for a readout or a label: `number(1234567, "USD")` is `"$1.23M"`.

    Rounded to `significant` digits; the unit itself is not appended except where it is part of the number
    (a currency's sign, `%`, `ms`). ValueError for a value that is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"value is {value}: only finite numbers can be written")
    kind = kind_of(unit)
    if value and kind != "year":
        # Rounded first, so that 999,999 is written "1M", not "1,000k".
        value = round(value, significant - 1 - math.floor(math.log10(abs(value))))
    # "1,500 tokens" reads better than "1.5k tokens"; "$1.5k" is how people write money.
    size, suffix = _scale(kind, abs(value), 1e4 if kind == "count" else 1e3)
    scaled = value / size
    decimals = _decimals(scaled, significant)
    # Whole cents, or none: "$1.50", never "$1.5".
    if kind == "money" and size == 1 and 0 < decimals < 2:
        decimals = 2
    return _write(scaled, decimals, suffix, unit, kind)


def numbers(values: Sequence[float], unit: str = "", significant: int = 3) -> list[str]:
    """Values that stand side by side, each as `number` writes it, but cents everywhere if anywhere.

    `$10.00` beside `$6.88`. From $1,000 on, and below $1, each keeps its own digits.
    """
    texts = [number(value, unit, significant) for value in values]
    plain = [1 <= abs(value) < 999.5 for value in values]
    if kind_of(unit) == "money" and any("." in text for text, one in zip(texts, plain, strict=True) if one):
        kind = kind_of(unit)
        texts = [
            _write(float(value), 2 if abs(value) < 100 or "." in text else 0, "", unit, kind) if one else text
            for text, value, one in zip(texts, values, plain, strict=True)
        ]
    return texts


def with_unit(value: float, unit: str = "", significant: int = 3) -> str:
    """Value and unit: `"12k requests"`, `"3.35 TB/s"`, `"$2.50 per hour"`, `"40 %"`."""
    text = number(value, unit, significant)
    kind = kind_of(unit)
    if kind == "money":
        rest = re.sub(r"^\S+?(?=[\s/]|$)", "", unit.strip(), count=1)
        return f"{text}{rest}"
    if kind in {"time", "percent"} or not unit:
        return text
    glue = "" if kind == "si" and text[-1].isalpha() else " "
    return f"{text}{glue}{unit}"


def ticks(values: Sequence[float], unit: str = "", log: bool = False) -> list[str]:
    """Texts for an axis's ticks.

    On a linear axis all share one suffix and one number of decimals (`$0`, `$5k`, `$10k`), and none has one up
    to 9,999 (`$500`, `$1,000`); on a log axis each is written by itself (`$100`, `$1k`). Distinct values get
    distinct texts.
    """
    values = [float(value) for value in values]
    if not all(map(math.isfinite, values)):
        raise ValueError(f"values holds a number that is not finite: {values}")
    if log:
        return [number(value, unit, 4) for value in values]
    kind = kind_of(unit)
    largest = max((abs(value) for value in values), default=0.0)
    size, suffix = _scale(kind, largest, 1e3 if kind == "si" else 1e4) if largest else (1.0, "")
    scaled = [value / size for value in values]
    decimals = max((_decimals(round(value, 12), 12, most=9) for value in scaled), default=0)
    if kind == "money" and size == 1 and decimals == 1:
        decimals = 2
    # Zero needs no suffix, unless that would leave it without its currency.
    return [
        _write(value, 0, "", unit, kind) if value == 0 else _write(value, decimals, suffix, unit, kind)
        for value in scaled
    ]
