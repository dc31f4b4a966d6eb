"""The body of the page of commands: each command's own help, in the order in which `course --help` lists them."""

import inspect

import typer
from typer.main import get_command

from course_utils import cli


def page() -> str:
    """Markdown: a section for each kind of caller, a heading for each command."""
    group = get_command(cli.app)
    parts = []
    with group.make_context("course", [], resilient_parsing=True) as course:
        for callers in (cli.practitioner, cli.author, cli.instructor):
            parts.append(f"## {inspect.getdoc(callers).removeprefix('Commands ').split(':')[0].capitalize()}")
            for name in (typer.main.get_command_name(one.__name__) for one in callers.COMMANDS):
                command = group.commands[name]
                with command.make_context(name, [], parent=course, resilient_parsing=True) as context:
                    parts.append(f"### course {name}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(parts)
