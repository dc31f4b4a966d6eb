"""Binder: its image rendered by repo2docker, its pip lines resolved, and every chapter as a visitor has it, in 2 GB."""

import subprocess
import sys

import pytest

from tests.environments.binder_image import BINDER, ROOT, make_image, pip_words
from tests.environments.binder_visit import LIMIT_BYTES, as_table, visit
from tests.environments.memory_limit import MemoryLimit, own_group

pytestmark = pytest.mark.environment

CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
START = BINDER / "start"


def test_repo2docker_renders_our_files_into_its_image():
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True)
    dockerfile = rendered.stdout + rendered.stderr
    for line in ('--file ".binder/environment.yml"', "RUN ./.binder/postBuild", "/.binder/start"):
        assert line in dockerfile
    for package in (BINDER / "apt.txt").read_text().split():
        assert package in dockerfile


def test_system_packages_are_there_for_apt():
    for package in (BINDER / "apt.txt").read_text().split():
        known = subprocess.check_output(["apt-cache", "policy", package], text=True)
        assert "Candidate:" in known, f"{package}: apt knows no such package"
        assert "Candidate: (none)" not in known, f"{package}: no longer to be had"


def test_pip_lines_resolve_together():
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--retries=1", *pip_words()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_start_becomes_the_command_with_its_words_whole_and_two_threads():
    report = "import os, sys; print(os.getpid(), sys.argv[1], os.environ['OMP_NUM_THREADS']); sys.exit(3)"
    process = subprocess.Popen(
        [START, sys.executable, "-c", report, "two words"], stdout=subprocess.PIPE, text=True
    )
    said, _ = process.communicate()
    assert said.split(maxsplit=1) == [str(process.pid), "two words 2\n"]
    assert process.returncode == 3


def test_a_process_beyond_the_limit_is_killed_and_one_below_it_is_not():
    take = "import sys; held = b'1' * int(sys.argv[1])"
    with MemoryLimit(LIMIT_BYTES) as limit:
        small = subprocess.run(limit.inside([sys.executable, "-c", take, 500_000_000]))
        limit.sample()
        assert (small.returncode, limit.kills) == (0, 0)
        large = subprocess.run(limit.inside([sys.executable, "-c", take, 2_200_000_000]))
        limit.sample()
        assert (large.returncode, limit.kills) == (-9, 1)
    assert 500e6 < limit.anonymous_peak_bytes <= LIMIT_BYTES


def test_nothing_that_was_started_outlives_the_limit():
    with MemoryLimit(LIMIT_BYTES) as limit:
        left = subprocess.Popen(limit.inside(["sleep", "600"]))
    assert left.wait(timeout=5) != 0


def test_without_control_groups_a_sentence_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.environments.memory_limit.own_group", lambda: own_group(tmp_path))
    with pytest.raises(OSError, match="systemd-run --user --scope -p Delegate=yes"), MemoryLimit(LIMIT_BYTES):
        raise AssertionError("nothing may run without the limit")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return make_image(tmp_path_factory.mktemp("binder"))


@pytest.fixture(scope="module")
def visits(request):
    """Collects what chapters took; the table is printed after the last of them."""
    made = []
    yield made
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(as_table(made))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_blank_chapter_runs_beside_its_server_in_the_memory_of_binder(chapter, image, visits, tmp_path):
    visits.append(visit(image, chapter, tmp_path))
    assert visits[-1].verdict == "ok", f"{visits[-1].verdict}: {visits[-1].error}"


def test_a_kernel_ends_with_its_tab_so_that_the_next_chapter_has_room(image):
    ask = """
from pathlib import Path
from jupyterlab.commands import get_app_dir
from jupyterlab_server import settings_utils
settings, schemas = (str(Path(get_app_dir()) / name) for name in ("settings", "schemas"))
overrides, _ = settings_utils._get_overrides(settings)
plugin = "@jupyterlab/notebook-extension:tracker"
found, _ = settings_utils.get_settings(settings, schemas, "", plugin, overrides)
print(found["schema"]["properties"]["kernelShutdown"]["default"])
"""
    said = subprocess.check_output(image.started("python", "-c", ask), env=image.variables, text=True)
    assert said == "True\n"


@pytest.mark.parametrize(
    ("source", "verdict", "words"),
    [("1 / 0", "error", "ZeroDivisionError"), ("b'1' * 2_200_000_000", "out of memory", "cell here")],
)
def test_a_cell_that_raises_or_takes_too_much_is_named(source, verdict, words, image, tmp_path):
    import nbformat

    cells = [nbformat.v4.new_code_cell("1", id="before"), nbformat.v4.new_code_cell(source, id="here")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), image.home / "notebooks" / "broken.ipynb")
    broken = visit(image, "broken", tmp_path)
    assert broken.verdict == verdict
    assert broken.error.startswith("broken, cell here:")
    assert words in broken.error
