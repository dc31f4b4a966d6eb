"""The scoreboard: what the course predicts, measured and read, side by side, in docs/scoreboard.md and the README.

`make scoreboard` writes both from `claims`; nobody edits them by hand, and a test holds them to it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from course_utils.authoring.claims import Claim, claims
from course_utils.authoring.house import House, renew, replaced_block

BEGIN, END = "<!-- scoreboard: `make scoreboard` writes this -->", "<!-- end of scoreboard -->"
PAGE = """# Scoreboard

What the course predicts, what was measured, what others published: the same figure from each side. The last column
but one is the first figure over the next. Far from 1 is a finding, too: what is published of 7 billion weights says
little about 135 million.

{table}

`make scoreboard` writes this page from the formulas, the recordings and the rows with sources; `claims.py` in
`course_utils/authoring` says how.
"""


def table(found: Sequence[Claim], sources: bool = True) -> str:
    """The claims as a Markdown table; without `sources` the short one of the README."""
    head = ["", "Claim", "Predicted", "Measured", "Published", "Unit", "Ratio"] + ["From"] * sources
    lines = [_row(head), _row(["---"] * 2 + ["--:"] * 3 + ["---", "--:"] + ["---"] * sources)]
    for one in found:
        figures = (_figure(value) for value in (one.predicted, one.measured, one.published))
        cells = [f"{one.chapter:02}", one.what, *figures, one.unit, f"{one.ratio:.2f}"]
        lines.append(_row(cells + [one.of] * sources))
    return "\n".join(lines)


def pages(house: House) -> dict[Path, str]:
    """What the two files should hold. ValueError where the README has lost the marks that the table stands between."""
    found = claims()
    readme = house.root / "README.md"
    text = readme.read_text("utf-8")
    return {
        house.root / "docs" / "scoreboard.md": PAGE.format(table=table(found)),
        readme: replaced_block(text, BEGIN, END, table(found, sources=False), "README.md"),
    }


def stale(house: House) -> Iterator[Path]:
    """Files that differ from what `write` would write."""
    for path, text in pages(house).items():
        if not path.is_file() or path.read_text("utf-8") != text:
            yield path


def write(house: House) -> list[Path]:
    """Write both files, each whole, and return those that changed."""
    return [path for path, text in pages(house).items() if renew(path, text)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"
