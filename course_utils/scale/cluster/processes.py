"""Which processes belong to a Ray of ours: all that inherited its mark. They are counted, weighed and ended by it.

A mark in the environment finds also those that have lost their parent, which a walk down the tree misses.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator

MARK = "COURSE_RAY_OWNER"
_OF_THIS_PROCESS = secrets.token_hex(4)
# Starts are known as seconds since 1970, and those move when the clock is set between two looks.
_CLOCK_S = 5.0


def owner_mark() -> str:
    """Of this process: its number, and letters that a later one of the same number hasn't."""
    return f"{os.getpid()}-{_OF_THIS_PROCESS}"


def marked(mark: str) -> list:
    """Living processes (psutil.Process) that carry `mark`, this one left out."""
    return [process for process, found in _all_marked() if found == mark]


def orphans() -> list:
    """Living processes whose owner is gone: what a session that crashed has left behind."""
    return [process for process, mark in _all_marked() if not _has_owner(process, mark)]


def _has_owner(process, mark: str) -> bool:
    """Whether the owner lives: a process of that number which isn't younger than what it is said to have started."""
    import psutil

    try:
        owner = psutil.Process(int(mark.split("-")[0]))
        is_running = owner.status() != psutil.STATUS_ZOMBIE
        return is_running and owner.create_time() <= process.create_time() + _CLOCK_S
    except (psutil.Error, ValueError):
        return False


def end(processes: Iterable, wait_s: float = 5.0) -> None:
    """Kill them and wait until they are gone. No time to say goodbye: they had it, or nobody is left to hear it."""
    import psutil

    processes = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=wait_s)


def await_end(mark: str, wait_s: float) -> list:
    """Those that still live after at most `wait_s`."""
    until = time.monotonic() + wait_s
    while (left := marked(mark)) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def _all_marked() -> Iterator[tuple]:
    """Processes with their owners' marks. Ray writes its workers' titles over their environments: such a process
    belongs to whom its parent belongs."""
    import psutil

    found = {}
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK)
            if mark and process.pid != os.getpid():
                found[process] = mark
                found |= dict.fromkeys(process.children(recursive=True), mark)
        except (psutil.Error, OSError):  # gone meanwhile, or another user's
            continue
    for process, mark in found.items():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                yield process, mark
