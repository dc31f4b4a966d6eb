"""The script that fits published traces: it runs on copies in a folder, and the same traces give the same bytes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from course_utils.catalog.provenance import read_rows
from course_utils.scale import Bursts, bursty_arrivals
from course_utils.scale.generated_traffic import Workload
from course_utils.scale.lengths import LengthBin

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fit_traffic.py"
BURSTS = Bursts(4.0, burst_factor=3, burst_share=0.2, burst_s=30)


def fit(traces, out):
    return subprocess.run(
        [sys.executable, SCRIPT, "--traces", traces, "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    rng = np.random.default_rng(0)
    arrived_s = bursty_arrivals(BURSTS, duration_s=3000, seed=1)
    asked, said = rng.integers(1, 3000, arrived_s.size), rng.integers(1, 600, arrived_s.size)
    times = np.datetime64("2023-11-16T18:00:00") + (arrived_s * 1e6).astype("timedelta64[us]")
    lines = [f"{time},{one},{two}" for time, one, two in zip(times, asked, said, strict=True)]
    for name in ("AzureLLMInferenceTrace_conv.csv", "AzureLLMInferenceTrace_code.csv"):
        (folder / name).write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]))
    names = ("timestamp", "input_length", "output_length", "hash_ids")
    rows = zip((arrived_s * 1000).astype(int).tolist(), asked.tolist(), said.tolist(), strict=True)
    text = "".join(json.dumps(dict(zip(names, (*row, [0]), strict=True))) + "\n" for row in rows)
    (folder / "mooncake_conversation_trace.jsonl").write_text(text)
    return folder


def test_fits_are_written_with_their_errors_and_the_same_again(traces, tmp_path):
    done = fit(traces, tmp_path)
    assert done.returncode == 0, done.stderr
    rows = read_rows(tmp_path / "traffic_fits.csv", Workload)
    assert [row.workload for row in rows] == ["azure_conversation", "azure_code", "mooncake_conversation"]
    for row in rows:
        assert row.input_ks < 0.02
        assert row.output_ks < 0.03
        assert row.rate_per_s == pytest.approx(row.requests / 3000, rel=0.02)
        assert row.fitted_dispersion_60s == pytest.approx(row.dispersion_60s, rel=0.3)
    bins = read_rows(tmp_path / "traffic_lengths_by_rank.csv", LengthBin)
    assert sum(row.share for row in bins) == pytest.approx(3, abs=1e-3)
    first = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert fit(traces, tmp_path).returncode == 0
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == first


def test_a_folder_without_the_traces_is_an_error_in_one_line(tmp_path):
    done = fit(tmp_path, tmp_path)
    assert done.returncode == 1
    assert "there is no such file" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
