"""A replica, step by step: every step each running request gets a token, and prompts fill what is left of the budget.

At a boundary between two steps, in this order: tokens of the step that ends are delivered, requests that are done
leave; each request that decodes takes a block where it needs one, and where there is none the latest one in is thrown
out, to be computed again; prompts already begun go on; waiting requests come in, first come, first served, while there
is budget and room for all their context.

Sources: Yu et al., "Orca", OSDI 2022 (iteration-level batching); Kwon et al., "PagedAttention", SOSP 2023 (blocks,
preemption by recomputing); Agrawal et al., "Sarathi-Serve", OSDI 2024 (chunked prefill).
"""

import math

import numpy as np

from course_utils.scale.simulation.jit import jit
from course_utils.scale.simulation.machines import end_machine
from course_utils.scale.simulation.memory import (
    blocks_for,
    fits,
    give_back,
    hit_blocks,
    keep_prefix,
    take,
    use_prefix,
)
from course_utils.scale.simulation.queues import push_first
from course_utils.scale.simulation.records import (
    BINS_PER_E,
    DECODING,
    DRAINING,
    FINISHED,
    GAP_BINS,
    GAP_EDGES_S,
    NEVER,
    NONE,
    NOTHING,
    PREFILLING,
    SHORTEST_GAP_S,
    UP,
    WAITING,
)
from course_utils.scale.simulation.waiting import first_waiting, forget_timeout, stop_waiting


@jit
def advance(sim, r, until_s):
    """Go through replica `r`'s boundaries before `until_s`. What happens at that very moment comes first."""
    replica = sim.replicas[r]
    while replica.boundary_s < until_s:
        cross_boundary(sim, r)
        if replica.prefilling == 0:
            cruise(sim, r, until_s)


@jit
def cross_boundary(sim, r):
    if sim.replicas[r].stepping == 1:
        end_step(sim, r)
    begin_step(sim, r)


@jit
def cruise(sim, r, until_s):
    """The same boundaries as `cross_boundary` would cross, while all that they do is one more token for each request.

    Nobody ends, prefills or lacks a block; and who waits couldn't come in a step ago, nor can now that fewer blocks are
    free. Times are added up step by step, so that the result is the same to the last bit.
    """
    replica, settings = sim.replicas[r], sim.settings[0]
    if (
        replica.stepping == 0
        or replica.preempted == 1
        or (settings.central == 1 and sim.replicas[-1].waiting > 0)
    ):
        return
    running, steps, free = replica.decoding, replica.steps, replica.free
    boundary_s, step_s, busy_s = replica.boundary_s, replica.step_s, replica.busy_s
    size = settings.block_tokens
    needed = sim.new_blocks[r]
    slot = -steps % size
    bin_ = gap_bin(step_s)
    counted, bin_end_s = 0, GAP_EDGES_S[bin_ + 1]
    first_free, first_step = free, steps
    while boundary_s < until_s and steps + 1 < replica.next_end and needed[slot] <= free:
        if step_s >= bin_end_s:
            sim.gaps[bin_] += counted
            bin_ = gap_bin(step_s)
            counted, bin_end_s = 0, GAP_EDGES_S[bin_ + 1]
        counted += running
        steps += 1
        free -= needed[slot]
        slot = slot - 1 if slot > 0 else size - 1
        step_s = step_seconds(sim, running, NOTHING, replica.offsets + steps * running, running, 0.0)
        boundary_s += step_s
        busy_s += step_s
    sim.gaps[bin_] += counted
    tally = sim.tally[0]
    tally.steps += steps - first_step
    tally.answer_tokens += (steps - first_step) * running
    tally.blocks_taken += first_free - free
    replica.steps, replica.free = steps, free
    replica.boundary_s, replica.step_s, replica.busy_s = boundary_s, step_s, busy_s
    replica.until_s = boundary_s
    replica.lowest = min(replica.lowest, free + replica.cached)


