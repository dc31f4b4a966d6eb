"""Reading a log: every line is a row or is listed with its number and reason; a file that can't be a log says why."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.catalog.api_prices import ApiPrice
from course_utils.estimate.request_log import read_log
from course_utils.estimate.sample_log import write_sample_log

HEADER = (
    "arrived_at,model,input_tokens,output_tokens,cached_read_tokens,cache_write_tokens,reasoning_tokens,"
    "team,feature,batch"
)
GOOD = "2026-09-01T08:00:00,gpt-5-mini,1000,200,600,0,50,support,chat,false"


@pytest.fixture
def log(tmp_path):
    """Write lines to a file and read them as a log."""

    def read(*lines, header=HEADER, end="\n", name="requests.csv", encoding="utf-8", **options):
        path = tmp_path / name
        path.write_bytes(end.join([header, *lines, ""]).encode(encoding))
        return read_log(path, **options)

    return read


def test_a_sound_line_becomes_a_row(log):
    rows = log(GOOD).rows
    assert rows.loc[0, "arrived_at"] == pd.Timestamp("2026-09-01 08:00", tz="UTC")
    assert rows.loc[0, ["input_tokens", "output_tokens", "cached_read_tokens"]].tolist() == [1000, 200, 600]
    assert rows.loc[0, ["model", "team", "feature"]].tolist() == ["gpt-5-mini", "support", "chat"]
    assert not rows.loc[0, "batch"]
    assert rows.loc[0, "line"] == 2


@pytest.mark.parametrize(
    ("cell", "value", "reason"),
    [
        ("input_tokens", "", "input_tokens is missing"),
        ("input_tokens", "NaN", "input_tokens is missing"),
        ("input_tokens", "-5", "input_tokens is negative: '-5'"),
        ("output_tokens", "many", "output_tokens is not a number: 'many'"),
        ("output_tokens", "inf", "output_tokens is not a number"),
        ("output_tokens", "1.5", "output_tokens is not a whole number: '1.5'"),
        ("input_tokens", "1e12", "input_tokens is too much for one request"),
        ("cached_read_tokens", "1001", "cached plus written exceed input_tokens: 1001 > 1000"),
        ("cache_write_tokens", "401", "cached plus written exceed input_tokens: 1001 > 1000"),
        ("reasoning_tokens", "201", "reasoning_tokens exceed output_tokens: 201 > 200"),
        ("model", "", "model is missing"),
        ("model", "gpt-5-minni", "model='gpt-5-minni' is not in the price list; near: gpt-5-mini"),
        ("arrived_at", "", "arrived_at is missing"),
        ("arrived_at", "yesterday", "arrived_at is not a time such as 2026-09-01T08:00: 'yesterday'"),
        ("arrived_at", "2026-02-30T00:00:00", "arrived_at is not a time"),
        ("batch", "maybe", "batch is neither true nor false: 'maybe'"),
    ],
)
def test_a_bad_cell_is_listed_with_line_and_reason(log, cell, value, reason):
    cells = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | {cell: value}
    bad = ",".join(cells.values())
    read = log(GOOD, bad, GOOD)
    (row,) = read.bad_rows
    assert (row.line, row.text) == (3, bad)
    assert row.reason.startswith(reason)
    assert len(read.rows) == 2
    assert read.rows["line"].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty line"),
        ("2026-09-01T08:00:00,gpt-5-mini,1000", "3 fields where the header has 10"),
        (GOOD + ",surplus", "11 fields where the header has 10"),
        (GOOD.replace("support", '"support, second line"') + ",", "11 fields where the header has 10"),
    ],
)
def test_a_line_of_the_wrong_shape_is_listed(log, line, reason):
    read = log(GOOD, line, GOOD)
    (row,) = read.bad_rows
    assert (row.line, row.reason, row.text) == (3, reason, line)
    assert read.rows["line"].tolist() == [2, 4]


def test_a_comma_or_a_line_break_in_quotes_is_part_of_the_cell_and_line_numbers_stay_the_files_own(log):
    quoted = GOOD.replace("support", '"support, ""tier 2""\nnight shift"')
    read = log(GOOD, quoted, GOOD.replace("1000", "-1"), GOOD)
    assert read.rows["line"].tolist() == [2, 3, 6]
    assert read.rows["team"].tolist()[1] == 'support, "tier 2"\nnight shift'
    assert [row.line for row in read.bad_rows] == [5]


def test_two_stray_quotation_marks_swallow_no_request_without_a_word(log):
    """Between them lies one valid cell of two lines: pandas would read three requests as one."""
    stray = GOOD.replace(",chat", ',"chat')
    read = log(GOOD, stray, GOOD, stray, GOOD)
    (row,) = read.bad_rows
    assert (row.line, row.reason) == (3, "a quotation mark swallows lines 3 to 5")
    assert read.rows["line"].tolist() == [2, 6]


def test_a_row_with_several_faults_is_listed_once(log):
    read = log("nonsense,no-such-model,-1,x,,,,,,maybe", GOOD)
    assert [(row.line, row.reason) for row in read.bad_rows] == [
        (2, "arrived_at is not a time such as 2026-09-01T08:00: 'nonsense'")
    ]


def test_only_four_columns_are_needed(log):
    read = log("2026-09-01 08:00,gpt-5-mini,10,5", header="arrived_at,model,input_tokens,output_tokens")
    row = read.rows.loc[0, ["cached_read_tokens", "team", "feature", "batch"]]
    assert row.tolist() == [0, "(none)", "(none)", False]


def test_optional_cells_may_be_blank(log):
    row = log("2026-09-01,gpt-5-mini,10,5,,NaN,null,,,").rows.loc[0]
    assert row[["cached_read_tokens", "cache_write_tokens", "reasoning_tokens"]].tolist() == [0, 0, 0]
    assert row["team"] == "(none)"


def test_teams_named_like_missing_values_stay_teams(log):
    assert log(GOOD.replace("support", "NA"), GOOD.replace("support", "None")).rows["team"].tolist() == [
        "NA",
        "None",
    ]


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("timestamp,model,prompt_tokens,completion_tokens", "2026-09-01T08:00:00Z,gpt-5-mini,10,5"),
        ("Created At,Model Name,Input Tokens,Output Tokens,Cost", "2026-09-01 08:00:00,gpt-5-mini,10,5,0.1"),
        ("time,model,ContextTokens,GeneratedTokens", "2026-09-01T10:00:00+02:00,gpt-5-mini,10,5"),
    ],
)
def test_names_of_other_exports_are_understood(log, header, line):
    row = log(line, header=header).rows.loc[0]
    assert (row["input_tokens"], row["output_tokens"]) == (10, 5)
    assert row["arrived_at"] == pd.Timestamp("2026-09-01 08:00", tz="UTC")


def test_azures_traces_are_read_as_they_come(log):
    """Two lines in the layout of Azure/AzurePublicDataset, with seven digits of a second and no model."""
    read = log(
        "2023-11-16 18:15:46.6805900,374,44",
        "2023-11-16 18:15:50.9951690,396,109",
        header="TIMESTAMP,ContextTokens,GeneratedTokens",
        end="\r\n",
        model="gpt-4o",
    )
    assert read.rows["input_tokens"].tolist() == [374, 396]
    assert read.rows["model"].tolist() == ["gpt-4o", "gpt-4o"]
    assert read.rows["arrived_at"].dt.year.tolist() == [2023, 2023]


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000])
def test_unix_time_is_read_in_seconds_milliseconds_or_microseconds(log, unit):
    seconds = 1_788_249_600  # 2026-09-01 08:00 UTC
    read = log(*(GOOD.replace("2026-09-01T08:00:00", str(seconds * unit)) for _ in range(3)))
    assert set(read.rows["arrived_at"]) == {pd.Timestamp("2026-09-01 08:00", tz="UTC")}


def test_seconds_of_a_trace_count_from_the_day_you_say(log):
    lines = (GOOD.replace("2026-09-01T08:00:00", at) for at in ("0", "86400.5", "soon"))
    read = log(*lines, start="2026-09-01")
    assert read.rows.loc[1, "arrived_at"] == pd.Timestamp("2026-09-02 00:00:00.5", tz="UTC")
    assert [row.reason for row in read.bad_rows] == [
        "arrived_at is not a time such as 2026-09-01T08:00: 'soon'"
    ]


def test_anthropics_columns_count_cached_tokens_beside_the_input(log):
    read = log(
        "2026-09-01,claude-haiku-4-5,21,393,188086,3000",
        header="timestamp,model,input_tokens,output_tokens,cache_read_input_tokens,cache_creation_input_tokens",
    )
    assert read.rows.loc[0, "input_tokens"] == 21 + 188_086 + 3000
    assert "beside" in read.note


ANTHROPIC = "timestamp,model,input_tokens,output_tokens,cache_read_input_tokens,cache_creation_input_tokens"


@pytest.mark.parametrize(
    "name", ["ephemeral_1h_input_tokens", "cache_creation.ephemeral_1h_input_tokens", "cache_write_1h_tokens"]
)
def test_anthropics_written_tokens_include_those_kept_an_hour(log, name):
    read = log("2026-09-01,claude-haiku-4-5,21,393,600,3000,2000", header=f"{ANTHROPIC},{name}")
    row = read.rows.loc[
        0, ["input_tokens", "cached_read_tokens", "cache_write_tokens", "cache_write_1h_tokens"]
    ]
    assert row.tolist() == [21 + 600 + 3000, 600, 1000, 2000]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_the_whole_of_the_writes_may_stand_beside_both_of_its_parts(log, order):
    cells = {"cache_creation_input_tokens": "3000", "ephemeral_5m_input_tokens": "1000"}
    cells = dict(list(cells.items())[order]) | {"ephemeral_1h_input_tokens": "2000"}
    header = f"timestamp,model,input_tokens,output_tokens,{','.join(cells)}"
    read = log(f"2026-09-01,claude-haiku-4-5,21,393,{','.join(cells.values())}", header=header)
    row = read.rows.loc[0, ["input_tokens", "cache_write_tokens", "cache_write_1h_tokens"]]
    assert row.tolist() == [3021, 1000, 2000]
    assert "not read" not in read.note


def test_the_two_kinds_of_writes_may_stand_alone(log):
    read = log(
        "2026-09-01,claude-haiku-4-5,21,393,1000,2000",
        header="timestamp,model,input_tokens,output_tokens,ephemeral_5m_input_tokens,ephemeral_1h_input_tokens",
    )
    row = read.rows.loc[0, ["input_tokens", "cache_write_tokens", "cache_write_1h_tokens"]]
    assert row.tolist() == [3021, 1000, 2000]


def test_our_own_two_kinds_of_writes_are_apart_from_each_other(log):
    read = log(
        *("2026-09-01,claude-haiku-4-5,1000,200,300,600", "2026-09-01,claude-haiku-4-5,1000,200,500,600"),
        header="arrived_at,model,input_tokens,output_tokens,cache_write_tokens,cache_write_1h_tokens",
    )
    assert read.rows[["cache_write_tokens", "cache_write_1h_tokens"]].to_numpy().tolist() == [[300, 600]]
    assert read.bad_rows[0].reason == "cached plus written exceed input_tokens: 1100 > 1000"


def test_more_kept_an_hour_than_written_at_all_is_a_bad_row(log):
    (row,) = log(
        "2026-09-01,claude-haiku-4-5,21,393,0,3000,3001", header=f"{ANTHROPIC},ephemeral_1h_input_tokens"
    ).bad_rows
    assert row.reason == "cache_write_1h_tokens exceed all written tokens: 3001 > 3000"


def test_columns_that_nothing_reads_are_named(log):
    read = log(GOOD + ",0.1,412", header=HEADER + ",Cost (USD),latency_ms")
    assert read.note == "not read: Cost (USD), latency_ms"
    assert str(read).endswith("0 bad ones; not read: Cost (USD), latency_ms")
    assert log(GOOD).note == ""


def test_of_many_such_columns_the_first_few_are_named_and_the_rest_counted(log):
    names = ["", "a very long name of a column that goes on and on", *(f"x{number}" for number in range(10))]
    note = log(GOOD + ",1" * 12, header=f"{HEADER},{','.join(names)}").note
    assert note == "not read: (no name), a very long name of a colum..., x0, x1, x2, x3 and 6 more"


def test_the_same_names_beside_prompt_tokens_are_inside(log):
    """Gateways report Anthropic's cache counts next to a prompt that already holds them."""
    read = log(
        "2026-09-01,claude-haiku-4-5,1000,393,600,100",
        header="timestamp,model,prompt_tokens,completion_tokens,cache_read_input_tokens,cache_creation_input_tokens",
    )
    assert read.rows.loc[0, "input_tokens"] == 1000
    assert read.note == ""


