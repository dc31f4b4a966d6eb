"""Chapter 11, build or buy: break-even, machines for a peak, price at real use, cascades, present cost, reserving."""

from math import ceil, floor

from course_utils.grading.questions import Misconception, Property, Question

HOURS, DAYS = 730.5, 30.4375  # of a month


# --- q1: where an API and a machine cost the same -----------------------------------------------------------


def break_even(
    usd_per_hour, people_usd, input_tokens, output_tokens, input_usd_per_mtok, output_usd_per_mtok
):
    request_usd = (input_tokens * input_usd_per_mtok + output_tokens * output_usd_per_mtok) / 1_000_000
    return (usd_per_hour * 730.5 + people_usd) / (request_usd * 30.4375)


def break_even_inputs(rng):
    yield 4.0, 0.0, 1000, 500, 1.0, 4.0
    yield 4.0, 13_000.0, 1000, 500, 1.0, 4.0
    for _ in range(6):
        price = round(rng.uniform(0.1, 3), 2)
        yield (
            round(rng.uniform(1, 30), 2),
            float(rng.integers(2, 60) * 500),
            int(rng.integers(300, 4000)),
            int(rng.integers(50, 800)),
            price,
            round(price * rng.uniform(2, 8), 2),
        )


def _request(i, o, pi, po):
    return (i * pi + o * po) / 1e6


BREAK_EVEN = Question(
    id="ch11.q1",
    points=2,
    asks="the requests a day at which both cost the same",
    reference=break_even,
    inputs=break_even_inputs,
    close=1e-4,
    misconceptions=(
        Misconception(
            "forgot the people",
            lambda h, p, i, o, pi, po: h * HOURS / (_request(i, o, pi, po) * DAYS),
            "The machine doesn't run itself: `people_usd` belongs to what it costs in a month.",
        ),
        Misconception(
            "per month for per day",
            lambda h, p, i, o, pi, po: (h * HOURS + p) / _request(i, o, pi, po),
            "That is the number of requests in a *month*. Divide by its 30.4375 days.",
        ),
        Misconception(
            "one price for all tokens",
            lambda h, p, i, o, pi, po: (h * HOURS + p) / (_request(i, o, pi, pi) * DAYS),
            "You pay for output at the price of input. Each kind of token has its own.",
        ),
        Misconception(
            "an hour for a month",
            lambda h, p, i, o, pi, po: (h + p) / (_request(i, o, pi, po) * DAYS),
            "`usd_per_hour` is for one hour, and the machine is on for all 730.5 of a month.",
        ),
        Misconception(
            "price per token",
            lambda h, p, i, o, pi, po: (h * HOURS + p) / (_request(i, o, pi, po) * 1e6 * DAYS),
            "Prices are per *million* tokens: divide by 1,000,000.",
        ),
        Misconception(
            "people by the day",
            lambda h, p, i, o, pi, po: (h * HOURS / DAYS + p) / _request(i, o, pi, po),
            "You take `people_usd` for a day's pay. Both are a month's, and then a month has 30.4375 days.",
        ),
    ),
    properties=(
        Property(
            "dearer people move it up",
            lambda f, h, p, i, o, pi, po: f(h, p + 1000, i, o, pi, po) > f(h, p, i, o, pi, po),
        ),
    ),
)


# --- q2: copies for the busiest hour ------------------------------------------------------------------------


def copies_needed(requests_per_day, output_tokens, peak_to_mean, copy_tokens_per_s, load_at_peak, spare):
    peak_tokens_per_s = requests_per_day / 86_400 * output_tokens * peak_to_mean
    return ceil(peak_tokens_per_s / (copy_tokens_per_s * load_at_peak)) + spare


def copies_inputs(rng):
    yield 864_000, 200, 2.5, 2000, 0.7, 1
    yield 1_000, 200, 2.0, 2000, 0.7, 1
    for _ in range(6):
        copy = int(rng.integers(500, 4000))
        load = round(rng.uniform(0.5, 0.8), 2)
        peak = round(rng.uniform(1.6, 4.0), 1)
        # Half-way between two whole numbers, so that no rounding decides; enough copies to tell mistakes apart.
        wanted = int(rng.integers(5, 25)) + rng.uniform(0.3, 0.5)
        tokens = int(rng.integers(100, 500))
        yield (
            round(wanted * copy * load / peak / tokens * 86_400),
            tokens,
            peak,
            copy,
            load,
            int(rng.integers(1, 3)),
        )


