"""The tiny model behind an OpenAI-compatible endpoint on Ray Serve, for as long as a `with` block lasts.

    with serving(replicas=2) as service:
        service.url, service.replicas, service.memory_mb()
        service.kill_replica()          # Serve starts another

Taught in: chapter 10.
"""

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from course_utils.catalog.provenance import check_range, data_path
from course_utils.scale.cluster.app import DEPLOYMENT, application
from course_utils.scale.cluster.engine import EngineSettings
from course_utils.scale.cluster.graph import onnx_model
from course_utils.scale.cluster.replica import MODEL_NAME
from course_utils.scale.cluster.runtime import Runtime, ray_runtime

APP = "course"
HOST = "127.0.0.1"
_WATCH_S = 0.25


@dataclass(frozen=True)
class Scaling:
    """Replicas from `least` to `most`, as many as keep `target_ongoing` requests on each.

    More are started once that has been asked for `up_delay_s` long, fewer after `down_delay_s`; demand is the mean
    of the last `look_back_s` (Ray Serve's autoscaling_config has the same by longer names).
    """

    least: int = 1
    most: int = 3
    target_ongoing: float = 4.0
    up_delay_s: float = 1.0
    down_delay_s: float = 5.0
    look_back_s: float = 2.0

    def __post_init__(self):
        check_range("least", self.least, 0, 64)
        check_range("most", self.most, max(1, self.least), 64)
        check_range("target_ongoing", self.target_ongoing, 0.1, 1000)
        for name in ("up_delay_s", "down_delay_s", "look_back_s"):
            check_range(name, getattr(self, name), 0.1, 3600)

    def for_ray(self) -> dict:
        return {
            "min_replicas": self.least,
            "max_replicas": self.most,
            "initial_replicas": max(1, self.least),
            "target_ongoing_requests": self.target_ongoing,
            "upscale_delay_s": self.up_delay_s,
            "downscale_delay_s": self.down_delay_s,
            "look_back_period_s": self.look_back_s,
            "metrics_interval_s": min(1.0, self.look_back_s / 2),
        }


