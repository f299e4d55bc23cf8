"""The search for hyperparameters on training rows, or the champion's."""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from retrim.errors import BadInputError, RefusedError
from retrim.features.view import WHOLE_CELLS, FeatureView, Matrix
from retrim.files import Paths, lightgbm_alone, write_folder
from retrim.stages._common import (
    grouped,
    main,
    read_feature_view,
    read_fit,
    read_pins,
    read_view,
)
from retrim.stats.codec import rows_at, to_json, to_record
from retrim.stats.metrics import JudgeParams, row_losses
from retrim.stats.windows import folds, keep_back, part_of
from retrim.training.classes import fit_balanced
from retrim.training.estimators import MODELS, FitTask, Hyperparameters
from retrim.training.groups import GROUP, GroupParams, Mitigation, reweighting
from retrim.training.recipe import BASELINE, CONSTANT, LINEAR, Recipe, TrainParams
from retrim.training.tuning import Trial, TuneParams, best, importance, read_trials, search

READ_AT_ONCE = 1 << 24
Cut = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Row numbers of a fold: fitted on, stopped on, scored. They are disjoint, the scored ones later than the others."""


def run(
    tune: TuneParams,
    train: TrainParams,
    judge: JudgeParams,
    fairness__groups: tuple[GroupParams, ...],
    fairness__mitigate: Mitigation | None,
    paths: Paths,
    cores: int,
    trials: Path,
) -> None:
    """Writes the hyperparameters and every trial; finished trials also go to the trial log as they come."""
    champion = _champion(paths)
    competes = champion is not None and champion.kind != BASELINE and "champion" in train.recipes
    if (copied := _copied(paths, champion, train)) is not None:
        write_folder(paths.tuning, {"hyperparameters.json": to_json(copied), "trials.json": to_json([])})
        return
    lightgbm_alone()
    MODELS[train.model].check_space(tune.space)  # what the kind can be trained for, each fit looks for itself
    laid = _folds(paths, tune, fairness__groups, fairness__mitigate)
    at_once = 1 if laid.large else cores
    log = trials / f"{_fingerprint(paths, tune, judge, train, laid.groups)}.jsonl"
    sys.stdout.write(f"trial log {log.name}\n")

    def keep(batch: Sequence[Trial]) -> None:
        _append(log, batch)
        sys.stdout.writelines(f"trial {trial.number + 1} of {tune.trials}: loss {trial.loss:.6g}\n" for trial in batch)
        sys.stdout.flush()

    def evaluate(hyperparameters: Hyperparameters) -> list[tuple[float, int]]:
        threads = cores // at_once
        how = FitTask(judge.loss, hyperparameters, tune.max_rounds, train.seed, threads, patience=tune.patience)
        return [_score(how, train, laid.lay(fold)) for fold in range(len(laid.cuts))]

    trials_done = search(
        evaluate,
        tune,
        trials=tune.trials,
        done=read_trials(log.read_bytes()) if log.exists() else [],
        workers=at_once,
        on_batch=keep,
    )
    chosen = best(trials_done)
    record = {
        "hyperparameters": chosen.hyperparameters,
        "rounds": int(np.median(chosen.rounds)),
        "trial": chosen.number,
        "loss": chosen.loss,
        "importance": importance(tune, trials_done),
        "importance_by": "PED-ANOVA",
        "folds": [laid.rows["_event"].iloc[scored[0]].isoformat() for _, _, scored in laid.cuts],
        "champion": _fitted_with(champion) if champion is not None and competes else None,
    }
    write_folder(
        paths.tuning,
        {"hyperparameters.json": to_json(record), "trials.json": to_json([to_record(trial) for trial in trials_done])},
    )


def _copied(paths: Paths, champion: Recipe | None, train: TrainParams) -> dict[str, object] | None:
    """What a run that searches nothing takes: the champion's recipe, or the baseline's; None for a search."""
    mode = read_pins(paths).mode
    if mode == BASELINE:
        return {"model": LINEAR, "hyperparameters": CONSTANT, "rounds": 1}
    if mode != "refit":
        return None
    if champion is None:
        raise BadInputError(
            "mode 'refit' copies the champion's hyperparameters, but there is no champion; train with mode search"
        )
    if champion.kind != train.model:
        raise BadInputError(
            f"mode 'refit' copies the champion's recipe, which is for {champion.kind}, but train.model is "
            f"{train.model}; search with `retrim retrain --mode search`, or set train.model: {champion.model}"
        )
    return _fitted_with(champion)


def _champion(paths: Paths) -> Recipe | None:
    """What the champion was fitted with: the recipe that won, which need not be the one its own run had found."""
    return read_fit(paths.champion).recipe if paths.has_champion else None


def _fitted_with(champion: Recipe) -> dict[str, object]:
    return {"model": champion.model, "hyperparameters": champion.hyperparameters, "rounds": champion.rounds}


def _cuts(rows: pd.DataFrame, tune: TuneParams) -> list[Cut]:
    event, due = rows["_event"], rows["_due"]
    try:
        all_folds = folds(event, due, count=tune.folds, rows=tune.fold_rows)
        return [(*keep_back(fold.fit, share=tune.stop_share), fold.score) for fold in all_folds]
    except ValueError as error:
        raise RefusedError(f"tune: {error}; wait for more rows or lower tune.fold_rows") from error


@dataclass(frozen=True)
class _Laid:
    """A fold as a model takes it."""

    view: FeatureView
    fit: tuple[Matrix, np.ndarray]
    stop: tuple[Matrix, np.ndarray]
    scored: tuple[np.ndarray, np.ndarray]
    weights: np.ndarray | None


@dataclass(frozen=True)
class _Folds:
    """The training rows, the folds that they are cut into, and how each is laid out for a model."""

    rows: pd.DataFrame
    groups: np.ndarray | None
    cuts: list[Cut]
    lay: Callable[[int], _Laid]
    large: bool
    """Whether memory holds one fit of them at a time; then it has all cores."""


def _folds(paths: Paths, tune: TuneParams, groups_of: tuple[GroupParams, ...], mitigate: Mitigation | None) -> _Folds:
    rows = part_of(read_view(paths), "train")
    view = read_feature_view(paths)
    cuts = _cuts(rows, tune)
    groups = None
    if mitigate == "reweight":
        groups = grouped(rows, paths, groups_of, mitigate)[GROUP].to_numpy()
    large = len(rows) * len(view.columns) > WHOLE_CELLS
    return _Folds(rows, groups, cuts, _laid(view, rows, groups, cuts), large)


def _laid(
    view: FeatureView, rows: pd.DataFrame, groups: np.ndarray | None, cuts: Sequence[Cut]
) -> Callable[[int], _Laid]:
    """The folds, each with what its steps learn from the rows that it is fitted on, and from no later ones.

    Without steps there is one matrix, which every fold is cut from when it is its turn, unless it is too large.
    """
    actual = view.actual(rows)

    def weights(places: np.ndarray) -> np.ndarray | None:
        return None if groups is None else reweighting(groups[places], actual[places])

    if view.steps:
        laid = []
        for fit, stop, scored in cuts:
            learned = view.again(rows.iloc[fit])
            watched, judged = ((learned.matrix(rows.iloc[part]), actual[part]) for part in (stop, scored))
            laid.append(_Laid(learned, (learned.training(rows.iloc[fit]), actual[fit]), watched, judged, weights(fit)))
        return lambda fold: laid[fold]
    matrix = view.training(rows)

    def cut(part: np.ndarray) -> Matrix:
        return matrix[part] if isinstance(matrix, np.ndarray) else matrix.at(part)

    def lay(fold: int) -> _Laid:
        fit, stop, scored = cuts[fold]
        watched, judged = (cut(stop), actual[stop]), (view.matrix(rows_at(rows, scored)), actual[scored])
        return _Laid(view, (cut(fit), actual[fit]), watched, judged, weights(fit))

    return lay


def _score(task: FitTask, train: TrainParams, fold: _Laid) -> tuple[float, int]:
    how = replace(task, weights=fold.weights, stop=fold.stop)
    fitted = fit_balanced(train.model, train.class_balance, fold.view, *fold.fit, how)
    matrix, actual = fold.scored
    losses = row_losses(task.loss, actual, fitted.model.predict(matrix))
    return float(np.mean(losses)), fitted.rounds


def _fingerprint(
    paths: Paths, tune: TuneParams, judge: JudgeParams, train: TrainParams, groups: np.ndarray | None
) -> str:
    """What a trial's loss depends on: rows, view, settings, code and environment."""
    digest = hashlib.sha256()
    settings = {"tune": tune.model_dump(), "judge": judge.model_dump(), "train": train.model_dump()}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    if groups is not None:
        digest.update("\n".join(groups).encode())
    digest.update(read_pins(paths).code_digest.encode())
    for path in [paths.view, paths.features / "view.json", paths.root / "requirements.lock"]:
        with path.open("rb") as file:
            while part := file.read(READ_AT_ONCE):
                digest.update(part)
    return digest.hexdigest()[:32]


def _append(log: Path, batch: Sequence[Trial]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    torn = log.exists() and not log.read_bytes().endswith(b"\n")
    lines = [json.dumps(to_record(trial), sort_keys=True) + "\n" for trial in batch]
    with log.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + "".join(lines))


if __name__ == "__main__":
    main(run)
