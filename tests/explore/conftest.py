"""An explorer of a monthly bill, as a chapter would write it."""

import numpy as np
import pytest

from course_utils.explore import Chart, Choice, Line, Slider, Toggle, View, explorer

MONTHS = np.arange(25)
USD_PER_REQUEST = {"small": 0.0004, "large": 0.01}


class Bill:
    """`compute`, counting its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, requests, growth, cached, model, batch):
        self.calls += 1
        if cached > 0.95:
            raise ValueError("a cached share above 0.95 leaves nothing to read")
        usd = USD_PER_REQUEST[model] * (1 - 0.9 * cached) * (0.5 if batch else 1)
        cost = requests * 30 * usd * (1 + growth / 100) ** MONTHS
        budget = Line("Budget", [0, 24], [1000, 1000], dash=True)
        return View(
            f"After two years you pay ${cost[-1]:,.0f} a month",
            (Line("Forecast", MONTHS, cost, cost * 0.8, cost * 1.3), budget),
            "assumed: yours to change",
        )


@pytest.fixture
def bill():
    return Bill()


@pytest.fixture
def make(monkeypatch, bill):
    """`make("lab")`: the explorer of that front end; `compute` and `moving` may be others."""

    def made(front_end, compute=bill, moving=None):
        monkeypatch.setenv("COURSE_FRONTEND", front_end)
        return explorer(
            compute,
            {
                "requests": Slider(20_000, 1_000, 1_000_000, log=True, unit="requests/day", label="Traffic"),
                "growth": Slider(4, 0, 20, unit="%", label="Growth a month"),
                "cached": Slider(0.3, 0.0, 1.0, step=0.01, label="Cached share"),
                "model": Choice("small", ["small", "large"]),
                "batch": Toggle(False),
            },
            Chart("Months from now", "Cost per month (USD)"),
            moving,
        )

    return made
