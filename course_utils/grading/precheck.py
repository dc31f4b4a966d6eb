"""`course check`: what of a notebook can be graded, said to the student before it is handed in.

Nothing here knows a reference or a hidden input. What is asked stands in the notebook itself: in the line under
each graded stub, or in its `check`. An answer is called with the public example, to see that it is there, stands
on its own, and gives plain data.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.grading.answers import Answer, Cell, find_answer, read_notebook, rest_of, setup_of
from course_utils.grading.feedback import shown
from course_utils.grading.kernel import Kernel, KernelGone
from course_utils.grading.labs import LIBRARY_ABSENT, example_of
from course_utils.grading.literals import literal
from course_utils.grading.questions import question
from course_utils.grading.remote import NoData, name_lacking, rebuilt, unpaired
from course_utils.grading.sandbox import Limits, problem_of_sandbox

_MARKS_LINE = re.compile(
    r"^0\.0  # (ch\d\d\.\w+), (\d+(?:\.\d+)?) points?: .*; example: (\w+)(\(.*\))$", re.MULTILINE
)
_CHECK_LINE = re.compile(r"^check\(\s*[\"'](ch\d\d\.\w+)[\"']\s*,\s*(\w+)\s*\)", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """One question: whether it can be graded as it is, and what to know."""

    question_id: str
    points: float
    gradable: bool
    said: str


@dataclass(frozen=True)
class Expected:
    question_id: str
    points: float
    function: str
    example: str


def marks_line(question_id: str, points: float, function: str, example: tuple) -> str:
    """The locked cell under a graded stub. Its value is 0.0: nbgrader's own autograding gives no marks for it."""
    plural = "" if points == 1 else "s"
    return (
        f"0.0  # {question_id}, {points:g} point{plural}: given outside of this notebook, on other inputs; "
        f"example: {function}{literal(example)}"
    )


def precheck(path: Path) -> list[Finding]:
    """Everything that a notebook is asked, in its order. Raises ValueError where it is none, or asks nothing."""
    try:
        cells = read_notebook(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    expected = expected_in(cells)
    if not expected:
        raise ValueError(f"{path}: no graded question in it: was the line under each stub deleted?")
    codes = [cell for cell in cells if cell.kind == "code"]
    answers = [find_answer(codes, one.question_id, one.function) for one in expected]
    elsewhere = rest_of(codes, answers)
    findings, done = [], []
    waiting = list(zip(expected, answers, strict=True))
    while waiting:
        # Without walls (macOS, Windows) it is still the student's own code on the student's own machine.
        with Kernel(Limits(), walls=not problem_of_sandbox()) as kernel:
            try:
                for source in (*map(as_setup, setup_of(codes)), *(cell.source for cell in done)):
                    kernel.run(source, kernel.limits.cell_s)
            except KernelGone as gone:
                said = f"the cells before it end the kernel: {gone}"
                return [*findings, *(Finding(one.question_id, one.points, False, said) for one, _ in waiting)]
            while waiting:
                one, answer = waiting.pop(0)
                gradable, said, alive = tried(kernel, one, answer, elsewhere)
                notes = answer.notes if answer.cell else ()
                findings.append(Finding(one.question_id, one.points, gradable, "; ".join((*notes, said))))
                if not alive:
                    break
                done += [answer.cell] if answer.cell else []
    return findings


def as_setup(source: str) -> str:
    return f"course_asked.setup({source!r})"


def tried(kernel: Kernel, one: Expected, answer: Answer, elsewhere: frozenset[str]) -> tuple[bool, str, bool]:
    """Whether the answer can be graded, what to know, and whether the kernel is still there."""
    if answer.cell is None or answer.cell.blank:
        return False, "its cell is missing" if answer.cell is None else "not attempted yet", True
    try:
        kernel.ready()
        ran = kernel.run(answer.cell.source, kernel.limits.cell_s)
        name = kernel.ask(f"course_asked.answer({list(answer.names)!r})", kernel.limits.cell_s).get("name")
        if not isinstance(name, str):
            return (
                False,
                f"running it raised {ran.error}" if ran.error else f"it defines no {one.function}",
                True,
            )
        return *on_example(kernel, one, elsewhere), True
    except KernelGone as gone:
        return False, f"running it: {gone}", False


def on_example(kernel: Kernel, one: Expected, elsewhere: frozenset[str]) -> tuple[bool, str]:
    """What calling the answer with the public example comes to. Raises KernelGone."""
    found = kernel.call_texts([one.example])[0]
    if found.get("late"):
        return False, f"it had not come back after {kernel.limits.call_s:g} seconds"
    if "error" in found:
        error = rebuilt(found)
        if name_lacking(error) in elsewhere:
            return False, f"{name_lacking(error)} is in a cell that is not graded: move it into this one"
        if LIBRARY_ABSENT in str(error):
            return False, f"{error}"
        return True, f"on the example it raised {type(error).__name__}: {str(error)[:120]}"
    try:
        return True, f"on the example it returned {shown(unpaired(found['value']))}"
    except (KeyError, NoData):
        return False, f"it returned no plain data (a {str(found.get('no_data', 'thing too large'))[:60]})"


def expected_in(cells: Sequence[Cell]) -> list[Expected]:
    """The questions that a notebook asks: graded ones where it has any, else its practice questions."""
    graded, practice = [], []
    for cell in cells:
        if found := _MARKS_LINE.search(cell.source):
            graded.append(Expected(found[1], float(found[2]), found[3], found[4]))
        elif found := _CHECK_LINE.search(cell.source):
            try:
                asked = question(found[1])
            except ValueError:
                continue
            practice.append(Expected(asked.id, asked.points, found[2], literal(example_of(asked))))
    return list({one.question_id: one for one in graded or practice}.values())
