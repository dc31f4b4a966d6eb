"""So what do we buy? Energy and carbon of a million tokens here; plans and total cost beside them.

Names arrive on first use, so that `import course_utils` stays quick.
"""

from course_utils.lazy import front_door

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
__getattr__, __dir__ = front_door(__name__, _HOME, _MODULES)
