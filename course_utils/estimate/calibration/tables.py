"""Published measurements as rows to predict: one reader per table, each saying what its columns mean.

`published(folder)` gives one frame: the inputs of `deployment`, what was measured (`out_tok_s_per_gpu`, `ttft_ms`,
`tpot_ms`; empty where a table has none), and `reason` for a row that is listed but not scored. The tables are not
part of the repository; INDEX.md beside them names their public origin.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.estimate.calibration.aiconfigurator import aiconfigurator
from course_utils.estimate.calibration.mlperf import READERS as MLPERF

INPUTS = (
    "model",
    "gpu",
    "gpus",
    "tp",
    "pp",
    "attention_dp",
    "precision",
    "isl",
    "osl",
    "engine",
    "load",
    "prefix_hit",
)
MEASURED = ("out_tok_s_per_gpu", "ttft_ms", "tpot_ms")
_DEFAULTS = {"pp": 1, "attention_dp": 1, "prefix_hit": 0.0, "reason": ""} | dict.fromkeys(MEASURED, np.nan)


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """One table without its header of comments. Only lines that start with # are comments: cells hold # too."""
    path = Path(folder) / f"{name}.csv"
    if not path.is_file():
        raise ValueError(
            f"tables={str(folder)!r}: {path.name} is not there; give the folder of the published tables"
        )
    lines = [line for line in path.read_text(encoding="utf-8").splitlines(True) if not line.startswith("#")]
    return pd.read_csv(io.StringIO("".join(lines)), low_memory=False)


def source_of(folder: Path, name: str) -> str:
    """The public origin that a table's header names."""
    with (Path(folder) / f"{name}.csv").open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").removeprefix("Source:").strip()


def trtllm_max_load(folder: Path, name: str) -> pd.DataFrame:
    """TensorRT-LLM's performance page: output tokens/s of all GPUs of a row, endless backlog, fixed lengths."""
    raw = read_table(folder, name)
    rows = raw[["model", "gpu", "precision", "isl", "osl", "tp", "pp"]].copy()
    rows["gpus"] = raw.num_gpus
    rows["engine"], rows["load"] = "trtllm", "max"
    rows["out_tok_s_per_gpu"] = raw.throughput_tok_s / raw.num_gpus
    return rows


def trtllm_static(folder: Path, name: str = "trtllm_v0_5_to_v0_9_static") -> pd.DataFrame:
    """The same page up to v0.9: a fixed batch; rows of one output token are batch-1 first-token latencies."""
    raw = read_table(folder, name)
    key = [
        "software",
        "model",
        "gpu",
        "tp",
        "isl",
        "osl",
        "concurrency_or_batch",
        "throughput_tok_s",
        "ttft_ms",
    ]
    again = raw.duplicated(key)
    rows = raw[["model", "gpu", "precision", "isl", "osl", "tp"]].copy()
    rows["gpus"] = raw.num_gpus
    rows["engine"] = "trtllm"
    rows["load"] = "batch=" + raw.concurrency_or_batch.astype(int).astype(str)
    rows["out_tok_s_per_gpu"] = np.where(
        raw.throughput_scope == "per_gpu", raw.throughput_tok_s, raw.throughput_tok_s / raw.num_gpus
    )
    rows["ttft_ms"] = raw.ttft_ms
    old = ~raw.software.str.contains(r"v0\.[89]")
    rows["reason"] = np.where(old, "a build before v0.8, up to 1.8 times slower than the release", "")
    rows.loc[again, "reason"] = "an exact duplicate"
    return rows


def trtllm_online(folder: Path, name: str = "trtllm_online_v0_14") -> pd.DataFrame:
    """500 requests at a mean rate: latencies below saturation, throughput of the run without a rate."""
    raw = read_table(folder, name)
    rows = raw[["model", "gpu", "precision", "isl", "osl", "tp"]].copy()
    rows["gpus"] = raw.num_gpus
    rows["engine"] = "trtllm"
    endless = np.isinf(raw.qps_offered)
    rows["load"] = np.where(endless, "concurrency=500", "rate=" + raw.qps_offered.astype(str))
    rows["out_tok_s_per_gpu"] = (raw.throughput_tok_s / raw.num_gpus).where(endless)
    rows["ttft_ms"], rows["tpot_ms"] = raw.ttft_ms.where(~endless), raw.tpot_ms.where(~endless)
    slow = ~endless & (raw.throughput_tok_s / raw.osl < 0.85 * raw.qps_offered)
    rows["reason"] = np.where(
        slow, "500 requests near saturation: measures how a short run drains, not the rate", ""
    )
    return rows


