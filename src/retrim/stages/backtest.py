"""The recipe refitted at earlier origins, on training rows alone."""

import numpy as np

from retrim.errors import RefusedError
from retrim.files import Paths, lightgbm_alone, write_folder
from retrim.stages._common import (
    grouped,
    main,
    read_feature_view,
    read_tuned,
    read_view,
    read_window_lengths,
)
from retrim.stats.codec import to_json, to_record
from retrim.stats.metrics import JudgeParams
from retrim.stats.windows import SplitParams, folds, part_of
from retrim.training import backtest as rolled
from retrim.training.classes import DecideParams, threshold_of
from retrim.training.groups import GroupParams, Mitigation
from retrim.training.recipe import BacktestParams, TrainParams, challengers_of, recipes_of


def run(
    backtest: BacktestParams,
    train: TrainParams,
    judge: JudgeParams,
    split: SplitParams,
    fairness__groups: tuple[GroupParams, ...],
    fairness__mitigate: Mitigation | None,
    decide: DecideParams,
    paths: Paths,
    cores: int,
) -> None:
    """Writes the loss of each challenger at each origin."""
    lightgbm_alone()
    rows = grouped(part_of(read_view(paths), "train"), paths, fairness__groups, fairness__mitigate)
    view, tuned = read_feature_view(paths), read_tuned(paths)
    recipes = recipes_of(tuned, train, loss=judge.loss, reweight=fairness__mitigate == "reweight")
    try:
        cut = folds(rows["_event"], rows["_due"], count=backtest.origins, rows=backtest.origin_rows)
    except ValueError as error:
        raise RefusedError(f"backtest: {error}; wait for more rows or lower backtest.origins") from error
    lengths = read_window_lengths(paths, rows, sliding_rows=split.sliding_rows)
    origins = rolled.backtest(recipes, view, rows, cut, train.windows, lengths=lengths, cores=cores)
    interval = rolled.stated_interval(origins)
    record = {
        "loss": judge.loss,
        "origins": [to_record(origin) for origin in origins],
        "interval": None if interval is None else to_record(interval),
    }
    files = {"backtest.json": to_json(record)}
    if decide.threshold is not None:
        truth = view.actual(rows.iloc[np.concatenate([fold.score for fold in cut])])
        competing = challengers_of(recipes, train.windows, len(rows), lengths=lengths)
        thresholds = {
            challenger.name: threshold_of(
                np.concatenate([origin.of(challenger.name) for origin in origins]), truth, decide
            )
            for challenger in competing
        }
        record["decide"] = {name: to_record(chosen) for name, chosen in thresholds.items()}
        cuts = {name: chosen.threshold for name, chosen in thresholds.items()}
        files |= {"backtest.json": to_json(record), "thresholds.json": to_json(cuts)}
    write_folder(paths.backtest, files)


if __name__ == "__main__":
    main(run)
