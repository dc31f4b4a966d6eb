"""A reader opens a notebook in JupyterLab, runs it, drags a slider, and the curve moves."""

import nbformat
import pytest

pytestmark = pytest.mark.browser

SET_UP = """
import numpy as np
from course_utils.explore import Chart, Choice, Line, Slider, Toggle, View, explorer

months = np.arange(0, 25)

def bill(requests, growth, cached, model, batch):
    if cached > 0.95:
        raise ValueError("a cached share above 95 % leaves nothing to read")
    usd = {"small": 0.0004, "large": 0.01}[model] * (1 - 0.9 * cached) * (0.5 if batch else 1)
    cost = requests * 30 * usd * (1 + growth / 100) ** months
    budget = Line("Budget", [0, 24], [1000, 1000], dash=True)
    return View(
        f"After two years you pay ${cost[-1]:,.0f} a month",
        (Line("Forecast", months, cost, cost * 0.8, cost * 1.3), budget),
        "assumed: yours to change",
    )
"""
EXPLORER = """
ex = explorer(
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
ex
"""


@pytest.fixture(scope="module")
def notebook_with_explorer(tmp_path_factory):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source.strip()) for source in (SET_UP, EXPLORER)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    file = tmp_path_factory.mktemp("notebook") / "explorer.ipynb"
    nbformat.write(notebook, file)
    return file


def test_dragging_a_slider_moves_the_curve(lab, notebook_with_explorer):
    notebook = lab.open_notebook(notebook_with_explorer)
    notebook.run_all()
    before = notebook.curves()
    notebook.slider("Traffic").page.mouse.wheel(0, 500); notebook.page.wait_for_timeout(600); notebook.screenshot("explorer-before")
    notebook.drag("Growth a month", 0.8)
    after = notebook.wait_for_change(before)
    notebook.page.wait_for_timeout(500)
    notebook.screenshot("explorer-after")
    assert len(after) == len(before)
    assert not notebook.console_errors
