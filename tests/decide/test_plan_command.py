"""`course plan` from a shell: a table, one JSON document, a page; and a sentence for what can't be done."""

import json
import re

import numpy as np
import pytest

from course_utils.authoring import plan_command
from course_utils.cli import main
from course_utils.decide.plan import Requirements, Space, plan
from course_utils.explore.plan_page import page, write_page
from course_utils.scale.traffic import Traffic


@pytest.fixture
def trace(tmp_path):
    rng = np.random.default_rng(1)
    rows = zip(
        np.cumsum(rng.exponential(0.5, 80)), rng.integers(50, 900, 80), rng.integers(2, 90, 80), strict=True
    )
    file = tmp_path / "trace.csv"
    lines = ["arrived_at,input_tokens,output_tokens", *(f"{at:.3f},{given},{out}" for at, given, out in rows)]
    file.write_text("\n".join(lines))
    return str(file)


def run(monkeypatch, *words) -> int:
    monkeypatch.setattr("sys.argv", ["course", "plan", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


FEW = ("--model", "Llama-3.2-3B", "--gpus", "L4,L40S", "--top", "3")


def test_a_table_with_reasons(monkeypatch, capsys, trace):
    assert run(monkeypatch, "--trace", trace, *FEW, "--ttft-p95-ms", "1000", "--tpot-p95-ms", "50") == 0
    said = capsys.readouterr().out
    assert "winner" in said
    assert "cheapest of" in said
    assert "candidates" in said


def test_one_json_document(monkeypatch, capsys, trace):
    run(monkeypatch, "--trace", trace, *FEW, "--ttft-p95-ms", "1000", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["winner"]["verdict"] == "meets"
    assert found["trace"]["requests"] == 80
    assert all(one["why"] for one in found["losers"])


def test_a_page_that_needs_nothing_else(monkeypatch, tmp_path, trace):
    report = tmp_path / "plan.html"
    run(monkeypatch, "--trace", trace, *FEW, "--tpot-p95-ms", "50", "--report", str(report))
    text = report.read_text("utf-8")
    assert not re.search(r'<(script|link|iframe)|(src|href)="http', text)
    assert text.count("<img alt=") == text.count("data:image/png;base64,") >= 1
    assert "@media print" in text
    assert [path.name for path in tmp_path.iterdir() if ".part." in path.name] == []


def test_nothing_that_meets_everything_ends_with_1_and_says_what_binds(monkeypatch, capsys, trace):
    assert run(monkeypatch, "--trace", trace, *FEW, "--tpot-p95-ms", "0.2") == 1
    assert "TPOT binds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trace", "nowhere.csv", "--model", "Llama-3.2-3B"), "neither a file nor"),
        (("--trace", "TRACE", "--model", "Lama-3.2-3B"), "Llama-3.2-3B"),
        (("--trace", "TRACE", "--model", "Llama-3.2-3B", "--gpus", "H1000"), "nearest"),
        (("--trace", "TRACE", "--model", "Llama-3.2-3B", "--region", "moon"), "region='moon'"),
        (("--trace", "TRACE", "--model", "Llama-3.2-3B", "--ttft-p95-ms", "0"), "ttft_p95_ms=0"),
        (("--trace", "TRACE", "--model", "Llama-3.2-3B", "--api", "nobody/nothing"), "nothing"),
        (("--trace", "TRACE", "--model", "Llama-3.2-3B", "--score", "Llama"), "MODEL=NUMBER"),
        (("--trace", "TRACE", "--model", "Llama-3.2-3B", "--engine", "foo"), "engine='foo'"),
        (("--trace", "TRACE", "--model", "Llama-3.2-3B", "--report", "no/where.html"), "no folder 'no'"),
    ],
)
def test_mistakes_are_one_sentence(monkeypatch, capsys, trace, words, said):
    code = run(monkeypatch, *(trace if word == "TRACE" else word for word in words))
    assert code == 1
    errors = capsys.readouterr().err.strip()
    assert said in errors
    assert "Traceback" not in errors


def test_scores_are_read_as_names_and_numbers():
    assert plan_command.scores_given(["Llama-3.1-8B/int4=71.2", "a/b=c=3"]) == {
        "Llama-3.1-8B/int4": 71.2,
        "a/b=c": 3.0,
    }


def test_the_second_chart_says_what_the_front_shows():
    trace = Traffic(np.arange(20.0), np.full(20, 200), np.full(20, 20), "t", "made up")
    for chips in (("L4", "L40S"), ("L4",)):
        space = Space(models=("Llama-3.2-3B",), chips=chips, tps=(1,), precisions=("fp8",), apis=())
        found = plan(trace, Requirements(), space, top=4)
        first, *dearer = found.front
        faster = any(one.tpot_p95_ms.value < first.tpot_p95_ms.value for one in dearer)
        assert ("More money buys faster tokens" in page(found)) == faster
        assert ("cheapest of these makes the fastest" in page(found)) != faster


def test_a_plan_without_a_winner_has_a_page_too(tmp_path):
    trace = Traffic(np.arange(20.0), np.full(20, 200), np.full(20, 20), "t", "made up")
    space = Space(models=("Llama-3.2-3B",), chips=("L4",), tps=(1,), apis=())
    found = plan(trace, Requirements(budget_usd_per_month=1), space, top=2)
    write_page(found, tmp_path / "no.html")
    assert "No plan meets everything" in (tmp_path / "no.html").read_text("utf-8")
    assert "budget binds" in page(found)
