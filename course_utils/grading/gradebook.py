"""Marks into nbgrader's gradebook, and answers into its formgrader, without nbgrader running a line of them.

nbgrader's own `autograde` runs the checks beside the student's code, where they can be forged. Here it is given
the marks, and a copy of the released notebook with the student's answers as text.
"""

import copy
import json
import os
import re
import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from course_utils.grading.answers import grade_id
from course_utils.grading.marks import WRITTEN, Graded, QuestionMark
from course_utils.whole_files import write_whole


def database_url(course: Path) -> str:
    return f"sqlite:///{course.absolute() / 'gradebook.db'}"


@contextmanager
def opened(course: Path) -> Iterator[Any]:
    """nbgrader's gradebook of a course folder. It calls `alembic`, which lies beside this Python."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), before))
    try:
        from nbgrader.api import Gradebook

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Object of type", Warning)  # nbgrader's way with sessions
            with Gradebook(database_url(course)) as gradebook:
                yield gradebook
    finally:
        os.environ["PATH"] = before


def write_gradebook(course: Path, results: Iterable[Graded], lab_id: str) -> int:
    """Every result into `course`/gradebook.db and `course`/autograded; how many students there were.

    Marks that a person has given in the formgrader stay; a text that has changed since is queued again. The late
    penalty counts them too, so run it once more when they are given. Raises ValueError where the folder has no
    such assignment.
    """
    from nbgrader.api import MissingEntry

    database = course / "gradebook.db"
    if not database.is_file():
        raise ValueError(f"{course} has no gradebook.db: `make instructor` makes the folder")
    count = 0
    with opened(course) as gradebook:
        try:
            assignment = gradebook.find_assignment(lab_id)
        except MissingEntry:
            raise ValueError(f"{database} has no assignment {lab_id}: `make instructor` makes it") from None
        released = {one.name: released_notebook(course, lab_id, one.name) for one in assignment.notebooks}
        for graded in results:
            gradebook.update_or_create_student(graded.student)
            stamp = graded.submitted_at.replace(tzinfo=None) if graded.submitted_at else None
            submission = gradebook.update_or_create_submission(lab_id, graded.student, timestamp=stamp)
            for notebook in submission.notebooks:
                path = course / "autograded" / graded.student / lab_id / f"{notebook.name}.ipynb"
                changed = write_answers(path, released[notebook.name], graded)
                write_marks(notebook, graded, changed)
            gradebook.db.commit()
            count += 1
    return count


def write_marks(notebook: Any, graded: Graded, changed: bool) -> None:
    """The marks of one notebook's grade cells, in nbgrader's own objects."""
    marks = {grade_id(mark.question_id): mark for mark in graded.marks}
    by_hand = 0.0
    for grade in notebook.grades:
        name = grade.cell.name
        mark = marks.get(name) or marks.get(name.removesuffix("-marks").removesuffix("-check"))
        if mark is None:
            continue
        if mark.state == WRITTEN:
            grade.auto_score = None
            grade.needs_manual_grade = grade.manual_score is None or changed
        else:
            grade.auto_score = mark.points
            grade.needs_manual_grade = False
        by_hand += grade.manual_score or 0.0
    notebook.late_submission_penalty = round((graded.raw + by_hand) * graded.lost_share, 2)


def released_notebook(course: Path, lab_id: str, name: str) -> dict[str, Any]:
    path = course / "release" / lab_id / f"{name}.ipynb"
    if not path.is_file():
        raise ValueError(f"{path} is missing: `make instructor` makes it")
    return json.loads(path.read_text("utf-8"))


def write_answers(path: Path, released: dict[str, Any], graded: Graded) -> bool:
    """The released notebook with the student's texts and code in their cells; True if an earlier one differed."""
    notebook = copy.deepcopy(released)
    marks = {grade_id(mark.question_id): mark for mark in graded.marks}
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if cell["cell_type"] == "markdown" and name in marks:
            cell["source"] = quoted(graded.written.get(marks[name].question_id, ""))
        elif name in graded.sources:
            cell["source"] = graded.sources[name]
        elif cell["cell_type"] == "code":
            mark = marks.get(name.removesuffix("-marks").removesuffix("-check"))
            cell["outputs"] = [output_of(mark)] if mark else []
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    before = path.read_text("utf-8") if path.is_file() else text
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
    return before != text


def output_of(mark: QuestionMark) -> dict[str, Any]:
    said = [f"{mark.state}: {mark.points:g} of {mark.of:g}", *filter(None, (mark.said, mark.hint))]
    return {"output_type": "stream", "name": "stdout", "text": "\n".join(said) + "\n"}


def quoted(text: str) -> str:
    """A student's text as a block of plain text: no HTML, no image that would be fetched, no link."""
    wrapped = "\n".join(textwrap.fill(line, 100) for line in text.splitlines())
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", wrapped) or [""]))
    return f"{fence}text\n{wrapped}\n{fence}"
