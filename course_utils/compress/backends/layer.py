"""What every converted layer has: the shape of the one that it replaces, a bias, and state that can be saved.

Taught in: chapter 03.
"""

import torch
from torch import Tensor, nn

from course_utils.compress.rounding import Quantized


class ConvertedLinear(nn.Module):
    """x [..., in_features] → x Wᵀ + b [..., out_features], in x's dtype. For inference: no gradients.

    A subclass has `from_linear(linear, **options)`, and buffers that `restore` fills from a saved state.
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features

    @classmethod
    def shaped_like(cls, linear: nn.Linear, bias_dtype: torch.dtype):
        """An empty layer of that shape, with a copy of the bias."""
        layer = cls(linear.in_features, linear.out_features)
        bias = None if linear.bias is None else linear.bias.detach().to(bias_dtype, copy=True)
        layer.register_buffer("bias", bias)
        return layer.eval()

    @classmethod
    def restore(cls, linear: nn.Linear, state: dict, **options):
        """The layer that `state` (a `state_dict`) was saved from; of `linear` only the shape counts."""
        layer = cls(linear.in_features, linear.out_features)
        layer.register_buffer("bias", None)
        for name, value in state.items():
            if isinstance(value, Tensor):
                layer.register_buffer(name, value)
            elif name == "_extra_state":
                layer.set_extra_state(value)
        return layer.eval()

    @staticmethod
    def check_codes(linear: nn.Linear, quantized: Quantized) -> None:
        """ValueError unless the codes are 4-bit ones for this layer."""
        shape = list(linear.weight.shape)
        if quantized.bits != 4 or list(quantized.codes.shape) != shape:
            raise ValueError(
                f"quantized holds {quantized.bits}-bit codes {list(quantized.codes.shape)}, "
                f"expected 4-bit codes {shape}"
            )

    def extra_repr(self) -> str:
        bias = getattr(self, "bias", None) is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"
