"""Chips that run models: memory, bandwidth, dense peak rates, power and link, one sourced row each.

Rates are dense. Makers often print the 2:4 sparse figure, twice as high: such rows say so in their note.
FP16 and FP8 rates are those with FP32 accumulation, because that is what serving engines use: GeForce cards
run it at half their headline rate.
"""

import re
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from typing import ClassVar

from course_utils.catalog.provenance import check_range, read_rows

DTYPES = ("fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp4")

# Words that people add and that tell two chips of the catalog apart nowhere.
_ADDED = """
    nvidia amd intel google aws apple geforce tesla instinct generation hgx dgx gpu gpus oam
    hbm2 hbm2e hbm3 hbm3e gddr6 gddr6x gddr7 cloud
"""
_FILLER = frozenset(_ADDED.split())
# Words that make another chip of a name: an RTX 4070 is no RTX 4070 Ti.
_VARIANT = frozenset({"ti", "super", "max", "ultra", "pro", "ada", "nvl"})


@dataclass(frozen=True)
class Accelerator:
    """One chip. None where the maker states nothing, or the chip can't.

    `memory_bytes` is what its own tool reports as total where that is known, else the stated GB taken as GiB
    (DRAM comes in powers of two). `link_bytes_per_s` is one direction, per chip, to its peers.
    """

    name: str
    vendor: str
    kind: str
    memory_bytes: int
    bandwidth_bytes_per_s: float
    fp32_flop_per_s: float | None
    tf32_flop_per_s: float | None
    fp16_flop_per_s: float | None
    bf16_flop_per_s: float | None
    fp8_flop_per_s: float | None
    int8_op_per_s: float | None
    fp4_flop_per_s: float | None
    tdp_w: float | None
    link_bytes_per_s: float | None
    link_name: str
    compute_capability: str | None
    aliases: tuple[str, ...]
    source: str
    as_of: date
    note: str = ""

    KEY: ClassVar = ("name",)

    def __post_init__(self):
        if self.kind not in ("gpu", "tpu", "npu", "cpu"):
            raise ValueError(f"kind={self.kind!r}: one of gpu, tpu, npu, cpu is needed")
        check_range("memory_bytes", self.memory_bytes, 1e9, 1e12)
        check_range("bandwidth_bytes_per_s", self.bandwidth_bytes_per_s, 1e9, 5e13)
        for dtype in DTYPES:
            check_range(_rate_field(dtype), getattr(self, _rate_field(dtype)), 1e10, 1e17)
        check_range("tdp_w", self.tdp_w, 5, 5000)
        check_range("link_bytes_per_s", self.link_bytes_per_s, 1e9, 1e13)

    @property
    def memory_gib(self) -> float:
        """Memory in GiB (2**30 bytes)."""
        return self.memory_bytes / 2**30

    def flop_per_s(self, dtype: str) -> float:
        """Dense peak, FLOP/s (operations/s for int8). ValueError where the chip has no such rate."""
        if dtype not in DTYPES:
            raise ValueError(f"dtype={dtype!r}: one of {', '.join(DTYPES)} is needed")
        rate = getattr(self, _rate_field(dtype))
        if rate is None:
            has = [one for one in DTYPES if getattr(self, _rate_field(one))]
            raise ValueError(f"dtype={dtype!r}: {self.name} has no such rate; it has {', '.join(has)}")
        return rate


def _rate_field(dtype: str) -> str:
    return f"{dtype}_op_per_s" if dtype == "int8" else f"{dtype}_flop_per_s"


def accelerators() -> tuple[Accelerator, ...]:
    """All chips of `data/accelerators.csv`, in the file's order."""
    return read_rows("accelerators.csv", Accelerator)


def accelerator(name: str) -> Accelerator:
    """The chip that `name` means: its name, an alias, what `nvidia-smi` prints, in any case and spacing.

    ValueError for a name that fits several chips (it lists them) or none (it offers the nearest).
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"name={name!r}: the name of a chip is needed, such as 'H100 SXM'")
    index = _index()
    if chip := index.get(_squeeze(name)):
        return chip
    words = frozenset(_words(name))
    several = [
        chip.name
        for chip in accelerators()
        if words and words <= (has := set(_words(chip.name))) and not (has - words) & _VARIANT
    ]
    if len(several) == 1:
        return accelerator(several[0])
    if several:
        raise ValueError(f"name={name!r} fits several chips: {', '.join(several)}")
    near = get_close_matches(_squeeze(name), index, n=5, cutoff=0.5)
    offer = list(dict.fromkeys(index[key].name for key in near))[:3]
    if not offer:
        raise ValueError(
            f"name={name!r}: no such chip in the catalog of {len(accelerators())}, nor one named alike"
        )
    raise ValueError(f"name={name!r}: no such chip in the catalog; nearest: {', '.join(offer)}")


@lru_cache(maxsize=1)
def _index() -> dict[str, Accelerator]:
    index: dict[str, Accelerator] = {}
    for chip in accelerators():
        for name in (chip.name, *chip.aliases):
            key = _squeeze(name)
            if index.setdefault(key, chip) is not chip:
                raise ValueError(f"{name!r} means both {index[key].name} and {chip.name} in accelerators.csv")
    return index


def _words(name: str) -> list[str]:
    """'NVIDIA A100-SXM4-80GB' -> [a100, sxm, 80gb]: what tells chips apart, without fillers."""
    text = re.sub(r"(\d+)\s*gi?b?\b", r"\1gb", name.casefold().replace("_", " "))
    text = re.sub(r"sxm\d\b", "sxm", text)
    return [word for word in re.findall(r"[a-z0-9.]+", text) if word not in _FILLER]


def _squeeze(name: str) -> str:
    return "".join(_words(name))
