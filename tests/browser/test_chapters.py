"""Chapter 01, as a student has it: open in JupyterLab, run all, drag a slider, see the curve change."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def test_chapter_01_runs_and_its_curve_follows_the_slider(lab):
    notebook = lab.open_notebook(NOTEBOOKS / "01_cost_estimation.ipynb")
    notebook.run_all(timeout_s=180)
    before, title = notebook.curves(), notebook.text("title")
    notebook.slider("requests a day")
    notebook.screenshot("chapter-01-before", figure=0)
    notebook.drag("requests a day", 0.9)
    after = notebook.wait_for_change(before)
    notebook.page.wait_for_function(
        "before => document.querySelector('.course-title').textContent !== before", arg=title
    )
    notebook.screenshot("chapter-01-after", figure=0)
    assert len(after) == len(before)
    assert not notebook.console_errors
