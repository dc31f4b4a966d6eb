"""How much faster than fp32 does each backend run linear layers here? python benchmarks/backends.py [--json]

Twelve linear layers in a row, at several hidden sizes, for decode (one token) and prefill (128 tokens). All backends
take turns with fp32 in one run, on one thread, so that ratios hold where times don't; each ratio has its interval.
"of roof" is what a decode step reads (the bytes that the backend saves) per second, over the bandwidth measured in
the same run: beyond 100 % the weights come from the cache. The promises checked: at hidden 2048 some int4 backend
decodes, and some int8 backend prefills, at least 4 times as fast as fp32, where the CPU has AVX512: met or missed
where the whole interval says so, else not decided.
"""

import argparse
import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

from course_utils.compress.backends import apply, backends, here, listing, saved_bytes
from course_utils.measure import compare, environment, judge, measure_roofs
from course_utils.measure.machine import last_level_cache_bytes

HIDDEN = (256, 576, 1024, 2048)
TOKENS = {"decode": 1, "prefill": 128}
GROUP_SIZES = (128, 64)  # the first that divides the hidden size
PROMISE = 4.0  # times fp32
# (tokens, bits of weights) that the promise is about
PROMISED = (("decode", 4), ("prefill", 8))


def stack(hidden: int, layers: int) -> nn.Module:
    """Layers as large as they are in a model, without what lies between them."""
    torch.manual_seed(hidden)
    return nn.Sequential(*[nn.Linear(hidden, hidden, bias=False) for _ in range(layers)]).eval()


def converted(model: nn.Module, hidden: int) -> dict[str, nn.Module]:
    """Every backend that runs here on a bare layer, by name."""
    made, group_size = {}, next(size for size in GROUP_SIZES if hidden % size == 0)
    for one in backends():
        if one.available() and not one.whole_model:
            options = {"group_size": group_size} if "group_size" in one.options else {}
            made[one.name] = apply(model, one.name, **options)
    return made


def rows_of(hidden: int, layers: int, bandwidth_bytes_per_s: float, seconds: float) -> list[dict]:
    """One row per backend and kind of work."""
    model, rows = stack(hidden, layers), []
    made = converted(model, hidden)
    for work, tokens in TOKENS.items():
        x = torch.randn(1, tokens, hidden)
        turns = {name: (lambda run=run, x=x: run(x)) for name, run in made.items()}
        with torch.inference_mode():
            reference = model(x)
            result = compare(turns, repeats=60, max_seconds=seconds)
            for name, run in made.items():
                # Each against fp32 alone: of 28 pairs only these are asked for, so their intervals stay 95 % ones.
                pair = {"fp32": result.timings["fp32"], name: result.timings[name]}
                ratio = judge(pair).ratio("fp32", name) if name != "fp32" else None
                size_bytes = saved_bytes(run)
                rate = size_bytes / result.timings[name].median_s
                rows.append(
                    {
                        "hidden": hidden,
                        "work": work,
                        "backend": name,
                        "times_fp32": ratio.median if ratio else 1.0,
                        "lo": ratio.lo if ratio else 1.0,
                        "hi": ratio.hi if ratio else 1.0,
                        "times_fp32_fastest": result.timings["fp32"].fastest_s
                        / result.timings[name].fastest_s,
                        "pairs": len(result.timings[name].samples_s),
                        "median_s": result.timings[name].median_s,
                        "saved_bytes": size_bytes,
                        "bytes_per_s": rate,
                        "of_roof": rate / bandwidth_bytes_per_s,
                        "error": float((run(x) - reference).norm() / reference.norm()),
                    }
                )
    return rows


def table(rows: list[dict], work: str) -> str:
    """Backends down, hidden sizes across: times fp32 with its interval, for decode also the share of the roof."""
    sizes = sorted({row["hidden"] for row in rows})
    names = list(dict.fromkeys(row["backend"] for row in rows))
    lines = [f"{work}, {TOKENS[work]} token(s): times as fast as fp32"]
    lines.append(f"{'':13}" + "".join(f"{f'hidden {size}':>30}" for size in sizes))
    for name in names:
        cells = []
        for size in sizes:
            row = next(r for r in rows if (r["work"], r["backend"], r["hidden"]) == (work, name, size))
            cell = f"{row['times_fp32']:.2f} ({row['lo']:.2f}–{row['hi']:.2f})"
            if work == "decode":
                cell += f" {row['of_roof']:4.0%} roof"
            cells.append(f"{cell:>30}")
        lines.append(f"{name:13}" + "".join(cells))
    return "\n".join(lines)


def promises(rows: list[dict]) -> list[str]:
    """What was promised at the largest hidden size, and the best that was reached."""
    bits, lines = {one.name: one.weight_bits for one in backends()}, []
    largest = max(row["hidden"] for row in rows)
    for work, wanted in PROMISED:
        fits = [
            r for r in rows if r["hidden"] == largest and r["work"] == work and bits[r["backend"]] == wanted
        ]
        best = max(fits, key=lambda row: row["lo"])
        met = "met" if best["lo"] >= PROMISE else "MISSED" if best["hi"] < PROMISE else "not decided"
        lines.append(
            f"int{wanted} {work} at hidden {largest}: {best['backend']} {best['times_fp32']:.2f} times fp32 "
            f"({best['lo']:.2f}–{best['hi']:.2f}; by the fastest samples {best['times_fp32_fastest']:.2f}), "
            f"at least {PROMISE:g} wanted: {met}"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=list(HIDDEN))
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=12.0, help="for each hidden size and kind of work")
    parser.add_argument("--json", action="store_true", help="only the JSON document")
    options = parser.parse_args()
    say = (lambda line: None) if options.json else print

    torch.set_num_threads(1)
    say(f"{environment()}\n{listing()}\n")
    roofs = measure_roofs(seconds=3.0, say=lambda line: None)
    cache = last_level_cache_bytes()
    say(
        f"Roof, one thread: {roofs.bandwidth_bytes_per_s / 1e9:.1f} GB/s; largest cache {cache / 2**20:.0f} MiB, fp32 "
        "weights: "
        + ", ".join(f"{4 * h * h * options.layers / 2**20:.0f} MiB at {h}" for h in options.hidden)
        + "\n"
    )
    rows = []
    for hidden in options.hidden:
        rows += rows_of(hidden, options.layers, roofs.bandwidth_bytes_per_s, options.seconds)
    for work in TOKENS:
        say(table(rows, work) + "\n")
    say(
        "Error of twelve layers in a row, ‖y − fp32‖ / ‖fp32‖, and bytes saved over fp32's, at the largest size:"
    )
    largest = [row for row in rows if row["hidden"] == max(options.hidden) and row["work"] == "prefill"]
    for row in largest:
        say(
            f"{row['backend']:13} error {row['error']:.4f}, size {row['saved_bytes'] / largest[0]['saved_bytes']:.3f}"
        )
    kept = promises(rows)
    say("\n" + "\n".join(kept))
    print(
        json.dumps(
            {
                "environment": environment(),
                "cpu": here().cpu,
                "bandwidth_bytes_per_s": roofs.bandwidth_bytes_per_s,
                "layers": options.layers,
                "promises": kept,
                "rows": rows,
            }
        )
    )
    missed = any("MISSED" in line for line in kept) and "AVX512" in here().cpu_features
    return int(missed and max(options.hidden) >= 2048)


if __name__ == "__main__":
    sys.exit(main())
