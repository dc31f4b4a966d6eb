import gc
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.measure.timing import Timing, clock_tick_ns, duration, time_call


class Clock:
    """A clock that moves on when work is done, and by one tick when it is read."""

    def __init__(self, tick_ns: int = 1):
        self.now_ns, self.tick_ns = 0, tick_ns

    def __call__(self) -> int:
        self.now_ns += self.tick_ns
        return self.now_ns

    def works(self, *durations_ns: int):
        """A function that takes these times in turn, the last one for ever."""
        left = list(durations_ns)

        def work():
            self.now_ns += left.pop(0) if len(left) > 1 else left[0]

        return work


def test_a_sample_is_the_time_of_one_call():
    clock = Clock()
    timing = time_call(clock.works(2_000_000), repeats=9, clock=clock)
    assert len(timing.samples_s) == 9
    assert timing.calls == 1
    assert timing.median_s == pytest.approx(2e-3, rel=1e-5)


def test_warm_up_calls_are_kept_apart_from_the_samples():
    clock = Clock()
    timing = time_call(clock.works(90_000_000, 5_000_000, 2_000_000), repeats=5, warmup=2, clock=clock)
    assert timing.warmup_s == pytest.approx((0.09, 0.005), rel=1e-5)
    assert max(timing.samples_s) == pytest.approx(2e-3, rel=1e-5)


def test_automatic_warm_up_ends_when_calls_get_no_faster():
    clock = Clock()
    slowly_warming = clock.works(16_000_000, 8_000_000, 4_000_000, 2_000_000)
    timing = time_call(slowly_warming, clock=clock)
    assert timing.warmup_s == pytest.approx((0.016, 0.008, 0.004, 0.002, 0.002), rel=1e-4)


@given(st.lists(st.integers(100_000, 10**9), min_size=1, max_size=40))
@settings(max_examples=50)
def test_automatic_warm_up_takes_one_to_ten_calls(durations_ns):
    clock = Clock()
    timing = time_call(clock.works(*durations_ns), repeats=1, clock=clock)
    assert 1 <= len(timing.warmup_s) <= 10


def test_without_warm_up_the_first_call_is_a_sample():
    clock = Clock()
    timing = time_call(clock.works(90_000_000, 100), repeats=3, warmup=0, clock=clock)
    assert timing.warmup_s == ()
    assert timing.calls == 1
    assert timing.samples_s[0] == pytest.approx(0.09, rel=1e-5)


@given(st.integers(1, 10**7), st.integers(1, 100))
@settings(max_examples=100)
def test_a_sample_lasts_a_thousand_ticks_and_still_means_one_call(call_ns, tick_ns):
    clock = Clock(tick_ns)
    timing = time_call(clock.works(call_ns), repeats=3, clock=clock)
    assert timing.calls * timing.median_s * 1e9 >= 1000 * tick_ns * 0.99
    # Each sample holds one reading of the clock too: at most a thousandth of it.
    assert timing.median_s * 1e9 == pytest.approx(call_ns, rel=0.002)


def test_calls_per_sample_can_be_given():
    clock, calls = Clock(), []
    work = clock.works(10_000_000)
    timing = time_call(lambda: (calls.append(1), work()), repeats=4, warmup=1, calls=3, clock=clock)
    assert len(calls) == 1 + 4 * 3
    assert timing.median_s == pytest.approx(0.01, rel=1e-4)


def test_sampling_stops_when_its_time_is_over_but_never_before_one_sample():
    clock = Clock()
    assert len(time_call(clock.works(10**9), repeats=100, max_seconds=5, clock=clock).samples_s) == 5
    assert len(time_call(clock.works(10**11), repeats=100, max_seconds=5, clock=clock).samples_s) == 1


