# ---
# course:
#   title: Scaling out
#   minutes: 140
#   tier: cpu
#   memory_mb: 1800
#   seconds: 90
#   colab: [onnx, onnxruntime, ray, watchfiles]
# ---

# %% [markdown] id="objectives"
# One replica has a knee (chapter 09). Past it no setting helps: you need more replicas, and with them come questions
# that a single machine never asked. Who gets which request? When do replicas come and go? What if one dies? After this
# chapter you can:
#
# 1. say what another replica buys, at the knee and far below it;
# 2. choose a load balancer for requests of very different sizes, and route to warm caches without hot spots;
# 3. set an autoscaler by cost against missed promises, and say why GPU utilization is the wrong signal;
# 4. stop a fleet from flapping, and tell what scaling to zero costs its first user;
# 5. size a fleet that loses replicas, or a whole region, and still keeps its promise;
# 6. check a simulator against a real cluster, and say how far to trust it.
#
# Nearly all figures here are **simulated**, step by step, with the step times that chapter 02's formulas predict. In
# section 9 a real cluster has the last word.

# %% id="imports"
from dataclasses import replace
from math import ceil, comb, expm1

import numpy as np
import pandas as pd

from course_utils import scale
from course_utils.catalog import assumed, gpu_prices, published
from course_utils.estimate.deployment import deployment
from course_utils.explore import Bars, Chart, Line, Points, Slider, View, explorer, show
from course_utils.grading import check
from course_utils.scale import Autoscaler, Failures, Fleet, Routing, simulate
from course_utils.scale.cluster.curve import cluster_run
from course_utils.scale.step_times import step_times

pd.set_option("display.float_format", "{:,.4g}".format)

# %% [markdown] id="replicas"
# ## 1. Another replica
#
# The service: Llama-3.1-8B on an L4, a small card, for chats as long as those of a published trace (1,155 tokens in,
# 211 out on average, some of them twenty times that). Here are one, two and four such replicas under rising load.
#
# **Predict.** At 0.4 requests a second a single replica is less than half busy. What does a second one do to the
# slowest twentieth of the answers: nothing, a little, or halve their time? And at 1.0 a second?

# %% id="replicas-service"
price = gpu_prices("L4", "GCP", "on_demand", "us-central1")[0]
chat = step_times(deployment("Llama-3.1-8B", "L4", isl=1155, osl=211))
fair = Routing("least_outstanding")
by_formula = "simulated, step times predicted"


def chats(rate_per_s, requests=3000, seed=1):
    arrived_s = scale.poisson_arrivals(rate_per_s, requests=requests, seed=seed)
    return scale.traffic_at(arrived_s, "azure_conversation", seed=seed)


print(f"{chat.label}; {price.usd_per_hour:.3f} USD/h, {published(price.provider, price.as_of)}")

# %% id="replicas-curves"
rates = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 1.8, 2.2, 2.6, 3.0])
p95 = {
    n: np.array([simulate(chats(rate), Fleet(chat, n, routing=fair)).e2e().p95 for rate in rates])
    for n in (1, 2, 4)
}
gain = {rate: p95[1][rates == rate][0] / p95[2][rates == rate][0] for rate in (0.4, 1.0)}

# %% id="replicas-figure"
lines = [Line(f"{n} replica{'s' * (n > 1)}", rates, seconds / 60) for n, seconds in p95.items()]
title = f"A second replica: {gain[0.4]:.1f} times faster at 0.4/s, {gain[1.0]:.0f} times at 1.0/s"
axes = {"x": "requests arriving (per second)", "y": "answer complete, p95 (min)", "y_scale": "log"}
show(View(title, lines, f"{by_formula}; lengths fitted on Azure's trace of 2023"), Chart(**axes))

# %% [markdown] id="replicas-meaning"
# Below the knee a replica buys little: an answer is a chain of steps, and a second machine can't share one answer. It
# only makes each batch smaller. At the knee it buys everything. So don't ask "how busy are we?". Ask "how far is the
# knee?", and count replicas from there.
#
# **Predict.** Now 3 requests a second, all day. Each replica more costs the same. Do the p95 of the first token and
# the cost of a token move together?

# %% id="replicas-money"
sizes = np.arange(3, 11)
runs = [simulate(chats(3.0), Fleet(chat, n, price.usd_per_hour, routing=fair)) for n in sizes]
first_s = np.array([run.ttft().p95 for run in runs])
mtok_usd = np.array([run.usd_per_mtok for run in runs])
enough = int(np.argmax(first_s <= 2))

# %% id="replicas-money-figure"
title = f"{sizes[enough]} replicas keep 2 s; two more cost {100 * mtok_usd[enough + 2] / mtok_usd[enough] - 100:.0f} % "
title += f"and save {first_s[enough] - first_s[enough + 2]:.2f} s"
points = [
    Line("replicas", mtok_usd, first_s),
    Points("", mtok_usd, first_s, labels=[str(n) for n in sizes]),
]
note = f"{by_formula}; L4 {price.usd_per_hour:.2f} USD/h, {published(price.provider, price.as_of)}"
axes = {"x": "cost (USD per million answer tokens)", "y": "first token, p95 (s)", "y_scale": "log"}
show(View(title, points, note), Chart(**axes))

# %% [markdown] id="replicas-money-meaning"
# The curve is an elbow. Left of it you save money and lose the service; right of it you pay for machines that nobody
# feels. The cheapest fleet that keeps its promise stands just right of the knee, plus what you want to be able to lose.

# %% [markdown] id="q1-card" exercise="ch10.q1"
# ### Exercise 1 · replicas for the peak
# ●○○ · 4 minutes
#
# Requests arrive at `mean_per_s` over the day, and `peak_to_mean` times that at the peak. A replica carries
# `per_replica_per_s` within its promise. Return how many to run so that `spare` of them may fail at the peak.


# %% id="q1" tags=["exercise"] exercise="ch10.q1"
def replicas_for(mean_per_s, peak_to_mean, per_replica_per_s, spare):
    """A whole number."""
    ### BEGIN SOLUTION
    return ceil(mean_per_s * peak_to_mean / per_replica_per_s) + spare
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch10.q1"
check("ch10.q1", replicas_for)

# %% [markdown] id="q1-hint" exercise="ch10.q1"
# <details><summary>Hint</summary>
#
# First the peak in requests a second, then whole replicas for it, then the spare ones.
# </details>

