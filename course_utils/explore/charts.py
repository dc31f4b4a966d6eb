"""Static charts: a view drawn by matplotlib, small, sharp and described in words."""

import base64
import html
import io
import threading

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from course_utils.explore import bars, formats, style
from course_utils.explore.axes import plan_axes
from course_utils.explore.labels import SIDES, line_labels, point_labels
from course_utils.explore.views import Chart, Line, View, check_scales, describe

_DPI = 100  # one inch is 100 CSS pixels
_SHARP = 2  # device pixels per CSS pixel
# matplotlib's settings belong to the whole process, and JupyterLab redraws from a thread of its own.
_ONE_AT_A_TIME = threading.Lock()


def show(view: View, chart: Chart) -> None:
    """Display a view as a picture, with its alt text. ValueError for values that a log axis can't show."""
    display_picture(view, chart, steady=False)


def display_picture(view: View, chart: Chart, steady: bool) -> None:
    """As `show`; with `steady`, axes that stand still while an explorer's data move."""
    from IPython.display import display

    alt = describe(view, chart)
    picture = base64.b64encode(png(view, chart, steady)).decode()
    page = (
        f'<img alt="{html.escape(alt, quote=True)}" width="{style.WIDTH_PX}" style="max-width:100%;height:auto" '
        f'src="data:image/png;base64,{picture}">'
    )
    # HTML, because neither JupyterLab nor the site shows the alt text that an image/png output carries.
    display({"text/html": page, "text/plain": alt}, raw=True)


def save_png(view: View, chart: Chart, path) -> None:
    """Write the same picture to a file."""
    with open(path, "wb") as file:
        file.write(png(view, chart))


def png(view: View, chart: Chart, steady: bool = False) -> bytes:
    """The picture at two device pixels per CSS pixel, in at most 256 colours."""
    from PIL import Image

    with _ONE_AT_A_TIME, matplotlib.rc_context(style.matplotlib_rc()):
        figure = Figure(figsize=(style.WIDTH_PX / _DPI, bars.height_px(view) / _DPI), dpi=_DPI * _SHARP)
        FigureCanvasAgg(figure)
        draw(figure, view, chart, steady)
        figure.canvas.draw()
        picture = Image.fromarray(_pixels(figure)).quantize(256, method=Image.Quantize.FASTOCTREE, dither=0)
    file = io.BytesIO()
    picture.save(file, "png", dpi=(_DPI * _SHARP, _DPI * _SHARP))
    return file.getvalue()


def _pixels(figure):
    return np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])


def draw(figure, view: View, chart: Chart, steady: bool = False) -> None:
    """Draw a view on an empty matplotlib figure, an inch for 100 CSS pixels. ValueError as in `show`."""
    check_scales(view, chart)
    x, y = plan_axes(view, chart, steady)
    flat = bars.lie_flat(view)
    wide, tall = figure.get_size_inches() * _DPI

    title = style.wrapped(view.title, style.TITLE_PX, wide - 20, style.EM_PER_BOLD)
    note = style.wrapped(view.note, style.NOTE_PX, wide - 20)
    across, up = (y, x) if flat else (x, y)
    left = 30 + max(style.text_width_px(text, style.TICK_PX) for text in up.texts)
    top = tall - 14 - 23 * len(title) - (22 if len(view.bars) > 1 or not flat else 2)
    bottom = (50 if across.label else 30) + 16 * len(note) + (4 if note else 0)
    right = wide - _right_margin(view, flat, across)
    box = (left / wide, bottom / tall, (right - left) / wide, (top - bottom) / tall)
    axes = figure.add_axes(box)

    _set_axis(axes, across, up, flat, bool(view.bars))
    if view.bars:
        _draw_bars(axes, view, chart, y, flat)
    else:
        _draw_lines(axes, view)
        _write_labels(axes, view, x, y, right - left, top - bottom)

    px = 72 / _DPI
    for row, text in enumerate(title):
        figure.text(
            10 / wide, 1 - (14 + 23 * row) / tall, text, va="top", size=style.TITLE_PX * px, weight="bold"
        )
    # The y axis's name lies above the axis, where it is read without turning the head.
    if not flat:
        figure.text(
            10 / wide, (top + 10) / tall, chart.y, va="bottom", size=style.TEXT_PX * px, color=style.QUIET
        )
    for row, text in enumerate(reversed(note)):
        figure.text(
            10 / wide, (8 + 16 * row) / tall, text, va="bottom", size=style.NOTE_PX * px, color=style.QUIET
        )


