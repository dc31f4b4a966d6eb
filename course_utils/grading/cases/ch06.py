"""Chapter 06, distillation: softened probabilities, KL the right way round, T², equal compute, break-even, review."""

from math import exp, log

from course_utils.grading.questions import Misconception, Property, Question


def drawn_rows(rng, rows, tokens):
    """Logits of a few positions, plain numbers."""
    return [[round(float(x), 2) for x in rng.normal(0, 2, tokens)] for _ in range(rows)]


def drawn_probabilities(rng, tokens):
    weights = rng.gamma(0.8, 1, tokens) + 0.02
    return [float(x) for x in weights / weights.sum()]


# --- q1: soft targets ---------------------------------------------------------------------------------------


def softened(logits, temperature):
    rows = []
    for row in logits:
        powers = [exp(logit / temperature) for logit in row]
        rows.append([power / sum(powers) for power in powers])
    return rows


def soft_inputs(rng):
    yield [[2.0, 1.0, 0.0], [0.0, 0.0, 3.0]], 2.0
    yield [[0.5, -1.5], [2.5, 1.0], [0.0, 3.0]], 1.0
    for _ in range(5):
        rows = int(rng.integers(2, 5))
        yield drawn_rows(rng, rows, int(rng.integers(5, 8))), round(rng.uniform(1.5, 6), 1)


def over_the_positions(logits, temperature):
    columns = softened([list(column) for column in zip(*logits, strict=True)], temperature)
    return [list(row) for row in zip(*columns, strict=True)]


def over_everything(logits, temperature):
    total = sum(exp(logit / temperature) for row in logits for logit in row)
    return [[exp(logit / temperature) / total for logit in row] for row in logits]


def probabilities_divided(logits, temperature):
    return [[p / temperature for p in row] for row in softened(logits, 1.0)]


SOFT = Question(
    id="ch06.q1",
    points=2,
    asks="for each position the probabilities of all tokens at this temperature, each row summing to 1",
    reference=softened,
    inputs=soft_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "softmax over the wrong axis",
            over_the_positions,
            "Your columns sum to 1. A row is a position, and the tokens *within* it compete: in PyTorch "
            "softmax(dim=-1), not dim=0.",
        ),
        Misconception(
            "softmax over everything",
            over_everything,
            "All your numbers together sum to 1. Each position has a distribution of its own.",
        ),
        Misconception(
            "temperature multiplied",
            lambda logits, temperature: softened(logits, 1 / temperature),
            "Yours gets sharper as the temperature rises. Divide the logits by it.",
        ),
        Misconception(
            "temperature after the softmax",
            probabilities_divided,
            "You divide probabilities by the temperature: they no longer sum to 1. It belongs inside, on the logits.",
        ),
        Misconception(
            "temperature forgotten",
            lambda logits, temperature: softened(logits, 1.0),
            "The temperature does nothing in your answer.",
        ),
    ),
    properties=(
        Property(
            "each row sums to 1",
            lambda f, logits, temperature: all(abs(sum(row) - 1) < 1e-6 for row in f(logits, temperature)),
        ),
    ),
)


# --- q2: KL -------------------------------------------------------------------------------------------------


def forward_kl(teacher, student):
    return sum(p * log(p / q) for p, q in zip(teacher, student, strict=True))


def kl_inputs(rng):
    yield [0.9, 0.1], [0.5, 0.5]
    yield [0.25, 0.25, 0.5], [0.6, 0.3, 0.1]
    for _ in range(6):
        tokens = int(rng.integers(3, 9))
        yield drawn_probabilities(rng, tokens), drawn_probabilities(rng, tokens)


KL = Question(
    id="ch06.q2",
    points=2,
    asks="the forward KL divergence KL(teacher ‖ student) in nats, from two lists of probabilities",
    reference=forward_kl,
    inputs=kl_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "KL the wrong way round",
            lambda p, q: forward_kl(q, p),
            "That is KL(student ‖ teacher), the reverse one. Forward weighs by the *teacher's* probabilities: what "
            "the teacher finds plausible has to be covered.",
        ),
        Misconception(
            "sign turned over",
            lambda p, q: -forward_kl(p, q),
            "Yours is negative. A divergence never is: the logarithm is of teacher over student.",
        ),
        Misconception(
            "bits for nats",
            lambda p, q: forward_kl(p, q) / log(2),
            "You took the logarithm to base 2. Nats use the natural one, as PyTorch does.",
        ),
        Misconception(
            "mean over the vocabulary",
            lambda p, q: forward_kl(p, q) / len(p),
            "You divide by the number of tokens. KL is a sum over the vocabulary; reduction='mean' in PyTorch's "
            "kl_div makes this mistake too, and the loss becomes thousands of times too small.",
        ),
        Misconception(
            "cross-entropy",
            lambda p, q: -sum(a * log(b) for a, b in zip(p, q, strict=True)),
            "That is the cross-entropy. It trains the same student, but it is not 0 where both agree: the "
            "teacher's own entropy is still in it.",
        ),
    ),
    properties=(
        Property("equal distributions are 0 apart", lambda f, p, q: abs(f(p, p)) < 1e-9),
        Property("never negative", lambda f, p, q: f(p, q) >= 0),
    ),
)


