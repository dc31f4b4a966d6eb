# ---
# course:
#   title: "Lab: benchmark and test"
#   minutes: 150
#   tier: cpu
#   memory_mb: 1800
#   seconds: 120
# ---

# %% [markdown] id="objectives"
# Everything comes together here. You choose how to compress a model, measure what each way costs and what it loses,
# and recommend one under limits that are yours alone. The recommendation is graded: it has to follow from your
# samples. After this chapter you can:
#
# 1. plan an experiment before you run it: what stays fixed, what is compared with what, what would convince you;
# 2. run a benchmark that can be interrupted, repeated, and checked by others;
# 3. read an interval, and say "as good" only where you have shown it;
# 4. average speed-ups, times and perplexities without fooling yourself;
# 5. turn seconds into dollars and kilowatt-hours, utilization included;
# 6. draw a front, and recommend a point on it under limits, or say which limit can't be kept.

# %% id="imports"
import numpy as np
import pandas as pd

from course_utils.catalog import assumed, measured_here, predicted
from course_utils.decide import benchmark
from course_utils.decide.benchmark import capstone, choosing, pareto, variants
from course_utils.estimate.predict import predict
from course_utils.explore import Bars, Chart, Choice, Points, Slider, View, explorer, show
from course_utils.grading import check
from course_utils.measure.scores import paired

# %% [markdown] id="plan"
# ## 1. The plan comes first
#
# A benchmark without a plan measures whatever was easy. Write the plan down before the first number is there, because
# afterwards you will know which plan suits your favourite.
#
# | Question | In this lab |
# |---|---|
# | What is decided with it? | which form of a model to serve, under limits on quality, time and memory |
# | What varies? | the weights' form: bits, method, kernel. One thing at a time |
# | What stays fixed? | the text, its windows, prompt and batch sizes, one thread, the machine, the versions |
# | Compared with what? | fp32, on the *same* windows of text: pairs |
# | Warm-up? | the first call loads code and fills caches. It is dropped |
# | How often? | 24 windows of text; seven samples of a time. Enough to see 1 % of perplexity, not 0.1 % |
# | Which number of many? | the median, with an interval. Never the best |
# | What runs beside it? | quality: another variant. Timings: nothing |
# | What would change your mind? | the prediction that you write down now |

# %% [markdown] id="q1-card" exercise="ch12.q1"
# ### Exercise 1 · which number of many
# ●○○ · 4 minutes
#
# `samples_s` holds times in the order they were taken. The first `warmup` of them were warm-up. Return the median of
# the others.


# %% id="q1" tags=["exercise"] exercise="ch12.q1"
def typical_s(samples_s, warmup):
    """Seconds."""
    ### BEGIN SOLUTION
    return float(np.median(samples_s[warmup:]))
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch12.q1"
check("ch12.q1", typical_s)

# %% [markdown] id="q1-hint" exercise="ch12.q1"
# <details><summary>Hint</summary>
#
# Drop first, then sort. With an even number of samples the median lies between the two in the middle.
# </details>

# %% [markdown] id="q1-solution" exercise="ch12.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="variants"
# ## 2. What is measured
#
# A variant is a *method* that chooses the codes and a *kernel* that multiplies them. Quality depends on the first,
# time and memory on the second. Where no kernel multiplies such codes, they are unpacked to 16 bits when the model is
# loaded. Any name works: a method (`rtn`, `gptq`, `awq`), bits (2, 3, 4, 8) and perhaps a group, as in `gptq4-g128`.

# %% id="variants-choose"
SEED = 54  # the number that your instructor gave you: it draws your calibration text and your task
CHOSEN = benchmark.USUAL  # or names of your own, at least five
columns = {
    name: [one.what, one.served_as, "yes" if one.unpacked else ""]
    for name, one in ((one.name, one) for one in variants.chosen(CHOSEN))
}
pd.DataFrame(columns, index=["what", "runs as", "unpacked to 16 bits"]).T

