"""The site as visitors meet it: built without a warning, every page opened in Chromium, wide and on a phone."""

import gzip
import runpy
import threading
import time
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
TEXTS = {".html", ".js", ".css", ".svg", ".json"}
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

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


# Contrast is three quarters of axe's time, most of it on the same two colours again: one text stands for all of
# its colours, size and weight. A page of the library took 8 s, and takes 2.


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
