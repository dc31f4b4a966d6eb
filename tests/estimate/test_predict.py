"""`course predict`: published figures lie near it, bad rows say why, every pair of catalog names is answered."""

import json
import math

import pandas as pd
import pytest

from course_utils.catalog.accelerators import accelerators
from course_utils.catalog.models import models
from course_utils.estimate.memory import DoesNotFit
from course_utils.estimate.predict import INPUTS, OUTPUTS, predict, predict_rows
from course_utils.estimate.predict_file import predict_file

TRT = "NVIDIA/TensorRT-LLM docs/source/performance/perf-overview.md, version 0.17"
TRT1 = "NVIDIA/TensorRT-LLM docs/source/performance/perf-overview.md, version 1.0"
MAX = (
    "InferenceMAX artifacts in gminneci/mantile reconcile/sources/inferencemax, December 2025 to January 2026"
)
LLAMACPP = "XiongjieDai/GPU-Benchmarks-on-LLM-Inference README.md, 2024-05"
RATE = "out_tok_s_per_gpu"
SPLITWISE = "Mutinifni/splitwise-sim data/perf_model.csv"

# model, gpu, gpus, tp, precision, isl, osl, engine, load, metric, published, source.
# InferenceMAX draws lengths of 80 to 100 % of nominal: the mean, 90 %, stands here.
PUBLISHED = [
    ("Llama-3.1-8B", "H100 SXM", 1, 1, "fp8", 128, 128, "trtllm", "max", "out_tok_s_per_gpu", 28836.8, TRT),
    ("Llama-3.1-8B", "H200 SXM", 1, 1, "fp8", 2048, 2048, "trtllm", "max", "out_tok_s_per_gpu", 11968.5, TRT),
    ("Llama-3.1-70B", "H200 SXM", 8, 8, "fp8", 2048, 128, "trtllm", "max", "out_tok_s_per_gpu", 247.9, TRT),
    ("Mixtral-8x7B", "H100 SXM", 2, 2, "fp8", 1000, 1000, "trtllm", "max", "out_tok_s_per_gpu", 7885.4, TRT),
    ("Llama-3.1-405B", "H200 SXM", 8, 8, "fp8", 20000, 2000, "trtllm", "max", "out_tok_s_per_gpu", 63.1, TRT1),
    ("gpt-oss-120b", "H100 SXM", 4, 4, "fp4", 7373, 922, "vllm", "concurrency=64", "tpot_ms", 17.09, MAX),
    ("gpt-oss-120b", "B200", 2, 2, "fp4", 922, 7373, "trtllm", "concurrency=8", "tpot_ms", 3.088, MAX),
    ("DeepSeek-R1", "MI325X", 8, 8, "fp8", 922, 922, "sglang", "concurrency=64", "tpot_ms", 44.48, MAX),
    ("DeepSeek-R1", "H200 SXM", 8, 8, "fp8", 7373, 922, "sglang", "concurrency=32", "tpot_ms", 34.87, MAX),
    ("Llama-3.1-8B", "RTX 4090", 1, 1, "q4_k_m", 1, 1024, "llamacpp", "batch=1", RATE, 127.74, LLAMACPP),
    ("Llama-3.1-8B", "RTX A6000", 1, 1, "fp16", 1024, 1, "llamacpp", "batch=1", "ttft_ms", 237.3, LLAMACPP),
    ("Llama-3.1-70B", "A100 PCIe 80GB", 1, 1, "q4_k_m", 1, 1024, "llamacpp", "batch=1", RATE, 22.11, LLAMACPP),
    ("Llama-2-70B", "H100 SXM", 8, 8, "fp16", 512, 128, "transformers", "batch=1", "tpot_ms", 29.76, SPLITWISE),
    ("Llama-2-70B", "H100 SXM", 8, 8, "fp16", 512, 128, "transformers", "batch=1", "ttft_ms", 53.39, SPLITWISE),
]  # fmt: skip


def _frame(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(INPUTS))


GOOD = ("Llama-3.1-8B", "H100 SXM", 1, 1, "fp8", 1000, 200, "vllm", "concurrency=32")


def _with(**changes) -> tuple:
    return tuple((dict(zip(INPUTS, GOOD, strict=True)) | changes).values())


