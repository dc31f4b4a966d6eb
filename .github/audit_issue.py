"""The text of the issue "Facts to look up again", from what `course audit --json` found. Empty where nothing was.

    python .github/audit_issue.py findings.json before.md > after.md

`before.md` is the text that the issue has. It is printed again, byte for byte, where only the ages of rows have
grown: an issue that changes every week is an issue that nobody reads.
"""

import json
import sys
from itertools import groupby
from operator import itemgetter
from pathlib import Path

HEAD = """`course audit` found these in `data/`. Look a figure up again, change it with its `source` and `as_of`, and
run `course audit`. A price that still holds gets a new `as_of`.
"""


def text_of(findings: list[dict]) -> str:
    """Errors first, each with its reason; then stale rows, a line per file."""
    if not findings:
        return ""
    parts = [HEAD]
    errors = [one for one in findings if one["kind"] != "stale"]
    stale = sorted((one for one in findings if one["kind"] == "stale"), key=itemgetter("file", "line"))
    if errors:
        parts += [
            "## Wrong\n",
            *(f"- {one['file']}, line {one['line']}: {one['message']}" for one in errors),
            "",
        ]
    if stale:
        parts.append("## Older than 180 days\n")
        for file, rows in groupby(stale, key=itemgetter("file")):
            parts.append(f"- [ ] {file}: lines {', '.join(str(one['line']) for one in rows)}")
        parts.append("")
    return "\n".join(parts)


def unticked(text: str) -> str:
    """For comparing: boxes that people ticked don't count, nor do the line ends and spaces of a web form."""
    return "\n".join(line.rstrip().replace("- [x]", "- [ ]") for line in text.strip().splitlines())


if __name__ == "__main__":
    findings, before = (Path(name).read_text("utf-8") for name in sys.argv[1:])
    after = text_of(json.loads(findings))
    sys.stdout.write(before if unticked(before) == unticked(after) else after)
