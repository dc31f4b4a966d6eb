"""Names in published tables, as catalog names; and shapes and chips that only those tables measure."""

from datetime import date
from functools import cache

from course_utils.catalog.accelerators import Accelerator, accelerator
from course_utils.catalog.models import ModelShape, model

MODELS = {
    "gpt-j 6b": "GPT-J-6B",
    "llama 7b": "Llama-2-7B",
    "llama 70b": "Llama-2-70B",
    "llama2-70b": "Llama-2-70B",
    "falcon 180b": "Falcon-180B",
    "bloom-176b": "BLOOM-176B",
    "mistral 7b": "Mistral-7B-v0.1",
    "mixtral 8x7b": "Mixtral-8x7B",
    "mistralai/mixtral-8x7b-v0.1": "Mixtral-8x7B",
    "mixtral 8x22b": "Mixtral-8x22B",
    "codellama/codellama-34b-instruct-hf": "CodeLlama-34B",
    "zhipuai/glm-5": "GLM-5",
    "qwen/qwen3.5-397b-a17b": "Qwen3.5-397B-A17B",
    # Same shape under a newer name.
    "moonshotai/kimi-k2.5": "Kimi-K2",
    "minimaxai/minimax-m2.5": "MiniMax-M2",
    "llama 3 8b": "Llama-3.1-8B",
    "llama 3 70b": "Llama-3.1-70B",
    "llama 3.1 8b": "Llama-3.1-8B",
    "llama 3.1 70b": "Llama-3.1-70B",
    "llama v3.1 8b": "Llama-3.1-8B",
    "llama v3.1 70b": "Llama-3.1-70B",
    "llama v3.1 405b": "Llama-3.1-405B",
    "llama 3.1 405b": "Llama-3.1-405B",
    "llama-3.1-405b fp8": "Llama-3.1-405B",
    "llama3.1-405b": "Llama-3.1-405B",
    "llama3_1-405b": "Llama-3.1-405B",
    "llama3.1-8b": "Llama-3.1-8B",
    "llama3_1-8b": "Llama-3.1-8B",
    "mixtral-8x7b": "Mixtral-8x7B",
    "deepseek-r1": "DeepSeek-R1",
    "llama 3.3 70b": "Llama-3.1-70B",
    "meta-llama/llama-3.1-8b": "Llama-3.1-8B",
    "meta-llama/llama-3.1-70b": "Llama-3.1-70B",
    "nvidia/llama-3.1-8b-instruct-fp8": "Llama-3.1-8B",
    "llama 4 scout": "Llama-4-Scout",
    "llama 4 maverick": "Llama-4-Maverick",
    "qwen/qwen3-30b-a3b-instruct-2507": "Qwen3-30B-A3B",
    "qwen/qwen3-235b-a22b-fp8": "Qwen3-235B-A22B",
    "nvidia/qwen3-32b-nvfp4": "Qwen3-32B",
    "nvidia/deepseek-r1-nvfp4": "DeepSeek-R1",
    "nvidia/deepseek-v3.1-nvfp4": "DeepSeek-V3",
    "nvidia/deepseek-r1-0528-fp4-v2": "DeepSeek-R1",
    "amd/deepseek-r1-0528-mxfp4-preview": "DeepSeek-R1",
    "deepseek-ai/deepseek-r1-0528": "DeepSeek-R1",
}
GPUS = {
    "a100": "A100 SXM 80GB",
    "gh200 480gb": "GH200 96GB",
    "h200 131gb hbm3": "H200 SXM",
    "h200 141gb hbm3": "H200 SXM",
    "rtx pro 6000 blackwell se": "RTX PRO 6000",
    "h100_sxm": "H100 SXM",
    "h200_sxm": "H200 SXM",
    "b200_sxm": "B200",
    "b300_sxm": "B300",
    "b200-trt": "B200",
    "mi355x-amd_0": "MI355X",
    "3090 24gb": "RTX 3090",
    "4090 24gb": "RTX 4090",
    "rtx a6000 48gb": "RTX A6000",
    "rtx 6000 ada 48gb": "RTX 6000 Ada",
}

