"""A class of 40 through `course grade`: killed, interrupted, gone on with; every submission marked once."""

import csv
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import psutil
import pytest

from course_utils.grading.results import Results, read_marks
from course_utils.grading.submissions import find_submissions
from course_utils.grading.whole_class import grade_class
from tests.grading.room import HONEST, make_room

pytestmark = pytest.mark.notebooks  # kernels are started: not among an author's quick tests

SEED = "the seed of this room"
KINDS = {  # of every ten: who hands in what, and what it is worth of 6
    "honest": (6.0, {}),
    "lambda": (6.0, {"g1": "share = lambda whole, parts: whole / parts"}),
    "numpy": (6.0, {"g3": "def squares(a, b): return np.square([a, b]).sum()"}),
    "partly": (5.66, {"g1": "def share(a, b): return a / b if a > 99 else 0"}),
    "mistaken": (4.0, {"g2": "def product(a, b): return a + b"}),
    "raises": (4.0, {"g2": "def product(a, b): return 1 / 0"}),
    "blank": (4.0, {"g3": "def squares(a, b):\n    raise NotImplementedError()"}),
    "exits": (4.0, {"g1": "import os\nos._exit(1)"}),
    "other": (2.0, {"g1": "x = 1", "g2": "y = 2"}),
    "honest too": (6.0, {"g2": "def product(*both): return both[0] * both[1]"}),
}


def course(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "course_utils.cli", *map(str, arguments)],
        env={**os.environ, "COURSE_SEED": SEED, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def rows_in(database):
    if not database.exists():
        return {}
    shutil.copy(database, database.with_suffix(".copy"))
    for name in (f"{database.name}-journal",):
        if database.with_name(name).exists():
            shutil.copy(database.with_name(name), database.with_name(f"{database.stem}.copy-journal"))
    try:
        with closing(sqlite3.connect(database.with_suffix(".copy"))) as opened:
            return dict(opened.execute("SELECT student, rowid FROM graded").fetchall())
    except sqlite3.OperationalError:  # copied in the middle of a write, or before the table was there
        return {}


def lines_in(path):
    return max(0, len(path.read_text().splitlines()) - 1) if path.exists() else 0


@pytest.fixture(scope="module")
def graded_class(tmp_path_factory):
    """The class graded in three runs: the first is killed, the second interrupted."""
    room = make_room(tmp_path_factory.mktemp("class of 40"))
    kinds = list(KINDS)
    for number in range(40):
        room.hand_in(f"student{number:02}", **KINDS[kinds[number % 10]][1])
    out = room.folder / "marks" / "grades.csv"
    # Two processes, so that no machine is done before it is stopped.
    command = ("grade", room.submitted, "-o", out, "--pack", room.pack, "--jobs", 2)
    seen, started = [], []
    for stop in (signal.SIGKILL, signal.SIGINT):
        run, before = course(*command), lines_in(out)
        while lines_in(out) < before + 6 and run.poll() is None:
            time.sleep(0.05)
        assert run.poll() is None, run.communicate()
        started += psutil.Process(run.pid).children(recursive=True)
        os.kill(run.pid, stop)
        run.communicate(timeout=60)
        assert run.returncode != 0
        seen.append(rows_in(out.with_suffix(".sqlite")))
    last = course(*command)
    said, errors = last.communicate(timeout=600)
    assert last.returncode == 0, errors
    return room, out, seen, said, command, started


def test_everybody_is_marked_fairly(graded_class):
    _, out, *_ = graded_class
    marks = read_marks(out, "ch01")
    assert len(marks) == 40
    for number, row in enumerate(marks[f"student{one:02}"] for one in range(40)):
        kind = list(KINDS)[number % 10]
        assert float(row["score"]) == KINDS[kind][0], (kind, row)
        assert float(row["max_score"]) == 9


def test_interrupted_runs_are_gone_on_with_and_nothing_is_marked_twice(graded_class):
    _, out, (after_kill, after_ctrl_c), said, *_ = graded_class
    whole = rows_in(out.with_suffix(".sqlite"))
    assert 6 <= len(after_kill) < len(after_ctrl_c) < len(whole) == 40
    for earlier in (after_kill, after_ctrl_c):
        assert {student: whole[student] for student in earlier} == earlier
    assert f"40 submissions, {40 - len(after_ctrl_c)} marked in this run" in said


def test_table_and_database_say_the_same_and_every_student_has_a_page(graded_class):
    room, out, *_ = graded_class
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["student_id"] for row in rows] == [f"student{number:02}" for number in range(40)]
    with Results(out, room.grader()) as results:
        assert [f"{graded.score:g}" for graded in results] == [row["score"] for row in rows]
    assert len(list((out.parent / "feedback").glob("*.html"))) == 40


