"""bitsandbytes' layers, on a CPU or a CUDA GPU: LLM.int8() and NF4.

Sources: Tim Dettmers et al., "LLM.int8()", 2022; "QLoRA", 2023 (NF4).
Taught in: chapter 03, chapter 04.
"""

import contextlib
import logging

import torch
from torch import Tensor, nn

# On a CPU with AVX512 bf16 its import warns that the package `kernels` is missing. It is optional, and would
# fetch code from the hub; the kernels that the wheel carries are the ones measured here.
_log = logging.getLogger("bitsandbytes")


@contextlib.contextmanager
def _errors_only():
    before = _log.level
    _log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _log.setLevel(before)


with _errors_only():
    import bitsandbytes as bnb

PACKED_ROWS = 32
NF4_BLOCK_SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)


class BnbInt8Linear(bnb.nn.Linear8bitLt):
    """int8 weights, a scale per row; inputs get a scale per token, and inputs above `threshold` stay in fp16.

    Inputs pass through float16 in any case: above 65504 they overflow. threshold=0: no outliers apart.
    """

    @classmethod
    def from_linear(cls, linear: nn.Linear, threshold: float) -> "BnbInt8Linear":
        if not threshold >= 0:
            raise ValueError(
                f"threshold is {threshold!r}, expected 0 (no outliers) or above, 6.0 as in LLM.int8()"
            )
        weight = linear.weight.detach().clone()
        return cls._filled(
            linear, bnb.nn.Int8Params(weight, False, has_fp16_weights=False), linear.bias, threshold
        )

    @classmethod
    def restore(cls, linear: nn.Linear, state: dict, threshold: float) -> "BnbInt8Linear":
        codes = bnb.nn.Int8Params(
            state["weight"], False, has_fp16_weights=False, CB=state["weight"], SCB=state["SCB"]
        )
        return cls._filled(linear, codes, state.get("bias"), threshold)

    @classmethod
    def _filled(cls, linear: nn.Linear, weight, bias: Tensor | None, threshold: float) -> "BnbInt8Linear":
        layer = cls(
            linear.in_features,
            linear.out_features,
            bias is not None,
            has_fp16_weights=False,
            threshold=threshold,
            device="meta",
        )
        layer.weight = weight
        if bias is not None:
            layer.bias = nn.Parameter(bias.detach().half().clone(), requires_grad=False)
        # bitsandbytes rounds when a layer moves: to where it is already.
        return layer.to(linear.weight.device).eval()

    def forward(self, x: Tensor) -> Tensor:
        # Given float16, bitsandbytes doesn't log a line per call about casting to it.
        y = super().forward(x.reshape(-1, self.in_features).half())
        return y.to(x.dtype).reshape(*x.shape[:-1], self.out_features)


class BnbNf4Linear(bnb.nn.Linear4bit):
    """NF4 codes, two a byte, and a float scale per block of `block_size` weights in a row.

    On a CPU with AVX512 bf16 the first call repacks the codes and rounds their scales to bfloat16, then
    products run on packed codes; elsewhere on a CPU each call unpacks the matrix first, which is slow.
    """

    @classmethod
    def from_linear(cls, linear: nn.Linear, block_size: int) -> "BnbNf4Linear":
        if block_size not in NF4_BLOCK_SIZES:
            sizes = ", ".join(map(str, NF4_BLOCK_SIZES))
            raise ValueError(
                f"block_size is {block_size!r}, expected one of {sizes}: bitsandbytes has no other"
            )
        if linear.in_features % block_size:
            # bitsandbytes would let blocks run over the end of a row, and its packed CPU kernel reads them wrongly.
            raise ValueError(
                f"a block size of {block_size} does not divide the layer's {linear.in_features} inputs"
            )
        layer = cls._empty(linear, linear.bias)
        on_cpu = linear.weight.device.type == "cpu"
        if on_cpu and layer.support_avx512bf16_for_cpu and linear.out_features % PACKED_ROWS:
            raise ValueError(
                f"the layer has {linear.out_features} outputs, expected a multiple of {PACKED_ROWS}: on this CPU "
                "bitsandbytes packs that many together"
            )
        layer.weight = bnb.nn.Params4bit(
            linear.weight.detach().clone(),
            requires_grad=False,
            blocksize=block_size,
            compress_statistics=False,
            quant_type="nf4",
            module=layer,
        )
        return layer.to(linear.weight.device).eval()

    @classmethod
    def restore(cls, linear: nn.Linear, state: dict, block_size: int) -> "BnbNf4Linear":
        layer = cls._empty(linear, state.get("bias"))
        prefix = "weight."
        layer.weight = bnb.nn.Params4bit.from_prequantized(
            data=state["weight"],
            quantized_stats={name: value for name, value in state.items() if name.startswith(prefix)},
            requires_grad=False,
            device=linear.weight.device,
            module=layer,
        )
        return layer.to(linear.weight.device).eval()

    @classmethod
    def _empty(cls, linear: nn.Linear, bias: Tensor | None) -> "BnbNf4Linear":
        layer = cls(
            linear.in_features, linear.out_features, bias is not None, quant_type="nf4", device="meta",
            compress_statistics=False,
        )  # fmt: skip
        if bias is not None:
            layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x.detach())

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        state = self.weight.quant_state
        if getattr(state, "packing_format_for_cpu", False):
            # To save, bitsandbytes 0.50 unpacks the codes but leaves the scales transposed, so that they would
            # belong to other blocks, in the file and in this layer: put them back in order first.
            state.absmax = state.absmax.T.reshape(-1).float() if state.absmax.ndim == 2 else state.absmax
        super()._save_to_state_dict(destination, prefix, keep_vars)