# %% [markdown] id="two-models"
# Two models stand in for the one that you would serve. **Quality** is measured on the tiny model of the course, which
# was trained: perplexity on passages of the Python language reference. **Time and memory** are measured on random
# weights at real widths, two layers of 2,048 channels: random weights take as long as trained ones, and the tiny
# model's matrices are so small that fewer bits would make them *slower*. Neither figure is that of the model you
# will serve. The ranking often carries over; measure again on your own model before you sign.
#
# **Predict.** Write down three numbers before you run the next cell: how many times as fast as fp32 does a token come
# with 4-bit codes? How much perplexity do GPTQ's 4 bits cost, in percent? And GPTQ's 3 bits?

# %% id="run"
run = benchmark.run(CHOSEN, "benchmark.csv", seed=SEED)
table = benchmark.summary(run)
reference = table.loc["fp32"]
print(f"{len(run.samples)} samples of {len(run.variants)} variants, on {run.environment}")
for name, reason in run.left_out.items():
    print(f"left out: {name}, because {reason}")

# %% [markdown] id="run-meaning"
# Interrupt it and run it again: it goes on where it stopped, because each finished measurement is a line of a partial
# file. `backend="ray"` sends the same jobs to a Ray cluster. The losses will be the same on the next run with your
# seed; the seconds won't. This is the file, one sample a row, with all that it depends on:

# %% id="run-file"
run.samples.groupby("quantity").head(1)[["variant", "quantity", "value", "unit", "model", "setting", "seed"]]

# %% [markdown] id="quality"
# ## 3. Look at it
#
# ### Quality
#
# **Predict.** Which variants lose so little that you would call them as good as fp32, if 2 % more perplexity is what
# you would still accept?

# %% id="quality-figure"
MARGIN = 0.02
close = table.drop("fp32").nsmallest(8, "change")
within = [name for name in close.index if run.change(name).within(MARGIN)]
title = (
    f"{len(within)} of {len(table) - 1} variants are shown to stay within {MARGIN:.0%}: {', '.join(within)}"
)
values = [(100 * close[column]).tolist() for column in ("change", "change_lo", "change_hi")]
far = ", ".join(f"{name} {row.change:+.0%}" for name, row in table.drop(["fp32", *close.index]).iterrows())
note = f"{measured_here()}, paired 95 % intervals over 24 windows; off this scale: {far or 'none'}"
show(View(title, Bars("", [*close.index], *values), note), Chart("", "perplexity against fp32's (%)"))

# %% [markdown] id="quality-meaning"
# An interval is what the data can't rule out. A bar whose interval ends below 2 % is shown to be good enough. One that
# crosses 2 % may be or may not be: more windows would tell. And an interval that holds 0 does *not* prove that
# nothing is lost; it only failed to show a loss. With two windows of text, everything would hold 0.
#
# **Predict.** Perplexity differs a lot from window to window. How many times wider were the intervals, if we compared
# two means without pairing the windows?

# %% id="pairing-figure"
names = [*close.index]
scores = {name: run.perplexity(name) for name in ("fp32", *names)}
spread = {name: np.std(one.per_block, ddof=1) / np.sqrt(len(one.per_block)) for name, one in scores.items()}
apart = [200 * np.hypot(spread[name], spread["fp32"]) for name in names]
together = [
    50 * (paired(scores[name], scores["fp32"]).hi - paired(scores[name], scores["fp32"]).lo) for name in names
]
times = np.median(np.divide(apart, together))
bars = (Bars("windows unpaired", names, apart), Bars("windows paired", names, together))
title = f"Pairing the windows makes an interval {times:.0f} times as narrow, for nothing"
show(View(title, bars, f"{measured_here()}; half a 95 % interval"), Chart("", "uncertainty (%)"))

# %% [markdown] id="pairing-meaning"
# To be as sure without pairs, you would need the square of that factor as many windows. The same holds for times: take
# turns, and compare within a turn (chapter 00).

