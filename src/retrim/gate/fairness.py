"""Fairness of a model on the judging rows: figures by group, the largest differences, and the gate's limits on them.

Figures are fairlearn's; intervals come from blocks of rows that follow one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from retrim.gate.verdict import Check
from retrim.stats.bootstrap import block_means
from retrim.training.groups import FairnessParams, GroupParams, Outcomes, group_of


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: blocks of rows that follow one another are drawn with replacement.

    Args:
        confidence: Of the intervals, and with which a difference must exceed its limit: `gate.confidence`.
    """

    block_rows: int
    draws: int
    seed: int
    confidence: float

    def block(self, rows: int) -> int:
        """Rows of a block: at most half of them, as one block has no spread."""
        return max(min(self.block_rows, rows // 2), 1)

    def widening(self, rows: int, confidence: float) -> float:
        """Factor by which a bootstrap's distance grows, as for a variance estimated from so few blocks."""
        from scipy.special import ndtri, stdtrit

        blocks = max(rows // self.block(rows), 2)
        return float(stdtrit(blocks - 1, confidence) / ndtri(confidence)) * float((blocks / (blocks - 1)) ** 0.5)


@dataclass(frozen=True)
class GroupFigures:
    """One measure in each group of one column.

    Args:
        measure: Its name.
        groups: Their names, sorted.
        counts: Rows behind each figure, shape (groups,): for a false negative rate the positive ones.
        values: Shape (groups,); NaN where no row stands behind it.
        draws: Of the bootstrap, shape (draws, groups).
        floors: Standard errors that no interval falls below, shape (groups,).
    """

    measure: str
    groups: tuple[str, ...]
    counts: np.ndarray
    values: np.ndarray
    draws: np.ndarray
    floors: np.ndarray

    @cached_property
    def errors(self) -> np.ndarray:
        """Standard errors, shape (groups,)."""
        return np.asarray(np.maximum(self.draws.std(axis=0), self.floors))


def by_group(outcomes: Outcomes, groups: np.ndarray, names: tuple[str, ...]) -> dict[str, dict[str, float | None]]:
    """Every measure of every group, by fairlearn's MetricFrame: measure, then group; None where no row counts.

    Args:
        groups: Group of each row, shape (n,).

    Source:
        Weerts et al. (2023), Fairlearn: Assessing and Improving Fairness of AI Systems, JMLR 24(257), 1-8.
    """
    from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate, selection_rate
    from sklearn.metrics import mean_absolute_error, zero_one_loss

    decided: dict[str, Any] = {
        "selection_rate": selection_rate,
        "false_positive_rate": false_positive_rate,
        "false_negative_rate": false_negative_rate,
        "error_rate": zero_one_loss,
    }
    # A group may hold one class alone, from which fairlearn could not tell which of two labels is the positive one.
    rates = {name: _of_two(name, decided[name]) for name in outcomes.measures if name in decided}
    sizes: dict[str, Any] = {"mean_error": _mean_error, "mean_absolute_error": mean_absolute_error}
    sizes = {name: measure for name, measure in sizes.items() if name in outcomes.measures}
    found: dict[str, dict[str, float | None]] = {}
    for metrics, predicted in ((rates, outcomes.selected), (sizes, outcomes.predicted)):
        if not metrics:
            continue
        frame = MetricFrame(
            metrics=metrics, y_true=outcomes.actual, y_pred=predicted, sensitive_features=groups.astype(str)
        )
        for measure in metrics:
            column = frame.by_group[measure]
            weights = outcomes.parts(measure)[1]
            found[measure] = {name: float(column[name]) if weights[groups == name].any() else None for name in names}
    return found


def drawn(outcomes: Outcomes, groups: np.ndarray, names: tuple[str, ...], measure: str, how: Bootstrap) -> GroupFigures:
    """One measure of every group with its bootstrap draws; all groups of a draw come from the same blocks.

    A rate that is 0 or 1 in all rows of a group has no spread to draw from, yet is not certain. So no
    standard error falls below that of a rate with one more row of either kind, or of a mean of rows alone.

    Source:
        Agresti and Caffo (2000), The American Statistician 54(4), 280-288, for the added rows.
    """
    values, weights = outcomes.parts(measure)
    rows, block = len(values), how.block(len(values))
    figures, draws, counts, floors = [], [], [], []
    for name in names:
        inside = (groups == name).astype("float64")
        top, bottom = values * inside, weights * inside
        count = float(bottom.sum())
        figure = float(top.sum() / count) if count else float("nan")
        tops, bottoms = (block_means(part, block_rows=block, draws=how.draws, seed=how.seed) for part in (top, bottom))
        draws.append(np.where(bottoms > 0, tops / np.where(bottoms > 0, bottoms, 1.0), figure))
        if measure in ("mean_error", "mean_absolute_error"):
            own = values[(inside * weights) > 0]
            floors.append(float(own.std() / max(len(own), 1) ** 0.5) if len(own) else float("nan"))
        else:
            smoothed = (float(top.sum()) + 1) / (count + 2)
            floors.append((smoothed * (1 - smoothed) / (count + 2)) ** 0.5)
        figures.append(figure)
        counts.append(int(count))
    assert rows
    return GroupFigures(measure, names, np.array(counts), np.array(figures), np.column_stack(draws), np.array(floors))


def _mean_error(actual: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean(np.asarray(predicted) - np.asarray(actual)))


def _of_two(name: str, measure: Any) -> Any:
    if name == "error_rate":
        return measure
    return lambda actual, selected: measure(actual, selected, pos_label=1)


@dataclass(frozen=True)
class Difference:
    """The two groups whose difference in one measure is the most certain.

    Args:
        measure: Name of the measure.
        high: Group with the higher figure.
        low: Group with the lower figure.
        high_figure: Figure of the group `high`.
        low_figure: Figure of the group `low`.
        figure: The difference, 0 or more.
        interval: Interval of the difference, simultaneous over all pairs.
        ratio: Lower divided by higher figure, 0 to 1; None if the higher figure is not above 0.
        ratio_interval: Interval of the ratio; None if there is no ratio, or its lower figure cannot be told from 0.
    """

    measure: str
    high: str
    low: str
    high_figure: float
    low_figure: float
    figure: float
    interval: tuple[float, float]
    ratio: float | None
    ratio_interval: tuple[float, float] | None


def furthest(
    found: GroupFigures, judged: np.ndarray, how: Bootstrap, *, rows: int, confidence: float
) -> Difference | None:
    """The pair of judged groups whose difference is certainly the largest.

    The largest of many differences is large by chance. So the intervals of all pairs are made
    together: each is as many of its own standard errors wide as the largest of all pairs strays,
    counted so, in `confidence` of the draws.

    Args:
        judged: Which groups have rows enough, shape (groups,).

    Returns:
        None with fewer than two judged groups.

    Source:
        Romano and Wolf (2005), Econometrica 73(4), 1237-1282: the studentised largest of the draws.
    """
    places = np.flatnonzero(judged)
    if len(places) < 2:
        return None
    first, second = (places[part] for part in np.triu_indices(len(places), k=1))
    gaps = found.values[first] - found.values[second]
    strays = found.draws[:, first] - found.draws[:, second] - gaps
    floors = np.hypot(found.floors[first], found.floors[second])
    errors = np.maximum(np.maximum(strays.std(axis=0), floors), np.finfo(float).tiny)
    reach = float(np.quantile(np.abs(strays / errors).max(axis=1), confidence))
    one_sided = (1 + confidence) / 2
    widths = max(reach, _normal(one_sided)) * how.widening(rows, one_sided) * errors
    pair = int(np.argmax(np.abs(gaps) - widths))
    up = gaps[pair] >= 0
    high, low = (int(place[pair]) for place in ((first, second) if up else (second, first)))
    gap, width = float(abs(gaps[pair])), float(widths[pair])
    ratio, interval = _ratio(found, high, low, how, rows=rows, confidence=confidence)
    return Difference(
        found.measure,
        found.groups[high],
        found.groups[low],
        float(found.values[high]),
        float(found.values[low]),
        gap,
        (gap - width, gap + width),
        ratio,
        interval,
    )


def _normal(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(confidence))


def _ratio(
    found: GroupFigures, high: int, low: int, how: Bootstrap, *, rows: int, confidence: float
) -> tuple[float | None, tuple[float, float] | None]:
    """Lower over higher figure, and its interval on a log scale; None where one of them is not above 0."""
    top, bottom = float(found.values[low]), float(found.values[high])
    if bottom <= 0 or top < 0:
        return None, None
    if top == 0:
        return 0.0, None
    one_sided = (1 + confidence) / 2
    errors = found.errors
    error = float(np.hypot(errors[low] / top, errors[high] / bottom))
    width = _normal(one_sided) * how.widening(rows, one_sided) * error
    ratio = top / bottom
    if width > np.log(np.finfo(float).max):  # the lower figure is 0 but for noise
        return ratio, None
    return ratio, (float(ratio * np.exp(-width)), float(ratio * np.exp(width)))


@dataclass(frozen=True)
class MeasuredFigure:
    """A measure in one group: None if no row counts; its interval if enough rows count to evaluate it."""

    figure: float | None
    interval: tuple[float, float] | None
    rows: int
    judged: bool


@dataclass(frozen=True)
class MeasuredGroup:
    """A group: its holdout rows and all measures."""

    group: str
    rows: int
    measures: dict[str, MeasuredFigure]


@dataclass(frozen=True)
class MeasuredColumn:
    """The groups of one column, and for each measure the two that differ most; None if fewer than two are evaluated."""

    column: str
    least_rows: int
    groups: tuple[MeasuredGroup, ...]
    differences: dict[str, Difference | None]


@dataclass(frozen=True)
class MeasuredModel:
    """A model: which one, its mean loss, and all measures over all rows and by group."""

    of: str
    loss: float
    overall: dict[str, float | None]
    columns: tuple[MeasuredColumn, ...]


@dataclass(frozen=True)
class FairnessRecord:
    """fairness.json: figures by group, and their limits.

    Args:
        rows: Holdout rows.
        threshold: Probability from which a row is selected if `decide.threshold` is not set.
        confidence: Confidence with which a difference must exceed its limit for a refusal; also the confidence of the
            intervals.
        mitigate: `reweight`, or None.
        limits: Largest difference allowed between groups, by measure; None if it is only reported.
        models: Figures of each model, such as the challenger and the champion.
    """

    rows: int
    threshold: float
    confidence: float
    mitigate: str | None
    limits: dict[str, float | None]
    models: tuple[MeasuredModel, ...]


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
        differences: By measure; None where fewer than two groups are judged.
        confidence: Of the intervals of a figure.
        wide: Standard errors that an interval of a figure reaches to either side.
    """

    column: str
    groups: tuple[str, ...]
    rows: tuple[int, ...]
    least_rows: int
    figures: dict[str, GroupFigures]
    shown: dict[str, dict[str, float | None]]
    differences: dict[str, Difference | None]
    wide: float

    def small(self, measure: str) -> list[str]:
        """Groups with too few rows behind this measure, each with their number."""
        found = self.figures[measure]
        pairs = zip(self.groups, found.counts.tolist(), strict=True)
        return [f"{name} ({count})" for name, count in pairs if count < self.least_rows]

    @property
    def measured(self) -> MeasuredColumn:
        """As it is kept and shown."""
        groups = []
        for place, name in enumerate(self.groups):
            measures = {}
            for measure, found in self.figures.items():
                count, error = int(found.counts[place]), self.wide * float(found.errors[place])
                value = self.shown[measure][name]
                judged = value is not None and count >= self.least_rows
                interval = (value - error, value + error) if judged and value is not None else None
                measures[measure] = MeasuredFigure(value, interval, count, judged)
            groups.append(MeasuredGroup(name, self.rows[place], measures))
        return MeasuredColumn(self.column, self.least_rows, tuple(groups), self.differences)


@dataclass(frozen=True)
class FairnessStanding:
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

    @property
    def measured(self) -> MeasuredModel:
        """As it is kept and shown."""
        return MeasuredModel(self.of, self.loss, self.overall, tuple(column.measured for column in self.columns))


def measure_groups(
    of: str, outcomes: Outcomes, losses: np.ndarray, rows: pd.DataFrame, params: FairnessParams, how: Bootstrap
) -> FairnessStanding:
    """The standing of one model.

    Args:
        outcomes: What its predictions did to the judged rows, in time order, at least 2.
        losses: Its loss on each, shape (n,).
    """
    overall: dict[str, float | None] = {}
    for measure in outcomes.measures:
        values, weights = outcomes.parts(measure)
        overall[measure] = float(values.sum() / weights.sum()) if weights.any() else None
    columns = tuple(_column(outcomes, rows, group, params, how) for group in params.groups)
    return FairnessStanding(of, float(losses.mean()), overall, columns)


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
    confidence = 1 - (1 - how.confidence) / max(limits_looked_at(params, outcomes.measures), 1)
    differences = {
        measure: furthest(found, found.counts >= group.least_rows, how, rows=n, confidence=confidence)
        for measure, found in figures.items()
    }
    two_sided = (1 + how.confidence) / 2
    return ColumnStanding(
        column=group.column,
        groups=names,
        rows=tuple(int((groups == name).sum()) for name in names),
        least_rows=group.least_rows,
        figures=figures,
        shown=by_group(outcomes, groups, names),
        differences=differences,
        wide=_normal(two_sided) * how.widening(n, two_sided),
    )


def fairness_checks(standing: FairnessStanding, params: FairnessParams) -> list[Check]:
    """A check a declared limit and column: fails where a difference between two groups exceeds it for certain."""
    return [
        _limit(column, measure, limit)
        for column in standing.columns
        for measure, limit in params.limits().items()
        if measure in column.differences
    ]


def _limit(column: ColumnStanding, measure: str, limit: float) -> Check:
    said = measure.replace("_", " ")
    name = f"fairness: {column.column} {said}"
    found, small = column.differences[measure], column.small(measure)
    aside = f"; not evaluated, with fewer than {column.least_rows} rows: {', '.join(small)}" if small else ""
    if found is None:
        text = f"{said} by {column.column}: fewer than two groups to compare{aside}"
        return Check(name, True, 0.0, limit, text, None)
    low, high = found.interval
    text = (
        f"{said} of {column.column} {found.high} {found.high_figure:.3g} against {found.low_figure:.3g} "
        f"of {found.low}: difference {found.figure:.3g} ({low:.3g} to {high:.3g}), at most {limit:g} allowed{aside}"
    )
    return Check(name, low <= limit, found.figure, limit, text, found.interval)


CHALLENGER, BEFORE, CHAMPION = "challenger", "challenger before mitigation", "champion"


@dataclass(frozen=True)
class GroupedModel:
    """One model on the judged rows.

    Args:
        of: Whose: `CHALLENGER` first, then `BEFORE` and `CHAMPION` where there are such.
        outcomes: What its predictions did.
        losses: Shape (n,).
    """

    of: str
    outcomes: Outcomes
    losses: np.ndarray


@dataclass(frozen=True)
class FairnessLook:
    """What was found.

    Args:
        record: Of verdict/fairness.json; None where no groups are declared.
        checks: The gate's.
        notes: Sentences beside them, on small groups.
    """

    record: FairnessRecord | None
    checks: list[Check]
    notes: list[str]


def compare_groups(
    models: Sequence[GroupedModel],
    rows: pd.DataFrame,
    params: FairnessParams,
    how: Bootstrap,
) -> FairnessLook:
    """Looks at the models by group.

    Args:
        rows: Judged rows in time order, with the columns of the groups.
    """
    if not params.groups or len(rows) < 2:
        return FairnessLook(None, [], [])
    standings = [measure_groups(given.of, given.outcomes, given.losses, rows, params, how) for given in models]
    record = FairnessRecord(
        rows=len(rows),
        threshold=params.threshold,
        confidence=how.confidence,
        mitigate=params.mitigate,
        limits=dict(params.limits()),
        models=tuple(standing.measured for standing in standings),
    )
    return FairnessLook(record, fairness_checks(standings[0], params), _small(standings[0]))


def _small(standing: FairnessStanding) -> list[str]:
    """A sentence a column with groups of too few judging rows."""
    notes = []
    for column in standing.columns:
        pairs = zip(column.groups, column.rows, strict=True)
        few = [f"{name} ({count})" for name, count in pairs if count < column.least_rows]
        if few:
            notes.append(
                f"groups of {column.column} with fewer than {column.least_rows} rows, not evaluated: {', '.join(few)}"
            )
    return notes
