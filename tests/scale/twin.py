"""The simulator a second time, as plainly as it can be told: every step one by one, lists and a heap, no shortcut.

It shares no line with `course_utils.scale.simulation`, only the rules. Slow, and meant to be.
"""

import heapq
import itertools
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from types import SimpleNamespace

READY, DEATH, KILL, MARKET, ARRIVAL, RETRY, WAIT_LIMIT, TIMEOUT, TICK, BOUNDARY = range(10)
FINISHED, SHED, TIMED_OUT, FAILED = range(4)
MASK = 2**64 - 1


def uniform(seed, purpose, first, second):
    def mixed(word):
        word = (word + 0x9E3779B97F4A7C15) & MASK
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
        return word ^ (word >> 31)

    return (mixed(mixed(mixed(seed ^ purpose) ^ first) ^ second) >> 11) * 2.0**-53


@dataclass(eq=False)
class Request:
    number: int
    arrived_s: float
    input: int
    output: int
    prefix: int
    prefix_tokens: int
    tenant: int
    priority: int
    status: int | None = None
    first_token_s: float = math.nan
    ended_s: float = math.nan
    stalled_s: float = math.nan
    entered_s: float = math.nan
    machine: int = -1
    attempts: int = 0
    preemptions: int = 0
    moves: int = 0
    cached: int = 0
    generated: int = 0
    target: int = 0
    computed: int = 0
    decoding: bool = False
    blocks: int = 0
    shared: int = 0
    at: object = None  # a replica or the gateway
    running: bool = False
    limited: bool = False
    entering: bool = False


@dataclass(eq=False)
class Replica:
    place: int
    machine: int = -1
    state: str = "up"
    waiting: list = field(default_factory=list)
    running: list = field(default_factory=list)
    prefixes: OrderedDict = field(default_factory=OrderedDict)  # prefix -> [blocks, pinned, users]
    boundary_s: float | None = None
    step_s: float | None = None
    busy_s: float = 0.0

    @property
    def outstanding(self):
        return len(self.running) + len(self.waiting)

    @property
    def prompt_tokens(self):
        return sum(q.input for q in self.running + self.waiting)


