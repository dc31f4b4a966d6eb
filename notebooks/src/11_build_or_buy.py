# ---
# course:
#   title: Build or buy
#   minutes: 130
#   tier: cpu
#   memory_mb: 500
#   seconds: 60
# ---

# %% [markdown] id="objectives"
# You need answers from a model. You can buy them by the token, rent the machines, or let somebody run the machines for
# you. Each is right for somebody. After this chapter you can:
#
# 1. say from which traffic on a machine is cheaper than an API, and why the answer moves tenfold with one engineer;
# 2. work out what a token costs on a real day, with its peak, its nights and a spare machine;
# 3. find the costs that no price list has;
# 4. compare open and commercial models *at equal measured quality*, and say how equal that is;
# 5. tell what a reservation or a commitment is worth, and what a falling price does to it;
# 6. write a decision on one page: what to take, how sure that is, and what would have to be true for the other.
#
# Salaries, growth and teams are in no catalog. They are inputs here, each with a range, and **yours to change**.

# %% id="imports"
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils import decide, estimate
from course_utils.catalog import api_price, assumed, predicted, published
from course_utils.decide import inputs as wanted
from course_utils.decide import tco
from course_utils.explore import Bars, Chart, Line, Points, Slider, View, explorer, show
from course_utils.grading import check

pd.set_option("display.float_format", "{:,.6g}".format)

# %% [markdown] id="crossing"
# ## 1. Where the lines cross
#
# An API's bill rises with every request and starts at nothing. A machine's bill is flat: an hour costs the same
# whether anybody asks or not. So the lines cross somewhere, and that is the **break-even**.
#
# Here is the job: a chat with 1,155 tokens in and 211 out (the means of a published trace). Three ways to do it: a
# commercial model by the token, an open model by the token, and that same open model on a rented H100.

# %% id="crossing-prices"
commercial, open_model = api_price("o4-mini"), api_price("openai/gpt-oss-120b", "together")
chat = estimate.Usage(input_tokens=1155, output_tokens=211)
fast = estimate.predict.predict(
    "gpt-oss-120b", "H100 SXM", precision_name="mxfp4", isl=1155, osl=211, load="max"
)
rent_usd = 3.99  # an hour of one H100, 8 of them at Lambda, 2026-09-25
for price in (commercial, open_model):
    usd = estimate.request_cost(price, chat).total_usd
    print(
        f"{price.model:20} {1000 * usd:.3f} USD for 1,000 requests ({published(price.provider, price.as_of)})"
    )
speed = predicted(fast.out_tok_s_per_gpu_lo, fast.out_tok_s_per_gpu_hi, "tokens/s")
print(f"1 x H100 SXM         {fast.out_tok_s_per_gpu:,.0f} output tokens/s at full load, {speed}")

# %% [markdown] id="crossing-predict"
# By hand: the machine costs 3.99 × 730.5 = 2,915 USD a month. A request costs 0.0022 USD at the commercial API, and a
# month has 30.4 days.
#
# **Predict.** From how many requests a day on is the machine cheaper? And if somebody has to look after it, an
# engineer at 160,000 USD a year and 30 % on top?

# %% id="crossing-roads"
flat = np.ones(24)  # as many requests at night as at noon, for now
load = decide.Workload(1, chat, flat)
copy = decide.Replica(1, fast.out_tok_s_per_gpu, load_at_peak=1.0)
roads = {
    "commercial API": decide.Api("commercial API", commercial),
    "open model's API": decide.Api("open model's API", open_model),
    "H100, alone": decide.Hosted("H100, alone", copy, decide.Rent(rent_usd), spare=0),
    "H100 and an engineer": decide.Hosted(
        "H100 and an engineer", copy, decide.Rent(rent_usd), decide.Team(engineers=1), spare=0
    ),
}

# %% id="crossing-figure"
days = np.geomspace(3e3, 1e7, 120)
lines = [
    Line(
        name, days, [decide.cash_flow_of(road, decide.Workload(day, chat, flat), 1).total_usd for day in days]
    )
    for name, road in roads.items()
]
at = {
    (mine, theirs): decide.break_even_traffic(roads[mine], roads[theirs], load, 1).last_requests_per_day
    for mine in list(roads)[2:]
    for theirs in list(roads)[:2]
}
alone, staffed = (round(at[mine, "commercial API"], -3) for mine in list(roads)[2:])
title = f"The machine pays from {alone:,.0f} requests a day, staffed from {staffed:,.0f}"
note = f"prices {published('genai-prices, Lambda', commercial.as_of)}; speed predicted; people {assumed()}"
axes = {"x": "requests (per day)", "x_scale": "log", "y": "bill of a month (USD)", "y_scale": "log"}
show(View(title, lines, note), Chart(**axes))

# %% [markdown] id="crossing-meaning"
# Three things to see. The break-even is a property of *two* roads, and against the open model's API it lies seven times
# further out: a cheap API is hard to beat. The engineer moves it by another factor of seven, and no price list shows
# her. And the steps on the right are machines: they come in whole numbers.
#
# A machine of your own never competes with "the API". It competes with somebody else's machine, run by people who do
# nothing else.

# %% [markdown] id="q1-card" exercise="ch11.q1"
# ### Exercise 1 · break-even
# ●●○ · 6 minutes
#
# A machine costs `usd_per_hour` in all 730.5 hours of a month, and its people cost `people_usd` a month. An API takes
# prices per million tokens. Return the requests *a day* at which both cost the same. A month has 30.4375 days.


# %% id="q1" tags=["exercise"] exercise="ch11.q1"
def break_even(
    usd_per_hour, people_usd, input_tokens, output_tokens, input_usd_per_mtok, output_usd_per_mtok
):
    """Requests a day."""
    ### BEGIN SOLUTION
    request_usd = (input_tokens * input_usd_per_mtok + output_tokens * output_usd_per_mtok) / 1_000_000
    return (usd_per_hour * 730.5 + people_usd) / (request_usd * 30.4375)
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch11.q1"
check("ch11.q1", break_even)

