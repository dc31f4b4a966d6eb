"""The compiled simulator and its plain twin agree on every request, to the last decision.

Both add the same numbers in the same order, so times are equal to the last bit as well, but for busy seconds and what
`log1p` and powers give: those agree to 1e-9.
"""

import importlib.util
from pathlib import Path

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from course_utils.scale.autoscaling import RULES, Autoscaler
from course_utils.scale.fleet import BATCHING, Failures, Fleet, Retries
from course_utils.scale.routing import KEYS, POLICIES, Routing
from course_utils.scale.simulator import simulate
from course_utils.scale.step_times import StepTimes
from course_utils.scale.traffic import Traffic

_SPEC = importlib.util.spec_from_file_location("twin", Path(__file__).with_name("twin.py"))
twin = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(twin)

TABLE = np.arange(257.0)


@st.composite
def step_times(draw):
    most = draw(st.integers(1, 8))
    return StepTimes(
        decode_s=draw(st.sampled_from([0.0, 0.01, 0.25])) + TABLE * draw(st.sampled_from([0.0, 1e-3])),
        mixed_s=draw(st.sampled_from([0.01, 0.25])) + TABLE * draw(st.sampled_from([0.0, 2e-3])),
        cache_s_per_token=draw(st.sampled_from([0.0, 1e-5])),
        sequence_s=draw(st.sampled_from([0.0, 1e-3])),
        attention_s_per_pair=draw(st.sampled_from([0.0, 1e-6])),
        request_s=draw(st.sampled_from([0.0, 0.05])),
        kv_tokens=draw(st.integers(80, 200)),
        block_tokens=draw(st.sampled_from([1, 4, 16])),
        max_running=most,
        step_tokens=draw(st.integers(most, 64)),
        label="drawn",
    )


@st.composite
def traffics(draw):
    count = draw(st.integers(1, 40))

    def column(values):
        return draw(st.lists(values, min_size=count, max_size=count))

    gaps_s = column(st.one_of(st.sampled_from([0.0, 0.25, 1.0]), st.floats(0, 3)))
    input_tokens = column(st.integers(1, 32))
    prefix_id = np.array(column(st.integers(-1, 4)))
    prefix_tokens = np.minimum(column(st.integers(0, 32)), input_tokens)
    return Traffic(
        arrived_s=np.cumsum(gaps_s),
        input_tokens=input_tokens,
        output_tokens=column(st.integers(1, 32)),
        name="drawn",
        origin="generated: hypothesis",
        prefix_id=prefix_id,
        prefix_tokens=np.where(prefix_id < 0, 0, prefix_tokens),
        tenant=column(st.integers(0, 1)),
        tenants=("a", "b"),
        priority=column(st.sampled_from([0, 0, 0, 5, -1])),
    )


seconds = st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.3])
scalers = st.builds(
    Autoscaler,
    rule=st.sampled_from(RULES),
    target=st.sampled_from([0.3, 1.0, 3.0]),
    min_replicas=st.integers(0, 1),
    max_replicas=st.integers(3, 5),
    interval_s=st.sampled_from([0.5, 1.0, 3.1]),
    upscale_delay_s=seconds,
    downscale_delay_s=seconds,
    cooldown_s=seconds,
)
failures = st.builds(
    Failures,
    mean_life_s=st.sampled_from([None, None, 3.0, 20.0]),
    kills_s=st.lists(st.sampled_from([0.25, 1.0, 3.3, 9.0]), max_size=3).map(sorted),
    capacity=st.sampled_from([(), ((2.0, 1), (5.0, 3)), ((1.0, 0), (4.0, 2)), ((3.0, 0),)]),
    moves=st.integers(0, 2),
    replaced=st.booleans(),
)
fleets = st.builds(
    Fleet,
    step_times(),
    replicas=st.integers(1, 3),
    usd_per_replica_hour=st.just(2.0),
    routing=st.builds(Routing, st.sampled_from(POLICIES), st.sampled_from(KEYS), st.sampled_from([0.0, 0.5])),
    batching=st.sampled_from(BATCHING),
    prefix_cache=st.booleans(),
    queue_limit=st.sampled_from([None, 1, 3]),
    longest_wait_s=st.sampled_from([None, 0.0, 0.5, 2.0]),
    timeout_s=st.sampled_from([None, 0.7, 5.0]),
    retries=st.builds(Retries, limit=st.integers(0, 2), jitter=st.sampled_from([0.0, 0.5])),
    autoscaler=st.one_of(st.none(), scalers),
    cold_start_s=st.sampled_from([0.0, 0.5, 3.0]),
    failures=st.one_of(st.just(Failures()), failures),
)


# Not shrunk: that takes minutes, and the twin can be stepped through at any size.
@settings(max_examples=600, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(traffics(), fleets, st.integers(0, 2**32))
def test_the_simulator_decides_as_its_plain_twin_does(traffic, fleet, seed):
    agree(simulate(traffic, fleet, seed=seed), twin.Twin(traffic, fleet, seed).run())


def agree(outcome, plain):
    for name in ("status", "machine", "attempts", "preemptions", "moves"):
        np.testing.assert_array_equal(
            getattr(outcome, name), [getattr(q, name) for q in plain.requests], name
        )
    for name in ("first_token_s", "ended_s"):
        np.testing.assert_allclose(
            getattr(outcome, name),
            [getattr(q, name) for q in plain.requests],
            rtol=1e-9,
            atol=0,
            err_msg=name,
        )
    for name in ("launched_s", "ready_s", "machine_ended_s", "busy_s"):
        plain_s = [getattr(machine, name.replace("machine_", "")) for machine in plain.machines]
        np.testing.assert_allclose(getattr(outcome, name), plain_s, rtol=1e-9, atol=1e-12, err_msg=name)
    counters = outcome.counters
    assert counters["answer_tokens"] == plain.answer_tokens
    assert counters["prompt_tokens"] == plain.prompt_tokens
    assert counters["hit_tokens"] == plain.hits
    assert counters["steps"] == plain.steps
    assert outcome.gaps.sum() == len(plain.gaps)
