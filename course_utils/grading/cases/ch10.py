"""Chapter 10, scaling out: replicas for a peak, percentiles of a fleet, routing, autoscaling, failures, regions."""

from math import ceil, comb, expm1, floor

import numpy as np

from course_utils.grading.questions import Misconception, Property, Question

# --- q1: replicas for the peak, and one to spare ------------------------------------------------------------


def replicas_for(mean_per_s, peak_to_mean, per_replica_per_s, spare):
    return ceil(mean_per_s * peak_to_mean / per_replica_per_s) + spare


def replicas_inputs(rng):
    yield 2.5, 1.8, 0.8, 1
    yield 0.3, 1.5, 0.8, 0
    yield 10.3, 2.0, 0.7, 2
    for number in range(7):
        each, peak = round(rng.uniform(0.4, 5), 2), round(rng.uniform(1.3, 3), 2)
        # Between two whole numbers, so that no rounding decides.
        needed = int(rng.integers(4, 40)) + rng.uniform(*((0.1, 0.45), (0.55, 0.9))[number % 2])
        yield round(needed * each / peak, 3), peak, each, int(rng.integers(1, 4))


REPLICAS = Question(
    id="ch10.q1",
    points=2,
    asks="how many replicas to keep, for the peak and with so many to spare",
    reference=replicas_for,
    inputs=replicas_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "mean for peak",
            lambda mean, peak, each, spare: ceil(mean / each) + spare,
            "Sized for the mean, your fleet is too small for half of the day. The peak decides.",
        ),
        Misconception(
            "rounded down",
            lambda mean, peak, each, spare: floor(mean * peak / each) + spare,
            "Rounded down, the last part of a replica's work is nobody's, and the queue grows. Round up.",
        ),
        Misconception(
            "N instead of N + spare",
            lambda mean, peak, each, spare: ceil(mean * peak / each),
            "That carries the peak as long as nothing breaks. Add the spare ones.",
        ),
        Misconception(
            "rounded to the nearest",
            lambda mean, peak, each, spare: round(mean * peak / each) + spare,
            "7.3 replicas are rounded to 7, and 7 can't carry the peak. Round up.",
        ),
        Misconception(
            "not a whole number",
            lambda mean, peak, each, spare: mean * peak / each + spare,
            "Replicas come whole: round up before you add the spare ones.",
        ),
    ),
    properties=(
        Property(
            "the fleet less its spare ones carries the peak",
            lambda f, mean, peak, each, spare: (
                (f(mean, peak, each, spare) - spare) * each >= mean * peak - 1e-9
            ),
        ),
    ),
)


# --- q2: the fleet's percentile -----------------------------------------------------------------------------


def fleet_p99(latencies_by_replica):
    return float(np.percentile([one for replica in latencies_by_replica for one in replica], 99))


def fleet_inputs(rng):
    yield ([[0.1 * n for n in range(1, 101)], [5.0 + 0.01 * n for n in range(20)]],)
    yield ([[round(float(x), 3) for x in rng.exponential(1, 200)]],)
    for _ in range(5):
        counts = rng.integers(100, 600, size=int(rng.integers(3, 6)))
        counts[0] //= 5
        slow = rng.uniform(0.5, 1.5, size=counts.size)
        slow[0] = rng.uniform(6, 12)
        latencies = [
            [round(float(x), 3) for x in mean * rng.lognormal(0, 0.6, size=int(count))]
            for mean, count in zip(slow, counts, strict=True)
        ]
        yield (latencies,)


def _each_p99(replicas):
    return [float(np.percentile(replica, 99)) for replica in replicas]


