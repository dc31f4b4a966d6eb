"""Machines come and go: launch, ready, drained, dead. Each is billed from its launch to its end."""

import math

import numpy as np

from course_utils.scale.simulation.chance import LIFE, uniform
from course_utils.scale.simulation.jit import jit
from course_utils.scale.simulation.memory import forget_prefixes
from course_utils.scale.simulation.records import DRAINING, EMPTY, NEVER, NONE, NOTHING, STARTING, UP


@jit
def launch(sim, now_s, ready_s):
    """A machine in the first empty place. The table of machines is as long as it is: `run` stops where it is full."""
    tally, settings = sim.tally[0], sim.settings[0]
    r = 0
    while sim.replicas[r].state != EMPTY:
        r += 1
    replica = sim.replicas[r]
    replica.state, replica.machine = STARTING, tally.machines
    replica.busy_s, replica.until_s = 0.0, 0.0
    replica.ready_s, replica.dies_s = ready_s, np.inf
    if settings.mean_life_s < np.inf:
        replica.dies_s = ready_s - settings.mean_life_s * math.log1p(
            -uniform(settings.seed, LIFE, tally.machines, NOTHING)
        )
    replica.free, replica.cached = settings.blocks, 0
    replica.next_end = NEVER
    replica.oldest = replica.newest = NONE
    machine = sim.machines[tally.machines]
    machine.launched_s, machine.ready_s, machine.ended_s = now_s, ready_s, np.inf
    tally.machines += 1
    tally.starting += 1
    tally.billed += 1
    note_changes(sim)


@jit
def make_ready(sim, r):
    sim.replicas[r].state = UP
    sim.tally[0].starting -= 1
    note_changes(sim)


@jit
def drain(sim, r, now_s):
    """No new requests; the machine ends when its last one does, which for one that starts is now."""
    replica = sim.replicas[r]
    if replica.state == STARTING:
        sim.tally[0].starting -= 1
        end_machine(sim, r, now_s)
        return
    replica.state = DRAINING
    if replica.boundary_s == np.inf:
        end_machine(sim, r, now_s)
    note_changes(sim)


@jit
def end_machine(sim, r, now_s):
    """The bill ends. Whatever was on it is somewhere else by now, but for its cached prefixes, which are lost."""
    replica = sim.replicas[r]
    close_bill(sim, r, now_s)
    forget_prefixes(sim, r)
    replica.state, replica.boundary_s, replica.stepping = EMPTY, np.inf, 0
    sim.tally[0].billed -= 1
    note_changes(sim)


@jit
def close_bill(sim, r, now_s):
    """What is left of a step under way isn't done."""
    replica = sim.replicas[r]
    machine = sim.machines[replica.machine]
    machine.ended_s = now_s
    machine.busy_s = replica.busy_s - max(replica.until_s - now_s, 0.0)


@jit
def note_changes(sim):
    """Which replicas take requests, and when the next one is ready or dies."""
    tally = sim.tally[0]
    tally.up, tally.next_change_s = 0, np.inf
    for r in range(len(sim.replicas) - 1):
        replica = sim.replicas[r]
        if replica.state == UP:
            sim.up[tally.up] = r
            tally.up += 1
        if replica.state == STARTING:
            tally.next_change_s = min(tally.next_change_s, replica.ready_s)
        elif replica.state != EMPTY:
            tally.next_change_s = min(tally.next_change_s, replica.dies_s)


@jit
def adjust(sim, now_s):
    """Launch what is wanted and can be had, or drain what is too much: who has least to do, and then the youngest."""
    tally, settings = sim.tally[0], sim.settings[0]
    room = min(settings.most, tally.capacity) - tally.billed
    for _ in range(min(tally.wanted - tally.up - tally.starting, room)):
        if tally.machines < len(sim.machines):
            launch(sim, now_s, now_s + settings.cold_start_s)
    for _ in range(tally.up + tally.starting - tally.wanted):
        least = NONE
        for r in range(len(sim.replicas) - 1):
            serves = STARTING <= sim.replicas[r].state <= UP
            if serves and (least == NONE or rather(sim, r, least)):
                least = r
        drain(sim, least, now_s)


@jit
def rather(sim, r, other):
    a, b = sim.replicas[r], sim.replicas[other]
    if a.running + a.waiting != b.running + b.waiting:
        return a.running + a.waiting < b.running + b.waiting
    return a.machine > b.machine
