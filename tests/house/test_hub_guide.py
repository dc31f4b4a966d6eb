"""docs/jupyterhub.md: its commands and figures come out as it says."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "jupyterhub.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


def test_the_class_installs_the_pip_lines_of_binder():
    line = next(line for line in blocks("bash")[0].splitlines() if line.startswith("sed "))
    taken = subprocess.check_output(line.split(" | ")[0], shell=True, cwd=ROOT, text=True).splitlines()
    dependencies = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text())["dependencies"]
    assert taken == next(entry["pip"] for entry in dependencies if isinstance(entry, dict))


def test_a_student_hour_costs_what_its_comment_says():
    code = blocks("python")[-1]
    values = {}
    exec(code, values)
    for name, said in re.findall(r"^(\w+) = .*?# ([0-9.]+)", code, flags=re.MULTILINE):
        assert values[name] == pytest.approx(float(said), abs=0.5 * 10 ** -len(said.partition(".")[2])), name


def test_the_chart_and_the_machine_have_the_limit_that_the_tests_run_in():
    chart = yaml.safe_load(blocks("yaml")[0])
    assert chart["singleuser"]["memory"]["limit"] == "2G"
    assert "limits.memory 2G" in GUIDE
