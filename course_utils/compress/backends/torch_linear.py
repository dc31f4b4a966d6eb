"""Linear layers with torch's own kernels: fp32, bf16, and int4 packed for the CPU.

Taught in: chapter 03, chapter 04.
"""

import torch
from torch import Tensor, nn

from course_utils.compress.backends.layer import ConvertedLinear
from course_utils.compress.rounding import Quantized, quantize

# What torch's kernel is written for: aten/src/ATen/native/cpu/int4mm_kernel.cpp.
INT4_GROUP_SIZES = (32, 64, 128, 256)
INT4_ROWS = 16


class Fp32Linear(ConvertedLinear):
    """The reference: float32 weights, float32 products."""

    dtype = torch.float32

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> "Fp32Linear":
        layer = cls.shaped_like(linear, bias_dtype=cls.dtype)
        layer.register_buffer("weight", linear.weight.detach().to(cls.dtype, copy=True))
        return layer

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x.to(self.dtype), self.weight, self.bias).to(x.dtype)


class Bf16Linear(Fp32Linear):
    """bfloat16 weights; inputs are rounded to it, unless they are bfloat16 already."""

    dtype = torch.bfloat16


class Int4Linear(ConvertedLinear):
    """aten's `_weight_int4pack_mm_for_cpu`: two codes a byte, a bf16 scale and midpoint per group, bf16 inputs.

    The kernel's grid is (code − 8) × scale + midpoint with codes 0 … 15. How it packs depends on the
    instruction set, so that a saved layer names the one that it was packed for.
    """

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, group_size: int, scheme: str, quantized: Quantized | None
    ) -> "Int4Linear":
        """Round the weights, or take codes that GPTQ or AWQ chose. ValueError for a shape it can't pack."""
        if quantized is None:
            cls._check(linear.out_features, group_size)
            quantized = quantize(linear.weight, bits=4, per=group_size, scheme=scheme)
        cls.check_codes(linear, quantized)
        cls._check(linear.out_features, quantized.group_size)
        layer = cls.shaped_like(linear, bias_dtype=torch.bfloat16)
        codes = quantized.codes.to(torch.int32) + 8
        layer.register_buffer("packed", torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1))
        zero = torch.zeros_like(quantized.scale) if quantized.zero is None else quantized.zero.float()
        pairs = torch.stack((quantized.scale, -zero * quantized.scale), dim=-1)  # [rows, groups, 2]
        layer.register_buffer("scales", pairs.transpose(0, 1).contiguous().bfloat16())
        layer.packed_for = torch.backends.cpu.get_cpu_capability()
        return layer

    @property
    def group_size(self) -> int:
        return self.in_features // self.scales.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, self.in_features).bfloat16()
        y = torch.ops.aten._weight_int4pack_mm_for_cpu(flat, self.packed, self.group_size, self.scales)
        if self.bias is not None:
            y += self.bias
        return y.to(x.dtype).reshape(*x.shape[:-1], self.out_features)

    def get_extra_state(self) -> dict:
        return {"packed_for": self.packed_for}

    def set_extra_state(self, state: dict) -> None:
        now = torch.backends.cpu.get_cpu_capability()
        if state["packed_for"] != now:
            raise ValueError(
                f"the file's int4 codes are packed for {state['packed_for']}, and torch uses {now} here: "
                "apply int4 to the original model on this machine"
            )
        self.packed_for = now

    @staticmethod
    def _check(rows: int, group_size: int) -> None:
        if group_size not in INT4_GROUP_SIZES:
            sizes = ", ".join(map(str, INT4_GROUP_SIZES))
            raise ValueError(
                f"group_size is {group_size!r}, expected one of {sizes}: torch's int4 has no other"
            )
        if rows % INT4_ROWS:
            raise ValueError(
                f"the layer has {rows} outputs, expected a multiple of {INT4_ROWS} for torch's int4"
            )
