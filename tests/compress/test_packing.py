"""Packed codes: every bit used, nothing lost."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.compress.packing import pack, pack4, stored_tensors, unpack, unpack4
from course_utils.compress.rounding import Quantized, quantize


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 8), st.integers(0, 70), st.integers(0, 10**6))
def test_codes_come_back_exactly_and_take_as_many_bytes_as_their_bits_fill(bits, count, seed):
    half = 2 ** (bits - 1)
    codes = torch.randint(-half, half, (count,), generator=torch.Generator().manual_seed(seed)).to(torch.int8)
    packed = pack(codes, bits)
    assert packed.numel() == -(-count * bits // 8)
    assert torch.equal(unpack(packed, bits, count), codes)


def test_two_codes_share_a_byte_first_in_the_low_half():
    assert pack4(torch.tensor([-8, 7], dtype=torch.int8)).tolist() == [0xF0]
    assert unpack4(torch.tensor([0xF0], dtype=torch.uint8)).tolist() == [-8, 7]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 40), st.integers(0, 10**6))
def test_two_a_byte_is_what_the_general_form_does_at_four_bits(pairs, seed):
    codes = torch.randint(-8, 8, (2 * pairs,), generator=torch.Generator().manual_seed(seed)).to(torch.int8)
    assert torch.equal(pack4(codes), pack(codes, 4))
    assert torch.equal(unpack4(pack4(codes)), codes)


@pytest.mark.parametrize("scheme", ["symmetric", "zero_point"])
@pytest.mark.parametrize("bits", [3, 4, 8])
def test_what_is_stored_weighs_what_size_bytes_says_and_reads_back(bits, scheme):
    result = quantize(torch.randn(24, 64, generator=torch.Generator().manual_seed(0)), bits, 32, scheme)
    stored = stored_tensors(result)
    assert sum(tensor.numel() * tensor.element_size() for tensor in stored.values()) == result.size_bytes()
    codes = unpack(stored["codes"], bits, result.codes.numel()).reshape(result.codes.shape)
    zero = None
    if result.zero is not None:
        zero = unpack(stored["zero"], bits, result.zero.numel()).reshape(result.zero.shape)
    again = Quantized(codes, stored["scale"].float(), zero, bits, scheme)
    assert torch.allclose(again.dequantize(), result.dequantize(), rtol=2**-11, atol=0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: pack4(torch.zeros(3, dtype=torch.int8)), "codes holds 3 codes, expected an even number"),
        (
            lambda: pack(torch.tensor([4], dtype=torch.int8), 3),
            "codes run from 4 to 4, expected -4 to 3 at 3 bits",
        ),
        (lambda: pack(torch.zeros(2, dtype=torch.int8), 9), "bits is 9, expected"),
        (
            lambda: unpack(torch.zeros(1, dtype=torch.uint8), 4, 3),
            "count is 3, expected at most 2 codes of 4 bits",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
