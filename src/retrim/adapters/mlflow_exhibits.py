"""What a run shows of its bundle: parameters, metrics and pictures, read from the bundle's files."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

from retrim.errors import BadInputError, RetrimError
from retrim.features.view import FeatureView
from retrim.gate.fairness import FairnessRecord
from retrim.gate.verdict_record import SlicesRecord, VerdictRecord
from retrim.stats import charts
from retrim.stats.codec import from_record, to_record
from retrim.stats.metrics import Task, row_losses
from retrim.stats.windows import spans
from retrim.training.bundle import (
    FORMAT_FILE,
    HYPERPARAMETERS,
    SETTINGS,
    SPLIT,
    TRIALS,
    VERDICT,
    VIEW,
    BacktestRecord,
    FitRecord,
    FoundRecord,
    SplitRecord,
)
from retrim.training.contributions import Importance
from retrim.training.tuning import Trial

BACKTEST = "backtest/backtest.json"
JUDGED = "verdict/judged.parquet"
SLICES = "verdict/slices.json"
IMPORTANCE = "verdict/importance.json"
FAIRNESS = "verdict/fairness.json"
T = TypeVar("T")
CHAMPION_LOSS = "_champion_loss"
BLOCKS = 12
"""Blocks of the judging rows in the picture of challenger and champion over time."""


@dataclass(frozen=True)
class MetricPoint:
    """One figure of a metric; steps count folds, origins or nothing."""

    metric: str
    value: float
    step: int


@dataclass(frozen=True)
class Exhibits:
    """A bundle on disk, and what can be shown of it."""

    bundle: Path

    def read(self, name: str) -> Any:
        """A JSON file of the bundle.

        Raises:
            BadInputError: The bundle does not have it, or it is torn.
        """
        try:
            return json.loads((self.bundle / name).read_bytes())
        except (OSError, ValueError) as error:
            raise self._torn(name, error) from error

    def optional(self, name: str) -> Any:
        """A JSON file that older bundles do not have; None where it is not there, or says nothing."""
        return self.read(name) if (self.bundle / name).is_file() else None

    def judged(self) -> pd.DataFrame:
        """The judged rows: what was predicted, what came.

        Raises:
            BadInputError: As above.
        """
        try:
            return pd.read_parquet(self.bundle / JUDGED)
        except (OSError, ValueError) as error:
            raise self._torn(JUDGED, error) from error

    def _torn(self, name: str, error: Exception) -> BadInputError:
        return BadInputError(
            f"{self.bundle.name} is not a complete bundle: {name} cannot be read ({type(error).__name__}); "
            "run `dvc repro` in its room"
        )

    def typed(self, kind: type[T], name: str) -> T:
        """A JSON file as the record that it holds.

        Raises:
            BadInputError: As above, or it holds another.
        """
        try:
            return from_record(kind, self.read(name))
        except RetrimError as error:
            raise self._torn(name, error) from error

    def typed_if_there(self, kind: type[T], name: str) -> T | None:
        """The same of a file that older bundles do not have; None where it is not there, or says nothing."""
        return None if self.optional(name) is None else self.typed(kind, name)

    @cached_property
    def verdict(self) -> VerdictRecord:
        return self.typed(VerdictRecord, VERDICT)

    @cached_property
    def view(self) -> FeatureView:
        return FeatureView.from_record(self.read(VIEW))

    @cached_property
    def fit(self) -> FitRecord:
        """What the winner was fitted with and on."""
        return self.typed(FitRecord, f"models/{self.winner}/fit.json")

    @cached_property
    def split(self) -> SplitRecord:
        return self.typed(SplitRecord, SPLIT)

    @cached_property
    def found(self) -> FoundRecord | None:
        return self.typed_if_there(FoundRecord, HYPERPARAMETERS)

    @cached_property
    def backtest(self) -> BacktestRecord | None:
        return self.typed_if_there(BacktestRecord, BACKTEST)

    @cached_property
    def slices(self) -> SlicesRecord | None:
        return self.typed_if_there(SlicesRecord, SLICES)

    @cached_property
    def importance(self) -> Importance | None:
        return self.typed_if_there(Importance, IMPORTANCE)

    @cached_property
    def fairness(self) -> FairnessRecord | None:
        return self.typed_if_there(FairnessRecord, FAIRNESS)

    @property
    def winner(self) -> str:
        return self.verdict.winner

    @property
    def predicting(self) -> list[str]:
        """Names of the files that predicting takes."""
        folder = f"models/{self.winner}"
        own = [f"{folder}/{path.name}" for path in sorted((self.bundle / folder).iterdir()) if path.is_file()]
        numbered = [FORMAT_FILE] if (self.bundle / FORMAT_FILE).exists() else []  # older bundles have no number
        return [*numbered, VIEW, SPLIT, HYPERPARAMETERS, VERDICT, *own]

    def trials(self) -> list[Trial]:
        return [Trial.from_record(record) for record in self.read(TRIALS)]

    def parameters(self) -> dict[str, str]:
        """Hyperparameters under their own names; windows and rows; each setting under its section and name."""
        split, fit = self.split, self.fit
        found = {name: str(value) for name, value in fit.recipe.hyperparameters.items()}
        for section, stated in (self.optional(SETTINGS) or {}).items():
            if isinstance(stated, dict):
                found |= {f"{section}.{name}": _as_text(value) for name, value in stated.items()}
        return found | {
            "rounds": str(fit.recipe.rounds),
            "model": fit.recipe.model,
            "loss": fit.recipe.loss,
            "seed": str(fit.recipe.seed),
            "window": fit.window or self.winner,
            "recipe": fit.recipe_of,
            "rows.trained": str(fit.rows),
            **({} if fit.early is None else {"rows.early": str(to_record(fit.early))}),
            "rows.mature": str(split.rows),
            "rows.judged": str(self.verdict.rows),
            "trained.from": fit.since,
            "trained.until": fit.until,
            "judged.from": str(split.judged_from),
            "judged.until": split.judged_until,
        }

    def points(self) -> list[MetricPoint]:
        """Judging loss of every model, the winner's metrics, the gate's figures, the backtest's losses by origin."""
        verdict = self.verdict
        winner = verdict.winner
        points = [MetricPoint(f"judging_loss/{name}", loss, 0) for name, loss in verdict.losses.items()]
        points += [MetricPoint(f"judged/{name}", value, 0) for name, value in verdict.metrics.get(winner, {}).items()]
        points += [MetricPoint(f"gate/{_plain(check.name)}", check.figure, 0) for check in verdict.checks]
        if winner in verdict.losses:
            points.append(MetricPoint("judging_loss", verdict.losses[winner], 0))
        for step, origin in enumerate(self.typed(BacktestRecord, BACKTEST).origins):
            points += [MetricPoint(f"backtest_loss/{name}", loss, step) for name, loss in origin.losses.items()]
        return points

    def pictures(self) -> dict[str, bytes]:
        """PNG files by name; those that a bundle of before has no figures for are left out."""
        verdict, tuned = self.verdict, self.typed(FoundRecord, HYPERPARAMETERS)
        backtest = self.typed(BacktestRecord, BACKTEST)
        made = {
            "importance.png": self._importance(),
            "loss_over_folds.png": charts.loss_over_folds(
                [(pd.Timestamp(origin.start), origin.losses) for origin in backtest.origins],
                loss=backtest.loss,
            ),
        }
        judged = self.judged()
        if len(judged):
            made |= _of_judged(judged, self.view, verdict.winner, loss=backtest.loss)
            sliced = self.slices
            if sliced is not None and sliced.slices:
                mean = verdict.losses[verdict.winner]
                made["slices.png"] = charts.slices(sliced.slices, loss=sliced.loss, mean=mean)
        if tuned.importance:
            made["hyperparameter_importance.png"] = charts.hyperparameter_importance(tuned.importance)
        return made

    def _importance(self) -> bytes:
        gains, exact = self.fit.gains, self.importance
        if exact is None:
            return charts.importance(list(gains), list(gains.values()))
        return charts.importance_by_contributions(gains, exact.weights, rows=exact.rows)


