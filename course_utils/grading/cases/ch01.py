"""Chapter 01, cost estimation: tokens to money, caches, reasoning, growth, budgets, your own machine."""

from math import floor

from course_utils.grading.questions import Misconception, Property, Question

# Real price pairs, USD per million tokens in and out (genai-prices 0.2.3, 2026-11-03), so that hints
# talk money that exists: gpt-5-mini, claude-haiku-4-5, gemini-2.5-pro, gpt-4o.
PRICES = ((0.25, 2.0), (1.0, 5.0), (1.25, 10.0), (2.5, 10.0))


# --- q1: one request ----------------------------------------------------------------------------------------


def request_usd(input_tokens, output_tokens, input_usd_per_mtok, output_usd_per_mtok):
    return (input_tokens * input_usd_per_mtok + output_tokens * output_usd_per_mtok) / 1_000_000


def request_inputs(rng):
    yield 1200, 300, 2.5, 10.0
    yield 0, 500, 1.25, 10.0
    yield 8000, 0, 1.0, 5.0
    for _ in range(5):
        pair = PRICES[rng.integers(len(PRICES))]
        yield int(rng.integers(50, 20_000)), int(rng.integers(10, 4_000)), *pair


ONE_REQUEST = Question(
    id="ch01.q1",
    points=1,
    asks="the cost of one request, in USD, from its tokens and the prices per million tokens",
    reference=request_usd,
    inputs=request_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "per thousand",
            lambda i, o, pi, po: (i * pi + o * po) / 1000,
            "You divide by a thousand. Price lists were per thousand tokens once; now they are per million.",
        ),
        Misconception(
            "price per token",
            lambda i, o, pi, po: i * pi + o * po,
            "You take the price for one token. It buys a million of them: a request would cost thousands.",
        ),
        Misconception(
            "one price for both",
            lambda i, o, pi, po: (i + o) * pi / 1_000_000,
            "You bill the output at the input price. Output costs four to eight times more.",
        ),
        Misconception(
            "prices swapped",
            lambda i, o, pi, po: (i * po + o * pi) / 1_000_000,
            "You multiply the input by the output price, and the output by the input price.",
        ),
    ),
    properties=(
        Property(
            "twice the tokens cost twice as much",
            lambda f, i, o, pi, po: abs(f(2 * i, 2 * o, pi, po) - 2 * f(i, o, pi, po)) < 1e-9,
        ),
    ),
)


# --- q2: reasoning is output --------------------------------------------------------------------------------


def answer_usd(visible_tokens, reasoning_tokens, output_usd_per_mtok):
    return (visible_tokens + reasoning_tokens) * output_usd_per_mtok / 1_000_000


def reasoning_inputs(rng):
    yield 200, 1_800, 10.0
    yield 200, 0, 10.0
    yield 0, 500, 5.0
    for _ in range(5):
        yield int(rng.integers(20, 900)), int(rng.integers(100, 9_000)), PRICES[rng.integers(len(PRICES))][1]


REASONING = Question(
    id="ch01.q2",
    points=1,
    asks="what an answer costs, in USD, from the tokens that you see and the reasoning tokens that you don't",
    reference=answer_usd,
    inputs=reasoning_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "hidden means free",
            lambda v, r, p: v * p / 1_000_000,
            "You bill what is shown. Reasoning is generated token by token too, and billed as output.",
        ),
        Misconception(
            "only the thinking",
            lambda v, r, p: r * p / 1_000_000,
            "You bill the reasoning and forget the answer itself.",
        ),
        Misconception(
            "reasoning at a quarter",
            lambda v, r, p: (v + r / 4) * p / 1_000_000,
            "You bill reasoning at an input price. It is output, at the full output price.",
        ),
        Misconception(
            "per thousand",
            lambda v, r, p: (v + r) * p / 1000,
            "You divide by a thousand. The price is for a million tokens.",
        ),
    ),
)


# --- q3: cached tokens are part of the input ----------------------------------------------------------------


def cached_request_usd(
    input_tokens, cached_tokens, output_tokens, input_usd_per_mtok, cached_usd_per_mtok, output_usd_per_mtok
):
    fresh_tokens = input_tokens - cached_tokens
    usd = fresh_tokens * input_usd_per_mtok + cached_tokens * cached_usd_per_mtok
    return (usd + output_tokens * output_usd_per_mtok) / 1_000_000


def cached_inputs(rng):
    yield 10_000, 8_000, 500, 2.5, 0.25, 10.0
    yield 10_000, 0, 500, 2.5, 0.25, 10.0
    yield 4_000, 4_000, 100, 1.0, 0.1, 5.0
    for _ in range(5):
        price_in, price_out = PRICES[rng.integers(len(PRICES))]
        whole = int(rng.integers(2_000, 50_000))
        cached = int(whole * rng.uniform(0.1, 0.95))
        yield whole, cached, int(rng.integers(10, 2_000)), price_in, price_in / 10, price_out


