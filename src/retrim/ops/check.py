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
from retrim.core.view import UNSEEN
from retrim.datasets.landed import read_landed
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
        BadInputError: No rows have landed.
    """
    identity = f"{house.model}-{now:%Y%m%dT%H%M%SZ}"
    done = house.store.decision(identity)
    if done is not None:
        return Checked(done.id, done.outcome, done.reason, done.record, fresh=False)
    past = house.store.decisions(house.model, source=CHECK)
    previous = past[-1] if past else None
    rows, labels = read_landed(house.landing.root)
    table = assemble(rows, labels, house.params.data, as_of=now)
    found = champion(house)
    record: dict[str, Any] = {
        "as_of": iso(now),
        "champion": None,
        "window": None,
        "reading": None,
        "metrics": None,
        "findings": [],
        "drifted": [],
        "labels_overdue": overdue_labels(table, as_of=now),
        "counted_until": None,
    }
    account, price = EMPTY, house.params.account.price
    if found is not None:
        version, predictor = found
        score(house, now=now)
        drift = _drift(house, table, predictor, version, since=_as_of(previous))
        reading, metrics, counted = _performance(house, table, predictor, since=_counted_until(previous), now=now)
        before, price = balance(house, version), price_now(house)
        account = before if reading is None else _deposit(house, before, reading)
        record |= {
            "champion": version,
            "window": None if reading is None else {"rows": reading.rows},
            "reading": None if reading is None else reading.as_record(),
            "metrics": metrics,
            "findings": [finding.as_record() for finding in drift[:SHOWN_FINDINGS]],
            "drifted": sorted({finding.column for finding in drift if finding.over}),
            "counted_until": iso(counted),
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
    for run in house.store.runs(house.model, state="refused"):
        if run.as_of >= newest.as_of:
            account = account.debit(newest.record["price"])
    return account


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
    house: House, table: pd.DataFrame, predictor: Predictor, version: int, *, since: pd.Timestamp | None
) -> list[Finding]:
    """Findings on rows that came since the last check, against the champion's training rows; no label is read."""
    known = table["_event"].between(predictor.trained_from, predictor.used_until)
    newest = table["_event"] > predictor.used_until
    if since is not None:
        newest &= table["_arrived"] > since
    score_known = table["_event"].between(predictor.used_until, predictor.judged_until, inclusive="right")
    reference, current = table[known | score_known], table[newest]
    scores = score_column(house, version, table["_key"])
    return findings(
        reference.assign(_score=scores.where(score_known)),
        current.assign(_score=scores),
        {name: kind for name, kind in predictor.view.features.items() if name in table.columns},
        house.params.drift,
        time="_event",
    )


def _performance(
    house: House, table: pd.DataFrame, predictor: Predictor, *, since: pd.Timestamp | None, now: pd.Timestamp
) -> tuple[Reading | None, dict[str, float] | None, pd.Timestamp]:
    """The probe on rows that matured since the last counted moment and that the champion has never used.

    With too few of them nothing is said, and they are counted with the next ones.
    """
    params = house.params
    ripe = mature(table)
    begin = since if since is not None else pd.Timestamp(0, tz="UTC")
    is_new = (ripe["_matured"] > begin) & (ripe["_event"] > predictor.used_until)
    if since is None:
        is_new &= ripe["_event"] > predictor.judged_until
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
    seen = actual != UNSEEN if predictor.view.task == "multiclass" else np.ones(len(actual), dtype=bool)
    metrics = measure(params.judge.metrics, actual[seen], predicted[seen], task=predictor.view.task)
    return reading, metrics, now


def _evidence(
    house: House, *, now: pd.Timestamp, past: list[Row], record: dict[str, Any], account: Account, price: float
) -> Evidence:
    runs = [run for run in house.store.runs(house.model) if run.state in ("promoted", "refused", "deferred")]
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
    same = [each.record["drifted"] for each in past if each.record["champion"] == record["champion"]]
    return Evidence(
        now=now,
        champion=record["champion"],
        account=account,
        price=price,
        errors=house.params.account.errors,
        drifted=tuple(tuple(columns) for columns in [*same, record["drifted"]]),
        checks_since_run=since_run,
        refusals=refusals,
        deferred_until=None if until is None else pd.Timestamp(until),
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


def _as_of(previous: Row | None) -> pd.Timestamp | None:
    return None if previous is None else pd.Timestamp(previous.as_of)


def _counted_until(previous: Row | None) -> pd.Timestamp | None:
    if previous is None or previous.record["counted_until"] is None:
        return None
    return pd.Timestamp(previous.record["counted_until"])
