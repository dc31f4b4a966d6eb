"""Where a number comes from: typed rows with source and date, their audit, the labels that figures carry.

Every file in `data/` that ends in the columns `source,as_of` is read by `read_rows`, which refuses a row
without either. `audit` says what has become stale or looks wrong.
"""

import csv
import re
from dataclasses import MISSING, dataclass, fields
from datetime import date
from functools import cache
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import get_args, get_type_hints

_PACKAGE = Path(__file__).resolve().parents[1]
# In the wheel the files travel inside the package; in a clone they sit at the top, where people look.
_HOMES = (_PACKAGE / "_data", _PACKAGE.parent / "data")

# Which dataclass reads which file, as module:class, so that the audit can check ranges as well as form.
_ROW_TYPES = {
    "accelerators.csv": "accelerators:Accelerator",
    "api_rules.csv": "api_rules:ApiRule",
    "gpu_prices.csv": "gpu_prices:GpuPrice",
    "models.csv": "models:ModelShape",
}
# Prices move every month; a data sheet or a config.json from last year still holds.
_AGELESS = frozenset(
    {
        "accelerators.csv",
        "models.csv",
        "spot_processes.csv",
        "spot_shocks.csv",
        "spot_drift.csv",
        "traffic_lengths.csv",
        "traffic_fits.csv",
        "traffic_lengths_by_rank.csv",
        "published_runs.csv",
        "grid_intensity.csv",
        "pue.csv",
        "semantic_pairs.csv",
        "prefix_replays.csv",
        "host_links.csv",
        "published_perplexity.csv",
        "published_recovery.csv",
        "published_quality.csv",
        "price_trends.csv",
        "conversation_traces.csv",
        "simulator_errors.csv",
    }
)

_URL = re.compile(r"https?://[\w-]+(\.[\w-]+)+(:\d+)?(/[\w./?%&=~+#@:,!*'()-]*)?")


def data_path(name: str) -> Path:
    """Path of `data/<name>`, in a clone or in an installed wheel. ValueError where there is no such file."""
    for home in _HOMES:
        if (home / name).exists():
            return home / name
    raise ValueError(f"name={name!r}: no such data file; there are {', '.join(_data_files()) or 'none'}")


def _data_files() -> list[str]:
    return sorted({path.name for home in _HOMES if home.is_dir() for path in home.glob("*.csv")})


@cache
def read_rows(name: str | Path, row_type: type) -> tuple:
    """Rows of `data/<name>` (or of a path) as `row_type`, a dataclass whose annotations say how to read them.

    An empty cell is None where the annotation allows it, else the field's default. A tuple[str, ...] cell is
    separated by `;`, a bool is yes or no. ValueError names file, line and column: for a cell that doesn't
    fit, an unknown or absent column, and a row without a source or an ISO date.
    """
    path = name if isinstance(name, Path) else data_path(name)
    rows = []
    for line, cells in _lines(path):
        try:
            rows.append(_row(cells, row_type))
        except ValueError as error:
            raise ValueError(f"{path.name}, line {line}: {error}") from None
    return tuple(rows)


def _lines(path: Path):
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for cells in reader:
            yield reader.line_num, cells


_hints = cache(get_type_hints)


def _row(cells: dict, row_type: type):
    """One dataclass from one CSV line. ValueError says which column, what it holds, what would be right."""
    hints = _hints(row_type)
    wanted = {field.name: field for field in fields(row_type)}
    if None in cells or None in cells.values():
        raise ValueError(
            "as many cells as the header has columns are needed; quote a cell that holds a comma"
        )
    if unknown := set(cells) - set(wanted):
        raise ValueError(
            f"unknown column {sorted(unknown)[0]!r}; {row_type.__name__} has {', '.join(wanted)}"
        )
    if not cells.get("source", "").strip():
        raise ValueError("source is empty; say who publishes this figure")
    values = {}
    for column, field in wanted.items():
        text = cells.get(column, "").strip()
        if text:
            values[column] = _cell(column, text, hints[column])
        elif _optional(hints[column]):
            values[column] = None
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{column} is empty; {_wants(hints[column])} is needed")
    return row_type(**values)


def _optional(hint) -> bool:
    return isinstance(hint, UnionType) and type(None) in get_args(hint)


def _wants(hint) -> str:
    return {date: "an ISO date such as 2026-11-24"}.get(
        hint, f"a value of type {getattr(hint, '__name__', hint)}"
    )


def _cell(column: str, text: str, hint):
    if _optional(hint):
        hint = next(one for one in get_args(hint) if one is not type(None))
    try:
        if hint is date:
            return date.fromisoformat(text)
        if hint is int:
            return int(text.replace("_", ""))
        if hint is float:
            return float(text.replace("_", ""))
        if hint is bool:
            return {"yes": True, "no": False}[text]
    except (ValueError, KeyError):
        raise ValueError(
            f"{column}={text!r}: {_wants(hint)} is needed{' (yes or no)' * (hint is bool)}"
        ) from None
    if hint == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(";") if part.strip())
    return text


