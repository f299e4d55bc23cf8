"""Fitted scikit-learn estimators as JSON: class, parameters, fitted attributes. Nothing is pickled.

Only public attributes are stored. A class whose public attributes are not enough has everything it learned in its
parameters instead, and is fitted again on one example row.

What a step of preparation is: it learns a state from training rows, and applies it to rows of any kind.

A column of numbers is float64 with NaN for a missing cell, a column of categories holds text or None, a column of
times is datetime64 in UTC. A step sees its own columns and no others.

Selection of columns, and what columns tell: of the target, of one another, and what bins lose of that.

A filter looks at each column by itself, an embedded selection at a fit of trees.

Preprocessing steps for numbers: scaling, transforms and bins.

Preprocessing steps for missing cells and for outliers. Without one, missing cells are left to the model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Generic, Literal, TypeVar

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field, JsonValue

from retrim.stats.codec import Numbers, key
from retrim.stats.plugins import PluginRegistry


@dataclass(frozen=True)
class StoredEstimator:
    """A scikit-learn estimator in JSON types: parameters that differ from their defaults, public fitted attributes."""

    name: Annotated[str, key("class")]
    parameters: dict[str, JsonValue]
    fitted: dict[str, JsonValue]

    @cached_property
    def built(self) -> Any:
        """The estimator.

        Raises:
            ValueError: The record names a class that is not in the list.
        """
        build = _classes().get(self.name)
        if build is None:
            raise ValueError(
                f"{self.name!r} is not among the stored estimators: {', '.join(sorted(_classes()))}; load the version "
                "with the retrim version that trained it"
            )
        estimator = build(**self.parameters)
        if self.name in _REFITTED:
            first = self.parameters[_REFITTED[self.name]]
            while isinstance(first, list):
                first = first[0]
            return estimator.fit(np.array([[first]], dtype=object if isinstance(first, str) else "float64"))
        for attribute, value in self.fitted.items():
            setattr(estimator, attribute, np.array(value) if isinstance(value, list) else value)
        return estimator


def store_estimator(estimator: Any) -> StoredEstimator:
    """The record of an estimator.

    Raises:
        ValueError: The class is not one that is built again.
    """
    name = type(estimator).__name__
    build = _classes().get(name)
    if build is not type(estimator):
        raise ValueError(f"{name} is not among the stored estimators: {', '.join(sorted(_classes()))}")
    defaults = build().get_params()
    parameters = {
        parameter: value
        for parameter, value in estimator.get_params().items()
        if value is not defaults[parameter] and value != defaults[parameter]  # NaN equals nothing, itself neither
    }
    fitted = {
        attribute: value
        for attribute, value in vars(estimator).items()
        if name not in _REFITTED and attribute.endswith("_") and not attribute.startswith("_")
    }
    return StoredEstimator(name, _plain(parameters), _plain(fitted))


_REFITTED = {"OneHotEncoder": "categories", "OrdinalEncoder": "categories", "SimpleImputer": "fill_value"}
"""Classes that keep fitted values in private attributes, and the parameter that holds all they learned."""


def _classes() -> dict[str, Any]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, PowerTransformer, StandardScaler

    classes = (
        CountVectorizer, HashingVectorizer, MinMaxScaler, OneHotEncoder, OrdinalEncoder, PowerTransformer,
        SimpleImputer, StandardScaler, TfidfTransformer, TruncatedSVD,
    )  # fmt: skip
    return {each.__name__: each for each in classes}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(below) for name, below in value.items()}
    return value


Kind = Literal["number", "category", "time"]
Frame = dict[str, np.ndarray]
LARGEST = 1e100
"""Numbers beyond it, and infinite ones, are held at it: squares and sums of what steps see stay finite."""


@dataclass(frozen=True)
class TrainingRows:
    """Training rows, in total order, as the steps before have made them.

    Args:
        frame: The step's columns.
        target: Of each row: a number, or the code of its class; shape (n,).
        classes: Names of the classes by code; empty for a regression.
        event: When each row happened, datetime64.
        due: When its label had to be known, datetime64.
    """

    frame: Frame
    target: np.ndarray
    classes: tuple[str, ...]
    event: np.ndarray
    due: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.target)

    @property
    def outcomes(self) -> dict[str, np.ndarray]:
        """What is to be told, as numbers: the target; whether it is the last of two classes; of more, each by name."""
        if not self.classes:
            return {"": held(self.target.astype("float64"))}
        of = {name: (self.target == place).astype("float64") for place, name in enumerate(self.classes)}
        return of if len(of) > 2 else {"": of[self.classes[-1]]}


@dataclass(frozen=True)
class StepColumn:
    """A column that a step writes: what it holds, and the column that it is made of."""

    kind: Kind
    of: str


L = TypeVar("L")


@dataclass(frozen=True)
class StepState(Generic[L]):
    """What a step learned.

    Args:
        state: All that applying takes, as the record that a bundle keeps.
        makes: Columns it writes; one that is there already is replaced in its place.
        drops: Columns that are there no longer.
        said: What it found, for a reader; applying does without.
    """

    state: L
    makes: dict[str, StepColumn]
    drops: tuple[str, ...] = ()
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Nothing:
    """The state of a step that learns nothing that applying takes."""


class PreprocessingStep(Generic[L]):
    """A step.

    `learn(past, *, ...)` gives the state of training rows, of which there may be none: a dataclass, named as `learned`.
    The step's arguments are its keywords, typed with their bounds, and none has a default.
    """

    takes: "Kinds"
    gives: "Kind | Literal['same', 'gone']"
    learned: type[L]
    learn: Callable[..., StepState[L]]

    def apply(self, frame: Frame, state: L) -> Frame:
        """The columns it makes of rows; each row by itself."""
        raise NotImplementedError

    def train(self, past: TrainingRows, state: L) -> Frame:
        """The same for rows that a model is fitted on, whose labels the state may have been learned from."""
        return self.apply(past.frame, state)

    def kept(self, frame: Frame, state: L) -> np.ndarray | None:
        """Which rows a model is fitted on, shape (n,); None: all. No row that is predicted is ever dropped."""
        return None


STEPS: PluginRegistry[PreprocessingStep[Any]] = PluginRegistry("step")
Kinds = tuple[Kind, ...]
NUMBERS: Kinds = ("number",)
CATEGORIES: Kinds = ("category",)
ANY: Kinds = ("number", "category")
TIMES: Kinds = ("time",)
S = TypeVar("S", bound=PreprocessingStep[Any])


def step(name: str, *, takes: Kinds, gives: Kind | Literal["same", "gone"]) -> Callable[[type[S]], type[S]]:
    """Decorator that enters a step."""

    def enter(kind: type[S]) -> type[S]:
        kind.takes, kind.gives = takes, gives
        STEPS.register(name, takes=takes, gives=gives)(kind())
        return kind

    return enter


@dataclass(frozen=True)
class FittedColumns:
    """Estimators that transform a column one after the other, by column."""

    fitted: dict[str, tuple[StoredEstimator, ...]]


class ColumnStep(PreprocessingStep[FittedColumns]):
    """A step that fits scikit-learn estimators on each column. A column of which nothing is known stays as it is."""

    learned = FittedColumns

    def fit_column(self, values: np.ndarray) -> list[Any]:
        """Estimators that transform a column one after the other: fitted, or with all they learned as parameters.

        Args:
            values: Shape (n, 1), one or more of them known.
        """
        raise NotImplementedError

    def learn(self, past: TrainingRows) -> StepState[FittedColumns]:
        fitted = {
            name: tuple(map(store_estimator, self.fit_column(values[:, None]) if known(values).any() else ()))
            for name, values in past.frame.items()
        }
        return StepState(
            FittedColumns(fitted), {name: StepColumn(kind_of(values), name) for name, values in past.frame.items()}
        )

    def apply(self, frame: Frame, state: FittedColumns) -> Frame:
        return {name: transform_column(state.fitted[name], values) for name, values in frame.items()}


def transform_column(stored: Sequence[StoredEstimator], values: np.ndarray) -> np.ndarray:
    """What stored estimators make of a column one after the other, shape (n,); of no rows, the column itself."""
    for each in stored if len(values) else ():
        with np.errstate(over="ignore"):
            values = each.built.transform(values[:, None])[:, 0]
        values = values if values.dtype == object else held(values)
    return values


def transform_texts(stored: Sequence[StoredEstimator], texts: np.ndarray, *, width: int, nested: bool) -> np.ndarray:
    """What stored estimators make of texts, each distinct one once, shape (n, width); NaN of a missing one.

    Args:
        stored: Estimators, one after the other. None: 0 of every text.
        texts: Shape (n,).
    """
    places, distinct = pd.factorize(texts)  # the place of a missing one is -1: the last
    made = np.zeros((len(distinct) + 1, width))
    if len(distinct) and stored:
        values: Any = distinct[:, None] if nested else distinct
        for each in stored:
            values = each.built.transform(values)
        made[:-1, : values.shape[1]] = values if isinstance(values, np.ndarray) else values.toarray()
    made[-1] = np.nan
    return np.asarray(made[places])


def held(values: np.ndarray) -> np.ndarray:
    """Numbers with those beyond `LARGEST` held at it; missing ones stay missing."""
    return np.asarray(np.clip(values, -LARGEST, LARGEST))


def same(past: TrainingRows, kind: Kind) -> dict[str, StepColumn]:
    """Each column of the step, replaced by one of `kind`."""
    return {name: StepColumn(kind, name) for name in past.frame}


def known(values: np.ndarray) -> np.ndarray:
    """Which cells are not missing, shape (n,)."""
    if values.dtype == object:
        return np.array([value is not None for value in values], dtype=bool)
    return np.asarray(~np.isnat(values) if values.dtype.kind == "M" else ~np.isnan(values))


def kind_of(values: np.ndarray) -> Kind:
    """What a column holds."""
    return "category" if values.dtype == object else "number"


def codes_of(values: np.ndarray, levels: Sequence[str]) -> np.ndarray:
    """The place of each text among the levels, shape (n,); -1 for one that is missing or not among them."""
    places = {level: place for place, level in enumerate(levels)}
    return np.array([places.get(value, -1) for value in values], dtype="int64")


def counts_of(values: np.ndarray) -> dict[str, int]:
    """Rows of each level, the most frequent first, those alike by name."""
    found: dict[str, int] = {}
    for value in values:
        if value is not None:
            found[value] = found.get(value, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


FINE = 64
TARGET_CELLS = 8
CELLS = 16
MOST_ROWS = 50_000
"""Rows that are looked at, at most, spread evenly over training."""
Keep = Annotated[int, Field(ge=1, le=100_000)]
Rounds = Annotated[int, Field(ge=1, le=1000)]
Leaves = Annotated[int, Field(ge=2, le=256)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def sample_places(rows: int) -> np.ndarray:
    """Places of at most `MOST_ROWS` of that many rows, ascending."""
    return np.linspace(0, rows - 1, min(rows, MOST_ROWS)).round().astype("int64")


def sample(past: TrainingRows) -> TrainingRows:
    """At most `MOST_ROWS` of the rows."""
    take = sample_places(past.rows)
    frame = {name: values[take] for name, values in past.frame.items()}
    return TrainingRows(frame, past.target[take], past.classes, past.event[take], past.due[take])


def cells_of(values: np.ndarray, *, most: int) -> np.ndarray:
    """The cell of each value: `most` quantile cells of numbers, or most frequent levels; the missing are one more."""
    if values.dtype == object:
        levels = list(counts_of(values))
        places = {level: min(place, most - 1) for place, level in enumerate(levels)}
        return np.array([most if value is None else places[value] for value in values], dtype="int64")
    there = known(values)
    found = np.full(len(values), most, dtype="int64")
    if there.any():
        ordered = np.sort(values[there])
        cuts = np.unique(ordered[(np.arange(1, most) * len(ordered)) // most])
        found[there] = np.searchsorted(cuts, values[there], side="right")
    return found


def target_cells(past: TrainingRows) -> np.ndarray:
    """The target in cells: its class, or one of `TARGET_CELLS` quantile cells; int64, shape (n,)."""
    return past.target.astype("int64") if past.classes else cells_of(past.target.astype("float64"), most=TARGET_CELLS)


def compute_entropy(codes: np.ndarray) -> float:
    """Entropy of the shares of each code, in nats; 0 of none."""
    from scipy.stats import entropy

    return float(entropy(np.unique(codes, return_counts=True)[1])) if len(codes) else 0.0


def compute_information(one: np.ndarray, other: np.ndarray) -> float:
    """Information in nats of two columns of codes about one another, less what chance gives on so few rows; 0 or more.

    Source:
        Miller (1955), Note on the bias of information estimates: (cells - 1) / 2n of each entropy.
    """
    from sklearn.metrics import mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    if not len(one):
        return 0.0
    table = contingency_matrix(one, other, sparse=True)
    chance = int(table.nnz) + 1 - int(table.shape[0]) - int(table.shape[1])
    found = float(mutual_info_score(None, None, contingency=table)) - chance / (2 * len(one))
    return max(found, 0.0)


def lost(values: np.ndarray, bins: np.ndarray, target: np.ndarray) -> dict[str, float | None]:
    """What a column loses when it is cut into bins, as shares; None where there was nothing to lose.

    Args:
        values: Numbers, shape (n,).
        bins: The bin of each, NaN for the missing, shape (n,).
        target: The target in cells, shape (n,).

    Returns:
        `entropy`: of the values themselves; `target`: of what they tell of the target, against `FINE` cells of equal
        rows cut at the bins too.
    """
    there = ~np.isnan(values)
    plain, coarse, aim = np.unique(values[there], return_inverse=True)[1], bins[there].astype("int64"), target[there]
    fine = cells_of(values[there], most=FINE) * (int(coarse.max(initial=0)) + 1) + coarse
    whole, told = compute_entropy(plain), compute_information(fine, aim)
    return {
        "entropy": 1 - compute_entropy(coarse) / whole if whole > 0 else None,
        "target": min(max(1 - compute_information(coarse, aim) / told, 0.0), 1.0) if told > 0 else None,
    }


class _Selection(PreprocessingStep[Nothing]):
    learned = Nothing

    def apply(self, frame: Frame, state: Nothing) -> Frame:
        return {}


def _best(scores: Mapping[str, float], keep: int) -> StepState[Nothing]:
    """Keeps the columns of the highest scores, those alike in their order."""
    kept = sorted(scores, key=lambda name: -scores[name])[:keep]
    return _kept(scores, set(kept))


def _kept(scores: Mapping[str, float], kept: set[str]) -> StepState[Nothing]:
    shown = {name: float(f"{score:.9g}") for name, score in scores.items()}
    said = {"scores": shown, "kept": [name for name in scores if name in kept]}
    return StepState(Nothing(), {}, drops=tuple(name for name in scores if name not in kept), said=said)


def _telling(past: TrainingRows) -> dict[str, float]:
    """Information of each column about the target, in nats."""
    some = sample(past)
    aim = target_cells(some)
    return {name: compute_information(cells_of(values, most=CELLS), aim) for name, values in some.frame.items()}


@step("select_mutual", takes=ANY, gives="same")
class SelectMutual(_Selection):
    """Keeps the columns with the highest mutual information with the target, in cells with equal numbers of rows."""

    def learn(self, past: TrainingRows, *, keep: Keep) -> StepState[Nothing]:
        return _best(_telling(past), keep)


def cramer(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Bias-corrected Cramér's V of two columns of codes, 0 to 1, and the chance of as much where they are unrelated.

    Source:
        Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, J. Korean Stat. Soc. 42, 323-328.
    """
    from scipy.stats import chi2_contingency
    from sklearn.metrics.cluster import contingency_matrix

    n = len(one)
    if n < 2:
        return 0.0, 1.0
    table = contingency_matrix(one, other)
    rows, columns = table.shape
    tested = chi2_contingency(table, correction=False)
    square = max(tested.statistic / n - (rows - 1) * (columns - 1) / (n - 1), 0.0)
    most = min(size - (size - 1) ** 2 / (n - 1) for size in table.shape) - 1
    return (min(float(np.sqrt(square / most)), 1.0) if most > 0 else 0.0), float(tested.pvalue)


