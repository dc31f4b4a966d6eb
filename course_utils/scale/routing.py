"""Who gets the request? Eight routers, from blind to well informed.

blind: `round_robin`, `random`, `consistent_hash` (by prefix or tenant, wherever that leaves the load).
informed: `least_outstanding` and `power_of_two` count requests, `least_tokens` adds up their prompts' tokens,
`prefix_affinity` also looks at what each replica's cache holds. `central` doesn't choose: requests wait at the gateway
until a replica has room.

Sources: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12 (2001); Thaler and
Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM ToN 6 (1998): the consistent hash without a
ring, by the highest of each replica's draws.
Taught in: chapter 10.
"""

from dataclasses import dataclass

from course_utils.scale.checked import refuse

POLICIES = (
    "round_robin",
    "random",
    "consistent_hash",
    "least_outstanding",
    "power_of_two",
    "least_tokens",
    "prefix_affinity",
    "central",
)
KEYS = ("prefix", "tenant")


@dataclass(frozen=True)
class Routing:
    """`key`: what the consistent hash goes by; requests without a prefix are spread at random.

    `beta` (prefix affinity): who has least of (prompt tokens to compute there + beta * prompt tokens ahead of it). 0
    follows the cache only, and makes hot spots; large values follow the load only.
    """

    policy: str = "round_robin"
    key: str = "prefix"
    beta: float = 1.0

    def __post_init__(self):
        for name, value, known in (("policy", self.policy, POLICIES), ("key", self.key, KEYS)):
            if value not in known:
                raise ValueError(f"{name}={value!r}: one of {', '.join(known)} is needed")
        refuse("beta", self.beta, 0)
