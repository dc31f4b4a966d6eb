"""This machine's roofs, beside what numpy reaches in the same run; and how often `compare` names a false winner.

    python benchmarks/roofs.py [--seconds 6] [--same 100] [--json]

Ratios come from turns (numpy, torch, numpy, …) on the same arrays' sizes: above 1, torch takes less time. numpy
copies and sums on one core but multiplies on all; torch is timed with one thread and with all. Their two pools of
threads can get in each other's way, so that a ratio of matmul is rough. `--same` compares a function with itself
that many times on the real clock: about one run in twenty may name a winner.
"""

import argparse
import json
import os

import numpy as np
import torch

from course_utils.measure import compare, environment, measure_roofs
from course_utils.measure.runtime import fit_threads

BYTES = 100_000_000  # each array of the streams
SIZE = 1024  # of the square matrices


def pairs() -> dict:
    """Kernel -> (numpy's, torch's), on arrays of their own."""
    count = BYTES // 4
    a, b = np.ones(count, np.float32), np.ones(count, np.float32)
    x, y = torch.ones(count), torch.ones(count)
    m, n = np.full((SIZE, SIZE), 1 / 64, np.float32), torch.full((SIZE, SIZE), 1 / 64)
    return {
        "read": (b.sum, y.sum),
        "copy": (lambda: np.copyto(a, b), lambda: x.copy_(y)),
        "matmul fp32": (lambda: m @ m, lambda: n @ n),
    }


def against_numpy(threads: int) -> list[dict]:
    rows = []
    for count in sorted({1, threads}):
        torch.set_num_threads(count)
        for kernel, (ours, theirs) in pairs().items():
            result = compare({"torch": theirs, "numpy": ours}, repeats=15, max_seconds=6)
            ratio = result.ratio("numpy", "torch")
            rows.append(
                {
                    "kernel": kernel,
                    "torch_threads": count,
                    "numpy_over_torch": ratio.median,
                    "lo": ratio.lo,
                    "hi": ratio.hi,
                    "pairs": ratio.pairs,
                    "winner": result.winner,
                }
            )
    torch.set_num_threads(threads)
    return rows


def false_winners(runs: int) -> int:
    """How many of `runs` comparisons of a function with itself name a winner."""
    matrix = np.ones((100, 100))

    def work():
        return matrix.sum()

    named = [compare({"a": work, "b": work}, repeats=25, seed=run).winner for run in range(runs)]
    return sum(name is not None for name in named)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="for the roofs")
    parser.add_argument("--same", type=int, default=100, help="comparisons of a function with itself")
    parser.add_argument("--json", action="store_true", help="only the JSON document")
    options = parser.parse_args()
    say = (lambda line: None) if options.json else print

    threads = fit_threads()
    say(environment())
    set_for_blas = [
        f"{name}={value}" for name, value in os.environ.items() if "BLAS" in name or "OMP_" in name
    ]
    say(f"numpy {np.__version__}; BLAS settings: {', '.join(set_for_blas) or 'none'}\n")

    roofs = measure_roofs(seconds=options.seconds, say=say)
    say(
        f"\nBandwidth {roofs.bandwidth_bytes_per_s / 1e9:.1f} GB/s ({roofs.bandwidth.name}, "
        f"{roofs.working_set_bytes / 1e6:.0f} MB); "
        + ", ".join(f"{dtype} {rate / 1e9:.0f} GFLOP/s" for dtype, rate in roofs.flop_per_s.items())
        + f"; ridge in fp32 {roofs.flop_per_s['fp32'] / roofs.bandwidth_bytes_per_s:.1f} FLOP/byte\n"
    )

    rows = against_numpy(threads)
    for row in rows:
        say(
            f"{row['kernel']:12} torch on {row['torch_threads']}: numpy takes {row['numpy_over_torch']:5.2f} times "
            f"as long ({row['lo']:.2f} to {row['hi']:.2f}, {row['pairs']} pairs), "
            f"winner: {row['winner'] or 'none shown'}"
        )

    named = false_winners(options.same)
    say(f"\nThe same function twice: a winner named in {named} of {options.same} comparisons")
    print(
        json.dumps(
            {
                "environment": environment(),
                "bandwidth_bytes_per_s": roofs.bandwidth_bytes_per_s,
                "flop_per_s": roofs.flop_per_s,
                "against_numpy": rows,
                "false_winners": named,
                "same_function_runs": options.same,
            }
        )
    )


if __name__ == "__main__":
    main()