class Twin:
    def __init__(self, traffic, fleet, seed=0):
        self.fleet, self.times, self.seed = fleet, fleet.step_times, seed
        self.size = self.times.block_tokens
        self.blocks = self.times.kv_tokens // self.size
        ids = sorted({int(p) for p in traffic.prefix_id if p >= 0})
        rank = {p: number for number, p in enumerate(ids)} | {-1: -1}
        self.requests = [
            Request(i, float(traffic.arrived_s[i]), int(traffic.input_tokens[i]), int(traffic.output_tokens[i]),
                    rank[int(traffic.prefix_id[i])], int(traffic.prefix_tokens[i]), int(traffic.tenant[i]),
                    int(traffic.priority[i]))
            for i in range(len(traffic))
        ]  # fmt: skip
        self.most = fleet.replicas if fleet.autoscaler is None else fleet.autoscaler.max_replicas
        self.places = [None] * self.most
        self.gateway = Replica(self.most, state="gateway")
        self.machines, self.events, self.sequence = [], [], itertools.count()
        self.left, self.wanted, self.capacity = len(self.requests), fleet.replicas, math.inf
        self.turn = self.kills = self.entered = self.markets = 0
        self.gaps, self.first_tokens = [], []
        self.level = self.trend = 0.0
        self.ticks = self.up_ticks = self.down_ticks = self.since_change = 0
        self.prompt_tokens = self.answer_tokens = self.asked = self.hits = self.steps = 0

    def run(self):
        for q in self.requests:
            self.at(q.arrived_s + self.times.request_s, ARRIVAL, q.number, q)
        for kill_s in self.fleet.failures.kills_s:
            self.at(kill_s, KILL, 0, None)
        for number, (at_s, machines) in enumerate(self.fleet.failures.capacity):
            self.at(at_s, MARKET, number, machines)
        if self.fleet.autoscaler:
            self.at(self.fleet.autoscaler.interval_s, TICK, 0, None)
        for _ in range(self.wanted):
            self.launch(0.0, 0.0)
        while self.left:
            self.now, kind, _, _, what = heapq.heappop(self.events)
            if kind == BOUNDARY:
                if what.boundary_s == self.now:
                    self.boundary(what)
                continue
            if self.happened(kind, what):
                self.assign()
                self.give_up()
        self.now = max(q.ended_s for q in self.requests)
        for replica in self.billed():
            self.end_machine(replica)
        return self

    def at(self, time_s, kind, tie, what):
        heapq.heappush(self.events, (time_s, kind, tie, next(self.sequence), what))

    def happened(self, kind, what):
        """False for what doesn't concern anybody any more."""
        if kind in (ARRIVAL, RETRY):
            self.enter(what)
        elif kind == WAIT_LIMIT:
            q, entered_s = what
            if q.limited and q.entered_s == entered_s:
                self.limit_reached(q, SHED)
        elif kind == TIMEOUT:
            q, attempt = what
            if q.status is None and q.at is not None and q.attempts == attempt:
                self.limit_reached(q, TIMED_OUT)
        elif kind == TICK:
            self.tick()
            self.at((self.ticks + 1) * self.fleet.autoscaler.interval_s, TICK, 0, None)
        elif kind == READY:
            if what.state != "starting":
                return False
            what.state = "up"
        elif kind == DEATH:
            if self.places[what.place] is not what:
                return False
            self.kill(what)
            self.adjust()
        elif kind == KILL:
            self.kills += 1
            up = self.up()
            if up:
                self.kill(up[int(uniform(self.seed, 4, self.kills, 0) * len(up))])
        elif kind == MARKET:
            self.capacity = what
            self.markets += 1
            while len(self.billed()) > what:
                self.kill(max(self.billed(), key=lambda replica: replica.machine))
            self.adjust()
        return True

    # Machines

    def up(self):
        return [replica for replica in self.places if replica and replica.state == "up"]

    def starting(self):
        return [replica for replica in self.places if replica and replica.state == "starting"]

    def billed(self):
        return [replica for replica in self.places if replica]

    def launch(self, now_s, ready_s):
        replica = Replica(self.places.index(None), len(self.machines), "starting")
        self.places[replica.place] = replica
        self.machines.append(SimpleNamespace(launched_s=now_s, ready_s=ready_s, ended_s=None, busy_s=None))
        self.at(ready_s, READY, replica.place, replica)
        if self.fleet.failures.mean_life_s is not None:
            life_s = -self.fleet.failures.mean_life_s * math.log1p(-uniform(self.seed, 3, replica.machine, 0))
            self.at(ready_s + life_s, DEATH, replica.place, replica)

    def end_machine(self, replica):
        row = self.machines[replica.machine]
        row.ended_s, row.busy_s = self.now, replica.busy_s
        if replica.step_s is not None:
            row.busy_s -= max(replica.boundary_s - self.now, 0)
        self.places[replica.place] = None

    def adjust(self):
        while len(self.up()) + len(self.starting()) < self.wanted and len(self.billed()) < min(
            self.most, self.capacity
        ):
            self.launch(self.now, self.now + self.fleet.cold_start_s)
        while len(self.up()) + len(self.starting()) > self.wanted:
            least = min(
                self.up() + self.starting(), key=lambda replica: (replica.outstanding, -replica.machine)
            )
            if least.state == "starting" or least.boundary_s is None:
                least.state = "gone"
                self.end_machine(least)
            else:
                least.state = "draining"

    def kill(self, replica):
        highest_first = sorted(replica.waiting, key=lambda q: -q.priority)
        lost = [*replica.running, *highest_first]
        if replica.state != "draining" and not self.fleet.failures.replaced:
            self.wanted = max(self.wanted - 1, 0)
        for q in lost:
            self.withdraw(q)
        self.end_machine(replica)
        replica.state, replica.boundary_s = "gone", None
        self.adjust()
        for q in lost:
            q.moves += 1
            q.generated, q.first_token_s = 0, math.nan
            if q.moves > self.fleet.failures.moves:
                self.attempt_ends(q, FAILED)
            else:
                self.queue(q, self.gateway)

    # Requests

    def enter(self, q):
        fleet = self.fleet
        q.attempts += 1
        q.entered_s = self.now
        self.entered += 1
        if self.wanted == 0 and fleet.autoscaler:
            self.wanted, self.down_ticks = 1, 0
            self.adjust()
        stays = fleet.routing.policy == "central" or not self.up()
        limit = math.inf if fleet.queue_limit is None else fleet.queue_limit
        if stays and len(self.gateway.waiting) >= limit * max(len(self.up()), 1):
            self.attempt_ends(q, SHED)
            return
        q.entering = not stays
        self.queue(q, self.gateway)
        if fleet.timeout_s is not None:
            deadline_s = self.now - self.times.request_s + fleet.timeout_s
            self.at(deadline_s, TIMEOUT, 0, (q, q.attempts))
        if fleet.longest_wait_s is not None:
            q.limited = True
            self.at(self.now + fleet.longest_wait_s, WAIT_LIMIT, 0, (q, self.now))

    def queue(self, q, where):
        q.at, q.running = where, False
        where.waiting.append(q)

    def assign(self):
        if self.fleet.routing.policy == "central":
            for replica in self.up() if self.gateway.waiting else []:
                self.wake(replica)
            return
        while self.gateway.waiting and self.up():
            q = max(self.gateway.waiting, key=lambda q: q.priority)
            self.gateway.waiting.remove(q)
            replica = self.pick(q)
            limit = math.inf if self.fleet.queue_limit is None else self.fleet.queue_limit
            if q.entering and len(replica.waiting) >= limit:
                q.limited = False
                self.attempt_ends(q, SHED)
                continue
            q.entering = False
            self.queue(q, replica)
            self.wake(replica)

    def wake(self, replica):
        if replica.boundary_s is None:
            self.set_boundary(replica, self.now)

    def set_boundary(self, replica, time_s):
        replica.boundary_s = time_s
        self.at(time_s, BOUNDARY, replica.place, replica)

    def withdraw(self, q):
        q.limited = False
        if q.running:
            self.release(q)
            q.at.running.remove(q)
        else:
            q.at.waiting.remove(q)
        q.at, q.running = None, False

    def limit_reached(self, q, how):
        self.withdraw(q)
        self.attempt_ends(q, how)

    def attempt_ends(self, q, how):
        q.generated, q.first_token_s, q.at = 0, math.nan, None
        retries = self.fleet.retries
        if q.attempts <= retries.limit:
            wait_s = retries.backoff_s * retries.factor ** (q.attempts - 1)
            wait_s *= 1 - retries.jitter * uniform(self.seed, 2, q.number, q.attempts)
            self.at(self.now + wait_s + self.times.request_s, RETRY, q.number, q)
            return
        q.status, q.ended_s = how, self.now
        self.left -= 1

    def give_up(self):
        if self.billed() or self.markets < len(self.fleet.failures.capacity):
            return
        if self.capacity > 0 and (self.wanted > 0 or self.fleet.autoscaler):
            return
        while self.gateway.waiting:
            self.limit_reached(max(self.gateway.waiting, key=lambda q: q.priority), FAILED)

    # Routing

    def pick(self, q):
        up, routing = self.up(), self.fleet.routing
        policy, turn = routing.policy, self.turn
        self.turn += 1
        draw = q.attempts + q.moves
        if policy == "round_robin":
            return up[turn % len(up)]
        key = q.tenant if routing.key == "tenant" else q.prefix
        if policy == "consistent_hash" and key >= 0:
            return max(up, key=lambda replica: uniform(self.seed, 5, key, replica.place))
        first = int(uniform(self.seed, 0, q.number, draw) * len(up))
        if policy in ("random", "consistent_hash"):
            return up[first]
        order = up[turn % len(up) :] + up[: turn % len(up)]
        if policy == "power_of_two":
            order = up[first:] + up[:first]
            if len(up) > 1:
                order = [order[0], order[1 + int(uniform(self.seed, 1, q.number, draw) * (len(up) - 1))]]
        loads = {
            "least_outstanding": lambda replica: replica.outstanding,
            "power_of_two": lambda replica: replica.outstanding,
            "least_tokens": lambda replica: replica.prompt_tokens,
            "prefix_affinity": lambda replica: (
                q.input - self.hit(replica, q) * self.size + routing.beta * replica.prompt_tokens
            ),
        }
        return min(order, key=loads[policy])

    # Memory

    def blocks_for(self, tokens):
        return -(-tokens // self.size)

    def spare(self, replica):
        """Blocks that could be had: neither a running request's nor in use as a prefix."""
        return (
            self.blocks
            - sum(q.blocks for q in replica.running)
            - sum(p[1] for p in replica.prefixes.values())
        )

    def hit(self, replica, q):
        if not self.fleet.prefix_cache or q.prefix not in replica.prefixes:
            return 0
        context = q.input + q.generated
        return min(replica.prefixes[q.prefix][0], q.prefix_tokens // self.size, (context - 1) // self.size)

    def trim(self, replica):
        """Prefixes longest unused lose blocks until all fit."""

        def over():
            held = sum(q.blocks for q in replica.running) + sum(p[0] for p in replica.prefixes.values())
            return held - self.blocks

        for prefix in list(replica.prefixes):
            entry = replica.prefixes[prefix]
            entry[0] -= min(max(over(), 0), entry[0] - entry[1])
            if not entry[0]:
                del replica.prefixes[prefix]

    def release(self, q):
        q.blocks = 0
        if q.shared:
            entry = q.at.prefixes[q.prefix]
            entry[2] -= 1
            if not entry[2]:
                entry[1] = 0
            q.shared = 0

    # Steps

    def boundary(self, replica):
        if replica.step_s is not None:
            self.end_step(replica)
        self.begin_step(replica)

    def end_step(self, replica):
        for q in [q for q in replica.running if q.decoding]:
            q.generated += 1
            self.answer_tokens += 1
            self.gaps.append(replica.step_s)
        for q in list(replica.running):
            if not q.decoding and q.computed == q.target:
                self.first_token(replica, q)
            if q.decoding and q.generated == q.output:
                self.release(q)
                replica.running.remove(q)
                q.status, q.ended_s, q.machine, q.at = FINISHED, self.now, replica.machine, None
                self.left -= 1

    def first_token(self, replica, q):
        blocks = q.prefix_tokens // self.size
        entry = replica.prefixes.get(q.prefix, [0, 0, 0])
        if self.fleet.prefix_cache and q.prefix >= 0 and entry[0] == q.shared and blocks > q.shared:
            users = entry[2] + (q.shared == 0)
            replica.prefixes[q.prefix] = [blocks, blocks, users]
            replica.prefixes.move_to_end(q.prefix)
            q.blocks -= blocks - q.shared
            q.shared = blocks
        if q.generated == 0:
            q.first_token_s = self.now
            self.first_tokens.append(self.now - q.arrived_s)
        else:
            self.gaps.append(self.now - q.stalled_s)
        q.generated += 1
        self.answer_tokens += 1
        q.decoding = True

    def begin_step(self, replica):
        times, static = self.times, self.fleet.batching == "static"
        preempted = False
        while True:
            decoding = [q for q in replica.running if q.decoding]
            lacking = [q for q in decoding if self.blocks_for(q.input + q.generated) > q.blocks + q.shared]
            if len(lacking) <= self.spare(replica):
                break
            self.preempt(replica)
            preempted = True
        for q in lacking:
            q.blocks += 1
        self.trim(replica)
        context = sum(q.input + q.generated for q in decoding)
        budget, pairs = self.fleet.step_tokens - len(decoding), 0.0
        for q in replica.running:
            if not q.decoding:
                budget, pairs = self.chunk(q, budget, pairs)
        closed = len(replica.running) > 0 and (preempted or static)
        while not closed and len(replica.running) < times.max_running and (budget > 0 or static):
            q = self.next_waiting(replica)
            if q is None or not self.admitted(replica, q):
                break
            budget, pairs = self.chunk(q, budget, pairs)
        prompt_tokens = self.fleet.step_tokens - len(decoding) - budget
        self.prompt_tokens += prompt_tokens
        if not replica.running:
            replica.boundary_s = replica.step_s = None
            if replica.state == "draining":
                self.end_machine(replica)
            return
        tokens = len(decoding) + prompt_tokens
        table_s = float(times.mixed_s[tokens] if prompt_tokens else times.decode_s[tokens])
        replica.step_s = (
            table_s
            + times.cache_s_per_token * context
            + times.sequence_s * len(replica.running)
            + times.attention_s_per_pair * pairs
        )
        self.steps += 1
        replica.busy_s += replica.step_s
        self.set_boundary(replica, self.now + replica.step_s)

    def chunk(self, q, budget, pairs):
        new = min(q.target - q.computed, budget)
        pairs += new * (q.computed + (new + 1) / 2)
        q.computed += new
        return budget - new, pairs

    def next_waiting(self, replica):
        queue = replica.waiting
        if not queue and replica.state == "up" and self.fleet.routing.policy == "central":
            queue = self.gateway.waiting
        return max(queue, key=lambda q: q.priority, default=None)

    def admitted(self, replica, q):
        hit = self.hit(replica, q)
        context = q.input + q.generated
        need = self.blocks_for(context) - hit
        entry = replica.prefixes.get(q.prefix) if hit else None
        pins = max(0, hit - entry[1]) if entry else 0
        if need + pins > self.spare(replica):
            return False
        q.at.waiting.remove(q)
        q.at, q.running, q.limited, q.decoding = replica, True, False, False
        if entry:
            entry[1] += pins
            entry[2] += 1
            replica.prefixes.move_to_end(q.prefix)
        q.blocks, q.shared = need, hit
        replica.running.append(q)
        self.trim(replica)
        q.target, q.computed = context, hit * self.size
        q.cached = q.computed
        self.asked += q.target
        self.hits += q.computed
        return True

    def preempt(self, replica):
        lowest = min(q.priority for q in replica.running)
        q = [q for q in replica.running if q.priority == lowest][-1]
        if q.decoding:
            q.stalled_s = self.now
        self.release(q)
        replica.running.remove(q)
        q.running, q.decoding = False, False
        q.preemptions += 1
        replica.waiting.insert(0, q)

    # Autoscaling

    def tick(self):
        scaler = self.fleet.autoscaler
        rate = self.entered / scaler.interval_s
        if self.ticks == 0:
            self.level = rate
        else:
            before = self.level
            a, b = scaler.level_weight, scaler.trend_weight
            self.level = a * rate + (1 - a) * (before + self.trend)
            self.trend = b * (self.level - before) + (1 - b) * self.trend
        self.ticks += 1
        asked = min(max(self.asks(scaler), scaler.min_replicas), scaler.max_replicas)
        self.up_ticks = self.up_ticks + 1 if asked > self.wanted else 0
        self.down_ticks = self.down_ticks + 1 if asked < self.wanted else 0
        self.since_change += 1
        looks = [
            math.ceil(seconds / scaler.interval_s - 1e-9)
            for seconds in (scaler.upscale_delay_s, scaler.downscale_delay_s, scaler.cooldown_s)
        ]
        if (self.up_ticks > looks[0] or self.down_ticks > looks[1]) and self.since_change > looks[2]:
            self.wanted = asked
            self.up_ticks = self.down_ticks = self.since_change = 0
        self.adjust()
        self.entered, self.first_tokens = 0, []

    def asks(self, scaler):
        places = [*self.billed(), self.gateway]
        waiting, running = (sum(len(getattr(r, name)) for r in places) for name in ("waiting", "running"))
        late = sum(ttft_s > scaler.target for ttft_s in self.first_tokens)
        if scaler.rule == "concurrency":
            asked = math.ceil((waiting + running) / scaler.target)
        elif scaler.rule == "queue":
            asked = math.ceil(waiting / scaler.target)
        elif scaler.rule == "predictive":
            rate = self.level + self.trend * (self.fleet.cold_start_s / scaler.interval_s + 1)
            asked = math.ceil(max(rate, 0.0) / scaler.target)
        elif late > scaler.late_share * len(self.first_tokens) or self.overdue(scaler.target):
            asked = self.wanted + max(1, math.ceil(self.wanted * 0.1))
        else:
            asked = self.wanted - (late == 0)
        return max(asked, 1 if waiting + running else 0)

    def overdue(self, target_s):
        heads = [
            max(r.waiting, key=lambda q: q.priority) for r in [*self.billed(), self.gateway] if r.waiting
        ]
        return any(self.now - q.arrived_s > target_s for q in heads)
