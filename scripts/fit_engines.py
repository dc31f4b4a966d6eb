#!/usr/bin/env python3
"""Fit the engines' constants on published tables and write data/engines/: python scripts/fit_engines.py --tables DIR.

Reads the tables (their names and public origins are recorded in the files), fits all engines jointly, scores them by
leaving out each model, each GPU and each engine, and derives the intervals. Nothing is random: the same tables give
the same bytes.
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tables", default=os.environ.get("COURSE_MEASURED_TABLES"), help="folder of the tables"
    )
    parser.add_argument("--out", default=ROOT / "data" / "engines", type=Path, help="folder to write to")
    parser.add_argument("--as-of", default="2026-11-30", help="date to record in the files")
    options = parser.parse_args()
    if not options.tables:
        print(
            "Give the folder of the published tables: --tables DIR, or COURSE_MEASURED_TABLES.",
            file=sys.stderr,
        )
        return 2

    from course_utils.estimate.calibration.run import fit_all

    try:
        for path in fit_all(Path(options.tables), options.out, options.as_of, print):
            print(path)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
