# ---
# course:
#   title: Pruning
#   minutes: 120
#   tier: cpu
#   memory_mb: 1700
#   seconds: 90
# ---

# %% [markdown] id="objectives"
# A model has weights that hardly matter. Can you take them out, and does anything get cheaper when you do? The first
# answer is better than you'd think, the second is worse. After this chapter you can:
#
# 1. say what "50 % sparse" counts, and find out which layers can spare it;
# 2. remove weights by magnitude, by Wanda and by SparseGPT, and say with an interval which loses least;
# 3. make and check a 2:4 mask, and say who has a kernel for it;
# 4. measure why zeros aren't speed, and from which sparsity on a sparse format pays;
# 5. cut whole channels, heads and layers, and get an ordinary, smaller, faster model;
# 6. repair a cut by a short training, combine it with 4 bits, and put a price on all of it.
#
# Everything about speed is measured on your machine. Quality is measured here on the course's tiny model, and recorded
# where it takes too long: for SmolLM2-135M, and for many sparsities.

# %% id="imports"
import copy
import warnings
from dataclasses import replace

import numpy as np
import torch

from course_utils.catalog import cheapest, model, predicted, published
from course_utils.compress import blocks, masks, pruning, pruning_runs, recovery, structured
from course_utils.estimate.predict import predict
from course_utils.explore import Bars, Chart, Choice, Line, Points, Slider, View, explorer, show
from course_utils.grading import check
from course_utils.measure import compare, environment, held_out, load, paired, perplexity, random_llama
from course_utils.measure.recorded import recording

warnings.filterwarnings("ignore", "Sparse CSR tensor support")

# %% [markdown] id="zeros"
# ## 1. Half of it gone
#
# The oldest rule: a weight that is nearly zero does nearly nothing, so set the smallest to zero. That is **magnitude
# pruning**, and the share that went is the **sparsity**. How much it hurts shows in the perplexity on text that the
# model hasn't seen (chapter 03): here the Python language reference.
#
# **Predict.** Remove the smaller half of the weights of every layer, without any training. By how many percent does
# perplexity rise: 1, 10, 100?

# %% id="zeros-model"
tiny = load("tiny", device="cpu")
text = held_out()


def score(one, windows=16):
    return perplexity(one, tiny.tokenizer, text, sequence_tokens=256, windows=windows)


dense = score(tiny.model)
print(tiny.label)
print(dense)

# %% id="zeros-half"
half = copy.deepcopy(tiny.model)
pruning.prune_magnitude(half, 0.5)
print(pruning.zeros(half))
print(paired(score(half), dense))

# %% [markdown] id="zeros-meaning"
# Two sparsities stand there, and papers quote the first: only the linear layers of the blocks are pruned.
# **Embeddings** aren't, because each of their rows belongs to one word, nor are norms and biases. In a small model
# embeddings are a large part, so the model as a whole keeps more than half.

# %% [markdown] id="q1-card" exercise="ch05.q1"
# ### Exercise 1 · how sparse is the model?
# ●○○ · 5 minutes
#
# The linears hold `linear_weights`, of which a share `linear_sparsity` was pruned. An embedding matrix has
# `embedding_weights`; where `tied` is true it serves as the output matrix too, otherwise there is a second one of the
# same size. Return the share of all these weights that is zero.


# %% id="q1" tags=["exercise"] exercise="ch05.q1"
def zero_share(linear_sparsity, linear_weights, embedding_weights, tied):
    """A share, 0 to 1."""
    ### BEGIN SOLUTION
    matrices = 1 if tied else 2
    return linear_sparsity * linear_weights / (linear_weights + matrices * embedding_weights)
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch05.q1"
check("ch05.q1", zero_share)

# %% [markdown] id="q1-hint" exercise="ch05.q1"
# <details><summary>Hint</summary>
#
# Zeros over everything. How many embedding matrices are there?
# </details>

# %% [markdown] id="q1-solution" exercise="ch05.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="sensitivity"
# ## 2. Which layers mind?
#
# Layers aren't equal. A **sensitivity scan** prunes one part at a time, looks what happens, and puts it back.
#
# **Predict.** Take 70 % of one block's weights. Which block hurts most: the first, one in the middle, or the last? And
# which kind of layer: attention's or the MLP's?

# %% id="sensitivity-scan"
parts = pruning.by_block(tiny.model) | pruning.by_kind(tiny.model)
found = pruning.sensitivity(tiny.model, parts, lambda: score(tiny.model, 12), sparsity=0.7)
before = score(tiny.model, 12)
hurt = {name: paired(one, before) for name, one in found.items()}


# %% id="sensitivity-bars"
def increase(name, differences):
    """Bars of perplexity's increase in percent, with 95 % intervals from pairs of windows."""
    rise, low, high = ([100 * getattr(d, end) for d in differences.values()] for end in ("mean", "lo", "hi"))
    return Bars(name, [*differences], rise, low, high)


def part_of(names):
    return {name: hurt[name] for name in names}


here = f"measured here, {environment()}"

# %% id="sensitivity-figure"
in_blocks = part_of(name for name in hurt if name.startswith("block"))
worst = max(in_blocks, key=lambda name: in_blocks[name].mean)
calm = min(in_blocks, key=lambda name: in_blocks[name].mean)
title = f"70 % of {worst} gone: perplexity {100 * in_blocks[worst].mean:+.0f} %; "
title += f"70 % of {calm} gone: {100 * in_blocks[calm].mean:+.1f} %"
rise_axis = Chart("", "perplexity above dense (%)")
show(View(title, increase("", in_blocks), f"tiny model, 95 % intervals; {here}"), rise_axis)