@step("select_uncorrelated", takes=NUMBERS, gives="same")
class SelectUncorrelated(_Selection):
    """Keeps one column of each cluster of rank-correlated numbers: the most informative about the target.

    Clusters are cut where the least correlation within them would fall to `at_most` (complete linkage).
    """

    def learn(self, past: TrainingRows, *, at_most: Annotated[float, Field(gt=0, lt=1)]) -> StepState[Nothing]:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        scores, names = _telling(past), list(past.frame)
        if len(names) < 2 or past.rows < 2:
            return _kept(scores, set(names))
        away = 1 - np.abs(rank_correlations(list(sample(past).frame.values())))
        groups = fcluster(linkage(squareform(away, checks=False), "complete"), 1 - at_most, "distance")
        kept: dict[int, str] = {}
        for name, group in zip(names, groups.tolist(), strict=True):
            if group not in kept or scores[name] > scores[kept[group]]:
                kept[group] = name
        return _kept(scores, set(kept.values()))


def rank_correlations(columns: list[np.ndarray]) -> np.ndarray:
    """Spearman's, of numbers, shape (columns, columns), 1 along the diagonal; a missing number has the middle rank."""
    ranks = pd.DataFrame(dict(enumerate(columns))).rank()
    whole = ranks.fillna(ranks.mean()).corr().fillna(0.0).to_numpy(copy=True)
    np.fill_diagonal(whole, 1.0)
    return np.asarray(np.clip(whole, -1.0, 1.0))


