# ---
# course:
#   title: Compute selection
#   minutes: 150
#   tier: cpu
#   memory_mb: 700
#   seconds: 60
# ---

# %% [markdown] id="objectives"
# Which chip, how many, from whom, and on what terms? You answer with a model of your own, and you say how far it can
# be trusted. After this chapter you can:
#
# 1. say from a data sheet whether memory or arithmetic will hold a chip back, for prompts and for answers;
# 2. work out what fits: weights by precision, the KV cache by context, and what is missing where it doesn't fit;
# 3. turn a price per hour into a price per token, with an interval, and find that the order changes;
# 4. hold a cost model against published measurements before you believe it;
# 5. choose between on demand, reserved and spot from break-evens and replays, and say what a miss may cost;
# 6. save a batch job as often as it pays, and count its energy and carbon.
#
# A number in this course is *measured here*, *published by* somebody on a date, *predicted*, or *assumed: yours to
# change*. Every figure says which. Here nothing is measured: your machine stays out of it, and the chips are rented on
# paper.

# %% id="imports"
import numpy as np
import pandas as pd

from course_utils import scale
from course_utils.catalog import (
    accelerator,
    assumed,
    cheapest,
    data_path,
    gpu_prices,
    model,
    predicted,
    published,
)
from course_utils.decide import carbon
from course_utils.estimate import cost, engine, memory, roofline, uncertainty
from course_utils.estimate.predict import predict, predict_rows
from course_utils.explore import Bars, Chart, Choice, Line, Points, Slider, View, explorer, show
from course_utils.grading import check

# %% [markdown] id="roofs"
# ## 1. Two roofs, many chips
#
# Chapter 00 measured two roofs on your machine: bytes per second out of memory, and FLOP per second. A data sheet has
# both for every chip, and their ratio, the **ridge**, says how many operations a chip can do while one byte arrives.
#
# Decode does 2 operations for each weight that it reads: at 2 bytes a weight, one operation per byte, for each
# sequence that is served at the same time.
#
# **Predict.** From how many sequences at once on does the arithmetic of an H100 become the limit: 10, 300 or 3,000?

# %% id="roofs-chips"
names = ["CPU 2 cores", "T4", "L4", "A100 SXM 80GB", "H20", "H100 SXM", "MI300X", "B200"]
chips = {name: accelerator(name) for name in [*names, "TPU v5e", "TPU v6e", "Trainium 2"]}
peak = {n: one.bf16_flop_per_s or one.fp16_flop_per_s or one.fp32_flop_per_s for n, one in chips.items()}
ridge = {n: roofline.ridge_flop_per_byte(peak[n], one.bandwidth_bytes_per_s) for n, one in chips.items()}
order = sorted(ridge, key=ridge.get)

# %% id="roofs-ridges"
low, high = ridge[order[0]], ridge[order[-1]]
title = f"Chips do {low:.0f} to {high:.0f} operations per byte; decode asks for one per sequence"
sheets = (
    f"dense 16-bit peaks (CPU: FP32), {published('the makers, data/accelerators.csv', chips['L4'].as_of)}"
)
view = View(title, Bars("", order, [ridge[name] for name in order]), sheets)
show(view, Chart("", "ridge: peak / bandwidth (FLOP per byte)"))

# %% id="roofs-lines"
x = np.geomspace(0.2, 5000, 80)
shown = ("CPU 2 cores", "T4", "L4", "TPU v6e", "H100 SXM", "MI300X")
lines = [
    Line(n, x, roofline.attainable_flop_per_s(x, peak[n], chips[n].bandwidth_bytes_per_s)) for n in shown
]
layer = {"inputs": 8192, "outputs": 8192}
at = [roofline.linear_intensity_flop_per_byte(tokens, **layer) for tokens in (1, 32, 1000)]
on_h100 = roofline.attainable_flop_per_s(at, peak["H100 SXM"], chips["H100 SXM"].bandwidth_bytes_per_s)

# %% id="roofs-figure"
dots = Points("H100", at, on_h100, ["decode, 1 user", "decode, 32 users", "prefill, 1,000 tokens"])
one, some, _ = on_h100 / peak["H100 SXM"]
title = f"Decode can use {one:.1%} of an H100's arithmetic for one user, {some:.0%} for 32; a prompt uses all"
axes = {
    "x": "arithmetic intensity (FLOP/byte)",
    "x_scale": "log",
    "y": "attainable (FLOP/s)",
    "y_scale": "log",
}
show(View(title, (*lines, dots), sheets), Chart(**axes, x_range=(0.2, 5000), y_range=(1e9, 1e16)))

# %% [markdown] id="roofs-meaning"
# A chip with a ridge of 300 uses one part in 300 of its multipliers when it decodes for one user. That is why decode
# is **bandwidth-bound**, and why providers serve hundreds of users at once. **Prefill** has all tokens of a prompt at
# hand, thousands of them for each weight: it is **compute-bound** from the first user on. Look at T4 and L4: on the
# left they are the same chip.
#
# Two chips show it best. NVIDIA's H20 has a seventh of the H100's arithmetic and a fifth *more* bandwidth.
#
# **Predict.** A prompt of 4,000 tokens, one user, Llama-3.1-8B in FP8. Which chip is faster at the first token, which
# at all others, and by how much?

# %% id="phases-predict"
prompt = {"precision_name": "fp8", "isl": 4000, "osl": 250, "load": "batch=1"}
h100, h20 = (predict("Llama-3.1-8B", name, **prompt) for name in ("H100 SXM", "H20"))
print(f"first token: H20 takes {h20.ttft_ms / h100.ttft_ms:.1f} times as long")
print(f"each other:  H20 takes {h20.tpot_ms / h100.tpot_ms:.2f} times as long")

# %% id="phases-figure"
parts = ["first token (prefill)", "each further token (decode)"]
bars = [
    Bars(name, parts, [p.ttft_ms, p.tpot_ms], [p.ttft_ms_lo, p.tpot_ms_lo], [p.ttft_ms_hi, p.tpot_ms_hi])
    for name, p in (("H100: 989 TFLOP/s, 3.35 TB/s", h100), ("H20: 148 TFLOP/s, 4.0 TB/s", h20))
]
first, other = h20.ttft_ms / h100.ttft_ms, h20.tpot_ms / h100.tpot_ms
title = (
    f"With a seventh of the arithmetic, a prompt takes {first:.0f} times as long, a token {other:.1f} times"
)
note = f"predicted, 80 % intervals; data sheets {published('NVIDIA', accelerator('H20').as_of)}"
show(View(title, bars, note), Chart("", "time (ms)", y_scale="log", y_range=(1, 2000)))

# %% [markdown] id="phases-meaning"
# Buy arithmetic for prompts and bandwidth for answers. **TTFT** (time to first token) is prefill; **TPOT** (time per
# output token) is decode. And what does a batch buy?
#
# **Predict.** 64 users at once instead of one: how many times as many tokens a second, and how many times as long
# does each wait for a token?

# %% id="batch-predict"
users = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256])
usual = {"precision_name": "fp8", "isl": 1000, "osl": 250}
runs = [predict("Llama-3.1-8B", "H100 SXM", **usual, load=f"concurrency={n}") for n in users]
speed, low, high = (
    np.array([getattr(p, "out_tok_s_per_gpu" + end) for p in runs]) for end in ("", "_lo", "_hi")
)
more, longer = runs[6].out_tok_s_per_gpu / runs[0].out_tok_s_per_gpu, runs[6].tpot_ms / runs[0].tpot_ms
print(f"64 users: {more:.0f} times the tokens, {longer:.1f} times the wait")

