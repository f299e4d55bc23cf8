"""The target: how it lies, and how it goes over time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.drift.cells import as_floats
from retrim.core.look.periods import Periods

MOST_CLASSES = 8


@dataclass(frozen=True)
class TargetLook:
    """The target over the history.

    Args:
        labelled: Rows with a target.
        lines: By what each shows: mean and quartiles of a regression, share of each class; shape (parts,), NaN where a
            part has no labelled row.
        classes: Rows of each class, commonest first; empty of a regression.
    """

    labelled: int
    lines: dict[str, np.ndarray]
    classes: tuple[tuple[str, int], ...]

    def as_record(self) -> dict[str, Any]:
        lines = {
            name: [None if np.isnan(value) else float(value) for value in line] for name, line in self.lines.items()
        }
        return {"labelled": self.labelled, "lines": lines, "classes": [list(pair) for pair in self.classes]}


def target_look(values: pd.Series, periods: Periods, *, task: str) -> TargetLook:
    """The target over the history; an infinite one counts as none.

    Args:
        values: The target of every row in order of time, shape (n,).
        periods: Parts of the history.
        task: regression, binary or multiclass.
    """
    parts = len(periods.labels)
    if task == "regression":
        numbers = as_floats(values)
        there = np.isfinite(numbers)
        lines = {name: np.full(parts, np.nan) for name in ("upper quartile", "mean", "lower quartile")}
        ends = np.searchsorted(periods.codes, np.arange(parts + 1))
        for part in range(parts):
            own = numbers[ends[part] : ends[part + 1]]
            own = own[np.isfinite(own)]
            if len(own):
                scale = float(np.abs(own).max()) or 1.0
                lines["mean"][part] = np.mean(own / scale) * scale
                lines["lower quartile"][part], lines["upper quartile"][part] = np.quantile(own, (0.25, 0.75))
        return TargetLook(int(there.sum()), lines, ())
    codes, texts = pd.factorize(values)
    there = codes >= 0
    counts = np.bincount(codes[there], minlength=len(texts))
    order = sorted(range(len(texts)), key=lambda code: (-counts[code], str(texts[code])))
    rows = np.bincount(periods.codes[there], minlength=parts)
    lines = {}
    for code in order[:MOST_CLASSES]:
        with np.errstate(invalid="ignore", divide="ignore"):
            lines[str(texts[code])] = np.bincount(periods.codes[codes == code], minlength=parts) / rows
    return TargetLook(int(there.sum()), lines, tuple((str(texts[code]), int(counts[code])) for code in order))
