"""Chapter 08, prompt and semantic caching: bills, break-evens, lifetimes, what a test can show, the money."""

from math import ceil, exp, floor, log

from course_utils.grading.questions import Misconception, Property, Question

# write and read over the input price: Anthropic 5 minutes and 1 hour, OpenAI before and from GPT-5.6, a low read.
TERMS = ((1.25, 0.1), (2.0, 0.1), (1.0, 0.1), (1.25, 0.25), (2.0, 0.05))


# --- q1: the bill of a cached prompt ------------------------------------------------------------------------


def day_usd(requests, hits, prefix_tokens, new_tokens, input_usd_per_mtok, write, read):
    prefix = prefix_tokens * (hits * read + (requests - hits) * write)
    return (prefix + requests * new_tokens) * input_usd_per_mtok / 1_000_000


def day_inputs(rng):
    yield 1000, 900, 6000, 400, 1.0, 1.25, 0.1
    yield 1000, 0, 6000, 400, 1.0, 1.25, 0.1
    for _ in range(6):
        requests = int(rng.integers(500, 50_000))
        write, read = TERMS[rng.integers(len(TERMS))]
        hits = int(requests * rng.uniform(0.3, 0.98))
        sizes = int(rng.integers(1500, 20_000)), int(rng.integers(100, 1500))
        yield requests, hits, *sizes, round(rng.uniform(0.2, 5), 2), write, read


DAY = Question(
    id="ch08.q1",
    points=2,
    asks="the input cost of a day in USD, cache writes and reads included",
    reference=day_usd,
    inputs=day_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "writes at the input price",
            lambda n, h, p, new, usd, w, r: (p * (h * r + (n - h)) + n * new) * usd / 1e6,
            "A miss costs you the plain input price. The provider bills a write: input times `write`.",
        ),
        Misconception(
            "writes dropped",
            lambda n, h, p, new, usd, w, r: (p * h * r + n * new) * usd / 1e6,
            "Misses pay nothing for their prefix in your answer. Each of them writes it.",
        ),
        Misconception(
            "cached tokens counted twice",
            lambda n, h, p, new, usd, w, r: (p * (h * r + (n - h) * w) + n * (new + p)) * usd / 1e6,
            "You bill the prefix twice: as cached, and as fresh input. Its tokens are one or the other.",
        ),
        Misconception(
            "the whole prompt is read",
            lambda n, h, p, new, usd, w, r: (p + new) * (h * r + (n - h) * w) * usd / 1e6,
            "You give the discount to the new tokens, too. They come after the prefix and are never in the cache.",
        ),
        Misconception(
            "everything is a hit",
            lambda n, h, p, new, usd, w, r: (p * n * r + n * new) * usd / 1e6,
            "You take every request for a hit. Somebody has to write, and again whenever the lifetime has run out.",
        ),
    ),
    properties=(
        Property(
            "one more hit never costs more",
            lambda f, n, h, p, new, usd, w, r: (
                f(n, min(n, h + 1), p, new, usd, w, r) <= f(n, h, p, new, usd, w, r)
            ),
        ),
    ),
)


# --- q2: from which use on it pays --------------------------------------------------------------------------


def uses_to_pay(write, read):
    return ceil((write - read) / (1 - read))


def uses_inputs(rng):
    yield from TERMS
    for whole in (2, 3, 4, 6):
        # Between two whole numbers, so that no rounding decides.
        read = round(rng.uniform(0.05, 0.7), 2)
        yield round(read + (whole - rng.uniform(0.2, 0.8)) * (1 - read), 3), read


USES = Question(
    id="ch08.q2",
    points=2,
    asks="the smallest number of uses within the lifetime at which the cache is no dearer than none",
    reference=uses_to_pay,
    inputs=uses_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "reads for uses",
            lambda w, r: ceil((w - r) / (1 - r)) - 1,
            "That is the number of reads. The write is a use as well: somebody got an answer from it.",
        ),
        Misconception(
            "not a whole number",
            lambda w, r: (w - r) / (1 - r),
            "Nobody can use it 1.28 times: round up to the first whole number that is enough.",
        ),
        Misconception(
            "rounded down",
            lambda w, r: floor((w - r) / (1 - r)),
            "With so few uses the cache still costs more than none: round up.",
        ),
        Misconception(
            "reads are free",
            lambda w, r: ceil(w),
            "You compare the write alone with uses at full price. Reads cost `read` each.",
        ),
        Misconception(
            "surcharge over read",
            lambda w, r: 1 + ceil((w - 1) / r),
            "You divide the surcharge by the price of a read. A read *saves* 1 − read: divide by that.",
        ),
    ),
)


