"""What the recorded study says: paired by seed, held against the right runs, and silent where nothing is shown."""

import math

import numpy as np
import pytest
from scipy import stats

from course_utils.compress.distillation_results import Gain, over_seeds, study
from course_utils.measure.recorded import Recording


def row(way, steps, seed, held_out, budget=None, flop=1.0):
    return {
        "key": f"{way}/{steps}/{seed}",
        "way": way,
        "steps": steps,
        "budget": budget or steps,
        "seed": seed,
        "tokens": 1000 * steps,
        "flop": flop,
        "held_out_before": 8.0,
        "held_out": held_out,
        "evaluations": [[steps // 2, held_out + 1], [steps, held_out]],
    }


ROWS = (
    *(row("alone", 10, seed, 6.0 + seed / 10, flop=10.0) for seed in (1, 2, 3)),
    *(row("alone", 23, seed, 5.0 + seed / 10, budget=10, flop=40.0) for seed in (1, 2, 3)),
    *(
        row("distilled", 10, seed, 5.5 + seed / 10 + (0.01 if seed == 2 else 0), flop=40.0)
        for seed in (3, 2, 1)
    ),
    *(row("pruned, alone", 10, seed, 5.9 + seed / 10, flop=20.0) for seed in (1, 2, 3)),
    {"key": "teacher", "way": "teacher", "held_out": 4.2},
)
RECORDED = Recording("distillation", ROWS, "a machine", "", {}, "", 0, "2026-11-25")


def test_seeds_are_paired_whatever_their_order_and_their_spread_cancels():
    gain = study(RECORDED).gain("distilled", 10, "tokens")
    assert gain.mean == pytest.approx(0.5 - 0.01 / 3)
    assert gain.hi - gain.lo < 0.06  # the seeds themselves are 0.2 apart
    assert gain.verdict == 1


def test_at_equal_compute_the_student_alone_has_the_longer_run():
    gain = study(RECORDED).gain("distilled", 10, "compute")
    assert gain.mean == pytest.approx(-0.5 - 0.01 / 3)
    assert gain.verdict == -1


def test_compute_between_two_runs_is_interpolated_in_its_logarithm():
    """Alone: 6.0 at 10 FLOP and 5.0 at 40. At 20, half the way in the logarithm, 5.5: 0.4 below 5.9."""
    assert study(RECORDED).gain("pruned, alone", 10, "compute").mean == pytest.approx(5.5 - 5.9)
    assert study(RECORDED).gain("pruned, alone", 10, "tokens").mean == pytest.approx(6.0 - 5.9)


def test_compute_just_beyond_the_longest_run_is_carried_on():
    assert study(RECORDED)._alone_at(1, 80.0) == pytest.approx(4.6)


def test_an_interval_around_zero_shows_nothing_and_says_so():
    assert Gain("distilled", 10, "tokens", 0.1, -0.1, 0.3, 3).verdict == 0
    assert "no difference is shown" in str(Gain("distilled", 10, "tokens", 0.1, -0.1, 0.3, 3))
    assert "no difference" not in str(Gain("distilled", 10, "tokens", 0.1, 0.05, 0.15, 3))


def test_interval_over_seeds_is_students_t_by_hand():
    mean, lo, hi = over_seeds(np.array([[1.0], [2.0], [3.0]]))
    half = stats.t.ppf(0.975, 2) / math.sqrt(3)
    assert (mean[0], lo[0], hi[0]) == pytest.approx((2, 2 - half, 2 + half))


def test_a_curve_starts_before_training_and_ends_with_the_budget():
    thousands, mean, low, high = study(RECORDED).curve("alone", 10)
    assert thousands.tolist() == [0, 5, 10]
    assert mean.tolist() == pytest.approx([8.0, 7.2, 6.2])
    assert all(low <= mean)
    assert all(mean <= high)


def test_runs_that_are_not_there_and_other_words_are_refused():
    found = study(RECORDED)
    assert found.budgets == [10]
    with pytest.raises(ValueError, match="no such run"):
        found.gain("pruned, distilled", 10, "tokens")
    with pytest.raises(ValueError, match="expected tokens or compute"):
        found.gain("distilled", 10, "time")
    with pytest.raises(ValueError, match="at least 2"):
        over_seeds(np.array([[1.0]]))