COPIES = Question(
    id="ch11.q2",
    points=2,
    asks="how many copies must stand ready, as a whole number",
    reference=copies_needed,
    inputs=copies_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "mean instead of peak",
            lambda r, o, p, c, load, s: ceil(r / 86_400 * o / (c * load)) + s,
            "Enough for the mean hour. In the busiest hour everybody waits: multiply by `peak_to_mean`.",
        ),
        Misconception(
            "at 100 % utilization",
            lambda r, o, p, c, load, s: ceil(r / 86_400 * o * p / c) + s,
            "You run every copy at full load, where queues grow without end. Plan for `load_at_peak` of it.",
        ),
        Misconception(
            "no spare",
            lambda r, o, p, c, load, s: ceil(r / 86_400 * o * p / (c * load)),
            "If one fails in the busiest hour, you are one short: add the `spare` ones.",
        ),
        Misconception(
            "rounded down",
            lambda r, o, p, c, load, s: floor(r / 86_400 * o * p / (c * load)) + s,
            "Rounded down, the last part of the load has no copy. Round up, then add the spare.",
        ),
        Misconception(
            "not a whole number",
            lambda r, o, p, c, load, s: r / 86_400 * o * p / (c * load) + s,
            "Nobody rents 7.4 copies: round up.",
        ),
        Misconception(
            "requests for tokens",
            lambda r, o, p, c, load, s: ceil(r / 86_400 * p / (c * load)) + s,
            "A copy's speed is in *tokens* per second; how many does a request ask for?",
        ),
    ),
)


# --- q3: what a token costs on a real day -------------------------------------------------------------------


def day_usd_per_mtok(load_tokens_per_s, copy_tokens_per_s, usd_per_hour, spare):
    copies = ceil(max(load_tokens_per_s) / copy_tokens_per_s) + spare
    day_usd = copies * usd_per_hour * len(load_tokens_per_s)
    day_tokens = sum(load_tokens_per_s) * 3600
    return day_usd / day_tokens * 1_000_000


def day_inputs(rng):
    yield [100.0, 100.0, 900.0, 500.0], 500.0, 4.0, 1
    yield [800.0] * 24, 1000.0, 4.0, 1
    for _ in range(6):
        copy = float(rng.integers(400, 2000))
        night = rng.uniform(0.2, 1.5)
        busy = int(rng.integers(2, 6)) + rng.uniform(0.3, 0.7)
        load = [
            round(float(copy * (night if hour < 8 else rng.uniform(night, busy))), 1) for hour in range(23)
        ]
        yield (
            [*load, round(copy * busy, 1)],
            copy,
            round(float(rng.uniform(2, 12)), 2),
            int(rng.integers(1, 3)),
        )


def _mean(load):
    return sum(load) / len(load)


DAY_PRICE = Question(
    id="ch11.q3",
    points=3,
    asks="the USD that a million output tokens cost on this day",
    reference=day_usd_per_mtok,
    inputs=day_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "GPU hours at 100 % utilization",
            lambda load, c, usd, s: usd / (c * 3600) * 1e6,
            "That is a copy that never waits for work. Pay for all copies, and divide by the tokens that were served.",
        ),
        Misconception(
            "copies for the mean hour",
            lambda load, c, usd, s: (ceil(_mean(load) / c) + s) * usd / (_mean(load) * 3600) * 1e6,
            "So few copies serve the mean hour. They have to be there for the busiest one.",
        ),
        Misconception(
            "no spare",
            lambda load, c, usd, s: ceil(max(load) / c) * usd / (_mean(load) * 3600) * 1e6,
            "The `spare` copies serve nobody and cost as much as the others.",
        ),
        Misconception(
            "tokens of the busiest hour all day",
            lambda load, c, usd, s: (ceil(max(load) / c) + s) * usd / (max(load) * 3600) * 1e6,
            "You count the busiest hour's tokens in every hour. Add up what each hour really serves.",
        ),
        Misconception(
            "seconds for hours",
            lambda load, c, usd, s: (ceil(max(load) / c) + s) * usd / _mean(load) * 1e6,
            "The load is per second and the price per hour: an hour has 3,600 seconds.",
        ),
        Misconception(
            "only the copies in use",
            lambda load, c, usd, s: sum(ceil(x / c) + s for x in load) * usd / (sum(load) * 3600) * 1e6,
            "You send copies home when the load falls. Here they are held all day: pay for the busiest hour's in each.",
        ),
    ),
)


