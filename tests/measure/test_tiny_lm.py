"""The tiny model that the course carries, and the record of its training."""

import json
from datetime import date

import pytest
import torch

from course_utils.catalog.provenance import data_path
from course_utils.measure.corpus import blocks, held_out, sha256
from course_utils.measure.models import load, random_llama
from course_utils.measure.quality import bits_per_byte

FOLDER = data_path("tiny_lm")
RECORD = json.loads((FOLDER / "record.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tiny():
    return load("tiny", device="cpu")


def test_it_is_small_enough_for_a_repository():
    for path in FOLDER.iterdir():
        assert path.stat().st_size <= (16e6 if path.suffix == ".safetensors" else 1e6), path.name


def test_it_is_as_big_as_its_record_says(tiny):
    parameters = sum(p.numel() for p in tiny.model.parameters())
    assert parameters == RECORD["parameters"]
    assert 4e6 <= parameters <= 8e6
    assert RECORD["as_of"] in tiny.label


def test_groups_of_128_divide_each_of_its_widths(tiny):
    assert all(size % 128 == 0 for p in tiny.model.parameters() for size in p.shape)


def test_its_tokenizer_gives_any_text_back(tiny):
    for text in ("def f(x: int) -> str:\n    return 'ä€日'\n", held_out()[:2000]):
        ids = tiny.tokenizer(text)["input_ids"]
        assert tiny.tokenizer.decode(ids) == text
        assert max(ids) < tiny.model.config.vocab_size


def test_the_record_says_what_another_training_needs():
    assert date.fromisoformat(RECORD["as_of"]) <= date.today()
    assert {"torch", "transformers", "tokenizers"} <= set(RECORD["versions"])
    assert RECORD["settings"]["seed"] == 5404
    assert all(run["command"].startswith("python scripts/train_tiny_lm.py") for run in RECORD["runs"])
    assert RECORD["hardware"]
    assert len(RECORD["text"]["sha256"]) == 64
    assert all({"version", "bytes"} == set(package) for package in RECORD["text"]["packages"].values())


def test_the_loss_curve_is_whole_and_falls():
    settings, curve = RECORD["settings"], RECORD["loss"]
    assert len(curve) == -(-settings["steps"] // 10)
    assert RECORD["tokens_seen"] == settings["steps"] * settings["batch"] * settings["length"]
    assert curve[0] > curve[len(curve) // 2] > min(curve[-3:])


def test_held_out_bits_per_byte_are_what_the_record_says(tiny):
    """On the Python that the record is from; another one's reference is worded a little differently."""
    figures = RECORD["held_out"]
    pieces = blocks(held_out(), figures["chars_per_block"], figures["blocks"])
    score = bits_per_byte(tiny.model, tiny.tokenizer, pieces)
    same = sha256([held_out()]) == RECORD["text"]["held_out_sha256"]
    assert score.mean == pytest.approx(figures["tiny"]["mean"], abs=0.005 if same else 0.3)


def test_it_writes_python_documentation(tiny):
    """Words that documentation is made of, none of them in a prompt."""
    prompts = (
        "def read_table(path, sep=None, header=0)\n\n",
        "def reshape(a, order='C')\n\n",
        "module json\n\n",
    )
    torch.manual_seed(0)
    written = ""
    for prompt in prompts:
        ids = tiny.tokenizer("<|endoftext|>" + prompt, return_tensors="pt")["input_ids"]
        told = tiny.model.generate(ids, max_new_tokens=150, do_sample=True, top_k=40, pad_token_id=0)
        written += tiny.tokenizer.decode(told[0, ids.shape[1] :]).lower()
    words = ("return", "the", "class", "value", "object", "parameters", "type")
    assert sum(word in written for word in words) >= 4, written


def test_it_packs_its_text_tighter_than_gzip():
    assert RECORD["held_out"]["tiny"]["hi"] < RECORD["held_out"]["gzip_whole_text"]


def test_it_knows_its_text_better_than_noise_does_and_smollm2_better_still(tiny):
    figures = RECORD["held_out"]
    pieces = blocks(held_out(), figures["chars_per_block"], 4)
    noise = random_llama(256, 6, device="cpu")
    assert bits_per_byte(noise.model, noise.tokenizer, pieces).mean > 1.4 * figures["tiny"]["mean"]
    assert figures["smollm2"]["hi"] < figures["tiny"]["lo"]


# --- random weights at real shapes


def test_random_weights_have_the_shapes_that_were_asked_for():
    model, tokenizer, label = random_llama(512, 2, intermediate=1024, heads=8, kv_heads=2, device="cpu")
    layer = model.model.layers[0]
    assert layer.self_attn.k_proj.weight.shape == (2 * 64, 512)
    assert layer.mlp.up_proj.weight.shape == (1024, 512)
    assert len(model.model.layers) == 2
    assert label == "random weights, 2 layers of 512, seed 0"
    ids = tokenizer("def f(x):", return_tensors="pt")["input_ids"]
    assert model(input_ids=ids).logits.shape == (1, ids.shape[1], 4096)


@pytest.mark.parametrize("hidden", [64, 192, 576, 960])
def test_shapes_left_out_fit_together(hidden):
    config = random_llama(hidden, 1, device="cpu", dtype="bfloat16").model.config
    assert config.num_attention_heads % config.num_key_value_heads == 0
    assert config.intermediate_size % 128 == 0


def test_random_weights_come_from_the_seed():
    one, same, other = (
        random_llama(128, 1, seed=seed, device="cpu").model.lm_head.weight for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"hidden": 100, "layers": 1, "heads": 3}, "heads=3"),
        ({"hidden": 128, "layers": 0}, "layers=0"),
        ({"hidden": 128, "layers": 1, "heads": 4, "kv_heads": 3}, "kv_heads=3"),
        ({"hidden": 128, "layers": 1, "vocabulary": 10}, "vocabulary=10"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes, message):
    with pytest.raises(ValueError, match=message):
        random_llama(**shapes)
