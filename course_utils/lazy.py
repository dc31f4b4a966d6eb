"""Packages whose names arrive on first use (PEP 562), so that `import course_utils` stays quick."""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module


def front_door(
    package: str, home: Mapping[str, str], modules: Iterable[str] = ()
) -> tuple[Callable, Callable]:
    """`__getattr__` and `__dir__` of `package`: `home` says in which of its modules a name is defined, `modules` are
    themselves names. AttributeError for any other lists those that there are.
    """
    modules = frozenset(modules)
    names = sorted([*home, *modules])

    def get(name: str):
        if name in home:
            return getattr(import_module(f"{package}.{home[name]}"), name)
        if name in modules:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(names)}")

    return get, lambda: sorted({*vars(sys.modules[package]), *names})
