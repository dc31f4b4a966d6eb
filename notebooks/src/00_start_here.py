# ---
# course:
#   title: Start here
#   minutes: 45
#   tier: cpu
#   memory_mb: 700
#   seconds: 60
# ---

# %% [markdown] id="objectives"
# This course is about what it costs to serve a language model, and how to pay less. You start with the machine in
# front of you. After this chapter you can:
#
# 1. say how fast a machine can write text at most, from one number that you measure yourself;
# 2. time code so that the number means something: warm up, synchronise, repeat, give a median with an interval;
# 3. name the faster of two ways only when the samples show it;
# 4. read a roofline, and say whether memory or arithmetic holds a model back;
# 5. find your way through the course.
#
# A number in this course is *measured here*, *published by* somebody on a date, *predicted*, or *assumed: yours to
# change*. Every figure says which.

# %% id="imports"
import numpy as np
import torch
from torch.nn.functional import linear

from course_utils.catalog import accelerator, measured_here, published
from course_utils.estimate import roofline
from course_utils.explore import Bars, Chart, Choice, Line, Points, Slider, View, explorer, show
from course_utils.grading import check
from course_utils.measure import compare, describe, measure_roofs, time_call
from course_utils.measure.runtime import TIERS, device, fit_threads, tier

# %% [markdown] id="machine"
# ## 1. What is this machine?
#
# The same notebook runs on Colab, on Binder and at home, and gives other numbers there. So it says first what it runs
# on. In a container the figures are those of your share, not of the host.

# %% id="machine-describe"
threads = fit_threads()
print(describe())
print(f"Tier       {tier()}: {TIERS[tier()]}")

# %% [markdown] id="machine-meaning"
# The **tier** decides what later chapters measure: `gpu`, `cpu` or `replay`. You can ask for a lower one with the
# environment variable `COURSE_TIER`. The **capability** is the widest instruction set of the CPU. It decides which
# tricks pay here: a CPU without bf16 instructions can be slower in bf16 than in fp32.

# %% [markdown] id="ceiling"
# ## 2. How fast can it write?
#
# A language model writes one **token** (a word, or a piece of one) at a time. For each token it multiplies every one
# of its weights once. So for each token it has to *read* every weight once. Take a small model: 135 million weights,
# 4 bytes each (fp32).
#
# **Predict.** How many tokens per second can this machine write with it, at most? Write down a number.

# %% id="ceiling-guess"
your_guess = 100  # tokens per second: change me
weights = 135e6
print(f"One token reads {weights * 4 / 1e9:.2f} GB. You say {your_guess} tokens a second.")

# %% [markdown] id="ceiling-measure"
# Now measure how many bytes a second come out of this machine's memory (and, for later, how many multiplications and
# additions it does). `read` adds up a large array, `copy` writes half of it over the other half, `triad` computes
# `a = b + 3c`. This takes a few seconds.

# %% id="ceiling-roofs"
roofs = measure_roofs()
ceiling = roofs.bandwidth_bytes_per_s / (weights * 4)
print(f"At most {ceiling:.0f} tokens/s: {roofs.bandwidth_bytes_per_s / 1e9:.1f} GB/s over 0.54 GB per token")

# %% [markdown] id="ceiling-check"
# That is a **ceiling**: nothing has been multiplied yet. Is it near the truth? Below is a quarter of such a model: 8192
# × 4096 weights, 33.5 million. One token passes through it, which is a matrix times a vector; four such passes make a
# token.

# %% id="ceiling-measured"
quarter = torch.rand(8192, 4096, device=device())
token = torch.rand(1, 4096, device=device())
one_pass = time_call(lambda: linear(token, quarter))
measured = 1 / (4 * one_pass.median_s)
print(f"One pass takes {one_pass}")
print(f"{measured:.0f} tokens/s {measured_here()}, {100 * measured / ceiling:.0f} % of the ceiling")

