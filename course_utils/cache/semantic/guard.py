"""The guard: reasons not to serve an answer, however near the two questions lie.

An embedding sees what a question is *about*. "Is it safe with alcohol?" and "Is it unsafe with alcohol?" are
about the same, and 0.99 alike. What differs is in single words, so the guard reads words.
Taught in: chapter 08, section 5.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from course_utils.cache.semantic.embedding import known_words
from course_utils.cache.semantic.wording import NUMBER_WORDS, plain_words

MOST_TWINS = 40  # words left over on a side from which on nobody looks for plurals and misspellings
CHECKS = ("number", "negation", "name", "order", "words")

_NEGATIVE = """not no never without none nobody nothing neither nor non unless except stop avoid"""
_NEGATIONS = frozenset(_NEGATIVE.split())
_PREFIX = re.compile(r"(?:un|in|im|il|ir|non|dis|mis|de|anti)")
_WHEN = """monday tuesday wednesday thursday friday saturday sunday weekday weekdays weekend weekends
january february march april may june july august september october november december
today tomorrow yesterday tonight am pm noon midnight half double twice once first second third last next"""
_DATES = frozenset(_WHEN.split())


@dataclass(frozen=True)
class Guard:
    """Which differences forbid an answer. Fewer `checks` serve more answers, and more wrong ones.

    number    a figure, date or time is in one question only
    negation  "not", "without", "un-" is in one only
    name      a name, or a word that the dictionary lacks, is in one only
    order     the same words, but from A to B against from B to A
    words     any other word is in one only
    """

    checks: tuple[str, ...] = CHECKS

    def __post_init__(self):
        if unknown := set(self.checks) - set(CHECKS):
            raise ValueError(f"checks={self.checks!r}: {sorted(unknown)[0]!r} is none of {', '.join(CHECKS)}")

    def reasons(self, cached: str, asked: str) -> tuple[str, ...]:
        """Why the answer to `cached` must not be served to `asked`, as names of checks; empty where it may."""
        found = differences(cached, asked)
        return tuple(check for check in self.checks if check in found)

    def allows(self, cached: str, asked: str) -> bool:
        return not self.reasons(cached, asked)


@lru_cache(maxsize=65_536)
def differences(cached: str, asked: str) -> frozenset[str]:
    """All kinds of difference between two questions, names from `CHECKS`. Symmetric in the two."""
    one, other = plain_words(cached), plain_words(asked)
    if one == other or (
        _digits(one) == _digits(other) and "".join(one) == "".join(other)
    ):  # "log in", "login"
        return frozenset()
    left, new, right = list((Counter(one) - Counter(other)).elements()), Counter(other) - Counter(one), []
    few = (
        max(len(left), new.total()) <= MOST_TWINS
    )  # each is compared with each: a long text would take minutes
    for word in new.elements():
        twin = next((mine for mine in left if _same_word(mine, word)), None) if few else None
        if twin is None:
            right.append(word)
        else:
            left.remove(twin)
            other = tuple(twin if mine == word else mine for mine in other)
    names = _capitalised(cached) | _capitalised(asked)
    changed = {*left, *right}
    found = {_kind(word, changed, names) for word in changed}
    common = Counter(one) & Counter(other)
    if not _rotated(_only(one, common), _only(other, common)):
        found.add("order")
    return frozenset(found)


def _digits(words: Sequence[str]) -> list[str]:
    return [word for word in words if any(letter.isdigit() for letter in word)]


def _kind(word: str, changed: Collection[str], names: frozenset[str]) -> str:
    if _digits([word]) or word in _DATES:
        return "number"
    if word in _NEGATIONS or any(_negates(word, mine) or _negates(mine, word) for mine in changed):
        return "negation"
    if word in names or word not in known_words():
        return "name"
    return "words"


def _negates(word: str, stem: str) -> bool:
    """ "unsafe" and "safe"."""
    return len(word) > len(stem) >= 3 and word.endswith(stem) and bool(_PREFIX.fullmatch(word[: -len(stem)]))


def _same_word(one: str, other: str) -> bool:
    """A plural, an -ing, or a misspelling: a word that no dictionary has, beside a near one that it has."""
    short, long = sorted((one, other), key=len)
    if not (short.isalpha() and long.isalpha()):
        return False
    if len(short) >= 3 and long in (f"{short}s", f"{short}es", f"{short}ing", f"{short[:-1]}ies"):
        return True
    if len(short) < 4 or one[0] != other[0] or (one in known_words()) == (other in known_words()):
        return False
    return not _negates(long, short) and edits(one, other) <= (2 if len(short) >= 6 else 1)


@lru_cache(maxsize=65_536)
def edits(one: str, other: str) -> int:
    """Letters to add, drop, replace or swap with their neighbour (optimal string alignment distance)."""
    before, row = [], list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cheapest = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cheapest = min(cheapest, older[j - 2] + 1)
            row.append(cheapest)
    return row[-1]


def _capitalised(text: str) -> frozenset[str]:
    """Words that begin with a capital inside a sentence, in lower case. A text all in capitals has none."""
    if text.isupper():
        return frozenset()
    inside = re.findall(r"(?<=[\w,;:] )([^\W\d_]\w+)", text)
    return frozenset(
        word.casefold() for word in inside if word[0].isupper() and word.casefold() not in NUMBER_WORDS
    )


def _only(words: Sequence[str], wanted: Counter) -> list[str]:
    left, kept = Counter(wanted), []
    for word in words:
        if left[word]:
            left[word] -= 1
            kept.append(word)
    return kept


def _rotated(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether a phrase moved from the end to the front and nothing else: "in Excel, how do I …"."""
    if len(one) != len(other):
        return False
    twice, wanted = (f"\n{line}\n" for line in ("\n".join([*one, *one]), "\n".join(other)))
    return not one or wanted in twice
