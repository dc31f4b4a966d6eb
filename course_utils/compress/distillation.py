"""What a student learns from: the text alone, its teacher's probabilities, hidden states, or the teacher's own text.

    objective = Distill(teacher)                 # or Alone(): the student without a teacher
    run = train(student, objective, tokens, Plan(steps=300))      # distillation_training

The teacher and the student share a vocabulary. Sequence-level distillation needs no probabilities: `teacher_texts`
writes text, and the student learns from that alone.
Sources: Hinton et al., 2015; Kim and Rush, "Sequence-Level Knowledge Distillation", 2016, section 3.2; Muralidharan
et al., "Compact Language Models via Pruning and Knowledge Distillation" (Minitron), 2024, section 3.
Taught in: chapter 06.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_utils.compress.distillation_losses import (
    KINDS,
    HiddenMatch,
    divergence,
    log_probabilities,
    times_t_squared,
)


@dataclass(frozen=True, eq=False)
class Alone:
    """The student learns from the text alone: cross-entropy of the next token, in nats."""

    def loss(self, student: nn.Module, ids: Tensor) -> Tensor:
        """Token ids [sequences, tokens] → mean over all tokens but the first of each sequence."""
        return text_loss(student(input_ids=ids, use_cache=False).logits, ids)

    def check(self, student: nn.Module) -> None:
        """Nothing has to fit."""

    def trained(self) -> dict[str, nn.Module]:
        """What is trained beside the student: nothing."""
        return {}

    def describe(self) -> dict:
        return {"objective": "alone"}


@dataclass(frozen=True, eq=False)
class Distill:
    """The student learns from its teacher: `soft_share` · T² · divergence + the rest · cross-entropy of the text.

    kind         "forward", "reverse" or "jsd" (with `beta`)
    temperature  T: 1 for the teacher's own probabilities, more for softer ones
    soft_share   1: the teacher's probabilities only. 0: the text only
    hidden       a HiddenMatch, added with `hidden_weight`
    The teacher is put in evaluation mode: a teacher with dropout teaches noise.
    """

    teacher: nn.Module
    kind: str = "forward"
    temperature: float = 1.0
    soft_share: float = 1.0
    beta: float = 0.5
    hidden: HiddenMatch | None = None
    hidden_weight: float = field(default=1.0)

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}, expected {', '.join(KINDS)}")
        if not 0 <= self.soft_share <= 1:
            raise ValueError(f"soft_share is {self.soft_share!r}, expected 0 (text only) to 1 (teacher only)")
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta is {self.beta!r}, expected 0 (forward KL) to 1 (reverse KL)")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature!r}, expected above 0")
        self.teacher.eval().requires_grad_(False)

    def check(self, student: nn.Module) -> None:
        """ValueError where teacher and student don't share a vocabulary: their probabilities can't be compared."""
        ours, theirs = student.config.vocab_size, self.teacher.config.vocab_size
        if ours != theirs:
            raise ValueError(
                f"the student has {ours} tokens and the teacher {theirs}: their probabilities can't be compared. "
                "Give the student the teacher's tokenizer, or let it learn from teacher_texts"
            )

    def loss(self, student: nn.Module, ids: Tensor) -> Tensor:
        """Token ids [sequences, tokens] → mean over all tokens but the first of each sequence."""
        asked = {"use_cache": False, "output_hidden_states": self.hidden is not None}
        theirs = self._teach(ids, asked)
        ours = student(input_ids=ids, **asked)
        apart = divergence(
            self.kind, ours.logits[:, :-1], theirs.logits[:, :-1], self.temperature, self.beta
        ).mean()
        total = self.soft_share * times_t_squared(apart, self.temperature)
        if self.soft_share < 1:
            total = total + (1 - self.soft_share) * text_loss(ours.logits, ids)
        if self.hidden is not None:
            total = total + self.hidden_weight * self.hidden(ours.hidden_states, theirs.hidden_states)
        return total

    @torch.no_grad()
    def _teach(self, ids: Tensor, asked: dict):
        self.teacher.eval()  # somebody may have called train() on a model that holds it
        return self.teacher(input_ids=ids, **asked)

    def trained(self) -> dict[str, nn.Module]:
        """What is trained beside the student: the projections of its hidden states."""
        return {} if self.hidden is None else {"hidden": self.hidden}

    def describe(self) -> dict:
        return {
            "objective": "distill",
            "teacher_parameters": sum(p.numel() for p in self.teacher.parameters()),
            "kind": self.kind,
            "temperature": self.temperature,
            "soft_share": self.soft_share,
            "beta": self.beta,
            "hidden": None if self.hidden is None else [list(pair) for pair in self.hidden.pairs],
            "hidden_weight": self.hidden_weight,
        }


def text_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """Cross-entropy of each next token, mean, in nats: logits [sequences, tokens, vocabulary], ids [.., tokens]."""
    guesses = log_probabilities(logits[:, :-1])
    return nn.functional.nll_loss(guesses.flatten(0, 1), ids[:, 1:].flatten())


@torch.no_grad()
def teacher_texts(
    teacher: nn.Module,
    prompts: Tensor,
    new_tokens: int,
    *,
    temperature: float = 1.0,
    batch: int = 32,
    seed: int = 0,
    progress: bool = True,
) -> Tensor:
    """What the teacher goes on to write: prompts [sequences, tokens] → ids [sequences, tokens + new_tokens].

    Drawn at `temperature` (0: always the likeliest token). Every text has its full length: an end of text inside
    it is followed by whatever the teacher writes next, as in training. The same seed and batch give the same text.
    """
    if prompts.ndim != 2 or prompts.is_floating_point() or not prompts.numel():
        raise ValueError(f"prompts is {list(prompts.shape)}, expected whole token ids [sequences, tokens]")
    if new_tokens < 1:
        raise ValueError(f"new_tokens is {new_tokens!r}, expected at least 1")
    if temperature < 0:
        raise ValueError(f"temperature is {temperature!r}, expected 0 or more")
    drawn = (
        {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    )
    device, written = next(teacher.parameters()).device, []
    teacher.eval()
    with torch.random.fork_rng(devices=[]):
        for at in tqdm(
            range(0, len(prompts), batch), desc="teacher writes", unit="batch", disable=not progress
        ):
            torch.manual_seed(seed + at)
            rows = prompts[at : at + batch].to(device)
            made = teacher.generate(
                rows,
                attention_mask=torch.ones_like(rows),
                max_new_tokens=new_tokens,
                min_new_tokens=new_tokens,
                pad_token_id=0,
                **drawn,
            )
            written.append(made.cpu())
    return torch.cat(written)
