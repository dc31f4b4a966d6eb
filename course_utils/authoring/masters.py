"""Read a chapter's master: a jupytext py:percent file whose header says what the chapter costs the reader.

    # ---
    # course: {title: Cost estimation, minutes: 60, tier: cpu, memory_mb: 700, seconds: 60}
    # ---

    # %% [markdown] id="objectives"
    # 1. Turn tokens into dollars.

    # %% id="cost" tags=["exercise"] exercise="ch01.q1"
    def cost_usd(tokens, usd_per_mtok):
        ### BEGIN SOLUTION
        return tokens * usd_per_mtok / 1e6
        ### END SOLUTION

    # %% id="cost-check" tags=["check"] exercise="ch01.q1"
    check("ch01.q1", cost_usd)

Every cell has an `id` that stays. In Markdown, `{{course_map}}` becomes the table of chapters, and
`{{solution}}` in a cell with `exercise=…` the solved stub. `lint` has the other rules.
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

CELL_ID = re.compile(r"[a-zA-Z0-9-_]{1,64}")
MASTER_NAME = re.compile(r"\d\d_[a-z0-9_]+")
RESERVED_ID = "course-"
TIERS = ("cpu", "gpu", "replay")

_CELL_START = re.compile(r"^# %%")


@dataclass(frozen=True)
class Course:
    """A chapter's header: its title, the reader's minutes, the tier it is made for, and its budget.

    colab: packages that this chapter needs and Colab lacks, where it needs more than the others.
    """

    title: str
    minutes: int
    tier: str
    memory_mb: int
    seconds: int
    colab: tuple[str, ...] = ()


@dataclass(frozen=True)
class MasterCell:
    """One cell of a master and the line that it starts on. `kind` is code or markdown."""

    id: str
    line: int
    kind: str
    source: str
    tags: tuple[str, ...] = ()
    exercise: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Master:
    path: Path
    course: Course
    cells: tuple[MasterCell, ...]

    @property
    def name(self) -> str:
        """`01_cost_estimation`."""
        return self.path.stem

    @property
    def number(self) -> int:
        return int(self.name[:2])


def read_master(path: Path) -> Master:
    """Read one master. Raises ValueError that names the file and line of what is wrong with it."""
    import jupytext

    if not MASTER_NAME.fullmatch(path.stem):
        raise ValueError(f"{path}: a master is called NN_name.py, lower case")
    text = path.read_text("utf-8")
    header, header_lines = _header(path, text)
    course = _course(path, header)
    lines = text.splitlines()
    starts = [number for number in range(header_lines, len(lines)) if _CELL_START.match(lines[number])]
    if not starts:
        raise ValueError(f"{path}:1: no cell (a cell starts with `# %%`)")
    if any(line.strip() for line in lines[header_lines : starts[0]]):
        raise ValueError(f"{path}:{header_lines + 1}: text before the first cell (`# %%`)")

    cells: list[MasterCell] = []
    seen: dict[str, int] = {}
    notebook = jupytext.reads("\n".join(lines[starts[0] :]) + "\n", fmt="py:percent")
    for start, cell in zip(starts, notebook.cells, strict=True):
        line = start + 1
        metadata = {key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"}
        cell_id = metadata.pop("id", None)
        _check_id(f"{path}:{line}", cell_id, seen)
        seen[cell_id] = line
        cells.append(
            MasterCell(
                id=cell_id,
                line=line,
                kind=cell.cell_type,
                source=cell.source,
                tags=tuple(metadata.pop("tags", ())),
                exercise=metadata.pop("exercise", None),
                metadata=metadata,
            )
        )
    return Master(path, course, tuple(cells))


def read_masters(folder: Path) -> tuple[Master, ...]:
    """All masters of a folder in the order of their numbers; ValueError if two share one."""
    masters = tuple(read_master(path) for path in sorted(folder.glob("[0-9][0-9]_*.py")))
    for earlier, later in pairwise(masters):
        if earlier.number == later.number:
            raise ValueError(f"{later.path} has the number of {earlier.path.name}")
    return masters


def _check_id(where: str, cell_id: Any, seen: dict[str, int]) -> None:
    if cell_id is None:
        raise ValueError(f'{where}: the cell has no id; write `# %% id="some-name"`')
    if not isinstance(cell_id, str) or not CELL_ID.fullmatch(cell_id):
        raise ValueError(f"{where}: id={cell_id!r} must be 1 to 64 of a-z, A-Z, 0-9, - and _")
    if cell_id.startswith(RESERVED_ID):
        raise ValueError(f"{where}: id={cell_id!r}: ids that start with {RESERVED_ID!r} are the builder's")
    if cell_id in seen:
        raise ValueError(f"{where}: id={cell_id!r} is taken by the cell on line {seen[cell_id]}")


def _header(path: Path, text: str) -> tuple[dict[str, Any], int]:
    """The YAML between the first two `# ---` lines, and how many lines it takes."""
    import yaml

    lines = text.splitlines()
    fences = [number for number, line in enumerate(lines) if line.rstrip() == "# ---"]
    if len(fences) < 2 or fences[0] != 0:
        raise ValueError(f"{path}:1: no header (YAML between two `# ---` lines, with `course:` in it)")
    yaml_text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[1 : fences[1]])
    try:
        header = yaml.safe_load(yaml_text) or {}
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 2
        raise ValueError(f"{path}:{line}: the header is not YAML: {error}") from None
    return header, fences[1] + 1


def _course(path: Path, header: dict[str, Any]) -> Course:
    values = header.get("course") or header.get("jupyter", {}).get("course") or {}
    wanted = tuple(Course.__dataclass_fields__)
    missing, unknown = set(wanted) - set(values) - {"colab"}, set(values) - set(wanted)
    if missing or unknown:
        raise ValueError(
            f"{path}:1: `course:` in the header needs {', '.join(wanted)}; "
            f"missing: {', '.join(sorted(missing)) or 'none'}, "
            f"unknown: {', '.join(sorted(unknown)) or 'none'}"
        )
    for name in ("minutes", "memory_mb", "seconds"):
        if not isinstance(values[name], int) or values[name] <= 0:
            raise ValueError(f"{path}:1: course.{name}={values[name]!r} must be a whole number above 0")
    if values["tier"] not in TIERS:
        raise ValueError(f"{path}:1: course.tier={values['tier']!r} must be one of {', '.join(TIERS)}")
    colab = values.get("colab", [])
    if not isinstance(colab, list) or not all(isinstance(name, str) for name in colab):
        raise ValueError(f"{path}:1: course.colab={colab!r} must be a list of packages")
    return Course(**{**values, "colab": tuple(colab)})
