"""The recipe refitted at earlier origins: what it would have given, had it been used before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.core.challengers import Challenger, challengers_of
from retrim.core.metrics import row_losses
from retrim.core.section import Section
from retrim.core.training import Recipe, RecipeKind, WindowKind, fit_recipe, in_parallel, training_rows
from retrim.core.view import FeatureView
from retrim.core.windows import Fold


class BacktestParams(Section):
    """The recipe refitted at earlier origins."""

    origins: int = Field(ge=1, description="how many origins")
    origin_rows: int = Field(ge=2, description="rows that each origin scores")


@dataclass(frozen=True)
class Origin:
    """One origin: the events of the first and the last row scored, and the mean loss of each challenger."""

    start: pd.Timestamp
    end: pd.Timestamp
    rows: int
    losses: dict[str, float]

    def as_record(self) -> dict[str, Any]:
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "rows": self.rows,
            "losses": self.losses,
        }


def backtest(
    recipes: Mapping[RecipeKind, Recipe],
    view: FeatureView,
    rows: pd.DataFrame,
    folds: list[Fold],
    windows: tuple[WindowKind, ...],
    *,
    sliding_rows: int,
    cores: int,
) -> list[Origin]:
    """Mean loss of each recipe at each origin, a value a training window (windows of the same rows make one).

    Args:
        recipes: Refitted at each origin on that origin's past alone.
        view: Gives matrix and targets.
        rows: Training rows in total order with `_event`; the judging block is not among them.
        folds: Row numbers of each origin.
        windows: Training windows.
        sliding_rows: Rows of the sliding one.
        cores: Cores to use; changes no result.
    """

    def score(job: tuple[Fold, Challenger], threads: int) -> float:
        fold, challenger = job
        fitted = rows.iloc[training_rows(fold.fit, challenger.window, sliding_rows=sliding_rows)]
        scored = rows.iloc[fold.score]
        model = fit_recipe(challenger.recipe, view, fitted, threads=threads)
        predicted = model.predict(view.matrix(scored))
        return float(np.mean(row_losses(challenger.recipe.loss, view.actual(scored), predicted)))

    jobs = [
        (fold, challenger)
        for fold in folds
        for challenger in challengers_of(recipes, windows, len(fold.fit), sliding_rows=sliding_rows)
    ]
    losses = in_parallel(score, jobs, cores=cores)
    return [
        Origin(
            start=rows["_event"].iloc[fold.score[0]],
            end=rows["_event"].iloc[fold.score[-1]],
            rows=len(fold.score),
            losses={each.name: loss for (origin, each), loss in zip(jobs, losses, strict=True) if origin is fold},
        )
        for fold in folds
    ]
