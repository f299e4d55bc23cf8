"""What is held, settled by a person without a retraining: who, when and why is kept with the decisions."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.errors import BadInputError, RefusedError
from retrim.ops.check import CHECK
from retrim.ops.house import House
from retrim.ops.person import PERSON, SETTLEMENT
from retrim.ops.standing import is_held, waiting_rules


@dataclass(frozen=True)
class Settled:
    """A settled hold.

    Args:
        id: Of the decision.
        as_of: When.
        by: Who.
        reason: Why.
        rules: Whose alarm is up, and answered for as long as it stays so; empty where something else held.
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
    runs are counted anew from here.

    Raises:
        BadInputError: No reason or nobody is named, or a check has been made after `now`.
        RefusedError: Nothing is held.
    """
    if not reason.strip() or not by.strip():
        raise BadInputError("who settles it and why is kept; say in a few words why: --reason TEXT, and who: --by NAME")
    decisions = house.store.decisions(house.model)
    checks = [row for row in decisions if row.source == CHECK]
    if not is_held(house, decisions):
        last = f"the last check, of {checks[-1].as_of}, said {checks[-1].outcome}" if checks else "nothing was checked"
        raise RefusedError(f"nothing is held: {last}; `retrim status` says when something waits for a person")
    newest = checks[-1]
    if iso(now) < newest.as_of:
        raise BadInputError(f"{iso(now)} is before the check that is held, of {newest.as_of}; answers go forward")
    up = [said["rule"] for said in newest.record["said"] if said["fires"]]
    rules = tuple(rule for rule in waiting_rules(house, checks) if rule in up)
    made = Settled(f"{house.model}-{now:%Y%m%dT%H%M%SZ}-settled", iso(now), by, reason, rules, newest.id)
    house.store.add_decision(
        {
            "id": made.id,
            "model": house.model,
            "source": SETTLEMENT,
            "as_of": made.as_of,
            "at": made.as_of,
            "outcome": "settled",
            "reason": reason,
            "record": {"as_of": made.as_of, "by": by, "rules": list(rules), "answers": newest.id},
        }
    )
    return made


def answer_to(house: House, check: Row) -> dict[str, Any] | None:
    """How a person answered a held check, by a run or by settling it; None while nobody has.

    Returns:
        `id`, `as_of`, `by` (null where it is not known), `outcome` and `reason`.
    """
    decisions = house.store.decisions(house.model)
    people = [row for row in decisions if row.source in (PERSON, SETTLEMENT) and row.as_of >= check.as_of]
    if check.outcome != "held" or not people:
        return None
    return _answer(people[0])


def settlement_now(house: House) -> dict[str, Any] | None:
    """The newest settlement that still holds: no check was made since, or its alarm is still up; else None."""
    decisions = house.store.decisions(house.model)
    settled = [row for row in decisions if row.source == SETTLEMENT]
    checks = [row for row in decisions if row.source == CHECK]
    if not settled or (checks[-1].as_of > settled[-1].as_of and not checks[-1].record.get("settled")):
        return None
    return {**_answer(settled[-1]), "rules": settled[-1].record["rules"]}


def _answer(row: Row) -> dict[str, Any]:
    by = row.record.get("by")
    return {"id": row.id, "as_of": row.as_of, "by": by, "outcome": row.outcome, "reason": row.reason}
