"""What serves the traffic: replicas, who gets which request, when replicas come and go, and what happens to the rest.

    fleet = Fleet(step_times(deploy("Llama-3.1-8B", "H100 SXM")), replicas=8, routing=Routing("power_of_two"))

Taught in: chapters 09 and 10.
"""

from dataclasses import dataclass, field

import numpy as np

from course_utils.scale.autoscaling import Autoscaler
from course_utils.scale.checked import refuse
from course_utils.scale.routing import Routing
from course_utils.scale.spot_traces import Trace
from course_utils.scale.step_times import StepTimes

BATCHING = ("continuous", "static")


@dataclass(frozen=True)
class Retries:
    """What a client does whose request was shed, timed out, or lost: it sends it again, `limit` times at most.

    The k-th wait is `backoff_s * factor**(k - 1)`, of which up to the share `jitter` is taken off at random, so that
    clients which were refused together don't come back together.
    """

    limit: int = 3
    backoff_s: float = 1.0
    factor: float = 2.0
    jitter: float = 0.5

    def __post_init__(self):
        refuse("limit", self.limit, 0, 1000, whole=True)
        refuse("backoff_s", self.backoff_s, 0)
        refuse("factor", self.factor, 1, 100)
        refuse("jitter", self.jitter, 0, 1)


@dataclass(frozen=True)
class Failures:
    """How replicas are lost, with all that is on them.

    mean_life_s: each replica lives an exponential time from when it is ready (None: for ever). kills_s: at each of
    these times one replica, drawn at random, dies. capacity: (from which second on, machines that can be had at most),
    as a spot market gives and takes them; the youngest go first. A lost request starts over on another replica,
    `moves` times at most, and then fails, as at once with moves=0; a client with retries sends it again.
    replaced: a new machine is started for each one lost, as soon as there is one.
    """

    mean_life_s: float | None = None
    kills_s: tuple[float, ...] = ()
    capacity: tuple[tuple[float, int], ...] = ()
    moves: int = 3
    replaced: bool = True

    def __post_init__(self):
        if self.mean_life_s is not None:
            refuse("mean_life_s", self.mean_life_s, 1e-3)
        refuse("moves", self.moves, 0, 1000, whole=True)
        object.__setattr__(self, "kills_s", tuple(self.kills_s))
        object.__setattr__(self, "capacity", tuple((at_s, machines) for at_s, machines in self.capacity))
        times = [at_s for at_s, _ in self.capacity]
        for name, values in (("kills_s", list(self.kills_s)), ("capacity", times)):
            for at_s in values:
                refuse(name, at_s, 0)
            if values != sorted(values):
                raise ValueError(f"{name}={values!r}: times in order are needed")
        for _, machines in self.capacity:
            refuse("capacity", machines, 0, whole=True)

    @classmethod
    def on_spot(cls, trace: Trace, **more) -> "Failures":
        """The market of a spot trace; past its end things stay as they are. `more` are the other fields."""
        begins = np.concatenate(([0], np.flatnonzero(np.diff(trace.alive)) + 1))
        return cls(capacity=tuple((float(at * trace.gap_s), int(trace.alive[at])) for at in begins), **more)


@dataclass(frozen=True, eq=False)
class Fleet:
    """Replicas of one deployment behind one router.

    usd_per_replica_hour: billed from a machine's launch, its cold start included, to its end.
    batching: "continuous" lets a request join at every step; "static" only when the whole batch before it is done.
    step_tokens: token budget of a step, decodes first, prompts' chunks with the rest; None: that of `step_times`.
    queue_limit: requests waiting at a replica, beyond which it sheds (None: never); at the gateway it holds for each
    replica that is up, at least one. longest_wait_s: who has waited so long without being started is shed.
    timeout_s: the client's patience for the whole answer, for each time that it asks; what was computed is lost.
    cold_start_s: from launch until a machine serves. Those at the start are warm.
    """

    step_times: StepTimes
    replicas: int = 1
    usd_per_replica_hour: float = 0.0
    routing: Routing = field(default_factory=Routing)
    batching: str = "continuous"
    step_tokens: int | None = None
    prefix_cache: bool = False
    queue_limit: int | None = None
    longest_wait_s: float | None = None
    timeout_s: float | None = None
    retries: Retries = Retries(limit=0)
    autoscaler: Autoscaler | None = None
    cold_start_s: float = 0.0
    failures: Failures = Failures()

    def __post_init__(self):
        times = self.step_times
        refuse("replicas", self.replicas, 0, 100_000, whole=True)
        scaler = self.autoscaler
        if scaler is None and not self.replicas:
            raise ValueError("replicas=0: at least 1 is needed, or an autoscaler that starts some")
        if scaler is not None and not scaler.min_replicas <= self.replicas <= scaler.max_replicas:
            raise ValueError(
                f"replicas={self.replicas}: from the autoscaler's min_replicas={scaler.min_replicas} to its "
                f"max_replicas={scaler.max_replicas} is needed"
            )
        refuse("usd_per_replica_hour", self.usd_per_replica_hour, 0)
        if self.batching not in BATCHING:
            raise ValueError(f"batching={self.batching!r}: one of {', '.join(BATCHING)} is needed")
        if self.step_tokens is None:
            object.__setattr__(self, "step_tokens", times.step_tokens)
        most = min(len(times.decode_s), len(times.mixed_s)) - 1
        refuse("max_running", times.max_running, 1, most, whole=True)
        refuse("step_tokens", self.step_tokens, times.max_running, most, whole=True)
        if self.queue_limit is not None:
            refuse("queue_limit", self.queue_limit, 1, whole=True)
        if self.longest_wait_s is not None:
            refuse("longest_wait_s", self.longest_wait_s, 0)
        if self.timeout_s is not None:
            refuse("timeout_s", self.timeout_s, times.request_s)
        refuse("cold_start_s", self.cold_start_s, 0)
        refuse("block_tokens", times.block_tokens, 1, whole=True)
        refuse("kv_tokens", times.kv_tokens, times.block_tokens, 2**31 - 1)

    @property
    def most_replicas(self) -> int:
        """Machines billed at once at most, those that start or drain included."""
        return self.replicas if self.autoscaler is None else self.autoscaler.max_replicas


def servers(
    count: int, seconds_per_token: float, most_tokens: int = 1_000_000, usd_per_replica_hour: float = 0.0
) -> Fleet:
    """The textbook's `count` servers with one queue, first come, first served.

    A request with one output token is served in `input_tokens * seconds_per_token`, in one step and alone. So any
    service time is had to within half a token: `input_tokens = round(service_s / seconds_per_token)`.
    """
    refuse("count", count, 1, 100_000, whole=True)
    refuse("seconds_per_token", seconds_per_token, 0)
    refuse("most_tokens", most_tokens, 1, 100_000_000, whole=True)
    times = StepTimes(
        decode_s=np.arange(most_tokens + 1) * seconds_per_token,
        mixed_s=np.arange(most_tokens + 1) * seconds_per_token,
        cache_s_per_token=0.0,
        sequence_s=0.0,
        attention_s_per_pair=0.0,
        request_s=0.0,
        kv_tokens=most_tokens,
        block_tokens=1,
        max_running=1,
        step_tokens=most_tokens,
        label=f"{count} plain servers",
    )
    return Fleet(times, count, usd_per_replica_hour, routing=Routing("central"))
