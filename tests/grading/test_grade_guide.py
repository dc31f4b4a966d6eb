"""Every command of the instructor's guide works, in its order, for a class of two."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.notebooks  # kernels are started: not among an author's quick tests

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "instructors.md"
NAME = "01_cost_estimation"


def commands():
    blocks = re.findall(r"^```bash\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line.partition("  #")[0] for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What the commands need of a clone, chapter 01 alone; and what a class and an LMS bring."""
    root = tmp_path_factory.mktemp("teaching") / "course"
    (root / "notebooks" / "src").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copy(ROOT / "notebooks" / "src" / f"{NAME}.py", root / "notebooks" / "src")
    shutil.copytree(ROOT / "instructor", root / "instructor", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "canvas.csv").write_text(
        'Student,ID,SIS Login ID,Lab 1 (1234)\nPoints Possible,,,16\n"Lovelace, Ada",1,ada,\n"Hopper, Grace",2,grace,\n'
    )
    (root / "moodle.csv").write_text("Identifier,ID number,Grade\nParticipant 7,ada,\nParticipant 8,grace,\n")
    (root / "times.csv").write_text("student_id,submitted_at\n7,2026-12-15T10:00:00Z\n")
    return root


def class_of_two(root):
    """The solved and the blank notebook, as nbgrader collects and as Moodle packs them."""
    blank = root / "class" / "release" / "ch01" / f"{NAME}.ipynb"
    solved = root / "class" / "source" / "ch01" / f"{NAME}.ipynb"
    shutil.copy(solved, root / "homework.ipynb")
    for student, notebook in (("ada", solved), ("grace", blank)):
        folder = root / "class" / "submitted" / student / "ch01"
        folder.mkdir(parents=True)
        shutil.copy(notebook, folder)
        (folder / "timestamp.txt").write_text("2026-12-10 09:00:00 UTC")
    with zipfile.ZipFile(root / "submissions.zip", "w") as archive:
        archive.write(solved, f"Ada Lovelace_7_assignsubmission_file_/{NAME}.ipynb")


def test_every_command_of_the_guide_works_in_its_order(clone):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    programs = set()
    for line in commands():
        if line.startswith("export "):
            name, value = re.fullmatch(r'export (\w+)="(.*)"', line).groups()
            environment[name] = value
            continue
        done = subprocess.run(
            ["bash", "-c", line], cwd=clone, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        programs.add(" ".join(line.removeprefix("cd class && ").split()[:2]))
        if line.startswith("course instructor"):
            class_of_two(clone)
    assert {"course instructor", "course check", "course grade", "nbgrader export", "course lms"} <= programs

    def column(name, key):
        with (clone / name).open(encoding="utf-8") as file:
            return [row[key] for row in csv.DictReader(file)]

    assert column("marks/grades.csv", "score") == ["12", "0"]
    assert column("upload.csv", "Lab 1 (1234)") == ["16", "12.00", "0.00"]
    assert column("upload-moodle.csv", "Grade") == ["12.00", "0.00"]
    assert column("lms/grades.csv", "late_submission_penalty") == ["1.2"]
    released = json.loads((clone / "class" / "release" / "ch01" / f"{NAME}.ipynb").read_text("utf-8"))
    assert any(cell["id"] == "ch01-g1" for cell in released["cells"])


def test_guide_names_no_option_that_is_not_there():
    said = subprocess.run(
        [sys.executable, "-m", "course_utils.cli", "grade", "--help"], capture_output=True, text=True
    ).stdout
    for option in set(re.findall(r"`(--[a-z-]+)", GUIDE.read_text("utf-8"))):
        assert option in said, option
