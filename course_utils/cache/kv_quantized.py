"""Keys and values in few bits: keys rounded per channel, values per token, the newest tokens left as they are.

A key's channels differ in size far more than its tokens do: a few channels are large in every token. A scale that is
shared along a channel loses little there, one shared along a token loses the small channels. Values hardly have such
channels, and a scale per token lets each be rounded alone. A key has to wait for its group: the newest tokens, fewer
than `group_tokens`, stay in full precision.

A group of numbers x becomes whole numbers q = round((x − low) / step), with step = (high − low) / (2^bits − 1);
low and step are kept in 16 bits. This is the rounding of transformers' `QuantizedCache` with the backend quanto,
axis_key=-1 and axis_value=0, whose codes these equal.

Source: Liu et al., "KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache", ICML 2024, sections 3 and 4.
Taught in: chapter 07.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from course_utils.cache.kv import storage_bytes

AXES = ("channel", "token")


@dataclass(frozen=True, eq=False)
class RoundedKv:
    """A block of rounded keys or values. codes: uint8 [batch, kv_heads, tokens, stored width], 8 / bits to a byte.

    low, step: [batch, kv_heads, 1 or tokens, head_dim or groups], of the size that the group asks for.
    """

    codes: Tensor
    low: Tensor
    step: Tensor
    bits: int
    axis: str

    def restore(self, dtype: torch.dtype) -> Tensor:
        """The numbers that the codes stand for, [batch, kv_heads, tokens, head_dim]."""
        codes = unpacked(self.codes, self.bits).float()
        groups = codes if self.axis == "channel" else codes.unflatten(-1, (self.low.shape[-1], -1))
        low, step = (
            one.float() if self.axis == "channel" else one.float()[..., None] for one in (self.low, self.step)
        )
        return (groups * step + low).reshape(codes.shape).to(dtype)

    @property
    def held_bytes(self) -> int:
        return storage_bytes(self.codes, self.low, self.step)


def rounded(
    x: Tensor, bits: int, axis: str, group: int | None = None, scale_dtype: torch.dtype = torch.float16
) -> RoundedKv:
    """Round [batch, kv_heads, tokens, head_dim]. axis "channel": all tokens of a channel share a scale; "token": the
    channels of a token do, in groups of `group` (None: all). ValueError for bits other than 2, 4, 8."""
    if bits not in (2, 4, 8):
        raise ValueError(f"bits={bits!r}: 2, 4 or 8 is needed")
    if axis not in AXES:
        raise ValueError(f"axis={axis!r}: one of {', '.join(AXES)} is needed")
    if not x.isfinite().all():
        raise ValueError(
            "keys or values hold numbers that are not finite; float16 overflows where bfloat16 doesn't"
        )
    width, wide = x.shape[-1], x.float()
    if axis == "channel":
        groups, along = wide, 2
    else:
        if width % (group or width):
            raise ValueError(f"group={group!r}: a divisor of head_dim={width} is needed")
        groups, along = wide.unflatten(-1, (-1, group or width)), -1
    # The codes are taken on the grid that is kept, so what is restored is the nearest point of it. Its lower end is
    # rounded, too: a code below 0 or above the last is cut.
    low, high = groups.amin(along, keepdim=True), groups.amax(along, keepdim=True)
    step = ((high - low) / (2**bits - 1)).clamp(min=_smallest(scale_dtype))
    low, step = low.to(scale_dtype), step.to(scale_dtype)
    if not (low.isfinite().all() and step.isfinite().all()):
        raise ValueError(
            f"scale_dtype={scale_dtype}: it ends at {torch.finfo(scale_dtype).max:g} and keys or values reach "
            f"{wide.abs().max().item():g}; torch.bfloat16 or torch.float32 is needed"
        )
    codes = (
        ((groups - low.float()) / step.float())
        .round_()
        .clamp_(0, 2**bits - 1)
        .to(torch.uint8)
        .reshape(x.shape)
    )
    if axis == "token":
        low, step = low[..., 0], step[..., 0]
    return RoundedKv(packed(codes, bits), low, step, bits, axis)


class QuantizedKv:
    """A cache in few bits; `append` gives back what a query sees: restored groups, and the newest as they are.

    bits: 2, 4 or 8. group_tokens: how many tokens of a key's channel share a scale, and the most that wait in full
    precision. key_axis, value_axis: "channel" or "token", to see what the other choice costs.
    """

    def __init__(
        self,
        bits: int = 8,
        group_tokens: int = 64,
        *,
        key_axis: str = "channel",
        value_axis: str = "token",
        scale_dtype: torch.dtype = torch.float16,
    ):
        if group_tokens < 2:
            raise ValueError(f"group_tokens={group_tokens!r}: at least 2 are needed to share a scale")
        self.bits, self.group_tokens = bits, group_tokens
        self.axes = key_axis, value_axis
        self.scale_dtype = scale_dtype
        self.tokens = 0
        self.blocks: list[tuple[RoundedKv, RoundedKv]] = []
        self.newest: tuple[Tensor, Tensor] | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        waiting = (keys, values)
        if self.newest is not None:
            waiting = tuple(torch.cat(pair, dim=2) for pair in zip(self.newest, waiting, strict=True))
        seen = self._seen(waiting)
        self.tokens += keys.shape[2]
        size = self.group_tokens
        whole = waiting[0].shape[2] // size * size
        for at in range(0, whole, size):
            self.blocks.append(
                tuple(
                    rounded(one[:, :, at : at + size], self.bits, axis, scale_dtype=self.scale_dtype)
                    for one, axis in zip(waiting, self.axes, strict=True)
                )
            )
        # A copy: a view would keep the rounded tokens' memory alive.
        self.newest = tuple(one[:, :, whole:].clone() for one in waiting)
        return seen

    def restored(self) -> tuple[Tensor, Tensor]:
        """Keys and values as the next query will see them."""
        if self.newest is None:
            raise ValueError("the cache is empty: append something first")
        return self._seen(self.newest)

    def _seen(self, waiting: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        if not self.blocks:
            return waiting
        dtype = waiting[0].dtype
        kinds = zip(*self.blocks, strict=True)
        return tuple(
            torch.cat([*(block.restore(dtype) for block in kind), new], dim=2)
            for kind, new in zip(kinds, waiting, strict=True)
        )

    @property
    def held_bytes(self) -> int:
        rounded_bytes = sum(one.held_bytes for block in self.blocks for one in block)
        return rounded_bytes + storage_bytes(*(self.newest or ()))


def packed(codes: Tensor, bits: int) -> Tensor:
    """uint8 codes below 2**bits, 8 / bits to a byte along the last axis, the first lowest."""
    per_byte = 8 // bits
    if codes.shape[-1] % per_byte:
        raise ValueError(f"head_dim={codes.shape[-1]}: a multiple of {per_byte} is needed for {bits} bits")
    parts = codes.unflatten(-1, (-1, per_byte))
    whole = parts[..., 0].clone()
    for place in range(1, per_byte):
        whole |= parts[..., place] << (bits * place)
    return whole


def unpacked(codes: Tensor, bits: int) -> Tensor:
    """The inverse of `packed`."""
    if bits == 8:
        return codes
    parts = [(codes >> (bits * place)) & (2**bits - 1) for place in range(8 // bits)]
    return torch.stack(parts, dim=-1).flatten(-2)


def _smallest(dtype: torch.dtype) -> float:
    return 2.0**-24 if dtype == torch.float16 else torch.finfo(dtype).tiny
