"""The site as visitors meet it: built without a warning, every page opened in Chromium, wide and on a phone."""

import asyncio
import gzip
import runpy
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import pytest

from course_utils.authoring.site import build_site

ROOT = Path(__file__).resolve().parents[2]
BROWSER = runpy.run_path(str(ROOT / "tests" / "browser" / "conftest.py"))
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks" / "src").glob("[0-9][0-9]_*.py"))
LARGEST_PAGE_BYTES = 3_000_000
TEXTS = {".html", ".js", ".css", ".svg", ".json"}
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
AT_ONCE = 2  # pages; each is a process of its own in Chromium

pytestmark = [pytest.mark.notebooks, pytest.mark.browser]


@pytest.fixture(scope="module")
def site(executed, house, request):
    for chapter in CHAPTERS:
        executed(chapter)
    started = time.perf_counter()
    folder = build_site(house).parent
    tell(request, f"site built in {time.perf_counter() - started:.0f} s")
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """Every page, as a path from the site's root."""
    found = sorted(
        str(path.relative_to(site)) for path in site.rglob("*.html") if "_static" not in path.parts
    )
    assert {f"notebooks/{chapter}.html" for chapter in CHAPTERS} <= set(found)
    return found


class Host(SimpleHTTPRequestHandler):
    """A folder on the loopback interface, its texts compressed as web hosts do (GitHub Pages, for one)."""

    packed: ClassVar[dict[Path, bytes]] = {}

    def log_message(self, *_):
        pass

    @classmethod
    def body(cls, path: Path) -> bytes:
        if path not in cls.packed:
            plain = path.read_bytes()
            cls.packed[path] = gzip.compress(plain, 6) if path.suffix in TEXTS else plain
        return cls.packed[path]

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        if path.suffix in TEXTS:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(self.body(path))))
        self.end_headers()
        self.wfile.write(self.body(path))


@pytest.fixture(scope="module")
def host(site):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@dataclass
class Visit:
    """What one page showed, said and asked for, wide first and then on a phone."""

    said: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    wider_px: dict[str, int] = field(default_factory=dict)
    barriers: list[str] = field(default_factory=list)
    sliders: int = 0
    stuck: list[str] = field(default_factory=list)


# axe takes a third of a second for a thousand elements, and longer for the contrast of each text: 8 s for a page of the
# library. So one text stands for all of its colours, size and weight, and the words of code and of signatures that
# only have the colour of others are text without an element. Then it is 1 s.
ONE_OF_EACH = """() => {
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (const old of document.querySelectorAll("[data-one]")) old.removeAttribute("data-one");
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !one.checkVisibility({opacityProperty: true})) continue;
    const {color, fontSize, fontWeight} = getComputedStyle(one);
    let behind = one;
    while (behind && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    const kind = [color, fontSize, fontWeight, behind && getComputedStyle(behind).backgroundColor].join();
    if (!seen.has(kind)) one.dataset.one = "";
    seen.add(kind);
  }
  for (const word of document.querySelectorAll("pre span, dt.sig span, dt.sig em"))
    if (!word.querySelector("a") && !word.matches("[data-one]")) word.replaceWith(...word.childNodes);
}"""
AXE = """async () => {
  axe.configure({noHtml: true, rules: [{id: "color-contrast", selector: "[data-one]"}]});
  const found = await axe.run({resultTypes: ["violations"]});
  return found.violations.filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${one.id} (${one.nodes.length}): ${one.nodes[0].target}`);
}"""
DRAWN = (
    "() => [...document.querySelectorAll('.course-explorer')].every(one => one.querySelector('.course-keys'))"
)


async def visit(browser, address: str) -> Visit:
    from axe_core_python.base import AXE_SCRIPT

    seen, page = Visit(), await browser.new_page(viewport=WIDE)
    page.on("console", lambda one: seen.said.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: seen.said.append(str(one)))
    page.on("request", lambda one: seen.asked.add(one.url))
    await page.goto(address)
    await page.wait_for_function(DRAWN)
    await page.evaluate(AXE_SCRIPT)
    for name, size in (("wide", WIDE), ("phone", PHONE)):
        await page.set_viewport_size(size)
        await page.wait_for_timeout(400)  # figures and what scrolls follow a change of size within 300 ms
        seen.wider_px[name] = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        await page.evaluate(ONE_OF_EACH)
        seen.barriers += [f"{name}: {one}" for one in await page.evaluate(AXE)]
        for explorer in await page.locator(".course-explorer").all():
            seen.sliders += 1
            if not await moves(explorer):
                seen.stuck.append(f"{name}: {(await explorer.inner_text())[:80]}")
    await page.close()
    return seen


