"""The bundle: the folder that a run made. Its names and format, and the predictor that it holds."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import sha256
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.features.view import FeatureView
from retrim.stats.codec import Absent, digest_of, from_record, key
from retrim.table.data import ColumnType
from retrim.table.lags import HistoryParams, past_takes
from retrim.training.classes import load_balanced
from retrim.training.estimators import Model
from retrim.training.recipe import Recipe, RecipeKind, WindowKind

FORMAT_FILE = "format.json"
VIEW = "features/view.json"
FINAL_VIEW = "features/final_view.json"
"""The view of the final fit, learned on all mature rows; not there where `retrain.refit_after` is off."""
FINAL_FOLDER = "verdict/final"
"""The winner of a promotion fitted again on all mature rows, with the profile of these."""
SETTINGS = "settings.json"
"""Every setting that its run was made with, defaults among them."""
HISTORY = "features/history.json"
"""Its features from the past; not there where it has none."""
THRESHOLDS = "backtest/thresholds.json"
FORMAT = 1
"""Raised when a file or field that was there is gone or means something else; an added one leaves it.

docs/reference/bundle.md describes it, and tests/fixtures/bundles keeps a bundle of each number for ever.
"""
SPLIT = "features/split.json"
HYPERPARAMETERS = "tuning/hyperparameters.json"
TRIALS = "tuning/trials.json"
BACKTEST = "backtest/backtest.json"
VERDICT = "verdict/verdict.json"
DIGESTS = "digests.json"
"""Beside the files that predicting takes, where they are served without the rest: the SHA-256 of each."""
CALENDAR = "calendar.json"
"""Beside them too: features that are made of the time of the event."""
READ = (VIEW, HISTORY)
"""Files of a bundle that say it."""


@dataclass(frozen=True)
class BundleFormat:
    """What the file holds."""

    format: Annotated[int, Field(strict=True, ge=1)]
    kind: str = "retrim bundle"


def format_of(files: Mapping[str, bytes]) -> int:
    """The format of a bundle.

    Raises:
        BadInputError: It is newer than what this retrim reads, or the file is none.
        KeyError: The file is missing.
    """
    try:
        number = from_record(BundleFormat, json.loads(files[FORMAT_FILE])).format
    except (ValueError, RetrimError) as error:
        raise BadInputError(f"{FORMAT_FILE} of the bundle cannot be read; restore the bundle from a backup") from error
    if number > FORMAT:
        raise BadInputError(
            f"the bundle has format {number}, but this version of retrim reads formats up to {FORMAT}; install the "
            "version that made the bundle, or a newer one"
        )
    return number


@dataclass(frozen=True)
class FitRecord:
    """fit.json: how and on which rows a challenger was fitted.

    Args:
        recipe: Everything that the fit used except the rows.
        rows: Rows that it was fitted on.
        since: Event time of the oldest of these rows.
        until: Event time of the newest of these rows.
        gains: Gain of the splits, by feature.
        recipe_of: `found`: by its search; `champion`: the champion's recipe.
    """

    recipe: Recipe
    rows: int
    since: Annotated[str, key("from")]
    until: str
    window: WindowKind
    gains: dict[str, float] = field(default_factory=dict)
    recipe_of: RecipeKind = "found"


@dataclass(frozen=True)
class SplitRecord:
    """split.json: how the rows were split.

    Args:
        used_until: Event time of the newest row used for training, tuning or early stopping.
        judged_from: Event time of the first holdout row; None if there are none.
        judged_until: Event time of the newest row.
        row_order: Digest of the keys in their order.
        series: Columns that identify a series of rows.
    """

    rows: dict[str, int]
    used_until: str
    judged_from: str | None
    judged_until: str
    row_order: str
    series: Absent[tuple[str, ...]] = None


def digests_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """The SHA-256 of each file, by name."""
    return {name: sha256(content).hexdigest() for name, content in files.items()}


def refuse_altered(files: Mapping[str, bytes]) -> None:
    """Refuses files that are not what `digests.json` among them says; those of a run have none.

    Raises:
        RefusedError: Names the first that was altered, added or taken away.
    """
    if DIGESTS not in files:
        return
    digests = digests_of({name: content for name, content in files.items() if name != DIGESTS})
    try:
        noted = dict(json.loads(files[DIGESTS]))
    except (TypeError, ValueError):
        noted = {}
    for name in sorted({*digests, *noted}):
        if digests.get(name) != noted.get(name):
            raise RefusedError(
                f"{name} or {DIGESTS} of the stored model was altered after it was published. Compare {name} with "
                "the copy in the bundle of its run, whose hash `retrim predict` checks. If they differ, replace "
                f"{name} with that copy. If they are the same, {DIGESTS} was altered, so restore MLflow's "
                "artifacts from a backup"
            )


@dataclass(frozen=True)
class Predictor:
    """A stored model with its own preprocessing: the final fit where it predicts, else the judged one.

    Args:
        recipe: What it was fitted with: of several that competed, the one that won.
        window: The training window that won.
        used_until: Event time of the newest row it was fitted, tuned or stopped on; `judged_until` for a final fit.
        trained_from: Event time of the oldest row it was fitted on.
        judged_until: Event time of the newest row it was judged on.
        judged_loss: Mean loss of the judged fit on the rows it was judged on.
        threshold: Probability from which a row is selected; None where nothing is decided.
    """

    view: FeatureView
    load: Callable[[], Model]
    recipe: Recipe
    window: WindowKind
    used_until: pd.Timestamp
    trained_from: pd.Timestamp
    judged_until: pd.Timestamp
    judged_loss: float
    threshold: float | None = None

    @cached_property
    def model(self) -> Model:
        """The winning model, loaded when first asked for: what has nothing to predict does without its library."""
        return self.load()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that it needs for its features."""
        return tuple(dict.fromkeys(self.view.needs))

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predictions for rows of the table: shape (n,), or (n, classes) for a multiclass task; none without rows.

        Raises:
            BadInputError: The rows lack a feature.
        """
        lacking = [name for name in self.view.needs if name not in rows.columns]
        if lacking:
            raise BadInputError(
                f"the rows lack columns that the model needs: {', '.join(lacking)}; add these columns (unknown "
                "values may be blank), or use a version that does not need them"
            )
        if not len(rows):
            return np.empty((0, len(self.view.classes)) if self.view.task == "multiclass" else 0)
        return self.model.predict(self.view.matrix(rows))

    def decide(self, predicted: np.ndarray) -> np.ndarray | None:
        """Whether each row is selected by its probability, shape (n,); None for a version that does not decide."""
        return None if self.threshold is None else predicted >= self.threshold


def model_digest(files: Mapping[str, bytes]) -> str:
    """The SHA-256 of a stored challenger's model: of its file, or where it has several, over all of them."""
    model_files = {name: content for name, content in files.items() if "/" not in name and name != "fit.json"}
    digests = digests_of(model_files)
    return next(iter(digests.values())) if len(digests) == 1 else digest_of(digests)


