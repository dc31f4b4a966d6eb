"""Chapter 01, graded: a variant of each practice question. An answer to the practice question is worth nothing here.

References and generators are the instructor's. Every variant names among its misconceptions what a student
hands in who copied the practice answer.
"""

from math import floor

from course_utils.grading.labs import GradedQuestion, WrittenQuestion
from course_utils.grading.questions import Misconception, Property

# USD per million tokens in and out, as of 2026-11-03 (genai-prices 0.2.3): gpt-5-mini, claude-haiku-4-5,
# gemini-2.5-pro, gpt-4o.
PRICES = ((0.25, 2.0), (1.0, 5.0), (1.25, 10.0), (2.5, 10.0))


# --- g1: through the batch API ------------------------------------------------------------------------------


def batch_request_usd(input_tokens, output_tokens, input_usd_per_mtok, output_usd_per_mtok, discount):
    usd = (input_tokens * input_usd_per_mtok + output_tokens * output_usd_per_mtok) / 1_000_000
    return usd * (1 - discount)


def batch_inputs(rng):
    yield 2400, 150, 2.5, 10.0, 0.25
    yield 0, 700, 1.25, 10.0, 0.4
    yield 9000, 0, 1.0, 5.0, 0.3
    yield 3000, 400, 1.0, 5.0, 0.0
    for _ in range(5):
        pair = PRICES[rng.integers(len(PRICES))]
        discount = round(rng.uniform(0.05, 0.45), 2)
        yield int(rng.integers(50, 20_000)), int(rng.integers(10, 4_000)), *pair, discount


BATCH = GradedQuestion(
    id="ch01.g1",
    points=1,
    asks="the cost of one request, in USD, through a batch API that takes `discount` (0.5 is 50 %) off both prices",
    reference=batch_request_usd,
    inputs=batch_inputs,
    close=1e-6,
    example=(1000, 200, 2.5, 10.0, 0.5),
    card="""\
### Graded 1 · through the batch API
●○○ · 4 minutes

A batch API takes `discount` (0.5 is 50 %) off both prices, which are per million tokens. Return the cost of one
request in USD.""",
    misconceptions=(
        Misconception(
            "no discount",
            lambda i, o, pi, po, d: (i * pi + o * po) / 1_000_000,
            "You bill the full prices. The batch API takes its discount off both.",
        ),
        Misconception(
            "the discount is what is paid",
            lambda i, o, pi, po, d: (i * pi + o * po) / 1_000_000 * d,
            "You pay the discount. What is left after it is paid: 1 − discount.",
        ),
        Misconception(
            "output only",
            lambda i, o, pi, po, d: (i * pi + o * po * (1 - d)) / 1_000_000,
            "You take the discount off the output alone. Input is cheaper too.",
        ),
        Misconception(
            "per thousand",
            lambda i, o, pi, po, d: (i * pi + o * po) / 1000 * (1 - d),
            "You divide by a thousand. The prices are per million.",
        ),
    ),
    properties=(
        Property(
            "a larger discount never costs more",
            lambda f, i, o, pi, po, d: f(i, o, pi, po, min(1.0, d + 0.1)) <= f(i, o, pi, po, d) + 1e-15,
        ),
    ),
)


# --- g2: what thinking costs --------------------------------------------------------------------------------


def thinking_share(input_tokens, visible_tokens, reasoning_tokens, input_usd_per_mtok, output_usd_per_mtok):
    thinking = reasoning_tokens * output_usd_per_mtok
    return thinking / (input_tokens * input_usd_per_mtok + visible_tokens * output_usd_per_mtok + thinking)


def thinking_inputs(rng):
    yield 1500, 300, 2400, 0.25, 2.0
    yield 1500, 300, 0, 1.25, 10.0
    yield 0, 0, 800, 1.0, 5.0
    yield 1, 0, 900, 1.0, 5.0
    for _ in range(5):
        pair = PRICES[rng.integers(len(PRICES))]
        yield int(rng.integers(200, 9000)), int(rng.integers(20, 900)), int(rng.integers(100, 9000)), *pair


