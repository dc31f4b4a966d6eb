"""Chapter 12, the benchmark lab: fronts, ratios, paired intervals, verdicts, prices, and the graded recommendation."""

from math import expm1, log, log2, sqrt
from statistics import mean, median, pstdev, stdev

from course_utils.grading.questions import Misconception, Property, Question

# --- q1: the median after the warm-up -----------------------------------------------------------------------


def typical_s(samples_s, warmup):
    ordered = sorted(samples_s[warmup:])
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[-middle - 1]) / 2  # the same sample twice where their number is odd


def samples_inputs(rng):
    yield [0.9, 0.11, 0.1, 0.12, 0.1], 1
    yield [0.3, 0.2, 0.1, 0.4], 0
    for count in (7, 10, 12, 15, 21):
        warmup = int(rng.integers(1, 4))
        calm = 0.05 * (1 + rng.exponential(0.15, count))
        calm[rng.integers(warmup, count)] *= 4  # somebody else's work
        first = 0.05 * rng.uniform(2, 9, warmup)
        yield [round(float(one), 5) for one in (*first, *calm)], warmup


TYPICAL = Question(
    id="ch12.q1",
    points=2,
    asks="the median of the samples that follow the warm-up, in seconds",
    reference=typical_s,
    inputs=samples_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "best of n",
            lambda s, w: min(s[w:]),
            "The fastest sample is what the machine can do once. With more samples it only falls. Report the median.",
        ),
        Misconception(
            "mean",
            lambda s, w: mean(s[w:]),
            "One late sample, when somebody else used the machine, pulls the mean up. The median doesn't mind it.",
        ),
        Misconception(
            "warm-up counted",
            lambda s, w: median(s),
            "The first `warmup` samples load code and fill caches. No later request pays for that: leave them out.",
        ),
        Misconception(
            "sorted first",
            lambda s, w: median(sorted(s)[w:]),
            "You sort before you drop: then the fastest samples go, not the first ones.",
        ),
    ),
    properties=(
        Property(
            "a slower warm-up changes nothing",
            lambda f, s, w: f([one * 10 for one in s[:w]] + s[w:], w) == f(s, w),
        ),
    ),
)


# --- q2: the paired interval --------------------------------------------------------------------------------


def paired_change(reference, variant):
    differences = [v - r for r, v in zip(reference, variant, strict=True)]
    half = 2 * stdev(differences) / sqrt(len(differences))
    return [expm1(mean(differences) + sign * half) for sign in (-1, 0, 1)]


def losses_inputs(rng):
    yield [4.0, 5.0, 3.0, 4.0], [4.1, 5.0, 3.2, 4.1]
    for count in (6, 12, 24, 40, 40):
        reference = rng.normal(4.3, 0.4, count)
        variant = reference + rng.normal(rng.uniform(-0.02, 0.08), 0.02, count)
        yield [round(float(one), 4) for one in reference], [round(float(one), 4) for one in variant]


def _interval(middle, half):
    return [expm1(middle + sign * half) for sign in (-1, 0, 1)]


def _differences(r, v):
    return [b - a for a, b in zip(r, v, strict=True)]


PAIRED = Question(
    id="ch12.q2",
    points=3,
    asks="[low, middle, high] of the change in perplexity, as fractions of the reference's",
    reference=paired_change,
    inputs=losses_inputs,
    close=1e-4,
    misconceptions=(
        Misconception(
            "unpaired",
            lambda r, v: _interval(mean(v) - mean(r), 2 * sqrt((stdev(r) ** 2 + stdev(v) ** 2) / len(r))),
            "You treat the two lists as strangers. A hard window is hard for both models: take differences window by "
            "window, and let those scatter.",
        ),
        Misconception(
            "no root of n",
            lambda r, v: _interval(mean(_differences(r, v)), 2 * stdev(_differences(r, v))),
            "That is where single windows lie. A mean of n of them scatters √n times less.",
        ),
        Misconception(
            "divided by n",
            lambda r, v: _interval(mean(_differences(r, v)), 2 * stdev(_differences(r, v)) / len(r)),
            "Divide the standard deviation by √n, not by n: four times the windows halve the interval.",
        ),
        Misconception(
            "standard deviation of all there is",
            lambda r, v: _interval(mean(_differences(r, v)), 2 * pstdev(_differences(r, v)) / sqrt(len(r))),
            "Your windows are a sample of all text: divide by n − 1 inside the standard deviation.",
        ),
        Misconception(
            "left in nats",
            lambda r, v: [log(1 + one) for one in paired_change(r, v)],
            "Those are nats. Perplexity is e to the loss, so a difference of losses is a *ratio* of perplexities.",
        ),
        Misconception(
            "reference minus variant",
            lambda r, v: paired_change(v, r),
            "You subtract the variant from the reference. A variant that is worse should come out above 0.",
        ),
    ),
)


