"""Ray for as long as a `with` block lasts: started here on loopback, or an existing cluster by RAY_ADDRESS.

Ray takes a node address of 127.0.0.1 for a wish to be reached, puts the machine's own in its place, and its GCS, raylet
and agents then listen on all interfaces (2.60). In its single-node mode, the default on macOS and Windows, they
don't; it is asked for here, and token authentication besides, with a token that only this user's processes can read.
Taught in: chapter 10.
"""

import atexit
import contextlib
import logging
import os
import secrets
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from course_utils.measure.footprint import proportional_bytes
from course_utils.scale.cluster import processes

SHARED_MEMORY = Path("/dev/shm")
# Ray's own least is 75 MiB; nothing of ours goes through the object store.
OBJECT_STORE_BYTES = 80_000_000
START_TRIES = 4


@dataclass(frozen=True)
class Runtime:
    """A running Ray. `is_local`: its processes are ours, on this machine. `ends_here`: they end with this block."""

    is_local: bool
    ends_here: bool
    address: str
    mark: str

    def memory_mb(self) -> float:
        """Megabytes of this process and all of Ray's: proportional set sizes, so that shared pages count once."""
        import psutil

        return sum(map(proportional_bytes, [psutil.Process(), *self.processes()])) / 1e6

    def processes(self) -> list:
        """Ray's processes (psutil.Process) that are ours: none where the cluster is another's."""
        return processes.marked(self.mark) if self.is_local else []


@contextlib.contextmanager
def ray_runtime(cpus: int | None = None) -> Iterator[Runtime]:
    """Ray, started where none runs in this process yet. A block inside another's uses the outer one's.

    `cpus` are what Ray may hand out, counted and not measured; this machine's where None, and at least 2. Whatever
    ends the block (its end, an exception, an interrupt, the interpreter's exit), Ray's processes end with it; so do
    those that an earlier session has left when it was killed.
    ValueError where Ray is not installed, or no room is left for its object store.
    """
    if find_spec("ray") is None:
        raise ValueError('ray is not installed: pip install "ray[serve]" (the extra is called serve)')
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if not os.environ.get("RAY_ADDRESS"):
        _close_doors()
    import ray

    mark = processes.owner_mark()
    if ray.is_initialized():
        address = ray.get_runtime_context().gcs_address
        yield Runtime(bool(processes.marked(mark)), False, address, mark)
        return
    if os.environ.get("RAY_ADDRESS"):
        with _connected(ray) as address:
            yield Runtime(False, False, address, mark)
        return
    clear_leftovers()
    with _started(ray, cpus, mark) as address:
        yield Runtime(True, True, address, mark)


def clear_leftovers() -> None:
    """End what sessions have left whose own process is gone, and remove their folders."""
    import psutil

    processes.end(processes.orphans())
    for folder in _base().glob("course-ray-*"):
        owner = folder.name.split("-")[2]
        if not (owner.isdigit() and psutil.pid_exists(int(owner))):
            shutil.rmtree(folder, ignore_errors=True)


def _close_doors() -> None:
    """Ray reads these when it is imported, once for the life of a process."""
    if "ray" in sys.modules:
        if "RAY_AUTH_MODE" not in os.environ:
            warnings.warn(
                "ray was imported before: its ports are open to the network. Restart.",
                stacklevel=4,
            )
        return
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextlib.contextmanager
def _connected(ray) -> Iterator[str]:
    with _quiet():
        ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _started(ray, cpus: int | None, mark: str) -> Iterator[str]:
    # A short path: Ray's sockets lie below it, and a socket's path has at most 104 letters (macOS) or 108 (Linux).
    folder = Path(tempfile.mkdtemp(prefix=f"course-ray-{os.getpid()}-", dir=_base()))
    os.environ[processes.MARK] = mark

    def stop() -> None:
        if not folder.exists():  # done: at the exit, before Python closes a block that nobody left
            return
        try:
            ray.shutdown()
        finally:
            processes.end(processes.await_end(mark, wait_s=3.0))
            os.environ.pop(processes.MARK, None)
            shutil.rmtree(folder, ignore_errors=True)
            atexit.unregister(stop)  # last: a second interrupt in here, and the exit does it again

    atexit.register(stop)
    try:
        _start(ray, mark, cpus=max(2, cpus or os.cpu_count() or 1), folder=folder)
        yield ray.get_runtime_context().gcs_address
    finally:
        stop()


class _TooBusyError(Exception):
    """The node has not come up in time."""


def _start(ray, mark: str, cpus: int, folder: Path) -> None:
    """ray.init; again where the machine was too busy. A node dies whose agents aren't there after 15 s (2.60); under a
    load of 10 on 2 cores they took 15 to 35."""
    for tries_left in reversed(range(START_TRIES)):
        try:
            with _quiet(), _fit_for_one_node():
                ray.init(
                    num_cpus=cpus,
                    object_store_memory=OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(folder),
                    **_store_place(folder),
                )
            return
        except Exception as error:
            if not tries_left or not (
                isinstance(error, _TooBusyError) or "timed out during startup" in str(error)
            ):
                raise
            ray.shutdown()
            processes.end(processes.marked(mark))


def _store_place(folder: Path) -> dict:
    """Where the object store lies, where it can't be /dev/shm: absent (macOS), or too small (64 MB in a container)."""
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > 1.1 * OBJECT_STORE_BYTES:
        return {}
    free = shutil.disk_usage(folder).free
    if free < 2 * OBJECT_STORE_BYTES:
        raise ValueError(
            f"{SHARED_MEMORY} has no room for Ray's object store, and {folder.parent} has {free / 1e6:.0f} MB: "
            f"{2 * OBJECT_STORE_BYTES / 1e6:.0f} MB are needed in one of them (docker run --shm-size=200m)"
        )
    return {"_plasma_directory": str(folder)}


@contextlib.contextmanager
def _fit_for_one_node() -> Iterator[None]:
    """While Ray starts, three things that `ray.init` has no switch for (2.60).

    Log monitor, dashboard and the scaler of nodes stay out: a single node has no use for them, and they take 240 MB
    of a machine that has 2 GB, and seconds of its cores. So does the listener that prints a paragraph for each worker
    that is killed, as chapters do on purpose. And a node that has died is not waited for.
    ValueError for a Ray that is made differently inside.
    """
    try:
        from ray._private import node, services, worker

        replaced = [
            (node.Node, f"start_{name}", _nothing) for name in ("log_monitor", "monitor", "api_server")
        ]
        replaced += [
            (worker, "listen_error_messages", _nothing),
            (services, "get_node", _while_alive(services.get_node)),
        ]
        kept = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"ray {version('ray')} is made differently inside than 2.60, which is needed here ({error}): "
            'pip install "ray[serve]==2.60.0"'
        ) from None
    for owner, name, function in replaced:
        setattr(owner, name, function)
    try:
        yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def _nothing(*_, **__) -> None:
    pass


def _while_alive(get_node: Callable) -> Callable:
    """Ray asks for its node until 30 s are over, also where the raylet, that would be it, has died meanwhile."""
    import psutil

    def get(*args, **kwargs):
        for child in psutil.Process().children():
            if child.name() == "raylet" and child.status() == psutil.STATUS_ZOMBIE:
                raise _TooBusyError("Ray's node died while it started")
        return get_node(*args, **kwargs)

    return get


def _base() -> Path:
    return Path("/tmp") if os.name == "posix" else Path(tempfile.gettempdir())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray tells each start in a dozen lines; a chapter shows what it measured."""
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
