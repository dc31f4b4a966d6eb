"""Every question of every chapter: its reference is right, its misconceptions and wrong code are caught."""

import ast
import copy
import inspect
import math
import signal
import textwrap
from contextlib import contextmanager

import pytest

from course_utils.grading import cases, check, question, questions_of
from course_utils.grading.agreement import plain
from course_utils.grading.checks import (
    PRACTICE_SEED,
    call,
    near_zero_of,
    problem,
    same,
    seeded_inputs,
)

EVERY_QUESTION = [name for chapter in cases.chapters() for name in questions_of(chapter)]
SEEDS = (PRACTICE_SEED, *range(1, 8))
LEAST_CAUGHT = 0.95

# Mutants that no input can tell from the reference: question -> mutant -> why it is equivalent.
# At most 5 % of a question's mutants may stand here.
EQUIVALENT: dict[str, dict[str, str]] = {}

each_question = pytest.mark.parametrize("question_id", EVERY_QUESTION)


def test_every_chapter_module_holds_questions():
    assert cases.chapters()
    assert all(questions_of(chapter) for chapter in cases.chapters())


@each_question
def test_reference_gets_full_marks_for_any_seed(question_id):
    asked = question(question_id)
    for seed in range(100):
        mark = check(question_id, asked.reference, seed=seed)
        assert mark == asked.points, f"seed {seed}: {mark.feedback}"


@each_question
def test_each_misconception_is_caught_with_its_own_hint(question_id):
    asked = question(question_id)
    for seed in SEEDS:
        for misconception in asked.misconceptions:
            mark = check(question_id, misconception.wrong, seed=seed)
            assert mark == 0, f"{misconception.name}, seed {seed}: {mark.feedback}"
            assert misconception.hint in mark.feedback.sentences, (
                f"{misconception.name}, seed {seed}: {mark.feedback}"
            )


@each_question
def test_misconceptions_are_named_hinted_and_differ_from_each_other(question_id):
    asked = question(question_id)
    assert asked.misconceptions, f"{question_id} names no misconception"
    for part in ("name", "hint"):
        values = [getattr(misconception, part).strip() for misconception in asked.misconceptions]
        assert len(set(values)) == len(values)
        assert all(values)


@each_question
def test_blank_is_worth_nothing_and_raises_nothing(question_id):
    def blank(*_):
        raise NotImplementedError()

    for answer in (blank, None, ...):
        mark = check(question_id, answer)
        assert repr(mark) == "0.0"
        assert mark.feedback.state == "not attempted yet"


@each_question
def test_one_answer_to_everything_is_worth_less_than_half(question_id):
    asked = question(question_id)
    right = [asked.reference(*args) for args in seeded_inputs(asked, PRACTICE_SEED)]
    for constant in (0, 1, 42.0, None, "", [], True, *right):
        mark = check(question_id, lambda *_, constant=constant: constant)
        assert mark < asked.points / 2, constant


