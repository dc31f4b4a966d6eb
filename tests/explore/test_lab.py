"""JupyterLab's front end: one FigureWidget, changed in place."""

import gzip
from pathlib import Path

import ipywidgets
import plotly
import plotly.graph_objects as go
import pytest

from course_utils.explore import Chart, Line, Slider, View, explorer
from course_utils.explore.live_figure import library


@pytest.fixture
def lab(make):
    return make("lab")


@pytest.fixture
def messages(lab, monkeypatch):
    """What the figure sends to the page."""
    sent = []
    monkeypatch.setattr(type(lab.figure), "send_state", lambda self, key=None: sent.append(set(key)))
    return sent


def test_the_figure_is_a_figure_widget(lab):
    assert isinstance(lab.figure, go.FigureWidget)


def test_an_update_keeps_the_figure_and_its_traces(lab):
    figure, traces, ids = lab.figure, lab.figure.data, [trace.uid for trace in lab.figure.data]
    before = figure.data[1].y.copy()
    lab.update(growth=12, model="large")
    assert lab.figure is figure
    assert all(one is other for one, other in zip(figure.data, traces, strict=True))
    assert [trace.uid for trace in figure.data] == ids
    assert (figure.data[1].y > before).sum() >= 24


def test_an_update_is_one_message(lab, messages):
    lab.update(growth=12)
    assert len(messages) == 1
    assert {"_widget_data", "_widget_layout", "_texts"} <= messages[0]


def test_the_page_is_sent_what_the_figure_holds(lab):
    lab.update(growth=12)
    held = lab.figure.to_dict()
    assert [trace["uid"] for trace in lab.figure._widget_data] == [trace["uid"] for trace in held["data"]]
    assert lab.figure._widget_layout["yaxis"]["ticktext"] == held["layout"]["yaxis"]["ticktext"]


def test_plotly_s_own_ways_of_changing_a_figure_reach_the_page(lab):
    lab.figure.data[1].line.color = "#123456"
    assert lab.figure._widget_data[1]["line"]["color"] == "#123456"
    lab.figure.layout.height = 500
    assert lab.figure._widget_layout["height"] == 500


def test_another_number_of_series_makes_new_traces_in_the_same_figure():
    def lines(count):
        return View("t", tuple(Line(f"line {at}", [0, 1], [0, at + 1]) for at in range(count)))

    made = explorer(lines, {"count": Slider(1, 1, 4)}, Chart("x", "y"))
    figure = made.figure
    for count in (3, 2, 4):
        made.update(count=count)
        assert made.figure is figure
        assert [trace.name for trace in figure.data if trace.name] == [f"line {at}" for at in range(count)]
        assert len(figure._widget_data) == count + 1


def test_title_note_error_and_alt_text_are_told_to_the_page(lab):
    texts = lab.figure._texts
    assert texts["title"] == "After two years you pay $449 a month"
    assert texts["note"] == "assumed: yours to change"
    assert texts["alt"].startswith(
        "After two years you pay $449 a month. Cost per month (USD) against Months"
    )
    lab.update(cached=0.99)
    assert lab.figure._texts == {**texts, "error": "A cached share above 0.95 leaves nothing to read."}


def test_plotly_js_travels_once_for_all_figures(make):
    one, other = make("lab").figure, make("lab").figure
    assert one._library is other._library is library()
    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    assert gzip.decompress(library().packed) == source.read_bytes()
    assert len(library().packed) < 2_000_000


def test_an_explorer_s_own_state_is_small(lab):
    def size(value) -> int:
        if isinstance(value, dict):
            return sum(map(size, value.values()))
        if isinstance(value, (list, tuple)):
            return sum(map(size, value))
        return len(value) if isinstance(value, (str, bytes, memoryview)) else 8

    models = [lab.figure, lab.widget, *lab.controls.values()]
    assert sum(size(model.get_state()) for model in models) < 40_000


def test_sliders_have_label_readout_and_unit(lab):
    slider = lab.controls["requests"]
    assert isinstance(slider, ipywidgets.FloatLogSlider)
    assert slider.description == "Traffic"
    assert slider.continuous_update
    assert isinstance(lab.controls["growth"], ipywidgets.IntSlider)
    readouts = lab._panel.readouts
    assert "20k requests/day" in readouts["requests"].value
    lab.update(requests=250_000)
    assert "250k requests/day" in readouts["requests"].value
    slider.value = 500_000
    assert "500k requests/day" in readouts["requests"].value


def test_a_dragged_log_slider_gives_compute_round_numbers(lab):
    lab.controls["requests"].value = 10**4.65
    assert lab.values["requests"] == 45_000


def test_a_viewer_without_widgets_gets_the_chart_in_words(lab, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    lab._ipython_display_()
    assert "application/vnd.jupyter.widget-view+json" in shown[0]
    assert shown[0]["text/plain"].startswith("After two years you pay $449 a month.")


def test_importing_the_figure_leaves_json_schema_whole():
    import jsonschema

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(3, {"type": "string"})
