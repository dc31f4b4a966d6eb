"""`course run`: execute chapters in fresh kernels and hold them to their budgets of seconds and memory."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from course_utils.authoring.build import build_chapters
from course_utils.authoring.house import House, renew
from course_utils.authoring.masters import Course, Master, read_masters
from course_utils.authoring.memory import PeakMemory

CELL_TIMEOUT_S = 300
COURSE_SECONDS = 900  # all chapters, one after the other, on 2 cores
TIME_SLACK = 3  # machines are noisy: up to this many budgets of seconds is a warning, beyond it a failure


@dataclass(frozen=True)
class Run:
    """What one execution of a chapter took, beside its budget. `error` is empty if every cell ran."""

    chapter: str
    seconds: float
    seconds_budget: int
    peak_mb: float
    memory_mb_budget: int
    tier: str
    cell_seconds: Mapping[str, float]
    error: str = ""

    @property
    def slowest_cell(self) -> str:
        """The id of the cell that took longest; empty if none ended."""
        return max(self.cell_seconds, key=self.cell_seconds.__getitem__, default="")

    @property
    def verdict(self) -> str:
        """ok, slow (a warning), or what failed: error, over memory, over time."""
        if self.error:
            return "error"
        if self.peak_mb > self.memory_mb_budget:
            return "over memory"
        if self.seconds > TIME_SLACK * self.seconds_budget:
            return "over time"
        return "slow" if self.seconds > self.seconds_budget else "ok"

    @property
    def failed(self) -> bool:
        return self.verdict not in ("ok", "slow")

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "slowest_cell": self.slowest_cell, "verdict": self.verdict}


def whole(runs: Sequence[Run]) -> Run:
    """Runs one after the other as one: seconds added up, the largest memory, cells named `NN cell`.

    Its seconds have the course's budget, or that of the chapters if theirs is smaller.
    """
    largest = max(runs, key=lambda one: one.peak_mb)
    return Run(
        chapter=f"{len(runs)} chapters",
        seconds=round(sum(one.seconds for one in runs), 2),
        seconds_budget=min(COURSE_SECONDS, sum(one.seconds_budget for one in runs)),
        peak_mb=largest.peak_mb,
        memory_mb_budget=max(one.memory_mb_budget for one in runs),
        tier="",
        cell_seconds={
            f"{one.chapter[:2]} {cell}": seconds for one in runs for cell, seconds in one.cell_seconds.items()
        },
        error="; ".join(one.error for one in runs if one.error),
    )


def chosen(masters: Sequence[Master], chapters: Sequence[str]) -> tuple[Master, ...]:
    """The masters that `chapters` name, by number (`1`, `01`) or name; all of them if it names none."""
    if not chapters:
        return tuple(masters)
    by_name = {name: master for master in masters for name in (master.name, f"{master.number:02}")}
    wanted = [name.zfill(2) if name.isdigit() else name.removesuffix(".ipynb") for name in chapters]
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        names = ", ".join(master.name for master in masters) or "none yet"
        raise ValueError(f"chapter {unknown[0]!r} is not written; these are: {names}")
    return tuple(by_name[name] for name in dict.fromkeys(wanted))


def run_chapters(
    house: House,
    chapters: Sequence[str] = (),
    *,
    student: bool = False,
    frontend: str | None = None,
    progress: Callable[[str, int, int], None] = lambda chapter, done, of: None,
) -> Iterator[Run]:
    """Execute chapters one after the other, each from its master as it is now.

    `student` runs the blank notebooks. `frontend` sets COURSE_FRONTEND for the kernel; nothing else is set.
    The executed notebooks stay in build/executed/ (blank ones in build/executed/student/).
    """
    import nbformat

    masters = read_masters(house.masters)
    wanted = {master.name: master for master in chosen(masters, chapters)}
    folder = house.executed / "student" if student else house.executed
    for built in build_chapters(house, masters):
        if built.name not in wanted:
            continue
        notebook = nbformat.reads(built.student if student else built.instructor, as_version=4)
        with environment(COURSE_FRONTEND=frontend):
            run = execute(notebook, wanted[built.name].course, built.name, str(house.student), progress)
        notebook.metadata["frontend"] = frontend or "lab"
        renew(folder / f"{built.name}.ipynb", nbformat.writes(notebook).rstrip("\n") + "\n")
        yield run


def execute(
    notebook: Any,
    course: Course,
    name: str,
    working_folder: str,
    progress: Callable[[str, int, int], None] = lambda chapter, done, of: None,
) -> Run:
    """Execute a notebook in place, in a fresh kernel that is gone afterwards, whatever happens."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    started: dict[str, float] = {}
    taken: dict[str, float] = {}

    def before(cell, cell_index):
        started[cell.id] = time.perf_counter()

    def after(cell, cell_index, execute_reply):
        taken[cell.id] = time.perf_counter() - started[cell.id]
        progress(name, len(taken), len(codes))

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        record_timing=False,
        resources={"metadata": {"path": working_folder}},
        on_cell_execute=before,
        on_cell_executed=after,
    )
    error = ""
    begin = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="course-") as sockets,
        kernel_of(client, sockets),
        PeakMemory(client.km.provisioner.pid) as memory,
    ):
        try:
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
        except CellExecutionError as failure:
            error = f"{name}, cell {cell.id}: {failure.ename}: {first_line(failure.evalue)}"
        except CellTimeoutError:
            error = f"{name}, cell {cell.id}: still running after {CELL_TIMEOUT_S} s"
        except DeadKernelError:
            error = f"{name}, cell {cell.id}: the kernel died (out of memory?)"
        except KeyboardInterrupt:
            client.shutdown_kernel = "immediate"
            raise
        seconds = time.perf_counter() - begin
        memory.sample()
    return Run(
        chapter=name,
        seconds=round(seconds, 2),
        seconds_budget=course.seconds,
        peak_mb=round(memory.peak_mb, 1),
        memory_mb_budget=course.memory_mb,
        tier=course.tier,
        cell_seconds={cell: round(seconds, 2) for cell, seconds in taken.items()},
        error=error,
    )


def kernel_of(client: Any, sockets: str) -> AbstractContextManager[None]:
    """The client's fresh kernel. On Linux it talks through files, on no port that others could take."""
    manager = client.create_kernel_manager()
    if sys.platform == "linux":
        manager.transport, manager.ip = "ipc", os.path.join(sockets, "kernel")
    return client.setup_kernel()


def first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


@contextmanager
def environment(**variables: str | None):
    """Set environment variables for a block; None leaves one as it is."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: value for name, value in variables.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
