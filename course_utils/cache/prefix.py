"""Prompts that begin alike share the work on their beginning: a cache of KV blocks, found by chained hashes.

A prompt is cut into blocks of equal length. The name of a block is a hash of its tokens *and of the block before
it*, so that one look-up per block, from the first on, finds the longest prefix that is there:

    names = block_names(tokens, salt="tenant-a")
    lease = cache.acquire(names)       # lease.hit_blocks of them were there and need no prefill
    ...                                # the request runs; its blocks can't be evicted
    cache.release(lease)

Sources: Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention", SOSP 2023,
section 4.4 (blocks that are shared and counted); vLLM's design document "Automatic Prefix Caching" (chained hashes,
salt, freeing from the last block back).
Taught in: chapter 07, chapter 08.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

BLOCK_TOKENS = 16


def block_names(tokens: Sequence[int], block_tokens: int = BLOCK_TOKENS, salt: str = "") -> tuple[bytes, ...]:
    """Names of the full blocks of a prompt, 16 bytes each; the rest, shorter than a block, has none.

    tokens: token numbers, shape (n,). salt: who may share, such as a tenant's name; another salt gives other names
    for the same tokens, so nobody can find out by its speed what another has asked.
    ValueError for block_tokens below 1, or tokens that aren't whole numbers of 0 or more.
    """
    if block_tokens < 1:
        raise ValueError(f"block_tokens={block_tokens!r}: at least 1 is needed")
    ids = np.asarray(tokens if len(tokens) else np.empty(0, int))
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or (ids.size and ids.min() < 0):
        raise ValueError(
            f"tokens of type {ids.dtype}, shape {ids.shape}: whole numbers of 0 or more are needed"
        )
    raw, step = ids.astype("<u8").tobytes(), 8 * block_tokens
    names, before = [], blake2b(salt.encode(), digest_size=16, person=b"prefix root").digest()
    for at in range(0, len(raw) - step + 1, step):
        before = blake2b(before + raw[at : at + step], digest_size=16).digest()
        names.append(before)
    return tuple(names)


@dataclass(frozen=True)
class Lease:
    """Blocks that a request holds. The first `hit_blocks` of `names` were there; the rest it computes and leaves.

    `asked_blocks`: of its whole prompt. Those beyond `names` found no room, all else being in use.
    """

    names: tuple[Hashable, ...]
    hit_blocks: int
    asked_blocks: int


@dataclass
class HitCount:
    """What a cache has served so far, in requests and in blocks."""

    requests: int = 0
    asked_blocks: int = 0
    hit_blocks: int = 0
    evicted_blocks: int = 0
    refused_blocks: int = 0

    @property
    def hit_share(self) -> float:
        """Blocks found over blocks asked for: the share of prefill that was saved. 0 where nothing was asked."""
        return self.hit_blocks / self.asked_blocks if self.asked_blocks else 0.0


class PrefixCache:
    """At most `capacity_blocks` blocks: those in use, and the others in the order of their last use.

    A block is evicted when nobody uses it and it has been idle longest; within a request the last block counts as
    idle longer than the first. So no block outlives the one before it, without which it can't be found.
    """

    def __init__(self, capacity_blocks: int):
        if isinstance(capacity_blocks, bool) or not capacity_blocks >= 1:
            raise ValueError(
                f"capacity_blocks={capacity_blocks!r}: at least 1 is needed (math.inf for no bound)"
            )
        self.capacity_blocks = capacity_blocks
        self.count = HitCount()
        self._users: dict[Hashable, int] = {}  # every block that is there, and how many requests hold it
        self._idle: OrderedDict[Hashable, None] = OrderedDict()  # those that nobody holds, idle longest first

    def __len__(self) -> int:
        return len(self._users)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._users

    @property
    def used_blocks(self) -> int:
        """Blocks that a request holds now."""
        return len(self._users) - len(self._idle)

    def match(self, names: Sequence[Hashable]) -> int:
        """How many of the first blocks are there. Changes nothing: a router asks every replica."""
        there = self._users
        for at, name in enumerate(names):
            if name not in there:
                return at
        return len(names)

    def acquire(self, names: Sequence[Hashable]) -> Lease:
        """Hold the blocks of a prompt: found ones as they are, the others as new ones, evicting what is idle."""
        users, idle = self._users, self._idle
        hits = self.match(names)
        # All hits first: what is held can't be evicted to make room for the rest of the same prompt.
        for name in names[:hits]:
            if not users[name]:
                del idle[name]
            users[name] += 1
        held, evicted = hits, 0
        room = self.capacity_blocks - len(users)
        for name in names[hits:]:
            if name in users:
                self._undo(names[:held])
                raise ValueError(f"names: {name!r} comes twice, or is cached behind another beginning")
            if room >= 1:
                room -= 1
            elif idle:
                del users[idle.popitem(last=False)[0]]
                evicted += 1
            else:
                break
            users[name] = 1
            held += 1
        self._account(len(names), hits, evicted, len(names) - held)
        return Lease(tuple(names[:held]), hits, len(names))

    def release(self, lease: Lease) -> None:
        """Let go of a request's blocks: they stay until their room is needed. ValueError for a second release."""
        if not all(map(self._users.get, lease.names)):
            raise ValueError("lease: not all of its blocks are held; was it released before?")
        self._undo(lease.names)

    def _undo(self, names: Sequence[Hashable]) -> None:
        users, idle = self._users, self._idle
        for name in reversed(names):
            users[name] -= 1
            if not users[name]:
                idle[name] = None

    def serve(self, names: Sequence[Hashable]) -> int:
        """Acquire and release in one go, for a replay in which requests take no time. Returns the hit blocks."""
        lease = self.acquire(names)
        self.release(lease)
        return lease.hit_blocks

    def _account(self, asked: int, hits: int, evicted: int, refused: int) -> None:
        count = self.count
        count.requests += 1
        count.asked_blocks += asked
        count.hit_blocks += hits
        count.evicted_blocks += evicted
        count.refused_blocks += refused
