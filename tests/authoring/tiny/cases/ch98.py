"""The one question of the tiny chapter."""

from course_utils.grading import Misconception, Property, Question


def cost_usd(tokens, usd_per_mtok):
    return tokens * usd_per_mtok / 1e6


def inputs(rng):
    yield 0, 1.0
    for _ in range(9):
        yield int(rng.integers(1, 1_000_000)), float(rng.uniform(0.1, 20))


QUESTIONS = (
    Question(
        id="ch98.q1",
        points=2,
        asks="what `tokens` cost, in USD",
        reference=cost_usd,
        inputs=inputs,
        misconceptions=(
            Misconception(
                "per token",
                lambda tokens, usd_per_mtok: tokens * usd_per_mtok,
                "The price is for a million tokens, not for one.",
            ),
        ),
        properties=(
            Property(
                "twice the tokens cost twice as much",
                lambda answer, tokens, usd_per_mtok: (
                    abs(answer(2 * tokens, usd_per_mtok) - 2 * answer(tokens, usd_per_mtok)) < 1e-9
                ),
            ),
        ),
    ),
)
