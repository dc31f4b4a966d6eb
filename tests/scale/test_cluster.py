"""The service on a real Ray: its endpoint, replicas that are killed, scaling, memory, and what is left afterwards."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import psutil
import pytest

from course_utils.measure.footprint import proportional_bytes
from course_utils.scale.cluster import processes, runtime
from course_utils.scale.cluster.app import DEPLOYMENT, build
from course_utils.scale.cluster.engine import EngineSettings
from course_utils.scale.cluster.runtime import ray_runtime
from course_utils.scale.cluster.service import Scaling, free_port, serving
from course_utils.scale.fleet import Retries
from course_utils.scale.jobs import JobQueue, run_jobs
from course_utils.scale.load import closed_loop, open_loop
from course_utils.scale.traffic import Traffic


@pytest.fixture(scope="module")
def ray_here():
    with ray_runtime(cpus=5) as running:
        yield running


@pytest.fixture(scope="module")
def service(ray_here):
    with serving(replicas=2, engine=EngineSettings(max_running=8, step_at_least_s=0.02)) as running:
        yield running


def traffic(requests, output_tokens, gap_s=0.0):
    arrived_s = np.arange(requests) * gap_s
    return Traffic(arrived_s, np.full(requests, 20), np.full(requests, output_tokens), "even", "generated")


def post(service, body, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{service.url}/v1/completions", content, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


# --- scaling, before the service of the other tests starts ---------------------------------------------------


def test_the_service_scales_from_one_to_three_and_back(ray_here):
    engine = EngineSettings(max_running=4, step_tokens=64, step_at_least_s=0.05)
    scale = Scaling(least=1, most=3, target_ongoing=2, up_delay_s=0.5, down_delay_s=2, look_back_s=1)
    with serving(autoscale=scale, engine=engine) as scaled:
        assert scaled.replicas == 1
        load = threading.Thread(target=closed_loop, args=(traffic(60, 40), scaled.url, 12))
        load.start()
        up_s = scaled.await_replicas(3, wait_s=90)
        print(f"1 to 3 in {up_s:.1f} s, {scaled.memory_mb():.0f} MB")
        load.join()
        down_s = scaled.await_replicas(1, wait_s=90)
        print(f"3 to 1 in {down_s:.1f} s after the load")
        assert {count for _, count in scaled.timeline} >= {1, 3}


# --- jobs, before the service takes its share of the cores ---------------------------------------------------


def test_ray_replaces_a_worker_that_is_killed_and_no_job_is_lost_or_counted_twice(ray_here, tmp_path):
    queue = JobQueue(tmp_path / "jobs.sqlite", lease_s=1)
    for number in range(20):
        queue.put(f"job-{number}", number)
    killed = []

    def work(number):  # a function of a notebook travels to the workers by value, as this one does
        time.sleep(0.15)
        return number**2

    def kill_a_worker():
        while not (workers := queue.workers()):
            time.sleep(0.02)
        os.kill(workers[0], signal.SIGKILL)
        killed.append(workers[0])

    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    counts = run_jobs(queue, work, workers=2)
    killer.join()
    assert len(killed) == 1
    assert queue.results() == {f"job-{number}": number**2 for number in range(20)}
    assert (counts.done, counts.open, counts.dead) == (20, 0, 0)
    assert counts.deliveries == 21, "the job of the one that was killed was delivered again"


# --- the endpoint -------------------------------------------------------------------------------------------


def test_a_completion_has_openais_shape(service):
    status, text, headers = post(
        service, {"model": "tiny", "prompt": "def open(", "max_tokens": 5}, **{"x-request-id": "abc"}
    )
    answer = json.loads(text)
    assert status == 200
    assert (answer["id"], answer["object"], headers["x-request-id"]) == ("cmpl-abc", "text_completion", "abc")
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5
    assert service.complete("def open(", 5) == answer["choices"][0]["text"]


def test_a_stream_brings_the_same_text_in_parts_and_then_the_usage(service):
    body = {"prompt": "def open(", "max_tokens": 5}
    whole = json.loads(post(service, body)[1])
    _, text, headers = post(service, body | {"stream": True, "stream_options": {"include_usage": True}})
    assert headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert events[-1] == "[DONE]"
    parts = [json.loads(event) for event in events[:-1]]
    texts = [part["choices"][0]["text"] for part in parts if part["choices"]]
    assert "".join(texts) == whole["choices"][0]["text"]
    assert len(texts) == 6, "a part for each token, and one that says why it ended"
    assert parts[-1]["usage"] == whole["usage"]


def test_errors_have_openais_shape(service):
    status, text, _ = post(service, {"prompt": "a", "max_tokens": 9999})
    assert (status, json.loads(text)["error"]["param"]) == (400, "max_tokens")
    assert post(service, b"{")[0] == 400
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{service.url}/v1/chat")


def test_models_are_listed(service):
    with urllib.request.urlopen(f"{service.url}/v1/models") as answer:
        assert json.load(answer)["data"][0]["id"] == service.model


def test_ray_and_the_endpoint_listen_on_loopback_only(ray_here, service):
    ours = {process.pid for process in [psutil.Process(), *ray_here.processes()]}
    listening = [one for one in psutil.net_connections("tcp") if one.status == "LISTEN" and one.pid in ours]
    assert len(listening) > 3
    assert {one.laddr.ip.removeprefix("::ffff:") for one in listening} == {"127.0.0.1"}


# --- under load ---------------------------------------------------------------------------------------------


def test_a_replica_killed_under_load_loses_no_request_and_each_counts_once(service):
    service.await_replicas(2)
    before = service.replica_pids()
    killed = []
    timer = threading.Timer(1.0, lambda: killed.append(service.kill_replica()))
    timer.start()
    measured = open_loop(traffic(24, 100, gap_s=0.05), service.url, retries=Retries(limit=6, backoff_s=0.3))
    timer.join()
    assert killed == before[:1]
    assert measured.share("finished") == 1
    assert (measured.attempts > 1).any(), "some were on the replica that died"
    assert (measured.traffic.output_tokens == 100).all()
    until = time.monotonic() + 30
    while len(service.replica_pids()) != 2 and time.monotonic() < until:
        time.sleep(0.2)
    assert killed[0] not in service.replica_pids()
    service.await_replicas(2)


def test_batching_answers_many_users_in_little_more_time_than_one(service):
    alone = closed_loop(traffic(3, 30), service.url, users=1)
    crowd = closed_loop(traffic(24, 30), service.url, users=8)
    assert crowd.share("finished") == 1
    assert crowd.tokens_per_s > 2 * alone.tokens_per_s


def test_replicas_and_ray_leave_a_chapter_its_share_of_1800_mb(service):
    """This process holds what all tests have loaded so far; a chapter takes 400 MB, as the run of chapter 10 counts."""
    others_mb = service.memory_mb() - proportional_bytes(psutil.Process()) / 1e6
    print(f"2 replicas and Ray: {others_mb:.0f} MB")
    assert 0 < others_mb < 1800 - 400


def test_kubernetes_builds_the_same_application_from_a_configuration():
    settings = build({"max_running": 4, "max_waiting": 7, "drain_s": 5})._bound_deployment
    assert (settings.name, settings.max_ongoing_requests) == (DEPLOYMENT, 4 + 7 + 1)
    with pytest.raises(ValueError, match="max_runing"):
        build({"max_runing": 4})


# --- start and end ------------------------------------------------------------------------------------------

# Served twice: the first block is interrupted, the second is never left.
SCRIPT = """
import os, sys, time
from pathlib import Path
from course_utils.scale.cluster import processes, ray_runtime, runtime, serving
runtime.SHARED_MEMORY = Path("/nowhere")
mark = processes.owner_mark()
try:
    with serving() as service:
        print(mark, service.url, service.complete("a", 1) and "up", flush=True)
        time.sleep(300)