def inferencemax(folder: Path, name: str = "inferencemax_2025_12_to_2026_01") -> pd.DataFrame:
    """InferenceMAX: a closed loop of `conc` requests; lengths drawn from 80 to 100 % of nominal (mean 90 %); means."""
    raw = read_table(folder, name)
    rows = pd.DataFrame({"model": raw.model, "gpu": raw.hw, "precision": raw.precision})
    rows["tp"] = rows["gpus"] = raw.tp.fillna(8)
    rows["attention_dp"] = np.where(raw.dp_attention.astype(str).str.casefold() == "true", rows.tp, 1)
    rows["isl"], rows["osl"] = 0.9 * raw.isl, 0.9 * raw.osl
    rows["engine"] = raw.framework.replace({"trt": "trtllm"})
    rows["load"] = "concurrency=" + raw.conc.astype(str)
    rows["out_tok_s_per_gpu"] = raw.output_tput_per_gpu
    rows["ttft_ms"], rows["tpot_ms"] = raw.mean_ttft_s * 1e3, raw.mean_tpot_s * 1e3
    drafts = raw.spec_decoding != "none"
    rows["reason"] = np.where(
        drafts, "speculative decoding with a draft length that the table doesn't give", ""
    )
    rows.loc[raw.disagg, "reason"] = (
        "prefill and decode on separate chips: the inputs here have no such split"
    )
    return rows