@pytest.mark.parametrize(
    "row", PUBLISHED, ids=lambda row: "-".join(str(cell) for cell in row[:2]) + f"-{row[9]}"
)
def test_published_figures_lie_within_a_third_of_the_prediction(row):
    *inputs, metric, published, _ = row
    found = predict_rows(_frame(tuple(inputs))).iloc[0]
    assert found["error"] == ""
    assert 1 / 1.4 < found[metric] / published < 1.4


def test_most_published_figures_lie_in_their_interval():
    inside = 0
    for *inputs, metric, published, _ in PUBLISHED:
        found = predict_rows(_frame(tuple(inputs))).iloc[0]
        inside += found[f"{metric}_lo"] <= published <= found[f"{metric}_hi"]
    assert inside >= 0.7 * len(PUBLISHED)


def test_every_catalog_chip_and_model_predicts_or_says_why_not():
    rows = [
        (shape.name, chip.name, 1, 1, recipe, 512, 128, name, "concurrency=4")
        for shape in models()
        for chip in accelerators()
        for recipe, name in (("bf16", "vllm"), ("int4", "other"))
    ]
    result = predict_rows(_frame(*rows))
    answered = result["error"] == ""
    assert answered.mean() > 0.4
    assert (
        result.loc[
            answered,
            [
                f"{name}{end}"
                for name in ("out_tok_s_per_gpu", "ttft_ms", "tpot_ms")
                for end in ("", "_lo", "_hi")
            ],
        ]
        .notna()
        .all(axis=None)
    )
    assert (result.loc[answered, "out_tok_s_per_gpu"] > 0).all()
    for text in result.loc[~answered, "error"]:
        assert "would fit" in text or "compute rate" in text or "context" in text
        assert "\n" not in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": "Lama-3.1-8B"}, r"model='Lama-3.1-8B'.*Llama-3.1-8B"),
        ({"gpu": "H10 SXM"}, r"gpu='H10 SXM'.*H100 SXM"),
        ({"precision": "fp9"}, r"precision='fp9'.*fp8"),
        ({"engine": "vlm"}, r"engine='vlm'.*vllm"),
        ({"load": "rate=-2"}, r"load='rate=-2'"),
        ({"isl": -5}, r"isl=-5: a number from 1"),
        ({"osl": 0}, r"osl=0: a number from 1"),
        ({"isl": math.nan}, r"isl is empty"),
        ({"isl": "many"}, r"isl='many': a number from 1"),
        ({"gpus": 3, "tp": 2}, r"tp=2, pp=1: their product must divide gpus=3"),
        ({"gpus": 1.5}, r"gpus=1.5: a whole number"),
        ({"isl": 9_000_000}, r"reads at most 131072 tokens"),
        ({"model": "Llama-3.1-405B", "precision": "bf16"}, r"lacks .* GiB per chip; would fit: 16 x H100 SXM"),
        ({"model": ""}, r"model is empty"),
    ],
)  # fmt: skip
def test_a_bad_row_gets_one_sentence_and_the_others_go_on(changes, says):
    result = predict_rows(_frame(_with(**changes), GOOD))
    assert pd.Series(result["error"]).str.contains(says, regex=True).tolist() == [True, False]
    assert result.loc[0, list(OUTPUTS)].isna().all()
    assert result.loc[1, list(OUTPUTS)].notna().all()


def test_heads_cannot_be_split_among_more_chips_than_there_are_heads():
    says = predict_rows(_frame(_with(gpus=64, tp=64))).loc[0, "error"]
    heads = (
        "tp=64: Llama-3.1-8B has 32 attention heads and 8 of the KV cache, which 64 chips can't split evenly"
    )
    assert says == f"{heads}; tp=32 would do"
    assert not predict_rows(_frame(_with(gpus=64, tp=32))).loc[0, "error"]


def test_an_overloaded_rate_keeps_its_capacity_and_says_so():
    result = predict_rows(_frame(_with(load="rate=100000"))).iloc[0]
    assert "more than 1 x H100 SXM sustain" in result["error"]
    assert result["out_tok_s_per_gpu"] > 0
    assert math.isnan(result["ttft_ms"])


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="missing columns: engine"):
        predict_rows(_frame(GOOD).drop(columns="engine"))


