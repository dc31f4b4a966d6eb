"""Where names go: beside the end of a line, next to a point, without covering one another.

All positions are pixels inside the plot, x to the right and y up, so one answer serves both libraries.
"""

from dataclasses import dataclass

import numpy as np

from course_utils.explore import style
from course_utils.explore.axes import Axis
from course_utils.explore.views import Line, Points, View

LINE_HEIGHT_PX = style.TEXT_PX * 1.3
GAP_PX = 8


# Sides of a point in the order in which they are tried: where the text's anchor is, in gaps from the point,
# and where the anchor is in the text: 0 at its left or lower edge, 1 at its right or upper one.
SIDES = {
    "right": ((1, 0), (0, 0.5)),
    "left": ((-1, 0), (1, 0.5)),
    "top": ((0, 1), (0.5, 0)),
    "bottom": ((0, -1), (0.5, 1)),
    "bottom right": ((0.4, -0.4), (0, 1)),
    "top left": ((-0.4, 0.4), (1, 0)),
    "top right": ((0.4, 0.4), (0, 0)),
    "bottom left": ((-0.4, -0.4), (1, 1)),
}


@dataclass(frozen=True)
class Label:
    """A name to write: the pixel it belongs to, the side of it on which it stands, and its series' index."""

    text: str
    x_px: float
    y_px: float
    side: str
    series: int

    @property
    def start_px(self) -> tuple[float, float]:
        """Where the text is anchored: a gap away from its pixel."""
        across, up = SIDES[self.side][0]
        return self.x_px + across * GAP_PX, self.y_px + up * GAP_PX

    @property
    def box_px(self) -> tuple[float, float, float, float]:
        """What the text covers: left, bottom, right, top."""
        wide, tall = style.text_width_px(self.text), LINE_HEIGHT_PX
        (x_px, y_px), (across, up) = self.start_px, SIDES[self.side][1]
        left, low = x_px - across * wide, y_px - up * tall
        return left, low, left + wide, low + tall


def spread(wanted: list[float], height: float, low: float, high: float) -> list[float]:
    """Positions as close as possible to `wanted`, at least `height` apart and between `low` and `high`.

    The order is kept. Where there is no room for all, they share the space evenly.
    """
    count = len(wanted)
    height = min(height, (high - low) / max(1, count - 1))
    order = sorted(range(count), key=lambda at: (wanted[at], at))
    # Take from each the room of those below it: what is left must not fall, and the closest such row of
    # numbers joins neighbours that do fall at their mean (isotonic regression).
    groups: list[tuple[float, int]] = []
    for rank, at in enumerate(order):
        mean, members = wanted[at] - rank * height, 1
        while groups and groups[-1][0] > mean:
            below, more = groups.pop()
            mean, members = (mean * members + below * more) / (members + more), members + more
        groups.append((mean, members))
    starts = [mean for mean, members in groups for _ in range(members)]
    placed = [0.0] * count
    for rank, (at, start) in enumerate(zip(order, starts, strict=True)):
        placed[at] = min(max(start, low), high - (count - 1) * height) + rank * height
    return placed


def line_labels(view: View, x: Axis, y: Axis, width: float, height: float) -> list[Label]:
    """Names at the right ends of lines (and at the last of unlabelled points), spread vertically."""
    named = [
        (index, one)
        for index, one in enumerate(view.series)
        if one.name and (isinstance(one, Line) or (isinstance(one, Points) and one.labels is None))
    ]
    ends = []
    for _, one in named:
        last = int(one.x.argmax())
        ends.append((float(x.share(one.x[last])) * width, float(y.share(one.y[last])) * height))
    ends = [(min(max(x_px, 0), width), min(max(y_px, 0), height)) for x_px, y_px in ends]
    heights = spread([y_px for _, y_px in ends], LINE_HEIGHT_PX, 0, height)
    return [
        Label(one.name, x_px, y_px, "right", index)
        for (index, one), (x_px, _), y_px in zip(named, ends, heights, strict=True)
    ]


def point_labels(view: View, x: Axis, y: Axis, width: float, height: float, taken=()) -> list[Label]:
    """A name beside each labelled point, on a side that is free of other points, lines and names."""
    points = [
        (text, float(x.share(px)) * width, float(y.share(py)) * height, index)
        for index, one in enumerate(view.series)
        if isinstance(one, Points) and one.labels is not None
        for text, px, py in zip(one.labels, one.x, one.y, strict=True)
    ]
    if not points:
        return []
    marks = _marks(view, x, y, width, height)
    sides = [[Label(text, x_px, y_px, side, index) for side in SIDES] for text, x_px, y_px, index in points]
    costs = [[_cost(label.box_px, marks, width, height) for label in choices] for choices in sides]
    placed = [label.box_px for label in taken]
    chosen: list[Label] = []
    # Each name in turn takes its best side; the second round sees the names that came later in the first.
    for _ in range(2):
        for at, choices in enumerate(sides):
            others = placed + [one.box_px for other, one in enumerate(chosen) if other != at]
            best = min(
                range(len(choices)), key=lambda side: costs[at][side] + _covered(choices[side].box_px, others)
            )
            chosen[at : at + 1] = [choices[best]]
    return chosen


def _marks(view: View, x: Axis, y: Axis, width: float, height: float) -> np.ndarray:
    """Pixels that a name should not cover: points, their error bars, and steps along the lines. Shape (n, 2)."""
    found = []
    for one in view.series:
        xs, ys = x.share(one.x) * width, y.share(one.y) * height
        if isinstance(one, Line) and len(xs) > 1:
            along = np.r_[0, np.cumsum(np.maximum(abs(np.diff(xs)), abs(np.diff(ys))))]
            steps = np.linspace(0, along[-1], int(min(along[-1], 4000) / 6) + 2)
            xs, ys = np.interp(steps, along, xs), np.interp(steps, along, ys)
        elif one.lo is not None:
            # Along the error bars.
            share = np.linspace(0, 1, 9)[:, None]
            ends = y.share(one.low) * height, y.share(one.high) * height
            xs, ys = np.tile(xs, 9), (ends[0] + share * (ends[1] - ends[0])).ravel()
        found.append(np.column_stack([xs, ys]))
    return np.concatenate(found)


def _cost(box: tuple, marks: np.ndarray, width: float, height: float) -> float:
    """How much a name in `box` covers, and how far it leaves the plot."""
    left, low, right, top = box
    x_px, y_px = marks[:, 0], marks[:, 1]
    inside = (left - 2 < x_px) & (x_px < right + 2) & (low - 1 < y_px) & (y_px < top + 1)
    outside = (left < 0) + (low < 0) + (top > height + 4) + (right > width + 8)
    return int(inside.sum()) + 20 * outside


def _covered(box: tuple, boxes: list[tuple]) -> int:
    left, low, right, top = box
    return sum(30 for a, b, c, d in boxes if left < c + 5 and right > a - 5 and low < d and top > b)
