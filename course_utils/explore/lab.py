"""JupyterLab, Notebook 7, Binder: one plotly FigureWidget, updated in place."""

import ipywidgets as widgets

from course_utils.explore import style
from course_utils.explore.explorers import Explorer
from course_utils.explore.figures import Drawing, drawing, same
from course_utils.explore.live_figure import LiveFigure
from course_utils.explore.panel import Panel
from course_utils.explore.views import describe


class LabExplorer(Explorer):
    """Controls above, then the conclusion, the chart, and the note. The figure lives as long as the explorer."""

    def __init__(self, compute, controls, chart, moving):
        super().__init__(compute, controls, chart, moving)
        self._drawn = Drawing({}, {}, "", "")
        self.figure = LiveFigure()
        self._panel = Panel(self.specs, self.values, self.moved)
        self.widget = widgets.VBox(
            [self._panel.box, self.figure],
            layout=widgets.Layout(max_width=f"{style.EXPLORER_PX}px", overflow="hidden"),
        )
        self.refresh()

    @property
    def controls(self) -> dict:
        return dict(self._panel.widgets)

    def _set_widgets(self) -> None:
        self._panel.set(self.values)

    def draw(self) -> None:
        with self.figure.hold_sync():
            if self.error or self.view is None:
                self.figure.texts(error=self.error)
                return
            new = drawing(self.view, self.chart)
            self._draw_figure(new)
            self.figure.texts(
                title=self.view.title,
                above=new.above,
                below=new.below,
                note=self.view.note,
                error="",
                alt=describe(self.view, self.chart),
            )

    def _draw_figure(self, new: Drawing) -> None:
        """Change what changed, in one message. Only a different set of traces makes new ones."""
        figure, old = self.figure, self._drawn
        if list(new.traces) != list(old.traces):
            figure.data = ()
            figure.add_traces([dict(trace) for trace in new.traces.values()])
            figure.update_layout(new.layout, overwrite=True)
        else:
            with figure.batch_update():
                for trace, slot in zip(figure.data, new.traces, strict=True):
                    trace.update(_changes(old.traces[slot], new.traces[slot]), overwrite=True)
                figure.layout.update(_changes(old.layout, new.layout), overwrite=True)
        self._drawn = new

    def _ipython_display_(self) -> None:
        from IPython.display import display

        bundle = self.widget._repr_mimebundle_()
        # What a viewer without widgets shows: the chart in words.
        words = describe(self.view, self.chart) if self.view else self.error
        display({**bundle, "text/plain": words}, raw=True)


def _changes(old: dict, new: dict) -> dict:
    """Entries of `new` that differ from `old`."""
    return {key: value for key, value in new.items() if key not in old or not same(old[key], value)}
