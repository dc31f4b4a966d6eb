"""Chapter 07, KV cache: its size, users, speed, scales, blocks, and the way back from the host's memory."""

from math import ceil, floor

from course_utils.grading.questions import Misconception, Property, Question

# layers, of them windowed, window, query heads, KV heads, size of a head.
SHAPES = (
    (32, 0, 4096, 32, 8, 128),  # Llama-3.1-8B
    (62, 52, 1024, 32, 16, 128),  # Gemma-3-27B
    (24, 12, 128, 64, 8, 64),  # gpt-oss-20b
)


# --- q1: one conversation -----------------------------------------------------------------------------------


def kv_cache_gib(layers, windowed_layers, window, heads, kv_heads, head_dim, context_tokens, bits_per_value):
    full = (layers - windowed_layers) * context_tokens
    cut = windowed_layers * min(window, context_tokens)
    return 2 * kv_heads * head_dim * (full + cut) * bits_per_value / 8 / 2**30


def size_inputs(rng):
    yield *SHAPES[0], 131_072, 16
    yield *SHAPES[1], 500, 16  # shorter than the window
    for _ in range(6):
        shape = SHAPES[rng.integers(1, len(SHAPES))]
        yield *shape, int(rng.integers(2_000, 100_000)), int(rng.choice([8, 16]))


def _size(la, wl, w, kv, d, t, b):
    return 2 * kv * d * ((la - wl) * t + wl * min(w, t)) * b / 8 / 2**30


SIZE = Question(
    id="ch07.q1",
    points=2,
    asks="the KV cache of one conversation, in GiB (2³⁰ bytes), where some layers keep only a window",
    reference=kv_cache_gib,
    inputs=size_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "window ignored",
            lambda la, wl, w, h, kv, d, t, b: _size(la, 0, w, kv, d, t, b),
            "You let every layer keep the whole context. Windowed ones keep their last `window` tokens.",
        ),
        Misconception(
            "window everywhere",
            lambda la, wl, w, h, kv, d, t, b: (
                _size(la, la, w, kv, d, t, b) if wl else _size(la, wl, w, kv, d, t, b)
            ),
            "You cut every layer to the window. Only windowed_layers of them have one.",
        ),
        Misconception(
            "window longer than the text",
            lambda la, wl, w, h, kv, d, t, b: 2 * kv * d * ((la - wl) * t + wl * w) * b / 8 / 2**30,
            "A text shorter than the window doesn't fill it: take the smaller of the two.",
        ),
        Misconception(
            "keys without values",
            lambda la, wl, w, h, kv, d, t, b: _size(la, wl, w, kv, d, t, b) / 2,
            "Half: a token leaves a key *and* a value in every layer.",
        ),
        Misconception(
            "one layer",
            lambda la, wl, w, h, kv, d, t, b: _size(la, wl, w, kv, d, t, b) / la,
            "That is the mean layer. Each of them keeps its own cache.",
        ),
        Misconception(
            "query heads",
            lambda la, wl, w, h, kv, d, t, b: _size(la, wl, w, h, d, t, b),
            "You count a key and a value for every query head. Several query heads share one: count kv_heads.",
        ),
        Misconception(
            "bits for bytes",
            lambda la, wl, w, h, kv, d, t, b: _size(la, wl, w, kv, d, t, b) * 8,
            "Eight times too much: bits_per_value is in bits, and a byte has eight.",
        ),
        Misconception(
            "GB for GiB",
            lambda la, wl, w, h, kv, d, t, b: _size(la, wl, w, kv, d, t, b) * 2**30 / 1e9,
            "That is GB (10⁹ bytes). A GiB is 2³⁰ bytes, 7 % more, so there are fewer of them.",
        ),
    ),
)


# --- q2: how many users fit ---------------------------------------------------------------------------------


def users_that_fit(memory_gib, usable_share, weights_gb, kv_kib_per_token, own_tokens, shared_tokens):
    token_bytes = kv_kib_per_token * 1024
    left = memory_gib * 2**30 * usable_share - weights_gb * 1e9 - shared_tokens * token_bytes
    return max(0, floor(left / (own_tokens * token_bytes)))


def user_inputs(rng):
    yield 79.6, 0.9, 16.1, 128.0, 4000, 2000
    yield 22.5, 0.9, 16.1, 128.0, 30_000, 8000
    yield 14.6, 0.9, 16.1, 128.0, 1000, 500  # the weights alone are too large
    for _ in range(6):
        yield (
            float(rng.choice([79.6, 141.0, 192.0])),
            round(rng.uniform(0.82, 0.93), 2),
            round(rng.uniform(8, 35), 1),
            float(rng.choice([64.0, 128.0, 160.0])),
            int(rng.integers(1000, 9000)),
            int(rng.integers(10_000, 30_000)),
        )


