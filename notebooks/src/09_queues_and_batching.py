# ---
# course:
#   title: Queues and batching
#   minutes: 130
#   tier: cpu
#   memory_mb: 1000
#   seconds: 90
#   colab: [ray]
# ---

# %% [markdown] id="objectives"
# A service is cheap when its machines are busy, and pleasant when they aren't. This chapter is about that conflict:
# what waiting costs, what it buys, and what happens when more work comes than can be done. After it you can:
#
# 1. check any log of a service with one law, by hand;
# 2. say how long requests wait at a given utilization, and why 100 % is not a goal;
# 3. read p99 beside the mean, and see bursts before your users do;
# 4. choose a batch, a queue and a chunk size for a latency target, and say what each costs per million tokens;
# 5. tell which of timeouts, retries and limits keeps an overloaded service alive, and which one kills it;
# 6. run jobs that may wait through a queue that loses none and counts none twice.

# %% id="imports"
import math
import os
import signal
import tempfile
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd

from course_utils import scale
from course_utils.catalog import api_price, assumed, cheapest, measured_here, published
from course_utils.estimate.deployment import deployment
from course_utils.explore import Bars, Chart, Choice, Line, Points, Slider, View, explorer, show
from course_utils.grading import check
from course_utils.scale import Fleet, Retries, servers, simulate
from course_utils.scale.jobs import JobQueue, run_jobs
from course_utils.scale.step_times import step_times

# %% [markdown] id="service"
# ## 1. A service, and the law that every queue keeps
#
# The service for most of this chapter is one replica: Llama-3.1-8B on one H100, under vLLM's rules. It is
# **simulated**: every step of the engine, every request. How long a step takes is predicted (chapter 02's formulas);
# what happens to whom in which step follows from the rules. The simulator is compiled at its first use on a machine,
# which takes some 10 seconds, once.

# %% id="service-build"
one = deployment("Llama-3.1-8B", "H100 SXM", isl=1155, osl=211)
engine = replace(step_times(one), max_running=256)
price = cheapest("H100 SXM")
replica = Fleet(engine, usd_per_replica_hour=price.usd_per_accelerator_hour)
predicted = "simulated with predicted step times, Llama-3.1-8B on an H100"


def chat(rate_per_s, requests=4000):
    """Requests that come at random, as long as those of a published chat service."""
    return scale.traffic_at(scale.poisson_arrivals(rate_per_s, requests=requests), "azure_conversation")


simulate(chat(5, 10), replica)  # compiles
print(f"{engine.label}; at most {engine.max_running} requests at once")
print(f"{price.usd_per_accelerator_hour:.2f} USD/hour: {published(price.provider, price.as_of)}")
print(f"requests: {chat(5, 10).origin}")

# %% [markdown] id="little"
# Count the requests that are in the service, waiting or being answered, over time. Call the average L. Requests
# arrive at λ a second, and each stays W seconds on average.
#
# **Predict.** 10 requests arrive a second, and each stays about 2.5 seconds. How many are in there on average?

# %% id="little-count"
log = simulate(chat(10), replica)
watched_s = log.duration_s
moments_s = np.linspace(0, watched_s, 400)
arrived, ended_s = log.traffic.arrived_s, np.sort(log.ended_s)
present = np.searchsorted(arrived, moments_s, "right") - np.searchsorted(ended_s, moments_s, "right")
rate, stay_s = len(log.traffic) / watched_s, log.e2e_s.mean()

# %% id="little-figure"
open_to = np.searchsorted(moments_s, arrived[-1])  # then the last ones leave, and nobody comes
lines = (
    Line("rate × stay", [0, arrived[-1] / 60], 2 * [rate * stay_s], dash=True),
    Line("counted", moments_s[:open_to] / 60, present[:open_to]),
)
title = f"{rate:.1f} a second × {stay_s:.2f} s = {rate * stay_s:.1f} requests; counted: {present.mean():.1f}"
show(View(title, lines, predicted), Chart("minutes since the start", "requests in the service"))

# %% [markdown] id="little-meaning"
# That is **Little's law**: L = λ · W. It holds for any queue, any order of service, any distribution, because both
# sides count the same area: the seconds that all requests spent inside. So it checks a log. If your dashboard says
# 10 requests a second, 2 seconds each, and 60 in flight, one of the three is wrong.
#
# By hand: three requests come at 0, 1 and 2 s and leave at 4, 3 and 8 s. Together they stay 4 + 2 + 6 = 12 s. Watched
# for 8 s: 12 / 8 = 1.5 are there on average. And λ · W = (3 / 8) · (12 / 3) = 1.5.

# %% [markdown] id="q1-card" exercise="ch09.q1"
# ### Exercise 1 · how many are in there
# ●○○ · 5 minutes
#
# `arrived_s` and `ended_s` are a log's times, one pair for each request. It was watched for `watched_s` seconds, from
# before the first arrival to after the last end. Return the average number of requests in the service.


# %% id="q1" tags=["exercise"] exercise="ch09.q1"
def mean_present(arrived_s, ended_s, watched_s):
    """Requests, on average over the time watched."""
    ### BEGIN SOLUTION
    stays = sum(end - start for start, end in zip(arrived_s, ended_s, strict=True))
    return stays / watched_s
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch09.q1"
check("ch09.q1", mean_present)

# %% [markdown] id="q1-hint" exercise="ch09.q1"
# <details><summary>Hint</summary>
#
# λ is requests over the time watched, W the mean stay. The number of requests cancels.
# </details>

