"""Queues of requests without a queue's memory: each request holds the one before and the one after it.

`links` [requests, 2] are these two, `ends` [lists, 2] each list's first and last. All is O(1), also leaving from
anywhere. Requests that wait to be sent again are in a binary heap by time.
"""

from course_utils.scale.simulation.jit import jit
from course_utils.scale.simulation.records import NONE, NOTHING

BEFORE, AFTER = 0, 1
FIRST, LAST = 0, 1


@jit
def push_last(links, ends, which, i):
    last = ends[which, LAST]
    links[i, BEFORE], links[i, AFTER] = last, NONE
    if last == NONE:
        ends[which, FIRST] = i
    else:
        links[last, AFTER] = i
    ends[which, LAST] = i


@jit
def push_first(links, ends, which, i):
    first = ends[which, FIRST]
    links[i, BEFORE], links[i, AFTER] = NONE, first
    if first == NONE:
        ends[which, LAST] = i
    else:
        links[first, BEFORE] = i
    ends[which, FIRST] = i


@jit
def remove(links, ends, which, i):
    before, after = links[i, BEFORE], links[i, AFTER]
    if before == NONE:
        ends[which, FIRST] = after
    else:
        links[before, AFTER] = after
    if after == NONE:
        ends[which, LAST] = before
    else:
        links[after, BEFORE] = before


@jit
def earlier(times, items, a, b):
    return times[a] < times[b] or (times[a] == times[b] and items[a] < items[b])


@jit
def swap(times, items, a, b):
    times[a], times[b] = times[b], times[a]
    items[a], items[b] = items[b], items[a]


@jit
def heap_push(times, items, count, time_s, item):
    """Onto the `count` that are there; at one time, the lower item first."""
    at = count
    times[at], items[at] = time_s, item
    while at > 0 and earlier(times, items, at, (at - 1) // 2):
        swap(times, items, at, (at - 1) // 2)
        at = (at - 1) // 2


@jit
def heap_pop(times, items, count):
    """The first of `count`, whose place the last one takes and sinks."""
    item = items[0]
    times[0], items[0] = times[count - 1], items[count - 1]
    at, end = NOTHING, count - 1
    while True:
        child = 2 * at + 1
        if child >= end:
            return item
        if child + 1 < end and earlier(times, items, child + 1, child):
            child += 1
        if not earlier(times, items, child, at):
            return item
        swap(times, items, at, child)
        at = child
