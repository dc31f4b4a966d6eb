"""What the simulation knows: one record per request, per replica, and for the fleet."""

from typing import NamedTuple

import numpy as np
from numba import types
from numba.experimental import structref

# As int64 and not as Python's numbers, of each of which numba would compile a copy of a function of its own.
NONE = np.int64(-1)
NOTHING = np.int64(0)
NEVER = np.int64(2**62)

# States of a request. The last four are how it can end.
AWAY, WAITING, PREFILLING, DECODING, FINISHED, SHED, TIMED_OUT, FAILED = np.arange(8)

# States of a replica's place.
EMPTY, STARTING, UP, DRAINING = np.arange(4)

REQUEST = np.dtype(
    [
        ("arrived_s", "f8"),
        ("entered_s", "f8"),  # the attempt under way reached the router
        ("first_token_s", "f8"),
        ("stalled_s", "f8"),  # its last token before it was preempted
        ("ended_s", "f8"),
        ("offset", "i8"),  # context - its replica's steps, while it decodes
        ("input", "i4"),
        ("output", "i4"),
        ("prefix", "i8"),  # NONE for none
        ("prefix_tokens", "i4"),
        ("tenant", "i4"),
        ("level", "i8"),  # rank of its priority, 0 the lowest
        ("state", "i4"),
        ("place", "i8"),  # of the replica, or the gateway's, which is the last
        ("machine", "i4"),  # number of the launch that served it
        (
            "target",
            "i4",
        ),  # tokens to compute before its next token: the prompt, and what was generated before
        ("computed", "i4"),  # of these, cached ones included
        ("generated", "i4"),
        ("shared", "i4"),  # blocks that belong to the prefix cache
        ("cached", "i4"),  # tokens found in the prefix cache
        ("attempts", "i4"),
        ("preemptions", "i4"),
        ("moves", "i4"),
        ("entering", "i4"),  # 1 while it can be shed for the length of a replica's queue
        ("limited", "i4"),  # 1 while it is in the list of those whose wait is limited
    ]
)

REPLICA = np.dtype(
    [
        ("boundary_s", "f8"),  # end of the step under way, or now for who has just got work; inf while idle
        ("step_s", "f8"),  # seconds of the step under way
        ("ready_s", "f8"),
        ("dies_s", "f8"),
        ("busy_s", "f8"),  # sum of its steps, the one under way included
        ("until_s", "f8"),  # end of the last step begun
        ("offsets", "i8"),  # sum over the requests that decode
        ("steps", "i8"),  # done
        ("next_end", "i8"),  # no request that decodes is done before this step
        ("free", "i8"),  # blocks
        ("cached", "i8"),  # blocks in the prefix cache that nobody uses: they can be had
        ("lowest", "i8"),  # fewest blocks that could be had so far
        ("prompt_tokens", "i8"),  # of the requests that are here
        ("state", "i4"),
        ("machine", "i4"),
        ("stepping", "i4"),  # 1 while a step is under way
        ("running", "i4"),
        ("prefilling", "i4"),  # the last ones of those running
        ("decoding", "i4"),
        ("waiting", "i4"),
        ("preempted", "i4"),  # 1 if the step under way began with a preemption
        ("oldest", "i8"),  # prefix used longest ago
        ("newest", "i8"),
    ]
)

SEAT = np.dtype(
    [("request", "i8"), ("end", "i8")]
)  # `end`: the step that completes it; NONE while it prefills
PREFIX = np.dtype([("blocks", "i4"), ("pinned", "i4"), ("users", "i4"), ("older", "i8"), ("newer", "i8")])
MACHINE = np.dtype([("launched_s", "f8"), ("ready_s", "f8"), ("ended_s", "f8"), ("busy_s", "f8")])
SAMPLE = np.dtype(
    [("at_s", "f8"), ("up", "i4"), ("billed", "i4"), ("waiting", "i4"), ("running", "i4"), ("kv_share", "f8")]
)

