"""Traffic: what holds for every stream of requests, what is refused, and streams made of streams."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.scale import Traffic, generate_traffic, merge_traffic, traffic_at, with_system_prompts


def traffic(**changes):
    three = {"arrived_s": [0.0, 1.0, 4.0], "input_tokens": [10, 20, 30], "output_tokens": [1, 2, 3]}
    return Traffic(**(three | {"name": "three", "origin": "written here"} | changes))


def test_optional_arrays_are_filled_and_all_are_read_only():
    one = traffic()
    assert one.prefix_id.tolist() == [-1, -1, -1]
    assert one.prefix_tokens.tolist() == one.tenant.tolist() == one.priority.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        one.input_tokens[0] = 5


def test_callers_own_array_stays_writable():
    mine = np.array([0.0, 1.0, 2.0])
    traffic(arrived_s=mine)
    mine[0] = 0.5


def test_rate_is_gaps_over_the_time_they_take():
    assert traffic().duration_s == 4
    assert traffic().rate_per_s == 0.5
    assert np.isnan(traffic().first(1).rate_per_s)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arrived_s": [0, 2, 1]}, r"arrived_s\[2\]=1\.0: no earlier time"),
        ({"arrived_s": [-1, 2, 3]}, r"arrived_s\[0\]=-1\.0: a time of 0 s or more"),
        ({"arrived_s": [0, np.nan, 3]}, r"arrived_s\[1\]=nan"),
        ({"arrived_s": [0, 1, np.inf]}, r"arrived_s\[2\]=inf"),
        ({"arrived_s": []}, r"arrived_s has shape \(0,\)"),
        ({"arrived_s": [[0, 1, 2]]}, r"arrived_s has shape \(1, 3\)"),
        ({"input_tokens": [1, 0, 2]}, r"input_tokens\[1\]=0: a whole number, 1 or more"),
        ({"input_tokens": [1, 1.5, 2]}, r"input_tokens\[1\]=1\.5"),
        ({"input_tokens": [1, 2]}, r"input_tokens has shape \(2,\): \(3,\) is needed"),
        ({"input_tokens": ["1", "2", "3"]}, "input_tokens holds <U1"),
        ({"output_tokens": [1, 1, np.nan]}, r"output_tokens\[2\]=nan"),
        ({"output_tokens": [1, -4, 1]}, r"output_tokens\[1\]=-4"),
        ({"output_tokens": [1.0, 1.0, 2.0**63]}, r"output_tokens\[2\]"),
        ({"output_tokens": None}, r"output_tokens has shape \(\)"),
        (
            {"prefix_id": [0, 0, 0], "prefix_tokens": [5, 25, 5]},
            r"prefix_tokens\[1\]=25: no more than input_tokens",
        ),
        ({"prefix_tokens": [0, 5, 5]}, r"prefix_tokens\[1\]=5: 0 where prefix_id is -1"),
        ({"prefix_id": [-2, 0, 0]}, r"prefix_id\[0\]=-2"),
        ({"tenant": [0, 1, 2], "tenants": ("a", "b")}, r"tenant\[2\]=2: a whole number from 0 to 1"),
        ({"tenants": ()}, "at least one name"),
        ({"tenants": ("a", "a")}, "none twice"),
    ],
)
def test_bad_requests_are_refused_by_array_place_and_value(changes, words):
    with pytest.raises(ValueError, match=words):
        traffic(**changes)


@settings(deadline=None)
@given(st.floats(0.01, 100))
def test_scaling_the_rate_scales_the_times(factor):
    scaled = traffic().scaled(factor)
    assert scaled.rate_per_s == pytest.approx(traffic().rate_per_s * factor)
    assert scaled.input_tokens.tolist() == [10, 20, 30]
    assert traffic().scaled(1).origin == "written here"


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_no_rate_is_scaled_by_nothing(factor):
    with pytest.raises(ValueError, match="rate_factor"):
        traffic().scaled(factor)


def test_first_keeps_so_many_with_everything_that_they_have():
    two = traffic(priority=[1, 2, 3], tenant=[0, 1, 0], tenants=("a", "b")).first(2)
    assert (two.priority.tolist(), two.tenant.tolist(), two.tenants) == ([1, 2], [0, 1], ("a", "b"))
    assert len(traffic().first(99)) == 3
    with pytest.raises(ValueError, match="requests=0"):
        traffic().first(0)


def test_merged_tenants_stand_in_order_of_arrival_and_share_no_prefix():
    shared = traffic(prefix_id=[0, 0, -1], prefix_tokens=[5, 5, 0])
    both = merge_traffic({"chat": shared, "code": shared.scaled(2)}, name="both")
    assert both.arrived_s.tolist() == [0, 0, 0.5, 1, 2, 4]
    assert [both.tenants[one] for one in both.tenant] == ["chat", "code", "code", "chat", "code", "chat"]
    assert both.prefix_id.tolist() == [0, 1, 1, 0, -1, -1]
    assert both.origin == "chat: written here; code: written here; rate × 2"
    with pytest.raises(ValueError, match="parts is empty"):
        merge_traffic({})


def test_system_prompts_are_shared_within_a_tenant_and_lengthen_what_is_shared_already():
    mixed = traffic(prefix_id=[3, -1, -1], prefix_tokens=[4, 0, 0], tenant=[0, 0, 1], tenants=("a", "b"))
    prompted = with_system_prompts(mixed, {"a": 100})
    assert prompted.input_tokens.tolist() == [110, 120, 30]
    assert prompted.prefix_tokens.tolist() == [104, 100, 0]
    assert prompted.prefix_id.tolist() == [3, 4, -1]
    everybody = with_system_prompts(mixed, 50)
    assert everybody.prefix_tokens.tolist() == [54, 50, 50]
    assert len(set(everybody.prefix_id.tolist())) == 3
    assert "system prompts of 50 tokens" in everybody.origin


@pytest.mark.parametrize(
    ("tokens", "words"), [({"nobody": 5}, "'nobody' is no tenant"), (-1, r"=-1"), (2.5, r"=2\.5")]
)
def test_system_prompts_for_strangers_or_of_half_tokens_are_refused(tokens, words):
    with pytest.raises(ValueError, match=words):
        with_system_prompts(traffic(), tokens)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300))
def test_generated_traffic_is_the_same_for_the_same_seed(seed, requests):
    one, again = (generate_traffic("azure_conversation", requests=requests, seed=seed) for _ in range(2))
    assert len(one) == requests
    assert one.arrived_s.tolist() == again.arrived_s.tolist()
    assert one.output_tokens.tolist() == again.output_tokens.tolist()
    assert f"seed {seed}" in one.origin
    assert one.origin.startswith("generated: bursts and lengths fitted on Azure/AzurePublicDataset")


def test_lengths_at_your_own_arrivals():
    one = traffic_at([0.0, 1.0, 2.0], "azure_code", seed=3)
    assert one.arrived_s.tolist() == [0, 1, 2]
    assert "arrivals as given" in one.origin
    with pytest.raises(ValueError, match="workload='azure': one of azure_conversation, azure_code"):
        traffic_at([0.0], "azure")
