"""The CSV of a benchmark: one sample a row, with what it is of and where it was taken. And the table made of it.

    variant, served_as, quantity, sample, value, unit, model, setting, environment, as_of, seed, run_id

Quantities: `loss` (nats a token, one per window of text), `bits_per_weight`, `ttft_s`, `tpot_s`, `step_s`, `batch`,
`served_bytes`, `peak_bytes`, `weights`. `run_id` is a hash of all rows: it says whether a file is still what was
measured. It is no seal, because whoever edits a row can compute it anew; so a grader measures again what it doubts:
losses are the same for the same seed.
Taught in: chapter 12, sections 2 and 3.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.decide.benchmark.variants import REFERENCE, Variant, variant
from course_utils.decide.carbon import energy_kwh_per_mtok
from course_utils.estimate.cost import self_hosted_usd_per_mtok
from course_utils.measure.intervals import MedianInterval, median_interval
from course_utils.measure.scores import Difference, Score, paired, score
from course_utils.whole_files import write_whole

COLUMNS = (
    "variant",
    "served_as",
    "quantity",
    "sample",
    "value",
    "unit",
    "model",
    "setting",
    "environment",
    "as_of",
    "seed",
    "run_id",
)
_UNITS = {
    "loss": "nats per token",
    "bits_per_weight": "bits",
    "ttft_s": "s",
    "tpot_s": "s",
    "step_s": "s",
    "batch": "sequences",
    "served_bytes": "bytes",
    "peak_bytes": "bytes",
    "weights": "weights",
}
_TIMES = ("ttft_s", "tpot_s", "step_s")


@dataclass(frozen=True, eq=False)
class Run:
    """A whole benchmark. `samples`: the CSV as a table. `left_out`: variants that couldn't run, and why."""

    samples: pd.DataFrame
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def variants(self) -> tuple[str, ...]:
        return tuple(self.samples.variant.unique())

    @property
    def seed(self) -> int:
        return int(self.samples.seed.iloc[0])

    @property
    def environment(self) -> str:
        """Where the times were taken."""
        return self.samples[self.samples.quantity == "tpot_s"].environment.iloc[0]

    @cached_property
    def _by_place(self):
        return dict(iter(self.samples.groupby(["variant", "quantity"])))

    def values(self, name: str, quantity: str) -> list[float]:
        """Samples in the order taken. ValueError for a variant that isn't in the run."""
        if (name, quantity) not in self._by_place:
            raise ValueError(
                f"name={name!r}: the run has no {quantity} of it; it has {', '.join(self.variants)}"
            )
        return self._by_place[name, quantity].value.tolist()

    def perplexity(self, name: str) -> Score:
        """With its interval, and its windows, so that two variants can be paired."""
        setting, _, text_id = self._by_place[name, "loss"].setting.iloc[0].rpartition(", text ")
        return score("perplexity", "", "exponential", self.values(name, "loss"), text_id, setting)

    def change(self, name: str) -> Difference:
        """Of the perplexity against fp32's, on the same windows, as a fraction."""
        return paired(self.perplexity(name), self.perplexity(REFERENCE))

    def median(self, name: str, quantity: str) -> MedianInterval:
        return median_interval(self.values(name, quantity))


def write(path: Path, variants: Sequence[Variant], rows: Mapping[str, dict], seed: int) -> Run:
    """Rows of the harness by key → the CSV, written whole, and its Run. Shared timings are written for each variant.

    ValueError where the reference couldn't be measured.
    """
    found, left_out = [], {}
    for one in variants:
        mine = [rows.get(key) for key in (f"quality {one.name}", f"speed {one.served_as}")]
        lacking = [
            row["cannot"] if row else "it is not in the recorded run"
            for row in mine
            if not row or "cannot" in row
        ]
        if lacking:
            left_out[one.name] = lacking[0]
            continue
        found += _samples(one, *mine)
    if REFERENCE in left_out:
        raise ValueError(
            f"{REFERENCE} can't be measured, and all others are compared with it: {left_out[REFERENCE]}"
        )
    table = pd.DataFrame(found)
    table["seed"] = seed
    # Through text and back: a file that is read is the same to the last digit as what is returned here.
    table = _parsed(table.to_csv(index=False))
    table["run_id"] = run_id(table)
    write_whole(path, table[list(COLUMNS)].to_csv(index=False))
    return Run(table[list(COLUMNS)], left_out)


