"""A reader opens a notebook in JupyterLab, runs it, moves a slider, and the curve moves."""

import nbformat
import plotly
import pytest

pytestmark = pytest.mark.browser

SET_UP = """
import numpy as np
from course_utils.explore import Chart, Choice, Line, Slider, Toggle, View, explorer

months = np.arange(0, 25)

def bill(requests, growth, cached, model, batch):
    if cached > 0.95:
        raise ValueError("a cached share above 0.95 leaves nothing to read")
    usd = {"small": 0.0004, "large": 0.01}[model] * (1 - 0.9 * cached) * (0.5 if batch else 1)
    cost = requests * 30 * usd * (1 + growth / 100) ** months
    budget = Line("Budget", [0, 24], [1000, 1000], dash=True)
    return View(
        f"After two years you pay ${cost[-1]:,.0f} a month",
        (Line("Forecast", months, cost, cost * 0.8, cost * 1.3), budget),
        "assumed: yours to change",
    )

def make():
    return explorer(
        bill,
        {
            "requests": Slider(20_000, 1_000, 1_000_000, log=True, unit="requests/day", label="Traffic"),
            "growth": Slider(4, 0, 20, unit="%", label="Growth a month"),
            "cached": Slider(0.3, 0.0, 1.0, step=0.01, label="Cached share"),
            "model": Choice("small", ["small", "large"]),
            "batch": Toggle(False, label="Batch"),
        },
        Chart("Months from now", "Cost per month (USD)"),
    )
"""


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Write a notebook with these code cells."""

    def written(*sources):
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        cells = [nbformat.v4.new_code_cell(source.strip()) for source in sources]
        file = tmp_path_factory.mktemp("notebook") / "explorer.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), file)
        return file

    return written


@pytest.fixture(scope="module")
def two_explorers(write):
    return write(SET_UP, "make()", "make()")


def test_what_a_reader_does_with_an_explorer(lab, two_explorers):
    notebook = lab.open_notebook(two_explorers)
    notebook.run_all()
    before = notebook.curves()
    assert notebook.text("title") == "After two years you pay $449 a month"

    # With the mouse.
    notebook.drag("Growth a month", 0.8)
    dragged = notebook.wait_for_change(before)
    assert len(dragged) == len(before)
    notebook.page.wait_for_function(
        "() => document.querySelector('.course-title').textContent === 'After two years you pay $6,173 a month'"
    )

    # With the keyboard alone.
    notebook.slider("Growth a month").focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.wait_for_change(dragged)

    # A value that makes no sense: one sentence, and the curve stays.
    held = notebook.curves()
    notebook.drag("Cached share", 1.0)
    notebook.page.wait_for_function("() => document.querySelector('.course-error').textContent")
    assert notebook.text("error") == "A cached share above 0.95 leaves nothing to read."
    last_good = notebook.curves()
    notebook.drag("Cached share", 0.5)
    notebook.page.wait_for_function("() => !document.querySelector('.course-error').textContent")
    assert notebook.wait_for_change(last_good) != held

    # The second explorer went its own way, with the same plotly.js.
    assert notebook.curves(1) == before
    label = notebook.page.locator(".course-plot").nth(1).get_attribute("aria-label")
    assert label.startswith(
        "After two years you pay $449 a month. Cost per month (USD) against Months from now."
    )
    assert not notebook.console_errors


def test_a_figure_comes_back_with_the_page(lab, two_explorers):
    notebook = lab.open_notebook(two_explorers)
    notebook.run_all()
    before = notebook.curves()
    notebook.drag("Growth a month", 0.8)
    dragged = notebook.wait_for_change(before)
    notebook.reload()
    assert notebook.curves() == dragged
    notebook.drag("Growth a month", 0.2)
    notebook.wait_for_change(dragged)
    assert not notebook.console_errors


def test_colab_s_explorer_replaces_its_picture(lab, write):
    notebook = lab.open_notebook(
        write('import os; os.environ["COURSE_FRONTEND"] = "colab"', SET_UP, "make()")
    )
    notebook.run_all()
    picture = notebook.page.locator(".jp-OutputArea-output img")
    picture.wait_for()
    assert picture.get_attribute("alt").startswith("After two years you pay $449 a month.")
    notebook.drag("Growth a month", 0.8)
    notebook.page.wait_for_selector(
        '.jp-OutputArea-output img[alt^="After two years you pay $6,173 a month."]'
    )
    assert picture.count() == 1
    assert not notebook.console_errors


def test_the_site_s_explorer_moves_without_a_kernel(jupyter_lab, write, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_FRONTEND", "static")
    page_file = tmp_path / "index.html"
    write_page = f"""
{SET_UP}
page = '<!doctype html><html data-content_root="./"><meta charset="utf-8"><body>' + make().html() + "</body>"
open({str(page_file)!r}, "w", encoding="utf-8").write(page)
"""
    exec(compile(write_page, "page", "exec"), {})
    (tmp_path / "_static").mkdir()
    library = f"{plotly.__path__[0]}/package_data/plotly.min.js"
    (tmp_path / "_static" / "plotly.min.js").symlink_to(library)
    page = jupyter_lab.new_page()
    said = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(page_file.as_uri())
    page.wait_for_selector(".scatterlayer path.js-line", state="attached")
    assert page.locator(".course-title").text_content() == "After two years you pay $449 a month"

    grip, rail = (page.locator(f".slider-{part}-rect").bounding_box() for part in ("grip", "rail"))
    page.mouse.move(grip["x"] + 5, grip["y"] + 5)
    page.mouse.down()
    page.mouse.move(rail["x"] + rail["width"] - 1, grip["y"] + 5, steps=5)
    page.mouse.up()
    at_the_end = "After two years you pay $22,455 a month"
    page.wait_for_function(f"() => document.querySelector('.course-title').textContent === '{at_the_end}'")

    page.locator(".course-keys").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"() => document.querySelector('.course-title').textContent !== '{at_the_end}'")
    assert not said
    page.context.close()
