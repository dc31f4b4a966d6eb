"""A training loop that can be killed: seeded, checkpointed, early to stop, loud when it diverges.

    run = train(student, objective, tokens, Plan(steps=300), folder=Path("build/student"))

With a folder, the same call goes on where an interrupted one stopped, bit for bit as if nothing had happened on the
same machine: which tokens a step reads, and its dropout, are known from the seed and the step alone. A kill loses at
most `checkpoint_steps` steps. Objectives are in `distillation`.
Taught in: chapter 06.
"""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_utils.compress import distillation_checkpoints as checkpoints

_LAST = 10  # losses whose mean says whether a run diverges


class Diverged(RuntimeError):
    """The loss is no number any more, or twice what it was at the start. The last good checkpoint is kept."""


@dataclass(frozen=True)
class Plan:
    """How to train. A step reads `batch` sequences of `length` tokens.

    Learning rate: up to `peak_lr` in `warmup_steps` (a tenth of the steps where None), then a cosine down to 5 %.
    evaluate_steps, patience: evaluate so often, stop after so many evaluations without a new best (None: never).
    precision: "float32", or "bfloat16" for the arithmetic (weights stay float32): faster on a CPU that has it.
    """

    steps: int
    batch: int = 8
    length: int = 256
    peak_lr: float = 3e-3
    warmup_steps: int | None = None
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0
    checkpoint_steps: int = 20
    evaluate_steps: int = 50
    patience: int | None = None
    precision: str = "float32"

    def __post_init__(self):
        for name in ("steps", "batch", "checkpoint_steps", "evaluate_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected at least 1")
        if self.length < 2:
            raise ValueError(
                f"length is {self.length!r}, expected at least 2 tokens: one to see, one to guess"
            )
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience is {self.patience!r}, expected at least 1 evaluation, or None")
        if not self.peak_lr > 0:
            raise ValueError(f"peak_lr is {self.peak_lr!r}, expected above 0")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}, expected float32 or bfloat16")

    @property
    def tokens(self) -> int:
        """Tokens that the whole plan reads."""
        return self.steps * self.batch * self.length

    def learning_rate(self, step: int) -> float:
        warmup = max(1, self.steps // 10) if self.warmup_steps is None else self.warmup_steps
        if step < warmup:
            return self.peak_lr * (step + 1) / warmup
        done = (step - warmup) / max(1, self.steps - warmup)
        return self.peak_lr * (0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)


@dataclass
class Run:
    """What happened. losses: of each step. evaluations: (steps done, figure), lower is better. seconds: of all parts.

    step: steps done. resumed_from: the step that this call started at. stopped: "", "finished" or "early".
    """

    losses: list[float] = field(default_factory=list)
    evaluations: list[tuple[int, float]] = field(default_factory=list)
    step: int = 0
    seconds: float = 0.0
    resumed_from: int = 0
    stopped: str = ""

    @property
    def best(self) -> tuple[int, float] | None:
        """(steps done, figure) of the best evaluation."""
        return min(self.evaluations, key=lambda one: one[1], default=None)


def train(
    student: nn.Module,
    objective,
    tokens,
    plan: Plan,
    *,
    folder: Path | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    progress: bool = True,
    label: str = "training",
) -> Run:
    """Train `student` in place on `tokens`, one long row of token ids, and return what happened.

    evaluate: student → a figure on text it doesn't learn from, lower is better; called every `evaluate_steps` and at
    the end. With `patience` the student ends with the weights of its best evaluation. folder: keeps checkpoints and
    resumes from them; None keeps nothing.
    ValueError for too few tokens, an objective that doesn't fit the student, a folder of another run. Diverged, with
    the last good checkpoint kept, where the loss is no number or twice the first.
    """
    objective.check(student)
    if plan.patience is not None and evaluate is None:
        raise ValueError(f"patience is {plan.patience!r}, but there is no `evaluate` to be patient about")
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or len(tokens) < plan.length:
        raise ValueError(f"tokens is {list(tokens.shape)}, expected one row of at least length={plan.length}")
    parts = nn.ModuleDict({"student": student, **objective.trained()})
    device = next(student.parameters()).device
    parts.to(device).train()
    optimizer = _optimizer(parts, plan)
    terms = _terms(parts, objective, tokens, plan)
    kept, best = checkpoints.resumed(folder, terms, parts, optimizer) or ({}, {})
    run = Run(**kept)
    run.evaluations = [tuple(one) for one in run.evaluations]  # JSON has no tuples
    run.resumed_from = run.step
    started = time.monotonic() - run.seconds

    def keep():
        run.seconds = round(time.monotonic() - started, 3)
        if folder is not None:
            checkpoints.save(folder, terms, run, parts, optimizer, best)

    with tqdm(total=plan.steps, initial=run.step, desc=label, unit="step", disable=not progress) as bar:
        while run.step < plan.steps and not run.stopped:
            _step(parts, objective, tokens, plan, optimizer, run, device, folder)
            bar.update()
            bar.set_postfix(loss=f"{np.mean(run.losses[-_LAST:]):.3f}", refresh=False)
            if evaluate is not None and (run.step % plan.evaluate_steps == 0 or run.step == plan.steps):
                run.evaluations.append((run.step, _figure(evaluate, student)))
                parts.train()
                if plan.patience is not None:
                    best = _after_evaluation(run, best, parts, plan)
            if run.step % plan.checkpoint_steps == 0 and run.step < plan.steps:
                keep()
    if run.stopped != "early":
        run.stopped = "finished"
    keep()
    if best:
        checkpoints.load_weights(parts, best)
    student.eval()
    return run


def _step(parts, objective, tokens, plan: Plan, optimizer, run: Run, device, folder) -> None:
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate(run.step)
    ids = torch.from_numpy(_rows(tokens, plan, run.step)).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed * 1_000_003 + run.step)
        with torch.autocast(device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
            loss = objective.loss(parts["student"], ids)
        loss.backward()
    norm = nn.utils.clip_grad_norm_(parts.parameters(), plan.clip)
    value = float(loss.detach())
    recent = [*run.losses[1 - _LAST :], value]
    worse = len(recent) == _LAST and np.mean(recent) > 2 * abs(run.losses[0])
    if not (math.isfinite(value) and math.isfinite(norm)) or worse:
        raise Diverged(_what_diverged(run, plan, value, folder))  # before the weights take it up
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    run.losses.append(value)
    run.step += 1


def _what_diverged(run: Run, plan: Plan, value: float, folder) -> str:
    kept = checkpoints.step_of(folder)
    where = (
        f"the checkpoint of step {kept} in {folder} is kept" if kept is not None else "no checkpoint was kept"
    )
    first = f", from {run.losses[0]:.3g} at the start" if run.losses else ""
    return (
        f"the loss is {value:.3g} at step {run.step}{first}: it diverges at a learning rate of "
        f"{plan.learning_rate(run.step):.2g}. Lower peak_lr or lengthen warmup_steps; {where}"
    )


def _figure(evaluate, student) -> float:
    student.eval()
    with torch.no_grad():
        return float(evaluate(student))


def _after_evaluation(run: Run, best: dict, parts, plan: Plan) -> dict:
    """The best weights so far; marks the run as stopped when it has waited for long enough."""
    at, _ = run.best
    if at == run.step:
        return {name: value.clone() for name, value in checkpoints.weights(parts).items()}
    if sum(step > at for step, _ in run.evaluations) >= plan.patience:
        run.stopped = "early"
    return best


def _optimizer(parts: nn.Module, plan: Plan):
    matrices = [p for p in parts.parameters() if p.ndim > 1 and p.requires_grad]
    vectors = [p for p in parts.parameters() if p.ndim <= 1 and p.requires_grad]
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=plan.peak_lr, betas=(0.9, 0.95), fused=True
    )