# %% [markdown] id="q2-card" exercise="ch12.q2"
# ### Exercise 2 · in pairs
# ●●● · 10 minutes
#
# `reference` and `variant` hold the loss (nats a token) of the same windows, in the same order. Return
# `[low, middle, high]` of the change in perplexity, as fractions of the reference's, with an interval of two standard
# errors of the mean to either side.


# %% id="q2" tags=["exercise"] exercise="ch12.q2"
def paired_change(reference, variant):
    """Three fractions: 0.01 is 1 % more perplexity."""
    ### BEGIN SOLUTION
    differences = np.subtract(variant, reference)
    middle, half = differences.mean(), 2 * differences.std(ddof=1) / np.sqrt(len(differences))
    return np.expm1([middle - half, middle, middle + half]).tolist()
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch12.q2"
check("ch12.q2", paired_change)

# %% [markdown] id="q2-hint" exercise="ch12.q2"
# <details><summary>Hint</summary>
#
# Subtract window by window, then take mean and standard deviation (with n − 1) of the differences. A difference of
# losses is the logarithm of a ratio of perplexities.
# </details>

# %% [markdown] id="q2-solution" exercise="ch12.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q3-card" exercise="ch12.q3"
# ### Exercise 3 · what may be said
# ●●○ · 6 minutes
#
# An interval of a change runs from `low` to `high`, and a change of `margin` would matter. Return `"worse"` or
# `"better"` if it surely is by more than the margin, `"as good"` if it surely lies within the margin, and
# `"can't tell"` otherwise. An end that lies exactly on the margin is neither within nor beyond.


# %% id="q3" tags=["exercise"] exercise="ch12.q3"
def verdict(low, high, margin):
    """A word or two."""
    ### BEGIN SOLUTION
    if low > margin:
        return "worse"
    if high < -margin:
        return "better"
    return "as good" if -margin < low and high < margin else "can't tell"
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch12.q3"
check("ch12.q3", verdict)

# %% [markdown] id="q3-hint" exercise="ch12.q3"
# <details><summary>Hint</summary>
#
# Draw the margin to both sides of zero, and the interval over it. "Surely" means: all of the interval.
# </details>

# %% [markdown] id="q3-solution" exercise="ch12.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q4-card" exercise="ch12.q4"
# ### Exercise 4 · two vocabularies
# ●●○ · 5 minutes
#
# Perplexity is per token, and models cut text into tokens of their own: a small vocabulary has more, easier tokens.
# So perplexities at different vocabularies (or lengths of context) can't be compared. Bits per byte of text can.
# A text of `text_bytes` bytes has `tokens` tokens and the given `perplexity`. Return the bits per byte.


# %% id="q4" tags=["exercise"] exercise="ch12.q4"
def bits_per_byte(perplexity, tokens, text_bytes):
    """Bits."""
    ### BEGIN SOLUTION
    return np.log2(perplexity) * tokens / text_bytes
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch12.q4"
check("ch12.q4", bits_per_byte)

# %% [markdown] id="q4-hint" exercise="ch12.q4"
# <details><summary>Hint</summary>
#
# How many bits does a token cost? And all tokens of the text?
# </details>

# %% [markdown] id="q4-solution" exercise="ch12.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="speed"
# ### Time
#
# A prompt is many tokens at once: arithmetic. A further token reads all weights for one: memory. So a format can be
# fast at one and slow at the other.
#
# **Predict.** Which form gives the first token soonest, and which the next ones?