# %% id="ceiling-figure"
speeds = np.array([your_guess, ceiling, measured])
spread = (
    speeds / [1, 1, one_pass.hi_s / one_pass.median_s],
    speeds / [1, 1, one_pass.lo_s / one_pass.median_s],
)
bars = Bars("tokens/s", ["your guess", "ceiling: bandwidth / bytes", "measured"], speeds, *spread)
title = f"Reading the weights allows {ceiling:.0f} tokens/s, and {measured:.0f} were reached"
note = f"bandwidth and speed: {measured_here()}; the guess is yours"
show(View(title, (bars,), note=note), Chart("", "speed of one sequence (tokens/s)"))

# %% [markdown] id="ceiling-meaning"
# **Writing text is reading memory.** One division gave the order of magnitude, without running a model. What is missing
# to the ceiling is in the software: how the library walks through the weights, and whether on all cores. A real model
# adds its attention, its cache and Python on top; chapter 02 puts these into the estimate. (More than 100 %? Then the
# machine was busy while you measured its memory. Run both cells again.)

# %% [markdown] id="timing"
# ## 3. A number you can trust
#
# Everything in this course rests on timings, and a careless one is easily wrong by a factor. Three things go wrong.
#
# ### The first call is different
#
# The first call pays for what later calls find done: libraries are loaded, kernels chosen, memory handed out, caches
# filled. Below, a small matrix is taken apart fifteen times (its singular values).
#
# **Predict.** How many times as long does the first call take?


# %% id="timing-first"
small = torch.rand(64, 64, device=device())
first_s, *later_s = time_call(lambda: torch.linalg.svdvals(small), repeats=15, warmup=0).samples_s
times_as_long = first_s / np.median(later_s)
print(f"first call {first_s * 1e3:.1f} ms, later ones {np.median(later_s) * 1e3:.1f} ms ({measured_here()})")

# %% id="timing-figure"
first = Points("first", [1], [first_s * 1e3])
rest = Points("later", range(2, 16), np.array(later_s) * 1e3)
middle = Line("median of the later ones", [2, 15], [np.median(later_s) * 1e3] * 2, dash=True)
title = f"The first call takes {times_as_long:.1f} times as long as the later ones"
show(View(title, (first, rest, middle), note=measured_here()), Chart("call", "time (ms)"))

# %% [markdown] id="timing-warmup"
# So the first calls are **warm-up**: made, and thrown away. `time_call` repeats them until they get no faster. (When
# you care about the cold start, and chapter 10 does, the first call is the one that you want. Then say so.)
#
# ### A call can return before its work is done
#
# A GPU takes orders and returns at once; Python goes on while the chip still computes. The same happens with any
# work that you hand to somebody else. Here it is a second thread:

# %% id="timing-asynchronous"
from concurrent.futures import ThreadPoolExecutor

square, pool, orders = torch.rand(700, 700), ThreadPoolExecutor(1), []
order = lambda: orders.append(pool.submit(torch.mm, square, square))  # noqa: E731
wait = lambda: [orders.pop().result() for _ in range(len(orders))]  # noqa: E731
print("without waiting ", time_call(order, repeats=15, calls=1))
wait()
print("with waiting    ", time_call(order, repeats=15, calls=1, synchronize=wait))

# %% [markdown] id="timing-synchronise"
# The first line times how long it takes to *place* an order. To **synchronise** is to wait for the work before you
# read the clock. On a GPU that is `torch.cuda.synchronize`, and `time_call` does it for you.
#
# ### One number is no number
#
# Others use this machine, it heats up, it cleans its memory. Look at the same call forty times.

# %% id="timing-spread"
many = time_call(lambda: linear(token, quarter), repeats=40)
times_ms = np.array(many.samples_s) * 1e3
low, mid, high = many.lo_s * 1e3, many.median_s * 1e3, many.hi_s * 1e3
print(
    f"fastest {times_ms.min():.2f}, median {mid:.2f}, mean {times_ms.mean():.2f}, slowest {times_ms.max():.2f} ms"
)

