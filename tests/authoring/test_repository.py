"""One setting says where the course lives; every badge and link follows it, there and back."""

import pytest

from course_utils.authoring.build import stale_notebooks, write_notebooks
from course_utils.authoring.house import Repository
from course_utils.authoring.repository import move_to, parse_branch, parse_slug, rewrite

PLACES = ("README.md", "pyproject.toml", "docs/index.md", ".binder/postBuild", "notebooks/src/98_tiny.py")


def everything(house):
    return {
        str(path.relative_to(house.root)): path.read_bytes()
        for path in house.root.rglob("*")
        if path.is_file()
    }


def test_moving_changes_the_setting_badges_and_links_everywhere(house):
    write_notebooks(house)
    changed = {str(path.relative_to(house.root)) for path in move_to(house, "grace/pay-less", "v1.2")}
    assert changed == {*PLACES, "notebooks/98_tiny.ipynb", "build/instructor/98_tiny.ipynb"}
    assert house.repository() == Repository("grace/pay-less", "v1.2")
    notebook = (house.student / "98_tiny.ipynb").read_text("utf-8")
    for part in (
        "colab.research.google.com/github/grace/pay-less/blob/v1.2/notebooks/98_tiny.ipynb",
        "mybinder.org/v2/gh/grace/pay-less/v1.2?urlpath=lab/tree/notebooks/98_tiny.ipynb",
        "git+https://github.com/grace/pay-less@v1.2",
        "https://github.com/grace/pay-less/blob/v1.2/README.md",
    ):
        assert part in notebook
    assert stale_notebooks(house) == []


def test_readme_keeps_what_is_not_ours(house):
    move_to(house, "grace/pay-less", "v1.2")
    readme = (house.root / "README.md").read_text("utf-8")
    for part in (
        "git clone https://github.com/grace/pay-less.git",
        "git+https://github.com/grace/pay-less@v1.2`",
        "https://grace.github.io/pay-less/, the code https://github.com/grace/pay-less.",
        "raw.githubusercontent.com/grace/pay-less/v1.2/docs/photo.png",
        "github.com/ada/costs-2, https://github.com/ada/costs.js and https://github.com/nada/costs.",
    ):
        assert part in readme
    assert (house.root / "pyproject.toml").read_text("utf-8").count("# Where the course lives.\n") == 1


@pytest.mark.parametrize(
    "away", [("grace/pay-less", "v1.2"), ("ada/costs", "next/term"), ("ada/costs2", "main")]
)
def test_there_and_back_restores_every_byte(house, away):
    write_notebooks(house)
    before = everything(house)
    move_to(house, *away)
    assert everything(house) != before
    move_to(house, "ada/costs", "main")
    assert everything(house) == before


def test_moving_to_where_it_is_changes_nothing(house):
    write_notebooks(house)
    assert move_to(house, "ada/costs") == []
    move_to(house, "grace/pay-less")
    assert move_to(house, "grace/pay-less") == []


def test_scripts_stay_executable(house):
    move_to(house, "grace/pay-less")
    assert (house.root / ".binder" / "postBuild").stat().st_mode & 0o111


def test_binder_gets_a_branch_with_its_slash_quoted():
    old, new = Repository("ada/costs", "main"), Repository("ada/costs", "next/term")
    text = "mybinder.org/v2/gh/ada/costs/main?x github.com/ada/costs/tree/main/docs ada/costs@main-2"
    moved = rewrite(text, old, new)
    assert "gh/ada/costs/next%2Fterm?x" in moved
    assert "tree/next/term/docs" in moved
    assert "ada/costs@main-2" in moved
    assert rewrite(moved, new, old) == text


@pytest.mark.parametrize(
    "slug",
    [
        "",
        "ada",
        "ada/",
        "/costs",
        "ada/costs/x",
        "-ada/costs",
        "ada-/costs",
        "a--b/costs",
        "ada/co sts",
        "ada/..",
        "ada/costs.git",
        "https://github.com/ada/costs",
        "ada/" + "x" * 101,
        "a" * 40 + "/costs",
    ],
)
def test_names_that_github_refuses_are_refused(slug, house):
    before = everything(house)
    with pytest.raises(ValueError, match="must be OWNER/NAME"):
        move_to(house, slug)
    assert everything(house) == before


@pytest.mark.parametrize("slug", ["ada/costs", "Ada-2/cost.course_1", "a/b"])
def test_names_that_github_takes_are_taken(slug):
    assert parse_slug(slug) == slug


@pytest.mark.parametrize("branch", ["", "a b", "-a", "a..b", "/a", "a/", "a.lock", "a//b", "a@{b", "a~1"])
def test_branches_that_git_refuses_are_refused(branch):
    with pytest.raises(ValueError, match="branch="):
        parse_branch(branch)


@pytest.mark.parametrize("branch", ["main", "v1.2", "next/term", "2026_autumn"])
def test_branches_that_git_takes_are_taken(branch):
    assert parse_branch(branch) == branch
