"""The model on machines: rented or bought by you, or run for you by a provider. Paid by the hour, busy or not.

Taught in: chapter 11, sections 1 to 3.
"""

from dataclasses import dataclass, field

import numpy as np

from course_utils.catalog.provenance import check_range
from course_utils.decide.carbon import drawn_w
from course_utils.decide.demand import Workload
from course_utils.decide.roads import Facts, price_path, told
from course_utils.decide.team import Team
from course_utils.estimate.cost import HOURS_PER_MONTH


@dataclass(frozen=True)
class Replica:
    """One copy of the model on its chips.

    output_tokens_per_s: of the whole copy at full load, at the workload's lengths of prompt and answer.
    load_at_peak: how much of that you dare to plan for in the busiest hour; beyond it, requests wait (chapter 09).
    """

    chips: int
    output_tokens_per_s: float
    load_at_peak: float = 0.7

    def __post_init__(self):
        check_range("chips", self.chips, 1, 4096)
        check_range("output_tokens_per_s", self.output_tokens_per_s, 1e-3, 1e8)
        if not 0 < self.load_at_peak <= 1:
            raise ValueError(f"load_at_peak={self.load_at_peak!r}: above 0 and at most 1 is needed")

    def needed(self, workload: Workload, months: int) -> np.ndarray:
        """[months, hours] copies that the load asks for in each hour: whole ones, and one at least."""
        if not workload.usage.output_tokens:
            raise ValueError("usage.output_tokens=0: a copy's speed is in output tokens, so some are needed")
        planned = self.output_tokens_per_s * self.load_at_peak
        tokens_per_s = workload.per_second(months) * workload.usage.output_tokens
        return np.maximum(
            np.ceil(tokens_per_s / planned - 1e-9), 1
        )  # a hair above a whole number is rounding


@dataclass(frozen=True)
class Rent:
    """Chips by the hour. Those held are paid in every hour at `usd_per_chip_hour`, for terms of `term_months`.

    extra_usd_per_chip_hour: for chips taken by the hour when the load asks for more; None: there are none.
    change_per_year: of rents, at each new term; for extra chips, month by month.
    """

    usd_per_chip_hour: float
    extra_usd_per_chip_hour: float | None = None
    term_months: int = 1
    change_per_year: float = 0.0

    def __post_init__(self):
        check_range("usd_per_chip_hour", self.usd_per_chip_hour, 0.01, 1000)
        check_range("extra_usd_per_chip_hour", self.extra_usd_per_chip_hour, 0.01, 1000)

    def costs(self, held: np.ndarray, busy: np.ndarray) -> dict[str, np.ndarray]:
        """held: [months] chips paid all the time; busy: [months, hours] chips that run."""
        months = len(held)
        extra = np.maximum(busy - held[:, None], 0).mean(axis=1) * HOURS_PER_MONTH
        if extra.any() and self.extra_usd_per_chip_hour is None:
            raise ValueError(
                f"held chips: {held.max():g}, but {busy.max():g} run in the busiest hour and there is no price for "
                "extra ones: hold more, or give extra_usd_per_chip_hour"
            )
        path = price_path(self.change_per_year, months, self.term_months)
        parts = {"chips held": held * HOURS_PER_MONTH * self.usd_per_chip_hour * path}
        if self.extra_usd_per_chip_hour is not None:
            parts["chips by the hour"] = (
                extra * self.extra_usd_per_chip_hour * price_path(self.change_per_year, months)
            )
        return parts


@dataclass(frozen=True)
class Owned:
    """Chips that you buy, in the month in which they are first needed; worth nothing at the end.

    usd_per_chip: with its share of server and network. Power: TDP x power_share x server_factor x pue, as in
    `carbon`, in every hour. room_usd_per_kw_month: space and cooling by the kilowatt of that power. All assumed.
    """

    usd_per_chip: float
    tdp_w: float
    usd_per_kwh: float = 0.10
    room_usd_per_kw_month: float = 0.0
    power_share: float = 0.7
    server_factor: float = 1.5
    pue: float = 1.2

    term_months = 36  # what you have bought, you have

    @property
    def kw_per_chip(self) -> float:
        return drawn_w(self.tdp_w, self.power_share, self.pue, self.server_factor) / 1000

    def costs(self, held: np.ndarray, busy: np.ndarray) -> dict[str, np.ndarray]:
        """As `Rent.costs`. Chips beyond those held can't be had by the hour."""
        most = np.maximum.accumulate(held)
        if (busy > most[:, None]).any():
            raise ValueError(
                f"held chips: {most.max():g}, but {busy.max():g} run in the busiest hour: buy more"
            )
        bought = np.diff(most, prepend=0.0)
        return {
            "chips bought": bought * self.usd_per_chip,
            "electricity": most * self.kw_per_chip * HOURS_PER_MONTH * self.usd_per_kwh,
            "room": most * self.kw_per_chip * self.room_usd_per_kw_month,
        }


@dataclass(frozen=True)
class Hosted:
    """The model on machines that are there whether somebody asks or not.

    spare: copies beyond what the load needs, so that one may fail (N + 1). held: copies paid for in every hour;
    None: as many as the busiest hour needs. disk, egress and `platform_usd_per_month` (gateway, monitoring) are
    what machines of your own need besides. An endpoint that a provider runs is the same road at another rent and
    with a smaller team.
    """

    name: str
    replica: Replica
    chips: Rent | Owned
    team: Team = field(default_factory=Team)
    spare: int = 1
    held: int | None = None
    disk_gb: float = 0.0
    disk_usd_per_gb_month: float = 0.0
    egress_usd_per_gb: float = 0.0
    egress_bytes_per_token: float = 250.0  # a streamed token travels in an envelope of JSON: assumed
    platform_usd_per_month: float = 0.0
    facts: Facts = field(default_factory=Facts)

    def __post_init__(self):
        check_range("spare", self.spare, 0, 1000)
        check_range("held", self.held, 0, 100_000)

    def copies(self, workload: Workload, months: int) -> np.ndarray:
        """[months, hours] copies that run, the spare ones among them."""
        return self.replica.needed(workload, months) + self.spare

    def held_copies(self, running: np.ndarray) -> np.ndarray:
        """[months] copies paid for all the time: those held, or the peak's, for as long as the term binds.

        running: [months, hours], from `copies`.
        """
        months = len(running)
        if self.held is not None:
            return np.full(months, float(self.held))
        peak, term = running.max(axis=1), self.chips.term_months
        if term == 1:
            return peak
        return np.array([peak[max(0, month - term + 1) : month + 1].max() for month in range(months)])

    def utilization(self, workload: Workload, months: int) -> np.ndarray:
        """[months] tokens served over tokens that what is paid for could serve."""
        running = self.copies(workload, months)
        paid = np.maximum(running, self.held_copies(running)[:, None]).mean(axis=1)
        served = workload.per_second(months).mean(axis=1) * workload.usage.output_tokens
        return served / (paid * self.replica.output_tokens_per_s)

    def costs(self, workload: Workload, months: int) -> dict[str, np.ndarray]:
        running = self.copies(workload, months)
        held = self.held_copies(running)
        most = np.maximum(held, running.max(axis=1))
        tokens = workload.requests(months) * workload.usage.output_tokens
        parts = self.chips.costs(held * self.replica.chips, running * self.replica.chips) | {
            "disk": most * self.disk_gb * self.disk_usd_per_gb_month,
            "egress": tokens * self.egress_bytes_per_token / 1e9 * self.egress_usd_per_gb,
            "platform": np.full(months, self.platform_usd_per_month),
        }
        return told(parts) | self.team.costs(months)