# %% id="speed-figure"
forms = table.drop_duplicates("served_as").set_index("served_as").drop("fp32")
ratios = {
    words: [reference[column] / forms[f"{column}{end}"] for end in ("", "_hi", "_lo")]
    for column, words in (("ttft_s", "first token"), ("tpot_s", "next tokens"))
}
best = {words: one[0].idxmax() for words, one in ratios.items()}
same = len(set(best.values())) == 1
title = f"{best['first token']} is fastest at both" if same else ""
title = (
    title or f"{best['first token']} is fastest at the prompt, {best['next tokens']} at the tokens after it"
)
bars = [Bars(words, [*forms.index], *(part.tolist() for part in one)) for words, one in ratios.items()]
note = f"{measured_here()}, one thread; 95 % intervals of the median, or what few samples allow; fp32 is 1"
show(View(title, bars, note), Chart("", "speed against fp32 (times)"))

# %% [markdown] id="speed-meaning"
# There are fewer bars than variants: RTN, GPTQ and AWQ store the same kind of codes and run on the same kernel. The
# kernels differ by machine more than the formats do. Without 16-bit arithmetic in the chip, bf16 computes more slowly
# than fp32; a kernel that has to unpack its codes first, for each token, loses everything that it saved. Wide intervals
# mean that something else was running, or that a slow kernel had time for a few samples only.

# %% [markdown] id="q5-card" exercise="ch12.q5"
# ### Exercise 5 · twice as fast on average
# ●●○ · 5 minutes
#
# The same requests took `before_s` and then `after_s` seconds, in the same order. Return by what factor all of them
# together became faster.


# %% id="q5" tags=["exercise"] exercise="ch12.q5"
def speedup(before_s, after_s):
    """Times as fast."""
    ### BEGIN SOLUTION
    return sum(before_s) / sum(after_s)
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch12.q5"
check("ch12.q5", speedup)

# %% [markdown] id="q5-hint" exercise="ch12.q5"
# <details><summary>Hint</summary>
#
# One request of 10 s that didn't change, and one of 1 s that is now four times as fast. How long do both take?
# </details>

# %% [markdown] id="q5-solution" exercise="ch12.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="memory"
# ### Memory
#
# **Predict.** GPTQ's 3-bit file is a quarter smaller than its 4-bit file. Which of the two needs less memory while it
# serves?

# %% id="memory-figure"
served = table[table.index != "half-mlp"].sort_values("file_bytes", ascending=False)
bars = (
    Bars("file", [*served.index], (served.file_bytes / 1e6).tolist()),
    Bars("in use while serving", [*served.index], (served.memory_bytes / 1e6).tolist()),
)
smallest, leanest = served.file_bytes.idxmin(), served.memory_bytes.idxmin()
title = f"{smallest} is the smallest file, {leanest} needs the least memory"
title = title if smallest != leanest else f"{leanest} is the smallest in both"
note = (
    f"file: derived from measured bits per weight; in use: {measured_here()}, weights, cache and activations"
)
show(View(title, bars, note), Chart("", "MB"))

# %% [markdown] id="memory-meaning"
# A file is what you download. In use is what you pay for by the hour. Codes without a kernel, and zeros without one,
# are unpacked: they save the download and nothing else. What is in use beyond the weights are activations, the cache
# of eight sequences, and the kernel's own copies.

# %% [markdown] id="money"
# ### Money and energy
#
# A machine costs by the hour. What a token costs depends on how many it makes in that hour, and on how many of them
# somebody wanted. The hour's price and its watts are assumptions here: put in yours.

# %% id="money-figure"
USD_PER_HOUR, UTILIZATION, WATTS = 0.10, 0.4, 30  # two cores of a cloud machine, busy 40 % of the time
costs = benchmark.priced(table, USD_PER_HOUR, UTILIZATION, WATTS)
shown = costs.drop_duplicates("served_as").set_index("served_as").sort_values("usd_per_mtok")
values = [shown[f"usd_per_mtok{end}"].tolist() for end in ("", "_lo", "_hi")]
cheapest, dearest = shown.index[0], shown.index[-1]
title = f"With {dearest} a token costs {values[0][-1] / values[0][0]:.0f} times as much as with {cheapest}"
kwh = shown.kwh_per_mtok.iloc[0]
note = f"speed {measured_here()}; {USD_PER_HOUR:.2f} USD/h, {UTILIZATION:.0%} busy, {WATTS} W {assumed()}; "
note += f"{cheapest}: {kwh:.1f} kWh/Mtok"
show(View(title, Bars("", [*shown.index], *values), note), Chart("", "USD per million tokens"))

