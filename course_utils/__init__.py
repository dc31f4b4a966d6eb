"""Unit 5.4, Cost Optimization & Scaling: the library behind the chapters.

One street; data walks down it once::

    catalog -> estimate -> measure -> compress -> cache -> scale -> decide -> explore -> grading -> authoring -> cli

`import course_utils` loads none of these: each package arrives on first use.
"""

from importlib import import_module

_PACKAGES = (
    "authoring",
    "cache",
    "catalog",
    "compress",
    "decide",
    "estimate",
    "explore",
    "grading",
    "measure",
    "scale",
)


def __getattr__(name: str):
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name == "__version__":  # importlib.metadata takes 30 ms: asked only when somebody asks
        from importlib.metadata import version

        return version("course-utils")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_PACKAGES)}")


def __dir__():
    return sorted([*globals(), *_PACKAGES, "__version__"])