CACHED_REQUEST = Question(
    id="ch01.q3",
    points=2,
    asks="the cost of one request, in USD, when `cached_tokens` of its `input_tokens` were read from a cache",
    reference=cached_request_usd,
    inputs=cached_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "cached tokens counted twice",
            lambda i, c, o, pi, pc, po: (i * pi + c * pc + o * po) / 1_000_000,
            "You bill the cached tokens twice: at the full price inside the input and again at theirs. "
            "Take them out of the input first.",
        ),
        Misconception(
            "cached tokens for nothing",
            lambda i, c, o, pi, pc, po: ((i - c) * pi + o * po) / 1_000_000,
            "You let the cached tokens go free. A hit is cheap, not free.",
        ),
        Misconception(
            "a hit makes all input cheap",
            lambda i, c, o, pi, pc, po: ((i * pc if c else i * pi) + o * po) / 1_000_000,
            "You bill the whole input at the cached price. Only the part found in the cache is cheap.",
        ),
        Misconception(
            "cache ignored",
            lambda i, c, o, pi, pc, po: (i * pi + o * po) / 1_000_000,
            "You bill every input token at the full price, as if nothing had been cached.",
        ),
    ),
)


# --- q4: when a cache write pays ----------------------------------------------------------------------------


def uses_until_caching_pays(write_multiplier, read_multiplier):
    return floor((write_multiplier - read_multiplier) / (1 - read_multiplier)) + 1


def break_even_inputs(rng):
    yield 1.25, 0.1  # Anthropic, kept for five minutes
    yield 2.0, 0.1  # Anthropic, kept for an hour
    yield 1.0, 0.25  # written for free
    yield 2.0, 0.5  # a tie after two further uses
    yield 3.0, 0.5  # a tie
    for _ in range(5):
        write, read = round(rng.uniform(1.0, 4.0), 2), round(rng.uniform(0.05, 0.75), 2)
        uses = (write - read) / (1 - read)
        # Two ways to add 1.93 + 3 × 0.69 differ in the last bit: no random ties.
        yield (write + 0.01 if abs(uses - round(uses)) < 1e-6 else write), read


CACHE_PAYS = Question(
    id="ch01.q4",
    points=2,
    asks="the smallest number of uses of a prefix (the first writes it) at which caching is cheaper than not",
    reference=uses_until_caching_pays,
    inputs=break_even_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "reads instead of uses",
            lambda w, r: floor((w - r) / (1 - r)),
            "You count the reads. The write is a use as well: add it.",
        ),
        Misconception(
            "reads for nothing",
            lambda w, r: floor(w) + 1,
            "You let the reads go free. Each costs a part of the price of fresh input.",
        ),
        Misconception(
            "the first use is not written",
            lambda w, r: floor(w / (1 - r)) + 1,
            "You charge a read for the first use too. The first use pays for the write only.",
        ),
        Misconception(
            "always at the second use",
            lambda w, r: 2,
            "Two uses are enough for a cheap write with cheap reads. Try a write that costs twice the input.",
        ),
    ),
    properties=(
        Property(
            "that many uses are cheaper with the cache",
            lambda f, w, r: w + (f(w, r) - 1) * r < f(w, r),
        ),
    ),
)


# --- q5: growth compounds -----------------------------------------------------------------------------------


def growing_total_usd(first_month_usd, growth_per_month, months):
    return sum(first_month_usd * (1 + growth_per_month) ** month for month in range(months))


def growth_inputs(rng):
    yield 10_000.0, 0.10, 12
    yield 10_000.0, 0.0, 12
    yield 4_000.0, -0.05, 6
    yield 2_500.0, 0.3, 1
    for _ in range(5):
        yield float(rng.integers(500, 90_000)), round(rng.uniform(0.02, 0.4), 3), int(rng.integers(2, 25))


GROWTH = Question(
    id="ch01.q5",
    points=2,
    asks="the sum of `months` bills, in USD, when each is `growth_per_month` (0.1 is 10 %) above the last",
    reference=growing_total_usd,
    inputs=growth_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "linear growth",
            lambda f, g, n: sum(f * (1 + g * month) for month in range(n)),
            "You add the same amount every month. Growth compounds: each month grows from the one before it.",
        ),
        Misconception(
            "first month already grown",
            lambda f, g, n: sum(f * (1 + g) ** month for month in range(1, n + 1)),
            "You let the first month grow. It is what you have already measured.",
        ),
        Misconception(
            "last month times months",
            lambda f, g, n: n * f * (1 + g) ** (n - 1),
            "You take the last, highest month for every month.",
        ),
        Misconception(
            "the last month only",
            lambda f, g, n: f * (1 + g) ** (n - 1),
            "You give the last month's bill. The sum of all months is asked for.",
        ),
        Misconception(
            "no growth",
            lambda f, g, n: f * n,
            "You multiply the first month. The growth is missing.",
        ),
    ),
)


