"""The stored challengers and the champion on the judging block; names one winner and gives the verdict."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.agreement import AgreementParams, agree, agreement_record
from retrim.core.balance import load_balanced
from retrim.core.bundle import VERDICT, load_predictor
from retrim.core.canonical import to_json
from retrim.core.contest import FormerParams, settle
from retrim.core.contributions import ExplainParams, importance
from retrim.core.detectable import detectable
from retrim.core.fairness.look import Looked
from retrim.core.fairness.params import FairnessParams
from retrim.core.frames import to_parquet
from retrim.core.gate import (
    NO_SUPPORT,
    GateParams,
    Judged,
    Scored,
    Stated,
    Support,
    Used,
    Verdict,
    judge_models,
    recency,
    score,
    uses,
)
from retrim.core.keyed import at_keys
from retrim.core.metrics import JudgeParams, measure, row_losses
from retrim.core.models import Model
from retrim.core.models.baseline import BASELINES
from retrim.core.reference_rows import with_answers
from retrim.core.slice_table import slice_table
from retrim.core.slices import SliceParams
from retrim.core.view import FeatureView
from retrim.core.windows import part_of
from retrim.datasets.pieces import read_frame, read_rows_at
from retrim.errors import RefusedError
from retrim.files import read_folder, write_folder
from retrim.paths import Paths
from retrim.stages._fairness import limits_on, look_by_group
from retrim.stages._formers import formers_on
from retrim.stages._room import is_final, lightgbm_alone, main, read_json, read_pins
from retrim.stages._shown import support_in


def run(
    gate: GateParams,
    judge: JudgeParams,
    former: FormerParams,
    release__reference_rows: int,
    slices: SliceParams,
    explain: ExplainParams,
    fairness: FairnessParams,
    retrain__agreement: AgreementParams,
    paths: Paths,
) -> None:
    """Scores every stored model with its own preprocessing on the same rows, which none of them has seen.

    A model that was fitted once more has seen them: it is held against the champion, which was judged on them.
    """
    lightgbm_alone()
    view = FeatureView.from_record(read_json(paths.features / "view.json"))
    judged = _judged(paths, view, gate, judge)
    by_group: Looked | None = None
    if is_final(read_pins(paths)):
        verdict, told = _agreement(judged, retrain__agreement, paths)
    else:
        verdict, told, by_group = _verdict(judged, gate, judge, former, slices, fairness, paths)
    split = read_json(paths.features / "split.json")
    record = verdict.as_record() | {"judged_from": split["judged_from"], "judged_until": split["judged_until"]} | told
    record["metrics"] = {
        name: measure(judge.metrics, scored.actual, scored.predicted, task=view.task)
        for name, scored in judged.challengers.items()
        if len(judged.rows)
    }
    files = {"verdict.json": to_json(record), "judged.parquet": to_parquet(_scored(judged, view))}
    files["slices.json"] = to_json(_slices(judged, verdict.winner, judge, slices, explain))
    files["importance.json"] = to_json(_importance(paths, view, judged.rows, verdict.winner, explain))
    won = judged.challengers[verdict.winner].predicted
    files["reference.parquet"] = to_parquet(with_answers(judged.rows, view, won, most=release__reference_rows))
    if by_group is not None and by_group.record is not None:
        files["fairness.json"] = to_json(by_group.record)
    write_folder(paths.verdict, files)


def _agreement(judged: Judged, params: AgreementParams, paths: Paths) -> tuple[Verdict, dict[str, Any]]:
    """The verdict on the champion's recipe fitted once more, and what the record tells beside it."""
    ((name, again),) = judged.challengers.items()
    assert judged.champion is not None
    verdict = agree(name, judged.champion, again, params)
    told = agreement_record(read_pins(paths).get("champion"), verdict)
    return verdict, {"formers": None, "detectable": None, "notes": [], "agreement": told["with"]} | {
        "reason": told["reason"] if verdict.rows else verdict.reason
    }


def _verdict(
    judged: Judged,
    gate: GateParams,
    judge: JudgeParams,
    former: FormerParams,
    slices: SliceParams,
    fairness: FairnessParams,
    paths: Paths,
) -> tuple[Verdict, dict[str, Any], Looked]:
    """The gate's verdict, what the record tells beside it, and the look by group."""
    times = uses(_used(paths), judged.rows["_event"])
    formers, left_out = formers_on(judged.rows, paths, former, judge)
    drawn: dict[str, Any] = {"draws": judge.draws, "block_rows": judge.block_rows, "uses": times}
    support = support_in(read_pins(paths), judged, gate)
    verdict = judge_models(judged, gate, slices, **drawn, rivals=len(formers), support=support)
    by_group = look_by_group(paths, judged, verdict.winner, fairness, judge, seed=gate.seed)
    verdict = verdict.with_checks(by_group.checks)
    of_formers = None
    if formers:
        theirs = replace(judged, challengers={str(version): each.scored for version, each in formers.items()})
        of_formers = judge_models(theirs, gate, slices, **drawn, rivals=len(judged.challengers))
        best = formers[int(of_formers.winner)]
        of_formers = of_formers.with_checks(limits_on(judged, best, fairness, judge, seed=gate.seed))
    losses = {version: each.scored.losses for version, each in formers.items()}
    verdict, contest = settle(verdict, of_formers, losses, left_out)
    told = {
        "formers": contest.as_record() if losses or left_out else None,
        "detectable": _detectable(
            judged, verdict.winner, gate, judge, rivals=len(formers), uses=times, support=support
        ),
        "notes": by_group.notes,
        "agreement": None,
        "size": read_pins(paths).get("size"),
    }
    return verdict, told, by_group


