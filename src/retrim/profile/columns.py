"""Which law a numeric column follows: the likeliest of a few, and whether even that one fits.

The history cut into parts: months, or what suits a table's own span.

One column at a glance: what fills it, how its values lie, how much is missing when.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.drift.cells import as_floats
from retrim.table.data import ColumnType, Role

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
class FittedDistribution:
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


def fit_distribution(values: np.ndarray, *, whole: bool) -> FittedDistribution | None:
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
    return FittedDistribution(best.name, best.parameters, _distance(best, sample, half), bound, len(sample))


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


MOST, LEAST_OF_PERIOD = 48, 6
"""Parts of a history, at most; months are taken where they make as many as the least."""
PARTS, ROWS = 4, 30
"""Parts, and rows of a usual one, that there should be, as nothing is said of a part of fewer."""
BLOCKS = 20
"""Parts of a table that has an order and no times."""


@dataclass(frozen=True)
class Periods:
    """Parts of the history, in their order.

    Args:
        codes: Part of each row, ascending, shape (n,).
        labels: What each is called.
        every: What a part is, such as `month`.
    """

    codes: np.ndarray
    labels: tuple[str, ...]
    every: str

    @property
    def rows(self) -> np.ndarray:
        """Rows of each part, shape (parts,); a part in a gap has none."""
        return np.bincount(self.codes, minlength=len(self.labels))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of the values of each part, shape (parts,); NaN where it has no rows."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.bincount(self.codes, weights=values, minlength=len(self.labels)) / self.rows)


def cut_periods(event: pd.Series, *, timed: bool) -> Periods:
    """Months where there are 6 to 48 of them; else the finest of hours, days, weeks, quarters, years that fits.

    Where that leaves fewer than 30 rows in a usual part, it is the finest that holds as many, if there is one.

    Args:
        event: Event times in ascending order, UTC, none missing, shape (n,).
        timed: Whether they are times; else parts are blocks of rows.
    """
    if not len(event):
        return Periods(np.zeros(0, dtype="int64"), (), "part")
    if not timed:
        return blocks(len(event), BLOCKS)
    times = event.dt.tz_convert(None).to_numpy().astype("datetime64[s]")
    seconds = times.astype("int64")
    months, years = (times.astype(f"datetime64[{unit}]").astype("int64") for unit in "MY")
    days = seconds // 86_400
    units: dict[str, tuple[np.ndarray, Callable[[int], str]]] = {
        "hour": (seconds // 3600, lambda code: _day(code * 3600, "%m-%d %H:00")),
        "6 hours": (seconds // 21_600, lambda code: _day(code * 21_600, "%m-%d %H:00")),
        "day": (days, lambda code: _day(code * 86_400, "%Y-%m-%d")),
        "week": ((days + 3) // 7, lambda code: _day((code * 7 - 3) * 86_400, "%Y-%m-%d")),  # 1970 began on a Thursday
        "month": (months, lambda code: str(np.datetime64(int(code), "M"))),
        "quarter": (months // 3, lambda code: f"{1970 + code // 4} Q{code % 4 + 1}"),
        "year": (years, lambda code: str(1970 + code)),
        "10 years": ((years + 1970) // 10, lambda code: f"{code * 10}s"),
    }
    counts = {name: int(codes[-1] - codes[0]) + 1 for name, (codes, _) in units.items()}
    fitting = [name for name, count in counts.items() if count <= MOST]
    if not fitting:
        return blocks(len(event), BLOCKS)
    full = [name for name in fitting if counts[name] >= PARTS and _usual(units[name][0]) >= ROWS]
    every = next(iter(full), fitting[0])
    if LEAST_OF_PERIOD <= counts["month"] <= MOST and ("month" in full or not full):
        every = "month"
    codes, label = units[every]
    first = int(codes[0])
    return Periods(codes - first, tuple(label(first + number) for number in range(counts[every])), every)


def blocks(rows: int, most: int) -> Periods:
    """At most that many parts of equally many rows."""
    size = max(-(-rows // most), 1)
    count = -(-rows // size)
    ends = (f"rows {size * at + 1} to {min(size * (at + 1), rows)}" for at in range(count))
    return Periods(np.arange(rows) // size, tuple(ends), f"{size} rows")


def together(codes: np.ndarray, most: int) -> np.ndarray:
    """Numbers from 0 up, neighbours taken together until there are at most that many."""
    size = max(-(-(int(codes.max(initial=0)) + 1) // most), 1)
    return np.asarray(codes // size)


def _usual(codes: np.ndarray) -> float:
    """Rows of the middle one of the parts that have some."""
    return float(np.median(np.unique(codes, return_counts=True)[1]))


def _day(seconds: int, spelling: str) -> str:
    return f"{pd.Timestamp(int(seconds), unit='s'):{spelling}}"


BINS, TOP = 24, 8
WHOLE = 1e9
"""Range up to which bins of whole numbers are cut between them."""
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
FAR = 3.0
"""A histogram ends at the 0.5 % quantiles where the range is that many times as wide as what lies between them."""
RARE = 20
"""Rows of a category below which nothing can be learned of it."""
NEWEST = 0.2
"""Share of the rows, the newest, in which categories may be such as were never seen before."""
TEXT = 60


@dataclass(frozen=True)
class NumberSummary:
    """How the numbers of a column lie.

    Args:
        mean: Of the finite ones.
        sd: Their standard deviation.
        quantiles: At `QUANTILES`.
        edges: Of the bins of the histogram, shape (bins + 1,).
        counts: Rows in each bin.
        outside: Rows beyond the first and the last edge.
        infinite: Rows that hold no finite number.
        zeros: Share of finite ones that are 0.
        law: Which law they follow; None: too few to tell.
    """

    mean: float
    sd: float
    quantiles: tuple[float, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    outside: int
    infinite: int
    zeros: float
    law: FittedDistribution | None


@dataclass(frozen=True)
class Levels:
    """How the categories of a column lie.

    Args:
        top: The commonest, and rows of each.
        rest: Rows of all others.
        rare: Categories of fewer than 20 rows.
        rare_rows: Rows of those.
        unseen: Share of the newest fifth of the rows whose category no earlier row had.
        longest: Signs of the longest.
    """

    top: tuple[tuple[str, int], ...]
    rest: int
    rare: int
    rare_rows: int
    unseen: float
    longest: int


@dataclass(frozen=True)
class ColumnLook:
    """A column at a glance.

    Args:
        name: Its name.
        type: As params.yaml has it.
        role: The same.
        hidden: Why no value of it is shown; empty: all may be.
        rows: Of the table.
        missing: Rows without a value.
        missing_by: Share missing in each part of the history; NaN in a part without rows.
        distinct: Different values.
        most: Rows of the commonest value.
        numbers: Of a number that may be shown.
        levels: Of a category that may be shown.
    """

    name: str
    type: ColumnType
    role: Role
    hidden: str
    rows: int
    missing: int
    missing_by: np.ndarray
    distinct: int
    most: int
    numbers: NumberSummary | None
    levels: Levels | None

    @property
    def missing_share(self) -> float:
        return self.missing / self.rows if self.rows else 0.0

    @property
    def most_share(self) -> float:
        """Share of the rows with a value that have the commonest."""
        filled = self.rows - self.missing
        return self.most / filled if filled else 0.0

    def as_record(self) -> dict[str, Any]:
        """JSON types; of a hidden column no value."""
        numbers, levels = self.numbers, self.levels
        return {
            "name": self.name,
            "type": self.type,
            "role": self.role,
            "hidden": self.hidden,
            "missing": self.missing,
            "missing_by": [None if np.isnan(share) else round(float(share), 6) for share in self.missing_by],
            "distinct": self.distinct,
            "quantiles": None if numbers is None else list(numbers.quantiles),
            "mean": None if numbers is None else numbers.mean,
            "sd": None if numbers is None else numbers.sd,
            "law": None if numbers is None or numbers.law is None else numbers.law.as_record(),
            "top": None if levels is None else [list(pair) for pair in levels.top],
            "rare": None if levels is None else levels.rare,
            "unseen": None if levels is None else levels.unseen,
        }


def column_look(
    name: str,
    values: pd.Series,
    *,
    kind: ColumnType,
    role: Role,
    hidden: str,
    periods: Periods,
    drawn: np.ndarray,
) -> ColumnLook:
    """A column at a glance.

    Args:
        name: Its name.
        values: The whole column in order of time, shape (n,).
        kind: Its type.
        role: Its role.
        hidden: Why no value may be shown; empty: all may be.
        periods: Parts of the history.
        drawn: Places of rows drawn at random, in no order, for the law.
    """
    blank = values.isna().to_numpy()
    missing = int(blank.sum())
    by = periods.mean(blank.astype("float64"))
    numbers, levels, distinct, most = None, None, 0, 0
    if kind in ("number", "integer"):
        floats = as_floats(values)
        ordered = np.sort(floats)[: len(floats) - missing]
        distinct, most = _runs(ordered)
        if not hidden:
            sample = floats[drawn]
            numbers = _numbers(ordered, sample[np.isfinite(sample)], whole=kind == "integer")
    elif kind == "category":
        codes, texts = pd.factorize(values)
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        distinct, most = len(texts), int(counts.max(initial=0))
        if not hidden:
            levels = _levels(codes, counts, [str(text) for text in texts])
    else:
        distinct = int(values.nunique())
    return ColumnLook(name, kind, role, hidden, len(values), missing, by, distinct, most, numbers, levels)


def _runs(ordered: np.ndarray) -> tuple[int, int]:
    """How many different numbers there are, and how often the commonest stands there."""
    if not len(ordered):
        return 0, 0
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return len(starts), int(np.diff(np.append(starts, len(ordered))).max())


def _numbers(ordered: np.ndarray, sample: np.ndarray, *, whole: bool) -> NumberSummary | None:
    low, high = np.searchsorted(ordered, -np.inf, side="right"), np.searchsorted(ordered, np.inf, side="left")
    finite = ordered[low:high]
    if not len(finite):
        return None
    scale = float(np.abs(finite[[0, -1]]).max()) or 1.0
    with np.errstate(under="ignore"):
        mean, sd = float(np.mean(finite / scale)) * scale, float(np.std(finite / scale)) * scale
    quantiles = tuple(float(_at(finite, share)) for share in QUANTILES)
    edges = _edges(finite, whole=whole)
    places = np.searchsorted(finite, edges, side="left")
    places[-1] = np.searchsorted(finite, edges[-1], side="right")
    counts = np.diff(places)
    return NumberSummary(
        mean=mean,
        sd=sd,
        quantiles=quantiles,
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(int(count) for count in counts),
        outside=len(finite) - int(counts.sum()),
        infinite=len(ordered) - len(finite),
        zeros=float(np.searchsorted(finite, 0.0, side="right") - np.searchsorted(finite, 0.0)) / len(finite),
        law=fit_distribution(sample, whole=whole),
    )


def _at(ordered: np.ndarray, share: float) -> float:
    """A quantile: the value that so large a share of the rows is at or below."""
    return float(ordered[max(int(np.ceil(share * len(ordered))) - 1, 0)])


def _edges(finite: np.ndarray, *, whole: bool) -> np.ndarray:
    low, high = float(finite[0]), float(finite[-1])
    inner_low, inner_high = _at(finite, 0.005), _at(finite, 0.995)
    with np.errstate(over="ignore"):
        if inner_high > inner_low and not high - low <= FAR * (inner_high - inner_low):
            low, high = inner_low, inner_high
        if low == high:
            return np.array([low, np.nextafter(high, np.inf)])
        if whole and high - low < WHOLE:  # bins that hold as many whole numbers each, or they look ragged
            step = np.ceil((high - low + 1) / BINS)
            return np.arange(low - 0.5, high + step, step)
    along = np.linspace(0, 1, BINS + 1)
    return np.unique(low * (1 - along) + high * along)  # no difference, which of the largest numbers is not finite


def _levels(codes: np.ndarray, counts: np.ndarray, texts: Sequence[str]) -> Levels:
    order = sorted(range(len(texts)), key=lambda code: (-counts[code], texts[code]))
    top = tuple((texts[code], int(counts[code])) for code in order[:TOP])
    cut = int(len(codes) * (1 - NEWEST))
    seen = np.zeros(len(texts) + 1, dtype=bool)
    seen[codes[:cut]] = True
    new = codes[cut:]
    new = new[new >= 0]
    rare = counts < RARE
    return Levels(
        top=top,
        rest=int(counts.sum()) - sum(count for _, count in top),
        rare=int(rare.sum()),
        rare_rows=int(counts[rare].sum()),
        unseen=float(np.mean(~seen[new])) if len(new) else 0.0,
        longest=max(map(len, texts), default=0),
    )
