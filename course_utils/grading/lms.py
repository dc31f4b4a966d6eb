"""Marks into the tables that Canvas and Moodle take: the file that they export, filled, to be uploaded again."""

import csv
from pathlib import Path

from course_utils.grading.results import read_marks
from course_utils.whole_files import whole

# Canvas: the student's own columns, of which `ID` is the number in the names of downloaded files.
_CANVAS = ("ID", "SIS Login ID", "SIS User ID", "Student")
# Moodle's grading worksheet: `Participant 815` is the number in the names of downloaded folders.
_MOODLE = ("Identifier", "ID number", "Email address", "Full name")


def fill_roster(roster: Path, marks: Path, out: Path, lab_id: str, column: str = "") -> list[str]:
    """Write `roster` with the lab's scores in it to `out`; what could not be matched comes back, in sentences.

    roster: the gradebook that Canvas exports, or Moodle's grading worksheet. column: Canvas's name of the
    assignment, `Lab 1 (1234)`. A student without a submission keeps the cell as it is. Raises ValueError where the
    table is neither, or a maximum differs.
    """
    with roster.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names, rows = list(reader.fieldnames or ()), list(reader)
    moodle = "Identifier" in names and "Grade" in names
    if not moodle and not {"Student", "ID"} <= set(names):
        raise ValueError(
            f"{roster} is neither Canvas's gradebook (Student, ID) nor Moodle's worksheet (Identifier, Grade)"
        )
    column = "Grade" if moodle else column
    if column not in names:
        choices = ", ".join(repr(name) for name in names if name.endswith(")")) or "none"
        raise ValueError(f"column={column!r} is not in {roster}; name the assignment's own, of: {choices}")
    scores = read_marks(marks, lab_id)
    maximum = max(float(row["max_score"]) for row in scores.values())
    said, used = [], set()
    for row in rows:
        if not moodle and row["Student"].strip().startswith("Points Possible"):
            if row[column] and float(row[column]) != maximum:
                raise ValueError(f"{column} has {row[column]} points in Canvas, and {maximum:g} here")
            continue
        if moodle and row.get("Maximum grade") and float(row["Maximum grade"]) != maximum:
            raise ValueError(f"the worksheet's maximum is {row['Maximum grade']}, and {maximum:g} here")
        student = next((one for one in ids_of(row, moodle) if one in scores), None)
        if student is None:
            said.append(f"no submission of {row.get('Full name') or row.get('Student')}")
            continue
        used.add(student)
        row[column] = f"{float(scores[student]['score']):.2f}"
    said += [f"{student} is not in {roster.name}" for student in sorted(scores.keys() - used)]
    with whole(out) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return said


def ids_of(row: dict[str, str], moodle: bool) -> list[str]:
    """What a submission of this student may be called, likeliest first."""
    found = [(row.get(name) or "").strip() for name in (_MOODLE if moodle else _CANVAS)]
    return [one for one in (found[0].removeprefix("Participant ").strip(), *found) if one]
