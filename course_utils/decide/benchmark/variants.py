"""What the lab can measure: ways to store a model in fewer bits, each with the kernel that would run it.

A name says it all: `gptq4` is GPTQ to 4 bits in groups of 64, `rtn3-g128` plain rounding to 3 bits in groups of 128.
RTN, GPTQ and AWQ choose codes, a *kernel* multiplies them, and only some bits have one: 3-bit codes, and 8-bit ones
without rounded inputs, are unpacked to bfloat16 when they are loaded, and run as such.
Taught in: chapter 12, section 2.
"""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches

REFERENCE = "fp32"
# Measured unless others are named. The slow ones first, so that no core waits for the last one at the end.
USUAL = (
    "bf16",
    "awq4",
    "gptq4",
    "gptq3",
    "half-mlp",
    "int8",
    "wanda50",
    "nf4",
    "rtn4",
    "rtn3",
)
GROUPS = (32, 64, 128)
_METHODS = {"rtn": "rounded to nearest", "gptq": "GPTQ", "awq": "AWQ"}
_ROUNDED = re.compile(r"(rtn|gptq|awq)([2348])(?:-g(32|64|128))?")


@dataclass(frozen=True)
class Variant:
    """One way to serve a model.

    method    how its weights are made: "as it is", "rtn", "gptq", "awq", "nf4", "wanda" or "half-mlp"
    bits      of a code, without its scales; group: weights that share a scale, 0 for none
    backend   what multiplies (see `compress.backends`), with `options`
    mlp_share share of the MLP's channels that stay
    """

    name: str
    what: str
    method: str
    bits: int
    backend: str
    group: int = 0
    options: dict = field(default_factory=dict, hash=False)
    mlp_share: float = 1.0

    @property
    def served_as(self) -> str:
        """ "int4, groups of 64": variants that share this run the same kernel on the same bytes, in the same time."""
        groups = f", groups of {self.options['group_size']}" if "group_size" in self.options else ""
        return self.backend + groups + (f", {self.mlp_share:.0%} of the MLP" if self.mlp_share < 1 else "")

    @property
    def unpacked(self) -> bool:
        """Whether it is stored in fewer bits than its kernel multiplies: then it saves disk, not memory or time."""
        return self.backend == "bf16" and (self.bits < 16 or self.method == "wanda")


_NAMED = {
    one.name: one
    for one in (
        Variant("fp32", "32 bits, the reference", "as it is", 32, "fp32"),
        Variant("bf16", "16 bits, inputs rounded as well", "as it is", 16, "bf16"),
        Variant("int8", "8 bits, inputs rounded as they come (W8A8)", "as it is", 8, "dynamic-int8"),
        Variant("llm-int8", "8 bits, outliers of the inputs kept apart", "as it is", 8, "bnb-int8"),
        Variant("fp8", "8-bit floats on tensor cores", "as it is", 8, "fp8"),
        Variant("nf4", "4 bits where normal weights are, groups of 64", "nf4", 4, "bnb-nf4", 64),
        Variant("wanda50", "half of the weights set to zero by Wanda", "wanda", 16, "bf16"),
        Variant("half-mlp", "half of the MLP's channels cut out", "half-mlp", 16, "bf16", mlp_share=0.5),
    )
}


def variant(name: str) -> Variant:
    """The variant of that name. ValueError offers the nearest ones."""
    if name in _NAMED:
        return _NAMED[name]
    if not (parts := _ROUNDED.fullmatch(str(name))):
        near = get_close_matches(str(name), names(), n=4, cutoff=0.5) or list(USUAL)
        raise ValueError(f"variant={name!r}: no such variant; nearest: {', '.join(near)}")
    method, bits, group = parts[1], int(parts[2]), int(parts[3] or 64)
    what = f"{bits} bits, {_METHODS[method]}, groups of {group}"
    if bits == 4:
        options = {"group_size": group, "scheme": "symmetric"}
        return Variant(name, what, method, bits, "int4", group, options)
    return Variant(name, f"{what}; unpacked to 16 bits", method, bits, "bf16", group)


def names() -> tuple[str, ...]:
    """Every name that `variant` knows; those with groups of 64 in their short form."""
    rounded = [f"{method}{bits}" for method in _METHODS for bits in (2, 3, 4, 8)]
    return (*_NAMED, *rounded, *(f"{name}-g{group}" for name in rounded for group in GROUPS))


def chosen(wanted) -> tuple[Variant, ...]:
    """The reference and the variants named, in their order, each once. ValueError for none, or an unknown one."""
    if isinstance(wanted, str):
        raise ValueError(f"variants={wanted!r}: a sequence of names is needed, such as {USUAL[:2]}")
    found = {name: variant(name) for name in wanted}
    if not found:
        raise ValueError(f"variants is empty, expected names such as {', '.join(USUAL[:3])}")
    return tuple({REFERENCE: variant(REFERENCE), **found}.values())
