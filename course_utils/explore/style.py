"""The one look of the course. Both drawing libraries read it from here.

Colours follow Okabe and Ito ("Color Universal Design", 2008): blue, vermillion and green are theirs. Yellow,
orange and sky blue are too pale for a thin line on white, so ink, violet, brown and grey, which differ in
lightness, take their place. Any two stay at least 15 apart (ΔE 1976) under each of the three colour
blindnesses as Machado et al. (2009) simulate them. Lines have a contrast of 3:1 with the paper, texts 4.5:1.
"""

import textwrap

PALETTE = ("#0072B2", "#D55E00", "#262B33", "#009A74", "#8A2BE2", "#7A4A3A", "#8A94A0")
# The same hues for texts: a series is labelled in its own colour, and small letters need more contrast.
TEXT_PALETTE = ("#0072B2", "#B85000", "#262B33", "#007A5C", "#8A2BE2", "#7A4A3A", "#626C78")
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
EXPLORER_PX = 860
# Mean width of a character, in ems: what a label needs is estimated before either library has drawn it.
EM_PER_CHARACTER = 0.54
EM_PER_BOLD = 0.59  # a title's, in DejaVu Sans, the widest of FONTS


def colour(index: int) -> str:
    """Colour of the series at `index`, from 0; the palette starts over after its last."""
    return PALETTE[index % len(PALETTE)]


def text_colour(index: int) -> str:
    """Colour in which the series at `index` is labelled."""
    return TEXT_PALETTE[index % len(TEXT_PALETTE)]


def rgba(colour: str, opacity: float) -> str:
    """CSS form of `#RRGGBB` at `opacity` in [0, 1]."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def wrapped(text: str, size_px: float, width_px: float, em: float = EM_PER_CHARACTER) -> list[str]:
    """`text` in as few lines as fit, of about the same length: no last word stands alone."""
    most = max(10, int(width_px / (size_px * em)))
    lines = textwrap.wrap(text, most)
    while most > 10 and len(narrower := textwrap.wrap(text, most - 1)) == len(lines):
        lines, most = narrower, most - 1
    return lines


def text_width_px(text: str, size_px: float = TEXT_PX) -> float:
    """Estimated width of the longest line of `text`."""
    return max((len(line) for line in text.split("\n")), default=0) * size_px * EM_PER_CHARACTER


def matplotlib_rc() -> dict:
    """rcParams of the look, for `matplotlib.rc_context`. In points: at 100 dpi a CSS pixel is 0.72 of one."""
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
        # "$5 or $7" is money, not a formula.
        "text.parse_math": False,
    }


def explorer_css() -> str:
    """Style sheet of an explorer's texts, in a notebook and on a page."""
    return f"""
.course-explorer {{ width: 100%; max-width: {EXPLORER_PX}px; min-width: 0; }}
.course-explorer {{ background: {PAPER}; font-family: {FONT_CSS}; }}
.course-explorer p {{ margin: 0 6px; line-height: 1.35; font-size: {TEXT_PX}px; color: {QUIET}; }}
.course-explorer p:empty {{ display: none; }}
.course-explorer p.course-title {{ font-size: {TITLE_PX}px; font-weight: 650; color: {INK}; }}
.course-explorer p.course-above {{ margin-top: 4px; }}
.course-explorer p.course-below {{ text-align: center; }}
.course-explorer p.course-note, .course-explorer p.course-held {{ margin-top: 6px; font-size: {NOTE_PX}px; }}
.course-explorer p.course-error {{ margin-top: 4px; color: {ERROR}; }}
.course-explorer img {{ max-width: 100%; height: auto; }}
.course-explorer .course-keys {{ width: 100%; }}
.course-explorer .course-keys:not(:focus) {{ position: absolute; width: 1px; height: 1px; opacity: 0; }}
"""
