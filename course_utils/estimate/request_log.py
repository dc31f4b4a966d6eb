"""Your own request log: read, checked row by row, nothing dropped without a word.

Columns: `arrived_at` (ISO time, or seconds), `model`, `input_tokens`, `output_tokens`; optional are
`cached_read_tokens`, `cache_write_tokens`, `cache_write_1h_tokens` (kept for an hour, at a price of its own,
and not part of the other), `reasoning_tokens`, `team`, `feature`, `batch`. The names that common exports use are
understood (`prompt_tokens`, `ContextTokens`, ...); any other column is named in the note. A million rows take
seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.catalog.api_prices import ApiPrice, api_price
from course_utils.estimate.log_columns import (
    REQUIRED,
    counts_cached_beside,
    counts_thoughts_beside,
    counts_written_together,
    find_columns,
    sums_of_requests,
    unread,
)
from course_utils.estimate.log_file import LogFile, not_utf8, open_log

_CACHED = ("cached_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
_COUNTS = ("input_tokens", "output_tokens", *_CACHED, "reasoning_tokens")
_TEXTS = ("model", "team", "feature", "batch")
_BLANK = ["", "nan", "NaN", "null", "None", "NA", "N/A", "-"]
_MAX_TOKENS = 1e9  # more in one request is a sum of many, or a slip
_MAX_MODELS = 2000  # more than there are on any price list: an identifier, most likely


@dataclass(frozen=True)
class BadRow:
    """A line that can't be billed: its number in the file, why, and what it says."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True)
class RequestLog:
    """The sound rows, one a request, and the bad ones: together all lines under the header.

    `rows`: columns as in the module's text, all of them, plus `line`; times in UTC. `prices`: of every model.
    `note`: how the columns were read, and which were not.
    """

    name: str
    rows: pd.DataFrame = field(repr=False)
    bad_rows: tuple[BadRow, ...] = field(repr=False)
    prices: Mapping[str, ApiPrice] = field(repr=False)
    note: str = ""

    @property
    def lines(self) -> int:
        return len(self.rows) + len(self.bad_rows)

    def bad_table(self) -> pd.DataFrame:
        """The bad rows as a table: line, reason, text."""
        return pd.DataFrame([vars(row) for row in self.bad_rows], columns=["line", "reason", "text"])

    def __str__(self) -> str:
        return f"{self.name}: {len(self.rows):,} rows, {len(self.bad_rows):,} bad ones" + (
            f"; {self.note}" if self.note else ""
        )


def read_log(
    path: str | Path,
    *,
    model: str | None = None,
    prices: Mapping[str, ApiPrice] | None = None,
    cached: str | None = None,
    start: date | str = "1970-01-01",
) -> RequestLog:
    """Read and check a request log (CSV, also gzipped).

    model: of every request, for a log without that column. prices: your own, by model name; others come from
    the price list. cached: "inside" where input_tokens includes the cached and written tokens (as OpenAI
    counts), "beside" where it doesn't (as Anthropic counts); by default the column names decide. start: the
    day of a log's second 0, where it counts seconds; by default they are Unix time.

    ValueError for a file that can't be a log at all; everything else is a bad row.
    """
    if cached not in (None, "inside", "beside"):
        raise ValueError(f"cached={cached!r}: 'inside', 'beside' or None is needed")
    file = open_log(path)
    columns = find_columns(file, model)
    beside = cached == "beside" or (cached is None and counts_cached_beside(file.header, columns))
    thoughts_beside = counts_thoughts_beside(file.header, columns)
    together = counts_written_together(file.header, columns)
    table = _parse(file, columns)
    record = np.flatnonzero(file.sound)
    checked = _Checked(file, record, table, dict(prices or {}), beside, thoughts_beside, together)
    rows = checked.rows(model, pd.Timestamp(start))
    bad = [*checked.bad.items(), *((one, file.shape(one)) for one in np.flatnonzero(~file.sound))]
    bad_rows = tuple(BadRow(int(file.lines[one]), why, file.text(one)) for one, why in sorted(bad))
    notes = (
        "cached and written tokens were counted beside input_tokens, and are added to it" * beside,
        "thoughts were counted beside the answer, and are added to output_tokens" * thoughts_beside,
        sums_of_requests(file.header),
        unread(file.header),
    )
    return RequestLog(file.name, rows, bad_rows, checked.prices, "; ".join(filter(None, notes)))


