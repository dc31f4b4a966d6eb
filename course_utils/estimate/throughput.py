"""From the time of a step to what a user sees: TTFT, TPOT and tokens per second, under four kinds of load.

`batch=N` starts N prompts together and waits for all. `concurrency=N` keeps N requests in flight (closed loop).
`rate=R` receives R requests a second, finished or not (open loop). `max` has an endless backlog (offline).

In continuous batching a running sequence pays for two things: its own decode steps, and the prefills of the
others, of which (batch/osl) start per step. All times are seconds; batches are per pipeline stage and replica.
"""

from dataclasses import dataclass, fields

import numpy as np

from course_utils.estimate.step import decode_step_s, prefill_s
from course_utils.estimate.work import Constants, Work

# A queue this full (part of the capacity) is stable on paper only: see `open_loop`.
FULL = 0.98


@dataclass(frozen=True)
class Speed:
    """Arrays over rows. `out_tok_s_per_gpu` counts output tokens only, of all requests, per chip."""

    out_tok_s_per_gpu: np.ndarray
    ttft_s: np.ndarray
    tpot_s: np.ndarray
    batch: np.ndarray  # sequences decoding at once, per replica
    overloaded: np.ndarray  # an open loop above capacity: its queue grows without end


def accepted_per_step(draft_tokens, acceptance):
    """Tokens that a step yields with speculative decoding: (1 - a^(g+1)) / (1 - a) (Leviathan et al. 2023, eq. 1)."""
    return (1.0 - acceptance ** (draft_tokens + 1.0)) / (1.0 - acceptance)


def token_s(work: Work, c: Constants, sequences):
    """Seconds per output token of one sequence among `sequences`, prefills left aside.

    The mean context is the prompt and half of the output. A draft of g tokens costs about g/layers of a step (a
    one-layer draft head) and the step then checks g + 1 tokens.
    """
    context = work.isl + work.osl / 2.0
    step = decode_step_s(work, c, sequences, context, 1.0 + work.draft_tokens)
    drafting = 1.0 + work.draft_tokens / work.layers
    return step * drafting / accepted_per_step(work.draft_tokens, work.acceptance)


def lone_prefill_s(work: Work, c: Constants):
    """One prompt by itself, in chunks of at most `step_tokens`; tokens in the prefix cache are skipped.

    Pipeline stages work on different chunks at once: p chunks through s stages take (p + s - 1)/(p s) of the time
    that one stage with all layers would take.
    """
    new = work.isl * (1.0 - work.prefix_hit)
    passes = np.maximum(1.0, new / work.step_tokens)
    pipelined = (passes + work.pp - 1.0) / (passes * work.pp)
    return pipelined * prefill_s(work, c, new, work.isl * work.prefix_hit, 1.0, passes)


def shared_prefill_s(work: Work, c: Constants):
    """One prompt's part of steps that are kept full of prompt tokens."""
    new = work.isl * (1.0 - work.prefix_hit)
    return prefill_s(work, c, new, work.isl * work.prefix_hit, 1.0, new / work.step_tokens)


def others_prefills_s(work: Work, c: Constants, sequences, shared):
    """Seconds that the prefills of the other `sequences` take from one request: each starts once in its life."""
    return c.interference * np.maximum(sequences - 1.0, 0.0) * shared


def place_s(work: Work, c: Constants, sequences, alone, shared):
    """Seconds that a request holds its place among `sequences`: its prefill, its steps, the prefills of the others.

    `alone` and `shared` are `lone_prefill_s` and `shared_prefill_s`, which don't depend on `sequences`. This is
    what capacity means under every load: `sequences` places, each taken anew after so long.
    """
    tokens = np.maximum(work.osl - 1.0, 0.0)
    others = others_prefills_s(work, c, sequences, shared)
    return alone + tokens * token_s(work, c, sequences) + others


def running_token_s(work: Work, c: Constants, sequences, shared, waited=0.0):
    """TPOT among `sequences` in continuous batching: a decode step, and the prefills that others start meanwhile.

    Those that were `waited` for before the first token don't come again.
    """
    others = np.maximum(others_prefills_s(work, c, sequences, shared) - waited, 0.0)
    return token_s(work, c, sequences) + others / np.maximum(work.osl - 1.0, 1.0)


def most_running(work: Work):
    """Sequences per stage and replica when requests queue: what memory and the engine allow."""
    return np.maximum(work.max_batch / work.pp, 1.0)


def offline(work: Work, c: Constants) -> Speed:
    """Endless backlog: as many requests as there is room for, each place taken anew at once."""
    batch = most_running(work)
    alone, shared = lone_prefill_s(work, c), shared_prefill_s(work, c)
    tpot = running_token_s(work, c, batch, shared)
    ttft = c.request_s + c.wait_steps * token_s(work, c, batch) + alone
    rate = batch / place_s(work, c, batch, alone, shared)
    return Speed(rate * work.osl / work.tp, ttft, tpot, batch * work.pp, np.zeros(batch.shape, bool))


