"""A table as people write it: names, units and blanks; the whole cross product of the catalog; files written whole."""

import json
import time
from itertools import product

import pandas as pd
import pytest

from course_utils.catalog.accelerators import accelerators
from course_utils.catalog.models import models
from course_utils.estimate.deployment import parse_load
from course_utils.estimate.engine import engine
from course_utils.estimate.precision import precision
from course_utils.estimate.predict import INPUTS, OUTPUTS, predict_rows, read_number
from course_utils.estimate.predict_file import predict_file, read_rows_csv

GOOD = dict(
    zip(
        INPUTS,
        ("Llama-3.1-8B", "H100 SXM", 2, 2, "fp8", 1000, 200, "vllm", "concurrency=32"),
        strict=True,
    )
)


def _one(**changes) -> pd.Series:
    return predict_rows(pd.DataFrame([GOOD | changes])).iloc[0]


PLAIN = _one()


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "meta-llama/Meta-Llama-3-8B-Instruct"},
        {"gpu": "h100_sxm"},
        {"gpu": "NVIDIA H100 80GB HBM3"},
        {"gpu": "2x H100"},
        {"gpu": "H100 x2", "gpus": "", "tp": ""},
        {"gpus": ""},
        {"tp": None},
        {"gpus": "2 ", "tp": "2"},
        {"precision": "FP8 e4m3"},
        {"engine": "vLLM 0.6.3"},
        {"load": "Concurrency : 32"},
        {"load": "32 concurrent requests"},
        {"isl": "1,000"},
    ],
)
def test_another_spelling_gives_the_same_prediction(changes):
    found = _one(**changes)
    assert found["error"] == ""
    assert found[list(OUTPUTS)].tolist() == PLAIN[list(OUTPUTS)].tolist()


def test_column_names_may_be_upper_case_and_spaced():
    frame = pd.DataFrame([GOOD]).rename(columns={"model": " Model", "gpu": "GPU", "isl": "ISL "})
    found = predict_rows(frame)
    assert found["tpot_ms"][0] == PLAIN["tpot_ms"]
    assert " Model" in found.columns


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"load": ""}, "load is empty"),
        ({"gpus": "", "tp": ""}, "gpus is empty"),
        ({"tp": "two"}, "tp='two': a number"),
        ({"gpus": "", "tp": "two"}, "tp='two': a number is needed"),
        ({"load": "many"}, "load='many': max, batch=N"),
        ({"model": "llama 70b"}, "model='llama 70b' fits several models: Llama-2-70B, Llama-3.1-70B"),
        ({"gpu": "V100"}, "gpu='V100' fits several chips: V100 SXM2 16GB, V100 SXM2 32GB"),
        ({"precision": "q7_k"}, "precision='q7_k': no such precision; nearest: "),
    ],
)
def test_a_cell_that_means_nothing_is_told_in_one_sentence(changes, says):
    error = _one(**changes)["error"]
    assert says in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("max", ("max", float("inf"))),
        ("Offline", ("max", float("inf"))),
        ("rate=inf", ("max", float("inf"))),
        ("batch = 8", ("batch", 8)),
        ("batch size 8", ("batch", 8)),
        ("BS=8", ("batch", 8)),
        ("concurrency:16", ("concurrency", 16)),
        ("conc=16", ("concurrency", 16)),
        ("64 users", ("concurrency", 64)),
        ("rate=2.5", ("rate", 2.5)),
        ("qps 2.5", ("rate", 2.5)),
        ("2.5 req/s", ("rate", 2.5)),
    ],
)
def test_loads_are_read_as_people_write_them(written, meant):
    assert parse_load(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [("50%", 0.5), ("1,024", 1024), ("2k", 2048), ("$2.50", 2.5), (" 8 ", 8), (8, 8), ("eight", "eight")],
)
def test_numbers_are_read_as_people_write_them(written, meant):
    assert read_number(written) == meant


