"""The set-up cell: short, right in three places, and installing exactly what Colab lacks."""

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course_utils.authoring import frame
from course_utils.authoring.house import Repository

ROOT = Path(__file__).resolve().parents[2]
HERE = Repository("ada/costs", "main")


@pytest.fixture(scope="module")
def on_colab():
    lines = Path(__file__).with_name("colab_packages.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def our_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [Requirement(line) for line in project["dependencies"]]


def lacking(requirements, on_colab, found):
    """Names that Colab lacks, through all packages that it lacks; what it ships brings its own."""
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        extras = ["", *requirement.extras]
        wanted = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras)
        if wanted and name not in on_colab and name not in found:
            found.add(name)
            needs = importlib.metadata.requires(name) or []
            lacking([with_extras(line, requirement.extras) for line in needs], on_colab, found)
    return found


def with_extras(line, extras):
    """A requirement of a package that was asked for with `extras`, its marker decided."""
    requirement = Requirement(line)
    if requirement.marker is not None:
        decided = any(requirement.marker.evaluate({"extra": extra}) for extra in ["", *extras])
        requirement.marker = None if decided else requirement.marker
    return requirement


def test_extras_are_exactly_what_colab_lacks_of_our_dependencies(on_colab):
    assert set(frame.COLAB_EXTRAS) == lacking(our_requirements(), on_colab, set())


def test_what_colab_ships_is_new_enough_for_us(on_colab):
    shipped = {r.name: r for r in our_requirements() if canonicalize_name(r.name) in on_colab}
    assert {"ipywidgets", "plotly", "matplotlib", "numpy"} <= shipped.keys()
    assert [str(r) for r in shipped.values() if on_colab[canonicalize_name(r.name)] not in r.specifier] == []


def test_what_colab_ships_is_new_enough_for_the_extras(on_colab):
    for extra in frame.COLAB_EXTRAS:
        for line in importlib.metadata.requires(extra) or []:
            needed = Requirement(line)
            name = canonicalize_name(needed.name)
            wanted = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if wanted and name in on_colab:
                assert on_colab[name] in needed.specifier, (
                    f"{extra} needs {needed}, Colab has {on_colab[name]}"
                )


def test_setup_is_short_and_visible():
    lines = frame.setup(HERE).splitlines()
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 110


SHELL = """
import sys
from IPython.core.interactiveshell import InteractiveShell
if "hide" in sys.argv:
    sys.path = [entry for entry in sys.path if not __import__("os").path.isdir(entry + "/course_utils")]
    sys.modules.pop("course_utils", None)
shell = InteractiveShell()
shell.register_magic_function(lambda line: print("pip", line), "line", "pip")
result = shell.run_cell(sys.stdin.read())
result.raise_error()
"""


def run_setup(*arguments, source=None, cwd=None):
    import os

    variables = {
        key: value for key, value in os.environ.items() if key not in ("COURSE_SOURCE", "PYTHONPATH")
    }
    if source:
        variables["COURSE_SOURCE"] = source
    command = [sys.executable, "-c", SHELL, *arguments]
    done = subprocess.run(
        command, input=frame.setup(HERE), env=variables, cwd=cwd, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_setup_does_nothing_where_the_library_is_there(tmp_path):
    assert run_setup(cwd=tmp_path) == ""


def test_setup_installs_without_dependencies_where_the_library_is_missing(tmp_path):
    extras = " ".join(frame.COLAB_EXTRAS)
    expected = f'pip install -q --no-deps "git+https://github.com/ada/costs@main" {extras}'
    assert run_setup("hide", cwd=tmp_path) == expected


def test_course_source_names_another_place_to_install_from(tmp_path):
    assert '--no-deps "/media/usb stick/costs" genai-prices' in run_setup(
        "hide", source="/media/usb stick/costs", cwd=tmp_path
    )
