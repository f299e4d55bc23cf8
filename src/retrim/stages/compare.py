"""The verdict: every challenger on the rows that judge, the winner's figures, and its final fit."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.decision.pins import Pins
from retrim.decision.previous_champions import settle
from retrim.drift.alarms import AlarmParams
from retrim.drift.joint import JointParams
from retrim.drift.reference import ExpectedWindows
from retrim.drift.slices import slice_table
from retrim.features.view import FeatureView
from retrim.files import BEFORE_FILE, Paths, lightgbm_alone, read_folder, write_folder
from retrim.gate.agreement import AgreementParams, agree, final_fit
from retrim.gate.fairness import (
    BEFORE,
    CHALLENGER,
    CHAMPION,
    FairnessLook,
    compare_groups,
    grouped_model,
    limit_checks,
)
from retrim.gate.losses import uses
from retrim.gate.models import judge_models
from retrim.gate.reference_rows import with_answers
from retrim.gate.size import detectable
from retrim.gate.support import Support, support_of
from retrim.gate.verdict import FinalFit, GateParams, HoldoutJudgement, ScoredModel, SlicesRecord, Verdict, score
from retrim.parquet import read_parquet
from retrim.stages._common import main, read_feature_view, read_json, read_pins, read_split
from retrim.stages._fit import ProfileSettings, fit_again
from retrim.stages._holdout import judged_models, load_fit, previous_champions_on
from retrim.stats.codec import from_record, to_json, to_parquet, to_record
from retrim.stats.metrics import JudgeParams, measure, row_losses
from retrim.stats.windows import SplitParams
from retrim.table.reading import CalendarPart
from retrim.training.bundle import FitRecord
from retrim.training.groups import FairnessParams
from retrim.training.predicted import importance
from retrim.training.recipe import REFITTED, TrainParams


def run(
    gate: GateParams,
    judge: JudgeParams,
    fairness: FairnessParams,
    split: SplitParams,
    train: TrainParams,
    gain__rows_per_check: int,
    drift__alarms: AlarmParams | None,
    drift__joint: JointParams,
    reading__calendar: dict[str, CalendarPart],
    reading__zone: str,
    paths: Paths,
    cores: int,
    *,
    retrain__refit_after: bool,
) -> None:
    """Scores every stored model with its own preprocessing on the same rows, which none of them has seen.

    Where the verdict promotes, the winner is fitted again on all mature rows, those that judged too. That fit predicts
    if it agrees with the judged one, which gives every figure.
    """
    lightgbm_alone()
    view = read_feature_view(paths)
    judged = judged_models(paths, view, gate, judge)
    verdict, told, by_group = _verdict(judged, view, gate, judge, fairness, paths)
    won = judged.challengers[verdict.winner]
    files = _shown_files(judged, verdict.winner, view, judge, paths)
    scored, answers = _scored(judged, view), with_answers(judged.rows, view, won.predicted)
    record = to_record(verdict) | told
    if by_group.record is not None:
        files["fairness.json"] = to_json(to_record(by_group.record))
    if verdict.promote and retrain__refit_after:
        usual = ExpectedWindows(gain__rows_per_check, drift__alarms, drift__joint, cores)
        profile = ProfileSettings(train.seed, usual, tuple(reading__calendar), reading__zone)
        fit = from_record(FitRecord, read_json(paths.models / verdict.winner / "fit.json"))
        again, fitted = fit_again(paths, fit, profile, fairness, sliding_rows=split.sliding_rows, cores=cores)
        predicted = load_fit(again, fitted).predict(again.matrix(judged.rows))
        final = _held_against(won, verdict.winner, judged, again, predicted, judge)
        files |= {f"final/{name}": content for name, content in fitted.items()}
        record["final"] = to_record(final)
        if final.used:
            scored, answers = scored.assign(_judged_loss=won.losses), with_answers(judged.rows, again, predicted)
        else:
            record["reason"] = f"{verdict.reason}; {final.reason}"
    files |= {"judged.parquet": to_parquet(scored), "reference.parquet": to_parquet(answers)}
    write_folder(paths.verdict, {**files, "verdict.json": to_json(record)})


def _held_against(
    won: ScoredModel,
    winner: str,
    judged: HoldoutJudgement,
    view: FeatureView,
    predicted: np.ndarray,
    judge: JudgeParams,
) -> FinalFit:
    """Whether a final fit, by its view and its predictions of the judged rows, agrees with the judged fit that won."""
    again = score(view, judged.rows, predicted, loss=judge.loss, stated=None)
    training = {"loss": float(again.losses.mean())} if len(again.losses) else {}
    agreement = agree(winner, won, again, AgreementParams())
    return final_fit(agreement, _metrics(again, view, judge) | training)


def _verdict(
    judged: HoldoutJudgement,
    view: FeatureView,
    gate: GateParams,
    judge: JudgeParams,
    fairness: FairnessParams,
    paths: Paths,
) -> tuple[Verdict, dict[str, JsonValue], FairnessLook]:
    """The gate's verdict, what the record tells beside it, and the look by group."""
    pins = read_pins(paths)
    times = uses(pins.judged, judged.rows["_event"])
    competing, left_out = previous_champions_on(judged.rows, paths, judge)
    judged_by = partial(judge_models, draws=judge.draws, block_rows=judge.block_rows, uses=times)
    support = _support_in(pins, judged, gate)
    verdict = judged_by(judged, gate, rivals=len(competing), support=support)
    by_group = _look_by_group(paths, judged, verdict.winner, fairness, judge, gate)
    verdict = verdict.with_checks(by_group.checks)
    of_previous = None
    if competing:
        theirs = replace(judged, challengers={str(version): scored for version, scored in competing.items()})
        of_previous = judged_by(theirs, gate, rivals=len(judged.challengers))
        best = competing[int(of_previous.winner)]
        of_previous = of_previous.with_checks(limit_checks(best, judged.rows, judged.task, fairness, judge, gate))
    losses = {version: scored.losses for version, scored in competing.items()}
    verdict, contest = settle(verdict, of_previous, losses, left_out)
    split = read_split(paths.features)
    told: dict[str, JsonValue] = {
        "judged_from": split.judged_from,
        "judged_until": split.judged_until,
        "metrics": to_record({name: _metrics(scored, view, judge) for name, scored in judged.challengers.items()}),
        "previous_champions": to_record(contest) if losses or left_out else None,
        "detectable": _detectable(
            judged, verdict.winner, gate, judge, rivals=len(competing), uses=times, support=support
        ),
        "notes": [*by_group.notes],
        "final": None,
        "size": None if pins.size is None else to_record(pins.size),
    }
    return verdict, told, by_group


