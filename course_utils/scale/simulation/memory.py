"""A replica's KV cache in blocks: those of requests, and those of prefixes kept for the next request.

free + cached + (pinned prefixes) + (requests' own) = all blocks. A prefix that nobody uses stays until its room is
needed; then the one used longest ago loses blocks, from its end.
"""

from course_utils.scale.simulation.jit import jit
from course_utils.scale.simulation.records import NONE, PREFILLING


@jit
def blocks_for(sim, tokens):
    size = sim.settings[0].block_tokens
    return (tokens + size - 1) // size


@jit
def own_blocks(sim, r, q):
    """Blocks that a running request holds, the shared ones left out."""
    replica = sim.replicas[r]
    context = q.offset + replica.steps - 1 + replica.stepping
    if q.state == PREFILLING:
        context = q.target
    return blocks_for(sim, context) - q.shared


@jit
def take(sim, r, blocks):
    """Take blocks that are known to be there, from the oldest unused prefixes if need be."""
    replica = sim.replicas[r]
    prefix = replica.oldest
    while replica.free < blocks:
        kept = sim.prefixes[r, prefix]
        after = kept.newer
        spare = min(kept.blocks - kept.pinned, blocks - replica.free)
        kept.blocks -= spare
        replica.cached -= spare
        replica.free += spare
        if kept.blocks == 0:
            unlink(sim, r, prefix)
        prefix = after
    replica.free -= blocks
    replica.lowest = min(replica.lowest, replica.free + replica.cached)
    sim.tally[0].blocks_taken += blocks


@jit
def give_back(sim, r, q):
    """What a request leaves when it is done, preempted or gone."""
    replica = sim.replicas[r]
    blocks = own_blocks(sim, r, q)
    replica.free += blocks
    sim.tally[0].blocks_returned += blocks
    if q.shared > 0:
        kept = sim.prefixes[r, q.prefix]
        kept.users -= 1
        if kept.users == 0:
            replica.cached += kept.pinned
            kept.pinned = 0
        q.shared = 0


@jit
def hit_blocks(sim, r, q):
    """Blocks of its prefix that are cached here. The last token is always computed: the answer begins with it."""
    if q.prefix == NONE or sim.settings[0].prefix_cache == 0:
        return 0
    size = sim.settings[0].block_tokens
    return min(sim.prefixes[r, q.prefix].blocks, q.prefix_tokens // size, (q.input + q.generated - 1) // size)


@jit
def fits(sim, r, q):
    """Is there room for the request's context, when what it finds cached can't be given away?"""
    replica = sim.replicas[r]
    hit = hit_blocks(sim, r, q)
    need = blocks_for(sim, q.input + q.generated) - hit
    if hit > 0:
        need += max(0, hit - sim.prefixes[r, q.prefix].pinned)
    return need <= replica.free + replica.cached


@jit
def use_prefix(sim, r, q, hit):
    """Hold `hit` cached blocks for as long as the request runs."""
    kept = sim.prefixes[r, q.prefix]
    more = max(0, hit - kept.pinned)
    kept.pinned += more
    kept.users += 1
    sim.replicas[r].cached -= more
    q.shared = hit
    unlink(sim, r, q.prefix)
    link_newest(sim, r, q.prefix)


@jit
def keep_prefix(sim, r, q):
    """A prompt is computed: its prefix's blocks are everybody's, unless another request has put them there before."""
    if q.prefix == NONE or sim.settings[0].prefix_cache == 0:
        return
    kept = sim.prefixes[r, q.prefix]
    blocks = q.prefix_tokens // sim.settings[0].block_tokens
    if kept.blocks != q.shared or blocks <= q.shared:
        return
    if q.shared == 0:
        kept.users += 1
    if kept.blocks > 0:
        unlink(sim, r, q.prefix)
    link_newest(sim, r, q.prefix)
    sim.tally[0].blocks_returned += blocks - q.shared
    kept.blocks = kept.pinned = q.shared = blocks


@jit
def forget_prefixes(sim, r):
    prefix = sim.replicas[r].oldest
    while prefix != NONE:
        kept = sim.prefixes[r, prefix]
        prefix = kept.newer
        kept.blocks = kept.pinned = kept.users = 0
    sim.replicas[r].oldest = sim.replicas[r].newest = NONE


@jit
def link_newest(sim, r, prefix):
    replica, kept = sim.replicas[r], sim.prefixes[r, prefix]
    kept.older, kept.newer = replica.newest, NONE
    if replica.newest == NONE:
        replica.oldest = prefix
    else:
        sim.prefixes[r, replica.newest].newer = prefix
    replica.newest = prefix


@jit
def unlink(sim, r, prefix):
    replica, kept = sim.replicas[r], sim.prefixes[r, prefix]
    if kept.older == NONE:
        replica.oldest = kept.newer
    else:
        sim.prefixes[r, kept.older].newer = kept.newer
    if kept.newer == NONE:
        replica.newest = kept.older
    else:
        sim.prefixes[r, kept.newer].older = kept.older
