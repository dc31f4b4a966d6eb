import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.measure.comparing import compare, judge, pairs_needed
from course_utils.measure.intervals import median_interval
from course_utils.measure.timing import Timing


def timed(samples) -> Timing:
    mid = median_interval(samples)
    return Timing(tuple(samples), mid.median, mid.low, mid.high, mid.confidence)


def noisy(draw: random.Random, count: int, median_s: float = 1e-3) -> list[float]:
    """Skewed samples, one in ten of them late, as a busy machine gives them."""
    return [
        median_s * draw.lognormvariate(0, 0.05) * (draw.uniform(1.5, 4) if draw.random() < 0.1 else 1)
        for _ in range(count)
    ]


def turns_of(repeats: int, seed: int) -> list[str]:
    """Names in the order called, by a clock on which each call takes a millisecond."""
    calls, now_ns = [], [0]

    def work(name):
        now_ns[0] += 10**6
        calls.append(name)

    fns = {"a": lambda: work("a"), "b": lambda: work("b")}
    compare(fns, repeats=repeats, warmup=1, seed=seed, max_seconds=1e6, clock=lambda: now_ns[0])
    return calls


@pytest.mark.parametrize("count", [7, 25, 51])
def test_identical_functions_get_a_winner_in_no_more_than_one_run_in_twenty(count):
    named = 0
    for seed in range(2000):
        draw = random.Random(seed)
        named += judge({"a": timed(noisy(draw, count)), "b": timed(noisy(draw, count))}).winner is not None
    assert named / 2000 <= 0.06  # 5 % and three standard errors


def test_five_identical_functions_get_a_winner_no_more_often_than_two():
    named = 0
    for seed in range(600):
        draw = random.Random(seed)
        named += judge({name: timed(noisy(draw, 25)) for name in "abcde"}).winner is not None
    assert named / 600 <= 0.05


def test_a_difference_of_a_tenth_is_found_in_noise_of_a_twentieth():
    found = 0
    for seed in range(200):
        draw = random.Random(seed)
        found += (
            judge({"slow": timed(noisy(draw, 25, 1.1e-3)), "fast": timed(noisy(draw, 25))}).winner == "fast"
        )
    assert found / 200 > 0.9


def test_noise_shared_by_both_of_a_pair_cancels_in_the_ratio():
    draw = random.Random(1)
    weather = [draw.uniform(1, 5) for _ in range(25)]
    comparison = judge(
        {
            "a": timed([1.00e-3 * w * draw.uniform(0.995, 1.005) for w in weather]),
            "b": timed([1.03e-3 * w * draw.uniform(0.995, 1.005) for w in weather]),
        }
    )
    assert comparison.timings["a"].hi_s > comparison.timings["b"].lo_s  # their own intervals overlap
    assert comparison.winner == "a"
    assert comparison.ratio("b", "a").median == pytest.approx(1.03, rel=0.01)


def test_verdict_without_a_winner_says_how_many_pairs_the_difference_seen_would_need():
    draw = random.Random(3)
    comparison = judge({"a": timed(noisy(draw, 25)), "b": timed(noisy(draw, 25))})
    assert comparison.winner is None
    assert "No difference shown" in comparison.verdict
    assert "pairs to show" in comparison.verdict
    assert comparison.ratios[0].lo <= 1 <= comparison.ratios[0].hi


def test_pairs_needed_would_show_the_difference_about_every_second_time():
    shown = 0
    for seed in range(100):
        draw = random.Random(seed)
        # Symmetric noise, true ratio 1.02: the pilot run is too short to show it.
        true = {"a": [draw.lognormvariate(0, 0.1) for _ in range(15)]}
        true["b"] = [1.02 * draw.lognormvariate(0, 0.1) for _ in range(15)]
        pilot = judge({name: timed(samples) for name, samples in true.items()}).ratios[0]
        if pilot.shown or not 1.01 < pilot.median < 1.03:
            continue
        count = min(pairs_needed(pilot), 3000)
        a = timed([draw.lognormvariate(0, 0.1) for _ in range(count)])
        b = timed([1.02 * draw.lognormvariate(0, 0.1) for _ in range(count)])
        shown += judge({"a": a, "b": b}).winner == "a"
    assert shown >= 5


