"""The previous champions in a run directory, on the rows that judge.

What the stage compare knows of groups: whole rows, thresholds, the twin without mitigation, the champion.

What the checks of the champion's life have shown, as pinned for the run that they started.

The stored challengers and the champion on the judging block; names one winner and gives the verdict.
"""

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.decision.pins import Pins
from retrim.decision.previous_champions import COMPETING, may_compete, settle, shortlist
from retrim.drift.slices import slice_table
from retrim.errors import RefusedError
from retrim.features.view import FeatureView
from retrim.files import BEFORE_FILE, Paths, lightgbm_alone, read_folder, write_folder
from retrim.gate.agreement import AgreementParams, agree, agreement_reason, aligned
from retrim.gate.fairness import BEFORE, CHALLENGER, CHAMPION, FairnessLook, GroupedModel, compare_groups
from retrim.gate.losses import uses
from retrim.gate.models import judge_models
from retrim.gate.reference_rows import with_answers
from retrim.gate.size import detectable
from retrim.gate.support import NO_SUPPORT, Support, support_of
from retrim.gate.verdict import (
    Check,
    GateParams,
    HoldoutJudgement,
    ScoredModel,
    SlicesRecord,
    StatedInterval,
    Verdict,
    VerdictRecord,
    score,
)
from retrim.parquet import read_parquet
from retrim.reading.frames import read_frame, read_rows_at
from retrim.stages._common import main, read_feature_view, read_json, read_pins, read_split, read_winner
from retrim.stats.codec import from_record, to_json, to_parquet, to_record
from retrim.stats.metrics import JudgeParams, measure, row_losses
from retrim.stats.windows import part_of
from retrim.table.keys import at_keys
from retrim.training.baseline import BASELINES
from retrim.training.bundle import THRESHOLDS, FitRecord, JudgedRecord, Predictor, load_predictor, thresholds_by_name
from retrim.training.classes import load_balanced
from retrim.training.estimators import Model
from retrim.training.groups import FairnessParams, Outcomes
from retrim.training.predicted import importance
from retrim.training.recipe import REFITTED, StatedErrors, renamed

COPIED = ("slices.json", "importance.json", "fairness.json")
"""Files of the judged version's verdict that are those of its recipe fitted once more."""


@dataclass(frozen=True)
class PreviousChampionOnHoldout:
    """A previous champion on the judging rows, and the threshold that it decides by; None where it does not."""

    scored: ScoredModel
    threshold: float | None


def previous_champions_on(
    judged: pd.DataFrame, paths: Paths, judge: JudgeParams
) -> tuple[dict[int, PreviousChampionOnHoldout], dict[int, str]]:
    """Those that compete, each with its own view and bundle; and why each of the others does not.

    Args:
        judged: Judging rows, whole rows of the table in time order.
    """
    laid = _laid(paths)
    if not laid or not len(judged):
        return {}, {}
    able, unable = may_compete(laid, columns=list(judged.columns), judged_from=judged["_event"].iloc[0])
    kept, passed_over = shortlist(able, _before(paths), loss=judge.loss, most=COMPETING, rows=len(judged))
    scored = {
        version: score(each.view, judged, each.predict(judged), loss=judge.loss, stated=None)
        for version, each in kept.items()
    }
    return {
        version: PreviousChampionOnHoldout(scored[version], each.threshold) for version, each in kept.items()
    }, unable | passed_over


def _laid(paths: Paths) -> dict[int, Predictor]:
    """Previous champions by version, the newest first."""
    if not paths.has_previous_champions:
        return {}
    folders = {int(folder.name.removeprefix("v")): folder for folder in paths.previous.iterdir()}
    return {version: load_predictor(read_folder(folders[version])) for version in sorted(folders, reverse=True)}


def _before(paths: Paths) -> pd.DataFrame:
    """The training rows, with all columns of the table."""
    keys = part_of(read_parquet(paths.view), "train")["_key"]
    return read_parquet(paths.table).set_index("_key").loc[keys].reset_index()


