"""Everything in order of time, from the first arrival to the end of the last request.

At one moment: replicas get ready, die, are killed, and the market changes; then requests arrive, first new ones, then
those sent again; waits end; the autoscaler looks; and only then do replicas cross a boundary of that very moment.
"""

import numpy as np

from course_utils.scale.simulation.chance import KILL, uniform
from course_utils.scale.simulation.jit import jit
from course_utils.scale.simulation.machines import adjust, close_bill, launch, make_ready
from course_utils.scale.simulation.queues import FIRST, heap_pop
from course_utils.scale.simulation.records import (
    EMPTY,
    LONGEST_SERIES,
    NONE,
    NOTHING,
    SHED,
    STARTING,
    TIMED_OUT,
    Sim,
)
from course_utils.scale.simulation.requests import (
    enter,
    give_up,
    kill,
    limit_reached,
    put,
    wake_all,
)
from course_utils.scale.simulation.route import FIRST_INFORMED, pick
from course_utils.scale.simulation.scaling import tick
from course_utils.scale.simulation.steps import advance, cross_boundary
from course_utils.scale.simulation.waiting import first_waiting, leave_queue

CHANGE, KILLED, MARKET, ARRIVAL, RETRY, WAIT_LIMIT, TIMEOUT, TICK, SAMPLE = np.arange(9)


def entry(digest: str):
    """`run(arrays)`, until every request has ended or the table of machines is full. See `compiled` for the digest."""

    def run(arrays):
        if digest == "":
            return
        sim = Sim(*arrays)
        tally, settings, replicas = sim.tally[0], sim.settings[0], sim.replicas
        gateway = len(replicas) - 1
        for _ in range(tally.wanted):
            launch(sim, 0.0, 0.0)
        while tally.left > 0 and tally.machines < len(sim.machines):
            kind, now_s = next_event(sim)
            limits = len(sim.list_ends) - (2 if kind == WAIT_LIMIT else 1)
            due = sim.list_ends[limits, FIRST]
            if kind < ARRIVAL or kind > TIMEOUT or settings.central == 1:
                advance_all(sim, now_s)
                if tally.left == 0:
                    break
            if kind == ARRIVAL:
                i = tally.arrived
                tally.arrived += 1
                enter(sim, i, now_s)
            elif kind == RETRY:
                i = heap_pop(sim.retry_s, sim.retry_of, tally.retrying)
                tally.retrying -= 1
                enter(sim, i, now_s)
            elif WAIT_LIMIT <= kind <= TIMEOUT:
                advance(sim, sim.requests[due].place, now_s)
                if sim.list_ends[limits, FIRST] == due:  # it hasn't been started or finished meanwhile
                    limit_reached(sim, due, now_s, SHED if kind == WAIT_LIMIT else TIMED_OUT)
            elif kind == TICK:
                tick(sim, now_s)
            elif kind == SAMPLE:
                sample(sim, now_s)
            else:
                change(sim, kind, now_s)
            while replicas[gateway].waiting > 0 and tally.up > 0 and settings.central == 0:
                i = first_waiting(sim, gateway)
                leave_queue(sim, i)
                if settings.routing >= FIRST_INFORMED:
                    advance_all(sim, now_s)
                r = pick(sim, i)
                advance(sim, r, now_s)
                put(sim, i, r, now_s)
            if settings.central == 1 and replicas[gateway].waiting > 0:
                wake_all(sim, now_s)
            if tally.billed == 0 and replicas[gateway].waiting > 0:
                give_up(sim, now_s)
        for r in range(gateway):
            if replicas[r].state != EMPTY:
                close_bill(sim, r, tally.last_s)

    return run


