"""How many replicas should there be? Four rules, and the brakes that keep them from flapping.

Every `interval_s` a rule says how many it wants:

    concurrency   ceil(requests waiting or running / target)                       (Knative, Ray Serve)
    queue         ceil(requests waiting / target)                                  (KEDA on vLLM's queue length)
    ttft          a tenth more, at least one, while more than `late_share` of the first tokens since the last look came
                  later than `target` seconds, or the first of a queue has waited that long; one less while none did
    predictive    ceil(rate that is forecast for when a machine launched now is ready / target requests a second), by
                  Holt's level and trend

and the fleet follows once it has wanted more for `upscale_delay_s`, or fewer for `downscale_delay_s`, and `cooldown_s`
have passed since the last change. Waiting requests keep at least one replica wanted; an arrival wakes an empty fleet
at once.

Source: Holt (1957), "Forecasting seasonals and trends by exponentially weighted moving averages", reprinted in
International Journal of Forecasting 20 (2004).
Taught in: chapter 10.
"""

from dataclasses import dataclass

from course_utils.scale.checked import refuse

RULES = ("concurrency", "queue", "ttft", "predictive")


@dataclass(frozen=True)
class Autoscaler:
    """`target`, in the rule's unit: requests per replica, waiting requests per replica, seconds, requests/s.

    level_weight and trend_weight: how much the newest interval counts in the forecast. A machine that drains or starts
    counts towards `max_replicas`.
    """

    rule: str = "concurrency"
    target: float = 16.0
    min_replicas: int = 1
    max_replicas: int = 8
    interval_s: float = 10.0
    upscale_delay_s: float = 0.0
    downscale_delay_s: float = 120.0
    cooldown_s: float = 0.0
    late_share: float = 0.05
    level_weight: float = 0.5
    trend_weight: float = 0.2

    def __post_init__(self):
        if self.rule not in RULES:
            raise ValueError(f"rule={self.rule!r}: one of {', '.join(RULES)} is needed")
        refuse("target", self.target, 1e-9)
        refuse("min_replicas", self.min_replicas, 0, 100_000, whole=True)
        refuse("max_replicas", self.max_replicas, 1, 100_000, whole=True)
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas={self.min_replicas} is above max_replicas={self.max_replicas}: at most that is needed"
            )
        refuse("interval_s", self.interval_s, 1e-3)
        for name in ("upscale_delay_s", "downscale_delay_s", "cooldown_s"):
            refuse(name, getattr(self, name), 0)
        for name in ("late_share", "level_weight", "trend_weight"):
            refuse(name, getattr(self, name), 0, 1)
