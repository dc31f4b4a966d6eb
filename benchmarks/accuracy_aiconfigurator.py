#!/usr/bin/env python3
"""Ours beside NVIDIA's aiconfigurator: python benchmarks/accuracy_aiconfigurator.py --tables DIR --python PATH.

PATH is a Python with `pip install aiconfigurator==0.12.0`, an environment of its own; its wheels carry the operator
timings it predicts from. The rows are TensorRT-LLM's maximum load (v0.17 and v1.0 pages) of dense Llama 3 on the GPUs
it has timings for. Each prints |predicted/measured - 1| of output tokens/s per GPU.

What to know when reading the figures:
- aiconfigurator has timings of TensorRT-LLM 1.3.0rc20, later than the builds measured; ours is fitted on these
  pages' other models and never on the row's own.
- Maximum load has no batch size: aiconfigurator gets BATCHES x CONTEXT_TOKENS, and its best whose cache fits counts.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

TABLES = ("trtllm_v0_17", "trtllm_v1_0")
MODELS = {f"Llama-3.1-{size}": f"meta-llama/Meta-Llama-3.1-{size}" for size in ("8B", "70B", "405B")}
SYSTEMS = {"H100 SXM": "h100_sxm", "H200 SXM": "h200_sxm", "B200": "b200_sxm", "GB200": "gb200"}
# GEMM, as aiconfigurator reads NVIDIA's own checkpoints; cache and attention are FP8 in both.
PRECISIONS = {"FP8": "fp8_static", "FP4": "nvfp4"}
# The one version that has timings on all of SYSTEMS; named, since looking it up reads a thousand files per call.
VERSION = "1.3.0rc20"
# Ratio of root two, up to trtllm-bench's default maximum.
BATCHES = [round(2 ** (half / 2)) for half in range(6, 23)]
CONTEXT_TOKENS = (2048, 8192)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tables", default=os.environ.get("COURSE_MEASURED_TABLES"), help="folder of the tables"
    )
    parser.add_argument("--python", help="Python of an environment that has aiconfigurator")
    parser.add_argument("--estimate", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.estimate:
        print(json.dumps([estimate(one) for one in json.load(sys.stdin)]))
        return 0
    if not options.tables or not options.python:
        print(
            "Give --tables DIR (or COURSE_MEASURED_TABLES) and --python PATH, a Python with aiconfigurator.",
            file=sys.stderr,
        )
        return 2
    try:
        compare(Path(options.tables), options.python)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def estimate(one: dict) -> dict:
    """aiconfigurator's best output tokens/s per GPU; runs in its own Python. `why` where it has none."""
    import logging
    import warnings

    warnings.simplefilter("ignore")
    from aiconfigurator.cli.api import cli_estimate

    logging.disable(logging.CRITICAL)
    best = None
    for batch in BATCHES:
        for context_tokens in CONTEXT_TOKENS:
            try:
                result = cli_estimate(
                    **one,
                    backend_version=VERSION,
                    batch_size=batch,
                    ctx_tokens=context_tokens,
                    kvcache_quant_mode="fp8",
                    fmha_quant_mode="fp8",
                )
            except Exception as error:
                return best or {"speed": None, "why": f"{type(error).__name__}: {error}"[:110]}
            speed = float(result.raw["tokens/s/gpu"])
            if not result.kv_cache_warning and (best is None or speed > best["speed"]):
                best = {"speed": speed, "batch": batch}
    return best or {"speed": None, "why": "no batch fits"}


def compare(tables: Path, python: str) -> None:
    """Predict every covered row three ways and print the errors."""
    import numpy as np
    import pandas as pd

    from course_utils.estimate.baselines import BASELINES, baseline
    from course_utils.estimate.calibration.scores import held_out, prepare
    from course_utils.estimate.calibration.tables import published

    scored = prepare(published(tables))
    frame = scored.frame
    covered = (
        frame.table.isin(TABLES)
        & frame["shape"].isin(MODELS)
        & frame.chip.isin(SYSTEMS)
        & frame.precision.isin(PRECISIONS)
        & (frame.load_kind == "max")
    ).to_numpy()
    rows = frame[covered].reset_index(drop=True)
    asked = [
        {
            "model_path": MODELS[row["shape"]],
            "system_name": SYSTEMS[row.chip],
            "isl": int(row.isl),
            "osl": int(row.osl),
            "tp_size": int(row.tp),
            "pp_size": int(row.pp),
            "gemm_quant_mode": PRECISIONS[row.precision],
        }
        for _, row in rows.iterrows()
    ]
    child = [python, __file__, "--estimate"]
    answer = subprocess.run(child, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True)
    answers = json.loads(answer.stdout[answer.stdout.rindex("[{") :])

    roofline = next(kind for kind in BASELINES if kind.name == "80/60 roofline")
    speeds = {
        "aiconfigurator": np.array([one["speed"] for one in answers], dtype=float),
        "ours, model left out": np.exp(held_out(scored, "shape")[covered, 0]),
        roofline.name: baseline(scored.data.work, scored.data.loads, roofline)["out_tok_s_per_gpu"][covered],
    }
    known = np.isfinite(speeds["aiconfigurator"])
    print(f"{known.sum()} rows; {(~known).sum()} more that aiconfigurator doesn't answer:")
    for why in sorted({one["why"] for one in answers if "why" in one}):
        print(f"  {why}")
    errors = pd.DataFrame({name: speed / rows.out_tok_s_per_gpu - 1 for name, speed in speeds.items()})[known]
    size = errors.abs()
    rounded = {"float_format": lambda value: f"{value:.3f}"}
    overall = pd.DataFrame({"median": size.median(), "mean": size.mean(), "p90": size.quantile(0.9)})
    print(f"\nabsolute error\n{overall.assign(signed_median=errors.median()).to_string(**rounded)}")
    for column in ("table", "shape", "chip"):
        by = rows[column][known]
        counted = size.groupby(by).median().assign(rows=by.value_counts())
        print(f"\nmedian absolute error\n{counted.to_string(**rounded)}")


if __name__ == "__main__":
    sys.exit(main())
