"""Fit `data/spot_processes.csv`, `spot_shocks.csv` and `spot_drift.csv` to a copy of SkyPilot's traces.

    git clone https://github.com/skypilot-org/spot-traces
    python -m course_utils.scale.spot_fit spot-traces --write data

Without --write the tables and what was left out, with the reason, are only printed.
"""

import argparse
import csv
import sys
from dataclasses import astuple, fields, replace
from datetime import datetime
from itertools import combinations
from pathlib import Path

import numpy as np

from course_utils.scale.durations import fit_durations
from course_utils.scale.preemption import Drift, RegionShock, SpotProcess, region_of
from course_utils.scale.spot_traces import Trace, read_trace

SOURCE = "skypilot-org/spot-traces {path}@221da1ab9b, fitted by course_utils.scale.spot_fit"
# Spells of this collection come in multiples of 3.25 ticks: the cloud was asked every 634 s, not every 195 s.
PROBE_TICKS = {"aws-02-15-2023": 3.25}
NOTES = {"aws-04-19-2023": "r5.16xlarge; the folder says 2023-04-19, the README 2023-05-01"}
CHIPS = {"v100": "V100", "k80": "K80", "intel": "Intel CPU"}
LAGS_H = (1, 2, 3, 4, 5, 6)


def trace_paths(folder: Path) -> dict[str, Path]:
    """Published path (availability/1-node/aws-…/zone_chip_n.json) -> file; `__` in a name stands for a folder."""
    found = {}
    for path in sorted(Path(folder).rglob("*.json")):
        parts = path.relative_to(folder).as_posix().replace("__", "/").split("/")
        if len(parts) >= 4 and parts[-4] in ("availability", "preemption"):
            found["/".join(parts[-4:])] = path
    if not found:
        raise ValueError(f"folder={str(folder)!r}: no availability/ or preemption/ traces in it")
    return found


def fit_process(trace: Trace, published: str) -> SpotProcess:
    """One row. ValueError where the trace holds too few preemptions to fit."""
    kind, nodes, collection, name = published.removesuffix(".json").split("/")
    zone, chip, *count = name.split("_")
    probe_h = trace.gap_s * PROBE_TICKS.get(collection, 1) / 3600
    lengths, up = trace.spells()
    inner = np.ones(len(lengths), dtype=bool)
    inner[[0, -1]] = False
    opened = fit_durations(lengths[inner & up], lengths[~inner & up], probe_h)
    memoryless = fit_durations(lengths[inner & up], lengths[~inner & up], probe_h, "exponential")
    closed = fit_durations(lengths[inner & ~up], lengths[~inner & ~up], probe_h)
    full_mean_h, partial_mean_h = _full_and_partial(trace)
    return SpotProcess(
        provider=collection.split("-")[0].upper(),
        zone=zone,
        chip=CHIPS.get(chip, chip),
        chips_per_instance=int(count[0]) if chip != "intel" else 1,
        kind=kind,
        instances=int(nodes.split("-")[0]),
        hours=round(trace.hours, 1),
        availability=round(trace.availability(), 4),
        losses=int(np.sum(np.diff(trace.alive > 0) & (trace.alive[1:] == 0))),
        **_columns("up", opened),
        exponential_up_ks=round(memoryless.ks, 3),
        **_columns("down", closed),
        full_mean_h=round(full_mean_h, 3),
        partial_mean_h=round(partial_mean_h, 3),
        note=NOTES.get(collection),
        source=SOURCE.format(path=published),
        as_of=_started(collection),
    )


def _columns(state: str, fit) -> dict:
    one = fit.durations
    return {
        f"{state}_family": one.family,
        f"{state}_mean_h": round(one.mean_h, 3),
        f"{state}_shape": round(one.shape, 3),
        f"{state}_ks": round(fit.ks, 3),
    }


def _started(collection: str):
    return datetime.strptime(collection.split("-", 1)[1], "%m-%d-%Y").date()


def _full_and_partial(trace: Trace) -> tuple[float, float]:
    """Mean spells with all and with some instances while the zone is open, in their shares of time."""
    partial = (trace.alive > 0) & (trace.alive < trace.capacity)
    spells = np.sum(np.diff(partial, prepend=False) & partial)
    if not spells:
        return 0.0, 0.0
    partial_h = partial.sum() * trace.gap_s / 3600
    full_h = (trace.alive == trace.capacity).sum() * trace.gap_s / 3600
    return full_h / spells, partial_h / spells


def fit_shock(traces: dict[str, Trace], elsewhere: list[Trace], **about) -> RegionShock:
    """What zones of one region share: q from each pair's overlap, spells from its covariance's decay."""
    ratios, phis, decays = [], [], []
    for one, other in combinations(traces.values(), 2):
        x, y = _together(one, other)
        ratios.append(np.mean(x * y) / (x.mean() * y.mean()))
        phis.append(np.corrcoef(x, y)[0, 1])
        decays.append([_covariance(x, y, round(lag * 3600 / one.gap_s)) for lag in (0, *LAGS_H)])
    q = 1 / np.median(ratios)
    if q >= 1:
        raise ValueError("its zones close together no more often than chance has it")
    mean = np.mean(decays, axis=0)
    kept = mean[1:] > 0.05 * mean[0]
    lags = np.array(LAGS_H)[kept]
    # Least squares through the origin: log covariance falls by lag / tau.
    tau_h = float(np.sum(lags**2) / np.sum(lags * -np.log(mean[1:][kept] / mean[0])))
    across = [np.corrcoef(*_together(one, other))[0, 1] for one in traces.values() for other in elsewhere]
    return RegionShock(
        **about,
        zones=len(traces),
        phi=round(float(np.mean(phis)), 3),
        phi_other_regions=round(float(np.mean(across)), 3) if across else None,
        availability=round(float(q), 4),
        up_mean_h=round(tau_h / (1 - q), 2),
        down_mean_h=round(tau_h / q, 2),
    )


