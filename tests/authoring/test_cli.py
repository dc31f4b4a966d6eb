"""`course`: quick help, one sentence for a mistake, JSON for programs."""

import json
import statistics
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from course_utils import cli
from course_utils.authoring.house import find_house


@pytest.fixture
def course(house):
    return lambda *arguments: CliRunner().invoke(cli.app, list(arguments))


def shell(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "course_utils.cli", *arguments], cwd=cwd, capture_output=True, text=True
    )


def test_help_names_every_command_in_one_line_each(course):
    text = course("--help").stdout
    for command in ("notebooks", "run", "repo", "audit", "machine"):
        assert f"\n  {command} " in text


def test_help_costs_little_beside_the_library_that_prints_it():
    """As a ratio in one run, taken in turns: help takes at most 2.5 imports of typer."""

    def seconds(*code):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *code], check=True, capture_output=True)
        return time.perf_counter() - begin

    pairs = [(seconds("-c", "import typer"), seconds("-m", "course_utils.cli", "--help")) for _ in range(9)]
    typer_s, help_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"import typer {typer_s * 1e3:.0f} ms, course --help {help_s * 1e3:.0f} ms")
    assert help_s <= 2.5 * typer_s


def test_importing_the_commands_brings_nothing_heavy():
    heavy = ["numpy", "pandas", "torch", "plotly", "matplotlib", "nbformat", "jupytext", "rich.table"]
    code = f"import course_utils.cli, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_notebooks_builds_then_has_nothing_to_do(course, house):
    assert course("notebooks", "--check").exit_code == 1
    first = course("notebooks")
    assert first.exit_code == 0
    assert first.stdout.splitlines() == ["notebooks/98_tiny.ipynb", "build/instructor/98_tiny.ipynb"]
    assert course("notebooks").stdout == ""
    assert course("notebooks", "--check").exit_code == 0


def test_check_names_the_notebook_that_differs_and_writes_nothing(course, house, change):
    course("notebooks")
    before = (house.student / "98_tiny.ipynb").read_bytes()
    change("the end is reached", "the very end")
    found = course("notebooks", "--check")
    assert found.exit_code == 1
    assert "notebooks/98_tiny.ipynb differs from its master" in found.stderr
    assert (house.student / "98_tiny.ipynb").read_bytes() == before


def test_a_broken_rule_fails_the_build_after_writing(course, house, change):
    change("●○○ · 3 minutes", "3 minutes")
    built = course("notebooks")
    assert built.exit_code == 1
    assert "98_tiny.py:31: ch98.q1 has no card above it" in built.stderr
    assert (house.student / "98_tiny.ipynb").is_file()


def test_run_prints_a_table_and_one_json_document(course):
    table = course("run", "98")
    assert table.exit_code == 0
    assert all(
        word in table.stdout for word in ("98_tiny", "seconds", "budget s", "peak MB", "slowest cell", "ok")
    )
    (run,) = json.loads(course("run", "--json").stdout)
    assert (run["chapter"], run["verdict"]) == ("98_tiny", "ok")


def test_run_fails_with_chapter_cell_and_first_line(course, change):
    change('print("the end', 'raise ValueError("a\\nb")\nprint("the end')
    failed = course("run")
    assert failed.exit_code == 1
    assert failed.stderr.strip().endswith("98_tiny, cell after: ValueError: a")


def test_repo_moves_and_names_what_changed(course, house):
    course("notebooks")
    moved = course("repo", "grace/pay-less", "--branch", "v2")
    assert moved.exit_code == 0
    assert "README.md" in moved.stdout
    assert "notebooks/98_tiny.ipynb" in moved.stdout
    assert course("repo", "grace/pay-less").stdout == ""


def test_audit_fails_on_errors_only_and_counts_what_is_stale(course):
    from course_utils.catalog.provenance import audit

    findings = audit()
    errors = [finding for finding in findings if finding.is_error]
    audited = course("audit")
    assert audited.exit_code == (1 if errors else 0)
    assert f"{len(errors)} errors, {len(findings) - len(errors)} stale rows." in audited.stdout
    assert len(json.loads(course("audit", "--json").stdout)) == len(findings)


def test_machine_prints_what_it_is_for_people_and_for_programs(course):
    found = json.loads(course("machine", "--json").stdout)
    assert found["memory_bytes"] > 0
    assert found["cpu"] in course("machine").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["repo", "grace"], "course: repository='grace' must be OWNER/NAME"),
        (["run", "7"], "course: chapter '07' is not written"),
    ],
)
def test_a_mistake_is_one_sentence_on_stderr(house, arguments, says):
    done = shell(*arguments, cwd=house.root)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1


def test_a_master_that_cannot_be_read_is_one_sentence_too(house, change):
    change(' id="imports"', "")
    done = shell("notebooks", cwd=house.root)
    assert done.returncode == 1
    assert "98_tiny.py:15: the cell has no id" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_clone_is_the_one_around_the_current_folder(house, monkeypatch):
    monkeypatch.chdir(house.masters)
    assert find_house() == house


def test_outside_a_clone_nothing_is_touched_and_one_sentence_says_so(tmp_path):
    done = shell("notebooks", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"course: no clone of the course around {tmp_path.resolve()}: run this inside one\n"
