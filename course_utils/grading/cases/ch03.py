"""Chapter 03, INT8: codes, zero points, scales, verdicts, sizes, smoothing, speed-ups, money."""

from course_utils.grading.questions import Misconception, Property, Question

# Data sheets, dense: TFLOP/s in 16 bits, TOP/s in INT8, GB/s. T4, L4, A100 SXM 80GB, H100 SXM.
CHIPS = ((65.0, 130.0, 320.0), (121.0, 242.0, 300.0), (312.0, 624.0, 2039.0), (989.0, 1979.0, 3350.0))


def some_weights(rng, count):
    """Weights of which the largest magnitude is negative: whoever forgets the sign is seen."""
    weights = [round(float(w), 4) for w in rng.normal(0, 0.3, count)]
    weights[int(rng.integers(count))] = -round(float(rng.uniform(1.5, 2.5)), 4)
    return weights


# --- q1: absmax codes ---------------------------------------------------------------------------------------


def absmax_codes(weights, bits):
    highest = 2 ** (bits - 1) - 1
    scale = max(abs(w) for w in weights) / highest
    return [round(w / scale) for w in weights]


def code_inputs(rng):
    yield [0.3, -1.0, 0.55], 8
    yield [0.9, 0.2, -0.4], 4
    yield [-2.0, 0.0], 2
    for bits in (8, 8, 6, 4, 3):
        yield some_weights(rng, 7), bits


CODES = Question(
    id="ch03.q1",
    points=2,
    asks="the whole-number codes of the weights on the absmax grid, as a list",
    reference=absmax_codes,
    inputs=code_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "largest instead of largest magnitude",
            lambda w, bits: [round(v / (max(w) / (2 ** (bits - 1) - 1))) for v in w],
            "Your scale comes from max(weights). Where the largest magnitude is negative, its code falls off the "
            "grid: take the largest |w|.",
        ),
        Misconception(
            "cut off instead of rounded",
            lambda w, bits: [int(v / (max(map(abs, w)) / (2 ** (bits - 1) - 1))) for v in w],
            "You cut the fraction off. That pulls every weight towards zero and doubles the largest error: round to "
            "the nearest code.",
        ),
        Misconception(
            "not rounded",
            lambda w, bits: [v / (max(map(abs, w)) / (2 ** (bits - 1) - 1)) for v in w],
            "You divide and don't round. A code is a whole number: only so does it fit into its bits.",
        ),
        Misconception(
            "sign lost",
            lambda w, bits: [round(abs(v) / (max(map(abs, w)) / (2 ** (bits - 1) - 1))) for v in w],
            "Your codes have lost their signs. The magnitude is for the scale only; a negative weight has a "
            "negative code.",
        ),
        Misconception(
            "all codes on one side",
            lambda w, bits: [round(v / (max(map(abs, w)) / (2**bits - 1))) for v in w],
            "Your codes go up to 2^bits − 1. Half of the codes are needed for the negative weights: the highest is "
            "2^(bits − 1) − 1, 127 at 8 bits.",
        ),
        Misconception(
            "one code too many",
            lambda w, bits: [round(v / (max(map(abs, w)) / 2 ** (bits - 1))) for v in w],
            "Your highest code is 2^(bits − 1), 128 at 8 bits. A signed byte ends at 127.",
        ),
        Misconception(
            "multiplied by the scale",
            lambda w, bits: [round(v * (max(map(abs, w)) / (2 ** (bits - 1) - 1))) for v in w],
            "You multiply by the scale. That is the way back; on the way to a code you divide.",
        ),
        Misconception(
            "the weights that come back",
            lambda w, bits: [round(v / (s := max(map(abs, w)) / (2 ** (bits - 1) - 1))) * s for v in w],
            "These are the rounded weights, after the way back. The codes are asked for: whole numbers.",
        ),
    ),
)


# --- q2: scale and zero point -------------------------------------------------------------------------------


def scale_and_zero(low, high, bits):
    lowest_code = -(2 ** (bits - 1))
    scale = (high - low) / (2**bits - 1)
    zero = round(lowest_code - low / scale)
    return scale, zero


def zero_inputs(rng):
    yield -0.2, 1.0, 8
    yield 0.0, 6.3, 8
    yield -3.1, 0.0, 4
    for bits in (8, 8, 4, 3):
        yield -round(float(rng.uniform(0.1, 1)), 3), round(float(rng.uniform(1.5, 6)), 3), bits