def _together(one: Trace, other: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Open (1.0) or not, over the ticks that both traces have: a collection starts its zones together."""
    ticks = min(len(one.alive), len(other.alive))
    return (one.alive[:ticks] > 0).astype(float), (other.alive[:ticks] > 0).astype(float)


def _covariance(x: np.ndarray, y: np.ndarray, lag: int) -> float:
    """Of x now and y `lag` ticks later, and the other way round."""
    x, y = x - x.mean(), y - y.mean()
    last = len(x) - lag
    return float(np.mean(x[:last] * y[lag:]) + np.mean(y[:last] * x[lag:])) / 2


def halves(trace: Trace) -> tuple[Trace, Trace]:
    """A trace cut in the middle: one half to fit, one that the fit has not seen."""
    middle = len(trace.alive) // 2
    return replace(trace, alive=trace.alive[:middle]), replace(trace, alive=trace.alive[middle:])


def fit_drift(traces: dict[str, Trace]) -> Drift:
    """How far zones move between the halves of their traces: four in five stay within 1.28 deviations."""
    changes, days = [], []
    for trace in traces.values():
        first, second = (_log_odds(half) for half in halves(trace))
        changes.append(abs(second - first))
        days.append(trace.hours / 48)
    return Drift(
        log_odds=round(float(np.quantile(changes, 0.8)) / 1.2816, 3),
        traces=len(changes),
        period_days=round(float(np.median(days)), 1),
        source=SOURCE.format(path="all traces with 8 preemptions or more"),
        as_of=max(_started(published.split("/")[2]) for published in traces),
    )


def _log_odds(trace: Trace) -> float:
    """Of being open. An hour on either side keeps it finite for a zone that never opened or never closed."""
    return float(
        np.log((trace.availability() * trace.hours + 1) / ((1 - trace.availability()) * trace.hours + 1))
    )


def fit_folder(folder: Path):
    """Processes, shocks, drift, and (published path, reason) of what could not be fitted."""
    processes, shocks, left_out = [], [], []
    fitted: dict[str, Trace] = {}
    collections: dict[tuple, dict[str, Trace]] = {}
    for published, path in trace_paths(folder).items():
        nodes = int(published.split("/")[1].split("-")[0])
        trace = read_trace(path, capacity=nodes)
        try:
            row = fit_process(trace, published)
        except ValueError as error:
            left_out.append((published, str(error)))
            continue
        processes.append(row)
        fitted[published] = trace
        collection = published.rsplit("/", 1)[0]
        collections.setdefault((collection, row.chip, row.chips_per_instance), {})[row.zone] = trace
    for (collection, chip, count), zones in collections.items():
        for region in sorted({region_of(zone) for zone in zones}):
            inside = {zone: trace for zone, trace in zones.items() if region_of(zone) == region}
            outside = [trace for zone, trace in zones.items() if region_of(zone) != region]
            if len(inside) < 2:
                continue
            about = {"region": region, "chip": chip, "chips_per_instance": count}
            about |= {"provider": collection.split("/")[-1].split("-")[0].upper()}
            about |= {"source": SOURCE.format(path=collection), "as_of": _started(collection.split("/")[-1])}
            try:
                shocks.append(fit_shock(inside, outside, **about))
            except ValueError as error:
                left_out.append((f"{collection}, {region}", str(error)))
    if not fitted:
        raise ValueError(f"folder={str(folder)!r}: no trace with enough preemptions in it")
    return processes, shocks, fit_drift(fitted), left_out


def write_rows(path: Path, rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(rows[0])])
        writer.writerows(["" if cell is None else cell for cell in astuple(row)] for row in rows)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a copy of skypilot-org/spot-traces")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write both tables into DIR")
    given = parser.parse_args(arguments)
    processes, shocks, drift, left_out = fit_folder(given.folder)
    for row in processes:
        print(
            f"{row.zone:14} {row.chips_per_instance} x {row.chip:9} {row.instances:2} inst  "
            f"open {row.availability:6.1%} {row.losses:4} losses  "
            f"up {row.up_mean_h:6.2f} h {row.up_family:11} {row.up_shape:.2f} KS {row.up_ks:.2f}"
            f" (exponential {row.exponential_up_ks:.2f})  down {row.down_mean_h:5.2f} h {row.down_family:11} "
            f"KS {row.down_ks:.2f}"
        )
    for row in shocks:
        print(
            f"{row.region:12} {row.chips_per_instance} x {row.chip:9} {row.as_of} {row.zones} zones"
            f"  phi {row.phi:.2f}  q {row.availability:.3f}"
            f"  open {row.up_mean_h:.1f} h  closed {row.down_mean_h:.1f} h"
        )
    print(
        f"drift: log odds of {drift.log_odds} from one {drift.period_days} days to the next, {drift.traces} traces"
    )
    for published, reason in left_out:
        print(f"left out: {published}: {reason}", file=sys.stderr)
    if given.write:
        write_rows(given.write / "spot_processes.csv", processes)
        write_rows(given.write / "spot_drift.csv", [drift])
        if shocks:
            write_rows(given.write / "spot_shocks.csv", shocks)


if __name__ == "__main__":
    main()
