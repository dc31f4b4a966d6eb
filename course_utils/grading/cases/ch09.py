"""Chapter 09, queues and batching: Little's law, waits, servers, percentiles, goodput, chunks, retries."""

from functools import partial
from math import ceil, exp, floor

from course_utils.grading.questions import Misconception, Property, Question

# --- q1: Little's law from a log ----------------------------------------------------------------------------


def mean_present(arrived_s, ended_s, watched_s):
    return sum(end - start for start, end in zip(arrived_s, ended_s, strict=True)) / watched_s


def log_inputs(rng):
    yield [0.0, 1.0, 2.0], [4.0, 3.0, 8.0], 8.0
    yield [5.0], [9.0], 40.0
    for _ in range(6):
        count = int(rng.integers(5, 40))
        arrived = [round(float(at), 2) for at in 1 + rng.exponential(1, count).cumsum()]
        ended = [
            round(at + float(stay), 2) for at, stay in zip(arrived, rng.exponential(4, count), strict=True)
        ]
        yield arrived, ended, round(max(ended) + float(rng.uniform(1, 20)), 2)


def _peak(arrived_s, ended_s, watched_s):
    return max(
        sum(start <= at < end for start, end in zip(arrived_s, ended_s, strict=True)) for at in arrived_s
    )


PRESENT = Question(
    id="ch09.q1",
    points=2,
    asks="the average number of requests in the service over the time watched",
    reference=mean_present,
    inputs=log_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "arrivals a second",
            lambda a, e, t: len(a) / t,
            "That is λ, the arrivals a second. Multiply it by the mean time that a request stays.",
        ),
        Misconception(
            "mean stay",
            lambda a, e, t: mean_present(a, e, t) * t / len(a),
            "That is W, the mean stay in seconds. Multiply it by the arrivals a second.",
        ),
        Misconception(
            "the peak",
            _peak,
            "That is the most that were there at once. The average weighs every count by how long it lasted.",
        ),
        Misconception(
            "span of the log",
            lambda a, e, t: mean_present(a, e, max(e) - min(a)),
            "You divide by the time from the first arrival to the last end. It was watched for longer, and the "
            "empty seconds count.",
        ),
        Misconception(
            "seconds in all",
            lambda a, e, t: mean_present(a, e, 1.0),
            "You added up everyone's seconds. Divide them by the seconds that were watched.",
        ),
    ),
    properties=(
        Property(
            "watched for twice as long, half as many are there",
            lambda f, a, e, t: abs(2 * f(a, e, 2 * t) - f(a, e, t)) < 1e-6 * (1 + abs(f(a, e, t))),
        ),
    ),
)


# --- q2: time in M/G/1 --------------------------------------------------------------------------------------


def time_in_system_s(rate_per_s, service_s, service_cv):
    use = rate_per_s * service_s
    return service_s + service_s * use / (1 - use) * (1 + service_cv**2) / 2


def mg1_inputs(rng):
    yield 0.5, 1.0, 0.0
    yield 0.9, 1.0, 1.0
    yield 0.0, 2.0, 3.0
    for _ in range(6):
        service = round(float(rng.uniform(0.05, 4)), 3)
        yield round(float(rng.uniform(0.2, 0.95)) / service, 4), service, round(float(rng.uniform(0.2, 3)), 2)


TIME = Question(
    id="ch09.q2",
    points=2,
    asks="the mean time from arrival to end, in seconds",
    reference=time_in_system_s,
    inputs=mg1_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "the wait alone",
            lambda r, s, cv: time_in_system_s(r, s, cv) - s,
            "That is the wait. The request is served after it, and that takes time as well.",
        ),
        Misconception(
            "service taken for exponential",
            lambda r, s, cv: time_in_system_s(r, s, 1.0),
            "You take every service for exponential: `service_cv` isn't used.",
        ),
        Misconception(
            "cv not squared",
            lambda r, s, cv: time_in_system_s(r, s, cv**0.5),
            "The coefficient of variation comes in squared.",
        ),
        Misconception(
            "no half",
            lambda r, s, cv: s + s * r * s / (1 - r * s) * (1 + cv**2),
            "(1 + cv²) is divided by 2: constant service halves the wait of exponential service.",
        ),
        Misconception(
            "no knee",
            lambda r, s, cv: s + s * r * s * (1 + cv**2) / 2,
            "Your wait grows in proportion to the load. What is u divided by?",
        ),
    ),
    properties=(
        Property("it is never shorter than the service", lambda f, r, s, cv: f(r, s, cv) >= s * (1 - 1e-9)),
    ),
)


# --- q3: servers for a promise ------------------------------------------------------------------------------


