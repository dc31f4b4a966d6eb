"""What chapters run on a GPU: which model in which type, its bytes, and about how long it takes.

All of it follows from the GPU's own description (name, memory, compute capability), so that a T4 can be answered for
where none is at hand. Bytes are derived by `estimate.memory`, seconds predicted by `estimate.predict`: no chapter has
been measured on a T4 or an A100.
Taught in: chapter 03, section 6.
"""

from dataclasses import dataclass
from datetime import date

from course_utils.catalog.accelerators import accelerator
from course_utils.catalog.models import ModelShape, model
from course_utils.estimate.memory import activation_bytes, kv_bytes, weights_bytes
from course_utils.estimate.predict import predict
from course_utils.measure.machine import Gpu

# Largest first. The smallest is what chapters run on a CPU.
MODELS = ("SmolLM2-1.7B", "SmolLM2-360M", "SmolLM2-135M")
LARGEST = "largest that fits"
# What Colab lends (August 2026); the smaller decides whether a chapter fits.
DECLARED = ("T4", "A100 SXM 40GB")

# bf16 has units since compute capability 8.0. Below, torch computes it in fp32 by way of conversions: 1.85 times as
# long as fp32 itself on a GTX 1080 (github.com/kubeedge/ianvs issue 888), while `torch.cuda.is_bf16_supported()` says
# True, also on a T4 (github.com/MakazhanAlpamys/Soup issue 385; github.com/pytorch/pytorch pull 148322). All read
# 2026-12-01. So the type goes by the compute capability.
BF16_SINCE = (8, 0)

ROOM = 0.9  # of the memory: the rest is for what others hold, and for holes between blocks
CONTEXT_BYTES = 0.6e9  # CUDA's context and the workspaces of its libraries: assumed
# At once in memory, in fp32: the model, one that is changed, and statistics or a second one that is changed.
COPIES = 3


def half_dtype(gpu: Gpu | None) -> str:
    """torch's name of the 16-bit type to use: bfloat16, or float16 on a GPU that has no units for it."""
    return "float16" if gpu is not None and _capability(gpu) < BF16_SINCE else "bfloat16"


def _capability(gpu: Gpu) -> tuple[int, int]:
    major, minor = gpu.compute_capability.split(".")
    return int(major), int(minor)


@dataclass(frozen=True)
class Work:
    """Runs of one model over `batch` × `tokens`.

    model    a name of the catalog, or LARGEST
    half     16-bit weights; else fp32
    runs     forward runs; a step of training counts as three (forward, and twice that much backward)
    copies   of the weights in memory at once; 4 for a model that Adam trains (weights, gradients, two moments)
    """

    model: str
    half: bool
    batch: int
    tokens: int
    runs: int
    copies: float


# Runs of 03, 06 and 07 were counted by a hook on a CPU, 2026-12-01; those of 04 and 12 are read off their cells.
# Chapters 00 and 12 time kernels besides, within seconds of their own.
GPU_WORK: dict[int, tuple[Work, ...]] = {
    3: (Work(LARGEST, False, 1, 128, 22, COPIES),),
    4: (Work(LARGEST, False, 8, 128, 3, 1),),
    6: (
        Work("SmolLM2-360M", False, 8, 128, 41, 1),
        Work("SmolLM2-135M", False, 4, 128, 3 * 92 + 30, 2 * 4),  # two students in training
    ),
    7: (Work("SmolLM2-135M", True, 1, 192, 2, 1),),
    # Eleven variants: eight sequences to calibrate on and 24 windows of 256 tokens each.
    12: (Work(LARGEST, False, 4, 256, 11 * 8, COPIES),),
}


# What chapter 12 times on a GPU: eight of the 32 layers of an 8-billion model, so that their copy in 32 bits fits
# beside them in 15 GB.
TIMED = ModelShape(
    name="eight layers of an 8B",
    layers=8,
    hidden_size=4096,
    heads=64,
    kv_heads=16,
    head_dim=64,
    intermediate_size=14_336,
    vocab_size=4096,
    max_context=4096,
    tied_embeddings=True,
    source="chosen for the course: random weights",
    as_of=date(2026, 12, 1),
)
# Beside or instead of trained models: chapter 00's largest matrices (three of 8192 × 8192, in fp32), chapter 12's TIMED
# in 16 and in 32 bits.
TIMED_BYTES = {0: 3 * 4 * 8192.0**2, 12: weights_bytes(TIMED, "fp16") + weights_bytes(TIMED, "fp32")}


