"""The backends: what each is, what it needs, where its code lives.

Taught in: chapter 03, chapter 04.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module

from course_utils.compress.backends.capability import Here, Needs, here, why_not

NOTHING = Needs()


@dataclass(frozen=True)
class Backend:
    """One way to run linear layers.

    weight_bits    bits of a code; scales come on top
    home           "module:name" of what converts: a layer class, or for `whole_model` a module of functions
    options        what `apply` takes for it, with the defaults
    devices        torch devices that the model may be on
    """

    name: str
    what: str
    weight_bits: int
    home: str
    needs: Needs = NOTHING
    options: dict = field(default_factory=dict)
    devices: tuple[str, ...] = ("cpu",)
    whole_model: bool = False

    def why_not(self, at: Here | None = None) -> str | None:
        """Why it can't run on this machine (or on `at`), in a sentence; None where it can."""
        return why_not(self.needs, at)

    def available(self, at: Here | None = None) -> bool:
        return self.why_not(at) is None

    def implementation(self):
        """The class or module that converts; imports what it needs."""
        module, _, name = self.home.partition(":")
        loaded = import_module(f"{__package__}.{module}")
        return getattr(loaded, name) if name else loaded

    def __str__(self) -> str:
        reason = self.why_not()
        return (
            f"{self.name:13} {self.what}: {'runs here' if reason is None else f'not here, because {reason}'}"
        )


# A vector instruction set: without one, torch runs the int4 kernel as a scalar loop, slower than fp32.
_VECTOR = ("AVX512", "AVX2")
_BOTH = ("cpu", "cuda")
_ONNX = Needs(("onnx", "onnxruntime"), "onnx")
_GPTQ = ("transformers", "optimum", "gptqmodel")
_GPTQ_OPTIONS = {"tokenizer": None, "dataset": None, "bits": 4, "group_size": 128, "desc_act": False}

_BACKENDS = (
    Backend("fp32", "4 bytes a weight, the reference", 32, "torch_linear:Fp32Linear", devices=_BOTH),
    Backend("bf16", "weights and inputs rounded to bfloat16", 16, "torch_linear:Bf16Linear", devices=_BOTH),
    Backend(
        "dynamic-int8",
        "torch.ao's dynamic int8 (deprecated), inputs rounded as they come",
        8,
        "deprecated:DynamicInt8Linear",
        Needs(("torch.ao.quantization",)),
        {"per_channel": True},
    ),
    Backend(
        "int4",
        "torch's packed int4 matmul, bf16 inputs",
        4,
        "torch_linear:Int4Linear",
        Needs(cpu=_VECTOR),
        {"group_size": 128, "scheme": "zero_point", "quantized": None},
    ),
    Backend(
        "bnb-int8",
        "bitsandbytes LLM.int8(), outliers kept in fp16",
        8,
        "bitsandbytes_linear:BnbInt8Linear",
        Needs(("bitsandbytes",)),
        {"threshold": 6.0},
        _BOTH,
    ),
    Backend(
        "bnb-nf4",
        "bitsandbytes NF4, one scale per block",
        4,
        "bitsandbytes_linear:BnbNf4Linear",
        Needs(("bitsandbytes",)),
        {"block_size": 64},
        _BOTH,
    ),
    Backend("ort-int8", "ONNX Runtime dynamic int8", 8, "onnx_linear:OrtInt8Linear", _ONNX),
    Backend(
        "ort-int4",
        "ONNX Runtime MatMulNBits, int8 inputs",
        4,
        "onnx_linear:OrtInt4Linear",
        _ONNX,
        {"group_size": 128, "scheme": "zero_point", "quantized": None, "accuracy_level": 4},
    ),
    Backend(
        "gptq",
        "GPTQ by transformers, optimum and gptqmodel, a whole model",
        4,
        "gptq_model",
        Needs(_GPTQ, "gptq"),
        {**_GPTQ_OPTIONS, "kernel": "auto"},
        _BOTH,
        whole_model=True,
    ),
    Backend(
        "gptq-marlin",
        "the same with the Marlin int4 kernel for GPUs",
        4,
        "gptq_model",
        Needs(_GPTQ, "gptq", compute_capability=(8, 0)),
        {**_GPTQ_OPTIONS, "kernel": "marlin"},
        ("cuda",),
        whole_model=True,
    ),
    Backend(
        "fp8",
        "float8 weights and inputs on tensor cores",
        8,
        "fp8_linear:Fp8Linear",
        Needs(compute_capability=(8, 9)),
        devices=("cuda",),
    ),
)


def backends() -> tuple[Backend, ...]:
    """All of them, whether or not they run here."""
    return _BACKENDS


def backend(name: str) -> Backend:
    """The backend of that name; ValueError offers the nearest names."""
    for one in _BACKENDS:
        if one.name == name:
            return one
    names = [one.name for one in _BACKENDS]
    near = get_close_matches(str(name), names) or names
    raise ValueError(f"backend is {name!r}, expected one of {', '.join(near)}")


def listing() -> str:
    """The CPU and GPU that decide, then a line per backend, with the reason where it doesn't run."""
    at = here()
    gpu = f"{at.gpu}, compute capability {'.'.join(map(str, at.compute_capability))}" if at.gpu else "no GPU"
    return "\n".join([f"CPU capability {at.cpu}; {gpu}", *map(str, _BACKENDS)])
