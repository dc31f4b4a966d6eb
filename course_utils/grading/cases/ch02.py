"""Chapter 02, compute selection: roofs, memory, experts, prices per token, spot, checkpoints, carbon."""

from math import floor, sqrt

from course_utils.grading.questions import Misconception, Property, Question

# Data sheets, dense: peak TFLOP/s in 16 bits and GB/s. H100 SXM, A100 SXM 80GB, L4, T4, MI300X, TPU v6e.
CHIPS = ((989.0, 3350.0), (312.0, 2039.0), (121.0, 300.0), (65.0, 320.0), (1307.4, 5300.0), (918.0, 1638.0))
# layers, query heads, KV heads, size of a head: Llama-3.1-8B, Llama-3.1-70B, Qwen3-32B, Mistral-Nemo-12B.
SHAPES = ((32, 32, 8, 128), (80, 64, 8, 128), (64, 64, 8, 128), (40, 32, 8, 128))


# --- q1: how many sequences fill the arithmetic -------------------------------------------------------------


def sequences_at_ridge(peak_tflop_per_s, bandwidth_gb_per_s, bytes_per_weight):
    ridge_flop_per_byte = peak_tflop_per_s * 1e12 / (bandwidth_gb_per_s * 1e9)
    return ridge_flop_per_byte * bytes_per_weight / 2


def ridge_inputs(rng):
    for peak, bandwidth in CHIPS:
        yield peak, bandwidth, float(rng.choice([1.0, 2.0]))
    yield 989.0, 3350.0, 2.0
    yield 989.0, 3350.0, 0.5
    yield round(rng.uniform(50, 3000), 1), float(rng.integers(200, 9000)), 4.0


RIDGE = Question(
    id="ch02.q1",
    points=2,
    asks="the number of sequences decoded at once from which on the arithmetic decides and no longer the memory",
    reference=sequences_at_ridge,
    inputs=ridge_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "ridge upside down",
            lambda peak, bw, size: bw * 1e9 / (peak * 1e12) * size / 2,
            "You divide bandwidth by peak. The ridge is FLOP per byte: peak over bandwidth.",
        ),
        Misconception(
            "sparse rate for dense",
            lambda peak, bw, size: 2 * peak * 1000 / bw * size / 2,
            "Twice too many. Makers print the rate for matrices that are half zeros, and you doubled as if that "
            "were yours: the peak given here is dense. Or you forgot that a weight is used in 2 FLOP.",
        ),
        Misconception(
            "size of a weight forgotten",
            lambda peak, bw, size: peak * 1000 / bw / 2,
            "You forget how many bytes a weight takes. Wider weights take longer to read, so more sequences fit in.",
        ),
        Misconception(
            "bits for bytes",
            lambda peak, bw, size: peak * 1000 / bw * size * 8 / 2,
            "Eight times too many: you count the bits of a weight. Bandwidth is in bytes.",
        ),
        Misconception(
            "tera is giga",
            lambda peak, bw, size: peak / bw * size / 2,
            "A thousand times too few: the peak is in tera (10¹²), the bandwidth in giga (10⁹).",
        ),
    ),
    properties=(
        Property(
            "weights of half the size need half as many sequences",
            lambda f, peak, bw, size: abs(f(peak, bw, size / 2) / f(peak, bw, size) - 0.5) < 1e-6,
        ),
    ),
)


# --- q2: the KV cache ---------------------------------------------------------------------------------------


def kv_cache_gib(layers, heads, kv_heads, head_dim, context_tokens, sequences, bytes_per_value):
    values_per_token = 2 * layers * kv_heads * head_dim
    return values_per_token * context_tokens * sequences * bytes_per_value / 2**30


def kv_inputs(rng):
    yield 32, 32, 8, 128, 8192, 1, 2.0
    yield 80, 64, 8, 128, 131_072, 1, 1.0
    for _ in range(6):
        shape = SHAPES[rng.integers(len(SHAPES))]
        yield *shape, int(rng.integers(500, 60_000)), int(rng.integers(2, 200)), float(rng.choice([1.0, 2.0]))


