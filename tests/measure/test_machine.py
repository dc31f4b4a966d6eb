import os
import platform
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.measure import machine
from course_utils.measure.machine import capability, describe, environment, memory, usable_cores, where

GIB = 2**30


def container(root, *, cgroup: str, files: dict[str, str]):
    """A /proc and /sys with a process in `cgroup` and these control files."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_this_machine_is_described_without_torch_where_there_is_no_gpu_driver():
    code = (
        "import sys; from course_utils.measure import describe, environment; "
        "here = describe(); environment(); print(here.gpu is None, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() in (["True", "False"], ["False", "True"])


def test_description_is_complete_and_plausible():
    here = describe()
    assert here.cpu
    assert 0 < here.cores_usable <= os.cpu_count()
    assert here.cores_physical >= 1
    assert here.memory_bytes > GIB / 4
    assert 0 < here.memory_available_bytes <= here.memory_bytes
    assert here.python == platform.python_version()
    assert here.where in ("Colab", "Binder", "local")
    for shown in (here.cpu, here.capability, here.python, here.where):
        assert shown in str(here)


def test_environment_fits_on_one_line_and_dates_it():
    line = environment()
    assert "\n" not in line
    assert line.rsplit(" ", 1)[1].count("-") == 2
    assert describe().capability in line


def test_binder_s_two_gigabytes_are_read_from_its_control_group_version_2(tmp_path):
    root = container(
        tmp_path,
        cgroup="0::/\n",
        files={
            "memory.max": f"{2 * GIB}\n",
            "memory.current": f"{GIB}\n",
            "memory.stat": f"anon 1\ninactive_file {GIB // 4}\n",
        },
    )
    total, available = memory(256 * GIB, 200 * GIB, root, {})
    assert total == 2 * GIB
    assert available == 2 * GIB - (GIB - GIB // 4)  # the page cache can go


def test_control_groups_of_version_1_are_read_as_well(tmp_path):
    root = container(
        tmp_path,
        cgroup="4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n",
        files={
            # Inside a container the path is the host's and only the mount's top is there.
            "memory/memory.limit_in_bytes": f"{2 * GIB}",
            "memory/memory.usage_in_bytes": f"{GIB}",
            "memory/memory.stat": f"inactive_file 0\ntotal_inactive_file {GIB // 2}\n",
            "cpu,cpuacct/cpu.cfs_quota_us": "50000",
            "cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )
    assert memory(64 * GIB, 32 * GIB, root, {}) == (2 * GIB, 2 * GIB - GIB // 2)
    assert usable_cores(root, {}) == 0.5


def test_the_tightest_limit_on_the_way_up_counts(tmp_path):
    root = container(
        tmp_path,
        cgroup="0::/pod/me\n",
        files={
            "pod/memory.max": f"{3 * GIB}",
            "pod/me/memory.max": "max",
            "pod/me/memory.current": "7",
            "pod/cpu.max": "max 100000",
            "pod/me/cpu.max": "25000 100000",
        },
    )
    assert memory(64 * GIB, 32 * GIB, root, {}) == (3 * GIB, 3 * GIB)
    assert usable_cores(root, {}) == 0.25


def test_a_hub_s_limits_count_too(tmp_path):
    assert memory(64 * GIB, 32 * GIB, tmp_path, {"MEM_LIMIT": str(2 * GIB)}) == (2 * GIB, 2 * GIB)
    assert usable_cores(tmp_path, {"CPU_LIMIT": "0.5"}) == 0.5
    assert usable_cores(tmp_path, {"CPU_LIMIT": ""}) == usable_cores(tmp_path, {})


@given(st.integers(1, 2**45), st.integers(0, 2**45))
def test_without_limits_the_host_s_memory_counts_and_free_never_exceeds_total(total, available):
    # A root without /proc and /sys stands for macOS and Windows.
    assert memory(total, available, machine.Path("no-such-root"), {}) == (total, min(total, available))


def test_no_limit_of_version_1_is_not_taken_for_memory(tmp_path):
    root = container(
        tmp_path, cgroup="4:memory:/\n", files={"memory/memory.limit_in_bytes": f"{2**63 - 4096}"}
    )
    assert memory(8 * GIB, 4 * GIB, root, {}) == (8 * GIB, 4 * GIB)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"COLAB_RELEASE_TAG": "release-colab_20260801"}, "Colab"),
        ({"BINDER_LAUNCH_HOST": "https://mybinder.org/"}, "Binder"),
        ({}, "local"),
    ],
)
def test_where_we_are_is_read_from_the_environment(environ, expected):
    assert where(environ) == expected


def test_capability_names_the_instruction_set_and_what_helps_low_precision():
    code = (
        "from course_utils.measure.machine import capability as c\n"
        "print(c(frozenset({'avx2', 'avx512f', 'avx512_bf16', 'avx512_vnni', 'amx_tile'}), 'x86_64'))\n"
        "print(c(frozenset({'avx2'}), 'x86_64'))\n"
        "print(c(frozenset({'asimd', 'asimddp', 'bf16'}), 'aarch64'))\n"
        "print(c(frozenset(), 'x86_64'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["AVX512, bf16, VNNI, AMX", "AVX2", "NEON, bf16, VNNI", "DEFAULT"]


def test_once_torch_is_loaded_its_own_word_counts():
    import torch

    assert capability(frozenset(), "x86_64") == torch.backends.cpu.get_cpu_capability()


def test_the_last_cache_is_the_largest_that_the_system_lists(tmp_path):
    for index, size in enumerate(["32K", "1024K", "36M"]):
        folder = tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{index}"
        folder.mkdir(parents=True)
        (folder / "size").write_text(size + "\n")
    assert machine.last_level_cache_bytes(tmp_path) == 36 * 2**20
    assert machine.last_level_cache_bytes(tmp_path / "nowhere") == 32 * 2**20
