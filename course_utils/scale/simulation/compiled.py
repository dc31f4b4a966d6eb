"""The one compiled entry, kept on disk between processes.

numba looks at the date of the entry's own file only, and would go on using a copy whose callees have changed since,
after an update of the course for one. So the entry is a closure over a digest of all sources, and another digest means
another copy.
"""

import hashlib
import sys
from pathlib import Path

import numba
from numba.core import event

from course_utils.scale.simulation import loop

_SOURCES = sorted([*Path(__file__).parent.glob("*.py"), Path(__file__).parent.parent / "autoscaling.py"])


class _Note(event.Listener):
    """Says on screen that a compilation has begun, which takes seconds and happens once per installation."""

    def on_start(self, event):
        if event.data["dispatcher"] is run:
            print("compiling the simulator, once: 10 to 20 s …", file=sys.stderr, flush=True)

    def on_end(self, event):
        pass


def _compiled(run):
    try:
        return numba.njit(cache=True, error_model="numpy")(run)
    except RuntimeError:  # no folder can be written to: each process compiles for itself
        return numba.njit(error_model="numpy")(run)


run = _compiled(loop.entry(hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()))
event.register("numba:compile", _Note())