@each_question
def test_inputs_depend_on_the_seed_and_on_nothing_else(question_id):
    asked = question(question_id)
    first, again, other = (plain(seeded_inputs(asked, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@each_question
def test_reference_takes_the_inputs_and_its_source_can_be_read(question_id):
    asked = question(question_id)
    assert asked.reference.__name__ != "<lambda>", "write the reference with def: it is read and mutated"
    for args in seeded_inputs(asked, PRACTICE_SEED):
        inspect.signature(asked.reference).bind(*args)
        for misconception in asked.misconceptions:
            inspect.signature(misconception.wrong).bind(*args)


@each_question
def test_reference_leaves_its_arguments_alone(question_id):
    asked = question(question_id)
    for args in seeded_inputs(asked, PRACTICE_SEED):
        before = plain(copy.deepcopy(list(args)))
        asked.reference(*args)
        assert plain(list(args)) == before


# --- mutants: the reference with one thing wrong ------------------------------------------------------------

SWAPPED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
FLIPPED = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
RENAMED = {"min": "max", "max": "min", "floor": "ceil", "ceil": "floor", "any": "all", "all": "any"}
UNITS = (1000, 1024, 8, 1 / 1000)


def changes_of(node):
    """Ways to get one node wrong, as (what, function that does it to the node)."""
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPPED:
        other = SWAPPED[type(node.op)]
        yield f"{type(node.op).__name__} → {other.__name__}", lambda n: setattr(n, "op", other())
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        off_by_one = (node.value + 1, node.value - 1) if abs(node.value) <= 100 else ()
        for value in {*off_by_one, *(node.value * unit for unit in UNITS)} - {node.value}:
            yield f"{node.value} → {value}", lambda n, value=value: setattr(n, "value", value)
    if isinstance(node, ast.Compare):
        for other in FLIPPED.get(type(node.ops[0]), ()):
            what = f"{type(node.ops[0]).__name__} → {other.__name__}"
            yield what, lambda n, other=other: n.ops.__setitem__(0, other())
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{type(node.op).__name__} → {other.__name__}", lambda n: setattr(n, "op", other())
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "not its test", lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in RENAMED:
            other = RENAMED[node.func.id]
            yield f"{node.func.id} → {other}", lambda n: setattr(n.func, "id", other)
        if node.func.id == "range":
            for by in (1, -1):
                yield f"range ends {by:+}", lambda n, by=by: stretched(n, by)
    if isinstance(node, ast.Return) and node.value is not None:
        for unit in UNITS:
            yield f"result × {unit:g}", lambda n, unit=unit: setattr(n, "value", times(n.value, unit))


def times(expression, unit):
    return ast.BinOp(expression, ast.Mult(), ast.Constant(unit))


def stretched(call_of_range, by):
    position = 0 if len(call_of_range.args) == 1 else 1
    call_of_range.args[position] = ast.BinOp(call_of_range.args[position], ast.Add(), ast.Constant(by))


def mutants(reference):
    """(name, function) for every way to get one thing in the reference's source wrong."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(reference)))
    tree.body[0].decorator_list = []
    count = sum(1 for _ in ast.walk(tree))
    for position in range(count):
        node = list(ast.walk(tree))[position]
        for number, (what, _) in enumerate(changes_of(node)):
            mutated = copy.deepcopy(tree)
            target = list(ast.walk(mutated))[position]
            list(changes_of(target))[number][1](target)
            scope = {**reference.__globals__, "ceil": math.ceil, "floor": math.floor}
            exec(compile(ast.fix_missing_locations(mutated), f"<{reference.__name__}>", "exec"), scope)
            where = f"line {node.lineno}, column {node.col_offset}"
            yield f"{where}: {what}", scope[reference.__name__]


@contextmanager
def at_most(seconds):
    """End a mutant that loops for ever: it counts as caught. Where there are no alarms (Windows) it may go on."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def caught(asked, mutant, inputs, right):
    near_zero = near_zero_of(right)
    for args, expected in zip(inputs, right, strict=True):
        with at_most(2):
            outcome = call(mutant, args)
            if asked.close is not None and not same(outcome, expected, asked.close, near_zero):
                return True
            if problem(asked, mutant, args, outcome, expected, near_zero):
                return True
    return False


@each_question
def test_checks_catch_mutants_of_the_reference(question_id):
    asked = question(question_id)
    inputs = seeded_inputs(asked, PRACTICE_SEED)
    right = [call(asked.reference, args) for args in inputs]
    found = list(mutants(asked.reference))
    survivors = [name for name, mutant in found if not caught(asked, mutant, inputs, right)]
    print(
        f"{question_id}: {len(found) - len(survivors)} of {len(found)} mutants caught; survivors: {survivors}"
    )
    known = EQUIVALENT.get(question_id, {})
    assert set(survivors) <= set(known), f"not caught: {sorted(set(survivors) - set(known))}"
    assert len(found) >= 5
    assert len(survivors) <= (1 - LEAST_CAUGHT) * len(found)


def test_list_of_equivalent_mutants_has_no_leftovers():
    for question_id, known in EQUIVALENT.items():
        names = [name for name, _ in mutants(question(question_id).reference)]
        assert set(known) <= set(names), f"{question_id}: these mutants are gone"
        assert all(reason.strip() for reason in known.values())
