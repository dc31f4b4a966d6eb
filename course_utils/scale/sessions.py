"""Conversations as traffic: which prompts begin alike, as one number and one length per request.

A trace of conversations names every block of every prompt. A simulator of a million requests keeps less: the text
that a request shares (`prefix_id`) and how far (`prefix_tokens`). Prompts form a tree of blocks; the tree is cut into
paths, each block going on in the child that most requests go through, and a request belongs to the path of its
deepest shared block. What two requests of one path have in common is exact; what a request shares with another path,
most often a system prompt of one block, is lost. Of the tokens that an endless cache would serve, 96 % are kept on
Mooncake's conversation trace and 94 % on its synthetic one.

Taught in: chapter 10.
"""

import math

import numpy as np

from course_utils.cache.conversations import (
    ConversationProcess,
    Conversations,
    conversation_processes,
    generate_conversations,
)
from course_utils.scale.checked import refuse
from course_utils.scale.traffic import Traffic


def traffic_of_conversations(conversations: Conversations, origin: str) -> Traffic:
    """The same requests with a `prefix_id` and `prefix_tokens` each. An answer of 0 tokens counts as one of 1."""
    prefix_id, blocks = shared_paths(conversations.blocks)
    input_tokens = np.asarray(conversations.input_tokens)
    prefix_tokens = np.minimum(blocks * conversations.block_tokens, input_tokens)
    return Traffic(
        np.asarray(conversations.arrived_s) - min(0.0, float(np.min(conversations.arrived_s))),
        input_tokens,
        np.maximum(1, conversations.output_tokens),
        conversations.name,
        origin,
        prefix_id=prefix_id,
        prefix_tokens=prefix_tokens,
    )


def generate_sessions(requests: int, process: ConversationProcess | None = None, *, seed: int = 0) -> Traffic:
    """Conversations that come back turn by turn, a system prompt before all of them: Mooncake's unless told otherwise.

    `process`: a row of `data/conversation_traces.csv`. ValueError for requests below 1.
    """
    refuse("requests", requests, 1, whole=True)
    process = process or conversation_processes()["mooncake_conversation"]
    origin = f"generated: conversations fitted on {process.source}, {process.as_of}; seed {seed}"
    # The generator gives about as many as it is asked for, most often fewer: conversations go on past its end.
    asked, found = requests, 0
    while found < requests:
        asked = math.ceil(1.1 * asked) + 20
        conversations = generate_conversations(asked, process, seed=seed)
        found = len(conversations)
    return traffic_of_conversations(conversations, origin).first(requests)


def shared_paths(blocks: tuple[tuple[int, ...], ...]) -> tuple[np.ndarray, np.ndarray]:
    """The path of each request's deepest shared block (-1: it shares none), and how many blocks deep that lies.

    blocks: per request its block numbers; equal numbers mean equal text up to and with that block. Two int64 arrays
    [requests]. Paths are numbered from 0 in the order of the requests.
    """
    sizes = np.array([len(row) for row in blocks])
    names, node = np.unique(
        np.concatenate([np.asarray(row, dtype=np.int64) for row in blocks]), return_inverse=True
    )
    ends = np.cumsum(sizes)
    depth = np.arange(node.size) - np.repeat(ends - sizes, sizes)
    passing = np.bincount(node, minlength=names.size)
    first = np.full(names.size, node.size)
    np.minimum.at(first, node, np.arange(node.size))
    parent = np.where(depth[first] > 0, node[first - 1], -1)

    # The child that most requests go through, the earliest of several.
    order = np.lexsort((first, -passing, parent))
    heirs = order[np.concatenate(([True], parent[order][1:] != parent[order][:-1]))]
    heirs = heirs[parent[heirs] >= 0]
    goes_on = np.zeros(names.size, dtype=bool)
    goes_on[heirs] = True
    path = np.arange(names.size)
    for one in np.argsort(depth[first], kind="stable"):
        if goes_on[one]:
            path[one] = path[parent[one]]

    shared = np.add.reduceat(np.append(passing[node] > 1, False), ends - sizes) * (sizes > 0)
    deepest = node[np.maximum(ends - sizes + shared - 1, 0)]
    found, number = np.unique(path[deepest], return_inverse=True)
    first_use = np.full(found.size, len(blocks))
    np.minimum.at(first_use, number, np.where(shared > 0, np.arange(len(blocks)), len(blocks)))
    rank = np.argsort(np.argsort(first_use, kind="stable"), kind="stable")
    return np.where(shared > 0, rank[number], -1), shared.astype(np.int64)
