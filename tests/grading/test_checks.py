"""What a student sees from `check`: points and one thing to look at; never an error, no word on stderr."""

import copy
import pickle
import signal
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from course_utils.grading import Misconception, Property, Question, check, checks
from course_utils.grading.checks import assess


def cost_usd(tokens, usd_per_mtok):
    return tokens * usd_per_mtok / 1e6


def inputs(rng):
    yield 0, 1.0
    for _ in range(9):
        yield int(rng.integers(1, 1_000_000)), float(rng.uniform(0.1, 20))


COST = Question(
    id="ch98.q1",
    points=2,
    asks="what `tokens` cost, in USD",
    reference=cost_usd,
    inputs=inputs,
    misconceptions=(
        Misconception("per token", lambda t, p: t * p, "The price is for a million tokens."),
        Misconception("per thousand", lambda t, p: t * p / 1e3, "The price is not for a thousand tokens."),
    ),
    properties=(
        Property(
            "twice the tokens cost twice as much",
            lambda f, t, p: abs(f(2 * t, p) - 2 * f(t, p)) <= 1e-9 * f(2 * t, p),
        ),
    ),
)


def test_right_is_worth_all_points():
    mark = assess(COST, cost_usd)
    assert mark == 2
    assert mark.feedback.state == "right"
    assert str(mark.feedback) == "Right: 2 of 2 points."


def test_mark_is_a_float_whose_repr_is_the_bare_number():
    mark = assess(COST, cost_usd)
    assert isinstance(mark, float)
    assert (repr(mark), str(mark)) == ("2.0", "2.0")
    assert mark + 1 == 3
    for again in (pickle.loads(pickle.dumps(mark)), copy.deepcopy(mark)):
        assert (again, again.feedback) == (mark, mark.feedback)


def test_notebook_shows_html_and_nbgrader_reads_the_number():
    data, _ = DisplayFormatter().format(assess(COST, lambda t, p: t * p))
    assert float(data["text/plain"]) == 0
    assert "a million tokens" in data["text/html"]


@pytest.mark.parametrize(
    "wrap",
    [float, np.float32, np.float64, Fraction, Decimal, np.asarray, lambda v: np.float64(v).reshape(())],
)
def test_any_kind_of_number_counts(wrap):
    assert assess(COST, lambda t, p: wrap(cost_usd(t, p))) == 2


def test_blank_answers_say_so_and_what_was_asked():
    def blank(tokens, usd_per_mtok):
        # YOUR CODE HERE
        raise NotImplementedError()

    mark = assess(COST, blank)
    assert repr(mark) == "0.0"
    assert str(mark.feedback) == (
        "Not attempted yet: 2 points waiting here.\nAsked for: what `tokens` cost, in USD."
    )


def test_half_written_is_not_blank():
    def half(tokens, usd_per_mtok):
        if tokens > 0:
            raise NotImplementedError
        return 0

    mark = assess(COST, half)
    assert mark.feedback.state == "not yet"
    assert mark == 0.2


@pytest.mark.parametrize("misconception", COST.misconceptions, ids=lambda m: m.name)
def test_a_misconception_gets_its_hint_and_no_points_though_some_inputs_came_out_right(misconception):
    mark = assess(COST, misconception.wrong)
    assert mark == 0
    assert mark.feedback.headline == "Not yet: 1 of 10 inputs came out right, 0 of 2 points."
    assert mark.feedback.sentences[0] == misconception.hint


def test_partly_right_is_worth_its_share():
    mark = assess(COST, lambda t, p: cost_usd(t, p) if t > 500_000 else -1.0)
    assert 0 < mark < 2
    passed = int(mark.feedback.headline.split(" of ")[0].removeprefix("Not yet: "))
    assert mark == 2 * passed / 10


def test_share_is_rounded_down_so_that_only_right_is_full():
    many = Question("ch98.q2", 1, "x", lambda x: x, lambda rng: [(float(x),) for x in range(1, 1001)])
    assert assess(many, lambda x: x if x < 1000 else 0.0) == 0.99


def test_wrong_says_on_which_input_what_came_and_what_was_right():
    mark = assess(Question("ch98.q2", 1, "x", cost_usd, lambda rng: [(1000, 2.5)]), lambda t, p: t * p)
    assert mark.feedback.sentences == (
        "With tokens=1000, usd_per_mtok=2.5 it returned 2,500; expected 0.0025 (1,000,000 times too large).",
    )


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda t, p: None, "returned nothing (None; is there a `return`?)"),
        (lambda t, p: -cost_usd(t, p), "the sign is the other way round"),
        (lambda t, p: cost_usd(t, p) * 1.05, "5.00% too high"),
        (lambda t, p: cost_usd(t, p) / 1000, "1,000 times too small"),
        (lambda t, p: str(cost_usd(t, p)), "returned '0.0025'"),
        (lambda t, p: [cost_usd(t, p)], "returned [0.0025]"),
        (lambda t, p: float("nan"), "returned nan"),
        (lambda t, p: True, "returned True"),
        (lambda t: t, "takes 1 argument (t), and is called with 2"),
        (lambda t, p: t + "s", "raised TypeError: "),
        (lambda t, p: 1 / 0, "raised ZeroDivisionError: division by zero, on line "),
        (lambda t, p: exit(), "raised SystemExit"),
    ],
)
def test_each_kind_of_wrong_is_said(answer, says):
    mark = assess(Question("ch98.q2", 1, "x", cost_usd, lambda rng: [(1000, 2.5)]), answer)
    assert mark == 0
    assert says in mark.feedback.sentences[0]