def test_what_the_function_leaves_running_is_waited_for_inside_the_sample():
    clock, pending = Clock(), []

    def launch():
        pending.append(3_000_000)

    def wait():
        while pending:
            clock.now_ns += pending.pop()

    timing = time_call(launch, repeats=7, warmup=2, calls=1, synchronize=wait, clock=clock)
    assert timing.median_s == pytest.approx(3e-3, rel=1e-5)
    assert timing.warmup_s == pytest.approx((3e-3, 3e-3), rel=1e-5)


def test_work_left_over_from_before_is_not_charged_to_the_first_sample():
    clock, pending = Clock(), [10**9]

    def wait():
        while pending:
            clock.now_ns += pending.pop()

    timing = time_call(clock.works(1_000_000), repeats=3, warmup=0, calls=1, synchronize=wait, clock=clock)
    assert max(timing.samples_s) == pytest.approx(1e-3, rel=1e-4)


@pytest.mark.parametrize("was_on", [True, False])
def test_the_garbage_collector_is_off_during_samples_and_left_as_it_was(was_on):
    before, seen = gc.isenabled(), []
    try:
        (gc.enable if was_on else gc.disable)()
        time_call(lambda: seen.append(gc.isenabled()), repeats=3, warmup=1, calls=1)
        assert not any(seen)
        assert gc.isenabled() is was_on
    finally:
        (gc.enable if before else gc.disable)()


def test_what_the_function_raises_passes_through_and_the_collector_comes_back():
    def fails():
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        time_call(fails)
    assert gc.isenabled()


@given(st.lists(st.integers(10**5, 10**9), min_size=6, max_size=30))
@settings(max_examples=50)
def test_the_interval_holds_the_median_and_lies_within_the_samples(durations_ns):
    clock = Clock()
    timing = time_call(
        clock.works(*durations_ns), repeats=len(durations_ns), warmup=0, calls=1, max_seconds=1e6, clock=clock
    )
    assert min(timing.samples_s) <= timing.lo_s <= timing.median_s <= timing.hi_s <= max(timing.samples_s)
    assert timing.confidence >= 0.95
    assert timing.fastest_s == min(timing.samples_s)


def test_one_late_sample_in_ten_moves_neither_median_nor_interval():
    clock, draw = Clock(), random.Random(0)
    late = [2_000_000 if turn % 10 else 2_000_000 * draw.randint(5, 500) for turn in range(1, 51)]
    timing = time_call(clock.works(*late), repeats=50, warmup=0, calls=1, max_seconds=1e6, clock=clock)
    assert timing.hi_s == pytest.approx(2e-3, rel=1e-5)


def test_a_real_function_on_the_real_clock_is_timed_in_many_calls_per_sample():
    timing = time_call(lambda: None, repeats=7, max_seconds=5)
    assert timing.calls > 1
    assert timing.lo_s <= timing.median_s <= timing.hi_s


def test_the_tick_of_a_clock_is_its_smallest_step():
    assert clock_tick_ns(Clock(tick_ns=37)) == 37
    assert clock_tick_ns(lambda: 5) == 1  # a clock that stands still
    assert clock_tick_ns() >= 1


def test_text_carries_unit_interval_and_number_of_samples():
    clock = Clock()
    timing = time_call(clock.works(4_210_000), repeats=25, clock=clock)
    assert str(timing) == "4.21 ms (96 % interval 4.21 to 4.21 ms, 25 samples)"
    assert str(Timing((2.0,), 2.0, 2.0, 2.0, 0.0)) == "2 s (1 sample, no interval)"
    assert "of 10 calls" in str(time_call(clock.works(4_210_000), repeats=25, calls=10, clock=clock))


def test_durations_keep_three_digits_in_a_unit_that_fits():
    assert [duration(s) for s in (2.0, 0.00421, 31.6e-6, 45e-9)] == ["2 s", "4.21 ms", "31.6 µs", "45 ns"]


@pytest.mark.parametrize(
    ("name", "value"), [("repeats", 0), ("warmup", -1), ("max_seconds", 0), ("confidence", 95), ("calls", 0)]
)
def test_nonsense_is_refused_by_name_and_value(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        time_call(lambda: None, **{name: value})
