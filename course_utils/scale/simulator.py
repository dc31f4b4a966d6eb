"""A fleet under traffic, simulated to the step of each engine.

    outcome = simulate(azure_conversation(), Fleet(step_times(deployment), replicas=8, usd_per_replica_hour=2.5))
    outcome.ttft().p95, outcome.goodput_per_s(ttft_slo_s=1, tpot_slo_s=0.05), outcome.cost_usd

What happens inside is told module by module in `simulation`.
Taught in: chapters 09 and 10.
"""

import math

import numpy as np

from course_utils.scale.autoscaling import RULES
from course_utils.scale.fleet import Fleet
from course_utils.scale.outcome import Outcome
from course_utils.scale.routing import POLICIES
from course_utils.scale.simulation import records
from course_utils.scale.simulation.compiled import run
from course_utils.scale.traffic import Traffic

MOST_MACHINES = 1_000_000


def simulate(traffic: Traffic, fleet: Fleet, *, seed: int = 0) -> Outcome:
    """Every request of `traffic` through `fleet`, until the last one has ended. The same seed gives the same run.

    `seed` decides random routing, backoff jitter, and which replicas die when. ValueError for a request whose context
    doesn't fit the KV cache of a replica, and where more than a million machines would be started.
    """
    _check_contexts(traffic, fleet)
    machines = 4 * fleet.most_replicas + 256
    while machines <= MOST_MACHINES:
        sim = _prepared(traffic, fleet, seed, machines)
        run(sim)
        if sim.tally[0]["machines"] < machines:
            return _outcome(traffic, fleet, sim)
        machines *= 8
    raise ValueError(
        f"failures.mean_life_s={fleet.failures.mean_life_s!r}: more than {MOST_MACHINES:,} machines would be started; "
        f"longer lives are needed"
    )


def _check_contexts(traffic: Traffic, fleet: Fleet) -> None:
    """The last token of an answer is never read, so it needs no room."""
    times = fleet.step_times
    held = traffic.input_tokens.astype(float) + traffic.output_tokens - 1
    room = times.kv_tokens // times.block_tokens * times.block_tokens
    if held.max() > room:
        i = int(np.argmax(held > room))
        raise ValueError(
            f"request {i} of {traffic.name!r} has {traffic.input_tokens[i]} + {traffic.output_tokens[i]} tokens: "
            f"at most {room} fit the KV cache of {times.label!r}"
        )


def _prepared(traffic: Traffic, fleet: Fleet, seed: int, machines: int) -> records.Arrays:
    """All arrays of a run, at its start."""
    requests = np.zeros(len(traffic), records.REQUEST)
    requests["arrived_s"] = traffic.arrived_s
    requests["input"], requests["output"] = traffic.input_tokens, traffic.output_tokens
    ids, prefix = np.unique(traffic.prefix_id, return_inverse=True)
    without = int(ids[0] == -1)  # the lowest id, where there is one, is that of no prefix
    requests["prefix"] = prefix - without
    requests["prefix_tokens"], requests["tenant"] = traffic.prefix_tokens, traffic.tenant
    levels, requests["level"] = np.unique(traffic.priority, return_inverse=True)
    requests["first_token_s"] = requests["ended_s"] = np.nan
    requests["machine"] = records.NONE
    settings = _settings(traffic, fleet, seed, len(levels))
    places = fleet.most_replicas
    tally = np.zeros(1, records.TALLY)
    tally["left"], tally["wanted"], tally["sample_every"] = len(traffic), fleet.replicas, 1
    tally["next_change_s"] = np.inf
    replicas = np.zeros(places + 1, records.REPLICA)
    replicas["boundary_s"], replicas["lowest"] = np.inf, settings["blocks"]
    tally["capacity"] = np.iinfo(np.int64).max
    times = fleet.step_times
    market = fleet.failures.capacity
    links = np.full((3, len(traffic), 2), records.NONE, np.int64)
    prefixes = (len(ids) - without) if fleet.prefix_cache else 0
    return records.Arrays(
        settings=settings,
        tally=tally,
        decode_s=np.array(times.decode_s, float),
        mixed_s=np.array(times.mixed_s, float),
        requests=requests,
        queue_links=links[0],
        wait_links=links[1],
        timeout_links=links[2],
        list_ends=np.full(((places + 1) * len(levels) + 2, 2), records.NONE, np.int64),
        retry_s=np.empty(len(traffic) if fleet.retries.limit else 0),
        retry_of=np.empty(len(traffic) if fleet.retries.limit else 0, np.int64),
        replicas=replicas,
        up=np.zeros(places, np.int64),
        seats=np.zeros((places, times.max_running), records.SEAT),
        new_blocks=np.zeros((places, times.block_tokens), np.int64),
        prefixes=np.zeros((places, prefixes), records.PREFIX),
        machines=np.zeros(machines, records.MACHINE),
        kills_s=np.array(fleet.failures.kills_s, float),
        capacity_s=np.array([at_s for at_s, _ in market], float),
        capacity=np.array([count for _, count in market], np.int64),
        gaps=np.zeros(records.GAP_BINS, np.int64),
        series=np.zeros(records.LONGEST_SERIES, records.SAMPLE),
    )


