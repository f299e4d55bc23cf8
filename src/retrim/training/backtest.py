"""A recipe refitted at earlier origins, each on its own past alone, and the errors that it made there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

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


@dataclass(frozen=True)
class OriginJob:
    """A challenger at an origin, by the origin's number."""

    origin: int
    challenger: Challenger


@dataclass(frozen=True)
class OriginScore:
    """What a challenger lost and predicted at an origin; `away` is empty but for a regression."""

    loss: float
    away: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class Backtesting:
    """Recipes to be refitted at each origin on that origin's past alone.

    Args:
        recipes: Refitted at each origin on that origin's past alone.
        view: Gives matrix and targets; its steps are learned anew on the past of each origin.
        rows: Training rows in total order with `_event`; the judging block is not among them.
        folds: Row numbers of each origin.
        windows: Training windows.
        lengths: How many rows those hold.
    """

    recipes: Mapping[RecipeKind, Recipe]
    view: FeatureView
    rows: pd.DataFrame
    folds: list[Fold]
    windows: tuple[WindowKind, ...]
    lengths: WindowLengths

    @cached_property
    def views(self) -> list[FeatureView]:
        """The view of each origin."""
        return [self.view.again(self.rows.iloc[fold.fit]) if self.view.steps else self.view for fold in self.folds]

    @property
    def jobs(self) -> list[OriginJob]:
        return [
            OriginJob(number, challenger)
            for number, fold in enumerate(self.folds)
            for challenger in challengers_of(self.recipes, self.windows, len(fold.fit), lengths=self.lengths)
        ]

    def score(self, job: OriginJob, threads: int) -> OriginScore:
        fold, view, challenger = self.folds[job.origin], self.views[job.origin], job.challenger
        take = self.lengths.rows(fold.fit, challenger.window)
        scored = rows_at(self.rows, fold.score)
        recipe = challenger.recipe
        model = fit_recipe(recipe, view, self.rows, take=take, past=fold.fit, threads=threads)
        predicted = model.predict(view.matrix(scored))
        actual = self.view.actual(scored)
        away = actual - predicted if self.view.task == "regression" else np.empty(0)
        return OriginScore(float(np.mean(row_losses(recipe.loss, actual, predicted))), away, predicted)

    def origins(self, scores: Sequence[OriginScore]) -> list[BacktestOrigin]:
        """What the jobs gave, by origin."""
        jobs = self.jobs
        return [
            BacktestOrigin(
                start=self.rows["_event"].iloc[fold.score[0]],
                end=self.rows["_event"].iloc[fold.score[-1]],
                rows=len(fold.score),
                losses={job.challenger.name: score.loss for job, score in scored},
                away={job.challenger.name: score.away for job, score in scored},
                predicted={job.challenger.name: score.predicted for job, score in scored},
            )
            for number, fold in enumerate(self.folds)
            if (scored := [pair for pair in zip(jobs, scores, strict=True) if pair[0].origin == number])
        ]


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
    """Mean loss of each recipe at each origin, a value a training window (windows of the same rows make one)."""
    backtesting = Backtesting(recipes, view, rows, folds, windows, lengths)
    backtesting.views  # noqa: B018  learned once, before threads ask for them
    return backtesting.origins(in_parallel(backtesting.score, backtesting.jobs, cores=cores))


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
