"""Chapter 05, pruning: what sparsity counts, which weights go, what zeros cost to store, what a cut saves."""

import numpy as np

from course_utils.grading.questions import Misconception, Property, Question

# Weights of the blocks' linears and of one embedding matrix, tied or not: SmolLM2-135M, Llama-3.2-1B, Llama-3.1-8B.
MODELS = (
    (106_168_320, 28_311_552, True),
    (973_078_528, 262_668_288, True),
    (6_979_321_856, 525_336_576, False),
)


# --- q1: sparsity of the linears, and of the model ----------------------------------------------------------


def zero_share(linear_sparsity, linear_weights, embedding_weights, tied):
    matrices = 1 if tied else 2
    return linear_sparsity * linear_weights / (linear_weights + matrices * embedding_weights)


def zero_share_inputs(rng):
    for linear, embedding, tied in MODELS:
        yield 0.5, linear, embedding, tied
    for _ in range(5):
        linear, embedding, tied = MODELS[rng.integers(len(MODELS))]
        yield round(rng.uniform(0.2, 0.9), 2), linear, embedding, not tied


ZERO_SHARE = Question(
    id="ch05.q1",
    points=1,
    asks="the share of all the model's weights that are zero after its linears were pruned, between 0 and 1",
    reference=zero_share,
    inputs=zero_share_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "embeddings counted as pruned",
            lambda s, linear, embedding, tied: s,
            "That is the sparsity of the linears. Embeddings weren't pruned and belong to the model too.",
        ),
        Misconception(
            "tied matrix counted twice",
            lambda s, linear, embedding, tied: s * linear / (linear + 2 * embedding),
            "You count two embedding matrices always. A tied model uses one matrix for input and output.",
        ),
        Misconception(
            "output matrix forgotten",
            lambda s, linear, embedding, tied: s * linear / (linear + embedding),
            "You count one embedding matrix always. A model that isn't tied has another one at its output.",
        ),
        Misconception(
            "tied the wrong way round",
            lambda s, linear, embedding, tied: s * linear / (linear + (2 if tied else 1) * embedding),
            "Tied means that input and output share one matrix. You count two there, and one where they don't.",
        ),
        Misconception(
            "what stays",
            lambda s, linear, embedding, tied: (1 - s) * linear / (linear + (1 if tied else 2) * embedding),
            "You count the weights that stayed in the linears. Sparsity is the share that went.",
        ),
    ),
)


# --- q2: one threshold for all layers -----------------------------------------------------------------------


def layer_sparsities(layers, sparsity):
    everything = np.sort(np.concatenate([np.abs(layer) for layer in layers]))
    threshold = everything[int(sparsity * len(everything))]
    return [float(np.mean(np.abs(layer) < threshold)) for layer in layers]


def layers_inputs(rng):
    yield [[0.1, -0.2, 0.3, -0.4], [1.0, -2.0, 3.0, -4.0]], 0.5
    for _ in range(6):
        sizes = rng.permutation([20, 60, 40, 100])
        scales = rng.permutation([0.1, 0.3, 1.0, 2.0])
        shift = rng.uniform(-0.2, 0.2)  # so that the signed order is another one
        layers = [
            [round(float(value), 9) for value in scale * (rng.standard_normal(size) + shift)]
            for size, scale in zip(sizes, scales, strict=True)
        ]
        yield layers, round(rng.uniform(0.25, 0.75), 2)


def _each_alone(layers, sparsity):
    return [int(sparsity * len(layer)) / len(layer) for layer in layers]


def _signed(layers, sparsity):
    everything = np.sort(np.concatenate(layers))
    threshold = everything[int(sparsity * len(everything))]
    return [float(np.mean(np.asarray(layer) < threshold)) for layer in layers]


def _mean_of_thresholds(layers, sparsity):
    threshold = np.mean([np.quantile(np.abs(layer), sparsity) for layer in layers])
    return [float(np.mean(np.abs(layer) < threshold)) for layer in layers]