def _matrix(past: TrainingRows) -> tuple[np.ndarray, list[int]]:
    """Numbers as they are, categories by how frequent they are; and the places of these."""
    columns, places = [], []
    for place, values in enumerate(past.frame.values()):
        if values.dtype == object:
            codes = codes_of(values, list(counts_of(values))).astype("float64")
            columns.append(np.where(codes < 0, np.nan, codes))
            places.append(place)
        else:
            columns.append(values)
    return np.column_stack(columns), places


def gains(past: TrainingRows, *, rounds: int, leaves: int, seed: int) -> np.ndarray:
    """What each column gains in the splits of boosted trees, shape (columns,)."""
    import lightgbm

    matrix, categorical = _matrix(past)
    aim = past.target.astype("float64")
    kinds = len(past.classes)
    objective: dict[str, Any] = {"objective": "l2"} if not kinds else {"objective": "binary"}
    if kinds > 2:
        objective = {"objective": "multiclass", "num_class": kinds}
    parameters = {
        **objective, "num_leaves": leaves, "learning_rate": 0.1, "min_child_samples": 20, "seed": seed,
        "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1, "bagging_freq": 0,
    }  # fmt: skip
    data = lightgbm.Dataset(
        matrix,
        np.clip(aim, -1e37, 1e37),
        feature_name=[f"c{place}" for place in range(matrix.shape[1])],
        categorical_feature=categorical,
    )
    booster = lightgbm.train(parameters, data, num_boost_round=rounds)
    return np.asarray(booster.feature_importance(importance_type="gain"), dtype="float64")