# %% id="sensitivity-kinds"
kinds = part_of(name for name in hurt if not name.startswith("block"))
per_weight = {
    name: 1e6 * d.mean / sum(pruning.all_linears(tiny.model)[one].weight.numel() for one in parts[name])
    for name, d in kinds.items()
}
worst = max(kinds, key=lambda name: kinds[name].mean)
dearest = max(per_weight, key=per_weight.get)
title = f"Of the kinds of layer, {worst} hurts most; per weight it is {dearest}"
show(View(title, increase("", kinds), f"tiny model, 70 % of each; {here}"), rise_axis)

# %% [markdown] id="sensitivity-meaning"
# Where an interval reaches zero, these windows don't show any harm. Two ways to use a scan: spare what hurts, or
# let one **global threshold** decide, which takes more from layers whose weights are small. A global threshold
# compares weights of different layers as if a size meant the same in each. It doesn't: a norm in front of a layer
# can make up for any scale.

# %% id="global-threshold"
for within in ("layer", "model"):
    one = copy.deepcopy(tiny.model)
    results = pruning.prune_magnitude(one, 0.5, within=within)
    share = [result.quantized.sparsity for result in results.values()]
    change = paired(score(one), dense)
    print(f"one threshold per {within}: layers lose {min(share):.0%} to {max(share):.0%}; {change}")

# %% [markdown] id="q2-card" exercise="ch05.q2"
# ### Exercise 2 · one threshold for all
# ●●○ · 8 minutes
#
# `layers` is a list of layers, each a list of weights. Prune `int(sparsity × n)` of all n weights together, the
# smallest magnitudes first (no two are alike). Return a list with the share of zeros in each layer.


# %% id="q2" tags=["exercise"] exercise="ch05.q2"
def layer_sparsities(layers, sparsity):
    """One share per layer."""
    ### BEGIN SOLUTION
    everything = np.sort(np.concatenate([np.abs(layer) for layer in layers]))
    threshold = everything[int(sparsity * len(everything))]
    return [float(np.mean(np.abs(layer) < threshold)) for layer in layers]
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch05.q2"
check("ch05.q2", layer_sparsities)

# %% [markdown] id="q2-hint" exercise="ch05.q2"
# <details><summary>Hint</summary>
#
# Put the magnitudes of all layers into one list and sort it. Which of them is the first to stay?
# </details>

# %% [markdown] id="q2-solution" exercise="ch05.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="methods"
# ## 3. Choosing better, and repairing
#
# A weight acts on an input. **Wanda** (2023) multiplies |w| by the norm of the input that it meets: a small weight on a
# loud channel stays. **SparseGPT** (2023) also *repairs*: when a weight goes, those not pruned yet take over what they
# can, as GPTQ does with rounding errors (chapter 04). Both need a little text, and no training.
#
# **Predict.** At 50 %: which of the three loses least, and how far are they apart?

# %% id="methods-apply"
tokens = pruning_runs.calibration(tiny.tokenizer, sequences=16)
methods = {
    "magnitude": lambda one, sparsity: pruning.prune_magnitude(one, sparsity),
    "Wanda": lambda one, sparsity: pruning.prune_wanda(one, tokens, sparsity, progress=False),
    "SparseGPT": lambda one, sparsity: pruning.prune_sparsegpt(one, tokens, sparsity, progress=False),
}
pruned = {(name, s): copy.deepcopy(tiny.model) for name in methods for s in (0.5, "2:4")}
for (name, sparsity), one in pruned.items():
    methods[name](one, sparsity)
quality = {key: score(one, windows=24) for key, one in pruned.items()}
whole = score(tiny.model, windows=24)

# %% id="methods-figure"
rise = {name: paired(quality[name, 0.5], whole) for name in methods}
title = ", ".join(f"{name} {100 * d.mean:+.1f} %" for name, d in rise.items())
note = f"tiny model, 4,096 tokens of calibration, 95 % intervals; {here}"
show(View(f"Half the weights gone: {title} perplexity", increase("", rise), note), rise_axis)

# %% id="methods-pairs"
for one, other in (("magnitude", "Wanda"), ("Wanda", "SparseGPT")):
    print(f"{one} against {other}: {paired(quality[one, 0.5], quality[other, 0.5])}")

# %% [markdown] id="methods-recorded"
# And at other sparsities? These were recorded on the same model. **Predict.** Where does each method break?

# %% id="methods-curves"
recorded = recording("pruning")
rows = {row["key"]: row for row in recorded.rows}
spelled = {"magnitude": "magnitude", "wanda": "Wanda", "sparsegpt": "SparseGPT"}


def change_of(key):
    """Perplexity of a recorded row against the dense model, paired over its windows."""
    model_name = key.split()[0]
    return paired(*(pruning_runs.quality_of(recorded, one) for one in (key, f"{model_name} dense")))


# %% id="methods-curves-figure"
removed = [0.3, 0.5, 0.7, 0.8, 0.9]
lines, breaks = [], {}
for method, name in spelled.items():
    found = [change_of(f"tiny {method} {share}") for share in removed]
    times, low, high = ([1, *(1 + getattr(d, end) for d in found)] for end in ("mean", "lo", "hi"))
    lines.append(Line(name, [0, *(100 * share for share in removed)], times, low, high))
    breaks[name] = next(f"{share:.0%}" for share, d in zip(removed, found, strict=True) if d.lo > 0.5)
