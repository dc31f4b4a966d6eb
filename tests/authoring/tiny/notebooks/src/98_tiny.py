# ---
# course:
#   title: A tiny chapter
#   minutes: 5
#   tier: cpu
#   memory_mb: 300
#   seconds: 20
# ---

# %% [markdown] id="objectives"
# After this chapter you can:
#
# 1. turn tokens into dollars.

# %% id="imports"
from course_utils.grading import cases, check

cases.__path__.append("../cases")  # this chapter's questions are not installed

# %% [markdown] id="map"
# {{course_map}}
#
# The code is [on GitHub](https://github.com/ada/costs/blob/main/README.md).

# %% [markdown] id="q1-card" exercise="ch98.q1"
# **Exercise 1** · ●○○ · 3 minutes
#
# Write `cost_usd`: what `tokens` cost at a price per million.


# %% id="q1" tags=["exercise"] exercise="ch98.q1"
def cost_usd(tokens, usd_per_mtok):
    """USD for a number of tokens."""
    ### BEGIN SOLUTION
    return tokens * usd_per_mtok / 1e6
    ### END SOLUTION


# %% id="q1-check" tags=["check"] exercise="ch98.q1"
check("ch98.q1", cost_usd)

# %% [markdown] id="q1-hint" exercise="ch98.q1"
# <details><summary>Hint</summary>
#
# How many tokens does the price buy?
# </details>

# %% [markdown] id="q1-solution" exercise="ch98.q1"
# <details><summary>Solution</summary>
#
# {{solution}}
#
# </details>

# %% id="after"
print("the end is reached, whatever the answer")

# %% [markdown] id="takeaways"
# | Rule | Because |
# |---|---|
# | Divide by a million | prices are per million tokens |

# %% [markdown] id="sources"
# Our own arithmetic, 2026-08.