def read(path: Path | str) -> Run:
    """A benchmark's CSV. ValueError for a file that isn't one, was edited, or mixes seeds or machines."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"path={path.name!r}: there is no such file; the harness writes it")
    try:
        table = _parsed(path.read_text("utf-8"))
    except (ValueError, pd.errors.ParserError) as problem:
        raise ValueError(f"{path.name} is not a benchmark's CSV: {problem}") from None
    if missing := [name for name in COLUMNS if name not in table]:
        raise ValueError(f"{path.name} has no column {missing[0]!r}; a benchmark has {', '.join(COLUMNS)}")
    if table.empty or table.isna().any(axis=None):
        raise ValueError(f"{path.name} has no rows, or empty cells: it is not what the harness wrote")
    for column in ("seed", "run_id"):
        if len(several := table[column].unique()) > 1:
            raise ValueError(f"{path.name} mixes runs: {column} is {several[0]} and {several[1]}")
    machines = table[table.quantity.isin(_TIMES)].environment.unique()
    if len(machines) > 1:
        raise ValueError(
            f"{path.name} has times of two machines, which can't be compared: {machines[0]}; {machines[1]}"
        )
    if (told := table.run_id.iloc[0]) != (is_now := run_id(table)):
        raise ValueError(
            f"{path.name} was edited: its rows give run_id {is_now}, and it says {told}; run the harness again"
        )
    _check_whole(path.name, table)
    return Run(table)


def _check_whole(file: str, table: pd.DataFrame) -> None:
    """ValueError for what the harness never writes: whoever reads the file computes with it."""
    if not pd.api.types.is_integer_dtype(table.seed):
        raise ValueError(f"{file} has seed {table.seed.iloc[0]!r}, expected a whole number")
    bad = table[~np.isfinite(table.value) | (table.value <= 0)]
    if len(bad):
        first = bad.iloc[0]
        raise ValueError(
            f"{file}: {first.quantity} of {first.variant} is {first.value}, expected above 0 and finite"
        )
    counts = pd.crosstab(table.variant, table.quantity)
    for name, row in counts.iterrows():
        variant(name)
        if lacking := [quantity for quantity in _UNITS if not row.get(quantity)]:
            raise ValueError(f"{file} has no {lacking[0]} of {name}: it is not what the harness wrote")
    settings = set(table.setting[table.quantity == "loss"])
    if len(settings) > 1 or len(set(counts.loss)) > 1 or counts.loss.min() < 2:
        raise ValueError(f"{file} has losses on different windows of text: they can't be paired")


def run_id(table: pd.DataFrame) -> str:
    """A hash of all rows but for the run_id itself."""
    rest = table[[name for name in COLUMNS if name != "run_id"]]
    return hashlib.sha256(rest.to_csv(index=False).encode()).hexdigest()[:16]


def summary(run: Run) -> pd.DataFrame:
    """A row a variant: median or mean, and `_lo` and `_hi` of a 95 % interval where it was sampled.

    perplexity; change (of it against fp32, paired, a fraction); bits_per_weight; ttft_s, tpot_s; tokens_per_s (of a
    whole batch); memory_bytes (peak while serving); file_bytes (derived: the blocks' weights at these bits).
    """
    return pd.DataFrame([_summary(run, name) for name in run.variants]).set_index("variant")


def priced(
    table: pd.DataFrame, usd_per_hour: float, utilization: float = 1.0, watts: float = 30.0, pue: float = 1.2
) -> pd.DataFrame:
    """The summary with usd_per_mtok and kwh_per_mtok, each with the interval of tokens_per_s.

    usd_per_hour and watts are those of the machine while it is busy, and assumptions of yours.
    """
    table = table.copy()
    for end, rate in (("", "tokens_per_s"), ("_lo", "tokens_per_s_hi"), ("_hi", "tokens_per_s_lo")):
        table[f"usd_per_mtok{end}"] = [
            self_hosted_usd_per_mtok(usd_per_hour, one, utilization) for one in table[rate]
        ]
        table[f"kwh_per_mtok{end}"] = [
            energy_kwh_per_mtok(watts, one, power_share=1.0, pue=pue, server_factor=1.0)
            for one in table[rate]
        ]
    return table


def _samples(one: Variant, quality: dict, speed: dict) -> list[dict]:
    """Long rows of a variant, but for the run's own columns."""
    found = []

    def add(quantity: str, values, row: dict, setting: str) -> None:
        for sample, value in enumerate(values):
            found.append(
                {
                    "variant": one.name,
                    "served_as": one.served_as,
                    "quantity": quantity,
                    "sample": sample,
                    "value": value,
                    "unit": _UNITS[quantity],
                    "model": row["model"],
                    "setting": setting,
                    "environment": row["environment"],
                    "as_of": row["as_of"],
                }
            )

    add("loss", quality["losses"], quality, f"{quality['setting']}, text {quality['text_id']}")
    add("bits_per_weight", [quality["bits_per_weight"]], quality, "codes and scales of the blocks")
    for quantity in _TIMES:
        add(quantity, speed[quantity], speed, speed["setting"])
    for quantity in ("served_bytes", "peak_bytes", "weights", "batch"):
        add(quantity, [speed[quantity]], speed, speed["setting"])
    return found


def _summary(run: Run, name: str) -> dict:
    perplexity, change = run.perplexity(name), run.change(name)
    bits, peak, weights, batch = (
        run.values(name, what)[0] for what in ("bits_per_weight", "peak_bytes", "weights", "batch")
    )
    found = {"variant": name, "what": variant(name).what, "served_as": variant(name).served_as}
    for column, one in (("perplexity", perplexity), ("change", change)):
        found |= {column: one.mean, f"{column}_lo": one.lo, f"{column}_hi": one.hi}
    for quantity in ("ttft_s", "tpot_s"):
        one = run.median(name, quantity)
        found |= {quantity: one.median, f"{quantity}_lo": one.low, f"{quantity}_hi": one.high}
    step = run.median(name, "step_s")
    for end, seconds in (("", step.median), ("_lo", step.high), ("_hi", step.low)):
        found[f"tokens_per_s{end}"] = batch / seconds
    return found | {"bits_per_weight": bits, "memory_bytes": peak, "file_bytes": bits * weights / 8}


def _parsed(text: str) -> pd.DataFrame:
    # Numbers by Python: the parser of pandas is quicker and may miss the last digit.
    table = pd.read_csv(io.StringIO(text), dtype={"run_id": str, "value": str})
    return table.assign(value=table["value"].astype(float)) if "value" in table else table
