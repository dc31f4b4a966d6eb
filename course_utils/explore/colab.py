"""Google Colab, whose FigureWidget is broken: matplotlib, redrawn by `interactive_output`."""

import html

import ipywidgets as widgets

from course_utils.explore import charts, style
from course_utils.explore.explorers import Explorer
from course_utils.explore.panel import Panel


class ColabExplorer(Explorer):
    """The same controls; the chart is a picture in an output, replaced at each change."""

    def __init__(self, compute, controls, chart, moving):
        super().__init__(compute, controls, chart, moving)
        self._stale = True
        self._panel = Panel(self.specs, self.values, self.moved)
        self.output = widgets.interactive_output(self._redraw, self._panel.widgets)
        self.widget = widgets.VBox(
            [self._panel.box, self.output], layout=widgets.Layout(max_width=f"{style.EXPLORER_PX}px")
        )

    @property
    def controls(self) -> dict:
        return dict(self._panel.widgets)

    def refresh(self) -> None:
        # Drawing waits for `_redraw`, which runs inside the output.
        self._stale = True

    def _set_widgets(self) -> None:
        self._panel.set(self.values)
        if self._stale:
            # No widget moved, so `interactive_output` was not told.
            with self.output:
                self._redraw()

    def _redraw(self, **_) -> None:
        """Called inside the output whenever a widget's value changes, also where that changes nothing here."""
        with self.lock:
            if not self._stale:
                return
            self._stale = False
            super().refresh()

    def draw(self) -> None:
        # Not pyplot: its list of open figures is shared with the cells, which IPython shows when they end.
        from IPython.display import HTML, clear_output, display

        clear_output(wait=True)
        if self.view is not None:
            charts.display_picture(self.view, self.chart, steady=True)
        if self.error:
            text = f'<p role="alert" style="margin:4px 6px;color:{style.ERROR}">{html.escape(self.error)}</p>'
            display(HTML(text))

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)
