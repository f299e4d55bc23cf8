"""Columns that a version reads and that the table no longer has: said by status, by checks and by scoring.

Batch scoring: the champion's predictions for rows that have landed, into the store, each row once a version.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrim.adapters.database import iso
from retrim.alerting.kinds import AlertKind
from retrim.checking.history import used_by
from retrim.drift.profile import score_columns
from retrim.features.view import FeatureView
from retrim.landing.as_of_view import NEEDS, AsOfTable, left_out_since, read_as_of
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.versions import Stored, load_champion
from retrim.table.schema import ColumnNames


def columns_gone(workspace: Workspace, version: int) -> tuple[str, ...]:
    """Columns that a version reads and params.yaml does not declare any more, under any name."""
    row, data = workspace.store.version(workspace.model, version), workspace.params.data
    needs = {} if row is None else row.lineage.get(NEEDS, {})
    if set(needs) <= set(data.columns):
        return ()
    names = ColumnNames((file.schema for file in workspace.landing.batches()), data)
    return tuple(name for name in needs if names.current(name) is None)


def tell_columns_gone(workspace: Workspace, version: int, *, now: pd.Timestamp) -> tuple[str, ...]:
    """The same of the live version, with an alert for what it lacks."""
    gone = columns_gone(workspace, version)
    if gone:
        listed = ", ".join(map(repr, gone))
        what, it = ("is no longer a column", "it is") if len(gone) == 1 else ("are no longer columns", "one is")
        record_alert(
            workspace,
            AlertKind.COLUMN_GONE,
            f"version {version} is live and reads {listed}, which {what}: "
            f"where it is not known, the version predicts without it; the next one does without. If {it} called "
            f"otherwise now, say so: data.columns, `was: {gone[0]}`",
            now=now,
            about=listed,
        )
    return gone


@dataclass(frozen=True)
class ScoringResult:
    """What a scoring run wrote.

    Args:
        version: The live one; None before the first.
        rows: That had no prediction of it yet.
        written: Predictions.
        selected: Rows that were decided for; None where nothing is decided.
        left_out: Rows since the version was made that `data.rows` leaves out, and that so have no prediction.
        lacks: Columns that the version reads and that are gone: where they are not known, it predicts without them.
    """

    version: int | None
    rows: int
    written: int
    selected: int | None
    left_out: int = 0
    lacks: tuple[str, ...] = ()


def score(workspace: Workspace, *, now: pd.Timestamp) -> ScoringResult:
    """Predicts every row that the champion was not fitted on and that has no prediction of it yet."""
    found = load_champion(workspace)
    if found is None:
        return ScoringResult(None, 0, 0, None)
    scored = score_table(workspace, read_as_of(workspace, as_of=now), found, now=now)
    return replace(scored, left_out=left_out_since(workspace, as_of=now, since=found.predictor.used_until))


def score_table(workspace: Workspace, table: AsOfTable, champion: Stored, *, now: pd.Timestamp) -> ScoringResult:
    """The same for a table and a champion that are at hand.

    Args:
        workspace: The workspace.
        table: All rows that had landed by `now`.
        champion: The live version.
        now: Noted with each prediction.
    """
    version, predictor = champion.version, champion.predictor
    lacks = tell_columns_gone(workspace, version, now=now)
    used = (table.times["_event"] <= predictor.used_until) & used_by(workspace, table, champion)
    unseen = table.only(~used)
    done = workspace.predictions.predicted(workspace.model, version=version, keys=unseen.times["_key"])
    unseen = unseen.only(~unseen.times["_key"].isin(done))
    if not len(unseen):
        return ScoringResult(version, 0, 0, None, lacks=lacks)
    fresh = unseen.read()
    values = predictor.predict(fresh)
    decided = predictor.decide(fresh, values)
    if decided is not None:  # first, as a row with a prediction is not looked at again
        workspace.predictions.add_selections(
            [
                {"model": workspace.model, "key": key, "version": version, "selected": selected}
                for key, selected in zip(fresh["_key"], decided.tolist(), strict=True)
            ]
        )
    written = workspace.predictions.add(
        [
            {
                "model": workspace.model,
                "key": key,
                "version": version,
                "event": iso(event),
                "at": iso(now),
                "value": value,
            }
            for key, event, value in zip(fresh["_key"], fresh["_event"], values.tolist(), strict=True)
        ]
    )
    return ScoringResult(version, len(fresh), written, None if decided is None else int(decided.sum()), lacks=lacks)


def stored_scores(workspace: Workspace, version: int, keys: pd.Series, view: FeatureView) -> pd.DataFrame:
    """Stored predictions for these rows as the columns of `score_columns`; missing where a row was not scored.

    Args:
        workspace: The workspace.
        version: Whose predictions.
        keys: Of the rows, shape (n,).
        view: Of that version.

    Returns:
        Shape (n, 1 or 2), index of `keys`.
    """
    stored = workspace.predictions.of_version(workspace.model, version=version, keys=keys)
    values = stored["value"].tolist()
    wide = view.task == "multiclass"
    predicted = np.array(values, dtype="float64").reshape((len(values), len(view.classes)) if wide else -1)
    columns = score_columns(predicted, view).set_index(pd.Index(stored["key"]))
    return columns.reindex(keys).set_axis(keys.index)
