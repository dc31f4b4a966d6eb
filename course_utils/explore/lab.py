"""JupyterLab, Notebook 7, Binder: one plotly FigureWidget, updated in place."""

import html

import ipywidgets as widgets
import numpy as np

from course_utils.explore import style
from course_utils.explore.explorers import Explorer
from course_utils.explore.figures import Drawing, drawing
from course_utils.explore.panel import Panel
from course_utils.explore.views import describe


class LabExplorer(Explorer):
    """Controls above, then the conclusion, the chart, and the note. The figure lives as long as the explorer."""

    def __init__(self, compute, controls, chart, moving):
        super().__init__(compute, controls, chart, moving)
        import plotly.graph_objects as go

        self.figure = go.FigureWidget()
        self._config()
        self._drawn = Drawing({}, {})
        self._title = widgets.HTML()
        self._note = widgets.HTML()
        self._error = widgets.HTML()
        self._panel = Panel(self.specs, self.values, self._moved)
        self.widget = widgets.VBox(
            [self._panel.box, self._title, self.figure, self._note, self._error],
            layout=widgets.Layout(max_width="860px", overflow="hidden"),
        )
        self.refresh()

    def _config(self) -> None:
        self.figure._config = {**self.figure._config, "displayModeBar": False, "responsive": True}

    @property
    def controls(self) -> dict:
        return dict(self._panel.widgets)

    def update(self, **values):
        view = super().update(**values)
        self._panel.set(self.values)
        return view

    def _moved(self, name: str, value) -> None:
        if self.values[name] != value:
            self.values[name] = value
            self.refresh()

    def draw(self) -> None:
        self._error.value = _paragraph(self.error, style.TEXT_PX, style.ERROR, role="alert")
        if self.error or self.view is None:
            return
        self._draw_figure(drawing(self.view, self.chart))
        self._title.value = _paragraph(self.view.title, style.TITLE_PX, style.INK, bold=True)
        alt = html.escape(describe(self.view, self.chart))
        hidden = f'<span style="position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)">{alt}</span>'
        self._note.value = _paragraph(self.view.note, style.NOTE_PX, style.QUIET) + hidden

    def _draw_figure(self, new: Drawing) -> None:
        """Send what changed, in one message. Only a different set of traces makes new ones."""
        figure, old = self.figure, self._drawn
        if list(new.traces) != list(old.traces):
            with figure.batch_update():
                figure.data = ()
                figure.add_traces([dict(trace) for trace in new.traces.values()])
                figure.update_layout(new.layout)
        else:
            with figure.batch_update():
                for trace, slot in zip(figure.data, new.traces, strict=True):
                    trace.update(_changes(old.traces[slot], new.traces[slot]), overwrite=True)
                figure.layout.update(_changes(old.layout, new.layout), overwrite=True)
        self._drawn = new

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)


def _changes(old: dict, new: dict) -> dict:
    """Entries of `new` that differ from `old`."""
    return {key: value for key, value in new.items() if key not in old or not _same(old[key], value)}


def _same(one, other) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one == other


def _paragraph(text: str, size_px: float, colour: str, bold: bool = False, role: str = "") -> str:
    if not text:
        return ""
    weight = 650 if bold else 400
    return (
        f'<p {f"role={role} " if role else ""}style="margin:0 0 2px 6px;font:{weight} {size_px}px/1.3 '
        f'{html.escape(style.FONT_CSS)};color:{colour}">{html.escape(text)}</p>'
    )
