"""Budgets: days by hand where nothing is uncertain, and intervals that hold the truth where something is."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from course_utils.estimate.budget import budget_alert

WEEK = np.array([1.1, 1.2, 1.2, 1.15, 1.0, 0.4, 0.35])


def steady(usd=100.0, first="2026-09-01", last="2026-10-10") -> pd.Series:
    return pd.Series(usd, index=pd.date_range(first, last))


def test_at_a_steady_hundred_a_day_the_days_are_plain():
    """1 000 spent on 10 October. Of 2 000: half is reached that day, 80 % on the 16th, all on the 20th."""
    alert = budget_alert(steady(), monthly_budget_usd=2000)
    assert (alert.month, alert.spent_usd) == ("2026-10", 1000)
    assert [one.day for one in alert.thresholds] == [
        date(2026, 10, 10),
        date(2026, 10, 16),
        date(2026, 10, 20),
    ]
    assert [one.reached for one in alert.thresholds] == [True, False, False]
    assert all(one.earliest == one.latest == one.day for one in alert.thresholds)
    assert (alert.end_lo_usd, alert.end_usd, alert.end_hi_usd) == pytest.approx((3100, 3100, 3100))


def test_a_budget_that_is_not_used_up_has_no_day():
    alert = budget_alert(steady(), monthly_budget_usd=5000)
    last = alert.thresholds[-1]
    assert (last.day, last.latest, last.probability, last.reached) == (None, None, 0.0, False)
    assert str(last) == "100 % not within this month"


def test_a_month_that_is_over_is_a_fact_and_not_a_forecast():
    alert = budget_alert(steady(last="2026-10-31"), monthly_budget_usd=3100)
    assert alert.end_lo_usd == alert.end_hi_usd == alert.spent_usd == 3100
    assert [one.reached for one in alert.thresholds] == [True, True, True]
    assert alert.thresholds[-1].day == date(2026, 10, 31)
    over = budget_alert(steady(last="2026-10-31"), monthly_budget_usd=4000)
    assert (over.thresholds[-1].day, over.thresholds[-1].probability) == (None, 0.0)


def test_spend_equal_to_the_threshold_has_reached_it_and_need_not_pass_it():
    full = budget_alert(steady(last="2026-10-31"), monthly_budget_usd=3100).thresholds[-1]
    assert str(full) == "100 % reached on 2026-10-31"


def test_only_this_months_spend_counts_against_its_budget():
    assert budget_alert(steady(first="2026-07-01"), 2000).spent_usd == 1000


def history(seed: int) -> pd.Series:
    rng = np.random.default_rng(seed)
    index = pd.date_range("2026-08-01", "2026-10-31")
    trend = rng.normal(0.002, 0.001) * np.arange(len(index))
    return pd.Series(
        100 * WEEK[index.day_of_week] * np.exp(trend + 0.2 * rng.standard_normal(len(index))), index
    )


def test_intervals_hold_the_end_of_the_month_and_the_day_of_the_budget_as_often_as_they_say():
    """Known until 12 October. A day is coarse: its interval may hold more than it promises, but not less."""
    end_held = day_held = 0
    for seed in range(200):
        whole = history(seed)
        month = whole["2026-10-01":]
        budget = 0.8 * month.sum()
        alert = budget_alert(whole[:"2026-10-12"], budget, seed=seed, draws=500)
        end_held += alert.end_lo_usd <= month.sum() <= alert.end_hi_usd
        truth = month.index[(month.cumsum() >= budget).argmax()].date()
        full = alert.thresholds[-1]
        day_held += full.earliest <= truth <= (full.latest or date.max)
    assert 0.72 <= end_held / 200 <= 0.88
    assert day_held / 200 >= 0.78


def test_later_thresholds_are_reached_later_and_less_surely():
    alert = budget_alert(history(0)[:"2026-10-12"], 3000, percents=(50, 80, 100, 120))
    chances = [one.probability for one in alert.thresholds]
    assert chances == sorted(chances, reverse=True)
    days = [one.day or date.max for one in alert.thresholds]
    assert days == sorted(days)
    for one in alert.thresholds:
        assert (one.earliest or date.max) <= (one.day or date.max) <= (one.latest or date.max)


def test_the_same_seed_gives_the_same_alert():
    past = history(1)[:"2026-10-12"]
    assert budget_alert(past, 3000, seed=4) == budget_alert(past, 3000, seed=4)


def test_five_days_of_history_are_enough_for_a_guess():
    alert = budget_alert(history(2)["2026-10-06":"2026-10-10"], 3000)
    assert alert.end_lo_usd < alert.end_usd < alert.end_hi_usd


def test_it_reads_as_a_few_plain_lines():
    lines = str(budget_alert(steady(), 2000)).split("\n")
    assert lines[0].startswith("2026-10: 1,000.00 of 2,000.00 spent; by its end 3,100 (80 % interval")
    assert lines[1] == "50 % reached on 2026-10-10"
    assert lines[2] == "80 % on 2026-10-16"


@pytest.mark.parametrize("wrong", [{"monthly_budget_usd": 0}, {"percents": ()}, {"percents": (0, 50)}])
def test_nonsense_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        budget_alert(steady(), **{"monthly_budget_usd": 100} | wrong)
