"""`course run` on the tiny chapter: what it measures, what it fails on, what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbgrader.utils import determine_grade

from course_utils.authoring.memory import PeakMemory
from course_utils.authoring.run import COURSE_SECONDS, Run, run_chapters, whole
from course_utils.authoring.tables import run_table


def answered(house, function):
    """Put an answer in the place of the tiny chapter's solution."""
    master = house.masters / "98_tiny.py"
    text = master.read_text("utf-8")
    master.write_text(text.replace("    return tokens * usd_per_mtok / 1e6\n", function), "utf-8")


def mark_and_feedback(house, folder="executed"):
    notebook = nbformat.read(house.build / folder / "98_tiny.ipynb", as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    assert "the end is reached" in cells["after"].outputs[0].text
    (output,) = cells["q1-check"].outputs
    assert determine_grade(cells["q1-check"]) == (float(output.data["text/plain"]), 2.0)
    return output.data["text/plain"], output.data["text/html"]


def test_solved_chapter_runs_within_budget_and_gets_full_marks(house):
    (run,) = run_chapters(house)
    assert (run.chapter, run.verdict, run.error) == ("98_tiny", "ok", "")
    assert 0 < run.seconds < 20
    assert 20 < run.peak_mb < 300
    assert run.slowest_cell in {"course-setup", "imports", "q1", "q1-check", "after"}
    mark, feedback = mark_and_feedback(house)
    assert mark == "2.0"
    assert "Right" in feedback


def test_blank_chapter_runs_to_the_end_and_says_not_attempted(house):
    (run,) = run_chapters(house, student=True)
    assert run.verdict == "ok"
    mark, feedback = mark_and_feedback(house, "executed/student")
    assert mark == "0.0"
    assert "Not attempted yet" in feedback


def test_wrong_answer_gets_its_hint_and_its_text_escaped(house):
    answered(house, "    print('<script>')\n    return tokens * usd_per_mtok\n")
    (run,) = run_chapters(house)
    assert run.verdict == "ok"
    mark, feedback = mark_and_feedback(house)
    assert mark == "0.0"
    assert "The price is for a million tokens" in feedback
    assert "&lt;script&gt;" in feedback
    assert "<script>" not in feedback


def test_executed_notebook_is_valid_and_names_no_machine(house):
    list(run_chapters(house))
    notebook = nbformat.read(house.executed / "98_tiny.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.language_info == {"name": "python"}
    assert "widgets" not in notebook.metadata


def test_an_error_names_chapter_cell_and_first_line(house, change):
    change('print("the end', 'raise KeyError("no such model")\nprint("the end')
    (run,) = run_chapters(house)
    assert run.failed
    assert run.error == "98_tiny, cell after: KeyError: 'no such model'"


def test_a_kernel_that_dies_is_an_error_not_a_hang(house, change):
    change('print("the end', 'import os\nos._exit(1)\nprint("the end')
    (run,) = run_chapters(house)
    assert run.error.startswith("98_tiny, cell after: the kernel died")


def test_memory_over_budget_fails(house, change):
    change("memory_mb: 300", "memory_mb: 10")
    (run,) = run_chapters(house)
    assert run.verdict == "over memory"


def test_frontend_is_set_for_the_kernel_only_when_asked(house, change, monkeypatch):
    monkeypatch.delenv("COURSE_FRONTEND", raising=False)
    change('print("the end is', 'import os\nprint(os.environ.get("COURSE_FRONTEND"), "the end is')
    printed = []
    for frontend in (None, "static"):
        list(run_chapters(house, frontend=frontend))
        text = (house.executed / "98_tiny.ipynb").read_text("utf-8")
        printed.append("static the end" in text)
    assert printed == [False, True]
    assert "COURSE_FRONTEND" not in os.environ


@pytest.mark.parametrize(
    ("seconds", "peak_mb", "error", "verdict"),
    [
        (9, 90, "", "ok"),
        (11, 90, "", "slow"),
        (29, 90, "", "slow"),
        (31, 90, "", "over time"),
        (9, 101, "", "over memory"),
        (9, 90, "x", "error"),
    ],
)
def test_memory_fails_over_budget_and_time_over_three_budgets(seconds, peak_mb, error, verdict):
    run = Run("00_x", seconds, 10, peak_mb, 100, "cpu", {"cell": 1.0}, error)
    assert run.verdict == verdict
    assert run.failed == (verdict not in ("ok", "slow"))
    assert json.loads(json.dumps(run.as_dict()))["verdict"] == verdict


def test_the_whole_course_is_one_run_with_a_budget_of_its_own(capsys):
    first = Run("00_x", 40.0, 60, 500, 700, "cpu", {"a": 30.0, "b": 9.0})
    second = Run("01_y", 50.0, 80, 900, 1000, "cpu", {"a": 41.5})
    both = whole([first, second])
    assert (both.seconds, both.seconds_budget, both.peak_mb, both.memory_mb_budget) == (90.0, 140, 900, 1000)
    assert both.slowest_cell == "01 a"
    assert whole([first] * 20).seconds_budget == COURSE_SECONDS
    assert whole([first, Run("02_z", 1.0, 60, 1, 1, "cpu", {}, "02_z, cell c: KeyError")]).verdict == "error"

    run_table([first, second])
    *_, total, _, slowest = capsys.readouterr().out.splitlines()
    assert [word in total for word in ("2 chapters", "90.0", "140", "900", "ok")] == [True] * 5
    assert slowest == "Slowest cells: 01 a (41.5 s), 00 a (30.0 s), 00 b (9.0 s)"


@pytest.mark.parametrize("chapter", ["98", "98_tiny", "98_tiny.ipynb"])
def test_chapters_are_chosen_by_number_or_name(house, chapter):
    from course_utils.authoring.masters import read_masters
    from course_utils.authoring.run import chosen

    assert [master.name for master in chosen(read_masters(house.masters), [chapter])] == ["98_tiny"]


def test_an_unknown_chapter_is_named(house):
    with pytest.raises(ValueError, match="chapter '07' is not written; these are: 98_tiny"):
        list(run_chapters(house, ["7"]))


def test_peak_memory_counts_what_was_freed_and_what_children_held():
    hold = (
        "b = bytearray(200_000_000); b[::4096] = b'x' * len(b[::4096]); del b; import time; time.sleep(0.5)"
    )
    alone = [sys.executable, "-c", hold]
    parent = [
        sys.executable,
        "-c",
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])",
    ]
    for command in (alone, parent):
        with subprocess.Popen(command) as process, PeakMemory(process.pid) as memory:
            process.wait()
        assert 200 < memory.peak_mb < 260


def test_ctrl_c_ends_the_kernel_too(house, change):
    change('print("the end', 'import time\nprint("waiting", flush=True)\ntime.sleep(60)\nprint("the end')
    command = [sys.executable, "-m", "course_utils.cli", "run"]
    environment = {**os.environ, "PYTHONPATH": str(house.root)}
    (house.root / "sitecustomize.py").write_text(
        f"from course_utils.grading import cases\ncases.__path__.append({str(house.root / 'cases')!r})\n"
    )
    # Tests that a shell runs in the background ignore Ctrl-C, and what they start would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, cwd=house.root, env=environment, stderr=subprocess.PIPE) as process:
        signal.signal(signal.SIGINT, before)
        deadline = time.monotonic() + 30
        kernels = []
        while not kernels and time.monotonic() < deadline:
            time.sleep(0.2)
            kernels = [
                p
                for p in psutil.Process(process.pid).children(recursive=True)
                if "ipykernel" in " ".join(p.cmdline())
            ]
        assert kernels
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in said
    psutil.wait_procs(kernels, timeout=10)
    assert not any(kernel.is_running() for kernel in kernels)
