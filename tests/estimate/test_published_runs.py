"""The published runs of chapter 02: few, sourced, and each of them can be predicted."""

import pandas as pd
import pytest

from course_utils.catalog import audit, data_path
from course_utils.estimate.predict import OUTPUTS, predict_rows


@pytest.fixture(scope="module")
def runs():
    return pd.read_csv(data_path("published_runs.csv"))


def test_they_are_single_figures_and_no_copy_of_anyones_table(runs):
    assert len(runs) <= 60
    assert runs.source.value_counts().max() <= 20


def test_every_row_is_predicted_and_no_row_is_off_by_more_than_a_factor_of_three(runs):
    found = predict_rows(runs)
    assert set(found.error) == {""}
    assert set(runs.metric) <= set(OUTPUTS)
    ratio = [row[row.metric] / row.value for _, row in found.iterrows()]
    assert all(1 / 3 < one < 3 for one in ratio)


def test_rows_say_who_and_when():
    assert [one for one in audit() if one.file == "published_runs.csv" and one.is_error] == []
