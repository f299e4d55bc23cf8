"""What is held, settled by a person without a retraining: who, when and why is kept with the decisions."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.triggers import RULES
from retrim.errors import BadInputError, RefusedError
from retrim.ops.check import CHECK
from retrim.ops.house import House
from retrim.ops.person import PERSON, SETTLEMENT, require_who_and_why
from retrim.ops.standing import is_held, waiting_rules


@dataclass(frozen=True)
class Settled:
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


def settle(house: House, *, reason: str, by: str, now: pd.Timestamp) -> Settled:
    """Answers what is held: nothing is retrained, and checks go on.

    Alarms that wait for a person are answered until they go quiet; one that comes up again is a new one. Refused
    runs and the timetable are counted anew from here.

    Raises:
        BadInputError: No reason or nobody is named, or a check has been made after `now`.
        RefusedError: Nothing is held.
    """
    require_who_and_why(by=by, reason=reason)
    decisions = house.store.decisions(house.model)
    checks = [row for row in decisions if row.source == CHECK]
    if not is_held(house, decisions):
        last = f"the last check, of {checks[-1].as_of}, said {checks[-1].outcome}" if checks else "nothing was checked"
        raise RefusedError(f"nothing is held: {last}; `retrim status` says when something waits for a person")
    if not checks:
        raise RefusedError("nothing was checked yet, so no alarm can be answered; check first: retrim check")
    newest = checks[-1]
    if iso(now) < newest.as_of:
        raise BadInputError(f"{iso(now)} is before the check that is held, of {newest.as_of}; answers go forward")
    up = [said["rule"] for said in newest.record["said"] if said["fires"]]
    waits = up if newest.outcome == "held" else waiting_rules(house, checks)
    rules = tuple(rule for rule in up if rule in waits and RULES.entry(rule).facts["repeats"])
    made = Settled(f"{house.model}-{now:%Y%m%dT%H%M%SZ}-settled", iso(now), by, reason, rules, newest.id)
    house.store.add_decision(
        {
            "id": made.id,
            "model": house.model,
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


def answer_to(house: House, check: Row) -> dict[str, Any] | None:
    """How a person answered a check that held, or left an alarm to one; None while nobody has.

    A settlement names the check that it answers. A run answers every check that waited since the last that did not;
    one asked for after a check with nothing left to answer is another matter.

    Returns:
        `id`, `as_of`, `by`, `outcome` and `reason`.
    """
    decisions = house.store.decisions(house.model)
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


def settlement_now(house: House) -> dict[str, Any] | None:
    """The newest settlement that still holds: no check was made since, or its alarm is still up; else None."""
    decisions = house.store.decisions(house.model)
    settled = [row for row in decisions if row.source == SETTLEMENT]
    checks = [row for row in decisions if row.source == CHECK]
    if not settled or (checks[-1].as_of > settled[-1].as_of and not checks[-1].record.get("settled")):
        return None
    return {**_answer(settled[-1]), "rules": settled[-1].record["rules"]}


def _waited(check: Row) -> bool:
    """Whether a check held, or left an alarm to a person."""
    return check.outcome == "held" or bool(check.record.get("held"))


def _answer(row: Row) -> dict[str, Any]:
    return {"id": row.id, "as_of": row.as_of, "by": row.actor, "outcome": row.outcome, "reason": row.reason}
