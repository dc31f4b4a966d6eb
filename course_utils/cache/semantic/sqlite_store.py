"""A store that survives its process: memory for look-ups, SQLite for what must last.

WAL with synchronous=NORMAL: what `put` returned from survives the death of the process at any moment. A loss
of power can take the last few answers, never the file: a cache can live with that, and needs no fsync each time.
Whatever is wrong with the file, look-ups go on from memory: `trouble` says what happened, `failed_writes` how often.
Source: SQLite documentation, "Write-Ahead Logging" and "PRAGMA synchronous", read 2026-11.
"""

import contextlib
import json
import sqlite3
from pathlib import Path

import numpy as np

from course_utils.cache.semantic.store import Entry, MemoryStore, one_at_a_time

_VERSION = 1
_TABLE = """create table if not exists answers (
    id text primary key, scope text not null, question text not null, answer text not null, tags text not null,
    vector blob not null, created_s real not null, expires_s real not null, used integer not null) without rowid"""


class SqliteStore(MemoryStore):
    """A `MemoryStore` that writes every change to `path` before it returns. One process a file, any threads.

    patience_s: how long to wait for a file that somebody else has locked. A file that isn't a database of ours
    is moved aside, to `<name>.broken`, and a new one begun; one that is locked is left alone, and the cache
    starts empty. Neither raises.
    """

    def __init__(self, path: Path | str, max_bytes: int = 256 * 2**20, patience_s: float = 0.5):
        super().__init__(max_bytes)
        self.path, self.trouble, self.failed_writes = Path(path), "", 0
        self._turn = 0
        self._gone: list[str] = []  # dropped, but not yet in the file
        self._used: dict[str, int] = {}
        self._database: sqlite3.Connection | None = None
        try:
            self._open(patience_s)
        except (sqlite3.DatabaseError, ValueError) as problem:
            if isinstance(
                problem, sqlite3.OperationalError
            ):  # locked, no such folder, read-only: nothing is broken
                self._without(f"{self.path.name} can't be used ({problem}); answers are kept in memory only")
            else:
                self._start_anew(problem, patience_s)

    @one_at_a_time
    def put(self, entry: Entry) -> None:
        super().put(entry)
        self.used(entry)
        row = (
            *(entry.id, entry.scope, entry.question, entry.answer, json.dumps(sorted(entry.tags))),
            *(entry.vector.astype("<f4").tobytes(), entry.created_s, entry.expires_s, self._turn),
        )
        self._write(("insert or replace into answers values (?, ?, ?, ?, ?, ?, ?, ?, ?)", [row]))

    @one_at_a_time
    def used(self, entry: Entry) -> None:
        super().used(entry)
        self._turn += 1
        self._used[entry.id] = self._turn  # written with the next answer: a hit costs no write

    @one_at_a_time
    def forget(
        self, *, tag: str | None = None, scope: str | None = None, expired_s: float | None = None
    ) -> int:
        count = super().forget(tag=tag, scope=scope, expired_s=expired_s)
        self._write()
        return count

    @one_at_a_time
    def drop(self, name: str) -> Entry:
        self._gone.append(name)
        return super().drop(name)

    @one_at_a_time
    def close(self) -> None:
        """Write what is left, fold the log into the file, and let go of it."""
        if self._database is not None:
            self._write()
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("pragma wal_checkpoint(truncate)")
            self._database.close()
            self._database = None

    def _open(self, patience_s: float) -> None:
        database = sqlite3.connect(
            self.path, timeout=patience_s, isolation_level=None, check_same_thread=False
        )
        try:
            database.execute("pragma journal_mode=wal")
            database.execute("pragma synchronous=normal")
            (version,) = database.execute("pragma user_version").fetchone()
            if version not in (0, _VERSION):
                raise ValueError(f"it is of version {version}, this program reads version {_VERSION}")
            if database.execute("pragma quick_check(1)").fetchone() != ("ok",):
                raise ValueError("its pages contradict each other")
            database.execute("begin immediate")
            database.execute(_TABLE)
            database.execute(f"pragma user_version={_VERSION}")
            database.execute("commit")
            entries = [
                (_entry(row), row[-1])
                for row in database.execute("select * from answers order by used, created_s")
            ]
        except BaseException:
            database.close()
            raise
        for entry, turn in entries:
            super().put(entry)
            self._turn = max(self._turn, turn)
        self._database = database

    def _start_anew(self, problem: Exception, patience_s: float) -> None:
        aside = next(
            name
            for number in range(10_000)
            if not (name := self.path.with_name(f"{self.path.name}.broken{number or ''}")).exists()
        )
        try:
            self.path.rename(aside)
            for end in ("-wal", "-shm"):
                self.path.with_name(self.path.name + end).unlink(missing_ok=True)
            self._open(patience_s)
            self.trouble = (
                f"{self.path.name} was broken ({problem}); it is now {aside.name}, and a new one was begun"
            )
        except (OSError, sqlite3.Error) as worse:
            self._without(
                f"{self.path.name} is broken ({problem}) and stays ({worse}); answers are in memory only"
            )

    def _without(self, why: str) -> None:
        self.trouble, self._database = why, None

    def _write(self, *changes: tuple[str, list]) -> None:
        """What was dropped, then the changes, then what was used: all or none.

        A failure is counted and said, and the answer stays in memory. What was dropped is tried again with the
        next write: an answer that was forgotten must not come back with the next start.
        """
        if self._database is None:
            self.failed_writes += 1
            self._gone, self._used = [], {}
            return
        dropped = [(name,) for name in self._gone]
        used = [(turn, name) for name, turn in self._used.items()]
        try:
            self._database.execute("begin immediate")
            self._database.executemany("delete from answers where id = ?", dropped)
            for statement, rows in changes:
                self._database.executemany(statement, rows)
            self._database.executemany("update answers set used = ? where id = ?", used)
            self._database.execute("commit")
        except (sqlite3.Error, ValueError) as problem:  # ValueError: half an emoji can't be written as UTF-8
            self.failed_writes += 1
            self.trouble = f"{self.path.name}: {problem}; what changed last is in memory only"
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("rollback")
        else:
            self._gone, self._used = [], {}


def _entry(row: tuple) -> Entry:
    _, scope, question, answer, tags, vector, created_s, expires_s, _ = row
    array = np.frombuffer(vector, dtype="<f4").astype(np.float32)
    return Entry(scope, question, answer, array, frozenset(json.loads(tags)), created_s, expires_s)