# --- q4: how much may be passed on --------------------------------------------------------------------------


def most_passed_on(small_usd, large_usd, check_usd, saving):
    # small + check + share * large <= (1 - saving) * large
    return 1 - saving - (small_usd + check_usd) / large_usd


def passed_inputs(rng):
    yield 0.001, 0.010, 0.0005, 0.0
    yield 0.001, 0.010, 0.0, 0.5
    for _ in range(6):
        large = round(rng.uniform(0.005, 0.05), 4)
        small = round(large * rng.uniform(0.05, 0.2), 5)
        yield small, large, round(small * rng.uniform(0.2, 1.0), 5), round(rng.uniform(0.1, 0.5), 2)


PASSED = Question(
    id="ch11.q4",
    points=2,
    asks="the largest share of requests that may go on to the large model, from 0 to 1",
    reference=most_passed_on,
    inputs=passed_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "a router for a cascade",
            lambda s, big, c, saving: ((1 - saving) * big - s - c) / (big - s),
            "With a router a request pays for one model. In a cascade, those that go on have paid for the small one.",
        ),
        Misconception(
            "free checks",
            lambda s, big, c, saving: 1 - saving - s / big,
            "Somebody has to judge the small model's answer, on every request: `check_usd`.",
        ),
        Misconception(
            "break-even for saving",
            lambda s, big, c, saving: 1 - (s + c) / big,
            "There the cascade costs as much as the large model alone. It is to cost `saving` less.",
        ),
        Misconception(
            "kept for passed on",
            lambda s, big, c, saving: saving + (s + c) / big,
            "That is the share that the small model must keep. The question asks for the others.",
        ),
        Misconception(
            "price ratio",
            lambda s, big, c, saving: (1 - saving) * (s + c) / big,
            "Write down what a mean request costs, small + check + share × large, and solve it for the share.",
        ),
    ),
    properties=(
        Property(
            "a cheaper small model allows more to be passed on",
            lambda f, s, big, c, saving: f(s / 2, big, c, saving) > f(s, big, c, saving),
        ),
    ),
)


# --- q5: what bills of years are worth today ----------------------------------------------------------------


def present_usd(first_usd, growth_per_month, change_per_year, discount_per_year, months):
    total = 0.0
    for month in range(months):
        bill = first_usd * (1 + growth_per_month) ** month * (1 + change_per_year) ** (month / 12)
        total += bill / (1 + discount_per_year) ** ((month + 1) / 12)
    return total


def present_inputs(rng):
    yield 1000.0, 0.0, 0.0, 0.1, 12
    yield 1000.0, 0.05, -0.5, 0.1, 36
    for _ in range(5):
        yield (
            float(rng.integers(5, 400) * 100),
            round(rng.uniform(0.01, 0.08), 3),
            -round(rng.uniform(0.1, 0.6), 2),
            round(rng.uniform(0.04, 0.15), 3),
            int(rng.choice([12, 24, 36])),
        )


def _present(usd, growth, change, discount, months, due=1, at=lambda r, m: (1 + r) ** (m / 12)):
    bills = (usd * (1 + growth) ** m * at(change, m) / at(discount, m + due) for m in range(months))
    return sum(bills)


