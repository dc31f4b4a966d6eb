"""What a class handed in, as bytes: from folders, from a download of Canvas or Moodle, from zip files.

Nothing is unpacked onto the disk, no link is followed, and nothing larger than agreed is read. A student's
files are read when the turn comes, so that a class takes no more memory than one of its students.
"""

import csv
import hashlib
import io
import os
import re
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

LARGEST_FILE_BYTES = 10 * 2**20
LARGEST_SUBMISSION_BYTES = 30 * 2**20
MOST_FILES = 100  # of one student
_WANTED = (".ipynb", ".csv", ".zip", "timestamp.txt")

# Names that the two systems give: Canvas puts a student's number into the file's name, Moodle into the folder's.
_CANVAS = re.compile(r"^[^_]+(?:_LATE)?_(\d+)_\d+_")
_MOODLE = re.compile(r"^.+_(\d+)_assignsubmission_")
_STUDENT = re.compile(r"\w[\w .,@'()+-]{0,99}")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[ T]\S+)(?: (\S+))?")


@dataclass(frozen=True)
class Place:
    """Where one student's files are: names below `root`, a folder or a zip file. submitted_at: if known besides."""

    student: str
    root: Path
    names: tuple[str, ...]
    submitted_at: datetime | None = None


@dataclass
class Submission:
    """One student's files by name, when they were handed in if nbgrader wrote it down, and what is wrong."""

    student: str
    files: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    submitted_at: datetime | None = None

    def add(self, name: str, data: bytes, problem: str) -> None:
        if not problem and len(self.files) >= MOST_FILES:
            problem = "one file too many, not read"
        if not problem and sum(map(len, self.files.values())) + len(data) > LARGEST_SUBMISSION_BYTES:
            problem = "too much in all, not read"
        if problem:
            self.problems.append(f"{shown_name(name)}: {problem}")
        elif PurePosixPath(name).name == "timestamp.txt":
            self.submitted_at = self.submitted_at or moment(data[:100].decode("utf-8", "replace").strip())
        else:
            self.files[name] = data


def find_submissions(where: Path, lab_id: str = "") -> tuple[Place, ...]:
    """One place per student, sorted. A student is the first folder in `where`, or a file of its own there.

    `ada/lab.ipynb`, `ada.ipynb`, `ada.zip`, nbgrader's `ada/ch01/lab.ipynb`, and what Canvas and Moodle name
    theirs. nbgrader's folders of other labs are left out. Raises FileNotFoundError, and ValueError for a file that is
    no zip.
    """
    if not where.exists():
        raise FileNotFoundError(f"no submissions in {where}: it does not exist")
    if where.suffix == ".ipynb" and where.is_file():
        return (Place(student_of((where.name,)), where.parent, (where.name,)),)
    if where.is_file():
        if not zipfile.is_zipfile(where):
            raise ValueError(
                f"submissions={str(where)!r}: neither a folder, a notebook nor a zip file that can be read; "
                "download it again, or unpack it and name the folder"
            )
        with zipfile.ZipFile(where) as archive:
            names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    else:
        names = list(names_below(where))
    found: dict[str, list[str]] = {}
    for name in names:
        parts = parts_of(name)
        other_lab = lab_id and len(parts) > 2 and re.fullmatch(r"ch\d\d", parts[1]) and parts[1] != lab_id
        if name.endswith(_WANTED) and parts and not other_lab and "__MACOSX" not in parts:
            found.setdefault(student_of(parts), []).append(name)
    return tuple(Place(student, where, tuple(sorted(found[student]))) for student in sorted(found))


def with_times(places: Sequence[Place], path: Path) -> tuple[Place, ...]:
    """The places with when each was handed in, from a CSV with student_id and submitted_at (ISO; UTC if no zone).

    nbgrader keeps these times itself. Raises ValueError that names the line that can't be read.
    """
    times: dict[str, datetime] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            stamp = moment((row.get("submitted_at") or "").strip())
            if stamp is None or not row.get("student_id"):
                raise ValueError(
                    f"{path}: {row} needs student_id and submitted_at, such as 2026-12-14T22:10:00Z"
                )
            times[row["student_id"]] = stamp
    return tuple(replace(place, submitted_at=times.get(place.student)) for place in places)


