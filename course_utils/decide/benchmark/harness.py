"""Every variant measured: quality in parallel, then the timings, one after another and alone; one CSV at the end.

    run(USUAL, "benchmark.csv", seed=7)                  # on this machine's cores
    run(USUAL, "benchmark.csv", seed=7, backend="ray")   # on a Ray cluster, by joblib's Ray backend

Losses don't depend on who else computes, so variants are scored side by side, each in a process with one thread.
Seconds do: two kernels that share a memory bus slow each other down, so one is timed at a time, while nothing else
runs. On a GPU everything takes turns in this process. Where there is no torch, a recorded run is replayed.
An interrupted run goes on where it stopped: a measurement is a line of `<out>.partial.jsonl` once it is there.
Taught in: chapter 12, section 2.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from course_utils.decide.benchmark import measuring, results
from course_utils.decide.benchmark.variants import USUAL, Variant, chosen
from course_utils.measure.footprint import release_memory
from course_utils.measure.machine import environment, usable_cores
from course_utils.measure.recorded import Case, Partial, recording, terms_of
from course_utils.measure.runtime import tier

RECORDING = "benchmark_lab"
BACKENDS = ("loky", "ray", "sequential")
Job = tuple[str, str, str, int]  # key, "quality" or "speed", variant, seed


def run(
    variants: Sequence[str] = USUAL,
    out: Path | str = "benchmark.csv",
    *,
    seed: int = 0,
    backend: str = "loky",
    progress: bool = True,
) -> results.Run:
    """Measure these variants and fp32, write them to `out`, whole, and return them.

    seed draws the calibration text: the same one gives the same losses. backend: joblib's processes on this
    machine, "ray", or "sequential" for this process alone. A variant whose kernel isn't here is in `Run.left_out`.
    ValueError for an unknown variant, naming the nearest; rows of an interrupted run on another machine, seed or
    version are measured again.
    """
    wanted, out = chosen(variants), Path(out)
    if backend not in BACKENDS:
        raise ValueError(f"backend={backend!r}: expected one of {', '.join(BACKENDS)}")
    if tier() == "replay":
        recorded = recording(RECORDING)
        return results.write(out, wanted, {row["key"]: row for row in recorded.rows}, recorded.seed)
    partial = Partial(out.with_name(f"{out.name}.partial.jsonl"), terms_of(seed))
    left = [job for job in jobs(wanted, seed) if job[0] not in partial.rows]
    unable = {}
    with (
        _workers("sequential" if tier() == "gpu" else backend) as (side_by_side, alone),
        _bar(left, progress) as bar,
    ):
        scored = side_by_side([job for job in left if job[1] == "quality"])
        for row in chain(scored, alone([job for job in left if job[1] == "speed"])):
            bar.update()
            if "cannot" in row:
                unable[row["key"]] = row
            else:
                partial.add(row)
    made = results.write(out, wanted, {**partial.rows, **unable}, seed)
    partial.forget()
    return made


def cases(seed: int = 0) -> Iterator[Case]:
    """Of the recording that is replayed where nothing can be measured: `course record benchmark_lab`."""
    for job in jobs(chosen(USUAL), seed):
        yield job[0], lambda job=job: measured(job)


def jobs(variants: Iterable[Variant], seed: int) -> list[Job]:
    """A quality job a variant; then a speed job for each way to be served, which variants may share."""
    served = {one.served_as: one for one in variants}
    return [(f"quality {one.name}", "quality", one.name, seed) for one in variants] + [
        (f"speed {served_as}", "speed", one.name, seed) for served_as, one in served.items()
    ]


def measured(job: Job) -> dict:
    """What a worker does: one row, with the machine that it was measured on, or why it cannot be."""
    key, what, name, seed = job
    try:
        row = {"quality": measuring.quality, "speed": measuring.speed}[what](name, seed)
    except measuring.CannotRun as reason:
        return {"key": key, "cannot": str(reason)}
    finally:
        release_memory()  # a worker that waits would hold on to 500 MB
    here, _, as_of = environment().rpartition(" · ")
    return {"key": key, "environment": here, "as_of": as_of, **row}


@contextlib.contextmanager
def _workers(backend: str):
    """Two functions from jobs to their rows as they come: side by side, and alone, one after another.

    The processes behind them end with the block, whatever ends it.
    """
    from joblib import Parallel, delayed, effective_n_jobs, parallel_config
    from joblib.externals.loky import get_reusable_executor

    # Two at least: with one, joblib would compute in this process, which had then torch and a model in it.
    count = -1 if backend == "ray" else max(2, int(usable_cores()))
    threads = {"inner_max_num_threads": 1} if backend == "loky" else {}
    as_they_come = {"return_as": "generator_unordered"} if backend == "loky" else {}
    try:
        with (
            _cluster(backend),
            parallel_config(backend=backend, n_jobs=count, **threads),
            Parallel(**as_they_come) as pool,
        ):
            # Elsewhere joblib gives results back once all are there: so in waves, and what is there is kept.
            wave = {"loky": None, "ray": effective_n_jobs(), "sequential": 1}[backend]

            def side_by_side(work: Sequence[Job]) -> Iterator[dict]:
                size = wave or max(1, len(work))
                for at in range(0, len(work), size):
                    yield from pool(delayed(measured)(job) for job in work[at : at + size])

            def alone(work: Sequence[Job]) -> Iterator[dict]:
                if backend != "loky":
                    yield from (row for job in work for row in side_by_side([job]))
                    return
                # One process in place of all: the others, idle, would hold 400 MB each beside the largest model.
                one = get_reusable_executor(max_workers=1)
                yield from (one.submit(measured, job).result() for job in work)

            yield side_by_side, alone
    finally:
        if backend == "loky":
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


@contextlib.contextmanager
def _cluster(backend: str):
    """Ray for as long as it is needed, and joblib knows it; nothing for the others."""
    if backend != "ray":
        yield
        return
    from course_utils.scale.cluster.runtime import ray_runtime

    log = logging.getLogger("ray.util.multiprocessing.pool")
    before = log.level
    with ray_runtime():
        from ray.util.joblib import register_ray

        register_ray()
        log.setLevel(logging.ERROR)  # it warns of an argument that joblib always gives
        try:
            yield
        finally:
            log.setLevel(before)


def _bar(work: Sequence, progress: bool):
    from tqdm.auto import tqdm

    return tqdm(total=len(work), desc="measuring", unit="row", disable=not progress)
