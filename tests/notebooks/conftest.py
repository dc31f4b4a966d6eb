"""Chapters as tests: nbval runs every cell as students get it; one `course run` of each master is shared."""

from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbFile

from course_utils.authoring.house import House
from course_utils.authoring.run import run_chapters

CELL_TIMEOUT_S = 300  # as `course run`


def pytest_collect_file(file_path, parent):
    """`cells.nbval` stands for the cells of all notebooks, so that a plain `pytest` runs them."""
    if file_path.name == "cells.nbval" and file_path.parent == Path(__file__).parent:
        return Chapters.from_parent(parent, path=file_path)
    return None


class Chapters(pytest.File):
    """The student's notebooks, as they are committed, every exercise blank."""

    def collect(self):
        self.config.option.nbval_cell_timeout = CELL_TIMEOUT_S
        house = House(Path(__file__).resolve().parents[2])
        for path in sorted(house.student.glob("*.ipynb")):
            yield Chapter.from_parent(self, path=path, name=f"student {path.stem}")


class Chapter(IPyNbFile):
    """One notebook in one kernel. As `--nbval-lax`: a cell that raises fails, outputs are free."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.compare_outputs = False

    def collect(self):
        for cell in super().collect():
            cell.add_marker("notebooks")
            yield cell


@pytest.fixture(scope="session")
def house():
    return House(Path(__file__).resolve().parents[2])


@pytest.fixture(scope="session")
def executed(house):
    """Chapter → (what its one `course run` took, its executed notebook)."""
    done = {}

    def execute(chapter):
        if chapter not in done:
            # As for a page without a kernel, so that the site can show these very outputs. The students' notebooks,
            # which nbval runs, have the live front end.
            (run,) = run_chapters(house, [chapter], frontend="static")
            done[chapter] = run, nbformat.read(house.executed / f"{chapter}.ipynb", as_version=4)
        return done[chapter]

    return execute
