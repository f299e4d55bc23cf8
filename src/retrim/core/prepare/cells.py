"""Preprocessing steps for missing cells and for outliers. Without one, missing cells are left to the model."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from retrim.core.prepare.selection import sample_places
from retrim.core.prepare.step import (
    ANY,
    NUMBERS,
    ColumnStep,
    Frame,
    Learned,
    Made,
    Past,
    Step,
    codes_of,
    counts_of,
    kind_of,
    known,
    same,
    step,
)

MOST_LEVELS = 30
"""The most frequent levels of a category that a tree can tell apart. It takes the others as one."""
LEAST_ROWS = 20  # of a leaf
WIDEST = float(np.finfo("float32").max) / 4  # a tree compares in single precision


@step("missing_indicator", takes=ANY, gives="same")
class MissingIndicator(Step):
    """Adds `COLUMN:missing`: 1 where the cell is missing, else 0."""

    def learn(self, past: Past) -> Learned:
        return Learned({}, {f"{name}:missing": Made("number", name) for name in past.frame})

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
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
            missing: How a missing cell is written.
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
    """Fills with the most frequent value of the training rows; of several the first in order."""

    def compute_value(self, values: np.ndarray, missing: float | None) -> float | str:
        from sklearn.impute import SimpleImputer

        value = SimpleImputer(strategy="most_frequent", missing_values=missing).fit(values).statistics_[0]
        return str(value) if missing is None else float(value)


@step("fill_model", takes=ANY, gives="same")
class FillModel(Step):
    """Fills a missing cell with what a tree of so many leaves says from the other columns of the step.

    A number is filled with the mean of a leaf, a category with its most frequent level. Columns that miss nothing in
    training are left as they are. The trees are scikit-learn's, kept as lists of numbers.

    Source:
        Breiman, Friedman, Olshen and Stone (1984), Classification and Regression Trees.
    """

    def learn(self, past: Past, *, leaves: Annotated[int, Field(ge=2, le=1000)]) -> Learned:
        levels = {name: list(counts_of(values)) for name, values in past.frame.items() if values.dtype == object}
        levels = {name: found[:MOST_LEVELS] for name, found in levels.items()}
        middle = {
            name: float(np.nanmedian(values)) if known(values).any() else 0.0
            for name, values in past.frame.items()
            if values.dtype != object
        }
        inputs = _inputs(past.frame, levels, middle)
        trees, said = {}, {}
        for place, (name, values) in enumerate(past.frame.items()):
            there = known(values)
            said[name] = {"missing": int((~there).sum())}
            if there.all() or not there.any():
                continue
            others = [at for at in range(len(past.frame)) if at != place]
            trees[name] = _tree(inputs[:, others], values, there, leaves)
        makes = {name: Made(kind_of(past.frame[name]), name) for name in trees}
        return Learned({"inputs": levels, "middle": middle, "trees": trees}, makes, said=said)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        if not state["trees"]:
            return {}
        inputs = _inputs(frame, state["inputs"], state["middle"])
        made = {}
        for place, (name, values) in enumerate(frame.items()):
            if name in state["trees"]:
                others = [at for at in range(len(frame)) if at != place]
                there = known(values)
                filled = values.copy()
                if not there.all():
                    filled[~there] = _told(state["trees"][name], inputs[~there][:, others], text=values.dtype == object)
                made[name] = filled
        return made


def _inputs(frame: Frame, levels: Mapping[str, list[str]], middle: Mapping[str, float]) -> np.ndarray:
    """What trees look at: numbers, the middle one where missing; levels by frequency, the missing as the last."""
    columns = []
    for name, values in frame.items():
        if values.dtype == object:
            codes = codes_of(values, levels[name])
            columns.append(np.where(codes < 0, len(levels[name]), codes).astype("float64"))
        else:
            columns.append(np.where(np.isnan(values), middle[name], values))
    wide = np.column_stack(columns) if columns else np.zeros((0, 0))
    return np.clip(wide, -WIDEST, WIDEST).astype("float32")


def _tree(inputs: np.ndarray, values: np.ndarray, there: np.ndarray, leaves: int) -> dict[str, list[Any]]:
    """A tree as lists, a place a node: input and threshold, the places below, and what it says."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    rows = np.flatnonzero(there)
    rows = rows[sample_places(len(rows))]
    least = min(LEAST_ROWS, max(len(rows) // 10, 1))
    text = values.dtype == object
    if not inputs.shape[1]:
        inputs = np.zeros((len(inputs), 1), dtype="float32")
    if text:
        names = sorted(counts_of(values[rows]))
        fitted = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=least, random_state=0)
        with np.errstate(all="ignore"):  # it adds all up to see whether they are finite
            fitted.fit(inputs[rows], codes_of(values[rows], names))
        said: list[Any] = [names[int(fitted.classes_[row[0].argmax()])] for row in fitted.tree_.value]
    else:
        # In units of the largest, so that squares do not overflow.
        scale = float(np.abs(values[rows]).max()) or 1.0
        fitted = DecisionTreeRegressor(max_leaf_nodes=leaves, min_samples_leaf=least, random_state=0)
        with np.errstate(all="ignore"):
            fitted.fit(inputs[rows], values[rows] / scale)
        said = [float(row[0][0]) * scale for row in fitted.tree_.value]
    tree = fitted.tree_
    return {
        "input": tree.feature.tolist(),
        "threshold": tree.threshold.tolist(),
        "left": tree.children_left.tolist(),
        "right": tree.children_right.tolist(),
        "says": said,
    }


def _told(tree: Mapping[str, list[Any]], inputs: np.ndarray, *, text: bool) -> np.ndarray:
    """What the tree says of each row."""
    feature, threshold = np.array(tree["input"]), np.array(tree["threshold"])
    left, right = np.array(tree["left"]), np.array(tree["right"])
    at = np.zeros(len(inputs), dtype="int64")
    while (inner := left[at] >= 0).any():
        rows = np.flatnonzero(inner)
        here = at[rows]
        below = inputs[rows, feature[here]].astype("float64") <= threshold[here]
        at[rows] = np.where(below, left[here], right[here])
    return np.array(tree["says"], dtype=object if text else "float64")[at]


By = Literal["zscore", "iqr"]
Reach = Annotated[float, Field(gt=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]


def compute_fences(values: np.ndarray, *, by: By, reach: float) -> list[float] | None:
    """The least and the largest number that is no outlier; None if the known numbers do not spread.

    Args:
        values: Shape (n,).
        by: zscore: from the mean, in standard deviations; iqr: from the quartiles, in their distance.
        reach: How far.

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
    return [float(low), float(high)] if low < high else None


def is_beyond(values: np.ndarray, ends: list[float] | None) -> np.ndarray:
    """Which numbers lie beyond the fences, shape (n,)."""
    return np.zeros(len(values), dtype=bool) if ends is None else (values < ends[0]) | (values > ends[1])


def _learn_fences(past: Past, makes: Mapping[str, Made], *, by: By, reach: float, at_most: float) -> Learned:
    """Fences of each column. One of which more than `at_most` lies beyond has a long tail, and stays as it is."""
    fences: dict[str, list[float] | None] = {}
    said: dict[str, Any] = {}
    for name, values in past.frame.items():
        ends = compute_fences(values, by=by, reach=reach)
        rows = int(is_beyond(values, ends).sum())
        tail = rows > at_most * max(int(known(values).sum()), 1)
        said[name] = {"fences": ends, "beyond": rows, "kept as a tail": tail}
        fences[name] = None if tail else ends
    return Learned({"fences": fences}, dict(makes), said=said)


class _Outliers(Step):
    def learn(self, past: Past, *, by: By, reach: Reach, at_most: Share) -> Learned:
        return _learn_fences(past, same(past, "number"), by=by, reach=reach, at_most=at_most)


@step("outlier_flag", takes=NUMBERS, gives="same")
class OutlierFlag(Step):
    """Adds `COLUMN:outlier`: 1 beyond the fences, else 0."""

    def learn(self, past: Past, *, by: By, reach: Reach) -> Learned:
        makes = {f"{name}:outlier": Made("number", name) for name in past.frame}
        return _learn_fences(past, makes, by=by, reach=reach, at_most=1.0)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {
            f"{name}:outlier": is_beyond(values, state["fences"][name]).astype("float64")
            for name, values in frame.items()
        }


@step("outlier_cap", takes=NUMBERS, gives="same")
class OutlierCap(_Outliers):
    """A number beyond a fence becomes the fence."""

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        ends = state["fences"]
        return {name: values if ends[name] is None else np.clip(values, *ends[name]) for name, values in frame.items()}


@step("outlier_missing", takes=NUMBERS, gives="same")
class OutlierMissing(_Outliers):
    """A number beyond a fence becomes missing."""

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {
            name: np.where(is_beyond(values, state["fences"][name]), np.nan, values) for name, values in frame.items()
        }


@step("outlier_drop", takes=NUMBERS, gives="same")
class OutlierDrop(Step):
    """No model is fitted on a row with a number beyond a fence. Rows that judge or are predicted stay."""

    def learn(self, past: Past, *, by: By, reach: Reach, at_most: Share) -> Learned:
        return _learn_fences(past, {}, by=by, reach=reach, at_most=at_most)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {}

    def kept(self, frame: Frame, state: Mapping[str, Any]) -> np.ndarray | None:
        beyond = [is_beyond(values, state["fences"][name]) for name, values in frame.items()]
        dropped = np.logical_or.reduce(beyond) if beyond else np.zeros(0, dtype=bool)
        return None if not len(dropped) or dropped.all() else ~dropped
