"""`course plan`: a trace and what it must hold, in; a ranked table with reasons, JSON or a page for a meeting, out."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from course_utils.decide.plan import Plan, Requirements, Space, plan
from course_utils.decide.plan_text import COLUMNS, document, rows, summary
from course_utils.scale.simulation_plan import GENERATORS
from course_utils.scale.traffic import Traffic
from course_utils.scale.traffic_files import read_traffic

_WIDE = {"how": 46, "pay": 28, "quality": 22, "why": 46}


def plan_command(
    trace: str,
    requirements: Requirements,
    space: Space,
    *,
    top: int = 10,
    seed: int = 0,
    as_json: bool = False,
    report: str | None = None,
) -> int:
    """Plan, print, and write the report. Returns 0 where something meets everything, 1 where nothing does."""
    if report is not None and not Path(report).parent.is_dir():
        raise ValueError(f"report={report!r}: there is no folder {str(Path(report).parent)!r} to write it to")
    traffic = traffic_named(trace, seed)
    with _progress() as progress:
        found = plan(traffic, requirements, space, top=top, seed=seed, progress=progress)
    if report is not None:
        from course_utils.explore.plan_page import write_page

        write_page(found, report, top)
    if as_json:
        print(json.dumps(document(found, top), indent=1, default=str))
    else:
        _print(found, top)
        if report is not None:
            print(f"{report}: open it in a browser; its print dialog makes the PDF", file=sys.stderr)
    return 0 if found.winner is not None else 1


def traffic_named(trace: str, seed: int = 0) -> Traffic:
    """A file in any layout, or a published trace by name. ValueError where it is neither."""
    if trace in GENERATORS:
        return GENERATORS[trace](seed=seed)
    if Path(trace).is_file():
        return read_traffic(trace)
    raise ValueError(
        f"trace={trace!r}: neither a file nor one of the published traces {', '.join(GENERATORS)}"
    )


def scores_given(written: Iterable[str]) -> dict[str, float]:
    """`Llama-3.1-8B/int4=71.2` as a name and a score. ValueError for anything else."""
    found = {}
    for text in written:
        name, sign, value = text.rpartition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            sign = ""
        if not sign or not name.strip():
            raise ValueError(
                f"score={text!r}: MODEL=NUMBER, MODEL/PRECISION=NUMBER or PROVIDER/MODEL=NUMBER is needed"
            )
    return found


def _print(found: Plan, top: int) -> None:
    table = Table(show_lines=True)
    for name in COLUMNS:
        table.add_column(name, max_width=_WIDE.get(name), overflow="fold")
    for row in rows(found, top):
        style = {"winner": "bold", "fails": "dim"}.get(row[COLUMNS.index("verdict")], "")
        table.add_row(*map(escape, row), style=style)
    console = Console()
    console = console if console.is_terminal else Console(width=200)
    console.print(table)
    console.print(escape(found.why))
    for note in found.notes:
        console.print(escape(f"· {note}"))
    console.print(escape(f"{summary(found)}. Brackets: 80 % intervals, predicted. --json lists every loser."))


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while candidates are gone through; none where nobody watches."""
    terminal = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal) as bars:
        task = bars.add_task("candidates", total=None)
        yield lambda done, of: bars.update(task, completed=done, total=of)
