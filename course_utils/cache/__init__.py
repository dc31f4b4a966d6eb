"""How do we not compute twice? Three caches: the tensors (`kv`), the prefix (`prefix`), the answer (`semantic`).

Names arrive on first use: torch loads only when a tensor or an embedding is cached.
"""

from importlib import import_module

_HOME: dict[str, str] = {}
_MODULES: tuple[str, ...] = ()
__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *__all__])
