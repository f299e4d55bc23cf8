"""The gate of an imported version: on landed rows that it has not seen, against the champion here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.checking.previous_champions import forbidden_in
from retrim.errors import RefusedError
from retrim.gate.fairness import limit_checks
from retrim.gate.losses import EarlierVerdict, uses
from retrim.gate.models import judge_models
from retrim.gate.verdict import HoldoutJudgement, ScoredModel, StatedInterval, VerdictRecord, score_stored
from retrim.landing.as_of_view import known_table
from retrim.lineage.workspace import Workspace
from retrim.release.versions import Stored
from retrim.stats.codec import from_record, to_record
from retrim.stats.metrics import measure, row_losses
from retrim.stats.windows import past_of
from retrim.table.data import mature, with_past
from retrim.table.lags import HistoryParams
from retrim.training.baseline import BASELINES
from retrim.training.bundle import HISTORY, VERDICT, Predictor, load_predictor

EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Judgement:
    """The verdict on an imported version, or why there is none yet.

    Args:
        verdict: The record of the verdict; None if it is deferred.
        deferred: What is missing; "" if nothing is.
        example: A few of the holdout rows.
    """

    verdict: dict[str, JsonValue] | None
    deferred: str
    example: pd.DataFrame


def judge_import(
    workspace: Workspace, files: Mapping[str, bytes], champion: Stored | None, *, now: pd.Timestamp
) -> Judgement:
    """Judges the winner of a bundle that another workspace made, by its files.

    The holdout rows are the newest mature rows as of `now` after all that the version was fitted, tuned, stopped or
    judged on, and after all that the champion was fitted, tuned or stopped on.

    Raises:
        RefusedError: The model is for another table.
    """
    params, imported = workspace.params, load_predictor(files)
    table = _mature_table(workspace, files, now)
    if table is None:
        return Judgement(None, "no rows have landed here; land some with `retrim ingest FILE`", pd.DataFrame())
    _require_fit(workspace, imported, table)
    seen_until = (
        imported.judged_until if champion is None else max(imported.judged_until, champion.predictor.used_until)
    )
    unseen = np.flatnonzero(table["_event"] > seen_until)[-params.split.judge_rows :]
    rows = table.iloc[unseen].reset_index(drop=True)
    example = rows[[*imported.view.needs, "_event"]].tail(EXAMPLE_ROWS)
    if len(rows) < params.gate.min_rows:
        why = f"only {len(rows)} mature rows here are new to both models, but {params.gate.min_rows} are needed"
        return Judgement(None, f"{why}; import again when more rows are mature", example)
    past = table.iloc[past_of(table["_event"], table["_due"], int(unseen[0]))]
    if not len(past):
        return Judgement(None, "no row precedes the holdout rows, so the naive baselines cannot be computed", example)
    judged = _judgement(workspace, imported, files, champion, rows, past)
    verdict = judge_models(
        judged,
        params.gate,
        draws=params.judge.draws,
        block_rows=params.judge.block_rows,
        uses=uses(earlier_verdicts(workspace), rows["_event"]),
    )
    scored = judged.challengers[verdict.winner]
    verdict = verdict.with_checks(
        limit_checks(scored, rows, params.data.task, params.fairness, params.judge, params.gate)
    )
    record = to_record(verdict) | {
        "judged_from": rows["_event"].iloc[0].isoformat(),
        "judged_until": rows["_event"].iloc[-1].isoformat(),
        "detectable": None,
        "notes": [],
        "metrics": {verdict.winner: measure(params.judge.metrics, scored.actual, scored.predicted, task=judged.task)},
    }
    return Judgement(record, "", example)


def earlier_verdicts(workspace: Workspace) -> list[EarlierVerdict]:
    """Earlier verdicts here that chose a version, with the rows that each was given on."""
    return [
        EarlierVerdict(row.version, pd.Timestamp(row.judged.judged_from), pd.Timestamp(row.judged.judged_until))
        for row in workspace.store.versions(workspace.model)
        if row.judged.judged_from and row.judged.judged_until
    ]


def _mature_table(workspace: Workspace, files: Mapping[str, bytes], now: pd.Timestamp) -> pd.DataFrame | None:
    """Mature rows, with the features from the past that the bundle was made with; None if no rows have landed."""
    if not any(batch.kind == "rows" for batch in workspace.landing.batches(now)):
        return None
    table = known_table(workspace, as_of=now)
    if HISTORY in files:
        table = with_past(table, workspace.params.data, HistoryParams.model_validate_json(files[HISTORY]))
    return mature(table).reset_index(drop=True)


def _require_fit(workspace: Workspace, imported: Predictor, table: pd.DataFrame) -> None:
    """Refuses a model of another target or task, or one that needs columns which are missing here or forbidden."""
    data, view = workspace.params.data, imported.view
    missing = sorted(set(imported.columns) - set(table.columns))
    if view.target != data.target or view.task != data.task or missing:
        lacks = f", and the table here lacks columns that the model needs: {', '.join(missing)}" if missing else ""
        raise RefusedError(
            f"the imported model does not fit this workspace: it predicts {view.target!r} ({view.task}), but this "
            f"workspace predicts {data.target!r} ({data.task}){lacks}; import a model that was trained on a table "
            "with the same columns"
        )
    forbidden = forbidden_in(workspace, list(view.features))
    if forbidden:
        raise RefusedError(
            f"the imported model uses {', '.join(forbidden)}, which data.columns forbids here; import a model "
            "that does not use them"
        )


def _judgement(
    workspace: Workspace,
    imported: Predictor,
    files: Mapping[str, bytes],
    champion: Stored | None,
    rows: pd.DataFrame,
    past: pd.DataFrame,
) -> HoldoutJudgement:
    gate, loss, view = workspace.params.gate, workspace.params.judge.loss, imported.view
    season, actual = pd.Timedelta(gate.season), view.actual(rows)

    def scored(predictor: Predictor, bundle: Mapping[str, bytes]) -> ScoredModel:
        return score_stored(predictor, rows, loss=loss, stated=StatedInterval.in_bundle(bundle))

    cut = {"season": season, "cells": gate.season_cells, "entity": workspace.params.data.series}
    winner = from_record(VerdictRecord, json.loads(files[VERDICT])).winner
    return HoldoutJudgement(
        rows=rows,
        features=view.features,
        task=view.task,
        challengers={winner: scored(imported, files)},
        champion=None if champion is None else scored(champion.predictor, champion.files),
        floors={name: row_losses(loss, actual, BASELINES[name](view, past, rows, **cut)) for name in gate.baselines},
    )
