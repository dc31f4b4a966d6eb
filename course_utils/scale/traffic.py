"""Requests in the order of their arrival: what a simulator is fed with, and what a load generator sends.

Files are read by `traffic_files`, made-up traffic comes from `generated_traffic`, times alone from `arrivals`.
Taught in: chapter 09.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Traffic:
    """Requests by time of arrival. Arrays [requests], read-only; the optional ones are filled where None.

    arrived_s: seconds, sorted, from 0 on. input_tokens, output_tokens: 1 or more, the first token included.
    name, origin: what this is, and where it comes from ("read from …", "generated: …").
    prefix_id: -1 for none. Of the text that an id stands for a prompt begins with the first `prefix_tokens`
    tokens; so two requests of one id have the smaller of their two `prefix_tokens` in common.
    tenant: index into `tenants`. priority: 0 is normal, higher is served first.
    ValueError names the array, the place in it, the value, and what is right.
    """

    arrived_s: np.ndarray
    input_tokens: np.ndarray
    output_tokens: np.ndarray
    name: str
    origin: str
    prefix_id: np.ndarray | None = None
    prefix_tokens: np.ndarray | None = None
    tenant: np.ndarray | None = None
    tenants: tuple[str, ...] = ("",)
    priority: np.ndarray | None = None

    def __post_init__(self):
        arrived_s = np.asarray(self.arrived_s, dtype=np.float64)
        if arrived_s.ndim != 1 or not arrived_s.size:
            raise ValueError(f"arrived_s has shape {arrived_s.shape}: one row of at least one time is needed")
        count, tenants = arrived_s.size, tuple(self.tenants)
        if not tenants or len(set(tenants)) < len(tenants):
            raise ValueError(f"tenants={tenants!r}: at least one name, and none twice, is needed")
        _refuse("arrived_s", arrived_s, ~((arrived_s >= 0) & (arrived_s < np.inf)), "a time of 0 s or more")
        steps_back = np.concatenate(([False], arrived_s[1:] < arrived_s[:-1]))
        _refuse("arrived_s", arrived_s, steps_back, "no earlier time than that of the request before")
        most = np.iinfo(np.int64).max
        input_tokens = _whole("input_tokens", self.input_tokens, count, 1, most)
        prefix_id = _whole("prefix_id", self.prefix_id, count, -1, most, fill=-1)
        prefix_tokens = _whole("prefix_tokens", self.prefix_tokens, count, 0, most, fill=0)
        _refuse("prefix_tokens", prefix_tokens, prefix_tokens > input_tokens, "no more than input_tokens")
        nobodys = (prefix_id < 0) & (prefix_tokens > 0)
        _refuse("prefix_tokens", prefix_tokens, nobodys, "0 where prefix_id is -1, or a prefix_id")
        checked = {
            "arrived_s": arrived_s,
            "input_tokens": input_tokens,
            "output_tokens": _whole("output_tokens", self.output_tokens, count, 1, most),
            "prefix_id": prefix_id,
            "prefix_tokens": prefix_tokens,
            "tenant": _whole("tenant", self.tenant, count, 0, len(tenants) - 1, fill=0),
            "priority": _whole("priority", self.priority, count, -most, most, fill=0),
        }
        for name, values in checked.items():
            # A view, so that the caller's own array stays writable.
            values = np.ascontiguousarray(values).view()
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        object.__setattr__(self, "tenants", tenants)

    def __len__(self) -> int:
        return self.arrived_s.size

    @property
    def duration_s(self) -> float:
        """Seconds from the first arrival to the last."""
        return float(self.arrived_s[-1] - self.arrived_s[0])

    @property
    def rate_per_s(self) -> float:
        """Mean arrivals a second: gaps between requests over the time that they take. NaN for a single request."""
        if len(self) == 1:
            return float("nan")
        return (len(self) - 1) / self.duration_s if self.duration_s else float("inf")

    def scaled(self, rate_factor: float) -> "Traffic":
        """The same requests at `rate_factor` times the rate: each arrival's time is divided by it."""
        if not 0 < rate_factor < np.inf:
            raise ValueError(f"rate_factor={rate_factor!r}: a finite factor above 0 is needed")
        origin = self.origin if rate_factor == 1 else f"{self.origin}; rate × {rate_factor:g}"
        return replace(self, arrived_s=self.arrived_s / rate_factor, origin=origin)

    def first(self, requests: int) -> "Traffic":
        """The first `requests` of them, or all where there are no more."""
        if requests < 1:
            raise ValueError(f"requests={requests!r}: at least 1 is needed")
        return self if requests >= len(self) else self._picked(slice(int(requests)))

    def _picked(self, which) -> "Traffic":
        return replace(self, **{name: getattr(self, name)[which] for name in _ARRAYS})


_ARRAYS = ("arrived_s", "input_tokens", "output_tokens", "prefix_id", "prefix_tokens", "tenant", "priority")


def merge_traffic(parts: Mapping[str, Traffic], name: str = "merged") -> Traffic:
    """One stream of several tenants' traffic: `parts` by the tenant's name. Nobody shares a prefix with another.

    A tenant's own division into tenants is given up. Requests that arrive together keep the order of `parts`.
    """
    if not parts:
        raise ValueError("parts is empty: at least one tenant's traffic is needed")
    columns = {key: [getattr(part, key) for part in parts.values()] for key in _ARRAYS}
    order = np.argsort(np.concatenate(columns["arrived_s"]), kind="stable")
    columns["tenant"] = [np.full(len(part), number) for number, part in enumerate(parts.values())]
    first_free, ids = 0, []
    for prefix_id in columns["prefix_id"]:
        ids.append(np.where(prefix_id < 0, -1, prefix_id + first_free))
        first_free += int(prefix_id.max()) + 1
    columns["prefix_id"] = ids
    return Traffic(
        **{key: np.concatenate(values)[order] for key, values in columns.items()},
        name=name,
        origin="; ".join(f"{tenant}: {part.origin}" for tenant, part in parts.items()),
        tenants=tuple(parts),
    )


def _whole(name: str, values, count: int, low: int, high: int, fill: int | None = None) -> np.ndarray:
    """`values` as int64 [count], or `fill` where None. ValueError for another number of them, or one out of range."""
    if values is None and fill is not None:
        return np.full(count, fill, dtype=np.int64)
    values = np.asarray(values)
    if values.shape != (count,):
        raise ValueError(f"{name} has shape {values.shape}: ({count},) is needed, as many as arrived_s has")
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{name} holds {values.dtype}: whole numbers are needed")
    wanted = f"a whole number, {low} or more" if high > 2**62 else f"a whole number from {low} to {high}"
    bad = ~((values >= low) & (values <= high))
    if values.dtype.kind == "f":
        bad |= values != np.floor(values)
        # float64 can't hold int64's greatest number: what rounds up to it would overflow.
        bad |= values >= 2.0**63
    _refuse(name, values, bad, wanted)
    return values.astype(np.int64, copy=False)


def _refuse(name: str, values: np.ndarray, bad: np.ndarray, wanted: str) -> None:
    if bad.any():
        place = int(np.argmax(bad))
        raise ValueError(f"{name}[{place}]={values[place].item()!r}: {wanted} is needed")
