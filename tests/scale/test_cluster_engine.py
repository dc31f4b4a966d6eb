"""The model without torch: its graph against transformers, its batches against each sequence alone, its answers."""

import asyncio
import json
import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Tokenizer

from course_utils.catalog.provenance import data_path
from course_utils.scale.cluster.completions import Answer, Refused, read_ask
from course_utils.scale.cluster.decoder import Decoder
from course_utils.scale.cluster.engine import Engine, EngineSettings, QueueFull, Sampling
from course_utils.scale.cluster.graph import onnx_model
from course_utils.scale.cluster.measured_steps import measured_step_times

TINY = data_path("tiny_lm")


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_file(str(TINY / "tokenizer.json"))


@pytest.fixture(scope="module")
def reference():
    """Tokens [3, 40], and transformers' logits [3, 40, vocabulary] for them."""
    import torch

    from course_utils.measure.models import load

    tokens = np.random.default_rng(0).integers(1, 4096, (3, 40))
    with torch.no_grad():
        return tokens, load("tiny").model(torch.tensor(tokens)).logits.numpy()


def prompts(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 4096, rng.integers(3, 90)) for _ in range(count)]


# --- the graph ----------------------------------------------------------------------------------------------


def test_graph_gives_the_logits_of_transformers_for_sequences_of_different_lengths(reference):
    tokens, expected = reference
    decoder = Decoder(onnx_model(TINY), rows=3)
    lengths = np.array([7, 20, 33])
    for row, length in enumerate(lengths):
        logits = decoder.step(row, tokens[row : row + 1, :length], np.zeros(1, np.int64))
        np.testing.assert_allclose(logits[0], expected[row, length - 1], atol=1e-4)
    for more in range(5):
        past = lengths + more
        logits = decoder.step(0, tokens[np.arange(3), past][:, None], past)
        np.testing.assert_allclose(logits, expected[np.arange(3), past], atol=1e-4)


def test_a_prompt_in_chunks_gives_what_it_gives_at_once(reference):
    tokens, expected = reference
    decoder = Decoder(onnx_model(TINY), rows=2)
    for start, end in ((0, 16), (16, 17), (17, 40)):
        logits = decoder.step(1, tokens[:1, start:end], np.array([start]))
    np.testing.assert_allclose(logits[0], expected[0, -1], atol=1e-4)


def test_a_folder_without_a_model_is_refused_by_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json, model\.safetensors, tokenizer\.json is not there"):
        onnx_model(tmp_path)


def test_another_architecture_is_refused(tmp_path):
    for file in TINY.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((TINY / "config.json").read_text()) | {"model_type": "gpt2"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="model_type='gpt2'"):
        onnx_model(tmp_path)


def test_a_replica_and_its_driver_need_no_torch():
    code = "import sys\nfrom course_utils.scale import load\nfrom course_utils.scale.cluster import replica, service\n"
    code += "print([name for name in ('torch', 'transformers', 'ray') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


# --- continuous batching ------------------------------------------------------------------------------------


def run(settings, work):
    async def main():
        engine = Engine(Decoder(onnx_model(TINY), settings.max_running), settings)
        try:
            return await work(engine)
        finally:
            engine.close()

    return asyncio.run(main())


async def answer(engine, name, prompt, tokens, **sampling):
    sequence = engine.submit(name, prompt, Sampling(tokens, ignore_end=True, **sampling))
    return [token async for part in engine.stream(sequence) for token in part]


@pytest.mark.parametrize("settings", [EngineSettings(4, 16), EngineSettings(8, 256), EngineSettings(1, 64)])
def test_a_sequence_gets_the_same_tokens_in_any_company(settings):
    """Many join and leave while others run, and prompts come in chunks."""
    texts = prompts(14)

    async def work(engine):
        alone = [await answer(engine, f"alone-{i}", text, 3 + i) for i, text in enumerate(texts)]
        return alone, await asyncio.gather(
            *(answer(engine, f"together-{i}", text, 3 + i) for i, text in enumerate(texts))
        )

    alone, together = run(settings, work)
    assert alone == together
    assert [len(tokens) for tokens in alone] == list(range(3, 17))


def test_the_batch_is_never_larger_than_max_running_and_no_step_longer_than_its_tokens(monkeypatch):
    settings = EngineSettings(max_running=3, step_tokens=10)
    steps = []
    real = Decoder.step

    def recorded(self, first_row, tokens, past):
        steps.append((first_row + len(tokens), tokens.size))
        return real(self, first_row, tokens, past)

    monkeypatch.setattr(Decoder, "step", recorded)

    async def work(engine):
        await asyncio.gather(*(answer(engine, str(i), text, 6) for i, text in enumerate(prompts(9))))

    run(settings, work)
    assert max(rows for rows, _ in steps) == 3
    assert max(tokens for _, tokens in steps) <= 10


def test_a_repeated_request_id_joins_the_first_and_is_computed_once():
    async def work(engine):
        first = engine.submit("same", prompts(1)[0], Sampling(5))
        assert engine.submit("same", prompts(1)[0], Sampling(5)) is first
        once = await answer(engine, "same", prompts(1)[0], 5)
        again = await answer(engine, "same", prompts(1)[0], 5)
        return once, again, len(engine._known)

    once, again, known = run(EngineSettings(), work)
    assert once == again
    assert known == 1


