"""`course notebooks`: masters become the student's notebooks (solutions cleared) and the instructor's."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from course_utils.authoring import frame
from course_utils.authoring.course_map import course_map, readme
from course_utils.authoring.house import House, Repository, renew
from course_utils.authoring.masters import Master, MasterCell, read_masters

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


@dataclass(frozen=True)
class Built:
    """One chapter's two notebooks, as the text of their files."""

    name: str
    student: str
    instructor: str


def build_chapters(house: House, masters: Sequence[Master] | None = None) -> tuple[Built, ...]:
    """Both notebooks of every master, in memory. The same masters give the same bytes."""
    import nbformat

    masters = read_masters(house.masters) if masters is None else masters
    repository = house.repository()
    built = []
    for master in masters:
        instructor = instructor_notebook(master, masters, repository)
        student = student_notebook(instructor)
        built.append(
            Built(master.name, *(nbformat.writes(nb).rstrip("\n") + "\n" for nb in (student, instructor)))
        )
    return tuple(built)


def write_notebooks(house: House) -> list[Path]:
    """Build all notebooks, and the README's map, and write those that changed; what changed comes back."""
    changed, masters = [], read_masters(house.masters)
    # Before anything is written: it refuses a chapter that the map can't name.
    readme_text = readme(house, masters)
    for built in build_chapters(house, masters):
        for folder, text in ((house.student, built.student), (house.instructor, built.instructor)):
            path = folder / f"{built.name}.ipynb"
            if renew(path, text):
                changed.append(path)
    if readme_text and renew(house.root / "README.md", readme_text):
        changed.append(house.root / "README.md")
    return changed


def stale_notebooks(house: House) -> list[Path]:
    """Committed notebooks that differ from what their masters give, lack one, or are missing; the README by its map."""
    masters = read_masters(house.masters)
    chapters = build_chapters(house, masters)
    expected = {house.student / f"{built.name}.ipynb": built.student for built in chapters}
    found = set(house.student.glob("*.ipynb"))
    if text := readme(house, masters):
        expected[house.root / "README.md"] = text
        found.add(house.root / "README.md")
    return sorted(
        path
        for path in found | expected.keys()
        if path not in expected or path not in found or path.read_text("utf-8") != expected[path]
    )


def instructor_notebook(master: Master, masters: Sequence[Master], repository: Repository) -> Any:
    """The chapter with solutions between nbgrader's markers: what an instructor keeps, and what runs."""
    import nbformat.v4 as v4

    cells = [
        v4.new_markdown_cell(frame.badges(repository, master.name), id="course-badges"),
        v4.new_markdown_cell(frame.header(master, masters), id="course-header"),
    ]
    # The set-up stands before the first cell of code, below the objectives.
    first_code = next((i for i, cell in enumerate(master.cells) if cell.kind == "code"), len(master.cells))
    for position, cell in enumerate(master.cells):
        if position == first_code:
            cells.append(v4.new_code_cell(frame.setup(repository, master.course.colab), id="course-setup"))
        cells.append(notebook_cell(cell, master, masters))
    cells.append(v4.new_markdown_cell(frame.footer(repository, master, masters), id="course-footer"))
    metadata = {
        "course": {key: value for key, value in asdict(master.course).items() if value != ()},
        "kernelspec": KERNELSPEC,
        "language_info": {"name": "python"},
    }
    return v4.new_notebook(cells=cells, metadata=metadata)


def notebook_cell(cell: MasterCell, master: Master, masters: Sequence[Master]) -> Any:
    """One cell of a master as a notebook's, with nbgrader's metadata if it belongs to an exercise."""
    import nbformat.v4 as v4

    metadata: dict[str, Any] = dict(cell.metadata)
    if cell.tags:
        metadata["tags"] = list(cell.tags)
    if cell.exercise:
        metadata["exercise"] = cell.exercise
    if cell.kind == "code":
        if {"exercise", "check"} & set(cell.tags):
            metadata["nbgrader"] = grading_metadata(cell, master)
        return v4.new_code_cell(cell.source, id=cell.id, metadata=metadata)
    source = cell.source.replace("{{course_map}}", course_map(masters))
    if "{{solution}}" in source:
        source = source.replace("{{solution}}", f"```python\n{solution_text(cell, master)}\n```")
    return v4.new_markdown_cell(source, id=cell.id, metadata=metadata)


def grading_metadata(cell: MasterCell, master: Master) -> dict[str, Any]:
    """nbgrader's metadata: the stub is the student's to change, the check is locked and worth the points."""
    from course_utils.grading.questions import question

    try:
        asked = question(cell.exercise)
    except ValueError as error:
        raise ValueError(f"{master.path}:{cell.line}: exercise={cell.exercise!r}: {error}") from None
    solution = "exercise" in cell.tags
    grade_id = asked.id.replace(".", "-")  # nbgrader takes letters, digits, - and _
    metadata = {
        "grade": not solution,
        "grade_id": grade_id if solution else f"{grade_id}-check",
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return metadata if solution else {**metadata, "points": asked.points}


def solution_text(cell: MasterCell, master: Master) -> str:
    """The solved stub of a cell's exercise, without nbgrader's markers."""
    stub = next(
        (other for other in master.cells if "exercise" in other.tags and other.exercise == cell.exercise),
        None,
    )
    if cell.exercise is None or stub is None:
        raise ValueError(
            f"{master.path}:{cell.line}: {{{{solution}}}} needs a cell with exercise=… that has a stub"
        )
    lines = stub.source.splitlines()
    return "\n".join(line for line in lines if "BEGIN SOLUTION" not in line and "END SOLUTION" not in line)


def student_notebook(instructor: Any) -> Any:
    """The blank chapter: nbgrader's own preprocessors lock, clear and seal the cells."""
    import copy

    from nbgrader.preprocessors import (
        CheckCellMetadata,
        ClearOutput,
        ClearSolutions,
        ComputeChecksums,
        LockCells,
    )

    notebook, resources = copy.deepcopy(instructor), {}
    for step in (LockCells(), ClearSolutions(), ClearOutput(), CheckCellMetadata(), ComputeChecksums()):
        notebook, resources = step.preprocess(notebook, resources)
    return notebook
