"""How long explorers compute per update, drawing left out: python benchmarks/explorer_compute.py [CHAPTER …]

Runs the code cells of each master, records every call of `explorer`, then moves its controls at random. Prints
milliseconds by explorer against a bound of 5 ms. A chapter is named by its number or its name.
"""

import contextlib
import io
import random
import statistics
import sys
import tempfile
import time
import types
from pathlib import Path

from course_utils import explore
from course_utils.authoring.masters import read_master
from course_utils.explore.views import check_scales

ROOT = Path(__file__).resolve().parent.parent
BOUND_MS, MOVES, STOPS = 5, 300, 40


def explorers_of(master) -> list[tuple]:
    """(compute, controls, chart) of each explorer of a chapter, its cells run in order and without drawing."""
    found, module = [], types.ModuleType("chapter")
    drawn = explore.__dict__.get("show"), explore.__dict__.get("explorer")
    explore.show = lambda *_: None
    explore.explorer = lambda compute, controls, chart, moving=None: found.append((compute, controls, chart))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.chdir(tempfile.mkdtemp()):
            for cell in master.cells:
                if cell.kind == "code":
                    exec(compile(cell.source, cell.id, "exec"), module.__dict__)
    finally:
        for name, function in zip(("show", "explorer"), drawn, strict=True):
            explore.__dict__.pop(name) if function is None else setattr(explore, name, function)
    return found


def move(compute, controls, chart) -> tuple[list[float], int]:
    """Milliseconds of random updates, one control at a time, and how many of them were refused."""
    rng = random.Random(1)
    stops = {name: control.stops(STOPS) for name, control in controls.items()}
    values = {name: control.value for name, control in controls.items()}
    took_ms, refused = [], 0
    for _ in range(MOVES):
        name = rng.choice(sorted(stops))
        values[name] = rng.choice(stops[name])
        start = time.perf_counter()
        try:
            check_scales(compute(**values), chart)
        except ValueError:
            refused += 1
        took_ms.append((time.perf_counter() - start) * 1e3)
    return took_ms, refused


def main(wanted: list[str]) -> None:
    for path in sorted((ROOT / "notebooks" / "src").glob("[0-9][0-9]_*.py")):
        if wanted and path.stem not in wanted and path.stem[:2] not in wanted:
            continue
        for compute, controls, chart in explorers_of(read_master(path)):
            took_ms, refused = move(compute, controls, chart)
            median, p95 = statistics.median(took_ms), statistics.quantiles(took_ms, n=20)[-1]
            print(
                f"{path.stem:22} {compute.__name__:18} median {median:5.2f} ms, p95 {p95:5.2f} ms, least "
                f"{min(took_ms):5.2f} ms; {refused} of {MOVES} refused; bound {BOUND_MS} ms: "
                f"{'met' if median <= BOUND_MS else 'MISSED'}"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
