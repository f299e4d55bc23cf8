"""The store's rows as the records that a decision rests on: checks, runs, what was refused, what a run waits for."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import pandas as pd

from retrim.adapters.database import iso
from retrim.decision.check_record import (
    AcknowledgedKind,
    AskedRun,
    CheckRecord,
    DecisionEvidence,
    EarlierCheck,
    HoldAnswer,
    PauseChange,
    StartedBy,
    StoredCheck,
)
from retrim.decision.history import Acknowledgement, CheckHistory, PastCheck, PastRun
from retrim.decision.retraining_cost import MonthSpent
from retrim.decision.stored_rows import DecisionRow, RunRow
from retrim.errors import BadInputError
from retrim.landing.as_of_view import read_times_as_of
from retrim.lineage.workspace import MUTE, PAUSE, PERSON, SETTLEMENT, Workspace
from retrim.release.versions import load_champion
from retrim.stats.codec import Moment, from_record
from retrim.table.data import mature, overdue_labels
from retrim.training.enough import cut_first, enough_at, rows_missing

CHECK = "check"  # source of the decisions that checks take
LOOKED_BACK = 60
"""Newest checks among which one that measured the loss, or named a batch, is looked for: two months of daily ones."""
STOPS_COUNTED = 50  # newest checks: a version may live through thousands


@dataclass(frozen=True)
class RowsToWaitFor:
    """Rows that have to mature before a retraining can be judged.

    Args:
        until: When there will be enough; None where that cannot be said.
        known: What was known when that was said: see `what_is_known`.
    """

    reason: str
    until: Moment | None
    missing: int
    known: dict[str, str]


def what_is_known(workspace: Workspace, *, as_of: pd.Timestamp) -> dict[str, str]:
    """Digests of what a deferral rests on: batches of rows and labels that have landed by a moment; settings.

    A run that was deferred is tried again when one of them has changed.
    """
    batches = "\n".join(f"{batch.digest} {batch.arrived.isoformat()}" for batch in workspace.landing.batches(as_of))
    settings = workspace.params.model_dump_json()
    return {"landed": sha256(batches.encode()).hexdigest(), "settings": sha256(settings.encode()).hexdigest()}


def rows_to_wait_for(workspace: Workspace, *, as_of: pd.Timestamp, by_person: bool) -> RowsToWaitFor | None:
    """What a retraining as of a date waits for, which a person asked for or a check decided; None if for nothing.

    The date is when enough of the rows that have landed will be due, or of those that come at the rate of the newest.

    Raises:
        BadInputError: No rows had landed by then.
    """
    table = read_times_as_of(workspace, as_of=as_of)
    champion = load_champion(workspace)
    mature_rows = mature(table)
    if not len(table):
        raise BadInputError(f"no rows had landed by {iso(as_of)}; land some with `retrim ingest FILE`")
    fresh = mature_rows
    if champion is not None:
        seen = champion.predictor.used_until if by_person else champion.predictor.judged_until
        fresh = mature_rows[mature_rows["_event"] > seen]
    # Version 1 also needs rows to train on: as many again as those that judge, three times over.
    needed = workspace.params.gate.min_rows if champion is not None else workspace.params.split.judge_rows * 4
    missing, reason = needed - len(fresh), f"{len(fresh)} mature rows that no model has seen, {needed} needed"
    if missing <= 0 and champion is None:
        missing, reason = _too_few_to_train(workspace, mature_rows)
    if missing <= 0:
        return None
    until = enough_at(table["_event"], table["_due"], table["_matured"], missing=missing, as_of=as_of)
    when = "it is unknown when there will be enough" if until is None else f"enough by {iso(until)}"
    reason = f"{reason}; {when}, tried again when rows, labels or settings change"
    silent = overdue_labels(table, workspace.params.data, as_of=as_of)
    if silent:
        reason = f"{reason}; {silent} labels are overdue, land them: retrim ingest FILE --labels"
    return RowsToWaitFor(reason, until, missing, what_is_known(workspace, as_of=as_of))


def _too_few_to_train(workspace: Workspace, mature_rows: pd.DataFrame) -> tuple[int, str]:
    """Rows that are missing for a first version although there are many: a long horizon leaves few to fit on."""
    event, due, params = mature_rows["_event"], mature_rows["_due"], workspace.params
    try:
        cut_first(event, due, params.split, params.tune, params.backtest)
    except ValueError as error:
        missing = max(rows_missing(event, due, params.split, params.tune, params.backtest), 1)
        return missing, f"of {len(mature_rows)} mature rows, too few come before the holdout rows to train on ({error})"
    return 0, ""


def evidence_of(row: DecisionRow) -> DecisionEvidence:
    """What the store keeps of a decision, whoever took it."""
    kinds: dict[str, type[DecisionEvidence]] = {
        SETTLEMENT: HoldAnswer,
        PERSON: AskedRun,
        PAUSE: PauseChange,
        MUTE: AcknowledgedKind,
    }
    return from_record(kinds.get(row.source, CheckRecord), row.record)


def checks_in(decisions: Iterable[DecisionRow]) -> list[StoredCheck]:
    """The checks among decisions, in their order."""
    return [StoredCheck.of(row) for row in decisions if row.source == CHECK]


def checks_of(workspace: Workspace) -> list[StoredCheck]:
    """Every check of the model, oldest first."""
    return checks_in(workspace.store.decisions(workspace.model, source=CHECK))


def named_suspects(workspace: Workspace, *, now: pd.Timestamp | None = None) -> dict[str, str]:
    """What is suspicious about batches, by batch, as the newest checks named them while the loss was too high.

    Args:
        now: The newest as-of date of a check; None: any.
    """
    until = None if now is None else iso(now)
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=LOOKED_BACK, until=until)
    checks = [StoredCheck.of(row).record for row in rows]
    return {
        suspect.batch: suspect.text
        for check in checks
        if check.performance.comparison is not None and check.performance.comparison.is_too_high
        for suspect in check.performance.suspects
    }


def newest_check(workspace: Workspace) -> StoredCheck | None:
    """The newest check; None before the first."""
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=1)
    return StoredCheck.of(rows[-1]) if rows else None


def past_of_store(
    workspace: Workspace, checks: Sequence[StoredCheck], decided: Sequence[DecisionRow], *, now: pd.Timestamp
) -> CheckHistory:
    """What went before a check of a moment.

    Args:
        decided: All decisions of the model, oldest first.
    """
    decisions = {row.id: row for row in decided}
    runs = workspace.store.runs(workspace.model)
    known = what_is_known(workspace, as_of=now) if any(row.state == "deferred" for row in runs) else {}
    return CheckHistory(
        runs=[_run(row, decisions, known) for row in runs],
        checks=[past_check(check.earlier) for check in checks],
        asked=[pd.Timestamp(row.as_of) for row in decisions.values() if row.source == PERSON],
        settled=[
            Acknowledgement(pd.Timestamp(row.as_of), from_record(HoldAnswer, row.record).rules)
            for row in decisions.values()
            if row.source == SETTLEMENT
        ],
    )


def month_spent(workspace: Workspace, *, now: pd.Timestamp) -> MonthSpent | None:
    """What the retrainings of this calendar month cost, by the moments that they are about; None where nobody says."""
    money = workspace.params.gain.money
    if money is None or money.budget is None:
        return None
    month = f"{now:%Y-%m}"
    return MonthSpent(month, len(runs_paid(workspace, month)), money, money.budget)


def runs_paid(workspace: Workspace, month: str) -> list[RunRow]:
    """The retrainings of a month that were paid for: not those that were deferred."""
    runs = workspace.store.runs(workspace.model)
    return [run for run in runs if run.as_of.startswith(month) and run.state != "deferred"]


def new_rows(workspace: Workspace, table: pd.DataFrame) -> tuple[int, int] | None:
    """Rows that have matured since the newest refusal, and those that judged it; None where nothing was refused."""
    refused = workspace.store.runs(workspace.model, state="refused")
    version = None if not refused else workspace.store.version(workspace.model, refused[-1].made)
    if version is None:
        return None
    since = pd.Timestamp(refused[-1].answered or refused[-1].as_of)
    return int((table["_matured"] > since).sum()), version.judged.rows


def past_check(record: CheckRecord | EarlierCheck) -> PastCheck:
    """What later checks go by. One that looked at drift has findings, whether or not any is over its threshold."""
    return PastCheck(
        as_of=record.as_of,
        champion=record.champion,
        drifted=record.drift.drifted if record.drift.findings else None,
        held=record.decision.held,
        settled=record.decision.settled,
        balance=record.gain.now.balance,
        retraining_cost=record.gain.retraining_cost,
    )


def _run(row: RunRow, decisions: dict[str, DecisionRow], known: dict[str, str]) -> PastRun:
    decision = decisions.get(row.decision)
    rules = () if decision is None else from_record(StartedBy, decision.record).rules
    state = "restored" if row.detail.restored is not None else row.state
    until, changed = None, False
    if row.state == "deferred":
        until, changed = row.detail.until, row.detail.known != known
    return PastRun(
        row.id,
        pd.Timestamp(row.as_of),
        state,
        rules,
        None if until is None else pd.Timestamp(until),
        changed,
        None if row.answered is None else pd.Timestamp(row.answered),
    )


@dataclass(frozen=True)
class StopCounts:
    """How often each guard stopped a run since the live version was released, in at most the newest 50 checks.

    Args:
        checks: Checks that are counted.
        since: As-of date of the first of them.
        guards: Number of stopped runs, by guard.
        refused: Runs that the gate refused.
    """

    checks: int
    since: Moment
    guards: dict[str, int]
    refused: int


def stopped_since(workspace: Workspace, checks: Sequence[StoredCheck]) -> StopCounts | None:
    """How often each guard stopped a run; None before the first check."""
    if not checks:
        return None
    releases = [row for row in workspace.store.releases(workspace.model) if row.as_of <= checks[-1].as_of]
    since = releases[-1].as_of if releases else ""
    newest = [row for row in checks if row.as_of > since][-STOPS_COUNTED:]
    if not newest:
        return None
    started = {row.id for row in newest}
    refused = workspace.store.runs(workspace.model, state="refused")
    return StopCounts(
        checks=len(newest),
        since=newest[0].record.as_of,
        guards=dict(Counter(stop for check in newest if (stop := check.record.decision.stopped) is not None)),
        refused=sum(run.decision in started for run in refused),
    )
