"""One model's standing with every declared group: figures, differences, calibration, what it costs in all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.fairness.calibration import Calibration, calibration
from retrim.core.fairness.differences import Difference, furthest
from retrim.core.fairness.figures import Bootstrap, Figures, by_group, drawn
from retrim.core.fairness.groups import group_of
from retrim.core.fairness.outcomes import Outcomes
from retrim.core.fairness.params import FairnessParams, GroupParams


@dataclass(frozen=True)
class ColumnStanding:
    """A model's figures in the groups of one column.

    Args:
        column: Its name.
        groups: Names, sorted.
        rows: Judging rows of each group.
        least_rows: Rows that must stand behind a figure.
        figures: One a measure, with draws.
        shown: The figures as fairlearn computes them: measure, then group.
        calibration: By group; those with too few rows are left out.
        differences: By measure; None where fewer than two groups are judged.
        confidence: Of the intervals of a figure.
        wide: Standard errors that an interval of a figure reaches to either side.
    """

    column: str
    groups: tuple[str, ...]
    rows: tuple[int, ...]
    least_rows: int
    figures: dict[str, Figures]
    shown: dict[str, dict[str, float | None]]
    calibration: dict[str, Calibration]
    differences: dict[str, Difference | None]
    wide: float

    def small(self, measure: str) -> list[str]:
        """Groups with too few rows behind this measure, each with their number."""
        found = self.figures[measure]
        pairs = zip(self.groups, found.counts.tolist(), strict=True)
        return [f"{name} ({count})" for name, count in pairs if count < self.least_rows]

    def as_record(self) -> dict[str, Any]:
        records = []
        for place, name in enumerate(self.groups):
            measures = {}
            for measure, found in self.figures.items():
                count, error = int(found.counts[place]), self.wide * float(found.errors[place])
                value = self.shown[measure][name]
                judged = value is not None and count >= self.least_rows
                interval = [value - error, value + error] if judged and value is not None else None
                measures[measure] = {"figure": value, "interval": interval, "rows": count, "judged": judged}
            held = self.calibration.get(name)
            measured = {"measures": measures, "calibration_error": None if held is None else held.as_record()}
            records.append({"group": name, "rows": self.rows[place], **measured})
        apart = {name: None if found is None else found.as_record() for name, found in self.differences.items()}
        return {"column": self.column, "least_rows": self.least_rows, "groups": records, "differences": apart}


@dataclass(frozen=True)
class Standing:
    """A model's standing on the judging rows.

    Args:
        of: Whose: challenger, champion, or the challenger before mitigation.
        loss: Mean of `judge.loss`.
        overall: Every measure over all rows; None where no row counts.
        columns: One a declared column.
    """

    of: str
    loss: float
    overall: dict[str, float | None]
    columns: tuple[ColumnStanding, ...]

    def as_record(self) -> dict[str, Any]:
        columns = [column.as_record() for column in self.columns]
        return {"of": self.of, "loss": self.loss, "overall": self.overall, "columns": columns}


def stand(
    of: str, outcomes: Outcomes, losses: np.ndarray, rows: pd.DataFrame, params: FairnessParams, how: Bootstrap
) -> Standing:
    """The standing of one model.

    Args:
        of: Whose.
        outcomes: What its predictions did to the judged rows, in time order, at least 2.
        losses: Its loss on each, shape (n,).
        rows: These rows with the columns of the groups.
        params: Groups, limits, confidence.
        how: Blocks and draws.
    """
    overall: dict[str, float | None] = {}
    for measure in outcomes.measures:
        values, weights = outcomes.parts(measure)
        overall[measure] = float(values.sum() / weights.sum()) if weights.any() else None
    columns = tuple(_column(outcomes, rows, group, params, how) for group in params.groups)
    return Standing(of, float(losses.mean()), overall, columns)


def limits_looked_at(params: FairnessParams, measures: Sequence[str]) -> int:
    """How many limits are held against differences: as many chances to refuse what is equal."""
    return len(params.groups) * sum(name in measures for name in params.limits())


def _column(
    outcomes: Outcomes, rows: pd.DataFrame, group: GroupParams, params: FairnessParams, how: Bootstrap
) -> ColumnStanding:
    groups = group_of(rows, group)
    names = tuple(sorted(set(groups)))
    n = len(groups)
    figures = {measure: drawn(outcomes, groups, names, measure, how) for measure in outcomes.measures}
    # Each limit is asked for at 1 - (1 - c) / limits (Bonferroni), so that all of them together keep c.
    confidence = 1 - (1 - params.confidence) / max(limits_looked_at(params, outcomes.measures), 1)
    differences = {
        measure: furthest(found, found.counts >= group.least_rows, how, rows=n, confidence=confidence)
        for measure, found in figures.items()
    }
    held = {}
    if outcomes.task != "regression":
        for name in names:
            inside = groups == name
            if inside.sum() >= group.least_rows:
                held[name] = calibration(
                    outcomes.actual[inside],
                    outcomes.predicted[inside],
                    bins=params.bins,
                    how=how,
                    confidence=params.confidence,
                )
    two_sided = (1 + params.confidence) / 2
    return ColumnStanding(
        column=group.column,
        groups=names,
        rows=tuple(int((groups == name).sum()) for name in names),
        least_rows=group.least_rows,
        figures=figures,
        shown=by_group(outcomes, groups, names),
        calibration=held,
        differences=differences,
        wide=_normal(two_sided) * how.widening(n, two_sided),
    )


def _normal(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(confidence))
