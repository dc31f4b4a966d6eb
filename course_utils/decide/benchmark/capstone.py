"""The graded lab: a task drawn from a seed, a recommendation table, and the arithmetic that checks it.

A task's limits are shares of what fp32 takes in the same run, so that it is as hard on a fast machine as on a slow
one. The table has a row a variant: what a million tokens cost, how far the worst limit is used up, and a verdict.
`assess` needs the benchmark's CSV, the table's CSV and the seed, and runs none of the student's code.
Taught in: chapter 12, section 6.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from course_utils.decide.benchmark import choosing, results
from course_utils.decide.benchmark.variants import REFERENCE
from course_utils.estimate.cost import self_hosted_usd_per_mtok
from course_utils.whole_files import write_whole

HEADER = ("variant", "usd_per_mtok", "over", "verdict")
LEAST_VARIANTS = 6
CLOSE = 0.005  # of a number in the table: three digits are enough
# What each part is worth: a whole benchmark of one's own, the numbers, the verdicts, the choice.
POINTS = {"benchmark": 2, "usd_per_mtok": 2, "over": 2, "verdict": 2, "choice": 2}


@dataclass(frozen=True)
class Task:
    """What the seed asks: limits on quality (a fraction), time per token and memory (shares of fp32's), and prices."""

    seed: int
    change: float
    tpot_share: float
    memory_share: float
    usd_per_hour: float
    utilization: float

    def limits(self, table: pd.DataFrame) -> dict[str, float]:
        """The largest values allowed, in the units of `results.summary`."""
        dense = table.loc[REFERENCE]
        return {
            "change_hi": self.change,
            "tpot_s": self.tpot_share * float(dense.tpot_s),
            "memory_bytes": self.memory_share * float(dense.memory_bytes),
        }

    def __str__(self) -> str:
        return (
            f"Task {self.seed}: the cheapest variant whose perplexity is at most {self.change:.1%} above fp32's (upper "
            f"end of the interval), with at most {self.tpot_share:.0%} of fp32's time per token and "
            f"{self.memory_share:.0%} of its memory, on a machine at {self.usd_per_hour:.2f} USD an hour that is busy "
            f"{self.utilization:.0%} of the time."
        )


@dataclass(frozen=True)
class Assessment:
    """`points` of `of`, by part; and what was found, a sentence each: nothing hidden, so students may read it."""

    points: float
    of: float
    parts: Mapping[str, float]
    findings: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.points:g} of {self.of:g} points", *self.findings])


def task(seed: int) -> Task:
    """The same for the same seed. Some tasks are impossible on some machines, as in life: the table says so then."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed={seed!r}: a whole number from 0 on is needed, the one that you were given")
    draw = random.Random(f"capstone {seed}")
    return Task(
        seed=seed,
        change=draw.choice((0.008, 0.01, 0.015, 0.02, 0.03, 0.05)),
        tpot_share=draw.choice((0.6, 0.7, 0.8, 0.9, 1.0)),
        memory_share=draw.choice((0.45, 0.5, 0.55, 0.6, 0.7)),
        usd_per_hour=round(draw.uniform(0.04, 0.4), 2),
        utilization=round(draw.uniform(0.15, 0.7), 2),
    )


def rows_for(run: results.Run) -> list[dict]:
    """What a recommendation is made of, a dict a variant: change, change_hi, tpot_s, memory_bytes, tokens_per_s."""
    columns = ["variant", "change", "change_hi", "tpot_s", "memory_bytes", "tokens_per_s"]
    return results.summary(run).reset_index()[columns].to_dict("records")


def right_table(run: results.Run, asked: Task) -> pd.DataFrame:
    """The table that the samples and the task give, whoever computes it.

    verdict: "chosen" (the cheapest that keeps all limits, and of equally cheap ones the one with the least
    change_hi), "dearer" for others that keep them, else the limit that is broken worst; and where nothing keeps them
    all, "nearest" for the variant that exceeds its worst limit least.
    """
    table = results.summary(run)
    found = choosing.verdicts(table, asked.limits(table))
    found["usd_per_mtok"] = [
        self_hosted_usd_per_mtok(asked.usd_per_hour, one, asked.utilization) for one in table.tokens_per_s
    ]
    fine = found.over <= 1
    found["verdict"] = found.worst.where(~fine, "dearer")
    best, verdict = ("usd_per_mtok", "chosen") if fine.any() else ("over", "nearest")
    # Variants on one kernel cost the same to the last digit: then the better one.
    order = found[fine | ~fine.any()].join(table.change_hi).sort_values([best, "change_hi"])
    found.loc[order.index[0], "verdict"] = verdict
    return found.reset_index()[list(HEADER)]


def write_table(path: Path | str, rows: Sequence[Sequence]) -> pd.DataFrame:
    """Write a student's rows, [variant, usd_per_mtok, over, verdict] each. ValueError for rows of another shape."""
    rows = [list(row) for row in rows]
    for row in rows:
        if len(row) != len(HEADER):
            raise ValueError(f"row {row!r} has {len(row)} entries, expected {', '.join(HEADER)}")
    table = pd.DataFrame(rows, columns=list(HEADER))
    write_whole(Path(path), table.to_csv(index=False))
    return table


