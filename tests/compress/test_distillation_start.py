"""A student of a given shape: from random weights, or cut out of its teacher, hidden channels included."""

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from course_utils.compress.distillation_start import (
    Shape,
    cut_hidden,
    from_scratch,
    hidden_importance,
    pruned,
)
from course_utils.compress.distillation_training import losses_on

SHAPE = Shape(hidden=16, intermediate=24, layers=2, heads=2)
IDS = torch.randint(0, 48, (4, 16), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=48,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize(
    "make", [lambda t: from_scratch(t, SHAPE), lambda t: pruned(t, SHAPE, [IDS], progress=False)]
)
def test_a_student_is_an_ordinary_model_of_the_shape_that_saves_loads_and_writes(teacher, make, tmp_path):
    student = make(teacher)
    config = student.config
    assert (config.hidden_size, config.intermediate_size, config.num_hidden_layers) == (16, 24, 2)
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (2, 1, 8)
    assert config.vocab_size == 48
    assert student.lm_head.weight.data_ptr() == student.model.embed_tokens.weight.data_ptr()
    student.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(again(input_ids=IDS).logits, student.eval()(input_ids=IDS).logits)
    assert again.generate(IDS[:1, :4], max_new_tokens=3, min_new_tokens=3, pad_token_id=0).shape == (1, 7)


def test_random_weights_are_seeded_and_leave_the_global_seed_alone(teacher):
    before = torch.get_rng_state()
    one, same, other = (from_scratch(teacher, SHAPE, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [model.model.embed_tokens.weight for model in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_cutting_to_its_own_shape_changes_nothing(teacher):
    same = pruned(teacher, Shape(32, 48, 3, 4), [IDS], progress=False)
    assert losses_on(same, IDS) == pytest.approx(losses_on(teacher, IDS), rel=1e-5)


def test_channels_that_carry_nothing_are_cut_first_and_nobody_misses_them(teacher):
    dead = [1, 5, 6, 30]
    with torch.no_grad():
        for name, value in teacher.state_dict().items():
            if name.endswith("norm.weight"):
                value[dead] = 0
            elif name.endswith(("embed_tokens.weight", "lm_head.weight")):
                value[:, dead] = 0
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                value[dead] = 0
    scores = hidden_importance(teacher, [IDS])
    assert sorted(scores.argsort()[:4].tolist()) == dead
    smaller = cut_hidden(teacher, scores, 28)
    with torch.no_grad():  # a norm over 28 channels divides by more than one over 32 of which 4 are zero
        for name, value in smaller.state_dict().items():
            if name.endswith("norm.weight"):
                value *= (32 / 28) ** 0.5
    assert losses_on(smaller, IDS) == pytest.approx(losses_on(teacher, IDS), rel=1e-4)


def test_the_teacher_is_left_as_it_is(teacher):
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    pruned(teacher, SHAPE, [IDS], progress=False)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert teacher.config.hidden_size == 32


def test_shapes_that_cannot_be_are_refused(teacher):
    with pytest.raises(ValueError, match="heads is 3, expected a multiple of 2"):
        from_scratch(teacher, Shape(16, 24, 2, 3))
    with pytest.raises(ValueError, match="hidden is 40, expected 1 to the model's 32"):
        cut_hidden(teacher, torch.ones(32), 40)
    with pytest.raises(ValueError, match=r"scores is \[16\], expected \[32\]"):
        cut_hidden(teacher, torch.ones(16), 8)
    with pytest.raises(ValueError, match="no token"):
        hidden_importance(teacher, [])