# %% [markdown] id="q1-solution" exercise="ch09.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="knee"
# ## 2. The knee
#
# First a plain server: one request at a time, first come, first served, one second each on average. The
# **utilization** u is the share of time that it is busy: arrivals a second × seconds of service. Queues are named
# arrivals/service/servers: M is random (exponential), D constant, G anything. Pollaczek and Khinchine (1930) found
# the mean wait of M/G/1, with cv the standard deviation of the service over its mean:
#
# wait = service × u / (1 − u) × (1 + cv²) / 2
#
# **Predict.** Everything takes exactly one second, and the server is busy half of the time. Does anybody wait?

# %% id="knee-simulate"
rng, many = np.random.default_rng(9), 200_000
drawn = {"constant": np.ones(many), "exponential": rng.exponential(1, many)}
drawn["cv = 2"] = rng.gamma(1 / 4, 4, many)
cv = {"constant": 0, "exponential": 1, "cv = 2": 2}
busy = np.array([0.2, 0.4, 0.6, 0.7, 0.8, 0.9])


def plain(arrived_s, service_s, count=1):
    """Mean wait at `count` plain servers with one queue, simulated, in seconds."""
    tokens = np.maximum(1, np.rint(1000 * service_s))  # a token is a millisecond here
    jobs = scale.Traffic(arrived_s, tokens, np.ones(len(tokens)), "jobs", "generated")
    return (simulate(jobs, servers(count, 1e-3, 100_000)).e2e_s - tokens / 1000).mean()


random_s = scale.poisson_arrivals(1, requests=many)
waits = {name: [plain(random_s / u, drawn[name]) for u in busy] for name in drawn}

# %% id="knee-figure"
u = np.linspace(0.02, 0.95, 100)
curves = {name: scale.mg1_wait_s(u, 1.0, cv[name]) for name in drawn}
series = [Line(name, u * 100, curves[name]) for name in drawn]
dots = np.concatenate([*waits.values()])
series.append(Points("simulated", np.tile(100 * busy, 3), dots, labels=len(dots) * [""]))
grows = scale.mm1_wait_s(0.95, 1.0) / scale.mm1_wait_s(0.8, 1.0)
title = f"From 80 to 95 % busy the wait grows {grows:.1f}-fold, and rough service makes it worse"
note = "lines: formula; dots: simulated here, 200,000 requests each; service of 1 s on average"
show(View(title, series, note), Chart("utilization (%)", "mean wait (s)", y_range=(0, 25)))

# %% [markdown] id="knee-meaning"
# Nobody would wait if requests came evenly. They come at random, so sometimes three come at once. The 1 − u below the
# line is the slack that lets a queue drain: at 95 % there is half as much of it as at 90 %, and the wait about doubles.
# Past 100 % there is no wait to speak of: it grows for as long as you watch. So **full use is not a goal**. The goal
# is the highest use at which the wait is still bearable.
#
# ### One queue or many
#
# **Predict.** Ten servers, 90 % busy. Each has its own queue, or they share one. How much shorter is the wait?

# %% id="pool-compute"
counts = np.array([1, 2, 4, 8, 16, 32, 64])
pooled = scale.mmc_wait_s(0.9 * counts, 1.0, counts)
tried = counts[:6]
dots = [plain(random_s / (0.9 * n), drawn["exponential"], int(n)) for n in tried]
ten = scale.mm1_wait_s(0.9, 1.0) / scale.mmc_wait_s(9.0, 1.0, 10)

# %% id="pool-figure"
series = [
    Line("one shared queue", counts, pooled),
    Line("a queue each", counts, np.full(len(counts), pooled[0]), dash=True),
    Points("simulated", tried, dots, labels=len(tried) * [""]),
]
title = f"At 90 %, ten servers with one queue wait {ten:.0f} times less than ten with a queue each"
note = "lines: M/M/c (Erlang C); dots: simulated here; random arrivals, exponential service of 1 s on average"
show(
    View(title, series, note),
    Chart("servers", "mean wait (s)", x_scale="log", y_scale="log", y_range=(0.03, 20)),
)

# %% [markdown] id="pool-meaning"
# With queues of their own, one server idles while the next has a line. Share the queue, or send each request to where
# least is waiting (chapter 10). This is also why large services are cheaper: at the same wait they can be busier.

# %% [markdown] id="q2-card" exercise="ch09.q2"
# ### Exercise 2 · from arrival to answer
# ●●○ · 6 minutes
#
# One server, random arrivals, service of `service_s` on average with a coefficient of variation `service_cv`. Return
# the mean time from a request's arrival to its end, in seconds. The server can carry the load.


# %% id="q2" tags=["exercise"] exercise="ch09.q2"
def time_in_system_s(rate_per_s, service_s, service_cv):
    """Seconds."""
    ### BEGIN SOLUTION
    use = rate_per_s * service_s
    wait_s = service_s * use / (1 - use) * (1 + service_cv**2) / 2
    return wait_s + service_s
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch09.q2"
check("ch09.q2", time_in_system_s)

# %% [markdown] id="q2-hint" exercise="ch09.q2"
# <details><summary>Hint</summary>
#
# The formula above gives the wait. What does a request do after waiting?
# </details>

# %% [markdown] id="q2-solution" exercise="ch09.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q3-card" exercise="ch09.q3"
# ### Exercise 3 · servers for a promise
# ●●● · 12 minutes
#
# Random arrivals, exponential service, n servers with one queue. With the load a = rate × service, Erlang's formulas
# are B(0) = 1, B(n) = a · B(n−1) / (n + a · B(n−1)), and C(n) = n · B(n) / (n − a · (1 − B(n))). C is the chance that
# no server is free, and P(wait > t) = C(n) · e^(−(n − a) · t / service). Return the fewest servers with which at most
# `late_share` of the requests wait longer than `wait_s`.


