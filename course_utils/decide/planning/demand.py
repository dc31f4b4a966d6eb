"""What a trace asks for, in totals: work, span, shared prefixes, and the stretch on which plans are confirmed.

A trace stands for every hour of a month: what it asks for is multiplied by the month over its span.
Taught in: chapter 12.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from course_utils.estimate.cost import HOURS_PER_MONTH
from course_utils.scale.traffic import Traffic

MONTH_S = HOURS_PER_MONTH * 3600
# Requests of the stretch that is simulated: 3 to 100 ms each time, and a plan simulates some hundred times.
MOST_SIMULATED = 50_000
# Requests that may miss a limit on a 95th percentile.
MAY_MISS = 0.05
_BLOCK = 1 << 20
_LOAD_S = 600.0


@dataclass(frozen=True, eq=False)
class Demand:
    """Totals over all requests of a trace. Tokens are counts; `pairs` are (prompt token, token it sees).

    `span_s`: the seconds that the trace stands for, one mean gap longer than from first to last arrival; a month
    where no rate can be read from it. `hit_tokens`: prompt tokens that an unbounded prefix cache has seen before, and
    `pairs_after_hits` what attention is left then. `gap_s`: the longest time without a request, 0 where none matters.
    `stretch` is what gets simulated: all of it, or the busiest part. `hard_decode_tokens`: those of the requests with
    the longest answers, as many as may miss a percentile.
    """

    traffic: Traffic
    stretch: Traffic
    requests: int
    span_s: float
    gap_s: float
    input_tokens: float
    decode_tokens: float
    hard_decode_tokens: float
    context_tokens: float
    pairs: float
    hit_tokens: float
    pairs_after_hits: float
    p95_input_tokens: float
    p95_new_tokens: float
    p95_context_tokens: float
    longest_tokens: int
    notes: tuple[str, ...]

    @property
    def mean_input_tokens(self) -> float:
        return self.input_tokens / self.requests

    @property
    def mean_output_tokens(self) -> float:
        return self.decode_tokens / self.requests + 1

    @property
    def hit_share(self) -> float:
        """Prompt tokens found in an unbounded prefix cache, over all prompt tokens."""
        return self.hit_tokens / self.input_tokens

    @cached_property
    def load_by_minutes(self) -> np.ndarray:
        """Work that comes in each ten minutes over what comes, on average, in the stretch that is simulated."""
        traffic, rush = self.traffic, self.stretch
        bins = max(1, round(self.span_s / _LOAD_S))
        at = ((traffic.arrived_s - traffic.arrived_s[0]) * (bins / self.span_s)).astype(np.int64)
        load = np.bincount(np.minimum(at, bins - 1), _work(traffic), minlength=bins) / (self.span_s / bins)
        return load / (_work(rush).sum() / max(rush.duration_s, 1e-9))

    @property
    def months(self) -> float:
        """Months that the trace stands for."""
        return self.span_s / MONTH_S


def demand(traffic: Traffic, most_simulated: int = MOST_SIMULATED) -> Demand:
    """Add a trace up, block by block: besides the trace a few arrays as long as it, however long it is."""
    count = len(traffic)
    hits = prefix_hits(traffic) if (traffic.prefix_id >= 0).any() else None
    totals = sum(_totals(traffic, hits, slice(at, at + _BLOCK)) for at in range(0, count, _BLOCK))
    spared = int(MAY_MISS * count)
    hardest = np.partition(traffic.output_tokens, count - spared)[count - spared :] - 1 if spared else 0
    gap_s = _gap_s(traffic)
    span_s, notes = _span(traffic, gap_s)
    stretch = busiest(traffic, most_simulated)
    if len(stretch) < count:
        notes += (
            f"simulated on the busiest {len(stretch):,} of {count:,} requests: percentiles are those of the rush",
        )
    return Demand(
        traffic=traffic,
        stretch=stretch,
        requests=count,
        span_s=span_s,
        gap_s=gap_s,
        **dict(zip(_TOTALS, totals.tolist(), strict=True)),
        hard_decode_tokens=float(np.sum(hardest)),
        p95_input_tokens=_p95(traffic.input_tokens),
        p95_new_tokens=_p95(traffic.input_tokens if hits is None else traffic.input_tokens - hits),
        p95_context_tokens=_p95(traffic.input_tokens + traffic.output_tokens // 2),
        longest_tokens=int((traffic.input_tokens + traffic.output_tokens).max()),
        notes=notes,
    )


_TOTALS = ("input_tokens", "decode_tokens", "context_tokens", "pairs", "hit_tokens", "pairs_after_hits")


def _totals(traffic: Traffic, hits: np.ndarray | None, part: slice) -> np.ndarray:
    """Sums of `_TOTALS` over a block of requests."""
    given, decoded = traffic.input_tokens[part].astype(float), traffic.output_tokens[part] - 1.0
    seen = np.zeros(len(given)) if hits is None else hits[part].astype(float)
    new = given - seen
    columns = (
        given,
        decoded,
        decoded * (given + 1 + decoded / 2),
        given * (given + 1) / 2,
        seen,
        new * (seen + (new + 1) / 2),
    )
    return np.array([column.sum() for column in columns])


def _p95(values: np.ndarray) -> float:
    return float(np.quantile(values, 1 - MAY_MISS, method="lower"))


def _gap_s(traffic: Traffic) -> float:
    """The longest time without a request, if it is long enough to send machines home; else 0."""
    gap_s = float(np.diff(traffic.arrived_s).max(initial=0.0))
    return gap_s if gap_s > 600 and gap_s > 0.05 * traffic.duration_s else 0.0


def _span(traffic: Traffic, gap_s: float) -> tuple[float, tuple[str, ...]]:
    """Seconds that the trace stands for, and what has to be said about them."""
    count = len(traffic)
    if count == 1 or not traffic.duration_s:
        what = "one request" if count == 1 else f"{count:,} requests at one moment"
        return MONTH_S, (f"{what}: no rate can be read from that, so it counts as a whole month's traffic",)
    notes = ()
    if gap_s:
        share = gap_s / traffic.duration_s
        notes = (
            f"a gap of {gap_s / 3600:.1f} h without a request ({share:.0%} of the trace): a fixed fleet is paid for "
            "through it, an autoscaled one isn't",
        )
    return traffic.duration_s * count / (count - 1), notes


def busiest(traffic: Traffic, most: int) -> Traffic:
    """The `most` consecutive requests that bring the most work a second; the trace itself where it is no longer."""
    count = len(traffic)
    if count <= most:
        return traffic
    starts = np.arange(0, count - most + 1, max(1, most // 20))
    tokens = np.cumsum(_work(traffic))
    work = tokens[starts + most - 1] - tokens[starts]
    seconds = traffic.arrived_s[starts + most - 1] - traffic.arrived_s[starts]
    best = int(starts[np.argmax(work / np.maximum(seconds, 1e-9))])
    arrays = (
        "arrived_s",
        "input_tokens",
        "output_tokens",
        "prefix_id",
        "prefix_tokens",
        "tenant",
        "priority",
    )
    part = {name: getattr(traffic, name)[best : best + most] for name in arrays}
    part["arrived_s"] = part["arrived_s"] - part["arrived_s"][0]
    return replace(traffic, **part, origin=f"{traffic.origin}; its busiest {most:,} requests")


def _work(traffic: Traffic) -> np.ndarray:
    """Tokens, those of answers counted ten times: a step's share is some ten prompt tokens' worth."""
    return traffic.input_tokens + 10 * traffic.output_tokens


def prefix_hits(traffic: Traffic, ttl_s: float = np.inf) -> np.ndarray:
    """Prompt tokens of each request that an unbounded cache holds from before [requests], int64.

    With a finite lifetime only what the last request of the same prefix used, if it came no longer than `ttl_s` ago.
    """
    order = np.argsort(traffic.prefix_id, kind="stable")  # arrivals stay in order within an id
    ids, tokens, at = (
        values[order] for values in (traffic.prefix_id, traffic.prefix_tokens, traffic.arrived_s)
    )
    first = np.concatenate(([True], ids[1:] != ids[:-1])) | (ids < 0)
    held = tokens
    if np.isinf(ttl_s):
        # The running maximum within each id: steps of more than any prefix part the ids.
        above = np.cumsum(first) * (int(tokens.max()) + 1)
        held = np.maximum.accumulate(tokens + above) - above
    before = np.concatenate(([0], held[:-1]))
    late = np.concatenate(([False], np.diff(at) > ttl_s))
    seen = np.where(first | late, 0, np.minimum(before, tokens))
    hits = np.empty(len(seen), dtype=np.int64)
    # The last token of a prompt is always computed: the answer follows from it.
    hits[order] = np.minimum(seen, traffic.input_tokens[order] - 1)
    return hits
