"""Loads: what a user sees of a step's time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.estimate.deployment import deployment, parse_load
from course_utils.estimate.predict import predict
from course_utils.estimate.throughput import Speed, accepted_per_step, speed
from course_utils.estimate.work import constants_of, work_of


def _speed(model="Llama-3.1-8B", gpu="H100 SXM", load="max", **more) -> Speed:
    one = deployment(model, gpu, load=load, **more)
    return speed(work_of([one]), constants_of([one]), np.array([one.load]))


def test_littles_law_holds_in_a_closed_loop():
    found = _speed(load="concurrency=16", isl=1000, osl=200)
    life = found.ttft_s[0] + 199 * found.tpot_s[0]
    assert found.out_tok_s_per_gpu[0] == pytest.approx(16 * 200 / life)


def test_littles_law_holds_in_an_open_loop():
    found = _speed(load="rate=4", isl=1000, osl=200)
    assert found.out_tok_s_per_gpu[0] == pytest.approx(4 * 200)
    life = found.ttft_s[0] + 199 * found.tpot_s[0]
    assert 0.9 * 4 * life < found.batch[0] <= 4 * life  # a request enters the batch when its prefill starts


def test_throughput_is_per_chip_not_of_all_chips():
    one, eight = _speed(load="max", gpus=1, tp=1), _speed(load="max", gpus=8, tp=1)
    assert eight.out_tok_s_per_gpu[0] == pytest.approx(one.out_tok_s_per_gpu[0])


def test_replicas_share_the_load():
    one, four = _speed(load="rate=4", gpus=1, tp=1), _speed(load="rate=16", gpus=4, tp=1)
    assert four.tpot_s[0] == pytest.approx(one.tpot_s[0])


_PLACES = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["Llama-3.1-8B", "Qwen3-30B-A3B", "DeepSeek-V2-Lite", "Gemma-3-12B"]),
        "engine_name": st.sampled_from(["vllm", "trtllm", "sglang"]),
        "gpus": st.sampled_from([1, 2, 4]),
        "isl": st.integers(100, 20_000),
        "osl": st.integers(50, 2_000),
    }
)


@settings(max_examples=80, deadline=None)
@given(_PLACES)
def test_capacity_is_the_same_offline_in_a_crowded_closed_loop_and_in_an_overloaded_open_one(row):
    offline = _speed(gpu="H200 SXM", load="max", **row)
    best, places = offline.out_tok_s_per_gpu[0], offline.batch[0]
    crowded = _speed(gpu="H200 SXM", load=f"concurrency={4 * places:.0f}", **row)
    assert crowded.out_tok_s_per_gpu[0] == pytest.approx(best, rel=0.03)
    assert crowded.tpot_s[0] <= offline.tpot_s[0] * (1 + 1e-9)
    requests_per_s = best * row["gpus"] / row["osl"]
    above, below = (
        _speed(gpu="H200 SXM", load=f"rate={part * requests_per_s}", **row) for part in (1.3, 0.95)
    )
    assert above.overloaded[0]
    assert not below.overloaded[0]
    assert above.out_tok_s_per_gpu[0] == pytest.approx(best, rel=0.03)
    assert below.out_tok_s_per_gpu[0] == pytest.approx(0.95 * best, rel=0.001)


@settings(max_examples=40, deadline=None)
@given(_PLACES, st.integers(1, 4_000))
def test_no_closed_loop_serves_more_than_an_endless_backlog(row, n):
    best = _speed(gpu="H200 SXM", load="max", **row).out_tok_s_per_gpu[0]
    assert _speed(gpu="H200 SXM", load=f"concurrency={n}", **row).out_tok_s_per_gpu[0] <= 1.03 * best


@settings(max_examples=40, deadline=None)
@given(_PLACES, st.integers(1, 4_000))
def test_littles_law_holds_in_every_closed_loop(row, n):
    found = _speed(gpu="H200 SXM", load=f"concurrency={n}", **row)
    life = found.ttft_s[0] + (row["osl"] - 1) * found.tpot_s[0]
    assert found.out_tok_s_per_gpu[0] * row["gpus"] == pytest.approx(n * row["osl"] / life)
    assert found.ttft_s[0] > 0


def test_an_open_loop_above_capacity_says_so_and_has_no_ttft():
    found = _speed("Llama-3.1-70B", "H100 SXM", "rate=1000", gpus=4, precision_name="fp8")
    assert found.overloaded[0]
    assert np.isinf(found.ttft_s[0])
    assert found.out_tok_s_per_gpu[0] < 1000 * 256 / 4


def test_capacity_is_where_the_open_loop_stops_keeping_up():
    for rate in (1, 5, 10):
        assert not _speed(load=f"rate={rate}", isl=500, osl=100).overloaded[0]


def test_requests_beyond_memory_wait_and_add_to_ttft():
    few = _speed(
        "Llama-3.1-70B", "H100 SXM", "concurrency=8", gpus=2, precision_name="fp8", isl=8000, osl=500
    )
    many = _speed(
        "Llama-3.1-70B", "H100 SXM", "concurrency=2000", gpus=2, precision_name="fp8", isl=8000, osl=500
    )
    assert many.batch[0] < 2000
    assert many.ttft_s[0] > 20 * few.ttft_s[0]


def test_tokens_in_the_prefix_cache_are_not_computed_again_nor_counted_twice():
    cold, warm = (_speed(load="concurrency=1", isl=8000, osl=10, prefix_hit=hit) for hit in (0.0, 0.75))
    # They are still read at each step: TPOT keeps, TTFT falls, though not below the uncached quarter's share.
    assert warm.tpot_s[0] == pytest.approx(cold.tpot_s[0])
    assert 0.25 * cold.ttft_s[0] < warm.ttft_s[0] < 0.7 * cold.ttft_s[0]


def test_speculation_yields_the_geometric_sum_of_accepted_tokens():
    assert accepted_per_step(0, 0.7) == pytest.approx(1)
    assert accepted_per_step(3, 0.7) == pytest.approx(1 + 0.7 + 0.49 + 0.343)


def test_speculation_pays_at_batch_one_and_little_in_a_full_batch():
    gains = []
    for load in ("concurrency=1", "concurrency=500"):
        plain, drafted = (_speed(load=load, isl=200, osl=200, draft_tokens=g) for g in (0, 3))
        gains.append(plain.tpot_s[0] / drafted.tpot_s[0])
    assert gains[0] > 1.5
    assert gains[1] < gains[0]


def test_a_pipeline_of_two_stages_decodes_no_faster_for_one_user():
    one, two = (_speed(load="concurrency=1", gpus=n, tp=1, pp=n) for n in (1, 2))
    assert two.tpot_s[0] == pytest.approx(one.tpot_s[0], rel=0.01)


def test_chips_of_a_higher_price_class_are_faster():
    a100, h100, b200 = (_speed(gpu=g).out_tok_s_per_gpu[0] for g in ("A100 SXM 80GB", "H100 SXM", "B200"))
    assert a100 < h100 < b200


@settings(max_examples=60, deadline=None)
@given(
    isl=st.integers(1, 20_000), osl=st.integers(1, 4_000), n=st.integers(1, 2_000),
    kind=st.sampled_from(["batch", "concurrency", "rate"]),
    model=st.sampled_from(["Llama-3.1-8B", "Qwen3-30B-A3B", "DeepSeek-V2-Lite", "Gemma-3-12B"]),
)  # fmt: skip
def test_every_load_gives_finite_positive_figures(isl, osl, n, kind, model):
    found = predict(model, "H200 SXM", isl=isl, osl=osl, load=f"{kind}={n}", engine_name="vllm")
    assert 0 < found.out_tok_s_per_gpu < 1e6
    assert 0 < found.tpot_ms < 1e5
    assert found.overloaded or 0 < found.ttft_ms < 1e9
    assert found.out_tok_s_per_gpu_lo < found.out_tok_s_per_gpu
    if kind == "rate":  # what arrives is the most that can leave
        assert found.out_tok_s_per_gpu <= found.out_tok_s_per_gpu_hi <= max(n * osl, found.out_tok_s_per_gpu)
    else:
        assert found.out_tok_s_per_gpu < found.out_tok_s_per_gpu_hi


@given(st.sampled_from(["batch", "concurrency"]), st.integers(1, 300))
def test_tpot_grows_with_the_number_of_sequences(kind, n):
    assert _speed(load=f"{kind}={n + 1}").tpot_s[0] > _speed(load=f"{kind}={n}").tpot_s[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "maximum",
        "batch",
        "batch=",
        "batch=0",
        "batch=0.5",
        "rate=-1",
        "rate=nan",
        "concurrency=1e9",
    ],
)
def test_a_load_that_is_none_is_refused_with_what_would_be_right(text):
    with pytest.raises(ValueError, match="load="):
        parse_load(text)


def test_loads_are_read_with_spaces_and_capitals():
    assert parse_load(" Rate = 2.5 ") == ("rate", 2.5)
