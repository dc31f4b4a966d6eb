"""How near is near enough? Thresholds learned from labelled pairs, for a stated share of wrong answers.

A pair that the guard finds no difference in is served from `serve_at` on. One that differs in plain words
only can be shown to somebody who reads both (`ask_at` on). Everything else goes to the model.
Taught in: chapter 08, section 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course_utils.cache.semantic.guard import Guard
from course_utils.cache.semantic.pairs import Pair

NEVER = 2.0  # above any cosine: nothing is served


@dataclass(frozen=True)
class Thresholds:
    """Cosines from which on an answer is served, or worth a second look. `NEVER` (2) is never reached."""

    serve_at: float = NEVER
    ask_at: float = NEVER

    def __post_init__(self):
        for name in ("serve_at", "ask_at"):
            if not -1 <= getattr(self, name) <= NEVER:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: a cosine, -1 to 1, or 2 for never is needed"
                )


@dataclass(frozen=True)
class Share:
    """`count` of `of`, with a 95 % interval (Clopper and Pearson) for the share behind it."""

    count: int
    of: int

    def __post_init__(self):
        if not 0 <= self.count <= self.of:
            raise ValueError(f"count={self.count!r}, of={self.of!r}: 0 <= count <= of is needed")

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else 0.0

    @property
    def low(self) -> float:
        return self._bound(0.025, self.count, self.of - self.count + 1) if self.count else 0.0

    @property
    def high(self) -> float:
        return self._bound(0.975, self.count + 1, self.of - self.count) if self.count < self.of else 1.0

    def _bound(self, probability: float, a: int, b: int) -> float:
        from scipy.stats import beta

        return float(beta.ppf(probability, a, b))

    def __str__(self):
        return (
            f"{self.share:.1%} ({self.count} of {self.of}; 95 % interval {self.low:.1%} to {self.high:.1%})"
        )


@dataclass(frozen=True)
class Score:
    """What a rule does to labelled pairs. `hits`: of the pairs with one answer; `wrong`: of the traps."""

    hits: Share
    wrong: Share


def cosines(pairs: Sequence[Pair], embed) -> np.ndarray:
    """Likeness of the two questions of each pair, shape (n,)."""
    cached = embed([pair.cached for pair in pairs])
    asked = embed([pair.asked for pair in pairs])
    return np.einsum("nd,nd->n", cached, asked)


def guarded(pairs: Sequence[Pair], likeness: np.ndarray, guard: Guard) -> np.ndarray:
    """The likeness where the guard allows the pair, -1 where it doesn't."""
    allowed = [guard.allows(pair.cached, pair.asked) for pair in pairs]
    return np.where(allowed, likeness, -1.0)


def learn_serve_at(likeness: Sequence[float], same_answer: Sequence[bool], budget: float) -> float:
    """Lowest likeness seen from which on at most `budget` of the traps would be answered wrongly.

    w wrong of n traps count as (w + 1) / (n + 2), the mean of what they leave possible (Laplace's rule of
    succession), and not as w / n: none wrong of ten traps doesn't show a share of 1 %. So a budget of 1 %
    needs 98 traps at least; with fewer, nothing is served (`NEVER`).
    """
    likeness, same = np.asarray(likeness, dtype=float), np.asarray(same_answer, dtype=bool)
    if likeness.ndim != 1 or likeness.shape != same.shape or not likeness.size:
        raise ValueError(
            f"likeness has shape {likeness.shape}, same_answer {same.shape}: one number per pair is needed"
        )
    if not 0 < budget < 1:
        raise ValueError(f"budget={budget!r}: a share of the traps between 0 and 1, such as 0.01, is needed")
    traps = np.sort(likeness[~same])
    for at in np.unique(likeness[likeness > -1]):
        wrong = traps.size - np.searchsorted(traps, at)
        if (wrong + 1) / (traps.size + 2) <= budget:
            return float(at)
    return NEVER


def learn_observed(likeness: Sequence[float], same_answer: Sequence[bool], budget: float) -> float:
    """The same without the caution, as most tools do it: lowest likeness whose *observed* share fits the budget."""
    likeness, same = np.asarray(likeness, dtype=float), np.asarray(same_answer, dtype=bool)
    traps = likeness[~same]
    fits = [at for at in np.unique(likeness[likeness > -1]) if (traps >= at).mean() <= budget]
    return float(fits[0]) if fits else NEVER


def learn_ask_at(likeness: Sequence[float], same_answer: Sequence[bool], worth_it: float) -> float:
    """Lowest likeness from which on a second look finds one answer at least `worth_it` of the times.

    worth_it: price of a look over what a hit saves. Give it only pairs that differ in plain words.
    """
    likeness, same = np.asarray(likeness, dtype=float), np.asarray(same_answer, dtype=bool)
    if not 0 < worth_it <= 1:
        raise ValueError(f"worth_it={worth_it!r}: price of a look over a hit's saving, 0 to 1, is needed")
    for at in np.unique(likeness):
        if same[likeness >= at].mean() >= worth_it:
            return float(at)
    return NEVER


def learn(pairs: Sequence[Pair], embed, budget: float, guard: Guard | None = None, worth_it: float = 0.1):
    """Both thresholds from labelled pairs. budget: share of the traps that may be answered wrongly."""
    guard = guard or Guard()
    likeness = cosines(pairs, embed)
    same = np.array([pair.same_answer for pair in pairs])
    plain = np.array([guard.reasons(pair.cached, pair.asked) == ("words",) for pair in pairs])
    ask_at = learn_ask_at(likeness[plain], same[plain], worth_it) if plain.any() else NEVER
    return Thresholds(learn_serve_at(guarded(pairs, likeness, guard), same, budget), ask_at)


def score(likeness: Sequence[float], same_answer: Sequence[bool], serve_at: float) -> Score:
    """Hits and wrong answers where everything from `serve_at` on is served."""
    served, same = np.asarray(likeness) >= serve_at, np.asarray(same_answer, dtype=bool)
    return Score(
        Share(int((served & same).sum()), int(same.sum())),
        Share(int((served & ~same).sum()), int((~same).sum())),
    )


def halves(pairs: Sequence[Pair], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of two halves, split by group: what one half was learned on, the other hasn't seen."""
    groups = np.array([pair.group for pair in pairs])
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    first = np.isin(groups, order[: len(order) // 2])
    return np.flatnonzero(first), np.flatnonzero(~first)
