"""Binder's image: rendered by repo2docker itself, and its pip lines resolved against the package index."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.environment

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / ".binder"


def test_repo2docker_renders_our_files_into_its_image():
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True)
    dockerfile = rendered.stdout + rendered.stderr
    for line in ('--file ".binder/environment.yml"', "RUN ./.binder/postBuild", "/.binder/start"):
        assert line in dockerfile
    for package in (BINDER / "apt.txt").read_text().split():
        assert package in dockerfile


def test_pip_lines_resolve_together():
    dependencies = yaml.safe_load((BINDER / "environment.yml").read_text())["dependencies"]
    lines = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    arguments = [word for line in lines for word in line.split()]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
