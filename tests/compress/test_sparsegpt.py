"""SparseGPT: what is removed is taken over by what stays."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.compress.calibration import InputStats, output_error, stats_of
from course_utils.compress.masks import Sparse, follows, kept, magnitude_scores, wanda_scores
from course_utils.compress.sparsegpt import BLOCK_COLUMNS, prune_sparsegpt


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def losses(weight, stats, sparsity):
    masks = [kept(scores, sparsity) for scores in (magnitude_scores(weight), wanda_scores(weight, stats))]
    results = [Sparse.of(weight, mask) for mask in masks] + [prune_sparsegpt(weight, stats, sparsity)]
    return [output_error(weight, result.dequantize(), stats) for result in results]


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.7, "2:4", "4:8"])
def test_with_correlated_inputs_magnitude_loses_more_than_wanda_and_wanda_more_than_sparsegpt(
    correlated_layer, sparsity
):
    magnitude, wanda, sparsegpt = losses(*correlated_layer, sparsity)
    assert magnitude > wanda > sparsegpt


def test_a_pattern_costs_every_method_more_than_free_choice_at_the_same_sparsity(correlated_layer):
    free, four = (losses(*correlated_layer, sparsity) for sparsity in (0.5, "2:4"))
    assert all(one < other for one, other in zip(free, four, strict=True))


def test_a_hand_worked_pair_of_inputs_that_are_the_same():
    # x₁ = x₂ always, without damping to speak of: w = (1, 3) acts as w₁ + w₂ = 4, and one weight of 4 does that too.
    stats = stats_of(torch.tensor([[1.0, 1.0], [2.0, 2.0]]))
    ours = prune_sparsegpt(torch.tensor([[1.0, 3.0]]), stats, "1:2", damping=1e-4)
    assert ours.keep.tolist() == [[False, True]]
    assert ours.dequantize()[0, 1].item() == pytest.approx(4, rel=1e-3)


def test_when_inputs_are_uncorrelated_nothing_can_be_taken_over_and_weights_that_stay_are_unchanged():
    weight = normal(16, 64)
    alone = InputStats(torch.eye(64) * 100, torch.ones(64), torch.ones(64), tokens=100)
    ours = prune_sparsegpt(weight, alone, 0.5)
    assert torch.allclose(ours.dequantize()[ours.keep], weight[ours.keep], atol=1e-5)


def test_nothing_is_asked_for_and_nothing_changes():
    weight = normal(8, 64)
    assert torch.equal(prune_sparsegpt(weight, stats_of(normal(200, 64)), 0).dequantize(), weight)


@given(st.floats(0.01, 0.95), st.integers(2, 8), st.sampled_from([64, 130, 200]), st.integers(0, 20))
@settings(max_examples=15, deadline=None)
def test_each_block_of_columns_loses_its_share_and_one_more(sparsity, rows, columns, seed):
    ours = prune_sparsegpt(normal(rows, columns, seed=seed), stats_of(normal(400, columns)), sparsity)
    for start in range(0, columns, BLOCK_COLUMNS):
        block = ours.keep[:, start : start + BLOCK_COLUMNS]
        assert (~block).sum() == int(block.numel() * sparsity) + 1


@given(st.sampled_from(["2:4", "1:4", "4:8"]), st.integers(0, 20))
@settings(max_examples=15, deadline=None)
def test_a_pattern_is_followed_exactly(pattern, seed):
    ours = prune_sparsegpt(normal(4, 192, seed=seed), stats_of(normal(400, 192)), pattern)
    keep, of = map(int, pattern.split(":"))
    assert (ours.keep.reshape(-1, of).sum(1) == keep).all()
    assert follows(ours.dequantize(), pattern)


@pytest.mark.parametrize("block", [16, 64, 256])
def test_blocks_are_for_speed_under_a_pattern_and_change_no_mask(block):
    weight, stats = normal(8, 256), stats_of(normal(600, 256) @ normal(256, 256, seed=3))
    ours, whole = (prune_sparsegpt(weight, stats, "2:4", block=size) for size in (block, 256))
    assert torch.equal(ours.keep, whole.keep)
    assert torch.allclose(ours.dequantize(), whole.dequantize(), atol=1e-4)


def test_weights_of_an_input_that_is_always_zero_go_first():
    inputs = normal(300, 64)
    inputs[:, 5] = 0
    weight = normal(8, 64)
    weight[:, 5] = 50
    assert not prune_sparsegpt(weight, stats_of(inputs), 0.3).keep[:, 5].any()


def test_bad_input_is_named():
    weight, stats = normal(4, 64), stats_of(normal(100, 64))
    with pytest.raises(ValueError, match=r"sparsity is 1\.0, expected a share"):
        prune_sparsegpt(weight, stats, 1.0)
    with pytest.raises(ValueError, match="block is 6, expected a multiple of 4"):
        prune_sparsegpt(weight, stats, "2:4", block=6)
    with pytest.raises(ValueError, match="damping is -1"):
        prune_sparsegpt(weight, stats, 0.5, damping=-1)
    with pytest.raises(ValueError, match="not finite"):
        prune_sparsegpt(weight * float("nan"), stats, 0.5)
