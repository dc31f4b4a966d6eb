"""What Binder's image holds, without Docker: its packages, a copy of the repository, and its own two scripts run.

Of conda's part only Python matters: `python3.11` of this machine stands in for it, or the Python that runs the tests.
repo2docker puts a Jupyter of its own into every image, and our pip lines over that; so does this.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / ".binder"
VENV = ROOT / ".venv-binder"
# Set around the tests, but in no pod of Binder.
NOT_THERE = ("PYTHONPATH", "VIRTUAL_ENV", "COURSE_FRONTEND", "COURSE_SOURCE", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Image:
    """`home` is the copy of the repository, as on Binder, where it is the home folder too."""

    home: Path
    variables: Mapping[str, str]

    def started(self, *words: str) -> list[str]:
        """A command as Binder runs it: handed to the `start` script."""
        return [str(self.home / ".binder" / "start"), *words]


def pip_words() -> list[str]:
    """The pip lines of .binder/environment.yml as arguments of `pip install`."""
    dependencies = yaml.safe_load((BINDER / "environment.yml").read_text())["dependencies"]
    lines = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    return [word for line in lines for word in line.split()]


def jupyter_of_every_image() -> list[str]:
    """What repo2docker installs before ours, server extensions among it: each takes memory beside the chapter."""
    image = resources.files("repo2docker") / "buildpacks" / "conda" / "environment.py-3.11.yml"
    wanted = [entry for entry in yaml.safe_load(image.read_text())["dependencies"] if isinstance(entry, str)]
    no_wheel = ("python=", "nodejs=", "pip")
    # conda-forge splits what is one package for pip.
    return [line.replace("hub-singleuser", "hub") for line in wanted if not line.startswith(no_wheel)]


def make_environment() -> Path:
    """The bin folder of an environment with Binder's packages; made once, and again when a line changes."""
    python = shutil.which("python3.11") or sys.executable
    version = subprocess.check_output([python, "--version"], text=True).strip()
    first, ours = jupyter_of_every_image(), pip_words()
    stamp, wanted = VENV / "stamp", hashlib.sha256(repr((version, first, ours)).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([python, "-m", "venv", "--clear", VENV], check=True)
        pip = [VENV / "bin" / "pip", "install", "--quiet", "--retries=1"]
        subprocess.run([*pip, *first], check=True)
        # PyTorch's index has torch alone: asked for every package, one that can't be reached takes four minutes.
        other = [word for word in ours if word.startswith(("--extra-index-url", "https:", "torch=="))]
        subprocess.run([*pip, "--no-deps", *other], check=True)
        subprocess.run([*pip, *(word for word in ours if word not in other[:2])], check=True)
        stamp.write_text(wanted)
    return VENV / "bin"


def make_image(home: Path) -> Image:
    """Copy what a commit would hold into `home`, and run postBuild there. Its output is shown when it fails."""
    programs = make_environment()
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).split("\0"):
        if (ROOT / name).is_file():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, home / name)
    outside = {name: value for name, value in os.environ.items() if name not in NOT_THERE}
    variables = {
        **{name: value for name, value in outside.items() if not name.startswith("JUPYTER")},
        "HOME": str(home),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "JUPYTER_RUNTIME_DIR": str(home / ".runtime"),
        "BINDER_LAUNCH_HOST": "https://mybinder.org/",
    }
    built = subprocess.run(
        [home / ".binder" / "postBuild"], cwd=home, env=variables, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return Image(home, variables)
