"""Fairness of a model on the judging rows: figures by group, the largest differences, and the gate's limits on them.

Figures are fairlearn's; intervals come from blocks of rows that follow one another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from retrim.gate.verdict import Check, GateParams, ScoredModel
from retrim.stats.bootstrap import Resampling, block_means, block_size, count_blocks
from retrim.stats.metrics import JudgeParams
from retrim.training.groups import SIZES, FairnessParams, GroupParams, Outcomes, group_of

CHALLENGER, BEFORE, CHAMPION = "challenger", "challenger before mitigation", "champion"


@dataclass(frozen=True)
class GroupedModel:
    """One model on the judged rows; `of` is `CHALLENGER` first, then `BEFORE` and `CHAMPION` where there are such."""

    of: str
    outcomes: Outcomes
    losses: np.ndarray


@dataclass(frozen=True)
class Difference:
    """The two groups whose difference in one measure is the most certain."""

    measure: str
    high: str
    low: str
    high_figure: float
    low_figure: float
    figure: float  # the difference, 0 or more
    interval: tuple[float, float]  # interval of the difference, simultaneous over all pairs
    ratio: float | None  # lower divided by higher figure, 0 to 1; None if the higher figure is not above 0
    # interval of the ratio; None if there is no ratio, or its lower figure cannot be told from 0
    ratio_interval: tuple[float, float] | None


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
    """fairness.json: figures by group, and their limits."""

    rows: int
    threshold: float  # probability from which a row is selected if `decide.threshold` is not set
    # confidence with which a difference must exceed its limit for a refusal; also the confidence of the intervals
    confidence: float
    mitigate: str | None  # `reweight`, or None
    # largest difference allowed between groups, by measure; None if it is only reported
    limits: dict[str, float | None]
    models: tuple[MeasuredModel, ...]  # figures of each model, such as the challenger and the champion


@dataclass(frozen=True)
class FairnessLook:
    """The record, None where no groups are declared; the gate's checks; sentences beside them, on small groups."""

    record: FairnessRecord | None
    checks: list[Check]
    notes: list[str]


def grouped_model(of: str, scored: ScoredModel, task: str, params: FairnessParams) -> GroupedModel:
    """A model as the look by group takes it; it selects by its own threshold, else by that of the settings."""
    cut = params.threshold if scored.threshold is None else scored.threshold
    return GroupedModel(of, Outcomes.of(task, scored.actual, scored.predicted, threshold=cut), scored.losses)


def limit_checks(
    scored: ScoredModel,
    rows: pd.DataFrame,
    task: str,
    params: FairnessParams,
    judge: JudgeParams,
    gate: GateParams,
) -> list[Check]:
    """The checks on fairness that every model has to pass before it goes live; none where no limit is set.

    Args:
        rows: Rows that it has not seen, in time order, with the columns of the groups.
    """
    if not params.limits() or len(rows) < 2:
        return []
    return compare_groups([grouped_model(CHALLENGER, scored, task, params)], rows, params, judge, gate).checks


def compare_groups(
    models: Sequence[GroupedModel], rows: pd.DataFrame, params: FairnessParams, judge: JudgeParams, gate: GateParams
) -> FairnessLook:
    """Looks at the models by group, on judged rows in time order; all at the confidence `gate.confidence`."""
    if not params.groups or len(rows) < 2:
        return FairnessLook(None, [], [])
    resampling, confidence = Resampling(judge.draws, judge.block_rows, gate.seed), gate.confidence
    measured = tuple(measure_groups(model, rows, params, resampling, confidence=confidence) for model in models)
    limits = dict[str, float | None](params.limits())
    record = FairnessRecord(len(rows), params.threshold, confidence, params.mitigate, limits, measured)
    notes = []
    for column in measured[0].columns:
        few = [f"{group.group} ({group.rows})" for group in column.groups if group.rows < column.least_rows]
        if few:
            least = f"groups of {column.column} with fewer than {column.least_rows} rows"
            notes.append(f"{least}, not evaluated: {', '.join(few)}")
    return FairnessLook(record, fairness_checks(measured[0], params), notes)


def fairness_checks(model: MeasuredModel, params: FairnessParams) -> list[Check]:
    """A check a declared limit and column: fails where a difference between two groups exceeds it for certain."""
    return [
        _limit(column, measure, limit)
        for column in model.columns
        for measure, limit in params.limits().items()
        if measure in column.differences
    ]


