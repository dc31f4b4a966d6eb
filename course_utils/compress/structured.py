"""Cut whole parts out of a Llama-like model: MLP channels, groups of attention heads, layers.

What is left is a smaller, ordinary model: its config says so, its matrices are dense, and any engine serves it
faster without knowing that it was pruned. `importance` asks calibration text what each part does, `cut` removes
the parts that do least. Every layer keeps the same widths, because a config has one number for all.

- An MLP channel is a row of gate_proj and up_proj and a column of down_proj. It adds a · w to the output, so it
  matters by Σ a² · ‖w‖².
- Query heads that share a key and value head (grouped-query attention) go together: a group that loses a head
  would no longer divide. A group adds what o_proj makes of its heads; its importance is that output's energy.
- A layer that hardly turns its input can be skipped: 1 − cos(input, output), ShortGPT's block influence.

Sources: Saurav Muralidharan et al., "Compact Language Models via Pruning and Knowledge Distillation" (Minitron),
2024, section 2 (activations on calibration text as importance); Xin Men et al., "ShortGPT", 2024, section 3.1.
Taught in: chapter 05.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_utils.compress.blocks import blocks

# What a block of a Llama-like model has to hold, for its parts to be found.
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, eq=False)
class Importance:
    """How much each part adds, on calibration text. Larger matters more; compare within a row, not across.

    channels: output energy of each MLP channel [layers, intermediate]. groups: of each group of heads [layers,
    kv_heads]. layers: 1 − cos(input, output) [layers], 0 for a layer that changes nothing. tokens: how many.
    """

    channels: Tensor
    groups: Tensor
    layers: Tensor
    tokens: int


@torch.no_grad()
def importance(model: nn.Module, batches: Iterable[Tensor | Mapping], *, progress: bool = True) -> Importance:
    """Run the model over calibration tokens and score its channels, head groups and layers.

    batches: token ids [sequences, tokens], or mappings with `input_ids` and perhaps `attention_mask` (masked
    tokens are not counted). Memory: one matrix per head group beside the model, nothing per token. ValueError
    for a model that isn't Llama-like, and for batches without a token.
    """
    found = list(_checked(model).values())
    sums = [_LayerSums(block, model.config) for block in found]
    hooks = [hook for one in sums for hook in one.hooks()]
    was_training = model.training
    model.eval()
    try:
        for batch in tqdm(batches, desc="importance", unit="batch", disable=not progress):
            batch = dict(batch) if isinstance(batch, Mapping) else {"input_ids": batch}
            mask = batch.get("attention_mask")
            for one in sums:
                one.real = None if mask is None else mask.bool()
            if batch["input_ids"].numel():
                model(**batch, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    if not sums[0].tokens:
        raise ValueError("batches holds no token, expected at least one sequence of calibration text")
    parts = [one.result() for one in sums]
    channels, groups, turns = (torch.stack(part) for part in zip(*parts, strict=True))
    return Importance(channels, groups, turns, sums[0].tokens)


class _LayerSums:
    """Running sums of one layer: Σ a² of its MLP channels, the Gram matrix of each head group, 1 − cos."""

    def __init__(self, block: nn.Module, config):
        self.block, self.tokens, self.real = block, 0, None
        self.down, self.out = block.mlp.down_proj.weight, block.self_attn.o_proj.weight
        self.kv_heads = config.num_key_value_heads
        width, device = self.out.shape[1] // self.kv_heads, self.out.device
        self.squares = torch.zeros(self.down.shape[1], device=device)
        self.grams = torch.zeros(self.kv_heads, width, width, device=device)
        self.turned = torch.zeros((), device=device)

    def hooks(self):
        yield self.block.mlp.down_proj.register_forward_pre_hook(self._channels)
        yield self.block.self_attn.o_proj.register_forward_pre_hook(self._heads)
        yield self.block.register_forward_hook(self._layer, with_kwargs=True)

    def _rows(self, hidden: Tensor) -> Tensor:
        hidden = hidden.float()
        return hidden.reshape(-1, hidden.shape[-1]) if self.real is None else hidden[self.real]

    def _channels(self, _, args):
        self.squares += self._rows(args[0]).square().sum(0)

    def _heads(self, _, args):
        grouped = self._rows(args[0]).unflatten(1, (self.kv_heads, -1)).transpose(0, 1)
        self.grams += grouped.transpose(1, 2) @ grouped

    def _layer(self, _, args, kwargs, output):
        before = self._rows(args[0] if args else kwargs["hidden_states"])
        after = self._rows(output[0] if isinstance(output, tuple) else output)
        self.turned += (1 - torch.cosine_similarity(before, after)).sum()
        self.tokens += len(before)

    def result(self) -> tuple[Tensor, Tensor, Tensor]:
        by_channel = self.squares * self.down.float().square().sum(0)
        weights = self.out.float().unflatten(1, (self.kv_heads, -1)).transpose(0, 1)  # [groups, rows, width]
        by_group = ((weights @ self.grams) * weights).sum((1, 2))
        return by_channel, by_group, self.turned / self.tokens


@torch.no_grad()
def cut(
    model: nn.Module,
    scores: Importance,
    *,
    intermediate: int | None = None,
    heads: int | None = None,
    drop_layers: Sequence[int] = (),
) -> nn.Module:
    """A smaller copy of the model, in evaluation mode: `intermediate` MLP channels and `heads` query heads a layer
    (with their key and value heads), without the layers in `drop_layers`. The model itself is left as it is.

    ValueError for more than there is or less than one, a number of heads that isn't whole groups, a layer that
    isn't there or is named twice, no layer left, or scores of another model.
    """
    config, found = model.config, _checked(model)
    per_group = config.num_attention_heads // config.num_key_value_heads
    intermediate = _count("intermediate", intermediate, config.intermediate_size)
    heads = _count("heads", heads, config.num_attention_heads)
    if heads % per_group:
        raise ValueError(
            f"heads is {heads!r}, but {per_group} query heads share each key and value head: "
            f"expected a multiple of {per_group}, at most {config.num_attention_heads}"
        )
    stays = _layers_left(drop_layers, len(found))
    shape = (len(found), config.intermediate_size), (len(found), config.num_key_value_heads)
    if (scores.channels.shape, scores.groups.shape) != shape:
        raise ValueError(f"scores has channels {list(scores.channels.shape)}, expected {list(shape[0])}")

    smaller = _empty(model, intermediate, heads, len(stays))
    state, target = model.state_dict(), smaller.state_dict()
    prefix = next(iter(found)).rpartition(".")[0]
    for new, old in enumerate(stays):
        channels = _best(scores.channels[old], intermediate)
        rows, columns = _kept(smaller.config, channels, _best(scores.groups[old], heads // per_group))
        for name in [name for name in target if name.startswith(f"{prefix}.{new}.")]:
            value, layer = state[name.replace(f"{prefix}.{new}.", f"{prefix}.{old}.", 1)], name.split(".")[-2]
            if layer in rows:
                value = value[rows[layer]]
            elif layer in columns and value.ndim == 2:
                value = value[:, columns[layer]]
            target[name].copy_(value)
    for name in target:
        if not name.startswith(f"{prefix}."):
            target[name].copy_(state[name])
    return smaller.eval()


def worst_layers(scores: Importance, count: int) -> tuple[int, ...]:
    """The layers that turn their input least, in the order of the model. ValueError for none left, or below 0."""
    if not 0 <= count < len(scores.layers):
        raise ValueError(f"count is {count!r}, expected 0 to {len(scores.layers) - 1}: one layer has to stay")
    return tuple(sorted(scores.layers.argsort(stable=True)[:count].tolist()))


def _empty(model: nn.Module, intermediate: int, heads: int, layers: int) -> nn.Module:
    """An untrained model of the same class and type, with the smaller shape in its config."""
    config = copy.deepcopy(model.config)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    config.head_dim = width  # no longer hidden_size / heads
    config.num_key_value_heads = heads * config.num_key_value_heads // config.num_attention_heads
    config.num_attention_heads, config.intermediate_size = heads, intermediate
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:1] * layers
    with torch.random.fork_rng(devices=[]):
        smaller = type(model)(config)
    weight = next(model.parameters())
    if getattr(model, "generation_config", None) is not None:
        smaller.generation_config = copy.deepcopy(model.generation_config)
    return smaller.to(weight.device, weight.dtype)


def _kept(config, channels: Tensor, groups: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Rows and columns that stay of a layer's linears, by their names; the config is the smaller model's."""
    kv_rows = _spread(groups, config.head_dim)
    q_rows = _spread(groups, config.head_dim * config.num_attention_heads // config.num_key_value_heads)
    rows = {
        "q_proj": q_rows,
        "k_proj": kv_rows,
        "v_proj": kv_rows,
        "gate_proj": channels,
        "up_proj": channels,
    }
    return rows, {"o_proj": q_rows, "down_proj": channels}


def _spread(groups: Tensor, width: int) -> Tensor:
    """Rows of each group, which holds `width` of them."""
    return (groups[:, None] * width + torch.arange(width, device=groups.device)).flatten()


def _best(scores: Tensor, count: int) -> Tensor:
    """Indices of the `count` largest, in the order of the model."""
    return scores.argsort(descending=True, stable=True)[:count].sort().values


def _count(name: str, value: int | None, there: int) -> int:
    value = there if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= there:
        raise ValueError(f"{name} is {value!r}, expected a whole number from 1 to the model's {there}")
    return value


def _layers_left(drop: Sequence[int], there: int) -> list[int]:
    for layer in drop:
        if isinstance(layer, bool) or not isinstance(layer, int) or not 0 <= layer < there:
            raise ValueError(f"drop_layers holds {layer!r}, expected layers from 0 to {there - 1}")
    if len(set(drop)) < len(drop):
        raise ValueError(f"drop_layers is {list(drop)!r}, expected each layer once")
    if len(drop) == there:
        raise ValueError(f"drop_layers names all {there} layers, expected at least one to stay")
    return [layer for layer in range(there) if layer not in set(drop)]


def _checked(model: nn.Module) -> dict[str, nn.Module]:
    """The blocks by full name, if each is Llama-like in one kind of attention; else ValueError."""
    found = blocks(model)
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    if len(kinds) > 1:
        raise ValueError(f"model mixes {' and '.join(sorted(kinds))}, expected one kind of attention")
    for where, block in found.items():
        for home, names in zip(("self_attn", "mlp"), _PROJECTIONS, strict=True):
            for name in names:
                if not isinstance(getattr(getattr(block, home, None), name, None), nn.Linear):
                    raise ValueError(f"{where}.{home} has no linear {name}, expected a Llama-like block")
    return found