ZERO = Question(
    id="ch03.q2",
    points=3,
    asks="(scale, zero): the scale, and the whole-number code that stands for 0.0",
    reference=scale_and_zero,
    inputs=zero_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "sign of the zero point",
            lambda low, high, bits: (
                (s := (high - low) / (2**bits - 1)),
                round(-(2 ** (bits - 1)) + low / s),
            ),
            "Your zero point has its sign the wrong way round. Check with w = low: (q − zero) × scale must give low "
            "back at the lowest code, so zero = lowest code − low / scale.",
        ),
        Misconception(
            "unsigned codes",
            lambda low, high, bits: ((s := (high - low) / (2**bits - 1)), round(-low / s)),
            "Your codes start at 0. Here they are signed and start at −2^(bits − 1), −128 at 8 bits: the zero point "
            "moves down by as much.",
        ),
        Misconception(
            "as many steps as codes",
            lambda low, high, bits: (
                (s := (high - low) / 2**bits),
                round(-(2 ** (bits - 1)) - low / s),
            ),
            "256 codes have 255 steps between them: divide by 2^bits − 1.",
        ),
        Misconception(
            "absmax scale",
            lambda low, high, bits: (
                (s := max(-low, high) / (2 ** (bits - 1) - 1)),
                round(-(2 ** (bits - 1)) - low / s),
            ),
            "That is the absmax scale. A grid with a zero point covers only low to high, which is why its steps are "
            "finer where the weights lie on one side.",
        ),
        Misconception(
            "scale upside down",
            lambda low, high, bits: (
                (s := (2**bits - 1) / (high - low)),
                round(-(2 ** (bits - 1)) - low * s),
            ),
            "Your scale is upside down: codes per unit. A scale says how far apart two codes are.",
        ),
        Misconception(
            "zero point not rounded",
            lambda low, high, bits: (
                (s := (high - low) / (2**bits - 1)),
                -(2 ** (bits - 1)) - low / s,
            ),
            "The zero point must be a code, a whole number: only then does 0.0 come back as exactly 0.0.",
        ),
        Misconception(
            "zero point cut off",
            lambda low, high, bits: (
                (s := (high - low) / (2**bits - 1)),
                int(-(2 ** (bits - 1)) - low / s),
            ),
            "You cut the zero point's fraction off, and Python's int() cuts towards 0: round to the nearest code.",
        ),
        Misconception(
            "the two the wrong way round",
            lambda low, high, bits: scale_and_zero(low, high, bits)[::-1],
            "You return (zero, scale). The scale comes first.",
        ),
    ),
)


# --- q3: one scale per channel ------------------------------------------------------------------------------


def channel_scales(matrix, bits):
    highest = 2 ** (bits - 1) - 1
    return [max(abs(w) for w in row) / highest for row in matrix]


def scale_inputs(rng):
    yield [[1.0, -2.0, 0.5], [0.1, 0.0, -0.3]], 8
    yield [[-4.0], [0.25], [1.0]], 4
    for bits in (8, 8, 4, 3):
        rows, columns = int(rng.integers(2, 5)), int(rng.integers(5, 8))
        yield [some_weights(rng, columns) for _ in range(rows)], bits


def _columns(matrix):
    return [list(column) for column in zip(*matrix, strict=True)]


SCALES = Question(
    id="ch03.q3",
    points=2,
    asks="a list with one absmax scale for each row of the matrix (one output channel)",
    reference=channel_scales,
    inputs=scale_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "one scale for the tensor",
            lambda m, bits: [max(abs(w) for row in m for w in row) / (2 ** (bits - 1) - 1)] * len(m),
            "Every row gets the scale of the whole matrix. That is per tensor: one large weight anywhere coarsens "
            "all rows.",
        ),
        Misconception(
            "columns for rows",
            lambda m, bits: [max(map(abs, column)) / (2 ** (bits - 1) - 1) for column in _columns(m)],
            "You take the columns. A row holds the weights of one output, and a scale per output can be multiplied "
            "in after the sum; one per input can't.",
        ),
        Misconception(
            "largest instead of largest magnitude",
            lambda m, bits: [max(row) / (2 ** (bits - 1) - 1) for row in m],
            "You take max(row). Negative weights count by their magnitude.",
        ),
        Misconception(
            "mean magnitude",
            lambda m, bits: [sum(map(abs, row)) / len(row) / (2 ** (bits - 1) - 1) for row in m],
            "You take the mean magnitude. Then the largest weights lie beyond the last code and are cut off.",
        ),
        Misconception(
            "all codes on one side",
            lambda m, bits: [max(map(abs, row)) / (2**bits - 1) for row in m],
            "Your scales are half as large as they must be: half of the codes are for negative weights.",
        ),
        Misconception(
            "scale upside down",
            lambda m, bits: [(2 ** (bits - 1) - 1) / max(map(abs, row)) for row in m],
            "Upside down: that many codes fit into one unit. A scale is the distance of two codes.",
        ),
    ),
)