def static_batch(work: Work, c: Constants) -> Speed:
    """N prompts prefilled together, then decoded in step. More than fit take turns, as in an offline queue."""
    asked = np.maximum(work.load_value / (work.replicas * work.pp), 1.0)
    batch = np.minimum(asked, most_running(work))
    new = work.isl * (1.0 - work.prefix_hit)
    passes = np.maximum(1.0, batch * new / work.step_tokens)
    prefill = prefill_s(work, c, new, work.isl * work.prefix_hit, batch, passes)
    prefill = prefill * (passes + work.pp - 1.0) / (passes * work.pp)
    tpot = token_s(work, c, batch)
    waves = asked / batch
    total = waves * (prefill + np.maximum(work.osl - 1.0, 0.0) * tpot)
    ttft = prefill + np.maximum(waves - 1.0, 0.0) / 2.0 * total / waves
    return Speed(
        work.load_value * work.osl / total / work.gpus,
        ttft,
        tpot,
        batch * work.pp,
        np.zeros(batch.shape, bool),
    )


def queue_s(c: Constants, busy, service):
    """Mean wait for a server that is `busy` of the time with jobs of `service`: M/D/1, rho/(2 (1 - rho)), scaled."""
    busy = np.minimum(busy, FULL)
    return c.queue * busy / (2.0 * (1.0 - busy)) * service


def closed_loop(work: Work, c: Constants) -> Speed:
    """N requests always in flight. A request's life is N over the throughput (Little's law), and that is capacity's
    at most: with more requests than places, the time between two requests is hidden behind those that wait."""
    asked = np.maximum(work.load_value / (work.replicas * work.pp), 1.0)
    batch = np.minimum(asked, most_running(work))
    alone, shared = lone_prefill_s(work, c), shared_prefill_s(work, c)
    step, place = token_s(work, c, batch), place_s(work, c, batch, alone, shared)
    busy = np.minimum(batch * shared / place, 1.0)
    # Nobody waits behind more prefills than there are other requests.
    wait = queue_s(c, busy, alone) + c.burst * (batch - 1.0) / 2.0 * shared
    wait = np.minimum(wait, others_prefills_s(work, c, batch, shared))
    tpot = running_token_s(work, c, batch, shared, wait)
    between = c.request_s + c.loop_s + c.wait_steps * step
    rate = np.minimum(asked / (between + place), batch / place)
    ttft = asked / rate - np.maximum(work.osl - 1.0, 0.0) * tpot
    most = np.minimum(work.load_value, asked * work.replicas * work.pp)  # a replica may have less than one
    throughput = rate / asked * most * work.osl / work.gpus
    return Speed(throughput, ttft, tpot, batch * work.pp, np.zeros(batch.shape, bool))


def open_loop(work: Work, c: Constants) -> Speed:
    """R requests a second: the batch that keeps up is where arrivals x place = requests running (Little's law).

    Above capacity (what the largest batch can do) the queue has no steady state: TTFT is infinite, the rest is
    capacity's.
    """
    per_stage = work.load_value / (work.replicas * work.pp)
    alone, shared = lone_prefill_s(work, c), shared_prefill_s(work, c)
    low, high = np.zeros(per_stage.shape), most_running(work)
    capacity = high / place_s(work, c, high, alone, shared)
    for _ in range(24):  # bisection: 2**24 halves any batch to below one sequence
        middle = (low + high) / 2.0
        short = per_stage * place_s(work, c, np.maximum(middle, 1.0), alone, shared) > middle
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    batch = np.maximum((low + high) / 2.0, 1e-3)
    overloaded = per_stage > FULL * capacity
    served = np.where(overloaded, capacity, per_stage)
    running = np.maximum(batch, 1.0)
    wait = queue_s(c, np.minimum(per_stage * shared, FULL), alone)
    ttft = c.request_s + c.wait_steps * token_s(work, c, running) + alone + wait
    tpot = running_token_s(work, c, running, shared, wait)
    throughput = served * work.osl * work.replicas * work.pp / work.gpus
    return Speed(throughput, np.where(overloaded, np.inf, ttft), tpot, batch * work.pp, overloaded)


BY_LOAD = {"max": offline, "batch": static_batch, "concurrency": closed_loop, "rate": open_loop}


def speed(work: Work, c: Constants, loads: np.ndarray) -> Speed:
    """Each row under its own kind of load (`loads` holds the kinds)."""
    size = len(loads)
    result = {
        field.name: np.zeros(size, bool if field.name == "overloaded" else float) for field in fields(Speed)
    }
    for kind, formula in BY_LOAD.items():
        index = np.flatnonzero(loads == kind)
        if index.size:
            some = formula(work.take(index), Constants(*(values[index] for values in vars(c).values())))
            for name, values in result.items():
                values[index] = getattr(some, name)
    return Speed(**result)
