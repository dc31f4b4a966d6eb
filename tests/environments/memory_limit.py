"""A hard limit on the memory of processes, as Binder sets it: a control group of Linux, version 1 or 2.

    with MemoryLimit(2 * 10**9) as limit:
        subprocess.run(limit.inside(["python", "-c", "print('hello')"]))
    limit.anonymous_peak_bytes, limit.group_peak_bytes, limit.kills

Two peaks, since they say different things. What processes have allocated (their heaps and stacks, and shared memory
such as Ray's object store) can't be taken back from them: beyond the limit the kernel kills one. The group's own
peak counts the pages of files that were read as well; those the kernel drops when it needs room, so that figure
comes near the limit wherever many files are read, and nothing is wrong.
"""

import contextlib
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLES_PER_S = 20
PATIENCE_S = 10
LEAF = "course-itself"


@dataclass(frozen=True)
class Files:
    """What the two versions call the same things. `swap_limit` takes memory and swap in version 1, swap in 2."""

    limit: str
    swap_limit: str
    peak: str
    kills: str
    allocated: frozenset[str]


VERSION_1 = Files(
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.max_usage_in_bytes",
    "memory.oom_control",
    frozenset({"total_rss", "total_shmem"}),
)
VERSION_2 = Files(
    "memory.max", "memory.swap.max", "memory.peak", "memory.events", frozenset({"anon", "shmem"})
)
NEEDED = (
    "a hard limit on memory needs a control group that this process may make: run as root with a writable "
    "/sys/fs/cgroup, or under systemd with `systemd-run --user --scope -p Delegate=yes make test-binder`"
)


class MemoryLimit:
    """Processes started by `inside` share `limit_bytes` while the `with` block runs, and none outlives it.

    Raises OSError, with a sentence that says what is needed, where this process may make no control group.
    """

    def __init__(self, limit_bytes: int):
        self.limit_bytes = limit_bytes
        self.anonymous_peak_bytes = 0
        self.group_peak_bytes = 0
        self.kills = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryLimit":
        try:
            above, self._files = own_group()
            self._group = above / f"course-{os.getpid()}-{time.monotonic_ns()}"
            self._group.mkdir()
        except OSError as refused:
            raise OSError(f"{NEEDED} ({refused})") from refused
        try:
            (self._group / self._files.limit).write_text(str(self.limit_bytes))
            swap = self._group / self._files.swap_limit
            if swap.exists():  # only where the kernel counts swap
                swap.write_text("0" if self._files is VERSION_2 else str(self.limit_bytes))
        except OSError:
            self._group.rmdir()
            raise
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()
        self.sample()
        self._remove()

    def inside(self, command: list) -> list[str]:
        """The command that moves itself into the group and then becomes `command`."""
        enter = f'echo $$ > "{self._group}/cgroup.procs" && exec "$@"'
        return ["/bin/sh", "-c", enter, "sh", *map(str, command)]

    def sample(self) -> None:
        """Look once at what is allocated, at the group's own peak, and at whom the kernel has killed."""
        now = numbers(self._group / "memory.stat")
        allocated = sum(now.get(name, 0) for name in self._files.allocated)
        self.anonymous_peak_bytes = max(self.anonymous_peak_bytes, allocated)
        self.group_peak_bytes = int((self._group / self._files.peak).read_text())
        self.kills = numbers(self._group / self._files.kills)["oom_kill"]

    def _watch(self) -> None:
        while not self._stop.wait(1 / SAMPLES_PER_S):
            self.sample()

    def _remove(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for pid in map(int, (self._group / "cgroup.procs").read_text().split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                return self._group.rmdir()
            except OSError:  # the last of them is still being buried
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def own_group(
    system: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> tuple[Path, Files]:
    """The folder in which this process may make a group with a limit on memory, and what its files are called."""
    paths = dict(line.split(":", 2)[1:] for line in own.read_text().splitlines())
    mount = system / "memory"
    if "memory" in paths and mount.is_dir():
        group = mount / paths["memory"].lstrip("/")
        return (group if group.is_dir() else mount), VERSION_1  # in a container the path may be the host's
    group = system / paths.get("", "").lstrip("/")
    group = group.parent if group.name == LEAF else group
    handed_down = group / "cgroup.subtree_control"
    if "memory" not in handed_down.read_text().split():
        try:
            handed_down.write_text("+memory")
        except OSError:  # only a group without processes hands controllers down: ours move into a leaf
            leaf = group / LEAF
            leaf.mkdir(exist_ok=True)
            for pid in (group / "cgroup.procs").read_text().split():
                (leaf / "cgroup.procs").write_text(pid)
            handed_down.write_text("+memory")
    return group, VERSION_2


def numbers(path: Path) -> dict[str, int]:
    """`name number` on each line, as the kernel writes statistics."""
    return {name: int(value) for name, value in map(str.split, path.read_text().splitlines())}
