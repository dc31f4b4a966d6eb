"""The fit: it recovers constants that made its data, repeats itself, and its tables are read for what they say."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from course_utils.estimate.baselines import BASELINES, baseline
from course_utils.estimate.calibration.aiconfigurator import aiconfigurator
from course_utils.estimate.calibration.fit import (
    METRICS,
    data_of,
    fit,
    log_constants,
    predict_logs,
    spreads_of,
)
from course_utils.estimate.calibration.mlperf import mlperf_v4_1
from course_utils.estimate.calibration.names import table_gpu, table_model
from course_utils.estimate.calibration.priors import DIMENSIONS, PRIORS
from course_utils.estimate.calibration.scores import by_group, errors, held_out, prepare
from course_utils.estimate.calibration.tables import (
    INPUTS,
    MEASURED,
    llmservingsim_runs,
    read_table,
    running_at_once,
)
from course_utils.estimate.deployment import deployment
from course_utils.estimate.engine import CONSTANTS, FRACTIONS
from course_utils.estimate.throughput import speed
from course_utils.estimate.work import constants_of, work_of

ROOT = Path(__file__).resolve().parents[2]


def _rows() -> pd.DataFrame:
    """Rows as tables give them, measured by the fitted model itself, 10 % slower."""
    rows = [
        {"model": model, "gpu": gpu, "isl": isl, "osl": osl, "load": load, "table": f"made {gpu}"}
        for model in ("Llama-3.1-8B", "Qwen3-14B", "Mixtral-8x7B")
        for gpu in ("H100 SXM", "A100 SXM 80GB")
        for isl, osl in ((128, 512), (2000, 200))
        for load in ("concurrency=4", "concurrency=64", "batch=8")
    ]
    frame = pd.DataFrame(rows).assign(
        row=range(len(rows)),
        gpus=2,
        tp=2,
        pp=1,
        attention_dp=1,
        precision="bf16",
        engine="vllm",
        prefix_hit=0.0,
        reason="",
    )
    deployments = [
        deployment(one.model, one.gpu, gpus=2, isl=one.isl, osl=one.osl, load=one.load)
        for one in frame.itertuples()
    ]
    loads = np.array([one.load for one in deployments])
    made = speed(work_of(deployments), constants_of(deployments), loads)
    frame["out_tok_s_per_gpu"] = made.out_tok_s_per_gpu / 1.1
    frame["ttft_ms"], frame["tpot_ms"] = made.ttft_s * 1.1e3, made.tpot_s * 1.1e3
    return frame[["table", "row", *INPUTS, *MEASURED, "reason"]]


def test_every_constant_has_a_prior_and_every_prior_a_constant():
    assert set(PRIORS) == set(CONSTANTS)
    assert all(PRIORS[name].value < 1 for name in FRACTIONS)
    assert {"pool", "engine"} <= set(DIMENSIONS)


def test_fit_explains_rows_that_the_model_made():
    scored = prepare(_rows())
    deviations = fit(scored.data)
    logs = log_constants(scored.data.combos, deviations)
    lines = errors(scored, predict_logs(scored.data, logs[scored.data.combo_of]))
    assert by_group(lines, ["metric"])["median"].max() < 0.08


def test_fit_repeats_itself_exactly():
    scored = prepare(_rows())
    assert fit(scored.data) == fit(scored.data)


def test_fit_without_rows_to_learn_from_stays_at_the_priors():
    one = deployment("Llama-3.1-8B", "H100 SXM", load="batch=1")
    data = data_of([one], np.full((1, len(METRICS)), np.nan), np.zeros(1, int))
    assert all(abs(step) < 1e-9 for step in fit(data).values())
    spreads = spreads_of(data, fit(data))
    assert spreads["bandwidth", "pool", "all"] == pytest.approx(PRIORS["bandwidth"].pool)


def test_a_held_out_model_is_predicted_by_the_others():
    scored = prepare(_rows())
    predicted = held_out(scored, "shape")
    assert np.isfinite(predicted).all()
    assert by_group(errors(scored, predicted), ["metric"])["median"].max() < 0.25


def test_one_wild_row_does_not_pull_the_fit():
    rows = _rows()
    clean = fit(prepare(rows).data)
    rows.loc[0, "tpot_ms"] *= 20
    wild = fit(prepare(rows).data)
    key = ("bandwidth", "engine", "vllm")
    assert wild[key] == pytest.approx(clean[key], abs=0.03)


def test_rows_that_cannot_be_right_are_listed_with_the_reason():
    rows = _rows()
    rows.loc[0, "tpot_ms"] /= 100
    rows.loc[1, "gpu"] = "no such chip"
    rows.loc[2, "reason"] = "told so"
    refused = prepare(rows).refused.reason.tolist()
    assert sorted(text[:20] for text in refused) == [
        "a token takes less t",
        "name='no such chip':",
        "told so",
    ]


def test_a_hash_within_a_cell_is_no_comment(tmp_path):
    (tmp_path / "made.csv").write_text("# Source: somewhere\nname,image\na,repo#tag\n")
    assert read_table(tmp_path, "made").image.tolist() == ["repo#tag"]


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"trtllm_v0_17\.csv is not there"):
        read_table(tmp_path, "trtllm_v0_17")


def test_the_script_asks_for_the_tables(tmp_path):
    script = [sys.executable, str(ROOT / "scripts" / "fit_engines.py"), "--out", str(tmp_path)]
    for arguments, code in (([], 2), (["--tables", str(tmp_path)], 1)):
        done = subprocess.run(
            [*script, *arguments], capture_output=True, text=True, env={"PATH": ""}, check=False
        )
        assert done.returncode == code
        assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_table_names_mean_catalog_entries():
    assert table_model("LLaMA 70B").name == "Llama-2-70B"
    assert table_gpu("GH200 480GB").name == "GH200 96GB"
    assert table_model("GPT-J 6B").parameters == pytest.approx(6.05e9, rel=0.01)


def test_mlperf_system_names_tell_chip_and_count():
    raw = pd.DataFrame(
        {
            "system": ["XE9680_H100_SXM_80GBx8_TRT", "8xMI300X_2xEPYC-9374F"],
            "model": "llama2-70b-99",
            "scenario": "Offline",
        }
        | {"submitter": "X", "tokens_per_s": 24000.0, "samples_per_s": 80.0}
    )
    rows = mlperf_v4_1(raw)
    assert rows[["gpu", "gpus", "engine"]].to_numpy().tolist() == [
        ["H100 SXM", 8, "trtllm"],
        ["MI300X", 8, "vllm"],
    ]
    assert rows.osl.tolist() == [300, 300]


def test_runs_with_a_draft_are_listed_and_not_taken_for_plain_ones():
    plain = {
        "id": "x",
        "src": "source_file=a.csv",
        "measured": "2026-02-03",
        "backend": "trtllm",
        "mode": "agg",
    }
    plain |= {
        "backend_version": "1.2.0rc6.post2",
        "model_path": "deepseek-ai/DeepSeek-R1",
        "system": "b200_sxm",
    }
    plain |= {"precision": "fp8", "isl": 1024, "osl": 1024, "concurrency": 8, "batch_size": 8, "tp_size": 8}
    plain |= {"attention_dp_size": 1, "moe_tp_size": 8, "moe_ep_size": 1, "silicon_ttft_ms": 90}
    plain |= {"silicon_tpot_ms": 10.8}
    draft = plain | {"backend_version": "1.2.0rc6.post3", "silicon_tpot_ms": 6.3}
    reasons = aiconfigurator(pd.DataFrame([plain, draft])).reason.fillna("").tolist()
    assert reasons[0] == ""
    assert "speculative decoding" in reasons[1]


def test_a_run_that_fills_and_drains_has_one_mean_over_time_and_one_over_tokens(tmp_path):
    # One request for 10 s, a second beside it for 5 s: 1.5 run on average, 1.67 as a token sees it.
    one = {
        "gpu": "RTX4090",
        "model": "meta-llama/Llama-3.1-8B",
        "tp": 1,
        "dp": 1,
        "ep": 0,
        "queue_wait_s": 0.0,
    }
    one |= {"input_toks": 100, "output_toks": 50, "tpot_s": 0.03}
    runs = [one | {"arrival_s": 0.0, "e2e_s": 10.0}, one | {"arrival_s": 2.0, "e2e_s": 5.0}]
    pd.DataFrame(runs).to_csv(tmp_path / "made.csv", index=False)
    starts, ends = np.array([0.0, 2.0]), np.array([10.0, 7.0])
    running, seconds = running_at_once(starts, ends)
    assert np.average(running, weights=seconds) == pytest.approx(1.5)
    assert np.average(running, weights=seconds * running) == pytest.approx(5 / 3)
    rows = llmservingsim_runs(tmp_path, "made")
    assert rows.out_tok_s_per_gpu.tolist()[0] == pytest.approx(100 / 10)
    assert rows.tpot_ms.tolist()[1] == pytest.approx(30)


def test_an_ideal_roofline_is_faster_than_a_cautious_one():
    one = deployment("Llama-3.1-8B", "H100 SXM", load="concurrency=8")
    ideal, cautious, _ = (baseline(work_of([one]), np.array(["concurrency"]), kind) for kind in BASELINES)
    assert ideal["tpot_s"] < cautious["tpot_s"]
