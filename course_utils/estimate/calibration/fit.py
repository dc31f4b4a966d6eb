"""One joint fit of all engines: least squares on the logarithm of times and rates, with priors and a robust loss.

Each row's log-constants are sums: common + engine + family + precision + link + kind (+ kind in a precision, engine on
a family). The sums make the problem linear around any point, so a few Gauss-Newton steps suffice; one extra evaluation
per constant gives all derivatives, because a row depends on its own constants only. Nothing is random.
"""

from dataclasses import dataclass, field

import numpy as np

from course_utils.estimate.calibration.priors import DIMENSIONS, EXPECTED, PRIORS
from course_utils.estimate.engine import CONSTANTS, FRACTIONS
from course_utils.estimate.throughput import speed
from course_utils.estimate.work import Constants, Work, labels, work_of

METRICS = ("out_tok_s_per_gpu", "ttft_s", "tpot_s")
SCATTER = 0.12  # log error that a published row is expected to have, machine and version unseen
FREEDOM = 3.0  # Student-t: a row five times off counts little
# A group of n rows counts as n**0.4: a table of thousands must not decide alone.
CROWDING = 0.6
# ... and is thinned evenly to about this many rows per combination: more would only cost time.
ROWS_PER_GROUP = 20
_NAMES = tuple(CONSTANTS)


@dataclass
class Data:
    """Rows ready to fit: `log_measured` has a column per METRIC, NaN where a table doesn't give it."""

    work: Work
    loads: np.ndarray
    labels: list[tuple]
    log_measured: np.ndarray
    groups: np.ndarray  # table x model x GPU, as an integer
    combos: list[tuple] = field(init=False)
    combo_of: np.ndarray = field(init=False)

    def __post_init__(self):
        self.combos = sorted(set(self.labels))
        position = {combo: index for index, combo in enumerate(self.combos)}
        self.combo_of = np.array([position[combo] for combo in self.labels], dtype=int)

    def take(self, index: np.ndarray) -> "Data":
        picked = np.flatnonzero(index) if index.dtype == bool else index
        return Data(
            self.work.take(picked),
            self.loads[picked],
            [self.labels[one] for one in picked],
            self.log_measured[picked],
            self.groups[picked],
        )