def test_equal_medians_need_no_number():
    ones = timed([1.0] * 9)
    comparison = judge({"a": ones, "b": ones})
    assert comparison.winner is None
    assert pairs_needed(comparison.ratios[0]) is None
    assert "the medians are equal" in comparison.verdict


def test_too_few_pairs_name_no_winner_however_far_apart():
    comparison = judge({"a": timed([1.0] * 5), "b": timed([9.0] * 5)})
    assert comparison.winner is None
    assert "5 pairs are too few for a 95 % interval; it takes 6" in comparison.verdict
    assert judge({"a": timed([1.0] * 6), "b": timed([9.0] * 6)}).winner == "a"


@given(
    st.lists(st.tuples(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0)), min_size=6, max_size=40),
)
def test_the_verdict_does_not_depend_on_the_order_of_the_names(pairs):
    a, b = (timed([pair[at] for pair in pairs]) for at in (0, 1))
    one, other = judge({"a": a, "b": b}), judge({"b": b, "a": a})
    assert one.winner == other.winner
    assert one.ratio("a", "b").lo == pytest.approx(other.ratio("a", "b").lo)
    assert one.ratio("a", "b").hi == pytest.approx(1 / other.ratio("b", "a").lo)


@given(st.lists(st.tuples(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0)), min_size=6, max_size=40))
def test_a_winner_is_named_exactly_when_the_interval_leaves_out_1(pairs):
    comparison = judge({"a": timed([a for a, _ in pairs]), "b": timed([b for _, b in pairs])})
    ratio = comparison.ratio("b", "a")
    assert (comparison.winner is not None) == (not ratio.lo <= 1 <= ratio.hi)


def test_the_fastest_of_three_wins_only_if_it_beats_both():
    steady = [1 + 0.001 * (turn % 3) for turn in range(25)]
    far, near = timed([2 * s for s in steady]), timed(steady[::-1])
    assert judge({"far": far, "a": timed(steady)}).winner == "a"
    assert judge({"far": far, "near": near, "a": timed(steady)}).winner is None
    assert judge({"far": far, "half": timed([1.5 * s for s in steady]), "a": timed(steady)}).winner == "a"


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_functions_take_turns_in_an_order_that_the_seed_draws(seed):
    calls = turns_of(repeats=12, seed=seed)
    turns = [calls[at : at + 2] for at in range(len(calls) - 24, len(calls), 2)]
    assert all(sorted(turn) == ["a", "b"] for turn in turns)
    assert calls == turns_of(repeats=12, seed=seed)


def test_over_many_turns_each_goes_first_about_half_of_the_time():
    calls = turns_of(repeats=200, seed=0)
    assert 70 <= calls[-400::2].count("a") <= 130


def test_turns_stop_when_their_time_is_over_and_every_function_has_as_many_samples():
    now = [0]

    def work():
        now[0] += 10**9

    comparison = compare({"a": work, "b": work}, repeats=50, max_seconds=10, clock=lambda: now[0])
    assert [len(timing.samples_s) for timing in comparison.timings.values()] == [5, 5]


def test_what_a_function_raises_passes_through():
    with pytest.raises(KeyError, match="mine"):
        compare({"good": lambda: None, "bad": lambda: {}["mine"]})


def test_real_work_of_ten_times_the_size_is_slower():
    comparison = compare({"ten": lambda: sum(range(20_000)), "one": lambda: sum(range(2_000))}, max_seconds=5)
    assert comparison.winner == "one"
    assert "one is faster: ten takes" in str(comparison)


def test_nonsense_is_refused_by_name():
    with pytest.raises(ValueError, match="fns has 1 functions"):
        compare({"a": lambda: None})
    with pytest.raises(ValueError, match="repeats is 0"):
        compare({"a": lambda: None, "b": lambda: None}, repeats=0)
    with pytest.raises(ValueError, match="pairs need as many of each"):
        judge({"a": timed([1.0]), "b": timed([1.0, 2.0])})
    with pytest.raises(ValueError, match=r"a sample of 'a' is 0\.0 s"):
        judge({"a": timed([0.0]), "b": timed([1.0])})
    with pytest.raises(ValueError, match="was not compared"):
        judge({"a": timed([1.0]), "b": timed([1.0])}).ratio("a", "c")
