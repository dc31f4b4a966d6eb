"""Where a chapter's measurements come from here: this machine's GPU, its CPU, or a recorded run.

Taught in: chapter 00.
"""

import os
from importlib.util import find_spec

from course_utils.measure.machine import Gpu, find_gpu, usable_cores

# What each tier means for the reader. The same cell runs in all three and returns the same type.
TIERS = {
    "gpu": "real models, measured on this machine's GPU",
    "cpu": "small models, measured on this machine's CPU",
    "replay": "recorded runs, replayed: nothing heavy runs here",
}


def tier() -> str:
    """`"gpu"`, `"cpu"` or `"replay"`: the best this machine can do, or what COURSE_TIER asks for.

    "gpu" needs torch and a CUDA device, "cpu" needs torch. ValueError where COURSE_TIER is none of the
    three, or asks for more than there is.
    """
    best = _best_tier()
    asked = os.environ.get("COURSE_TIER", "").strip().lower()
    if not asked:
        return best
    if asked not in TIERS:
        raise ValueError(f"COURSE_TIER is {asked!r}, expected one of {', '.join(TIERS)}")
    possible = list(TIERS)[list(TIERS).index(best) :]
    if asked not in possible:
        lacking = "torch sees no CUDA device" if best == "cpu" else "torch is not installed"
        raise ValueError(f"COURSE_TIER is {asked!r}, but {lacking}; expected {' or '.join(possible)}")
    return asked


def device() -> str:
    """The torch device that measurements run on: `"cuda"` in tier gpu, else `"cpu"`."""
    return "cuda" if tier() == "gpu" else "cpu"


def gpu() -> Gpu | None:
    """The GPU that measurements run on; None in the other tiers, whatever the machine has."""
    return find_gpu() if tier() == "gpu" else None


def fit_threads() -> int:
    """Keep torch from using more threads than this process has cores; returns their number.

    Left alone, torch counts the host's cores. In a container with a share of 2 on a host of 64, as on
    Binder, 64 threads wait for each other.
    """
    import torch

    threads = max(1, min(torch.get_num_threads(), int(usable_cores())))
    if threads < torch.get_num_threads():
        torch.set_num_threads(threads)
    return threads


def _best_tier() -> str:
    if find_spec("torch") is None:
        return "replay"
    return "gpu" if find_gpu() else "cpu"