KV_CACHE = Question(
    id="ch02.q2",
    points=2,
    asks="the size of the KV cache of all sequences together, in GiB (2³⁰ bytes)",
    reference=kv_cache_gib,
    inputs=kv_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "grouped-query attention ignored",
            lambda la, h, kv, d, t, s, b: 2 * la * h * d * t * s * b / 2**30,
            "You count a key and a value for every query head. In grouped-query attention several query heads "
            "share one: only kv_heads are cached.",
        ),
        Misconception(
            "GB for GiB",
            lambda la, h, kv, d, t, s, b: 2 * la * kv * d * t * s * b / 1e9,
            "That is GB (10⁹ bytes), 7 % more of them than GiB (2³⁰ bytes), in which memory is sold.",
        ),
        Misconception(
            "keys without values",
            lambda la, h, kv, d, t, s, b: la * kv * d * t * s * b / 2**30,
            "Half: a token leaves a key *and* a value in every layer.",
        ),
        Misconception(
            "one layer",
            lambda la, h, kv, d, t, s, b: 2 * kv * d * t * s * b / 2**30,
            "That is one layer. Each of them keeps its own cache.",
        ),
        Misconception(
            "bits for bytes",
            lambda la, h, kv, d, t, s, b: 8 * 2 * la * kv * d * t * s * b / 2**30,
            "Eight times too much: bytes_per_value is in bytes already.",
        ),
    ),
)


# --- q3: how many sequences fit -----------------------------------------------------------------------------


def sequences_that_fit(
    memory_gib, usable_share, parameters, active_parameters, bytes_per_weight, kv_gib_per_sequence
):
    left_gib = memory_gib * usable_share - parameters * bytes_per_weight / 2**30
    return max(0, floor(left_gib / kv_gib_per_sequence))


def fit_inputs(rng):
    yield 80.0, 0.9, 8.03e9, 8.03e9, 2.0, 0.37
    yield 22.5, 0.9, 30.5e9, 3.3e9, 1.0, 0.41  # all experts together are too many
    yield 15.0, 0.9, 70.6e9, 70.6e9, 2.0, 1.3  # lacks more than it has
    for _ in range(6):
        memory, share = float(rng.choice([80.0, 141.0, 192.0])), round(rng.uniform(0.8, 0.95), 2)
        whole = round(rng.uniform(20e9, 60e9))
        active = round(whole * rng.uniform(0.1, 0.4))
        yield memory, share, float(whole), float(active), 1.0, round(rng.uniform(0.05, 0.6), 3)


FITS = Question(
    id="ch02.q3",
    points=2,
    asks="the whole number of sequences whose KV cache fits beside the weights, 0 if the model itself doesn't fit",
    reference=sequences_that_fit,
    inputs=fit_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "weights in GB",
            lambda m, u, p, a, b, kv: max(0, floor((m * u - p * b / 1e9) / kv)),
            "You take the weights off in GB (10⁹ bytes) from a memory in GiB (2³⁰ bytes): seven in a hundred too much.",
        ),
        Misconception(
            "only the active experts",
            lambda m, u, p, a, b, kv: max(0, floor((m * u - a * b / 2**30) / kv)),
            "You load only the experts that one token uses. The next token uses others: all of them must be there.",
        ),
        Misconception(
            "weights forgotten",
            lambda m, u, p, a, b, kv: floor(m * u / kv),
            "You give all of the memory to the KV cache. The weights are in it too.",
        ),
        Misconception(
            "all of the memory",
            lambda m, u, p, a, b, kv: max(0, floor((m - p * b / 2**30) / kv)),
            "You use all of the memory. The engine is given only usable_share of it; the rest is for activations and "
            "the runtime.",
        ),
        Misconception(
            "bits for bytes",
            lambda m, u, p, a, b, kv: max(0, floor((m * u - p * b * 8 / 2**30) / kv)),
            "Your weights are eight times too large: bytes_per_weight is in bytes already.",
        ),
        Misconception(
            "less than nothing",
            lambda m, u, p, a, b, kv: floor((m * u - p * b / 2**30) / kv),
            "Where the weights alone are too large, you return a negative number of sequences. The answer is 0.",
        ),
    ),
)