@jit
def step_seconds(sim, decoding, prompt_tokens, context, running, pairs):
    settings = sim.settings[0]
    table_s = sim.mixed_s[decoding + prompt_tokens] if prompt_tokens > 0 else sim.decode_s[decoding]
    return (
        table_s
        + settings.cache_s_per_token * context
        + settings.sequence_s * running
        + settings.attention_s_per_pair * pairs
    )


@jit
def gap_bin(gap_s):
    """The bin of GAP_EDGES_S that a gap falls into, or the first or last one for what lies outside."""
    if gap_s <= SHORTEST_GAP_S:
        return NOTHING
    return min(int(math.log(gap_s / SHORTEST_GAP_S) * BINS_PER_E), GAP_BINS - 1)


@jit
def end_step(sim, r):
    replica, tally = sim.replicas[r], sim.tally[0]
    replica.stepping = 0
    replica.steps += 1
    tally.answer_tokens += replica.decoding
    if replica.decoding > 0:
        sim.gaps[gap_bin(replica.step_s)] += replica.decoding
    if replica.prefilling > 0 or replica.steps >= replica.next_end:
        deliver(sim, r)


@jit
def deliver(sim, r):
    """First tokens of the prompts that are computed; and the seats of those who are done, closed up in order."""
    replica, seats = sim.replicas[r], sim.seats[r]
    kept, next_end = 0, NEVER
    for seat in range(replica.running):
        i, end = seats[seat].request, seats[seat].end
        if end == NONE:
            q = sim.requests[i]
            if q.computed == q.target:
                end = first_token(sim, r, i)
        if end == replica.steps:
            finish(sim, r, i)
            continue
        if end != NONE:
            next_end = min(next_end, end)
        seats[kept].request, seats[kept].end = i, end
        kept += 1
    replica.running, replica.next_end = kept, next_end


@jit
def first_token(sim, r, i):
    """A prompt is computed, and yields a token: the first, or the next one of an answer that was thrown out."""
    replica, tally, q = sim.replicas[r], sim.tally[0], sim.requests[i]
    now_s = replica.boundary_s
    keep_prefix(sim, r, q)
    if q.generated == 0:
        q.first_token_s = now_s
        tally.first_tokens += 1
        if now_s - q.arrived_s > sim.settings[0].target:
            tally.late_tokens += 1
    else:
        sim.gaps[gap_bin(now_s - q.stalled_s)] += 1
    tally.answer_tokens += 1
    q.generated += 1
    q.offset = q.input + q.generated - replica.steps
    q.state = DECODING
    replica.prefilling -= 1
    replica.decoding += 1
    replica.offsets += q.offset
    sim.new_blocks[r, q.offset % sim.settings[0].block_tokens] += 1
    return replica.steps + q.output - q.generated


@jit
def finish(sim, r, i):
    q = sim.requests[i]
    stop(sim, r, i)
    q.state = FINISHED
    q.ended_s = sim.replicas[r].boundary_s
    q.machine = sim.replicas[r].machine
    forget_timeout(sim, i)
    tally = sim.tally[0]
    tally.left -= 1
    tally.last_s = max(tally.last_s, q.ended_s)


@jit
def stop(sim, r, i):
    """A running request leaves its replica's counts; its seat is the caller's to clear."""
    replica, q = sim.replicas[r], sim.requests[i]
    give_back(sim, r, q)
    if q.state == DECODING:
        replica.decoding -= 1
        replica.offsets -= q.offset
        sim.new_blocks[r, q.offset % sim.settings[0].block_tokens] -= 1
        q.generated = q.offset + replica.steps - q.input
    else:
        replica.prefilling -= 1
    replica.prompt_tokens -= q.input


@jit
def clear_seat(sim, r, seat):
    seats, replica = sim.seats[r], sim.replicas[r]
    for at in range(seat, replica.running - 1):
        seats[at].request, seats[at].end = seats[at + 1].request, seats[at + 1].end
    replica.running -= 1


