import copy
import math

import pytest
import torch

from course_utils.measure.corpus import blocks, held_out
from course_utils.measure.quality import accuracy, bits_per_byte, cloze, nearness, paired, perplexity

TEXT = held_out()[:24_000]


@pytest.fixture(scope="module")
def noisy(random_model):
    model = copy.deepcopy(random_model.model)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def uniform(random_model):
    """Every token equally likely: what it scores is known on paper."""
    model = copy.deepcopy(random_model.model)
    with torch.no_grad():
        model.model.norm.weight.zero_()
    return model


def test_perplexity_of_a_model_that_knows_nothing_is_its_vocabulary(uniform, random_model):
    score = perplexity(uniform, random_model.tokenizer, TEXT, 64, windows=8)
    assert score.mean == pytest.approx(257, rel=1e-5)
    assert score.lo <= score.mean <= score.hi


def test_perplexity_says_at_which_lengths_it_was_taken(random_model):
    score = perplexity(random_model.model, random_model.tokenizer, TEXT, 64, 32, windows=8)
    assert score.setting == "sequence 64 tokens, stride 32, 8 windows"
    assert score.setting in str(score)


def test_perplexity_is_exp_of_the_loss_that_transformers_computes(random_model):
    model, tokenizer, _ = random_model
    ids = torch.tensor(tokenizer(TEXT, add_special_tokens=False)["input_ids"][:128]).view(2, 64)
    with torch.inference_mode():
        theirs = sum(model(input_ids=row[None], labels=row[None]).loss.item() for row in ids) / 2
    ours = perplexity(model, tokenizer, tokenizer.decode(ids.flatten()), 64)
    assert math.log(ours.mean) == pytest.approx(theirs, rel=1e-5)


def test_a_stride_scores_only_the_last_tokens_of_each_window(random_model):
    model, tokenizer, _ = random_model
    text = TEXT[:96]
    with torch.inference_mode():
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        logits = model(input_ids=ids[:, :64]).logits[0, 47:63]
        first = torch.nn.functional.cross_entropy(logits, ids[0, 48:64]).item()
    score = perplexity(model, tokenizer, text, 64, 16)
    assert len(score.per_block) == 3
    assert score.per_block[0] == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_the_batch_size_changes_no_score(random_model, batch):
    model, tokenizer, _ = random_model
    pieces = [TEXT[at : at + 40 + at % 17] for at in range(0, 1000, 100)]
    alone = bits_per_byte(model, tokenizer, pieces, batch=1)
    assert bits_per_byte(model, tokenizer, pieces, batch=batch).per_block == pytest.approx(
        alone.per_block, rel=1e-5
    )
    window = perplexity(model, tokenizer, TEXT, 64, windows=7, batch=1)
    assert perplexity(model, tokenizer, TEXT, 64, windows=7, batch=batch).mean == pytest.approx(window.mean)


def test_bits_per_byte_of_a_model_that_knows_nothing_is_log2_of_its_vocabulary(uniform, random_model):
    score = bits_per_byte(uniform, random_model.tokenizer, blocks(TEXT, 100, 6))
    assert score.mean == pytest.approx(math.log2(257), rel=1e-5)


def test_bits_per_byte_divides_by_bytes_not_by_characters(uniform, random_model):
    score = bits_per_byte(uniform, random_model.tokenizer, ["äöü" * 20, "日本語" * 10])
    assert score.mean == pytest.approx(math.log2(257), rel=1e-5)


def test_a_model_is_at_no_distance_from_itself(random_model):
    near = nearness(random_model.model, random_model.model, random_model.tokenizer, TEXT, 64, windows=4)
    assert near.kl.mean == pytest.approx(0, abs=1e-6)
    assert near.top1.mean == 1


def test_noise_moves_a_model_away_from_its_reference(random_model, noisy):
    near = nearness(random_model.model, noisy, random_model.tokenizer, TEXT, 64, windows=6)
    assert near.kl.lo > 0
    assert 0 < near.top1.mean < 1


