"""What distillation costs, and when it is earned back: FLOP counted with the teacher's, money, break-even.

A training step is three forward passes' worth of arithmetic: one forward, two for the gradients. A teacher adds one
forward pass of its own for every token that the student learns from. Counting tokens alone hides that.
Sources: Hoffmann et al., "Training Compute-Optimal Large Language Models", 2022, appendix F (forward 2, backward 4
FLOP per weight and token); the rest is our own derivation.
Taught in: chapter 06.
"""

import math
from dataclasses import dataclass

from course_utils.catalog.provenance import check_range


def forward_flop_per_token(model, context_tokens: int) -> float:
    """FLOP of one token's forward pass: 2 a weight of each matrix (output head included, embedding look-up not),
    and 4 per query value and context token for attention, of which a causal model sees half on average."""
    from torch import nn

    matrices = sum(one.weight.numel() for one in model.modules() if isinstance(one, nn.Linear))
    config = model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = 4 * config.num_hidden_layers * config.num_attention_heads * width * context_tokens / 2
    return 2.0 * matrices + attention


def training_flop(tokens: float, student_flop_per_token: float, teacher_flop_per_token: float = 0.0) -> float:
    """FLOP of training on `tokens`: 3 forward passes of the student each, and one of the teacher, if there is one."""
    _not_negative(
        tokens=tokens,
        student_flop_per_token=student_flop_per_token,
        teacher_flop_per_token=teacher_flop_per_token,
    )
    return tokens * (3 * student_flop_per_token + teacher_flop_per_token)


def tokens_at_equal_flop(
    tokens: float, student_flop_per_token: float, teacher_flop_per_token: float
) -> float:
    """How many tokens the student alone can learn from for what `tokens` with the teacher cost."""
    check_range("student_flop_per_token", student_flop_per_token, 1e-9, 1e18)
    whole = training_flop(tokens, student_flop_per_token, teacher_flop_per_token)
    return whole / (3 * student_flop_per_token)


def training_usd(flop: float, peak_flop_per_s: float, mfu: float, usd_per_hour: float) -> float:
    """Rent of the chips that do `flop` at a share `mfu` (model FLOP utilization) of their peak, in USD.

    peak_flop_per_s and usd_per_hour are of the same chip; how many work side by side doesn't matter here.
    """
    _not_negative(flop=flop, usd_per_hour=usd_per_hour)
    check_range("peak_flop_per_s", peak_flop_per_s, 1, 1e21)
    check_range("mfu", mfu, 1e-4, 1)
    return flop / (peak_flop_per_s * mfu) / 3600 * usd_per_hour


@dataclass(frozen=True)
class Payback:
    """When training is earned back. Infinite requests and days where the student saves nothing."""

    training_usd: float
    saved_usd_per_request: float
    requests: float
    days: float


def payback(
    training_usd: float,
    teacher_usd_per_request: float,
    student_usd_per_request: float,
    requests_per_day: float,
) -> Payback:
    """After how many requests, and days, the student has saved what its training cost.

    Requests of the same kind, served well enough by both: what a worse answer costs belongs into
    student_usd_per_request. ValueError for a negative price, or no traffic.
    """
    _not_negative(
        training_usd=training_usd,
        teacher_usd_per_request=teacher_usd_per_request,
        student_usd_per_request=student_usd_per_request,
    )
    check_range("requests_per_day", requests_per_day, 1e-9, 1e15)
    saved = teacher_usd_per_request - student_usd_per_request
    requests = training_usd / saved if saved > 0 else math.inf
    return Payback(training_usd, saved, requests, requests / requests_per_day)


def _not_negative(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value!r}, expected a number, 0 or more")
