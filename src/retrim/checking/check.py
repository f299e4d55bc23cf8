"""One scheduled check: what drifted, how the champion does, what the probe says, and the decision. Always recorded.

What is held, settled by a person without a retraining: who, when and why is kept with the decisions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.database import iso
from retrim.checking.drift import estimate, find_drift
from retrim.checking.history import (
    is_held,
    new_rows,
    past_check,
    past_of_store,
    remind_of_hold,
    rolled_back,
    row_counts,
    view_record,
    waiting_rules,
)
from retrim.checking.mode import deposited, mode_now, read_totals
from retrim.checking.previous_champions import checks_since_release, led_before, score_formers
from retrim.checking.probation import ProbationCheck, look_at_probation, rolled_back_instead
from retrim.checking.probe import beside_judged, realise, tell_skew
from retrim.checking.score import score_table
from retrim.decision.account import EMPTY, NOTHING, AccumulatedGain, Band
from retrim.decision.history import summarise_checks
from retrim.decision.previous_champions import PreviousChampions, restore_instead
from retrim.decision.probe import GatePreview, ProbeResult
from retrim.decision.rows_counted import Kind, LedgerEntry
from retrim.decision.rules import RULES, Decision, Evidence, after_rollback, ask_to_restore, decide
from retrim.decision.stored_rows import DecisionRow, RunRow
from retrim.drift.slices import SliceParams
from retrim.errors import BadInputError, RefusedError
from retrim.landing.as_of_view import AsOfTable, landed_since, read_as_of
from retrim.lineage.workspace import PERSON, SETTLEMENT, Workspace, require_who_and_why
from retrim.release.approval import end_waiting
from retrim.release.versions import load_champion
from retrim.table.data import overdue_labels
from retrim.training.mode import FINAL

CHECK = "check"


@dataclass(frozen=True)
class CheckOutcome:
    """A recorded check.

    Args:
        id: Of its decision.
        outcome: `none`, `retrain`, `restore`, `rollback` or `held`.
        reason: Why, in a sentence.
        record: The evidence: drift, losses, probe, accumulated gain, every rule's answer.
        fresh: Whether it was made now; a check of a moment is made once.
    """

    id: str
    outcome: str
    reason: str
    record: dict[str, Any]
    fresh: bool

    def as_record(self) -> dict[str, Any]:
        return {"id": self.id, "outcome": self.outcome, "reason": self.reason, **self.record}


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
            return checked


def _check(workspace: Workspace, *, by: str, now: pd.Timestamp) -> CheckOutcome | None:
    """One look; None where another check was recorded meanwhile."""
    identity = f"{workspace.model}-{now:%Y%m%dT%H%M%SZ}"
    done = workspace.store.decision(identity)
    if done is not None:
        return CheckOutcome(done.id, done.outcome, done.reason, done.record, fresh=False)
    end_waiting(workspace, now=now)
    row = {"id": identity, "at": iso(now), "actor": by, "sequence": 1 + workspace.store.last_sequence(workspace.model)}
    past = workspace.store.decisions(workspace.model, source=CHECK)
    previous = past[-1] if past else None
    table = read_as_of(workspace, as_of=now)
    if not len(table):
        raise BadInputError(f"no rows had landed by {iso(now)}; land some with `retrim ingest FILE`, or check later")
    found = load_champion(workspace)
    counts = row_counts(workspace, table, found)
    record: dict[str, Any] = {
        "as_of": iso(now),
        "champion": None,
        "window": None,
        "reading": None,
        "metrics": None,
        "loss": None,
        "interval": None,
        "served": None,
        "estimate": None,
        "scored": [],
        "estimates": None,
        "formers": None,
        "probation": None,
        "refits": None,
        "refit_counts": None,
        "best_window": None if previous is None else previous.record.get("best_window"),
        "outlook": None if previous is None else previous.record.get("outlook"),
        "preview": None,
        "shown": None,
        "pending": 0,
        "probe": None,
        "band": None,
        "findings": [],
        "drifted": [],
        "drift_note": None,
        "slices": [],
        "landed": landed_since(workspace, previous, rows=len(table), now=now),
        "labels_overdue": overdue_labels(table.times, workspace.params.data, as_of=now),
        "counted_until": None,
        "labels_until": None,
        "debited": [],
        "account_before": None,
        "counted": {},
        "view": view_record(workspace.params.data),
        "rolled_back": None,
    }
    account, price = EMPTY, price_now(workspace)
    band: Band | None = None
    formers: PreviousChampions | None = None
    probation: ProbationCheck | None = None
    taken: dict[Kind, np.ndarray] = {}
    if previous is not None and pd.Timestamp(previous.as_of) > now:
        record |= {"account": account.as_record(), "price": price, "money": money_of(workspace), "said": []}
        record["totals"] = previous.record.get("totals", NOTHING.as_record())
        waits, settled = (tuple(previous.record.get(name, ())) for name in ("held", "settled"))
        seen_already = f"the check of {previous.as_of} has looked already; checks go forward"
        gone = Decision("none", seen_already, (), f"a check at or after {previous.as_of}", (), waits, settled)
        return _store(workspace, row, gone, record, counts.to_write({}))
    if found is not None:
        version, predictor = found.version, found.predictor
        score_table(workspace, table, found, now=now)
        looked, before = find_drift(workspace, table, found, counts), balance(workspace, version)
        seen = realise(
            workspace,
            table,
            predictor,
            version,
            counts,
            previous=previous,
            drifted=any(finding.over for finding in looked.findings),
            account=before,
            price=price,
            now=now,
        )
        tell_skew(workspace, seen.served, now=now)
        guessed = estimate(workspace, table, predictor, version, past=past, now=now)
        formers = score_formers(workspace, table, predictor, version, previous=previous)
        probation = look_at_probation(workspace, table, predictor, previous=previous, now=now)
        taken = {**looked.taken, **seen.taken}
        account = before if seen.reading is None else _deposit(workspace, before, seen.reading)
        estimated = 0 if guessed.estimate is None else guessed.estimate.rows
        rows_held = estimated if seen.loss is None else seen.rows
        band, changed = beside_judged(workspace, table, found, counts, seen.measured, rows=rows_held)
        record |= {
            **seen.as_record(),
            "champion": version,
            "band": None if band is None else band.as_record(),
            **looked.with_losses(changed.shifted).as_record(),
            "slices": [each.as_record() for each in changed.slices[: SliceParams().kept]],
            **guessed.as_record(),
            "formers": None if formers is None else formers.as_record(),
            "probation": None if probation is None else probation.as_record(),
            "debited": [run.id for run in _refused_since(workspace, past)],
            "account_before": before.as_record(),
            "counted": {kind: int(rows.sum()) for kind, rows in taken.items()},
        }
    record |= {"account": account.as_record(), "price": price, "money": money_of(workspace)}
    record["totals"] = read_totals(workspace, previous, record).as_record()
    evidence = _evidence(workspace, now=now, past=past, record=record, account=account, band=band, table=table)
    back = rolled_back(workspace, workspace.store.decisions(workspace.model), table.times)
    record["rolled_back"] = None if back is None else back.as_record()
    decision = after_rollback(_decide(workspace, evidence, formers, record, past=past), back)
    decision = rolled_back_instead(workspace, decision, probation, previous)
    record["said"] = [said.as_record() for said in decision.said]
    return _store(workspace, row, decision, record, counts.to_write(taken))


def _decide(
    workspace: Workspace,
    evidence: Evidence,
    formers: PreviousChampions | None,
    record: dict[str, Any],
    *,
    past: list[DecisionRow],
) -> Decision:
    """What the rules say; restoring a previous champion where one has led and costs no training."""
    decision = decide(evidence, workspace.params.triggers)
    if formers is None or not workspace.params.former.restore or record["champion"] is None:
        return decision
    reading = record["reading"]
    decision = restore_instead(
        decision,
        formers,
        probe_loss=None if reading is None else reading["probe_loss"],
        led_before=led_before(past[-1] if past else None, record["champion"], formers.best),
        checks_since_release=checks_since_release(workspace, past),
        cooldown_checks=workspace.params.triggers.cooldown_checks,
        manual="manual" in workspace.params.triggers.rules,
    )
    return ask_to_restore(decision, formers.best, workspace.params.release.approval)


def balance(workspace: Workspace, version: int) -> AccumulatedGain:
    """The account as it stands now: empty after a promotion, debited by the price after a refusal."""
    past = workspace.store.decisions(workspace.model, source=CHECK)
    if not past or past[-1].record["champion"] != version:
        return EMPTY
    newest = past[-1]
    account = AccumulatedGain.from_record(newest.record["account"])
    for _ in _refused_since(workspace, past):
        account = account.debit(newest.record["price"])
    return account


def _refused_since(workspace: Workspace, past: list[DecisionRow]) -> list[RunRow]:
    """Runs refused since the newest of these checks; one that any of them has debited is not among them.

    A version may wait for a person through several checks: then its end counts, not its beginning.
    Nor is a run that brought a previous champion back, or fitted a promoted recipe once more: nobody paid in vain.
    """
    if not past:
        return []
    newest, debited = past[-1], {run for row in past for run in row.record["debited"]}
    refused = workspace.store.runs(workspace.model, state="refused")
    mine = [run for run in refused if run.detail.get("restored") is None and run.mode != FINAL]
    since = [run for run in mine if run.as_of >= newest.as_of or (run.answered or "") >= newest.as_of]
    return [run for run in since if run.id not in debited]


def price_now(workspace: Workspace) -> float:
    """The price of a retraining in units of the loss."""
    versions = workspace.store.versions(workspace.model)
    if not versions:
        return workspace.params.account.price
    first = versions[0].verdict
    return workspace.params.account.price_in_loss(first["losses"][first["winner"]])


def money_of(workspace: Workspace) -> dict[str, Any] | None:
    """What the price stands for, as it is kept with a check."""
    money = workspace.params.account.money
    return None if money is None else money.model_dump()


def _deposit(workspace: Workspace, account: AccumulatedGain, reading: ProbeResult) -> AccumulatedGain:
    share = reading.rows / workspace.params.account.usual_rows
    return account.deposit(reading.gain, error=reading.error, share=share)


def _evidence(
    workspace: Workspace,
    *,
    now: pd.Timestamp,
    past: list[DecisionRow],
    record: dict[str, Any],
    account: AccumulatedGain,
    band: Band | None,
    table: AsOfTable,
) -> Evidence:
    checked = past_check(iso(now), record)
    until = record["labels_until"]
    return Evidence(
        now=now,
        champion=record["champion"],
        account=account,
        deposited=deposited(record, account),
        price=record["price"],
        errors=workspace.params.account.errors,
        ahead=workspace.params.account.ahead,
        pending=record["pending"] / workspace.params.account.usual_rows,
        preview=None if record["preview"] is None else GatePreview(**record["preview"]),
        loss=record["loss"],
        estimate=None if record["estimate"] is None else record["estimate"]["loss"],
        band=band,
        labels_until=None if until is None else pd.Timestamp(until),
        anew=new_rows(workspace, table.times) if checked.champion is None else None,
        **summarise_checks(past_of_store(workspace, past), champion=checked.champion, drifted=checked.drifted),
    )


def _store(
    workspace: Workspace,
    row: dict[str, Any],
    decision: Decision,
    record: dict[str, Any],
    counted: Sequence[LedgerEntry],
) -> CheckOutcome | None:
    """Records the check with the rows that it counted; None where another check was recorded since it looked."""
    record["mode"] = mode_now(workspace).as_record() if decision.outcome == "retrain" else None
    record |= {"change": decision.change, "fired": list(decision.fired), "held": list(decision.held)}
    record["settled"], record["stopped"] = list(decision.settled), decision.stopped
    row |= {"model": workspace.model, "source": CHECK, "as_of": row["at"]}
    row |= {"outcome": decision.outcome, "reason": decision.reason, "record": record}
    if not workspace.store.add_check(row, counted):
        return None
    return CheckOutcome(row["id"], decision.outcome, decision.reason, record, fresh=True)


@dataclass(frozen=True)
class AcknowledgedHold:
    """A settled hold.

    Args:
        id: Of the decision.
        as_of: When.
        by: Who.
        reason: Why.
        rules: Whose alarm is up, and answered for as long as it stays so; empty where something else held. Never the
            account: what it fires on are new rows.
        answers: Id of the check that was answered.
    """

    id: str
    as_of: str
    by: str
    reason: str
    rules: tuple[str, ...]
    answers: str

    def as_record(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "as_of": self.as_of,
            "by": self.by,
            "reason": self.reason,
            "rules": list(self.rules),
            "answers": self.answers,
        }


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
        last = f"the last check, of {checks[-1].as_of}, said {checks[-1].outcome}" if checks else "nothing was checked"
        raise RefusedError(f"nothing is held: {last}; `retrim status` says when something waits for a person")
    if not checks:
        raise RefusedError("nothing was checked yet, so no alarm can be answered; check first: retrim check")
    newest = checks[-1]
    if iso(now) < newest.as_of:
        raise BadInputError(f"{iso(now)} is before the check that is held, of {newest.as_of}; answers go forward")
    up = [said["rule"] for said in newest.record["said"] if said["fires"]]
    waits = up if newest.outcome == "held" else waiting_rules(workspace, checks)
    rules = tuple(rule for rule in up if rule in waits and RULES.entry(rule).facts["repeats"])
    made = AcknowledgedHold(f"{workspace.model}-{now:%Y%m%dT%H%M%SZ}-settled", iso(now), by, reason, rules, newest.id)
    workspace.store.add_decision(
        {
            "id": made.id,
            "model": workspace.model,
            "source": SETTLEMENT,
            "as_of": made.as_of,
            "at": made.as_of,
            "outcome": "settled",
            "actor": by,
            "reason": reason,
            "record": {"as_of": made.as_of, "rules": list(rules), "answers": newest.id},
        }
    )
    return made


def answer_to(workspace: Workspace, check: DecisionRow) -> dict[str, Any] | None:
    """How a person answered a check that held, or left an alarm to one; None while nobody has.

    A settlement names the check that it answers. A run answers every check that waited since the last that did not;
    one asked for after a check with nothing left to answer is another matter.

    Returns:
        `id`, `as_of`, `by`, `outcome` and `reason`.
    """
    decisions = workspace.store.decisions(workspace.model)
    if not _waited(check):
        return None
    quiet = (row.as_of for row in decisions if row.source == CHECK and row.as_of > check.as_of and not _waited(row))
    over = next(quiet, None)
    for row in decisions:
        settles = row.source == SETTLEMENT and row.record["answers"] == check.id
        asks = row.source == PERSON and row.as_of >= check.as_of and (over is None or row.as_of <= over)
        if settles or asks:
            return _answer(row)
    return None


def settlement_now(workspace: Workspace) -> dict[str, Any] | None:
    """The newest settlement that still holds: no check was made since, or its alarm is still up; else None."""
    decisions = workspace.store.decisions(workspace.model)
    settled = [row for row in decisions if row.source == SETTLEMENT]
    checks = [row for row in decisions if row.source == CHECK]
    if not settled or (checks[-1].as_of > settled[-1].as_of and not checks[-1].record.get("settled")):
        return None
    return {**_answer(settled[-1]), "rules": settled[-1].record["rules"]}


def _waited(check: DecisionRow) -> bool:
    """Whether a check held, or left an alarm to a person."""
    return check.outcome == "held" or bool(check.record.get("held"))


def _answer(row: DecisionRow) -> dict[str, Any]:
    return {"id": row.id, "as_of": row.as_of, "by": row.actor, "outcome": row.outcome, "reason": row.reason}