def largest(gpu: Gpu) -> ModelShape:
    """The largest of MODELS of which COPIES fit in fp32, beside a batch of chapter 12."""
    for name in MODELS:
        if _bytes(model(name), Work(name, False, 4, 256, 1, COPIES)) <= ROOM * gpu.memory_bytes:
            return model(name)
    return model(MODELS[-1])


@dataclass(frozen=True)
class Need:
    """What a chapter needs of one GPU: its trained models with their type, the most bytes of the GPU's memory, seconds
    of the models' runs with the upper end of their 80 % interval, bytes that the hub sends the first time.
    """

    models: tuple[str, ...]
    memory_bytes: float
    seconds: float
    seconds_hi: float
    fetched_bytes: float

    def __str__(self) -> str:
        size = f"{self.memory_bytes / 1e9:.1f} GB"
        if not self.models:
            return size
        took = f"about {self.seconds:.0f} s" if self.seconds >= 1 else "less than a second"
        late = f" (up to {self.seconds_hi:.0f})" if self.seconds_hi >= 1.5 else ""
        return f"{' and '.join(self.models)}, {size}, {took} of runs{late}"


def need(chapter: int, gpu: Gpu) -> Need:
    """What the chapter runs on `gpu`; nothing where it leaves it alone.

    The GPU is taken to be the catalog's chip of that name; ValueError where there is none.
    """
    models, memory, seconds, late, fetched = [], CONTEXT_BYTES, 0.0, 0.0, 0.0
    for work in GPU_WORK.get(chapter, ()):
        shape = largest(gpu) if work.model == LARGEST else model(work.model)
        dtype = {"bfloat16": "bf16", "float16": "fp16"}[half_dtype(gpu)] if work.half else "fp32"
        models.append(f"{shape.name} in {dtype}")
        memory += _bytes(shape, work) - CONTEXT_BYTES
        one = predict(
            shape,
            gpu.name,
            precision_name=dtype,
            isl=work.tokens,
            osl=1,
            engine_name="transformers",
            load=f"batch={work.batch}",
        )
        seconds += work.runs * one.ttft_ms / 1e3
        late += work.runs * one.ttft_ms_hi / 1e3
        fetched += weights_bytes(shape, "bf16")  # the hub's files
    memory = max(memory, CONTEXT_BYTES + TIMED_BYTES.get(chapter, 0))
    return Need(tuple(models), memory, seconds, late, fetched)


def _bytes(shape: ModelShape, work: Work) -> float:
    """Weights, cache, logits (in fp32, and once more as probabilities) and activations of a run."""
    bits, tokens = 16 if work.half else 32, work.batch * work.tokens
    return (
        CONTEXT_BYTES
        + work.copies * weights_bytes(shape, "fp16" if work.half else "fp32")
        + work.batch * kv_bytes(shape, work.tokens, bits)
        + 2 * 4 * tokens * shape.vocab_size
        + bits / 16 * activation_bytes(shape, tokens)
    )


def described(name: str) -> Gpu:
    """A chip of the catalog as the machine would describe it. ValueError where the catalog lacks it."""
    chip = accelerator(name)
    return Gpu(chip.name, chip.memory_bytes, chip.compute_capability)


def declared(chapter: int) -> str:
    """For a chapter's head: what it takes on each of DECLARED. Empty where it leaves a GPU alone."""
    if chapter not in {*GPU_WORK, *TIMED_BYTES}:
        return ""
    needs = {name: need(chapter, described(name)) for name in DECLARED}
    said = " ".join(
        f"On {'an' * (name[0] == 'A') or 'a'} {name.split()[0]}: {one}." for name, one in needs.items()
    )
    fetched = max(one.fetched_bytes for one in needs.values()) / 1e9
    derived = "Bytes are derived, seconds predicted" if fetched else "Bytes are derived"
    first = f" The first time, the hub sends up to {fetched:.1f} GB." if fetched else ""
    return f"{said} {derived}; neither GPU was at hand. The rest takes as long as on a CPU.{first}"