def look_by_group(
    paths: Paths, judged: HoldoutJudgement, winner: str, fairness: FairnessParams, judge: JudgeParams, gate: GateParams
) -> FairnessLook:
    """Fairness of the winner on the judging rows, before and after mitigation, beside the champion."""
    rows, models = judged.rows, []

    def given(of: str, scored: ScoredModel, threshold: float | None) -> GroupedModel:
        cut = fairness.threshold if threshold is None else threshold
        return GroupedModel(of, Outcomes.of(judged.task, scored.actual, scored.predicted, threshold=cut), scored.losses)

    if fairness.groups and len(rows):
        challenger = judged.challengers[winner]
        models.append(given(CHALLENGER, challenger, threshold_of(paths.candidate, winner)))
        if fairness.mitigate is not None:
            models.append(given(BEFORE, _losses_before(paths, winner, rows, challenger, loss=judge.loss), None))
        if judged.champion is not None:
            its = threshold_of(paths.champion, read_winner(paths.champion))
            models.append(given(CHAMPION, judged.champion, its))
    return compare_groups(models, rows, fairness, judge, gate)


def limits_on(
    judged: HoldoutJudgement,
    previous_champion: PreviousChampionOnHoldout,
    fairness: FairnessParams,
    judge: JudgeParams,
    gate: GateParams,
) -> list[Check]:
    """The checks on fairness that a previous champion has to pass too before it goes live again."""
    if not fairness.limits() or len(judged.rows) < 2:
        return []
    scored, its = previous_champion.scored, previous_champion.threshold
    cut = fairness.threshold if its is None else its
    outcomes = Outcomes.of(judged.task, scored.actual, scored.predicted, threshold=cut)
    given = GroupedModel(CHALLENGER, outcomes, scored.losses)
    return compare_groups([given], judged.rows, fairness, judge, gate).checks


def threshold_of(bundle: Path, winner: str) -> float | None:
    """The threshold that the stage backtest found for a challenger; None where it was not asked to."""
    file = bundle / THRESHOLDS
    return thresholds_by_name(file.read_bytes()).get(winner) if file.exists() else None


def _losses_before(paths: Paths, winner: str, rows: pd.DataFrame, challenger: ScoredModel, *, loss: str) -> ScoredModel:
    """The twin that was fitted without weights; the winner itself where there is none."""
    file = paths.models / winner / BEFORE_FILE
    if not file.exists():
        return challenger
    stored = read_parquet(file).set_index("_key").loc[rows["_key"]].to_numpy(dtype="float64")
    predicted = np.asarray(stored[:, 0] if challenger.predicted.ndim == 1 else stored)
    return replace(challenger, predicted=predicted, losses=row_losses(loss, challenger.actual, predicted))


def support_in(pins: Pins, judged: HoldoutJudgement, gate: GateParams) -> dict[str, Support] | None:
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


def run(
    gate: GateParams,
    judge: JudgeParams,
    fairness: FairnessParams,
    paths: Paths,
) -> None:
    """Scores every stored model with its own preprocessing on the same rows, which none of them has seen.

    A model that was fitted once more has seen them: it is held against the champion, which was judged on them, and has
    the champion's figures.
    """
    lightgbm_alone()
    view = read_feature_view(paths)
    judged = _judged(paths, view, gate, judge)
    if read_pins(paths).is_final:
        files = _refit_files(judged, paths, view, judge)
    else:
        files = _judged_files(judged, paths, view, gate, judge, fairness)
    won = judged.challengers[from_record(JudgedRecord, json.loads(files["verdict.json"])).winner].predicted
    files["reference.parquet"] = to_parquet(with_answers(judged.rows, view, won))
    write_folder(paths.verdict, files)


def _judged_files(
    judged: HoldoutJudgement,
    paths: Paths,
    view: FeatureView,
    gate: GateParams,
    judge: JudgeParams,
    fairness: FairnessParams,
) -> dict[str, bytes]:
    """What the gate says of challengers that have not seen the judging rows."""
    verdict, told, by_group = _verdict(judged, gate, judge, fairness, paths)
    split = read_split(paths.features)
    record = to_record(verdict) | {"judged_from": split.judged_from, "judged_until": split.judged_until} | told
    record["metrics"] = {name: _metrics(scored, view, judge) for name, scored in judged.challengers.items()}
    files = {"verdict.json": to_json(record), "judged.parquet": to_parquet(_scored(judged, view))}
    files["slices.json"] = to_json(to_record(_slices(judged, verdict.winner, judge)))
    files["importance.json"] = to_json(_importance(paths, view, judged.rows, verdict.winner))
    if by_group.record is not None:
        files["fairness.json"] = to_json(to_record(by_group.record))
    return files


