"""Google Colab, whose FigureWidget is broken: matplotlib, redrawn by `interactive_output`."""

import html

import ipywidgets as widgets
import matplotlib

from course_utils.explore import bars, style
from course_utils.explore.charts import draw
from course_utils.explore.explorers import Explorer
from course_utils.explore.panel import Panel
from course_utils.explore.views import describe


class ColabExplorer(Explorer):
    """The same controls; the chart is a picture in an output, replaced at each change."""

    def __init__(self, compute, controls, chart, moving):
        super().__init__(compute, controls, chart, moving)
        self._panel = Panel(self.specs, self.values, lambda name, value: None)
        self._quiet = False
        self.output = widgets.interactive_output(self._redraw, self._panel.widgets)
        self.widget = widgets.VBox([self._panel.box, self.output])

    @property
    def controls(self) -> dict:
        return dict(self._panel.widgets)

    def update(self, **values):
        self._quiet = True
        try:
            super().update(**values)
            self._panel.set(self.values)
        finally:
            self._quiet = False
        with self.output:
            from IPython.display import clear_output

            clear_output(wait=True)
            self._paint()
        return self.view

    def _redraw(self, **moved) -> None:
        if self._quiet:
            return
        self.values = {name: self.specs[name].snap(value) for name, value in moved.items()}
        self.recompute()
        self._paint()

    def _paint(self) -> None:
        import matplotlib.pyplot as plt
        from IPython.display import HTML, display

        if self.view is not None:
            with matplotlib.rc_context(style.matplotlib_rc()):
                figure = plt.figure(figsize=(style.WIDTH_PX / 100, bars.height_px(self.view) / 100), dpi=100)
                draw(figure, self.view, self.chart)
                plt.show()
                plt.close(figure)
            alt = html.escape(describe(self.view, self.chart))
            display(
                HTML(f'<span style="position:absolute;width:1px;height:1px;overflow:hidden">{alt}</span>')
            )
        if self.error:
            display(HTML(f'<p role="alert" style="color:{style.ERROR}">{html.escape(self.error)}</p>'))

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)