def check_range(name: str, value: float | None, low: float, high: float) -> None:
    """ValueError where `value` lies outside [low, high]: most often a wrong unit. None passes."""
    if value is not None and not low <= value <= high:
        raise ValueError(f"{name}={value!r}: between {low:g} and {high:g} is sane; mind the unit")


# Labels: each figure that a chapter prints carries one.


def measured_here() -> str:
    """For a figure that this machine produced just now."""
    return "measured here"


def recorded(on: str, as_of: date | str) -> str:
    """For a replayed run: `on` names the hardware, `as_of` is the day of the run."""
    return f"recorded on {on}, {as_of}"


def published(source: str, as_of: date | str) -> str:
    """For a figure that somebody else states: who, and as of when."""
    return f"published by {source}, {as_of}"


def predicted(lo: float, hi: float, unit: str = "", percent: int = 80) -> str:
    """For a figure from a formula: the interval that holds the truth `percent` times in a hundred."""
    if not lo <= hi:
        raise ValueError(f"lo={lo!r}, hi={hi!r}: lo must not exceed hi")
    return (
        f"predicted ({percent} % interval {short_number(lo)} to {short_number(hi)}{' ' * bool(unit)}{unit})"
    )


def assumed() -> str:
    """For an input that nobody can look up: a salary, a growth rate, a PUE."""
    return "assumed: yours to change"


def short_number(value: float) -> str:
    """For a sentence: whole with thousands apart from 1,000 on, three digits below."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


# The audit.


@dataclass(frozen=True)
class Finding:
    """Something to look at in a data file. Only `kind="stale"` is a warning; every other kind is an error."""

    file: str
    line: int
    kind: str
    message: str

    @property
    def is_error(self) -> bool:
        return self.kind != "stale"


def audit(today: date | None = None, max_age_days: int = 180, folder: Path | None = None) -> list[Finding]:
    """What is stale or wrong in every `data/*.csv` that has `source` and `as_of` columns.

    Kinds: `stale` (older than `max_age_days`; data sheets and model shapes don't age like that), `future`,
    `malformed` (a cell or range that doesn't hold, no source, no date), `source` (a link that isn't one, or a
    file of this machine), `duplicate`, `accelerator` (a price for a chip that the catalog lacks).
    """
    if max_age_days < 1:
        raise ValueError(f"max_age_days={max_age_days!r}: at least 1 is needed")
    today = today or date.today()
    paths = sorted(folder.glob("*.csv")) if folder else [data_path(name) for name in _data_files()]
    findings: list[Finding] = []
    for path in paths:
        seen: dict[tuple, int] = {}
        for line, cells in _lines(path):
            if not {"source", "as_of"} <= set(cells):
                break
            for kind, message in _row_findings(path.name, cells, seen, line, today, max_age_days):
                findings.append(Finding(path.name, line, kind, message))
    return findings


def _row_findings(file: str, cells: dict, seen: dict, line: int, today: date, max_age_days: int):
    row_type = _row_type(file)
    if row_type:
        try:
            _row(cells, row_type)
        except ValueError as error:
            yield "malformed", str(error)
    source = (cells["source"] or "").strip()
    if not row_type and not source:
        yield "malformed", "source is empty; say who publishes this figure"
    if source.startswith(("/", "~", "file:")):
        yield "source", f"source={source!r}: a place that everybody can look at is needed"
    for link in re.findall(r"https?:\S*", source):
        if not _URL.fullmatch(link.rstrip(";,)")):
            yield "source", f"{link!r} is not a link"
    yield from _age_findings(file, cells["as_of"] or "", today, max_age_days)

    columns = getattr(row_type, "KEY", None) or [
        c for c in cells if c not in ("source", "as_of", "note", None)
    ]
    key = tuple((cells.get(column) or "").strip().casefold() for column in columns)
    if key in seen:
        yield "duplicate", f"same {', '.join(columns)} as line {seen[key]}"
    seen.setdefault(key, line)

    name = (cells.get("accelerator") or "").strip()
    if name and file != "accelerators.csv":
        accelerators = import_module("course_utils.catalog.accelerators")
        if name not in {chip.name for chip in accelerators.accelerators()}:
            yield "accelerator", f"accelerator={name!r} is not a name in accelerators.csv"


def _age_findings(file: str, text: str, today: date, max_age_days: int):
    try:
        as_of = date.fromisoformat(text.strip())
    except ValueError:
        if not _row_type(file):
            yield "malformed", f"as_of={text!r}: an ISO date such as 2026-11-24 is needed"
        return
    age_days = (today - as_of).days
    if age_days < 0:
        yield "future", f"as_of={as_of} is after today, {today}"
    elif age_days > max_age_days and file not in _AGELESS:
        yield "stale", f"as_of={as_of} is {age_days} days old; look the figure up again"


@cache
def _row_type(file: str):
    if file not in _ROW_TYPES:
        return None
    module, name = _ROW_TYPES[file].split(":")
    return getattr(import_module(f"course_utils.catalog.{module}"), name)
