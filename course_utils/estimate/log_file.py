"""A reader's CSV as records with line numbers: what is wrong with the whole file, or with a line's shape.

pandas reads fast, but drops or bends lines of the wrong length, and forgets where a row stood. So the shape
of every line is checked first, on the raw bytes, and only sound lines go to pandas.
"""

import csv
import gzip
import io
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class LogFile:
    """A CSV file in memory. Records exclude the header; line numbers are the file's own, from 1.

    `starts`, `ends`: of each record, in bytes. `lines`: on which it begins. `fields`: how many it has.
    """

    name: str
    header: tuple[str, ...]
    raw: bytes
    starts: np.ndarray
    ends: np.ndarray
    lines: np.ndarray
    fields: np.ndarray

    @property
    def sound(self) -> np.ndarray:
        return self.fields == len(self.header)

    def shape(self, record: int) -> str:
        """What is wrong with a record that isn't sound."""
        fields, line = self.fields[record], self.lines[record]
        if fields < 0:
            return f"a quotation mark swallows lines {line} to {line - fields}"
        return f"{fields} fields where the header has {len(self.header)}" if fields else "empty line"

    def text(self, record: int) -> str:
        """The record as it stands in the file, shortened to 200 characters."""
        text = self.raw[self.starts[record] : self.ends[record]].decode("utf-8", "replace").strip("\r\n")
        return text if len(text) <= 200 else text[:197] + "..."

    def sound_text(self) -> io.BytesIO:
        """The sound records, one after the other, ready for pandas."""
        broken = np.flatnonzero(~self.sound)
        if not len(broken):
            stream = io.BytesIO(self.raw)  # shares the file's bytes, where a slice would copy them
            stream.seek(int(self.starts[0]) if len(self.starts) else len(self.raw))
            return stream
        gaps = np.ravel([self.starts[broken], self.ends[broken]], order="F")
        edges = np.concatenate([self.starts[:1], gaps, [len(self.raw)]])
        return io.BytesIO(b"".join(self.raw[a:b] for a, b in edges.reshape(-1, 2)))


def open_log(path: str | Path) -> LogFile:
    """Read a CSV file, gzipped or not, with or without a byte order mark.

    ValueError, with the file's name, where the whole file can't be a log: a folder, empty, a spreadsheet or
    another binary, UTF-16, separated by something else than commas, a quotation mark that never closes.
    FileNotFoundError where it isn't there.
    """
    path = Path(path)
    raw, header, end = csv_bytes(path)
    try:
        index = _index_quoted(raw, end) if b'"' in raw[end:] else _index_plain(raw, end)
    except UnicodeDecodeError:
        raise not_utf8(path.name, raw) from None
    file = LogFile(path.name, header, raw, *index)
    if len(file.lines) and not file.sound[-1] and raw[file.starts[-1] :].count(b'"') % 2:
        raise ValueError(f"{path.name}: a quotation mark that opens in line {file.lines[-1]} never closes")
    return file


def csv_bytes(path: Path) -> tuple[bytes, tuple[str, ...], int]:
    """A CSV file unpacked, its header's cells, and where the first line under them starts. Errors as `open_log`'s."""
    raw = _bytes_of(path).removeprefix(b"\xef\xbb\xbf")
    if not raw or raw.isspace():
        raise ValueError(f"{path.name} is empty: a header and a line for each row are needed")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw[:4096]:
        raise ValueError(f"{path.name} is not UTF-8 text (UTF-16? a spreadsheet?): save it as CSV in UTF-8")
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    if raw[-2:-1] in (b"\r", b"\n") or raw[-1:] != b"\n":
        raw = raw.rstrip(b"\r\n") + b"\n"
    end = raw.index(b"\n") + 1
    return raw, _header(path.name, raw[:end]), end


def _bytes_of(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"{path.name} is a folder: name the CSV file in it")
    if not path.exists():
        beside = sorted(one.name for one in path.parent.glob("*.csv*"))[:5]
        raise FileNotFoundError(
            f"{path.name} is not in {path.parent.resolve()}: put it there, or write its whole path"
            + f" (there are {', '.join(beside)})" * bool(beside)
        )
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error):
        raise ValueError(f"{path.name} is a damaged gzip file: export or download it again") from None


def not_utf8(name: str, raw: bytes) -> ValueError:
    """The error for a file that isn't UTF-8, with the line that says so."""
    for number, line in enumerate(raw.split(b"\n"), 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            byte = line[error.start]
            return ValueError(f"{name}, line {number}: byte {byte:#x} is not UTF-8; save the file as UTF-8")
    return ValueError(f"{name} is not UTF-8; save it as UTF-8")


def _header(name: str, line: bytes) -> tuple[str, ...]:
    try:
        text = line.decode().strip("\r\n")
    except UnicodeDecodeError:
        raise not_utf8(name, line) from None
    if "," not in text:
        other = {";": "semicolons", "\t": "tabs", "|": "bars"}
        found = next((word for mark, word in other.items() if mark in text), None)
        if found is None:
            raise ValueError(f"{name} is no CSV file: its first line has no commas: {text[:80]!r}")
        raise ValueError(
            f"{name}: columns are separated by {found}, not by commas: {text[:80]!r}; save it with commas"
        )
    return tuple(cell.strip() for cell in next(csv.reader([text])))


def _index_plain(raw: bytes, start: int):
    """Where each line starts and ends, its number, and its fields: one more than it has commas."""
    body = np.frombuffer(raw, dtype=np.uint8)[start:]
    ends = np.flatnonzero(body == ord("\n")) + 1
    if not len(ends):
        return (np.zeros(0, dtype=int),) * 4
    starts = np.concatenate([[0], ends[:-1]])
    commas = np.diff(np.searchsorted(np.flatnonzero(body == ord(",")), ends), prepend=0)
    empty = ends - starts <= 1 + (body[np.maximum(ends - 2, 0)] == ord("\r"))
    fields = np.where(empty, 0, commas + 1)
    return starts + start, ends + start, np.arange(2, len(ends) + 2), fields


def _index_quoted(raw: bytes, start: int):
    """The same where quotation marks may hide commas and line breaks: slower, by the csv module.

    A record that holds what looks like a whole other line is no record, but two stray marks and the requests
    between them: fields is then minus the lines that it swallows.
    """
    line_ends = np.flatnonzero(np.frombuffer(raw, dtype=np.uint8) == ord("\n")) + 1
    limit = csv.field_size_limit(sys.maxsize)
    try:
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(raw[start:]), encoding="utf-8", newline="\n"))
        fields, last_lines = [], []
        for cells in reader:
            fields.append(len(cells))
            last_lines.append(reader.line_num)
    finally:
        csv.field_size_limit(limit)
    last = np.array(last_lines, dtype=int) + 1  # the header is line 1
    first = np.concatenate([[2], last[:-1] + 1]) if len(last) else last
    starts, ends, fields = line_ends[first - 2], line_ends[last - 1], np.array(fields, dtype=int)
    for record in np.flatnonzero(last > first):
        lines = raw[starts[record] : ends[record]].split(b"\n")[1:-1]
        if any(line.count(b",") >= fields[record] - 1 for line in lines):
            fields[record] = first[record] - last[record]
    return starts, ends, first, fields