# %% id="timing-spread-figure"
dots = Points("one call", range(1, 41), times_ms)
middle = Line("median", [1, 40], [mid, mid], lo=[low, low], hi=[high, high])
title = f"The slowest call took {times_ms.max() / times_ms.min():.1f} times as long as the fastest"
note = f"{measured_here()}; band: {many.confidence * 100:.0f} % interval of the median"
show(View(title, (dots, middle), note=note), Chart("call", "time (ms)"))

# %% [markdown] id="timing-median"
# Late calls pull the **mean** up; the **median**, the middle of the sorted times, stays. Its **interval** says how well
# you know it. Of 40 samples, the true median lies between the 14th and the 27th smallest in at least 95 runs out of a
# hundred, whatever the times are like: each sample falls below it with probability ½, like a coin. More samples, a
# narrower interval; half as wide takes four times as many.

# %% [markdown] id="q1-card" exercise="ch00.q1"
# ### Exercise 1 · a typical time
# ●○○ · 4 minutes
#
# `calls_s` holds the times of all calls in seconds, in the order made; the first `warmup` of them are warm-up. Return
# the median of the others. (Write it yourself: `sorted` is all you need.)


# %% id="q1" tags=["exercise"] exercise="ch00.q1"
def typical_s(calls_s, warmup):
    """Seconds."""
    ### BEGIN SOLUTION
    ordered = sorted(calls_s[warmup:])
    middle = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch00.q1"
check("ch00.q1", typical_s)

# %% [markdown] id="q1-hint" exercise="ch00.q1"
# <details><summary>Hint</summary>
#
# `calls_s[warmup:]` are the others. With an even number of them, the median is half way between the middle two.
# </details>

# %% [markdown] id="q1-solution" exercise="ch00.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="compare"
# ## 4. Which is faster?
#
# In bf16 a weight takes 2 bytes instead of 4. The ceiling says: half the bytes, twice the speed.
#
# **Predict.** How many times as long does the pass take in fp32 as in bf16, here?

# %% id="compare-bf16"
result = compare(
    {
        "fp32": lambda: linear(token, quarter),
        "bf16": lambda x=token.bfloat16(), w=quarter.bfloat16(): linear(x, w),  # noqa: B008
    }
)
print(result)


# %% id="compare-figure"
def show_turns(result, top, bottom):
    ratio = result.ratio(top, bottom)
    turns = np.divide(result.timings[top].samples_s, result.timings[bottom].samples_s)
    dots, ends = Points("one turn", range(1, len(turns) + 1), turns), [1, len(turns)]
    band = Line("median", ends, [ratio.median] * 2, lo=[ratio.lo] * 2, hi=[ratio.hi] * 2)
    title = f"{result.winner} is faster" if result.winner else "No difference shown"
    title += f": {top} takes {ratio.lo:.2f} to {ratio.hi:.2f} times as long as {bottom}"
    note = f"{measured_here()}; band: {ratio.confidence * 100:.0f} % interval of the median"
    view = View(title, (dots, band, Line("no difference", ends, [1, 1], dash=True)), note)
    show(view, Chart("turn", f"time of {top} / time of {bottom} (ratio)"))


# %% id="compare-turns"
show_turns(result, "fp32", "bf16")

# %% [markdown] id="compare-meaning"
# A prediction from bytes alone says what is *possible*. Whether it is reached depends on the kernel that somebody wrote
# for this CPU or GPU. That is why this course predicts and then measures.
#
# `compare` lets the two take turns, in random order, and looks at the ratio within each turn: what disturbs one mostly
# disturbs the other too. Now give it two names for the same thing.
#
# **Predict.** Which one wins?

# %% id="compare-same"
same = compare({"one name": lambda: linear(token, quarter), "another": lambda: linear(token, quarter)})
print(same)
show_turns(same, "one name", "another")