def predicting(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a bundle that `load_predictor` reads, and no others."""
    judged = judged_in(files)
    folder = f"{judged.folder}/"
    wanted = {FORMAT_FILE, VIEW, judged.view, SPLIT, HYPERPARAMETERS, VERDICT, THRESHOLDS, HISTORY}
    return {name: content for name, content in files.items() if name in wanted or _is_in(folder, name)}


def _is_in(folder: str, name: str) -> bool:
    """Whether a file is of the folder itself, where a model's own are, and not of a folder in it."""
    return name.startswith(folder) and "/" not in name.removeprefix(folder)


@dataclass(frozen=True)
class FinalUse:
    """Of what a verdict says of the final fit, whether it predicts."""

    used: bool


@dataclass(frozen=True)
class JudgedRecord:
    """Of verdict.json, what predicting reads."""

    winner: str
    losses: dict[str, float]
    final: FinalUse | None = None

    @property
    def predicts_final(self) -> bool:
        """Whether the final fit predicts, and not the judged one."""
        return self.final is not None and self.final.used

    @property
    def folder(self) -> str:
        """The folder of the fit that predicts."""
        return FINAL_FOLDER if self.predicts_final else f"models/{self.winner}"

    @property
    def view(self) -> str:
        """The file of the view of the fit that predicts."""
        return FINAL_VIEW if self.predicts_final else VIEW

    def used_until(self, split: SplitRecord) -> str:
        """Event time of the newest row that the fit that predicts was fitted, tuned or stopped on."""
        return split.judged_until if self.predicts_final else split.used_until


def judged_in(files: Mapping[str, bytes]) -> JudgedRecord:
    """What the verdict of a bundle says to those who predict."""
    return from_record(JudgedRecord, json.loads(files[VERDICT]))


def load_predictor(files: Mapping[str, bytes]) -> Predictor:
    """The predictor of a bundle, from the bytes of its files by relative name.

    Raises:
        BadInputError: Its format is newer than what this retrim reads.
        KeyError: A file of the bundle is missing.
    """
    predictor = open_predictor(files)
    _ = predictor.model
    return predictor


def open_predictor(files: Mapping[str, bytes]) -> Predictor:
    """The same with its model still to be loaded, by whoever first asks for it or for a prediction.

    Raises:
        BadInputError: As above.
        KeyError: A file beside those of the model is missing.
    """
    format_of(files)
    judged = judged_in(files)
    view = from_record(FeatureView, json.loads(files[judged.view]))
    split = from_record(SplitRecord, json.loads(files[SPLIT]))
    fit = from_record(FitRecord, json.loads(files[f"{judged.folder}/fit.json"]))
    recipe = fit.recipe
    folder = f"{judged.folder}/"
    model_files = {name.removeprefix(folder): content for name, content in files.items() if _is_in(folder, name)}
    return Predictor(
        view=view,
        load=partial(load_balanced, recipe.model, view, model_files),
        recipe=recipe,
        window=fit.window,
        used_until=pd.Timestamp(judged.used_until(split)),
        trained_from=pd.Timestamp(fit.since),
        judged_until=pd.Timestamp(split.judged_until),
        judged_loss=judged.losses[judged.winner],
        threshold=thresholds_by_name(files.get(THRESHOLDS, b"{}")).get(judged.winner),
    )


def thresholds_by_name(content: bytes) -> dict[str, float]:
    """What thresholds.json says, by challenger; empty where `decide.threshold` is not set."""
    return from_record(dict[str, float], json.loads(content))


def needs_of(files: Mapping[str, bytes]) -> dict[str, ColumnType]:
    """Columns of landed rows that predicting and judging with a bundle take, and their types when it was made.

    A column that is only the source of a feature from the past is a number where nothing says
    otherwise: read as such it holds what can be read of it.
    """
    view = from_record(FeatureView, json.loads(files[VIEW]))
    history = HistoryParams.model_validate_json(files[HISTORY]) if HISTORY in files else None
    from_past = set() if history is None else set(history.columns)
    needs: dict[str, ColumnType] = {name: kind for name, kind in view.features.items() if name not in from_past}
    needs[view.target] = "number" if view.task == "regression" else "category"
    if view.time:
        needs[view.time] = "time"
    if history is not None:
        for name in sorted(past_takes(history)):
            needs.setdefault(name, "category" if name in history.entity else "number")
    return needs