# %% [markdown] id="q1-solution" exercise="ch10.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="balance"
# ## 2. Who gets the request?
#
# Requests differ a hundredfold, and nobody knows beforehand how long an answer will be. A **load balancer** has to
# choose all the same. Six ways, from blind to well informed:
#
# | policy | looks at |
# |---|---|
# | random | nothing |
# | round robin | whose turn it is |
# | power of two | two replicas drawn at random; takes the one with fewer requests |
# | least outstanding | all replicas; takes the one with the fewest requests |
# | least tokens | all replicas; takes the one with the fewest prompt tokens ahead |
# | central | doesn't choose: requests wait at the gateway until some replica has room |
#
# **Predict.** Eight replicas at nine tenths of what they can carry. By how much do the best and the worst policy
# differ in the p99 of the first token: 10 %, twofold, or tenfold? And how good are *two* random looks?

# %% id="balance-runs"
traffic = chats(8 * 0.85, requests=12_000)
policies = ["random", "round_robin", "power_of_two", "least_outstanding", "least_tokens", "central"]
balanced = {name: simulate(traffic, Fleet(chat, 8, routing=Routing(name))) for name in policies}
tails = {name.replace("_", " "): run.ttft() for name, run in balanced.items()}

# %% id="balance-figure"
p99 = [one.p99 for one in tails.values()]
low, high = zip(*(one.p99_interval for one in tails.values()), strict=True)
best = min(tails, key=lambda name: tails[name].p99)
title = f"The p99 of the first token: {p99[0]:.0f} s by chance, {min(p99):.1f} s by '{best}'"
note = f"{by_formula}; 8 × L4, {traffic.rate_per_s:.1f}/s, the same requests for all; bars: 95 % intervals"
bars = Bars("", [*tails], p99, low, high)
show(View(title, bars, note), Chart("", "first token, p99 (s)"))

# %% [markdown] id="balance-meaning"
# Chance piles requests up on some replica while another has room. Round robin deals them out evenly *in number*, and a
# long answer still blocks whoever comes after it. Two random looks get most of the way to looking at all, and need no
# table of the whole fleet. That is why so many routers do just that, Ray Serve's among them.
#
# ### A percentile of percentiles
#
# Eight dashboards show eight p99s. What is the fleet's?
#
# **Predict.** Take the mean of the eight. Is it too low, too high, or right?

# %% id="balance-p99"
run = balanced["random"]
each = [np.percentile(run.ttft_s[run.machine == m], 99) for m in range(8)]
print(f"p99 of each replica (s): {', '.join(f'{value:.1f}' for value in sorted(each))}")
print(f"their mean {np.mean(each):.1f} s, the fleet's p99 {run.ttft().p99:.1f} s")

# %% [markdown] id="balance-p99-meaning"
# A percentile asks about *one pool* of requests. The fleet's slowest hundredth sits mostly on its slowest replicas,
# and a mean over replicas spreads it thin. Keep the requests' times (or histograms of them) and put them together.

# %% [markdown] id="q2-card" exercise="ch10.q2"
# ### Exercise 2 · the p99 of a fleet
# ●○○ · 4 minutes
#
# `latencies_by_replica` is a list with one list of seconds for each replica. Return the fleet's p99.


# %% id="q2" tags=["exercise"] exercise="ch10.q2"
def fleet_p99(latencies_by_replica):
    """Seconds."""
    ### BEGIN SOLUTION
    together = [seconds for replica in latencies_by_replica for seconds in replica]
    return float(np.percentile(together, 99))
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch10.q2"
check("ch10.q2", fleet_p99)

# %% [markdown] id="q2-hint" exercise="ch10.q2"
# <details><summary>Hint</summary>
#
# Which of the requests, of all of them, is slower than 99 in a hundred? `np.percentile` does the rest.
# </details>

# %% [markdown] id="q2-solution" exercise="ch10.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="affinity"
# ## 3. Warm caches and hot spots
#
# A conversation comes back with its whole history, and one replica still holds its keys and values (chapter 08). Send
# it there, and most of the prompt is free. But where everybody's system prompt is warm, everybody goes. **Prefix
# affinity** weighs both: it sends a request to the replica with the least
#
# tokens to compute there + β × tokens waiting there
#
# With β = 0 only the cache counts, with a large β only the queue. A **consistent hash** of the prefix is the simple
# way: each prefix has its replica, whatever stands in line there.
#
# **Predict.** Conversations as in a published trace (Mooncake; 11,000 tokens a prompt), eight H100s. Which has the
# best p95 of the first token: the hash, β = 0, or something between?

# %% id="affinity-runs"
sessions = scale.generate_sessions(6000, seed=1)
long_prompts = step_times(deployment("Llama-3.1-8B", "H100 SXM", isl=11_000, osl=343))
betas = np.array([0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30])
routes = {f"β = {beta:g}": Routing("prefix_affinity", beta=beta) for beta in (0, *betas)}
for name in ("consistent_hash", "round_robin", "least_outstanding"):
    routes[name.replace("_", " ")] = Routing(name)
warm = {
    name: simulate(sessions, Fleet(long_prompts, 8, routing=route, prefix_cache=True))
    for name, route in routes.items()
}

# %% id="affinity-table"
firsts = {name: run.ttft() for name, run in warm.items()}
busiest = [np.bincount(run.machine, minlength=8).max() * 8 / len(sessions) for run in warm.values()]
table = pd.DataFrame(
    {
        "hit share (%)": [100 * run.hit_share for run in warm.values()],
        "busiest replica (× mean)": busiest,
        "first token p50 (s)": [one.p50 for one in firsts.values()],
        "first token p95 (s)": [one.p95 for one in firsts.values()],
    },
    index=[*warm],
)
table

# %% id="affinity-figure"
p95_s = {name: one.p95 for name, one in firsts.items()}
swept = np.array([p95_s[f"β = {beta:g}"] for beta in betas])
lines = [Line("prefix affinity", betas, swept)]
for name in ("round robin", "least outstanding"):
    lines.append(Line(name, betas, np.full(betas.size, p95_s[name]), dash=True))
title = f"β = {betas[swept.argmin()]:g} has the best p95, {swept.min():.1f} s; "
title += f"with the hash's hot spot it is {p95_s['consistent hash'] / 60:.0f} minutes"
note = f"{by_formula}; 8 × H100 SXM, sessions generated, fitted on Mooncake 2025-02"
show(View(title, lines, note), Chart("β, weight of the queue", "first token, p95 (s)", x_scale="log"))

