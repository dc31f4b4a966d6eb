"""Where in a notebook the answers are: by their grade ids, as nbgrader, Jupyter and Colab write them, else by name.

Students duplicate, delete, move and rename cells, and Colab moves ids around. What can be told apart is graded,
and everything unusual is said. Nothing of the notebook is executed here, nor parsed as Python: text only.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from course_utils.grading.labs import Lab

MOST_CELLS = 2000
LARGEST_CELL_CHARACTERS = 200_000
UNWRITTEN = ("", "YOUR ANSWER HERE")  # nbgrader's stub of a text
SETUP_IDS = ("course-setup", "imports")
DEFAULT_SETUP = "import math\nimport numpy as np\nimport pandas as pd"
# Within a line only: a cell may be 200,000 line ends, and `\s*` would try them all from each.
_BOUND = re.compile(
    r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]*)?=(?!=)", re.MULTILINE
)
_BLANK = re.compile(r"^[ \t]*raise NotImplementedError\b", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One cell: `names` are all ids that it goes by, `position` counts from 0."""

    kind: str
    source: str
    names: frozenset[str]
    position: int

    @property
    def blank(self) -> bool:
        return not self.source.strip() or bool(_BLANK.search(self.source))


@dataclass(frozen=True)
class Answer:
    """A question's cell, None if there is none, and the names that its function may have, likeliest first."""

    question_id: str
    cell: Cell | None
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Handed:
    """What of a notebook is run: the set-up cells, and the answers in the order of their cells."""

    setup: tuple[str, ...]
    answers: tuple[Answer, ...]
    written: dict[str, str]
    notes: tuple[str, ...]
    elsewhere: frozenset[str]


def read_notebook(data: bytes) -> tuple[Cell, ...]:
    """The cells of a notebook. Raises ValueError that says what is wrong with the file."""
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("it is not a notebook: not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not a notebook: not JSON ({str(error)[:80]})") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        old = isinstance(notebook, dict) and "worksheets" in notebook
        raise ValueError("it was saved in nbformat 3: open and save it again" if old else "it has no cells")
    if len(cells) > MOST_CELLS:
        raise ValueError(f"it has {len(cells):,} cells, more than the {MOST_CELLS:,} that are read")
    return tuple(cell for position, raw in enumerate(cells) if (cell := read_cell(raw, position)))


def read_cell(raw: Any, position: int) -> Cell | None:
    """A cell as it is, None for what is none. A cell that is too long counts as empty."""
    if not isinstance(raw, dict):
        return None
    source = raw.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str) or len(source) > LARGEST_CELL_CHARACTERS:
        source = ""
    metadata = raw["metadata"] if isinstance(raw.get("metadata"), dict) else {}
    nbgrader = metadata["nbgrader"] if isinstance(metadata.get("nbgrader"), dict) else {}
    names = (nbgrader.get("grade_id"), raw.get("id"), metadata.get("id"))  # Colab keeps ids in the metadata
    return Cell(
        kind="code" if raw.get("cell_type") == "code" else "text",
        source=source.encode("utf-8", "replace").decode("utf-8"),
        names=frozenset(name for name in names if isinstance(name, str)),
        position=position,
    )


def find_answers(cells: Sequence[Cell], lab: Lab) -> Handed:
    """Each question's cell, and everything about the notebook that an instructor should know."""
    codes = [cell for cell in cells if cell.kind == "code"]
    answers = [find_answer(codes, asked.id, asked.reference.__name__) for asked in lab.questions]
    notes = []
    if not any("imports" in cell.names for cell in codes):
        notes.append("the import cell is missing: numpy, pandas and math were given")
    order = [answer.cell.position for answer in answers if answer.cell]
    if order != sorted(order):
        notes.append("the exercises stand in another order")
    written = {}
    for asked in lab.written:
        found = [cell for cell in cells if grade_id(asked.id) in cell.names]
        written[asked.id] = found[-1].source if found else ""
        if len(found) != 1:
            notes.append(f"{asked.id}: {len(found)} text cells instead of one; the last counts")
    return Handed(
        setup=setup_of(codes),
        answers=tuple(sorted(answers, key=lambda one: one.cell.position if one.cell else MOST_CELLS)),
        written=written,
        notes=tuple(notes),
        elsewhere=rest_of(codes, answers),
    )


