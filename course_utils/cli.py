"""`course …`: what the chapters do, from a shell. Commands import what they need when they run."""

import sys
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


@app.callback()
def course() -> None:
    """Unit 5.4, Cost Optimization & Scaling: build, run and check the course."""


@app.command()
def notebooks(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if one is out of date.")
    ] = False,
) -> None:
    """Build the notebooks from their masters in notebooks/src/."""
    from course_utils.authoring.build import stale_notebooks, write_notebooks
    from course_utils.authoring.house import find_house

    house = find_house()
    if check:
        stale = stale_notebooks(house)
        for path in stale:
            print(
                f"{path.relative_to(house.root)} differs from its master: run `course notebooks`",
                file=sys.stderr,
            )
        raise typer.Exit(1 if stale else 0)
    for path in write_notebooks(house):
        print(path.relative_to(house.root))


def main() -> None:
    """The entry point of `course`: a mistake of the caller's is one sentence, not a traceback."""
    try:
        app()
    except (ValueError, FileNotFoundError) as error:
        print(f"course: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