def test_kl_runs_from_the_reference_to_the_model(random_model, uniform):
    """KL(p ‖ uniform) is log V less p's entropy; the other way round it is another number."""
    model, tokenizer, _ = random_model
    near = nearness(model, uniform, tokenizer, TEXT, 64, windows=4)
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    starts = range(0, len(ids) - 63, 64)
    rows = torch.tensor([ids[s : s + 64] for s in (starts[i * len(starts) // 4] for i in range(4))])
    with torch.inference_mode():
        logs = model(input_ids=rows).logits[:, :-1].log_softmax(-1)
    entropy = -(logs.exp() * logs).sum(-1).mean().item()
    assert near.kl.mean == pytest.approx(math.log(257) - entropy, rel=1e-4)


def test_noise_costs_perplexity_and_the_pairs_show_it(random_model, noisy):
    model, tokenizer, _ = random_model
    same = perplexity(model, tokenizer, TEXT, 64, windows=16)
    assert not paired(same, same).shown
    assert paired(same, same).within(0.01)
    assert paired(perplexity(noisy, tokenizer, TEXT, 64, windows=16), same).blocks == 16


def test_scores_of_other_texts_or_lengths_are_not_compared(random_model):
    model, tokenizer, _ = random_model
    one = perplexity(model, tokenizer, TEXT[:2000], 64, windows=8)
    for other in (
        perplexity(model, tokenizer, TEXT[2000:4000], 64, windows=8),
        perplexity(model, tokenizer, TEXT[:2000], 64, 32, windows=8),
    ):
        with pytest.raises(ValueError, match="different blocks"):
            paired(one, other)


def test_cloze_questions_come_from_the_seed():
    assert cloze(TEXT, 10, seed=3) == cloze(TEXT, 10, seed=3)
    assert cloze(TEXT, 10, seed=3) != cloze(TEXT, 10, seed=4)


def test_the_right_ending_of_a_cloze_question_follows_in_the_text():
    for question in cloze(TEXT, 20):
        assert question.context + question.endings[question.answer] in TEXT
        assert len(set(question.endings)) == 4


def test_answers_of_cloze_questions_stand_at_every_place():
    assert {question.answer for question in cloze(TEXT, 60)} == {0, 1, 2, 3}


def test_a_model_that_knows_nothing_guesses(random_model):
    questions = cloze(TEXT, 40, context_chars=60, ending_chars=20)
    score = accuracy(random_model.model, random_model.tokenizer, questions)
    assert score.lo < 0.25 < score.hi
    assert score.setting == "40 questions, guessing gives 0.25"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, t: perplexity(m, t, TEXT, 1), "sequence_tokens=1"),
        (lambda m, t: perplexity(m, t, TEXT, 64, 65), "stride_tokens=65"),
        (lambda m, t: perplexity(m, t, "short", 64), "too few"),
        (lambda m, t: perplexity(m, t, TEXT, 64, windows=1), "windows=1"),
        (lambda m, t: perplexity(m, t, TEXT, 600), "context 512"),
        (lambda m, t: perplexity(m, t, TEXT, 64, batch=0), "batch=0"),
        (lambda m, t: bits_per_byte(m, t, ["a", ""]), "number 1 is empty"),
        (lambda m, t: bits_per_byte(m, t, ["a" * 600, "b"]), "context 512"),
        (lambda m, t: bits_per_byte(m, t, ["only one"]), "at least 2"),
        (lambda m, t: cloze("short", 5), "questions=5"),
        (lambda m, t: cloze("a" * 9000, 5), "repeats itself"),
        (lambda m, t: cloze(TEXT, 5, endings=1), "endings=1"),
    ],
)
def test_nonsense_is_refused_with_the_argument_and_its_value(random_model, call, message):
    with pytest.raises(ValueError, match=message):
        call(random_model.model, random_model.tokenizer)


def test_a_model_that_gives_nan_is_refused_with_the_block(random_model):
    broken = copy.deepcopy(random_model.model)
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="block 0 is nan"):
        perplexity(broken, random_model.tokenizer, TEXT, 64, windows=4)
