"""What people do wrong first, done here for real, and the sentence that they read. docs/troubleshooting.md tells of
them by what is seen. `make lab`'s own (no venv, no network, a full disk) are in test_dev.py.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from course_utils.catalog.accelerators import accelerator, accelerators
from course_utils.catalog.api_prices import api_price, api_prices
from course_utils.catalog.gpu_prices import gpu_prices
from course_utils.catalog.models import model, models
from course_utils.cli import main
from course_utils.estimate.engine import engine, engines
from course_utils.estimate.precision import precision, precisions
from course_utils.estimate.request_log import read_log
from course_utils.grading import check
from course_utils.scale.traffic_files import read_traffic

ROOT = Path(__file__).resolve().parents[2]
TRACE = "arrived_at,input_tokens,output_tokens\n0,100,10\n1.5,120,20\n3,90,15\n"
ROWS = "model,gpu,gpus,tp,precision,isl,osl,engine,load\nLlama-3.1-8B,H100 SXM,1,1,bf16,1000,200,vllm,max\n"


def course(capsys, monkeypatch, *arguments):
    """`course …` in this process: its exit code, and all that it said."""
    monkeypatch.setattr(sys, "argv", ["course", *map(str, arguments)])
    with pytest.raises(SystemExit) as leaving:
        main()
    said = capsys.readouterr()
    return leaving.value.code or 0, said.out + said.err


def feedback(question, answer):
    mark = check(question, answer)
    return f"{mark.feedback}"


# A name that is misspelt: each name that is offered instead is one that is accepted.

LISTS = {
    "model": (model, lambda: [one.name for one in models()]),
    "chip": (accelerator, lambda: [one.name for one in accelerators()]),
    "engine": (engine, lambda: [one.name for one in engines()]),
    "precision": (precision, lambda: [one.name for one in precisions()]),
    "API": (api_price, lambda: [one.model for one in api_prices() if one.provider in ("openai", "mistral")]),
    "seller": (lambda name: gpu_prices(provider=name), lambda: [one.provider for one in gpu_prices()]),
    "region": (
        lambda name: gpu_prices(region=name),
        lambda: [one.region for one in gpu_prices() if one.region],
    ),
}


def misspelt(name, rng):
    """A letter doubled, dropped or swapped with the next, somewhere in the name."""
    at = int(rng.integers(0, len(name) - 1))
    slips = (
        name[:at] + name[at] + name[at:],
        name[:at] + name[at + 1 :],
        name[:at] + name[at + 1] + name[at] + name[at + 2 :],
    )
    return slips[int(rng.integers(3))]


def offered(error):
    said = str(error)
    for opening in ("nearest: ", "near: ", "fits several models: ", "fits several chips: "):
        if opening in said:
            names = said.split(opening)[1].split("; ")[0].split(" and ")[0]
            return [name for name in names.split(", ") if name not in ("none", "nothing")]
    return []


@pytest.mark.parametrize("kind", LISTS)
def test_every_name_that_is_offered_for_a_misspelt_one_is_accepted(kind):
    find, names = LISTS[kind]
    rng = np.random.default_rng(54)
    known = sorted(set(names()))
    refused = suggested = 0
    for name in rng.choice(known, 60):
        try:
            find(misspelt(str(name), rng))
        except ValueError as error:
            refused += 1
            for other in offered(error):
                suggested += 1
                find(other)
    assert suggested >= refused / 2 > 0


def test_no_name_at_all_says_what_a_name_looks_like():
    for nothing in ("", "  ", None, 3):
        with pytest.raises(ValueError, match=r"such as 'Llama-3\.1-8B'"):
            model(nothing)


# A file out of a spreadsheet.


def german(text):
    """As a German Excel saves it: a byte order mark, semicolons, CRLF."""
    return b"\xef\xbb\xbf" + text.replace(",", ";").replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_traffic, TRACE),
        (read_log, "arrived_at,model,input_tokens,output_tokens\n0,gpt-4o,10,2\n"),
    ],
)
def test_a_table_with_semicolons_utf16_or_a_spreadsheet_itself_is_called_that(read, text, tmp_path):
    file = tmp_path / "mine.csv"
    for data, says in (
        (german(text), "mine.csv: columns are separated by semicolons, not by commas"),
        (text.encode("utf-16"), "mine.csv is not UTF-8 text"),
        (b"PK\x03\x04\x14\0\0\0xl/workbook.xml\n", "mine.csv is not UTF-8 text .*a spreadsheet"),
    ):
        file.write_bytes(data)
        with pytest.raises(ValueError, match=f"^{says}"):
            read(file)


def test_predict_tells_semicolons_a_folder_and_a_misspelt_column_apart(tmp_path, capsys, monkeypatch):
    file = tmp_path / "rows.csv"
    for data, says in (
        (german(ROWS), "separated by semicolons"),
        (ROWS.encode("utf-16"), "not UTF-8"),
        (ROWS.replace("load", "lode").encode(), "missing columns: load; not understood: lode"),
    ):
        file.write_bytes(data)
        code, said = course(capsys, monkeypatch, "predict", file)
        assert code == 2
        assert says in said
    assert "is a folder" in course(capsys, monkeypatch, "predict", tmp_path)[1]
    assert "there is no such file" in course(capsys, monkeypatch, "predict", tmp_path / "no.csv")[1]


def test_a_decimal_comma_is_refused_and_never_read_as_ten_times_as_much(tmp_path, capsys, monkeypatch):
    file = tmp_path / "rows.csv"
    file.write_text(ROWS.replace("1000", '"1000,0"').replace("max", '"rate=2,5"'))
    assert "isl='1000,0'" in course(capsys, monkeypatch, "predict", file)[1]
    file.write_text(ROWS.replace("max", '"rate=2,5"'))
    assert "load='rate=2,5'" in course(capsys, monkeypatch, "predict", file)[1]
    file.write_text(TRACE.replace("1.5,", '"1,5",'))
    with pytest.raises(ValueError, match=r"line 3: arrived_at='1,5': .*with a point, no comma"):
        read_traffic(file)


def test_local_dates_are_refused_with_one_that_is_read(tmp_path):
    file = tmp_path / "trace.csv"
    for local in ("24.11.2026 10:00", "11/24/2026 10:00 AM"):
        file.write_text(f"arrived_at,input_tokens,output_tokens\n{local},100,10\n")
        with pytest.raises(
            ValueError, match=f"line 2: arrived_at='{local}': a time such as 2026-11-24T10:00"
        ):
            read_traffic(file)


def test_milliseconds_since_1970_zones_and_any_order_are_the_same_trace(tmp_path):
    file, at = tmp_path / "trace.csv", 1_764_000_000
    head = "arrived_at,input_tokens,output_tokens\n"
    for times in (
        (f"{at}000", f"{at}500", f"{at + 1}000"),  # milliseconds
        (f"{at + 1}", f"{at}", f"{at}.5"),
        ("2026-11-24T10:00:01Z", "2026-11-24T11:00:00+01:00", "2026-11-24T10:00:00.5"),
    ):
        file.write_text(head + "".join(f"{time},100,10\n" for time in times))
        assert read_traffic(file).arrived_s.tolist() == [0, 0.5, 1]


# A model's config that is none.


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<html>Access to model is restricted", "accept the model's terms"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        ({"error": "Access to model x is restricted"}, "accept the model's terms"),
        ({"peft_type": "LORA", "base_model_name_or_path": "a/b"}, "the config.json of a/b is needed"),
        ({"model_type": "t5", "d_model": 8}, "only decoder-only models.*model_type='t5'"),
        ({"model_type": "bert", "hidden_size": 8}, "writes no tokens.*model_type='bert'"),
        ({"bos_token": "<s>"}, "no model_type: is this a language model's"),
    ],
)
def test_a_config_of_something_else_says_of_what(content, says, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=f"(?s)^config.json.*{says}"):
        model(file)
    with pytest.raises(ValueError, match=r"a file of weights; the config\.json"):
        model("model-00001-of-00002.safetensors")


# What is given to `check`.


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda *_: None, "is there a `return`?"),
        (lambda *_: print("0.006"), "It printed: '0.006"),
        (lambda *_: "0.006", "a number and not a text"),
        (lambda *_: np.array([0.006]), "a number and not a list of 1"),
        (lambda tokens: tokens, "takes 1 argument (tokens), and is called with 4"),
        (0.006, "You gave 0.006, a number. Asked for is the function itself"),
        ("request_usd", 'its name alone, as in check("ch01.q1", request_usd)'),
    ],
)
def test_an_answer_of_the_wrong_kind_is_told_what_kind_is_right(answer, says):
    assert says in feedback("ch01.q1", answer)


def test_numpy_s_texts_and_numbers_count_like_python_s():
    from course_utils.grading.cases.ch01 import QUESTIONS
    from course_utils.grading.cases.ch03 import verdict

    assert check("ch03.q4", lambda *given: np.str_(verdict(*given))) == 2
    first = QUESTIONS[0]
    assert check(first.id, lambda *given: np.float64(first.reference(*given))) == first.points


def test_a_question_s_name_that_is_short_or_in_the_wrong_place_is_set_right():
    with pytest.raises(ValueError, match=r"the nearest are ch01\.q1"):
        check("ch1.q1", lambda: 1)
    with pytest.raises(ValueError, match="the name first"):
        check(lambda: 1, "ch01.q1")


# A notebook newer than the library, or a kernel older than it.


def test_a_name_that_the_library_lacks_says_to_restart_and_to_get_both_anew():
    code = "from course_utils.measure import time_call, weigh_call"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: course_utils.measure has no 'weigh_call'")
    assert "restart the kernel" in last
    import course_utils.measure

    assert not hasattr(course_utils.measure, "weigh_call"), "asked otherwise, it is an AttributeError"


# From a shell.


def test_a_score_for_a_misspelt_model_is_refused_before_anything_is_planned(tmp_path, capsys, monkeypatch):
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    asked = ("plan", "--trace", file, "--model", "Llama-3.1-8B", "--min-quality", 60, "--score")
    code, said = course(capsys, monkeypatch, *asked, "Lama-3.1-8B=70")
    assert code == 1
    assert "scores has 'Lama-3.1-8B'" in said
    assert "nearest: Llama-3.1-8B" in said


def test_what_is_handed_in_and_no_zip_or_empty_is_told_so(tmp_path, capsys, monkeypatch):
    (tmp_path / "class.zip").write_text("<html>log in first</html>")
    code, said = course(capsys, monkeypatch, "grade", "--trust-submissions", tmp_path / "class.zip")
    assert code == 1
    assert "neither a folder, a notebook nor a zip file" in said
    (tmp_path / "empty").mkdir()
    said = course(capsys, monkeypatch, "grade", "--trust-submissions", tmp_path / "empty")[1]
    assert "no notebook was handed in" in said


def test_grading_without_bubblewrap_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, said = course(capsys, monkeypatch, "grade", tmp_path)
    assert code == 1
    assert "bubblewrap" in said
    assert "--trust-submissions" in said


def test_outside_a_clone_the_commands_for_authors_say_so(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no clone of the course around" in course(capsys, monkeypatch, "run", "00")[1]
