"""How good the constants are on rows they haven't seen: leave a model or a GPU out, fit the rest, compare by group."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from course_utils.estimate.baselines import BASELINES, baseline
from course_utils.estimate.calibration.fit import METRICS, Data, data_of, fit, log_constants, predict_logs
from course_utils.estimate.calibration.names import table_gpu, table_model
from course_utils.estimate.deployment import Deployment, deployment
from course_utils.estimate.memory import DoesNotFit
from course_utils.estimate.work import labels, work_of

# One shape under two names counts as one model: leaving out only one would be no test.
_SAME = {"DeepSeek-R1": "DeepSeek-V3"}


@dataclass
class Scored:
    """Published rows that can be predicted (`frame`, `deployments`, `data`, in one order), and those that can't."""

    frame: pd.DataFrame
    deployments: list[Deployment]
    data: Data
    refused: pd.DataFrame


def prepare(rows: pd.DataFrame) -> Scored:
    """Turn published rows into deployments. A row with a `reason`, or one that doesn't place, goes to `refused`."""
    kept, deployments, reasons = [], [], {}
    for row in rows.itertuples():
        if row.reason:
            reasons[row.Index] = row.reason
            continue
        try:
            one = deployment(
                table_model(row.model),
                table_gpu(row.gpu),
                gpus=row.gpus,
                tp=row.tp,
                pp=row.pp,
                attention_dp=row.attention_dp,
                precision_name=row.precision,
                isl=row.isl,
                osl=row.osl,
                engine_name=row.engine,
                load=row.load,
                prefix_hit=row.prefix_hit,
            )
        except (DoesNotFit, ValueError) as error:
            reasons[row.Index] = str(error)
            continue
        if _too_fast(one, row):
            reasons[row.Index] = (
                "a token takes less time than the data sheet needs: fewer ran at once than stated"
            )
            continue
        kept.append(row.Index)
        deployments.append(one)
    frame = rows.loc[kept].reset_index(drop=True)
    frame["shape"] = [_SAME.get(one.shape.name, one.shape.name) for one in deployments]
    frame["chip"] = [one.chip.name for one in deployments]
    frame["kind"] = ["moe" if one.shape.experts else "dense" for one in deployments]
    frame["engine_name"] = [one.settings.name for one in deployments]
    frame["family"] = [labels(one)[1] for one in deployments]
    frame["pair"] = frame.engine_name + "/" + frame.family
    frame["load_kind"] = [one.load for one in deployments]
    groups = frame.groupby(["table", "shape", "chip"]).ngroup().to_numpy()
    measured = np.stack([frame.out_tok_s_per_gpu, frame.ttft_ms / 1e3, frame.tpot_ms / 1e3], axis=1).astype(
        float
    )
    refused = rows.loc[list(reasons)].assign(reason=list(reasons.values()))
    return Scored(frame, deployments, data_of(deployments, measured, groups), refused)


def _too_fast(one: Deployment, row) -> bool:
    """Whether a closed loop's measured TPOT is below an ideal step's, weights and cache at full bandwidth."""
    if one.load != "concurrency" or not np.isfinite(row.tpot_ms):
        return False
    ideal = baseline(work_of([one]), np.array([one.load]), BASELINES[0])["tpot_s"][0]
    return row.tpot_ms / 1e3 < ideal


def held_out(scored: Scored, column: str, note: Callable = lambda text: None) -> np.ndarray:
    """Log predictions of every row by constants fitted without its group in `column` (a name of `frame`'s).

    Each fit starts from the priors: nothing that it finds can come from the rows left out.
    """
    predicted = np.full(scored.data.log_measured.shape, np.nan)
    values = scored.frame[column].to_numpy()
    for value in sorted(set(values)):
        out = values == value
        deviations = fit(scored.data.take(~out))
        seen = scored.data.take(out)
        logs = log_constants(seen.combos, deviations)
        predicted[out] = predict_logs(seen, logs[seen.combo_of])
        note(f"fitted without {value}: {int(out.sum())} rows left out")
    return predicted


def errors(scored: Scored, log_predicted: np.ndarray) -> pd.DataFrame:
    """One line per row and metric: signed log error and |predicted/measured - 1|."""
    lines = []
    for position, metric in enumerate(METRICS):
        residual = scored.data.log_measured[:, position] - log_predicted[:, position]
        known = np.isfinite(residual)
        part = scored.frame.loc[
            known,
            ["table", "shape", "chip", "kind", "engine_name", "family", "pair", "precision", "load_kind"],
        ].copy()
        part["row"], part["metric"] = np.flatnonzero(known), metric
        part["log_error"] = residual[known]
        part["error"] = np.abs(np.exp(-residual[known]) - 1.0)
        lines.append(part)
    return pd.concat(lines, ignore_index=True)


def by_group(lines: pd.DataFrame, over: list[str]) -> pd.DataFrame:
    """Median, mean and 90th percentile over groups (table x model x GPU) of each group's median error."""
    groups = lines.groupby(["table", "shape", "chip", "metric"]).error.median().reset_index()
    table = groups.groupby(over).error.agg(
        groups="size", median="median", mean="mean", p90=lambda values: values.quantile(0.9)
    )
    return table.reset_index()
