"""A row in, a prediction out: throughput, TTFT, TPOT and price, each with its 80 % interval.

`predict` takes one row, for an explorer; `predict_rows` a table, for `course predict`. The steps are the same:
check and place (`deployment`), sizes (`work`), seconds (`step`, `throughput`), intervals (`uncertainty`).
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from course_utils.catalog.gpu_prices import cheapest
from course_utils.estimate.deployment import Deployment, deployment, without_separators
from course_utils.estimate.throughput import speed
from course_utils.estimate.uncertainty import half_widths, interval, usd_per_mtok, usd_per_mtok_interval
from course_utils.estimate.work import constants_of, labels, work_of

INPUTS = ("model", "gpu", "gpus", "tp", "precision", "isl", "osl", "engine", "load")
# Columns that a row may have besides; see `deployment`.
MORE_INPUTS = (
    "pp",
    "attention_dp",
    "kv_bits",
    "prefix_hit",
    "draft_tokens",
    "acceptance",
    "usd_per_gpu_hour",
)
METRICS = ("out_tok_s_per_gpu", "ttft_ms", "tpot_ms", "usd_per_mtok_out")
OUTPUTS = tuple(name + end for name in METRICS for end in ("", "_lo", "_hi"))


@dataclass(frozen=True)
class Prediction:
    """What one deployment does; `_lo` and `_hi` bound the 80 % interval.

    Output tokens per second and chip; milliseconds to the first token and per further token; US dollars per
    million output tokens at the cheapest on-demand price (NaN where the catalog has none). `batch` sequences
    decode at once per replica, of `max_batch` that fit. In an overloaded open loop TTFT grows without end: infinite.
    Under the load `max` TTFT is that of a request that finds a free place, without the endless queue before it.
    """

    out_tok_s_per_gpu: float
    out_tok_s_per_gpu_lo: float
    out_tok_s_per_gpu_hi: float
    ttft_ms: float
    ttft_ms_lo: float
    ttft_ms_hi: float
    tpot_ms: float
    tpot_ms_lo: float
    tpot_ms_hi: float
    usd_per_mtok_out: float
    usd_per_mtok_out_lo: float
    usd_per_mtok_out_hi: float
    batch: float
    max_batch: int
    overloaded: bool


def predict(model_name, gpu, *, usd_per_gpu_hour: float | None = None, **row) -> Prediction:
    """One row: `predict("Llama-3.1-8B", "H100 SXM", isl=1000, osl=200, engine_name="vllm", load="concurrency=32")`.

    Arguments as `deployment`. ValueError for an unknown name or a number out of range, DoesNotFit for a model
    that is too large.
    """
    if usd_per_gpu_hour is not None:
        usd_per_gpu_hour = _positive("usd_per_gpu_hour", usd_per_gpu_hour)
    one = deployment(model_name, gpu, **row)
    return _predictions([one], [usd_per_gpu_hour])[0]


def _predictions(deployments: list[Deployment], prices: list[float | None]) -> list[Prediction]:
    """Predictions of all rows at once; a price of None means the catalog's cheapest on-demand one."""
    if not deployments:
        return []
    loads = np.array([one.load for one in deployments])
    fast = speed(work_of(deployments), constants_of(deployments), loads)
    columns = zip(
        deployments, prices, fast.out_tok_s_per_gpu.tolist(), fast.ttft_s.tolist(), fast.tpot_s.tolist(),
        fast.batch.tolist(), fast.overloaded.tolist(), strict=True,
    )  # fmt: skip
    result = []
    for one, price, rate, ttft, tpot, batch, overloaded in columns:
        widths = half_widths(
            one.settings.name, "moe" if one.shape.experts else "dense", one.load, labels(one)[1]
        )
        low, high = interval(rate, widths["out_tok_s_per_gpu"])
        if one.load == "rate":  # no more tokens leave than arrivals ask for
            high = max(rate, min(high, one.load_value * one.osl / one.gpus))
        hour = _price(one.chip.name) if price is None else price
        result.append(
            Prediction(
                rate,
                low,
                high,
                *_ms(ttft, widths["ttft_s"]),
                *_ms(tpot, widths["tpot_s"]),
                usd_per_mtok(hour, rate),
                *usd_per_mtok_interval(hour, low, high),
                batch,
                one.fit.max_batch,
                overloaded,
            )
        )
    return result


def _ms(seconds: float, width: float) -> tuple[float, float, float]:
    return (seconds * 1e3, *(end * 1e3 for end in interval(seconds, width)))


@lru_cache(maxsize=1024)
def _price(chip_name: str) -> float:
    """Cheapest on-demand US dollars per chip and hour; NaN where the catalog has no price."""
    try:
        return cheapest(chip_name).usd_per_accelerator_hour
    except ValueError:
        return math.nan


