"""Where answers wait: what any store must do, and one in memory with a limit in bytes."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from threading import RLock
from typing import Protocol

import numpy as np

from course_utils.cache.semantic.index import ExactIndex
from course_utils.cache.semantic.wording import plain_words


class StoreUnavailable(Exception):
    """The store can't answer now: gone, locked, full. The cache counts it and asks the model instead."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One answer. Times are seconds on the cache's clock; `vector` is the question's, of length 1."""

    scope: str
    question: str
    answer: str
    vector: np.ndarray = field(repr=False)
    tags: frozenset[str]
    created_s: float
    expires_s: float

    @property
    def id(self) -> str:
        """The same for questions with the same plain words in one scope: the newer answer replaces the older."""
        words = "\x1f".join((self.scope, *plain_words(self.question)))
        return hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()[:32]

    @property
    def bytes_held(self) -> int:
        """Bytes of text and vector: what counts towards a store's limit."""
        texts = (self.question, self.answer, *self.tags)
        return sum(len(text.encode("utf-8", "replace")) for text in texts) + self.vector.nbytes


class Store(Protocol):
    """What a cache needs. A shared store (Redis, a vector database) implements these four.

    Any of them may raise `StoreUnavailable`. An entry past `expires_s` must not come back, a hit must not
    move that time, and no entry may come back for another scope.
    """

    def nearest(self, scope: str, vector: np.ndarray, k: int, now_s: float) -> Sequence[tuple[Entry, float]]:
        """Up to k living entries of the scope with their cosine, nearest first."""

    def put(self, entry: Entry) -> None:
        """Keep an entry, replacing one of the same id; make room by dropping what was used longest ago."""

    def used(self, entry: Entry) -> None:
        """An answer was served: it is now the one used last."""

    def forget(
        self, *, tag: str | None = None, scope: str | None = None, expired_s: float | None = None
    ) -> int:
        """Drop what carries the tag, belongs to the scope, or expired by then; return how many were dropped."""


def one_at_a_time(method: Callable) -> Callable:
    """A store's method that runs alone: other threads wait until it is done."""

    @wraps(method)
    def alone(self, *args, **kwargs):
        with self.lock:
            return method(self, *args, **kwargs)

    return alone


class MemoryStore:
    """A store in this process. max_bytes: text and vectors together; one index for each scope.

    Threads may share it: what it does, it does for one at a time.
    """

    def __init__(self, max_bytes: int = 256 * 2**20):
        if not max_bytes > 0:
            raise ValueError(f"max_bytes={max_bytes!r}: more than 0 is needed")
        self.max_bytes, self.bytes_held = max_bytes, 0
        self.lock = RLock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()  # used longest ago first
        self._indexes: dict[str, ExactIndex] = {}
        self._by_tag: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    @one_at_a_time
    def entries(self) -> tuple[Entry, ...]:
        """All entries, the one used longest ago first."""
        return tuple(self._entries.values())

    @one_at_a_time
    def nearest(self, scope: str, vector: np.ndarray, k: int, now_s: float) -> list[tuple[Entry, float]]:
        index = self._indexes.get(scope)
        while index:
            found = [(self._entries[name], likeness) for name, likeness in index.nearest(vector, k)]
            dead = [entry for entry, _ in found if entry.expires_s <= now_s]
            if not dead:
                return found
            for entry in dead:
                self.drop(entry.id)
            index = self._indexes.get(scope)
        return []

    @one_at_a_time
    def put(self, entry: Entry) -> None:
        if entry.bytes_held > self.max_bytes:
            raise StoreUnavailable(f"an answer of {entry.bytes_held:,} bytes, {self.max_bytes:,} in all")
        name = entry.id
        index = self._indexes.get(entry.scope) or ExactIndex(len(entry.vector))
        index.add(name, entry.vector)  # first: it may refuse the vector, and then nothing has changed
        if name in self._entries:
            self.drop(name)
            index = self._indexes.get(entry.scope) or ExactIndex(len(entry.vector))
            index.add(name, entry.vector)
        self._indexes[entry.scope] = index
        self._entries[name] = entry
        self.bytes_held += entry.bytes_held
        for tag in entry.tags:
            self._by_tag.setdefault(tag, set()).add(name)
        while self.bytes_held > self.max_bytes:
            self.drop(next(iter(self._entries)))

    @one_at_a_time
    def used(self, entry: Entry) -> None:
        if entry.id in self._entries:
            self._entries.move_to_end(entry.id)

    @one_at_a_time
    def forget(
        self, *, tag: str | None = None, scope: str | None = None, expired_s: float | None = None
    ) -> int:
        if tag is None and scope is None and expired_s is None:
            raise ValueError(
                "forget() needs a tag, a scope or a time: it doesn't forget everything by mistake"
            )
        names = set(self._by_tag.get(tag, ()))
        if scope is not None or expired_s is not None:
            names |= {
                name
                for name, entry in self._entries.items()
                if entry.scope == scope or (expired_s is not None and entry.expires_s <= expired_s)
            }
        for name in names:
            self.drop(name)
        return len(names)

    @one_at_a_time
    def drop(self, name: str) -> Entry:
        """Remove one entry by id, from everywhere. KeyError where it isn't there."""
        entry = self._entries.pop(name)
        self.bytes_held -= entry.bytes_held
        index = self._indexes[entry.scope]
        index.remove(name)
        if not len(index):
            del self._indexes[entry.scope]
        for tag in entry.tags:
            self._by_tag[tag].discard(name)
            if not self._by_tag[tag]:
                del self._by_tag[tag]
        return entry
