"""The router's choice among the replicas that are up; numbers are places in `routing.POLICIES`."""

from course_utils.scale.simulation.chance import HASH, ROUTE, ROUTE_AGAIN, uniform
from course_utils.scale.simulation.jit import jit
from course_utils.scale.simulation.memory import hit_blocks
from course_utils.scale.simulation.records import NONE

ROUND_ROBIN, RANDOM, CONSISTENT_HASH, LEAST_OUTSTANDING, POWER_OF_TWO, LEAST_TOKENS, PREFIX_AFFINITY = range(
    7
)
FIRST_INFORMED = LEAST_OUTSTANDING  # from here on the replicas' state must be that of the moment


@jit
def pick(sim, i):
    """The replica that request `i` goes to, of those that are up."""
    tally, settings, q = sim.tally[0], sim.settings[0], sim.requests[i]
    policy, up = settings.routing, tally.up
    tally.turn += 1
    turn, tries = tally.turn - 1, up
    draw = q.attempts + q.moves
    if policy == CONSISTENT_HASH and (settings.by_tenant == 1 or q.prefix != NONE):
        turn = highest_draw(sim, q.tenant if settings.by_tenant == 1 else q.prefix)
    elif policy != ROUND_ROBIN and (policy < FIRST_INFORMED or policy == POWER_OF_TWO):
        turn = int(uniform(settings.seed, ROUTE, i, draw) * up)
    if policy < FIRST_INFORMED:
        tries = 1
    elif policy == POWER_OF_TWO:
        tries = min(up, 2)
    best = sim.up[turn % up]
    least = load(sim, q, best)
    for at in range(1, tries):
        if policy == POWER_OF_TWO:
            at = 1 + int(uniform(settings.seed, ROUTE_AGAIN, i, draw) * (up - 1))
        other = sim.up[(turn + at) % up]
        its = load(sim, q, other)
        if its < least:
            best, least = other, its
    return best


@jit
def load(sim, q, r):
    """What the policy counts."""
    replica, settings = sim.replicas[r], sim.settings[0]
    if settings.routing == LEAST_TOKENS:
        return float(replica.prompt_tokens)
    if settings.routing == PREFIX_AFFINITY:
        to_compute = q.input - hit_blocks(sim, r, q) * settings.block_tokens
        return to_compute + settings.beta * replica.prompt_tokens
    return float(replica.running + replica.waiting)


@jit
def highest_draw(sim, key):
    """Which of those that are up: each place draws a number for the key, and the highest wins. So a place that is lost
    moves only its own keys."""
    best, most = 0, -1.0
    for at in range(sim.tally[0].up):
        draw = uniform(sim.settings[0].seed, HASH, key, sim.up[at])
        if draw > most:
            best, most = at, draw
    return best
