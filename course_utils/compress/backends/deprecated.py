"""The one place that uses torch.ao.quantization: deprecated, but still torch's fastest int8 on a CPU.

What replaces it is the package torchao, `quantize_(model, Int8DynamicActivationInt8WeightConfig())`, which
needs torch.compile, and so a C++ compiler, to be fast on a CPU. Once torch comes without
torch.ao.quantization, the capability check says so and this module can go.
Taught in: chapter 03.
"""

import contextlib
import warnings

import torch
from torch import Tensor, nn

from course_utils.compress.backends.layer import ConvertedLinear


class DynamicInt8Linear(ConvertedLinear):
    """int8 weights with one scale per row, or per matrix; inputs get scale and zero point at each call.

    torch gives the inputs 7 of the 8 bits, so that sums can't overflow on a CPU without VNNI.
    """

    @classmethod
    def from_linear(cls, linear: nn.Linear, per_channel: bool) -> "DynamicInt8Linear":
        layer = cls(linear.in_features, linear.out_features)
        with _quiet():
            from torch.ao import quantization

            config = quantization.default_dynamic_qconfig
            if per_channel:
                config = quantization.per_channel_dynamic_qconfig
            one = nn.Sequential(_float32(linear))
            quantized = quantization.quantize_dynamic(one, {nn.Linear: config}, inplace=True)[0]
            layer.packed = quantized._packed_params._packed_params
        return layer.eval()

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, self.in_features).float()
        y = torch.ops.quantized.linear_dynamic(flat, self.packed, reduce_range=True)
        return y.to(x.dtype).reshape(*x.shape[:-1], self.out_features)

    def get_extra_state(self) -> dict:
        """int8 codes and float32 scales: how torch packs them depends on the machine."""
        with _quiet():
            weight, bias = torch.ops.quantized.linear_unpack(self.packed)
            per_channel = weight.qscheme() != torch.per_tensor_affine
            scales = weight.q_per_channel_scales() if per_channel else torch.tensor([weight.q_scale()])
            return {"codes": weight.int_repr(), "scales": scales.float(), "bias": bias}

    def set_extra_state(self, state: dict) -> None:
        codes, scales = state["codes"], state["scales"]
        with _quiet():
            if scales.numel() == 1:
                weight = torch._make_per_tensor_quantized_tensor(codes, scales.item(), 0)
            else:
                zeros = torch.zeros(len(scales), dtype=torch.int64)
                weight = torch._make_per_channel_quantized_tensor(codes, scales, zeros, 0)
            self.packed = torch.ops.quantized.linear_prepack(weight, state["bias"])


def _float32(linear: nn.Linear) -> nn.Linear:
    """A copy that quantize_dynamic may replace."""
    copy = nn.Linear(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
    copy.weight = nn.Parameter(linear.weight.detach().float().cpu(), requires_grad=False)
    if linear.bias is not None:
        copy.bias = nn.Parameter(linear.bias.detach().float().cpu(), requires_grad=False)
    return copy.eval()


@contextlib.contextmanager
def _quiet():
    """Without torch's warnings that this is deprecated: this module's first lines say it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*deprecated.*")
        yield
