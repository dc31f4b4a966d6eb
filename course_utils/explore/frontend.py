"""Which front end shows this notebook, and so which library can draw an explorer there."""

import os
import sys

FRONT_ENDS = ("lab", "colab", "static")


def frontend() -> str:
    """`"lab"`, `"colab"` or `"static"`.

    - lab: JupyterLab, Notebook 7, Binder, VS Code: widgets work, plotly's FigureWidget is updated in place.
    - colab: Google Colab, whose FigureWidget is broken: matplotlib redrawn in an output.
    - static: no kernel behind the page (the site): a figure that carries its frames.

    The environment variable COURSE_FRONTEND overrides what is detected; the site's build sets it to "static".
    ValueError for any other value.
    """
    chosen = os.environ.get("COURSE_FRONTEND", "").strip().lower()
    if chosen and chosen not in FRONT_ENDS:
        raise ValueError(f"COURSE_FRONTEND is {chosen!r}, expected one of {', '.join(FRONT_ENDS)}, or unset")
    if chosen:
        return chosen
    # Colab's kernel imports this module before the first cell runs; nobody else has it.
    return "colab" if "google.colab" in sys.modules else "lab"