# %% [markdown] id="money-meaning"
# These are prices of the two layers that were timed. A whole model has more layers and costs as many times more, but
# the ratios stay about the same. A GPU is another machine with other kernels, so its ratios are its own.
#
# **Predict.** On a rented L4 with 16 users at once: are 4 bits cheaper than 8? Here is what the calculator of chapter
# 02 says:

# %% id="gpu-figure"
levels = {"16 bits": "bf16", "8 bits": "int8", "4 bits": "int4"}
load = {"isl": 1000, "osl": 200, "load": "concurrency=16"}
gpu = [predict("Llama-3.1-8B", "L4", precision_name=name, **load) for name in levels.values()]
usd, low, high = ([getattr(one, f"usd_per_mtok_out{end}") for one in gpu] for end in ("", "_lo", "_hi"))
title = f"On an L4, 4 bits would cost {usd[2] / usd[0]:.0%} of what 16 bits cost"
note = f"Llama-3.1-8B, 16 at once, always busy; {predicted(low[2], high[2], 'USD')} for 4 bits; cheapest rent"
show(View(title, Bars("", [*levels], usd, low, high), note), Chart("", "USD per million output tokens"))

# %% [markdown] id="gpu-meaning"
# With 16 sequences in a step the chip computes a good deal for each weight that it reads. Eight-bit weights are
# multiplied as they are; four-bit ones have to be unpacked to 16 bits first. Fewer bits are cheaper where reading is
# what takes the time, and not beyond. The intervals overlap: rent one for an hour and measure before you decide.

# %% [markdown] id="q6-card" exercise="ch12.q6"
# ### Exercise 6 · the price of a token
# ●●○ · 5 minutes
#
# A machine costs `usd_per_hour`. A step takes `step_s` seconds and gives one token to each of `batch` sequences. It
# is busy `utilization` of the time (0 to 1), and paid for all of it. Return USD per million tokens.


# %% id="q6" tags=["exercise"] exercise="ch12.q6"
def usd_per_mtok(usd_per_hour, step_s, batch, utilization):
    """USD."""
    ### BEGIN SOLUTION
    tokens_per_hour = batch / step_s * 3600 * utilization
    return usd_per_hour / tokens_per_hour * 1_000_000
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch12.q6"
check("ch12.q6", usd_per_mtok)

# %% [markdown] id="q6-hint" exercise="ch12.q6"
# <details><summary>Hint</summary>
#
# How many tokens does an hour give to somebody who wanted them?
# </details>

# %% [markdown] id="q6-solution" exercise="ch12.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="pareto"
# ## 4. The front
#
# A variant is **beaten** if another is no worse in anything and better in something. What nobody beats is the
# **Pareto front**: on it, you get more of one thing only by giving up another. With samples there is a second
# question: is it *shown* that one beats the other, or do their intervals overlap?
#
# **Predict.** In quality, memory and price together: how many of your variants are on the front?

# %% id="pareto-front"
QUANTITIES = ["change", "memory_bytes", "usd_per_mtok"]
front = pareto.front({name: row[QUANTITIES].tolist() for name, row in costs.iterrows()})
beaten = pareto.shown_dominators(costs, QUANTITIES)
for name in costs.index:
    words = "on the front" if name in front else "beaten, but not shown to be"
    print(f"{name:9} {'beaten by ' + ', '.join(beaten[name]) if beaten[name] else words}")


