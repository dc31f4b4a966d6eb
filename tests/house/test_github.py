"""What GitHub reads from .github: forms, workflows, and the text of the weekly issue about old facts."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

import pytest
import yaml

from course_utils.catalog.provenance import audit

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github"
FORMS = sorted((FOLDER / "ISSUE_TEMPLATE").glob("[0-9]*.yml"))
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))

each_form = pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path):
    return yaml.safe_load(path.read_text("utf-8"))


def jobs(path):
    return read(path)["jobs"].values()


def steps(path):
    return [step for job in jobs(path) for step in job["steps"]]


@each_form
def test_form_has_what_github_asks_for(path):
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    kinds = {"markdown", "input", "textarea", "dropdown", "checkboxes"}
    assert {one["type"] for one in form["body"]} <= kinds
    ids = [one["id"] for one in form["body"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z_]+", one) for one in ids)
    assert all(one["attributes"]["label"] for one in form["body"])
    assert any(one["validations"]["required"] for one in form["body"])


def test_a_broken_cell_is_told_with_chapter_cell_expectation_and_machine():
    form = {one["id"]: one for one in read(FORMS[0])["body"]}
    assert {"chapter", "cell", "seen", "expected", "machine"} <= set(form)
    assert "course machine --json" in form["machine"]["attributes"]["description"]


def test_a_fact_comes_with_its_source_and_day():
    asked = {one["id"] for one in read(FORMS[1])["body"] if one["validations"]["required"]}
    assert {"row", "figure", "source", "as_of"} <= asked


def test_links_beside_the_forms_lead_to_files_of_this_repository():
    for link in read(FOLDER / "ISSUE_TEMPLATE" / "config.yml")["contact_links"]:
        path, _, heading = link["url"].partition("/blob/main/")[2].partition("#")
        text = (ROOT / path).read_text("utf-8")
        headings = [
            re.sub(r"[^\w ]", "", one).lower().replace(" ", "-")
            for one in re.findall(r"^#+ (.*)$", text, re.M)
        ]
        assert not heading or heading in headings


def test_workflows_are_the_tests_the_audit_and_the_site():
    assert [path.stem for path in WORKFLOWS] == ["audit", "ci", "site"]


@each_workflow
def test_workflow_pins_actions_to_a_major_version_of_githubs_own(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [one for one in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", one)] == []


@each_workflow
def test_workflow_asks_for_no_more_than_it_needs_and_ends(path):
    rights = read(path)["permissions"]
    assert rights["contents"] == "read"
    assert set(rights) - {"contents"} == {"audit": {"issues"}, "site": {"pages", "id-token"}}.get(
        path.stem, set()
    )
    assert all(job.get("timeout-minutes") or job["environment"] for job in jobs(path))
    assert "secrets." not in path.read_text("utf-8")  # the token that every run gets is enough


@each_workflow
def test_scripts_of_a_workflow_are_bash_and_take_no_text_of_others_into_a_command(path):
    for step in steps(path):
        if "run" in step:
            assert subprocess.run(["bash", "-n", "-c", step["run"]], check=False).returncode == 0
            assert "${{" not in step["run"]


def test_ci_runs_what_the_repository_calls_its_tests():
    assert steps(FOLDER / "workflows" / "ci.yml")[-1]["run"] == ".ci/run"


def test_audit_runs_once_a_week():
    # YAML 1.1 reads the key `on` as true.
    ((schedule,),) = [one.values() for one in read(FOLDER / "workflows" / "audit.yml")[True]["schedule"]]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule)


# --- the issue's text -------------------------------------------------------------------------------------


@pytest.fixture
def issue(tmp_path):
    """The text after an audit, given the text before."""

    def issue(findings, before=""):
        (tmp_path / "findings.json").write_text(json.dumps(findings, default=str))
        (tmp_path / "before.md").write_text(before, "utf-8")
        command = [sys.executable, FOLDER / "audit_issue.py", "findings.json", "before.md"]
        return subprocess.check_output(command, cwd=tmp_path, text=True)

    return issue


def of(day):
    return [asdict(one) for one in audit(day)]


STALE = {"file": "gpu_prices.csv", "kind": "stale", "message": "as_of=2025-01-01 is 700 days old"}


def test_what_is_found_in_the_real_data_is_listed_by_file(issue):
    found = of(date(2027, 12, 1))
    text = issue(found)
    assert {one["file"] for one in found} == set(
        re.findall(r"^- \[ \] (\S+\.csv): lines [\d, ]+$", text, re.MULTILINE)
    )


def test_nothing_found_is_no_text(issue):
    assert issue([]) == ""


def test_rows_that_only_grew_older_change_nothing_even_where_boxes_are_ticked(issue):
    before = issue([STALE | {"line": 3}]).replace("[ ]", "[x]").replace("\n", "\r\n")
    older = STALE | {"line": 3, "message": "as_of=2025-01-01 is 707 days old"}
    assert issue([older], before) == before.replace("\r\n", "\n")


def test_a_new_stale_row_and_an_error_are_news(issue):
    before = issue([STALE | {"line": 3}])
    wrong = {"file": "models.csv", "line": 9, "kind": "malformed", "message": "layers='x': an int is needed"}
    after = issue([STALE | {"line": 3}, STALE | {"line": 4}, wrong], before)
    assert "gpu_prices.csv: lines 3, 4" in after
    assert "models.csv, line 9: layers='x'" in after
    assert after.index("## Wrong") < after.index("## Older")