# %% id="batch-figure"
chip, weights = accelerator("H100 SXM"), memory.weights_bytes(model("Llama-3.1-8B"), "fp8")
band = Line("predicted, 80 % band", users, speed, lo=low, hi=high)
roof = Line("weights read, nothing else", users, users * chip.bandwidth_bytes_per_s / weights, dash=True)
title = f"64 users get {more:.0f} times the tokens, and each waits {longer:.1f} times as long"
view = View(title, (band, roof), "predicted: Llama-3.1-8B, FP8, vLLM, 1,000 tokens in, 250 out")
show(view, Chart("users at once", "speed of an H100 (tokens/s)", x_scale="log", y_scale="log"))

# %% [markdown] id="batch-meaning"
# The weights are read once for all, so the first users come almost for free. Then the curve bends away from the roof:
# each user brings a prompt (compute) and a KV cache (memory). The bend is where your money is.

# %% [markdown] id="q1-card" exercise="ch02.q1"
# ### Exercise 1 · where decode stops being free
# ●●○ · 5 minutes
#
# Each sequence does 2 FLOP with each weight; a weight of `bytes_per_weight` is read once for all sequences. From how
# many sequences at once on does the arithmetic decide? The peak is dense; leave the KV cache out.


# %% id="q1" tags=["exercise"] exercise="ch02.q1"
def sequences_at_ridge(peak_tflop_per_s, bandwidth_gb_per_s, bytes_per_weight):
    """Sequences decoded at once, not rounded."""
    ### BEGIN SOLUTION
    ridge_flop_per_byte = peak_tflop_per_s * 1e12 / (bandwidth_gb_per_s * 1e9)
    return ridge_flop_per_byte * bytes_per_weight / 2
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch02.q1"
check("ch02.q1", sequences_at_ridge)

# %% [markdown] id="q1-hint" exercise="ch02.q1"
# <details><summary>Hint</summary>
#
# n sequences do 2n FLOP per weight, so 2n / bytes_per_weight per byte. Set that equal to the ridge.
# </details>

# %% [markdown] id="q1-solution" exercise="ch02.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="fits"
# ## 2. What fits
#
# Before speed comes space. A chip holds the **weights**, and beside them a **KV cache**: for each token of each
# sequence, a key and a value in every layer. Memory is sold in GiB (2³⁰ bytes, whatever the label says), and weights
# are counted in GB (10⁹). Mixing them up costs 7 %.
#
# **Predict.** Llama-3.1-70B in bf16: how many GiB of weights? And the cache of *one* conversation of 128k tokens?

# %% id="fits-weights"
shape = model("Llama-3.1-70B")
for name in ("bf16", "fp8", "int4"):
    print(f"weights in {name:4}: {memory.weights_bytes(shape, name) / 2**30:6.1f} GiB")
whole = memory.kv_bytes(shape, 131_072) / 2**30
mha = whole * shape.heads / shape.kv_heads
print(
    f"KV cache of 128k tokens: {whole:.0f} GiB in 16 bits ({mha:.0f} if you forget that {shape.heads} heads share)"
)

# %% [markdown] id="fits-gqa"
# Forgetting **grouped-query attention** is the commonest mistake in calculators: 64 query heads share 8 keys and
# values, and only those 8 are kept. The next figure puts sixteen conversations beside the weights.
#
# **Predict.** Up to which context do sixteen of them fit on one H200, with FP8 weights: 2k, 8k or 32k?

# %% id="fits-curves"
tokens = np.geomspace(500, 131_072, 60)
kv = np.array([memory.kv_bytes(shape, t) for t in tokens]) * 16
need = {name: (memory.weights_bytes(shape, name) + kv) / 2**30 for name in ("bf16", "fp8", "int4")}
room = {name: 0.9 * accelerator(name).memory_gib for name in ("L40S", "H100 SXM", "H200 SXM", "MI300X")}
fits = tokens[need["fp8"] < room["H200 SXM"]].max()

# %% id="fits-figure"
lines = [Line(f"{name} weights", tokens, gib) for name, gib in need.items()]
lines += [Line(f"90 % of {name}", [500, 131_072], [gib] * 2, dash=True) for name, gib in room.items()]
title = f"Beside 16 conversations, FP8 weights fit an H200 up to {fits / 1000:.0f}k tokens each"
note = f"computed; KV cache in 16 bits; shape {published('its config.json', shape.as_of)}"
axes = {"x": "context of each conversation (tokens)", "x_scale": "log", "y": "weights and KV cache (GiB)"}
show(View(title, lines, note), Chart(**axes, y_scale="log", y_range=(20, 1000)))

# %% [markdown] id="fits-meaning"
# At short contexts the precision of the weights decides what fits, at long ones the cache does. When something doesn't
# fit, ask how much is missing and what would do:

# %% id="fits-missing"
for name, recipe in (("H100 SXM", "bf16"), ("L4", "int4")):
    try:
        memory.fit("Llama-3.1-70B", name, recipe, context_tokens=8192)
    except memory.DoesNotFit as problem:
        print(problem, end="\n\n")

# %% [markdown] id="q2-card" exercise="ch02.q2"
# ### Exercise 2 · the KV cache
# ●●○ · 5 minutes
#
# Return the size of the KV cache of all sequences together, in GiB. The model has `heads` query heads, which share
# `kv_heads` keys and values of `head_dim` numbers, in each of its `layers`.


# %% id="q2" tags=["exercise"] exercise="ch02.q2"
def kv_cache_gib(layers, heads, kv_heads, head_dim, context_tokens, sequences, bytes_per_value):
    """GiB, 2**30 bytes."""
    ### BEGIN SOLUTION
    values_per_token = 2 * layers * kv_heads * head_dim
    return values_per_token * context_tokens * sequences * bytes_per_value / 2**30
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch02.q2"
check("ch02.q2", kv_cache_gib)

# %% [markdown] id="q2-hint" exercise="ch02.q2"
# <details><summary>Hint</summary>
#
# Start with one token in one layer: a key and a value for each of the KV heads.
# </details>

# %% [markdown] id="q2-solution" exercise="ch02.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q3-card" exercise="ch02.q3"
# ### Exercise 3 · how many users fit
# ●●○ · 7 minutes
#
# The engine may use `usable_share` of `memory_gib`. A mixture of experts has `parameters` in all, of which one token
# uses `active_parameters`. Each sequence needs `kv_gib_per_sequence`. Return how many fit, as a whole number; 0 if
# there is no room for any.


