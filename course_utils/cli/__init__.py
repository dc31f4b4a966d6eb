"""`course …`: what the chapters do, from a shell. Commands import what they need when they run."""

import sys

import typer

from course_utils.cli import author, instructor, practitioner

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


@app.callback()
def course() -> None:
    """Unit 5.4, Cost Optimization & Scaling: what it costs to serve a model, and the course about it."""


for command in (*practitioner.COMMANDS, *author.COMMANDS, *instructor.COMMANDS):
    app.command()(command)


def main() -> None:
    """The entry point of `course`: a mistake of the caller's is one sentence, not a traceback."""
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"course: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        print(f"course: {error}; `make lab` installs what authors need", file=sys.stderr)
        raise SystemExit(1) from None
