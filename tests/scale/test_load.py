"""The load generator against a server that misbehaves on purpose, and `vllm serve` played by a stand-in."""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from course_utils.scale.cluster.vllm import vllm_command, vllm_serving
from course_utils.scale.fleet import Retries
from course_utils.scale.load import closed_loop, open_loop, prompt_of
from course_utils.scale.traffic import Traffic

GAP_S = 0.02


class Server(ThreadingHTTPServer):
    """Streams `max_tokens` tokens, one each 20 ms; `plan` says what to do wrong at which try of which prompt."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.asked, self.open, self.most_open = {}, [], 0, 0
        self.one_at_a_time = threading.Semaphore(1_000)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        content = json.dumps({"data": [{"id": "a-model"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request_id = self.headers["X-Request-Id"]
        tries = sum(name == request_id for name, _ in self.server.asked)
        self.server.asked.append((request_id, body))
        fault = self.server.plan.get((int(request_id.rsplit("-", 1)[1]), tries))
        if isinstance(fault, int):
            self.send_response(fault)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault == "slow":
            time.sleep(0.5)
        self.server.open += 1
        self.server.most_open = max(self.server.most_open, self.server.open)
        with self.server.one_at_a_time:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            tokens = body["max_tokens"]
            for number in range(tokens):
                time.sleep(GAP_S)
                if fault == "error" and number == 1:
                    self.wfile.write(b'data: {"error": {"message": "out of memory"}}\n\ndata: [DONE]\n\n')
                if fault in ("dies", "error") and number == 1:
                    self.server.open -= 1
                    self.close_connection = True
                    return
                self.wfile.write(b'data: {"choices": [{"text": "x"}]}\n\n')
                self.wfile.flush()
            usage = {"choices": [], "usage": {"completion_tokens": tokens}}
            self.wfile.write(f"data: {json.dumps(usage)}\n\ndata: [DONE]\n\n".encode())
        self.server.open -= 1
        self.close_connection = True


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def traffic(requests, tokens=4, gap_s=0.05, **more):
    arrived_s = np.arange(requests) * gap_s
    return Traffic(arrived_s, np.full(requests, 8), np.full(requests, tokens), "even", "generated", **more)


# --- open loop ----------------------------------------------------------------------------------------------


def test_each_request_leaves_at_its_time_and_is_measured_from_its_stream(server):
    measured = open_loop(traffic(6), server.url)
    assert measured.share("finished") == 1
    assert (measured.attempts == 1).all()
    assert (measured.lag_s >= 0).all()
    assert (measured.ttft_s >= GAP_S).all()
    assert (measured.e2e_s >= 4 * GAP_S).all()
    np.testing.assert_allclose(measured.e2e_s, measured.ttft_s + 3 * measured.tpot_s)
    assert (measured.traffic.output_tokens == 4).all()
    assert "6 requests" in str(measured)


def test_it_asks_as_the_traffic_says(server):
    one = traffic(3, prefix_id=[7, 7, -1], prefix_tokens=[5, 5, 0])
    open_loop(one, server.url)
    bodies = {int(name.rsplit("-", 1)[1]): body for name, body in server.asked}
    prompts = [bodies[i]["prompt"] for i in range(3)]
    assert prompts == [prompt_of(one, i) for i in range(3)]
    assert [len(prompt) for prompt in prompts] == [8, 8, 8]
    assert prompts[0][:5] == prompts[1][:5] != prompts[2][:5]
    assert prompts[0][5:] != prompts[1][5:]
    assert bodies[0]["model"] == "a-model"
    assert bodies[0]["ignore_eos"] is True


def test_latency_counts_from_the_intended_time_so_a_line_at_the_server_is_seen(server):
    """One at a time, 80 ms each, asked every 10 ms: the last waits for all before it. Closed loop hides that."""
    server.one_at_a_time = threading.Semaphore(1)
    opened = open_loop(traffic(12, gap_s=0.01), server.url)
    server.one_at_a_time = threading.Semaphore(1)
    closed = closed_loop(traffic(12, gap_s=0.01), server.url, users=1)
    assert opened.ttft_s[-1] > 5 * opened.ttft_s[0]
    assert opened.ttft().p99 > 3 * closed.ttft().p99


# --- what goes wrong ----------------------------------------------------------------------------------------


def test_a_broken_or_refused_answer_is_tried_again_under_the_same_id_and_counts_once(server):
    server.plan = {(0, 0): "dies", (1, 0): 429, (1, 1): 503, (2, 0): 500}
    measured = open_loop(traffic(4), server.url, retries=Retries(limit=3, backoff_s=0.02))
    assert measured.attempts.tolist() == [2, 3, 2, 1]
    assert measured.share("finished") == 1
    names = [name for name, _ in server.asked]
    assert (len(names), len(set(names))) == (8, 4)
    assert (measured.e2e_s[:3] > measured.e2e_s[3]).all(), "the client's first try is where its wait began"


def test_what_is_never_answered_keeps_its_reason(server):
    server.plan = {(0, 0): 429, (1, 0): "dies", (2, 0): "slow"}
    measured = open_loop(traffic(4), server.url, timeout_s=0.4, retries=Retries(limit=0))
    assert [measured.share(name) for name in ("shed", "failed", "timed out", "finished")] == [0.25] * 4
    assert measured.errors[0].startswith("429")
    assert "broke off after 1 parts" in measured.errors[1]
    assert "no answer in 0.4 s" in measured.errors[2]
    assert np.isnan(measured.ttft_s[:3]).all()


def test_a_stream_that_ends_with_an_error_is_no_answer(server):
    """As vLLM ends it: 200 at its head, the error in its last part, [DONE] behind that."""
    server.plan = {(0, 0): "error"}
    measured = open_loop(traffic(2), server.url, retries=Retries(limit=0))
    assert [measured.share(name) for name in ("failed", "finished")] == [0.5, 0.5]
    assert "out of memory" in measured.errors[0]


@pytest.mark.parametrize(
    "url", ["http://example.com", "http://10.0.0.7:8000", "http://localhost.example.com"]
)
def test_another_machine_is_not_loaded_unless_allowed(url):
    with pytest.raises(ValueError, match="not this machine"):
        open_loop(traffic(1), url)


def test_a_port_where_nobody_answers_is_said_so():
    with pytest.raises(ValueError, match="no OpenAI-compatible server answers"):
        open_loop(traffic(1), "http://127.0.0.1:9")


# --- closed loop --------------------------------------------------------------------------------------------


def test_closed_loop_never_has_more_open_than_users(server):
    measured = closed_loop(traffic(9), server.url, users=3)
    assert measured.share("finished") == 1
    assert server.most_open <= 3
    assert (np.diff(measured.traffic.arrived_s) >= 0).all()


@pytest.mark.parametrize(
    "settings", [{"users": 0}, {"users": 1, "think_s": -1}, {"users": 1, "timeout_s": 0}]
)
def test_settings_that_measure_nothing_are_refused_by_name(settings):
    name, value = list(settings.items())[-1]
    with pytest.raises(ValueError, match=f"{name}={value}"):
        closed_loop(traffic(1), "http://127.0.0.1:9", **settings)


# --- vllm serve ---------------------------------------------------------------------------------------------


def test_vllms_command_line():
    command = vllm_command("owner/name", 8001, max_running=64, step_tokens=1024, memory_share=0.5)
    assert command[:3] == ["vllm", "serve", "owner/name"]
    options = dict(zip(command[3::2], command[4::2], strict=True))
    assert options == {
        "--host": "127.0.0.1",
        "--port": "8001",
        "--max-num-seqs": "64",
        "--max-num-batched-tokens": "1024",
        "--gpu-memory-utilization": "0.5",
    }


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"model": "--x"}, "model="),
        ({"port": 0}, "port=0"),
        ({"step_tokens": 8}, "step_tokens=8"),
        ({"memory_share": 1.5}, "memory_share=1.5"),
    ],
)
def test_settings_that_vllm_would_refuse_are_refused_before(settings, word):
    with pytest.raises(ValueError, match=word):
        vllm_command(**{"model": "m", "port": 8000} | settings)


def test_without_vllm_it_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="vllm is not installed"), vllm_serving("m"):
        pass


STAND_IN = """#!{python}
import sys, http.server
if sys.argv[2] == "broken":
    sys.exit("no GPU was found")
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self):
        self.send_response(200); self.end_headers()
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    program = tmp_path / "vllm"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def test_vllm_is_waited_for_and_ended_also_after_an_exception(stand_in):
    from urllib.request import urlopen

    def interrupted():
        with vllm_serving("owner/name", wait_s=60) as url:
            urls.append(url)
            assert urlopen(f"{url}/health").status == 200
            raise KeyboardInterrupt

    urls = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(OSError, match="refused"):
        urlopen(f"{urls[0]}/health")


def test_vllm_that_ends_by_itself_is_shown_with_its_last_words(stand_in):
    with pytest.raises(ValueError, match="code 1:\nno GPU was found"), vllm_serving("broken", wait_s=60):
        pass
