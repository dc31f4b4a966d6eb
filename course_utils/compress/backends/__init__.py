"""What really runs fast: one interface over the kernels that other people have written for few bits.

    print(listing())                               # every backend: what it is, and whether it runs here
    small = apply(model, "int4", group_size=64)    # a converted copy; the model itself is untouched
    saved_bytes(small) / saved_bytes(model)

A converted layer takes and returns the dtype that it is given, whatever it computes in, so that backends can
take each other's place in a model. `save` and `load` keep what was converted.
Taught in: chapter 03, chapter 04.
"""

from course_utils.compress.backends.applying import apply, load, save, saved_bytes
from course_utils.compress.backends.capability import Here, Needs, here, why_not
from course_utils.compress.backends.registry import Backend, backend, backends, listing

__all__ = [
    "Backend",
    "Here",
    "Needs",
    "apply",
    "backend",
    "backends",
    "here",
    "listing",
    "load",
    "save",
    "saved_bytes",
    "why_not",
]
