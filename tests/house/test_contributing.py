"""CONTRIBUTING is true: each recipe that begins with "Add" is carried out in a fresh clone, as its text says.

A recipe's `bash` blocks are run line by line. Any other block goes where the paragraph above it says: at the end of a
file, into a new one, or before or after the line that begins with something. Whoever writes a recipe in other words
finds it refused here.
"""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
RECIPES = [title for title in SECTIONS if title.startswith("Add ")]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
DEV = runpy.run_path(str(ROOT / "scripts" / "dev.py"), run_name="dev")


def steps(section):
    """(paragraph above, language, block without the indentation of its list) in the order of the text."""
    at = 0
    for found in BLOCK.finditer(section):
        indent, language, block = found.groups()
        above = section[at : found.start()].strip().split("\n\n")[-1]
        at = found.end()
        lines = (line.removeprefix(indent) for line in block.splitlines(keepends=True))
        yield " ".join(above.split()), language, "".join(lines)


def put(folder, said, block):
    """The block into the file that the paragraph names, at the place that it names; the file's name comes back."""
    if found := re.search(r"at the end of `([^`]+)`:$", said):
        name = found[1]
        text = (folder / name).read_text("utf-8") + block
    elif found := re.search(r"into `([^`]+)`:$", said):
        name, text = found[1], block
    elif found := re.search(
        r"(before|after) the line that begins with `([^`]+)` in `([^`]+)`([^`]*):$", said
    ):
        where, begins, name, more = found.groups()
        lines = (folder / name).read_text("utf-8").splitlines(keepends=True)
        (at,) = (number for number, line in enumerate(lines) if line.strip().startswith(begins))
        if more == ", and its name at the end of that line":
            (named,) = re.findall(r"^([A-Z_]+) = ", block, re.MULTILINE)
            lines[at] = lines[at].replace(")\n", f", {named})\n")
        lines.insert(at + (where == "after"), block)
        text = "".join(lines)
    else:
        raise AssertionError(f"no place for a block after {said!r}")
    (folder / name).write_text(text, "utf-8")
    return name


@pytest.fixture
def clone(lent_clone, shell):
    yield lent_clone
    shell("git checkout -q . && git clean -qfd", lent_clone)


def test_the_four_recipes_are_there():
    assert RECIPES == ["Add a chapter", "Add an exercise", "Add a price", "Add a GPU"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_works_in_a_clean_clone_as_its_text_says(recipe, clone, shell):
    said, touched = "", []
    for above, language, block in steps(SECTIONS[recipe]):
        if language == "bash":
            said += "".join(shell(line, clone) for line in block.splitlines())
        else:
            touched.append(put(clone, above, block))
    assert PROOF[recipe] in said
    assert re.search(r"\d+ passed", said)
    # What it left is in the shape that the house wants.
    touched += shell("git ls-files -o --exclude-standard", clone).split()
    if code := " ".join(name for name in touched if name.endswith(".py")):
        shell(f"ruff check -q {code} && ruff format -q --check {code}", clone)


PROOF = {
    "Add a chapter": "13_tokens",
    "Add an exercise": "notebooks/08_prompt_and_semantic_caching.ipynb",
    "Add a price": "usd_per_accelerator_hour=2.49",
    "Add a GPU": "llama-3.1-8b on 1 x Example X1",
}


def test_the_verbs_are_those_that_there_are():
    told = re.findall(r"^\| `([a-z-]+)` \|", SECTIONS["The verbs"], re.MULTILINE)
    assert sorted(told) == sorted(DEV["COMMANDS"])


def test_the_street_is_the_one_that_is_held():
    held = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"][
        0
    ]["layers"]
    told = re.findall(r"^\| `(\w+)` \|", SECTIONS["The street"], re.MULTILINE)
    assert [f"course_utils.{name}" for name in reversed(told)] == held


def test_every_file_and_link_that_it_names_is_there():
    prose = BLOCK.sub("", TEXT)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        assert (ROOT / target).exists(), target
    paths = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.\w+)`", prose)
    assert len(paths) >= 10
    assert [path for path in paths if "NN" not in path and not (ROOT / path).exists()] == []
