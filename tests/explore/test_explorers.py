"""One description, three front ends: the same values, views and refusals in each."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from course_utils.explore import Chart, Choice, Line, Slider, View, explorer
from course_utils.explore.colab import ColabExplorer

ALL = ["lab", "colab", "static"]
CHART = Chart("x", "Cost (USD)")


def line(top=1.0):
    return View(f"It costs ${top:g}", Line("Cost", [0, 1], [0, top]))


@pytest.mark.parametrize("front_end", ALL)
def test_every_front_end_starts_at_the_controls_values(make, front_end):
    made = make(front_end)
    assert made.values == {"requests": 20_000, "growth": 4, "cached": 0.3, "model": "small", "batch": False}
    assert made.view.title == "After two years you pay $449 a month"
    assert list(made.controls) == list(made.values)
    assert made.error == ""


@pytest.mark.parametrize("front_end", ALL)
def test_an_update_does_what_moving_a_control_does(make, front_end):
    made = make(front_end)
    view = made.update(growth=10, model="large")
    assert view is made.view
    assert view.title == "After two years you pay $43,142 a month"
    assert made.values["growth"] == 10


@pytest.mark.parametrize("front_end", ["lab", "colab"])
def test_compute_is_called_once_per_update(make, bill, front_end):
    made = make(front_end)
    assert bill.calls == 1
    made.update(growth=10, model="large", batch=True)
    assert bill.calls == 2
    made.controls["growth"].value = 7
    assert bill.calls == 3
    assert 0 < made.compute_ms < 1000


@pytest.mark.parametrize("front_end", ["lab", "colab"])
def test_moving_a_widget_moves_the_view(make, front_end):
    made = make(front_end)
    made.controls["cached"].value = 0.5
    made.controls["model"].value = "large"
    made.controls["batch"].value = True
    assert made.values == {"requests": 20_000, "growth": 4, "cached": 0.5, "model": "large", "batch": True}
    assert made.view.title == "After two years you pay $4,229 a month"


@pytest.mark.parametrize("front_end", ["lab", "colab"])
def test_an_update_moves_the_widgets(make, front_end):
    made = make(front_end)
    made.update(requests=100_000, model="large")
    assert made.controls["requests"].value == 100_000
    assert made.controls["model"].value == "large"


@pytest.mark.parametrize("front_end", ["lab", "colab"])
def test_a_page_that_puts_the_handle_on_its_nearest_stop_changes_nothing(make, bill, front_end):
    made = make(front_end)
    made.update(requests=123_456)
    calls = bill.calls
    # What JupyterLab sends when it first displays a log slider that stands between two stops.
    made.controls["requests"].value = 10**5.1
    assert made.values["requests"] == 123_456
    assert bill.calls == calls


@pytest.mark.parametrize("front_end", ALL)
def test_a_refused_value_is_one_sentence_and_the_last_curve_stays(make, front_end):
    made = make(front_end)
    good = made.view
    made.update(cached=0.99)
    assert made.error == "A cached share above 0.95 leaves nothing to read."
    assert made.view is good
    made.update(cached=0.5)
    assert made.error == ""
    assert made.view is not good


@pytest.mark.parametrize("front_end", ALL)
def test_an_unknown_control_and_a_value_out_of_range_are_refused(make, front_end):
    made = make(front_end)
    with pytest.raises(ValueError, match="no control is called 'speed'; there are requests, growth"):
        made.update(speed=3)
    with pytest.raises(ValueError, match="control 'growth': value is 99, expected 0 to 20"):
        made.update(cached=0.1, growth=99)
    assert made.values["cached"] == 0.3


@pytest.mark.parametrize("front_end", ["lab", "colab"])
def test_a_fault_in_compute_is_told_and_raised(make, front_end):
    def broken(requests, **_):
        return line(1 / (requests - 50_000))

    made = make(front_end, compute=broken)
    with pytest.raises(ZeroDivisionError):
        made.update(requests=50_000)
    assert made.error == "ZeroDivisionError while computing: division by zero"


def test_a_log_axis_s_refusal_is_told_too(monkeypatch):
    monkeypatch.setenv("COURSE_FRONTEND", "lab")
    made = explorer(lambda a: line(a), {"a": Slider(1, 0, 9)}, Chart("x", "y", y_scale="log"))
    assert made.error.startswith("Series 'Cost': y reaches 0")
    assert made.view is None


@pytest.mark.parametrize(
    ("controls", "moving", "says"),
    [
        ({}, None, "controls is empty"),
        ({"a": 3}, None, "control 'a' is a int, expected Slider, Choice or Toggle"),
        ({"a": Slider(1, 0, 2)}, "b", "moving is 'b', expected one of a"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(controls, moving, says):
    with pytest.raises(ValueError, match=says):
        explorer(line, controls, CHART, moving)


def test_compute_must_return_a_view(make):
    with pytest.raises(TypeError, match="compute returned int, expected a View"):
        make("lab", compute=lambda **_: 3)


def test_updates_from_two_threads_leave_values_and_view_in_step(make):
    made = make("lab")
    growths = [[2, 4, 6, 8] * 5, [1, 3, 5, 7] * 5]
    threads = [
        threading.Thread(target=lambda all_=all_: [made.update(growth=one) for one in all_])
        for all_ in growths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cost = 20_000 * 30 * 0.0004 * 0.73 * (1 + made.values["growth"] / 100) ** 24
    assert made.view.series[0].y[-1] == pytest.approx(cost)
    assert made.figure.data[1].y[-1] == pytest.approx(cost)


def test_the_moving_control_is_the_first_slider_unless_told():
    controls = {"model": Choice("a", ["a", "b"]), "share": Slider(0.5, 0.0, 1.0)}
    assert explorer(lambda model, share: line(share), controls, CHART).moving == "share"
    assert explorer(lambda model, share: line(share), controls, CHART, "model").moving == "model"


def test_a_jupyter_without_anywidget_gets_pictures(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    made = make("lab")
    assert isinstance(made, ColabExplorer)
    assert made.view.title == "After two years you pay $449 a month"


def test_importing_the_package_brings_in_no_drawing_library():
    code = (
        "import sys, course_utils.explore as e; e.frontend; from course_utils.explore import View, Slider;"
        "print(sorted({'plotly', 'matplotlib', 'ipywidgets', 'anywidget', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_lab_explorer_needs_no_matplotlib():
    code = (
        "import sys; from course_utils.explore import Chart, Line, Slider, View, explorer;"
        "explorer(lambda a: View('t', Line('l', [0, 1], [0, a])), {'a': Slider(1, 0, 2)}, Chart('x', 'y'));"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_numbers_of_numpy_are_values_too(make):
    made = make("lab")
    made.update(growth=np.int64(5), batch=np.True_)
    assert made.values["growth"] == 5
    assert made.values["batch"] is True