# --- q3: what an interval says ------------------------------------------------------------------------------


def verdict(low, high, margin):
    if low > margin:
        return "worse"
    if high < -margin:
        return "better"
    if -margin < low and high < margin:
        return "as good"
    return "can't tell"


def verdict_inputs(rng):
    yield -0.01, 0.03, 0.02
    yield -0.003, 0.004, 0.01
    yield 0.002, 0.006, 0.01
    yield 0.015, 0.03, 0.02
    yield -0.04, -0.005, 0.02
    # Just as far as the margin is neither within it nor beyond.
    yield -0.02, 0.01, 0.02
    yield -0.01, 0.02, 0.02
    yield 0.02, 0.05, 0.02
    yield -0.05, -0.02, 0.02
    for low, high in ((1.1, 2.4), (-2.4, -1.1), (-0.7, -0.1), (0.1, 0.7), (-0.6, 0.5)) * 2:
        margin = round(rng.uniform(0.005, 0.03), 4)
        low, high = (end * margin * rng.uniform(0.95, 1.3) for end in (low, high))
        yield round(low, 4), round(high, 4), margin


VERDICT = Question(
    id="ch12.q3",
    points=2,
    asks='"worse" or "better" (by more than the margin, surely), "as good" (within it, surely) or "can\'t tell"',
    reference=verdict,
    inputs=verdict_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "zero inside proves equality",
            lambda low, high, m: "as good" if low <= 0 <= high else verdict(low, high, m),
            "An interval that holds zero shows no difference. It may still reach far beyond the margin: a test of two "
            "windows would call everything equal.",
        ),
        Misconception(
            "zero outside is a difference",
            lambda low, high, m: "worse" if low > 0 else "better" if high < 0 else verdict(low, high, m),
            "A difference that is surely there can be surely small. Compare the near end with the margin, not with 0.",
        ),
        Misconception(
            "the middle decides",
            lambda low, high, m: verdict((low + high) / 2, (low + high) / 2, m),
            "You look at the middle of the interval. The truth may be at either end, so both ends have to agree.",
        ),
        Misconception(
            "the width decides",
            lambda low, high, m: "as good" if high - low < m else verdict(low, high, m),
            "A narrow interval can lie in the wrong place. Ask whether all of it is within the margin.",
        ),
    ),
)


# --- q4: bits per byte --------------------------------------------------------------------------------------


def bits_per_byte(perplexity, tokens, text_bytes):
    return log2(perplexity) * tokens / text_bytes


def byte_inputs(rng):
    yield 16.0, 1000, 4000
    yield 12.0, 1200, 4000
    for _ in range(5):
        tokens = int(rng.integers(2_000, 60_000))
        yield round(rng.uniform(4, 90), 2), tokens, int(tokens * rng.uniform(2.2, 4.8))


BYTES = Question(
    id="ch12.q4",
    points=2,
    asks="bits per byte of text",
    reference=bits_per_byte,
    inputs=byte_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "nats for bits",
            lambda p, t, b: log(p) * t / b,
            "The natural logarithm gives nats. Bits have base 2.",
        ),
        Misconception(
            "bytes per token turned over",
            lambda p, t, b: log2(p) * b / t,
            "The text costs log₂(perplexity) bits a *token*. All its tokens together are spread over its bytes.",
        ),
        Misconception(
            "bits per token",
            lambda p, t, b: log2(p),
            "That is bits per token, and tokens differ between vocabularies. Bytes don't.",
        ),
        Misconception(
            "perplexity per byte",
            lambda p, t, b: p * t / b,
            "Perplexity is a power of the loss: it can't be shared out over bytes. Take the logarithm first.",
        ),
    ),
    properties=(
        Property(
            "half as many tokens with the square of the perplexity spell the text as well",
            lambda f, p, t, b: abs(f(p * p, t / 2, b) / f(p, t, b) - 1) < 1e-9,
        ),
    ),
)