def unix_seconds(times: pd.Series) -> pd.Series:
    """Numbers as seconds. What is Unix time in milli- or microseconds would be the year 5138 and later in seconds."""
    size = times.abs().median()
    return times / 1e6 if size >= 1e14 else times / 1e3 if size >= 1e11 else times


def _parse(file: LogFile, columns: dict[str, int]) -> pd.DataFrame:
    names = [f"#{place}" for place in range(len(file.header))]
    for ours, place in columns.items():
        names[place] = ours
    try:
        return pd.read_csv(
            file.sound_text(),
            names=names,
            usecols=list(columns),
            dtype={name: "category" for name in _TEXTS if name in columns},
            na_values={name: _BLANK for name in (*_COUNTS, "arrived_at") if name in columns},
            keep_default_na=False,
            skip_blank_lines=False,
            low_memory=False,
        )
    except pd.errors.EmptyDataError:
        return pd.DataFrame({name: [] for name in columns})
    except UnicodeDecodeError:
        raise not_utf8(file.name, file.raw) from None


class _Checked:
    """Checks column after column, and keeps the first complaint about each record."""

    def __init__(self, file, record, table, prices, beside, thoughts_beside, together):
        self.file, self.record, self.table, self.prices = file, record, table, prices
        self.beside, self.thoughts_beside, self.together = beside, thoughts_beside, together
        self.bad: dict[int, str] = {}
        self.sound = np.ones(len(table), dtype=bool)

    def complain(self, where: np.ndarray, why) -> None:
        """`why` is a text, or a function from a row's place to one: only the few bad rows pay for words."""
        for place in np.flatnonzero(where & self.sound):
            self.bad[int(self.record[place])] = why if isinstance(why, str) else why(place)
        self.sound &= ~where

    def cell(self, name: str, place: int) -> str:
        return str(self.table[name].iloc[place])

    def rows(self, model: str | None, start: pd.Timestamp) -> pd.DataFrame:
        out = {"arrived_at": self.times(start), "model": self.text("model", model or "")}
        out |= {name: self.count(name, required=name in REQUIRED) for name in _COUNTS}
        self.check_sums(out)
        out |= {name: self.text(name, "(none)") for name in ("team", "feature")}
        out["batch"] = self.flags()
        self.check_models(out["model"], out["batch"])
        out["line"] = self.file.lines[self.record]
        rows = pd.DataFrame(out)
        rows = rows[self.sound].reset_index(drop=True) if not self.sound.all() else rows
        rows["model"] = rows["model"].cat.remove_unused_categories()
        return rows

    def count(self, name: str, required: bool) -> np.ndarray:
        if name not in self.table:
            return np.zeros(len(self.table), dtype=np.int64)
        column = self.table[name]
        if column.dtype == np.int64 and len(column) and 0 <= column.min() <= column.max() <= _MAX_TOKENS:
            return column.to_numpy()
        missing = column.isna().to_numpy()
        if required:
            self.complain(missing, f"{name} is missing")
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        numbers = np.where(missing, 0.0, numbers)

        def said(what):
            return lambda place: f"{name} is {what}: {self.cell(name, place)!r}"

        self.complain(~np.isfinite(numbers), said("not a number"))
        numbers = np.where(np.isfinite(numbers), numbers, 0.0)
        self.complain(numbers < 0, said("negative"))
        self.complain(numbers != np.floor(numbers), said("not a whole number"))
        self.complain(numbers > _MAX_TOKENS, said("too much for one request"))
        return np.clip(numbers, 0, _MAX_TOKENS).astype(np.int64)

    def check_sums(self, out: dict) -> None:
        if self.together:
            written, hour = out["cache_write_tokens"], out["cache_write_1h_tokens"]
            self.complain(
                hour > written,
                lambda at: f"cache_write_1h_tokens exceed all written tokens: {hour[at]} > {written[at]}",
            )
            out["cache_write_tokens"] = np.maximum(written - hour, 0)
        cached = sum(out[name] for name in _CACHED)
        if self.beside:
            out["input_tokens"] = out["input_tokens"] + cached
        if self.thoughts_beside:
            out["output_tokens"] = out["output_tokens"] + out["reasoning_tokens"]
        whole, answer, hidden = out["input_tokens"], out["output_tokens"], out["reasoning_tokens"]
        self.complain(
            cached > whole, lambda at: f"cached plus written exceed input_tokens: {cached[at]} > {whole[at]}"
        )
        self.complain(
            hidden > answer, lambda at: f"reasoning_tokens exceed output_tokens: {hidden[at]} > {answer[at]}"
        )

    def times(self, start: pd.Timestamp) -> pd.Series:
        column = self.table["arrived_at"]
        self.complain(column.isna().to_numpy(), "arrived_at is missing")
        first = pd.to_numeric(column.dropna().head(1000), errors="coerce")
        if len(first) and first.notna().mean() >= 0.5:
            seconds = unix_seconds(pd.to_numeric(column, errors="coerce"))
            inside = seconds.between(-6e10, 6e10)
            times = start.tz_localize("UTC") + pd.to_timedelta(seconds.where(inside), unit="s")
        else:
            times = pd.to_datetime(column.astype(object), format="ISO8601", utc=True, errors="coerce")
        unread = times.isna() | (times.dt.year < 1970) | (times.dt.year > 2200)
        self.complain(
            unread.to_numpy(),
            lambda at: f"arrived_at is not a time such as 2026-09-01T08:00: {self.cell('arrived_at', at)!r}",
        )
        return times

    def text(self, name: str, otherwise: str) -> pd.Series:
        if name not in self.table:
            return pd.Series(pd.Categorical([otherwise] * len(self.table), categories=[otherwise]))
        column = self.table[name].astype("category")
        clean = {one: str(one).strip() or otherwise for one in column.cat.categories}
        return column.astype(object).map(clean).astype("category") if _changed(clean) else column

    def flags(self) -> np.ndarray:
        if "batch" not in self.table:
            return np.zeros(len(self.table), dtype=bool)
        known = dict.fromkeys(("true", "1", "yes", "y", "t"), True)
        known |= dict.fromkeys(("false", "0", "no", "n", "f", *(one.lower() for one in _BLANK)), False)
        column = self.table["batch"].astype("category")
        meaning = [known.get(str(one).strip().lower()) for one in column.cat.categories]
        code = column.cat.codes.to_numpy()
        unread = np.array([one is None for one in meaning], dtype=bool)
        self.complain(unread[code], lambda at: f"batch is neither true nor false: {self.cell('batch', at)!r}")
        return np.array([bool(one) for one in meaning], dtype=bool)[code]

    def check_models(self, models: pd.Series, batch: np.ndarray) -> None:
        names, code = models.cat.categories, models.cat.codes.to_numpy()
        if len(names) > _MAX_MODELS:
            raise ValueError(
                f"{self.file.name}: the model column has {len(names):,} different names, such as {names[0]!r}: "
                "is it the right one?"
            )
        why = [self.find_price(name) for name in names]
        unknown = np.array([bool(one) for one in why], dtype=bool)
        self.complain(unknown[code], lambda at: why[code[at]])
        waits = [bool(one) or self.prices[name].has_batch for name, one in zip(names, why, strict=True)]
        no_batch = ~np.array(waits, dtype=bool)
        self.complain(
            no_batch[code] & batch, lambda at: f"no batch price of {names[code[at]]} is known: pass prices="
        )

    def find_price(self, name: str) -> str:
        """Keep the price of a model; or say why there is none."""
        if not name:
            return "model is missing"
        try:
            self.prices[name] = self.prices.get(name) or api_price(name)
        except ValueError as error:
            return f"{error}; or pass prices="
        return ""


def _changed(clean: dict) -> bool:
    return any(before != after for before, after in clean.items())