# --- q4: what an interval allows to say ---------------------------------------------------------------------


def verdict(lo, hi, margin):
    if -margin < lo and hi < margin:
        return "within"
    if lo > margin or hi < -margin:
        return "outside"
    return "can't tell"


def verdict_inputs(rng):
    yield -0.002, 0.003, 0.01
    yield 0.002, 0.006, 0.01  # a difference is shown, and it is small
    yield -0.02, 0.03, 0.01
    yield -0.004, 0.013, 0.01
    yield 0.005, 0.03, 0.01
    yield -0.015, 0.004, 0.01
    yield 0.0, 0.01, 0.01  # reaches the margin: not inside
    yield -0.01, 0.0, 0.01
    yield 0.01, 0.02, 0.01  # starts at the margin: not beyond
    yield -0.02, -0.01, 0.01
    for sign in (1, -1):
        margin = round(float(rng.uniform(0.005, 0.02)), 3)
        inside = sorted(float(edge) for edge in rng.uniform(-0.9, 0.9, 2))
        yield inside[0] * margin, inside[1] * margin, margin
        for reach in (1.5, 3):
            beyond = sorted((1.2 * sign * margin, (1.2 + reach) * sign * margin))
            yield *beyond, margin
        yield *sorted((0.1 * sign * margin, 0.8 * sign * margin)), margin


def _verdict_by_middle(lo, hi, margin):
    return "within" if abs(lo + hi) / 2 < margin else "outside"


def _verdict_by_zero(lo, hi, margin):
    if lo <= 0 <= hi:
        return "within"
    return "outside" if lo > margin or hi < -margin else "can't tell"


def _one_sided(lo, hi, margin):
    if hi < margin:
        return "within"
    return "outside" if lo > margin else "can't tell"


def _overlapping(lo, hi, margin):
    return "within" if lo < margin and hi > -margin else "outside"


VERDICT = Question(
    id="ch03.q4",
    points=2,
    asks='"within", "outside" or "can\'t tell": what the interval shows about the margin',
    reference=verdict,
    inputs=verdict_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "no difference shown means none",
            _verdict_by_zero,
            'You say "within" because the interval holds 0. A wide one from −2 % to +3 % holds 0 too, and shows '
            "nothing: all of it must lie inside the margin.",
        ),
        Misconception(
            "the middle decides",
            _verdict_by_middle,
            "You look at the middle of the interval only. Its width is what says how sure that is.",
        ),
        Misconception(
            "one side only",
            _one_sided,
            "You look at the upper end only. The margin has two sides.",
        ),
        Misconception(
            "some of it inside",
            _overlapping,
            "You are content if a part of the interval lies inside the margin. Then the truth may lie outside.",
        ),
        Misconception(
            "percent for fraction",
            lambda lo, hi, margin: verdict(lo * 100, hi * 100, margin),
            "You turn the interval into percent and leave the margin a fraction.",
        ),
    ),
)


# --- q5: bytes that are stored ------------------------------------------------------------------------------


def stored_bytes(rows, columns, bits, group_size, scale_bytes):
    codes = rows * columns * bits / 8
    scales = rows * columns / group_size * scale_bytes
    return codes + scales


def size_inputs(rng):
    yield 2048, 2048, 8, 2048, 4
    yield 2048, 2048, 8, 64, 4
    yield 4096, 14336, 4, 128, 2
    for _ in range(5):
        columns = int(rng.choice([512, 1024, 4096]))
        yield (
            int(rng.choice([256, 768, 3072])),
            columns,
            int(rng.choice([4, 8])),
            int(rng.choice([32, 64, 128])),
            int(rng.choice([1, 2])),
        )