def test_another_request_under_a_known_id_gets_its_own_answer():
    async def work(engine):
        one, other = prompts(2)
        return [
            await answer(engine, request_id, prompt, 5)
            for request_id, prompt in (("same", one), ("same", other), ("else", other))
        ]

    _, under_the_same, alone = run(EngineSettings(), work)
    assert under_the_same == alone


def test_a_reader_who_leaves_frees_the_row_and_may_come_back():
    async def work(engine):
        sequence = engine.submit("left", prompts(1)[0], Sampling(400, ignore_end=True))
        async for _ in (stream := engine.stream(sequence)):
            break
        await stream.aclose()
        assert sequence.finish_reason == "cancelled"
        other = await asyncio.wait_for(answer(engine, "other", prompts(1)[0], 3), 5)
        return other, await answer(engine, "left", prompts(1)[0], 3)

    other, back = run(EngineSettings(max_running=1, step_tokens=64), work)
    assert other == back


def test_beyond_max_waiting_requests_are_refused():
    async def work(engine):
        for i in range(3):
            engine.submit(str(i), prompts(1)[0], Sampling(300, ignore_end=True))
            await asyncio.sleep(0.1)
        with pytest.raises(QueueFull, match="2 requests wait already"):
            engine.submit("one too many", prompts(1)[0], Sampling(5))

    run(EngineSettings(max_running=1, step_tokens=64, max_waiting=2, step_at_least_s=0.05), work)


def test_draws_are_the_same_for_the_same_seed_and_differ_for_others():
    async def work(engine):
        ways = [{"seed": 1}, {"seed": 1}, {"seed": 2}]
        return [
            await answer(engine, str(i), prompts(1)[0], 12, temperature=1.0, **way)
            for i, way in enumerate(ways)
        ]

    first, same, other = run(EngineSettings(), work)
    assert first == same != other


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"max_running": 0}, "max_running=0"),
        ({"max_running": 8, "step_tokens": 8}, "step_tokens=8"),
        ({"step_at_least_s": -1}, "step_at_least_s=-1"),
    ],
)
def test_settings_that_make_no_engine_are_refused_by_name(settings, word):
    with pytest.raises(ValueError, match=word):
        EngineSettings(**settings)


# --- the completion shape -----------------------------------------------------------------------------------


def ask(tokenizer, **body):
    return read_ask(json.dumps(body).encode(), "id", "tiny", tokenizer, 512)


def test_a_prompt_is_a_text_or_tokens(tokenizer):
    text = ask(tokenizer, prompt="def open(")
    assert ask(tokenizer, prompt=text.prompt.tolist()).prompt.tolist() == text.prompt.tolist()
    assert text.sampling.max_tokens == 16


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "prompt"),
        ({"prompt": ""}, 400, "prompt"),
        ({"prompt": [1, 4096]}, 400, "prompt"),
        ({"prompt": [1.5]}, 400, "prompt"),
        ({"prompt": "a", "max_tokens": 0}, 400, "max_tokens"),
        ({"prompt": "a", "max_tokens": 513}, 400, "max_tokens"),
        ({"prompt": [7] * 512}, 400, "max_tokens"),
        ({"prompt": "a", "temperature": 3}, 400, "temperature"),
        ({"prompt": "a", "seed": "x"}, 400, "seed"),
        ({"prompt": "a", "n": 2}, 400, "n"),
        ({"prompt": "a", "stop": ["\n"]}, 400, "stop"),
        ({"prompt": "a", "model": "gpt-4"}, 404, "model"),
    ],
)
def test_what_is_not_served_is_refused_in_openais_shape(tokenizer, body, status, field):
    with pytest.raises(Refused) as caught:
        ask(tokenizer, **body)
    assert caught.value.status == status
    error = caught.value.body()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == field


def test_values_that_change_nothing_are_taken(tokenizer):
    ask(tokenizer, prompt="a", n=1, top_p=1, stop=None, presence_penalty=0, user="me")


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(tokenizer, body):
    with pytest.raises(Refused, match="JSON"):
        read_ask(body, "id", "tiny", tokenizer, 512)


def test_parts_of_a_stream_add_up_to_the_text_also_where_a_letter_takes_several_tokens(tokenizer):
    text = "naïve café → ∑ 漢字"
    tokens = tokenizer.encode(text).ids
    one = Answer("id", "tiny", 5, tokenizer)
    parts = [one.add([token]) for token in tokens] + [one.add([], is_last=True)]
    assert "".join(parts) == text
    assert not any("\ufffd" in part for part in parts)
    assert one.usage() == {
        "prompt_tokens": 5,
        "completion_tokens": len(tokens),
        "total_tokens": 5 + len(tokens),
    }


# --- its step times -----------------------------------------------------------------------------------------


def test_measured_step_times_grow_with_tokens_and_know_the_engines_limits():
    times = measured_step_times(EngineSettings(max_running=4, step_tokens=64))
    assert times.decode_s[0] == times.mixed_s[0] == 0
    assert (np.diff(times.decode_s) >= 0).all()
    assert times.mixed_s[64] > times.mixed_s[1]
    assert (times.max_running, times.step_tokens, times.kv_tokens) == (4, 64, 4 * 512)
    assert "measured here" in times.label


def test_a_stretched_step_lasts_as_long_as_was_asked_whatever_is_in_it():
    times = measured_step_times(EngineSettings(step_at_least_s=5.0))
    assert set(times.decode_s[1:]) == set(times.mixed_s[1:]) == {5.0}
    assert times.cache_s_per_token == times.attention_s_per_pair == 0
