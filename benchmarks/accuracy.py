#!/usr/bin/env python3
"""How far predictions are from published measurements: python benchmarks/accuracy.py --tables DIR.

Every row is predicted by constants fitted without its model, and again without its GPU. Errors are
|predicted/measured - 1|; a group is table x model x GPU and has one error, the median of its rows; tables print the
median, mean and 90th percentile over groups, beside rooflines that know nothing of engines.
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from course_utils.estimate.baselines import BASELINES, baseline
from course_utils.estimate.calibration.fit import METRICS
from course_utils.estimate.calibration.run import coverage
from course_utils.estimate.calibration.scores import Scored, by_group, errors, held_out, prepare
from course_utils.estimate.calibration.tables import published


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tables", default=os.environ.get("COURSE_MEASURED_TABLES"), help="folder of the tables"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    options = parser.parse_args()
    if not options.tables:
        print(
            "Give the folder of the published tables: --tables DIR, or COURSE_MEASURED_TABLES.",
            file=sys.stderr,
        )
        return 2
    try:
        scored = prepare(published(Path(options.tables)))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    note = lambda text: print(text, file=sys.stderr)  # noqa: E731
    lines = {
        "model left out": errors(scored, held_out(scored, "shape", note)),
        "GPU left out": errors(scored, held_out(scored, "chip", note)),
    } | {kind.name: errors(scored, _baseline_logs(scored, kind)) for kind in BASELINES}

    report = {
        title: _side_by_side(lines, columns)
        for title, columns in {
            "overall": ["metric"],
            "by table": ["table", "metric"],
            "by GPU": ["chip", "metric"],
            "by model": ["shape", "metric"],
        }.items()
    }
    report["interval coverage"] = coverage(lines["model left out"], lines["GPU left out"])
    report["rows listed, not scored"] = (
        scored.refused.assign(reason=scored.refused.reason.str.slice(0, 110))
        .groupby(["table", "reason"]).size().reset_index(name="rows")
    )  # fmt: skip
    if options.json:
        print(json.dumps({title: table.to_dict("records") for title, table in report.items()}, indent=1))
        return 0
    with pd.option_context("display.width", 250, "display.max_columns", 40, "display.max_colwidth", 110):
        for title, table in report.items():
            print(f"\n{title}\n{table.to_string(index=False, float_format=lambda value: f'{value:.3f}')}")
    return 0


def _baseline_logs(scored: Scored, kind) -> np.ndarray:
    result = baseline(scored.data.work, scored.data.loads, kind)
    with np.errstate(divide="ignore"):
        return np.log(np.stack([result[metric] for metric in METRICS], axis=1))


def _side_by_side(lines: dict[str, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Groups, and median / mean / p90 of each predictor; the median alone for the rooflines."""
    result = None
    for name, part in lines.items():
        table = by_group(part, columns)
        keep = ["groups", "median", "mean", "p90"] if "left out" in name else ["median"]
        if result is not None:
            keep = [column for column in keep if column != "groups"]
        table = table[[*columns, *keep]].rename(
            columns={column: f"{name}: {column}" for column in keep if column != "groups"}
        )
        result = table if result is None else result.merge(table, on=columns, how="left")
    return result


if __name__ == "__main__":
    sys.exit(main())