# %% id="q3" tags=["exercise"] exercise="ch02.q3"
def sequences_that_fit(
    memory_gib, usable_share, parameters, active_parameters, bytes_per_weight, kv_gib_per_sequence
):
    """A whole number, 0 or more."""
    ### BEGIN SOLUTION
    left_gib = memory_gib * usable_share - parameters * bytes_per_weight / 2**30
    return max(0, int(left_gib // kv_gib_per_sequence))
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch02.q3"
check("ch02.q3", sequences_that_fit)

# %% [markdown] id="q3-hint" exercise="ch02.q3"
# <details><summary>Hint</summary>
#
# Take the weights off first, in GiB. Which weights must be there: all, or those that one token uses?
# </details>

# %% [markdown] id="q3-solution" exercise="ch02.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="experts"
# ### All must fit, few are read
#
# A **mixture of experts** sends each token to a few of many small networks. All of them take space. A step reads only
# those that its tokens touch. With E experts and k per token, one expert is left alone by one token with probability
# 1 − k/E, and by B tokens with (1 − k/E)ᴮ.
#
# **Predict.** Qwen3-30B-A3B has 128 experts and uses 8 per token. How much of its weights does one step read for one
# user? And for 64?

# %% id="experts-touched"
moe = model("Qwen3-30B-A3B")
experts_gb = memory.parts(moe).experts * 1.0 / 1e9  # FP8: a byte each
shared_gb = memory.weights_bytes(moe, "fp8") / 1e9 - experts_gb
batch = np.arange(1, 257)
read_gb = shared_gb + experts_gb * (1 - (1 - moe.experts_per_token / moe.experts) ** batch)
one, many = read_gb[0] / (shared_gb + experts_gb), read_gb[63] / (shared_gb + experts_gb)

# %% id="experts-figure"
lines = (
    Line("read by one step", batch, read_gb),
    Line("all, always", batch, np.full(256, shared_gb + experts_gb), dash=True),
    Line("one token's, always", batch, np.full(256, read_gb[0]), dash=True),
)
title = f"One user reads {one:.0%} of the weights in a step, 64 users read {many:.0%}"
note = f"computed, each token's experts drawn evenly; shape {published('its config.json', moe.as_of)}"
show(View(title, lines, note), Chart("sequences at once", "weights read per step (GB)", x_scale="log"))

# %% [markdown] id="experts-meaning"
# A calculator that charges for all experts is wrong for one user, and one that charges for the active ones is wrong
# for many. Such a model is fast alone, and its price advantage shrinks in a crowd.

# %% [markdown] id="q4-card" exercise="ch02.q4"
# ### Exercise 4 · bytes of a step
# ●●● · 7 minutes
#
# A model has `shared_gb` of weights that every step reads, and `experts_gb` in `experts` equal experts, of which each
# sequence picks `experts_per_token` at random, on its own. Return the GB of weights that a step reads on average.


# %% id="q4" tags=["exercise"] exercise="ch02.q4"
def step_gb(shared_gb, experts_gb, experts, experts_per_token, sequences):
    """GB read by one decode step, on average."""
    ### BEGIN SOLUTION
    touched_share = 1 - (1 - experts_per_token / experts) ** sequences
    return shared_gb + experts_gb * touched_share
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch02.q4"
check("ch02.q4", step_gb)

# %% [markdown] id="q4-hint" exercise="ch02.q4"
# <details><summary>Hint</summary>
#
# What is the chance that one expert is picked by nobody?
# </details>

# %% [markdown] id="q4-solution" exercise="ch02.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="price"
# ## 3. The hour and the token
#
# You rent hours and sell tokens. Below: Llama-3.1-8B with 8-bit weights, prompts of 1,000 tokens, answers of 250, an
# endless queue, on one chip of each kind, at the cheapest on-demand price in the catalog. The CPU gets 4-bit weights,
# because nothing else fits it, and an assumed price.
#
# **Predict.** Which chip has the cheapest hour, and which the cheapest token?

# %% id="price-rows"
ways = [[name, "vllm", "fp8"] for name in ("T4", "L4", "L40S", "H100 SXM", "MI300X", "B200")]
ways += [["TPU v5e", "jetstream", "fp8"], ["TPU v6e", "jetstream", "fp8"], ["Inferentia 2", "neuron", "fp8"]]
ways += [["CPU 2 cores", "other", "q4_k_m"]]
rows = pd.DataFrame(ways, columns=["gpu", "engine", "precision"])
rows = rows.assign(model="Llama-3.1-8B", gpus=1, tp=1, isl=1000, osl=250, load="max")
cpu = {"CPU 2 cores": 0.10}  # USD per hour, assumed: yours to change
rows["usd_per_gpu_hour"] = [cpu.get(name) or cheapest(name).usd_per_accelerator_hour for name in rows.gpu]
table = predict_rows(rows)

# %% id="price-table"
columns = [
    "gpu",
    "usd_per_gpu_hour",
    "usd_per_mtok_out",
    "usd_per_mtok_out_lo",
    "usd_per_mtok_out_hi",
    "tpot_ms",
]
by_token, by_hour = table.sort_values("usd_per_mtok_out"), table.sort_values("usd_per_gpu_hour")
by_token[columns].style.format(precision=2, thousands=",").hide(axis="index")

# %% id="price-figure"
y, low, high = (table["usd_per_mtok_out" + end] for end in ("", "_lo", "_hi"))
hour, token, dearest = by_hour.gpu.iloc[0], by_token.gpu.iloc[0], by_token.gpu.iloc[-1]
title = f"Cheapest hour: {hour}{' (and dearest token)' * (hour == dearest)}. Cheapest token: {token}"
oldest = min(cheapest(name).as_of for name in table.gpu if name not in cpu)
note = f"predicted, 80 % intervals; list prices from {oldest} on, data/gpu_prices.csv; CPU {assumed()}"
axes = {"x": "price of an hour (USD)", "x_scale": "log", "y": "price of a million output tokens (USD)"}
view = View(title, Points("chips", table.usd_per_gpu_hour, y, table.gpu, low, high), note)
show(view, Chart(**axes, y_scale="log", x_range=(0.07, 12), y_range=(0.02, 40)))

# %% [markdown] id="price-meaning"
# **The cheapest hour is rarely the cheapest token.** An hour buys bandwidth, arithmetic and *room for users*; small
# chips have little of each. Look at the intervals too: where two overlap, this model can't tell you which is cheaper,
# and a test run of an hour can.
#
# How far to trust it: H100, B200 and MI300X, and the L40S's family, are in the measurements that the model was fitted
# to (section 4). The T4 isn't, nor are the CPU, TPUs, Trainium and Inferentia: of these the model knows the data
# sheets. Their intervals come from its errors on whole families of chips left out, and are wider. Where the engine
# wasn't measured either, it takes the mean of those that it knows. It can't know what a compiler does to your model.
# Trainium 2 has no price in the catalog, so it has a speed and no dot:

# %% id="price-trainium"
for name, maker in (("Trainium 2", "neuron"), ("TPU v6e", "jetstream"), ("H100 SXM", "trtllm")):
    p = predict("Llama-3.1-8B", name, engine_name=maker, **usual)
    low, high = p.out_tok_s_per_gpu_lo, p.out_tok_s_per_gpu_hi
    print(
        f"{name:10} {p.out_tok_s_per_gpu:6.0f} tokens/s, {predicted(low, high)}: a factor of {high / low:.1f}"
    )

# %% [markdown] id="sellers"
# ### Who sells it
#
# **Predict.** The same H100, on demand: by what factor do sellers differ?

# %% id="sellers-figure"
offers = {}
for offer in gpu_prices("H100 SXM", term="on_demand"):  # cheapest first: the first of each provider stays
    offers.setdefault(offer.provider, offer)
usd_per_hour = [offer.usd_per_accelerator_hour for offer in offers.values()]
title = (
    f"The same chip costs {usd_per_hour[-1] / usd_per_hour[0]:.1f} times as much at one seller as at another"
)
days = sorted(offer.as_of for offer in offers.values())
note = f"each one's cheapest; {published('them, data/gpu_prices.csv', f'{days[0]} to {days[-1]}')}"
show(View(title, Bars("", [*offers], usd_per_hour), note), Chart("", "H100 SXM, on demand (USD per hour)"))

# %% [markdown] id="sellers-meaning"
# The seller can matter more than the chip. A dear one sells more than the chip: a network, a region, a contract, and
# an instance that is there when you ask. Put that on the list before you compare prices.
#
# ### Cheap for whom?
#
# The cheapest token comes with the most users at once, and each of them waits longer. What does a limit on TPOT cost?


# %% id="limit-curves"
def along_the_batch(name):
    most = int(predict("Llama-3.1-8B", name, **usual).max_batch)
    batches = np.unique(np.geomspace(1, most, 14).astype(int))
    found = [predict("Llama-3.1-8B", name, **usual, load=f"concurrency={n}") for n in batches]
    return Line(name.split()[0], [p.tpot_ms for p in found], [p.usd_per_mtok_out for p in found])


# %% id="limit-figure"
curves = [along_the_batch(name) for name in ("T4", "L4", "A100 SXM 80GB", "H100 SXM", "MI300X")]
fast = [curve.y[curve.x <= 20].min() for curve in curves if (curve.x <= 20).any()]
title = f"At 50 tokens a second for each user (TPOT 20 ms), a million tokens start at {min(fast):.2f} USD"
note = "predicted, from one user to a full chip; cheapest on-demand prices, data/gpu_prices.csv;"
axes = {"x": "time per output token (ms)", "x_scale": "log", "y": "price of a million output tokens (USD)"}
show(View(title, curves, f"{note} Llama-3.1-8B, FP8"), Chart(**axes, y_scale="log"))

# %% [markdown] id="limit-meaning"
# Each curve runs from one user (left, dear) to a full chip (right, cheap). Draw your limit as a vertical line: the
# lowest curve at that line is your chip. No batch size brings a T4 below 20 ms: reading 8 GB at 320 GB/s takes 25.

# %% [markdown] id="large"
# ### The cheapest that fits
#
# Now the 70B model, on as many chips as it takes. **Predict.** Which is the cheapest way to *hold* it, by the hour?
# And is that the cheapest token?

# %% id="large-rows"
ways = [("T4", 8), ("L4", 4), ("L40S", 2), ("A100 SXM 80GB", 2), ("H100 SXM", 2), ("H200 SXM", 1)]
large = pd.DataFrame([*ways, ("MI300X", 1), ("B200", 1)], columns=["gpu", "gpus"])
large = large.assign(model="Llama-3.1-70B", precision="fp8", engine="vllm", tp=large.gpus)
large = predict_rows(large.assign(isl=1000, osl=250, load="max"))
large["usd_per_hour"] = large.gpus * [cheapest(name).usd_per_accelerator_hour for name in large.gpu]
large["way"] = large.gpus.astype(str) + " × " + large.gpu
note = "predicted, 80 % intervals; cheapest on-demand prices, data/gpu_prices.csv;"

# %% id="large-figure"
y, low, high = (large["usd_per_mtok_out" + end] for end in ("", "_lo", "_hi"))
best, worst = (
    row for _, row in large.nsmallest(2, "usd_per_hour").sort_values("usd_per_mtok_out").iterrows()
)
title = f"{worst.way} for {worst.usd_per_hour:.2f} USD an hour, {best.way} for {best.usd_per_hour:.2f}: "
title += f"the token differs {worst.usd_per_mtok_out / best.usd_per_mtok_out:.0f}-fold"
view = View(
    title, Points("ways", large.usd_per_hour, y, large.way, low, high), note=f"{note} Llama-3.1-70B, FP8"
)
axes = {
    "x": "price of an hour, all chips (USD)",
    "x_scale": "log",
    "y": "price of a million output tokens (USD)",
}
show(view, Chart(**axes, y_scale="log", x_range=(1, 10), y_range=(0.1, 20)))

# %% [markdown] id="large-meaning"
# Weights that just fit leave no room for users, and then nobody shares the cost of reading them. Chips that talk over
# PCIe also wait for each other. Buy room for the KV cache, not for the weights.

# %% [markdown] id="q5-card" exercise="ch02.q5"
# ### Exercise 5 · from a node to a token
# ●○○ · 5 minutes
#
# A node of `gpus` GPUs costs `node_usd_per_hour`. A benchmark says that it makes `tokens_per_s_per_gpu` output tokens
# a second *per GPU*. It is busy for `utilization` of the time. Return USD per million output tokens.


# %% id="q5" tags=["exercise"] exercise="ch02.q5"
def node_usd_per_mtok(node_usd_per_hour, gpus, tokens_per_s_per_gpu, utilization):
    """USD per million output tokens."""
    ### BEGIN SOLUTION
    tokens_per_hour = tokens_per_s_per_gpu * gpus * 3600 * utilization
    return node_usd_per_hour / tokens_per_hour * 1_000_000
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch02.q5"
check("ch02.q5", node_usd_per_mtok)

# %% [markdown] id="q5-hint" exercise="ch02.q5"
# <details><summary>Hint</summary>
#
# Price and tokens have to belong to the same thing: the whole node, for an hour.
# </details>

# %% [markdown] id="q5-solution" exercise="ch02.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="trust"
# ## 4. How good is this model?
#
# Every figure above rests on a prediction. `data/published_runs.csv` holds published measurements, picked by a rule
# and not by hand: group all tables that we have by table, model and chip (those in the catalog by then), leave out
# rows that can't be right, keep every third group, and of each the row in the middle.
#
# **Predict.** What share of the predictions is off by more than a third?

# %% id="trust-rows"
runs = pd.read_csv(data_path("published_runs.csv"))
found = predict_rows(runs)
guess, low, high = (
    np.array([row[row.metric + end] for _, row in found.iterrows()]) for end in ("", "_lo", "_hi")
)
ratio = guess / runs.value
far, inside = (ratio > 4 / 3) | (ratio < 3 / 4), (low <= runs.value) & (runs.value <= high)
half = (ratio - 1).abs().median()

# %% id="trust-share"
print(
    f"{len(runs)} figures from {runs.source.nunique()} sources: half of the predictions are within {half:.0%},"
)
print(f"{far.mean():.0%} are off by more than a third, {inside.mean():.0%} of the 80 % intervals hold")
runs.assign(predicted=guess, ratio=ratio)[far][
    ["model", "gpu", "engine", "load", "isl", "osl", "metric", "value", "predicted", "ratio"]
].style.format(precision=2, subset=["value", "predicted", "ratio"]).hide(axis="index")

# %% id="trust-figure"
# One axis for both metrics: tokens/s of a chip, and tokens/s of a user, which is 1000 / TPOT.
x, y = (np.where(runs.metric == "tpot_ms", 1000 / one, one) for one in (runs.value.to_numpy(), guess))
ends = np.array([1, 50_000])
lines = [Line("exact", ends, ends), Line("a third more", ends, ends * 4 / 3, dash=True)]
lines += [Line("a third less", ends, ends * 3 / 4, dash=True)]
dots = [Points("", x[~far], y[~far]), Points("", x[far], y[far], runs.model[far])]
title = (
    f"Half of {len(runs)} predictions are within {half:.0%} of what was published; {far.sum()} are far off"
)
note = published("the sources in data/published_runs.csv", f"read {runs.as_of.max()}")
axes = {"x": "published (tokens/s, of a chip or of a user)", "y": "predicted (tokens/s)"}
show(View(title, (*lines, *dots), note), Chart(**axes, x_scale="log", y_scale="log"))

# %% [markdown] id="trust-honest"
# Now the catch: **these tables were used to fit the model.** Points near the line are no proof. The honest score
# leaves out a whole model (all its rows, in every table), fits the rest, and predicts what it hasn't seen:

# %% id="trust-held-out"
scores = [
    {"engine": name, "metric": metric, **one}
    for name in ("trtllm", "vllm", "sglang", "llamacpp")
    for metric, one in engine.fitted(name)["error"]["leave_model_out"].items()
]
pd.DataFrame(scores).style.format("{:.0%}", subset=["median", "mean", "p90"]).hide(axis="index")

# %% [markdown] id="trust-meaning"
# These are errors of unseen models, by group of table × model × chip. Half of the groups are better than the median;
# one in ten is worse than `p90`. The 80 % intervals that you see in this chapter are made from these errors, not from
# the fit. An interval that is wide is the model telling you to go and measure.

# %% [markdown] id="matters"
# ## 5. What matters most
#
# Your price per token depends on the deal, on the load, on the traffic, and on the model's own error. Move one at a
# time, from a bad to a good value, and sort: a **tornado**.
#
# **Predict.** Which of the six swings the price most?


# %% id="matters-price"
def usd_per_mtok(usd_per_hour, utilization, isl, osl, users, model_error):
    p = predict(
        "Llama-3.1-8B", "H100 SXM", precision_name="fp8", isl=isl, osl=osl, load=f"concurrency={users}"
    )
    return cost.self_hosted_usd_per_mtok(usd_per_hour, p.out_tok_s_per_gpu * model_error, utilization)


# %% id="matters-tornado"
p = predict("Llama-3.1-8B", "H100 SXM", **usual, load="concurrency=64")
error = (p.out_tok_s_per_gpu_lo / p.out_tok_s_per_gpu, p.out_tok_s_per_gpu_hi / p.out_tok_s_per_gpu)
base = {"usd_per_hour": 4, "utilization": 0.5, "isl": 1000, "osl": 250, "users": 64, "model_error": 1}
ends = {"usd_per_hour": (2.5, 11), "utilization": (0.2, 0.8), "isl": (300, 4000), "osl": (100, 800)}
tornado = uncertainty.tornado(usd_per_mtok, base, ends | {"users": (8, 256), "model_error": error})

# %% id="matters-figure"
readable = ("price of an hour", "utilization", "prompt", "answer", "users at once", "the model's error")
words = dict(zip(base, readable, strict=True))
label = [f"{words[bar.name]}: {bar.low_input:.3g} to {bar.high_input:,.4g}" for bar in tornado]
bars = [Bars("at the first value", label, [bar.low_result for bar in tornado])]
bars += [Bars("at the second", label, [bar.high_result for bar in tornado])]
place = [bar.name for bar in tornado].index("model_error") + 1
title = f"What swings the price most: {words[tornado[0].name]}. The model's error is number {place} of 6"
note = f"predicted, around {usd_per_mtok(**base):.2f} USD; ranges {assumed()}, but for the model's error"
show(View(title, bars, note), Chart("", "price of a million output tokens (USD)"))

# %% [markdown] id="matters-meaning"
# How many users share a chip, and how busy it is, are yours to decide; chapter 09 is about both. What you
# can't decide, you can measure.

# %% [markdown] id="terms"
# ## 6. On demand, reserved, spot
#
# A **reservation** is cheaper by the hour and paid for every hour. **Spot** is paid by the hour in use, for
# less than on demand, and taken away with little notice. Here are one cloud's prices for the same chip: spot isn't
# always the cheapest.


# %% id="terms-prices"
offers = {
    term: gpu_prices("H100 SXM", provider="GCP", region="us-central1", term=term)[0]
    for term in ("on_demand", "reserved_1y", "reserved_3y", "spot")
}
usd = {term: offer.usd_per_accelerator_hour for term, offer in offers.items()}
print(", ".join(f"{term} {price:.2f}" for term, price in usd.items()), "USD per H100 and hour")
print(published(f"GCP, in {offers['spot'].source}", offers["spot"].as_of))

# %% [markdown] id="terms-predict"
# **Predict.** From which share of hours in use on is the one-year reservation cheaper?

# %% id="terms-figure"
share = np.linspace(0.25, 1, 60)
pays = scale.reserved_break_even_utilization(usd["reserved_1y"], usd["on_demand"])
longer = scale.reserved_break_even_utilization(usd["reserved_3y"], usd["on_demand"])
lines = [
    Line(term.replace("_", " "), share * 100, usd[term] / share) for term in ("reserved_1y", "reserved_3y")
]
lines += [Line("on demand", share * 100, np.full(60, usd["on_demand"]))]
title = f"Reserving for one year pays from {pays:.0%} of the hours in use, for three from {longer:.0%}"
view = View(title, lines, published("GCP's price list", offers["reserved_1y"].as_of))
show(view, Chart("hours in use (%)", "price of an hour in use (USD)"))

# %% [markdown] id="terms-meaning"
# Break-even utilization is one division: reserved over on demand. For a fleet it holds chip by chip: reserve what is
# busy most of the day, rent the rest. Before you sign for three years, look up what this chip cost three years ago.

# %% [markdown] id="spot"
# ### Spot: what a month looks like
#
# Nobody publishes how H100s come and go. What has been watched for weeks, in three zones of one region, are V100s on
# AWS (SkyPilot's traces, 2022 to 2023). The course carries *fitted processes*, not the traces, and generates from
# them. Download a trace and you can replay it: `scale.read_trace("us-west-2b_v100_1.json")`.
#
# **Predict.** Of 720 hours, in how many can you have a spot instance? How long does one last?

# %% id="spot-trace"
mine = None  # "us-west-2b_v100_1.json", once you have downloaded it
process = scale.spot_process("us-west-2b")
trace = scale.generate_trace(process, capacity=8, seed=3)
if mine:
    trace = scale.read_trace(mine, capacity=1).scaled(8)
hours, is_open = trace.spells()

# %% id="spot-figure"
ticks = int(86_400 / trace.gap_s)
per_day = [24 * np.mean(trace.alive[at : at + ticks] > 0) for at in range(0, len(trace.alive), ticks)]
title = f"Open {trace.availability():.0%} of the time, in {is_open.sum()} spells "
title += f"of {hours[is_open].mean():.0f} hours on average"
made = f"generated from a fit {published('skypilot-org/spot-traces', process.as_of)}"
view = View(
    title, Line("", np.arange(1, len(per_day) + 1), per_day), f"{trace.name}, {'your file' if mine else made}"
)
show(view, Chart("day", "hours of the day in which spot can be had", y_range=(0, 24)))

# %% [markdown] id="policies"
# Your service needs eight replicas. A **policy** says how many are always on demand (the *floor*), how many are asked
# for on spot, and whether a missing one is replaced on demand (*fallback*).
#
# **Predict.** What does spot with a fallback cost, as a share of on demand, and how often are all eight there?

# %% id="policies-run"
traffic = {"requests_per_s": 20, "request_s": 20, "cold_start_s": 180, "grace_s": 30}  # assumed
service = scale.Service(8, usd["spot"], usd["on_demand"], **traffic)
policies = [
    scale.spot_only(8),
    scale.floor_and_spot(8, 4),
    scale.spot_with_fallback(8),
    scale.on_demand_only(8),
]
outcomes = scale.simulate_policies(trace, policies, service)
for one in outcomes:
    there, missed = one.availability, one.missed_share
    print(f"{one.policy.name:24} {one.usd_per_hour:6.2f} USD/h, all there {there:7.2%}, missed {missed:7.3%}")

# %% id="policies-figure"
kept = [100 * one.usd_per_hour / outcomes[-1].usd_per_hour for one in outcomes]
missed = [100 * one.missed_share for one in outcomes]
names = [one.policy.name for one in outcomes]
title = (
    f"A fallback makes spot serve all but {missed[2]:.1f}% of the requests, for {kept[2]:.0f}% of the cost"
)
bars = (Bars("cost, % of on demand", names, kept), Bars("requests missed, %", names, missed))
note = f"replay of one month; prices {published('GCP', offers['spot'].as_of)}; traffic {assumed()}"
show(View(title, bars, note), Chart("", "share (%)"))

# %% [markdown] id="drift"
# One month proves little. Draw forty, each with another seed, and take the middle 80 %. There are two ways to draw:
# all months are like the one that was fitted (**steady**), or months differ from each other as the watched ones do
# (**drift**).
#
# **Predict.** An 80 % interval should hold the next month 8 times out of 10. How often does the steady one?


# %% id="drift-months"
def months(drift_log_odds):
    draws = [
        scale.generate_trace(process, capacity=8, seed=n, drift_log_odds=drift_log_odds) for n in range(40)
    ]
    return np.array(
        [[one.usd_per_hour for one in scale.simulate_policies(t, policies[:3], service)] for t in draws]
    )


kinds = {"steady": months(0), "drift": months(scale.spot_drift().log_odds)}

# %% id="drift-figure"
bars = []
for kind, usd_per_hour in kinds.items():
    low, middle, high = np.quantile(usd_per_hour, [0.1, 0.5, 0.9], axis=0)
    bars.append(Bars(kind, [one.name for one in policies[:3]], middle, low, high))
wide = [np.ptp(np.quantile(values[:, 2], [0.1, 0.9])) for values in kinds.values()]
title = f"Months differ: with drift, the fallback's interval is {wide[1] / wide[0]:.1f} times as wide"
note = "generated, 40 months each, 80 % intervals; "
note += f"drift {published('skypilot-org/spot-traces', scale.spot_drift().as_of)}"
show(View(title, bars, note), Chart("", "cost of the service (USD per hour)"))

# %% [markdown] id="drift-meaning"
# Held against the second halves of 30 real traces, which the fit hadn't seen, the steady interval of the cost held 23
# to 30 % of them, the drifting one 80 % (recorded 2026-11-24, `python benchmarks/spot.py`). A process fitted to one
# month knows that month. Plan with the drifting interval.
#
# ### More zones
#
# **Predict.** Three zones are each open some 90 % of the time. If they were independent, all would be closed at once
# in one hour out of a thousand. For how much of the time will you be short of replicas?

# %% id="zones"
three = [row for row in scale.spot_processes("V100", "us-west-2") if row.hours > 1000]
shock = scale.region_shock("us-west-2")
draw = {
    "one zone": lambda n: scale.generate_trace(three[0], capacity=8, seed=n),
    "three, as they are": lambda n: scale.generate_zones(three, shock, capacity=8, seed=n),
    "three, if independent": lambda n: scale.generate_zones(three, capacity=8, seed=n),
}
short = {
    name: 100
    * (1 - np.mean([scale.simulate_policy(make(n), policies[0], service).availability for n in range(40)]))
    for name, make in draw.items()
}

# %% id="zones-figure"
one, real, ideal = short.values()
title = f"Three zones cut the gaps from {one:.0f}% to {real:.0f}% of the time; independent ones leave {ideal:.0f}%"
note = f"spot only, generated, 40 months each; common closures {published('skypilot-org/spot-traces', shock.as_of)}"
show(View(title, Bars("", [*short], [*short.values()]), note), Chart("", "time short of replicas (%)"))

# %% [markdown] id="zones-meaning"
# Zones of a region close together more often than chance: a shortage doesn't stop at a fence. And even independent
# zones leave more than the one in a thousand, because every move between them costs a cold start of three minutes.
# A further zone of the region shares its shortages; another region, or another *kind* of chip, has its own. One replica
# more than you need hardly helps: a zone that closes takes two or three with it.
#
# ### Notice, and what a miss may cost
#
# AWS warns two minutes ahead, GCP and Azure thirty seconds. A request that takes longer than the notice is cut off.

# %% id="grace"
answers_90_s = traffic | {"request_s": 90}
for provider in ("AWS", "GCP"):
    notice = scale.spot_notice(provider)
    there = scale.Service(8, usd["spot"], usd["on_demand"], **answers_90_s | {"grace_s": notice.grace_s})
    lost = scale.simulate_policy(trace, scale.spot_with_fallback(8), there).missed_requests
    print(
        f"{notice.grace_s:3.0f} s of notice ({provider}, {notice.as_of}): {lost:7,.0f} requests of 90 s missed"
    )

# %% [markdown] id="miss-predict"
# **Predict.** What must a missed request cost before it is worth paying for the fallback? And before you leave spot
# altogether?

# %% id="miss-price"
only, floor, fallback, safe = outcomes
cheap, dear = scale.miss_price_break_even_usd(only, fallback), scale.miss_price_break_even_usd(fallback, safe)
miss = np.geomspace(1e-4, 1, 60)
hourly = {
    one.policy.name: (one.total_usd + one.missed_requests * miss) / one.hours
    for one in (only, fallback, safe)
}

# %% id="miss-figure"
title = (
    f"Below {cheap:.4f} USD a miss let them fail, above {dear:.2f} stay away from spot, in between fall back"
)
view = View(
    title,
    [Line(name, miss, y) for name, y in hourly.items()],
    note=f"one month; traffic {assumed()}",
)
axes = {"x": "price of a missed request (USD)", "x_scale": "log", "y": "rent and misses (USD per hour)"}
show(view, Chart(**axes, y_scale="log", y_range=(30, 1000), x_range=(1e-4, 1)))

# %% [markdown] id="miss-meaning"
# That is the question to put to your product's owner: what does a missed request cost us? The answer decides between
# three policies that differ by a factor of two in rent.

# %% [markdown] id="q6-card" exercise="ch02.q6"
# ### Exercise 6 · a floor and spot
# ●●○ · 7 minutes
#
# Of `replicas`, `floor_replicas` run on demand and the rest on spot, `spot_discount` (0.6 is 60 %) below on demand.
# Of the billed spot hours, `spot_waste_share` goes to starting and redoing. Return USD per hour for a fleet that does
# as much useful work as `replicas` without waste.


# %% id="q6" tags=["exercise"] exercise="ch02.q6"
def fleet_usd_per_hour(replicas, floor_replicas, on_demand_usd_per_hour, spot_discount, spot_waste_share):
    """USD per hour."""
    ### BEGIN SOLUTION
    spot_usd_per_hour = on_demand_usd_per_hour * (1 - spot_discount)
    useful_usd_per_hour = spot_usd_per_hour / (1 - spot_waste_share)
    return floor_replicas * on_demand_usd_per_hour + (replicas - floor_replicas) * useful_usd_per_hour
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch02.q6"
check("ch02.q6", fleet_usd_per_hour)

# %% [markdown] id="q6-hint" exercise="ch02.q6"
# <details><summary>Hint</summary>
#
# If a fifth of the billed hours is wasted, how many must you pay for one useful hour?
# </details>

# %% [markdown] id="q6-solution" exercise="ch02.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="batch-job"
# ## 7. Batch jobs: how often to save
#
# A job that may be interrupted saves a **checkpoint** now and then. Too often, and it does little else; too rarely,
# and a preemption costs hours of work. With a checkpoint of d and a mean time M between preemptions, Young (1974)
# found √(2dM). Daly (2006) refined it.
#
# **Predict.** A job of 48 hours, 3 minutes a checkpoint, 5 a restart, a preemption every 6 hours. How often to save,
# and how long will it take?

# %% id="job-intervals"
job = scale.BatchJob(work_s=48 * 3600, checkpoint_s=180, restart_s=300)
mean_up_s = 6 * 3600
young, daly = scale.young_interval_s(180, mean_up_s), scale.daly_interval_s(180, mean_up_s)
best = scale.exact_interval_s(180, mean_up_s)
print(f"Young {young / 60:.1f} minutes, Daly {daly / 60:.1f}, exact {best / 60:.1f}")

# %% id="job-curve"
minutes = np.geomspace(5, 360, 60)
closed = [scale.expected_completion(job, 60 * m, mean_up_s, usd["spot"]).billed_s / 3600 for m in minutes]
tried = np.array([6, 12, 24, 46, 90, 180, 340])
memoryless, real = (
    scale.Durations("exponential", 6),
    scale.Durations("lognormal", 6, 1.86),
)
simulated = [scale.simulate_job(job, 60 * m, memoryless, usd["spot"], runs=1500, seed=1) for m in tried]
as_watched = [scale.simulate_job(job, 60 * m, real, usd["spot"], runs=1500, seed=2) for m in tried]


# %% id="job-figure"
def hours_of(samples, name):
    low, high = np.array([one.billed_interval_s() for one in samples]).T / 3600
    return Points(name, tried, (low + high) / 2, lo=low, hi=high)


dots = (hours_of(simulated, "simulated"), hours_of(as_watched, "uneven spells"))
title = (
    f"Saving every {best / 60:.0f} minutes, 48 hours take {min(closed):.0f}; half or twice that costs little"
)
note = f"closed form: Daly 2006; uneven: lognormal as {published('skypilot-org/spot-traces', three[0].as_of)}"
view = View(title, (Line("closed form", minutes, closed), *dots), note)
show(view, Chart("work between checkpoints (minutes)", "billed hours", x_scale="log"))

# %% [markdown] id="job-meaning"
# The simulation lies on the curve, so the formula holds where its assumption does: preemptions without memory. Real
# spells are more uneven, many short and a few very long, with the same mean; on those the minimum is in nearly the
# same place. The curve is flat around it: knowing M within a factor of two is enough.
#
# Where you get notice that is longer than a checkpoint (here 60 s to save, 120 s of notice), save only then:

# %% id="job-money"
every = scale.expected_completion(job, best, mean_up_s, usd["spot"])
small = scale.BatchJob(work_s=48 * 3600, checkpoint_s=60, restart_s=300)
noticed = scale.expected_completion_on_notice(small, 120, mean_up_s, usd["spot"])
print(f"on demand              {48 * usd['on_demand']:4.0f} USD, 48.0 hours")
print(f"spot, every {best / 60:2.0f} minutes  {every.cost_usd:4.0f} USD, {every.billed_s / 3600:.1f} hours")
print(f"spot, saved on notice  {noticed.cost_usd:4.0f} USD, {noticed.billed_s / 3600:.1f} hours")
waste = scale.spot_break_even_waste(usd["spot"], usd["on_demand"])
print(f"Of the spot hours {every.waste_share:.0%} are wasted; up to {waste:.0%} may be")

# %% [markdown] id="q7-card" exercise="ch02.q7"
# ### Exercise 7 · Young's interval
# ●○○ · 3 minutes
#
# A checkpoint takes `checkpoint_minutes`; preemptions come every `mean_hours_between_preemptions`. Return the minutes
# of work between two checkpoints by Young's formula, √(2dM).


# %% id="q7" tags=["exercise"] exercise="ch02.q7"
def young_interval_minutes(checkpoint_minutes, mean_hours_between_preemptions):
    """Minutes."""
    ### BEGIN SOLUTION
    return (2 * checkpoint_minutes * mean_hours_between_preemptions * 60) ** 0.5
    ### END SOLUTION


# %% id="q7-check" tags=["check"] exercise="ch02.q7"
check("ch02.q7", young_interval_minutes)

# %% [markdown] id="q7-hint" exercise="ch02.q7"
# <details><summary>Hint</summary>
#
# Both times in minutes, then the square root.
# </details>

# %% [markdown] id="q7-solution" exercise="ch02.q7"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="energy"
# ## 8. Energy and carbon
#
# A chip draws at most its **TDP**; decode, waiting for memory, draws 40 to 80 % of it. Around it there is a server,
# and around that a building, whose overhead is the **PUE** (power usage effectiveness). Then a grid turns
# kilowatt-hours into grams of CO₂.
#
# **Predict.** Which matters more for the carbon of a token: the chip, or the place?

# %% id="energy-chips"
around = {"power_share": 0.7, "server_factor": 1.5, "pue": carbon.pue("AWS").pue}  # the first two: assumed
kwh = {}
for _, row in table.iterrows():
    if watts := accelerator(row.gpu).tdp_w:
        rates = (row.out_tok_s_per_gpu, row.out_tok_s_per_gpu_hi, row.out_tok_s_per_gpu_lo)
        kwh[row.gpu] = [carbon.energy_kwh_per_mtok(watts, rate, **around) for rate in rates]
unknown = [name for name in table.gpu if name not in kwh]
print(f"No TDP is published for {', '.join(unknown)}: nobody can tell you theirs.")

# %% id="energy-figure"
order = sorted(kwh, key=kwh.get)
values, low, high = np.array([kwh[name] for name in order]).T
title = f"A million tokens take {values[0]:.2f} kWh on the {order[0]}, "
title += f"{values[-1] / values[0]:.0f} times as much on the {order[-1]}"
note = (
    f"predicted, 80 % intervals; draw and server {assumed()}; PUE {published('AWS', carbon.pue('AWS').as_of)}"
)
chart = Chart("", "energy of a million output tokens (kWh)", y_scale="log")
show(View(title, Bars("", order, values, low, high), note), chart)

# %% id="carbon-figure"
places = {row.place: carbon.co2e_g_per_mtok(kwh["H100 SXM"][0], row.gco2e_per_kwh) for row in carbon.grids()}
clean, *_, dirty = carbon.grids()
times = dirty.gco2e_per_kwh / clean.gco2e_per_kwh
title = f"The same token emits {times:.0f} times as much in {dirty.place} as in {clean.place}"
note = f"predicted, H100; grids {published(f'Electricity Maps, means of {clean.year}', clean.as_of)}"
chart = Chart("", "carbon of a million output tokens (g CO2e)")
show(View(title, Bars("", [*places], [*places.values()]), note), chart)

# %% [markdown] id="energy-meaning"
# Both matter, and they multiply. The chip that makes the cheapest token tends to make the cleanest one, because both
# are a matter of tokens per second. The place is free to choose for batch work. These figures count electricity in
# use: not what it took to build the chip, nor the power that an operator buys elsewhere to offset it.

# %% [markdown] id="q8-card" exercise="ch02.q8"
# ### Exercise 8 · grams per million tokens
# ●●○ · 5 minutes
#
# A chip with `tdp_w` draws `power_share` of it on average, in a building with `pue`, and makes `tokens_per_s`. The
# grid emits `grid_gco2e_per_kwh`. Return grams of CO₂ equivalent per million tokens (no server around it here).


# %% id="q8" tags=["exercise"] exercise="ch02.q8"
def gco2e_per_mtok(tdp_w, power_share, pue, tokens_per_s, grid_gco2e_per_kwh):
    """Grams per million tokens."""
    ### BEGIN SOLUTION
    seconds = 1_000_000 / tokens_per_s
    kwh = tdp_w / 1000 * power_share * pue * seconds / 3600
    return kwh * grid_gco2e_per_kwh
    ### END SOLUTION


# %% id="q8-check" tags=["check"] exercise="ch02.q8"
check("ch02.q8", gco2e_per_mtok)

# %% [markdown] id="q8-hint" exercise="ch02.q8"
# <details><summary>Hint</summary>
#
# How many hours do a million tokens take? How many kilowatts are drawn meanwhile?
# </details>

# %% [markdown] id="q8-solution" exercise="ch02.q8"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="explorer"
# ## 9. Move it yourself
#
# Model, chip, precision, lengths, users: latency, speed and price at once. The curve is the price from one user to
# 256; the point is where you stand.


# %% id="explorer-compute"
def deployment(model_name, chip, gpus, precision, context, users):
    placed = {"gpus": gpus, "precision_name": precision, "isl": 0.8 * context, "osl": 0.2 * context}
    placed["engine_name"] = "jetstream" if "TPU" in chip else "vllm"
    sweep = sorted({1, 4, 16, 48, 128, 256, users})
    runs = [predict(model_name, chip, **placed, load=f"concurrency={n}") for n in sweep]
    usd, low, high = ([getattr(p, "usd_per_mtok_out" + end) for p in runs] for end in ("", "_lo", "_hi"))
    p = runs[sweep.index(users)]
    title = f"{p.usd_per_mtok_out:.2f} USD per million; each user gets {1000 / p.tpot_ms:.0f} tokens/s"
    title += f", the first one after {p.ttft_ms / 1000:.2g} s"
    note = f"{predicted(p.usd_per_mtok_out_lo, p.usd_per_mtok_out_hi, 'USD')}; "
    note += f"{p.out_tok_s_per_gpu:,.0f} tokens/s a chip; {p.max_batch:,} sequences fit"
    you = Points("you", [users], [p.usd_per_mtok_out])
    return View(title, (Line("80 % band", sweep, usd, low, high), you), note)


# %% id="explorer-choices"
models = ["Llama-3.1-8B", "Llama-3.1-70B", "Qwen3-32B", "Qwen3-30B-A3B", "gpt-oss-120b"]
sold = ["T4", "L4", "L40S", "A100 SXM 80GB", "H100 SXM", "H200 SXM", "MI300X", "B200", "TPU v6e"]
chart = Chart("users at once", "price of a million output tokens (USD)", x_scale="log", y_scale="log")

# %% id="explorer-show"
explorer(
    deployment,
    {
        "model_name": Choice("Llama-3.1-8B", models, label="model"),
        "chip": Choice("H100 SXM", sold, label="chip"),
        "gpus": Choice(1, [1, 2, 4, 8], label="chips"),
        "precision": Choice("fp8", ["bf16", "fp8", "int4"], label="weights"),
        "context": Slider(1250, 200, 32_000, log=True, unit="tokens", label="prompt and answer, 4 : 1"),
        "users": Slider(32, 1, 256, log=True, label="users at once"),
    },
    chart,
    moving="users",
)

# %% [markdown] id="explorer-questions"
# Try: which chip is cheapest for 8 users, and which for 256? What does a context of 32k do to the price, and to what
# fits? When does int4 cost more than FP8, and why? (Its weights are unpacked before they are multiplied.) Put
# gpt-oss-120b on one H100.

# %% [markdown] id="spot-explorer"
# And how much of the fleet on spot? From all on demand (left) to all on spot (right), in one zone or three, in a month
# as fitted, and in months that drift: one of ten is as calm, and one of ten as bad.

# %% id="spot-explorer-months"
drifting = {"drift_log_odds": scale.spot_drift().log_odds}
settings = {"as fitted": {"seed": 3}, "calm": {"seed": 188} | drifting, "bad": {"seed": 41} | drifting}
traces = {
    (zones, name): scale.generate_zones(three[:zones], shock if zones > 1 else None, capacity=8, **setting)
    for zones in (1, 3)
    for name, setting in settings.items()
}
alone = [scale.floor_and_spot(8, 8 - spot) for spot in range(9)]
backed = [scale.floor_and_spot(8, 8 - spot, falls_back=True) for spot in range(9)]


# %% id="spot-explorer-compute"
def spot_share(discount, cold_start, zones, month):
    price, share, lines = usd["on_demand"], np.arange(9) / 0.08, []
    fleet = scale.Service(8, price * (1 - discount / 100), price, cold_start_s=cold_start, grace_s=30)
    for ways, name in ((alone, "spot alone"), (backed, "with fallback")):
        runs = scale.simulate_policies(traces[zones, month], ways, fleet)
        lines.append(Line(f"cost, {name}", share, [100 * (1 - one.savings_share) for one in runs]))
        there = [100 * one.availability for one in runs]
        lines.append(Line(f"all there, {name}", share, there, dash=True))
    title = f"All on spot with a fallback: {lines[2].y[-1]:.0f} % of the cost"
    title += f", all eight replicas there {lines[3].y[-1]:.1f} % of the time"
    note = (
        f"generated from a fit {published('skypilot-org/spot-traces', process.as_of)}; discount {assumed()}"
    )
    return View(title, lines, note)


# %% id="spot-explorer-show"
explorer(
    spot_share,
    {
        "discount": Slider(43, 10, 90, 1, unit="%", label="spot discount"),
        "cold_start": Slider(180, 20, 1200, 20, unit="s", label="cold start"),
        "zones": Choice(1, [1, 3], label="zones"),
        "month": Choice("as fitted", list(settings), label="month"),
    },
    Chart("replicas on spot (%)", "% of on-demand cost, and of the time", y_range=(0, 110)),
    moving="discount",
)

# %% [markdown] id="spot-explorer-questions"
# Try: in a bad month, how much does the fallback save compared with all on demand? What does a cold start of 20
# minutes do? Above which discount is a bad month on spot still cheaper than a reservation for a year?

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Bandwidth for answers, arithmetic for prompts | decode does one operation per byte and user, prefill thousands |
# | Serve many at once | the weights are read once for all of them |
# | Count KV heads, all experts in memory, touched experts in time | these three make calculators wrong by factors |
# | Price per token, never per hour | the cheapest hour is rarely the cheapest token |
# | Ask several sellers | the same chip costs several times as much at one as at another |
# | Held-out error or no error | a fit looks good on what it was fitted to |
# | Reserve above reserved / on demand | a reservation is paid for idle hours too |
# | Plan spot with drift, three zones and a fallback | a process fitted to one month knows that month |
# | Save every √(2dM) | and a factor of two around it hardly matters |
# | Move batch work to a clean grid | grids differ thirtyfold, and a job that can wait can move |

# %% [markdown] id="sources"
# ## Sources
#
# - Chips: `data/accelerators.csv`; prices: `data/gpu_prices.csv`; shapes: `data/models.csv`: a source and a date in
#   each row, read 2025-03 to 2026-11.
# - Published runs: `data/published_runs.csv`, a source in each row; constants, tables and held-out errors of the
#   model: `data/engines/*.json`, 2026-11.
# - Roofline: Williams, Waterman, Patterson, Communications of the ACM 52(4), 2009. Grouped-query attention: Ainslie
#   et al., EMNLP 2023.
# - Spot: Wu et al., "Can't Be Late: Optimizing Spot Instance Savings under Deadlines", NSDI 2024, and
#   skypilot-org/spot-traces, as fitted processes in `data/spot_*.csv`.
# - Checkpoints: Young, Communications of the ACM 17(9), 1974; Daly, Future Generation Computer Systems 22(3), 2006.
# - Power while serving: Patel et al., *Splitwise*, ISCA 2024 (its perf_model.csv: 0.43 to 0.79 of an A100's TDP).
# - Grids: Electricity Maps, yearly means of 2025, `data/grid_intensity.csv`; PUE: `data/pue.csv`, read 2026-11.
