"""Draws that depend on what they are for, not on when they are made: the same seed gives the same run."""

import numpy as np

from course_utils.scale.simulation.jit import jit

ROUTE, ROUTE_AGAIN, BACKOFF, LIFE, KILL, HASH = np.arange(6)


@jit
def mixed(word):
    """The finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): every bit of 64 depends on all others."""
    word = np.uint64(word) + np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@jit
def uniform(seed, purpose, first, second):
    """A number from 0 to below 1 for this purpose and these two numbers."""
    word = mixed(mixed(mixed(np.uint64(seed) ^ np.uint64(purpose)) ^ np.uint64(first)) ^ np.uint64(second))
    return np.float64(word >> np.uint64(11)) * 2.0**-53
