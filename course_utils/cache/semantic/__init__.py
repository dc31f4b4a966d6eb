"""Semantic caching: an answer is given again to a question that asks the same. The only cache that can be wrong.

Names arrive on first use: torch loads with the first embedding.
"""

from course_utils.lazy import front_door

_HOME = {
    "Embedder": "embedding",
    "Guard": "guard",
    "differences": "guard",
    "plain_words": "wording",
    "Pair": "pairs",
    "fow_pairs": "pairs",
    "read_pairs": "pairs",
    "Thresholds": "threshold",
    "Share": "threshold",
    "Entry": "store",
    "MemoryStore": "store",
    "Store": "store",
    "StoreUnavailable": "store",
    "SqliteStore": "sqlite_store",
    "Scope": "scope",
    "history_key": "scope",
    "Lookup": "cache",
    "SemanticCache": "cache",
}
_MODULES = (
    "cache",
    "embedding",
    "guard",
    "index",
    "money",
    "pairs",
    "scope",
    "sqlite_store",
    "store",
    "threshold",
    "wording",
)
__all__ = sorted([*_HOME, *_MODULES])
__getattr__, __dir__ = front_door(__name__, _HOME, _MODULES)
