"""Choose under limits: drop what breaks one, take the best of the rest, and where nothing is left say what binds.

A limit is the largest value of a column that is allowed. Quality is held to its *upper* end, `change_hi`: what the
test could not rule out may be true.
Taught in: chapter 12, section 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

# Columns that can be limited, as words and unit, and what a value is multiplied with to be said in that unit.
LIMITABLE = {
    "change_hi": ("perplexity above fp32's, upper end", "%", 100),
    "ttft_s": ("time to first token", "ms", 1e3),
    "tpot_s": ("time per token", "ms", 1e3),
    "memory_bytes": ("memory", "MB", 1e-6),
    "usd_per_mtok": ("price", "USD/Mtok", 1),
    "kwh_per_mtok": ("energy", "kWh/Mtok", 1),
}


class Impossible(ValueError):
    """No variant keeps all limits. The message says which limit binds, for whom, and by how much.

    nearest: the variant that breaks its worst limit least. binding: that limit. over: its value over the limit.
    """

    def __init__(self, nearest: str, binding: str, over: float, limit: float):
        words, unit, scale = LIMITABLE[binding]
        super().__init__(
            f"no variant keeps these limits; the nearest, {nearest}, exceeds {words} ({binding}) of "
            f"{scale * limit:.3g} {unit} by {over - 1:.0%}: {scale * limit * over:.3g} {unit} would let it in"
        )
        self.nearest, self.binding, self.over = nearest, binding, over


@dataclass(frozen=True)
class Recommendation:
    """`variant` keeps the limits and has the least of `goal`. `beaten`: those that keep them too, and their excess.

    `dropped`: the limit that each other variant breaks worst.
    """

    variant: str
    goal: str
    beaten: Mapping[str, float]
    dropped: Mapping[str, str]

    def __str__(self) -> str:
        words = LIMITABLE[self.goal][0]
        why = {
            name: f"{words} {more:+.0%}" if more else f"same {words}, less sure quality"
            for name, more in self.beaten.items()
        }
        why |= {name: f"breaks the limit on {LIMITABLE[limit][0]}" for name, limit in self.dropped.items()}
        width = max(map(len, (self.variant, *why)))
        return "\n".join(
            [f"{self.variant:{width}}  chosen", *(f"{name:{width}}  {one}" for name, one in why.items())]
        )


def verdicts(table: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """For each variant `over`, the largest value / limit, and `worst`, the limit it belongs to: 1 or less keeps all.

    ValueError for a limit on a column that the table lacks, or one that isn't above 0.
    """
    if not limits:
        raise ValueError(f"limits is empty, expected at least one of {', '.join(LIMITABLE)}")
    for name, limit in limits.items():
        if name not in LIMITABLE or name not in table:
            there = ", ".join(one for one in LIMITABLE if one in table)
            raise ValueError(f"limits has {name!r}; this table can be limited in {there}")
        if not limit > 0:
            raise ValueError(f"limits[{name!r}] is {limit!r}, expected above 0")
    shares = pd.DataFrame({name: table[name] / limit for name, limit in limits.items()})
    return pd.DataFrame({"over": shares.max(axis=1), "worst": shares.idxmax(axis=1)})


def recommend(table: pd.DataFrame, limits: Mapping[str, float], goal: str = "usd_per_mtok") -> Recommendation:
    """The variant with the least `goal` among those that keep all limits. Impossible where there is none."""
    if goal not in LIMITABLE or goal not in table:
        raise ValueError(
            f"goal={goal!r}: expected one of {', '.join(one for one in LIMITABLE if one in table)}"
        )
    found = verdicts(table, limits)
    fine = found.over <= 1
    if not fine.any():
        nearest = found.over.idxmin()
        binding = found.worst[nearest]
        raise Impossible(nearest, binding, float(found.over[nearest]), limits[binding])
    # Variants on one kernel cost the same: then the better one.
    order = [goal, "change_hi"] if "change_hi" in table else [goal]
    best = table[fine].sort_values(order).index[0]
    beaten = {
        name: float(table[goal][name] / table[goal][best] - 1) for name in table.index[fine] if name != best
    }
    return Recommendation(best, goal, beaten, found.worst[~fine].to_dict())
