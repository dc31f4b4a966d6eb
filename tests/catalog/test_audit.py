from datetime import date, timedelta

import pytest

from course_utils.catalog import audit
from course_utils.catalog.provenance import data_path

TODAY = date(2026, 11, 24)
PRICES = (
    "provider,instance,accelerator,accelerators_per_instance,region,term,usd_per_hour,"
    "usd_per_accelerator_hour,note,source,as_of\n"
)
GOOD = "A,one,H100 SXM,1,any,on_demand,2,2,,maker https://example.com/prices,2026-11-01\n"


def findings(folder, text, name="gpu_prices.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return audit(TODAY, folder=folder)


def test_what_the_course_ships_has_no_errors():
    assert [finding for finding in audit() if finding.is_error] == []


def test_every_shipped_file_with_a_source_is_audited():
    listed = {finding.file for finding in audit(TODAY + timedelta(days=4000))}
    assert {"gpu_prices.csv", "api_rules.csv"} <= listed


def test_data_sheets_and_model_shapes_do_not_go_stale():
    listed = {finding.file for finding in audit(TODAY + timedelta(days=4000)) if finding.kind == "stale"}
    assert not {"accelerators.csv", "models.csv"} & listed


def test_a_good_row_finds_nothing(tmp_path):
    assert findings(tmp_path, PRICES + GOOD) == []


def test_an_old_price_is_stale_and_no_error(tmp_path):
    (finding,) = findings(tmp_path, PRICES + GOOD.replace("2026-11-01", "2026-05-27"))
    assert (finding.file, finding.line, finding.kind) == ("gpu_prices.csv", 2, "stale")
    assert "181 days old" in finding.message
    assert not finding.is_error


def test_the_age_limit_is_yours(tmp_path):
    (tmp_path / "gpu_prices.csv").write_text(PRICES + GOOD)
    assert [finding.kind for finding in audit(TODAY, max_age_days=10, folder=tmp_path)] == ["stale"]
    with pytest.raises(ValueError, match="max_age_days=0"):
        audit(TODAY, max_age_days=0)


@pytest.mark.parametrize(
    ("row", "kind", "says"),
    [
        (GOOD.replace("H100 SXM", "H1000"), "accelerator", "'H1000' is not a name"),
        (GOOD.replace("H100 SXM", "h100"), "accelerator", "'h100' is not a name"),
        (GOOD.replace(",2,2,", ",200,200,"), "malformed", "usd_per_accelerator_hour=200.0"),
        (GOOD.replace(",2,2,", ",2,1,"), "malformed", "usd_per_hour=2.0"),
        (GOOD.replace("on_demand", "weekly"), "malformed", "term='weekly'"),
        (GOOD.replace("2026-11-01", "2026-13-01"), "malformed", "as_of='2026-13-01'"),
        (GOOD.replace("2026-11-01", "2027-01-01"), "future", "after today"),
        (GOOD.replace("maker https://example.com/prices", ""), "malformed", "source is empty"),
        (
            GOOD.replace("https://example.com/prices", "https://example"),
            "source",
            "'https://example' is not a link",
        ),
        (GOOD.replace("maker https:", "file:"), "source", "a place that everybody can look at"),
    ],
)
def test_a_bad_row_is_an_error_that_says_why(tmp_path, row, kind, says):
    (finding,) = findings(tmp_path, PRICES + GOOD.replace("one", "two") + row)
    assert (finding.line, finding.kind, finding.is_error) == (3, kind, True)
    assert says in finding.message


def test_the_same_offer_twice_is_a_duplicate_whatever_its_price(tmp_path):
    (finding,) = findings(tmp_path, PRICES + GOOD + GOOD.replace(",2,2,", ",3,3,").replace("A,one", "a,One"))
    assert finding.kind == "duplicate"
    assert "as line 2" in finding.message


def test_another_term_is_no_duplicate(tmp_path):
    assert findings(tmp_path, PRICES + GOOD + GOOD.replace("on_demand", "spot")) == []


def test_a_file_of_a_kind_unknown_here_is_checked_for_source_date_and_duplicates(tmp_path):
    rows = ("1,maker,2026-11-01", "1,other,2026-11-02", "2,,2026-11-01", "3,maker,soon", "4,maker,2020-01-01")
    text = "\n".join(("a,source,as_of", *rows, ""))
    assert [(one.line, one.kind) for one in findings(tmp_path, text, "new.csv")] == [
        (3, "duplicate"),
        (4, "malformed"),
        (5, "malformed"),
        (6, "stale"),
    ]


def test_a_file_without_source_and_date_columns_is_left_alone(tmp_path):
    assert findings(tmp_path, "a,b\n1,2\n", "log.csv") == []


def test_a_shipped_row_that_somebody_breaks_is_found(tmp_path):
    text = data_path("accelerators.csv").read_text(encoding="utf-8")
    (tmp_path / "accelerators.csv").write_text(text.replace(",3350e9,", ",3350,", 1), encoding="utf-8")
    (finding,) = audit(folder=tmp_path)  # as of today: rows that are added later are not of the future
    assert finding.kind == "malformed"
    assert "bandwidth_bytes_per_s=3350.0" in finding.message
