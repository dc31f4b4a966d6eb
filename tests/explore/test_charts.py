"""Static charts: small, sharp, described in words."""

import base64
import io
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from course_utils.explore import Bars, Chart, Line, Points, View, charts, save_png, show, style

MONEY = Chart("Months from now", "Cost per month (USD)")
INTENSITY = np.geomspace(0.1, 1000, 80)

VIEWS = {
    "band": (View("t", Line("Forecast", range(13), range(13), range(13), range(1, 14)), "predicted"), MONEY),
    "roofline": (
        View(
            "Decode sits on the memory roof",
            (
                Line("A100", INTENSITY, np.minimum(2e12 * INTENSITY, 312e12)),
                Points("Kernels", [1, 60], [1.6e12, 9e13], labels=["decode", "prefill"]),
            ),
        ),
        Chart("Intensity (FLOP/byte)", "Speed (FLOP/s)", "log", "log"),
    ),
    "bars": (
        View("t", Bars("Cost", ["small", "large"], [1, 9], [0.9, 8], [1.1, 11])),
        Chart("", "Cost (USD)"),
    ),
    "many bars": (View("t", Bars("Cost", [f"a model named {i}" for i in range(20)], range(20))), MONEY),
    "groups": (
        View("t", (Bars("Full", ["in", "out"], [1, 2]), Bars("Batch", ["in", "out"], [0.5, 1]))),
        MONEY,
    ),
    "negative": (View("t", Bars("Change", ["a", "b"], [-5, 3])), Chart("", "Change of the bill (%)")),
    "one point": (View("t", Points("a", [1], [2], lo=[1], hi=[3])), Chart("x", "y")),
    "noise": (
        View("t", Line("a", range(2000), np.random.default_rng(0).normal(9, 1, 2000))),
        Chart("x", "y"),
    ),
}


def texts_of(view, chart) -> list[str]:
    with matplotlib.rc_context(style.matplotlib_rc()):
        figure = Figure(figsize=(7.2, 4), dpi=100)
        FigureCanvasAgg(figure)
        charts.draw(figure, view, chart)
        figure.canvas.draw()
        return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


@pytest.mark.parametrize("name", VIEWS)
def test_a_picture_is_sharp_and_light(name):
    data = charts.png(*VIEWS[name])
    assert Image.open(io.BytesIO(data)).width == 2 * style.WIDTH_PX
    assert len(data) < 80_000


def test_a_picture_is_the_same_each_time():
    assert charts.png(*VIEWS["roofline"]) == charts.png(*VIEWS["roofline"])


def test_drawing_leaves_matplotlib_s_settings_alone():
    before = dict(matplotlib.rcParams)
    charts.png(*VIEWS["band"])
    assert dict(matplotlib.rcParams) == before


def test_title_axes_names_and_note_are_on_the_picture():
    texts = texts_of(*VIEWS["band"])
    assert {"t", "Months from now", "Cost per month (USD)", "Forecast", "predicted", "$0", "$5.00"} <= set(
        texts
    )


def test_two_dollar_signs_are_money_not_a_formula():
    assert "From $5 to $7" in texts_of(View("From $5 to $7", Line("a", [0, 1], [5, 7])), MONEY)


def test_bars_with_long_names_lie_on_their_side():
    figure = Figure(figsize=(7.2, 4), dpi=100)
    FigureCanvasAgg(figure)
    charts.draw(figure, *VIEWS["many bars"])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()][:1] == ["a model named 0"]
    assert axes.yaxis_inverted()


def test_few_bars_carry_their_values():
    assert {"$1", "$9"} <= set(texts_of(*VIEWS["bars"]))


def test_bars_in_groups_have_a_legend_and_a_line_has_none():
    for name, count in {"groups": 1, "band": 0}.items():
        figure = Figure(figsize=(7.2, 4), dpi=100)
        FigureCanvasAgg(figure)
        charts.draw(figure, *VIEWS[name])
        assert len([axes for axes in figure.axes if axes.get_legend()]) == count


def test_a_shown_chart_has_alt_text(capture_display):
    show(*VIEWS["bars"])
    (bundle,) = capture_display
    alt = re.search(r'<img alt="([^"]*)"', bundle["text/html"]).group(1)
    assert alt == "t. Cost (USD). Cost: small $1, large $9."
    assert bundle["text/plain"] == alt
    assert base64.b64decode(re.search(r"base64,([^\"]*)", bundle["text/html"]).group(1)).startswith(
        b"\x89PNG"
    )


def test_alt_text_may_hold_quotes_and_angles(capture_display):
    show(View('A "cheap" model < $5', Line("a", [0, 1], [0, 1])), MONEY)
    assert 'alt="A &quot;cheap&quot; model &lt; $5.' in capture_display[0]["text/html"]


def test_a_log_axis_refuses_zero():
    with pytest.raises(ValueError, match="'spend': y reaches 0"):
        show(View("t", Line("spend", [0, 1], [0, 1])), Chart("x", "y", y_scale="log"))


def test_a_picture_may_be_saved(tmp_path):
    save_png(*VIEWS["band"], tmp_path / "band.png")
    assert (tmp_path / "band.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def capture_display(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    return shown