# --- q4: bytes that a step of a mixture of experts reads ----------------------------------------------------


def step_gb(shared_gb, experts_gb, experts, experts_per_token, sequences):
    touched_share = 1 - (1 - experts_per_token / experts) ** sequences
    return shared_gb + experts_gb * touched_share


def expert_inputs(rng):
    yield 1.5, 29.0, 128, 8, 1
    yield 1.5, 29.0, 128, 8, 64
    yield 15.0, 640.0, 256, 8, 32
    for _ in range(5):
        experts = int(rng.choice([32, 64, 128, 256]))
        top = int(rng.choice([2, 4, 8]))
        yield (
            round(rng.uniform(1, 20), 1),
            round(rng.uniform(20, 600), 1),
            experts,
            top,
            int(rng.integers(4, 40)),
        )


EXPERTS = Question(
    id="ch02.q4",
    points=3,
    asks="the GB of weights that one decode step reads on average, when each sequence picks its experts on its own",
    reference=step_gb,
    inputs=expert_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "all experts, always",
            lambda shared, all_, n, k, s: shared + all_,
            "You read all experts. At one sequence only k of them are touched; that is why such a model decodes fast.",
        ),
        Misconception(
            "one sequence's experts for all",
            lambda shared, all_, n, k, s: shared + all_ * k / n,
            "You read the experts of one token, whatever the batch. Other sequences pick other experts.",
        ),
        Misconception(
            "no expert shared by two",
            lambda shared, all_, n, k, s: shared + all_ * k / n * s,
            "You add the experts of every sequence. Two that pick the same one read it once, and there are never more "
            "than all.",
        ),
        Misconception(
            "capped sum",
            lambda shared, all_, n, k, s: shared + all_ * min(1, k / n * s),
            "You add the experts up and stop at all of them. Sequences overlap long before that: count the chance "
            "that an expert is touched by nobody.",
        ),
        Misconception(
            "shared weights forgotten",
            lambda shared, all_, n, k, s: all_ * (1 - (1 - k / n) ** s),
            "You leave out attention and embeddings, which every step reads.",
        ),
        Misconception(
            "the experts missed",
            lambda shared, all_, n, k, s: shared + all_ * (1 - k / n) ** s,
            "(1 − k/E)^B is the share that nobody touches. The step reads the others.",
        ),
    ),
    properties=(
        Property(
            "a larger batch reads no less",
            lambda f, shared, all_, n, k, s: f(shared, all_, n, k, s + 1) >= f(shared, all_, n, k, s),
        ),
    ),
)


# --- q5: from a node's hour to a million tokens -------------------------------------------------------------


def node_usd_per_mtok(node_usd_per_hour, gpus, tokens_per_s_per_gpu, utilization):
    tokens_per_hour = tokens_per_s_per_gpu * gpus * 3600 * utilization
    return node_usd_per_hour / tokens_per_hour * 1_000_000


def node_inputs(rng):
    yield 55.04, 8, 2500.0, 1.0  # AWS p5.48xlarge, on demand, 2026-11-09
    yield 55.04, 8, 2500.0, 0.4
    yield 0.71, 1, 240.0, 0.5
    for _ in range(6):
        yield (
            round(rng.uniform(1, 120), 2),
            int(rng.choice([2, 4, 8])),
            float(rng.integers(50, 9000)),
            round(rng.uniform(0.1, 0.9), 2),
        )