# %% id="pareto-cloud"
def cloud(rows, series, x, mark="{}"):
    """Points of some variants: what they lose, with its interval, over column `x`; under 0.1 % all are the same."""
    y, low, high = ((100 * rows[f"change{end}"]).clip(lower=0.1).tolist() for end in ("", "_lo", "_hi"))
    return Points(series, rows[x], y, [mark.format(name) for name in rows.index], low, high)


# %% id="pareto-figure"
in_mb = costs.assign(memory_mb=costs.memory_bytes / 1e6)
clouds = [cloud(in_mb.loc[[*front]], "on the front", "memory_mb", "{} (front)")]
if len(rest := in_mb.drop([*front])):
    clouds.append(cloud(rest, "beaten", "memory_mb"))
title = f"{len(front)} of {len(costs)} variants are on the front: {', '.join(front)}"
note = f"{measured_here()}, 95 % intervals; front in quality, memory and price; under 0.1 % is drawn at 0.1 %"
show(View(title, clouds, note), Chart("memory in use (MB)", "perplexity above fp32's (%)", y_scale="log"))

# %% [markdown] id="pareto-meaning"
# The front depends on what you count. Leave memory out, and int8 may beat 4 bits; leave quality out, and the fastest
# kernel wins, whatever it loses. A variant that is off the front is never the answer, whatever your limits are, as long
# as you measured the right quantities. "Beaten, but not shown to be" is an order for more samples, not a verdict.

# %% [markdown] id="q7-card" exercise="ch12.q7"
# ### Exercise 7 · who is beaten
# ●●○ · 7 minutes
#
# `points` maps names to tuples of quantities, all better when smaller. Return the names that beat `name`, sorted: no
# larger in anything, smaller in something.


# %% id="q7" tags=["exercise"] exercise="ch12.q7"
def beaten_by(points, name):
    """A sorted list of names."""
    ### BEGIN SOLUTION
    mine = points[name]
    return sorted(
        other
        for other, theirs in points.items()
        if all(t <= m for t, m in zip(theirs, mine, strict=True)) and theirs != mine
    )
    ### END SOLUTION


# %% id="q7-check" tags=["check"] exercise="ch12.q7"
check("ch12.q7", beaten_by)

# %% [markdown] id="q7-hint" exercise="ch12.q7"
# <details><summary>Hint</summary>
#
# Compare quantity by quantity: `all(...)` for "no larger", and one more condition, so that twins don't beat each other.
# </details>

# %% [markdown] id="q7-solution" exercise="ch12.q7"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="explorer"
# ## 5. Under limits
#
# A front has several points, and you can serve one. Limits decide: what must hold, before anything is cheap. Quality is
# held to the *upper* end of its interval: what you couldn't rule out may be true.


# %% id="explorer-compute"
AXES = {
    "price": "usd_per_mtok",
    "memory": "memory_bytes",
    "time per token": "tpot_s",
    "energy": "kwh_per_mtok",
}


def choose(budget, memory_mb, tpot_share, utilization, against):
    now = benchmark.priced(table, USD_PER_HOUR, utilization / 100, WATTS)
    _, unit, scale = choosing.LIMITABLE[AXES[against]]
    now["x"] = scale * now[AXES[against]]
    limits = {"change_hi": budget / 100, "memory_bytes": memory_mb * 1e6}
    limits["tpot_s"] = tpot_share / 100 * reference.tpot_s
    found = benchmark.recommend(now, limits)
    parts = {"chosen": ([found.variant], "{} (chosen)"), "breaks a limit": ([*found.dropped], "✗ {}")}
    parts["keeps them"] = [*found.beaten], "{}"
    series = [cloud(now.loc[names], words, "x", mark) for words, (names, mark) in parts.items() if names]
    usd = now.usd_per_mtok[found.variant]
    title = f"{found.variant}: {usd:.2f} USD/Mtok; {len(found.beaten)} others keep the limits"
    return View(title, series, f"across: {against} ({unit}); {measured_here()}; hour and watts {assumed()}")


