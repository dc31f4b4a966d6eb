from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog.accelerators import accelerators
from course_utils.catalog.gpu_prices import TERMS, cheapest, gpu_prices

PRICES = gpu_prices()


def test_there_is_enough_to_compare():
    assert len(PRICES) >= 150
    assert len({price.provider for price in PRICES}) >= 8
    assert {price.term for price in PRICES} == set(TERMS)
    for cloud in ("GCP", "AWS", "Azure"):
        assert len({price.region for price in gpu_prices(provider=cloud)}) >= 3


def test_every_price_is_for_a_chip_of_the_catalog():
    assert {price.accelerator for price in PRICES} <= {chip.name for chip in accelerators()}


def test_tpus_are_priced_too():
    assert {price.term for price in gpu_prices("TPU v6e")} == set(TERMS)


def test_most_prices_are_younger_than_half_a_year():
    assert sum(price.as_of.isoformat() >= "2026-05-28" for price in PRICES) >= 0.75 * len(PRICES)


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("spot", "on_demand"),
        ("reserved_1y", "on_demand"),
        ("reserved_3y", "on_demand"),
        ("reserved_3y", "reserved_1y"),
    ],
)
def test_who_commits_or_risks_more_pays_less(lower, higher):
    offers = defaultdict(dict)
    for price in PRICES:
        offers[price.provider, price.instance, price.region][price.term] = price
    pairs = [(terms[lower], terms[higher]) for terms in offers.values() if {lower, higher} <= terms.keys()]
    assert pairs
    # An exception has to say so in its note; there is none today.
    wrong = [low for low, high in pairs if low.usd_per_hour > high.usd_per_hour and "above" not in low.note]
    assert wrong == []


def test_reserved_prices_say_what_is_paid_upfront():
    for term in ("reserved_1y", "reserved_3y"):
        for price in gpu_prices(term=term):
            assert "upfront" in price.note.casefold(), price


@given(st.sampled_from(PRICES))
def test_the_price_of_an_instance_is_that_of_its_chips(price):
    assert price.usd_per_hour == pytest.approx(
        price.usd_per_accelerator_hour * price.accelerators_per_instance, rel=1e-3
    )


def test_rows_come_cheapest_first_and_fit_every_filter():
    rows = gpu_prices("h100", provider="gcp", term="spot", region="us-central1")
    assert rows
    assert {(row.accelerator, row.provider, row.term, row.region) for row in rows} == {
        ("H100 SXM", "GCP", "spot", "us-central1")
    }
    paid = [row.usd_per_accelerator_hour for row in PRICES]
    assert paid == sorted(paid)


def test_cheapest_is_the_first_of_the_filtered_rows():
    assert cheapest("L4", "on_demand") == gpu_prices("L4", term="on_demand")[0]


def test_a_combination_that_nobody_sells_is_empty():
    assert gpu_prices("TPU v6e", provider="AWS") == ()


def test_cheapest_without_such_a_price_says_which_terms_there_are():
    with pytest.raises(ValueError, match=r"no reserved_3y price for RTX 4090; there are on_demand"):
        cheapest("RTX 4090", "reserved_3y")
    with pytest.raises(ValueError, match="there are no prices at all"):
        cheapest("CPU 2 cores")


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"accelerator": "H1000"}, "no such chip"),
        ({"accelerator": "a100"}, "fits several"),
        ({"provider": "Lamda"}, "provider='Lamda': not in the catalog; nearest: Lambda"),
        ({"term": "monthly"}, "term='monthly': not in the catalog"),
        ({"region": "us-central9"}, "region='us-central9': not in the catalog; nearest: us-central1"),
    ],
)
def test_an_unknown_filter_is_refused_with_the_nearest(filters, says):
    with pytest.raises(ValueError, match=says):
        gpu_prices(**filters)
