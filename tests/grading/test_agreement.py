"""Two answers agree within a ratio, whatever kind of number or sequence they come as."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.grading.agreement import agrees, largest, plain

numbers = st.floats(-1e12, 1e12, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-12)
values = st.recursive(
    numbers | st.text(max_size=5) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@given(values)
def test_every_plain_value_agrees_with_itself(value):
    assert agrees(plain(value), plain(value), 1e-9)


@given(values)
def test_plain_of_plain_is_plain(value):
    assert plain(plain(value)) == plain(value)


@given(numbers.filter(bool), st.floats(0.001, 0.4))
def test_numbers_agree_within_the_ratio_and_not_beyond(value, close):
    assert agrees(value * (1 + close * 0.9), value, close)
    assert not agrees(value * (1 + close * 2.5), value, close)


@given(st.integers(-(10**9), 10**9))
def test_all_kinds_of_one_number_agree(number):
    kinds = [number, float(number), Fraction(number), Decimal(number), np.int64(number), np.array(number)]
    assert {plain(kind) for kind in kinds} == {float(number)}


@given(st.lists(numbers, min_size=1, max_size=5))
def test_all_kinds_of_one_sequence_agree(items):
    for kind in (tuple(items), np.array(items), pd.Series(items, index=range(5, 5 + len(items)))):
        assert agrees(plain(kind), plain(items), 1e-9)
    assert not agrees(plain([*items, 0.0]), plain(items), 1e-9)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1.0),
        (1.0, True),
        ("1", 1.0),
        (None, 0.0),
        ([1.0], 1.0),
        ({"a": 1.0}, {"b": 1.0}),
        (1 + 0j, 1.0),
    ],
)
def test_different_kinds_do_not_agree(one, other):
    assert not agrees(plain(one), plain(other), 0.01)


def test_rounding_near_zero_is_forgiven_only_as_far_as_asked():
    assert agrees(1e-17, 0.0, 0.01, near_zero=1e-12)
    assert not agrees(1e-11, 0.0, 0.01, near_zero=1e-12)
    assert not agrees(1e-17, 0.0, 0.01)


def test_infinity_agrees_with_itself_and_nan_with_nothing():
    assert agrees(math.inf, math.inf, 0.01)
    assert not agrees(-math.inf, math.inf, 0.01)
    assert not agrees(math.nan, math.nan, 0.01)


def test_sets_agree_in_any_order():
    assert agrees(plain({3, 1, 2}), plain({1.0, 2.0, 3.0}), 0.01)


@given(values)
def test_largest_is_the_scale_of_an_answer(value):
    assert largest(plain(value)) >= 0
    assert largest([plain(value), 5.0]) >= 5
