"""A page without a kernel: one plotly figure that carries a frame per stop of the moving control."""

import base64
import hashlib
import html
from pathlib import Path

import numpy as np

from course_utils.explore import charts, style
from course_utils.explore.controls import label_of
from course_utils.explore.explorers import Explorer
from course_utils.explore.figures import Drawing, drawing, same
from course_utils.explore.views import describe

STOPS = 25
_SLIDER_PX = 74


class StaticExplorer(Explorer):
    """The figure at the controls' values, and at most `STOPS` frames along the moving one."""

    def __init__(self, compute, controls, chart, moving):
        super().__init__(compute, controls, chart, moving)
        self.refresh()

    def draw(self) -> None:
        if self.view is None:
            raise ValueError(f"explorer can't draw its first view: {self.error}")
        control, here = self.specs[self.moving], dict(self.values)
        now = self.view, self.error, self.compute_ms
        first, frames = self._drawing(), []
        try:
            for value in control.stops(STOPS):
                self.values[self.moving] = value
                self.recompute()
                frames.append((value, self._drawing()))
        finally:
            self.values = here
            self.view, self.error, self.compute_ms = now
        self.figure = self._figure(first, frames)

    def _drawing(self) -> Drawing:
        """The drawing with room for the slider, and with its texts where the page's script finds them."""
        plain = drawing(self.view, self.chart)
        margin = plain.layout["margin"]
        layout = {
            **plain.layout,
            "height": plain.layout["height"] + _SLIDER_PX + 20,
            "margin": {**margin, "b": margin["b"] + _SLIDER_PX + 20},
            "meta": {
                "title": self.view.title,
                "above": plain.above,
                "note": self.view.note,
                "error": self.error,
                "alt": describe(self.view, self.chart),
            },
        }
        # Between axis and slider, where only plotly can write.
        title = {"text": plain.below, "font": plain.layout["font"], "standoff": 6}
        layout["xaxis"] = {**layout["xaxis"], "title": title}
        return Drawing(plain.traces, layout, plain.above, plain.below)

    def _figure(self, first: Drawing, frames: list[tuple[object, Drawing]]):
        import plotly.graph_objects as go

        drawings = [first, *(one for _, one in frames)]
        slots = {slot: trace for one in reversed(drawings) for slot, trace in one.traces.items()}
        # A series that is missing from a frame is drawn empty there: frames can't add or drop traces.
        rows = [
            [one.traces.get(slot, {**trace, "x": [], "y": []}) for slot, trace in slots.items()]
            for one in drawings
        ]
        traces = list(zip(*(_varying([row[at] for row in rows]) for at in range(len(slots))), strict=True))
        layouts = _varying([one.layout for one in drawings])
        return go.Figure(
            data=[_compact(trace) for trace in rows[0]],
            layout={**first.layout, "sliders": [self._slider([value for value, _ in frames])]},
            frames=[
                go.Frame(name=str(at), data=[_compact(one) for one in row], layout=layout)
                for at, (row, layout) in enumerate(zip(traces[1:], layouts[1:], strict=True))
            ],
        )

    def _slider(self, values: list) -> dict:
        control = self.specs[self.moving]
        font = {"family": style.FONT_CSS, "size": style.TEXT_PX, "color": style.INK}
        return {
            "active": values.index(self.values[self.moving]) if self.values[self.moving] in values else 0,
            "currentvalue": {"prefix": f"{label_of(self.moving, control)}: ", "font": font},
            # The page's script draws: plotly only says where the slider is.
            "steps": [
                {"label": control.text(value), "value": str(at), "method": "skip"}
                for at, value in enumerate(values)
            ],
            "pad": {"t": 44, "b": 0, "l": 0, "r": 0},
            "ticklen": 0,
            "minorticklen": 0,
            # The stops' names would cover one another; the present one stands above the slider.
            "font": {**font, "color": "rgba(0,0,0,0)", "size": 1},
            "bgcolor": style.GRID,
            "activebgcolor": style.PALETTE[0],
            "bordercolor": style.AXIS,
        }

    def html(self) -> str:
        """The figure as a piece of a page. plotly.js is loaded once a page, not carried by each figure.

        Until it is there, and where scripts don't run, the page shows the picture that `show` would draw.
        """
        from plotly.offline import get_plotlyjs_version

        spec = self.figure.to_json().replace("</", "<\\/")
        picture = base64.b64encode(charts.png(self.view, self.chart, steady=True)).decode()
        alt = html.escape(describe(self.view, self.chart), quote=True)
        name = f"explorer-{hashlib.sha256(spec.encode()).hexdigest()[:10]}"
        script = Path(__file__).with_name("static_figure.js").read_text(encoding="utf-8")
        others = ", ".join(
            f"{label_of(other, control)} {control.text(self.values[other])}"
            for other, control in self.specs.items()
            if other != self.moving
        )
        fixed = f"Held here: {others}. Open the notebook to move them." if others else ""
        return (
            f"<style>{style.explorer_css()}</style>\n"
            f'<div class="course-explorer" id="{name}">'
            f'<img alt="{alt}" width="{style.WIDTH_PX}" src="data:image/png;base64,{picture}">'
            f'<p class="course-held">{html.escape(fixed)}</p></div>\n'
            f'<script type="application/json" id="{name}-figure">{spec}</script>\n'
            f"<script>{script}\ncourseExplorer({name!r}, {get_plotlyjs_version()!r});</script>"
        )

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display({"text/html": self.html(), "text/plain": describe(self.view, self.chart)}, raw=True)


def _varying(versions: list[dict]) -> list[dict]:
    """Each version reduced to the entries in which the versions differ: frames follow one another in any order."""
    names = {name: None for one in versions for name in one}
    differ = [
        name for name in names if any(not same(versions[0].get(name), one.get(name)) for one in versions)
    ]
    return [{name: one[name] for name in differ if name in one} for one in versions]


def _compact(trace: dict) -> dict:
    """The trace in single precision: a pixel is a thousandth of the axis, and the page half as heavy."""
    return {
        name: value.astype(np.float32) if isinstance(value, np.ndarray) else value
        for name, value in trace.items()
    }
