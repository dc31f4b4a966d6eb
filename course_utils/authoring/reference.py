"""The library's pages of the site, for sphinx to fill in from docstrings: one a package, and their index."""

import ast
from pathlib import Path


def reference(package: Path) -> dict[str, str]:
    """File name → text: a page for each package below `package`, its modules in order, and an index of them.

    Commands aren't in it: `course NAME --help` is their reference, and the site has a page of that.
    """
    folders = sorted(path.parent for path in package.glob("*/__init__.py") if path.parent.name != "cli")
    pages = {f"{folder.name}.rst": _page(package, folder) for folder in folders}
    rows = "\n".join(
        f"| [{one.name}]({one.name}.rst) | {_first_line(one / '__init__.py')} |" for one in folders
    )
    names = "\n".join(one.name for one in folders)
    pages["index.md"] = (
        "# Library\n\nWhat the chapters import, from the docstrings. A package imports only from those that come "
        "before it: catalog, estimate, measure, compress, cache, scale, decide, explore, grading, authoring.\n\n"
        f"| package | |\n|---|---|\n{rows}\n\n```{{toctree}}\n:maxdepth: 1\n:hidden:\n\n{names}\n```\n"
    )
    return pages


def _page(package: Path, folder: Path) -> str:
    paths = (path for path in sorted(folder.rglob("*.py")) if "cases" not in path.parts)
    modules = [_module(path, folder) for path in paths if path.name != "__init__.py"]
    whole = f"{package.name}.{folder.name}"
    # A package only says what its modules are for: its names are theirs.
    parts = [_titled(folder.name, "="), f".. automodule:: {whole}\n   :no-index:\n"]
    for module in modules:
        parts += [_titled(module, "-"), f".. automodule:: {whole}.{module}\n   :members:\n"]
    return "\n".join(parts)


def _titled(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _module(path: Path, folder: Path) -> str:
    return ".".join(path.relative_to(folder).with_suffix("").parts)


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return text.split("\n")[0]
