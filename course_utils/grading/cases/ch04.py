"""Chapter 04, INT4: bits with scales, bytes of a file, groups, GPTQ's step and damping, AWQ's scale."""

from course_utils.grading.questions import Misconception, Property, Question

# --- q1: bits per weight ------------------------------------------------------------------------------------


def bits_per_weight(bits, group, scale_bits, zero_bits):
    return bits + (scale_bits + zero_bits) / group


def bits_inputs(rng):
    yield 4, 128, 16, 4
    yield 4, 32, 16, 16  # Q4_1 of llama.cpp: scale and minimum in 16 bits each
    yield 4, 64, 32, 0  # NF4 as bitsandbytes stores it by default
    for _ in range(6):
        yield (
            int(rng.choice([2, 3, 4, 8])),
            int(rng.choice([16, 32, 64, 128, 256])),
            int(rng.choice([8, 16, 32])),
            int(rng.choice([2, 3, 4, 8])),
        )


BITS = Question(
    id="ch04.q1",
    points=1,
    asks="the bits that one weight takes, its share of the group's scale and zero point included",
    reference=bits_per_weight,
    inputs=bits_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "scale forgotten",
            lambda b, g, s, z: b + z / g,
            "The scale is missing. At groups of 32 it adds half a bit to each weight.",
        ),
        Misconception(
            "zero point forgotten",
            lambda b, g, s, z: b + s / g,
            "The zero point is missing. It is stored per group, beside the scale.",
        ),
        Misconception(
            "codes only",
            lambda b, g, s, z: float(b),
            "Those are the codes alone. Without scales nobody can turn them back into weights.",
        ),
        Misconception(
            "a scale for every weight",
            lambda b, g, s, z: b + s + z,
            "You charge each weight for a whole scale. The weights of a group share it: divide by the group.",
        ),
        Misconception(
            "bits for bytes",
            lambda b, g, s, z: (b + (s + z) / g) / 8,
            "Those are bytes. Bits are asked for.",
        ),
        Misconception(
            "bytes of scale added to bits",
            lambda b, g, s, z: b + (s + z) / 8 / g,
            "You turn the scale into bytes and add it to bits: keep one unit.",
        ),
    ),
    properties=(
        Property(
            "twice the group halves what the scales add",
            lambda f, b, g, s, z: abs((f(b, g, s, z) - b) - 2 * (f(b, 2 * g, s, z) - b)) < 1e-6,
        ),
    ),
)


# --- q2: bytes of the file ----------------------------------------------------------------------------------


def file_gb(linear_parameters, other_parameters, bits, group):
    linear_bits = linear_parameters * (bits + 16 / group)
    return (linear_bits + other_parameters * 16) / 8 / 1e9


def file_inputs(rng):
    yield 106.2e6, 28.3e6, 4, 64  # SmolLM2-135M: a fifth of it is the embedding
    yield 6.98e9, 1.05e9, 4, 128  # Llama-3.1-8B
    yield 68.45e9, 2.1e9, 3, 128
    for _ in range(6):
        linear = float(rng.integers(50, 5000)) * 1e6
        share = float(rng.uniform(0.05, 0.4))
        yield linear, round(linear * share), int(rng.choice([2, 3, 4, 8])), int(rng.choice([32, 64, 128]))


FILE = Question(
    id="ch04.q2",
    points=2,
    asks="the GB (10⁹ bytes) of the file: linears in codes with a 16-bit scale per group, all else in 16 bits",
    reference=file_gb,
    inputs=file_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "bits for bytes",
            lambda p, o, b, g: (p * (b + 16 / g) + o * 16) / 1e9,
            "Eight times too much: those are bits. A byte has eight.",
        ),
        Misconception(
            "scale forgotten",
            lambda p, o, b, g: (p * b + o * 16) / 8 / 1e9,
            "The scales are missing: 16 bits for each group.",
        ),
        Misconception(
            "all of it quantized",
            lambda p, o, b, g: (p + o) * (b + 16 / g) / 8 / 1e9,
            "You quantize embeddings and norms too. They stay in 16 bits, and in a small model that is a large part.",
        ),
        Misconception(
            "the rest forgotten",
            lambda p, o, b, g: p * (b + 16 / g) / 8 / 1e9,
            "You leave out what isn't quantized. The embedding is in the file too.",
        ),
        Misconception(
            "the rest in 32 bits",
            lambda p, o, b, g: (p * (b + 16 / g) + o * 32) / 8 / 1e9,
            "You store the rest in 4 bytes. 16 bits are 2.",
        ),
        Misconception(
            "GiB for GB",
            lambda p, o, b, g: (p * (b + 16 / g) + o * 16) / 8 / 2**30,
            "You divide by 2³⁰: that is GiB. GB, 10⁹ bytes, are asked for.",
        ),
        Misconception(
            "16 bytes a scale",
            lambda p, o, b, g: (p * (b + 128 / g) + o * 16) / 8 / 1e9,
            "Your scales have 16 bytes each. They have 16 bits.",
        ),
    ),
)


