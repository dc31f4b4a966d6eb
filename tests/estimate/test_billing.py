"""A log's bill: by hand on a handful of lines, and its views agree with each other on many."""

from datetime import date

import pandas as pd
import pytest

from course_utils.catalog.api_prices import ApiPrice, Rates
from course_utils.estimate.billing import bill, what_if
from course_utils.estimate.cost import PARTS, Usage, request_cost
from course_utils.estimate.request_log import read_log
from course_utils.estimate.sample_log import write_sample_log

SMALL = ApiPrice(
    model="small",
    provider="acme",
    input_usd_per_mtok=1.0,
    cached_read_usd_per_mtok=0.1,
    output_usd_per_mtok=4.0,
    batch_multiplier=0.5,
    cache_min_tokens=1000,
    source="worked example",
    as_of=date(2026, 11, 1),
)
LARGE = ApiPrice(
    model="large",
    provider="acme",
    input_usd_per_mtok=5.0,
    cached_read_usd_per_mtok=0.5,
    cache_write_usd_per_mtok=6.25,
    output_usd_per_mtok=20.0,
    long_context=(Rates(input_usd_per_mtok=10.0, output_usd_per_mtok=30.0, above_input_tokens=200_000),),
    source="worked example",
    as_of=date(2026, 10, 1),
)
PRICES = {"small": SMALL, "large": LARGE}
LINES = """\
arrived_at,model,input_tokens,output_tokens,cached_read_tokens,cache_write_tokens,reasoning_tokens,team,feature,batch
2026-09-30T23:59:59Z,small,1000000,100000,600000,0,0,support,chat,false
2026-10-01T00:00:00Z,small,1000000,100000,0,0,90000,support,labels,true
2026-10-01T12:00:00Z,large,100000,10000,0,40000,0,research,chat,false
2026-10-03T12:00:00Z,large,300000,10000,0,0,0,research,documents,false
2026-10-03T13:00:00Z,large,-1,10000,0,0,0,research,documents,false
"""


