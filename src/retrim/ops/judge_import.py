"""The gate of an imported version: on landed rows that it has not seen, against the champion here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.core.bundle import VERDICT, Predictor, load_predictor
from retrim.core.bundle_format import HISTORY
from retrim.core.gate import Judged, Stated, Used, judge_models, score, uses
from retrim.core.lags import HistoryParams
from retrim.core.metrics import measure, row_losses
from retrim.core.models.baseline import BASELINES
from retrim.core.table import mature, with_past
from retrim.core.windows import past_of
from retrim.errors import RefusedError
from retrim.ops.champion import Stored
from retrim.ops.group_checks import forbidden_in, group_checks
from retrim.ops.house import House
from retrim.ops.known import known_table

BACKTEST = "backtest/backtest.json"


@dataclass(frozen=True)
class Judgement:
    """What the gate said, or why it could not say anything yet.

    Args:
        verdict: The record of the verdict; None where it is deferred.
        deferred: What is missing; "" where nothing is.
        example: A few of the judged rows.
    """

    verdict: dict[str, Any] | None
    deferred: str
    example: pd.DataFrame


def judge_import(house: House, files: Mapping[str, bytes], champion: Stored | None, *, now: pd.Timestamp) -> Judgement:
    """Judges the winner of a bundle that was made elsewhere.

    Judged are the newest mature rows after all that it was fitted, tuned, stopped or judged on, and after all that
    the champion was fitted, tuned or stopped on.

    Args:
        house: The house.
        files: Of the bundle.
        champion: The live version; None before the first.
        now: Rows count that had landed and were mature by then.

    Raises:
        RefusedError: The table here is not the one that the model is for.
    """
    params, imported = house.params, load_predictor(files)
    ripe = _ripe(house, files, now)
    if ripe is None:
        return Judgement(None, "no rows have landed here; land some with `retrim ingest FILE`", pd.DataFrame())
    _fits(house, imported, ripe)
    seen = imported.judged_until
    if champion is not None:
        seen = max(seen, champion.predictor.used_until)
    unseen = int((ripe["_event"] > seen).sum())
    start = len(ripe) - min(unseen, params.split.judge_rows)
    rows = ripe.iloc[start:].reset_index(drop=True)
    example = rows[list(imported.view.needs)].tail(5)
    past = ripe.iloc[past_of(ripe["_event"], ripe["_due"], start)] if len(rows) else ripe.iloc[:0]
    if len(rows) < params.gate.min_rows:
        why = f"{len(rows)} mature rows here that neither model has seen, {params.gate.min_rows} needed"
        return Judgement(None, f"{why}: import again when more have come", example)
    if not len(past):
        return Judgement(None, "no row lies before those that judge, to make the naive baselines from", example)
    judged = _judged(house, imported, files, champion, rows, past)
    verdict = judge_models(
        judged,
        params.gate,
        params.slices,
        draws=params.judge.draws,
        block_rows=params.judge.block_rows,
        uses=uses(_used(house), rows["_event"]),
    ).with_checks(group_checks(house, imported, rows))
    actual, predicted = imported.view.actual(rows), imported.predict(rows)
    record = verdict.as_record() | {
        "judged_from": rows["_event"].iloc[0].isoformat(),
        "judged_until": rows["_event"].iloc[-1].isoformat(),
        "detectable": None,
        "notes": [],
        "metrics": {verdict.winner: measure(params.judge.metrics, actual, predicted, task=imported.view.task)},
    }
    return Judgement(record, "", example)


def _ripe(house: House, files: Mapping[str, bytes], now: pd.Timestamp) -> pd.DataFrame | None:
    """Mature rows, with the features from the past that the bundle was made with; None where no rows have landed."""
    if not any(batch.kind == "rows" for batch in house.landing.batches(now)):
        return None
    table = known_table(house, as_of=now)
    if HISTORY in files:
        table = with_past(table, house.params.data, HistoryParams.model_validate_json(files[HISTORY]))
    return mature(table).reset_index(drop=True)


def _fits(house: House, imported: Predictor, ripe: pd.DataFrame) -> None:
    """Refuses a model of another target or task, or that needs columns which are not here or are forbidden."""
    data, view = house.params.data, imported.view
    missing = sorted(set(imported.columns) - set(ripe.columns))
    if view.target != data.target or view.task != data.task or missing:
        lacks = f", and it needs {', '.join(missing)}" if missing else ""
        raise RefusedError(
            f"it predicts {view.target!r} ({view.task}); here that is {data.target!r} ({data.task}){lacks}; it is for "
            "another table"
        )
    forbidden = forbidden_in(house, list(view.features))
    if forbidden:
        raise RefusedError(f"it uses {', '.join(forbidden)}, which fairness.forbidden forbids here; import one without")


def _judged(
    house: House,
    imported: Predictor,
    files: Mapping[str, bytes],
    champion: Stored | None,
    rows: pd.DataFrame,
    past: pd.DataFrame,
) -> Judged:
    gate, loss, view = house.params.gate, house.params.judge.loss, imported.view
    season, actual = pd.Timedelta(gate.season), view.actual(rows)
    cut = {"season": season, "cells": gate.season_cells, "entity": house.params.data.series}
    floors = {name: BASELINES[name](view, past, rows, **cut) for name in gate.floor}
    own = None
    if champion is not None:
        its = champion.predictor
        own = score(its.view, rows, its.predict(rows), loss=loss, stated=_stated(champion.files))
    winner = json.loads(files[VERDICT])["winner"]
    return Judged(
        rows=rows,
        features=view.features,
        task=view.task,
        challengers={winner: score(view, rows, imported.predict(rows), loss=loss, stated=_stated(files))},
        champion=own,
        floors={name: row_losses(loss, actual, predicted) for name, predicted in floors.items()},
    )


def _stated(files: Mapping[str, bytes]) -> Stated | None:
    """The interval that a bundle's backtest gave for its winner; None where there is none."""
    return Stated.of(json.loads(files.get(BACKTEST, b"{}")), json.loads(files[VERDICT])["winner"])


def _used(house: House) -> list[Used]:
    """Earlier verdicts here: the rows that each was given on."""
    return [
        Used(row.version, pd.Timestamp(row.verdict["judged_from"]), pd.Timestamp(row.verdict["judged_until"]))
        for row in house.store.versions(house.model)
        if row.verdict.get("judged_from") is not None and row.verdict.get("agreement") is None  # that chose nothing
    ]
