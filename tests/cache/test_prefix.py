"""Prefix cache: names that chain, an order of eviction that keeps chains whole, tenants that never meet; replays."""

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.cache.conversations import (
    Conversations,
    conversation_processes,
    generate_conversations,
    read_mooncake,
)
from course_utils.cache.prefix import PrefixCache, block_names
from course_utils.cache.prefix_replay import affinity, least_loaded, replay, round_robin


@pytest.fixture(scope="module")
def trace():
    return generate_conversations(3000, seed=5)


# --- names --------------------------------------------------------------------------------------------------


def test_only_full_blocks_have_names():
    assert [len(block_names(range(n), block_tokens=4)) for n in (0, 3, 4, 7, 8)] == [0, 0, 1, 1, 2]


@settings(max_examples=60, deadline=None)
@given(
    a=st.lists(st.integers(0, 3), max_size=24),
    b=st.lists(st.integers(0, 3), max_size=24),
    size=st.integers(1, 5),
)
def test_names_agree_exactly_as_far_as_whole_blocks_do(a, b, size):
    names = block_names(a, size), block_names(b, size)
    same = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    agree = [x == y for x, y in zip(*names, strict=False)]
    assert sum(agree) == same // size
    assert agree == sorted(agree, reverse=True)


def test_equal_block_behind_another_beginning_has_another_name():
    assert block_names([1, 2, 9, 9], 2)[1] != block_names([3, 4, 9, 9], 2)[1]


def test_another_salt_gives_other_names():
    assert not set(block_names(range(64), salt="a")) & set(block_names(range(64), salt="b"))


@pytest.mark.parametrize("tokens", [[0.5, 1.0], [-1, 2], [[1], [2]]])
def test_tokens_must_be_whole_numbers(tokens):
    with pytest.raises(ValueError, match="whole numbers"):
        block_names(tokens)


def test_token_numbers_beyond_16_bits_are_told_apart():
    assert block_names([1], 1) != block_names([1 + 2**16], 1) != block_names([1 + 2**32], 1)


# --- the cache ----------------------------------------------------------------------------------------------


def test_hand_worked_hits():
    cache = PrefixCache(10)
    assert [cache.serve(chained(prompt)) for prompt in ("abc", "abd", "xbc", "abcd")] == [0, 2, 0, 3]
    assert (cache.count.asked_blocks, cache.count.hit_blocks) == (13, 5)
    assert cache.count.hit_share == 5 / 13


def chained(prompt: str) -> list[str]:
    return [prompt[: at + 1] for at in range(len(prompt))]


def test_the_end_of_what_is_idle_longest_goes_first():
    cache = PrefixCache(4)
    cache.serve(chained("ab"))
    cache.serve(chained("xy"))
    cache.serve(chained("z"))  # one too many: "ab" has been idle longest, and its last block goes
    assert "a" in cache
    assert "ab" not in cache
    assert cache.count.evicted_blocks == 1


def test_blocks_in_use_are_not_evicted():
    cache = PrefixCache(3)
    held = cache.acquire(chained("abc"))
    other = cache.acquire(chained("xy"))
    assert other.names == ()
    assert cache.count.refused_blocks == 2
    cache.release(other)
    cache.release(held)
    assert cache.serve(chained("xy")) == 0
    assert cache.match(chained("abc")) == 1


def test_a_shared_block_is_free_when_its_last_user_has_gone():
    cache = PrefixCache(8)
    first, second = cache.acquire(chained("ab")), cache.acquire(chained("abc"))
    cache.release(second)
    assert cache.used_blocks == 2
    cache.release(first)
    assert cache.used_blocks == 0
    assert len(cache) == 3


def test_a_second_release_is_refused():
    cache = PrefixCache(8)
    lease = cache.acquire(chained("ab"))
    cache.release(lease)
    with pytest.raises(ValueError, match="released before"):
        cache.release(lease)


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 8),
    moves=st.lists(st.tuples(st.text("ab", max_size=6), st.booleans(), st.integers(0, 5)), max_size=40),
)
def test_no_block_outlives_the_one_before_it_and_room_is_never_exceeded(capacity, moves):
    cache, leases = PrefixCache(capacity), []
    for prompt, hold, which in moves:
        lease = cache.acquire(chained(prompt))
        assert len(lease.names) >= lease.hit_blocks
        if hold:
            leases.append(lease)
        else:
            cache.release(lease)
        if leases and which < len(leases):
            cache.release(leases.pop(which))
        assert len(cache) <= capacity
        held = {name for one in leases for name in one.names}
        assert cache.used_blocks == len(held)
        assert all(name in cache for name in held)
        assert all(name[:-1] in cache or len(name) == 1 for name in cache._users)