def predict_rows(rows):
    """The frame `rows` (columns INPUTS, and any of MORE_INPUTS) with OUTPUTS and `error` added.

    A row that can't be served has empty outputs and one sentence in `error`; the others go on. An open loop above
    capacity says so in `error` and keeps what capacity gives, but no TTFT. ValueError if a column is missing.
    """
    columns = {_column(name): name for name in rows.columns}
    missing = [name for name in INPUTS if name not in columns]
    if missing:
        unread = [str(name) for name in rows.columns if _column(name) not in (*INPUTS, *MORE_INPUTS)]
        instead = f"; not understood: {', '.join(unread)}" if unread else ""
        raise ValueError(f"missing columns: {', '.join(missing)}{instead}; needed are {', '.join(INPUTS)}")
    wanted = [name for name in (*INPUTS, *MORE_INPUTS) if name in columns]
    table = rows[[columns[name] for name in wanted]].set_axis(wanted, axis=1)
    deployments, prices, placed, problems = [], [], [], [""] * len(rows)
    for position, cells in enumerate(table.to_dict("records")):
        try:
            price = cells.pop("usd_per_gpu_hour", None)
            price = None if _empty(price) else _positive("usd_per_gpu_hour", price)
            deployments.append(_deployment(cells))
            prices.append(price)
            placed.append(position)
        except ValueError as error:
            problems[position] = str(error)
    values = np.full((len(rows), len(OUTPUTS)), np.nan)
    for position, one, found in zip(placed, deployments, _predictions(deployments, prices), strict=True):
        values[position] = [getattr(found, name) for name in OUTPUTS]
        if found.overloaded:
            capacity = found.out_tok_s_per_gpu * one.gpus / one.osl
            problems[position] = (
                f"rate={one.load_value:g} requests/s is more than {one.gpus} x {one.chip.name} sustain, "
                f"about {capacity:.3g}: the queue grows without end"
            )
    values[~np.isfinite(values)] = np.nan
    result = rows.copy()
    for column, name in enumerate(OUTPUTS):
        result[name] = values[:, column]
    result["error"] = problems
    return result


def _column(name) -> str:
    return "_".join(str(name).strip().casefold().split())


# "8x H100": the table counts the chips in the name.
_COUNTED = re.compile(r"(\d+)\s*[x×*]\s*(.+)|(.+?)\s+[x×*]\s*(\d+)", re.IGNORECASE)


def _deployment(cells: dict) -> Deployment:
    """One row of a table. An empty cell takes the default if there is one; `gpus` and `tp` stand in for each other."""
    given = {name: value for name, value in cells.items() if not _empty(value)}
    if "gpu" in given and (counted := _COUNTED.fullmatch(str(given["gpu"]).strip())):
        given["gpu"] = counted[2] or counted[3]
        if "gpus" not in given and "tp" not in given:
            given["gpus"] = int(counted[1] or counted[4])
    for name in ("gpus", "tp", "pp", "attention_dp", "isl", "osl"):
        if name in given:
            given[name] = read_number(given[name])
    for name in _NUMBERS:
        if name in given:
            given[name] = _number(name, given[name])
    if "gpus" not in given and "tp" in given:
        given["gpus"] = _number("tp", given["tp"]) * _number("pp", given.get("pp", 1))
    for name in ("model", "gpu", "engine", "load", "precision", "gpus", "isl", "osl"):
        if name not in given:
            raise ValueError(f"{name} is empty; see `course predict --help` for what it holds")
    return deployment(
        str(given.pop("model")),
        str(given.pop("gpu")),
        precision_name=str(given.pop("precision")),
        engine_name=str(given.pop("engine")),
        load=str(given.pop("load")),
        **given,
    )


_NUMBERS = ("kv_bits", "prefix_hit", "draft_tokens", "acceptance")
_EMPTY = frozenset({"", "-", "n/a", "na", "nan", "none", "null"})


def _empty(value) -> bool:
    if isinstance(value, str):
        return value.strip().casefold() in _EMPTY
    return value is None or (isinstance(value, float) and math.isnan(value))


def read_number(value):
    """A number as people write it: `8`, `1,024`, `2k` (2048 tokens), `50%`, `$2.50`. Other text, a decimal comma's as
    well, is left for the range check to refuse in its own words."""
    if not isinstance(value, str):
        return value
    text = without_separators(value.strip().casefold()).replace("_", "").removeprefix("$")
    scale = {"%": 0.01, "k": 1024}.get(text[-1:], 1)
    try:
        return float(text if scale == 1 else text[:-1]) * scale
    except ValueError:
        return value


def _number(name: str, value) -> float:
    try:
        return float(read_number(value))
    except (TypeError, ValueError):
        raise ValueError(f"{name}={value!r}: a number is needed") from None


def _positive(name: str, value) -> float:
    number = _number(name, value)
    if not 0 < number < 1e6:
        raise ValueError(f"{name}={value!r}: above 0 and below a million is needed")
    return number