def servers_needed(rate_per_s, service_s, wait_s, late_share):
    load = rate_per_s * service_s
    count, blocked = 1, load / (1 + load)
    # With too few servers both factors are 1 or more, so that the loop goes on.
    while (
        count * blocked / (count - load * (1 - blocked)) * exp((load - count) * wait_s / service_s)
        > late_share
    ):
        count += 1
        blocked = load * blocked / (count + load * blocked)
    return count


def servers_inputs(rng):
    yield 4.0, 2.0, 0.5, 0.05
    yield 0.5, 1.0, 0.0, 0.5  # exactly half of them wait for a single server
    yield 30.0, 2.0, 0.0, 0.05
    for _ in range(8):
        service = round(float(rng.uniform(0.5, 8)), 2)
        rate = round(float(rng.uniform(2, 60)) / service, 3)
        wait = round(service * float(rng.uniform(0.02, 0.4)), 3)
        yield rate, service, wait, float(rng.choice([0.01, 0.05, 0.1]))


def _blocked(load, servers):
    """Erlang's B."""
    share = 1.0
    for n in range(1, servers + 1):
        share = load * share / (n + load * share)
    return share


def _has_to_wait(load, servers):
    """Erlang's C."""
    blocked = _blocked(load, servers)
    return servers * blocked / (servers - load * (1 - blocked))


def _fewest(enough, load):
    servers = floor(load) + 1
    while not enough(servers):
        servers += 1
    return servers


def _mean_kept(rate_per_s, service_s, wait_s, late_share):
    load = rate_per_s * service_s
    # A mean wait of 0 can't be had: as near as makes no difference.
    least = max(wait_s, 1e-3 * service_s)
    return _fewest(lambda n: _has_to_wait(load, n) * service_s / (n - load) <= least, load)


SERVERS = Question(
    id="ch09.q3",
    points=3,
    asks="the fewest servers with which at most late_share of the requests wait longer than wait_s",
    reference=servers_needed,
    inputs=servers_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "as many as are busy",
            lambda r, s, w, late: floor(r * s) + 1,
            "With so few the service is stable, and that is all: they are busy nearly all the time, and most "
            "requests wait. Full use isn't the goal.",
        ),
        Misconception(
            "80 % busy",
            lambda r, s, w, late: max(1, ceil(r * s / 0.8)),
            "A fixed utilization isn't a promise: few servers need more slack, many need less.",
        ),
        Misconception(
            "the mean kept",
            _mean_kept,
            "You keep the *mean* wait below the limit. The promise is about those who wait longest.",
        ),
        Misconception(
            "blocking instead of waiting",
            lambda r, s, w, late: _fewest(
                lambda n: _blocked(r * s, n) * exp(-(n - r * s) * w / s) <= late, r * s
            ),
            "You use Erlang's B, for services where nobody can wait. Here they do, and it is C.",
        ),
        Misconception(
            "nobody waits at all",
            lambda r, s, w, late: _fewest(lambda n: _has_to_wait(r * s, n) <= late, r * s),
            "You let nearly everybody start at once. They may wait, for up to `wait_s`.",
        ),
        Misconception(
            "one too many",
            lambda r, s, w, late: servers_needed(r, s, w, late) + 1,
            "One fewer still keeps the promise: start at the first whole number above the load, and stop in time.",
        ),
    ),
)


# --- q4: p99 of a fleet -------------------------------------------------------------------------------------


