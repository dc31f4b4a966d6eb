"""A visitor who reads no notebooks: sets inputs, uploads files, follows a link, downloads, plans."""

import csv
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from course_utils.estimate.deployment import deployment

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


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the dashboard answers, served as `make dashboard` does; its kernels end with it."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("jupyter")
    log = folder / "server.log"
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder), "IPYTHONDIR": str(folder)}
    environment.pop("COURSE_FRONTEND", None)
    command = [sys.executable, "-m", "course_utils.explore.dashboard", "--no-browser", f"--port={port}"]
    with log.open("wb") as written:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=written, stderr=written)
    url = f"http://127.0.0.1:{port}"
    try:
        _await(server, f"{url}/voila/static/voila.js", log)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()


def _await(server, url, log, timeout_s=60):
    ends = time.monotonic() + timeout_s
    while server.poll() is None and time.monotonic() < ends:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"Voilà did not answer: {log.read_text(errors='replace')[-2000:]}", pytrace=False)


@pytest.fixture
def visit(jupyter_lab, address):
    """`visit("?replicas=2", width_px=390)`: the page, drawn, with what its console said in `page.said`."""
    opened = []

    def visited(query="", width_px=1440):
        page = jupyter_lab.new_page(width_px, also=(address,))
        opened.append(page)
        page.said, page.refused = [], []
        page.on("console", lambda said: said.type == "error" and page.said.append(said.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("requestfailed", lambda request: page.refused.append(request.url))
        page.goto(f"{address}/{query}")
        page.locator(".course-tiles").wait_for()
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        return page

    yield visited
    for one in opened:
        one.context.close()


def tile(page, name):
    return page.locator(f".course-tiles div:has(dt:text-is('{name}')) dd").first.text_content()


def slide(page, label, key, times=1):
    page.locator(f".widget-slider:has(.widget-label:text-is('{label}')) .noUi-handle").first.focus()
    for _ in range(times):
        page.keyboard.press(key)


def upload(page, button, name, content):
    with page.expect_file_chooser() as choosing:
        page.get_by_role("button", name=re.compile(f"^{re.escape(button)}")).click()
    choosing.value.set_files({"name": name, "mimeType": "text/plain", "buffer": content.encode()})


def trace_of(count, gap_s, tokens_in, tokens_out):
    lines = [f"{at * gap_s:.3f},{tokens_in},{tokens_out}" for at in range(count)]
    return "\n".join(["arrived_at,input_tokens,output_tokens", *lines])


def test_a_visitor_uploads_a_trace_and_reads_the_result(visit):
    page = visit()
    assert tile(page, "Per 1,000 requests").startswith("$")
    upload(page, "Upload a trace", "mine.csv", trace_of(501, 0.5, 700, 90))
    page.get_by_text("mine: 501 requests over 4.2 minutes").wait_for()
    # 2 requests a second are 172,800 a day.
    page.locator(".course-tiles").get_by_text("173,000 a day", exact=True).wait_for()
    assert "read from mine.csv" in page.locator(".course-grounds").text_content()
    # The link carries what it can: the means.
    assert "input_tokens=700&output_tokens=90" in page.url

    # A file that is none: one sentence, and the figures stay.
    upload(page, "Upload a trace", "broken.csv", "arrived_at,input_tokens\n0,5\n")
    alert = page.get_by_role("alert").filter(has_text="broken.csv")
    alert.wait_for()
    assert "output_tokens is missing" in alert.text_content()
    assert "read from mine.csv" in page.locator(".course-grounds").text_content()

    page.get_by_role("button", name="Put it aside").locator("visible=true").click()
    page.locator(".course-grounds").get_by_text("mean lengths: yours").wait_for()
    assert not [text for text in page.said if "404" not in text]


def test_an_uploaded_config_stands_in_for_the_model(visit):
    page = visit()
    before = page.locator(".course-waits").text_content()
    upload(page, "Upload a config.json", "config.json", json.dumps(CONFIG))
    page.get_by_text("1.24 billion parameters").wait_for()
    page.wait_for_function("old => document.querySelector('.course-waits').textContent !== old", arg=before)
    upload(page, "Upload a config.json", "config.json", '{"model_type": "llama"}')
    page.get_by_role("alert").filter(has_text="is needed").wait_for()
    page.get_by_text("1.24 billion parameters").wait_for(state="detached")


def test_a_link_brings_back_what_was_set_and_asks_no_other_machine(visit):
    page = visit("?model=Qwen3-32B&chip=H200+SXM&replicas=3&utm_source=mail")
    assert "3 x (Qwen3-32B on 1 x H200 SXM" in page.locator(".course-grounds").text_content()
    slide(page, "Copies", "ArrowRight")
    page.wait_for_function("() => location.search.includes('replicas=4')")
    link = page.get_by_label("Link to this page as it is set now").input_value()
    assert link == page.url
    again = visit(link.partition("/?")[2] and "?" + link.partition("/?")[2])
    assert tile(again, "Cost a month") == tile(page, "Cost a month")
    assert page.refused == again.refused == []

    wrong = visit("?replicas=900")
    assert wrong.get_by_role("alert").first.text_content() == (
        "The link says replicas='900': value is 900.0, expected 1 to 64"
    )


def test_what_does_not_fit_is_one_sentence_and_the_last_figures_are_marked_as_old(visit):
    page = visit("?chip=L4")
    page.locator("select").first.select_option("Llama-3.1-70B")
    message = page.get_by_role("alert").filter(has_text="Llama-3.1-70B")
    message.wait_for()
    assert len(message.text_content().splitlines()) == 1
    assert page.locator(".course-stale .course-tiles").is_visible()
    assert "Traceback" not in page.content()


def test_figures_and_plan_can_be_taken_along(visit, tmp_path):
    page = visit("?requests_per_day=20000")
    with page.expect_download() as saving:
        page.get_by_text("Download these figures (CSV)").click()
    saving.value.save_as(tmp_path / "figures.csv")
    rows = list(csv.DictReader((tmp_path / "figures.csv").open(encoding="utf-8")))
    assert {"cost", "capacity", "TTFT p95", "E2E p99"} <= {row["figure"] for row in rows}
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)

    page.get_by_role("button", name="Find the cheapest plan").click()
    page.locator(".course-why").wait_for(timeout=120_000)
    assert "is the cheapest of" in page.locator(".course-why").text_content()
    page.screenshot(path=SCREENSHOTS / "dashboard-plan.png", full_page=True)
    for text, inside in (
        ("Download the report (HTML)", "Serving plan"),
        ("Download the plan (CSV)", "winner"),
    ):
        with page.expect_download() as saving:
            page.get_by_text(text).click()
        assert inside in Path(saving.value.path()).read_text(encoding="utf-8")


@pytest.mark.parametrize("width_px", [1440, 390])
def test_the_page_fits_its_window(visit, width_px):
    page = visit(width_px=width_px)
    page.set_viewport_size({"width": width_px, "height": 2300})  # Voilà scrolls inside, not the window
    page.wait_for_timeout(500)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"dashboard-{width_px}.png", full_page=True)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width_px
    assert page.title() == "What it costs to serve"


_UPDATE_MS = """async ({label, key}) => {
  const label_of = (one) => one.querySelector(".widget-label")?.textContent;
  const slider = [...document.querySelectorAll(".widget-slider")].find((one) => label_of(one) === label);
  const handle = slider.querySelector(".noUi-handle");
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


def test_figures_and_curve_follow_each_input(visit, capsys):
    page = visit()
    times = []
    for place in range(12):
        label = ("Requests a day", "Tokens out", "Copies")[place % 3]
        times.append(page.evaluate(_UPDATE_MS, {"label": label, "key": "ArrowRight"}))
        page.wait_for_timeout(300)
    with capsys.disabled():
        print(
            f"\ninput to figures and curve: median {statistics.median(times):.0f} ms, most {max(times):.0f} ms"
        )
    shown = page.locator(".course-grounds").text_content()
    assert f"5 x ({deployment('Llama-3.1-8B', 'H100 SXM').shape.name}" in shown
