"""What a student learns from: the text, its teacher, both, or the teacher's own text."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from course_utils.compress.distillation import Alone, Distill, teacher_texts, text_loss
from course_utils.compress.distillation_losses import HiddenMatch, divergence

IDS = torch.randint(1, 48, (2, 12), generator=torch.Generator().manual_seed(1))


def model(seed=0, hidden=16, layers=1, vocabulary=48, dropout=0.0):
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=hidden,
            intermediate_size=32,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=32,
            attention_dropout=dropout,
            attn_implementation="eager",
            initializer_range=0.5,
        )
    )


def logits_of(one):
    return one(input_ids=IDS, use_cache=False).logits


def test_alone_is_the_loss_that_transformers_computes():
    student = model()
    theirs = student(input_ids=IDS, labels=IDS, use_cache=False).loss
    assert Alone().loss(student, IDS).item() == pytest.approx(theirs.item(), rel=1e-6)


@pytest.mark.parametrize("kind", ["forward", "reverse", "jsd"])
def test_the_soft_part_is_t_squared_times_the_divergence_of_all_but_the_last_position(kind):
    student, teacher = model(0), model(1)
    got = Distill(teacher, kind, temperature=3.0, beta=0.2).loss(student, IDS)
    parts = logits_of(student)[:, :-1], logits_of(teacher)[:, :-1]
    assert got.item() == pytest.approx(9 * divergence(kind, *parts, 3.0, 0.2).mean().item(), rel=1e-5)


def test_soft_share_mixes_teacher_and_text():
    student, teacher = model(0), model(1)
    soft, half = (Distill(teacher, soft_share=share).loss(student, IDS).item() for share in (1.0, 0.25))
    text = text_loss(logits_of(student), IDS).item()
    assert half == pytest.approx(0.25 * soft + 0.75 * text, rel=1e-5)
    assert Distill(teacher, soft_share=0.0).loss(student, IDS).item() == pytest.approx(text, rel=1e-5)


def test_a_student_that_is_its_teacher_has_nothing_to_learn():
    teacher = model()
    student = model()
    loss = Distill(teacher).loss(student, IDS)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert max(p.grad.abs().max().item() for p in student.parameters()) < 1e-5


def test_the_teacher_gets_no_gradient_and_teaches_without_dropout_even_if_put_in_training_mode():
    student, teacher = model(0), model(1, dropout=0.5)
    objective = Distill(teacher)
    quiet = objective.loss(student, IDS)
    teacher.train()
    again = objective.loss(student, IDS)
    again.backward()
    assert quiet.item() == again.item()
    assert not teacher.training
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())


def test_hidden_states_of_student_and_projection_get_gradients():
    student, teacher = model(0, layers=1), model(1, hidden=24, layers=2)
    match = HiddenMatch(student.config, teacher.config)
    objective = Distill(teacher, hidden=match, hidden_weight=2.0)
    objective.loss(student, IDS).backward()
    assert match.widen[0].weight.grad.abs().max() > 0
    assert set(objective.trained()) == {"hidden"}
    without = Distill(teacher).loss(student, IDS).item()
    distance = (objective.loss(student, IDS).item() - without) / 2
    assert 0.5 < distance < 3  # untrained projections guess about as well as zero


def test_different_vocabularies_are_refused_before_training_starts():
    with pytest.raises(ValueError, match=r"student has 40 tokens and the teacher 48.*teacher_texts"):
        Distill(model()).check(model(vocabulary=40))


@pytest.mark.parametrize(
    ("field", "value"), [("kind", "backward"), ("soft_share", 1.5), ("beta", -0.1), ("temperature", 0.0)]
)
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} is"):
        Distill(model(), **{field: value})


# --- the teacher writes -------------------------------------------------------------------------------------


def test_texts_begin_with_their_prompt_have_full_length_and_are_seeded():
    teacher, prompts = model(2), IDS[:, :3]
    texts = teacher_texts(teacher, prompts, 9, seed=5, progress=False)
    assert texts.shape == (2, 12)
    assert torch.equal(texts[:, :3], prompts)
    assert torch.equal(texts, teacher_texts(teacher, prompts, 9, seed=5, progress=False))
    assert not torch.equal(texts, teacher_texts(teacher, prompts, 9, seed=6, progress=False))


def test_at_temperature_zero_each_token_is_the_teachers_likeliest():
    teacher = model(2)
    texts = teacher_texts(teacher, IDS[:, :3], 5, temperature=0, progress=False)
    for at in range(3, 8):
        assert torch.equal(texts[:, at], teacher(input_ids=texts[:, :at]).logits[:, -1].argmax(-1))


def test_prompts_and_lengths_that_make_no_text_are_refused():
    with pytest.raises(ValueError, match="prompts is"):
        teacher_texts(model(), torch.zeros(3), 4, progress=False)
    with pytest.raises(ValueError, match="new_tokens is 0"):
        teacher_texts(model(), IDS, 0, progress=False)
    with pytest.raises(ValueError, match="temperature is -1"):
        teacher_texts(model(), IDS, 4, temperature=-1, progress=False)
