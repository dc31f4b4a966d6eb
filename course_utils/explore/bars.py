"""How bars stand: upright or sideways, how thick, with or without their values. The same in both libraries."""

from course_utils.explore import formats, style
from course_utils.explore.views import View

# Share of its place that a bar fills; the rest parts it from the next of its group.
FILLED = 0.94


def lie_flat(view: View) -> bool:
    """Whether bars run sideways: their names are too long to stand under upright bars."""
    if not view.bars:
        return False
    names = view.bars[0].x
    room = (style.WIDTH_PX - 100) / len(names)
    return max(map(style.text_width_px, names)) > room - 8


def place(index: int, count: int) -> tuple[float, float]:
    """Start and thickness of the `index`-th of `count` bars at a category, which is one wide, from its middle."""
    thick = 0.72 / count
    return (index - count / 2) * thick, thick


def show_values(view: View) -> bool:
    """Whether bars carry their values: not where they are too many to read."""
    return len(view.bars) * len(view.bars[0].x) <= 16


def value_texts(view: View, unit: str) -> list[list[str]]:
    """The values as written beyond the bars, per series; all of one kind, for they stand side by side."""
    texts = iter(formats.numbers([float(value) for one in view.bars for value in one.y], unit))
    return [[next(texts) for _ in one.y] for one in view.bars]


def height_px(view: View) -> int:
    """Height of the whole picture in CSS pixels: taller for many sideways bars."""
    if not lie_flat(view):
        return style.HEIGHT_PX
    names = len(view.bars[0].x)
    return max(260, min(900, 130 + 10 * names + 26 * names * len(view.bars)))
