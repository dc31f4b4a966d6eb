"""Providers' prompt caches, hand-worked; and the linter of prompts on logs with one mistake each."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.cache.prompt_cache import (
    PromptCache,
    bill_of,
    break_even_hit_share,
    break_even_rate_per_s,
    break_even_reads,
    cache_terms,
    hit_share,
    mean_price,
    prompt_cache,
)
from course_utils.cache.prompt_lint import Part, hit_share_of, lint_prompts, read_prompts, reordered

FIVE_MINUTES = PromptCache(write=1.25, read=0.1, ttl_s=300)
HOUR = PromptCache(write=2.0, read=0.1, ttl_s=3600)
# A write costs what input does, or more by a thousandth at least: nearer to 1, rounding would decide what pays.
CACHES = st.builds(
    PromptCache,
    write=st.just(1.0) | st.floats(1.001, 3),
    read=st.floats(0, 0.95),
    ttl_s=st.floats(1, 1e5),
    refreshed_by_hits=st.booleans(),
)


def test_five_minutes_pay_at_the_second_use_and_an_hour_at_the_third():
    # 0.25 more for the write, 0.9 less for each read: 0.28 reads. For an hour 1.0 more: 1.1 reads.
    assert break_even_reads(FIVE_MINUTES) == pytest.approx(0.25 / 0.9)
    assert break_even_reads(HOUR) == pytest.approx(1 / 0.9)
    assert math.ceil(break_even_reads(FIVE_MINUTES)) + 1 == 2
    assert math.ceil(break_even_reads(HOUR)) + 1 == 3


def test_free_writes_always_pay_and_undiscounted_reads_never():
    assert break_even_reads(PromptCache(write=1, read=0.1, ttl_s=300)) == 0
    assert break_even_reads(PromptCache(write=1.25, read=1, ttl_s=300)) == math.inf
    assert break_even_rate_per_s(PromptCache(write=1.25, read=1, ttl_s=300)) == math.inf


def test_hand_worked_bill_of_six_uses():
    # 0, 200, 400 s: each hit renews the five minutes. 800 is too late, 1000 is in time, 1300 just is.
    bill = bill_of(FIVE_MINUTES, [0, 200, 400, 800, 1000, 1300])
    assert (bill.writes, bill.reads) == (2, 4)
    assert bill.cost == pytest.approx(2 * 1.25 + 4 * 0.1)
    assert bill.saved_share == pytest.approx(1 - 2.9 / 6)


def test_a_lifetime_that_hits_do_not_renew_runs_from_the_write():
    fixed = PromptCache(write=1.25, read=0.1, ttl_s=300, refreshed_by_hits=False)
    assert bill_of(fixed, [0, 200, 400, 500]).writes == 2


@given(CACHES)
def test_at_the_break_even_rate_the_cache_costs_what_none_does(cache):
    rate = break_even_rate_per_s(cache)
    if 0 < rate < math.inf:
        assert mean_price(cache, rate) == pytest.approx(1, abs=1e-6)
        assert hit_share(cache, rate) == pytest.approx(break_even_hit_share(cache), abs=1e-6)
        assert mean_price(cache, 2 * rate) < 1 < mean_price(cache, rate / 2)


@given(CACHES, st.floats(1e-6, 10), st.floats(1.1, 10))
def test_more_traffic_hits_more_and_costs_no_more(cache, rate, times):
    assert hit_share(cache, rate * times) >= hit_share(cache, rate)
    assert mean_price(cache, rate * times) <= mean_price(cache, rate) + 1e-12


def test_random_arrivals_agree_with_the_formula():
    times = np.cumsum(np.random.default_rng(0).exponential(200, 40_000))
    for cache in (FIVE_MINUTES, PromptCache(write=1.25, read=0.1, ttl_s=300, refreshed_by_hits=False)):
        bill = bill_of(cache, times)
        assert bill.reads / bill.uses == pytest.approx(hit_share(cache, 1 / 200), abs=0.01)


def test_short_prefixes_are_not_cached_and_hits_come_in_steps():
    cache = PromptCache(write=1, read=0.1, ttl_s=300, min_tokens=1024, step_tokens=128)
    assert [cache.cached_tokens(n) for n in (0, 1023, 1024, 1151, 1152)] == [0, 0, 1024, 1024, 1152]


def test_rules_of_the_price_list():
    cache = prompt_cache("claude-sonnet-4-5")
    assert (cache.write, cache.read, cache.ttl_s) == (pytest.approx(1.25), pytest.approx(0.1), 300)
    assert (cache.caching, cache.min_tokens) == ("explicit", 1024)
    assert prompt_cache("claude-sonnet-4-5", "1h").write == pytest.approx(2)
    free = prompt_cache("gpt-5")
    assert (free.write, free.caching, free.min_tokens, free.step_tokens) == (1, "automatic", 1024, 128)
    assert all(row.source and row.as_of for row in cache_terms())


def test_unknown_options_and_nonsense_are_named():
    with pytest.raises(ValueError, match="option='2h'"):
        prompt_cache("claude-sonnet-4-5", "2h")
    with pytest.raises(ValueError, match=r"write=0\.5"):
        PromptCache(write=0.5, read=0.1, ttl_s=300)
    with pytest.raises(ValueError, match="read=10"):
        PromptCache(write=1.25, read=10, ttl_s=300)
    with pytest.raises(ValueError, match="ttl_s=0"):
        PromptCache(write=1.25, read=0.1, ttl_s=0)
    with pytest.raises(ValueError, match="requests_per_s=-1"):
        hit_share(HOUR, -1)
    with pytest.raises(ValueError, match="arrived_s"):
        bill_of(HOUR, [])


# --- the linter ---------------------------------------------------------------------------------------------

RULES = "You answer questions about invoices. " * 40
TOOLS = [{"name": "find_invoice", "text": "x" * 300}, {"name": "send_mail", "text": "y" * 300}]


def asked(number: int, system: str = RULES, tools: list | None = None) -> tuple[Part, ...]:
    parts = (Part("tools", json.dumps(tools)),) if tools else ()
    return (*parts, Part("system", system), Part("user", f"Question {number * 7919 % 1000}: what is open?"))


def rules_of(prompts) -> set[str]:
    return {one.rule for one in lint_prompts(prompts).findings}


def test_clean_prompts_have_no_findings_and_nothing_to_gain():
    report = lint_prompts([asked(n) for n in range(20)])
    assert report.findings == ()
    assert report.hit_share_reordered == pytest.approx(report.hit_share, abs=0.02)
    assert report.hit_share > 0.85


def test_a_time_up_front_is_found_and_moving_it_saves():
    prompts = [asked(n, f"It is 2026-11-24T10:{n:02}:00Z. {RULES}") for n in range(20)]
    report = lint_prompts(prompts)
    assert [one.rule for one in report.findings] == ["time"]
    assert report.hit_share < 0.1
    assert report.hit_share_reordered > 0.8
    assert "2026-11-24T10" in report.findings[0].example


def test_a_time_that_never_changes_is_fine():
    assert rules_of([asked(n, f"Prices as of 2026-11-01. {RULES}") for n in range(5)]) == set()


def test_an_id_up_front_is_found():
    prompts = [asked(n, f"session_{n}abcdef12. {RULES}") for n in range(10)]
    assert rules_of(prompts) == {"id"}


def test_shuffled_tools_are_found():
    prompts = [asked(n, tools=TOOLS if n % 2 else TOOLS[::-1]) for n in range(20)]
    report = lint_prompts(prompts)
    assert [one.rule for one in report.findings] == ["tools"]
    assert report.findings[0].share == 0.5
    assert report.hit_share_reordered > report.hit_share


def test_user_text_before_shared_text_is_found():
    prompts = [(Part("user", f"I am user {n * 7919}."), Part("system", RULES)) for n in range(20)]
    report = lint_prompts(prompts)
    assert [one.rule for one in report.findings] == ["user first"]
    assert report.hit_share < 0.1 < 0.8 < report.hit_share_reordered


def test_white_space_is_found():
    assert rules_of([asked(n, RULES if n % 2 else RULES + "\n") for n in range(6)]) == {"white space"}


def test_reordering_loses_no_word():
    prompt = asked(1, f"It is 2026-11-24 for session_abcdef12. {RULES}")
    text = " ".join(part.text for part in reordered(prompt))
    assert "2026-11-24" in text
    assert "session_abcdef12" in text
    assert reordered(prompt)[-1] == prompt[-1]


def test_the_report_reads_as_sentences():
    report = str(lint_prompts([asked(n, f"It is 2026-11-24T10:{n:02}:00Z. {RULES}") for n in range(4)]))
    assert "4 prompts" in report
    assert "a time stands before text" in report


def test_a_log_of_messages_is_read_and_a_bad_line_named(tmp_path):
    path = tmp_path / "log.jsonl"
    line = {
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U 🌍"}],
        "tools": TOOLS,
    }
    turns = {"messages": [{"role": r, "content": r} for r in ("system", "user", "assistant", "user")]}
    path.write_text(json.dumps(line) + "\n\n" + json.dumps(turns) + "\n", "utf-8")
    first, second = read_prompts(path)
    assert [part.kind for part in first] == ["tools", "system", "user"]
    assert [part.kind for part in second] == ["system", "history", "history", "user"]
    path.write_text("{}\n")
    with pytest.raises(ValueError, match="line 1"):
        read_prompts(path)


def test_a_log_may_hold_any_text_and_calls_of_tools(tmp_path):
    path = tmp_path / "log.jsonl"

    def line(call):
        turn = {"role": "assistant", "content": None, "tool_calls": [{"name": call}]}
        odd = {"role": "user", "content": "one line\u2028and still the same\x85 👍"}
        return json.dumps({"messages": [odd, turn, {"role": "user", "content": "go on"}]}, ensure_ascii=False)

    path.write_text(f"{line('pay')}\n\n{line('refund')}\n", "utf-8")
    first, second = read_prompts(path)
    assert first[0] == second[0]
    assert first[1] != second[1]
    path.write_bytes(path.read_bytes() + b'{"messages": "\xff"}')
    with pytest.raises(ValueError, match="line 4"):
        read_prompts(path)


def test_empty_and_odd_text_is_no_error():
    assert hit_share_of([(Part("user", ""),), (Part("user", "\ud800 🌍 " * 50),)]) == 0
    with pytest.raises(ValueError, match="at least two"):
        lint_prompts([asked(1)])
    with pytest.raises(ValueError, match="kind='tool'"):
        Part("tool", "x")
