"""The walls around a student's kernel: bubblewrap's namespaces, `prlimit`, and a filter of system calls.

Inside there is Python, read-only, a small folder in memory, and nothing else: no network, no home, no
course library, no environment, no other process to see, and no way to start one.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from course_utils.grading.checks import LONGEST_CALL_S
from course_utils.grading.syscalls import filter_program

INSIDE = "/course"  # where the kernel's own two files lie in the sandbox
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives")


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    memory_mb: address space of the kernel; importing torch takes 630 MB of it. disk_mb: of its folder in
    memory. tasks: threads; the system counts all of the user's together, a desktop's browser too (and none of
    root's), so this is a last resort: other processes are refused by the filter. cell_s, call_s: seconds for one
    cell, for one call of an answer. whole_s: for all of it.
    """

    memory_mb: int = 2048
    disk_mb: int = 64
    open_files: int = 256
    tasks: int = 8192
    cell_s: float = 20.0
    call_s: float = LONGEST_CALL_S
    whole_s: float = 120.0

    def __post_init__(self):
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name}={value!r} must be above 0")


def problem_of_sandbox() -> str:
    """Why no sandbox can be had here, in a sentence with what to do; empty where it can."""
    if not sys.platform.startswith("linux"):
        return (
            f"The sandbox needs Linux (bubblewrap); this is {sys.platform}. Grade in a Linux machine or VM."
        )
    for program, package in (("bwrap", "bubblewrap"), ("prlimit", "util-linux")):
        if shutil.which(program) is None:
            return f"The sandbox needs {program}: sudo apt install {package} (dnf, pacman: the same name)."
    return _trial()


@cache
def _trial() -> str:
    with tempfile.TemporaryFile() as filtered:
        try:
            command = walled(["/bin/true"], Limits(), filtered)
        except ValueError as error:
            return f"The sandbox can't be had here: {error}."
        done = subprocess.run(
            command, env={}, pass_fds=(filtered.fileno(),), capture_output=True, text=True, errors="replace"
        )
    if done.returncode == 0:
        return ""
    return (
        f"bubblewrap can't make a sandbox here: {done.stderr.strip()}. Unprivileged user namespaces must be "
        "allowed (Ubuntu 24.04: an AppArmor profile for bwrap; in Docker: --security-opt seccomp=unconfined)."
    )


def walled(
    command: Sequence[str], limits: Limits, filtered: IO[bytes], hidden: Sequence[Path] = ()
) -> list[str]:
    """`command` in the sandbox, as a command. Start it with an empty environment and `filtered` passed on.

    filtered: an open file, into which the filter of system calls is written.
    hidden:   folders that must not be seen even where they lie inside the system's or Python's own.

    The environment must be empty: bubblewrap's own stays readable in /proc/1.
    """
    filtered.write(filter_program())
    filtered.seek(0)
    mounts: list[str] = []
    for folder in python_folders():
        mounts += ["--ro-bind-try", folder, folder]
    for folder in _SYSTEM:
        mounts += ["--symlink", os.readlink(folder), folder] if os.path.islink(folder) else [
            "--ro-bind-try", folder, folder
        ]  # fmt: skip
    here = Path(__file__).resolve().parent
    for name in ("kernel_inside.py", "agreement.py"):
        mounts += ["--ro-bind", str(here / name), f"{INSIDE}/{name}"]
    for folder in (here.parent, *(path.resolve() for path in hidden)):
        if any(folder.is_relative_to(seen) for seen in (*python_folders(), *_SYSTEM)):
            mounts += ["--tmpfs", str(folder), "--remount-ro", str(folder)]
    size = str(limits.disk_mb * 2**20)
    return [
        "prlimit",
        f"--as={limits.memory_mb * 2**20}",
        f"--cpu={int(limits.whole_s) + 1}",
        f"--fsize={size}",
        f"--nofile={limits.open_files}",
        f"--nproc={limits.tasks}",
        "--core=0",
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        *("--uid", "65534", "--gid", "65534", "--hostname", "course"),
        *("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"),
        *("--size", size, "--tmpfs", "/tmp"),  # first: an environment may lie in it, and must not be covered
        *mounts,
        *("--chdir", "/tmp"),
        *("--remount-ro", "/"),  # the root itself lies in memory: it would be a disk without a limit
        *("--seccomp", str(filtered.fileno())),
        "--",
        *command,
    ]


def python_folders() -> tuple[str, ...]:
    """The folders that this Python runs from: its environment, and the one that it was made from."""
    made_from = Path(sys.executable).resolve().parent.parent
    return tuple(dict.fromkeys((sys.prefix, sys.base_prefix, str(made_from))))