# %% [markdown] id="compare-refuses"
# Two medians of the same thing differ, and it is tempting to report that. `compare` names a winner only when the
# whole interval of the ratio lies on one side of 1. Otherwise it says that no difference was shown, and about how many
# turns a difference of that size would need. (An interval of 95 % still errs in one run out of twenty. If it named a
# winner just now, you saw that run: go again.)

# %% [markdown] id="q2-card" exercise="ch00.q2"
# ### Exercise 2 · is there a winner?
# ●○○ · 3 minutes
#
# `ratio_lo` and `ratio_hi` are the interval of (a's time) / (b's time). Return `"a"` or `"b"`, whichever is shown to be
# faster, or `None` if neither is.


# %% id="q2" tags=["exercise"] exercise="ch00.q2"
def winner(ratio_lo, ratio_hi):
    """ "a", "b" or None."""
    ### BEGIN SOLUTION
    if ratio_hi < 1:
        return "a"
    if ratio_lo > 1:
        return "b"
    return None
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch00.q2"
check("ch00.q2", winner)

# %% [markdown] id="q2-hint" exercise="ch00.q2"
# <details><summary>Hint</summary>
#
# What is the ratio when both take the same time? Where must the interval lie for a to take less?
# </details>

# %% [markdown] id="q2-solution" exercise="ch00.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="roofline"
# ## 5. Two roofs
#
# Writing one token uses each weight for one multiplication and one addition: 2 FLOP (floating-point operations) for 4
# bytes. That is an **arithmetic intensity** of half a FLOP per byte. Reading a prompt is different: its tokens are all
# known, so that they go through the layer together, and each weight that was read once is used for all of them.
#
# - **Decode**: one token at a time, as when writing. Few FLOP per byte.
# - **Prefill**: all tokens of the prompt at once. Many FLOP per byte.
#
# **Predict.** 256 tokens at once are 256 times the work of one. How many times as long do they take?

# %% id="roofline-measure"
tokens_at_once = [1, 16, 256]
inputs = {count: torch.rand(count, 4096, device=device()) for count in tokens_at_once}
passes = {n: time_call(lambda x=x: linear(x, quarter), repeats=11, max_seconds=2) for n, x in inputs.items()}
for count, timing in passes.items():
    print(f"{count:4} at once: {timing}, {timing.median_s / count * 1e3:.3f} ms per token")
print(
    f"256 tokens take {passes[256].median_s / passes[1].median_s:.1f} times as long as one ({measured_here()})"
)

# %% [markdown] id="roofline-model"
# The **roofline** puts this into one picture. A kernel of intensity *I* does at most *I* × bandwidth operations a
# second, because the bytes have to arrive, and at most the machine's peak. Both roofs meet at the **ridge**. Left of it
# memory decides, right of it arithmetic.


# %% id="roofline-curves"
def roof(name, peak, bandwidth, low=None, dash=False):
    """`low`: peak and bandwidth at the lower end of a band, which reaches up to the line."""
    x = np.sort([*np.geomspace(0.1, 5000, 60), roofline.ridge_flop_per_byte(peak, bandwidth)])
    y = roofline.attainable_flop_per_s(x, peak, bandwidth)
    bottom = None if low is None else roofline.attainable_flop_per_s(x, *low)
    return Line(name, x, y, lo=bottom, hi=None if low is None else y, dash=dash)


# %% id="roofline-lines"
bandwidth, peak = roofs.bandwidth_bytes_per_s, roofs.flop_per_s
low = {dtype: (roofs.matmuls[dtype].lo, roofs.bandwidth.lo) for dtype in peak}
roof_lines = [roof(f"here, {dtype}", peak[dtype], bandwidth, low[dtype]) for dtype in ("bf16", "fp32")]
t4, h100 = accelerator("T4"), accelerator("H100 SXM")
roof_lines += [roof("T4, fp16", t4.fp16_flop_per_s, t4.bandwidth_bytes_per_s, dash=True)]
roof_lines += [roof("H100 SXM, bf16", h100.bf16_flop_per_s, h100.bandwidth_bytes_per_s, dash=True)]

