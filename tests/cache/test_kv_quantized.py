"""Rounded keys and values: equal to transformers' QuantizedCache, within half a step, and as small as said."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from course_utils.cache.kv import GrowingKv
from course_utils.cache.kv_quality import held_share
from course_utils.cache.kv_quantized import QuantizedKv, packed, rounded, unpacked

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="module")
def frozen():
    return load_file(FIXTURES / "quantized_cache.safetensors")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_hand_worked_group_of_four():
    # low 0, high 3, 2 bits: step 1, so 0.4 becomes 0 and 1.6 becomes 2.
    x = torch.tensor([0.0, 0.4, 1.6, 3.0]).reshape(1, 1, 1, 4)
    block = rounded(x, 2, "token")
    assert unpacked(block.codes, 2).flatten().tolist() == [0, 0, 2, 3]
    assert block.restore(torch.float32).flatten().tolist() == [0.0, 0.0, 2.0, 3.0]


@pytest.mark.parametrize("bits", [2, 4])
def test_equals_quantized_cache_with_quanto_at_matching_axes(frozen, bits):
    cache = QuantizedKv(bits, group_tokens=64, scale_dtype=torch.float32)
    cache.append(frozen["keys"], frozen["values"])
    for mine, name in zip(cache.restored(), ("keys", "values"), strict=True):
        assert torch.allclose(mine, frozen[f"quanto{bits}.{name}"], atol=1e-5)


@pytest.mark.parametrize("bits", [2, 4])
def test_equals_quantized_cache_after_it_has_rounded_again(frozen, bits):
    # quanto restores and rounds everything when its newest tokens are full; what was on the grid stays on it.
    cache = QuantizedKv(bits, group_tokens=64, scale_dtype=torch.float32)
    cache.append(frozen["keys"], frozen["values"])
    cache.append(frozen["more_keys"], frozen["more_values"])
    for mine, name in zip(cache.restored(), ("keys", "values"), strict=True):
        assert torch.allclose(mine, frozen[f"quanto{bits}.{name}_after"], atol=1e-4)


def test_agrees_with_quantized_cache_with_hqq_in_8_bits(frozen):
    # hqq keeps a whole-numbered or shifted zero of its own: the same grid spacing, at most a step apart.
    cache = QuantizedKv(8, group_tokens=64, scale_dtype=torch.float32)
    cache.append(frozen["hqq.keys_in"], frozen["hqq.values_in"])
    for mine, name, along in zip(cache.restored(), ("keys", "values"), (2, 3), strict=True):
        exact = frozen[f"hqq.{name}_in"]
        low, high = exact.aminmax(dim=along, keepdim=True)
        assert ((mine - frozen[f"hqq8.{name}"]).abs() <= (high - low) / 255 * 1.01).all()


def test_fixture_says_what_made_it():
    record = json.loads((FIXTURES / "quantized_cache.json").read_text())
    assert record["made_by"] == "scripts/make_kv_fixtures.py"
    assert set(record["versions"]) == {"torch", "transformers", "optimum-quanto", "hqq"}


@settings(max_examples=40, deadline=None)
@given(bits=st.sampled_from([2, 4, 8]), axis=st.sampled_from(["channel", "token"]), size=st.floats(1e-3, 1e3))
def test_every_number_is_within_half_a_step(bits, axis, size):
    x = size * normal(2, 2, 16, 8)
    block = rounded(x, bits, axis, scale_dtype=torch.float32)
    low, high = x.aminmax(dim=2 if axis == "channel" else 3, keepdim=True)
    step = (high - low) / (2**bits - 1)
    assert ((block.restore(torch.float32) - x).abs() <= step / 2 * 1.001 + 1e-6 * size).all()


def test_more_bits_are_nearer():
    x = normal(1, 2, 64, 64)
    errors = [(rounded(x, bits, "token").restore(torch.float32) - x).norm() for bits in (2, 4, 8)]
    assert errors == sorted(errors, reverse=True)


def test_keys_with_large_channels_are_nearer_per_channel():
    keys = normal(1, 2, 64, 64)
    keys[..., ::16] *= 10
    error = {
        axis: (rounded(keys, 4, axis).restore(torch.float32) - keys).norm() for axis in ("channel", "token")
    }
    assert error["channel"] < 0.8 * error["token"]


def test_newest_tokens_are_exact_until_their_group_is_full():
    cache, keys = QuantizedKv(4, group_tokens=8), normal(1, 2, 12, 16)
    for token in keys.split(1, dim=2):
        seen, _ = cache.append(token, token)
    assert torch.equal(seen[:, :, 8:], keys[:, :, 8:])
    assert not torch.equal(seen[:, :, :8], keys[:, :, :8])
    assert cache.tokens == 12
    assert len(cache.blocks) == 1


def test_a_new_token_sees_itself_exactly_even_when_it_fills_a_group():
    cache, keys = QuantizedKv(2, group_tokens=4), normal(1, 1, 4, 8)
    seen, _ = cache.append(keys, keys)
    assert torch.equal(seen, keys)
    again, _ = cache.append(keys[:, :, :1], keys[:, :, :1])
    assert not torch.equal(again[:, :, :4], keys)


def test_int8_holds_at_most_55_percent_of_bf16_with_scales_and_waiting_tokens():
    def int8():
        return QuantizedKv(8)

    assert held_share(int8, 512, kv_heads=3, head_dim=64) == pytest.approx(0.53125)  # 64 + 4 bytes for 128
    assert held_share(int8, 2047, kv_heads=3, head_dim=64) <= 0.55  # 63 tokens wait in full: the worst case


def test_int4_holds_less_than_a_third():
    assert held_share(lambda: QuantizedKv(4), 512, kv_heads=3, head_dim=64) == pytest.approx(0.28125)


def test_held_bytes_count_codes_scales_and_the_newest():
    cache = QuantizedKv(4, group_tokens=8)
    cache.append(normal(1, 2, 11, 16), normal(1, 2, 11, 16))
    codes = 2 * 2 * 8 * 16 // 2
    key_scales, value_scales = 2 * 2 * 16 * 2, 2 * 2 * 8 * 2
    newest = 2 * 2 * 3 * 16 * 4
    assert cache.held_bytes == codes + key_scales + value_scales + newest


@settings(max_examples=25, deadline=None)
@given(bits=st.sampled_from([2, 4, 8]), seed=st.integers(0, 99))
def test_packing_round_trips(bits, seed):
    codes = torch.randint(
        2**bits, (2, 3, 5, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    assert torch.equal(unpacked(packed(codes, bits), bits), codes)
    assert packed(codes, bits).shape[-1] == 16 * bits // 8


def test_constant_and_zero_groups_come_back():
    x = torch.full((1, 1, 8, 8), 3.0)
    x[:, :, :, 0] = 0.0
    for axis in ("channel", "token"):
        assert torch.allclose(
            rounded(x, 4, axis).restore(torch.float32), x, atol=1e-3 if axis == "channel" else 0.2
        )


def test_bad_arguments_are_named():
    x = normal(1, 1, 8, 8)
    with pytest.raises(ValueError, match="bits=3"):
        rounded(x, 3, "token")
    with pytest.raises(ValueError, match="axis='head'"):
        rounded(x, 4, "head")
    with pytest.raises(ValueError, match="group=3"):
        rounded(x, 4, "token", group=3)
    with pytest.raises(ValueError, match="not finite"):
        rounded(x / 0, 4, "token")
    with pytest.raises(ValueError, match="group_tokens=1"):
        QuantizedKv(8, group_tokens=1)
    with pytest.raises(ValueError, match="empty"):
        QuantizedKv(8).restored()
    with pytest.raises(ValueError, match="head_dim=9"):
        rounded(normal(1, 1, 4, 9), 4, "token")


def test_growing_cache_is_the_reference_that_shares_are_taken_of():
    assert held_share(GrowingKv, 100, kv_heads=1, head_dim=8) == 1


@pytest.mark.parametrize("axis", ["channel", "token"])
def test_numbers_beyond_the_scale_are_refused_and_fit_a_wider_one(axis):
    x = torch.tensor([[[[1e5, 2e5], [1.5e5, 3e5]]]])
    with pytest.raises(ValueError, match=r"torch\.float16.*ends at 65504.*300000"):
        rounded(x, 8, axis)
    assert rounded(x, 8, axis, scale_dtype=torch.float32).restore(x.dtype).isfinite().all()