# --- q3: the loss -------------------------------------------------------------------------------------------


def distillation_loss(soft_kl, text_loss, temperature, soft_share):
    return soft_share * temperature**2 * soft_kl + (1 - soft_share) * text_loss


def loss_inputs(rng):
    yield 0.02, 3.1, 4.0, 0.5
    yield 0.3, 4.0, 1.5, 1.0
    yield 0.3, 4.0, 3.0, 0.0
    for _ in range(6):
        yield (
            round(rng.uniform(0.01, 0.6), 3),
            round(rng.uniform(2, 6), 2),
            round(rng.uniform(1.5, 6), 1),
            round(rng.uniform(0.2, 0.9), 2),
        )


LOSS = Question(
    id="ch06.q3",
    points=2,
    asks="the loss to train with: soft_share of the softened KL, scaled by T², and the rest of the text's loss",
    reference=distillation_loss,
    inputs=loss_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "T² forgotten",
            lambda kl, text, t, share: share * kl + (1 - share) * text,
            "The T² is missing. Softened probabilities give gradients 1/T² as large: at T = 4 the teacher is heard "
            "a sixteenth as loud, and the text does all the teaching.",
        ),
        Misconception(
            "T for T²",
            lambda kl, text, t, share: share * t * kl + (1 - share) * text,
            "You multiply by T. Both the logits and the probabilities shrink with it: T².",
        ),
        Misconception(
            "T² on everything",
            lambda kl, text, t, share: t * t * (share * kl + (1 - share) * text),
            "You scale the text's loss too. It was taken at temperature 1, so its gradients are as large as ever.",
        ),
        Misconception(
            "divided by T²",
            lambda kl, text, t, share: share * kl / t**2 + (1 - share) * text,
            "You divide by T². The gradient has shrunk already: multiply.",
        ),
        Misconception(
            "shares swapped",
            lambda kl, text, t, share: (1 - share) * t * t * kl + share * text,
            "soft_share belongs to the teacher, and you gave it to the text.",
        ),
        Misconception(
            "text on top",
            lambda kl, text, t, share: share * t * t * kl + text,
            "You add the whole text loss. It gets what the teacher leaves: 1 − soft_share.",
        ),
    ),
)


# --- q4: equal compute --------------------------------------------------------------------------------------


def tokens_alone(student_parameters, teacher_parameters, tokens_distilled):
    student_flop = 6 * student_parameters
    teacher_flop = 2 * teacher_parameters
    return tokens_distilled * (student_flop + teacher_flop) / student_flop


def compute_inputs(rng):
    yield 1.0e9, 8.0e9, 1.0e9
    yield 1.0e9, 3.0e9, 2.0e9
    for _ in range(6):
        student = float(rng.integers(1, 20) * 1e8)
        yield student, student * float(rng.integers(2, 12)), float(rng.integers(1, 50) * 1e8)


COMPUTE = Question(
    id="ch06.q4",
    points=3,
    asks="how many tokens the student alone can learn from for the compute that the distilled run takes",
    reference=tokens_alone,
    inputs=compute_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "teacher's FLOP not counted",
            lambda s, t, n: n,
            "You let the teacher work for nothing. It reads every token too: 2 FLOP a weight.",
        ),
        Misconception(
            "one forward pass each, or one training each",
            lambda s, t, n: n * (s + t) / s,
            "You let student and teacher do the same work for a token. The student is trained, 6 FLOP a weight; the "
            "teacher only answers, 2 FLOP a weight.",
        ),
        Misconception(
            "backward pass as long as the forward",
            lambda s, t, n: n * (4 * s + 2 * t) / (4 * s),
            "You count the backward pass once. It computes two gradients, for the weights and for what goes into "
            "them: 6 FLOP a weight in all, not 4.",
        ),
        Misconception(
            "upside down",
            lambda s, t, n: n * 6 * s / (6 * s + 2 * t),
            "The student alone gets *more* tokens for the same compute, since it pays no teacher.",
        ),
        Misconception(
            "ratio of sizes",
            lambda s, t, n: n * t / s,
            "You take the ratio of the sizes. Compare the work of one token: 6 FLOP a weight of the student, with "
            "the teacher's 2 on top.",
        ),
        Misconception(
            "the teacher's share alone",
            lambda s, t, n: n * 2 * t / (6 * s),
            "Those are the tokens that the teacher's work alone would pay for. The student's own are missing.",
        ),
    ),
    properties=(
        Property(
            "a teacher twice as large buys the student more tokens",
            lambda f, s, t, n: f(s, 2 * t, n) > f(s, t, n),
        ),
    ),
)


# --- q5: review a run ---------------------------------------------------------------------------------------


def mistakes(teacher_is_training, temperature, loss_factor, student_tokens, teacher_tokens):
    found = []
    if teacher_is_training:
        found.append("teacher")
    if loss_factor != temperature**2:
        found.append("factor")
    if student_tokens != teacher_tokens:
        found.append("vocabulary")
    return found


