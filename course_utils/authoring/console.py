"""Where `course` prints its tables. Apart from them, since `course doctor` runs where little else can be imported."""

from rich.console import Console


def console() -> Console:
    """Wide enough for a table where the output is a file or a log."""
    found = Console()
    return found if found.is_terminal else Console(width=120)
