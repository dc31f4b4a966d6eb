"""Chapter 00, start here: honest timing, when to name a winner, the two roofs."""

from statistics import fmean, median

from course_utils.grading.questions import Misconception, Property, Question

# --- q1: a typical time -------------------------------------------------------------------------------------


def typical_s(calls_s, warmup):
    ordered = sorted(calls_s[warmup:])
    middle = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def typical_inputs(rng):
    # Timed calls of a real matrix product: the first ones dear, now and then one that came late.
    yield [0.0914, 0.0083, 0.0066, 0.0311, 0.0067, 0.0065, 0.0068], 1
    yield [0.0421, 0.0352, 0.0042, 0.0061, 0.0043, 0.0197, 0.0045, 0.0041], 2
    yield [0.0051, 0.0049, 0.0078, 0.0050], 0
    for _ in range(5):
        warmup, count = int(rng.integers(1, 4)), int(rng.integers(6, 14))
        dear = 0.01 * rng.uniform(5, 20, warmup)
        steady = 0.01 * rng.lognormal(0, 0.2, count)
        steady[rng.integers(count)] *= rng.uniform(3, 9)
        yield [round(float(one), 5) for one in (*dear, *steady)], warmup


TYPICAL = Question(
    id="ch00.q1",
    points=1,
    asks="the median of the calls after the warm-up ones, in seconds",
    reference=typical_s,
    inputs=typical_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "mean of the rest",
            lambda calls, warmup: fmean(calls[warmup:]),
            "You take the mean. One call that came late moves it; the middle of the sorted calls stays.",
        ),
        Misconception(
            "warm-up kept",
            lambda calls, warmup: median(calls),
            "The warm-up calls are still in. Leave out the first `warmup` of them: they paid for things that later "
            "calls get for free.",
        ),
        Misconception(
            "mean of all",
            lambda calls, warmup: fmean(calls),
            "This is the mean of all calls. Leave out the first `warmup`, then take the median of the rest.",
        ),
        Misconception(
            "not sorted",
            lambda calls, warmup: calls[warmup:][len(calls[warmup:]) // 2],
            "You take the call in the middle of the list. The median is the middle of the *sorted* calls.",
        ),
        Misconception(
            "upper of the middle two",
            lambda calls, warmup: sorted(calls[warmup:])[len(calls[warmup:]) // 2],
            "Right for an odd number of calls. With an even number the median lies half way between the middle two.",
        ),
        Misconception(
            "the fastest",
            lambda calls, warmup: min(calls[warmup:]),
            "You take the fastest call. It shows what the machine can do once; the median shows what you mostly get.",
        ),
        Misconception(
            "last calls left out",
            lambda calls, warmup: median(calls[: len(calls) - warmup]),
            "You leave out calls at the end. The warm-up calls are the first ones.",
        ),
    ),
    properties=(
        Property(
            "the slowest call after the warm-up may take a hundred times as long without changing the answer",
            lambda f, calls, warmup: (
                abs(f(_with_slower_slowest(calls, warmup), warmup) - f(calls, warmup)) < 1e-9
            ),
        ),
    ),
)


def _with_slower_slowest(calls, warmup):
    slowest = max(calls[warmup:])
    return calls[:warmup] + [100 * one if one == slowest else one for one in calls[warmup:]]


# --- q2: is there a winner? ---------------------------------------------------------------------------------


def winner(ratio_lo, ratio_hi):
    if ratio_hi < 1:
        return "a"
    if ratio_lo > 1:
        return "b"
    return None


def winner_inputs(rng):
    yield 0.81, 0.86
    yield 1.13, 1.21
    yield 0.98, 1.04
    yield 1.0, 1.2
    yield 0.85, 1.0
    yield 0.7, 1.02
    yield 0.96, 1.9
    for _ in range(6):
        low = float(rng.uniform(0.6, 1.3))
        yield round(low, 3), round(low * float(rng.uniform(1.02, 1.4)), 3)


WINNER = Question(
    id="ch00.q2",
    points=1,
    asks='the faster one, "a" or "b", or None; the arguments are the interval of a\'s time over b\'s',
    reference=winner,
    inputs=winner_inputs,
    misconceptions=(
        Misconception(
            "the middle decides",
            lambda low, high: "a" if (low + high) / 2 < 1 else "b",
            "You always name a winner: the middle of an interval is always on some side of 1. Say None when the "
            "interval holds 1, because then either may be the faster one.",
        ),
        Misconception(
            "the wrong way round",
            lambda low, high: "b" if high < 1 else "a" if low > 1 else None,
            "The other way round: the ratio is a's *time* over b's, so a ratio below 1 means that a takes less.",
        ),
        Misconception(
            "compared with 0",
            lambda low, high: "a" if high < 0 else "b" if low > 0 else None,
            "You compare with 0, as for a difference. For a ratio, no difference is 1.",
        ),
        Misconception(
            "one end is enough",
            lambda low, high: "a" if low < 1 else "b",
            "You look at one end. All of the interval has to lie on one side of 1.",
        ),
        Misconception(
            "never sure",
            lambda low, high: None,
            "You never name a winner. When the whole interval lies below 1, the samples show that a is faster.",
        ),
    ),
)


# --- q3: the ridge ------------------------------------------------------------------------------------------

