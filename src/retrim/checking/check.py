"""One scheduled check: what drifted, how the champion does, what the probe says, and the decision. Always recorded.

What is held, settled by a person without a retraining: who, when and why is kept with the decisions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.database import iso
from retrim.checking.beside import look_at_canary
from retrim.checking.comparison import compare_losses, find_suspects
from retrim.checking.drift import estimate, find_drift
from retrim.checking.drift_news import tell_drift
from retrim.checking.history import (
    CHECK,
    LOOKED_BACK,
    as_check,
    checks_in,
    held_since,
    is_held,
    month_spent,
    new_rows,
    past_check,
    past_of_store,
    remind_of_hold,
    rolled_back,
    row_counts,
    view_of,
    waiting_rules,
)
from retrim.checking.mode import deposited, mode_now, read_totals
from retrim.checking.previous_champions import checks_since_release, led_before, score_previous_champions
from retrim.checking.probation import look_at_probation, rolled_back_instead
from retrim.checking.probe import (
    MeasuredRows,
    ProbeOutcome,
    beside_judged,
    judged_rows,
    last_probed,
    measure_champion,
    preview_before,
    run_probe,
    tell_skew,
    watch_before,
)
from retrim.checking.score import score_table
from retrim.decision.accumulated_gain import EMPTY, NOTHING, AccumulatedGain
from retrim.decision.alerts import AlertKind
from retrim.decision.check_record import CheckRecord, HoldAnswer, StoredCheck
from retrim.decision.check_verdict import CheckVerdict, make_verdict
from retrim.decision.history import CheckHistory, summarise_checks
from retrim.decision.loss_comparison import LossComparison, excess_of
from retrim.decision.model_health import HealthLevel, find_news, find_standing_faults
from retrim.decision.previous_champions import restore_instead
from retrim.decision.probe import ProbeResult, ProbeWatch, Signs
from retrim.decision.rows_counted import Kind, LedgerEntry, RowCounts
from retrim.decision.rules import (
    RESTORE_ASKED,
    Decision,
    Evidence,
    after_rollback,
    ask_to_restore,
    decide,
    repeats,
    while_paused,
)
from retrim.decision.stored_rows import DecisionRow, RunRow, as_text
from retrim.drift.findings import DriftFinding
from retrim.drift.profile import CONFIDENCE, SCORE, TARGET
from retrim.drift.slices import LossChange, SliceParams
from retrim.errors import BadInputError, RefusedError
from retrim.landing.as_of_view import AsOfTable, landed_since, read_as_of
from retrim.lineage.workspace import PERSON, SETTLEMENT, Workspace, record_alert, require_who_and_why
from retrim.release.acknowledged import muted_kinds
from retrim.release.approval import end_waiting
from retrim.release.pause import pause_now
from retrim.release.versions import Stored, find_live_version, load_champion, worth_of_live
from retrim.stats.codec import Moment, from_record, to_record
from retrim.table.data import overdue_labels
from retrim.training.mode import FINAL


@dataclass(frozen=True)
class CheckOutcome:
    """A recorded check.

    Args:
        id: Id of the check's decision.
        outcome: `none`, `retrain`, `restore`, `rollback` or `held`.
        reason: The reason, in one sentence.
        record: The evidence: drift, losses, probe, accumulated gain, every rule's answer.
        fresh: Whether this call made the check. A check with the same as-of date is made only once.
    """

    id: str
    outcome: str
    reason: str
    record: CheckRecord
    fresh: bool

    @property
    def sentence(self) -> str:
        """The verdict and the decision with its reason, as people read them."""
        decision = f"{self.outcome}: {self.reason}"
        return decision if self.record.verdict is None else f"{self.record.verdict.text} Decision: {decision}"

    def as_record(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "outcome": self.outcome,
            "reason": self.reason,
            **to_record(self.record),
            "fresh": self.fresh,
        }


def check(workspace: Workspace, *, by: str, now: pd.Timestamp) -> CheckOutcome:
    """Looks at what has landed by `now` and decides, made by a person or schedule; once for a moment.

    Of two checks at once one is recorded first. The other then looks again, at what that has left.

    Raises:
        BadInputError: No rows have landed by then.
    """
    while True:
        checked = _check(workspace, by=by, now=now)
        if checked is not None:
            remind_of_hold(workspace, checked.record, checked.reason, now=now)
            _tell(workspace, checked, now=now)
            return checked


def _tell(workspace: Workspace, checked: CheckOutcome, *, now: pd.Timestamp) -> None:
    """Alerts of what a check found; what lasts from check to check is told again as a reminder only."""
    _tell_health(workspace, checked.record, now=now)
    tell_drift(workspace, checked.record, checked.sentence, now=now)
    if checked.record.stopped == "pause":
        record_alert(workspace, AlertKind.PAUSED, checked.reason, now=now, about=checked.record.change)
    if checked.record.stopped == "budget":
        record_alert(workspace, AlertKind.BUDGET_REACHED, checked.reason, now=now, about="triggers.budget")
    month = month_spent(workspace, now=now)
    if month is not None and month.is_nearly_used_up:
        text = f"{month.text}: the budget allows one more"
        record_alert(workspace, AlertKind.BUDGET_NEAR, text, now=now, about=month.month)
    if checked.outcome == "held" and checked.record.stopped != "hold":
        previous = checked.record.previous_champions
        if previous is not None and checked.record.change == RESTORE_ASKED:
            record_alert(workspace, AlertKind.RESTORE_NEEDED, checked.reason, now=now, about=str(previous.best))
        else:
            record_alert(workspace, AlertKind.HELD, checked.sentence, now=now, about=held_since(workspace))


def _tell_health(workspace: Workspace, record: CheckRecord, *, now: pd.Timestamp) -> None:
    """Alerts of what is wrong with the live model: once when it begins or grows graver, and once when it is over."""
    if record.comparison is None:
        return
    rows = workspace.store.decisions(workspace.model, source=CHECK, until=iso(now), newest=LOOKED_BACK)
    *earlier, _ = [as_check(row).record for row in rows]
    before = find_standing_faults(reversed(earlier))
    own = [each for each in earlier if each.champion == record.champion]
    then = earlier[-1].as_of if earlier else now
    news = find_news(
        before,
        find_standing_faults([record, *reversed(own)]),
        muted_before=muted_kinds(workspace, now=then),
        muted_now=muted_kinds(workspace, now=now),
    )
    for finding in news.raised:
        is_critical = finding.level is HealthLevel.CRITICAL
        kind = AlertKind.MODEL_CRITICAL if is_critical else AlertKind.MODEL_WARNING
        record_alert(workspace, kind, f"{finding.text} Do: {finding.do}.", now=now, about=finding.kind)
    for kind_over in news.cleared:
        text = f"{kind_over.replace('_', ' ')} is over, as of {iso(now)}"
        record_alert(workspace, AlertKind.MODEL_CLEARED, text, now=now, about=kind_over)


def _check(workspace: Workspace, *, by: str, now: pd.Timestamp) -> CheckOutcome | None:
    """One look; None where another check was recorded meanwhile."""
    identity = f"{workspace.model}-{now:%Y%m%dT%H%M%SZ}"
    done = workspace.store.decision(identity)
    if done is not None:
        return CheckOutcome(done.id, done.outcome, done.reason, as_check(done).record, fresh=False)
    end_waiting(workspace, now=now)
    row = partial(
        DecisionRow,
        id=identity,
        model=workspace.model,
        source=CHECK,
        as_of=iso(now),
        at=iso(now),
        actor=by,
        sequence=1 + workspace.store.last_sequence(workspace.model),
    )
    decisions = workspace.store.decisions(workspace.model)  # once: a life has thousands
    past = checks_in(decisions)
    previous = past[-1] if past else None
    table = read_as_of(workspace, as_of=now)
    if not len(table):
        raise BadInputError(f"no rows had landed by {iso(now)}; land some with `retrim ingest FILE`, or check later")
    found = load_champion(workspace)
    counts = row_counts(workspace, table, found)
    record = CheckRecord(
        as_of=now,
        landed=landed_since(workspace, None if previous is None else previous.record, rows=len(table), now=now),
        labels_overdue=overdue_labels(table.times, workspace.params.data, as_of=now),
        view=view_of(workspace.params.data),
        accumulated_gain=EMPTY,
        retraining_cost=retraining_cost_now(workspace),
        money=workspace.params.gain.money,
    )
    if previous is not None and previous.record.as_of > now:
        record = replace(record, totals=previous.record.totals or NOTHING)
        seen_already = f"the check of {previous.as_of} was made already; a check cannot be earlier than the last"
        change = f"a check at or after {previous.as_of}"
        gone = Decision("none", seen_already, (), change, (), previous.record.held, previous.record.settled)
        return _store(workspace, row, gone, record, counts.to_write({}))
    taken: dict[Kind, np.ndarray] = {}
    if found is not None:
        record, taken = _with_champion(workspace, record, table, found, counts, past=past)
    record = replace(record, totals=read_totals(workspace, previous, record))
    back = rolled_back(workspace, decisions, table.times)
    record = replace(record, rolled_back=back)
    evidence = _evidence(workspace, record, table, past_of_store(workspace, past, decisions))
    decision = after_rollback(_decide(workspace, evidence, record, past=past), back)
    decision = rolled_back_instead(workspace, decision, record.probation, previous)
    paused = pause_now(workspace)
    decision = while_paused(decision, paused, version=_back_to(record, decision))
    verdict = _verdict_of(workspace, record, decision)
    record = replace(record, said=decision.said, paused=paused, verdict=verdict)
    return _store(workspace, row, decision, record, counts.to_write(taken))


def _back_to(record: CheckRecord, decision: Decision) -> int | None:
    """The earlier version that a decision to restore or to roll back makes live; None for any other."""
    if decision.outcome == "restore":
        return None if record.previous_champions is None else record.previous_champions.best
    return None if decision.outcome != "rollback" or record.probation is None else record.probation.against


def _with_champion(
    workspace: Workspace,
    record: CheckRecord,
    table: AsOfTable,
    found: Stored,
    counts: RowCounts,
    *,
    past: Sequence[StoredCheck],
) -> tuple[CheckRecord, dict[Kind, np.ndarray]]:
    """The record with all that is found of the live version; and by kind, the rows that it counts."""
    version, predictor, now = found.version, found.predictor, record.as_of
    previous, mature = past[-1] if past else None, table.mature()
    score_table(workspace, table, found, now=now)
    looked, refused = find_drift(workspace, table, found, counts), _refused_since(workspace, past)
    before = _balance_after(version, past, refused)
    measured = measure_champion(workspace, mature, predictor, version, counts)
    tell_skew(workspace, None if measured is None else measured.served, now=now)
    guessed = estimate(workspace, table, predictor, version, past=past, now=now)
    estimated = 0 if guessed.estimate is None else guessed.estimate.rows
    rows_held = estimated if measured is None else measured.window.rows
    previous_champions = score_previous_champions(workspace, table, predictor, version, previous=previous)
    probation = look_at_probation(workspace, table, predictor, previous=previous, now=now)
    look_at_canary(workspace, table, now=now)
    part = None if measured is None else measured.part
    band, changed, comparison = None, LossChange({}, ()), None
    if rows_held:
        judged = judged_rows(workspace, table, found, counts)
        band, changed = beside_judged(workspace, found, judged, part, rows=rows_held)
        comparison = compare_losses(workspace, table, found, judged, measured, guessed.estimate, past=past)
    watch, probe = watch_before(previous, version), None
    if measured is not None:
        watch = watch.after_rows(_signs(measured, comparison, looked.findings))
    is_drifting, probed_at = any(each.over for each in looked.findings), last_probed(workspace, version, previous)
    if workspace.params.probe.is_asked(needed=watch.asks, drifted=is_drifting, waited=now - probed_at):
        cost = record.retraining_cost
        probe = run_probe(workspace, mature, predictor, version, counts, watch=watch, retraining_cost=cost)
    taken = {**looked.taken}
    if measured is not None:
        taken["measured"] = measured.taken
        record = replace(
            record,
            window=measured.window,
            loss=measured.loss,
            interval=measured.interval,
            metrics=measured.metrics,
            served=measured.served,
        )
    preview, accumulated_gain = preview_before(previous, version), before
    if probe is not None:
        taken["deposited"], preview, probed_at, reading = probe.taken, probe.preview, now, probe.reading
        accumulated_gain = _deposit(workspace, before, reading)
        watch = _answered(workspace, watch, probe, short=record.retraining_cost - accumulated_gain.balance)
        kept = replace(reading.reading, after_change=probe.rows_after_change)
        record = replace(record, reading=kept, refits=probe.refits, shown=probe.shown, probe=probe.cost)
    record = guessed.put_into(looked.with_losses(changed.shifted).put_into(record))
    record = replace(
        record,
        champion=version,
        watch=watch,
        preview=preview,
        pending=int(((table.times["_due"] > now).to_numpy() & counts.waiting("deposited")).sum()),
        counted_until=probed_at,
        labels_until=pd.Timestamp(mature.times["_matured"].max()) if len(mature) else None,
        band=band,
        comparison=comparison,
        suspects=find_suspects(workspace, table, part, guessed.estimate, looked.findings, now=now),
        slices=changed.slices[: SliceParams().kept],
        previous_champions=previous_champions,
        probation=probation,
        debited=tuple(run.id for run in refused),
        accumulated_gain_before=before,
        accumulated_gain=accumulated_gain,
        counted={kind: int(rows.sum()) for kind, rows in taken.items()},
    )
    return record, taken


def _signs(measured: MeasuredRows, comparison: LossComparison | None, findings: Sequence[DriftFinding]) -> Signs:
    """What makes the check probe: the loss beside expected and naive, and drift of the target and the predictions."""
    expected = None if comparison is None else comparison.expected
    is_high = comparison is not None and (bool(comparison.above_expected) or comparison.worse_than is not None)
    ceiling = expected.high / expected.loss if expected is not None and expected.high and expected.loss > 0 else 1.0
    tested = [each for each in findings if each.column in (TARGET, SCORE, CONFIDENCE)]
    return Signs(
        start=measured.window.start,
        loss=measured.loss if comparison is None else comparison.loss,
        is_high=is_high,
        excess=0.0 if comparison is None else excess_of(comparison),
        ceiling=max(ceiling, 1.0),
        is_drifting=any(each.over for each in tested) if tested else None,
    )


def _answered(workspace: Workspace, watch: ProbeWatch, probe: ProbeOutcome, *, short: float) -> ProbeWatch:
    """The watch after a probe: a refit with enough rows from after the change that surely does not help answers it."""
    return watch.after_probe(
        probe.reading.newest_gain,
        probe.reading.newest_error,
        errors=workspace.params.gain.errors,
        loss=probe.reading.champion_loss,
        is_learned=probe.rows_after_change >= workspace.params.gate.min_rows,
        short=short,
    )


def _decide(workspace: Workspace, evidence: Evidence, record: CheckRecord, *, past: Sequence[StoredCheck]) -> Decision:
    """What the rules say; restoring a previous champion where one has led and costs no training.

    While a run goes on or its version waits for a person none is restored: that version was judged against the one
    that is live, and could not go live after it.
    """
    decision, previous_champions = decide(evidence, workspace.params.triggers), record.previous_champions
    if previous_champions is None or not workspace.params.previous_champions.restore or record.champion is None:
        return decision
    if evidence.going_on is not None or evidence.waiting is not None:
        return decision
    decision = restore_instead(
        decision,
        previous_champions,
        probe_loss=None if record.reading is None else record.reading.probe_loss,
        led_before=led_before(past[-1] if past else None, record.champion, previous_champions.best),
        checks_since_release=checks_since_release(workspace, past),
        cooldown_checks=workspace.params.triggers.cooldown_checks,
        manual="manual" in workspace.params.triggers.rules,
    )
    return ask_to_restore(decision, previous_champions.best, workspace.params.release.approval)


def balance(workspace: Workspace, version: int, past: Sequence[StoredCheck]) -> AccumulatedGain:
    """The accumulated gain now: empty after a promotion, debited by the retraining cost after a refusal."""
    return _balance_after(version, past, _refused_since(workspace, past))


def _balance_after(version: int, past: Sequence[StoredCheck], refused: Sequence[RunRow]) -> AccumulatedGain:
    """The accumulated gain of the newest check, debited once for each of these runs; empty after a promotion."""
    if not past or past[-1].record.champion != version:
        return EMPTY
    newest = past[-1].record
    accumulated_gain = newest.accumulated_gain
    for _ in refused:
        accumulated_gain = accumulated_gain.debit(newest.retraining_cost)
    return accumulated_gain


def _refused_since(workspace: Workspace, past: Sequence[StoredCheck]) -> list[RunRow]:
    """Runs refused since the first check of the newest one's champion that no check has debited.

    Further checks may be made before a run ends, and it is debited at the first one after. A version may wait for a
    person until another is live: then its end counts, not its beginning. A run that brought a previous champion back,
    or fitted a promoted recipe once more, is not among them: nobody paid in vain.
    """
    if not past:
        return []
    refused = workspace.store.runs(workspace.model, state="refused")
    mine = [run for run in refused if run.detail.restored is None and run.mode != FINAL]
    first = _first_of_champion(past).as_of if mine else ""
    left = {run.id: run for run in mine if run.as_of >= first or (run.answered or "") >= first}
    for check in reversed(past):  # newest first: those of a champion are debited while it is live, or dated ahead
        if not left:
            break
        for debited in check.earlier.debited:
            left.pop(debited, None)
    return list(left.values())


def _first_of_champion(past: Sequence[StoredCheck]) -> StoredCheck:
    """The first check of the champion of the newest, with no other champion's in between.

    A check dated before an earlier one has no champion.
    """
    first = past[-1]
    for check in reversed(past[:-1]):
        if check.earlier.champion not in (None, first.earlier.champion):
            break
        first = first if check.earlier.champion is None else check
    return first


def retraining_cost_now(workspace: Workspace) -> float:
    """The retraining cost in mean loss times checks; without a version, `gain.cost` as it stands."""
    model = worth_of_live(workspace)
    return workspace.params.gain.cost if model is None else workspace.params.gain.cost_in_loss(model)


def _deposit(workspace: Workspace, accumulated_gain: AccumulatedGain, reading: ProbeResult) -> AccumulatedGain:
    share = reading.rows / workspace.params.gain.rows_per_check
    return accumulated_gain.deposit(reading.gain, error=reading.error, share=share)


def _evidence(workspace: Workspace, record: CheckRecord, table: AsOfTable, past: CheckHistory) -> Evidence:
    checked, params, live = past_check(record), workspace.params.gain, find_live_version(workspace)
    return Evidence(
        now=record.as_of,
        champion=record.champion,
        accumulated_gain=record.accumulated_gain,
        deposited=deposited(record),
        retraining_cost=record.retraining_cost,
        errors=params.errors,
        ahead=params.ahead,
        pending=record.pending / params.rows_per_check,
        preview=record.preview,
        loss=record.loss,
        estimate=None if record.estimate is None else record.estimate.loss,
        band=record.band,
        labels_until=record.labels_until,
        anew=new_rows(workspace, table.times) if checked.champion is None else None,
        month=month_spent(workspace, now=record.as_of),
        live_since=None if live is None else pd.Timestamp(live.as_of),
        **vars(summarise_checks(past, champion=checked.champion, drifted=checked.drifted)),
    )


def _store(
    workspace: Workspace,
    row: Callable[..., DecisionRow],
    decision: Decision,
    record: CheckRecord,
    counted: Sequence[LedgerEntry],
) -> CheckOutcome | None:
    """Records the check with the rows that it counted; None where another check was recorded since it looked."""
    record = replace(
        record,
        mode=mode_now(workspace) if decision.outcome == "retrain" else None,
        change=decision.change,
        fired=decision.fired,
        held=decision.held,
        settled=decision.settled,
        stopped=decision.stopped,
    )
    made = row(outcome=decision.outcome, reason=decision.reason, text=as_text(record))
    if not workspace.store.add_check(made, counted):
        return None
    return CheckOutcome(made.id, decision.outcome, decision.reason, record, fresh=True)


def _verdict_of(workspace: Workspace, record: CheckRecord, decision: Decision) -> CheckVerdict:
    params = workspace.params
    return make_verdict(
        record,
        "paused" if decision.stopped == "pause" else decision.outcome,
        loss=params.judge.loss,
        needed_rows=params.gate.min_rows,
        probe_rows=params.probe.min_rows,
        errors=params.gain.errors,
    )


@dataclass(frozen=True)
class AcknowledgedHold:
    """An acknowledged hold.

    Args:
        id: Id of the decision.
        as_of: As-of date of the acknowledgement.
        by: Who acknowledged it.
        reason: The reason that was given.
        rules: Rules whose alarm stays acknowledged until it clears; empty if something else caused the hold. The rule
            `gain` is never listed, because it fires on new rows.
        answers: Id of the check that was acknowledged.
    """

    id: str
    as_of: Moment
    by: str
    reason: str
    rules: tuple[str, ...]
    answers: str


def acknowledge(workspace: Workspace, *, reason: str, by: str, now: pd.Timestamp) -> AcknowledgedHold:
    """Answers what is held: nothing is retrained, and checks go on.

    Alarms that wait for a person are answered until they go quiet; one that comes up again is a new one. Refused
    runs and the timetable are counted anew from here.

    Raises:
        BadInputError: No reason or nobody is named, or a check has been made after `now`.
        RefusedError: Nothing is held.
    """
    require_who_and_why(by=by, reason=reason)
    decisions = workspace.store.decisions(workspace.model)
    checks = [row for row in decisions if row.source == CHECK]
    if not is_held(workspace, decisions):
        last = f"the last check, of {checks[-1].as_of}, decided {checks[-1].outcome!r}" if checks else "there was none"
        raise RefusedError(f"nothing is on hold: {last}; `retrim status` shows when something waits for a person")
    if not checks:
        raise RefusedError("no check has run yet, so no alarm can be acknowledged; run one first: retrim check")
    newest = checks[-1]
    if iso(now) < newest.as_of:
        raise BadInputError(
            f"the time {iso(now)} is before the newest check, {newest.as_of}; set --now to that time or to a later time"
        )
    check = as_check(newest)
    up = [said.rule for said in check.record.said if said.fires]
    waits = up if newest.outcome == "held" else waiting_rules(workspace, [check])
    rules = tuple(rule for rule in up if rule in waits and repeats(rule))
    made = AcknowledgedHold(f"{workspace.model}-{now:%Y%m%dT%H%M%SZ}-settled", now, by, reason, rules, newest.id)
    workspace.store.add_decision(
        DecisionRow(
            made.id,
            workspace.model,
            SETTLEMENT,
            as_of=iso(now),
            at=iso(now),
            outcome="settled",
            actor=by,
            reason=reason,
            text=as_text(HoldAnswer(now, rules, newest.id)),
        )
    )
    return made


@dataclass(frozen=True)
class GivenAnswer:
    """A person's answer to a hold.

    Args:
        id: Id of the decision that holds the answer.
        as_of: As-of date of the answer.
        by: Who answered.
        outcome: `settled`, or `retrain`.
        reason: The reason that was given.
    """

    id: str
    as_of: Moment
    by: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class StandingAnswer(GivenAnswer):
    """An acknowledgement that still holds.

    Args:
        rules: Rules whose alarm was acknowledged.
    """

    rules: tuple[str, ...]


def answer_to(workspace: Workspace, check: DecisionRow) -> GivenAnswer | None:
    """How a person answered a check that held, or left an alarm to one; None while nobody has.

    A settlement names the check that it answers. A run answers every check that waited since the last that did not;
    one asked for after a check with nothing left to answer is another matter.
    """
    decisions = workspace.store.decisions(workspace.model)
    if not _waited(check):
        return None
    quiet = (row.as_of for row in decisions if row.source == CHECK and row.as_of > check.as_of and not _waited(row))
    over = next(quiet, None)
    for row in decisions:
        settles = row.source == SETTLEMENT and from_record(HoldAnswer, row.record).answers == check.id
        asks = row.source == PERSON and row.as_of >= check.as_of and (over is None or row.as_of <= over)
        if settles or asks:
            return _answer(row)
    return None


def settlement_now(workspace: Workspace) -> StandingAnswer | None:
    """The newest settlement that still holds: no check was made since, or its alarm is still up; else None."""
    decisions = workspace.store.decisions(workspace.model)
    settled = [row for row in decisions if row.source == SETTLEMENT]
    checks = [row for row in decisions if row.source == CHECK]
    if not settled or (checks[-1].as_of > settled[-1].as_of and not as_check(checks[-1]).record.settled):
        return None
    rules = from_record(HoldAnswer, settled[-1].record).rules
    return StandingAnswer(**vars(_answer(settled[-1])), rules=rules)


def _waited(row: DecisionRow) -> bool:
    """Whether a check held, or left an alarm to a person."""
    return row.source == CHECK and (row.outcome == "held" or bool(as_check(row).record.held))


def _answer(row: DecisionRow) -> GivenAnswer:
    return GivenAnswer(row.id, pd.Timestamp(row.as_of), row.actor, row.outcome, row.reason)