def _limit(column: MeasuredColumn, measure: str, limit: float) -> Check:
    words = measure.replace("_", " ")
    name = f"fairness: {column.column} {words}"
    counts = {group.group: group.measures[measure].rows for group in column.groups}
    small = ", ".join(f"{group} ({rows})" for group, rows in counts.items() if rows < column.least_rows)
    aside = f"; not evaluated, with fewer than {column.least_rows} rows: {small}" if small else ""
    apart = column.differences[measure]
    if apart is None:
        return Check(name, True, 0.0, limit, f"{words} by {column.column}: fewer than two groups to compare{aside}")
    low, high = apart.interval
    text = (
        f"{words} of {column.column} {apart.high} {apart.high_figure:.3g} against {apart.low_figure:.3g} "
        f"of {apart.low}: difference {apart.figure:.3g} ({low:.3g} to {high:.3g}), at most {limit:g} allowed{aside}"
    )
    return Check(name, low <= limit, apart.figure, limit, text, apart.interval)


def measure_groups(
    model: GroupedModel, rows: pd.DataFrame, params: FairnessParams, resampling: Resampling, *, confidence: float
) -> MeasuredModel:
    """All measures of one model, over its rows, in time order, at least 2, and in every declared column."""
    overall: dict[str, float | None] = {}
    for measure in model.outcomes.measures:
        values, weights = model.outcomes.parts(measure)
        overall[measure] = float(values.sum() / weights.sum()) if weights.any() else None
    # Each limit is asked for at 1 - (1 - c) / limits (Bonferroni), so that all of them together keep c.
    limits = len(params.groups) * sum(name in model.outcomes.measures for name in params.limits())
    sure = 1 - (1 - confidence) / max(limits, 1)
    columns = (
        _measure_column(model.outcomes, rows, group, resampling, confidence=confidence, sure=sure)
        for group in params.groups
    )
    return MeasuredModel(model.of, float(model.losses.mean()), overall, tuple(columns))


def _measure_column(
    outcomes: Outcomes,
    rows: pd.DataFrame,
    group: GroupParams,
    resampling: Resampling,
    *,
    confidence: float,
    sure: float,
) -> MeasuredColumn:
    groups = group_of(rows, group)
    names = tuple(sorted(set(groups)))
    normal, widening = _reach((1 + confidence) / 2, count_blocks(len(groups), resampling.block_rows))
    wide = normal * widening
    shown, differences = by_group(outcomes, groups, names), {}
    figures: dict[str, dict[str, MeasuredFigure]] = {name: {} for name in names}
    for measure in outcomes.measures:
        drawn = draw_groups(outcomes, groups, names, measure, resampling)
        is_judged = drawn.counts >= group.least_rows
        differences[measure] = furthest(drawn, is_judged, confidence=sure)
        for number, name in enumerate(names):
            figure, error = shown[measure][name], wide * float(drawn.errors[number])
            judged = figure is not None and bool(is_judged[number])
            interval = (figure - error, figure + error) if judged and figure is not None else None
            figures[name][measure] = MeasuredFigure(figure, interval, int(drawn.counts[number]), judged)
    measured = tuple(MeasuredGroup(name, int((groups == name).sum()), figures[name]) for name in names)
    return MeasuredColumn(group.column, group.least_rows, measured, differences)


def by_group(outcomes: Outcomes, groups: np.ndarray, names: tuple[str, ...]) -> dict[str, dict[str, float | None]]:
    """Every measure of every group, by fairlearn's MetricFrame: measure, then group; None where no row counts.

    Source:
        Weerts et al. (2023), Fairlearn: Assessing and Improving Fairness of AI Systems, JMLR 24(257), 1-8.
    """
    from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate, selection_rate
    from sklearn.metrics import mean_absolute_error, zero_one_loss

    # A group may hold one class alone, from which fairlearn could not tell which of two labels is the positive one.
    metrics: dict[str, Callable[..., Any]] = {
        "selection_rate": partial(selection_rate, pos_label=1),
        "false_positive_rate": partial(false_positive_rate, pos_label=1),
        "false_negative_rate": partial(false_negative_rate, pos_label=1),
        "error_rate": zero_one_loss,
        "mean_error": lambda actual, predicted: np.mean(np.asarray(predicted) - np.asarray(actual)),
        "mean_absolute_error": mean_absolute_error,
    }
    shown: dict[str, dict[str, float | None]] = {}
    for measure in outcomes.measures:
        frame = MetricFrame(
            metrics={measure: metrics[measure]},
            y_true=outcomes.actual,
            y_pred=outcomes.predicted if measure in SIZES else outcomes.selected,
            sensitive_features=groups.astype(str),
        )
        figures, weights = frame.by_group[measure], outcomes.parts(measure)[1]
        shown[measure] = {name: float(figures[name]) if weights[groups == name].any() else None for name in names}
    return shown


@dataclass(frozen=True)
class GroupDraws:
    """One measure in each group of one column, with its bootstrap."""

    measure: str
    groups: tuple[str, ...]
    counts: np.ndarray  # rows behind each figure, of a false negative rate the positive ones, shape (groups,)
    values: np.ndarray  # shape (groups,); NaN where no row stands behind it
    draws: np.ndarray  # shape (draws, groups)
    blocks: int  # of the rows from which they are drawn
    floors: np.ndarray  # standard errors that no interval falls below, shape (groups,)

    @property
    def errors(self) -> np.ndarray:
        """Standard errors, shape (groups,)."""
        return np.asarray(np.maximum(self.draws.std(axis=0), self.floors))