SIZE = Question(
    id="ch03.q5",
    points=2,
    asks="the bytes of a weight matrix of small codes with all its scales",
    reference=stored_bytes,
    inputs=size_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "bits for bytes",
            lambda r, c, bits, g, s: r * c * bits + r * c / g * s,
            "Your codes are counted in bits. A byte has 8 of them.",
        ),
        Misconception(
            "scales forgotten",
            lambda r, c, bits, g, s: r * c * bits / 8,
            "You leave the scales out. Without them the codes mean nothing, and with small groups they are an eighth "
            "of the file.",
        ),
        Misconception(
            "one scale for the tensor",
            lambda r, c, bits, g, s: r * c * bits / 8 + s,
            "You count a single scale. There is one for each group of group_size weights.",
        ),
        Misconception(
            "one scale a row",
            lambda r, c, bits, g, s: r * c * bits / 8 + r * s,
            "You count a scale for each row. A row has columns / group_size groups, each with its own.",
        ),
        Misconception(
            "groups of one row only",
            lambda r, c, bits, g, s: r * c * bits / 8 + c / g * s,
            "You count the groups of one row. Every row has as many.",
        ),
        Misconception(
            "scales in bits",
            lambda r, c, bits, g, s: r * c * bits / 8 + r * c / g * s / 8,
            "You divide the scales by 8 too: scale_bytes is in bytes already.",
        ),
    ),
)


# --- q6: what smoothing does to both sides ------------------------------------------------------------------


def smoothed(x_max, w_max, alpha):
    s = x_max**alpha / w_max ** (1 - alpha)
    return x_max / s, w_max * s


def smoothing_inputs(rng):
    yield 80.0, 0.2, 0.5
    yield 80.0, 0.2, 0.0
    yield 80.0, 0.2, 1.0
    for alpha in (0.5, 0.25, 0.6, 0.8):
        yield round(float(rng.uniform(3, 300)), 1), round(float(rng.uniform(0.05, 0.9)), 3), alpha


SMOOTH = Question(
    id="ch03.q6",
    points=3,
    asks="(largest activation, largest weight) of a channel after SmoothQuant",
    reference=smoothed,
    inputs=smoothing_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "the wrong side divided",
            lambda x, w, a: (x * (s := x**a / w ** (1 - a)), w / s),
            "You multiply the activations, which are large already, and divide the weights: it must be the other "
            "way round.",
        ),
        Misconception(
            "alpha for one minus alpha",
            lambda x, w, a: (x / (s := x ** (1 - a) / w**a), w * s),
            "Your alpha works backwards: at 1, all of the difficulty should go to the weights. The activations get "
            "the exponent alpha, the weights 1 − alpha. Or did you return (w, x)?",
        ),
        Misconception(
            "alpha ignored",
            lambda x, w, a: (x / (s := (x / w) ** 0.5), w * s),
            "You always share the difficulty in halves. Use alpha.",
        ),
        Misconception(
            "weights multiplied into s",
            lambda x, w, a: (x / (s := x**a * w ** (1 - a)), w * s),
            "You multiply by the power of the weight's maximum. Where the weights are large already, s must be "
            "smaller: divide.",
        ),
        Misconception(
            "both divided",
            lambda x, w, a: (x / (s := x**a / w ** (1 - a)), w / s),
            "You divide both sides, and the product of the two is no longer what it was. What is taken from one is "
            "given to the other.",
        ),
    ),
    properties=(
        Property(
            "activation times weight stays what it was",
            lambda f, x, w, a: abs(f(x, w, a)[0] * f(x, w, a)[1] / (x * w) - 1) < 1e-6,
        ),
    ),
)


# --- q7: what weights alone buy, and what both sides buy ----------------------------------------------------


def speedups(tokens, fp16_tflop_per_s, int8_top_per_s, bandwidth_gb_per_s):
    read_byte_s = 1 / (bandwidth_gb_per_s * 1e9)
    fp16_s = 2 * tokens / (fp16_tflop_per_s * 1e12)
    int8_s = 2 * tokens / (int8_top_per_s * 1e12)
    before_s = max(2 * read_byte_s, fp16_s)
    return before_s / max(read_byte_s, fp16_s), before_s / max(read_byte_s, int8_s)


def speed_inputs(rng):
    yield 1, 65.0, 130.0, 320.0
    yield 4096, 65.0, 130.0, 320.0
    for chip in CHIPS:
        ridge_tokens = chip[0] * 1000 / chip[2]
        yield int(ridge_tokens * 0.7), *chip
        yield int(ridge_tokens * float(rng.uniform(1.2, 1.8))), *chip


def _times(tokens, fp16, int8, bandwidth):
    return 1 / (bandwidth * 1e9), 2 * tokens / (fp16 * 1e12), 2 * tokens / (int8 * 1e12)


def _summed(tokens, fp16, int8, bandwidth):
    byte, half, eight = _times(tokens, fp16, int8, bandwidth)
    return (2 * byte + half) / (byte + half), (2 * byte + half) / (byte + eight)