def read_submission(place: Place) -> Submission:
    """One student's files. What can't be read is a problem of the submission's, never an error."""
    submission = Submission(place.student, submitted_at=place.submitted_at)
    entries = zip_entries(place.root, place.names) if place.root.is_file() else disk_entries(place)
    for name, data, problem in entries:
        parts = parts_of(name)
        inside = "/".join(parts[1:] or parts)
        if name.endswith(".zip") and not problem:
            for inner, inner_data, inner_problem in zip_entries(io.BytesIO(data)):
                submission.add(f"{inside}/{inner}", inner_data, inner_problem)
        else:
            submission.add(inside, data, problem)
    return submission


def names_below(folder: Path) -> Iterator[str]:
    """Files below a folder, hidden ones left out; a folder that is a link counts as a file."""
    for path, folders, files in os.walk(folder):
        inside = Path(path).relative_to(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if os.path.islink(os.path.join(path, name))]
        yield from ((inside / name / "link.ipynb").as_posix() for name in links)
        yield from ((inside / name).as_posix() for name in sorted(files) if not name.startswith("."))


def disk_entries(place: Place) -> Iterator[tuple[str, bytes, str]]:
    for name in place.names:
        folders = [place.root / parent for parent in PurePosixPath(name).parents][:-1]
        if any(folder.is_symlink() for folder in folders):
            yield name, b"", "in a folder that is a link, not followed"
        else:
            yield name, *read_regular(place.root / name)


def read_regular(path: Path) -> tuple[bytes, str]:
    """(bytes, problem) of a regular file; a link, a pipe, a device or a huge file is a problem."""
    if path.is_symlink():
        return b"", "a link, not followed"
    try:
        # A pipe would make the grader wait: opened without waiting, then looked at, then read.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        return b"", f"can't be opened ({error.strerror})"
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            return b"", "not a plain file"
        if facts.st_size > LARGEST_FILE_BYTES:
            return b"", too_large(facts.st_size)
        return file.read(LARGEST_FILE_BYTES), ""


def zip_entries(where: Path | io.BytesIO, names: tuple[str, ...] = ()) -> Iterator[tuple[str, bytes, str]]:
    """(name, bytes, problem) of a zip file's entries: of `names`, else of all that matter."""
    try:
        archive = zipfile.ZipFile(where)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        yield "archive.zip", b"", f"not a zip file ({error})"
        return
    with archive:
        for entry in archive.infolist():
            name = entry.filename
            wanted = name in names if names else name.endswith(_WANTED) and "__MACOSX" not in name
            if entry.is_dir() or not wanted:
                continue
            if name.startswith(("/", "\\")) or ".." in parts_of(name) or ":" in name.partition("/")[0]:
                yield "archive.zip", b"", f"its entry {shown_name(name)} leads out of the archive, not read"
            elif stat.S_ISLNK(entry.external_attr >> 16):
                yield name, b"", "a link, not followed"
            else:
                yield name, *read_entry(archive, entry)


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[bytes, str]:
    if entry.file_size > LARGEST_FILE_BYTES:
        return b"", too_large(entry.file_size)
    try:
        with archive.open(entry) as file:
            data = file.read(LARGEST_FILE_BYTES + 1)  # it may be larger than it says
    except Exception as error:  # encrypted, damaged, packed in an unknown way
        return b"", f"can't be unpacked ({type(error).__name__})"
    return (b"", too_large(len(data))) if len(data) > LARGEST_FILE_BYTES else (data, "")


def parts_of(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).parts


def student_of(parts: tuple[str, ...]) -> str:
    first = parts[0]
    for pattern in (_CANVAS, _MOODLE):
        if matched := pattern.match(first):
            return matched[1]
    name = PurePosixPath(first).stem if len(parts) == 1 else first
    if _STUDENT.fullmatch(name):
        return name
    # With a part of its digest: two such names must not become one student.
    digest = hashlib.sha256(first.encode("utf-8", "surrogateescape")).hexdigest()
    return f"unreadable name {re.sub(r'[^a-zA-Z0-9.-]+', '_', name)[:60]} {digest[:8]}"


def moment(text: str) -> datetime | None:
    """nbgrader's `2026-12-01 15:58:23.948203 UTC`, or ISO; without a zone it is UTC. None if it is neither."""
    found = _MOMENT.fullmatch(text)
    try:
        stamp = datetime.fromisoformat(found[1]) if found else None
        if stamp is not None and stamp.tzinfo is None:
            stamp = stamp.replace(tzinfo=ZoneInfo(found[2] or "UTC"))
    except (ValueError, KeyError, OSError):
        return None
    return stamp.astimezone(UTC) if stamp else None


def too_large(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB, more than the {LARGEST_FILE_BYTES / 2**20:.0f} that are read"


def shown_name(name: str) -> str:
    return ascii(name[-80:])[1:-1]