# --- q5: how much faster is all of it? ----------------------------------------------------------------------


def speedup(before_s, after_s):
    return sum(before_s) / sum(after_s)


def speedup_inputs(rng):
    yield [1.0, 10.0], [0.25, 10.0]
    yield [2.0, 1.0, 4.0], [1.0, 2.0, 1.0]
    for count in (3, 5, 8, 8, 13):
        before = rng.lognormal(0, 1.2, count)
        after = before / rng.uniform(0.6, 6, count)
        yield [round(float(one), 3) + 0.01 for one in before], [round(float(one), 3) + 0.01 for one in after]


SPEEDUP = Question(
    id="ch12.q5",
    points=2,
    asks="by what factor all the requests together take less time",
    reference=speedup,
    inputs=speedup_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "mean of ratios",
            lambda b, a: mean(x / y for x, y in zip(b, a, strict=True)),
            "You average the speed-ups of single requests: a short one counts as much as a long one. Add the seconds "
            "first.",
        ),
        Misconception(
            "the ratio turned over",
            lambda b, a: sum(a) / sum(b),
            "That is the share of the time that is left. How many times as fast is one over that.",
        ),
        Misconception(
            "mean of inverse ratios",
            lambda b, a: 1 / mean(y / x for x, y in zip(b, a, strict=True)),
            "The mean of after / before still gives each request the same weight. Add the seconds first.",
        ),
        Misconception(
            "median of ratios",
            lambda b, a: median(x / y for x, y in zip(b, a, strict=True)),
            "The median request is not the bill. The long requests are: add the seconds first.",
        ),
    ),
    properties=(
        Property(
            "half the time everywhere is twice as fast",
            lambda f, b, a: abs(f(a, [one / 2 for one in a]) - 2) < 1e-9,
        ),
    ),
)


# --- q6: dollars per million tokens -------------------------------------------------------------------------


def usd_per_mtok(usd_per_hour, step_s, batch, utilization):
    tokens_per_hour = batch / step_s * 3600 * utilization
    return usd_per_hour / tokens_per_hour * 1_000_000


def price_inputs(rng):
    yield 0.36, 0.1, 10, 1.0
    yield 0.36, 0.1, 10, 0.25
    for _ in range(6):
        prices = round(rng.uniform(0.05, 12), 2), round(rng.uniform(0.005, 0.3), 4)
        yield *prices, int(rng.choice([1, 4, 8, 16, 64])), round(rng.uniform(0.05, 0.9), 2)


PRICE = Question(
    id="ch12.q6",
    points=2,
    asks="USD per million output tokens",
    reference=usd_per_mtok,
    inputs=price_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "always busy",
            lambda usd, s, b, u: usd / (b / s * 3600) * 1e6,
            "You pay for every hour, busy or not. At a utilization of 0.25 each token carries three idle ones.",
        ),
        Misconception(
            "cheaper when idle",
            lambda usd, s, b, u: usd / (b / s * 3600) * 1e6 * u,
            "You multiply by the utilization: an idle machine would make tokens cheaper. It makes fewer of them.",
        ),
        Misconception(
            "one sequence",
            lambda usd, s, b, u: usd / (1 / s * 3600 * u) * 1e6,
            "A step gives one token to each of the `batch` sequences.",
        ),
        Misconception(
            "per thousand",
            lambda usd, s, b, u: usd / (b / s * 3600 * u) * 1e3,
            "That is the price of a thousand tokens.",
        ),
        Misconception(
            "dollars per second",
            lambda usd, s, b, u: usd / (b / s * u) * 1e6,
            "The price is per hour and the step in seconds: an hour has 3,600 of them.",
        ),
    ),
    properties=(
        Property(
            "at half the utilization a token costs twice as much",
            lambda f, usd, s, b, u: abs(f(usd, s, b, u / 2) / f(usd, s, b, u) - 2) < 1e-9,
        ),
    ),
)


# --- q7: who is beaten --------------------------------------------------------------------------------------


def beaten_by(points, name):
    mine = points[name]
    return sorted(
        other
        for other, theirs in points.items()
        if all(t <= m for t, m in zip(theirs, mine, strict=True)) and theirs != mine
    )


