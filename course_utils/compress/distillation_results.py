"""What the recorded study of chapter 06 says: losses over seeds with intervals, differences seed by seed.

With three seeds Student's t makes an interval of more than four standard errors: wide, as it should be.
Taught in: chapter 06.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from course_utils.measure.recorded import Recording, recording

# What a way and the student alone that it is held against have in common.
EQUAL = ("tokens", "compute")


@dataclass(frozen=True)
class Gain:
    """By how much a way ends below the same student trained alone, nats per token, seed by seed; 95 % interval."""

    way: str
    budget: int
    equal: str
    mean: float
    lo: float
    hi: float
    seeds: int

    @property
    def verdict(self) -> int:
        """1: better than alone. -1: worse. 0: the seeds don't show which."""
        return int(self.lo > 0) - int(self.hi < 0)

    def __str__(self) -> str:
        shown = "" if self.verdict else ", so no difference is shown"
        return f"{self.mean:+.2f} nats per token (95 % interval {self.lo:+.2f} to {self.hi:+.2f}{shown})"


@dataclass(frozen=True, eq=False)
class Study:
    """`runs`: a frame with one row a run; `teacher`: its figures; `label`: where and when all was recorded."""

    runs: Any
    teacher: dict
    label: str

    @property
    def ways(self) -> list[str]:
        return list(dict.fromkeys(self.runs.way))

    @property
    def budgets(self) -> list[int]:
        """Steps of the runs that have a teacher."""
        return sorted(set(self.runs.budget.tolist()))

    def ktok(self, steps: int) -> float:
        """Thousands of tokens that so many steps read."""
        one = self.runs[self.runs.steps == steps].iloc[0]
        return float(one.tokens) / 1e3

    def ends(self, way: str, steps: int):
        """Runs of a way with so many steps, by seed. ValueError where there are none."""
        found = self.runs[(self.runs.way == way) & (self.runs.steps == steps)].sort_values("seed")
        if found.empty:
            raise ValueError(f"way={way!r}, steps={steps!r}: the study has no such run")
        return found

    def curve(self, way: str, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Thousands of tokens, then mean, lower and upper end of the held-out loss over the seeds."""
        runs = self.ends(way, steps)
        losses = [
            [run.held_out_before, *(value for _, value in run.evaluations)] for run in runs.itertuples()
        ]
        at = [0, *(step for step, _ in runs.evaluations.iloc[0])]
        return np.array(at) * self.ktok(steps) / steps, *over_seeds(np.array(losses))

    def gain(self, way: str, budget: int, equal: str) -> Gain:
        """`way` against the student alone with as many tokens, or as much compute. ValueError for another `equal`.

        Compute that lies between the whole runs of the student alone is interpolated, seed by seed, linearly in its
        logarithm (just beyond the last one, carried on).
        """
        if equal not in EQUAL:
            raise ValueError(f"equal={equal!r}: expected {' or '.join(EQUAL)}")
        ours = self.ends(way, budget)
        if equal == "tokens":
            alone = self.ends("alone", budget)
            if alone.seed.tolist() != ours.seed.tolist():
                raise ValueError(f"way={way!r}: its seeds aren't those of the student alone")
            losses = alone.held_out.to_numpy()
        else:
            losses = np.array([self._alone_at(run.seed, run.flop) for run in ours.itertuples()])
        differences = losses - ours.held_out.to_numpy()
        mean, lo, hi = over_seeds(differences[:, None])
        return Gain(way, budget, equal, float(mean[0]), float(lo[0]), float(hi[0]), len(differences))

    def _alone_at(self, seed: int, flop: float) -> float:
        """Held-out loss of the student alone of this seed for so much compute."""
        runs = self.runs[(self.runs.way == "alone") & (self.runs.seed == seed)].sort_values("flop")
        if len(runs) < 2:
            raise ValueError(
                f"seed={seed!r}: fewer than two runs of the student alone, none to interpolate between"
            )
        x, y = np.log(runs.flop.to_numpy(dtype=float)), runs.held_out.to_numpy()
        at = int(np.clip(np.searchsorted(x, np.log(flop)), 1, len(x) - 1))
        slope = (y[at] - y[at - 1]) / (x[at] - x[at - 1])
        return float(y[at - 1] + slope * (np.log(flop) - x[at - 1]))


def study(record: Recording | None = None) -> Study:
    """The recorded study, or the one in `record`."""
    record = record or recording("distillation")
    teacher = next(row for row in record.rows if row["way"] == "teacher")
    import pandas as pd

    runs = pd.DataFrame([row for row in record.rows if row["way"] != "teacher"])
    return Study(runs, teacher, record.label)


def over_seeds(values: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first axis, the seeds [seeds, n], and Student's t interval: three arrays [n].

    ValueError for fewer than two seeds: they say nothing about a third.
    """
    from scipy import stats

    if len(values) < 2:
        raise ValueError(f"values has {len(values)} seeds, expected at least 2 for an interval")
    mean = values.mean(axis=0)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * error
    return mean, mean - half, mean + half
