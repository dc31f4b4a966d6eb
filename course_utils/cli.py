"""`course …`: what the chapters do, from a shell. Commands import what they need when they run."""

import json
import sys
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


@app.callback()
def course() -> None:
    """Unit 5.4, Cost Optimization & Scaling: build, run and check the course."""


@app.command()
def notebooks(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if one differs from its master.")
    ] = False,
) -> None:
    """Build the notebooks from their masters in notebooks/src/, and read the masters over.

    The student's go to notebooks/, the instructor's to build/instructor/.
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


@app.command()
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
    """Execute chapters and print seconds and peak memory beside their budgets.

    Memory over budget fails, and so do seconds over three times the budget; between one and three times it
    warns. The executed notebooks stay in build/executed/.
    """
    from course_utils.authoring.house import find_house
    from course_utils.authoring.run import run_chapters
    from course_utils.authoring.tables import chapter_progress, run_table

    with chapter_progress() as progress:
        runs = list(
            run_chapters(find_house(), chapters or (), student=student, frontend=frontend, progress=progress)
        )
    if as_json:
        print(json.dumps([one.as_dict() for one in runs], indent=1))
    else:
        run_table(runs)
    for one in runs:
        if one.error:
            print(one.error, file=sys.stderr)
    raise typer.Exit(1 if any(one.failed for one in runs) else 0)


@app.command()
def predict(
    rows: Annotated[
        str, typer.Argument(help="CSV: model, gpu, gpus, tp, precision, isl, osl, engine, load.")
    ],
    out: Annotated[
        str | None, typer.Option("-o", "--out", help="CSV to write, with the predictions.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict throughput, TTFT, TPOT and price of deployments, each with its 80 % interval.

    `load` is max, batch=N, concurrency=N or rate=R. A row that can't be served says why in `error`.
    """
    from course_utils.estimate.predict_file import predict_file

    raise typer.Exit(predict_file(rows, out, as_json))


@app.command()
def record(
    name: Annotated[str | None, typer.Argument(help="Which; all are listed if none is given.")] = None,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn at random.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget an interrupted run.")] = False,
) -> None:
    """Measure a recording again on this machine and write data/recorded/NAME.json.

    Chapters replay recordings where a machine can't, or a reader won't, measure that long. Interrupted, the
    same command goes on where it stopped.
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


@app.command()
def repo(
    slug: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on GitHub.")],
    branch: Annotated[
        str | None, typer.Option(help="The branch that people open; as it is if left out.")
    ] = None,
) -> None:
    """Move the course to another repository: the setting, every badge, every link."""
    from course_utils.authoring.house import find_house
    from course_utils.authoring.repository import move_to

    house = find_house()
    for path in move_to(house, slug, branch):
        print(path.relative_to(house.root))


@app.command()
def audit(as_json: Json = False) -> None:
    """Look over the data: what is stale, repeated, out of range, without a source. Stale rows don't fail."""
    from dataclasses import asdict

    from course_utils.catalog.provenance import audit as findings_of

    findings = findings_of()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1, default=str))
    else:
        from course_utils.authoring.tables import audit_table

        audit_table(findings)
    raise typer.Exit(1 if any(finding.is_error for finding in findings) else 0)


@app.command()
def scoreboard(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if one is out of date.")
    ] = False,
) -> None:
    """Predicted beside measured beside published: write docs/scoreboard.md and the README's table."""
    from course_utils.authoring.house import find_house
    from course_utils.authoring.scoreboard import stale, write

    house = find_house()
    old = list(stale(house)) if check else []
    for path in old:
        print(f"{path.relative_to(house.root)} is out of date: run `course scoreboard`", file=sys.stderr)
    for path in [] if check else write(house):
        print(path.relative_to(house.root))
    raise typer.Exit(1 if old else 0)


@app.command()
def machine(as_json: Json = False) -> None:
    """What this machine is: tier, processor, memory, GPU."""
    from dataclasses import asdict

    from course_utils.measure.machine import describe

    found = describe()
    print(json.dumps(asdict(found), indent=1, default=str) if as_json else found)


def main() -> None:
    """The entry point of `course`: a mistake of the caller's is one sentence, not a traceback."""
    try:
        app()
    except (ValueError, FileNotFoundError) as error:
        print(f"course: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        print(f"course: {error}; `make lab` installs what authors need", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
