"""Quality through a cache: nothing lost where nothing is rounded, order where something is, and what was recorded."""

import math

import pytest

from course_utils.cache.kv_quality import (
    ROUNDED,
    WINDOWS,
    changes,
    perplexity_through,
    perplexity_windowed,
)
from course_utils.cache.kv_quantized import QuantizedKv
from course_utils.measure.models import load
from course_utils.measure.recorded import recording

TEXT = "A cache keeps what was computed once, so that nobody has to compute it twice. " * 40
SHORT = {"sequence_tokens": 96, "piece_tokens": 32, "windows": 2}


@pytest.fixture(scope="module")
def tiny():
    return load("tiny", device="cpu")


def test_reading_in_pieces_through_an_exact_cache_equals_reading_at_once(tiny):
    pieces = perplexity_through(tiny.model, tiny.tokenizer, TEXT, **SHORT)
    at_once = perplexity_windowed(
        tiny.model, tiny.tokenizer, TEXT, None, sequence_tokens=96, scored_tokens=64, windows=2
    )
    assert pieces.per_block == pytest.approx(at_once.per_block, rel=1e-4)


def test_8_bits_are_nearer_than_2(tiny):
    exact = perplexity_through(tiny.model, tiny.tokenizer, TEXT, **SHORT).mean
    off = {
        bits: abs(
            math.log(
                perplexity_through(
                    tiny.model, tiny.tokenizer, TEXT, lambda b=bits: QuantizedKv(b, 16), **SHORT
                ).mean
                / exact
            )
        )
        for bits in (2, 8)
    }
    assert off[8] < 0.005
    assert off[8] < off[2]


def test_a_window_as_long_as_the_text_changes_nothing(tiny):
    setting = {"sequence_tokens": 64, "scored_tokens": 32, "windows": 2}
    whole, window = (
        perplexity_windowed(tiny.model, tiny.tokenizer, TEXT, size, **setting).per_block
        for size in (None, 64)
    )
    assert window == pytest.approx(whole, rel=1e-6)


def test_recorded_int8_is_within_half_a_percent_at_55_percent_of_the_bytes():
    rows = {row["key"]: row for row in recording("kv_quality").rows}
    change = changes(rows.values(), "not rounded")
    assert change["int8"].within(0.005)
    assert max(rows["int8"]["held_share_512"], rows["int8"]["held_share_2047"]) <= 0.55


def test_recorded_axes_matter_as_the_chapter_says():
    change = changes(recording("kv_quality").rows, "not rounded")
    assert set(change) == set(ROUNDED)
    means = {key: one.mean for key, one in change.items()}
    assert means["int8"] < means["int4"] < means["int4, keys per token"] < means["int2"]
    assert means["int4"] < means["int4, values per channel"]


def test_recorded_sinks_save_the_window():
    change = changes(recording("kv_quality").rows, "no window")
    assert set(change) == set(WINDOWS)
    assert change["window 124, 4 sinks"].hi < change["window 128, 0 sinks"].lo


def test_rows_of_another_setting_are_no_pair_and_an_unknown_key_is_named():
    rows = [
        {"key": "a", "setting": "x", "nats_per_window": [1.0, 2.0]},
        {"key": "b", "setting": "x", "nats_per_window": [1.1, 2.1]},
        {"key": "c", "setting": "y", "nats_per_window": [1.0, 2.0]},
    ]
    assert changes(rows, "a")["b"].mean == pytest.approx(math.expm1(0.1))
    assert set(changes(rows, "a")) == {"b"}
    with pytest.raises(ValueError, match="against='z'"):
        changes(rows, "z")


def test_bad_arguments_are_named(tiny):
    with pytest.raises(ValueError, match="piece_tokens=96"):
        perplexity_through(tiny.model, tiny.tokenizer, TEXT, sequence_tokens=96, piece_tokens=96, windows=2)
    with pytest.raises(ValueError, match="windows=1000"):
        perplexity_through(tiny.model, tiny.tokenizer, TEXT, windows=1000)
    with pytest.raises(ValueError, match="scored_tokens=64"):
        perplexity_windowed(
            tiny.model, tiny.tokenizer, TEXT, 8, sequence_tokens=64, scored_tokens=64, windows=2
        )