def _settings(traffic: Traffic, fleet: Fleet, seed: int, levels: int) -> np.ndarray:
    times, scaler, routing, retries = fleet.step_times, fleet.autoscaler, fleet.routing, fleet.retries
    failures, most = fleet.failures, np.iinfo(np.int64).max
    values = {
        "cache_s_per_token": times.cache_s_per_token,
        "sequence_s": times.sequence_s,
        "attention_s_per_pair": times.attention_s_per_pair,
        "request_s": times.request_s,
        "longest_wait_s": math.inf if fleet.longest_wait_s is None else fleet.longest_wait_s,
        "timeout_s": math.inf if fleet.timeout_s is None else fleet.timeout_s,
        "backoff_s": retries.backoff_s,
        "backoff_factor": retries.factor,
        "jitter": retries.jitter,
        "cold_start_s": fleet.cold_start_s,
        "mean_life_s": math.inf if failures.mean_life_s is None else failures.mean_life_s,
        "beta": routing.beta,
        "target": math.inf,
        "interval_s": math.inf,
        "sample_s": max(traffic.arrived_s[-1], 1.0) / (records.LONGEST_SERIES // 2),
        "seed": seed % 2**64,
        "blocks": times.kv_tokens // times.block_tokens,
        "block_tokens": times.block_tokens,
        "max_running": times.max_running,
        "step_tokens": fleet.step_tokens,
        "static": fleet.batching == "static",
        "prefix_cache": fleet.prefix_cache,
        "queue_limit": most // 2**20 if fleet.queue_limit is None else fleet.queue_limit,
        "retries": retries.limit,
        "moves": failures.moves,
        "replaced": failures.replaced,
        "routing": POLICIES.index(routing.policy),
        "central": routing.policy == "central",
        "by_tenant": routing.key == "tenant",
        "least": fleet.replicas,
        "most": fleet.most_replicas,
        "levels": levels,
    }
    if scaler is not None:
        # A delay in whole looks, so that no rounding of times decides.
        looks = {
            name: math.ceil(seconds / scaler.interval_s - 1e-9)
            for name, seconds in (
                ("upscale_ticks", scaler.upscale_delay_s),
                ("downscale_ticks", scaler.downscale_delay_s),
                ("cooldown_ticks", scaler.cooldown_s),
            )
        }
        values |= looks | {
            "target": scaler.target,
            "interval_s": scaler.interval_s,
            "late_share": scaler.late_share,
            "level_weight": scaler.level_weight,
            "trend_weight": scaler.trend_weight,
            "lead_intervals": fleet.cold_start_s / scaler.interval_s + 1,
            "rule": RULES.index(scaler.rule),
            "least": scaler.min_replicas,
        }
    settings = np.zeros(1, records.SETTINGS)
    for name, value in values.items():
        settings[name] = value
    return settings


def _outcome(traffic: Traffic, fleet: Fleet, sim: records.Arrays) -> Outcome:
    tally, machines = sim.tally[0], sim.machines[: sim.tally[0]["machines"]]
    requests = sim.requests
    return Outcome(
        traffic=traffic,
        fleet=fleet,
        status=(requests["state"] - records.FINISHED).astype(np.int8),
        first_token_s=requests["first_token_s"].copy(),
        ended_s=requests["ended_s"].copy(),
        machine=requests["machine"].copy(),
        attempts=requests["attempts"].copy(),
        preemptions=requests["preemptions"].copy(),
        moves=requests["moves"].copy(),
        cached_tokens=requests["cached"].copy(),
        launched_s=machines["launched_s"].copy(),
        ready_s=machines["ready_s"].copy(),
        machine_ended_s=machines["ended_s"].copy(),
        busy_s=machines["busy_s"].copy(),
        series=sim.series[: tally["samples"]].copy(),
        gap_edges_s=records.GAP_EDGES_S,
        gaps=sim.gaps,
        counters={name: int(tally[name]) for name in _COUNTERS}
        | {
            "blocks_held": int(
                sum(
                    sim.settings[0]["blocks"] - row["free"] - row["cached"]
                    for row in sim.replicas[:-1]
                    if row["state"] != records.EMPTY
                )
            ),
            "most_blocks": int(sim.settings[0]["blocks"] - sim.replicas["lowest"][:-1].min()),
        },
    )


_COUNTERS = (
    "steps",
    "prompt_tokens",
    "answer_tokens",
    "asked_tokens",
    "hit_tokens",
    "preemptions",
    "blocks_taken",
    "blocks_returned",
)
