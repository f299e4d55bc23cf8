"""The recipe refitted at earlier origins, on training rows alone."""

import pandas as pd

from retrim.core import backtest as rolling
from retrim.core.canonical import to_json
from retrim.core.challengers import recipes_of
from retrim.core.metrics import JudgeParams
from retrim.core.training import TrainParams
from retrim.core.view import FeatureView
from retrim.core.windows import SplitParams, folds, part_of
from retrim.errors import RefusedError
from retrim.files import write_folder
from retrim.paths import Paths
from retrim.stages._room import lightgbm_alone, main, read_json


def run(
    backtest: rolling.BacktestParams,
    train: TrainParams,
    judge: JudgeParams,
    split: SplitParams,
    paths: Paths,
    cores: int,
) -> None:
    """Writes the loss of each challenger at each origin."""
    lightgbm_alone()
    rows = part_of(pd.read_parquet(paths.view), "train")
    recipes = recipes_of(read_json(paths.tuning / "hyperparameters.json"), train, loss=judge.loss)
    try:
        cut = folds(rows["_event"], rows["_due"], count=backtest.origins, rows=backtest.origin_rows)
    except ValueError as error:
        raise RefusedError(f"backtest: {error}; wait for more rows or lower backtest.origins") from error
    origins = rolling.backtest(
        recipes,
        FeatureView.from_record(read_json(paths.features / "view.json")),
        rows,
        cut,
        train.windows,
        sliding_rows=split.sliding_rows,
        cores=cores,
    )
    record = {
        "loss": judge.loss,
        "origins": [origin.as_record() for origin in origins],
        "interval": rolling.stated_interval(origins, level=backtest.interval),
    }
    write_folder(paths.backtest, {"backtest.json": to_json(record)})


if __name__ == "__main__":
    main(run)