# Dense 16-bit TFLOP/s and GB/s of chips in the catalog: T4, L4, A100 80 GB, H100 SXM, MI300X; a laptop CPU.
CHIPS = ((65.0, 320.0), (121.0, 300.0), (312.0, 2039.0), (989.0, 3350.0), (1307.4, 5300.0), (0.8, 60.0))


def ridge(peak_tflop_per_s, bandwidth_gb_per_s):
    return peak_tflop_per_s * 1e12 / (bandwidth_gb_per_s * 1e9)


def ridge_inputs(rng):
    yield from CHIPS
    for _ in range(4):
        yield round(float(rng.uniform(0.1, 2000)), 1), round(float(rng.uniform(20, 8000)), 1)


RIDGE = Question(
    id="ch00.q3",
    points=1,
    asks="the intensity at the ridge, in FLOP per byte, from peak TFLOP/s and memory bandwidth in GB/s",
    reference=ridge,
    inputs=ridge_inputs,
    misconceptions=(
        Misconception(
            "inverted",
            lambda peak, bandwidth: bandwidth * 1e9 / (peak * 1e12),
            "Upside down: that is bytes per FLOP. The unit tells: (FLOP/s) / (bytes/s) is FLOP per byte.",
        ),
        Misconception(
            "bits for bytes",
            lambda peak, bandwidth: peak * 1e12 / (bandwidth * 1e9 / 8),
            "You divide the bandwidth by 8 as if it were in bits. GB/s, with a capital B, is bytes already.",
        ),
        Misconception(
            "bytes to bits",
            lambda peak, bandwidth: peak * 1e12 / (bandwidth * 1e9 * 8),
            "You turn the bytes into bits: that gives FLOP per bit. Intensity is counted per byte.",
        ),
        Misconception(
            "GiB for GB",
            lambda peak, bandwidth: peak * 1e12 / (bandwidth * 2**30),
            "You take GB for GiB, 7 % more bytes. Bandwidth is published in GB/s: 10**9 bytes.",
        ),
        Misconception(
            "prefixes forgotten",
            lambda peak, bandwidth: peak / bandwidth,
            "Tera over giga is a thousand: bring both to FLOP/s and bytes/s before you divide.",
        ),
    ),
    properties=(
        Property(
            "twice the bandwidth halves the ridge",
            lambda f, peak, bandwidth: abs(f(peak, 2 * bandwidth) * 2 / f(peak, bandwidth) - 1) < 0.02,
        ),
    ),
)


# --- q4: attainable -----------------------------------------------------------------------------------------


def attainable_tflop_per_s(intensity, peak_tflop_per_s, bandwidth_gb_per_s):
    return min(peak_tflop_per_s, intensity * bandwidth_gb_per_s / 1000)


def attainable_inputs(rng):
    yield 0.083, 989.0, 3350.0  # two vectors added in fp32: one FLOP for twelve bytes
    yield 1.0, 989.0, 3350.0
    yield 295.0, 989.0, 3350.0
    yield 2000.0, 989.0, 3350.0
    yield 0.5, 0.2, 50.0
    yield 64.0, 0.2, 50.0
    for _ in range(6):
        peak, bandwidth = CHIPS[rng.integers(len(CHIPS))]
        yield round(float(10 ** rng.uniform(-0.5, 3.5)), 2), peak, bandwidth


ATTAINABLE = Question(
    id="ch00.q4",
    points=2,
    asks="the TFLOP/s that a kernel of this intensity (FLOP per byte) can reach at most",
    reference=attainable_tflop_per_s,
    inputs=attainable_inputs,
    misconceptions=(
        Misconception(
            "memory only",
            lambda i, peak, bandwidth: i * bandwidth / 1000,
            "You let the memory decide alone. Beyond the ridge the product exceeds what the chip can compute.",
        ),
        Misconception(
            "peak only",
            lambda i, peak, bandwidth: peak,
            "You give the peak, always. Below the ridge the numbers don't arrive fast enough for it.",
        ),
        Misconception(
            "the larger one",
            lambda i, peak, bandwidth: max(peak, i * bandwidth / 1000),
            "You take the larger of the two. The slower side holds the other one up: take the smaller.",
        ),
        Misconception(
            "added times",
            lambda i, peak, bandwidth: 1 / (1 / peak + 1000 / (i * bandwidth)),
            "You add the time for memory and the time for arithmetic. A chip does both at once, so that the "
            "roofline takes the longer of the two, not their sum.",
        ),
        Misconception(
            "both together",
            lambda i, peak, bandwidth: peak + i * bandwidth / 1000,
            "You add the two roofs. They are limits of the same operations, and the lower one counts.",
        ),
        Misconception(
            "prefixes forgotten",
            lambda i, peak, bandwidth: min(peak, i * bandwidth),
            "intensity × GB/s is in GFLOP/s and the peak in TFLOP/s: a thousand lies between them.",
        ),
    ),
    properties=(
        Property(
            "twice the intensity never lowers the answer, nor more than doubles it",
            lambda f, i, peak, bandwidth: (
                f(i, peak, bandwidth) * (1 - 1e-9)
                <= f(2 * i, peak, bandwidth)
                <= 2 * f(i, peak, bandwidth) * (1 + 1e-9)
            ),
        ),
    ),
)

QUESTIONS = (TYPICAL, WINNER, RIDGE, ATTAINABLE)
