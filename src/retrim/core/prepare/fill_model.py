"""Missing cells told from the other columns of the step, by a small tree a column."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from retrim.core.prepare.numbers import median
from retrim.core.prepare.selection import MOST_ROWS
from retrim.core.prepare.step import ANY, Frame, Learned, Made, Past, Step, codes_of, counts_of, kind_of, known, step

MOST_LEVELS = 30
"""Levels of a category that a tree can tell apart, the most frequent; the others are as one."""
LEAST_ROWS = 20  # of a leaf
WIDEST = float(np.finfo("float32").max) / 4  # a tree compares in single precision


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
        middle = {name: median(values) for name, values in past.frame.items() if values.dtype != object}
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


def _inputs(frame: Frame, levels: Mapping[str, list[str]], middle: Mapping[str, float | None]) -> np.ndarray:
    """What trees look at: numbers, the middle one where missing; levels by frequency, the missing as the last."""
    columns = []
    for name, values in frame.items():
        if values.dtype == object:
            codes = codes_of(values, levels[name])
            columns.append(np.where(codes < 0, len(levels[name]), codes).astype("float64"))
        else:
            columns.append(np.where(np.isnan(values), middle[name] or 0.0, values))
    wide = np.column_stack(columns) if columns else np.zeros((0, 0))
    return np.clip(wide, -WIDEST, WIDEST).astype("float32")


def _tree(inputs: np.ndarray, values: np.ndarray, there: np.ndarray, leaves: int) -> dict[str, list[Any]]:
    """A tree as lists, a place a node: input and threshold, the places below, and what it says."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    rows = np.flatnonzero(there)
    if len(rows) > MOST_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_ROWS).round().astype("int64")]
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
