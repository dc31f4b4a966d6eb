"""`course instructor`: nbgrader's course folder, an assignment per chapter, with solutions, points and due dates."""

import ast
import copy
import inspect
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_utils.authoring.build import instructor_notebook, student_notebook
from course_utils.authoring.house import House, renew
from course_utils.authoring.masters import Master, read_masters
from course_utils.grading import cases
from course_utils.grading.answers import grade_id
from course_utils.grading.feedback import number
from course_utils.grading.gradebook import database_url, opened
from course_utils.grading.labs import (
    CAPSTONE_FILES,
    CAPSTONE_POINTS,
    GradedQuestion,
    Lab,
    WrittenQuestion,
    lab,
)
from course_utils.grading.literals import literal
from course_utils.grading.precheck import marks_line

CODE_STUB = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}

CONFIG = f"""\
# nbgrader's settings for this folder; `course instructor` wrote them once, and leaves them to you from then on.
c = get_config()
c.CourseDirectory.course_id = "unit-5-4"
c.Exchange.root = "exchange"  # hand out and collect through your LMS, or set nbgrader's shared folder here
c.ClearSolutions.code_stub = {CODE_STUB!r}
"""

INTRODUCTION = """\
## Graded

What follows is handed in and marked. Your instructor's computer runs the import cell at the top and the cells of these
answers, nothing else, and calls each function with inputs that you don't see. So keep whatever a function needs inside
its own cell; `course_utils` can't be imported there, an answer is your own code. `course check` on this notebook says
what can be graded."""


def make_course(house: House, folder: Path, pack: Path | None) -> list[Path]:
    """Make or renew the course folder; what was written comes back.

    An assignment is called like its lab, `ch01`. With graded questions in the pack it holds the chapter, its
    practice questions without points, and the graded ones at the end. Marks in the gradebook stay.
    """
    import nbformat

    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nbgrader_config.py"
    if not config.exists():
        renew(config, CONFIG)
    masters, repository = read_masters(house.masters), house.repository()
    made = []
    labs = []
    for master in masters:
        lab_id = f"ch{master.number:02}"
        if lab_id not in cases.chapters() and not (pack and (pack / f"{lab_id}.py").is_file()):
            continue
        one = lab(lab_id, pack)
        labs.append(one)
        source = assignment(master, instructor_notebook(master, masters, repository), one)
        path = folder / "source" / lab_id / f"{master.name}.ipynb"
        renew(path, nbformat.writes(source).rstrip("\n") + "\n")
        made.append(path)
    release(folder, labs)
    return [*made, *sorted((folder / "release").glob("*/*.ipynb"))]


def assignment(master: Master, instructor: Any, one: Lab) -> Any:
    """The notebook that nbgrader keeps in source/: solved where it is graded."""
    graded = [asked for asked in one.questions if isinstance(asked, GradedQuestion)]
    if not graded and not one.written and not one.capstone_id:
        return instructor
    import nbformat.v4 as v4

    notebook, cells = copy.deepcopy(instructor), []
    if graded or one.written:
        notebook = student_notebook(instructor)
        for cell in notebook.cells:
            cell.metadata.pop("nbgrader", None)
        cells.append(v4.new_markdown_cell(INTRODUCTION, id="graded"))
    for asked in graded:
        cells += graded_cells(asked)
    for asked in one.written:
        cells += written_cells(asked)
    if one.capstone_id:
        cells.append(files_cell(one.capstone_id))
    at = next(
        (position for position, cell in enumerate(notebook.cells) if cell.id == "takeaways"),
        len(notebook.cells),
    )
    notebook.cells[at:at] = cells
    return notebook