def _look_by_group(
    paths: Paths, judged: HoldoutJudgement, winner: str, fairness: FairnessParams, judge: JudgeParams, gate: GateParams
) -> FairnessLook:
    """Fairness of the winner on the judging rows, before and after mitigation, beside the champion."""
    rows, challenger, models = judged.rows, judged.challengers[winner], []
    if fairness.groups and len(rows):
        models.append((CHALLENGER, challenger))
        if fairness.mitigate is not None:
            models.append((BEFORE, _without_weights(paths, winner, rows, challenger, loss=judge.loss)))
        if judged.champion is not None:
            models.append((CHAMPION, judged.champion))
    grouped = [grouped_model(of, scored, judged.task, fairness) for of, scored in models]
    return compare_groups(grouped, rows, fairness, judge, gate)


def _without_weights(
    paths: Paths, winner: str, rows: pd.DataFrame, challenger: ScoredModel, *, loss: str
) -> ScoredModel:
    """The twin that was fitted without weights; the winner itself where there is none."""
    challenger = replace(challenger, threshold=None)
    file = paths.models / winner / BEFORE_FILE
    if not file.exists():
        return challenger
    stored = read_parquet(file).set_index("_key").loc[rows["_key"]].to_numpy(dtype="float64")
    predicted = np.asarray(stored[:, 0] if challenger.predicted.ndim == 1 else stored)
    return replace(challenger, predicted=predicted, losses=row_losses(loss, challenger.actual, predicted))


