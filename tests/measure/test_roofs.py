import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.measure.roofs import default_working_set_bytes, measure_roofs, prefix_of, roof_of
from course_utils.measure.timing import Timing


@pytest.fixture(scope="module")
def measured():
    said = []
    roofs = measure_roofs(seconds=1.0, working_set_bytes=64_000_000, device="cpu", say=said.append)
    return roofs, said


def test_both_roofs_are_measured_with_intervals(measured):
    roofs, _ = measured
    assert [one.name for one in roofs.streams] == ["read", "copy", "triad"]
    assert list(roofs.matmuls) == ["fp32", "bf16"]
    for roof in (*roofs.streams, *roofs.matmuls.values()):
        assert 0 < roof.lo <= roof.median <= roof.hi <= roof.best
        assert roof.samples >= 1


def test_the_roofs_are_the_best_of_their_kernels(measured):
    roofs, _ = measured
    assert roofs.bandwidth_bytes_per_s == max(one.best for one in roofs.streams)
    assert roofs.flop_per_s == {dtype: one.best for dtype, one in roofs.matmuls.items()}


def test_one_line_is_said_per_kernel_as_it_is_measured(measured):
    roofs, said = measured
    assert said == str(roofs).splitlines()
    assert all("interval" in line for line in said)
    assert "GB/s" in said[0]
    assert "FLOP/s" in said[-1]


def test_a_matrix_product_does_more_flop_than_memory_gives_bytes(measured):
    # True of every machine since caches: otherwise there would be no ridge to teach.
    roofs, _ = measured
    assert roofs.flop_per_s["fp32"] > roofs.bandwidth_bytes_per_s / 4


@given(st.floats(1, 1e15), st.lists(st.floats(1e-6, 10), min_size=6, max_size=6))
def test_rates_turn_the_interval_of_times_over(work, samples):
    low, *_, high = ordered = sorted(samples)
    median = (ordered[2] + ordered[3]) / 2
    roof = roof_of("x", "bytes/s", work, Timing(tuple(samples), median, low, high, 0.97))
    assert roof.best == work / low
    assert roof.lo <= roof.median <= roof.hi <= roof.best


def test_the_working_set_is_far_above_the_last_cache_and_within_300_mb():
    assert 128_000_000 <= default_working_set_bytes() <= 300_000_000


def test_si_prefixes():
    assert [prefix_of(v) for v in (0, 5, 2.5e3, 989e12, 2e18)] == [
        (1, ""),
        (1, ""),
        (1e3, "k"),
        (1e12, "T"),
        (1e15, "P"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtypes": ("fp64",)}, "dtypes has 'fp64'"),
        ({"seconds": 0}, "seconds is 0"),
        ({"working_set_bytes": 10**9}, "working_set_bytes is 1000000000"),
    ],
)
def test_nonsense_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        measure_roofs(**arguments)