# %% id="q3" tags=["exercise"] exercise="ch09.q3"
def servers_needed(rate_per_s, service_s, wait_s, late_share):
    """A whole number of servers."""
    ### BEGIN SOLUTION
    load = rate_per_s * service_s

    def late(count, blocked):  # 1 or more where the servers can't carry the load
        waiting = count * blocked / (count - load * (1 - blocked))
        return waiting * math.exp((load - count) * wait_s / service_s)

    count, blocked = 1, load / (1 + load)
    while late(count, blocked) > late_share:
        count += 1
        blocked = load * blocked / (count + load * blocked)
    return count
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch09.q3"
check("ch09.q3", servers_needed)

# %% [markdown] id="q3-hint" exercise="ch09.q3"
# <details><summary>Hint</summary>
#
# Go through n = 1, 2, 3, … and keep B. Where n is below a, P comes out above 1: go on.
# </details>

# %% [markdown] id="q3-solution" exercise="ch09.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="real"
# ## 3. Real traffic
#
# Random arrivals mean that users don't know of each other. Real ones share a working day, a newsletter and a cron job.
# Two published hours of 2023: a chat service, and one for code completion. Where the originals can't be fetched,
# traffic is generated from a fit to them:

# %% id="real-load"
conversation, code = scale.azure_conversation(), scale.azure_code()
for traffic in (conversation, code):
    print(f"{len(traffic):,} requests, {traffic.rate_per_s:.1f} a second; {traffic.origin}")

# %% [markdown] id="real-question"
# Count arrivals in windows of equal length. Variance over mean is the **index of dispersion**: 1 for random arrivals,
# whatever the window.
#
# **Predict.** And for chat, in windows of a minute: 1, 3 or 30?

# %% id="real-dispersion"
windows_s = np.array([0.5, 1, 2, 5, 10, 20, 60])
fast = 16 / conversation.rate_per_s
arrivals = {
    "random": scale.poisson_arrivals(16, requests=15_000),
    "like chat": conversation.scaled(fast).arrived_s[:15_000],
    "like code": code.scaled(16 / code.rate_per_s).arrived_s,
}
spread = {name: [scale.index_of_dispersion(at_s, w) for w in windows_s] for name, at_s in arrivals.items()}

# %% id="real-dispersion-figure"
source = "originals" if "original," in conversation.origin else "generated from fits to them"
azure = f"arrivals of Azure's traces, 2023-11, {source}, all sped up to 16 a second"
title = (
    f"In a minute, chat is {spread['like chat'][-1]:.0f} times and code {spread['like code'][-1]:.0f} times "
)
title += "as uneven as chance"
lines = [Line(name, windows_s, values) for name, values in spread.items()]
axes = {"x": "window (s)", "x_scale": "log", "y": "variance over mean of arrivals", "y_scale": "log"}
show(View(title, lines, azure), Chart(**axes))

# %% [markdown] id="real-service"
# Now serve all three with one replica. The mean rate is the same, and so are the lengths.
#
# **Predict.** Take the p99 of the time to the first token (**TTFT**) under random arrivals. By what factor is it longer
# for those that come like code: 2, 10 or 100?

# %% id="real-simulate"
runs = {
    name: simulate(scale.traffic_at(at_s, "azure_conversation"), replica) for name, at_s in arrivals.items()
}
percent = np.array([1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 92.5, 95, 97.5, 99])
seen = {name: np.nanpercentile(run.ttft_s, percent) for name, run in runs.items()}

# %% id="real-figure"
lines = [Line(name, percent, values) for name, values in seen.items()]
p99 = {name: run.ttft().p99 for name, run in runs.items()}
title = f"p99 at the same mean rate: {p99['random']:.1f} s at random, {p99['like chat']:.1f} s like chat, "
title += f"{p99['like code']:.0f} s like code"
axes = {"x": "requests that wait no longer (%)", "y": "time to first token (s)", "y_scale": "log"}
show(View(title, lines, f"{predicted}; {azure}"), Chart(**axes))

# %% id="real-mean"
table = {
    name: (run.ttft().p50, run.ttft().mean, run.ttft().p99, 100 * (run.ttft_s < run.ttft().mean).mean())
    for name, run in runs.items()
}
columns = ["p50 (s)", "mean (s)", "p99 (s)", "faster than the mean (%)"]
pd.DataFrame(table, index=columns).T.round(2)

# %% [markdown] id="real-meaning"
# With random arrivals most requests are faster than the mean, and the slowest hundredth takes several times as long: a
# mean describes nobody. In a burst the queue fills, and everyone in it waits. Slow requests come together, and one user
# sees several in a row. A replica that carries random arrivals with ease may be far too small for the same number of
# requests in bursts. Promise a percentile, and measure it over hours that have bursts in them. (The traces were sped up
# to fill this replica, so their bursts are shorter than they were. A slower service feels them more.)

# %% [markdown] id="q4-card" exercise="ch09.q4"
# ### Exercise 4 · p99 of a fleet
# ●●○ · 6 minutes
#
# `replicas` is a list; each entry is the list of latencies (seconds) that one replica logged. Return the p99 of all
# requests: the smallest logged value that at least 99 % of the requests don't exceed.


