"""A real JupyterLab in a real Chromium: `lab.open_notebook(path)` gives a notebook to run, drag and look at.

Server, browser and kernels are isolated from this machine's settings, stay on the loopback interface and are
ended together, whatever happens. Other folders use the classes through `runpy.run_path`.
"""

import ast
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
WIDTH_PX, HEIGHT_PX = 1440, 1000

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    # Without a screen, Chromium else throttles pages that it takes for hidden.
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
]

# Settings of a first visit, without what would reach out to the network or cover the notebook.
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}

# Said by the page, but not about our notebooks.
HARMLESS = (
    "favicon",
    "ResizeObserver loop",
    "/api/me",
    "/lsp/",
    "net::ERR_FAILED",  # a request to another machine, which the test refuses
    "Failed to load resource: the server responded with a status of 404",  # custom.css, page configuration
)


def chromium_path() -> str:
    """Path of a Chromium or Chrome on this machine. RuntimeError that says how to install one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise RuntimeError(
        "No Chromium on this machine, and these tests drive a real browser. On Debian or Ubuntu install one with "
        "`sudo apt-get install chromium`; elsewhere install Google Chrome and put `google-chrome` on the PATH."
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class JupyterLab:
    """A JupyterLab server and a browser, as a context manager."""

    def __init__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="course-lab-"))
        self.root = self._folder / "notebooks"
        self._server = self._playwright = self._browser = None

    def __enter__(self) -> "JupyterLab":
        try:
            self._start_server()
            self._start_browser()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        for close in (self._stop_browser, self._stop_server):
            try:
                close()
            except Exception as problem:
                print(f"while closing: {problem}", file=sys.stderr)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start_server(self) -> None:
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        for name in [*folders.values(), "notebooks"]:
            (self._folder / name).mkdir()
        for name, values in SETTINGS.items():
            file = self._folder / "settings" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        environment = {**os.environ, **{name: str(self._folder / at) for name, at in folders.items()}}
        environment.pop("COURSE_FRONTEND", None)
        self.port = free_port()
        self._log = self._folder / "server.log"
        with open(self._log, "wb") as log:
            self._server = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyter", "lab"),
                    *("--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={self.port}"),
                    *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.root}"),
                    *("--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"),
                    "--expose-app-in-browser",
                ],
                env=environment,
                stdout=log,
                stderr=log,
                # A process group of its own: its kernels end with it.
                start_new_session=True,
            )
        self._await_server()

    def _await_server(self, timeout_s: float = 60) -> None:
        ends = time.monotonic() + timeout_s
        while time.monotonic() < ends:
            if self._server.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/api/status", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        tail = self._log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"JupyterLab did not answer within {timeout_s:.0f} s:\n{tail}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _start_browser(self) -> None:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=chromium_path(), headless=True, args=CHROMIUM_FLAGS
        )
        self.chromium_version = self._browser.version

    def _stop_browser(self) -> None:
        if self._browser:
            self._browser.close()
        if self._playwright:
            self._playwright.stop()

    def _stop_server(self) -> None:
        if self._server is None:
            return
        # The group first, so that kernels don't outlive a server that is slow to end.
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._server.pid, sign)
            except ProcessLookupError:
                break
            try:
                self._server.wait(10)
            except subprocess.TimeoutExpired:
                continue
        self._end_kernels()

    def _end_kernels(self) -> None:
        """Kernels leave the server's group: end those whose connection file lies in our runtime folder."""
        for file in (self._folder / "runtime").glob("kernel-*.json"):
            for process in _processes_with(str(file)):
                os.kill(process, signal.SIGKILL)

    def open_notebook(self, path: Path | str, width_px: int = WIDTH_PX) -> "Notebook":
        """Open a copy of the notebook at `path`, with a kernel that is ready. Close it when done."""
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"No notebook at {path}")
        # A folder each: a second visit finds neither the first one's outputs nor its kernel.
        folder = Path(tempfile.mkdtemp(dir=self.root, prefix="visit-"))
        shutil.copy(path, folder / path.name)
        return Notebook(self, self.new_page(width_px), f"{folder.name}/{path.name}")

    def new_page(self, width_px: int = WIDTH_PX, also: tuple[str, ...] = ()):
        """An empty page that reaches this server, those in `also`, and files, and nothing else."""
        context = self._browser.new_context(viewport={"width": width_px, "height": HEIGHT_PX})
        context.set_default_timeout(60_000)
        near = (self.url, *also, "file:", "blob:", "data:")
        context.route(lambda url: not url.startswith(near), lambda route: route.abort())
        return context.new_page()


