"""What the site is made of, before sphinx sees it."""

from pathlib import Path

import nbformat
import pytest

from course_utils.authoring import site
from course_utils.authoring.build import build_chapters
from course_utils.authoring.reference import reference
from course_utils.authoring.run import run_chapters

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_names_every_module_once():
    package = ROOT / "course_utils"
    text = "\n".join(reference(package).values())
    for path in package.glob("*/**/*.py"):
        if path.name != "__init__.py" and not {"cli", "cases"} & set(path.parts):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            assert text.count(f".. automodule:: {name}\n") == 1, name


def test_a_page_shows_what_a_chapter_printed_and_leaves_its_exercises_to_the_reader(house):
    (run,) = run_chapters(house, frontend="static")
    assert not run.error
    (chapter,) = build_chapters(house)
    cells = {cell.id: cell for cell in site.page(house, chapter).cells}
    assert any(cell.get("outputs") for cell in cells.values())
    for cell in cells.values():
        if {"exercise", "check"} & set(cell.metadata.get("tags", [])):
            assert not cell.outputs, cell.id
            assert "BEGIN SOLUTION" not in cell.source


def test_a_page_is_not_made_from_a_run_of_another_text(house, change):
    """Outputs must belong to the words beside them."""
    list(run_chapters(house, frontend="static"))
    path = house.executed / "98_tiny.ipynb"
    ran = nbformat.read(path, as_version=4)
    ran.cells[-1].source += "\nMore."
    nbformat.write(ran, path)
    (chapter,) = build_chapters(house)
    with pytest.raises(ValueError, match="98_tiny has no run that fits it"):
        site.page(house, chapter)


def test_the_first_page_says_so_when_the_explorer_it_asks_for_is_gone(house):
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    with pytest.raises(ValueError, match="explorer of 98_tiny, which shows none"):
        site.front_page("{{explorer 98_tiny}}", house, {"98_tiny": page})


def test_numbers_of_chapters_become_links():
    names = ["00_start_here", "01_cost_estimation"]
    text = site.linked("See p. 01. Chapters 01,\n  77. Chapter 00.", names)
    assert text == (
        "See p. 01. Chapters [01](notebooks/01_cost_estimation.ipynb),\n  77. "
        "Chapter [00](notebooks/00_start_here.ipynb)."
    )
