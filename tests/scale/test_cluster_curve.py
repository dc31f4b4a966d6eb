"""The cluster's run beside the simulator's: the same load at every rate, the recording, and why it is replayed."""

import numpy as np
import pytest

from course_utils.scale.cluster import curve


@pytest.fixture
def replayed(monkeypatch):
    monkeypatch.setenv("COURSE_TIER", "replay")
    return curve.cluster_run()


def test_every_rate_has_the_same_lengths_so_that_only_the_rate_differs():
    slow, fast = (curve.short_chats(rate, 4.0, seed=0) for rate in (4.0, 17.0))
    assert (len(slow), len(fast)) == (16, 68)
    assert np.array_equal(slow.output_tokens, fast.output_tokens[:16])
    assert np.array_equal(slow.input_tokens, fast.input_tokens[:16])
    np.testing.assert_allclose(slow.arrived_s * 4.0, fast.arrived_s[:16] * 17.0)


def test_the_recording_says_that_it_is_one_and_why_it_is_shown(replayed):
    assert replayed.label.startswith("recorded on ")
    assert replayed.label.endswith("(COURSE_TIER is replay)")


def test_the_recording_has_every_rate_and_lost_no_request(replayed):
    assert [point["rate_per_s"] for point in replayed.points] == list(curve.RATES_PER_S)
    for point in replayed.points:
        asked = round(point["rate_per_s"] * curve.LASTS_S)
        assert point["finished"] == 1
        assert all(len(point[f"{who}_e2e_s"]) == asked for who in ("measured", "simulated"))
    assert replayed.killed["finished"] == replayed.killed["requests"] == len(replayed.killed["e2e_s"])
    assert replayed.killed["asked_again"] > 0


def test_in_the_recording_median_and_simulated_median_are_within_a_quarter(replayed):
    for point in replayed.points:
        ratio = np.median(point["measured_e2e_s"]) / np.median(point["simulated_e2e_s"])
        assert 0.8 < ratio < 1.25


def test_where_ray_cannot_start_the_recording_is_shown_with_the_reason(monkeypatch):
    def refuse(**_):
        raise ValueError("/dev/shm has no room for Ray's object store\nand more")

    monkeypatch.delenv("COURSE_TIER", raising=False)
    monkeypatch.setattr(curve, "serving", refuse)
    label = curve.cluster_run().label
    assert label.endswith("(here: ValueError, /dev/shm has no room for Ray's object store)")


def test_a_killer_that_never_struck_is_called_off_when_the_load_breaks_off(monkeypatch):
    struck = []

    class Service:
        url = "http://127.0.0.1:1"

        def kill_replica(self):
            struck.append(True)

    def breaks_off(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(curve, "open_loop", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        curve.replica_lost(Service(), curve.short_chats(8.0, 4.0, seed=1))
    assert not struck