def test_no_process_of_a_stopped_run_is_left(graded_class):
    *_, started = graded_class
    assert len(started) >= 2  # workers, and bubblewrap with a kernel below each
    _, left = psutil.wait_procs(started, timeout=20)
    assert left == []


def test_only_what_changed_is_marked_again(graded_class):
    room, out, *_, command, _ = graded_class
    before = rows_in(out.with_suffix(".sqlite"))
    room.hand_in("student06")
    again = course(*command)
    said, errors = again.communicate(timeout=120)
    assert "40 submissions, 1 marked in this run" in said, errors
    after = rows_in(out.with_suffix(".sqlite"))
    assert {student for student in after if after[student] != before[student]} == {"student06"}
    assert read_marks(out, "ch01")["student06"]["score"] == "6"


def test_two_runs_at_once_are_refused(room):
    with (
        Results(room.folder / "grades.csv", room.grader()),
        pytest.raises(ValueError, match="another run"),
        Results(room.folder / "grades.csv", room.grader()),
    ):
        pass


def test_another_seed_marks_everything_again(room):
    place = room.hand_in("ada")
    out = room.folder / "grades.csv"
    counts = []
    for seed in ("one secret seed", "one secret seed", "another seed"):
        grader = room.grader()
        grader = type(grader)("ch01", room.pack, seed, room.limits)
        with Results(out, grader) as results:
            counts.append(grade_class(grader, [place], results, jobs=1))
    assert counts == [1, 0, 1]


def test_without_a_seed_nothing_is_graded(room):
    room.hand_in("ada")
    run = course("grade", room.submitted, "-o", room.folder / "g.csv", "--pack", room.pack, COURSE_SEED="")
    assert "COURSE_SEED must be set" in run.communicate(timeout=60)[1]
    assert run.returncode == 1


def test_without_a_sandbox_it_refuses_unless_told_to_trust(room):
    room.hand_in("ada")
    command = ("grade", room.submitted, "-o", room.folder / "g.csv", "--pack", room.pack)
    run = course(*command, PATH="/nowhere")
    errors = run.communicate(timeout=60)[1]
    assert "apt install bubblewrap" in errors
    assert "--trust-submissions" in errors
    assert run.returncode == 1
    assert not (room.folder / "g.csv").exists()
    trusting = course(*command, "--trust-submissions", PATH="/nowhere")
    assert trusting.communicate(timeout=120)[1] == ""
    assert read_marks(room.folder / "g.csv", "ch01")["ada"]["score"] == "6"


def test_check_says_what_can_be_graded_and_gives_no_marks(room):
    import json

    from course_utils.grading.precheck import marks_line, precheck
    from tests.grading.room import code, notebook

    def under(name, function):
        return code(marks_line(f"ch01.{name}", 2, function, (10.0, 5.0)), f"{name}-marks")

    cells = (
        code(HONEST["g1"], "g1"),
        under("g1", "share"),
        code("def helper(a): return a"),
        code("def product(a, b): return helper(a) * b", "g2"),
        under("g2", "product"),
        code("def squares(a, b):\n    raise NotImplementedError()", "g3"),
        under("g3", "squares"),
        code("from course_utils.estimate import cost\ndef usd(a, b): return cost.request_cost(a, b)", "g4"),
        under("g4", "usd"),
        code("def odd(a, b): return object()", "g5"),
        under("g5", "odd"),
        under("g6", "gone"),
        code("import os\nos._exit(0)", "g7"),
        under("g7", "ends"),
        code("def last(a, b): return share(a, b)", "g8"),
        under("g8", "last"),
    )
    path = room.folder / "mine.ipynb"
    path.write_text(json.dumps(notebook(*cells)))
    found = {one.question_id: one for one in precheck(path)}
    assert [one.gradable for one in found.values()] == [True, *[False] * 6, True]
    assert found["ch01.g1"].said == "on the example it returned 2"
    assert found["ch01.g2"].said == "helper is in a cell that is not graded: move it into this one"
    assert found["ch01.g3"].said == "not attempted yet"
    assert "is not there when marks are given" in found["ch01.g4"].said
    assert found["ch01.g7"].said == "running it: the kernel ended, or was spoilt"
    assert found["ch01.g8"].said == "on the example it returned 2"
    assert found["ch01.g5"].said == "it returned no plain data (a object)"
    assert found["ch01.g6"].said == "its cell is missing"


def test_submissions_are_found_once_each(graded_class):
    room, *_ = graded_class
    assert len(find_submissions(room.submitted, "ch01")) == 40


def test_class_is_graded_on_ray_with_the_same_marks(room):
    places = [room.hand_in("ada"), room.hand_in("bob", g2="def product(a, b): return a + b")]
    grader = room.grader()
    with Results(room.folder / "grades.csv", grader) as results:
        assert grade_class(grader, places, results, on_ray=True) == 2
        assert {graded.student: graded.score for graded in results} == {"ada": 6.0, "bob": 4.0}
