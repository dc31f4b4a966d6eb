from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog.provenance import (
    assumed,
    check_range,
    data_path,
    measured_here,
    predicted,
    published,
    read_rows,
    recorded,
)


@dataclass(frozen=True)
class Row:
    name: str
    usd: float
    count: int | None
    source: str
    as_of: date
    tags: tuple[str, ...] = ()
    spot: bool = False
    note: str = ""


HEADER = "name,usd,count,tags,spot,note,source,as_of\n"
GOOD = 'a,1.5,3,x; y,yes,"one, two",maker,2026-11-01\n'


def rows(folder, text, header=HEADER):
    path = folder / "rows.csv"
    path.write_text(header + text, encoding="utf-8")
    return read_rows(path, Row)


def test_a_cell_is_read_as_its_annotation_says(tmp_path):
    assert rows(tmp_path, GOOD) == (
        Row("a", 1.5, 3, "maker", date(2026, 11, 1), ("x", "y"), True, "one, two"),
    )


def test_an_empty_cell_is_none_where_that_is_allowed_else_the_default(tmp_path):
    assert rows(tmp_path, "a,1e3,,,,,maker,2026-11-01\n") == (
        Row("a", 1000.0, None, "maker", date(2026, 11, 1)),
    )


def test_a_file_that_is_shipped_is_found_and_read_once():
    assert data_path("accelerators.csv").is_file()
    from course_utils.catalog.accelerators import Accelerator

    assert read_rows("accelerators.csv", Accelerator) is read_rows("accelerators.csv", Accelerator)


def test_an_unknown_file_is_refused_with_the_ones_there_are():
    with pytest.raises(ValueError, match=r"name='nope.csv'.*accelerators.csv"):
        data_path("nope.csv")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a,1.5,3,,,,,2026-11-01\n", "source is empty"),
        ("a,1.5,3,,,,   ,2026-11-01\n", "source is empty"),
        ("a,1.5,3,,,,maker,\n", "as_of is empty; an ISO date such as 2026-11-24 is needed"),
        ("a,1.5,3,,,,maker,11/01/2026\n", "as_of='11/01/2026': an ISO date"),
        ("a,cheap,3,,,,maker,2026-11-01\n", "usd='cheap': a value of type float"),
        (",1.5,3,,,,maker,2026-11-01\n", "name is empty"),
        ("a,1.5,3.5,,,,maker,2026-11-01\n", "count='3.5': a value of type int"),
        ("a,1.5,3,,maybe,,maker,2026-11-01\n", r"spot='maybe'.*yes or no"),
        ("a,1.5,3,,,one, two,maker,2026-11-01\n", "as many cells as the header"),
        ("a,1.5,3\n", "as many cells as the header"),
    ],
)
def test_a_bad_row_is_refused_with_file_line_and_what_would_be_right(tmp_path, line, says):
    with pytest.raises(ValueError, match=rf"^rows.csv, line 3: .*{says}"):
        rows(tmp_path, GOOD + line)


def test_a_column_that_the_type_lacks_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"line 2: unknown column 'colour'; Row has name"):
        rows(tmp_path, "a,1,1,,,,red,maker,2026-11-01\n", HEADER.replace("source", "colour,source"))


def test_a_file_without_a_source_column_is_refused(tmp_path):
    with pytest.raises(ValueError, match="line 2: source is empty"):
        rows(tmp_path, "a,1,1,,,,2026-11-01\n", HEADER.replace("source,", ""))


def test_the_row_type_has_the_last_word_on_a_range(tmp_path):
    @dataclass(frozen=True)
    class Priced:
        usd: float
        source: str
        as_of: date

        def __post_init__(self):
            check_range("usd", self.usd, 0.01, 100)

    path = tmp_path / "priced.csv"
    path.write_text("usd,source,as_of\n1,maker,2026-11-01\n5000,maker,2026-11-01\n")
    with pytest.raises(ValueError, match=r"priced.csv, line 3: usd=5000.0: between 0.01 and 100 is sane"):
        read_rows(path, Priced)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_the_trip_through_a_cell(tmp_path_factory, value):
    (row,) = rows(tmp_path_factory.mktemp("trip"), f"a,{value!r},,,,,maker,2026-11-01\n")
    assert row.usd == value


def test_labels_say_where_a_figure_comes_from():
    assert measured_here() == "measured here"
    assert recorded("H100 SXM", date(2026, 3, 1)) == "recorded on H100 SXM, 2026-03-01"
    assert published("NVIDIA", "2026-03-01") == "published by NVIDIA, 2026-03-01"
    assert predicted(1.25, 3, "USD") == "predicted (80 % interval 1.25 to 3 USD)"
    assert predicted(12_345.6, 23_456, percent=90) == "predicted (90 % interval 12,346 to 23,456)"
    assert assumed() == "assumed: yours to change"


@pytest.mark.parametrize(("lo", "hi"), [(2, 1), (float("nan"), 1), (0, float("nan"))])
def test_an_interval_that_is_none_is_refused(lo, hi):
    with pytest.raises(ValueError, match="lo must not exceed hi"):
        predicted(lo, hi)