def points_inputs(rng):
    usual = {
        "fp32": (32, 0.0),
        "bf16": (16, 0.0),
        "gptq4": (4.25, 1.2),
        "rtn4": (4.25, 3.1),
        "rtn3": (3.25, 9.0),
    }
    for name in usual:
        yield usual, name
    twins = {"a": (2, 2), "b": (2, 2), "c": (3, 2), "d": (2, 3), "e": (1, 4)}
    for name in "acd":
        yield twins, name
    for _ in range(6):
        drawn = {name: tuple(int(one) for one in rng.integers(1, 6, 3)) for name in "uvwxyz"}
        yield drawn, str(rng.choice(list("uvwxyz")))
    yield {"u": (3, 3, 3), "v": (1, 2, 3), "w": (2, 2, 2), "x": (1, 5, 1), "y": (4, 4, 4)}, "u"


BEATEN = Question(
    id="ch12.q7",
    points=3,
    asks="the names, sorted, of the points that beat this one: no larger in anything, smaller in something",
    reference=beaten_by,
    inputs=points_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "better in everything",
            lambda points, name: sorted(
                o for o, t in points.items() if all(x < y for x, y in zip(t, points[name], strict=True))
            ),
            "A point that is equal in one quantity and better in the others beats it too: bf16 beats fp32 at equal "
            "quality.",
        ),
        Misconception(
            "better in one thing",
            lambda points, name: sorted(
                o for o, t in points.items() if any(x < y for x, y in zip(t, points[name], strict=True))
            ),
            "Smaller in one quantity and larger in another is a trade, not a defeat. It has to be no larger in any.",
        ),
        Misconception(
            "twins beat each other",
            lambda points, name: sorted(
                o
                for o, t in points.items()
                if o != name and all(x <= y for x, y in zip(t, points[name], strict=True))
            ),
            "Two equal points don't beat each other: then neither would be on the front. One quantity must be smaller.",
        ),
        Misconception(
            "larger is better",
            lambda points, name: sorted(
                o
                for o, t in points.items()
                if t != points[name] and all(x >= y for x, y in zip(t, points[name], strict=True))
            ),
            "You list those that this one beats. Every quantity here is better when it is smaller.",
        ),
    ),
)


# --- capstone: the recommendation ---------------------------------------------------------------------------


def recommendation(rows, limits, usd_per_hour, utilization):
    table = []
    for row in rows:
        usd = usd_per_hour / (row["tokens_per_s"] * 3600 * utilization) * 1_000_000
        over = {name: row[name] / limit for name, limit in limits.items()}
        worst = max(over, key=over.get)
        table.append([row["variant"], usd, over[worst], "dearer" if over[worst] <= 1 else worst])
    quality = {row["variant"]: row["change_hi"] for row in rows}
    fine = [line for line in table if line[3] == "dearer"]
    if fine:
        min(fine, key=lambda line: (line[1], quality[line[0]]))[3] = "chosen"
    else:
        min(table, key=lambda line: (line[2], quality[line[0]]))[3] = "nearest"
    return table


