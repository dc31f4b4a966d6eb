"""From `course instructor` to marks in the LMS, with nbgrader's own commands and its formgrader."""

import contextlib
import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from course_utils.authoring.assignments import assignment, make_course
from course_utils.authoring.build import instructor_notebook
from course_utils.authoring.house import House
from course_utils.authoring.masters import read_masters
from course_utils.grading.gradebook import opened, quoted, write_gradebook
from course_utils.grading.grader import Grader
from course_utils.grading.labs import lab
from course_utils.grading.lms import fill_roster
from course_utils.grading.precheck import precheck
from course_utils.grading.results import Results
from course_utils.grading.submissions import find_submissions
from course_utils.grading.whole_class import grade_class

pytestmark = pytest.mark.notebooks  # kernels are started: not among an author's quick tests

ROOT = Path(__file__).parents[2]
PACK = ROOT / "instructor"
NAME = "01_cost_estimation"
TEXT = "Output first.\n\n<script>alert(1)</script> ![x](http://example.org/x.png)"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A clone with chapter 01 only: making the assignments of all takes half a minute."""
    root = tmp_path_factory.mktemp("house")
    (root / "notebooks" / "src").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copy(ROOT / "notebooks" / "src" / f"{NAME}.py", root / "notebooks" / "src")
    return House(root)


@pytest.fixture(scope="module")
def course(house, tmp_path_factory):
    """The course folder, three students' submissions in it, graded into its gradebook."""
    folder = tmp_path_factory.mktemp("teaching") / "class"
    make_course(house, folder, PACK)
    released = json.loads((folder / "release" / "ch01" / f"{NAME}.ipynb").read_text("utf-8"))
    solved = json.loads((folder / "source" / "ch01" / f"{NAME}.ipynb").read_text("utf-8"))
    solutions = {cell["id"]: cell["source"] for cell in solved["cells"]}
    for student, answers, handed_in in (("ada", True, 10), ("bob", False, 10), ("eve", True, 16)):
        mine = json.loads(json.dumps(released))
        for cell in mine["cells"]:
            if answers and re.fullmatch(r"ch01-g\d", cell["id"]):
                cell["source"] = solutions[cell["id"]]
            if answers and cell["id"] == "ch01-w1":
                cell["source"] = TEXT
        where = folder / "submitted" / student / "ch01"
        where.mkdir(parents=True)
        (where / f"{NAME}.ipynb").write_text(json.dumps(mine), encoding="utf-8")
        (where / "timestamp.txt").write_text(f"2026-12-{handed_in} 10:00:00 UTC")
    grade(folder)
    return folder


def grade(folder):
    grader = Grader("ch01", PACK, "a seed for the tests")
    with Results(folder.parent / "grades.csv", grader) as results:
        grade_class(grader, find_submissions(folder / "submitted", "ch01"), results, jobs=1)
        write_gradebook(folder, results, "ch01")


def nbgrader(course, *arguments):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def exported(course):
    nbgrader(course, "export", "--CsvExportPlugin.assignment=['ch01']", "--to=exported.csv")
    with (course / "exported.csv").open() as file:
        return {row["student_id"]: row for row in csv.DictReader(file) if row["assignment"] == "ch01"}


# --- handing out --------------------------------------------------------------------------------------------


def test_assignment_has_the_points_the_due_date_and_no_solution(course):
    with opened(course) as gradebook:
        assignment = gradebook.find_assignment("ch01")
        assert assignment.max_score == lab("ch01", PACK).points
        assert assignment.duedate == datetime(2026, 12, 14, 23, 59)
    released = (course / "release" / "ch01" / f"{NAME}.ipynb").read_text("utf-8")
    assert "BEGIN SOLUTION" not in released
    assert "(1 - discount)" not in released
    assert released.count("raise NotImplementedError()") >= 14
    assert "(1 - discount)" in (course / "source" / "ch01" / f"{NAME}.ipynb").read_text("utf-8")


def test_practice_questions_have_no_points_in_a_lab_with_graded_ones(course):
    cells = json.loads((course / "release" / "ch01" / f"{NAME}.ipynb").read_text("utf-8"))["cells"]
    ids = {cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in cells} - {None}
    assert {one for one in ids if "-q" in one} == set()
    assert len(ids) == 2 * 7 + 1


