"""Can this machine run it? One check for all backends, which answers with the first reason why not.

Taught in: chapter 03.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from course_utils.measure import machine


@dataclass(frozen=True)
class Here:
    """What decides which kernels run on this machine.

    cpu     torch's instruction set, then help for bf16 and int8: "AVX512, bf16, VNNI"
    gpu     name of the first CUDA GPU, or None
    compute_capability   of that GPU: (7, 5) for a T4
    """

    cpu: str
    gpu: str | None = None
    compute_capability: tuple[int, int] | None = None

    @property
    def cpu_features(self) -> frozenset[str]:
        return frozenset(self.cpu.split(", "))


@dataclass(frozen=True)
class Needs:
    """What a backend can't do without.

    packages             modules that must be importable
    extra                the extra of this course that installs them
    cpu                  instruction sets, one of which torch must use; empty: any
    compute_capability   the least that a CUDA GPU must have; None: no GPU needed
    """

    packages: tuple[str, ...] = ()
    extra: str = "torch"
    cpu: tuple[str, ...] = ()
    compute_capability: tuple[int, int] | None = None


@cache
def here() -> Here:
    """This machine, asked once. Imports torch where it is installed: its word on the CPU decides."""
    if find_spec("torch"):
        import torch  # noqa: F401  describe() asks torch only once it is loaded
    found = machine.describe()
    if found.gpu is None:
        return Here(found.capability)
    major, minor = found.gpu.compute_capability.split(".")
    return Here(found.capability, found.gpu.name, (int(major), int(minor)))


def why_not(needs: Needs, at: Here | None = None) -> str | None:
    """One sentence that says what is missing and what would help; None where nothing is.

    `at` stands for this machine unless given.
    """
    for package in ("torch", *needs.packages):
        if not _importable(package):
            extra = "torch" if package == "torch" else needs.extra
            return _no_package(package, extra)
    at = at or here()
    if needs.cpu and not at.cpu_features & set(needs.cpu):
        wanted = " or ".join(needs.cpu)
        return f"it needs a CPU with {wanted}, and torch finds {at.cpu} here: use bf16 or another machine"
    if needs.compute_capability is None:
        return None
    least = ".".join(map(str, needs.compute_capability))
    if at.compute_capability is None:
        return f"it needs a CUDA GPU of compute capability {least} or above, and torch sees no GPU here"
    if at.compute_capability < needs.compute_capability:
        found = ".".join(map(str, at.compute_capability))
        return f"it needs compute capability {least} or above, and this {at.gpu} has {found}"
    return None


def _no_package(package: str, extra: str) -> str:
    if package.startswith("torch."):
        return f"it needs {package}, which this version of torch no longer has: use another backend"
    return f'it needs the package {package}, which is not installed: pip install "course-utils[{extra}]"'


def _importable(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the parent of a dotted name is missing
        return False