@jit
def begin_step(sim, r):
    replica, settings, tally = sim.replicas[r], sim.settings[0], sim.tally[0]
    size = settings.block_tokens
    replica.preempted = 0
    while sim.new_blocks[r, (1 - replica.steps) % size] > replica.free + replica.cached:
        preempt(sim, r)
    take(sim, r, sim.new_blocks[r, (1 - replica.steps) % size])
    decoding = replica.decoding
    context = replica.offsets + replica.steps * decoding
    budget, pairs = settings.step_tokens - decoding, 0.0
    for seat in range(replica.running - replica.prefilling, replica.running):
        budget, pairs = prefill_chunk(sim, sim.seats[r, seat].request, budget, pairs)
    closed = replica.running > 0 and (replica.preempted == 1 or settings.static == 1)
    while not closed and replica.running < settings.max_running and (budget > 0 or settings.static == 1):
        i = next_waiting(sim, r)
        if i == NONE or not fits(sim, r, sim.requests[i]):
            break
        admit(sim, r, i)
        budget, pairs = prefill_chunk(sim, i, budget, pairs)
    prompt_tokens = settings.step_tokens - decoding - budget
    tally.prompt_tokens += prompt_tokens
    if replica.running == 0:
        now_s, replica.boundary_s = replica.boundary_s, np.inf
        if replica.state == DRAINING:
            end_machine(sim, r, now_s)
        return
    replica.stepping = 1
    replica.step_s = step_seconds(sim, decoding, prompt_tokens, context, replica.running, pairs)
    replica.boundary_s += replica.step_s
    replica.until_s = replica.boundary_s
    replica.busy_s += replica.step_s
    tally.steps += 1


@jit
def prefill_chunk(sim, i, budget, pairs):
    """As much of a prompt as the budget lets. Returns the budget left and the pairs of tokens attended to so far."""
    q = sim.requests[i]
    new = min(q.target - q.computed, budget)
    pairs += new * (q.computed + (new + 1) / 2)
    q.computed += new
    return budget - new, pairs


@jit
def preempt(sim, r):
    """Throw out the latest one in of those with the lowest priority. It waits in front of its priority's others."""
    replica = sim.replicas[r]
    victim = replica.running - 1
    for seat in range(replica.running - 1, -1, -1):
        if sim.requests[sim.seats[r, seat].request].level < sim.requests[sim.seats[r, victim].request].level:
            victim = seat
    i = sim.seats[r, victim].request
    q = sim.requests[i]
    if q.state == DECODING:
        q.stalled_s = replica.boundary_s
    stop(sim, r, i)
    clear_seat(sim, r, victim)
    q.state = WAITING
    q.preemptions += 1
    push_first(sim.queue_links, sim.list_ends, r * sim.settings[0].levels + q.level, i)
    replica.waiting += 1
    replica.prompt_tokens += q.input
    replica.preempted = 1
    sim.tally[0].preemptions += 1


@jit
def next_waiting(sim, r):
    """Who comes in next: the first of the highest priority here, then in a central queue."""
    i = first_waiting(sim, r)
    if i == NONE and sim.settings[0].central == 1 and sim.replicas[r].state == UP:
        i = first_waiting(sim, len(sim.replicas) - 1)
    return i


@jit
def admit(sim, r, i):
    """From the queue to a seat, with blocks for all its context and what it shares of a cached prefix."""
    replica, tally, q = sim.replicas[r], sim.tally[0], sim.requests[i]
    stop_waiting(sim, i)
    q.place = r
    q.state = PREFILLING
    q.target = q.input + q.generated
    hit = hit_blocks(sim, r, q)
    if hit > 0:
        use_prefix(sim, r, q, hit)
    take(sim, r, blocks_for(sim, q.target) - hit)
    q.computed = hit * sim.settings[0].block_tokens
    q.cached = q.computed
    tally.asked_tokens += q.target
    tally.hit_tokens += q.computed
    sim.seats[r, replica.running].request, sim.seats[r, replica.running].end = i, NONE
    replica.running += 1
    replica.prefilling += 1
    replica.prompt_tokens += q.input