@step("select_gain", takes=ANY, gives="same")
class SelectGain(_Selection):
    """Keeps the columns with the highest split gain in boosted trees (an embedded method)."""

    def learn(
        self, past: TrainingRows, *, keep: Keep, rounds: Rounds, leaves: Leaves, seed: Seed
    ) -> StepState[Nothing]:
        some = sample(past)
        if not _tellable(some):
            return _best(dict.fromkeys(past.frame, 0.0), keep)
        scores = gains(some, rounds=rounds, leaves=leaves, seed=seed)
        return _best(dict(zip(past.frame, scores.tolist(), strict=True)), keep)


def _tellable(past: TrainingRows) -> bool:
    return past.rows >= 2 and len(past.frame) > 0 and len(np.unique(past.target)) > 1


POWERS = (-5.0, 5.0)
"""Range of a power. Beyond it a transformed column can collapse to one number."""
DIGITS = 6
"""Decimals of a power that are kept. Processors differ beyond them."""


@step("minmax", takes=NUMBERS, gives="same")
class MinMax(ColumnStep):
    """Maps the range of the training rows to 0 and 1. Later rows may lie outside. A constant becomes 0."""

    def fit_column(self, values: np.ndarray) -> list[Any]:
        from sklearn.preprocessing import MinMaxScaler

        return [MinMaxScaler().fit(values)]


