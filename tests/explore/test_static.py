"""The site's front end: one figure that carries its frames."""

import json
import re

import plotly.graph_objects as go
import pytest

from course_utils.explore import Bars, Chart, Line, Slider, View, explorer
from course_utils.explore.static import STOPS

CHART = Chart("Months from now", "Cost per month (USD)")


@pytest.fixture
def static(make):
    return make("static")


def drag(figure: go.Figure, at: int) -> list[dict]:
    """The traces that a page shows at the `at`-th stop: its frame laid over the figure."""
    return [
        {**trace.to_plotly_json(), **frame.to_plotly_json()}
        for trace, frame in zip(figure.data, figure.frames[at].data, strict=True)
    ]


def test_the_slider_has_a_frame_for_each_of_its_stops(static):
    (slider,) = static.figure.layout.sliders
    assert len(slider.steps) == len(static.figure.frames) == STOPS
    assert [step.value for step in slider.steps] == [frame.name for frame in static.figure.frames]
    assert slider.steps[0].label == "1,000 requests/day"
    assert slider.steps[slider.active].label == "20k requests/day"


def test_a_frame_shows_what_compute_gives_there(static, bill):
    values = static.specs["requests"].stops(STOPS)
    expected = bill(**{**static.values, "requests": values[20]})
    line = drag(static.figure, 20)[1]
    assert line["y"] == pytest.approx(expected.series[0].y, rel=1e-6)
    assert static.figure.frames[20].layout.meta["title"] == expected.title


def test_frames_may_follow_one_another_in_any_order(static):
    names = [set().union(*(trace.to_plotly_json() for trace in frame.data)) for frame in static.figure.frames]
    layouts = [set(frame.layout.to_plotly_json()) for frame in static.figure.frames]
    assert all(one == names[0] for one in names)
    assert all(one == layouts[0] for one in layouts)


def test_what_no_frame_changes_is_sent_once(static):
    assert static.figure.data[1].x is not None
    assert static.figure.frames[3].data[1].x is None


def test_another_control_may_move(make):
    figure = make("static", moving="model").figure
    assert [step.label for step in figure.layout.sliders[0].steps] == ["small", "large"]


def test_a_series_that_comes_and_goes_is_empty_where_it_is_missing(monkeypatch):
    monkeypatch.setenv("COURSE_FRONTEND", "static")

    def lines(count):
        return View("t", tuple(Line(f"line {at}", [0, 1], [0, at + 1]) for at in range(count)))

    figure = explorer(lines, {"count": Slider(2, 1, 3)}, CHART).figure
    shown = [[trace.get("name") for trace in drag(figure, at) if len(trace["x"])] for at in range(3)]
    assert [len([name for name in names if name]) for names in shown] == [1, 2, 3]


def test_a_stop_that_compute_refuses_says_so_over_the_last_curve(make):
    made = make("static", moving="cached")
    assert made.figure.frames[-1].layout.meta["error"] == "A cached share above 0.95 leaves nothing to read."
    assert made.figure.frames[0].layout.meta["error"] == ""
    assert made.error == ""


def test_a_first_view_that_cannot_be_drawn_is_an_error(monkeypatch):
    monkeypatch.setenv("COURSE_FRONTEND", "static")

    def refuse(a):
        raise ValueError("no data")

    with pytest.raises(ValueError, match="can't draw its first view: No data"):
        explorer(refuse, {"a": Slider(1, 0, 2)}, CHART)


def test_the_page_s_piece_is_light_and_stands_without_scripts(static):
    page = static.html()
    assert len(page) < 150_000
    assert "plotly.js v" not in page
    assert re.search(r'<img alt="After two years you pay \$449 a month\.', page)
    assert "Held here: Growth a month 4 %, Cached share 0.3, Model small, Batch no." in page


def test_the_page_s_figure_is_valid_json_and_cannot_end_its_script(static):
    text = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', static.html(), re.DOTALL).group(
        1
    )
    assert len(json.loads(text)["frames"]) == STOPS


def test_a_name_with_markup_stays_text(monkeypatch):
    monkeypatch.setenv("COURSE_FRONTEND", "static")

    def bars(a):
        return View("</script><b>t</b>", Bars("x", ["</script>"], [a]))

    page = explorer(bars, {"a": Slider(1, 0, 2)}, CHART).html()
    assert page.count("</script>") == 2


def test_the_page_is_the_same_each_time(make):
    pages = [re.sub(r'"uid":"[^"]*"', "", make("static").html()) for _ in range(2)]
    assert pages[0] == pages[1]
