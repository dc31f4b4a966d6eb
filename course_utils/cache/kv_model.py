"""Any cache of this package inside a real model: decode with it, time a step with and without, count what is held.

    cache = for_model(model, lambda: QuantizedKv(bits=8))
    logits = step(model, ids, cache)

`for_model` gives transformers a cache whose layers are ours. Taught in: chapter 07.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from course_utils.cache.kv import GrowingKv, LayerKv, WindowKv, storage_bytes


class _Layer(CacheLayerMixin):
    """One of our layers, called as transformers calls its own."""

    is_sliding = False

    def __init__(self, kv: LayerKv):
        super().__init__()
        self.kv = kv
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: our layers make room themselves."""

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        return self.kv.append(key_states, value_states)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        if isinstance(self.kv, WindowKv):
            return self.kv.sees(query_length), 0
        return self.kv.tokens + query_length, 0

    def get_seq_length(self) -> int:
        return self.kv.tokens

    def get_max_length(self) -> int:
        return -1

    def get_max_cache_shape(self) -> int:
        """What `get_max_length` is called in transformers before 5.10."""
        return -1


def for_model(model, make: Callable[[], LayerKv] = GrowingKv) -> Cache:
    """A cache for `model(past_key_values=…)` with one layer from `make` for each of the model's."""
    return Cache(layers=[_Layer(make()) for _ in range(model.config.num_hidden_layers)])


def held_bytes(cache: Cache) -> int:
    """Bytes that a cache really occupies: ours, or transformers' `DynamicCache` and `StaticCache`."""
    ours = sum(layer.kv.held_bytes for layer in cache.layers if isinstance(layer, _Layer))
    theirs = (layer for layer in cache.layers if not isinstance(layer, _Layer))
    return ours + sum(storage_bytes(layer.keys, layer.values) for layer in theirs)


@torch.inference_mode()
def step(model, ids: Tensor, cache: Cache | None = None) -> Tensor:
    """What the model expects after each of `ids`, [batch, tokens, vocabulary]; they follow what the cache holds."""
    return model(input_ids=ids, **_with(model, cache)).logits


@torch.inference_mode()
def generate(model, ids: Tensor, new_tokens: int, cache: Cache | None = None) -> Tensor:
    """The likeliest continuation, [batch, tokens + new_tokens]. Without a cache everything is computed anew for
    each token; with one, only the token before. ValueError for a cache that isn't empty."""
    if cache is not None and cache.get_seq_length():
        raise ValueError(f"cache holds {cache.get_seq_length()} tokens: an empty one is needed")
    fresh = ids
    for _ in range(new_tokens):
        logits = _last(model, ids if cache is None else fresh, cache)
        fresh = logits.argmax(-1)
        ids = torch.cat([ids, fresh], dim=1)
    return ids


def _last(model, ids: Tensor, cache: Cache | None) -> Tensor:
    return model(input_ids=ids, logits_to_keep=1, **_with(model, cache)).logits


def _with(model, cache: Cache | None) -> dict:
    """transformers 5.24 calls the argument `cache`, and warns of what it was before: `past_key_values`."""
    if cache is None:
        return {"use_cache": False}
    return {"cache" if "cache" in signature(model.forward).parameters else "past_key_values": cache}


@dataclass(frozen=True)
class StepTimes:
    """Seconds of one decode step at a context, a sample a turn, with and without a cache, taken in turns."""

    context_tokens: int
    with_cache_s: tuple[float, ...]
    without_s: tuple[float, ...]

    @property
    def speedup(self) -> float:
        """How many times as fast the step is with a cache: fastest sample over fastest sample."""
        return min(self.without_s) / min(self.with_cache_s)


@torch.inference_mode()
def step_times(model, contexts: Sequence[int], turns: int = 3, seed: int = 0) -> tuple[StepTimes, ...]:
    """Time the step after each of `contexts` tokens: the whole sequence again, or one token on a cache.

    Random tokens: time doesn't depend on them. The cache is filled outside the clock. The fastest sample counts,
    because whatever else the machine does can only add. ValueError for a context below 2.
    """
    if min(contexts, default=0) < 2:
        raise ValueError(f"contexts={contexts!r}: at least one, each of 2 tokens or more, is needed")
    generator = torch.Generator().manual_seed(seed)
    longest = max(contexts)
    ids = torch.randint(model.config.vocab_size, (1, longest), generator=generator).to(model.device)

    def clock(ids: Tensor, cache: Cache | None) -> float:
        started = time.perf_counter()
        _last(model, ids, cache)
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    measured = []
    for context in contexts:
        cache = for_model(model)
        last, whole = ids[:, context - 1 : context], ids[:, :context]
        _last(model, whole, cache)
        _last(model, last, cache)  # warm up
        cached, anew = [], []
        for _ in range(turns):
            # The cache grows by one each time: 3 more tokens of hundreds don't change a step.
            cached += [clock(last, cache) for _ in range(3)]
            anew.append(clock(whole, None))
        measured.append(StepTimes(context, tuple(cached), tuple(anew)))
    return tuple(measured)