def draw_groups(
    outcomes: Outcomes, groups: np.ndarray, names: tuple[str, ...], measure: str, resampling: Resampling
) -> GroupDraws:
    """One measure of every group with its bootstrap draws; all groups of a draw come from the same blocks.

    A rate that is 0 or 1 in all rows of a group has no spread to draw from, yet is not certain. So no standard error
    falls below that of a rate with one more row of either kind, or of a mean of rows alone.

    Source:
        Agresti and Caffo (2000), The American Statistician 54(4), 280-288, for the added rows.
    """
    values, weights = outcomes.parts(measure)
    block, blocks = (size(len(values), resampling.block_rows) for size in (block_size, count_blocks))
    drawing = partial(block_means, block_rows=block, draws=resampling.draws, seed=resampling.seed)
    figures, draws, counts, floors = [], [], [], []
    for name in names:
        inside = (groups == name).astype("float64")
        top, bottom = values * inside, weights * inside
        total, count = float(top.sum()), float(bottom.sum())
        figure = total / count if count else float("nan")
        tops, bottoms = drawing(top), drawing(bottom)
        draws.append(np.where(bottoms > 0, tops / np.where(bottoms > 0, bottoms, 1.0), figure))
        if measure in SIZES:
            floors.append(float(values[bottom > 0].std() / count**0.5) if count else float("nan"))
        else:
            smoothed = (total + 1) / (count + 2)
            floors.append((smoothed * (1 - smoothed) / (count + 2)) ** 0.5)
        figures.append(figure)
        counts.append(int(count))
    arrays = np.array(counts), np.array(figures), np.column_stack(draws)
    return GroupDraws(measure, names, *arrays, blocks, np.array(floors))


def furthest(drawn: GroupDraws, judged: np.ndarray, *, confidence: float) -> Difference | None:
    """The pair of judged groups whose difference is certainly the largest; None with fewer than two.

    The largest of many differences is large by chance. So the intervals of all pairs are made together: each is as many
    of its own standard errors wide as the largest of all pairs strays, counted so, in `confidence` of the draws.

    Args:
        judged: Which groups have rows enough, shape (groups,).

    Source:
        Romano and Wolf (2005), Econometrica 73(4), 1237-1282: the studentised largest of the draws.
    """
    numbers = np.flatnonzero(judged)
    if len(numbers) < 2:
        return None
    first, second = (numbers[part] for part in np.triu_indices(len(numbers), k=1))
    gaps = drawn.values[first] - drawn.values[second]
    strays = drawn.draws[:, first] - drawn.draws[:, second] - gaps
    floors = np.hypot(drawn.floors[first], drawn.floors[second])
    errors = np.maximum(np.maximum(strays.std(axis=0), floors), np.finfo(float).tiny)
    reach = float(np.quantile(np.abs(strays / errors).max(axis=1), confidence))
    normal, widening = _reach((1 + confidence) / 2, drawn.blocks)
    widths = max(reach, normal) * widening * errors
    pair = int(np.argmax(np.abs(gaps) - widths))
    high, low = (int(number[pair]) for number in ((first, second) if gaps[pair] >= 0 else (second, first)))
    gap, width = float(abs(gaps[pair])), float(widths[pair])
    return Difference(
        drawn.measure,
        drawn.groups[high],
        drawn.groups[low],
        float(drawn.values[high]),
        float(drawn.values[low]),
        gap,
        (gap - width, gap + width),
        *_ratio(drawn, high, low, reach=normal * widening),
    )


def _ratio(drawn: GroupDraws, high: int, low: int, *, reach: float) -> tuple[float | None, tuple[float, float] | None]:
    """Lower over higher figure, and its interval on a log scale; None where one of them is not above 0."""
    top, bottom = float(drawn.values[low]), float(drawn.values[high])
    if bottom <= 0 or top < 0:
        return None, None
    if top == 0:
        return 0.0, None
    ratio, errors = top / bottom, drawn.errors
    width = reach * float(np.hypot(errors[low] / top, errors[high] / bottom))
    if width > np.log(np.finfo(float).max):  # the lower figure is 0 but for noise
        return ratio, None
    return ratio, (float(ratio * np.exp(-width)), float(ratio * np.exp(width)))


def _reach(confidence: float, blocks: int) -> tuple[float, float]:
    """Standard errors of a bootstrap's bound, and the factor for a variance that is estimated from so few blocks."""
    from scipy.special import ndtri, stdtrit

    normal = float(ndtri(confidence))
    return normal, float(stdtrit(blocks - 1, confidence) / normal) * float((blocks / (blocks - 1)) ** 0.5)
