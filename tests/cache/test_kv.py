"""Caches of keys and values: the same answers as transformers' own, and as no cache at all; bytes as they are held."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, StaticCache

from course_utils.cache.kv import GrowingKv, StaticKv, WindowKv, attend, causal, storage_bytes, windowed
from course_utils.cache.kv_latent import LatentKv, attend_latent
from course_utils.cache.kv_model import for_model, generate, held_bytes, step, step_times
from course_utils.cache.kv_paged import (
    BlockPool,
    PagedKv,
    PoolEmpty,
    used_share_paged,
    used_share_reserved,
)
from course_utils.catalog.models import model as shape_of
from course_utils.estimate.memory import kv_bytes
from course_utils.measure.models import random_llama

TOKENS = 40
PIECES = (17, 1, 1, 1, 5, 1, 1, 1, 1, 6, 1, 1, 1, 1, 1)  # a prompt, single tokens, pieces in between


@pytest.fixture(scope="module")
def llama():
    return random_llama(128, layers=2, heads=4, kv_heads=2, device="cpu").model


@pytest.fixture(scope="module")
def ids():
    return torch.randint(4096, (1, TOKENS), generator=torch.Generator().manual_seed(1))


def through(model, ids, cache):
    return torch.cat([step(model, piece, cache) for piece in ids.split(PIECES, dim=1)], dim=1)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kinds():
    pools = [BlockPool(6, 8, kv_heads=2, head_dim=32) for _ in range(2)]
    places = iter(pools)
    return {
        "growing": GrowingKv,
        "static": lambda: StaticKv(TOKENS),
        "paged": lambda: PagedKv(next(places)),
        "window as long as the text": lambda: WindowKv(TOKENS, sinks=0),
    }


# --- equal answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds())
def test_cache_gives_the_logits_of_transformers_own_and_of_none(llama, ids, kind):
    ours = through(llama, ids, for_model(llama, kinds()[kind]))
    for theirs in (DynamicCache(config=llama.config), StaticCache(config=llama.config, max_cache_len=TOKENS)):
        assert torch.allclose(ours, through(llama, ids, theirs), atol=1e-5)
    assert torch.allclose(ours, step(llama, ids), atol=1e-5)


def test_generating_with_and_without_a_cache_gives_the_same_tokens(llama, ids):
    prompt = ids[:, :12]
    assert torch.equal(generate(llama, prompt, 8), generate(llama, prompt, 8, for_model(llama)))
    used = for_model(llama)
    step(llama, prompt, used)
    with pytest.raises(ValueError, match="an empty one"):
        generate(llama, prompt, 1, used)


@settings(max_examples=30, deadline=None)
@given(
    kv_heads=st.sampled_from([1, 2, 4]),
    share=st.sampled_from([1, 2, 3]),
    new=st.integers(1, 6),
    past=st.integers(0, 9),
)
def test_attention_equals_torch_with_repeated_heads(kv_heads, share, new, past):
    queries = normal(2, kv_heads * share, new, 8)
    keys, values = normal(2, kv_heads, past + new, 8, seed=1), normal(2, kv_heads, past + new, 8, seed=2)
    theirs = torch.nn.functional.scaled_dot_product_attention(
        queries,
        keys.repeat_interleave(share, 1),
        values.repeat_interleave(share, 1),
        attn_mask=causal(new, past + new),
    )
    assert torch.allclose(attend(queries, keys, values), theirs, atol=1e-5)


def test_hand_worked_attention_of_two_tokens():
    # scores of the second query: 0 and ln 3 times sqrt(1), so weights 1/4 and 3/4 of the values 0 and 8.
    queries = torch.tensor([1.0]).reshape(1, 1, 1, 1)
    keys = torch.tensor([0.0, 1.0986123]).reshape(1, 1, 2, 1)
    values = torch.tensor([0.0, 8.0]).reshape(1, 1, 2, 1)
    assert attend(queries, keys, values).item() == pytest.approx(6.0)


# --- windows and sinks --------------------------------------------------------------------------------------


def test_who_sees_whom_with_a_window_of_two_and_one_sink():
    rows = windowed(5, window=2, sinks=1).int().tolist()
    assert rows == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 0, 1, 1, 0], [1, 0, 0, 1, 1]]


def test_window_cache_token_by_token_equals_the_mask_in_one_pass(llama, ids):
    cache = for_model(llama, lambda: WindowKv(window=6, sinks=2))
    one_by_one = torch.cat([step(llama, token, cache) for token in ids.split(1, dim=1)], dim=1)
    seen = windowed(TOKENS, window=6, sinks=2)[None, None]
    with torch.inference_mode():
        at_once = llama(input_ids=ids, attention_mask=seen, use_cache=False).logits
    assert torch.allclose(one_by_one, at_once, atol=1e-5)


def test_window_cache_stops_growing():
    cache, held = WindowKv(window=6, sinks=2), []
    for token in normal(1, 2, 30, 8).split(1, dim=2):
        keys, _ = cache.append(token, token)
        held.append(cache.held_bytes)
    assert keys.shape[2] == 8
    assert set(held[8:]) == {2 * 2 * 8 * 8 * 4}
    assert cache.tokens == 30


@settings(max_examples=30, deadline=None)
@given(window=st.integers(1, 12), sinks=st.integers(0, 5), tokens=st.integers(1, 30))
def test_window_keeps_the_first_and_the_last(window, sinks, tokens):
    cache, numbers = (
        WindowKv(window, sinks),
        torch.arange(tokens, dtype=torch.float32).reshape(1, 1, tokens, 1),
    )
    for token in numbers.split(1, dim=2):
        seen, _ = cache.append(token, token)
    wanted = [n for n in range(tokens) if n < sinks or n >= max(sinks, tokens - window)]
    assert seen.flatten().int().tolist() == wanted


# --- blocks and tables --------------------------------------------------------------------------------------


def test_sequences_that_take_turns_keep_their_own_tokens():
    pool = BlockPool(12, 4, kv_heads=1, head_dim=2)
    sequences, numbers = [PagedKv(pool) for _ in range(3)], normal(3, 1, 14, 2)
    for at in range(14):
        for one, row in zip(sequences, numbers, strict=True):
            keys, _ = one.append(row[None, :, at : at + 1], row[None, :, at : at + 1])
            assert torch.equal(keys[0], row[:, : at + 1])
    assert pool.free_blocks == 0
    tables = [block for one in sequences for block in one.table]
    assert sorted(tables) == list(range(12))
    assert (
        sequences[0].table != sorted(sequences[0].table) or sequences[0].table[1] - sequences[0].table[0] > 1
    )


def test_a_fork_shares_blocks_until_one_of_the_two_writes():
    pool = BlockPool(5, 4, kv_heads=1, head_dim=2)
    first, rows = PagedKv(pool), normal(1, 1, 6, 2)
    first.append(rows, rows)
    second = first.fork()
    assert pool.free_blocks == 3
    mine, theirs = normal(1, 1, 1, 2, seed=1), normal(1, 1, 1, 2, seed=2)
    a, _ = first.append(mine, mine)
    b, _ = second.append(theirs, theirs)
    assert torch.equal(a, torch.cat([rows, mine], 2))
    assert torch.equal(b, torch.cat([rows, theirs], 2))
    assert first.table[0] == second.table[0]
    assert first.table[1] != second.table[1]
    first.release()
    assert pool.free_blocks == 3
    second.release()
    assert pool.free_blocks == 5


def test_a_full_pool_says_so_and_leaves_the_sequence_as_it_was():
    pool = BlockPool(2, 4, kv_heads=1, head_dim=2)
    one, rows = PagedKv(pool), normal(1, 1, 7, 2)
    one.append(rows, rows)
    with pytest.raises(PoolEmpty, match="0 are free"):
        one.append(normal(1, 1, 3, 2), normal(1, 1, 3, 2))
    assert one.tokens == 7
    keys, _ = one.append(rows[:, :, :1], rows[:, :, :1])
    assert torch.equal(keys[:, :, :7], rows)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["new", "append", "fork", "release"]), max_size=40), st.integers(0, 99))
def test_no_block_is_lost_or_given_out_twice(moves, seed):
    pool = BlockPool(10, 3, kv_heads=1, head_dim=1)
    alive, rng, stamp = [], torch.Generator().manual_seed(seed), 0
    for move in moves:
        which = int(torch.randint(len(alive), (1,), generator=rng)) if alive else 0
        try:
            if move == "new":
                alive.append((PagedKv(pool), []))
            elif move == "append" and alive:
                stamp += 1
                one = torch.full((1, 1, 1, 1), float(stamp))
                keys, _ = alive[which][0].append(one, one)
                alive[which][1].append(stamp)
                assert keys.flatten().int().tolist() == alive[which][1]
            elif move == "fork" and alive:
                alive.append((alive[which][0].fork(), list(alive[which][1])))
            elif move == "release" and alive:
                alive.pop(which)[0].release()
        except PoolEmpty:
            continue
    counted = [0] * 10
    for sequence, _ in alive:
        for block in sequence.table:
            counted[block] += 1
    assert counted == pool.users
    assert pool.free_blocks == counted.count(0)


def test_hand_worked_fragmentation():
    assert used_share_reserved([100, 300], 2000) == 0.1
    assert used_share_paged([100, 300], 16) == 400 / (112 + 304)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=30), st.integers(1, 64))
def test_paging_wastes_less_than_a_block_a_sequence(lengths, block):
    used = used_share_paged(lengths, block)
    assert sum(lengths) / (sum(lengths) + len(lengths) * (block - 1)) <= used + 1e-12
    assert used <= 1
    assert used_share_paged(lengths, 1) == 1


# --- bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("heads", "kv_heads"), [(8, 8), (8, 2), (8, 1)])  # MHA, GQA, MQA
def test_formula_equals_the_bytes_that_transformers_and_we_hold(ids, heads, kv_heads):
    model = random_llama(128, layers=3, heads=heads, kv_heads=kv_heads, device="cpu").model
    theirs, ours = DynamicCache(config=model.config), for_model(model)
    step(model, ids, theirs)
    step(model, ids, ours)
    by_formula = 2 * 3 * kv_heads * (128 // heads) * TOKENS * 4
    assert held_bytes(theirs) == held_bytes(ours) == by_formula


def test_formula_of_the_catalog_equals_the_bytes_of_one_layer():
    shape = shape_of("Llama-3.1-8B")
    cache, one = GrowingKv(), torch.zeros(1, shape.kv_heads, 50, shape.head_dim, dtype=torch.bfloat16)
    cache.append(one, one.clone())
    assert cache.held_bytes * shape.layers == kv_bytes(shape, 50)


def test_latent_cache_holds_what_the_formula_says():
    shape = shape_of("DeepSeek-V3")
    cache = LatentKv()
    cache.append(
        torch.zeros(1, 1, 50, shape.kv_lora_rank, dtype=torch.bfloat16),
        torch.zeros(1, 1, 50, shape.qk_rope_head_dim, dtype=torch.bfloat16),
    )
    assert cache.held_bytes * shape.layers == kv_bytes(shape, 50)


def test_attention_on_the_latent_equals_attention_on_the_keys_it_stands_for():
    heads, nope, rope, value, rank, tokens = 4, 8, 4, 6, 12, 9
    queries, rotated = normal(1, heads, 3, nope), normal(1, heads, 3, rope, seed=1)
    latents, rotated_keys = normal(1, 1, tokens, rank, seed=2), normal(1, 1, tokens, rope, seed=3)
    to_keys, to_values = normal(heads, nope, rank, seed=4), normal(heads, value, rank, seed=5)
    keys = torch.cat([latents @ to_keys.mT, rotated_keys.expand(-1, heads, -1, -1)], dim=-1)
    expanded = attend(torch.cat([queries, rotated], dim=-1), keys, latents @ to_values.mT)
    ours = attend_latent(queries, rotated, latents, rotated_keys, to_keys, to_values)
    assert torch.allclose(ours, expanded, atol=1e-5)


def test_static_cache_holds_its_room_from_the_first_token():
    cache, one = StaticKv(64), normal(1, 2, 1, 8)
    keys, _ = cache.append(one, one)
    assert cache.held_bytes == 2 * 2 * 64 * 8 * 4
    assert keys.shape[2] == 1
    with pytest.raises(ValueError, match="max_tokens=64"):
        cache.append(normal(1, 2, 64, 8), normal(1, 2, 64, 8))


def test_a_view_is_counted_with_all_the_memory_behind_it_and_once():
    whole = torch.zeros(10, 10)
    assert storage_bytes(whole[:1], whole[1:2], None) == 400


# --- speed, and bad input -----------------------------------------------------------------------------------


def test_a_step_with_a_cache_is_faster_the_longer_the_context():
    model = random_llama(512, layers=2, device="cpu").model
    short, long = step_times(model, [16, 1024], turns=3)
    assert long.speedup > short.speedup
    assert long.speedup > 4


def test_bad_arguments_are_named(llama):
    with pytest.raises(ValueError, match="3 heads, keys 2"):
        attend(normal(1, 3, 1, 4), normal(1, 2, 1, 4), normal(1, 2, 1, 4))
    with pytest.raises(ValueError, match="window=0"):
        WindowKv(0)
    with pytest.raises(ValueError, match="sinks=-1"):
        windowed(4, 2, -1)
    with pytest.raises(ValueError, match="max_tokens=0"):
        StaticKv(0)
    with pytest.raises(ValueError, match="blocks=0"):
        BlockPool(0, 4, 1, 1)
    with pytest.raises(ValueError, match="batch of 2"):
        PagedKv(BlockPool(2, 4, 1, 1)).append(normal(2, 1, 1, 1), normal(2, 1, 1, 1))
    with pytest.raises(ValueError, match="reserved_tokens=5"):
        used_share_reserved([10], 5)
    with pytest.raises(ValueError, match="block_tokens=0"):
        used_share_paged([10], 0)
    with pytest.raises(ValueError, match="contexts="):
        step_times(llama, [1])
