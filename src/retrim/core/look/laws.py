"""Which law a numeric column follows: the likeliest of a few, and whether even that one fits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

SAMPLED = 5000
LEAST = 50
BOUND = 0.05
"""Largest distance between distribution functions at which a law is said to fit; more where chance alone makes more."""
CHANCE = 1.36
"""Over the root of the rows: what the distance exceeds by chance in 1 of 20 samples (Smirnov 1948)."""
ZEROS = 0.05
"""Share of zeros from which a law is tried for the rest alone."""
CLOSE = 2.0
"""Of AIC: laws as close to the least are as good, and that of the fewest parameters is named: an exponential law is a
gamma law too (Burnham and Anderson 2002, Model Selection, section 2.6)."""
FEW_VALUES = 10
MOST_LENGTH = 1e12

Distribution = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Law:
    """The likeliest law of a column.

    Args:
        name: Such as `normal`, or `zero-inflated Poisson`.
        parameters: By name.
        distance: Largest distance between its distribution function and that of the values, 0 to 1.
        bound: Up to which it is said to fit.
        rows: Values it was fitted to.
    """

    name: str
    parameters: Mapping[str, float]
    distance: float
    bound: float
    rows: int

    @property
    def fits(self) -> bool:
        return self.distance <= self.bound

    @property
    def text(self) -> str:
        own = ", ".join(f"{name} {value:.3g}" for name, value in self.parameters.items())
        if self.fits:
            return f"{self.name} ({own}), distance {self.distance:.3f}"
        return f"none fits; nearest {self.name}, distance {self.distance:.3f}"

    def as_record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "parameters": dict(self.parameters),
            "distance": self.distance,
            "bound": self.bound,
            "fits": self.fits,
            "rows": self.rows,
        }


@dataclass(frozen=True)
class _Tried:
    """A law with parameters: its distribution function, and the log of its density."""

    name: str
    parameters: dict[str, float]
    below: Distribution
    density: Distribution


def law_of(values: np.ndarray, *, whole: bool) -> Law | None:
    """The law of least AIC among normal, log-normal, exponential, gamma, uniform; of counts Poisson too.

    Where at least 5 % are zero and none is below, each is also tried for the rest alone (zero-inflated). Of whole
    numbers a continuous law counts with what it gives to the unit around each, so that all are held to one measure.

    Args:
        values: Finite numbers, the first 5,000 of which are used: hand them in without an order; shape (n,).
        whole: Whether the column counts in whole numbers.

    Returns:
        The law; None of fewer than 50 values, or of fewer than 10 distinct ones that are no counts.

    Source:
        Akaike (1974), IEEE Trans. Autom. Control 19(6), 716-723; distance of Kolmogorov (1933), at which tied values
        count once.
    """
    sample = np.sort(values[:SAMPLED].astype("float64"))
    distinct = len(np.unique(sample))
    counts = whole and bool(sample.size) and sample[0] >= 0 and sample[-1] < MOST_LENGTH
    if len(sample) < LEAST or distinct < 2 or (distinct < FEW_VALUES and not (counts and distinct > 2)):
        return None
    if np.abs(sample).max() > 1e150:  # squares would not be finite
        return None
    half = 0.5 if whole else 0.0
    tried = [
        (one, 2 * len(one.parameters) - 2 * _likelihood(one, sample, half))
        for one in _candidates(sample, counts=counts, whole=whole)
    ]
    known = [(one, aic) for one, aic in tried if np.isfinite(aic)]
    if not known:
        return None
    close = min(aic for _, aic in known) + CLOSE
    best = min(known, key=lambda pair: (pair[1] > close, len(pair[0].parameters), pair[1]))[0]
    bound = max(BOUND, CHANCE / float(np.sqrt(len(sample))))
    return Law(best.name, best.parameters, _distance(best, sample, half), bound, len(sample))


def _candidates(sample: np.ndarray, *, counts: bool, whole: bool) -> list[_Tried]:
    zeros = float(np.mean(sample == 0))
    rest = sample[sample > 0]
    inflated: list[_Tried] = []
    if zeros >= ZEROS and sample[0] == 0 and len(np.unique(rest)) > 2:
        inflated = [_inflated(one, zeros) for one in _continuous(rest, whole=whole)]
        if counts:
            inflated.append(_inflated_poisson(sample, zeros))
        if not whole and inflated:  # no continuous law has a share of its rows at one point
            return inflated
    plain = _continuous(sample, whole=whole)
    return [*plain, *([_poisson(float(sample.mean()))] if counts else []), *inflated]


def _continuous(sample: np.ndarray, *, whole: bool) -> list[_Tried]:
    from scipy import stats

    mean, sd = float(sample.mean()), float(sample.std())
    low, high = float(sample[0]), float(sample[-1])
    if sd == 0 or not np.isfinite(sd):
        return []
    half = 0.5 if whole else 0.0  # of whole numbers the least and the largest have a whole unit around them too
    made = [
        _of("normal", {"mean": mean, "sd": sd}, stats.norm, (mean, sd)),
        _of("uniform", {"from": low, "to": high}, stats.uniform, (low - half, high - low + 2 * half)),
    ]
    if low >= 0:
        made.append(_of("exponential", {"mean": mean}, stats.expon, (0, mean)))
    if low > 0:
        logs = np.log(sample)
        middle, wide = float(logs.mean()), float(logs.std())
        if wide > 0:
            parameters = {"log mean": middle, "log sd": wide}
            made.append(_of("log-normal", parameters, stats.lognorm, (wide, 0, float(np.exp(middle)))))
        shape = _gamma_shape(float(np.log(mean)) - middle)
        if shape is not None:
            scale = mean / shape
            made.append(_of("gamma", {"shape": shape, "scale": scale}, stats.gamma, (shape, 0, scale)))
    return made


def _of(name: str, parameters: dict[str, float], law: Any, given: tuple[float, ...]) -> _Tried:
    """A law of scipy with its arguments; frozen ones take ten times as long to make as all else here."""
    return _Tried(name, parameters, lambda at: law.cdf(at, *given), lambda at: law.logpdf(at, *given))


def _gamma_shape(gap: float) -> float | None:
    """The likeliest shape, from the log of the mean less the mean of the logs.

    Source:
        Minka (2002), Estimating a Gamma distribution: a Newton step that hardly ever takes more than four.
    """
    from scipy.special import digamma, polygamma

    if not 1e-8 < gap < 1e3:
        return None
    shape = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(20):
        error = np.log(shape) - digamma(shape) - gap
        shape = 1 / (1 / shape + error / (shape**2 * (1 / shape - polygamma(1, shape))))
        if not np.isfinite(shape) or shape <= 0:
            return None
    return float(shape)


def _poisson(mean: float) -> _Tried:
    from scipy import stats

    law = stats.poisson(mean)
    return _Tried("Poisson", {"mean": mean}, lambda at: law.cdf(np.floor(at)), law.logpmf)


def _inflated(rest: _Tried, zeros: float) -> _Tried:
    """A law of what is above zero, and zeros beside it."""

    def below(at: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(at >= 0, zeros + (1 - zeros) * rest.below(at), 0.0))

    def density(at: np.ndarray) -> np.ndarray:
        apart = np.log1p(-zeros) + rest.density(np.where(at == 0, 1.0, at))
        return np.asarray(np.where(at == 0, np.log(zeros), apart))

    return _Tried(f"zero-inflated {rest.name}", {"zeros": zeros, **rest.parameters}, below, density)


def _inflated_poisson(sample: np.ndarray, zeros: float) -> _Tried:
    """The likeliest: its mean meets that of the counts above zero."""
    from scipy import stats

    above = float(sample[sample > 0].mean())
    mean = above
    for _ in range(200):  # mean = above * (1 - e^-mean): a contraction, as above is over 1
        mean = above * -float(np.expm1(-mean))
    law = stats.poisson(mean)
    extra = max((zeros - float(np.exp(-mean))) / (1 - float(np.exp(-mean))), 0.0)

    def below(at: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(at >= 0, extra + (1 - extra) * law.cdf(np.floor(at)), 0.0))

    def density(at: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(extra * (at == 0) + (1 - extra) * law.pmf(at)))

    return _Tried("zero-inflated Poisson", {"extra zeros": extra, "mean": mean}, below, density)


def _likelihood(law: _Tried, sample: np.ndarray, half: float) -> float:
    with np.errstate(all="ignore"):
        if not half or "Poisson" in law.name:
            return float(law.density(sample).sum())
        mass = law.below(sample + half) - law.below(sample - half)
        # Far out the two are one number; over so little the density hardly changes.
        return float(np.where(mass > 0, np.log(mass), law.density(sample)).sum())


def _distance(law: _Tried, sample: np.ndarray, half: float) -> float:
    """The largest distance between both distribution functions, just below and at each distinct value."""
    values, first = np.unique(sample, return_index=True)
    at = np.append(first[1:], len(sample)) / len(sample)
    if half:  # between whole numbers there is nothing, so both are compared in the middle
        return float(np.abs(law.below(values + half) - at).max())
    before = first / len(sample)
    said = law.below(values)
    jump = np.where(values == 0, law.below(values - 1e-300), said)
    return float(max(np.abs(said - at).max(), np.abs(jump - before).max()))
