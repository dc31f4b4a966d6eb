"""What a precision means: bits of a weight with its scales, which tensors stay wide, which type multiplies.

A name such as `fp8` is a recipe, not one number: the embeddings stay in 16 bits, the scales of a block are extra,
and a chip without FP8 units multiplies in BF16 after unpacking.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from course_utils.catalog.accelerators import Accelerator


@dataclass(frozen=True)
class Precision:
    """One recipe. `weight_bits` are per quantized weight, scales included.

    `compute` is the type that multiplies where the chip has it. `embedding_bits` holds for token embeddings and
    the output matrix. `moe_attention_bits` holds for all that isn't an expert in a mixture of experts.
    `kv_bits` is what the recipe's users store in the KV cache if their engine follows the weights.
    """

    name: str
    family: str
    weight_bits: float
    compute: str
    embedding_bits: float
    moe_attention_bits: float
    kv_bits: int


# Scales: FP8 one FP32 per 128 x 128 block; NVFP4 one byte per 16; MXFP4 one byte per 32; INT4 one FP16 scale and
# a 4-bit zero per 128; Q4_K_M 4.85 bits on average, the other GGUF types as the README of llama.cpp's quantize says.
# FP4 recipes published for MoE models (DeepSeek-R1-NVFP4, gpt-oss) quantize the experts and keep attention in BF16.
_RECIPES = (
    Precision("fp32", "fp32", 32, "fp32", 32, 32, 32),
    Precision("fp16", "bf16", 16, "fp16", 16, 16, 16),
    Precision("bf16", "bf16", 16, "bf16", 16, 16, 16),
    Precision("fp8", "fp8", 8.002, "fp8", 16, 8.002, 8),
    Precision("int8", "int8", 8.1, "int8", 16, 8.1, 16),
    Precision("fp4", "fp4", 4.5, "fp4", 16, 16, 8),
    Precision("mxfp4", "fp4", 4.25, "fp4", 16, 16, 8),
    Precision("int4", "int4", 4.16, "bf16", 16, 16, 16),
    Precision("q2_k", "gguf", 3.16, "fp16", 3.16, 3.16, 16),
    Precision("q3_k_m", "gguf", 4.0, "fp16", 4.0, 4.0, 16),
    Precision("q4_0", "gguf", 4.64, "fp16", 4.64, 4.64, 16),
    Precision("q4_k_s", "gguf", 4.67, "fp16", 4.67, 4.67, 16),
    Precision("q4_k_m", "gguf", 4.85, "fp16", 4.85, 4.85, 16),
    Precision("q5_k_m", "gguf", 5.70, "fp16", 5.70, 5.70, 16),
    Precision("q6_k", "gguf", 6.56, "fp16", 6.56, 6.56, 16),
    Precision("q8_0", "gguf", 8.5, "fp16", 8.5, 8.5, 16),
)
_ALIASES = {
    recipe: name
    for name, written in {
        "fp32": "float32 f32 single full fullprecision",
        "fp16": "float16 f16 half fp16bf16 torchfloat16",
        "bf16": "bfloat16 16bit bf16fp16 torchbfloat16 a16w16 w16a16 none unquantized",
        "fp8": "w8a8fp8 fp8w8a8 fp8block fp8e4m3 fp8e5m2 e4m3 e5m2 float8 f8 fp8dynamic fp8static fp8pertensor "
        "fp8perchannel fp8blockscale fp8blockwise mxfp8 ptpcfp8 fp8kv fp8fp8 float8e4m3fn w8a8float",
        "int8": "w8a8 w8a8int8 int8w8a8 w8a16 int8wo int8sq smoothquant sq llmint8 8bit i8 bnb8bit gptqint8 gptq8bit",
        "fp4": "nvfp4 w4a4 fp4e2m1 e2m1 float4 modeloptfp4 nvfp4w4a4 fp4nvfp4 fp4fp8",
        "mxfp4": "w4a16mxfp4 mxfp4moe mxfp4a16 mxfp4w4a16 ocpmxfp4",
        "int4": "w4a16 int4wo int4weightonly uint4 awq awqint4 int4awq awq4bit awqw4a16 w4a16awq gptq "
        "gptqint4 int4gptq gptq4bit w4a16gptq nf4 bnb bnb4bit bitsandbytes 4bit i4 w4 marlin autoround w4afp8 w4a8 hqq "
        "awqmarlin gptqmarlin",
        "q4_k_m": "q4km q4 gguf q4k gguf4bit",
        "q4_k_s": "q4ks",
        "q4_0": "q40 iq4nl iq4xs",
        "q2_k": "q2k",
        "q3_k_m": "q3km q3",
        "q5_k_m": "q5km q5 q50 q5ks",
        "q6_k": "q6k q6",
        "q8_0": "q80 q8 gguf8bit",
    }.items()
    for recipe in written.split()
}
# What a chip multiplies in when it lacks the wanted type: the weights are unpacked first.
_FALLBACK = {
    "fp4": ("bf16", "fp16", "fp32"),
    "fp8": ("bf16", "fp16", "fp32"),
    "int8": ("bf16", "fp16", "fp32"),
    "bf16": ("fp16", "fp32"),
    "fp16": ("bf16", "fp32"),
    "fp32": (),
}


@cache
def precision(name: str) -> Precision:
    """The recipe that `name` means (`fp8`, `bf16`, `nvfp4`, `awq`, …). ValueError offers the nearest names."""
    index = {_key(one.name): one for one in _RECIPES}
    index |= {alias: index[_key(target)] for alias, target in _ALIASES.items()}
    key = _key(str(name))
    if key in index:
        return index[key]
    if key.startswith("gguf") and key[4:] in index:
        return index[key[4:]]
    near = [index[one].name for one in get_close_matches(key, index, n=3, cutoff=0.4)]
    offer = list(dict.fromkeys(near)) or [one.name for one in _RECIPES]
    raise ValueError(f"precision={name!r}: no such precision; nearest: {', '.join(offer)}")


def precisions() -> tuple[Precision, ...]:
    """All recipes, widest first within a kind."""
    return _RECIPES


def compute_type(chip: Accelerator, wanted: str) -> str:
    """The type that `chip` multiplies in when asked for `wanted`. ValueError if it publishes no rate at all."""
    for dtype in (wanted, *_FALLBACK[wanted]):
        if (chip.int8_op_per_s if dtype == "int8" else getattr(chip, f"{dtype}_flop_per_s")) is None:
            continue
        # B300 keeps INT8 units for show, 30 times slower than BF16 (NVIDIA HGX B300 data sheet).
        if dtype == "int8" and chip.bf16_flop_per_s and chip.int8_op_per_s < chip.bf16_flop_per_s:
            continue
        return dtype
    raise ValueError(f"gpu={chip.name!r}: the catalog has no compute rate for {wanted} or anything wider")


def _key(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
