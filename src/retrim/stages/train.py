"""Every challenger, fitted on the training rows of its window, and the profile of what it was made from."""

from dataclasses import replace

import numpy as np
import pandas as pd

from retrim.drift.alarms import AlarmParams
from retrim.drift.joint import JointParams
from retrim.drift.profile import ProfileParams
from retrim.drift.reference import ExpectedWindows, make_reference
from retrim.features.view import FeatureView
from retrim.files import BEFORE_FILE, Paths, lightgbm_alone, write_folder
from retrim.stages._common import grouped, main, read_early, read_json, read_split, read_view
from retrim.stats.codec import rows_at, to_json, to_parquet, to_record
from retrim.stats.metrics import JudgeParams
from retrim.stats.windows import SplitParams, part_of
from retrim.training.bundle import FitRecord
from retrim.training.estimators import Model
from retrim.training.groups import GroupParams, Mitigation
from retrim.training.recipe import (
    Challenger,
    TrainParams,
    challengers_of,
    fit_recipe,
    in_parallel,
    recipes_of,
    training_rows,
    windows_of,
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
    paths: Paths,
    cores: int,
) -> None:
    """Writes a folder a challenger: a recipe on a window; windows that hold the same rows make one."""
    lightgbm_alone()
    whole = read_view(paths)
    table = rows_at(whole, np.flatnonzero((whole["_part"] != "early").to_numpy()))
    rows, judged = part_of(table, "train"), part_of(table, "judge")
    rows = grouped(rows, paths, fairness__groups, fairness__mitigate)
    reweight = fairness__mitigate == "reweight"
    view = FeatureView.from_record(read_json(paths.features / "view.json"))
    early = read_early(whole, view, read_split(paths.features))
    tuned, past = read_json(paths.tuning / "hyperparameters.json"), np.arange(len(rows))
    recipes = recipes_of(tuned, train, loss=judge.loss, reweight=reweight)
    competing = challengers_of(recipes, windows_of(tuned, train), len(rows), sliding_rows=split.sliding_rows)
    cut = {each.window: training_rows(past, each.window, sliding_rows=split.sliding_rows) for each in competing}

    def fit(each: Challenger, threads: int) -> Model:
        return fit_recipe(each.recipe, view, rows, take=cut[each.window], threads=threads, early=early)

    models = in_parallel(fit, competing, cores=cores)
    # What each would be without weights, so that the verdict can show what these did.
    plain = [replace(each, recipe=replace(each.recipe, reweight=False)) for each in competing if reweight]
    twins = {each.name: twin for each, twin in zip(plain, in_parallel(fit, plain, cores=cores), strict=True)}
    usual = ExpectedWindows(gain__rows_per_check, drift__alarms, drift__joint, cores)
    files: dict[str, bytes] = {}
    for each, model in zip(competing, models, strict=True):
        name, fitted = each.name, rows_at(rows, cut[each.window])
        made = FitRecord(
            recipe=each.recipe,
            rows=len(fitted),
            since=fitted["_event"].iloc[0].isoformat(),
            until=fitted["_event"].iloc[-1].isoformat(),
            gains=dict(zip(view.needs, map(float, view.by_feature(model.gains())), strict=True)),
            recipe_of=each.kind,
            window=each.window,
            early=early.counts if early is not None and each.recipe.takes_early else None,
        )
        files |= {f"{name}/{file}": content for file, content in model.files().items()}
        files[f"{name}/fit.json"] = to_json(to_record(made))
        if name in twins:
            files[f"{name}/{BEFORE_FILE}"] = _predictions(twins[name], view, judged)
        since = table.iloc[int(table["_event"].searchsorted(fitted["_event"].iloc[0])) :]  # in order of event
        kept = make_reference(
            since, judged, model.predict(view.matrix(judged)), view, ProfileParams(seed=train.seed), usual
        )
        files |= {f"{name}/profile/{file}": content for file, content in kept.as_files().items()}
    write_folder(paths.models, files)


def _predictions(model: Model, view: FeatureView, judged: pd.DataFrame) -> bytes:
    """What a model predicts for the judged rows: a column, or one a class, beside the key."""
    predicted = model.predict(view.matrix(judged)).reshape(len(judged), -1)
    columns = {f"predicted_{place}": predicted[:, place] for place in range(predicted.shape[1])}
    return to_parquet(judged[["_key"]].assign(**columns))


if __name__ == "__main__":
    main(run)
