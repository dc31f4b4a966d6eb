import psutil
import pytest
import torch

from course_utils.measure.footprint import peak_memory, release_memory, saved, saved_size, tensors_size


def resident_bytes():
    return psutil.Process().memory_info().rss


def test_a_saved_model_is_as_big_as_its_files(random_model_folder):
    size = saved(random_model_folder)
    assert size.total_bytes == sum(f.stat().st_size for f in random_model_folder.rglob("*") if f.is_file())
    assert size.weights_bytes == (random_model_folder / "model.safetensors").stat().st_size
    assert "MB of weights" in str(size)


def test_a_single_file_is_counted_too(random_model_folder):
    path = random_model_folder / "model.safetensors"
    assert saved(path).total_bytes == path.stat().st_size


def test_half_the_bits_are_half_the_bytes(random_model):
    import copy

    full = saved_size(random_model.model, random_model.tokenizer)
    half = saved_size(copy.deepcopy(random_model.model).to(torch.bfloat16))
    assert half.weights_bytes == pytest.approx(full.weights_bytes / 2, rel=0.02)
    assert full.total_bytes > full.weights_bytes


def test_packed_weights_are_counted_with_their_scales():
    codes, scales = torch.zeros(256, 128, dtype=torch.uint8), torch.zeros(256, 2)
    size = tensors_size({"codes": codes, "scales": scales})
    assert 0 < size - (256 * 128 + 256 * 2 * 4) < 1000, "only the header comes on top"


def test_the_peak_sees_memory_that_is_gone_when_the_call_ends():
    peak = peak_memory(lambda: len(bytearray(b"\1") * 300_000_000))
    assert peak.result == 300_000_000
    assert peak.added_bytes > 250e6
    assert peak.method in str(peak)


def test_a_second_call_does_not_inherit_the_peak_of_the_first():
    peak_memory(lambda: len(bytearray(b"\1") * 300_000_000))
    assert peak_memory(lambda: None).added_bytes < 100e6


def test_what_was_dropped_is_given_back_and_what_is_held_stays():
    held, dropped = [], []
    for _ in range(2000):  # side by side, so that the heap can't just be cut off at its end
        dropped.append(bytearray(b"\1") * 100_000)
        held.append(bytearray(b"\1") * 1000)
    before = resident_bytes()
    dropped.clear()
    release_memory()
    assert before - resident_bytes() > 150e6
    assert all(len(piece) == 1000 for piece in held)


def test_an_error_in_the_call_comes_through():
    with pytest.raises(ZeroDivisionError):
        peak_memory(lambda: 1 / 0)


def test_nothing_saved_is_refused_with_the_path(tmp_path):
    with pytest.raises(ValueError, match="save the model first"):
        saved(tmp_path / "absent")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no weights"):
        saved(tmp_path)
    with pytest.raises(ValueError, match="tensors is empty"):
        tensors_size({})