def test_chapter_without_graded_questions_hands_out_its_practice_questions_and_its_files():
    house = House(ROOT)
    masters = read_masters(house.masters)
    master = next(one for one in masters if one.number == 12)
    solved = assignment(master, instructor_notebook(master, masters, house.repository()), lab("ch12", PACK))
    points = [cell.metadata.get("nbgrader", {}).get("points", 0) for cell in solved.cells]
    assert sum(points) == lab("ch12", PACK).points
    assert solved.cells[[cell.id for cell in solved.cells].index("takeaways") - 1].id == "ch12-files-marks"


def test_handed_out_notebook_is_blank_to_course_check_and_the_solved_one_is_gradable(course):
    blank = precheck(course / "release" / "ch01" / f"{NAME}.ipynb")
    assert [one.said for one in blank] == ["not attempted yet"] * 7
    solved = precheck(course / "submitted" / "ada" / "ch01" / f"{NAME}.ipynb")
    assert all(one.gradable for one in solved), solved
    assert len(solved) == 7


def test_making_the_folder_again_keeps_settings_and_marks(course, house):
    config = course / "nbgrader_config.py"
    config.write_text(config.read_text() + "# mine\n")
    make_course(house, course, PACK)
    assert config.read_text().endswith("# mine\n")
    assert exported(course)["ada"]["raw_score"] == "12.0"


# --- marks --------------------------------------------------------------------------------------------------


def test_marks_and_late_penalties_come_out_of_nbgraders_own_export(course):
    rows = exported(course)
    assert {one: float(rows[one]["score"]) for one in rows} == {"ada": 12.0, "bob": 0.0, "eve": 9.6}
    assert float(rows["eve"]["late_submission_penalty"]) == 2.4
    assert {float(row["max_score"]) for row in rows.values()} == {16.0}


def test_nbgraders_own_autograding_would_give_no_marks_for_a_graded_question(course):
    """Its checks run beside the student's code; the locked line under each stub is worth 0.0 there, whatever it is."""
    released = json.loads((course / "release" / "ch01" / f"{NAME}.ipynb").read_text("utf-8"))
    marks = [cell["source"] for cell in released["cells"] if cell["id"].endswith("-marks")]
    assert len(marks) == 7
    for source in marks:
        assert eval("".join(source)) == 0.0


def test_a_students_text_is_shown_as_text(course):
    path = course / "autograded" / "eve" / "ch01" / f"{NAME}.ipynb"
    (cell,) = [one for one in json.loads(path.read_text("utf-8"))["cells"] if one["id"] == "ch01-w1"]
    assert cell["source"] == quoted(TEXT)
    assert cell["source"].startswith("```text\n")


def test_a_text_cannot_end_the_block_that_it_is_quoted_in():
    assert quoted("a\n```\n<b>") == "````text\na\n```\n<b>\n````"


