"""A cache that is parked in the host's memory: what fetching it back costs, against computing it again.

Parked between two turns of a conversation, a cache must cross the link once; that competes with a new prefill.
Kept there *while* decoding, it crosses at every step, which bounds tokens per second by the link.
Links: data/host_links.csv. Taught in: chapter 07.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from course_utils.catalog.accelerators import Accelerator
from course_utils.catalog.models import ModelShape
from course_utils.catalog.provenance import read_rows
from course_utils.estimate.memory import kv_bytes


@dataclass(frozen=True)
class HostLink:
    """What joins a chip to the memory beside it: bytes per second in one direction, as published."""

    link: str
    bytes_per_s: float
    source: str
    as_of: date
    chips: tuple[str, ...] = ()
    note: str = ""


@lru_cache(maxsize=1)
def host_links() -> dict[str, HostLink]:
    """All links, by name."""
    return {row.link: row for row in read_rows("host_links.csv", HostLink)}


def fetch_s(shape: ModelShape, context_tokens: float, link_bytes_per_s: float, kv_bits: float = 16) -> float:
    """Seconds to bring one sequence's cache over a link: bytes over bytes per second."""
    if not link_bytes_per_s > 0:
        raise ValueError(f"link_bytes_per_s={link_bytes_per_s!r}: above 0 is needed, such as 32e9")
    return kv_bytes(shape, context_tokens, kv_bits) / link_bytes_per_s


def recompute_s(
    shape: ModelShape, context_tokens: float, chip: Accelerator, utilization: float = 0.5
) -> float:
    """Seconds to compute it again: 2 FLOP a weight and token, and attention's 4 × layers × width × tokens² / 2, at a
    share of the dense 16-bit peak. ValueError for a chip without one."""
    peak = chip.bf16_flop_per_s or chip.fp16_flop_per_s
    if not peak:
        raise ValueError(f"chip={chip.name!r}: no dense 16-bit peak is published for it")
    if not 0 < utilization <= 1:
        raise ValueError(f"utilization={utilization!r}: above 0 and at most 1 is needed")
    linear = 2.0 * shape.active_parameters * context_tokens
    attention = 2.0 * shape.kv_layers * shape.heads * shape.head_dim * context_tokens**2
    return (linear + attention) / (peak * utilization)


def break_even_bytes_per_s(
    shape: ModelShape, context_tokens: float, chip: Accelerator, utilization: float = 0.5, kv_bits: float = 16
) -> float:
    """The link from which on fetching beats computing again."""
    return kv_bytes(shape, context_tokens, kv_bits) / recompute_s(shape, context_tokens, chip, utilization)


def steps_per_s_over_link(
    shape: ModelShape, context_tokens: float, sequences: int, link_bytes_per_s: float, kv_bits: float = 16
) -> float:
    """The most decode steps per second where every step reads all caches over the link."""
    if sequences < 1:
        raise ValueError(f"sequences={sequences!r}: at least 1 is needed")
    return 1 / (sequences * fetch_s(shape, context_tokens, link_bytes_per_s, kv_bits))
