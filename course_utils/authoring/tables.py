"""The tables and the progress bar that `course` prints for people."""

import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from course_utils.authoring import recordings
from course_utils.authoring.console import console
from course_utils.authoring.run import Run, whole
from course_utils.measure.recorded import recording

SLOWEST_CELLS = 8
_STYLES = {"ok": "green", "slow": "yellow"}


def run_table(runs: Sequence[Run]) -> None:
    """Chapter by chapter: seconds and peak memory beside the budget; then their sum, and the slowest cells of all."""
    table = Table()
    for name in ("chapter", "seconds", "budget s", "peak MB", "budget MB", "tier", "slowest cell", "verdict"):
        number = name.endswith((" s", "MB", "seconds"))
        table.add_column(name, justify="right" if number else "left", no_wrap=name in ("chapter", "verdict"))
    total = whole(runs)
    for one in [*runs, total] if len(runs) > 1 else runs:
        if one is total:
            table.add_section()
        table.add_row(
            one.chapter,
            f"{one.seconds:.1f}",
            f"{one.seconds_budget}",
            f"{one.peak_mb:.0f}",
            f"{one.memory_mb_budget}",
            one.tier,
            "" if one is total else _cell(one, one.slowest_cell),
            f"[{_STYLES.get(one.verdict, 'bold red')}]{one.verdict}[/]",
        )
    console().print(table)
    slowest = heapq.nlargest(SLOWEST_CELLS, total.cell_seconds, key=total.cell_seconds.__getitem__)
    console().print("Slowest cells: " + ", ".join(_cell(total, name) for name in slowest))


def _cell(run: Run, name: str) -> str:
    return f"{name} ({run.cell_seconds.get(name, 0.0):.1f} s)"


def audit_table(findings: Sequence[Any]) -> None:
    """What the data's audit found, errors first, and a line that counts them."""
    if findings:
        table = Table()
        for name in ("file", "line", "kind", "message"):
            table.add_column(name, justify="right" if name == "line" else "left")
        for one in sorted(findings, key=lambda one: not one.is_error):
            kind = f"[bold red]{one.kind}[/]" if one.is_error else one.kind
            table.add_row(one.file, str(one.line), kind, escape(one.message))
        console().print(table)
    errors = sum(one.is_error for one in findings)
    console().print(f"{errors} errors, {len(findings) - errors} stale rows.")


def recordings_table(there: Collection[str]) -> None:
    """What can be recorded, and, of those in `there`, on what and when it was."""
    table = Table()
    for name in ("recording", "measures", "rows", "recorded on", "as of"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for one in recordings.RECORDABLES:
        made = recording(one.name) if one.name in there else None
        facts = (str(len(made.rows)), made.hardware, made.as_of) if made else ("", "not yet", "")
        table.add_row(one.name, one.measures, *facts)
    console().print(table)


@contextmanager
def chapter_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per chapter on stderr, so that stdout stays clean; none where nobody watches."""
    terminal = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def progress(chapter: str, done: int, of: int) -> None:
            if chapter not in tasks:
                tasks[chapter] = bars.add_task(chapter, total=of)
            bars.update(tasks[chapter], completed=done)

        yield progress
