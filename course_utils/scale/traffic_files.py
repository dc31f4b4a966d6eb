"""Traffic in files: three layouts in, one out.

    read_traffic("traffic.csv")             arrived_at,input_tokens,output_tokens and, as you have them, tenant,
                                            prefix_id, prefix_tokens, priority; arrived_at in seconds or as a time
    read_traffic("azure.csv")               TIMESTAMP,ContextTokens,GeneratedTokens (Azure/AzurePublicDataset)
    read_traffic("mooncake.jsonl")          timestamp, input_length, output_length, hash_ids (kvcache-ai/Mooncake)

Rows needn't be in order: they are sorted by arrival, and `origin` says so. Times, and seconds since 1970, become
seconds since the first of them. An answer of 0 tokens is refused, but in Mooncake's layout, where it counts as 1.
Taught in: chapter 09.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.cache.conversations import read_mooncake
from course_utils.estimate.log_file import csv_bytes, not_utf8
from course_utils.estimate.request_log import unix_seconds
from course_utils.scale.sessions import traffic_of_conversations
from course_utils.scale.traffic import Traffic
from course_utils.whole_files import whole

_AZURE = {"TIMESTAMP": "arrived_at", "ContextTokens": "input_tokens", "GeneratedTokens": "output_tokens"}
_NEEDED = ("arrived_at", "input_tokens", "output_tokens")
_OPTIONAL = ("prefix_id", "prefix_tokens", "priority")
_TENANT = "tenant"


def read_traffic(path: str | Path) -> Traffic:
    """Traffic from a file; what its first line holds tells the layout. `.gz` and the like are unpacked.

    ValueError names file, line and column of what doesn't fit.
    """
    path = Path(path)
    if not path.is_file():
        what = (
            "a folder: name the file in it"
            if path.is_dir()
            else f"there is no such file in {path.parent.resolve()}"
        )
        raise ValueError(f"path={str(path)!r}: {what}")
    if ".jsonl" in path.suffixes or path.suffix == ".json":
        return traffic_of_conversations(read_mooncake(path), f"read from {path.name}")
    try:
        header = pd.read_csv(path, nrows=0, skipinitialspace=True).columns
        columns = [_AZURE.get(name, name) for name in header]
        if lacking := [name for name in _NEEDED if name not in columns]:
            if path.suffix in (".csv", ".txt", ".gz"):
                csv_bytes(path)  # semicolons, a spreadsheet: it says so
            raise ValueError(
                f"columns are {', '.join(header)}; {', '.join(lacking)} is missing. Needed are {', '.join(_NEEDED)} "
                f"or {', '.join(_AZURE)}"
            )
        return _traffic(path, _table(path, columns))
    except pd.errors.EmptyDataError:
        raise ValueError(
            f"{path.name}: it is empty; a first line with the names of its columns is needed"
        ) from None
    except UnicodeDecodeError:
        raise not_utf8(path.name, csv_bytes(path)[0]) from None
    except (OSError, ValueError) as problem:
        said = str(problem).strip()
        raise ValueError(said if said.startswith(path.name) else f"{path.name}: {said}") from None


def _table(path: Path, names: list[str]) -> pd.DataFrame:
    """The columns of use, as numbers where all of it is numbers; else as text, for an error that names the line."""
    used = [name for name in names if name in (*_NEEDED, *_OPTIONAL, _TENANT)]
    # An empty cell is no number, and a tenant may be called NA.
    read = {
        "names": names,
        "header": 0,
        "skipinitialspace": True,
        "skip_blank_lines": False,
        "keep_default_na": False,
    }
    if len(used) < len(names):
        read["usecols"] = used
    tenant = {_TENANT: "category"} if _TENANT in used else {}
    numbers = {name: np.int64 for name in used if name not in ("arrived_at", _TENANT)}
    try:
        table = pd.read_csv(path, dtype=numbers | tenant, **read)
    except pd.errors.ParserError:
        raise
    except (ValueError, OverflowError):
        table = pd.read_csv(path, dtype=dict.fromkeys(numbers, str) | tenant, **read)
        for name in numbers:
            values = pd.to_numeric(table[name], errors="coerce")
            table[name] = _checked(table[name], values, _is_whole(values), "a whole number")
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(f"line 2 has more cells than the {len(names)} of the first line")
    return table


def _traffic(path: Path, table: pd.DataFrame) -> Traffic:
    if not len(table):
        raise ValueError("there are no requests in it; at least one line is needed")
    seconds = _seconds(table["arrived_at"])
    for name, low in (("input_tokens", 1), ("output_tokens", 1), ("prefix_id", -1), ("prefix_tokens", 0)):
        if name in table:
            _checked(table[name], table[name], table[name] >= low, f"{low} or more")
    if "prefix_tokens" in table:
        prefix = table["prefix_tokens"]
        _checked(prefix, prefix, prefix <= table["input_tokens"], "no more than input_tokens")
    in_order = bool(np.all(seconds[1:] >= seconds[:-1]))
    order = slice(None) if in_order else np.argsort(seconds, kind="stable")
    arrays = {name: table[name].to_numpy()[order] for name in (*_NEEDED[1:], *_OPTIONAL) if name in table}
    tenant, tenants = None, ("",)
    if _TENANT in table:
        column = table[_TENANT].astype("category")
        tenant, tenants = column.cat.codes.to_numpy()[order], tuple(map(str, column.cat.categories))
    origin = f"read from {path.name}" + ("" if in_order else ", sorted by arrival")
    return Traffic(
        seconds[order], name=path.name.split(".")[0], origin=origin, tenant=tenant, tenants=tenants, **arrays
    )


def _seconds(column: pd.Series) -> np.ndarray:
    """Seconds as they stand, or times as seconds since the earliest."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        seconds = unix_seconds(column.astype(float))
        _checked(column, seconds, (seconds >= 0) & (seconds < np.inf), "seconds from 0 on")
        # Three years of seconds, or Unix time: a load that starts 50 years late would be billed for them.
        return (seconds - seconds.min() * (seconds.min() > 1e8)).to_numpy()
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().mean() >= 0.5:  # seconds, and a line that isn't one
        _checked(column, numbers, numbers.notna(), "a number of seconds (with a point, no comma)")
    # Mixed offsets and none at all are both met in logs; a time without one is taken as UTC.
    times = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    wanted = "a time such as 2026-11-24T10:00:00.250, or seconds in every line,"
    _checked(column, times, times.notna(), wanted)
    return ((times - times.min()) / pd.Timedelta(1, "s")).to_numpy()


