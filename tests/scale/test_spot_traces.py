"""Traces in the published layout: what reads, what doesn't, and what is derived from them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.scale import Trace, read_trace, write_trace


def written(tmp_path, content):
    path = tmp_path / "zone.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_published_layout_is_read_and_other_keys_ignored(tmp_path):
    path = written(tmp_path, {"metadata": {"gap_seconds": 300}, "data": [0, 4, 4, 1], "prices": [1.4]})
    trace = read_trace(path)
    assert (trace.name, trace.gap_s, trace.capacity) == ("zone", 300, 4)
    assert trace.alive.tolist() == [0, 4, 4, 1]
    assert trace.hours == pytest.approx(1 / 3)
    assert (trace.availability(), trace.availability(4)) == (0.75, 0.5)
    assert read_trace(path, capacity=16).capacity == 16


@settings(deadline=None)
@given(st.lists(st.integers(0, 16), min_size=1), st.integers(1, 3600))
def test_written_trace_reads_back_the_same(tmp_path_factory, alive, gap_s):
    path = tmp_path_factory.mktemp("traces") / "zone.json"
    write_trace(Trace("zone", gap_s, np.array(alive), 16), path)
    again = read_trace(path, capacity=16)
    assert (again.gap_s, again.alive.tolist()) == (gap_s, alive)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{not json", r"zone\.json, line 1: not JSON"),
        ("[1, 2]", "metadata is missing"),
        ({"data": [1]}, "metadata is missing"),
        ({"metadata": {}, "data": [1]}, r"metadata\.gap_seconds=None"),
        ({"metadata": {"gap_seconds": 0}, "data": [1]}, r"metadata\.gap_seconds=0"),
        ({"metadata": {"gap_seconds": "300"}, "data": [1]}, r"metadata\.gap_seconds='300'"),
        ('{"metadata": {"gap_seconds": NaN}, "data": [1]}', r"metadata\.gap_seconds=nan"),
        ({"metadata": {"gap_seconds": 300}}, "data is missing or empty"),
        ({"metadata": {"gap_seconds": 300}, "data": []}, "data is missing or empty"),
        ({"metadata": {"gap_seconds": 300}, "data": [1, -1]}, r"data\[1\]=-1"),
        ({"metadata": {"gap_seconds": 300}, "data": [1, 0.5]}, r"data\[1\]=0\.5"),
        ({"metadata": {"gap_seconds": 300}, "data": [True]}, r"data\[0\]=True"),
        ({"metadata": {"gap_seconds": 300}, "data": [None]}, r"data\[0\]=None"),
    ],
)
def test_anything_else_is_refused_with_file_and_key(tmp_path, content, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_trace(written(tmp_path, content))
    assert "zone.json" in str(caught.value)


def test_missing_file_is_a_value_error(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.json"):
        read_trace(tmp_path / "nowhere.json")


def test_capacity_below_what_lived_is_refused(tmp_path):
    path = written(tmp_path, {"metadata": {"gap_seconds": 300}, "data": [0, 4]})
    with pytest.raises(ValueError, match="between 0 and capacity=2"):
        read_trace(path, capacity=2)


def test_spells_are_the_runs_of_open_and_closed_time():
    lengths, up = Trace("zone", 3600, np.array([0, 2, 1, 0, 0, 1]), 2).spells()
    assert lengths.tolist() == [1, 2, 2, 1]
    assert up.tolist() == [False, True, False, True]


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1), st.integers(1, 64))
def test_scaled_trace_keeps_the_share_of_each_tick(alive, capacity):
    trace = Trace("zone", 300, np.array(alive), 4)
    scaled = trace.scaled(capacity)
    assert scaled.capacity == capacity
    assert np.abs(scaled.alive / capacity - trace.alive / 4).max() < 1 / capacity + 1e-9
    assert scaled.availability(capacity) == trace.availability(4)


def test_a_trace_cannot_be_changed_in_place():
    trace = Trace("zone", 300, np.array([1]), 1)
    with pytest.raises(ValueError, match="read-only"):
        trace.alive[0] = 0
