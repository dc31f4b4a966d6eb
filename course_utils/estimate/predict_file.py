"""`course predict rows.csv -o out.csv`: a table of deployments in, the same table with predictions out."""

import contextlib
import io
import json
import math
import sys
import time
from pathlib import Path

from course_utils.estimate.log_file import csv_bytes, not_utf8
from course_utils.estimate.predict import INPUTS, MORE_INPUTS, OUTPUTS, predict_rows
from course_utils.whole_files import whole

_TEXT = ("model", "gpu", "precision", "engine", "load")
_SHOWN = ("out_tok_s_per_gpu", "ttft_ms", "tpot_ms", "usd_per_mtok_out")


def read_rows_csv(path: str | Path):
    """The frame in a CSV file, names and loads as text. ValueError for a file that isn't there or isn't a table."""
    import pandas as pd

    path = Path(path)
    if not path.exists():
        raise ValueError(
            f"rows={str(path)!r}: there is no such file; a CSV with {', '.join(INPUTS)} is needed"
        )
    try:
        raw, *_ = csv_bytes(path)
        table = pd.read_csv(io.BytesIO(raw), dtype=str, skipinitialspace=True, keep_default_na=False)
    except pd.errors.ParserError as error:
        raise ValueError(f"{path.name} is not a CSV table: {error}") from None
    except UnicodeDecodeError:
        raise not_utf8(path.name, raw) from None
    for name in table.columns:
        if "_".join(name.strip().casefold().split()) not in _TEXT:
            try:
                table[name] = pd.to_numeric(table[name].replace("", None))
            except (ValueError, TypeError):  # one cell that is no number must not make text of the others
                table[name] = pd.Series([_cell(text) for text in table[name]], dtype=object)
    if table.empty:
        raise ValueError(f"{path.name} has a header and no rows under it: nothing to predict")
    return table


def _cell(text: str):
    """A number where the text is one, else the text; None for an empty cell."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text or None


def predict_file(rows: str | Path, out: str | Path | None = None, as_json: bool = False) -> int:
    """Predict every row of `rows`; write the table to `out`; print a table for people, or one JSON document.

    Input columns INPUTS, and any of MORE_INPUTS; output columns OUTPUTS and `error` are appended. Returns 0, and 2
    where the file itself can't be used (one sentence on stderr). A bad row never stops the others.
    """
    try:
        table = read_rows_csv(rows)
        began = time.perf_counter()
        result = predict_rows(table)
        seconds = time.perf_counter() - began
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if out is not None:
        try:
            with whole(Path(out)) as part:
                result.to_csv(part, index=False, float_format="%.6g")
        except OSError as error:
            print(f"out={str(out)!r}: it can't be written ({error.strerror or error})", file=sys.stderr)
            return 2
    bad = int((result["error"] != "").sum())
    if as_json:
        records = [
            {name: _plain(value) for name, value in record.items()} for record in result.to_dict("records")
        ]
        document = {"rows": records, "bad_rows": bad, "rows_per_s": round(len(result) / max(seconds, 1e-9))}
        print(json.dumps(document, indent=1))
        return 0
    print(_table(result))
    print(
        f"{len(result)} rows in {seconds:.2f} s, {bad} with an error; predicted, 80 % intervals in brackets"
    )
    return 0


def _plain(value):
    """JSON has no NaN: an empty cell is null."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return value.item() if hasattr(value, "item") else value


def _table(result, most: int = 20) -> str:
    """The first rows, each metric with its interval."""
    lines = []
    for row in result.head(most).to_dict("records"):
        named = {"_".join(str(name).strip().casefold().split()): value for name, value in row.items()}
        where = "{model} on {gpus} x {gpu}, {precision}, {engine}, {load}".format(**named)
        figures = [
            f"{name} {row[name]:.4g} [{row[name + '_lo']:.4g} to {row[name + '_hi']:.4g}]"
            for name in _SHOWN
            if not math.isnan(row[name])
        ]
        lines += [where, *(f"  {text}" for text in figures)]
        if row["error"]:
            lines.append(f"  error: {row['error']}")
    if len(result) > most:
        lines.append(f"… and {len(result) - most} more rows")
    return "\n".join(lines)


__all__ = ["INPUTS", "MORE_INPUTS", "OUTPUTS", "predict_file", "read_rows_csv"]
