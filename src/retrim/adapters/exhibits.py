"""A bundle on disk, and what of it is shown: its records, parameters, figures and pictures."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

from retrim.card import charts
from retrim.errors import BadInputError, RetrimError
from retrim.features.view import FeatureView
from retrim.gate.fairness import FairnessRecord
from retrim.gate.verdict import SlicesRecord, VerdictRecord
from retrim.parquet import read_parquet
from retrim.stats.codec import from_record
from retrim.stats.metrics import Task, row_losses
from retrim.stats.windows import spans
from retrim.training.bundle import (
    BACKTEST,
    FINAL_FOLDER,
    FORMAT_FILE,
    HYPERPARAMETERS,
    SETTINGS,
    SPLIT,
    TRIALS,
    VERDICT,
    VIEW,
    FitRecord,
    JudgedRecord,
    SplitRecord,
)
from retrim.training.predicted import Importance
from retrim.training.recipe import BacktestRecord, FoundRecord
from retrim.training.tuning import Trial

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
        """A JSON file that not every bundle has; None where it is not there, or says nothing."""
        return self.read(name) if (self.bundle / name).is_file() else None

    def judged(self) -> pd.DataFrame:
        """The judged rows: what was predicted, what came.

        Raises:
            BadInputError: The bundle does not have them, or they are torn.
        """
        try:
            return read_parquet(self.bundle / JUDGED)
        except (OSError, ValueError) as error:
            raise self._torn(JUDGED, error) from error

    def _torn(self, name: str, error: Exception) -> BadInputError:
        return BadInputError(
            f"the bundle {self.bundle.name} is incomplete: {name} cannot be read ({type(error).__name__}); run `dvc "
            "repro` in its run directory"
        )

    def typed(self, kind: type[T], name: str) -> T:
        """A JSON file as the record that it holds.

        Raises:
            BadInputError: It is not there, or is torn, or holds another.
        """
        try:
            return from_record(kind, self.read(name))
        except RetrimError as error:
            raise self._torn(name, error) from error

    def typed_if_there(self, kind: type[T], name: str) -> T | None:
        """As `typed`; None where the file is not there, or says nothing."""
        return None if self.optional(name) is None else self.typed(kind, name)

    @cached_property
    def verdict(self) -> VerdictRecord:
        return self.typed(VerdictRecord, VERDICT)

    @cached_property
    def view(self) -> FeatureView:
        return self.typed(FeatureView, VIEW)

    @cached_property
    def use(self) -> JudgedRecord:
        """Which of its two fits predicts."""
        return self.typed(JudgedRecord, VERDICT)

    @cached_property
    def predicting_view(self) -> FeatureView:
        """The view of the fit that predicts."""
        return self.typed(FeatureView, self.use.view)

    @cached_property
    def final(self) -> FitRecord | None:
        """What the final fit was fitted on; None where there is none."""
        return self.typed_if_there(FitRecord, f"{FINAL_FOLDER}/fit.json")

    @cached_property
    def fit(self) -> FitRecord:
        """What the judged fit of the winner was fitted with and on."""
        return self.typed(FitRecord, f"models/{self.winner}/fit.json")

    @cached_property
    def split(self) -> SplitRecord:
        return self.typed(SplitRecord, SPLIT)

    @cached_property
    def found(self) -> FoundRecord:
        return self.typed(FoundRecord, HYPERPARAMETERS)

    @cached_property
    def backtest(self) -> BacktestRecord:
        return self.typed(BacktestRecord, BACKTEST)

    @cached_property
    def slices(self) -> SlicesRecord:
        return self.typed(SlicesRecord, SLICES)

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
        folder, view = self.use.folder, self.use.view
        model_files = [f"{folder}/{path.name}" for path in sorted((self.bundle / folder).iterdir()) if path.is_file()]
        return [FORMAT_FILE, view, SPLIT, HYPERPARAMETERS, VERDICT, *model_files]

    def trials(self) -> list[Trial]:
        return [from_record(Trial, record) for record in self.read(TRIALS)]

    def parameters(self) -> dict[str, str]:
        """Hyperparameters under their own names; windows and rows; each setting under its section and name."""
        split, fit, final = self.split, self.fit, self.final
        parameters = {plain_name(name): str(value) for name, value in fit.recipe.hyperparameters.items()}
        for section, stated in (self.optional(SETTINGS) or {}).items():
            if isinstance(stated, dict):
                parameters |= {f"{section}.{name}": _as_text(value) for name, value in stated.items()}
        if final is not None:
            parameters |= {"rows.final": str(final.rows), "final.from": final.since, "final.until": final.until}
        return parameters | {
            "rounds": str(fit.recipe.rounds),
            "model": fit.recipe.model,
            "loss": fit.recipe.loss,
            "seed": str(fit.recipe.seed),
            "window": fit.window,
            "recipe": fit.recipe_of,
            "rows.trained": str(fit.rows),
            "rows.mature": str(split.rows),
            "rows.judged": str(self.verdict.rows),
            "trained.from": fit.since,
            "trained.until": fit.until,
            "judged.from": str(split.judged_from),
            "judged.until": split.judged_until,
        }

    def points(self) -> list[MetricPoint]:
        """Judging loss of every model, the winner's metrics, the gate's figures, the backtest's losses by origin.

        What the final fit loses on the holdout rows, which it has seen, is its training error, `train/...`.
        """
        verdict = self.verdict
        winner = verdict.winner
        points = [MetricPoint(f"judging_loss/{name}", loss, 0) for name, loss in verdict.losses.items()]
        measured = verdict.metrics.get(winner, {}).items()
        points += [MetricPoint(f"judged/{plain_name(name)}", value, 0) for name, value in measured]
        training = {} if verdict.final is None else verdict.final.training
        points += [MetricPoint(f"train/{plain_name(name)}", value, 0) for name, value in training.items()]
        points += [MetricPoint(f"gate/{plain_name(check.name)}", check.figure, 0) for check in verdict.checks]
        if winner in verdict.losses:
            points.append(MetricPoint("judging_loss", verdict.losses[winner], 0))
        for step, origin in enumerate(self.backtest.origins):
            points += [MetricPoint(f"backtest_loss/{name}", loss, step) for name, loss in origin.losses.items()]
        return points

    def pictures(self) -> dict[str, bytes]:
        """PNG files by name; those without figures are left out."""
        verdict, tuned, backtest = self.verdict, self.found, self.backtest
        pictures = {
            "importance.png": self._importance(),
            "loss_over_folds.png": charts.lines_over_time(
                [(pd.Timestamp(origin.start), origin.losses) for origin in backtest.origins],
                title="Loss over folds",
                label=f"mean {charts.plain(backtest.loss)} per fold",
                time="start of the fold (UTC)",
            ),
        }
        judged = self.judged()
        if len(judged):
            pictures |= _of_judged(judged, self.view, verdict.winner, loss=backtest.loss)
            sliced = self.slices
            if sliced.slices:
                mean = verdict.losses[verdict.winner]
                pictures["slices.png"] = charts.slices(sliced.slices, loss=sliced.loss, mean=mean)
        if tuned.importance:
            pictures["hyperparameter_importance.png"] = charts.hyperparameter_importance(tuned.importance)
        return pictures

    def _importance(self) -> bytes:
        gains, exact = self.fit.gains, self.importance
        if exact is None:
            return charts.importance(list(gains), list(gains.values()))
        return charts.importance_by_contributions(gains, exact.weights, rows=exact.rows)


def _of_judged(judged: pd.DataFrame, view: FeatureView, winner: str, *, loss: str) -> dict[str, bytes]:
    """What the judged rows show of a task: calibration, confusion or residuals, challenger against champion."""
    actual, predicted, task = judged["actual"].to_numpy(), predicted_of(judged, winner), cast("Task", view.task)
    pictures = {"calibration.png": charts.calibration(actual, predicted, task, loss=loss)}
    if task == "regression":
        pictures["predicted_against_actual.png"] = charts.predicted_against_actual(actual, predicted)
        pictures["residuals.png"] = charts.residuals(list(judged["_event"]), actual, predicted)
    else:
        pictures["confusion.png"] = charts.confusion(actual, predicted, view.classes)
    if CHAMPION_LOSS in judged:
        losses = {winner: row_losses(loss, actual, predicted), "champion": judged[CHAMPION_LOSS].to_numpy()}
        blocks = []
        for part in spans(len(judged), min(BLOCKS, len(judged))):
            middle = pd.Timestamp(judged["_event"].iloc[part].mean())
            blocks.append((middle, {name: float(loss_of_rows[part].mean()) for name, loss_of_rows in losses.items()}))
        pictures["challenger_against_champion.png"] = charts.lines_over_time(
            blocks,
            title=f"Challenger ({charts.plain(winner)}) against champion",
            label=f"mean {charts.plain(loss)} per block",
            time="middle of the block (UTC)",
        )
    return pictures


def predicted_of(judged: pd.DataFrame, model: str) -> np.ndarray:
    """Predictions of one of the judged models: shape (n,), or (n, classes)."""
    if model in judged:
        return judged[model].to_numpy()
    places = sum(re.fullmatch(rf"{re.escape(model)}_\d+", name) is not None for name in judged.columns)
    return judged[[f"{model}_{place}" for place in range(places)]].to_numpy()


def plain_name(name: str) -> str:
    """A name as MLflow takes it: no `@` as in `pinball@0.9`; columns, and what a custom model asks, have any name."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