THINKING = GradedQuestion(
    id="ch01.g2",
    points=1,
    asks="the share of a request's cost, from 0 to 1, that its reasoning tokens make up",
    reference=thinking_share,
    inputs=thinking_inputs,
    close=1e-6,
    example=(2000, 250, 1000, 1.0, 5.0),
    card="""\
### Graded 2 · what thinking costs
●○○ · 4 minutes

Return the share, from 0 to 1, of a request's whole cost that its reasoning tokens make up.""",
    misconceptions=(
        Misconception(
            "share of the tokens",
            lambda i, v, r, pi, po: r / (i + v + r),
            "You give the share of the tokens. Weigh each kind with its price.",
        ),
        Misconception(
            "input left out",
            lambda i, v, r, pi, po: r / (v + r) if v + r else 0.0,
            "You leave the input out. It is part of what the request costs.",
        ),
        Misconception(
            "reasoning at the input's price",
            lambda i, v, r, pi, po: r * pi / (i * pi + v * po + r * pi),
            "You bill reasoning as input. It is generated, and billed as output.",
        ),
        Misconception(
            "percent",
            lambda i, v, r, pi, po: 100 * r * po / (i * pi + (v + r) * po),
            "You give percent. A share lies between 0 and 1.",
        ),
        Misconception(
            "the cost and not its share",
            lambda i, v, r, pi, po: r * po / 1_000_000,
            "You give what the reasoning costs. Divide by what the whole request costs.",
        ),
    ),
    properties=(Property("a share lies between 0 and 1", lambda f, *args: 0 <= f(*args) <= 1),),
)


# --- g3: what a hit saves -----------------------------------------------------------------------------------


def cache_saving_usd(input_tokens, cached_tokens, input_usd_per_mtok, cached_usd_per_mtok):
    return min(cached_tokens, input_tokens) * (input_usd_per_mtok - cached_usd_per_mtok) / 1_000_000


def saving_inputs(rng):
    yield 12_000, 9_000, 2.5, 0.25
    yield 12_000, 0, 2.5, 0.25
    yield 5_000, 5_000, 1.0, 0.1
    yield 3_000, 4_000, 1.25, 0.125  # a cached prefix longer than this request's input: it can't be more
    for _ in range(5):
        price, _out = PRICES[rng.integers(len(PRICES))]
        whole = int(rng.integers(2_000, 50_000))
        yield whole, int(whole * rng.uniform(0.1, 0.95)), price, round(price * rng.uniform(0.08, 0.4), 4)


SAVING = GradedQuestion(
    id="ch01.g3",
    points=2,
    asks="the USD that a cache hit saved on one request: what it would have cost fresh, less what it did cost; "
    "no more than its `input_tokens` can be read from the cache",
    reference=cache_saving_usd,
    inputs=saving_inputs,
    close=1e-6,
    example=(10_000, 6_000, 2.0, 0.2),
    card="""\
### Graded 3 · what a hit saves
●●○ · 5 minutes

`cached_tokens` of a prefix lie in the cache; of them no more than the request's `input_tokens` are read. Return the
USD that this saves on the request, against sending all of it fresh.""",
    misconceptions=(
        Misconception(
            "a hit is free",
            lambda i, c, pi, pc: min(c, i) * pi / 1_000_000,
            "You count the whole price of the cached tokens as saved. Reading them costs something too.",
        ),
        Misconception(
            "all input is saved on",
            lambda i, c, pi, pc: i * (pi - pc) / 1_000_000 if c else 0.0,
            "You save on every input token. Only those in the cache are cheaper.",
        ),
        Misconception(
            "what the hit cost",
            lambda i, c, pi, pc: min(c, i) * pc / 1_000_000,
            "You give what the cached tokens cost. The saving is the difference to their fresh price.",
        ),
        Misconception(
            "the bill and not the saving",
            lambda i, c, pi, pc: ((i - c) * pi + c * pc) / 1_000_000,
            "You give the request's bill. The saving is asked for: the bill without a hit, less this one.",
        ),
        Misconception(
            "more read than sent",
            lambda i, c, pi, pc: c * (pi - pc) / 1_000_000,
            "You let a request read more from the cache than it sends. Its input is the most that can be cached.",
        ),
    ),
)