title = "Perplexity is up by half or more: " + ", ".join(f"{n} at {share}" for n, share in breaks.items())
axes = {"x": "weights removed from the linears (%)", "y": "perplexity / dense", "y_scale": "log"}
show(View(title, lines, f"tiny model, {recorded.label}; 95 % bands"), Chart(**axes))

# %% id="methods-smollm2"
half_gone = {name: change_of(f"smollm2 {method} 0.5") for method, name in spelled.items()}
title = "SmolLM2 without half its weights: perplexity " + ", ".join(
    f"× {1 + d.mean:.3g} ({name})" for name, d in half_gone.items()
)
bars = Bars(
    "", [*half_gone], *([1 + getattr(d, end) for d in half_gone.values()] for end in ("mean", "lo", "hi"))
)
note = f"{rows['smollm2 dense']['label'].split(' inside')[0]}, {recorded.label}; 95 % intervals"
show(View(title, bars, note), Chart("", "perplexity / dense", y_scale="log"))

# %% [markdown] id="methods-meaning"
# A little can go by any method. At a half, the method decides, and so does the model: the tiny one has learnt so little
# that it hardly notices, SmolLM2 has used its weights well, and magnitude ruins it. Larger models stand more: on
# Llama-2-7B at 50 %, wikitext perplexity went from 5.12 to 14.89 by magnitude, 6.42 by Wanda and 6.51 by SparseGPT
# (published by Wanda's authors, 2023, at 4,096 tokens). There Wanda does as well as SparseGPT: repair helps most where
# there is little to spare.

# %% [markdown] id="q3-card" exercise="ch05.q3"
# ### Exercise 3 · Wanda's score
# ●●○ · 7 minutes
#
# `weights` is rows × columns (nested lists), `inputs` is tokens × columns: what the layer reads. Return the score of
# every weight, rows × columns.


# %% id="q3" tags=["exercise"] exercise="ch05.q3"
def wanda_score(weights, inputs):
    """A score for each weight."""
    ### BEGIN SOLUTION
    norms = np.sqrt(np.sum(np.square(inputs), axis=0))
    return np.abs(weights) * norms
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch05.q3"
check("ch05.q3", wanda_score)

# %% [markdown] id="q3-hint" exercise="ch05.q3"
# <details><summary>Hint</summary>
#
# Column j of the weights meets column j of the inputs. One norm for each column: over what?
# </details>

# %% [markdown] id="q3-solution" exercise="ch05.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="pattern"
# ## 4. Two of every four
#
# Hardware likes order. In a **2:4** matrix at most two of four neighbours in a row aren't zero, so that a chip can skip
# the others by a fixed scheme. Same share of zeros, less freedom to choose.
#
# **Predict.** What does that order cost in quality, at the same 50 %?

# %% id="pattern-mask"
row = torch.tensor([[0.3, -2.0, 0.1, 0.9, 5.0, -4.0, 3.0, 2.0]])
keep = masks.kept(row.abs(), "2:4")
print((row * keep).tolist())
up_proj = pruned["SparseGPT", "2:4"].model.layers[0].mlp.up_proj.weight
along, down = masks.follows(up_proj, "2:4"), masks.follows(up_proj.T, "2:4")
print(f"2:4 along a row: {along}; along a column: {down}")

# %% id="pattern-figure"
free, four = ({name: paired(quality[name, s], whole) for name in methods} for s in (0.5, "2:4"))
bars = [increase("any half", free), increase("2:4", four)]
extra = {name: 100 * (four[name].mean - free[name].mean) for name in methods}
title = "2:4 costs another " + ", ".join(f"{x:.1f} ({name})" for name, x in extra.items())
show(View(f"{title} percentage points", bars, f"tiny model, 95 % intervals; {here}"), rise_axis)

# %% id="pattern-recorded"
groups = {
    says: {name: change_of(f"smollm2 {method} {s}") for method, name in spelled.items()}
    for says, s in (("any half", "0.5"), ("2:4", "2:4"))
}
times = [(1 + groups["2:4"][name].mean) / (1 + groups["any half"][name].mean) for name in methods]
title = f"On SmolLM2, 2:4 multiplies perplexity by another {min(times):.1f} to {max(times):.1f} times"
bars = [
    Bars(says, [*found], *([1 + getattr(d, end) for d in found.values()] for end in ("mean", "lo", "hi")))
    for says, found in groups.items()
]
show(View(title, bars, note), Chart("", "perplexity / dense", y_scale="log"))

# %% [markdown] id="pattern-kernels"
# And who can use it?
#
# | Where | 2:4 kernel? |
# |---|---|
# | NVIDIA from Ampere on | in hardware, at twice the dense peak; in PyTorch `to_sparse_semi_structured` |
# | vLLM | had kernels, and removed them in March 2026: such models were "not widely used" |
# | llm-compressor | no longer writes the format since 0.11.0 |
# | CPUs | none in PyTorch; ask it: |

# %% id="pattern-ask"
try:
    torch.sparse.to_sparse_semi_structured(up_proj.detach().half())
except (RuntimeError, NotImplementedError) as problem:
    print(str(problem).splitlines()[0])

# %% [markdown] id="pattern-meaning"
# Even where there is a kernel, it doubles *arithmetic*, which decode doesn't wait for (chapter 02), and of a
# 16-bit weight it still reads 9 bits or so, because it must know the places. The rate that a data sheet calls "with
# sparsity" is this one: divide it by two before you compare.