def _metrics(scored: ScoredModel, view: FeatureView, judge: JudgeParams) -> dict[str, float]:
    if not len(scored.losses):
        return {}
    return measure(judge.metrics, scored.actual, scored.predicted, task=view.task)


def _refit_files(judged: HoldoutJudgement, paths: Paths, view: FeatureView, judge: JudgeParams) -> dict[str, bytes]:
    """The verdict on the champion's recipe fitted once more.

    It has seen the judging rows, so every figure is the champion's, which was judged on them. What the new fit itself
    loses there is written as `training`.
    """
    ((name, again),) = judged.challengers.items()
    champion, version = judged.champion, read_pins(paths).champion
    assert champion is not None
    before = paths.champion / "verdict"
    stored = read_json(before / "verdict.json")
    known = from_record(VerdictRecord, stored)
    agreement = agree(name, champion, again, AgreementParams())
    others = {model: loss for model, loss in known.losses.items() if model != known.winner}
    note = f"figures are those of version {version}, which was judged; this fit has seen the holdout rows"
    record = stored | {
        "winner": name,
        "promote": agreement.promote,
        "reason": agreement_reason(version, agreement, known.reason),
        "checks": [*stored["checks"], *(to_record(check) for check in agreement.checks)],
        "losses": others | renamed(known.losses, known.winner, name),
        "metrics": renamed(known.metrics, known.winner, name),
        "notes": [*known.notes, note],
        "previous_champions": None,
        "agreement": version,
        "training": _metrics(again, view, judge) | ({"loss": float(again.losses.mean())} if len(again.losses) else {}),
    }
    scored = judged.rows[["_key", "_event"]].assign(actual=view.actual(judged.rows))
    predicted = champion.predicted
    if predicted.ndim == 2:
        predicted = aligned(predicted, champion.classes, view.classes)
    scored = scored.assign(**_columns(name, predicted), _judged_loss=champion.losses)
    earlier = read_parquet(before / "judged.parquet").set_index("_key")
    if "_champion_loss" in earlier:
        scored = scored.assign(_champion_loss=earlier["_champion_loss"].loc[scored["_key"]].to_numpy())
    copied = {file: (before / file).read_bytes() for file in COPIED if (before / file).is_file()}
    return {"verdict.json": to_json(record), "judged.parquet": to_parquet(scored), **copied}


