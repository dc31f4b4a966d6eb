"""What pruning takes, and what a cut gives: python benchmarks/pruning.py [--rows sparsegpt structured sparse] [--json]

- sparsegpt: SparseGPT at 50 % of all of SmolLM2-135M, in one call. Promised: at most 5 minutes and 1.8 GB. Seconds
  are given as wall time and as CPU time of this process: on a machine that others use, the second says more.
- structured: decode of a model of Gemma-2B's layer shape (hidden 2048, MLP 16384) against the same without half its
  MLP channels, in turns. Promised: 1.6 times as fast. Met or missed where the whole interval says so.
- sparse: one matrix of 8192 x 2048 as it is, with zeros in it, and as CSR, for one token and for 64, in turns.

Random weights for speed; SmolLM2's own for SparseGPT. One thread unless OMP_NUM_THREADS says otherwise.
"""

import argparse
import json
import os
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from course_utils.compress import pruning, pruning_runs, structured
from course_utils.measure import compare, environment, load, peak_memory, random_llama

ROWS = ("sparsegpt", "structured", "sparse")
MOST_S, MOST_BYTES, LEAST_RATIO = 300, 1.8e9, 1.6
SHARES = (0.5, 0.7, 0.8, 0.9, 0.95)


def sparsegpt_row(sequences: int) -> dict:
    """Seconds and peak memory of one call, the model's own memory included."""
    loaded = load("smollm2", "bfloat16", device="cpu")
    batches = pruning_runs.calibration(loaded.tokenizer, sequences=sequences)
    started, cpu = time.perf_counter(), time.process_time()
    peak = peak_memory(lambda: pruning.prune_sparsegpt(loaded.model, batches, 0.5))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    met = seconds <= MOST_S and peak.peak_bytes <= MOST_BYTES
    print(f"SparseGPT of {loaded.label}, {sequences * pruning_runs.SEQUENCE_TOKENS:,} tokens of calibration:")
    print(f"  {seconds:.0f} s ({cpu_seconds:.0f} s of CPU), {peak}")
    print(f"  {pruning.zeros(loaded.model)}")
    print(f"  promised at most {MOST_S} s and {MOST_BYTES / 1e9:.1f} GB: {'met' if met else 'missed'}")
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak.peak_bytes, "met": met}


def structured_row(seconds: float) -> dict:
    """Decode of a whole and a cut model, one token each, in turns."""
    whole = random_llama(2048, 3, intermediate=16_384, heads=8, kv_heads=1, device="cpu").model
    evenly = structured.Importance(torch.ones(3, 16_384), torch.ones(3, 1), torch.ones(3), tokens=1)
    half = structured.cut(whole, evenly, intermediate=8192)
    step = torch.zeros(1, 1, dtype=torch.long)
    with torch.inference_mode():
        turns = {name: lambda m=m: m(step, use_cache=False) for name, m in (("whole", whole), ("half", half))}
        result = compare(turns, repeats=60, max_seconds=seconds)
    ratio = result.ratio("whole", "half")
    read = [sum(p.nbytes for p in model.parameters()) for model in (whole, half)]
    said = "met" if ratio.lo >= LEAST_RATIO else ("missed" if ratio.hi < LEAST_RATIO else "not decided")
    print(result)
    print(f"  bytes: {read[0] / read[1]:.2f} times as many; promised {LEAST_RATIO} times as fast: {said}")
    return {"ratio": ratio.median, "lo": ratio.lo, "hi": ratio.hi, "bytes": read[0] / read[1], "said": said}


def sparse_rows(seconds: float) -> list[dict]:
    """Speed of zeros in a dense matrix and of CSR with 32-bit indices, over the full matrix."""
    warnings.filterwarnings("ignore", "Sparse CSR tensor support")
    torch.manual_seed(0)
    full, rows = torch.randn(8192, 2048), []
    print(f"{'zeros':>6}{'tokens':>8}{'dense with zeros':>26}{'CSR':>26}")
    for tokens in (1, 64):
        x = torch.randn(2048, tokens)
        for share in SHARES:
            zeroed = full * (torch.rand(full.shape) >= share)
            csr = zeroed.to_sparse_csr()
            csr = torch.sparse_csr_tensor(
                csr.crow_indices().int(),
                csr.col_indices().int(),
                csr.values(),
                size=full.shape,
                check_invariants=False,
            )
            ways = {"full": lambda x=x: full @ x, "zeros": lambda z=zeroed, x=x: z @ x}
            taken = compare(ways | {"csr": lambda c=csr, x=x: c @ x}, repeats=40, max_seconds=seconds)
            zeros, sparse = taken.ratio("full", "zeros"), taken.ratio("full", "csr")
            cells = [f"{one.median:.2f} ({one.lo:.2f} to {one.hi:.2f})" for one in (zeros, sparse)]
            print(f"{share:>6.0%}{tokens:>8}{cells[0]:>26}{cells[1]:>26}")
            rows.append({"share": share, "tokens": tokens, "zeros": zeros.median, "csr": sparse.median})
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    options.add_argument("--sequences", type=int, default=64, help="of 256 tokens, for SparseGPT")
    options.add_argument("--seconds", type=float, default=20, help="of sampling, for each comparison")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    print(environment())
    measured = {
        "sparsegpt": lambda: sparsegpt_row(chosen.sequences),
        "structured": lambda: structured_row(chosen.seconds),
        "sparse": lambda: sparse_rows(chosen.seconds / 4),
    }
    table = {name: measured[name]() for name in chosen.rows}
    if chosen.json:
        print(json.dumps(table))


if __name__ == "__main__":
    main()
