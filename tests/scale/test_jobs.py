"""Delivered at least once, counted once: leases, keys, dead jobs, and workers that are killed for real."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from queue import Full

import pytest

from course_utils.scale.jobs import Job, JobQueue, work_off


@pytest.fixture
def queue(tmp_path):
    return JobQueue(tmp_path / "jobs.sqlite", lease_s=0.3)


def square(content):
    return content["number"] ** 2


def slow_square(content):
    time.sleep(0.15)
    return content["number"] ** 2


def fill(queue, count):
    for number in range(count):
        queue.put(f"job-{number}", {"number": number})


def squares(count):
    return {f"job-{number}": number**2 for number in range(count)}


# --- one process --------------------------------------------------------------------------------------------


def test_jobs_are_done_in_order_and_once(queue):
    fill(queue, 5)
    assert work_off(queue, square) == 5
    assert queue.results() == squares(5)
    assert list(queue.results()) == list(squares(5))
    counts = queue.counts()
    assert (counts.done, counts.open, counts.dead, counts.deliveries) == (5, 0, 0, 5)


def test_a_known_key_is_not_put_twice(queue):
    assert queue.put("a", {"number": 1})
    assert not queue.put("a", {"number": 2})
    assert queue.lease().content == {"number": 1}


def test_the_queue_is_on_disk(queue):
    fill(queue, 3)
    again = JobQueue(queue.path)
    assert again.counts().waiting == 3


def test_a_leased_job_is_nobody_elses_until_its_lease_runs_out(queue):
    fill(queue, 1)
    assert queue.lease().delivery == 1
    assert queue.lease() is None
    assert queue.workers() == [os.getpid()]
    time.sleep(0.35)
    assert queue.workers() == []
    assert queue.lease().delivery == 2


def test_a_lease_that_is_extended_does_not_run_out(queue):
    fill(queue, 1)
    job = queue.lease()
    for _ in range(4):
        time.sleep(0.15)
        assert queue.extend(job)
    assert queue.lease() is None


def test_work_longer_than_its_lease_is_not_done_twice(queue):
    fill(queue, 1)

    def long_work(content):
        time.sleep(0.8)
        return square(content)

    assert work_off(queue, long_work) == 1
    assert queue.counts().deliveries == 1


def test_a_result_counts_once_however_often_the_job_was_delivered(queue):
    """The worker has written the result and dies before it can acknowledge."""
    fill(queue, 1)
    assert queue.write_result(queue.lease(), 0)
    time.sleep(0.35)
    assert work_off(queue, lambda content: "done again") == 1
    assert queue.counts().deliveries == 2
    assert queue.results() == {"job-0": 0}, "the first result stays"


def test_who_lost_the_lease_can_neither_extend_it_nor_give_the_job_back(queue):
    fill(queue, 1)
    late = queue.lease()
    time.sleep(0.35)
    assert queue.lease().delivery == 2
    assert not queue.extend(late)
    assert not queue.give_back(late, "too late")
    assert queue.acknowledge(late), "but done is done"
    assert not queue.acknowledge(late)


def test_a_job_that_fails_each_time_is_put_aside_and_the_others_are_done(queue):
    fill(queue, 4)

    def picky(content):
        if content["number"] == 2:
            raise KeyError("no two")
        return square(content)

    assert work_off(queue, picky) == 3
    assert queue.dead() == {"job-2": "KeyError: 'no two'"}
    assert queue.counts().deliveries == 3 + queue.most_deliveries
    assert "job-2" not in queue.results()


def test_a_result_that_json_does_not_hold_fails_its_job_and_not_its_worker(queue):
    fill(queue, 3)
    assert work_off(queue, lambda content: {2} if content["number"] == 1 else square(content)) == 2
    assert "set is not JSON serializable" in queue.dead()["job-1"]
    assert queue.results() == {"job-0": 0, "job-2": 4}


def test_who_finishes_after_the_job_was_put_aside_has_done_it_all_the_same(queue):
    fill(queue, 1)
    for _ in range(queue.most_deliveries):
        slow = queue.lease()
        time.sleep(0.35)
    assert queue.lease() is None
    assert queue.write_result(slow, 0)
    assert queue.acknowledge(slow)
    assert queue.dead() == {}
    assert queue.counts().done == 1


def test_a_clock_set_back_makes_a_lease_last_longer_and_one_set_forward_ends_it(queue, monkeypatch):
    real = time.time
    fill(queue, 1)
    first = queue.lease()
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    assert queue.lease() is None
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    second = queue.lease()
    assert [queue.write_result(job, job.delivery) for job in (second, first)] == [True, False]
    assert [queue.acknowledge(job) for job in (second, first)] == [True, False]
    assert queue.results() == {"job-0": 2}


def test_a_worker_in_another_folder_finds_the_queue(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    queue = JobQueue("jobs.sqlite")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert queue.put("a", {"number": 3})
    assert work_off(queue, square) == 1


def test_several_who_put_at_once_never_exceed_the_bound(tmp_path):
    queue = JobQueue(tmp_path / "jobs.sqlite", bound=5)

    def put_ten(name):
        for number in range(10):
            with contextlib.suppress(Full):
                queue.put(f"{name}-{number}", None)

    crew = [threading.Thread(target=put_ten, args=(name,)) for name in "abc"]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    assert queue.counts().waiting == 5


def test_a_job_that_kills_its_workers_is_put_aside_too(queue):
    fill(queue, 1)
    for _ in range(queue.most_deliveries):
        assert queue.lease() is not None
        time.sleep(0.35)
    assert queue.lease() is None
    assert queue.dead() == {"job-0": "lost with its worker"}


def test_who_puts_more_than_the_queue_may_hold_is_made_to_wait(tmp_path):
    queue = JobQueue(tmp_path / "jobs.sqlite", bound=2)
    fill(queue, 2)
    with pytest.raises(Full, match="2 jobs wait already, and bound=2"):
        queue.put("job-2", {"number": 2})
    worker = threading.Timer(0.2, work_off, (queue, square))
    worker.start()
    began = time.monotonic()
    assert queue.put("job-2", {"number": 2}, wait_s=10)
    assert time.monotonic() - began >= 0.1
    worker.join()
    work_off(queue, square)
    assert queue.results() == squares(3)


@pytest.mark.parametrize("settings", [{"lease_s": 0}, {"most_deliveries": 0}, {"bound": 0}])
def test_a_queue_that_could_not_work_is_refused_by_name(tmp_path, settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name}=0"):
        JobQueue(tmp_path / "jobs.sqlite", **settings)


def test_acknowledging_what_is_not_there_changes_nothing(queue):
    assert not queue.acknowledge(Job("nobody", None, 1))


# --- several, some of whom die ------------------------------------------------------------------------------


def kill_a_worker(queue, killed):
    while not (workers := queue.workers()):
        time.sleep(0.02)
    os.kill(workers[0], signal.SIGKILL)
    killed.append(workers[0])


def test_plain_processes_share_a_queue_and_one_that_is_killed_loses_nothing(queue):
    fill(queue, 12)
    fork = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    crew = [fork.Process(target=work_off, args=(queue, slow_square)) for _ in range(3)]
    for worker in crew:
        worker.start()
    killed = []
    kill_a_worker(queue, killed)
    for worker in crew:
        worker.join()
    assert queue.results() == squares(12)
    assert queue.counts().deliveries == 13, "one was delivered again"
    assert [worker.exitcode for worker in crew if worker.pid in killed] == [-signal.SIGKILL]
