"""Energy and carbon of a million tokens: by hand, by law, and the rows that they rest on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog import audit
from course_utils.decide import (
    co2e_g_per_mtok,
    drawn_w,
    energy_kwh_per_mtok,
    grid,
    grids,
    power_share,
    pue,
    pues,
)

watts, speeds = st.floats(10, 100_000), st.floats(0.1, 1e6)
shares, pue_values = st.floats(0.1, 1), st.floats(1, 2.5)


def test_by_hand_a_kilowatt_making_a_thousand_tokens_a_second_takes_a_thousand_seconds():
    # 10^6 tokens at 1000/s are 1000 s; 1 kW for 1000 s is 1 MJ, or 1/3.6 kWh.
    kwh = energy_kwh_per_mtok(1000, 1000, power_share=1, pue=1, server_factor=1)
    assert kwh == pytest.approx(1 / 3.6)
    assert co2e_g_per_mtok(kwh, 360) == pytest.approx(100)


def test_by_hand_an_h100_with_all_that_surrounds_it():
    # 700 W x 0.6 x 1.5 x 1.2 = 756 W; a million tokens at 2100/s take 476.2 s: 0.36 MJ, 0.1 kWh.
    kwh = energy_kwh_per_mtok(700, 2100, power_share=0.6, pue=1.2, server_factor=1.5)
    assert kwh == pytest.approx(0.1, rel=1e-9)
    assert co2e_g_per_mtok(kwh, 418) == pytest.approx(41.8)


@given(watts, speeds, shares, pue_values)
def test_energy_is_proportional_to_draw_and_inversely_to_speed(tdp_w, speed, share, overhead):
    one = energy_kwh_per_mtok(tdp_w, speed, share, overhead)
    assert energy_kwh_per_mtok(2 * tdp_w, speed, share, overhead) == pytest.approx(2 * one)
    assert energy_kwh_per_mtok(tdp_w, 2 * speed, share, overhead) == pytest.approx(one / 2)
    assert energy_kwh_per_mtok(tdp_w, speed, share / 2, overhead) == pytest.approx(one / 2)


@given(watts, speeds, shares, pue_values)
def test_nothing_draws_less_than_its_chips(tdp_w, speed, share, overhead):
    bare = energy_kwh_per_mtok(tdp_w, speed, share, pue=1, server_factor=1)
    assert energy_kwh_per_mtok(tdp_w, speed, share, overhead) >= bare


@given(watts, speeds, st.integers(1, 64))
def test_all_chips_with_all_their_tokens_are_as_one_chip_with_its_share(tdp_w, speed, chips):
    one, all_of_them = energy_kwh_per_mtok(tdp_w, speed), energy_kwh_per_mtok(chips * tdp_w, chips * speed)
    assert all_of_them == pytest.approx(one)


@given(st.floats(0, 1000), st.floats(5, 1000))
def test_carbon_grows_with_energy_and_with_the_grid(kwh, intensity):
    assert co2e_g_per_mtok(2 * kwh, intensity) == pytest.approx(2 * co2e_g_per_mtok(kwh, intensity))
    assert co2e_g_per_mtok(kwh, intensity) >= co2e_g_per_mtok(kwh, intensity / 2)
    assert co2e_g_per_mtok(0, intensity) == 0


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("tdp_w", 0.7),
        ("tokens_per_s", 0),
        ("tokens_per_s", float("nan")),
        ("power_share", 70),
        ("pue", 0.9),
        ("server_factor", 0.5),
    ],
)
def test_nonsense_is_refused_by_name(argument, wrong):
    given_values = {"tdp_w": 700, "tokens_per_s": 1000} | {argument: wrong}
    with pytest.raises(ValueError, match=f"^{argument}="):
        energy_kwh_per_mtok(**given_values)


def test_grids_differ_more_than_tenfold_and_come_cleanest_first():
    intensities = [row.gco2e_per_kwh for row in grids()]
    assert len(intensities) >= 10
    assert intensities == sorted(intensities)
    assert intensities[-1] > 10 * intensities[0]


@pytest.mark.parametrize("name", ["US-MIDA-PJM", "us-mida-pjm", "us-east-1", "AWS us-east-1", "GCP us-east4"])
def test_a_grid_is_found_by_zone_or_cloud_region(name):
    assert grid(name).zone == "US-MIDA-PJM"


def test_unknown_names_get_the_nearest():
    with pytest.raises(ValueError, match="us-east-1"):
        grid("us-east-9")
    with pytest.raises(ValueError, match="microsoft"):
        pue("Microsft")


def test_every_pue_is_at_least_one_and_the_hyperscalers_beat_the_average():
    assert all(row.pue >= 1 for row in pues())
    assert pue("aws").pue < pue("industry average").pue


def test_rows_say_who_and_when():
    mine = {"grid_intensity.csv", "pue.csv"}
    assert [finding for finding in audit() if finding.file in mine and finding.is_error] == []


def test_by_hand_an_idle_chip_still_draws():
    # Idle 0.2, busy 0.7 of TDP: at 30 % use 0.35. A million tokens then take 1/0.3 as long at half the draw.
    assert power_share(0.3) == pytest.approx(0.35)
    busy, seldom = (energy_kwh_per_mtok(700, 2000 * one, power_share(one)) for one in (1, 0.3))
    assert seldom / busy == pytest.approx(0.35 / 0.7 / 0.3)


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_use_draws_more_in_all_and_less_per_token(one, other):
    low, high = sorted((one, other))
    assert power_share(low) <= power_share(high) + 1e-12
    if low > 0.01:
        per_token = [energy_kwh_per_mtok(700, 2000 * at, power_share(at)) for at in (low, high)]
        assert per_token[0] >= per_token[1] * (1 - 1e-9)


def test_the_meter_reads_what_the_energy_is_made_of():
    assert drawn_w(700, 0.6, 1.2, 1.5) == pytest.approx(756)
    with pytest.raises(ValueError, match="idle_share"):
        power_share(0.5, busy_share=0.3, idle_share=0.4)
