"""Colab's front end: a picture in an output. In a real kernel, because outputs need one."""

import ast

import nbformat
import pytest
from nbclient import NotebookClient

SET_UP = """
import os
os.environ["COURSE_FRONTEND"] = "colab"
from course_utils.explore import Chart, Line, Slider, View, explorer

def cost(a):
    if a > 8:
        raise ValueError("a is above 8")
    return View(f"It costs ${a} or $1", Line("Cost", [0, 1], [0, a]), "assumed: yours to change")

ex = explorer(cost, {"a": Slider(3, 0, 10)}, Chart("x", "Cost (USD)"))
"""
OUTPUTS = "[output['data'].get('text/html', '') for output in ex.output.outputs]"


@pytest.fixture(scope="module")
def outputs():
    """What the output holds at the start, after a slider's move, an update, a refused value and a good one."""
    steps = [SET_UP, "ex.controls['a'].value = 5", "ex.update(a=7)", "ex.update(a=9)", "ex.update(a=2)"]
    # The page tells the kernel what its output holds between two cells.
    cells = [cell for step in steps for cell in (step, OUTPUTS)]
    cells += ["", "import sys; 'plotly' in sys.modules"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return [ast.literal_eval(cell.outputs[-1]["data"]["text/plain"]) for cell in notebook.cells[1::2]]


def test_the_output_shows_one_picture_with_alt_text(outputs):
    (picture,) = outputs[0]
    assert picture.startswith('<img alt="It costs $3 or $1. Cost (USD) against x.')


def test_a_moved_slider_and_an_update_replace_the_picture(outputs):
    for output, value in ((outputs[1], 5), (outputs[2], 7)):
        (picture,) = output
        assert f"It costs ${value} or $1" in picture


def test_a_refused_value_is_a_sentence_under_the_last_picture(outputs):
    picture, error = outputs[3]
    assert "It costs $7 or $1" in picture
    assert "A is above 8." in error
    assert 'role="alert"' in error


def test_the_sentence_goes_with_the_next_good_value(outputs):
    (picture,) = outputs[4]
    assert "It costs $2 or $1" in picture


def test_plotly_is_not_loaded(outputs):
    assert outputs[5] is False