GLOBAL = Question(
    id="ch05.q2",
    points=2,
    asks="a list with the share of zeros in each layer, when one threshold prunes the whole model by magnitude",
    reference=layer_sparsities,
    inputs=layers_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "a threshold for each layer",
            _each_alone,
            "Every layer loses the same share in your answer: that is a threshold per layer. One for the whole model "
            "takes more from layers whose weights are small.",
        ),
        Misconception(
            "signs kept",
            _signed,
            "You sort the weights with their signs, so the most negative ones go first. Magnitude is |w|.",
        ),
        Misconception(
            "mean of the layers' thresholds",
            _mean_of_thresholds,
            "You average one threshold per layer. Put all weights together first, then find one.",
        ),
        Misconception(
            "the largest go",
            lambda layers, sparsity: [1 - share for share in layer_sparsities(layers, 1 - sparsity)],
            "You remove the largest weights, or count those that stay.",
        ),
    ),
    properties=(
        Property(
            "all layers together lose the share that was asked for",
            lambda f, layers, sparsity: (
                abs(
                    sum(share * len(layer) for share, layer in zip(f(layers, sparsity), layers, strict=True))
                    - int(sparsity * sum(map(len, layers)))
                )
                < 1e-6
            ),
        ),
    ),
)


# --- q3: Wanda's score --------------------------------------------------------------------------------------


def wanda_score(weights, inputs):
    norms = np.sqrt(np.sum(np.square(inputs), axis=0))
    return np.abs(weights) * norms


def wanda_inputs(rng):
    yield [[4.0, -1.0, 3.0, 2.0]], [[1.0, 3.0, 0.0, 0.0], [0.0, 4.0, 1.0, 1.0]]
    for _ in range(5):
        columns, tokens = int(rng.integers(3, 7)), int(rng.integers(8, 12))
        loud = rng.permutation(np.geomspace(0.3, 10, columns))
        yield (
            np.round(rng.standard_normal((4, columns)), 3).tolist(),
            np.round(rng.standard_normal((tokens, columns)) * loud, 3).tolist(),
        )


WANDA = Question(
    id="ch05.q3",
    points=2,
    asks="Wanda's score of every weight, rows × columns: |w| times the norm of the input that it meets",
    reference=wanda_score,
    inputs=wanda_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "no activation norm",
            lambda weights, inputs: np.abs(weights),
            "That is magnitude. Wanda multiplies by the norm of the input that the weight meets.",
        ),
        Misconception(
            "sign kept",
            lambda weights, inputs: np.asarray(weights) * np.linalg.norm(inputs, axis=0),
            "Some of your scores are negative. A weight of −3 matters as much as one of 3.",
        ),
        Misconception(
            "square without root",
            lambda weights, inputs: np.abs(weights) * np.sum(np.square(inputs), axis=0),
            "You multiply by the sum of squares. The norm is its root.",
        ),
        Misconception(
            "mean instead of norm",
            lambda weights, inputs: np.abs(weights) * np.mean(np.abs(inputs), axis=0),
            "You multiply by the mean |x|. That is AWQ's salience; Wanda takes the norm, √Σx².",
        ),
        Misconception(
            "sums that cancel",
            lambda weights, inputs: np.abs(weights) * np.abs(np.sum(inputs, axis=0)),
            "You add the inputs before you square them: those that swing between plus and minus cancel.",
        ),
        Misconception(
            "one norm for all",
            lambda weights, inputs: np.abs(weights) * np.linalg.norm(inputs),
            "You multiply every column by the same norm, and then the order is that of magnitude. Take one for each "
            "column, over the tokens.",
        ),
    ),
)


# --- q4: two of every four ----------------------------------------------------------------------------------


