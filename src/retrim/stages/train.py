"""Every challenger, fitted on the training rows of its window, and the profile of what it was made from."""

import numpy as np
import pandas as pd

from retrim.core.canonical import to_json
from retrim.core.drift.alarms import AlarmParams
from retrim.core.drift.joint import JointParams
from retrim.core.drift.keep import Usual
from retrim.core.drift.profile import ProfileParams
from retrim.core.drift.reference import make_reference
from retrim.core.metrics import JudgeParams
from retrim.core.training import Recipe, TrainParams, distinct, fit_recipe, in_parallel, training_rows
from retrim.core.view import FeatureView
from retrim.core.windows import SplitParams, part_of
from retrim.files import write_folder
from retrim.paths import Paths
from retrim.stages._room import lightgbm_alone, main, read_json


def run(
    train: TrainParams,
    judge: JudgeParams,
    split: SplitParams,
    profile: ProfileParams,
    account__usual_rows: int,
    drift__alarms: AlarmParams | None,
    drift__joint: JointParams,
    paths: Paths,
    cores: int,
) -> None:
    """Writes a folder a challenger; windows that hold the same rows make one."""
    lightgbm_alone()
    table = pd.read_parquet(paths.view)
    rows, judged = part_of(table, "train"), part_of(table, "judge")
    view = FeatureView.from_record(read_json(paths.features / "view.json"))
    tuned = read_json(paths.tuning / "hyperparameters.json")
    recipe = Recipe(train.model, judge.loss, tuned["hyperparameters"], tuned["rounds"], train.seed)
    windows = distinct(train.windows, len(rows), sliding_rows=split.sliding_rows)
    cut = {
        kind: rows.iloc[training_rows(np.arange(len(rows)), kind, sliding_rows=split.sliding_rows)] for kind in windows
    }
    models = in_parallel(
        lambda kind, threads: fit_recipe(recipe, view, cut[kind], threads=threads), windows, cores=cores
    )
    usual = Usual(account__usual_rows, drift__alarms, drift__joint, cores)
    files: dict[str, bytes] = {}
    for kind, model in zip(windows, models, strict=True):
        made = {
            "recipe": recipe.as_record(),
            "rows": len(cut[kind]),
            "from": cut[kind]["_event"].iloc[0].isoformat(),
            "until": cut[kind]["_event"].iloc[-1].isoformat(),
            "gains": dict(zip(view.features, [float(gain) for gain in model.gains()], strict=True)),
        }
        files |= {f"{kind}/{name}": content for name, content in model.files().items()}
        files[f"{kind}/fit.json"] = to_json(made)
        since = table[table["_event"] >= cut[kind]["_event"].iloc[0]]
        kept = make_reference(since, judged, model.predict(view.matrix(judged)), view, profile, usual)
        files |= {f"{kind}/profile/{name}": content for name, content in kept.as_files().items()}
    write_folder(paths.models, files)


if __name__ == "__main__":
    main(run)
