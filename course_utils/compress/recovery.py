"""A short training after pruning: what stays learns to do without what went, and zeros stay zeros.

Plain next-token training with AdamW, a short warm-up and a linear way down. After every step the weights that
pruning removed are set to zero again; without that, the first step fills them and the sparsity is gone.
Taught in: chapter 05.
"""

import copy
import math

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_utils.compress.blocks import blocks, linears

WARMUP_SHARE = 0.1
LARGEST_GRADIENT = 1.0


def recover(
    model: nn.Module,
    rows: Tensor,
    steps: int,
    *,
    batch: int = 4,
    learning_rate: float = 5e-4,
    seed: int = 0,
    progress: bool = True,
) -> list[float]:
    """Train in place on token ids [sequences, tokens] for `steps` batches; returns the loss of each (nats a token).

    Batches are drawn with `seed`; every sequence is seen once before any is seen twice. ValueError for ids that
    aren't two-dimensional whole numbers, for less than one step, and for a loss that isn't finite: then the model
    is as it was.
    """
    _check(rows, steps, batch, learning_rate)
    removed = {linear.weight: linear.weight == 0 for linear in _pruned_linears(model)}
    before, was_training = copy.deepcopy(model.state_dict()), model.training
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    losses: list[float] = []
    model.train()
    try:
        for step, ids in enumerate(
            tqdm(_draws(rows, steps, batch, seed), "recovery", unit="step", disable=not progress)
        ):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
            if not math.isfinite(loss.item()):
                model.load_state_dict(before)
                raise ValueError(
                    f"learning_rate is {learning_rate!r}: the loss is {loss.item()} at step {step}, expected "
                    "a finite one; a tenth of that rate is a good next try"
                )
            losses.append(loss.item())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * schedule(step, steps)
            optimizer.step()
            optimizer.zero_grad()
            with torch.no_grad():
                for weight, zero in removed.items():
                    weight.masked_fill_(zero, 0.0)
    finally:
        model.train(was_training)
    return losses


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate at a step: up over the first tenth, then down in a line, never zero."""
    warmup = max(1, round(WARMUP_SHARE * steps))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup), 1.0)


def _pruned_linears(model: nn.Module) -> list[nn.Linear]:
    found = [linear for where, block in blocks(model).items() for linear in linears(block, where).values()]
    return [linear for linear in found if bool((linear.weight == 0).any())]


def _draws(rows: Tensor, steps: int, batch: int, seed: int) -> list[Tensor]:
    """`steps` batches of rows; one shuffled pass after another."""
    generator = torch.Generator().manual_seed(seed)
    passes = -(-steps * batch // len(rows))
    order = torch.cat([torch.randperm(len(rows), generator=generator) for _ in range(passes)])
    return [rows[part] for part in order[: steps * batch].split(batch)]


def _check(rows: Tensor, steps: int, batch: int, learning_rate: float) -> None:
    if not isinstance(rows, Tensor) or rows.ndim != 2 or rows.is_floating_point() or rows.numel() == 0:
        raise ValueError("rows holds something else than token ids, expected [sequences, tokens] whole")
    for name, value in (("steps", steps), ("batch", batch)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}, expected a whole number, at least 1")
    if not 0 < learning_rate < float("inf"):
        raise ValueError(f"learning_rate is {learning_rate!r}, expected above 0 and finite, such as 5e-4")
