"""Prices beside tokens and chip hours: every row reads, and what isn't there is named, not guessed."""

import pytest

from course_utils.catalog import audit, read_rows
from course_utils.decide import market

FILES = {
    "managed_endpoints.csv": market.ManagedEndpoint,
    "provisioned_throughput.csv": market.ProvisionedTerms,
    "cloud_costs.csv": market.CloudCost,
    "rate_limits.csv": market.RateLimit,
    "published_quality.csv": market.PublishedQuality,
    "price_trends.csv": market.PriceTrend,
}


@pytest.mark.parametrize("name", FILES)
def test_every_row_reads_and_says_who_and_when(name):
    rows = read_rows(name, FILES[name])
    assert rows
    keys = [tuple(getattr(row, column) for column in FILES[name].KEY) for row in rows]
    assert len(set(keys)) == len(keys)
    assert not [found for found in audit() if found.file == name and found.is_error]


def test_a_price_missing_in_a_region_is_named_with_those_that_there_are():
    with pytest.raises(
        ValueError, match=r"reserved_1y price of H100 SXM at AWS in region='europe-west4'.*us-east-1"
    ):
        market.chip_rent("H100", "reserved_1y", region="europe-west4", provider="AWS")


def test_the_cheapest_rent_of_all_that_fit():
    anywhere, there = (
        market.chip_rent("H100", "on_demand"),
        market.chip_rent("H100", "on_demand", "us-central1"),
    )
    assert anywhere.usd_per_accelerator_hour <= there.usd_per_accelerator_hour
    assert there.region == "us-central1"
    assert market.chip_rent("H100", "reserved_3y", "us-central1").usd_per_accelerator_hour < (
        there.usd_per_accelerator_hour
    )


def test_an_endpoint_that_scales_to_zero_is_not_one_that_runs():
    assert market.managed_endpoint("RunPod", "H100").billed == "running"
    with pytest.raises(ValueError, match="no endpoint at Together on L4"):
        market.managed_endpoint("Together", "L4")


def test_names_that_the_tables_lack_are_refused_with_those_they_have():
    with pytest.raises(ValueError, match=r"gpt-5-mini/month"):
        market.provisioned_terms("gpt-5-mini", "decade")
    with pytest.raises(ValueError, match=r"AWS egress"):
        market.usd_per_gb("egress", "Nobody")


def test_a_month_of_reserved_throughput_at_full_use_costs_what_tokens_do():
    # 23,750 input tokens a minute for 43,830 minutes are 1,041 million: at 0.25 USD each 260 USD, a PTU's month.
    terms = market.provisioned_terms("gpt-5-mini", "month")
    mtok = terms.input_tokens_per_minute * 1440 * 365.25 / 12 / 1e6
    assert terms.usd_per_unit_hour * 730.5 / mtok == pytest.approx(0.25, rel=0.01)


def test_limits_rise_with_what_was_paid():
    tiers = market.rate_limits("gpt-5-mini")
    assert [row.paid_before_usd for row in tiers] == sorted(row.paid_before_usd for row in tiers)


def test_a_published_score_has_the_interval_that_its_questions_leave():
    scores = {row.model: row for row in market.published_quality("GPQA diamond")}
    # 1.96 x sqrt(0.402 x 0.598 / 198) = 6.8 points
    assert scores["gpt-4o-mini"].half_width == pytest.approx(6.83, abs=0.01)
    apart = abs(scores["gpt-4o-mini"].percent_right - scores["Llama-3.1-70B"].percent_right)
    assert apart < scores["gpt-4o-mini"].half_width


def test_trends_are_yearly_changes():
    trend = {row.what: row for row in market.price_trends()}
    quality = next(row for what, row in trend.items() if "equal quality" in what)
    assert quality.change_per_year == pytest.approx(-0.9, abs=0.01)  # a thousandth in three years
    assert trend["an hour of H100 SXM (GCP on demand)"].change_per_year == 0
