"""Serving engines: what each does with memory by default, and how close each comes to a chip's limits.

The constants are fitted on published measurements by `make fit` and kept in `data/engines/`. A row's value is
the engine's constant times a factor for the chip family, one for the precision, one for the link, one for dense or
mixture-of-experts models and one for these in that precision. An engine or family without measurements gets the
pooled value.
"""

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache

from course_utils.catalog.accelerators import Accelerator
from course_utils.catalog.provenance import data_path

# name: unit and meaning. `fraction` constants lie below 1: nothing beats the data sheet.
CONSTANTS = {
    "bandwidth": "fraction of memory bandwidth reached when reading weights",
    "gemm": "fraction of the dense peak reached by large matrix products",
    "moe_gemm": "the same for products grouped by expert, relative to gemm",
    "kv": "fraction of memory bandwidth reached when reading the KV cache",
    "attention": "fraction of the 16-bit dense peak reached by prefill attention",
    "decode_attention": "the same for the products of decode attention, one query row per head",
    "activation_passes": "times that a layer moves its intermediate vectors through memory, per token",
    "allreduce_s": "seconds that one all-reduce takes beyond moving its bytes",
    "link": "fraction of the link's bandwidth reached by all-reduce",
    "step_s": "seconds of scheduling and sampling per step",
    "layer_s": "seconds of launches and synchronization per layer and step",
    "moe_layer_s": "more of the same per mixture-of-experts layer of 8 experts a token",
    "eager": "launches of a prefill, kernel by kernel, relative to a decode step replayed from a graph",
    "sequence_s": "seconds per running sequence and step",
    "request_s": "seconds per request before its prefill: HTTP, tokenizer, queue",
    "loop_s": "more of them in the mean of a closed loop, whose start meets cold caches and compilers",
    "wait_steps": "decode steps that pass before a new request's prefill starts",
    "queue": "waiting for other prefills, relative to an M/D/1 queue",
    "burst": "part of the other requests that arrive at the same moment in a closed loop",
    "interference": "part of a prefill's time that it takes from running sequences",
}
FRACTIONS = ("bandwidth", "gemm", "moe_gemm", "kv", "attention", "decode_attention", "link")


@dataclass(frozen=True)
class EngineSettings:
    """Defaults of one engine that decide memory and batching, from its documentation.

    `memory_of`: "total" (a fraction of the chip, weights included) or "free" (of what weights leave).
    `narrow_kv`: on which chips the KV cache is FP8 under FP8 and FP4 recipes, by default or in the recipes that the
    engine's makers publish: `all`, `fp4` (those with FP4 units) or `none`. `reserves_output`: a sequence is
    admitted only when its whole output fits. `reserved_bytes` go to CUDA's context, graphs and workspaces.
    `splits_layers`: several chips hold consecutive layers unless told otherwise. `half_accumulation`: products
    accumulate in FP16, which GeForce cards do at twice the rate that the catalog states for FP32 accumulation.
    """

    name: str
    memory_fraction: float
    memory_of: str
    narrow_kv: str
    max_batch: int
    step_tokens: int
    reserved_bytes: float = 2e9
    reserves_output: bool = False
    splits_layers: bool = False
    half_accumulation: bool = False


# TensorRT-LLM: free_gpu_memory_fraction 0.9 to 0.95, GUARANTEED_NO_EVICT, max_num_tokens 8192. vLLM and SGLang:
# gpu_memory_utilization 0.9, mem_fraction_static about 0.88. Others: their READMEs. `max_batch` lies above what the
# engines set by themselves (max_num_seqs 256 to 1024 in vLLM, max_batch_size 2048 in trtllm-bench), because who
# measures or sells throughput raises it: memory is what limits a batch here.
_ENGINES = {
    one.name: one
    for one in (
        EngineSettings("trtllm", 0.93, "free", "all", 4096, 8192, reserves_output=True),
        EngineSettings("vllm", 0.90, "total", "fp4", 2048, 8192),
        EngineSettings("sglang", 0.88, "total", "fp4", 2048, 8192),
        EngineSettings("atom", 0.90, "total", "all", 1024, 8192),
        EngineSettings(
            "llamacpp", 0.99, "total", "none", 256, 512, 2e8, splits_layers=True, half_accumulation=True
        ),
        EngineSettings("transformers", 0.95, "total", "none", 4096, 8192),
        EngineSettings("other", 0.90, "total", "none", 1024, 8192),
    )
}
_ALIASES = {
    "tensorrtllm": "trtllm",
    "tensorrt": "trtllm",
    "trt": "trtllm",
    "triton": "trtllm",
    "nim": "trtllm",
    "llamacpppython": "llamacpp",
    "llamaserver": "llamacpp",
    "llamabench": "llamacpp",
    "llamafile": "llamacpp",
    "ggml": "llamacpp",
    "koboldcpp": "llamacpp",
    "ctransformers": "llamacpp",
    "ollama": "llamacpp",
    "lmstudio": "llamacpp",
    "hf": "transformers",
    "huggingface": "transformers",
    "hftransformers": "transformers",
    "accelerate": "transformers",
    "pytorch": "transformers",
    "splitwise": "transformers",
    "sgl": "sglang",
}
# Engines that people name and that no table here measures: the pooled constants, with their wider interval.
_WITHOUT_TABLES = """
    tgi textgenerationinference huggingfacetgi hftgi lmdeploy turbomind mlc mlcllm jetstream maxtext neuron neuronx
    optimum optimumhabana deepspeed deepspeedmii deepspeedfastgen mii openvino exllama exllamav2 exllamav3 tabbyapi
    mlx mlxlm ktransformers lightllm rtpllm fastertransformer ctranslate2 flexgen onnxruntime max modular
    dynamo aphrodite nanoflow fireworks powerinfer other any unknown
"""
_UNMEASURED = tuple(_WITHOUT_TABLES.split())


