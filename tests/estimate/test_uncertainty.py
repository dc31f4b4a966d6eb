"""Intervals: what they cover, how they carry to money, what moves a result most."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.estimate.engine import engines, fitted
from course_utils.estimate.uncertainty import (
    METRICS,
    conformal_half_width,
    half_width,
    interval,
    tornado,
    usd_per_mtok,
    usd_per_mtok_interval,
)


def test_half_width_covers_four_fifths_of_many_equal_groups():
    errors = np.random.default_rng(0).normal(0, 0.2, 2000)
    width = conformal_half_width(errors, np.arange(2000))
    assert np.mean(np.abs(errors) <= width) == pytest.approx(0.80, abs=0.005)


def test_a_large_group_counts_once():
    errors = np.r_[np.full(1000, 0.9), np.full(9, 0.1)]
    groups = np.r_[np.zeros(1000), np.arange(1, 10)]
    assert conformal_half_width(errors, groups) == pytest.approx(0.1)


def test_few_groups_give_the_widest_error():
    assert conformal_half_width([0.1, 0.2, 0.5], [1, 2, 3]) == 0.5


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=50))
def test_half_width_is_one_of_the_errors_and_does_not_depend_on_sign(errors):
    groups = np.arange(len(errors))
    width = conformal_half_width(errors, groups)
    assert width in np.abs(errors)
    assert width == conformal_half_width([-error for error in errors], groups)


@pytest.mark.parametrize("level", [0, 1, -0.1, math.nan])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ValueError, match="level="):
        conformal_half_width([0.1], [0], level)


def test_an_unmeasured_engine_has_a_wider_interval_than_the_average_measured_one():
    for metric in ("out_tok_s_per_gpu", "tpot_s"):
        measured = [
            half_width(metric, one.name, "dense", "concurrency") for one in engines() if one.name != "other"
        ]
        assert half_width(metric, "other", "dense", "concurrency") > np.mean(measured)


def test_every_engine_kind_and_load_has_an_interval():
    for metric in METRICS:
        for one in engines():
            for kind in ("dense", "moe"):
                for load in ("max", "batch", "concurrency", "rate"):
                    assert 0.02 < half_width(metric, one.name, kind, load) < 2


@given(st.floats(1e-3, 1e6), st.floats(0, 2))
def test_interval_is_symmetric_as_a_ratio(value, width):
    low, high = interval(value, width)
    assert low <= value <= high
    assert low * high == pytest.approx(value**2)


def test_price_per_token_is_lowest_where_throughput_is_highest():
    # 3.60 dollars an hour at 1000 tokens/s: 3.6 million tokens an hour, one dollar a million.
    assert usd_per_mtok(3.6, 1000) == pytest.approx(1.0)
    assert usd_per_mtok_interval(3.6, 500, 2000) == (pytest.approx(0.5), pytest.approx(2.0))


def test_tornado_puts_the_widest_swing_first():
    bars = tornado(lambda a, b: 10 * a + b, {"a": 1, "b": 1}, {"b": (0, 2), "a": (0, 2)})
    assert [bar.name for bar in bars] == ["a", "b"]
    assert bars[0].swing == 20


def test_tornado_refuses_a_range_of_something_that_is_no_input():
    with pytest.raises(ValueError, match="'c', which is no input; there are a, b"):
        tornado(lambda a, b: a, {"a": 1, "b": 1}, {"c": (0, 1)})


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("family", ["volta", "tpu", "npu", "cpu"])
def test_a_chip_of_a_family_that_no_table_measures_has_a_wider_interval(metric, family):
    on_hopper = half_width(metric, "vllm", "dense", "concurrency", "hopper")
    assert on_hopper == half_width(metric, "vllm", "dense", "concurrency")
    assert half_width(metric, "vllm", "dense", "concurrency", family) > on_hopper


@pytest.mark.parametrize("metric", METRICS)
def test_a_family_measured_under_other_engines_is_never_surer_than_the_engines_own(metric):
    own = half_width(metric, "llamacpp", "dense", "batch", "ada")
    assert half_width(metric, "llamacpp", "dense", "batch", "blackwell") >= own
    assert half_width(metric, "llamacpp", "dense", "batch", "tpu") > own


def test_the_intervals_name_the_families_that_each_engine_was_measured_on():
    families = fitted("intervals")["families"]
    assert "hopper" in families["vllm"]
    assert "apple" in families["llamacpp"]
    measured = {one for found in families.values() for one in found}
    assert measured.isdisjoint({"volta", "tpu", "npu", "cpu"})