# %% [markdown] id="affinity-meaning"
# Look at the table's first row and at the hash: plenty of hits, and a replica with several times its share of the
# requests, whose queue grows and grows. A little weight on the queue gives up hardly any hits and dissolves
# the hot spot: the popular prefix gets a second home, and then a third. The best β is flat: anything from a twentieth
# to one will do. Blind spreading wastes the caches; blind affinity wastes the replicas.

# %% [markdown] id="q3-card" exercise="ch10.q3"
# ### Exercise 3 · one routing decision
# ●●○ · 5 minutes
#
# A prompt of `prompt_tokens` arrives. Replica i holds `cached_tokens[i]` of its beginning and has `queued_tokens[i]`
# tokens of prompts waiting. Return the number (from 0) of the replica that prefix affinity picks, the first of equals.


# %% id="q3" tags=["exercise"] exercise="ch10.q3"
def pick_replica(prompt_tokens, cached_tokens, queued_tokens, beta):
    """A place in the lists, from 0."""
    ### BEGIN SOLUTION
    costs = [
        prompt_tokens - cached + beta * queued
        for cached, queued in zip(cached_tokens, queued_tokens, strict=True)
    ]
    return costs.index(min(costs))
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch10.q3"
check("ch10.q3", pick_replica)

# %% [markdown] id="q3-hint" exercise="ch10.q3"
# <details><summary>Hint</summary>
#
# Write down one cost per replica. What is left to compute there, and what does the queue add?
# </details>

# %% [markdown] id="q3-solution" exercise="ch10.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="signal"
# ## 4. A day, and a fleet that follows it
#
# An **autoscaler** looks at a signal every few seconds and asks for more replicas or fewer. Which signal? GPU
# utilization is on every dashboard, so it is what people take first.
#
# **Predict.** One replica on an H100. At a tenth of the load that it can carry, what share of the time is its GPU
# busy: 10 %, 30 %, or nearly all?

# %% id="signal-runs"
h100 = step_times(deployment("Llama-3.1-8B", "H100 SXM", isl=1155, osl=211))
loads = np.array([0.5, 1, 2, 4, 8, 12, 16, 20, 22])
one = [simulate(chats(load, requests=2000), Fleet(h100)) for load in loads]
busy = np.array([100 * run.utilization for run in one])
present = np.array([(run.e2e_s.sum()) / run.duration_s for run in one])
ttft_p95 = np.array([run.ttft().p95 for run in one])
tenth = np.interp(2.2, loads, busy)

# %% id="signal-figure"
lines = [
    Line("GPU busy", loads, busy),
    Line("requests present", loads, 100 * present / present[-1]),
    Line("load", loads, 100 * loads / loads[-1], dash=True),
]
title = f"The GPU is {tenth:.0f} % busy at a tenth of the load: it can't say how full it is"
note = f"{by_formula}; one H100 SXM, chats; presence and load in % of those at {loads[-1]:g}/s"
show(View(title, lines, note), Chart("requests arriving (per second)", "share (%)", y_range=(0, 105)))

# %% [markdown] id="signal-meaning"
# An engine with continuous batching takes a step as soon as *one* request is there. Busy means "somebody is being
# served", not "full". Scale on it, and a quiet night asks for the largest fleet. The number of requests **present**
# (waiting and running) rises with the load, and sharply at the knee: that is a signal.
#
# ### The day
#
# 21,600 requests come on a day that peaks at three in the afternoon. The model thinks before it answers: answers are
# eight times as long as in the chat (assumed). The promise: the first token within 5 s. A new replica takes three
# minutes (assumed: a machine, an image, 16 GB of weights). Four rules decide:
#
# | rule | wants |
# |---|---|
# | concurrency | ⌈requests present / target⌉ |
# | queue | ⌈requests waiting / target⌉ |
# | TTFT | a tenth more while first tokens are late, one less while none is |
# | predictive | ⌈rate forecast for when a new machine would be ready / target⌉ |
#
# **Predict.** One of the four loses badly on such a service. Which?

# %% id="day-traffic"
arrived_s = scale.diurnal_arrivals(0.25, peak_to_mean=1.8, peak_hour=15, duration_s=86_400, seed=2)
talk = scale.traffic_at(arrived_s, "azure_conversation", seed=2)
day = replace(talk, output_tokens=np.clip(8 * talk.output_tokens, 1, 8000), name="thinking chat")
thinking = step_times(deployment("Llama-3.1-8B", "L4", isl=1155, osl=1688))
slo_s = 5.0


def on_the_day(replicas=1, scaler=None, cold_start_s=180):
    """The run, its cost in USD, and how many first tokens in a hundred were late."""
    usd = price.usd_per_hour
    fleet = Fleet(thinking, replicas, usd, fair, autoscaler=scaler, cold_start_s=cold_start_s)
    run = simulate(day, fleet)
    return run, run.cost_usd, 100 * (1 - run.within(slo_s).mean())


# %% id="day-rules"
fixed = {n: on_the_day(n) for n in range(4, 10)}
targets = {"concurrency": (4, 5, 6, 8, 10), "queue": (0.25, 1, 4), "TTFT": (1.0, 2.0, 5.0)}
targets["predictive"] = (0.05, 0.06, 0.07, 0.08)
ruled = {}
for rule, several in targets.items():
    for target in several:
        scaler = Autoscaler(rule.lower(), target, 1, 16, 15, 0, 600, level_weight=0.1, trend_weight=0.02)
        ruled[rule, target] = on_the_day(scaler=scaler)

# %% id="day-figure"
least = 0.01  # the picture ends at two requests of the day


def cost_and_late(runs):
    return [usd for _, usd, _ in runs], [max(late, least) for _, _, late in runs]


series = [Line("fixed fleets", *cost_and_late(fixed.values()), dash=True)]
for rule, several in targets.items():
    series.append(Points(rule, *cost_and_late([ruled[rule, target] for target in several])))
good_fixed = min(usd for _, usd, late in fixed.values() if late <= 1)
usd, rule = min((usd, rule) for (rule, _), (_, usd, late) in ruled.items() if late <= 1)

