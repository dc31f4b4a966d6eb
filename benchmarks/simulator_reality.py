#!/usr/bin/env python3
"""How far the simulator is from real engines: python benchmarks/simulator_reality.py --tables DIR.

Every open-loop run of vLLM in the published tables is simulated under its own traffic, engine limits and lengths, with
constants fitted without its model. Errors are |simulated/measured - 1| of a run's mean TTFT, TPOT and end-to-end time;
the closed form of `estimate`, with the same constants, stands beside.

What was chosen with these runs in sight: the launches of a prefill delay the new request and nobody else (see
`step_times.before_schedule_s`), and BLIS's replies are as long as their median. Its client counts two chunks a token:
that makes 248 tokens a reply where the median says 248 and the mean, for Llama-2-7B, 194; and replies of very
different lengths could not all take as long as each other (90th percentile of E2E 1.1 times the median). That nine
tenths of BLIS's prompts are found in the prefix cache is assumed, as in the fit. Nothing else is tuned here.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from course_utils.estimate.calibration.fit import fit, log_constants
from course_utils.estimate.calibration.names import table_gpu, table_model
from course_utils.estimate.calibration.scores import prepare
from course_utils.estimate.calibration.tables import published, read_table
from course_utils.estimate.deployment import Deployment, deployment
from course_utils.estimate.throughput import speed
from course_utils.estimate.work import Constants, labels, work_of
from course_utils.scale.fleet import Fleet
from course_utils.scale.simulator import simulate
from course_utils.scale.step_times import step_times
from course_utils.scale.traffic import Traffic

METRICS = ("ttft_s", "tpot_s", "e2e_s")
PREFIX_HIT = 0.9  # as `calibration.tables.blis_open_loop` assumes


@dataclass(frozen=True, eq=False)
class Run:
    """A published run: what was served where, the limits that the engine was given, and means of what was measured.

    `from_queue`: times count from the engine's queue, so that HTTP and tokenizer are not in them.
    """

    table: str
    one: Deployment
    traffic: Traffic
    limits: dict
    measured: dict
    from_queue: bool


def blis_runs(folder: Path) -> list[Run]:
    """vLLM on H100 at constant rates; runs of which over 10 % of requests failed are left out, as by their authors."""
    raw = read_table(folder, "blis_vllm_h100_openloop")
    runs = []
    for row in raw[(raw.stage != "summary") & (raw.overload_excluded == 0)].itertuples():
        one = deployment(
            table_model(row.model), table_gpu(row.gpu), gpus=row.tp, tp=row.tp, precision_name="fp16",
            isl=row.isl_mean, osl=row.osl_median, load=f"rate={row.requested_rate}", prefix_hit=PREFIX_HIT,
        )  # fmt: skip
        count, isl, osl = row.requests, round(row.isl_mean), round(row.osl_median)
        traffic = Traffic(
            np.arange(count) / row.requested_rate,
            np.full(count, isl),
            np.full(count, osl),
            name=f"{row.experiment} {row.stage}",
            origin="BLIS's rates and lengths",
            prefix_id=np.zeros(count),
            prefix_tokens=np.full(count, int(PREFIX_HIT * isl)),
        )
        tpot = (row.e2e_s_mean - row.ttft_s_mean) / (osl - 1)
        measured = {"ttft_s": row.ttft_s_mean, "tpot_s": tpot, "e2e_s": row.e2e_s_mean}
        limits = {"max_running": row.max_num_seqs, "step_tokens": row.max_num_batched_tokens}
        runs.append(Run("blis", one, traffic, limits, measured, from_queue=False))
    return runs


def llmservingsim_runs(folder: Path) -> list[Run]:
    """vLLM 0.19, 300 requests at about 10/s, each replayed at its time. The limits of an engine hold for each of its
    data-parallel copies; KV capacity is the estimate's where the table has none."""
    raw = read_table(folder, "llmservingsim_vllm_requests").sort_values("arrival_s", kind="stable")
    runs = []
    for label, run in raw.groupby("run"):
        first = run.iloc[0]
        copies = int(first.dp)
        one = deployment(
            table_model(first.model), table_gpu(first.gpu), gpus=first.tp * copies,
            tp=first.tp * copies if first.ep else first.tp, attention_dp=copies if first.ep else 1,
            isl=run.input_toks.mean(), osl=run.output_toks.mean(), load=f"rate={len(run) / run.arrival_s.max()}",
        )  # fmt: skip
        requests = run.arrival_s.to_numpy(), run.input_toks.to_numpy(), run.output_toks.to_numpy()
        # The runs had prefix caching on: a preempted request finds what is left of its own prompt.
        traffic = Traffic(
            *requests, name=label, origin="LLMServingSim's requests",
            prefix_id=np.arange(len(run)), prefix_tokens=requests[1],
        )  # fmt: skip
        limits = {"max_running": int(first.max_num_seqs) * copies}
        limits["step_tokens"] = int(first.max_num_batched_tokens) * copies
        if np.isfinite(first.kv_tokens):
            limits["kv_tokens"] = int(first.kv_tokens)
        measured = {metric: run[metric].mean() for metric in METRICS}
        runs.append(Run("llmservingsim", one, traffic, limits, measured, from_queue=True))
    return runs