@step("zscore", takes=NUMBERS, gives="same")
class ZScore(ColumnStep):
    """Standard deviations from the mean of the training rows. A constant becomes 0."""

    def fit_column(self, values: np.ndarray) -> list[Any]:
        from sklearn.preprocessing import StandardScaler

        return [StandardScaler().fit(values)]


@dataclass(frozen=True)
class Shift:
    """What is added to a column, and the least number of training after it."""

    shift: float
    least: float

    def lift(self, values: np.ndarray) -> np.ndarray:
        """Numbers moved by the shift. One below all of training is held at the least of these."""
        return held(np.maximum(values + self.shift, self.least))


def learn_shift(values: np.ndarray, *, above: float) -> Shift:
    """The shift that raises every known number to `above`, 0 where all are above 0, and the least number after it."""
    values = values[known(values)]
    if not len(values):
        return Shift(0.0, max(above, 1.0))
    low = float(values.min())
    return Shift(0.0, low) if low > 0 or low == above else Shift(above - low, above)


@dataclass(frozen=True)
class Shifts:
    """The shift of each column."""

    columns: dict[str, Shift]


class _Lift(PreprocessingStep[Shifts]):
    learned = Shifts
    above: float
    function: np.ufunc

    def learn(self, past: TrainingRows) -> StepState[Shifts]:
        shifts = {name: learn_shift(values, above=self.above) for name, values in past.frame.items()}
        return StepState(Shifts(shifts), same(past, "number"))

    def apply(self, frame: Frame, state: Shifts) -> Frame:
        return {name: self.function(state.columns[name].lift(values)) for name, values in frame.items()}