def graded_cells(asked: GradedQuestion) -> list[Any]:
    """The card, the stub with its solution, and the locked line that carries the points."""
    import nbformat.v4 as v4

    name, function = grade_id(asked.id), asked.reference.__name__
    arguments = ", ".join(literal(one) for one in asked.example)
    card = f"{asked.card}\n\nTry it on `{function}({arguments})`. {worth_words(asked.points)}"
    source = stub(asked)
    marks = marks_line(asked.id, asked.points, function, asked.example)
    return [
        v4.new_markdown_cell(card, id=f"{name}-card"),
        v4.new_code_cell(source, id=name, metadata=nbgrader_metadata(name, solution=True)),
        v4.new_code_cell(
            marks, id=f"{name}-marks", metadata=nbgrader_metadata(f"{name}-marks", points=asked.points)
        ),
    ]


def written_cells(asked: WrittenQuestion) -> list[Any]:
    import nbformat.v4 as v4

    name = grade_id(asked.id)
    card = f"{asked.card}\n\n{worth_words(asked.points)}"
    metadata = nbgrader_metadata(name, solution=True, points=asked.points)
    return [
        v4.new_markdown_cell(card, id=f"{name}-card"),
        v4.new_markdown_cell("YOUR ANSWER HERE", id=name, metadata=metadata),
    ]


def files_cell(capstone_id: str) -> Any:
    """The locked line that carries the points of the files handed in beside the notebook."""
    import nbformat.v4 as v4

    name = f"{grade_id(capstone_id)}-marks"
    files = " and ".join(CAPSTONE_FILES)
    source = (
        f"0.0  # {capstone_id}, {number(CAPSTONE_POINTS)} points: for {files}, handed in beside this notebook"
    )
    return v4.new_code_cell(source, id=name, metadata=nbgrader_metadata(name, points=CAPSTONE_POINTS))


def nbgrader_metadata(name: str, solution: bool = False, points: float | None = None) -> dict[str, Any]:
    found = {
        "grade_id": name,
        "grade": points is not None,
        "solution": solution,
        "locked": not solution,
        "task": False,
        "schema_version": 3,
    }
    return {"nbgrader": found if points is None else {**found, "points": points}}


def stub(asked: GradedQuestion) -> str:
    """The reference as a student's cell, its body between nbgrader's markers, with what it needs."""
    text = textwrap.dedent(inspect.getsource(asked.reference))
    function = ast.parse(text).body[0]
    body = text.splitlines()[function.body[0].lineno - 1 :]
    head = f"def {function.name}({ast.unparse(function.args)}):"
    says = textwrap.wrap(f"{asked.asks[0].upper()}{asked.asks[1:]}.", 96)
    needed = [f"    from math import {name}" for name in math_names(asked.reference)]
    return "\n".join(
        [
            head,
            f'    """{says[0]}' + ('"""' if len(says) == 1 else ""),
            *([*(f"    {line}" for line in says[1:]), '    """'] if len(says) > 1 else []),
            "    ### BEGIN SOLUTION",
            *needed,
            *body,
            "    ### END SOLUTION",
        ]
    )


def math_names(reference: Any) -> Sequence[str]:
    names = [name for name in reference.__code__.co_names if name in reference.__globals__]
    return [name for name in names if getattr(reference.__globals__[name], "__module__", "") == "math"]


def worth_words(points: float) -> str:
    return f"**{number(points)} point{'' if points == 1 else 's'}.**"


def release(folder: Path, labs: Sequence[Lab]) -> None:
    """What `nbgrader generate_assignment` does, for every lab. Raises ValueError with nbgrader's own words."""
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root = str(folder.absolute())
    config.CourseDirectory.db_url = database_url(folder)
    config.ClearSolutions.code_stub = CODE_STUB
    with opened(folder) as gradebook:
        for one in labs:
            due = one.due.replace(tzinfo=None) - one.due.utcoffset() if one.due else None
            gradebook.update_or_create_assignment(one.id, duedate=due)
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    for one in labs:
        result = api.generate_assignment(one.id)
        if not result["success"]:
            lines = (result.get("error") or result.get("log") or "").strip().splitlines()
            raise ValueError(f"nbgrader could not make {one.id}: {' '.join(lines[-3:])}")
