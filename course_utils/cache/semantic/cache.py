"""The semantic cache: embed, look up, doubt, and only then answer.

    cache = SemanticCache(Embedder(), thresholds=learn(pairs, embed, budget=0.01))
    answer = cache.ask("How do I resize a disk?", Scope("acme"), call_the_model)

Whatever fails (the embedding, the store, the second look), the model answers: a cache that is down costs money
and no requests. Taught in: chapter 08, sections 4 to 8.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock

import numpy as np

from course_utils.cache.semantic.embedding import Embed
from course_utils.cache.semantic.guard import Guard
from course_utils.cache.semantic.index import checked
from course_utils.cache.semantic.scope import Scope
from course_utils.cache.semantic.store import Entry, MemoryStore, Store
from course_utils.cache.semantic.threshold import Thresholds

CANDIDATES = 5  # the nearest may be a trap and the next one a hit


@dataclass(frozen=True)
class Lookup:
    """What a look-up found. `answer` None: ask the model.

    reason: "hit", "second look", or why not: "nothing near", "guard: number, words", "second look: no",
    "second look failed", "empty question", "no embedding", "store unavailable".
    cached, likeness: the question whose answer it is (or was refused), and its cosine.
    """

    answer: str | None
    reason: str
    cached: str = ""
    likeness: float = 0.0

    @property
    def hit(self) -> bool:
        return self.answer is not None


class SemanticCache:
    """Answers by meaning, within a scope.

    embed        texts to unit vectors, such as `Embedder()`; another model needs another store
    store        `MemoryStore` or `SqliteStore`, or your own `Store`
    thresholds   from `threshold.learn`; the default serves nothing but the same plain words
    ttl_s        seconds that an answer lives; a hit doesn't extend it, so no stale answer lives on its fame
    second_look  called with (cached, asked) where they differ in plain words only and are near enough; True serves
    clock        seconds, rising; tests give their own

    Threads may share it where they may share `embed`, `store` and `second_look`: ours, they may. Two that ask the
    same at the same moment both ask the model.
    """

    def __init__(
        self,
        embed: Embed,
        store: Store | None = None,
        thresholds: Thresholds | None = None,
        guard: Guard | None = None,
        ttl_s: float = 24 * 3600,
        second_look: Callable[[str, str], bool] | None = None,
        clock: Callable[[], float] = time.time,
    ):
        if not ttl_s > 0:
            raise ValueError(f"ttl_s={ttl_s!r}: more than 0 seconds are needed")
        self.embed, self.store = embed, MemoryStore() if store is None else store
        self.thresholds, self.guard = thresholds or Thresholds(serve_at=0.999), guard or Guard()
        self.ttl_s, self.second_look, self.clock = ttl_s, second_look, clock
        self.counts: Counter[str] = Counter()
        self._counting = Lock()

    def get(self, question: str, scope: Scope) -> Lookup:
        """Look an answer up. Never raises for what a user typed, nor for a store that is gone."""
        found = self._look(question, scope)
        self._count(found.reason.partition(":")[0] if found.reason.startswith("guard") else found.reason)
        return found

    def put(self, question: str, answer: str, scope: Scope, tags: Iterable[str] = ()) -> bool:
        """Keep an answer; False where it couldn't be kept, which is counted. tags: what it was made from."""
        vector = self._vector(question)
        if vector is None:
            self._count("not kept: no embedding")
            return False
        now = self.clock()
        entry = Entry(scope.key, question, answer, vector, frozenset(tags), now, now + self.ttl_s)
        try:
            self.store.put(entry)
        except Exception:
            self._count("not kept: store unavailable")
            return False
        return True

    def ask(
        self, question: str, scope: Scope, model: Callable[[str], str], tags: Iterable[str] = ()
    ) -> tuple[str, Lookup]:
        """The answer, from here or from `model`, and what the look-up found. A model's answer is kept."""
        found = self.get(question, scope)
        if found.answer is not None:
            return found.answer, found
        answer = model(question)
        self.put(question, answer, scope, tags)
        return answer, found

    def forget(self, tag: str) -> int:
        """Drop every answer with this tag: "the price list changed". Returns how many.

        Raises StoreUnavailable: that an old answer may still be served must not go unnoticed.
        """
        return self.store.forget(tag=tag)

    def _count(self, what: str) -> None:
        with self._counting:
            self.counts[what] += 1

    def _look(self, question: str, scope: Scope) -> Lookup:
        if not question.strip():
            return Lookup(None, "empty question")
        vector = self._vector(question)
        if vector is None:
            return Lookup(None, "no embedding")
        try:
            candidates = list(self.store.nearest(scope.key, vector, CANDIDATES, self.clock()))
        except Exception:  # whatever a client over the network can raise, or vectors of another model
            return Lookup(None, "store unavailable")
        return self._decide(question, candidates)

    def _decide(self, question: str, candidates) -> Lookup:
        refused = Lookup(None, "nothing near")
        askable = []
        for entry, likeness in candidates:
            reasons = self.guard.reasons(entry.question, question)
            if not reasons and likeness >= self.thresholds.serve_at:
                return self._serve(entry, "hit", likeness)
            if reasons == ("words",) and likeness >= self.thresholds.ask_at and self.second_look:
                askable.append((entry, likeness))
            if reasons and refused.reason == "nothing near":
                refused = Lookup(None, f"guard: {', '.join(reasons)}", entry.question, likeness)
        for entry, likeness in askable[:1]:  # one look a question: it costs time and money
            try:
                if self.second_look(entry.question, question) is True:
                    return self._serve(entry, "second look", likeness)
                refused = Lookup(None, "second look: no", entry.question, likeness)
            except Exception:  # whatever a judge over the network can raise: it is a miss
                refused = Lookup(None, "second look failed", entry.question, likeness)
        return refused

    def _serve(self, entry: Entry, reason: str, likeness: float) -> Lookup:
        with suppress(Exception):  # the answer is at hand, whether its use can be noted or not
            self.store.used(entry)
        return Lookup(entry.answer, reason, entry.question, likeness)

    def _vector(self, question: str) -> np.ndarray | None:
        """The question's unit vector; None where the model fails or returns none, such as NaN."""
        if not question.strip():
            return None
        try:
            (vector,) = self.embed([question])
            return checked(vector, len(vector))
        except Exception:  # out of memory, a server that is gone, a NaN: the model answers instead
            return None