@step("log", takes=NUMBERS, gives="same")
class LogTransform(_Lift):
    """The natural logarithm. If a training number is 0 or less, all numbers are shifted so that the smallest is 1."""

    above, function = 1.0, np.log


@step("sqrt", takes=NUMBERS, gives="same")
class SqrtTransform(_Lift):
    """The square root. If a training number is negative, all numbers are shifted so that the smallest is 0."""

    above, function = 0.0, np.sqrt


@step("yeojohnson", takes=NUMBERS, gives="same")
class YeoJohnson(ColumnStep):
    """The Yeo-Johnson power, for numbers of any sign, divided by their standard deviation. A constant stays unchanged.

    Source:
        Yeo and Johnson (2000), A new family of power transformations, Biometrika 87, 954-959. Unlike the source,
        numbers are divided by their deviation first, so that the unit of a column does not decide.
    """

    def fit_column(self, values: np.ndarray) -> list[Any]:
        from sklearn.preprocessing import PowerTransformer, StandardScaler

        scaler = StandardScaler(with_mean=False).fit(values)
        scaled = scaler.transform(values)
        if not np.nanmin(scaled) < np.nanmax(scaled):
            return []
        with np.errstate(all="ignore"):  # of powers that it tries and leaves
            power = PowerTransformer(standardize=False).fit(scaled)
        power.lambdas_ = np.clip(np.round(power.lambdas_, DIGITS), *POWERS)
        return [scaler, power]

    def learn(self, past: TrainingRows) -> StepState[FittedColumns]:
        learned = super().learn(past)
        powers = {name: float(stored[-1].built.lambdas_[0]) for name, stored in learned.state.fitted.items() if stored}
        return replace(learned, said={name: {"power": power} for name, power in powers.items()})


def _check_ascending(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(not low < high for low, high in pairwise(edges)):
        raise ValueError(
            f"{', '.join(map(str, edges))} are not in ascending order; write each edge once, in ascending order"
        )
    return edges


Bins = Annotated[int, Field(ge=2, le=1000)]
Edges = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(min_length=1), AfterValidator(_check_ascending)
]


