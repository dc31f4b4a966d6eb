"""Batch jobs through a durable queue: delivered at least once, counted once, whoever dies in between.

    queue = JobQueue("jobs.sqlite")
    for i, text in enumerate(texts):
        queue.put(f"text-{i}", {"text": text})
    run_jobs(queue, summarize, workers=2)         # on Ray; queue.results() afterwards

A worker doesn't take a job away, it leases it. Done, it writes the result under the job's key, then acknowledges; a
worker that dies says nothing, its lease runs out, and the job is delivered again. Between result and acknowledgement
a job can be done twice, and no queue can rule that out; the key makes the second result no result.
Leases go by the machine's clock: set back, it makes them last longer; set forward, it has jobs done twice.
The queue is a SQLite file in WAL mode: one machine, any number of processes. What a broker adds is other machines.
Taught in: chapter 09.
"""

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Full
from typing import Any

from course_utils.catalog.provenance import check_range

_POLL_S = 0.05
_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  content TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'leased', 'done', 'dead')),
  deliveries INTEGER NOT NULL DEFAULT 0,
  leased_until_s REAL,
  worker INTEGER,
  error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS by_state ON jobs (state, number);
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, content TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Job:
    """What a worker has leased: its number of this delivery, 1 for the first, goes back with the acknowledgement."""

    key: str
    content: Any
    delivery: int


@dataclass(frozen=True)
class Counts:
    """Jobs by state, and how often any was delivered: above the number of jobs where some had to be done again."""

    waiting: int
    leased: int
    done: int
    dead: int
    deliveries: int

    @property
    def open(self) -> int:
        return self.waiting + self.leased


