"""Which weights stay: scores, rows, layers, patterns; and how what stays is stored."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.compress.calibration import stats_of
from course_utils.compress.masks import Sparse, follows, kept, magnitude_scores, wanda_scores, wanted

WEIGHT = torch.tensor([[4.0, -1.0, 3.0, 2.0], [-8.0, 5.0, 6.0, -7.0]])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_half_of_each_row_goes_the_smallest_first():
    assert kept(magnitude_scores(WEIGHT), 0.5).tolist() == [
        [True, False, True, False],
        [True, False, False, True],
    ]


def test_within_the_layer_a_row_of_small_weights_loses_more():
    # 1, 2, 3 and 4 are the smallest of eight, all in the first row.
    assert kept(magnitude_scores(WEIGHT), 0.5, "layer").tolist() == [[False] * 4, [True] * 4]


def test_wanda_keeps_a_small_weight_on_a_loud_input():
    # ‖x‖ = 5 on the second input and 1 elsewhere: |−1| · 5 beats 4, 3 and 2.
    stats = stats_of(torch.tensor([[1.0, 3.0, 0.0, 0.0], [0.0, 4.0, 1.0, 1.0]]))
    scores = wanda_scores(WEIGHT, stats)
    assert scores[0].tolist() == pytest.approx([4, 5, 3, 2])
    assert kept(scores, 0.5)[0].tolist() == [True, True, False, False]


def test_two_of_every_four_neighbours_in_a_row_stay():
    row = torch.tensor([[1.0, 2.0, 3.0, 4.0, 40.0, 30.0, 20.0, 10.0]])
    assert kept(row, "2:4").tolist() == [[False, False, True, True, True, True, False, False]]


@given(
    st.integers(1, 5),
    st.integers(1, 8),
    st.sampled_from(["1:4", "2:4", "3:4", "4:8", "1:2"]),
    st.integers(0, 99),
)
@settings(max_examples=50, deadline=None)
def test_a_pattern_is_kept_exactly_in_every_group(rows, groups, pattern, seed):
    keep, of = map(int, pattern.split(":"))
    mask = kept(normal(rows, groups * of, seed=seed), pattern)
    assert (mask.reshape(-1, of).sum(1) == keep).all()
    assert follows(mask.float(), pattern)


@given(st.floats(0, 0.999), st.integers(1, 6), st.integers(1, 40), st.sampled_from(["row", "layer"]))
@settings(max_examples=60, deadline=None)
def test_exactly_the_share_asked_for_goes_and_never_a_better_weight_than_one_that_stays(
    sparsity, rows, columns, within
):
    scores = normal(rows, columns).abs()
    mask = kept(scores, sparsity, within)
    rivals = rows if within == "row" else 1
    each = rows * columns // rivals
    assert (~mask).sum() == rivals * int(each * sparsity)
    for row, stays in zip(scores.reshape(rivals, -1), mask.reshape(rivals, -1), strict=True):
        if stays.any() and (~stays).any():
            assert row[stays].min() >= row[~stays].max()


@given(st.floats(0, 0.9), st.floats(0, 0.9))
@settings(max_examples=30, deadline=None)
def test_a_higher_sparsity_keeps_nothing_that_a_lower_one_removed(one, other):
    low, high = sorted((one, other))
    scores = normal(4, 32).abs()
    assert not (kept(scores, high) & ~kept(scores, low)).any()


def test_a_pattern_along_the_wrong_axis_is_not_one():
    mask = kept(normal(8, 8).abs(), "2:4")
    assert follows(mask.float(), "2:4")
    assert not follows(mask.T.float(), "2:4")


@pytest.mark.parametrize(
    "sparsity", [-0.1, 1, 1.0, 50, float("nan"), True, None, "half", "4:2", "0:4", "2:2"]
)
def test_a_sparsity_that_makes_no_sense_is_refused_with_its_value(sparsity):
    with pytest.raises(ValueError, match=r"sparsity is .*expected a (share|pattern)"):
        wanted(sparsity)


def test_a_pattern_that_does_not_divide_and_an_unknown_place_are_refused():
    with pytest.raises(ValueError, match="4 does not divide the weight's 6 columns"):
        kept(normal(2, 6), "2:4")
    with pytest.raises(ValueError, match="within is 'column', expected one of row, layer"):
        kept(normal(2, 6), 0.5, "column")
    with pytest.raises(ValueError, match=r'pattern is 0\.5, expected one such as "2:4"'):
        follows(normal(2, 8), 0.5)


@given(st.integers(1, 7), st.integers(1, 19), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_weight_stored_without_its_zeros_comes_back(rows, columns, seed):
    weight = normal(rows, columns, seed=seed)
    keep = normal(rows, columns, seed=seed + 100) > 0
    sparse = Sparse.of(weight, keep)
    assert torch.equal(sparse.keep, keep)
    assert torch.equal(sparse.dequantize(), weight * keep)
    assert sparse.sparsity == pytest.approx(1 - keep.float().mean().item())


def test_half_a_matrix_in_sixteen_bits_takes_nine_bits_a_weight():
    weight = normal(64, 128).to(torch.bfloat16)
    sparse = Sparse.of(weight, kept(weight.float().abs(), 0.5))
    # 8 bits of values on average and 1 that says where: 64 · 128 · 9 / 8 bytes.
    assert sparse.size_bytes() == 9216
