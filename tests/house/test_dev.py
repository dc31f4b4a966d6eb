"""scripts/dev.py: what a stranger meets when the machine lacks something. Each failure is a real one."""

import os
import runpy
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEV = runpy.run_path(str(ROOT / "scripts" / "dev.py"), run_name="dev")
Stop = DEV["Stop"]


@pytest.fixture
def clone(tmp_path):
    """The files that dev.py needs, elsewhere and without an environment."""
    for name in ("pyproject.toml", "constraints.txt", "scripts/dev.py", "Makefile", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def dev(clone, *arguments, python=sys.executable, **environment):
    command = [python, "scripts/dev.py", *arguments]
    return subprocess.run(
        command, cwd=clone, env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_too_old_python_says_which_is_needed_and_where_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))  # no newer one to go on with
    with pytest.raises(Stop, match=r"needs Python 3\.11 or newer; this is 3\.10"):
        DEV["require_python"]((3, 10, 4))


def test_too_old_python_goes_on_with_a_newer_one_from_path(monkeypatch, tmp_path, capfd):
    newer = tmp_path / "python3.12"
    newer.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    newer.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(ROOT / "scripts" / "dev.py"), "help"])
    with pytest.raises(SystemExit) as leaving:
        DEV["require_python"]((3, 9, 1))
    os.environ.pop("COURSE_DEV_REEXEC", None)
    assert leaving.value.code == 0
    out = capfd.readouterr().out
    assert f"Python 3.9 is too old for the course; going on with {newer}." in out
    assert "Usage: make COMMAND" in out


def test_old_python_can_read_the_script():
    """A SyntaxError would hide the sentence: nothing newer than Python 3.6's grammar."""
    import ast

    ast.parse((ROOT / "scripts" / "dev.py").read_text("utf-8"), feature_version=(3, 6))


def test_python_without_venv_says_which_package_brings_it(clone):
    blocked = "import sys, runpy; sys.modules['ensurepip'] = None; sys.argv = ['dev.py', 'lab'];"
    blocked += "runpy.run_path('scripts/dev.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", blocked], cwd=clone, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"apt install python3.{sys.version_info[1]}-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_full_disk_says_how_much_is_needed_and_how_much_there_is(tmp_path):
    with pytest.raises(Stop, match=r"needs about \d\.\d GB; .* has 0\.4 GB free"):
        DEV["require_disk"](tmp_path, free_gb=0.4)


def test_no_network_says_so_and_keeps_what_is_there(clone):
    """A real pip against an index that nobody serves."""
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
    nowhere |= {"PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": "", "PIP_NO_CACHE_DIR": "1"}
    done = dev(clone, "lab", **nowhere)
    assert done.returncode == 1
    assert "The package index can't be reached, so torch could not be installed." in done.stderr
    assert "run the same command again" in done.stderr
    assert (clone / ".venv").exists()
    assert not (clone / ".venv" / "course-stamp").exists(), "an unfinished environment must not look finished"


def test_environment_of_another_place_is_not_taken_for_ours():
    fingerprint = DEV["fingerprint"]
    assert fingerprint("lab") == fingerprint("lab")
    assert fingerprint("lab") != fingerprint("lab,serve")


def test_disk_that_fills_up_while_installing_is_called_that():
    log = "Downloading torch\nERROR: Could not install packages: [Errno 28] No space left on device\n"
    assert DEV["explain_pip_failure"](log, "torch", Path("install.log")).startswith("The disk filled up")


def test_any_other_failure_shows_the_end_of_the_log():
    said = DEV["explain_pip_failure"](
        "ERROR: No matching distribution found for nosuch\n", "x", Path("a.log")
    )
    assert "No matching distribution found for nosuch" in said
    assert "a.log" in said


HARMLESS = ("audit", "--help")


