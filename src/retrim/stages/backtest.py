"""The recipe refitted at earlier origins, on training rows alone."""

import numpy as np

from retrim.errors import RefusedError
from retrim.files import Paths, lightgbm_alone, write_folder
from retrim.stages._common import (
    grouped,
    main,
    read_feature_view,
    read_json,
    read_pins,
    read_tuned,
    read_view,
    read_window_lengths,
    read_winner,
)
from retrim.stats.codec import from_record, to_json, to_record
from retrim.stats.metrics import JudgeParams
from retrim.stats.windows import SplitParams, folds, part_of
from retrim.training import backtest as rolled
from retrim.training import recipe as rolling
from retrim.training.classes import DecideParams, threshold_of
from retrim.training.groups import GroupParams, Mitigation
from retrim.training.recipe import TrainParams, challengers_of, recipes_of, windows_of


def run(
    backtest: rolling.BacktestParams,
    train: TrainParams,
    judge: JudgeParams,
    split: SplitParams,
    fairness__groups: tuple[GroupParams, ...],
    fairness__mitigate: Mitigation | None,
    decide: DecideParams,
    paths: Paths,
    cores: int,
) -> None:
    """Writes the loss of each challenger at each origin.

    A recipe that is fitted once more was backtested by the run that judged it: that stands, and how it decides.
    """
    if read_pins(paths).is_final:
        _write_judged(paths)
        return
    lightgbm_alone()
    rows = grouped(part_of(read_view(paths), "train"), paths, fairness__groups, fairness__mitigate)
    view, tuned = read_feature_view(paths), read_tuned(paths)
    recipes = recipes_of(tuned, train, loss=judge.loss, reweight=fairness__mitigate == "reweight")
    try:
        cut = folds(rows["_event"], rows["_due"], count=backtest.origins, rows=backtest.origin_rows)
    except ValueError as error:
        raise RefusedError(f"backtest: {error}; wait for more rows or lower backtest.origins") from error
    lengths, windows = read_window_lengths(paths, rows, sliding_rows=split.sliding_rows), windows_of(tuned, train)
    origins = rolled.backtest(recipes, view, rows, cut, windows, lengths=lengths, cores=cores)
    interval = rolled.stated_interval(origins)
    record = {
        "loss": judge.loss,
        "origins": [to_record(origin) for origin in origins],
        "interval": None if interval is None else to_record(interval),
    }
    files = {"backtest.json": to_json(record)}
    if decide.threshold is not None:
        truth = view.actual(rows.iloc[np.concatenate([fold.score for fold in cut])])
        competing = challengers_of(recipes, windows, len(rows), lengths=lengths)
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


def _write_judged(paths: Paths) -> None:
    """Writes the champion's own backtest, as far as it is that of the recipe that won."""
    folder = paths.champion / "backtest"
    winner, name = read_winner(paths.champion), read_tuned(paths).window or "all"
    record = from_record(rolling.BacktestRecord, read_json(folder / "backtest.json"))
    files = {"backtest.json": to_json(to_record(rolling.of_judged(record, winner, name)))}
    if (folder / "thresholds.json").is_file():
        files["thresholds.json"] = to_json(rolling.renamed(read_json(folder / "thresholds.json"), winner, name))
    write_folder(paths.backtest, files)


if __name__ == "__main__":
    main(run)