def _verdict(
    judged: HoldoutJudgement,
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
    support = support_in(pins, judged, gate)
    verdict = judged_by(judged, gate, rivals=len(competing), support=support)
    by_group = look_by_group(paths, judged, verdict.winner, fairness, judge, gate)
    verdict = verdict.with_checks(by_group.checks)
    of_previous = None
    if competing:
        theirs = replace(judged, challengers={str(version): each.scored for version, each in competing.items()})
        of_previous = judged_by(theirs, gate, rivals=len(judged.challengers))
        best = competing[int(of_previous.winner)]
        of_previous = of_previous.with_checks(limits_on(judged, best, fairness, judge, gate))
    losses = {version: each.scored.losses for version, each in competing.items()}
    verdict, contest = settle(verdict, of_previous, losses, left_out)
    told: dict[str, JsonValue] = {
        "previous_champions": to_record(contest) if losses or left_out else None,
        "detectable": _detectable(
            judged, verdict.winner, gate, judge, rivals=len(competing), uses=times, support=support
        ),
        "notes": [*by_group.notes],
        "agreement": None,
        "training": {},
        "size": None if pins.size is None else to_record(pins.size),
    }
    return verdict, told, by_group


def _scored(judged: HoldoutJudgement, view: FeatureView) -> pd.DataFrame:
    """What every model said of each judged row, what came, and the champion's loss."""
    scored = judged.rows[["_key", "_event"]].assign(actual=view.actual(judged.rows))
    for name, challenger in judged.challengers.items():
        scored = scored.assign(**_columns(name, challenger.predicted))
    return scored if judged.champion is None else scored.assign(_champion_loss=judged.champion.losses)


def _slices(judged: HoldoutJudgement, winner: str, judge: JudgeParams) -> SlicesRecord:
    """The losses of the winner and the champion, slice by slice."""
    champion = None if judged.champion is None else judged.champion.losses
    own = judged.challengers[winner].losses
    sliced = slice_table(judged.rows, own, champion, judged.features, block_rows=judge.block_rows)
    return SlicesRecord(judge.loss, sliced)


def _importance(paths: Paths, view: FeatureView, judged: pd.DataFrame, winner: str) -> dict[str, JsonValue] | None:
    """How much each feature weighs in the winner's predictions of the judged rows; None where nobody can say."""
    model = _load(view, read_folder(paths.models / winner))
    found = importance(model, view, judged)
    return None if found is None else to_record(found)


def _judged(paths: Paths, view: FeatureView, gate: GateParams, judge: JudgeParams) -> HoldoutJudgement:
    """The judging block with all models on it; its rows are whole, as the champion's features may be others."""
    split = read_split(paths.features)
    series = list(split.series or ())
    parts = read_frame(paths.view, ["_key", "_event", "_due", view.target, "_part", *series], coded=["_part"])
    keys, train = part_of(parts, "judge")["_key"], part_of(parts, "train")
    places = at_keys(keys, read_frame(paths.table, ["_key"], coded=[]).reset_index(), "index").to_numpy()
    rows = read_rows_at(paths.table, np.sort(places)).iloc[places.argsort().argsort()].reset_index(drop=True)
    rows = rows[["_key", *(name for name in rows if name != "_key")]]
    if not read_pins(paths).is_final:
        _check_unused(rows["_event"], pd.Timestamp(split.used_until), by="the challengers")
    champion = _champion(paths, rows, judge)
    backtest = from_record(StatedErrors, read_json(paths.backtest / "backtest.json"))
    season, actual = pd.Timedelta(gate.season), view.actual(rows)
    cut = {"season": season, "cells": gate.season_cells, "entity": series}
    floors = {name: BASELINES[name](view, train, rows, **cut) for name in gate.baselines}
    return HoldoutJudgement(
        rows=rows,
        features=view.features,
        task=view.task,
        challengers={
            name: score(view, rows, predicted, loss=judge.loss, stated=StatedInterval.of(backtest, name))
            for name, predicted in _predictions(view, rows, read_folder(paths.models)).items()
        },
        champion=champion,
        floors={name: row_losses(judge.loss, actual, predicted) for name, predicted in floors.items()},
    )


def _predictions(view: FeatureView, judged: pd.DataFrame, files: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Predictions of each stored challenger, loaded from its files."""
    predictions = {}
    for kind in sorted({name.split("/")[0] for name in files}):
        own = {name.removeprefix(f"{kind}/"): content for name, content in files.items() if name.startswith(f"{kind}/")}
        predictions[kind] = _load(view, own).predict(view.matrix(judged))
    return predictions


def _load(view: FeatureView, files: dict[str, bytes]) -> Model:
    """A stored challenger, from the files of its folder."""
    return load_balanced(from_record(FitRecord, json.loads(files["fit.json"])).recipe.model, view, files)


def _champion(paths: Paths, judged: pd.DataFrame, judge: JudgeParams) -> ScoredModel | None:
    """The champion on the judged rows, with its own view and bundle."""
    if not paths.has_champion:
        return None
    files = read_folder(paths.champion)
    champion = load_predictor(files)
    _check_unused(judged["_event"], champion.used_until, by="the champion")
    stated = StatedInterval.in_bundle(files)
    return score(champion.view, judged, champion.predict(judged), loss=judge.loss, stated=stated)


def _check_unused(events: "pd.Series[pd.Timestamp]", used_until: pd.Timestamp, *, by: str) -> None:
    """Refuses rows that a model was fitted, tuned or stopped on as its judges; the stage features never leaves any."""
    if len(events) and events.iloc[0] <= used_until:
        raise RefusedError(
            f"the holdout rows begin at {events.iloc[0].isoformat()}, but rows up to {used_until.isoformat()} were "
            f"used to train {by}; evaluate on later rows only"
        )


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
        support=None if support is None else support.get(winner, NO_SUPPORT),
    )
    return None if seen is None else to_record(seen)


def _columns(name: str, predicted: np.ndarray) -> dict[str, np.ndarray]:
    if predicted.ndim == 1:
        return {name: predicted}
    return {f"{name}_{place}": predicted[:, place] for place in range(predicted.shape[1])}


if __name__ == "__main__":
    main(run)
