"""How long a spell lasts: three families with one shape each, and their fit to spells counted in probes.

The mean is what money depends on, so a fit matches it: hours in the state over spells that ended, which is
the maximum-likelihood mean of exponential spells when the first and last are cut off by the window. Only
the shape is then fitted, and its error is the largest gap between the fitted and the observed distribution.
"""

from dataclasses import dataclass

import numpy as np

from course_utils.catalog.provenance import check_range

FAMILIES = ("exponential", "weibull", "lognormal")


@dataclass(frozen=True)
class Durations:
    """Spells with a mean in hours; shape is Weibull's k, the lognormal's sigma, or 1 (exponential)."""

    family: str
    mean_h: float
    shape: float = 1.0

    def __post_init__(self):
        if self.family not in FAMILIES:
            raise ValueError(f"family={self.family!r}: one of {', '.join(FAMILIES)} is needed")
        check_range("mean_h", self.mean_h, 1e-4, 1e6)
        check_range("shape", self.shape, 0.1, 10)
        if self.family == "exponential" and self.shape != 1:
            raise ValueError(f"shape={self.shape!r}: exponential spells have shape 1")

    def survival(self, hours):
        """Share of spells that last longer than `hours` (scalar or array)."""
        from scipy.special import gamma, ndtr

        hours = np.maximum(np.asarray(hours, dtype=float), 0)
        if self.family == "exponential":
            return np.exp(-hours / self.mean_h)
        if self.family == "weibull":
            return np.exp(-((hours * gamma(1 + 1 / self.shape) / self.mean_h) ** self.shape))
        with np.errstate(divide="ignore"):
            return ndtr((np.log(self.mean_h) - self.shape**2 / 2 - np.log(hours)) / self.shape)

    def draw(self, rng: np.random.Generator, size):
        """Random spells in hours."""
        from scipy.special import gamma

        if self.family == "exponential":
            return rng.exponential(self.mean_h, size)
        if self.family == "weibull":
            return rng.weibull(self.shape, size) * (self.mean_h / gamma(1 + 1 / self.shape))
        return rng.lognormal(np.log(self.mean_h) - self.shape**2 / 2, self.shape, size)

    def draw_rest(self, rng: np.random.Generator) -> float:
        """What is left, in hours, of the spell that a random moment falls into: long ones are hit more often."""
        from scipy.special import gamma

        if self.family == "exponential":
            hit_h = self.mean_h * rng.gamma(2)
        elif self.family == "weibull":
            hit_h = (
                self.mean_h / gamma(1 + 1 / self.shape) * rng.gamma(1 + 1 / self.shape) ** (1 / self.shape)
            )
        else:
            hit_h = rng.lognormal(np.log(self.mean_h) + self.shape**2 / 2, self.shape)
        return rng.random() * hit_h

    def with_mean(self, mean_h: float) -> "Durations":
        """The same shape around another mean."""
        return Durations(self.family, mean_h, self.shape)


@dataclass(frozen=True)
class DurationFit:
    """A fit, its error `ks` (largest gap between the two cumulative shares) and its log likelihood."""

    durations: Durations
    ks: float
    log_likelihood: float
    spells: int


def fit_durations(ended_h, cut_off_h, probe_h: float, family: str | None = None) -> DurationFit:
    """Family and shape that explain best the spells `ended_h`, given those cut off, `cut_off_h`.

    A spell seen in k probes lasted between k - 1/2 and k + 1/2 of `probe_h` (k = 1: anything up to 3/2). With
    family=None all three are tried, and a shape has to earn its keep (BIC). ValueError for fewer than 8 ended
    spells: a shape needs them.
    """
    from scipy.optimize import minimize_scalar

    check_range("probe_h", probe_h, 1e-4, 100)
    probes = np.maximum(1, np.round(np.asarray(ended_h, dtype=float) / probe_h))
    cut_off_h = np.asarray(cut_off_h, dtype=float)
    if len(probes) < 8:
        raise ValueError(f"ended_h has {len(probes)} spells: at least 8 are needed to fit a shape")
    mean_h = float((np.sum(ended_h) + cut_off_h.sum()) / len(probes))
    # A spell of one probe may have been as short as nothing.
    low_h, high_h = np.where(probes == 1, 0, probes - 0.5) * probe_h, (probes + 0.5) * probe_h

    def log_likelihood(one: Durations) -> float:
        ended = one.survival(low_h) - one.survival(high_h)
        running = one.survival(cut_off_h)
        return float(np.log(np.maximum(ended, 1e-12)).sum() + np.log(np.maximum(running, 1e-12)).sum())

    def best(name: str) -> Durations:
        if name == "exponential":
            return Durations(name, mean_h)
        found = minimize_scalar(
            lambda shape: -log_likelihood(Durations(name, mean_h, shape)), bounds=(0.2, 4), method="bounded"
        )
        return Durations(name, mean_h, float(found.x))

    def merit(one: Durations) -> float:
        return log_likelihood(one) - (one.family != "exponential") * np.log(len(probes)) / 2

    fitted = max((best(name) for name in ((family,) if family else FAMILIES)), key=merit)
    steps = np.arange(1, probes.max() + 1)
    observed = np.searchsorted(np.sort(probes), steps, side="right") / len(probes)
    gap = np.abs(observed - (1 - fitted.survival((steps + 0.5) * probe_h)))
    return DurationFit(fitted, float(gap.max()), log_likelihood(fitted), len(probes))
