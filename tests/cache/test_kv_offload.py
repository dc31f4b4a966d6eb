"""Parked caches: hand-worked seconds over a link, against computing them again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.cache.kv_offload import (
    break_even_bytes_per_s,
    fetch_s,
    host_links,
    recompute_s,
    steps_per_s_over_link,
)
from course_utils.catalog.accelerators import accelerator
from course_utils.catalog.models import model

SHAPE, CHIP = model("Llama-3.1-8B"), accelerator("H100 SXM")


def test_hand_worked_fetch():
    # 32 layers x 8 heads x 128 numbers, key and value, 2 bytes: 131,072 bytes a token; 1,000 of them at 13 GB/s.
    assert fetch_s(SHAPE, 1000, 13.1072e9) == pytest.approx(0.01)
    assert steps_per_s_over_link(SHAPE, 1000, 10, 13.1072e9) == pytest.approx(10)


def test_hand_worked_recompute():
    # 2 x 8.03e9 x 1000 for the weights, 2 x 32 x 4096 x 1000² for attention, at half of 989.4 TFLOP/s.
    wanted = (2 * SHAPE.active_parameters * 1000 + 2 * 32 * 4096 * 1000**2) / (CHIP.bf16_flop_per_s / 2)
    assert recompute_s(SHAPE, 1000, CHIP) == pytest.approx(wanted)


@given(st.floats(100, 100_000), st.sampled_from([4, 8, 16]))
def test_at_the_break_even_link_both_take_as_long(tokens, bits):
    link = break_even_bytes_per_s(SHAPE, tokens, CHIP, kv_bits=bits)
    assert fetch_s(SHAPE, tokens, link, bits) == pytest.approx(recompute_s(SHAPE, tokens, CHIP))


def test_any_published_link_beats_computing_again():
    for link in host_links().values():
        assert link.bytes_per_s > break_even_bytes_per_s(SHAPE, 8000, CHIP)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="link_bytes_per_s=0"):
        fetch_s(SHAPE, 1000, 0)
    with pytest.raises(ValueError, match=r"utilization=1\.5"):
        recompute_s(SHAPE, 1000, CHIP, 1.5)
    with pytest.raises(ValueError, match="sequences=0"):
        steps_per_s_over_link(SHAPE, 1000, 0, 1e9)
