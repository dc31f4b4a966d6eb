"""Marks as they come: every result is in SQLite before the next is looked at, and in the CSV beside it.

Whatever ends a run, the next one finds what is done. A submission is marked again only if it, the lab or the
seed has changed.
"""

import csv
import hashlib
import io
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from course_utils.grading.grader import Grader
from course_utils.grading.marks import WRITTEN, Graded, QuestionMark
from course_utils.whole_files import whole

# As in nbgrader's own export, so that either file can be read by what comes after.
_COLUMNS = (
    "assignment",
    "student_id",
    "timestamp",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
    "to_be_marked",
)


class Results:
    """The results of one lab, in `grades.csv` and `grades.sqlite` beside it.

    Raises ValueError where another run is writing them.
    """

    def __init__(self, path: Path, grader: Grader):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._lab_id = path, grader.lab_id
        self._ids = grader.lab.ids
        self._grading = grading_of(grader)
        self._database = sqlite3.connect(path.with_suffix(".sqlite"), timeout=1)
        try:
            # One writer: two runs at once would mark everything twice.
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS graded (lab TEXT, student TEXT, digest TEXT, grading TEXT, "
                "result TEXT, PRIMARY KEY (lab, student))"
            )
            self._database.execute("DELETE FROM graded WHERE lab = '' AND student = ''")  # takes the lock
            self._database.commit()
        except sqlite3.OperationalError as error:
            self._database.close()
            raise ValueError(
                f"{path.with_suffix('.sqlite')}: another run of `course grade` has it open ({error})"
            ) from None
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ValueError(f"{path.with_suffix('.sqlite')} is not a file of marks ({error})") from None
        self.write_csv()

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *_) -> None:
        self.write_csv()
        self._database.close()

    def has(self, student: str, digest: str) -> bool:
        """True if just this submission has been marked, by this lab and this seed."""
        found = self._database.execute(
            "SELECT 1 FROM graded WHERE lab = ? AND student = ? AND digest = ? AND grading = ?",
            (self._lab_id, student, digest, self._grading),
        )
        return found.fetchone() is not None

    def add(self, graded: Graded) -> None:
        with self._database:
            self._database.execute(
                "REPLACE INTO graded VALUES (?, ?, ?, ?, ?)",
                (graded.lab_id, graded.student, graded.digest, self._grading, as_json(graded)),
            )
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(self.row(graded))

    def __iter__(self) -> Iterator[Graded]:
        """All results of the lab by student, one in memory at a time."""
        found = self._database.execute(
            "SELECT student FROM graded WHERE lab = ? ORDER BY student", (self._lab_id,)
        ).fetchall()
        for (student,) in found:
            (text,) = self._database.execute(
                "SELECT result FROM graded WHERE lab = ? AND student = ?", (self._lab_id, student)
            ).fetchone()
            yield from_json(text)

    def write_csv(self) -> None:
        """The whole table, in one step: by student, each once."""
        with whole(self.path) as part, part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*_COLUMNS, *self._ids, "notes"])
            writer.writerows(map(self.row, self))

    def row(self, graded: Graded) -> list[str]:
        points = {mark.question_id: mark.points for mark in graded.marks}
        waiting = [mark.question_id for mark in graded.marks if mark.state == WRITTEN]
        cells = (
            graded.lab_id,
            graded.student,
            graded.submitted_at.isoformat() if graded.submitted_at else "",
            f"{graded.raw:g}",
            f"{graded.late_penalty:g}",
            f"{graded.score:g}",
            f"{graded.of:g}",
            " ".join(waiting),
            *(f"{points.get(one, 0.0):g}" for one in self._ids),
            "; ".join(graded.notes),
        )
        return [harmless(cell) for cell in cells]


def harmless(cell: str) -> str:
    """A cell on one line that no spreadsheet takes for a formula, and no terminal for a command."""
    line = printable(" ".join(cell.split()))
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def printable(text: str) -> str:
    """Without the control characters by which text moves a terminal's cursor."""
    return "".join(one if one.isprintable() else "?" for one in text)


def grading_of(grader: Grader) -> str:
    """What the marks depend on beside the submission, as one text; the seed can't be read from it."""
    lab = grader.lab
    parts = (lab.fingerprint, repr((lab.due, lab.late, lab.capstone_seed, lab.capstone_seeds, grader.walls)))
    return hashlib.scrypt("\0".join(parts).encode(), salt=grader.seed.encode(), n=2**12, r=8, p=1).hex()


def as_json(graded: Graded) -> str:
    return json.dumps(asdict(graded), default=lambda value: value.isoformat())


def from_json(text: str) -> Graded:
    found = json.loads(text)
    found["marks"] = tuple(QuestionMark(**mark) for mark in found["marks"])
    found["notes"] = tuple(found["notes"])
    if found["submitted_at"]:
        found["submitted_at"] = datetime.fromisoformat(found["submitted_at"])
    return Graded(**found)


def read_marks(path: Path, lab_id: str) -> dict[str, dict[str, str]]:
    """A lab's marks by student, from our table or the one that `nbgrader export` writes. ValueError for neither."""
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    if not rows or not {"assignment", "student_id", "score", "max_score"} <= rows[0].keys():
        raise ValueError(f"{path} has no rows with assignment, student_id, score and max_score")
    found = {row["student_id"].removeprefix("'"): row for row in rows if row["assignment"] == lab_id}
    if not found:
        raise ValueError(f"{path} has no marks for {lab_id}")
    return found