# --- q3: hits at a rate of requests -------------------------------------------------------------------------


def share_of_hits(requests_per_hour, ttl_minutes):
    return 1 - exp(-requests_per_hour * ttl_minutes / 60)


def share_inputs(rng):
    yield 12.0, 5.0
    yield 3.0, 5.0
    yield 0.5, 60.0
    yield 100.0, 5.0
    for _ in range(5):
        yield round(rng.uniform(0.5, 40), 1), float(rng.choice([5, 10, 60]))


SHARE = Question(
    id="ch08.q3",
    points=2,
    asks="the share of requests that find the prefix still there, from 0 to 1",
    reference=share_of_hits,
    inputs=share_inputs,
    close=1e-4,
    misconceptions=(
        Misconception(
            "misses for hits",
            lambda rate, ttl: exp(-rate * ttl / 60),
            "That is the chance that nobody comes in time: the misses.",
        ),
        Misconception(
            "minutes for hours",
            lambda rate, ttl: 1 - exp(-rate * ttl),
            "The rate is per hour, the lifetime in minutes: bring both to one unit.",
        ),
        Misconception(
            "as many hits as requests",
            lambda rate, ttl: min(1.0, rate * ttl / 60),
            "You count the requests that come within a lifetime. They come at random: some gaps are longer.",
        ),
        Misconception(
            "lifetime from the write on",
            lambda rate, ttl: rate * ttl / 60 / (1 + rate * ttl / 60),
            "That holds where the lifetime runs from the write. Here each hit starts it again, so only the gap to "
            "the last use counts.",
        ),
    ),
    properties=(
        Property("a longer lifetime never hits less", lambda f, rate, ttl: f(rate, 2 * ttl) >= f(rate, ttl)),
    ),
)


# --- q4: how many traps a test needs ------------------------------------------------------------------------


def traps_needed(max_wrong_share, confidence):
    return ceil(log(1 - confidence) / log(1 - max_wrong_share))


def traps_inputs(rng):
    yield 0.01, 0.95
    yield 0.001, 0.95
    yield 0.01, 0.99
    for _ in range(4):
        yield float(rng.choice([0.002, 0.005, 0.02, 0.03, 0.05])), float(rng.choice([0.8, 0.9, 0.95, 0.99]))


TRAPS = Question(
    id="ch08.q4",
    points=2,
    asks="how many traps must pass without one wrong answer, as a whole number",
    reference=traps_needed,
    inputs=traps_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "one over the share",
            lambda p, c: ceil(1 / p),
            "With 1/p traps a rule that errs at rate p still passes with a chance of 37 %. Which chance may it have?",
        ),
        Misconception(
            "confidence for its complement",
            lambda p, c: ceil(log(c) / log(1 - p)),
            "You let a bad rule pass with the chance `confidence`. It may pass with 1 − confidence at most.",
        ),
        Misconception(
            "rule of three",
            lambda p, c: ceil(3 / p),
            "3/p is the rule of thumb for 95 %. Take the exact one: (1 − p)ⁿ ≤ 1 − confidence.",
        ),
        Misconception(
            "rounded down",
            lambda p, c: floor(log(1 - c) / log(1 - p)),
            "One too few: with that many the chance is still above 1 − confidence.",
        ),
        Misconception(
            "two-sided",
            lambda p, c: ceil(log((1 - c) / 2) / log(1 - p)),
            "You halve 1 − confidence, as an interval with two ends does. Here one side counts, with all of it.",
        ),
        Misconception(
            "not a whole number",
            lambda p, c: log(1 - c) / log(1 - p),
            "Traps are whole: round up to the first number that is enough.",
        ),
        Misconception(
            "traps that fail",
            lambda p, c: ceil(log(1 - c) / log(p)),
            "You multiply the chances of being *wrong*. The chance to pass n traps is (1 − p)ⁿ.",
        ),
    ),
)


# --- q5: a lifetime that hits don't extend ------------------------------------------------------------------


def hits_within(asked_s, ttl_s):
    hits, fresh_until_s = 0, float("-inf")
    for at_s in asked_s:
        if at_s < fresh_until_s:
            hits += 1
        else:
            fresh_until_s = at_s + ttl_s
    return hits


