"""The plan on the page: a button, a bar while thousands of candidates are gone through, the best ways, a report."""

import html
import threading

import ipywidgets as widgets

from course_utils.decide.plan import Plan, Requirements, Space, plan
from course_utils.decide.plan_text import COLUMNS, rows, summary
from course_utils.explore.dashboard.answers import Answer
from course_utils.explore.dashboard.look import link, problem_html, rows_html

# A plan simulates its trace hundreds of times.
_REQUESTS = 1_000
_TOP = 5


class Planning:
    """`begin(answer)` plans in a thread of its own: the rest of the page stays alive meanwhile."""

    def __init__(self, asked):
        self._asked = asked  # () -> (Answer, ModelShape or None)
        self.button = widgets.Button(description="Find the cheapest plan", button_style="primary")
        self.bar = widgets.IntProgress(0, 0, 1, layout=widgets.Layout(display="none", width="260px"))
        self.result, self.downloads = widgets.HTML(), widgets.HTML()
        self.button.on_click(lambda _: self.begin())
        self.button.layout.width = "auto"
        row = widgets.HBox([self.button, self.bar])
        self.box = widgets.VBox([row, self.result, self.downloads])

    def begin(self) -> threading.Thread:
        """Plan for what the page shows now."""
        self.button.disabled, self.bar.layout.display = True, ""
        self.bar.value, self.bar.max = 0, 1
        self.downloads.value = ""
        self.result.value = '<p class="course-quiet">Simulating every way that could be the cheapest…</p>'
        worker = threading.Thread(target=self._work, args=self._asked(), daemon=True)
        worker.start()
        return worker

    def _work(self, shown: Answer, shape) -> None:
        try:
            self._show(found_for(shown, shape, self._progress), shown)
        except ValueError as problem:
            self.result.value = problem_html(str(problem))
        finally:
            self.button.disabled, self.bar.layout.display = False, "none"

    def _progress(self, done: int, of: int) -> None:
        # A hundred messages, not one for each of thousands of candidates.
        if of != self.bar.max or done - self.bar.value >= of / 100:
            self.bar.max, self.bar.value = of, done

    def _show(self, found: Plan, shown: Answer) -> None:
        from course_utils.explore.plan_page import page

        given = f"{shown.traffic.name}, {shown.requests_per_day:,.0f} requests a day"
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in found.notes)
        self.result.value = (
            f'<p role="status" class="course-why">{html.escape(found.why)}</p>{rows_html(COLUMNS, rows(found, _TOP))}'
            f'<ul class="course-quiet">{notes}<li>For {html.escape(given)}. {html.escape(summary(found))}.</li></ul>'
        )
        report = link("Download the report (HTML)", "plan.html", "text/html", page(found, _TOP))
        table = found.table().to_csv()
        self.downloads.value = report + link("Download the plan (CSV)", "plan.csv", "text/csv", table)


def found_for(shown: Answer, shape=None, progress=None) -> Plan:
    """The cheapest ways to serve the traffic that an answer shows, within the limits of its inputs."""
    asked = shown.inputs
    limits = Requirements(ttft_p95_ms=asked.ttft_p95_ms, tpot_p95_ms=asked.tpot_p95_ms)
    space = Space(models=(shape or asked.model,), engine=asked.engine)
    traffic = shown.traffic.first(min(len(shown.traffic), _REQUESTS))
    return plan(traffic, limits, space, top=_TOP, progress=progress)