NODE = Question(
    id="ch02.q5",
    points=2,
    asks="USD per million output tokens of a node of `gpus` GPUs, from the node's price per hour and one GPU's speed",
    reference=node_usd_per_mtok,
    inputs=node_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "one GPU's tokens for all GPUs' price",
            lambda usd, n, rate, u: usd / (rate * 3600 * u) * 1e6,
            "You divide the price of the whole node by the tokens of one GPU. Published throughput is often per GPU: "
            "look before you divide.",
        ),
        Misconception(
            "price times GPUs",
            lambda usd, n, rate, u: usd * n / (rate * n * 3600 * u) * 1e6 * n,
            "You multiply the node's price by its GPUs. It is for all of them already.",
        ),
        Misconception(
            "utilization upside down",
            lambda usd, n, rate, u: usd / (rate * n * 3600) * 1e6 * u,
            "An idle node gets cheaper in your answer. The rent stays, and fewer tokens share it.",
        ),
        Misconception(
            "always busy",
            lambda usd, n, rate, u: usd / (rate * n * 3600) * 1e6,
            "You take the node to be busy all the time.",
        ),
        Misconception(
            "per thousand",
            lambda usd, n, rate, u: usd / (rate * n * 3600 * u) * 1000,
            "That is the price of a thousand tokens. A million is asked for.",
        ),
        Misconception(
            "an hour is a second",
            lambda usd, n, rate, u: usd / (rate * n * u) * 1e6,
            "The price is for an hour, the speed for a second: 3600 is missing.",
        ),
    ),
)


# --- q6: a floor on demand, the rest on spot ----------------------------------------------------------------


def fleet_usd_per_hour(replicas, floor_replicas, on_demand_usd_per_hour, spot_discount, spot_waste_share):
    spot_usd_per_hour = on_demand_usd_per_hour * (1 - spot_discount)
    useful_usd_per_hour = spot_usd_per_hour / (1 - spot_waste_share)
    return floor_replicas * on_demand_usd_per_hour + (replicas - floor_replicas) * useful_usd_per_hour


def fleet_inputs(rng):
    yield 10, 4, 6.88, 0.6, 0.1
    yield 10, 10, 6.88, 0.6, 0.1
    yield 10, 0, 6.88, 0.6, 0.0
    for _ in range(6):
        replicas = int(rng.integers(4, 40))
        yield (
            replicas,
            int(rng.integers(1, replicas - 1)),
            round(rng.uniform(0.5, 12), 2),
            round(rng.uniform(0.35, 0.8), 2),
            round(rng.uniform(0.03, 0.3), 2),
        )


FLEET = Question(
    id="ch02.q6",
    points=2,
    asks="USD per hour of a fleet with a floor on demand and the rest on spot, waste included",
    reference=fleet_usd_per_hour,
    inputs=fleet_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "discount on the floor too",
            lambda n, f, usd, d, w: n * usd * (1 - d) / (1 - w),
            "You give the floor the spot discount. It is on demand, at the full price.",
        ),
        Misconception(
            "discount taken for the price",
            lambda n, f, usd, d, w: f * usd + (n - f) * usd * d / (1 - w),
            "A discount of 60 % leaves 40 % to pay.",
        ),
        Misconception(
            "no waste",
            lambda n, f, usd, d, w: f * usd + (n - f) * usd * (1 - d),
            "You leave the waste out: hours of starting, restarting and lost work are billed too.",
        ),
        Misconception(
            "waste added",
            lambda n, f, usd, d, w: f * usd + (n - f) * usd * (1 - d) * (1 + w),
            "Nearly. If 20 % of the billed hours are wasted, 1 useful hour takes 1 / 0.8 = 1.25 billed ones, not 1.2.",
        ),
        Misconception(
            "waste makes it cheaper",
            lambda n, f, usd, d, w: f * usd + (n - f) * usd * (1 - d) * (1 - w),
            "Waste makes your fleet cheaper. Divide by the share that is useful.",
        ),
        Misconception(
            "floor on top",
            lambda n, f, usd, d, w: f * usd + n * usd * (1 - d) / (1 - w),
            "You put the floor on top of a whole spot fleet. Only the rest is on spot.",
        ),
    ),
)


# --- q7: how often to save ----------------------------------------------------------------------------------


def young_interval_minutes(checkpoint_minutes, mean_hours_between_preemptions):
    return sqrt(2 * checkpoint_minutes * mean_hours_between_preemptions * 60)