def _p99(values):
    return sorted(values)[-(-99 * len(values) // 100) - 1]


def _pooled(replicas):
    return [value for latencies in replicas for value in latencies]


def fleet_p99_s(replicas):
    everyone = sorted(value for latencies in replicas for value in latencies)
    rank = -(-99 * len(everyone) // 100)
    return everyone[rank - 1]


def fleet_inputs(rng):
    yield ([0.1] * 98 + [1.0, 2.0],)
    yield [0.2] * 99 + [9.0], [0.1] * 400
    yield [3.0], [1.0], [2.0]
    for _ in range(5):
        yield tuple(
            [round(float(x), 4) for x in rng.exponential(rng.uniform(0.2, 3), int(rng.integers(30, 400)))]
            for _ in range(int(rng.integers(2, 5)))
        )


def _interpolated(replicas):
    values = sorted(_pooled(replicas))
    place = 0.99 * (len(values) - 1)
    low = floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


P99 = Question(
    id="ch09.q4",
    points=2,
    asks="the p99 over all requests of the fleet, in seconds",
    reference=fleet_p99_s,
    inputs=lambda rng: ((list(replicas),) for replicas in fleet_inputs(rng)),
    close=1e-6,
    misconceptions=(
        Misconception(
            "percentiles averaged",
            lambda replicas: sum(map(_p99, replicas)) / len(replicas),
            "You average the replicas' p99s. A percentile of all requests needs all requests: pool them first.",
        ),
        Misconception(
            "percentiles weighted",
            lambda replicas: sum(_p99(one) * len(one) for one in replicas) / sum(map(len, replicas)),
            "Weighting the p99s by their requests doesn't help: percentiles can't be averaged. Pool the requests.",
        ),
        Misconception(
            "the worst replica",
            lambda replicas: max(map(_p99, replicas)),
            "That is the p99 of the worst replica, which may have answered few requests.",
        ),
        Misconception(
            "the mean",
            lambda replicas: sum(_pooled(replicas)) / len(_pooled(replicas)),
            "That is the mean: it doesn't say what the slowest hundredth sees.",
        ),
        Misconception(
            "the largest",
            lambda replicas: max(_pooled(replicas)),
            "That is the slowest request of all: nobody exceeds it, and 1 % may.",
        ),
        Misconception(
            "between two values",
            _interpolated,
            "You interpolate between two values, as numpy does. Asked is a value from the log: the smallest that at "
            "least 99 % don't exceed.",
        ),
    ),
)


# --- q5: dollars for tokens in time -------------------------------------------------------------------------


def _good_usd(log, cost_usd, in_time, weight=lambda tokens: tokens):
    good = sum(weight(row[3]) for row in log if in_time(*row))
    return cost_usd / good * 1e6 if good else 0.0


def _in_time(sent, first, last, tokens, ttft_slo_s, tpot_slo_s):
    return first - sent <= ttft_slo_s and (last - first) / (tokens - 1) <= tpot_slo_s


def usd_per_good_mtok(log, cost_usd, ttft_slo_s, tpot_slo_s):
    good = 0
    for sent, first, last, tokens in log:
        if first - sent <= ttft_slo_s and (last - first) / (tokens - 1) <= tpot_slo_s:
            good += tokens
    return cost_usd / good * 1e6


def good_inputs(rng):
    fast, late, slow = (0.0, 0.5, 2.5, 101), (1.0, 3.1, 5.1, 201), (2.0, 2.2, 22.2, 101)
    on_the_line = (3.0, 4.0, 4.625, 11), (3.0, 3.5, 4.125, 11)  # exactly 1 s, and 62.5 ms a token
    yield [fast, late, slow, *on_the_line], 0.01, 1.0, 0.0625
    yield [(3.0, 4.0, 4.0625, 3)], 0.01, 1.0, 0.0625
    yield [fast], 0.002, 1.0, 0.0625
    for _ in range(6):
        log = []
        for at in rng.uniform(0, 60, int(rng.integers(20, 60))):
            tokens = int(rng.integers(2, 30))
            first = at + float(rng.exponential(0.6))
            log.append((float(at), first, first + (tokens - 1) * float(rng.uniform(0.01, 0.08)), tokens))
        yield [*log, fast], round(float(rng.uniform(0.01, 1)), 3), 1.0, 0.0625


GOOD = Question(
    id="ch09.q5",
    points=3,
    asks="USD per million output tokens of answers in time",
    reference=usd_per_good_mtok,
    inputs=good_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "all tokens",
            lambda log, usd, ttft, tpot: _good_usd(log, usd, lambda *row: True),
            "You divide by all tokens. Answers that came too late were paid for and are worth nothing.",
        ),
        Misconception(
            "first token counted in TPOT",
            lambda log, usd, ttft, tpot: _good_usd(
                log, usd, lambda sent, first, last, n: first - sent <= ttft and (last - sent) / n <= tpot
            ),
            "Your TPOT begins when the request was sent. It begins at the first token, and n tokens have n − 1 gaps.",
        ),
        Misconception(
            "as many gaps as tokens",
            lambda log, usd, ttft, tpot: _good_usd(
                log, usd, lambda sent, first, last, n: first - sent <= ttft and (last - first) / n <= tpot
            ),
            "n tokens have n − 1 gaps between them: divide by one fewer.",
        ),
        Misconception(
            "only the first token",
            lambda log, usd, ttft, tpot: _good_usd(
                log, usd, lambda sent, first, last, n: first - sent <= ttft
            ),
            "You check TTFT alone. An answer that starts in time can still crawl.",
        ),
        Misconception(
            "only the pace",
            lambda log, usd, ttft, tpot: _good_usd(
                log, usd, lambda sent, first, last, n: (last - first) / (n - 1) <= tpot
            ),
            "You check TPOT alone. An answer that reads well can start too late.",
        ),
        Misconception(
            "answers for tokens",
            lambda log, usd, ttft, tpot: _good_usd(
                log, usd, partial(_in_time, ttft_slo_s=ttft, tpot_slo_s=tpot), lambda tokens: 1
            ),
            "You count answers in time. Asked is the price of their tokens.",
        ),
    ),
)


# --- q6: the largest chunk ----------------------------------------------------------------------------------


def largest_chunk(fixed_s, token_s, running, itl_s):
    return max(0, floor((itl_s - fixed_s) / token_s) - running)


def chunk_inputs(rng):
    yield 0.0065, 2e-5, 64, 0.00651  # no room
    yield 0.010, 2e-5, 10, 0.005  # not even an empty step is short enough
    for _ in range(7):
        fixed, token = round(float(rng.uniform(0.004, 0.02)), 4), round(float(rng.uniform(1e-5, 5e-5)), 7)
        running = int(rng.integers(1, 256))
        # Between two whole numbers, so that no rounding decides.
        tokens = running + int(rng.integers(20, 4000)) + float(rng.uniform(0.2, 0.8))
        yield fixed, token, running, fixed + token * tokens


CHUNK = Question(
    id="ch09.q6",
    points=2,
    asks="the largest chunk in whole tokens, 0 if there is no room",
    reference=largest_chunk,
    inputs=chunk_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "running answers forgotten",
            lambda f, t, n, itl: max(0, floor((itl - f) / t)),
            "That is the whole step. The running answers take a token each of it first.",
        ),
        Misconception(
            "fixed time forgotten",
            lambda f, t, n, itl: max(0, floor(itl / t) - n),
            "A step takes `fixed_s` however few tokens are in it (the weights are read): take it off first.",
        ),
        Misconception(
            "rounded up",
            lambda f, t, n, itl: max(0, ceil((itl - f) / t) - n),
            "One token too many: the step takes longer than `itl_s`. Round down.",
        ),
        Misconception(
            "not whole",
            lambda f, t, n, itl: max(0.0, (itl - f) / t - n),
            "Tokens are whole: round down to the last number that fits.",
        ),
        Misconception(
            "below zero",
            lambda f, t, n, itl: floor((itl - f) / t) - n,
            "Where the answers alone fill the step there is no room for a prompt: 0, not fewer.",
        ),
    ),
    properties=(
        Property(
            "more running answers leave no more room",
            lambda f, fixed, token, n, itl: f(fixed, token, n + 1, itl) <= f(fixed, token, n, itl),
        ),
    ),
)


