"""Codes end to end in bytes: two of 4 bits share one byte. Without this, "4-bit" weights weigh 8.

Codes are stored from 0 up (−8 … 7 becomes 0 … 15), the first code in a byte's low bits: the order that
compressed-tensors uses in its int32 words.
Taught in: chapter 04.
"""

import torch
from torch import Tensor

from course_utils.compress.rounding import Quantized


def pack4(codes: Tensor) -> Tensor:
    """int8 codes −8 … 7 [n], n even → uint8 [n / 2]: low half of a byte first, then its high half."""
    if codes.numel() % 2:
        raise ValueError(f"codes holds {codes.numel()} codes, expected an even number: two share a byte")
    unsigned = _unsigned(codes, 4)
    return unsigned[0::2] | (unsigned[1::2] << 4)


def unpack4(packed: Tensor) -> Tensor:
    """uint8 [n / 2] → int8 codes −8 … 7 [n]; undoes pack4."""
    return torch.stack((packed & 15, packed >> 4), dim=1).flatten().to(torch.int8) - 8


def pack(codes: Tensor, bits: int) -> Tensor:
    """Codes of 2 to 8 bits → uint8 [ceil(n × bits / 8)]; at 3 bits, eight codes fill three bytes."""
    unsigned = _unsigned(codes, bits)
    stream = (unsigned[:, None] >> torch.arange(bits, dtype=torch.uint8)) & 1  # [n, bits], low bit first
    stream = torch.nn.functional.pad(stream.flatten(), (0, -stream.numel() % 8)).reshape(-1, 8)
    return (stream << torch.arange(8, dtype=torch.uint8)).sum(dim=1, dtype=torch.uint8)


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """The first `count` codes, int8 [count]; undoes pack."""
    if not 0 <= count * bits <= packed.numel() * 8:
        raise ValueError(
            f"count is {count}, expected at most {packed.numel() * 8 // bits} codes of {bits} bits"
        )
    stream = ((packed[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1).flatten()[: count * bits]
    unsigned = (stream.reshape(count, bits) << torch.arange(bits, dtype=torch.uint8)).sum(
        1, dtype=torch.int16
    )
    return (unsigned - 2 ** (bits - 1)).to(torch.int8)


def stored_tensors(quantized: Quantized) -> dict[str, Tensor]:
    """What a file holds of it: packed codes, float16 scales, packed zero points.

    Their bytes are `quantized.size_bytes()`. Scales lose their last bits to float16: 1 part in 2048 at most.
    """
    tensors = {"codes": pack(quantized.codes, quantized.bits), "scale": quantized.scale.half()}
    if quantized.zero is not None:
        tensors["zero"] = pack(quantized.zero, quantized.bits)
    return tensors


def _unsigned(codes: Tensor, bits: int) -> Tensor:
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits!r}, expected a whole number from 2 to 8")
    half = 2 ** (bits - 1)
    if codes.numel() and not (-half <= int(codes.min()) and int(codes.max()) < half):
        raise ValueError(
            f"codes run from {int(codes.min())} to {int(codes.max())}, expected {-half} to {half - 1} at {bits} bits"
        )
    return (codes.flatten().to(torch.int16) + half).to(torch.uint8)