# --- q6: the day the budget runs out ------------------------------------------------------------------------


def day_budget_runs_out(daily_usd, budget_usd, days_in_month):
    spent_usd = sum(daily_usd)
    mean_usd = spent_usd / len(daily_usd)
    for day in range(len(daily_usd) + 1, days_in_month + 1):
        spent_usd += mean_usd
        if spent_usd > budget_usd:
            return day
    return None


def budget_inputs(rng):
    yield [100.0] * 10, 2_050.0, 30
    yield [10.0] * 10, 2_000.0, 30
    yield [50.0, 150.0], 3_000.0, 30  # the thirtieth day spends exactly the budget: not passed
    yield [50.0, 150.0], 2_950.0, 30
    for _ in range(6):
        days = int(rng.integers(3, 16))
        daily = [round(float(usd), 2) for usd in rng.gamma(4, 50, days)]
        # Reached on some day from tomorrow to the 33rd, so that most months end with the budget passed.
        yield daily, round(sum(daily) / days * rng.uniform(days + 0.5, 33), 2), int(rng.integers(28, 32))


BUDGET = Question(
    id="ch01.q6",
    points=2,
    asks="the day of the month, from 1, on which spending first passes the budget if every day to come "
    "costs the mean of the days so far; None if the month ends first",
    reference=day_budget_runs_out,
    inputs=budget_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "days from now",
            lambda d, b, n: _shifted(day_budget_runs_out(d, b, n), -len(d)),
            "You count from today. The day of the month is asked for: add the days that have passed.",
        ),
        Misconception(
            "starts from nothing",
            lambda d, b, n: next(
                (day for day in range(len(d) + 1, n + 1) if (day - len(d)) * sum(d) / len(d) > b), None
            ),
            "You forget what has been spent already.",
        ),
        Misconception(
            "the last day goes on",
            lambda d, b, n: next(
                (day for day in range(len(d) + 1, n + 1) if sum(d) + (day - len(d)) * d[-1] > b), None
            ),
            "You go on with the last day's spend. One day is noise; take the mean.",
        ),
        Misconception(
            "first day is zero",
            lambda d, b, n: _shifted(day_budget_runs_out(d, b, n), -1),
            "You are a day early: the first day of a month is 1, not 0.",
        ),
        Misconception(
            "never none",
            lambda d, b, n: day_budget_runs_out(d, b, 10_000),
            "You go on past the end of the month. If the budget lasts, the answer is None.",
        ),
    ),
)


def _shifted(day, by):
    return None if day is None else day + by


# --- q7: your own machine -----------------------------------------------------------------------------------


def own_usd_per_mtok(usd_per_hour, tokens_per_s, utilization):
    return usd_per_hour / (tokens_per_s * utilization * 3600) * 1_000_000


def own_inputs(rng):
    yield 2.5, 1_000.0, 1.0
    yield 2.5, 1_000.0, 0.25
    for _ in range(6):
        yield (
            round(rng.uniform(0.3, 12), 2),
            float(rng.integers(40, 9_000)),
            round(rng.uniform(0.03, 0.95), 2),
        )


OWN_MACHINE = Question(
    id="ch01.q7",
    points=2,
    asks="USD per million tokens of a machine rented by the hour that could make `tokens_per_s` and is busy "
    "for the share `utilization` of the time",
    reference=own_usd_per_mtok,
    inputs=own_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "always busy",
            lambda usd, rate, u: usd / (rate * 3600) * 1_000_000,
            "You take the machine to be busy around the clock. You pay for the idle hours too.",
        ),
        Misconception(
            "idle is cheaper",
            lambda usd, rate, u: usd * u / (rate * 3600) * 1_000_000,
            "You make an idle machine cheaper. The rent stays and fewer tokens share it: divide.",
        ),
        Misconception(
            "an hour is a second",
            lambda usd, rate, u: usd / (rate * u) * 1_000_000,
            "The price is for an hour and the speed for a second: 3600 is missing.",
        ),
        Misconception(
            "an hour is a minute",
            lambda usd, rate, u: usd / (rate * u * 60) * 1_000_000,
            "An hour has 3600 seconds, not 60.",
        ),
    ),
    properties=(
        Property(
            "half the utilization doubles the price of a token",
            lambda f, usd, rate, u: abs(f(usd, rate, u / 2) / f(usd, rate, u) - 2) < 1e-6,
        ),
    ),
)

QUESTIONS = (ONE_REQUEST, REASONING, CACHED_REQUEST, CACHE_PAYS, GROWTH, BUDGET, OWN_MACHINE)
