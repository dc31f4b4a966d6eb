"""A visitor who reads no notebooks: sets inputs, uploads files, follows a link, downloads, plans."""

import contextlib
import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Error

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
}


class Served:
    """`make dashboard`, as typed in a terminal."""

    def __init__(self, folder: Path):
        import socket

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url, self.log, self._folder = f"http://127.0.0.1:{port}", folder / "server.log", folder
        environment = {**os.environ, "IPYTHONDIR": str(folder)}
        for name in ("COURSE_FRONTEND", "MAKEFLAGS", "MAKELEVEL"):
            environment.pop(name, None)
        told = f"--no-browser --port={port} --Voila.connection_dir_root={folder}"
        command = ["make", "dashboard", f"PYTHON={sys.executable}", f"DASHBOARD_ARGS={told}"]
        # Tests that a shell runs in the background ignore Ctrl-C, and what they start would inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with self.log.open("wb") as written:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=written, stderr=written, start_new_session=True
            )
        signal.signal(signal.SIGINT, before)

    def wait(self, timeout_s=120) -> None:
        ends = time.monotonic() + timeout_s
        while self._process.poll() is None and time.monotonic() < ends:
            try:
                with urllib.request.urlopen(f"{self.url}/voila/static/voila.js", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        pytest.fail(f"Voilà did not answer: {self.log.read_text(errors='replace')[-2000:]}", pytrace=False)

    def press_ctrl_c(self) -> int | None:
        """The exit code: a terminal sends the signal to all that stands in its foreground."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            return None

    def kernels(self) -> list[str]:
        """Command lines of the kernels that live: each names its file in our folder."""
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = file.read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:
                continue
            found += [line] if "ipykernel" in line and str(self._folder) in line else []
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("dashboard"))
    try:
        served.wait()
        yield served
    finally:
        served.press_ctrl_c()


@pytest.fixture
def visit(jupyter_lab, server):
    """`visit("?replicas=2", width_px=390)`: the page, drawn, with what its console said in `page.said`."""
    opened = []

    def visited(query="", width_px=1440):
        page = jupyter_lab.new_page(width_px, also=(server.url,))
        opened.append(page)
        page.said, page.refused = [], []
        page.on("console", lambda said: said.type == "error" and page.said.append(said.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("requestfailed", lambda request: page.refused.append(request.url))
        began = time.monotonic()
        page.goto(f"{server.url}/{query}", wait_until="commit")
        page.get_by_text("Starting …").or_(page.locator(".course-tiles")).wait_for()
        page.first_sign_s = time.monotonic() - began
        page.locator(".course-tiles").wait_for()
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        page.drawn_s = time.monotonic() - began
        return page

    yield visited
    for one in opened:
        with contextlib.suppress(
            Error
        ):  # as a visitor leaves: the page tells the server, if it is still there
            one.goto(f"{server.url}/voila/static/voila.js")
        one.context.close()


def tile(page, name):
    return page.locator(f".course-tiles div:has(dt:text-is('{name}')) dd").first.text_content()


def slide(page, label, key, times=1):
    page.get_by_role("slider", name=label, exact=True).focus()
    for _ in range(times):
        page.keyboard.press(key)


def upload(page, label, name, content):
    content = content.encode() if isinstance(content, str) else content
    page.get_by_label(label).set_input_files(
        {"name": name, "mimeType": "text/plain", "buffer": content},
    )


def download(page, text) -> str:
    with page.expect_download() as saving:
        page.get_by_text(text).click()
    return Path(saving.value.path()).read_text(encoding="utf-8")


def trace_of(count, gap_s, tokens_in, tokens_out):
    lines = [f"{at * gap_s:.3f},{tokens_in},{tokens_out}" for at in range(count)]
    return "\n".join(["arrived_at,input_tokens,output_tokens", *lines])


BAD_TRACES = (
    ("broken.csv", "arrived_at,input_tokens\n0,5\n", "output_tokens is missing"),
    ("empty.csv", "", "it is empty"),
    ("latin.csv", b"arrived_at,input_tokens,output_tokens\n0,\xe9,1\n", "not UTF-8"),
)
BAD_CONFIGS = (
    ("package.json", '{"name": "web", "version": "1"}', "is this a language model's?"),
    ("t5.json", '{"model_type": "t5", "d_model": 512, "num_layers": 6}', "only decoder-only models"),
)


def test_a_visitor_uploads_a_trace_and_a_config_and_reads_the_result(visit, tmp_path):
    page = visit()
    upload(page, "Upload a trace", "mine.csv", trace_of(501, 0.5, 700, 90))
    page.get_by_text("mine: 501 requests over 4.2 minutes").wait_for()
    # 2 requests a second are 172,800 a day.
    page.locator(".course-tiles").get_by_text("173,000 a day", exact=True).wait_for()
    # The link carries what it can: the means.
    assert "input_tokens=700&output_tokens=90" in page.url
    rows = list(csv.DictReader(download(page, "Download these figures (CSV)").splitlines()))
    assert [(row["kind"], row["source"]) for row in rows if row["figure"] == "traffic"] == [
        ("measured", "read from mine.csv")
    ]

    # What can't be used is one sentence, and the figures stay.
    for name, content, sentence in BAD_TRACES:
        upload(page, "Upload a trace", name, content)
        alert = page.get_by_role("alert").filter(has_text=name[1:])
        alert.wait_for()
        assert sentence in alert.text_content()
    with (tmp_path / "huge.csv").open("wb") as huge:
        huge.truncate(40_000_001)
    page.get_by_label("Upload a trace").set_input_files(tmp_path / "huge.csv")
    page.get_by_role("alert").get_by_text("Huge.csv has 40 MB: at most 40 MB are taken").wait_for()
    assert "read from mine.csv" in page.locator(".course-grounds").text_content()
    page.get_by_role("button", name="Put it aside").locator("visible=true").click()
    page.locator(".course-grounds").get_by_text("mean lengths: yours").wait_for()

    before = page.locator(".course-waits").text_content()
    upload(page, "Upload a config.json", "config.json", json.dumps(CONFIG))
    page.get_by_text("1.24 billion parameters").wait_for()
    page.wait_for_function("old => document.querySelector('.course-waits').textContent !== old", arg=before)
    for name, content, sentence in BAD_CONFIGS:
        upload(page, "Upload a config.json", name, content)
        alert = page.get_by_role("alert").filter(has_text=name[1:])
        alert.wait_for()
        assert sentence in alert.text_content()
    assert not [text for text in page.said if "404" not in text]


def test_a_link_brings_back_what_was_set_and_asks_no_other_machine(visit):
    page = visit("?model=Qwen3-32B&chip=H200+SXM&replicas=3&utm_source=mail")
    assert "3 x (Qwen3-32B on 1 x H200 SXM" in page.locator(".course-grounds").text_content()
    slide(page, "Copies", "ArrowRight")
    page.wait_for_function("() => location.search.includes('replicas=4')")
    link = page.get_by_label("Link to this page as it is set now").input_value()
    assert link == page.url
    again = visit("?" + link.partition("?")[2])
    assert tile(again, "Cost a month") == tile(page, "Cost a month")
    assert page.refused == again.refused == []


def test_a_wrong_link_and_what_does_not_fit_are_one_sentence_each(visit):
    page = visit("?chip=L4&replicas=900")
    assert page.get_by_role("alert").filter(has_text="link").text_content() == (
        "The link says replicas='900': value is 900.0, expected 1 to 64"
    )
    page.get_by_label("Chip", exact=True).select_option("L4")
    page.locator(".course-headline").get_by_text("1 L4").wait_for()
    page.get_by_label("Model", exact=True).select_option("Llama-3.1-70B")
    message = page.get_by_role("alert").filter(has_text="Llama-3.1-70B")
    message.wait_for()
    assert "\n" not in message.text_content()
    # The last figures are marked as old.
    assert page.locator(".course-stale .course-tiles").is_visible()
    assert "Traceback" not in page.content()


def findings_of(page) -> list[str]:
    """What axe-core finds serious or critical."""
    from axe_core_python.sync_playwright import Axe

    found = Axe().run(page)["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:150]}" for one in found if one["impact"] in SERIOUS]


SERIOUS = ("serious", "critical")


def picture(page, name):
    """Voilà scrolls inside, not the window: the window must be as high as the page."""
    page.screenshot(path=SCREENSHOTS / f"dashboard-{name}.png", full_page=True)


def test_everybody_can_use_it_and_take_figures_plan_and_report_along(visit):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page = visit("?requests_per_day=20000")
    assert page.title() == "What it costs to serve"
    rows = list(csv.DictReader(download(page, "Download these figures (CSV)").splitlines()))
    assert {"price", "cost", "capacity", "TTFT p95", "E2E p99"} <= {row["figure"] for row in rows}
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)
    assert {row["kind"] for row in rows} == {"published", "derived", "assumed", "predicted"}
    assert all(row["source"] and row["as_of"] for row in rows)

    for state in ("first", "plan"):
        for width_px in (1440, 390):
            page.set_viewport_size({"width": width_px, "height": 2600})
            page.wait_for_timeout(400)
            picture(page, f"{state}-{width_px}")
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width_px
            assert findings_of(page) == []
        if state == "first":
            page.get_by_role("button", name="Find the cheapest plan").press("Enter")
            page.locator(".course-why").wait_for(timeout=120_000)
    assert "is the cheapest of" in page.locator(".course-why").text_content()
    assert "winner" in download(page, "Download the plan (CSV)")

    report = download(page, "Download the report (HTML)")
    assert "Serving plan" in report
    sheet = page.context.new_page()
    sheet.set_viewport_size({"width": 390, "height": 1000})
    sheet.set_content(report)
    assert sheet.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert findings_of(sheet) == []
    paper = sheet.pdf(path=SCREENSHOTS / "dashboard-report.pdf", prefer_css_page_size=True)
    assert paper.startswith(b"%PDF")


_UPDATE_MS = """async ({label, key}) => {
  const handle = document.querySelector(`.noUi-handle[aria-label='${label}']`);
  handle.focus();
  const shown = document.querySelector(".course-tiles").closest(".widget-html-content");
  const drawn = document.querySelector(".js-plotly-plot");
  const started = performance.now();
  const changed = (node) => new Promise((done) => {
    const watch = new MutationObserver(() => { watch.disconnect(); done(); });
    watch.observe(node, {childList: true, subtree: true, attributes: true, characterData: true});
  });
  const both = Promise.all([changed(shown), changed(drawn)]);
  handle.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  await both;
  await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - started;
}"""

_COUNT_SENTENCES = """() => {
  window.sentences = 0;
  new MutationObserver(() => { window.sentences += 1; }).observe(
    document.querySelector(".course-spoken"), {childList: true, subtree: true, characterData: true});
}"""

_FOCUSED = """() => {
  const at = document.activeElement, look = getComputedStyle(at), around = getComputedStyle(at.parentElement);
  const name = at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent ?? at.textContent;
  const seen = [look, around].some((one) => one.outlineStyle !== "none" && parseFloat(one.outlineWidth) >= 2);
  return {name: name.trim(), seen, left: at === document.body};
}"""


def test_figures_curve_and_what_is_read_out_follow_each_key(visit, capsys):
    page = visit()
    # Every control is met by Tab, has a name and is seen to have the focus.
    page.evaluate("() => document.activeElement.blur()")
    met = []
    while len(met) < 40:
        page.keyboard.press("Tab")
        at = page.evaluate(_FOCUSED)
        if at["left"]:
            break
        assert at["name"], at
        assert at["seen"], at
        met.append(at["name"])
    expected = "Model, Requests a day, Upload a trace, Chip, Copies, My own price, Copy link, First token"
    assert {*expected.split(", "), "Upload a config.json", "Find the cheapest plan"} <= set(met)

    times = []
    for place in range(12):
        label = ("Requests a day", "Tokens out", "Copies")[place % 3]
        times.append(page.evaluate(_UPDATE_MS, {"label": label, "key": "ArrowRight"}))
        page.wait_for_timeout(300)
    with capsys.disabled():
        print(
            f"\ndashboard: first sign after {page.first_sign_s:.1f} s, drawn after {page.drawn_s:.1f} s; "
            f"input to figures and curve: median {statistics.median(times):.0f} ms, most {max(times):.0f} ms "
            "(budget 200 ms)"
        )
    assert "5 x (Llama-3.1-8B on 1 x H100 SXM" in page.locator(".course-grounds").text_content()

    # What is read out waits until the controls rest, and is then the sentence that stands on the page.
    said = page.locator(".course-spoken[role=status]")
    said.get_by_text("Llama-3.1-8B on 5 H100 SXM").wait_for()
    page.evaluate(_COUNT_SENTENCES)
    slide(page, "Copies", "ArrowRight", times=8)
    said.get_by_text("Llama-3.1-8B on 13 H100 SXM").wait_for()
    assert said.text_content() == page.locator(".course-headline").text_content()
    assert page.evaluate("() => window.sentences") < 8


def test_ctrl_c_ends_everything_and_whoever_left_has_left_no_kernel(server, visit):
    page = visit()
    ends = time.monotonic() + 60
    while len(server.kernels()) != 2:  # this visitor's, and the one that stands ready
        assert time.monotonic() < ends, server.kernels()
        time.sleep(0.2)
    # The server ends well; make may pass on that it was interrupted.
    assert server.press_ctrl_c() in (0, -signal.SIGINT)
    assert server.kernels() == []
    assert "Traceback" not in server.log.read_text(errors="replace")
    # The page says so instead of standing still with old figures.
    page.get_by_role("alert").get_by_text("The connection to the server is lost").wait_for()
