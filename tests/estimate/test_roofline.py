import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from course_utils.estimate.roofline import (
    attainable_flop_per_s,
    decode_tokens_per_s,
    linear_bytes,
    linear_flop,
    linear_intensity_flop_per_byte,
    ridge_flop_per_byte,
    tokens_at_ridge,
)

rates = st.floats(1e9, 1e16)
intensities = st.floats(1e-3, 1e6)
sizes = st.integers(1, 32_768)
value_bytes = st.sampled_from([0.5, 1.0, 2.0, 4.0])


def test_hand_worked_case_of_an_h100():
    # 989 TFLOP/s over 3.35 TB/s: 295.2 FLOP per byte. At 1 FLOP per byte memory allows 3.35 TFLOP/s.
    assert ridge_flop_per_byte(989e12, 3.35e12) == pytest.approx(295.22, rel=1e-4)
    assert attainable_flop_per_s(1.0, 989e12, 3.35e12) == pytest.approx(3.35e12)
    assert attainable_flop_per_s(1000.0, 989e12, 3.35e12) == pytest.approx(989e12)


def test_hand_worked_case_of_a_linear_layer_in_bf16():
    # 4096 × 4096, one token: 33.55 MFLOP; weights 33.55 MB, x and y 8 kB each.
    assert linear_flop(1, 4096, 4096) == 2 * 4096 * 4096
    assert linear_bytes(1, 4096, 4096) == 2 * 4096 * 4096 + 2 * (4096 + 4096)
    assert linear_intensity_flop_per_byte(1, 4096, 4096) == pytest.approx(0.9995, rel=1e-4)
    # 512 tokens: 512 times the FLOP, 1.25 times the bytes.
    assert linear_intensity_flop_per_byte(512, 4096, 4096) == pytest.approx(409.6)


def test_a_135m_model_in_fp32_at_20_gb_per_s_decodes_37_tokens_per_s_at_most():
    assert decode_tokens_per_s(134.5e6 * 4, 20e9) == pytest.approx(37.17, rel=1e-3)


@given(intensities, rates, rates)
def test_neither_roof_is_ever_exceeded_and_one_is_always_met(intensity, peak, bandwidth):
    attainable = attainable_flop_per_s(intensity, peak, bandwidth)
    assert attainable <= peak
    assert attainable <= intensity * bandwidth
    assert attainable in (peak, intensity * bandwidth)


@given(rates, rates)
def test_both_roofs_meet_at_the_ridge(peak, bandwidth):
    ridge = ridge_flop_per_byte(peak, bandwidth)
    assert attainable_flop_per_s(ridge, peak, bandwidth) == pytest.approx(peak)
    assert attainable_flop_per_s(ridge / 2, peak, bandwidth) == pytest.approx(peak / 2)
    assert attainable_flop_per_s(ridge * 2, peak, bandwidth) == pytest.approx(peak)


@given(intensities, intensities, rates, rates)
def test_attainable_never_falls_as_intensity_rises(one, other, peak, bandwidth):
    low, high = sorted((one, other))
    assert attainable_flop_per_s(low, peak, bandwidth) <= attainable_flop_per_s(high, peak, bandwidth)


def test_an_array_of_intensities_gives_the_roofline_point_by_point():
    intensities = np.geomspace(0.1, 1000, 50)
    roofline = attainable_flop_per_s(intensities, 65e12, 320e9)
    assert roofline.tolist() == [attainable_flop_per_s(one, 65e12, 320e9) for one in intensities]


@given(sizes, sizes, sizes, value_bytes, value_bytes)
def test_intensity_is_below_both_of_its_limits(tokens, inputs, outputs, weight_bytes, activation_bytes):
    intensity = linear_intensity_flop_per_byte(tokens, inputs, outputs, weight_bytes, activation_bytes)
    assert intensity < 2 * tokens / weight_bytes
    assert intensity < 2 * inputs * outputs / (activation_bytes * (inputs + outputs))


@given(sizes, sizes, sizes, value_bytes)
def test_more_tokens_at_once_raise_the_intensity(tokens, inputs, outputs, weight_bytes):
    assert linear_intensity_flop_per_byte(tokens + 1, inputs, outputs, weight_bytes) > (
        linear_intensity_flop_per_byte(tokens, inputs, outputs, weight_bytes)
    )


@given(sizes, sizes, sizes)
def test_fewer_bits_per_weight_raise_the_intensity(tokens, inputs, outputs):
    by_bytes = [linear_intensity_flop_per_byte(tokens, inputs, outputs, w) for w in (0.5, 1, 2, 4)]
    assert by_bytes == sorted(by_bytes, reverse=True)


@given(st.integers(16, 32_768), st.integers(16, 32_768), rates, rates, value_bytes)
def test_the_intensity_of_tokens_at_ridge_is_the_ridge(inputs, outputs, peak, bandwidth, weights):
    tokens = tokens_at_ridge(inputs, outputs, peak, bandwidth, weights)
    assume(math.isfinite(tokens) and tokens < 1e9)
    intensity = linear_intensity_flop_per_byte(tokens, inputs, outputs, weights)
    assert intensity == pytest.approx(ridge_flop_per_byte(peak, bandwidth), rel=1e-6)


def test_a_small_layer_never_reaches_the_ridge_of_a_big_chip():
    # 64 × 64 in bf16 tends to 32 FLOP per byte, an H100's ridge is at 295.
    assert tokens_at_ridge(64, 64, 989e12, 3.35e12) == math.inf


@given(st.floats(1e6, 1e12), st.floats(1e9, 1e13))
def test_half_the_bytes_decode_twice_as_fast(weights_bytes, bandwidth):
    assert decode_tokens_per_s(weights_bytes / 2, bandwidth) == pytest.approx(
        2 * decode_tokens_per_s(weights_bytes, bandwidth)
    )


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
def test_nonsense_is_refused_by_name(bad):
    with pytest.raises(ValueError, match="peak_flop_per_s"):
        ridge_flop_per_byte(bad, 1e9)
    with pytest.raises(ValueError, match="bandwidth_bytes_per_s"):
        ridge_flop_per_byte(1e9, bad)
    with pytest.raises(ValueError, match="intensity_flop_per_byte"):
        attainable_flop_per_s(bad, 1e9, 1e9)
    with pytest.raises(ValueError, match="intensity_flop_per_byte"):
        attainable_flop_per_s([1.0, bad], 1e9, 1e9)
    with pytest.raises(ValueError, match="tokens"):
        linear_flop(bad, 1, 1)
    with pytest.raises(ValueError, match="weight_bytes"):
        linear_intensity_flop_per_byte(1, 1, 1, weight_bytes=bad)
    with pytest.raises(ValueError, match="activation_bytes"):
        tokens_at_ridge(1, 1, 1e9, 1e9, activation_bytes=bad)
    with pytest.raises(ValueError, match="weights_bytes"):
        decode_tokens_per_s(bad, 1e9)
