"""Energy and carbon of a million tokens: what the chips draw, times what surrounds them, over what they make.

    kWh per million tokens = TDP x power share x server factor x PUE / (tokens per second x 3.6)

with TDP in watts: 1 W for the seconds that a million tokens take is 10^6 / (tokens per second) joules, and a kWh is
3.6 million of them. Only electricity in use is counted, at the place where it is used. What it took to make the
chips is not in here, nor is the electricity that an operator buys elsewhere to match it.
Taught in: chapter 02, section 7; chapter 11, section 3.
"""

from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import ClassVar

from course_utils.catalog.provenance import check_range, read_rows

JOULE_PER_KWH = 3.6e6


@dataclass(frozen=True)
class GridIntensity:
    """Mean carbon intensity of a grid's electricity over a year, life cycle of its plants included."""

    zone: str
    place: str
    cloud_regions: tuple[str, ...]
    year: int
    gco2e_per_kwh: float
    note: str | None
    source: str
    as_of: date

    KEY: ClassVar = ("zone", "year")

    def __post_init__(self):
        check_range("year", self.year, 2015, 2100)
        check_range("gco2e_per_kwh", self.gco2e_per_kwh, 5, 1500)


@dataclass(frozen=True)
class Pue:
    """Power usage effectiveness: what a data center draws over what its computers do, a year's mean."""

    operator: str
    year: int
    pue: float
    note: str | None
    source: str
    as_of: date

    KEY: ClassVar = ("operator", "year")

    def __post_init__(self):
        check_range("year", self.year, 2015, 2100)
        check_range("pue", self.pue, 1, 3)


def energy_kwh_per_mtok(
    tdp_w: float, tokens_per_s: float, power_share: float = 0.7, pue: float = 1.2, server_factor: float = 1.5
) -> float:
    """kWh for a million tokens.

    tdp_w and tokens_per_s belong to the same thing: one chip and its share, or all chips of a deployment.
    power_share: mean draw over TDP while serving (0.43 to 0.79 on A100s: Patel et al., Splitwise, its
    perf_model.csv). server_factor: draw of the whole server over that of its chips (1.8 at most in a DGX H100: 10.2
    kW over 8 x 700 W). pue: see `pue`. The defaults are assumptions.
    """
    check_range("tokens_per_s", tokens_per_s, 1e-6, 1e9)
    return drawn_w(tdp_w, power_share, pue, server_factor) / tokens_per_s * 1e6 / JOULE_PER_KWH


def drawn_w(tdp_w: float, power_share: float = 0.7, pue: float = 1.2, server_factor: float = 1.5) -> float:
    """Watts at the meter: TDP x power share x server factor x PUE, each as in `energy_kwh_per_mtok`."""
    check_range("tdp_w", tdp_w, 1, 1e7)
    check_range("power_share", power_share, 0.01, 1.2)
    check_range("pue", pue, 1, 3)
    check_range("server_factor", server_factor, 1, 5)
    return tdp_w * power_share * server_factor * pue


def power_share(utilization: float, busy_share: float = 0.7, idle_share: float = 0.2) -> float:
    """Mean draw over TDP of a chip that works a share of the time: idle chips with a model in memory draw, too.

    A straight line from idle to busy. busy_share: as `energy_kwh_per_mtok` has it. idle_share: assumed.
    """
    check_range("utilization", utilization, 0, 1)
    check_range("busy_share", busy_share, 0.01, 1.2)
    check_range("idle_share", idle_share, 0, busy_share)
    return idle_share + (busy_share - idle_share) * utilization


def co2e_g_per_mtok(kwh_per_mtok: float, gco2e_per_kwh: float) -> float:
    """Grams of CO2 equivalent for a million tokens: energy times the grid's intensity."""
    check_range("kwh_per_mtok", kwh_per_mtok, 0, 1e9)
    check_range("gco2e_per_kwh", gco2e_per_kwh, 0, 2000)
    return kwh_per_mtok * gco2e_per_kwh


def grids() -> tuple[GridIntensity, ...]:
    """Every row of `data/grid_intensity.csv`, cleanest first."""
    return tuple(sorted(read_rows("grid_intensity.csv", GridIntensity), key=lambda row: row.gco2e_per_kwh))


def grid(name: str) -> GridIntensity:
    """The grid of a zone (`FR`), a place (`France`) or a cloud's region (`us-east-1`, `GCP us-east4`).

    ValueError offers the nearest names.
    """
    index: dict[str, GridIntensity] = {}
    for row in grids():
        regions = [one for region in row.cloud_regions for one in (region, region.split()[-1])]
        for key in (row.zone, row.place, *regions):
            index.setdefault(key.casefold(), row)
    return _found("name", name, index)


def pues() -> tuple[Pue, ...]:
    """Every row of `data/pue.csv`, lowest first."""
    return tuple(sorted(read_rows("pue.csv", Pue), key=lambda row: row.pue))


def pue(operator: str) -> Pue:
    """The latest row of an operator, or of the `Industry average`. ValueError offers the nearest names."""
    rows = sorted(pues(), key=lambda row: row.year)
    return _found("operator", operator, {row.operator.casefold(): row for row in rows})


def _found(argument: str, name: str, index: dict):
    if isinstance(name, str) and name.casefold() in index:
        return index[name.casefold()]
    near = get_close_matches(str(name).casefold(), index, n=3, cutoff=0.5) or sorted(index)
    raise ValueError(f"{argument}={name!r}: not in the catalog; nearest: {', '.join(near)}")
