"""A view as plotly traces and layout: plain dicts, which a widget updates in place and a page carries as frames."""

from dataclasses import dataclass

import numpy as np

from course_utils.explore import bars, formats, style
from course_utils.explore.axes import Axis, plan_axes
from course_utils.explore.labels import line_labels, point_labels
from course_utils.explore.views import Bars, Chart, Line, Points, View, check_scales

_POSITIONS = {"right": "middle right", "left": "middle left", "top": "top center", "bottom": "bottom center"}
_FONT = {"family": style.FONT_CSS, "size": style.TEXT_PX, "color": style.QUIET}
_TOP_PX, _BOTTOM_PX, _LEGEND_PX = 12, 26, 30
_AROUND_PX = 80  # title, the axes' names and the note, which stand outside the plot


@dataclass(frozen=True)
class Drawing:
    """Traces by slot, the layout, and the axes' names, which stand above and below the plot.

    Two drawings with the same slots differ in numbers only. The names are not part of the layout: plotly
    measures each text that it draws, and without them a redraw takes half the time.
    """

    traces: dict[str, dict]
    layout: dict
    above: str
    below: str


def drawing(view: View, chart: Chart) -> Drawing:
    """Everything that plotly needs to show a view, but for its title and note. ValueError as in `show`."""
    check_scales(view, chart)
    x, y = plan_axes(view, chart, steady=True)
    flat = bars.lie_flat(view)
    height = bars.height_px(view)
    margin = _margin(view, x, y, flat)
    traces = {}
    for index, one in enumerate(view.series):
        traces.update(_traces_of(index, one, chart, len(view.series), flat))
    wide, tall = style.WIDTH_PX - margin["l"] - margin["r"], height - _AROUND_PX - margin["t"] - margin["b"]
    labels = _bar_labels(view, chart, flat) if view.bars else _series_labels(view, x, y, wide, tall)
    if labels:
        traces["labels"] = labels
    above, below = ("", chart.y) if flat else (chart.y, chart.x)
    return Drawing(traces, _layout(view, x, y, flat, height, margin), above, below)


# Hover texts in d3's words, by kind of number: at most four digits that count.
_HOVER = {"money": ",.3~r", "si": ".3~s", "time": ".3~s", "year": "d"}
_DAY_MS = 86_400_000.0  # plotly counts dates in milliseconds


def _hover(name: str, unit: str) -> str:
    kind = formats.kind_of(unit)
    after = {"si": unit, "time": "s", "percent": " %"}.get(
        kind, f" {unit}" if kind == "count" and unit else ""
    )
    number = f"{formats.currency_of(unit)}%{{y:{_HOVER.get(kind, ',.4~r')}}}{after}"
    return f"{name} {number}<extra></extra>" if name else f"{number}<extra></extra>"


def _traces_of(
    index: int, one: Line | Points | Bars, chart: Chart, count: int, flat: bool
) -> dict[str, dict]:
    colour = style.colour(index)
    if isinstance(one, Bars):
        return {f"bars{index}": _bars(index, one, colour, count, flat)}
    x = one.x * _DAY_MS if one.dates else one.x
    hover = _hover(one.name, formats.unit_of(chart.y))
    shared = {
        "type": "scatter",
        "name": one.name,
        "x": x,
        "y": one.y,
        "cliponaxis": False,
        "hovertemplate": hover,
    }
    if isinstance(one, Points):
        trace = {
            **shared,
            "mode": "markers",
            "marker": {"color": colour, "size": style.MARKER_PX, "line": {"color": style.PAPER, "width": 1}},
        }
        if one.lo is not None:
            trace["error_y"] = {
                "array": one.spans[1],
                "arrayminus": one.spans[0],
                "color": colour,
                "thickness": 1.3,
                "width": 3,
            }
        return {f"points{index}": trace}
    found = {}
    if one.lo is not None:
        found[f"band{index}"] = {
            "type": "scatter",
            "mode": "lines",
            "x": np.concatenate([x, x[::-1]]),
            "y": np.concatenate([one.hi, one.lo[::-1]]),
            "fill": "toself",
            "fillcolor": style.rgba(colour, style.BAND_OPACITY),
            "line": {"width": 0},
            "hoverinfo": "skip",
        }
    found[f"line{index}"] = {
        **shared,
        "mode": "lines",
        "line": {"color": colour, "width": style.LINE_PX, "dash": "7px,4px" if one.dash else "solid"},
    }
    return found


def _bars(index: int, one: Bars, colour: str, count: int, flat: bool) -> dict:
    places = np.arange(len(one.x), dtype=float)
    start, thick = bars.place(index, count)
    trace = {
        "type": "bar",
        "name": one.name,
        "orientation": "h" if flat else "v",
        "x": one.y if flat else places,
        "y": places if flat else one.y,
        "offset": start,
        "width": thick * bars.FILLED,
        "marker": {"color": colour},
        "hoverinfo": "skip",
    }
    if one.lo is not None:
        error = {"array": one.spans[1], "arrayminus": one.spans[0], "color": style.INK}
        trace["error_x" if flat else "error_y"] = {**error, "thickness": 1.2, "width": 3}
    return trace