# %% id="day-show"
title = f"At most 1 % late: {good_fixed:.0f} USD a day with a fixed fleet, {usd:.0f} USD by '{rule}'"
note = f"{by_formula}; L4 at {price.usd_per_hour:.2f} USD/h ({price.as_of}); day, answers, cold start {assumed()}"
late_axis = {"y": f"first token after more than {slo_s:g} s (%)", "y_scale": "log"}
show(View(title, series, note), Chart("cost of the day (USD)", **late_axis))

# %% [markdown] id="day-meaning"
# Read it towards the lower left. The queue rule sees nothing until requests wait, and then it is three minutes too
# late; when the queue is gone, it sends the replicas away that had just emptied it. Concurrency sees the load itself.
# The forecast sees it coming, as long as it is smooth enough not to chase noise: a tenth of what it knows is the newest
# look. But its target is in requests a second, so it must know what a replica carries. If answers get longer tomorrow,
# it doesn't notice; concurrency does.

# %% id="day-replicas"
hours = np.arange(0, 24, 0.1)


def billed(run, hours):
    """Replicas billed at these hours [hours]."""
    at = np.searchsorted(run.series["at_s"], 3600 * hours, side="right") - 1
    return run.series["billed"][np.maximum(at, 0)].astype(float)


followed = ruled["concurrency", 6][0]
per_hour = np.histogram(day.arrived_s / 3600, 24, (0, 24))[0]

# %% id="day-replicas-figure"
count = billed(followed, hours)
title = f"The fleet follows the day between {count.min():.0f} and {count.max():.0f} replicas"
title += f", and {len(followed.launched_s)} machines are started for it"
lines = [
    Line("replicas billed", hours, count),
    Line("requests (hundreds per hour)", np.arange(24) + 0.5, per_hour / 100, dash=True),
]
note = f"{by_formula}; concurrency, target 6, ten minutes of patience before going down"
show(View(title, lines, note), Chart("hour of the day", "replicas"))

# %% [markdown] id="q4-card" exercise="ch10.q4"
# ### Exercise 4 · what the rule wants
# ●○○ · 4 minutes
#
# `waiting` and `running` requests are present in the fleet. Return how many replicas a concurrency rule with `target`
# requests each wants, from `least` to `most`.


# %% id="q4" tags=["exercise"] exercise="ch10.q4"
def desired_replicas(waiting, running, target, least, most):
    """A whole number."""
    ### BEGIN SOLUTION
    return min(max(ceil((waiting + running) / target), least), most)
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch10.q4"
check("ch10.q4", desired_replicas)

# %% [markdown] id="q4-hint" exercise="ch10.q4"
# <details><summary>Hint</summary>
#
# Who is present? Divide, round so that nobody gets more than the target, then keep to the bounds.
# </details>

# %% [markdown] id="q4-solution" exercise="ch10.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q5-card" exercise="ch10.q5"
# ### Exercise 5 · the queue of a cold start
# ●●○ · 7 minutes
#
# The load jumps to `rate_per_s`. The replicas that are up serve `before_per_s`; once new ones are ready, after
# `cold_start_s`, all together serve `after_per_s`, which is above the rate. Return how many seconds after the jump the
# queue is empty again: 0 where it never grows.


# %% id="q5" tags=["exercise"] exercise="ch10.q5"
def drained_after_s(rate_per_s, before_per_s, after_per_s, cold_start_s):
    """Seconds from the jump."""
    ### BEGIN SOLUTION
    if rate_per_s <= before_per_s:
        return 0.0
    backlog = (rate_per_s - before_per_s) * cold_start_s
    return cold_start_s + backlog / (after_per_s - rate_per_s)
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch10.q5"
check("ch10.q5", drained_after_s)

# %% [markdown] id="q5-hint" exercise="ch10.q5"
# <details><summary>Hint</summary>
#
# By how much does the queue grow each second of the cold start? And by how much does it shrink each second after it?
# </details>

# %% [markdown] id="q5-solution" exercise="ch10.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="flapping"
# ## 5. Flapping, and nothing at all
#
# Traffic is never smooth. A rule that follows every wiggle starts machines and sends them away again, and each start
# is three minutes of money without an answer. That is **flapping**. Three brakes: wait before going *down*, wait
# before going up, and a **cooldown** after any change.
#
# **Predict.** At a target of 5, replicas now wait ten minutes before they are sent away. How many fewer machines are
# started on the day: a tenth fewer, half, or eight times fewer? Does the day get dearer?

# %% id="flapping-runs"
delays_s = np.array([0, 60, 180, 300, 600, 1200, 2400])
braked = [on_the_day(scaler=Autoscaler("concurrency", 5, 1, 16, 15, 0, delay)) for delay in delays_s]
cooled = on_the_day(scaler=Autoscaler("concurrency", 5, 1, 16, 15, 0, 0, cooldown_s=600))
tried = [*braked, cooled]
columns = {
    "machines started": [len(run.launched_s) for run, _, _ in tried],
    "cost (USD)": [usd for _, usd, _ in tried],
    "late (%)": [late for _, _, late in tried],
}
names = [*(f"down after {delay / 60:g} min" for delay in delays_s), "cooldown 10 min"]
pd.DataFrame(columns, index=names)

# %% id="flapping-figure"
window = np.arange(13, 15, 1 / 240)
lines = [
    Line("no wait", window, billed(braked[0][0], window)),
    Line("10 minutes", window, billed(braked[4][0], window)),
]
starts = [columns["machines started"][at] for at in (0, 4)]
title = f"Ten minutes of patience: {starts[1]} starts a day instead of {starts[0]:,}"
note = f"{by_formula}; two hours around the peak; concurrency, target 5"
show(View(title, lines, note), Chart("hour of the day", "replicas billed", y_range=(0, 17)))

# %% [markdown] id="flapping-money"
# Patience isn't free: replicas stand by, and the day costs more. But it also misses less. To compare like with like,
# let both spend the *same*, each with the target that it can afford.
#
# **Predict.** At equal money, who is late less often: the nervous fleet or the patient one?

# %% id="flapping-equal"
nervous = [on_the_day(scaler=Autoscaler("concurrency", t, 1, 16, 15, 0, 0)) for t in (3, 4, 5, 6, 7)]
patient = [on_the_day(scaler=Autoscaler("concurrency", t, 1, 16, 15, 0, 600)) for t in (4, 5, 6, 7, 8)]
lines = [Line("no wait", *cost_and_late(nervous)), Line("10 minutes", *cost_and_late(patient))]
log_late = [np.log(line.y) for line in lines]
equal = [np.exp(np.interp(105, line.x[::-1], log[::-1])) for line, log in zip(lines, log_late, strict=True)]
title = f"For 105 USD a day the nervous fleet is late {equal[0]:.1f} % of the time, the patient one {equal[1]:.1f} %"
note = f"{by_formula}; the same day; concurrency, along each line the target rises to the left"
show(View(title, lines, note), Chart("cost of the day (USD)", **late_axis))

