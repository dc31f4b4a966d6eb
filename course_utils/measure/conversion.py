"""A GGUF file turned into safetensors, once, in the user's cache: dequantizing takes long, reading doesn't."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def converted(gguf: Path, name: str) -> Path:
    """The folder of the user's cache that holds `gguf` as safetensors; made on first use, in 15 to 20 s.

    In float16, which keeps eight times finer steps than bfloat16: the grid of the 4-bit weights stays visible.
    """

    def make(folder: Path) -> None:
        import torch
        from safetensors.torch import save_file
        from transformers import AutoModelForCausalLM, AutoTokenizer

        where = {"gguf_file": gguf.name, "local_files_only": True}
        with quiet():
            AutoTokenizer.from_pretrained(str(gguf.parent), **where).save_pretrained(folder)
            model = complete(
                AutoModelForCausalLM.from_pretrained(
                    str(gguf.parent), dtype=torch.float16, output_loading_info=True, **where
                )
            )
        # transformers counts the dequantized model as quantized still, and refuses to save it.
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.config.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        weights = model.state_dict()
        if model.config.tie_word_embeddings:
            weights.pop("lm_head.weight", None)  # the embedding's own storage: once is enough
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return made_whole(cache_folder() / name, make)


def made_whole(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, filled by `make` where it isn't there. It appears complete or not at all, whoever else makes it."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part-", dir=folder.parent))
    try:
        make(part)
        part.chmod(0o755)
        part.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was first, and its folder is as good
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def cache_folder() -> Path:
    """Where converted models are kept: COURSE_CACHE, or this system's place for caches."""
    if asked := os.environ.get("COURSE_CACHE"):
        return Path(asked).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "course-utils"


def complete(loaded: tuple):
    """The model, if every weight was in the file: transformers draws those that are missing at random."""
    model, information = loaded
    if missing := sorted(information["missing_keys"]):
        raise ValueError(
            f"the saved model lacks {len(missing)} weights, {missing[0]} first: fetch or save it again"
        )
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' bars of a second and its advice: a chapter's output is what the chapter says."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
