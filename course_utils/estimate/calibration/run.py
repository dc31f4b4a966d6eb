"""From the folder of tables to `data/engines/`: fit, score on held-out groups, derive intervals, write."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.estimate.calibration.files import COMMAND, engine_file, pooled_file, write_json
from course_utils.estimate.calibration.fit import METRICS, fit, spreads_of
from course_utils.estimate.calibration.scores import by_group, errors, held_out, prepare
from course_utils.estimate.calibration.tables import published, source_of
from course_utils.estimate.engine import fitted
from course_utils.estimate.uncertainty import conformal_half_width, half_width, look_up

UNMEASURED = (
    "new_family: a chip family that no table measures (Volta and Turing, CPU, TPU, Gaudi, Trainium, Inferentia); the "
    "80th percentile of errors on families left out whole, each family counting once. new_pair: a family measured "
    "under other engines only; the same for pairs of engine and family left out. other: an engine left out."
)
# An interval of its own needs at least so many held-out groups, and counts beside as many of the next wider kind: the
# 80th percentile of a handful is close to its worst, whichever that happens to be.
ENOUGH_GROUPS = 4
BORROWED_GROUPS = 8


def fit_all(folder: Path, out: Path, as_of: str, note: Callable = lambda text: None) -> list[Path]:
    """Write every file of `out`; the paths written. ValueError where the folder or a table isn't there."""
    scored = prepare(published(folder))
    note(f"{len(scored.frame)} rows to fit, {len(scored.refused)} listed with a reason")
    deviations = fit(scored.data)
    spreads = spreads_of(scored.data, deviations)
    unseen = {
        column: errors(scored, held_out(scored, column, note))
        for column in ("shape", "chip", "engine_name", "family", "pair")
    }
    header = {"as_of": as_of, "command": COMMAND}
    written = []
    for name in sorted(set(scored.frame.engine_name)):
        own = scored.frame[scored.frame.engine_name == name]
        content = engine_file(name, deviations, spreads, header | {"tables": _tables(own, folder)})
        content["error"] = _error(unseen, name)
        written.append(_write(out / f"{name}.json", content))
    content = pooled_file(deviations, spreads, header | {"tables": _tables(scored.frame, folder)})
    written.append(_write(out / "pooled.json", content | {"error": _error(unseen, None)}))
    families = scored.frame.groupby("engine_name").family.unique()
    content = header | {
        "families": {name: sorted(found) for name, found in families.items()},
        "half_width": half_widths(unseen),
        "unmeasured": UNMEASURED,
    }
    written.append(_write(out / "intervals.json", content))
    fitted.cache_clear()
    return written


def _write(path: Path, content: dict) -> Path:
    write_json(path, content)
    return path


def _tables(rows: pd.DataFrame, folder: Path) -> list[dict]:
    """Name, public origin, rows and groups of each table used."""
    return [
        {
            "table": table,
            "source": source_of(folder, table),
            "rows": len(part),
            "groups": len(part.groupby(["shape", "chip"])),
        }
        for table, part in rows.groupby("table")
    ]


def _error(unseen: dict[str, pd.DataFrame], engine_name: str | None) -> dict:
    """Error of held-out groups: median, mean, 90th percentile over groups, by metric."""
    result = {}
    for column, label in (("shape", "leave_model_out"), ("chip", "leave_gpu_out")):
        lines = unseen[column]
        lines = lines if engine_name is None else lines[lines.engine_name == engine_name]
        result[label] = {
            row.metric: {"groups": int(row.groups)}
            | {name: round(float(getattr(row, name)), 3) for name in ("median", "mean", "p90")}
            for row in by_group(lines, ["metric"]).itertuples()
        }
    return result


def half_widths(unseen: dict[str, pd.DataFrame]) -> dict:
    """Log half-widths by metric: engine/kind/load where enough groups were held out, then wider and wider keys.

    A closed loop's throughput is its requests over their life, which TPOT makes up: its errors count for both. The
    table then gets one factor per metric, so that held-out groups are covered as often as LEVEL says.
    """
    both = pd.concat([unseen["shape"], unseen["chip"]], ignore_index=True)
    closed = both[(both.metric == "tpot_s") & (both.load_kind == "concurrency")]
    result = {}
    for metric in METRICS:
        lines = both[both.metric == metric]
        more = [lines, closed] if metric == "out_tok_s_per_gpu" else [lines]
        table = _widths(pd.concat(more))
        strange = unseen["engine_name"][unseen["engine_name"].metric == metric]
        table["other"] = round(conformal_half_width(strange.log_error, _groups(strange)), 3)
        for key, column in (("new_family", "family"), ("new_pair", "pair")):
            strange = unseen[column][unseen[column].metric == metric]
            table[key] = round(conformal_half_width(strange.log_error, strange[column]), 3)
        keys = zip(lines.engine_name, lines.kind, lines.load_kind, strict=True)
        relative = lines.log_error.abs().to_numpy() / [look_up(table, *key) for key in keys]
        factor = conformal_half_width(relative, _groups(lines))
        result[metric] = {
            key: round(width * (1.0 if key in ("other", "new_family", "new_pair") else factor), 3)
            for key, width in table.items()
        }
    return result


def _widths(lines: pd.DataFrame) -> dict[str, float]:
    """Half-width of every key with enough groups, drawn towards the next wider key's, and of `any`."""
    table = {"any": conformal_half_width(lines.log_error, _groups(lines))}
    for columns in (["engine_name"], ["kind"], ["engine_name", "kind"], ["engine_name", "kind", "load_kind"]):
        for label, part in lines.groupby(columns):
            count = _groups(part).nunique()
            if count < ENOUGH_GROUPS:
                continue
            if len(label) == 2:  # an engine's dense or expert models: halfway between both
                wider = np.sqrt([table.get(one, table["any"]) for one in label]).prod()
            else:
                wider = table.get("/".join(label[:-1]), table["any"])
            own = conformal_half_width(part.log_error, _groups(part))
            share = count / (count + BORROWED_GROUPS)
            table["/".join(label)] = float(own**share * wider ** (1.0 - share))
    return table


def _groups(lines: pd.DataFrame) -> pd.Series:
    return lines[["table", "shape", "chip"]].agg("/".join, axis=1)


def coverage(without_model: pd.DataFrame, without_gpu: pd.DataFrame) -> pd.DataFrame:
    """Share of held-out rows inside the intervals of `data/engines/intervals.json`, by group, and their width.

    `share` is the mean over groups; `high/low` the median over groups of the ratio of the interval's ends.
    """
    result = []
    for label, lines in (("model left out", without_model), ("GPU left out", without_gpu)):
        for metric, part in lines.groupby("metric"):
            widths = np.array(
                [
                    half_width(metric, *key)
                    for key in zip(part.engine_name, part.kind, part.load_kind, strict=True)
                ]
            )
            inside = part.assign(inside=part.log_error.abs().to_numpy() <= widths)
            shares = inside.groupby(["table", "shape", "chip"]).inside.mean()
            ratio = np.exp(2 * widths)
            group_ratio = part.assign(ratio=ratio).groupby(["table", "shape", "chip"]).ratio.median().median()
            result.append(
                {"left out": label, "metric": metric, "groups": len(shares), "share": shares.mean()}
                | {
                    "of rows": inside.inside.mean(),
                    "high/low": group_ratio,
                    "of rows high/low": np.median(ratio),
                }
            )
    return pd.DataFrame(result)