# %% [markdown] id="q1-hint" exercise="ch11.q1"
# <details><summary>Hint</summary>
#
# What does the machine cost in a month, people included? What does one request a day cost in a month?
# </details>

# %% [markdown] id="q1-solution" exercise="ch11.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="shape"
# ## 2. Why utilization decides
#
# That was a day without a night. People sleep, and they ask at the same hours. Machines have to be there for the
# busiest hour, and are paid for in all the others. Also, nobody runs a machine at full load: queues would grow without
# end (chapter 09). And one more stands by, because machines fail.
#
# Below are three million requests a day whose busiest hour has 2.2 times the mean load.
#
# **Predict.** What share of what you pay for serves a token: 80, 50 or 25 %?

# %% id="shape-day"
peak = 2.2
day = decide.day_shape(peak)
busy = decide.Workload(3e6, chat, day)
planned = decide.Replica(1, fast.out_tok_s_per_gpu, load_at_peak=0.7)
own = decide.Hosted("own", planned, decide.Rent(rent_usd), spare=1)
copies = own.copies(busy, 1)[0]
used = own.utilization(busy, 1)[0]

# %% id="shape-figure"
hours = np.arange(24)
served = busy.per_second(1)[0] * chat.output_tokens / fast.out_tok_s_per_gpu
lines = (
    Line("held", hours, np.full(24, copies.max())),
    Line("needed, with room and a spare", hours, copies),
    Line("busy", hours, served),
)
title = f"{copies.max():.0f} machines held all day, {100 * used:.0f} % of what they could do asked for"
note = f"computed; speed predicted; day's shape, 70 % of full load and 1 spare {assumed()}"
show(View(title, lines, note), Chart("hour of the day", "machines"))

# %% [markdown] id="shape-cost"
# **Utilization** is tokens served over tokens that what is paid for could serve. It divides the price of a token, so
# it belongs into every comparison, and its natural value is far below 100 %.
#
# **Predict.** The machine makes 1,000 requests for about 9 cents if it never waits. At which utilization does it cost
# as much as the open model's API, 30 cents?

# %% id="shape-curve"
use = np.geomspace(0.02, 1, 60)
per_thousand = chat.output_tokens / 1000  # USD per million tokens to USD per 1,000 requests
ends = (fast.out_tok_s_per_gpu, fast.out_tok_s_per_gpu_hi, fast.out_tok_s_per_gpu_lo)
cost = [[per_thousand * estimate.self_hosted_usd_per_mtok(rent_usd, rate, u) for u in use] for rate in ends]
api = {p.model: 1000 * estimate.request_cost(p, chat).total_usd for p in (commercial, open_model)}
even = cost[0][-1] / api[open_model.model]

# %% id="shape-curve-figure"
yours = Points("this day", [used], [cost[0][-1] / used])
lines = [Line("H100 at 3.99 USD/h", use, *cost), yours]
lines += [Line(name, [use[0], 1], [usd, usd], dash=True) for name, usd in api.items()]
title = f"Against the open model's API the machine must be busy {100 * even:.0f} % of the time; "
title += f"on this day it is {100 * used:.0f} %"
note = f"band: predicted speed, 80 % interval; prices {published('genai-prices, Lambda', commercial.as_of)}; no people"
axes = {"x": "utilization", "x_scale": "log", "y": "1,000 requests (USD)", "y_scale": "log"}
show(View(title, lines, note), Chart(**axes))

# %% [markdown] id="shape-meaning"
# Before a single salary, three million requests a day on your own machines cost what they cost at the API. Whoever
# sells tokens has your peak at the same hour as somebody else's night, and a few per cent of spare machines instead of
# one in ten. That, and not magic, is why an API can be cheaper than the hour that you rent.
#
# Three ways to raise your own figure: work that can wait fills the valleys, extra machines by the hour carry the peak
# (section 6), and several products share one fleet. Your own log knows its shape:

# %% id="shape-log"
folder = Path(tempfile.mkdtemp())
log = estimate.read_log(estimate.write_sample_log(folder / "log.csv", rows=8000))  # or "my_log.csv"
mine = decide.workload_of_log(log)
print(f"{mine.requests_per_day:,.0f} requests a day, {mine.batch_share:.0%} in batches")
print(f"busiest hour of the week: {mine.shape.max():.1f} times the mean ({log.name}, made up: chapter 01)")
for share in (0, 0.25, 0.5):
    filled = decide.fill_valleys(day, share)
    print(f"if {share:.0%} of the load can wait, the peak is {filled.max():.2f} times the mean")

# %% [markdown] id="q2-card" exercise="ch11.q2"
# ### Exercise 2 · enough for the busiest hour
# ●●○ · 6 minutes
#
# `requests_per_day` come with `output_tokens` each; the busiest hour has `peak_to_mean` times the mean hour's load. A
# copy of the model makes `copy_tokens_per_s` at full load, and you plan for `load_at_peak` of it. Return how many
# copies to hold, `spare` ones included.


# %% id="q2" tags=["exercise"] exercise="ch11.q2"
def copies_needed(requests_per_day, output_tokens, peak_to_mean, copy_tokens_per_s, load_at_peak, spare):
    """A whole number."""
    ### BEGIN SOLUTION
    peak_tokens_per_s = requests_per_day / 86_400 * output_tokens * peak_to_mean
    return int(np.ceil(peak_tokens_per_s / (copy_tokens_per_s * load_at_peak))) + spare
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch11.q2"
check("ch11.q2", copies_needed)

# %% [markdown] id="q2-hint" exercise="ch11.q2"
# <details><summary>Hint</summary>
#
# Tokens per second in the mean hour, then in the busiest one. How many of them may one copy get?
# </details>

