"""One scheduled check: what drifted, how the champion does, what the probe says, and the decision. Always recorded."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.account import EMPTY, Account
from retrim.core.bundle import Predictor
from retrim.core.drift import Finding, findings
from retrim.core.metrics import measure, row_losses
from retrim.core.probe import Reading, probe
from retrim.core.table import assemble, mature, overdue_labels
from retrim.core.triggers import Decision, Evidence, decide
from retrim.datasets.landed import read_landed
from retrim.errors import BadInputError
from retrim.machine import cores
from retrim.ops.champion import champion
from retrim.ops.house import House
from retrim.ops.score import score, score_column

CHECK = "check"
SHOWN_FINDINGS = 20


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


def check(house: House, *, now: pd.Timestamp) -> Checked:
    """Looks at what has landed by `now` and decides; a check of the same moment is done once.

    Raises:
        BadInputError: No rows have landed by then.
    """
    identity = f"{house.model}-{now:%Y%m%dT%H%M%SZ}"
    done = house.store.decision(identity)
    if done is not None:
        return Checked(done.id, done.outcome, done.reason, done.record, fresh=False)
    past = house.store.decisions(house.model, source=CHECK)
    previous = past[-1] if past else None
    rows, labels = read_landed(house.landing.root)
    table = assemble(rows, labels, house.params.data, as_of=now)
    if not len(table):
        raise BadInputError(f"no rows had landed by {iso(now)}; land some with `retrim ingest FILE`, or check later")
    found = champion(house)
    record: dict[str, Any] = {
        "as_of": iso(now),
        "champion": None,
        "window": None,
        "reading": None,
        "metrics": None,
        "findings": [],
        "drifted": [],
        "looked_until": None,
        "labels_overdue": overdue_labels(table, as_of=now),
        "counted_until": None,
        "debited": [],
        "account_before": None,
    }
    account, price = EMPTY, price_now(house)
    if previous is not None and pd.Timestamp(previous.as_of) > now:
        record |= {"account": account.as_record(), "price": price, "said": []}
        gone = Decision("none", f"the check of {previous.as_of} has looked already; checks go forward", ())
        return _store(house, identity, gone, record, now)
    if found is not None:
        version, predictor = found
        score(house, now=now)
        drift, looked_until = _drift(house, table, predictor, version, previous=previous, now=now)
        reading, metrics, counted = _performance(house, table, predictor, version, previous=previous, now=now)
        before = balance(house, version)
        account = before if reading is None else _deposit(house, before, reading)
        record |= {
            "champion": version,
            "window": None if reading is None else {"rows": reading.rows},
            "reading": None if reading is None else reading.as_record(),
            "metrics": metrics,
            "findings": [finding.as_record() for finding in drift[:SHOWN_FINDINGS]],
            "drifted": sorted({finding.column for finding in drift if finding.over}),
            "looked_until": looked_until,
            "counted_until": iso(counted),
            "debited": [run.id for run in _refused_since(house, previous)],
            "account_before": before.as_record(),
        }
    record |= {"account": account.as_record(), "price": price}
    evidence = _evidence(house, now=now, past=past, record=record, account=account, price=price)
    decision = decide(evidence, house.params.triggers)
    record["said"] = [said.as_record() for said in decision.said]
    return _store(house, identity, decision, record, now)


def balance(house: House, version: int) -> Account:
    """The account as it stands now: empty after a promotion, debited by the price after a refusal."""
    past = house.store.decisions(house.model, source=CHECK)
    if not past or past[-1].record["champion"] != version:
        return EMPTY
    newest = past[-1]
    account = Account(newest.record["account"]["balance"], newest.record["account"]["variance"])
    for _ in _refused_since(house, newest):
        account = account.debit(newest.record["price"])
    return account


def _refused_since(house: House, newest: Row | None) -> list[Row]:
    """Runs refused since the newest check; one of its own moment that it has debited is not among them."""
    if newest is None:
        return []
    refused = house.store.runs(house.model, state="refused")
    return [run for run in refused if run.as_of >= newest.as_of and run.id not in newest.record["debited"]]


def price_now(house: House) -> float:
    """The price of a retraining in units of the loss."""
    versions = house.store.versions(house.model)
    if not versions:
        return house.params.account.price
    first = versions[0].verdict
    return house.params.account.price_in_loss(first["losses"][first["winner"]])


def _deposit(house: House, account: Account, reading: Reading) -> Account:
    share = reading.rows / house.params.account.usual_rows
    return account.deposit(reading.gain, error=reading.error, share=share)


def _drift(
    house: House,
    table: pd.DataFrame,
    predictor: Predictor,
    version: int,
    *,
    previous: Row | None,
    now: pd.Timestamp,
) -> tuple[list[Finding], str | None]:
    """Findings on rows this champion was not yet seen with, against those it was made from; no label is read.

    With too few of them nothing is said, and they are looked at with the next ones.
    The second value is the moment until which rows have been looked at.
    """
    known = table["_event"].between(predictor.trained_from, predictor.used_until)
    newest = table["_event"] > predictor.judged_until
    since = previous.record["looked_until"] if previous is not None and previous.record["champion"] == version else None
    if since is not None:
        newest &= table["_arrived"] > pd.Timestamp(since)
    score_known = table["_event"].between(predictor.used_until, predictor.judged_until, inclusive="right")
    scores = score_column(house, version, table["_key"])
    # Scores go in before the cut: pandas lets a column fill up a frame without rows.
    found = findings(
        table.assign(_score=scores.where(score_known))[known | score_known],
        table.assign(_score=scores)[newest],
        {name: kind for name, kind in predictor.view.features.items() if name in table.columns},
        house.params.drift,
        time="_event",
    )
    return found, iso(now) if found else since


def _performance(
    house: House,
    table: pd.DataFrame,
    predictor: Predictor,
    version: int,
    *,
    previous: Row | None,
    now: pd.Timestamp,
) -> tuple[Reading | None, dict[str, float] | None, pd.Timestamp]:
    """The probe on rows that matured since the last counted moment, and since the champion was made.

    With too few of them nothing is said, and they are counted with the next ones.
    """
    params = house.params
    ripe = mature(table)
    made = house.store.version(house.model, version)
    assert made is not None, version
    begin = pd.Timestamp(made.as_of)
    if previous is not None and previous.record["counted_until"] is not None:
        begin = max(begin, pd.Timestamp(previous.record["counted_until"]))
    is_new = (ripe["_matured"] > begin) & (ripe["_event"] > predictor.used_until)
    newest = np.flatnonzero(is_new.to_numpy())
    if len(newest) < params.probe.min_rows:
        return None, None, begin
    judged = ripe.iloc[newest]
    actual, predicted = predictor.view.actual(judged), predictor.predict(judged)
    reading = probe(
        ripe,
        newest,
        row_losses(params.judge.loss, actual, predicted),
        replace(predictor.recipe, loss=params.judge.loss),
        params.data,
        params.probe,
        window=predictor.window,
        sliding_rows=params.split.sliding_rows,
        block_rows=params.judge.block_rows,
        cores=cores(),
    )
    return reading, measure(params.judge.metrics, actual, predicted, task=predictor.view.task), now


def _evidence(
    house: House, *, now: pd.Timestamp, past: list[Row], record: dict[str, Any], account: Account, price: float
) -> Evidence:
    every = house.store.runs(house.model)
    runs = [run for run in every if run.state in ("promoted", "refused", "deferred")]
    going_on = [run.id for run in every if run.state in ("running", "crashed")]
    ended = [run for run in runs if run.state != "deferred"]
    refusals = 0
    for run in reversed(ended):
        if run.state != "refused":
            break
        refusals += 1
    since_run = None
    if ended:
        since_run = 1 + sum(each.as_of > ended[-1].as_of for each in past)
    until = runs[-1].detail["until"] if runs and runs[-1].state == "deferred" else None
    same = [each.record for each in past if each.record["champion"] == record["champion"]]
    looked = [each["drifted"] for each in (*same, record) if each["findings"]]
    return Evidence(
        now=now,
        champion=record["champion"],
        account=account,
        price=price,
        errors=house.params.account.errors,
        drifted=tuple(map(tuple, looked)),
        looked=bool(record["findings"]),
        checks_since_run=since_run,
        refusals=refusals,
        deferred_until=None if until is None else pd.Timestamp(until),
        going_on=going_on[-1] if going_on else None,
    )


def _store(house: House, identity: str, decision: Decision, record: dict[str, Any], now: pd.Timestamp) -> Checked:
    added = house.store.add_decision(
        {
            "id": identity,
            "model": house.model,
            "source": CHECK,
            "as_of": iso(now),
            "at": iso(now),
            "outcome": decision.outcome,
            "reason": decision.reason,
            "record": record,
        }
    )
    return Checked(identity, decision.outcome, decision.reason, record, fresh=added)