except KeyboardInterrupt:
    folders = list(runtime._base().glob(f"course-ray-{os.getpid()}-*"))
    print("left", len(processes.marked(mark)), len(folders), flush=True)
block = ray_runtime()
print("again", len(block.__enter__().processes()), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def session():
    """A process that serves, its mark, and the port of its endpoint; killed at the end if it still lives."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as child:
        try:
            mark, url, up = child.stdout.readline().split()
            assert up == "up"
            yield child, mark, int(url.rsplit(":", 1)[1])
        finally:
            child.kill()
    runtime.clear_leftovers()


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def folders_of(child):
    return list(runtime._base().glob(f"course-ray-{child.pid}-*"))


def test_an_interrupt_and_an_exit_without_the_end_of_the_block_leave_nothing_also_without_shared_memory(
    session,
):
    child, mark, port = session
    assert is_open(port)
    assert processes.marked(mark)
    child.send_signal(signal.SIGINT)
    assert child.stdout.readline() == "left 0 0\n"
    assert not is_open(port)
    word, count = child.stdout.readline().split()
    assert word == "again"
    assert int(count) > 0
    child.stdin.close()  # the script ends, its second block doesn't
    child.wait(timeout=60)
    assert "Traceback" not in child.stderr.read()
    assert processes.marked(mark) == []
    assert folders_of(child) == []


def test_what_a_killed_session_leaves_is_gone_at_the_latest_when_another_starts(session):
    child, mark, port = session
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    runtime.clear_leftovers()
    assert processes.marked(mark) == []
    assert not is_open(port)
    assert folders_of(child) == []


IDLE = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def child_of():
    """Starts an idle process that carries a mark."""
    children = []

    def start(mark):
        children.append(subprocess.Popen(IDLE, env={**os.environ, processes.MARK: mark}))
        return children[-1].pid

    yield start
    for child in children:
        child.kill()
        child.wait()


def test_only_what_has_no_living_owner_is_an_orphan(child_of):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    ours, theirs, nameless = (
        child_of(mark) for mark in (processes.owner_mark(), f"{gone.pid}-x", "no owner")
    )
    found = {process.pid for process in processes.orphans()}
    assert found & {ours, theirs, nameless} == {theirs, nameless}


@pytest.mark.parametrize(("hours", "is_orphan"), [(0, False), (1, True)])
def test_a_younger_process_of_the_owners_number_is_not_the_owner(child_of, monkeypatch, hours, is_orphan):
    """The owner has died, and the machine has given its number to somebody who came an hour later."""
    real = psutil.Process.create_time
    later_s = {os.getpid(): 3600 * hours}
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: real(self) + later_s.get(self.pid, 0))
    pid = child_of(f"{os.getpid()}-another")
    assert (pid in {process.pid for process in processes.orphans()}) == is_orphan


def test_the_mark_stays_the_same_when_the_clock_is_set(monkeypatch):
    mark = processes.owner_mark()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 0.0)
    assert processes.owner_mark() == mark


def test_a_ray_that_is_made_differently_inside_is_refused_before_it_starts(monkeypatch):
    from ray._private import services

    monkeypatch.delattr(services, "get_node")
    with pytest.raises(ValueError, match=r"get_node.*pip install"), runtime._fit_for_one_node():
        pass


def test_two_services_in_one_process_are_refused(service):
    with pytest.raises(ValueError, match="runs in this process already"), serving():
        pass


def test_a_port_that_is_taken_is_refused_before_anything_starts():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f"port={port}: another program has it"), serving(port=port):
            pass


def test_a_port_whose_last_connections_linger_is_free():
    """As for a minute after a service has ended: the next one may have the same port."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # who closes first keeps the port in TIME_WAIT
            assert client.recv(1) == b""
    assert free_port(port) == port


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json"), serving(folder=tmp_path):
        pass


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install \"ray\[serve\]\""), ray_runtime():
        pass


def test_without_room_for_the_object_store_it_says_how_much_is_needed(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime, "SHARED_MEMORY", tmp_path / "none")
    assert runtime._store_place(tmp_path) == {"_plasma_directory": str(tmp_path)}
    monkeypatch.setattr(runtime.shutil, "disk_usage", lambda path: _Usage)
    with pytest.raises(ValueError, match="160 MB are needed"):
        runtime._store_place(tmp_path)


class _Usage:
    free = 50_000_000


@pytest.mark.parametrize("bounds", [{"least": 3, "most": 2}, {"most": 0}, {"target_ongoing": 0}])
def test_scaling_bounds_that_contradict_each_other_are_refused(bounds):
    with pytest.raises(ValueError, match=list(bounds)[-1]):
        Scaling(**bounds)
