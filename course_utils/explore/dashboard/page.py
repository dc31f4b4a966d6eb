"""The page itself: controls at the left, figures at the right, the plan below; every change brings all up to date."""

import html
import threading
from collections.abc import Callable
from dataclasses import replace

import ipywidgets as widgets

from course_utils.explore.dashboard import answers, inputs
from course_utils.explore.dashboard.browser import Browser
from course_utils.explore.dashboard.figures_table import figures_table
from course_utils.explore.dashboard.look import CSS, figures_html, headline, link, problem_html
from course_utils.explore.dashboard.planning import Planning
from course_utils.explore.dashboard.upload_button import UploadButton
from course_utils.explore.dashboard.uploads import read_config_upload, read_trace_upload
from course_utils.explore.figures import drawing
from course_utils.explore.live_figure import LiveFigure
from course_utils.explore.panel import Panel
from course_utils.explore.views import describe

_INTRO = (
    "Set the model, the traffic and the hardware. Figures are predicted from published measurements; every interval "
    "holds the truth in 80 % of cases."
)


class Upload:
    """A button that takes a file, says in a sentence what came of it, and can put it aside again.

    `read(name, content)` makes something of the file, or raises ValueError; `changed(made)` gets it, or None.
    """

    def __init__(self, label: str, accept: str, read: Callable, describe: Callable, changed: Callable):
        self._read, self._describe, self._changed = read, describe, changed
        self.button = UploadButton(label, accept, self._came, self._refused)
        self.aside = widgets.Button(description="Put it aside", layout=widgets.Layout(display="none"))
        self.status = widgets.HTML()
        self.aside.on_click(lambda _: self._show(None, ""))
        self.box = widgets.VBox([widgets.HBox([self.button, self.aside]), self.status])

    def _came(self, name: str, content: bytes) -> None:
        try:
            made = self._read(name, content)
        except ValueError as problem:
            self._refused(str(problem))
        else:
            self._show(made, self._describe(made))

    def _refused(self, sentence: str) -> None:
        self.status.value = problem_html(sentence)

    def _show(self, made, text: str) -> None:
        self.aside.layout.display = "none" if made is None else ""
        self.status.value = f'<p class="course-quiet">{html.escape(text)}</p>' if text else ""
        self._changed(made)


class Page:
    """`Page(query).widget` is all of it, with the inputs that the link's `query` carries."""

    def __init__(self, query: str = ""):
        self.trace = self.shape = self.answer = None
        self.lock = threading.RLock()
        problem = ""
        try:
            self.inputs = inputs.from_query(query)
        except ValueError as error:
            self.inputs, problem = inputs.Inputs(), str(error)
        self._panels = {
            heading: self._panel(group)
            for heading, group in {**inputs.controls(), "Limits": inputs.limits()}.items()
        }
        self.trace_upload = Upload(
            "Upload a trace", ".csv,.jsonl,.gz", read_trace_upload, _trace_text, self._trace_came
        )
        self.config_upload = Upload(
            "Upload a config.json", ".json", read_config_upload, _shape_text, self._shape_came
        )
        self.problem, self.figures, self.download = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.browser, self.chart = Browser(), LiveFigure()
        self.planning = Planning(lambda: (self.answer, self.shape))
        self.widget = self._laid_out(problem_html(problem) if problem else "")
        self.refresh()

    def set(self, **values) -> None:
        """Do what moving controls does. ValueError for a value out of range."""
        for panel in self._panels.values():
            mine = {
                name: panel.controls[name].check(values[name]) for name in panel.controls if name in values
            }
            panel.set({**{name: getattr(self.inputs, name) for name in panel.controls}, **mine})
            self.inputs = replace(self.inputs, **mine)
        self.refresh()

    def refresh(self) -> None:
        """Compute once and show. What can't be served is one sentence; the last figures stay, greyed."""
        with self.lock:
            self.browser.query = inputs.to_query(self.inputs)
            try:
                self.answer = answers.answer(self.inputs, self.trace, self.shape)
            except ValueError as problem:
                self.problem.value = problem_html(str(problem))
                self.figures.add_class("course-stale")
                return
            self.problem.value = ""
            self.figures.remove_class("course-stale")
            self.figures.value = figures_html(self.answer)
            self._draw()
            self.browser.spoken = headline(self.answer)
            table = figures_table(self.answer).to_csv(index=False, float_format="%.6g")
            self.download.value = link("Download these figures (CSV)", "figures.csv", "text/csv", table)

    def _draw(self) -> None:
        view = self.answer.view
        drawn = drawing(view, answers.CHART)
        with self.chart.hold_sync():
            self.chart.data = ()
            self.chart.add_traces(list(drawn.traces.values()))
            self.chart.update_layout(drawn.layout, overwrite=True)
            words = {"above": drawn.above, "below": drawn.below, "alt": describe(view, answers.CHART)}
            self.chart.texts(title=view.title, note=view.note, **words)

    def _panel(self, group: dict) -> Panel:
        return Panel(group, {name: getattr(self.inputs, name) for name in group}, self._moved)

    def _moved(self, name: str, value) -> None:
        with self.lock:
            if getattr(self.inputs, name) != value:
                self.inputs = replace(self.inputs, **{name: value})
                self.refresh()

    def _trace_came(self, trace) -> None:
        self.trace = trace
        sliders = self._panels["Traffic"]
        if trace is not None:
            # The link can't hold a file: it carries the sliders, which now stand where the file's means are.
            near = {
                "requests_per_day": trace.rate_per_s * answers.DAY_S,
                "input_tokens": trace.input_tokens.mean(),
                "output_tokens": trace.output_tokens.mean(),
            }
            controls = sliders.controls
            near = {
                name: controls[name].snap(min(max(value, controls[name].low), controls[name].high))
                for name, value in near.items()
            }
            self.inputs = replace(self.inputs, **near)
            sliders.set(near)
        for widget in sliders.widgets.values():
            widget.disabled = trace is not None
        self.refresh()

    def _shape_came(self, shape) -> None:
        self.shape = shape
        self._panels["Model"].widgets["model"].disabled = shape is not None
        self.refresh()

    def _laid_out(self, problem: str) -> widgets.VBox:
        uploads = {"Model": self.config_upload.box, "Traffic": self.trace_upload.box}
        asked = []
        for heading, panel in self._panels.items():
            if heading != "Limits":
                asked += [widgets.HTML(f"<h2>{heading}</h2>"), panel.box]
                asked += [uploads[heading]] if heading in uploads else []
        left = widgets.VBox(asked)
        right = widgets.VBox([self.problem, self.figures, self.chart, self.download, self.browser])
        columns = widgets.GridBox([left, right])
        head = widgets.HTML(f"<style>{CSS}</style><h1>What it costs to serve</h1><p>{_INTRO}</p>{problem}")
        plan = [widgets.HTML("<h2>What would be better</h2>"), self._panels["Limits"].box, self.planning.box]
        whole = widgets.VBox([head, columns, *plan])
        whole.add_class("course-page")
        columns.add_class("course-columns")
        left.add_class("course-asked")
        right.add_class("course-answered")
        return whole


def _trace_text(trace) -> str:
    return (
        f"{trace.name}: {len(trace):,} requests over {trace.duration_s / 60:,.1f} minutes, "
        f"{trace.input_tokens.mean():,.0f} tokens in and {trace.output_tokens.mean():,.0f} out on average. "
        "The link carries these means, not the file."
    )


def _shape_text(shape) -> str:
    return f"{shape.name}: {shape.parameters / 1e9:.2f} billion parameters. The link can't carry the file."