def thinned(data: Data) -> Data:
    """At most about ROWS_PER_GROUP rows, evenly spaced, of each group and combination; weights see the same groups."""
    cell = data.groups.astype(np.int64) * len(data.combos) + data.combo_of
    keep = np.zeros(len(cell), bool)
    for value in np.unique(cell):
        rows = np.flatnonzero(cell == value)
        keep[rows[:: max(1, len(rows) // ROWS_PER_GROUP)]] = True
    return data.take(keep)


def data_of(deployments: list, measured: np.ndarray, groups: np.ndarray) -> Data:
    """Join deployments with what was measured (columns as METRICS, seconds and tokens/s, NaN for none)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(measured)
    logs[~np.isfinite(logs)] = np.nan
    loads = np.array([one.load for one in deployments])
    return Data(work_of(deployments), loads, [labels(one) for one in deployments], logs, np.asarray(groups))


def keys_of(combo: tuple) -> dict[str, object]:
    """The label that a combination (engine, family, precision, link, kind) has in each dimension."""
    engine, family, precision, link, kind = combo
    both = f"{kind}/{precision}"
    return dict(
        zip(DIMENSIONS, ("all", engine, family, precision, link, kind, both, (engine, family)), strict=True)
    )


def parameters_of(combos) -> list[tuple[str, str, object]]:
    """All (constant, dimension, label) that may deviate, given the combinations that occur."""
    wanted = []
    for dimension in DIMENSIONS:
        for label in sorted({keys_of(combo)[dimension] for combo in combos}, key=str):
            wanted += [(name, dimension, label) for name in _NAMES if getattr(PRIORS[name], dimension)]
    return wanted


def log_constants(combos, deviations: dict) -> np.ndarray:
    """Log of every constant (columns) for every combination (rows): the prior's median plus deviations."""
    rows = []
    for combo in combos:
        keys = keys_of(combo)
        row = [
            np.log(PRIORS[name].value)
            + sum(
                deviations.get((name, dim, keys[dim]), EXPECTED.get((name, dim, keys[dim]), 0.0))
                for dim in DIMENSIONS
            )
            for name in _NAMES
        ]
        rows.append(row)
    logs = np.array(rows)
    for column, name in enumerate(_NAMES):
        if name in FRACTIONS:
            logs[:, column] = np.minimum(logs[:, column], np.log(0.98))
    return logs


def predict_logs(data: Data, logs: np.ndarray) -> np.ndarray:
    """Log of each METRIC for each row, given log-constants per row."""
    result = speed(data.work, Constants(*np.exp(logs).T), data.loads)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.stack([getattr(result, metric) for metric in METRICS], axis=1))


def weights_of(data: Data) -> np.ndarray:
    """Weight of each row and metric before robustness: groups share, whatever their size."""
    weights = np.zeros(data.log_measured.shape)
    for metric in range(len(METRICS)):
        present = np.isfinite(data.log_measured[:, metric])
        _, inverse, counts = np.unique(data.groups[present], return_inverse=True, return_counts=True)
        weights[present, metric] = counts[inverse] ** -CROWDING / SCATTER**2
    return weights


def fit(data: Data, start: dict | None = None, steps: int = 25, tolerance: float = 1e-3) -> dict:
    """Deviations {(constant, dimension, label): log factor} that minimize robust residuals plus priors.

    `start` warms it up. Deterministic: same data, same result.
    """
    data = thinned(data)
    parameters = parameters_of(data.combos)
    index = {key: position for position, key in enumerate(parameters)}
    expected = np.array([EXPECTED.get(key, 0.0) for key in parameters])
    spread = np.array([getattr(PRIORS[name], dimension) for name, dimension, _ in parameters])
    current = np.array([(start or {}).get(key, EXPECTED.get(key, 0.0)) for key in parameters])
    scatter = [_involved(combo, index) for combo in data.combos]
    base_weights = weights_of(data)

    def evaluate(vector):
        logs = log_constants(data.combos, dict(zip(parameters, vector, strict=True)))
        predicted = predict_logs(data, logs[data.combo_of])
        residual = np.where(np.isfinite(predicted), data.log_measured - predicted, np.nan)
        known = np.isfinite(residual)
        squares = np.where(known, residual, 0.0) ** 2 / SCATTER**2
        loss = 0.5 * np.sum(base_weights * SCATTER**2 * FREEDOM * np.log1p(squares / FREEDOM))
        loss += 0.5 * np.sum(((vector - expected) / spread) ** 2)
        return logs, predicted, np.where(known, residual, 0.0), known, loss

    logs, predicted, residual, known, loss = evaluate(current)
    damping = 1e-3
    for _ in range(steps):
        weights = base_weights * known / (1.0 + residual**2 / SCATTER**2 / FREEDOM)
        slopes = _slopes(data, logs, predicted)
        normal = np.diag(spread**-2.0)
        gradient = -(current - expected) / spread**2
        for combo, (columns, matrix) in enumerate(scatter):
            rows = data.combo_of == combo
            jacobian = slopes[rows].reshape(-1, len(_NAMES))
            weighted = jacobian * weights[rows].reshape(-1, 1)
            normal[np.ix_(columns, columns)] += matrix.T @ (jacobian.T @ weighted) @ matrix
            gradient[columns] += matrix.T @ (weighted.T @ residual[rows].reshape(-1))
        while damping < 1e4:
            change = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
            change = np.clip(change, -0.7, 0.7)
            trial = evaluate(current + change)
            if trial[-1] < loss:
                break
            damping *= 5
        else:
            break
        gained = loss - trial[-1]
        current = current + change
        logs, predicted, residual, known, loss = trial
        damping = max(damping / 5, 1e-6)
        if gained < tolerance * loss:
            break
    return dict(zip(parameters, current, strict=True))


def spreads_of(data: Data, deviations: dict) -> dict:
    """How well each deviation is known: standard deviation of its log, from the curvature at the optimum."""
    parameters = list(deviations)
    index = {key: position for position, key in enumerate(parameters)}
    normal = np.diag([getattr(PRIORS[name], dimension) ** -2.0 for name, dimension, _ in parameters])
    logs = log_constants(data.combos, deviations)
    predicted = predict_logs(data, logs[data.combo_of])
    residual = data.log_measured - predicted
    known = np.isfinite(residual)
    weights = weights_of(data) * known / (1.0 + np.where(known, residual, 0) ** 2 / SCATTER**2 / FREEDOM)
    slopes = _slopes(data, logs, predicted)
    for combo, labels_of_combo in enumerate(data.combos):
        rows = data.combo_of == combo
        jacobian = slopes[rows].reshape(-1, len(_NAMES))
        columns, matrix = _involved(labels_of_combo, index)
        curvature = jacobian.T @ (jacobian * weights[rows].reshape(-1, 1))
        normal[np.ix_(columns, columns)] += matrix.T @ curvature @ matrix
    return dict(zip(parameters, np.sqrt(np.diag(np.linalg.inv(normal))), strict=True))


def _involved(combo: tuple, index: dict) -> tuple[np.ndarray, np.ndarray]:
    """Which parameters a combination involves, and ones where they add up to its constants."""
    keys = keys_of(combo)
    pairs = [
        (row, index[name, dimension, keys[dimension]])
        for row, name in enumerate(_NAMES)
        for dimension in DIMENSIONS
        if (name, dimension, keys[dimension]) in index
    ]
    matrix = np.zeros((len(_NAMES), len(pairs)))
    for column, (row, _) in enumerate(pairs):
        matrix[row, column] = 1.0
    return np.array([parameter for _, parameter in pairs]), matrix


def _slopes(data: Data, logs: np.ndarray, predicted: np.ndarray, nudge: float = 1e-3) -> np.ndarray:
    """Derivative of each log prediction by each log constant, (rows, metrics, constants), one nudge at a time."""
    slopes = np.zeros((*predicted.shape, len(_NAMES)))
    for column in range(len(_NAMES)):
        moved = logs.copy()
        # Downward, so that a fraction at its limit still has a slope.
        moved[:, column] -= nudge
        with np.errstate(invalid="ignore"):  # infinite where an open loop is overloaded
            change = (predicted - predict_logs(data, moved[data.combo_of])) / nudge
        slopes[:, :, column] = np.where(np.isfinite(change), change, 0.0)
    return slopes
