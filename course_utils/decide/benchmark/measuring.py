"""One measurement each: how good a variant is, and how fast and large what serves it is.

Quality comes from a model that was trained (the course's tiny one; on a GPU the largest that `measure.models` finds),
speed and memory from random weights at real widths: a small hidden size shows slowdowns that real models don't have,
and random weights take as long as trained ones. Both run on one thread, so that two of them can share a machine.
Taught in: chapter 12, section 2.
"""

import contextlib
import io
import warnings
from dataclasses import dataclass
from functools import partial

from course_utils.decide.benchmark.variants import Variant, variant
from course_utils.measure.gpu_work import TIMED, half_dtype
from course_utils.measure.machine import Gpu

SEQUENCE_TOKENS = 256
WINDOWS = 24
# Half the time of sixteen, and as good: GPTQ in 3 bits has perplexity 75.3 to 76.4, by the seed; with sixteen 75.8.
CALIBRATION_SEQUENCES = 8
PROMPT_TOKENS = 64
BATCH = 8
# Of samples for each of the three times: seven, whose extremes enclose the median with 98 %, or fewer of a slow
# kernel: its interval then reaches less, and a single sample has none.
SAMPLES, SECONDS = 7, 0.6


@dataclass(frozen=True)
class Shape:
    """Of the model that is timed: random weights, so many layers of these widths."""

    hidden: int
    layers: int
    intermediate: int
    dtype: str


# Two layers of a 1-billion-parameter model: 88 million weights, 350 MB in 32 bits, more than a CPU's caches hold.
ON_CPU = Shape(2048, 2, 5504, "float32")


def shape_on(gpu: Gpu | None) -> Shape:
    """What is timed here: ON_CPU, or `gpu_work.TIMED` in the 16-bit type that the GPU has units for."""
    if gpu is None:
        return ON_CPU
    return Shape(TIMED.hidden_size, TIMED.layers, TIMED.intermediate_size, half_dtype(gpu))


_LOOKS_AT_TEXT = ("gptq", "awq", "wanda", "half-mlp")


class CannotRun(Exception):
    """A variant whose kernel this machine doesn't have; says why."""


def quality(name: str, seed: int) -> dict:
    """A row: loss of each window of held-out text (nats a token), bits a weight takes, what it was measured on.

    The seed draws the calibration text. The same seed on the same versions gives the same figures.
    CannotRun where the variant's own kernel is needed for it and missing.
    """
    from course_utils.compress.texts import calibration_batches, scored_text
    from course_utils.measure import models, runtime
    from course_utils.measure.quality import perplexity

    one, device = variant(name), runtime.device()
    with _alone():
        model, tokenizer, label = models.load("tiny" if device == "cpu" else "best", device=device)
        shown = partial(calibration_batches, tokenizer, CALIBRATION_SEQUENCES, SEQUENCE_TOKENS, seed=seed)
        batches = [batch.to(device) for batch in shown()] if one.method in _LOOKS_AT_TEXT else []
        made, bits_per_weight = _compressed(one, model, batches)
        # Four at a time: more makes logits of hundreds of MB, and is no faster on one thread.
        found = perplexity(made, tokenizer, scored_text(), SEQUENCE_TOKENS, windows=WINDOWS, batch=4)
    return {
        "losses": list(found.per_block),
        "text_id": found.text_id,
        "setting": found.setting,
        "bits_per_weight": bits_per_weight,
        "model": label,
    }