def test_googles_columns_count_thoughts_beside_the_answer(log):
    read = log(
        "2026-09-01T08:00:00,gemini-2.5-pro,1000,200,900,0",
        header="time,model,promptTokenCount,candidatesTokenCount,thoughtsTokenCount,cachedContentTokenCount",
    )
    assert (read.rows["output_tokens"].item(), read.rows["reasoning_tokens"].item()) == (1100, 900)
    assert "thoughts were counted beside the answer" in str(read)


def test_a_usage_page_whose_lines_are_sums_says_so(log):
    read = log(
        "2026-09-01T08:00:00,gpt-5-mini,1000,200,120",
        header="start_time,model,input_tokens,output_tokens,num_model_requests",
    )
    assert "each line is a sum (num_model_requests)" in str(read)
    assert "sum" not in str(log(GOOD))


def test_you_can_say_which_count_includes_which(log):
    assert log(GOOD, cached="beside").rows.loc[0, "input_tokens"] == 1600
    with pytest.raises(ValueError, match="cached='both'"):
        log(GOOD, cached="both")


def test_your_own_prices_make_your_own_models_known(log):
    house = ApiPrice(
        model="house",
        provider="us",
        input_usd_per_mtok=1,
        output_usd_per_mtok=2,
        source="invoice",
        as_of="2026-11-01",
    )
    read = log(GOOD.replace("gpt-5-mini", "house"), GOOD, prices={"house": house})
    assert read.bad_rows == ()
    assert read.prices["house"] is house


