"""A recipe refitted at earlier origins, each on its own past alone, and the errors that it made there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from retrim.features.view import FeatureView
from retrim.stats.codec import Instant, Numbers, Unwritten, rows_at
from retrim.stats.metrics import row_losses
from retrim.stats.windows import Fold
from retrim.training.recipe import (
    Challenger,
    ErrorInterval,
    Recipe,
    RecipeKind,
    WindowKind,
    WindowLengths,
    challengers_of,
    competed_as,
    fit_recipe,
    in_parallel,
)

LEVEL = 0.8
"""Share of rows that the interval of a regression's errors holds; the same for all versions, so that they compare."""


@dataclass(frozen=True)
class BacktestOrigin:
    """One origin: the events of the first and the last row scored, and the mean loss of each challenger.

    `away` is actual minus predicted of each row scored, by challenger; empty but for a regression.
    """

    start: Instant
    end: Instant
    rows: int
    losses: dict[str, float]
    away: Unwritten[dict[str, Numbers]] = field(compare=False)
    predicted: Unwritten[dict[str, Numbers]] = field(compare=False)

    def of(self, name: str) -> np.ndarray:
        """What a challenger predicted here; one whose window held all rows of this past competed as the other."""
        return self.predicted[competed_as(name, self.predicted)]


def backtest(
    recipes: Mapping[RecipeKind, Recipe],
    view: FeatureView,
    rows: pd.DataFrame,
    folds: list[Fold],
    windows: tuple[WindowKind, ...],
    *,
    lengths: WindowLengths,
    cores: int,
) -> list[BacktestOrigin]:
    """Each recipe refitted at each origin on its past alone, the view's steps too; windows of the same rows make one.

    `rows` are training rows in total order with `_event`; the judging block is not among them.
    """
    views = [view.again(rows.iloc[fold.fit]) if view.steps else view for fold in folds]
    jobs = [
        (number, challenger)
        for number, fold in enumerate(folds)
        for challenger in challengers_of(recipes, windows, len(fold.fit), lengths=lengths)
    ]

    def predict(job: tuple[int, Challenger], threads: int) -> np.ndarray:
        fold, origin_view, challenger = folds[job[0]], views[job[0]], job[1]
        take = lengths.rows(fold.fit, challenger.window)
        model = fit_recipe(challenger.recipe, origin_view, rows, take=take, past=fold.fit, threads=threads)
        return model.predict(origin_view.matrix(rows_at(rows, fold.score)))

    predictions = list(zip(jobs, in_parallel(predict, jobs, cores=cores), strict=True))
    origins = []
    for number, fold in enumerate(folds):
        actual, event = view.actual(rows_at(rows, fold.score)), rows["_event"].iloc[fold.score]
        scored = [(challenger, predicted) for (origin, challenger), predicted in predictions if origin == number]
        losses = {one.name: float(np.mean(row_losses(one.recipe.loss, actual, part))) for one, part in scored}
        predicted = {challenger.name: part for challenger, part in scored}
        away = {name: actual - part if view.task == "regression" else np.empty(0) for name, part in predicted.items()}
        origins.append(BacktestOrigin(event.iloc[0], event.iloc[-1], len(fold.score), losses, away, predicted))
    return origins


def stated_interval(origins: Sequence[BacktestOrigin]) -> ErrorInterval | None:
    """What a regression promises of its errors, from rows that its refits had not seen; None of any other."""
    ends = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    pooled: dict[str, list[np.ndarray]] = {}
    for origin in origins:
        for kind, away in origin.away.items():
            pooled.setdefault(kind, []).append(away)
    errors = {kind: np.concatenate(parts) for kind, parts in pooled.items()}
    if not any(len(away) for away in errors.values()):
        return None
    quantiles = {kind: np.quantile(away, ends).tolist() for kind, away in sorted(errors.items())}
    return ErrorInterval(LEVEL, {kind: (low, high) for kind, (low, high) in quantiles.items()})
