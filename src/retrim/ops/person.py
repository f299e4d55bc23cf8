"""Decisions that a person takes: to retrain now, whatever the rules say."""

import pandas as pd

from retrim.adapters.store import iso
from retrim.errors import BadInputError, RefusedError
from retrim.ops.house import House

PERSON, SETTLEMENT, REFIT = "person", "settlement", "refit"  # sources of decisions beside the checks


def decision_of(house: House, as_of: pd.Timestamp) -> str:
    """The id of a person's decision to retrain as of a date."""
    return f"{house.model}-{as_of:%Y%m%dT%H%M%SZ}-person"


def require_who_and_why(*, by: str, reason: str | None) -> None:
    """Checks that a move names who makes it and why, None where it needs no reason: both are kept with it.

    Raises:
        BadInputError: One of them is blank.
    """
    if not by.strip() or (reason is not None and not reason.strip()):
        raise BadInputError("who does it and why is kept; say in a few words why: --reason TEXT, and who: --by NAME")


def ask_for_run(house: House, *, as_of: pd.Timestamp, by: str, reason: str, now: pd.Timestamp) -> str:
    """Records a person's decision to retrain as of a date, and gives its id.

    Raises:
        BadInputError: Nobody or no reason is named.
        RefusedError: A run is going on, or a person has decided the same for the same moment already.
    """
    require_who_and_why(by=by, reason=reason)
    identity = decision_of(house, as_of)
    going = house.store.runs(house.model, state="running")
    if going:
        raise RefusedError(f"run {going[0].id} is going on (process {going[0].pid}); wait for it: one at a time")
    row = {
        "id": identity,
        "model": house.model,
        "source": PERSON,
        "as_of": iso(as_of),
        "at": iso(now),
        "outcome": "retrain",
        "actor": by,
        "reason": reason,
        "record": {"as_of": iso(as_of)},
    }
    run = house.store.run(f"run-{identity}")
    if not house.store.add_decision(row) and run is not None and run.state not in ("crashed", "failed", "unpushed"):
        raise RefusedError(f"a run as of {iso(as_of)} was asked for before and ended {run.state}; take another date")
    return identity
