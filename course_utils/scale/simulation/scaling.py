"""The autoscaler's look at the fleet."""

import math

from course_utils.scale.autoscaling import RULES
from course_utils.scale.simulation.jit import jit
from course_utils.scale.simulation.machines import adjust
from course_utils.scale.simulation.records import NONE, NOTHING
from course_utils.scale.simulation.waiting import first_waiting

CONCURRENCY, QUEUE, TTFT, PREDICTIVE = range(len(RULES))


@jit
def tick(sim, now_s):
    """Ask the rule, wait for as long as the delays say, and change what is wanted."""
    tally, settings = sim.tally[0], sim.settings[0]
    forecast(sim)
    tally.ticks += 1
    asked = min(max(rule_asks(sim, now_s), settings.least), settings.most)
    tally.up_ticks = tally.up_ticks + 1 if asked > tally.wanted else 0
    tally.down_ticks = tally.down_ticks + 1 if asked < tally.wanted else 0
    tally.since_change += 1
    held = tally.up_ticks > settings.upscale_ticks or tally.down_ticks > settings.downscale_ticks
    if held and tally.since_change > settings.cooldown_ticks:
        tally.wanted = asked
        tally.up_ticks = tally.down_ticks = tally.since_change = 0
    adjust(sim, now_s)
    tally.entered = tally.first_tokens = tally.late_tokens = 0


@jit
def rule_asks(sim, now_s):
    tally, settings = sim.tally[0], sim.settings[0]
    waiting, running = NOTHING, NOTHING
    for place in range(len(sim.replicas)):
        waiting += sim.replicas[place].waiting
        running += sim.replicas[place].running
    if settings.rule == CONCURRENCY:
        asked = math.ceil((waiting + running) / settings.target)
    elif settings.rule == QUEUE:
        asked = math.ceil(waiting / settings.target)
    elif settings.rule == TTFT:
        asked = ttft_asks(sim, now_s)
    else:
        rate = tally.rate_level + tally.rate_trend * settings.lead_intervals
        asked = math.ceil(max(rate, 0.0) / settings.target)
    return max(min(asked, settings.most), int(waiting + running > 0))


@jit
def ttft_asks(sim, now_s):
    tally, settings = sim.tally[0], sim.settings[0]
    late = tally.late_tokens > settings.late_share * tally.first_tokens
    for place in range(len(sim.replicas)):
        i = first_waiting(sim, place)
        late |= i != NONE and now_s - sim.requests[i].arrived_s > settings.target
    if late:
        return tally.wanted + max(1, math.ceil(tally.wanted * 0.1))
    return tally.wanted - int(tally.late_tokens == 0)


@jit
def forecast(sim):
    """Holt's level and trend of the rate of arrivals, both per interval; the first look is the level."""
    tally, settings = sim.tally[0], sim.settings[0]
    rate = tally.entered / settings.interval_s
    if tally.ticks == 0:
        tally.rate_level = rate
        return
    before = tally.rate_level
    a, b = settings.level_weight, settings.trend_weight
    tally.rate_level = a * rate + (1 - a) * (before + tally.rate_trend)
    tally.rate_trend = b * (tally.rate_level - before) + (1 - b) * tally.rate_trend