# %% [markdown] id="q4-card" exercise="ch05.q4"
# ### Exercise 4 · prune 2:4
# ●●○ · 8 minutes
#
# `weights` is rows × columns, the columns a multiple of four. Return it with the two smallest magnitudes of every four
# neighbours in a row set to zero.


# %% id="q4" tags=["exercise"] exercise="ch05.q4"
def prune_2_of_4(weights):
    """The weights, rows × columns, half of them zero."""
    ### BEGIN SOLUTION
    groups = np.array(weights, dtype=float).reshape(np.size(weights) // 4, 4)
    smallest = np.argsort(np.abs(groups), axis=1)[:, :2]
    np.put_along_axis(groups, smallest, 0.0, axis=1)
    return groups.reshape(np.shape(weights)).tolist()
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch05.q4"
check("ch05.q4", prune_2_of_4)

# %% [markdown] id="q4-hint" exercise="ch05.q4"
# <details><summary>Hint</summary>
#
# Reshape to rows of four: numpy goes along the last axis first. Then `argsort` of the magnitudes.
# </details>

# %% [markdown] id="q4-solution" exercise="ch05.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="speed"
# ## 5. Zeros are not speed
#
# Half the weights are zero. A multiplication by zero takes as long as any other, unless something skips it. A sparse
# format such as **CSR** keeps only what isn't zero, with the column of each.
#
# **Predict.** A matrix of 8192 × 2048. How many times as fast is it with half its weights zero: stored dense? Stored as
# CSR? From which sparsity on is CSR faster, for one token (decode) and for 64 (a prompt)?


# %% id="speed-csr"
def as_csr(matrix):
    """CSR with 32-bit indices: half the index bytes of PyTorch's default, and faster."""
    csr = matrix.to_sparse_csr()
    indices = csr.crow_indices().int(), csr.col_indices().int()
    return torch.sparse_csr_tensor(*indices, csr.values(), size=matrix.shape, check_invariants=False)


# %% id="speed-measure"
torch.manual_seed(0)
token, prompt = torch.randn(2048, 1), torch.randn(2048, 64)
shares = (0.5, 0.7, 0.9, 0.95)


def ratios(share):
    """Speed over that of the full matrix: with zeros, as CSR, as CSR for 64 tokens."""
    full = torch.randn(8192, 2048)
    zeroed = full * (torch.rand(full.shape) >= share)
    csr = as_csr(zeroed)
    ways = {"full": lambda: full @ token, "zeros": lambda: zeroed @ token, "CSR": lambda: csr @ token}
    one = compare(ways, repeats=15, max_seconds=1.5)
    many = compare({"full": lambda: full @ prompt, "CSR": lambda: csr @ prompt}, repeats=9, max_seconds=1.5)
    return one.ratio("full", "zeros"), one.ratio("full", "CSR"), many.ratio("full", "CSR")


zero, sparse, longer = zip(*[ratios(share) for share in shares], strict=True)

# %% id="speed-figure"
percent = [100 * share for share in shares]
named = {"zeros in a dense matrix": zero, "CSR, one token": sparse, "CSR, 64 tokens": longer}
lines = [
    Line(name, percent, [r.median for r in found], [r.lo for r in found], [r.hi for r in found])
    for name, found in named.items()
]
lines.append(Line("as fast as full", [50, 95], [1, 1], dash=True))


def pays(found):
    return next((f"from {s:.0%} zeros on" for s, r in zip(shares, found, strict=True) if r.lo > 1), "nowhere")


title = f"Half zeros run {zero[0].median:.1f} × as fast in a dense matrix, {sparse[0].median:.1f} × as CSR, "
title += f"which pays {pays(sparse)} ({pays(longer)} for 64 tokens)"
chart = Chart("zeros (%)", "speed / full matrix", y_scale="log")
show(View(title, lines, f"one layer of 8192 × 2048, fp32, 95 % intervals; {here}"), chart)

# %% [markdown] id="speed-meaning"
# In fp32, CSR reads 8 bytes for each value that is left, the dense matrix 4 for every place: below a half there is
# nothing to win, and jumping about in the input costs more. In 16 bits the index is twice the value. Where CSR pays
# clearly, look at what has become of the quality there (section 3). The same goes for size:

# %% id="size-figure"
share = np.linspace(0, 0.95, 60)
lines = [
    Line("dense", 100 * share, np.full(60, 16.0), dash=True),
    Line("CSR: value and 32-bit column", 100 * share, (1 - share) * (16 + 32)),
    Line("bit mask: value, and a bit a place", 100 * share, (1 - share) * 16 + 1),
]
from_csr, from_mask = 1 - 16 / 48, 1 / 16
title = f"In 16 bits, a bit mask saves space from {from_mask:.0%} zeros on, CSR from {from_csr:.0%}"
chart = Chart("zeros (%)", "size of a weight (bits)")
show(View(title, lines, "computed; row starts left out, they are one in 2,048"), chart)

# %% id="size-check"
sparse_one = as_csr(up_proj.detach().bfloat16())
in_csr = sparse_one.values().nbytes + sparse_one.col_indices().nbytes + sparse_one.crow_indices().nbytes
in_mask = masks.Sparse.of(up_proj.detach().bfloat16(), up_proj != 0).size_bytes()
print(f"up_proj at 2:4: dense {2 * up_proj.numel():,} bytes, bit mask {in_mask:,}, CSR {in_csr:,}")

# %% [markdown] id="q5-card" exercise="ch05.q5"
# ### Exercise 5 · what CSR weighs
# ●●○ · 6 minutes
#
# CSR keeps, for a matrix of `rows` × `columns`: the values that aren't zero (`value_bytes` each), the column of each,
# and `rows + 1` row starts (`index_bytes` for each of these numbers). Return bytes.


# %% id="q5" tags=["exercise"] exercise="ch05.q5"
def csr_bytes(rows, columns, sparsity, value_bytes, index_bytes):
    """Bytes of the matrix as CSR."""
    ### BEGIN SOLUTION
    values = rows * columns * (1 - sparsity)
    return values * (value_bytes + index_bytes) + (rows + 1) * index_bytes
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch05.q5"
check("ch05.q5", csr_bytes)

# %% [markdown] id="q5-hint" exercise="ch05.q5"
# <details><summary>Hint</summary>
#
# Three arrays: values, columns, row starts. How many entries has each?
# </details>

# %% [markdown] id="q5-solution" exercise="ch05.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="cut"
# ## 6. Cut whole parts
#
# If zeros must be skipped by somebody, take out what needs no skipping: an MLP channel (a row of two matrices and a
# column of the third), a group of attention heads with its key and value, a layer. What is left is **dense and
# smaller**. Any engine serves it, because its `config.json` says what it is.
#
# **Predict.** A model with the layer shape of Gemma-2B, in which the MLP is nine tenths; half its channels go. How many
# times as fast does it decode?

# %% id="cut-real-shape"
large = random_llama(2048, 1, intermediate=16_384, heads=8, kv_heads=1, device="cpu").model
evenly = structured.Importance(torch.ones(1, 16_384), torch.ones(1, 1), torch.ones(1), tokens=1)
smaller = structured.cut(large, evenly, intermediate=8192)
print(smaller.config.intermediate_size, "channels left of", large.config.intermediate_size)

# %% id="cut-speed"
step = torch.zeros(1, 1, dtype=torch.long)
with torch.inference_mode():
    turns = {name: lambda m=m: m(step, use_cache=False) for name, m in (("dense", large), ("cut", smaller))}
    faster = compare(turns, repeats=15, max_seconds=6).ratio("dense", "cut")
size = [sum(p.nbytes for p in m.parameters()) for m in (large, smaller)]
print(faster)
print(f"weights: {size[0] / 1e6:.0f} MB, {size[1] / 1e6:.0f} MB after the cut")

# %% id="cut-figure"
less = size[0] / size[1]
at_half = [zero[0], sparse[0]]
names = ["half zeros, dense", "half zeros, CSR", "half the MLP cut away", "…as its bytes say"]
values, low, high = ([*(getattr(r, end) for r in (*at_half, faster)), less] for end in ("median", "lo", "hi"))
title = f"Half its MLP gone, a model decodes {faster.median:.2f} times as fast: it reads {1 / less:.0%} of the bytes"
note = f"zeros: one matrix; cut: random weights, a layer of 2048 × 16384; fp32, one token; {here}"
show(View(title, Bars("", names, values, low, high), note), Chart("", "speed / whole (×)"))
del large, smaller, turns

# %% [markdown] id="cut-meaning"
# Now the speed is there, on any machine, and it is what the bytes say. What does it cost? Which channels should go? Run
# a little text through the model: a channel with activation a and output weights w adds a · w, so it matters by
# Σa² · ‖w‖². Heads are scored by the energy of what they add, layers by how far they turn their input.
#
# **Predict.** Half the MLP channels of the tiny model, without training: how much does perplexity rise? And random
# ones, instead of the least important?

# %% id="cut-tiny"
scores = structured.importance(tiny.model, tokens, progress=False)
generator = torch.Generator().manual_seed(0)
chance = replace(scores, channels=torch.rand(scores.channels.shape, generator=generator))
cuts = {
    "half the MLP channels, at random": structured.cut(tiny.model, chance, intermediate=256),
    "half the MLP channels": structured.cut(tiny.model, scores, intermediate=256),
    "half the heads": structured.cut(tiny.model, scores, heads=2),
    "a layer": structured.cut(tiny.model, scores, drop_layers=structured.worst_layers(scores, 1)),
}
lost = {name: paired(score(one), dense) for name, one in cuts.items()}

# %% id="cut-tiny-figure"
parameters = {name: sum(p.numel() for p in one.parameters()) for name, one in cuts.items()}
gone = 1 - parameters["half the MLP channels"] / sum(p.numel() for p in tiny.model.parameters())
chosen, random_ones = lost["half the MLP channels"], lost["half the MLP channels, at random"]
title = f"Half the MLP is {gone:.0%} of the model: perplexity {100 * chosen.mean:+.0f} %, "
title += f"at random {100 * random_ones.mean:+.0f} %"
show(View(title, increase("", lost), f"tiny model, without training, 95 % intervals; {here}"), rise_axis)

# %% id="cut-ordinary"
small = cuts["half the MLP channels"]
prompt = tiny.tokenizer("Return the largest item in", return_tensors="pt").input_ids
print(type(small).__name__, "with", small.config.intermediate_size, "channels says:")
print(tiny.tokenizer.decode(small.generate(prompt, max_new_tokens=16, do_sample=False)[0]))

# %% [markdown] id="cut-errors"
# Some cuts can't be: a query head without its key has nothing to look at, and a layer must be there to go.

# %% id="cut-refused"
for wish in ({"heads": 3}, {"drop_layers": [6]}, {"intermediate": 0}):
    try:
        structured.cut(tiny.model, scores, **wish)
    except ValueError as problem:
        print(problem)

# %% [markdown] id="q6-card" exercise="ch05.q6"
# ### Exercise 6 · a group of heads
# ●●○ · 7 minutes
#
# In each of `layers` layers, `groups_removed` of the `kv_heads` groups go: every query head of the group, its one key
# and one value head, each `head_dim` wide, and the columns of o_proj that read them. Return how many weights that is.


# %% id="q6" tags=["exercise"] exercise="ch05.q6"
def attention_weights_removed(hidden, head_dim, heads, kv_heads, groups_removed, layers):
    """Weights, in all layers."""
    ### BEGIN SOLUTION
    query_heads = groups_removed * heads / kv_heads
    return 2 * hidden * head_dim * (query_heads + groups_removed) * layers
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch05.q6"
check("ch05.q6", attention_weights_removed)

# %% [markdown] id="q6-hint" exercise="ch05.q6"
# <details><summary>Hint</summary>
#
# A head of `head_dim` has hidden × head_dim weights in each matrix. q and o have as many heads as there are queries, k
# and v as many as there are groups.
# </details>

# %% [markdown] id="q6-solution" exercise="ch05.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="recovery"
# ## 7. Teach it again
#
# A cut model is a good start for training. Here both halves of the language reference have their use: the first half to
# train on, the second for the exam.
#
# **Predict.** After two dozen training steps, is the model without half its MLP still worse than the whole one?

# %% id="recovery-train"
study, exam = text[: len(text) // 2], text[len(text) // 2 :]
ids = torch.tensor(tiny.tokenizer(study, add_special_tokens=False, verbose=False).input_ids)
text_rows = ids[: len(ids) // 128 * 128].reshape(-1, 128)
steps, trained = 24, {"whole": copy.deepcopy(tiny.model), "cut": copy.deepcopy(small)}
for one in trained.values():
    recovery.recover(one, text_rows, steps, batch=4, learning_rate=5e-4)

# %% id="recovery-exam"
examined = {"whole": tiny.model, "cut": small} | {f"{name}, trained": one for name, one in trained.items()}
marks = {
    name: perplexity(one, tiny.tokenizer, exam, sequence_tokens=256, windows=16)
    for name, one in examined.items()
}
gaps = {
    "cut, against whole": paired(marks["cut"], marks["whole"]),
    "cut and trained, against whole": paired(marks["cut, trained"], marks["whole"]),
    "both trained": paired(marks["cut, trained"], marks["whole, trained"]),
}

# %% id="recovery-figure"
middle, low, high = ([1 + getattr(gap, end) for gap in gaps.values()] for end in ("mean", "lo", "hi"))
title = (
    f"{steps} steps take the cut from {middle[0]:.2f} to {middle[1]:.2f} times the whole model's perplexity; "
)
title += f"against one trained as long it has {middle[2]:.2f}"
note = f"tiny model, half its MLP channels, {steps * 512:,} tokens, 95 % intervals; {here}"
bars = Bars("", [*gaps], middle, low, high)
show(View(title, bars, note), Chart("", "perplexity / the whole model's"))

# %% [markdown] id="recovery-meaning"
# The second bar is what a report likes to show, and it mixes two things: the repair, and what the training text taught.
# The whole model learns that too. **Train the control as long as the patient**: only the third bar says what the cut
# still costs. Chapter 06 replaces the text by a teacher, which is the better way to recover.
#
# With *unstructured* zeros a training has to set them to zero again after every step, or they are gone after the first;
# `recovery.recover` does that.

# %% [markdown] id="quantize"
# ## 8. Prune, then round
#
# The two add up: half the weights, 4 bits each. How many bits is that? Four for each weight that stayed, and one for
# each place, to say whether there is one: 0.5 × 4 + 1 = 3 bits a weight. So compare it with **3 bits without pruning**,
# which take the same space.
#
# **Predict.** Same bytes: half the weights in 4 bits, or all of them in 3?


# %% id="quantize-apply"
def rounded(one, bits):
    result = copy.deepcopy(one)
    blocks.round_model(result, bits=bits, per=128, scheme="symmetric")
    return result


kept_half = pruned["SparseGPT", 0.5]
ways = {"all, 16 bits": whole, "half, 16 bits": quality["SparseGPT", 0.5]}
ways |= {"all, 4 bits": score(rounded(tiny.model, 4), 24), "half, 4 bits": score(rounded(kept_half, 4), 24)}
ways["all, 3 bits"] = score(rounded(tiny.model, 3), 24)

# %% id="quantize-figure"
bits_each = np.array([16, 0.5 * 16 + 1, 4, 0.5 * 4 + 1, 3]) + np.array([0, 0, 0.125, 0.125, 0.125])
times = {name: paired(one, whole) for name, one in ways.items()}
values, low, high = ([1 + getattr(d, end) for d in times.values()] for end in ("mean", "lo", "hi"))
one, other = times["half, 4 bits"], times["all, 3 bits"]
better = paired(ways["half, 4 bits"], ways["all, 3 bits"])
verdict = "no difference shown" if not better.shown else ("pruned wins" if better.mean < 0 else "3 bits win")
title = f"At 3 bits a weight: half of them in 4 bits {100 * one.mean:+.1f} % perplexity, "
title += f"all in 3 bits {100 * other.mean:+.1f} %: {verdict}"
dots = Points("ways", bits_each, values, [*ways], low, high)
chart = Chart("size of a weight in the blocks (bits)", "perplexity / dense", x_scale="log")
show(View(title, dots, f"tiny model, groups of 128, rounded to nearest; {here}"), chart)

# %% [markdown] id="quantize-meaning"
# Zeros must stay zeros: a symmetric grid has a code for 0, so rounding keeps the mask. Both sides are rounded to
# nearest here; GPTQ (chapter 04) would help both. Unstructured zeros save bytes on disk and in a download. In memory
# they save only where an engine unpacks them on the way.

# %% [markdown] id="money"
# ## 9. What it does to the price
#
# Only a smaller dense model is cheaper to serve. How much cheaper depends on what the step waits for: at a few users
# for weights, at many for KV cache and arithmetic too (chapter 02).
#
# **Predict.** Llama-3.1-8B on an H100, half its MLP gone, that is a third of its weights or so. What happens to the
# price of a token: for one user? For 64?


# %% id="money-shapes"
def smaller_llama(mlp=1.0, groups=1.0, layers=1.0):
    """Llama-3.1-8B with these shares of its MLP channels, head groups and layers."""
    whole = model("Llama-3.1-8B")
    kv_heads = max(1, round(groups * whole.kv_heads))
    return replace(
        whole, name="Llama-3.1-8B, cut", aliases=(), repository="", published_params=None,
        intermediate_size=round(mlp * whole.intermediate_size), kv_heads=kv_heads,
        heads=kv_heads * whole.heads // whole.kv_heads, layers=max(1, round(layers * whole.layers)),
    )  # fmt: skip


served = {"precision_name": "bf16", "isl": 1000, "osl": 250}
users = [1, 4, 16, 64, 128]


# %% id="money-curve"
def prices(shape, name):
    runs = [predict(shape, "H100 SXM", **served, load=f"concurrency={n}") for n in users]
    usd, low, high = ([getattr(p, "usd_per_mtok_out" + end) for p in runs] for end in ("", "_lo", "_hi"))
    return Line(name, users, usd, low, high)


uncut, shorn = prices(smaller_llama(), "whole"), prices(smaller_llama(mlp=0.5), "half the MLP")
left = smaller_llama(mlp=0.5).parameters / smaller_llama().parameters
saving = 1 - shorn.y / uncut.y

# %% id="money-figure"
title = f"With {left:.0%} of the weights a token costs {saving[0]:.0%} less for one user, {saving[3]:.0%} less for 64"
note = f"predicted, 80 % bands, vLLM; H100 {published(cheapest('H100 SXM').provider, cheapest('H100 SXM').as_of)}"
axes = {"x": "users at once", "x_scale": "log", "y": "price of a million output tokens (USD)"}
show(View(title, (uncut, shorn), note), Chart(**axes, y_scale="log"))

# %% [markdown] id="money-meaning"
# The bands are those of the model's error, common to both lines: the *ratio* is far surer than either price. Zeros in a
# dense matrix change nothing here: their saving is 0 %.
#
# Recovery isn't free. Minitron's authors trained their pruned models on some 100 billion tokens (published by NVIDIA,
# 2024). Divide what that costs by what a token saves, and you have the traffic from which it pays.

# %% [markdown] id="q7-card" exercise="ch05.q7"
# ### Exercise 7 · when it has paid
# ●●○ · 8 minutes
#
# A million tokens cost `usd_per_mtok` before the cut; the price is proportional to the time of a step. The MLP takes
# `mlp_time_share` of it, and its time is proportional to the channels, of which a share `channels_kept` stays. The
# recovery training cost `training_usd`. After how many millions of tokens has the cut paid for it?


# %% id="q7" tags=["exercise"] exercise="ch05.q7"
def break_even_mtok(training_usd, usd_per_mtok, mlp_time_share, channels_kept):
    """Millions of tokens."""
    ### BEGIN SOLUTION
    time_left = 1 - mlp_time_share * (1 - channels_kept)
    return training_usd / (usd_per_mtok * (1 - time_left))
    ### END SOLUTION


# %% id="q7-check" tags=["check"] exercise="ch05.q7"
check("ch05.q7", break_even_mtok)

# %% [markdown] id="q7-hint" exercise="ch05.q7"
# <details><summary>Hint</summary>
#
# What share of the time is saved? Only the MLP's part shrinks, and only by the channels that went.
# </details>

# %% [markdown] id="q7-solution" exercise="ch05.q7"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="explorer"
# ## 10. Move it yourself
#
# Method and sparsity: what becomes of perplexity, of the bytes, of the time of a token, and of its price? All as a
# multiple of the dense model. Perplexity is recorded, the time measured above.


# %% id="explorer-data"
explored = {name: ([0, *removed], [0]) for name in spelled.values()}
for method, name in spelled.items():
    explored[name][1].extend(np.log1p(change_of(f"tiny {method} {share}").mean) for share in removed)
stays = [0.875, 0.75, 0.5, 0.25]
extra_loss = [0, *(np.log1p(change_of(f"tiny mlp {share:.3g}").mean) for share in stays)]
explored["MLP channels"] = ([0, *(1 - share for share in stays)], extra_loss)


# %% id="explorer-compute"
def trade(method, stored, percent_removed):
    gone, (known, extra) = percent_removed / 100, explored[method]
    if gone > known[-1]:
        raise ValueError(f"{method}: recorded up to {known[-1]:.0%}; move the slider back")
    worse, cut = float(np.exp(np.interp(gone, known, extra))), method == "MLP channels"
    bits = {"as they are": 16, "with a bit mask": 16 * (1 - gone) + 1, "as CSR": 48 * (1 - gone)}[stored]
    size = 1 - 2 * gone * (1 - 1 / less) if cut else bits / 16
    time = 1 - 2 * gone * (1 - 1 / faster.median) if cut else 1.0
    if stored == "as CSR" and not cut:
        time = 1 / np.interp(gone, shares, [r.median for r in sparse])
    title = f"{method}, {percent_removed} % gone: {'smaller' if size < 0.99 else 'not smaller'}, "
    title += f"{'faster' if time < 0.99 else 'not faster'}; perplexity × {worse:.3g}"
    bars = Bars("", ["perplexity", "bytes", "time of a token", "price of a token"], [worse, size, time, time])
    return View(title, bars, f"quality {recorded.label}; time measured here; price ∝ time, one user")


# %% id="explorer-show"
explorer(
    trade,
    {
        "method": Choice("SparseGPT", [*explored], label="what goes"),
        "stored": Choice(
            "with a bit mask", ["as they are", "with a bit mask", "as CSR"], label="zeros stored"
        ),
        "percent_removed": Slider(50, 0, 90, 5, unit="%", label="removed"),
    },
    Chart("", "compared with dense (×)", y_scale="log", y_range=(0.05, 50)),
    moving="percent_removed",
)

# %% [markdown] id="explorer-questions"
# Try: find a setting in which zeros are faster. What has become of perplexity there? Below which sparsity is CSR larger
# than the dense matrix? How many MLP channels can go for the perplexity that SparseGPT has at 70 %, and which of both
# is cheaper to serve? (The MLP here is nine tenths of a layer, as in the measurement above.)
#
# The second one is about money: cut Llama-3.1-8B yourself, in three directions, and see who profits.


# %% id="explorer-money"
def price_of(chip, mlp, groups, layers, users_at_once):
    shape = smaller_llama(mlp / 100, groups / 8, layers / 32)
    sweep = sorted({1, 8, 32, 128, users_at_once})
    lines, at = [], []
    for name, one in (("whole", model("Llama-3.1-8B")), ("cut", shape)):
        runs = [predict(one, chip, **served, load=f"concurrency={n}") for n in sweep]
        usd = [p.usd_per_mtok_out for p in runs]
        lines.append(Line(name, sweep, usd, dash=name == "whole"))
        at.append(usd[sweep.index(users_at_once)])
    kept = shape.parameters / model("Llama-3.1-8B").parameters
    title = f"{kept:.0%} of the weights: a token for {at[1] / at[0]:.0%} of the price, {at[1]:.2f} USD per million"
    ends = runs[-1].usd_per_mtok_out_lo, runs[-1].usd_per_mtok_out_hi
    note = f"the cut one, {sweep[-1]} users: {predicted(*ends, 'USD')}; quality is not in this picture"
    return View(title, (*lines, Points("you", [users_at_once], [at[1]])), note)


# %% id="explorer-money-show"
explorer(
    price_of,
    {
        "chip": Choice("H100 SXM", ["L4", "L40S", "A100 SXM 80GB", "H100 SXM", "MI300X"], label="chip"),
        "mlp": Slider(50, 20, 100, 5, unit="%", label="MLP channels kept"),
        "groups": Slider(8, 1, 8, 1, label="head groups kept, of 8"),
        "layers": Slider(32, 8, 32, 1, label="layers kept, of 32"),
        "users_at_once": Slider(16, 1, 128, log=True, label="users at once"),
    },
    Chart("users at once", "price of a million output tokens (USD)", "log", "log", x_range=(1, 150)),
    moving="mlp",
)

# %% [markdown] id="explorer-money-questions"
# Try: what do head groups save that channels don't? (Look at many users: their KV cache goes too.) Which cut helps a
# single user most?

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Ask what a sparsity counts | linears only, most often; embeddings stay |
# | Scan before you prune | layers differ, and a scan takes seconds |
# | Wanda or SparseGPT, never plain magnitude, at a half | the input decides what a weight is worth |
# | Zeros are not speed | a dense kernel multiplies them; CSR pays near 90 %, where quality is gone |
# | 2:4 only if your engine has the kernel | it costs quality, and engines have dropped it |
# | Cut whole parts for speed | a smaller dense model is faster everywhere, in proportion to its bytes |
# | Train after a cut, with a control | and count what the training costs |
# | Compare at equal bytes | half the weights in 4 bits take the space of all in 3 |

# %% [markdown] id="sources"
# ## Sources
#
# - Magnitude: Han et al., *Learning both Weights and Connections*, NeurIPS 2015. Wanda: Sun et al., 2023, ICLR 2024,
#   and its README (perplexities of Llama-2-7B, read 2026-11). SparseGPT: Frantar and Alistarh, ICML 2023.
# - 2:4: Mishra et al., *Accelerating Sparse Deep Neural Networks*, NVIDIA, 2021; PyTorch's tutorial on semi-structured
#   sparsity (compute capability 8.0 and up, read 2026-11);
#   [vLLM pull request 36799](https://github.com/vllm-project/vllm/pull/36799), March 2026;
#   [llm-compressor 0.11.0](https://github.com/vllm-project/llm-compressor/releases/tag/0.11.0), 2026.
# - Structured: Muralidharan et al., *Compact Language Models via Pruning and Knowledge Distillation* (Minitron),
#   NVIDIA, 2024; Men et al., *ShortGPT*, 2024.
# - Recorded: `data/recorded/pruning.json`, made by `course record pruning`; prices: `data/gpu_prices.csv`, a date in
#   each row.
