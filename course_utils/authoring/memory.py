"""Peak memory of a process and its children, in MB (10^6 bytes): what a chapter asks of a machine."""

import re
import threading
from pathlib import Path

from course_utils.measure.footprint import proportional_bytes

SAMPLES_PER_S = 20


class PeakMemory:
    """Samples a process tree while the `with` block runs; `peak_mb` afterwards.

    On Linux the system keeps each process's own high-water mark (VmHWM): nothing is missed between samples.
    With children the proportional set sizes (PSS) of all are added up too, so that shared pages count once.
    Elsewhere resident set sizes are added up.
    """

    def __init__(self, pid: int):
        import psutil

        self._process = psutil.Process(pid)
        self._peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def peak_mb(self) -> float:
        return self._peak_bytes / 1e6

    def sample(self) -> None:
        """Look once; a process that ended meanwhile adds nothing."""
        import psutil

        try:
            tree = [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        marks = [high_water_bytes(process.pid) for process in tree]
        if len(tree) > 1 or marks[0] is None:
            self._peak_bytes = max(self._peak_bytes, sum(map(proportional_bytes, tree)))
        self._peak_bytes = max(self._peak_bytes, *(mark or 0 for mark in marks))

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.sample()
            self._stop.wait(1 / SAMPLES_PER_S)


def high_water_bytes(pid: int) -> int | None:
    """The largest resident set that the process has had, None where the system doesn't say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else None