# %% [markdown] id="q2-solution" exercise="ch11.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q3-card" exercise="ch11.q3"
# ### Exercise 3 · what a token costs on a real day
# ●●● · 8 minutes
#
# `load_tokens_per_s` lists the load of each hour of a day. Enough copies for its busiest hour (at their full
# `copy_tokens_per_s`) and `spare` more are held all day, at `usd_per_hour` each. Return what a million output tokens
# cost.


# %% id="q3" tags=["exercise"] exercise="ch11.q3"
def day_usd_per_mtok(load_tokens_per_s, copy_tokens_per_s, usd_per_hour, spare):
    """USD per million output tokens."""
    ### BEGIN SOLUTION
    copies = int(np.ceil(max(load_tokens_per_s) / copy_tokens_per_s)) + spare
    day_usd = copies * usd_per_hour * len(load_tokens_per_s)
    day_tokens = sum(load_tokens_per_s) * 3600
    return day_usd / day_tokens * 1_000_000
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch11.q3"
check("ch11.q3", day_usd_per_mtok)

# %% [markdown] id="q3-hint" exercise="ch11.q3"
# <details><summary>Hint</summary>
#
# Work out the day's bill and the day's tokens apart from each other. An hour has 3,600 seconds.
# </details>

# %% [markdown] id="q3-solution" exercise="ch11.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="hidden"
# ## 3. The costs that no price list has
#
# Somebody builds it, somebody is woken at night, disks hold the weights, answers leave the data center, and all of it
# goes on for years. Here are the inputs of this chapter. Each has a range that holds the truth eight times in ten, and
# says who says so.

# %% id="hidden-inputs"
case = wanted.Inputs(
    requests_per_day=100_000
)  # change any of them: Inputs(requests_per_day=5_000, engineers=2)
case.table()

# %% [markdown] id="hidden-predict"
# The four roads: both APIs, the open model on an **endpoint** that a provider runs for you on an H100 of your own
# (3.99 USD an hour at Together, 7.00 at Fireworks), and on machines that you rent and run. Three years, growing by 4 %
# a month.
#
# **Predict.** On your own machines, how much of the money goes to chips: 80, 50 or 20 %?

# %% id="hidden-compare"
found = tco.compare(
    wanted.roads_of(case, commercial, open_model), case.workload(), case.months, case.discount_per_year
)
parts = found.parts_table()
parts.loc["total"] = parts.sum()
parts.map("{:,.0f}".format)

# %% id="hidden-figure"
groups = {
    "tokens or chips": ["fresh input", "output", "chips held"],
    "engineers": ["engineers"],
    "building it": ["build"],
    "on call": ["on call"],
    "gateway, monitoring": ["platform"],
    "disk and egress": ["disk", "egress"],
}
bars = [
    Bars(name, [*groups], [parts.loc[rows, name].sum() / 1000 for rows in groups.values()])
    for name in ("open model's API", "managed endpoint", "own machines")
]
chips = parts.loc["chips held", "own machines"] / parts.loc["total", "own machines"]
title = f"{100 * chips:.0f} % of the cost of your own machines is machines"
note = f"100,000 requests a day, three years, not discounted; published prices; people {assumed()}"
show(View(title, bars, note), Chart("", "cost of three years (thousand USD)"))

# %% [markdown] id="hidden-meaning"
# At this size you don't buy tokens, you buy attention. The endpoint rents the same chip for the same money, and costs
# half, because fewer people look after it. Networking and disks, which every list of hidden costs begins with, are
# too small to see: an answer is a kilobyte or so. They matter where answers are videos.
#
# A rented hour includes its electricity. For machines that you own it would be a line of its own, and wherever they
# stand they emit:

# %% id="hidden-energy"
chip_w = 700  # TDP of an H100 SXM
drawn = decide.power_share(used)
kwh = decide.energy_kwh_per_mtok(chip_w, fast.out_tok_s_per_gpu * used, drawn, decide.pue("AWS").pue)
busy_kwh = decide.energy_kwh_per_mtok(chip_w, fast.out_tok_s_per_gpu, pue=decide.pue("AWS").pue)
print(f"a million output tokens: {kwh:.2f} kWh at {used:.0%} utilization, {busy_kwh:.2f} kWh at full load")
rent_per_mtok = estimate.self_hosted_usd_per_mtok(rent_usd, fast.out_tok_s_per_gpu, used)
print(f"at 0.10 USD a kWh that is {kwh * 0.10:.3f} USD, beside {rent_per_mtok:.2f} USD of rent")
for place in ("Sweden", "Northern Virginia", "Poland"):
    row = next(one for one in decide.grids() if place in one.place)
    grams = decide.co2e_g_per_mtok(kwh, row.gco2e_per_kwh)
    print(f"  {row.place:24} {grams:6,.0f} g CO2e ({published('Electricity Maps', row.year)})")

# %% [markdown] id="hidden-energy-meaning"
# Idle chips draw power, too, so an idle fleet is dearer *and* dirtier per token. (TDP from the maker, PUE published by
# AWS; the draw at idle and in use, and the server around the chip, are assumed.)

# %% [markdown] id="quality"
# ## 4. Open or commercial, at equal measured quality
#
# "Open models are cheaper" and "open models are worse" are both heard. Neither means anything until two models are
# compared that score the same on the same test.
#
# **Predict.** Of two models with the same score, one open and one commercial, whose API is cheaper?

# %% id="quality-scores"
scores = {row.model: row for row in decide.published_quality("GPQA diamond")}
pairs = (("gpt-4o-mini", "Llama-3.1-70B"), ("o4-mini", "gpt-oss-120b"))
names = [name for pair in pairs for name in pair]
right = [scores[name].percent_right for name in names]
half = [scores[name].half_width for name in names]
listed = {
    "gpt-4o-mini": api_price("gpt-4o-mini"),
    "Llama-3.1-70B": api_price("meta-llama/Llama-3.3-70B-Instruct-Turbo", "together"),
    "o4-mini": commercial,
    "gpt-oss-120b": open_model,
}
cents = {name: 1000 * estimate.request_cost(listed[name], chat).total_usd for name in names}

