"""One row to predict: which model on which chips, how split, under which load. Checked before anything is computed."""

import math
import re
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from course_utils.catalog.accelerators import Accelerator, accelerator
from course_utils.catalog.models import ModelShape, model
from course_utils.estimate.engine import EngineSettings, engine
from course_utils.estimate.memory import DoesNotFit, Fit, fit
from course_utils.estimate.precision import Precision, precision

LOADS = ("max", "batch", "concurrency", "rate")
# Published tables mean the 80 GB card on the SXM board where they say no more.
_SHORT = {"a100": "A100 SXM 80GB"}
_RANGES = {
    "gpus": (1, 4096),
    "tp": (1, 1024),
    "pp": (1, 64),
    "attention_dp": (1, 1024),
    "isl": (1, 10_000_000),
    "osl": (1, 1_000_000),
}


@dataclass(frozen=True)
class Deployment:
    """A checked row. `replicas` copies of a model on tp x pp chips each; lengths are mean tokens.

    `prefix_hit` is the part of the prompt found in a prefix cache; `draft_tokens` are checked per step and each
    accepted with probability `acceptance`; `kv_bits` None leaves the KV precision to the engine.
    """

    shape: ModelShape
    chip: Accelerator
    gpus: int
    tp: int
    pp: int
    attention_dp: int
    recipe: Precision
    kv_bits: float
    settings: EngineSettings
    isl: float
    osl: float
    load: str
    load_value: float
    prefix_hit: float
    draft_tokens: float
    acceptance: float
    fit: Fit

    @property
    def replicas(self) -> int:
        return self.gpus // (self.tp * self.pp)