@jit
def next_event(sim):
    """What comes next, and when; of two things at one moment the one named first in this module."""
    tally, settings = sim.tally[0], sim.settings[0]
    kind, now_s = CHANGE, tally.next_change_s
    if tally.kills < len(sim.kills_s) and sim.kills_s[tally.kills] < now_s:
        kind, now_s = KILLED, sim.kills_s[tally.kills]
    if tally.capacity_events < len(sim.capacity_s) and sim.capacity_s[tally.capacity_events] < now_s:
        kind, now_s = MARKET, sim.capacity_s[tally.capacity_events]
    if tally.arrived < len(sim.requests):
        at_s = sim.requests[tally.arrived].arrived_s + settings.request_s
        if at_s < now_s:
            kind, now_s = ARRIVAL, at_s
    if tally.retrying > 0 and sim.retry_s[0] < now_s:
        kind, now_s = RETRY, sim.retry_s[0]
    first = sim.list_ends[len(sim.list_ends) - 2, FIRST]
    if first != NONE and sim.requests[first].entered_s + settings.longest_wait_s < now_s:
        kind, now_s = WAIT_LIMIT, sim.requests[first].entered_s + settings.longest_wait_s
    first = sim.list_ends[len(sim.list_ends) - 1, FIRST]
    if first != NONE and timeout_of(sim, first) < now_s:
        kind, now_s = TIMEOUT, timeout_of(sim, first)
    if (tally.ticks + 1) * settings.interval_s < now_s:
        kind, now_s = TICK, (tally.ticks + 1) * settings.interval_s
    if tally.next_sample * settings.sample_s < now_s:
        kind, now_s = SAMPLE, tally.next_sample * settings.sample_s
    return kind, now_s


@jit
def timeout_of(sim, i):
    settings = sim.settings[0]
    return sim.requests[i].entered_s - settings.request_s + settings.timeout_s


@jit
def advance_all(sim, until_s):
    """All replicas; while requests wait in a central queue, boundary by boundary in order of time, for who takes
    them."""
    gateway = len(sim.replicas) - 1
    while sim.settings[0].central == 1 and sim.replicas[gateway].waiting > 0:
        first, first_s = NONE, until_s
        for r in range(gateway):
            if sim.replicas[r].boundary_s < first_s:
                first, first_s = r, sim.replicas[r].boundary_s
        if first == NONE:
            return
        cross_boundary(sim, first)
    for r in range(gateway):
        advance(sim, r, until_s)


@jit
def change(sim, kind, now_s):
    """A replica is ready, or comes to its end; or another number of machines can be had."""
    tally = sim.tally[0]
    if kind == MARKET:
        tally.capacity = sim.capacity[tally.capacity_events]
        tally.capacity_events += 1
    elif kind == KILLED:
        tally.kills += 1
    elif started(sim, now_s):
        return
    while True:
        r = doomed(sim, kind, now_s)
        if r == NONE:
            break
        kill(sim, r, now_s)
        if kind != MARKET:
            return
    adjust(sim, now_s)


@jit
def started(sim, now_s):
    for r in range(len(sim.replicas) - 1):
        if sim.replicas[r].state == STARTING and sim.replicas[r].ready_s == now_s:
            make_ready(sim, r)
            return True
    return False


@jit
def doomed(sim, kind, now_s):
    """Who dies of it: whose life ends now, one at random, or the youngest of those that are too many."""
    tally = sim.tally[0]
    if kind == KILLED and tally.up > 0:
        return sim.up[int(uniform(sim.settings[0].seed, KILL, tally.kills, NOTHING) * tally.up)]
    found = NONE
    for r in range(len(sim.replicas) - 1):
        replica = sim.replicas[r]
        if replica.state == EMPTY:
            continue
        if kind == CHANGE and replica.dies_s == now_s and replica.state != STARTING:
            return r
        younger = found == NONE or replica.machine > sim.replicas[found].machine
        if kind == MARKET and tally.billed > tally.capacity and younger:
            found = r
    return found


@jit
def sample(sim, now_s):
    """A row of the series, which drops every other row when it is full."""
    tally, settings = sim.tally[0], sim.settings[0]
    if tally.samples == LONGEST_SERIES:
        tally.samples //= 2
        tally.sample_every *= 2
        for at in range(tally.samples):
            sim.series[at] = sim.series[2 * at]
    row = sim.series[tally.samples]
    row.at_s, row.up, row.billed, row.waiting, row.running = now_s, tally.up, tally.billed, 0, 0
    held = 0
    for place in range(len(sim.replicas)):
        replica = sim.replicas[place]
        row.waiting += replica.waiting
        row.running += replica.running
        if replica.state != EMPTY:
            held += settings.blocks - replica.free - replica.cached
    row.kv_share = held / (settings.blocks * max(tally.billed, 1))
    tally.samples += 1
    tally.next_sample += tally.sample_every
