"""What only the browser can do: keep the link in the address bar, read a change out, notice that the server is gone."""

from pathlib import Path

import anywidget
import traitlets


class Browser(anywidget.AnyWidget):
    """`query` is what stands after the question mark; `spoken` is read out once the controls have come to rest."""

    _esm = Path(__file__).with_name("browser.js")
    query = traitlets.Unicode().tag(sync=True)
    spoken = traitlets.Unicode().tag(sync=True)
