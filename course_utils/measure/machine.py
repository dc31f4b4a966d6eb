"""What is this machine? What a result depends on: cores, instruction set, memory, GPU, versions.

In a container the host's figures mislead: Binder shows a host's 64 cores and 256 GB to a process that may use
2 and 2 GB. So limits of control groups, of the scheduler and of JupyterHub are read as well.
Taught in: chapter 00.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

# Control groups say "no limit" as a number near 2**63 (version 1) or as "max" (version 2).
_NO_LIMIT = 2**60


@dataclass(frozen=True)
class Gpu:
    name: str
    memory_bytes: int
    compute_capability: str


@dataclass(frozen=True)
class Machine:
    """`cores_usable` and both memory figures are what this process may use, not what the host has.

    cores_usable      a share may be fractional: 1.5 cores
    capability        the instruction set that torch's CPU kernels are chosen by, and what speeds up low
                      precision: "AVX512, bf16, VNNI"
    where             "Colab", "Binder" or "local"
    """

    cpu: str
    cores_physical: int
    cores_usable: float
    capability: str
    memory_bytes: int
    memory_available_bytes: int
    gpu: Gpu | None
    python: str
    torch: str | None
    where: str
    system: str

    def __str__(self) -> str:
        memory = f"{self.memory_bytes / 1e9:.1f} GB, {self.memory_available_bytes / 1e9:.1f} GB of it free"
        gpu = "none that torch can use"
        if self.gpu:
            gpu = f"{self.gpu.name}, {self.gpu.memory_bytes / 1e9:.1f} GB, "
            gpu += f"compute capability {self.gpu.compute_capability}"
        rows = {
            "Where": f"{self.where}, {self.system}",
            "CPU": self.cpu,
            "Cores": f"{self.cores_usable:g} for this process, {self.cores_physical} physical",
            "Capability": self.capability,
            "Memory": memory,
            "GPU": gpu,
            "Software": f"Python {self.python}, torch {self.torch or 'not installed'}",
        }
        return "\n".join(f"{name:11}{text}" for name, text in rows.items())


def describe() -> Machine:
    """What this process runs on. Imports torch only where a GPU may be found."""
    import psutil

    total, available = memory(psutil.virtual_memory().total, psutil.virtual_memory().available)
    return Machine(
        cpu=_cpu_name(),
        cores_physical=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        cores_usable=usable_cores(),
        capability=capability(_cpu_flags(), platform.machine()),
        memory_bytes=total,
        memory_available_bytes=available,
        gpu=find_gpu(),
        python=platform.python_version(),
        torch=_version("torch"),
        where=where(os.environ),
        system=f"{platform.system()} {platform.release()}",
    )


def environment() -> str:
    """What a measurement depends on, on one line: CPU or GPU, cores, capability, versions, threads, date."""
    here = describe()
    torch = sys.modules.get("torch")
    threads = f"{torch.get_num_threads()} threads" if torch else "not loaded"
    parts = [
        here.gpu.name if here.gpu else here.cpu,
        f"{here.cores_usable:g} cores",
        here.capability,
        f"torch {here.torch} ({threads})" if here.torch else "no torch",
        f"Python {here.python}",
        here.where,
        date.today().isoformat(),
    ]
    return " · ".join(parts)


def where(environ: Mapping[str, str]) -> str:
    """ "Colab", "Binder" or "local", from what each sets in the environment."""
    if "COLAB_RELEASE_TAG" in environ or "google.colab" in sys.modules:
        return "Colab"
    if "BINDER_LAUNCH_HOST" in environ or "BINDER_REPO_URL" in environ or "BINDER_SERVICE_HOST" in environ:
        return "Binder"
    return "local"


def usable_cores(root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> float:
    """Cores that this process may use: the fewest of the scheduler's, the control group's and the hub's.

    `root` is the folder that holds `proc` and `sys`.
    """
    try:
        shares = [float(len(os.sched_getaffinity(0)))]
    except AttributeError:  # macOS and Windows
        shares = [float(os.cpu_count() or 1)]
    for folder in _cgroups(root, "cpu"):
        quota, period = _cpu_quota(folder)
        if quota and period and quota > 0:
            shares.append(quota / period)
    shares += _hub_limit(environ, "CPU_LIMIT")
    return min(shares)


def memory(
    host_total: int, host_available: int, root: Path = Path("/"), environ: Mapping[str, str] | None = None
) -> tuple[int, int]:
    """Bytes that this process may use in all, and how many of them are free now.

    Page cache that a control group can drop at once counts as free, as it does on the host.
    """
    total, available = host_total, host_available
    for folder in _cgroups(root, "memory"):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        if not limit or limit >= _NO_LIMIT:
            continue
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
        droppable = _stat(folder / "memory.stat", "inactive_file", "total_inactive_file")
        total = min(total, limit)
        available = min(available, max(0, limit - max(0, used - droppable)))
    for limit in _hub_limit(environ, "MEM_LIMIT"):
        total = min(total, int(limit))
    return total, min(total, available)


def capability(flags: frozenset[str], architecture: str) -> str:
    """ "AVX512, bf16, VNNI": the instruction set (torch's word, once loaded), then help for bf16 and int8."""
    torch = sys.modules.get("torch")
    if torch is not None:
        base = torch.backends.cpu.get_cpu_capability()
    elif architecture.lower() in ("arm64", "aarch64"):
        base = "NEON"
    else:
        base = next((name for name in ("AVX512", "AVX2") if _widest(name) in flags), "DEFAULT")
    extras = {
        "bf16": {"avx512_bf16", "avx_ne_convert", "bf16"},
        "VNNI": {"avx512_vnni", "avx_vnni", "asimddp"},
        "AMX": {"amx_tile"},
    }
    return ", ".join([base, *(name for name, any_of in extras.items() if flags & any_of)])


def last_level_cache_bytes(root: Path = Path("/")) -> int:
    """Size of the largest cache of the first core; 32 MiB where the system doesn't say."""
    sizes = [_size(path) for path in root.glob("sys/devices/system/cpu/cpu0/cache/index*/size")]
    return max(sizes, default=0) or 32 * 2**20


def _widest(name: str) -> str:
    return {"AVX512": "avx512f", "AVX2": "avx2"}[name]


def find_gpu() -> Gpu | None:
    """The first GPU that torch can use; imports torch only where a driver has left its traces."""
    if not _may_have_gpu() or find_spec("torch") is None:
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return Gpu(properties.name, properties.total_memory, f"{properties.major}.{properties.minor}")


def _may_have_gpu() -> bool:
    """Whether asking torch is worth its import (a second, 220 MB)."""
    if "torch" in sys.modules or shutil.which("nvidia-smi"):
        return True
    traces = ("/proc/driver/nvidia", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
    return any(Path(trace).exists() for trace in traces)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith(("model name", "Hardware")):
            return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def _cpu_flags() -> frozenset[str]:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def _cgroups(root: Path, controller: str) -> list[Path]:
    """Folders of this process's control groups for a controller, its own and all above it."""
    folders = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controllers
            mount = mount if mount.is_dir() else root / "sys/fs/cgroup" / controller
        else:
            continue
        # Inside a container the path may be the host's, and only the mount itself be there.
        own = mount / path.strip().lstrip("/")
        folders += [each for each in (own, *own.parents) if each.is_relative_to(mount) and each.is_dir()]
    return folders


def _cpu_quota(folder: Path) -> tuple[int | None, int | None]:
    text = " ".join(_lines(folder / "cpu.max")).split()
    if len(text) == 2:
        return (None if text[0] == "max" else int(text[0])), int(text[1])
    return _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")


def _hub_limit(environ: Mapping[str, str] | None, name: str) -> list[float]:
    """JupyterHub's limit, where it sets one above 0."""
    try:
        limit = float((os.environ if environ is None else environ).get(name, ""))
    except ValueError:
        return []
    return [limit] if limit > 0 else []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _stat(path: Path, *names: str) -> int:
    rows = dict(line.split() for line in _lines(path) if len(line.split()) == 2)
    return int(next((rows[name] for name in reversed(names) if name in rows), 0))


def _size(path: Path) -> int:
    text = "".join(_lines(path)).strip()
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    return int(text[:-1]) * units[text[-1]] if text[:-1].isdigit() and text[-1:] in units else 0