def young_inputs(rng):
    yield 2.0, 4.0
    yield 10.0, 24.0
    for _ in range(6):
        yield round(rng.uniform(0.3, 15), 1), round(rng.uniform(1.5, 40), 1)


YOUNG = Question(
    id="ch02.q7",
    points=1,
    asks="minutes of work between two checkpoints by Young's formula",
    reference=young_interval_minutes,
    inputs=young_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "no square root",
            lambda d, m: 2 * d * m * 60,
            "The square root is missing: minutes times minutes are no minutes.",
        ),
        Misconception(
            "no factor of two",
            lambda d, m: sqrt(d * m * 60),
            "The 2 is missing. A preemption loses *half* an interval on average, and that is where it comes from.",
        ),
        Misconception(
            "hours for minutes",
            lambda d, m: sqrt(2 * d * m),
            "The checkpoint is in minutes and the time between preemptions in hours: convert first.",
        ),
        Misconception(
            "as long as a spell",
            lambda d, m: m * 60,
            "Saving once per mean spell loses most spells whole.",
        ),
    ),
    properties=(
        Property(
            "preemptions four times as rare double the interval",
            lambda f, d, m: abs(f(d, 4 * m) / f(d, m) - 2) < 1e-6,
        ),
    ),
)


# --- q8: grams per million tokens ---------------------------------------------------------------------------


def gco2e_per_mtok(tdp_w, power_share, pue, tokens_per_s, grid_gco2e_per_kwh):
    seconds = 1_000_000 / tokens_per_s
    kwh = tdp_w / 1000 * power_share * pue * seconds / 3600
    return kwh * grid_gco2e_per_kwh


def carbon_inputs(rng):
    yield 700.0, 0.7, 1.2, 2500.0, 418.0
    yield 700.0, 1.0, 1.0, 1000.0, 20.0
    for _ in range(6):
        yield (
            float(rng.choice([70.0, 72.0, 350.0, 700.0, 1000.0])),
            round(rng.uniform(0.4, 0.9), 2),
            round(rng.uniform(1.08, 1.6), 2),
            float(rng.integers(100, 12_000)),
            float(rng.integers(20, 700)),
        )


CARBON = Question(
    id="ch02.q8",
    points=2,
    asks="grams of CO₂ equivalent for a million tokens, from TDP, mean power share, PUE, speed and the grid",
    reference=gco2e_per_mtok,
    inputs=carbon_inputs,
    close=1e-6,
    misconceptions=(
        Misconception(
            "PUE divided",
            lambda w, s, p, t, g: w / 1000 * s / p * 1e6 / t / 3600 * g,
            "You divide by the PUE. Cooling comes on top: multiply.",
        ),
        Misconception(
            "computers only",
            lambda w, s, p, t, g: w / 1000 * s * 1e6 / t / 3600 * g,
            "The PUE is missing: the building's cooling and transformers draw power too.",
        ),
        Misconception(
            "watts for kilowatts",
            lambda w, s, p, t, g: w * s * p * 1e6 / t / 3600 * g,
            "A thousand times too much: the grid's figure is per *kilo*watt-hour.",
        ),
        Misconception(
            "seconds for hours",
            lambda w, s, p, t, g: w / 1000 * s * p * 1e6 / t * g,
            "You multiply kilowatts by seconds. A kilowatt-hour needs hours: divide by 3600.",
        ),
        Misconception(
            "always at its limit",
            lambda w, s, p, t, g: w / 1000 * p * 1e6 / t / 3600 * g,
            "TDP is the most that a chip draws. Decode waits for memory and draws power_share of it.",
        ),
        Misconception(
            "faster is dirtier",
            lambda w, s, p, t, g: w / 1000 * s * p * t / 3600 * g,
            "A faster chip emits more in your answer. It is done sooner: divide by its speed.",
        ),
    ),
)

QUESTIONS = (RIDGE, KV_CACHE, FITS, EXPERTS, NODE, FLEET, YOUNG, CARBON)
