"""What the test log says at its end: the seconds of the whole, beside the bound, on how many cores."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
LINE = re.compile(r"^make test: (\d+) s on [\d.]+ cores? \(bound 1200 s\)$", re.MULTILINE)


@pytest.fixture
def suite(tmp_path):
    """One passing test under the conftest of all of ours."""
    shutil.copy(TESTS / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -q\n")
    (tmp_path / "test_one.py").write_text("def test_one():\n    assert True\n")

    def run(*arguments):
        command = [sys.executable, "-m", "pytest", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    return run


def test_the_whole_says_its_seconds_cores_and_bound(suite):
    assert LINE.search(suite())


def test_a_part_of_the_tests_does_not_pass_for_the_whole(suite):
    assert not LINE.search(suite("test_one.py"))
