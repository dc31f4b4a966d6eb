"""A student's kernel seen from the grader: run a cell, ask for a value, and never wait longer than agreed.

The kernel is not trusted. Nothing that it sends is taken for more than text; a message that is too large, or
makes no sense, is passed over; and what it prints is not listened to. The grader reaches its socket through
/proc/PID/root, so that the sandbox needs no folder of this machine that it could write to.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils.grading.literals import literal
from course_utils.grading.sandbox import INSIDE, Limits, walled

START_S = 30.0
LARGEST_MESSAGE_BYTES = 4 * 2**20
LARGEST_VALUE_CHARACTERS = 2**20
_READ_FIRST_BYTES = 10_000
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class KernelGone(Exception):
    """The kernel ended, was spoilt, or did not answer in time and was ended (`late`)."""

    def __init__(self, late: bool):
        super().__init__("no answer in time" if late else "the kernel ended, or was spoilt")
        self.late = late


@dataclass(frozen=True)
class Reply:
    """What a cell came to: `error` is empty, or the kind and words of what it raised; `values` are texts."""

    error: str
    values: dict[str, str]


class Kernel:
    """One kernel, from `with Kernel(limits) as kernel` to the end of the block, whatever happens in it.

    walls: False runs it without a sandbox (`--trust-submissions`). hidden: as in `sandbox.walled`.
    Raises RuntimeError when it can't be started.
    """

    def __init__(self, limits: Limits, *, walls: bool = True, hidden: Sequence[Path] = ()):
        self.limits = limits
        self._walls, self._hidden = walls, tuple(hidden)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "Kernel":
        with self._open:
            self._start()
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self._open.close()

    def run(self, source: str, seconds: float, values: dict[str, str] | None = None) -> Reply:
        """Run a cell, then evaluate the expressions `values`. Raises KernelGone."""
        content = {
            "code": source,
            "silent": True,
            "store_history": False,
            "user_expressions": values or {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        sent = self._session.send(self._socket, "execute_request", content)
        reply = self._reply(sent["header"]["msg_id"], time.monotonic() + seconds)
        error = ""
        if reply.get("status") != "ok":
            error = f"{text_of(reply.get('ename'))[:80]}: {text_of(reply.get('evalue'))[:300]}"
        found = reply.get("user_expressions")
        return Reply(error, {name: value_text(found, name) for name in values or {}})

    def ask(self, expression: str, seconds: float) -> dict[str, Any]:
        """One value of `course_asked`, as the JSON object that it is; empty if it is none. Raises KernelGone."""
        return parsed(self.run("", seconds, {"value": expression}).values["value"])

    def ready(self) -> None:
        """Before an answer's cell. A kernel that no longer says it is ready has been spoilt: KernelGone."""
        if self.ask("course_asked.before()", self.limits.cell_s) != {"ready": True}:
            raise KernelGone(late=False)

    def call_all(self, cases: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """What the answer gives for each case, in one request. Raises KernelGone."""
        return self.call_texts([literal(tuple(args)) for args in cases])

    def call_texts(self, cases: Sequence[str]) -> list[dict[str, Any]]:
        """The same for arguments that are text already."""
        asked = {
            str(number): f"course_asked.call({text!r}, {self.limits.call_s})"
            for number, text in enumerate(cases)
        }
        reply = self.run("", self.limits.call_s + self.limits.cell_s, asked)
        return [parsed(reply.values[name]) for name in asked]

    def _start(self) -> None:
        import zmq
        from jupyter_client.session import Session

        command = [sys.executable, "-I", "-B"]
        if self._walls:
            filtered = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            command += [f"{INSIDE}/kernel_inside.py", "/tmp"]
            command = walled(command, self.limits, filtered, self._hidden)
            environment, passed, folder = {**_ENVIRONMENT, "HOME": "/tmp"}, (filtered.fileno(),), "/tmp"
        else:
            folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="course-"))
            command += [str(Path(__file__).with_name("kernel_inside.py")), folder]
            environment, passed = {**os.environ, **_ENVIRONMENT, "HOME": folder}, ()
            environment["PATH"] = os.environ.get("PATH", "")
            environment.pop("COURSE_SEED", None)
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder if not self._walls else "/",
            pass_fds=passed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._process = process
        self._open.callback(self._end)
        line = first_line(process, START_S)
        if not line:
            raise RuntimeError(f"the kernel did not start: {' '.join(command[:3])} … gave up")
        port = json.loads(line)["port"]
        if os.name == "nt":
            address = f"tcp://127.0.0.1:{port}"
        else:
            root = f"/proc/{innermost(process.pid)}/root" if self._walls else ""
            address = f"ipc://{root}{folder}/k-{port}"
        context = zmq.Context()
        self._open.callback(context.destroy, linger=0)
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.RCVHWM, 16)
        # Never again: by then the path could lead wherever the student's code wants.
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self._socket.connect(address)
        self._session = Session(key=b"course", check_pid=False)

    def _reply(self, wanted: str, deadline: float) -> dict[str, Any]:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                self._end()
                raise KernelGone(late=True)
            if self._socket.poll(min(left, 0.1) * 1000):
                reply = self._read(wanted)
                if reply is not None:
                    return reply
            elif self._process.poll() is not None:
                raise KernelGone(late=False)

    def _read(self, wanted: str) -> dict[str, Any] | None:
        """The content of the next message if it is the reply that is waited for."""
        try:
            _, frames = self._session.feed_identities(self._socket.recv_multipart())
            message = self._session.deserialize(frames)
            if message["msg_type"] == "execute_reply" and message["parent_header"]["msg_id"] == wanted:
                content = message["content"]
                return content if isinstance(content, dict) else None
        except Exception:  # whatever a student's code can send: it is not the reply
            return None
        return None

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def first_line(process: subprocess.Popen, seconds: float) -> bytes:
    """The first line that the kernel writes, empty if it ends or takes too long before."""
    deadline, line = time.monotonic() + seconds, b""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n") and len(line) < _READ_FIRST_BYTES:
            if not ready.select(max(0.0, deadline - time.monotonic())):
                return b""
            read = os.read(process.stdout.fileno(), 4096)
            if not read:
                return b""
            line += read
    return line


def innermost(pid: int) -> int:
    """The youngest of a chain of processes: the kernel, seen from outside, below bubblewrap's own two."""
    while True:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            return pid
        pid = int(children[0])


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def value_text(found: Any, name: str) -> str:
    """The plain text that an expression came to, empty if it is anything else."""
    try:
        return text_of(found[name]["data"]["text/plain"])
    except (KeyError, TypeError, IndexError):
        return ""


def parsed(text: str) -> dict[str, Any]:
    """A JSON object from text that nobody vouches for; numbers become float. Empty if it is none."""
    if len(text) > LARGEST_VALUE_CHARACTERS:
        return {"too_large": True}
    try:
        found = json.loads(text, parse_int=float)
    except (ValueError, RecursionError, OverflowError):
        return {}
    return found if isinstance(found, dict) else {}
