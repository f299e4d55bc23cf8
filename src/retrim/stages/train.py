"""Every challenger, fitted on the training rows of its window, and the profile of what it was made from."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrim.drift.alarms import AlarmParams
from retrim.drift.joint import JointParams
from retrim.drift.reference import ExpectedWindows
from retrim.errors import RefusedError
from retrim.features.view import FeatureView
from retrim.files import BEFORE_FILE, Paths, lightgbm_alone, write_folder
from retrim.stages._common import (
    grouped,
    main,
    read_feature_view,
    read_tuned,
    read_view,
    read_window_lengths,
)
from retrim.stages._fit import FittedRows, ProfileSettings, fit_files
from retrim.stats.codec import rows_at, to_parquet
from retrim.stats.metrics import JudgeParams
from retrim.stats.windows import SplitParams, part_of
from retrim.table.reading import CalendarPart
from retrim.training.estimators import Model
from retrim.training.groups import GroupParams, Mitigation
from retrim.training.recipe import (
    Challenger,
    TrainParams,
    WindowKind,
    challengers_of,
    fit_recipe,
    in_parallel,
    recipes_of,
)


def run(
    train: TrainParams,
    judge: JudgeParams,
    split: SplitParams,
    gain__rows_per_check: int,
    drift__alarms: AlarmParams | None,
    drift__joint: JointParams,
    fairness__groups: tuple[GroupParams, ...],
    fairness__mitigate: Mitigation | None,
    reading__calendar: dict[str, CalendarPart],
    reading__zone: str,
    paths: Paths,
    cores: int,
) -> None:
    """Writes a folder a challenger: a recipe on a window; windows that hold the same rows make one."""
    lightgbm_alone()
    usual = ExpectedWindows(gain__rows_per_check, drift__alarms, drift__joint, cores)
    profile = ProfileSettings(train.seed, usual, tuple(reading__calendar), reading__zone)
    task = TrainTask(train, judge, split, profile, fairness__groups, fairness__mitigate)
    made = _made(paths, task)
    names = [each.name for each in made.competing]
    folders = _all_files(made, task, cores)
    write_folder(
        paths.models,
        {f"{name}/{file}": content for name, own in zip(names, folders, strict=True) for file, content in own.items()},
    )


@dataclass(frozen=True)
class TrainTask:
    """All settings that the files of challengers depend on."""

    train: TrainParams
    judge: JudgeParams
    split: SplitParams
    profile: ProfileSettings
    groups: tuple[GroupParams, ...]
    mitigate: Mitigation | None


@dataclass(frozen=True)
class _Rows:
    """What all challengers are made from.

    Args:
        table: Rows that train, judge or lie between, in order of event.
        cut: Row numbers of each training window.
        reweight: Whether rows are weighted, so that there is a twin without weights.
    """

    table: pd.DataFrame
    rows: pd.DataFrame
    judged: pd.DataFrame
    view: FeatureView
    competing: list[Challenger]
    cut: dict[WindowKind, np.ndarray]
    reweight: bool

    def fit(self, each: Challenger, threads: int) -> Model:
        take = self.cut[each.window]
        return fit_recipe(each.recipe, self.view, self.rows, take=take, threads=threads)


def _made(paths: Paths, task: TrainTask) -> _Rows:
    table, train, split = read_view(paths), task.train, task.split
    rows, judged = part_of(table, "train"), part_of(table, "judge")
    rows = grouped(rows, paths, task.groups, task.mitigate)
    reweight = task.mitigate == "reweight"
    view = read_feature_view(paths)
    tuned, past = read_tuned(paths), np.arange(len(rows))
    recipes = recipes_of(tuned, train, loss=task.judge.loss, reweight=reweight)
    lengths = read_window_lengths(paths, rows, sliding_rows=split.sliding_rows)
    competing = challengers_of(recipes, train.windows, len(rows), lengths=lengths)
    if not competing:
        raise RefusedError("fewer than 48 rows since the change are left to fit on; retrain when more have matured")
    cut = {each.window: lengths.rows(past, each.window) for each in competing}
    return _Rows(table, rows, judged, view, competing, cut, reweight)


def _all_files(made: _Rows, task: TrainTask, cores: int) -> list[dict[str, bytes]]:
    models = in_parallel(made.fit, made.competing, cores=cores)
    twins: list[Model] = []
    if made.reweight:
        twins = in_parallel(made.fit, [_unweighted(each) for each in made.competing], cores=cores)
    return [
        _files(made, task, each, model, twins[place] if twins else None)
        for place, (each, model) in enumerate(zip(made.competing, models, strict=True))
    ]


def _unweighted(each: Challenger) -> Challenger:
    """What it would be without weights, so that the verdict can show what these did."""
    return replace(each, recipe=replace(each.recipe, reweight=False))


def _files(made: _Rows, task: TrainTask, each: Challenger, model: Model, twin: Model | None) -> dict[str, bytes]:
    """All files of a challenger's folder."""
    rows = FittedRows(made.table, rows_at(made.rows, made.cut[each.window]), made.judged)
    files = fit_files(each, model, made.view, rows, task.profile)
    return files if twin is None else {**files, BEFORE_FILE: _predictions(twin, made.view, made.judged)}


def _predictions(model: Model, view: FeatureView, judged: pd.DataFrame) -> bytes:
    """What a model predicts for the judged rows: a column, or one a class, beside the key."""
    predicted = model.predict(view.matrix(judged)).reshape(len(judged), -1)
    columns = {f"predicted_{place}": predicted[:, place] for place in range(predicted.shape[1])}
    return to_parquet(judged[["_key"]].assign(**columns))


if __name__ == "__main__":
    main(run)