def test_no_tenant_ever_hits_what_another_left_in_100_000_operations():
    """Four tenants send prompts out of the same few texts; a hit must be something that the same tenant sent before."""
    rng, cache = random.Random(3), PrefixCache(300)
    sent, leases, operations, hits = {}, [], 0, 0
    while operations < 100_000:
        operations += 1
        if leases and rng.random() < 0.5:
            cache.release(leases.pop(rng.randrange(len(leases))))
            continue
        tenant = rng.choice("abcd")
        tokens = [rng.randrange(2) for _ in range(2 * rng.randint(1, 6))]
        lease = cache.acquire(block_names(tokens, 2, salt=tenant))
        leases.append(lease)
        mine, hits = sent.setdefault(tenant, set()), hits + lease.hit_blocks
        for block in range(1, lease.hit_blocks + 1):
            assert tuple(tokens[: 2 * block]) in mine
        mine.update(tuple(tokens[: 2 * block]) for block in range(1, len(tokens) // 2 + 1))
    assert hits > 20_000


def test_bad_capacity_and_repeated_names_are_refused():
    with pytest.raises(ValueError, match="capacity_blocks=0"):
        PrefixCache(0)
    cache = PrefixCache(5)
    with pytest.raises(ValueError, match="comes twice"):
        cache.acquire(["a", "b", "a"])
    assert cache.used_blocks == 0


def test_empty_prompt_is_no_error():
    cache = PrefixCache(5)
    assert cache.serve(()) == 0
    assert cache.count.hit_share == 0


# --- traces and replays -------------------------------------------------------------------------------------


def test_generated_trace_has_the_statistics_it_was_fitted_to(trace):
    process = conversation_processes()["mooncake_conversation"]
    continued = np.mean([len(row) > 1 for row in trace.blocks])
    assert continued > 0.9
    assert np.log(trace.output_tokens).mean() == pytest.approx(process.output_log_mean, abs=0.2)
    assert len(trace) / trace.arrived_s[-1] == pytest.approx(process.requests_per_s, rel=0.15)
    assert (np.diff(trace.arrived_s) >= 0).all()
    assert all(
        len(row) == math.ceil(n / 512) for row, n in zip(trace.blocks, trace.input_tokens, strict=True)
    )
    # The published trace: 37.4 % with an endless cache.
    assert 0.25 < replay(trace).hit_share < 0.45


def test_same_seed_same_trace_and_another_seed_another():
    one, same, other = (generate_conversations(200, seed=seed) for seed in (1, 1, 2))
    assert one.blocks == same.blocks
    assert one.blocks != other.blocks


def test_affinity_hits_most_of_what_an_endless_cache_does_and_keeps_loads_even(trace):
    endless = replay(trace).hit_share
    turns = replay(trace, 10_000, 4, round_robin())
    idle = replay(trace, 10_000, 4, least_loaded())
    ours = replay(trace, 10_000, 4, affinity())
    assert ours.hit_share > 0.9 * endless
    assert ours.hit_share > 1.7 * max(turns.hit_share, idle.hit_share)
    assert ours.load_ratio <= 1.1
    assert ours.requests.sum() == len(trace)


def test_more_room_never_hits_less(trace):
    shares = [replay(trace, blocks).hit_share for blocks in (100, 1000, 5000, 20_000, math.inf)]
    assert shares == sorted(shares)


def test_one_conversation_stays_with_its_replica_until_that_is_too_busy():
    blocks = tuple(tuple(range(100 * turn + 1)) for turn in range(1, 4))
    trace = Conversations(
        np.arange(3.0), np.array([512 * len(b) for b in blocks]), np.ones(3), blocks, 512, "one"
    )
    result = replay(trace, replicas=2)
    assert sorted(result.requests) == [0, 3]
    assert result.hit_share == pytest.approx((101 + 201) / (101 + 201 + 301))


def test_mooncake_layout_is_read_and_a_bad_line_is_named(tmp_path):
    path = tmp_path / "trace.jsonl"
    rows = '{"timestamp": 3000, "input_length": 600, "output_length": 5, "hash_ids": [0, 2]}\n'
    rows += '{"timestamp": 0, "input_length": 513, "output_length": 7, "hash_ids": [0, 1]}\n'
    path.write_text(rows)
    trace = read_mooncake(path)
    assert trace.arrived_s.tolist() == [0, 3]
    assert trace.blocks == ((0, 1), (0, 2))
    assert replay(trace).hit_share == 512 / 1113
    path.write_text(rows + "{}\n")
    with pytest.raises(ValueError, match="line 3"):
        read_mooncake(path)
    row = {"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": [1]}
    for wrong in (
        {"timestamp": "soon"},
        {"input_length": math.nan},
        {"input_length": -5},
        {"output_length": math.inf},
    ):
        path.write_text(rows + json.dumps(row | wrong) + "\n")
        with pytest.raises(ValueError, match="line 3"):
            read_mooncake(path)
    path.write_text("")
    with pytest.raises(ValueError, match="empty"):
        read_mooncake(path)


def test_bad_arguments_are_named(trace):
    with pytest.raises(ValueError, match=r"bound=0\.9"):
        affinity(0.9)
    with pytest.raises(ValueError, match="replicas=0"):
        replay(trace, replicas=0)
    with pytest.raises(ValueError, match="recent_s=0"):
        replay(trace, recent_s=0)
    with pytest.raises(ValueError, match="requests=0"):
        generate_conversations(0)
    with pytest.raises(ValueError, match="as many"):
        Conversations(np.arange(2.0), np.ones(1), np.ones(1), ((1,),), 512, "short")
