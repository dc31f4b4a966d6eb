#!/usr/bin/env python3
"""Fit data/traffic_fits.csv and data/traffic_lengths_by_rank.csv to the published traces.

    python scripts/fit_traffic.py                   # fetches the traces from where their authors publish them
    python scripts/fit_traffic.py --traces FOLDER   # a folder with copies of them

The same traces give the same bytes.
"""

import argparse
import csv
import io
import os
import sys
from dataclasses import asdict, fields
from datetime import date
from pathlib import Path

import numpy as np

from course_utils.scale.arrivals import bursty_arrivals, fit_bursts, index_of_dispersion
from course_utils.scale.generated_traffic import Workload
from course_utils.scale.lengths import LengthBin, Lengths, fit_lengths
from course_utils.scale.published_traffic import (
    AZURE_CODE,
    AZURE_CONVERSATION,
    MOONCAKE_CONVERSATION,
    Original,
    fetch_original,
)
from course_utils.scale.traffic_files import read_traffic

ROOT = Path(__file__).resolve().parent.parent
# Name, the original, what it is called in --traces, and what to know about it.
TRACES = (
    (
        "azure_conversation",
        AZURE_CONVERSATION,
        "AzureLLMInferenceTrace_conv.csv",
        "answers are a third shorter from minute 20 to 40; the fit has one mix for the whole hour",
    ),
    (
        "azure_code",
        AZURE_CODE,
        "AzureLLMInferenceTrace_code.csv",
        "the trace falls silent for up to 217 s, the fit's calm rate is above 0: its gaps vary less",
    ),
    (
        "mooncake_conversation",
        MOONCAKE_CONVERSATION,
        "mooncake_conversation_trace.jsonl",
        "arrivals are stamped every 3 s, spread evenly before the fit; prefixes: data/conversation_traces.csv",
    ),
)
STAMPS_S = {"mooncake_conversation": 3.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=Path, help="folder with copies of the traces")
    parser.add_argument("--out", type=Path, default=ROOT / "data", help="folder to write to")
    options = parser.parse_args()
    fits, bins = [], []
    for name, original, file, note in TRACES:
        try:
            path = options.traces / file if options.traces else fetch_original(original)
            traffic = read_traffic(path)
        except (OSError, ValueError) as problem:
            print(f"{name}: {problem}", file=sys.stderr)
            return 1
        source = _source(original)
        lengths = fit_lengths(traffic.input_tokens, traffic.output_tokens)
        fits.append(_fit(name, traffic, lengths, note, source, original.as_of))
        bins += _bins(name, lengths, source, original.as_of)
        print(_line(fits[-1]))
    _write(options.out / "traffic_fits.csv", fits, Workload)
    _write(options.out / "traffic_lengths_by_rank.csv", bins, LengthBin)
    return 0


def _source(original: Original) -> str:
    """Owner/repository path@commit, as people write it."""
    owner, repository, commit, path = original.url.split("/", 6)[3:]
    return f"{owner}/{repository} {path}@{commit[:10]} ({original.licence}), fitted by scripts/fit_traffic.py"


def _fit(name, traffic, lengths: Lengths, note: str, source: str, day: date) -> Workload:
    stamp_s = STAMPS_S.get(name, 0.0)
    rng = np.random.default_rng(0)
    arrived_s = np.sort(traffic.arrived_s + stamp_s * rng.random(len(traffic)))
    bursts = fit_bursts(arrived_s)
    asked, said = lengths.draw(1_000_000, rng)
    made = [bursty_arrivals(bursts, duration_s=traffic.duration_s, seed=seed) for seed in range(50)]
    return Workload(
        workload=name,
        requests=len(traffic),
        rate_per_s=round(bursts.rate_per_s, 4),
        burst_factor=round(bursts.burst_factor, 4),
        burst_share=round(bursts.burst_share, 4),
        burst_s=round(bursts.burst_s, 2),
        input_mean_tokens=round(float(traffic.input_tokens.mean()), 1),
        output_mean_tokens=round(float(traffic.output_tokens.mean()), 1),
        input_ks=_ks(traffic.input_tokens, asked),
        output_ks=_ks(traffic.output_tokens, said),
        input_mean_error=round(float(asked.mean() / traffic.input_tokens.mean() - 1), 4),
        output_mean_error=round(float(said.mean() / traffic.output_tokens.mean() - 1), 4),
        dispersion_60s=round(index_of_dispersion(arrived_s, 60), 2),
        fitted_dispersion_60s=round(float(bursts.dispersion(60)), 2),
        gap_cv=round(_cv(np.diff(arrived_s)), 3),
        fitted_gap_cv=round(float(np.mean([_cv(np.diff(one)) for one in made])), 3),
        note=note,
        source=source,
        as_of=day,
    )


def _cv(values: np.ndarray) -> float:
    return float(values.std() / values.mean())


def _ks(one: np.ndarray, other: np.ndarray) -> float:
    """Largest gap between the two cumulative shares."""
    steps = np.unique(np.concatenate((one, other)))
    shares = [np.searchsorted(np.sort(values), steps, side="right") / values.size for values in (one, other)]
    return round(float(np.abs(shares[0] - shares[1]).max()), 4)


def _bins(name: str, lengths: Lengths, source: str, day: date) -> list[LengthBin]:
    return [
        LengthBin(
            workload=name,
            share=round(float(share), 5),
            input_from_tokens=int(inputs[0]),
            input_median_tokens=int(inputs[1]),
            input_to_tokens=int(inputs[2]),
            output_tokens=tuple(f"{value:.6g}" for value in outputs),
            source=source,
            as_of=day,
        )
        for share, inputs, outputs in zip(
            lengths.share, lengths.input_tokens, lengths.output_tokens, strict=True
        )
    ]


def _line(fit: Workload) -> str:
    return (
        f"{fit.workload:22} KS {fit.input_ks:.3f} in, {fit.output_ks:.3f} out; means {fit.input_mean_error:+.1%} in, "
        f"{fit.output_mean_error:+.1%} out; dispersion in 60 s {fit.dispersion_60s:.1f}, fitted "
        f"{fit.fitted_dispersion_60s:.1f}; cv of gaps {fit.gap_cv:.2f}, fitted {fit.fitted_gap_cv:.2f}"
    )


def _write(path: Path, rows: list, row_type: type) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(row_type)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {
            key: ";".join(cell) if isinstance(cell, tuple) else cell for key, cell in asdict(row).items()
        }
        writer.writerow(cells)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text.getvalue(), encoding="utf-8")
    os.replace(partial, path)
    print(path)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
