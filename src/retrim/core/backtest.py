"""The recipe refitted at earlier origins: what it would have given, had it been used before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.core.challengers import Challenger, challengers_of
from retrim.core.frames import rows_at
from retrim.core.metrics import row_losses
from retrim.core.section import Section
from retrim.core.training import Recipe, RecipeKind, WindowKind, fit_recipe, in_parallel, training_rows
from retrim.core.view import FeatureView
from retrim.core.windows import Fold


class BacktestParams(Section):
    """The recipe refitted at earlier origins."""

    origins: int = Field(ge=1, description="how many origins")
    origin_rows: int = Field(ge=2, description="rows that each origin scores")
    interval: float = Field(gt=0, lt=1, description="share of rows that a regression's stated interval is to hold")


@dataclass(frozen=True)
class Origin:
    """One origin: the events of the first and the last row scored, and the mean loss of each challenger.

    `away` is actual minus predicted of each row scored, by challenger; empty but for a regression.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    rows: int
    losses: dict[str, float]
    away: dict[str, np.ndarray] = field(compare=False)
    predicted: dict[str, np.ndarray] = field(compare=False)

    def of(self, name: str) -> np.ndarray:
        """What a challenger predicted here; one whose window held all rows of this past competed as the other."""
        return self.predicted[name if name in self.predicted else name.replace("sliding", "all")]

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
        view: Gives matrix and targets; its steps are learned anew on the past of each origin.
        rows: Training rows in total order with `_event`; the judging block is not among them.
        folds: Row numbers of each origin.
        windows: Training windows.
        sliding_rows: Rows of the sliding one.
        cores: Cores to use; changes no result.
    """
    views = {fold.score[0]: view.again(rows.iloc[fold.fit]) if view.steps else view for fold in folds}

    def score(job: tuple[Fold, Challenger], threads: int) -> tuple[float, np.ndarray, np.ndarray]:
        fold, challenger = job
        take = training_rows(fold.fit, challenger.window, sliding_rows=sliding_rows)
        scored, own = rows_at(rows, fold.score), views[fold.score[0]]
        model = fit_recipe(challenger.recipe, own, rows, take=take, past=fold.fit, threads=threads)
        predicted = model.predict(own.matrix(scored))
        actual = view.actual(scored)
        away = actual - predicted if view.task == "regression" else np.empty(0)
        loss = float(np.mean(row_losses(challenger.recipe.loss, actual, predicted)))
        return loss, away, predicted

    jobs = [
        (fold, challenger)
        for fold in folds
        for challenger in challengers_of(recipes, windows, len(fold.fit), sliding_rows=sliding_rows)
    ]
    scored = list(zip(jobs, in_parallel(score, jobs, cores=cores), strict=True))
    return [
        Origin(
            start=rows["_event"].iloc[fold.score[0]],
            end=rows["_event"].iloc[fold.score[-1]],
            rows=len(fold.score),
            losses={each.name: loss for (origin, each), (loss, _, _) in scored if origin is fold},
            away={each.name: away for (origin, each), (_, away, _) in scored if origin is fold},
            predicted={each.name: predicted for (origin, each), (_, _, predicted) in scored if origin is fold},
        )
        for fold in folds
    ]


def stated_interval(origins: Sequence[Origin], *, level: float) -> dict[str, Any] | None:
    """What a regression promises of its errors, from rows that its refits had not seen.

    Args:
        origins: As backtested.
        level: Share of the rows that the interval is to hold, as many left out below as above.

    Returns:
        `level`, and under `residuals` by training window what actual minus predicted lay between,
        in units of the target; None but for a regression.
    """
    ends = (1 - level) / 2, (1 + level) / 2
    pooled: dict[str, list[np.ndarray]] = {}
    for origin in origins:
        for kind, away in origin.away.items():
            pooled.setdefault(kind, []).append(away)
    found = {kind: np.concatenate(parts) for kind, parts in pooled.items()}
    if not any(len(away) for away in found.values()):
        return None
    return {
        "level": level,
        "residuals": {kind: [float(end) for end in np.quantile(away, ends)] for kind, away in sorted(found.items())},
    }


def of_judged(record: Mapping[str, Any], thresholds: Mapping[str, Any], winner: str, name: str) -> dict[str, Any]:
    """What a recipe that is fitted once more has of the backtest of the run that judged it, under its own name.

    Args:
        record: Of the judged run's backtest.json.
        thresholds: Of its thresholds.json; empty where there is none.
        winner: Name of the challenger that won there.
        name: Name of the one that is fitted once more.

    Returns:
        The two records, by file; the second is left out where it would be empty.
    """

    def own(by_name: Mapping[str, Any]) -> dict[str, Any]:
        found = winner if winner in by_name else winner.replace("sliding", "all")  # of as many rows both were one
        return {name: by_name[found]} if found in by_name else {}

    interval = record["interval"]
    kept = {
        **record,
        "origins": [{**origin, "losses": own(origin["losses"])} for origin in record["origins"]],
        "interval": None if interval is None else {**interval, "residuals": own(interval["residuals"])},
        **({"decide": own(record["decide"])} if "decide" in record else {}),
    }
    return {"backtest.json": kept, **({"thresholds.json": own(thresholds)} if thresholds else {})}
