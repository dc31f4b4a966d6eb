"""`course doctor`: whether notebooks, library, Jupyter and settings belong together.

Most reports of "it worked yesterday" are two of these from different places: a library installed elsewhere than the
clone, a `jupyter` of another Python, a notebook newer than what is installed.
"""

import ast
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

import course_utils
from course_utils.authoring.finding import GAP, OK, PROBLEM, Finding

# Those that the course reads, and what is said where somebody spells one of them wrong.
SETTINGS = {
    "COURSE_CACHE": "a folder for models and traces",
    "COURSE_DEV_REEXEC": "set by make",
    "COURSE_FRONTEND": "lab, colab or static",
    "COURSE_MEASURED_TABLES": "a folder of published tables",
    "COURSE_OFFLINE": "anything: nothing is downloaded",
    "COURSE_SEED": "the instructor's own, for grading",
    "COURSE_SOURCE": "where pip finds the library",
    "COURSE_TIER": "gpu, cpu or replay",
}


def library() -> Iterator[Finding]:
    """Whether what is imported is what stands in the clone around this folder."""
    from course_utils.authoring.house import find_house

    home = Path(course_utils.__file__).resolve().parent
    version = metadata.version("course-utils")
    try:
        root = find_house().root
    except FileNotFoundError:
        yield Finding("Library", OK, f"course-utils {version} in {home}; no clone around this folder")
        return
    if home.parent == root:
        yield Finding("Library", OK, f"course-utils {version} in {home}")
    else:
        advice = f"Chapters run with another library than {root} has: `make lab` there, or `{sys.executable} -m pip "
        advice += f"install -e {root}`."
        yield Finding("Library", PROBLEM, f"course-utils {version} in {home}", advice)


def notebooks() -> Iterator[Finding]:
    """Whether the library has every name that the notebooks of this folder import from it."""
    here = Path.cwd()
    found = [
        path for folder in (here, here / "notebooks") for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    ]
    if not found:
        return
    lacking = {path.name: names for path in found if (names := sorted(_lacking(path)))}
    if lacking:
        said = "; ".join(
            f"{name} asks for {', '.join(names[:4])}" for name, names in list(lacking.items())[:3]
        )
        advice = "Notebooks and library are of different versions: get both anew (git pull, make lab), restart kernels."
        yield Finding("Notebooks", PROBLEM, said, advice)
    else:
        yield Finding("Notebooks", OK, f"{len(found)}, and the library has every name that they import")


def _lacking(notebook: Path) -> Iterator[str]:
    """`course_utils.measure.nix` for each name that a notebook imports and the library lacks."""
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
    except (ValueError, KeyError, TypeError):
        yield "a notebook's cells: it is none"
        return
    for cell in cells:
        source = "".join(cell.get("source", "")) if cell.get("cell_type") == "code" else ""
        with suppress(SyntaxError):  # cells with %magic, and students' own
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "course_utils":
                    names = _names(node.module)
                    yield from (
                        f"{node.module}.{one.name}"
                        for one in node.names
                        if one.name != "*"
                        and one.name not in names
                        and not _is_module(f"{node.module}.{one.name}")
                    )


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:
        return False


def _names(module: str) -> set[str]:
    """What can be imported from a module: read, not run, since torch takes seconds to come in."""
    if not _is_module(module):
        return set()
    path = Path(find_spec(module).origin)
    if path.name == "__init__.py":
        return set(dir(import_module(module)))  # these name what they bring in on first use
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        names |= {
            name.id
            for name in ast.walk(node)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        }
        names |= {node.name} if isinstance(node, ast.FunctionDef | ast.ClassDef) else set()
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {one.asname or one.name for one in node.names}
    return names


def jupyter() -> Iterator[Finding]:
    """Whether `jupyter` on PATH, and the kernel called Python 3, are this Python's."""
    program = shutil.which("jupyter")
    own = Path(sys.prefix)
    if program is not None and not Path(program).is_relative_to(own):
        advice = f"Its notebooks lack the library: `make lab`, or `{sys.executable} -m jupyter lab`."
        yield Finding("Jupyter", GAP, f"{program} is another Python's", advice)
    else:
        yield Finding("Jupyter", OK, program or "none on PATH; `make lab` starts the environment's own")
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        advice = f"`{sys.executable} -m pip install ipykernel`, then restart JupyterLab."
        yield Finding("Kernel", PROBLEM, "none called python3", advice)
        return
    python = spec.argv[0]
    # A bare "python" is Jupyter's own: it sets that name to the Python that it runs in.
    if Path(python).is_absolute() and not Path(python).is_relative_to(own):
        advice = (
            f"Cells run there, without the library: `{sys.executable} -m ipykernel install --sys-prefix`."
        )
        yield Finding("Kernel", PROBLEM, f"Python 3 is {python}, by {spec.resource_dir}", advice)
    else:
        yield Finding("Kernel", OK, f"Python 3 is this Python, by {spec.resource_dir}")


def settings() -> Iterator[Finding]:
    """Environment variables of the course that are misspelt, or hold what it would refuse."""
    given = {name: value for name, value in sorted(os.environ.items()) if name.startswith("COURSE_")}
    odd = [name for name in given if name not in SETTINGS]
    wrong = [(name, problem) for name in given if (problem := _problem_of(name, given[name]))]
    for name, problem in wrong:
        yield Finding(
            f"Setting {name}", PROBLEM, given[name], f"{problem}. Unset it, or set: {SETTINGS[name]}."
        )
    if odd:
        yield Finding(
            "Settings", GAP, ", ".join(odd), f"Nothing reads these; there are {', '.join(SETTINGS)}."
        )
    elif not wrong:
        # A seed is an instructor's secret.
        shown = ", ".join(
            name if name == "COURSE_SEED" else f"{name}={value}" for name, value in given.items()
        )
        yield Finding("Settings", OK, shown or "no COURSE_ variable is set")


def _problem_of(name: str, value: str) -> str:
    try:
        if name == "COURSE_TIER":
            from course_utils.measure.runtime import tier

            tier()
        elif name == "COURSE_FRONTEND":
            from course_utils.explore.frontend import frontend

            frontend()
        elif name == "COURSE_CACHE" and value and Path(value).exists() and not os.access(value, os.W_OK):
            return f"{value} can't be written"
    except ValueError as error:
        return str(error)
    return ""
