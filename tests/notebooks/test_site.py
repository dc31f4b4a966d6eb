"""The site as visitors meet it: built without a warning, every page opened in Chromium, wide and on a phone."""

import gzip
import runpy
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import pytest

from course_utils.authoring.site import build_site

ROOT = Path(__file__).resolve().parents[2]
BROWSER = runpy.run_path(str(ROOT / "tests" / "browser" / "conftest.py"))
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks" / "src").glob("[0-9][0-9]_*.py"))
LARGEST_PAGE_BYTES = 3_000_000
TEXTS = {".html", ".js", ".css", ".svg", ".json"}
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

pytestmark = [pytest.mark.notebooks, pytest.mark.browser]


@pytest.fixture(scope="module")
def site(executed, house):
    for chapter in CHAPTERS:
        executed(chapter)
    return build_site(house).parent


@pytest.fixture(scope="module")
def pages(site):
    """Every page but the machine-made indexes, as a path from the site's root."""
    found = sorted(
        str(path.relative_to(site)) for path in site.rglob("*.html") if "_static" not in path.parts
    )
    assert {f"notebooks/{chapter}.html" for chapter in CHAPTERS} <= set(found)
    return found


@pytest.fixture(scope="module")
def host(site):
    """The site on the loopback interface, its texts compressed as web hosts do (GitHub Pages, for one)."""

    class Host(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            path = Path(self.translate_path(self.path))
            if path.suffix not in TEXTS or not path.is_file():
                return super().do_GET()
            if path not in packed:
                packed[path] = gzip.compress(path.read_bytes(), 6)
            self.send_response(200)
            self.send_header("Content-Type", self.guess_type(str(path)))
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(packed[path])))
            self.end_headers()
            self.wfile.write(packed[path])

    packed = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=BROWSER["chromium_path"](), args=BROWSER["CHROMIUM_FLAGS"]
        )
        yield chromium
        chromium.close()


class Visit:
    """One page opened once: what it asked for, what it weighed, what the browser said."""

    def __init__(self, browser, address: str, size: dict):
        self.page = browser.new_page(viewport=size)
        self.said, self.asked, self.bytes = [], [], 0
        self.page.on("console", lambda one: self.said.append(one.text) if one.type == "error" else None)
        self.page.on("pageerror", lambda one: self.said.append(str(one)))
        self.page.on("request", lambda one: self.asked.append(one.url))
        self.page.on("requestfinished", self._weigh)
        self.page.goto(address, wait_until="networkidle")

    def _weigh(self, request):
        if request.url.startswith("http"):
            sizes = request.sizes()
            self.bytes += sizes["responseBodySize"] + sizes["responseHeadersSize"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.page.close()


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


def test_every_link_within_the_site_leads_somewhere(site, pages):
    read = {page: Links((site / page).read_text("utf-8")) for page in pages}
    for page, found in read.items():
        for link in found.links:
            target, mark = urldefrag(urljoin(f"http://site/{page}", link))
            if urlparse(target).hostname != "site":
                continue
            path = unquote(urlparse(target).path).lstrip("/")
            assert (site / path).is_file(), f"{page} links to {link}"
            if mark and path in read:
                assert unquote(mark) in read[path].ids, f"{page} links to {link}"


def test_pages_open_clean_and_ask_nobody_else(browser, host, pages):
    for page in pages:
        with Visit(browser, host + page, WIDE) as visit:
            assert visit.said == [], page
            strangers = [one for one in visit.asked if not one.startswith((host, "data:", "blob:"))]
            assert strangers == [], page
            if page.startswith("notebooks/"):
                assert visit.bytes < LARGEST_PAGE_BYTES, f"{page}: {visit.bytes / 1e6:.1f} MB"


def test_pages_fit_a_phone(browser, host, pages):
    for page in pages:
        with Visit(browser, host + page, PHONE) as visit:
            wider = visit.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, f"{page} is {wider} px wider than a phone"


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_page_keeps_anyone_out(browser, host, pages, size):
    from axe_core_python.sync_playwright import Axe

    axe, found = Axe(), []
    for page in pages:
        with Visit(browser, host + page, size) as visit:
            for one in axe.run(visit.page)["violations"]:
                if one["impact"] in ("serious", "critical"):
                    found.append(f"{page}: {one['id']}: {one['nodes'][0]['html'][:160]}")
    assert found == [], "\n".join(found)


def test_a_slider_moves_its_figure_by_keyboard_without_a_kernel(browser, host):
    for chapter in CHAPTERS:
        with Visit(browser, f"{host}notebooks/{chapter}.html", WIDE) as visit:
            for explorer in visit.page.locator(".course-explorer").all():
                key = explorer.locator("input.course-keys")
                key.wait_for(state="attached")
                key.focus()
                before = key.get_attribute("aria-valuetext"), explorer.inner_text()
                key.press("Home" if key.input_value() == key.get_attribute("max") else "End")
                visit.page.wait_for_timeout(200)
                assert key.get_attribute("aria-valuetext") != before[0], chapter
                assert explorer.inner_text() != before[1], chapter
