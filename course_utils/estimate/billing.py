"""A request log turned into a bill: by month, day, team, feature, model and part, what drives it, and what if."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd

from course_utils.catalog.api_prices import ApiPrice, api_price
from course_utils.estimate.cost import PARTS, Cost, request_costs
from course_utils.estimate.request_log import RequestLog

_KINDS = {
    "input_usd": "fresh input",
    "cached_read_usd": "cached reads",
    "cache_write_usd": "cache writes",
    "output_usd": "output",
}


@dataclass(frozen=True)
class Bill:
    """Every request with its cost. `rows`: the log's columns, the four parts and `total_usd`.

    `as_of`: the oldest of the prices. `skipped`: bad rows of the log, which no bill includes.
    """

    rows: pd.DataFrame = field(repr=False)
    prices: Mapping[str, ApiPrice] = field(repr=False)
    currency: str
    as_of: date
    skipped: int

    @property
    def total(self) -> Cost:
        parts = {part: float(self.rows[part].sum()) for part in PARTS}
        return Cost(**parts, currency=self.currency, as_of=self.as_of)

    def by(self, *columns: str) -> pd.DataFrame:
        """Spend by one or more of month, day, team, feature, model, batch: requests, tokens, usd and share.

        Dearest first, but in time's order where the first column is month or day.
        """
        known = {"month": "M", "day": "D"}
        for name in columns:
            if name not in known and name not in self.rows:
                raise ValueError(f"columns={name!r}: month, day, or one of {', '.join(self.rows)} is needed")
        if not columns:
            raise ValueError("columns=(): name at least one, such as 'team'")
        keys = [
            self._period(known[name]).rename(name) if name in known else self.rows[name] for name in columns
        ]
        table = self.rows.groupby(keys, observed=True).agg(
            requests=("total_usd", "size"),
            input_tokens=("input_tokens", "sum"),
            output_tokens=("output_tokens", "sum"),
            usd=("total_usd", "sum"),
        )
        table["share"] = table["usd"] / max(table["usd"].sum(), 1e-300)
        if "month" in columns:
            table = table.rename(index=lambda month: f"{month:%Y-%m}", level="month")
        return table if columns[0] in known else table.sort_values("usd", ascending=False)

    def daily(self) -> pd.Series:
        """USD a day, days without requests included: what a forecast reads."""
        days = self.rows["total_usd"].groupby(self._period("D")).sum()
        return days.reindex(pd.date_range(days.index[0], days.index[-1]), fill_value=0.0)

    def parts(self) -> pd.DataFrame:
        """Tokens, USD and share of each part of the bill, dearest first. Reasoning is part of the output."""
        rows, total = self.rows, self.total
        written = rows["cache_write_tokens"].sum() + rows["cache_write_1h_tokens"].sum()
        cached = rows["cached_read_tokens"].sum(), written
        tokens = (rows["input_tokens"].sum() - sum(cached), *cached, rows["output_tokens"].sum())
        usd = [getattr(total, part) for part in PARTS]
        table = pd.DataFrame({"tokens": tokens, "usd": usd}, index=[_KINDS[part] for part in PARTS])
        table["share"] = table["usd"] / max(total.total_usd, 1e-300)
        return table.sort_values("usd", ascending=False)

    def top(self, count: int = 10) -> pd.DataFrame:
        """The dearest single requests, with their line in the file."""
        return self.rows.nlargest(count, "total_usd")

    def top_share(self, fraction: float = 0.01) -> float:
        """Share of the bill that the dearest requests make up, such as the dearest hundredth of all."""
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction={fraction!r}: above 0 and at most 1 is needed")
        usd = self.rows["total_usd"].to_numpy()
        count = max(round(fraction * len(usd)), 1)
        return float(np.partition(usd, -count)[-count:].sum() / max(usd.sum(), 1e-300))

    def drivers(self) -> pd.DataFrame:
        """What drives the bill, in one table: each part, and the first of each team, feature and model."""
        lines = [("part", row.Index, row.usd, row.share) for row in self.parts().itertuples()]
        for column in ("model", "team", "feature"):
            first = next(self.by(column).itertuples())
            lines.append((column, first.Index, first.usd, first.share))
        share = self.top_share(0.01)
        lines.append(("requests", "dearest 1 %", share * self.total.total_usd, share))
        table = pd.DataFrame(lines, columns=["of", "what", "usd", "share"])
        return table.sort_values("usd", ascending=False, ignore_index=True)

    def _period(self, unit: str) -> pd.Series:
        times = self.rows["arrived_at"].dt.tz_localize(None).to_numpy()
        # Through NumPy: whole days and months in a tenth of the time that pandas' periods take.
        return pd.Series(times.astype(f"datetime64[{unit}]").astype("datetime64[s]"), index=self.rows.index)


def bill(log: RequestLog, prices: Mapping[str, ApiPrice] | None = None) -> Bill:
    """Cost of every sound row of a log. prices: by model name, where you want others than the log's own.

    ValueError where prices have different currencies, or a model that runs in batches has no batch price.
    """
    if log.rows.empty:
        bad = next((f"line {one.line}: {one.reason}" for one in log.bad_rows), "no line below the header")
        raise ValueError(f"{log.name} has no sound row to bill ({bad})")
    prices = dict(log.prices) | dict(prices or {})
    used = {name: prices[name] for name in log.rows["model"].cat.categories}
    currencies = {price.currency for price in used.values()}
    if len(currencies) > 1:
        raise ValueError(
            f"prices are in {' and '.join(sorted(currencies))}: convert them to one currency first"
        )
    costs = _costs(log.rows, used)
    rows = pd.concat([log.rows, costs, costs.sum(axis=1).rename("total_usd")], axis=1)
    as_of = min(price.as_of for price in used.values())
    return Bill(rows, used, currencies.pop(), as_of, skipped=len(log.bad_rows))


def _costs(rows: pd.DataFrame, prices: Mapping[str, ApiPrice]) -> pd.DataFrame:
    costs = {part: np.zeros(len(rows)) for part in PARTS}
    code = rows["model"].cat.codes.to_numpy()
    for number, name in enumerate(rows["model"].cat.categories):
        here = np.flatnonzero(code == number)
        for part, usd in request_costs(prices[name], rows.iloc[here]).items():
            costs[part][here] = usd
    return pd.DataFrame(costs, index=rows.index)


def what_if(
    bill: Bill,
    *,
    model: str | ApiPrice | None = None,
    cached_share: float | None = None,
    reads_per_write: float = 10,
    batch_features: tuple[str, ...] = (),
) -> Cost:
    """What the same requests would have cost: everything at another model, better cached, or in batches.

    cached_share: this share of every input, at least, is read from a cache or written to it, in requests long
    enough for their model to cache; reads_per_write: of so many requests, one more has to write. A warm cache
    isn't free: what is read was written first, and for an hour where the log's own writes are. batch_features:
    features whose requests can wait, where their model has a batch price. The same tokens are counted for
    another model, although its tokenizer counts its own.
    """
    rows, prices = bill.rows[_NEEDED].copy(), dict(bill.prices)
    if model is not None:
        price = model if isinstance(model, ApiPrice) else api_price(model)
        prices = {price.model: price}
        rows["model"] = pd.Categorical([price.model] * len(rows))
    if cached_share is not None:
        rows = _cached(rows, prices, cached_share, reads_per_write)
    for name in batch_features:
        if name not in set(rows["feature"]):
            raise ValueError(
                f"batch_features={name!r}: one of {', '.join(sorted(set(rows['feature'])))} is needed"
            )
    has_batch = rows["model"].map({name: price.has_batch for name, price in prices.items()}).astype(bool)
    rows["batch"] = (rows["batch"] | rows["feature"].isin(batch_features)) & has_batch
    costs = _costs(rows, prices).sum()
    as_of = min(price.as_of for price in prices.values())
    currency = next(
        iter(prices.values())
    ).currency  # a bill's prices share one; another model may have its own
    return Cost(**costs.to_dict(), currency=currency, as_of=as_of)


_NEEDED = [
    *("model", "feature", "batch"),
    *("input_tokens", "output_tokens", "cached_read_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
]


def _cached(rows: pd.DataFrame, prices, cached_share: float, reads_per_write: float) -> pd.DataFrame:
    if not 0 <= cached_share <= 1:
        raise ValueError(f"cached_share={cached_share!r}: from 0 to 1 is needed")
    if not reads_per_write > 0:
        raise ValueError(f"reads_per_write={reads_per_write!r}: above 0 is needed")
    shortest = rows["model"].map({name: price.cache_min_tokens or 0 for name, price in prices.items()})
    touched = cached_share * rows["input_tokens"].to_numpy(dtype=float)
    touched[touched < shortest.to_numpy(dtype=float)] = 0
    read, short, hour = (
        rows[name].to_numpy(dtype=float)
        for name in ("cached_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    )
    better = touched > read + short + hour
    written = touched / (1 + reads_per_write)
    # Whoever keeps a prefix for an hour goes on paying for the hour.
    kept = hour / np.maximum(short + hour, 1)
    rows["cached_read_tokens"] = np.where(better, touched - written, read)
    rows["cache_write_tokens"] = np.where(better, written * (1 - kept), short)
    rows["cache_write_1h_tokens"] = np.where(better, written * kept, hour)
    return rows
