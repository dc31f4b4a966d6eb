"""The rules of a chapter: the tiny one keeps them all, and each breach is named."""

import pytest

from course_utils.authoring.lint import lint
from course_utils.authoring.masters import read_master


def test_a_chapter_that_keeps_the_rules_has_no_problem(master):
    assert lint(read_master(master)) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("# 1. turn tokens", "# - turn tokens", "numbered list"),
        ('id="objectives"', 'id="aims"', "numbered list"),
        ('id="sources"', 'id="credits"', 'the last two cells are id="takeaways" and id="sources"'),
        ("# Our own arithmetic, 2026-08.", "# Our own arithmetic.", "dates"),
        ("# |---|---|\n", "", "table"),
        ("●○○ · 3 minutes", "3 minutes", "no card"),
        ("●○○ · 3 minutes", "●○○", "how many minutes"),
        ("    ### BEGIN SOLUTION\n", "", "no ### BEGIN SOLUTION"),
        (
            "def cost_usd(tokens, usd_per_mtok):\n",
            "### BEGIN SOLUTION\ndef cost_usd(tokens, usd_per_mtok):\n    ### END SOLUTION\n",
            "not Python",
        ),
        (
            "def cost_usd(tokens, usd_per_mtok):",
            "def cost_usd(tokens, price):",
            "calls it with tokens, usd_per_mtok",
        ),
        ('check("ch98.q1", cost_usd)', 'check("ch98.q1", price)', "does not define"),
        (
            'check("ch98.q1", cost_usd)',
            'check("ch98.q2", cost_usd)',
            "checks ch98.q2 under the stub of ch98.q1",
        ),
        ('check("ch98.q1", cost_usd)', 'print(check("ch98.q1", cost_usd))', "one line"),
        ('tags=["check"] ', "", "is its check"),
        ("<summary>Hint</summary>", "<summary>Help</summary>", "a hint and a solution"),
        ("# <details><summary>Solution</summary>", "# Solution", "a hint and a solution"),
        ('# %% id="q1" tags=["exercise"]', '# %% id="q1"', "question ch98.q1 is asked 0 times"),
        ("# {{course_map}}", "# ![](https://example.org/x.png)", "no alt text"),
        ("# {{course_map}}", "# <img src='https://example.org/x.png' alt=''>", "no alt text"),
        ("# {{course_map}}", "# [a](http://example.org)", "neither https nor relative"),
        ("# {{course_map}}", "# [a](/etc/hosts)", "neither https nor relative"),
        ("# {{course_map}}", "# [a](97_gone.ipynb)", "leads nowhere"),
    ],
)
def test_each_breach_is_named(master, change, old, new, says):
    change(old, new)
    problems = lint(read_master(master))
    assert any(says in problem.message and problem.error for problem in problems), problems


@pytest.mark.parametrize(
    "link", ["[a](98_tiny.ipynb#part)", "[a](src/98_tiny.py)", "[a](#part)", "[a](../README.md)"]
)
def test_links_within_the_course_are_fine(change, master, link):
    change("# {{course_map}}", f"# {link}")
    assert lint(read_master(master)) == []


def test_a_long_cell_is_advice_only(change, master):
    change('print("the end', "x = 1\n" * 12 + 'print("the end')
    (problem,) = lint(read_master(master))
    assert not problem.error
    assert "13 lines of code" in str(problem)


def test_a_stub_that_differs_from_its_solution_is_named(change, master):
    body = '    """USD for a number of tokens."""\n    ### BEGIN SOLUTION\n'
    change(
        "def cost_usd(tokens, usd_per_mtok):\n" + body,
        "def cost_usd(tokens, usd_per_mtok):\n    return 0\n\n\n### BEGIN SOLUTION\n"
        "def cost_usd(tokens, price):\n    pass\n### END SOLUTION\n\n\n"
        "def rest(tokens, usd_per_mtok):\n    ### BEGIN SOLUTION\n",
    )
    messages = [problem.message for problem in lint(read_master(master))]
    assert any(
        "the stub has cost_usd(tokens, usd_per_mtok), its solution cost_usd(tokens, price)" in m
        for m in messages
    )
