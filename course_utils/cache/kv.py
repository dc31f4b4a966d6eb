"""What decode keeps so as not to compute it twice: keys and values of every token so far, in every layer.

A layer's cache takes the keys and values of the new tokens and gives back all that a query may look at:

    cache = GrowingKv()
    keys, values = cache.append(new_keys, new_values)     # both [batch, kv_heads, tokens, head_dim]
    out = attend(queries, keys, values)

`GrowingKv` makes room as it goes, `StaticKv` once; `WindowKv` forgets the middle. Rounded ones are in `kv_quantized`,
blocks with a table in `kv_paged`, the latent of MLA in `kv_latent`; `kv_model` puts any of them into a real model.

Sources: Shazeer, "Fast Transformer Decoding", 2019 (what decode reads); Ainslie et al., "GQA", EMNLP 2023;
Xiao et al., "Efficient Streaming Language Models with Attention Sinks", ICLR 2024, section 3.
Taught in: chapter 07.
"""

from math import sqrt
from typing import Protocol

import torch
from torch import Tensor


class LayerKv(Protocol):
    """One layer's cache. `tokens`: seen so far; `held_bytes`: memory that it really occupies, room in reserve too."""

    tokens: int

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]: ...

    @property
    def held_bytes(self) -> int: ...


def attend(queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √d) v for the newest tokens, each seeing itself and what came before it.

    queries: [batch, heads, new, head_dim]; keys, values: [batch, kv_heads, tokens, head_dim], the new ones last.
    Query heads share key heads in groups of heads / kv_heads; no key is copied for that.
    seen: bool [new, tokens], another mask than the causal one. Returns [batch, heads, new, value's head_dim].
    ValueError where the heads don't divide.
    """
    batch, heads, new, width = queries.shape
    kv_heads, tokens = keys.shape[1], keys.shape[2]
    if heads % kv_heads:
        raise ValueError(
            f"queries have {heads} heads, keys {kv_heads}: the first must be a multiple of the second"
        )
    grouped = queries.reshape(batch, kv_heads, heads // kv_heads * new, width)
    scores = (grouped @ keys.mT / sqrt(width)).view(batch, kv_heads, -1, new, tokens)
    mask = causal(new, tokens, queries.device) if seen is None else seen
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    out = weights.view(batch, kv_heads, -1, tokens) @ values
    return out.reshape(batch, heads, new, values.shape[-1])


def causal(new: int, tokens: int, device=None) -> Tensor:
    """Which of `tokens` each of the last `new` sees: bool [new, tokens]."""
    return torch.ones(new, tokens, dtype=torch.bool, device=device).tril(tokens - new)


def windowed(tokens: int, window: int, sinks: int = 0, device=None) -> Tensor:
    """Who sees whom with a window: the last `window` tokens, itself among them, and the first `sinks`.

    bool [tokens, tokens]; row q is what token q sees. ValueError for a window below 1 or negative sinks.
    """
    _check_window(window, sinks)
    at = torch.arange(tokens, device=device)
    near = at[:, None] - at[None, :] < window
    return causal(tokens, tokens, device) & (near | (at < sinks))


class GrowingKv:
    """Room is made for each new token: everything is copied every time. What `DynamicCache` does."""

    def __init__(self):
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    @property
    def tokens(self) -> int:
        return 0 if self.keys is None else self.keys.shape[2]

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        if self.keys is not None:
            keys = torch.cat([self.keys, keys], dim=2)
            values = torch.cat([self.values, values], dim=2)
        self.keys, self.values = keys, values
        return keys, values

    @property
    def held_bytes(self) -> int:
        return storage_bytes(self.keys, self.values)


class StaticKv:
    """Room for `max_tokens` from the start: a new token is written into its place. What `StaticCache` does.

    Half-empty for most of its life, but it never moves, which compiled code and CUDA graphs need.
    """

    def __init__(self, max_tokens: int):
        if max_tokens < 1:
            raise ValueError(f"max_tokens={max_tokens!r}: at least 1 is needed")
        self.max_tokens = max_tokens
        self.tokens = 0
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        first, end = self.tokens, self.tokens + keys.shape[2]
        if end > self.max_tokens:
            raise ValueError(
                f"max_tokens={self.max_tokens!r}: {end} tokens don't fit, make more room at the start"
            )
        if self.keys is None:
            self.keys, self.values = (
                one.new_zeros(*one.shape[:2], self.max_tokens, one.shape[3]) for one in (keys, values)
            )
        self.keys[:, :, first:end] = keys
        self.values[:, :, first:end] = values
        self.tokens = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    @property
    def held_bytes(self) -> int:
        return storage_bytes(self.keys, self.values)


class WindowKv:
    """The first `sinks` tokens and the last `window`: memory stops growing, and what is between is forgotten.

    Without sinks a model breaks once its first tokens leave: attention that has nowhere to go goes to them.
    Keys keep the position that they were computed at (StreamingLLM numbers them anew within the cache, which reaches
    beyond the trained context; this doesn't). A prompt of many tokens is seen whole, then cut.
    """

    def __init__(self, window: int, sinks: int = 4):
        _check_window(window, sinks)
        self.window, self.sinks = window, sinks
        self.tokens = 0
        self._kept = GrowingKv()

    def sees(self, new: int) -> int:
        """How many tokens `append` will give back for `new` more."""
        kept = self._kept.tokens + new
        return min(kept, self.sinks + self.window) if new == 1 else kept

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        self.tokens += keys.shape[2]
        seen = self._kept.append(keys, values)
        if (extra := self._kept.tokens - self.sinks - self.window) > 0:
            kept = [
                torch.cat([one[:, :, : self.sinks], one[:, :, self.sinks + extra :]], dim=2) for one in seen
            ]
            self._kept.keys, self._kept.values = kept
            # One new token sees what is left; of many, the later still saw what the earlier will not keep.
            if keys.shape[2] == 1:
                return kept[0], kept[1]
        return seen

    @property
    def held_bytes(self) -> int:
        return self._kept.held_bytes


def storage_bytes(*tensors: Tensor | None) -> int:
    """Bytes of the memory behind tensors, each piece of memory once: a view of a large tensor holds all of it."""
    held = {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors if one is not None
    }
    return sum(held.values())


def _check_window(window: int, sinks: int) -> None:
    if window < 1:
        raise ValueError(f"window={window!r}: at least 1 is needed, the token itself")
    if sinks < 0:
        raise ValueError(f"sinks={sinks!r}: 0 or more is needed")
