"""What no fleet can beat: floors of latency and of busy replicas for thousands of candidates in one pass.

A step of T tokens takes at least f + g T seconds, for any line under the step's table. Over a trace

    replica seconds >= f x steps + g x tokens + KV reads + attention

and the steps are at least as many as decode tokens over the sequences that may run at once, be it a limit, the room in
the KV cache, or the time per output token: if the tokens of all but the hardest 5 % wait L on average, n of them in a
step of f + (g + k) n seconds, Cauchy's inequality leaves at least (g + k) x tokens / (L - f) steps. So these are bounds
of the very model that the simulation runs: who fails here needs no simulation. Own derivation.
Taught in: chapter 12.
"""

from dataclasses import dataclass, replace

import numpy as np

from course_utils.decide.planning.candidates import Candidates, Replica, Requirements
from course_utils.decide.planning.demand import Demand
from course_utils.estimate.throughput import lone_prefill_s, token_s
from course_utils.estimate.work import constants_of, work_of
from course_utils.scale.step_times import kv_tokens

# Tables are sampled at steps of 19 %, between which they bend by less than this.
_BEND = 0.98
_GRID_STEP = 2**0.25


@dataclass(frozen=True, eq=False)
class Floors:
    """Arrays over replicas [n], and over replicas x batch limits [n, limits]. What is asked can't be done for less.

    `busy_replicas`: the mean number of replicas at work over the whole trace.
    """

    ttft_p95_s: np.ndarray
    tpot_p95_s: np.ndarray
    busy_replicas: np.ndarray


def floors(found: Candidates, demand: Demand, requirements: Requirements) -> Floors:
    """Bounds for every replica of `found`, whatever the routing and the number of replicas."""
    replicas, limits = found.replicas, found.batch_limits
    if not replicas:
        return Floors(np.zeros(0), np.zeros(0), np.zeros((0, len(limits))))
    placed = [one.deployment for one in replicas]
    work, c = work_of(placed), constants_of(placed)
    cached = np.array([one.prefix_cache for one in replicas])
    new = np.where(cached, demand.p95_new_tokens, demand.p95_input_tokens)
    alone = replace(work, isl=new, prefix_hit=np.zeros(len(placed)))
    ttft = c.request_s + lone_prefill_s(alone, c)
    tpot = _decode_s(work, c, 1.0, demand.p95_context_tokens)
    # A request of one token has no time per further token.
    tpot = tpot if demand.decode_tokens else np.zeros(len(placed))
    return Floors(ttft, tpot, _busy(replicas, limits, work, c, cached, demand, requirements))


def _decode_s(work, c, sequences: float, context: float) -> np.ndarray:
    """Seconds of a decode step of `sequences`, each with `context` tokens behind it [n]."""
    rows = len(work.tp)
    return token_s(replace(work, isl=np.full(rows, float(context)), osl=np.zeros(rows)), c, float(sequences))


def _busy(replicas: tuple[Replica, ...], limits, work, c, cached, demand: Demand, requirements: Requirements):
    tokens, table = _table(work, c)
    slopes = np.diff(table, axis=1) / np.diff(tokens)
    # Each slope is that of a line under the whole table: its height at 0 is the least that keeps it there.
    heights = np.stack([(table - slope[:, None] * tokens).min(axis=1) for slope in slopes.T], axis=1)
    heights = np.maximum(heights, 0.0)

    mean_context = demand.context_tokens / max(demand.decode_tokens, 1.0)
    kv_read = _decode_s(work, c, 1.0, mean_context) - _decode_s(work, c, 1.0, 0.0)
    hard = demand.decode_tokens - demand.hard_decode_tokens
    spare = requirements.tpot_s - heights
    with np.errstate(divide="ignore"):
        waiting = np.where(spare > 0, (slopes + kv_read[:, None]) * hard / spare, np.inf)
    room = np.array([kv_tokens(one.deployment) for one in replicas])
    held = demand.context_tokens / room
    prompt = np.where(cached, demand.input_tokens - demand.hit_tokens, demand.input_tokens)
    pairs = np.where(cached, demand.pairs_after_hits, demand.pairs)
    fixed = kv_read * demand.decode_tokens + _pair_s(work, c, demand) * pairs
    seconds = np.empty((len(replicas), len(limits)))
    for at, limit in enumerate(limits):
        most = np.minimum(np.array([one.deployment.settings.max_batch for one in replicas]), limit or np.inf)
        steps = np.maximum(demand.decode_tokens / most, held)[:, None]
        steps = np.maximum(steps, np.where(np.isfinite(waiting), waiting, steps))
        lines = heights * steps + slopes * (prompt + demand.decode_tokens)[:, None]
        seconds[:, at] = lines.max(axis=1) + fixed
    slack = requirements.ttft_s + requirements.tpot_s * float(demand.traffic.output_tokens.max())
    return seconds * _BEND / (demand.span_s + min(slack, demand.span_s))


def _table(work, c) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of a step [k], and the least seconds that such a step takes [n, k]: KV reads and attention left aside."""
    most = float(np.max(work.step_tokens))
    tokens = np.concatenate(
        ([0.0], np.unique(np.geomspace(1, most, int(np.log(most) / np.log(_GRID_STEP)) + 2)))
    )
    rows = len(work.tp)
    bare = replace(work, prefill_attention_flop=np.zeros(rows), window_attention_flop=np.zeros(rows))
    bare = replace(bare, prefix_hit=np.zeros(rows), state_bytes=np.zeros(rows))
    silent = replace(c, sequence_s=np.zeros(rows))
    decode = [_decode_s(bare, silent, one, 0.0) for one in tokens]
    mixed = [lone_prefill_s(replace(bare, isl=np.full(rows, one)), silent) for one in tokens]
    return tokens, np.minimum(np.stack(decode, axis=1), np.stack(mixed, axis=1))


def _pair_s(work, c, demand: Demand) -> np.ndarray:
    """Seconds of prompt attention per new token and token it sees [n]."""
    rows = len(work.tp)
    none = replace(work, prefill_attention_flop=np.zeros(rows), window_attention_flop=np.zeros(rows))
    length = max(demand.mean_input_tokens, 1.0)
    whole, without = (
        lone_prefill_s(replace(one, isl=np.full(rows, length), prefix_hit=np.zeros(rows)), c)
        for one in (work, none)
    )
    return (whole - without) / (length * (length + 1.0) / 2.0)