@pytest.fixture(scope="module")
def installed():
    """This checkout, whose environment stands: the first call makes it where it doesn't, or is out of date."""
    done = dev(ROOT, *HARMLESS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_second_run_installs_nothing_and_goes_straight_to_work(installed):
    log = ROOT / ".venv" / "install.log"
    before = log.stat().st_mtime_ns if log.exists() else None
    done = dev(ROOT, *HARMLESS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.lstrip().startswith("Usage: ")
    assert (log.stat().st_mtime_ns if log.exists() else None) == before


def test_second_run_costs_little_beside_python_itself(installed):
    """All that the script does before the command takes over, within three starts of a Python with its imports."""

    def start(code):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        return time.perf_counter() - began

    imports = "import hashlib, os, runpy, shutil, signal, subprocess, sys, time, pathlib"
    ready = "import runpy; runpy.run_path('scripts/dev.py', run_name='dev')['ensure_environment']()"
    start(ready)
    pairs = [(start(imports), start(ready)) for _ in range(7)]
    bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"python {bare * 1e3:.0f} ms, until the environment is known to stand {ours * 1e3:.0f} ms")
    assert ours <= 3 * bare


def test_unknown_command_lists_the_known_ones(clone):
    done = dev(clone, "labb")
    assert done.returncode == 2
    assert "lab " in done.stdout
    assert "test " in done.stdout


def dry_run(*arguments):
    """What make would do; the flags of a make around these tests don't count."""
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    command = ["make", "-n", *arguments]
    return subprocess.check_output(command, cwd=ROOT, env=environment, text=True).strip()


@pytest.mark.parametrize("target", sorted(DEV["COMMANDS"]))
def test_every_command_is_a_make_target(target):
    assert f"scripts/dev.py {target}" in dry_run(target)


def test_lab_args_reach_jupyter():
    done = dry_run("lab", "LAB_ARGS=--no-browser --port=9000")
    assert done.endswith("scripts/dev.py lab --no-browser --port=9000")


def test_pins_are_rewritten_in_place():
    line = "      - plotly==6.0.1         # explorers\n"
    assert DEV["repin"](line, {"plotly": "7.1.0"}) == "      - plotly==7.1.0         # explorers\n"
    assert DEV["repin"]("torch==2.1.0+cpu\n", {"torch": "2.13.0"}) == "torch==2.13.0+cpu\n"


# What calls these commands: the hooks before a commit, and the continuous integration.


def test_hooks_before_a_commit_are_valid_and_call_programs_of_the_environment(installed):
    config = ROOT / ".pre-commit-config.yaml"
    programs = ROOT / ".venv" / "bin"
    done = subprocess.run(
        [programs / "pre-commit", "validate-config", config], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    hooks = [hook for repo in yaml.safe_load(config.read_text("utf-8"))["repos"] for hook in repo["hooks"]]
    assert len(hooks) >= 5
    called = {hook["id"]: hook["entry"].split()[0] for hook in hooks}
    assert {id: name for id, name in called.items() if not os.access(ROOT / name, os.X_OK)} == {}
    assert {Path(name).parent.as_posix() for name in called.values()} == {".venv/bin"}


def test_ci_runs_the_tests_and_both_other_environments_and_stops_at_the_first_failure():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    lines = script.read_text("utf-8").splitlines()
    assert "set -euo pipefail" in lines
    assert [line for line in lines if line.startswith("make ")] == [
        "make test",
        "make test-colab",
        "make test-binder",
    ]


def test_ci_installs_chromium_and_bubblewrap_only_where_they_are_missing():
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    for program, package in (("chromium", "chromium"), ("bwrap", "bubblewrap")):
        assert f"command -v {program} >/dev/null || missing+=({package})" in lines
    begin, end = lines.index("if (( ${#missing[@]} )); then"), lines.index("fi")
    asks = [number for number, line in enumerate(lines) if "apt-get" in line]
    assert any("install" in lines[number] and '"${missing[@]}"' in lines[number] for number in asks)
    assert all(begin < number < end for number in asks)