# %% id="q4" tags=["exercise"] exercise="ch09.q4"
def fleet_p99_s(replicas):
    """Seconds."""
    ### BEGIN SOLUTION
    everyone = sorted(value for latencies in replicas for value in latencies)
    rank = -(-99 * len(everyone) // 100)  # rounded up
    return everyone[rank - 1]
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch09.q4"
check("ch09.q4", fleet_p99_s)

# %% [markdown] id="q4-hint" exercise="ch09.q4"
# <details><summary>Hint</summary>
#
# A percentile belongs to a set of requests. Which set, and which place in it once it is sorted?
# </details>

# %% [markdown] id="q4-solution" exercise="ch09.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="engine"
# ## 4. An engine is not a server
#
# A server takes one request at a time. An engine takes many: a step reads the weights once and gives a token to each
# request that is running. More requests make a step a little longer and share its cost.
#
# **Predict.** The GPU works without a break at 5 requests a second. How many can it serve before the queue explodes:
# 6, 10 or about 20?

# %% id="engine-sweep"
rates = np.array([1, 2, 5, 8, 11, 14, 16, 18, 19, 20, 22])
sweep = [simulate(chat(rate, int(240 * rate)), replica) for rate in rates]
table = {
    "GPU busy (%)": [100 * run.utilization for run in sweep],
    "requests inside": [run.e2e_s.sum() / run.duration_s for run in sweep],
    "TTFT p95 (s)": [run.ttft().p95 for run in sweep],
    "TPOT p95 (ms)": [1e3 * run.tpot().p95 for run in sweep],
    "USD per Mtok": [run.usd_per_mtok for run in sweep],
}
pd.DataFrame(table, index=pd.Index(rates, name="requests/s")).round(2)

# %% id="engine-figure"
ttft_s, tpot_s = ([getattr(run, name)().p95 for run in sweep] for name in ("ttft", "tpot"))
knee = rates[np.flatnonzero(np.array(ttft_s) < 1)[-1]]
lines = [Line("TTFT p95", rates, ttft_s), Line("TPOT p95", rates, tpot_s)]
title = f"At {rates[2]} a second the GPU is {100 * sweep[2].utilization:.0f} % busy; "
title += f"TTFT stays below 1 s up to {knee} a second"
money = f"{price.provider} {price.usd_per_accelerator_hour:.2f} USD/h, {price.as_of:%Y-%m}"
show(View(title, lines, predicted), Chart("requests per second", "seconds", y_scale="log"))

# %% [markdown] id="engine-meaning"
# **TPOT** is the time per output token after the first: how fast the answer reads. Both figures have their knee, at a
# rate that the GPU's busy share doesn't show. "GPU 100 %" means that some step is always running, with 1 request in
# it or with 256. Look at the requests inside, the queue and the KV cache instead.
#
# ### What a batch buys
#
# Now limit how many may run at once, and let more wait than can run.
#
# **Predict.** From a batch of 8 to one of 64, the price per million tokens falls. By half, to a third, to an eighth?

# %% id="batch-sweep"
batches = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256])
waiting = chat(1000, 2000)  # all at once: there is always somebody next
full = [simulate(waiting, replace(replica, step_times=replace(engine, max_running=int(b)))) for b in batches]
usd = np.array([run.usd_per_mtok for run in full])
per_token_ms = np.array([1e3 * run.tpot().p50 for run in full])

# %% id="batch-figure"
labels = [f"{b}" for b in batches]
title = f"From a batch of 8 to 64 a token costs {usd[3] / usd[6]:.1f} times less "
title += f"and takes {per_token_ms[6] / per_token_ms[3]:.1f} times as long"
points = (Points("batch", per_token_ms, usd, labels=labels), Line("", per_token_ms, usd))
axes = {"x": "time per output token, p50 (ms)", "y": "USD per million output tokens", "y_scale": "log"}
show(View(title, points, f"{predicted}; {money}; numbers: requests at once"), Chart(**axes))

# %% [markdown] id="batch-meaning"
# At first a batch is nearly free, because the weights are read anyway. Then the KV cache and the prompts' own
# computation take over: the last doubling doubles the time and saves little. Where the curve bends is your choice to
# make, and it is a choice about money, not about taste.

# %% [markdown] id="q5-card" exercise="ch09.q5"
# ### Exercise 5 · dollars for tokens in time
# ●●● · 10 minutes
#
# Each entry of `log` is (sent_s, first_token_s, last_token_s, output_tokens), with 2 tokens or more. An answer is in
# time if its TTFT is at most `ttft_slo_s` and its TPOT at most `tpot_slo_s`. The machines cost `cost_usd`. Return USD
# per million output tokens *of answers in time*. At least one is.


# %% id="q5" tags=["exercise"] exercise="ch09.q5"
def usd_per_good_mtok(log, cost_usd, ttft_slo_s, tpot_slo_s):
    """USD per million tokens."""
    ### BEGIN SOLUTION
    good = 0
    for sent_s, first_s, last_s, tokens in log:
        in_time = first_s - sent_s <= ttft_slo_s and (last_s - first_s) / (tokens - 1) <= tpot_slo_s
        good += tokens * in_time
    return cost_usd / good * 1e6
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch09.q5"
check("ch09.q5", usd_per_good_mtok)

# %% [markdown] id="q5-hint" exercise="ch09.q5"
# <details><summary>Hint</summary>
#
# n tokens have n − 1 gaps between them, and the first token belongs to TTFT. Both limits have to hold.
# </details>