# --- q3: codes back to weights ------------------------------------------------------------------------------


def dequantized(codes, scales, group):
    return [
        [code * scales[row][column // group] for column, code in enumerate(line)]
        for row, line in enumerate(codes)
    ]


def group_inputs(rng):
    yield (
        [[1, -2, 3, 4], [5, 6, -7, 0], [1, 1, 1, 1], [2, 2, 2, 2]],
        [[0.5, 2.0], [1.0, 4.0], [3.0, 0.1], [0.2, 7.0]],
        2,
    )
    for _ in range(4):
        size, group = int(rng.choice([6, 8])), 2
        yield (
            rng.integers(-8, 8, (size, size)).tolist(),
            rng.uniform(0.05, 2.0, (size, size // group)).round(3).tolist(),
            group,
        )


GROUPS = Question(
    id="ch04.q3",
    points=2,
    asks="the weights, as a list of rows: each code times the scale of its group, neighbours in a row sharing one",
    reference=dequantized,
    inputs=group_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "group axis wrong",
            lambda codes, scales, group: [
                [code * scales[column][row // group] for column, code in enumerate(line)]
                for row, line in enumerate(codes)
            ],
            "Your groups run down the columns. A group is neighbours in a *row*: inputs of the same output.",
        ),
        Misconception(
            "one scale per row",
            lambda codes, scales, group: [
                [code * scales[row][0] for code in line] for row, line in enumerate(codes)
            ],
            "You take the first scale for the whole row. That is per-channel; each group has a scale of its own.",
        ),
        Misconception(
            "groups dealt out like cards",
            lambda codes, scales, group: [
                [code * scales[row][column % len(scales[row])] for column, code in enumerate(line)]
                for row, line in enumerate(codes)
            ],
            "Your groups take every n-th column. They are neighbours: column // group, not column % groups.",
        ),
        Misconception(
            "divided by the scale",
            lambda codes, scales, group: [
                [code / scales[row][column // group] for column, code in enumerate(line)]
                for row, line in enumerate(codes)
            ],
            "You divide. A weight was *divided* by the scale to become a code; on the way back multiply.",
        ),
    ),
)


# --- q4: one step of GPTQ -----------------------------------------------------------------------------------


def gptq_step(row, factor_row, column, step):
    rounded = round(row[column] / step) * step
    error = (row[column] - rounded) / factor_row[column]
    after = [weight - error * factor_row[j] for j, weight in enumerate(row) if j > column]
    return [*row[:column], rounded, *after]


def step_inputs(rng):
    yield [0.6, 0.6], [1.5, -1.2], 0, 1.0
    yield [1.0, 0.0, 2.0], [1.0, 0.3, 0.4], 0, 1.0  # on the grid already: nothing to move
    for _ in range(6):
        size = int(rng.integers(4, 8))
        column = int(rng.integers(1, size - 2))
        factor = rng.uniform(-0.6, 0.6, size)
        factor[column] = rng.uniform(0.7, 2.0)
        row = rng.normal(0, 1, size).round(3)
        # Off the grid by a fifth to two fifths of a step: there is an error to move, and no tie.
        row[column] = round(float(rng.integers(-3, 4)) * 0.5 + float(rng.uniform(0.1, 0.2)), 3)
        yield row.tolist(), factor.round(3).tolist(), column, 0.5


GPTQ_STEP = Question(
    id="ch04.q4",
    points=3,
    asks="the row after one step: `column` rounded to a multiple of `step`, its error moved into the columns after it",
    reference=gptq_step,
    inputs=step_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "no compensation",
            lambda row, f, i, s: [*row[:i], round(row[i] / s) * s, *row[i + 1 :]],
            "You round and move nothing. That is plain rounding.",
        ),
        Misconception(
            "not divided by the diagonal",
            lambda row, f, i, s: [
                *row[:i],
                round(row[i] / s) * s,
                *(row[j] - (row[i] - round(row[i] / s) * s) * f[j] for j in range(i + 1, len(row))),
            ],
            "The error has to be divided by the factor's own entry, factor_row[column], before it is spread.",
        ),
        Misconception(
            "wrong sign",
            lambda row, f, i, s: [
                *row[:i],
                round(row[i] / s) * s,
                *(row[j] + (row[i] - round(row[i] / s) * s) / f[i] * f[j] for j in range(i + 1, len(row))),
            ],
            "You move the error the wrong way, and double it. With error = before − rounded, subtract.",
        ),
        Misconception(
            "columns before it moved too",
            lambda row, f, i, s: [
                round(row[j] / s) * s if j == i else row[j] - (row[i] - round(row[i] / s) * s) / f[i] * f[j]
                for j in range(len(row))
            ],
            "You change columns before this one. They are rounded already: only those after it can still pay.",
        ),
        Misconception(
            "spread evenly",
            lambda row, f, i, s: [
                *row[:i],
                round(row[i] / s) * s,
                *(
                    row[j] + (row[i] - round(row[i] / s) * s) / (len(row) - i - 1)
                    for j in range(i + 1, len(row))
                ),
            ],
            "You give every later column the same share. Each takes what its input has in common with this one's: "
            "that is what factor_row holds.",
        ),
    ),
)


# --- q5: damping --------------------------------------------------------------------------------------------


def damped(gram, share):
    size = len(gram)
    added = share * sum(gram[i][i] for i in range(size)) / size
    return [[gram[i][j] + added * (i == j) for j in range(size)] for i in range(size)]


def damping_inputs(rng):
    yield [[4.0, 1.0], [1.0, 2.0]], 0.01
    for _ in range(5):
        size = int(rng.integers(3, 5))
        inputs = rng.normal(0, 1, (12, size)) * rng.uniform(0.5, 5, size)
        yield (inputs.T @ inputs).round(3).tolist(), round(float(rng.uniform(0.01, 0.2)), 3)


DAMPING = Question(
    id="ch04.q5",
    points=2,
    asks="XᵀX, as a list of rows, with `share` of its mean diagonal added to each entry of the diagonal",
    reference=damped,
    inputs=damping_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "nothing added",
            lambda g, share: g,
            "You add nothing. With few tokens XᵀX can't be inverted as it is.",
        ),
        Misconception(
            "share itself added",
            lambda g, share: [
                [value + share * (i == j) for j, value in enumerate(line)] for i, line in enumerate(g)
            ],
            "You add the share itself. XᵀX grows with the tokens, so a fixed number means nothing: take the "
            "share of its mean diagonal.",
        ),
        Misconception(
            "every entry raised",
            lambda g, share: [
                [value + share * sum(g[k][k] for k in range(len(g))) / len(g) for value in line] for line in g
            ],
            "You raise all entries. Only the diagonal is damped; the others say which inputs go together.",
        ),
        Misconception(
            "each entry by its own share",
            lambda g, share: [
                [value * (1 + share * (i == j)) for j, value in enumerate(line)] for i, line in enumerate(g)
            ],
            "You raise each diagonal entry by a share of itself. A channel that is always zero stays zero that "
            "way, and the inverse fails on it.",
        ),
        Misconception(
            "sum for mean",
            lambda g, share: [
                [
                    value + share * sum(g[k][k] for k in range(len(g))) * (i == j)
                    for j, value in enumerate(line)
                ]
                for i, line in enumerate(g)
            ],
            "You add a share of the diagonal's *sum*. The mean is asked for.",
        ),
        Misconception(
            "mean over all entries",
            lambda g, share: [
                [value + share * sum(map(sum, g)) / len(g) ** 2 * (i == j) for j, value in enumerate(line)]
                for i, line in enumerate(g)
            ],
            "You take the mean of the whole matrix. Take that of the diagonal.",
        ),
    ),
)


# --- q6: AWQ's scale, and what undoes it --------------------------------------------------------------------


def awq_output(inputs, weights, scales, step):
    rounded = [round(w * s / step) * step for w, s in zip(weights, scales, strict=True)]
    return sum(x / s * w for x, s, w in zip(inputs, scales, rounded, strict=True))


def awq_inputs(rng):
    yield [20.0, 1.0], [0.3, 0.9], [2.0, 1.0], 0.5
    for _ in range(6):
        size = int(rng.integers(3, 6))
        yield (
            rng.uniform(1, 20, size).round(2).tolist(),
            rng.uniform(0.4, 2.0, size).round(3).tolist(),
            rng.uniform(1.2, 4.0, size).round(2).tolist(),
            0.37,
        )


AWQ = Question(
    id="ch04.q6",
    points=2,
    asks="one output of a layer: weights scaled up, rounded to multiples of `step`, the scales undone on the inputs",
    reference=awq_output,
    inputs=awq_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "scaling not undone",
            lambda x, w, s, step: sum(
                a * round(b * c / step) * step for a, b, c in zip(x, w, s, strict=True)
            ),
            "The scale isn't undone: this layer says something else now. Divide the inputs by it.",
        ),
        Misconception(
            "plain rounding",
            lambda x, w, s, step: sum(a * round(b / step) * step for a, b in zip(x, w, strict=True)),
            "That is plain rounding: you never scale, or only after rounding. Scale first, then round: so the step "
            "gets finer.",
        ),
        Misconception(
            "undone twice",
            lambda x, w, s, step: sum(
                a / c * round(b * c / step) * step / c for a, b, c in zip(x, w, s, strict=True)
            ),
            "You undo the scale twice, on the inputs and on the weights.",
        ),
        Misconception(
            "scaled the wrong way",
            lambda x, w, s, step: sum(
                a * c * round(b / c / step) * step for a, b, c in zip(x, w, s, strict=True)
            ),
            "You scale the weights *down*, which makes their steps coarser. The weights go up, the inputs down.",
        ),
        Misconception(
            "not rounded",
            lambda x, w, s, step: sum(a * b for a, b in zip(x, w, strict=True)),
            "You never round. That is the output in 16 bits.",
        ),
    ),
)

QUESTIONS = (BITS, FILE, GROUPS, GPTQ_STEP, DAMPING, AWQ)
