"""The house keeps its own rules: layers, lint, light imports, clean files."""

import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent


def tracked():
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def test_packages_import_only_down_the_street():
    done = subprocess.run([TOOLS / "lint-imports"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=["lint", "format"])
def test_ruff_is_content(arguments):
    done = subprocess.run([TOOLS / "ruff", *arguments, "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_import_course_utils_brings_nothing_heavy():
    heavy = {"torch", "transformers", "plotly", "matplotlib", "ipywidgets", "ray", "numba", "pandas", "numpy"}
    code = f"import course_utils, sys, json; print(json.dumps(sorted({heavy} & set(sys.modules))))"
    assert json.loads(subprocess.check_output([sys.executable, "-c", code], text=True)) == []


def test_import_course_utils_costs_little_beside_python_itself():
    """As a ratio in one run, within three starts of a bare Python; benchmarks/import_time.py has seconds."""

    def start(code):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - began

    start("import course_utils")
    pairs = [(start("pass"), start("import course_utils")) for _ in range(7)]
    bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"python {bare * 1e3:.0f} ms, with course_utils {ours * 1e3:.0f} ms")
    assert ours <= 3 * bare


# What may be larger, how large, and why.
LARGE_FILES = {
    "data/tiny_lm/model.safetensors": 16_000_000,  # trained weights: distillation needs a model that has learned
}


def test_no_file_is_over_a_megabyte_but_for_a_reason():
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in tracked()}
    assert [name for name, size in sizes.items() if size > LARGE_FILES.get(name, 1_000_000)] == []


def test_no_file_names_this_machine_or_a_registry():
    # Spelled in pieces, so that this file does not find itself.
    trails = ["/" + "root/", "/" + "work/", "/opt/" + "pypi", "pypi." + "org", "files.python" + "hosted"]
    pattern = re.compile("|".join(map(re.escape, trails)))
    found = []
    for path in tracked():
        if path.suffix in {".png", ".safetensors", ".parquet"}:
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_wheel_carries_the_data(tmp_path):
    """What Colab installs: the package alone, from a folder, without a clone around it."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", tmp_path, ROOT]
    subprocess.run(command, check=True)
    code = "from course_utils.catalog import accelerator; print(accelerator('H100 SXM').name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "H100 SXM", done.stderr
    assert (tmp_path / "course_utils" / "explore" / "live_figure.js").is_file()
    installed = {path.name for path in (tmp_path / "course_utils" / "_data").glob("*.csv")}
    assert installed == {path.name for path in (ROOT / "data").glob("*.csv")}
