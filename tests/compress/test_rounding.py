"""Rounding a matrix to few bits: what every scheme promises."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.compress.nf4 import NF4_VALUES, quantize_nf4
from course_utils.compress.rounding import SCHEMES, Quantized, code_range, quantize, relative_error, spread

BITS = st.integers(2, 8)
PER = st.sampled_from(["tensor", "channel", 4, 8, 16])
SCHEME = st.sampled_from(SCHEMES)
examples = settings(deadline=None, max_examples=20)


@st.composite
def weights(draw, rows=6, columns=16):
    """Matrices of many magnitudes: normal, shifted, with an outlier, with zeros."""
    seed = draw(st.integers(0, 2**31 - 1))
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator) + draw(st.sampled_from([0.0, 3.0, -1.0]))
    weight[0, draw(st.integers(0, columns - 1))] *= draw(st.sampled_from([1.0, 0.0, 50.0]))
    if draw(st.booleans()):
        weight[-1] = 0.0
    return weight * 10.0 ** draw(st.integers(-6, 6))


@examples
@given(weights(), BITS, PER, SCHEME)
def test_no_weight_moves_by_more_than_half_a_step(weight, bits, per, scheme):
    result = quantize(weight, bits, per, scheme)
    step = spread(result.scale, 16).expand_as(weight)
    # 1e-4 of a step: float32 itself rounds when it divides and multiplies back.
    assert ((weight - result.dequantize()).abs() <= step * (0.5 + 1e-4)).all()


@examples
@given(weights(), BITS, PER, SCHEME)
def test_codes_stay_in_their_range_and_the_extremes_use_it(weight, bits, per, scheme):
    codes, (lowest, highest) = quantize(weight, bits, per, scheme).codes, code_range(bits, scheme)
    assert lowest <= int(codes.min())
    assert int(codes.max()) <= highest
    if weight.abs().max() > 0:
        assert max(-int(codes.min()), int(codes.max())) >= highest


@examples
@given(weights(), PER, SCHEME)
def test_more_bits_always_mean_a_smaller_step_and_six_more_lose_less(weight, per, scheme):
    steps = [quantize(weight, bits, per, scheme).scale for bits in (2, 5, 8)]
    energized = steps[0] != 1.0  # a group of zeros has scale 1 at any number of bits
    for coarse, fine in pairwise(steps):
        assert (fine[energized] < coarse[energized]).all()
    few, many = (relative_error(weight, quantize(weight, bits, per, scheme).dequantize()) for bits in (2, 8))
    assert many < few or few == 0


def test_error_falls_with_every_bit_and_with_every_smaller_group():
    weight = torch.randn(64, 256, generator=torch.Generator().manual_seed(1))
    by_bits = [relative_error(weight, quantize(weight, bits, 64).dequantize()) for bits in range(2, 9)]
    assert by_bits == sorted(by_bits, reverse=True)
    sharing = ("tensor", "channel", 128, 64, 32)
    by_group = [relative_error(weight, quantize(weight, 4, per).dequantize()) for per in sharing]
    assert by_group == sorted(by_group, reverse=True)


@examples
@given(st.integers(0, 10**6), BITS, SCHEME, st.sampled_from(["tensor", "channel", 8]))
def test_weights_that_lie_on_the_grid_come_back_exactly(seed, bits, scheme, per):
    lowest, highest = code_range(bits, scheme)
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(lowest, highest + 1, (4, 16), generator=generator)
    if scheme == "symmetric":
        # Its step is max|w| / 7.5: codes reach it where the range's half step does, at ±7.5 steps.
        weight = codes.clamp(lowest + 1, highest).float()
        weight[:, 0::8] = highest + 0.5
        kept = weight != highest + 0.5
    else:
        weight = codes.float()
        weight[:, 0::8], weight[:, 1::8] = lowest, highest
        kept = torch.ones_like(weight, dtype=torch.bool)
    result = quantize(weight * 0.25, bits, per, scheme)  # a power of two: no rounding of floats in the way
    assert torch.allclose(result.dequantize()[kept], weight[kept] * 0.25, rtol=1e-6, atol=0)
    again = quantize(result.dequantize(), bits, per, scheme)
    assert scheme == "symmetric" or torch.equal(again.codes, result.codes)


@examples
@given(weights(), BITS, PER, SCHEME, st.integers(-10, 10))
def test_scaling_the_weights_scales_the_steps_and_leaves_the_codes(weight, bits, per, scheme, power):
    plain, scaled = quantize(weight, bits, per, scheme), quantize(weight * 2.0**power, bits, per, scheme)
    assert torch.equal(plain.codes, scaled.codes)
    zeros = plain.scale == 1.0
    assert torch.equal(scaled.scale[~zeros], (plain.scale * 2.0**power)[~zeros])


@examples
@given(weights(), BITS, PER)
def test_absmax_treats_both_signs_alike(weight, bits, per):
    plain, flipped = quantize(weight, bits, per, "absmax"), quantize(-weight, bits, per, "absmax")
    assert torch.equal(plain.codes, -flipped.codes)
    assert torch.equal(plain.scale, flipped.scale)


@examples
@given(weights(), BITS, PER, SCHEME, st.permutations(range(6)))
def test_the_order_of_rows_does_not_matter(weight, bits, per, scheme, order):
    assert torch.equal(
        quantize(weight, bits, per, scheme).codes[order], quantize(weight[order], bits, per, scheme).codes
    )


@examples
@given(weights(), BITS, st.sampled_from(["tensor", "channel"]), SCHEME, st.permutations(range(16)))
def test_without_groups_the_order_of_columns_does_not_matter(weight, bits, per, scheme, order):
    assert torch.equal(
        quantize(weight, bits, per, scheme).codes[:, order],
        quantize(weight[:, order], bits, per, scheme).codes,
    )


@examples
@given(weights(), BITS, PER, SCHEME)
def test_zeros_stay_zeros(weight, bits, per, scheme):
    weight[:, 3] = 0.0
    assert (quantize(weight, bits, per, scheme).dequantize()[:, 3] == 0.0).all()


def test_one_outlier_ruins_a_shared_scale_and_only_its_own_group_otherwise():
    weight = torch.randn(8, 128, generator=torch.Generator().manual_seed(2))
    weight[0, 0] = 100.0
    errors = [
        relative_error(weight[1:], quantize(weight, 8, per).dequantize()[1:]) for per in ("tensor", "channel")
    ]
    assert errors[0] > 100 * errors[1]


@pytest.mark.parametrize(
    ("bits", "per", "scheme", "expected_bits"),
    [
        (4, 128, "symmetric", 4 + 16 / 128),
        (4, 64, "symmetric", 4 + 16 / 64),
        (4, 128, "zero_point", 4 + (16 + 4) / 128),
        (3, 128, "symmetric", 3 + 16 / 128),
        (8, "channel", "absmax", 8 + 16 / 256),
        (8, "tensor", "absmax", 8 + 16 / (64 * 256)),
    ],
)
def test_size_counts_codes_scales_and_zero_points(bits, per, scheme, expected_bits):
    result = quantize(torch.ones(64, 256), bits, per, scheme)
    assert result.bits_per_weight == expected_bits
    assert result.size_bytes() == expected_bits * 64 * 256 / 8


def test_nf4_costs_half_a_byte_and_a_scale_of_four_bytes_per_block():
    assert quantize_nf4(torch.ones(64, 256)).bits_per_weight == 4.5


@examples
@given(weights())
def test_nf4_picks_the_nearest_of_its_sixteen_values(weight):
    result = quantize_nf4(weight, block=16)
    unit = weight / result.absmax[:, None].clamp(min=1e-30)
    table = torch.tensor(NF4_VALUES)
    nearest = (unit[..., None] - table).abs().amin(-1)
    assert torch.allclose((unit - table[result.codes.long()]).abs(), nearest, atol=1e-6)


def test_nf4_beats_a_uniform_grid_of_as_many_codes_on_normal_weights_and_takes_a_ragged_last_block():
    weight = torch.randn(9, 101, generator=torch.Generator().manual_seed(3))
    uniform = quantize(weight[:, :64], 4, 64, "absmax").dequantize()
    assert relative_error(weight[:, :64], quantize_nf4(weight[:, :64]).dequantize()) < relative_error(
        weight[:, :64], uniform
    )
    assert quantize_nf4(weight).dequantize().shape == weight.shape


def test_relative_error_is_the_share_of_energy_lost():
    weight = torch.tensor([[3.0, 4.0]])
    assert relative_error(weight, weight) == 0.0
    assert relative_error(weight, torch.zeros(1, 2)) == 1.0
    assert relative_error(torch.zeros(1, 2), torch.zeros(1, 2)) == 0.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"per": 48}, "a group size of 48 does not divide the weight's 64 columns; 32 does"),
        ({"per": 0}, "per is 0, expected"),
        ({"per": "row"}, "per is 'row', expected"),
        ({"bits": 1}, "bits is 1, expected a whole number from 2 to 8"),
        ({"bits": 4.0}, "bits is 4.0, expected"),
        ({"scheme": "nf4"}, "scheme is 'nf4', expected one of absmax, symmetric, zero_point"),
        ({"weight": torch.full((2, 64), float("nan"))}, "weight holds 128 values that are not finite"),
        ({"weight": torch.zeros(64)}, r"weight is torch.float32 \[64\], expected a matrix"),
        ({"weight": torch.zeros(2, 64, dtype=torch.int8)}, "weight is torch.int8"),
        ({"weight": torch.zeros(0, 64)}, "expected a matrix of floats"),
        ({"weight": torch.tensor([[3e38, -3e38] * 32])}, "more than float32 can hold"),
        ({"weight": [1.0]}, "weight is list"),
    ],
)
def test_bad_input_is_named_in_one_sentence(change, says):
    arguments = {"weight": torch.ones(2, 64), "bits": 4, "per": 32, "scheme": "symmetric"} | change
    with pytest.raises(ValueError, match=says):
        quantize(**arguments)


def test_nf4_refuses_a_block_of_nothing():
    with pytest.raises(ValueError, match="block is 0, expected a whole number of at least 1"):
        quantize_nf4(torch.ones(2, 2), block=0)


def test_the_weight_given_is_never_changed():
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(4))
    before = weight.clone()
    assert isinstance(quantize(weight, 4, 32, "zero_point"), Quantized)
    quantize_nf4(weight)
    assert torch.equal(weight, before)
