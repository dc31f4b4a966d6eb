"""So what do we buy? Energy and carbon of a million tokens here; plans and total cost beside them.

Names arrive on first use, so that `import course_utils` stays quick.
"""

from importlib import import_module

_HOME = {
    "GridIntensity": "carbon",
    "Pue": "carbon",
    "co2e_g_per_mtok": "carbon",
    "energy_kwh_per_mtok": "carbon",
    "grid": "carbon",
    "grids": "carbon",
    "pue": "carbon",
    "pues": "carbon",
}
_MODULES = ("carbon",)
__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *__all__])