def _fit(m, u, w, k, own, shared):
    return max(0, floor((m * 2**30 * u - w - shared * k * 1024) / (own * k * 1024)))


USERS = Question(
    id="ch07.q2",
    points=2,
    asks="the whole number of users whose caches fit beside the weights and one copy of the shared prompt",
    reference=users_that_fit,
    inputs=user_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "shared prompt for everyone",
            lambda m, u, w, k, own, s: _fit(m, u, w * 1e9, k, own + s, 0),
            "You give every user a copy of the shared prompt. Its blocks are held once, and everyone's table lists "
            "them.",
        ),
        Misconception(
            "shared prompt forgotten",
            lambda m, u, w, k, own, s: _fit(m, u, w * 1e9, k, own, 0),
            "The shared prompt takes room too, once.",
        ),
        Misconception(
            "weights in GiB",
            lambda m, u, w, k, own, s: _fit(m, u, w * 2**30, k, own, s),
            "You take weights_gb for GiB. A GB is 10⁹ bytes, 7 % less.",
        ),
        Misconception(
            "memory in GB",
            lambda m, u, w, k, own, s: _fit(m * 1e9 / 2**30, u, w * 1e9, k, own, s),
            "You take memory_gib for GB. A GiB is 2³⁰ bytes, 7 % more.",
        ),
        Misconception(
            "weights forgotten",
            lambda m, u, w, k, own, s: _fit(m, u, 0, k, own, s),
            "You give all of the memory to the caches. The weights are in it too.",
        ),
        Misconception(
            "all of the memory",
            lambda m, u, w, k, own, s: _fit(m, 1, w * 1e9, k, own, s),
            "You use all of the memory. The engine is given usable_share of it.",
        ),
        Misconception(
            "a share of what the weights leave",
            lambda m, u, w, k, own, s: max(
                0, floor(((m * 2**30 - w * 1e9) * u - s * k * 1024) / (own * k * 1024))
            ),
            "You take usable_share of what the weights leave. It is a share of all the memory: the weights are in it.",
        ),
        Misconception(
            "KB for KiB",
            lambda m, u, w, k, own, s: max(
                0, floor((m * 2**30 * u - w * 1e9 - s * k * 1e3) / (own * k * 1e3))
            ),
            "A KiB is 1,024 bytes.",
        ),
        Misconception(
            "part of a user",
            lambda m, u, w, k, own, s: max(0.0, (m * 2**30 * u - w * 1e9 - s * k * 1024) / (own * k * 1024)),
            "The last of these users fits in part only: round down to whole ones.",
        ),
        Misconception(
            "rounded to the nearest",
            lambda m, u, w, k, own, s: max(
                0, round((m * 2**30 * u - w * 1e9 - s * k * 1024) / (own * k * 1024))
            ),
            "You round to the nearest number. Half a user has no room: round down.",
        ),
        Misconception(
            "less than nobody",
            lambda m, u, w, k, own, s: floor((m * 2**30 * u - w * 1e9 - s * k * 1024) / (own * k * 1024)),
            "Where the weights alone are too large, you return a negative number of users. The answer is 0.",
        ),
    ),
)


# --- q3: tokens per second of a decode batch ----------------------------------------------------------------


def decode_tokens_per_s(weights_gb, kv_kib_per_token, context_tokens, users, bandwidth_gb_per_s):
    kv_gb = users * context_tokens * kv_kib_per_token * 1024 / 1e9
    step_s = (weights_gb + kv_gb) / bandwidth_gb_per_s
    return users / step_s


def speed_inputs(rng):
    yield 16.1, 128.0, 4000, 1, 3350.0
    yield 16.1, 128.0, 4000, 64, 3350.0
    yield 8.0, 64.0, 32_000, 32, 4800.0
    for _ in range(5):
        yield (
            round(rng.uniform(5, 40), 1),
            float(rng.choice([32.0, 64.0, 128.0])),
            int(rng.integers(1000, 20_000)),
            int(rng.integers(8, 128)),
            float(rng.choice([2039.0, 3350.0, 4800.0])),
        )


