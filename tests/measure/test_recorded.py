"""Recordings: raw rows with their circumstances, written whole, resumed after an interruption."""

import json
import subprocess
import sys

import pytest

from course_utils.measure import recorded
from course_utils.measure.recorded import Recording, record, recording


def counting(keys, calls, fails_at=None):
    def measure(key):
        if key == fails_at:
            raise KeyboardInterrupt
        calls.append(key)
        return {"seconds": [0.1, 0.2], "bits": len(key)}

    return [(key, lambda key=key: measure(key)) for key in keys]


def test_a_recording_says_what_was_measured_where_how_and_when(tmp_path):
    made = record("grid", counting(["a", "bb"], []), tmp_path, seed=3, progress=False)
    content = json.loads((tmp_path / "grid.json").read_text())
    assert content["command"] == "course record grid --seed 3"
    assert content["rows"][1] == {"key": "bb", "seconds": [0.1, 0.2], "bits": 2}
    assert {"python", "torch"} <= content["versions"].keys()
    assert made.label == f"recorded on {made.hardware}, {made.as_of}"
    assert list(made.table()["bits"]) == [1, 2]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    calls = []
    with pytest.raises(KeyboardInterrupt):
        record("grid", counting("abcd", calls, fails_at="c"), tmp_path, progress=False)
    assert not (tmp_path / "grid.json").exists()
    record("grid", counting("abcd", calls), tmp_path, progress=False)
    assert calls == ["a", "b", "c", "d"]
    assert not (tmp_path / "grid.partial.jsonl").exists()


def test_a_killed_process_loses_at_most_the_case_under_way(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from course_utils.measure.recorded import record\n"
        "cases = [('a', lambda: {'x': 1}), ('b', lambda: os.kill(os.getpid(), signal.SIGKILL))]\n"
        "record('grid', cases, Path(sys.argv[1]), progress=False)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    (tmp_path / "grid.partial.jsonl").open("a").write(
        '{"key": "b", "x"'
    )  # and the disk was slower than the kill
    with pytest.raises(KeyboardInterrupt):
        record("grid", counting(["a", "b"], [], fails_at="b"), tmp_path, progress=False)
    calls = []
    made = record("grid", counting(["a", "b"], calls), tmp_path, progress=False)
    assert calls == ["b"]
    assert made.rows[0] == {"key": "a", "x": 1}


def test_rows_of_another_seed_are_measured_again(tmp_path):
    calls = []
    with pytest.raises(KeyboardInterrupt):
        record("grid", counting("ab", calls, fails_at="b"), tmp_path, seed=1, progress=False)
    record("grid", counting("ab", calls), tmp_path, seed=2, progress=False)
    assert calls == ["a", "a", "b"]


def test_two_cases_with_one_key_are_refused(tmp_path):
    with pytest.raises(ValueError, match="key 'a' is there twice"):
        record("grid", counting("aba", []), tmp_path, progress=False)


def test_replaying_gives_back_what_was_recorded(tmp_path, monkeypatch):
    made = record("grid", counting(["a"], []), tmp_path, progress=False)
    monkeypatch.setattr(recorded, "data_path", lambda name: tmp_path)
    assert recording("grid") == made
    with pytest.raises(
        ValueError, match=r"name='gird': no such recording; there are grid\. `course record gird`"
    ):
        recording("gird")
    (tmp_path / "old.json").write_text(json.dumps({"name": "old", "rows": []}))
    with pytest.raises(ValueError, match=r"old\.json lacks 'as_of'"):
        recording("old")


def test_fields_of_a_recording_are_plain_json():
    assert set(Recording.__dataclass_fields__) == {
        "name", "rows", "hardware", "environment", "versions", "command", "seed", "as_of",
    }  # fmt: skip