def _processes_with(text: str) -> list[int]:
    """Ids of processes that have `text` on their command line; none where there is no /proc."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in file.read_bytes().decode(errors="replace"):
                found.append(int(file.parent.name))
        except OSError:
            continue
    return found


_PROGRESS = """() => {
  const panel = jupyterapp.shell.currentWidget;
  const cells = [...panel.content.model.cells].filter(c => c.type === "code" && c.sharedModel.getSource().trim());
  const outputs = cells.flatMap((cell, index) => [...Array(cell.outputs.length).keys()].map(
    at => [index, cell.outputs.get(at).toJSON()]));
  return {
    left: cells.filter(c => c.executionCount === null).length,
    kernel: panel.sessionContext.session?.kernel?.status ?? "none",
    errors: outputs.filter(([_, one]) => one.output_type === "error").map(
      ([index, one]) => `code cell ${index + 1}: ${one.ename}: ${one.evalue}`),
  };
}"""


class Notebook:
    """One notebook open in the browser."""

    def __init__(self, server: JupyterLab, page, path: str):
        self.server, self.page, self.path = server, page, path
        self.console: list[str] = []
        page.on(
            "console",
            lambda said: said.type == "error" and self.console.append(f"{said.text} {said.location}"),
        )
        page.on("pageerror", lambda error: self.console.append(str(error)))
        self._visit()

    def _visit(self) -> None:
        self.page.goto(f"{self.server.url}/lab/tree/{self.path}?reset")
        self.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext")
        self.page.evaluate("async () => { await jupyterapp.shell.currentWidget.sessionContext.ready; }")

    def reload(self) -> None:
        """Save the notebook and load the page again; the kernel goes on."""
        self.page.evaluate("async () => { await jupyterapp.commands.execute('docmanager:save'); }")
        self._visit()

    @property
    def console_errors(self) -> list[str]:
        """What the page said on its console as errors, but for what has nothing to do with the notebook."""
        return [text for text in self.console if not any(part in text for part in HARMLESS)]

    def run_all(self, timeout_s: float = 120) -> float:
        """Run every cell; seconds taken. AssertionError with the messages if a cell failed or none ended in time."""
        started = time.monotonic()
        self.page.evaluate("() => { void jupyterapp.commands.execute('notebook:run-all-cells'); }")
        while True:
            state = self.page.evaluate(_PROGRESS)
            assert not state["errors"], "\n".join(state["errors"])
            if not state["left"] and state["kernel"] == "idle":
                return time.monotonic() - started
            assert time.monotonic() - started < timeout_s, f"not done after {timeout_s} s: {state}"
            self.page.wait_for_timeout(100)

    def evaluate(self, expression: str):
        """The value of a Python expression in the notebook's kernel, where it is a literal."""
        text = self.page.evaluate(
            """async expression => {
              const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
              const asked = {code: "", silent: true, store_history: false, user_expressions: {value: expression}};
              const {value} = (await kernel.requestExecute(asked).done).content.user_expressions;
              return value.data?.["text/plain"] ?? `${value.ename}: ${value.evalue}`;
            }""",
            expression,
        )
        return ast.literal_eval(text)

    def slider(self, label: str):
        """The handle of the slider with this label, scrolled into view."""
        handle = self.page.locator(f".widget-slider:has(.widget-label:text-is('{label}')) .noUi-handle").first
        handle.scroll_into_view_if_needed()
        return handle

    def drag(self, label: str, share: float, steps: int = 8) -> None:
        """Drag a slider's handle to `share` of its way (0 left, 1 right) with the mouse, and let go."""
        handle = self.slider(label)
        track = handle.locator("xpath=ancestor::*[contains(@class,'noUi-base')]").bounding_box()
        box = handle.bounding_box()
        middle = box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(box["x"] + box["width"] / 2, middle)
        mouse.down()
        mouse.move(track["x"] + share * track["width"], middle, steps=steps)
        mouse.up()

    def curves(self, figure: int = 0) -> list[str]:
        """The paths (attribute `d`) of the curves in the page's n-th figure, in the order of its series."""
        plot = self.page.locator(".js-plotly-plot").nth(figure)
        plot.locator(".scatterlayer path.js-line").first.wait_for(state="attached")
        return plot.locator(".scatterlayer path.js-line").evaluate_all(
            "all => all.map(p => p.getAttribute('d'))"
        )

    def wait_for_change(self, before: list[str], figure: int = 0, timeout_s: float = 10) -> list[str]:
        """The curves once they differ from `before` and have come to rest. AssertionError if they stay."""
        ends = time.monotonic() + timeout_s
        last = before
        while (now := self.curves(figure)) == before or now != last:
            assert time.monotonic() < ends, f"the curves did not change and rest within {timeout_s} s"
            last = now
            self.page.wait_for_timeout(20 if now == before else 300)
        return now

    def text(self, part: str, figure: int = 0) -> str:
        """The title, above, below, note or error of the page's n-th explorer."""
        return self.page.locator(f".course-explorer .course-{part}").nth(figure).text_content()

    def screenshot(self, name: str, figure: int | None = None) -> Path:
        """Save what the browser shows, or the n-th explorer with its controls, under build/screenshots/."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        file = SCREENSHOTS / f"{name}.png"
        if figure is None:
            self.page.screenshot(path=file)
        else:
            self.page.locator(".widget-vbox:has(> .course-explorer)").nth(figure).screenshot(path=file)
        return file

    def close(self) -> None:
        """Close the page and end the kernel."""
        try:
            self.page.evaluate("async () => { await jupyterapp.serviceManager.sessions.shutdownAll(); }")
        finally:
            self.page.context.close()


# Not for the whole session: while its browser is open, no other test can run an event loop of its own.
@pytest.fixture(scope="module")
def jupyter_lab() -> Iterator[JupyterLab]:
    """One server and one browser for a file's tests."""
    try:
        chromium_path()
    except RuntimeError as problem:
        pytest.fail(str(problem), pytrace=False)
    with JupyterLab() as running:
        yield running


@pytest.fixture
def lab(jupyter_lab) -> Iterator:
    """`lab.open_notebook(path)`; what it opened is closed after the test."""
    opened = []

    class Visits:
        url = jupyter_lab.url

        @staticmethod
        def open_notebook(path, width_px: int = WIDTH_PX) -> Notebook:
            opened.append(jupyter_lab.open_notebook(path, width_px))
            return opened[-1]

    yield Visits
    for one in opened:
        one.close()