def dstack_batch(folder: Path, name: str = "dstack_h100_mi300x_405b_batch") -> pd.DataFrame:
    """vLLM offline, Llama-3.1-405B in FP8: `batch` prompts handed in at once, end-to-end seconds of the whole batch."""
    raw = read_table(folder, name)
    rows = raw[["model", "isl", "osl"]].copy()
    rows["gpu"] = np.where(raw.gpu.str.contains("H100"), "H100 SXM", "MI300X")
    rows["gpus"] = raw.num_gpus
    rows["tp"] = np.where(raw.gpu.str.contains("2FP8"), raw.num_gpus // 2, raw.num_gpus)
    rows["precision"], rows["engine"] = "fp8", "vllm"
    rows["load"] = "batch=" + raw.batch.astype(str)
    rows["out_tok_s_per_gpu"] = raw.batch * raw.osl / raw.e2e_latency_s / raw.num_gpus
    meta = raw.gpu.str.contains("Mi300x") & raw.gpu.str.contains("meta")
    rows["reason"] = np.where(
        meta, "a checkpoint that ran 3.4 times slower there than AMD's own, all else equal", ""
    )
    return rows


def blis_open_loop(folder: Path, name: str = "blis_vllm_h100_openloop") -> pd.DataFrame:
    """vLLM on H100, open loop at a constant rate; TPOT from end-to-end time, as the tool's own counts chunks.

    Its prompts share prefixes (data type `shared_prefix`) and vLLM caches them. How many tokens hit isn't recorded;
    nine tenths is assumed: with none, TTFT and TPOT would contradict each other as the rate grows.

    Output tokens are half of the chunks that the client counted. The table's own `osl_mean` tokenizes the text anew,
    and for Llama-2-7B gives 194 where the engine made 248: all models got as many chunks, all requests took as long.
    """
    raw = read_table(folder, name)
    raw = raw[raw.stage != "summary"]
    answering_s = raw.e2e_s_mean - raw.ttft_s_mean
    osl = (answering_s / raw.tpot_s_mean / 2).round()
    rows = pd.DataFrame(
        {"model": raw.model, "gpu": raw.gpu, "tp": raw.tp, "gpus": raw.tp, "precision": "fp16"}
    )
    rows["isl"], rows["osl"], rows["engine"] = raw.isl_mean, osl, "vllm"
    rows["load"], rows["prefix_hit"] = "rate=" + raw.requested_rate.astype(str), 0.9
    rows["ttft_ms"] = raw.ttft_s_mean * 1e3
    rows["tpot_ms"] = answering_s / (osl - 1) * 1e3
    rows["reason"] = np.where(
        raw.overload_excluded == 1, "its authors excluded it: over 10 % of requests failed", ""
    )
    return rows


def llmservingsim_runs(folder: Path, name: str = "llmservingsim_vllm_requests") -> pd.DataFrame:
    """vLLM, 300 requests at about 10/s, faster than it can serve: as a closed loop of the number that was running.

    A run fills up and drains, so there are two such numbers, and a row for each. Tokens per second are those of the
    whole run, with the mean over time; a token's time is that among the others then running, with the mean over
    tokens. With `ep` the chips of a data-parallel group share the experts.
    """
    raw = read_table(folder, name)
    result = []
    for (gpu, label, tp, dp, ep), run in raw.groupby(["gpu", "model", "tp", "dp", "ep"]):
        starts, ends = run.arrival_s + run.queue_wait_s, run.arrival_s + run.e2e_s
        running, seconds = running_at_once(starts.to_numpy(), ends.to_numpy())
        setup = {
            "model": label,
            "gpu": gpu,
            "gpus": tp * dp,
            "tp": tp * dp if ep else tp,
            "precision": "bf16",
        }
        setup |= {"attention_dp": dp if ep else 1, "engine": "vllm"}
        setup |= {"isl": run.input_toks.mean(), "osl": run.output_toks.mean()}
        by_time = np.average(running, weights=seconds)
        by_token = np.average(running, weights=seconds * running)
        rate = run.output_toks.sum() / seconds.sum() / (tp * dp)
        result.append(setup | {"load": f"concurrency={by_time:.0f}", "out_tok_s_per_gpu": rate})
        result.append(setup | {"load": f"concurrency={by_token:.0f}", "tpot_ms": run.tpot_s.mean() * 1e3})
    return pd.DataFrame(result)


def running_at_once(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many requests run between two events, and for how many seconds, given when each starts and ends."""
    times = np.concatenate([starts, ends])
    order = np.argsort(times, kind="stable")
    change = np.concatenate([np.ones(len(starts)), -np.ones(len(ends))])[order]
    return np.cumsum(change)[:-1], np.diff(times[order])


def llamacpp(folder: Path, name: str = "llamacpp_gpu_benchmarks") -> pd.DataFrame:
    """llama-bench at batch 1: tokens/s of `tokens` generated from an empty context, or of a prompt of that many."""
    raw = read_table(folder, name)
    rows = pd.DataFrame(
        {"model": raw.model, "gpu": raw.gpu, "gpus": raw.num_gpus, "tp": 1, "pp": raw.num_gpus}
    )
    rows["precision"] = raw["quant"].str.casefold()
    rows["engine"], rows["load"] = "llamacpp", "batch=1"
    decode = raw.phase == "decode"
    rows["isl"], rows["osl"] = np.where(decode, 1, raw.tokens), np.where(decode, raw.tokens, 1)
    speed = pd.to_numeric(raw.tok_s, errors="coerce")
    rows["out_tok_s_per_gpu"] = (speed / raw.num_gpus).where(decode)
    rows["ttft_ms"] = (raw.tokens / speed * 1e3).where(~decode)
    odd = (
        raw.gpu.isin(["A100 SXM 80GB", "L40S 48GB"])
        & (raw["quant"] == "F16")
        & (raw.model == "Llama 3 8B")
        & ~decode
    )
    rows["reason"] = np.where(
        odd, "breaks the trend of its neighbours 3 to 10 times: likely a build fault", ""
    )
    rows.loc[speed.isna(), "reason"] = "out of memory in the source"
    return rows


def splitwise(folder: Path, name: str = "splitwise_perf_a100_h100") -> pd.DataFrame:
    """PyTorch serving without CUDA graphs: prefill of a batch, and one decode step, FP16."""
    raw = read_table(folder, name)
    rows = pd.DataFrame({"model": raw.model, "tp": raw.tensor_parallel, "gpus": raw.tensor_parallel})
    rows["gpu"] = raw.gpu.str.replace("-pcap", "")
    rows["precision"], rows["engine"] = "fp16", "transformers"
    rows["isl"], rows["osl"], rows["load"] = (
        raw.prompt_size,
        raw.token_size,
        "batch=" + raw.batch_size.astype(str),
    )
    rows["ttft_ms"], rows["tpot_ms"] = raw.prompt_time_ms, raw.token_time_ms
    rows["reason"] = np.where(raw.gpu.str.contains("pcap"), "the chip's power was capped", "")
    return rows


READERS = {
    "trtllm_v0_17": trtllm_max_load,
    "trtllm_v1_0": trtllm_max_load,
    "trtllm_v0_5_to_v0_9_static": trtllm_static,
    "trtllm_online_v0_14": trtllm_online,
    "inferencemax_2025_12_to_2026_01": inferencemax,
    "dstack_h100_mi300x_405b_batch": dstack_batch,
    "blis_vllm_h100_openloop": blis_open_loop,
    "llmservingsim_vllm_requests": llmservingsim_runs,
    "llamacpp_gpu_benchmarks": llamacpp,
    "splitwise_perf_a100_h100": splitwise,
}


# Readers that have a module of their own take the table as it was read.
_PARSED = {"aiconfigurator_silicon_sample": aiconfigurator} | MLPERF


def published(folder: str | Path) -> pd.DataFrame:
    """Every table, in one frame. ValueError where the folder or a table isn't there."""
    frames = []
    tables = {name: reader(Path(folder), name) for name, reader in READERS.items()}
    tables |= {name: reader(read_table(folder, name)) for name, reader in _PARSED.items()}
    for name, rows in tables.items():
        for column, value in _DEFAULTS.items():
            rows[column] = rows[column].fillna(value) if column in rows else value
        rows.insert(0, "table", name)
        rows.insert(1, "row", range(len(rows)))
        frames.append(rows[["table", "row", *INPUTS, *MEASURED, "reason"]])
    return pd.concat(frames, ignore_index=True)
