"""Published traces: the original where it can be had, traffic like it where it can't, and never a doubt which."""

import hashlib
import http.server
import threading
import time
from dataclasses import replace

import pytest

from course_utils.scale import published_traffic
from course_utils.scale.published_traffic import (
    AZURE_CODE,
    AZURE_CONVERSATION,
    MOONCAKE_CONVERSATION,
    azure_code,
    azure_conversation,
    fetch_original,
    mooncake_conversation,
)

TEXT = b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.68,374,44\r\n2023-11-16 18:15:50.99,396,109\r\n"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COURSE_OFFLINE", raising=False)
    monkeypatch.setattr(published_traffic, "_failures", {})
    return tmp_path / "cache"


@pytest.fixture
def publisher(monkeypatch):
    """A server of this machine in the place of the publisher: `answers` by path, `asked` in order."""
    answers, asked = {"/trace.csv": TEXT}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            found = answers.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(found or b"no such file")

        def log_message(self, *_):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.answers, server.asked = answers, asked
    server.original = replace(
        AZURE_CONVERSATION,
        url=f"http://127.0.0.1:{server.server_port}/trace.csv",
        sha256=hashlib.sha256(TEXT).hexdigest(),
    )
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_original_is_fetched_once_and_says_so(cache, publisher, monkeypatch):
    monkeypatch.setattr(published_traffic, "AZURE_CONVERSATION", publisher.original)
    first, again = azure_conversation(), azure_conversation(requests=1)
    assert publisher.asked == ["/trace.csv"]
    assert first.origin == "original, published by Azure/AzurePublicDataset, 2023-11-16 (CC BY 4.0)"
    assert first.input_tokens.tolist() == [374, 396]
    assert (len(again), again.name) == (1, "azure_conversation")
    assert [path.name for path in cache.iterdir()] == ["trace.csv"]


def test_a_cached_original_needs_no_network(cache, publisher, monkeypatch):
    path = fetch_original(publisher.original)
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert fetch_original(publisher.original) == path
    path.write_bytes(TEXT[:-40])
    with pytest.raises(OSError, match="COURSE_OFFLINE is set"):
        fetch_original(publisher.original)


def test_without_it_traffic_like_it_is_generated_and_nothing_tried_again(cache, publisher, monkeypatch):
    publisher.answers.clear()
    monkeypatch.setattr(published_traffic, "AZURE_CONVERSATION", publisher.original)
    one, again = azure_conversation(seed=3), azure_conversation(seed=3)
    assert publisher.asked == ["/trace.csv"]
    assert len(one) == 19_366
    assert one.origin.startswith("generated: bursts and lengths fitted on Azure/AzurePublicDataset")
    assert one.origin.endswith("seed 3; the original could not be fetched (HTTPError)")
    assert (one.arrived_s == again.arrived_s).all()
    assert len(azure_conversation(requests=10)) == 10


def test_other_bytes_than_the_published_ones_are_not_taken(cache, publisher):
    publisher.answers["/trace.csv"] = TEXT + b"2023-11-16 19:00:00,1,1\r\n"
    with pytest.raises(OSError, match="another checksum"):
        fetch_original(publisher.original)
    assert not list(cache.glob("*"))


def test_a_publisher_that_never_answers_is_waited_for_only_so_long(cache, publisher, monkeypatch):
    done = threading.Event()
    monkeypatch.setattr("pooch.retrieve", lambda *_, **__: done.wait(30))
    monkeypatch.setattr(published_traffic, "PATIENCE_S", 0.05)
    started = time.perf_counter()
    with pytest.raises(OSError, match=r"no answer within 0\.05 s"):
        fetch_original(publisher.original)
    assert time.perf_counter() - started < 20
    done.set()


def test_each_trace_has_its_own_substitute(cache, monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    for trace, source in (
        (azure_code, "AzureLLMInferenceTrace_code"),
        (mooncake_conversation, "kvcache-ai/Mooncake"),
    ):
        traffic = trace(requests=300, seed=1)
        assert len(traffic) == 300
        assert source in traffic.origin
        assert traffic.name == trace.__name__
        assert "COURSE_OFFLINE is set" in traffic.origin
    assert (mooncake_conversation(requests=300).prefix_id >= 0).any()


def test_originals_are_pinned_to_a_commit():
    for one in (AZURE_CONVERSATION, AZURE_CODE, MOONCAKE_CONVERSATION):
        commit = one.url.split("/")[5]
        assert len(commit) == 40
        assert set(commit + one.sha256) <= set("0123456789abcdef")
        assert len(one.sha256) == 64


def test_no_requests_are_refused_before_anything_is_fetched(cache, publisher, monkeypatch):
    monkeypatch.setattr(published_traffic, "AZURE_CONVERSATION", publisher.original)
    with pytest.raises(ValueError, match="requests=0"):
        azure_conversation(requests=0)
    assert publisher.asked == []
