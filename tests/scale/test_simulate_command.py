"""`course simulate`: every layout in, a table or one document out, one sentence for what can't be simulated."""

import json
from itertools import chain

import numpy as np
import pytest
from typer.testing import CliRunner

from course_utils.cli import app
from course_utils.scale.traffic import Traffic
from course_utils.scale.traffic_files import write_traffic


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")


@pytest.fixture
def trace(tmp_path):
    """Sixty requests, two a second, of 800 tokens in and 100 out."""
    requests = Traffic(np.arange(60) / 2, np.full(60, 800), np.full(60, 100), "steady", "made for a test")
    return write_traffic(requests, tmp_path / "steady.csv")


def course(trace, *more, model="Llama-3.1-8B", gpu="H100 SXM", **options):
    named = {"trace": trace, "model": model, "gpu": gpu} | options
    words = chain.from_iterable((f"--{name.replace('_', '-')}", str(value)) for name, value in named.items())
    return CliRunner().invoke(app, ["simulate", *words, *more])


def document(trace, *more, **options) -> dict:
    done = course(trace, "--json", *more, **options)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_table_says_latencies_goodput_money_and_where_each_comes_from(trace):
    done = course(trace, replicas=2)
    assert done.exit_code == 0, done.stderr
    for word in ("TTFT", "TPOT", "E2E", "p50", "p95", "p99", "goodput", "replica-hours", "simulated in"):
        assert word in done.stdout
    assert "read from steady.csv" in done.stdout
    assert "published by" in done.stdout
    assert "predicted (80 % interval" in done.stdout


def test_one_document_holds_every_figure_under_a_name_that_ends_in_its_unit(trace):
    found = document(trace, replicas=2, usd_per_gpu_hour=3)
    assert found["requests"] == 60
    assert found["finished_share"] == 1
    assert found["ttft_p50_ms"] <= found["ttft_p95_ms"] <= found["ttft_p99_ms"]
    low, high = found["e2e_p95_ms_interval"]
    assert low <= found["e2e_p95_ms"] <= high
    assert found["cost_usd"] == pytest.approx(3 * found["replica_hours"])
    assert found["price_source"] == "assumed: yours to change"
    assert found["simulation_s"] > 0


def test_chips_of_a_replica_are_all_paid(trace):
    found = document(trace, model="Llama-3.1-70B", tp=4, usd_per_gpu_hour=2)
    assert found["gpu_hours"] == pytest.approx(4 * found["replica_hours"])
    assert found["cost_usd"] == pytest.approx(8 * found["replica_hours"])


def test_azures_layout_is_read(tmp_path):
    path = tmp_path / "azure.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
    )
    found = document(path)
    assert found["requests"] == 2
    assert found["arrivals_per_s"] == pytest.approx(1 / 4.314579, rel=1e-4)


def test_mooncakes_layout_is_read_and_its_shared_blocks_are_found_in_the_cache(tmp_path):
    path = tmp_path / "mooncake.jsonl"
    rows = [
        {"timestamp": 3000 * i, "input_length": 2048, "output_length": 20, "hash_ids": [0, 1, 2, 3]}
        for i in range(10)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert document(path)["prefix_hit_share"] == 0
    assert document(path, "--prefix-cache")["prefix_hit_share"] > 0.8


@pytest.mark.parametrize("name", ["azure-conversation", "azure-code", "mooncake"])
def test_published_traces_go_by_name_and_say_whether_they_are_generated(name):
    found = document(name, replicas=8, requests=50)
    assert found["requests"] == 50
    assert "generated" in found["origin"] or "published" in found["origin"]


def test_the_same_seed_gives_the_same_figures(trace):
    first, again = (document(trace, replicas=3, routing="random", seed=5) for _ in range(2))
    assert first | {"simulation_s": 0} == again | {"simulation_s": 0}


def test_another_replica_shortens_the_wait_at_the_price_of_its_hours(trace):
    alone, together = (
        document(trace, replicas=count, rate_factor=20, engine="transformers") for count in (1, 4)
    )
    assert together["ttft_p95_ms"] < alone["ttft_p95_ms"]
    assert together["cost_usd"] > alone["cost_usd"]


def test_a_fleet_that_scales_stays_within_its_bounds_and_costs_less_than_the_most(trace):
    loaded = {"rate_factor": 4, "cold_start_s": 1, "autoscale_target": 4}
    scaled = document(trace, autoscale="1:3", **loaded)
    assert scaled["replicas_at_start"] == 1
    assert scaled["replicas_at_most"] <= 3
    assert scaled["finished_share"] == 1
    assert scaled["cost_usd"] < 3 * document(trace, replicas=1, **loaded)["cost_usd"]


def test_a_slower_promise_is_kept_more_often(trace):
    strict, loose = (document(trace, ttft_slo_ms=bound)["in_time_share"] for bound in (1, 10_000))
    assert strict == 0
    assert loose == 1


BAD = {
    "no such file": ({"trace": "nowhere.csv"}, "nowhere.csv"),
    "no such model": ({"model": "Llama-9"}, "model='Llama-9'"),
    "no such chip": ({"gpu": "H1000"}, "gpu='H1000'"),
    "too large": ({"model": "Llama-3.1-405B"}, "would fit"),
    "no replica": ({"replicas": 0}, "replicas=0"),
    "no bounds": ({"autoscale": "3"}, "autoscale='3'"),
    "bounds the wrong way round": ({"autoscale": "5:2"}, "min_replicas=5"),
    "outside its bounds": ({"autoscale": "2:4", "replicas": 9}, "replicas=9"),
    "no such rule": ({"autoscale": "1:2", "autoscale_rule": "cpu"}, "rule='cpu'"),
    "no such router": ({"routing": "lucky"}, "policy='lucky'"),
    "no time": ({"ttft_slo_ms": 0}, "ttft_slo_ms=0"),
    "a price below nothing": ({"usd_per_gpu_hour": -1}, "usd_per_gpu_hour=-1"),
    "no request": ({"requests": 0}, "requests=0"),
    "standing still": ({"rate_factor": 0}, "rate_factor=0"),
    "heads that don't split": ({"tp": 3}, "tp=3"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cant_be_simulated_is_one_sentence(case, trace):
    options, named = BAD[case]
    done = course(
        options.get("trace", trace), **{key: value for key, value in options.items() if key != "trace"}
    )
    assert done.exit_code == 2
    assert done.stdout == ""
    assert named in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_request_larger_than_the_cache_is_refused_by_number(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("arrived_at,input_tokens,output_tokens\n0,100,10\n1,60000,10\n")
    done = course(path, gpu="RTX 4090")
    assert done.exit_code == 2
    assert "request 1 of" in done.stderr
