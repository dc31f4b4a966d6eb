"""Who waits where: a queue for each place and priority, and two lists in the order in which limits are reached."""

import numpy as np

from course_utils.scale.simulation.jit import jit
from course_utils.scale.simulation.queues import FIRST, remove
from course_utils.scale.simulation.records import NONE


@jit
def first_waiting(sim, place):
    if sim.replicas[place].waiting > 0:
        levels = sim.settings[0].levels
        for which in range((place + 1) * levels - 1, place * levels - 1, -1):
            if sim.list_ends[which, FIRST] != NONE:
                return sim.list_ends[which, FIRST]
    return NONE


@jit
def leave_queue(sim, i):
    q = sim.requests[i]
    place = sim.replicas[q.place]
    remove(sim.queue_links, sim.list_ends, q.place * sim.settings[0].levels + q.level, i)
    place.waiting -= 1
    place.prompt_tokens -= q.input


@jit
def stop_waiting(sim, i):
    """Out of the queue it is in, and out of the list of those whose wait is limited."""
    leave_queue(sim, i)
    forget_limit(sim, i)


@jit
def forget_limit(sim, i):
    q = sim.requests[i]
    if q.limited == 1:
        remove(sim.wait_links, sim.list_ends, len(sim.list_ends) - 2, i)
        q.limited = 0


@jit
def forget_timeout(sim, i):
    if sim.settings[0].timeout_s < np.inf:
        remove(sim.timeout_links, sim.list_ends, len(sim.list_ends) - 1, i)