FLEET = Question(
    id="ch10.q2",
    points=2,
    asks="the 99th percentile of all requests of the fleet, seconds",
    reference=fleet_p99,
    inputs=fleet_inputs,
    close=0.005,
    misconceptions=(
        Misconception(
            "mean of the replicas' p99",
            lambda replicas: float(np.mean(_each_p99(replicas))),
            "You average percentiles. The slow hundredth of a fleet sits on its slow replicas: put the requests "
            "together first.",
        ),
        Misconception(
            "weighted mean of p99",
            lambda replicas: float(np.average(_each_p99(replicas), weights=[len(one) for one in replicas])),
            "Weights don't help: no mean of percentiles is the percentile of the whole. Put the requests together.",
        ),
        Misconception(
            "the worst replica's p99",
            lambda replicas: max(_each_p99(replicas)),
            "That is the p99 of the worst replica. It serves a part of the requests only.",
        ),
        Misconception(
            "mean for p99",
            lambda replicas: float(np.mean([one for replica in replicas for one in replica])),
            "That is the mean of all requests. One in a hundred waits far longer.",
        ),
        Misconception(
            "p95 for p99",
            lambda replicas: float(np.percentile([one for replica in replicas for one in replica], 95)),
            "That is the 95th percentile.",
        ),
    ),
)


# --- q3: prefix affinity with a load penalty ----------------------------------------------------------------


def _costs(prompt_tokens, cached_tokens, queued_tokens, beta):
    return [
        prompt_tokens - cached + beta * queued
        for cached, queued in zip(cached_tokens, queued_tokens, strict=True)
    ]


def pick_replica(prompt_tokens, cached_tokens, queued_tokens, beta):
    costs = _costs(prompt_tokens, cached_tokens, queued_tokens, beta)
    return costs.index(min(costs))


def pick_inputs(rng):
    yield 8000, [6000, 0, 512], [9000, 0, 4000], 1.0
    yield 8000, [6000, 0, 512], [9000, 0, 4000], 0.1
    yield 4000, [0, 0, 0], [7000, 3000, 5000], 0.5
    yield 4000, [512, 3584, 1024], [100, 90_000, 5000], 0.0
    yield 6000, [1024, 2048, 0, 512], [2000, 9000, 500, 0], 1.0
    for _ in range(12):
        count = int(rng.integers(4, 9))
        prompt = int(rng.integers(4000, 20_000))
        cached = [512 * int(x) for x in rng.integers(0, prompt // 512, size=count)]
        yield (
            prompt,
            cached,
            [int(x) for x in rng.integers(0, 30_000, size=count)],
            float(rng.choice([0.1, 0.3, 1.0])),
        )


PICK = Question(
    id="ch10.q3",
    points=2,
    asks="the number of the replica that gets the request, counted from 0",
    reference=pick_replica,
    inputs=pick_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "cache only",
            lambda prompt, cached, queued, beta: cached.index(max(cached)),
            "You follow the cache wherever the queue is: that is what makes hot spots.",
        ),
        Misconception(
            "load only",
            lambda prompt, cached, queued, beta: queued.index(min(queued)),
            "You go to the shortest queue and throw the cache away.",
        ),
        Misconception(
            "what is cached as work",
            lambda prompt, cached, queued, beta: int(
                np.argmin([c + beta * q for c, q in zip(cached, queued, strict=True)])
            ),
            "You count what is cached as work. It is what a replica need *not* compute.",
        ),
        Misconception(
            "beta left out",
            lambda prompt, cached, queued, beta: pick_replica(prompt, cached, queued, 1.0),
            "You add the queue with full weight. beta says how much a queued token counts.",
        ),
        Misconception(
            "the dearest",
            lambda prompt, cached, queued, beta: int(np.argmax(_costs(prompt, cached, queued, beta))),
            "You take the highest cost. The lowest wins.",
        ),
        Misconception(
            "counted from 1",
            lambda prompt, cached, queued, beta: pick_replica(prompt, cached, queued, beta) + 1,
            "Replicas are counted from 0, like the places in the lists.",
        ),
    ),
)


# --- q4: what an autoscaler asks for ------------------------------------------------------------------------


