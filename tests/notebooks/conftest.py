"""Chapters as tests: one `course run` of each master, shared by all that look at it.

The students' notebooks, blank, run through nbval in Binder's environment: tests/environments/test_binder.py.
"""

from pathlib import Path

import nbformat
import pytest

from course_utils.authoring.house import House
from course_utils.authoring.run import run_chapters


@pytest.fixture(scope="session")
def house():
    return House(Path(__file__).resolve().parents[2])


@pytest.fixture(scope="session")
def executed(house):
    """Chapter → (what its one `course run` took, its executed notebook)."""
    done = {}

    def execute(chapter):
        if chapter not in done:
            # As for a page without a kernel, so that the site can show these very outputs.
            (run,) = run_chapters(house, [chapter], frontend="static")
            done[chapter] = run, nbformat.read(house.executed / f"{chapter}.ipynb", as_version=4)
        return done[chapter]

    return execute