def recommendation_inputs(rng):
    def row(name, change, change_hi, tpot_s, memory_bytes, tokens_per_s):
        return {
            "variant": name,
            "change": change,
            "change_hi": change_hi,
            "tpot_s": tpot_s,
            "memory_bytes": memory_bytes,
            "tokens_per_s": tokens_per_s,
        }

    usual = [
        row("fp32", 0.0, 0.0, 0.040, 500e6, 120.0),
        row("rtn4", 0.011, 0.015, 0.012, 220e6, 250.0),
        row("gptq4", 0.004, 0.007, 0.012, 220e6, 250.0),
        row("int8", 0.018, 0.026, 0.010, 240e6, 300.0),
        row("bf16", 0.0, 0.0001, 0.020, 330e6, 110.0),
    ]
    # By their order, by their upper ends, exactly at a limit, and by no means.
    yield usual, {"change_hi": 0.02, "tpot_s": 0.03, "memory_bytes": 350e6}, 0.2, 0.4
    yield usual, {"change_hi": 0.012, "tpot_s": 0.03, "memory_bytes": 350e6}, 0.1, 0.5
    yield usual, {"change_hi": 0.026, "tpot_s": 0.010, "memory_bytes": 240e6}, 0.3, 0.3
    yield usual, {"change_hi": 0.005, "tpot_s": 0.018, "memory_bytes": 250e6}, 0.2, 0.4
    yield usual, {"change_hi": 0.001, "tpot_s": 0.011, "memory_bytes": 100e6}, 0.05, 0.7
    twins = [row("one", 0.01, 0.02, 0.02, 3e8, 100.0), row("two", 0.01, 0.015, 0.02, 3e8, 100.0)]
    yield twins, {"change_hi": 0.03, "tpot_s": 0.01, "memory_bytes": 4e8}, 0.2, 0.5
    for _ in range(4):
        drawn = []
        for name in ("fp32", "bf16", "int8", "gptq4", "rtn4", "rtn3"):
            change = round(rng.uniform(-0.002, 0.04), 4)
            sizes = round(rng.uniform(0.008, 0.05), 4), float(rng.integers(150, 600)) * 1e6
            wide = round(change + rng.uniform(0.001, 0.01), 4)
            drawn.append(row(name, change, wide, *sizes, round(rng.uniform(40, 400), 1)))
        limits = {"change_hi": round(rng.uniform(0.01, 0.04), 3), "tpot_s": round(rng.uniform(0.02, 0.04), 3)}
        yield (
            drawn,
            {**limits, "memory_bytes": 400e6},
            round(rng.uniform(0.05, 1), 2),
            round(rng.uniform(0.1, 0.9), 2),
        )


def _with_rows(change):
    """The reference on rows that were read wrongly."""
    return lambda rows, limits, usd, use: recommendation(
        [change(dict(row)) for row in rows], limits, usd, use
    )


def _middle(row):
    return {**row, "change_hi": row["change"]}


def _first_that_fits(rows, limits, usd, use):
    table = recommendation(rows, limits, usd, use)
    table = [[*line[:3], "dearer" if line[3] == "chosen" else line[3]] for line in table]
    fine = [line for line in table if line[3] == "dearer"]
    if fine:
        fine[0][3] = "chosen"
    return table


def _cheapest_of_all(rows, limits, usd, use):
    table = [
        [*line[:3], "dearer" if line[3] in ("chosen", "nearest") else line[3]]
        for line in recommendation(rows, limits, usd, use)
    ]
    min(table, key=lambda line: line[1])[3] = "chosen"
    return table


CAPSTONE = Question(
    id="ch12.capstone",
    points=10,
    asks="a row [variant, usd_per_mtok, over, verdict] for each variant, in the order given",
    reference=recommendation,
    inputs=recommendation_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "the middle of the interval",
            _with_rows(_middle),
            "You hold `change` to the limit. What the test couldn't rule out may be true: use `change_hi`.",
        ),
        Misconception(
            "always busy",
            lambda rows, limits, usd, use: recommendation(rows, limits, usd, 1.0),
            "Your price takes the machine for busy all the time. Divide by the utilization as well.",
        ),
        Misconception(
            "cheaper when idle",
            lambda rows, limits, usd, use: recommendation(rows, limits, usd * use, 1.0),
            "You multiply the price by the utilization. An idle hour costs as much and makes nothing.",
        ),
        Misconception(
            "cheapest of all",
            _cheapest_of_all,
            "You choose the cheapest of all variants. First drop those that break a limit.",
        ),
        Misconception(
            "first that fits",
            _first_that_fits,
            "You choose the first variant that keeps the limits. Of those, choose the cheapest (and of equally cheap "
            "ones the one with the least `change_hi`).",
        ),
        Misconception(
            "the mildest limit",
            lambda rows, limits, usd, use: [
                [name, price, min(one[key] / limit for key, limit in limits.items()), said]
                for one, (name, price, _, said) in zip(
                    rows, recommendation(rows, limits, usd, use), strict=True
                )
            ],
            "`over` is the *largest* value / limit: a variant is as far from allowed as its worst limit.",
        ),
    ),
    properties=(
        Property(
            "exactly one variant is chosen, or nearest",
            lambda f, *args: sum(line[3] in ("chosen", "nearest") for line in f(*args)) == 1,
        ),
    ),
)


QUESTIONS = (TYPICAL, PAIRED, VERDICT, BYTES, SPEEDUP, PRICE, BEATEN, CAPSTONE)
