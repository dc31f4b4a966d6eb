"""What is believed of each constant before any table is read, and how far engines, chips and precisions may differ.

A constant is log-normal: `value` is its median for a 16-bit dense model on a fabric-linked chip, and the spreads
are standard deviations of its logarithm (0.1 is about 10 %) for the common value and for each kind of factor.
Values: roofline measurements of decode kernels (bandwidth 0.77), of large products (0.67 of the dense peak in BF16,
0.55 in FP8, 0.50 in FP4), of all-reduces (some 10 us on NVLink, 75 us over PCIe).
"""

from dataclasses import dataclass
from math import log

DIMENSIONS = ("pool", "engine", "family", "precision", "link", "kind", "kind_precision", "engine_family")


@dataclass(frozen=True)
class Prior:
    value: float
    pool: float
    engine: float
    family: float = 0.0
    precision: float = 0.0
    link: float = 0.0
    kind: float = 0.0
    engine_family: float = 0.0
    kind_precision: float = 0.0


PRIORS = {
    "bandwidth": Prior(0.77, 0.12, 0.12, 0.12, 0.12, 0, 0, 0.10),
    "gemm": Prior(0.67, 0.15, 0.20, 0.20, 0.20, 0, 0, 0.15),
    "moe_gemm": Prior(0.60, 0.30, 0.30, 0.20, 0.25, 0, 0.20, 0.15),
    "kv": Prior(0.65, 0.25, 0.25, 0.20, 0.10, 0, 0.15, 0.10),
    "attention": Prior(0.43, 0.25, 0.60, 0.25, 0, 0, 0.25, 0.10),
    "decode_attention": Prior(0.12, 0.50, 0.40, 0.25, 0, 0, 0, 0.10),
    "activation_passes": Prior(4.0, 0.60, 0.60, 0.30, 0.20, 0, 0, 0),
    "allreduce_s": Prior(9e-6, 0.40, 0.40, 0.30, 0, 0.40, 0, 0.20),
    "link": Prior(0.50, 0.25, 0.25, 0.25, 0, 0.30, 0, 0),
    "step_s": Prior(1.0e-3, 0.60, 0.80, 0.30, 0, 0, 0, 0.20),
    # Some 11 kernels of about 3 us each, replayed from a graph. Per block of weights, a quantizer runs before each
    # product; with one scale a tensor it is part of another kernel: dense and expert models differ in which they use.
    "layer_s": Prior(35e-6, 0.30, 0.50, 0.40, 0.20, 0, 0.30, 0.20, 0.30),
    "moe_layer_s": Prior(25e-6, 0.40, 0.50, 0.40, 0.30, 0, 0.30, 0.20, 0.20),
    "eager": Prior(2.0, 0.60, 0.60),
    "sequence_s": Prior(5e-6, 0.80, 0.80, 0.30, 0, 0, 0, 0),
    "request_s": Prior(6e-3, 0.50, 0.60, 0.10, 0, 0, 0, 0),
    "loop_s": Prior(15e-3, 0.80, 0.80, 0.30, 0, 0, 0, 0.20),
    "wait_steps": Prior(1.0, 0.30, 0.25, 0, 0, 0, 0, 0),
    "queue": Prior(1.0, 0.60, 0.60, 0, 0, 0, 0, 0),
    "burst": Prior(0.10, 0.60, 0.60, 0, 0, 0, 0, 0),
    "interference": Prior(1.0, 0.20, 0.20, 0, 0, 0, 0.10, 0),
}
# Expected factors, where a label is known to differ from the reference of its dimension: log of the factor.
EXPECTED = {
    ("gemm", "precision", "fp8"): log(0.55 / 0.67),
    ("gemm", "precision", "fp4"): log(0.50 / 0.67),
    # Weights narrower than the chip can multiply are unpacked on the way.
    ("gemm", "precision", "fp4_unpacked"): log(0.80),
    ("gemm", "precision", "fp8_unpacked"): log(0.80),
    ("gemm", "precision", "int4"): log(0.80),
    ("allreduce_s", "link", "pcie"): log(75 / 13),
    # llama.cpp's kernels are written for cards with GDDR: on HBM chips they reach about 0.6 of the bandwidth
    # that they reach there, and without Hopper's own matrix instructions about half of its peak.
    ("bandwidth", "engine_family", ("llamacpp", "hopper")): log(0.65),
    ("bandwidth", "engine_family", ("llamacpp", "ampere")): log(0.75),
    ("gemm", "engine_family", ("llamacpp", "hopper")): log(0.5),
    ("gemm", "engine_family", ("llamacpp", "blackwell")): log(0.5),
    ("bandwidth", "engine_family", ("llamacpp", "blackwell")): log(0.65),
}