# %% [markdown] id="q5-solution" exercise="ch09.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="static"
# ## 5. Who may join, and when
#
# Early engines batched **statically**: take what waits, run until the *longest* answer is done, take the next.
# **Continuous** batching (Orca, 2022) lets a request join at any step and leave when it is done.
#
# **Predict.** Same GPU, same traffic, at most 64 at once. By what factor does the rate grow that can be served?

# %% id="static-sweep"
steps = np.array([1, 2, 4, 6, 8, 9, 10, 12, 14, 15, 16, 17, 18])
small = replace(replica, step_times=replace(engine, max_running=64))
late = {
    kind: [simulate(chat(rate, int(200 * rate)), replace(small, batching=kind)).ttft().p95 for rate in steps]
    for kind in ("static", "continuous")
}

# %% id="static-figure"
most = {kind: steps[np.array(values) < 10].max() for kind, values in late.items()}
alike = late["static"][4] / late["continuous"][4]
title = (
    f"p95 stays below 10 s up to {most['static']} a second with static batches, {most['continuous']} with "
)
title += f"continuous ones; at {steps[4]} it is {alike:.0f} times shorter"
lines = [Line(kind, steps, values) for kind, values in late.items()]
axes = {"x": "requests per second", "y": "seconds to the first token, p95", "y_scale": "log"}
show(View(title, lines, f"{predicted}; at most 64 at once"), Chart(**axes))

# %% [markdown] id="static-meaning"
# Two things go wrong with a static batch. Whoever comes late waits for the longest answer of a batch that it isn't
# in. And places fall empty one by one while that answer runs. The shorter most answers are beside the longest, the
# more you lose.

# %% [markdown] id="chunk"
# ## 6. Prompts in chunks
#
# A new prompt of 2,000 tokens fills one long step, and everybody else's next token waits for it. **Chunked prefill**
# (Sarathi, 2023) gives a step a budget of tokens: first one for each running answer, the rest for pieces of prompts.
# The **inter-token latency** (ITL) is the gap between two tokens. TPOT averages it, and so hides the stutter.
#
# **Predict.** Smaller budgets make gaps shorter. What do they make longer?

# %% id="chunk-sweep"
budgets = np.array([256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192])
prompts = scale.traffic_at(scale.poisson_arrivals(9, requests=2500), "azure_code")
chunked = [simulate(prompts, replace(small, step_tokens=int(budget))) for budget in budgets]
first_ms = [1e3 * run.ttft().p95 for run in chunked]
gap_ms = [1e3 * run.itl_s(99) for run in chunked]

# %% id="chunk-figure"
lines = [Line("TTFT p95", budgets, first_ms), Line("ITL p99", budgets, gap_ms)]
title = f"From {budgets[-1]:,} to {budgets[2]} tokens a step, the gaps fall from {gap_ms[-1]:.0f} to "
title += f"{gap_ms[2]:.0f} ms; the first token takes {first_ms[2] / first_ms[-1]:.1f} times as long"
axes = {"x": "tokens per step", "x_scale": "log", "y": "milliseconds", "y_scale": "log"}
chunk_note = (
    f"{predicted}; 9 requests/s with the lengths of Azure's code trace: {prompts.input_tokens.mean():,.0f} in"
)
show(View(title, lines, chunk_note), Chart(**axes))

# %% [markdown] id="chunk-meaning"
# A small budget keeps every step short, and a prompt needs more of them. Each step also has a price of its own (the
# weights are read again), so far to the left the engine hardly keeps up, and the first token waits in a queue.
# Set the budget by the gap that your users may see, not lower.

# %% [markdown] id="q6-card" exercise="ch09.q6"
# ### Exercise 6 · the largest chunk
# ●●○ · 6 minutes
#
# A step takes `fixed_s` + `token_s` for each token in it. `running` answers get one token each, the rest of the step
# is a chunk of a prompt. Return the largest chunk, in whole tokens, with which a step takes at most `itl_s`; 0 if
# there is no room.


# %% id="q6" tags=["exercise"] exercise="ch09.q6"
def largest_chunk(fixed_s, token_s, running, itl_s):
    """A whole number of tokens."""
    ### BEGIN SOLUTION
    tokens = math.floor((itl_s - fixed_s) / token_s)
    return max(0, tokens - running)
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch09.q6"
check("ch09.q6", largest_chunk)

# %% [markdown] id="q6-hint" exercise="ch09.q6"
# <details><summary>Hint</summary>
#
# How many tokens fit into the step at all? Who is served first?
# </details>

# %% [markdown] id="q6-solution" exercise="ch09.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="overload"
# ## 7. More than can be done
#
# Above its capacity a service can't answer everyone. What it can choose is whom it fails. Say that an answer is good
# if it starts within 2 seconds and then has 75 ms a token at most. Good answers a second are the **goodput**.
#
# **Predict.** At twice the capacity, how much of its goodput is left: all, half, or next to nothing?

# %% id="overload-sweep"
asked = np.array([8, 12, 16, 18, 20, 22, 25, 30, 35, 40])
kinds = {
    "everyone waits": replica,
    "at most 20 wait": replace(replica, queue_limit=20),
    "15 s, then gone": replace(replica, timeout_s=15),
}
good = {kind: [] for kind in kinds}
for rate in asked:
    crowd = chat(rate, int(300 * rate))
    for kind, fleet in kinds.items():
        good[kind].append(simulate(crowd, fleet).within(2, 0.075).sum() / crowd.duration_s)