def test_a_batch_row_of_a_model_without_a_batch_price_is_listed(log):
    (row,) = log(GOOD.replace("gpt-5-mini", "grok-3").replace("false", "true"), GOOD).bad_rows
    assert row.reason == "no batch price of grok-3 is known: pass prices="


def test_byte_order_mark_windows_line_ends_and_gzip_make_no_difference(log, tmp_path):
    plain = log(GOOD, GOOD).rows
    marked = log("", GOOD, GOOD, header="\ufeff" + HEADER, end="\r\n").rows
    assert marked["line"].tolist() == [3, 4]
    packed = tmp_path / "requests.csv.gz"
    packed.write_bytes(gzip.compress("\n".join([HEADER, GOOD, GOOD]).encode()))
    assert read_log(packed).rows.equals(plain)


def test_a_column_of_identifiers_is_not_taken_for_models(log):
    with pytest.raises(ValueError, match=r"the model column has 2,001 different names, such as 'run-0'"):
        log(*(GOOD.replace("gpt-5-mini", f"run-{number}") for number in range(2001)))


# The file as a whole.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (HEADER.encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04\0\0\0\0", "spreadsheet"),
        (HEADER.replace(",", ";").encode(), "separated by semicolons, not by commas"),
        (HEADER.replace(",", "\t").encode(), "separated by tabs"),
        (b"arrived_at", "is no CSV file: its first line has no commas"),
        (b"\x1f\x8bnonsense", "damaged gzip file"),
        (
            b"arrived_at,model,output_tokens\n",
            "has no column input_tokens; its columns are arrived_at, model",
        ),
        (b"arrived_at,input_tokens,output_tokens\n", r"has no column model \(or pass model=...\)"),
        (
            b"time,model,input_tokens,prompt_tokens,output_tokens\n",
            "'input_tokens' and 'prompt_tokens' both say",
        ),
        (
            f"{HEADER}\n{GOOD}\n{GOOD}".replace("chat", "caf\xe9").encode("latin-1"),
            "line 2: byte 0xe9 is not UTF-8",
        ),
        (f"{HEADER}\n{GOOD}\n".replace(",chat", ',"chat').encode() + GOOD.encode(), "line 2 never closes"),
    ],
)
def test_a_file_that_cannot_be_a_log_says_why(tmp_path, content, message):
    path = tmp_path / "requests.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_log(path)
    assert "requests.csv" in str(raised.value)


