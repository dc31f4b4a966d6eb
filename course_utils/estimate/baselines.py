"""Simple predictors to compare with: what a spreadsheet would say. The same inputs, no fitted constant.

All three treat a step as the roofline: the longer of reading bytes and multiplying. They differ in the fractions
of the data sheet that they expect, and in what they leave out.
"""

from dataclasses import dataclass

import numpy as np

from course_utils.estimate.step import touched_experts
from course_utils.estimate.throughput import most_running
from course_utils.estimate.work import Work


@dataclass(frozen=True)
class Roofline:
    """A predictor: fractions of bandwidth and of peak, whether the KV cache is read, whether all experts are."""

    name: str
    bandwidth: float
    compute: float
    reads_cache: bool = True
    all_experts: bool = False


BASELINES = (
    Roofline("ideal roofline", 1.0, 1.0),
    Roofline("80/60 roofline", 0.8, 0.6),
    # LLM-Viewer (hahnyuan/LLM-Viewer, model_analyzer.py): the data sheet's limits operator by operator, every
    # weight read at each step, no communication, no overhead.
    Roofline("LLM-Viewer-like", 1.0, 1.0, all_experts=True),
)


def step_s(work: Work, kind: Roofline, tokens, sequences, context):
    """Longer of bytes over bandwidth and FLOP over peak, for a step of `tokens` with the cache of `sequences`."""
    reached = 1.0 if kind.all_experts else touched_experts(work.experts, work.experts_per_token, tokens)
    read = work.dense_bytes + work.head_bytes + work.expert_bytes * reached
    cache = (
        work.kv_full_bytes * context
        + work.kv_window_bytes * np.minimum(context, work.window)
        + work.state_bytes
    )
    read = read + kind.reads_cache * sequences / work.attention_dp * cache
    flop = work.dense_flop * tokens / work.attention_dp + work.expert_flop * tokens
    return np.maximum(read / (work.bandwidth * kind.bandwidth), flop / (work.peak * kind.compute))


def baseline(work: Work, loads: np.ndarray, kind: Roofline) -> dict[str, np.ndarray]:
    """The three METRICS by roofline: batch from memory, decode steps plus prefill, no queue and no overhead."""
    asked = np.where(loads == "max", np.inf, work.load_value / (work.replicas * work.pp))
    batch = np.clip(asked, 1.0, most_running(work))
    # Under load prompts share passes over the weights: then a prompt costs its part of a full step.
    new = work.isl * (1.0 - work.prefix_hit)
    full = np.maximum(new, work.step_tokens)
    alone = step_s(work, kind, new, 0.0, 0.0)
    shared = step_s(work, kind, full, 0.0, 0.0) * new / full
    prefill = np.where(np.isin(loads, ("max",)), shared, alone)
    context = work.isl + work.osl / 2
    rate = loads == "rate"
    if rate.any():  # Little's law, by iteration from a batch of one
        arrivals = work.load_value / (work.replicas * work.pp)
        running = np.ones(batch.shape)
        for _ in range(30):
            token = step_s(work, kind, running, running, context)
            running = np.clip(
                arrivals * work.osl * (token + running / work.osl * prefill), 1.0, most_running(work)
            )
        batch = np.where(rate, running, batch)
    together = np.where(loads == "batch", batch, 1.0)
    token = step_s(work, kind, batch, batch, context)
    mixed = np.isin(loads, ("concurrency", "rate", "max"))
    tpot = token + np.where(mixed, (batch - 1.0) / work.osl * prefill, 0.0)
    ttft = together * prefill
    life = ttft + np.maximum(work.osl - 1.0, 0.0) * tpot
    return {"out_tok_s_per_gpu": batch * work.osl / life / work.tp, "ttft_s": ttft, "tpot_s": tpot}