# %% id="explorer-show"
explorer(
    choose,
    {
        "budget": Slider(2.0, 0.1, 60, log=True, unit="%", label="perplexity may rise by"),
        "memory_mb": Slider(400, 50, 800, 10, unit="MB", label="memory at most"),
        "tpot_share": Slider(100, 10, 300, 5, unit="%", label="time per token, of fp32's"),
        "utilization": Slider(40, 5, 100, 5, unit="%", label="busy"),
        "against": Choice("price", [*AXES], label="across"),
    },
    Chart("what it costs", "perplexity above fp32's (%)", y_scale="log"),
    moving="budget",
)

# %% [markdown] id="explorer-questions"
# Try: at which budget does 3 bits become the answer, if ever? Why not? Which limit makes int8 lose to 4 bits? Halve the
# utilization: does the choice change, or only the bill? Set limits that nothing keeps, and read the sentence.
#
# The same as a call. It says what it chose and why each other variant lost:

# %% id="recommend-call"
try:
    print(benchmark.recommend(costs, {"change_hi": 0.02, "memory_bytes": 400e6, "tpot_s": reference.tpot_s}))
    benchmark.recommend(costs, {"change_hi": 0.0001, "memory_bytes": 200e6})
except benchmark.Impossible as no:
    print(f"\n{no}")

# %% [markdown] id="capstone"
# ## 6. Your recommendation
#
# This is your task. Another seed gives another one.

# %% id="capstone-task"
task = capstone.task(SEED)
limits = task.limits(table)
print(task)
print(limits)

# %% [markdown] id="capstone-card" exercise="ch12.capstone"
# ### Capstone · defend it
# ●●● · 30 minutes
#
# Write the function that recommends. `rows` is a list of dicts with `variant`, `change`, `change_hi`, `tpot_s`,
# `memory_bytes` and `tokens_per_s`; `limits` maps some of these names to the largest value allowed. Return a list with
# `[variant, usd_per_mtok, over, verdict]` for each row, in the order of `rows`:
#
# - `usd_per_mtok`: at `usd_per_hour`, busy `utilization` of the time;
# - `over`: the largest value / limit over all limits (1 or less keeps them all);
# - `verdict`: `"chosen"` for the cheapest that keeps all limits (of equally cheap ones the one with the least
#   `change_hi`); `"dearer"` for the others that keep them; for the rest the name of the limit that is broken worst. If
#   nothing keeps all limits, then `"nearest"` for the one with the smallest `over`, and the broken limit for the rest.
#
# The check below tries it on tables that you haven't seen. Then it is applied to your own run, and the table is
# written beside your CSV. Both files are what you hand in: your marks come from your samples, computed anew. (Where
# the run was replayed, nothing was measured with your seed: then this last part needs a machine with torch.)


# %% id="capstone-answer" tags=["exercise"] exercise="ch12.capstone"
def recommendation(rows, limits, usd_per_hour, utilization):
    """A row [variant, usd_per_mtok, over, verdict] for each variant."""
    ### BEGIN SOLUTION
    answer, quality = [], {row["variant"]: row["change_hi"] for row in rows}
    for row in rows:
        usd = usd_per_hour / (row["tokens_per_s"] * 3600 * utilization) * 1_000_000
        over = {name: row[name] / limit for name, limit in limits.items()}
        worst = max(over, key=over.get)
        answer.append([row["variant"], usd, over[worst], "dearer" if over[worst] <= 1 else worst])
    fine = [line for line in answer if line[3] == "dearer"]
    column, word = (1, "chosen") if fine else (2, "nearest")
    min(fine or answer, key=lambda line: (line[column], quality[line[0]]))[3] = word
    return answer
    ### END SOLUTION


# %% id="capstone-check" tags=["check"] exercise="ch12.capstone"
check("ch12.capstone", recommendation)

