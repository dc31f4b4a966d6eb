"""NVIDIA's regression rows for its own predictor: mostly InferenceMAX (lengths 90 % of nominal), some in-house.

The table leaves out two things that its sources had, and this module puts them back: how chips are split between
tensor parallelism and attention groups, and which runs drafted tokens.
"""

import numpy as np
import pandas as pd


def aiconfigurator(raw: pd.DataFrame) -> pd.DataFrame:
    """One row per aggregated run: TTFT and TPOT in a closed loop. `reason` where the setup isn't known."""
    rows = pd.DataFrame({"model": raw.model_path, "gpu": raw.system})
    rows["precision"] = raw.precision.fillna("bf16")
    chips, groups = _aiconfigurator_split(raw)
    rows["tp"], rows["attention_dp"], rows["gpus"] = chips, groups, chips
    community = raw.src.str.contains("source_file|db-dump")
    rows["isl"], rows["osl"] = raw.isl * np.where(community, 0.9, 1), raw.osl * np.where(community, 0.9, 1)
    rows["engine"] = raw.backend
    rows["load"] = "concurrency=" + raw.concurrency.fillna(0).astype(int).astype(str)
    rows["ttft_ms"], rows["tpot_ms"] = raw.silicon_ttft_ms, raw.silicon_tpot_ms
    split = raw.concurrency / raw.batch_size
    known = (split == 1) | (split == raw.attention_dp_size)
    unknown = raw.precision.isna() & (raw.backend == "sglang")
    rows.loc[unknown, "reason"] = "no precision given, and faster than BF16 weights can be read"
    odd = raw.src.str.contains("vllm/0.12.0/nvidia_Llama-3.1-8B-Instruct-FP8")
    rows.loc[odd, "reason"] = (
        "a third of this series is faster than the data sheet allows: its load isn't what ran"
    )
    rows.loc[~known, "reason"] = "concurrency is a multiple of batch_size that no recorded split explains"
    rows.loc[chips > 8, "reason"] = "a disaggregated multi-node run with its split left out"
    rows.loc[raw.concurrency.isna(), "reason"] = "no concurrency given"
    drafted = _drafted(raw)
    rows.loc[drafted, "reason"] = (
        "run with speculative decoding, or not to be told from such a run: the table leaves it out"
    )
    rows.loc[raw["mode"] == "disagg", "reason"] = "prefill and decode on separate chips"
    return rows


def _drafted(raw: pd.DataFrame) -> pd.Series:
    """Runs with multi-token prediction, or that can't be told from such: the table has no column that would say so.

    InferenceMAX's file of recipes (SemiAnalysisAI/InferenceX, .github/configs/nvidia-master.yaml) has, with a draft,
    DeepSeek-R1 on B200 under TensorRT-LLM 1.2.0rc6.post3, on H200 under 1.1.0rc2.post2 (as without), and in FP8 on B200
    with eight chips under SGLang. Which runs of 1.1.0rc2.post2 those are, and that Qwen3.5 in FP8 under SGLang 0.5.9 on
    four chips with experts not dealt out is one (on B200 and B300), is inferred from their speed: at a concurrency of
    4 these take half to two thirds of the plain runs' time, four chips beat eight, and the lead shrinks under load.
    """
    community = raw.src.str.contains("source_file") & (raw["mode"] == "agg")
    deepseek, qwen = raw.model_path.str.contains("DeepSeek-R1"), raw.model_path.str.contains("Qwen3.5-397B")
    tensorrt = (raw.backend == "trtllm") & (
        (raw.backend_version == "1.2.0rc6.post3") | (raw.measured == "2026-01-14")
    )
    fp8 = (raw.backend == "sglang") & (raw.backend_version == "0.5.9") & (raw.precision == "fp8")
    eight = fp8 & (raw.system == "b200_sxm") & (raw.tp_size == 8)
    four = fp8 & raw.system.isin(["b200_sxm", "b300_sxm"]) & (raw.tp_size == 4) & (raw.moe_ep_size == 1)
    return community & ((deepseek & (tensorrt | eight)) | (qwen & four))


def _aiconfigurator_split(raw: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Chips of a replica and attention groups. Part of the rows store tp x ep where tp is meant: those have
    tp x dp = moe_tp x moe_ep with moe_tp = moe_ep, or dp = tp and ep = tp x dp."""
    tp, dp = raw.tp_size.fillna(0), raw.attention_dp_size.fillna(1).replace(0, 1)
    chips = tp * dp
    squared = (raw.moe_tp_size == raw.moe_ep_size) & (raw.moe_ep_size > 1)
    squared &= chips == raw.moe_tp_size * raw.moe_ep_size
    doubled = (tp > 1) & (dp == tp) & (raw.moe_ep_size == tp * dp)
    chips = chips.where(~squared, raw.moe_ep_size).where(~doubled, tp)
    named = raw.id.str.extract(r"_tp(\d+)(?:_\d)?_ep\d")[0].astype(float)
    chips = np.maximum(chips, (raw.moe_tp_size * raw.moe_ep_size).where(~squared & ~doubled, 0).fillna(0))
    chips = named.where(named.notna() & (raw["mode"] == "agg"), chips).replace(0, 1)
    grouped = np.where((dp > 1) | ((tp == 1) & (chips > 1)), chips, 1)
    return chips, pd.Series(grouped, index=raw.index)
