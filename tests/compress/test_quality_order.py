"""What four and three bits do to whole models: the order of methods, on the same blocks of text.

Order only, no values. The recordings hold every block's loss, so that the paired intervals are computed here; a
small part of the grid runs live on the tiny model.
"""

from itertools import product

import pytest

from course_utils.compress import grid, texts
from course_utils.measure import models, quality
from course_utils.measure.recorded import recording
from course_utils.measure.scores import paired

MODELS = ("tiny", "smollm2")


@pytest.fixture(scope="session")
def tables():
    return {name: recording(f"int4_{name}").table() for name in MODELS}


def pooled(table, method, bits, groups=None):
    """The mean over group sizes: whether one grid suits a model is luck in part."""
    usual = table[(table.method == method) & (table.bits == bits) & (table.draw == 0)]
    usual = usual[usual.scheme == "symmetric"]
    chosen = usual if groups is None else usual[usual.group.isin(groups)]
    return grid.mean_score(row for _, row in chosen.iterrows()), set(chosen.group)


@pytest.mark.parametrize(("name", "bits"), [("smollm2", 4), ("smollm2", 3), ("tiny", 3)])
@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_gptq_and_awq_each_have_a_lower_perplexity_than_plain_rounding(tables, name, method, bits):
    ours, groups = pooled(tables[name], method, bits)
    plain, _ = pooled(tables[name], "rtn", bits, groups)
    assert paired(ours, plain).hi < 0


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_where_four_bits_cost_little_no_method_is_shown_to_be_worse(tables, method):
    ours, groups = pooled(tables["tiny"], method, 4)
    plain, _ = pooled(tables["tiny"], "rtn", 4, groups)
    assert paired(ours, plain).lo < 0


@pytest.mark.parametrize("name", MODELS)
def test_three_bits_of_plain_rounding_are_visibly_worse_than_four(tables, name):
    four, groups = pooled(tables[name], "rtn", 4)
    three, _ = pooled(tables[name], "rtn", 3, groups)
    assert paired(three, four).lo > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_eight_bits_are_within_one_percent_of_sixteen(tables, name):
    eight, _ = pooled(tables[name], "rtn", 8)
    assert paired(eight, grid.score_of(tables[name].loc["16 bits"])).within(0.01)


def test_smollm2_in_groups_of_64_keeps_the_order_by_itself(tables):
    for bits in (4, 3):
        plain, _ = pooled(tables["smollm2"], "rtn", bits, {64})
        for method in ("gptq", "awq"):
            assert paired(pooled(tables["smollm2"], method, bits, {64})[0], plain).hi < 0


def test_only_smollm2_on_its_old_grid_is_marked_as_such(tables):
    marked = {name: list(table.index[table.on_its_old_grid]) for name, table in tables.items()}
    assert marked["tiny"] == []
    was_4bit = "Q4_1" in tables["smollm2"].label.iloc[0]
    assert marked["smollm2"] == ["rtn 4 bits, groups of 32, zero_point"] * was_4bit


def test_gptq_of_the_whole_smollm2_took_less_than_four_minutes_and_1800_mb(tables):
    done = tables["smollm2"].query("method == 'gptq'")
    assert (done.cpu_seconds < 240).all()
    assert (done.peak_bytes < 1.8e9).all()


@pytest.fixture(scope="session")
def distances():
    """KL to the tiny model in 16 bits, block by block: it shows what perplexity is too coarse for at 4 bits."""
    reference, tokenizer, _ = models.load("tiny", device="cpu")
    batches = texts.calibration_batches(tokenizer, 8, 256)
    found = {}
    for method, bits in product(("rtn", "gptq", "awq"), (4, 3)):
        model = models.load("tiny", device="cpu").model
        grid.Cell(method, bits, 64).compress(model, batches)
        found[method, bits] = quality.nearness(reference, model, tokenizer, texts.scored_text(), windows=8).kl
    return found


@pytest.mark.parametrize("bits", [4, 3])
@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_live_on_the_tiny_model_gptq_and_awq_stay_nearer_than_plain_rounding(distances, method, bits):
    assert paired(distances[method, bits], distances["rtn", bits]).hi < 0


@pytest.mark.parametrize("method", ["rtn", "gptq", "awq"])
def test_live_on_the_tiny_model_three_bits_are_further_away_than_four(distances, method):
    assert paired(distances[method, 3], distances[method, 4]).lo > 0
