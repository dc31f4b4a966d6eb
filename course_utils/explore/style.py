"""The one look of the course. Both drawing libraries read it from here.

Colours are Okabe and Ito's, which stay apart under every common colour blindness (Okabe & Ito 2008, "Color
Universal Design"), with yellow left out and three darkened until text in them reaches 4.5:1 on white, because a series is
labelled in its own colour.
"""

PALETTE = (
    "#0072B2",  # blue
    "#B85000",  # vermillion, darkened
    "#007A5A",  # bluish green, darkened
    "#A8497F",  # reddish purple, darkened
    "#2B2B2B",  # black
    "#8A6A00",  # orange, darkened
    "#3A86C8",  # sky blue, darkened
)
INK = "#1F2328"  # title
QUIET = "#57606A"  # axis text, notes: 6:1 on white
GRID = "#E4E7EB"
AXIS = "#AEB6BF"
PAPER = "#FFFFFF"
ERROR = "#B42318"
BAND_OPACITY = 0.16

FONTS = ("Inter", "Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans", "sans-serif")
FONT_CSS = ", ".join(f"'{name}'" if " " in name else name for name in FONTS)

# Sizes in CSS pixels, the same in both libraries.
TITLE_PX = 17
TEXT_PX = 13
TICK_PX = 12
NOTE_PX = 11.5
LINE_PX = 2.4
MARKER_PX = 9
WIDTH_PX = 720
HEIGHT_PX = 400
# Mean width of a character, in ems: what a label needs is estimated before either library has drawn it.
EM_PER_CHARACTER = 0.56


def colour(index: int) -> str:
    """Colour of the series at `index`, from 0; the palette starts over after its last."""
    return PALETTE[index % len(PALETTE)]


def rgba(colour: str, opacity: float) -> str:
    """CSS form of `#RRGGBB` at `opacity` in [0, 1]."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def text_width_px(text: str, size_px: float = TEXT_PX) -> float:
    """Estimated width of the longest line of `text`."""
    return max((len(line) for line in text.split("\n")), default=0) * size_px * EM_PER_CHARACTER


def matplotlib_rc() -> dict:
    """rcParams of the look, for `matplotlib.rc_context`. Sizes are points: a CSS pixel is 0.72 of one at 100 dpi."""
    points = 72 / 100
    return {
        "font.family": "sans-serif",
        "font.sans-serif": [name for name in FONTS if name != "sans-serif"],
        "font.size": TEXT_PX * points,
        "figure.facecolor": PAPER,
        "axes.facecolor": PAPER,
        "axes.edgecolor": AXIS,
        "axes.linewidth": 0.8,
        "axes.labelcolor": QUIET,
        "axes.labelsize": TEXT_PX * points,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "lines.linewidth": LINE_PX * points,
        "lines.solid_capstyle": "round",
        "xtick.color": AXIS,
        "xtick.labelcolor": QUIET,
        "xtick.labelsize": TICK_PX * points,
        "ytick.color": AXIS,
        "ytick.labelcolor": QUIET,
        "ytick.labelsize": TICK_PX * points,
        "ytick.major.size": 0,
        "text.color": INK,
    }
