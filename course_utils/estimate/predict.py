"""A row in, a prediction out: throughput, TTFT, TPOT and price, each with its 80 % interval.

`predict` takes one row, for an explorer; `predict_rows` a table, for `course predict`. The steps are the same:
check and place (`deployment`), sizes (`work`), seconds (`step`, `throughput`), intervals (`uncertainty`).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from course_utils.catalog.gpu_prices import cheapest
from course_utils.estimate.deployment import Deployment, deployment
from course_utils.estimate.throughput import speed
from course_utils.estimate.uncertainty import half_width, interval, usd_per_mtok, usd_per_mtok_interval
from course_utils.estimate.work import constants_of, work_of

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
        engine_name, kind = one.settings.name, "moe" if one.shape.experts else "dense"
        low, high = interval(rate, half_width("out_tok_s_per_gpu", engine_name, kind, one.load))
        hour = _price(one.chip.name) if price is None else price
        result.append(
            Prediction(
                rate,
                low,
                high,
                *_ms(ttft, half_width("ttft_s", engine_name, kind, one.load)),
                *_ms(tpot, half_width("tpot_s", engine_name, kind, one.load)),
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
    missing = [name for name in INPUTS if name not in rows.columns]
    if missing:
        raise ValueError(f"columns {', '.join(missing)} are missing; needed: {', '.join(INPUTS)}")
    extra = [name for name in MORE_INPUTS if name in rows.columns]
    deployments, prices, placed, problems = [], [], [], [""] * len(rows)
    for position, cells in enumerate(rows[[*INPUTS, *extra]].to_dict("records")):
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
                f"rate={one.load_value:g} requests/s is more than these {one.gpus} chips sustain, "
                f"about {capacity:.3g}: the queue grows without end"
            )
    values[~np.isfinite(values)] = np.nan
    result = rows.copy()
    for column, name in enumerate(OUTPUTS):
        result[name] = values[:, column]
    result["error"] = problems
    return result


def _deployment(cells: dict) -> Deployment:
    """One row of a table; an empty cell takes the default where there is one."""
    for name in ("model", "gpu", "engine", "load", "precision", "gpus", "isl", "osl"):
        if _empty(cells[name]):
            raise ValueError(f"{name} is empty; see `course predict --help` for what it holds")
    given = {name: value for name, value in cells.items() if not _empty(value)}
    for name in ("kv_bits", "prefix_hit", "draft_tokens", "acceptance"):
        if name in given:
            given[name] = _number(name, given[name])
    return deployment(
        str(given.pop("model")),
        str(given.pop("gpu")),
        precision_name=str(given.pop("precision")),
        engine_name=str(given.pop("engine")),
        load=str(given.pop("load")),
        **given,
    )


def _empty(value) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _number(name: str, value) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={value!r}: a number is needed") from None


def _positive(name: str, value) -> float:
    number = _number(name, value)
    if not 0 < number < 1e6:
        raise ValueError(f"{name}={value!r}: above 0 and below a million is needed")
    return number