# %% id="overload-figure"
left = {kind: values[-1] / max(values) for kind, values in good.items()}
title = f"At {asked[-1]} a second {100 * left['everyone waits']:.0f} % of the best goodput are left, "
title += f"and {100 * left['at most 20 wait']:.0f} % where at most 20 may wait"
lines = [Line(kind, asked, values) for kind, values in good.items()]
show(View(title, lines, f"{predicted}; 300 s each"), Chart("requests per second", "good answers per second"))

# %% [markdown] id="overload-meaning"
# Without a limit all requests are answered, and all too late: the GPU works at full speed for nobody. A **bounded
# queue** says no at once to those who would have waited in vain (HTTP 429), and everyone else gets a good answer. That
# is **back-pressure**: the refusal tells the caller to slow down. A timeout alone is no help: work that was done for
# an answer nobody reads is lost.
#
# ### Who goes first
#
# Not everything is equally urgent. Chat at 12 a second shares the replica with reports at 10, together more than it
# can carry. With **priorities**, chat is served first.

# %% id="priority-simulate"
arriving = {"chat": chat(12, 2400), "reports": chat(10, 2000)}
mixed = {
    "first come": scale.merge_traffic(arriving),
    "chat first": scale.merge_traffic(arriving | {"chat": replace(arriving["chat"], priority=np.ones(2400))}),
}
p95 = {}
for order, traffic in mixed.items():
    ttft_s = simulate(traffic, replica).ttft_s
    p95[order] = [np.nanpercentile(ttft_s[traffic.tenant == tenant], 95) for tenant in (0, 1)]

# %% id="priority-figure"
title = f"Chat first: its p95 falls from {p95['first come'][0]:.1f} to {p95['chat first'][0]:.2f} s, "
title += f"reports wait {p95['chat first'][1] / p95['first come'][1]:.1f} times as long"
series = [Bars(order, ["chat", "reports"], values) for order, values in p95.items()]
show(View(title, series, f"{predicted}; 200 s of traffic"), Chart("", "time to first token, p95 (s)"))

# %% [markdown] id="priority-meaning"
# Priorities create no capacity. They move the waiting to those who mind it least, and only as long as there are enough
# of them. Under an overload that lasts, the lower class is never served: give it a limit, or another place to go.
#
# ### Retries
#
# Clients that time out ask again. Below, 12 requests a second are well within capacity. Between second 120 and 180
# twice as many come. Clients lose patience after 15 seconds.
#
# **Predict.** The spike ends at 180 s. When is the service well again, if clients retry five times at once?

# %% id="retry-simulate"
spike = scale.varying_arrivals(
    lambda t: np.where((t >= 120) & (t < 180), 24.0, 12.0), 24.0, duration_s=900, seed=0
)
spiked = scale.traffic_at(spike, "azure_conversation")
impatient = replace(replica, timeout_s=15)
bounded = replace(impatient, queue_limit=20, step_times=replace(engine, max_running=128))
clients = {
    "no retries": impatient,
    "5 at once": replace(impatient, retries=Retries(5, backoff_s=0, factor=1, jitter=0)),
    "1 at most": replace(impatient, retries=Retries(1, backoff_s=1)),
    "5, backing off": replace(impatient, retries=Retries(5, backoff_s=2, factor=4, jitter=0.5)),
    "5, bounded queue": replace(bounded, retries=Retries(5, backoff_s=1, factor=2, jitter=0.5)),
}
storms = {name: simulate(spiked, fleet) for name, fleet in clients.items()}

# %% id="retry-figure"
edges_s = np.arange(0, 841, 30)  # the last minute's are saved by the end of the traffic
came = np.histogram(spiked.arrived_s, edges_s)[0]
answered = {
    name: 100 * np.histogram(spiked.arrived_s[run.finished], edges_s)[0] / came
    for name, run in storms.items()
}
lines = [Line(name, (edges_s[1:] + edges_s[:-1]) / 120, values) for name, values in answered.items()]
melted = answered["5 at once"][-4:].mean()
title = f"The spike ends at minute 3. With 5 retries at once, {melted:.0f} % are answered in minute 13"
shown = Chart("minute of arrival", "answered in the end (%)", y_range=(0, 105))
show(View(title, lines, f"{predicted}; timeout of 15 s"), shown)

# %% id="retry-table"
columns = {
    "answered (%)": [100 * run.finished.mean() for run in storms.values()],
    "tries per request": [run.attempts.mean() for run in storms.values()],
    "p95 of those answered (s)": [run.e2e().p95 for run in storms.values()],
}
pd.DataFrame(columns, index=list(storms)).round(1)

# %% [markdown] id="retry-meaning"
# The service is **metastable** (Bronson et al., 2021): the cause is gone, and it stays down. Every request comes
# several times, nearly all of the work is for clients that have hung up, and so the next ones time out, too. It ends
# when the load is taken away, or by three means:
#
# - **few retries**: a budget, such as one, or a tenth of all requests;
# - **backoff with jitter**: later, and not all together. Alone it is slow, because the tries are only spread out;
# - a **bounded queue**, and a batch small enough that what is started is finished in time. (Try the last line with a
#   batch of 256: the queue is short, and yet many answers take longer than 15 seconds.)

# %% [markdown] id="q7-card" exercise="ch09.q7"
# ### Exercise 7 · what retries add
# ●●○ · 6 minutes
#
# Users ask `rate_per_s` times a second. Each try fails with probability `fail_share`, independently, and is then
# repeated, up to `retries` times. Return the tries a second that reach the service.


# %% id="q7" tags=["exercise"] exercise="ch09.q7"
def tries_per_s(rate_per_s, fail_share, retries):
    """Tries a second, the first ones included."""
    ### BEGIN SOLUTION
    return rate_per_s * sum(fail_share**k for k in range(retries + 1))
    ### END SOLUTION


