"""A small task with right and wrong answers: which ending follows this passage?

Taught in: chapter 03.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from course_utils.measure.likelihood import check_context, identity, start_token, summed_losses, token_ids
from course_utils.measure.scores import Score, score


@dataclass(frozen=True)
class Choice:
    """Which of `endings` follows `context`? The one at index `answer`."""

    context: str
    endings: tuple[str, ...]
    answer: int


def cloze(
    text: str,
    questions: int = 100,
    *,
    endings: int = 4,
    context_chars: int = 300,
    ending_chars: int = 48,
    seed: int = 0,
) -> tuple[Choice, ...]:
    """Multiple choice made from `text`: a passage, how it really goes on, and passages from elsewhere.

    The same seed gives the same questions. ValueError where the text is too short for them.
    """
    if endings < 2:
        raise ValueError(f"endings={endings!r}: at least 2 are needed for a choice")
    if questions < 2:
        raise ValueError(f"questions={questions!r}: at least 2 are needed")
    span = context_chars + ending_chars
    places = len(text) // span
    if places < max(questions, endings):
        raise ValueError(
            f"questions={questions!r}: a text of {len(text)} characters holds {places} of {span}"
        )
    rng = random.Random(seed)

    def ending_of(place: int) -> str:
        return text[place * span + context_chars : (place + 1) * span]

    asked = []
    for place in rng.sample(range(places), questions):
        drawn = rng.sample(range(places), min(places, 3 * endings))
        options = list(dict.fromkeys([ending_of(place), *map(ending_of, drawn)]))[:endings]
        if len(options) < endings:
            raise ValueError(f"text repeats itself: no {endings} different endings for a question")
        right = options[0]
        rng.shuffle(options)
        context = text[place * span : place * span + context_chars]
        asked.append(Choice(context, tuple(options), options.index(right)))
    return tuple(asked)


def accuracy(
    model,
    tokenizer,
    questions: Sequence[Choice],
    *,
    batch: int = 16,
    progress: bool = False,
    confidence: float = 0.95,
) -> Score:
    """Share of `questions` where the model finds the right ending likeliest, per byte of ending."""
    start = start_token(tokenizer)
    rows, firsts, sizes = [], [], []
    for question in questions:
        context = [start, *token_ids(tokenizer, question.context)]
        for ending in question.endings:
            rows.append(context + token_ids(tokenizer, ending))
            firsts.append(len(context))
            sizes.append(len(ending.encode()))
    check_context(model, max(map(len, rows), default=0), "questions")
    nats = summed_losses(model, rows, firsts, batch, progress, "accuracy")
    per_byte = iter([n / size for n, size in zip(nats, sizes, strict=True)])
    right = []
    for question in questions:
        costs = [next(per_byte) for _ in question.endings]
        right.append(float(costs.index(min(costs)) == question.answer))
    texts = [question.context + "\0".join(question.endings) for question in questions]
    chance = f"{len(questions)} questions, guessing gives {1 / len(questions[0].endings):.2g}"
    return score("accuracy", "of questions", "share", right, identity(texts), chance, confidence)
