"""What a student starts from: nothing (random weights), or its teacher, pruned to the student's shape.

`structured.cut` takes layers, head groups and MLP channels out. A student of a quarter also needs narrower hidden
states, so `cut_hidden` removes channels of the residual stream: a column of every embedding, an entry of every norm,
and a row or column of every matrix that reads or writes the stream. A channel matters by how large it is, on
calibration text, where the norms hand it on to the layers.
Source: Muralidharan et al., "Compact Language Models via Pruning and Knowledge Distillation" (Minitron), 2024,
section 2.2 (importance of embedding channels by activations) and 3 (distillation to recover).
Taught in: chapter 06.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_utils.compress import structured


@dataclass(frozen=True)
class Shape:
    """The shape of a Llama-like student. `heads` share keys and values as the teacher's do."""

    hidden: int
    intermediate: int
    layers: int
    heads: int


def from_scratch(teacher: nn.Module, shape: Shape, seed: int = 0) -> nn.Module:
    """A student of this shape with the teacher's vocabulary and random weights, in float32, on the same device.

    ValueError for a number of heads that the teacher's sharing doesn't divide.
    """
    config = copy.deepcopy(teacher.config)
    per_group = config.num_attention_heads // config.num_key_value_heads
    if shape.heads % per_group:
        raise ValueError(
            f"heads is {shape.heads!r}, expected a multiple of {per_group}: so many share a key and value"
        )
    config.head_dim = _head_dim(config)
    config.hidden_size, config.intermediate_size = shape.hidden, shape.intermediate
    config.num_hidden_layers, config.num_attention_heads = shape.layers, shape.heads
    config.num_key_value_heads = shape.heads // per_group
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:1] * shape.layers
    config.dtype = torch.float32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return type(teacher)(config).to(next(teacher.parameters()).device)


def pruned(
    teacher: nn.Module, shape: Shape, batches: Iterable[Tensor], *, progress: bool = True
) -> nn.Module:
    """A student cut out of its teacher, in float32: what matters most on `batches` of token ids stays.

    First layers, head groups and MLP channels, then hidden channels. ValueError for a shape that the teacher can't
    be cut to.
    """
    batches = list(batches)
    scores = structured.importance(teacher, batches, progress=progress)
    dropped = structured.worst_layers(scores, teacher.config.num_hidden_layers - shape.layers)
    smaller = structured.cut(
        teacher, scores, intermediate=shape.intermediate, heads=shape.heads, drop_layers=dropped
    )
    return cut_hidden(smaller, hidden_importance(teacher, batches), shape.hidden).float()


@torch.no_grad()
def hidden_importance(model: nn.Module, batches: Iterable[Tensor]) -> Tensor:
    """Mean magnitude of each hidden channel where the norms hand it on [hidden], in float32; larger matters more."""
    total = torch.zeros(model.config.hidden_size, device=next(model.parameters()).device)
    norms = [
        one for name, one in model.named_modules() if name.endswith("norm") and _is_vector(one, len(total))
    ]

    def add(_, __, output):
        rows = output.float().abs().flatten(0, -2)
        total.add_(rows.mean(0) / rows.mean())  # every norm has the same say

    hooks = [norm.register_forward_hook(add) for norm in norms]
    seen = 0
    try:
        for batch in batches:
            model(input_ids=batch.to(total.device), use_cache=False)
            seen += 1
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise ValueError("batches holds no token, expected at least one sequence of calibration text")
    return total / (seen * len(norms))


@torch.no_grad()
def cut_hidden(model: nn.Module, scores: Tensor, hidden: int) -> nn.Module:
    """A copy of the model with the `hidden` most important hidden channels, in evaluation mode.

    scores [hidden size]. Norms are taken over the channels that stay. ValueError for more channels than there are,
    or less than one, and for scores of another width.
    """
    there = model.config.hidden_size
    if not 1 <= hidden <= there:
        raise ValueError(f"hidden is {hidden!r}, expected 1 to the model's {there}")
    if scores.shape != (there,):
        raise ValueError(f"scores is {list(scores.shape)}, expected [{there}]")
    keep = scores.argsort(descending=True, stable=True)[:hidden].sort().values
    config = copy.deepcopy(model.config)
    config.head_dim = _head_dim(config)  # no longer hidden / heads
    config.hidden_size = hidden
    with torch.random.fork_rng(devices=[]):
        smaller = type(model)(config)
    weight = next(model.parameters())
    smaller.to(weight.device, weight.dtype)
    state = smaller.state_dict()
    for name, value in model.state_dict().items():
        for axis, width in enumerate(value.shape):
            if width != state[name].shape[axis]:
                value = value.index_select(axis, keep)
        state[name].copy_(value)
    return smaller.eval()


def _head_dim(config) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _is_vector(module: nn.Module, width: int) -> bool:
    return getattr(getattr(module, "weight", None), "shape", None) == (width,)
