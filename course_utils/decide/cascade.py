"""Two models for one job: the small one first and the large one when needed, or a router that chooses between them.

A cascade pays for the small model on *every* request, and for both on those that it passes on. A router pays for
one of them, and for itself. What each saves depends on a share that only your own traffic can tell.
Taught in: chapter 11, section 4.
"""

from dataclasses import dataclass

from course_utils.catalog.provenance import check_range


@dataclass(frozen=True)
class Checker:
    """What decides after the small model's answer: shares of its wrong answers caught, of its right ones passed on."""

    caught_share: float
    false_alarm_share: float

    def __post_init__(self):
        check_range("caught_share", self.caught_share, 0, 1)
        check_range("false_alarm_share", self.false_alarm_share, 0, 1)


def escalated_share(small_right: float, checker: Checker) -> float:
    """Share of requests that go on to the large model: wrong answers caught, and right ones doubted."""
    check_range("small_right", small_right, 0, 1)
    return small_right * checker.false_alarm_share + (1 - small_right) * checker.caught_share


def cascade_usd(small_usd: float, large_usd: float, escalated: float, check_usd: float = 0.0) -> float:
    """Mean USD of a request: small and check always, large for the share that is passed on."""
    _prices(small_usd=small_usd, large_usd=large_usd, check_usd=check_usd)
    check_range("escalated", escalated, 0, 1)
    return small_usd + check_usd + escalated * large_usd


def routed_usd(small_usd: float, large_usd: float, to_large: float, router_usd: float = 0.0) -> float:
    """Mean USD of a request if a router sends each to one model, by how hard it looks."""
    _prices(small_usd=small_usd, large_usd=large_usd, router_usd=router_usd)
    check_range("to_large", to_large, 0, 1)
    return router_usd + (1 - to_large) * small_usd + to_large * large_usd


def cascade_right(
    small_right: float, checker: Checker, large_right_on_hard: float, large_right_on_easy: float = 1.0
) -> float:
    """Share answered right. `hard`: what the small model gets wrong; the large one is weaker there than on average."""
    check_range("small_right", small_right, 0, 1)
    check_range("large_right_on_hard", large_right_on_hard, 0, 1)
    check_range("large_right_on_easy", large_right_on_easy, 0, 1)
    kept = small_right * (1 - checker.false_alarm_share)
    doubted = small_right * checker.false_alarm_share * large_right_on_easy
    return kept + doubted + (1 - small_right) * checker.caught_share * large_right_on_hard


def break_even_escalation(small_usd: float, large_usd: float, check_usd: float = 0.0) -> float:
    """Share passed on at which a cascade costs as much as the large model alone. Below 0: it never pays."""
    _prices(small_usd=small_usd, large_usd=large_usd, check_usd=check_usd)
    if not large_usd:
        raise ValueError("large_usd=0: above 0 is needed")
    return 1 - (small_usd + check_usd) / large_usd


def _prices(**usd: float) -> None:
    for name, value in usd.items():
        check_range(name, value, 0, 1e6)
