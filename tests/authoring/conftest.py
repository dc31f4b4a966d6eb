"""A house of one tiny chapter, to build, run and move without touching the real one."""

import shutil
import sys
from pathlib import Path

import pytest

from course_utils.authoring.house import House
from course_utils.grading import cases, questions_of

TINY = Path(__file__).parent / "tiny"


@pytest.fixture
def house(tmp_path, monkeypatch):
    root = tmp_path / "house"
    shutil.copytree(TINY, root, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cases, "__path__", [*cases.__path__, str(root / "cases")])
    monkeypatch.chdir(root)
    questions_of.cache_clear()
    yield House(root)
    questions_of.cache_clear()
    sys.modules.pop(f"{cases.__name__}.ch98", None)


@pytest.fixture
def master(house):
    return house.masters / "98_tiny.py"


@pytest.fixture
def change(master):
    """Replace a text that stands once in the master."""

    def change(old, new):
        text = master.read_text("utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the tiny chapter"
        master.write_text(text.replace(old, new), "utf-8")

    return change