def _terms(parts: nn.Module, objective, tokens: np.ndarray, plan: Plan) -> dict:
    """What has to be the same for a checkpoint to be continued."""
    return {
        "plan": asdict(plan),
        "objective": objective.describe(),
        "tokens_sha256": hashlib.sha256(np.ascontiguousarray(tokens).tobytes()).hexdigest(),
        "shapes": {name: list(value.shape) for name, value in checkpoints.weights(parts).items()},
    }


def _rows(tokens: np.ndarray, plan: Plan, step: int) -> np.ndarray:
    """The token ids of a step [batch, length], from seed and step alone: an epoch reads every piece once."""
    pieces = len(tokens) // plan.length
    rows = []
    for place in range(step * plan.batch, (step + 1) * plan.batch):
        epoch, at = divmod(place, pieces)
        start = int(_order(plan.seed, epoch, pieces)[at]) * plan.length
        rows.append(tokens[start : start + plan.length])
    return np.stack(rows).astype(np.int64)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, pieces: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(pieces)


def losses_on(student: nn.Module, rows: Tensor, batch: int = 8) -> float:
    """Cross-entropy of rows of token ids [sequences, tokens], mean over tokens, nats: an `evaluate` for `train`."""
    from course_utils.compress.distillation import text_loss

    device, sums = next(student.parameters()).device, 0.0
    with torch.no_grad():
        for at in range(0, len(rows), batch):
            part = rows[at : at + batch].to(device)
            sums += float(text_loss(student(input_ids=part, use_cache=False).logits, part)) * len(part)
    return sums / len(rows)
