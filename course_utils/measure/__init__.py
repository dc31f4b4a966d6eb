"""What does it take here? Honest timing, this machine, its roofs, its tokens; models, their quality and size.

Names arrive on first use: torch and tokenizers load only when something is measured with them.
"""

from importlib import import_module

_HOME = {
    "MedianInterval": "intervals",
    "median_interval": "intervals",
    "Timing": "timing",
    "duration": "timing",
    "time_call": "timing",
    "Comparison": "comparing",
    "Ratio": "comparing",
    "compare": "comparing",
    "judge": "comparing",
    "Gpu": "machine",
    "Machine": "machine",
    "describe": "machine",
    "environment": "machine",
    "Roof": "roofs",
    "Roofs": "roofs",
    "measure_roofs": "roofs",
    "TIERS": "runtime",
    "device": "runtime",
    "fit_threads": "runtime",
    "tier": "runtime",
    "count_tokens": "tokens",
    "token_pieces": "tokens",
    "Loaded": "models",
    "load": "models",
    "load_folder": "models",
    "random_llama": "models",
    "Corpus": "corpus",
    "documentation": "corpus",
    "held_out": "corpus",
    "Difference": "scores",
    "Score": "scores",
    "paired": "scores",
    "accuracy": "choices",
    "bits_per_byte": "quality",
    "cloze": "choices",
    "nearness": "quality",
    "perplexity": "quality",
    "peak_gpu_memory": "footprint",
    "peak_memory": "footprint",
    "saved": "footprint",
    "saved_size": "footprint",
    "tokenizer": "tokens",
    "tokenizers": "tokens",
}
_MODULES = (
    "choices",
    "comparing",
    "conversion",
    "corpus",
    "footprint",
    "intervals",
    "likelihood",
    "machine",
    "models",
    "quality",
    "roofs",
    "runtime",
    "scores",
    "timing",
    "tokens",
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
