"""Semantic caching: an answer is given again to a question that asks the same. The only cache that can be wrong.

Names arrive on first use: torch loads with the first embedding.
"""

from importlib import import_module

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


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *__all__])
