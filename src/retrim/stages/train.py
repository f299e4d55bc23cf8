"""Every challenger, fitted on the training rows of its window."""

import pandas as pd

from retrim.core.metrics import JudgeParams
from retrim.core.training import Recipe, TrainParams, fit_recipe, training_rows
from retrim.core.view import FeatureView
from retrim.core.windows import SplitParams
from retrim.paths import Paths
from retrim.stages._room import main, read_json, to_json, write_folder


def run(train: TrainParams, judge: JudgeParams, split: SplitParams, paths: Paths, cores: int) -> None:
    """Writes a folder a challenger; windows that hold the same rows make one."""
    rows = pd.read_parquet(paths.view)
    view = FeatureView.from_record(read_json(paths.features / "view.json"))
    past = rows.index.to_numpy()[: read_json(paths.features / "split.json")["train"]]
    tuned = read_json(paths.tuning / "hyperparameters.json")
    recipe = Recipe(train.model, judge.loss, tuned["hyperparameters"], tuned["rounds"], train.seed)
    files: dict[str, bytes] = {}
    sizes: set[int] = set()
    for kind in train.windows:
        fitted = rows.iloc[training_rows(past, kind, sliding_rows=split.sliding_rows)]
        if len(fitted) in sizes:
            continue
        sizes.add(len(fitted))
        model = fit_recipe(recipe, view, fitted, threads=cores)
        made = {
            "recipe": recipe.as_record(),
            "rows": len(fitted),
            "from": fitted["_event"].iloc[0].isoformat(),
            "until": fitted["_event"].iloc[-1].isoformat(),
            "gains": dict(zip(view.features, [float(gain) for gain in model.gains()], strict=True)),
        }
        files |= {f"{kind}/{name}": content for name, content in model.files().items()}
        files[f"{kind}/fit.json"] = to_json(made)
    write_folder(paths.models, files)


if __name__ == "__main__":
    main(run)
