"""Blocks and a table: sequences that share one pool of memory, none of it reserved for tokens that may never come.

A pool holds blocks of a few tokens. A sequence holds a table, the numbers of its blocks in order, and takes a block
when its last is full. At most one block per sequence is partly empty. Two sequences may list the same block (a
forked answer, a shared prefix); whoever writes into a shared block copies it first.

Source: Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention", SOSP 2023,
section 4.
Taught in: chapter 07.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from course_utils.cache.kv import storage_bytes


class PoolEmpty(ValueError):
    """No block is free: a sequence has to wait, or to give its blocks back."""


class BlockPool:
    """One layer's memory: keys and values [blocks, kv_heads, block_tokens, head_dim], allocated once."""

    def __init__(
        self, blocks: int, block_tokens: int, kv_heads: int, head_dim: int, dtype: torch.dtype = torch.float32
    ):
        for name, value in (("blocks", blocks), ("block_tokens", block_tokens)):
            if value < 1:
                raise ValueError(f"{name}={value!r}: at least 1 is needed")
        self.block_tokens = block_tokens
        self.keys = torch.zeros(blocks, kv_heads, block_tokens, head_dim, dtype=dtype)
        self.values = torch.zeros_like(self.keys)
        self.users = [0] * blocks
        self._free = list(range(blocks - 1, -1, -1))

    @property
    def free_blocks(self) -> int:
        return len(self._free)

    @property
    def held_bytes(self) -> int:
        return storage_bytes(self.keys, self.values)

    def take(self) -> int:
        """The number of a block for one user. PoolEmpty where there is none."""
        if not self._free:
            raise PoolEmpty(
                f"all {len(self.users)} blocks are in use: release a sequence, or let this one wait"
            )
        block = self._free.pop()
        self.users[block] = 1
        return block

    def share(self, block: int) -> None:
        self.users[block] += 1

    def give_back(self, block: int) -> None:
        self.users[block] -= 1
        if not self.users[block]:
            self._free.append(block)

    def own(self, block: int) -> int:
        """This block if it has one user, else a copy of it that has: copy on write."""
        if self.users[block] == 1:
            return block
        copy = self.take()
        self.keys[copy], self.values[copy] = self.keys[block], self.values[block]
        self.give_back(block)
        return copy


class PagedKv:
    """One sequence (batch of 1) in a pool. `table`: its blocks in order; the last may be partly empty."""

    def __init__(self, pool: BlockPool):
        self.pool = pool
        self.table: list[int] = []
        self.tokens = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write the new tokens into their blocks and gather all. PoolEmpty leaves the sequence as it was."""
        if keys.shape[0] != 1:
            raise ValueError(
                f"keys have a batch of {keys.shape[0]}: 1 is needed, each sequence has its own table"
            )
        self._make_room(keys.shape[2])
        size, written = self.pool.block_tokens, 0
        while written < keys.shape[2]:
            block, offset = self.table[self.tokens // size], self.tokens % size
            part = min(size - offset, keys.shape[2] - written)
            self.pool.keys[block, :, offset : offset + part] = keys[0, :, written : written + part]
            self.pool.values[block, :, offset : offset + part] = values[0, :, written : written + part]
            self.tokens += part
            written += part
        return self._gather(self.pool.keys), self._gather(self.pool.values)

    def fork(self) -> "PagedKv":
        """A second sequence that goes on from here and shares all blocks so far."""
        twin = PagedKv(self.pool)
        twin.table, twin.tokens = list(self.table), self.tokens
        for block in self.table:
            self.pool.share(block)
        return twin

    def release(self) -> None:
        """Give all blocks back. The sequence is empty then."""
        for block in self.table:
            self.pool.give_back(block)
        self.table, self.tokens = [], 0

    @property
    def held_bytes(self) -> int:
        """Bytes of its blocks, shared ones too."""
        per_block = self.pool.held_bytes // len(self.pool.users)
        return len(self.table) * per_block

    def _make_room(self, new: int) -> None:
        size = self.pool.block_tokens
        partly = self.tokens % size
        shared = bool(partly and self.pool.users[self.table[-1]] > 1)
        needed = math.ceil((self.tokens + new) / size) - len(self.table)
        if needed + shared > self.pool.free_blocks:
            raise PoolEmpty(f"{needed + shared} blocks are needed and {self.pool.free_blocks} are free")
        if shared:
            self.table[-1] = self.pool.own(self.table[-1])
        self.table += [self.pool.take() for _ in range(needed)]

    def _gather(self, memory: Tensor) -> Tensor:
        """[1, kv_heads, tokens, head_dim] in the sequence's order. A GPU kernel reads the blocks where they are."""
        blocks = memory[self.table].transpose(0, 1).flatten(1, 2)
        return blocks[None, :, : self.tokens]


def used_share_reserved(lengths: Sequence[int], reserved_tokens: int) -> float:
    """Tokens held over room taken, when each sequence reserves `reserved_tokens`. ValueError if one is longer."""
    if not len(lengths) or min(lengths) < 1 or max(lengths) > reserved_tokens:
        raise ValueError(
            f"reserved_tokens={reserved_tokens!r}: lengths from 1 to that are needed, got {lengths!r}"
        )
    return sum(lengths) / (reserved_tokens * len(lengths))


def used_share_paged(lengths: Sequence[int], block_tokens: int) -> float:
    """Tokens held over room taken, when each sequence takes blocks as it grows."""
    if block_tokens < 1 or not len(lengths) or min(lengths) < 1:
        raise ValueError(f"block_tokens={block_tokens!r}: at least 1, and lengths of at least 1, are needed")
    return sum(lengths) / sum(math.ceil(length / block_tokens) * block_tokens for length in lengths)