@pytest.fixture(scope="module")
def formgrader(course, tmp_path_factory):
    """nbgrader's formgrader, served headless."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    state = tmp_path_factory.mktemp("jupyter")
    folders = {f"JUPYTER_{name}_DIR": str(state / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "jupyter_server",
                "--no-browser",
                "--allow-root",
                "--ServerApp.ip=127.0.0.1",
            ),
            *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={course}"),
            *("--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"),
            '--ServerApp.jpserver_extensions={"nbgrader.server_extensions.formgrader": True}',
        ],
        cwd=course,
        env={**os.environ, **folders, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/formgrader"
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                fetched(f"{url}/api/assignments")
                break
            assert time.monotonic() < deadline, "the formgrader did not come up"
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)


def fetched(url, **changes):
    data = json.dumps(changes).encode() if changes else None
    request = urllib.request.Request(url, data, method="PUT" if data else "GET")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def test_texts_wait_in_the_formgrader_are_marked_there_and_late_days_count_for_them_too(course, formgrader):
    queue = json.loads(fetched(f"{formgrader}/api/submitted_notebooks/ch01/{NAME}"))
    assert {one["student"] for one in queue if one["needs_manual_grade"]} == {"ada", "eve"}
    (eve,) = [one for one in queue if one["student"] == "eve"]
    page = fetched(f"{formgrader}/submissions/{eve['id']}/")
    assert "Output first." in page
    assert "<script>alert(1)" not in page
    assert 'example.org/x.png"' not in page
    grades = json.loads(fetched(f"{formgrader}/api/grades?submission_id={eve['id']}"))
    (waiting,) = [one for one in grades if one["needs_manual_grade"]]
    fetched(f"{formgrader}/api/grade/{waiting['id']}", manual_score=4.0)
    grade(course)
    row = exported(course)["eve"]
    assert float(row["raw_score"]) == 16
    assert float(row["late_submission_penalty"]) == pytest.approx(3.2)
    queue = json.loads(fetched(f"{formgrader}/api/submitted_notebooks/ch01/{NAME}"))
    assert {one["student"] for one in queue if one["needs_manual_grade"]} == {"ada"}


def test_folder_without_the_assignment_is_refused(tmp_path):
    with pytest.raises(ValueError, match="make instructor"):
        write_gradebook(tmp_path, [], "ch01")


# --- Canvas and Moodle --------------------------------------------------------------------------------------

MARKS = """\
assignment,student_id,score,max_score
ch01,4711,9.6,16
ch01,ada@example.org,12,16
ch01,nobody,1,16
ch02,4711,3,5
"""


@pytest.fixture
def marks(tmp_path):
    path = tmp_path / "grades.csv"
    path.write_text(MARKS)
    return path


def test_canvas_gets_its_own_table_back_with_one_column_filled(tmp_path, marks):
    roster = tmp_path / "canvas.csv"
    roster.write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section,Lab 1 (1234)\n"
        "    Points Possible,,,,,16.0\n"
        '"Hopper, Grace",4711,h1,grace@example.org,A,\n'
        '"Lovelace, Ada",4712,h2,ada@example.org,A,\n'
        '"Turing, Alan",4713,h3,alan@example.org,A,5\n'
    )
    out = tmp_path / "upload.csv"
    said = fill_roster(roster, marks, out, "ch01", "Lab 1 (1234)")
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["Lab 1 (1234)"] for row in rows] == ["16.0", "9.60", "12.00", "5"]
    assert rows[1]["Student"] == "Hopper, Grace"
    assert said == ["no submission of Turing, Alan", "nobody is not in canvas.csv"]
    with pytest.raises(ValueError, match=r"name the assignment's own, of: 'Lab 1 \(1234\)'"):
        fill_roster(roster, marks, out, "ch01", "Lab 9")
    with pytest.raises(ValueError, match="no marks for ch07"):
        fill_roster(roster, marks, out, "ch07", "Lab 1 (1234)")


def test_moodle_gets_its_worksheet_back_with_the_grade_filled(tmp_path, marks):
    roster = tmp_path / "moodle.csv"
    roster.write_text(
        "Identifier,Full name,Email address,Status,Grade,Maximum grade,Last modified (grade)\n"
        "Participant 4711,Grace Hopper,grace@example.org,Submitted,,16.00,-\n"
        "Participant 5,Ada Lovelace,ada@example.org,Submitted,,16.00,-\n"
    )
    out = tmp_path / "upload.csv"
    assert fill_roster(roster, marks, out, "ch01") == ["nobody is not in moodle.csv"]
    with out.open() as file:
        assert [row["Grade"] for row in csv.DictReader(file)] == ["9.60", "12.00"]


def test_lms_tables_that_do_not_fit_are_refused(tmp_path, marks):
    roster = tmp_path / "other.csv"
    roster.write_text("Name,Mark\nx,1\n")
    with pytest.raises(ValueError, match="neither Canvas's gradebook"):
        fill_roster(roster, marks, tmp_path / "o.csv", "ch01")
    roster.write_text("Identifier,Grade,Maximum grade\nParticipant 4711,,20\n")
    with pytest.raises(ValueError, match="maximum is 20, and 16 here"):
        fill_roster(roster, marks, tmp_path / "o.csv", "ch01")


def test_moment_of_handing_in_is_in_the_results(course):
    grader = Grader("ch01", PACK, "a seed for the tests")
    with Results(course.parent / "grades.csv", grader) as results:
        found = {graded.student: graded for graded in results}
    assert found["eve"].submitted_at == datetime(2026, 12, 16, 10, tzinfo=UTC)
    assert found["eve"].lost_share == 0.2
