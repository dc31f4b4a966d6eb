"""What people write for a model, reduced to what tells models apart.

Repositories carry an organisation, tables leave dashes out, quantizers add suffixes. `spellings` gives the forms
under which a name is looked up, from its own to its barest; the first that the catalog knows wins.
"""

import re

# Words that say how a checkpoint was tuned, packed or stored; none changes the shape.
_SUFFIXES = """
    instruct chat it hf base text preview thinking nonthinking moe dev meta aka model official exp kv cache pt ptpc
    fp8 fp4 nvfp4 mxfp4 mxfp8 bf16 fp16 float16 bfloat16 int8 int4 w4a16 w8a8 w8a16 w4a8 w4a4 w4afp8 awq gptq gguf ggml
    exl2 mlx bnb 4bit 8bit 16bit q4 q8 f16 q40 q4km q4ks q5km q6k q80 k m s quantized dynamic static block tensor e4m3
    autoround marlin autofp8 a8 turbo tee unsloth original latest v0.1 v1 v1.0 v2 99 99.9
"""
_NOISE = frozenset(_SUFFIXES.split())
_DATE = re.compile(r"(?:0[1-9]|1[0-2])[0-3]\d|2[3-9](?:0[1-9]|1[0-2])|20\d{6}|20\d\d|1124|0125|128e|16e|1m")


def words(name: str) -> list[str]:
    """'meta-llama/Llama-3_1-8B-Instruct' -> [llama, 3.1, 8b, instruct]: the organisation goes, letters part from
    version numbers, and a dash or underscore within a version is a point."""
    text = name.casefold().strip().rstrip("/").split("/")[-1]
    text = re.sub(r"[‐-―]", "-", text)
    text = re.sub(r"(?<=\d)b(\d+)b\b", r"b-\1b", text)
    # Llama-3_1, Qwen2-5: one version, but not the 2 and the 7 of Llama-2-7B.
    text = re.sub(r"(?<=[a-z])([- _]?v?)(\d)[_-](\d)(?=[- _]\d)", r"\1\2.\3", text)
    text = re.sub(r"\bllama[- _]?3([123])(?=[- _]\d)", r"llama 3.\1", text)
    text = re.sub(r"\b(llama|qwen|gemma|phi|glm|deepseek)[- _]?v(?=\d)", r"\1 ", text)
    return re.findall(
        r"v\d+(?:\.\d+)*|a\d+b\b|\d+x\d+b|[kmr]\d+(?:\.\d+)?(?![a-z\d])|q\d_[a-z\d_]+|w\d+a\w*\d+"
        r"|nvfp4|mxfp[48]|e\d+m\d+|b?f(?:p|loat)\d+|int\d+|f16|\d+bit|\d+(?:\.\d+)?[a-z]*|[a-z]+\+?",
        text,
    )


def spellings(name: str) -> list[str]:
    """Keys to look up in turn: the whole name, then without its noise, then without a date or variant."""
    every = words(name)
    kept = [word for word in every if word.replace("_", "") not in _NOISE] or every
    undated = kept[:1] + [word for word in kept[1:] if not _DATE.fullmatch(word)]
    return list(dict.fromkeys("".join(one) for one in (every, kept, undated)))


def fitting(name: str, known: dict[str, list[str]]) -> list[str]:
    """The names of `known` (name -> its words) that hold every word of `name` but its noise; shortest first."""
    wanted = {
        word for word in words(name) if word.replace("_", "") not in _NOISE and not _DATE.fullmatch(word)
    }
    fits = [label for label, has in known.items() if wanted and wanted <= set(has)]
    return sorted(fits, key=lambda label: len(known[label]))