def speed(name: str, seed: int) -> dict:
    """A row: samples of TTFT, TPOT and a step of `BATCH` sequences (seconds), bytes of the weights, peak in use.

    TTFT: a prompt of `PROMPT_TOKENS` until its first token. TPOT: one more token after it. `peak_bytes`: weights,
    cache and activations while it serves, on top of Python and torch. CannotRun as in `quality`.
    """
    from course_utils.compress import backends
    from course_utils.measure import footprint, models, runtime

    one, device = variant(name), runtime.device()
    shape = shape_on(runtime.gpu())
    with _alone():
        models.random_llama(64, 1, device=device)  # what loads with the first model is no variant's memory
        footprint.release_memory()
        before = _in_use(device)
        model, _, label = models.random_llama(
            shape.hidden,
            shape.layers,
            intermediate=int(shape.intermediate * one.mlp_share),
            dtype=shape.dtype,
            device=device,
            seed=seed,
        )
        weights = sum(linear.weight.numel() for linear in _linears(model).values())
        model = _converted(one, model)
        footprint.release_memory()
        watch = footprint.peak_gpu_memory if device == "cuda" else footprint.peak_memory
        peak = watch(lambda: _timings(model, device))
    return {
        **peak.result,
        "served_bytes": (served := backends.saved_bytes(model)),
        "peak_bytes": max(
            served, peak.peak_bytes - before
        ),  # memory that was freed and used again isn't seen
        "weights": weights,
        "batch": BATCH,
        "model": label,
        "setting": f"prompt of {PROMPT_TOKENS} tokens, steps of 1 and of {BATCH} sequences, on {device}",
    }


def _timings(model, device: str) -> dict:
    import torch
    from transformers import DynamicCache

    from course_utils.cache.kv_model import step
    from course_utils.measure.timing import time_call

    generator = torch.Generator().manual_seed(0)

    def prompt(sequences: int):
        return torch.randint(4096, (sequences, PROMPT_TOKENS), generator=generator).to(device)

    def decoding(sequences: int):
        """A function that decodes one more token of so many sequences."""
        cache = DynamicCache()
        step(model, prompt(sequences), cache)
        return partial(step, model, torch.zeros(sequences, 1, dtype=torch.long, device=device), cache)

    once = prompt(1)
    calls = {
        "ttft_s": lambda: step(model, once, DynamicCache()),
        "tpot_s": decoding(1),
        "step_s": decoding(BATCH),
    }
    return {
        quantity: list(time_call(call, repeats=SAMPLES, warmup=1, max_seconds=SECONDS).samples_s)
        for quantity, call in calls.items()
    }


def _in_use(device: str) -> int:
    import psutil
    import torch

    return torch.cuda.memory_allocated() if device == "cuda" else psutil.Process().memory_info().rss


def _converted(one: Variant, model):
    """The model on the variant's kernel. CannotRun where that kernel can't have it here, with its own reason."""
    import torch

    from course_utils.compress import backends

    dtype = next(model.parameters()).dtype
    if one.backend == "fp32" and dtype == torch.float32:
        return model  # a copy of it would be the run's largest need of memory, and change nothing
    if one.backend == "bf16" and dtype in (torch.bfloat16, torch.float16):
        return model  # 16 bits already, in the type that the GPU has units for: a T4 computes bf16 in fp32
    try:
        return backends.apply(model, one.backend, **one.options)
    except (RuntimeError, ValueError) as reason:
        raise CannotRun(str(reason)) from reason


def _compressed(one: Variant, model, batches) -> tuple:
    """The model with the variant's weights, and the bits that a weight of its blocks takes in a file."""
    from course_utils.compress import backends, pruning, structured
    from course_utils.compress.grid import Cell

    dense = _linears(model)
    match one.method:
        case "as it is":
            made = _converted(one, model)
            stored = sum(backends.saved_bytes(made.get_submodule(name)) for name in dense)
        case "half-mlp":
            scores = structured.importance(model, batches, progress=False)
            kept = round(one.mlp_share * model.config.intermediate_size)
            made = structured.cut(model, scores, intermediate=kept)
            dense = _linears(made)
            stored = 2 * sum(linear.weight.numel() for linear in dense.values())
        case "wanda":
            layers = pruning.prune_wanda(model, batches, 0.5, progress=False)
            sparse = [result.quantized for result in layers.values()]
            made, stored = model, sum(2 * one.values.numel() + one.bits.nbytes for one in sparse)
        case _:
            made, layers = model, Cell(one.method, one.bits, one.group).compress(model, batches)
            stored = sum(result.quantized.size_bytes(scale_bytes=2) for result in layers.values())
    return made, 8 * stored / sum(linear.weight.numel() for linear in dense.values())


def _linears(model) -> dict:
    from course_utils.compress.pruning import all_linears

    return all_linears(model)


@contextlib.contextmanager
def _alone():
    """One thread, as in every process of the lab; libraries' progress bars and warnings are kept for a failure."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)
