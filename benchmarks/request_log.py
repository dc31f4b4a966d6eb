"""How long a million-row request log takes to read, check and bill, against a plain loop over csv.DictReader.

    python benchmarks/request_log.py [ROWS]

Prints a table: rows, seconds to read and to bill (CPU and wall), bad rows, peak memory, and the loop's time per
row as a multiple of ours, both measured in this run. Memory is that of the whole process, Python and pandas too.
"""

import csv
import gc
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from course_utils.catalog.api_prices import api_price
from course_utils.estimate.billing import bill
from course_utils.estimate.cost import Usage, request_cost
from course_utils.estimate.request_log import read_log

LIMIT_S = 5.0
LOOP_ROWS = 20_000


def written(path: Path, rows: int, bad_rows: int = 0) -> Path:
    """A synthetic log, by another process: what it takes to write one is no memory of ours."""
    code = f"from course_utils.estimate import write_sample_log as w; w({str(path)!r}, {rows}, 1, {bad_rows})"
    subprocess.run([sys.executable, "-c", code], check=True)
    return path


def measured(function, *arguments):
    """Result, CPU seconds and wall seconds of one call."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return result, time.process_time() - cpu, time.perf_counter() - wall


def loop(path: Path) -> float:
    """The same checks and the same money, row by row: what one writes first."""
    total, prices = 0.0, {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                time.strptime(row["arrived_at"][:19], "%Y-%m-%dT%H:%M:%S")
                price = prices.setdefault(row["model"], None) or api_price(row["model"])
                prices[row["model"]] = price
                usage = Usage(
                    int(row["input_tokens"]),
                    int(row["cached_read_tokens"] or 0),
                    int(row["cache_write_tokens"] or 0),
                    int(row["output_tokens"]),
                    int(row["reasoning_tokens"] or 0),
                )
                total += request_cost(price, usage, row["batch"] == "true").total_usd
            except (ValueError, TypeError):
                continue
    return total


def peak_mb() -> float:
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return memory.peak_wset / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> int:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    api_price("gpt-5-mini")  # the price list loads once, for both
    print(f"{'rows':>10} {'bad':>5} {'read s':>7} {'bill s':>7} {'wall s':>7} {'peak MB':>8}   a loop takes")
    with tempfile.TemporaryDirectory() as folder:
        small = written(Path(folder) / "small.csv", LOOP_ROWS)
        by_hand, loop_s, _ = measured(loop, small)
        for rows in sorted({LOOP_ROWS, most // 10, most}):
            path = written(Path(folder) / "log.csv", rows, bad_rows=50 * (rows > LOOP_ROWS))
            log, read_s, read_wall_s = measured(read_log, path)
            costs, bill_s, bill_wall_s = measured(bill, log)
            assert log.lines == rows + 50 * (rows > LOOP_ROWS)
            if rows == LOOP_ROWS:
                assert abs(costs.total.total_usd / by_hand - 1) < 1e-9, "the loop comes to another total"
            times = loop_s / LOOP_ROWS * rows / (read_s + bill_s)
            wall_s = read_wall_s + bill_wall_s
            print(
                f"{rows:>10,} {len(log.bad_rows):>5} {read_s:>7.2f} {bill_s:>7.2f} {wall_s:>7.2f}"
                f" {peak_mb():>8.0f}   {times:>6.1f} x as long"
            )
            del log, costs
    print(
        f"limit for {most:,} rows: {LIMIT_S:g} s of CPU; {'kept' if read_s + bill_s < LIMIT_S else 'MISSED'}"
    )
    return 0 if read_s + bill_s < LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