def desired_replicas(waiting, running, target, least, most):
    return min(max(ceil((waiting + running) / target), least), most)


def desired_inputs(rng):
    yield 7, 20, 8, 1, 10
    yield 0, 0, 8, 1, 10
    yield 0, 0, 8, 0, 10
    yield 400, 60, 8, 2, 10
    yield 30, 16, 8, 1, 10
    for _ in range(8):
        target, replicas = int(rng.integers(4, 20)), int(rng.integers(3, 12))
        ongoing = replicas * target + int(rng.integers(1, max(2, target // 2)))
        waiting = int(ongoing * rng.uniform(0.1, 0.5))
        yield waiting, ongoing - waiting, target, 1, 20


DESIRED = Question(
    id="ch10.q4",
    points=2,
    asks="how many replicas a rule by concurrency wants, between its bounds",
    reference=desired_replicas,
    inputs=desired_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "rounded down",
            lambda w, r, t, least, most: min(max((w + r) // t, least), most),
            "Rounded down, each replica gets more than its target. Round up.",
        ),
        Misconception(
            "running only",
            lambda w, r, t, least, most: min(max(ceil(r / t), least), most),
            "What runs is bounded by what the replicas hold. Under overload it is the waiting requests that tell.",
        ),
        Misconception(
            "waiting only",
            lambda w, r, t, least, most: min(max(ceil(w / t), least), most),
            "Without those that run, the fleet shrinks as soon as nobody waits, and then everybody waits.",
        ),
        Misconception(
            "no upper bound",
            lambda w, r, t, least, most: max(ceil((w + r) / t), least),
            "You want more than `most`. Somebody pays for every one.",
        ),
        Misconception(
            "no lower bound",
            lambda w, r, t, least, most: min(ceil((w + r) / t), most),
            "With nothing to do you go below `least`.",
        ),
        Misconception(
            "one more than needed",
            lambda w, r, t, least, most: min(max((w + r) // t + 1, least), most),
            "Where the requests fill whole replicas, you take one too many: 16 at a target of 8 are 2.",
        ),
    ),
)


# --- q5: what piles up during a cold start ------------------------------------------------------------------


def drained_after_s(rate_per_s, before_per_s, after_per_s, cold_start_s):
    backlog = max(0.0, rate_per_s - before_per_s) * cold_start_s
    return cold_start_s + backlog / (after_per_s - rate_per_s) if backlog else 0.0


def drained_inputs(rng):
    yield 3.0, 2.0, 4.0, 180.0
    yield 1.5, 2.0, 4.0, 180.0
    yield 1.0, 0.0, 1.5, 300.0
    for _ in range(6):
        rate = round(rng.uniform(1, 20), 2)
        yield (
            rate,
            round(rate * rng.uniform(0.2, 0.9), 2),
            round(rate * rng.uniform(1.1, 1.8), 2),
            float(rng.integers(30, 600)),
        )


DRAINED = Question(
    id="ch10.q5",
    points=3,
    asks="seconds from the jump in load until the queue is empty again",
    reference=drained_after_s,
    inputs=drained_inputs,
    close=1e-4,
    misconceptions=(
        Misconception(
            "the cold start only",
            lambda rate, before, after, cold: cold if rate > before else 0.0,
            "When the new replicas are ready, the queue of the whole cold start still stands there.",
        ),
        Misconception(
            "nobody arrives while it drains",
            lambda rate, before, after, cold: (
                cold + max(0.0, rate - before) * cold / after if rate > before else 0.0
            ),
            "Requests go on arriving while the queue is worked off. Only after − rate is left for it.",
        ),
        Misconception(
            "cold start forgotten",
            lambda rate, before, after, cold: max(0.0, rate - before) * cold / (after - rate),
            "That is how long it drains. The queue grew for a whole cold start before that.",
        ),
        Misconception(
            "nothing is served meanwhile",
            lambda rate, before, after, cold: cold + rate * cold / (after - rate) if rate > before else 0.0,
            "The old replicas go on serving during the cold start. The queue grows by rate − before.",
        ),
        Misconception(
            "the added capacity only",
            lambda rate, before, after, cold: (
                cold + (rate - before) * cold / (after - before) if rate > before else 0.0
            ),
            "after − before is what was added. What works the queue off is after − rate.",
        ),
    ),
    properties=(
        Property(
            "a longer cold start never helps",
            lambda f, rate, before, after, cold: (
                f(rate, before, after, 2 * cold) >= f(rate, before, after, cold)
            ),
        ),
    ),
)


# --- q6: the bill of scaling to zero ------------------------------------------------------------------------


def usd_per_day(requests_per_hour, keep_minutes, cold_minutes, usd_per_hour):
    rate, keep, cold = requests_per_hour / 60, keep_minutes, cold_minutes
    on = cold + expm1(rate * keep) / rate
    return 24 * usd_per_hour * on / (on + 1 / rate)


def usd_inputs(rng):
    yield 2.0, 10.0, 4.0, 0.8
    yield 0.2, 5.0, 3.0, 3.0
    yield 20.0, 15.0, 4.0, 0.8
    for _ in range(6):
        yield (
            round(rng.uniform(0.3, 6), 2),
            float(rng.integers(5, 20)),
            float(rng.integers(2, 8)),
            round(rng.uniform(0.5, 4), 2),
        )


def _share(on, off):
    return on / (on + off)


TO_ZERO = Question(
    id="ch10.q6",
    points=3,
    asks="USD a day of one replica that scales to zero",
    reference=usd_per_day,
    inputs=usd_inputs,
    close=1e-4,
    misconceptions=(
        Misconception(
            "cold start is free",
            lambda n, keep, cold, usd: 24 * usd * _share(expm1(n / 60 * keep) / (n / 60), 60 / n),
            "The machine is billed from its launch, not from its first answer.",
        ),
        Misconception(
            "one keep-alive per start",
            lambda n, keep, cold, usd: 24 * usd * _share(cold + keep, 60 / n),
            "Whoever comes within the keep-alive starts it again: it lasts until a gap is longer than that.",
        ),
        Misconception(
            "every request is cold",
            lambda n, keep, cold, usd: 24 * usd * min(1.0, n / 60 * (cold + keep)),
            "Requests that find the replica up pay no cold start, and share one keep-alive.",
        ),
        Misconception(
            "always on",
            lambda n, keep, cold, usd: 24 * usd,
            "That is the bill of a replica that is never off.",
        ),
        Misconception(
            "minutes for hours",
            lambda n, keep, cold, usd: 24 * usd * _share(cold + expm1(min(n * keep, 300)) / n, 1 / n),
            "The rate is per hour, the times are in minutes: bring them to one unit.",
        ),
        Misconception(
            "off for its bill",
            lambda n, keep, cold, usd: (
                24 * usd * (1 - _share(cold + expm1(n / 60 * keep) / (n / 60), 60 / n))
            ),
            "That is what is saved.",
        ),
    ),
    properties=(
        Property(
            "never dearer than always on", lambda f, n, keep, cold, usd: f(n, keep, cold, usd) <= 24 * usd
        ),
    ),
)


# --- q7: enough of them alive -------------------------------------------------------------------------------


def availability(replicas, needed, alive):
    return sum(
        comb(replicas, dead) * (1 - alive) ** dead * alive ** (replicas - dead)
        for dead in range(replicas - needed + 1)
    )


def availability_inputs(rng):
    yield 5, 4, 0.95
    yield 4, 4, 0.95
    yield 3, 1, 0.9
    for _ in range(6):
        needed = int(rng.integers(2, 8))
        yield needed + int(rng.integers(1, 4)), needed, round(rng.uniform(0.8, 0.97), 2)


AVAILABILITY = Question(
    id="ch10.q7",
    points=3,
    asks="the share of time in which enough replicas are alive",
    reference=availability,
    inputs=availability_inputs,
    close=1e-4,
    misconceptions=(
        Misconception(
            "all must live",
            lambda n, k, p: p**n,
            "You ask for all of them. `needed` are enough.",
        ),
        Misconception(
            "one is enough",
            lambda n, k, p: 1 - (1 - p) ** n,
            "That is the chance that any is alive. One alone can't carry the load.",
        ),
        Misconception(
            "spares forgotten",
            lambda n, k, p: p**k,
            "That is the chance that certain ones are all alive. Any `needed` of them will do.",
        ),
        Misconception(
            "exactly so many",
            lambda n, k, p: comb(n, k) * p**k * (1 - p) ** (n - k),
            "You count the case of exactly `needed` alive. More are welcome, too: add them up.",
        ),
        Misconception(
            "one too few",
            lambda n, k, p: availability(n, k + 1, p),
            "You start one too late: `needed` alive are enough.",
        ),
    ),
    properties=(
        Property("another replica never hurts", lambda f, n, k, p: f(n + 1, k, p) >= f(n, k, p) - 1e-12),
    ),
)


# --- q8: regions that may fail ------------------------------------------------------------------------------


def gpus_worldwide(peak_per_s, regions, per_replica_per_s, gpus_per_replica):
    return regions * ceil(peak_per_s / (regions - 1) / per_replica_per_s) * gpus_per_replica


def gpus_inputs(rng):
    yield 20_000.0, 3, 19.0, 1
    yield 20_000.0, 6, 19.0, 2
    yield 900.0, 2, 7.0, 8
    for _ in range(6):
        regions, each = int(rng.integers(3, 8)), round(rng.uniform(2, 30), 1)
        fleet = int(rng.integers(5, 60)) + rng.uniform(0.1, 0.45)
        yield round(fleet * each * (regions - 1), 1), regions, each, int(rng.choice([1, 2, 4, 8]))


GPUS = Question(
    id="ch10.q8",
    points=2,
    asks="GPUs in all regions together, so that any one region may fail at the peak",
    reference=gpus_worldwide,
    inputs=gpus_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "N regions carry it",
            lambda peak, n, each, g: n * ceil(peak / n / each) * g,
            "When one region is gone, n − 1 have to carry the whole peak.",
        ),
        Misconception(
            "one region's worth",
            lambda peak, n, each, g: ceil(peak / (n - 1) / each) * g,
            "That is one region. There are `regions` of that size.",
        ),
        Misconception(
            "everything twice",
            lambda peak, n, each, g: n * ceil(2 * peak / n / each) * g,
            "Twice the peak is what two regions need. With more of them the spare part is 1/(n − 1).",
        ),
        Misconception(
            "rounded down",
            lambda peak, n, each, g: n * floor(peak / (n - 1) / each) * g,
            "Replicas come whole, in each region: round up there.",
        ),
        Misconception(
            "replicas for GPUs",
            lambda peak, n, each, g: n * ceil(peak / (n - 1) / each) if g > 1 else n * floor(peak / each),
            "That counts replicas. Each of them takes `gpus_per_replica`.",
        ),
        Misconception(
            "one replica to spare",
            lambda peak, n, each, g: n * (ceil(peak / n / each) + 1) * g,
            "N + 1 replicas in each region survive the loss of a replica. A region is more than that.",
        ),
    ),
    properties=(
        Property(
            "without any one region the rest carries the peak",
            lambda f, peak, n, each, g: f(peak, n, each, g) * (n - 1) / n / g * each >= peak * (1 - 1e-9),
        ),
    ),
)


QUESTIONS = (REPLICAS, FLEET, PICK, DESIRED, DRAINED, TO_ZERO, AVAILABILITY, GPUS)
