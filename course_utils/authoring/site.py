"""`make site`: docs/, every chapter with the outputs of its last run, and the library's reference, as web pages.

A chapter's page has the student's cells and the outputs of the master: stubs stay blank, figures are there.
Nothing on a page comes from another host.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from course_utils.authoring.build import Built, build_chapters
from course_utils.authoring.course_map import readme_map
from course_utils.authoring.frame import binder_url, colab_url
from course_utils.authoring.house import House, renew
from course_utils.authoring.masters import read_masters
from course_utils.authoring.reference import reference
from course_utils.authoring.run import run_chapters

# An exercise's own outputs would give its answer away, or praise a reader who hasn't tried.
_WITHOUT_OUTPUTS = {"exercise", "check"}


def build_site(
    house: House, progress: Callable[[str, int, int], None] = lambda chapter, done, of: None
) -> Path:
    """Write build/site and return its first page. Chapters without fresh outputs are executed first.

    RuntimeError with sphinx's own words where a page has a warning: a broken link, a heading that skips a level.
    """
    chapters = build_chapters(house)
    missing = [one.name for one in chapters if executed(house, one) is None]
    for run in run_chapters(house, missing, frontend="static", progress=progress) if missing else ():
        if run.error:
            raise RuntimeError(run.error)
    source, site = house.build / "site-source", house.build / "site"
    stage(house, chapters, source)
    shutil.rmtree(site, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        str(source),
        str(site),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=source)
    if done.returncode:
        raise RuntimeError(f"the site has warnings:\n{done.stderr.strip()}")
    return site / "index.html"


def executed(house: House, chapter: Built) -> Any | None:
    """The chapter's last run for a page without a kernel; None if there is none, or the chapter has changed since."""
    import nbformat

    path = house.executed / f"{chapter.name}.ipynb"
    if not path.is_file():
        return None
    ran, now = nbformat.read(path, as_version=4), nbformat.reads(chapter.instructor, as_version=4)
    same = [(cell.id, cell.source) for cell in ran.cells] == [(cell.id, cell.source) for cell in now.cells]
    return ran if same and ran.metadata.get("frontend") == "static" else None


def _shown(outputs: list) -> list:
    """Outputs that mean something without a kernel: no progress bars."""
    return [one for one in outputs if "application/vnd.jupyter.widget-view+json" not in one.get("data", {})]


def stage(house: House, chapters: tuple[Built, ...], source: Path) -> None:
    """Everything that sphinx reads, in `source`: pages, chapters, the reference, and plotly.js."""
    import nbformat
    import plotly

    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(house.root / "docs", source)
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        renew(source / name.lower(), _without_local_links((house.root / name).read_text("utf-8")))
    pages = {chapter.name: page(house, chapter) for chapter in chapters}
    for name, notebook in pages.items():
        renew(source / "notebooks" / f"{name}.ipynb", nbformat.writes(notebook) + "\n")
    first, words = source / "index.md", source / "glossary.md"
    renew(first, front_page(first.read_text("utf-8"), house, pages))
    renew(words, linked(words.read_text("utf-8"), pages))
    for path, text in reference(house.root / "course_utils").items():
        renew(source / "api" / path, text)
    shutil.copy(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", source / "_static")


def front_page(text: str, house: House, pages: dict[str, Any]) -> str:
    """docs/index.md with what it asks for: the map of the course, Colab's address, a chapter's explorer.

    ValueError if the chapter shows none.
    """
    asked = re.search(r"\{\{explorer (\w+)\}\}", text)
    if asked:
        outputs = (one for cell in pages[asked[1]].cells for one in cell.get("outputs", []))
        shown = (one.get("data", {}).get("text/html", "") for one in outputs)
        explorer = next((html for html in shown if 'class="course-explorer"' in html), None)
        if explorer is None:
            raise ValueError(f"docs/index.md asks for the explorer of {asked[1]}, which shows none")
        text = text.replace(asked[0], f"```{{raw}} html\n{explorer}\n```")
    text = text.replace("{{colab}}", colab_url(house.repository(), next(iter(pages))))
    return text.replace("{{chapters}}", readme_map(read_masters(house.masters)))


def linked(text: str, names: Iterable[str]) -> str:
    """ "Chapters 02, 09." with a link on each number that has a chapter."""
    known = {name[:2]: f"[{name[:2]}](notebooks/{name}.ipynb)" for name in names}

    def numbers(found: re.Match) -> str:
        return re.sub(r"\d\d", lambda one: known.get(one[0], one[0]), found[0])

    return re.sub(r"Chapters?\s[\d,\s]+\.", numbers, text)


def page(house: House, chapter: Built) -> Any:
    """The chapter as its page shows it."""
    import nbformat

    notebook, ran = nbformat.reads(chapter.student, as_version=4), executed(house, chapter)
    if ran is None:
        raise ValueError(f"{chapter.name} has no run that fits it: `course run` it with --frontend static")
    outputs = {cell.id: _shown(cell.get("outputs", [])) for cell in ran.cells}
    repository = house.repository()
    for cell in notebook.cells:
        if cell.id == "course-badges":
            here = f"[Open in Colab]({colab_url(repository, chapter.name)})"
            there = f"[Open in Binder]({binder_url(repository, chapter.name)})"
            cell.source = f"{here} · {there}"
        elif cell.id == "course-setup":
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
        elif cell.cell_type == "code" and not _WITHOUT_OUTPUTS & set(cell.metadata.get("tags", [])):
            cell.outputs = outputs[cell.id]
    # The title is the page's first heading, the links to Colab and Binder stand below it.
    badges, header, *rest = notebook.cells
    notebook.cells = [header, badges, *rest]
    return notebook


def _without_local_links(text: str) -> str:
    """Links to files of the repository become their text: the site has other places."""
    return re.sub(r"\[([^\]]+)\]\((?!https?://|#)[^)]+\)", r"\1", text)
