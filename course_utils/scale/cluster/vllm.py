"""`vllm serve` for as long as a `with` block lasts: on a GPU, the same load generator drives a production engine.

    with vllm_serving("Qwen/Qwen2.5-0.5B-Instruct") as url:
        open_loop(traffic, url)

No GPU was there when this was written: start, waiting, errors and stop are tested with a stand-in program, the engine
itself is not. Options as in vLLM's documentation of `vllm serve`, 0.11 and later.
Taught in: chapter 10.
"""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from course_utils.catalog.provenance import check_range
from course_utils.scale.cluster.service import HOST, free_port


def vllm_command(
    model: str, port: int, *, max_running: int = 256, step_tokens: int = 2048, memory_share: float = 0.9
) -> list[str]:
    """The command line that serves `model` on 127.0.0.1:`port`. ValueError for values that vLLM can't take.

    max_running sequences in a batch, step_tokens of a step (chunked prefill is vLLM's default), memory_share of the
    GPU for weights and KV cache.
    """
    if not model or model.startswith("-"):
        raise ValueError(f"model={model!r}: a hub's owner/name or a folder is needed")
    check_range("port", port, 1, 65_535)
    check_range("max_running", max_running, 1, 65_536)
    check_range("step_tokens", step_tokens, max_running, 1_000_000)
    check_range("memory_share", memory_share, 0.05, 1)
    options = {
        "--host": HOST,
        "--port": port,
        "--max-num-seqs": max_running,
        "--max-num-batched-tokens": step_tokens,
        "--gpu-memory-utilization": memory_share,
    }
    return ["vllm", "serve", model, *(str(word) for option in options.items() for word in option)]


@contextlib.contextmanager
def vllm_serving(model: str, *, port: int = 0, wait_s: float = 600.0, **settings) -> Iterator[str]:
    """The address of `vllm serve MODEL`, once it answers; the server and its workers end with the block.

    `settings` are those of `vllm_command`. ValueError where vLLM isn't installed, the port is taken, the server ends
    by itself (with its last lines), or isn't ready after `wait_s`.
    """
    if shutil.which("vllm") is None:
        raise ValueError(
            "vllm is not installed: pip install vllm, on a GPU; elsewhere `serving` has the tiny model"
        )
    port = free_port(port)
    command = vllm_command(model, port, **settings)
    url = f"http://{HOST}:{port}"
    with tempfile.TemporaryDirectory(prefix="vllm-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            # A group of its own: its workers are ended with it.
            server = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

        def stop() -> None:
            _end_group(server)
            atexit.unregister(stop)  # last: interrupted here, it is done again at the exit

        atexit.register(stop)
        try:
            _await(server, url, wait_s, log)
            yield url
        finally:
            stop()


def _await(server: subprocess.Popen, url: str, wait_s: float, log: Path) -> None:
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        if server.poll() is not None:
            raise ValueError(f"vllm serve ended with code {server.returncode}:\n{_last_lines(log)}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
            return
        time.sleep(0.2)
    raise ValueError(f"wait_s={wait_s:g}: vllm serve was not ready by then:\n{_last_lines(log)}")


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-8:])


def _end_group(server: subprocess.Popen) -> None:
    for signal_, wait_s in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal_)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(wait_s)