@lru_cache(maxsize=1024)
def engine(name: str) -> EngineSettings:
    """Settings of the engine that `name` means, whatever its version: `vLLM 0.6`, `TensorRT-LLM v0.17`, `sglang-rocm`.

    ValueError offers the nearest names.
    """
    text = str(name).casefold()
    words = re.findall(r"[a-z]+(?:[-_. ]?(?:llm|cpp)\b)?", text)
    whole = (_key(text), _key(re.sub(r"[-_ ]?v?\d[\w.+]*", "", text)))
    # A scheduler's name may stand before the engine that it drives: dynamo-trt, mori-sglang.
    for keys in (whole, list(map(_key, words))):
        for key in keys:
            if key in _ENGINES or key in _ALIASES:
                return _ENGINES[_ALIASES.get(key, key)]
        if not set(keys).isdisjoint(_UNMEASURED):
            return _ENGINES["other"]
    known = [*_ENGINES, *_ALIASES, *_UNMEASURED]
    near = list(
        dict.fromkeys(_ALIASES.get(one, one) for one in get_close_matches(_key(text), known, n=4, cutoff=0.5))
    )
    raise ValueError(f"engine={name!r}: no such engine; nearest: {', '.join(near or list(_ENGINES))}")


def _key(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


def engines() -> tuple[EngineSettings, ...]:
    """Engines with settings of their own; `other` stands for any that isn't measured."""
    return tuple(_ENGINES.values())


def chip_family(chip: Accelerator) -> str:
    """Chips that share an architecture, and so efficiencies: `hopper`, `ada`, `cdna3`, `tpu`, …"""
    if chip.compute_capability:
        major, minor = (int(part) for part in chip.compute_capability.split(".")[:2])
        names = {7: "volta", 8: "ampere", 9: "hopper", 10: "blackwell", 12: "blackwell_rtx"}
        card = "geforce_" if is_geforce(chip) else ""
        if (major, minor) == (8, 9):
            return card + "ada"
        if (major, minor) == (8, 6):
            return card + "ampere" if card else "ampere_rtx"
        return names.get(major, "nvidia")
    if chip.vendor == "AMD":
        return "cdna4" if "35" in chip.name else "cdna3"
    if chip.vendor == "Apple":
        return "apple"
    return chip.kind if chip.kind != "gpu" else chip.vendor.casefold()


def is_geforce(chip: Accelerator) -> bool:
    """Gaming cards: RTX 3060 to 5090 by name, whose tensor cores accumulate in FP32 at half rate."""
    return bool(re.search(r"\b[345]0[5-9]0\b", chip.name))


def link_class(chip: Accelerator) -> str:
    """`pcie` where chips talk through the host, else `fabric` (NVLink, Infinity Fabric, ICI, …)."""
    return "pcie" if "pcie" in chip.link_name.casefold() or not chip.link_bytes_per_s else "fabric"


@cache
def fitted(name: str) -> dict:
    """The JSON of `data/engines/<name>.json`; of `pooled.json` for an engine that has no file."""
    try:
        path = data_path(f"engines/{name}.json")
    except ValueError:
        path = data_path("engines/pooled.json")
    return json.loads(path.read_text(encoding="utf-8"))


@lru_cache(maxsize=4096)
def constants(engine_name: str, family: str, recipe_family: str, link: str, kind: str) -> tuple[float, ...]:
    """Values of CONSTANTS, in its order, for one combination.

    The engine's constant x factors of family, precision, link and kind (`dense` or `moe`); a factor that isn't in
    the file is 1. A fraction is held at 0.98 or less.
    """
    own, pooled = fitted(engine_name), fitted("pooled")
    labels = {"family": family, "precision": recipe_family, "link": link, "kind": kind}
    labels["kind_precision"] = f"{kind}/{recipe_family}"
    values = []
    for name in CONSTANTS:
        value = own["constants"][name]["value"]
        for dimension, label in labels.items():
            value *= pooled["factors"].get(dimension, {}).get(label, {}).get(name, 1.0)
            value *= own.get("factors", {}).get(dimension, {}).get(label, {}).get(name, 1.0)
        values.append(min(value, 0.98) if name in FRACTIONS else value)
    return tuple(values)