# --- g4: keeping it longer ----------------------------------------------------------------------------------


def uses_until_keeping_pays(long_write, short_write, read):
    return floor((long_write - read) / (short_write - read)) + 1


def keeping_inputs(rng):
    yield 2.0, 1.25, 0.1
    yield 2.0, 1.0, 0.1
    yield 4.0, 1.5, 0.25  # a tie after three uses
    yield 3.5, 1.0, 0.5  # (3.5 - 0.5) / 0.5 = 6, a tie
    for _ in range(6):
        short, read = round(rng.uniform(1.0, 1.6), 2), round(rng.uniform(0.05, 0.5), 2)
        long = round(short + rng.uniform(0.3, 5.0), 2)
        uses = (long - read) / (short - read)
        # Two ways to add such numbers differ in the last bit: no random ties.
        yield (long + 0.01 if abs(uses - round(uses)) < 1e-6 else long), short, read


KEEPING = GradedQuestion(
    id="ch01.g4",
    points=2,
    asks="the smallest number of uses at which writing once to a cache that keeps (`long_write`, then reads) is "
    "cheaper than writing at every use (`short_write` each time, because it has lapsed)",
    reference=uses_until_keeping_pays,
    inputs=keeping_inputs,
    close=1e-6,
    example=(2.2, 1.2, 0.2),
    card="""\
### Graded 4 · keeping it longer
●●● · 8 minutes

Your users come once in twenty minutes: a cache that keeps for five minutes has lapsed each time, and every use writes
again, at `short_write`. A cache that keeps for hours is written once, at `long_write`, and read at `read` from then
on. (All relative to fresh input.) Return the smallest whole number of uses at which keeping is *cheaper*.""",
    misconceptions=(
        Misconception(
            "against fresh input",
            lambda long, short, read: floor((long - read) / (1 - read)) + 1,
            "You compare with sending the prefix fresh. Here the other way is to write it at every use.",
        ),
        Misconception(
            "reads instead of uses",
            lambda long, short, read: floor((long - read) / (short - read)),
            "You count the reads. The write is a use as well: add it.",
        ),
        Misconception(
            "reads for nothing",
            lambda long, short, read: floor(long / short) + 1,
            "You let the reads go free. Each use after the first reads.",
        ),
        Misconception(
            "the first use reads as well",
            lambda long, short, read: floor(long / (short - read)) + 1,
            "You charge the first use a read on top of its write.",
        ),
    ),
    properties=(
        Property(
            "that many uses are cheaper when kept",
            lambda f, long, short, read: (
                long + (f(long, short, read) - 1) * read < f(long, short, read) * short
            ),
        ),
    ),
)


# --- g5: traffic up, prices down ----------------------------------------------------------------------------


def total_with_falling_prices_usd(first_month_usd, growth_per_month, price_drop_per_month, months):
    factor = (1 + growth_per_month) * (1 - price_drop_per_month)
    return sum(first_month_usd * factor**month for month in range(months))


def falling_inputs(rng):
    yield 8_000.0, 0.10, 0.03, 12
    yield 8_000.0, 0.0, 0.05, 12
    yield 5_000.0, 0.25, 0.2, 6  # more traffic and lower prices cancel out
    yield 2_500.0, 0.3, 0.1, 1
    for _ in range(5):
        first, growth = float(rng.integers(500, 90_000)), round(rng.uniform(0.02, 0.4), 3)
        yield first, growth, round(rng.uniform(0.01, 0.15), 3), int(rng.integers(2, 25))