def test_a_folder_is_no_log(tmp_path):
    with pytest.raises(ValueError, match="is a folder: name the CSV file in it"):
        read_log(tmp_path)


def test_a_file_that_is_not_there_is_looked_for_beside_its_place(tmp_path):
    (tmp_path / "october.csv").write_text(HEADER)
    with pytest.raises(FileNotFoundError, match=r"september.csv is not in .*put it there.*october\.csv"):
        read_log(tmp_path / "september.csv")


def test_a_log_with_a_header_only_has_no_rows(log):
    read = log()
    assert (len(read.rows), read.bad_rows, read.lines) == (0, (), 0)


# Nothing is lost.


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.just(GOOD),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\n\r"\0'), max_size=40),
            st.sampled_from([GOOD.replace("1000", bad) for bad in ("", "-1", "x", "1.5", "1e3", "nan")]),
            st.just(GOOD.replace("support", '"a, b"')),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_rows_and_bad_rows_are_all_lines_whatever_they_hold(tmp_path_factory, lines):
    while lines and not lines[-1].strip():
        lines.pop()  # empty lines at the end of a file are no lines
    path = tmp_path_factory.mktemp("logs") / "requests.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8", newline="")
    read = read_log(path)
    numbers = sorted([*read.rows["line"], *(row.line for row in read.bad_rows)])
    assert numbers == list(range(2, len(lines) + 2))
    assert all(read.rows[name].ge(0).all() for name in ("input_tokens", "output_tokens"))