def setup_of(codes: Sequence[Cell]) -> tuple[str, ...]:
    """The set-up cells; where the import cell is missing, imports that most answers can do with."""
    setup = tuple(cell.source for cell in codes if cell.names & set(SETUP_IDS))
    return setup if any("imports" in cell.names for cell in codes) else (DEFAULT_SETUP, *setup)


def rest_of(codes: Sequence[Cell], answers: Sequence[Answer]) -> frozenset[str]:
    """Names that cells define which are not run when marks are given."""
    run = {answer.cell.position for answer in answers if answer.cell}
    others = [cell for cell in codes if cell.position not in run and not cell.names & set(SETUP_IDS)]
    return frozenset(name for cell in others for name in defined_in(cell.source))


def find_answer(codes: Sequence[Cell], question_id: str, function: str) -> Answer:
    """By id, then by the name of the function. Of several, the last that isn't blank."""
    checked = [called for cell in codes if (called := name_checked(cell.source, question_id))]
    names = tuple(dict.fromkeys((function, *reversed(checked))))
    own = [cell for cell in codes if grade_id(question_id) in cell.names]
    # `q1` is the cell's own id in the chapter of ch01.q1: what is left where nbgrader's metadata was lost.
    own = own or [cell for cell in codes if question_id.partition(".")[2] in cell.names]
    filled = [cell for cell in own if not cell.blank]
    notes = []
    if len(own) > 1:
        notes.append(f"{question_id}: {len(own)} cells have its id; the last that isn't blank counts")
    if not filled:
        others = [cell for cell in codes if not cell.blank and cell not in own]
        filled = [cell for cell in others if set(names) & set(defined_in(cell.source))]
        if filled:
            why = "its own is blank" if own else "no cell has its id"
            notes.append(f"{question_id}: {why}; a cell that defines {function} counts")
    if not own and not filled:
        notes.append(f"{question_id}: its cell is missing")
    return Answer(question_id, (filled or own or [None])[-1], names, tuple(notes))


def grade_id(question_id: str) -> str:
    """nbgrader takes letters, digits, - and _ only."""
    return question_id.replace(".", "-")


def defined_in(source: str) -> list[str]:
    """Names that a cell binds at its top level: functions, classes, assignments."""
    return [one or other for one, other in _BOUND.findall(source)]


def name_checked(source: str, question_id: str) -> str | None:
    """What a notebook's check cell calls the answer: `check("ch01.q1", mine)`."""
    found = re.search(
        rf"^check\(\s*[\"']{re.escape(question_id)}[\"']\s*,\s*(\w+)\s*\)", source, re.MULTILINE
    )
    return found[1] if found else None


def lab_of(notebooks: Iterable[bytes]) -> str:
    """The lab that notebooks belong to, by the ids in them: `ch01`. Raises ValueError where they don't agree."""
    found: set[str] = set()
    data = None
    for data in notebooks:
        try:
            names = {name for cell in read_notebook(data) for name in cell.names}
        except ValueError:
            continue
        found |= {match[1] for name in names if (match := re.match(r"(ch\d\d)-", name))}
    if data is None:
        raise ValueError("no notebook was handed in: ada/lab.ipynb, ada.ipynb or a zip of such is needed")
    if len(found) != 1:
        said = f"belong to {', '.join(sorted(found))}" if found else "don't say which lab they belong to"
        raise ValueError(f"the notebooks {said}: name one with --lab, such as --lab ch01")
    return found.pop()