def _both_in_int8(*given):
    _, both = speedups(*given)
    return both, both


def _one_flop(tokens, fp16, int8, bandwidth):
    return speedups(tokens / 2, fp16, int8, bandwidth)


SPEEDUPS = Question(
    id="ch03.q7",
    points=3,
    asks="(speed-up of 8-bit weights alone, speed-up of W8A8), each over 16-bit weights and products",
    reference=speedups,
    inputs=speed_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "weights alone multiply in INT8",
            _both_in_int8,
            "You give weight-only INT8 the integer units. Its activations are still 16-bit, so that the weights are "
            "unpacked and multiplied in 16 bits: only the reading gets cheaper.",
        ),
        Misconception(
            "nothing gained by reading",
            lambda n, fp16, int8, bw: (
                (before := max(2 * (times := _times(n, fp16, int8, bw))[0], times[1])) / before,
                before / max(2 * times[0], times[2]),
            ),
            "You still read 2 bytes a weight afterwards. In 8 bits it is one.",
        ),
        Misconception(
            "the two the wrong way round",
            lambda *given: speedups(*given)[::-1],
            "You return (W8A8, weights alone). Weights alone come first.",
        ),
        Misconception(
            "always the bytes",
            lambda n, fp16, int8, bw: (2.0, 2.0),
            "Half the bytes is twice the speed only while reading decides. With many tokens at once the arithmetic "
            "does.",
        ),
        Misconception(
            "always the arithmetic",
            lambda n, fp16, int8, bw: (1.0, int8 / fp16),
            "You look at the arithmetic only. With few tokens at once the time goes into reading the weights.",
        ),
        Misconception(
            "times added",
            _summed,
            "You add reading and multiplying. A chip does both at once: the longer one decides.",
        ),
        Misconception(
            "one operation a weight",
            _one_flop,
            "Half of the operations are missing: each weight is multiplied and added, 2 for each token.",
        ),
        Misconception(
            "upside down",
            lambda *given: tuple(1 / value for value in speedups(*given)),
            "A speed-up is old time over new time: above 1 where it got faster.",
        ),
    ),
    properties=(
        Property("W8A8 is never slower than weights alone", lambda f, *a: f(*a)[1] >= f(*a)[0] - 1e-9),
    ),
)


# --- q8: from a faster layer to a cheaper token -------------------------------------------------------------


def usd_after(usd_per_mtok, linear_share, speedup):
    time_left = 1 - linear_share + linear_share / speedup
    return usd_per_mtok * time_left


def money_inputs(rng):
    yield 10.0, 0.9, 4.0
    yield 10.0, 1.0, 4.0
    yield 2.5, 0.5, 0.5  # a small hidden size: the layers got slower
    for _ in range(5):
        yield (
            round(float(rng.uniform(0.2, 20)), 2),
            round(float(rng.uniform(0.55, 0.95)), 2),
            round(float(rng.uniform(1.5, 8)), 1),
        )


MONEY = Question(
    id="ch03.q8",
    points=2,
    asks="USD per million tokens after the linear layers have become faster",
    reference=usd_after,
    inputs=money_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "everything gets faster",
            lambda usd, share, times: usd / times,
            "You divide the whole price. Attention, norms and the output layer take as long as before.",
        ),
        Misconception(
            "the rest forgotten",
            lambda usd, share, times: usd * share / times,
            "You drop the time that isn't spent in linear layers. It is still there, and paid for.",
        ),
        Misconception(
            "the rest in full",
            lambda usd, share, times: usd * (1 + share / times),
            "You add the faster part to the whole of the old time. The linear layers' old time goes: 1 − share stays.",
        ),
        Misconception(
            "speeds averaged",
            lambda usd, share, times: usd / (1 - share + share * times),
            "You average the speeds. Times add up, speeds don't: a part that stays slow keeps its time.",
        ),
        Misconception(
            "slower is cheaper",
            lambda usd, share, times: usd * (1 - share + share * times),
            "You multiply the time by the speed-up. Twice as fast is half the time.",
        ),
        Misconception(
            "the wrong share",
            lambda usd, share, times: usd * (share + (1 - share) / times),
            "You speed up the other part: linear_share is what gets faster.",
        ),
    ),
    properties=(
        Property(
            "without linear layers nothing changes",
            lambda f, usd, share, times: abs(f(usd, 0.0, times) - usd) < 1e-9 * usd,
        ),
    ),
)

QUESTIONS = (CODES, ZERO, SCALES, VERDICT, SIZE, SMOOTH, SPEEDUPS, MONEY)