# %% [markdown] id="flapping-meaning"
# The brake belongs on the way *down*. Going up late costs a queue; going down late costs some minutes of one replica.
# A cooldown brakes both ways, and pays for it with late answers (last row of the table). And a start costs more than
# the simulator bills: images to pull, quotas, machines that aren't to be had.
#
# ### Scale to zero
#
# At night the fleet could go to *nothing*. Then the first user of the morning waits for a machine. Whoever comes within
# the **keep-alive** finds it up, and extends its life. If requests come at random, λ a minute, with keep-alive T and
# cold start C in minutes:
#
# - up at a time: C + (e^(λT) − 1)/λ minutes, then off until somebody comes, 1/λ minutes on average;
# - each such turn has one user who waits for a cold start (and whoever comes during it).
#
# **Predict.** Two requests an hour, ten minutes of keep-alive. What is saved of an always-on bill: 20, 40 or 60 %?

# %% id="zero-runs"
hourly = np.array([0.3, 0.6, 1, 2, 4, 8, 16, 30])
keep_s, cold_s = 600, 240


def asleep(per_hour):
    times = scale.poisson_arrivals(per_hour / 3600, requests=400, seed=5)
    scaler = Autoscaler("concurrency", 5, 0, 1, 15, 0, keep_s)
    traffic = scale.traffic_at(times, "azure_conversation", seed=5)
    run = simulate(traffic, Fleet(chat, 1, price.usd_per_hour, autoscaler=scaler, cold_start_s=cold_s))
    return run.replica_seconds / run.duration_s, np.mean(run.ttft_s > 60)


share, waited = np.array([asleep(rate) for rate in hourly]).T

# %% id="zero-figure"
per_minute = hourly / 60
on = cold_s / 60 + np.expm1(per_minute * keep_s / 60) / per_minute
lines = [
    Points("billed", hourly, 100 * share),
    Line("billed, by formula", hourly, 100 * on / (on + 1 / per_minute)),
    Points("users who wait for a cold start", hourly, 100 * waited),
]
saved, wait = 1 - np.interp(2, hourly, share), np.interp(2, hourly, waited)
title = f"At 2 requests an hour zero saves {100 * saved:.0f} % of the bill, "
title += f"and {100 * wait:.0f} % of the users wait for a machine"
note = f"dots {by_formula}; keep-alive 10 min, cold start 4 min, {assumed()}"
show(View(title, lines, note), Chart("requests (per hour)", "share (%)", x_scale="log", y_range=(0, 105)))

# %% [markdown] id="zero-meaning"
# Scaling to zero pays where almost nobody comes, and there almost *everybody* waits. So it is for what can wait: batch
# jobs, tests, a model that is tried once a week. The price of a wait settles it: what is saved in an hour, over the
# cold starts in that hour. If a user's four minutes are worth more than that, keep one replica warm.

# %% [markdown] id="q6-card" exercise="ch10.q6"
# ### Exercise 6 · the bill of sleeping
# ●●● · 8 minutes
#
# One replica scales to zero. Requests come at random, `requests_per_hour`; it stays up until none has come for
# `keep_minutes`, and takes `cold_minutes` to start. Return its bill in USD a day. (An answer takes no time.)


# %% id="q6" tags=["exercise"] exercise="ch10.q6"
def usd_per_day(requests_per_hour, keep_minutes, cold_minutes, usd_per_hour):
    """USD a day."""
    ### BEGIN SOLUTION
    per_minute = requests_per_hour / 60
    on_minutes = cold_minutes + expm1(per_minute * keep_minutes) / per_minute
    return 24 * usd_per_hour * on_minutes / (on_minutes + 1 / per_minute)
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch10.q6"
check("ch10.q6", usd_per_day)

# %% [markdown] id="q6-hint" exercise="ch10.q6"
# <details><summary>Hint</summary>
#
# One turn: off, cold, up. How long is each on average, and which of them are billed? `expm1(x)` is e^x − 1.
# </details>

# %% [markdown] id="q6-solution" exercise="ch10.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="failures"
# ## 6. Replicas die
#
# A machine goes, and with it every answer that it was writing. The router notices and sends these requests elsewhere,
# where they start over. Nothing is lost, but the others now carry it all until a new replica is up.
#
# **Predict.** Four replicas are enough for 3 requests a second, and not one too many. One dies after ten minutes,
# and five minutes later a new one is up. How long does the first token take at worst: seconds, tens of seconds, or
# minutes? And with a fifth replica (**N + 1**)?

