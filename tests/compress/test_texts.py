"""Calibration text by kind: drawn by a seed, and never what is scored unless that is asked for."""

import pytest
import torch

from course_utils.compress import texts
from course_utils.compress.calibration import layer_inputs
from course_utils.measure import corpus, models


@pytest.fixture(scope="session")
def tiny():
    return models.load("tiny", device="cpu")


@pytest.mark.parametrize("kind", texts.KINDS)
def test_windows_come_in_batches_of_the_sizes_asked_for(tiny, kind):
    batches = texts.calibration_batches(tiny.tokenizer, 5, 32, kind, batch=2)
    assert [tuple(batch.shape) for batch in batches] == [(2, 32), (2, 32), (1, 32)]


def test_a_seed_gives_the_same_windows_and_another_seed_others(tiny):
    one, same, other = (
        torch.cat(texts.calibration_batches(tiny.tokenizer, 4, 32, "random", seed=seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_reference_for_calibration_holds_no_scored_passage():
    scored, reference = texts.scored_text(), texts._text("reference", 0)
    passages = scored[:: 2400 + 1]
    assert len(passages) > 10
    pieces = corpus.blocks(scored, 2401)
    assert not any(piece[:2400] in reference for piece in pieces)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "poems"}, "kind is 'poems', expected one of docstrings"),
        ({"sequences": 0}, "sequences is 0, expected a whole number of at least 1"),
        ({"sequences": 10**6}, r"sequences is 1000000, expected at most \d+ of 256 tokens"),
    ],
)
def test_bad_input_is_named_in_one_sentence(tiny, options, says):
    with pytest.raises(ValueError, match=says):
        texts.calibration_batches(tiny.tokenizer, **options)


def test_a_layer_reads_what_the_block_before_it_makes(llama, token_batches):
    seen = layer_inputs(llama, "model.layers.0.self_attn.q_proj", token_batches)
    with torch.no_grad():
        embedded = torch.cat([llama.model.embed_tokens(ids) for ids in token_batches])
        expected = llama.model.layers[0].input_layernorm(embedded)
    assert torch.allclose(seen, expected.reshape(-1, 64), atol=1e-5)
    assert not any(module._forward_pre_hooks for module in llama.modules())


@pytest.mark.parametrize(
    ("name", "batches", "says"),
    [
        ("model.layers.9.mlp", None, "name is 'model.layers.9.mlp', expected a linear layer"),
        ("model.norm", None, "expected torch.nn.Linear"),
        ("model.layers.0.self_attn.q_proj", [], "batches holds no token that reaches"),
    ],
)
def test_a_layer_that_cannot_be_watched_says_why(llama, token_batches, name, batches, says):
    with pytest.raises(ValueError, match=says):
        layer_inputs(llama, name, token_batches if batches is None else batches)