# %% id="quality-figure"
low, high = ([r + side * h for r, h in zip(right, half, strict=True)] for side in (-1, 1))
gap = abs(right[2] - right[3])
title = (
    f"Two pairs that this test can't tell apart: {gap:.1f} points, where it resolves {2**0.5 * half[2]:.0f}"
)
note = f"published by the makers, {scores['gpt-oss-120b'].as_of} and before; bars: 95 % interval of 198 questions"
labels = [f"{name} ({'open' if scores[name].open else 'commercial'})" for name in names]
show(View(title, Bars("", labels, right, low, high), note), Chart("", "GPQA diamond, answered right (%)"))

# %% id="quality-prices"
factor = cents["Llama-3.1-70B"] / cents["gpt-4o-mini"], cents["o4-mini"] / cents["gpt-oss-120b"]
title = f"The open model costs {factor[0]:.1f} times as much in one pair, a {factor[1]:.0f}th in the other"
note = (
    f"{published('genai-prices', commercial.as_of)}; Llama 3.3 70B stands for 3.1; equal tokens {assumed()}"
)
show(View(title, Bars("", labels, [cents[name] for name in names]), note), Chart("", "1,000 requests (USD)"))

# %% [markdown] id="quality-meaning"
# So open isn't cheaper, and isn't dearer. What makes a token cheap is few active parameters (5 of gpt-oss-120b's 117
# billion), a busy fleet and competition. What *openness* buys is something else: several sellers of the same weights,
# who undercut each other, and the right to leave.
#
# And be honest about "equal". These scores are the makers' own. 198 questions resolve about 8 points between two
# models. A reasoning model that thinks twice as long sends twice the output tokens, which no price per token shows.
# Test both on *your* questions: chapter 03 says how many it takes.
#
# ### Two models for one job
#
# Most requests are easy. A **cascade** asks a small model first, checks its answer, and passes on what looks wrong. A
# **router** looks at the question and picks one model. In a cascade the requests that go on are paid twice.
#
# **Predict.** The small model costs a tenth of the large one. Which share may be passed on before the cascade costs as
# much as the large model alone: 50, 90 or 100 %?

# %% id="cascade-figure"
small, large, checking = 0.1, 1.0, 0.02  # of the large model's price
passed = np.linspace(0, 1, 51)
lines = (
    Line("cascade", passed, [decide.cascade_usd(small, large, share, checking) for share in passed]),
    Line("router", passed, [decide.routed_usd(small, large, share, checking) for share in passed]),
    Line("large model alone", [0, 1], [1, 1], dash=True),
)
most = decide.break_even_escalation(small, large, checking)
title = f"A cascade pays until {100 * most:.0f} % are passed on, a router nearly always"
note = f"computed; small model 0.1, check or router 0.02 of the large model's price {assumed()}"
show(View(title, lines, note), Chart("share that the large model answers", "cost (× the large model's)"))

# %% id="cascade-quality"
for caught, doubted in ((0.9, 0.05), (0.9, 0.3), (0.5, 0.05)):
    checker = decide.Checker(caught, doubted)
    share = decide.escalated_share(0.8, checker)
    answered = decide.cascade_right(0.8, checker, large_right_on_hard=0.6)
    usd = decide.cascade_usd(small, large, share, checking)
    what = f"catches {caught:.0%}, doubts {doubted:.0%} of right ones"
    print(f"{what}: {share:.0%} passed on, {answered:.1%} right, cost {usd:.2f}")
print(f"large model alone: {0.8 + 0.2 * 0.6:.1%} right, cost 1.00 ({assumed()})")

# %% [markdown] id="cascade-meaning"
# The check decides. One that misses half of the mistakes is cheap and makes worse answers; one that doubts everything
# pays for both models. What it catches is measured on labelled requests of yours, as in chapter 08, and a router needs
# the same: it has to know that a question is hard before anybody has tried it.

# %% [markdown] id="q4-card" exercise="ch11.q4"
# ### Exercise 4 · how many may be passed on
# ●●○ · 6 minutes
#
# Every request pays `small_usd` and `check_usd`; those passed on pay `large_usd` besides. The cascade is to cost
# `saving` (a share) less than the large model alone. Return the largest share that may be passed on.


# %% id="q4" tags=["exercise"] exercise="ch11.q4"
def most_passed_on(small_usd, large_usd, check_usd, saving):
    """From 0 to 1."""
    ### BEGIN SOLUTION
    # small + check + share * large <= (1 - saving) * large
    return 1 - saving - (small_usd + check_usd) / large_usd
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch11.q4"
check("ch11.q4", most_passed_on)

# %% [markdown] id="q4-hint" exercise="ch11.q4"
# <details><summary>Hint</summary>
#
# Write the mean cost of a request with an unknown share. What may it be at most?
# </details>

# %% [markdown] id="q4-solution" exercise="ch11.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="sizes"
# ## 5. The same company at three sizes
#
# A start-up with 2,000 requests a day, the same firm with 100,000, and with five million. Same product, same prices.
# The start-up's half an engineer does without a rota; the large firm has three engineers and five people on call.
#
# **Predict.** Which road is cheapest at each size? By what factor is the dearest dearer?

# %% id="sizes-compare"
sizes = {
    "2,000 a day": wanted.Inputs(requests_per_day=2000, engineers=0.5, on_call=0),
    "100,000 a day": case,
    "5 million a day": wanted.Inputs(requests_per_day=5e6, engineers=3, on_call=5, growth_per_month=0.02),
}
usd = {}
for size, one in sizes.items():
    three = tco.compare(
        wanted.roads_of(one, commercial, open_model), one.workload(), one.months, one.discount_per_year
    )
    usd[size] = {name: three.present_usd(name) for name in three.flows}
