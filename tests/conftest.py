"""The test log says how long the whole took beside the time that it may take."""

import os
import time

# Published traces come from the network where there is one; what the tests see must not depend on that.
os.environ.setdefault("COURSE_OFFLINE", "1")

BOUND_S = 1200  # on 2 cores, once everything is installed; half of it is chapters
STARTED_S = time.perf_counter()


def pytest_terminal_summary(terminalreporter, config):
    """One line at the end of `make test`, and only of that: a part of the tests says nothing about the whole."""
    if config.invocation_params.args:
        return
    from course_utils.measure.machine import usable_cores

    took_s, cores = time.perf_counter() - STARTED_S, usable_cores()
    plural = "" if cores == 1 else "s"
    terminalreporter.write_line(f"make test: {took_s:.0f} s on {cores:g} core{plural} (bound {BOUND_S} s)")
