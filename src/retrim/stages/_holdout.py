"""Every model that may be live, on the rows that judge: new fits, the champion, previous champions, naive baselines."""

import json

import numpy as np
import pandas as pd

from retrim.decision.previous_champions import COMPETING, may_compete, shortlist
from retrim.errors import RefusedError
from retrim.features.view import FeatureView
from retrim.files import Paths, read_folder
from retrim.gate.verdict import GateParams, HoldoutJudgement, ScoredModel, StatedInterval, score, score_stored
from retrim.parquet import read_parquet
from retrim.reading.frames import read_frame, read_rows_at
from retrim.stages._common import read_json, read_split
from retrim.stats.codec import from_record
from retrim.stats.metrics import JudgeParams, row_losses
from retrim.stats.windows import part_of
from retrim.table.keys import at_keys
from retrim.training.baseline import BASELINES
from retrim.training.bundle import THRESHOLDS, FitRecord, Predictor, load_predictor, thresholds_by_name
from retrim.training.classes import load_balanced
from retrim.training.estimators import Model
from retrim.training.recipe import StatedErrors


def judged_models(paths: Paths, view: FeatureView, gate: GateParams, judge: JudgeParams) -> HoldoutJudgement:
    """The new fits, the champion and the naive baselines on the rows that judge.

    The rows are whole rows of the table, as another model's features may be others.
    """
    split = read_split(paths.features)
    series = list(split.series or ())
    parts = read_frame(paths.view, ["_key", "_event", "_due", view.target, "_part", *series], coded=["_part"])
    keys, train = part_of(parts, "judge")["_key"], part_of(parts, "train")
    positions = at_keys(keys, read_frame(paths.table, ["_key"], coded=[]).reset_index(), "index").to_numpy()
    rows = read_rows_at(paths.table, np.sort(positions)).iloc[positions.argsort().argsort()].reset_index(drop=True)
    rows = rows[["_key", *(name for name in rows if name != "_key")]]
    _check_unused(rows["_event"], pd.Timestamp(split.used_until), by="the challengers")
    champion = _champion(paths, rows, judge)  # before the new fits: it names a column that is missing
    season, actual = pd.Timedelta(gate.season), view.actual(rows)
    cut = {"season": season, "cells": gate.season_cells, "entity": series}
    floors = {name: BASELINES[name](view, train, rows, **cut) for name in gate.baselines}
    return HoldoutJudgement(
        rows=rows,
        features=view.features,
        task=view.task,
        challengers=_new_fits(paths, view, rows, judge),
        champion=champion,
        floors={name: row_losses(judge.loss, actual, predicted) for name, predicted in floors.items()},
    )


def previous_champions_on(
    judged: pd.DataFrame, paths: Paths, judge: JudgeParams
) -> tuple[dict[int, ScoredModel], dict[int, str]]:
    """The previous champions that compete, each with its own view, by version; and why each of the others does not.

    Args:
        judged: Judging rows, whole rows of the table in time order.
    """
    stored = _stored_previous(paths)
    if not stored or not len(judged):
        return {}, {}
    able, unable = may_compete(stored, columns=list(judged.columns), judged_from=judged["_event"].iloc[0])
    competing, passed_over = shortlist(able, _training_rows(paths), loss=judge.loss, most=COMPETING, rows=len(judged))
    scored = {version: score_stored(model, judged, loss=judge.loss) for version, model in competing.items()}
    return scored, unable | passed_over


def load_fit(view: FeatureView, files: dict[str, bytes]) -> Model:
    """A stored fit, from the files of its folder."""
    return load_balanced(from_record(FitRecord, json.loads(files["fit.json"])).recipe.model, view, files)


def _new_fits(paths: Paths, view: FeatureView, rows: pd.DataFrame, judge: JudgeParams) -> dict[str, ScoredModel]:
    """The challengers of this run, by name."""
    stated = from_record(StatedErrors, read_json(paths.backtest / "backtest.json"))
    file = paths.candidate / THRESHOLDS
    thresholds = thresholds_by_name(file.read_bytes()) if file.exists() else {}
    return {
        folder.name: score(
            view,
            rows,
            load_fit(view, read_folder(folder)).predict(view.matrix(rows)),
            loss=judge.loss,
            stated=StatedInterval.of(stated, folder.name),
            threshold=thresholds.get(folder.name),
        )
        for folder in sorted(paths.models.iterdir())
    }


def _champion(paths: Paths, rows: pd.DataFrame, judge: JudgeParams) -> ScoredModel | None:
    """The champion, with its own view; None before the first version."""
    if not paths.has_champion:
        return None
    files = read_folder(paths.champion)
    champion = load_predictor(files)
    _check_unused(rows["_event"], champion.used_until, by="the champion")
    return score_stored(champion, rows, loss=judge.loss, stated=StatedInterval.in_bundle(files))


def _stored_previous(paths: Paths) -> dict[int, Predictor]:
    """Previous champions by version, the newest first."""
    if not paths.has_previous_champions:
        return {}
    folders = {int(folder.name.removeprefix("v")): folder for folder in paths.previous.iterdir()}
    return {version: load_predictor(read_folder(folders[version])) for version in sorted(folders, reverse=True)}


def _training_rows(paths: Paths) -> pd.DataFrame:
    """The training rows, with all columns of the table."""
    keys = part_of(read_parquet(paths.view), "train")["_key"]
    return read_parquet(paths.table).set_index("_key").loc[keys].reset_index()


def _check_unused(events: "pd.Series[pd.Timestamp]", used_until: pd.Timestamp, *, by: str) -> None:
    """Refuses rows that a model was fitted, tuned or stopped on as its judges; the stage features never leaves any."""
    if len(events) and events.iloc[0] <= used_until:
        raise RefusedError(
            f"the holdout rows begin at {events.iloc[0].isoformat()}, but rows up to {used_until.isoformat()} were "
            f"used to train {by}; evaluate on later rows only"
        )
