"""A clone as somebody else gets it, with the environment of this checkout lent to it, so that nothing is installed."""

import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def git(*arguments, cwd=ROOT):
    return subprocess.check_output(["git", *arguments], cwd=cwd, text=True).splitlines()


@pytest.fixture(scope="module")
def lent_clone(tmp_path_factory):
    """`git clone` of what stands here, committed or not. Its .venv is ours by links, under a stamp of its own.

    The stamp tells scripts/dev.py that the environment is finished, so that `make` works in the clone as it does after
    an installation. PYTHONPATH (see `Shell`) makes `course_utils` the clone's: our environment would give it ours.
    """
    folder = tmp_path_factory.mktemp("newcomer") / "course"
    git("clone", "-q", "--shared", str(ROOT), str(folder))
    for name in git("ls-files", "-m", "-o", "--exclude-standard"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for name in git("ls-files", "-d"):
        (folder / name).unlink(missing_ok=True)
    git("add", "-A", cwd=folder)  # what a command changes is then what `git diff` shows
    lend_environment(folder)
    return folder


def lend_environment(folder):
    venv = folder / ".venv"
    venv.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != "course-stamp":
            (venv / part.name).symlink_to(part)
    dev = runpy.run_path(str(folder / "scripts" / "dev.py"), run_name="dev")
    (venv / "course-stamp").write_text(dev["fingerprint"](dev["EXTRAS"]))


class Shell:
    """bash in a folder, `course` and python on its PATH. In a clone, it is the clone's library that is imported."""

    def __init__(self):
        self.started = []

    def __call__(self, command, folder):
        """What it prints; AssertionError with its words if it fails."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment_of(folder), capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def start(self, command, folder, log, **more):
        """A process that goes on beside the test and is ended after it, with all that it started."""
        with log.open("wb") as said:
            environment = environment_of(folder) | more
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True
            )
        self.started.append(process)
        return process


@pytest.fixture
def shell():
    shell = Shell()
    yield shell
    for process in shell.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(15)


def environment_of(folder):
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTEST_ADDOPTS")  # of a make around these tests
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    if (folder / "course_utils").is_dir():
        environment["PYTHONPATH"] = str(folder)
    return environment
