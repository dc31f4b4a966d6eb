"""The recorded grid: its cells, what a file of them weighs, and scores made from rows again."""

import pytest
import torch

from course_utils.compress import grid
from course_utils.compress.blocks import round_model, round_model_nf4
from course_utils.measure.scores import paired


@pytest.mark.parametrize("one", [grid.TINY, grid.SMOLLM2])
def test_every_cell_has_a_key_of_its_own_and_a_group_that_divides(one):
    keys = [cell.key for cell in one.cells]
    assert len(set(keys)) == len(keys)
    widths = {"tiny": (256, 512), "smollm2": (576, 1536)}[one.model]
    assert all(width % cell.group == 0 for cell in one.cells if cell.group for width in widths)


def test_a_key_says_what_is_unusual():
    assert grid.Cell("none").key == "16 bits"
    assert grid.Cell("gptq", 4, 64).key == "gptq 4 bits, groups of 64"
    assert grid.Cell("rtn", 4, 32, "zero_point").key == "rtn 4 bits, groups of 32, zero_point"
    trap = grid.Cell("gptq", 3, 64, calibration=("code", 16, 256), draw=1)
    assert trap.key == "gptq 3 bits, groups of 64, 16 × 256 tokens of code, draw 1"


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method is 'hqq', expected one of none, rtn"):
        grid.Cell("hqq")


def test_a_file_weighs_what_codes_scales_and_the_rest_in_16_bits_weigh(llama):
    weights = sum(p.numel() for n, p in llama.named_parameters() if n.endswith("_proj.weight"))
    rest = sum(p.numel() for p in llama.parameters()) - weights
    layers = round_model(llama, 3, 32)
    header = grid.saved_bytes(llama, layers) - (weights * 3 / 8 + weights / 32 * 2 + rest * 2)
    assert 0 < header < 120 * 2 * len(list(llama.parameters()))


def test_nf4_packs_two_codes_to_a_byte(llama):
    weights = sum(p.numel() for n, p in llama.named_parameters() if n.endswith("_proj.weight"))
    before = grid.saved_bytes(llama, {})
    after = grid.saved_bytes(llama, round_model_nf4(llama, 64))
    assert before - after == pytest.approx(weights * (2 - 0.5 - 2 / 64), rel=0.1)


def row(losses, text="a"):
    return {"losses": losses, "text_id": text, "setting": "sequence 256"}


def test_scores_come_back_from_rows_and_can_be_paired():
    worse, better = grid.score_of(row([3.1, 2.1, 4.1])), grid.score_of(row([3.0, 2.0, 4.0]))
    assert paired(worse, better).mean == pytest.approx(torch.tensor(0.1).expm1().item())


def test_the_mean_of_rows_is_the_mean_of_their_losses_block_by_block():
    mean = grid.mean_score([row([1.0, 2.0]), row([3.0, 4.0])])
    assert mean.per_block == (2.0, 3.0)


def test_rows_of_different_texts_have_no_mean():
    with pytest.raises(ValueError, match="rows were scored on 2 texts, expected the same one"):
        grid.mean_score([row([1.0, 2.0]), row([3.0, 4.0], "b")])
