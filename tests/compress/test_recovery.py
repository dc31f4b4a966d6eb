"""Training after pruning: the loss falls, zeros stay zeros, a run that fails leaves the model as it was."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_utils.compress import pruning
from course_utils.compress.recovery import recover, schedule


@pytest.fixture
def rows(token_batches):
    return torch.cat(token_batches)


def test_the_loss_falls_and_zeros_stay(llama, rows):
    pruning.prune_magnitude(llama, "2:4")
    zeros = {name: linear.weight == 0 for name, linear in pruning.all_linears(llama).items()}
    losses = recover(llama, rows, 20, learning_rate=3e-3, progress=False)
    assert len(losses) == 20
    assert sum(losses[-5:]) < sum(losses[:5])
    for name, linear in pruning.all_linears(llama).items():
        assert torch.equal(linear.weight == 0, zeros[name]), name


def test_the_same_seed_gives_the_same_model_and_another_seed_another(llama, rows):
    one, two, three = (copy.deepcopy(llama) for _ in range(3))
    assert recover(one, rows, 4, seed=1, progress=False) == recover(two, rows, 4, seed=1, progress=False)
    assert recover(three, rows, 4, seed=2, progress=False) != recover(one, rows, 4, seed=1, progress=False)


def test_the_mode_is_put_back(llama, rows):
    assert not llama.training
    recover(llama, rows, 1, progress=False)
    assert not llama.training


@given(st.integers(1, 300))
def test_the_rate_climbs_then_falls_and_is_never_zero_or_above_its_peak(steps):
    shares = [schedule(step, steps) for step in range(steps)]
    assert all(0 < share <= 1 for share in shares)
    top = shares.index(max(shares))
    assert shares[: top + 1] == sorted(shares[: top + 1])
    assert shares[top:] == sorted(shares[top:], reverse=True)


def test_hand_worked_schedule_of_ten_steps():
    assert [schedule(step, 10) for step in (0, 1, 5, 9)] == pytest.approx([1, 1, 5 / 9, 1 / 9])


def test_a_loss_that_is_not_finite_says_so_and_puts_the_model_back(llama, rows):
    with torch.no_grad():
        llama.model.norm.weight[0] = float("inf")
    before = copy.deepcopy(llama.state_dict())
    with pytest.raises(ValueError, match=r"learning_rate is 0\.0005: the loss is nan at step 0"):
        recover(llama, rows, 3, progress=False)
    assert all(torch.equal(before[name], value) for name, value in llama.state_dict().items())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": 0}, "steps is 0, expected a whole number"),
        ({"batch": 0}, "batch is 0"),
        ({"learning_rate": 0}, "learning_rate is 0, expected above 0"),
        ({"rows": torch.zeros(3, 4)}, "rows holds something else than token ids"),
        ({"rows": torch.zeros(4, dtype=torch.long)}, "rows holds something else"),
    ],
)
def test_bad_input_is_named(llama, rows, change, says):
    with pytest.raises(ValueError, match=says):
        recover(**{"model": llama, "rows": rows, "steps": 2, "progress": False} | change)