def test_a_config_json_stands_for_a_model(tmp_path):
    config = {
        "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 131072,
    }  # fmt: skip
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    result = predict_rows(_frame(_with(model=str(path)), GOOD))
    assert result.out_tok_s_per_gpu[0] == pytest.approx(result.out_tok_s_per_gpu[1])
    del config["hidden_size"]
    path.write_text(json.dumps(config))
    assert "hidden_size" in predict_rows(_frame(_with(model=str(path))))["error"][0]


def test_a_price_of_ones_own_replaces_the_catalogs():
    rows = _frame(GOOD, GOOD).assign(usd_per_gpu_hour=[2.0, 4.0])
    result = predict_rows(rows)
    assert result.usd_per_mtok_out[1] == pytest.approx(2 * result.usd_per_mtok_out[0])
    assert result.usd_per_mtok_out_lo[0] < result.usd_per_mtok_out[0] < result.usd_per_mtok_out_hi[0]


def test_a_single_prediction_equals_its_row():
    model, gpu, gpus, tp, precision, isl, osl, engine, load = GOOD
    one = predict(
        model,
        gpu,
        gpus=gpus,
        tp=tp,
        precision_name=precision,
        isl=isl,
        osl=osl,
        engine_name=engine,
        load=load,
    )
    row = predict_rows(_frame(GOOD)).iloc[0]
    assert [getattr(one, name) for name in OUTPUTS] == pytest.approx(row[list(OUTPUTS)].tolist())


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"usd_per_gpu_hour": -1}, "usd_per_gpu_hour=-1: above 0"),
        ({"usd_per_gpu_hour": math.nan}, "usd_per_gpu_hour=nan: above 0"),
        ({"kv_bits": 0}, "kv_bits=0: 1 to 32 bits"),
        ({"kv_bits": math.nan}, "kv_bits=nan: 1 to 32 bits"),
        ({"isl": math.nan}, "isl=nan: a number from 1"),
        ({"precision_name": None}, "precision=None: a name is needed"),
        ({"load": "concurrency=nan"}, "load='concurrency=nan'"),
    ],
)
def test_a_single_prediction_refuses_nonsense_by_its_name(row, says):
    with pytest.raises(ValueError, match=says):
        predict("Llama-3.1-8B", "H100 SXM", **row)


def test_a_single_prediction_that_cannot_be_placed_raises():
    with pytest.raises(DoesNotFit, match="would fit"):
        predict("Llama-3.1-405B", "L4")


def test_chips_left_over_hold_later_layers_where_a_model_needs_them():
    assert predict("Llama-3.1-405B", "H100 SXM", gpus=16, tp=8, precision_name="bf16").max_batch > 0


def test_predict_file_writes_the_contracts_columns(tmp_path, capsys):
    source, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    _frame(GOOD, _with(model="nothing")).to_csv(source, index=False)
    assert predict_file(source, out) == 0
    assert list(pd.read_csv(out).columns) == [*INPUTS, *OUTPUTS, "error"]
    assert "2 rows" in capsys.readouterr().out


def test_predict_file_prints_one_json_document(tmp_path, capsys):
    source = tmp_path / "rows.csv"
    _frame(GOOD, _with(model="nothing")).to_csv(source, index=False)
    assert predict_file(source, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["bad_rows"] == 1
    assert document["rows"][1]["ttft_ms"] is None


@pytest.mark.parametrize("content", [None, "", "model,gpu\n1,2\n"])
def test_predict_file_refuses_a_file_that_is_no_table(tmp_path, capsys, content):
    source = tmp_path / "rows.csv"
    if content is not None:
        source.write_text(content)
    assert predict_file(source) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_no_more_tokens_leave_an_open_loop_than_arrive():
    row = {"precision_name": "bf16", "isl": 1000, "osl": 200, "engine_name": "vllm"}
    calm = predict("Llama-3.1-8B", "H100 SXM", load="rate=5", **row)
    assert calm.out_tok_s_per_gpu_hi == pytest.approx(5 * 200)
    flooded = predict("Llama-3.1-8B", "H100 SXM", load="rate=500", **row)
    assert flooded.overloaded
    assert flooded.out_tok_s_per_gpu < flooded.out_tok_s_per_gpu_hi < 500 * 200
