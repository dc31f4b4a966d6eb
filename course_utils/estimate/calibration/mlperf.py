"""MLPerf Inference results as rows to predict: Offline is an endless backlog on a whole system.

The tables give no lengths and no split. Lengths are the means of each task's data set; outputs are those of the
run where it states them. A submitter picks the best split: the fewest chips that leave room for a batch.
"""

import numpy as np
import pandas as pd

from course_utils.estimate.calibration.names import table_gpu, table_model
from course_utils.estimate.deployment import deployment

# Mean tokens in and out: OpenOrca, long documents, CNN/DailyMail, OpenOrca + GSM8K + MBXP, reasoning. Outputs agree
# with the runs' own tokens per sample; inputs are assumed, and those of the last two are guesses.
LENGTHS = {
    "llama2-70b": (294, 294),
    "llama3.1-405b": (9428, 684),
    "llama3.1-8b": (778, 128),
    "mixtral-8x7b": (275, 145),
    "deepseek-r1": (800, 3880),
}
ROOM_FOR = 128


def split_for(model: str, gpu: str, gpus: int, precision: str, isl: float, osl: float, engine: str) -> int:
    """Chips of a replica: the smallest power of two that leaves room for ROOM_FOR sequences, all chips if none does."""
    tp = 1
    while tp < min(gpus, 8):
        try:
            row = {"isl": isl, "osl": osl, "engine_name": engine, "precision_name": precision}
            placed = deployment(table_model(model), table_gpu(gpu), gpus=tp, tp=tp, **row)
            if placed.fit.max_batch >= ROOM_FOR:
                return tp
        except ValueError:
            pass
        tp *= 2
    return tp


def mlperf_v5_1(raw: pd.DataFrame) -> pd.DataFrame:
    """Round 5.1: output tokens/s of the whole system. `reason` for all but Offline runs of one kind of chip."""
    task = raw.model.str.replace(r"-99(\.9)?$", "", regex=True)
    rows = pd.DataFrame({"model": task, "gpus": raw.total_accelerators.fillna(0)})
    rows["gpu"] = (
        raw.accelerator.fillna("").str.replace(r"^(NVIDIA|AMD Instinct) ", "", regex=True).str.strip()
    )
    rows["gpu"] = rows.gpu.str.replace("-", " ").str.replace(" HBM3e| HBM3", "", regex=True)
    rows["gpu"] = rows.gpu.replace(
        {"B200 SXM 180GB": "B200", "RTX PRO 6000 Blackwell Server Edition": "RTX PRO 6000"}
    )
    rows["precision"] = raw.weight_dtype.fillna("").str.casefold()
    software = raw.software.fillna("").str.casefold()
    rows["engine"] = np.select(
        [software.str.contains("tensorrt"), software.str.contains("vllm")], ["trtllm", "vllm"], "other"
    )
    stated = raw.accuracy.fillna("").str.extract(r"TOKENS_PER_SAMPLE: ([\d.]+)")[0].astype(float)
    lengths = [LENGTHS.get(name, (np.nan, np.nan)) for name in task]
    rows["isl"] = [isl for isl, _ in lengths]
    rows["osl"] = stated.where(stated.between(16, 10_000), [osl for _, osl in lengths])
    rows["load"], rows["tp"] = "max", 1
    rows["out_tok_s_per_gpu"] = raw.result / raw.total_accelerators
    same = raw.assign(task=task).duplicated(["id", "task", "scenario"])
    rows["reason"] = np.select(
        [
            raw.scenario != "Offline",
            rows.isl.isna() | (raw.units != "Tokens/s"),
            raw.category != "closed",
            rows.engine == "other",
            rows.gpu.str.contains("x32|x16|Virtualized|MAXSUN|Jetson|^$", regex=True),
            same,
        ],
        [
            "a rate that just meets a latency limit, not the most that the system does",
            "no tokens/s of a language model in the catalog",
            "open division: the model may differ",
            "an engine without constants",
            "mixed or virtual chips, or chips that the catalog lacks",
            "the same run under a second accuracy target",
        ],
        "",
    )
    keep = rows.reason == ""
    rows.loc[keep, "tp"] = [_split(row) for row in rows[keep].itertuples()]
    return rows


# How system names of round 4.1 spell a chip; the first that is found counts.
_CHIPS = (
    (r"GH200.*96GB", "GH200 96GB"),
    (r"H100[-_]SXM", "H100 SXM"),
    (r"H100[-_]NVL", "H100 NVL"),
    (r"H200[-_]SXM", "H200 SXM"),
    (r"B200[-_]SXM", "B200"),
    (r"MI300X", "MI300X"),
    (r"L40S", "L40S"),
)


def mlperf_v4_1(raw: pd.DataFrame) -> pd.DataFrame:
    """Round 4.1, from the logs: the chip and how many are in the system's name, the output length in the two rates."""
    task = raw.model.str.replace(r"-99(\.9)?$", "", regex=True)
    rows = pd.DataFrame({"model": task})
    count = raw.system.str.extract(r"(?:^|[a-zA-Z0-9])x(\d+)(?:_|$)|^(\d+)x")
    rows["gpus"] = pd.to_numeric(count[0].fillna(count[1])).fillna(0)
    rows["gpu"] = ""
    for pattern, name in reversed(_CHIPS):
        rows.loc[raw.system.str.contains(pattern), "gpu"] = name
    rows["precision"] = np.where(rows.gpu == "B200", "fp4", "fp8")
    rows["engine"] = np.where(raw.system.str.contains("TRT"), "trtllm", "vllm")
    lengths = [LENGTHS.get(name, (np.nan, np.nan)) for name in task]
    rows["isl"], rows["osl"] = [isl for isl, _ in lengths], raw.tokens_per_s / raw.samples_per_s
    rows["load"], rows["tp"] = "max", 1
    rows["out_tok_s_per_gpu"] = raw.tokens_per_s / rows.gpus.replace(0, np.nan)
    same = raw.assign(task=task).duplicated(["system", "submitter", "task", "scenario"])
    rows["reason"] = np.select(
        [
            raw.scenario.str.casefold() != "offline",
            rows.isl.isna(),
            (rows.gpu == "") | (rows.gpus == 0),
            raw.system.str.contains("MaxQ"),
            same,
        ],
        [
            "a rate that just meets a latency limit, not the most that the system does",
            "beam search over four beams (GPT-J), or a model that the catalog lacks",
            "the system's name doesn't tell its chips and their number",
            "run for energy, not for speed",
            "the same run under a second accuracy target",
        ],
        "",
    )
    keep = rows.reason == ""
    rows.loc[keep, "tp"] = [_split(row) for row in rows[keep].itertuples()]
    return rows


def _split(row) -> int:
    try:
        return split_for(row.model, row.gpu, int(row.gpus), row.precision, row.isl, row.osl, row.engine)
    except ValueError:
        return 1


READERS = {"mlperf_inference_v5_1_llm": mlperf_v5_1, "mlperf_inference_v4_1_llm_logs": mlperf_v4_1}
