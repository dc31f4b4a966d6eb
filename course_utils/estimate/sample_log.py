"""A synthetic request log of a company that doesn't exist, for when you have none of your own at hand.

Real: the lengths of chat and code requests, log-normal fits to Microsoft's Azure traces of 2023
(`data/traffic_lengths.csv`). Assumed: everything else, that is teams, features, models, prompt prefixes, cache
hits, documents and labels, the day's and the week's shape, and growth. Same seed, same log.
"""

import gzip
import io
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.catalog.api_rules import api_rule
from course_utils.catalog.provenance import read_rows

LABEL = "synthetic log; chat and code lengths fitted to Azure/AzurePublicDataset 2023 (CC BY 4.0)"
MODELS = {"gpt-5-mini": "openai", "claude-haiku-4-5": "anthropic", "gemini-2.5-pro": "google"}
TEAMS = ("support", "engineering", "marketing")
# Assumed shapes: a working day in UTC, a working week from Monday on.
_HOURS = np.array(
    [1, 1, 1, 1, 1, 2, 4, 8, 13, 15, 15, 14, 12, 14, 15, 15, 13, 10, 6, 4, 3, 2, 2, 1], dtype=float
)
_WEEK = np.array([1.1, 1.2, 1.2, 1.15, 1.0, 0.4, 0.35])


@dataclass(frozen=True, kw_only=True)
class TrafficLengths:
    """Fitted lengths of one workload's requests: a row of `data/traffic_lengths.csv`.

    Log-normal: exp(log(geomean) + log_sd z), cut at the maximum. Means and medians are those of the trace itself.
    """

    workload: str
    requests: int
    requests_per_s: float
    input_geomean_tokens: float
    input_log_sd: float
    input_max_tokens: int
    input_mean_tokens: float
    input_median_tokens: float
    output_geomean_tokens: float
    output_log_sd: float
    output_max_tokens: int
    output_mean_tokens: float
    output_median_tokens: float
    note: str
    source: str
    as_of: date


def traffic_lengths() -> tuple[TrafficLengths, ...]:
    """Fitted lengths of real traffic, one row a workload."""
    return read_rows("traffic_lengths.csv", TrafficLengths)


@dataclass(frozen=True)
class _Feature:
    """prefix_tokens: instructions that every request starts with. teams: requests by team, out of 100 each."""

    name: str
    model: str
    teams: tuple[int, int, int]
    prefix_tokens: int
    hit_share: float
    batch_share: float = 0.0
    reasoning_share: float = 0.0
    workload: str = "conversation"
    input_times: float = 1.0
    input_max_tokens: int = 100_000
    output_times: float = 1.0


_FEATURES = (
    _Feature("chat", "gpt-5-mini", (70, 15, 38), 1800, hit_share=0.7),
    _Feature("code", "claude-haiku-4-5", (2, 72, 2), 4600, hit_share=0.85, workload="code", output_times=8),
    # Documents of 9 000 tokens, one in a thousand longer than 200 000: they pay the long-context price.
    _Feature(
        *("documents", "gemini-2.5-pro", (8, 10, 20), 900),
        hit_share=0.1,
        reasoning_share=0.6,
        input_times=12,
        input_max_tokens=900_000,
        output_times=3,
    ),
    _Feature("labels", "gpt-5-mini", (20, 3, 40), 1200, hit_share=0.5, batch_share=0.7, output_times=0.05),
)


def sample_log(
    rows: int = 20_000,
    seed: int = 0,
    days: int = 60,
    start: date | str = "2026-09-01",
    growth_per_month: float = 0.08,
) -> pd.DataFrame:
    """A synthetic log of three teams, four features and three models, in the order of arrival.

    Its `attrs["label"]` says that it is synthetic. ValueError for rows outside 1 to 10 million, days outside 1
    to 1000.
    """
    if not 1 <= rows <= 10_000_000:
        raise ValueError(f"rows={rows!r}: 1 to 10000000 is needed")
    if not 1 <= days <= 1000:
        raise ValueError(f"days={days!r}: 1 to 1000 is needed")
    rng = np.random.default_rng(seed)
    arrived = _arrivals(rng, rows, days, np.datetime64(start, "D"), growth_per_month)
    shares = np.array([feature.teams for feature in _FEATURES], dtype=float) * (0.45, 0.35, 0.2)
    which = rng.choice(shares.size, size=rows, p=shares.ravel() / shares.sum())
    feature, team = which // len(TEAMS), which % len(TEAMS)
    counts = {name: np.zeros(rows, dtype=np.int64) for name in _COLUMNS}
    model = np.zeros(rows, dtype=int)
    batch = np.zeros(rows, dtype=bool)
    for number, of in enumerate(_FEATURES):
        here = np.flatnonzero(feature == number)
        for name, values in _tokens(rng, of, len(here)).items():
            counts[name][here] = values
        batch[here] = rng.random(len(here)) < of.batch_share
        # One request in eight is sent to another model than the feature's own: somebody is trying it out.
        own, other = list(MODELS).index(of.model), rng.integers(0, len(MODELS), len(here))
        model[here] = np.where(rng.random(len(here)) < 0.875, own, other)
    _apply_cache_rules(counts, model, np.array([of.prefix_tokens for of in _FEATURES])[feature])
    times = np.datetime_as_string(arrived, unit="ms")
    table = pd.DataFrame({"arrived_at": times, "model": _named(MODELS, model)}).assign(**counts)
    table["team"], table["feature"] = _named(TEAMS, team), _named([of.name for of in _FEATURES], feature)
    table["batch"] = _named(("false", "true"), batch.astype(int))
    table.attrs["label"] = LABEL
    return table


