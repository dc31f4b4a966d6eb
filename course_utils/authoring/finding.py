"""What `course doctor` says about one thing, and the table of all that it says."""

from collections.abc import Iterable
from dataclasses import dataclass

OK, GAP, PROBLEM = "ok", "gap", "problem"


@dataclass(frozen=True)
class Finding:
    """One row: what was looked at, `ok`, `gap` or `problem`, what was found, and what to do (empty where ok)."""

    check: str
    state: str
    found: str
    advice: str = ""


def print_findings(findings: Iterable[Finding]) -> None:
    """A table: problems first, then gaps, then what is well."""
    from rich.markup import escape
    from rich.table import Table

    from course_utils.authoring.console import console

    colours = {OK: "green", GAP: "yellow", PROBLEM: "bold red"}
    table = Table("", "looked at", "found", "what to do")
    for one in sorted(findings, key=lambda one: (PROBLEM, GAP, OK).index(one.state)):
        table.add_row(
            f"[{colours[one.state]}]{one.state}[/]", one.check, escape(one.found), escape(one.advice)
        )
    console().print(table)
    problems = sum(one.state == PROBLEM for one in findings)
    console().print(f"{problems} problem{'s' * (problems != 1)}; gaps stop only what their row names.")
