"""The example pack: its questions are as good as the practice ones, and a copied practice answer is worth nothing."""

import inspect
import json
import os
import textwrap
from pathlib import Path

import pytest

from course_utils.grading import cases, question, questions_of
from course_utils.grading.checks import assess, call, seeded_inputs
from course_utils.grading.grader import Grader
from course_utils.grading.labs import example_of, lab, seed_of
from course_utils.grading.submissions import Place
from tests.grading.room import code, notebook
from tests.grading.test_questions import LEAST_CAUGHT, caught, mutants

PACK = Path(os.environ.get("COURSE_PACK", Path(__file__).parents[2] / "instructor")).absolute()
LABS = sorted(path.stem for path in PACK.glob("ch[0-9][0-9].py"))
GRADED = [(one, asked.id) for one in LABS for asked in lab(one, PACK).questions]
SEED = "a seed for the tests"

each_graded = pytest.mark.parametrize(("lab_id", "question_id"), GRADED)


def graded_question(lab_id, question_id):
    return next(asked for asked in lab(lab_id, PACK).questions if asked.id == question_id)


def test_pack_has_a_variant_of_every_question_of_a_chapter():
    assert LABS
    for one in LABS:
        assert len(lab(one, PACK).questions) >= len(questions_of(one))
        assert lab(one, PACK).due is not None
        assert lab(one, PACK).late.percent_per_day > 0


@each_graded
def test_reference_is_right_and_every_misconception_has_its_hint(lab_id, question_id):
    asked = graded_question(lab_id, question_id)
    assert len(asked.misconceptions) >= 3
    for seed in range(20):
        assert assess(asked, asked.reference, seed) == asked.points
        for misconception in asked.misconceptions:
            mark = assess(asked, misconception.wrong, seed)
            assert mark == 0, misconception.name
            assert misconception.hint in mark.feedback.sentences, misconception.name


@each_graded
def test_mutants_of_graded_references_are_caught(lab_id, question_id):
    asked = graded_question(lab_id, question_id)
    inputs = seeded_inputs(asked, seed_of(SEED, question_id))
    right = [call(asked.reference, args) for args in inputs]
    found = list(mutants(asked.reference))
    survivors = [name for name, mutant in found if not caught(asked, mutant, inputs, right)]
    assert len(found) >= 5
    assert len(survivors) <= (1 - LEAST_CAUGHT) * len(found), survivors


@each_graded
def test_no_practice_reference_earns_anything_on_any_seed(lab_id, question_id):
    asked = graded_question(lab_id, question_id)
    for practice in questions_of(lab_id).values():
        for seed in range(20):
            assert assess(asked, practice.reference, seed) == 0, practice.id


@each_graded
def test_example_in_the_card_is_no_hidden_input(lab_id, question_id):
    asked = graded_question(lab_id, question_id)
    for seed in range(20):
        assert example_of(asked) not in seeded_inputs(asked, seed)


@pytest.mark.parametrize("one", LABS)
def test_submission_that_copies_the_practice_answers_earns_nothing(one, tmp_path):
    """The sources of the practice references, each under the name that is asked for, in the real grader."""
    cells = []
    for asked, practice in zip(lab(one, PACK).questions, questions_of(one).values(), strict=False):
        source = textwrap.dedent(inspect.getsource(practice.reference))
        helpers = "from math import floor\n"
        cells.append(
            code(
                f"{helpers}{source}\n{asked.reference.__name__} = {practice.reference.__name__}", short(asked)
            )
        )
    assert scores(one, cells, tmp_path) == {0.0}


@pytest.mark.parametrize("one", LABS)
def test_submission_that_imports_the_practice_answers_or_the_library_earns_nothing(one, tmp_path):
    ways = (
        "from course_utils.grading.cases.{one} import {practice} as {name}",
        "from course_utils.grading import question\n{name} = question('{id}').reference",
        "import course_utils.grading.cases.{one} as all_of_it\n{name} = all_of_it.QUESTIONS[0].reference",
        "from course_utils.estimate import cost\n{name} = cost.request_cost",
        "from course_utils.estimate.cost import self_hosted_usd_per_mtok as {name}",
        "import importlib\n{name} = importlib.import_module('course_utils.grading').question('{id}').reference",
        "from instructor.{one} import {name}",
    )
    cells = []
    for way, asked, practice in zip(ways, lab(one, PACK).questions, questions_of(one).values(), strict=False):
        source = way.format(
            one=one, practice=practice.reference.__name__, name=asked.reference.__name__, id=asked.id
        )
        cells.append(code(source, short(asked)))
    assert scores(one, cells, tmp_path) == {0.0}


def short(asked):
    return asked.id.partition(".")[2]


def scores(lab_id, cells, folder):
    path = folder / "copied.ipynb"
    path.write_text(json.dumps(notebook(*cells)))
    graded = Grader(lab_id, PACK, SEED).grade(Place("copied", folder, ("copied.ipynb",)))
    assert all(mark.state != "missing" for mark in graded.marks[: len(cells)])
    return {mark.points for mark in graded.marks}


# --- the bank ----------------------------------------------------------------------------------------------

EVERY_QUESTION = [name for chapter in cases.chapters() for name in questions_of(chapter)]


@pytest.mark.parametrize("question_id", EVERY_QUESTION)
def test_every_practice_question_has_points_hints_and_edge_cases(question_id):
    asked = question(question_id)
    assert asked.points > 0
    assert len(asked.misconceptions) >= 3
    inputs = [seeded_inputs(asked, seed) for seed in (1, 2, 3)]
    assert len(inputs[0]) >= 5
    # Edge cases are written out, the same for every seed; the rest is drawn.
    fixed = [one for one in inputs[0] if all(one in other for other in inputs)]
    assert 0 < len(fixed) < len(inputs[0])
