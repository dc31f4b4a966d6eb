"""float8 on tensor cores: weights and inputs in 8-bit floats, one scale per matrix.

Needs a GPU of compute capability 8.9 (Ada) or above.
Source: Paulius Micikevicius et al., "FP8 Formats for Deep Learning", 2022 (E4M3).
Taught in: chapter 03.
"""

import torch
from torch import Tensor, nn

from course_utils.compress.backends.layer import ConvertedLinear

FP8 = torch.float8_e4m3fn
FP8_MAX = torch.finfo(FP8).max
FP8_MULTIPLE = 16  # torch._scaled_mm: both sides of the matrix


class Fp8Linear(ConvertedLinear):
    """E4M3 weights rounded once, inputs at each call, products summed in float32."""

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> "Fp8Linear":
        for side, size in (("inputs", linear.in_features), ("outputs", linear.out_features)):
            if size % FP8_MULTIPLE:
                raise ValueError(
                    f"the layer has {size} {side}, expected a multiple of {FP8_MULTIPLE} for fp8"
                )
        layer = cls.shaped_like(linear, bias_dtype=torch.bfloat16)
        codes, scale = to_fp8(linear.weight.detach())
        layer.register_buffer("weight", codes)
        layer.register_buffer("scale", scale)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        codes, scale = to_fp8(x.reshape(-1, self.in_features))
        y = torch._scaled_mm(
            codes, self.weight.T, scale, self.scale, bias=self.bias, out_dtype=torch.bfloat16
        )
        return y.to(x.dtype).reshape(*x.shape[:-1], self.out_features)


def to_fp8(values: Tensor) -> tuple[Tensor, Tensor]:
    """Codes in E4M3 and the float32 scale that brings them back: the largest value lands on 448."""
    scale = values.abs().max().float().clamp(min=1e-12) / FP8_MAX
    return (values.float() / scale).clamp(-FP8_MAX, FP8_MAX).to(FP8), scale