def _bar_labels(view: View, chart: Chart, flat: bool) -> dict | None:
    """Each bar's value beyond its end, and beyond its interval's."""
    if not bars.show_values(view):
        return None
    places, ends, sides = [], [], []
    texts = [text for row in bars.value_texts(view, formats.unit_of(chart.y)) for text in row]
    beyond, before = ("right", "left") if flat else ("top", "bottom")
    for index, one in enumerate(view.bars):
        start, thick = bars.place(index, len(view.bars))
        for at, (value, low, high) in enumerate(zip(one.y, one.low, one.high, strict=True)):
            places.append(at + start + thick * bars.FILLED / 2)
            ends.append(float(high if value >= 0 else low))
            sides.append(beyond if value >= 0 else before)
    x, y = (ends, places) if flat else (places, ends)
    return _texts(np.array(x), np.array(y), texts, sides, [style.INK] * len(texts), style.TICK_PX, 3)


def _series_labels(view: View, x: Axis, y: Axis, wide: float, tall: float) -> dict | None:
    """The names of lines and points."""
    ends = line_labels(view, x, y, wide, tall)
    labels = [*ends, *point_labels(view, x, y, wide, tall, ends)]
    if not labels:
        return None
    return _texts(
        x.at([label.x_px / wide for label in labels]) * (_DAY_MS if x.dates else 1),
        y.at([label.y_px / tall for label in labels]),
        [label.text for label in labels],
        [label.side for label in labels],
        [style.text_colour(label.series) for label in labels],
        style.TEXT_PX,
        style.MARKER_PX,
    )


def _texts(x, y, texts: list, sides: list, colours: list, size_px: float, mark_px: float) -> dict:
    """All names as one trace: moving them costs no more than moving a curve."""
    return {
        "type": "scatter",
        # An unseen marker keeps the text at a distance.
        "mode": "markers+text",
        "marker": {"size": mark_px, "color": "rgba(0,0,0,0)", "line": {"width": 0}},
        "x": x,
        "y": y,
        "text": texts,
        "textposition": [_POSITIONS.get(side, side) for side in sides],
        "textfont": {"color": colours, "size": size_px},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _margin(view: View, x: Axis, y: Axis, flat: bool) -> dict:
    up, across = (x, y) if flat else (y, x)
    names = [one.name for one in view.series if isinstance(one, Line) or getattr(one, "labels", None) is None]
    right = style.text_width_px(across.texts[-1], style.TICK_PX) / 2 + 4 if across.texts else 0
    if view.bars:
        right = max(right, 60 if flat else 12)
    else:
        right = max(right, 14 + max((style.text_width_px(name) for name in names), default=0))
    left = 18 + max((style.text_width_px(text, style.TICK_PX) for text in up.texts), default=0)
    top = _LEGEND_PX if len(view.bars) > 1 else _TOP_PX
    # Fixed here, so that plotly need not find out by drawing twice.
    return {"l": round(left), "r": round(right), "t": top, "b": _BOTTOM_PX, "autoexpand": False}


def _axis(axis: Axis) -> dict:
    low, high = (np.log10(axis.low), np.log10(axis.high)) if axis.log else (axis.low, axis.high)
    unit = _DAY_MS if axis.dates else 1
    hover = "%-d %b %Y" if axis.dates else _HOVER.get(formats.kind_of(formats.unit_of(axis.label)), ",.4~r")
    return {
        "type": "date" if axis.dates else "log" if axis.log else "linear",
        "range": [float(low) * unit, float(high) * unit],
        "tickvals": [tick * unit for tick in axis.ticks],
        "hoverformat": hover,
        "ticktext": list(axis.texts),
        "tickfont": {**_FONT, "size": style.TICK_PX},
        "tickangle": 0,
        # Unseen ticks: room between the texts and the plot.
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": "rgba(0,0,0,0)",
        "gridcolor": style.GRID,
        "zeroline": False,
        # A drag belongs to the slider: the axes don't zoom.
        "fixedrange": True,
    }


def _layout(view: View, x: Axis, y: Axis, flat: bool, height: int, margin: dict) -> dict:
    line = {"showline": True, "linecolor": style.AXIS}
    if flat:
        # The first of sideways bars is on top, as it is read.
        xaxis, yaxis = _axis(y), {**_axis(x), **line, "range": [x.high, x.low], "showgrid": False}
    else:
        xaxis, yaxis = {**_axis(x), **line, "showgrid": not view.bars}, _axis(y)
    return {
        "template": {},
        "height": height - _AROUND_PX,
        "autosize": True,
        "margin": margin,
        "font": _FONT,
        "paper_bgcolor": style.PAPER,
        "plot_bgcolor": style.PAPER,
        "xaxis": xaxis,
        "yaxis": yaxis,
        "showlegend": len(view.bars) > 1,
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"},
        "barmode": "overlay",
        "hovermode": "closest" if any(isinstance(one, Points) for one in view.series) else "x unified",
        "dragmode": False,
        "hoverlabel": {"font": {"family": style.FONT_CSS, "size": style.TICK_PX}},
    }


def same(one, other) -> bool:
    """Whether two pieces of a drawing are equal, arrays inside them included."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other
