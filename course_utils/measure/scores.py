"""How sure is a difference in quality? Means over blocks of text, and pairs of them on the same blocks.

Two models are scored on the same blocks, so a hard block is hard for both: the differences within blocks
scatter far less than the scores. An interval that holds zero shows no difference; only one that stays within
a margin shows that there is none worth the name.

Sources: Student's t for means of paired differences; Agresti and Min, "Simple improved confidence intervals for
comparing matched proportions" (Statistics in Medicine, 2005) for right and wrong answers; Wilson (1927) for one
share.
Taught in: chapter 03.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course_utils.measure.intervals import check_confidence

KINDS = ("mean", "exponential", "share")


@dataclass(frozen=True)
class Score:
    """One figure of one model on one text, with an interval over its blocks.

    kind       "mean": of the blocks. "exponential": exp of their mean, as perplexity is. "share": of blocks
               that are right, each 0 or 1.
    per_block  one value a block, before any exponential; all blocks weigh the same
    text_id    says which blocks: only scores on the same ones can be paired
    setting    what the figure depends on, in words: sequence length, stride, blocks
    """

    name: str
    unit: str
    kind: str
    mean: float
    lo: float
    hi: float
    confidence: float
    per_block: tuple[float, ...]
    text_id: str
    setting: str

    def __str__(self) -> str:
        return (
            f"{self.name} {self.mean:.4g} {self.unit}".rstrip()
            + f" ({self.confidence * 100:.0f} % interval {self.lo:.4g} to {self.hi:.4g}; {self.setting})"
        )


@dataclass(frozen=True)
class Difference:
    """`a` less `b` on the same blocks; for perplexities the change of a against b, as a fraction of b."""

    name: str
    unit: str
    mean: float
    lo: float
    hi: float
    confidence: float
    blocks: int

    @property
    def shown(self) -> bool:
        """Whether the blocks show a difference: the interval lies on one side of 0."""
        return not self.lo <= 0 <= self.hi

    def within(self, margin: float) -> bool:
        """Whether the blocks show that the difference is smaller than `margin`, in either direction."""
        if not margin > 0:
            raise ValueError(f"margin={margin!r}: a positive number is needed, such as 0.01 for 1 %")
        return -margin < self.lo and self.hi < margin

    def __str__(self) -> str:
        scale, unit = (100, "%") if self.unit == "of b" else (1, self.unit)
        lo, mean, hi = (f"{scale * value:+.3g}" for value in (self.lo, self.mean, self.hi))
        verdict = "" if self.shown else "no difference shown: "
        return (
            f"{self.name}: {verdict}{mean} {unit} ({self.confidence * 100:.0f} % interval {lo} to {hi}, "
            f"{self.blocks} blocks)"
        )


def score(
    name: str,
    unit: str,
    kind: str,
    per_block: Sequence[float],
    text_id: str,
    setting: str,
    confidence: float = 0.95,
) -> Score:
    """A Score with its interval: Student's t over blocks, or Wilson's for a share.

    ValueError for fewer than two blocks, or a value that isn't finite: a broken model, most often.
    """
    values = _values(per_block, name)
    check_confidence(confidence)
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: expected {', '.join(KINDS)}")
    mean = float(values.mean())
    lo, hi = _wilson(mean, len(values), confidence) if kind == "share" else _t(values, confidence)
    if kind == "exponential":
        mean, lo, hi = (math.exp(min(value, 700.0)) for value in (mean, lo, hi))
    return Score(name, unit, kind, mean, lo, hi, confidence, tuple(values.tolist()), text_id, setting)


def paired(a: Score, b: Score, confidence: float = 0.95) -> Difference:
    """`a` minus `b`, block by block, with its interval. ValueError unless both are the same figure on one text."""
    check_confidence(confidence)
    if (a.name, a.kind, a.unit) != (b.name, b.kind, b.unit):
        raise ValueError(f"a is {a.name} and b is {b.name}: only the same figure can be compared")
    if a.text_id != b.text_id or len(a.per_block) != len(b.per_block) or a.setting != b.setting:
        raise ValueError("a and b were scored on different blocks of text: score both on the same ones")
    differences = np.subtract(a.per_block, b.per_block)
    mean = float(differences.mean())
    if a.kind == "share":
        lo, hi = _matched_shares(differences, confidence)
        return Difference(a.name, a.unit, mean, lo, hi, confidence, len(differences))
    lo, hi = _t(differences, confidence)
    if a.kind == "exponential":
        mean, lo, hi = (math.expm1(min(value, 700.0)) for value in (mean, lo, hi))
        return Difference(a.name, "of b", mean, lo, hi, confidence, len(differences))
    return Difference(a.name, a.unit, mean, lo, hi, confidence, len(differences))


def _values(per_block: Sequence[float], name: str) -> np.ndarray:
    values = np.asarray(per_block, dtype=float)
    if len(values) < 2:
        raise ValueError(f"{name}: {len(values)} block of text, at least 2 are needed for an interval")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"{name}: block {bad} is {values[bad]}; the model gives no finite probabilities there"
        )
    return values


def _t(values: np.ndarray, confidence: float) -> tuple[float, float]:
    from scipy import stats

    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def _z(confidence: float) -> float:
    from scipy import stats

    return float(stats.norm.ppf((1 + confidence) / 2))


def _wilson(share: float, count: int, confidence: float) -> tuple[float, float]:
    z = _z(confidence)
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def _matched_shares(differences: np.ndarray, confidence: float) -> tuple[float, float]:
    """Half an answer is added to each of the four cells: no width of zero where all answers agree."""
    gained, lost = (differences > 0).sum() + 0.5, (differences < 0).sum() + 0.5
    count = len(differences) + 2
    centre = (gained - lost) / count
    half = _z(confidence) * math.sqrt(gained + lost - (gained - lost) ** 2 / count) / count
    mean = differences.mean()
    return float(max(-1.0, min(centre - half, mean))), float(min(1.0, max(centre + half, mean)))
