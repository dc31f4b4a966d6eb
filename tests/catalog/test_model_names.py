import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog.model_names import spellings, words
from course_utils.catalog.models import model, models


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Llama-3-8B", "Llama-3.1-8B"),
        ("llama2-70b", "Llama-2-70B"),
        ("llama2-70b-99.9", "Llama-2-70B"),
        ("Meta-Llama-3-70B-Instruct", "Llama-3.1-70B"),
        ("Llama 3.3 70B", "Llama-3.1-70B"),
        ("Llama-3_1-8b", "Llama-3.1-8B"),
        ("llama31-8b", "Llama-3.1-8B"),
        ("Llama v3.1 405B", "Llama-3.1-405B"),
        ("hugging-quants/Meta-Llama-3.1-405B-Instruct-AWQ-INT4", "Llama-3.1-405B"),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "Llama-3.1-70B"),
        ("neuralmagic/Meta-Llama-3.1-70B-Instruct-quantized.w4a16", "Llama-3.1-70B"),
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "Llama-3.1-8B"),
        ("TheBloke/Mixtral-8x7B-Instruct-v0.1-AWQ", "Mixtral-8x7B"),
        ("Mistral 7B", "Mistral-7B-v0.1"),
        ("Mistral-7B-Instruct-v0.2", "Mistral-7B-v0.3"),
        ("Mistral-Large-Instruct-2411", "Mistral-Large-123B"),
        ("Mistral-Small-3.1-24B-Instruct-2503", "Mistral-Small-24B"),
        ("Qwen2.5-72B-Instruct-GPTQ-Int4", "Qwen2.5-72B"),
        ("Qwen3-235B-A22B-Instruct-2507-FP8", "Qwen3-235B-A22B"),
        ("nvidia/Qwen3-32B-NVFP4", "Qwen3-32B"),
        ("QwQ-32B-Preview", "Qwen2.5-32B"),
        ("DeepSeek-R1-Distill-Qwen-32B", "Qwen2.5-32B"),
        ("deepseek-r1-distill-llama-70b", "Llama-3.1-70B"),
        ("nvidia/DeepSeek-R1-0528-FP4-v2", "DeepSeek-R1"),
        ("deepseek-v3.1", "DeepSeek-V3"),
        ("moonshotai/Kimi-K2.5", "Kimi-K2"),
        ("MiniMax-M2.5", "MiniMax-M2"),
        ("gpt-oss", "gpt-oss-120b"),
        ("GLM-4.6", "GLM-4.5"),
        ("zai-org/GLM-5-FP8", "GLM-5"),
        ("google/gemma-3-27b-it", "Gemma-3-27B"),
        ("phi-4", "Phi-4"),
        ("Yi-34B-Chat", "Yi-34B"),
        ("codellama/CodeLlama-34b-Instruct-hf", "CodeLlama-34B"),
        ("EleutherAI/gpt-j-6B", "GPT-J-6B"),
        ("falcon-180b-chat", "Falcon-180B"),
        ("bigscience/bloom", "BLOOM-176B"),
        ("Qwen/Qwen3.5-397B-A17B-FP8", "Qwen3.5-397B-A17B"),
    ],
)
def test_names_resolve_as_people_write_them(said, meant):
    assert model(said).name == meant


@pytest.mark.parametrize(
    ("said", "listed"),
    [
        ("llama 70b", "Llama-2-70B, Llama-3.1-70B"),
        ("Mixtral", "Mixtral-8x7B, Mixtral-8x22B"),
        ("Llama-2", "Llama-2-7B, Llama-2-13B"),
    ],
)
def test_a_name_that_fits_several_shapes_lists_them(said, listed):
    with pytest.raises(ValueError, match=f"fits several models: {listed}"):
        model(said)


@pytest.mark.parametrize("said", ["Qwen3-3B", "Llama-3.1-9B", "Qwen1.5-72B", "Gemma-3-270m"])
def test_another_size_is_never_taken_for_one_that_exists(said):
    with pytest.raises(ValueError, match="no such model"):
        model(said)


@given(
    shape=st.sampled_from(models()),
    tail=st.sampled_from(["", "-Instruct", "-FP8", "-AWQ", "-GPTQ-Int4", "-w4a16"]),
)
def test_every_model_is_found_under_any_organisation_and_suffix(shape, tail):
    assert model(f"someone/{shape.name}{tail}") is shape


def test_no_alias_means_two_models():
    meant = {}
    for shape in models():
        for alias in (shape.name, *shape.aliases):
            assert meant.setdefault(spellings(alias)[0], shape) is shape, alias
            assert model(alias) is shape


def test_a_version_keeps_its_point_however_it_is_written():
    assert words("Llama-3_1-8B") == words("llama v3.1 8b") == ["llama", "3.1", "8b"]
    assert words("Llama-2-7B") == ["llama", "2", "7b"]
