"""Commands for who writes the course: chapters, recordings, facts, links, pages."""

import json
import sys
from typing import Annotated

import typer

from course_utils.cli.options import Json


def notebooks(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if one differs from its master.")
    ] = False,
) -> None:
    """Build the notebooks from their masters, and lint the masters.

    Masters are in notebooks/src/. The student's go to notebooks/, the instructor's to build/instructor/.
    """
    from course_utils.authoring.build import stale_notebooks, write_notebooks
    from course_utils.authoring.house import find_house
    from course_utils.authoring.lint import lint
    from course_utils.authoring.masters import read_masters

    house = find_house()
    stale = stale_notebooks(house) if check else []
    for path in stale:
        message = "differs from its master: run `course notebooks`"
        print(f"{path.relative_to(house.root)} {message}", file=sys.stderr)
    for path in [] if check else write_notebooks(house):
        print(path.relative_to(house.root))
    problems = [problem for master in read_masters(house.masters) for problem in lint(master)]
    for problem in problems:
        print(problem, file=sys.stderr)
    raise typer.Exit(1 if stale or any(problem.error for problem in problems) else 0)


def run(
    chapters: Annotated[
        list[str] | None, typer.Argument(help="Numbers (`0 1`) or names; all if none is given.")
    ] = None,
    student: Annotated[
        bool, typer.Option("--student", help="Run the blank notebooks, as students get them.")
    ] = False,
    frontend: Annotated[
        str | None, typer.Option(help="COURSE_FRONTEND for the kernel: lab, colab or static.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Execute chapters; seconds and memory beside their budgets.

    Memory over budget fails, and so do seconds over three times the budget; between one and three times it
    warns. The executed notebooks stay in build/executed/.
    """
    from course_utils.authoring.house import find_house
    from course_utils.authoring.run import run_chapters
    from course_utils.authoring.tables import chapter_progress, run_table

    runs, code = [], 0
    with chapter_progress() as progress:
        try:
            for one in run_chapters(
                find_house(), chapters or (), student=student, frontend=frontend, progress=progress
            ):
                runs.append(one)
        except KeyboardInterrupt:  # what has run so far is told all the same
            code = 130
    if as_json:
        print(json.dumps([one.as_dict() for one in runs], indent=1))
    elif runs:
        run_table(runs)
    for one in runs:
        if one.error:
            print(one.error, file=sys.stderr)
    raise typer.Exit(code or (1 if any(one.failed for one in runs) else 0))


def record(
    name: Annotated[str | None, typer.Argument(help="Which; all are listed if none is given.")] = None,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn at random.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget an interrupted run.")] = False,
) -> None:
    """Measure again what chapters replay.

    Writes data/recorded/NAME.json. Chapters replay recordings where a machine can't, or a reader won't, measure
    that long. Interrupted, the same command goes on where it stopped.
    """
    from course_utils.authoring.house import find_house
    from course_utils.authoring.recordings import run_recording
    from course_utils.authoring.tables import recordings_table

    folder = find_house().root / "data" / "recorded"
    if name is None:
        recordings_table({path.stem for path in folder.glob("*.json")})
        return
    made = run_recording(name, folder, seed, fresh)
    print(f"{len(made.rows)} rows in {(folder / name).relative_to(folder.parents[1])}.json, {made.label}")


def audit(as_json: Json = False) -> None:
    """Look over the data: what is stale, doubled, malformed.

    Also what is out of range or has no source. Exit code 1: an error; stale rows don't fail.
    """
    from dataclasses import asdict

    from course_utils.catalog.provenance import audit as findings_of

    findings = findings_of()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1, default=str))
    else:
        from course_utils.authoring.tables import audit_table

        audit_table(findings)
    raise typer.Exit(1 if any(finding.is_error for finding in findings) else 0)


def repo(
    slug: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on GitHub.")],
    branch: Annotated[
        str | None, typer.Option(help="The branch that people open; as it is if left out.")
    ] = None,
) -> None:
    """Move every badge and link to another repository."""
    from course_utils.authoring.house import find_house
    from course_utils.authoring.repository import move_to

    house = find_house()
    for path in move_to(house, slug, branch):
        print(path.relative_to(house.root))


def site() -> None:
    """Build the web site in build/site. Chapters without fresh outputs are executed first."""
    from course_utils.authoring.house import find_house
    from course_utils.authoring.site import build_site
    from course_utils.authoring.tables import chapter_progress

    try:
        with chapter_progress() as progress:
            first = build_site(find_house(), progress)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{first}: open it in a browser, or put the folder on any web host")


def scoreboard(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if one is out of date.")
    ] = False,
) -> None:
    """Write the table of predicted, measured and published.

    docs/scoreboard.md, and the README's part of it.
    """
    from course_utils.authoring.house import find_house
    from course_utils.authoring.scoreboard import stale, write

    house = find_house()
    old = list(stale(house)) if check else []
    for path in old:
        print(f"{path.relative_to(house.root)} is out of date: run `course scoreboard`", file=sys.stderr)
    for path in [] if check else write(house):
        print(path.relative_to(house.root))
    raise typer.Exit(1 if old else 0)


COMMANDS = (notebooks, run, record, audit, repo, site, scoreboard)
