"""What `course grade` and `course check` print for people."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from course_utils.authoring.console import console
from course_utils.grading.feedback import number
from course_utils.grading.marks import RIGHT, WRITTEN, Graded
from course_utils.grading.precheck import Finding
from course_utils.grading.results import printable


def grades_summary(lab_id: str, all_of_it: Sequence[Graded], marked_now: int) -> None:
    """How the class did, question by question, and whose submissions need a look."""
    if not all_of_it:
        console().print("No submissions.")
        return
    table = Table(title=f"{lab_id}: {len(all_of_it)} submissions, {marked_now} marked in this run")
    for name in ("question", "points", "mean", "all right", "to be marked"):
        table.add_column(name, justify="left" if name == "question" else "right")
    for position, first in enumerate(all_of_it[0].marks):
        marks = [one.marks[position] for one in all_of_it]
        states = [mark.state for mark in marks]
        mean = sum(mark.points for mark in marks) / len(marks)
        waiting = states.count(WRITTEN)
        right = str(states.count(RIGHT))
        table.add_row(
            first.question_id, number(first.of), f"{mean:.2f}", right, str(waiting) if waiting else ""
        )
    console().print(table)
    scores = [one.score for one in all_of_it]
    console().print(
        f"Scores: median {number(median(scores))} of {number(all_of_it[0].of)}; "
        f"{median(one.seconds for one in all_of_it):.2f} s a submission (median)."
    )
    noted = [one for one in all_of_it if one.notes]
    for one in noted[:20]:
        console().print(f"  {escape(one.student)}: {escape(printable('; '.join(one.notes)))}")
    if len(noted) > 20:
        console().print(f"  … and {len(noted) - 20} more with notes, in the CSV.")


def check_table(findings: Sequence[Finding]) -> None:
    table = Table()
    for name in ("question", "points", "gradable", "what to know"):
        table.add_column(name)
    for one in findings:
        said = "yes" if one.gradable else "[bold]no[/]"
        table.add_row(one.question_id, number(one.points), said, escape(printable(one.said)))
    console().print(table)


@contextmanager
def class_progress(of: int) -> Iterator[Callable[[Graded], None]]:
    """A bar on stderr, none where nobody watches."""
    terminal = Console(stderr=True)
    columns = (TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal) as bars:
        task = bars.add_task("", total=of)
        yield lambda graded: bars.advance(task)
