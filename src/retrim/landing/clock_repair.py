"""After the clock ran ahead: what arrived, was withdrawn, checked or run later than now is dated anew, in its order.

Versions and releases keep their dates: a version is rebuilt as of its own, and the release log is signed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pandas as pd

from retrim.adapters.database import iso
from retrim.adapters.store import date_decision_anew, date_run_anew
from retrim.decision.alerts import AlertKind
from retrim.decision.stored_rows import DecisionRow, RunRow, VersionRow
from retrim.errors import BadInputError, RefusedError
from retrim.landing.ingest import A_SECOND
from retrim.landing.quarantine import Quarantine, QuarantinedBatch
from retrim.lineage.workspace import Workspace, record_alert, require_who_and_why
from retrim.stats.codec import Moment


@dataclass(frozen=True)
class DateMove:
    """A date in the future that is changed.

    Args:
        kind: What has the date: batch, quarantined batch, withdrawal, run, or the source of a decision, such as check.
        name: Id of the batch, decision or run.
        before: The date.
        after: The new date.
    """

    kind: str
    name: str
    before: Moment
    after: Moment

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {iso(self.before)} becomes {iso(self.after)}"


@dataclass(frozen=True)
class Repair:
    """Dates that change, whether they were changed or only planned, and why dates stay in the future, in sentences."""

    done: bool
    moves: tuple[DateMove, ...]
    stays: tuple[str, ...]


def plan_repair(workspace: Workspace, *, now: pd.Timestamp) -> Repair:
    """What `repair` would do now.

    Raises:
        BadInputError: So many moments lie ahead that they do not fit between what came before and now.
    """
    return _planned(workspace, now)[0]


def repair(workspace: Workspace, *, by: str, reason: str, now: pd.Timestamp) -> Repair:
    """Dates anew all that lies ahead of now: the last moment becomes now, each one before it a second less.

    May be killed and run again: what is left ahead is dated anew then. What it did is kept as an alert, and in a batch
    that was dated anew stands when it had arrived.

    Raises:
        BadInputError: Nobody or no reason is named; or see `plan_repair`.
        RefusedError: A run is in progress.
    """
    require_who_and_why(by=by, reason=reason)
    going = workspace.store.runs(workspace.model, state="running")
    if going:
        raise RefusedError(
            f"run {going[0].id} is in progress (process {going[0].pid}); wait until it ends, or stop that process"
        )
    landing = workspace.landing
    with landing.locked():
        plan, anew = _planned(workspace, now)
        if not plan.moves:
            return plan
        for file in [file for file in landing.batches() if file.arrived > now]:
            landing.date_anew(file, anew[file.arrived])
        for entry in _held(workspace):
            if entry.arrived > now:
                Quarantine(workspace.paths.quarantine).date_anew(entry, anew[entry.arrived])
        for withdrawal in [each for each in landing.withdrawals().values() if each.at > now]:
            landing.date_withdrawal_anew(withdrawal, anew[withdrawal.at])
        texts = {iso(before): iso(after) for before, after in anew.items()}
        for row in _ahead(workspace.store.decisions(workspace.model), now):
            date_decision_anew(workspace.store, row.id, as_of=texts[row.as_of], record=_with_dates(row.record, texts))
        for run in _ahead(workspace.store.runs(workspace.model), now):
            date_run_anew(workspace.store, run.id, as_of=texts[run.as_of], latest=iso(now))
    told = "; ".join(map(str, plan.moves))
    record_alert(workspace, AlertKind.DATES_REPAIRED, f"redated by {by} ({reason}): {told}", now=now)
    return replace(plan, done=True)


def _planned(workspace: Workspace, now: pd.Timestamp) -> tuple[Repair, Mapping[pd.Timestamp, pd.Timestamp]]:
    """The plan, and what each moment ahead becomes."""
    landing, store = workspace.landing, workspace.store
    decisions, runs = store.decisions(workspace.model), store.runs(workspace.model)
    dates: list[tuple[str, str, pd.Timestamp]] = [
        *(("batch", file.batch, file.arrived) for file in landing.batches()),
        *(("quarantined batch", entry.batch, entry.arrived) for entry in _held(workspace)),
        *(("withdrawal", each.batch, each.at) for each in landing.withdrawals().values()),
        *((row.source, row.id, pd.Timestamp(row.as_of)) for row in decisions),
        *(("run", row.id, pd.Timestamp(row.as_of)) for row in runs),
    ]
    moments = sorted({date for *_, date in dates if date > now})
    last = max((date for *_, date in dates if date <= now), default=None)
    anew = {moment: now - (len(moments) - 1 - place) * A_SECOND for place, moment in enumerate(moments)}
    if anew and last is not None and anew[moments[0]] <= last:
        raise BadInputError(
            f"{len(moments)} times are later than now ({iso(now)}), and there are too few seconds between the "
            f"last earlier time ({iso(last)}) and now to move these times there; wait {len(moments)} s, then try "
            "again"
        )
    moves = (DateMove(kind, name, date, anew[date]) for kind, name, date in dates if date in anew)
    return Repair(False, tuple(sorted(moves, key=lambda move: move.after)), _stays(workspace, now)), anew


def _stays(workspace: Workspace, now: pd.Timestamp) -> tuple[str, ...]:
    versions = (
        f"version {row.version} keeps its as-of time, {row.as_of}: it is rebuilt as of that time, from its own raw data"
        for row in _ahead(workspace.store.versions(workspace.model), now)
    )
    releases = (
        f"version {row.version} went live at {row.at}, which does not change, because the release log is signed"
        for row in workspace.store.releases(workspace.model)
        if pd.Timestamp(row.at) > now
    )
    return (*versions, *releases)


def _held(workspace: Workspace) -> list[QuarantinedBatch]:
    """What lies in quarantine: it keeps its arrival when it lands."""
    return [entry for entry in Quarantine(workspace.paths.quarantine).entries() if entry.state == "held"]


Dated = TypeVar("Dated", DecisionRow, RunRow, VersionRow)


def _ahead(rows: Iterable[Dated], now: pd.Timestamp) -> list[Dated]:
    return [row for row in rows if pd.Timestamp(row.as_of) > now]


def _with_dates(record: Any, texts: Mapping[str, str]) -> Any:
    """A record with the moments that are dated anew, wherever they stand in it."""
    if isinstance(record, dict):
        return {name: _with_dates(value, texts) for name, value in record.items()}
    if isinstance(record, list):
        return [_with_dates(value, texts) for value in record]
    return texts.get(record, record) if isinstance(record, str) else record