# %% id="q7-check" tags=["check"] exercise="ch09.q7"
check("ch09.q7", tries_per_s)

# %% [markdown] id="q7-hint" exercise="ch09.q7"
# <details><summary>Hint</summary>
#
# Everyone tries once. Who tries a second time, and a third? Add them up; the last retry isn't repeated.
# </details>

# %% [markdown] id="q7-solution" exercise="ch09.q7"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="omission"
# ### A test that looks away
#
# A load test with one user who asks, waits for the answer, and asks again is a **closed loop**. An **open loop** sends
# when the traffic says so. Take a server with 10 ms of service that stops for 5 seconds now and then.
#
# **Predict.** The closed loop reports a p99 of under 50 ms. What do users see who come 50 times a second?

# %% id="omission-simulate"
service_s = np.random.default_rng(1).exponential(0.01, 20_000)
service_s[[3000, 8000, 13_000, 18_000]] = 5  # it stops four times
tokens = np.maximum(1, np.rint(1e4 * service_s))
users = scale.Traffic(
    scale.poisson_arrivals(50, requests=20_000), tokens, np.ones(20_000), "users", "generated"
)
open_s = simulate(users, servers(1, 1e-4, 100_000)).e2e_s
closed_s = tokens / 1e4  # one user never meets a queue: latency is service

# %% id="omission-figure"
at = np.concatenate([np.arange(10, 90, 5), np.arange(90, 99.8, 0.25)])
lines = [Line(name, at, np.percentile(x, at)) for name, x in (("open", open_s), ("closed", closed_s))]
both = [np.percentile(x, 99) for x in (closed_s, open_s)]
title = f"The closed loop reports a p99 of {1e3 * both[0]:.0f} ms, users see {both[1]:.1f} s"
axes = {"x": "requests that take no longer (%)", "y": "latency (s)", "y_scale": "log"}
show(View(title, lines, f"simulated plain server; service and stops {assumed()}"), Chart(**axes))

# %% [markdown] id="omission-meaning"
# During a stop, the closed loop sends nothing and counts one slow request. 250 users would have come in the same five
# seconds. Tene calls it **coordinated omission** (2013): the test waits together with what it tests. Send by a
# clock, count from when a request was *meant* to leave, and use `open_loop` of this library (chapter 10 does).

# %% [markdown] id="jobs"
# ## 8. Jobs that may wait
#
# Nobody watches a nightly report being written. Such jobs go into a **queue** that outlives its workers. A worker
# **leases** a job for some seconds and says when it is done. A worker that dies says nothing, its lease runs out, and
# somebody else gets the job: it is delivered **at least once**, and now and then twice. So workers must be
# **idempotent**: doing a job again must not change the result. Here each result is kept under its job's key, once.
#
# This is real: a queue on disk, two workers as Ray tasks on this machine, and one that gets killed at its work.
#
# **Predict.** 24 jobs, one worker killed. How many deliveries, how many results?

# %% id="jobs-work"
texts = {f"report-{i}": "word " * (10 + i) for i in range(24)}


def count_words(job):
    time.sleep(0.05)  # in place of a model
    return len(job["text"].split())


def kill_one(queue, over):
    while not (workers := queue.workers()) and not over.wait(0.02):
        pass
    for worker in workers[:1]:
        os.kill(worker, signal.SIGKILL)


# %% id="jobs-run"
with tempfile.TemporaryDirectory() as folder:
    queue = JobQueue(os.path.join(folder, "jobs.sqlite"), lease_s=1)
    for key, text in texts.items():
        queue.put(key, {"text": text})
    over = threading.Event()
    killer = threading.Thread(target=kill_one, args=[queue, over])
    killer.start()
    try:
        done, results = run_jobs(queue, count_words, workers=2), queue.results()
    finally:
        over.set()
        killer.join()
right = sum(results[key] == len(text.split()) for key, text in texts.items())

# %% id="jobs-figure"
title = f"{done.deliveries} deliveries, {len(results)} results: {len(texts) - len(results)} lost, none counted twice"
names = ["jobs", "deliveries", "results", "right results"]
bars = Bars("", names, [len(texts), done.deliveries, len(results), right])
show(View(title, bars, f"{measured_here()}; two Ray tasks, one worker killed"), Chart("", "number"))

# %% [markdown] id="jobs-meaning"
# Whoever counts *deliveries* counts one job twice: an invoice sent twice, a bonus paid twice. "Exactly once" is what
# you get from at least once plus a key. Three more settings matter in practice: a lease longer than the longest job
# (or one that is extended while it runs), a limit of deliveries after which a job is put aside, so that one that kills
# its workers doesn't kill them all, and a bound, so that those who bring work feel back-pressure here as well.
#
# ### What waiting is worth
#
# Work that may wait costs less. An API gives a discount for an answer within a day. Your own GPU runs at its largest
# batch, and fills the hours that are paid for anyway.

# %% id="discount-compute"
names = ["gpt-5-mini", "claude-haiku-4-5"]


def million_usd(rates):
    """A million answer tokens, with their prompts (1,155 in for 211 out), in USD."""
    return rates.input_usd_per_mtok * 1155 / 211 + rates.output_usd_per_mtok


now = [million_usd(api_price(name).tiers()[0]) for name in names] + [sweep[4].usd_per_mtok]
later = [million_usd(api_price(name).tiers(batch=True)[0]) for name in names] + [full[-1].usd_per_mtok]

