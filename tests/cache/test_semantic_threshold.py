"""Thresholds that keep a budget of wrong answers, and what a number of pairs can show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.cache.semantic import Embedder, Guard, Pair, Share, Thresholds, fow_pairs, read_pairs
from course_utils.cache.semantic.money import Traffic, break_even_wrong_answer_usd, net
from course_utils.cache.semantic.pairs import grouped
from course_utils.cache.semantic.threshold import (
    NEVER,
    cosines,
    guarded,
    halves,
    learn,
    learn_ask_at,
    learn_observed,
    learn_serve_at,
    score,
)


@pytest.fixture(scope="module")
def fow():
    pairs, embed = fow_pairs(), Embedder()
    return pairs, cosines(pairs, embed), np.array([pair.same_answer for pair in pairs]), embed


def twenty_splits(pairs, likeness, same, learner):
    scores = []
    for seed in range(20):
        known, unseen = halves(pairs, seed)
        at = learner(likeness[known], same[known], 0.01)
        scores.append(score(likeness[unseen], same[unseen], at))
    return np.median([one.hits.share for one in scores]), sum(one.wrong.share <= 0.01 for one in scores)


def test_guarded_rule_serves_a_quarter_of_the_repeats_within_one_percent_on_unseen_halves(fow):
    pairs, likeness, same, _ = fow
    hits, kept = twenty_splits(pairs, guarded(pairs, likeness, Guard()), same, learn_serve_at)
    bare_hits, bare_kept = twenty_splits(pairs, likeness, same, learn_observed)
    print(f"guarded {hits:.1%}, budget kept in {kept} of 20; bare cosine {bare_hits:.1%}, {bare_kept} of 20")
    assert hits >= 0.25
    assert kept >= 16
    assert bare_hits < 0.2
    assert bare_kept < kept


def test_on_pairs_written_after_the_rule_it_serves_more_and_errs_less_than_a_bare_threshold(fow):
    pairs, likeness, same, embed = fow
    ours = read_pairs()
    assert len(ours) >= 200
    near, one = cosines(ours, embed), np.array([pair.same_answer for pair in ours])
    at = learn_serve_at(guarded(pairs, likeness, Guard()), same, 0.01)
    rule = score(guarded(ours, near, Guard()), one, at)
    bare = score(near, one, learn_observed(likeness, same, 0.01))
    print(f"rule: hits {rule.hits}, wrong {rule.wrong}; bare: hits {bare.hits}, wrong {bare.wrong}")
    assert rule.hits.low > bare.hits.high
    assert rule.wrong.count < bare.wrong.count


def test_halves_share_no_question(fow):
    pairs, *_ = fow
    known, unseen = halves(pairs, seed=3)
    texts = [
        {"".join(filter(str.isalnum, t.casefold())) for i in half for t in (pairs[i].cached, pairs[i].asked)}
        for half in (known, unseen)
    ]
    assert not texts[0] & texts[1]
    assert len(known) + len(unseen) == len(pairs)


def test_pairs_with_a_question_in_common_are_one_group_through_others_too():
    chain = [Pair("a", "b", True), Pair("x", "y", True), Pair("B!", "c", False), Pair("c", "d", True)]
    one, other, two, three = (pair.group for pair in grouped(chain))
    assert one == two == three != other


def test_learn_serve_at_by_hand():
    # Eight traps: 0 wrong counts as 1/10, 1 wrong as 2/10.
    likeness = [0.9, 0.8, 0.7, 0.6] + [0.75] + [0.1] * 7
    same = [True] * 4 + [False] * 8
    assert learn_serve_at(likeness, same, 0.10) == 0.8
    assert learn_serve_at(likeness, same, 0.20) == 0.6
    assert learn_serve_at(likeness, same, 0.09) == NEVER  # eight traps can't show 9 %
    assert learn_observed(likeness, same, 0.09) == 0.8  # and this one believes that they can


def test_a_budget_of_one_percent_needs_98_traps():
    for traps, served in ((97, False), (98, True)):
        found = learn_serve_at([0.9] + [0.1] * traps, [True] + [False] * traps, 0.01)
        assert (found < NEVER) == served


@given(
    st.lists(st.tuples(st.integers(-100, 100), st.booleans()), min_size=1, max_size=60),
    st.floats(0.01, 0.5),
    st.floats(0.01, 0.5),
)
def test_a_smaller_budget_never_serves_more_and_the_observed_share_keeps_it(pairs, one, other):
    likeness = np.array([cosine / 100 for cosine, _ in pairs])
    same = np.array([label for _, label in pairs])
    small, large = sorted((one, other))
    at, wider = learn_serve_at(likeness, same, small), learn_serve_at(likeness, same, large)
    assert at >= wider
    wrong = score(likeness, same, at).wrong
    assert wrong.count == 0 or wrong.share <= small


def test_a_second_look_is_worth_its_price_where_enough_of_the_pairs_are_hits():
    likeness, same = [0.9, 0.8, 0.7, 0.6], [True, False, False, False]
    assert learn_ask_at(likeness, same, 0.5) == 0.8
    assert learn_ask_at(likeness, same, 0.25) == 0.6
    assert learn_ask_at([0.5], [False], 0.5) == NEVER


def test_learn_gives_both_thresholds(fow):
    pairs, _, _, embed = fow
    found = learn(pairs, embed, 0.01)
    assert -1 < found.ask_at < 1
    assert -1 < found.serve_at < 1
    assert learn(pairs[:10], embed, 0.01).serve_at == NEVER


def test_interval_of_none_in_three_hundred_allows_more_than_one_percent():
    none = Share(0, 300)
    assert none.low == 0
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 300))  # closed form for none
    assert 0.012 < none.high < 0.0125
    assert str(Share(2, 120)) == "1.7% (2 of 120; 95 % interval 0.2% to 5.9%)"


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_holds_the_share(pair):
    share = Share(*pair)
    assert 0 <= share.low <= share.share <= share.high <= 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: learn_serve_at([0.5], [True], 1.0), "budget=1.0"),
        (lambda: learn_serve_at([], [], 0.1), "one number per pair"),
        (lambda: Thresholds(serve_at=3), "serve_at=3"),
        (lambda: Share(3, 2), "count=3"),
        (lambda: Traffic(requests=1, repeat_share=0.8, trap_share=0.3), "above 1"),
        (lambda: net(Traffic(requests=1, repeat_share=0, trap_share=0), 2, 0, 1, 1), "hit_rate=2"),
    ],
)
def test_nonsense_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_net_saving_by_hand():
    # 1000 requests: 200 repeats, half of them served: 100 right. 50 traps, 2 % wrong: 1. A call costs 1 cent.
    traffic = Traffic(requests=1000, repeat_share=0.2, trap_share=0.05)
    found = net(traffic, 0.5, 0.02, call_usd=0.01, wrong_answer_usd=0.5, lookup_usd=0.0001)
    assert (found.served, found.wrong) == (pytest.approx(101), pytest.approx(1))
    assert found.net_usd == pytest.approx(1.01 - 0.5 - 0.1)
    even = break_even_wrong_answer_usd(traffic, 0.5, 0.02, 0.01, 0.0001)
    assert even == pytest.approx(0.91)
    assert net(traffic, 0.5, 0.02, 0.01, even, 0.0001).net_usd == pytest.approx(0)
    assert break_even_wrong_answer_usd(traffic, 0.5, 0.0, 0.01) == float("inf")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 100), st.floats(0, 100))
def test_net_saving_falls_with_the_cost_of_a_wrong_answer(repeats, hit_rate, wrong_rate, one, other):
    traffic = Traffic(requests=100, repeat_share=repeats, trap_share=1 - repeats)
    cheap, dear = (net(traffic, hit_rate, wrong_rate, 0.01, usd).net_usd for usd in sorted((one, other)))
    assert dear <= cheap