def _checked(shown: pd.Series, values: pd.Series, fits: pd.Series, wanted: str) -> pd.Series:
    """`values`, all of which fit. ValueError with the line and what it shows for the first that doesn't."""
    if not fits.all():
        place = int(np.argmin(fits))
        cell = shown.iloc[place]
        cell = cell.item() if isinstance(cell, np.generic) else cell
        raise ValueError(f"line {place + 2}: {shown.name}={cell!r}: {wanted} is needed")
    return values


def _is_whole(values: pd.Series) -> pd.Series:
    return (values == np.floor(values)) & (values.abs() < 2.0**63)


def write_traffic(traffic: Traffic, path: str | Path) -> Path:
    """Write the course's own layout, to the microsecond; `read_traffic` reads it back. The file appears whole.

    Columns that say nothing (no prefixes, one tenant, no priorities) are left out.
    """
    path = Path(path)
    columns = {
        "arrived_at": np.round(traffic.arrived_s, 6),
        "input_tokens": traffic.input_tokens,
        "output_tokens": traffic.output_tokens,
    }
    if traffic.tenants != ("",):
        columns[_TENANT] = pd.Categorical.from_codes(traffic.tenant, categories=list(traffic.tenants))
    if (traffic.prefix_id >= 0).any():
        columns["prefix_id"], columns["prefix_tokens"] = traffic.prefix_id, traffic.prefix_tokens
    if traffic.priority.any():
        columns["priority"] = traffic.priority
    with whole(path) as part:
        pd.DataFrame(columns).to_csv(part, index=False, lineterminator="\n")
    return path