SPEED = Question(
    id="ch07.q3",
    points=3,
    asks="tokens per second of all users together, when a step reads the weights once and every user's cache",
    reference=decode_tokens_per_s,
    inputs=speed_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "one cache for all",
            lambda w, k, t, n, bw: n * bw / (w + t * k * 1024 / 1e9),
            "You read one cache for everybody. Weights are shared, caches aren't: each user has one.",
        ),
        Misconception(
            "weights for each",
            lambda w, k, t, n, bw: bw / (w + t * k * 1024 / 1e9),
            "You read the weights once per user. One step reads them once for all: that is what a batch is for.",
        ),
        Misconception(
            "cache forgotten",
            lambda w, k, t, n, bw: n * bw / w,
            "You read only the weights. At long contexts the caches are more.",
        ),
        Misconception(
            "one user's tokens",
            lambda w, k, t, n, bw: bw / (w + n * t * k * 1024 / 1e9),
            "That is what one user gets. A step makes a token for each of them.",
        ),
        Misconception(
            "KiB for KB",
            lambda w, k, t, n, bw: n * bw / (w + n * t * k * 1000 / 1e9),
            "A KiB is 1,024 bytes.",
        ),
        Misconception(
            "one token's cache",
            lambda w, k, t, n, bw: n * bw / (w + n * k * 1024 / 1e9),
            "You read the cache of one token. A new token looks at all of the context.",
        ),
    ),
    properties=(
        Property(
            "more users make more tokens per second together",
            lambda f, w, k, t, n, bw: f(w, k, t, n + 1, bw) > f(w, k, t, n, bw),
        ),
    ),
)


# --- q4: bytes of a rounded token, scales included ----------------------------------------------------------


def rounded_bytes_per_token(layers, kv_heads, head_dim, bits, group_tokens):
    codes = 2 * head_dim * bits / 8
    key_scales = 4 * head_dim / group_tokens
    value_scales = 4
    return layers * kv_heads * (codes + key_scales + value_scales)


def rounded_inputs(rng):
    yield 32, 8, 128, 8, 64
    yield 30, 3, 64, 4, 64
    for _ in range(6):
        yield (
            int(rng.integers(16, 81)),
            int(rng.choice([2, 4, 8])),
            int(rng.choice([64, 128])),
            int(rng.choice([2, 4, 8])),
            int(rng.choice([32, 128, 256])),
        )


ROUNDED = Question(
    id="ch07.q4",
    points=3,
    asks="bytes that one token takes in a rounded KV cache, its part of the scales included",
    reference=rounded_bytes_per_token,
    inputs=rounded_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "scales forgotten",
            lambda la, kv, d, b, g: la * kv * 2 * d * b / 8,
            "The scales are missing: 4 bytes for each group of numbers that share one.",
        ),
        Misconception(
            "keys without values",
            lambda la, kv, d, b, g: la * kv * (d * b / 8 + 4 * d / g),
            "That is the keys. Values are kept as well, with a scale for each token.",
        ),
        Misconception(
            "bits for bytes",
            lambda la, kv, d, b, g: la * kv * (2 * d * b + 4 * d / g + 4),
            "Your codes are eight times too large: `bits` are bits.",
        ),
        Misconception(
            "values shared along tokens, too",
            lambda la, kv, d, b, g: la * kv * (2 * d * b / 8 + 2 * 4 * d / g),
            "You let values share a scale along their channel. They share one along the *token*: one per head.",
        ),
        Misconception(
            "a scale per key",
            lambda la, kv, d, b, g: la * kv * (2 * d * b / 8 + 4 * d + 4),
            "You give every key number a scale of its own. group_tokens of a channel share one.",
        ),
        Misconception(
            "half a scale",
            lambda la, kv, d, b, g: la * kv * (2 * d * b / 8 + 2 * d / g + 2),
            "A group keeps two numbers of 2 bytes: its lowest value and its step.",
        ),
        Misconception(
            "one layer",
            lambda la, kv, d, b, g: kv * (2 * d * b / 8 + 4 * d / g + 4),
            "That is one layer. Each of them keeps its own cache.",
        ),
    ),
    properties=(
        Property(
            "more bits take more bytes",
            lambda f, la, kv, d, b, g: f(la, kv, d, 2 * b, g) > f(la, kv, d, b, g),
        ),
    ),
)


# --- q5: blocks of several answers to one prompt ------------------------------------------------------------


def blocks_needed(prompt_tokens, answers, answer_tokens, block_tokens):
    shared = prompt_tokens // block_tokens
    left_over = prompt_tokens - shared * block_tokens
    return shared + answers * ceil((left_over + answer_tokens) / block_tokens)