def prune_2_of_4(weights):
    groups = np.array(weights, dtype=float).reshape(np.size(weights) // 4, 4)
    smallest = np.argsort(np.abs(groups), axis=1)[:, :2]
    np.put_along_axis(groups, smallest, 0.0, axis=1)
    return groups.reshape(np.shape(weights)).tolist()


def two_of_four_inputs(rng):
    yield [[1.0, -2.0, 3.0, -4.0, 40.0, -30.0, 20.0, -10.0]] * 4
    for _ in range(5):
        rows, columns = 4 * int(rng.integers(1, 3)), 4 * int(rng.integers(2, 4))
        # No two magnitudes alike: nothing depends on how ties are broken.
        sizes = rng.permutation(np.arange(1, rows * columns + 1)) / 10
        yield (sizes * rng.choice([-1, 1], sizes.shape)).reshape(rows, columns).tolist()


def _along(weights, axis_last, count=2, order=1, magnitude=np.abs):
    matrix = np.array(weights, dtype=float)
    turned = matrix if axis_last else matrix.T
    groups = turned.reshape(-1, 4)
    smallest = np.argsort(order * magnitude(groups), axis=1)[:, :count]
    np.put_along_axis(groups, smallest, 0.0, axis=1)
    turned = groups.reshape(turned.shape)
    return (turned if axis_last else turned.T).tolist()


def _half_of_rows(weights):
    matrix = np.array(weights, dtype=float)
    smallest = np.argsort(np.abs(matrix), axis=1)[:, : matrix.shape[1] // 2]
    np.put_along_axis(matrix, smallest, 0.0, axis=1)
    return matrix.tolist()


TWO_OF_FOUR = Question(
    id="ch05.q4",
    points=2,
    asks="the weights with the two smallest of every four neighbours in a row set to zero",
    reference=prune_2_of_4,
    inputs=lambda rng: ((weights,) for weights in two_of_four_inputs(rng)),
    close=1e-6,
    misconceptions=(
        Misconception(
            "wrong axis",
            lambda weights: _along(weights, False),
            "Your fours run down the columns. The kernel adds products along a row (the inputs of one output), so "
            "the four neighbours lie in a row.",
        ),
        Misconception(
            "half of each row",
            _half_of_rows,
            "You remove half of each row, wherever the small ones lie. 2:4 asks for two in *every* group of four.",
        ),
        Misconception(
            "signs kept",
            lambda weights: _along(weights, True, magnitude=np.asarray),
            "You sort with the signs, so the most negative weights go. Compare magnitudes.",
        ),
        Misconception(
            "the largest go",
            lambda weights: _along(weights, True, order=-1),
            "You set the two largest to zero. They are the ones to keep.",
        ),
        Misconception(
            "one of four goes",
            lambda weights: _along(weights, True, count=1),
            "You remove one of each four: that is 3:4, which no kernel knows.",
        ),
    ),
)


# --- q5: bytes of a matrix in CSR ---------------------------------------------------------------------------


def csr_bytes(rows, columns, sparsity, value_bytes, index_bytes):
    values = rows * columns * (1 - sparsity)
    return values * (value_bytes + index_bytes) + (rows + 1) * index_bytes


def csr_inputs(rng):
    yield 2048, 8192, 0.5, 2, 4
    yield 2048, 8192, 0.9, 4, 8
    for _ in range(6):
        rows, columns = (int(2 ** rng.integers(5, 9)) for _ in range(2))
        yield (
            rows,
            columns,
            round(rng.uniform(0.6, 0.95), 2),
            int(rng.choice([2, 4])),
            int(rng.choice([4, 8])),
        )


CSR = Question(
    id="ch05.q5",
    points=2,
    asks="the bytes of a matrix stored as CSR: values, a column index for each, and rows + 1 row starts",
    reference=csr_bytes,
    inputs=csr_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "index bytes forgotten",
            lambda r, c, s, v, i: r * c * (1 - s) * v,
            "You store values and don't say where they belong. Each one needs a column index, often larger than the "
            "value itself.",
        ),
        Misconception(
            "row starts forgotten",
            lambda r, c, s, v, i: r * c * (1 - s) * (v + i),
            "Nearly: the rows + 1 row starts, which say where each row begins, are missing.",
        ),
        Misconception(
            "zeros stored",
            lambda r, c, s, v, i: r * c * s * (v + i) + (r + 1) * i,
            "You store the share that is zero. CSR stores the share that is not, 1 − sparsity.",
        ),
        Misconception(
            "a row index for each value",
            lambda r, c, s, v, i: r * c * (1 - s) * (v + 2 * i),
            "You give each value a row and a column index: that is COO. CSR has one start for each row instead.",
        ),
        Misconception(
            "dense",
            lambda r, c, s, v, i: r * c * v,
            "That is the dense matrix, with all its zeros.",
        ),
    ),
)


# --- q6: what goes with a group of heads --------------------------------------------------------------------


def attention_weights_removed(hidden, head_dim, heads, kv_heads, groups_removed, layers):
    query_heads = groups_removed * heads / kv_heads
    return 2 * hidden * head_dim * (query_heads + groups_removed) * layers


