"""How spot capacity comes and goes: fitted open and closed spells per zone, and what a region's zones share.

A zone alternates between open and closed spells. Zones of a region close together more often than chance
has it. The shared-shock model says: a zone is open when its own process and the region's are. Then, for two
zones i and j, P(i and j) = P(i) P(j) / q with q the share of time in which the region is open, so q is read
off the overlap of two traces; how fast their covariance decays with lag, tau, gives the region's mean
spells: tau / (1 - q) open, tau / q closed (two-state Markov process).
"""

from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import ClassVar

from course_utils.catalog.provenance import check_range, read_rows
from course_utils.scale.durations import Durations


@dataclass(frozen=True)
class SpotProcess:
    """One fitted zone and chip, a row of `data/spot_processes.csv`. Times in hours.

    `up_mean_h` is the mean time to preemption; `*_ks` the error of fit, the largest gap between fitted and
    observed cumulative share; `exponential_up_ks` the error had preemptions no memory. `full_mean_h` and
    `partial_mean_h`: while the zone is open, spells with all instances and with some of them (0: one
    instance, nothing to tell apart).
    """

    provider: str
    zone: str
    chip: str
    chips_per_instance: int
    kind: str
    instances: int
    hours: float
    availability: float
    losses: int
    up_family: str
    up_mean_h: float
    up_shape: float
    up_ks: float
    exponential_up_ks: float
    down_family: str
    down_mean_h: float
    down_shape: float
    down_ks: float
    full_mean_h: float
    partial_mean_h: float
    note: str | None
    source: str
    as_of: date

    KEY: ClassVar = ("provider", "zone", "chip", "chips_per_instance", "as_of")

    def __post_init__(self):
        check_range("availability", self.availability, 0, 1)
        check_range("full_mean_h", self.full_mean_h, 0, 1e6)
        check_range("partial_mean_h", self.partial_mean_h, 0, 1000)
        self.up, self.down  # noqa: B018  both check their own ranges

    @property
    def up(self) -> Durations:
        return Durations(self.up_family, self.up_mean_h, self.up_shape)

    @property
    def down(self) -> Durations:
        return Durations(self.down_family, self.down_mean_h, self.down_shape)

    @property
    def region(self) -> str:
        return region_of(self.zone)


@dataclass(frozen=True)
class RegionShock:
    """What the zones of one region share, a row of `data/spot_shocks.csv`.

    `availability` is q, `up_mean_h` and `down_mean_h` the region's spells; `phi` the mean correlation that
    was seen between its zones, `phi_other_regions` that with zones elsewhere in the same hours (None:
    nobody looked).
    """

    provider: str
    region: str
    chip: str
    chips_per_instance: int
    zones: int
    phi: float
    phi_other_regions: float | None
    availability: float
    up_mean_h: float
    down_mean_h: float
    source: str
    as_of: date

    KEY: ClassVar = ("provider", "region", "chip", "chips_per_instance", "as_of")

    def __post_init__(self):
        check_range("phi", self.phi, -1, 1)
        check_range("availability", self.availability, 0.01, 1)
        check_range("up_mean_h", self.up_mean_h, 1e-3, 1e6)
        check_range("down_mean_h", self.down_mean_h, 1e-3, 1e6)


@dataclass(frozen=True)
class Drift:
    """How far a zone moves from one period to the next, the row of `data/spot_drift.csv`.

    `log_odds`: standard deviation of the change in log(open hours / closed hours) from the first half of a trace to
    the second, over `traces` traces of `period_days` median days a half. No process that stays the same explains it.
    """

    log_odds: float
    traces: int
    period_days: float
    source: str
    as_of: date

    def __post_init__(self):
        check_range("log_odds", self.log_odds, 0, 10)


@dataclass(frozen=True)
class Notice:
    """How long a provider warns before it takes a spot instance back, a row of `data/spot_notices.csv`."""

    provider: str
    grace_s: float
    note: str | None
    source: str
    as_of: date

    KEY: ClassVar = ("provider",)

    def __post_init__(self):
        check_range("grace_s", self.grace_s, 0, 86_400)


def region_of(zone: str) -> str:
    """us-east-1c -> us-east-1; us-central1-a -> us-central1."""
    return zone[:-1].rstrip("-")


def spot_processes(chip: str | None = None, region: str | None = None) -> tuple[SpotProcess, ...]:
    """Every fitted process that fits the filters, longest trace first."""
    rows = read_rows("spot_processes.csv", SpotProcess)
    kept = [
        row
        for row in rows
        if (chip is None or row.chip.casefold() == chip.casefold())
        and (region is None or row.region.casefold() == region.casefold())
    ]
    if not kept:
        has = sorted({f"{row.chip} in {row.region}" for row in rows})
        raise ValueError(f"chip={chip!r}, region={region!r}: nothing fitted; there are {', '.join(has)}")
    return tuple(sorted(kept, key=lambda row: (-row.hours, row.zone, row.chips_per_instance)))


def spot_process(zone: str, chip: str = "V100", chips_per_instance: int = 1) -> SpotProcess:
    """The fitted process of a zone, from its longest trace. ValueError offers the nearest zones."""
    rows = [row for row in spot_processes(chip) if row.chips_per_instance == chips_per_instance]
    for row in rows:
        if row.zone.casefold() == zone.casefold():
            return row
    names = sorted({row.zone for row in rows})
    near = get_close_matches(zone.casefold(), names, n=3, cutoff=0.4) or names
    raise ValueError(
        f"zone={zone!r}: no process for {chips_per_instance} x {chip} there; "
        f"nearest: {', '.join(near) or 'none'}"
    )


def region_shock(region: str, chip: str = "V100", chips_per_instance: int = 1) -> RegionShock:
    """What a region's zones share, from the fit over most zones. ValueError names the regions there are."""
    rows = [
        row
        for row in read_rows("spot_shocks.csv", RegionShock)
        if row.chip.casefold() == chip.casefold() and row.chips_per_instance == chips_per_instance
    ]
    found = [row for row in rows if row.region.casefold() == region.casefold()]
    if not found:
        names = ", ".join(sorted({row.region for row in rows})) or "none"
        raise ValueError(
            f"region={region!r}: no shock fitted for {chips_per_instance} x {chip}; there are {names}"
        )
    return max(found, key=lambda row: row.zones)


def spot_drift() -> Drift:
    """How far zones drift between periods: what `generate_trace` needs for an interval that holds next month."""
    return read_rows("spot_drift.csv", Drift)[0]


def spot_notice(provider: str) -> Notice:
    """How long `provider` warns before it takes an instance back. ValueError names those that there are."""
    rows = read_rows("spot_notices.csv", Notice)
    for row in rows:
        if row.provider.casefold() == provider.casefold():
            return row
    raise ValueError(f"provider={provider!r}: one of {', '.join(row.provider for row in rows)} is needed")