FALLING = GradedQuestion(
    id="ch01.g5",
    points=2,
    asks="the sum of `months` bills, in USD, when traffic grows by `growth_per_month` and prices fall by "
    "`price_drop_per_month`, each on what it was the month before",
    reference=total_with_falling_prices_usd,
    inputs=falling_inputs,
    close=1e-6,
    example=(1_000.0, 0.2, 0.05, 3),
    card="""\
### Graded 5 · traffic up, prices down
●●○ · 6 minutes

Traffic grows by `growth_per_month` and the price of a token falls by `price_drop_per_month`, each from the month
before. The first month is as you measured it. Return the sum of all `months` bills in USD.""",
    misconceptions=(
        Misconception(
            "prices stay",
            lambda f, g, d, n: sum(f * (1 + g) ** month for month in range(n)),
            "You let the prices stay. They fall every month.",
        ),
        Misconception(
            "rates added",
            lambda f, g, d, n: sum(f * (1 + g - d) ** month for month in range(n)),
            "You take the difference of the two rates. More traffic at a lower price is a product.",
        ),
        Misconception(
            "first month already changed",
            lambda f, g, d, n: sum(f * ((1 + g) * (1 - d)) ** month for month in range(1, n + 1)),
            "You change the first month. It is what was measured.",
        ),
        Misconception(
            "prices fall once",
            lambda f, g, d, n: sum(f * (1 + g) ** month * (1 - d if month else 1) for month in range(n)),
            "You let the prices fall once. They fall from month to month.",
        ),
        Misconception(
            "the last month only",
            lambda f, g, d, n: f * ((1 + g) * (1 - d)) ** (n - 1),
            "You give the last month's bill. The sum is asked for.",
        ),
    ),
)


# --- g6: the last week counts -------------------------------------------------------------------------------


def day_budget_is_passed(daily_usd, budget_usd, days_in_month):
    week = daily_usd[-7:]
    rate_usd, spent_usd = sum(week) / len(week), sum(daily_usd)
    for day in range(len(daily_usd) + 1, days_in_month + 1):
        spent_usd += rate_usd
        if spent_usd > budget_usd:
            return day
    return None


def week_inputs(rng):
    yield [20.0] * 5 + [100.0] * 7, 1_650.0, 30
    yield [200.0] * 8 + [10.0] * 7, 5_000.0, 30
    yield [100.0] * 3, 1_050.0, 30  # fewer than seven days: all there are
    yield [40.0] * 4 + [80.0] * 7, 2_240.0, 30  # the thirtieth day spends exactly the budget: not passed
    yield [40.0] * 4 + [80.0] * 7, 2_200.0, 30
    for _ in range(6):
        days = int(rng.integers(9, 17))
        daily = [round(float(usd), 2) for usd in rng.gamma(4, 50, days) * rng.uniform(0.2, 1, days)]
        daily[-7:] = [round(usd * 2.5, 2) for usd in daily[-7:]]
        rate = sum(daily[-7:]) / 7
        yield daily, round(sum(daily) + rate * (rng.integers(2, 20) - 0.5), 2), int(rng.integers(28, 32))


WEEK = GradedQuestion(
    id="ch01.g6",
    points=2,
    asks="the day of the month, from 1, on which spending first passes the budget if every day to come costs the "
    "mean of the last seven days (of all, if there are fewer); None if the month ends first",
    reference=day_budget_is_passed,
    inputs=week_inputs,
    close=1e-6,
    example=([10.0, 10.0, 10.0, 50.0, 50.0, 50.0, 50.0, 50.0, 50.0, 50.0], 800.0, 30),
    card="""\
### Graded 6 · the last week counts
●●● · 8 minutes

`daily_usd` has the month's days so far. Suppose that every day to come costs the mean of the *last seven* (of all, if
there are fewer). Return the day of the month, from 1, on which spending first passes `budget_usd`; None if the month,
`days_in_month` long, ends first.""",
    misconceptions=(
        Misconception(
            "mean of all days",
            lambda d, b, n: _passed(d, b, n, sum(d) / len(d)),
            "You take the mean of all days. The last seven say more about tomorrow.",
        ),
        Misconception(
            "the last day goes on",
            lambda d, b, n: _passed(d, b, n, d[-1]),
            "You go on with the last day. One day is noise; take the week.",
        ),
        Misconception(
            "always by seven",
            lambda d, b, n: _passed(d, b, n, sum(d[-7:]) / 7),
            "You divide by seven also where there are fewer days.",
        ),
        Misconception(
            "days from now",
            lambda d, b, n: _later(day_budget_is_passed(d, b, n), -len(d)),
            "You count from today. The day of the month is asked for.",
        ),
        Misconception(
            "never none",
            lambda d, b, n: day_budget_is_passed(d, b, 10_000),
            "You go on past the end of the month. If the budget lasts, the answer is None.",
        ),
    ),
)


