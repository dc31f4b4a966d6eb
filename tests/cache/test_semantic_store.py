"""Stores: exact neighbours, a limit in bytes, tags, and a file that survives what happens to files."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.cache.semantic import Entry, MemoryStore, SqliteStore, StoreUnavailable
from course_utils.cache.semantic.index import ExactIndex


def unit(*numbers):
    vector = np.array(numbers, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def random_units(count, dimensions, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def unit_circle(fortieths):
    return np.stack([np.cos(2 * np.pi * fortieths / 40), np.sin(2 * np.pi * fortieths / 40)], 1).astype(
        np.float32
    )


def entry(question, answer="yes", scope="s", tags=(), expires_s=1e12, vector=None):
    vector = unit(len(question), 1.0) if vector is None else vector
    return Entry(scope, question, answer, vector, frozenset(tags), 0.0, expires_s)


def test_nearest_is_what_faiss_finds_in_a_flat_index():
    import faiss

    rows, asked = random_units(5000, 384), random_units(50, 384, seed=1)
    flat, ours = faiss.IndexFlatIP(384), ExactIndex(384)
    flat.add(rows)
    for number, row in enumerate(rows):
        ours.add(str(number), row)
    likeness, found = flat.search(asked, 10)
    for vector, names, scores in zip(asked, found, likeness, strict=True):
        mine = ours.nearest(vector, 10)
        assert [int(name) for name, _ in mine] == names.tolist()
        assert [score for _, score in mine] == pytest.approx(scores.tolist(), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 11)), max_size=60), st.integers(1, 5))
def test_index_after_any_additions_and_removals_equals_a_fresh_one(steps, k):
    vectors, index, held = random_units(12, 4), ExactIndex(4), {}
    for adding, number in steps:
        if adding:
            index.add(str(number), vectors[number])
            held[str(number)] = vectors[number]
        elif str(number) in held:
            index.remove(str(number))
            del held[str(number)]
    fresh = ExactIndex(4)
    for name, vector in held.items():
        fresh.add(name, vector)
    asked = random_units(1, 4, seed=9)[0]
    assert len(index) == len(held)
    assert dict(index.nearest(asked, k)) == pytest.approx(dict(fresh.nearest(asked, k)), abs=1e-6)


@pytest.mark.parametrize("vector", [[np.nan, 1.0], [0.0, 0.0], [3.0, 4.0], [1.0], [np.inf, 0.0]])
def test_index_refuses_what_is_no_unit_vector_and_stays_as_it_was(vector):
    index = ExactIndex(2)
    with pytest.raises(ValueError, match="vector has"):
        index.add("a", vector)
    assert len(index) == 0


def test_a_full_store_drops_what_was_used_longest_ago():
    size = entry("question 1").bytes_held
    store = MemoryStore(max_bytes=3 * size)
    one, two, three, four = (entry(f"question {n}") for n in (1, 2, 3, 4))
    for each in (one, two, three):
        store.put(each)
    store.used(one)
    store.put(four)
    assert [each.question for each in store.entries] == ["question 3", "question 1", "question 4"]
    assert store.bytes_held == sum(each.bytes_held for each in store.entries) <= store.max_bytes


def test_an_answer_larger_than_the_store_is_refused_and_nothing_is_dropped():
    store = MemoryStore(max_bytes=1000)
    store.put(entry("small"))
    with pytest.raises(StoreUnavailable, match="2,0"):
        store.put(entry("large", "x" * 2000))
    assert len(store) == 1


def test_the_same_question_in_other_words_replaces_its_answer_within_its_scope_only():
    store = MemoryStore()
    for question, scope in (("How do I pay?", "a"), ("hi, how can I pay", "a"), ("How do I pay?", "b")):
        store.put(entry(question, scope=scope))
    assert len(store) == 2


def test_expired_answers_are_skipped_and_dropped_and_the_next_living_one_is_found():
    store = MemoryStore()
    store.put(entry("old", expires_s=10, vector=unit(1, 0)))
    store.put(entry("young", expires_s=20, vector=unit(1, 0.1)))
    assert [e.question for e, _ in store.nearest("s", unit(1, 0), 1, now_s=9.9)] == ["old"]
    assert [e.question for e, _ in store.nearest("s", unit(1, 0), 1, now_s=10)] == ["young"]
    assert len(store) == 1
    assert store.nearest("s", unit(1, 0), 1, now_s=20) == []
    assert store.bytes_held == 0


def test_forget_by_tag_scope_and_time():
    store = MemoryStore()
    store.put(entry("one", tags=("prices", "eu")))
    store.put(entry("two", tags=("prices",), scope="t"))
    store.put(entry("three", expires_s=5))
    store.put(entry("four", scope="t"))
    assert store.forget(tag="prices") == 2
    assert store.forget(tag="prices") == store.forget(tag="unknown") == 0
    assert store.forget(expired_s=5) == 1
    assert store.forget(scope="t") == 1
    assert (len(store), store.bytes_held) == (0, 0)
    with pytest.raises(ValueError, match="needs a tag"):
        store.forget()


@pytest.mark.parametrize("count", [7, 1023, 1024, 5003])
def test_nearest_among_many_equal_ones_are_as_near_as_a_sort_says(count):
    rows = unit_circle(np.random.default_rng(3).integers(0, 40, count))  # each of 40 directions many times
    index = ExactIndex(2)
    for number, row in enumerate(rows):
        index.add(str(number), row)
    for k in (1, 5, 300):
        found = [likeness for _, likeness in index.nearest(rows[0], k)]
        assert found == pytest.approx(sorted((rows @ rows[0]).tolist(), reverse=True)[:k], abs=1e-6)


def test_threads_that_share_a_store_leave_it_in_order(tmp_path):
    size = entry("question 10").bytes_held
    store, vectors = SqliteStore(tmp_path / "answers.db", max_bytes=40 * size), random_units(90, 2)

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(120):
            number, scope = int(rng.integers(90)), f"scope {rng.integers(2)}"
            store.put(
                entry(f"question {number}", scope=scope, tags=(f"{number % 9}",), vector=vectors[number])
            )
            for found, _ in store.nearest(scope, vectors[number], 3, now_s=0):
                store.used(found)
            if number < 2:
                store.forget(tag="3")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads change places in the middle of everything
    try:
        threads = [Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert (store.trouble, store.failed_writes) == ("", 0)
    assert store.bytes_held == sum(each.bytes_held for each in store.entries) <= store.max_bytes
    held = [each.id for each in store.entries]
    store.close()
    assert [each.id for each in SqliteStore(tmp_path / "answers.db").entries] == held


# The file.


def test_answers_come_back_with_their_tags_times_and_order_of_use(tmp_path):
    store = SqliteStore(tmp_path / "answers.db")
    first, second = entry("one 👍 日本", tags=("a", "b"), expires_s=99), entry("two")
    store.put(first)
    store.put(second)
    store.used(first)
    store.close()
    again = SqliteStore(tmp_path / "answers.db")
    assert [each.question for each in again.entries] == ["two", "one 👍 日本"]
    back = again.entries[1]
    assert (back.tags, back.expires_s, back.id) == (first.tags, 99, first.id)
    assert np.array_equal(back.vector, first.vector)
    assert again.trouble == ""


def test_what_was_forgotten_or_evicted_stays_away(tmp_path):
    size = entry("question 1").bytes_held
    store = SqliteStore(tmp_path / "answers.db", max_bytes=2 * size)
    for number in (1, 2, 3):
        store.put(entry(f"question {number}", tags=(f"{number}"[:0],)))
    store.close()
    assert [e.question for e in SqliteStore(tmp_path / "answers.db").entries] == ["question 2", "question 3"]
    store = SqliteStore(tmp_path / "answers.db")
    store.forget(scope="s")
    store.close()
    assert len(SqliteStore(tmp_path / "answers.db")) == 0


WRITER = """
import sys
import numpy as np
from course_utils.cache.semantic import Entry, SqliteStore
store = SqliteStore(sys.argv[1])
for number in range(10**6):
    vector = np.eye(1, 8, number % 8, dtype=np.float32)[0]
    store.put(Entry("s", f"question {number}", "answer", vector, frozenset(), 0.0, 1e12))
    print(number, flush=True)