pd.DataFrame(usd).map("{:,.0f}".format)

# %% id="sizes-figure"
bars = [
    Bars(size, [*row], [value / min(row.values()) for value in row.values()]) for size, row in usd.items()
]
worst = {size: max(row, key=row.get) for size, row in usd.items()}
title = f"Small: {worst['2,000 a day']} are dearest. Large: the {worst['5 million a day']} is"
note = f"present cost of three years over the cheapest road's; people and growth {assumed()}"
show(View(title, bars, note), Chart("", "cost (× the cheapest road)", y_scale="log"))

# %% [markdown] id="sizes-meaning"
# The start-up would pay for people. The large firm would pay for tokens: the dear API costs six times as much as the
# cheap one, and more than twice as much as machines of its own. The same road is the worst for one and good for the
# other, so nobody can tell you what to take without your size.
#
# The open model's API wins everywhere in this comparison. So why does anybody take another road?
#
# ### Because not everything is money
#
# Some things are **constraints**: they are kept or not, at any price. Where may the data go? How long would it take to
# leave? What must a month not exceed? A constraint belongs into the comparison by name, not into somebody's mood.

# %% id="limits-compare"
choices = wanted.roads_of(case, commercial, open_model)  # each road's facts say who sees the data
limits = decide.Limits(regions=("own account",), max_month_usd=25_000)
bound = tco.compare(choices, case.workload(), case.months, case.discount_per_year, limits)
for name, broken in bound.broken.items():
    print(f"{name:18} {'; '.join(one.says for one in broken) or 'keeps every limit'}")

# %% id="limits-binding"
try:
    print(bound.winner.name)
except ValueError as nothing_left:
    print(nothing_left)

# %% [markdown] id="limits-meaning"
# No road is left, and the message says what stands in the way and by how much. Here it is the first month, in which
# the machines are set up. That is a question for whoever set the limit: 25,000 USD in *every* month, or on average? An
# impossible wish with a number on it can be negotiated.
#
# The same holds for prices. Ask for one that nobody has, and you are told, not given another region's:

# %% id="limits-price"
try:
    decide.chip_rent("H100 SXM", "reserved_3y", region="europe-west4", provider="AWS")
except ValueError as missing:
    print(f"{str(missing).partition(';')[0]}")
here = decide.chip_rent("H100 SXM", "reserved_3y", region="europe-west4")
print(
    f"{here.provider} has one: {here.usd_per_accelerator_hour:.2f} USD an hour ({here.region}, {here.as_of})"
)

# %% [markdown] id="limits-rate"
# One more limit is easily forgotten. An API takes so many tokens a minute from you, and no more:

# %% id="limits-rate-compare"
for size, one in sizes.items():
    busiest = 2 * decide.constraints.peak_tokens_per_minute(
        one.workload(), 1
    )  # a minute at twice its hour's mean
    fits = [row for row in decide.rate_limits("gpt-5-mini") if row.tokens_per_minute >= busiest]
    after = f"tier {fits[0].tier}, {fits[0].paid_before_usd:,.0f} USD paid before" if fits else "none"
    print(f"{size:16} {busiest:12,.0f} tokens in the busiest minute: {after}")
print(published("OpenAI for gpt-5-mini, as quoted by Simon Willison", "2025-09-12"))

# %% [markdown] id="limits-rate-meaning"
# The middle firm fits, until it has grown: at 4 % a month its busiest minute passes tier 1's 500,000 tokens within
# five months. A limit is compared with the peak, and with next year's.

# %% [markdown] id="negotiate"
# ## 6. Negotiate: what a commitment is worth
#
# A **reservation** is cheaper by the hour and paid in all hours. So it is worth its money for a machine that runs in
# most hours, and not for the one that runs at noon only. Look at the day from the side: the first machine runs in all
# 24 hours, the last one in two or three. Reserve those whose share of hours exceeds the price that is left.
#
# **Predict.** AWS asks 6.88 USD for an hour of an H100 on demand and 2.97 reserved for a year. Of the machines of
# section 2, how many would you reserve: the smallest number of the day, the mean, or nearly all?

# %% id="negotiate-layers"
spot = {
    term: decide.chip_rent("H100 SXM", term, "us-east-1", "AWS").usd_per_accelerator_hour
    for term in ("on_demand", "reserved_1y")
}
held = np.arange(0, int(copies.max()) + 1)
rent = [decide.Rent(spot["reserved_1y"], spot["on_demand"]) for _ in held]
month_usd = [
    sum(usd[0] for usd in one.costs(np.array([float(number)]), copies[None, :]).values())
    for one, number in zip(rent, held, strict=True)
]
best = int(np.argmin(month_usd))

# %% id="negotiate-figure"
ends_usd = month_usd[0], month_usd[-1]
title = (
    f"Reserve {best} of {held[-1]}: {100 - 100 * month_usd[best] / ends_usd[0]:.0f} % below all on demand, "
)
title += f"{100 - 100 * month_usd[best] / ends_usd[1]:.0f} % below all reserved"
note = f"computed for section 2's day; {published('AWS', '2026-09 and 2026-11')}; reserved: unusually deep"
thousand = np.array(month_usd) / 1000
lines = (Line("bill of a month", held, thousand), Points("cheapest", [best], [thousand[best]]))
show(View(title, lines, note), Chart("machines reserved", "bill of a month (thousand USD)"))

# %% [markdown] id="negotiate-meaning"
# Neither the valley's three nor the peak's ten: those that run in more than 2.97 / 6.88 = 43 % of the hours. It is
# chapter 02's rule, applied to each layer of the day. But a contract is also a bet that you will still want this chip,
# at this price, in a year or three.
#
# **Predict.** Prices fall, everybody says. Of an hour of an H100, of a model's tokens, of an answer of given quality:
# which fell fastest, and which hardly fell?

