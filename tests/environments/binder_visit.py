"""One visitor of Binder: a JupyterLab server and one chapter's kernel, together under one limit on memory.

nbval runs the chapter's cells from outside the limit; only what Binder has is inside it.
"""

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.environments.binder_image import Image
from tests.environments.memory_limit import MemoryLimit

# mybinder.org gives "2GB", which JupyterHub reads as 2 GiB; this is the stricter of the two.
LIMIT_BYTES = 2 * 10**9
CELL_TIMEOUT_S = 300
SERVER_PATIENCE_S = 60


@dataclass(frozen=True)
class Visit:
    """Allocated: heaps, stacks and shared memory of all processes. The group's peak has pages of files as well."""

    chapter: str
    seconds: float
    server_mb: float
    allocated_mb: float
    group_mb: float
    kills: int
    error: str

    @property
    def verdict(self) -> str:
        if self.kills:
            return "out of memory"
        return "error" if self.error else "ok"


def visit(image: Image, chapter: str, folder: Path) -> Visit:
    """Open a blank chapter in JupyterLab and run all of its cells, as the first thing in a new pod."""
    for compiled in image.home.rglob("*.nb[ic]"):  # numba's, left by the chapter before
        compiled.unlink()
    start = time.monotonic()
    output = folder / "nbval.txt"
    variables = {**image.variables, "MEM_LIMIT": str(LIMIT_BYTES)}
    with MemoryLimit(LIMIT_BYTES) as limit, output.open("w") as log:
        command = ["jupyter", "lab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root"]
        server = subprocess.Popen(
            limit.inside(image.started(*command)), cwd=image.home, env=variables, stdout=log, stderr=log
        )
        open_in_lab(image, server, chapter)
        limit.sample()
        server_bytes = limit.anonymous_peak_bytes
        kernel = limit.inside(image.started("python", "-m", "ipykernel_launcher", "-f", "{connection_file}"))
        cells = subprocess.Popen(
            run_cells(chapter, kernel, folder),
            cwd=image.home,
            env={**variables, "JUPYTER_PATH": str(folder)},
            stdout=log,
            stderr=log,
        )
        try:
            # A kernel that was killed would be waited for until the timeout of its cell.
            while cells.poll() is None and not limit.kills:
                time.sleep(0.1)
        finally:
            cells.kill()
            cells.wait()
    server.wait()
    return Visit(
        chapter=chapter,
        seconds=time.monotonic() - start,
        server_mb=server_bytes / 1e6,
        allocated_mb=limit.anonymous_peak_bytes / 1e6,
        group_mb=limit.group_peak_bytes / 1e6,
        kills=limit.kills,
        error="" if cells.returncode == 0 else what_failed(output.read_text(), image.home, chapter),
    )


def open_in_lab(image: Image, server: subprocess.Popen, chapter: str) -> None:
    """Wait for the server, then ask for what a browser does first: the page, its settings, the notebook."""
    told = image.home / ".runtime" / f"jpserver-{server.pid}.json"
    address, deadline = None, time.monotonic() + SERVER_PATIENCE_S
    while address is None:
        assert server.poll() is None, "JupyterLab ended before it answered"
        assert time.monotonic() < deadline, "JupyterLab didn't start"
        time.sleep(0.05)
        # The file comes before the server listens, and for a moment it isn't whole.
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError, ConnectionRefusedError):
            written = json.loads(told.read_text())
            socket.create_connection((written["hostname"], written["port"])).close()
            address = written
    for path in ("lab", "lab/api/settings", f"api/contents/notebooks/{chapter}.ipynb?content=1"):
        asked = urllib.request.Request(
            address["url"] + path, headers={"Authorization": f"token {address['token']}"}
        )
        with urllib.request.urlopen(asked, timeout=SERVER_PATIENCE_S) as answer:
            answer.read()


def run_cells(chapter: str, kernel: list[str], folder: Path) -> list[str]:
    """nbval's command, its kernel started as `kernel`. It stops at the first cell that raises."""
    spec = folder / "kernels" / "binder" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": kernel, "display_name": "Binder", "language": "python"}))
    nbval = ["--nbval-lax", "--nbval-kernel-name=binder", f"--nbval-cell-timeout={CELL_TIMEOUT_S}"]
    quiet = ["-o", "addopts=", "-p", "no:cacheprovider", "--color=no"]
    return [sys.executable, "-m", "pytest", "-x", "-v", *quiet, *nbval, f"notebooks/{chapter}.ipynb"]


def what_failed(output: str, home: Path, chapter: str) -> str:
    """The last cell that was begun, by its id, and what is said of it."""
    notebook = json.loads((home / "notebooks" / f"{chapter}.ipynb").read_text())
    ids = [cell["id"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    begun = re.findall(r"::Cell (\d+)", output.split("= FAILURES =")[0])
    where = f"{chapter}, cell {ids[int(begun[-1])]}" if begun else chapter
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    return f"{where}:\n{plain.partition('Notebook cell execution failed')[2] or plain[-2000:]}"


def as_table(visits: list[Visit]) -> str:
    """What each chapter took, beside the limit, for people."""
    head = f"{'chapter':32}{'seconds':>8}{'allocated MB':>14}{'the server':>12}{'with files':>12}  verdict"
    rows = [
        f"{one.chapter:32}{one.seconds:8.0f}{one.allocated_mb:14.0f}{one.server_mb:12.0f}{one.group_mb:12.0f}"
        f"  {one.verdict}"
        for one in visits
    ]
    if len(visits) > 1:
        largest = max(one.allocated_mb for one in visits)
        rows.append(f"{'all, and the largest':32}{sum(one.seconds for one in visits):8.0f}{largest:14.0f}")
    note = (
        f"Limit {LIMIT_BYTES / 1e6:.0f} MB, set by a control group. Allocated: the server, the kernel and what it "
        "starts; with files: and the pages of files, which the system drops when it needs room."
    )
    return "\n".join(["", head, *rows, note, ""])