"""


def test_a_process_killed_while_it_writes_loses_nothing_that_put_had_returned_from(tmp_path):
    path, done = tmp_path / "answers.db", -1
    for after_s in (0.05, 0.12):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "0\n"
        time.sleep(after_s)
        os.kill(writer.pid, signal.SIGKILL)
        said = writer.stdout.read().splitlines()
        assert writer.wait() == -signal.SIGKILL
        done = max([done, 0, *(int(line) for line in said if line.isdigit())])
        store = SqliteStore(path)
        held = {each.question for each in store.entries}
        assert store.trouble == ""
        assert {f"question {number}" for number in range(done + 1)} <= held
        store.close()
    assert done > 0


def test_a_broken_file_is_moved_aside_and_said_so(tmp_path):
    path = tmp_path / "answers.db"
    path.write_bytes(b"this is no database at all" * 100)
    for count, name in enumerate(("answers.db.broken", "answers.db.broken1")):
        if count:
            path.write_bytes(b"nor this" * 1000)
        store = SqliteStore(path)
        assert name in store.trouble
        assert (tmp_path / name).is_file()
        store.put(entry("one"))
        store.close()
        assert len(SqliteStore(path)) == 1


def test_a_file_with_a_torn_page_is_moved_aside(tmp_path):
    path = tmp_path / "answers.db"
    store = SqliteStore(path)
    for number in range(200):
        store.put(entry(f"question {number}", "long answer " * 50))
    store.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 12] = os.urandom(4096 * 9)
    path.write_bytes(content)
    store = SqliteStore(path)
    assert "was broken" in store.trouble
    assert len(store) == 0


def test_a_file_of_a_newer_version_is_left_whole_beside_a_new_one(tmp_path):
    path = tmp_path / "answers.db"
    with sqlite3.connect(path) as database:
        database.execute("pragma user_version=99")
    assert "version 99" in SqliteStore(path).trouble


def test_a_locked_file_is_left_alone_and_the_service_goes_on(tmp_path):
    path = tmp_path / "answers.db"
    SqliteStore(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    store = SqliteStore(path, patience_s=0.05)
    assert "locked" in store.trouble
    store.put(entry("one"))
    assert (len(store), store.failed_writes) == (1, 1)
    assert sorted(file.name for file in tmp_path.iterdir() if "broken" in file.name) == []
    other.execute("rollback")
    other.close()


def test_a_folder_that_is_not_there_costs_the_file_only(tmp_path):
    store = SqliteStore(tmp_path / "nowhere" / "answers.db")
    store.put(entry("one"))
    assert len(store) == 1
    assert "can't be used" in store.trouble


def test_on_a_full_disk_answers_stay_in_memory_and_the_failures_are_counted(tmp_path):
    path = tmp_path / "answers.db"
    store = SqliteStore(path)
    store._database.execute("pragma max_page_count=6")  # SQLite's own way to have no room: the same error
    for number in range(30):
        store.put(entry(f"question {number}", "x" * 2000))
    assert len(store) == 30
    assert store.failed_writes > 10
    assert "full" in store.trouble
    store.close()
    assert 0 < len(SqliteStore(path)) < 30


def test_what_could_not_be_deleted_is_deleted_with_the_next_write(tmp_path):
    path = tmp_path / "answers.db"
    store = SqliteStore(path, patience_s=0.01)
    store.put(entry("old price", tags=("prices",)))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    store.forget(tag="prices")
    assert store.failed_writes == 1
    other.execute("rollback")
    store.put(entry("new price"))
    store.close()
    assert [e.question for e in SqliteStore(path).entries] == ["new price"]


def test_an_answer_that_no_file_can_hold_costs_no_other_answer(tmp_path):
    store = SqliteStore(tmp_path / "answers.db")
    store.put(entry("one", "half an emoji: \ud83d"))
    assert (len(store), store.failed_writes) == (1, 1)
    store.put(entry("two"))
    assert store.failed_writes == 1
    store.close()
    assert [e.question for e in SqliteStore(tmp_path / "answers.db").entries] == ["two"]


def test_a_file_that_may_grow_no_more_costs_what_comes_after_it_only(tmp_path):
    program = """
import resource, signal, sys
from course_utils.cache.semantic import Entry, SqliteStore
import numpy as np
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
store = SqliteStore(sys.argv[1])
for number in range(200):
    store.put(Entry("s", f"question {number}", "x" * 3000, np.eye(1, 8, dtype=np.float32)[0], frozenset(), 0, 1e12))
print(len(store), store.failed_writes > 0, bool(store.trouble))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a.db"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["200", "True", "True"]
    again = SqliteStore(tmp_path / "a.db")
    assert 0 < len(again) < 200
    assert again.trouble == ""