# %% id="roofline-points"
layer = {"inputs": 4096, "outputs": 8192}
work = {n: roofline.linear_flop(n, **layer) for n in passes}
size = {"weight_bytes": 4, "activation_bytes": 4}
intensity = [roofline.linear_intensity_flop_per_byte(n, **layer, **size) for n in passes]
reached, most, least = (
    [work[n] / getattr(timing, part) for n, timing in passes.items()] for part in ("median_s", "lo_s", "hi_s")
)
points = Points("reached", intensity, reached, ["decode", "decode × 16", "prefill 256"], least, most)

# %% id="roofline-shares"
allowed = roofline.attainable_flop_per_s(intensity, peak["fp32"], bandwidth)
for label, x, share in zip(points.labels, intensity, reached / allowed, strict=True):
    print(
        f"{label:12} {x:6.1f} FLOP per byte, {100 * share:.0f} % of what the roofs allow ({measured_here()})"
    )

# %% id="roofline-figure"
ridge = roofline.ridge_flop_per_byte(peak["fp32"], bandwidth)
title = f"Below {ridge:.1f} FLOP per byte, this machine waits for its memory (fp32)"
note = f"here: {measured_here()}, best, with a band down to the median; T4 and H100: "
note += published("NVIDIA data sheets", h100.as_of)
axes = {"x": "arithmetic intensity (FLOP/byte)", "x_scale": "log", "x_range": (0.1, 5000)}
axes |= {"y": "speed (FLOP/s)", "y_scale": "log", "y_range": (1e9, 5e15)}
show(View(title, (*roof_lines, points), note=note), Chart(**axes))

# %% [markdown] id="roofline-meaning"
# Decode sits on the slope, prefill under the flat roof. A chip with a hundred times the arithmetic and ten times the
# bandwidth is ten times as fast at writing. That one picture explains much of what is to come: output costs more than
# input (chapter 01), smaller weights speed up decode (03, 04), and many users at once make each of them cheaper (09).
#
# What lies between a point and its roof is the software's. A point above its roof is a neighbour's: somebody took a
# core while the roof was measured. On a shared machine, measure again before you believe a number.

# %% [markdown] id="q3-card" exercise="ch00.q3"
# ### Exercise 3 · the ridge
# ●○○ · 3 minutes
#
# From a data sheet: the peak in TFLOP/s, the memory bandwidth in GB/s. From how many FLOP per byte on does the peak
# decide?


# %% id="q3" tags=["exercise"] exercise="ch00.q3"
def ridge_intensity(peak_tflop_per_s, bandwidth_gb_per_s):
    """FLOP per byte."""
    ### BEGIN SOLUTION
    return peak_tflop_per_s * 1e12 / (bandwidth_gb_per_s * 1e9)
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch00.q3"
check("ch00.q3", ridge_intensity)

# %% [markdown] id="q3-hint" exercise="ch00.q3"
# <details><summary>Hint</summary>
#
# At the ridge, intensity × bandwidth = peak. Tera is 10¹², giga 10⁹.
# </details>

# %% [markdown] id="q3-solution" exercise="ch00.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q4-card" exercise="ch00.q4"
# ### Exercise 4 · under both roofs
# ●●○ · 4 minutes
#
# How many TFLOP/s can a kernel with this intensity (FLOP per byte) reach at most?


# %% id="q4" tags=["exercise"] exercise="ch00.q4"
def attainable_tflop_per_s(intensity, peak_tflop_per_s, bandwidth_gb_per_s):
    """TFLOP/s."""
    ### BEGIN SOLUTION
    memory_tflop_per_s = intensity * bandwidth_gb_per_s / 1000
    return min(peak_tflop_per_s, memory_tflop_per_s)
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch00.q4"
check("ch00.q4", attainable_tflop_per_s)

# %% [markdown] id="q4-hint" exercise="ch00.q4"
# <details><summary>Hint</summary>
#
# FLOP per byte × GB/s is in GFLOP/s. The lower of two roofs is the one that you hit your head on.
# </details>