def deployment(
    model_name: str | ModelShape,
    gpu: str | Accelerator,
    *,
    gpus: float = 1,
    tp: float | None = None,
    pp: float | None = None,
    attention_dp: float = 1,
    precision_name: str = "bf16",
    isl: float = 1024,
    osl: float = 256,
    engine_name: str = "vllm",
    load: str = "max",
    kv_bits: float | None = None,
    prefix_hit: float = 0.0,
    draft_tokens: float = 0.0,
    acceptance: float = 0.7,
) -> Deployment:
    """Look up the names, check the numbers, place the model. ValueError says which argument and what would be right;
    DoesNotFit how much memory is missing.

    Without `tp` the chips form one tensor-parallel group (layers are split instead for llama.cpp). Chips left
    over by tp x pp serve more replicas; without `pp` they hold later layers instead if a model needs it.
    """
    shape = model_name if isinstance(model_name, ModelShape) else _found("model", model_name)
    chip = gpu if isinstance(gpu, Accelerator) else _found("gpu", gpu)
    recipe = _found("precision", precision_name)
    settings = _found("engine", engine_name)
    gpus = _whole("gpus", gpus)
    may_split = pp is None
    if settings.splits_layers and pp is None:
        tp = _whole("tp", 1 if tp is None else tp)
        pp = gpus // tp
    pp = _whole("pp", 1 if pp is None else pp)
    tp = _whole("tp", gpus // pp if tp is None else tp)
    attention_dp = _whole("attention_dp", attention_dp)
    if tp * pp > gpus or gpus % (tp * pp):
        raise ValueError(f"tp={tp}, pp={pp}: their product must divide gpus={gpus}")
    if tp % attention_dp:
        raise ValueError(f"attention_dp={attention_dp}: a divisor of tp={tp} is needed")
    _check_heads(shape, tp, attention_dp, gpus // pp)
    isl, osl = _in_range("isl", isl), _in_range("osl", osl)
    # Benchmarks time lengths that a model wasn't trained for; far beyond them the row is a slip.
    if isl + osl > 8 * shape.max_context:
        raise ValueError(
            f"isl={isl:g}, osl={osl:g}: {shape.name} reads at most {shape.max_context} tokens of context"
        )
    kind, value = parse_load(load)
    for name, number in (("prefix_hit", prefix_hit), ("acceptance", acceptance)):
        if not 0 <= number < 1:
            raise ValueError(f"{name}={number!r}: at least 0 and below 1 is needed")
    if not 0 <= draft_tokens <= 16:
        raise ValueError(f"draft_tokens={draft_tokens!r}: 0 to 16 is needed")
    if kv_bits is not None and not 1 <= kv_bits <= 32:
        raise ValueError(f"kv_bits={kv_bits!r}: 1 to 32 bits a value are needed")
    if kv_bits is None:
        kv_bits = recipe.kv_bits if _narrow_kv(settings, chip) else max(recipe.kv_bits, 16)
    context = isl + osl if settings.reserves_output or kind == "batch" else isl + osl / 2
    place = partial(
        fit,
        shape,
        chip,
        recipe,
        context_tokens=context,
        tp=tp,
        attention_dp=attention_dp,
        kv_bits=kv_bits,
        of_free=settings.memory_of == "free",
        step_tokens=settings.step_tokens,
        reserved_bytes=settings.reserved_bytes,
    )
    for stages, fraction in _tries(settings, pp, gpus // tp if may_split else pp):
        try:
            placed, pp = place(pp=stages, memory_fraction=fraction), stages
            break
        except DoesNotFit as error:
            refusal = error
    else:
        raise refusal
    return Deployment(
        shape, chip, gpus, tp, pp, attention_dp, recipe, kv_bits, settings, isl, osl, kind, value,
        prefix_hit, draft_tokens, acceptance, placed,
    )  # fmt: skip


def splits_heads(shape: ModelShape, chips: int) -> bool:
    """Whether `chips` can each hold as many attention heads: engines split whole heads, and copy those of the KV cache
    where there are fewer of them than chips."""
    whole_kv = shape.kv_heads % chips == 0 or chips % shape.kv_heads == 0
    return shape.heads % chips == 0 and (whole_kv or bool(shape.kv_lora_rank))


def _check_heads(shape: ModelShape, tp: int, attention_dp: int, chips: int) -> None:
    """ValueError where heads don't split among tp / attention_dp chips; it names those of `chips` that would do."""
    if splits_heads(shape, tp // attention_dp):
        return
    fit = [n for n in range(1, chips + 1) if chips % n == 0 and n % attention_dp == 0]
    fit = [n for n in fit if splits_heads(shape, n // attention_dp)]
    near = [*[n for n in fit if n < tp][-1:], *[n for n in fit if n > tp][:1]]
    ways = " or ".join(f"tp={n}" for n in near) or "another number of chips"
    raise ValueError(
        f"tp={tp}: {shape.name} has {shape.heads} attention heads and {shape.kv_heads} of the KV cache, which "
        f"{tp // attention_dp} chips can't split evenly; {ways} would do"
    )


# How much of a chip people give an engine when its default just falls short.
_TIGHT = 0.96


def _tries(settings: EngineSettings, pp: int, split: int) -> list[tuple[int, float]]:
    """Pipeline stages and memory fractions to try in turn: the engine's default, a tight fit, then more stages."""
    fractions = sorted({settings.memory_fraction, max(_TIGHT, settings.memory_fraction)})
    return [(stages, fraction) for stages in dict.fromkeys((pp, split)) for fraction in fractions]


def _narrow_kv(settings: EngineSettings, chip: Accelerator) -> bool:
    return settings.narrow_kv == "all" or (settings.narrow_kv == "fp4" and chip.fp4_flop_per_s is not None)


_LOOK_UP = {"model": model, "gpu": accelerator, "precision": precision, "engine": engine}


def _found(argument: str, name: str):
    """What a name means. ValueError with the row's own word for it, and the nearest names."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{argument}={name!r}: a name is needed")
    if argument == "gpu":
        name = _SHORT.get(name.strip().casefold(), name)
    value, problem = _look_up(argument, name, _stamp(name) if argument == "model" else None)
    if problem:
        raise ValueError(problem)
    return value


@lru_cache(maxsize=4096)
def _look_up(argument: str, name: str, stamp):
    # A table repeats its mistakes: remember what a wrong name got, or one bad column makes it slow.
    try:
        return _LOOK_UP[argument](name), ""
    except ValueError as error:
        return None, re.sub(r"^(name_or_config_path|name)=", f"{argument}=", str(error))


def _stamp(name: str):
    """When a config.json was last written, so that an edited one is read again; None for a catalog name."""
    if not name.endswith(".json") and "/" not in name and "\\" not in name:
        return None
    path = Path(name).expanduser()
    path = path / "config.json" if path.is_dir() else path
    return path.stat().st_mtime_ns if path.is_file() else None


_KINDS = {
    "batch": "batch batch_size batchsize bs static_batch",
    "concurrency": "concurrency concurrent conc concurrent_requests max_concurrency users clients num_users parallel",
    "rate": "rate request_rate qps rps req/s requests/s requests_per_second reqs/s",
    "max": "max max_load offline throughput max_throughput unlimited saturation",
}
_KIND = {word: kind for kind, written in _KINDS.items() for word in written.split()}


def without_separators(text: str) -> str:
    """Without the commas that part thousands. A decimal comma stays: taken out of `2,5`, it would make 25."""
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text) if "," in text else text


def parse_load(text: str) -> tuple[str, float]:
    """`max`, `batch=N`, `concurrency=N` or `rate=R` (requests per second) as (kind, number).

    `batch = 8`, `concurrency:16`, `bs 8`, `64 users`, `qps=2.5`, `offline` are understood. An infinite rate is `max`.
    """
    plain = without_separators(str(text).strip().casefold())
    number = re.search(r"-?(?:\d+\.?\d*(?:e-?\d+)?|\.\d+|\binf(?:inity)?\b|\bnan\b)", plain)
    word = plain if number is None else plain[: number.start()] + " " + plain[number.end() :]
    word = "_".join(re.sub(r"[=:()]", " ", word).split()).replace("-", "_")
    kind = _KIND.get(word.removesuffix("_req/s") or word) or _KIND.get(word)
    value = math.nan if number is None else float(number.group())
    if (kind == "max" and number is None) or (kind == "rate" and value == math.inf):
        return "max", math.inf
    if kind in (None, "max") or not (math.isfinite(value) and 0 < value <= 1e6):
        raise ValueError(
            f"load={text!r}: max, batch=N, concurrency=N or rate=R (requests/s) is needed, above 0"
        )
    if kind != "rate" and value < 1:
        raise ValueError(
            f"load={text!r}: at least 1 {'sequence' if kind == 'batch' else 'request'} is needed"
        )
    return kind, value


def _in_range(name: str, value: float) -> float:
    low, high = _RANGES[name]
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise ValueError(f"{name}={value!r}: a number from {low} to {high} is needed")
    return number


def _whole(name: str, value: float) -> int:
    number = _in_range(name, value)
    if number != int(number):
        raise ValueError(f"{name}={value!r}: a whole number is needed")
    return int(number)