def block_inputs(rng):
    yield 1000, 4, 100, 16
    yield 160, 3, 33, 16  # the prompt ends with a block
    yield 5, 2, 20, 16  # nothing to share
    yield 1000, 4, 104, 16  # answers end with a block
    for _ in range(6):
        size = int(rng.choice([16, 32, 64]))
        prompt = size * int(rng.integers(5, 60)) + int(rng.integers(size // 2 + 1, size))
        yield (
            prompt,
            int(rng.integers(3, 9)),
            size * int(rng.integers(1, 9)) + int(rng.integers(size // 2 + 1, size)),
            size,
        )


BLOCKS = Question(
    id="ch07.q5",
    points=3,
    asks="the number of blocks that all answers to one prompt hold at their end, full blocks of the prompt shared",
    reference=blocks_needed,
    inputs=block_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "nothing shared",
            lambda p, n, a, b: n * ceil((p + a) / b),
            "You give each answer its own copy of the prompt. Its full blocks are held once.",
        ),
        Misconception(
            "partly filled block shared",
            lambda p, n, a, b: ceil(p / b) + n * ceil(a / b),
            "The prompt's last block is partly empty, and each answer writes into it: each gets a copy, and its "
            "first tokens go there.",
        ),
        Misconception(
            "no partly filled blocks",
            lambda p, n, a, b: (p + n * a) / b,
            "Blocks are whole: a sequence that needs a part of one holds all of it.",
        ),
        Misconception(
            "rounded down",
            lambda p, n, a, b: p // b + n * ((p % b + a) // b),
            "You round down, and the last tokens have no place.",
        ),
        Misconception(
            "always one block more",
            lambda p, n, a, b: p // b + n * ((p % b + a) // b + 1),
            "Where an answer ends just at the end of a block, it needs no further one: round up, don't add one.",
        ),
        Misconception(
            "one answer",
            lambda p, n, a, b: ceil((p + a) / b),
            "That is one answer. Each of them grows blocks of its own.",
        ),
        Misconception(
            "left-over prompt tokens lost",
            lambda p, n, a, b: p // b + n * ceil(a / b),
            "The tokens of the prompt beyond its last full block need a place as well, in each answer's first block.",
        ),
    ),
)


# --- q6: fetch or compute again -----------------------------------------------------------------------------


def times_faster(
    parameters_billions, context_tokens, peak_tflop_per_s, utilization, kv_kib_per_token, link_gb_per_s
):
    compute_s = 2 * parameters_billions * 1e9 * context_tokens / (peak_tflop_per_s * 1e12 * utilization)
    fetch_s = context_tokens * kv_kib_per_token * 1024 / (link_gb_per_s * 1e9)
    return compute_s / fetch_s


def fetch_inputs(rng):
    yield 8.03, 4000, 989.0, 0.5, 128.0, 63.0
    yield 70.6, 32_000, 989.0, 0.5, 320.0, 63.0
    for _ in range(6):
        yield (
            round(rng.uniform(1, 70), 2),
            int(rng.integers(500, 60_000)),
            float(rng.choice([121.0, 312.0, 989.0])),
            round(rng.uniform(0.3, 0.7), 2),
            float(rng.choice([64.0, 128.0, 320.0])),
            float(rng.choice([32.0, 63.0, 450.0])),
        )


def _ratio(p, peak, u, k, link):
    return 2 * p * 1e9 / (peak * 1e12 * u) / (k * 1024 / (link * 1e9))


FETCH = Question(
    id="ch07.q6",
    points=2,
    asks="how many times as long as fetching the parked cache it takes to compute it again, attention left out",
    reference=times_faster,
    inputs=fetch_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "upside down",
            lambda p, t, peak, u, k, link: 1 / _ratio(p, peak, u, k, link),
            "Upside down: the time of computing goes over the time of fetching.",
        ),
        Misconception(
            "bits for bytes",
            lambda p, t, peak, u, k, link: _ratio(p, peak, u, k, link) / 8,
            "You take the link for Gbit/s. It is in GB/s: bytes.",
        ),
        Misconception(
            "one FLOP per weight",
            lambda p, t, peak, u, k, link: _ratio(p, peak, u, k, link) / 2,
            "Each weight is used in a multiplication *and* an addition: 2 FLOP per token.",
        ),
        Misconception(
            "peak taken for speed",
            lambda p, t, peak, u, k, link: _ratio(p, peak, u, k, link) * u,
            "You compute at the peak. Prefill reaches `utilization` of it.",
        ),
        Misconception(
            "context on one side",
            lambda p, t, peak, u, k, link: _ratio(p, peak, u, k, link) * t,
            "You compute the whole context and fetch one token of it.",
        ),
        Misconception(
            "KiB for KB",
            lambda p, t, peak, u, k, link: _ratio(p, peak, u, k, link) * 1.024,
            "A KiB is 1,024 bytes.",
        ),
    ),
    properties=(
        Property(
            "the context doesn't matter, as long as attention is left out",
            lambda f, p, t, peak, u, k, link: (
                abs(f(p, 2 * t, peak, u, k, link) / f(p, t, peak, u, k, link) - 1) < 1e-6
            ),
        ),
    ),
)

QUESTIONS = (SIZE, USERS, SPEED, ROUNDED, BLOCKS, FETCH)
