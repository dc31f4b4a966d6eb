"""The chapters as Colab runs them: its versions of widgets and charts, none of ours installed, no clone.

Colab's versions as of 2026-08 (its own `pip list`), but for Python (3.13 there) and torch (2.11 there): this
environment takes the Python and the torch build of the machine that runs the tests, and the numba that this numpy
and every Python of the course can have together.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

pytestmark = pytest.mark.environment

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-colab"
PYTHON = VENV / "bin" / "python"
COLAB_PACKAGES = [
    "ipykernel==6.17.1",
    "ipython==7.34.0",
    "ipywidgets==7.7.1",
    "plotly==5.24.1",
    "matplotlib==3.10.0",
    "numpy==2.1.3",
    "numba==0.61.2",
    "pandas==2.2.3",
    "scipy==1.16.3",
    "joblib==1.5.3",
    "pooch==1.9.0",
    "aiohttp==3.13.2",
    "msgpack==1.1.2",
    "protobuf==5.29.5",
    "psutil==5.9.5",
    "typer==0.20.0",
    "rich==13.9.4",
    "tqdm==4.67.1",
    "tiktoken==0.12.0",
    "sentencepiece==0.2.1",
    "pydantic==2.12.3",
    "jsonschema==4.25.1",
    "requests==2.32.4",
    "httpx==0.28.1",
    "pillow==11.3.0",
    "transformers==5.9.0",
    "accelerate==1.13.0",
    "tokenizers==0.22.2",
    "safetensors==0.7.0",
    "huggingface_hub==1.17.0",
]
TORCH = "torch==2.13.0"


@pytest.fixture(scope="session")
def colab():
    """A Python with Colab's packages and its `google.colab` module, made once."""
    stamp, recipe = VENV / "stamp", repr((sys.version, TORCH, COLAB_PACKAGES))
    wanted = hashlib.sha256(recipe.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        pip = [PYTHON, "-m", "pip", "install", "-q"]
        # The index is passed over where it can't be reached; asked for torch alone, that costs a second.
        cpu = ["--retries=1", "--extra-index-url", "https://download.pytorch.org/whl/cpu"]
        subprocess.run([*pip, "--no-deps", TORCH, *cpu], check=True)
        subprocess.run([*pip, TORCH, *COLAB_PACKAGES], check=True)
        purelib = [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        module = Path(subprocess.check_output(purelib, text=True).strip()) / "google" / "colab"
        module.mkdir(parents=True, exist_ok=True)
        (module / "__init__.py").touch()
        stamp.write_text(wanted)
    return PYTHON


@pytest.fixture
def bare_colab(colab):
    """As a new Colab runtime: our package and the extras of the set-up cell are not there."""
    from course_utils.authoring.frame import COLAB_EXTRAS
    from course_utils.authoring.masters import read_masters

    of_chapters = {name for one in read_masters(ROOT / "notebooks" / "src") for name in one.course.colab}
    ours = ["course-utils", *COLAB_EXTRAS, *sorted(of_chapters)]
    subprocess.run([colab, "-m", "pip", "uninstall", "-q", "-y", *ours], check=True)
    for left in VENV.glob("lib/*/site-packages/course_utils"):  # what numba compiled beside our files
        shutil.rmtree(left)
    return colab


class ColabKernels(KernelSpecManager):
    def get_kernel_spec(self, kernel_name):
        argv = [str(PYTHON), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return self.kernel_spec_class(argv=argv, display_name="Colab", language="python")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_chapter_runs_from_a_bare_runtime_with_colab_versions(path, bare_colab, tmp_path, monkeypatch):
    from jupyter_client import AsyncKernelManager

    monkeypatch.setenv("COURSE_SOURCE", str(ROOT))
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "COURSE_FRONTEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.read(path, as_version=4)
    manager = AsyncKernelManager(kernel_spec_manager=ColabKernels(), kernel_name="colab")
    NotebookClient(
        notebook, km=manager, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    outputs = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert "image/png" in outputs, "explorers and figures are drawn by matplotlib there"
    assert "FigureWidget" not in outputs, "FigureWidget is broken on Colab"
    versions = "import ipywidgets, plotly; print(ipywidgets.__version__, plotly.__version__)"
    assert subprocess.check_output([PYTHON, "-c", versions], text=True).split() == ["7.7.1", "5.24.1"], (
        "the set-up cell must leave Colab's own packages alone"
    )
