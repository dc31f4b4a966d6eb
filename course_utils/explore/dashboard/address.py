"""The page's link: the address bar follows the inputs, and a button copies it."""

from pathlib import Path

import anywidget
import traitlets


class Address(anywidget.AnyWidget):
    """`query` is what stands after the question mark."""

    _esm = Path(__file__).with_name("address.js")
    query = traitlets.Unicode().tag(sync=True)
