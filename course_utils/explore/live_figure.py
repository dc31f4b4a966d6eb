"""plotly's FigureWidget with a lighter page half.

The stock one (plotly 7.1) sends 5 MB of plotly.js for every figure; after every redraw it reports all computed
defaults back, which keeps the kernel busy for 130 ms; and on a busy machine it often stays empty, because the
empty plot that it starts with may be drawn after the full one. Ours sends plotly.js once a kernel (1.5 MB,
compressed), sends each update as one message, and reports nothing back. The Python half is the stock one:
`figure.data[0].y = …` and `with figure.batch_update():` work as documented.
"""

import gzip
import sys
from functools import cache
from pathlib import Path

import ipywidgets as widgets
import plotly
import traitlets

from course_utils.explore import style


def _figure_widget() -> type:
    """plotly's FigureWidget, imported without a grammar that takes a second or two to compile.

    plotly asks for nbformat, that for jsonschema, and that for `rfc3987_syntax`, wherever it happens to be
    installed, to check addresses that no figure has. jsonschema does without it.
    """
    name = "rfc3987_syntax"
    if name in sys.modules:
        from plotly.graph_objects import FigureWidget

        return FigureWidget
    sys.modules[name] = None
    try:
        from plotly.graph_objects import FigureWidget
    finally:
        del sys.modules[name]
    return FigureWidget


class Library(widgets.Widget):
    """plotly.js, compressed, as a model that figures refer to."""

    packed = traitlets.Bytes().tag(sync=True)


@cache
def library() -> Library:
    """The one of this kernel."""
    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return Library(packed=gzip.compress(source.read_bytes(), 6, mtime=0))


class LiveFigure(_figure_widget()):
    """A FigureWidget with texts around it: `texts(title=…, above=…, below=…, note=…, error=…, alt=…)`."""

    _esm = Path(__file__).with_name("live_figure.js")
    _css = style.explorer_css()
    _library = traitlets.Instance(widgets.Widget).tag(sync=True, **widgets.widget_serialization)
    _texts = traitlets.Dict().tag(sync=True)

    @traitlets.default("_library")
    def _one_library(self) -> Library:
        return library()

    def texts(self, **texts: str) -> None:
        """Replace the texts named; the others stay."""
        self._texts = {**self._texts, **texts}

    def _push(self, *_, **__) -> None:
        """Send traces and layout as they are now, in one message."""
        with self.hold_sync():
            # Fresh containers: traitlets sends what it can tell from what it had.
            self._widget_data = [dict(trace) for trace in self._data]
            self._widget_layout = dict(self._layout)

    # plotly calls one of these after each change of its Python half.
    _send_addTraces_msg = _push
    _send_deleteTraces_msg = _push
    _send_moveTraces_msg = _push
    _send_restyle_msg = _push
    _send_relayout_msg = _push
    _send_update_msg = _push