def test_bad_lines_of_a_synthetic_log_are_found_and_no_others(tmp_path):
    path = write_sample_log(tmp_path / "log.csv", rows=3000, seed=1, bad_rows=30)
    read = read_log(path)
    assert (len(read.rows), len(read.bad_rows), read.lines) == (3000, 30, 3030)
    text = path.read_text().split("\n")
    assert all(text[row.line - 1] == row.text for row in read.bad_rows)
    assert str(read) == "log.csv: 3,000 rows, 30 bad ones"
    assert list(read.bad_table().columns) == ["line", "reason", "text"]


def test_a_log_is_read_the_same_with_and_without_quotes(tmp_path):
    path = write_sample_log(tmp_path / "plain.csv", rows=500, seed=2, bad_rows=10)
    lines = path.read_text().split("\n")
    quoted = tmp_path / "quoted.csv"
    quoted.write_text("\n".join([lines[0], *(line.replace("support", '"support"') for line in lines[1:])]))
    assert read_log(quoted).rows.equals(read_log(path).rows)
    assert [row.line for row in read_log(quoted).bad_rows] == [row.line for row in read_log(path).bad_rows]


def test_no_row_of_the_table_is_a_copy_of_a_line_that_is_listed(tmp_path):
    read = read_log(write_sample_log(tmp_path / "log.csv", rows=1000, bad_rows=20))
    assert not np.intersect1d(read.rows["line"], [row.line for row in read.bad_rows]).size
