"""A benchmark that can be defended: variants of a model, measured, compared on a front, chosen under limits.

    run = benchmark.run(benchmark.USUAL, "benchmark.csv", seed=7)      # quality in parallel, then timings alone
    table = benchmark.summary(run)                                     # a row a variant, with intervals
    benchmark.recommend(table, limits, goal)                           # the best that keeps them, or what binds

`variants` says what can be measured, `measuring` measures one, `harness` all of them, `results` reads the CSV,
`pareto` and `choosing` decide, `capstone` draws a task from a seed and checks a recommendation.
Taught in: chapter 12.
"""

from course_utils.lazy import front_door

_HOME = {
    "USUAL": "variants",
    "Variant": "variants",
    "variant": "variants",
    "Run": "results",
    "read": "results",
    "priced": "results",
    "summary": "results",
    "run": "harness",
    "dominators": "pareto",
    "front": "pareto",
    "Impossible": "choosing",
    "recommend": "choosing",
    "verdicts": "choosing",
    "Assessment": "capstone",
    "Task": "capstone",
    "assess": "capstone",
    "task": "capstone",
}
_MODULES = ("capstone", "choosing", "harness", "measuring", "pareto", "results", "variants")
__all__ = sorted([*_HOME, *_MODULES])
__getattr__, __dir__ = front_door(__name__, _HOME, _MODULES)