# %% id="trend-figure"
trends = [row for row in decide.price_trends() if row.years > 1]
short = [row.what.replace("an hour of ", "").replace("tokens of ", "") for row in trends]
labels = [f"{name}, {row.years:.1f} years" for name, row in zip(short, trends, strict=True)]
change = [100 * row.change_per_year for row in trends]
steady = sum(abs(value) < 1 for value in change)
title = (
    f"Equal quality fell by {-change[0]:.0f} % a year; {steady} of {len(trends)} prices didn't move at all"
)
note = "published; each between its own two days, see data/price_trends.csv"
show(View(title, Bars("", labels, change), note), Chart("", "change per year (%)", y_range=(-115, 5)))

# %% [markdown] id="trend-meaning"
# What falls is the price of *quality*, because new models come. A model's own list price stays where it is, and the
# rent of a chip falls now and then, stays for years, or rises when chips are short: one provider's H100 went from 3.49
# to 3.99 USD within six weeks of autumn 2026. So the fall is yours only if you can change models: an API makes that
# easy, a fleet tuned to one model doesn't, and a contract for three years pays today's price for what may cost half.
#
# How fast would rents have to fall before three years on paper lose against one, renewed at the then price?

# %% id="commit-fall"
terms = {
    term: decide.chip_rent("H100 SXM", term, "us-central1", "GCP").usd_per_accelerator_hour
    for term in ("on_demand", "reserved_1y", "reserved_3y")
}
fall = np.linspace(-0.7, 0.1, 81)
months = {"on_demand": 1, "reserved_1y": 12, "reserved_3y": 36}
mean = {term: [terms[term] * decide.price_path(f, 36, months[term]).mean() for f in fall] for term in terms}
turns = 100 * np.interp(0, np.array(mean["reserved_1y"]) - mean["reserved_3y"], fall)

# %% id="commit-figure"
title = f"Three fixed years lose if rents fall by more than {-turns:.0f} % a year"
note = f"computed; GCP us-central1, {published('Google, as listed', '2026-07-30')}; not discounted"
names_of = {"on_demand": "on demand", "reserved_1y": "a year, renewed", "reserved_3y": "three years"}
lines = [Line(names_of[term], 100 * fall, mean[term]) for term in mean]
show(View(title, lines, note), Chart("change of rents (% per year)", "mean price of an hour of H100 (USD)"))

# %% [markdown] id="commit-meaning"
# That is what a commitment is worth: its discount, less your chance of not needing it, less what prices may fall. Ask
# for what costs the seller little: the right to swap chips, a start in three months, a price that follows the list.
#
# The longest commitment is to buy. Against rent for three years, with electricity and a room of its own:

# %% id="commit-own"
bought = decide.Owned(usd_per_chip=30_000, tdp_w=700, usd_per_kwh=0.10, room_usd_per_kw_month=150)
ways = {"bought": bought, "rented at 3.99 USD": decide.Rent(3.99), "reserved at 2.97 USD": decide.Rent(2.97)}
one_chip, always = np.ones(36), np.ones((36, 24))
for name, way in ways.items():
    flow = decide.CashFlow(name, way.costs(one_chip, always), 36)
    month = next((m + 1 for m, paid in enumerate(flow.cumulative_usd) if paid >= 30_000), None)
    print(f"{name:21} {flow.present_usd(0.08):9,.0f} USD present cost; 30,000 are spent in month {month}")
print(f"price of the chip and its share of a server, electricity, room: {assumed()}")

# %% [markdown] id="commit-own-meaning"
# A chip that works for three years costs less than half of its rent. That is the reward of whoever can keep it busy,
# knows in advance how many, and has a room, and somebody to change a broken one.
#
# **Reserved throughput** at an API is the same contract with another unit. Azure sells a model's throughput by the
# unit and hour, used or not:

# %% id="units-table"
mini = api_price("gpt-5-mini")
chatty = decide.Workload(1e6, chat, day)
for term in ("hourly", "month", "year"):
    of_term = decide.provisioned_terms("gpt-5-mini", term)
    road = decide.Provisioned(term, of_term, mini)
    bill = decide.cash_flow_of(road, chatty, 1).total_usd
    by_token = decide.cash_flow_of(decide.Api("api", mini), chatty, 1).total_usd
    full = of_term.usd_per_unit_hour / (of_term.input_tokens_per_minute * 60 / 1e6) / mini.input_usd_per_mtok
    text = f"{bill:9,.0f} USD a month, {by_token:,.0f} by the token"
    print(f"{term:7} {text}; must be {full:.0%} busy to break even")
print(published("Microsoft (throughput) and archera (prices)", of_term.as_of))

# %% [markdown] id="units-meaning"
# Reserved by the month, the units cost what the tokens cost if they never rest; by the year they have to be busy 85 %
# of the time, with a peak of 2.2 times the mean. So this isn't a discount. It is a guarantee of speed, and cached
# tokens take no units: whoever needs the one or has the other buys it, for the floor of the load, and lets the rest
# spill over to the price by the token.

# %% [markdown] id="q5-card" exercise="ch11.q5"
# ### Exercise 5 · what the bills are worth today
# ●●● · 8 minutes
#
# The first month's bill is `first_usd`. Traffic grows by `growth_per_month`; the price changes by `change_per_year`,
# month by month. Each bill is paid at the end of its month and discounted at `discount_per_year`. Return what all
# `months` bills are worth today.