def heads_inputs(rng):
    yield 576, 64, 9, 3, 1, 30  # SmolLM2-135M
    yield 4096, 128, 32, 8, 2, 32  # Llama-3.1-8B
    for _ in range(5):
        kv_heads, per_group = int(rng.integers(3, 9)), int(rng.integers(2, 6))
        width = int(rng.choice([64, 128]))
        heads = kv_heads * per_group
        yield heads * width, width, heads, kv_heads, int(rng.integers(1, kv_heads)), int(rng.integers(8, 80))


HEADS = Question(
    id="ch05.q6",
    points=2,
    asks="how many weights go with `groups_removed` groups of heads, in q, k, v and o of all layers",
    reference=attention_weights_removed,
    inputs=heads_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "a key and value head for every query head",
            lambda h, d, q, kv, g, n: 4 * h * d * g * (q // kv) * n,
            "You count a key and a value head for every query head. In grouped-query attention a group shares one.",
        ),
        Misconception(
            "one query head per group",
            lambda h, d, q, kv, g, n: 4 * h * d * g * n,
            "You remove one query head per group. All heads/kv_heads of them go: without their key they have nothing "
            "to look at.",
        ),
        Misconception(
            "output matrix forgotten",
            lambda h, d, q, kv, g, n: h * d * (g * q // kv + 2 * g) * n,
            "o_proj is missing: the columns that read the heads' output go too.",
        ),
        Misconception(
            "only queries and outputs",
            lambda h, d, q, kv, g, n: 2 * h * d * (g * q // kv) * n,
            "You leave keys and values. They go with their group, and so does its part of the KV cache.",
        ),
        Misconception(
            "one layer",
            lambda h, d, q, kv, g, n: 2 * h * d * (g * q // kv + g),
            "That is one layer. The config has one number of heads for all of them.",
        ),
    ),
)


# --- q7: when a cut has paid for its training ---------------------------------------------------------------


def break_even_mtok(training_usd, usd_per_mtok, mlp_time_share, channels_kept):
    time_left = 1 - mlp_time_share * (1 - channels_kept)
    return training_usd / (usd_per_mtok * (1 - time_left))


def break_even_inputs(rng):
    yield 10_000.0, 0.20, 0.7, 0.5
    for _ in range(6):
        yield (
            float(rng.integers(500, 200_000)),
            round(rng.uniform(0.05, 5), 2),
            round(rng.uniform(0.45, 0.9), 2),
            round(rng.uniform(0.2, 0.8), 2),
        )


BREAK_EVEN = Question(
    id="ch05.q7",
    points=2,
    asks="millions of tokens served after which a cut of the MLP has saved what its recovery training cost",
    reference=break_even_mtok,
    inputs=break_even_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "everything gets faster",
            lambda usd, mtok, share, kept: usd / (mtok * (1 - kept)),
            "You speed the whole step up. Only the MLP's share of the time shrinks (Amdahl's law).",
        ),
        Misconception(
            "the MLP goes altogether",
            lambda usd, mtok, share, kept: usd / (mtok * share),
            "You save all of the MLP's time. The channels that are kept still take theirs.",
        ),
        Misconception(
            "saved what is still paid",
            lambda usd, mtok, share, kept: usd / (mtok * (1 - share * (1 - kept))),
            "You divide by what a million tokens cost after the cut. What pays the training back is the difference.",
        ),
        Misconception(
            "kept for removed",
            lambda usd, mtok, share, kept: usd / (mtok * share * kept),
            "You save the time of the channels that were kept. It is those that went that save it.",
        ),
        Misconception(
            "tokens for millions",
            lambda usd, mtok, share, kept: 1e6 * usd / (mtok * share * (1 - kept)),
            "A million times too many: the price is for a million tokens, and millions are asked for.",
        ),
    ),
    properties=(
        Property(
            "twice the traffic's price pays it back in half the tokens",
            lambda f, usd, mtok, share, kept: (
                abs(f(usd, 2 * mtok, share, kept) / f(usd, mtok, share, kept) - 0.5) < 1e-6
            ),
        ),
    ),
)

QUESTIONS = (ZERO_SHARE, GLOBAL, WANDA, TWO_OF_FOUR, CSR, HEADS, BREAK_EVEN)