def test_a_prefix_hit_in_percent_is_a_fraction():
    hit = [_one(prefix_hit=value)["ttft_ms"] for value in ("50%", 0.5)]
    assert hit[0] == hit[1] < PLAIN["ttft_ms"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("float16", "fp16"),
        ("torch.bfloat16", "bf16"),
        ("FP8 (E4M3)", "fp8"),
        ("w8a8-fp8", "fp8"),
        ("W8A8", "int8"),
        ("int8", "int8"),
        ("nvfp4", "fp4"),
        ("MXFP4", "mxfp4"),
        ("w4a16", "int4"),
        ("awq", "int4"),
        ("GPTQ-INT4", "int4"),
        ("bnb 4bit", "int4"),
        ("q4_k_m", "q4_k_m"),
        ("GGUF Q4_K_M", "q4_k_m"),
        ("Q5_K_M", "q5_k_m"),
        ("Q6_K", "q6_k"),
    ],
)
def test_precisions_are_known_by_the_names_that_people_write(written, meant):
    assert precision(written).name == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("TensorRT-LLM", "trtllm"),
        ("tensorrt_llm", "trtllm"),
        ("TensorRT-LLM v0.17", "trtllm"),
        ("dynamo-trt", "trtllm"),
        ("vLLM 0.6", "vllm"),
        ("vllm-rocm", "vllm"),
        ("SGLang", "sglang"),
        ("mori-sglang", "sglang"),
        ("llama.cpp", "llamacpp"),
        ("llama.cpp b4000", "llamacpp"),
        ("llama_cpp", "llamacpp"),
        ("ollama", "llamacpp"),
        ("HF", "transformers"),
        ("HuggingFace Transformers", "transformers"),
        ("lmdeploy", "other"),
        ("LMDeploy 0.5", "other"),
        ("TGI", "other"),
        ("MLC-LLM", "other"),
    ],
)
def test_engines_are_known_by_name_and_version(written, meant):
    assert engine(written).name == meant


def test_every_model_on_every_chip_predicts_or_says_why_not_within_seconds():
    pairs = list(product(models(), accelerators()))
    rows = pd.DataFrame(
        [GOOD | {"model": shape.name, "gpu": chip.name, "gpus": 8, "tp": 8} for shape, chip in pairs]
    )
    began = time.perf_counter()
    found = predict_rows(rows)
    assert time.perf_counter() - began < 10
    answered = found["error"] == ""
    assert answered.mean() > 0.7
    figures = found.loc[answered, [name for name in OUTPUTS if not name.startswith("usd")]]
    assert figures.notna().all(axis=None)
    assert (figures > 0).all(axis=None)
    for metric in ("out_tok_s_per_gpu", "ttft_ms", "tpot_ms"):
        assert (figures[f"{metric}_lo"] < figures[metric]).all()
        assert (figures[metric] < figures[f"{metric}_hi"]).all()
    for text in found.loc[~answered, "error"]:
        assert "\n" not in text
        assert len(text) < 400


def test_the_table_is_written_whole_or_not_at_all(tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "Model,GPU,gpus,tp,precision,isl,osl,engine,load\nllama2-70b,H100,8,,fp8,1k,128,vLLM,batch = 8\n"
    )
    assert predict_file(rows, tmp_path / "out.csv") == 0
    assert read_rows_csv(tmp_path / "out.csv")["tpot_ms"][0] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "rows.csv"]
    assert predict_file(rows, tmp_path / "no" / "out.csv") == 2
    assert "it can't be written" in capsys.readouterr().err


def test_a_file_with_a_header_only_says_so(tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    rows.write_text(",".join(INPUTS) + "\n")
    assert predict_file(rows) == 2
    assert capsys.readouterr().err == "rows.csv has a header and no rows under it: nothing to predict\n"


def test_one_cell_that_is_no_number_leaves_the_others_numbers(tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    cells = "llama2-70b,H100,8,8,fp8,{isl},128,vllm,max\n"
    rows.write_text(",".join(INPUTS) + "\n" + "".join(cells.format(isl=one) for one in ("abc", "1000", "2k")))
    assert predict_file(rows, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)["rows"]
    assert [row["isl"] for row in found] == ["abc", 1000, "2k"]
    assert [row["error"] == "" for row in found] == [False, True, True]


@pytest.mark.parametrize(
    ("model", "tp", "would_do"),
    [
        ("Llama-3.1-8B", 3, "tp=2 or tp=4"),
        ("Qwen3-235B-A22B", 6, "tp=4 or tp=8"),
        ("DeepSeek-R1", 24, "tp=16"),
    ],
)
def test_heads_that_do_not_split_evenly_are_an_error_that_says_what_would_do(model, tp, would_do):
    row = GOOD | {"model": model, "gpu": "B200", "gpus": 48, "tp": tp}
    found = predict_rows(pd.DataFrame([row]))["error"][0]
    assert found.startswith(f"tp={tp}: {model} has ")
    assert f"{tp} chips can't split evenly; {would_do}" in found
    for better in (int(text.split("=")[1]) for text in found.split(";")[1].split() if text.startswith("tp=")):
        assert "evenly" not in predict_rows(pd.DataFrame([row | {"tp": better}]))["error"][0]