def _right_margin(view: View, flat: bool, across) -> float:
    last = style.text_width_px(across.texts[-1], style.TICK_PX) / 2 if across.texts else 0
    if view.bars:
        return max(60 if flat else 14, last)
    names = [one.name for one in view.series if isinstance(one, Line) or getattr(one, "labels", None) is None]
    return max(14.0, last, 16 + max((style.text_width_px(name) for name in names), default=0))


def _set_axis(axes, across, up, flat: bool, has_bars: bool) -> None:
    axes.set_xscale("log" if across.log else "linear")
    axes.set_yscale("log" if up.log else "linear")
    axes.set_xlim(across.low, across.high)
    # The first of sideways bars is on top, as it is read.
    axes.set_ylim(*((up.high, up.low) if flat else (up.low, up.high)))
    axes.set_xticks(across.ticks, across.texts)
    axes.set_yticks(up.ticks, up.texts)
    axes.minorticks_off()
    axes.set_xlabel(across.label, labelpad=6)
    if has_bars:
        axes.grid(False, axis="y" if flat else "x")
        axes.tick_params(axis="y" if flat else "x", length=0)
    if flat:
        axes.spines["left"].set_visible(True)
        axes.spines["bottom"].set_visible(False)


def _draw_lines(axes, view: View) -> None:
    for index, one in enumerate(view.series):
        colour = style.colour(index)
        if isinstance(one, Line):
            if one.lo is not None:
                axes.fill_between(one.x, one.lo, one.hi, color=colour, alpha=style.BAND_OPACITY, linewidth=0)
            axes.plot(one.x, one.y, color=colour, linestyle=(0, (4, 2.5)) if one.dash else "-", zorder=3)
            continue
        if one.lo is not None:
            axes.errorbar(
                one.x,
                one.y,
                one.spans,
                fmt="none",
                ecolor=colour,
                elinewidth=1.3,
                capsize=2.5,
                zorder=3,
            )
        size = (style.MARKER_PX * 72 / _DPI) ** 2
        axes.scatter(
            one.x,
            one.y,
            s=size,
            color=colour,
            edgecolors=style.PAPER,
            linewidths=0.8,
            zorder=4,
            clip_on=False,
        )


def _write_labels(axes, view: View, x, y, wide: float, tall: float) -> None:
    ends = line_labels(view, x, y, wide, tall)
    # A rim of paper keeps a name legible where it has to lie on a line.
    rim = [withStroke(linewidth=2, foreground=style.PAPER)]
    for label in [*ends, *point_labels(view, x, y, wide, tall, ends)]:
        axes.text(
            label.start_px[0] / wide,
            label.start_px[1] / tall,
            label.text,
            transform=axes.transAxes,
            color=style.text_colour(label.series),
            size=style.TEXT_PX * 72 / _DPI,
            ha={0: "left", 0.5: "center", 1: "right"}[SIDES[label.side][1][0]],
            va={0: "bottom", 0.5: "center", 1: "top"}[SIDES[label.side][1][1]],
            zorder=5,
            path_effects=rim,
        )


def _draw_bars(axes, view: View, chart: Chart, y, flat: bool) -> None:
    texts = bars.value_texts(view, formats.unit_of(chart.y))
    for index, one in enumerate(view.bars):
        start, thick = bars.place(index, len(view.bars))
        spans = None if one.lo is None else one.spans
        drawn = (axes.barh if flat else axes.bar)(
            np.arange(len(one.x)) + start,
            one.y,
            thick * bars.FILLED,
            align="edge",
            color=style.colour(index),
            label=one.name,
            **{"xerr" if flat else "yerr": spans},
            error_kw={"ecolor": style.INK, "elinewidth": 1.2, "capsize": 3},
        )
        if bars.show_values(view):
            axes.bar_label(drawn, texts[index], padding=4, size=style.TICK_PX * 72 / _DPI, color=style.INK)
    if len(view.bars) > 1:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=len(view.bars),
            frameon=False,
            borderaxespad=0.2,
            handlelength=1,
            handleheight=0.9,
            columnspacing=1.4,
            fontsize=style.TEXT_PX * 72 / _DPI,
        )