_COLUMNS = ("input_tokens", "output_tokens", "cached_read_tokens", "cache_write_tokens", "reasoning_tokens")
# What goes wrong in real logs, one of each in turn: a change to the cells, or a whole line.
_SLIPS = (
    {"output_tokens": ""},
    {"input_tokens": "-12"},
    {"input_tokens": "n/a (timeout)"},
    {"cached_read_tokens": "99999999"},
    {"model": "gpt-5-minni"},
    {"arrived_at": "yesterday"},
    {"batch": "maybe"},
    "2026-09-09T10:00:00.000,gpt-5-mini,812",
    {"output_tokens": "12.5"},
    "",
)


def write_sample_log(
    path: str | Path, rows: int = 20_000, seed: int = 0, bad_rows: int = 0, **options
) -> Path:
    """Write `sample_log` as a CSV (gzipped where the name ends in .gz), with so many bad lines among them.

    rows: sound lines. bad_rows come on top, at places that the seed picks. options: as of `sample_log`.
    """
    path = Path(path)
    table = sample_log(rows, seed, **options)
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    if bad_rows:
        lines = text.getvalue().split("\n")[:-1]
        places = np.random.default_rng([seed, 3]).integers(1, len(lines), size=bad_rows)
        for number, place in enumerate(sorted(places, reverse=True)):
            lines.insert(place, _slip(_SLIPS[number % len(_SLIPS)], list(table.columns), lines[place]))
        text = io.StringIO("\n".join([*lines, ""]))
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data, compresslevel=1, mtime=0) if path.suffix == ".gz" else data)
    return path


def _slip(slip, columns: list[str], line: str) -> str:
    if isinstance(slip, str):
        return slip
    cells = dict(zip(columns, line.split(","), strict=True)) | slip
    return ",".join(cells.values())


def _arrivals(rng, rows: int, days: int, start: np.datetime64, growth_per_month: float) -> np.ndarray:
    day = np.arange(days)
    weekday = ((start + day).astype(int) + 3) % 7
    weight = _WEEK[weekday] * (1 + growth_per_month) ** (day / 30.4375)
    hour = (weight[:, None] * _HOURS).ravel()
    counts = rng.multinomial(rows, hour / hour.sum())
    seconds = np.sort(np.repeat(np.arange(days * 24) * 3600.0, counts) + 3600 * rng.random(rows))
    return start.astype("datetime64[ms]") + (seconds * 1000).astype("timedelta64[ms]")


def _tokens(rng, of: _Feature, count: int) -> dict[str, np.ndarray]:
    fit = next(one for one in traffic_lengths() if one.workload == of.workload)
    asked = fit.input_geomean_tokens * of.input_times * np.exp(fit.input_log_sd * rng.standard_normal(count))
    asked = np.clip(asked, 1, max(of.input_max_tokens, 1) if of.input_times != 1 else fit.input_max_tokens)
    shown = (
        fit.output_geomean_tokens * of.output_times * np.exp(fit.output_log_sd * rng.standard_normal(count))
    )
    shown = np.clip(shown, 1, fit.output_max_tokens * max(of.output_times, 1)).astype(np.int64)
    # Those who reason do so for as long as they answer, on average, and some for much longer.
    thinks = rng.random(count) < of.reasoning_share
    thought = (thinks * shown * np.exp(0.8 * rng.standard_normal(count))).astype(np.int64)
    hit = rng.random(count) < of.hit_share
    return {
        "input_tokens": asked.astype(np.int64) + of.prefix_tokens,
        "output_tokens": shown + thought,
        "cached_read_tokens": np.where(hit, of.prefix_tokens, 0),
        "cache_write_tokens": np.where(hit, 0, of.prefix_tokens),
        "reasoning_tokens": thought,
    }


def _apply_cache_rules(counts: dict, model: np.ndarray, prefix_tokens: np.ndarray) -> None:
    """No provider caches a prefix shorter than its minimum; only explicit caches report their writes."""
    rules = [api_rule(provider, name) for name, provider in MODELS.items()]
    too_short = prefix_tokens < np.array([rule.cache_min_tokens for rule in rules])[model]
    silent = np.array([rule.caching == "automatic" for rule in rules])[model]
    counts["cached_read_tokens"][too_short] = 0
    counts["cache_write_tokens"][too_short | silent] = 0


def _named(names, codes: np.ndarray) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, categories=list(names))
