"""The cache as a service sees it: hits, refusals, tenants, time, and everything that can go wrong."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.cache.semantic import (
    Embedder,
    MemoryStore,
    Scope,
    SemanticCache,
    SqliteStore,
    StoreUnavailable,
    Thresholds,
    history_key,
)
from course_utils.cache.semantic.embedding import DIMENSIONS

LOOSE = Thresholds(serve_at=-1, ask_at=-1)
ACME = Scope("acme", "You help.", "some-model-1", {"temperature": 0})


def toy_embed(texts):
    """Unit vectors of the words, so that like texts lie close: no model needed to test a cache."""
    rows = np.full((len(texts), 16), 0.01)
    for row, text in zip(rows, texts, strict=True):
        for word in text.casefold().split():
            row[int(hashlib.sha256(word.encode("utf-8", "replace")).hexdigest(), 16) % 16] += 1
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def embed():
    return Embedder()


def test_embedding_is_a_unit_vector_the_same_alone_and_in_a_batch(embed):
    texts = ["How do I resize a disk?", "ok", "a much longer question about something else " * 5]
    together = embed(texts)
    assert together.shape == (3, DIMENSIONS)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert Embedder()([texts[0]])[0] == pytest.approx(together[0], abs=1e-5)


def test_paraphrase_lies_nearer_than_another_question_and_not_is_nearly_invisible(embed):
    asked, same, other, negated = embed(
        [
            "How do I reset my password?",
            "I forgot my password, how do I get a new one?",
            "When is the museum open?",
            "How do I not reset my password?",
        ]
    )
    assert asked @ same > asked @ other
    assert asked @ negated > asked @ same  # why a guard is needed


def test_embedder_remembers_and_forgets_the_oldest():
    embedder = Embedder(remembered=2)
    for text in ("one", "two", "three", "two"):
        embedder([text])
    assert list(embedder._vectors) == ["two", "three"]
    assert embedder([]).shape == (0, DIMENSIONS)
    with pytest.raises(ValueError, match="a list of texts"):
        embedder("one text")


@pytest.mark.parametrize(
    "text", ["🙂🙃", "日本語のプロンプト", "مرحبا", "\x00\ud800", "x" * 2_000_000, "word " * 50_000]
)
def test_any_text_gets_a_vector_and_can_be_cached(embed, text):
    cache = SemanticCache(embed, thresholds=LOOSE)
    cache.put(text, "answer", ACME)
    found = cache.get(text, ACME)
    assert found.answer == "answer" or found.reason == "no embedding"
    assert not cache.get(text + " not", ACME).hit


def test_hit_refusal_and_miss_say_why(embed):
    cache = SemanticCache(embed, thresholds=Thresholds(serve_at=0.6))
    assert cache.get("How do I resize a disk?", ACME).reason == "nothing near"
    cache.put("How do I resize a disk?", "With resize2fs.", ACME)
    found = cache.get("hi, how can i resize a disk please", ACME)
    assert (found.answer, found.reason, found.cached) == ("With resize2fs.", "hit", "How do I resize a disk?")
    assert cache.get("How do I not resize a disk?", ACME).reason == "guard: negation"
    assert cache.counts == {"nothing near": 1, "hit": 1, "guard": 1}


def test_the_second_nearest_is_served_where_the_nearest_is_a_trap():
    cache = SemanticCache(toy_embed, thresholds=LOOSE)
    cache.put("open on Monday", "no", ACME)
    cache.put("open on Tuesday", "yes", ACME)
    assert cache.get("open on tuesday please", ACME).answer == "yes"


@pytest.mark.parametrize(
    "other",
    [
        Scope("acme2", ACME.system_prompt, ACME.model, ACME.parameters),
        Scope("acme", "You help a lot.", ACME.model, ACME.parameters),
        Scope("acme", ACME.system_prompt, "some-model-2", ACME.parameters),
        Scope("acme", ACME.system_prompt, ACME.model, {"temperature": 1}),
        Scope("acme", ACME.system_prompt, ACME.model, ACME.parameters, history="x"),
        Scope("acm", "eYou help.", ACME.model, ACME.parameters),
    ],
    ids=["tenant", "system prompt", "model", "parameters", "history", "shifted border"],
)
def test_an_answer_never_leaves_its_scope(other):
    cache = SemanticCache(toy_embed, thresholds=LOOSE)
    cache.put("same question", "secret", ACME)
    assert cache.get("same question", ACME).hit
    assert not cache.get("same question", other).hit


def test_order_of_parameters_does_not_matter_and_a_tenant_is_needed():
    assert Scope("a", parameters={"x": 1, "y": 2}).key == Scope("a", parameters={"y": 2, "x": 1}).key
    with pytest.raises(ValueError, match="tenant=''"):
        Scope("")


def test_no_tenant_gets_anothers_answer_in_100_000_operations():
    rng = np.random.default_rng(54)
    tenants = [Scope(f"tenant {number}", "same instructions", "m") for number in range(20)]
    texts = [f"question {number} about {word}" for number in range(12) for word in ("bills", "disks")]
    vectors = dict(zip(texts, toy_embed(texts), strict=True))
    size = 20 * len(texts) * 150
    cache = SemanticCache(
        lambda some: np.array([vectors[text] for text in some]), MemoryStore(size // 2), LOOSE, clock=Clock()
    )
    hits = wrong = 0
    for who, what, writes in zip(
        rng.integers(20, size=100_000),
        rng.integers(len(texts), size=100_000),
        rng.random(100_000),
        strict=True,
    ):
        if writes < 0.2:
            cache.put(texts[what], f"{tenants[who].tenant}: {what}", tenants[who])
            continue
        found = cache.get(texts[what], tenants[who])
        hits += found.hit
        wrong += found.hit and found.answer != f"{tenants[who].tenant}: {what}"
    print(f"{hits:,} hits, {wrong} from another tenant or to another question")
    assert hits > 10_000
    assert wrong == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("pq"), st.booleans()), max_size=30))
def test_whatever_the_order_of_operations_a_hit_is_the_last_answer_of_its_tenant(steps):
    cache, said = SemanticCache(toy_embed, thresholds=LOOSE, clock=Clock()), {}
    for number, (tenant, question, writes) in enumerate(steps):
        if writes:
            cache.put(question, str(number), Scope(tenant))
            said[tenant, question] = str(number)
        else:
            assert cache.get(question, Scope(tenant)).answer == said.get((tenant, question))


def test_a_hit_does_not_extend_the_life_of_an_answer():
    clock = Clock()
    cache = SemanticCache(toy_embed, thresholds=LOOSE, ttl_s=100, clock=clock)
    cache.put("question", "answer", ACME)
    for clock.now in (50, 99.9):
        assert cache.get("question", ACME).hit
    clock.now = 100
    assert not cache.get("question", ACME).hit


def test_a_tag_takes_all_its_answers_away_in_every_scope():
    cache = SemanticCache(toy_embed, thresholds=LOOSE)
    cache.put("what does it cost", "5", ACME, tags=["prices"])
    cache.put("what does it cost", "6", Scope("other"), tags=["prices", "eu"])
    cache.put("where is it", "here", ACME)
    assert cache.forget("prices") == 2
    assert not cache.get("what does it cost", ACME).hit
    assert cache.get("where is it", ACME).hit


def turn(role, content):
    return {"role": role, "content": content}


def test_cancel_it_means_what_was_said_before():
    gym = [
        turn("user", "My gym is too dear"),
        turn("assistant", "Cancel or freeze it?"),
        turn("user", "cancel it"),
    ]
    film = [
        turn("user", "I have two subscriptions"),
        turn("assistant", "Cancel one?"),
        turn("user", "cancel it"),
    ]
    polite = [turn("user", "Hi, my gym is too dear!"), *gym[1:]]
    cache = SemanticCache(toy_embed, thresholds=LOOSE)
    cache.put("cancel it", "Gym cancelled.", Scope("acme", history=history_key(gym)))
    assert cache.get("cancel it", Scope("acme", history=history_key(polite))).hit
    assert not cache.get("cancel it", Scope("acme", history=history_key(film))).hit
    assert not cache.get("cancel it", Scope("acme")).hit
    assert history_key(gym[-1:]) == ""
    with pytest.raises(ValueError, match="messages is empty"):
        history_key([])


def test_turns_that_are_no_text_make_a_history_too():
    def after(call, content=None):
        turn = {"role": "assistant", "content": content, "tool_calls": [{"name": call}]}
        return history_key([turn, {"role": "user", "content": "and now?"}])

    assert after("pay") == after("pay") != after("refund")
    assert after("pay", "") != after("refund", "")
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": "a.png"}]}]
    assert history_key([*picture, picture[0]]) != history_key(
        [{"role": "user", "content": "a.png"}, picture[0]]
    )


def test_a_second_look_decides_where_only_plain_words_differ():
    asked = []

    def judge(cached, question):
        asked.append((cached, question))
        return "raise" in question

    cache = SemanticCache(toy_embed, thresholds=Thresholds(serve_at=0, ask_at=0), second_look=judge)
    cache.put("how do I increase the limit", "So.", ACME)
    assert cache.get("how do I raise the limit", ACME).reason == "second look"
    assert cache.get("how do I lower the limit", ACME).reason == "second look: no"
    assert cache.get("how do I not increase the limit", ACME).reason == "guard: negation"  # nobody is asked
    assert len(asked) == 2


def test_a_second_look_that_fails_is_a_miss():
    def judge(cached, question):
        raise TimeoutError

    cache = SemanticCache(toy_embed, thresholds=LOOSE, second_look=judge)
    cache.put("how do I increase the limit", "So.", ACME)
    assert cache.ask("how do I raise the limit", ACME, lambda question: "model")[0] == "model"
    assert cache.counts["second look failed"] == 1


@pytest.mark.parametrize("question", ["", "   ", "\n\t"])
def test_an_empty_question_goes_to_the_model_and_is_not_kept(question):
    cache = SemanticCache(toy_embed, thresholds=LOOSE)
    answer, found = cache.ask(question, ACME, lambda text: "What would you like to know?")
    assert (answer, found.reason) == ("What would you like to know?", "empty question")
    assert len(cache.store) == 0


@pytest.mark.parametrize(
    "broken",
    [
        lambda texts: np.full((1, 16), np.nan, dtype=np.float32),
        lambda texts: np.zeros((1, 16), dtype=np.float32),
        lambda texts: np.zeros((0, 16), dtype=np.float32),
        lambda texts: None,
        lambda texts: 1 / 0,
    ],
    ids=["NaN", "zeros", "nothing", "None", "raises"],
)
def test_without_an_embedding_the_model_answers_and_it_is_counted(broken):
    cache = SemanticCache(broken, thresholds=LOOSE)
    assert cache.ask("question", ACME, str.upper)[0] == "QUESTION"
    assert cache.counts == {"no embedding": 1, "not kept: no embedding": 1}
    assert len(cache.store) == 0


class GoneStore(MemoryStore):
    """A shared store whose server went away after a while, as its client would say it."""

    gone = False

    def _check(self):
        if self.gone:
            raise StoreUnavailable("connection refused")

    def nearest(self, *args):
        self._check()
        return super().nearest(*args)

    def put(self, entry):
        self._check()
        super().put(entry)

    def used(self, entry):
        self._check()
        super().used(entry)

    def forget(self, **what):
        self._check()
        return super().forget(**what)


def test_with_the_shared_store_gone_every_request_falls_through_to_the_model_and_is_counted():
    cache = SemanticCache(toy_embed, GoneStore(), LOOSE)
    cache.put("question", "kept", ACME)
    cache.store.gone = True
    for _ in range(3):
        assert cache.ask("question", ACME, lambda text: "model")[0] == "model"
    assert cache.counts["store unavailable"] == cache.counts["not kept: store unavailable"] == 3
    with pytest.raises(StoreUnavailable):  # whoever invalidates has to know that it didn't happen
        cache.forget("prices")
    cache.store.gone = False
    assert cache.ask("question", ACME, lambda text: "model")[0] == "kept"


def test_vectors_of_another_model_in_the_store_cost_hits_and_no_requests():
    store = MemoryStore()
    SemanticCache(toy_embed, store, LOOSE).put("question", "kept", ACME)
    cache = SemanticCache(lambda texts: np.eye(1, 8, dtype=np.float32), store, LOOSE)
    assert cache.ask("question", ACME, lambda text: "model")[0] == "model"
    assert cache.counts == {"store unavailable": 1, "not kept: store unavailable": 1}
    assert len(store) == 1


def test_an_answer_too_large_to_keep_is_still_given():
    cache = SemanticCache(toy_embed, MemoryStore(max_bytes=500), LOOSE)
    assert cache.ask("question", ACME, lambda text: "x" * 1000)[0] == "x" * 1000
    assert cache.counts["not kept: store unavailable"] == 1


def test_a_service_that_starts_again_has_its_answers(tmp_path):
    clock = Clock()
    first = SemanticCache(toy_embed, SqliteStore(tmp_path / "a.db"), LOOSE, clock=clock)
    first.put("question", "answer", ACME)
    first.store.close()
    again = SemanticCache(toy_embed, SqliteStore(tmp_path / "a.db"), LOOSE, clock=clock)
    assert again.get("question", ACME).answer == "answer"


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan")])
def test_a_ttl_is_a_positive_time(ttl_s):
    with pytest.raises(ValueError, match="ttl_s="):
        SemanticCache(toy_embed, ttl_s=ttl_s)
