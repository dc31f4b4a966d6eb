"""Traffic in files: three layouts in, one out, and a line number for whatever doesn't fit."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.scale import Traffic, generate_sessions, read_traffic, write_traffic
from course_utils.scale.sessions import shared_paths

HEADER = "arrived_at,input_tokens,output_tokens\n"


def written(folder, text, name="load.csv"):
    path = folder / name
    path.write_text(text)
    return path


def test_own_layout_in_seconds(tmp_path):
    traffic = read_traffic(written(tmp_path, HEADER + "0.5,100,20\n2,300,1\n"))
    assert traffic.arrived_s.tolist() == [0.5, 2]
    assert traffic.input_tokens.tolist() == [100, 300]
    assert traffic.output_tokens.tolist() == [20, 1]
    assert (traffic.name, traffic.origin) == ("load", "read from load.csv")


def test_times_with_and_without_offset_become_seconds_since_the_earliest(tmp_path):
    lines = "2026-11-24T10:00:00Z,1,1\n2026-11-24T12:00:01.500+02:00,1,1\n2026-11-24 10:00:02,1,1\n"
    assert read_traffic(written(tmp_path, HEADER + lines)).arrived_s.tolist() == [0, 1.5, 2]


def test_unix_time_starts_at_the_first_request(tmp_path):
    traffic = read_traffic(written(tmp_path, HEADER + "1764547200.25,1,1\n1764547201,1,1\n"))
    assert traffic.arrived_s.tolist() == [0, 0.75]


def test_optional_columns_in_any_order_and_unknown_ones_ignored(tmp_path):
    text = (
        "tenant,priority,arrived_at,region,output_tokens,input_tokens,prefix_id,prefix_tokens\n"
        "chat,0,0,eu,1,10,3,5\nNA,2,1,us,1,20,-1,0\n,0,2,us,1,20,-1,0\n"
    )
    traffic = read_traffic(written(tmp_path, text))
    assert [traffic.tenants[one] for one in traffic.tenant] == ["chat", "NA", ""]
    assert traffic.priority.tolist() == [0, 2, 0]
    assert traffic.prefix_id.tolist() == [3, -1, -1]
    assert traffic.prefix_tokens.tolist() == [5, 0, 0]


def test_rows_out_of_order_are_sorted_whole_and_the_origin_says_so(tmp_path):
    traffic = read_traffic(written(tmp_path, HEADER + "3,30,3\n1,10,1\n2,20,2\n"))
    assert traffic.arrived_s.tolist() == [1, 2, 3]
    assert traffic.input_tokens.tolist() == [10, 20, 30]
    assert traffic.origin == "read from load.csv, sorted by arrival"


def test_azures_layout(tmp_path):
    text = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        "2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,109"
    )
    traffic = read_traffic(written(tmp_path, text))
    assert traffic.arrived_s == pytest.approx([0, 4.314579], abs=1e-9)
    assert traffic.input_tokens.tolist() == [374, 396]
    assert traffic.output_tokens.tolist() == [44, 109]


def mooncake(*rows):
    names = ("timestamp", "input_length", "output_length", "hash_ids")
    return "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)


def test_mooncakes_layout_says_which_prompts_begin_alike(tmp_path):
    text = mooncake(
        (0, 1200, 10, [0, 1, 2]),  # a conversation ...
        (500, 700, 0, [0, 9]),  # another one, which shares the system prompt and says nothing
        (1000, 2000, 30, [0, 1, 3, 4]),  # ... goes on,
        (2000, 2500, 40, [0, 1, 3, 4, 5]),  # ... and on
        (3000, 100, 50, [7]),  # and somebody shares nothing
    )
    traffic = read_traffic(written(tmp_path, text, "trace.jsonl"))
    assert traffic.arrived_s.tolist() == [0, 0.5, 1, 2, 3]
    assert traffic.output_tokens.tolist() == [10, 1, 30, 40, 50]
    assert traffic.prefix_id.tolist() == [0, 0, 0, 0, -1]
    # Blocks of 512 tokens, the last of which may be partly filled.
    assert traffic.prefix_tokens.tolist() == [1024, 512, 2000, 2048, 0]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "there are no requests"),
        ("0,1\n", "line 2: output_tokens=''"),
        ("0,1,1\n1,,1\n", "line 3: input_tokens=''"),
        ("0,1,1\n\n1,1,1\n", "line 3: input_tokens=''"),
        ("0,many,1\n", "line 2: input_tokens='many': a whole number"),
        ("0,1.5,1\n", r"line 2: input_tokens='1\.5'"),
        ("0,99999999999999999999,1\n", "line 2: input_tokens='9+'"),
        ("0,0,1\n", "line 2: input_tokens=0: 1 or more"),
        ("0,1,1\n1,1,0\n", "line 3: output_tokens=0: 1 or more"),
        ("0,1,-4\n", "line 2: output_tokens=-4"),
        ("-1,1,1\n", "line 2: arrived_at=-1: seconds from 0 on"),
        (",1,1\n", "line 2: arrived_at=''"),
        ("nan,1,1\n", "line 2: arrived_at="),
        ("0,1,1\nyesterday,1,1\n", "arrived_at="),
        ("0,1,1,5\n", "line 2 has more cells than the 3"),
        ("0,1,1\n0,1,1,5\n", "line 3"),
    ],
)
def test_what_does_not_fit_is_refused_with_file_and_line(tmp_path, lines, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_traffic(written(tmp_path, HEADER + lines))
    assert str(caught.value).startswith("load.csv: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        (
            "time,tokens\n0,1\n",
            r"columns are time, tokens; arrived_at, input_tokens, output_tokens is missing",
        ),
        (
            "arrived_at,input_tokens,output_tokens,prefix_id,prefix_tokens\n0,5,1,0,9\n",
            "line 2: prefix_tokens=9",
        ),
        ("arrived_at,input_tokens,output_tokens,prefix_tokens\n0,5,1,3\n", "0 where prefix_id is -1"),
        ("arrived_at,TIMESTAMP,input_tokens,output_tokens\n0,5,1,0\n", "(?i)duplicate"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        read_traffic(written(tmp_path, text))


def test_what_is_no_text_and_what_is_no_file_are_refused(tmp_path):
    path = tmp_path / "load.csv"
    path.write_bytes(b"\xff\xfe\x00\x80" * 50)
    with pytest.raises(ValueError, match=r"load\.csv"):
        read_traffic(path)
    with pytest.raises(ValueError, match="there is no such file"):
        read_traffic(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match=r"trace\.jsonl, line 1"):
        read_traffic(written(tmp_path, '{"timestamp": 0}\n', "trace.jsonl"))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(-1, 3)), min_size=1),
    st.data(),
)
def test_written_traffic_reads_back_the_same(tmp_path_factory, rows, data):
    rows.sort()
    micros, tokens, ids = map(np.array, zip(*rows, strict=True))
    names = data.draw(st.lists(st.text("abc äö,\"'", max_size=5), min_size=1, max_size=3, unique=True))
    tenant = data.draw(st.lists(st.integers(0, len(names) - 1), min_size=len(rows), max_size=len(rows)))
    traffic = Traffic(
        micros / 1e6,
        tokens,
        tokens[::-1],
        "load",
        "drawn",
        prefix_id=ids,
        prefix_tokens=np.where(ids < 0, 0, tokens // 2),
        tenant=tenant,
        tenants=tuple(names),
        priority=ids,
    )
    again = read_traffic(write_traffic(traffic, tmp_path_factory.mktemp("traffic") / "load.csv"))
    for array in ("arrived_s", "input_tokens", "output_tokens", "prefix_id", "prefix_tokens", "priority"):
        assert getattr(again, array).tolist() == getattr(traffic, array).tolist()
    served = [(names[one].strip(), again.tenants[two]) for one, two in zip(tenant, again.tenant, strict=True)]
    assert [one for one, two in served] == [two.strip() for one, two in served]


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    traffic = Traffic([0.0], [1], [1], "one", "here")
    path = write_traffic(traffic, tmp_path / "load.csv.gz")
    assert gzip.decompress(path.read_bytes()) == b"arrived_at,input_tokens,output_tokens\n0.0,1,1\n"
    before = path.read_bytes()
    monkeypatch.setattr(
        "pandas.DataFrame.to_csv", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        write_traffic(Traffic([0.0, 1.0], [1, 1], [1, 1], "two", "here"), path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["load.csv.gz"]


def endless_hits(blocks):
    """Blocks that a cache without an end would serve, by request."""
    seen, hits = set(), []
    for row in blocks:
        hits.append(next((depth for depth, block in enumerate(row) if block not in seen), len(row)))
        seen.update(row)
    return hits


@st.composite
def trees(draw):
    """Prompts that grow out of each other: each an earlier one cut somewhere, and new blocks after it."""
    blocks, free = [()], 0
    for _ in range(draw(st.integers(1, 25))):
        kept = draw(st.sampled_from(blocks))
        kept = kept[: draw(st.integers(0, len(kept)))]
        new = draw(st.integers(0 if kept else 1, 3))
        blocks.append((*kept, *range(free, free + new)))
        free += new
    return blocks[1:]


@settings(max_examples=200, deadline=None)
@given(trees())
def test_what_a_path_says_to_be_shared_is_shared(blocks):
    path, depth = shared_paths(tuple(blocks))
    for one, row in enumerate(blocks):
        shared = [len(set(row) & set(other)) for two, other in enumerate(blocks) if two != one]
        assert depth[one] == max(shared, default=0)
        assert (path[one] < 0) == (depth[one] == 0)
        for two in range(one):
            if path[one] >= 0 and path[one] == path[two]:
                common = min(depth[one], depth[two])
                assert row[:common] == blocks[two][:common]
    used = path[path >= 0]
    assert sorted(set(used.tolist())) == list(range(len(set(used.tolist()))))


def test_generated_sessions_keep_nearly_all_that_they_share():
    from course_utils.cache.conversations import generate_conversations

    conversations = generate_conversations(3000, seed=2)
    path, depth = shared_paths(conversations.blocks)
    cached, kept = {}, 0
    for one, blocks in zip(path.tolist(), depth.tolist(), strict=True):
        kept += min(blocks, cached.get(one, 0)) if one >= 0 else 0
        cached[one] = max(blocks, cached.get(one, 0))
    assert 0.85 < kept / sum(endless_hits(conversations.blocks)) <= 1


def test_generated_sessions_are_as_many_as_asked_and_say_where_they_come_from():
    traffic = generate_sessions(700, seed=4)
    assert len(traffic) == 700
    assert traffic.origin.startswith("generated: conversations fitted on kvcache-ai/Mooncake")
    assert traffic.origin.endswith("seed 4")
    assert (traffic.prefix_tokens <= traffic.input_tokens).all()
    assert (traffic.prefix_id >= 0).mean() > 0.9, "a system prompt is before all of them"
