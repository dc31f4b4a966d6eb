"""What a semantic cache earns: hits save a call, look-ups cost something, and a wrong answer costs most.

Own derivation. Per request: repeat_share * hit_rate * call + trap_share * wrong_rate * (call - wrong_answer) - lookup.
Taught in: chapter 08, section 8.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What is asked. Shares of all requests; the rest finds nothing near.

    repeat_share  somebody asked the same before, in these words or others
    trap_share    something near was asked before whose answer would be wrong
    """

    requests: float
    repeat_share: float
    trap_share: float

    def __post_init__(self):
        if not self.requests >= 0:
            raise ValueError(f"requests={self.requests!r}: 0 or more are needed")
        for name in ("repeat_share", "trap_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: a share, 0 to 1, is needed")
        if self.repeat_share + self.trap_share > 1:
            raise ValueError("repeat_share + trap_share is above 1: a request is one or the other")


@dataclass(frozen=True)
class Net:
    """USD over the traffic. `net_usd` = saved - wrong - lookups; `served` and `wrong`: requests."""

    saved_usd: float
    wrong_usd: float
    lookup_usd: float
    served: float
    wrong: float

    @property
    def net_usd(self) -> float:
        return self.saved_usd - self.wrong_usd - self.lookup_usd


def net(
    traffic: Traffic,
    hit_rate: float,
    wrong_rate: float,
    call_usd: float,
    wrong_answer_usd: float,
    lookup_usd: float = 0.0,
) -> Net:
    """What a rule earns that serves `hit_rate` of the repeats and answers `wrong_rate` of the traps wrongly.

    call_usd: a request that the model doesn't see; a wrong answer saves one too. wrong_answer_usd: what a wrong
    answer costs: a call to the help desk, a lost customer, a refund. lookup_usd: embedding and search, each request.
    """
    for name, value in (("hit_rate", hit_rate), ("wrong_rate", wrong_rate)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}={value!r}: a share, 0 to 1, is needed")
    for name, value in (
        ("call_usd", call_usd),
        ("wrong_answer_usd", wrong_answer_usd),
        ("lookup_usd", lookup_usd),
    ):
        if not value >= 0:
            raise ValueError(f"{name}={value!r}: USD, 0 or more, are needed")
    right = traffic.requests * traffic.repeat_share * hit_rate
    wrong = traffic.requests * traffic.trap_share * wrong_rate
    return Net(
        (right + wrong) * call_usd,
        wrong * wrong_answer_usd,
        traffic.requests * lookup_usd,
        right + wrong,
        wrong,
    )


def break_even_wrong_answer_usd(
    traffic: Traffic, hit_rate: float, wrong_rate: float, call_usd: float, lookup_usd: float = 0.0
) -> float:
    """Cost of a wrong answer at which nothing is earned any more; infinite where none is wrong."""
    free = net(traffic, hit_rate, wrong_rate, call_usd, 0.0, lookup_usd)
    return free.net_usd / free.wrong if free.wrong else float("inf")
