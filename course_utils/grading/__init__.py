"""Is my answer right? `check("ch01.q1", your_function)` says so, and says what to look at when it isn't."""

from importlib import import_module

_MODULES = {
    "check": "checks",
    "Mark": "checks",
    "Misconception": "questions",
    "Property": "questions",
    "Question": "questions",
    "question": "questions",
    "questions_of": "questions",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
