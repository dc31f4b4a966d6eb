"""Packages whose names arrive on first use (PEP 562), so that `import course_utils` stays quick."""

import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from opcode import opmap


def _stands_at_an_import(frame) -> bool:
    """Whether a frame asks by `from … import name`, which turns any AttributeError into a bare "cannot import"."""
    return frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]


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
        if _stands_at_an_import(sys._getframe(1)):
            near = get_close_matches(name, names, n=2)
            raise ImportError(
                f"{package} has no {name!r}{f'; nearest: {near}' if near else ''}. Where a notebook of the course asks "
                "for it, this kernel has another version of the library: restart the kernel, and if that doesn't help, "
                "get both anew (git pull and make lab; on Colab: Runtime, Disconnect and delete)"
            )
        raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(names)}")

    return get, lambda: sorted({*vars(sys.modules[package]), *names})