def _of_judged(judged: pd.DataFrame, view: FeatureView, winner: str, *, loss: str) -> dict[str, bytes]:
    """What the judged rows show of a task: calibration, confusion or residuals, challenger against champion."""
    actual, predicted, task = judged["actual"].to_numpy(), predicted_of(judged, winner), cast("Task", view.task)
    made = {"calibration.png": charts.calibration(actual, predicted, task, loss=loss)}
    if task == "regression":
        made["predicted_against_actual.png"] = charts.predicted_against_actual(actual, predicted)
        made["residuals.png"] = charts.residuals(list(judged["_event"]), actual, predicted)
    else:
        made["confusion.png"] = charts.confusion(actual, predicted, view.classes)
    if CHAMPION_LOSS in judged:
        losses = {winner: row_losses(loss, actual, predicted), "champion": judged[CHAMPION_LOSS].to_numpy()}
        blocks = []
        for part in spans(len(judged), min(BLOCKS, len(judged))):
            middle = pd.Timestamp(judged["_event"].iloc[part].mean())
            blocks.append((middle, {name: float(each[part].mean()) for name, each in losses.items()}))
        made["challenger_against_champion.png"] = charts.loss_over_blocks(blocks, loss=loss, challenger=winner)
    return made


def predicted_of(judged: pd.DataFrame, model: str) -> np.ndarray:
    """Predictions of one of the judged models: shape (n,), or (n, classes)."""
    if model in judged:
        return judged[model].to_numpy()
    places = sum(re.fullmatch(rf"{re.escape(model)}_\d+", name) is not None for name in judged.columns)
    return judged[[f"{model}_{place}" for place in range(places)]].to_numpy()


def _plain(name: str) -> str:
    """The name of a check as MLflow takes it for a metric: a column of the table may be called anything."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
