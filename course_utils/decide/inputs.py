"""The reader's inputs, all in one place: each with a default, a range that holds it 8 times in 10, and who says so.

The roads that they make are those of chapter 11: a commercial model's API, an open model's API of the same measured
quality, that open model on an endpoint run for you, and on machines that you rent.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from course_utils.catalog.api_prices import ApiPrice
from course_utils.catalog.provenance import assumed
from course_utils.decide.demand import Workload, day_shape
from course_utils.decide.hosted import Hosted, Rent, Replica
from course_utils.decide.roads import Api, Facts, Road
from course_utils.decide.team import Team
from course_utils.estimate.cost import Usage

if TYPE_CHECKING:
    import pandas as pd

COMMERCIAL, OPEN, ENDPOINT, MACHINES = (
    "commercial API",
    "open model's API",
    "managed endpoint",
    "own machines",
)


def _input(default: float, low: float, high: float, unit: str, origin: str = "", ends=None):
    """`ends`: how far a search for the tipping point goes; by default a tenth and ten times the default."""
    return field(
        default=default,
        metadata={
            "range": (low, high),
            "ends": ends or (default / 10, default * 10),
            "unit": unit,
            "origin": origin or assumed(),
        },
    )


_AZURE = "published by Azure/AzurePublicDataset (CC BY 4.0), conversation, 2023-11-16"
_RENT = "published by Lambda (8 x H100) and Together (endpoint), 2026-09-25 and 2026-10-24"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What decides, as numbers. Every default is yours to change; `table` says what each is and who says so.

    output_tokens_per_s: of one copy of the model on `chips_per_copy` chips at full load. endpoint_team and
    api_team: engineers, as shares of `engineers`, that the easier roads take; building them takes the same share.
    """

    requests_per_day: float = _input(100_000, 50_000, 200_000, "per day", ends=(10, 1e8))
    growth_per_month: float = _input(0.04, 0.0, 0.10, "share", ends=(-0.1, 0.3))
    input_tokens: float = _input(1155, 900, 1500, "tokens", _AZURE)
    output_tokens: float = _input(211, 150, 300, "tokens", _AZURE)
    cached_share: float = _input(0.0, 0.0, 0.3, "of input", ends=(0, 1))
    batch_share: float = _input(0.0, 0.0, 0.2, "of requests", ends=(0, 1))
    peak_to_mean: float = _input(2.2, 1.6, 3.5, "times", ends=(1, 10))
    output_tokens_per_s: float = _input(
        2590, 1987, 3376, "tokens/s", "predicted: gpt-oss-120b (mxfp4), vLLM, 1 x H100 SXM, 80 % interval"
    )
    load_at_peak: float = _input(0.70, 0.50, 0.85, "of full load", ends=(0.1, 1))
    usd_per_chip_hour: float = _input(3.99, 2.97, 6.88, "USD", _RENT)
    endpoint_usd_per_chip_hour: float = _input(3.99, 3.35, 7.00, "USD", _RENT)
    api_change_per_year: float = _input(-0.30, -0.70, 0.0, "share", ends=(-0.9, 1))
    rent_change_per_year: float = _input(0.0, -0.30, 0.15, "share", ends=(-0.9, 1))
    engineers: float = _input(1.0, 0.5, 2.5, "full time", ends=(0, 10))
    endpoint_team: float = _input(0.4, 0.2, 0.7, "of engineers", ends=(0, 2))
    api_team: float = _input(0.15, 0.05, 0.3, "of engineers", ends=(0, 2))
    build_engineer_months: float = _input(5, 3, 10, "months")
    on_call: float = _input(3, 0, 5, "people", ends=(0, 30))
    salary_usd_per_year: float = _input(160_000, 90_000, 250_000, "USD")
    platform_usd_per_month: float = _input(1500, 500, 4000, "USD")
    egress_usd_per_gb: float = _input(
        0.09, 0.0, 0.12, "USD", "published: data/cloud_costs.csv, AWS", ends=(0, 1)
    )
    discount_per_year: float = _input(0.08, 0.04, 0.12, "share", ends=(0, 0.5))
    spare: int = 1
    chips_per_copy: int = 1
    months: int = 36

    def workload(self) -> Workload:
        usage = Usage(
            input_tokens=self.input_tokens,
            cached_read_tokens=self.input_tokens * self.cached_share,
            output_tokens=self.output_tokens,
        )
        return Workload(
            self.requests_per_day,
            usage,
            day_shape(self.peak_to_mean),
            self.growth_per_month,
            self.batch_share,
        )

    def numbers(self) -> dict[str, float]:
        """The inputs that have a range, by name."""
        return {name: getattr(self, name) for name in ranges()}

    def table(self) -> "pd.DataFrame":
        """Every input with its range, unit and origin. A value that isn't the default is yours."""
        import pandas as pd

        rows = []
        for one in fields(self):
            if "range" not in one.metadata:
                continue
            value = getattr(self, one.name)
            origin = one.metadata["origin"] if value == one.default else "yours"
            rows.append((one.name, value, *one.metadata["range"], one.metadata["unit"], origin))
        return pd.DataFrame(rows, columns=["input", "value", "low", "high", "unit", "says"]).set_index(
            "input"
        )


