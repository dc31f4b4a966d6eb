"""A button that takes one file, by mouse, keyboard or drop."""

from collections.abc import Callable
from pathlib import Path

import anywidget
import traitlets

MOST_MB = 40


class UploadButton(anywidget.AnyWidget):
    """Calls `came(name, content)` for each file chosen.

    A file above `MOST_MB` is not sent: `refused(sentence)` is called instead.
    """

    _esm = Path(__file__).with_name("upload_button.js")
    label = traitlets.Unicode().tag(sync=True)
    accept = traitlets.Unicode().tag(sync=True)
    most_bytes = traitlets.Int(int(MOST_MB * 1e6)).tag(sync=True)

    def __init__(
        self, label: str, accept: str, came: Callable[[str, bytes], None], refused: Callable[[str], None]
    ):
        super().__init__(label=label, accept=accept)
        self._came, self._refused = came, refused
        self.on_msg(self._received)

    def _received(self, _, file: dict, buffers: list) -> None:
        if buffers:
            self._came(file["name"], bytes(buffers[0]))
        else:
            size_mb = file["bytes"] / 1e6
            self._refused(f"{file['name']} has {size_mb:,.0f} MB: at most {MOST_MB} MB are taken")
