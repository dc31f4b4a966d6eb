"""The shape of the load: a day with a peak, valleys that batches fill, and what your own log says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from course_utils.decide import Workload, day_shape, fill_valleys, workload_of_log
from course_utils.estimate import Usage, read_log

shapes = arrays(float, st.integers(1, 30), elements=st.floats(0, 10)).filter(lambda load: load.sum() > 0.1)
USAGE = Usage(input_tokens=1000, output_tokens=100)


@given(st.floats(1, 10))
@settings(deadline=None)  # the first call loads scipy
def test_a_day_has_the_peak_that_was_asked_for_and_a_mean_of_one(peak_to_mean):
    load = day_shape(peak_to_mean)
    assert load.mean() == pytest.approx(1)
    assert load.max() == pytest.approx(peak_to_mean, rel=1e-3)


def test_by_hand_water_fills_the_emptiest_hours_first():
    # Half of 8 may wait: 4 live as 0, 1, 1, 2; the other 4 bring the three lowest to 2, and all beyond that.
    assert fill_valleys(np.array([0.0, 2, 2, 4]), 0.5) == pytest.approx([2, 2, 2, 2])
    # A quarter of 8 are 2 of water, over 0, 1.5, 1.5 and 3: 1.5 up to the next hours, a sixth on each of three.
    assert fill_valleys(np.array([0.0, 2, 2, 4]), 0.25) == pytest.approx([5 / 3, 5 / 3, 5 / 3, 3])


@given(shapes, st.floats(0, 1))
def test_filling_valleys_keeps_the_total_and_never_raises_the_peak(shape, batch_share):
    filled = fill_valleys(shape, batch_share)
    assert filled.sum() == pytest.approx(shape.sum())
    assert filled.max() <= shape.max() * (1 + 1e-12)
    assert (filled >= (1 - batch_share) * shape - 1e-12).all()


@given(shapes)
def test_if_everything_can_wait_the_load_is_flat(shape):
    assert fill_valleys(shape, 1) == pytest.approx(np.full(shape.size, shape.mean()))


def test_requests_grow_by_the_month_and_their_seconds_add_up():
    load = Workload(86_400, USAGE, day_shape(3), growth_per_month=0.1)
    assert load.days(3) == pytest.approx([86_400, 95_040, 104_544])
    assert load.requests(1)[0] == pytest.approx(86_400 * 365.25 / 12)
    assert load.per_second(1).mean() == pytest.approx(1)
    assert load.per_second(1).max() == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"requests_per_day": -1}, "requests_per_day=-1"),
        ({"shape": np.zeros(24)}, "shape is 0 in every hour"),
        ({"shape": np.array([1, np.nan])}, "load of each hour"),
        ({"batch_share": 1.5}, "batch_share=1.5"),
        ({"growth_per_month": 5}, "growth_per_month=5"),
    ],
)
def test_nonsense_is_refused_by_name(changed, says):
    with pytest.raises(ValueError, match=says):
        Workload(**{"requests_per_day": 1, "usage": USAGE, "shape": np.ones(24)} | changed)


def log_of(tmp_path, rows):
    path = tmp_path / "log.csv"
    lines = ["arrived_at,model,input_tokens,output_tokens,batch", *rows]
    path.write_text("\n".join(lines) + "\n")
    return read_log(path)


def test_a_log_becomes_a_workload(tmp_path):
    rows = [
        f"2026-11-{day:02}T{hour:02}:10:00Z,gpt-5-mini,{1000 * (1 + hour // 12)},100,{'yes' if hour == 3 else 'no'}"
        for day in range(2, 12)
        for hour in (0, 3, 12, 12, 12, 23)
    ]
    found = workload_of_log(log_of(tmp_path, rows))
    assert found.requests_per_day == pytest.approx(6)
    assert found.usage.input_tokens == pytest.approx(1000 * (2 + 4 * 2) / 6)
    assert found.batch_share == pytest.approx(1 / 6)
    assert found.shape.size == 168
    assert found.shape.max() == pytest.approx(24 * 3 / 5)  # 3 of a day's 5 live requests in one hour of 24
    assert found.shape.mean() == pytest.approx(1)


def test_a_log_of_a_few_hours_shows_no_day(tmp_path):
    with pytest.raises(ValueError, match="spans 1 h: 24 h at least"):
        workload_of_log(log_of(tmp_path, ["2026-11-02T10:00:00Z,gpt-5-mini,10,10,no"]))