def test_an_error_names_the_line_of_the_students_cell():
    source = "def f(tokens, usd_per_mtok):\n    price = {}\n    return price['gpt']\n"
    scope = {}
    exec(compile(source, "<cell>", "exec"), scope)
    mark = assess(COST, scope["f"])
    assert "it raised KeyError: 'gpt', on line 3; expected" in mark.feedback.sentences[0]


def test_a_property_is_said_when_the_value_is_right():
    def noisy(tokens, usd_per_mtok):
        return cost_usd(tokens, usd_per_mtok) * (1.005 if tokens % 2 else 1)

    mark = assess(COST, noisy)
    assert any("it must hold that twice the tokens cost twice as much" in s for s in mark.feedback.sentences)


def test_a_question_can_rest_on_properties_alone():
    rising = Question(
        "ch98.q2",
        1,
        "any price that rises with the tokens",
        cost_usd,
        inputs,
        close=None,
        properties=(Property("more tokens cost more", lambda f, t, p: f(t + 1, p) > f(t, p)),),
    )
    assert assess(rising, lambda t, p: t**2) == 1
    assert assess(rising, lambda t, p: 7) == 0
    assert assess(rising, lambda t, p: 1 / 0) == 0


def test_an_expected_error_counts_when_it_is_of_that_kind():
    def refuse(tokens):
        if tokens < 0:
            raise ValueError("tokens must be 0 or more")
        return tokens

    asked = Question("ch98.q2", 2, "x", refuse, lambda rng: [(-1,), (3,)])
    assert assess(asked, refuse) == 2
    mark = assess(asked, lambda tokens: tokens)
    assert mark == 1
    assert "expected a ValueError" in mark.feedback.sentences[0]


def test_sequences_and_tables_are_compared_item_by_item():
    def table(n):
        return pd.DataFrame({"team": ["a", "b"], "usd": [1.0 * n, 2.0 * n]})

    asked = Question("ch98.q2", 1, "x", table, lambda rng: [(1,), (2,)])
    assert assess(asked, lambda n: {"team": ("a", "b"), "usd": np.array([n, 2 * n])}) == 1
    assert assess(asked, lambda n: table(n).iloc[::-1]) == 0
    assert assess(asked, lambda n: table(n).rename(columns={"usd": "cost"})) == 0


def test_a_question_without_arguments_takes_the_value_itself():
    asked = Question("ch98.q2", 1, "x", lambda: 42.0, lambda rng: [()])
    assert assess(asked, 42) == 1
    assert assess(asked, 43) == 0
    assert "Here it returned 43" in assess(asked, 43).feedback.sentences[0]
    assert assess(asked, None).feedback.state == "not attempted yet"


def test_what_a_function_prints_stays_off_the_page_but_in_the_feedback(capfd):
    def talks(tokens, usd_per_mtok):
        print("<b>tokens</b>", tokens)
        print("careful", file=sys.stderr)
        return -1.0

    mark = assess(COST, talks)
    assert capfd.readouterr() == ("", "")
    assert "It printed: '<b>tokens</b> 0" in mark.feedback.sentences[-1]


def test_html_escapes_what_a_student_wrote_and_says_its_state_in_words():
    html = assess(COST, lambda t, p: "<img src=x onerror=alert(1)>")._repr_html_()
    assert "<img" not in html
    assert "&lt;img src=x" in html
    assert "role='status'" in html
    assert "Not yet" in html


def test_a_function_cannot_spoil_the_inputs_for_the_next_case():
    asked = Question("ch98.q2", 1, "x", lambda xs: float(sum(xs)), lambda rng: [([1.0, 2.0],), ([3.0],)])

    def greedy(xs):
        total = 0.0
        while xs:
            total += xs.pop()
        return total

    assert assess(asked, greedy) == 1


def test_objects_that_refuse_comparison_or_repr_are_wrong_and_nothing_more():
    class Sour:
        def __eq__(self, other):
            raise RuntimeError("no")

        __hash__ = None
        __repr__ = __eq__

    assert assess(COST, lambda t, p: Sour()) == 0


def test_ctrl_c_goes_through():
    def interrupted(tokens, usd_per_mtok):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assess(COST, interrupted)


def test_a_loop_that_never_ends_is_ended_once_and_named(monkeypatch):
    if not hasattr(signal, "setitimer"):  # Windows has no alarm: there only Ctrl-C ends it
        return
    begun = []

    def endless(tokens, usd_per_mtok):
        begun.append(tokens)
        while True:
            tokens += 1

    monkeypatch.setattr(checks, "LONGEST_CALL_S", 0.05)
    mark = assess(COST, endless)
    assert mark == 0
    assert len(begun) == 1
    assert "had not come back after 0.05 seconds (does every loop end?), on line" in str(mark.feedback)


def test_unknown_questions_offer_the_nearest():
    with pytest.raises(ValueError, match=r"question_id='ch01\.q77' is not a question; .*ch01\.q7"):
        check("ch01.q77", cost_usd)
    with pytest.raises(ValueError, match="is not a question"):
        check("chapter one", cost_usd)
    with pytest.raises(ValueError, match="is not a question"):
        check(1, cost_usd)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": "q1"}, "must look like"),
        ({"points": 0}, "above 0"),
        ({"close": 0.0}, "close=0.0"),
        ({"close": None, "properties": ()}, "at least one property"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(change, says):
    fields = {"id": "ch98.q2", "points": 1, "asks": "x", "reference": cost_usd, "inputs": inputs}
    with pytest.raises(ValueError, match=says):
        Question(**{**fields, **change})
