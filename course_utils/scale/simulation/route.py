"""The router's choice among the replicas that are up. Each policy looks only at what it needs to know."""

from course_utils.scale.routing import POLICIES
from course_utils.scale.simulation.chance import HASH, ROUTE, ROUTE_AGAIN, uniform
from course_utils.scale.simulation.jit import jit
from course_utils.scale.simulation.memory import hit_blocks
from course_utils.scale.simulation.records import NONE
from course_utils.scale.simulation.steps import advance

(
    ROUND_ROBIN,
    RANDOM,
    LEAST_OUTSTANDING,
    POWER_OF_TWO,
    LEAST_TOKENS,
    CONSISTENT_HASH,
    PREFIX_AFFINITY,
    CENTRAL,
) = range(len(POLICIES))


@jit
def pick(sim, i, now_s):
    """The place that request `i` goes to: a replica's, or the gateway's while none is up and where that is the
    policy."""
    tally, settings, q = sim.tally[0], sim.settings[0], sim.requests[i]
    policy, up = settings.routing, tally.up
    if up == 0 or policy == CENTRAL:
        return len(sim.replicas) - 1
    tally.turn += 1
    if policy == ROUND_ROBIN:
        return sim.up[(tally.turn - 1) % up]
    if policy == CONSISTENT_HASH and (settings.by_tenant == 1 or q.prefix != NONE):
        return highest_draw(sim, q.tenant if settings.by_tenant == 1 else q.prefix)
    draw = q.attempts + q.moves
    first = int(uniform(settings.seed, ROUTE, i, draw) * up)
    if policy == RANDOM or policy == CONSISTENT_HASH:
        return sim.up[first]
    if policy == POWER_OF_TWO:
        if up == 1:
            return sim.up[0]
        second = int(uniform(settings.seed, ROUTE_AGAIN, i, draw) * (up - 1))
        second += second >= first
        return less_loaded(sim, i, sim.up[first], sim.up[second], now_s)
    best = sim.up[(tally.turn - 1) % up]
    for at in range(1, up):
        best = less_loaded(sim, i, best, sim.up[(tally.turn - 1 + at) % up], now_s)
    return best


@jit
def less_loaded(sim, i, r, other, now_s):
    """The one with less of what the policy counts; `r` where they are equal."""
    return other if load(sim, i, other, now_s) < load(sim, i, r, now_s) else r


@jit
def load(sim, i, r, now_s):
    advance(sim, r, now_s)
    replica, settings, q = sim.replicas[r], sim.settings[0], sim.requests[i]
    if settings.routing == LEAST_TOKENS:
        return float(replica.prompt_tokens)
    if settings.routing == PREFIX_AFFINITY:
        to_compute = q.input - hit_blocks(sim, r, q) * settings.block_tokens
        return to_compute + settings.beta * replica.prompt_tokens
    return float(replica.running + replica.waiting)


@jit
def highest_draw(sim, key):
    """Each place draws a number for the key, and the highest wins: a place lost moves only its own keys."""
    best, most = sim.up[0], -1.0
    for at in range(sim.tally[0].up):
        draw = uniform(sim.settings[0].seed, HASH, key, sim.up[at])
        if draw > most:
            best, most = sim.up[at], draw
    return best
