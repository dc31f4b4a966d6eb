"""Each chapter once from top to bottom: within its budget, every output fit to be read."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks" / "src").glob("[0-9][0-9]_*.py"))
LARGEST_NOTEBOOK_BYTES = 3_000_000

pytestmark = pytest.mark.notebooks

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


def outputs(notebook):
    return [(cell.id, output) for cell in notebook.cells for output in cell.get("outputs", [])]


@each_chapter
def test_chapter_runs_within_its_budget(chapter, executed):
    run, _ = executed(chapter)
    took = f"{run.seconds:.1f} s of {run.seconds_budget}, {run.peak_mb:.0f} MB of {run.memory_mb_budget}"
    print(f"{chapter}: {took}, slowest cell {run.slowest_cell}")
    assert not run.failed, f"{run.verdict}: {run.error or run}"


@each_chapter
def test_solutions_get_full_marks(chapter, executed):
    _, notebook = executed(chapter)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            marks = [float(output.data["text/plain"]) for output in cell.outputs if "data" in output]
            assert marks == [cell.metadata.nbgrader.points], cell.id


@each_chapter
def test_nothing_is_said_on_stderr(chapter, executed):
    _, notebook = executed(chapter)
    said = [(name, output.text) for name, output in outputs(notebook) if output.get("name") == "stderr"]
    assert said == []


@each_chapter
def test_every_picture_says_in_words_what_it_shows(chapter, executed):
    _, notebook = executed(chapter)
    for name, output in outputs(notebook):
        if "image/png" in output.get("data", {}):
            assert output.metadata.get("image/png", {}).get("alt", "").strip(), (
                f"{name}: a picture without alt text"
            )
        html = "".join(output.get("data", {}).get("text/html", ""))
        for tag in re.findall(r"<img\b[^>]*>", html):
            assert re.search(r"\balt=([\"'])(?!\1)", tag), f"{name}: {tag[:80]}"


@each_chapter
def test_outputs_name_no_path_of_this_machine_and_stay_small(chapter, executed, house):
    _, notebook = executed(chapter)
    text = (house.executed / f"{chapter}.ipynb").read_text("utf-8")
    assert str(Path.home()) not in text
    assert str(ROOT) not in text
    assert len(text) < LARGEST_NOTEBOOK_BYTES
    assert "widgets" not in notebook.metadata
