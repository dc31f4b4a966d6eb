"""`check`: run a student's function on a question's inputs, say what to look at, and give the points.

Nothing here raises for what a student's function does, and nothing reaches stderr: nbgrader reads either as
zero points. This runs beside the student's own code: it teaches; marks that count come from `course grade`.
"""

import contextlib
import copy
import io
import linecache
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from math import floor
from typing import Any

from course_utils.grading.agreement import agrees, largest, plain
from course_utils.grading.feedback import (
    Feedback,
    call_with,
    counted,
    how_far,
    kind_of,
    number,
    parameters_of,
    shown,
)
from course_utils.grading.questions import Question, question

PRACTICE_SEED = 54
LONGEST_CALL_S = 10.0  # every answer takes milliseconds; this is for the loop that never ends


class TooLong(BaseException):
    """A call that had not come back in time. No Exception, so that a student's `except Exception` lets it by."""


class Mark(float):
    """Points: a float whose repr is the bare number (nbgrader's partial credit), with feedback as HTML."""

    feedback: Feedback

    def __new__(cls, points: float, feedback: Feedback):
        mark = super().__new__(cls, points)
        mark.feedback = feedback
        return mark

    __repr__ = float.__repr__
    __str__ = float.__repr__

    def __reduce__(self):
        return (Mark, (float(self), self.feedback))

    def _repr_html_(self) -> str:
        return self.feedback.as_html()


@dataclass(frozen=True)
class Outcome:
    """What one call gave: a plain `value`, or an `error` and `where` it was raised; and what it `printed`.

    misfit: that the function doesn't take what it is given, in words; empty where it does.
    """

    value: Any = None
    error: BaseException | None = None
    where: str = ""
    printed: str = ""
    misfit: str = ""


def check(question_id: str, answer: Callable[..., Any] | Any, *, seed: int = PRACTICE_SEED) -> Mark:
    """Points for `answer` to a question: full for right, a share for partly right, 0.0 for blank.

    `answer` is the student's function, or the value itself for a question without arguments. The feedback is
    in the mark's `feedback`, and notebooks show it. Raises ValueError for an unknown `question_id` only.
    """
    return assess(question(question_id), answer, seed)


def assess(asked: Question, answer: Callable[..., Any] | Any, seed: int = PRACTICE_SEED) -> Mark:
    """`check` for a question at hand. A recognized misconception gets its hint and no points."""
    if answer is None or answer is ...:
        return not_attempted(asked)
    if not callable(answer) and (names := parameters_of(asked.reference)):
        return no_function(asked, answer, names)
    function = answer if callable(answer) else (lambda *_: answer)
    found = verdict(asked, function, seeded_inputs(asked, seed))
    if found.blank:
        return not_attempted(asked)
    if found.right == len(found.cases):
        headline = f"Right: {number(asked.points)} of {worth(asked.points)}."
        return Mark(float(asked.points), Feedback("right", headline))

    headline = (
        f"Not yet: {found.right} of {len(found.cases)} inputs came out right, "
        f"{number(found.points)} of {worth(asked.points)}."
    )
    first = next(position for position, sentence in enumerate(found.problems) if sentence)
    sentences = [found.hint] if found.hint else []
    sentences.append(found.problems[first])
    if found.outcomes[first].printed:
        sentences.append(f"It printed: {shown(found.outcomes[first].printed)}")
    return Mark(found.points, Feedback("not yet", headline, tuple(sentences)))


def not_attempted(asked: Question) -> Mark:
    headline = f"Not attempted yet: {worth(asked.points)} waiting here."
    return Mark(0.0, Feedback("not attempted yet", headline, (f"Asked for: {asked.asks.rstrip('.')}.",)))


def no_function(asked: Question, answer: Any, names: Sequence[str]) -> Mark:
    """For `check("ch01.q1", cost_usd(1, 2))`, or the function's name in quotation marks."""
    sentence = (
        f"You gave {shown(answer)}, {kind_of(call(lambda: answer, ()).value)}. Asked for is the function itself, of "
        f'{", ".join(names)}: its name alone, as in check("{asked.id}", {asked.reference.__name__}).'
    )
    headline = f"Not yet: this is no function, 0 of {worth(asked.points)}."
    return Mark(0.0, Feedback("not yet", headline, (sentence,)))


@dataclass(frozen=True)
class Verdict:
    """What a function came to on a question's inputs, one outcome and one problem (empty: right) for each.

    points: full for all right, else the share that is right, rounded down; none with a misconception's `hint`.
    """

    cases: tuple[tuple[Any, ...], ...]
    outcomes: tuple[Outcome, ...]
    problems: tuple[str, ...]
    hint: str
    points: float

    @property
    def blank(self) -> bool:
        return all(isinstance(outcome.error, NotImplementedError) for outcome in self.outcomes)

    @property
    def right(self) -> int:
        return self.problems.count("")


def verdict(asked: Question, function: Callable[..., Any], cases: Sequence[tuple[Any, ...]]) -> Verdict:
    """Call a student's function on `cases` and hold what it gives against the reference."""
    outcomes = calls(function, cases)
    expected = [call(asked.reference, args) for args in cases]
    near_zero = near_zero_of(expected)
    problems = tuple(
        problem(asked, function, args, outcome, right, near_zero)
        for args, outcome, right in zip(cases, outcomes, expected, strict=True)
    )
    passed = problems.count("")
    if passed == len(cases):
        return Verdict(tuple(cases), tuple(outcomes), problems, "", float(asked.points))
    hint = misconception_hint(asked, cases, outcomes, expected, near_zero)
    points = 0.0 if hint else floor(100 * asked.points * passed / len(cases)) / 100
    return Verdict(tuple(cases), tuple(outcomes), problems, hint, points)