# %% id="discount-figure"
series = [
    Bars(kind, [*names, "Llama-3.1-8B, own"], values) for kind, values in (("now", now), ("later", later))
]
saved = 100 * (1 - later[2] / now[2])
title = f"What may wait costs {100 * (1 - later[0] / now[0]):.0f} % less at the API, {saved:.0f} % less on the own GPU"
as_of = api_price(names[0]).as_of
note = f"prices: genai-prices, {as_of:%Y-%m}; own: simulated, {rates[4]} requests/s against a batch of 256, {money}"
show(View(title, series, note), Chart("", "a million answer tokens, prompts included (USD)"))

# %% [markdown] id="discount-meaning"
# These are three different models: compare each with itself. (Chapter 11 compares them with each other.) If users fill
# a GPU only by day, work for the night costs nothing but electricity, as long as there is enough of it.

# %% [markdown] id="explorer"
# ## 9. Move it yourself: a service
#
# Every move simulates 3,000 requests again, from the first to the last.


# %% id="explorer-compute"
base = {name: scale.traffic_at(at_s[:3000], "azure_conversation") for name, at_s in arrivals.items()}
shares = np.concatenate([np.arange(2, 98, 4), [98, 99]])


def service(rate_per_s, replicas, batch, chunk, traffic):
    came = base[traffic].scaled(rate_per_s / base[traffic].rate_per_s)
    times = replace(engine, max_running=min(batch, chunk))
    fleet = replace(replica, step_times=times, replicas=replicas, step_tokens=chunk)
    began = time.perf_counter()
    run = simulate(came, replace(fleet, routing=scale.Routing("least_outstanding")))
    took_ms = 1e3 * (time.perf_counter() - began)
    first, each = (np.nanpercentile(x, [*shares, 95]) for x in (run.ttft_s, run.tpot_s))
    title = f"p95: TTFT {first[-1]:.2f} s, TPOT {1e3 * each[-1]:.0f} ms; {run.usd_per_mtok:.2f} USD per million tokens"
    lines = (Line("TTFT", shares, first[:-1]), Line("TPOT", shares, each[:-1]))
    return View(title, lines, f"{predicted}; 3,000 requests, simulated in {took_ms:.0f} ms; {money}")


# %% id="explorer-show"
live = explorer(
    service,
    {
        "rate_per_s": Slider(14, 1, 100, log=True, unit="per s", label="requests"),
        "replicas": Slider(1, 1, 8, 1, label="replicas"),
        "batch": Choice(256, [4, 8, 16, 32, 64, 128, 256], label="batch, at most"),
        "chunk": Choice(2048, [256, 512, 1024, 2048, 4096, 8192], label="tokens per step"),
        "traffic": Choice("random", [*base], label="arrivals"),
    },
    Chart("requests that are as fast (%)", "seconds", y_scale="log", y_range=(0.005, 1000)),
    moving="rate_per_s",
)
live

# %% id="explorer-time"
print(f"One update took {live.compute_ms:.0f} ms, the drawing not counted ({measured_here()}).")

# %% [markdown] id="explorer-questions"
# Try: which rate does one replica carry with a TTFT p95 of 1 second? Do two carry twice as much, with arrivals like
# code as well? At 8 a second, what does a batch of at most 8 do to TTFT, and one of 64 to TPOT? Why does the price
# per token follow the rate, and hardly the batch or the chunk, as long as the queue doesn't grow?

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Check a log with L = λ · W | it holds for every queue; if it doesn't, the log is wrong |
# | Don't aim at 100 % | the wait goes with 1 / (1 − u) |
# | Share one queue | nobody idles while somebody waits |
# | Promise p99, not the mean | the mean describes nobody, and bursts bring slow requests together |
# | Never average percentiles | p99 belongs to a set of requests: pool the logs |
# | "GPU busy" is no load | a step runs with one request in it or with 256 |
# | Choose the batch by TPOT and price | the first doublings are nearly free, the last buys little |
# | Continuous batching, chunked prompts | nobody waits for the longest answer, or for a stranger's prompt |
# | Bound the queue and say no early | late answers cost as much as good ones |
# | Few retries, later, with jitter | retries multiply the load just when there is too much |
# | Test in an open loop | a test that waits for answers doesn't see the queue |
# | At least once, plus a key | that is what "exactly once" is made of |
# | Let wait what may wait | it fills machines that are paid for, and APIs charge half |

# %% [markdown] id="sources"
# ## Sources
#
# - Queues: Little, Operations Research 9, 1961; Kleinrock, *Queueing Systems* 1, 1975 (Pollaczek-Khinchine, Erlang C).
# - Traffic: Azure/AzurePublicDataset, traces of 2023-11 (CC BY 4.0; Patel et al., *Splitwise*, ISCA 2024), or fits to
#   them: `data/traffic_fits.csv`, `data/traffic_lengths_by_rank.csv`.
# - Batching: Yu et al., *Orca*, OSDI 2022; Kwon et al., *PagedAttention*, SOSP 2023; Agrawal et al., *Sarathi*, 2023,
#   and *Sarathi-Serve*, OSDI 2024.
# - Overload: Bronson et al., *Metastable Failures in Distributed Systems*, HotOS 2021; Brooker, *Exponential Backoff
#   and Jitter*, AWS 2015; Tene, *How NOT to Measure Latency*, 2013.
# - Step times: the formulas of chapter 02 with constants fitted to published measurements, 2026-11. Prices:
#   `data/gpu_prices.csv`, genai-prices, 2026-11.