async def moves(explorer) -> bool:
    """Whether one press of a key moves the slider, the words beside it and the drawing."""
    keys, drawing = explorer.locator("input.course-keys"), explorer.locator(".course-plot")
    await keys.focus()

    async def state():
        return await keys.get_attribute("aria-valuetext"), await drawing.inner_html()

    before = await state()
    await keys.press("Home" if await keys.input_value() == await keys.get_attribute("max") else "End")
    for _ in range(50):
        now = await state()
        if now[0] != before[0] and now[1] != before[1]:
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.fixture(scope="module")
def visits(host, pages):
    """Page → its visit. One for all tests, two at a time; the loop and the browser end before the first test."""
    from playwright.async_api import async_playwright

    async def everywhere():
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=BROWSER["chromium_path"](), args=BROWSER["CHROMIUM_FLAGS"]
            )
            free = asyncio.Semaphore(AT_ONCE)

            async def one(page):
                async with free:
                    return page, await visit(browser, host + page)

            try:
                return dict(await asyncio.gather(*map(one, pages)))
            finally:
                await browser.close()

    return asyncio.run(everywhere())


class Links(HTMLParser):
    """Targets of a page's links and the ids that others may point to."""

    def __init__(self, text: str):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])


def tell(request, text: str) -> None:
    """A line in the test's log, also where all pass."""
    request.config.get_terminal_writer().line(f"\n{text}")


def none_of(findings) -> None:
    found = list(findings)
    assert not found, "\n".join(found)


def test_every_link_within_the_site_leads_somewhere(site, pages):
    read = {page: Links((site / page).read_text("utf-8")) for page in pages}

    def dead(page, link):
        target, mark = urldefrag(urljoin(f"http://site/{page}", link))
        path = unquote(urlparse(target).path).lstrip("/")
        if urlparse(target).hostname != "site":
            return False
        return not (site / path).is_file() or (mark and path in read and unquote(mark) not in read[path].ids)

    none_of(f"{page}: {link}" for page, found in read.items() for link in found.links if dead(page, link))


def test_pages_open_without_an_error_on_the_console(visits):
    none_of(f"{page}: {text}" for page, seen in visits.items() for text in seen.said)


def test_no_page_asks_another_host(visits, host):
    near = (host, "data:", "blob:")
    none_of(
        f"{page}: {one}" for page, seen in visits.items() for one in seen.asked if not one.startswith(near)
    )


def test_a_chapter_weighs_at_most_3_mb(visits, site, host, request):
    weights = {}
    for page, seen in visits.items():
        paths = {site / urlparse(one).path.lstrip("/") for one in seen.asked if one.startswith(host)}
        weights[page] = sum(len(Host.body(path)) for path in paths if path.is_file())
    chapters = {page: weights[page] for page in weights if page.startswith("notebooks/")}
    tell(request, "\n".join(f"{page}: {weight / 1e6:.2f} MB" for page, weight in chapters.items()))
    none_of(f"{page}: {weight} bytes" for page, weight in chapters.items() if weight > LARGEST_PAGE_BYTES)


def test_no_page_is_wider_than_its_screen(visits):
    none_of(
        f"{page}, {name}: {wider} px too wide"
        for page, seen in visits.items()
        for name, wider in seen.wider_px.items()
        if wider > 0
    )


def test_no_page_keeps_anyone_out(visits):
    none_of(f"{page}, {one}" for page, seen in visits.items() for one in seen.barriers)


def test_every_chapter_has_a_slider_that_moves_its_figure_by_keyboard_without_a_kernel(visits):
    none_of(f"{page}, {one}" for page, seen in visits.items() for one in seen.stuck)
    none_of(f"{one}: no explorer" for one in CHAPTERS if not visits[f"notebooks/{one}.html"].sliders)


def test_an_exercise_shows_neither_its_solution_nor_its_mark(site):
    for chapter in CHAPTERS:
        text = (site / "notebooks" / f"{chapter}.html").read_text("utf-8")
        assert "BEGIN SOLUTION" not in text, chapter


def test_a_word_typed_anywhere_is_found_by_the_sites_own_index(host):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER["chromium_path"](), args=BROWSER["CHROMIUM_FLAGS"]
        )
        page, asked = browser.new_page(viewport=WIDE), []
        page.on("request", lambda one: asked.append(one.url))
        page.goto(f"{host}guides/trace.html")
        page.keyboard.press("Control+k")
        page.keyboard.type("goodput")
        page.keyboard.press("Enter")
        page.locator("#search-results li a", has_text="Queues and batching").wait_for()
        strangers = [one for one in asked if not one.startswith((host, "data:"))]
        browser.close()
    assert not strangers
