"""What a precision costs in quality, and how well that is known: published, measured on a small model, or not at all.

A loss is a share: 1 less the recovery of a published test suite, or the rise of perplexity. The two are different
scales, so every loss names its own. A figure of this very model counts first. Where there is none, the worst counts
of what the same precision costs the small models that chapters 03, 04 and 07 measure, and another, published one.
Taught in: chapter 12.
"""

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import ClassVar

from course_utils.catalog.models import ModelShape, model
from course_utils.catalog.provenance import check_range, read_rows
from course_utils.estimate.precision import Precision

PUBLISHED, SMALL, OTHER, REFERENCE, UNKNOWN = (
    "published",
    "measured on a small model",
    "published for another model",
    "the reference",
    "unknown",
)
# Level of the intervals that the plan prints, for measured losses as for times and money.
_LEVEL = 0.80
# Precision -> recording, the row of 16 bits, the row that is compared with it. Groups of 128 are what vLLM serves.
_MEASURED = {
    "int8": ("int8_quality", "fp32", "SmoothQuant 0.5"),
    "int4": ("int4_tiny", "16 bits", "gptq 4 bits, groups of 128"),
    "kv8": ("kv_quality", "not rounded", "int8"),
}


@dataclass(frozen=True)
class Recovery:
    """Score of a quantized model over that of the same model in 16 bits; a row of data/published_recovery.csv."""

    model: str
    precision: str
    method: str
    suite: str
    recovery: float
    note: str | None
    source: str
    as_of: date

    KEY: ClassVar = ("model", "precision", "suite")

    def __post_init__(self):
        check_range("recovery", self.recovery, 0.1, 1.2)


@dataclass(frozen=True)
class PublishedPerplexity:
    """A row of data/published_perplexity.csv."""

    model: str
    method: str
    bits: int
    group: int | None
    sequence_tokens: int
    perplexity: float
    text: str
    source: str
    as_of: date


@dataclass(frozen=True)
class Quality:
    """Share of quality that a variant loses against 16 bits: 0.01 is 1 %. None where nobody has measured it.

    `lo` and `hi` bound the 80 % interval, where blocks were scored; else they are the loss itself. `evidence` is
    one of this module's five words, `basis` says the rest, a sentence for each change.
    """

    loss: float | None
    lo: float | None
    hi: float | None
    evidence: str
    basis: tuple[str, ...]

    def __add__(self, other: "Quality") -> "Quality":
        """Of two changes at once: losses add, and what is known worse is what is known."""
        if self.evidence == REFERENCE or other.evidence == REFERENCE:
            return other if self.evidence == REFERENCE else self
        weaker = max(self, other, key=lambda one: _ORDER.index(one.evidence))
        basis = self.basis + other.basis
        if self.loss is None or other.loss is None:
            return Quality(None, None, None, UNKNOWN, basis)
        ends = (self.loss + other.loss, self.lo + other.lo, self.hi + other.hi)
        return Quality(*ends, weaker.evidence, basis)

    def __str__(self) -> str:
        if self.loss is None:
            return self.evidence
        change = f"{-self.loss * 100:+.1f} %".replace("-", "−")
        return "16 bits" if self.evidence == REFERENCE else f"{change}, {self.evidence}"


_ORDER = (REFERENCE, PUBLISHED, SMALL, OTHER, UNKNOWN)
_REFERENCE = Quality(0.0, 0.0, 0.0, REFERENCE, ("16 bits: what the others are compared with",))


@cache
def quality_of(shape: ModelShape, recipe: Precision, kv_bits: float = 16) -> Quality:
    """What is known of `shape` in `recipe` with a KV cache of `kv_bits`."""
    weights = _REFERENCE if recipe.family == "bf16" or recipe.name == "fp32" else _weights(shape, recipe)
    if kv_bits >= 16:
        return weights
    if kv_bits == 8:
        return weights + _small("kv8", "KV cache in 8 bits")
    return weights + Quality(None, None, None, UNKNOWN, (f"no figure for a KV cache of {kv_bits:g} bits",))


def _weights(shape: ModelShape, recipe: Precision) -> Quality:
    rows = [row for row in recoveries() if row.precision == recipe.name]
    if own := next((row for row in rows if model(row.model).name == shape.name), None):
        return _published(own, PUBLISHED)
    if found := _perplexity(shape, recipe):
        return found
    indirect = [_small(recipe.name, recipe.name)] if recipe.name in _MEASURED else []
    if rows:
        nearest = min(rows, key=lambda row: abs(model(row.model).parameters - shape.parameters))
        indirect.append(_published(nearest, OTHER))
    unknown = Quality(None, None, None, UNKNOWN, (f"no figure for {recipe.name}: chapter 12 measures one",))
    return max(indirect, key=lambda one: one.hi, default=unknown)


def _published(row: Recovery, evidence: str) -> Quality:
    loss = 1 - row.recovery
    basis = (
        f"{row.recovery:.1%} of 16 bits on {row.suite} ({row.model}, {row.method}; {row.source}, {row.as_of})"
    )
    return Quality(loss, loss, loss, evidence, (basis,))


def _perplexity(shape: ModelShape, recipe: Precision) -> Quality | None:
    """The best published perplexity of this model in as many bits, against its own 16 bits at the same length."""
    rows = [
        row for row in read_rows("published_perplexity.csv", PublishedPerplexity) if row.model == shape.name
    ]
    bits = {"int8": 8, "int4": 4}.get(recipe.name)
    pairs = [
        (row.perplexity / base.perplexity - 1, row)
        for row in rows
        for base in rows
        if row.bits == bits and base.bits == 16 and base.sequence_tokens == row.sequence_tokens
    ]
    if not pairs:
        return None
    loss, row = min(pairs, key=lambda pair: pair[0])
    basis = f"perplexity {row.perplexity} on {row.text} ({row.method}; {row.source}, {row.as_of})"
    return Quality(loss, loss, loss, PUBLISHED, (basis,))


@cache
def _small(key: str, what: str) -> Quality:
    """Loss of a recorded variant against 16 bits, window by window, with its interval."""
    from course_utils.measure.recorded import recording
    from course_utils.measure.scores import paired, score

    name, base, variant = _MEASURED[key]
    made = recording(name)
    rows = {row["key"]: row for row in made.rows}
    scores = [
        score("perplexity", "", "exponential", _windows(rows[at]), "recorded", rows[at]["setting"])
        for at in (variant, base)
    ]
    found = paired(*scores, confidence=_LEVEL)
    label = rows[variant].get("label") or rows[variant]["model"]
    basis = f"{what}: perplexity {found.mean:+.1%} on {label.split(',')[0]} ({variant}; {made.label})"
    return Quality(found.mean, found.lo, found.hi, SMALL, (basis,))


def _windows(row: dict) -> list[float]:
    return row.get("losses") or row.get("per_block") or row["nats_per_window"]


def recoveries() -> tuple[Recovery, ...]:
    """All rows of data/published_recovery.csv."""
    return read_rows("published_recovery.csv", Recovery)
