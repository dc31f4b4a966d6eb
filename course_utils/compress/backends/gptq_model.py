"""GPTQ as people run it: transformers' GPTQConfig, optimum's calibration, gptqmodel's kernels.

It converts a whole causal language model, layer after layer, on texts that you give it, and saves a folder in
the layout of the hub. The course's own GPTQ is in `compress.gptq`, short enough to read.
Taught in: chapter 04.
"""

import os
import shutil
import tempfile
import warnings
import weakref
from pathlib import Path

from course_utils.whole_files import whole

# gptqmodel starts a worker per core of the host; on 2 cores that crashes while it loads.
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")

# Faster kernels repack the codes in place once a model is ready, and a checkpoint of those can't be read back.
# So a model is quantized and written with the kernel that leaves them alone, then read with the one asked for.
SAVEABLE = "torch"


def apply(model, *, tokenizer, dataset, bits: int, group_size: int, desc_act: bool, kernel: str):
    """The model in `bits` bits.

    model       a transformers model for text (it has save_pretrained and a config)
    tokenizer   the model's own
    dataset     calibration texts: a list of strings, not empty
    kernel      gptqmodel's name of the kernel that runs it: "auto", "torch", "marlin", …
    """
    _check(model, tokenizer, dataset, group_size)
    from transformers import GPTQConfig

    config = GPTQConfig(
        bits=bits,
        tokenizer=tokenizer,
        dataset=list(dataset),
        group_size=group_size,
        desc_act=desc_act,
        act_group_aware=False,
        backend=SAVEABLE,
    )
    folder = Path(tempfile.mkdtemp(prefix="gptq-"))
    try:
        # transformers quantizes while it reads a checkpoint: the original goes through a folder, untouched.
        model.save_pretrained(folder / "original")
        quantized = _read(folder / "original", config, dtype=model.dtype, device_map=str(model.device))
        shutil.rmtree(folder / "original")
        quantized.save_pretrained(folder / "quantized")
        del quantized
        converted = load(folder / "quantized", kernel, str(model.device))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    converted.gptq_folder = str(folder / "quantized")
    weakref.finalize(converted, shutil.rmtree, folder, ignore_errors=True)
    return converted


def saved_bytes(converted) -> int:
    """Bytes of the weights' files that `save` writes."""
    return sum(file.stat().st_size for file in Path(converted.gptq_folder).glob("*.safetensors"))


def save(converted, path: Path) -> int:
    """Write a folder as the hub has them; returns the bytes of its weights."""
    with whole(path) as part:
        shutil.copytree(converted.gptq_folder, part)
    return saved_bytes(converted)


def load(path: Path, kernel: str = "auto", device: str = "cpu"):
    """The model that `save` wrote, or any GPTQ checkpoint in a folder."""
    if not (path / "config.json").is_file():
        raise ValueError(f"{path} has no config.json, expected the folder of a saved model")
    from transformers import AutoConfig, GPTQConfig

    kept = AutoConfig.from_pretrained(path).quantization_config
    config = GPTQConfig(bits=kept["bits"], group_size=kept["group_size"], backend=kernel)
    return _read(path, config, dtype="auto", device_map=device).eval()


def _read(folder: Path, config, **options):
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        # Its own config wins but for the kernel, as it should.
        warnings.filterwarnings("ignore", message="You passed `quantization_config`")
        return AutoModelForCausalLM.from_pretrained(folder, quantization_config=config, **options)


def _check(model, tokenizer, dataset, group_size: int) -> None:
    if not hasattr(model, "save_pretrained"):
        raise ValueError(
            f"model is a {type(model).__name__}, expected a transformers model: gptq converts whole models"
        )
    if tokenizer is None:
        raise ValueError(
            "tokenizer is None, expected the model's own: calibration texts have to become tokens"
        )
    if isinstance(dataset, str) or not dataset:
        raise ValueError(f"dataset is {dataset!r}, expected a list of calibration texts with at least one")
    width = model.config.hidden_size
    if group_size != -1 and (group_size < 1 or width % group_size):
        raise ValueError(f"a group size of {group_size} does not divide the model's hidden size {width}")
