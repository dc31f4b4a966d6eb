"""What can be set on the dashboard, and the link that carries it."""

from dataclasses import asdict, dataclass, fields
from urllib.parse import parse_qsl, urlencode

from course_utils.catalog.gpu_prices import gpu_prices
from course_utils.catalog.models import models
from course_utils.estimate.engine import engines
from course_utils.explore.controls import Choice, Control, Slider, Toggle

_GPUS_ONLY = ("TPU", "Trainium", "Inferentia")  # priced, but no engine of ours was measured on them


@dataclass(frozen=True)
class Inputs:
    """All of the page but what was uploaded; the defaults are what a first visit shows.

    `input_tokens`, `output_tokens`: means of a request. `chips`: that share one copy of the model, of which there are
    `replicas`. `usd_per_chip_hour` counts where `own_price` is set. The two limits are for the plan.
    """

    model: str = "Llama-3.1-8B"
    requests_per_day: int = 100_000
    input_tokens: int = 1000
    output_tokens: int = 250
    chip: str = "H100 SXM"
    chips: int = 1
    replicas: int = 1
    precision: str = "bf16"
    engine: str = "vllm"
    own_price: bool = False
    usd_per_chip_hour: float = 3.0
    ttft_p95_ms: int = 1000
    tpot_p95_ms: int = 50


def controls() -> dict[str, dict[str, Control]]:
    """The controls by heading, then by field of `Inputs`."""
    first = Inputs()
    chips = {row.accelerator for row in gpu_prices() if not row.accelerator.startswith(_GPUS_ONLY)}
    return {
        "Model": {
            "model": Choice(first.model, [one.name for one in models()]),
            "precision": Choice(first.precision, ["bf16", "fp8", "int8", "int4", "fp4"]),
        },
        "Traffic": {
            "requests_per_day": Slider(
                first.requests_per_day, 1_000, 100_000_000, log=True, label="Requests a day"
            ),
            "input_tokens": Slider(
                first.input_tokens, 10, 100_000, log=True, label="Tokens in", unit="tokens"
            ),
            "output_tokens": Slider(
                first.output_tokens, 2, 10_000, log=True, label="Tokens out", unit="tokens"
            ),
        },
        "Hardware": {
            "chip": Choice(first.chip, sorted(chips)),
            "chips": Choice(first.chips, [1, 2, 4, 8], label="Chips a copy"),
            "replicas": Slider(first.replicas, 1, 64, label="Copies"),
            "engine": Choice(first.engine, [one.name for one in engines() if one.name != "other"]),
        },
        "Price": {
            "own_price": Toggle(first.own_price, label="My own price"),
            "usd_per_chip_hour": Slider(
                first.usd_per_chip_hour, 0.05, 20.0, step=0.05, unit="USD/hour", label="Per chip"
            ),
        },
    }


def limits() -> dict[str, Control]:
    """What the plan must hold for 95 % of requests."""
    first = Inputs()
    return {
        "ttft_p95_ms": Slider(first.ttft_p95_ms, 50, 60_000, log=True, unit="ms", label="First token"),
        "tpot_p95_ms": Slider(first.tpot_p95_ms, 5, 1_000, log=True, unit="ms", label="Each further token"),
    }


def to_query(inputs: Inputs) -> str:
    """`model=Qwen3-8B&replicas=2`: the fields that differ from the defaults."""
    first = asdict(Inputs())
    changed = {name: value for name, value in asdict(inputs).items() if value != first[name]}
    return urlencode(
        {name: int(value) if isinstance(value, bool) else value for name, value in changed.items()}
    )


def from_query(text: str) -> Inputs:
    """The inputs that a link carries. ValueError with the field, its value and what would be right.

    Fields that a link doesn't name keep their default; names that are none of ours are passed over, because mailers
    and chats add their own.
    """
    known = {field.name: type(field.default) for field in fields(Inputs)}
    checks = {name: one for group in (*controls().values(), limits()) for name, one in group.items()}
    found = {}
    for name, value in parse_qsl(text.removeprefix("?")):
        if name not in known:
            continue
        try:
            number = value if known[name] is str else float(value)
            found[name] = known[name](checks[name].check(bool(number) if known[name] is bool else number))
        except ValueError as problem:
            raise ValueError(f"the link says {name}={value!r}: {problem}") from None
    return Inputs(**found)