def review_inputs(rng):
    yield False, 1.0, 1.0, 4096, 4096
    yield True, 2.0, 4.0, 4096, 4096
    yield False, 2.0, 1.0, 4096, 4096
    yield False, 2.0, 2.0, 4096, 4096
    yield False, 4.0, 16.0, 4096, 32_000
    yield False, 4.0, 16.0, 49_152, 4096
    yield True, 3.0, 1.0, 32_000, 4096
    yield True, 1.0, 1.0, 4096, 4096
    for _ in range(4):
        temperature = float(rng.integers(2, 6))
        factor = float(rng.choice([1.0, temperature, temperature**2]))
        sizes = [int(rng.integers(4, 60)) * 1000 for _ in range(2)]
        yield bool(rng.integers(2)), temperature, factor, sizes[0], int(rng.choice(sizes))


def without(name):
    return lambda *run: [one for one in mistakes(*run) if one != name]


REVIEW = Question(
    id="ch06.q5",
    points=2,
    asks="the names of a run's mistakes, in this order: 'teacher', 'factor', 'vocabulary'; an empty list for none",
    reference=mistakes,
    inputs=review_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "teacher left in train mode",
            without("teacher"),
            "A teacher in training mode passes your review. With dropout it answers the same question differently "
            "each time, and the student learns the noise: call teacher.eval().",
        ),
        Misconception(
            "factor unseen",
            without("factor"),
            "A soft loss without its T² passes your review.",
        ),
        Misconception(
            "factor of T",
            lambda training, t, factor, ours, theirs: mistakes(training, t, factor * t, ours, theirs),
            "You expect the factor T. Gradients of softened probabilities shrink with 1/T², so it is T².",
        ),
        Misconception(
            "vocabularies unseen",
            without("vocabulary"),
            "Different vocabularies pass your review. Token 17 of one is another word in the other: their "
            "probabilities can't be compared.",
        ),
        Misconception(
            "smaller vocabulary allowed",
            lambda training, t, factor, ours, theirs: mistakes(
                training, t, factor, max(ours, theirs), theirs
            ),
            "You let a student with fewer tokens than its teacher pass. They have to be the same tokens.",
        ),
        Misconception(
            "the first mistake only",
            lambda *run: mistakes(*run)[:1],
            "You stop at the first mistake. A run can have several.",
        ),
    ),
)

# --- q6: the day it pays ------------------------------------------------------------------------------------


def break_even_days(
    training_usd, teacher_usd_per_mtok, student_usd_per_mtok, tokens_per_request, requests_per_day
):
    saved_usd_per_mtok = teacher_usd_per_mtok - student_usd_per_mtok
    mtok_per_day = tokens_per_request * requests_per_day / 1_000_000
    return training_usd / (saved_usd_per_mtok * mtok_per_day)


def payback_inputs(rng):
    yield 6000.0, 0.6, 0.1, 500, 200_000
    yield 25_000.0, 1.2, 0.2, 250, 1_000_000
    for _ in range(6):
        teacher = round(rng.uniform(0.4, 3), 2)
        yield (
            float(rng.integers(1, 80) * 1000),
            teacher,
            round(teacher * rng.uniform(0.1, 0.6), 3),
            int(rng.integers(100, 900)),
            int(rng.integers(20, 900) * 1000),
        )


PAYBACK = Question(
    id="ch06.q6",
    points=2,
    asks="after how many days the student has saved what its training cost",
    reference=break_even_days,
    inputs=payback_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "the student serves for nothing",
            lambda usd, t, s, n, r: usd / (t * n * r / 1e6),
            "You save the teacher's whole bill. The student's own has to be paid: the saving is the difference.",
        ),
        Misconception(
            "requests for days",
            lambda usd, t, s, n, r: usd / ((t - s) * n / 1e6),
            "That is a number of requests. Divide by the requests of a day.",
        ),
        Misconception(
            "per token for per million",
            lambda usd, t, s, n, r: usd / ((t - s) * n * r),
            "A million times too soon: the prices are per *million* tokens.",
        ),
        Misconception(
            "per thousand for per million",
            lambda usd, t, s, n, r: usd / ((t - s) * n * r / 1000),
            "A thousand times too soon: you took the prices to be per thousand tokens.",
        ),
        Misconception(
            "a request is a token",
            lambda usd, t, s, n, r: usd / ((t - s) * r / 1e6),
            "You price requests as if each were one token. A request has tokens_per_request.",
        ),
        Misconception(
            "prices added",
            lambda usd, t, s, n, r: usd / ((t + s) * n * r / 1e6),
            "You add the two prices. Serving the student *instead* saves the difference.",
        ),
    ),
    properties=(
        Property(
            "twice the traffic pays in half the days",
            lambda f, usd, t, s, n, r: abs(f(usd, t, s, n, 2 * r) / f(usd, t, s, n, r) - 0.5) < 1e-6,
        ),
    ),
)


QUESTIONS = (SOFT, KL, LOSS, COMPUTE, REVIEW, PAYBACK)