@dataclass(frozen=True)
class Service:
    """A running service. `timeline` grows while it runs: (seconds since the epoch, replicas that are ready)."""

    url: str
    model: str
    runtime: Runtime
    started_in_s: float
    timeline: list[tuple[float, int]] = field(default_factory=list, repr=False)

    @property
    def replicas(self) -> int:
        """Replicas that are ready."""
        from ray import serve

        application = serve.status().applications.get(APP)
        deployment = application and application.deployments.get(DEPLOYMENT)
        return deployment.replica_states.get("RUNNING", 0) if deployment else 0

    def await_replicas(self, count: int, wait_s: float = 30.0) -> float:
        """Seconds until exactly `count` are ready. TimeoutError after `wait_s`."""
        began = time.monotonic()
        while (now := self.replicas) != count:
            if time.monotonic() - began > wait_s:
                raise TimeoutError(f"{now} replicas after {wait_s:g} s, {count} were awaited")
            time.sleep(0.1)
        return time.monotonic() - began

    def replica_pids(self) -> list[int]:
        """Process numbers of the replicas on this machine, the oldest first. ValueError on a cluster elsewhere."""
        if not self.runtime.is_local:
            raise ValueError(
                "replica_pids: RAY_ADDRESS leads to a cluster whose processes are not on this machine"
            )
        title = f"ray::ServeReplica:{APP}:{DEPLOYMENT}"
        found = []
        for process in self.runtime.processes():
            with contextlib.suppress(Exception):  # gone meanwhile
                if process.cmdline() and process.cmdline()[0].startswith(title):
                    found.append((process.create_time(), process.pid))
        return [pid for _, pid in sorted(found)]

    def kill_replica(self) -> int:
        """Kill the oldest replica's process (SIGKILL), as a machine does that loses its power; its number."""
        pids = self.replica_pids()
        if not pids:
            raise ValueError("kill_replica: no replica is running")
        os.kill(pids[0], signal.SIGKILL)
        return pids[0]

    def memory_mb(self) -> float:
        """Megabytes of this process and all of Ray's, shared pages counted once (PSS)."""
        return self.runtime.memory_mb()

    def complete(self, prompt: str, max_tokens: int = 16) -> str:
        """One completion, to try it by hand; `load` has what measures."""
        body = json.dumps({"model": self.model, "prompt": prompt, "max_tokens": max_tokens}).encode()
        request = urllib.request.Request(
            f"{self.url}/v1/completions", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["choices"][0]["text"]


@contextlib.contextmanager
def serving(
    *,
    replicas: int = 1,
    autoscale: Scaling | None = None,
    engine: EngineSettings | None = None,
    folder: str | Path | None = None,
    port: int = 0,
    drain_s: float = 10.0,
) -> Iterator[Service]:
    """Serve the Llama in `folder` (the tiny model where None) on 127.0.0.1:`port` (a free one where 0).

    `replicas` of it, or as many as `autoscale` finds right. A replica that is to go gets no new request and `drain_s`
    to finish those it has; one that dies or fails its health check is replaced. All of it ends with the block,
    whatever ends that. In a cluster (RAY_ADDRESS) the endpoint is on its head node.
    ValueError for a port that is taken, a folder without a model, Ray that is not installed.
    """
    check_range("replicas", replicas, 1, 64)
    check_range("drain_s", drain_s, 0, 3600)
    engine = engine or EngineSettings()
    folder = Path(folder or data_path("tiny_lm"))
    # In a cluster: where its Serve listens already, or will.
    port = (port or 8000) if os.environ.get("RAY_ADDRESS") else free_port(port)
    began = time.monotonic()
    onnx_model(folder)  # made once, here, and not by each replica
    most = autoscale.most if autoscale else replicas
    with _forgotten(), ray_runtime(cpus=most + 1) as runtime, _serve(port, runtime):
        from ray import serve

        size = {"autoscaling_config": autoscale.for_ray()} if autoscale else {"num_replicas": replicas}
        serve.run(application(folder, engine, size, drain_s), name=APP, route_prefix="/")
        service = Service(f"http://{HOST}:{port}", MODEL_NAME, runtime, time.monotonic() - began)
        _check_reached(service)
        with _watched(service):
            yield service


@contextlib.contextmanager
def _serve(port: int, runtime: Runtime) -> Iterator[None]:
    """Serve's controller and proxy. Where Ray ends with the block, they end with it."""
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    serve.start(http_options={"host": HOST, "port": port}, logging_config={"log_level": "ERROR"})
    try:
        yield
    finally:
        if not runtime.is_local:
            serve.delete(APP)  # the rest of the cluster is others' too
        elif not runtime.ends_here:
            serve.shutdown()


@contextlib.contextmanager
def _forgotten() -> Iterator[None]:
    """Serve keeps its client for the life of a process, and the next block would take a dead one for living.

    `serve.shutdown` drops it too, but prints a failure while Ray lives (2.60), and starts a new Ray when it is gone.
    ValueError where this process serves already.
    """
    # Not imported here: Ray reads its settings when it is imported, and `ray_runtime` makes them.
    if getattr(sys.modules.get("ray.serve.context"), "_global_client", None) is not None:
        raise ValueError("serving: a service runs in this process already; end its block first")
    try:
        yield
    finally:
        if context := sys.modules.get("ray.serve.context"):
            context._set_global_client(None)


def _check_reached(service: Service) -> None:
    try:
        urllib.request.urlopen(f"{service.url}/v1/models", timeout=10).close()
    except OSError as error:
        raise ValueError(
            f"port={service.url.rsplit(':')[-1]}: {service.url} does not answer ({error}); with RAY_ADDRESS, run on "
            "the head node, or forward the port of its Serve proxy"
        ) from None


@contextlib.contextmanager
def _watched(service: Service) -> Iterator[None]:
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_WATCH_S):
            with contextlib.suppress(Exception):  # Serve is busy or going down: no sample
                service.timeline.append((time.time(), service.replicas))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=2)


def free_port(asked: int) -> int:
    """`asked`, where nobody has it; any free one for 0. ValueError for one that is taken."""
    check_range("port", asked, 0, 65_535)
    with socket.socket() as probe:
        if os.name == "posix":
            # A port of a service that has just ended is free, though its connections linger.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, asked))
        except OSError as error:
            raise ValueError(f"port={asked}: another program has it ({error}); 0 finds a free one") from None
        return probe.getsockname()[1]
