"""How far a student's next-token probabilities are from its teacher's: KL either way round, JSD between them.

p is the teacher, q the student, both softened by a temperature T: softmax(logits / T). A soft target tells the
student what else would have been plausible, where the text names a single token.

- forward KL(p ‖ q) = Σ p log(p / q): the student has to cover all that the teacher finds plausible.
- reverse KL(q ‖ p) = Σ q log(q / p): the student may leave some of it out, and mustn't invent.
- generalized JSD(β) = β KL(p ‖ m) + (1 − β) KL(q ‖ m) with m = β p + (1 − β) q lies between them; by convention
  β = 0 is the forward and β = 1 the reverse KL.

Softening shrinks gradients with 1 / T²; `times_t_squared` puts that back, so that T doesn't act as a learning rate.
Sources: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2; Agarwal et al.,
"On-Policy Distillation of Language Models", 2024, equation 1; Romero et al., "FitNets", 2015, section 2.2.
Taught in: chapter 06.
"""

import math

import torch
from torch import Tensor, nn

KINDS = ("forward", "reverse", "jsd")


def log_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """log softmax(logits / temperature) over the last axis, the vocabulary, in float32. Same shape."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature is {temperature!r}, expected above 0: 1 leaves the logits as they are")
    return (logits.float() / temperature).log_softmax(-1)


def forward_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher ‖ student) of each position, in nats, without T². Logits [..., vocabulary] → [...]."""
    q, p = _pair(student, teacher, temperature)
    return _kl(p, q)


def reverse_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(student ‖ teacher) of each position, in nats, without T². Logits [..., vocabulary] → [...]."""
    q, p = _pair(student, teacher, temperature)
    return _kl(q, p)


def generalized_jsd(student: Tensor, teacher: Tensor, beta: float = 0.5, temperature: float = 1.0) -> Tensor:
    """JSD(β) of each position, in nats, without T². β = 0: forward KL, 1: reverse. Logits [..., vocabulary] → [...].

    ValueError for β outside [0, 1]. Close to 0 and 1 it goes to zero, not to the KL: divide by β (1 − β) to compare.
    """
    if not 0 <= beta <= 1:
        raise ValueError(f"beta is {beta!r}, expected 0 (forward KL) to 1 (reverse KL)")
    q, p = _pair(student, teacher, temperature)
    if beta == 0:
        return _kl(p, q)
    if beta == 1:
        return _kl(q, p)
    mixture = torch.logaddexp(p + math.log(beta), q + math.log1p(-beta))
    return beta * _kl(p, mixture) + (1 - beta) * _kl(q, mixture)


def divergence(
    kind: str, student: Tensor, teacher: Tensor, temperature: float = 1.0, beta: float = 0.5
) -> Tensor:
    """The divergence called `kind`, one of KINDS, of each position."""
    if kind == "forward":
        return forward_kl(student, teacher, temperature)
    if kind == "reverse":
        return reverse_kl(student, teacher, temperature)
    if kind == "jsd":
        return generalized_jsd(student, teacher, beta, temperature)
    raise ValueError(f"kind is {kind!r}, expected {', '.join(KINDS)}")


def times_t_squared(loss: Tensor, temperature: float) -> Tensor:
    """T² times the loss: its gradient with respect to the logits then hardly depends on T (Hinton, section 2.1)."""
    return loss * temperature**2


class HiddenMatch(nn.Module):
    """Mean squared distance of the student's hidden states from the teacher's, through a learned projection.

    A student of n blocks matches block i with the teacher's block round(i · N / n): both end at the last. A linear
    per pair widens the student's states [..., student_hidden] to [..., teacher_hidden]; it is trained with the
    student and thrown away. Each distance is divided by the mean square of the teacher's state, so that 1 means
    "no better than guessing zero" in every layer.
    """

    def __init__(self, student_config, teacher_config, seed: int = 0):
        super().__init__()
        ours, theirs = student_config.num_hidden_layers, teacher_config.num_hidden_layers
        if ours > theirs:
            raise ValueError(f"the student has {ours} blocks, expected at most the teacher's {theirs}")
        # hidden_states[0] are the embeddings, [i] the output of block i.
        self.pairs = tuple((i, round(i * theirs / ours)) for i in range(1, ours + 1))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.widen = nn.ModuleList(
                nn.Linear(student_config.hidden_size, teacher_config.hidden_size, bias=False)
                for _ in self.pairs
            )

    def forward(self, student_states, teacher_states) -> Tensor:
        """Both: what a model returns with output_hidden_states, [batch, tokens, hidden] each → a number."""
        distances = []
        for widen, (ours, theirs) in zip(self.widen, self.pairs, strict=True):
            target = teacher_states[theirs].float()
            error = (widen(student_states[ours]).float() - target).square().mean()
            distances.append(error / target.square().mean().clamp_min(1e-12))
        return torch.stack(distances).mean()


def _pair(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities of student and teacher."""
    if student.shape[-1] != teacher.shape[-1]:
        raise ValueError(
            f"the student has {student.shape[-1]} tokens and the teacher {teacher.shape[-1]}: "
            "probabilities can only be compared over one vocabulary"
        )
    if student.shape != teacher.shape:
        raise ValueError(
            f"student is {list(student.shape)} and teacher {list(teacher.shape)}: expected equal"
        )
    return log_probabilities(student, temperature), log_probabilities(teacher, temperature)


def _kl(p: Tensor, q: Tensor) -> Tensor:
    """Σ exp(p) (p − q) over the vocabulary: KL of log-probabilities. What has no probability adds nothing."""
    return nn.functional.kl_div(q, p, reduction="none", log_target=True).sum(-1)
