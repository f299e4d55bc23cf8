"""One scheduled check: what drifted, how the champion does, what the probe says, and the decision. Always recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.account import EMPTY, Account
from retrim.core.approval import ask_to_restore
from retrim.core.band import Band
from retrim.core.former import Formers, restore_instead
from retrim.core.history import standing
from retrim.core.modes import FINAL
from retrim.core.preview import Preview
from retrim.core.probe import Reading
from retrim.core.rolled_back import after_rollback
from retrim.core.row_ledger import Entry, Kind
from retrim.core.table import overdue_labels
from retrim.core.totals import NOTHING
from retrim.core.triggers import Decision, Evidence, decide
from retrim.errors import BadInputError
from retrim.ops.approval import end_waiting
from retrim.ops.champion import champion
from retrim.ops.counts import row_counts, view_record
from retrim.ops.drift import look
from retrim.ops.estimate import estimate
from retrim.ops.former import checks_since_release, led_before, score_formers
from retrim.ops.guards import remind
from retrim.ops.house import House
from retrim.ops.known import KnownTable, known, landed_since
from retrim.ops.mode import mode_now
from retrim.ops.probation import Found, look_at_probation, rolled_back_instead
from retrim.ops.realised import beside_judged, realise
from retrim.ops.score import score_table
from retrim.ops.served import tell_skew
from retrim.ops.standing import new_rows, past_check, past_of_store, rolled_back
from retrim.ops.totals import deposited, totals

CHECK = "check"


@dataclass(frozen=True)
class Checked:
    """A recorded check."""

    id: str
    outcome: str
    reason: str
    record: dict[str, Any]
    fresh: bool

    def as_record(self) -> dict[str, Any]:
        return {"id": self.id, "outcome": self.outcome, "reason": self.reason, **self.record}


def check(house: House, *, by: str, now: pd.Timestamp) -> Checked:
    """Looks at what has landed by `now` and decides, made by a person or schedule; once for a moment.

    Of two checks at once one is recorded first. The other then looks again, at what that has left.

    Raises:
        BadInputError: No rows have landed by then.
    """
    while True:
        checked = _check(house, by=by, now=now)
        if checked is not None:
            remind(house, checked.record, checked.reason, now=now)
            return checked


def _check(house: House, *, by: str, now: pd.Timestamp) -> Checked | None:
    """One look; None where another check was recorded meanwhile."""
    identity = f"{house.model}-{now:%Y%m%dT%H%M%SZ}"
    done = house.store.decision(identity)
    if done is not None:
        return Checked(done.id, done.outcome, done.reason, done.record, fresh=False)
    end_waiting(house, now=now)
    row = {"id": identity, "at": iso(now), "actor": by, "sequence": 1 + house.store.last_sequence(house.model)}
    past = house.store.decisions(house.model, source=CHECK)
    previous = past[-1] if past else None
    table = known(house, as_of=now)
    if not len(table):
        raise BadInputError(f"no rows had landed by {iso(now)}; land some with `retrim ingest FILE`, or check later")
    found = champion(house)
    counts = row_counts(house, table, found)
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
        "landed": landed_since(house, previous, rows=len(table), now=now),
        "labels_overdue": overdue_labels(table.times, house.params.data, as_of=now),
        "counted_until": None,
        "labels_until": None,
        "debited": [],
        "account_before": None,
        "counted": {},
        "view": view_record(house.params.data),
        "rolled_back": None,
    }
    account, price = EMPTY, price_now(house)
    band: Band | None = None
    formers: Formers | None = None
    probation: Found | None = None
    taken: dict[Kind, np.ndarray] = {}
    if previous is not None and pd.Timestamp(previous.as_of) > now:
        record |= {"account": account.as_record(), "price": price, "money": money_of(house), "said": []}
        record["totals"] = previous.record.get("totals", NOTHING.as_record())
        waits, settled = (tuple(previous.record.get(name, ())) for name in ("held", "settled"))
        seen_already = f"the check of {previous.as_of} has looked already; checks go forward"
        gone = Decision("none", seen_already, (), f"a check at or after {previous.as_of}", (), waits, settled)
        return _store(house, row, gone, record, counts.to_write({}))
    if found is not None:
        version, predictor = found.version, found.predictor
        score_table(house, table, found, now=now)
        looked, before = look(house, table, found, counts), balance(house, version)
        seen = realise(
            house,
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
        tell_skew(house, seen.served, now=now)
        guessed = estimate(house, table, predictor, version, past=past, now=now)
        formers = score_formers(house, table, predictor, version, previous=previous)
        probation = look_at_probation(house, table, predictor, previous=previous, now=now)
        taken = {**looked.taken, **seen.taken}
        account = before if seen.reading is None else _deposit(house, before, seen.reading)
        estimated = 0 if guessed.estimate is None else guessed.estimate.rows
        rows_held = estimated if seen.loss is None else seen.rows
        band, changed = beside_judged(house, table, found, counts, seen.measured, rows=rows_held)
        record |= {
            **seen.as_record(),
            "champion": version,
            "band": None if band is None else band.as_record(),
            **looked.with_losses(changed.shifted).as_record(),
            "slices": [each.as_record() for each in changed.slices[: house.params.slices.kept]],
            **guessed.as_record(),
            "formers": None if formers is None else formers.as_record(),
            "probation": None if probation is None else probation.as_record(),
            "debited": [run.id for run in _refused_since(house, past)],
            "account_before": before.as_record(),
            "counted": {kind: int(rows.sum()) for kind, rows in taken.items()},
        }
    record |= {"account": account.as_record(), "price": price, "money": money_of(house)}
    record["totals"] = totals(house, previous, record).as_record()
    evidence = _evidence(house, now=now, past=past, record=record, account=account, band=band, table=table)
    back = rolled_back(house, house.store.decisions(house.model), table.times)
    record["rolled_back"] = None if back is None else back.as_record()
    decision = after_rollback(_decide(house, evidence, formers, record, past=past), back)
    decision = rolled_back_instead(house, decision, probation, previous)
    record["said"] = [said.as_record() for said in decision.said]
    return _store(house, row, decision, record, counts.to_write(taken))


def _decide(
    house: House, evidence: Evidence, formers: Formers | None, record: dict[str, Any], *, past: list[Row]
) -> Decision:
    """What the rules say; restoring a former champion where one has led and costs no training."""
    decision = decide(evidence, house.params.triggers)
    if formers is None or not house.params.former.restore or record["champion"] is None:
        return decision
    reading = record["reading"]
    decision = restore_instead(
        decision,
        formers,
        probe_loss=None if reading is None else reading["probe_loss"],
        led_before=led_before(past[-1] if past else None, record["champion"], formers.best),
        checks_since_release=checks_since_release(house, past),
        cooldown_checks=house.params.triggers.cooldown_checks,
        manual="manual" in house.params.triggers.rules,
    )
    return ask_to_restore(decision, formers.best, house.params.release.approval)


def balance(house: House, version: int) -> Account:
    """The account as it stands now: empty after a promotion, debited by the price after a refusal."""
    past = house.store.decisions(house.model, source=CHECK)
    if not past or past[-1].record["champion"] != version:
        return EMPTY
    newest = past[-1]
    account = Account.from_record(newest.record["account"])
    for _ in _refused_since(house, past):
        account = account.debit(newest.record["price"])
    return account


def _refused_since(house: House, past: list[Row]) -> list[Row]:
    """Runs refused since the newest of these checks; one that any of them has debited is not among them.

    A version may wait for a person through several checks: then its end counts, not its beginning.
    Nor is a run that brought a former champion back, or fitted a promoted recipe once more: nobody paid in vain.
    """
    if not past:
        return []
    newest, debited = past[-1], {run for row in past for run in row.record["debited"]}
    refused = house.store.runs(house.model, state="refused")
    mine = [run for run in refused if run.detail.get("restored") is None and run.mode != FINAL]
    since = [run for run in mine if run.as_of >= newest.as_of or ("answer" in run.detail and run.ended >= newest.as_of)]
    return [run for run in since if run.id not in debited]


def price_now(house: House) -> float:
    """The price of a retraining in units of the loss."""
    versions = house.store.versions(house.model)
    if not versions:
        return house.params.account.price
    first = versions[0].verdict
    return house.params.account.price_in_loss(first["losses"][first["winner"]])


def money_of(house: House) -> dict[str, Any] | None:
    """What the price stands for, as it is kept with a check."""
    money = house.params.account.money
    return None if money is None else money.model_dump()


def _deposit(house: House, account: Account, reading: Reading) -> Account:
    share = reading.rows / house.params.account.usual_rows
    return account.deposit(reading.gain, error=reading.error, share=share)


def _evidence(
    house: House,
    *,
    now: pd.Timestamp,
    past: list[Row],
    record: dict[str, Any],
    account: Account,
    band: Band | None,
    table: KnownTable,
) -> Evidence:
    checked = past_check(iso(now), record)
    until = record["labels_until"]
    return Evidence(
        now=now,
        champion=record["champion"],
        account=account,
        deposited=deposited(record, account),
        price=record["price"],
        errors=house.params.account.errors,
        ahead=house.params.account.ahead,
        pending=record["pending"] / house.params.account.usual_rows,
        preview=None if record["preview"] is None else Preview(**record["preview"]),
        loss=record["loss"],
        estimate=None if record["estimate"] is None else record["estimate"]["loss"],
        band=band,
        labels_until=None if until is None else pd.Timestamp(until),
        anew=new_rows(house, table.times) if checked.champion is None else None,
        **standing(past_of_store(house, past), champion=checked.champion, drifted=checked.drifted),
    )


def _store(
    house: House, row: dict[str, Any], decision: Decision, record: dict[str, Any], counted: Sequence[Entry]
) -> Checked | None:
    """Records the check with the rows that it counted; None where another check was recorded since it looked."""
    record["mode"] = mode_now(house).as_record() if decision.outcome == "retrain" else None
    record |= {"change": decision.change, "fired": list(decision.fired), "held": list(decision.held)}
    record["settled"], record["stopped"] = list(decision.settled), decision.stopped
    row |= {"model": house.model, "source": CHECK, "as_of": row["at"]}
    row |= {"outcome": decision.outcome, "reason": decision.reason, "record": record}
    if not house.store.add_check(row, counted):
        return None
    return Checked(row["id"], decision.outcome, decision.reason, record, fresh=True)