_NAMES = "name repository layers hidden_size heads kv_heads head_dim intermediate_size vocab_size max_context"
# Shapes that the catalog lacks, as their makers describe them. They only serve to read these tables; those of GPT-J,
# CodeLlama, Falcon, BLOOM and part of Qwen3.5's (its mixer) are not checked against a config.json.
_SHAPES = (
    ("GPT-J-6B EleutherAI/gpt-j-6b 28 4096 16 16 256 16384 50400 2048", {"gated_mlp": False}),
    ("CodeLlama-34B codellama/CodeLlama-34b-Instruct-hf 48 8192 64 8 128 22016 32000 16384", {}),
    (
        "Falcon-180B tiiuae/falcon-180B 80 14848 232 8 64 59392 65024 2048",
        {"gated_mlp": False, "tied_embeddings": True},
    ),
    (
        "BLOOM-176B bigscience/bloom 70 14336 112 112 128 57344 250880 2048",
        {"gated_mlp": False, "tied_embeddings": True},
    ),
    (
        "GLM-5 zai-org/GLM-5 78 6144 64 64 256 12288 154880 202752",
        {"experts": 256, "experts_per_token": 8, "shared_experts": 1, "moe_intermediate_size": 2048}
        | {"dense_layers": 3, "kv_lora_rank": 512, "q_lora_rank": 2048, "qk_rope_head_dim": 64}
        | {"qk_nope_head_dim": 192, "v_head_dim": 256},
    ),
    (
        "Qwen3.5-397B-A17B Qwen/Qwen3.5-397B-A17B 60 4096 32 2 256 0 248320 262144",
        {"experts": 512, "experts_per_token": 10, "shared_experts": 1, "moe_intermediate_size": 1024}
        | {"attention_layers": 15, "mixer_parameters": 117_000_000, "state_values_per_layer": 1_048_576},
    ),
)
# Cards of one table that the catalog lacks: name, vendor, memory GB, bandwidth GB/s, 16-bit TFLOP/s (FP32
# accumulation), compute capability. Makers' nominal figures, not checked against a data sheet.
_CHIPS = (
    ("3070 8GB", "NVIDIA", 8, 448, 40.6, "8.6"),
    ("3080 10GB", "NVIDIA", 10, 760, 59.5, "8.6"),
    ("3080 Ti 12GB", "NVIDIA", 12, 912, 68.2, "8.6"),
    ("4070 Ti 12GB", "NVIDIA", 12, 504, 80.2, "8.9"),
    ("4080 16GB", "NVIDIA", 16, 717, 97.5, "8.9"),
    ("A40 48GB", "NVIDIA", 48, 696, 149.7, "8.6"),
    ("RTX 4000 Ada 20GB", "NVIDIA", 20, 360, 107, "8.9"),
    ("RTX 5000 Ada 32GB", "NVIDIA", 32, 576, 130.6, "8.9"),
    ("M1 7-Core GPU 8GB", "Apple", 8, 68, 2.3, None),
    ("M1 Max 32-Core GPU 64GB", "Apple", 64, 400, 10.6, None),
    ("M2 Ultra 76-Core GPU 192GB", "Apple", 192, 800, 27.2, None),
    ("M3 Max 40-Core GPU 64GB", "Apple", 64, 400, 14.2, None),
)


@cache
def table_model(name: str) -> ModelShape:
    """The shape that a table's model name means. ValueError for one that neither catalog nor this file has."""
    wanted = MODELS.get(name.casefold(), name)
    try:
        return model(wanted)
    except ValueError:
        for text, rest in _SHAPES:
            values = text.split()
            if values[0] == wanted:
                numbers = [int(value) for value in values[2:]]
                shape = dict(zip(_NAMES.split(), [*values[:2], *numbers], strict=True)) | rest
                return ModelShape(
                    **shape, source="maker's description, not checked", as_of=date(2026, 11, 24)
                )
        raise


@cache
def table_gpu(name: str) -> Accelerator:
    """The chip that a table's name means. ValueError for one that neither catalog nor this file has."""
    plain = name.replace("\u2011", "-").strip()
    try:
        return accelerator(GPUS.get(plain.casefold(), plain))
    except ValueError:
        for label, vendor, gb, bandwidth, tflop, capability in _CHIPS:
            if label.casefold() == plain.casefold():
                rate = tflop * 1e12
                return Accelerator(
                    label, vendor, "gpu", gb * 2**30, bandwidth * 1e9, None, None, rate, rate if capability else None,
                    None, None, None, None, None, "PCIe", capability, (), "", "nominal", date(2026, 11, 24),
                )  # fmt: skip
        raise
