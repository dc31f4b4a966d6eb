"""Wanda and SparseGPT against llmcompressor: frozen results of its own, made by scripts/make_fixtures.py."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from course_utils.compress.calibration import stats_of
from course_utils.compress.masks import follows, kept, magnitude_scores, wanda_scores
from course_utils.compress.sparsegpt import prune_sparsegpt

FIXTURES = Path(__file__).parent / "fixtures"
SPARSITIES = {"30": 0.3, "50": 0.5, "70": 0.7, "2of4": "2:4"}

each_sparsity = pytest.mark.parametrize(("name", "sparsity"), SPARSITIES.items())


@pytest.fixture(scope="module")
def theirs():
    return load_file(FIXTURES / "llmcompressor_pruning.safetensors")


@pytest.fixture(scope="module")
def layer():
    frozen = load_file(FIXTURES / "llmcompressor_gptq.safetensors")
    return frozen["weight"].float(), stats_of(frozen["inputs"].float())


def test_the_fixture_says_which_versions_made_it_and_stays_small(theirs):
    record = json.loads((FIXTURES / "llmcompressor_pruning.json").read_text())
    assert record["made_by"] == "scripts/make_fixtures.py"
    assert record["versions"]["llmcompressor"]
    assert set(record["tensors"]) == set(theirs)
    assert (FIXTURES / "llmcompressor_pruning.safetensors").stat().st_size < 1e6


@each_sparsity
def test_wanda_keeps_exactly_the_weights_that_llmcompressor_keeps(theirs, layer, name, sparsity):
    assert torch.equal(kept(wanda_scores(*layer), sparsity), theirs[f"wanda.{name}.kept"])


@each_sparsity
def test_sparsegpt_keeps_the_same_weights_and_gives_them_the_same_values(theirs, layer, name, sparsity):
    ours, frozen = prune_sparsegpt(*layer, sparsity), theirs[f"sparsegpt.{name}.weight"]
    assert torch.equal(ours.keep, frozen != 0)
    assert (ours.dequantize() - frozen).abs().max() <= 1e-6


def test_two_of_four_are_kept_by_both(theirs, layer):
    assert follows(theirs["sparsegpt.2of4.weight"], "2:4")
    assert follows(prune_sparsegpt(*layer, "2:4").dequantize(), "2:4")


def test_magnitude_keeps_others_so_that_agreement_means_something(theirs, layer):
    magnitude = kept(magnitude_scores(layer[0]), 0.5)
    assert (magnitude == theirs["wanda.50.kept"]).float().mean() < 0.99
    assert (theirs["sparsegpt.50.weight"] - layer[0] * magnitude).abs().max() > 1e-3