def _support_in(pins: Pins, judged: HoldoutJudgement, gate: GateParams) -> dict[str, Support] | None:
    """What earlier checks showed of the champion's recipe refitted, by the name of the challenger that is such a refit.

    None where no check started the run, or nothing judges.
    """
    if pins.shown is None or not len(judged.rows):
        return None
    begin = judged.rows["_event"].iloc[0]
    shown = [each.before(begin) for each in pins.shown]
    most = 0.0 if gate.non_inferiority is None else gate.non_inferiority.most
    prefix = "" if pins.mode == "refit" else REFITTED
    kinds = {name: name.removeprefix(prefix) for name in judged.challengers if name.startswith(prefix)}
    return {name: support_of(shown, kind, most=most) for name, kind in kinds.items()}


def _detectable(
    judged: HoldoutJudgement,
    winner: str,
    gate: GateParams,
    judge: JudgeParams,
    *,
    rivals: int,
    uses: float,
    support: dict[str, Support] | None,
) -> dict[str, JsonValue] | None:
    if judged.champion is None:
        return None
    seen = detectable(
        judged.challengers[winner].losses,
        judged.champion.losses,
        judged.rows["_event"],
        gate,
        challengers=len(judged.challengers) + rivals,
        uses=uses,
        draws=judge.draws,
        block_rows=judge.block_rows,
        support=None if support is None else support.get(winner, Support()),
    )
    return None if seen is None else to_record(seen)


def _metrics(scored: ScoredModel, view: FeatureView, judge: JudgeParams) -> dict[str, float]:
    if not len(scored.losses):
        return {}
    return measure(judge.metrics, scored.actual, scored.predicted, task=view.task)


def _shown_files(
    judged: HoldoutJudgement, winner: str, view: FeatureView, judge: JudgeParams, paths: Paths
) -> dict[str, bytes]:
    """What is shown of the winner beside its verdict: its losses by slice, and what its predictions go by."""
    return {
        "slices.json": to_json(to_record(_slices(judged, winner, judge))),
        "importance.json": to_json(_importance(paths, view, judged.rows, winner)),
    }


def _scored(judged: HoldoutJudgement, view: FeatureView) -> pd.DataFrame:
    """What every model said of each judged row, what came, and the champion's loss."""
    scored = judged.rows[["_key", "_event"]].assign(actual=view.actual(judged.rows))
    for name, challenger in judged.challengers.items():
        scored = scored.assign(**_columns(name, challenger.predicted))
    return scored if judged.champion is None else scored.assign(_champion_loss=judged.champion.losses)


def _columns(name: str, predicted: np.ndarray) -> dict[str, np.ndarray]:
    if predicted.ndim == 1:
        return {name: predicted}
    return {f"{name}_{place}": predicted[:, place] for place in range(predicted.shape[1])}


def _slices(judged: HoldoutJudgement, winner: str, judge: JudgeParams) -> SlicesRecord:
    """The losses of the winner and the champion, slice by slice."""
    champion = None if judged.champion is None else judged.champion.losses
    losses = judged.challengers[winner].losses
    sliced = slice_table(judged.rows, losses, champion, judged.features, block_rows=judge.block_rows)
    return SlicesRecord(judge.loss, sliced)


def _importance(paths: Paths, view: FeatureView, judged: pd.DataFrame, winner: str) -> dict[str, JsonValue] | None:
    """How much each feature weighs in the winner's predictions of the judged rows; None where nobody can say."""
    model = load_fit(view, read_folder(paths.models / winner))
    weights = importance(model, view, judged)
    return None if weights is None else to_record(weights)


if __name__ == "__main__":
    main(run)