def worth(points: float) -> str:
    return counted(points, "point")


def near_zero_of(right: Sequence[Outcome]) -> float:
    """Below this, a difference is rounding: 1e-12 of the largest right answer, in its unit."""
    return 1e-12 * max((largest(outcome.value) for outcome in right), default=0.0)


def seeded_inputs(asked: Question, seed: int) -> list[tuple[Any, ...]]:
    """The question's argument tuples for a seed; the same seed gives the same ones."""
    import numpy as np

    return [tuple(args) for args in asked.inputs(np.random.default_rng(seed))]


def calls(function: Callable[..., Any], cases: Sequence[Sequence[Any]]) -> list[Outcome]:
    """`call` for each input. After one that never ended, the others count as such: nobody waits for them all."""
    outcomes: list[Outcome] = []
    for args in cases:
        endless = bool(outcomes) and isinstance(outcomes[-1].error, TooLong)
        outcomes.append(outcomes[-1] if endless else call(function, args))
    return outcomes


def call(function: Callable[..., Any], args: Sequence[Any]) -> Outcome:
    """Call a function on a copy of `args`; its output is kept, its errors are caught, Ctrl-C goes through.

    An error is also what it is given after `LONGEST_CALL_S`, where the system has alarms (not on Windows).
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            with at_most(LONGEST_CALL_S):
                value = plain(function(*copy.deepcopy(tuple(args))))
            return Outcome(value=value, printed=printed.getvalue())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: `exit()` in a cell must not end the notebook
            unfit = misfit(function, args) if isinstance(error, TypeError) else ""
            return Outcome(None, error, line_of(error, function), printed.getvalue(), unfit)


def misfit(function: Callable[..., Any], args: Sequence[Any]) -> str:
    """`takes 1 argument (x), and is called with 4`; empty where the arguments fit, or nobody can tell."""
    try:
        takes = signature(function)
    except Exception:  # a student's object may answer with anything
        return ""
    try:
        takes.bind(*args)
    except TypeError:
        names = ", ".join(takes.parameters) or "none"
        return f"takes {counted(len(takes.parameters), 'argument')} ({names}), and is called with {len(args)}"
    return ""


@contextlib.contextmanager
def at_most(seconds: float):
    """TooLong is raised inside after `seconds`. Without effect off the main thread, or where an alarm is set."""
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not usable or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def late(*_):
        raise TooLong

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def line_of(error: BaseException, function: Callable[..., Any]) -> str:
    """`, on line 3: return a / b`, the deepest line of the student's own cell; empty where it isn't known."""
    own_file = getattr(getattr(function, "__code__", None), "co_filename", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own_file]
    if not frames:
        return ""
    text = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
    text = text if len(text) <= 80 else f"{text[:79]}…"
    return f", on line {frames[-1].lineno}" + (f": {text}" if text else "")


def same(outcome: Outcome, expected: Outcome, close: float, near_zero: float) -> bool:
    """True if two calls came to the same: equal values, or errors of one type."""
    if expected.error is not None or outcome.error is not None:
        return isinstance(outcome.error, type(expected.error)) and expected.error is not None
    try:
        return agrees(outcome.value, expected.value, close, near_zero)
    except Exception:  # an object whose comparison raises is not the answer
        return False


def problem(
    asked: Question,
    function: Callable[..., Any],
    args: Sequence[Any],
    outcome: Outcome,
    expected: Outcome,
    near_zero: float,
) -> str:
    """What is wrong on one input, as a sentence; empty if nothing is."""
    given = call_with(asked.reference, args)
    opening = f"With {given}" if given else "Here"
    if asked.close is not None and not same(outcome, expected, asked.close, near_zero):
        return f"{opening} it {what_happened(outcome)}; expected {what_was_right(outcome, expected)}."
    if outcome.error is not None and expected.error is None:
        return f"{opening} it {what_happened(outcome)}."
    for rule in asked.properties:
        held = call(
            lambda *given, rule=rule: bool(rule.holds(lambda *to: plain(function(*to)), *given)), args
        )
        if held.value is not True:
            return f"{opening} it {what_happened(outcome)}, but it must hold that {rule.says}."
    return ""


def what_happened(outcome: Outcome) -> str:
    if isinstance(outcome.error, TooLong):
        return f"had not come back after {LONGEST_CALL_S:g} seconds (does every loop end?){outcome.where}"
    if outcome.misfit:
        return outcome.misfit
    if outcome.error is not None:
        return f"raised {type(outcome.error).__name__}: {shown(str(outcome.error))[1:-1]}{outcome.where}"
    if outcome.value is None:
        return "returned nothing (None; is there a `return`?)"
    return f"returned {shown(outcome.value)}"


def what_was_right(outcome: Outcome, expected: Outcome) -> str:
    if expected.error is not None:
        return f"a {type(expected.error).__name__}"
    kind = kind_of(expected.value)
    if outcome.error is None and outcome.value is not None and kind_of(outcome.value) != kind:
        return f"{shown(expected.value)}, {kind} and not {kind_of(outcome.value)}"
    return f"{shown(expected.value)}{how_far(outcome.value, expected.value)}"


def misconception_hint(
    asked: Question,
    cases: Sequence[Sequence[Any]],
    outcomes: Sequence[Outcome],
    right: Sequence[Outcome],
    near_zero: float,
) -> str:
    """The hint of the first misconception that answers like the student on every input, empty without one."""
    close = asked.close if asked.close is not None else 1e-6
    for misconception in asked.misconceptions:
        wrong = [call(misconception.wrong, args) for args in cases]
        if all(same(one, other, close, near_zero) for one, other in zip(outcomes, wrong, strict=True)):
            return misconception.hint
    return ""
