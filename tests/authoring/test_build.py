"""Masters become notebooks: blank for students, solved for instructors, the same bytes every time."""

import json

import nbformat
import pytest

from course_utils.authoring.build import build_chapters, stale_notebooks, write_notebooks
from course_utils.authoring.course_map import COMING


def cells(text):
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    return {cell.id: cell for cell in notebook.cells}


@pytest.fixture
def built(house):
    (chapter,) = build_chapters(house)
    return chapter


@pytest.fixture
def student(built):
    return cells(built.student)


@pytest.fixture
def instructor(built):
    return cells(built.instructor)


def test_builder_adds_badges_title_setup_and_footer_around_the_masters_cells(student):
    assert list(student) == [
        "course-badges",
        "course-header",
        "objectives",
        "course-setup",
        "imports",
        "map",
        "q1-card",
        "q1",
        "q1-check",
        "q1-hint",
        "q1-solution",
        "after",
        "takeaways",
        "sources",
        "course-footer",
    ]
    assert "# 98 · A tiny chapter" in student["course-header"].source
    assert "5 minutes · any CPU · 300 MB" in student["course-header"].source


def test_a_chapter_that_needs_more_packages_on_colab_installs_them_there(house, change, student):
    assert "bitsandbytes" not in student["course-setup"].source
    assert "colab" not in nbformat.reads(build_chapters(house)[0].student, as_version=4).metadata.course
    change("  minutes: 5", "  minutes: 5\n#   colab: [bitsandbytes, fow-cache]")
    (more,) = build_chapters(house)
    assert "bitsandbytes fow-cache " in cells(more.student)["course-setup"].source


def test_badges_lead_to_this_chapter_in_this_repository(student):
    badges = student["course-badges"].source
    assert "(https://colab.research.google.com/github/ada/costs/blob/main/notebooks/98_tiny.ipynb)" in badges
    assert "(https://mybinder.org/v2/gh/ada/costs/main?urlpath=lab/tree/notebooks/98_tiny.ipynb)" in badges


def test_student_gets_a_stub_that_is_not_implemented(student, instructor):
    assert "/ 1e6" in instructor["q1"].source
    assert "/ 1e6" not in student["q1"].source
    assert student["q1"].source.startswith("def cost_usd(tokens, usd_per_mtok):\n")
    assert student["q1"].source.endswith("    raise NotImplementedError()")


def test_nbgrader_knows_the_stub_and_the_locked_check_with_its_points(student):
    stub, check = student["q1"].metadata, student["q1-check"].metadata
    assert stub.nbgrader.grade_id == "ch98-q1"
    assert (stub.nbgrader.solution, stub.nbgrader.grade, stub.nbgrader.locked) == (True, False, False)
    assert (check.nbgrader.grade_id, check.nbgrader.points) == ("ch98-q1-check", 2)
    assert (check.nbgrader.solution, check.nbgrader.grade, check.nbgrader.locked) == (False, True, True)
    assert (check.editable, check.deletable, stub.deletable) == (False, False, False)
    assert all(len(cell.nbgrader.checksum) == 32 for cell in (stub, check))


def test_folded_solution_is_the_stub_solved_without_markers(student):
    assert "```python\ndef cost_usd" in student["q1-solution"].source
    assert "/ 1e6" in student["q1-solution"].source
    assert "SOLUTION" not in student["q1-solution"].source


def test_course_map_lists_all_chapters_and_marks_those_to_come(student):
    rows = [line for line in student["map"].source.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 13 + 1
    assert sum("coming" in row for row in rows) == 13
    assert "| 98 | [A tiny chapter](98_tiny.ipynb) | 5 | 300 MB | any CPU |" in rows


def test_next_and_previous_are_linked_when_written_and_named_when_coming(house, master):
    for number in (11, 12):
        text = master.read_text("utf-8").replace("A tiny chapter", f"Chapter {number}")
        house.masters.joinpath(f"{number}_tiny.py").write_text(text, "utf-8")
    eleven, twelve, _ = (cells(chapter.student)["course-footer"].source for chapter in build_chapters(house))
    assert f"Previous: {COMING[10]} (coming) · Next: [Chapter 12](12_tiny.ipynb)" in eleven
    assert "Previous: [Chapter 11](11_tiny.ipynb)" in twelve
    assert "Next" not in twelve


def test_notebook_declares_its_budget_and_nothing_of_the_machine(built):
    metadata = json.loads(built.student)["metadata"]
    assert metadata == {
        "course": {"memory_mb": 300, "minutes": 5, "seconds": 20, "tier": "cpu", "title": "A tiny chapter"},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def test_building_twice_writes_nothing_the_second_time(house):
    assert [path.name for path in write_notebooks(house)] == ["98_tiny.ipynb", "98_tiny.ipynb"]
    assert write_notebooks(house) == []
    assert build_chapters(house) == build_chapters(house)


def test_stale_names_notebooks_that_differ_are_missing_or_have_no_master(house, change):
    path, orphan = house.student / "98_tiny.ipynb", house.student / "97_gone.ipynb"
    assert stale_notebooks(house) == [path]
    write_notebooks(house)
    assert stale_notebooks(house) == []
    change("the end is reached", "the very end is reached")
    orphan.write_text("{}")
    assert stale_notebooks(house) == [orphan, path]


def test_an_exercise_that_no_case_knows_is_named_with_its_line(house, master, change):
    change('id="q1" tags=["exercise"] exercise="ch98.q1"', 'id="q1" tags=["exercise"] exercise="ch98.q7"')
    with pytest.raises(ValueError, match=r"98_tiny\.py:31: exercise='ch98\.q7'.*nearest are ch98\.q1"):
        build_chapters(house)


def test_a_writer_that_fails_leaves_the_old_file(house, monkeypatch):
    write_notebooks(house)
    path = house.student / "98_tiny.ipynb"
    before = path.read_bytes()
    from course_utils import whole_files
    from course_utils.authoring.house import renew

    def no_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(whole_files.os, "replace", no_disk)
    with pytest.raises(OSError, match="no space left"):
        renew(path, "half")
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["98_tiny.ipynb", "src"]
