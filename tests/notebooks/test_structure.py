"""What every chapter keeps, read from the files that people open."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_utils.authoring.build import build_chapters, stale_notebooks
from course_utils.authoring.lint import lint
from course_utils.authoring.masters import read_master, read_masters
from course_utils.grading.questions import question

ROOT = Path(__file__).resolve().parents[2]
MASTERS = sorted((ROOT / "notebooks" / "src").glob("[0-9][0-9]_*.py"))
LARGEST_MEMORY_MB = 1800  # Binder gives 2 GB
SMALL = {0: (60, 700), 1: (60, 700), 2: (60, 700)}  # chapter: seconds and MB that it may declare at most
SECONDS = {3: 90, 4: 90, 5: 100, 6: 100, 7: 60, 8: 60, 12: 120}

each_master = pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def built(house):
    return {chapter.name: chapter for chapter in build_chapters(house)}


@pytest.fixture
def student(path, built):
    return nbformat.reads(built[path.stem].student, as_version=4)


@pytest.fixture
def instructor(path, built):
    return nbformat.reads(built[path.stem].instructor, as_version=4)


def test_first_chapters_are_there():
    assert {path.stem[:2] for path in MASTERS} >= {"00", "01"}


def test_committed_notebooks_are_what_their_masters_give(house):
    assert stale_notebooks(house) == [], "run `course notebooks`"


@each_master
def test_master_keeps_the_rules(path):
    problems = lint(read_master(path))
    for advice in (problem for problem in problems if not problem.error):
        print(advice)
    assert [str(problem) for problem in problems if problem.error] == []


@each_master
def test_notebooks_are_valid_and_never_ran(student, instructor):
    for notebook in (student, instructor):
        nbformat.validate(notebook)
        assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
        assert set(notebook.metadata) == {"course", "kernelspec", "language_info"}
        for cell in notebook.cells:
            if cell.cell_type == "code":
                assert cell.outputs == []
                assert cell.execution_count is None


@each_master
def test_cell_ids_are_the_masters_and_the_builders_once_each(path, student, instructor):
    ids = [cell.id for cell in student.cells]
    assert ids == [cell.id for cell in instructor.cells]
    assert len(set(ids)) == len(ids)
    masters = [cell.id for cell in read_master(path).cells]
    assert [name for name in ids if not name.startswith("course-")] == masters
    builders = [name for name in ids if name.startswith("course-")]
    assert builders == ["course-badges", "course-header", "course-setup", "course-footer"]


@each_master
def test_budget_fits_binder_and_the_first_chapters_are_light(path):
    master = read_master(path)
    seconds, memory_mb = SMALL.get(master.number, (SECONDS.get(master.number, 90), LARGEST_MEMORY_MB))
    assert master.course.seconds <= seconds
    assert master.course.memory_mb <= memory_mb


@each_master
def test_students_get_no_solution_outside_the_folds(student, instructor):
    solved = {cell.id: cell.source for cell in instructor.cells}
    for cell in student.cells:
        assert "BEGIN SOLUTION" not in cell.source
        assert "END SOLUTION" not in cell.source
        if cell.metadata.get("nbgrader", {}).get("solution"):
            regions = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", solved[cell.id], re.DOTALL)
            lines = {line.strip() for region in regions for line in region.splitlines()} - {""}
            assert lines, f"{cell.id} has no solution"
            assert lines.isdisjoint(line.strip() for line in cell.source.splitlines())
            assert "raise NotImplementedError()" in cell.source


@each_master
def test_nbgrader_finds_each_check_locked_and_worth_its_points(student):
    from nbgrader.preprocessors import CheckCellMetadata

    CheckCellMetadata().preprocess(student, {})
    checks = [cell for cell in student.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    for cell in checks:
        assert cell.metadata.nbgrader.points == question(cell.metadata.exercise).points
        assert cell.metadata.nbgrader.locked
        assert not cell.metadata.editable
    ids = [cell.metadata.nbgrader.grade_id for cell in student.cells if "nbgrader" in cell.metadata]
    assert len(set(ids)) == len(ids) == 2 * len(checks)


@each_master
def test_links_of_the_built_notebook_lead_somewhere(path, student):
    for cell in student.cells:
        if cell.cell_type != "markdown":
            continue
        targets = re.findall(r"\]\(([^)\s]+)", cell.source) + re.findall(
            r"(?:href|src)=[\"']([^\"']+)", cell.source
        )
        for target in targets:
            if target.startswith(("https://", "#", "mailto:")):
                continue
            assert (ROOT / "notebooks" / target.partition("#")[0]).exists(), f"{cell.id}: {target}"


@each_master
def test_every_image_has_words(student):
    for cell in student.cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"!\[\s*\]", cell.source), cell.id
            for tag in re.findall(r"<img\b[^>]*>", cell.source):
                assert re.search(r"\balt=([\"'])(?!\1)", tag), f"{cell.id}: {tag}"


def test_questions_of_all_chapters_are_asked_where_they_belong():
    for master in read_masters(ROOT / "notebooks" / "src"):
        for cell in master.cells:
            if cell.exercise:
                assert cell.exercise.startswith(f"ch{master.number:02}.")


def test_committed_notebooks_are_stripped():
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    done = subprocess.run(
        [sys.executable, "-m", "nbstripout", "--verify", "--keep-id", *notebooks],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
