"""A step's seconds as tables: the same step that the closed form takes, in pieces that a simulator can add up."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.estimate.deployment import deployment
from course_utils.estimate.engine import engines
from course_utils.estimate.step import decode_step_s
from course_utils.estimate.throughput import lone_prefill_s, token_s
from course_utils.estimate.work import constants_of, work_of
from course_utils.scale.fleet import Fleet
from course_utils.scale.simulator import simulate
from course_utils.scale.step_times import StepTimes, step_times
from course_utils.scale.traffic import Traffic

DENSE, GQA = ("Llama-2-7B", "H100 SXM", {}), ("Llama-3.1-8B", "A100", {})
MOE, EXPERTS_APART = ("Mixtral-8x7B", "H100 SXM", {"gpus": 2}), (
    "DeepSeek-V3", "H200 SXM", {"gpus": 8, "attention_dp": 8, "precision_name": "fp8"},
)  # fmt: skip
MLA = ("DeepSeek-V2-Lite", "H100 SXM", {})
WINDOWED, RECURRENT = ("Gemma-3-27B", "H100 SXM", {}), ("Qwen3-Next-80B-A3B", "H100 SXM", {"gpus": 4})
FULL = {"dense": DENSE, "gqa": GQA, "moe": MOE, "experts apart": EXPERTS_APART, "mla": MLA}
BENT = {"windowed": WINDOWED, "recurrent": RECURRENT}


def _deployment(place, **more):
    name, chip, split = place
    return deployment(name, chip, **(split | more))


def _step_s(times: StepTimes, sequences: int, context: float) -> float:
    """A decode step of the tables."""
    each = times.cache_s_per_token * context + times.sequence_s
    return times.decode_s[sequences] + sequences * each


@pytest.mark.parametrize("name", FULL)
@settings(max_examples=25, deadline=None)
@given(sequences=st.integers(1, 512), context=st.integers(1, 100_000), isl=st.integers(10, 20_000))
def test_a_decode_step_is_the_closed_forms_at_any_batch_and_context(name, sequences, context, isl):
    one = _deployment(FULL[name], isl=isl, osl=300)
    closed = decode_step_s(work_of([one]), constants_of([one]), sequences, context).item()
    assert _step_s(step_times(one), sequences, context) == pytest.approx(closed, rel=1e-6)


@pytest.mark.parametrize("name", BENT)
@settings(max_examples=25, deadline=None)
@given(sequences=st.integers(1, 256), along=st.floats(0, 1), isl=st.integers(1500, 20_000))
def test_windows_and_states_are_within_a_hundredth_where_requests_of_the_traffic_are(
    name, sequences, along, isl
):
    one = _deployment(BENT[name], isl=isl, osl=500)
    context = isl + along * 500
    closed = decode_step_s(work_of([one]), constants_of([one]), sequences, context).item()
    assert _step_s(step_times(one), sequences, context) == pytest.approx(closed, rel=0.01)


def test_a_context_far_below_the_window_is_charged_up_to_all_windows_too_much():
    one = _deployment(WINDOWED, isl=2000, osl=500)
    work, c, times = work_of([one]), constants_of([one]), step_times(one)
    closed = decode_step_s(work, c, 64, 100.0).item()
    window_s = 64 * (work.kv_window_bytes * work.window / (work.bandwidth * c.kv)).item()
    assert closed < _step_s(times, 64, 100.0) < closed + window_s


@pytest.mark.parametrize("name", FULL | BENT)
def test_a_prompt_alone_takes_what_the_closed_form_says_but_for_half_a_step(name):
    one = _deployment((FULL | BENT)[name], isl=1600, osl=100)
    work, c, times = work_of([one]), constants_of([one]), step_times(one)
    closed = c.request_s + c.wait_steps * token_s(work, c, 1.0) + lone_prefill_s(work, c)
    simulated = times.request_s + times.mixed_s[1600] + times.attention_s_per_pair * 1600 * 1601 / 2
    assert simulated == pytest.approx((closed - 0.5 * token_s(work, c, 1.0)).item(), rel=1e-3)


def test_a_cached_prefix_leaves_fewer_pairs_at_the_same_price():
    cold, warm = (_deployment(GQA, isl=4000, prefix_hit=hit) for hit in (0.0, 0.9))
    assert step_times(warm).attention_s_per_pair == pytest.approx(
        step_times(cold).attention_s_per_pair, rel=1e-3
    )


@pytest.mark.parametrize("name", [one.name for one in engines()])
def test_tables_reach_every_step_and_grow_with_it(name):
    times = step_times(deployment("Llama-3.1-8B", "H100 SXM", engine_name=name))
    for table in (times.decode_s, times.mixed_s):
        assert len(table) > max(times.step_tokens, times.max_running)
        assert np.all(np.diff(table[1:]) > 0)
        assert table[1] > 0
    assert times.request_s > 0
    assert times.kv_tokens == times.kv_blocks * times.block_tokens


def test_pipeline_stages_let_groups_take_turns():
    one = deployment("Llama-3.1-70B", "H100 SXM", gpus=4, tp=2, pp=2)
    closed = decode_step_s(work_of([one]), constants_of([one]), 32, 2000).item()
    assert _step_s(step_times(one), 64, 2000) == pytest.approx(closed, rel=1e-6)


def test_a_prompt_of_one_chunk_gains_nothing_from_pipeline_stages():
    staged = deployment("Llama-3.1-8B", "H100 SXM", gpus=2, tp=1, pp=2)
    whole = deployment("Llama-3.1-8B", "H100 SXM")
    assert step_times(staged).mixed_s[1000] == pytest.approx(step_times(whole).mixed_s[1000])
    assert step_times(staged).mixed_s[16384] < 2 * step_times(whole).mixed_s[8192]


def test_a_draft_that_is_often_right_makes_a_token_cheaper():
    plain, drafted = _deployment(GQA), _deployment(GQA, draft_tokens=3, acceptance=0.8)
    work, c = work_of([drafted]), constants_of([drafted])
    assert step_times(drafted).decode_s[1] < step_times(plain).decode_s[1]
    closed = token_s(work, c, 8.0).item()
    assert _step_s(step_times(drafted), 8, drafted.isl + drafted.osl / 2) == pytest.approx(closed, rel=1e-6)


def test_an_eight_bit_cache_holds_twice_the_tokens_and_reads_them_faster():
    wide, narrow = (step_times(_deployment(DENSE, kv_bits=bits)) for bits in (16, 8))
    assert narrow.kv_tokens == pytest.approx(2 * wide.kv_tokens, rel=1e-3)
    assert narrow.cache_s_per_token < wide.cache_s_per_token


def test_the_cache_of_a_4090_holds_what_vllm_reported_within_an_eighth():
    # 41,408 tokens: vLLM 0.19, Llama-3.1-8B in BF16, published with LLMServingSim's runs.
    times = step_times(deployment("Llama-3.1-8B", "RTX 4090", isl=857, osl=652))
    assert times.kv_tokens == pytest.approx(41_408, rel=0.125)


def test_other_constants_give_another_engine():
    one = _deployment(GQA)
    c = constants_of([one])
    slower = replace(c, bandwidth=c.bandwidth / 2, request_s=c.request_s + 1)
    assert step_times(one, slower).decode_s[1] > 1.5 * step_times(one).decode_s[1]
    assert step_times(one, slower).request_s > 1


def test_tables_can_be_shared_because_they_cant_be_written():
    with pytest.raises(ValueError, match="read-only"):
        step_times(_deployment(GQA)).decode_s[1] = 0.0


def test_a_published_run_of_vllm_is_met_within_a_fifth():
    # CodeLlama-34B on two H100s at 8 requests/s: 574 tokens in, 251 out, prompts that repeat; TTFT 46.0 ms and E2E
    # 3.694 s on average (inference-sim/training, commit ed5c1d2, general, first stage).
    one = deployment("CodeLlama-34B", "H100 SXM", gpus=2, isl=574, osl=251, prefix_hit=0.9)
    times = replace(step_times(one), max_running=128, step_tokens=2048)
    count = 800
    traffic = Traffic(
        np.arange(count) / 8, np.full(count, 574), np.full(count, 251), "general", "published",
        prefix_id=np.zeros(count), prefix_tokens=np.full(count, 516),
    )  # fmt: skip
    outcome = simulate(traffic, Fleet(times, prefix_cache=True))
    assert outcome.ttft().mean == pytest.approx(0.0460, rel=0.2)
    assert outcome.e2e().mean == pytest.approx(3.694, rel=0.2)
