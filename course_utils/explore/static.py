"""A page without a kernel: one plotly figure that carries a frame per stop of the moving control."""

import html
import json
from copy import deepcopy

import plotly.graph_objects as go

from course_utils.explore import style
from course_utils.explore.controls import label_of
from course_utils.explore.explorers import Explorer
from course_utils.explore.figures import Drawing, drawing, wrapped
from course_utils.explore.views import describe

STOPS = 25
PLOTLY_URL = "https://cdn.jsdelivr.net/npm/plotly.js-dist-min@3.1.0/plotly.min.js"


class StaticExplorer(Explorer):
    """The figure at the controls' values, and `STOPS` frames along the moving one."""

    def __init__(self, compute, controls, chart, moving):
        super().__init__(compute, controls, chart, moving)
        self.refresh()

    def draw(self) -> None:
        if self.view is None:
            raise ValueError(f"explorer can't draw its first view: {self.error}")
        here, control = dict(self.values), self.specs[self.moving]
        now = self.view, self.error, self.compute_ms
        frames = []
        try:
            for value in control.stops(STOPS):
                self.values[self.moving] = value
                self.recompute()
                frames.append((control.text(value), value, self._with_texts()))
        finally:
            self.values = here
            self.view, self.error, self.compute_ms = now
        self.figure = self._figure(self._with_texts(), frames)

    def _with_texts(self) -> Drawing:
        """The drawing with its title above and its note beneath, where a page without widgets shows them."""
        plain = drawing(self.view, self.chart)
        layout = deepcopy(plain.layout)
        title = wrapped(self.view.title, style.TITLE_PX)
        note = self.error or self.view.note
        layout["margin"]["t"] += 26 * (1 + title.count("<br>"))
        layout["margin"]["b"] += 110
        layout["height"] += 136
        layout["title"] = {
            "text": f"<b>{title}</b>",
            "font": {"family": style.FONT_CSS, "size": style.TITLE_PX, "color": style.INK},
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "pad": {"l": 6, "t": 10},
            "y": 1,
            "yref": "container",
            "yanchor": "top",
        }
        layout["annotations"].append(
            {
                "text": wrapped(note, style.NOTE_PX),
                "xref": "paper",
                "yref": "paper",
                "x": 0,
                "y": 0,
                "xanchor": "left",
                "yanchor": "top",
                "align": "left",
                "showarrow": False,
                "xshift": 6 - layout["margin"]["l"],
                "yshift": -135,
                "font": {
                    "family": style.FONT_CSS,
                    "size": style.NOTE_PX,
                    "color": style.ERROR if self.error else style.QUIET,
                },
            }
        )
        return Drawing(plain.traces, layout)

    def _figure(self, first: Drawing, frames: list) -> go.Figure:
        slots = list(dict.fromkeys(slot for _, _, one in frames for slot in one.traces))
        start = next((at for at, (_, value, _) in enumerate(frames) if value == self.values[self.moving]), 0)
        slider = {
            "active": start,
            "currentvalue": {
                "prefix": f"{label_of(self.moving, self.specs[self.moving])}: ",
                "font": {"size": style.TEXT_PX, "color": style.INK},
            },
            "pad": {"t": 52},
            "steps": [
                {
                    "label": text,
                    "method": "animate",
                    "args": [
                        [str(at)],
                        {
                            "mode": "immediate",
                            "frame": {"duration": 0, "redraw": True},
                            "transition": {"duration": 0},
                        },
                    ],
                }
                for at, (text, _, _) in enumerate(frames)
            ],
            "ticklen": 0,
            "font": {"color": "rgba(0,0,0,0)"},
        }
        blank = {slot: next(one.traces[slot] for _, _, one in frames if slot in one.traces) for slot in slots}

        def rows(one: Drawing) -> list[dict]:
            return [one.traces.get(slot, {**blank[slot], "x": [], "y": []}) for slot in slots]

        return go.Figure(
            data=rows(first),
            layout={**first.layout, "sliders": [slider]},
            frames=[
                go.Frame(name=str(at), data=rows(one), layout=one.layout)
                for at, (_, _, one) in enumerate(frames)
            ],
        )

    def html(self) -> str:
        """The figure as a piece of a page. plotly.js is loaded once a page, not carried by each figure."""
        alt = html.escape(describe(self.view, self.chart), quote=True)
        spec = self.figure.to_json()
        name = f"explorer-{abs(hash(json.dumps(sorted(self.specs)) + spec)) % 10**10}"
        return (
            _PAGE.replace("NAME", name)
            .replace("ALT", alt)
            .replace("SPEC", spec.replace("</", "<\\/"))
            .replace("URL", PLOTLY_URL)
        )

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display({"text/html": self.html(), "text/plain": describe(self.view, self.chart)}, raw=True)


_PAGE = """<div id="NAME" role="img" aria-label="ALT"></div>
<script type="application/json" id="NAME-spec">SPEC</script>
<script>
(() => {
  const draw = () => {
    const spec = JSON.parse(document.getElementById("NAME-spec").textContent);
    Plotly.newPlot("NAME", {...spec, config: {displayModeBar: false, responsive: true}});
  };
  if (window.Plotly) return draw();
  if (!window.coursePlotly) window.coursePlotly = new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = "URL"; script.onload = done; script.onerror = failed;
    document.head.append(script);
  });
  window.coursePlotly.then(draw);
})();
</script>"""