# %% id="q5" tags=["exercise"] exercise="ch11.q5"
def present_usd(first_usd, growth_per_month, change_per_year, discount_per_year, months):
    """USD."""
    ### BEGIN SOLUTION
    total = 0.0
    for month in range(months):
        bill = first_usd * (1 + growth_per_month) ** month * (1 + change_per_year) ** (month / 12)
        total += bill / (1 + discount_per_year) ** ((month + 1) / 12)
    return total
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch11.q5"
check("ch11.q5", present_usd)

# %% [markdown] id="q5-hint" exercise="ch11.q5"
# <details><summary>Hint</summary>
#
# The first bill has neither grown nor changed, and is due in a month. What has a yearly rate done after m months?
# </details>

# %% [markdown] id="q5-solution" exercise="ch11.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q6-card" exercise="ch11.q6"
# ### Exercise 6 · how many to reserve
# ●●● · 8 minutes
#
# `copies_by_hour` lists how many copies run in each hour of a typical day. One costs `on_demand_usd` in each hour in
# which it runs, or `reserved_usd` in every hour. Return how many to reserve so that the day costs least. (Where a copy
# costs the same either way, don't reserve it.)


# %% id="q6" tags=["exercise"] exercise="ch11.q6"
def copies_to_reserve(copies_by_hour, on_demand_usd, reserved_usd):
    """A whole number."""
    ### BEGIN SOLUTION
    # The k-th copy runs in the hours that need k or more. Sorted, the hour after those to beat says how many qualify.
    busiest_first = sorted(copies_by_hour, reverse=True)
    hours_to_beat = int(len(copies_by_hour) * reserved_usd / on_demand_usd)
    return busiest_first[hours_to_beat] if hours_to_beat < len(copies_by_hour) else 0
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch11.q6"
check("ch11.q6", copies_to_reserve)

# %% [markdown] id="q6-hint" exercise="ch11.q6"
# <details><summary>Hint</summary>
#
# In which share of the hours does the first copy run, the second, the third? From which share on is it worth it?
# </details>

# %% [markdown] id="q6-solution" exercise="ch11.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="decide"
# ## 7. The decision, and how sure it is
#
# Say that the choice is between the commercial API and the endpoint with the open model. At 100,000 requests a day the
# API is ahead. Which input could turn that? Move each over its range, the others as they are: a **tornado**.
#
# **Predict.** Which of the 22 inputs moves the result most? Is one of today's prices among the first three?

# %% id="decide-tornado"
saving = partial(tco.saving_usd, case, "managed endpoint", "commercial API", commercial, open_model)
swings = estimate.tornado(saving, case.numbers(), wanted.ranges())[:8]
words = [
    bar.name.replace("api", "API").replace("_", " ").replace(" usd", "").replace(" per ", " / ")
    for bar in swings
]

# %% id="decide-figure"
bars = [
    Bars("at the low end", words, [bar.low_result / 1000 for bar in swings]),
    Bars("at the high end", words, [bar.high_result / 1000 for bar in swings]),
]
title = f"What could turn it: {words[0]}, {words[1]}, {words[2]}"
note = f"present cost of three years; now {saving() / 1000:,.0f}; ranges {assumed()}"
show(View(title, bars, note), Chart("", "the endpoint saves (thousand USD)"))

# %% [markdown] id="decide-true"
# A bar that crosses zero turns the decision within its range. Now the other way round: for each input, the value at
# which both roads cost the same. These are sentences that somebody can check: **what would have to be true?**

# %% id="decide-tipping"
tipping = decide.tipping_points(saving, case.numbers(), wanted.search_ends())
for one in tipping[:6]:
    print(one)
never = [one.name for one in tipping if one.turns_at is None]
print(f"{len(never)} inputs turn it nowhere, {never[0]} among them")

# %% [markdown] id="decide-band"
# The requests a day in the first line hold if all else is as in the table. But all else isn't known: that was section
# 3's point. So draw every input from its range, and work out the break-even of each draw: a **band**.
#
# **Predict.** Eight break-evens in ten lie within a factor of 1.5, of 10, or of 100?

# %% id="decide-band-draws"
trend = ("growth_per_month", "api_change_per_year")
people = ("engineers", "endpoint_team", "api_team", "salary_usd_per_year", "build_engineer_months")
known = {"nothing known": (), "growth, prices": trend, "growth, prices, team": (*trend, *people)}
pair = ("managed endpoint", "commercial API", commercial, open_model)
sure = {what: decide.break_even_band(case, *pair, held=names) for what, names in known.items()}
for what, band in sure.items():
    print(f"{what:20} {band.lo:7,.0f} to {band.hi:9,.0f} requests a day, median {band.median:7,.0f}")

# %% id="decide-band-figure"
volume = np.geomspace(1e4, 1e7, 121)
lines = [
    Line(what, volume, [100 * np.mean(np.array(band.requests_per_day) <= at) for at in volume])
    for what, band in sure.items()
]
wide, *_, narrow = (band.hi / band.lo for band in sure.values())
title = f"Break-even within a factor of {round(wide, -1):.0f}; of {narrow:.0f} where you know three things"
note = f"32 draws each of the inputs of section 3, 80 % intervals; ranges {assumed()}"
axes = {"x": "requests (per day)", "x_scale": "log", "y": "draws in which the endpoint is cheaper (%)"}
show(View(title, lines, note), Chart(**axes))

# %% [markdown] id="decide-band-meaning"
# A break-even quoted without a band is a guess with six digits. And what narrows it isn't a better benchmark: it is
# your own plan for growth and people, which nobody else can look up.

# %% [markdown] id="explorer"
# ### Move it yourself
#
# What each road has cost by the end of each month, with a band over everything that you don't move. The band is drawn
# from the ranges of section 3. The upward axis is logarithmic: equal steps are equal ratios.


