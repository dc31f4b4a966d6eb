"""The replica's own step times, measured here, in the simulator's form: same service, simulated and real, in one chart.

Taught in: chapter 10.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from course_utils.catalog.provenance import data_path, measured_here
from course_utils.scale.cluster.decoder import Decoder
from course_utils.scale.cluster.engine import EngineSettings
from course_utils.scale.cluster.graph import onnx_model
from course_utils.scale.load import closed_loop
from course_utils.scale.step_times import BLOCK_TOKENS, StepTimes
from course_utils.scale.traffic import Traffic

_REPEATS = 7
_CONTEXTS = (32, 256)
_PROMPTS = (8, 32, 128, 256)


def measured_step_times(
    engine: EngineSettings | None = None, *, folder: str | Path | None = None, url: str | None = None
) -> StepTimes:
    """Step times of a replica with these settings on this machine, in about a second; the best of 7 runs each.

    Decode steps are timed at up to eight batch sizes and two contexts, prompts at four lengths; straight lines fill
    the gaps, and a parabola in a prompt's length gives the part of attention. A step that decodes and takes prompt
    tokens in is charged as one of all its tokens. `step_at_least_s` of the settings is a floor under both tables.
    With `url`, that of a running service, `request_s` is what an answer of one token takes there beyond its step.
    """
    engine = engine or EngineSettings()
    decoder = Decoder(onnx_model(Path(folder or data_path("tiny_lm"))), engine.max_running)
    batches = np.unique(np.linspace(1, engine.max_running, 8).astype(int))
    short, long = ([_decode_s(decoder, batch, context) for batch in batches] for context in _CONTEXTS)
    added_context = batches * (_CONTEXTS[1] - _CONTEXTS[0])
    cache_s = max(0.0, float(np.polyfit(added_context, np.subtract(long, short), 1)[0]))
    # What a neighbour on the machine took must not make a larger batch look quicker.
    decode_s = np.maximum.accumulate(np.array(short) - cache_s * batches * _CONTEXTS[0])

    prompts = np.array(_PROMPTS, float)
    terms = np.stack([np.ones_like(prompts), prompts, prompts * (prompts + 1) / 2], axis=1)
    # Weighted by the inverse of the seconds: the same share of error counts the same at each length.
    prefill_s = np.array([_prefill_s(decoder, tokens) for tokens in _PROMPTS])
    start_s, token_s, pair_s = np.linalg.lstsq(
        terms / prefill_s[:, None], np.ones_like(prefill_s), rcond=None
    )[0]

    tokens = np.arange(max(engine.step_tokens, engine.max_running) + 1)
    floor_s = engine.step_at_least_s
    is_paced = floor_s > max(max(long), prefill_s.max())  # what lies below the floor takes no time of its own
    decode = np.maximum(np.interp(tokens, batches, decode_s), floor_s)
    # Beyond the largest batch no step decodes; the table goes on so that it has an entry for every count.
    mixed = np.maximum(max(start_s, 0.0) + token_s * tokens, floor_s)
    decode[0] = mixed[0] = 0.0
    times = StepTimes(
        decode_s=decode,
        mixed_s=mixed,
        cache_s_per_token=0.0 if is_paced else cache_s,
        sequence_s=0.0,
        attention_s_per_pair=0.0 if is_paced else max(float(pair_s), 0.0),
        request_s=0.0,
        kv_tokens=engine.max_running * decoder.context_tokens // BLOCK_TOKENS * BLOCK_TOKENS,
        block_tokens=BLOCK_TOKENS,
        max_running=engine.max_running,
        step_tokens=engine.step_tokens,
        label=f"tiny model, one thread of this machine, {measured_here()}",
    )
    if url is not None:
        times = replace(times, request_s=_request_s(url, times))
    return times


def _decode_s(decoder: Decoder, batch: int, context: int) -> float:
    tokens = np.ones((batch, 1), np.int64)
    past = np.full(batch, context)
    return _best_s(lambda: decoder.step(0, tokens, past).argmax(axis=1))


def _prefill_s(decoder: Decoder, tokens: int) -> float:
    prompt, past = np.ones((1, tokens), np.int64), np.zeros(1, np.int64)
    return _best_s(lambda: decoder.step(0, prompt, past).argmax(axis=1))


def _request_s(url: str, times: StepTimes, requests: int = 20, tokens: int = 16) -> float:
    traffic = Traffic(
        np.zeros(requests), np.full(requests, tokens), np.ones(requests), "one token", "generated"
    )
    return max(0.0, closed_loop(traffic, url, users=1).e2e().p50 - float(times.mixed_s[tokens]))


def _best_s(call) -> float:
    call()
    seconds = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
