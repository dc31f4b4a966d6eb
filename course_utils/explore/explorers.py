"""One declarative function for every explorer: what moves, what it computes, what it draws.

    explorer(monthly_bill, {"requests": Slider(1e5, 1e3, 1e7, log=True)}, Chart("Month", "Cost (USD)"))

The front end is chosen by `frontend()`; the state behind it is the same in all of them.
"""

import threading
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec

from course_utils.explore.controls import Choice, Control, Slider, Toggle
from course_utils.explore.frontend import frontend
from course_utils.explore.views import Chart, View, check_scales


class Explorer:
    """Values of the controls, and the view that `compute` makes of them.

    A front end subclasses it and draws. `update(name=value)` does what moving a control does.
    """

    def __init__(
        self, compute: Callable[..., View], controls: Mapping[str, Control], chart: Chart, moving: str
    ):
        self.compute = compute
        self.specs = dict(controls)
        self.chart = chart
        self.moving = moving
        self.values = {name: control.check(control.value) for name, control in self.specs.items()}
        self.view: View | None = None
        self.error = ""
        self.compute_ms = 0.0
        # JupyterLab delivers a slider's messages in a thread beside the one that runs the cells.
        self.lock = threading.RLock()

    @property
    def controls(self) -> dict:
        """What moves, by name: widgets in a live front end, the descriptions in a static one."""
        return dict(self.specs)

    def update(self, **values) -> View | None:
        """Set controls to values and draw once. ValueError for an unknown name or a value out of range."""
        unknown = set(values) - set(self.specs)
        if unknown:
            raise ValueError(f"no control is called {min(unknown)!r}; there are {', '.join(self.specs)}")
        checked = {}
        for name, value in values.items():
            try:
                checked[name] = self.specs[name].check(value)
            except ValueError as problem:
                raise ValueError(f"control {name!r}: {problem}") from None
        with self.lock:
            self.values.update(checked)
            self.refresh()
            self._set_widgets()
        return self.view

    def moved(self, name: str, value) -> None:
        """The reader moved a control: draw, unless that is the value that it has."""
        with self.lock:
            if self.values[name] != value:
                self.values[name] = value
                self.refresh()

    def refresh(self) -> None:
        """Compute once and draw."""
        self.recompute()
        self.draw()

    def recompute(self) -> None:
        """Compute the view at the present values. On a ValueError keep the last one, and its sentence."""
        started = time.perf_counter()
        try:
            view = self.compute(**self.values)
            if not isinstance(view, View):
                raise TypeError(f"compute returned {type(view).__name__}, expected a View")
            check_scales(view, self.chart)
        except ValueError as problem:
            self.error = _sentence(problem)
        except Exception as problem:
            # A fault in `compute`: the reader sees that the chart is old, the log gets the traceback.
            self.error = f"{type(problem).__name__} while computing: {problem}"
            self.draw()
            raise
        else:
            self.view, self.error = view, ""
        self.compute_ms = (time.perf_counter() - started) * 1e3

    def draw(self) -> None:
        """Bring the chart up to date. A front end overrides it."""

    def _set_widgets(self) -> None:
        """Bring the controls up to date. A front end that has widgets overrides it."""


def _sentence(problem: Exception) -> str:
    text = " ".join(str(problem).split()) or "These values don't go together"
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def explorer(
    compute: Callable[..., View],
    controls: Mapping[str, Slider | Choice | Toggle],
    chart: Chart,
    moving: str | None = None,
) -> Explorer:
    """Make an explorer; as the last line of a cell it displays itself.

    compute: called with one keyword per control, once per change; returns a `View`. A ValueError from it
        becomes one sentence under the chart, and the last good curve stays.
    controls: by the name of compute's parameter.
    moving: the control that a static page can move, the others at their value; default the first slider.
    ValueError where there is no control, or `moving` is none of them.
    """
    if not controls:
        raise ValueError("controls is empty, expected at least one Slider, Choice or Toggle")
    for name, control in controls.items():
        if not isinstance(control, Control):
            raise ValueError(
                f"control {name!r} is a {type(control).__name__}, expected Slider, Choice or Toggle"
            )
    if moving is None:
        moving = next(
            (name for name, one in controls.items() if isinstance(one, Slider)), next(iter(controls))
        )
    if moving not in controls:
        raise ValueError(f"moving is {moving!r}, expected one of {', '.join(controls)}")
    return _front_end()(compute, controls, chart, moving)


def _front_end() -> type[Explorer]:
    """The explorer of this front end; imported here, because only one of them is ever needed."""
    where = frontend()
    # Without anywidget plotly has no FigureWidget: the pictures work everywhere.
    if where == "colab" or (where == "lab" and find_spec("anywidget") is None):
        from course_utils.explore.colab import ColabExplorer

        return ColabExplorer
    if where == "static":
        from course_utils.explore.static import StaticExplorer

        return StaticExplorer
    from course_utils.explore.lab import LabExplorer

    return LabExplorer
