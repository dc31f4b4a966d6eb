"""Eight bits in seven ways: recorded on SmolLM2, the easy half of it live on the tiny model."""

from dataclasses import replace
from itertools import combinations

import pytest

from course_utils.compress import backends, blocks, int8_quality
from course_utils.measure import corpus, load, paired, perplexity
from course_utils.measure.recorded import recording


@pytest.fixture(scope="module")
def replayed():
    return recording(int8_quality.RECORDING)


@pytest.fixture(scope="module")
def scores(replayed):
    return int8_quality.scores(replayed)


def test_the_recording_holds_every_way_scored_on_the_same_blocks(scores):
    assert list(scores) == list(int8_quality.WAYS)
    for one, other in combinations(scores.values(), 2):
        assert paired(one, other).blocks == int8_quality.WINDOWS


def test_rounding_only_the_weights_is_shown_to_cost_less_than_one_percent(scores):
    assert paired(scores["weights only"], scores["fp32"]).within(0.01)


def test_activations_suffer_more_the_more_of_them_share_a_scale(scores):
    token, tensor = scores["W8A8, a scale per token"], scores["W8A8, a scale per tensor"]
    assert paired(token, scores["weights only"]).lo > 0
    assert paired(tensor, token).lo > 0.1


def test_keeping_or_smoothing_outliers_beats_a_scale_per_token(scores):
    token = scores["W8A8, a scale per token"].mean
    assert scores["LLM.int8"].mean < token
    assert min(scores["SmoothQuant 0.5"].mean, scores["SmoothQuant 0.8"].mean) < token


def test_a_row_that_lacks_a_field_is_named(replayed):
    row = {name: value for name, value in replayed.rows[0].items() if name != "setting"}
    with pytest.raises(ValueError, match="row 'fp32' lacks 'setting': record it again"):
        int8_quality.scores(replace(replayed, rows=(row,)))


def test_cases_are_made_without_loading_anything():
    assert [key for key, _ in int8_quality.cases(0)] == list(int8_quality.WAYS)


def test_int8_is_shown_to_cost_the_tiny_model_less_than_one_percent():
    model, tokenizer, _ = load("tiny", device="cpu")

    def quality(one):
        return perplexity(one, tokenizer, corpus.held_out(), 128, windows=60)

    before, kernel = quality(model), quality(backends.apply(model, "bnb-int8"))
    blocks.round_model(model, 8, "channel", "absmax")
    assert paired(kernel, before).within(0.01)
    assert paired(quality(model), before).within(0.01)
