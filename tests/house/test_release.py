"""One version and one day: pyproject.toml, the top of the changelog, and the citation file say the same."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

from course_utils.authoring.house import House

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RELEASES = re.findall(
    r"^## (\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)\n(.*?)(?=^## \d|\Z)", CHANGELOG, re.M | re.S
)


@pytest.fixture
def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def test_changelog_pyproject_and_citation_are_of_one_version_and_day(citation):
    version, day, _ = RELEASES[0]
    assert PROJECT["version"] == version == str(citation["version"])
    assert citation["date-released"] == date.fromisoformat(day)


def test_releases_stand_newest_first():
    order = [(day, tuple(map(int, version.split(".")))) for version, day, _ in RELEASES]
    assert order == sorted(order, reverse=True)


def test_every_release_says_what_you_get_what_is_weak_and_what_was_wrong():
    for version, _, notes in RELEASES:
        headings = re.findall(r"^### (.*)$", notes, re.MULTILINE)
        assert headings == ["What you get", "What is known to be weak", "Errata"], version


def test_errata_have_the_day_from_which_it_was_right():
    for _, day, notes in RELEASES:
        rows = re.findall(r"^- (.{10})", notes.partition("### Errata")[2], re.MULTILINE)
        assert all(date.fromisoformat(row) <= date.fromisoformat(day) for row in rows)


def test_citation_has_what_its_format_asks_for_and_leads_to_this_repository(citation):
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type"} <= set(citation)
    assert citation["repository-code"] == f"https://github.com/{House(ROOT).repository().slug}"
    assert " AND ".join(citation["license"]) == PROJECT["license"]
    assert [one["name"] for one in citation["authors"]] == [one["name"] for one in PROJECT["authors"]]
