"""What chapters choose on a GPU, from its description alone: no GPU is needed to know what a T4 gets."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog.accelerators import accelerators
from course_utils.catalog.models import model
from course_utils.estimate.memory import weights_bytes
from course_utils.measure import gpu_work
from course_utils.measure.gpu_work import MODELS, declared, described, half_dtype, largest, need
from course_utils.measure.machine import Gpu

CHAPTERS = sorted({*gpu_work.GPU_WORK, *gpu_work.TIMED_BYTES})
# Whatever Colab or a university lends: NVIDIA's, from a T4 on.
LENT = [
    chip.name
    for chip in accelerators()
    if chip.vendor == "NVIDIA" and float(chip.compute_capability or 0) >= 7.5 and chip.memory_bytes >= 15e9
]


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [("7.0", "float16"), ("7.5", "float16"), ("8.0", "bfloat16"), ("9.0", "bfloat16"), ("12.0", "bfloat16")],
)
def test_sixteen_bits_are_of_the_type_that_the_gpu_has_units_for(capability, dtype):
    assert half_dtype(Gpu("any", 16 * 2**30, capability)) == dtype


def test_a_cpu_computes_in_bf16():
    assert half_dtype(None) == "bfloat16"


def test_a_t4_gets_a_smaller_model_than_an_a100():
    assert largest(described("T4")).name == "SmolLM2-360M"
    assert largest(described("A100 SXM 40GB")).name == "SmolLM2-1.7B"
    assert largest(described("H100 SXM")).name == "SmolLM2-1.7B"


@given(st.integers(2 * 10**9, 200 * 10**9), st.integers(2 * 10**9, 200 * 10**9))
def test_more_memory_never_means_a_smaller_model_and_what_is_chosen_fits(one, other):
    less, more = (largest(Gpu("any", size, "8.0")) for size in sorted((one, other)))
    assert less.parameters <= more.parameters
    if less.name != MODELS[-1]:
        assert gpu_work.COPIES * weights_bytes(less, "fp32") < min(one, other)


@pytest.mark.parametrize("name", LENT)
def test_every_chapter_fits_with_room_on_every_gpu_from_a_t4_on(name):
    gpu = described(name)
    for chapter in CHAPTERS:
        assert need(chapter, gpu).memory_bytes <= gpu_work.ROOM * gpu.memory_bytes, chapter


def test_bytes_hold_the_weights_and_time_has_an_interval():
    t4 = need(3, described("T4"))
    assert t4.models == ("SmolLM2-360M in fp32",)
    assert t4.memory_bytes > gpu_work.COPIES * weights_bytes(model("SmolLM2-360M"), "fp32")
    assert 0 < t4.seconds < t4.seconds_hi
    assert t4.fetched_bytes == weights_bytes(model("SmolLM2-360M"), "bf16")


def test_a_chapter_that_leaves_a_gpu_alone_needs_nothing_and_says_nothing():
    assert need(1, described("T4")).models == ()
    assert declared(1) == ""


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapters_head_names_both_gpus_and_says_that_neither_was_measured(chapter):
    said = declared(chapter)
    assert "On a T4: " in said
    assert "On an A100: " in said
    assert " GB" in said
    assert "neither GPU was at hand" in said


def test_what_chapter_12_times_on_a_gpu_is_what_its_bytes_are_derived_from():
    from course_utils.decide.benchmark.measuring import shape_on
    from course_utils.measure.models import random_llama

    assert shape_on(described("T4")).dtype == "float16"
    assert shape_on(described("A100 SXM 40GB")).dtype == "bfloat16"
    assert shape_on(None).dtype == "float32"
    # One of its layers, at an eighth of its widths: counted as the catalog counts.
    wide = random_llama(512, 1, intermediate=14_336 // 8, device="cpu").model
    small = replace(
        gpu_work.TIMED, layers=1, hidden_size=512, heads=8, kv_heads=2, intermediate_size=14_336 // 8
    )
    assert sum(one.numel() for one in wide.parameters()) == small.parameters