PRESENT = Question(
    id="ch11.q5",
    points=3,
    asks="what all the bills are worth today, in USD",
    reference=present_usd,
    inputs=present_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "no discounting",
            lambda usd, g, c, d, n: _present(usd, g, c, 0.0, n),
            "You add up the bills as if money were the same whenever it is due. A later bill weighs less.",
        ),
        Misconception(
            "no price change",
            lambda usd, g, c, d, n: _present(usd, g, 0.0, d, n),
            "Prices move while you pay: multiply month m's bill by (1 + change_per_year)^(m / 12).",
        ),
        Misconception(
            "a year's rate every month",
            lambda usd, g, c, d, n: _present(usd, g, c, d, n, at=lambda r, m: (1 + r) ** m),
            "You apply the rates of a *year* in every month. After m months a yearly rate has worked m / 12 times.",
        ),
        Misconception(
            "first bill due today",
            lambda usd, g, c, d, n: _present(usd, g, c, d, n, due=0),
            "The first bill comes at the end of the first month: it is discounted by one month, not by none.",
        ),
        Misconception(
            "a twelfth of the rate",
            lambda usd, g, c, d, n: _present(usd, g, c, d, n, at=lambda r, m: (1 + r / 12) ** m),
            "(1 + r/12)^m is not (1 + r)^(m/12): a yearly rate of r is what twelve months make together.",
        ),
        Misconception(
            "no growth",
            lambda usd, g, c, d, n: _present(usd, 0.0, c, d, n),
            "Every bill of yours is the first one. The traffic grows from month to month.",
        ),
    ),
)


# --- q6: how many to reserve --------------------------------------------------------------------------------


def copies_to_reserve(copies_by_hour, on_demand_usd, reserved_usd):
    busiest_first = sorted(copies_by_hour, reverse=True)
    hours_to_beat = int(len(copies_by_hour) * reserved_usd / on_demand_usd)
    return busiest_first[hours_to_beat] if hours_to_beat < len(copies_by_hour) else 0


def reserve_inputs(rng):
    yield [2, 2, 2, 2, 4, 6, 6, 4], 6.0, 4.0
    yield [1] * 12 + [5] * 12, 4.0, 1.0
    yield [3] * 24, 4.0, 3.0
    yield [2] * 12 + [4] * 12, 4.0, 4.0
    yield [2] * 12 + [7] * 12, 4.0, 5.0
    yield [1] * 20 + [8] * 4, 5.0, 4.5
    yield [2] * 9 + [3] * 5 + [5] * 5 + [9] * 5, 6.0, 3.3
    for _ in range(6):
        night, busy = int(rng.integers(1, 4)), int(rng.integers(8, 15))
        day = [int(rng.integers(night, busy + 1)) for _ in range(20)]
        on_demand = round(float(rng.uniform(3, 12)), 2)
        # Between two shares of 24 hours, so that no tie decides.
        share = (int(rng.integers(6, 20)) + 0.5) / 24
        yield [night] * 3 + day + [busy], on_demand, round(on_demand * share, 4)


def _day_usd(copies, od, reserved, held):
    return held * reserved * len(copies) + sum(max(one - held, 0) for one in copies) * od


RESERVE = Question(
    id="ch11.q6",
    points=3,
    asks="how many copies to reserve, as a whole number",
    reference=copies_to_reserve,
    inputs=reserve_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "reserve the peak",
            lambda copies, od, r: max(copies),
            "The last copy runs in a few hours a day. Reserved, it is paid in all of them.",
        ),
        Misconception(
            "reserve the valley",
            lambda copies, od, r: min(copies),
            "Safe, but too few: a copy that runs in most hours is worth reserving as well.",
        ),
        Misconception(
            "reserve the mean",
            lambda copies, od, r: round(sum(copies) / len(copies)),
            "The mean knows nothing of the two prices. Ask of each copy in which share of the hours it runs.",
        ),
        Misconception(
            "half of the hours",
            lambda copies, od, r: sum(
                2 * sum(one >= k for one in copies) > len(copies) for k in range(1, max(copies) + 1)
            ),
            "Half of the hours is right only at half of the price: compare with reserved over on demand.",
        ),
        Misconception(
            "discount for price",
            lambda copies, od, r: sum(
                sum(one >= k for one in copies) / len(copies) > 1 - r / od for k in range(1, max(copies) + 1)
            ),
            "You compare with the discount. A copy pays if the share of its hours exceeds the *price* that is left.",
        ),
    ),
    properties=(
        Property(
            "no other number makes the day cheaper",
            lambda f, copies, od, r: (
                _day_usd(copies, od, r, f(copies, od, r))
                <= min(_day_usd(copies, od, r, held) for held in range(max(copies) + 1)) * (1 + 1e-9)
            ),
        ),
    ),
)


QUESTIONS = (BREAK_EVEN, COPIES, DAY_PRICE, PASSED, PRESENT, RESERVE)
