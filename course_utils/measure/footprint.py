"""How big is it really? Bytes of what is saved, and the peak of memory while something runs.

A library's own estimate counts what it knows about: packed codes without their scales, or the reverse. A file has
one size.
Taught in: chapter 03.
"""

import contextlib
import gc
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WEIGHT_FILES = (".safetensors", ".onnx", ".onnx_data", ".data", ".bin", ".pt", ".gguf")
_SAMPLE_S = 0.005


@dataclass(frozen=True)
class Saved:
    """`weights_bytes`: files of weights. `total_bytes`: with tokenizer and configuration. `files`: each one."""

    weights_bytes: int
    total_bytes: int
    files: dict[str, int]

    def __str__(self) -> str:
        return f"{self.weights_bytes / 1e6:,.1f} MB of weights, {self.total_bytes / 1e6:,.1f} MB in all"


@dataclass(frozen=True)
class Peak:
    """`result` of the call; resident bytes before it and at the highest. `method`: how that was seen.

    `added_bytes` is what the call needed on top. Memory that the process had freed but not returned is used
    again without being seen, so the figure is a lower bound; for a fair one measure in a fresh process.
    """

    result: Any
    before_bytes: int
    peak_bytes: int
    method: str

    @property
    def added_bytes(self) -> int:
        return max(0, self.peak_bytes - self.before_bytes)

    def __str__(self) -> str:
        return f"peak {self.peak_bytes / 1e6:,.0f} MB, {self.added_bytes / 1e6:,.0f} MB of it added ({self.method})"


def saved(path: Path | str) -> Saved:
    """Bytes on disk of a saved model: a folder with everything in it, or a single file.

    ValueError where nothing is there, or no file of weights.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"path={str(path)!r}: there is nothing; save the model first")
    found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    root = path.parent if path.is_file() else path
    files = {file.relative_to(root).as_posix(): file.stat().st_size for file in found}
    weights = sum(size for name, size in files.items() if name.endswith(WEIGHT_FILES))
    if not weights:
        raise ValueError(f"path={str(path)!r} holds no weights ({', '.join(WEIGHT_FILES)})")
    return Saved(weights, sum(files.values()), files)


def saved_size(model, tokenizer=None) -> Saved:
    """Save `model` with its own `save_pretrained` into a folder that is thrown away, and count the bytes."""
    with tempfile.TemporaryDirectory(prefix="footprint-") as folder:
        model.save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        return saved(folder)


def tensors_size(tensors: dict) -> int:
    """Bytes of a safetensors file with these tensors: codes, scales and header. For packed weights of our own."""
    from safetensors.torch import save

    if not tensors:
        raise ValueError("tensors is empty: nothing to save")
    return len(save({name: tensor.contiguous() for name, tensor in tensors.items()}))


def peak_memory(call: Callable[[], Any]) -> Peak:
    """Run `call` and watch this process's resident memory.

    On Linux the kernel's own high-water mark is reset and read: nothing is missed. Elsewhere memory is looked at
    every 5 ms.
    """
    import psutil

    gc.collect()
    process = psutil.Process()
    exact = _reset_mark()
    before = process.memory_info().rss
    seen = [before]
    stop = threading.Event()

    def watch():
        while not stop.wait(_SAMPLE_S):
            seen.append(max(seen.pop(), process.memory_info().rss))

    watcher = None if exact else threading.Thread(target=watch, daemon=True)
    if watcher:
        watcher.start()
    try:
        result = call()
    finally:
        stop.set()
        if watcher:
            watcher.join()
    peak = max(seen[0], process.memory_info().rss, (_mark() or 0) if exact else 0)
    return Peak(result, before, peak, "the kernel's mark" if exact else "looked at every 5 ms")


def peak_gpu_memory(call: Callable[[], Any]) -> Peak:
    """Run `call` and read torch's own mark of CUDA memory. ValueError without a CUDA device."""
    import torch

    if not torch.cuda.is_available():
        raise ValueError("torch sees no CUDA device: use peak_memory")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = call()
    torch.cuda.synchronize()
    return Peak(result, before, torch.cuda.max_memory_allocated(), "CUDA memory that torch allocated")


def proportional_bytes(process) -> int:
    """PSS where the system has it, else RSS; 0 for a process (psutil.Process) that has ended."""
    import psutil

    try:
        memory = process.memory_full_info()
        return getattr(memory, "pss", memory.rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def release_memory() -> None:
    """Give back what nobody holds any more: to the system where the C library can (glibc), and to the GPU.

    A model of some hundred MB that is dropped leaves holes in the process's heap, which it would keep for itself.
    """
    import ctypes

    gc.collect()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").malloc_trim(0)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _reset_mark() -> bool:
    """Linux: forget VmHWM. Not allowed everywhere, so the mark is read back."""
    if sys.platform != "linux":
        return False
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return False
    mark = _mark()
    return mark is not None and mark <= _resident() * 1.05 + 8e6


def _mark() -> int | None:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
