"""The synthetic log: says what it is, is the same for the same seed, and has the traces' lengths."""

import numpy as np
import pandas as pd
import pytest

from course_utils.estimate.billing import bill
from course_utils.estimate.request_log import read_log
from course_utils.estimate.sample_log import sample_log, traffic_lengths, write_sample_log


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return sample_log(rows=30_000, seed=0)


def test_it_says_that_it_is_synthetic(log):
    assert log.attrs["label"].startswith("synthetic")


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    one, two = (write_sample_log(tmp_path / name, rows=200, seed=7, bad_rows=3).read_bytes() for name in "ab")
    assert one == two
    assert write_sample_log(tmp_path / "c", rows=200, seed=8, bad_rows=3).read_bytes() != one


def test_it_holds_three_teams_four_features_and_three_models(log):
    assert [log[name].nunique() for name in ("team", "feature", "model")] == [3, 4, 3]
    assert len(log.groupby(["team", "feature"], observed=True)) == 12


def test_without_bad_rows_every_line_is_sound_and_can_be_billed(tmp_path):
    read = read_log(write_sample_log(tmp_path / "log.csv.gz", rows=2000))
    assert (len(read.rows), read.bad_rows) == (2000, ())
    assert bill(read).total.total_usd > 0


def test_every_kind_of_slip_is_there_to_be_found(tmp_path):
    read = read_log(write_sample_log(tmp_path / "log.csv", rows=500, bad_rows=10))
    assert len({row.reason.split(":")[0] for row in read.bad_rows}) == 10


@pytest.mark.parametrize("fit", traffic_lengths(), ids=lambda fit: fit.workload)
def test_a_fitted_log_normal_cut_at_the_maximum_has_about_the_mean_of_the_trace(fit):
    z = np.random.default_rng(0).standard_normal(200_000)
    for geomean, log_sd, most, mean in (
        (fit.input_geomean_tokens, fit.input_log_sd, fit.input_max_tokens, fit.input_mean_tokens),
        (fit.output_geomean_tokens, fit.output_log_sd, fit.output_max_tokens, fit.output_mean_tokens),
    ):
        assert np.minimum(geomean * np.exp(log_sd * z), most).mean() == pytest.approx(mean, rel=0.17)


def test_chats_have_the_traces_lengths_behind_their_prefix(log):
    chat = log[log["feature"] == "chat"]
    (fit,) = (fit for fit in traffic_lengths() if fit.workload == "conversation")
    typed = np.log(chat["input_tokens"] - 1800)
    assert np.exp(typed.mean()) == pytest.approx(fit.input_geomean_tokens, rel=0.05)
    assert typed.std() == pytest.approx(fit.input_log_sd, rel=0.05)


def test_days_are_busier_than_nights_and_weekends_and_traffic_grows(log):
    times = pd.to_datetime(log["arrived_at"])
    assert (times.dt.hour.between(9, 16)).mean() > 0.5
    assert (times.dt.day_of_week >= 5).mean() < 0.2
    assert times.is_monotonic_increasing
    assert (times.dt.month == 10).sum() > (times.dt.month == 9).sum()


def test_cached_and_reasoning_tokens_are_parts_of_input_and_output(log):
    assert (log["cached_read_tokens"] + log["cache_write_tokens"] <= log["input_tokens"]).all()
    assert (log["reasoning_tokens"] <= log["output_tokens"]).all()


def test_a_prefix_shorter_than_its_models_minimum_is_never_cached(log):
    haiku = log[log["model"] == "claude-haiku-4-5"]
    assert (haiku.loc[haiku["feature"] == "chat", ["cached_read_tokens", "cache_write_tokens"]] == 0).all(
        axis=None
    )
    assert (haiku.loc[haiku["feature"] == "code", "cached_read_tokens"] > 0).any()


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"rows": 10**8}, {"days": 0}])
def test_nonsense_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        sample_log(**wrong)
