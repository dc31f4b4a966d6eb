"""People: the part of a road's cost that no price list has. All of it is assumed, and yours to change."""

from dataclasses import dataclass

import numpy as np

from course_utils.catalog.provenance import check_range


@dataclass(frozen=True)
class Team:
    """Who builds a road and who keeps it running.

    engineers: full-time equivalents, for good. build_engineer_months: once, in the first month.
    salary_usd_per_year times `overhead` (taxes, desk, recruiting) is what a year of one costs. on_call: people in
    the rota, each paid so much a month for it, beside the salary.
    """

    engineers: float = 0.0
    build_engineer_months: float = 0.0
    on_call: float = 0.0
    salary_usd_per_year: float = 160_000
    overhead: float = 1.3
    on_call_usd_per_month: float = 800

    def __post_init__(self):
        check_range("engineers", self.engineers, 0, 10_000)
        check_range("build_engineer_months", self.build_engineer_months, 0, 100_000)
        check_range("on_call", self.on_call, 0, 1000)
        check_range("salary_usd_per_year", self.salary_usd_per_year, 0, 5e6)
        check_range("overhead", self.overhead, 1, 5)
        check_range("on_call_usd_per_month", self.on_call_usd_per_month, 0, 100_000)

    @property
    def engineer_usd_per_month(self) -> float:
        return self.salary_usd_per_year * self.overhead / 12

    def costs(self, months: int) -> dict[str, np.ndarray]:
        """[months] of USD by part; a part that costs nothing is left out."""
        build = np.zeros(months)
        build[0] = self.build_engineer_months * self.engineer_usd_per_month
        parts = {
            "build": build,
            "engineers": np.full(months, self.engineers * self.engineer_usd_per_month),
            "on call": np.full(months, self.on_call * self.on_call_usd_per_month),
        }
        return {name: usd for name, usd in parts.items() if usd.any()}