# %% id="failures-runs"
steady = chats(3.0, requests=5600)
death = Failures(kills_s=(600.0,))
hit = {
    f"{n} replicas": simulate(steady, Fleet(chat, n, routing=fair, failures=death, cold_start_s=300))
    for n in (4, 5)
}
minutes = np.arange(0, 29)
slow = {
    name: np.array([np.percentile(run.ttft_s[(steady.arrived_s // 60) == m], 95) for m in minutes])
    for name, run in hit.items()
}

# %% id="failures-figure"
lines = [Line(name, minutes, seconds) for name, seconds in slow.items()]
worst = [seconds.max() for seconds in slow.values()]
title = f"One death: {worst[0]:.0f} s to the first token with N replicas, {worst[1]:.1f} s with N + 1"
note = f"{by_formula}; one of the L4s dies at minute 10, a new one is up at minute 15 ({assumed()})"
show(View(title, lines, note), Chart("minute", "first token, p95 of the minute (s)", y_scale="log"))

# %% id="failures-lost"
for name, run in hit.items():
    print(
        f"{name}: {run.share('finished'):.2%} answered, {run.moves.sum()} started over, p99 {run.ttft().p99:.1f} s"
    )

# %% [markdown] id="failures-meaning"
# The death itself is a small thing. What hurts is the queue that builds up until the replacement is warm, and the time
# that it takes to drain afterwards (exercise 5). One replica to spare removes it.
#
# ### Spot machines
#
# The same cards are cheaper if they may be taken away. Suppose each lives two hours on average.
#
# **Predict.** Six spot replicas or five on demand: which is cheaper, and which is late more often?

# %% id="spot-runs"
spot = gpu_prices("L4", "GCP", "spot", "us-central1")[0]
hours_long = chats(2.8, requests=40_000, seed=3)
fleets = {(f"{n} on demand", n): (price.usd_per_hour, Failures()) for n in (4, 5)}
fleets |= {(f"{n} spot", n): (spot.usd_per_hour, Failures(mean_life_s=7200)) for n in (4, 5, 6, 7)}
at_risk = {
    name: simulate(hours_long, Fleet(chat, n, usd, fair, failures=fate, cold_start_s=300), seed=4)
    for (name, n), (usd, fate) in fleets.items()
}
usd_hour = [run.cost_usd / run.duration_s * 3600 for run in at_risk.values()]
late = [100 * (1 - run.within(2.0).mean()) for run in at_risk.values()]

# %% id="spot-figure"
cost, late_share = dict(zip(at_risk, usd_hour, strict=True)), dict(zip(at_risk, late, strict=True))
title = f"6 spot replicas cost {100 * cost['6 spot'] / cost['5 on demand']:.0f} % of 5 on demand; "
title += f"{late_share['6 spot']:.1f} % are late against {late_share['5 on demand']:.1f} %"
note = f"{by_formula}; L4 {price.usd_per_hour:.2f} and {spot.usd_per_hour:.2f} USD/h ({spot.as_of})"
note += f"; a spot machine lives 2 h, {assumed()}"
dots = Points("", usd_hour, late, labels=[*at_risk])
show(View(title, dots, note), Chart("cost (USD per hour)", "first token after more than 2 s (%)"))

# %% [markdown] id="spot-meaning"
# A spot fleet buys its reliability in numbers, at half the price each. What this picture leaves out: deaths that come
# together. A market takes back *all* machines of a kind at once, so mix zones and keep a floor on demand (chapter 02).

# %% [markdown] id="q7-card" exercise="ch10.q7"
# ### Exercise 7 · enough of them alive
# ●●○ · 6 minutes
#
# Each of `replicas` is alive a share `alive` of the time, independently. `needed` of them carry the load. Return the
# share of time in which at least so many are alive.


# %% id="q7" tags=["exercise"] exercise="ch10.q7"
def availability(replicas, needed, alive):
    """From 0 to 1."""
    ### BEGIN SOLUTION
    return sum(
        comb(replicas, dead) * (1 - alive) ** dead * alive ** (replicas - dead)
        for dead in range(replicas - needed + 1)
    )
    ### END SOLUTION


# %% id="q7-check" tags=["check"] exercise="ch10.q7"
check("ch10.q7", availability)

# %% [markdown] id="q7-hint" exercise="ch10.q7"
# <details><summary>Hint</summary>
#
# How many may be dead at most? Add up the chances of exactly 0, 1, 2, … dead. `comb(n, k)` counts the ways.
# </details>

# %% [markdown] id="q7-solution" exercise="ch10.q7"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="bigger"
# ## 7. More replicas, or bigger ones?
#
# For the same money: four small cards, or a large one? And with eight large cards: eight copies, or one copy that
# spreads over all of them (tensor parallelism)?
#
# **Predict.** Four L4s and one H100 cost about the same an hour. Which carries more chats, and which answers faster
# when hardly anybody is there?

# %% id="bigger-small"
big = gpu_prices("H100 SXM", "RunPod", "on_demand")[0]
equal = {
    f"4 × L4, {4 * price.usd_per_hour:.2f} USD/h": Fleet(chat, 4, routing=fair),
    f"1 × H100, {big.usd_per_hour:.2f} USD/h": Fleet(h100, 1),
}
offered = np.array([0.5, 1, 2, 3, 4, 6, 8, 12, 16, 20, 22, 24])
lines, carried = [], {}
for name, fleet in equal.items():
    seconds = np.array([simulate(chats(rate, 2500), fleet).e2e().p95 for rate in offered])
    keeps = seconds <= 60
    carried[name] = offered[keeps].max()
    lines.append(Line(name, offered[keeps], seconds[keeps]))

# %% id="bigger-small-figure"
few, many = carried.values()
title = f"For the same money one H100 carries {many / few:.0f} times what four L4s do, and answers sooner"
note = f"{by_formula}; prices GCP {price.as_of}, RunPod {big.as_of}; shown up to a p95 of 60 s"
axes = {
    "x": "requests arriving (per second)",
    "y": "answer complete, p95 (s)",
    "x_scale": "log",
    "y_scale": "log",
}
show(View(title, lines, note), Chart(**axes))

# %% [markdown] id="bigger-small-meaning"
# Weights are read once per step for everybody in the batch. Four small cards read four copies of them, slower, and
# have little room left for the caches of requests. A fleet of small cards has its place where one of them is *enough*,
# or where a fifth must be able to die without anybody noticing.
#
# **Predict.** Llama-3.1-70B on eight H100s: four replicas of two cards, two of four, or one of eight. Which is fastest
# at low load, and which carries most?

# %% id="bigger-tp"
curves, heavy = {}, np.array([0.5, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20])
for tp in (2, 4, 8):
    times = step_times(deployment("Llama-3.1-70B", "H100 SXM", gpus=tp, tp=tp, isl=1155, osl=211))
    fleet = Fleet(times, 8 // tp, routing=fair)
    curves[tp] = np.array([simulate(chats(rate, 2500), fleet).e2e().p95 for rate in heavy])
sustained = {tp: heavy[seconds <= 60].max() for tp, seconds in curves.items()}

# %% id="bigger-tp-figure"
lines = []
for tp, seconds in curves.items():
    shown = seconds <= 60
    lines.append(Line(f"{8 // tp} × {tp} cards", heavy[shown], seconds[shown]))
fast, most = min(curves, key=lambda tp: curves[tp][0]), max(sustained, key=sustained.get)
title = f"Lightly loaded, {8 // fast} × {fast} is fastest, {curves[2][0] / curves[fast][0]:.1f} times 4 × 2; "
title += f"{8 // most} × {most} carries most"
note = f"{by_formula}; Llama-3.1-70B in 16 bits on 8 × H100 SXM; shown up to a p95 of 60 s"
axes = {"x": "requests arriving (per second)", "y": "answer complete, p95 (s)", "y_scale": "log"}
show(View(title, lines, note), Chart(**axes))

# %% [markdown] id="bigger-meaning"
# Spreading a copy reads its weights in a fraction of the time, so each answer is faster, and it leaves more room for
# caches. It pays with talk between the cards at every layer, and with a larger piece that dies at once: one card's
# failure takes all eight. Copies share nothing, so they lose nothing to each other.

# %% [markdown] id="world"
# ## 8. On paper: a billion requests a day
#
# No simulator needed, only care. A billion chats a day on Llama-3.1-8B, one H100 each, in three regions of the world.
# What a replica carries we take from the simulator, within the promise of 2 s for the first token (p95).

# %% id="world-capacity"
tries = np.arange(14, 26)
kept = [simulate(chats(rate, 6000), Fleet(h100)).ttft().p95 <= 2 for rate in tries]
per_replica = float(tries[kept].max())
mean_per_s = 1e9 / 86_400
print(f"a replica carries {per_replica:g} requests/s ({by_formula}); the world's mean is {mean_per_s:,.0f}/s")

# %% [markdown] id="world-worked"
# By hand: 10⁹ / 86,400 s is about 11,600 requests a second. At the peak of a day it is 1.8 times as much (assumed).
#
# **Predict.** How many GPUs more than for the mean does it take to carry the peak with *one region down*: half as
# many again, twice, or three times as many?

# %% id="world-plans"
peak = 1.8 * mean_per_s
plans = {
    "the mean": ceil(mean_per_s / per_replica),
    "the peak": ceil(peak / per_replica),
    "peak, 1 of 6 down": 6 * ceil(peak / 5 / per_replica),
    "peak, 1 of 3 down": 3 * ceil(peak / 2 / per_replica),
    "peak, 1 of 2 down": 2 * ceil(peak / per_replica),
}
million = {name: gpus * big.usd_per_hour * 24 * 365 / 1e6 for name, gpus in plans.items()}

# %% id="world-figure"
gpus, usd = plans["peak, 1 of 3 down"], million["peak, 1 of 3 down"]
title = f"With one of three regions down: {gpus:,} GPUs, {usd:.0f} million USD a year"
note = f"derived; H100 {big.usd_per_hour:.2f} USD/h, {published(big.provider, big.as_of)}; peak {assumed()}"
show(View(title, Bars("", [*plans], [*plans.values()]), note), Chart("", "H100s (count)"))

# %% id="world-bill"
bill = pd.DataFrame({"GPUs": plans, "million USD a year": million})
bill["USD per million requests"] = 1e6 * bill["million USD a year"] / (365 * 1000)
bill

# %% [markdown] id="world-meaning"
# N − 1 regions must carry the whole peak, so more regions need *less* to spare: a half with three, a fifth with six.
# A peak that moves around the globe helps, too: while Asia sleeps its GPUs can take Europe's load, if your users can
# bear the way there.
#
# ### How far is it?
#
# Light in glass takes 4.9 µs a kilometre (refractive index 1.468), there and back 9.8. Cables aren't straight: half as
# long again is assumed. No software goes below that.
#
# **Predict.** From Sydney to Virginia and back: 20, 100 or 200 ms at least?

# %% id="world-distance"
places = {
    "Virginia": (39.0, -77.5), "Frankfurt": (50.1, 8.7), "Singapore": (1.3, 103.8),
    "Los Angeles": (34.1, -118.2), "São Paulo": (-23.5, -46.6), "Lagos": (6.5, 3.4),
    "Mumbai": (19.1, 72.9), "Tokyo": (35.7, 139.7), "Sydney": (-33.9, 151.2),
}  # fmt: skip


def round_trip_ms(one, other, detour=1.5):
    """Along the great circle, `detour` times as long. Latitude and longitude in degrees."""
    (lat, lon), (lat_2, lon_2) = np.radians(places[one]), np.radians(places[other])
    cosine = np.sin(lat) * np.sin(lat_2) + np.cos(lat) * np.cos(lat_2) * np.cos(lon - lon_2)
    return 2 * 6371 * np.arccos(cosine) * 4.9e-3 * detour


# %% id="world-latency"
cities = list(places)[3:]
regions = {"one region": ["Virginia"], "three regions": ["Virginia", "Frankfurt", "Singapore"]}
bars = [
    Bars(name, cities, [min(round_trip_ms(city, home) for home in homes) for city in cities])
    for name, homes in regions.items()
]
title = f"The farthest user: {bars[0].y.max():.0f} ms from one region, {bars[1].y.max():.0f} ms from three"
note = f"derived: light in fibre, cables 1.5 × the great circle ({assumed()})"
show(View(title, bars, note), Chart("", "round trip (ms)"))

# %% [markdown] id="world-latency-meaning"
# A connection needs two or three such round trips before the first token (TCP, TLS), and each token after it comes at
# the engine's pace: distance is paid once, not per token. Beside a first token after half a second it matters; beside
# ten seconds of thinking it doesn't. Regions are for failures, for the law, and only then for speed. (Azure measures
# 5 to 72 ms between its regions within North America, and 4 to 134 ms within Asia; October 2019.)

# %% [markdown] id="q8-card" exercise="ch10.q8"
# ### Exercise 8 · a region to lose
# ●●○ · 5 minutes
#
# The world asks for `peak_per_s`, spread evenly over `regions` of equal size. Any one of them may be down at the peak.
# A replica carries `per_replica_per_s` on `gpus_per_replica` GPUs. Return the GPUs in all regions together.


# %% id="q8" tags=["exercise"] exercise="ch10.q8"
def gpus_worldwide(peak_per_s, regions, per_replica_per_s, gpus_per_replica):
    """A whole number."""
    ### BEGIN SOLUTION
    replicas_each = ceil(peak_per_s / (regions - 1) / per_replica_per_s)
    return regions * replicas_each * gpus_per_replica
    ### END SOLUTION


# %% id="q8-check" tags=["check"] exercise="ch10.q8"
check("ch10.q8", gpus_worldwide)

# %% [markdown] id="q8-hint" exercise="ch10.q8"
# <details><summary>Hint</summary>
#
# How many regions carry the peak on the bad day? What must each of them carry then?
# </details>

# %% [markdown] id="q8-solution" exercise="ch10.q8"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="real"
# ## 9. A real cluster
#
# So far a simulator has talked. Now two real replicas start on this machine: **Ray Serve**, a router, two processes
# that serve a tiny model over HTTP with continuous batching. Each step is stretched to 20 ms, about a GPU's, so that
# two of them and a load generator fit on two cores. First a replica's step times are measured. They go into the
# simulator, and then the *same requests at the same times* go through both. In the end one replica is killed while
# requests run. (Where Ray can't start, the recording of such a run is shown, and says so.)
#
# **Predict.** How far will the simulator be off in the median: 10 %, 50 %, or twofold? In which direction?

# %% id="real-run"
real = cluster_run()
print(
    f"{real.label}: up in {real.started_in_s:.0f} s, {real.memory_mb:,.0f} MB with this kernel (PSS, all processes)"
)

# %% id="real-figure"
at = np.array([point["rate_per_s"] for point in real.points])
seen, series = {}, []
for percent, word in ((50, "median"), (95, "p95")):
    for who, kind in (("simulated", Line), ("measured", Points)):
        seen[who, word] = np.array([np.percentile(point[f"{who}_e2e_s"], percent) for point in real.points])
        series.append(kind(f"{word}, {who}", at, seen[who, word]))
off = np.median(seen["measured", "median"] / seen["simulated", "median"] - 1)
tail = np.median(seen["measured", "p95"] / seen["simulated", "p95"] - 1)
title = f"Beside the simulator the real median is {100 * off:+.0f} %, the real p95 {100 * tail:+.0f} %"
top = 1.1 * max(seconds.max() for seconds in seen.values())
axes = {"x": "requests arriving (per second)", "y": "answer complete (s)", "y_range": (0, top)}
show(View(title, series, real.label), Chart(**axes))

# %% [markdown] id="real-meaning"
# The simulator is an optimist: it knows the steps, not the network, the other programs on this machine, or the moment
# that a process waits for its turn. That adds some milliseconds to every answer. Far from the knee they stay
# milliseconds; at the knee a queue multiplies them. So use it to *compare* fleets and to find knees, leave a margin,
# and measure before you promise.

# %% id="real-killed"
lost = real.killed
title = f"A replica killed under load: {lost['finished']} of {lost['requests']} requests answered, "
title += f"{lost['asked_again']} of them asked again"
dots = Points("a request", lost["arrived_s"], lost["e2e_s"])
moment = Line("replica killed", [lost["at_s"]] * 2, [max(lost["e2e_s"]), 0], dash=True)
show(View(title, [dots, moment], real.label), Chart("arrived (s)", "answer complete (s)"))

# %% [markdown] id="real-killed-meaning"
# Requests on the dead replica broke off, and the client sent them again, with the same id, so that each counts once.
# Those few waited longest. Retries make a failure invisible in the *number* of answers; you find it in the tail.

# %% [markdown] id="explorer"
# ### Move it yourself: the autoscaler
#
# The same day, all of its requests, simulated again at every move. The dashed line is what fixed fleets cost and miss.
# The dot is yours: below the line, it beats them.


# %% id="explorer-compute"
reference = Line("fixed fleets", *cost_and_late(fixed.values()), dash=True)


def autoscaled(target, keep_minutes, cold_minutes, min_replicas):
    scaler = Autoscaler("concurrency", target, min_replicas, 16, 15, 0, 60 * keep_minutes)
    run, usd, late = on_the_day(min_replicas, scaler, 60 * cold_minutes)
    title = f"{usd:.0f} USD a day, {late:.1f} % late, {len(run.launched_s)} machines started"
    yours = Points("yours", [usd], [max(late, least)])
    return View(title, (reference, yours), f"{by_formula}; late: first token after more than {slo_s:g} s")


# %% id="explorer-show"
explorer(
    autoscaled,
    {
        "target": Slider(5.0, 1.0, 12.0, 0.5, label="target (requests per replica)"),
        "keep_minutes": Slider(10, 0, 60, 1, unit="min", label="wait before going down"),
        "cold_minutes": Slider(3.0, 0.0, 15.0, 0.5, unit="min", label="cold start"),
        "min_replicas": Slider(1, 0, 8, 1, label="smallest fleet"),
    },
    Chart("cost of the day (USD)", **late_axis, x_range=(20, 280), y_range=(0.008, 100)),
    moving="target",
)

# %% [markdown] id="explorer-questions"
# Try: how short must a cold start be before a target of 8 keeps 1 %? Which does more for your promise, a smaller target
# or a larger smallest fleet? With a cold start of zero, what is left that autoscaling can't win?

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Count replicas from the knee | below it another one is hardly felt, at it everything is |
# | Look twice before you route | two random looks remove most of chance's queues |
# | Affinity with a weight on the queue | the cache alone makes hot spots, the queue alone forgets caches |
# | Pool requests, then take the percentile | a mean of p99s is nobody's p99 |
# | Scale on requests present, never on GPU % | a batching engine is busy as soon as one request is there |
# | Up at once, down late | late up is a queue, late down is a few cents |
# | Count the cold start twice | it is billed, and its queue has to drain afterwards |
# | Zero only for what can wait | where it saves most, nearly every user waits |
# | N + 1, and N − 1 regions | what is left must carry the peak, not the mean |
# | Bigger before more, until one is enough | weights are read once per copy and step |
# | Simulate to compare, measure to promise | the knee is right, the tail is optimistic |

# %% [markdown] id="sources"
# ## Sources
#
# - Lengths: Azure LLM inference trace, Microsoft, 2023-11 (CC BY 4.0), as fits in `data/traffic_lengths.csv`;
#   conversations: Qin et al., *Mooncake*, FAST 2025, fits in `data/conversation_traces.csv`.
# - Two choices: Mitzenmacher, IEEE TPDS 12, 2001. Consistent hash: Thaler and Ravishankar, IEEE/ACM ToN 6, 1998.
# - Continuous batching: Yu et al., *Orca*, OSDI 2022; KV-limited admission: Kwon et al., *vLLM*, SOSP 2023.
# - Autoscaling rules as in Knative, Ray Serve and KEDA, documentation of 2026; forecast: Holt 1957, reprinted in
#   International Journal of Forecasting 20, 2004.
# - Prices: `data/gpu_prices.csv`, a source and a date in each row, read 2026-07 to 2026-09.
# - Fibre: refractive index 1.468 of G.652 fibre at 1,550 nm, data sheets, 2020. Azure's figures: Microsoft, *Azure
#   network round-trip latency statistics*, October 2019.
# - The cluster: Ray Serve 2.x; the recording `data/recorded/cluster_curve.json`, 2026-11.