def constants_without(folder: Path, runs: list[Run], note) -> dict[str, Constants]:
    """Constants of each run's model, fitted on all published rows but this model's."""
    scored = prepare(published(folder))
    found = {}
    for one in {run.one.shape.name: run.one for run in runs}.values():
        others = (scored.frame["shape"] != one.shape.name).to_numpy()
        deviations = fit(scored.data.take(others))
        for other in {labels(run.one): run.one for run in runs if run.one.shape is one.shape}:
            found[one.shape.name, other] = Constants(*np.exp(log_constants([other], deviations)).T)
        note(f"fitted without {one.shape.name}: {int((~others).sum())} rows left out")
    return found


def simulated(run: Run, c: Constants) -> dict[str, float]:
    """Means of the simulated run."""
    limits = run.limits | ({"request_s": 0.0} if run.from_queue else {})
    fleet = Fleet(replace(step_times(run.one, c), **limits), prefix_cache=True)
    outcome = simulate(run.traffic, fleet)
    return {metric: float(np.nanmean(getattr(outcome, metric))) for metric in METRICS}


def closed_form(run: Run, c: Constants) -> dict[str, float]:
    """What `predict` says of the run's mean rate; where that is above capacity, TTFT is infinite."""
    found = speed(work_of([run.one]), c, np.array([run.one.load]))
    ttft, tpot = found.ttft_s.item(), found.tpot_s.item()
    return {"ttft_s": ttft, "tpot_s": tpot, "e2e_s": ttft + (run.one.osl - 1) * tpot}


def table_of(runs: list[Run], constants: dict) -> pd.DataFrame:
    """One line per run and metric: measured, simulated, closed form, and the errors of both."""
    lines = []
    for run in runs:
        c = constants[run.one.shape.name, labels(run.one)]
        ours, formula = simulated(run, c), closed_form(run, c)
        lines += [
            {
                "table": run.table,
                "model": run.one.shape.name,
                "run": run.traffic.name,
                "rate": run.traffic.rate_per_s,
                "metric": metric,
                "measured": run.measured[metric],
                "simulated": ours[metric],
                "closed form": formula[metric],
                "error": abs(ours[metric] / run.measured[metric] - 1),
                "closed form's": abs(formula[metric] / run.measured[metric] - 1),
            }
            for metric in METRICS
        ]
    return pd.DataFrame(lines)


def summary(lines: pd.DataFrame, over: list[str]) -> pd.DataFrame:
    """Median, mean and 90th percentile of the simulator's error, and the closed form's median, over runs."""
    groups = lines.groupby([*over, "metric"], sort=False)
    return groups.agg(
        runs=("error", "size"),
        median=("error", "median"),
        mean=("error", "mean"),
        p90=("error", lambda values: values.quantile(0.9)),
        closed_form_median=("closed form's", "median"),
        closed_form_p90=("closed form's", lambda values: values.quantile(0.9, interpolation="higher")),
    ).reset_index()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tables", default=os.environ.get("COURSE_MEASURED_TABLES"), help="folder of the tables"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    options = parser.parse_args()
    if not options.tables:
        print(
            "Give the folder of the published tables: --tables DIR, or COURSE_MEASURED_TABLES.",
            file=sys.stderr,
        )
        return 2
    folder = Path(options.tables)
    try:
        runs = blis_runs(folder) + llmservingsim_runs(folder)
        constants = constants_without(folder, runs, lambda text: print(text, file=sys.stderr))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    lines = table_of(runs, constants)
    report = {
        "overall": summary(lines, []),
        "by table": summary(lines, ["table"]),
        "by model": summary(lines, ["table", "model"]),
        "every run, seconds": lines,
    }
    if options.json:
        print(json.dumps({title: table.to_dict("records") for title, table in report.items()}, indent=1))
        return 0
    with pd.option_context("display.width", 250, "display.max_columns", 40):
        for title, table in report.items():
            print(f"\n{title}\n{table.to_string(index=False, float_format=lambda value: f'{value:.3f}')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