@pytest.fixture
def small_bill(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(LINES)
    return bill(read_log(path, prices=PRICES))


@pytest.fixture(scope="module")
def large_log(tmp_path_factory):
    return read_log(
        write_sample_log(tmp_path_factory.mktemp("logs") / "log.csv", rows=4000, seed=3, bad_rows=5)
    )


# By hand. Line by line: 0.4 + 0.06 + 0.4 = 0.86; (1 + 0.4) / 2 = 0.7; 0.3 + 0.25 + 0.2 = 0.75; 3 + 0.3 = 3.3.


def test_every_row_costs_what_it_does_by_hand(small_bill):
    assert small_bill.rows["total_usd"].tolist() == pytest.approx([0.86, 0.7, 0.75, 3.3])
    assert small_bill.total.total_usd == pytest.approx(5.61)


def test_a_bill_carries_currency_the_oldest_date_and_what_it_skipped(small_bill):
    assert (small_bill.currency, small_bill.as_of, small_bill.skipped) == ("USD", date(2026, 10, 1), 1)


def test_spend_by_month_and_day_is_in_the_order_of_time(small_bill):
    assert small_bill.by("month")["usd"].to_dict() == pytest.approx({"2026-09": 0.86, "2026-10": 4.75})
    assert small_bill.by("day")["usd"].tolist() == pytest.approx([0.86, 1.45, 3.3])


def test_spend_by_team_and_feature_is_dearest_first(small_bill):
    table = small_bill.by("team", "feature")
    assert table.index[0] == ("research", "documents")
    assert table.loc[("support", "labels"), "usd"] == pytest.approx(0.7)
    assert small_bill.by("team")["share"].to_dict() == pytest.approx(
        {"research": 4.05 / 5.61, "support": 1.56 / 5.61}
    )


def test_days_without_requests_are_days_of_zero(small_bill):
    daily = small_bill.daily()
    assert daily.index.equals(pd.date_range("2026-09-30", "2026-10-03"))
    assert daily.tolist() == pytest.approx([0.86, 1.45, 0, 3.3])


def test_parts_say_what_the_money_went_to(small_bill):
    parts = small_bill.parts()
    assert parts.loc["output", "usd"] == pytest.approx(0.4 + 0.2 + 0.2 + 0.3)
    assert parts.loc["cache writes"].tolist()[:2] == pytest.approx([40_000, 0.25])
    assert parts.loc["cached reads"].tolist()[:2] == pytest.approx([600_000, 0.06])
    assert parts["share"].sum() == pytest.approx(1)


@pytest.fixture
def kept_bill(tmp_path):
    """One request of a million: 400 000 fresh, 100 000 read, written 200 000 for 5 minutes, 300 000 for an hour."""
    path = tmp_path / "kept.csv"
    path.write_text(
        "time,model,input_tokens,output_tokens,cache_read_input_tokens,cache_creation_input_tokens,"
        "ephemeral_1h_input_tokens\n2026-10-01,large,400000,0,100000,500000,300000\n"
    )
    price = ApiPrice(**vars(LARGE) | {"cache_write_1h_usd_per_mtok": 10.0, "long_context": ()})
    return bill(read_log(path, prices={"large": price}))


def test_tokens_kept_for_an_hour_cost_what_an_hour_costs(kept_bill):
    """0.4 x 5 + 0.1 x 0.5 + 0.2 x 6.25 + 0.3 x 10 = 2 + 0.05 + 1.25 + 3."""
    assert kept_bill.total.cache_write_usd == pytest.approx(4.25)
    assert kept_bill.total.total_usd == pytest.approx(6.30)
    assert kept_bill.parts().loc["cache writes"].tolist()[:2] == pytest.approx([500_000, 4.25])
    assert kept_bill.parts()["tokens"].sum() == 1_000_000


def test_what_is_kept_for_an_hour_stays_so_in_a_what_if(kept_bill):
    """Better cached, 950 000 are touched: half of them read, half written, three fifths of them for an hour."""
    assert what_if(kept_bill).total_usd == pytest.approx(6.30)
    better = what_if(kept_bill, cached_share=0.95, reads_per_write=1)
    assert better.cache_write_usd == pytest.approx(0.475 * (0.4 * 6.25 + 0.6 * 10))
    assert better.input_usd == pytest.approx(0.05 * 5)
    assert what_if(kept_bill, cached_share=0.5).total_usd == pytest.approx(6.30)


def test_top_requests_say_where_they_stand_in_the_file(small_bill):
    assert small_bill.top(2)["line"].tolist() == [5, 2]
    assert small_bill.top_share(0.25) == pytest.approx(3.3 / 5.61)


def test_drivers_name_the_first_of_each_kind(small_bill):
    drivers = small_bill.drivers().set_index("of")
    assert drivers.loc["feature", "what"] == "documents"
    assert drivers.loc["model", "what"] == "large"
    assert drivers.loc["part", "what"].tolist() == ["fresh input", "output", "cache writes", "cached reads"]


# What if.


def test_the_same_tokens_at_another_model(small_bill):
    """Batches stay batches where there are some; hits stay hits."""
    cheaper = what_if(small_bill, model=SMALL)
    assert cheaper.total_usd == pytest.approx(0.86 + 0.7 + (0.1 + 0.04) + (0.3 + 0.04))


def test_another_model_without_a_batch_price_makes_batches_wait_for_nothing(small_bill):
    dearer = what_if(small_bill, model=LARGE)
    long = 10 + 3  # a million in and 100 000 out, all at the long-context price, which has no cache discount
    assert dearer.total_usd == pytest.approx(long + long + 0.75 + 3.3)


def test_a_better_cache_reads_more_but_writes_what_it_reads(small_bill):
    warm = what_if(small_bill, cached_share=0.8, reads_per_write=3)
    line_2 = 0.2 * 1 + 0.6 * 0.1 + 0.2 * 1 + 0.4  # 0.8 touched: 0.6 read, 0.2 written at the input price
    line_3 = (0.2 * 1 + 0.6 * 0.1 + 0.2 * 1 + 0.4) / 2
    line_4 = 0.02 * 5 + 0.06 * 0.5 + 0.02 * 6.25 + 0.2
    line_5 = 0.06 * 10 + 0.18 * 10 + 0.06 * 10 + 0.3  # the long tier of this contract has no discount
    assert warm.total_usd == pytest.approx(line_2 + line_3 + line_4 + line_5)


def test_a_request_shorter_than_the_minimum_is_not_cached(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(LINES.splitlines()[0] + "\n2026-10-01,small,1200,10,0,0,0,a,b,false\n")
    short = bill(read_log(path, prices=PRICES))
    assert what_if(short, cached_share=0.8).total_usd == short.total.total_usd
    assert what_if(short, cached_share=0.9).total_usd < short.total.total_usd


def test_features_that_can_wait_are_batched_where_their_model_can(small_bill):
    later = what_if(small_bill, batch_features=("chat",))
    assert later.total_usd == pytest.approx(0.43 + 0.7 + 0.75 + 3.3)


def test_nothing_changed_costs_the_same(large_log):
    costs = bill(large_log)
    assert what_if(costs).total_usd == pytest.approx(costs.total.total_usd)


@pytest.mark.parametrize(
    "wrong",
    [{"cached_share": 2}, {"cached_share": 0.5, "reads_per_write": 0}, {"batch_features": ("chatt",)}],
)
def test_impossible_changes_are_refused_by_name(small_bill, wrong):
    with pytest.raises(ValueError, match=list(wrong)[-1]):
        what_if(small_bill, **wrong)


# Views agree.


def test_every_view_adds_up_to_the_same_total(large_log):
    costs = bill(large_log)
    total = costs.total.total_usd
    for columns in (("month",), ("day",), ("team",), ("feature", "model"), ("batch",)):
        assert costs.by(*columns)["usd"].sum() == pytest.approx(total)
        assert costs.by(*columns)["requests"].sum() == len(large_log.rows)
    assert costs.daily().sum() == pytest.approx(total)
    assert costs.parts()["usd"].sum() == pytest.approx(total)
    assert costs.top_share(1.0) == pytest.approx(1.0)


def test_the_bill_is_the_sum_of_what_each_request_costs_alone(large_log):
    costs = bill(large_log)
    for row in costs.rows.sample(200, random_state=0).itertuples():
        usage = Usage(row.input_tokens, row.cached_read_tokens, row.cache_write_tokens, row.output_tokens)
        alone = request_cost(large_log.prices[row.model], usage, row.batch)
        assert [getattr(row, part) for part in PARTS] == pytest.approx(
            [getattr(alone, part) for part in PARTS]
        )


def test_other_prices_can_be_put_in_for_the_logs_own(large_log):
    nothing = dict.fromkeys(("input_usd_per_mtok", "output_usd_per_mtok", "cached_read_usd_per_mtok"), 0.0)
    free = ApiPrice(**SMALL.__dict__ | nothing)
    assert bill(large_log, dict.fromkeys(large_log.prices, free)).total.total_usd == 0


def test_two_currencies_on_one_bill_are_refused(large_log):
    euros = ApiPrice(**SMALL.__dict__ | {"currency": "EUR"})
    with pytest.raises(ValueError, match="prices are in EUR and USD"):
        bill(large_log, {"gpt-5-mini": euros})


def test_the_same_requests_at_a_price_in_euros_cost_euros(large_log):
    euros = ApiPrice(**SMALL.__dict__ | {"currency": "EUR"})
    assert what_if(bill(large_log), model=euros).currency == "EUR"


def test_a_log_of_bad_rows_only_has_no_bill(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("\n".join([LINES.splitlines()[0], LINES.splitlines()[-1]]))
    with pytest.raises(ValueError, match=r"log.csv has no sound row to bill \(line 2: "):
        bill(read_log(path, prices=PRICES))


def test_an_unknown_column_is_refused(small_bill):
    with pytest.raises(ValueError, match="columns='squad'"):
        small_bill.by("squad")
    with pytest.raises(ValueError, match="name at least one"):
        small_bill.by()