# %% id="explorer-compute"
def three_years(requests_per_day, growth, engineers, peak_to_mean, api_change):
    moved = {
        "requests_per_day": requests_per_day,
        "growth_per_month": growth / 100,
        "engineers": engineers,
        "peak_to_mean": peak_to_mean,
        "api_change_per_year": api_change / 100,
    }
    yours = wanted.Inputs(**moved)
    count = 16  # draws: 64 would be smoother, and slower than your hand
    drawn, wins = tco.bands(yours, commercial, open_model, count, held=moved)
    choices = wanted.roads_of(yours, commercial, open_model)
    found = tco.compare(choices, yours.workload(), yours.months, yours.discount_per_year)
    cheap, flows = found.ranked[0], found.flows
    crossing = decide.month_of_crossing(flows["managed endpoint"], flows["commercial API"])
    undercuts = "undercuts the commercial API"
    when = f"{undercuts} from month {crossing} on" if crossing else f"never {undercuts}"
    month = np.arange(1, yours.months + 1)
    lines = [
        Line(
            name.removeprefix("managed "),
            month,
            flow.cumulative_usd / 1e3,
            drawn[name].lo_usd / 1e3,
            drawn[name].hi_usd / 1e3,
        )
        for name, flow in flows.items()
    ]
    note = f"bands: 80 % of drawn inputs, {assumed()}; prices {published('genai-prices', commercial.as_of)}"
    won = f"{count * wins[cheap]:.0f} of {count} draws"
    return View(f"Cheapest: {cheap}, in {won}. The endpoint {when}", lines, note)


# %% id="explorer-show"
explorer(
    three_years,
    {
        "requests_per_day": Slider(100_000, 1000, 10_000_000, log=True, unit="per day", label="requests"),
        "growth": Slider(4.0, -5.0, 20.0, 0.5, unit="% a month", label="growth"),
        "engineers": Slider(1.0, 0.0, 6.0, 0.25, unit="full time", label="team"),
        "peak_to_mean": Slider(2.2, 1.0, 6.0, 0.2, unit="× mean", label="busiest hour"),
        "api_change": Slider(-30.0, -80.0, 20.0, 5.0, unit="% a year", label="API prices"),
    },
    Chart("month", "paid so far (thousand USD)", y_scale="log"),
    moving="requests_per_day",
)

# %% [markdown] id="explorer-questions"
# Try: at what growth does the endpoint overtake the commercial API within the three years? Set the team to zero: does
# your own fleet ever beat the open model's API, and what else has to be true? Make the busiest hour six times the mean.
# Which roads notice? Let API prices rise.

# %% [markdown] id="memo"
# ### On one page
#
# Whoever signs reads a page. It says what to take, by how much, how sure that is, what would turn it, what was assumed,
# and on which day. It is made from your inputs, and every figure in it was computed above. Here the firm's lawyers have
# said no to the open model's shared API, and yes to a contract with the others.

# %% id="memo-make"
allowed = decide.Limits(regions=("openai", "endpoint's provider", "own account"))
choices = wanted.roads_of(case, commercial, open_model)
final = tco.compare(choices, case.workload(), case.months, case.discount_per_year, allowed)
_, wins = tco.bands(case, commercial, open_model, among=final.ranked)
title = "Answers for our chat: build or buy?"
page = decide.memo_of(final, case, wins, tipping, "managed endpoint", title, break_even=sure["nothing known"])
page.write(folder / "memo.html")  # prints on one page; .md works as well
page

# %% [markdown] id="memo-meaning"
# Then argue about the inputs, not about the conclusion.

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Compare roads, not prices | a token's price, an hour's price and a salary meet only in a month's bill |
# | Buy for the peak, divide by the mean | utilization of a quarter is normal, and makes a token four times as dear |
# | Count people first | at 100,000 requests a day they are most of the cost of your own machines |
# | Open isn't cheap, and isn't dear | what is cheap is a small, busy model that several sell |
# | Equal quality has an interval | 198 questions resolve about eight points |
# | A cascade lives by its check | passed-on requests are paid twice, missed mistakes aren't caught at all |
# | Reserve by the layer | the first machine runs all day, the last one at noon |
# | What falls is the price of quality | you get it only if you can change models |
# | Name constraints, and by how much they bind | an impossible wish with a number can be negotiated |
# | Quote a break-even with its band | growth, prices and people spread it over two powers of ten |
# | Say what would have to be true | somebody can check it |
#
# Chapter 12 measures what this one took from tables: quality, speed and cost of variants, on your machine.

# %% [markdown] id="sources"
# ## Sources
#
# - Tokens: genai-prices, 2026-11. Rents: `data/gpu_prices.csv` (Lambda 2026-09-25; AWS 2026-09-17 and 2026-11-09; GCP
#   2026-07-30). Endpoints: `data/managed_endpoints.csv` (Together 2026-10-24, Fireworks 2026-06-30).
# - Reserved throughput: Microsoft's documentation, 2026-03 and 2026-05, and archera, 2026-03:
#   `data/provisioned_throughput.csv`. Egress and disks: `data/cloud_costs.csv`, 2026.
# - Lengths: Azure/AzurePublicDataset, conversation, 2023-11-16 (CC BY 4.0). Speed: this course's model of vLLM
#   (chapter 02), 80 % interval.
# - Quality: openai/simple-evals, read 2026-11-30; OpenAI's gpt-oss release, 2025-08-05: `data/published_quality.csv`.
# - Price of quality: Appenzeller, *LLMflation*, a16z, 2024-11-12; Cottier et al., Epoch AI, 2025-03-12, who find 9 to
#   900 times a year, by task. Other prices: `data/price_trends.csv`. Rate limits: `data/rate_limits.csv`, 2025-09-12.
# - Cascades: Chen, Zaharia, Zou, *FrugalGPT*, TMLR 2024. Routing: Ong et al., *RouteLLM*, ICLR 2025.
# - Carbon: Electricity Maps, 2025; PUE: AWS, 2025; TDP: NVIDIA. Everything else: assumed, with its range in section 3.
