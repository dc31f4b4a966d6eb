"""What a fit leaves behind: `data/engines/*.json`, one file per engine, one for what they share, one for intervals."""

import json
from pathlib import Path

import numpy as np

from course_utils.estimate.calibration.priors import EXPECTED, PRIORS
from course_utils.estimate.engine import CONSTANTS

SHARED = ("family", "precision", "link", "kind", "kind_precision")
COMMAND = "make fit TABLES=<folder of the published tables>"


def _short(value: float) -> float:
    """Four significant digits: more would only record the linear algebra library."""
    return float(f"{value:.4g}")


def pooled_file(deviations: dict, spreads: dict, header: dict) -> dict:
    """Constants of an unmeasured engine, and the factors that all engines share."""
    factors: dict = {dimension: {} for dimension in SHARED}
    for (name, dimension, label), step in sorted(deviations.items(), key=str):
        if dimension in SHARED:
            factors[dimension].setdefault(label, {})[name] = _short(np.exp(step))
    for (name, dimension, label), step in EXPECTED.items():
        if dimension not in SHARED:
            continue
        factors[dimension].setdefault(label, {}).setdefault(name, _short(np.exp(step)))
    return header | {
        "engine": "pooled",
        "constants": _constants(deviations, spreads, None),
        "factors": factors,
    }


def engine_file(engine_name: str, deviations: dict, spreads: dict, header: dict) -> dict:
    """Constants of one engine, and how it differs from the others on a chip family."""
    factors: dict = {}
    for (name, dimension, label), step in sorted((EXPECTED | deviations).items(), key=str):
        if dimension == "engine_family" and label[0] == engine_name:
            factors.setdefault(label[1], {})[name] = _short(np.exp(step))
    return header | {
        "engine": engine_name,
        "constants": _constants(deviations, spreads, engine_name),
        "factors": {"family": factors},
    }


def _constants(deviations: dict, spreads: dict, engine_name: str | None) -> dict:
    result = {}
    for name, meaning in CONSTANTS.items():
        log_value = np.log(PRIORS[name].value) + deviations.get((name, "pool", "all"), 0.0)
        spread = spreads.get((name, "pool", "all"), PRIORS[name].pool)
        if engine_name:
            log_value += deviations.get((name, "engine", engine_name), 0.0)
            spread = spreads.get((name, "engine", engine_name), PRIORS[name].engine)
        else:  # an engine nobody measured may lie anywhere that engines do
            spread = float(np.hypot(spread, PRIORS[name].engine))
        result[name] = {"value": _short(np.exp(log_value)), "log_spread": _short(spread), "meaning": meaning}
    return result


def write_json(path: Path, content: dict) -> None:
    """The same bytes for the same content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=False) + "\n", encoding="utf-8")
