"""What befalls a request between its arrival and its end, outside of a replica's steps."""

import numpy as np

from course_utils.scale.simulation.chance import BACKOFF, uniform
from course_utils.scale.simulation.jit import jit
from course_utils.scale.simulation.machines import adjust, end_machine
from course_utils.scale.simulation.queues import heap_push, push_last
from course_utils.scale.simulation.records import (
    AWAY,
    DRAINING,
    FAILED,
    SHED,
    STARTING,
    WAITING,
)
from course_utils.scale.simulation.steps import clear_seat, stop
from course_utils.scale.simulation.waiting import first_waiting, forget_limit, forget_timeout, stop_waiting


@jit
def enter(sim, i, now_s):
    """An attempt reaches the router, and is queued at the gateway until it gets a place, at this moment."""
    tally, settings, q = sim.tally[0], sim.settings[0], sim.requests[i]
    q.attempts += 1
    q.entered_s = now_s
    tally.entered += 1
    if tally.wanted == 0 and settings.interval_s < np.inf:
        tally.wanted = 1
        tally.down_ticks = 0
        adjust(sim, now_s)
    gateway = len(sim.replicas) - 1
    stays = settings.central == 1 or tally.up == 0
    if stays and sim.replicas[gateway].waiting >= settings.queue_limit * max(tally.up, 1):
        attempt_ends(sim, i, now_s, SHED)
        return
    q.entering = 1 - stays
    if settings.timeout_s < np.inf:
        push_last(sim.timeout_links, sim.list_ends, len(sim.list_ends) - 1, i)
    if settings.longest_wait_s < np.inf:
        push_last(sim.wait_links, sim.list_ends, len(sim.list_ends) - 2, i)
        q.limited = 1
    queue(sim, i, gateway)


@jit
def queue(sim, i, place):
    """To the end of its priority's queue."""
    q, at = sim.requests[i], sim.replicas[place]
    q.state, q.place = WAITING, place
    push_last(sim.queue_links, sim.list_ends, place * sim.settings[0].levels + q.level, i)
    at.waiting += 1
    at.prompt_tokens += q.input


@jit
def put(sim, i, r, now_s):
    """From the gateway to replica `r`, or away if too many wait there. Who idles crosses a boundary at this moment."""
    q, replica = sim.requests[i], sim.replicas[r]
    if q.entering == 1 and replica.waiting >= sim.settings[0].queue_limit:
        forget_limit(sim, i)
        forget_timeout(sim, i)
        attempt_ends(sim, i, now_s, SHED)
        return
    q.entering = 0
    queue(sim, i, r)
    if replica.boundary_s == np.inf:
        replica.boundary_s = now_s


@jit
def wake_all(sim, now_s):
    """Who idles comes to look at the central queue."""
    for at in range(sim.tally[0].up):
        replica = sim.replicas[sim.up[at]]
        if replica.boundary_s == np.inf:
            replica.boundary_s = now_s


@jit
def attempt_ends(sim, i, now_s, how):
    """Without an answer: the client sends it again after a while, or that was all."""
    tally, settings, q = sim.tally[0], sim.settings[0], sim.requests[i]
    q.generated = 0
    q.first_token_s = np.nan
    if q.attempts <= settings.retries:
        wait_s = settings.backoff_s * settings.backoff_factor ** (q.attempts - 1)
        wait_s *= 1 - settings.jitter * uniform(settings.seed, BACKOFF, i, np.int64(q.attempts))
        q.state = AWAY
        heap_push(sim.retry_s, sim.retry_of, tally.retrying, now_s + wait_s + settings.request_s, i)
        tally.retrying += 1
        return
    q.state, q.ended_s = how, now_s
    tally.left -= 1
    tally.last_s = max(tally.last_s, now_s)


@jit
def withdraw(sim, i):
    """Out of its queue or off its seat, whatever is computed of it."""
    q = sim.requests[i]
    if q.state == WAITING:
        stop_waiting(sim, i)
        return
    r, seat = q.place, 0
    stop(sim, r, i)
    while sim.seats[r, seat].request != i:
        seat += 1
    clear_seat(sim, r, seat)


@jit
def limit_reached(sim, i, now_s, how):
    """It has waited too long for the fleet, or taken too long for its client."""
    withdraw(sim, i)
    forget_timeout(sim, i)
    attempt_ends(sim, i, now_s, how)


@jit
def kill(sim, r, now_s):
    """A machine is lost with all that is on it: what ran, in order of admission, and then what waited."""
    replica, tally, settings = sim.replicas[r], sim.tally[0], sim.settings[0]
    while replica.running + replica.waiting > 0:
        move(sim, sim.seats[r, 0].request if replica.running > 0 else first_waiting(sim, r), now_s)
    if replica.state == STARTING:
        tally.starting -= 1
    if replica.state != DRAINING and settings.replaced == 0:
        tally.wanted = max(tally.wanted - 1, 0)
    end_machine(sim, r, now_s)
    adjust(sim, now_s)


@jit
def move(sim, i, now_s):
    """What was lost starts over elsewhere, past all limits of queues, unless it has been moved often enough."""
    withdraw(sim, i)
    q = sim.requests[i]
    q.moves += 1
    q.generated = 0
    q.first_token_s = np.nan
    if q.moves > sim.settings[0].moves:
        forget_timeout(sim, i)
        attempt_ends(sim, i, now_s, FAILED)
        return
    queue(sim, i, np.int64(len(sim.replicas) - 1))


@jit
def give_up(sim, now_s):
    """If no machine will ever come, whoever waits at the gateway has failed."""
    tally, settings = sim.tally[0], sim.settings[0]
    if tally.capacity_events < len(sim.capacity_s):
        return
    if tally.capacity > 0 and (tally.wanted > 0 or settings.interval_s < np.inf):
        return
    gateway = len(sim.replicas) - 1
    while sim.replicas[gateway].waiting > 0:
        limit_reached(sim, first_waiting(sim, gateway), now_s, FAILED)
