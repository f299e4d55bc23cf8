"""Batch scoring: the champion's predictions for rows that have landed, each row once a version; some are made again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import pandas as pd
import pyarrow as pa

from retrim.adapters.database import iso
from retrim.checking.rows import used_by
from retrim.decision.alerts import AlertKind
from retrim.drift.profile import score_columns
from retrim.errors import RetrimError
from retrim.features.view import FeatureView
from retrim.landing.as_of_view import AsOfTable, left_out_since, read_as_of
from retrim.landing.quarantine import Quarantine
from retrim.lineage.prediction_log import IN_ORDER, SCHEMA, probabilities_of, span_of
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.versions import Stored, interval_width, load_champion, load_stored_version
from retrim.table.schema import ColumnNames
from retrim.training.predicted import predicted_columns

NAME = "recomputed predictions"
MOST = 100
DRAWN = 20
"""Predictions that are drawn, of which the first tells the call."""
DAY = pd.Timedelta("1D")


def columns_gone(workspace: Workspace, version: int) -> tuple[str, ...]:
    """Columns that a version reads and params.yaml does not declare any more, under any name."""
    row, data = workspace.store.version(workspace.model, version), workspace.params.data
    needs = {} if row is None else row.made_from.needs
    if set(needs) <= set(data.columns):
        return ()
    names = ColumnNames((file.schema for file in workspace.landing.batches()), data)
    return tuple(name for name in needs if names.current(name) is None)


def tell_columns_gone(workspace: Workspace, version: int, *, now: pd.Timestamp) -> tuple[str, ...]:
    """The same of the live version, with an alert for what it lacks."""
    gone = columns_gone(workspace, version)
    if gone:
        listed = ", ".join(map(repr, gone))
        what, it, them = (
            ("is no longer a column", "it was", "it")
            if len(gone) == 1
            else ("are no longer columns", "one was", "them")
        )
        record_alert(
            workspace,
            AlertKind.COLUMN_GONE,
            f"the live version {version} reads {listed}, which {what}. It predicts with missing values there, and the "
            f"next version will not use {them}. If {it} renamed, declare it: data.columns, `was: {gone[0]}`",
            now=now,
            about=listed,
        )
    return gone


@dataclass(frozen=True)
class ScoringResult:
    """The result of a scoring run.

    Args:
        version: The live version; None before the first version.
        rows: Rows that had no prediction of the live version yet.
        written: Predictions written.
        selected: Rows that the decision threshold selected; None if the model makes no decisions.
        left_out: Rows since the version was made that have no prediction, because `data.rows` leaves them out.
        lacks: Columns that the version needs and that the table no longer has; it predicts with missing values there.
    """

    version: int | None
    rows: int
    written: int
    selected: int | None
    left_out: int = 0
    lacks: tuple[str, ...] = ()


def score(workspace: Workspace, *, now: pd.Timestamp) -> ScoringResult:
    """Predicts every row that the champion was not fitted on and that has no prediction of it yet."""
    champion = load_champion(workspace)
    if champion is None:
        return ScoringResult(None, 0, 0, None)
    scored = score_table(workspace, read_as_of(workspace, as_of=now), champion, now=now)
    return replace(scored, left_out=left_out_since(workspace, as_of=now, since=champion.predictor.used_until))


def score_table(workspace: Workspace, table: AsOfTable, champion: Stored, *, now: pd.Timestamp) -> ScoringResult:
    """The same for a table and a champion that are at hand."""
    version, predictor = champion.version, champion.predictor
    lacks = tell_columns_gone(workspace, version, now=now)
    used = (table.times["_event"] <= predictor.used_until) & used_by(workspace, table, champion)
    since = kept_since(workspace, newest=table.times["_event"].max())
    wanted = ~used if since is None else ~used & (table.times["_event"] >= since)
    unseen = _not_predicted(workspace, version, table.only(wanted))
    if not len(unseen):
        return ScoringResult(version, 0, 0, None, lacks=lacks)
    fresh = unseen.read()
    values = predictor.predict(fresh)
    decided = predictor.decide(values)
    columns = predicted_columns(predictor.view, values, decided, interval_width(champion))
    written = workspace.predictions.add(version, stored_rows(fresh, values, columns, predictor.view, now=now))
    return ScoringResult(version, len(fresh), written, None if decided is None else int(decided.sum()), lacks=lacks)


def kept_since(workspace: Workspace, *, newest: pd.Timestamp) -> pd.Timestamp | None:
    """The first event of which predictions are kept, at the begin of a month; None: all are."""
    keep = workspace.params.schedule.keep_predictions
    if keep is None or pd.isna(newest):
        return None
    oldest = newest - pd.Timedelta(keep)
    return oldest.normalize() - pd.Timedelta(oldest.day - 1, "D")


def _not_predicted(workspace: Workspace, version: int, unseen: AsOfTable) -> AsOfTable:
    """Those of the rows that a version has not predicted. Of a batch whose rows it all has, no key is read.

    Where `data.rows.where` leaves rows out it may have left out others before, so that as many say nothing.
    """
    log, times = workspace.predictions, unseen.times
    if "_batch" in times and not workspace.params.data.rows.where:
        counts, batches = log.batch_counts(version), times["_batch"].astype("str")
        rows = batches.value_counts()
        done = {batch for batch, many in rows.items() if counts.get(str(batch), 0) >= many}
        unseen = unseen.only(~batches.isin(done))
    known = log.predicted(version, unseen.times["_key"]) if len(unseen) else set()
    return unseen.only(~unseen.times["_key"].isin(known)) if known else unseen


def stored_rows(
    rows: pd.DataFrame, predicted: np.ndarray, columns: Mapping[str, pa.Array], view: FeatureView, *, now: pd.Timestamp
) -> pa.Table:
    """Predictions of landed rows as they are stored.

    Args:
        rows: With `_key` and `_event`, shape (n, columns), n at least 1.
        predicted: Shape (n,) or (n, classes).
    """
    wide, n = view.task == "multiclass", len(rows)
    about = "\0".join([iso(now), str(n), rows["_key"].iloc[0], rows["_key"].iloc[-1]])
    named = {
        "key": pa.array(rows["_key"], pa.string()),
        "event_time": pa.Array.from_pandas(rows["_event"]).cast(SCHEMA.field("event_time").type),
        **columns,
        "probabilities": probabilities_of(predicted, view.classes) if wide else pa.nulls(n, SCHEMA.field(6).type),
        "at": pa.array([now.to_pydatetime()] * n, SCHEMA.field("at").type),
        "request_id": pa.array([sha256(about.encode()).hexdigest()[:16]] * n, pa.string()),
        "token": pa.nulls(n, pa.string()),
        "batch": pa.array(rows["_batch"].astype("str"), pa.string()) if "_batch" in rows else pa.nulls(n, pa.string()),
        "features": pa.nulls(n, pa.string()),  # those of the landed row
    }
    return pa.table([named[name] for name in SCHEMA.names], schema=SCHEMA)


def have_landed_features(view: FeatureView, rows: pd.DataFrame, digests: pd.Series) -> np.ndarray:
    """Whether answers to requests were about these rows as they landed, shape (n,).

    Args:
        rows: The landed row of each answer, shape (n, columns).
    """
    if not len(rows) or not set(view.needs) <= set(rows.columns):
        return np.zeros(len(rows), dtype=bool)
    equal: np.ndarray = np.array(view.digests(view.seen(rows)), dtype=object) == digests.to_numpy(dtype=object)
    return equal


def stored_values(rows: pd.DataFrame, view: FeatureView) -> np.ndarray:
    """Stored predictions as numbers, NaN where they are none: shape (n,), or (n, classes) of a multiclass task."""
    if view.task != "multiclass":
        return rows["prediction"].to_numpy(dtype="float64", na_value=np.nan)
    known = [dict(row) if row is not None else {} for row in rows["probabilities"]]
    numbers = [[row.get(name, np.nan) for name in view.classes] for row in known]
    return np.array(numbers, dtype="float64").reshape(len(rows), len(view.classes))


def stored_scores(workspace: Workspace, version: int, rows: pd.DataFrame, view: FeatureView) -> pd.DataFrame:
    """Stored predictions for these rows as the columns of `score_columns`; missing where a row was not scored.

    Args:
        rows: With `_key` and `_event`, shape (n, columns).

    Returns:
        Shape (n, 1 or 2), index of `rows`.
    """
    read = workspace.predictions.read(version=version, keys=rows["_key"], events=span_of(rows["_event"]))
    predictions = read.to_pandas()
    stored = predictions.sort_values("at", kind="stable").drop_duplicates("key")
    columns = score_columns(stored_values(stored, view), view).set_index(pd.Index(stored["key"]))
    return columns.reindex(rows["_key"]).set_axis(rows.index)


@dataclass(frozen=True)
class RecomputedSample:
    """What became of a sample.

    Args:
        version: Whose predictions; None where none is stored.
        at: When they were made; None likewise.
        rows: Predictions that were made again.
        differing: Keys of those that differ.
    """

    version: int | None
    at: pd.Timestamp | None
    rows: int
    differing: tuple[str, ...]


NOTHING = RecomputedSample(None, None, 0, ())


def recompute_daily(workspace: Workspace, *, now: pd.Timestamp) -> RecomputedSample | None:
    """One sample a day, and an alert where one differs or none could be compared; None where that day had its own."""
    done = workspace.store.done_until(workspace.model, NAME)
    if done is not None and now < pd.Timestamp(done) + DAY:
        return None
    try:
        sample = recompute(workspace, seed=int(now.timestamp() // DAY.total_seconds()))
    except Exception as error:  # noqa: BLE001  a model may fail in ways of its own, and what else is due must not wait
        sample, why = NOTHING, str(error) if isinstance(error, RetrimError) else f"{type(error).__name__}: {error}"
        text = f"stored predictions could not be recomputed, so none were compared: {why}"
        record_alert(workspace, AlertKind.FLOW_FAILED, text, now=now, about=NAME)
    if sample.differing:
        one = f"{sample.differing[0]}@{sample.version}"
        record_alert(
            workspace,
            AlertKind.PREDICTIONS_DIFFER,
            f"{len(sample.differing)} of {sample.rows} stored predictions of version {sample.version} differ from "
            "what it predicts now for the same rows: the file was altered, or this machine computes differently. "
            f"Compare both with `retrim versions explain '{one}'`; then restore var/predictions from a backup, or "
            f"prove the version with `retrim versions reproduce {sample.version} --prove`",
            now=now,
        )
    workspace.store.mark_done(workspace.model, NAME, until=iso(now))
    return sample


def recompute(workspace: Workspace, *, seed: int, most: int = MOST) -> RecomputedSample:
    """Makes stored predictions of one call again, up to `most` of them, drawn by `seed`."""
    drawn = workspace.predictions.drawn(DRAWN, seed=seed)
    if not len(drawn):
        return NOTHING
    first = drawn.iloc[0]
    version, at = int(first["version"]), pd.Timestamp(first["at"])
    same = workspace.predictions.read(version=version, at=at).sort_by(IN_ORDER).to_pandas()
    places = np.sort(np.random.default_rng(seed).permutation(len(same))[:most])
    sample = same.iloc[places]
    table = read_as_of(workspace, as_of=at, without=_closed_since(workspace, at), as_then=True)
    start, end = span_of(sample["event_time"])
    near = table.only(table.times["_event"].between(start, end) & table.times["_key"].isin(sample["key"]))
    if not len(near):  # left out by newer settings
        return RecomputedSample(version, at, 0, ())
    rows = near.read()
    predictor = load_stored_version(workspace, version).predictor
    sample = sample.set_index("key").loc[rows["_key"]].reset_index()
    stored, again = stored_values(sample, predictor.view), predictor.predict(rows)
    agrees = (stored == again).reshape(len(rows), -1).all(axis=1)
    return RecomputedSample(version, at, len(rows), tuple(rows["_key"][~agrees]))


def _closed_since(workspace: Workspace, moment: pd.Timestamp) -> frozenset[str]:
    """Batches that a person released after a moment: each landed with the arrival of when it first came."""
    entries = Quarantine(workspace.paths.quarantine).entries()
    return frozenset(entry.batch for entry in entries if entry.closed is not None and entry.closed > moment)