# %% [markdown] id="q4-solution" exercise="ch00.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="explorer"
# ## 6. Move it yourself
#
# A layer of 4096 × 4096 and a number of sequences that are served together, the **batch**. Decode takes one token of
# each at once, prefill all tokens of their prompts. How many bytes does a weight take, and which chip is it? (Weights
# of 8 and 4 bits are unpacked on the way; the products are still in 16 bits.)


# %% id="explorer-compute"
def under_the_roof(batch, prompt, weight_bytes, chip):
    peak, bandwidth, note = chips[chip](weight_bytes)
    at = [
        roofline.linear_intensity_flop_per_byte(tokens, 4096, 4096, weight_bytes, max(2, weight_bytes))
        for tokens in (batch, batch * prompt)
    ]
    speeds = roofline.attainable_flop_per_s(at, peak, bandwidth)
    decode, prefill = 100 * speeds / peak
    title = f"{chip}: decode reaches {decode:.3g} % of the peak, prefill {prefill:.3g} %"
    return View(
        title, (roof(chip, peak, bandwidth), Points("layer", at, speeds, ["decode", "prefill"])), note
    )


# %% id="explorer-chips"
def of_catalog(name):
    one = accelerator(name)
    half = one.bf16_flop_per_s or one.fp16_flop_per_s
    note = published("the maker's data sheet", one.as_of)
    return lambda size: (one.fp32_flop_per_s if size == 4 else half, one.bandwidth_bytes_per_s, note)


chips = {name: of_catalog(name) for name in ("T4", "L4", "RTX 4090", "A100 SXM 80GB", "H100 SXM", "MI300X")}
chips["here"] = lambda size: (peak["fp32" if size == 4 else "bf16"], bandwidth, measured_here())

# %% id="explorer-show"
explorer(
    under_the_roof,
    {
        "batch": Slider(1, 1, 1024, log=True, label="sequences at once"),
        "prompt": Slider(512, 1, 8192, log=True, unit="tokens", label="prompt"),
        "weight_bytes": Choice(2, {"fp32": 4, "bf16": 2, "8 bits": 1, "4 bits": 0.5}, label="weights"),
        "chip": Choice("H100 SXM", list(chips), label="chip"),
    },
    Chart(**axes),
)

# %% [markdown] id="explorer-questions"
# Try: how many sequences at once does an H100 need before its arithmetic is the limit of decode? How many with 4-bit
# weights? And a T4? Until then, one sequence more costs next to nothing.

# %% [markdown] id="map"
# ## 7. The course
#
# {{course_map}}
#
# Minutes are yours, with the exercises; memory is the peak of a run from top to bottom. Chapters build on each other a
# little, and each runs on its own.

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Tokens/s of one sequence ≤ bandwidth / bytes of weights | each token reads every weight once |
# | Warm up, synchronise, repeat | the first call pays for others, and a GPU returns before it is done |
# | Median with an interval | a late call moves the mean, not the median |
# | Take turns; no winner while the ratio's interval holds 1 | the machine changes under you |
# | Compare intensity with the ridge | left of it buy bandwidth or move fewer bytes, right of it buy arithmetic |
# | A ceiling is not a measurement | the software in between decides how near you come |

# %% [markdown] id="sources"
# ## Sources
#
# - Roofline: Williams, Waterman, Patterson, "Roofline: An Insightful Visual Performance Model for Multicore
#   Architectures", Communications of the ACM 52(4), 2009.
# - Streams: John McCalpin, "Memory Bandwidth and Machine Balance in Current High Performance Computers", IEEE TCCA
#   Newsletter, 1995.
# - Medians and intervals: Jean-Yves Le Boudec, *Performance Evaluation of Computer and Communication Systems*, EPFL
#   Press, 2010, chapter 2; Hoefler and Belli, "Scientific Benchmarking of Parallel Computing Systems", SC 2015.
# - Chips: `data/accelerators.csv`, a source and a date in each row; read 2026-11.