@dataclass(frozen=True)
class JobQueue:
    """A queue in the file `path`, made where there is none.

    lease_s: how long a worker may be silent before its job goes to another. most_deliveries: how often a job is tried
    before it is put aside as dead, so that one that kills its workers doesn't kill them all. bound: jobs that may
    wait; who puts more is made to wait too.
    """

    path: str | Path  # made absolute: a worker may be in another folder
    lease_s: float = 30.0
    most_deliveries: int = 3
    bound: int = 10_000

    def __post_init__(self):
        check_range("lease_s", self.lease_s, 0.1, 86_400)
        check_range("most_deliveries", self.most_deliveries, 1, 1000)
        check_range("bound", self.bound, 1, 10_000_000)
        object.__setattr__(self, "path", Path(self.path).absolute())
        with self._open() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(_TABLES)

    # --- who brings work --------------------------------------------------------------------------------------

    def put(self, key: str, content: Any, wait_s: float = 0.0) -> bool:
        """Append a job, `content` being anything that JSON holds; False where `key` is known already.

        Where `bound` jobs wait, so does this: queue.Full after `wait_s`.
        """
        until = time.monotonic() + wait_s
        text = json.dumps(content)
        while True:
            with self._open() as database:
                database.execute("BEGIN IMMEDIATE")  # nobody may add between the count and the insert
                if database.execute("SELECT 1 FROM jobs WHERE key = ?", (key,)).fetchone():
                    return False
                (waiting,) = database.execute("SELECT count(*) FROM jobs WHERE state = 'waiting'").fetchone()
                if waiting < self.bound:
                    added = database.execute(
                        "INSERT OR IGNORE INTO jobs (key, content) VALUES (?, ?)", (key, text)
                    )
                    return added.rowcount == 1
            if time.monotonic() >= until:
                raise Full(f"{waiting} jobs wait already, and bound={self.bound}")
            time.sleep(_POLL_S)

    # --- who does it ------------------------------------------------------------------------------------------

    def lease(self) -> Job | None:
        """The oldest job that waits, or whose lease has run out; None where there is none."""
        now = time.time()
        with self._open() as database:
            database.execute(
                "UPDATE jobs SET state = 'dead', error = 'lost with its worker' "
                "WHERE state = 'leased' AND leased_until_s < ? AND deliveries >= ?",
                (now, self.most_deliveries),
            )
            row = database.execute(
                "UPDATE jobs SET state = 'leased', deliveries = deliveries + 1, leased_until_s = ?, worker = ? "
                "WHERE number = (SELECT min(number) FROM jobs WHERE state = 'waiting' "
                "                OR (state = 'leased' AND leased_until_s < ?)) "
                "RETURNING key, content, deliveries",
                (now + self.lease_s, os.getpid(), now),
            ).fetchone()
        return Job(row[0], json.loads(row[1]), row[2]) if row else None

    def extend(self, job: Job) -> bool:
        """Hold the lease for another `lease_s`; False where it has gone to somebody else meanwhile."""
        return self._change(job, "leased_until_s = ?", time.time() + self.lease_s)

    def write_result(self, job: Job, result: Any) -> bool:
        """Keep `result` under the job's key; False where one is kept already, which then stays."""
        with self._open() as database:
            added = database.execute(
                "INSERT OR IGNORE INTO results VALUES (?, ?)", (job.key, json.dumps(result))
            )
            return added.rowcount == 1

    def acknowledge(self, job: Job) -> bool:
        """The job is done and its result kept. Whose lease has run out may say so as well: done is done."""
        with self._open() as database:
            sql = "UPDATE jobs SET state = 'done', error = '' WHERE key = ? AND state != 'done'"
            return database.execute(sql, (job.key,)).rowcount == 1

    def give_back(self, job: Job, error: str) -> bool:
        """The job failed: it waits again, or is put aside as dead after its last delivery."""
        state = "dead" if job.delivery >= self.most_deliveries else "waiting"
        return self._change(job, f"state = '{state}', error = ?", error)

    def _change(self, job: Job, what: str, value: Any) -> bool:
        """Only who holds the newest lease may change it."""
        sql = f"UPDATE jobs SET {what} WHERE key = ? AND state = 'leased' AND deliveries = ?"
        with self._open() as database:
            return database.execute(sql, (value, job.key, job.delivery)).rowcount == 1

    # --- who looks on -----------------------------------------------------------------------------------------

    def counts(self) -> Counts:
        with self._open() as database:
            states = dict(database.execute("SELECT state, count(*) FROM jobs GROUP BY state"))
            (deliveries,) = database.execute("SELECT total(deliveries) FROM jobs").fetchone()
        return Counts(
            *(states.get(state, 0) for state in ("waiting", "leased", "done", "dead")), int(deliveries)
        )

    def results(self) -> dict[str, Any]:
        """By key, in the order of the jobs."""
        with self._open() as database:
            sql = "SELECT key, results.content FROM results JOIN jobs USING (key) ORDER BY number"
            return {key: json.loads(content) for key, content in database.execute(sql)}

    def dead(self) -> dict[str, str]:
        """Jobs put aside, and what their last worker said of them."""
        with self._open() as database:
            return dict(database.execute("SELECT key, error FROM jobs WHERE state = 'dead' ORDER BY number"))

    def workers(self) -> list[int]:
        """Numbers of the processes that hold a lease."""
        with self._open() as database:
            sql = "SELECT DISTINCT worker FROM jobs WHERE state = 'leased' AND leased_until_s >= ?"
            return [pid for (pid,) in database.execute(sql, (time.time(),))]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one call, all or nothing: nothing to hand from process to process."""
        database = sqlite3.connect(self.path, timeout=30, isolation_level="IMMEDIATE")
        try:
            with database:
                yield database
        finally:
            database.close()


def work_off(queue: JobQueue, work: Callable[[Any], Any]) -> int:
    """Do jobs in this process until none is open; how many were done here. `work` takes a content, gives a result.

    An exception of `work`, or a result that JSON doesn't hold, gives the job back. While it works, the lease is
    extended from a thread beside it.
    """
    done = 0
    while True:
        job = queue.lease()
        if job is None:
            # Counted only now: a count reads every job, and one per job would make the whole quadratic.
            if not queue.counts().open:
                return done
            time.sleep(_POLL_S)  # the rest is leased, and may come back
            continue
        try:
            with _kept_alive(queue, job):
                queue.write_result(job, work(job.content))
        except Exception as error:
            queue.give_back(job, f"{type(error).__name__}: {error}")
            continue
        done += queue.acknowledge(job)


@contextlib.contextmanager
def _kept_alive(queue: JobQueue, job: Job) -> Iterator[None]:
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(queue.lease_s / 3) and queue.extend(job):
            pass

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def run_jobs(queue: JobQueue, work: Callable[[Any], Any], workers: int = 2) -> Counts:
    """Work `queue` off with `workers` Ray tasks, here or in the cluster of RAY_ADDRESS; Ray replaces those that die.

    In a cluster `queue.path` must be on a disk of the one node that all workers run on.
    """
    check_range("workers", workers, 1, 1000)
    from course_utils.scale.cluster.runtime import ray_runtime

    with ray_runtime(cpus=workers):
        import ray

        # Without end: what may be tried how often is the queue's to decide, job by job.
        task = ray.remote(num_cpus=1, max_retries=-1)(work_off)
        ray.get([task.remote(queue, work) for _ in range(workers)])
    return queue.counts()
