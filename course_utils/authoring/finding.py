"""What `course doctor` says about one thing."""

from dataclasses import dataclass

OK, GAP, PROBLEM = "ok", "gap", "problem"


@dataclass(frozen=True)
class Finding:
    """One row: what was looked at, `ok`, `gap` or `problem`, what was found, and what to do (empty where ok)."""

    check: str
    state: str
    found: str
    advice: str = ""
