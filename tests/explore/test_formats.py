"""Numbers on axes and in readouts, as people read them."""

import math
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from course_utils.explore import formats

FACTORS = {"": 1, "k": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
UNITS = ["", "USD", "USD per month", "FLOP/s", "B/s", "tokens", "%"]


def read_back(text: str) -> float:
    """The number that a text stands for."""
    found = re.fullmatch(r"(−?)[$€£]?([\d,.]+) ?([kMBGTPE]?)( %)?", text)
    assert found, text
    sign, digits, suffix, _ = found.groups()
    return (-1 if sign else 1) * float(digits.replace(",", "")) * FACTORS[suffix]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1_234_567, "USD", "$1.23M"),
        (999_999, "USD", "$1M"),
        (1_500, "USD", "$1.5k"),
        (1.5, "USD", "$1.50"),
        (0.0123, "USD", "$0.0123"),
        (0, "USD", "$0"),
        (-2_000, "EUR per month", "−€2k"),
        (1_500, "tokens", "1,500"),
        (25_000, "tokens", "25k"),
        (3.2e9, "requests", "3.2B"),
        (312e12, "FLOP/s", "312 T"),
        (3.35e12, "B/s", "3.35 T"),
        (0.0123, "s", "12.3 ms"),
        (90, "s", "1.5 min"),
        (40, "%", "40 %"),
        (2026, "year", "2026"),
    ],
)
def test_a_number_is_written_in_its_unit_s_form(value, unit, text):
    assert formats.number(value, unit) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.5, "USD per hour", "$2.50 per hour"),
        (3.35e12, "B/s", "3.35 TB/s"),
        (12_000, "requests/day", "12k requests/day"),
        (0.5, "s", "500 ms"),
        (40, "%", "40 %"),
        (7, "", "7"),
    ],
)
def test_a_readout_carries_the_unit_once(value, unit, text):
    assert formats.with_unit(value, unit) == text


def test_values_side_by_side_have_cents_everywhere_if_anywhere():
    assert formats.numbers([6.88, 10, 46.2, 619], "USD") == ["$6.88", "$10.00", "$46.20", "$619"]
    assert formats.numbers([10, 46], "USD") == ["$10", "$46"]
    assert formats.numbers([0.616, 1500, 3], "USD") == ["$0.616", "$1.5k", "$3"]
    assert formats.numbers([14.7, 37], "tokens") == ["14.7", "37"]


@pytest.mark.parametrize(
    ("label", "unit"),
    [
        ("Cost per month (USD)", "USD"),
        ("Time", ""),
        ("Cost (all models) (USD)", "USD"),
        ("Time (s) spent", ""),
    ],
)
def test_the_unit_stands_in_the_last_brackets_of_a_label(label, unit):
    assert formats.unit_of(label) == unit


def test_ticks_of_a_linear_axis_share_suffix_and_decimals():
    assert formats.ticks([0, 500, 1000, 1500], "USD") == ["$0", "$500", "$1,000", "$1,500"]
    assert formats.ticks([0, 7500, 15_000], "USD") == ["$0", "$7.5k", "$15.0k"]
    assert formats.ticks([0, 0.25, 0.5], "USD") == ["$0", "$0.25", "$0.50"]
    assert formats.ticks([0, 5000, 10_000], "tokens") == ["0", "5k", "10k"]
    assert formats.ticks([0.005, 0.01], "s") == ["5 ms", "10 ms"]


def test_ticks_of_a_log_axis_are_written_one_by_one():
    assert formats.ticks([0.01, 1, 100, 1e4, 1e6], "USD", log=True) == ["$0.01", "$1", "$100", "$10k", "$1M"]
    assert formats.ticks([1e9, 1e12, 1e15], "FLOP/s", log=True) == ["1 G", "1 T", "1 P"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        formats.number(value)
    with pytest.raises(ValueError, match="not finite"):
        formats.ticks([0, value])


@given(st.floats(1e-4, 1e16), st.sampled_from(UNITS), st.booleans())
def test_three_digits_of_a_number_survive_its_writing(size, unit, negative):
    value = -size if negative else size
    # Half a unit of the third digit, and money is written to the cent.
    assert read_back(formats.number(value, unit)) == pytest.approx(value, rel=0.0051)


@given(st.floats(1e-3, 1e15), st.floats(1e-3, 1e15), st.sampled_from(UNITS))
def test_a_larger_number_never_reads_as_a_smaller_one(one, other, unit):
    low, high = sorted((one, other))
    assert read_back(formats.number(low, unit)) <= read_back(formats.number(high, unit)) * (1 + 1e-9)


@given(st.integers(1, 9), st.integers(-3, 12), st.integers(2, 7), st.sampled_from(UNITS))
def test_different_ticks_have_different_texts(digit, power, count, unit):
    step = digit * 10.0**power
    texts = formats.ticks([round(index * step, 6) for index in range(count)], unit)
    assert len(set(texts)) == count


@given(st.integers(-3, 12), st.integers(2, 6), st.sampled_from(UNITS))
def test_ticks_read_back_as_the_ticks(power, count, unit):
    values = [index * 10.0**power for index in range(count)]
    for value, text in zip(values, formats.ticks(values, unit), strict=True):
        assert read_back(text) == pytest.approx(value, rel=1e-6, abs=1e-9)


@given(st.floats(0.001, 0.999).map(lambda share: 10**share), st.integers(-3, 9))
def test_no_number_reads_1000_of_a_prefix(digits, power):
    assume(digits < 10)
    number = re.search(r"[\d,.]+", formats.number(digits * 10.0**power, "USD")).group()
    assert float(number.replace(",", "")) < 1000
