"""How fast can this machine read its memory, and multiply? Two measured roofs, in a few seconds.

Memory: three streams after STREAM (John McCalpin, "Memory Bandwidth and Machine Balance in Current High
Performance Computers", IEEE TCCA Newsletter, 1995). Multiplication: square matrix products by dtype.
Taught in: chapter 00.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from course_utils.measure.machine import last_level_cache_bytes
from course_utils.measure.runtime import device as course_device
from course_utils.measure.timing import Timing, time_call

# STREAM asks for arrays well above the last cache; Binder's 2 GB ask for not too much.
MIN_WORKING_SET_BYTES, MAX_WORKING_SET_BYTES = 128_000_000, 300_000_000
CACHES_IN_WORKING_SET = 8
# A product has to last this long to drown the price of starting it.
ENOUGH_MATMUL_S = 0.03
MATMUL_SIZES = (256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True)
class Roof:
    """What one kernel reached, in `unit` (bytes/s or FLOP/s).

    best          of the fastest sample: what the hardware gave when nothing was in the way
    median, lo, hi   of all samples, with the median's interval: what you mostly get
    """

    name: str
    unit: str
    best: float
    median: float
    lo: float
    hi: float
    confidence: float
    samples: int

    def __str__(self) -> str:
        scale, prefix = prefix_of(self.best)
        unit = f"{prefix}{self.unit.replace('bytes', 'B')}"
        return (
            f"{self.name:12} best {self.best / scale:6.1f}, median {self.median / scale:6.1f} {unit} "
            f"({self.confidence * 100:.0f} % interval {self.lo / scale:.1f} to {self.hi / scale:.1f}, "
            f"{self.samples} samples)"
        )


@dataclass(frozen=True)
class Roofs:
    """Both roofs of one device: the fastest of `streams`, and `matmuls` by dtype."""

    device: str
    threads: int
    working_set_bytes: int
    streams: tuple[Roof, ...]
    matmuls: Mapping[str, Roof]

    @property
    def bandwidth(self) -> Roof:
        """The fastest stream."""
        return max(self.streams, key=lambda roof: roof.best)

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Memory bandwidth: the fastest sample of the fastest stream, as STREAM reports it."""
        return self.bandwidth.best

    @property
    def flop_per_s(self) -> dict[str, float]:
        """Floating-point operations per second by dtype: the fastest sample."""
        return {dtype: roof.best for dtype, roof in self.matmuls.items()}

    def __str__(self) -> str:
        return "\n".join(map(str, (*self.streams, *self.matmuls.values())))


def measure_roofs(
    *,
    dtypes: Sequence[str] = ("fp32", "bf16"),
    seconds: float = 6.0,
    working_set_bytes: int | None = None,
    device: str | None = None,
    say: Callable[[str], object] | None = print,
) -> Roofs:
    """Measure memory bandwidth and FLOP/s with torch, on the GPU where the tier is "gpu", else on the CPU.

    seconds            time for all kernels together, without their warm-up
    working_set_bytes  memory that each stream goes through; default 8 last-level caches, 128 to 300 MB
    say                called with one line per kernel as it is measured; None for silence

    Streams, on fp32: `read` sums the whole working set (1 × its bytes), `copy` writes one half over the
    other (1 ×: half read, half written), `triad` is a = b + 3 c on thirds (1 ×). Bytes are those the program
    asked for. On a CPU an ordinary store first reads the line that it overwrites (write-allocate), which
    STREAM does not count either: the memory then carries 1.5 × the bytes of copy and 1.33 × those of triad.
    `read` has no such doubt, and it is what decoding does.

    fp32 is full fp32: TF32 stays off. ValueError for an unknown dtype, or a working set outside 1 MB to
    300 MB. RuntimeError without torch.
    """
    try:
        import torch
    except ImportError:
        raise RuntimeError("measuring needs torch: pip install torch") from None
    if unknown := set(dtypes) - set(TORCH_NAMES):
        raise ValueError(f"dtypes has {min(unknown)!r}, expected some of {', '.join(TORCH_NAMES)}")
    if not seconds > 0:
        raise ValueError(f"seconds is {seconds!r}, expected above 0")
    device = device or course_device()
    working_set_bytes = working_set_bytes or default_working_set_bytes()
    if not 1_000_000 <= working_set_bytes <= MAX_WORKING_SET_BYTES:
        raise ValueError(f"working_set_bytes is {working_set_bytes!r}, expected 1 MB to 300 MB")
    say = say or (lambda line: None)
    each_s = seconds / (3 + len(dtypes))

    streams = []
    for roof in _streams(torch, device, working_set_bytes, each_s):
        say(str(roof))
        streams.append(roof)
    matmuls = {}
    for dtype in dtypes:
        matmuls[dtype] = _matmul(torch, device, dtype, each_s)
        say(str(matmuls[dtype]))
    return Roofs(device, torch.get_num_threads(), working_set_bytes, tuple(streams), matmuls)


def default_working_set_bytes() -> int:
    wanted = CACHES_IN_WORKING_SET * last_level_cache_bytes()
    return min(max(wanted, MIN_WORKING_SET_BYTES), MAX_WORKING_SET_BYTES)


def _streams(torch, device: str, working_set_bytes: int, seconds: float):
    buffer = torch.ones(working_set_bytes // 4, dtype=torch.float32, device=device)
    half, third = len(buffer) // 2, len(buffer) // 3
    a2, b2 = buffer[:half], buffer[half : 2 * half]
    a3, b3, c3 = buffer[:third], buffer[third : 2 * third], buffer[2 * third : 3 * third]
    kernels = {
        "read": (4 * len(buffer), buffer.sum),
        "copy": (8 * half, lambda: a2.copy_(b2)),
        "triad": (12 * third, lambda: torch.add(b3, c3, alpha=3.0, out=a3)),
    }
    for name, (bytes_moved, kernel) in kernels.items():
        yield roof_of(name, "bytes/s", bytes_moved, _timed(kernel, seconds))


def _matmul(torch, device: str, dtype: str, seconds: float) -> Roof:
    kind = getattr(torch, TORCH_NAMES[dtype])
    for size in MATMUL_SIZES:
        left, right = (torch.full((size, size), 1 / 64, dtype=kind, device=device) for _ in range(2))
        product = _product(torch, left, right)
        # Start small: a CPU without bf16 instructions takes a hundred times as long.
        # And take the fastest of a few: one call that had to wait for a core says nothing about the size.
        if time_call(product, repeats=5, warmup=1, calls=1, max_seconds=0.5).fastest_s >= ENOUGH_MATMUL_S:
            break
    return roof_of(f"matmul {dtype}", "FLOP/s", 2 * size**3, _timed(product, seconds))


def _product(torch, left, right) -> Callable[[], object]:
    out = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=out)


def _timed(kernel: Callable[[], object], seconds: float) -> Timing:
    return time_call(kernel, repeats=51, max_seconds=seconds)


def roof_of(name: str, unit: str, work: float, timing: Timing) -> Roof:
    """The rate at which `work` (bytes or FLOP per call) was done."""
    return Roof(
        name,
        unit,
        best=work / timing.fastest_s,
        median=work / timing.median_s,
        lo=work / timing.hi_s,
        hi=work / timing.lo_s,
        confidence=timing.confidence,
        samples=len(timing.samples_s),
    )


def prefix_of(value: float) -> tuple[float, str]:
    """The power of a thousand that leaves `value` between 1 and 1000, and its SI prefix."""
    power = min(max(int(math.log10(value) // 3), 0), 5) if value > 0 else 0
    return 1000.0**power, ("", "k", "M", "G", "T", "P")[power]
