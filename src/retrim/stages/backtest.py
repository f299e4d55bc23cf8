"""The recipe refitted at earlier origins, on training rows alone."""

import numpy as np

from retrim.errors import RefusedError
from retrim.features.view import FeatureView
from retrim.files import Paths, lightgbm_alone, write_folder
from retrim.stages._common import grouped, is_final, main, read_json, read_pins, read_view
from retrim.stats.codec import to_json, to_record
from retrim.stats.metrics import JudgeParams
from retrim.stats.windows import SplitParams, folds, part_of
from retrim.training import recipe as rolling
from retrim.training.classes import DecideParams, threshold_of
from retrim.training.groups import GROUP, GroupParams, Mitigation, Thresholds, group_thresholds
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
    if is_final(read_pins(paths)):
        _write_judged(paths)
        return
    lightgbm_alone()
    rows = grouped(part_of(read_view(paths), "train"), paths, fairness__groups, fairness__mitigate)
    view = FeatureView.from_record(read_json(paths.features / "view.json"))
    reweight = fairness__mitigate == "reweight"
    tuned = read_json(paths.tuning / "hyperparameters.json")
    recipes = recipes_of(tuned, train, loss=judge.loss, reweight=reweight)
    try:
        cut = folds(rows["_event"], rows["_due"], count=backtest.origins, rows=backtest.origin_rows)
    except ValueError as error:
        raise RefusedError(f"backtest: {error}; wait for more rows or lower backtest.origins") from error
    origins = rolling.backtest(
        recipes,
        view,
        rows,
        cut,
        windows_of(tuned, train),
        sliding_rows=split.sliding_rows,
        cores=cores,
        came=rows.get("_came"),
    )
    record = {
        "loss": judge.loss,
        "origins": [to_record(origin) for origin in origins],
        "interval": rolling.stated_interval(origins, level=backtest.interval),
    }
    files = {"backtest.json": to_json(record)}
    if fairness__mitigate is not None and fairness__mitigate != "reweight":
        scored = rows.iloc[np.concatenate([fold.score for fold in cut])]
        competing = challengers_of(recipes, windows_of(tuned, train), len(rows), sliding_rows=split.sliding_rows)
        found = {
            each.name: group_thresholds(
                np.concatenate([origin.of(each.name) for origin in origins]),
                view.actual(scored),
                scored[GROUP].to_numpy(),
                fairness__groups,
                default=decide.start,
                equalise=fairness__mitigate,
            )
            for each in competing
        }
        files["thresholds.json"] = to_json({name: to_record(each) for name, each in found.items()})
    elif decide.threshold is not None:
        truth = view.actual(rows.iloc[np.concatenate([fold.score for fold in cut])])
        competing = challengers_of(recipes, windows_of(tuned, train), len(rows), sliding_rows=split.sliding_rows)
        made = {
            each.name: threshold_of(np.concatenate([origin.of(each.name) for origin in origins]), truth, decide)
            for each in competing
        }
        record["decide"] = {name: to_record(chosen) for name, chosen in made.items()}
        cuts = {name: to_record(Thresholds((), chosen.threshold, {}, {})) for name, chosen in made.items()}
        files |= {"backtest.json": to_json(record), "thresholds.json": to_json(cuts)}
    write_folder(paths.backtest, files)


def _write_judged(paths: Paths) -> None:
    """Writes the champion's own backtest, as far as it is that of the recipe that won."""
    made = paths.champion / "backtest"
    thresholds = read_json(made / "thresholds.json") if (made / "thresholds.json").is_file() else {}
    winner = read_json(paths.champion / "verdict" / "verdict.json")["winner"]
    name = read_json(paths.tuning / "hyperparameters.json")["window"]
    files = rolling.of_judged(read_json(made / "backtest.json"), thresholds, winner, name)
    write_folder(paths.backtest, {file: to_json(record) for file, record in files.items()})


if __name__ == "__main__":
    main(run)