def _scored(judged: Judged, view: FeatureView) -> pd.DataFrame:
    """What every model said of each judged row, what came, and the champion's loss."""
    scored = judged.rows[["_key", "_event"]].assign(actual=view.actual(judged.rows))
    for name, challenger in judged.challengers.items():
        scored = scored.assign(**_columns(name, challenger.predicted))
    return scored if judged.champion is None else scored.assign(_champion_loss=judged.champion.losses)


def _slices(
    judged: Judged, winner: str, judge: JudgeParams, slices: SliceParams, explain: ExplainParams
) -> dict[str, Any]:
    """The losses of the winner and the champion, slice by slice."""
    champion = None if judged.champion is None else judged.champion.losses
    own = judged.challengers[winner].losses
    sliced = slice_table(
        judged.rows,
        own,
        champion,
        judged.features,
        slices,
        confidence=explain.confidence,
        block_rows=judge.block_rows,
    )
    return {"loss": judge.loss, "slices": [each.as_record() for each in sliced]}


def _importance(
    paths: Paths, view: FeatureView, judged: pd.DataFrame, winner: str, explain: ExplainParams
) -> dict[str, Any] | None:
    """How much each feature weighs in the winner's predictions of the judged rows; None where nobody can say."""
    model = _load(view, read_folder(paths.models / winner))
    found = importance(model, view, judged, most=explain.rows)
    return None if found is None else found.as_record()


def _judged(paths: Paths, view: FeatureView, gate: GateParams, judge: JudgeParams) -> Judged:
    """The judging block with all models on it; its rows are whole, as the champion's features may be others."""
    split = read_json(paths.features / "split.json")
    series = split.get("series", [])
    parts = read_frame(paths.view, ["_key", "_event", "_due", view.target, "_part", *series], coded=["_part"])
    keys, train = part_of(parts, "judge")["_key"], part_of(parts, "train")
    places = at_keys(keys, read_frame(paths.table, ["_key"], coded=[]).reset_index(), "index").to_numpy()
    rows = read_rows_at(paths.table, np.sort(places)).iloc[places.argsort().argsort()].reset_index(drop=True)
    rows = rows[["_key", *(name for name in rows if name != "_key")]]
    if not is_final(read_pins(paths)):
        _check_unused(rows["_event"], pd.Timestamp(split["used_until"]), by="the challengers")
    champion = _champion(paths, rows, judge)
    backtest = read_json(paths.backtest / "backtest.json")
    season, actual = pd.Timedelta(gate.season), view.actual(rows)
    cut = {"season": season, "cells": gate.season_cells, "entity": series}
    floors = {name: BASELINES[name](view, train, rows, **cut) for name in gate.floor}
    return Judged(
        rows=rows,
        features=view.features,
        task=view.task,
        challengers={
            name: score(view, rows, predicted, loss=judge.loss, stated=Stated.of(backtest, name))
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
    return load_balanced(json.loads(files["fit.json"])["recipe"]["model"], view, files)


def _champion(paths: Paths, judged: pd.DataFrame, judge: JudgeParams) -> Scored | None:
    """The champion on the judged rows, with its own view and bundle."""
    if not paths.has_champion:
        return None
    files = read_folder(paths.champion)
    champion = load_predictor(files)
    _check_unused(judged["_event"], champion.used_until, by="the champion")
    winner = json.loads(files[VERDICT])["winner"]
    stated = Stated.of(json.loads(files.get("backtest/backtest.json", b"{}")), winner)
    return score(champion.view, judged, champion.predict(judged), loss=judge.loss, stated=stated)


def _check_unused(events: "pd.Series[pd.Timestamp]", used_until: pd.Timestamp, *, by: str) -> None:
    """Refuses rows that a model was fitted, tuned or stopped on as its judges; the stage features never leaves any."""
    if len(events) and events.iloc[0] <= used_until:
        raise RefusedError(
            f"the judging rows begin at {events.iloc[0].isoformat()}, and rows up to {used_until.isoformat()} were "
            f"used to make {by}; judge on later rows alone"
        )


def _used(paths: Paths) -> list[Used]:
    """Earlier verdicts, as pinned: the rows that each was given on."""
    earlier = read_pins(paths).get("judged", [])
    return [Used(each["version"], pd.Timestamp(each["from"]), pd.Timestamp(each["until"])) for each in earlier]


def _detectable(
    judged: Judged,
    winner: str,
    gate: GateParams,
    judge: JudgeParams,
    *,
    rivals: int,
    uses: float,
    support: dict[str, Support] | None,
) -> dict[str, Any] | None:
    if judged.champion is None:
        return None
    weights = recency(judged.rows["_event"], gate.half_life)
    losses, champion = judged.challengers[winner].losses, judged.champion.losses
    seen = detectable(
        losses if weights is None else losses * weights,
        champion if weights is None else champion * weights,
        judged.rows["_event"],
        gate,
        challengers=len(judged.challengers) + rivals,
        uses=uses,
        draws=judge.draws,
        block_rows=judge.block_rows,
        support=None if support is None else support.get(winner, NO_SUPPORT),
    )
    return None if seen is None else seen.as_record()


def _columns(name: str, predicted: np.ndarray) -> dict[str, np.ndarray]:
    if predicted.ndim == 1:
        return {name: predicted}
    return {f"{name}_{place}": predicted[:, place] for place in range(predicted.shape[1])}


if __name__ == "__main__":
    main(run)
