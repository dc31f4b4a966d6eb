"""Lengths by rank: the table keeps what a log-normal loses, and the published fits are as good as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.scale import fit_lengths, published_lengths, workload, workloads

WORKLOADS = ("azure_conversation", "azure_code", "mooncake_conversation")


def lumpy(requests=20_000, seed=0):
    """A fixed prompt with short answers, middling prompts with long ones, long prompts with short ones."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, requests, p=[0.2, 0.5, 0.3])
    asked = np.where(kind == 0, 181, np.where(kind == 1, rng.integers(900, 1200, requests), 4000))
    said = rng.poisson(np.array([80, 400, 60])[kind]) + 1
    return asked, said


def test_a_lump_and_a_dependence_that_is_no_correlation_are_kept():
    asked, said = lumpy()
    made, answers = fit_lengths(asked, said).draw(200_000, np.random.default_rng(1))
    assert (made == 181).mean() == pytest.approx(0.2, abs=0.03)
    for low, high in ((0, 200), (850, 1300), (3900, 4100)):
        here, there = (asked >= low) & (asked < high), (made >= low) & (made < high)
        assert there.mean() == pytest.approx(here.mean(), abs=0.03)
        assert answers[there].mean() == pytest.approx(said[here].mean(), rel=0.05)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(200, 400))
def test_drawn_lengths_stay_within_what_was_seen(seed, requests):
    asked, said = lumpy(requests, seed)
    made, answers = fit_lengths(asked, said).draw(500, np.random.default_rng(seed))
    assert asked.min() <= made.min()
    assert made.max() <= asked.max()
    assert said.min() <= answers.min()
    assert answers.max() <= said.max()


@pytest.mark.parametrize("name", WORKLOADS)
def test_published_fits_have_the_means_that_their_rows_state(name):
    row = workload(name)
    asked, said = published_lengths(name).draw(400_000, np.random.default_rng(0))
    assert asked.mean() == pytest.approx(row.input_mean_tokens * (1 + row.input_mean_error), rel=0.01)
    assert said.mean() == pytest.approx(row.output_mean_tokens * (1 + row.output_mean_error), rel=0.01)
    assert published_lengths(name).share.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", WORKLOADS)
def test_published_fits_are_close_to_their_traces(name):
    row = workload(name)
    assert row.input_ks < 0.02
    assert row.output_ks < 0.05
    assert max(abs(row.input_mean_error), abs(row.output_mean_error)) < 0.03
    assert row.fitted_dispersion_60s == pytest.approx(row.dispersion_60s, rel=0.1)
    assert float(row.bursts.dispersion(60)) == pytest.approx(row.fitted_dispersion_60s, rel=0.01)


def test_azure_chat_has_its_longest_answers_to_prompts_of_a_thousand_tokens():
    asked, said = published_lengths("azure_conversation").draw(100_000, np.random.default_rng(0))
    middle = said[(asked > 900) & (asked < 1200)].mean()
    assert middle > 3 * said[asked > 3000].mean()
    assert middle > 3 * said[(asked > 380) & (asked < 410)].mean()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: fit_lengths(np.ones(199), np.ones(199)), "at least 200"),
        (lambda: fit_lengths(np.ones(300), np.ones(200)), "at least 200"),
        (lambda: fit_lengths(np.zeros(200), np.ones(200)), "1 or more"),
        (lambda: published_lengths("azure"), "azure_conversation, azure_code, mooncake_conversation"),
    ],
)
def test_nonsense_is_refused(asked, words):
    with pytest.raises(ValueError, match=words):
        asked()


def test_every_workload_has_lengths_and_a_source():
    assert tuple(workloads()) == WORKLOADS
    for row in workloads().values():
        assert "fitted by scripts/fit_traffic.py" in row.source
        assert "(" in row.source, "its licence"
