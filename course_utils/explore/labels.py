"""Where names go: beside the end of a line, next to a point, without covering one another.

All positions are pixels inside the plot, x to the right and y up, so one answer serves both libraries.
"""

from dataclasses import dataclass

from course_utils.explore import style
from course_utils.explore.axes import Axis
from course_utils.explore.views import Bars, Line, Points, View

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


def spread(wanted: list[float], height: float, low: float, high: float) -> list[float]:
    """Positions as close as possible to `wanted`, at least `height` apart and between `low` and `high`.

    Neighbours that collide are pushed apart around their common mean. The order is kept; where there is no
    room for all, they share the space evenly.
    """
    if not wanted:
        return []
    count = len(wanted)
    height = min(height, (high - low) / max(1, count - 1)) if count > 1 else height
    order = sorted(range(count), key=lambda at: (wanted[at], at))
    groups: list[list] = []  # [sum of the first label's ideal position, number of labels]
    for rank, at in enumerate(order):
        groups.append([min(max(wanted[at], low), high) - 0 * rank, 1, 0.0])
        while len(groups) > 1:
            before, last = groups[-2], groups[-1]
            if _start(before) + before[1] * height <= _start(last):
                break
            merged = [0.0, before[1] + last[1], 0.0]
            # Each label wants its group to start `height` times its rank in the group below itself.
            merged[0] = before[0] + last[0] - last[1] * before[1] * height
            groups[-2:] = [merged]
    placed = [0.0] * count
    rank = 0
    starts = [min(max(_start(group), low), high - (group[1] - 1) * height) for group in groups]
    # Clamping a group to the edges may push it into its neighbour: one pass up, one pass down.
    for at in range(1, len(groups)):
        starts[at] = max(starts[at], starts[at - 1] + groups[at - 1][1] * height)
    top = high
    for at in reversed(range(len(groups))):
        starts[at] = min(starts[at], top - (groups[at][1] - 1) * height)
        top = starts[at] - height
    for group, start in zip(groups, starts, strict=True):
        for place in range(group[1]):
            placed[order[rank]] = start + place * height
            rank += 1
    return placed


def _start(group: list) -> float:
    return group[0] / group[1]


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
    """A name beside each labelled point, on the first side that is free of other points, lines and names."""
    if not any(isinstance(one, Points) and one.labels for one in view.series):
        return []
    boxes = [_box(label) for label in taken]
    marks = [
        (float(x.share(px)) * width, float(y.share(py)) * height)
        for one in view.series
        if isinstance(one, Points)
        for px, py in zip(one.x, one.y, strict=True)
    ]
    marks += _along(view, x, y, width, height)
    placed = []
    for index, one in enumerate(view.series):
        if not isinstance(one, Points) or one.labels is None:
            continue
        for text, px, py in zip(one.labels, one.x, one.y, strict=True):
            at = float(x.share(px)) * width, float(y.share(py)) * height
            best = min(
                (Label(text, *at, side, index) for side in SIDES),
                key=lambda label: _cost(_box(label), boxes, marks, width, height),
            )
            placed.append(best)
            boxes.append(_box(best))
    return placed


def _along(view: View, x: Axis, y: Axis, width: float, height: float) -> list[tuple[float, float]]:
    """Pixels every few steps along the lines: what a name should not cross."""
    found = []
    for one in view.series:
        if isinstance(one, Bars | Points):
            continue
        xs, ys = x.share(one.x) * width, y.share(one.y) * height
        for x0, y0, x1, y1 in zip(xs[:-1], ys[:-1], xs[1:], ys[1:], strict=True):
            steps = min(200, int(max(abs(x1 - x0), abs(y1 - y0)) / 6) + 1)
            found += [(x0 + (x1 - x0) * k / steps, y0 + (y1 - y0) * k / steps) for k in range(steps)]
    return found


def _box(label: Label) -> tuple[float, float, float, float]:
    """Left, bottom, right, top."""
    wide, tall = style.text_width_px(label.text), LINE_HEIGHT_PX
    (x_px, y_px), (across, up) = label.start_px, SIDES[label.side][1]
    left, low = x_px - across * wide, y_px - up * tall
    return left, low, left + wide, low + tall


def _cost(box, boxes, marks, width: float, height: float) -> float:
    left, low, right, top = box
    cost = sum(30 for a, b, c, d in boxes if left < c + 5 and right > a - 5 and low < d and top > b)
    cost += sum(1 for px, py in marks if left - 2 < px < right + 2 and low - 1 < py < top + 1)
    # Off the plot's left, top or bottom edge it would be cut; to the right there is a margin.
    return cost + 20 * (left < 0) + 20 * (low < 0) + 20 * (top > height + 4) + 20 * (right > width + 60)