# %% [markdown] id="capstone-hint" exercise="ch12.capstone"
# <details><summary>Hint</summary>
#
# First the two numbers and the worst limit of each row, as if there were no others. Then look at all rows: which keep
# everything? Of those the cheapest; and if there are none, the smallest `over`.
# </details>

# %% [markdown] id="capstone-solution" exercise="ch12.capstone"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% id="capstone-table"
print(capstone.submit(recommendation, run, task, "capstone.csv"))
print(capstone.assess("benchmark.csv", "capstone.csv", SEED))

# %% [markdown] id="capstone-defend"
# Three questions that whoever pays will ask. Answer them in your own words, in a cell below this one:
#
# 1. What happens to your choice if the interval's upper end comes true?
# 2. Which one more measurement would be most likely to change it?
# 3. Which of your numbers were measured, which derived, which assumed, and which of the assumed ones decides?

# %% [markdown] id="outro"
# ## 7. The end of the unit, and next week
#
# You can now say what a language model costs before it runs, measure what it costs when it does, make it smaller and
# show what that lost, keep what needn't be computed twice, size a fleet for its traffic, and choose between renting,
# owning and asking somebody else. And you can say of each number whether it was measured, derived, sourced or assumed.
#
# Costs move every week: prices, traffic, models. A practice that keeps up fits into an hour:
#
# | When | What | From |
# |---|---|---|
# | Monday | the bill against the forecast: what explains the difference? | chapter 01 |
# | Monday | utilization, hit rates, goodput of last week | chapters 07 to 10 |
# | each change of model, kernel or driver | this lab, same seed, and the difference in pairs | chapter 12 |
# | each month | prices and terms; one candidate from the front tried on a tenth of the traffic | chapters 02, 11 |
# | each quarter | the plan anew, from the latest trace; assumptions replaced by measurements | chapter 11 |
#
# One thing this lab did not measure: *who* pays for the quality that was given up. Perplexity is a mean. A model that
# loses 1 % on average may lose 10 % in a language that few of your users write, or answer less safely while it costs
# less to run. Unit 6.1, responsible AI principles, begins there: with the same intervals, taken group by group.

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Plan, then predict, then measure | afterwards every result looks expected |
# | Same windows, pairs, one thing at a time | the text varies far more than the variants do |
# | Median after warm-up, with its interval | the best of n only says how long you tried |
# | "As good" needs a margin | an interval with zero in it may hold a disaster too |
# | Add seconds, then divide | a mean of ratios weighs a trifle like the bulk |
# | Perplexity only at one text, length and vocabulary | bits per byte for anything else |
# | Ask for the kernel | bits without one save the download, not time, not memory |
# | A token's price includes the idle hours | at 25 % utilization it costs four times as much |
# | Drop what is beaten, then apply limits, then cheapest | the order keeps you from paying for what you can't use |
# | Quality by the upper end | what you couldn't rule out may be true |
# | When nothing fits, name the limit | "7 % over on memory" is a decision that somebody can take |

# %% [markdown] id="sources"
# ## Sources
#
# - Medians with intervals from order statistics: Le Boudec, *Performance Evaluation of Computer and Communication
#   Systems*, 2010; twelve rules for reporting: Hoefler and Belli, SC 2015.
# - Showing that two things are as good: Schuirmann, *Journal of Pharmacokinetics and Biopharmaceutics* 15, 1987 (two
#   one-sided tests). Averages of ratios: Fleming and Wallace, *Communications of the ACM* 29, 1986.
# - Methods: Frantar et al., *GPTQ*, 2022; Lin et al., *AWQ*, 2023; Dettmers et al., *QLoRA*, 2023 (NF4); Sun et al.,
#   *Wanda*, 2023; Muralidharan et al., *Minitron*, 2024 (channels by their activations).
# - Text: the Python language reference (`pydoc_data.topics`) of this Python; the tiny model: `data/tiny_lm`, 2026.
# - Predictions for the L4: chapter 02's calculator; rent: `data/gpu_prices.csv`, read 2026-11.