def ranges() -> dict[str, tuple[float, float]]:
    """Each uncertain input's range: it lies inside 8 times in 10."""
    return {one.name: one.metadata["range"] for one in fields(Inputs) if "range" in one.metadata}


def search_ends() -> dict[str, tuple[float, float]]:
    """How far each uncertain input is moved in search of the value that turns a decision."""
    return {one.name: one.metadata["ends"] for one in fields(Inputs) if "ends" in one.metadata}


def moved(inputs: Inputs, changes: Mapping[str, float]) -> Inputs:
    """The same inputs with some of them changed. ValueError for a name that isn't one."""
    names = [one.name for one in fields(inputs)]
    if unknown := set(changes) - set(names):
        raise ValueError(f"changes has {sorted(unknown)[0]!r}; inputs are {', '.join(names)}")
    return replace(inputs, **changes)


def draws(inputs: Inputs, count: int = 64, seed: int = 0, held: Collection[str] = ()) -> list[Inputs]:
    """Inputs drawn from their ranges, each apart from the others: the default is the median, the ends 10 and 90 %.

    A normal with one width below the median and another above, cut at two standard deviations; points of a Sobol
    sequence, so that few do. A range that your own value has left moves along with it, by the same ratio or step.
    held: names of inputs that you know; they keep their value.
    """
    from scipy.special import ndtri
    from scipy.stats import qmc

    if unknown := set(held) - set(ranges()):
        raise ValueError(f"held has {sorted(unknown)[0]!r}; inputs with a range are {', '.join(ranges())}")
    names = list(ranges())
    points = qmc.Sobol(len(names), seed=seed).random(count)
    z = np.clip(ndtri(np.clip(points, 1e-6, 1 - 1e-6)), -2, 2) / ndtri(0.9)
    values = {}
    for number, (name, (low, high)) in enumerate(shifted_ranges(inputs).items()):
        if name in held:
            continue
        middle, ends = getattr(inputs, name), search_ends()[name]
        value = middle + z[:, number] * np.where(z[:, number] < 0, middle - low, high - middle)
        values[name] = np.clip(value, min(ends[0], middle), max(ends[1], middle))
    return [
        replace(inputs, **{name: float(value[row]) for name, value in values.items()}) for row in range(count)
    ]


def shifted_ranges(inputs: Inputs) -> dict[str, tuple[float, float]]:
    """Ranges around the values that these inputs have, as wide in ratio as around the defaults.

    A rate of change that may be negative keeps the ratio of 1 + rate; a share whose default is 0 keeps the step.
    """
    result = {}
    for name, (low, high) in ranges().items():
        value, usual = getattr(inputs, name), getattr(Inputs, name)
        if search_ends()[name][0] < 0:
            result[name] = tuple((1 + value) * (1 + end) / (1 + usual) - 1 for end in (low, high))
        elif usual:
            result[name] = (value * low / usual, value * high / usual)
        else:
            result[name] = (value + low, value + high)
    return result


def roads_of(inputs: Inputs, commercial: ApiPrice, open_api: ApiPrice) -> dict[str, Road]:
    """The four roads of chapter 11, by name. Their `facts` say who sees the data; replace them by what you know."""
    copy = Replica(inputs.chips_per_copy, inputs.output_tokens_per_s, inputs.load_at_peak)

    def team(share: float, on_call: float) -> Team:
        return Team(
            engineers=inputs.engineers * share,
            build_engineer_months=inputs.build_engineer_months * share,
            on_call=on_call,
            salary_usd_per_year=inputs.salary_usd_per_year,
        )

    api_team, change = team(inputs.api_team, 0), inputs.api_change_per_year
    roads: list[Road] = [
        Api(COMMERCIAL, commercial, api_team, change, Facts((commercial.provider,), exit_months=0)),
        Api(OPEN, open_api, api_team, change, Facts((open_api.provider,), exit_months=0)),
        Hosted(
            ENDPOINT,
            copy,
            Rent(inputs.endpoint_usd_per_chip_hour, change_per_year=inputs.rent_change_per_year),
            team(inputs.endpoint_team, 0),
            inputs.spare,
            facts=Facts(("endpoint's provider",), exit_months=1),
        ),
        Hosted(
            MACHINES,
            copy,
            Rent(inputs.usd_per_chip_hour, change_per_year=inputs.rent_change_per_year),
            team(1.0, inputs.on_call),
            inputs.spare,
            disk_gb=200,
            disk_usd_per_gb_month=0.08,
            egress_usd_per_gb=inputs.egress_usd_per_gb,
            platform_usd_per_month=inputs.platform_usd_per_month,
            facts=Facts(("own account",), exit_months=1),
        ),
    ]
    return {road.name: road for road in roads}