def submit(answer: Callable, run: results.Run, asked: Task, path: Path | str) -> str:
    """Ask a student's function for the table of their own run, and write it; says what became of it.

    A stub that isn't filled yet writes nothing.
    """
    table = results.summary(run)
    try:
        rows = answer(rows_for(run), asked.limits(table), asked.usd_per_hour, asked.utilization)
    except NotImplementedError:
        return f"Not attempted yet: {path} is written once the function above is."
    write_table(path, rows)
    return f"{path} is written: hand it in with the benchmark's CSV."


def assess(benchmark: Path | str, table: Path | str, seed: int) -> Assessment:
    """Points for a recommendation, from the student's two files and seed. Never raises for what is in the files.

    Everything is computed anew from the samples; a number counts if it is within 0.5 %, a verdict if it is the same,
    and each part is worth the share of variants that are right. Losses can be measured again: see `remeasured`.
    """
    asked, parts, findings = task(seed), dict.fromkeys(POINTS, 0.0), []
    try:
        run = _own(results.read(benchmark), seed)
    except ValueError as problem:
        return _assessment(parts, [f"The benchmark doesn't count: {problem}."])
    enough = min(1.0, len(run.variants) / LEAST_VARIANTS)
    parts["benchmark"] = POINTS["benchmark"] * enough
    if enough < 1:
        findings.append(f"The benchmark has {len(run.variants)} variants; {LEAST_VARIANTS} are asked for.")
    right = right_table(run, asked).set_index("variant")
    try:
        given = _given(Path(table))
    except ValueError as problem:
        return _assessment(parts, [*findings, f"The table doesn't count: {problem}."])
    for column in ("usd_per_mtok", "over", "verdict"):
        wrong = [
            name
            for name in right.index
            if not _same(given.get(name, {}).get(column), right.loc[name, column])
        ]
        parts[column] = POINTS[column] * (1 - len(wrong) / len(right))
        if wrong:
            is_given = given.get(wrong[0], {}).get(column, "no row")
            findings.append(
                f"{column}: {len(right) - len(wrong)} of {len(right)} are right. {wrong[0]} has {is_given}, "
                f"and the samples give {_shown(right.loc[wrong[0], column])}."
            )
    choice = [name for name in right.index if right.verdict[name] in ("chosen", "nearest")]
    chose = [name for name, row in given.items() if row["verdict"] in ("chosen", "nearest")]
    if chose == choice:
        parts["choice"] = POINTS["choice"]
    else:
        findings.append(
            f"The choice is {', '.join(chose) or 'missing'}; exactly one follows from the samples."
        )
    return _assessment(parts, findings or ["Everything follows from the samples."])


def remeasured(run: results.Run, name: str) -> float:
    """Largest difference between a variant's losses in the file and those measured now with its seed (nats a token).

    Exactly 0 on the same machine and versions. Another processor rounds sums otherwise, and a code that lay between
    two values may then fall on the other side: small differences in honest files are no proof of anything.
    """
    from course_utils.decide.benchmark.measuring import quality

    now = quality(name, run.seed)["losses"]
    return max(abs(one - other) for one, other in zip(now, run.values(name, "loss"), strict=True))


def _own(run: results.Run, seed: int) -> results.Run:
    if run.seed != seed:
        raise ValueError(f"it was measured with seed {run.seed}, and yours is {seed}")
    if REFERENCE not in run.variants:
        raise ValueError(f"it lacks {REFERENCE}, with which all others are compared")
    return run


def _given(path: Path) -> dict[str, dict]:
    if not path.is_file():
        raise ValueError(f"there is no file {path.name}")
    try:
        table = pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as problem:
        raise ValueError(f"{path.name} is not a CSV: {problem}") from None
    if missing := [name for name in HEADER if name not in table]:
        raise ValueError(f"{path.name} has no column {missing[0]!r}; expected {', '.join(HEADER)}")
    if table.variant.duplicated().any():
        raise ValueError(f"{path.name} has {table.variant[table.variant.duplicated()].iloc[0]!r} twice")
    return {row["variant"]: row for row in table.to_dict("records")}


def _same(given, right) -> bool:
    if isinstance(right, str):
        return given == right
    try:
        return math.isclose(float(given), float(right), rel_tol=CLOSE)
    except (TypeError, ValueError):
        return False


def _shown(value) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _assessment(parts: dict, findings: list[str]) -> Assessment:
    return Assessment(round(sum(parts.values()), 2), sum(POINTS.values()), parts, tuple(findings))
