"""Scale a layer's input channels at no cost: what multiplies a weight's column divides whatever made that input.

(x / s) · (W s)ᵀ = x · Wᵀ for any s > 0, and the division need not happen at run time: x comes out of a norm,
whose weight takes it, or out of another linear, whose rows (and bias) take it. AWQ and SmoothQuant differ only
in how they choose s.
Taught in: chapter 03, chapter 04.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from course_utils.compress.rounding import Quantized

# Llama's block: what makes an input, and the linears that read it. Mistral, Qwen2, Qwen3 and SmolLM2 share it.
SOURCES = {
    "self_attn.q_proj": "input_layernorm",
    "self_attn.o_proj": "self_attn.v_proj",
    "mlp.gate_proj": "post_attention_layernorm",
    "mlp.down_proj": "mlp.up_proj",
}


def source_of(block: nn.Module, linears: dict[str, nn.Linear]) -> str | None:
    """Name of the norm or linear whose output these linears read, if the scale can be folded into it."""
    name = next((SOURCES[name] for name in linears if name in SOURCES), None)
    modules = dict(block.named_modules())
    if name is None or name not in modules:
        return None
    return name if isinstance(modules[name], nn.Linear) or _scales_by_weight(modules[name]) else None


def foldable(block: nn.Module, source: str, scale: Tensor) -> Tensor:
    """The scale nearest to `scale` [columns] that the source can take.

    Under grouped-query attention several heads of o_proj's input come from one head of v_proj: they share
    its scale, their geometric mean.
    """
    heads = _heads_per_source(block, source, scale)
    if heads == 1:
        return scale
    width = block.self_attn.head_dim
    return (
        scale.log().reshape(-1, heads, width).mean(1, keepdim=True).exp().expand(-1, heads, width).reshape(-1)
    )


def folded(block: nn.Module, source: str, scale: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
    """What takes 1 / scale [columns]: the source's vectors, divided, by their name in the block, and row divisors.

    Row divisors [rows] are for the weight of a linear source, None for a norm. The block is left alone.
    """
    heads = _heads_per_source(block, source, scale)
    if heads > 1:
        scale = scale.reshape(-1, heads, block.self_attn.head_dim)[:, 0].reshape(-1)
    module = block.get_submodule(source)
    vectors = {
        f"{source}.{name}": parameter.detach().float() / scale
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim == 1
    }
    return vectors, scale if isinstance(module, nn.Linear) else None


def rows_divided(quantized: Quantized, divisor: Tensor | None) -> Quantized:
    """Rows divided by [rows] for a later layer's sake: scales belong to rows, so the same codes stay nearest."""
    return quantized if divisor is None else replace(quantized, scale=quantized.scale / divisor[:, None])


def _heads_per_source(block: nn.Module, source: str, scale: Tensor) -> int:
    module = block.get_submodule(source)
    made = module.out_features if isinstance(module, nn.Linear) else module.weight.shape[0]
    return scale.shape[0] // made


@torch.no_grad()
def _scales_by_weight(norm: nn.Module) -> bool:
    """Whether halving the norm's parameters halves its output: Llama's norm does, Gemma's (1 + weight) does not."""
    parameters = list(norm.parameters(recurse=False))
    if not parameters or any(parameter.ndim != 1 for parameter in parameters):
        return False
    weight = parameters[0]
    x = torch.linspace(-1, 1, weight.shape[0], device=weight.device, dtype=weight.dtype)[None]
    before, originals = norm(x), [parameter.data for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.data = parameter.data / 2
        return torch.allclose(norm(x) * 2, before, rtol=1e-2, atol=1e-6)
    finally:
        for parameter, original in zip(parameters, originals, strict=True):
            parameter.data = original