def hits_inputs(rng):
    yield [0.0, 50.0, 90.0, 120.0, 150.0, 400.0], 100.0
    yield [5.0], 60.0
    yield [0.0, 100.0, 200.0], 100.0
    for _ in range(5):
        gaps = rng.exponential(40, size=int(rng.integers(20, 60)))
        yield [round(float(at), 1) for at in gaps.cumsum()], float(rng.choice([60, 100, 150]))


def _extended(asked_s, ttl_s):
    hits, fresh_until_s = 0, float("-inf")
    for at_s in asked_s:
        hits += at_s < fresh_until_s
        fresh_until_s = at_s + ttl_s
    return hits


HITS = Question(
    id="ch08.q5",
    points=3,
    asks="how many of the questions are answered from the cache",
    reference=hits_within,
    inputs=hits_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "a hit extends the lifetime",
            _extended,
            "Your answer lives on as long as people ask for it, however old. Its life is counted from the moment "
            "the model gave it.",
        ),
        Misconception(
            "it lives for ever",
            lambda asked, ttl: max(0, len(asked) - 1),
            "Everything after the first is a hit in your answer: the lifetime isn't used.",
        ),
        Misconception(
            "never written again",
            lambda asked, ttl: sum(at - asked[0] < ttl for at in asked[1:]) if asked else 0,
            "After the first answer has expired, the model is asked again and its answer is kept: a new life begins.",
        ),
        Misconception(
            "misses for hits",
            lambda asked, ttl: len(asked) - hits_within(asked, ttl),
            "You count the questions that the model has to answer.",
        ),
        Misconception(
            "the expiring moment counts",
            lambda asked, ttl: _hits_closed(asked, ttl),
            "At the very end of its life an answer is expired: ttl_s seconds after it was given, ask again.",
        ),
    ),
)


def _hits_closed(asked_s, ttl_s):
    hits, fresh_until_s = 0, float("-inf")
    for at_s in asked_s:
        if at_s <= fresh_until_s:
            hits += 1
        else:
            fresh_until_s = at_s + ttl_s
    return hits


# --- q6: what a wrong answer may cost -----------------------------------------------------------------------


def bearable_usd(repeat_share, hit_rate, trap_share, wrong_rate, call_usd, lookup_usd):
    right, wrong = repeat_share * hit_rate, trap_share * wrong_rate
    return ((right + wrong) * call_usd - lookup_usd) / wrong


def bearable_inputs(rng):
    yield 0.3, 0.4, 0.1, 0.01, 0.01, 0.0001
    yield 0.3, 0.8, 0.1, 0.8, 0.01, 0.0
    for _ in range(6):
        repeat, trap = round(rng.uniform(0.1, 0.5), 2), round(rng.uniform(0.02, 0.3), 2)
        rates = round(rng.uniform(0.2, 0.9), 2), round(rng.uniform(0.01, 0.5), 3)
        yield (
            repeat,
            rates[0],
            trap,
            rates[1],
            round(rng.uniform(0.002, 0.05), 4),
            round(rng.uniform(1e-5, 2e-4), 6),
        )


BEARABLE = Question(
    id="ch08.q6",
    points=3,
    asks="the cost of one wrong answer, in USD, at which the cache earns nothing",
    reference=bearable_usd,
    inputs=bearable_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "look-ups are free",
            lambda rep, hit, trap, wrong, call, look: (rep * hit + trap * wrong) * call / (trap * wrong),
            "You forgot the look-up. Every request pays for it, hit or not.",
        ),
        Misconception(
            "look-ups for hits only",
            lambda rep, hit, trap, wrong, call, look: (
                (rep * hit + trap * wrong) * (call - look) / (trap * wrong)
            ),
            "You charge the look-up to the requests that are served. Those that miss were looked up as well.",
        ),
        Misconception(
            "a wrong answer saved no call",
            lambda rep, hit, trap, wrong, call, look: (rep * hit * call - look) / (trap * wrong),
            "A wrong answer is served from the cache, too: it saved a call, however little that helps.",
        ),
        Misconception(
            "rates of all requests",
            lambda rep, hit, trap, wrong, call, look: ((hit + wrong) * call - look) / wrong,
            "The rates are of repeats and of traps. How many of all requests are one or the other?",
        ),
        Misconception(
            "all traps are answered",
            lambda rep, hit, trap, wrong, call, look: ((rep * hit + trap) * call - look) / trap,
            "You take every trap for a wrong answer. Only `wrong_rate` of them is served.",
        ),
    ),
)


QUESTIONS = (DAY, USES, SHARE, TRAPS, HITS, BEARABLE)