def find_bin(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin of each number, NaN for a missing one. A number at an edge belongs to the bin above."""
    return np.where(known(values), np.searchsorted(edges, values, side="right").astype("float64"), np.nan)


@dataclass(frozen=True)
class BinEdges:
    """The edges between the bins of each column, ascending."""

    edges: dict[str, Numbers]


class _Bins(PreprocessingStep[BinEdges]):
    learned = BinEdges

    def apply(self, frame: Frame, state: BinEdges) -> Frame:
        return {name: find_bin(values, state.edges[name]) for name, values in frame.items()}


def _learn_bins(past: TrainingRows, edges_of: Callable[[np.ndarray], np.ndarray]) -> StepState[BinEdges]:
    edges = {
        name: np.unique(edges_of(values[known(values)])) if known(values).any() else np.zeros(0)
        for name, values in past.frame.items()
    }
    target = target_cells(past)
    said = {name: {"lost": lost(values, find_bin(values, edges[name]), target)} for name, values in past.frame.items()}
    return StepState(BinEdges(edges), same(past, "number"), said=said)


@step("bins_width", takes=NUMBERS, gives="same")
class BinsWidth(_Bins):
    """Bins of equal width over the range of the training rows. The outermost are open."""

    def learn(self, past: TrainingRows, *, bins: Bins) -> StepState[BinEdges]:
        def edges_of(values: np.ndarray) -> np.ndarray:
            return np.linspace(values.min(), values.max(), bins + 1)[1:-1]

        return _learn_bins(past, edges_of)


@step("bins_frequency", takes=NUMBERS, gives="same")
class BinsFrequency(_Bins):
    """Bins with equal numbers of training rows. If many rows have the same value, there are fewer bins."""

    def learn(self, past: TrainingRows, *, bins: Bins) -> StepState[BinEdges]:
        def edges_of(values: np.ndarray) -> np.ndarray:
            cuts = np.quantile(values, np.arange(1, bins) / bins, method="higher")
            return np.asarray(cuts[cuts > values.min()])

        return _learn_bins(past, edges_of)


@step("bins_edges", takes=NUMBERS, gives="same")
class BinsEdges(_Bins):
    """Bins between declared edges. The outermost are open."""

    def learn(self, past: TrainingRows, *, edges: Edges) -> StepState[BinEdges]:
        return _learn_bins(past, lambda _: np.array(edges))


@step("missing_indicator", takes=ANY, gives="same")
class MissingIndicator(PreprocessingStep[Nothing]):
    """Adds `COLUMN:missing`: 1 where the cell is missing, else 0."""

    learned = Nothing

    def learn(self, past: TrainingRows) -> StepState[Nothing]:
        return StepState(Nothing(), {f"{name}:missing": StepColumn("number", name) for name in past.frame})

    def apply(self, frame: Frame, state: Nothing) -> Frame:
        return {f"{name}:missing": (~known(values)).astype("float64") for name, values in frame.items()}


class _Fill(ColumnStep):
    """Fills missing cells of a column with one value. A column that was missing throughout stays as it is."""

    def fit_column(self, values: np.ndarray) -> list[Any]:
        from sklearn.impute import SimpleImputer

        missing = None if values.dtype == object else np.nan
        value = self.compute_value(values, missing)
        return [SimpleImputer(strategy="constant", fill_value=value, missing_values=missing)]

    def compute_value(self, values: np.ndarray, missing: float | None) -> float | str:
        """What missing cells are given.

        Args:
            values: Shape (n, 1).
        """
        raise NotImplementedError


@step("fill_mean", takes=NUMBERS, gives="same")
class FillMean(_Fill):
    """Fills with the mean of the training rows."""

    def compute_value(self, values: np.ndarray, missing: float | None) -> float:
        return float(np.nanmean(values))


@step("fill_median", takes=NUMBERS, gives="same")
class FillMedian(_Fill):
    """Fills with the median of the training rows."""

    def compute_value(self, values: np.ndarray, missing: float | None) -> float:
        return float(np.nanmedian(values))


@step("fill_mode", takes=ANY, gives="same")
class FillMode(_Fill):
    """Fills with the most frequent value of the training rows. In case of a tie, the first in sort order is used."""

    def compute_value(self, values: np.ndarray, missing: float | None) -> float | str:
        from sklearn.impute import SimpleImputer

        value = SimpleImputer(strategy="most_frequent", missing_values=missing).fit(values).statistics_[0]
        return str(value) if missing is None else float(value)


By = Literal["zscore", "iqr"]
Reach = Annotated[float, Field(gt=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]


Ends = tuple[float, float]


@dataclass(frozen=True)
class Fences:
    """The least and the largest number of each column that is no outlier; None where every number stays."""

    fences: dict[str, Ends | None]


def compute_fences(values: np.ndarray, *, by: By, reach: float) -> Ends | None:
    """The least and the largest number that is no outlier; None if the known numbers do not spread.

    Args:
        values: Shape (n,).

    Source:
        Tukey (1977), Exploratory Data Analysis: reach 1.5 is his inner fence, 3 the outer.
    """
    values = values[known(values)]
    if not len(values):
        return None
    if by == "zscore":
        low, high, unit = values.mean(), values.mean(), values.std()
    else:
        low, high = np.quantile(values, [0.25, 0.75])
        unit = high - low
    low, high = low - reach * unit, high + reach * unit
    return (float(low), float(high)) if low < high else None


def is_beyond(values: np.ndarray, ends: Ends | None) -> np.ndarray:
    """Which numbers lie beyond the fences, shape (n,)."""
    return np.zeros(len(values), dtype=bool) if ends is None else (values < ends[0]) | (values > ends[1])


def _learn_fences(
    past: TrainingRows, makes: Mapping[str, StepColumn], *, by: By, reach: float, at_most: float
) -> StepState[Fences]:
    """Fences of each column. One of which more than `at_most` lies beyond has a long tail, and stays as it is."""
    fences: dict[str, Ends | None] = {}
    said: dict[str, Any] = {}
    for name, values in past.frame.items():
        ends = compute_fences(values, by=by, reach=reach)
        rows = int(is_beyond(values, ends).sum())
        tail = rows > at_most * max(int(known(values).sum()), 1)
        said[name] = {"fences": ends and [*ends], "beyond": rows, "kept as a tail": tail}
        fences[name] = None if tail else ends
    return StepState(Fences(fences), dict(makes), said=said)


class _Outliers(PreprocessingStep[Fences]):
    learned = Fences

    def learn(self, past: TrainingRows, *, by: By, reach: Reach, at_most: Share) -> StepState[Fences]:
        return _learn_fences(past, same(past, "number"), by=by, reach=reach, at_most=at_most)


@step("outlier_flag", takes=NUMBERS, gives="same")
class OutlierFlag(PreprocessingStep[Fences]):
    """Adds `COLUMN:outlier`: 1 beyond the fences, else 0."""

    learned = Fences

    def learn(self, past: TrainingRows, *, by: By, reach: Reach) -> StepState[Fences]:
        makes = {f"{name}:outlier": StepColumn("number", name) for name in past.frame}
        return _learn_fences(past, makes, by=by, reach=reach, at_most=1.0)

    def apply(self, frame: Frame, state: Fences) -> Frame:
        return {
            f"{name}:outlier": is_beyond(values, state.fences[name]).astype("float64") for name, values in frame.items()
        }


@step("outlier_cap", takes=NUMBERS, gives="same")
class OutlierCap(_Outliers):
    """Replaces an outlier (a number beyond a fence) with the fence."""

    def apply(self, frame: Frame, state: Fences) -> Frame:
        ends = state.fences
        return {
            name: values if (own := ends[name]) is None else np.clip(values, *own) for name, values in frame.items()
        }


@step("outlier_missing", takes=NUMBERS, gives="same")
class OutlierMissing(_Outliers):
    """Replaces an outlier (a number beyond a fence) with a missing value."""

    def apply(self, frame: Frame, state: Fences) -> Frame:
        return {name: np.where(is_beyond(values, state.fences[name]), np.nan, values) for name, values in frame.items()}


@step("outlier_drop", takes=NUMBERS, gives="same")
class OutlierDrop(PreprocessingStep[Fences]):
    """Drops training rows with an outlier (a number beyond a fence). Holdout rows and rows to predict stay."""

    learned = Fences

    def learn(self, past: TrainingRows, *, by: By, reach: Reach, at_most: Share) -> StepState[Fences]:
        return _learn_fences(past, {}, by=by, reach=reach, at_most=at_most)

    def apply(self, frame: Frame, state: Fences) -> Frame:
        return {}

    def kept(self, frame: Frame, state: Fences) -> np.ndarray | None:
        beyond = [is_beyond(values, state.fences[name]) for name, values in frame.items()]
        dropped = np.logical_or.reduce(beyond) if beyond else np.zeros(0, dtype=bool)
        return None if not len(dropped) or dropped.all() else ~dropped


from retrim.features import encoders as _encoders  # noqa: E402, F401  registers its steps