SETTINGS = np.dtype(
    [
        ("cache_s_per_token", "f8"),
        ("sequence_s", "f8"),
        ("attention_s_per_pair", "f8"),
        ("request_s", "f8"),
        ("longest_wait_s", "f8"),
        ("timeout_s", "f8"),
        ("backoff_s", "f8"),
        ("backoff_factor", "f8"),
        ("jitter", "f8"),
        ("cold_start_s", "f8"),
        ("mean_life_s", "f8"),  # inf for ever
        ("beta", "f8"),
        ("target", "f8"),
        ("interval_s", "f8"),  # inf without an autoscaler
        ("late_share", "f8"),
        ("level_weight", "f8"),
        ("trend_weight", "f8"),
        ("lead_intervals", "f8"),
        ("sample_s", "f8"),
        ("seed", "u8"),
        ("blocks", "i8"),
        ("block_tokens", "i8"),
        ("max_running", "i8"),
        ("step_tokens", "i8"),
        ("static", "i8"),
        ("prefix_cache", "i8"),
        ("queue_limit", "i8"),
        ("retries", "i8"),
        ("moves", "i8"),
        ("replaced", "i8"),
        ("routing", "i8"),
        ("by_tenant", "i8"),
        ("central", "i8"),
        ("rule", "i8"),
        ("least", "i8"),
        ("most", "i8"),
        ("upscale_ticks", "i8"),
        ("downscale_ticks", "i8"),
        ("cooldown_ticks", "i8"),
        ("levels", "i8"),
    ]
)

TALLY = np.dtype(
    [
        ("last_s", "f8"),  # end of the last request
        ("next_change_s", "f8"),  # of a replica: it is ready, or dies
        ("rate_level", "f8"),
        ("rate_trend", "f8"),
        ("left", "i8"),  # requests that haven't ended
        ("up", "i8"),
        ("starting", "i8"),
        ("billed", "i8"),
        ("wanted", "i8"),
        ("capacity", "i8"),
        ("turn", "i8"),
        ("machines", "i8"),  # launched so far
        ("capacity_events", "i8"),  # past
        ("kills", "i8"),  # past
        ("arrived", "i8"),  # requests that have reached the router
        ("retrying", "i8"),  # entries of the heap
        ("entered", "i8"),  # attempts since the last tick
        ("first_tokens", "i8"),
        ("late_tokens", "i8"),
        ("ticks", "i8"),
        ("up_ticks", "i8"),
        ("down_ticks", "i8"),
        ("since_change", "i8"),
        ("asked_tokens", "i8"),  # to compute, in all admissions
        ("hit_tokens", "i8"),
        ("prompt_tokens", "i8"),  # computed, some of them again
        ("answer_tokens", "i8"),  # generated, those that were lost included
        ("steps", "i8"),
        ("preemptions", "i8"),
        ("blocks_taken", "i8"),
        ("blocks_returned", "i8"),
        ("samples", "i8"),
        ("next_sample", "i8"),
        ("sample_every", "i8"),  # doubles whenever the series is full
    ]
)

# Gaps between tokens are counted in bins a fiftieth of a factor of e wide, from a microsecond to 8 hours.
SHORTEST_GAP_S, BINS_PER_E, GAP_BINS = 1e-6, 50, 1208
GAP_EDGES_S = SHORTEST_GAP_S * np.exp(np.arange(GAP_BINS + 1) / BINS_PER_E)
LONGEST_SERIES = 1024


class Arrays(NamedTuple):
    """All arrays of a run. `places` below counts the gateway, `lists` those of each place and priority."""

    settings: np.ndarray  # [1]
    tally: np.ndarray  # [1]
    decode_s: np.ndarray  # [tokens]
    mixed_s: np.ndarray  # [tokens]
    requests: np.ndarray  # [requests]
    queue_links: np.ndarray  # [requests, 2]
    wait_links: np.ndarray  # [requests, 2]
    timeout_links: np.ndarray  # [requests, 2]
    list_ends: np.ndarray  # [lists + 2, 2]
    retry_s: np.ndarray  # [requests]
    retry_of: np.ndarray  # [requests]
    replicas: np.ndarray  # [places]
    up: np.ndarray  # [places]: those that take requests
    seats: np.ndarray  # [places - 1, max_running]
    new_blocks: np.ndarray  # [places - 1, block_tokens]: requests that decode, by offset modulo block_tokens
    prefixes: np.ndarray  # [places - 1, prefixes]
    machines: np.ndarray  # [launches]
    kills_s: np.ndarray
    capacity_s: np.ndarray
    capacity: np.ndarray
    gaps: np.ndarray  # [bins]
    series: np.ndarray  # [LONGEST_SERIES]


@structref.register
class SimType(types.StructRef):
    """The arrays as compiled functions hand them on: behind one pointer. As arguments of their own they make a run 8
    times as long, for counting references."""

    def __init__(self, fields):
        super().__init__(tuple((name, types.unliteral(kind)) for name, kind in fields))
        self.name = "Sim"  # the full one, of all fields, is 10 kB long and part of each function's symbol


class Sim:
    """`Sim(*arrays)`, in compiled code only: the constructor that Python gets would be compiled in each process."""


structref.define_attributes(SimType)
structref.define_constructor(Sim, SimType, Arrays._fields)
