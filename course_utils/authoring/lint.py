"""What a chapter has to keep: its order, whole exercises, short cells, images in words, links that travel."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature

from course_utils.authoring.masters import Master, MasterCell

MAX_CODE_LINES = 12
FIRST_ID, LAST_IDS = "objectives", ("takeaways", "sources")

_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]*)")
_LINK = re.compile(
    r"(?<!!)\[[^\]]*\]\(([^)\s]+)|<(?:a|img)\b[^>]*?\b(?:href|src)=[\"']([^\"']+)", re.IGNORECASE
)
_IMG_TAG = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ALT = re.compile(r"\balt=([\"'])\s*(?!\1)\S", re.IGNORECASE)
_LINK_STARTS = ("https://", "mailto:", "#")
_MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)


@dataclass(frozen=True)
class Problem:
    """Something in a master to change. `error` fails the build; the rest is advice."""

    where: str
    message: str
    error: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {'' if self.error else 'advice: '}{self.message}"


def lint(master: Master) -> list[Problem]:
    """Everything wrong with a master, in the order of its lines within each rule."""
    rules: tuple[Callable[[Master], Iterator[Problem]], ...] = (
        order,
        exercises,
        questions_asked,
        short_cells,
        pictures,
        links,
    )
    return [problem for rule in rules for problem in rule(master)]


def order(master: Master) -> Iterator[Problem]:
    """Objectives first and numbered, takeaways and sources last, every exercise before them."""
    ids = [cell.id for cell in master.cells]
    first = master.cells[0]
    if (
        first.id != FIRST_ID
        or first.kind != "markdown"
        or not re.search(r"^1\. ", first.source, re.MULTILINE)
    ):
        yield at(master, first, f'the first cell is markdown, id="{FIRST_ID}", with a numbered list')
    if tuple(ids[-2:]) != LAST_IDS:
        yield at(master, master.cells[-1], 'the last two cells are id="takeaways" and id="sources"')
    for name in LAST_IDS:
        if name in ids:
            end = ids.index(name)
            for cell in master.cells[end + 1 :]:
                if cell.exercise:
                    yield at(master, cell, f'{cell.exercise} comes after id="{name}"')
            if name == "takeaways" and "|---" not in master.cells[end].source.replace(" ", ""):
                yield at(master, master.cells[end], "the takeaways are a table")
            if name == "sources" and not re.search(r"\b20\d\d\b", master.cells[end].source):
                yield at(master, master.cells[end], "sources carry their dates")


def exercises(master: Master) -> Iterator[Problem]:
    """A card, the stub, right under it the check, then a folded hint and a folded solution."""
    for position, cell in enumerate(master.cells):
        if "check" in cell.tags:
            before = master.cells[position - 1] if position else None
            if before is None or "exercise" not in before.tags or before.exercise != cell.exercise:
                yield at(master, cell, f"the check of {cell.exercise} stands right under its stub")
        if "exercise" not in cell.tags:
            continue
        if cell.kind != "code" or not cell.exercise:
            yield at(master, cell, 'a stub is a code cell with tags=["exercise"] exercise="chNN.name"')
            continue
        yield from card(master, cell, master.cells[position - 1] if position else None)
        yield from stub(master, cell)
        after = master.cells[position + 1 : position + 4]
        if not after or "check" not in after[0].tags or after[0].exercise != cell.exercise:
            yield at(master, cell, f"the cell under the stub of {cell.exercise} is its check")
            continue
        yield from call_of_check(master, cell, after[0])
        folded = " ".join(other.source for other in after[1:] if other.kind == "markdown")
        parts = re.findall(r"<details>\s*<summary>(.*?)</summary>", folded, re.DOTALL)
        words = [part.lower() for part in parts]
        if len(words) != 2 or "hint" not in words[0] or "solution" not in words[1]:
            yield at(
                master,
                cell,
                f"{cell.exercise} is followed by a hint and a solution, each folded in <details>",
            )


def card(master: Master, stub_cell: MasterCell, before: MasterCell | None) -> Iterator[Problem]:
    if before is None or before.kind != "markdown" or not re.search(r"[●○]", before.source):
        yield at(master, stub_cell, f"{stub_cell.exercise} has no card above it (difficulty ●○○ and minutes)")
    elif not re.search(r"\d+\s*min", before.source):
        yield at(master, before, f"the card of {stub_cell.exercise} says how many minutes it takes")


def stub(master: Master, cell: MasterCell) -> Iterator[Problem]:
    """The stub that students get defines the solution's functions with the same arguments, and is blank."""
    if "### BEGIN SOLUTION" not in cell.source or "### END SOLUTION" not in cell.source:
        yield at(master, cell, f"{cell.exercise} has no ### BEGIN SOLUTION … ### END SOLUTION")
        return
    try:
        solved, blank = functions_of(cell.source), functions_of(cleared(cell.source))
    except SyntaxError as error:
        yield at(master, cell, f"{cell.exercise}: with or without its solution it is not Python: {error}")
        return
    for name in sorted(solved.keys() | blank.keys()):
        if solved.get(name) != blank.get(name):
            yield at(
                master,
                cell,
                f"{cell.exercise}: the stub has {name}({blank.get(name, 'missing')}), "
                f"its solution {name}({solved.get(name, 'missing')})",
            )