# --- q7: what retries add -----------------------------------------------------------------------------------


def tries_per_s(rate_per_s, fail_share, retries):
    return rate_per_s * sum(fail_share**k for k in range(retries + 1))


def tries_inputs(rng):
    yield 10.0, 1.0, 3
    yield 10.0, 0.0, 3
    yield 10.0, 0.5, 0
    yield 10.0, 0.5, 2
    for _ in range(5):
        yield (
            round(float(rng.uniform(1, 500)), 1),
            round(float(rng.uniform(0.05, 0.95)), 2),
            int(rng.integers(2, 7)),
        )


TRIES = Question(
    id="ch09.q7",
    points=2,
    asks="tries a second that reach the service",
    reference=tries_per_s,
    inputs=tries_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "everyone uses all retries",
            lambda r, p, n: r * (1 + n),
            "You let everyone retry to the end. Only those retry whose last try failed.",
        ),
        Misconception(
            "first failure counts for all",
            lambda r, p, n: r * (1 + p * n),
            "You let whoever failed once use all retries. A retry may succeed, and then no other follows.",
        ),
        Misconception(
            "one retry",
            lambda r, p, n: r * (1 + p),
            "You count the first retry alone. It may fail, too.",
        ),
        Misconception(
            "retries without end",
            lambda r, p, n: r / (1 - p) if p < 1 else r * 1e9,
            "1 / (1 − p) is for retries without end. These stop after `retries`.",
        ),
        Misconception(
            "one retry too few",
            lambda r, p, n: r * sum(p**k for k in range(n)),
            "The first try isn't a retry: there are `retries` + 1 tries at most.",
        ),
        Misconception(
            "retries alone",
            lambda r, p, n: r * sum(p**k for k in range(1, n + 1)),
            "These are the retries alone. First tries reach the service as well.",
        ),
    ),
    properties=(
        Property(
            "more failures never mean fewer tries", lambda f, r, p, n: f(r, 1.0, n) >= f(r, p, n) - 1e-9
        ),
    ),
)


QUESTIONS = (PRESENT, TIME, SERVERS, P99, GOOD, CHUNK, TRIES)