def _passed(daily_usd, budget_usd, days_in_month, rate_usd):
    days = range(len(daily_usd) + 1, days_in_month + 1)
    spent = sum(daily_usd)
    return next((day for day in days if spent + (day - len(daily_usd)) * rate_usd > budget_usd), None)


def _later(day, by):
    return None if day is None else day + by


# --- g7: busy hours -----------------------------------------------------------------------------------------


def usd_per_mtok_of_day(usd_per_hour, tokens_per_s, busy_hours_per_day):
    return usd_per_hour * 24 / (tokens_per_s * 3600 * busy_hours_per_day) * 1_000_000


def busy_inputs(rng):
    yield 2.5, 1_000.0, 24.0
    yield 2.5, 1_000.0, 6.0
    yield 4.0, 500.0, 1.0
    for _ in range(6):
        yield (
            round(rng.uniform(0.3, 12), 2),
            float(rng.integers(40, 9_000)),
            round(rng.uniform(1.5, 23), 1),
        )


BUSY = GradedQuestion(
    id="ch01.g7",
    points=2,
    asks="USD per million tokens of a machine that is rented around the clock and makes `tokens_per_s` during "
    "`busy_hours_per_day` of it",
    reference=usd_per_mtok_of_day,
    inputs=busy_inputs,
    close=1e-6,
    example=(3.0, 2_000.0, 8.0),
    card="""\
### Graded 7 · busy hours
●●○ · 5 minutes

A machine is rented around the clock for `usd_per_hour`. It makes `tokens_per_s` during `busy_hours_per_day` and
nothing for the rest of the day. Return USD per million tokens.""",
    misconceptions=(
        Misconception(
            "hours taken for a share",
            lambda usd, rate, busy: usd / (rate * busy * 3600) * 1_000_000,
            "You take the busy hours for a share of the time. A share is hours over 24.",
        ),
        Misconception(
            "always busy",
            lambda usd, rate, busy: usd / (rate * 3600) * 1_000_000,
            "You take the machine to be busy around the clock.",
        ),
        Misconception(
            "idle is cheaper",
            lambda usd, rate, busy: usd * busy / 24 / (rate * 3600) * 1_000_000,
            "You make idle hours cheaper. The rent stays, and fewer tokens share it.",
        ),
        Misconception(
            "an hour is a second",
            lambda usd, rate, busy: usd * 24 / (rate * busy) * 1_000_000,
            "The rent is by the hour and the speed by the second: 3600 is missing.",
        ),
    ),
    properties=(
        Property(
            "half the busy hours double the price of a token",
            lambda f, usd, rate, busy: abs(f(usd, rate, busy / 2) / f(usd, rate, busy) - 2) < 1e-6,
        ),
    ),
)

QUESTIONS = (BATCH, THINKING, SAVING, KEEPING, FALLING, WEEK, BUSY)

WRITTEN = (
    WrittenQuestion(
        id="ch01.w1",
        points=4,
        card="""\
### Graded 8 · in your own words
●●○ · 10 minutes

Name the part of chapter 01's bill that you would attack first, the change that you would make, and the number in next
month's bill that would tell you whether it worked. Four to six sentences.""",
    ),
)
