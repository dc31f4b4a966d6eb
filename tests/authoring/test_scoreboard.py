"""The scoreboard is what its sources give, and never typed in."""

import shutil
from pathlib import Path

import pytest

from course_utils.authoring import scoreboard
from course_utils.authoring.claims import Claim, claims
from course_utils.authoring.house import House

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path):
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/scoreboard.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return House(tmp_path)


def test_both_pages_are_what_the_claims_give_today():
    assert list(scoreboard.stale(House(ROOT))) == [], "run `make scoreboard`"


def test_every_claim_has_two_figures_a_unit_and_a_source():
    found = claims()
    assert {claim.chapter for claim in found} >= set(range(2, 9))
    for claim in found:
        assert claim.unit
        assert claim.of
        assert claim.ratio > 0


def test_a_figure_that_was_typed_in_is_found_and_written_over(copy):
    readme = copy.root / "README.md"
    text = readme.read_text("utf-8")
    readme.write_text(text.replace("| 04 | file of", "| 4 | file of"), "utf-8")
    assert list(scoreboard.stale(copy)) == [readme]
    scoreboard.write(copy)
    assert readme.read_text("utf-8") == text


def test_a_readme_without_its_marks_is_refused_and_left_alone(copy):
    readme = copy.root / "README.md"
    readme.write_text(readme.read_text("utf-8").replace(scoreboard.END, ""), "utf-8")
    before = readme.read_text("utf-8")
    with pytest.raises(ValueError, match=r"README\.md needs the lines"):
        scoreboard.write(copy)
    assert readme.read_text("utf-8") == before


def test_a_claim_with_one_figure_compares_nothing():
    with pytest.raises(ValueError, match="two figures"):
        Claim(9, "waiting", "s", "nowhere", predicted=1.0)


def test_the_ratio_is_the_first_figure_over_the_next():
    assert Claim(9, "waiting", "s", "by hand", measured=3.0, published=2.0).ratio == 1.5