def call_of_check(master: Master, stub_cell: MasterCell, check_cell: MasterCell) -> Iterator[Problem]:
    """The check is `check("ch01.q1", function)`: the stub's id and function, the question's arguments."""
    called = re.fullmatch(r"check\(\s*[\"']([\w.]+)[\"']\s*,\s*(\w+)\s*\)", check_cell.source.strip())
    if not called:
        yield at(master, check_cell, f'the check is one line: check("{stub_cell.exercise}", your_function)')
        return
    question_id, function = called.groups()
    if question_id != stub_cell.exercise:
        yield at(master, check_cell, f"checks {question_id} under the stub of {stub_cell.exercise}")
        return
    try:
        defined = functions_of(cleared(stub_cell.source))
    except SyntaxError:
        return
    wanted = arguments_of_question(question_id)
    if function not in defined:
        yield at(master, check_cell, f"checks {function}, which the stub does not define")
    elif wanted is not None and argument_names(defined[function]) != wanted:
        yield at(
            master,
            stub_cell,
            f"{function}({defined[function]}): the question calls it with {', '.join(wanted)}",
        )


def questions_asked(master: Master) -> Iterator[Problem]:
    """The chapter asks every question that its cases hold, once."""
    from course_utils.grading import cases
    from course_utils.grading.questions import questions_of

    chapter = f"ch{master.number:02}"
    asked = [cell.exercise for cell in master.cells if "exercise" in cell.tags]
    known = questions_of(chapter) if chapter in cases.chapters() else {}
    for name in known:
        if asked.count(name) != 1:
            yield at(
                master, master.cells[-1], f"question {name} is asked {asked.count(name)} times, not once"
            )


def short_cells(master: Master) -> Iterator[Problem]:
    for cell in master.cells:
        lines = len(cell.source.splitlines())
        if cell.kind == "code" and "exercise" not in cell.tags and lines > MAX_CODE_LINES:
            yield at(master, cell, f"{cell.id} has {lines} lines of code; aim for 3 to 5", error=False)


def pictures(master: Master) -> Iterator[Problem]:
    """Every image says in words what it shows."""
    for cell in master.cells:
        if cell.kind != "markdown":
            continue
        unsaid = [target for words, target in _IMAGE.findall(cell.source) if not words.strip()]
        unsaid += [tag for tag in _IMG_TAG.findall(cell.source) if not _ALT.search(tag)]
        for target in unsaid:
            yield at(master, cell, f"the image {target} has no alt text")


def links(master: Master) -> Iterator[Problem]:
    """A link is https, or relative and there: it must work on Colab, on the site and in a clone."""
    for cell in master.cells:
        if cell.kind != "markdown":
            continue
        targets = [one or other for one, other in _LINK.findall(cell.source)]
        targets += [target for _, target in _IMAGE.findall(cell.source)]
        for target in targets:
            if target.startswith(_LINK_STARTS):
                continue
            if re.match(r"[a-z][a-z0-9+.-]*:|/", target, re.IGNORECASE):
                yield at(master, cell, f"the link {target} is neither https nor relative")
            elif not linked_file_exists(master, target):
                yield at(master, cell, f"the link {target} leads nowhere from notebooks/")


def linked_file_exists(master: Master, target: str) -> bool:
    path = target.partition("#")[0]
    source = master.path.parent / f"{path.removesuffix('.ipynb')}.py"
    return (path.endswith(".ipynb") and source.is_file()) or (master.path.parent.parent / path).exists()


def at(master: Master, cell: MasterCell, message: str, error: bool = True) -> Problem:
    return Problem(f"{master.path}:{cell.line}", message, error)


def cleared(source: str) -> str:
    """The stub that nbgrader leaves of a cell."""
    from nbformat.v4 import new_code_cell
    from nbgrader.preprocessors import ClearSolutions

    cell = new_code_cell(source, metadata={"nbgrader": {"solution": True}})
    cell, _ = ClearSolutions().preprocess_cell(cell, {"language": "python"}, 0)
    return cell.source


def functions_of(source: str) -> dict[str, str]:
    """Top-level functions of a cell and their arguments: `{"cost": "tokens, usd_per_mtok=2.5"}`."""
    tree = ast.parse(_MAGIC.sub(r"\1pass", source))
    return {node.name: ast.unparse(node.args) for node in tree.body if isinstance(node, ast.FunctionDef)}


def argument_names(arguments: str) -> list[str]:
    tree = ast.parse(f"def f({arguments}): pass").body[0]
    assert isinstance(tree, ast.FunctionDef)
    return [arg.arg for arg in (*tree.args.posonlyargs, *tree.args.args)]


def arguments_of_question(question_id: str) -> list[str] | None:
    from course_utils.grading.questions import question

    try:
        return list(signature(question(question_id).reference).parameters)
    except ValueError:
        return None
