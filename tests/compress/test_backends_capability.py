"""What runs here, and one sentence for what doesn't."""

import os
import subprocess
import sys

import pytest

from course_utils.compress.backends import Here, Needs, apply, backend, backends, here, listing, why_not

T4 = Here("AVX2", "Tesla T4", (7, 5))
H100 = Here("AVX512, bf16, VNNI", "H100", (9, 0))


def test_here_says_the_instruction_set_that_torch_uses():
    import torch

    assert torch.backends.cpu.get_cpu_capability() in here().cpu_features


def test_listing_opens_with_the_cpu_capability_and_names_every_backend():
    first, *lines = listing().splitlines()
    assert here().cpu in first
    assert [line.split()[0] for line in lines] == [one.name for one in backends()]
    assert all("runs here" in line or "not here, because it needs" in line for line in lines)


def test_every_backend_available_here_has_code_that_loads():
    for one in backends():
        if one.available():
            assert one.implementation() is not None


@pytest.mark.parametrize(
    ("needs", "at", "sentence"),
    [
        (
            Needs(cpu=("AVX512",)),
            Here("AVX2, VNNI"),
            "it needs a CPU with AVX512, and torch finds AVX2, VNNI here",
        ),
        (
            Needs(compute_capability=(8, 9)),
            Here("AVX512"),
            "capability 8.9 or above, and torch sees no GPU here",
        ),
        (
            Needs(compute_capability=(8, 9)),
            T4,
            "it needs compute capability 8.9 or above, and this Tesla T4 has 7.5",
        ),
        (Needs(("no_such_package",), "onnx"), H100, 'not installed: pip install "course-utils[onnx]"'),
        (Needs(("torch.no_such_part",)), H100, "which this version of torch no longer has"),
        (Needs(("no_such.part",), "gptq"), H100, 'not installed: pip install "course-utils[gptq]"'),
    ],
)
def test_the_reason_says_what_is_missing(needs, at, sentence):
    assert sentence in why_not(needs, at)


@pytest.mark.parametrize("at", [T4, H100, Here("DEFAULT")])
def test_a_reason_is_one_line(at):
    for one in backends():
        assert "\n" not in (one.why_not(at) or "")


def test_fp8_runs_on_an_h100_and_not_on_a_t4():
    assert backend("fp8").available(H100)
    assert not backend("fp8").available(T4)


def test_int4_needs_vectors_and_fp32_does_not():
    assert backend("int4").available(Here("AVX2"))
    assert not backend("int4").available(Here("DEFAULT"))
    assert backend("fp32").available(Here("DEFAULT"))


def test_what_cannot_run_here_is_refused_with_its_reason():
    import torch

    missing = [one for one in backends() if not one.available()]
    for one in missing:
        with pytest.raises(RuntimeError, match=f"^{one.name} does not run here: it needs"):
            apply(torch.nn.Linear(64, 64), one.name)


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(ValueError, match="backend is 'nf4', expected one of bnb-nf4"):
        backend("nf4")


def test_a_cpu_without_vectors_runs_bf16_and_refuses_int4_and_no_library_is_imported_for_that():
    code = """
import sys
import torch
from course_utils.compress.backends import apply, listing
print(listing())
linear = torch.nn.Linear(64, 64)
apply(linear, "bf16")(torch.zeros(1, 64))
try:
    apply(linear, "int4")
except RuntimeError as error:
    print(error)
print(sorted({"transformers", "bitsandbytes", "onnxruntime", "onnx", "gptqmodel"} & set(sys.modules)))
"""
    environ = {**os.environ, "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    first, *_, refusal, imported = ran.stdout.splitlines()
    assert first.startswith("CPU capability DEFAULT")
    assert refusal.startswith(
        "int4 does not run here: it needs a CPU with AVX512 or AVX2, and torch finds DEFAULT"
    )
    assert imported == "[]"
