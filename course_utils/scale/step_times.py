"""How long one step of an engine takes, as tables over its tokens: what a simulator adds up a million times a second.

A step's seconds = table[tokens] + cache_s_per_token x (context of all that decode) + sequence_s x (sequences running)
                 + attention_s_per_pair x (sum over prompt chunks of new x (past + (new + 1)/2)).
Every entry is a formula of `estimate.step`, evaluated once: the simulator and `predict` can't disagree about a step.
Taught in: chapter 09.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from course_utils.estimate.deployment import Deployment
from course_utils.estimate.memory import kv_bytes, kv_share_per_chip
from course_utils.estimate.step import overhead_s
from course_utils.estimate.throughput import lone_prefill_s, token_s
from course_utils.estimate.work import Constants, Work, constants_of, work_of

# Tokens to a page of the KV cache: vLLM's default on CUDA.
BLOCK_TOKENS = 16


@dataclass(frozen=True, eq=False)
class StepTimes:
    """Seconds of one replica's steps, and what limits them.

    `decode_s` [tokens] is a step of so many decode tokens, their KV reads left aside; `mixed_s` [tokens] one with
    prompt tokens among them. Both start at 0 tokens and reach `step_tokens` and `max_running`. `request_s` passes
    before a request can be scheduled (HTTP, tokenizer, steps already under way) and holds no place.
    """

    decode_s: np.ndarray
    mixed_s: np.ndarray
    cache_s_per_token: float  # per token of context that a step reads, summed over the sequences that decode
    sequence_s: float  # per running sequence and step
    attention_s_per_pair: float  # per new prompt token x token it sees
    request_s: float
    kv_tokens: int  # KV capacity of a replica
    block_tokens: int
    max_running: int  # sequences at once
    step_tokens: int  # of a step: prompts' chunks and decodes together
    label: str

    @property
    def kv_blocks(self) -> int:
        """KV capacity of a replica in whole blocks."""
        return self.kv_tokens // self.block_tokens


def step_times(one: Deployment, c: Constants | None = None) -> StepTimes:
    """The tables of one replica (tp x pp chips) of `one`; `c` are constants other than the published fit's.

    Exact for attention to all tokens. With sliding windows, sparse indexes and recurrent states a sequence's KV reads
    bend with its context; here they follow the straight line through the contexts at which a request of `one.isl` and
    `one.osl` begins and ends, so give the traffic's mean lengths. The KV capacity is that of such requests, too.

    With drafts a step is that of one token: the seconds of a checked draft over the tokens that it yields. With pp
    stages the running sequences go round in pp groups, and a step of all takes as long as one group's. A prompt
    crosses the stages in chunks as if it were alone; where prompts of several requests fill all stages at once, that
    charges up to (2 pp - 1)/pp times too much.
    """
    return _by_published_fit(one) if c is None else _tables(one, c)


@lru_cache(maxsize=32)
def _by_published_fit(one: Deployment) -> StepTimes:
    # A slider asks for the same deployment at every move, and tables take 2 to 5 ms.
    return _tables(one, constants_of([one]))


def _tables(one: Deployment, c: Constants) -> StepTimes:
    work = work_of([one])
    plain = replace(c, sequence_s=np.zeros(1), eager=np.ones(1))
    per_sequence, per_token = _per_sequence_s(work, c, plain)
    step_tokens = one.settings.step_tokens * one.pp
    tokens = np.arange(max(step_tokens, one.settings.max_batch) + 1, dtype=float)
    unattended = replace(work, prefill_attention_flop=np.zeros(1), window_attention_flop=np.zeros(1))
    new = one.isl * (1.0 - one.prefix_hit)
    attention = lone_prefill_s(work, plain) - lone_prefill_s(unattended, plain)
    return StepTimes(
        decode_s=_frozen(_decode_s(replace(work, state_bytes=np.zeros(1)), plain, tokens / one.pp, 0.0)),
        mixed_s=_frozen(lone_prefill_s(replace(unattended, isl=tokens, prefix_hit=np.zeros(1)), plain)),
        cache_s_per_token=per_token / one.pp,
        sequence_s=per_sequence / one.pp,
        attention_s_per_pair=attention.item() / (new * (one.isl - new + (new + 1.0) / 2.0)),
        request_s=before_schedule_s(work, c).item(),
        kv_tokens=kv_tokens(one),
        block_tokens=BLOCK_TOKENS,
        max_running=one.settings.max_batch,
        step_tokens=step_tokens,
        label=f"{one.shape.name} on {one.tp * one.pp} x {one.chip.name}, {one.settings.name}",
    )


def before_schedule_s(work: Work, c: Constants):
    """What a request waits for before a step can take it, seconds: HTTP and tokenizer, the launches that make a
    prefill's step longer than a decode's, and the steps under way.

    They are those that TTFT shows; only the request itself waits for them. Launches charged to the step, and so to
    everyone who runs, made TPOT 1.8 times what vLLM measured at 20 requests/s on H100s (Llama-2-70B, CodeLlama-34B);
    left out it is 1.3 and 1.4 times. Of the `wait_steps` a simulator finds half by itself: the rest of the step that
    is running.
    """
    launches = overhead_s(work, c, 0.0, c.eager) - overhead_s(work, c, 0.0)
    return c.request_s + launches + np.maximum(c.wait_steps - 0.5, 0.0) * token_s(work, c, 1.0)


def kv_tokens(one: Deployment) -> int:
    """Tokens of context that a replica's KV cache holds, in whole blocks: its pool over what a request of isl + osl
    tokens takes, times these tokens. Windows and states make that more for longer requests."""
    context = one.isl + one.osl
    share = kv_share_per_chip(one.shape, one.tp // one.attention_dp) / (one.pp * one.attention_dp)
    requests = one.fit.kv_pool_bytes_per_chip / (kv_bytes(one.shape, context, one.kv_bits) * share)
    return int(requests * context) // BLOCK_TOKENS * BLOCK_TOKENS


def _decode_s(work: Work, c: Constants, sequences, context):
    """Seconds per output token of `sequences` that have `context` tokens behind them each."""
    return token_s(replace(work, isl=np.asarray(context, float), osl=np.zeros(1)), c, sequences)


def _per_sequence_s(work: Work, c: Constants, plain: Constants) -> tuple[float, float]:
    """What a sequence adds to a step beyond its token: seconds whatever its context, and per token of it."""
    ends = np.array([work.isl.item(), (work.isl + work.osl).item()])
    added = _decode_s(work, c, 1.0, ends) - _decode_s(replace(work, state_bytes=np.zeros(1)), plain, 1.0, 0.0)
    per_token = (added[1] - added[0]) / (ends[1] - ends[0])
    return max(float(added[0] - per_token * ends[0]), 0.0), float(per_token)


def _frozen(table: np.ndarray) -> np.ndarray:
    table.setflags(write=False)
    return table
